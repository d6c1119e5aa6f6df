"""Algebra behind residual blocks, layer normalisation, dropout and attention, on small symbolic networks."""

from __future__ import annotations

from typing import Any

import sympy

from .convolution_algebra import Equations, mean_over


def residual_moments() -> Equations:
    """z = h + sw/sqrt(2) sum_k w_k f_k + sb b: second moments over the fresh w, b."""
    h, g, b = sympy.symbols("h g b", real=True)
    w, f, e = (sympy.symbols(f"{name}:2", real=True) for name in ("w", "f", "e"))
    sw, sb = sympy.symbols("sw sb", positive=True)
    left = h + sw / sympy.sqrt(2) * sum(w[k] * f[k] for k in range(2)) + sb * b
    right = g + sw / sympy.sqrt(2) * sum(w[k] * e[k] for k in range(2)) + sb * b
    return [(mean_over(left * right, *w, b), h * g + sw**2 / 2 * (f[0] * e[0] + f[1] * e[1]) + sb**2)]


def residual_chain_rule() -> Equations:
    """z = v x + c w phi(v x): dz/dv = x (1 + c w phi'), so that E over w of the product is x y (1 + c^2 phi' phi'), without a cross
    term, and dz/dw adds c^2 phi phi'. phi is the square."""
    v, w, x, y, c = sympy.symbols("v w x y c", real=True)

    def z(point: Any) -> Any:
        return v * point + c * w * (v * point) ** 2

    inner = mean_over(z(x).diff(v) * z(y).diff(v), w)
    return [
        (inner, sympy.expand(x * y + c**2 * (2 * v * x) * (2 * v * y) * x * y)),
        (z(x).diff(w) * z(y).diff(w), c**2 * (v * x) ** 2 * (v * y) ** 2),
    ]


def residual_gap() -> Equations:
    """The gap of the norms of a sum: ((u1^2+u2^2)(v1^2+v2^2)) - (u1 v1 + u2 v2)^2 = (u1 v2 - u2 v1)^2, and its form in differences."""
    u1, u2, v1, v2 = sympy.symbols("u1 u2 v1 v2", positive=True)
    return [
        ((u1**2 + u2**2) * (v1**2 + v2**2) - (u1 * v1 + u2 * v2) ** 2, (u1 * v2 - u2 * v1) ** 2),
        (u1 * v2 - u2 * v1, u2 * (u1 - v1) - u1 * (u2 - v2)),
    ]


def layer_norm_derivative() -> Equations:
    """y_i = (z_i - mean)/s, s^2 = variance + e, for n units: dy_i/dz_j = (delta_ij - 1/n - y_i y_j/n)/s. The squared size of the
    second and third term summed over j is 1/n (1 + y_i^2) of order 1/n, that of the first is 1. Here n = 3."""
    z = sympy.symbols("z:3", real=True)
    e = sympy.Symbol("e", positive=True)
    n = len(z)
    mean = sum(z) / n
    s = sympy.sqrt(sum((v - mean) ** 2 for v in z) / n + e)
    y = [(v - mean) / s for v in z]
    return [
        (y[i].diff(z[j]), (sympy.Integer(int(i == j)) - sympy.Rational(1, n) - y[i] * y[j] / n) / s)
        for i, j in ((0, 0), (0, 1))
    ]


def layer_norm_gap() -> Equations:
    """a/(a+e) - b/(b+e) without cancellation, and the gap divided by the same root."""
    a, b, e, g = sympy.symbols("a b e g", positive=True)
    root = sympy.sqrt((a + e) * (b + e))
    c = sympy.sqrt(a) * sympy.sqrt(b) - g
    return [
        (a / (a + e) - b / (b + e), e * (a - b) / ((a + e) * (b + e))),
        ((sympy.sqrt(a) * sympy.sqrt(b)) / root - c / root, g / root),
    ]


def dropout_moments() -> Equations:
    """m is 1/r with probability r, else 0: E m^2 = 1/r, and E m E m' = 1 for independent masks; off the diagonal the gap grows."""
    r, p, g = sympy.symbols("r p g", positive=True)
    first, second = r * (1 / r), r * (1 / r) ** 2
    return [(first * first, 1), (second, 1 / r), (p / r - (p - g), g + (1 - r) / r * p)]


