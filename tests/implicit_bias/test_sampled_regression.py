"""Training on sampled weights and mini-batches: the simulator against automatic gradients, the bounds, the refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.least_squares import null_projector
from nonvacuous.numerics.implicit_bias.sampled_regression import (
    largest_sampled_step,
    sampled_bound,
    sampled_contraction,
    sampled_steps,
    sampling_factor,
)
from nonvacuous.numerics.implicit_bias.stability import SampledDescent, largest_stable_sampled_step
from nonvacuous.numerics.implicit_bias.variational_regression import regression_limit
from nonvacuous.numerics.training.linear_gd import descend_gaussian_law
from nonvacuous.numerics.training.sampled_law import descend_sampled_law
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput


def problem(seed=0, n=3, p=5, rank=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=n), GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("antithetic", [False, True])
def test_the_simulator_follows_the_automatic_gradient_of_the_sampled_loss(momentum, antithetic):
    x, y, prior = problem()
    samples, rate, step = 4, 0.3, 0.02
    means, factors = descend_sampled_law(
        x, y, prior.mean, prior.factor, step=step, record=[3], samples=samples, antithetic=antithetic, momentum=momentum,
        covariance_rate=rate, seed=11,
    )  # fmt: skip
    rng = np.random.default_rng(11)
    mean, factor = (torch.tensor(v, requires_grad=True) for v in (prior.mean, prior.factor))
    optimiser = torch.optim.SGD(
        [{"params": [mean], "lr": step}, {"params": [factor], "lr": step * rate}], momentum=momentum
    )
    for _ in range(3):
        z = rng.normal(size=(samples // 2 if antithetic else samples, 2, 1))[:, :, 0]
        z = torch.tensor(np.concatenate([z, -z]) if antithetic else z)
        loss = ((torch.tensor(x) @ (mean[:, None] + factor @ z.T) - torch.tensor(y)[:, None]) ** 2).sum(0).mean() / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    np.testing.assert_allclose(means[0, 0], mean.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(factors[0, 0], factor.detach().numpy(), rtol=0, atol=1e-13)


def test_batches_average_to_the_full_gradient_and_never_repeat_a_row():
    x, y, prior = problem(n=4)
    means, factors = descend_sampled_law(
        x, y, prior.mean, prior.factor, step=0.01, record=[1], samples=2, batch=3, replicates=40_000, seed=2
    )
    exact = descend_gaussian_law(x, y, prior.mean, prior.factor, step=0.01, record=[1])
    for runs, target in ((means[0], exact[0][0]), (factors[0], exact[1][0])):
        error = runs.std(axis=0) / np.sqrt(len(runs))
        assert (np.abs(runs.mean(axis=0) - target) <= 6 * error).all()
    single = np.linalg.norm(means[0] - prior.mean, axis=1)
    assert len(np.unique(np.round(single, 12))) > 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nothing_moves_outside_the_rows(seed):
    x, y, prior = problem(seed)
    step = 0.5 * largest_sampled_step(x, rank=2, samples=2, batch_size=1)
    means, factors = descend_sampled_law(
        x, y, prior.mean, prior.factor, step=step, record=[30], samples=2, batch=1, seed=seed % 1000
    )
    size = 1 + np.linalg.norm(prior.mean) + np.linalg.norm(prior.factor)
    assert np.linalg.norm(null_projector(x) @ (means[0, 0] - prior.mean)) <= 1e-13 * size
    assert np.linalg.norm(null_projector(x) @ (factors[0, 0] - prior.factor)) <= 1e-13 * size


@pytest.mark.parametrize(("samples", "batch", "momentum"), [(1, None, 0.0), (4, 1, 0.9), (2, 2, 0.0)])
def test_every_kind_of_run_ends_at_the_limit_law(samples, batch, momentum):
    x, y, prior = problem(3)
    x = x / np.linalg.norm(x, axis=1)[:, None]
    step = 0.25 * (1 - momentum) * largest_sampled_step(x, rank=2, samples=samples, batch_size=batch)
    means, factors = descend_sampled_law(
        x,
        y,
        prior.mean,
        prior.factor,
        step=step,
        record=[6000],
        samples=samples,
        batch=batch,
        momentum=momentum,
        seed=4,
    )
    limit = regression_limit(x, y, prior)
    assert np.abs(means[0, 0] - limit.mean).max() < 1e-11
    assert np.abs(factors[0, 0] - limit.factor).max() < 1e-11


def test_the_full_batch_reaches_the_limit_without_interpolation_and_mini_batches_are_refused():
    x, y, prior = problem(5, n=6, p=3)
    limit = regression_limit(x, y, prior)
    step = 0.5 * largest_sampled_step(x, rank=2)
    means, factors = descend_sampled_law(x, y, prior.mean, prior.factor, step=step, record=[4000], seed=6)
    assert np.abs(means[0, 0] - limit.mean).max() < 1e-11
    assert np.abs(factors[0, 0]).max() < 1e-11
    assert sampled_bound(x, y, prior, step=step, steps=10) > 0
    with pytest.raises(AssumptionViolated, match="interpolated"):
        sampled_bound(x, y, prior, step=step / 10, steps=10, batch_size=2)


def test_the_sufficient_threshold_lies_below_the_exact_one():
    for rank in (1, 3, 30):
        for samples in (1, 5):
            x, _, _ = problem(rank)
            exact = largest_stable_sampled_step(x, SampledDescent(rank, samples))
            assert largest_sampled_step(x, rank=rank, samples=samples) < exact
    assert sampling_factor(rank=3) == 6
    assert sampling_factor(rank=3, samples=5) == 2


def test_steps_asked_for_are_enough_by_the_bound_itself():
    x, y, prior = problem(7)
    options = {"samples": 2, "batch_size": 2}
    step = 0.5 * largest_sampled_step(x, rank=2, **options)
    steps = sampled_steps(x, step=step, rank=2, tolerance=0.01, delta=1e-3, **options)
    start = sampled_bound(x, y, prior, step=step, steps=0, **options)
    assert sampled_bound(x, y, prior, step=step, steps=steps, delta=1e-3, **options) <= 1e-4 * start
    assert sampled_bound(x, y, prior, step=step, steps=steps - 1, delta=1e-3, **options) > 1e-4 * start
    rates = [sampled_contraction(x, step=step * f, rank=2, **options) for f in (0.5, 1.0, 1.5)]
    assert 0 < min(rates) == rates[1]


X, Y, PRIOR = problem()


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_steps_that_are_too_large_are_refused_by_the_name_of_the_theorem(factor):
    step = factor * largest_sampled_step(X, rank=2)
    with pytest.raises(AssumptionViolated, match=r"ib\.regression_mc"):
        sampled_contraction(X, step=step, rank=2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sampled_contraction(X, step=0.0, rank=2),
        lambda: sampled_contraction(X, step=np.nan, rank=2),
        lambda: sampled_contraction(X, step=0.01, rank=0),
        lambda: largest_sampled_step(X, rank=2, batch_size=4),
        lambda: largest_sampled_step(X, rank=2, samples=0),
        lambda: sampled_bound(X, Y, PRIOR, step=1e-3, steps=-1),
        lambda: sampled_bound(X, Y, PRIOR, step=1e-3, steps=1, delta=1.0),
        lambda: sampled_steps(X, step=1e-3, rank=2, tolerance=1.0, delta=0.1),
        lambda: sampled_steps(X, step=1e-3, rank=2, tolerance=0.1, delta=0.0),
        lambda: descend_sampled_law(X, Y[:2], PRIOR.mean, PRIOR.factor, step=0.1, record=[1], seed=0),
        lambda: descend_sampled_law(X, Y, PRIOR.mean, PRIOR.factor[:, :0], step=0.1, record=[1], seed=0),
        lambda: descend_sampled_law(X, Y, PRIOR.mean, PRIOR.factor, step=-0.1, record=[1], seed=0),
        lambda: descend_sampled_law(X, Y, PRIOR.mean, PRIOR.factor, step=0.1, record=[2, 1], seed=0),
        lambda: descend_sampled_law(X, Y, PRIOR.mean, PRIOR.factor, step=0.1, record=[1], batch=9, seed=0),
        lambda: descend_sampled_law(
            X, Y, PRIOR.mean, PRIOR.factor, step=0.1, record=[1], samples=3, antithetic=True, seed=0
        ),
        lambda: descend_sampled_law(
            X, Y, PRIOR.mean, PRIOR.factor, step=0.1, record=[1], draws=np.ones((4, 3)), seed=0
        ),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()
