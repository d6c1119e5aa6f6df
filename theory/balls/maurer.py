"""Maurer's constant xi(n) = sum_k C(n,k) (k/n)^k (1-k/n)^(n-k), exactly and as a ball.

The closed form e^n Gamma(n+1, n) / n^n follows from the incomplete-gamma form of Ramanujan's Q function (xi = 1 + Q).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb

from flint import arb

from ..validation import whole_number
from .context import refine


def xi_exact(n: int) -> Fraction:
    """xi(n) as a rational number, straight from the defining sum; n terms of n log n bits each, so for n up to a few thousand."""
    size = whole_number("n", n)
    # 0^0 = 1 in Python's integers, as the definition of kl (0 ln 0 = 0) asks.
    total = sum(comb(size, k) * k**k * (size - k) ** (size - k) for k in range(size + 1))
    return Fraction(total, size**size)


def maurer_xi_ball(n: int, digits: int = 60) -> arb:
    """Enclosure of xi(n) with `digits` correct digits (tried from n = 1 to 1e18).

    Source: Maurer 2004 (cs/0411099) for the constant; closed form derived from the defining sum.
    """
    return _enclosed(whole_number("n", n), digits)


@lru_cache(maxsize=64)  # the two sides of a certificate ask for the same number, which takes long for an enormous n
def _enclosed(size: int, digits: int) -> arb:
    def closed_form() -> arb:
        x = arb(size)
        # (e/n)^n as one exponential: e^n alone overflows the exponent range long before the quotient does.
        return (x - x * x.log()).exp() * x.gamma_upper(x + 1)

    return refine(closed_form, digits)
