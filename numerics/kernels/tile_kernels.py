"""Kernels of one tile of a Gram matrix: rectifiers in passes of their own, other activations by the recursion; arrays or tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...theory.activations import ABRelu, Activation, resolve
from .arrays import Matrix, is_tensor
from .duals.table import dual_activation
from .fully_connected import require_norms
from .input_tiles import input_tile
from .pairs import squared_norms
from .rectified_tile import RectifiedNorms, half_versines, is_rectifier, rectified_norms, rectified_tile, slopes
from .recursion import Recursion, Trained

STRIP = 64  # rows of a NumPy tile that rectifiers take at once

Strip = tuple[slice, slice, tuple[Matrix, Matrix]]


@dataclass(frozen=True)
class GramTiles:
    """A checked call: inputs (n, d) and (m, d), their K(x,x) in the first layer, its (sw, sb) and those of the later layers; `norms` of both
    sides, and `rate` of `rectified_tile`, where the activation is al min(z,0) + be max(z,0) with al be >= 0."""

    left: Matrix
    right: Matrix
    symmetric: bool
    a: Matrix
    b: Matrix
    activation: Activation
    first: tuple[float, float]
    scales: tuple[tuple[float, float], ...]
    nngp_only: bool
    norms: tuple[RectifiedNorms, RectifiedNorms] | None
    rate: float

    def strips(self, i: slice, j: slice) -> Iterator[Strip]:
        """Kernels of the tile of rows i and columns j: strip by strip of rows where NumPy has rectifiers, whole otherwise; nothing beyond the
        diagonal block of a symmetric matrix."""
        same = self.symmetric and i == j
        product = self.left[i] @ self.right[j].T
        if self.norms is None:
            state = input_tile(
                product, self.left[i], self.right[j], self.a[i, None], self.b[None, j], self.first[0], self.first[1]
            )
            recursion = Recursion(state, self.activation, self.scales)
            trained: Trained = "readout" if self.nngp_only else "all"
            yield i, j, recursion.kernels(lambda below: dual_activation(self.activation, below), trained)
            return
        side = len(product) if is_tensor(product) else STRIP
        for start in range(0, len(product), side):
            rows = slice(i.start + start, min(i.stop, i.start + start + side))
            columns = slice(j.start, rows.stop) if same else j
            part = product[start : start + side, : columns.stop - columns.start]
            yield rows, columns, self._rectified(part, rows, columns, start if same else None)

    def _rectified(self, product: Matrix, rows: slice, columns: slice, diagonal: int | None) -> tuple[Matrix, Matrix]:
        assert self.norms is not None
        one, other = self.norms[0][rows], self.norms[1][columns]
        h, opposite = half_versines(product, self.left[rows], self.right[columns], one, other, diagonal, self.first)
        found = rectified_tile(h, opposite, one, other, self.rate)
        scale = one.root[:, None] * other.root
        for kernel in found:
            kernel *= scale
        return found


def gram_tiles(
    left: Matrix,
    right: Matrix | None,
    activation: Activation,
    weight_scale: tuple[float, ...],
    bias_scale: tuple[float, ...],
    *,
    nngp_only: bool,
) -> GramTiles:
    """`right` = None: against themselves. Raises InvalidInput for squared norms that leave float64's range."""
    first, scales = (weight_scale[0], bias_scale[0]), tuple(zip(weight_scale[1:], bias_scale[1:], strict=True))
    with np.errstate(over="ignore", invalid="ignore"):  # every tile is looked at
        a = squared_norms(left, *first)
        b = a if right is None else squared_norms(right, *first)
        require_norms(a, b)
        norms, rate, kind = None, 0.0, resolve(activation)
        if isinstance(kind, ABRelu) and is_rectifier(kind):
            mean, rate = slopes(kind)
            one = rectified_norms(a, left.shape[1], mean, first, scales)
            norms = one, one if right is None else rectified_norms(b, left.shape[1], mean, first, scales)
    other = left if right is None else right
    return GramTiles(left, other, right is None, a, b, activation, first, scales, nngp_only, norms, rate)
