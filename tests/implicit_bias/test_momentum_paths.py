"""Momentum on least squares: torch's own optimiser, exact double roots, rates that are attained, limits, edges."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.least_squares import (
    gradient_descent_limit,
    gradient_descent_path,
    largest_stable_step,
    null_projector,
)
from nonvacuous.numerics.implicit_bias.momentum import (
    VARIANTS,
    largest_stable_momentum_step,
    mode_path,
    momentum_bound,
    momentum_contraction,
    momentum_modes,
    momentum_path,
    momentum_rounding_floor,
)
from nonvacuous.numerics.wide_networks.step_sizes import largest_step_size_sum_loss
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 8, size=2)
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=p)


def torch_run(x, y, w, *, step, momentum, nesterov, times):
    weights = torch.nn.Parameter(torch.tensor(w))
    optimiser = torch.optim.SGD([weights], lr=step, momentum=momentum, nesterov=nesterov)
    data, goal, kept = torch.tensor(x), torch.tensor(y), {}
    for t in range(max(times) + 1):
        kept[t] = weights.detach().numpy().copy()
        optimiser.zero_grad()
        (0.5 * ((goal - data @ weights) ** 2).sum()).backward()
        optimiser.step()
    return np.stack([kept[t] for t in times])


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.booleans())
def test_torch_sgd_follows_the_roots_with_and_without_nesterov(seed, nesterov):
    rng, x, y, w = problem(seed)
    variant, momentum = "look_ahead" if nesterov else "heavy_ball", float(rng.uniform(0.1, 0.95))
    step = float(rng.uniform(0.05, 0.9)) * largest_stable_momentum_step(x, momentum=momentum, variant=variant)
    options, times = {"step": step, "momentum": momentum, "variant": variant}, [0, 1, 2, 17, 60]
    run = torch_run(x, y, w, step=step, momentum=momentum, nesterov=nesterov, times=times)
    path, limit = momentum_path(x, y, w, time=times, **options), gradient_descent_limit(x, y, w)
    for t, measured, predicted in zip(times, run, path, strict=True):
        floor = momentum_rounding_floor(x, y, w, steps=t, **options)
        assert np.linalg.norm(measured - predicted) <= floor
        assert np.linalg.norm(measured - limit) <= momentum_bound(x, y, w, steps=t, **options) + floor
        assert np.linalg.norm(null_projector(x) @ (measured - w)) <= floor + 1e-14 * np.linalg.norm(measured)


@pytest.mark.parametrize("variant", VARIANTS)
def test_recursion_against_the_root_formula_to_twelve_digits(variant):
    for x, beta in ((0.3, 0.5), (0.25, 0.25), (2.25, 0.25), (1.0, 0.4), (0.01, 0.9), (1.2, 0.9), (0.7, 0.0)):
        limit = 2 * (1 + beta) / (1 if variant == "heavy_ball" else 1 + 2 * beta)
        if x >= limit:
            continue
        d = [1.0]
        previous = 1.0
        for _ in range(200):
            ahead = d[-1] if variant == "heavy_ball" else d[-1] + beta * (d[-1] - previous)
            new = d[-1] + beta * (d[-1] - previous) - x * ahead
            previous = d[-1]
            d.append(new)
        if variant == "look_ahead":
            d = [1.0] + [now + beta * (now - last) for last, now in itertools.pairwise(d)]
        modes = momentum_modes(np.array([x]), momentum=beta, variant=variant)
        path = mode_path(modes, np.arange(201))[:, 0]
        np.testing.assert_allclose(path, d, rtol=0, atol=1e-12)


def test_double_roots_carry_the_factor_t_and_complex_roots_decay_exactly_like_the_root_of_beta():
    double = momentum_modes(np.array([0.25, 2.25]), momentum=0.25)
    assert double.first.tolist() == [0.5, -0.5]
    assert double.difference.tolist() == [0, 0]
    t = np.arange(1, 40)
    # d_t = (a + b t) r^t with a = 1, b = (d_1 - r)/r
    np.testing.assert_allclose(mode_path(double, t)[:, 0], (1 + t / 2) * 0.5**t, rtol=1e-14)
    np.testing.assert_allclose(mode_path(double, t)[:, 1], (1 + 1.5 * t) * (-0.5) ** t, rtol=1e-14)
    inside = np.linspace((1 - 0.9**0.5) ** 2, (1 + 0.9**0.5) ** 2, 50)[1:-1]
    np.testing.assert_allclose(momentum_modes(inside, momentum=0.9).modulus, math.sqrt(0.9), rtol=1e-14)
    assert (momentum_modes(np.array([0.002, 3.799]), momentum=0.9).modulus > math.sqrt(0.9)).all()


def test_nesterov_is_stable_only_below_1_357_at_beta_0_9_and_heavy_ball_below_3_8():
    assert largest_stable_momentum_step(np.eye(2), momentum=0.9) == pytest.approx(3.8, rel=1e-15)
    nesterov = largest_stable_momentum_step(np.eye(2), momentum=0.9, variant="nesterov")
    assert nesterov == pytest.approx(1.357, abs=5e-4)
    for variant, limit in (("heavy_ball", 3.8), ("nesterov", nesterov), ("look_ahead", nesterov)):
        below, above = momentum_modes(limit * np.array([1 - 1e-9, 1 + 1e-9]), momentum=0.9, variant=variant).modulus
        assert below < 1 < above
        with pytest.raises(AssumptionViolated, match="not stable"):
            momentum_contraction(np.eye(2), step=limit * 1.0001, momentum=0.9, variant=variant)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_no_momentum_is_plain_descent_and_the_limit_does_not_depend_on_momentum(seed):
    rng, x, y, w = problem(seed)
    step = rng.uniform(0.1, 0.9) * largest_stable_step(x)
    plain = gradient_descent_path(x, y, w, step=step, time=[0, 1, 5, 30])
    for variant in VARIANTS:
        other = momentum_path(x, y, w, step=step, momentum=0.0, time=[0, 1, 5, 30], variant=variant)
        floor = momentum_rounding_floor(x, y, w, step=step, momentum=0.0, steps=30, variant=variant)
        assert np.linalg.norm(other - plain, axis=1).max() <= 2 * floor
        beta = float(rng.uniform(0, 0.9))
        options = {"step": step / 3, "momentum": beta, "variant": variant}
        late = 40 / -math.log(max(momentum_contraction(x, **options), 0.1))
        end = momentum_path(x, y, w, time=math.ceil(late), **options)
        bound = momentum_bound(x, y, w, steps=math.ceil(late), **options)
        floor = momentum_rounding_floor(x, y, w, steps=math.ceil(late), **options)
        assert np.linalg.norm(end - gradient_descent_limit(x, y, w)) <= bound + floor


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_bound_is_at_most_one_plus_two_t_times_the_power_of_the_largest_root(seed):
    rng, x, y, w = problem(seed)
    start = np.linalg.norm(gradient_descent_limit(x, y, w) - w)
    for variant in ("heavy_ball", "nesterov"):
        beta = float(rng.uniform(0, 0.95))
        step = rng.uniform(0.05, 0.95) * largest_stable_momentum_step(x, momentum=beta, variant=variant)
        options = {"step": step, "momentum": beta, "variant": variant}
        rate = momentum_contraction(x, **options)
        for t in (0, 1, 7, 60):
            assert momentum_bound(x, y, w, steps=t, **options) <= (1 + 2 * t) * rate**t * start * (1 + 1e-12)


def test_heavy_balls_limit_is_that_of_wide_networks_with_the_gram_matrix_as_their_kernel():
    _, x, _, _ = problem(21)
    for beta in (0.0, 0.5, 0.9):
        other = largest_step_size_sum_loss(x @ x.T, momentum=beta)
        assert largest_stable_momentum_step(x, momentum=beta) == pytest.approx(other, rel=1e-13)


def test_degenerate_designs_and_bad_input():
    w = np.arange(3.0)
    zero = np.zeros((2, 3))
    assert np.array_equal(momentum_path(zero, np.ones(2), w, step=1.0, momentum=0.5, time=9), w)
    assert momentum_contraction(zero, step=1.0, momentum=0.5) == 0
    assert largest_stable_momentum_step(zero, momentum=0.5) == math.inf
    assert momentum_rounding_floor(zero, np.ones(2), w, step=1.0, momentum=0.5, steps=3) == 0
    x, y = np.eye(2, 3), np.ones(2)
    for change in (
        {"momentum": 1.0}, {"momentum": -0.1}, {"momentum": math.nan}, {"variant": "adam"}, {"time": 1.5}, {"time": -1},
        {"step": 0.0}, {"step": math.inf}, {"step": "0.1"},
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            momentum_path(x, y, w, **{"step": 0.1, "momentum": 0.5, "time": 3} | change)
    with pytest.raises(InvalidInput):
        momentum_modes([-1.0], momentum=0.5)
    with pytest.raises(InvalidInput):
        largest_stable_momentum_step(x, momentum=0.5, variant="polyak")
