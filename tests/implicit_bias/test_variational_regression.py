"""The limit law of variational regression: real descent reaches it and no feasible law is nearer to the prior."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.least_squares import contraction_factor, largest_stable_step, null_projector
from nonvacuous.numerics.implicit_bias.variational_regression import (
    distance_to_limit_bound,
    distance_to_prior_squared,
    law_rounding_floor,
    regression_limit,
    regression_path,
)
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2, wasserstein2_squared
from nonvacuous.numerics.training.linear_gd import descend_gaussian_law
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, p, rank = (int(v) for v in rng.integers(1, 8, size=3))
    x = rng.normal(size=(n, p))
    if rng.random() < 0.3 and min(n, p) > 1:
        x[-1] = x[0]
    prior = GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))
    return rng, x, rng.normal(size=n), prior


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_descent_on_mean_and_factor_follows_the_path_and_approaches_the_limit(seed):
    rng, x, y, prior = problem(seed)
    step = rng.uniform(0.2, 0.9) * largest_stable_step(x)
    last = min(int(40 / (1 - contraction_factor(x, step))), 1500)
    times = sorted({1, last // 20, last} - {0})
    means, factors = descend_gaussian_law(x, y, prior.mean, prior.factor, step=step, record=times)
    limit = regression_limit(x, y, prior)
    for t, mean, factor in zip(times, means, factors, strict=True):
        measured, path = GaussianLaw(mean, factor), regression_path(x, y, prior, step=step, time=t)
        floor = law_rounding_floor(x, y, prior, step=step, steps=t)
        assert np.hypot(np.linalg.norm(mean - path.mean), np.linalg.norm(factor - path.factor)) <= floor
        assert wasserstein2(measured, limit) <= distance_to_limit_bound(x, y, prior, step=step, steps=t) + floor


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_distance_to_the_prior_is_the_wasserstein_distance(seed):
    _, x, y, prior = problem(seed)
    limit = regression_limit(x, y, prior)
    square = distance_to_prior_squared(x, y, prior)
    size = np.linalg.norm(limit.mean) ** 2 + np.linalg.norm(prior.mean) ** 2 + np.linalg.norm(prior.factor) ** 2
    condition = 1 + np.linalg.norm(np.linalg.pinv(x)) * np.linalg.norm(x)
    assert wasserstein2_squared(limit, prior) == pytest.approx(square, abs=1e-14 * condition * size)
    p = null_projector(x)
    np.testing.assert_allclose(
        covariance(limit), p @ covariance(prior) @ p, rtol=0, atol=1e-14 * condition * np.linalg.norm(prior.factor) ** 2
    )


def test_two_thousand_feasible_laws_are_never_nearer():
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(2, 5)), rng.normal(size=2)
    prior = GaussianLaw(rng.normal(size=5), rng.normal(size=(5, 3)))
    limit, p = regression_limit(x, y, prior), null_projector(x)
    best = wasserstein2_squared(limit, prior)
    nearest = np.inf
    for _ in range(2000):
        size = 10 ** rng.uniform(-4, 1)
        rank = int(rng.integers(1, 6))
        base = limit.factor @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
        factor = np.pad(base, ((0, 0), (0, max(rank - 3, 0)))) if rank >= 3 else base[:, :rank]
        factor = factor + size * p @ rng.normal(size=factor.shape)
        rival = GaussianLaw(limit.mean + size * p @ rng.normal(size=5), factor)
        assert np.abs(x @ rival.mean - y).max() < 1e-12
        assert np.abs(x @ rival.factor).max() < 1e-12
        nearest = min(nearest, wasserstein2_squared(rival, prior) - best)
    assert -1e-13 < nearest < 1e-4


def test_variance_at_the_training_inputs_vanishes_as_predicted():
    rng = np.random.default_rng(12)
    x, y = rng.normal(size=(3, 6)), rng.normal(size=3)
    prior = GaussianLaw(rng.normal(size=6), rng.normal(size=(6, 4)))
    step = 0.95 * largest_stable_step(x)
    times = range(0, 60, 4)
    _, factors = descend_gaussian_law(x, y, prior.mean, prior.factor, step=step, record=times)
    kernel = np.eye(3) - step * x @ x.T
    totals = []
    for t, factor in zip(times, factors, strict=True):
        predicted = np.sum((np.linalg.matrix_power(kernel, t) @ x @ prior.factor) ** 2, axis=1)
        np.testing.assert_allclose(np.sum((x @ factor) ** 2, axis=1), predicted, rtol=1e-10, atol=1e-24)
        totals.append(predicted.sum())
    assert np.all(np.diff(totals) < 0)


def test_special_cases():
    rng = np.random.default_rng(13)
    x, y, mean, factor = rng.normal(size=(2, 4)), rng.normal(size=2), rng.normal(size=4), rng.normal(size=(4, 3))
    # Point estimate: a zero factor stays zero.
    assert not regression_limit(x, y, GaussianLaw(mean, np.zeros((4, 1)))).factor.any()
    # No data: nothing moves.
    prior = GaussianLaw(mean, factor)
    empty = regression_limit(np.zeros((0, 4)), np.zeros(0), prior)
    assert np.array_equal(empty.mean, mean)
    assert np.array_equal(empty.factor, factor)
    # Full column rank: all variance is trained away.
    tall = regression_limit(rng.normal(size=(6, 4)), rng.normal(size=6), prior)
    assert np.abs(tall.factor).max() < 1e-14
    # A factor inside ker X is frozen.
    frozen = null_projector(x) @ factor
    np.testing.assert_allclose(regression_limit(x, y, GaussianLaw(mean, frozen)).factor, frozen, atol=1e-14)
    # Isotropic prior: the limit is the exact posterior for noise-free observations.
    posterior = 4.0 * (np.eye(4) - x.T @ np.linalg.solve(x @ x.T, x))
    isotropic = regression_limit(x, y, GaussianLaw(mean, 2 * np.eye(4)))
    np.testing.assert_allclose(covariance(isotropic), posterior, atol=1e-13)
    np.testing.assert_allclose(isotropic.mean, mean + x.T @ np.linalg.solve(x @ x.T, y - x @ mean), atol=1e-13)


def test_bad_input_is_refused():
    prior = GaussianLaw(np.zeros(3), np.eye(3))
    x, y = np.eye(2, 3), np.ones(2)
    for call in (
        lambda: regression_limit(x, np.ones(3), prior),
        lambda: regression_limit(np.eye(2), y, prior),
        lambda: regression_limit(x, y, np.eye(3)),
        lambda: regression_path(x, y, prior, step=0.1, time=0.5),
        lambda: distance_to_prior_squared(x, [np.nan, 1], prior),
    ):
        with pytest.raises(InvalidInput):
            call()
    with pytest.raises(AssumptionViolated):
        distance_to_limit_bound(x, y, prior, step=2.5, steps=3)
