"""Means within a KL ball: slack where the ball is a point, the range of the values, weights off by rounding, batches, and h at its seams."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from flint import arb

from nonvacuous.numerics.certified import multinomial_kl
from nonvacuous.numerics.certified.multinomial_kl import multinomial_kl_lower, multinomial_kl_upper, weights_of
from nonvacuous.theory.balls.multinomial_kl import multinomial_kl_upper_ball
from nonvacuous.theory.errors import InvalidInput

ULP = 2.0**-52


@pytest.mark.parametrize("m", [2, 4, 10])
@pytest.mark.parametrize("unit", [1.0, 2.0**-399, 2.0**399])
def test_a_point_costs_twice_the_rounding_of_the_mean(m, unit):
    """c = 0, f = +1, -1, ... with mean 0 and mean size 1: (2m + 1) half-ulps derived, (2m + 2) ulps given, and 2^-600 for subnormal weights."""
    u, f = np.full(m, 1 / m), unit * np.resize([1.0, -1.0], m)
    mean = float((u * f).sum())  # not 0 where 1/m is rounded
    slack = (2 * m + 2) * ULP * unit
    for c in (0.0, [0.0] * 3, [[0.0], [0.0]]):  # alone and in batches
        bounds = multinomial_kl_upper(u, f, c)
        assert np.shape(bounds) == np.shape(c)
        assert bounds == pytest.approx(np.full(np.shape(c), mean + slack), rel=1e-12, abs=0)
    assert multinomial_kl_lower(u, f, 0.0) == pytest.approx(mean - slack, rel=1e-12, abs=0)


def test_a_point_at_zero():
    assert multinomial_kl_upper([1.0, 0.0], [0.0, 1.0], 0.0) == 2.0**-600
    assert multinomial_kl_lower([1.0, 0.0], [0.0, -1.0], 0.0) == -(2.0**-600)


def test_a_weight_below_the_normal_range_is_covered():
    """5e-324 / (1 + 2^-45) rounds up by a whole step of the subnormals: 2^-1074 times a value of 2^400."""
    u, f = np.array([0.5, 0.5 - 2.0**-45, 5e-324]), np.array([0.0, 0.0, -(2.0**400)])
    total = sum(Fraction(x) for x in u.tolist())
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(u.tolist(), f.tolist(), strict=True)) / total
    assert Fraction(float((u / u.sum()) @ f)) > exact  # the float mean is above it: a lower limit needs the last term
    assert Fraction(float(multinomial_kl_lower(u, f, 0.0))) <= exact


@pytest.mark.parametrize("c", [1e-279, 1e-30, 0.01, 0.7, 3.0, 40.0])
def test_an_unseen_atom_takes_the_missing_mass(c):
    """u = (1, 0), f = (0, 1): 1 - exp(-c), with the derived relative error on top: at most (m + 17) ulps, of which (m + 16) are owed."""
    found = float(multinomial_kl_upper([1.0, 0.0], [0.0, 2.0**399], c)) / 2.0**399
    exact = -math.expm1(-c)
    assert found >= exact
    assert (found - 2.0**-999) / exact - 1 <= (19 + 4) * ULP
    assert found == 1.0 or found / exact - 1 >= (18 - 3) * ULP


def test_the_smallest_positive_divergence_is_raised():
    u, f = [0.5, 0.5 - 2.0**-40, 2.0**-40], [0.0, 0.0, 2.0**400]
    assert multinomial_kl_upper([1.0, 0.0], [0.0, 2.0**400], 1e-300) == multinomial_kl_upper(
        [1.0, 0.0], [0.0, 2.0**400], 1e-280
    )
    for c in (5e-324, 1e-300, 1e-281):
        assert multinomial_kl_upper(u, f, c) == multinomial_kl_upper(u, f, 1e-280)


def test_certain_divergences_give_the_top():
    for f in ([0.2, 1.0], [1.0, 1.0]):
        assert multinomial_kl_upper([0.5, 0.5], f, math.inf) == 1.0
    assert list(multinomial_kl_upper([0.5, 0.5], [[1.0, 1.0], [0.0, 1.0]], [0.3, math.inf])) == [1.0, 1.0]


@pytest.mark.parametrize("off", [-(2.0**-45), 2.0**-45])
def test_weights_are_divided_by_their_sum(off):
    """Off by 2^-45 in the sum, the mean of 1 and 3 is 2 all the same."""
    u = np.array([0.5, 0.5]) * (1 + off)
    for c in (0.0, 0.2):
        high, low = float(multinomial_kl_upper(u, [1.0, 3.0], c)), float(multinomial_kl_lower(u, [1.0, 3.0], c))
        plain = float(multinomial_kl_upper([0.5, 0.5], [1.0, 3.0], c))
        assert high == pytest.approx(plain, rel=0, abs=8 * ULP)
        assert low == pytest.approx(4 - plain, rel=0, abs=32 * ULP)  # mirror images; slack 12 ulps of 1 on either side


@pytest.mark.parametrize("bad", [1.0, [], [0.5, 0.5 - 2.0**-43], [0.5, 0.5 + 2.0**-43], [[0.5, 0.5], [0.5, 0.6]], [[0.5, 0.5], [0.4, 0.5]]])  # fmt: skip
def test_refused_weights(bad):
    with pytest.raises(InvalidInput):
        weights_of("u", bad)


def test_accepted_weights():
    for u in ([0.5, 0.5 - 2.0**-44], [0.5, 0.5 + 2.0**-44], np.ones((3, 1)), np.empty((0, 2))):
        assert weights_of("u", u).shape == np.shape(u)


@pytest.mark.parametrize("f", [1.0, [1.0, 2.0, 3.0], [0.0, math.nextafter(2.0**400, math.inf)], [0.0, -(2.0**401)], [0.0, math.nextafter(2.0**-400, 0)], [-(2.0**-401), 0.0], [-(2.0**-401), -1.0], [2.0**-401, 2.0**401], [1.0, 2.0**401]])  # fmt: skip
def test_refused_values(f):
    with pytest.raises(InvalidInput):
        multinomial_kl_upper([0.5, 0.5], f, 0.1)


def test_extreme_values_that_are_accepted():
    for unit in (2.0**400, 2.0**-400):
        for f in ([0.0, unit], [-unit, unit], [-unit, 0.0]):
            assert multinomial_kl_upper([0.5, 0.5], f, 0.1) == unit * multinomial_kl_upper(
                [0.5, 0.5], np.array(f) / unit, 0.1
            )
    assert multinomial_kl_upper([0.5, 0.5], [2.0**-400, 2.0**400], 0.1) < 2.0**400
    assert multinomial_kl_upper([0.5, 0.5], [0.0, 0.0], 0.1) == 0.0


def test_batches_are_their_rows():
    rng = np.random.default_rng(70)
    u, f, c = rng.dirichlet(np.ones(3), (4, 1)), rng.normal(size=(5, 3)), 10 ** rng.uniform(-4, 1, (2, 1, 5))
    found = multinomial_kl_upper(u, f, c)
    assert found.shape == (2, 4, 5)
    for i, j, k in np.ndindex(found.shape):
        assert found[i, j, k] == multinomial_kl_upper(u[j, 0], f[k], c[i, 0, k])
    assert multinomial_kl_upper(np.ones((0, 2)) / 2, [0.0, 1.0], 0.1).shape == (0,)
    for shape in ((3,), (4, 4), (3, 5)):
        with pytest.raises(InvalidInput):
            multinomial_kl_upper(u, f, np.ones(shape))


@pytest.mark.parametrize("seed", range(12))
def test_between_the_exact_value_and_twice_the_derived_error(seed):
    """The sixteen decades of c down to where the rounding of the mean exceeds c; the solver's error of ln a enters squared, below an ulp."""
    rng = np.random.default_rng([71, seed])
    m = int(rng.integers(2, 7))
    u, f = rng.dirichlet(np.full(m, 0.7)), rng.uniform(-1, 1, m)
    if seed % 2:  # the largest value is unseen: it takes mass only from some c on
        u[f.argmax()] = 0.0
        u /= u.sum()
    for c in 10 ** rng.uniform(-18 if seed % 3 else -2, 1, 6):
        exact = multinomial_kl_upper_ball(u.tolist(), f.tolist(), float(c), 30)
        found = float(multinomial_kl_upper(u, f, c))
        assert arb(found) >= exact
        gap = found - float(u @ f)
        assert arb(found) - exact <= (2 * (4 * m + 4) * float(u @ np.abs(f)) + 2 * (m + 17) * gap + 2) * ULP


@pytest.mark.parametrize(
    "x",
    [
        -0.999,
        -0.8,
        -0.67,
        -0.6666,
        -0.3,
        -1e-3,
        -1e-12,
        1e-9,
        0.1,
        0.7,
        1.0,
        1.9,
        1.999,
        2.0,
        2.001,
        2.5,
        2.99,
        3.1,
        40.0,
    ],
)
def test_h_is_within_its_rounding(x):
    """One atom at mean 0 and top 1: r = 1 and h(x) = x - ln(1 + x) at x = -f, within 24 half-ulps (an elasticity of 3.1 for the rounding of x)."""
    one = np.ones((1, 1))
    batch = multinomial_kl._Batch(one, -x * one, one[0], one[0], 0 * one[0], one[0])
    value = float(batch.excess(np.zeros(1))[2][0, 0])
    with mp.workdps(40):
        exact = x - mp.log1p(mp.mpf(x))
        assert abs(value / exact - 1) <= 12 * ULP
