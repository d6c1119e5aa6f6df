"""Algebra behind the Rademacher bound of a ball: its supremum, the mean over signs, norms and shares of delta."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import sympy


def largest_correlation() -> list[tuple[Any, Any]]:
    """sup over |f| <= B of sum_i s_i f(x_i) = B sqrt(s^T T s), reached at f = B T_X s/|T_X s|; two points, whose values v have norm v^T T^{-1} v."""
    a, c, b, s1, s2, radius = sympy.symbols("a c b s1 s2 radius", positive=True)
    gram, s = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([s1, s2])
    form = (s.T * gram * s)[0]
    values = gram * s  # of the function sum_i s_i T(., x_i), up to its length
    return [((values.T * gram.inv() * values)[0], form), (((radius * values).T * s)[0] ** 2 / form, radius**2 * form)]


def mean_of_the_form() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E s^T T s = tr T over all signs, for integer Gram matrices of three points."""
    for a, b, c in product((-2, 1, 3), repeat=3):
        rows = ((a, b), (b, c), (c, a))
        gram = [[sum(x * y for x, y in zip(p, q, strict=True)) for q in rows] for p in rows]
        signs = list(product((-1, 1), repeat=3))
        total = sum(s[i] * s[j] * gram[i][j] for s in signs for i in range(3) for j in range(3))
        yield f"{rows}", Fraction(total, len(signs)), "==", Fraction(sum(gram[i][i] for i in range(3)))


def norm_of_the_interpolant() -> list[tuple[Any, Any]]:
    """f = T_*X T^{-1} y has squared norm a^T T a = y^T T^{-1} y at a = T^{-1} y; with a^ and r = y - T a^ it is y.a^ + a^.r + r^T T^{-1} r."""
    a, b, c, y1, y2, e1, e2 = sympy.symbols("a b c y1 y2 e1 e2", positive=True)
    gram, y = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([y1, y2])
    weights, near = gram.inv() * y, sympy.Matrix([e1, e2])
    residual = y - gram * near
    whole = (y.T * weights)[0]
    return [
        ((weights.T * gram * weights)[0], whole),
        ((y.T * near)[0] + (near.T * residual)[0] + (residual.T * gram.inv() * residual)[0], whole),
    ]


def shares_of_delta() -> list[tuple[Any, Any]]:
    """sum over k of 1/(k(k+1)) is 1; 2/(delta/(k(k+1))) is the argument of the logarithm; three deviations of a half each."""
    k, m, delta, deviation = sympy.symbols("k m delta deviation", positive=True)
    return [
        (1 / k - 1 / (k + 1), 1 / (k * (k + 1))),
        (sympy.limit(1 - 1 / (m + 1), m, sympy.oo), 1),
        (2 / (delta / (k * (k + 1))), 2 * k * (k + 1) / delta),
        (deviation + 2 * deviation, 3 * deviation),
    ]
