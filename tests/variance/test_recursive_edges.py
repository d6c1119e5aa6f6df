"""What a step of the recursion may be, and what is recorded of its draws."""

from __future__ import annotations

import math

import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.recursive import RecursiveStep, recursive_pac_bayes

OPTIONS = {"risk": 0.1, "kl": 3.0, "n": 1000, "delta": 0.05}


@pytest.mark.parametrize(
    ("gamma", "frequencies"),
    [
        (0.0, (0.9, 0.1, 0.0)), (1.0 + 2.0**-52, (0.9, 0.9, 0.1)), (1.5, (0.9, 0.9, 0.1)), (-0.5, (0.9, 0.1, 0.0)),
        (0.5, (0.5, 0.1, 0.3)), (0.5, (0.1, 0.2, 0.05)), (0.5, (0.3, 0.2, 0.25)), (0.5, (0.9, 0.1)),
        (1.0, (0.9, 0.1, 0.1)), (1.0, (0.9, 0.8, 0.1)),
    ],
)  # fmt: skip
def test_a_step_that_contradicts_itself_is_refused(gamma, frequencies):
    with pytest.raises(InvalidInput):
        RecursiveStep(gamma, frequencies, 2.0, 500)


@pytest.mark.parametrize(
    ("gamma", "frequencies"),
    [(1.0, (0.9, 0.9, 0.1)), (0.5, (0.9, 0.1, 0.1)), (2.0**-52, (0.9, 0.9, 0.9)), (1.0, (0.0, 0.0, 0.0))],
)
def test_a_step_at_the_edge_is_a_step(gamma, frequencies):
    found = recursive_pac_bayes(steps=[RecursiveStep(gamma, frequencies, 2.0, 500)], **OPTIONS)
    assert found.check().sound


def test_one_wrong_word_is_enough():
    step = RecursiveStep(0.5, (0.9, 0.1, 0.0), 2.0, 500)
    for wrong in ({"form": "both"}, {"form": "split", "constant": "3sqrt"}):
        with pytest.raises(InvalidInput, match="Choose of"):
            recursive_pac_bayes(steps=[step], **OPTIONS, **wrong)


def test_the_level_of_the_draws_is_recorded():
    step = RecursiveStep(0.5, (0.9, 0.1, 0.0), 2.0, 500)
    found = recursive_pac_bayes(steps=[step], pairs=100, draws_delta=0.01, **OPTIONS)
    assert found.inputs["draws_log_inv_delta"] == pytest.approx(math.log(100), rel=1e-14, abs=0)
    assert found.inputs["log_inv_delta"] == pytest.approx(math.log(40), rel=1e-14, abs=0)


@pytest.mark.parametrize("form", ["vector", "split"])
def test_an_infinite_divergence_says_nothing(form):
    step = RecursiveStep(0.5, (0.9, 0.1, 0.0), math.inf, 500)
    found = recursive_pac_bayes(steps=[step], form=form, **OPTIONS)
    first = recursive_pac_bayes(steps=[], **{**OPTIONS, "delta": 0.025}).raw
    assert found.raw == pytest.approx(1 + 0.5 * first, rel=1e-14, abs=0)
    assert found.value == 1.0
