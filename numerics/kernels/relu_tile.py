"""NNGP and NTK of ReLU networks on one tile of pairs, in a dozen passes over arrays that stay in cache.

The recursion is that of `duals.rectified` and `pairs.affine`, on h = gap/(2p), the squared sine of half the angle t:
sin t = 2 sqrt(h(1-h)), cos t = 1 - 2h, so one arcsine and one square root a layer are all the transcendental work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .duals.rectified import sine_minus_t_cosine
from .pairs import Matrix, PairState

_SERIES_BELOW = 0.3


def relu_tile(state: PairState, scales: Sequence[tuple[float, float]]) -> tuple[Matrix, Matrix]:
    """(nngp, ntk) of the tile whose first layer is `state`; `scales` are (sw, sb) of the later layers, the readout last."""
    a, b, difference = state.a, state.b, state.difference
    scale = np.sqrt(a * b)
    safe = np.where(scale == 0, 1.0, scale)
    gap, cogap = state.gap, state.cogap
    ntk = scale - gap
    # half the angle from the smaller of gap and cogap: h may be near 1 at the input, and near 1/2 at most later
    h = np.clip(gap / (2 * safe), 0.0, 1.0)
    rest = np.clip(cogap / (2 * safe), 0.0, 1.0)
    rest[scale == 0] = 1.0
    low = np.minimum(h, rest)
    angle = 2 * np.arcsin(np.sqrt(low))
    np.subtract(math.pi, angle, out=angle, where=h > rest)
    for weight, bias in scales:
        w, s = weight**2, bias**2
        bent = _sine_minus(angle, h, rest)  # sin t - t cos t
        bent /= 2 * math.pi
        np.subtract(h, bent, out=bent)
        bent *= scale  # the gap of V
        np.subtract(math.pi, angle, out=angle)
        angle *= w / (2 * math.pi)
        ntk *= angle  # sw^2 Vd T
        p, q = w / 2 * a, w / 2 * b
        difference = w / 2 * difference
        bent *= w
        a, b = p + s, q + s
        if s:
            new = np.sqrt(a * b)
            root = difference / np.maximum(np.sqrt(p) + np.sqrt(q), np.finfo(np.float64).tiny)
            root *= root
            root *= s
            np.multiply(scale, w / 2, out=scale)
            scale += new
            scale += s
            root /= scale
            bent += root
            scale = new
        else:
            scale = scale * (w / 2)
        ntk += scale
        ntk -= bent
        safe = np.where(scale == 0, 1.0, scale) if not scale.all() else scale
        h = bent / safe
        h *= 0.5
        np.clip(h, 0.0, 1.0, out=h)
        rest = 1 - h
        angle = np.sqrt(h)
        np.arcsin(angle, out=angle)
        angle *= 2
    return scale - bent, ntk


def _sine_minus(angle: Matrix, h: Matrix, rest: Matrix) -> Matrix:
    """sin t - t cos t from t, sin^2(t/2) and cos^2(t/2); the series where the two terms cancel."""
    found = h * rest
    np.sqrt(found, out=found)
    found *= 2
    cosine = rest - h
    cosine *= angle
    found -= cosine
    small = angle < _SERIES_BELOW
    if small.any():
        found[small] = sine_minus_t_cosine(angle[small])
    return found
