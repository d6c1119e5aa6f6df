"""Data and modules that would make a certificate false are refused before any draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from nonvacuous.errors import AssumptionViolated, DeltaOverspent, InvalidInput
from nonvacuous.numerics.bounds import certify_losses, gibbs_monte_carlo, seeger_kl
from nonvacuous.numerics.certify import certify, from_module

STREAM = torch.Generator().manual_seed(0)
X, Y = torch.randn(40, 3, generator=STREAM), torch.randint(2, (40,), generator=STREAM)
DATA = TensorDataset(X, Y)


def run(module: torch.nn.Module, data):
    gaussian = from_module(module, 0.1)
    return certify(gaussian, prior=gaussian, data=data, delta=0.1, seed=0, draws=10)


def linear() -> torch.nn.Linear:
    module = torch.nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]]))
        module.bias.zero_()
    return module


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(DATA, sampler=RandomSampler(DATA, replacement=True, num_samples=400)),
        DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=400)),
        DataLoader(DATA, batch_sampler=BatchSampler(RandomSampler(DATA, replacement=True, num_samples=400), 8, False)),
        DataLoader(Subset(DATA, list(range(40)) * 10), batch_size=8),
        DataLoader(ConcatDataset([DATA] * 10), batch_size=8),
        DataLoader(Subset(Subset(DATA, [0, 0, 1]), [0, 1]), batch_size=8),
        DataLoader(ConcatDataset([Subset(DATA, [0, 1]), Subset(DATA, [1, 2])]), batch_size=8),
        DataLoader(Subset(DATA, [39, 0, -1]), batch_size=8),
        DataLoader(DATA, sampler=[0, 1, 1]),
        DataLoader(DATA, sampler=SubsetRandomSampler([3, 3])),
        DataLoader(DATA, batch_sampler=[[0, 1], [1, 2]]),
    ],
)
def test_repeated_examples(loader):
    with pytest.raises(AssumptionViolated, match="repeats examples"):
        run(linear(), loader)


def test_an_ordinary_loader_is_not_refused():
    whole = run(linear(), (X, Y))
    assert run(linear(), DataLoader(DATA, batch_size=7)).value == whole.value
    assert run(linear(), DataLoader(Subset(DATA, range(40)), batch_size=7)).value == whole.value
    halves = ConcatDataset([Subset(DATA, range(20)), Subset(DATA, np.arange(20, 40))])
    assert run(linear(), DataLoader(halves, sampler=range(40))).value == whole.value
    assert run(linear(), DataLoader(DATA, batch_sampler=[list(range(20)), list(range(20, 40))])).value == whole.value


class Chance(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.tensor(np.random.default_rng().random(), dtype=x.dtype)


class Counter(torch.nn.Linear):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class Centred(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


@pytest.mark.parametrize("module", [Chance, Counter, Centred])
def test_what_is_not_a_fixed_function_of_one_input(module):
    with pytest.raises(AssumptionViolated, match="chance, on earlier calls"):
        run(module(3, 2), (X, Y))


@pytest.mark.parametrize(
    "losses",
    [np.ma.array(np.zeros((5, 40)), mask=True), np.full((5, 40), 5j), np.zeros((5, 40), dtype="datetime64[s]")],
)
def test_losses_that_are_not_real_numbers(losses):
    with pytest.raises(InvalidInput, match="masked, complex"):
        certify_losses(losses, kl=1.0, delta=0.05)


def test_a_total_delta_of_one_says_nothing():
    with pytest.raises(DeltaOverspent, match="probability 1"):
        seeger_kl(risk=gibbs_monte_carlo(risk=0.1, draws=10, delta=0.6), kl=1.0, n=1000, delta=0.6)
    assert gibbs_monte_carlo(risk=0.1, draws=100, log_inv_delta=5e-324).check().sound
