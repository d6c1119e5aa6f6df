"""Expected leverage and epistemic uncertainty against 60-digit digammas, against simulation, and at the edges."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.scaling_laws.gaussian_design import (
    digamma_difference,
    expected_epistemic_uncertainty,
    expected_leverage,
)
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput


def exact_uncertainty(p, n):
    with mpmath.workdps(60):
        return (mpmath.digamma(mpmath.mpf(n + 1) / 2) - mpmath.digamma(mpmath.mpf(n - p + 1) / 2)) / 2


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 6), st.floats(0, 15))
def test_uncertainty_is_accurate_to_a_few_units_in_the_last_place(log_p, log_excess):
    p, n = int(10**log_p), int(10**log_p) + int(10**log_excess) - 1
    exact = exact_uncertainty(p, n)
    assert abs(float(expected_epistemic_uncertainty(p, n)) - exact) <= 4 * mpmath.mpf(2) ** -52 * exact


def test_every_small_case():
    for p in range(1, 25):
        n = np.arange(p, p + 40)
        exact = [float(exact_uncertainty(p, int(v))) for v in n]
        np.testing.assert_allclose(expected_epistemic_uncertainty(p, n), exact, rtol=1e-15)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-3, 1e6), st.floats(1e-9, 1e9))
def test_digamma_difference_for_any_arguments(a, d):
    with mpmath.workdps(60):
        exact = mpmath.digamma(mpmath.mpf(a) + mpmath.mpf(d)) - mpmath.digamma(mpmath.mpf(a))
        assert abs(float(digamma_difference(a, d)) - exact) <= 8 * mpmath.mpf(2) ** -53 * exact


def test_values_and_limits():
    # p = 2: psi(z + 1) - psi(z) = 1 / z.
    assert expected_epistemic_uncertainty(2, 11) == pytest.approx(1 / 10, rel=1e-15, abs=0)
    assert expected_leverage(5, 20) == 5 / 14
    n = 10.0 ** np.arange(3, 15)
    np.testing.assert_allclose(2 * n * expected_epistemic_uncertainty(7, n) / 7, 1, atol=1e-2)
    assert 2 * 1e14 * expected_epistemic_uncertainty(7, 1e14) / 7 == pytest.approx(1, abs=1e-12)
    # Concavity of the logarithm.
    assert np.all(expected_epistemic_uncertainty(7, n) < 0.5 * np.log1p(expected_leverage(7, n)))


def test_uncertainty_is_the_expectation_under_the_beta_law():
    for p, n in ((3, 3), (1, 9), (6, 11)):
        with mpmath.workdps(30):
            a, b = mpmath.mpf(n - p + 1) / 2, mpmath.mpf(p) / 2
            density = lambda v, a=a, b=b: v ** (a - 1) * (1 - v) ** (b - 1) / mpmath.beta(a, b)  # noqa: E731
            integral = mpmath.quad(lambda v, f=density: -mpmath.log(v) / 2 * f(v), [0, 0.01, 0.5, 0.99, 1])
        assert float(expected_epistemic_uncertainty(p, n)) == pytest.approx(float(integral), rel=1e-6, abs=0)


def test_edges_and_bad_input():
    assert math.isfinite(expected_epistemic_uncertainty(5, 5))
    assert math.isfinite(expected_epistemic_uncertainty(5, 6))
    for p, n in ((5, 4), (5, 5), (5, 6)):
        with pytest.raises(AssumptionViolated, match="infinite"):
            expected_leverage(p, n)
    with pytest.raises(AssumptionViolated, match="improper"):
        expected_epistemic_uncertainty(5, 4)
    for p, n in ((0, 4), (-1, 4), (1.5, 4), (1, 4.5), (math.nan, 4), (1, math.inf), (1, 2.0**60), ("a", 4)):
        for function in (expected_leverage, expected_epistemic_uncertainty):
            with pytest.raises(InvalidInput):
                function(p, n)
    with pytest.raises(InvalidInput):
        digamma_difference(0.0, 1.0)
