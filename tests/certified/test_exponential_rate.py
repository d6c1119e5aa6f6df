"""Large deviations of the exponential law: float64 against balls, against the definition, and against the DRO dual."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import lambertw

from nonvacuous.numerics.certified import cgf_exponential, inverse_rate_exponential, rate_exponential
from nonvacuous.theory.balls import cgf_exponential_ball, inverse_rate_exponential_ball, rate_exponential_ball
from nonvacuous.theory.errors import InvalidInput

ULP = 2.0**-52
MEAN = 3.0


def assert_within(value: float, exact: arb, ulps: float) -> None:
    assert abs(arb(float(value)) - exact) <= exact * (ulps * ULP)


def test_cgf_within_six_ulps() -> None:
    lam = 10 ** np.random.default_rng(40).uniform(-140, 100, 800)
    lam = np.concatenate([lam, np.random.default_rng(41).uniform(0.1, 2, 400)])
    for point, value in zip(lam, cgf_exponential(lam, MEAN), strict=True):
        assert_within(value, cgf_exponential_ball(float(point), MEAN), 6)


def test_rate_within_six_ulps() -> None:
    rng = np.random.default_rng(42)
    a = np.concatenate([10 ** rng.uniform(-140, 0, 500), rng.uniform(0, 3, 500), 3 - 10 ** rng.uniform(-15, 0, 300)])
    for point, value in zip(a, rate_exponential(a, MEAN), strict=True):
        assert_within(value, rate_exponential_ball(float(point), MEAN), 6)


def test_inverse_rate_within_three_ulps() -> None:
    rng = np.random.default_rng(43)
    s = np.concatenate([10 ** rng.uniform(-300, 2.8, 700), rng.uniform(0, 40, 500)])
    for point, value in zip(s, inverse_rate_exponential(s, MEAN), strict=True):
        assert_within(value, inverse_rate_exponential_ball(float(point), MEAN), 3)


def test_float64_lambert_w_would_not_do() -> None:
    """Control: the textbook closed form in float64 fails the tolerance above by seven orders of magnitude at s = 1e-8."""
    exact = float(inverse_rate_exponential_ball(1e-8).mid())
    naive = 1 + lambertw(-math.exp(-1 - 1e-8)).real
    assert abs(naive / exact - 1) > 1e-10
    assert abs(inverse_rate_exponential(1e-8) / exact - 1) <= 4 * ULP


@given(s=st.floats(-12, 1.4).map(lambda e: 10.0**e), b=st.floats(0.01, 100))
def test_dro_dual(s: float, b: float) -> None:
    """I^-1(s) = b - min{E loss : KL <= s}: the worst law is exponential with mean m, at divergence ln(b/m) + m/b - 1 from it.

    The root is found in t = m/b to 4 eps; the divergence t - 1 - ln t, written with log1p, carries rounding 3 eps (1-t),
    its slope (1-t)/t turns that into 3 eps t at most.
    """
    t = brentq(lambda t: (t - 1) - math.log1p(t - 1) - s, 1e-15, 1.0, xtol=1e-18, rtol=4 * ULP, maxiter=500)
    assert inverse_rate_exponential(s, b) == pytest.approx(b * (1 - t), rel=0, abs=16 * ULP * b)


@given(x=st.floats(0.01, 0.99), b=st.floats(0.01, 100), lam=st.floats(0, 1e3))
def test_legendre_transform(x: float, b: float, lam: float) -> None:
    """I(a) >= lam a - J(lam) for every lam, with equality at lam = a/(b(b-a))."""
    a = x * b
    rate, best = float(rate_exponential(a, b)), a / (b * (b - a))
    scale = best * a + float(cgf_exponential(best, b))
    assert rate == pytest.approx(best * a - float(cgf_exponential(best, b)), abs=16 * ULP * scale)
    assert lam * a - float(cgf_exponential(lam, b)) <= rate + 16 * ULP * (lam * a + rate)


@given(x=st.floats(1e-6, 0.999), b=st.floats(0.01, 100))
def test_inverse_of_the_rate(x: float, b: float) -> None:
    """I^-1(I(a)) = a: 6 ulp of I move a by at most half as much relatively (I is at least quadratic), 3 ulp of I^-1 itself."""
    a = x * b
    assert inverse_rate_exponential(rate_exponential(a, b), b) == pytest.approx(a, rel=8 * ULP, abs=0)


@given(s=st.floats(0, 100), t=st.floats(0, 100))
def test_inverse_rate_is_concave_and_increasing(s: float, t: float) -> None:
    middle = float(inverse_rate_exponential((s + t) / 2))
    ends = inverse_rate_exponential([min(s, t), max(s, t)])
    assert ends.mean() <= middle * (1 + 8 * ULP)
    assert ends[0] <= ends[1] * (1 + 8 * ULP)
    assert 0 <= ends[0] <= 1


def test_edges() -> None:
    np.testing.assert_array_equal(rate_exponential([-1.0, 0.0, 3.0, 4.0], 3.0), [0, 0, np.inf, np.inf])
    np.testing.assert_array_equal(cgf_exponential([0.0, np.inf], 3.0), [0, np.inf])
    np.testing.assert_array_equal(inverse_rate_exponential([0.0, np.inf], 3.0), [0, 3])
    assert inverse_rate_exponential(np.zeros((2, 1)), np.ones(3)).shape == (2, 3)
    assert isinstance(inverse_rate_exponential(0.1), np.float64)
    assert inverse_rate_exponential(1e-320) == pytest.approx(math.sqrt(2) * math.sqrt(1e-320), rel=8 * ULP, abs=0)


@pytest.mark.parametrize("function", [cgf_exponential, rate_exponential, inverse_rate_exponential])
def test_bad_input(function: object) -> None:
    for argument, mean in ((math.nan, 1.0), (0.1, 0.0), (0.1, -1.0), (0.1, math.inf), ([1.0, 2.0], [1.0, 2.0, 3.0])):
        with pytest.raises(InvalidInput):
            function(argument, mean)  # type: ignore[operator]
    for negative in (cgf_exponential, inverse_rate_exponential):
        with pytest.raises(InvalidInput):
            negative(-1.0)
    with pytest.raises(InvalidInput):
        rate_exponential(math.inf)


def test_the_mean_is_one_by_default() -> None:
    assert cgf_exponential(2.0) == cgf_exponential(2.0, 1.0)
    assert rate_exponential(0.3) == rate_exponential(0.3, 1.0)
    assert inverse_rate_exponential(0.3) == inverse_rate_exponential(0.3, 1.0)


def test_rate_beyond_a_small_mean() -> None:
    assert list(rate_exponential([-0.1, 0.0, 0.5, 0.7], 0.5)) == [0.0, 0.0, np.inf, np.inf]


def test_one_mean_that_is_not_positive_is_enough() -> None:
    for mean in ([1.0, -1.0], [0.0, 2.0]):
        with pytest.raises(InvalidInput):
            cgf_exponential(1.0, mean)
