"""How the joint C-bound is derived: one event for three outcomes of two voters, weak duality by Jensen, and concavity."""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any

from ....theory.axioms import CHAIN_RULE, DATA_PROCESSING, FUBINI, JENSEN, KKT, MARKOV
from ....theory.balls.maurer import xi_exact
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ..foundations import change_of_measure, nml
from . import oracle
from .own_examples import OWN_EXAMPLES


def trinomial_moment(n: int, p: tuple[Fraction, Fraction, Fraction]) -> Fraction:
    """E exp(n KL(ph||p)) over three outcomes, term by term."""
    total = Fraction(0)
    for i in range(n + 1):
        for j in range(n - i + 1):
            counts = (i, j, n - i - j)
            ways = factorial(n) // (factorial(i) * factorial(j) * factorial(counts[2]))
            term = Fraction(ways)
            for k, x in zip(counts, p, strict=True):
                term *= x**k * (Fraction(k, n) / x) ** k
            total += term
    return total


def constant_of_three() -> Any:
    laws = ((1, 1, 1), (1, 5, 30), (7, 2, 1))
    for n in range(1, 13):
        for law in laws:
            p = tuple(Fraction(x, sum(law)) for x in law)
            yield f"n={n}, p={law}", trinomial_moment(n, p), "==", xi_exact(n) + n  # type: ignore[arg-type]


def values_of_pairs() -> list[tuple[Any, Any]]:
    import sympy

    a, e, d = sympy.symbols("a e d", real=True)
    s = 1 - e - d
    mean = (1 + a) ** 2 * e + (1 - a**2) * d + (1 - a) ** 2 * s
    m, v = s - e, 1 - 2 * d
    return [(mean, 1 - 2 * a * m + a**2 * v), (mean - (1 - m**2 / v), v * (a - m / v) ** 2), (m, 1 - 2 * (e + d / 2))]


def concave() -> list[tuple[Any, Any]]:
    import sympy

    m, v = sympy.symbols("m v", positive=True)
    hessian = sympy.hessian(m**2 / v, (m, v))
    return [(hessian[0, 0], 2 / v), (hessian.det(), 0)]


def jensen_dual() -> list[tuple[Any, Any]]:
    import sympy

    b, f, p, u = sympy.symbols("b f p u", positive=True)
    # one outcome's terms: u ln((b - f) p/u) = u ln(b - f) - u ln(u/p)
    left = u * (sympy.log(b - f) + sympy.log(p) - sympy.log(u))
    return [(left, u * sympy.log(b - f) - u * (sympy.log(u) - sympy.log(p)))]


EVENT = (
    Axiom(CHAIN_RULE, "pairs of voters: KL(rho x rho||pi x pi) = 2K (pb.mv_tandem)"),
    Uses(
        change_of_measure.RESULT,
        "f = n KL(frequencies of (both err, one errs, none)||their probabilities): E f <= 2K + ln E_{pi x pi} e^f",
    ),
    Enumeration("E_S e^f = xi(n) + n whatever the three probabilities (n <= 12, three laws)", constant_of_three),
    Uses(nml.RESULT, "the same for every n, C(3,n) = xi(n) + n; outcomes of probability 0 only lower it"),
    Axiom(FUBINI, "so E_S E_{pi x pi} e^f <= xi(n) + n"),
    Axiom(MARKOV, "so E f <= 2K + ln((xi(n) + n)/delta) for all rho at once, with probability at least 1-delta"),
    Axiom(DATA_PROCESSING, "KL is jointly convex, so the averaged frequencies satisfy KL((dh,eh)||(d,e)) <= c"),
    *OWN_EXAMPLES[:2],
)

DUAL = (
    Uses(oracle.ORDER_RESULT, "R <= C = min over a > 0 of E(1 + a(2 err - 1))^2, a = 1/(1-2mu)"),
    Algebra("that mean is linear in (e, d, s): (1+a)^2 e + (1-a^2) d + (1-a)^2 s = C + v(a - m/v)^2", values_of_pairs, (("d", 0.05, 0.4), ("e", 0.05, 0.3))),
    Axiom(JENSEN, "sum_i u_i ln((b - f_i) p_i/u_i) <= ln(b - f.p) for b >= max f"),
    Algebra("so f.p <= b - exp(sum_i u_i ln(b - f_i) - KL(u||p)), term by term", jensen_dual, (("b", 1.5, 2), ("f", 0.1, 1))),
    Algebra("m^2/v is convex where v > 0, so C is concave: at its maximum over the ball the tangent, which is the mean with a = m/v, has the same maximum", concave),
    Axiom(KKT, "so the dual value at that a and its best b is the maximum; every law with L >= 1/2 has mean >= 1 for all a, so 1 is then returned"),
)  # fmt: skip
