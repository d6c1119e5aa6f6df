"""How many steps a descent is going to take, from the modes of its residual before it begins."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..wide_networks.step_sizes import steps_of_modes
from .normal_parametrisation import NormalModule, Normals
from .tangent_spectrum import residual_modes


def foreseen_steps(
    module: NormalModule, start: Normals, x: Tensor, goal: Tensor, step: Float[Tensor, " members"], tolerance: float
) -> float:
    """Steps that plain descent without penalty takes at least in the slowest member's linearisation at the start (beyond 1e12 or so: in none).

    From the modes of its residual (`residual_modes`). Of the network itself this is a forecast, no bound: its kernel moves. Networks of 16
    to 64 units with large targets, or with few units awake at a nearly singular start, arrived in a hundredth of it and less, so that
    nothing is refused on its account; it is told in `DescentProgress`, and where descent fails.
    """
    with torch.no_grad():
        residual = module.population(start, x) - goal
    if not bool((residual.flatten(1).norm(dim=1) > 0).all()):
        return 0.0
    modes = residual_modes(module, start, x, residual)
    return max(
        steps_of_modes(eigenvalues, shares, step_size_sum_loss=float(eta), relative_residual=tolerance)
        for eigenvalues, shares, eta in zip(
            modes.eigenvalues.cpu().numpy(), modes.shares.cpu().numpy(), step, strict=True
        )
    )
