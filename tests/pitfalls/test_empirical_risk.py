"""Mistakes in what the empirical risk is an average of: batches, subsets, batch statistics, and which predictor is certified."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset

from nonvacuous.bounds import seeger_kl
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certify import certify, from_module
from nonvacuous.numerics.certify.losses import Loss
from nonvacuous.numerics.certify.monte_carlo import draw_risks, labelled_data


def problem(count: int = 25) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream))
    x = torch.randn(count, 3, generator=stream)
    return net, x, (x[:, 0] > 0).long()


def test_d02_n_is_the_number_of_examples_seen_not_the_size_of_the_data_set():
    net, x, y = problem(40)
    gaussian = from_module(net, 0.1)
    whole = TensorDataset(x, y)
    for loader in (
        DataLoader(
            whole, batch_size=8, sampler=SubsetRandomSampler(range(30), generator=torch.Generator().manual_seed(1))
        ),
        DataLoader(Subset(whole, range(30)), batch_size=8),
    ):
        found = certify(gaussian, prior=gaussian, data=loader, delta=0.05, seed=0, draws=50, n_prior=10)
        assert found.inputs["n"] == 30
        assert found.inputs["n_total"] == 40
        risk = found.parts["risk"]
        assert found.value == seeger_kl(risk=risk, kl=0.0, n=30, delta=found.ledger.entries[-1].delta).value
        assert found.value > seeger_kl(risk=risk, kl=0.0, n=40, delta=found.ledger.entries[-1].delta).value


def test_d17_a_last_partial_batch_weighs_what_its_examples_weigh_and_one_batch_is_enough():
    net, x, y = problem(25)
    gaussian = from_module(net, 0.3)
    loss = Loss("cross_entropy", 1e-3)
    batches = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 25, 8)]  # 8, 8, 8 and 1
    placed = from_module(net, 0.3)
    xs, ys = labelled_data(batches, placed.network)
    together = draw_risks(gaussian, x, y, loss, draws=6, seed=0).per_draw
    assert torch.equal(draw_risks(placed, xs, ys, loss, draws=6, seed=0).per_draw, together)
    parts = [draw_risks(gaussian, a, b, loss, draws=6, seed=0).per_draw for a, b in batches]
    wrong = torch.stack(parts).sum(0) / (len(parts) - 1)  # divided by the last batch's index
    assert (wrong - together).abs().max() > 0.05
    one = certify(gaussian, prior=gaussian, data=[(x, y)], delta=0.05, seed=0, draws=6)
    assert one.value == certify(gaussian, prior=gaussian, data=batches, delta=0.05, seed=0, draws=6).value


def test_d19_the_certificate_names_the_predictor_that_it_covers():
    """Two voters that always disagree: Gibbs risk 1/2, so no number about Gibbs may be read as one about the vote or the mean."""
    net, x, y = problem()
    found = certify(from_module(net, 0.1), prior=from_module(net, 0.1), data=(x, y), delta=0.05, seed=0, draws=20)
    assert found.quantity.startswith("true Gibbs risk")
    assert "Gibbs" in str(found)
    # Gibbs .34, yet the majority vote errs on every example: 51 of 100 voters are wrong on each of two thirds of the inputs ...
    voters = torch.zeros(100, 3)
    voters[:51, 0] = 1
    voters[49:, 1] = 1
    gibbs, vote = float(voters.mean()), float((voters.mean(0) > 0.5).float().mean())
    assert gibbs < 0.35
    assert vote > 0.66 > gibbs


def test_d20_statistics_of_the_batch_make_one_example_a_function_of_the_others():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.ReLU(), nn.Linear(4, 2))
    for prepare in (net.train, net.eval):  # without running statistics, evaluation uses those of the batch too
        with pytest.raises(InvalidInput, match=r"training mode|batch"):
            from_module(prepare(), 0.1)
