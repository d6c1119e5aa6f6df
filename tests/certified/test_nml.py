"""C(M,n) against its defining sum and ball arithmetic: within the derived rounding, and the upper versions cover all of it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from nonvacuous.numerics.certified.maurer import maurer_xi
from nonvacuous.numerics.certified.nml import log_nml, log_nml_upper, nml, nml_upper
from nonvacuous.theory.balls.nml import nml_ball, nml_exact
from nonvacuous.theory.errors import InvalidInput

ULP = Fraction(1, 2**52)
SIZES = [1, 2, 3, 7, 50, 200, 201, 1000, 12_345, 10**6, 10**15]  # 60 classes and 10^15 examples overflow
CLASSES = [1, 2, 3, 4, 5, 11, 60]


def test_small_values_from_the_defining_sum() -> None:
    for classes in range(1, 8):
        for n in (1, 2, 3, 12, 40):
            exact = nml_exact(classes, n)
            assert abs(Fraction(float(nml(classes, n))) - exact) <= (classes + 2) * ULP * exact


@pytest.mark.parametrize("classes", CLASSES)
def test_within_the_derived_rounding_and_rounded_upwards(classes: int) -> None:
    """(2M + 4) 2^-53 of C: M + 2 ulp, in the logarithm as an absolute error, beside 4 * 2^-53 of its own size."""
    exact = [nml_ball(classes, n) for n in SIZES]
    logs = log_nml(classes, SIZES), log_nml_upper(classes, SIZES)
    plain = nml(classes, SIZES), nml_upper(classes, SIZES)
    for i, ball in enumerate(exact):
        value, upper, log, log_upper = (float(x[i]) for x in (*plain, *logs))
        with ctx.workprec(300):
            own = ball.log() if classes > 1 else arb(0)
            width = float((classes + 2) * ULP) + 2 * float(ULP) * abs(own)
            assert abs(arb(log) - own) <= width
            assert own <= arb(log_upper) <= own + 3 * width
            if ball < 1e308:
                assert abs(arb(value) - ball) <= ball * float((classes + 2) * ULP)
                assert ball <= arb(upper) <= ball * (1 + float((2 * classes + 5) * ULP))
            else:
                assert value == upper == math.inf
        if classes > 1:  # the widening covers every error that the derivation allows, not only those that occur
            if value < math.inf:
                assert Fraction(upper) * (1 - (classes + 2) * ULP) >= Fraction(value)
            assert Fraction(log_upper) >= Fraction(log) * (1 + 2 * ULP) + (classes + 2) * ULP


def test_one_class_is_exact() -> None:
    assert nml(1, 9) == nml_upper(1, 9) == 1
    assert log_nml(1, 9) == log_nml_upper(1, 9) == 0


def test_two_classes_are_the_constant_of_maurer() -> None:
    assert np.array_equal(nml(2, SIZES), maurer_xi(SIZES))


@pytest.mark.parametrize("classes", [1000, 10**5])
def test_two_draws_have_a_closed_form_for_any_number_of_classes(classes: int) -> None:
    """M outcomes twice the same, M(M-1)/2 pairs of weight 2/4: C(M,2) = M (M+3)/4."""
    exact = Fraction(classes * (classes + 3), 4)
    assert abs(Fraction(float(nml(classes, 2))) - exact) <= (classes + 2) * ULP * exact


def test_one_draw_has_as_many_equally_likely_codes_as_classes() -> None:
    """C(M,1) = M, also where only the other elements overflow and are split."""
    found = log_nml(1000, [1, 10**15])
    assert abs(float(found[0]) - math.log(1000)) <= 1002 * 2.0**-52 + 2 * math.ulp(math.log(1000))
    assert found[1] > 1000


@pytest.mark.parametrize("classes", [0, -1, 2.5, math.nan, 10**5 + 1, "many", [2, 3]])
def test_numbers_of_classes_that_make_no_sense(classes: object) -> None:
    for function in (nml, nml_upper, log_nml, log_nml_upper):
        with pytest.raises(InvalidInput) as caught:
            function(classes, 10)
        assert caught.value.advice


@pytest.mark.parametrize("n", [0, 1.5, math.nan, math.inf, "many"])
def test_sizes_that_make_no_sense(n: object) -> None:
    with pytest.raises(InvalidInput):
        nml(3, n)
