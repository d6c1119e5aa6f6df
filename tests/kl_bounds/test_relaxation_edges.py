"""Free parameters of the relaxed kl bounds: their range, their best values, and the derivative that says so."""

from __future__ import annotations

import mpmath
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.relaxations import best_gamma, best_lambda, bound_slope, quad, thiemann_lambda

OPTIONS = {"kl": 3.0, "n": 200, "delta": 0.05}


def test_lambda_lies_below_two():
    for lam in (2.0, 2.5, 0.0, -1.0):
        with pytest.raises(InvalidInput, match="lam"):
            thiemann_lambda(risk=0.1, lam=lam, **OPTIONS)


def test_the_lower_sides_end_at_zero():
    assert quad(risk=1e-4, **OPTIONS).lower == 0.0
    assert thiemann_lambda(risk=1e-4, **OPTIONS).lower == 0.0


@pytest.mark.parametrize("risk", [0.0, 0.02, 0.4])
@pytest.mark.parametrize("c", [0.01, 0.3])
@pytest.mark.parametrize("lam", [0.1, 0.8, 1.0, 1.7])
def test_the_slope_is_the_derivative(risk, c, lam):
    with mpmath.workdps(30):
        exact = float(mpmath.diff(lambda x: (risk + c / x) / (1 - x / 2), mpmath.mpf(lam)))
    # a difference of two terms, each within four ulps
    assert bound_slope(risk, c, lam) == pytest.approx(exact, abs=2e-15 * (risk + c / lam**2) / (1 - lam / 2) ** 2)


@pytest.mark.parametrize("risk", [0.001, 0.02, 0.4, 1.0])
@pytest.mark.parametrize("c", [1e-3, 0.1, 2.0])
def test_the_best_parameters_are_stationary(risk, c):
    lam, gamma = best_lambda(risk, c), best_gamma(risk, c)
    assert abs(bound_slope(risk, c, lam)) <= 1e-13 * (risk + c / lam**2) / (1 - lam / 2) ** 2
    assert -risk / 2 + c / gamma**2 == pytest.approx(0, abs=1e-14 * risk)
