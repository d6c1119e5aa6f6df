"""Votes of torch classifiers: the classes they name, and certificates of their majority."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import nonvacuous as nv
from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.posteriors import votes_from_modules


def data(n: int = 300, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=stream)
    return x, (x[:, 0] + 0.3 * x[:, 1] > 0).long()


def voters(count: int = 5) -> list[nn.Module]:
    found: list[nn.Module] = []
    for k in range(count):
        torch.manual_seed(k)
        module = nn.Linear(3, 2) if k % 2 else nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
        x, y = data(60, seed=100 + k)
        for _ in range(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
        found.append(module)
    return found


VOTERS, DATA = voters(), data()


def test_votes_are_the_classes_of_the_largest_outputs():
    votes = votes_from_modules(VOTERS, DATA)
    for k, module in enumerate(VOTERS):
        with torch.no_grad():
            assert (votes.predictions[k] == module(DATA[0]).argmax(1).numpy()).all()
    assert (votes.labels == DATA[1].numpy()).all()
    assert all(parameter.requires_grad for parameter in VOTERS[0].parameters())
    frozen = [module.requires_grad_(False) for module in voters()]
    assert (votes_from_modules(nn.ModuleList(frozen), DATA).predictions == votes.predictions).all()
    assert not any(parameter.requires_grad for parameter in frozen[0].parameters())


def test_certificates_of_the_majority_and_of_the_stochastic_vote():
    votes = votes_from_modules(VOTERS, [(DATA[0][:100], DATA[1][:100]), (DATA[0][100:], DATA[1][100:])])
    found = nv.bounds.certify_votes(votes, delta=0.05)
    fresh = votes_from_modules(VOTERS, data(20_000, seed=7))
    truth = nv.bounds.vote_risk(fresh)
    assert all(truth < certificate.value and certificate.check() for certificate in found.values())
    dirichlet = nv.bounds.stochastic_majority_vote(
        risk=nv.bounds.stochastic_vote_risk(votes.wrong, np.full(5, 2.0)),
        concentrations=np.full(5, 2.0), prior=np.ones(5), n=votes.n, delta=0.05,
    )  # fmt: skip
    assert nv.bounds.stochastic_vote_risk(fresh.wrong, np.full(5, 2.0)) < dirichlet.value < 1


def test_examples_that_trained_a_voter_do_not_judge_it():
    valid = np.ones((5, 300), dtype=bool)
    valid[0, :250] = False
    votes = votes_from_modules(VOTERS, DATA, valid=valid)
    assert votes.n == 50


@pytest.mark.parametrize(
    ("modules", "given", "error", "words"),
    [
        ([], DATA, InvalidInput, "list"),
        (VOTERS[0], DATA, InvalidInput, "list"),
        ([VOTERS[0], 3], DATA, InvalidInput, "list"),
        ([nn.Linear(4, 2)], DATA, InvalidInput, "inputs of shape"),
        ([VOTERS[0], nn.Linear(3, 2).double()], DATA, InvalidInput, "float32"),
        ([nn.Linear(3, 1)], DATA, InvalidInput, "one output"),
        ([nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))], DATA, InvalidInput, "eval"),
        ([nn.Linear(3, 2), nn.Linear(3, 4)], (DATA[0], DATA[1] + 2), InvalidInput, "label"),
        (VOTERS, (DATA[0], DATA[1].double()), InvalidInput, "labels"),
        ([nn.Sequential(nn.Linear(3, 2), nn.Softmax(0))], DATA, AssumptionViolated, "batch"),
    ],
)
def test_bad_input(modules, given, error, words):
    with pytest.raises(error, match=words):
        votes_from_modules(modules, given)


def test_wrong_masks():
    with pytest.raises(InvalidInput, match="valid"):
        votes_from_modules(VOTERS, DATA, valid=np.ones((5, 3), dtype=bool))
    with pytest.raises(InvalidInput, match="valid"):
        votes_from_modules(VOTERS, DATA, valid=np.ones((5, 300)))
