"""Convolutional kernels in torch, on a processor or a graphics card: many pairs of images at a time, rectifiers only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ....theory.activations import ABRelu, resolve
from ....theory.errors import InvalidInput, MissingExtra
from ..pairs import Matrix
from .convolution import Norms
from .images import ConvolutionalProblem
from .neighbourhoods import Groups, neighbourhood_sum

if TYPE_CHECKING:
    from torch import Tensor

ARRAYS = 12  # float64 arrays of all pairs of positions for each pair of images of a batch


def torch_kernels(
    left: list[list[Norms]], right: list[list[Norms]], problem: ConvolutionalProblem, device: str, max_bytes: float
) -> tuple[Matrix, Matrix]:
    """K and T as `features` and `read_out` compute them, for as many pairs of images at a time as `max_bytes` hold.

    Raises MissingExtra without torch, InvalidInput for other activations than al min(z,0) + be max(z,0) with al be >= 0.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra(
            "Kernels on a device need torch, which is not installed.", "Install 'nonvacuous[torch]'."
        ) from error
    activation = resolve(problem.activation)
    if not isinstance(activation, ABRelu) or activation.negative * activation.positive < 0:
        raise InvalidInput(
            f"{problem.activation!r} is not computed in torch.",
            "Leave out `device`, or use 'relu', LeakyRelu or ABRelu.",
        )
    pairs = [(i, j) for i in range(len(left)) for j in range(i if problem.symmetric else 0, len(right))]
    entries = problem.positions ** (2 if problem.readout == "average" else 1)
    batch = int(max(1, max_bytes // (8 * ARRAYS * entries)))
    layers = [
        [[_on(torch, part, device) for part in (norms.a, norms.directions)] for norms in image]
        for image in left + right
    ]
    nngp, ntk = np.empty((len(left), len(right))), np.empty((len(left), len(right)))
    for chosen in _batches(pairs, batch):
        first, second = np.array(chosen).T
        stacked = [
            tuple(
                torch.stack([layers[image][layer][part] for image in images])
                for images in (first, second + len(left))
                for part in range(2)
            )
            for layer in range(len(problem.scales) - 1)
        ]
        found = _batch(torch, stacked, activation, problem).cpu().numpy()
        nngp[first, second], ntk[first, second] = found
        if problem.symmetric:
            nngp[second, first], ntk[second, first] = found
    return nngp, ntk


def _on(torch: Any, array: Matrix, device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _batches(pairs: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    return (pairs[start : start + size] for start in range(0, len(pairs), size))


def _batch(torch: Any, layers: list[Any], activation: ABRelu, problem: ConvolutionalProblem) -> Tensor:
    """(2, pairs): K and T."""
    average = problem.readout == "average"
    dimensions = len(problem.spatial)
    groups: Groups = tuple((1 + 2 * k, 2 + 2 * k) if average else (1 + k,) for k in range(dimensions))
    a, b, gap = _coordinates(torch, layers[0], problem, 1)
    known: Tensor | None = _coordinates(torch, layers[0], problem, -1)[2]
    tangent = a.sqrt() * b.sqrt() - gap
    for layer in range(len(layers)):
        _rectify(torch, activation, a, b, gap, known, tangent)
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
    mean = (activation.negative**2 + activation.positive**2) / 2
    u, v = (array.sqrt().flatten(1) for array in (a, b))
    norms = mean * (u.sum(dim=1) * v.sum(dim=1) if average else (u * v).sum(dim=1))
    scale = weight**2 / problem.positions ** (2 if average else 1)
    nngp = bias**2 + scale * (norms - gap.flatten(1).sum(dim=1))
    return torch.stack([nngp, nngp + scale * tangent.flatten(1).sum(dim=1)])


def _coordinates(torch: Any, layer: Any, problem: ConvolutionalProblem, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    """As `convolution._coordinates`, with pairs of images first."""
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


def _rectify(
    torch: Any, activation: ABRelu, a: Tensor, b: Tensor, gap: Tensor, known: Tensor | None, tangent: Tensor
) -> None:
    """As `convolution.rectify`, in place."""
    m, q = (activation.negative**2 + activation.positive**2) / 2, (activation.negative - activation.positive) ** 2
    q = float(q / (2 * np.pi))
    ra, rb = (2 * a).sqrt(), (2 * b).sqrt()
    ia, ib = (torch.where(root > 0, 1 / root, torch.zeros_like(root)) for root in (ra, rb))
    r = (gap * ia).mul_(ib).clamp_(0.0, 1.0)
    if known is not None or activation.negative != 0:
        c = ((ra * rb - gap if known is None else known) * ia).mul_(ib).clamp_(min=0.0).sqrt_()
        root = r.sqrt()
        half = torch.atan2(root, c)
        root.mul_(c)
    else:
        root = r.sqrt()
        half = root.asin()
        root.mul_((1 - r).sqrt_())
    root.sub_((1 - 2 * r).mul_(half)).mul_(q)
    gap.copy_(r.mul_(m).sub_(root).mul_(ra).mul_(rb))
    tangent.mul_(half.mul_(-2 * q).add_(m))
