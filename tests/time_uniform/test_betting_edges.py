"""Weights that need dividing by their sum, predictors that are always wrong, and tangents where u is near an end."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb

from nonvacuous.numerics.certified.betting import mean_limits, mean_upper
from nonvacuous.theory.balls.betting import mean_upper_ball

LOSSES = np.array([[0.1, 0.8, 0.3, 0.0], [0.6, 0.2, 0.9, 1.0], [0.0, 0.0, 0.4, 0.2]])
COUNTS = np.array([3.0, 1.0, 2.0, 4.0])
SURE = np.array([[0.1, 0.8, 0.3, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.4, 0.2]])


@pytest.mark.parametrize("losses", [LOSSES, SURE, LOSSES[:1], SURE[1:2]])
@pytest.mark.parametrize("scale", [0.25, 2.0, 8.0])
@pytest.mark.parametrize("budget", [0.3, 3.0, 30.0])
def test_weights_are_divided_by_their_sum(losses, scale, budget):
    weights = np.array([0.5, 0.25, 0.25])[: len(losses)]
    plain = mean_upper(losses, COUNTS, weights, budget)
    # powers of two: nothing rounds differently
    assert mean_upper(losses, COUNTS, scale * weights, budget) == plain


@pytest.mark.parametrize("budget", [0.05, 0.7, 5.0, 12.0])
@pytest.mark.parametrize("rho", [(0.5, 0.25, 0.25), (0.125, 0.75, 0.125), (0.0, 0.5, 0.5)])
@pytest.mark.parametrize("losses", [LOSSES, SURE])
def test_the_maximum_with_and_without_a_predictor_that_is_always_wrong(losses, rho, budget):
    exact = mean_upper_ball(
        [[Fraction(x) for x in row] for row in losses.tolist()],
        COUNTS.astype(int).tolist(),
        [Fraction(w) for w in rho],
        arb(budget),
    )
    found = mean_upper(losses, COUNTS, np.array(rho), budget)
    assert arb(found) >= exact
    # the solver stops at nine digits, of which the tangents keep the square; losses and limits are of size 1
    assert found == pytest.approx(float(exact), rel=1e-11, abs=0)


def test_nothing_is_learned_from_an_infinite_budget_or_without_a_second_outcome():
    assert mean_upper(LOSSES, COUNTS, np.array([0.5, 0.25, 0.25]), np.inf) == 1.0
    assert mean_upper(SURE[1:2], COUNTS, np.ones(1), 1.0) == 1.0
    assert mean_limits(LOSSES[0], COUNTS, np.inf) == (0.0, 1.0)
    assert mean_limits(np.zeros(4), COUNTS, 1.0)[0] == 0.0
    assert mean_limits(np.ones(4), COUNTS, 1.0)[1] == 1.0
