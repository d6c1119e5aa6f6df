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

    from ...numerics.networks.fully_connected import FullyConnected, Parameters

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
    """Errors u - g of predictors trained on frozen targets, nonlinear and linearised from the same initial parameters.

    For each pair and test point s: `linearised_s` is the expected squared error of the exactly linearised training
    given the first layers and the sizes of the predictor's readout weights; `correction_s` is the squared error after
    nonlinear descent less that of the linearisation, for the same draw. Their sum has the expectation of the squared
    error. One hidden layer, one head: the tangent kernel does not depend on the signs of the readout weights, on its
    bias or on g, so averaging over these is exact.
    """
    import torch

    from ...numerics.networks.fully_connected import forward, initialise

    network, x, tests = problem(setting, run, parametrisation)
    members = run.block["members"]
    u, g = (
        initialise(network, members, seed=sub_seed(run.seed, name), device=run.device)
        for name in ("predictor", "target")
    )
    frozen = forward(network, g, x)
    offset = forward(network, u, x).output if centred else torch.zeros_like(frozen.output)
    goal = frozen.output + offset  # a centred predictor u - u0 is trained on g
    linear, trained = train_and_linearise(network, u, x, tests, goal[:, tests:], relative_residual, run)
    covariance = readout_covariance(network, frozen.features[-1], None)
    if not centred:
        covariance = covariance + readout_covariance(network, forward(network, u, x).features[-1], u)
    residual = residual_map(linear.smoother)
    expected = torch.einsum("rsi,rij,rsj->rs", residual, covariance, residual)
    target = goal[:, :tests]
    errors = [(output - target)[:, :, 0] for output in (trained, linear.solution(goal[:, tests:]))]
    correction = errors[0] ** 2 - errors[1] ** 2
    return columns(linearised=expected, correction=correction)


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

    network, x, tests = problem(setting, run, parametrisation)
    members = run.block["members"]
    f = initialise(network, members, seed=sub_seed(run.seed, "member"), device=run.device)
    labels = torch.from_numpy(setting.labels).to(run.device)[None, :, None].expand(members, -1, 1)
    linear, trained = train_and_linearise(network, f, x, tests, labels, relative_residual, run)
    covariance = readout_covariance(network, forward(network, f, x).features[-1], f)
    residual = residual_map(linear.smoother)
    solved = linear.solution(labels)
    return columns(
        centre=torch.bmm(linear.smoother, labels)[:, :, 0],
        spread=torch.einsum("rsi,rij,rsj->rs", residual, covariance, residual),
        shift=(trained - solved)[:, :, 0],
        square=(trained**2 - solved**2)[:, :, 0],
    )


def problem(setting: EnsembleSetting, run: Run, parametrisation: str) -> tuple[FullyConnected, Tensor, int]:
    """The network of one block, all points (test first), and the number of test points."""
    import torch

    network = network_of(setting, run.block["width"], parametrisation)
    if network.depth != 1:
        raise InvalidInput("The averaging over readout signs is exact for one hidden layer only.", "Use two scales.")
    points = np.concatenate([setting.test, setting.train])
    return network, torch.from_numpy(points).to(run.device), len(setting.test)


def train_and_linearise(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    tests: int,
    goal: Tensor,
    relative_residual: float,
    run: Run,
) -> tuple[Any, Tensor]:
    """The linearisation, and the output at the test points after full-batch descent."""
    from ...numerics.networks.fully_connected import forward
    from ...numerics.training.choose import train
    from ...numerics.training.linearised import linearise
    from ...numerics.training.step_size import step_rule

    linear = linearise(network, parameters, x[tests:], x[:tests])
    # three quarters of the fastest step: the tangent kernel of a narrow network moves while it trains
    rule = step_rule(linear.ntk_train, relative_residual=relative_residual, damping=0.75, slack=20)
    found = train(
        network,
        parameters,
        x[tests:],
        goal,
        step_size_sum_loss=rule.step_size_sum_loss,
        relative_residual=relative_residual,
        max_steps=rule.max_steps,
    )
    return linear, forward(network, found.parameters, x[:tests]).output


def readout_covariance(network: FullyConnected, features: Tensor, parameters: Parameters | None) -> Tensor:
    """Covariance of the initial output over the readout's bias and its weights: all of them, or only their signs."""
    import torch

    weight, bias = network.deviations[-1]
    if parameters is None:
        return torch.bmm(features, features.mT) * weight**2 + bias**2
    sizes = (network.factors[-1][0] * parameters.weights[-1].mT) ** 2
    return torch.bmm(features * sizes, features.mT) + bias**2


def residual_map(smoother: Tensor) -> Tensor:
    """M = [I, -G] per member."""
    import torch

    tests = smoother.shape[1]
    identity = torch.eye(tests, dtype=smoother.dtype, device=smoother.device).expand(smoother.shape[0], tests, tests)
    return torch.cat([identity, -smoother], dim=2)


def columns(**tables: Tensor) -> dict[str, np.ndarray]:
    """Tables (rows, tests) as columns `name_0`, `name_1`, ..."""
    return {f"{name}_{s}": table[:, s].cpu().numpy() for name, table in tables.items() for s in range(table.shape[1])}


def table(rows: Mapping[str, np.ndarray], name: str, tests: int) -> np.ndarray:
    """The columns `name_0`, `name_1`, ... as one array, (rows, tests)."""
    return np.stack([rows[f"{name}_{s}"] for s in range(tests)], axis=1)
