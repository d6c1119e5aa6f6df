"""Sums of independent branches: K' = K + K_F, T' = T + T_F."""

from __future__ import annotations

from ..arrays import functions_of
from ..pairs import PairState, ratio
from .signal import Signal


def add(left: Signal, right: Signal) -> Signal:
    """The sum of two independent signals, the skip connection and a branch with fresh last weights.

    With norms u1, u2 at x and v1, v2 at y the gaps add up, and the norms add their own:
    sqrt((u1^2+u2^2)(v1^2+v2^2)) - u1 v1 - u2 v2 = (u1 v2 - u2 v1)^2 / (sum), where u1 v2 - u2 v1 = u2 (u1-v1) - u1 (u2-v2).
    """
    s, t, xp = left.state, right.state, functions_of(left.tangent)
    a, b = s.a + t.a, s.b + t.b
    cross = xp.sqrt(t.a) * s.root_difference - xp.sqrt(s.a) * t.root_difference
    bent = ratio(cross**2, xp.sqrt(a * b) + s.scale + t.scale)
    state = PairState(a, b, s.difference + t.difference, s.gap + t.gap + bent, s.cogap + t.cogap + bent)
    return Signal(state, left.tangent + right.tangent, left.same)
