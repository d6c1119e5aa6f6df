"""The tangent kernel of a user's module by the route that is predicted to cost least."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ...theory.errors import AssumptionViolated, InvalidInput
from ..methods.data import check_inputs
from ..methods.network import FrozenNetwork, freeze, outputs, require_predictor
from .jacobian import jacobian_kernel, product_kernel
from .kernel import EmpiricalNTK
from .layers import record
from .structured import PROBED, cost, structured_kernel

Method = Literal["auto", "jacobian", "products", "structured"]
MEMORY_MB = 2048
METHODS = ("auto", "jacobian", "products", "structured")


@dataclass(frozen=True)
class PredictedCosts:
    """Multiplications that each route would make between n and m examples; a route that does not apply is absent."""

    multiplications: dict[str, float]

    @property
    def cheapest(self) -> str:
        return min(self.multiplications, key=self.multiplications.__getitem__)


def empirical_ntk(
    module: nn.Module,
    x: Tensor,
    y: Tensor | None = None,
    *,
    method: Method = "auto",
    memory_mb: float = MEMORY_MB,
    device: str | torch.device = "cpu",
) -> EmpiricalNTK:
    """J(x) J(y)^T of a module's outputs in its trainable parameters (those with `requires_grad`), at their present values.

    Parameters
    ----------
    module: any `nn.Module` that maps a batch (n, ...) to outputs (n, C), a function of each input alone (batch norm and dropout in eval mode).
        It is never modified: copied where code of its own runs, its layers read in place where only torch's does.
    x, y: inputs (n, ...) and (m, ...), in the module's dtype; y = None means x.
    method: "jacobian" contracts per-example Jacobians; "products" differentiates along one output's gradient at a time; "structured" uses
        the outer-product form of linear and convolution layers, which never forms a gradient, and checks that the form holds; "auto"
        takes the cheapest by `predicted_costs`, and the Jacobian where the structure does not hold.
    memory_mb: of the Jacobian's blocks; smaller ones are formed more often.

    float32 modules give float32 kernels: eigenvalues below 1e-7 of the largest are rounding; pass `module.double()` where they matter.
    Raises `InvalidInput`, `AssumptionViolated`.
    """
    if method not in METHODS:
        raise InvalidInput(f"method is {method!r}.", f"Choose one of {', '.join(METHODS)}.")
    if isinstance(memory_mb, bool) or not isinstance(memory_mb, (int, float)) or not 0 < memory_mb < math.inf:
        raise InvalidInput(f"memory_mb is {memory_mb!r}.", "Give the working memory in MiB, for example 2048.")
    network = freeze(module, device, share_parameters=True)
    x = check_inputs(_placed("x", x, device), network.dtype, network.device)
    alone = outputs(network, x[:1])
    width = alone.shape[1]
    if y is not None:
        y = check_inputs(_placed("y", y, device), network.dtype, network.device)
        outputs(network, y[:1])
    chosen = predicted_costs(network, x, y).cheapest if method == "auto" else method
    if chosen == "structured":
        try:
            return EmpiricalNTK(structured_kernel(network, x, y, alone), chosen, min(PROBED, len(x)))
        except AssumptionViolated:
            if method != "auto":
                raise
            chosen = "jacobian"
    require_predictor(network, x)
    if chosen == "jacobian":
        return EmpiricalNTK(jacobian_kernel(network, x, y, width, memory_mb), chosen)
    return EmpiricalNTK(product_kernel(network, x, y, width), chosen)


def predicted_costs(network: FrozenNetwork, x: Tensor, y: Tensor | None = None) -> PredictedCosts:
    """From one example's forward and backward pass. A gradient costs about twice the parameters per position, and so does a derivative
    along a direction; what lies outside of structured layers goes through its Jacobian in every route. The structured route's check against
    autograd is counted: a forward and a backward pass of a few examples, and a comparison of each parameter."""
    n, m = len(x), len(x if y is None else y)
    one = record(network, x[:1])
    c = one.outputs.shape[1]
    passes = sum(f.inputs.shape[1] * f.inputs.shape[2] * f.gradients.shape[3] for f in one.factors)
    loose = sum(value.numel() for name, value in network.random.items() if name not in one.covered)
    forward = float(max(passes + loose, network.size))
    sides = float(n if y is None else n + m)
    found = {
        "jacobian": sides * 2 * c * forward + n * m * c * c * float(network.size),
        "products": m * c * (2 * forward + 2 * n * forward),
    }
    if one.factors:
        # the kernel's shares are counted for one example and scaled to the pairs
        shares = 0.0
        for f in one.factors:
            pairs, _ = cost(f, 1)
            positions = f.inputs.shape[1]
            if positions == 1:
                shares += n * m * float(f.inputs.shape[2] + c * c * f.gradients.shape[3])
            else:
                formed = (n + m) * c * positions * float(f.inputs.shape[2] * f.gradients.shape[3])
                shares += min(n * m * pairs, formed + n * m * c * c * float(f.inputs.shape[2] * f.gradients.shape[3]))
        check = (3 * PROBED + 2) * forward + 2.0 * network.size
        found["structured"] = sides * c * forward + shares + n * m * c * c * float(loose) + check
    return PredictedCosts(found)


def _placed(name: str, value: object, device: str | torch.device) -> Tensor:
    if not isinstance(value, Tensor):
        raise InvalidInput(f"{name} is a {type(value).__name__}.", "Pass a torch.Tensor.")
    return value.to(device)
