"""Information-theoretic bounds: exact worlds, orders, special cases, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.information import (
    conditional_information,
    conditional_information_kl,
    individual_information,
    mutual_information,
)
from nonvacuous.proofs.pac_bayes.other_divergences.information_worlds import (
    COLD,
    THREE_CHOICES,
    LearningWorld,
    expected_losses,
    informations,
    memoriser,
)
from nonvacuous.theory.statement import Kind

numbers = st.floats(0, 50)


@given(numbers, st.integers(1, 10**6), st.floats(0, 100))
def test_every_bound_verifies_and_spends_nothing(information, n, sigma):
    found = [
        mutual_information(information=information, n=n, sigma=sigma),
        individual_information(informations=[information, 0.0, 1.0], sigma=sigma),
        conditional_information(information=information, n=n),
        conditional_information(information=information, n=n, form="interpolating"),
        conditional_information_kl(risk=min(1.0, sigma / 100), information=information, n=n),
    ]
    for c in found:
        assert c.kind is Kind.EXPECTATION
        assert c.delta == 0
        assert c.check().sound
        assert "in expectation over the sample" in str(c)


@pytest.mark.parametrize("world", [THREE_CHOICES, COLD, memoriser(3)])
def test_informations_of_a_world_are_ordered(world):
    known = informations(world)
    assert known.individual.sum() <= known.sample + 1e-12
    assert known.evaluated <= known.conditional + 1e-12
    assert known.conditional <= world.n * math.log(2) + 1e-12


def test_the_memoriser_attains_the_interpolating_bound():
    """m equally likely examples: CMI = (1 - 1/m) ln 2 = E L ln 2, so the bound is an equality."""
    for m in (2, 3, 8):
        known, (true, train) = informations(memoriser(m)), expected_losses(memoriser(m))
        assert train == 0
        assert true == pytest.approx(1 - 1 / m)
        assert known.evaluated == pytest.approx((1 - 1 / m) * math.log(2))
        assert known.sample == pytest.approx(math.log(m))
        bound = conditional_information(information=known.evaluated, n=1, form="interpolating").value
        assert bound == pytest.approx(true, rel=1e-12, abs=0)


def test_evaluated_information_can_be_smaller():
    """Two hypotheses with the same losses: which of them was drawn says nothing about the losses."""
    twins = LearningWorld(np.array([0.5, 0.5]), np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), 1, math.inf)
    known = informations(twins)
    assert known.evaluated <= known.conditional + 1e-15


def test_a_hot_algorithm_remembers_nothing():
    known = informations(LearningWorld(THREE_CHOICES.law, THREE_CHOICES.losses, 2, 0.0))
    assert max(known.sample, known.conditional, known.evaluated) < 1e-14
    assert mutual_information(information=0.0, n=5, sigma=0.5).value == 0
    assert conditional_information_kl(risk=0.3, information=0.0, n=5).value == pytest.approx(0.3, rel=1e-15, abs=0)


@given(numbers, st.floats(0, 1), st.integers(1, 1000))
def test_the_kl_form_is_below_the_square_root(information, risk, n):
    sharp = conditional_information_kl(risk=risk, information=information, n=n).raw
    assert sharp <= risk + conditional_information(information=information, n=n).raw * (1 + 1e-14) + 1e-15


def test_individual_is_below_the_sample_bound_when_informations_add():
    each = [0.1, 0.4, 0.0, 0.2]
    assert (
        individual_information(informations=each, sigma=0.5).value
        <= mutual_information(information=0.7, n=4, sigma=0.5).value
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: mutual_information(information=-1, n=3, sigma=1),
        lambda: mutual_information(information=math.inf, n=3, sigma=1),
        lambda: mutual_information(information=1, n=0, sigma=1),
        lambda: mutual_information(information=1, n=3, sigma=math.nan),
        lambda: individual_information(informations=[], sigma=1),
        lambda: individual_information(informations=[[1.0]], sigma=1),
        lambda: conditional_information(information=1, n=3, form="cubic"),
        lambda: conditional_information_kl(risk=1.1, information=1, n=3),
        lambda: conditional_information_kl(risk=[0.1], information=1, n=3),
        lambda: LearningWorld(np.array([0.5, 0.4]), np.eye(2), 1, 1.0),
    ],
)
def test_refused(call):
    with pytest.raises(InvalidInput):
        call()
