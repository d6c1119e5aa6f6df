"""The dial between ensembles and Bayes: its ends, whitened training, rescaling, layers, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.kl_regression import noise_free_posterior, tempered_posterior
from nonvacuous.numerics.implicit_bias.metric import largest_stable_metric_step
from nonvacuous.numerics.implicit_bias.metric_regression import (
    dial_law,
    metric_law_rounding_floor,
    metric_regression_limit,
    metric_regression_path,
    prior_power,
)
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(2, 7))
    n = int(rng.integers(1, p))
    rotations = [np.linalg.qr(rng.normal(size=(p, p)))[0] for _ in range(2)]
    factor = rotations[0] * rng.uniform(0.5, 2, p) @ rotations[1]
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), factor)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_ends_of_the_dial_are_the_ensemble_and_the_conditioned_prior(seed):
    _, x, y, prior = problem(seed)
    sigma, condition = covariance(prior), np.linalg.cond(x)
    gain = sigma @ x.T @ np.linalg.inv(x @ sigma @ x.T)
    for power, mean, spread in (
        (0.0, *(lambda q: (q.mean, covariance(q)))(regression_limit(x, y, prior))),
        (1.0, prior.mean + gain @ (y - x @ prior.mean), sigma - gain @ x @ sigma),
    ):
        law = dial_law(x, y, prior, power=power)
        scale = 1e-12 * condition**2 * (1 + np.abs(mean).max())
        np.testing.assert_allclose(law.mean, mean, atol=scale)
        np.testing.assert_allclose(covariance(law), spread, atol=1e-11 * condition**2)
    # conditioning a second time, by a tiny noise, agrees too
    close = tempered_posterior(x, y, prior, noise=1e-13 * np.linalg.norm(x, -2) ** 2)
    np.testing.assert_allclose(covariance(close), covariance(noise_free_posterior(x, y, prior)), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_every_setting_of_the_dial_fits_and_the_whitened_problem_is_plain_descent(seed):
    rng, x, y, prior = problem(seed)
    power = float(rng.uniform())
    law = dial_law(x, y, prior, power=power)
    metric = prior_power(prior, power)
    step = 0.5 * largest_stable_metric_step(x, metric=metric)
    floor = metric_law_rounding_floor(x, y, prior, mean_metric=metric, factor_metric=metric, step=step, steps=1)
    assert np.linalg.norm(x @ law.mean - y) <= 4 * np.linalg.norm(x, 2) * floor
    assert np.linalg.norm(x @ law.factor) <= 4 * np.linalg.norm(x, 2) * floor
    root = np.linalg.cholesky(metric)
    white = GaussianLaw(np.linalg.solve(root, prior.mean), np.linalg.solve(root, prior.factor))
    plain = regression_limit(x @ root, y, white)
    assert np.linalg.norm(root @ plain.mean - law.mean) <= 8 * floor
    assert np.linalg.norm(root @ plain.factor - law.factor) <= 8 * floor


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_learning_rates_of_the_covariance_change_the_path_but_not_the_limit(seed):
    rng, x, y, prior = problem(seed)
    metric, kappa = prior_power(prior, 0.5), float(rng.uniform(0.05, 0.5))
    step = 0.5 * largest_stable_metric_step(x, metric=metric)
    options = {"mean_metric": metric, "factor_metric": kappa * metric, "step": step}
    limit = metric_regression_limit(x, y, prior, mean_metric=metric, factor_metric=kappa * metric)
    floor = metric_law_rounding_floor(x, y, prior, steps=1, **options)
    assert np.linalg.norm(limit.factor - dial_law(x, y, prior, power=0.5).factor) <= 4 * floor
    early = [
        metric_regression_path(x, y, prior, time=1, **options | {"factor_metric": d}) for d in (metric, kappa * metric)
    ]
    assert np.linalg.norm(early[0].factor - early[1].factor) > 1e-6
    # step sizes that are equal within a layer only select another law
    layers = np.where(np.arange(len(y) + 0, len(y) + x.shape[1]) % 2, 1.0, 3.0)
    other = metric_regression_limit(x, y, prior, mean_metric=layers, factor_metric=layers)
    assert np.linalg.norm(other.mean - regression_limit(x, y, prior).mean) > 1e-9


def test_isotropic_priors_make_the_dial_irrelevant():
    rng, x, y, prior = problem(11)
    round_prior = GaussianLaw(prior.mean, 2 * np.linalg.qr(rng.normal(size=prior.factor.shape))[0])
    laws = [covariance(dial_law(x, y, round_prior, power=p)) for p in (0.0, 0.3, 1.0)]
    for law in laws[1:]:
        np.testing.assert_allclose(law, laws[0], atol=1e-13)


def test_refusals():
    _, x, y, prior = problem(3)
    thin = GaussianLaw(prior.mean, prior.factor[:, :1])
    with pytest.raises(AssumptionViolated, match="singular"):
        dial_law(x, y, thin, power=0.5)
    for power in (-0.1, 1.1, np.nan):
        with pytest.raises(InvalidInput):
            dial_law(x, y, prior, power=power)
    with pytest.raises(InvalidInput):
        metric_regression_limit(x, y, prior.factor, mean_metric=np.ones(x.shape[1]), factor_metric=np.ones(x.shape[1]))
    with pytest.raises(InvalidInput):
        metric_regression_limit(x, y, prior, mean_metric=np.zeros(x.shape[1]), factor_metric=np.ones(x.shape[1]))
    # low-rank factors are fine where the metric is given
    law = metric_regression_limit(x, y, thin, mean_metric=np.ones(x.shape[1]), factor_metric=np.ones(x.shape[1]))
    np.testing.assert_allclose(law.factor, regression_limit(x, y, thin).factor, atol=1e-13)
