"""KL-regularised regression: textbook posterior, both limits, singular laws, mean-field collapse, the gap to W2."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.kl_regression import (
    is_row_invariant,
    kl_objective,
    kl_to_prior,
    mean_field_descent,
    mean_field_posterior,
    noise_free_posterior,
    tempered_posterior,
)
from nonvacuous.numerics.implicit_bias.least_squares import largest_stable_step, null_projector
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed, *, wide=None):
    rng = np.random.default_rng(seed)
    n, p = (int(k) for k in rng.integers(1, 7, size=2))
    if wide:
        p = n + 2
    rotations = [np.linalg.qr(rng.normal(size=(p, p)))[0] for _ in range(2)]
    factor = rotations[0] * rng.uniform(0.5, 2, p) @ rotations[1]
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), factor)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_posterior_is_the_textbook_formula_and_temperature_only_scales_its_covariance(seed):
    rng, x, y, prior = problem(seed)
    noise, weight, t = rng.uniform(0.1, 2), rng.uniform(0.1, 2), rng.uniform(0.01, 1)
    law = tempered_posterior(x, y, prior, noise=noise, kl_weight=weight)
    spread = np.linalg.inv(x.T @ x / (weight * noise) + np.linalg.inv(covariance(prior)))
    mean = prior.mean + spread @ x.T @ (y - x @ prior.mean) / (weight * noise)
    np.testing.assert_allclose(covariance(law), spread, atol=1e-11)
    np.testing.assert_allclose(law.mean, mean, atol=1e-10 * (1 + np.abs(mean).max()))
    cold = tempered_posterior(x, y, prior, noise=noise, kl_weight=weight, temperature=t)
    np.testing.assert_allclose(covariance(cold), t * covariance(law), atol=1e-13)
    assert np.array_equal(cold.mean, law.mean)
    objective = kl_objective(x, y, law, prior, noise=noise, kl_weight=weight)
    for k in range(5):
        scale = 10.0**-k
        other = GaussianLaw(
            law.mean + scale * rng.normal(size=mean.shape),
            law.factor @ (np.eye(len(mean)) + scale * rng.normal(size=spread.shape) / 9),
        )
        assert kl_objective(x, y, other, prior, noise=noise, kl_weight=weight) >= objective - 1e-10 * (
            1 + abs(objective)
        )


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_two_limits_differ_vanishing_kl_weight_conditions_and_vanishing_temperature_forgets(seed):
    _, x, y, prior = problem(seed, wide=True)
    limit, floor = noise_free_posterior(x, y, prior), np.linalg.norm(x @ prior.factor, -2) ** 2
    errors = []
    for weight in (1e-2, 1e-4, 1e-6):
        law = tempered_posterior(x, y, prior, noise=floor, kl_weight=weight)
        errors.append(np.linalg.norm(covariance(law) - covariance(limit)))
        assert errors[-1] <= np.linalg.norm(prior.factor) ** 2 * weight * (1 + 1e-6) + 1e-11
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    cold = tempered_posterior(x, y, prior, noise=floor, temperature=1e-12)
    assert np.linalg.norm(cold.factor) <= 1e-5 * np.linalg.norm(prior.factor)
    ridge = tempered_posterior(x, y, prior, noise=floor).mean
    assert np.array_equal(cold.mean, ridge)
    assert np.linalg.norm(x @ limit.mean - y) < 1e-9 * (1 + np.linalg.norm(y)) * np.linalg.cond(x) ** 2
    assert np.linalg.norm(x @ limit.factor) <= 1e-11 * np.linalg.cond(x) ** 2
    assert np.linalg.norm(covariance(limit)) > 1e-3


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_w2_keeps_at_least_as_much_variance_and_exactly_as_much_iff_the_prior_respects_the_rows(seed):
    rng, x, y, prior = problem(seed, wide=True)
    gap = covariance(regression_limit(x, y, prior)) - covariance(noise_free_posterior(x, y, prior))
    assert np.linalg.eigvalsh(gap).min() >= -1e-12 * np.linalg.cond(x) ** 2
    assert not is_row_invariant(x, prior)
    assert np.trace(gap) > 1e-8
    p = null_projector(x)
    mixed = rng.normal(size=p.shape)
    block = p @ mixed @ p + (np.eye(len(p)) - p) @ mixed @ (np.eye(len(p)) - p)
    kind = GaussianLaw(prior.mean, block)
    assert is_row_invariant(x, kind)
    # a mixing of 1e-9 is far above the rounding of problems like these
    size = 1e-9 * np.linalg.norm(block) * np.linalg.cond(x)
    assert not is_row_invariant(x, GaussianLaw(prior.mean, block + size * p @ mixed @ (np.eye(len(p)) - p)))
    same = covariance(regression_limit(x, y, kind)) - covariance(noise_free_posterior(x, y, kind))
    assert np.abs(same).max() <= 1e-10 * np.linalg.norm(block) ** 2 * np.linalg.cond(x @ block) ** 2


def test_kl_is_infinite_at_the_limit_and_for_low_rank_factors():
    rng, x, y, prior = problem(7, wide=True)
    p = len(prior.mean)
    limit = noise_free_posterior(x, y, prior)
    assert kl_to_prior(limit, prior) == math.inf
    assert kl_to_prior(GaussianLaw(prior.mean, rng.normal(size=(p, p - 1))), prior) == math.inf
    assert kl_objective(x, y, limit, prior, noise=1.0, kl_weight=1e-9) == math.inf
    assert kl_to_prior(prior, prior) == pytest.approx(0, abs=1e-12)
    two = GaussianLaw(np.array([1.0]), np.array([[2.0]]))
    one = GaussianLaw(np.array([0.0]), np.array([[1.0]]))
    assert kl_to_prior(two, one) == pytest.approx(0.5 * (4 + 1 - 1 - math.log(4)), rel=1e-15)
    # W2 is finite where KL is not: descent without a divergence is defined for every factor
    assert np.isfinite(regression_limit(x, y, GaussianLaw(prior.mean, prior.factor[:, :1])).factor).all()
    with pytest.raises(AssumptionViolated, match="singular"):
        kl_to_prior(prior, limit)
    with pytest.raises(AssumptionViolated, match="singular"):
        mean_field_posterior(x, y, limit, noise=1.0)


def test_mean_field_destroys_null_space_uncertainty_in_both_schemes_and_correlated_factors_keep_it():
    x, y = np.array([[1.0, 1.0, 0.0]]), np.array([1.0])
    prior = GaussianLaw(np.zeros(3), np.eye(3))
    kept = covariance(regression_limit(x, y, prior))
    np.testing.assert_allclose(kept, [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]], atol=1e-15)
    mean, variances = mean_field_posterior(x, y, prior, noise=1.0, kl_weight=1e-9)
    np.testing.assert_allclose(mean, [0.5, 0.5, 0], atol=1e-8)
    np.testing.assert_allclose(variances, [1e-9, 1e-9, 1.0], rtol=1e-8)
    _, scales = mean_field_descent(x, y, np.zeros(3), np.ones(3), step=0.4, time=[0, 1, 60])
    np.testing.assert_allclose(scales[1], [0.6, 0.6, 1.0], rtol=1e-15)
    assert scales[2][0] < 1e-13
    assert scales[2][2] == 1


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_mean_field_descent_is_descent_on_the_expected_loss(seed):
    rng, x, y, prior = problem(seed)
    step = rng.uniform(0.1, 0.9) * largest_stable_step(x)
    m, s, start = prior.mean.copy(), np.abs(prior.mean) + 0.1, np.abs(prior.mean) + 0.1
    for _ in range(30):
        m = m - step * x.T @ (x @ m - y)
        s = s - step * np.einsum("ni,ni->i", x, x * s)  # gradient of sum_n sum_i x_ni^2 s_i^2 / 2
    mean, scales = mean_field_descent(x, y, prior.mean, start, step=step, time=30)
    np.testing.assert_allclose(mean, m, atol=1e-11 * (1 + np.abs(m).max()))
    np.testing.assert_allclose(scales, s, atol=1e-12 * start.max())


def test_singular_priors_have_posteriors_where_they_live():
    _rng, x, y, prior = problem(9, wide=True)
    thin = GaussianLaw(prior.mean, prior.factor[:, :2])
    law = tempered_posterior(x, y, thin, noise=0.3)
    sigma = covariance(thin)
    gain = sigma @ x.T @ np.linalg.inv(x @ sigma @ x.T + 0.3 * np.eye(len(y)))
    np.testing.assert_allclose(covariance(law), sigma - gain @ x @ sigma, atol=1e-13)
    np.testing.assert_allclose(law.mean, prior.mean + gain @ (y - x @ prior.mean), atol=1e-13)


@pytest.mark.parametrize(
    "change",
    [
        {"noise": 0.0},
        {"noise": -1.0},
        {"kl_weight": 0.0},
        {"kl_weight": math.nan},
        {"temperature": 0.0},
        {"noise": math.inf},
    ],
)
def test_bad_input_is_refused(change):
    _, x, y, prior = problem(1)
    with pytest.raises(InvalidInput):
        tempered_posterior(x, y, prior, **{"noise": 1.0} | change)
    with pytest.raises(InvalidInput):
        tempered_posterior(x, y, prior.factor, noise=1.0)
    with pytest.raises(InvalidInput):
        mean_field_descent(x, y, prior.mean, np.ones(99), step=0.01, time=1)
