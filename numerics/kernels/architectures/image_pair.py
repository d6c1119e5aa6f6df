"""Two images on their way through an infinitely wide convolutional network: covariances of all pairs of positions, on gap coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import cdist

from ....theory.architectures import Activate, Dense
from ....theory.image_layers import AveragePool, Conv, Flatten, GlobalAveragePool, ImageLayer, centres, per_dimension
from ..pairs import Matrix, ratio
from .convolution import activate
from .neighbourhoods import Groups, neighbourhood_sum, patches


@dataclass(frozen=True)
class ImagePair:
    """`u`, `v` (*spatial): norms of the features (or pre-activations) at x and y; `gap` = u v - K and `tangent`, (*spatial, *spatial) for all pairs
    of positions or (*spatial) for equal ones; `known` = u v + K where it is known better than from the gap; `tangent` counts the parameters of
    the layers below."""

    u: Matrix
    v: Matrix
    gap: Matrix
    tangent: Matrix
    known: Matrix | None
    all_pairs: bool

    @classmethod
    def of(cls, x: Matrix, y: Matrix, all_pairs: bool) -> ImagePair:
        """The images themselves, (*spatial, channels), with the mean over channels as inner product."""
        spatial, count = x.shape[:-1], x.shape[-1]
        flat = [image.reshape(-1, count) for image in (x, y)]
        u, v = (np.sqrt(np.mean(image**2, axis=1)) for image in flat)
        one, other = (ratio(image, np.sqrt(np.sum(image**2, axis=1))[:, None]) for image in flat)
        gap, known = (_chord(u, v, one, sign * other, all_pairs) for sign in (1, -1))
        shape = (*spatial, *spatial) if all_pairs else spatial
        return cls(
            u.reshape(spatial), v.reshape(spatial), gap.reshape(shape), np.zeros(shape), known.reshape(shape), all_pairs
        )

    @property
    def dimensions(self) -> int:
        return self.u.ndim

    @property
    def norms(self) -> tuple[Matrix, Matrix]:
        """u and v, so that they broadcast against the gap."""
        ones = (1,) * self.dimensions
        return (self.u.reshape(*self.u.shape, *ones), self.v.reshape(*ones, *self.v.shape)) if self.all_pairs else (
            self.u, self.v,
        )  # fmt: skip

    @property
    def nngp(self) -> Matrix:
        """K or V."""
        u, v = self.norms
        return u * v - self.gap

    @property
    def groups(self) -> Groups:
        n = self.dimensions
        return tuple((k, n + k) if self.all_pairs else (k,) for k in range(n))

    def copy(self) -> ImagePair:
        """With arrays of its own where layers work in place."""
        return replace(self, gap=self.gap.copy(), tangent=self.tangent.copy())

    def plus(self, other: ImagePair) -> ImagePair:
        """The sum of two independent signals, as `residual.add`."""
        (p, q), (r, s) = self.norms, other.norms
        u, v = np.sqrt(self.u**2 + other.u**2), np.sqrt(self.v**2 + other.v**2)
        total = replace(self, u=u, v=v).norms
        bent = ratio((r * (p - q) - p * (r - s)) ** 2, total[0] * total[1] + p * q + r * s)
        return replace(
            self, u=u, v=v, gap=self.gap + other.gap + bent, tangent=self.tangent + other.tangent, known=None
        )

    def windows(self, layer: AveragePool | GlobalAveragePool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Window and stride along each spatial dimension."""
        shape = self.u.shape
        if isinstance(layer, GlobalAveragePool):
            return shape, (1,) * len(shape)
        window = per_dimension("window", layer.window, shape)
        return window, window if layer.stride is None else per_dimension("stride", layer.stride, shape)

    def spread(self, window: tuple[int, ...], stride: tuple[int, ...]) -> Matrix:
        """The mean gap within each window of an image with itself: the squared mean norm less the squared norm of the mean."""
        found = self._means(self.gap, window, stride)
        side = int(np.prod(found.shape[: self.dimensions]))
        return found.reshape(side, side).diagonal().reshape(found.shape[: self.dimensions]).copy()

    def pooled(
        self, window: tuple[int, ...], stride: tuple[int, ...], spread_x: Matrix, spread_y: Matrix, *, same: bool
    ) -> ImagePair:
        """Means over windows. With mean norms U, V the norms are sqrt(U^2 - spread), and the gap is the mean gap less U V - (their product)."""
        ones = (1,) * self.dimensions
        mean_u, mean_v = (_means(norms, tuple(range(self.dimensions)), window, stride) for norms in (self.u, self.v))
        u, v = (np.sqrt(np.maximum(m**2 - s, 0.0)) for m, s in ((mean_u, spread_x), (mean_v, spread_y)))

        def pair(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
            return x.reshape(*x.shape, *ones), y.reshape(*ones, *y.shape)

        (mu, mv), (gx, gy), (nu, nv) = pair(mean_u, mean_v), pair(spread_x, spread_y), pair(u, v)
        shrunk = ratio(mu**2 * gy + mv**2 * gx - gx * gy, nu * nv + mu * mv)
        gap = np.maximum(self._means(self.gap, window, stride) - shrunk, 0.0)
        if same:
            side = u.size
            flat = gap.reshape(side, side)
            np.fill_diagonal(flat, 0.0)
            gap = flat.reshape(gap.shape)
        return replace(self, u=u, v=v, gap=gap, tangent=self._means(self.tangent, window, stride), known=None)

    def _means(self, array: Matrix, window: tuple[int, ...], stride: tuple[int, ...]) -> Matrix:
        return _means(_means(array, tuple(range(self.dimensions)), window, stride),
                      tuple(range(self.dimensions, 2 * self.dimensions)), window, stride)  # fmt: skip


def _means(array: Matrix, axes: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...]) -> Matrix:
    """Means over windows along each of the axes."""
    for axis, size, by in zip(axes, window, stride, strict=True):
        places = range(0, array.shape[axis] - size + 1, by)
        parts = [array.take(range(start, start + size), axis).mean(axis, keepdims=True) for start in places]
        array = np.concatenate(parts, axis)
    return array


