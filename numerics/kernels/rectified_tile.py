"""NNGP and NTK of networks of rectifiers on one tile of pairs, in two dozen passes over arrays that stay in cache.

Kernels are carried relative to their norms. With t the angle of a pair of pre-activations, h = sin(t/2)^2, k = cos t = 1 - 2h and
tau = T/sqrt(K(x,x) K(y,y)), one layer al min(z,0) + be max(z,0), al be >= 0, followed by a dense one is

    h' = c d (h - r (sin t - t cos t)/2) + e,   tau' = 1 - 2h' + c d (1 - r t) tau,

where r = q/m with m = (al^2 + be^2)/2, q = (al - be)^2/(2 pi); (c, s) = (sqrt(w m a), sb)/sqrt(w m a + sb^2) at x, w = sw^2, likewise (d, u) at
y; and e = ((c - d)^2 + (s - u)^2)/4, the sine squared of half the angle between (c, s) and (d, u). No step subtracts nearly equal
covariances: the angle's error is a few eps, not relative to the angle, which is what K and T need (squared distances would need more).
h stays within [0, 1]: below 1e-16, sin t and t cos t are equal in float64, and above, their rounding is far below h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...theory.activations import ABRelu
from .input_tiles import SAFE_COSINE
from .pairs import Matrix, pair_coordinates, ratio

_PAIRS = 1 << 18  # float64 entries of one block of differences of close pairs: 2 MiB, a dozen of them at a time


@dataclass(frozen=True)
class RectifiedNorms:
    """What a tile needs to know of each input (n,): `a` = K(x,x) of the first layer; `inverse` = sw/sqrt(d a) and `bias` = sb/sqrt(a); for each
    later layer (c, s); `root` = sqrt K(x,x) of the output."""

    a: Matrix
    inverse: Matrix
    bias: Matrix
    layers: tuple[tuple[Matrix, Matrix], ...]
    root: Matrix

    def __getitem__(self, rows: slice) -> RectifiedNorms:
        layers = tuple((c[rows], s[rows]) for c, s in self.layers)
        return RectifiedNorms(self.a[rows], self.inverse[rows], self.bias[rows], layers, self.root[rows])


def slopes(activation: ABRelu) -> tuple[float, float]:
    """(m, r): E phi(z)^2 at unit variance, and how fast Vd/m falls with the angle."""
    m = (activation.negative**2 + activation.positive**2) / 2
    return m, (activation.negative - activation.positive) ** 2 / (2 * math.pi * m)


def rectified_norms(
    a: Matrix, features: int, m: float, first: tuple[float, float], scales: Sequence[tuple[float, float]]
) -> RectifiedNorms:
    """From K(x,x) of the first layer, its (sw, sb) and those of the later ones, the readout last."""
    one, root = np.ones_like(a), np.sqrt(a)
    inverse, bias = first[0] / math.sqrt(features) * ratio(one, root), first[1] * ratio(one, root)
    layers, norm = [], a
    for weight, shift in scales:
        features_norm = weight**2 * m * norm
        norm = features_norm + shift**2
        layers.append((np.sqrt(ratio(features_norm, norm)), shift * ratio(one, np.sqrt(norm))))
    return RectifiedNorms(a, inverse, bias, tuple(layers), np.sqrt(norm))


@dataclass(frozen=True)
class Opposite:
    """Pairs (rows, columns) whose angle is near pi, with cos(t/2)^2."""

    rows: np.ndarray
    columns: np.ndarray
    rest: Matrix


def half_versines(
    product: Matrix, x: Matrix, y: Matrix, left: RectifiedNorms, right: RectifiedNorms, diagonal: int | None,
    scales: tuple[float, float],
) -> tuple[Matrix, Opposite | None]:  # fmt: skip
    """h of the first layer from `product` = x y^T (r, m), which is overwritten; close pairs from exact differences, and the pairs (i, i + diagonal),
    which are the same input, are 0."""
    h = product
    h *= left.inverse[:, None] * right.inverse
    if scales[1]:
        h += left.bias[:, None] * right.bias
    if diagonal is not None:
        same = np.arange(len(h))
        h[same, same + diagonal] = 0.0
    close = max(float(h.max()), -float(h.min())) > SAFE_COSINE
    rows, columns = np.nonzero(np.abs(h) > SAFE_COSINE) if close else (np.empty(0, int), np.empty(0, int))
    h *= -0.5
    h += 0.5
    near = np.empty((2, len(rows)))
    step = max(1, _PAIRS // x.shape[1])
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        a, b = left.a[i], right.a[j]
        _, gap, cogap = pair_coordinates(x[i], y[j], a, b, *scales)
        near[:, start : start + step] = np.clip(ratio(np.stack([gap, cogap]), 2 * np.sqrt(a * b)), 0.0, 1.0)
    h[rows, columns] = near[0]
    if diagonal is not None:
        h[same, same + diagonal] = 0.0
    far = near[0] > 0.5
    return h, Opposite(rows[far], columns[far], near[1, far]) if far.any() else None


def rectified_tile(
    h: Matrix, opposite: Opposite | None, left: RectifiedNorms, right: RectifiedNorms, rate: float
) -> tuple[Matrix, Matrix]:
    """(nngp, ntk)/sqrt(K(x,x) K(y,y)) of the output, from h of the first layer, which is overwritten; `rate` is r."""
    cosine = 1 - 2 * h
    tangent = cosine.copy()
    angle, sine, pair = np.empty_like(h), np.empty_like(h), np.empty_like(h)
    for layer, ((c, s), (d, u)) in enumerate(zip(left.layers, right.layers, strict=True)):
        np.sqrt(h, out=angle)
        np.arcsin(angle, out=angle)  # t/2
        np.subtract(1, h, out=sine)
        sine *= h
        np.sqrt(sine, out=sine)  # sin(t)/2
        if opposite is not None and layer == 0:
            place = (opposite.rows, opposite.columns)
            angle[place] = math.pi / 2 - np.arcsin(np.sqrt(opposite.rest))
            sine[place] = np.sqrt(opposite.rest * (1 - opposite.rest))
        cosine *= angle
        sine -= cosine
        sine *= rate
        h -= sine
        angle *= -2 * rate
        angle += 1
        np.multiply(c[:, None], d, out=pair)
        h *= pair
        tangent *= pair
        tangent *= angle
        if s.any() or u.any():
            np.subtract(c[:, None] / 2, d / 2, out=pair)
            pair *= pair
            h += pair
            np.subtract(s[:, None] / 2, u / 2, out=pair)
            pair *= pair
            h += pair
        np.multiply(h, -2, out=cosine)
        cosine += 1
        tangent += cosine
    return cosine, tangent
