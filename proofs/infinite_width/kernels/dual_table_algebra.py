"""Algebra behind the table of dual activations beyond max(z, 0) and erf, and behind their forms without cancellation."""

from __future__ import annotations

from typing import Any

import sympy
from sympy import cos, diff, exp, expand_trig, oo, pi, sin, sqrt

Equations = list[tuple[Any, Any]]


def identity() -> Equations:
    """V = c has slope 1 and vanishes at c = 0, where u and v are independent with mean 0."""
    c = sympy.symbols("c", real=True)
    return [(c.diff(c), 1), (c.subs(c, 0), 0)]


def four_relus() -> Equations:
    """al min(z,0) + be max(z,0) = be R(z) - al R(-z), so V = (al^2+be^2) V_R(t) - 2 al be V_R(pi - t): q s + Vd c."""
    z = sympy.symbols("z", real=True)
    al, be = sympy.symbols("al be", real=True)
    p, t, w = sympy.symbols("p t w", positive=True)
    relu = (z + sympy.Abs(z)) / 2
    phi = be * relu - al * relu.subs(z, -z)
    value, far = p * (sin(t) + (pi - t) * cos(t)) / (2 * pi), p * (sin(t) - t * cos(t)) / (2 * pi)
    m, q = (al**2 + be**2) / 2, (al - be) ** 2 / (2 * pi)
    dual = (al**2 + be**2) * value - 2 * al * be * far
    return [
        (phi.subs(z, w), be * w),
        (phi.subs(z, -w), -al * w),
        (expand_trig(value.subs(t, pi - t)), far),
        (dual, q * p * sin(t) + (m - q * t) * p * cos(t)),
        (dual.diff(t), (m - q * t) * -p * sin(t)),
    ]


def odd_and_even_part() -> Equations:
    """The gap m p - V is that of (al+be)/2 z plus that of (be-al)/2 |z|, and the latter is the same at t and pi - t."""
    al, be = sympy.symbols("al be", real=True)
    p, t = sympy.symbols("p t", positive=True)
    m, q = (al**2 + be**2) / 2, (al - be) ** 2 / (2 * pi)
    value = q * p * sin(t) + (m - q * t) * p * cos(t)
    folded = 1 - cos(t) - 2 / pi * (sin(t) - t * cos(t))
    odd, even = (al + be) / 2, (be - al) / 2
    magnitude = 2 / pi * (sin(t) + (pi / 2 - t) * cos(t))
    return [
        (m * p - value, odd**2 * p * (1 - cos(t)) + even**2 * p * folded),
        (1 - magnitude, folded),
        (expand_trig(magnitude.subs(t, pi - t)), magnitude),
        (4 * m - 2 * q * t, 4 * odd**2 + 2 * q * (pi - t)),
        (2 * sin(t / 2) ** 2, 1 - cos(t)),
    ]


def sign_from_steps() -> Equations:
    """sign u sign v = 1 - 2 [u>0] - 2 [v>0] + 4 [u>0][v>0], and E [u>0][v>0] is the Vd of max(z,0)."""
    p, t = sympy.symbols("p t", positive=True)
    value = 1 - 2 / sympy.Integer(2) - 2 / sympy.Integer(2) + 4 * (pi - t) / (2 * pi)
    cases = [(i, j) for i in (0, 1) for j in (0, 1)]
    pointwise = [((2 * i - 1) * (2 * j - 1), 1 - 2 * i - 2 * j + 4 * i * j) for i, j in cases]
    return [*pointwise, (value, 1 - 2 * t / pi), (value.diff(t), 2 / (pi * p * sin(t)) * -p * sin(t))]


