"""The steps from one example's generating function to Catoni's bound, and to the best parameter in hindsight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from ....theory.axioms import INDEPENDENCE, JENSEN
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from . import master


def one_example() -> list[tuple[Any, Any]]:
    import sympy

    r = sympy.Symbol("r", positive=True)
    b = sympy.Symbol("b", real=True)
    return [(1 - r + r * sympy.exp(-b), 1 - (1 - sympy.exp(-b)) * r)]


def moments_are_one() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for n in range(1, 10):
        for x in (Fraction(1, 2), Fraction(1, 10), Fraction(3)):  # e^-beta, on both sides of 1
            for r in (Fraction(1, 100), Fraction(1, 2), Fraction(7, 8)):
                total = sum(
                    (math.comb(n, k) * r**k * (1 - r) ** (n - k) * x**k / (1 - (1 - x) * r) ** n for k in range(n + 1)),
                    Fraction(0),
                )
                yield f"n={n}, e^-beta={x}, r={r}", total, "==", Fraction(1)


def convex_and_solved() -> list[tuple[Any, Any]]:
    import sympy

    r, q, c = sympy.symbols("r q c", positive=True)
    b = sympy.Symbol("b", positive=True)
    a = sympy.Symbol("a", real=True)  # 1 - e^-b, of either sign
    solution = (1 - sympy.exp(-b * q - c)) / (1 - sympy.exp(-b))
    return [
        (sympy.diff(-sympy.log(1 - a * r), r, 2), (a / (1 - a * r)) ** 2),
        (sympy.diff(-sympy.log(1 - a * r), r), a / (1 - a * r)),
        (1 - (1 - sympy.exp(-b)) * solution, sympy.exp(-b * q - c)),
    ]


def best_beta() -> list[tuple[Any, Any]]:
    import sympy

    q, p, b = sympy.symbols("q p b", positive=True)
    value = -sympy.log(1 - p + p * sympy.exp(-b)) - b * q
    star = sympy.log(p * (1 - q) / (q * (1 - p)))
    slope = sympy.diff(value, b)
    tilted = p * sympy.exp(-b) / (1 - p + p * sympy.exp(-b))
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    at_star = value.subs(b, star)
    # equal to kl at q = p, and with the same slope in q: the same function of q
    return [
        (slope, tilted - q),
        (sympy.diff(value, b, 2), -tilted * (1 - tilted)),
        (sympy.simplify(slope.subs(b, star)), 0),
        (sympy.simplify(sympy.diff(at_star, q) - sympy.diff(kl, q)), 0),
        (at_star.subs(q, p), 0),
    ]


BOX = (("q", 0.1, 0.4), ("p", 0.5, 0.9), ("b", 0.1, 2.0), ("r", 0.1, 0.9), ("a", -2.0, 0.9))
DERIVATION = (
    Axiom(JENSEN, "e^{-bx} <= 1 - x + x e^{-b} on [0,1], with equality at 0 and 1, for b of either sign"),
    Algebra("so a loss of mean r has E e^{-b loss} <= 1 - (1-e^{-b}) r", one_example, BOX),
    Axiom(INDEPENDENCE, "so E exp(n(-ln(1-(1-e^{-b})r) - b rh)) <= 1, with equality for 0-1 losses"),
    Enumeration("the equality, term by term in rational numbers", moments_are_one),
    Uses(master.RESULT, "with this phi and C = 1"),
    Algebra("-ln(1-ar) is convex in r, increasing for a > 0 and decreasing for a < 0; setting it to bq + c gives the formula", convex_and_solved, BOX),
    Axiom(JENSEN, "so the same holds at (rh_Q, r_Q): r_Q is at most the solution for b > 0, at least the solution for b < 0"),
    Algebra("-ln(1-p+pe^{-b}) - bq is concave in b, and kl(q||p) is its largest value, at b* = ln(p(1-q)/(q(1-p))): so UP(q,c) is the best value over b", best_beta, BOX),
)  # fmt: skip
