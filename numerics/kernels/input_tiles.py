"""First-layer coordinates of many pairs at the cost of a matrix product: exact differences only where the product would cancel."""

from __future__ import annotations

import numpy as np

from .pairs import Matrix, PairState, ratio

# Where |cos| is below this, p - c and p + c keep all but a few bits of c: the angle is off by at most 4 ulps of c over sin(angle) > .3.
SAFE_COSINE = 0.95
_PAIRS = 1 << 21  # float64 entries of one block of differences: 16 MiB


def input_tile(x: Matrix, y: Matrix, a: Matrix, b: Matrix, weight_scale: float, bias_scale: float) -> PairState:
    """`input_state` of the rows of x (n, d) and y (m, d) with squared norms a (n, 1) and b (1, m), which are K(x,x) and K(y,y)."""
    factor = weight_scale**2 / x.shape[1]
    product = x @ y.T
    product *= factor
    product += bias_scale**2
    scale = np.sqrt(a * b)
    gap, cogap, difference = scale - product, scale + product, a - b
    close = np.abs(product) > SAFE_COSINE * scale
    if close.any():
        rows, columns = np.nonzero(close)
        step = max(1, _PAIRS // x.shape[1])
        for start in range(0, len(rows), step):
            i, j = rows[start : start + step], columns[start : start + step]
            difference[i, j], gap[i, j], cogap[i, j] = close_pairs(
                x[i], y[j], a[i, 0], b[0, j], weight_scale, bias_scale
            )
    return PairState(a, b, difference, gap, cogap)


def close_pairs(
    x: Matrix, y: Matrix, a: Matrix, b: Matrix, weight_scale: float, bias_scale: float
) -> tuple[Matrix, Matrix, Matrix]:
    """(a - b, gap, cogap) of the pairs (x_k, y_k), each (k,), without cancellation; see `pairs.input_state`."""
    factor = weight_scale / np.sqrt(x.shape[1])
    delta, total = factor * (x - y), factor * (x + y)
    difference = np.einsum("kd,kd->k", delta, total)
    q = ratio(difference, np.sqrt(a) + np.sqrt(b))  # |X| - |Y|
    shorter = factor * np.where((a <= b)[:, None], x, y)
    norm = np.sqrt(np.minimum(a, b))
    w = norm[:, None] * delta - q[:, None] * shorter
    v = norm[:, None] * total + np.abs(q)[:, None] * shorter
    # the bias coordinate: its difference is 0, its sum 2 sb
    w2 = np.einsum("kd,kd->k", w, w) + (bias_scale * q) ** 2
    v2 = np.einsum("kd,kd->k", v, v) + (bias_scale * (2 * norm + np.abs(q))) ** 2
    twice = 2 * np.sqrt(a * b)
    return difference, ratio(w2, twice), ratio(v2, twice)


def squared_norms(x: Matrix, weight_scale: float, bias_scale: float) -> Matrix:
    """K(x,x) of the first layer, (n,)."""
    scaled = weight_scale / np.sqrt(x.shape[1]) * x
    return np.asarray(np.sum(scaled**2, axis=1) + bias_scale**2)
