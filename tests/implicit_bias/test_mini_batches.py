"""Mini-batch descent: draws, curvature over all batches, exact moments, the stationary law, a torch loader, refusals."""

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
from nonvacuous.numerics.implicit_bias.mini_batches import (
    batch_curvature,
    batch_rounding_floor,
    error_moments,
    largest_stable_batch_step,
    mean_square_bound,
    mean_square_contraction,
    require_interpolation,
    stationary_covariance,
)
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, *, interpolating):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    p = n + 2 if interpolating else int(rng.integers(1, n))
    size = int(rng.integers(1, n + 1))
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=p), size


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_no_path_ever_moves_away_from_the_limit_or_out_of_the_row_space(seed):
    rng, x, y, w, size = problem(seed, interpolating=True)
    step = rng.uniform(0.1, 0.95) * largest_stable_batch_step(x, batch_size=size)
    limit, start, n = gradient_descent_limit(x, y, w), w.copy(), len(y)
    floor = batch_rounding_floor(x, y, w, step=step, batch_size=size, steps=40)
    distance = np.linalg.norm(w - limit)
    for _ in range(40):
        batch = rng.choice(n, size, replace=False)
        w = w - step * n / size * x[batch].T @ (x[batch] @ w - y[batch])
        assert np.linalg.norm(w - limit) <= distance + 2 * floor
        distance = np.linalg.norm(w - limit)
        assert np.linalg.norm(null_projector(x) @ (w - start)) <= 2 * floor


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_moments_are_those_of_every_sequence_of_batches(seed, interpolating):
    rng, x, y, w, size = problem(seed, interpolating=interpolating)
    step = rng.uniform(0.1, 0.9) * largest_stable_batch_step(x, batch_size=size)
    limit, n = gradient_descent_limit(x, y, w), len(y)
    ends = []
    for first, second in itertools.product(itertools.combinations(range(n), size), repeat=2):
        v = w
        for batch in (list(first), list(second)):
            v = v - step * n / size * x[batch].T @ (x[batch] @ v - y[batch])
        ends.append(v - limit)
    ends = np.array(ends)
    mean, moment = error_moments(x, y, w, step=step, batch_size=size, time=2)
    scale = 1 + np.abs(ends).max()
    np.testing.assert_allclose(mean, ends.mean(axis=0), atol=1e-11 * scale)
    np.testing.assert_allclose(moment, ends.T @ ends / len(ends), atol=1e-11 * scale**2)
    if interpolating:
        bound = mean_square_bound(x, y, w, step=step, batch_size=size, steps=2)
        assert np.trace(moment) <= bound * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_stationary_law_is_what_moments_tend_to_and_vanishes_with_the_noise(seed):
    rng, x, y, w, size = problem(seed, interpolating=False)
    step = rng.uniform(0.2, 0.8) * largest_stable_batch_step(x, batch_size=size)
    law = stationary_covariance(x, y, step=step, batch_size=size)
    assert np.linalg.eigvalsh(law).min() >= -1e-12 * np.trace(law)
    steps = min(math.ceil(-20 / math.log(mean_square_contraction(x, step=step, batch_size=size))), 3000)
    rate = mean_square_contraction(x, step=step, batch_size=size) ** steps
    mean, moment = error_moments(x, y, w, step=step, batch_size=size, time=steps)
    start = np.sum((w - gradient_descent_limit(x, y, w)) ** 2)
    # cross terms of mean and noise decay only like the mean itself, whose square decays at least like `rate`
    allowed = (rate + 2 * math.sqrt(rate) * steps) * (start + np.trace(law) + 1) + 1e-9 * np.trace(law)
    assert np.linalg.norm(moment - law) <= allowed
    assert np.linalg.norm(mean) <= math.sqrt(rate * start) + 1e-9
    if size < len(y):
        assert np.trace(law) > 0
    assert np.abs(stationary_covariance(x, y, step=step, batch_size=len(y))).max() <= 1e-20
    fitted = x @ w
    assert np.trace(stationary_covariance(x, fitted, step=step, batch_size=size)) <= 1e-20 * (1 + np.sum(fitted**2))


