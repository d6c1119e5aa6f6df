"""Other parametrisations of the covariance: triangles, log-scales, softplus, Sigma itself, scaled factors, autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.covariance_parameters import (
    cholesky_limit,
    cholesky_path,
    covariance_steps_until_indefinite,
    log_scale_flow,
    softplus_flow_lower_bound,
)
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.least_squares import largest_stable_step
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit, regression_path
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2_squared
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(2, 6))
    n = int(rng.integers(1, p))
    factor = np.tril(rng.normal(size=(p, p)), -1) + np.diag(rng.uniform(0.5, 2, p))
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), factor)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_the_triangle_fits_the_data_and_is_never_nearer_to_the_prior_than_the_free_factor(seed):
    _, x, y, prior = problem(seed)
    law, best = cholesky_limit(x, y, prior), regression_limit(x, y, prior)
    worst = max(np.linalg.cond(x[:, j:]) for j in range(x.shape[1]))
    size = np.sum(prior.factor**2)
    assert np.linalg.norm(x @ law.factor) <= 1e-13 * worst * np.linalg.norm(x) * math.sqrt(size)
    gap = wasserstein2_squared(law, prior) - wasserstein2_squared(best, prior)
    assert gap >= -1e-12 * worst * (size + np.sum((law.mean - prior.mean) ** 2))
    # the last column has one entry left: it is trained away as soon as the last feature is used
    assert abs(law.factor[-1, -1]) <= 1e-14
    assert not np.triu(law.factor, 1).any()


def test_the_order_of_the_features_matters_for_the_triangle_only():
    _, x, y, prior = problem(3)
    flipped = GaussianLaw(prior.mean[::-1], np.linalg.cholesky(covariance(prior)[::-1, ::-1]))
    free = [covariance(regression_limit(x, y, prior)), covariance(regression_limit(x[:, ::-1], y, flipped))[::-1, ::-1]]
    np.testing.assert_allclose(free[1], free[0], atol=1e-12)
    law, other = cholesky_limit(x, y, prior), cholesky_limit(x[:, ::-1], y, flipped)
    assert np.linalg.norm(covariance(other)[::-1, ::-1] - covariance(law)) > 1e-2


def test_automatic_gradients_follow_the_triangle_the_scales_and_sigma():
    _, x, y, prior = problem(5)
    design, step = torch.tensor(x), 0.5 * largest_stable_step(x)

    def descend(start, loss, rate, steps):
        value = torch.tensor(start)
        for _ in range(steps):
            value.requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss(value), value)
            value = (value - rate * gradient).detach()
        return value.numpy()

    def fit(factor):
        return 0.5 * ((design @ factor) ** 2).sum()

    triangle = descend(prior.factor, lambda v: fit(torch.tril(v)), step, 20)
    np.testing.assert_allclose(triangle, cholesky_path(x, y, prior, step=step, time=20).factor, atol=1e-13)
    scales = np.sqrt(np.diag(covariance(prior)))
    time, steps = 1 / np.max(np.sum(x**2, axis=0) * scales**2), 4000
    rho = descend(np.log(scales), lambda v: fit(torch.diag(torch.exp(v))), time / steps, steps)
    np.testing.assert_allclose(np.exp(rho), log_scale_flow(x, scales, time=time), rtol=1e-3)
    soft = descend(
        np.log(np.expm1(scales)), lambda v: fit(torch.diag(torch.nn.functional.softplus(v))), time / steps, steps
    )
    assert (np.logaddexp(0, soft) >= softplus_flow_lower_bound(x, scales, time=time) * (1 - 1e-3)).all()
    # Sigma itself: the gradient is constant and the objective falls without bound
    sigma = descend(covariance(prior), lambda v: 0.5 * torch.trace(design @ v @ design.T), 0.1, 7)
    np.testing.assert_allclose(sigma, covariance(prior) - 0.7 * x.T @ x / 2, atol=1e-13)
    # S = c S' with step eta on S' is S with step c^2 eta
    scaled = 3 * descend(prior.factor / 3, lambda v: fit(3 * v), step / 9, 20)
    np.testing.assert_allclose(scaled, regression_path(x, y, prior, step=step, time=20).factor, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_sigma_leaves_the_cone_exactly_then(seed):
    _, x, _, prior = problem(seed)
    steps = covariance_steps_until_indefinite(x, prior, step=0.01)
    for factor, sign in ((1 - 1e-6, 1), (1 + 1e-6, -1)):
        least = np.linalg.eigvalsh(covariance(prior) - 0.01 * factor * steps * x.T @ x / 2)[0]
        assert sign * least > 0 or abs(least) < 1e-12 * np.linalg.norm(prior.factor) ** 2


def test_log_scales_decay_like_one_over_t_and_unused_parameters_stay():
    x, s = np.array([[2.0, 0.0]]), np.array([1.5, 0.3])
    late = log_scale_flow(x, s, time=np.array([0.0, 1e6, 1e8]))
    assert late[0].tolist() == s.tolist()
    assert late[1, 0] ** 2 / late[2, 0] ** 2 == pytest.approx(100, rel=1e-5)
    assert late[2, 1] == 0.3
    assert late[2, 0] ** 2 * 2 * 4 * 1e8 == pytest.approx(1, rel=1e-7)


def test_refusals():
    _, x, y, prior = problem(1)
    full = GaussianLaw(prior.mean, prior.factor + np.triu(np.ones_like(prior.factor), 1))
    for law in (full, GaussianLaw(prior.mean, prior.factor[:, :1])):
        with pytest.raises(InvalidInput, match="not lower-triangular"):
            cholesky_limit(x, y, law)
    with pytest.raises(AssumptionViolated):
        cholesky_path(x, y, prior, step=1.01 * largest_stable_step(x), time=3)
    with pytest.raises(AssumptionViolated, match="singular"):
        covariance_steps_until_indefinite(x, GaussianLaw(prior.mean, prior.factor[:, :1]), step=0.1)
    for scales in (-np.ones(x.shape[1]), np.zeros(x.shape[1]), np.ones(99)):
        with pytest.raises(InvalidInput):
            log_scale_flow(x, scales, time=1.0)
    with pytest.raises(InvalidInput):
        log_scale_flow(x, np.ones(x.shape[1]), time=-1.0)
    assert covariance_steps_until_indefinite(0 * x, prior, step=0.1) == math.inf
