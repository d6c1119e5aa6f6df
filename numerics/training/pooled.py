"""Networks read at the average over positions: fully connected ones (one position), or one convolution and global average pooling.

One convolution followed by an average over positions is a network of one hidden layer applied to every patch, averaged: its parameters,
outputs, gradients and tangent kernel are those of the fully connected population on patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ..networks.fully_connected import FullyConnected, Parameters, Trace, forward, fully_connected, pullback
from ..networks.tangent_kernel import empirical_ntk
from .choose import train
from .linearised import Linearised, solve_kernel
from .step_size import step_rule

_DIVERGED = 1e3  # growth of the residual norm that no stable descent shows


@dataclass(frozen=True)
class Problem:
    """`network` on points (rows, d), `positions` rows for each input, the `tests` test inputs first."""

    network: FullyConnected
    points: Tensor
    tests: int
    positions: int = 1

    @property
    def inputs(self) -> int:
        """Test and training inputs together."""
        return self.points.shape[0] // self.positions

    @property
    def train_points(self) -> Tensor:
        return self.points[self.tests * self.positions :]


@dataclass(frozen=True)
class Descent:
    """Full-batch descent on the sum of squares until `relative_residual`, with `fraction` of 2/(lmax + lmin), the fastest step.

    At most `max_steps`, and never more than 20 times those that the slowest mode of the linearisation would take.
    """

    relative_residual: float = 1e-5
    fraction: float = 0.75  # the tangent kernel of a narrow network moves while it trains
    max_steps: int | None = None


def problem_of(
    test: Tensor,
    train: Tensor,
    *,
    width: int,
    outputs: int,
    parametrisation: str,
    filter_size: tuple[int, int] | None = None,
    padding: str = "circular",
    **architecture: Any,
) -> Problem:
    """Networks of `width` units on inputs (S, d) and (N, d), or, with a filter, of `width` channels on images (., height, width, channels).

    `architecture`: depth (1 for images), activation, weight_scale, bias_scale. Raises InvalidInput.
    """
    points = torch.cat([test, train])
    inputs = len(points)
    if filter_size is not None:
        points = image_patches(points, filter_size=filter_size, circular=padding == "circular")
    network = fully_connected(
        inputs=points.shape[1], width=width, outputs=outputs, parametrisation=parametrisation, **architecture
    )
    return Problem(network, points, len(test), len(points) // inputs)


def read(problem: Problem, trace: Trace) -> Tensor:
    """Outputs (R, inputs, K) of a forward pass over the rows of `problem.points` or some of its inputs."""
    return _average(trace.output, problem.positions)


def features(problem: Problem, trace: Trace) -> Tensor:
    """What the readout sees, (R, inputs, units)."""
    return _average(trace.features[-1], problem.positions)


def tangent_kernel(problem: Problem, parameters: Parameters, *, trained: str = "all") -> Tensor:
    """J J^T over pairs (input, output), the output fastest: (R, inputs K, inputs K)."""
    kernel = empirical_ntk(problem.network, parameters, problem.points, trained=trained)
    p, outputs = problem.positions, problem.network.outputs
    if p > 1:
        n = problem.inputs
        kernel = kernel.reshape(-1, n, p, outputs, n, p, outputs).mean(dim=(2, 5))
    size = problem.inputs * outputs
    return kernel.reshape(-1, size, size)


def image_patches(images: Tensor, *, filter_size: tuple[int, int], circular: bool) -> Tensor:
    """Images (n, height, width, channels) as rows of what the filter sees, (n height width, q channels), position by position.

    Beyond the border zeros, or the other side; an even filter reaches further to the right, as in `convolutional_kernels`.
    """
    n, height, width, _ = images.shape
    if filter_size[0] > height or filter_size[1] > width:
        raise InvalidInput(f"The filter {filter_size} is larger than the image {(height, width)}.")
    (up, down), (left, right) = (((size - 1) // 2, size // 2) for size in filter_size)
    mode = "circular" if circular else "constant"
    framed = torch.nn.functional.pad(images.permute(0, 3, 1, 2), (left, right, up, down), mode=mode)
    return torch.nn.functional.unfold(framed, filter_size).mT.reshape(n * height * width, -1)


def train_both(
    problem: Problem, parameters: Parameters, goal: Tensor, descent: Descent, *, kernel: Tensor | None = None
) -> tuple[Linearised, Tensor]:
    """The exact linearisation at the start, and outputs at the test inputs (R, S, K) after descent on `goal` (R, N, K).

    `kernel`: that of `tangent_kernel`, if it is known already. Raises InvalidInput, NumericalFailure.
    """
    found = tangent_kernel(problem, parameters) if kernel is None else kernel
    trace = forward(problem.network, parameters, problem.points)
    linear = solve_kernel(found, read(problem, trace), problem.tests)
    rule = step_rule(linear.ntk_train, relative_residual=descent.relative_residual, damping=descent.fraction, slack=20)
    most = rule.max_steps if descent.max_steps is None else min(rule.max_steps, descent.max_steps)
    end = _descend(problem, parameters, goal, rule.step_size_sum_loss, descent.relative_residual, most)
    tests = problem.points[: problem.tests * problem.positions]
    return linear, read(problem, forward(problem.network, end, tests))


def _average(values: Tensor, positions: int) -> Tensor:
    return values if positions == 1 else values.unflatten(1, (-1, positions)).mean(dim=2)


def _descend(
    problem: Problem, parameters: Parameters, goal: Tensor, step: Tensor, relative_residual: float, max_steps: int
) -> Parameters:
    if problem.positions == 1:
        return train(
            problem.network, parameters, problem.train_points, goal.contiguous(),
            step_size_sum_loss=step, relative_residual=relative_residual, max_steps=max_steps,
        ).parameters  # fmt: skip
    if goal.shape != (parameters.members, problem.inputs - problem.tests, problem.network.outputs):
        raise InvalidInput(f"goal has shape {tuple(goal.shape)}.")
    current, positions = parameters.clone(), problem.positions
    start, running = None, torch.ones(parameters.members, dtype=torch.bool, device=goal.device)
    for _ in range(max_steps + 1):
        trace = forward(problem.network, current, problem.train_points)
        error = read(problem, trace) - goal
        size = torch.linalg.vector_norm(error, dim=(1, 2))
        start = size if start is None else start
        if not bool((size < _DIVERGED * start).all()):
            raise NumericalFailure("Training diverged.", "Use a smaller fraction of the fastest step.")
        running = running & (size > relative_residual * start)  # a member that arrived stays where it is
        if not bool(running.any()):
            return current
        cotangent = (error * (-step * running)[:, None, None] / positions).repeat_interleave(positions, dim=1)
        change = pullback(problem.network, current, trace, cotangent)
        for parameter, move in zip(current.tensors, change.tensors, strict=True):
            parameter.add_(move)
    raise NumericalFailure(
        f"{int(running.sum())} networks missed the relative residual {relative_residual:g} in {max_steps} steps.",
        "Look at the condition number of the tangent kernel on X.",
    )
