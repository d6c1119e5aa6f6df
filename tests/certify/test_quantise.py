"""Quantised networks: the code describes the network that is certified, the errors are its own, and what is not coded must not differ."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.bounds.compression import compression_bound
from nonvacuous.numerics.bounds.held_out import binomial_test_set
from nonvacuous.numerics.certify.quantise import certify_quantised, codebook

STREAM = torch.Generator().manual_seed(0)
X = torch.randn(400, 3, generator=STREAM)
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).long()


def pair():
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))
    net = deepcopy(base)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()
    return base, net


def test_the_certified_network_is_the_decoded_one():
    base, net = pair()
    before = [value.clone() for value in net.parameters()]
    found = certify_quantised(net, base=base, data=(X, Y), delta=0.05, levels=4)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert sum(found.level_counts) == sum(value.numel() for value in net.parameters())
    assert 0.0 in found.levels
    assert all(float(np.float16(level)) == level for level in found.levels)
    levels = torch.tensor(found.levels, dtype=torch.float64)
    for ours, start in zip(found.module.parameters(), base.parameters(), strict=True):
        gap = (ours - start).detach().double().reshape(-1, 1) - levels
        assert float(gap.abs().min(1).values.max()) < 1e-6  # every change is one of the levels
    scores = found.module(X)
    errors = int((scores.argmax(1) != Y).sum())
    assert found.certificate.inputs["errors"] == errors
    assert (
        found.certificate.value
        == compression_bound(errors=errors, n=400, level_counts=found.level_counts, delta=0.05).value
    )
    assert found.certificate.check().sound
    assert not found.certificate.vacuous


def test_no_change_costs_next_to_nothing():
    base, _ = pair()
    found = certify_quantised(base, base=base, data=(X, Y), delta=0.05, levels=1)
    errors = found.certificate.inputs["errors"]
    assert found.code_bits == 16  # the one level, 0, is still written down
    assert found.certificate.value > binomial_test_set(errors=errors, n=400, delta=0.05).value


@pytest.mark.parametrize("levels", [1, 2, 3, 8])
def test_codebooks(levels):
    rng = np.random.default_rng(0)
    change = np.where(rng.random(500) < 0.5, 0.0, rng.normal(size=500))
    book = codebook(change, levels, 30)
    assert len(book) == levels
    assert book[0] == 0

    def error(b):
        return (np.abs(change[:, None] - b).min(1) ** 2).sum()

    assert error(book) <= error(codebook(change, max(1, levels - 1), 30)) + 1e-9
    assert np.isfinite(codebook(np.array([0.0, 1e30, -1e30]), 3, 5)).all()
    assert len(codebook(np.zeros(5), levels, 3)) == levels


def test_refusals():
    base, net = pair()
    options = {"data": (X, Y), "delta": 0.05}
    with pytest.raises(InvalidInput, match="architecture"):
        certify_quantised(net, base=nn.Linear(3, 2), **options)
    with pytest.raises(InvalidInput, match="levels"):
        certify_quantised(net, base=base, levels=1000, **options)
    with pytest.raises(InvalidInput, match="delta"):
        certify_quantised(net, base=base, data=(X, Y), delta=0.0)
    frozen, other = deepcopy(base), deepcopy(base)
    for one in (frozen, other):
        one[0].weight.requires_grad_(False)
    with torch.no_grad():
        other[0].weight += 1
    with pytest.raises(AssumptionViolated, match="fixed"):
        certify_quantised(frozen, base=other, **options)
