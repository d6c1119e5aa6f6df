"""Spectra of ReLU tangent kernels on the sphere: an integral in ball arithmetic, and lower bounds from power series."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import acb, arb, arb_series, ctx


def gegenbauer_coefficients(dimension: int, degree: int) -> list[Fraction]:
    """Coefficients in t of P_k with P_k(1) = 1, lowest first."""
    rows: list[list[Fraction]] = [[Fraction(1)], [Fraction(0), Fraction(1)]]
    for k in range(1, degree):
        shifted = [Fraction(0), *((2 * k + dimension - 2) * c for c in rows[k])]
        for i, c in enumerate(rows[k - 1]):
            shifted[i] -= k * c
        rows.append([c / (k + dimension - 2) for c in shifted])
    return rows[degree]


def power_moment(dimension: int, power: int) -> Fraction:
    """E t^j for t = x.y with x uniform on the sphere in R^d: prod (2i+1)/(d+2i) over i < j/2, 0 for odd j."""
    if power % 2:
        return Fraction(0)
    value = Fraction(1)
    for i in range(power // 2):
        value *= Fraction(2 * i + 1, dimension + 2 * i)
    return value


def projection(dimension: int, power: int, degree: int) -> Fraction:
    """E t^j P_k(t): not negative, positive iff j >= k and j - k is even."""
    coefficients = gegenbauer_coefficients(dimension, degree)
    return sum((c * power_moment(dimension, power + i) for i, c in enumerate(coefficients)), Fraction(0))


def one_layer_eigenvalue(dimension: int, degree: int, digits: int = 50) -> arb:
    """Degree k of T = [2 (pi - a) cos a + sin a]/pi, by a rigorous integral over the angle (the integrand is entire)."""
    coefficients = gegenbauer_coefficients(dimension, degree)
    with ctx.workdps(digits + 10):
        pi = acb(arb.pi())

        def mass(a: acb, _: bool) -> acb:
            return a.sin() ** (dimension - 2)

        def integrand(a: acb, analytic: bool) -> acb:
            t, polynomial = a.cos(), acb(0)
            for c in reversed(coefficients):
                polynomial = polynomial * t + acb(arb(c.numerator) / c.denominator)
            return (2 * (pi - a) * t + a.sin()) / pi * polynomial * mass(a, analytic)

        return (acb.integral(integrand, acb(0), pi) / acb.integral(mass, acb(0), pi)).real


def two_layer_lower(dimension: int, degrees: int, terms: int = 24, digits: int = 50) -> list[arb]:
    """Lower bounds of degrees 0..K of the tangent kernel of two hidden layers, from its first power-series coefficients.

    All coefficients are non-negative, so what is left out only adds. Layers as in `relu_ntk_profile`.
    """
    with ctx.workdps(digits):
        previous, ctx.cap = ctx.cap, terms
        try:
            t = arb_series([0, 1])

            def layer(u: Any) -> tuple[Any, Any]:
                slope = u.asin() / arb.pi() + arb(1) / 2
                return (1 - u * u).sqrt() / arb.pi() + slope * u, slope

            first, first_slope = layer(t)
            second, second_slope = layer(first)
            tangent = second + second_slope * (first + first_slope * t)
            coefficients = [tangent[j] for j in range(terms)]
        finally:
            ctx.cap = previous
        found = []
        for k in range(degrees + 1):
            total = arb(0)
            for j, b in enumerate(coefficients):
                share = projection(dimension, j, k)
                total += b.nonnegative_part() * share.numerator / share.denominator
            found.append(arb(total.lower()))
        return found
