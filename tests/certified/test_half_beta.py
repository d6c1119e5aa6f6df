"""I_{1/2}(a, b): exact rational values, the bound on what the series leaves out, underflow, and its error bound against a running one."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from running_error import RunningNumpy, row

from nonvacuous.numerics.certified import half_beta
from nonvacuous.numerics.certified.half_beta import half_beta_lower, half_beta_upper
from nonvacuous.theory.errors import InvalidInput

U = 2.0**-53
SIZES = [1e-100, 1e-9, 0.03, 0.5, 1.0, 3.7, 15.99, 16.0, 40.0, 1e3, 1e8]
PAIRS = [(p, q) for p in SIZES for q in SIZES if q <= p]


def exactly(a: int, b: int) -> Fraction:
    """P(Beta(a, b) < 1/2) = P(Binomial(a + b - 1, 1/2) >= a)."""
    n = a + b - 1
    return Fraction(sum(math.comb(n, k) for k in range(a, n + 1)), 2**n)


def remainder_budget(z: float) -> float:
    """The error of Stirling's remainder as the module derives it, in half-ulps of 1."""
    return 450 + 9 * abs(math.log(z)) + 64 * z if z < 16 else 4.0


def budget(p: float, q: float) -> float:
    """The error of ln g as the module derives it, in half-ulps of 1: 12 of the sizes of its parts, and three remainders."""
    with mp.workdps(40):
        s, root = mp.mpf(p) + q, abs(mp.log(mp.mpf(p) * q / (2 * mp.pi * (mp.mpf(p) + q)))) / 2
        w = p * mp.log(2 * p / s) - q * mp.log(2 * q / s)
        return float(12 * (w + root + abs(mp.log(q)) + 4)) + sum(remainder_budget(z) for z in (p + q, p, q))


def test_whole_numbers():
    for a in (1, 2, 3, 7, 20, 33):
        for b in (1, 2, 5, 18, 40, 300):
            exact = exactly(a, b)
            low, high = Fraction(float(half_beta_lower(a, b))), Fraction(float(half_beta_upper(a, b)))
            assert low <= exact <= high
            # twice the derived error on either side, 6 half-ulps for each of at most 60 + 13 sqrt(p) terms
            e = 2 * U * (budget(max(a, b), min(a, b)) + 6 * (60 + 13 * math.sqrt(max(a, b))) + 8)
            assert high - low <= (2 * e + 8 * U) * min(exact, 1 - exact) + (8 * U if a < b else 0)


@pytest.mark.parametrize("a", [1e-100, 1e-3, 0.7, 5.0, 1e4])
def test_equal_parameters_never_exceed_a_half(a):
    assert half_beta_lower(a, a) < half_beta_upper(a, a) == 0.5


def test_a_certain_vote_is_one_and_not_more():
    assert half_beta_upper(1e-3, 1e6) == half_beta_upper(2.0, 1e8) == half_beta_upper(0.0, 1.0) == 1.0
    assert 1 - 1e-9 < half_beta_lower(2.0, 60.0) < 1.0


def test_range_of_the_parameters():
    assert half_beta_lower(1e8, 1.0) == 0
    assert half_beta_upper(1e8, 1.0) == 2.0**-1060  # stands for all that underflows
    assert half_beta_upper(1e-100, 1e-100) == 0.5
    for bad in (math.nextafter(1e8, 2e8), math.nextafter(1e-100, 0.0)):
        for pair in ((bad, 1.0), (1.0, bad)):
            with pytest.raises(InvalidInput):
                half_beta_upper(*pair)


@pytest.mark.parametrize("p", np.arange(1060.0, 1077.0, 0.25))
def test_underflow_is_covered(p):
    """I(p, 1) = 2^-p, below the smallest double from 1074 on."""
    with mp.workdps(30):
        assert mp.mpf(float(half_beta_lower(p, 1.0))) <= mp.mpf(2) ** -p <= mp.mpf(float(half_beta_upper(p, 1.0)))