def attention_moments() -> Equations:
    """out_i = sum_k A_ik (h_k . v) o for two positions, one unit of values and output: second moments over v and o, and the shares
    of the tangent kernel of v, of o and of the layer below."""
    o, c = sympy.symbols("o c", real=True)
    v, t = sympy.symbols("v:2", real=True), sympy.Symbol("t", real=True)
    A, B = (sympy.symbols(f"{name}:2", real=True) for name in ("A", "B"))  # the row of i at x, of j at y
    h, g = (sympy.Matrix(2, 2, sympy.symbols(f"{name}:4", real=True)) for name in ("h", "g"))

    def output(weights: Any, features: Any, value: Any = v) -> Any:
        return c * o * sum(weights[k] * sum(features[k, u] * value[u] for u in range(2)) for k in range(2))

    block = c**2 * sum(A[k] * B[m] * sum(h[k, u] * g[m, u] for u in range(2)) for k in range(2) for m in range(2))
    x, y = output(A, h), output(B, g)
    below = sum(x.diff(h[k, u]) * y.diff(g[m, u]) * t for k in range(2) for m in range(2) for u in range(2))
    return [
        (mean_over(x * y, o, *v), sympy.expand(block)),
        (mean_over(sum(x.diff(w) * y.diff(w) for w in v), o), sympy.expand(block)),
        (mean_over(x.diff(o) * y.diff(o), *v), sympy.expand(block)),
        # with T_kl = t for all positions; E v_u^2 = 1 for two units
        (mean_over(below, o, *v), sympy.expand(2 * c**2 * t * sum(a * b for a in A for b in B))),
    ]


def tied_products() -> Equations:
    """G_ij = s/(n n_key) sum_k (h_i w_k)(h_j w_k), two units, one key unit: mean s K_ij, and a share of the tangent kernel that
    carries 1/n_key: for one of them, sum_u (dG/dw_u)^2 = s^2/n^2 |h_i (h_j w) + h_j (h_i w)|^2, divided by n_key in the sum over k."""
    w, h, g = (sympy.symbols(f"{name}:2", real=True) for name in ("w", "h", "g"))
    s, m = sympy.symbols("s m", positive=True)  # m = n_key
    left, right = (sum(v[u] * w[u] for u in range(2)) for v in (h, g))
    product = s / (2 * m) * left * right  # one of m terms
    gradient = sum(product.diff(weight) ** 2 for weight in w)
    size = sum((h[u] * right + g[u] * left) ** 2 for u in range(2))
    return [
        (m * mean_over(product, *w), s * (h[0] * g[0] + h[1] * g[1]) / 2),
        (sympy.expand(m * gradient), sympy.expand(s**2 / 4 * size / m)),
    ]


def untied_products() -> Equations:
    """E G_ik G_jl = s^2 K_ij K_kl for independent queries and keys, n = 2 and one key unit."""
    q, w, a, b, c, d = (sympy.symbols(f"{name}:2", real=True) for name in "qwabcd")  # rows i, k of x and j, l of y
    s = sympy.Symbol("s", positive=True)

    def dot(u: Any, v: Any) -> Any:
        return sum(p * r for p, r in zip(u, v, strict=True))

    left, right = (s / 2 * dot(u, q) * dot(v, w) for u, v in ((a, b), (c, d)))
    return [(mean_over(left * right, *q, *w), sympy.expand(s**2 * dot(a, c) / 2 * dot(b, d) / 2))]


def untied_chain_rule() -> Equations:
    """K' = s^2 K_ij sum_kl K_kl K_kl is a product of four bilinear factors, one per weight matrix, and of three K's below: each
    weight matrix adds K', each K below its T in its place."""
    k, t = sympy.symbols("k:3", real=True), sympy.symbols("t:3", real=True)
    e = sympy.Symbol("e", real=True)
    moved = [k[n] + e * t[n] for n in range(3)]  # K_ij, K_11, K_22
    value = moved[0] * (moved[1] ** 2 + moved[2] ** 2)
    square, mixed = k[1] ** 2 + k[2] ** 2, k[1] * t[1] + k[2] * t[2]
    return [(sympy.expand(value).diff(e).subs(e, 0), sympy.expand(square * t[0] + 2 * mixed * k[0]))]
