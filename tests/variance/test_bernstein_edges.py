"""Empirical Bernstein where its grids are short, its two forms meet and its variance is the largest possible."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.empirical_bernstein import (
    deviation_up,
    empirical_bernstein,
    grid_sizes,
    posterior_moments,
)


@pytest.mark.parametrize("n", [2, 3, 7, 50, 4000])
@pytest.mark.parametrize("level", [0.05, 0.7, 3.0, 40.0])
@pytest.mark.parametrize("ratio", [1.001, 1.15, 2.0, 30.0])
def test_grid_sizes_are_those_of_the_theorem(n, level, ratio):
    """A ratio near 1 makes grids of thousands of points, in which a constant that is off by a percent shows."""
    second = 1.7 * level
    with mpmath.workdps(40):
        c, e = mpmath.mpf(ratio), mpmath.e
        one = mpmath.log(mpmath.sqrt(mpmath.mpf(n - 1) / level + 1) / 2 + mpmath.mpf(1) / 2) / mpmath.log(c)
        two = mpmath.log(mpmath.sqrt((e - 2) * n / (4 * mpmath.mpf(second)))) / mpmath.log(c)
        exact = max(1, int(mpmath.ceil(one))), max(1, int(mpmath.ceil(two)) + 1)
    assert grid_sizes(n, level, second, ratio, ratio) == exact


@pytest.mark.parametrize("bar", [0.25, 0.1, 0.02])
@pytest.mark.parametrize("shift", [-0.01, 0.01])
@pytest.mark.parametrize("grid", [1, 24, 5000])
def test_the_two_forms_meet_where_the_complexity_is_n_times_e_minus_2_times_the_variance(bar, shift, grid):
    n, level, ratio = 1000, 3.0, 1.15
    kl = (math.e - 2) * bar * n * (1 + shift) - level - math.log(grid)
    a = kl + level + math.log(grid)
    root, linear = (1 + ratio) * math.sqrt((math.e - 2) * bar * a / n), 2 * a / n
    found = deviation_up(bar, kl, n, level, grid, ratio)
    assert found == pytest.approx(root if shift < 0 else linear, rel=1e-13, abs=0)


def test_the_largest_variance_and_two_examples_are_enough():
    risk, variance, square = posterior_moments([[0.0, 1.0]], [1.0])
    assert variance == 0.5
    assert 0.5 <= risk <= 0.5 * (1 + 4 * 2.0**-52)
    assert 0.5 <= square <= 0.5 * (1 + 4 * 2.0**-52)
    options = {"risk": 0.5, "kl": 1.0, "n": 2, "delta": 0.05}
    assert empirical_bernstein(variance=0.5, **options).value == 1.0
    assert (
        empirical_bernstein(variance=0.5 * (1 + 2.0**-51), **options).value == 1.0
    )  # rounded up by whoever computed it
    for variance in (0.5 * (1 + 2.0**-49), 0.502):
        with pytest.raises(InvalidInput, match="at most 1/2"):
            empirical_bernstein(variance=variance, **options)


def test_the_two_halves_of_delta_are_equal_and_recorded():
    found = empirical_bernstein(risk=0.1, variance=0.02, kl=1.0, n=100, delta=0.05, c1=1.3, c2=1.2)
    assert (found.inputs["c1"], found.inputs["c2"]) == (1.3, 1.2)
    assert found.inputs["variance_log_inv_delta"] == found.inputs["log_inv_delta"] == pytest.approx(math.log(40))
    assert found.check().sound


@pytest.mark.parametrize("seed", range(40))
def test_moments_are_never_below_the_exact_ones(seed):
    """Few examples, so that the roundings of single differences and squares are not averaged away."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        n = int(rng.integers(2, 5))
        losses = rng.random((1, n)) ** rng.integers(1, 4)
        risk, variance, square = posterior_moments(losses, [1.0])
        x = [Fraction(float(v)) for v in losses[0]]
        mean = sum(x) / n
        exact = sum((v - mean) ** 2 for v in x) / (n - 1)
        assert Fraction(risk) >= mean
        assert Fraction(variance) >= exact
        assert Fraction(square) >= sum(v * v for v in x) / n
        assert variance <= float(exact) * (1 + 40 * 2.0**-53)
