"""Step sizes of gradient descent on the sum of squares, from the tangent kernel on the training inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...theory.errors import InvalidInput


@dataclass(frozen=True)
class StepRule:
    """`step_size_sum_loss` (R,), at most 2/(lmax + lmin), and the `max_steps` in which every member should converge."""

    step_size_sum_loss: Tensor
    max_steps: int


def step_rule(ntk_train: Tensor, *, relative_residual: float, slack: float = 4.0, damping: float = 1.0) -> StepRule:
    """The rule of a population from its tangent kernels on X, (R,M,M), before training.

    2/(lmax + lmin) is the fastest constant step. Linear descent needs log(1/tol)/(eta lmin) of them; `slack` times the
    slowest member's number is allowed, for kernels that move. `damping` in (0, 1] shrinks the step for the same reason.
    Raises InvalidInput for singular kernels.
    """
    if not 0 < damping <= 1:
        raise InvalidInput(f"damping is {damping!r}.", "Steps above 2/(lmax + lmin) slow the stiffest mode down.")
    eigenvalues = torch.linalg.eigvalsh(ntk_train)
    smallest, largest = eigenvalues[:, 0], eigenvalues[:, -1]
    if bool((smallest <= ntk_train.shape[-1] * torch.finfo(ntk_train.dtype).eps * largest).any()):
        raise InvalidInput("A tangent kernel on X is singular.", "Remove repeated inputs or use wider networks.")
    step = damping * 2 / (largest + smallest)
    slowest = float((step * smallest).min())
    return StepRule(step, math.ceil(slack * math.log(1 / relative_residual) / slowest))
