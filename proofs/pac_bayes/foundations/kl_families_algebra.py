"""The algebra behind the divergences of parametric families, replayed by `kl_families`."""

from __future__ import annotations

from typing import Any

from ....theory.derivation import Algebra

Pairs = list[tuple[Any, Any]]


def _excess(x: Any) -> Any:
    import sympy

    return x - sympy.log(1 + x)


def gaussian() -> Pairs:
    import sympy

    m, m0, z = sympy.symbols("m m0 z", real=True)
    s, s0 = sympy.symbols("s s0", positive=True)
    # ln(q/p) at x = m + s z, a polynomial in z: E z = 0, E z^2 = 1
    ratio = sympy.Poly(sympy.expand(-(z**2) / 2 + (m + s * z - m0) ** 2 / (2 * s0**2)), z)
    mean = sympy.log(s0) - sympy.log(s) + sum(c * {0: 1, 1: 0, 2: 1}[k] for (k,), c in ratio.terms())
    u = s**2 / s0**2 - 1
    stable = sympy.expand_log(u - sympy.log(s**2 / s0**2), force=True) / 2 + ((m - m0) / s0) ** 2 / 2
    return [(mean, stable)]


def laplace() -> Pairs:
    import sympy

    b, b0, d, y = sympy.symbols("b b0 d y", positive=True)
    # E |Y + d| for Y ~ Laplace(0, b), piece by piece (y = |Y|), d >= 0 without loss
    density = sympy.exp(-y / b) / (2 * b)
    below, above = -(y - d + b) * sympy.exp(-y / b) / 2, -(y + d + b) * sympy.exp(-y / b) / 2  # both vanish at infinity
    antiderivatives = [(sympy.diff(below, y), (y - d) * density), (sympy.diff(above, y), (y + d) * density)]
    distance = -below.subs(y, d) - (below.subs(y, d) - below.subs(y, 0)) - above.subs(y, 0)
    kl = sympy.log(b0) - sympy.log(b) - 1 + distance / b0  # E |Y| = b
    t = d / b
    stable = (b - b0) / b0 - sympy.log(b) + sympy.log(b0) + b / b0 * (sympy.exp(-t) - 1 + t)
    return [*antiderivatives, (distance, d + b * sympy.exp(-t)), (sympy.expand(kl), sympy.expand(stable))]


def equal_covariance() -> Pairs:
    import sympy

    a, m, m0, x = sympy.symbols("a m m0 x", real=True)
    s = sympy.Symbol("s", positive=True)
    # a ln q + (1-a) ln p is the logarithm of a Gaussian of the same variance, and a constant (a-1) D_a
    exponent = -a * (x - m) ** 2 / (2 * s**2) - (1 - a) * (x - m0) ** 2 / (2 * s**2)
    completed = -((x - a * m - (1 - a) * m0) ** 2) / (2 * s**2) + (a - 1) * a * (m - m0) ** 2 / (2 * s**2)
    # chi^2 + 1 = E_P (q/p)^2 is e^((2-1) D_2)
    return [(exponent, completed), ((exponent - completed).subs(a, 2), sympy.Integer(0))]


def categorical() -> Pairs:
    import sympy

    q, p = sympy.symbols("q1:4", positive=True), sympy.symbols("p1:4", positive=True)
    terms = [qi * (pi / qi - 1 - sympy.log(pi) + sympy.log(qi)) for qi, pi in zip(q, p, strict=True)]
    direct = [qi * (sympy.log(qi) - sympy.log(pi)) for qi, pi in zip(q, p, strict=True)]
    return [(sum(terms), sum(direct) + sum(p) - sum(q))]


def dirichlet_mean() -> Pairs:
    import sympy

    a, rest, t = sympy.symbols("a r t", positive=True)
    # E theta^t for theta ~ Beta(a, r): a ratio of Gamma functions; its slope at 0 is E ln theta
    moment = sympy.gamma(a + t) * sympy.gamma(a + rest) / (sympy.gamma(a) * sympy.gamma(a + rest + t))
    slope = sympy.diff(sympy.log(moment), t).subs(t, 0)
    return [(sympy.expand(sympy.simplify(slope)), sympy.digamma(a) - sympy.digamma(a + rest))]


