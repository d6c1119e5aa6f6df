"""Outward arithmetic: never on the unsafe side of the exact result, never more than a few floats away, exact where it can be."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.certified import outward

numbers = st.floats(-1e300, 1e300)
moderate = st.floats(-700, 700)
positive = st.floats(1e-300, 1e300)


def near(low, exact, high, steps):
    """low <= exact <= high with at most `steps` floats between the ends."""
    assert Fraction(low) <= exact <= Fraction(high)
    for _ in range(steps):
        low = math.nextafter(low, math.inf)
    assert low >= high


@given(a=numbers, b=numbers, c=numbers)
def test_sums_products_and_quotients_enclose_exactly(a, b, c):
    near(outward.add_down(a, b, c), Fraction(a) + Fraction(b) + Fraction(c), outward.add_up(a, b, c), 1)
    near(outward.sub_down(a, b), Fraction(a) - Fraction(b), outward.sub_up(a, b), 1)
    if abs(Fraction(a) * Fraction(b)) < Fraction(10) ** 308:
        near(outward.mul_down(a, b), Fraction(a) * Fraction(b), outward.mul_up(a, b), 1)
    if b and abs(Fraction(a) / Fraction(b)) < Fraction(10) ** 308:
        near(outward.div_down(a, b), Fraction(a) / Fraction(b), outward.div_up(a, b), 1)


def apart(low, high):
    """How many floats `high` lies above `low`, up to 9."""
    for steps in range(10):
        if low >= high:
            return steps
        low = math.nextafter(low, math.inf)
    return 10


def test_exact_results_stay_exact():
    assert outward.add_up(0.25, 0.5) == outward.add_down(0.25, 0.5) == 0.75
    assert outward.mul_up(3.0, 0.25) == 0.75
    assert outward.div_up(3.0, 4.0) == outward.div_down(3.0, 4.0) == 0.75
    assert outward.sqrt_up(2.25) == outward.sqrt_down(2.25) == 1.5
    for up, down, argument, value in (
        (outward.log_up, outward.log_down, 1.0, 0.0),
        (outward.exp_up, outward.exp_down, 0.0, 1.0),
        (outward.expm1_up, outward.expm1_down, 0.0, 0.0),
        (outward.log1p_up, outward.log1p_down, 0.0, 0.0),
    ):
        assert up(argument) == down(argument) == value


def test_infinities_and_zeros_are_exact():
    """An infinity may be an overflow: beside a zero the product is 0, elsewhere it stays infinite, and nothing becomes NaN."""
    for product in (outward.mul_up, outward.mul_down):
        assert product(0.0, math.inf) == product(-math.inf, 0.0) == 0.0
        assert product(math.inf, 2.0) == product(-2.0, -math.inf) == math.inf
        assert product(-2.0, math.inf) == -math.inf
    for quotient in (outward.div_up, outward.div_down):
        assert quotient(math.inf, 2.0) == math.inf
        assert quotient(2.0, math.inf) == 0.0
        assert quotient(-math.inf, 2.0) == -math.inf
    for total in (outward.add_up, outward.add_down):
        assert total(-math.inf, 1e308) == -math.inf


@pytest.mark.parametrize(("a", "b"), [(1e308, 10.0), (1e308, 1e308)])
def test_overflow_is_infinite_on_the_safe_side_only(a, b):
    assert outward.mul_up(a, b) == math.inf
    assert outward.mul_down(a, b) == 1.7976931348623157e308
    assert outward.div_up(a, 1 / b) == math.inf
    assert outward.div_down(a, 1 / b) < math.inf
    assert outward.mul_down(-a, b) == -math.inf
    assert outward.add_up(math.inf, 1.0) == math.inf


@given(a=positive)
def test_roots_and_logarithms(a):
    low, high = outward.sqrt_down(a), outward.sqrt_up(a)
    assert Fraction(low) ** 2 <= Fraction(a) <= Fraction(high) ** 2
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.mpf(a))
        assert outward.log_down(a) <= exact <= outward.log_up(a)
    # two steps to either side of the library's value, which is at most one step off
    assert apart(low, high) <= 1
    assert apart(outward.log_down(a), outward.log_up(a)) <= 4


@given(a=st.floats(-1 + 2.0**-53, 1e300))
def test_logarithms_of_one_plus_something(a):
    with mpmath.workdps(400):
        exact = mpmath.log1p(mpmath.mpf(a))
        assert outward.log1p_down(a) <= exact <= outward.log1p_up(a)
    assert apart(outward.log1p_down(a), outward.log1p_up(a)) <= 4


@given(a=moderate)
def test_exponentials(a):
    with mpmath.workdps(400):  # e^a - 1 near a = 0
        x = mpmath.mpf(a)
        assert outward.exp_down(a) <= mpmath.exp(x) <= outward.exp_up(a)
        assert outward.expm1_down(a) <= mpmath.expm1(x) <= outward.expm1_up(a)
    assert apart(outward.exp_down(a), outward.exp_up(a)) <= 4
    assert apart(outward.expm1_down(a), outward.expm1_up(a)) <= 4


@pytest.mark.parametrize("a", [0.5, 1.0, 2.0, 700.0, 709.0, 709.5, 709.6, -1.0, -30.0])
def test_exponentials_and_logarithms_at_the_constants_of_their_branches(a):
    test_exponentials.hypothesis.inner_test(a)
    if a > 0:
        test_roots_and_logarithms.hypothesis.inner_test(a)


@pytest.mark.parametrize("a", [709.7, 709.79, 710.0, 750.0, 1e300, math.inf])
def test_exponentials_beyond_float64(a):
    """Infinite from above; from below e^709.7, the last value for which the library is called, within two steps."""
    assert outward.exp_up(a) == outward.expm1_up(a) == math.inf
    last = math.exp(709.7)
    for low in (outward.exp_down(a), outward.expm1_down(a)):
        assert low < last
        assert apart(low, last) == 2


@given(a=st.floats(-1e300, -700))
def test_underflow_keeps_its_side(a):
    assert outward.exp_up(a) > 0
    assert outward.exp_down(a) >= 0
    assert outward.expm1_down(a) == -1.0
    assert outward.expm1_up(a) > -1.0


def test_sums_beyond_float64_are_infinite_or_the_largest_float():
    largest = 1.7976931348623157e308
    assert outward.add_up(1.7e308, 1.7e308) == math.inf
    assert outward.add_down(1.7e308, 1.7e308) == largest
    assert outward.add_up(-1.7e308, -1.7e308) == -largest
    assert outward.add_up(1.7e308, 1.7e308, -1.7e308) == 1.7e308, "only the intermediate sum overflows"
