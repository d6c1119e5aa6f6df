"""IBVI on a frozen feature extractor is a linear model: what it ends in is the theorem's law, within derived bounds.

Sampled, reused and diagonal noise, the step's edge and labels are checks of the catalogue (ib.regression_mc, ib.fixed_noise, ib.kl_compare,
ib.mc_stability, ib.class_overconfidence).
"""

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.least_squares import fastest_step, null_projector, row_space
from nonvacuous.numerics.implicit_bias.momentum import (
    largest_stable_momentum_step,
    momentum_bound,
    momentum_path,
    momentum_rounding_floor,
)
from nonvacuous.numerics.implicit_bias.sampled_regression import largest_sampled_step, sampled_bound, sampled_steps
from nonvacuous.numerics.implicit_bias.variational_regression import (
    distance_to_limit_bound,
    law_rounding_floor,
    regression_limit,
    regression_path,
)
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2
from nonvacuous.numerics.methods import ibvi

PLAIN = {
    "likelihood": "gaussian", "parametrisation": "sp", "covariance_rate": 1.0, "schedule": "constant", "momentum": 0.0,
    "reduction": "sum", "rank": 3,
}  # fmt: skip


def features(examples, outputs, seed=2):
    """Frozen random features with a trainable last layer, its data, and the design that it sees: blocks of one output."""
    stream = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 30), nn.Tanh(), nn.Linear(30, outputs)).double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64))
    net[0].requires_grad_(False)
    x = torch.randn(examples, 3, generator=stream, dtype=torch.float64)
    y = torch.randn(examples, outputs, generator=stream, dtype=torch.float64)
    with torch.no_grad():
        h = net[1](net[0](x)).numpy()
    eye = np.eye(outputs)
    design = np.concatenate([np.kron(h, eye).reshape(examples, outputs, -1, outputs).transpose(0, 1, 3, 2).reshape(examples * outputs, -1), np.tile(eye, (examples, 1))], axis=1)  # fmt: skip
    return net, x, y, design


def law(posterior):
    (layer,) = posterior.family.layers
    mean = torch.cat([posterior.law.means[name].reshape(-1) for name in layer.tensors])
    return GaussianLaw(mean.numpy(), posterior.family.covariance.matrix(layer, posterior.law.factors).numpy())


def distance(one, two):
    return float(np.hypot(np.linalg.norm(one.mean - two.mean), np.linalg.norm(one.factor - two.factor)))


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_design_is_what_the_network_computes(outputs):
    net, x, y, design = features(5, outputs)
    start = ibvi.prior(net, (x, y), ibvi.IBVIConfig(**PLAIN), seed=1, device="cpu")
    weights = torch.cat([net[2].weight.reshape(-1), net[2].bias])
    with torch.no_grad():
        np.testing.assert_allclose(design @ weights.numpy(), net(x).reshape(-1).numpy(), atol=1e-13)
    draws = ibvi.sample(start, x, 400, 0).reshape(400, -1).numpy()
    spread = design @ law(start).factor
    # mean of 400 draws: six standard errors
    assert (np.abs(draws.mean(0) - design @ law(start).mean) <= 6 * np.linalg.norm(spread, axis=1) / 20).all()


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("covariance", ["low_rank", "full"])
def test_full_batch_training_with_the_exact_loss_ends_at_the_law_of_the_theorem(outputs, covariance):
    net, x, y, design = features(3, outputs)
    step = fastest_step(design)
    config = ibvi.IBVIConfig(**PLAIN, expectation="exact", covariance=covariance, learning_rate=step, epochs=60)
    prior = law(ibvi.prior(net, (x, y), config, seed=1, device="cpu"))
    trained = law(ibvi.fit(net, (x, y), config, seed=1, device="cpu"))
    targets = y.reshape(-1).numpy()
    bound = distance_to_limit_bound(design, targets, prior, step=step, steps=60)
    floor = law_rounding_floor(design, targets, prior, step=step, steps=60)
    limit = regression_limit(design, targets, prior)
    assert bound < 1e-10
    assert distance(trained, limit) <= bound + floor
    assert wasserstein2(trained, limit) <= 1e-10
    # the other projector, and a prior mean that is forgotten, are told apart
    q = row_space(design).right
    for wrong in (
        GaussianLaw(limit.mean, q @ (q.T @ prior.factor)),
        GaussianLaw(limit.mean - null_projector(design) @ prior.mean, limit.factor),
    ):
        assert distance(trained, wrong) > 1e3 * (bound + floor)


