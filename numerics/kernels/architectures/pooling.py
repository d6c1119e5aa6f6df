"""Readouts of convolutional networks: flattened positions, or their global average; and the kernels as users call them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....theory.activations import Activation
from ....theory.errors import InvalidInput
from ....theory.validation import finite, sample_size
from ..arrays import Matrix, chosen_device
from .convolution import Features, Norms, all_norms, features
from .images import ConvolutionalProblem, Padding, Readout, checked_problem

_ARRAYS = 10  # float64 arrays of all pairs of positions that one worker holds at its peak


@dataclass(frozen=True)
class ConvolutionalKernels:
    """Gram matrices (n, m): covariance of the output at initialisation, and tangent kernel with all parameters trained."""

    nngp: Matrix
    ntk: Matrix


def convolutional_kernels(
    x: Any,
    y: Any = None,
    *,
    depth: int,
    filter_size: int | Sequence[int],
    padding: Padding,
    readout: Readout,
    activation: Activation,
    weight_scale: float | Sequence[float],
    bias_scale: float | Sequence[float],
    max_bytes: float = 4e9,
    workers: int = 1,
    device: str | None = None,
) -> ConvolutionalKernels:
    """Infinite-channel kernels of `depth` convolutional layers and a dense readout, between the images x and y.

    x (n, length, channels) or (n, height, width, channels), y (m, ...); y = None means y = x. `filter_size`: one number or one per
    spatial dimension; stride 1; `padding` keeps the size, with zeros (missing neighbours contribute 0, the factor 1/q stays) or
    circular. `readout`: "flatten" reads every position with its own weight, O(positions) per pair of images; "average" pools
    globally, O(positions^2). `weight_scale` and `bias_scale`: one number, or depth + 1, the readout last. NTK parametrisation:
    weights enter as sw/sqrt(q channels), those of the readout as sw/sqrt(positions channels) after flattening and
    sw/sqrt(channels) after the average. `workers`: threads over pairs of images; `max_bytes`: what temporary arrays may take.
    `device`: None computes in NumPy; "cpu" or "cuda" in torch, many pairs at a time.
    float64 only. K and T are exact to rounding on the scale sqrt(k(x,x) k(y,y)), nearly equal images included.
    Source: `iw.conv`, `iw.pool`; the recursion is that of Novak et al. 2019 and Arora et al. 2019 (exact computation).
    Raises InvalidInput, also where `max_bytes` does not suffice, and AssumptionViolated for sign.
    """
    problem = checked_problem(
        x,
        y,
        depth=depth,
        filter_size=filter_size,
        padding=padding,
        readout=readout,
        activation=activation,
        weight_scale=weight_scale,
        bias_scale=bias_scale,
    )
    workers = sample_size("workers", workers)
    needed = workers * predicted_bytes(problem)
    if needed > float(finite("max_bytes", max_bytes, ndim=0)):
        raise InvalidInput(
            f"The kernels need about {needed:.2e} bytes of temporary arrays, more than max_bytes = {max_bytes:.2e}.",
            "Use fewer workers, smaller images or readout='flatten', or raise max_bytes.",
        )
    if device is not None and not isinstance(device, str):
        raise InvalidInput(f"device is {device!r}.", "Pass None, 'cpu', 'cuda' or 'cuda:0'.")
    place = chosen_device(device)
    with np.errstate(over="ignore", invalid="ignore"):
        left = all_norms(problem.x, problem)
        right = left if problem.symmetric else all_norms(problem.y, problem)
        if place is None:
            nngp, ntk = _in_numpy(left, right, problem, workers)
        else:
            from .torch_pairs import torch_kernels

            nngp, ntk = torch_kernels(left, right, problem, place, float(max_bytes))
    if not (np.isfinite(nngp).all() and np.isfinite(ntk).all()):
        raise InvalidInput("The kernels overflow float64.", "Bring images and scales nearer to 1.")
    return ConvolutionalKernels(nngp, ntk)


def _in_numpy(
    left: list[list[Norms]], right: list[list[Norms]], problem: ConvolutionalProblem, workers: int
) -> tuple[Matrix, Matrix]:
    """K and T, pair by pair, in `workers` threads."""
    nngp, ntk = np.empty((len(left), len(right))), np.empty((len(left), len(right)))

    def fill(pair: tuple[int, int]) -> None:
        i, j = pair
        with np.errstate(over="ignore", invalid="ignore"):
            nngp[i, j], ntk[i, j] = _pair(left[i], right[j], problem)
        if problem.symmetric:
            nngp[j, i], ntk[j, i] = nngp[i, j], ntk[i, j]

    pairs = _pairs(len(left), len(right), problem.symmetric)
    if workers == 1:
        for pair in pairs:
            fill(pair)
    else:
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(fill, pairs):
                pass
    return nngp, ntk


def predicted_bytes(problem: ConvolutionalProblem) -> int:
    """Temporary arrays of one pair of images, and the norms of all of them."""
    images = len(problem.x) + (0 if problem.symmetric else len(problem.y))
    channels = problem.x.shape[-1]
    kept = images * problem.positions * (problem.filter_count * (channels + len(problem.scales)) + len(problem.scales))
    pairs = problem.positions ** (2 if problem.readout == "average" else 1)
    return 8 * (_ARRAYS * pairs + 3 * kept)


def _pairs(n: int, m: int, symmetric: bool) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(n) for j in range(i if symmetric else 0, m))


def _pair(left: list[Norms], right: list[Norms], problem: ConvolutionalProblem) -> tuple[float, float]:
    average = problem.readout == "average"
    return read_out(features(left, right, problem, all_pairs=average), problem)


def read_out(found: Features, problem: ConvolutionalProblem) -> tuple[float, float]:
    """K and T of the output: sb^2 + sw^2 times the mean of V over equal positions, or over all pairs of them; T with V + Vd T."""
    weight, bias = problem.scales[-1]
    if problem.readout == "flatten":
        norms = float(np.sum(found.u * found.v))
        count = problem.positions
    else:
        norms = float(np.sum(found.u)) * float(np.sum(found.v))
        count = problem.positions**2
    value = norms - float(np.sum(found.gap))
    nngp = bias**2 + weight**2 / count * value
    return nngp, nngp + weight**2 / count * float(np.sum(found.tangent))
