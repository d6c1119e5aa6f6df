"""A prior that saw the data of the bound is refused where that can be seen."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.certify import certify, from_module
from nonvacuous.numerics.certify.overlap import require_disjoint

X = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 2
WHOLE = TensorDataset(X, Y)


def subset(rows):
    return DataLoader(Subset(WHOLE, rows), batch_size=4)


@pytest.mark.parametrize(
    ("prior", "bound", "shared"),
    [
        (subset(range(10)), subset(range(9, 30)), 1),
        (DataLoader(WHOLE, sampler=SubsetRandomSampler(range(12))), subset(range(10, 20)), 2),
        (DataLoader(Subset(Subset(WHOLE, range(5, 25)), range(3)), batch_size=2), subset(range(7, 9)), 1),
        ((X[:10], Y[:10]), (X[8:], Y[8:]), 2),
        ((X[:10], Y[:10]), subset(range(9, 30)), 1),
        (subset([0, 29]), subset([5, -1]), 1),
    ],
)
def test_shared_examples_are_refused(prior, bound, shared):
    with pytest.raises(AssumptionViolated, match=f"^{shared} "):
        require_disjoint(prior, bound)
    gaussian = from_module(nn.Linear(3, 2), 0.1)
    with pytest.raises(AssumptionViolated):
        certify(gaussian, prior=gaussian, data=bound, delta=0.05, seed=0, draws=5, prior_data=prior)


def test_disjoint_parts_are_counted():
    assert require_disjoint(subset(range(10)), subset(range(10, 30))) == 10
    assert require_disjoint((X[:7], Y[:7]), (X[7:], Y[7:])) == 7
    assert require_disjoint((X[:7], Y[:7]), (X[:7], 1 - Y[:7])) == 7  # another label is another example
    gaussian = from_module(nn.Linear(3, 2), 0.1)
    options = {"prior": gaussian, "data": subset(range(10, 30)), "delta": 0.05, "seed": 0, "draws": 5}
    found = certify(gaussian, prior_data=subset(range(10)), **options)
    assert found.value == certify(gaussian, n_prior=10, **options).value
    assert found.inputs["n"] == 20
    with pytest.raises(InvalidInput, match="both"):
        certify(gaussian, prior_data=subset(range(10)), n_prior=10, **options)
