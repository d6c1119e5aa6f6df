"""Experiments of this area: finite torch networks at initialisation and after training. They see no prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...numerics.randomness import sub_seed
from ...theory.errors import InvalidInput
from ..result import Run
from .settings import EnsembleSetting, KernelSetting

if TYPE_CHECKING:
    from torch import Tensor

    from ...numerics.networks.fully_connected import FullyConnected
    from ...numerics.training.paired import PairedErrors
    from ...numerics.training.pooled import Problem

_PARAMETERS = 1 << 22  # of one chunk of networks: 32 MiB


def network_of(
    setting: KernelSetting | EnsembleSetting, width: int, parametrisation: str = "ntk", outputs: int = 1
) -> FullyConnected:
    """The setting's architecture at a finite width."""
    from ...numerics.networks.fully_connected import fully_connected

    points = setting.x if isinstance(setting, KernelSetting) else setting.train
    return fully_connected(
        inputs=points.shape[1], width=width, outputs=outputs, parametrisation=parametrisation, **setting.architecture
    )


def initial_kernels(
    setting: KernelSetting, run: Run, *, trained: str = "all", parametrisation: str = "ntk"
) -> Mapping[str, Any]:
    """Empirical tangent kernels on the points x at initialisation, one column per entry i <= j.

    `trained` = "readout" gives the readout's share: the covariance of the output given the hidden layers. A row is
    the mean over `group` networks; a block has `members` of them with `width` units per hidden layer.
    """
    import torch

    from ...numerics.networks.fully_connected import initialise
    from ...numerics.networks.tangent_kernel import empirical_ntk

    network = network_of(setting, run.block["width"], parametrisation)
    x = torch.from_numpy(setting.x).to(run.device)
    group, points = run.block.get("group", 1), len(setting.x)
    size = sum(fan_in * fan_out for fan_in, fan_out in network.fans) + 6 * points * network.width
    chunk = group * max(1, _PARAMETERS // (size * group))
    entries = []
    for start in range(0, run.block["members"], chunk):
        members = min(chunk, run.block["members"] - start)
        parameters = initialise(network, members, seed=sub_seed(run.seed, start), device=run.device)
        kernel = empirical_ntk(network, parameters, x, trained=trained).reshape(-1, group, points, points)
        entries.append(kernel.mean(dim=1).cpu().numpy())
    kernels = np.concatenate(entries)
    return {f"{i},{j}": kernels[:, i, j] for i in range(points) for j in range(i, points)}


def readout_shares(setting: KernelSetting, run: Run) -> Mapping[str, Any]:
    """`initial_kernels` of the readout alone."""
    return initial_kernels(setting, run, trained="readout")


def gram(rows: Mapping[str, np.ndarray], points: int) -> np.ndarray:
    """The rows of `initial_kernels` as symmetric matrices, (rows, points, points)."""
    return np.stack(
        [np.stack([rows[f"{min(i, j)},{max(i, j)}"] for j in range(points)], axis=1) for i in range(points)], axis=1
    )


def distil(
    setting: EnsembleSetting,
    run: Run,
    *,
    relative_residual: float = 1e-5,
    centred: bool = False,
    parametrisation: str = "ntk",
) -> Mapping[str, Any]:
    """Errors u - g of predictors with one head, trained on frozen targets, nonlinear and linearised from the same initial parameters.

    For each pair and test point s: `linearised_s` is the expected squared error of the exactly linearised training given what its tangent
    kernel depends on; `correction_s` is the squared error after nonlinear descent less that of the linearisation, for the same
    draw. Their sum has the expectation of the squared error.
    """
    from ...numerics.training.paired import distillation
    from ...numerics.training.pooled import Descent

    found = distillation(
        problem_of(setting, run, 1, parametrisation),
        members=run.block["members"],
        seed=run.seed,
        device=run.device,
        descent=Descent(relative_residual),
        centred=centred,
    )
    return paired_columns(found)


def converged_ensemble(
    setting: EnsembleSetting, run: Run, *, relative_residual: float = 1e-5, parametrisation: str = "ntk"
) -> Mapping[str, Any]:
    """Networks trained on the labels, nonlinear and linearised from the same initial parameters.

    For each member and test point s: `centre_s` and `spread_s` are mean and variance of the exactly linearised output
    given the first layer and the sizes of the readout weights; `shift_s` and `square_s` are the nonlinear output and
    its square, less the linearised ones, for the same draw.
    """
    import torch

    from ...numerics.networks.fully_connected import forward, initialise
    from ...numerics.training.pooled import Descent, train_both
    from ...numerics.training.readout_covariance import covariance_of_start, left_over

    problem = problem_of(setting, run, 1, parametrisation)
    if problem.network.depth != 1:
        raise InvalidInput("The averaging over readout signs is exact for one hidden layer only.", "Use two scales.")
    members = run.block["members"]
    f = initialise(problem.network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    labels = torch.from_numpy(setting.labels).to(run.device)[None, :, None].expand(members, -1, 1)
    linear, trained = train_both(problem, f, labels, Descent(relative_residual))
    covariance = covariance_of_start(problem, f, forward(problem.network, f, problem.points))
    solved = linear.solution(labels)
    return columns(
        centre=torch.bmm(linear.smoother, labels)[:, :, 0],
        spread=left_over(linear.smoother, covariance),
        shift=(trained - solved)[:, :, 0],
        square=(trained**2 - solved**2)[:, :, 0],
    )


def problem_of(setting: EnsembleSetting, run: Run, outputs: int, parametrisation: str = "ntk") -> Problem:
    """The network of one block with so many heads, and all points, test first; any depth."""
    import torch

    from ...numerics.training import pooled

    test, train = (torch.from_numpy(points).to(run.device) for points in (setting.test, setting.train))
    return pooled.problem_of(
        test, train, width=run.block["width"], outputs=outputs, parametrisation=parametrisation, **setting.architecture
    )


def paired_columns(found: PairedErrors) -> dict[str, np.ndarray]:
    """`linearised_s` and, of trained networks, `correction_s` at each test point s."""
    parts = {"linearised": found.linearised, "correction": found.correction}
    return columns(**{name: value for name, value in parts.items() if value is not None})


def columns(**tables: Tensor) -> dict[str, np.ndarray]:
    """Tables (rows, tests) as columns `name_0`, `name_1`, ..."""
    return {f"{name}_{s}": table[:, s].cpu().numpy() for name, table in tables.items() for s in range(table.shape[1])}


def table(rows: Mapping[str, np.ndarray], name: str, tests: int) -> np.ndarray:
    """The columns `name_0`, `name_1`, ... as one array, (rows, tests)."""
    return np.stack([rows[f"{name}_{s}"] for s in range(tests)], axis=1)
