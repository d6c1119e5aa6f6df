"""Experiments: finite torch networks distilled on their own tangent target. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...numerics.randomness import sub_seed
from ..result import Run
from .settings import EnsembleSetting, KernelSetting

if TYPE_CHECKING:
    from torch import Tensor

    from ...numerics.networks.fully_connected import FullyConnected, Parameters


def tangent_target(
    network: FullyConnected, parameters: Parameters, direction: Parameters, x: Tensor, *, zeroed: bool = True
) -> Tensor:
    """J(x; theta) psi per member, (R, N, K), by forward-mode differentiation; `zeroed` sets psi's last layer to 0."""
    import torch
    from torch.func import jvp

    from ...numerics.networks.fully_connected import Parameters, forward

    layers = len(network.fans)
    tangents = list(direction.tensors)
    if zeroed:
        for last in (layers - 1, 2 * layers - 1):
            tangents[last] = torch.zeros_like(tangents[last])

    def output(*tensors: Tensor) -> Tensor:
        return forward(network, Parameters(tensors[:layers], tensors[layers:]), x).output

    return jvp(output, parameters.tensors, tuple(tangents))[1]


def tangent_products(setting: KernelSetting, run: Run, *, zeroed: bool = True) -> Mapping[str, Any]:
    """Products of the tangent target at pairs of points, one column for each pair i <= j: means over `group` networks."""
    import torch

    from ...numerics.networks.fully_connected import initialise
    from .finite_networks import network_of

    network = network_of(setting, run.block["width"], "ntk")
    x = torch.from_numpy(setting.x).to(run.device)
    group, points = run.block.get("group", 1), len(setting.x)
    found = []
    for part in range(run.block.get("parts", 1)):
        theta, psi = (
            initialise(network, run.block["members"], seed=sub_seed(run.seed, name, part), device=run.device)
            for name in ("theta", "psi")
        )
        target = tangent_target(network, theta, psi, x, zeroed=zeroed)[:, :, 0]
        products = target[:, :, None] * target[:, None, :]
        found.append(products.reshape(-1, group, points, points).mean(dim=1).cpu().numpy())
    table = np.concatenate(found)
    return {f"{i},{j}": table[:, i, j] for i in range(points) for j in range(i, points)}


def bayesian_distil(
    setting: EnsembleSetting, run: Run, *, relative_residual: float = 1e-5, zeroed: bool = True
) -> Mapping[str, Any]:
    """Errors u - J psi* of predictors trained on their own tangent targets, nonlinear and linearised from the same start.

    Columns as in `distil`: `linearised_s` is the expected squared error of the exactly linearised training given the
    first layer and the sizes of the readout weights (the tangent kernel does not depend on their signs, and psi is
    independent), `correction_s` the squared error after nonlinear descent less that of the linearisation, same draw.
    """
    from ...numerics.networks.fully_connected import initialise
    from .finite_networks import columns, problem, train_and_linearise

    network, x, tests = problem(setting, run, "ntk")
    theta, psi = (
        initialise(network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for name in ("theta", "psi")
    )
    goal = tangent_target(network, theta, psi, x, zeroed=zeroed)
    linear, trained = train_and_linearise(network, theta, x, tests, goal[:, tests:], relative_residual, run)
    expected = _expected(network, theta, x, linear.smoother, zeroed=zeroed)
    errors = [(output - goal[:, :tests])[:, :, 0] for output in (trained, linear.solution(goal[:, tests:]))]
    return columns(linearised=expected, correction=errors[0] ** 2 - errors[1] ** 2)


def linearised_bayesian(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """The columns `linearised_s` of `bayesian_distil`, of networks that are not trained."""
    from ...numerics.networks.fully_connected import initialise
    from ...numerics.training.linearised import linearise
    from .finite_networks import columns, problem

    network, x, tests = problem(setting, run, "ntk")
    theta = initialise(network, run.block["members"], seed=sub_seed(run.seed, "theta"), device=run.device)
    smoother = linearise(network, theta, x[tests:], x[:tests]).smoother
    return columns(linearised=_expected(network, theta, x, smoother, zeroed=True))


def _expected(network: FullyConnected, theta: Parameters, x: Tensor, smoother: Tensor, *, zeroed: bool) -> Tensor:
    """M_0 (C + T_0 - K_0) M_0^T on the diagonal, C the covariance of the start over the signs of its readout."""
    import torch

    from ...numerics.networks.fully_connected import forward
    from ...numerics.networks.tangent_kernel import empirical_ntk
    from .finite_networks import readout_covariance, residual_map

    covariance = empirical_ntk(network, theta, x)[:, :, 0, :, 0]
    if zeroed:
        covariance = covariance - empirical_ntk(network, theta, x, trained="readout")[:, :, 0, :, 0]
    covariance = covariance + readout_covariance(network, forward(network, theta, x).features[-1], theta)
    residual = residual_map(smoother)
    return torch.einsum("rsi,rij,rsj->rs", residual, covariance, residual)


def tangent_targets_apart(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Expected squared errors of linearised networks of one hidden layer that start at 0, target J psi with all layers.

    `own_s`: the target is taken at the predictor's own theta0; `other_s`: at that of an independent network.
    """
    import torch

    from ...numerics.networks.fully_connected import initialise
    from ...numerics.networks.tangent_kernel import empirical_ntk
    from ...numerics.training.linearised import linearise
    from .finite_networks import columns, problem, residual_map

    network, x, tests = problem(setting, run, "ntk")
    theta, other = (
        initialise(network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for name in ("theta", "other")
    )
    residual = residual_map(linearise(network, theta, x[tests:], x[:tests]).smoother)
    kernels = (empirical_ntk(network, parameters, x)[:, :, 0, :, 0] for parameters in (theta, other))
    own, foreign = (torch.einsum("rsi,rij,rsj->rs", residual, kernel, residual) for kernel in kernels)
    return columns(own=own, other=foreign)
