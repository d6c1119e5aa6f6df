"""Full-batch gradient descent of many members of one module on half the sum of squares, in standard normal coordinates.

The step comes from the largest eigenvalue of each member's tangent kernel on the training inputs, by power iteration on products with its
Jacobian; descent stops at a relative gradient, and every member is trained as if it were alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput, NumericalFailure
from .normal_parametrisation import NormalModule, Normals

POWER_STEPS = 30
SAFETY = 0.8  # of 2/(lmax + penalty): the kernel of a finite network moves while it trains, and power iteration finds lmax from below


@dataclass(frozen=True)
class DescentProgress:
    """`step` of at most `steps`; `gradient`: the largest relative gradient among the members."""

    step: int
    steps: int
    gradient: float


@dataclass(frozen=True, eq=False)
class Descended:
    """The members' numbers after descent; steps taken, and residual norm over its start, of every member."""

    normals: Normals
    steps: int
    residual: Float[Tensor, " members"]


def descend(
    module: NormalModule,
    start: Normals,
    x: Tensor,
    targets: Float[Tensor, "members inputs outputs"],
    *,
    penalty: float,
    tolerance: float,
    max_steps: int,
    centred: bool = False,
    progress: Callable[[DescentProgress], None] | None = None,
) -> Descended:
    """Minimise 1/2 |f(x) - targets|^2 + penalty/2 |w - w0|^2 for every member, from w0 = `start`.

    centred: f is the output less the output at the start. Without penalty every member must interpolate: the residual has to fall to
    `tolerance` of its start; with one the gradient has to. Raises `NumericalFailure`.
    """
    offset = module.population(start, x).detach() if centred else torch.zeros_like(targets)
    goal = targets + offset
    step = SAFETY * 2 / (largest_eigenvalue(module, start, x) + penalty)
    names = list(start)

    def residual_and_gradient(normals: Normals, wanted: Tensor) -> tuple[Tensor, Normals]:
        found: Any = torch.func.vjp(lambda w: module.call(w, x), normals)
        error = found[0] - wanted
        return error, found[1](error)[0]

    run = torch.func.vmap(residual_and_gradient, in_dims=(0, 0))
    normals = {name: value.clone() for name, value in start.items()}
    first_residual = first_gradient = None
    with torch.no_grad():
        for count in range(max_steps + 1):
            error, gradient = run(normals, goal)
            if penalty:
                gradient = {name: gradient[name] + penalty * (normals[name] - start[name]) for name in names}
            residual = error.flatten(1).norm(dim=1)
            size = torch.stack([gradient[name].flatten(1).square().sum(1) for name in names]).sum(0).sqrt()
            if first_residual is None or first_gradient is None:
                first_residual, first_gradient = (
                    residual.clamp(min=torch.finfo(x.dtype).tiny),
                    size.clamp(min=torch.finfo(x.dtype).tiny),
                )
            relative = size / first_gradient if penalty else residual / first_residual
            worst = float(relative.max())
            if progress is not None and count % 50 == 0:
                progress(DescentProgress(count, max_steps, worst))
            if not worst < 1e3:
                raise NumericalFailure(
                    f"Descent diverged in step {count}: the relative {'gradient' if penalty else 'residual'} is {worst:.1e}.",
                    "The network is too narrow for its kernel to stay put: widen it, or lower weight_std.",
                )
            if worst <= tolerance:
                return Descended(normals, count, residual / first_residual)
            if count < max_steps:
                for name in names:
                    normals[name] -= step.view(-1, *[1] * (normals[name].ndim - 1)) * gradient[name]
    raise NumericalFailure(
        f"After {max_steps} steps the relative {'gradient' if penalty else 'residual'} is {worst:.1e}, not {tolerance:g}.",
        "Raise max_steps, widen the network (it must be able to interpolate), or declare a noise_variance.",
    )


def largest_eigenvalue(module: NormalModule, normals: Normals, x: Tensor) -> Float[Tensor, " members"]:
    """Of each member's tangent kernel on x, by power iteration from the vector of ones plus an index-dependent part; from below."""
    members = len(next(iter(normals.values())))

    def product(w: Normals, vector: Tensor) -> Tensor:
        pullback: Any = torch.func.vjp(lambda v: module.call(v, x), w)[1]
        found: Any = torch.func.jvp(lambda v: module.call(v, x), (w,), pullback(vector))
        return found[1]

    run = torch.func.vmap(product, in_dims=(0, 0))
    outputs = module.outputs
    ramp = torch.linspace(1, 2, len(x) * outputs, dtype=x.dtype, device=x.device).reshape(len(x), outputs)
    vector = (ramp * torch.cos(3 * ramp * torch.arange(1, outputs + 1, dtype=x.dtype, device=x.device))).expand(
        members, -1, -1
    )
    value = torch.zeros(members, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        for _ in range(POWER_STEPS):
            vector = vector / vector.flatten(1).norm(dim=1).view(-1, 1, 1)
            vector = run(normals, vector)
            value = vector.flatten(1).norm(dim=1)
    if not bool((value > 0).all()) or not bool(value.isfinite().all()):
        raise InvalidInput(
            "The tangent kernel on the training inputs is zero or not finite.", "Look at the inputs and scales."
        )
    return value


def stopping(tolerance: float, max_steps: int) -> None:
    """Refuse settings of a descent that make no sense."""
    if isinstance(tolerance, bool) or not isinstance(tolerance, float) or not 0 < tolerance < 1:
        raise InvalidInput(f"tolerance is {tolerance!r}.", "It lies strictly between 0 and 1, for example 1e-4.")
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise InvalidInput(f"max_steps is {max_steps!r}.", "It is a whole number of at least 1.")