def gelu_curvature() -> Equations:
    """phi'' = (2 - z^2) n(z), whose dual is a Gaussian integral at the covariance S (I+S)^{-1}; it is d^2V/dc^2.

    In c, D = sqrt((1+a)(1+b) - c^2) and G = atan(c/D) the operator d/dc is F_c - (c/D) F_D + F_G/D.
    """
    a, b, z, w = sympy.symbols("a b z w", positive=True)
    c, r, s, g = sympy.symbols("c r s g", real=True)
    x, y, m = sympy.symbols("x y m", real=True)
    density = exp(-(z**2) / 2) / sqrt(2 * pi)
    phi = z * (1 + sympy.erf(z / sqrt(2))) / 2
    full = (1 + a) * (1 + b)
    on_shell = {a: (w**2 + c**2) / (1 + b) - 1}

    def along_c(expression: Any) -> Any:
        return expression.diff(c) - c / w * expression.diff(w) + expression.diff(g) / w

    eye, covariance = sympy.eye(2), sympy.Matrix([[a, c], [c, b]])
    shrunk = sympy.Matrix([[1 - (1 + b) / w**2, c / w**2], [c / w**2, 1 - (1 + a) / w**2]])
    image = (shrunk * (eye + covariance) - covariance).subs(on_shell).applyfunc(sympy.cancel)
    # E u^2 v^2 from the moment generating function
    fourth = diff(exp((x * r**2 + 2 * m * r * s + y * s**2) / 2), r, 2, s, 2).subs({r: 0, s: 0})
    p11, p22, p12 = shrunk[0, 0], shrunk[1, 1], shrunk[0, 1]
    curvature = (4 - 2 * (p11 + p22) + p11 * p22 + 2 * p12**2) / (2 * pi * w)
    value = c / 4 + (c * g + (c**2 + a * b * w**2) / (full * w)) / (2 * pi)
    slope = sympy.Rational(1, 4) + g / (2 * pi) + c / (2 * pi * w) * (1 / w**2 + (1 - a * b) / full + 1)
    root = sqrt(z**2 - c**2)
    return [
        (phi.diff(z, 2), (2 - z**2) * density),
        (fourth, x * y + 2 * m**2),
        ((eye + covariance).det(), full - c**2),
        *[(entry, 0) for entry in image],
        (sympy.simplify(sympy.atan(c / root).diff(c) * root), 1),
        (along_c(value).subs(on_shell), slope.subs(on_shell)),
        (along_c(slope).subs(on_shell), curvature.subs(on_shell)),
    ]


