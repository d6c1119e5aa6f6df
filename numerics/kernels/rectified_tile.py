"""NNGP and NTK of networks of rectifiers on one tile of pairs, in two dozen passes over arrays (or tensors) that stay in cache.

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
from typing import Any

import numpy as np

from ...theory.activations import ABRelu, Activation, resolve
from .arrays import Matrix, block, empty, functions_of
from .input_tiles import PAIRS, SAFE_COSINE
from .pairs import pair_coordinates, ratio


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


def is_rectifier(activation: Activation) -> bool:
    """Whether it is al min(z,0) + be max(z,0) with al be >= 0: no angle beyond a right one after the first layer."""
    found = resolve(activation)
    return isinstance(found, ABRelu) and found.negative * found.positive >= 0


def slopes(activation: ABRelu) -> tuple[float, float]:
    """(m, r): E phi(z)^2 at unit variance, and how fast Vd/m falls with the angle."""
    m = (activation.negative**2 + activation.positive**2) / 2
    return m, (activation.negative - activation.positive) ** 2 / (2 * math.pi * m)


def rectified_norms(
    a: Matrix, features: int, m: float, first: tuple[float, float], scales: Sequence[tuple[float, float]]
) -> RectifiedNorms:
    """From K(x,x) of the first layer, its (sw, sb) and those of the later ones, the readout last."""
    xp = functions_of(a)
    one, root = xp.ones_like(a), xp.sqrt(a)
    inverse, bias = first[0] / math.sqrt(features) * ratio(one, root), first[1] * ratio(one, root)
    layers, norm = [], a
    for weight, shift in scales:
        features_norm = weight**2 * m * norm
        norm = features_norm + shift**2
        layers.append((xp.sqrt(ratio(features_norm, norm)), shift * ratio(one, xp.sqrt(norm))))
    return RectifiedNorms(a, inverse, bias, tuple(layers), xp.sqrt(norm))


@dataclass(frozen=True)
class Opposite:
    """Pairs (rows, columns) whose angle is near pi, with cos(t/2)^2."""

    rows: Any
    columns: Any
    rest: Matrix


def half_versines(
    product: Matrix, x: Matrix, y: Matrix, left: RectifiedNorms, right: RectifiedNorms, diagonal: int | None,
    scales: tuple[float, float],
) -> tuple[Matrix, Opposite | None]:  # fmt: skip
    """h of the first layer from `product` = x y^T (r, m), which is overwritten; close pairs from exact differences, and the pairs (i, i + diagonal),
    which are the same input, are 0."""
    h, xp, opposite = product, functions_of(product), None
    h *= left.inverse[:, None] * right.inverse
    if scales[1]:
        h += left.bias[:, None] * right.bias
    if diagonal is not None:
        same = np.arange(len(h)), np.arange(diagonal, diagonal + len(h))
        h[same] = 0.0
    close = xp.where(abs(h) > SAFE_COSINE) if max(float(h.max()), -float(h.min())) > SAFE_COSINE else None
    h *= -0.5
    h += 0.5
    if close is not None:
        rows, columns = close
        near = empty(h, 2, len(rows))
        step = max(1, block(h, PAIRS) // x.shape[1])
        for start in range(0, len(rows), step):
            i, j = rows[start : start + step], columns[start : start + step]
            a, b = left.a[i], right.a[j]
            _, gap, cogap = pair_coordinates(x[i], y[j], a, b, *scales)
            near[:, start : start + step] = ratio(xp.stack([gap, cogap]), 2 * xp.sqrt(a * b)).clip(0.0, 1.0)
        h[rows, columns] = near[0]
        far = near[0] > 0.5
        opposite = Opposite(rows[far], columns[far], near[1, far]) if far.any() else None
    if diagonal is not None:
        h[same] = 0.0
    return h, opposite


def rectified_tile(
    h: Matrix, opposite: Opposite | None, left: RectifiedNorms, right: RectifiedNorms, rate: float
) -> tuple[Matrix, Matrix]:
    """(nngp, ntk)/sqrt(K(x,x) K(y,y)) of the output, from h of the first layer, which is overwritten; `rate` is r."""
    xp = functions_of(h)
    cosine = 1 - 2 * h
    tangent = 1 * cosine  # a copy
    angle, sine, pair = xp.empty_like(h), xp.empty_like(h), xp.empty_like(h)
    one = xp.ones_like(h[0, 0])
    for layer, ((c, s), (d, u)) in enumerate(zip(left.layers, right.layers, strict=True)):
        xp.sqrt(h, out=angle)
        xp.arcsin(angle, out=angle)  # t/2
        xp.subtract(one, h, out=sine)
        sine *= h
        xp.sqrt(sine, out=sine)  # sin(t)/2
        if opposite is not None and layer == 0:
            place = (opposite.rows, opposite.columns)
            angle[place] = math.pi / 2 - xp.arcsin(xp.sqrt(opposite.rest))
            sine[place] = xp.sqrt(opposite.rest * (1 - opposite.rest))
        cosine *= angle
        sine -= cosine
        sine *= rate
        h -= sine
        angle *= -2 * rate
        angle += 1
        xp.multiply(c[:, None], d, out=pair)
        h *= pair
        tangent *= pair
        tangent *= angle
        if s.any() or u.any():
            xp.subtract(c[:, None] / 2, d / 2, out=pair)
            pair *= pair
            h += pair
            xp.subtract(s[:, None] / 2, u / 2, out=pair)
            pair *= pair
            h += pair
        xp.multiply(h, -2, out=cosine)
        cosine += 1
        tangent += cosine
    return cosine, tangent
