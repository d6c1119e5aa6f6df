"""Roots of increasing functions of ln l, for several models at once: Newton's steps inside a bracket, halved where they leave it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import NumericalFailure

FloatArray = NDArray[np.float64]
_STEPS = 200
_LONGEST = 3.0  # in ln l
_SETTLED = 1e-10  # in ln l: what is computed at the root is stationary there, so the square of this counts


def solve_tilt(
    residual: Callable[[FloatArray], tuple[FloatArray, FloatArray]], start: FloatArray, done: NDArray[np.bool_]
) -> FloatArray:
    """The tilts l where `residual(l)`, which returns (value, derivative in ln l), changes sign; `done` models keep their start."""
    with np.errstate(divide="ignore"):
        v = np.log(start)
    low, high = np.full_like(v, -np.inf), np.full_like(v, np.inf)
    done = done.copy()
    for _ in range(_STEPS):
        if done.all():
            return np.exp(v)
        with np.errstate(all="ignore"):
            excess, slope = residual(np.exp(v))
            step = -excess / slope
            step = np.where(np.isfinite(step), step, -_LONGEST * np.sign(excess))
            low, high = np.where(excess < 0, np.maximum(low, v), low), np.where(excess > 0, np.minimum(high, v), high)
            new = v + np.clip(step, -_LONGEST, _LONGEST)
            middle = np.where(np.isfinite(low) & np.isfinite(high), (low + high) / 2, new)
            settled = (excess == 0) | (np.abs(step) <= _SETTLED) | (high - low <= _SETTLED)
            # a settled step may round to nothing and touch its own end of the bracket: it is not to be halved
            new = np.where(~settled & ((new <= low) | (new >= high)), middle, new)
        v = np.where(done | (excess == 0), v, new)
        done |= settled
    raise NumericalFailure(
        f"The tilt of {int((~done).sum())} model(s) did not settle in {_STEPS} steps.",
        "The argument is too close to a limit that float64 does not resolve; move it slightly.",
    )
