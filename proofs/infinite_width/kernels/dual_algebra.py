"""Algebra behind the dual activations of max(z, 0) and erf, and behind their forms without cancellation."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import asin, cos, exp, expand_trig, oo, pi, sin, sqrt

Equations = list[tuple[Any, Any]]


def heat_equation() -> Equations:
    """The density p of N(0, [[a,c],[c,b]]) satisfies dp/dc = d^2 p/du dv; divided by p both sides are rational."""
    a, b, u, v, c = sympy.symbols("a b u v c", real=True)
    determinant = a * b - c**2
    log_p = -(b * u**2 - 2 * c * u * v + a * v**2) / (2 * determinant) - sympy.log(determinant) / 2
    return [(log_p.diff(c), log_p.diff(u) * log_p.diff(v) + log_p.diff(u, v))]


def relu_dual() -> Equations:
    """With c = p cos t: dV/dc = Vd, dVd/dc = p(0,0) = 1/(2 pi p sin t), and the values at c = 0."""
    p, t, a, b, u = sympy.symbols("p t a b u", positive=True)
    value, derivative, slope = p * (sin(t) + (pi - t) * cos(t)) / (2 * pi), (pi - t) / (2 * pi), -p * sin(t)
    mean = sympy.integrate(u * exp(-(u**2) / (2 * a)) / sqrt(2 * pi * a), (u, 0, oo))
    return [
        (value.diff(t), derivative * slope),
        (derivative.diff(t), slope / (2 * pi * p * sin(t))),
        (value.subs({t: pi / 2, p: sqrt(a) * sqrt(b)}), mean * mean.subs(a, b)),
        (derivative.subs(t, pi / 2), sympy.Rational(1, 4)),
    ]


def erf_dual() -> Equations:
    """Vd = (4/pi) det(I + 2 Sigma)^(-1/2) and (dV/dc)^2 = Vd^2; both are positive, and V = 0 at c = 0."""
    a, b, s = sympy.symbols("a b s", positive=True)
    c = sympy.symbols("c", real=True)
    determinant = (sympy.eye(2) + 2 * sympy.Matrix([[a, c], [c, b]])).det()
    value = 2 / pi * asin(2 * c / s)
    u = sympy.symbols("u", real=True)
    return [
        (determinant, (1 + 2 * a) * (1 + 2 * b) - 4 * c**2),
        (value.diff(c) ** 2, 16 / pi**2 / (s**2 - 4 * c**2)),
        (value.subs(c, 0), 0),
        (sympy.erf(u).diff(u), 2 / sqrt(pi) * exp(-(u**2))),
    ]


def gap_of_inputs() -> Equations:
    """For X.Y = c, |X| = r, |Y| = q: |qX -+ rY|^2 = 2rq (rq -+ c), and both forms of qX - rY."""
    r, q = sympy.symbols("r q", positive=True)
    c, x, y = sympy.symbols("c x y", real=True)
    return [
        (q**2 * r**2 + r**2 * q**2 - 2 * r * q * c, 2 * r * q * (r * q - c)),
        (q**2 * r**2 + r**2 * q**2 + 2 * r * q * c, 2 * r * q * (r * q + c)),
        ((r * q - c) * (r * q + c), r**2 * q**2 - c**2),
        (q * (x - y) - (r - q) * y, q * x - r * y),
        (r * (x - y) - (r - q) * x, q * x - r * y),
        ((x - y) * (x + y), x**2 - y**2),
    ]


def gap_through_a_layer() -> Equations:
    """ReLU's gap in half angles, and the gap that a bias adds: ((P+s)(Q+s))^(1/2) - (PQ)^(1/2) - s, rationalised."""
    p, t, x, y, s = sympy.symbols("p t x y s", positive=True)
    value = p * (sin(t) + (pi - t) * cos(t)) / (2 * pi)
    half = sin(t / 2) ** 2
    return [
        (half, (1 - cos(t)) / 2),
        (p / 2 - value, p * ((1 - cos(t)) / 2 - (sin(t) - t * cos(t)) / (2 * pi))),
        ((x**2 + s) * (y**2 + s) - (x * y + s) ** 2, s * (x - y) ** 2),
    ]


