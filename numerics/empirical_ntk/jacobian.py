"""The tangent kernel of any module: by its Jacobian, or by products of the kernel with one output at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...theory.errors import InvalidInput
from ..methods.network import BLOCK_ENTRIES, FrozenNetwork, jacobian_blocks


def jacobian_kernel(
    network: FrozenNetwork, x: Tensor, y: Tensor | None, outputs: int, memory_mb: float
) -> Float[Tensor, "x y output_x output_y"]:
    """J(x) J(y)^T, one block of rows against one block of columns at a time, both Jacobian blocks within `memory_mb`."""
    other = x if y is None else y
    rows = block_rows(network, outputs, memory_mb)
    if y is None and len(x) <= rows:
        jacobian = _rows(network, x, outputs)
        return _contract(jacobian, jacobian, outputs)
    found = []
    for left in x.split(rows):
        first = _rows(network, left, outputs)
        found.append(
            torch.cat([_contract(first, _rows(network, right, outputs), outputs) for right in other.split(rows)], 1)
        )
    return torch.cat(found, 0)


def block_rows(network: FrozenNetwork, outputs: int, memory_mb: float) -> int:
    """Examples at once such that two blocks of the Jacobian, and the copies that forming one takes, fit."""
    item = torch.finfo(network.dtype).bits // 8
    return max(1, int(memory_mb * 2**20 / (4 * item * outputs * network.size)))


def _rows(network: FrozenNetwork, x: Tensor, outputs: int) -> Float[Tensor, "rows parameters"]:
    """Jacobian of (example, output)."""
    return torch.cat([block.flatten(0, 1) for block in jacobian_blocks(network, x, outputs)])


def _contract(left: Tensor, right: Tensor, outputs: int) -> Float[Tensor, "x y output_x output_y"]:
    product = left @ right.T
    n, m = len(left) // outputs, len(right) // outputs
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
