"""kt(n): exact values, rounding, and its place between xi(n) and 2 sqrt(n)."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified import kt_constant, log_kt, log_kt_upper, maurer_xi
from nonvacuous.theory.balls.krichevsky_trofimov import kt_ball, kt_exact, kt_mixture, log_kt_ball

ULP = 2.0**-52


def test_values_of_the_document():
    assert float(kt_constant(1)) == 2.0
    assert float(kt_constant(10)) == pytest.approx(5.675, abs=5e-4)
    assert float(kt_constant(12)) == pytest.approx(6.20423377941213, abs=1e-14)
    assert float(maurer_xi(10)) == pytest.approx(4.660, abs=5e-4)
    gap = float(log_kt(10**12)) - math.log(float(maurer_xi(10**12)))
    assert gap == pytest.approx(math.log(2) / 2, abs=1e-6)


@given(st.integers(1, 10**15))
def test_within_the_derived_width_and_rounded_up(n):
    exact, value = kt_ball(n, 40), float(kt_constant(n))
    assert abs((exact - value) / exact) < 3 * ULP
    logarithm = log_kt_ball(n, 40)
    assert abs((logarithm - float(log_kt(n))) / logarithm) < 2 * ULP
    assert logarithm <= float(log_kt_upper(n))


@pytest.mark.parametrize("n", [1, 2, 7, 200, 201, 12_345, 10**6, 10**9, 10**15, 2**53])
def test_the_upper_logarithm_covers_the_whole_derived_error(n):
    """kt is within 6 * 2^-53 of its value and its logarithm within 4 * 2^-53: whatever part of that occurs, the upper one is above."""
    value, upper = Fraction(float(log_kt(n))), Fraction(float(log_kt_upper(n)))
    assert upper * (1 - Fraction(2, 2**52)) >= value
    assert log_kt_ball(n, 40) <= float(upper)
    assert float(upper) <= log_kt_ball(n, 40) * (1 + 6 * ULP)


def test_coefficients_of_the_series():
    """ln kt - ln(pi n)/2 in odd powers of 1/n: at n = 10^6 what each coefficient leaves is of the order of the next."""
    coefficients = (Fraction(1, 8), Fraction(-1, 192), Fraction(1, 640))
    with mpmath.workdps(120):
        n = mpmath.mpf(10) ** 6
        rest = mpmath.log(mpmath.pi) / 2 + mpmath.loggamma(n + 1) - mpmath.loggamma(n + mpmath.mpf(1) / 2)
        rest -= mpmath.log(mpmath.pi * n) / 2
        for k, c in enumerate(coefficients):
            assert abs(rest * n ** (2 * k + 1) * c.denominator - c.numerator) < 1e-6
            rest -= mpmath.mpf(c.numerator) / c.denominator / n ** (2 * k + 1)
    # and these are the shipped ones: just above n = 200 the last still moves the value by 5e-15
    for n in (201, 202, 250, 400):
        assert abs((kt_ball(n, 40) - float(kt_constant(n))) / kt_ball(n, 40)) < 3 * ULP


@pytest.mark.parametrize("n", [1, 2, 3, 60, 199, 200, 201])
def test_the_product_is_the_closed_form(n):
    assert kt_ball(n).contains(kt_ball(n).mid())
    assert abs(float(kt_exact(n)) - float(kt_constant(n))) <= 3 * ULP * float(kt_exact(n))
    assert kt_exact(n) == Fraction(4**n, math.comb(2 * n, n))
    assert kt_exact(n) * kt_mixture(n, 0) == 1


@pytest.mark.parametrize("n", sorted({int(10**e) for e in np.linspace(0, 6, 40)} | {10**12}))
def test_e5_order_of_the_constants(n):
    """E5: sqrt n <= xi <= kt <= 2 sqrt n, xi = kt = 2 sqrt n at n = 1, within 4 ulp."""
    xi, kt, root = float(maurer_xi(n)), float(kt_constant(n)), math.sqrt(n)
    slack = 1 + 4 * ULP
    assert root <= xi * slack
    assert xi <= kt * slack
    assert kt <= 2 * root * slack
    if n == 1:
        assert xi == kt == 2 * root == 2.0


def test_lgamma_difference_would_be_wrong():
    """The difference of log-gammas loses four digits at n = 1e12; the series does not."""
    n = 10**12
    naive = 0.5 * math.log(math.pi) + math.lgamma(n + 1) - math.lgamma(n + 0.5)
    exact = log_kt_ball(n, 40)
    assert abs((exact - naive) / exact) > 1e-6
    assert abs((exact - float(log_kt(n))) / exact) < 2 * ULP


def test_arrays_and_errors():
    sizes = np.array([[1, 10], [201, 10**9]])
    assert kt_constant(sizes).shape == (2, 2)
    assert float(kt_constant(sizes)[1, 1]) == float(kt_constant(10**9))
    for bad in (0, -1, 1.5, math.nan, math.inf, "many"):
        with pytest.raises(InvalidInput):
            kt_constant(bad)
