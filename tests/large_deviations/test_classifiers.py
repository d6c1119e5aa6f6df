"""Populations of small classifiers: members do not see each other, levers do what they say, bad input is refused."""

from __future__ import annotations

import pytest
import torch

from nonvacuous.errors import InvalidInput, NumericalFailure
from nonvacuous.numerics.training.classifiers import Levers, train_classifiers

STREAM = torch.Generator().manual_seed(0)
X = torch.randn(3, 20, 4, generator=STREAM, dtype=torch.float64)
Y = (X[..., 0] > 0).long()
OPTIONS = {"classes": 2, "width": 8, "steps": 40, "learning_rate": 0.02, "seed": 1}


def test_a_member_trains_as_if_it_were_alone():
    together = train_classifiers(X, Y, **OPTIONS)
    other = train_classifiers(torch.cat([X[:1], X[1:] + 5]), Y, **OPTIONS)
    torch.testing.assert_close(together.hidden[0], other.hidden[0], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(together.hidden[1], other.hidden[1])


def test_levers_move_what_they_are_named_for():
    def input_gradient(trained):
        x = X.clone().requires_grad_()
        (slope,) = torch.autograd.grad(trained.log_losses(x, Y).sum(), x)
        return float(slope.square().sum(-1).mean())

    base = train_classifiers(X, Y, **OPTIONS)
    decayed = train_classifiers(X, Y, levers=Levers(weight_decay=0.1), **OPTIONS)
    flat = train_classifiers(X, Y, levers=Levers(gradient_penalty=5.0), **OPTIONS)
    assert (decayed.hidden.square().sum((1, 2)) < base.hidden.square().sum((1, 2))).all()
    assert input_gradient(flat) < 0.5 * input_gradient(base)


def test_log_losses_are_those_of_the_softmax():
    trained = train_classifiers(X, Y, **OPTIONS)
    one = torch.relu(X[0] @ trained.hidden[0] + trained.hidden_bias[0]) @ trained.readout[0] + trained.readout_bias[0]
    expected = torch.nn.functional.cross_entropy(one, Y[0], reduction="none")
    torch.testing.assert_close(trained.log_losses(X[0], Y[0])[0], expected)


def test_bad_input():
    with pytest.raises(InvalidInput):
        train_classifiers(X[0], Y[0], **OPTIONS)
    with pytest.raises(InvalidInput):
        Levers(weight_decay=-1.0)
    with pytest.raises(NumericalFailure):
        train_classifiers(X, Y, **{**OPTIONS, "learning_rate": 1e200})
