"""Linear deep ensembles: the matrix recursion against single runs, the law at every time, finite numbers of members."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.ensemble_law import ensemble_errors, ensemble_flow_law, ensemble_law
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.least_squares import largest_stable_step, null_projector, rounding_floor
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit, regression_path
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2
from nonvacuous.numerics.training.linear_ensemble import descend_ensemble
from nonvacuous.numerics.training.linear_gd import descend_gaussian_law, descend_weights
from nonvacuous.numerics.training.sampled_law import descend_sampled_law
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure


def problem(seed=0, n=3, p=5, rank=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_the_matrix_recursion_is_that_of_single_members(seed, n, p):
    x, y, _ = problem(seed, n, p)
    starts = np.random.default_rng(seed).normal(size=(4, p))
    step = 0.7 * largest_stable_step(x)
    path = descend_ensemble(x, y, starts, step=step, record=[0, 3, 40])
    for member, start in enumerate(starts):
        single = descend_weights(x, y, start, step=step, record=[0, 3, 40])
        for t, found, expected in zip((0, 3, 40), path[:, member], single, strict=True):
            assert np.linalg.norm(found - expected) <= 2 * rounding_floor(x, y, start, step=step, steps=t)
            assert np.linalg.norm(null_projector(x) @ (found - start)) <= 1e-13 * (
                np.linalg.norm(start) + np.linalg.norm(y)
            )


@pytest.mark.parametrize("shape", [(3, 5), (6, 4)])
def test_momentum_anchor_and_own_targets_follow_the_written_out_recursion(shape):
    rng = np.random.default_rng(1)
    x, starts, goals = rng.normal(size=shape), rng.normal(size=(3, shape[1])), rng.normal(size=(3, shape[0]))
    options = {"step": 0.02, "momentum": 0.8, "anchor": 0.7}
    path = descend_ensemble(x, goals, starts, record=[7], **options)[0]
    for start, goal, found in zip(starts, goals, path, strict=True):
        w, speed = start.copy(), np.zeros_like(start)
        for _ in range(7):
            speed = 0.8 * speed + x.T @ (x @ w - goal) + 0.7 * (w - start)
            w = w - 0.02 * speed
        np.testing.assert_allclose(found, w, rtol=0, atol=1e-13)


def test_blocks_of_members_are_no_different_from_one():
    x, y, _ = problem()
    starts = np.random.default_rng(2).normal(size=(9000, 5))
    together = descend_ensemble(x, y, starts, step=0.05, record=[20])[0]
    np.testing.assert_array_equal(
        together[8000:8004], descend_ensemble(x, y, starts[8000:8004], step=0.05, record=[20])[0]
    )


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_law_is_that_of_variational_descent_at_every_time(momentum, seed):
    x, y, prior = problem(seed)
    step = 0.6 * (1 - momentum) * largest_stable_step(x)
    for time in (0, 1, 7, 60):
        law = ensemble_law(x, y, prior, step=step, time=time, momentum=momentum)
        if momentum == 0:
            means, factors = descend_gaussian_law(x, y, prior.mean, prior.factor, step=step, record=[time])
            mean, factor = means[0], factors[0]
            path = regression_path(x, y, prior, step=step, time=time)
            assert wasserstein2(law, path) <= 1e-10 * (1 + np.linalg.norm(path.mean))
        else:  # sampled descent whose draws have exactly mean 0 and covariance I
            draws = np.sqrt(4) * np.concatenate([np.eye(4), -np.eye(4)])
            means, factors = descend_sampled_law(
                x, y, prior.mean, prior.factor, step=step, record=[time], momentum=momentum, draws=draws, seed=0
            )
            mean, factor = means[0, 0], factors[0, 0]
        size = 1 + np.linalg.norm(law.mean) + np.linalg.norm(law.factor)
        assert np.linalg.norm(mean - law.mean) <= 1e-11 * size * np.linalg.cond(x)
        assert np.linalg.norm(factor - law.factor) <= 1e-11 * size * np.linalg.cond(x)


def test_the_flow_ends_at_the_same_limit_and_starts_at_the_prior():
    x, y, prior = problem(3)
    limit = regression_limit(x, y, prior)
    assert wasserstein2(ensemble_flow_law(x, y, prior, time=np.inf), limit) < 1e-13
    assert wasserstein2(ensemble_flow_law(x, y, prior, time=0.0), prior) < 1e-13
    step = 1e-5
    close = ensemble_law(x, y, prior, step=step, time=20_000)
    assert wasserstein2(close, ensemble_flow_law(x, y, prior, time=0.2)) < 1e-3
    late = ensemble_law(x, y, prior, step=0.9 * largest_stable_step(x), time=20_000)
    assert wasserstein2(late, limit) < 1e-11


@pytest.mark.parametrize("members", [500, 5000])
def test_finite_ensembles_err_by_the_stated_amounts(members):
    # Five times the root mean squared error, as the document prescribes; and the formulas themselves by 200 repetitions.
    x, y, prior = problem(4)
    step = 0.5 * largest_stable_step(x)
    law = ensemble_law(x, y, prior, step=step, time=30)
    mean_error, covariance_error = ensemble_errors(law, members=members)
    rng = np.random.default_rng(5)
    starts = prior.mean + rng.normal(size=(members, 4)) @ prior.factor.T
    ends = descend_ensemble(x, y, starts, step=step, record=[30])[0]
    assert np.linalg.norm(ends.mean(axis=0) - law.mean) <= 5 * mean_error
    assert np.linalg.norm(np.cov(ends.T) - covariance(law)) <= 5 * covariance_error
    squares = []
    for _ in range(400):
        small = law.mean + rng.normal(size=(20, 4)) @ law.factor.T
        squares.append([np.sum((small.mean(axis=0) - law.mean) ** 2), np.sum((np.cov(small.T) - covariance(law)) ** 2)])
    found, spread = np.mean(squares, axis=0), np.std(squares, axis=0) / 20
    assert (np.abs(found - np.square(ensemble_errors(law, members=20))) <= 6 * spread).all()


def test_mini_batches_differ_on_the_way_and_agree_in_the_limit():
    x, y, prior = problem(6)
    x = x / np.linalg.norm(x, axis=1)[:, None]
    rng = np.random.default_rng(7)
    starts = prior.mean + rng.normal(size=(4000, 4)) @ prior.factor.T
    path = descend_ensemble(x, y, starts, step=0.3, record=[3, 1500], batch=1, seed=8)
    law = ensemble_law(x, y, prior, step=0.3, time=3)
    gap = np.linalg.norm(np.cov(path[0].T) - covariance(law))
    assert gap > 5 * ensemble_errors(law, members=4000)[1]
    ends = starts + (y - starts @ x.T) @ np.linalg.pinv(x).T
    assert np.abs(path[1] - ends).max() < 1e-10


def test_sample_then_optimise_gives_exact_posterior_samples():
    # Targets with N(0, s2) noise and an anchor s2/s0^2 at each member's own start from N(mu_0, s0^2 I).
    x, y, _ = problem(8)
    mean, s0, s2, members = np.array([1.0, 0.0, -1.0, 0.5, 0.0]), 1.3, 0.4, 20_000
    rng = np.random.default_rng(9)
    starts = mean + s0 * rng.normal(size=(members, 5))
    goals = y + np.sqrt(s2) * rng.normal(size=(members, 3))
    anchor = s2 / s0**2
    step = 1 / (np.linalg.norm(x, 2) ** 2 + anchor)
    ends = descend_ensemble(x, goals, starts, step=step, record=[600], anchor=anchor)[0]
    posterior = np.linalg.inv(x.T @ x / s2 + np.eye(5) / s0**2)
    centre = posterior @ (x.T @ y / s2 + mean / s0**2)
    law = GaussianLaw(centre, np.linalg.cholesky(posterior))
    mean_error, covariance_error = ensemble_errors(law, members=members)
    assert np.linalg.norm(ends.mean(axis=0) - centre) <= 5 * mean_error
    assert np.linalg.norm(np.cov(ends.T) - posterior) <= 5 * covariance_error


X, Y, PRIOR = problem()
STARTS = np.zeros((2, 5))


@pytest.mark.parametrize(
    "call",
    [
        lambda: descend_ensemble(X, Y, np.zeros(5), step=0.1, record=[1]),
        lambda: descend_ensemble(X, Y, np.zeros((2, 4)), step=0.1, record=[1]),
        lambda: descend_ensemble(X, Y, np.zeros((0, 5)), step=0.1, record=[1]),
        lambda: descend_ensemble(X, np.ones((3, 2)), STARTS, step=0.1, record=[1]),
        lambda: descend_ensemble(X, Y, STARTS, step=0.0, record=[1]),
        lambda: descend_ensemble(X, Y, STARTS, step=0.1, record=[]),
        lambda: descend_ensemble(X, Y, STARTS, step=0.1, record=[1], momentum=1.0),
        lambda: descend_ensemble(X, Y, STARTS, step=0.1, record=[1], anchor=-1.0),
        lambda: descend_ensemble(X, Y, STARTS, step=0.1, record=[1], batch=4, seed=0),
        lambda: descend_ensemble(X, Y, STARTS, step=0.1, record=[1], batch=1),
        lambda: descend_ensemble(X, Y, STARTS * np.nan, step=0.1, record=[1]),
        lambda: ensemble_law(X, Y, STARTS, step=0.01, time=1),
        lambda: ensemble_law(X, Y, PRIOR, step=0.01, time=0.5),
        lambda: ensemble_law(X, Y, PRIOR, step=0.01, time=1, momentum=1.0),
        lambda: ensemble_flow_law(X, Y, PRIOR, time=-1.0),
        lambda: ensemble_errors(PRIOR, members=1),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_unstable_steps_are_refused_and_divergence_is_reported():
    step = 1.01 * largest_stable_step(X)
    with pytest.raises(AssumptionViolated):
        ensemble_law(X, Y, PRIOR, step=step, time=3)
    with pytest.raises(NumericalFailure, match="diverged"):
        descend_ensemble(X, Y, STARTS, step=50.0, record=[2000])
