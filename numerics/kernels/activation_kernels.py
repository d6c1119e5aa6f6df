"""The dual of one activation between two sets of vectors: what a single infinitely wide layer does to inner products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.activations import Activation, resolve
from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .arrays import Matrix
from .duals.table import activation_slopes, dual_activation
from .pairs import input_state, ratio


@dataclass(frozen=True)
class ActivationKernels:
    """`value` = V and `derivative` = dV/dc, (n, m); `value_distance` = V(x,x) + V(y,y) - 2 V(x,y), `derivative_distance` the
    same of the derivative (None for sign, whose derivative is infinite at x = y)."""

    value: Matrix
    derivative: Matrix
    value_distance: Matrix
    derivative_distance: Matrix | None


def activation_kernels(x: Any, y: Any = None, *, activation: Activation) -> ActivationKernels:
    """V(x,y) = E phi(x.g) phi(y.g) for g ~ N(0, I), between the rows of x (n, d) and y (m, d); y = None means y = x.

    With a = |x|^2, b = |y|^2, c = x.y this is E phi(u) phi(v), (u,v) ~ N(0, [[a,c],[c,b]]), and `derivative` is
    E phi'(u) phi'(v) = dV/dc. float64, without cancellation at nearly equal vectors. A zero vector has the angle
    0 to every other: `derivative` there is a convention where phi has a kink at 0. Source: the rows `iw.dual.*`.
    Raises InvalidInput for vectors that are not finite float64 and for activations without a closed form.
    """
    resolve(activation)
    left = finite("x", x, ndim=2)
    right = left if y is None else finite("y", y, ndim=2)
    if left.shape[1] != right.shape[1] or not left.size or not right.size:
        raise InvalidInput(
            f"x and y have shapes {left.shape} and {right.shape}.", "Both need the same columns, some rows."
        )
    if any(np.asarray(v).dtype in (np.float32, np.float16) for v in (x, y) if v is not None):
        raise InvalidInput("x or y is not float64.", "Pass float64: float32 loses what the coordinates keep.")
    with np.errstate(over="ignore", invalid="ignore"):
        state = input_state(left, right, float(np.sqrt(left.shape[1])), 0.0)
        dual = dual_activation(activation, state)
        if dual.derivative is None:  # a step of height h per unit: dV/dc = h^2/2 pi s, s^2 = ab - c^2
            factor = _step(activation)
            root = np.sqrt(np.maximum(state.gap * state.cogap, 0.0))
            derivative = np.where(root == 0, np.inf, ratio(np.full_like(root, factor), root))
            distance = None
        else:
            derivative, distance = dual.derivative, activation_slopes(activation, state).distance
    if not np.isfinite(dual.value).all():
        raise InvalidInput("The kernels overflow float64.", "Bring the vectors nearer to length 1.")
    return ActivationKernels(dual.value, derivative, dual.squared_distance, distance)


def _step(activation: Activation) -> float:
    """2 A^2/pi for A sign z + k: E phi' phi' = (2A)^2 p(0,0), and p(0,0) = 1/(2 pi s); the inner scale cancels."""
    return 2 * float(getattr(activation, "outer", 1.0)) ** 2 / float(np.pi)
