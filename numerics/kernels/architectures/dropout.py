"""Dropout in training mode: 1/keep_rate on the diagonals of V and of Vd T, nothing for distinct inputs."""

from __future__ import annotations

from ..arrays import functions_of
from ..pairs import PairState
from .signal import Signal


def drop(signal: Signal, keep_rate: float) -> Signal:
    """Masks m/keep_rate are independent between inputs: E m m'/keep_rate^2 is 1/keep_rate for the same draw, else 1."""
    s, inverse, xp = signal.state, 1 / keep_rate, functions_of(signal.tangent)
    excess = (1 - keep_rate) / keep_rate * s.scale
    gap = xp.where(signal.same, 0.0, s.gap + excess)
    cogap = xp.where(signal.same, 2 * inverse * s.scale, s.cogap + excess)
    state = PairState(inverse * s.a, inverse * s.b, inverse * s.difference, gap, cogap)
    return Signal(state, xp.where(signal.same, inverse * signal.tangent, signal.tangent), signal.same)
