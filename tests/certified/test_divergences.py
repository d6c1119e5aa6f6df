"""Divergences of parametric families: never below the exact value, sharp, and everything that they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nonvacuous.numerics.certified.divergences import (
    chi_square_gaussian,
    gibbs_risk_linear_classifier,
    kl_categorical,
    kl_dirichlet,
    kl_gaussian_diagonal,
    kl_gaussian_isotropic,
    kl_laplace,
    renyi_gaussian,
)
from nonvacuous.numerics.certify.gaussian_kl import gaussian_kl_upper
from nonvacuous.theory.balls import divergences_kl as balls
from nonvacuous.theory.errors import InvalidInput


def above(value: float, exact: arb, relative: float) -> bool:
    """Not below the exact value, and not more than `relative` (of it) above; 2^-1055 is what underflow may add."""
    with ctx.workdps(60):
        difference = arb(value) - exact
        return bool(difference >= 0) and bool(difference <= exact * relative + arb(2) ** -1055)


def vectors(low: float, high: float, size: int = 3) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, size, elements=st.floats(low, high, allow_subnormal=False))


@given(vectors(-1e3, 1e3), vectors(-300, 300), vectors(-1e3, 1e3), vectors(-300, 300))
def test_gaussian(m, t, m0, t0):
    exact = balls.kl_gaussian_ball(m, t, m0, t0)
    found = kl_gaussian_diagonal(m, t, m0, t0)
    if found == np.inf:  # twice the divergence overflows: an upper bound still, and no value near it is lost
        assert exact > 2.0**1022
    else:
        assert above(found, exact, 2.0**-52 * (45 + 4 * max(0, 2 * (t - t0).max())))


@given(vectors(-300, 300), st.integers(-40, 40), vectors(-1, 1))
def test_gaussians_with_almost_equal_scales(t, steps, m):
    """pb.kl_families: (s/s0)^2 - 1 loses its digits near s = s0; expm1 of the log-ratio does not."""
    near = t + steps * np.spacing(t)
    near = np.clip(near, -300, 300)
    exact = balls.kl_gaussian_ball(m, near, m, t)
    assert above(kl_gaussian_diagonal(m, near, m, t), exact, 1e-14)


def test_log1p_of_a_ratio_that_rounded_to_minus_one_would_be_infinite():
    """pb.kl_families: u = (s/s0)^2 - 1 rounds to -1 once s < 1e-8 s0, so ln(1+u) would be -inf."""
    value = kl_gaussian_diagonal([0.0], [-50.0], [0.0], [0.0])
    assert np.expm1(-100.0) == -1.0
    assert value == pytest.approx(49.5, rel=1e-14, abs=0)


@given(vectors(-10, 10), st.floats(-20, 20), vectors(-10, 10), st.floats(-20, 20))
def test_isotropic_is_diagonal_with_one_scale(m, t, m0, t0):
    a, b = kl_gaussian_isotropic(m, t, m0, t0), kl_gaussian_diagonal(m, t, m0, t0)
    assert a == pytest.approx(b, rel=4e-14, abs=1e-300)
    assert above(a, balls.kl_gaussian_ball(m, [t] * 3, m0, [t0] * 3), 2.0**-52 * (45 + 8 * abs(t - t0)))


@given(vectors(-1e3, 1e3), vectors(-70, 70), vectors(-1e3, 1e3), vectors(-70, 70))
def test_gaussian_agrees_with_the_one_for_torch_posteriors(m, t, m0, t0):
    ours, theirs = kl_gaussian_diagonal(m, t, m0, t0), gaussian_kl_upper([(m, t, m0, t0)])
    assert ours == pytest.approx(theirs, rel=2.0**-50 * (45 + 4 * max(0, 2 * (t - t0).max())), abs=2.0**-1050)


@given(vectors(-1e3, 1e3), vectors(1e-6, 1e6), vectors(-1e3, 1e3), vectors(1e-6, 1e6))
def test_laplace(m, b, m0, b0):
    assert above(kl_laplace(m, b, m0, b0), balls.kl_laplace_ball(m, b, m0, b0), 80 * 2.0**-53)


@given(vectors(1e-6, 1.0, 4), vectors(0.0, 1.0, 4))
def test_categorical(p, q):
    q = np.where(q < 1e-100, 0.0, q)
    q[0] += 0.1
    p, q = p / p.sum(), q / q.sum()
    exact = balls.kl_categorical_ball(q, p)
    value = kl_categorical(q, p)
    assert arb(value) >= exact
    assert value <= float(exact.upper()) * (1 + 1e-13) + 1e-15 * math.sqrt(float(exact.upper())) + 1e-30


@given(vectors(0.1, 1.0, 4), st.floats(-8, -2), st.floats(-1e-10, 1e-10))
def test_categorical_close_to_the_prior_with_sums_that_are_off(p, exponent, off):
    q = p * (1 + 10**exponent * np.array([1, -1, 1, -0.5]))
    p, q = p / p.sum() * (1 + off), q / q.sum() * (1 - off / 2)
    assert arb(kl_categorical(q, p)) >= balls.kl_categorical_ball(q, p)


@given(vectors(1e-3, 1e4, 4), vectors(1e-3, 1e4, 4))
def test_dirichlet(a, b):
    exact = balls.kl_dirichlet_ball(a, b)
    value = kl_dirichlet(a, b)
    with ctx.workdps(60):
        assert arb(value) >= exact
        assert arb(value) - exact <= balls.gamma_divergence_ball(a, b) * (120 * 2.0**-53) + arb(2) ** -1050


@given(vectors(1e-3, 1e4, 4), st.floats(-9, -1))
def test_dirichlet_close_to_the_prior(a, exponent):
    b = a * (1 + 10**exponent * np.array([1, -1, 1, -0.5]))
    assert arb(kl_dirichlet(a, b)) >= balls.kl_dirichlet_ball(a, b)


def test_dirichlet_worked():
    # parts + whole = 1.58 + 1.02, right to 56 half-ulps, and as much slack; pytest's own 1e-12 would hide Stirling's fourth term
    assert kl_dirichlet([3, 2, 1], [1, 1, 1]) == pytest.approx(0.551197381662155375, rel=0, abs=112 * 2.6 * 2.0**-53)
    assert kl_dirichlet([1e-130, 1.0], [1.0, 1e130]) > 0
    assert kl_dirichlet([2.0], [5.0]) == 0


@given(st.floats(1e-3, 1e3), vectors(-10, 10), vectors(-10, 10), vectors(-20, 20))
def test_renyi(order, m, m0, t):
    assert above(renyi_gaussian(order, m, m0, t), balls.renyi_gaussian_ball(order, m, m0, t), 40 * 2.0**-53)


@given(vectors(-3, 3), vectors(-3, 3), vectors(-1, 3))
def test_chi_square(m, m0, t):
    exact = balls.chi_square_gaussian_ball(m, m0, t)
    assert above(
        chi_square_gaussian(m, m0, t), exact, (60 + 40 * float(np.sum(((m - m0) * np.exp(-t)) ** 2))) * 2.0**-53
    )


def test_renyi_of_order_one_is_kl():
    m, m0, t = np.array([0.3, -2.0]), np.array([1.0, 1.0]), np.array([0.5, -0.5])
    assert renyi_gaussian(1.0, m, m0, t) == pytest.approx(kl_gaussian_diagonal(m, t, m0, t), rel=1e-14, abs=0)
    assert chi_square_gaussian(m * 100, m0, t) == math.inf


@given(vectors(-3, 3, 2), st.floats(-2, 2), arrays(np.float64, (5, 2), elements=st.floats(0.1, 5)))
def test_linear_classifier_against_balls(w, t, x):
    y = np.array([1.0, -1, 1, 1, -1])
    exact = balls.linear_gibbs_risk_ball(w, t, x, y)
    value = gibbs_risk_linear_classifier(w, t, x, y)
    z = 3 * math.sqrt(2) * math.exp(-t)
    assert above(value, exact, ((z + 2) * z * 60 + 60) * 2.0**-52) or value == 1.0


def test_linear_classifier_against_draws():
    rng = np.random.default_rng(0)
    w, x, y = rng.normal(size=4), rng.normal(size=(6, 4)), np.array([1.0, -1, 1, -1, 1, 1])
    draws = w + 0.7 * rng.normal(size=(200_000, 4))
    errors = (y * (draws @ x.T) < 0).mean(axis=1)
    # five standard errors of the mean of 2e5 independent risks
    assert abs(errors.mean() - gibbs_risk_linear_classifier(w, math.log(0.7), x, y)) < 5 * errors.std() / math.sqrt(2e5)


def test_the_error_function_is_as_good_as_the_slack_assumes():
    z = np.concatenate([np.linspace(-6, 26, 4001), 10.0 ** np.linspace(-300, 1, 500)])
    with ctx.workdps(40):
        for x in z.tolist():
            exact = arb(x).erfc()
            assert abs(arb(math.erfc(x)) - exact) <= exact * (16 * 2.0**-53)


def test_product_laws_add():
    m, t, m0, t0 = np.array([0.3]), np.array([-1.0]), np.array([0.0]), np.array([0.2])
    assert kl_gaussian_diagonal(np.tile(m, 2), np.tile(t, 2), np.tile(m0, 2), np.tile(t0, 2)) == pytest.approx(2 * kl_gaussian_diagonal(m, t, m0, t0), rel=1e-14, abs=0)  # fmt: skip


def test_equal_laws_have_divergence_zero_exactly():
    m, t, b, p = np.array([0.3, 1e200]), np.array([-1.0, 3.0]), np.array([0.1, 7.0]), np.array([0.25, 0.75])
    assert kl_gaussian_diagonal(m, t, m, t) == 0
    assert kl_laplace(m, b, m, b) == 0
    assert kl_dirichlet(b, b) == 0
    assert kl_categorical(p, p) == 0
    assert renyi_gaussian(3.0, m, m, t) == 0


def test_a_difference_that_underflows_is_not_lost():
    assert kl_gaussian_diagonal([1e-200], [0.0], [0.0], [0.0]) > 0
    assert kl_laplace([1e-200], [1.0], [0.0], [1.0]) > 0


def test_infinite_where_absolute_continuity_fails_or_float64_ends():
    assert kl_categorical([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert kl_categorical([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2), rel=1e-14, abs=0)
    assert kl_gaussian_diagonal([1e300], [0.0], [0.0], [0.0]) == math.inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: kl_gaussian_diagonal([math.nan], [0], [0], [0]),
        lambda: kl_gaussian_diagonal([0], [301], [0], [0]),
        lambda: kl_gaussian_diagonal([0, 1], [0, 1, 2], [0], [0]),
        lambda: kl_gaussian_isotropic([0], [0.0, 1.0], [0], 0.0),
        lambda: kl_laplace([0], [0], [0], [1]),
        lambda: kl_laplace([0], [1], [0], [1e-200]),
        lambda: kl_dirichlet([1, 2], [1, 2, 3]),
        lambda: kl_dirichlet([], []),
        lambda: kl_dirichlet([1, -2], [1, 2]),
        lambda: kl_dirichlet([[1, 2]], [[1, 2]]),
        lambda: kl_categorical([0.5, 0.6], [0.5, 0.5]),
        lambda: kl_categorical([1.0], [0.5, 0.5]),
        lambda: kl_categorical([1.5, -0.5], [0.5, 0.5]),
        lambda: kl_categorical([1.0, 1e-200], [0.5, 0.5]),
        lambda: renyi_gaussian(0, [0], [1], [0]),
        lambda: gibbs_risk_linear_classifier([1, 2], 0, [[1, 2]], [0]),
        lambda: gibbs_risk_linear_classifier([1, 2], 0, [[0, 0]], [1]),
        lambda: gibbs_risk_linear_classifier([1, 2], 0, [[1, 2, 3]], [1]),
        lambda: gibbs_risk_linear_classifier([1e200, 2], 0, [[1, 2]], [1]),
    ],
)
def test_refused(call):
    with pytest.raises(InvalidInput):
        call()
