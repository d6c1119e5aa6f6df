"""Information-theoretic bounds as balls, each as the least value of the linear bound that it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball
from .kl import kl_lower_ball, kl_upper_ball


def gap_ball(information: Exact, sigma: Exact, n: int, digits: int = 60) -> arb:
    """inf over l of (I/n + l^2 s^2/2)/l, at the best l = sqrt(2 I/(n s^2))."""
    i, s = _checked(information, n), exact_fraction("sigma", sigma)
    if not i or not s:
        return arb(0)
    square = 2 * i * s**2 / n
    root = Fraction(math.isqrt(square.numerator), math.isqrt(square.denominator))
    if root**2 == square:  # the minimum itself: no ball at any precision would tell a float from it
        return refine(lambda: to_ball(root), digits)

    def evaluate() -> arb:
        tilt = to_ball(2 * i / n / s**2).sqrt()
        return (to_ball(i / n) + tilt * tilt * to_ball(s**2) / 2) / tilt

    return refine(evaluate, digits)


def individual_gap_ball(informations: Sequence[Exact], sigma: Exact, digits: int = 60) -> arb:
    """The mean over examples of the same with I(W;Z_i) and n = 1."""
    if not informations:
        raise InvalidInput("No information was given.", "Give one number for each example.")
    terms = [gap_ball(i, sigma, 1, digits + 10) for i in informations]
    with ctx.workdps(digits + 15):
        return sum(terms, arb(0)) / len(terms)


def interpolating_ball(information: Exact, n: int, digits: int = 60) -> arb:
    """I/(n ln 2)."""
    i = _checked(information, n)
    return refine(lambda: to_ball(i / n) / arb(2).log(), digits) if i else arb(0)


def twice_the_inverse_balls(risk: Exact, information: Exact, n: int, digits: int = 60) -> tuple[arb, arb]:
    """(2 UP(risk, I/n) - risk, 2 LO(risk, I/n) - risk)."""
    i, q = _checked(information, n), exact_fraction("risk", risk)
    upper, lower = kl_upper_ball(q, i / n, digits=digits + 20), kl_lower_ball(q, i / n, digits=digits + 20)
    with ctx.workdps(digits + 20):
        # p + gap: no digits are lost where the inverse is close to q
        return upper.p + upper.gap, lower.p + lower.gap


def _checked(information: Exact, n: int) -> Fraction:
    i = exact_fraction("information", information)
    if i < 0 or n < 1:
        raise InvalidInput(f"information = {information}, n = {n}.", "It is not negative, and n is at least 1.")
    return i
