"""Algebra of the chi-square law of heads: contrasts, moments, generating function, the exponents of its tails."""

from __future__ import annotations

from typing import Any

import sympy


def helmert() -> list[tuple[Any, Any]]:
    """Sum of squared deviations of four numbers is that of three orthonormal contrasts."""
    x = sympy.symbols("x1:5", real=True)
    mean = sum(x) / 4
    rows = [[sympy.Rational(1)] * k + [sympy.Integer(-k)] + [sympy.Integer(0)] * (3 - k) for k in range(1, 4)]
    rows = [[entry / sympy.sqrt(k * (k + 1)) for entry in row] for k, row in enumerate(rows, start=1)]
    contrasts = sympy.Matrix(rows)
    product = contrasts * contrasts.T
    values = contrasts * sympy.Matrix(x)
    equations = [(sum((xi - mean) ** 2 for xi in x), sum(value**2 for value in values))]
    equations += [(product[i, j], sympy.Integer(int(i == j))) for i in range(3) for j in range(3)]
    return equations + [(sum(row), sympy.Integer(0)) for row in rows]


def moments_of_a_square() -> list[tuple[Any, Any]]:
    """E e^2/2 = S and Var e^2/2 = 2 S^2 for e ~ N(0, 2S), by the Gaussian integral; so Var of the mean is 2 S^2/K."""
    e, s = sympy.symbols("e s", positive=True)
    density = sympy.exp(-(e**2) / (4 * s)) / sympy.sqrt(4 * sympy.pi * s)
    first, second = (2 * sympy.integrate((e**2 / 2) ** k * density, (e, 0, sympy.oo)) for k in (1, 2))
    return [(first, s), (second - first**2, 2 * s**2)]


def laurent_massart() -> list[tuple[Any, Any]]:
    """The exponents -t l + K psi(l): with psi(l) <= l^2/(1 - 2l) (upper), l^2 (lower), the best l leaves -s exactly.

    psi(l) = -ln(1 - 2l)/2 - l has psi(0) = 0 and psi' = 2l/(1 - 2l), that of l^2/(1 - 2l) is 2l (1 - l)/(1 - 2l)^2, which is
    larger by 2 l^2/(1 - 2l)^2; for -l: l - ln(1 + 2l)/2 has derivative 2l/(1 + 2l), that of l^2 is larger by 4 l^2/(1 + 2l).
    """
    r, q, z = sympy.symbols("r q z", positive=True)  # r = sqrt(s), q = sqrt(K)
    upper = 2 * q * r + 2 * r**2
    best = r / (q + 2 * r)
    psi = -sympy.log(1 - 2 * z) / 2 - z
    lower = z - sympy.log(1 + 2 * z) / 2
    return [
        (-best * upper + q**2 * best**2 / (1 - 2 * best), -(r**2)),
        (-(r / q) * 2 * q * r + q**2 * (r / q) ** 2, -(r**2)),
        (sympy.diff(z**2 / (1 - 2 * z) - psi, z), 2 * z**2 / (1 - 2 * z) ** 2),
        (sympy.diff(z**2 - lower, z), 4 * z**2 / (1 + 2 * z)),
        (sympy.diff(psi, z), 2 * z / (1 - 2 * z)),
    ]


def generating_function() -> list[tuple[Any, Any]]:
    """E exp(l (x^2 - 1)) = e^{-l}/sqrt(1 - 2l) for standard normal x: its logarithm is psi(l). With l = (1 - w)/2, w > 0."""
    x, w = sympy.symbols("x w", positive=True)
    found = 2 * sympy.integrate(sympy.exp(-w * x**2 / 2), (x, 0, sympy.oo)) / sympy.sqrt(2 * sympy.pi)
    return [(found, 1 / sympy.sqrt(w))]
