"""NNGP and NTK kernels of infinitely wide convolutional networks, per pair of positions, on gap coordinates.

At one layer i and j run over positions of x and y. With u_i, v_j the norms of the features under V,

    K'_ij = sb^2 + (sw^2/q) sum_o V_{i+o,j+o} = U_i . W_j - (sw^2/q) sum_o gap_{i+o,j+o},

where U_i = (sb, sw u_{i+o}/sqrt q, ...) and likewise W_j, so the new gap is (sw^2/q) sum_o gap plus the gap of U_i and W_j, which is
|U_i||W_j|/2 times the squared distance of their directions. No step subtracts nearly equal covariances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from ....theory.activations import ABRelu, Activation, resolve
from ..arrays import Matrix, block, functions_of
from ..duals.table import dual_activation
from ..pairs import PairState, ratio
from .images import ConvolutionalProblem
from .neighbourhoods import Groups, neighbourhood_sum, patches

_TILE = 1 << 16  # float64 entries of one tile of the elementwise part: half a MiB
_CARD_TILE = 1 << 22  # on a graphics card: 32 MiB
TILE_ARRAYS = 48  # of a tile's size that a dual holds at its peak


@dataclass(frozen=True)
class Norms:
    """What one layer needs to know of one image: `a` = K_ii(x,x) and, for the gap of the norms, directions of the vectors U_i
    (positions, components)."""

    a: Matrix
    directions: Matrix


@dataclass(frozen=True)
class Features:
    """V and Vd T between two images, shape of the pairs of positions: `u` and `v` norms of the features at x and y."""

    u: Matrix
    v: Matrix
    gap: Matrix
    tangent: Matrix


def input_norms(images: Matrix, problem: ConvolutionalProblem) -> list[Norms]:
    """The first layer's, from the patches themselves with the bias as one more coordinate."""
    weight, bias = problem.scales[0]
    found = patches(images, problem.sizes, problem.circular)
    count = found.shape[-1] * found.shape[-2]
    flat = weight / np.sqrt(count) * found.reshape(len(images), problem.positions, count)
    flat = np.concatenate([flat, np.full((*flat.shape[:-1], 1), bias)], axis=-1)
    return [_norms(image) for image in flat]


def later_norms(diagonal: Matrix, problem: ConvolutionalProblem, weight: float, bias: float) -> Norms:
    """The next layer's, from V_ii(x,x) of one image, (positions,)."""
    roots = np.sqrt(diagonal).reshape(1, *problem.spatial, 1)
    under = weight / np.sqrt(problem.filter_count) * patches(roots, problem.sizes, problem.circular)
    vectors = under.reshape(problem.positions, problem.filter_count)
    return _norms(np.concatenate([vectors, np.full((len(vectors), 1), bias)], axis=-1))


def _norms(vectors: Matrix) -> Norms:
    a = np.sum(vectors**2, axis=-1)
    return Norms(a, ratio(vectors, np.sqrt(a)[:, None]))


def all_norms(images: Matrix, problem: ConvolutionalProblem) -> list[list[Norms]]:
    """For each image the norms at each hidden layer; they do not depend on the other image."""
    found = []
    for first in input_norms(images, problem):
        layers = [first]
        for weight, bias in problem.scales[1:-1]:
            layers.append(later_norms(diagonal_dual(problem.activation, layers[-1].a), problem, weight, bias))
        found.append(layers)
    return found


def diagonal_dual(activation: Activation, a: Matrix) -> Matrix:
    """V(a, a, a), entrywise."""
    column = a.reshape(-1, 1)
    nothing = functions_of(a).zeros_like(column)
    return dual_activation(activation, PairState(column, column, nothing, nothing)).a.reshape(a.shape)


def features(left: list[Norms], right: list[Norms], problem: ConvolutionalProblem, *, all_pairs: bool) -> Features:
    """V and Vd T after the last hidden layer, for all pairs of positions (positions of x, of y) or for equal ones.

    All pairs are held as (i1, j1, i2, j2), so that one shift moves neighbouring axes: memory O(positions^2).
    """
    dimensions = len(problem.spatial)
    if all_pairs:
        groups: Groups = tuple((2 * k, 2 * k + 1) for k in range(dimensions))
    else:
        groups = tuple((k,) for k in range(dimensions))
    a, b, gap = _coordinates(left[0], right[0], problem, all_pairs, sign=1)
    _, _, cogap = _coordinates(left[0], right[0], problem, all_pairs, sign=-1)
    tangent = np.sqrt(a * b) - gap
    known: Matrix | None = cogap
    for layer in range(len(problem.scales) - 1):
        u, v, gap, tangent = activate(problem.activation, a, b, gap, known, tangent)
        known = None  # only the inputs' complement is known better than from the gap
        if layer == len(problem.scales) - 2:
            break
        weight = problem.scales[layer + 1][0]
        factor = weight**2 / problem.filter_count
        a, b, bent = _coordinates(left[layer + 1], right[layer + 1], problem, all_pairs, sign=1)
        gap, tangent = (neighbourhood_sum(array, groups, problem.sizes, problem.circular) for array in (gap, tangent))
        gap *= factor
        gap += bent
        tangent *= factor
        tangent -= gap
        tangent += np.sqrt(a) * np.sqrt(b)
    return Features(u, v, gap, tangent)


