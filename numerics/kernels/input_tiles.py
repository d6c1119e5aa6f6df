"""First-layer coordinates of many pairs at the cost of a matrix product: exact differences only where the product would cancel."""

from __future__ import annotations

from .arrays import Matrix, block, functions_of
from .pairs import PairState, pair_coordinates

# Where |cos| is below this, p - c and p + c keep all but a few bits of c: the angle is off by at most 4 ulps of c over sin(angle) > .3.
SAFE_COSINE = 0.95
PAIRS = 1 << 18  # float64 entries of one block of differences of close pairs: 2 MiB, a dozen of them at a time


def input_tile(
    product: Matrix, x: Matrix, y: Matrix, a: Matrix, b: Matrix, weight_scale: float, bias_scale: float
) -> PairState:
    """`input_state` of the rows of x (n, d) and y (m, d) from `product` = x y^T, which is overwritten, with squared norms a (n, 1) and b (1, m),
    which are K(x,x) and K(y,y)."""
    xp = functions_of(product)
    product *= weight_scale**2 / x.shape[1]
    product += bias_scale**2
    scale = xp.sqrt(a * b)
    gap, cogap, difference = scale - product, scale + product, a - b
    close = abs(product) > SAFE_COSINE * scale
    if close.any():
        rows, columns = xp.where(close)
        step = max(1, block(product, PAIRS) // x.shape[1])
        for start in range(0, len(rows), step):
            i, j = rows[start : start + step], columns[start : start + step]
            difference[i, j], gap[i, j], cogap[i, j] = pair_coordinates(
                x[i], y[j], a[i, 0], b[0, j], weight_scale, bias_scale
            )
    return PairState(a, b, difference, gap, cogap)