def gelu_closed_form(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """V and Vd as the theory's table prints them."""
    full = (1 + a) * (1 + b)
    square = full - c**2
    root = sqrt(square)
    angle = sympy.atan(c / root)
    value = c / 4 + (c * angle + (c**2 + a * b * square) / (full * root)) / (2 * pi)
    slope = sympy.Rational(1, 4) + angle / (2 * pi) + c / (2 * pi * root) * (1 / square + (1 - a * b) / full + 1)
    return value, slope


def gelu_at_independence() -> Equations:
    """At c = 0: V is the product of the means E z Phi(z) = a E n(z) (by parts), Vd that of E Phi(z) + E z n(z) = 1/2."""
    a, b, z = sympy.symbols("a b z", positive=True)
    c = sympy.symbols("c", real=True)
    gauss = exp(-(z**2) / (2 * a)) / sqrt(2 * pi * a)
    density = exp(-(z**2) / 2) / sqrt(2 * pi)
    mean = a * 2 * sympy.integrate(sympy.powsimp(gauss * density), (z, 0, oo))
    value, slope = gelu_closed_form(a, b, c)
    return [
        (gauss.diff(z), -z / a * gauss),
        (mean, a / sqrt(2 * pi * (1 + a))),
        (value.subs(c, 0), mean * mean.subs(a, b)),
        (slope.subs(c, 0), sympy.Rational(1, 2) ** 2),
    ]


def gelu_distance() -> Equations:
    """The distance of the even part (docstring of `numerics.kernels.duals.gelu`), a rational identity in free symbols."""
    c, ga, gb, g = sympy.symbols("c ga gb g", real=True)
    x, y, w, m = sympy.symbols("x y w m", positive=True)  # Da, Db, D
    a, b = (x**2 - 1) / 2, (y**2 - 1) / 2
    r, s = 1 / (1 + a), 1 / (1 + b)
    apart = a + b - 2 * c

    def even(product: Any, angle: Any, root: Any, first: Any, second: Any) -> Any:
        return product * angle + 1 / root + root * (1 - first - second)

    total = even(a, ga, x, r, r) + even(b, gb, y, s, s) - 2 * even(c, g, w, r, s)
    shipped = (
        apart * g
        + (a + b) / 2 * (ga + gb - 2 * g)
        + (a - b) * (ga - gb) / 2
        + (1 / x + 1 / y - 2 / w)
        + (a - b) * (x - y) * r * s
        - (1 - r - s) * (2 * w - x - y)
    )
    full = (1 + a) * (1 + b)
    # slopes: c (1/D^3 + (r+s)/D)
    slope = a * (1 / x**3 + 2 * r / x) + b * (1 / y**3 + 2 * s / y) - 2 * c * (1 / w**3 + (r + s) / w)
    mean, half = (1 / x + 1 / y) / 2, (1 / x - 1 / y) / 2
    q_distance, q_d = 1 / x + 1 / y - 2 / w, 1 / x - 1 / y
    cubes = q_distance * (mean**2 + mean / w + 1 / w**2) + 6 * mean * half**2
    cube_d = q_d * (1 / x**2 + 1 / (x * y) + 1 / y**2)
    parts = apart / w**3 + (a + b) / 2 * cubes + (a - b) * cube_d / 2
    parts += (r + s) * (apart / w + (a + b) / 2 * q_distance + (a - b) * q_d / 2) + (r - s) * (a / x - b / y)
    return [
        (total, shipped),
        # w^2 = full - c^2 in the table's form
        ((c**2 + a * b * (full - c**2)) / full, 1 + (full - c**2) * (1 - r - s)),
        (slope, parts),
        # 2D - Da - Db with M^2 = (Da^2+Db^2)/2 = m^2 and D^2 = m^2 + d
        ((x + y - 2 * m) * (x + y + 2 * m) + (x - y) ** 2, 2 * (x**2 + y**2) - 4 * m**2),
        ((w - m) * (w + m), w**2 - m**2),
    ]


def inverse_roots() -> Equations:
    """1/x + 1/y - 2/m with m^2 = (x^2+y^2)/2 as a positive quotient, and 2/m - 2/n for n^2 = m^2 + d."""
    x, y, m, n = sympy.symbols("x y m n", positive=True)
    mean, geometric = (x**2 + y**2) / 2, x * y
    top = (x + y) * m - 2 * x * y
    return [
        (1 / x + 1 / y - 2 / m, top / (x * y * m)),
        (sympy.expand(top * ((x + y) * m + 2 * x * y)).subs(m**2, mean), 2 * (mean - geometric) * (mean + 2 * geometric)),
        ((mean - geometric) * (mean + geometric) * 4, (x**2 - y**2) ** 2),
        (2 / m - 2 / n, 2 * (n**2 - m**2) / (m * n * (m + n))),
    ]  # fmt: skip


def waves() -> Equations:
    """A^2 sin(u') sin(v') = A^2/2 (cos(u'-v') - cos(u'+v')), and E cos(X + f) = cos f exp(-Var X/2) for centred Gaussian X."""
    u, v, f = sympy.symbols("u v f", real=True)
    x, s = sympy.symbols("x s", positive=True)
    a, b, c, square, k = sympy.symbols("a b c B2 k", real=True)
    mean = 2 * sympy.integrate(cos(s * x) * exp(-(x**2) / 2) / sqrt(2 * pi), (x, 0, oo))
    value = exp(square * (c - (a + b) / 2)) - k * exp(-square * (c + (a + b) / 2))
    slope = exp(square * (c - (a + b) / 2)) + k * exp(-square * (c + (a + b) / 2))
    return [
        (expand_trig(2 * sin(u) * sin(v) - cos(u - v) + cos(u + v)), 0),
        (mean, exp(-(s**2) / 2)),
        (expand_trig(cos(x + f)), cos(x) * cos(f) - sin(x) * sin(f)),
        (value.diff(c), square * slope),
        (sympy.expand_trig(sin(u + pi / 2)), cos(u)),
    ]


def wave_distance() -> Equations:
    """1 - e^-w + ... as products: w and z are half the squared norms of difference and sum, and w + z = B^2 (a+b)."""
    w, z, d, k, g = sympy.symbols("w z d k g", real=True)
    # a = (w+z+d)/2 and b = (w+z-d)/2 in units of B^2; V = (e^-w - k e^-z)/2
    a, b = (w + z + d) / 2, (w + z - d) / 2
    distance = (1 - k * exp(-2 * a)) / 2 + (1 - k * exp(-2 * b)) / 2 - exp(-w) + k * exp(-z)
    total = (1 - k * exp(-2 * a)) / 2 + (1 - k * exp(-2 * b)) / 2 + exp(-w) - k * exp(-z)
    decay = exp(-b) - exp(-a)
    return [
        (sympy.expand(distance), sympy.expand((1 - exp(-w)) * (1 + k * exp(-z)) - k * decay**2 / 2)),
        (sympy.expand(total), sympy.expand((1 + exp(-w)) * (1 - k * exp(-z)) - k * decay**2 / 2)),
        (expand_trig(1 + cos(2 * g)), 2 * cos(g) ** 2),
    ]


def gaussian_kernel() -> Equations:
    """sqrt 2 sin(sqrt(2 gamma) z + pi/4): A^2/2 = 1, B^2 = 2 gamma, cos 2C = 0."""
    gamma, a, b = sympy.symbols("gamma a b", positive=True)
    c = sympy.symbols("c", real=True)
    value = exp(2 * gamma * (c - (a + b) / 2))
    return [(value, exp(-gamma * (a + b - 2 * c))), (value.diff(c), 2 * gamma * value), (cos(2 * pi / 4), 0)]


def scaling() -> Equations:
    """A phi(B z) + k: products expand, the chain rule gives A^2 B^2 Vd, a constant leaves distances alone."""
    f, g, k, A, B = sympy.symbols("f g k A B", real=True)
    mu, m, x, y = sympy.symbols("mu m x y", real=True)
    across = sqrt(m - mu**2) * (x * (mu * y + k) - y * (mu * x + k))
    inside = m * x * y + k * mu * (x + y) + k**2
    lengths = (m * x**2 + 2 * k * mu * x + k**2) * (m * y**2 + 2 * k * mu * y + k**2)
    return [
        (sympy.expand((A * f + k) * (A * g + k)), A**2 * f * g + k * A * (f + g) + k**2),
        ((f + k) - (g + k), f - g),
        (f * g * A**2 * B**2, (A * B * f) * (A * B * g)),
        # means mu |x|: |X|^2 |Y|^2 - (X.Y)^2 = (m - mu^2) k^2 (x - y)^2 as through a bias
        (sympy.expand(lengths - inside**2), sympy.expand((m - mu**2) * k**2 * (x - y) ** 2)),
        (sympy.expand(across**2), sympy.expand((m - mu**2) * k**2 * (x - y) ** 2)),
    ]


def relu_in_a() -> Equations:
    """dV/da of max(z,0) at fixed b, c is s/(4 pi a)."""
    a, b = sympy.symbols("a b", positive=True)
    c = sympy.symbols("c", real=True)
    s = sqrt(a * b - c**2)
    value = (s + (pi - sympy.acos(c / sqrt(a * b))) * c) / (2 * pi)
    slope = sympy.simplify(value.diff(a) * s)
    return [(slope, (a * b - c**2) / (4 * pi * a))]


def heat_equation_in_a() -> Equations:
    """The density p of N(0, [[a,c],[c,b]]) satisfies dp/da = (1/2) d^2p/du^2; divided by p both sides are rational."""
    a, b, u, v, c = sympy.symbols("a b u v c", real=True)
    determinant = a * b - c**2
    log_p = -(b * u**2 - 2 * c * u * v + a * v**2) / (2 * determinant) - sympy.log(determinant) / 2
    return [(log_p.diff(a), (log_p.diff(u) ** 2 + log_p.diff(u, 2)) / 2)]
