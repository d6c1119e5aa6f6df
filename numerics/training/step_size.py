"""Step sizes and momentum of descent on the sum of squares, from the tangent kernel on the training inputs (iw.max_lr, iw.momentum)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from ..wide_networks.training import UnstableStep


@dataclass(frozen=True)
class StepRule:
    """`step_size_sum_loss` (R,), `momentum` (R,), and the `max_steps` in which every member should converge."""

    step_size_sum_loss: Float[Tensor, " R"]
    max_steps: int
    momentum: Float[Tensor, " R"]


def step_rule(
    ntk_train: Float[Tensor, "R M M"],
    *,
    relative_residual: float,
    slack: float = 4.0,
    damping: float = 1.0,
    momentum: bool = False,
) -> StepRule:
    """The rule of a population from its tangent kernels on X before training.

    Without momentum 2/(lmax + lmin), the fastest constant step: linear descent needs log(1/tol)/(eta lmin) of them. With it heavy ball at
    eta = (2/(sqrt(lmax) + sqrt(lmin)))^2, beta = ((sqrt(lmax) - sqrt(lmin))/(sqrt(lmax) + sqrt(lmin)))^2, which needs about
    sqrt(lmax/lmin)/2 log(1/tol), see `heavy_ball_steps`: the square root of the condition number in place of the number, and never
    more steps at tolerances of a tenth or below. Without a penalty it moves the end, too: residuals swing beyond their start, parameters
    with them, and networks end further from their linearisation than plain descent brings them (`benchmarks/momentum.py` prints both),
    so that it is not the default.
    `slack` times the slowest member's number is allowed, for kernels that move. `damping` in (0, 1] is there for the same reason: it
    shrinks the step, and with momentum stands for a kernel whose largest eigenvalue is 1/damping times as large.
    Raises InvalidInput for singular kernels. Sources: Polyak 1964 for heavy ball on quadratics; the count is derived here.
    """
    if not 0 < damping <= 1:
        raise InvalidInput(f"damping is {damping!r}.", "Steps above 2/(lmax + lmin) slow the stiffest mode down.")
    eigenvalues = _eigenvalues(ntk_train)
    smallest, largest = eigenvalues[:, 0], eigenvalues[:, -1]
    if bool((smallest <= ntk_train.shape[-1] * torch.finfo(ntk_train.dtype).eps * largest).any()):
        raise InvalidInput("A tangent kernel on X is singular.", "Remove repeated inputs or use wider networks.")
    if momentum:
        step, memory = heavy_ball(smallest=smallest, largest=largest / damping)
        return StepRule(
            step, math.ceil(slack * heavy_ball_steps(float(memory.max()), relative_residual=relative_residual)), memory
        )
    step = damping * 2 / (largest + smallest)
    slowest = float((step * smallest).min())
    return StepRule(step, math.ceil(slack * math.log(1 / relative_residual) / slowest), torch.zeros_like(step))


def heavy_ball(*, smallest: Tensor, largest: Tensor) -> tuple[Tensor, Tensor]:
    """Step size (sum loss) and momentum for which the slowest mode with an eigenvalue in [smallest, largest] is fastest.

    Both ends have then the double root +-sqrt(beta), and everything between them complex roots of that modulus.
    """
    low, high = smallest.sqrt(), largest.sqrt()
    return (2 / (high + low)).square(), ((high - low) / (high + low)).square()


def heavy_ball_steps(momentum: float, *, relative_residual: float) -> int:
    """Steps of the optimal heavy ball after which |f(X) - y| <= relative_residual |f0(X) - y| for linear descent, whatever the labels.

    A mode with roots rho e^(+-i phi), rho = sqrt(beta), started at rest with r_0 = r_{-1} = 1, is
    r_k = rho^k (cos k phi + (cos phi - rho) sin(k phi)/sin(phi)), so |r_k| <= rho^k (1 + k (1 + rho)).
    """
    rho, goal = math.sqrt(momentum), math.log(relative_residual)
    if rho == 0:
        return 1
    count = 1
    while (
        count * math.log(rho) + math.log1p(count * (1 + rho)) > goal
    ):  # the bound may rise first, but a value below 1 is past its top
        count *= 2
    low = count // 2
    while count - low > 1:
        middle = (low + count) // 2
        if middle * math.log(rho) + math.log1p(middle * (1 + rho)) > goal:
            low = middle
        else:
            count = middle
    return count


def per_member(name: str, value: Tensor | float, *, like: Tensor, members: int) -> Float[Tensor, " R"]:
    """A number, or one for each member, as one for each, of the dtype and on the device of `like`. Raises InvalidInput."""
    found = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if found.ndim > 1 or found.numel() not in (1, members):
        raise InvalidInput(
            f"{name} has shape {tuple(found.shape)}.", f"Pass one number, or one for each of the {members} members."
        )
    return found.expand(members)


def require_momentum(momentum: Tensor) -> Tensor:
    """Momenta in [0, 1), as they are. Raises InvalidInput."""
    if not bool(((momentum >= 0) & (momentum < 1)).all()):
        found = (
            f"from {float(momentum.min()):g} to {float(momentum.max()):g}" if momentum.numel() else "an empty tensor"
        )
        raise InvalidInput(f"momentum is {found}.", "Heavy ball is stable only for 0 <= momentum < 1.")
    return momentum


def require_stable(ntk_train: Tensor, *, step_size_sum_loss: Tensor, momentum: Tensor) -> None:
    """Refuse steps of 2 (1 + momentum)/lmax or more, lmax the largest eigenvalue of the member's kernel (R,M,M). Raises UnstableStep, InvalidInput."""
    largest = _eigenvalues(ntk_train)[:, -1]
    require_below_limit(largest, step_size_sum_loss=step_size_sum_loss, momentum=momentum)


def require_below_limit(largest: Tensor, *, step_size_sum_loss: Tensor, momentum: Tensor) -> None:
    """The same from the largest eigenvalues (R,)."""
    members = largest.numel()
    step = per_member("step_size_sum_loss", step_size_sum_loss, like=largest, members=members)
    limit = 2 * (1 + per_member("momentum", require_momentum(momentum), like=largest, members=members)) / largest
    if not bool((step < limit).all()):
        worst = int((step / limit).nan_to_num(nan=torch.inf).argmax())
        raise UnstableStep(float(step[worst]), float(limit[worst]))


def _eigenvalues(ntk_train: Tensor) -> Float[Tensor, "R M"]:
    if ntk_train.ndim != 3 or ntk_train.shape[1] != ntk_train.shape[2] or not ntk_train.numel():
        raise InvalidInput(
            f"ntk_train has shape {tuple(ntk_train.shape)}.", "Pass one square kernel for each member, (R, M, M)."
        )
    if not bool(ntk_train.isfinite().all()):
        raise InvalidInput(
            "ntk_train contains NaN or infinity.", "Look at the inputs and at the scales of the network."
        )
    return torch.linalg.eigvalsh(ntk_train)
