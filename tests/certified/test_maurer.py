"""Maurer's constant against exact rational numbers and ball arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from nonvacuous.numerics.certified import log_maurer_xi, log_maurer_xi_upper, maurer_xi, maurer_xi_upper
from nonvacuous.numerics.certified.maurer import LOG_XI_ULPS, XI_ULPS
from nonvacuous.theory.balls import maurer_xi_ball, xi_exact
from nonvacuous.theory.errors import InvalidInput

ULP = 2.0**-52
SIZES = sorted(
    {*range(1, 260), 745, 1000, 10_000, 123_456, 10**6, 10**9, 10**12, 10**15, 10**18}
    | {int(10**e) for e in np.random.default_rng(30).uniform(2, 15, 100)}
)


@pytest.mark.parametrize(
    ("n", "value"),
    [(1, 2), (2, 2.5), (3, 26 / 9), (4, 3.21875), (6, 1223 / 324), (8, 4.24501800537109375), (10, 4.66021568)],
)
def test_table(n: int, value: float) -> None:
    assert maurer_xi(n) == value


def test_small_n_are_correctly_rounded() -> None:
    n = np.arange(1, 201)
    assert maurer_xi(n).tolist() == [float(xi_exact(int(k))) for k in n]


def test_within_the_derived_rounding_and_rounded_upwards() -> None:
    values, upper = maurer_xi(SIZES), maurer_xi_upper(SIZES)
    logs, logs_upper = log_maurer_xi(SIZES), log_maurer_xi_upper(SIZES)
    for i, n in enumerate(SIZES):
        exact = maurer_xi_ball(n)
        with ctx.workprec(240):
            log_exact = exact.log()
            assert abs(arb(float(values[i])) - exact) <= exact * (XI_ULPS * ULP)
            assert abs(arb(float(logs[i])) - log_exact) <= log_exact * (LOG_XI_ULPS * ULP)
            assert exact < arb(float(upper[i])) < exact * (1 + 10 * ULP)
            assert log_exact < arb(float(logs_upper[i])) < log_exact * (1 + 8 * ULP)


def test_the_upper_versions_cover_the_whole_derived_error() -> None:
    """8 * 2^-53 of xi and 3 ulp of its logarithm: whatever part of that occurs, the upper ones are above the exact value."""
    values, upper = maurer_xi(SIZES), maurer_xi_upper(SIZES)
    logs, logs_upper = log_maurer_xi(SIZES), log_maurer_xi_upper(SIZES)
    for i in range(len(SIZES)):
        assert Fraction(float(upper[i])) * (1 - Fraction(4, 2**52)) >= Fraction(float(values[i]))
        assert Fraction(float(logs_upper[i])) * (1 - Fraction(3, 2**52)) >= Fraction(float(logs[i]))


def test_between_root_n_and_twice_root_n_and_gain() -> None:
    """sqrt n <= xi(n) <= 2 sqrt n with equality on the right at n = 1; the gain over 2 sqrt n tends to ln(2/sqrt(pi/2))."""
    n = np.array(SIZES, dtype=float)
    xi = maurer_xi(n)
    assert np.all(np.sqrt(n) < xi)
    assert xi[0] == 2
    assert np.all(xi <= 2 * np.sqrt(n) * (1 + XI_ULPS * ULP))
    assert np.all(np.diff(xi) > 0)
    # ln(2 sqrt n) - ln xi(n) = limit - (2/3)/sqrt(pi n/2) + O(1/n)
    gain = math.log(2e6) - float(log_maurer_xi(10**12))
    limit = math.log(2 / math.sqrt(math.pi / 2))
    assert gain == pytest.approx(limit - (2 / 3) / math.sqrt(math.pi / 2 * 1e12), abs=1e-12)


def test_moment_is_xi_for_every_bernoulli_parameter() -> None:
    """E exp(n kl(mean || p)) = xi(n) exactly, whatever p in (0,1): the powers of p cancel term by term."""
    n = 12
    for p in (Fraction(1, 7), Fraction(1, 2), Fraction(99, 100)):
        moment = Fraction(0)
        for k in range(n + 1):
            probability = math.comb(n, k) * p**k * (1 - p) ** (n - k)
            likelihood_ratio = (Fraction(k, n) / p) ** k * (Fraction(n - k, n) / (1 - p)) ** (n - k)
            moment += probability * likelihood_ratio
        assert moment == xi_exact(n)
        assert float(moment) == maurer_xi(n)


def test_d26_sum_of_log_gammas_loses_what_ours_keeps() -> None:
    """The usual O(n) sum: at n = 20000 it is off by far more than the derived width, and at 1e12 it cannot be run."""
    n = 20_000
    k = np.arange(1, n)
    log_gamma = np.array([math.lgamma(j) for j in range(1, n + 2)])
    terms = log_gamma[n] - log_gamma[k] - log_gamma[n - k] + k * np.log(k / n) + (n - k) * np.log1p(-k / n)
    summed = 2 + float(np.exp(terms).sum())
    exact = float(maurer_xi_ball(n).mid())
    assert abs(summed / exact - 1) > 20 * XI_ULPS * ULP
    assert abs(float(maurer_xi(n)) / exact - 1) <= (XI_ULPS + 1) * ULP


def test_shapes() -> None:
    assert isinstance(maurer_xi(5), np.float64)
    assert maurer_xi(np.array([[5, 500], [1, 2]])).shape == (2, 2)
    assert maurer_xi(np.array([])).shape == (0,)
    assert math.isfinite(maurer_xi(1e300))


@pytest.mark.parametrize("n", [0, -3, 2.5, math.nan, math.inf, "many", [10, 0]])
def test_bad_input(n: object) -> None:
    for function in (maurer_xi, maurer_xi_upper, log_maurer_xi, log_maurer_xi_upper):
        with pytest.raises(InvalidInput):
            function(n)


def test_coefficients_of_the_series():
    """Each coefficient, to the last digit: at n = 10^9 and 150 digits what the series leaves is of the next order, 1e-3/n."""
    import mpmath

    from nonvacuous.numerics.certified.maurer import STIRLING, THETA

    with mpmath.workdps(150):
        n = mpmath.mpf(10) ** 9
        exact = mpmath.loggamma(n + 1) + n - n * mpmath.log(n) - mpmath.log(2 * mpmath.pi * n) / 2
        for k, coefficient in enumerate(STIRLING):
            share = exact * n ** (2 * k + 1)
            assert abs(share * coefficient.denominator - coefficient.numerator) < 1e-6
            exact -= mpmath.mpf(coefficient.numerator) / coefficient.denominator / n ** (2 * k + 1)
        ball = maurer_xi_ball(10**9, 130)
        xi = mpmath.mpf(ball.mid().str(130, radius=False))
        root = mpmath.exp(mpmath.loggamma(n + 1) + n - n * mpmath.log(n)) / 2
        theta = 1 + root - xi
        for k, coefficient in enumerate(THETA):
            share = theta * n**k
            assert abs(share * coefficient.denominator - coefficient.numerator) < 1e-4
            theta -= mpmath.mpf(coefficient.numerator) / coefficient.denominator / n**k
