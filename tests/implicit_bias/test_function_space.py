"""The law of predictions after variational training: kernels, training inputs, far inputs, when it is a Gaussian process."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.function_space import distance_from_conditioning, predictive_law
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.wide_networks.ensemble import ensemble_law as kernel_ensemble_law
from nonvacuous.numerics.wide_networks.gram import GramBlocks
from nonvacuous.theory.errors import InvalidInput


def problem(seed=0, n=3, p=7, rank=5):
    rng = np.random.default_rng(seed)
    prior = GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))
    return rng.normal(size=(n, p)), rng.normal(size=n), rng.normal(size=(4, p)), prior


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_variance_and_the_targets_at_the_training_inputs(seed):
    x, y, _, prior = problem(seed)
    law = predictive_law(x, y, x, prior)
    size = np.linalg.norm(x) * (np.linalg.norm(prior.factor) + np.linalg.norm(prior.mean)) * np.linalg.cond(x)
    assert np.abs(law.mean - y).max() <= 1e-14 * (size + np.linalg.cond(x) * np.linalg.norm(y))
    assert law.variance.max() <= (1e-14 * size) ** 2


def test_inputs_that_share_no_feature_with_the_data_keep_the_prior():
    x, y, tests, prior = problem(1)
    far = tests @ (np.eye(7) - np.linalg.pinv(x) @ x)
    law = predictive_law(x, y, far, prior)
    np.testing.assert_allclose(law.mean, far @ prior.mean, atol=1e-13)
    np.testing.assert_allclose(law.covariance, far @ prior.factor @ prior.factor.T @ far.T, atol=1e-12)


def test_it_is_the_kernel_law_of_linearised_ensembles_for_a_prior_of_mean_zero():
    x, y, tests, prior = problem(2)
    prior = GaussianLaw(np.zeros(7), prior.factor)
    sigma = prior.factor @ prior.factor.T

    def blocks(middle):
        return GramBlocks(tests @ middle @ tests.T, tests @ middle @ x.T, x @ middle @ x.T)

    other = kernel_ensemble_law(blocks(sigma), blocks(np.eye(7)), y)
    law = predictive_law(x, y, tests, prior)
    np.testing.assert_allclose(law.mean, other.mean, rtol=0, atol=1e-11)
    np.testing.assert_allclose(law.covariance, other.covariance, rtol=0, atol=1e-10)


@pytest.mark.parametrize("isotropic", [True, False])
def test_it_is_a_conditioned_gaussian_process_exactly_when_the_rows_are_invariant(isotropic):
    x, y, tests, prior = problem(3)
    prior = GaussianLaw(prior.mean, 1.7 * np.eye(7) if isotropic else prior.factor)
    sigma = prior.factor @ prior.factor.T
    gain = np.linalg.solve(x @ sigma @ x.T, x @ sigma @ tests.T).T
    posterior = tests @ sigma @ tests.T - gain @ x @ sigma @ tests.T
    law = predictive_law(x, y, tests, prior)
    gap = np.linalg.eigvalsh(law.covariance - posterior)
    assert (distance_from_conditioning(x, prior) < 1e-14) == isotropic
    assert gap[0] > -1e-12 * np.abs(posterior).max()  # never less variance
    assert (gap[-1] < 1e-12 * np.abs(posterior).max()) == isotropic


X, Y, TESTS, PRIOR = problem()


@pytest.mark.parametrize(
    "call",
    [
        lambda: predictive_law(X, Y, TESTS[:, :3], PRIOR),
        lambda: predictive_law(X, Y, TESTS[0], PRIOR),
        lambda: predictive_law(X, Y[:2], TESTS, PRIOR),
        lambda: predictive_law(X, Y, TESTS * np.nan, PRIOR),
        lambda: distance_from_conditioning(X[:, :3], PRIOR),
        lambda: distance_from_conditioning(X, GaussianLaw(np.zeros(7), np.zeros((7, 1)))),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()