def erf_gap() -> Equations:
    """The squared distance of two erf features as a sum of non-negative terms (docstring of `numerics.kernels.duals.erf`)."""
    x, y, s, h, g, alpha, beta = sympy.symbols("x y s h g alpha beta", positive=True)  # a = x^2, b = y^2, s = S
    t, p = x**2 + y**2, x * y
    relation = (1 + 2 * x**2) * (1 + 2 * y**2)  # s^2
    e, difference = s - 2 * p, x**2 - y**2
    z = t - 2 * p * e

    def reduced(expression: Any) -> Any:
        return sympy.rem(sympy.expand(expression), s**2 - relation, s)

    q, d, m, c = sympy.symbols("q d m c", positive=True)
    big_a, big_b = 1 + 2 * x**2, 1 + 2 * y**2
    return [
        # sin al + sin be = 2 (s^2 - q)/s^2 with q = (A+B)/2
        (2 - 1 / big_a - 1 / big_b, 2 * (big_a * big_b - (big_a + big_b) / 2) / (big_a * big_b)),
        # sin m - sin ga, split by 1/cos h = 1 + 2 sin(h/2)^2/cos h; m stands for sin(h/2)^2 and c for cos h = 1 - 2m
        (
            ((s**2 - q) / (s**2 * c) - (q - 1 - d) / s).subs(c, 1 - 2 * m),
            (d / s - (q - s) * (s + 1) / s**2 + (s**2 - q) * 2 * m / (c * s**2)).subs(c, 1 - 2 * m),
        ),
        # q - s = 2 D^2/(sqrt A + sqrt B)^2 for A = alpha^2, B = beta^2, 2D = A - B
        ((alpha**2 + beta**2) / 2 - alpha * beta, (alpha**2 - beta**2) ** 2 / (2 * (alpha + beta) ** 2)),
        # the first two terms: s (sqrt A + sqrt B)^2 - 2 (s+1)(x+y)^2 = 2 (1+e+Z)
        (reduced(2 * s * (1 + t + s) - 2 * (s + 1) * (x + y) ** 2 - 2 * (1 + e + z)), 0),
        (reduced(e * (s + 2 * p) - (1 + 2 * t)), 0),
        (reduced(z * ((s + 2 * p) ** 2 - 1) - 2 * difference**2), 0),
        (expand_trig(sin(h + g) - sin(h - g)), 2 * cos(h) * sin(g)),
        (expand_trig(cos(h + g) + cos(h - g)), 2 * cos(h) * cos(g)),
    ]


def next_layer_covariance() -> Equations:
    """Second moments of the next pre-activation given the features of two units.

    Replace w_i w_j, b^2 by their means.
    """
    w1, w2, b = sympy.symbols("w1 w2 b", real=True)
    f1, f2, g1, g2, sw, sb = sympy.symbols("f1 f2 g1 g2 sw sb", positive=True)
    z = [sw / sqrt(2) * (w1 * one + w2 * two) + sb * b for one, two in ((f1, f2), (g1, g2))]
    moments = sympy.Poly(sympy.expand(z[0] * z[1]), w1, w2, b)
    mean = sum(coefficient for powers, coefficient in moments.terms() if all(power in (0, 2) for power in powers))
    return [(mean, sw**2 / 2 * (f1 * g1 + f2 * g2) + sb**2)]


def chain_rule() -> Equations:
    """The tangent kernel of f = sw/sqrt(2) (w1 phi(z1) + w2 phi(z2)) + sb b, z_j = s v_j x: readout and inner shares.

    The inner share is sw^2/2 sum_j w_j^2 phi'(z_j(x)) phi'(z_j(y)) T^1(x,y), whose mean over w is the recursion.
    """
    w1, w2, v1, v2, b, x, y, s, sw, sb = sympy.symbols("w1 w2 v1 v2 b x y s sw sb", real=True)
    phi = sympy.erf

    def output(point: Any) -> Any:
        return sw / sqrt(2) * (w1 * phi(s * v1 * point) + w2 * phi(s * v2 * point)) + sb * b

    def share(*parameters: Any) -> Any:
        return sum(output(x).diff(theta) * output(y).diff(theta) for theta in parameters)

    def slope(z: Any) -> Any:
        return 2 / sqrt(pi) * exp(-(z**2))

    readout = sw**2 / 2 * sum(phi(s * v * x) * phi(s * v * y) for v in (v1, v2)) + sb**2
    inner = sum(w**2 * slope(s * v * x) * slope(s * v * y) for w, v in ((w1, v1), (w2, v2)))
    return [(share(w1, w2, b), readout), (share(v1, v2), sw**2 / 2 * inner * s**2 * x * y)]
