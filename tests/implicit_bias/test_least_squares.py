"""The limit, path and rounding floor of descent on least squares: high precision, identities, real descent."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.least_squares import (
    contraction_factor,
    convergence_bound,
    fastest_step,
    gradient_descent_limit,
    gradient_descent_path,
    half_sum_step,
    largest_stable_step,
    null_projector,
    rounding_floor,
    row_projector,
    row_space,
    spectral_filter,
)
from nonvacuous.numerics.training.linear_gd import descend_weights
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def orthogonal(rng, size):
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def problem(seed, *, rank_deficient=True, log_condition=1.0):
    """A random problem of any shape: singular values between 10^-log_condition and 1 times a random scale."""
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 10, size=2)
    rank = int(rng.integers(1, min(n, p) + 1)) if rank_deficient else min(n, p)
    values = 10 ** (rng.uniform(-2, 2) - log_condition * rng.uniform(0, 1, rank))
    x = orthogonal(rng, n)[:, :rank] * values @ orthogonal(rng, p)[:rank]
    y, w = rng.normal(size=n) * 10 ** rng.uniform(-2, 2), rng.normal(size=p) * 10 ** rng.uniform(-2, 2)
    return rng, x, y, w


def exact_limit(x, y, w):
    """The limit at 60 digits for a design of full rank, by normal equations on the shorter side."""
    with mpmath.workdps(60):
        big, goal, start = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist()), mpmath.matrix(w.tolist())
        residual = goal - big * start
        if x.shape[0] <= x.shape[1]:
            moved = big.T * mpmath.lu_solve(big * big.T, residual)
        else:
            moved = mpmath.lu_solve(big.T * big, big.T * residual)
        return np.array([float(v) for v in start + moved])


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_real_descent_stays_within_the_rounding_floor_of_the_path_and_within_the_bound_of_the_limit(seed):
    rng, x, y, w = problem(seed)
    step = rng.uniform(0.1, 0.9) * largest_stable_step(x)
    last = min(int(40 / (1 - contraction_factor(x, step))), 1500)
    times = sorted({0, 1, last // 30, last})
    run = descend_weights(x, y, w, step=step, record=times)
    path = gradient_descent_path(x, y, w, step=step, time=times)
    for t, measured, predicted in zip(times, run, path, strict=True):
        floor = rounding_floor(x, y, w, step=step, steps=t)
        assert np.linalg.norm(measured - predicted) <= floor
        bound = convergence_bound(x, y, w, step=step, steps=t) + floor
        assert np.linalg.norm(measured - gradient_descent_limit(x, y, w)) <= bound
        # No drift along the directions that the data do not see.
        assert np.linalg.norm(null_projector(x) @ (measured - w)) <= floor + 1e-14 * np.linalg.norm(measured)


def test_bounds_are_attained_or_at_least_not_vacuous():
    # An error along the slowest direction alone decays exactly at the rate rho.
    x, y, w = np.diag([1.0, 0.5]), np.array([1.0, 1.0]), np.array([1.0, 5.0])
    error = np.linalg.norm(gradient_descent_path(x, y, w, step=1.0, time=8) - gradient_descent_limit(x, y, w))
    assert (
        convergence_bound(x, y, w, step=1.0, steps=8)
        == pytest.approx(error, rel=1e-12, abs=0)
        == pytest.approx(3 * 0.75**8)
    )
    # The rounding floor grows with the steps and stays far below anything that a wrong formula would change.
    floors = [rounding_floor(x, y, w, step=1.0, steps=t) for t in (0, 1, 10, 100)]
    assert floors == sorted(floors)
    assert floors[-1] < 1e-12


def test_ten_thousand_steps_agree_with_the_formula_to_twelve_digits():
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=(4, 7)), rng.normal(size=4), rng.normal(size=7)
    step = 0.001 * largest_stable_step(x)
    times = [1, 10, 100, 1000, 10_000]
    run = descend_weights(x, y, w, step=step, record=times)
    path = gradient_descent_path(x, y, w, step=step, time=times)
    assert np.abs(run - path).max() <= 1e-12 * np.abs(run).max()


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_limit_has_the_promised_accuracy(seed):
    _, x, y, w = problem(seed, rank_deficient=False, log_condition=3.0)
    exact = exact_limit(x, y, w)
    condition = np.linalg.cond(x)
    residual = np.linalg.norm(y - x @ exact) / (np.linalg.norm(x, 2) * np.linalg.norm(exact))
    allowed = 1e-15 * max(condition, 1e3) + 2**-52 * 10 * condition**2 * residual
    # The start is added last, so its rounding counts against the scale of the start.
    scale = np.linalg.norm(exact) + np.linalg.norm(w)
    assert np.linalg.norm(gradient_descent_limit(x, y, w) - exact) <= allowed * scale


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_projectors_and_pseudo_inverse_satisfy_their_identities(seed):
    _, x, _, _ = problem(seed)
    q, p = row_projector(x), null_projector(x)
    size = np.linalg.norm(x, 2)
    for zero, scale in ((q @ q - q, 1), (p @ p - p, 1), (p - p.T, 1), (p @ q, 1), (x @ p, size), (x @ q - x, size)):
        assert np.abs(zero).max() <= 1e-13 * scale


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_rotating_the_weights_rotates_the_limit(seed):
    rng, x, y, w = problem(seed)
    o = orthogonal(rng, len(w))
    limit = gradient_descent_limit(x, y, w)
    rotated = gradient_descent_limit(x @ o, y, o.T @ w)
    assert np.linalg.norm(rotated - o.T @ limit) <= 2 * rounding_floor(x, y, w, step=fastest_step(x), steps=1)


def test_limit_ignores_the_step_but_the_rate_does_not():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=5)
    ends = [descend_weights(x, y, w, step=c * largest_stable_step(x), record=[4000])[0] for c in (0.3, 0.6, 0.9)]
    assert np.ptp(ends, axis=0).max() < 1e-12
    values = row_space(x).singular_values ** 2
    condition = values[0] / values[-1]
    assert contraction_factor(x, fastest_step(x)) == pytest.approx((condition - 1) / (condition + 1), rel=1e-12, abs=0)
    assert contraction_factor(x, 0.9 * fastest_step(x)) > contraction_factor(x, fastest_step(x))


@pytest.mark.parametrize("interpolating", [True, False])
def test_row_scaling_and_duplicates_keep_the_limit_exactly_when_the_data_can_be_interpolated(interpolating):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 5) if interpolating else (5, 3))
    y, w = rng.normal(size=len(x)), rng.normal(size=x.shape[1])
    limit = gradient_descent_limit(x, y, w)
    mixing = rng.normal(size=(len(x), len(x)))
    scaled = gradient_descent_limit(mixing @ x, mixing @ y, w)
    repeated_x, repeated_y = np.vstack([x, x[:1]]), np.append(y, y[0])
    repeated = gradient_descent_limit(repeated_x, repeated_y, w)
    for other in (scaled, repeated):
        gap = np.linalg.norm(other - limit)
        assert gap < 1e-12 if interpolating else gap > 1e-2
    step = 0.5 * min(largest_stable_step(x), largest_stable_step(repeated_x))
    assert contraction_factor(x, step) != contraction_factor(repeated_x, step)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("half", [True, False])
def test_step_conversion_covers_every_loss_convention(reduction, half):
    rng = np.random.default_rng(2)
    x, y, w = rng.normal(size=(4, 6)), rng.normal(size=4), rng.normal(size=6)
    step = 0.2 * largest_stable_step(x)
    converted = half_sum_step(step, examples=4, reduction=reduction, half=half)
    run = descend_weights(x, y, w, step=step, record=[7], reduction=reduction, half=half)[0]
    path = gradient_descent_path(x, y, w, step=converted, time=7)
    assert np.linalg.norm(run - path) < 1e-13
    assert (converted == step) == (reduction == "sum" and half)


def test_filter_keeps_its_digits_for_slow_directions_and_is_exact_at_the_edges():
    values = np.array([1e-9, 1e-3, 0.5, 1.0, 1.3])
    with mpmath.workdps(60):
        exact = [float(1 - (1 - mpmath.mpf(s) ** 2) ** 12) for s in values]
    np.testing.assert_allclose(spectral_filter(values, step=1.0, time=np.array(12.0)), exact, rtol=1e-14)
    assert np.array_equal(spectral_filter(values, step=1.0, time=np.array(0.0)), np.zeros(5))


def test_degenerate_designs():
    w = np.arange(3.0)
    for x in (np.zeros((0, 3)), np.zeros((2, 3))):
        assert np.array_equal(gradient_descent_limit(x, np.ones(len(x)), w), w)
        assert largest_stable_step(x) == math.inf
        assert contraction_factor(x, 1.0) == 0
        assert rounding_floor(x, np.ones(len(x)), w, step=1.0, steps=9) == 0
    # Rounding leaves the third singular value of this design near 1e-16; the cutoff removes it.
    column = np.array([[0.1], [0.2], [0.3]])
    space = row_space(column @ np.array([[0.7, 0.1, 0.9]]))
    assert space.singular_values.shape == (1,)
    assert space.cutoff < 1e-15


X, Y, W = np.eye(2, 3), np.ones(2), np.zeros(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gradient_descent_limit(X, np.ones(3), W),
        lambda: gradient_descent_limit(X, Y, np.zeros(2)),
        lambda: gradient_descent_limit(np.ones(3), Y, W),
        lambda: gradient_descent_limit(X, [1, math.nan], W),
        lambda: gradient_descent_limit(np.full((2, 3), math.inf), Y, W),
        lambda: gradient_descent_limit("design", Y, W),
        lambda: gradient_descent_limit(np.zeros((2, 0)), Y, np.zeros(0)),
        lambda: gradient_descent_path(X, Y, W, step=0.1, time=1.5),
        lambda: gradient_descent_path(X, Y, W, step=0.1, time=-1),
        lambda: contraction_factor(X, 0.0),
        lambda: contraction_factor(X, math.nan),
        lambda: contraction_factor(X, "0.1"),
        lambda: fastest_step(np.zeros((2, 2))),
        lambda: row_space(X, relative_cutoff=1.0),
        lambda: half_sum_step(0.1, examples=0),
        lambda: half_sum_step(0.1, examples=3, reduction="max"),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


@pytest.mark.parametrize("step", [2.0, 2.1])
def test_unstable_steps_violate_the_assumption(step):
    for call in (contraction_factor, lambda x, s: gradient_descent_path(x, Y, W, step=s, time=3)):
        with pytest.raises(AssumptionViolated, match="between 0 and 2"):
            call(X, step)
