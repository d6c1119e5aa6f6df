"""Dual activation of max(z, 0) on gap coordinates.

V = (sin th + (pi - th) cos th) sqrt(ab) / (2 pi), Vd = (pi - th)/(2 pi).
"""

from __future__ import annotations

import numpy as np

from .pairs import DualState, Matrix, PairState, ratio

_SERIES_BELOW = 0.3
_TERMS = 8  # 0.3^17 * 16/17! < 1e-22 of the leading term t^3/3


def sine_minus_t_cosine(t: Matrix) -> Matrix:
    """sin t - t cos t for t in [0, pi], to a few units in the last place: a power series below 0.3."""
    square = t * t
    series = np.zeros_like(t)
    coefficient = 1.0 / 3.0  # 2k/(2k+1)! at k = 1
    for k in range(1, _TERMS + 1):
        series = series + coefficient * square ** (k - 1)
        coefficient *= -(k + 1) / (k * (2 * k + 2) * (2 * k + 3))
    return np.where(t < _SERIES_BELOW, series * square * t, np.sin(t) - t * np.cos(t))


def relu_dual(state: PairState) -> DualState:
    """One ReLU layer. Source: Cho & Saul 2009 (arc-cosine kernels).

    Gap form derived in `iw.gap_propagation`, step 2.
    """
    scale = state.scale
    angle = state.angle
    if angle is None:  # after a ReLU layer the angle is at most pi/2, where the arcsine is well conditioned
        angle = 2 * np.arcsin(np.sqrt(ratio(state.gap, 2 * scale)))
    gap = scale * (np.sin(angle / 2) ** 2 - sine_minus_t_cosine(angle) / (2 * np.pi))
    return DualState(state.a / 2, state.b / 2, state.difference / 2, gap, (np.pi - angle) / (2 * np.pi))
