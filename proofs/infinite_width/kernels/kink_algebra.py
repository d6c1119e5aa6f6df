"""Algebra behind the kink of the ReLU tangent kernel: one hidden layer along a line x + h e."""

from __future__ import annotations

from typing import Any

import sympy


def one_hidden_layer() -> list[tuple[Any, Any]]:
    """With p sin t = h w and dK^1 = h^2 |E|^2, the layer map gives dK and dT in closed form."""
    h, w, n, t, p = sympy.symbols("h w n t p", positive=True)  # n = |E|^2
    cot = sympy.cos(t) / sympy.sin(t)
    at = {h: p * sympy.sin(t) / w}
    bend = p * (sympy.sin(t) - t * sympy.cos(t)) / sympy.pi
    nngp = h**2 * n / 2 - bend
    ntk = nngp + h**2 * n / 2 + t / sympy.pi * p * sympy.cos(t)
    return [
        (nngp.subs(at), (h**2 * n / 2 - h * w / sympy.pi * (1 - t * cot)).subs(at)),
        (ntk.subs(at), (h**2 * n + h * w / sympy.pi * (2 * t * cot - 1)).subs(at)),
    ]


def wedge() -> list[tuple[Any, Any]]:
    """|X ^ (X + h E)| = h |X ^ E| and X.(X + h E) = |X|^2 + h X.E, so tan t = h w/(a + h X.E)."""
    a, e, h = sympy.symbols("a e h", positive=True)
    c = sympy.symbols("c", real=True)
    b, inner = a + 2 * h * c + h**2 * e, a + h * c
    return [(a * b - inner**2, h**2 * (a * e - c**2))]


def tangent_bounds() -> list[tuple[Any, Any]]:
    """1 - t^2/2 <= t cot t <= 1: both differences, times sin t, vanish at 0 and have slopes of one sign."""
    t = sympy.symbols("t", positive=True)
    low = t * sympy.cos(t) - sympy.sin(t) + t**2 * sympy.sin(t) / 2
    high = sympy.sin(t) - t * sympy.cos(t)
    return [
        (low.diff(t), t**2 * sympy.cos(t) / 2),
        (high.diff(t), t * sympy.sin(t)),
        (low.subs(t, 0), 0),
        (high.subs(t, 0), 0),
    ]