@pytest.mark.parametrize("z", [1e-100, 1e-7, 0.2, 1.0, 9.3, 15.5, math.nextafter(16, 0), 16.0, 16.5, 31.0, 900.0, 2e8])
def test_stirlings_remainder(z, monkeypatch):
    numbers = [Fraction(*map(int, mp.bernfrac(2 * k))) / (2 * k * (2 * k - 1)) for k in range(1, 6)]
    assert tuple(map(float, numbers)) == half_beta._STIRLING
    with mp.workdps(40):
        exact = mp.loggamma(z) - ((z - mp.mpf("0.5")) * mp.log(z) - z + mp.log(2 * mp.pi) / 2)
        value, error = (float(x[0]) for x in half_beta._remainder(np.array([z])))
        assert abs(value - exact) <= error
    assert error == pytest.approx(remainder_budget(z) * U, rel=1e-12, abs=0)
    monkeypatch.setattr(half_beta, "np", RunningNumpy())
    assert error >= half_beta._remainder(row(z))[0][0].error * U


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_error_of_the_prefactor(p, q, monkeypatch):
    """At the derived size, above a running error analysis of the same operations, and above the true error."""
    value, error = (float(x[0]) for x in half_beta._log_prefactor(np.array([p]), np.array([q])))
    assert error == pytest.approx(budget(p, q) * U, rel=1e-9, abs=0)
    with mp.workdps(40):
        a, b = mp.mpf(p), mp.mpf(q)
        exact = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b) - (a + b) * mp.log(2)
        assert abs(value - exact) <= error
    monkeypatch.setattr(half_beta, "np", RunningNumpy())
    assert error >= half_beta._log_prefactor(row(p), row(q))[0][0].error * U


def test_error_of_the_sum():
    """I(p, 1) = 2^-p: the terms are 2^-i, the sum ends after 55 of them, and each costs 6 half-ulps, doubled like all others."""
    p = 3.0
    e = 2 * (budget(p, 1.0) + 6 * 55 + 8)
    width = (float(half_beta_upper(p, 1.0)) - float(half_beta_lower(p, 1.0))) * 2**p / U
    assert abs(width - 2 * e) <= 6  # roundings of both ends and of what the sum leaves out


@pytest.mark.parametrize("q", [0.01, 0.3, 1.0, 2.5, 60.0, 700.0])
@pytest.mark.parametrize("beyond", [0.0, 0.2, 7.0])
def test_what_the_series_leaves_out_is_bounded(monkeypatch, q, beyond):
    """Cut after one term, the upper end is (g/p) (1 + t + 2 t r/(1-r)) of the docstring and still above the exact value."""
    p = q + beyond
    monkeypatch.setattr(half_beta, "_NEGLIGIBLE", math.inf)
    low, high = float(half_beta_lower(p, q)), float(half_beta_upper(p, q))
    with mp.workdps(30):
        a, b = mp.mpf(p), mp.mpf(q)
        exact = mp.betainc(a, b, 0, mp.mpf(1) / 2, regularized=True)
        scale = mp.gamma(a + b) / (mp.gamma(a) * mp.gamma(b)) / mp.mpf(2) ** (a + b) / a
        term, rate = (a + b) / (2 * (a + 1)), max((a + b + 1) / (2 * (a + 2)), mp.mpf(1) / 2)
        ends = [scale * (1 + term), min(scale * (1 + term + 2 * term * rate / (1 - rate)), mp.mpf(1) / 2)]
        error = 2 * U * (budget(p, q) + 20)
        assert low <= exact <= high
        assert abs(low / ends[0] - 1) <= 2 * error
        assert abs(high / ends[1] - 1) <= 2 * error


def test_a_coarse_sum_stops_where_it_may(monkeypatch):
    """I(p, 1), terms 2^-i: what is left after two is 1/4, at most a seventh of 7/4; twice that is added to the upper end."""
    monkeypatch.setattr(half_beta, "_NEGLIGIBLE", 1 / 6)
    with mp.workdps(30):
        assert float(half_beta_lower(4.0, 1.0)) == pytest.approx(7 / 8 / 16, rel=1e-11, abs=0)
        assert float(half_beta_upper(4.0, 1.0)) == pytest.approx(9 / 8 / 16, rel=1e-11, abs=0)