def test_full_batches_are_plain_descent_and_their_curvature_is_h_max():
    _rng, x, y, w, _ = problem(4, interpolating=True)
    assert batch_curvature(x, batch_size=len(y)) == pytest.approx(np.linalg.norm(x, 2) ** 2, rel=1e-14)
    assert largest_stable_batch_step(x, batch_size=len(y)) == pytest.approx(largest_stable_step(x), rel=1e-14)
    step = 0.4 * largest_stable_step(x)
    mean, moment = error_moments(x, y, w, step=step, batch_size=len(y), time=5)
    d = gradient_descent_path(x, y, w, step=step, time=5) - gradient_descent_limit(x, y, w)
    np.testing.assert_allclose(mean, d, atol=1e-14)
    np.testing.assert_allclose(moment, np.outer(d, d), atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_the_bound_on_the_curvature_covers_what_enumeration_finds(seed):
    rng, x, _, _, size = problem(seed, interpolating=True)
    n = len(x)
    found = max(n / size * np.linalg.norm(x[list(b)], 2) ** 2 for b in itertools.combinations(range(n), size))
    assert batch_curvature(x, batch_size=size) == pytest.approx(found, rel=1e-13)
    many = np.vstack([x] * 8)  # too many batches to try
    bound = batch_curvature(many, batch_size=len(many) // 2)
    for _ in range(20):
        batch = rng.choice(len(many), len(many) // 2, replace=False)
        assert 2 * np.linalg.norm(many[batch], 2) ** 2 <= bound * (1 + 1e-12)


def test_orthogonal_rows_attain_the_bound():
    x, y, w = np.eye(3, 5), np.ones(3), np.zeros(5)
    bound = mean_square_bound(x, y, w, step=0.2, batch_size=1, steps=7)
    _, moment = error_moments(x, y, w, step=0.2, batch_size=1, time=7)
    assert np.trace(moment) == pytest.approx(bound, rel=1e-13)


def test_torch_with_a_shuffled_loader_reaches_the_same_limit_although_batches_are_not_independent():
    # an epoch without replacement: every batch map still contracts, and they vanish together at w_inf
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(4, 7)), rng.normal(size=4), rng.normal(size=7)
    data = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    loader = torch.utils.data.DataLoader(data, batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(1))
    weights = torch.nn.Parameter(torch.tensor(w))
    # the loader's loss is the mean over the batch: a step of N times ours
    optimiser = torch.optim.SGD([weights], lr=4 * 0.5 * largest_stable_batch_step(x, batch_size=2))
    for _ in range(250):
        for batch, goal in loader:
            optimiser.zero_grad()
            (0.5 * (goal - batch @ weights) ** 2).mean().backward()
            optimiser.step()
    np.testing.assert_allclose(weights.detach().numpy(), gradient_descent_limit(x, y, w), atol=1e-12)


def test_refusals():
    _rng, x, y, w, _ = problem(2, interpolating=False)
    with pytest.raises(AssumptionViolated, match="cannot be interpolated"):
        mean_square_bound(x, y, w, step=1e-3, batch_size=1, steps=3)
    with pytest.raises(AssumptionViolated, match="2 / L_max"):
        mean_square_contraction(x, step=1.1 * largest_stable_batch_step(x, batch_size=1), batch_size=1)
    with pytest.raises(AssumptionViolated, match="second moments grow"):
        stationary_covariance(x, y, step=50 * largest_stable_batch_step(x, batch_size=1), batch_size=1)
    require_interpolation(x, x @ w)
    zero = np.zeros((3, 2))
    assert largest_stable_batch_step(zero, batch_size=1) == math.inf
    assert mean_square_contraction(zero, step=1.0, batch_size=1) == 0
    assert not stationary_covariance(zero, np.ones(3), step=1.0, batch_size=1).any()
    for change in (
        {"batch_size": 0},
        {"batch_size": 99},
        {"batch_size": 1.5},
        {"step": 0.0},
        {"step": math.nan},
        {"time": -1},
    ):
        with pytest.raises(InvalidInput):
            error_moments(x, y, w, **{"step": 0.01, "batch_size": 1, "time": 2} | change)
