"""Error bars without random numbers: leave out one group of examples (or of models) at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
GROUPS = 20


@dataclass(frozen=True)
class Estimate:
    """A plug-in value and its jackknife standard error (None where there is nothing to leave out, or where it means nothing)."""

    value: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.value:.6g}" + ("" if self.error is None else f" +- {self.error:.2g}")


def jackknife(statistic: Callable[[NDArray[np.intp]], float], size: int) -> Estimate:
    """Value on all indices 0..size-1 and the standard error over at most 20 interleaved groups left out in turn.

    sqrt((g-1)/g sum (theta_-j - mean)^2): right for smooth statistics of many examples, too small for those that hang on few.
    """
    everything = np.arange(size)
    value = statistic(everything)
    groups = min(GROUPS, size)
    if groups < 2:
        return Estimate(value, None)
    left_out = np.array([statistic(everything[everything % groups != j]) for j in range(groups)])
    if not np.isfinite(left_out).all():
        return Estimate(value, None)
    return Estimate(value, float(np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum())))
