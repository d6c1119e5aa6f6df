"""The least value of a function of one unknown: a grid, then golden-section search between the neighbours of its best point.

Deterministic. The function may have several minima; the one next to the grid's best point is found.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def minimum(value: Callable[[float], float], low: float, high: float, *, grid: int, width: float) -> float | None:
    """Where `value` is least in [low, high], to `width`; None where the best of the `grid` points is an end of the interval."""
    points = [low + (high - low) * k / (grid - 1) for k in range(grid)]
    values = [value(t) for t in points]
    best = min(range(grid), key=values.__getitem__)
    if best in (0, grid - 1):
        return None
    low, high = points[best - 1], points[best + 1]
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    f_left, f_right = value(left), value(right)
    while high - low > width:
        if f_left <= f_right:
            high, right, f_right = right, left, f_left
            left = high - ratio * (high - low)
            f_left = value(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + ratio * (high - low)
            f_right = value(right)
    return (low + high) / 2