def dirichlet_split() -> Pairs:
    import sympy

    a, b = sympy.symbols("a1:4", positive=True), sympy.symbols("b1:4", positive=True)
    log_gamma, psi = sympy.Function("G"), sympy.Function("S")  # nothing of Gamma is used here
    total, prior = sum(a), sum(b)

    def bregman(y: Any, x: Any) -> Any:
        return log_gamma(y) - log_gamma(x) - (y - x) * psi(x)

    direct = log_gamma(total) - log_gamma(prior)
    for x, y in zip(a, b, strict=True):
        direct += log_gamma(y) - log_gamma(x) + (x - y) * (psi(x) - psi(total))
    difference = sympy.expand(direct - sum(bregman(y, x) for x, y in zip(a, b, strict=True)) + bregman(prior, total))
    return [(difference, sympy.Integer(0))]


def gamma_recurrence() -> Pairs:
    import sympy

    x, y = sympy.symbols("x y", positive=True)
    g, s, g2 = sympy.symbols("lnGx1 psix1 lnGy1", real=True)
    # ln G(x) = ln G(x+1) - ln x and psi(x) = psi(x+1) - 1/x, the values at x+1, y+1 as symbols
    below = (g2 - sympy.log(y)) - (g - sympy.log(x)) - (y - x) * (s - 1 / x)
    above = g2 - g - (y - x) * s
    excess = (y - x) / x - (sympy.log(y) - sympy.log(x))  # h((y - x)/x)
    return [(sympy.expand(below), sympy.expand(above + excess))]


def stirling_terms() -> Pairs:
    import sympy

    x, y = sympy.symbols("x y", positive=True)
    f = lambda v: (v - sympy.Rational(1, 2)) * sympy.log(v) - v  # noqa: E731
    main = f(y) - f(x) - (y - x) * sympy.diff(f(x), x)
    gap = y - x
    split = (-gap - y * (sympy.log(x) - sympy.log(y))) + (gap / x - sympy.log(y) + sympy.log(x)) / 2
    pairs = [(sympy.expand(main), sympy.expand(split))]
    for m in (1, 3, 5, 7, 9, 11):
        power = y**-m - x**-m + m * gap / x ** (m + 1)
        s = sum(j * x**-j * y ** (j - m) for j in range(1, m + 1))
        pairs.append((sympy.expand(power), sympy.expand(gap**2 / (x * y) * s)))
    return pairs


ALGEBRA = (
    Algebra("Gaussian: the mean of ln(q/p), a polynomial in the standardised variable", gaussian),
    Algebra("Laplace: E|x - m0| = |m - m0| + b e^(-|m - m0|/b), and both parts are non-negative", laplace),
    Algebra("equal covariances: completing the square leaves (a-1) D_a; chi^2 + 1 = e^(D_2)", equal_covariance, (("a", 0.1, 3),)),
    Algebra("finite laws: q h(p/q - 1) sums to q ln(q/p), as both laws sum to 1", categorical),
    Algebra("Dirichlet: E ln theta_j = psi(a_j) - psi(A), from E theta_j^t", dirichlet_mean),
    Algebra("Dirichlet: the divergence is sum_j D(b_j, a_j) - D(B, A), D(y,x) = ln Gamma(y) - ln Gamma(x) - (y-x) psi(x)", dirichlet_split),
    Algebra("the recurrence of ln Gamma: D(y,x) = D(y+1,x+1) + h((y-x)/x)", gamma_recurrence),
    Algebra("Stirling's series term by term: y h(x/y - 1), h(y/x - 1)/2, and (y-x)^2/(xy) times a positive sum", stirling_terms),
)  # fmt: skip
