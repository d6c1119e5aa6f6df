"""Coordinates of a pair of inputs in which kernels of nearly equal inputs keep their digits (`iw.gap_propagation`); arrays or tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .arrays import Matrix, block, empty, functions_of, inner

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
        return _root(self.a * self.b)

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
        return ratio(self.difference, _root(self.a) + _root(self.b))

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
        gap, cogap, xp = self.gap, self.cogap, functions_of(self.gap)
        return PairState(self.a, self.b, self.difference, xp.minimum(gap, cogap), xp.maximum(gap, cogap))


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
        return _root(self.a * self.b) - self.gap

    @property
    def squared_distance(self) -> Matrix:
        """V(x,x) + V(y,y) - 2 V(x,y), shape (n,m)."""
        return ratio(self.difference, _root(self.a) + _root(self.b)) ** 2 + 2 * self.gap


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
    xp = functions_of(gap)
    return 2 * xp.arctan2(xp.sqrt(gap.clip(0.0)), xp.sqrt(cogap.clip(0.0)))


def gap_of_distance(a: Matrix, b: Matrix, difference: Matrix, squared_distance: Matrix) -> Matrix:
    """sqrt(ab) - K(x,y) from the squared distance of the features: (|x - y|^2 - (|x| - |y|)^2)/2.

    Exact to rounding relative to the squared distance; negative by that much where features are nearly collinear.
    """
    xp = functions_of(squared_distance)
    root_difference = ratio(difference, xp.sqrt(a) + xp.sqrt(b))
    return xp.where(a * b == 0, 0.0, (squared_distance - root_difference**2) / 2)


def ratio(numerator: Matrix, denominator: Matrix) -> Matrix:
    """numerator / denominator with 0/0 = 0: every such quotient belongs to a pair of zero feature vectors."""
    xp = functions_of(denominator)
    safe = xp.where(denominator == 0, 1.0, denominator)
    return xp.where(denominator == 0, 0.0, numerator / safe)


def _root(values: Matrix) -> Matrix:
    return functions_of(values).sqrt(values)


def input_state(x: Matrix, y: Matrix, weight_scale: float, bias_scale: float) -> PairState:
    """Coordinates of the first pre-activation, `K = sw^2 x.y/d + sb^2`, of all pairs of rows of x (n,d) and y (m,d)."""
    a = squared_norms(x, weight_scale, bias_scale)[:, None]
    b = squared_norms(y, weight_scale, bias_scale)[None, :]
    difference, gap, cogap = (empty(x, len(x), len(y)) for _ in range(3))
    rows = max(1, block(x, _BLOCK) // max(1, math.prod(y.shape)))
    for start in range(0, x.shape[0], rows):
        part = slice(start, start + rows)
        difference[part], gap[part], cogap[part] = pair_coordinates(
            x[part, None, :], y[None, :, :], a[part], b, weight_scale, bias_scale
        )
    return PairState(a, b, difference, gap, cogap)


def squared_norms(x: Matrix, weight_scale: float, bias_scale: float) -> Matrix:
    """K(x,x) of the first layer, (n,)."""
    factor, norms = weight_scale / math.sqrt(x.shape[1]), empty(x, len(x))
    rows = max(1, block(x, _CACHED) // x.shape[1])
    for start in range(0, len(x), rows):
        scaled = factor * x[start : start + rows]
        scaled *= scaled
        norms[start : start + rows] = scaled.sum(1)
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
    factor, xp = weight_scale / math.sqrt(x.shape[-1]), functions_of(x)
    delta, total = factor * (x - y), factor * (x + y)
    difference = inner(delta, total)
    q = ratio(difference, xp.sqrt(a) + xp.sqrt(b))  # |X| - |Y|
    shorter = factor * xp.where((a <= b)[..., None], x, y)
    norm = xp.sqrt(xp.minimum(a, b))
    w = norm[..., None] * delta - q[..., None] * shorter
    v = norm[..., None] * total + abs(q)[..., None] * shorter
    # the bias coordinate: its difference is 0, its sum 2 sb
    w2 = (w**2).sum(-1) + (bias_scale * q) ** 2
    v2 = (v**2).sum(-1) + (bias_scale * (2 * norm + abs(q))) ** 2
    twice = 2 * xp.sqrt(a * b)
    return difference, ratio(w2, twice), ratio(v2, twice)


def affine(dual: DualState, weight_scale: float, bias_scale: float) -> PairState:
    """K = sw^2 V + sb^2 in the same coordinates.

    sqrt((P+s)(Q+s)) - sqrt(PQ) - s = s (sqrt P - sqrt Q)^2 / (sum), so the bias adds a term without cancellation.
    """
    w, s = weight_scale**2, bias_scale**2
    p, q, difference = w * dual.a, w * dual.b, w * dual.difference
    root_difference = ratio(difference, _root(p) + _root(q))
    a, b = p + s, q + s
    bent = ratio(s * root_difference**2, _root(a * b) + _root(p * q) + s)
    cogap = None if dual.known_cogap is None else w * dual.known_cogap + bent + 2 * s
    return PairState(a, b, difference, w * dual.gap + bent, cogap)
