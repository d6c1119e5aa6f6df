"""Reused noise draws: the negative case (variance stays), the positive one (enough draws), the warning, bad input."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.fixed_noise import (
    fixed_draws,
    fixed_noise_contraction,
    fixed_noise_limit,
    largest_fixed_noise_step,
    training_variance,
)
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit
from nonvacuous.numerics.training.sampled_law import descend_sampled_law
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput


def problem(seed, draws, rank=3):
    rng = np.random.default_rng(seed)
    prior = GaussianLaw(rng.normal(size=6), rng.normal(size=(6, rank)))
    return rng.normal(size=(3, 6)), rng.normal(size=3), prior, rng.normal(size=(draws, rank))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_too_few_draws_fit_themselves_and_nothing_else(seed, count):
    x, y, prior, z = problem(seed, count)
    limit = fixed_noise_limit(x, y, prior, draws=z)
    size = np.linalg.norm(x) * (1 + np.linalg.norm(limit.mean) + np.linalg.norm(limit.factor))
    scale = 1e-13 * size * np.linalg.cond(x) * (1 + np.linalg.cond(np.column_stack([np.ones(count), z])))
    for draw in z:  # every drawn weight vector fits
        assert np.abs(x @ (limit.mean + limit.factor @ draw) - y).max() <= scale
    assert training_variance(x, limit).max() > 1e-6
    assert np.abs(x @ limit.mean - y).max() > 1e-6
    assert not fixed_draws(z, rank=3).complete


def test_two_draws_at_rank_three_leave_large_variances():
    # The document's negative test: variances of the order of 10 for factors of the order of 1 and a few inputs.
    x, y, prior, z = problem(1, 2)
    variance = training_variance(x, fixed_noise_limit(x, y, prior, draws=z))
    assert variance.max() > 1
    assert variance.sum() < training_variance(x, prior).sum() * 10


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 8))
def test_enough_draws_have_the_limit_of_exact_training(seed, count):
    x, y, prior, z = problem(seed, count)
    found, exact = fixed_noise_limit(x, y, prior, draws=z), regression_limit(x, y, prior)
    condition = np.linalg.cond(np.column_stack([np.ones(count), z])) * np.linalg.cond(x)
    allowed = (
        1e-13 * condition * (np.linalg.norm(exact.mean) + np.linalg.norm(prior.mean) + np.linalg.norm(prior.factor))
    )
    assert fixed_draws(z, rank=3).complete
    assert np.abs(found.mean - exact.mean).max() <= allowed
    assert np.abs(found.factor - exact.factor).max() <= allowed


def test_repeated_draws_do_not_count_twice():
    x, y, prior, z = problem(2, 2)
    repeated = np.vstack([z, z, z])
    assert fixed_draws(repeated, rank=3).basis.shape[1] == 2
    found, exact = (fixed_noise_limit(x, y, prior, draws=d) for d in (repeated, z))
    np.testing.assert_allclose(found.factor, exact.factor, atol=1e-12)


@pytest.mark.parametrize("count", [2, 6])
def test_descent_with_reused_draws_ends_there_and_warns_only_when_they_are_too_few(count):
    x, y, prior, z = problem(4, count)
    step = 0.8 * largest_fixed_noise_step(x, draws=z, rank=3)
    rate = fixed_noise_contraction(x, step=step, draws=z, rank=3)
    steps = int(np.ceil(-30 / np.log(rate)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        means, factors = descend_sampled_law(x, y, prior.mean, prior.factor, step=step, record=[steps], draws=z, seed=0)
    assert [str(w.message).startswith("2 draws reused") for w in caught] == ([True] if count == 2 else [])
    limit = fixed_noise_limit(x, y, prior, draws=z)
    assert np.abs(means[0, 0] - limit.mean).max() < 1e-9
    assert np.abs(factors[0, 0] - limit.factor).max() < 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y, q, z: fixed_noise_limit(x, y, q, draws=z[:, :2]),
        lambda x, y, q, z: fixed_noise_limit(x, y, q, draws=np.zeros((0, 3))),
        lambda x, y, q, z: fixed_noise_limit(x, y[:2], q, draws=z),
        lambda x, y, q, z: fixed_noise_limit(x, y, q, draws=np.full((2, 3), np.nan)),
        lambda x, y, q, z: fixed_noise_contraction(x, step=0.0, draws=z, rank=3),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call(*problem(0, 4))


def test_unstable_steps_are_refused_by_the_name_of_the_theorem():
    x, _, _, z = problem(0, 4)
    edge = largest_fixed_noise_step(x, draws=z, rank=3)
    with pytest.raises(AssumptionViolated, match=r"ib\.fixed_noise"):
        fixed_noise_contraction(x, step=1.001 * edge, draws=z, rank=3)
    assert fixed_noise_contraction(x, step=0.999 * edge, draws=z, rank=3) < 1
    assert fixed_noise_contraction(np.zeros((2, 2)), step=1.0, draws=z, rank=3) == 0
    assert largest_fixed_noise_step(np.zeros((2, 2)), draws=z, rank=3) == np.inf
