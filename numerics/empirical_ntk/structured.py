"""The tangent kernel from each layer's outer products; trainable tensors outside of such layers through their Jacobian.

Before a kernel is believed, the gradients that the recorded factors imply are compared with autograd's on a few examples: a weight that the
forward pass also uses outside of its layer would otherwise be counted wrongly, and silently. So are the outputs of those examples on their own
with those in the whole batch: factors of examples that mix are no gradients of one input.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import AssumptionViolated
from ..methods.network import FrozenNetwork, outputs, require_equal
from .layers import Factors, Recorded, record

PROBED = 3  # examples
_LEAF = 256  # rows of a product that are not halved further
_VECTORS = 2  # of random signs, against which gradients are compared first


def structured_kernel(
    network: FrozenNetwork, x: Tensor, y: Tensor | None, alone: Float[Tensor, "one outputs"]
) -> Float[Tensor, "x y output_x output_y"]:
    """The kernel between x and y (None: x itself); `alone`: the outputs at x[:1]. Raises `AssumptionViolated` where a layer's structure does not
    account for its gradient, or examples mix."""
    left = record(network, x)
    require_structure(network, x, left, alone)
    right = left if y is None else record(network, y)
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
        signals = (own_product(g) if same else g @ h.T).view(n, c, m, d)
        if a.weight:
            left, right = a.inputs[:, 0], b.inputs[:, 0]
            inner = own_product(left) if same else left @ right.T
            signals *= (inner.add_(1) if a.bias else inner)[:, None, :, None]
        return signals.view(n * c, m * d)
    share = torch.zeros(n * c, m * d, dtype=a.inputs.dtype, device=a.inputs.device)
    if a.weight:
        by_positions, by_gradients = cost(a, m)
        if by_positions < by_gradients:
            inner = torch.einsum("ipf,jqf->ipjq", a.inputs, b.inputs)
            signals = torch.einsum("icpu,jdqu->icpjdq", a.gradients, b.gradients)
            share += torch.einsum("ipjq,icpjdq->icjd", inner, signals).reshape(n * c, m * d)
        else:
            first = torch.einsum("icpu,ipf->icuf", a.gradients, a.inputs).reshape(n * c, -1)
            if same:
                share += own_product(first)
            else:
                share += first @ torch.einsum("jdqu,jqf->jduf", b.gradients, b.inputs).reshape(m * d, -1).T
    if a.bias:
        share += a.gradients.sum(2).flatten(0, 1) @ b.gradients.sum(2).flatten(0, 1).T
    return share


def own_product(a: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows rows"]:
    """a a^T, on a processor by halves, so that only one of the two equal off-diagonal blocks is computed."""
    product = a.new_empty(len(a), len(a))

    def fill(part: Tensor, target: Tensor) -> None:
        half = len(part) // 2
        if len(part) <= _LEAF or part.device.type != "cpu":
            torch.mm(part, part.T, out=target)
            return
        fill(part[:half], target[:half, :half])
        fill(part[half:], target[half:, half:])
        torch.mm(part[half:], part[:half].T, out=target[half:, :half])
        target[:half, half:] = target[half:, :half].T

    fill(a, product)
    return product


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


def require_structure(network: FrozenNetwork, x: Tensor, recorded: Recorded, alone: Tensor) -> None:
    """Compare what was recorded at x with calls for fewer examples: outputs of the first `alone`, again, and of the last few; and, for a fixed
    mixture of outputs of the last few, autograd's gradients with those of the factors."""
    require_equal(alone, outputs(network, x[:1]), roundings=0.0)
    require_equal(recorded.outputs[:1], alone)
    few = x[-PROBED:]
    leaves = {name: network.random[name].detach().requires_grad_() for name in recorded.covered}
    with torch.enable_grad():
        values = torch.func.functional_call(network.module, network.random | network.fixed | leaves, (few,))
        require_equal(recorded.outputs[-len(few) :], values.detach())
        if not leaves:
            return
        mixture = torch.linspace(0.5, 1.5, values.numel(), dtype=values.dtype, device=values.device).view(values.shape)
        total = (values * mixture).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    found = dict(zip(leaves, gradients, strict=True))
    roundings = 1e4 * torch.finfo(values.dtype).eps
    for factors in recorded.factors:
        inputs, columns = factors.inputs[-len(few) :].flatten(0, 1), factors.gradients[-len(few) :]
        signal = _mixed(mixture, columns)
        for name, rows in ((factors.weight, inputs), (factors.bias, None)):
            if name is None:
                continue
            gradient = found[name].flatten(1) if rows is not None else found[name][:, None]
            if not (
                _probably_equal(gradient, signal, rows, roundings)
                or _equal(gradient, mixture, columns, rows, roundings)
            ):
                raise AssumptionViolated(
                    f"The gradient of {name!r} is not that of its layer: the forward pass uses it elsewhere too.",
                    'Pass method="jacobian".',
                )


def _mixed(mixture: Tensor, gradients: Tensor) -> Float[Tensor, "rows units"]:
    return (mixture[:, :, None, None] * gradients).sum(1).flatten(0, 1)


def _probably_equal(gradient: Tensor, signal: Tensor, inputs: Tensor | None, roundings: float) -> bool:
    """Whether gradient and signal^T inputs (None: ones), both times a few vectors of random signs, agree up to `roundings` of one of the products
    that they are sums of. One entry that is off by more shows in every vector, several could only cancel each other in all vectors and all rows."""
    if inputs is None:
        return float((gradient[:, 0] - signal.sum(0)).abs().max()) <= roundings * float(signal.abs().max())
    enough = roundings * float((signal.abs().amax(1) * inputs.abs().amax(1)).max())
    differences = [
        gradient.mv(signs) - signal.T.mv(inputs.mv(signs))
        for signs in _signs(inputs.shape[1], inputs.dtype, inputs.device)
    ]
    return float(torch.cat(differences).abs().max()) <= enough


@functools.lru_cache(maxsize=64)
def _signs(length: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
    drawn = torch.randint(2, (_VECTORS, length), generator=torch.Generator().manual_seed(0))
    return tuple((2 * drawn - 1).to(device, dtype))


def _equal(gradient: Tensor, mixture: Tensor, gradients: Tensor, inputs: Tensor | None, roundings: float) -> bool:
    """Whether each entry of the gradient is that of signal^T inputs, up to `roundings` of its sum of sizes and of the greatest such sum: both carry
    the rounding of a whole backward pass."""
    signal, size = _mixed(mixture, gradients), _mixed(mixture, gradients.abs())
    rows = signal.new_ones(len(signal), 1) if inputs is None else inputs
    scale = size.T @ rows.abs()
    return bool(((gradient - signal.T @ rows).abs() <= roundings * (scale + scale.max())).all())
