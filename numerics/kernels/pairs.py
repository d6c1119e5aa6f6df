"""Coordinates of a pair of inputs in which kernels of nearly equal inputs keep their digits (`iw.gap_propagation`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_BLOCK = 1 << 21  # float64 entries of one block of input differences: 16 MiB
_CACHED = 1 << 15  # float64 entries of a block that stays in cache: 256 KiB


@dataclass(frozen=True)
class PairState:
    """All pairs (x_i, y_j) at one layer, with K(x,x) = a, K(y,y) = b and K(x,y) = sqrt(ab) - gap.

    `a` (n,1) and `b` (1,m) are the diagonals, `difference` (n,m) is a - b and `gap` (n,m) is sqrt(ab) - K(x,y), both
    carried without cancellation. `known_cogap` (n,m) is sqrt(ab) + K(x,y) where it is known better than from the gap:
    at the input, and after activations that tell nearly antiparallel features apart.
    """

    a: Matrix
    b: Matrix
    difference: Matrix
    gap: Matrix
    known_cogap: Matrix | None = None

    @property
    def scale(self) -> Matrix:
        """sqrt(ab), exact for a = b."""
        return np.sqrt(self.a * self.b)

    @property
    def cogap(self) -> Matrix:
        """sqrt(ab) + K(x,y), the gap of x and -y; rounding may leave it at most a few eps sqrt(ab) below 0."""
        return 2 * self.scale - self.gap if self.known_cogap is None else self.known_cogap

    @property
    def angle(self) -> Matrix:
        """The angle between the features, in [0, pi]; 0 for a zero vector."""
        return half_angle(self.gap, self.cogap)

    @property
    def supplement(self) -> Matrix:
        """pi - angle with its own digits: the angle between x and -y (0 for a zero vector too)."""
        return half_angle(self.cogap, self.gap)

    @property
    def root_difference(self) -> Matrix:
        """sqrt a - sqrt b."""
        return ratio(self.difference, np.sqrt(self.a) + np.sqrt(self.b))

    @property
    def nngp(self) -> Matrix:
        """K(x,y), shape (n,m)."""
        return self.scale - self.gap

    @property
    def squared_distance(self) -> Matrix:
        """K(x,x) + K(y,y) - 2 K(x,y), shape (n,m), with all its digits at nearly equal inputs."""
        return self.root_difference**2 + 2 * self.gap

    @property
    def squared_sum(self) -> Matrix:
        """K(x,x) + K(y,y) + 2 K(x,y), shape (n,m)."""
        return self.root_difference**2 + 2 * self.cogap

    def times(self, factor: float) -> PairState:
        """The coordinates of factor K."""
        cogap = None if self.known_cogap is None else factor * self.known_cogap
        return PairState(factor * self.a, factor * self.b, factor * self.difference, factor * self.gap, cogap)

    def folded(self) -> PairState:
        """The coordinates of |K|: x and y, or x and -y where those are closer."""
        gap, cogap = self.gap, self.cogap
        return PairState(self.a, self.b, self.difference, np.minimum(gap, cogap), np.maximum(gap, cogap))


@dataclass(frozen=True)
class DualState:
    """The same coordinates for V = E phi(u) phi(v), with `derivative` = E phi'(u) phi'(v), shape (n,m).

    `derivative` is None where it is infinite on the diagonal (sign).
    """

    a: Matrix
    b: Matrix
    difference: Matrix
    gap: Matrix
    derivative: Matrix | None
    known_cogap: Matrix | None = None

    @property
    def value(self) -> Matrix:
        """V(x,y), shape (n,m)."""
        return np.sqrt(self.a * self.b) - self.gap

    @property
    def squared_distance(self) -> Matrix:
        """V(x,x) + V(y,y) - 2 V(x,y), shape (n,m)."""
        return ratio(self.difference, np.sqrt(self.a) + np.sqrt(self.b)) ** 2 + 2 * self.gap


@dataclass(frozen=True)
class SlopeState:
    """Vd = E phi'(u) phi'(v) at nearby inputs: `a` = Vd(x,x) (n,1), `b` = Vd(y,y) (1,m), `difference` = a - b (n,m) and
    `distance`, `sum` = a + b -+ 2 Vd(x,y) (n,m), all without cancellation."""

    a: Matrix
    b: Matrix
    difference: Matrix
    distance: Matrix
    sum: Matrix


def half_angle(gap: Matrix, cogap: Matrix) -> Matrix:
    """2 atan sqrt(gap/cogap), the angle in [0, pi] with these gaps; gaps below 0 are rounding of 0."""
    return 2 * np.arctan2(np.sqrt(np.maximum(gap, 0.0)), np.sqrt(np.maximum(cogap, 0.0)))


def gap_of_distance(a: Matrix, b: Matrix, difference: Matrix, squared_distance: Matrix) -> Matrix:
    """sqrt(ab) - K(x,y) from the squared distance of the features: (|x - y|^2 - (|x| - |y|)^2)/2.

    Exact to rounding relative to the squared distance; negative by that much where features are nearly collinear.
    """
    root_difference = ratio(difference, np.sqrt(a) + np.sqrt(b))
    return np.where(a * b == 0, 0.0, (squared_distance - root_difference**2) / 2)


def ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    """numerator / denominator with 0/0 = 0: every such quotient belongs to a pair of zero feature vectors."""
    safe = np.where(denominator == 0, 1.0, denominator)
    return np.where(denominator == 0, 0.0, numerator / safe)


def input_state(x: Matrix, y: Matrix, weight_scale: float, bias_scale: float) -> PairState:
    """Coordinates of the first pre-activation, `K = sw^2 x.y/d + sb^2`, of all pairs of rows of x (n,d) and y (m,d)."""
    a = squared_norms(x, weight_scale, bias_scale)[:, None]
    b = squared_norms(y, weight_scale, bias_scale)[None, :]
    difference, gap, cogap = (np.empty((len(x), len(y))) for _ in range(3))
    rows = max(1, _BLOCK // max(1, y.size))
    for start in range(0, x.shape[0], rows):
        block = slice(start, start + rows)
        difference[block], gap[block], cogap[block] = pair_coordinates(
            x[block, None, :], y[None, :, :], a[block], b, weight_scale, bias_scale
        )
    return PairState(a, b, difference, gap, cogap)


def squared_norms(x: Matrix, weight_scale: float, bias_scale: float) -> Matrix:
    """K(x,x) of the first layer, (n,)."""
    factor, norms = weight_scale / np.sqrt(x.shape[1]), np.empty(len(x))
    rows = max(1, _CACHED // x.shape[1])
    for start in range(0, len(x), rows):
        scaled = factor * x[start : start + rows]
        scaled *= scaled
        norms[start : start + rows] = scaled.sum(axis=1)
    norms += bias_scale**2
    return norms


def pair_coordinates(
    x: Matrix, y: Matrix, a: Matrix, b: Matrix, weight_scale: float, bias_scale: float
) -> tuple[Matrix, Matrix, Matrix]:
    """(a - b, gap, cogap) of pairs (x, y) whose features lie along the last axis and whose other axes broadcast; a and b are their
    squared norms K(x,x) and K(y,y).

    Inputs are subtracted before they are scaled. With X, Y the vectors (sw x/sqrt d, sb), w = |Y| X - |X| Y and
    v = |Y| X + |X| Y, the gap is |w|^2 / (2 |X||Y|) and its complement |v|^2 / (2 |X||Y|). Both are written with the
    shorter vector S, `w = |S| (X - Y) - (|X| - |Y|) S`, so that neither equal nor very different norms cancel.
    """
    factor = weight_scale / np.sqrt(x.shape[-1])
    delta, total = factor * (x - y), factor * (x + y)
    difference = np.einsum("...d,...d->...", delta, total)
    q = ratio(difference, np.sqrt(a) + np.sqrt(b))  # |X| - |Y|
    shorter = factor * np.where((a <= b)[..., None], x, y)
    norm = np.sqrt(np.minimum(a, b))
    w = norm[..., None] * delta - q[..., None] * shorter
    v = norm[..., None] * total + np.abs(q)[..., None] * shorter
    # the bias coordinate: its difference is 0, its sum 2 sb
    w2 = np.sum(w**2, axis=-1) + (bias_scale * q) ** 2
    v2 = np.sum(v**2, axis=-1) + (bias_scale * (2 * norm + np.abs(q))) ** 2
    twice = 2 * np.sqrt(a * b)
    return difference, ratio(w2, twice), ratio(v2, twice)


def affine(dual: DualState, weight_scale: float, bias_scale: float) -> PairState:
    """K = sw^2 V + sb^2 in the same coordinates.

    sqrt((P+s)(Q+s)) - sqrt(PQ) - s = s (sqrt P - sqrt Q)^2 / (sum), so the bias adds a term without cancellation.
    """
    w, s = weight_scale**2, bias_scale**2
    p, q, difference = w * dual.a, w * dual.b, w * dual.difference
    root_difference = ratio(difference, np.sqrt(p) + np.sqrt(q))
    a, b = p + s, q + s
    bent = ratio(s * root_difference**2, np.sqrt(a * b) + np.sqrt(p * q) + s)
    cogap = None if dual.known_cogap is None else w * dual.known_cogap + bent + 2 * s
    return PairState(a, b, difference, w * dual.gap + bent, cogap)
