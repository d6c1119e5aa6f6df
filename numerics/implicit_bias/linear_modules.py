"""The design matrix of a torch module that is linear in its trainable parameters, as a frozen body with a trained last layer is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput
from .least_squares import UNIT_ROUNDOFF


def linear_design(module: nn.Module, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """X (outputs of all examples, parameters) and offset f_0 with f(inputs) = f_0 + X w for every w, in float64.

    w are the parameters that require a gradient, in the order of `module.parameters()`, flattened; outputs of an example
    follow one another. The module is copied and never modified. That it is linear is tested at three random points, up
    to rounding. Raises `AssumptionViolated` where it is not, `InvalidInput` without trainable parameters.
    """
    own = copy.deepcopy(module).double().eval()
    x = torch.as_tensor(np.asarray(inputs.detach().cpu() if isinstance(inputs, Tensor) else inputs)).double()
    trained = {name: value.detach() for name, value in own.named_parameters() if value.requires_grad}
    if not trained:
        raise InvalidInput(
            "The module has no trainable parameters.", "Freeze the body only: the last layer is trained."
        )

    def outputs(parameters: dict[str, Tensor]) -> Tensor:
        found = torch.func.functional_call(own, parameters, (x.to(next(iter(trained.values())).device),))
        assert isinstance(found, Tensor)
        return found.reshape(-1)

    return affine_design(outputs, trained)


def design_at(outputs: Callable[[dict[str, Tensor]], Tensor], point: dict[str, Tensor]) -> Tensor:
    """The Jacobian (rows, parameters) of a function of tensors, flattened in their order, in their dtype."""
    jacobians = torch.func.jacrev(outputs)(point)
    return torch.cat([jacobians[name].reshape(-1, value.numel()) for name, value in point.items()], dim=1).detach()


def affine_design(
    outputs: Callable[[dict[str, Tensor]], Tensor], trained: dict[str, Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """X and f_0 of a function of float64 tensors with outputs (rows,), flattened in their order. Raises `AssumptionViolated`."""
    design, count = design_at(outputs, trained), sum(value.numel() for value in trained.values())
    here = torch.cat([value.reshape(-1) for value in trained.values()])
    offset = outputs({name: torch.zeros_like(value) for name, value in trained.items()})
    stream = torch.Generator().manual_seed(0)
    for scale in (1.0, 10.0, 0.1):
        point = here + scale * torch.randn(count, generator=stream, dtype=torch.float64).to(here)
        parts = point.split([value.numel() for value in trained.values()])
        shaped = {name: part.reshape(value.shape) for (name, value), part in zip(trained.items(), parts, strict=True)}
        with torch.no_grad():
            off = (outputs(shaped) - offset - design @ point).abs()
        # sums of `count` products in two orders, on top of features that both sides share
        allowed = 4 * (count + 16) * UNIT_ROUNDOFF * (design.abs() @ point.abs() + offset.abs() + 1e-300)
        if not bool((off <= allowed).all()):
            raise AssumptionViolated(
                f"The module is not linear in its trainable parameters (off by {float(off.max()):.3g}).",
                "ib.regression_w2 and its companions are about linear models: freeze all but the last layer "
                "(requires_grad_(False)), or look at the linearised network (ib.ntk), which holds in a limit only.",
            )
    return design.detach().cpu().numpy(), offset.detach().cpu().numpy()
