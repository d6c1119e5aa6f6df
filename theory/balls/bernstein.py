"""The PAC-Bayes empirical and unexpected Bernstein bounds in ball arithmetic, written from their statements."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb

from ..errors import NumericalFailure
from .context import Exact, exact_fraction, refine, to_ball


def _ceiling(value: arb) -> int:
    """The ceiling of a ball that contains no whole number."""
    low, high = (end.ceil().unique_fmpz() for end in (value.lower(), value.upper()))
    if low is None or high is None or low != high:
        raise NumericalFailure("The size of a grid cannot be decided.", "It lies within rounding of a whole number.")
    return int(low)


def grid_sizes_ball(n: int, first: Exact, second: Exact, c1: Exact, c2: Exact) -> tuple[int, int]:
    """nu1 and nu2 for ln(1/delta1) = first and ln(1/delta2) = second."""
    a, b = to_ball(exact_fraction("first", first)), to_ball(exact_fraction("second", second))
    r1, r2 = (to_ball(exact_fraction("c", c)) for c in (c1, c2))
    inner = ((arb(n - 1) / a + 1).sqrt() + 1) / 2
    steps = inner.log() / r1.log()
    nu1 = 1 if steps <= 1 else _ceiling(steps)  # also where the ball of a tiny number contains 0
    outer = ((arb(1).exp() - 2) * n / (4 * b)).sqrt().log() / r2.log()
    return nu1, max(1, _ceiling(outer) + 1)


def empirical_bernstein_ball(
    risk: Exact, variance: Exact, kl: Exact, n: int, first: Exact, second: Exact, c1: Exact, c2: Exact, digits: int = 50
) -> arb:
    """The bound, for delta1 and delta2 with logarithms -first and -second."""
    if kl == float("inf"):
        return arb("inf")

    def evaluate() -> arb:
        q, v, k, a, b, r1, r2 = (
            to_ball(exact_fraction("input", x)) for x in (risk, variance, kl, first, second, c1, c2)
        )
        nu1, nu2 = grid_sizes_ball(n, first, second, c1, c2)
        one, two = k + arb(nu1).log() + a, k + arb(nu2).log() + b
        bar = v + (1 + r1) * (v * one / (2 * (n - 1))).sqrt() + 2 * r1 * one / (n - 1)
        if not bar < 0.25:
            bar = arb(1) / 4
        scale = arb(1).exp() - 2
        if two <= n * scale * bar:
            return q + (1 + r2) * (scale * bar * two / n).sqrt()
        return q + 2 * two / n

    return refine(evaluate, digits)


def unexpected_bernstein_ball(
    risk: Exact, second_moment: Exact, kl: Exact, n: int, log_inv_delta: Exact, rates: Sequence[Exact], digits: int = 50
) -> arb:
    """The smallest value over the rates, for losses in [0, 1]."""
    if kl == float("inf"):
        return arb("inf")

    def evaluate() -> arb:
        q, s, k, level = (to_ball(exact_fraction("input", x)) for x in (risk, second_moment, kl, log_inv_delta))
        best = arb("inf")
        for rate in rates:
            eta = to_ball(Fraction(rate))
            c = (-(1 - eta).log() - eta) / eta
            best = best.min(q + c * s + (k + arb(len(rates)).log() + level) / (eta * n))
        return best

    return refine(evaluate, digits)
