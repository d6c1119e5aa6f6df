"""Kernels of wide networks on images built from convolutions (with strides), activations, average pooling, residual blocks and dense layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ....theory.errors import InvalidInput
from ....theory.image_layers import AveragePool, ConvResidual, GlobalAveragePool, ImageLayer, check_image_layers
from ....theory.validation import finite, sample_size
from ..pairs import Matrix
from .image_pair import ImagePair, step
from .images import checked_images
from .pooling import ConvolutionalKernels

_ARRAYS = 16  # float64 arrays of all pairs of positions that one worker holds at its peak


def image_network_kernels(
    x: Any, y: Any = None, *, layers: Sequence[ImageLayer], max_bytes: float = 4e9, workers: int = 1
) -> ConvolutionalKernels:
    """Infinite-channel kernels between the images x and y; y = None means y = x.

    x (n, length, channels) or (n, height, width, channels), y (m, ...). `layers`: Conv, Activate, AveragePool, GlobalAveragePool, Flatten, Dense
    and ConvResidual of `nonvacuous.theory.image_layers`, the last one Dense. Without pooling O(positions) per pair of images, with it
    O(positions^2). `workers`: threads over pairs of images; `max_bytes`: what temporary arrays may take.
    float64 only. Exact to rounding on the scale sqrt(k(x,x) k(y,y)) where no activation follows pooling. Where one does, angles between different
    images come from covariances and their error is about eps/angle, at most 1e-8, and T's with it; an image with itself is exact.
    Source: `iw.conv`, `iw.pool`, `iw.residual`. Raises InvalidInput, also where `max_bytes` does not suffice, and AssumptionViolated for networks
    without a closed form: max pooling, normalisation, activations of what is not Gaussian, sign.
    """
    left = checked_images("x", x)
    right = left if y is None else checked_images("y", y)
    if left.shape[1:] != right.shape[1:]:
        raise InvalidInput(f"Images of x are {left.shape[1:]}, of y {right.shape[1:]}.", "Bring them to one shape.")
    spatial = left.shape[1:-1]
    check_image_layers(layers, spatial)
    workers = sample_size("workers", workers)
    pooled = any(isinstance(layer, AveragePool | GlobalAveragePool) for layer in layers)
    positions = int(np.prod(spatial)) ** (2 if pooled else 1)
    needed = 8.0 * workers * _ARRAYS * positions + 8.0 * (len(left) + len(right)) * left[0].size * 2
    if needed > float(finite("max_bytes", max_bytes, ndim=0)):
        raise InvalidInput(
            f"The kernels need about {needed:.2e} bytes of temporary arrays, more than max_bytes = {max_bytes:.2e}.",
            "Use fewer workers, smaller images or Flatten in place of pooling, or raise max_bytes.",
        )
    nngp, ntk = np.empty((len(left), len(right))), np.empty((len(left), len(right)))

    def own(image: Matrix) -> tuple[list[Matrix], float, float]:
        """Spreads of the windows of each pooling layer, and K and T of an image with itself."""
        spreads: list[Matrix] = []
        with np.errstate(over="ignore", invalid="ignore"):
            last = chain(ImagePair.of(image, image, pooled), layers, None, spreads)
        return spreads, float(last.nngp.sum()), float(last.tangent.sum())

    def between(place: tuple[int, int]) -> tuple[float, float]:
        i, j = place
        with np.errstate(over="ignore", invalid="ignore"):
            spreads = (iter(first[i][0]), iter(second[j][0]))
            last = chain(ImagePair.of(left[i], right[j], pooled), layers, spreads, None)
        return float(last.nngp.sum()), float(last.tangent.sum())

    with ThreadPoolExecutor(workers) as pool:
        alone = pooled or y is None
        first = list(pool.map(own, left)) if alone else [([], 0.0, 0.0)] * len(left)
        second = first if y is None else list(pool.map(own, right)) if alone else [([], 0.0, 0.0)] * len(right)
        places = [(i, j) for i in range(len(left)) for j in range(i + 1 if y is None else 0, len(right))]
        for (i, j), found in zip(places, pool.map(between, places), strict=True):
            nngp[i, j], ntk[i, j] = found
            if y is None:
                nngp[j, i], ntk[j, i] = found
    if y is None:
        for i, (_, k, t) in enumerate(first):
            nngp[i, i], ntk[i, i] = k, t
    if not (np.isfinite(nngp).all() and np.isfinite(ntk).all()):
        raise InvalidInput("The kernels overflow float64.", "Bring images and scales nearer to 1.")
    return ConvolutionalKernels(nngp, ntk)


def chain(
    pair: ImagePair,
    layers: Sequence[ImageLayer],
    spreads: tuple[Iterator[Matrix], Iterator[Matrix]] | None,
    record: list[Matrix] | None,
) -> ImagePair:
    """The pair after the layers. An image with itself (`spreads` None) appends to `record` what other pairs need of it at each pooling layer."""
    for layer in layers:
        if isinstance(layer, ConvResidual):
            pair = pair.plus(chain(pair.copy(), layer.branch, spreads, record))
        elif isinstance(layer, AveragePool | GlobalAveragePool):
            window, stride = pair.windows(layer)
            if spreads is None:
                own = pair.spread(window, stride)
                assert record is not None
                record.append(own)
                pair = pair.pooled(window, stride, own, own, same=True)
            else:
                pair = pair.pooled(window, stride, next(spreads[0]), next(spreads[1]), same=False)
        else:
            pair = step(pair, layer)
    return pair