def test_the_path_is_that_of_the_sum_and_the_mean_takes_its_step_times_examples():
    net, x, y, design = features(5, 2)
    step = 0.5 * fastest_step(design)
    targets = y.reshape(-1).numpy()
    for reduction, factor in (("sum", 1), ("mean", 5)):
        config = ibvi.IBVIConfig(
            **PLAIN | {"reduction": reduction}, expectation="exact", learning_rate=factor * step, epochs=7
        )
        prior = law(ibvi.prior(net, (x, y), config, seed=1, device="cpu"))
        trained = law(ibvi.fit(net, (x, y), config, seed=1, device="cpu"))
        floor = law_rounding_floor(design, targets, prior, step=step, steps=7)
        # the mean's division and its step round once more each, by at most as much as a step itself
        assert distance(trained, regression_path(design, targets, prior, step=step, time=7)) <= 2 * floor
        assert distance(trained, regression_path(design, targets, prior, step=step, time=6)) > 1e3 * floor


def test_momentum_follows_its_path_to_the_same_law():
    net, x, y, design = features(3, 1)
    targets = y.reshape(-1).numpy()
    step = 0.5 * largest_stable_momentum_step(design, momentum=0.9)
    for steps in (9, 400):
        config = ibvi.IBVIConfig(**PLAIN | {"momentum": 0.9}, expectation="exact", learning_rate=step, epochs=steps)
        prior, trained = (law(make(net, (x, y), config, seed=1, device="cpu")) for make in (ibvi.prior, ibvi.fit))
        runs = [(targets, prior.mean), *((0 * targets, column) for column in prior.factor.T)]
        options = {"step": step, "momentum": 0.9}
        path = np.stack([momentum_path(design, goal, start, time=steps, **options) for goal, start in runs], axis=1)
        floor = np.linalg.norm(
            [momentum_rounding_floor(design, goal, start, steps=steps, **options) for goal, start in runs]
        )
        assert np.linalg.norm(np.column_stack([trained.mean, trained.factor]) - path) <= floor
    bound = np.linalg.norm([momentum_bound(design, goal, start, steps=400, **options) for goal, start in runs])
    assert bound < 1e-6
    assert distance(trained, regression_limit(design, targets, prior)) <= bound + floor


def test_antithetic_training_is_within_the_markov_bound():
    # independent draws are a check of ib.regression_mc; a pair (z, -z) has the factor's second moments of one draw and none between mean and factor: the bound for half the draws covers it
    net, x, y, design = features(3, 1)
    targets, delta = y.reshape(-1).numpy(), 1e-6
    options = {"samples": 2}
    step = 0.5 * largest_sampled_step(design, rank=3, **options)
    steps = sampled_steps(design, step=step, rank=3, tolerance=1e-3, delta=delta, **options)
    config = ibvi.IBVIConfig(**PLAIN, learning_rate=step, epochs=steps, samples=4, antithetic=True)
    prior, trained = (law(make(net, (x, y), config, seed=1, device="cpu")) for make in (ibvi.prior, ibvi.fit))
    limit = regression_limit(design, targets, prior)
    floor = law_rounding_floor(design, targets, prior, step=step, steps=steps)
    bound = sampled_bound(design, targets, prior, step=step, steps=steps, delta=delta, **options)
    assert bound <= 1.01e-6 * distance(prior, limit) ** 2
    assert distance(trained, limit) <= bound**0.5 + floor
    p = null_projector(design)
    # what is outside the rows never moves (the rounding of so many steps apart)
    assert np.linalg.norm(p @ (trained.factor - prior.factor)) <= floor
    assert np.linalg.norm(p @ (trained.mean - prior.mean)) <= floor
