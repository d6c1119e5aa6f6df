"""Second moments of ReLU units, by Gaussian integrals and by enumeration of masks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import comb, prod
from typing import Any

import sympy

Cases = Iterator[tuple[str, Fraction, str, Fraction]]


def gaussian_moments() -> list[tuple[Any, Any]]:
    """E z^2 1[z>0] = q/2, E z^4 1[z>0] = 3 q^2/2 and E w^4 = 3 for z ~ N(0, q), w ~ N(0, 1)."""
    z, q = sympy.symbols("z q", positive=True)
    density = sympy.exp(-(z**2) / (2 * q)) / sympy.sqrt(2 * sympy.pi * q)
    half = {k: sympy.integrate(z**k * density, (z, 0, sympy.oo)) for k in (0, 2, 4)}
    return [(half[0], sympy.Rational(1, 2)), (half[2], q / 2), (half[4], 3 * q**2 / 2), (2 * half[4].subs(q, 1), 3)]


def unit_of_the_tangent_kernel() -> list[tuple[Any, Any]]:
    """t = 1[z>0] (z^2 + w^2 q): mean q and second moment 3 q^2/2 + q^2 + 3 q^2/2 = 4 q^2, so relative variance 3; over n units 3/n."""
    q, n, c = sympy.symbols("q n c", positive=True)
    mean = q / 2 + q / 2
    square = 3 * q**2 / 2 + 2 * (q / 2) * q + sympy.Rational(3, 2) * q**2
    return [(mean, q), (square, 4 * q**2), ((c / n) ** 2 * n * (square - mean**2), 3 * (c * mean) ** 2 / n)]


def masks_of_the_tangent_kernel() -> Cases:
    """n = 1..6 units, every number k of open masks: E (sum of k terms a + b)^2 with E a = E b = 1, E a^2 = E b^2 = 3."""
    for n in range(1, 7):
        chance = [Fraction(comb(n, k), 2**n) for k in range(n + 1)]
        second = sum((p * (8 * k + 4 * k * (k - 1)) for k, p in enumerate(chance)), Fraction(0)) / n**2
        first = sum((p * 2 * k for k, p in enumerate(chance)), Fraction(0)) / n
        yield f"{n} units: mean", first, "==", Fraction(1)
        yield f"{n} units: variance", second - first**2, "==", Fraction(3, n)


def layer_of_the_kernel() -> list[tuple[Any, Any]]:
    """K' = (c/n) sum of max(z_j,0)^2 given K = q: mean c q/2 and second moment (c q/2)^2 (1 + 5/n)."""
    q, n, c = sympy.symbols("q n c", positive=True)
    second = (c / n) ** 2 * (n * 3 * q**2 / 2 + n * (n - 1) * (q / 2) ** 2)
    return [(second, (c * q / 2) ** 2 * (1 + 5 / n))]


def masks_of_the_kernel() -> Cases:
    """Every pattern of masks of two layers of n = 1, 2, 3 units: sizes are chi-squares, means 1, 3, 15, 105 of their powers."""
    for widths in product((1, 2, 3), repeat=2):
        total = Fraction(1)
        for n in widths:  # given the layer below, its norm is a common factor
            chance = [Fraction(comb(n, k), 2**n) for k in range(n + 1)]
            total *= sum((p * (3 * k + k * (k - 1)) for k, p in enumerate(chance)), Fraction(0)) * Fraction(4, n**2)
        yield f"widths {widths}", total, "==", prod((1 + Fraction(5, n) for n in widths), start=Fraction(1))


def two_heads() -> list[tuple[Any, Any]]:
    """Given K_0 = q the heads are independent N(0, q): Cov(u_i^2, u_j^2) = Var q = (E q^2/k^2 - 1) k^2."""
    ratio, k = sympy.symbols("ratio k", positive=True)
    return [(ratio * k**2 - k**2, (ratio - 1) * k**2)]