def _chord(u: Matrix, v: Matrix, one: Matrix, other: Matrix, all_pairs: bool) -> Matrix:
    """u v (1 - cosine) from unit vectors, rows of `one` against rows of `other`."""
    if all_pairs:
        return u[:, None] * v / 2 * cdist(one, other, "sqeuclidean")
    return u * v / 2 * np.sum((one - other) ** 2, axis=1)


def step(pair: ImagePair, layer: ImageLayer) -> ImagePair:
    """Conv, Activate, Flatten or Dense."""
    match layer:
        case Activate():
            (u, v), known = pair.norms, pair.known
            _, _, gap, tangent = found = activate(layer.activation, u**2, v**2, pair.gap, known, pair.tangent)
            return replace(
                pair, u=found[0].reshape(pair.u.shape), v=found[1].reshape(pair.v.shape), gap=gap, tangent=tangent,
                known=None,
            )  # fmt: skip
        case Conv():
            sizes = per_dimension("filter_size", layer.filter_size, pair.u.shape)
            strides = per_dimension("stride", layer.stride, pair.u.shape)
            places = [
                np.arange(length)[np.array(centres(size, by, layer.padding, length))]
                for size, by, length in zip(sizes, strides, pair.u.shape, strict=True)
            ]
            return _weighted(pair, layer, sizes, places, layer.padding == "circular")
        case Flatten():
            return _diagonal(pair)
        case Dense():
            # a filter as large as the image has one place where it fits
            places = [np.array([(length - 1) // 2]) for length in pair.u.shape]
            return _weighted(pair, layer, pair.u.shape, places, False)
    raise AssertionError(layer)


def _diagonal(pair: ImagePair) -> ImagePair:
    """Equal positions alone."""
    if not pair.all_pairs:
        return pair
    shape, side = pair.u.shape, pair.u.size

    def equal(array: Matrix) -> Matrix:
        return array.reshape(side, side).diagonal().reshape(shape).copy()

    known = None if pair.known is None else equal(pair.known)
    return replace(pair, gap=equal(pair.gap), tangent=equal(pair.tangent), known=known, all_pairs=False)


def _weighted(
    pair: ImagePair, layer: Conv | Dense, sizes: tuple[int, ...], places: list[np.ndarray], circular: bool
) -> ImagePair:
    """sb^2 + sw^2/q times sums over a filter, at some positions, as `convolution.features` does it at all of them."""
    count = int(np.prod(sizes))
    share, bias = layer.weight_scale / np.sqrt(count), layer.bias_scale
    spatial = tuple(len(part) for part in places)
    vectors, norms = [], []
    for side in (pair.u, pair.v):
        under = patches(share * side[None, ..., None], sizes, circular)[0, ..., 0][np.ix_(*places)]
        flat = np.concatenate([under.reshape(-1, count), np.full((int(np.prod(spatial)), 1), bias)], axis=1)
        norms.append(np.sqrt(np.sum(flat**2, axis=1)))
        vectors.append(ratio(flat, norms[-1][:, None]))
    opposed = vectors[1].copy()
    opposed[:, -1] *= -1
    shape = (*spatial, *spatial) if pair.all_pairs else spatial
    where = np.ix_(*places, *places) if pair.all_pairs else np.ix_(*places)

    def summed(array: Matrix) -> Matrix:
        return share**2 * neighbourhood_sum(array, pair.groups, sizes, circular)[where]

    gap = summed(pair.gap) + _chord(norms[0], norms[1], vectors[0], vectors[1], pair.all_pairs).reshape(shape)
    known = None
    if pair.known is not None:
        known = summed(pair.known) + _chord(norms[0], norms[1], vectors[0], opposed, pair.all_pairs).reshape(shape)
    above = ImagePair(
        norms[0].reshape(spatial), norms[1].reshape(spatial), gap, summed(pair.tangent), known, pair.all_pairs
    )
    return replace(above, tangent=above.tangent + above.nngp)
