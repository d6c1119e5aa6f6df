"""The tangent kernel from each layer's outer products; trainable tensors outside of such layers through their Jacobian.

Before a kernel is believed, the gradients that the recorded factors imply are compared with autograd's on a few examples: a weight that the
forward pass also uses outside of its layer would otherwise be counted wrongly, and silently.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import AssumptionViolated
from ..methods.network import FrozenNetwork
from .layers import Factors, Recorded, record

PROBED = 3  # examples


def structured_kernel(network: FrozenNetwork, x: Tensor, y: Tensor | None) -> Float[Tensor, "x y output_x output_y"]:
    """The kernel between x and y (None: x itself). Raises `AssumptionViolated` where a layer's structure does not account for its gradient."""
    left = record(network, x)
    right = left if y is None else record(network, y)
    require_structure(network, x[:PROBED])
    n, c = left.outputs.shape
    m, d = right.outputs.shape
    total = torch.zeros(n * c, m * d, dtype=left.outputs.dtype, device=left.outputs.device)
    for a, b in zip(left.factors, right.factors, strict=True):
        total += _share(a, b, n, c, m, d)
    rest = [name for name in network.random if name not in left.covered]
    if rest:
        jacobian = remaining_jacobian(network, x, rest)
        other = jacobian if y is None else remaining_jacobian(network, y, rest)
        total += jacobian @ other.T
    return total.reshape(n, c, m, d).permute(0, 2, 1, 3)


def cost(factors: Factors, columns: int) -> tuple[float, float]:
    """Multiplications of a layer's share by products of positions, and by forming its gradients, against `columns` examples."""
    n, p, f = factors.inputs.shape
    c, u = factors.gradients.shape[1], factors.gradients.shape[3]
    pairs = float(n) * columns
    return pairs * p * p * (f + c * c * (u + 1)), float(n + columns) * c * p * f * u + pairs * c * c * f * u


def _share(a: Factors, b: Factors, n: int, c: int, m: int, d: int) -> Float[Tensor, "rows columns"]:
    """The layer's weight and bias: (examples, outputs) against (examples, outputs)."""
    same = a is b
    if a.inputs.shape[1] == b.inputs.shape[1] == 1:
        g, h = (side.gradients[:, :, 0].flatten(0, 1) for side in (a, b))
        signals = g @ (g if same else h).T
        inner = a.inputs[:, 0] @ b.inputs[:, 0].T if a.weight else torch.zeros(n, m, dtype=g.dtype, device=g.device)
        if a.bias:
            inner = inner + 1
        return (signals.view(n, c, m, d) * inner[:, None, :, None]).view(n * c, m * d)
    share = torch.zeros(n * c, m * d, dtype=a.inputs.dtype, device=a.inputs.device)
    if a.weight:
        by_positions, by_gradients = cost(a, m)
        if by_positions < by_gradients:
            inner = torch.einsum("ipf,jqf->ipjq", a.inputs, b.inputs)
            signals = torch.einsum("icpu,jdqu->icpjdq", a.gradients, b.gradients)
            share += torch.einsum("ipjq,icpjdq->icjd", inner, signals).reshape(n * c, m * d)
        else:
            first = torch.einsum("icpu,ipf->icuf", a.gradients, a.inputs).reshape(n * c, -1)
            second = first if same else torch.einsum("jdqu,jqf->jduf", b.gradients, b.inputs).reshape(m * d, -1)
            share += first @ second.T
    if a.bias:
        share += a.gradients.sum(2).flatten(0, 1) @ b.gradients.sum(2).flatten(0, 1).T
    return share


def remaining_jacobian(network: FrozenNetwork, x: Tensor, names: list[str]) -> Float[Tensor, "rows parameters"]:
    """Jacobian of (example, output) with respect to the named tensors."""
    held = {name: value for name, value in network.random.items() if name not in names} | network.fixed

    def one(chosen: dict[str, Tensor], example: Tensor) -> Tensor:
        value = torch.func.functional_call(network.module, chosen | held, (example.unsqueeze(0),))
        assert isinstance(value, Tensor)
        return value.squeeze(0)

    chosen = {name: network.random[name] for name in names}
    found = torch.func.vmap(torch.func.jacrev(one), in_dims=(None, 0))(chosen, x)
    return torch.cat([value.flatten(2) for value in found.values()], 2).flatten(0, 1)


def require_structure(network: FrozenNetwork, x: Tensor) -> None:
    """Compare, for a fixed mixture of outputs at the examples x, autograd's gradients with those of the recorded factors."""
    recorded: Recorded = record(network, x)
    weights = torch.linspace(0.5, 1.5, recorded.outputs.numel(), dtype=recorded.outputs.dtype, device=x.device)
    mixture = weights.reshape(recorded.outputs.shape)
    leaves = {name: value.clone().requires_grad_() for name, value in network.random.items()}
    with torch.enable_grad():
        total = (torch.func.functional_call(network.module, leaves | network.fixed, (x,)) * mixture).sum()
    found = dict(
        zip(
            leaves,
            torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True),
            strict=True,
        )
    )
    eps = torch.finfo(recorded.outputs.dtype).eps
    for factors in recorded.factors:
        signal = torch.einsum("ic,icpu->ipu", mixture, factors.gradients)
        size = torch.einsum("ic,icpu->ipu", mixture, factors.gradients.abs())
        implied = {
            factors.weight: (
                torch.einsum("ipu,ipf->uf", signal, factors.inputs),
                torch.einsum("ipu,ipf->uf", size, factors.inputs.abs()),
            ),
            factors.bias: (signal.sum((0, 1)), size.sum((0, 1))),
        }
        for name, (value, scale) in implied.items():
            if name is None:
                continue
            gradient = found[name]
            # both are sums of products whose factors carry the rounding of a whole backward pass
            allowed = 1e4 * eps * (scale.reshape(gradient.shape) + scale.max())
            if not bool(((gradient - value.reshape(gradient.shape)).abs() <= allowed).all()):
                raise AssumptionViolated(
                    f"The gradient of {name!r} is not that of its layer: the forward pass uses it elsewhere too.",
                    'Pass method="jacobian".',
                )
