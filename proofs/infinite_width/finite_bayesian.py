"""Experiments: finite torch networks distilled on their own tangent target. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...numerics.randomness import sub_seed
from ..result import Run
from .settings import EnsembleSetting, KernelSetting


def tangent_products(setting: KernelSetting, run: Run, *, zeroed: bool = True) -> Mapping[str, Any]:
    """Products of the tangent target at pairs of points, one column for each pair i <= j: means over `group` networks."""
    import torch

    from ...numerics.networks.fully_connected import initialise
    from ...numerics.training.pooled import Problem
    from ...numerics.training.readout_covariance import tangent_target
    from .finite_networks import network_of

    problem = Problem(network_of(setting, run.block["width"]), torch.from_numpy(setting.x).to(run.device), 0)
    group, points = run.block.get("group", 1), len(setting.x)
    found = []
    for part in range(run.block.get("parts", 1)):
        theta, psi = (
            initialise(problem.network, run.block["members"], seed=sub_seed(run.seed, name, part), device=run.device)
            for name in ("theta", "psi")
        )
        target = tangent_target(problem, theta, psi, zeroed=zeroed)[:, :, 0]
        products = target[:, :, None] * target[:, None, :]
        found.append(products.reshape(-1, group, points, points).mean(dim=1).cpu().numpy())
    table = np.concatenate(found)
    return {f"{i},{j}": table[:, i, j] for i in range(points) for j in range(i, points)}


def bayesian_distil(
    setting: EnsembleSetting, run: Run, *, relative_residual: float = 1e-5, zeroed: bool = True
) -> Mapping[str, Any]:
    """Errors u - J psi* of predictors trained on their own tangent targets, nonlinear and linearised from the same start.

    Columns as in `distil`: `linearised_s` is the expected squared error of the exactly linearised training given what its tangent kernel
    depends on (psi is independent of it), `correction_s` the squared error after nonlinear descent less that of the linearisation, same draw.
    """
    from ...numerics.training.paired import bayesian_distillation
    from ...numerics.training.pooled import Descent
    from .finite_networks import paired_columns, problem_of

    found = bayesian_distillation(
        problem_of(setting, run, 1),
        members=run.block["members"],
        seed=run.seed,
        device=run.device,
        directions="shared",
        descent=Descent(relative_residual),
        zeroed=zeroed,
    )
    return paired_columns(found)


def linearised_bayesian(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """The columns `linearised_s` of `bayesian_distil`, of networks that are not trained."""
    from ...numerics.training.paired import bayesian_distillation
    from .finite_networks import paired_columns, problem_of

    draws: dict[str, Any] = {"members": run.block["members"], "seed": run.seed, "device": run.device}
    return paired_columns(bayesian_distillation(problem_of(setting, run, 1), directions="shared", **draws))


def tangent_targets_apart(setting: EnsembleSetting, run: Run) -> Mapping[str, Any]:
    """Expected squared errors of linearised networks of one hidden layer that start at 0, target J psi with all layers.

    `own_s`: the target is taken at the predictor's own theta0; `other_s`: at that of an independent network.
    """
    from ...numerics.networks.fully_connected import forward, initialise
    from ...numerics.training.linearised import solve_kernel
    from ...numerics.training.pooled import read, tangent_kernel
    from ...numerics.training.readout_covariance import left_over
    from .finite_networks import columns, problem_of

    problem = problem_of(setting, run, 1)
    theta, other = (
        initialise(problem.network, run.block["members"], seed=sub_seed(run.seed, name), device=run.device)
        for name in ("theta", "other")
    )
    own, foreign = (tangent_kernel(problem, parameters) for parameters in (theta, other))
    start = read(problem, forward(problem.network, theta, problem.points))
    smoother = solve_kernel(own, start, problem.tests).smoother
    return columns(own=left_over(smoother, own), other=left_over(smoother, foreign))
