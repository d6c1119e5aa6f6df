"""Options of the searches for weights: checked before any work."""

from __future__ import annotations

from typing import Any

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size


def search_options(seed: Any, restarts: Any, steps: Any, tolerance: Any) -> tuple[int, int, int, float]:
    """seed >= 0, restarts >= 0, steps >= 1 and tolerance > 0, as numbers. Raises `InvalidInput`."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidInput(f"seed is {seed!r}.", "It must be a whole number of at least 0.")
    again = sample_size("restarts + 1", finite("restarts", restarts, ndim=0) + 1) - 1
    level = float(finite("tolerance", tolerance, ndim=0))
    if not level > 0:
        raise InvalidInput(f"tolerance is {level:g}.", "It is positive.")
    return seed, again, sample_size("steps", steps), level
