"""Gaussian-process regression mode by mode: posterior, divergence, and how rounding moves them."""

from __future__ import annotations

from typing import Any

import sympy


def posterior_of_a_mode() -> list[tuple[Any, Any]]:
    """In an eigenvector of K, prior N(0,l), observation y = f + noise: log prior + log likelihood = log posterior + const."""
    lam, s, y, f = sympy.symbols("l s y f", positive=True)
    mean, variance = lam * y / (lam + s), lam * s / (lam + s)
    prior_and_likelihood = -(f**2) / (2 * lam) - (y - f) ** 2 / (2 * s)
    posterior = -((f - mean) ** 2) / (2 * variance)
    return [(prior_and_likelihood.diff(f), posterior.diff(f))]


def divergence_of_a_mode() -> list[tuple[Any, Any]]:
    """E_Q ln(q/p) for one mode, with E_Q f = m and E_Q f^2 = m^2 + v; then m and v of the posterior."""
    lam, s, y, m, v, f = sympy.symbols("l s y m v f", positive=True)
    log_ratio = (
        -((f - m) ** 2) / (2 * v)
        - sympy.log(2 * sympy.pi * v) / 2
        + f**2 / (2 * lam)
        + sympy.log(2 * sympy.pi * lam) / 2
    )
    moments = sympy.Poly(sympy.expand(log_ratio), f)
    expected = sum(c * {0: 1, 1: m, 2: m**2 + v}[power] for (power,), c in moments.terms())
    kl = expected.subs({m: lam * y / (lam + s), v: lam * s / (lam + s)})
    closed = (sympy.log(1 + lam / s) - lam / (lam + s) + lam * y**2 / (lam + s) ** 2) / 2
    return [(sympy.expand_log(kl, force=True), sympy.expand_log(sympy.expand_log(closed).subs(sympy.log(1 + lam / s), sympy.log(lam + s) - sympy.log(s)), force=True))]  # fmt: skip


def rounding_of_the_spectrum() -> list[tuple[Any, Any]]:
    """d/dr [ln(1+r) - r/(1+r)] = r/(1+r)^2 = 1/4 - ((1-r)/(1+r))^2/4; |K^{1/2}(K+s2)^{-1}| <= 1/(2s) mode by mode."""
    r, lam, s = sympy.symbols("r l s", positive=True)
    slope = (sympy.log(1 + r) - r / (1 + r)).diff(r)
    return [
        (slope, sympy.Rational(1, 4) - ((1 - r) / (1 + r)) ** 2 / 4),
        (1 / (4 * s) - lam / (lam + s) ** 2, (lam - s) ** 2 / (4 * s * (lam + s) ** 2)),
    ]
