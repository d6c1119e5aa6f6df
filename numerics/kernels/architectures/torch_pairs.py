"""Convolutional kernels in torch, on a processor or a graphics card: many pairs of images at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..arrays import Matrix, placed
from .convolution import TILE_ARRAYS, Norms, activate, tile_entries
from .images import ConvolutionalProblem
from .neighbourhoods import Groups, neighbourhood_sum

if TYPE_CHECKING:
    from torch import Tensor

ARRAYS = 12  # float64 arrays of all pairs of positions for each pair of images of a batch


def torch_kernels(
    left: list[list[Norms]], right: list[list[Norms]], problem: ConvolutionalProblem, device: Any, max_bytes: float
) -> tuple[Matrix, Matrix]:
    """K and T as `features` and `read_out` compute them, for as many pairs of images at a time as `max_bytes` hold; `device` is a torch.device."""
    import torch

    there: Any = torch.empty(0, dtype=torch.float64, device=device)
    pairs = [(i, j) for i in range(len(left)) for j in range(i if problem.symmetric else 0, len(right))]
    entries = problem.positions ** (2 if problem.readout == "average" else 1)
    batch = int(max(1, (max_bytes / 8 - TILE_ARRAYS * tile_entries(there)) // (ARRAYS * entries)))
    layers = [
        [[placed(part, there) for part in (norms.a, norms.directions)] for norms in image] for image in left + right
    ]
    nngp, ntk = np.empty((len(left), len(right))), np.empty((len(left), len(right)))
    for chosen in _batches(pairs, batch):
        first, second = np.array(chosen).T
        stacked = [
            tuple(
                torch.stack([cast("Tensor", layers[image][layer][part]) for image in images])
                for images in (first, second + len(left))
                for part in range(2)
            )
            for layer in range(len(problem.scales) - 1)
        ]
        found = _batch(torch, stacked, problem).cpu().numpy()
        nngp[first, second], ntk[first, second] = found
        if problem.symmetric:
            nngp[second, first], ntk[second, first] = found
    return nngp, ntk


def _batches(pairs: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    return (pairs[start : start + size] for start in range(0, len(pairs), size))


def _batch(torch: Any, layers: list[Any], problem: ConvolutionalProblem) -> Tensor:
    """(2, pairs): K and T."""
    average = problem.readout == "average"
    dimensions = len(problem.spatial)
    groups: Groups = tuple((1 + 2 * k, 2 + 2 * k) if average else (1 + k,) for k in range(dimensions))
    a, b, gap = _coordinates(torch, layers[0], problem, 1)
    known: Any = _coordinates(torch, layers[0], problem, -1)[2]
    tangent = a.sqrt() * b.sqrt() - gap
    for layer in range(len(layers)):
        u, v, gap, tangent = activate(problem.activation, a, b, gap, known, tangent)
        known = None
        if layer == len(layers) - 1:
            break
        factor = problem.scales[layer + 1][0] ** 2 / problem.filter_count
        a, b, bent = _coordinates(torch, layers[layer + 1], problem, 1)
        gap, tangent = (
            neighbourhood_sum(array, groups, problem.sizes, problem.circular, torch.zeros_like)
            for array in (gap, tangent)
        )
        gap.mul_(factor).add_(bent)
        tangent.mul_(factor).sub_(gap).add_(a.sqrt() * b.sqrt())
    weight, bias = problem.scales[-1]
    u, v = (array.reshape(len(array), -1) for array in (u, v))
    norms = u.sum(1) * v.sum(1) if average else (u * v).sum(1)
    scale = weight**2 / problem.positions ** (2 if average else 1)
    nngp = bias**2 + scale * (norms - gap.flatten(1).sum(dim=1))
    return torch.stack([nngp, nngp + scale * tangent.flatten(1).sum(dim=1)])


def _coordinates(torch: Any, layer: Any, problem: ConvolutionalProblem, sign: int) -> tuple[Any, Any, Any]:
    """Tensors, as `convolution._coordinates` gives arrays, with pairs of images first."""
    left_a, left, right_a, right = layer
    spatial, ones = problem.spatial, (1,) * len(problem.spatial)
    if problem.readout == "flatten":
        gap = (left_a * right_a).sqrt() / 2 * ((left - sign * right) ** 2).sum(dim=-1)
        return tuple(array.reshape(-1, *spatial) for array in (left_a, right_a, gap))
    # component by component: the product form of squared distances cancels
    gap = torch.zeros(*left_a.shape, right_a.shape[1], dtype=left.dtype, device=left.device)
    for k in range(left.shape[-1]):
        gap.add_((left[:, :, None, k] - sign * right[:, None, :, k]).square_())
    gap = gap.reshape(-1, *spatial, *spatial)
    a, b = left_a.reshape(-1, *spatial, *ones), right_a.reshape(-1, *ones, *spatial)
    if len(spatial) == 2:
        gap, a, b = (array.permute(0, 1, 3, 2, 4).contiguous() for array in (gap, a, b))
    return a, b, gap.mul_(a.sqrt() / 2).mul_(b.sqrt())