def _coordinates(
    left: Norms, right: Norms, problem: ConvolutionalProblem, all_pairs: bool, *, sign: int
) -> tuple[Matrix, Matrix, Matrix]:
    """a, b and half sqrt(ab) |U - sign W|^2 of the directions: the gap of U and W (sign 1) or of U and -W."""
    spatial = problem.spatial
    if not all_pairs:
        gap = np.sqrt(left.a * right.a) / 2 * np.sum((left.directions - sign * right.directions) ** 2, axis=-1)
        return left.a.reshape(spatial), right.a.reshape(spatial), gap.reshape(spatial)
    gap = cdist(left.directions, sign * right.directions, "sqeuclidean").reshape(*spatial, *spatial)
    a, b = left.a.reshape(*spatial, *(1,) * len(spatial)), right.a.reshape(*(1,) * len(spatial), *spatial)
    if len(spatial) == 2:
        gap, a, b = (np.ascontiguousarray(part.transpose(0, 2, 1, 3)) for part in (gap, a, b))
    gap *= np.sqrt(a) / 2
    gap *= np.sqrt(b)
    return a, b, gap


def tile_entries(like: Matrix) -> int:
    """float64 entries of one tile of the elementwise part."""
    return block(like, _TILE, _CARD_TILE)


def activate(
    activation: Activation, a: Matrix, b: Matrix, gap: Matrix, known: Matrix | None, tangent: Matrix
) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """One dual, of arrays or tensors: norms of the features, their gap and Vd T; `known` is the complement of the gap below where it is known
    apart."""
    found, xp = resolve(activation), functions_of(gap)
    if isinstance(found, ABRelu) and found.negative * found.positive >= 0:
        mean = math.sqrt((found.negative**2 + found.positive**2) / 2)
        rectify(found, a, b, gap, known, tangent)
        return mean * xp.sqrt(a), mean * xp.sqrt(b), gap, tangent
    rows, shape = max(1, tile_entries(gap) // math.prod(gap.shape[1:])), gap.shape
    out = xp.empty_like(gap)
    for start in range(0, shape[0], rows):
        part = slice(start, start + rows)
        part_a, part_b = (v[part] if v.shape[0] == shape[0] else v for v in (a, b))
        complement = None if known is None else known[part]
        dual = dual_activation(activation, PairState(part_a, part_b, part_a - part_b, gap[part], complement))
        assert dual.derivative is not None
        out[part] = dual.gap
        tangent[part] *= dual.derivative
    u, v = (xp.sqrt(diagonal_dual(activation, norms)) for norms in (a, b))
    return u, v, out, tangent


def rectify(activation: ABRelu, a: Matrix, b: Matrix, gap: Matrix, known: Matrix | None, tangent: Matrix) -> None:
    """In place, gap and tangent through al min(z,0) + be max(z,0) with al be >= 0, tile by tile.

    With r = gap/(2 sqrt(ab)) = sin(t/2)^2: gap' = sqrt(ab) (2 m r - q (sin t - t cos t)), Vd = m - q t, m = (al^2+be^2)/2,
    q = (al-be)^2/(2 pi), sin t = 2 sqrt(r (1-r)), cos t = 1 - 2r: one transcendental function per entry. The angle's error
    is eps itself, not relative to the angle, which is what K and T need; squared distances would need more.
    """
    m, q = (activation.negative**2 + activation.positive**2) / 2, (activation.negative - activation.positive) ** 2
    q = float(q / (2 * np.pi))
    xp, early = functions_of(gap), known is not None or activation.negative != 0  # angles beyond a right one
    inverse_a, inverse_b = (ratio(xp.ones_like(v), xp.sqrt(2.0 * v)) for v in (a, b))
    twice_a, twice_b = xp.sqrt(2 * a), xp.sqrt(2 * b)
    rows = max(1, tile_entries(gap) // math.prod(gap.shape[1:]))
    for start in range(0, gap.shape[0], rows):
        part = slice(start, start + rows)
        g, t = gap[part], tangent[part]
        ia, ib, ra, rb = (
            v[part] if v.shape[0] == gap.shape[0] else v for v in (inverse_a, inverse_b, twice_a, twice_b)
        )
        r = g * ia
        r *= ib
        xp.clip(r, 0.0, 1.0, out=r)
        if early:
            c = (ra * rb - g if known is None else known[part]).clip(0.0)
            c *= ia
            c *= ib
            root = xp.sqrt(r)
            other = xp.sqrt(c)
            half = xp.arctan2(root, other)
            root *= other
        else:
            root = xp.sqrt(r)
            half = xp.arcsin(root)
            root *= xp.sqrt(1 - r)
        # 2 (m r - q (root - half (1 - 2r))) with sin t = 2 root, t = 2 half
        turn = 1 - 2 * r
        turn *= half
        root -= turn
        root *= q
        r *= m
        r -= root
        r *= ra
        r *= rb
        gap[part] = r
        half *= -2 * q
        half += m
        t *= half
