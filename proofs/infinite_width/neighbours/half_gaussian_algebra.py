"""Moments of half a Gaussian, of a stochastic unit, and expected losses."""

from __future__ import annotations

from typing import Any

import sympy


def half_gaussian() -> list[tuple[Any, Any]]:
    """Antiderivatives of z^k times the density of N(mu, tau^2), k = 1, 2: their values over (0, inf) are the printed moments."""
    z, mu, tau = sympy.symbols("z mu tau", positive=True)
    density = sympy.exp(-((z - mu) ** 2) / (2 * tau**2)) / (tau * sympy.sqrt(2 * sympy.pi))
    below = (1 + sympy.erf((z - mu) / (tau * sympy.sqrt(2)))) / 2
    first = mu * below - tau**2 * density
    second = (mu**2 + tau**2) * below - tau**2 * (z + mu) * density
    phi = (1 + sympy.erf(mu / (tau * sympy.sqrt(2)))) / 2
    p = sympy.exp(-(mu**2) / (2 * tau**2)) / sympy.sqrt(2 * sympy.pi)
    return [
        (first.diff(z), z * density),
        (second.diff(z), z**2 * density),
        (sympy.expand(mu - first.subs(z, 0)), sympy.expand(mu * phi + tau * p)),
        (sympy.expand(mu**2 + tau**2 - second.subs(z, 0)), sympy.expand((mu**2 + tau**2) * phi + mu * tau * p)),
    ]


def moments_of_a_unit() -> list[tuple[Any, Any]]:
    """Var(w phi) = (m^2 + s^2) E phi^2 - m^2 (E phi)^2 = s^2 E phi^2 + m^2 Var phi; and the form with no cancelling terms."""
    m, s, first, second, x, phi, p = sympy.symbols("m s first second x phi p", real=True)
    e1, e2 = x * phi + p, (x**2 + 1) * phi + x * p  # tau = 1
    return [
        ((m**2 + s**2) * second - (m * first) ** 2, s**2 * second + m**2 * (second - first**2)),
        (e2 - e1**2, x**2 * phi * (1 - phi) + phi + x * p * (1 - 2 * phi) - p**2),
    ]


def partial_moments() -> list[tuple[Any, Any]]:
    """J_k(t) = int_t^inf (z-t)^k/k! p: with J_1 = p - t J_0 and J_2 = ((1 + t^2) J_0 - t p)/2, J_0 = t J_1 + 2 J_2 and p = t J_0 + J_1."""
    t, p, tail = sympy.symbols("t p tail", positive=True)
    one, two = p - t * tail, ((1 + t**2) * tail - t * p) / 2
    return [(t * tail + one, p), (t * one + 2 * two, tail)]


def expected_losses() -> list[tuple[Any, Any]]:
    m, v, y, s2 = sympy.symbols("m v y s2", positive=True)
    second = m**2 + v
    return [
        (second - 2 * y * m + y**2, (m - y) ** 2 + v),
        ((second - 2 * y * m + y**2) / (2 * s2), ((m - y) ** 2 + v) / (2 * s2)),
    ]
