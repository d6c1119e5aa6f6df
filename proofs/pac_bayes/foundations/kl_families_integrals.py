"""Divergences of parametric families by quadrature of their densities: the route that knows no closed form."""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath

Numbers = tuple[tuple[float, ...], ...]


@cache
def integral(family: str, posterior: Numbers, prior: Numbers, order: float) -> float:
    """The divergence by quadrature of the densities at 20 digits, coordinate by coordinate."""
    with mpmath.workdps(20):
        q, p = ([[mpmath.mpf(x) for x in row] for row in rows] for rows in (posterior, prior))
        if family == "dirichlet":
            # Dirichlet(a) is Beta(a_1, rest) and, independently, Dirichlet of the rest after division by its sum
            return float(
                sum(_beta(q[0][j], sum(q[0][j + 1 :]), p[0][j], sum(p[0][j + 1 :])) for j in range(len(q[0]) - 1))
            )
        return float(sum(_coordinate(family, order, *parameters) for parameters in zip(*q, *p, strict=True)))


def _beta(a: Any, b: Any, a0: Any, b0: Any) -> Any:
    z, z0 = (
        mpmath.quad(lambda x: x ** (a - 1) * (1 - x) ** (b - 1), [0, 0.5, 1]),
        mpmath.quad(lambda x: x ** (a0 - 1) * (1 - x) ** (b0 - 1), [0, 0.5, 1]),
    )
    ratio = lambda x: (a - a0) * mpmath.log(x) + (b - b0) * mpmath.log(1 - x) - mpmath.log(z / z0)  # noqa: E731
    return mpmath.quad(lambda x: x ** (a - 1) * (1 - x) ** (b - 1) / z * ratio(x), [0, 0.5, 1])


def _coordinate(family: str, order: float, m: Any, t: Any, m0: Any, t0: Any) -> Any:
    if family == "laplace":
        log_q, log_p = (
            (lambda x: -abs(x - m) / t - mpmath.log(2 * t)),
            (lambda x: -abs(x - m0) / t0 - mpmath.log(2 * t0)),
        )
        cuts = [m - 60 * t, m - 8 * t, *sorted({m - t, m0, m, m + t}), m + 8 * t, m + 60 * t]
    else:
        log_q, log_p = (
            (lambda x: -(((x - m) / mpmath.e**t) ** 2) / 2 - t),
            (lambda x: -(((x - m0) / mpmath.e**t0) ** 2) / 2 - t0),
        )
        if family == "renyi":  # 1/(a-1) ln of the mass of q^a p^(1-a), against that of q
            a, width = mpmath.mpf(order), mpmath.e**t0
            middle = a * m + (1 - a) * m0
            nodes = [middle + k * width for k in (-12, -4, 0, 4, 12)]
            mass = mpmath.quad(lambda x: mpmath.exp(a * log_q(x) + (1 - a) * log_p(x)), nodes)
            return mpmath.log(
                mass / mpmath.quad(lambda x: mpmath.exp(log_p(x)), [m0 + k * width for k in (-12, -4, 0, 4, 12)])
            ) / (a - 1)
        cuts = [m + k * mpmath.e**t for k in (-12, -4, 0, 4, 12)]
    norm = mpmath.quad(lambda x: mpmath.exp(log_q(x)), cuts)
    return mpmath.quad(lambda x: mpmath.exp(log_q(x)) * (log_q(x) - log_p(x)), cuts) / norm
