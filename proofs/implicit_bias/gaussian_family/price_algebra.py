"""Price's identity in one variable and what it gives for linear models: the algebra, replayed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Equations = list[tuple[Any, Any]]


def density_is_its_own_integral() -> Equations:
    """p(z) = exp(-z^2/2) has p' = -z p, so int_z^inf t p(t) dt = p(z); and exp(-s z) p(z) = exp(s^2/2) p(z + s)."""
    import sympy

    z, m, s = sympy.symbols("z m s", real=True)
    p = sympy.exp(-(z**2) / 2)
    tilted = sympy.exp(-(m + s * z)) * p
    return [(sympy.diff(p, z), -z * p), (tilted / p.subs(z, z + s) * sympy.exp(m - s**2 / 2), sympy.Integer(1))]


def price_on_powers() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E[z f(z)] = E f'(z) for f = z^k and for f = (m + s z)^k expanded, k to 9, by the moments (k-1)!! of z."""

    def moment(k: int) -> int:
        value = 1
        for odd in range(1, k, 2):
            value *= odd
        return value if k % 2 == 0 else 0

    def average(coefficients: list[Fraction], shift: int = 0) -> Fraction:
        return sum((c * moment(k + shift) for k, c in enumerate(coefficients)), Fraction(0))

    for m, s in ((Fraction(1, 2), Fraction(2)), (Fraction(-3), Fraction(1, 3))):
        power = [Fraction(1)]
        for k in range(1, 10):
            lower, padded = power, [*power, Fraction(0)]
            power = [m * c + s * (padded[j - 1] if j else 0) for j, c in enumerate(padded)]
            yield f"(m + s z)^{k}", average(power, 1), "==", k * s * average(lower)


def chain_rule() -> Equations:
    """d/dmean and d/dfactor of phi(x^T (mean + factor z)), phi' standing for its derivative at the margin."""
    import sympy

    x, mean = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "m"))
    factor = sympy.Matrix(2, 2, sympy.symbols("s1:5", real=True))
    noise, slope = sympy.Matrix(sympy.symbols("z1:3", real=True)), sympy.Symbol("slope", real=True)
    margin = x.dot(mean + factor * noise)
    pairs: Equations = [(slope * sympy.diff(margin, mean[i]), slope * x[i]) for i in range(2)]
    pairs += [(slope * sympy.diff(margin, factor[i, r]), slope * x[i] * noise[r]) for i in range(2) for r in range(2)]
    return pairs


def noise_along_the_margin() -> Equations:
    """z_r = (a_r/s) zeta + rest, a = factor^T x, s = ||a||, zeta = a^T z/s of variance 1: the rest is uncorrelated with zeta."""
    import sympy

    a1, a2 = sympy.symbols("a1 a2", positive=True)
    s = sympy.sqrt(a1**2 + a2**2)
    along = (a1 / s, a2 / s)  # coefficients of zeta on z_1, z_2
    pairs: Equations = [(along[0] ** 2 + along[1] ** 2, 1)]
    for r in (0, 1):
        rest = [int(q == r) - along[r] * along[q] for q in (0, 1)]
        pairs.append((rest[0] * along[0] + rest[1] * along[1], 0))
    return pairs


def squared_average() -> Equations:
    """E (y - m - a z)^2 / 2 with E z = 0, E z^2 = 1."""
    import sympy

    y, m, a, z = sympy.symbols("y m a z", real=True)
    polynomial = sympy.Poly(sympy.expand((y - m - a * z) ** 2 / 2), z)
    average = polynomial.coeff_monomial(1) + polynomial.coeff_monomial(z**2)
    return [(average, (y - m) ** 2 / 2 + a**2 / 2)]


def spread_decreases() -> Equations:
    """One example's part of S' = -G S, G = c x x^T: -(1/2) d/dt v^T S^T S v = c (x^T S v)^2, and the trace of it."""
    import sympy

    x, v = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "v"))
    factor, c = sympy.Matrix(2, 2, sympy.symbols("s1:5", real=True)), sympy.Symbol("c", positive=True)
    rate = c * x * (x.T * factor)
    change = (rate.T * factor + factor.T * rate) / 2
    return [
        ((v.T * change * v)[0], c * (x.T * factor * v)[0] ** 2),
        (change.trace(), c * sum((x.T * factor)[0, r] ** 2 for r in range(2))),
    ]


def one_step_shrinks() -> Equations:
    """Along an eigenvector of G: s^2 - ((1 - eta g) s)^2 = eta g (2 - eta g) s^2."""
    import sympy

    s, eta, g = sympy.symbols("s eta g", real=True)
    return [(s**2 - ((1 - eta * g) * s) ** 2, eta * g * (2 - eta * g) * s**2)]
