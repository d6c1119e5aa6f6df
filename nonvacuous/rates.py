"""Rate functions: cumulants of losses, the rate and its inverse, mixtures, worst reweightings, bootstrap error bars, training penalties."""

from typing import Any

from .numerics import large_deviations
from .numerics.large_deviations import *  # noqa: F403

PENALTIES = ("inverse_rate_penalty", "variance_penalty")

__all__ = [*large_deviations.__all__, *PENALTIES]


def __getattr__(name: str) -> Any:
    """The penalties need torch, which the rest does not import."""
    if name not in PENALTIES:
        raise AttributeError(f"module 'nonvacuous.rates' has no attribute {name!r}")
    from .numerics.large_deviations import penalty

    return getattr(penalty, name)
