"""Constants of regression under metrics, penalties and KL that larger checks cannot see: defaults, cutoffs, rounding floors, zero targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.numerics.implicit_bias.covariance_parameters import (
    cholesky_limit,
    cholesky_path,
    log_scale_flow,
    softplus_flow_lower_bound,
)
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.kl_regression import (
    conditioning_floor,
    kl_to_prior,
    mean_field_posterior,
    row_mixing,
    tempered_posterior,
)
from nonvacuous.numerics.implicit_bias.metric import largest_stable_metric_step, metric_rounding_floor
from nonvacuous.numerics.implicit_bias.metric_regression import (
    metric_law_rounding_floor,
    metric_regression_limit,
    metric_regression_path,
    prior_power,
)
from nonvacuous.numerics.implicit_bias.spectral_filters import filter_rounding_floor
from nonvacuous.numerics.implicit_bias.wasserstein_regression import proximal_law, proximal_rounding_floor
from nonvacuous.theory.errors import InvalidInput

UNIT = 2.0**-53
RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(2, 4)), np.array([1.5, 0.0])  # a target of 0: nothing may divide by it
FACTOR = np.tril(RNG.normal(size=(4, 4))) + 2 * np.eye(4)
PRIOR = GaussianLaw(RNG.normal(size=4), FACTOR)
METRIC, OTHER = np.diag([1.0, 2.0, 0.5, 1.5]), np.diag([0.5, 1.0, 3.0, 1.0])


def descend(goal, start, metric, *, step, steps, momentum=0.0):
    w = before = start
    for _ in range(steps):
        w, before = w - step * metric @ X.T @ (X @ w - goal) + momentum * (w - before), w
    return w


@pytest.mark.parametrize("momentum", [None, 0.3])
def test_a_path_in_two_metrics_is_descent_on_mean_and_columns(momentum):
    step = 0.4 * min(largest_stable_metric_step(X, metric=m) for m in (METRIC, OTHER))
    options = {} if momentum is None else {"momentum": momentum}
    law = metric_regression_path(X, Y, PRIOR, mean_metric=METRIC, factor_metric=OTHER, step=step, time=9, **options)
    mean = descend(Y, PRIOR.mean, METRIC, step=step, steps=9, **options)
    columns = [descend(0 * Y, column, OTHER, step=step, steps=9, **options) for column in FACTOR.T]
    np.testing.assert_allclose(law.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(law.factor, np.stack(columns, axis=1), rtol=1e-11, atol=1e-13)
    limit = metric_regression_limit(X, Y, PRIOR, mean_metric=METRIC, factor_metric=OTHER)
    far = [
        descend(goal, start, m, step=step, steps=3000)
        for goal, start, m in ((Y, PRIOR.mean, METRIC), (0 * Y, FACTOR[:, 0], OTHER))
    ]
    np.testing.assert_allclose(limit.mean, far[0], atol=1e-11)
    np.testing.assert_allclose(limit.factor[:, 0], far[1], atol=1e-11)


def test_powers_of_the_prior_are_powers():
    root = prior_power(PRIOR, 0.5)
    np.testing.assert_allclose(root @ root, covariance(PRIOR), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(prior_power(PRIOR, 1.0), covariance(PRIOR), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(prior_power(PRIOR, 0.0), np.eye(4), atol=1e-13)
    assert np.array_equal(root, root.T)


def test_floors_of_laws_are_those_of_mean_and_columns_in_quadrature():
    step = 0.4 * largest_stable_metric_step(X, metric=METRIC)
    runs = [(Y, PRIOR.mean, METRIC), *((0 * Y, column, 0.5 * METRIC) for column in FACTOR.T)]
    for options in ({}, {"momentum": 0.3}):
        found = metric_law_rounding_floor(
            X, Y, PRIOR, mean_metric=METRIC, factor_metric=0.5 * METRIC, step=step, steps=7, **options
        )
        parts = [
            metric_rounding_floor(X, goal, start, metric=m, step=step, steps=7, **options) for goal, start, m in runs
        ]
        assert found == pytest.approx(math.sqrt(sum(part**2 for part in parts)), rel=1e-14, abs=0)
    parts = [filter_rounding_floor(X, goal, start, time=1 / 0.3) for goal, start, _ in runs]
    expected = math.sqrt(sum(part**2 for part in parts)) + UNIT * np.linalg.norm(FACTOR)
    assert proximal_rounding_floor(X, Y, PRIOR, penalty=0.3) == pytest.approx(expected, rel=1e-14, abs=0)


def test_zero_targets_are_targets():
    """Where a target is 0 the factor is trained as everywhere else."""
    other = np.array([1.5, 2.0])
    np.testing.assert_array_equal(
        proximal_law(X, Y, PRIOR, penalty=0.3).factor, proximal_law(X, other, PRIOR, penalty=0.3).factor
    )
    np.testing.assert_array_equal(cholesky_limit(X, Y, PRIOR).factor, cholesky_limit(X, other, PRIOR).factor)
    np.testing.assert_array_equal(*(cholesky_path(X, goal, PRIOR, step=0.01, time=3).factor for goal in (Y, other)))


def test_the_conditioning_floor_is_the_derived_one():
    """Its docstring, term by term: n = 2, p = 4, R = 3, so that the three sizes differ."""
    prior = GaussianLaw(PRIOR.mean, FACTOR[:, :3])
    size, norm, shift = np.linalg.norm(prior.factor), np.linalg.norm(X), np.linalg.norm(prior.mean)
    residual, largest = np.linalg.norm(Y - X @ prior.mean), 4
    for weight in (0.0, 0.35):
        g = np.linalg.svd(X @ prior.factor, compute_uv=False)[-1] ** 2 + weight
        moved = (3 * largest + 2) * UNIT * norm * size
        error = (largest + 2) * UNIT * (norm * shift + np.linalg.norm(Y))
        sums = 4 * largest * UNIT
        mean = size * (3 * moved * residual / g + error / math.sqrt(g)) + sums * (
            shift + size * residual / math.sqrt(g)
        )
        root = size * (4 * moved / math.sqrt(g) + sums)
        found = conditioning_floor(X, Y, prior, weight=weight)
        assert found == pytest.approx((mean, (2 * size + root) * root + sums * size**2), rel=1e-13, abs=0)
    zero = conditioning_floor(0 * X, Y, prior, weight=0.35)
    error = (largest + 2) * UNIT * np.linalg.norm(Y)
    expected = size * error / math.sqrt(1.35) + sums * (shift + size * np.linalg.norm(Y) / math.sqrt(1.35))
    assert zero[0] == pytest.approx(expected, rel=1e-14, abs=0)


def test_what_rounding_makes_of_the_mixing_is_the_derived_bound():
    prior = GaussianLaw(PRIOR.mean, FACTOR[:, :3])
    values = np.linalg.svd(X, compute_uv=False)
    turned, products = 2 * (4 * 2 * UNIT * values[0]) / values[-1], (3 + 3 * 4) * UNIT
    mixing, floor = row_mixing(X, prior)
    right = np.linalg.svd(X, full_matrices=False)[2]
    q = right.T @ right
    assert mixing == pytest.approx(np.linalg.norm((np.eye(4) - q) @ covariance(prior) @ q), rel=1e-12)
    assert floor == pytest.approx((turned + products) * np.sum(prior.factor**2), rel=1e-14, abs=0)
    assert row_mixing(0 * X, prior) == (0.0, 0.0)


def test_singular_is_relative_to_the_prior():
    """Units do not matter: a prior of size 1e-9 is as regular as one of size 1."""
    for scale in (1e-9, 1.0, 1e9):
        small, law = GaussianLaw(PRIOR.mean, scale * FACTOR), GaussianLaw(PRIOR.mean, 0.5 * scale * FACTOR)
        assert kl_to_prior(law, small) == pytest.approx(0.5 * 4 * (0.25 - 1 - math.log(0.25)), rel=1e-12)
        assert np.isfinite(tempered_posterior(X, Y, small, noise=1.0).mean).all()
        narrow = GaussianLaw(PRIOR.mean, scale * FACTOR @ np.diag([1.0, 1.0, 1.0, 1e-17]))
        assert kl_to_prior(narrow, small) == math.inf


def test_weights_default_to_one():
    for found, expected in zip(
        mean_field_posterior(X, Y, PRIOR, noise=0.3),
        mean_field_posterior(X, Y, PRIOR, noise=0.3, kl_weight=1.0),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_times_and_bounds_of_scales():
    scales = np.array([0.5, 1.0, 2.0, 3.0])
    with pytest.raises(InvalidInput, match="negative"):
        log_scale_flow(X, scales, time=[-1.0, 2.0])
    squares = np.sum(X**2, axis=0)
    for time in (0.0, 0.2, 5.0):
        fast, slow = scales * np.exp(-squares * time), scales / np.sqrt(1 + 2 * squares * scales**2 * time)
        found = softplus_flow_lower_bound(X, scales, time=time)
        np.testing.assert_allclose(found, np.maximum(fast, slow), rtol=1e-14)
    assert (scales * np.exp(-squares * 0.02) > scales / np.sqrt(1 + 2 * squares * scales**2 * 0.02)).any()
    np.testing.assert_allclose(
        softplus_flow_lower_bound(X, scales, time=0.02),
        np.maximum(scales * np.exp(-squares * 0.02), scales / np.sqrt(1 + 2 * squares * scales**2 * 0.02)),
        rtol=1e-14,
    )
