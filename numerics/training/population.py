"""Full-batch descent, with or without momentum, of many networks at once on the sum of squares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from ..networks.fully_connected import FullyConnected, Parameters
from .any_depth import AnyDepth
from .one_hidden_layer import OneHiddenLayer
from .step_size import per_member, require_momentum, require_stable

_DIVERGED = 1e3  # growth of the residual norm that no stable descent shows
_LOOK = 16  # steps between looks for divergence, and between any looks at an accelerator's numbers: they wait for all that was queued


@dataclass(frozen=True)
class Trained:
    """Parameters after training, with steps taken (R,) and final relative residual |f(X)-y| / |f0(X)-y| (R,)."""

    parameters: Parameters
    steps: Int[Tensor, " R"]
    residual: Float[Tensor, " R"]


def train_population(
    network: FullyConnected,
    parameters: Parameters,
    x: Float[Tensor, "N d"],
    targets: Float[Tensor, "R N K"],
    *,
    step_size_sum_loss: Tensor | float,
    relative_residual: float,
    max_steps: int,
    momentum: Tensor | float = 0.0,
    ntk_train: Tensor | None = None,
) -> Trained:
    """Descent on `1/2 sum (f(X) - y)^2` (no 1/N) until every residual is at most `relative_residual` of its start.

    Step size and momentum (heavy ball, from rest) are numbers or one per member, (R,). A member stops at its own tolerance, so the
    result is that of training it alone, up to rounding; members that have stopped leave the batch when they are a quarter of it. `ntk_train`,
    the tangent kernels on X (R,NK,NK) where they are known, lets an unstable step be refused before the first one.
    Gradients are written out, layer by layer: nothing is recorded for automatic differentiation.
    Raises InvalidInput for shapes that do not fit and a momentum outside [0, 1), UnstableStep, NumericalFailure when a member
    diverges or does not reach the tolerance in `max_steps`.
    """
    members = parameters.members
    if (
        x.ndim != 2
        or not len(x)
        or x.shape[1] != network.inputs
        or targets.shape != (members, x.shape[0], network.outputs)
    ):
        raise InvalidInput(
            f"x has shape {tuple(x.shape)}, targets {tuple(targets.shape)}.",
            f"Pass (N, {network.inputs}) and ({members}, N, {network.outputs}), N at least 1.",
        )
    if not x.dtype == targets.dtype == parameters.weights[0].dtype:
        raise InvalidInput(
            f"x is {x.dtype}, targets {targets.dtype}, the parameters {parameters.weights[0].dtype}.",
            "Use one dtype, float64.",
        )
    if not 0 < relative_residual < 1:
        raise InvalidInput(f"relative_residual is {relative_residual!r}.", "It must lie strictly between 0 and 1.")
    step = per_member("step_size_sum_loss", step_size_sum_loss, like=x, members=members)
    if not bool((step > 0).all() & step.isfinite().all()):
        raise InvalidInput("step_size_sum_loss must be positive and finite.")
    memory = require_momentum(per_member("momentum", momentum, like=x, members=members))
    if ntk_train is not None:
        require_stable(ntk_train, step_size_sum_loss=step, momentum=memory)
    with torch.no_grad():
        return _train(network, parameters, x, targets, step, memory, relative_residual, max_steps)


def _train(
    network: FullyConnected,
    parameters: Parameters,
    x: Tensor,
    targets: Tensor,
    step: Tensor,
    memory: Tensor,
    relative_residual: float,
    max_steps: int,
) -> Trained:
    members = parameters.members
    # one output: everything but the first layer is elementwise; more of them, or more layers: batched products
    shape = OneHiddenLayer if (network.depth, network.outputs) == (1, 1) else AnyDepth
    batch = shape(network, parameters, x, targets)
    square = first = batch.measure()
    # a fit up to the rounding of the outputs is a fit: its relative residual would be noise over noise
    if bool((first.sqrt() <= 100 * torch.finfo(x.dtype).eps * torch.linalg.vector_norm(targets, dim=(1, 2))).any()):
        raise InvalidInput("A member fits its targets before training: its relative residual is undefined.")
    result, steps, squares = parameters.clone(), torch.zeros_like(first, dtype=torch.int64), first.clone()
    alive, counts = torch.arange(members, device=x.device), torch.zeros_like(steps)
    start, goal, fall = first, first * relative_residual**2, -step
    running = torch.ones(members, dtype=torch.bool, device=x.device)
    # a stable heavy ball may swell to 2/(e (1 - sqrt(beta))) of its start before it decays
    ceiling = (_DIVERGED / (1 - float(memory.max()) ** 0.5)) ** 2
    heavy, look = bool((memory > 0).any()), steps_between_looks(x.device)
    count, left, size = 0, 0, members
    while True:
        running = running & (square > goal)  # a member that has stopped is not moved again
        if count % look == 0 or count == max_steps:
            left = int(running.sum())
            small = 4 * left <= 3 * size
            if small or count % _LOOK == 0:  # a residual that is not a number would look like one that has arrived
                _require_descent(square / start, ceiling, count)
            if small:
                done, kept = torch.nonzero(~running)[:, 0], torch.nonzero(running)[:, 0]
                rows = alive[done]
                for full, part in zip(result.tensors, batch.parameters(done).tensors, strict=True):
                    full[rows] = part
                steps[rows], squares[rows] = counts[done], square[done]
                if not left:
                    return Trained(result, steps, (squares / first).sqrt())
                batch.keep(kept)
                alive, counts, start, goal, fall, memory = (
                    value[kept] for value in (alive, counts, start, goal, fall, memory)
                )
                running, square, size = running[kept], batch.measure(), left
                continue
        if count == max_steps:
            break
        counts += running
        everyone = look == 1 and left == size
        batch.descend(
            fall if everyone else fall * running, None if not heavy else memory if everyone else memory * running
        )
        square = batch.measure()
        count += 1
    _require_descent(square / start, ceiling, count)
    raise NumericalFailure(
        f"{left} of {members} networks missed the relative residual {relative_residual:g} in {max_steps} steps "
        f"(worst {float((square / start).max()) ** 0.5:.1e}).",
        "Allow more steps, or look at the condition number of the tangent kernel on X.",
    )


def steps_between_looks(device: torch.device) -> int:
    """After how many steps the members that have stopped are counted."""
    return _LOOK if device.type == "cuda" else 1


def _require_descent(growth: Tensor, ceiling: float, count: int) -> None:
    if not bool((growth < ceiling).all()):
        worst = float(growth.nan_to_num(nan=torch.inf).max()) ** 0.5
        raise NumericalFailure(
            f"Training diverged: the residual grew {worst:.1e}-fold within {count} steps.",
            "Use a step size below 2 (1 + momentum) / (largest eigenvalue of the tangent kernel on X).",
        )
