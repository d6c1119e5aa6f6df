"""Steps towards the exact binomial bound: the slope of the tail, and failure probabilities in rational numbers."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import comb
from typing import Any

from ....theory.balls.binomial import exact_tail


def slope() -> list[tuple[Any, Any]]:
    import sympy

    p = sympy.Symbol("p", real=True)
    return [
        (
            sympy.diff(sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k + 1)), p),
            -(n - k) * comb(n, k) * p**k * (1 - p) ** (n - k - 1),
        )
        for n in range(1, 6)
        for k in range(n)
    ]


LEVELS = (Fraction(1, 100), Fraction(1, 20), Fraction(1, 3), Fraction(1, 2))
RISKS = (Fraction(1, 50), Fraction(1, 5), Fraction(1, 2), Fraction(7, 8))


def failures() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """P(limit < p): the limit at k is below p exactly where P(Bin(n,p) <= k) < delta."""
    for n in (1, 2, 5, 13, 30):
        for p in RISKS:
            tails = [exact_tail(k, n, p) for k in range(n + 1)]
            mirror = [exact_tail(n - k, n, 1 - p) for k in range(n + 1)]
            chance = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
            for delta in LEVELS:
                for side, tail in (("upper", tails), ("lower", mirror)):
                    failed = sum((c for c, t in zip(chance, tail, strict=True) if t < delta), Fraction(0))
                    yield f"{side}, n={n}, p={p}, delta={delta}", failed, "<=", delta
