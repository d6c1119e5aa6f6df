"""Numerical mistakes seen in published kl inverses and constants, one test for each: the mistake shown, and ours free of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from flint import arb
from scipy.special import gammaln

from nonvacuous.bounds import seeger_kl
from nonvacuous.numerics.certified import kl_lower, kl_upper, log_maurer_xi
from nonvacuous.numerics.certify.objectives import kl_upper as torch_kl_upper
from nonvacuous.theory.balls import kl_upper_ball
from nonvacuous.theory.balls.maurer import maurer_xi_ball


def kl(q: float, p: float) -> float:
    return (q * math.log(q / p) if q else 0.0) + (1 - q) * math.log((1 - q) / (1 - p))


def midpoint_bisection(q: float, c: float, top: float = 1 - 1e-10) -> float:
    """The last midpoint of a bisection that stops when the bracket is 1e-5 of its upper end."""
    low, high, found = q, top, 0.0
    while (high - low) / high >= 1e-5:
        found = (low + high) / 2
        low, high = (low, found) if kl(q, found) > c else (found, high)
    return found


def floored_lower(q: float, c: float) -> float:
    """A lower inverse by bisection on [1e-9, q]."""
    low, high = 1e-9, q
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if kl(q, middle) > c else (low, middle)
    return high


def below_exact(values: np.ndarray, q: np.ndarray, c: np.ndarray) -> float:
    exact = [kl_upper_ball(float(a), float(b), digits=40).p for a, b in zip(q, c, strict=True)]
    return float(np.mean([bool(arb(float(v)) < e) for v, e in zip(values, exact, strict=True)]))


def test_d21_midpoint_bisection_is_below_the_bound_about_half_of_the_time():
    rng = np.random.default_rng(0)
    q, c = rng.uniform(0.001, 0.3, 400), rng.uniform(1e-4, 0.1, 400)
    wrong = below_exact(np.array([midpoint_bisection(a, b) for a, b in zip(q, c, strict=True)]), q, c)
    assert 0.35 < wrong < 0.65
    assert below_exact(kl_upper(q, c), q, c) == 0.0


@pytest.mark.parametrize("q", [1 - 1e-11, 1 - 2.0**-53])
def test_d22_an_upper_end_short_of_one_certifies_zero_for_the_worst_predictor(q):
    assert midpoint_bisection(q, 0.01) == 0.0
    assert kl_upper(q, 0.01) >= q
    assert seeger_kl(risk=1.0, kl=0.0, n=100, delta=0.05).value == 1.0


def test_d23_a_floored_lower_inverse_is_above_the_truth():
    q, c = 1e-3, 0.05
    exact = float(kl_lower(q, c))
    assert 0 < exact < 1e-9 < floored_lower(q, c) * 1.01
    assert kl_lower(1e-12, 1e-3) < 1e-300 or kl_lower(1e-12, 1e-3) < 1e-12
    assert kl(q, exact) >= c * (1 - 1e-12)  # ours is on the outer side


def test_d24_a_risk_of_zero_or_of_one_in_a_trillion():
    c = 1e-12
    assert kl_upper(0.0, c) == pytest.approx(-math.expm1(-c), rel=1e-15, abs=0)
    clamped = 1e-6  # q and p held inside [1e-6, 1 - 1e-6]: no bound below that is ever reported
    exact = float(kl_upper(1e-12, c))
    assert clamped / exact > 1e5
    assert kl_upper(0.0, 0.0) == 0.0
    assert not np.isnan(kl_upper(np.array([0.0, 1.0, 0.5]), np.array([0.0, 1.0, np.inf]))).any()


def test_d25_no_output_or_gradient_is_clamped():
    q = torch.tensor([0.9, 0.98, 0.05], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([0.5, 3.0, 8.0], dtype=torch.float64, requires_grad=True)
    value = torch_kl_upper(q, c)
    in_q, in_c = torch.autograd.grad(value.sum(), (q, c))
    assert (value > 0.99).all()
    assert (in_q > 0).all()
    assert (in_c > 0).all()
    for i in range(3):
        exact = kl_upper_ball(q[i].item(), c[i].item(), digits=40)
        assert in_c[i].item() == pytest.approx(float(exact.p * exact.complement / exact.gap), rel=1e-12, abs=0)


def test_d26_a_sum_of_lgamma_differences_loses_what_the_closed_form_keeps():
    n = 1_000_000
    k = np.arange(1, n)
    log_choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    terms = log_choose + k * np.log(k / n) + (n - k) * np.log1p(-k / n)
    exact = maurer_xi_ball(n, 40)
    by_sum = 2 + np.exp(terms).sum()
    assert abs(float((arb(by_sum) - exact) / exact)) > 1e-12
    ours = float(np.exp(log_maurer_xi(n)))
    assert abs(float((arb(ours) - exact) / exact)) < 5e-15
    assert math.isfinite(float(log_maurer_xi(10**12)))  # 10^12 terms would not fit anywhere
