"""Interval half-widths at the level alpha of one check: the only place where a Monte-Carlo tolerance is made."""

from __future__ import annotations

from scipy.special import ndtri, stdtrit  # `scipy.stats` takes half a second to import

ALPHA = 1e-6  # two-sided level of one check


def multiplier(comparisons: int = 1, *, degrees: float | None = None, alpha: float = ALPHA) -> float:
    """How many standard errors `comparisons` simultaneous two-sided statements need (Bonferroni).

    `degrees` are Student degrees of freedom when the standard error is itself estimated from few replicates.
    """
    tail = alpha / (2 * comparisons)
    return float(-ndtri(tail)) if degrees is None else float(-stdtrit(degrees, tail))
