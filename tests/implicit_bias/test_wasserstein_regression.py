"""The W2-regularised law: minimality by a general optimiser, both ends of the penalty, trained samples, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.variational_regression import distance_to_prior_squared, regression_limit
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2
from nonvacuous.numerics.implicit_bias.wasserstein_regression import (
    distance_to_zero_penalty,
    least_wasserstein_objective,
    proximal_law,
    proximal_rounding_floor,
    wasserstein_objective,
)
from nonvacuous.theory.errors import InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n, p = (int(k) for k in rng.integers(1, 6, size=2))
    rank = int(rng.integers(1, p + 1))
    return rng, rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_value_and_law_agree_and_no_neighbour_is_better(seed):
    rng, x, y, prior = problem(seed)
    penalty = 10 ** rng.uniform(-2, 1)
    law, least = proximal_law(x, y, prior, penalty=penalty), least_wasserstein_objective(x, y, prior, penalty=penalty)
    scale = np.sum(y**2) + (np.sum(x**2) + penalty) * (np.sum(prior.mean**2) + np.sum(prior.factor**2))
    assert wasserstein_objective(x, y, law, prior, penalty=penalty) == pytest.approx(least, abs=1e-13 * scale)
    for k in range(6):
        spread = 10.0**-k
        other = GaussianLaw(
            law.mean + spread * rng.normal(size=law.mean.shape), law.factor + spread * rng.normal(size=law.factor.shape)
        )
        assert wasserstein_objective(x, y, other, prior, penalty=penalty) >= least - 1e-13 * scale


def test_a_general_optimiser_finds_nothing_better_from_random_starts():
    rng, x, y, prior = problem(4)
    p, rank = prior.factor.shape
    least = least_wasserstein_objective(x, y, prior, penalty=0.3)

    def value(v):
        return wasserstein_objective(x, y, GaussianLaw(v[:p], v[p:].reshape(p, rank)), prior, penalty=0.3)

    found = [
        minimize(value, rng.normal(size=p * (1 + rank)), method="BFGS", options={"gtol": 1e-7}).fun for _ in range(3)
    ]
    assert min(found) >= least - 1e-12
    assert min(found) <= least + 1e-9


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_small_penalties_reach_the_descent_limit_at_the_stated_rate_and_large_ones_stay_at_the_prior(seed):
    _, x, y, prior = problem(seed)
    limit, whole = regression_limit(x, y, prior), math.sqrt(distance_to_prior_squared(x, y, prior))
    for penalty in (1e-3, 1e-1, 10.0):
        law = proximal_law(x, y, prior, penalty=penalty)
        bound = distance_to_zero_penalty(x, y, prior, penalty=penalty)
        slack = 10 * proximal_rounding_floor(x, y, prior, penalty=penalty) + 1e-13 * np.linalg.cond(x) ** 2 * whole
        assert wasserstein2(law, limit) <= bound * (1 + 1e-12) + slack
        assert bound <= whole
    far = proximal_law(x, y, prior, penalty=1e9)
    assert wasserstein2(far, prior) <= 1e-7 * (1 + np.linalg.norm(x, 2) ** 2) * (1 + whole)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_samples_trained_with_a_pull_to_their_own_start_have_exactly_this_law(seed):
    rng, x, y, prior = problem(seed)
    penalty = 0.7
    law = proximal_law(x, y, prior, penalty=penalty)
    for _ in range(4):
        z = rng.normal(size=prior.factor.shape[1])
        start = prior.mean + prior.factor @ z
        trained = np.linalg.solve(x.T @ x + penalty * np.eye(len(start)), x.T @ y + penalty * start)
        np.testing.assert_allclose(trained, law.mean + law.factor @ z, atol=1e-12 * (1 + np.abs(trained).max()))


def test_edges():
    _rng, x, y, prior = problem(8)
    point = GaussianLaw(prior.mean, np.zeros((len(prior.mean), 1)))
    assert not proximal_law(x, y, point, penalty=1.0).factor.any()
    zero = np.zeros((2, len(prior.mean)))
    same = proximal_law(zero, np.ones(2), prior, penalty=1.0)
    assert np.array_equal(same.factor, prior.factor)
    assert distance_to_zero_penalty(zero, np.ones(2), prior, penalty=1.0) == 0
    assert least_wasserstein_objective(zero, np.ones(2), prior, penalty=1.0) == 1.0
    for penalty in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput):
            proximal_law(x, y, prior, penalty=penalty)
    with pytest.raises(InvalidInput):
        proximal_law(x, y, prior.factor, penalty=1.0)
    with pytest.raises(InvalidInput):
        proximal_law(x, y[:0], prior, penalty=1.0)
