"""Full-batch gradient descent of many networks at once on the sum of squares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ..networks.fully_connected import FullyConnected, Parameters, forward, pullback

_DIVERGED = 1e3  # growth of the residual norm that no stable descent shows


@dataclass(frozen=True)
class Trained:
    """Parameters after training, with steps taken (R,) and final relative residual |f(X)-y| / |f0(X)-y| (R,)."""

    parameters: Parameters
    steps: Tensor
    residual: Tensor


def train_population(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    targets: Tensor,
    *,
    step_size_sum_loss: Tensor | float,
    relative_residual: float,
    max_steps: int,
) -> Trained:
    """Gradient descent on `1/2 sum (f(X) - y)^2` (no 1/N) until every residual is at most `relative_residual` of its
    start.

    x (N,d), targets (R,N,K); the step size is a number or one per member, (R,). A member stops at its own tolerance, so
    the result is that of training it alone; members that have stopped leave the batch when they are a quarter of it.
    Raises InvalidInput for shapes that do not fit, NumericalFailure when a member diverges or does not reach the
    tolerance in `max_steps`.
    """
    members = parameters.members
    if targets.shape != (members, x.shape[0], network.outputs):
        raise InvalidInput(
            f"targets has shape {tuple(targets.shape)}.", f"It must be {(members, x.shape[0], network.outputs)}."
        )
    if not 0 < relative_residual < 1:
        raise InvalidInput(f"relative_residual is {relative_residual!r}.", "It must lie strictly between 0 and 1.")
    step = torch.as_tensor(step_size_sum_loss, dtype=x.dtype, device=x.device).expand(members)
    if not bool((step > 0).all() & step.isfinite().all()):
        raise InvalidInput("step_size_sum_loss must be positive and finite.")
    result, batch = parameters.clone(), parameters.clone()
    steps = torch.zeros(members, dtype=torch.int64, device=x.device)
    residuals = torch.ones(members, dtype=x.dtype, device=x.device)
    start = torch.linalg.vector_norm(forward(network, batch, x).output - targets, dim=(1, 2))
    if bool((start == 0).any()):
        raise InvalidInput("A member fits its targets before training: its relative residual is undefined.")
    alive, goal, rate = torch.arange(members, device=x.device), targets, step[:, None, None]
    running = torch.ones(members, dtype=torch.bool, device=x.device)
    count = 0
    while True:
        trace = forward(network, batch, x)
        error = trace.output - goal
        relative = torch.linalg.vector_norm(error, dim=(1, 2)) / start
        worst = float(relative.max())
        if not worst < _DIVERGED:
            raise NumericalFailure(
                f"Training diverged: the residual grew {worst:.1e}-fold in {count} steps.",
                "Use a step size below 2 / (largest eigenvalue of the tangent kernel on X).",
            )
        residuals[alive] = torch.where(running, relative, residuals[alive])
        steps[alive] = torch.where(running, count, steps[alive])
        running = running & (relative > relative_residual)
        left = int(running.sum())
        if 4 * left <= 3 * len(alive):
            _store(result, batch, alive)
            if not left:
                return Trained(result, steps, residuals)
            alive, batch, goal, rate, start = (
                alive[running], batch.select(running), goal[running], rate[running], start[running]
            )  # fmt: skip
            running = running[running]
            continue  # the forward pass is repeated on the smaller batch
        if count == max_steps:
            break
        descent = pullback(network, batch, trace, error * (-rate * running[:, None, None]))
        for parameter, change in zip(batch.tensors, descent.tensors, strict=True):
            parameter.add_(change)
        count += 1
    raise NumericalFailure(
        f"{left} of {members} networks missed the relative residual {relative_residual:g} in {max_steps} steps "
        f"(worst {worst:.1e}).",
        "Allow more steps, or look at the condition number of the tangent kernel on X.",
    )


def _store(result: Parameters, batch: Parameters, alive: Tensor) -> None:
    for full, part in zip(result.tensors, batch.tensors, strict=True):
        full[alive] = part
