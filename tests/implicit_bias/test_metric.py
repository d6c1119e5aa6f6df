"""Descent in a metric: exact identities, reparametrisations, minimality, adaptive optimisers of torch, bad metrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.least_squares import gradient_descent_limit, null_projector
from nonvacuous.numerics.implicit_bias.metric import (
    largest_stable_metric_step,
    metric_contraction,
    metric_convergence_bound,
    metric_limit,
    metric_path,
    metric_root,
    metric_rounding_floor,
    oblique_projector,
)
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, p = rng.integers(1, 8, size=2)
    diagonal = rng.uniform(0.2, 3, p)
    rotation = np.linalg.qr(rng.normal(size=(p, p)))[0]
    full = rotation * diagonal @ rotation.T
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=p), (full + full.T) / 2


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_real_descent_in_the_metric_stays_within_floor_and_bound(seed):
    rng, x, y, w, metric = problem(seed)
    step = rng.uniform(0.1, 0.9) * largest_stable_metric_step(x, metric=metric)
    limit, v = metric_limit(x, y, w, metric=metric), w.copy()
    for t in range(201):
        if t in (0, 1, 20, 200):
            floor = metric_rounding_floor(x, y, w, metric=metric, step=step, steps=t)
            assert np.linalg.norm(v - metric_path(x, y, w, metric=metric, step=step, time=t)) <= floor
            bound = metric_convergence_bound(x, y, w, metric=metric, step=step, steps=t)
            assert np.linalg.norm(v - limit) <= bound + floor
        v = v - step * metric @ (x.T @ (x @ v - y))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_oblique_projector_satisfies_its_identities(seed):
    _, x, y, w, metric = problem(seed)
    pi, size = oblique_projector(x, metric=metric), np.linalg.norm(x, 2)
    scale = np.linalg.cond(metric) ** 2
    for zero, unit in ((pi @ pi - pi, 1), (x @ pi, size), (pi @ metric - metric @ pi.T, 3)):
        assert np.abs(zero).max() <= 1e-13 * unit * scale
    # the limit is Pi w_0 plus the limit from 0
    from_zero = metric_limit(x, y, 0 * w, metric=metric)
    np.testing.assert_allclose(
        metric_limit(x, y, w, metric=metric), pi @ w + from_zero, atol=1e-11 * scale * (1 + np.abs(from_zero).max())
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_multiples_of_the_identity_and_rescaled_metrics_change_nothing(seed):
    _rng, x, y, w, metric = problem(seed)
    plain = gradient_descent_limit(x, y, w)
    floor = metric_rounding_floor(
        x, y, w, metric=metric, step=0.5 * largest_stable_metric_step(x, metric=metric), steps=1
    )
    assert np.linalg.norm(metric_limit(x, y, w, metric=np.full(len(w), 0.3)) - plain) <= 4 * floor
    scaled = metric_limit(x, y, w, metric=metric * 7.0)
    assert np.linalg.norm(scaled - metric_limit(x, y, w, metric=metric)) <= 4 * floor
    np.testing.assert_allclose(oblique_projector(x, metric=np.ones(len(w))), null_projector(x), atol=1e-13)
    # step sizes matter only per unit of curvature: eta D is what counts
    assert largest_stable_metric_step(x, metric=7 * metric) == pytest.approx(
        largest_stable_metric_step(x, metric=metric) / 7
    )


def test_a_fast_parameter_does_the_work():
    x, y, w = np.array([[1.0, 1.0]]), np.array([1.0]), np.zeros(2)
    np.testing.assert_allclose(metric_limit(x, y, w, metric=[1.0, 1.0]), [0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(metric_limit(x, y, w, metric=[1.0, 3.0]), [0.25, 0.75], rtol=1e-15)
    assert metric_contraction(x, metric=[1.0, 3.0], step=0.25) == pytest.approx(0, abs=1e-15)


def test_where_the_data_cannot_be_interpolated_the_metric_still_leaves_the_loss_at_its_minimum():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 4))
    y, w, metric = rng.normal(size=6), rng.normal(size=4), np.array([1.0, 2.0, 4.0, 0.5])
    limit = metric_limit(x, y, w, metric=metric)
    assert np.abs(x.T @ (x @ limit - y)).max() < 1e-12
    assert np.linalg.norm(limit - gradient_descent_limit(x, y, w)) > 1e-2
    # D^{-1} (w_inf - w_0) is a combination of the rows
    assert np.abs(null_projector(x) @ ((limit - w) / metric)).max() < 1e-12


@pytest.mark.parametrize("optimiser", ["Adam", "Adagrad", "RMSprop"])
def test_adaptive_optimisers_of_torch_do_not_end_at_the_nearest_solution(optimiser):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 5)), rng.normal(size=2)
    weights = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    run = getattr(torch.optim, optimiser)([weights], lr=0.05)
    schedule = torch.optim.lr_scheduler.ExponentialLR(run, 0.96)
    for _ in range(250):
        run.zero_grad()
        (0.5 * ((torch.tensor(y) - torch.tensor(x) @ weights) ** 2).sum()).backward()
        run.step()
        schedule.step()
    found = weights.detach().numpy()
    # whatever they still lack of the data is orthogonal to this: D = I never leaves the row space
    assert np.linalg.norm(null_projector(x) @ found) > 0.02 * np.linalg.norm(found)
    plain = gradient_descent_limit(x, y, np.zeros(5))
    assert np.linalg.norm(null_projector(x) @ plain) < 1e-14


@pytest.mark.parametrize(
    "metric",
    [
        np.zeros(3), [1.0, -1.0, 1.0], [1.0, 1.0], np.ones((2, 2)), np.ones((3, 3)), -np.eye(3), [1.0, math.nan, 1.0],
        np.eye(3) + np.triu(np.ones((3, 3)), 1), [1.0, math.inf, 1.0], "metric",
    ],
)  # fmt: skip
def test_bad_metrics_are_refused(metric):
    with pytest.raises(InvalidInput):
        metric_limit(np.eye(2, 3), np.ones(2), np.zeros(3), metric=metric)


def test_unstable_steps_and_zero_designs():
    x, y, w = np.eye(2, 3), np.ones(2), np.zeros(3)
    with pytest.raises(AssumptionViolated, match="between 0 and"):
        metric_path(x, y, w, metric=[4.0, 1.0, 1.0], step=0.6, time=3)
    zero = np.zeros((2, 3))
    assert np.array_equal(metric_limit(zero, y, w, metric=np.ones(3)), w)
    assert metric_rounding_floor(zero, y, w, metric=np.ones(3), step=1.0, steps=5) == 0
    assert np.array_equal(metric_root([4.0, 9.0], parameters=2), np.diag([2.0, 3.0]))
