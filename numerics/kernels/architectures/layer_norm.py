"""Layer normalisation of wide layers: K -> K/sqrt((K(x,x) + e)(K(y,y) + e)), T the same."""

from __future__ import annotations

from ....theory.errors import InvalidInput
from ..arrays import functions_of
from ..pairs import PairState
from .signal import Signal


def normalise(signal: Signal, epsilon: float) -> Signal:
    """Mean 0 and variance K(x,x) of the units are exact in the limit, so the layer divides by constants.

    Raises InvalidInput where a variance and epsilon are both 0.
    """
    s = signal.state
    a, b = s.a + epsilon, s.b + epsilon
    if not ((a > 0).all() and (b > 0).all()):
        raise InvalidInput(
            "A layer that is all 0 cannot be normalised.", "Drop zero inputs, or use a bias or an epsilon."
        )
    scale = functions_of(a).sqrt(a * b)
    difference = epsilon * s.difference / (a * b)
    state = PairState(s.a / a, s.b / b, difference, s.gap / scale, s.cogap / scale)
    return Signal(state, signal.tangent / scale, signal.same)
