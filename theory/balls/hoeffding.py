"""Bernoulli generating functions and their quadratic bounds as balls, straight from the definitions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball


def centred_cgf_ball(weights: Sequence[Exact], values: Sequence[Exact], l: Exact, digits: int = 60) -> arb:  # noqa: E741
    """ln E e^{l (X - EX)} of a finite law; the weights are normalised exactly."""
    mass = [exact_fraction("weights", w) for w in weights]
    points, slope = [exact_fraction("values", v) for v in values], exact_fraction("l", l)
    total = sum(mass, Fraction(0))
    if total <= 0 or min(mass) < 0:
        raise InvalidInput("The weights are not those of a law.", "They are not negative, and one is positive.")
    mean = sum((w * v for w, v in zip(mass, points, strict=True)), Fraction(0)) / total
    terms = [(w / total, slope * (v - mean)) for w, v in zip(mass, points, strict=True) if w]
    if all(exponent == 0 for _, exponent in terms):
        return arb(0)

    def evaluate() -> arb:
        # ln(1 + E(e^y - 1 - y)), as E y = 0: what cancels is lost to the precision, not to the result
        return sum((to_ball(w) * (to_ball(y).expm1() - to_ball(y)) for w, y in terms), arb(0)).log1p()

    return refine(evaluate, digits)


def bernoulli_cgf_ball(p: Exact, l: Exact, digits: int = 60) -> arb:  # noqa: E741
    """ln E e^{l (X - p)} for X ~ Bernoulli(p)."""
    x = exact_fraction("p", p)
    return centred_cgf_ball([1 - x, x], [0, 1], l, digits)


def kearns_saul_ball(p: Exact, l: Exact, digits: int = 60) -> arb:  # noqa: E741
    """l^2 (1-2p)/(4 ln((1-p)/p)); l^2/8 at p = 1/2 and 0 at p = 0, 1."""
    x, slope = exact_fraction("p", p), exact_fraction("l", l)
    if not 0 <= x <= 1:
        raise InvalidInput(f"p is {p!r}.", "It is a probability.")
    if x in (0, 1) or slope == 0:
        return arb(0)
    if x == Fraction(1, 2):
        return hoeffding_ball(l, 1, digits)
    return refine(lambda: to_ball(slope**2 * (1 - 2 * x) / 4) / (to_ball(1 - x) / to_ball(x)).log(), digits)


def hoeffding_ball(l: Exact, width: Exact = 1, digits: int = 60) -> arb:  # noqa: E741
    """l^2 width^2/8."""
    with ctx.workdps(digits + 10):
        return to_ball((exact_fraction("l", l) * exact_fraction("width", width)) ** 2 / 8)
