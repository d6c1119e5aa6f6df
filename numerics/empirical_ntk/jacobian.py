"""The tangent kernel of any module: by its Jacobian, or by products of the kernel with one output at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from ..methods.network import BLOCK_ENTRIES, FrozenNetwork


def jacobian_kernel(
    network: FrozenNetwork, x: Tensor, y: Tensor | None, outputs: int, memory_mb: float
) -> Float[Tensor, "x y output_x output_y"]:
    """J(x) J(y)^T, one block of rows against one block of columns at a time, both Jacobian blocks within `memory_mb`."""
    other = x if y is None else y
    rows = block_rows(network, outputs, memory_mb)
    if y is None and len(x) <= rows:
        jacobian = _jacobian(network, x)
        return _contract(jacobian, jacobian, outputs)
    found = []
    for left in x.split(rows):
        first = _jacobian(network, left)
        found.append(
            torch.cat([_contract(first, _jacobian(network, right), outputs) for right in other.split(rows)], 1)
        )
    return torch.cat(found, 0)


def block_rows(network: FrozenNetwork, outputs: int, memory_mb: float) -> int:
    """Examples at once such that two blocks of the Jacobian, and the copies that forming one takes, fit."""
    item = torch.finfo(network.dtype).bits // 8
    return max(1, int(memory_mb * 2**20 / (4 * item * outputs * network.size)))


def _jacobian(network: FrozenNetwork, x: Tensor) -> list[Float[Tensor, "rows parameters"]]:
    """Jacobian of (example, output) in every random tensor, one tensor at a time: put together they would be copied once more."""

    def single(random: dict[str, Tensor], point: Tensor) -> Tensor:
        value = torch.func.functional_call(network.module, random | network.fixed, (point.unsqueeze(0),))
        assert isinstance(value, Tensor)
        return value.squeeze(0)

    try:
        found = torch.func.vmap(torch.func.jacrev(single), in_dims=(None, 0))(network.random, x)
    except RuntimeError as error:
        raise InvalidInput(
            f"The model has no per-input Jacobian under torch.func: {error}",
            "Its forward pass must be differentiable, free of randomness, and free of data-dependent branches.",
        ) from error
    return [value.flatten(2).flatten(0, 1) for value in found.values()]


def _contract(left: list[Tensor], right: list[Tensor], outputs: int) -> Float[Tensor, "x y output_x output_y"]:
    product = left[0] @ right[0].T
    for one, other in zip(left[1:], right[1:], strict=True):
        product.addmm_(one, other.T)
    n, m = len(left[0]) // outputs, len(right[0]) // outputs
    return product.view(n, outputs, m, outputs).permute(0, 2, 1, 3)


def product_kernel(
    network: FrozenNetwork, x: Tensor, y: Tensor | None, outputs: int
) -> Float[Tensor, "x y output_x output_y"]:
    """For every output of every y, its gradient, and the directional derivative of the outputs at x along it: no Jacobian is formed."""
    other = x if y is None else y

    def call(inputs: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
        def evaluate(random: dict[str, Tensor]) -> Tensor:
            value = torch.func.functional_call(network.module, random | network.fixed, (inputs,))
            assert isinstance(value, Tensor)
            return value

        return evaluate

    basis = torch.eye(outputs, dtype=network.dtype, device=network.device)
    at_x = call(x)

    def along(direction: dict[str, Tensor]) -> Tensor:
        return torch.func.jvp(at_x, (network.random,), (direction,))[1]

    # one direction holds as many numbers as there are parameters, and its derivative runs through all of x
    chunk = max(1, BLOCK_ENTRIES // max(1, network.size))
    columns = []
    try:
        for j in range(len(other)):
            pullback: Any = torch.func.vjp(call(other[j : j + 1]), network.random)[1]
            (directions,) = torch.func.vmap(pullback)(basis[:, None, :])
            columns.append(torch.func.vmap(along, chunk_size=chunk)(directions))
    except (RuntimeError, NotImplementedError) as error:
        raise InvalidInput(
            f"The model has no kernel-vector products under torch.func: {error}", 'Pass method="jacobian".'
        ) from error
    return torch.stack(columns).permute(2, 0, 3, 1)
