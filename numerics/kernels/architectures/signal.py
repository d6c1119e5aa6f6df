"""What travels through an infinitely wide network of dense layers: covariances on gap coordinates, and the tangent kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..pairs import DualState, Matrix, PairState


@dataclass(frozen=True)
class Signal:
    """Features or pre-activations of all pairs (x_i, y_j): their covariance K or second moment V as `state`, the tangent kernel
    of the layers below as `tangent` (n, m) (none of the next layer's own weights), and `same` (n, m): True where both are the
    same draw of the same input."""

    state: PairState
    tangent: Matrix
    same: Any

    @property
    def features(self) -> DualState:
        """The state as `affine` takes it."""
        s = self.state
        return DualState(s.a, s.b, s.difference, s.gap, None, s.known_cogap)
