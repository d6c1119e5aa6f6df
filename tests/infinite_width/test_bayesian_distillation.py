"""Bayesian distillation in the limit, and every break of it with its exact size."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_problems import SEEDS, close, problem

from nonvacuous.numerics.wide_networks.bayesian_distillation import (
    brnd_error_covariance,
    brnd_noise_error_covariance,
    brnd_target_covariance,
    frozen_readout_bias,
    missing_label_noise,
    noisy_smoother,
    other_smoother,
    posterior_covariance,
    shared_parameters,
    undrawn_readout_bias,
    unzeroed_readout,
)
from nonvacuous.numerics.wide_networks.congruence import error_operator
from nonvacuous.numerics.wide_networks.ensemble import ensemble_covariance, smoother
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.theory.errors import InvalidInput, NumericalFailure


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_bayesian_error_is_the_posterior_and_every_break_has_its_exact_size(seed, activation):
    k, t = problem(seed, activation=activation)
    posterior = t.test - t.cross @ np.linalg.solve(t.train, t.cross.T)
    assert close(brnd_error_covariance(k, t), posterior, t)
    assert close(posterior_covariance(t), posterior, t)
    target = brnd_target_covariance(k, t).joint()
    np.testing.assert_allclose(target, t.joint() - k.joint(), atol=1e-14)
    m = error_operator(smoother(t))
    ensemble = ensemble_covariance(k, t)
    assert close(m @ (target + k.joint()) @ m.T, posterior, t)
    assert close(m @ (t.joint() + k.joint()) @ m.T - posterior, unzeroed_readout(k, t), t)  # psi not zeroed
    assert close(unzeroed_readout(k, t), ensemble, t)
    assert np.linalg.eigvalsh(posterior - ensemble)[0] >= -1e-10 * np.trace(posterior)  # never less than half of RND
    stopped = brnd_error_covariance(k, t, time_sum_loss=2.0)
    assert close(stopped - posterior, other_smoother(t, smoother(t, time_sum_loss=2.0)), t)
    # a preconditioner in the place of gradient descent: features J P J^T
    root = np.linalg.cholesky(t.joint())
    p = np.diag(np.random.default_rng(seed).uniform(0.2, 3.0, 9))
    other = root @ p @ root.T
    g = np.linalg.solve(other[4:, 4:], other[4:, :4]).T
    m = error_operator(g)
    assert close(m @ t.joint() @ m.T - posterior, other_smoother(t, g), t, 1e2)
    b = 0.3
    frozen = gram_blocks("T - b^2", t.test - b**2, t.cross - b**2, t.train - b**2)
    m = error_operator(smoother(frozen))
    assert close(m @ t.joint() @ m.T - posterior, frozen_readout_bias(t, bias_scale=b), t, 1e2)
    m = error_operator(smoother(t))
    assert close(posterior - m @ frozen.joint() @ m.T, undrawn_readout_bias(t, bias_scale=b), t)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [1e-3, 0.1, 10.0])
def test_noise_needs_both_ridge_and_label_noise(seed, noise):
    _, t = problem(seed)
    posterior = t.test - t.cross @ np.linalg.solve(t.train + noise * np.eye(5), t.cross.T)
    assert close(brnd_noise_error_covariance(t, noise=noise), posterior, t)
    without = brnd_noise_error_covariance(t, noise=noise, label_noise=False)
    g = noisy_smoother(t, noise=noise)
    assert close(posterior - without, noise * g @ g.T, t)
    assert close(missing_label_noise(t, noise=noise), noise * g @ g.T, t)
    assert np.abs(posterior - without).max() > 1e-4


def test_noise_zero_is_the_noiseless_posterior():
    _, t = problem(1)
    assert close(brnd_noise_error_covariance(t, noise=0.0), posterior_covariance(t), t)
    with pytest.raises(InvalidInput):
        brnd_noise_error_covariance(t, noise=-1.0)


def test_a_kernel_that_is_not_the_readouts_share_is_refused():
    k, t = problem(0)
    with pytest.raises(NumericalFailure, match="T - K"):
        brnd_error_covariance(t, k)
    with pytest.raises(InvalidInput):
        brnd_target_covariance(gram_blocks("K", k.test[:2, :2], k.cross[:2], k.train), t)


def test_shared_parameters_leave_nothing_for_one_hidden_layer():
    """psi = theta0 in a bias-free max(z,0) network: the target is H f0 at any width, so u0 - g = (1 - H) u0."""
    import torch

    from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
    from nonvacuous.numerics.training.pooled import Problem
    from nonvacuous.numerics.training.readout_covariance import tangent_target

    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)))
    for depth in (1, 2, 3):
        network = fully_connected(inputs=3, width=7, depth=depth, activation="relu", parametrisation="ntk", weight_scale=1.4, bias_scale=0.0)  # fmt: skip
        theta = initialise(network, 5, seed=1)
        target, start = tangent_target(Problem(network, x, 0), theta, theta), forward(network, theta, x).output
        np.testing.assert_allclose(target, depth * start, atol=1e-13)
        k, t = problem(0, activation="relu", depth=depth, bias_scale=0.0, weight_scale=1.4)
        assert close(shared_parameters(k, t, depth=depth), (depth - 1) ** 2 * ensemble_covariance(k, t), t)
    with pytest.raises(InvalidInput):
        shared_parameters(k, t, depth=0)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_tangent_target_is_the_derivative_along_psi(activation):
    """Central differences of the network along psi, with and without its last layer."""
    import torch

    from nonvacuous.numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise
    from nonvacuous.numerics.training.pooled import Problem
    from nonvacuous.numerics.training.readout_covariance import tangent_target

    network = fully_connected(inputs=3, width=6, depth=2, activation=activation, parametrisation="ntk", weight_scale=1.4, bias_scale=0.3, outputs=2)  # fmt: skip
    theta, psi = (initialise(network, 3, seed=seed) for seed in (0, 1))
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)))
    for zeroed in (True, False):
        tangents = [p if not zeroed or i not in (2, 5) else 0 * p for i, p in enumerate(psi.tensors)]
        step = 1e-6
        ends = []
        for sign in (1, -1):
            moved = [p + sign * step * d for p, d in zip(theta.tensors, tangents, strict=True)]
            ends.append(forward(network, Parameters(tuple(moved[:3]), tuple(moved[3:])), x).output)
        found = tangent_target(Problem(network, x, 0), theta, psi, zeroed=zeroed)
        np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), atol=1e-7)
