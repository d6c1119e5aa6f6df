"""Filters of descent, gradient flow and ridge: the loop, 60 digits, the matching constant, edges."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.least_squares import (
    gradient_descent_limit,
    gradient_descent_path,
    largest_stable_step,
    null_projector,
    row_space,
    spectral_filter,
)
from nonvacuous.numerics.implicit_bias.spectral_filters import (
    FLOW_RIDGE_GAP,
    FLOW_RIDGE_GAP_AT,
    filter_rounding_floor,
    flow_discretisation_bound,
    flow_filter,
    gradient_flow_path,
    ridge_filter,
    ridge_path,
)
from nonvacuous.numerics.training.linear_gd import descend_weights
from nonvacuous.theory.errors import InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 9, size=2)
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=p)


def test_the_constant_is_the_maximum_of_the_difference_of_the_filters():
    with mpmath.workdps(40):
        u = mpmath.findroot(lambda v: 2 * mpmath.log(1 + v) - v, 2.5)
        assert abs(FLOW_RIDGE_GAP_AT - float(u)) <= 4.5e-16
        assert abs(FLOW_RIDGE_GAP - float(1 / (1 + u) - mpmath.exp(-u))) <= 2.8e-17
    u = np.linspace(0, 50, 200_001)
    gap = flow_filter(np.sqrt(u), time=1.0) - ridge_filter(np.sqrt(u), penalty=1.0)
    assert gap.min() >= -1e-16
    assert gap.max() <= FLOW_RIDGE_GAP + 1e-16
    assert gap.max() >= FLOW_RIDGE_GAP - 1e-8


def test_the_filter_form_of_descent_agrees_with_the_loop_to_twelve_digits_up_to_ten_thousand_steps():
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=(4, 7)), rng.normal(size=4), rng.normal(size=7)
    step, space = 0.001 * largest_stable_step(x), row_space(x)
    times = [1, 10, 100, 1000, 10_000]
    run = descend_weights(x, y, w, step=step, record=times)
    for t, measured in zip(times, run, strict=True):
        phi = spectral_filter(space.singular_values, step=step, time=np.array(float(t)))
        fitted = phi * (space.left.T @ y) / space.singular_values + (1 - phi) * (space.right.T @ w)
        assert np.abs(null_projector(x) @ w + space.right @ fitted - measured).max() <= 1e-12 * np.abs(measured).max()


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_flow_is_the_limit_of_small_steps_and_lies_between_ridge_and_the_limit_in_every_direction(seed):
    rng, x, y, w = problem(seed)
    h = row_space(x).singular_values ** 2
    time = 10 ** rng.uniform(-1, 1) / h[0]
    steps = 64 + math.ceil(time * h[0])
    flow = gradient_flow_path(x, y, w, time=time)
    small = gradient_descent_path(x, y, w, step=time / steps, time=steps)
    # both closed forms carry a floor; that of descent is no larger than that of `steps` kicks of the flow
    floor = filter_rounding_floor(x, y, w, time=time)
    assert np.linalg.norm(flow - small) <= flow_discretisation_bound(x, y, w, steps=steps) + (steps + 2) * floor
    whole = (gradient_descent_limit(x, y, w) - w) @ row_space(x).right
    moved = [(v - w) @ row_space(x).right * np.sign(whole) for v in (ridge_path(x, y, w, penalty=1 / time), flow)]
    assert (moved[1] - moved[0] >= -2 * floor).all()
    assert (moved[1] - moved[0] <= FLOW_RIDGE_GAP * np.abs(whole) + 2 * floor).all()
    assert (moved[1] <= np.abs(whole) + 2 * floor).all()


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_ridge_solves_its_own_normal_equations_and_the_flow_its_differential_equation(seed):
    rng, x, y, w = problem(seed)
    h = row_space(x).singular_values ** 2
    penalty = 10 ** rng.uniform(-2, 1) * h[0]
    v = ridge_path(x, y, w, penalty=penalty)
    size = np.linalg.norm(x, 2) * np.linalg.norm(y) + (h[0] + penalty) * (np.linalg.norm(v) + np.linalg.norm(w))
    assert np.linalg.norm(x.T @ (x @ v - y) + penalty * (v - w)) <= 1e-14 * size
    # semigroup: the flow from where it was at time a, for a time b, is the flow at time a + b
    a, b = rng.uniform(0.1, 2, 2) / h[0]
    later = gradient_flow_path(x, y, gradient_flow_path(x, y, w, time=a), time=b)
    floor = filter_rounding_floor(x, y, w, time=a + b)
    assert np.linalg.norm(later - gradient_flow_path(x, y, w, time=a + b)) <= 4 * floor
    assert np.linalg.norm(null_projector(x) @ (later - w)) <= 4 * floor


def test_ends_and_arrays_of_times():
    _, x, y, w = problem(5)
    limit = gradient_descent_limit(x, y, w)
    np.testing.assert_allclose(gradient_flow_path(x, y, w, time=math.inf), limit, rtol=1e-14)
    np.testing.assert_allclose(ridge_path(x, y, w, penalty=0.0), limit, rtol=1e-14)
    assert np.array_equal(gradient_flow_path(x, y, w, time=0.0), w)
    assert np.array_equal(ridge_path(x, y, w, penalty=math.inf), w)
    assert gradient_flow_path(x, y, w, time=np.ones((2, 3))).shape == (2, 3, len(w))
    zero = np.zeros((2, len(w)))
    assert np.array_equal(gradient_flow_path(zero, np.ones(2), w, time=7.0), w)
    assert filter_rounding_floor(zero, np.ones(2), w, time=7.0) == 0
    assert flow_filter([0.0, 1.0], time=math.inf).tolist() == [0.0, 1.0]
    assert ridge_filter([0.0, 1.0], penalty=0.0).tolist() == [0.0, 1.0]


def test_filters_keep_their_digits_for_slow_directions():
    with mpmath.workdps(60):
        u = mpmath.mpf(1e-9) ** 2 * 12
        exact = float(1 - mpmath.exp(-u)), float(u / (1 + u))
    assert flow_filter([1e-9], time=12.0)[0] == pytest.approx(exact[0], rel=1e-15, abs=0)
    assert ridge_filter([1e-9], penalty=1 / 12)[0] == pytest.approx(exact[1], rel=1e-15, abs=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gradient_flow_path(np.eye(2, 3), np.ones(3), np.zeros(3), time=1.0),
        lambda: gradient_flow_path(np.eye(2, 3), np.ones(2), np.zeros(3), time=-1.0),
        lambda: gradient_flow_path(np.eye(2, 3), [1, math.nan], np.zeros(3), time=1.0),
        lambda: ridge_path(np.eye(2, 3), np.ones(2), np.zeros(3), penalty=-1e-9),
        lambda: ridge_path(np.eye(2, 3), np.ones(2), np.zeros(3), penalty=math.nan),
        lambda: flow_filter(np.ones((2, 2)), time=1.0),
        lambda: flow_discretisation_bound(np.eye(2), np.ones(2), np.zeros(2), steps=0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_one_large_step_needs_more_than_the_asymptotic_constant():
    # errors of many steps approach (2/e^2)/k, but one step of size 1 leaves exp(-1) of a single direction
    x, y, w = np.eye(1), np.ones(1), np.zeros(1)
    error = abs(gradient_flow_path(x, y, w, time=1.0) - gradient_descent_path(x, y, w, step=1.0, time=1))[0]
    assert error == pytest.approx(math.exp(-1), rel=1e-15)
    assert 2 * math.exp(-2) < error < flow_discretisation_bound(x, y, w, steps=1)
    assert flow_discretisation_bound(x, y, w, steps=8) == pytest.approx(math.exp(-2) / 2, rel=1e-15)
