"""Algebra behind the kernels of convolutions and their readouts, on small symbolic networks."""

from __future__ import annotations

from typing import Any

import sympy

Equations = list[tuple[Any, Any]]


def mean_over(expression: Any, *normals: Any) -> Any:
    """E over independent standard normals of a polynomial of degree at most two in each."""
    moments = sympy.Poly(sympy.expand(expression), *normals)
    return sum(coefficient for powers, coefficient in moments.terms() if all(power in (0, 2) for power in powers))


def convolution_covariance() -> Equations:
    """Two offsets, two channels, three circular positions, and the same with a border of zeros after the last."""
    w, f, g = (sympy.symbols(f"{name}:{n}", real=True) for name, n in (("w", 4), ("f", 6), ("g", 6)))
    sw, sb = sympy.symbols("sw sb", positive=True)
    b = sympy.Symbol("b", real=True)

    def unit(values: Any, i: int, wrap: bool) -> Any:
        total = 0
        for o in range(2):
            for c in range(2):
                if wrap or i + o < 3:
                    total += w[2 * o + c] * values[2 * ((i + o) % 3) + c]
        return sw / sympy.sqrt(4) * total + sb * b

    equations = []
    for wrap in (True, False):
        for i, j in ((0, 1), (2, 1)):
            live = [o for o in range(2) if wrap or (i + o < 3 and j + o < 3)]
            right = sum(f[2 * ((i + o) % 3) + c] * g[2 * ((j + o) % 3) + c] for o in live for c in range(2))
            product = unit(f, i, wrap) * unit(g, j, wrap)
            equations.append((mean_over(product, *w, b), sw**2 / 4 * right + sb**2))
    return equations


def convolution_chain_rule() -> Equations:
    """z_i = s (v0 x_i + v1 x_{i+1}), h_i = sw/sqrt(2) (w0 phi(z_i) + w1 phi(z_{i+1})) on three circular positions: the weights w
    add the average of phi phi' over offsets; the weights v, averaged over w, the average of phi' phi' T^1. phi is the square,
    whose derivatives are polynomials: the chain rule does not know which phi it is."""
    v, w, x, y = (sympy.symbols(f"{name}:{n}", real=True) for name, n in (("v", 2), ("w", 2), ("x", 3), ("y", 3)))
    s, sw = sympy.symbols("s sw", positive=True)

    def inner(image: Any, i: int) -> Any:
        return s * sum(v[o] * image[(i + o) % 3] for o in range(2))

    def outer(image: Any, i: int) -> Any:
        return sw / sympy.sqrt(2) * sum(w[o] * inner(image, i + o) ** 2 for o in range(2))

    def share(parameters: Any, i: int, j: int) -> Any:
        return sum(outer(x, i).diff(p) * outer(y, j).diff(p) for p in parameters)

    equations = []
    for i, j in ((0, 0), (2, 1)):
        value = sum((inner(x, i + o) * inner(y, j + o)) ** 2 for o in range(2))
        slope = sum(
            4 * inner(x, i + o) * inner(y, j + o)
            * s**2 * sum(x[(i + o + p) % 3] * y[(j + o + p) % 3] for p in range(2))
            for o in range(2)
        )  # fmt: skip
        equations += [
            (sympy.expand(share(w, i, j)), sympy.expand(sw**2 / 2 * value)),
            (mean_over(share(v, i, j), *w), sympy.expand(sw**2 / 2 * slope)),
        ]
    return equations


def readouts() -> Equations:
    """Two positions, two channels: flattened weights see equal positions, the average all pairs."""
    w, f, g = (sympy.symbols(f"{name}:4", real=True) for name in ("w", "f", "g"))  # index 2 position + channel
    b = sympy.Symbol("b", real=True)
    sw, sb = sympy.symbols("sw sb", positive=True)
    flat = [sw / 2 * sum(w[k] * values[k] for k in range(4)) + sb * b for values in (f, g)]
    pooled = [
        sw / sympy.sqrt(2) * sum(w[c] * (values[c] + values[2 + c]) / 2 for c in range(2)) + sb * b for values in (f, g)
    ]
    per_channel = {(i, j): sum(f[2 * i + c] * g[2 * j + c] for c in range(2)) / 2 for i in range(2) for j in range(2)}
    return [
        (mean_over(flat[0] * flat[1], *w, b), sb**2 + sw**2 / 2 * (per_channel[0, 0] + per_channel[1, 1])),
        (mean_over(pooled[0] * pooled[1], *w[:2], b), sb**2 + sw**2 / 4 * sum(per_channel.values())),
    ]


def pooled_chain_rule() -> Equations:
    """Weights below the average: f = sw sum_i phi(z_i)/P for one channel, averaged over its readout weight w, P = 2."""
    v, w, x, y = (sympy.symbols(f"{name}:{n}", real=True) for name, n in (("v", 2), ("w", 1), ("x", 2), ("y", 2)))
    s, sw = sympy.symbols("s sw", positive=True)

    def inner(image: Any, i: int) -> Any:
        return s * sum(v[o] * image[(i + o) % 2] for o in range(2))

    def output(image: Any) -> Any:
        return sw * w[0] * sum(inner(image, i) ** 2 for i in range(2)) / 2

    left = mean_over(sum(output(x).diff(p) * output(y).diff(p) for p in v), *w)
    right = sum(
        4 * inner(x, i) * inner(y, j) * s**2 * sum(x[(i + p) % 2] * y[(j + p) % 2] for p in range(2))
        for i in range(2)
        for j in range(2)
    )
    return [(left, sympy.expand(sw**2 / 4 * right))]


def gap_of_norms() -> Equations:
    """K' = U.W - (sw^2/q) sum_o gap_o, and |U||W| - U.W = |U||W| |U/|U| - W/|W||^2 / 2, for two offsets and a bias."""
    u, v, g = (sympy.symbols(f"{name}:2", positive=True) for name in ("u", "v", "g"))
    s, w, r, t = sympy.symbols("s w r t", positive=True)  # s = sb, w = sw/sqrt(q), r = |U|, t = |W|
    left, right = sympy.Matrix([s, w * u[0], w * u[1]]), sympy.Matrix([s, w * v[0], w * v[1]])
    direction = sum(((a / r - b / t) ** 2 for a, b in zip(left, right, strict=True)), sympy.S(0))
    norms = {r: sympy.sqrt(left.dot(left)), t: sympy.sqrt(right.dot(right))}
    return [
        (s**2 + w**2 * sum(u[k] * v[k] - g[k] for k in range(2)), left.dot(right) - w**2 * sum(g)),
        (
            (r * t - left.dot(right)).subs(norms),
            sympy.expand(r * t / 2 * direction).subs(norms),
        ),
    ]


def rectified_gap() -> Equations:
    """p (2 m sin(t/2)^2 - q (sin t - t cos t)) with half angles only, r = sin(t/2)^2, h = t/2."""
    p, h, m, q = sympy.symbols("p h m q", positive=True)
    r, root = sympy.sin(h) ** 2, sympy.sin(h) * sympy.cos(h)
    return [
        (sympy.sin(2 * h), sympy.expand_trig(2 * root)),
        (sympy.cos(2 * h), 1 - 2 * r),
        (p * (2 * m * r - q * (2 * root - 2 * h * (1 - 2 * r))), 2 * p * (m * r - q * (root - h * (1 - 2 * r)))),
    ]
