"""Results about the implicit bias of gradient descent, in teaching order."""

from __future__ import annotations

from . import least_squares

IMPLICIT_BIAS = (least_squares.RESULT,)
