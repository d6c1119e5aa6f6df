"""The Krichevsky-Trofimov constant kt(n) = sqrt(pi) Gamma(n+1)/Gamma(n+1/2): exactly, as a ball, and as a worst case."""

from __future__ import annotations

from fractions import Fraction
from math import comb

from flint import arb

from ..validation import sample_size
from .context import refine


def kt_exact(n: int) -> Fraction:
    """kt(n) as a rational number: the product of 2k/(2k-1), k = 1..n."""
    product = Fraction(1)
    for k in range(1, sample_size("n", n) + 1):
        product *= Fraction(2 * k, 2 * k - 1)
    return product


def kt_mixture(n: int, k: int) -> Fraction:
    """Probability that the Beta(1/2, 1/2) mixture of coins gives one particular sequence with k ones in n: B(k+1/2, n-k+1/2)/pi."""
    return Fraction(comb(2 * k, k) * comb(2 * (n - k), n - k), 4**n * comb(n, k))


def log_kt_ball(n: int, digits: int = 60) -> arb:
    """Enclosure of ln kt(n), from the logarithms of the two gamma functions (whose cancellation costs precision, not digits)."""
    size = sample_size("n", n)
    return refine(lambda: arb.pi().log() / 2 + arb(size + 1).lgamma() - (arb(size) + arb(1) / 2).lgamma(), digits)


def kt_ball(n: int, digits: int = 60) -> arb:
    """Enclosure of kt(n) with `digits` correct digits (tried from n = 1 to 1e18)."""
    size = sample_size("n", n)
    return refine(lambda: arb.pi().sqrt() * (arb(size + 1).lgamma() - (arb(size) + arb(1) / 2).lgamma()).exp(), digits)
