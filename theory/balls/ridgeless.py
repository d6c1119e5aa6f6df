"""Risks of isotropic regression from the trace of an inverse Wishart matrix and from the quadratic for m, in ball arithmetic."""

from __future__ import annotations

from fractions import Fraction

from flint import arb, ctx

from .context import Exact, exact_fraction, to_ball


def ridgeless_ball(aspect: Exact, signal: Exact, noise_variance: Exact, digits: int = 60) -> arb:
    """Excess risk without a ridge at aspect != 1: what the inverse Wishart means tend to."""
    g, r2, s2 = (exact_fraction(*pair) for pair in (("aspect", aspect), ("signal", signal), ("noise", noise_variance)))
    value = s2 / (1 / g - 1) if g < 1 else r2 - r2 / g + s2 / (g - 1)
    with ctx.workdps(2 * digits):
        return to_ball(value)


def finite_ridgeless(n: int, features: int, signal: Exact, noise_variance: Exact) -> Fraction:
    """The same at finite n and p with |n - p| > 1, exactly: the traces of the means of inverse Wishart matrices."""
    r2, s2 = exact_fraction("signal", signal), exact_fraction("noise", noise_variance)
    small, large = sorted((n, features))
    trace = Fraction(small, large - small - 1)
    return s2 * trace + (r2 * (1 - Fraction(n, features)) if features > n else 0)


def optimal_ridge_ball(aspect: Exact, signal: Exact, noise_variance: Exact, digits: int = 60) -> tuple[arb, arb]:
    """(penalty z = s2 g/r2, s2 g m) with m the positive root of g z m^2 + (1 - g + z) m - 1 = 0, by bisection of its sign."""
    g, r2, s2 = (exact_fraction(*pair) for pair in (("aspect", aspect), ("signal", signal), ("noise", noise_variance)))
    z = s2 * g / r2
    with ctx.workdps(2 * digits):
        a, b = to_ball(g * z), to_ball(1 - g + z)

        def value(m: arb) -> arb:
            return (a * m + b) * m - 1

        low = high = arb(1)
        while not value(low) < 0:
            low = low / 2
        while not value(high) > 0:
            high = high * 2
        while not (high - low) < low * arb(10) ** (-digits):
            middle = arb(((low + high) / 2).mid())
            low, high = (middle, high) if value(middle) < 0 else (low, middle)
        return to_ball(z), to_ball(s2 * g) * low.union(high)
