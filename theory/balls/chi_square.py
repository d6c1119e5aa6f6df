"""The chi-square law in ball arithmetic: distribution function, tails and quantiles."""

from __future__ import annotations

from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput, NumericalFailure
from .context import exact_fraction, to_ball


def distribution(value: arb, degrees: int) -> arb:
    """P(chi2_K <= value), the regularised lower incomplete gamma function at (K/2, value/2)."""
    return (value / 2).gamma_lower(arb(degrees) / 2, regularized=1)


def tail(value: arb, degrees: int) -> arb:
    """P(chi2_K > value)."""
    return (value / 2).gamma_upper(arb(degrees) / 2, regularized=1)


def quantile(probability: Fraction | float, degrees: int, *, start: float, digits: int = 40) -> arb:
    """A ball that contains the point where the distribution function is `probability`.

    Newton's steps from the float `start`, then a bracket whose ends are proved to lie on either side; the working
    precision grows until they do. Raises NumericalFailure when that does not happen.
    """
    p = exact_fraction("probability", probability)
    if not 0 < p < 1:
        raise InvalidInput(f"probability is {float(p):g}.", "It must lie strictly between 0 and 1.")
    working = digits + 30
    while working <= 3000:
        with ctx.workdps(working):
            found = _bracket(to_ball(p), degrees, start, digits)
        if found is not None:
            return found
        working *= 2
    raise NumericalFailure(f"The quantile at {float(p):g} was not bracketed from {start:g}.", "Start nearer.")


def _bracket(target: arb, degrees: int, start: float, digits: int) -> arb | None:
    half, x = arb(degrees) / 2, arb(start)
    # the smaller of both tails keeps its relative accuracy
    upper = bool(target > arb("0.5"))

    def excess(value: arb) -> arb:
        return (1 - target) - tail(value, degrees) if upper else distribution(value, degrees) - target

    for _ in range(8):
        density = ((half - 1) * (x / 2).log() - x / 2 - half.lgamma()).exp() / 2
        x = arb((x - excess(x) / density).mid())
        if not x > 0:
            return None
    width = x * arb(10) ** (-digits)
    low, high = x - width, x + width
    return low.union(high) if excess(low) < 0 < excess(high) else None
