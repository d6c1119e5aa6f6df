"""Krichevsky-Trofimov: no binary sequence is more than kt(n) times likelier under its best coin than under the Beta(1/2,1/2) mixture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
from flint import arb, ctx

from ....numerics.certified.krichevsky_trofimov import kt_constant, log_kt, log_kt_upper
from ....numerics.certified.maurer import maurer_xi
from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY
from ....theory.balls.krichevsky_trofimov import kt_ball, kt_exact, kt_mixture, log_kt_ball
from ....theory.balls.maurer import maurer_xi_ball
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.pac_bayes.time_uniform import KT
from ....theory.validation import sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import maurer

HALF_ULP = 2.0**-53
KT_WIDTH = 6 * HALF_ULP  # three ulps, derived beside `kt_constant`


@dataclass(frozen=True)
class KtSetting:
    """Number of examples n >= 1."""

    n: int

    def __post_init__(self) -> None:
        sample_size("n", self.n)


@dataclass(frozen=True)
class KtPrediction:
    """kt(n), and ln kt(n) rounded up, as bounds use it."""

    kt: float
    log_upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def mixture_predicts() -> list[tuple[Any, Any]]:
    import sympy

    x, n = sympy.symbols("x n", positive=True)
    half = sympy.Rational(1, 2)

    def mass(ones: Any, size: Any) -> Any:  # the Beta integral of w^ones (1-w)^(size-ones) against Beta(1/2,1/2)
        return sympy.gamma(ones + half) * sympy.gamma(size - ones + half) / (sympy.pi * sympy.gamma(size + 1))

    one, zero = (mass(k, n + 1) / mass(x, n) for k in (x + 1, x))
    predicted = sympy.expand_func(one), sympy.expand_func(zero)
    return [
        (predicted[0], (x + half) / (n + 1)),
        (predicted[1], (n - x + half) / (n + 1)),
        (mass(sympy.Integer(0), sympy.Integer(0)), sympy.Integer(1)),
    ]


def ratio_is_log_convex() -> list[tuple[Any, Any]]:
    import sympy

    x, y = sympy.symbols("x y", positive=True)
    half = sympy.Rational(1, 2)
    # x ln x - ln Gamma(x + 1/2) has second derivative F(x) = 1/x - psi'(x + 1/2); F vanishes at infinity, and F(x) > F(x + 1)
    own = x * sympy.log(x) - sympy.loggamma(x + half)
    return [
        (sympy.diff(own, x, 2), 1 / x - sympy.polygamma(1, x + half)),
        (sympy.expand_func(sympy.polygamma(1, y + 1)), sympy.polygamma(1, y) - 1 / y**2),
        (1 / x - 1 / (x + 1) - 1 / (x + half) ** 2, 1 / (x * (x + 1) * (2 * x + 1) ** 2)),
    ]


def value_at_the_end() -> list[tuple[Any, Any]]:
    import sympy

    n = sympy.Symbol("n", positive=True)
    half = sympy.Rational(1, 2)
    kt = sympy.sqrt(sympy.pi) * sympy.gamma(n + 1) / sympy.gamma(n + half)
    end = sympy.pi * sympy.gamma(n + 1) / (sympy.gamma(half) * sympy.gamma(n + half))
    growth = sympy.expand_func(kt.subs(n, n + 1) / kt)
    return [(end, kt), (growth, (2 * n + 2) / (2 * n + 1)), (kt.subs(n, 1), sympy.Integer(2))]


def square_root_bound() -> list[tuple[Any, Any]]:
    import sympy

    n = sympy.Symbol("n", positive=True)
    # (kt(n+1)/kt(n))^2 <= (n+1)/n, so kt(n)/(2 sqrt n) does not increase from its value 1 at n = 1
    slack = (n + 1) / n - ((2 * n + 2) / (2 * n + 1)) ** 2
    return [(slack, (n + 1) / (n * (2 * n + 1) ** 2))]


def hindsight(n: int, k: int) -> Fraction:
    """The best coin's likelihood for k ones in n."""
    return Fraction(k, n) ** k * Fraction(n - k, n) ** (n - k)


def small_sizes() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for n in range(1, 31):
        masses = [kt_mixture(n, k) for k in range(n + 1)]
        yield f"n={n}: the mixture is a law", sum((comb(n, k) * m for k, m in enumerate(masses)), Fraction(0)), "==", Fraction(1)  # fmt: skip
        for k, mass in enumerate(masses):
            yield f"n={n}, k={k}", hindsight(n, k), "<=", kt_exact(n) * mass
        yield f"n={n}: attained", hindsight(n, 0), "==", kt_exact(n) * masses[0]


DERIVATION = (
    Algebra("the mixture's mass m(x, n) = Gamma(x+1/2) Gamma(n-x+1/2)/(pi Gamma(n+1)) is consistent and predicts a one with probability (x+1/2)/(n+1)", mixture_predicts, (("x", 0.5, 2), ("n", 3, 6))),
    Algebra("x ln x - ln Gamma(x+1/2) is convex: its second derivative F falls to 0 with F(x) - F(x+1) = 1/(x(x+1)(2x+1)^2) > 0", ratio_is_log_convex),
    Algebra("so the ratio x^x (n-x)^(n-x) n^-n / m(x, n), convex and symmetric in its logarithm, is largest at x = 0 and n, for real x too: there it is kt(n) = prod 2k/(2k-1)", value_at_the_end),
    Algebra("kt(n)/(2 sqrt n) does not increase and is 1 at n = 1", square_root_bound),
    Axiom(LINEARITY, "xi(n) is the mean of the ratio under the mixture's law of the number of ones, so it is at most kt(n)"),
    Uses(maurer.RESULT, "xi(n) is the sum over k of C(n,k) times the best coin's likelihood, and at least sqrt(n)"),
    Enumeration("worst ratio, attained at k = 0, and total mass 1: every k, n = 1..30", small_sizes),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KtSetting) -> KtPrediction:
    return KtPrediction(float(kt_constant(s.n)), float(log_kt_upper(s.n)))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KtSetting:
    return KtSetting(int(10 ** rng.uniform(0, rng.choice([2.5, 15]))))


FORMULA = Formula(
    expression=lambda s: kt_ball(s.n),
    shipped=lambda s: kt_constant(s.n),
    read=lambda p: p.kt,
    sample=sample,
    width=lambda s: KT_WIDTH,
)
LOGARITHM = Formula(
    expression=lambda s: log_kt_ball(s.n),
    shipped=lambda s: log_kt_upper(s.n),
    read=lambda p: p.log_upper,
    sample=sample,
    width=lambda s: 12 * HALF_ULP,  # two ulps of its own, three outward, one for the product
    side="upper",
)


def _shipped(claim: Formula, function: Any) -> dict[str, Any]:
    return {"claim": replace(claim, shipped=function)}


def compare_regret(
    s: KtSetting, p: KtPrediction, rows: Rows, *, prior: str = "KT", average: bool = False
) -> Comparison:
    """The ratio at every k by brute force in rationals, its largest value against the prediction."""
    n = s.n
    mass = [kt_mixture(n, k) if prior == "KT" else Fraction(1, (n + 1) * comb(n, k)) for k in range(n + 1)]
    if average:
        worst = sum((comb(n, k) * hindsight(n, k) for k in range(n + 1)), Fraction(0))
    else:
        worst = max(hindsight(n, k) / mass[k] for k in range(n + 1))
    observed = np.array([float(worst)])
    return Comparison(observed, np.array([p.kt]), (KT_WIDTH + HALF_ULP) * observed, observed)


def compare_laplace(s: KtSetting, p: KtPrediction, rows: Rows) -> Comparison:
    return compare_regret(s, p, rows, prior="uniform")


def compare_average(s: KtSetting, p: KtPrediction, rows: Rows) -> Comparison:
    return compare_regret(s, p, rows, average=True)


def compare_order(s: KtSetting, p: KtPrediction, rows: Rows, *, factor: float = 2.0, swap: bool = False) -> Enclosures:
    """sqrt(n) <= xi(n) <= kt(n) <= 2 sqrt(n) by balls, and the shipped logarithm above ln kt(n)."""
    with ctx.workdps(60):
        root, xi, kt = arb(s.n).sqrt(), maurer_xi_ball(s.n), kt_ball(s.n)
        if swap:
            xi, kt = kt, xi
        gaps = [xi - root, kt - xi, arb(factor) * root - kt]
        low, high = np.array([[float(g.lower()), float(g.upper())] for g in gaps]).T
    return Enclosures(low, high, width=1e-30 * float(s.n))


def compare_swapped(s: KtSetting, p: KtPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, swap=True)


def compare_smaller_factor(s: KtSetting, p: KtPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, factor=1.99)


CHECKS = (
    Check(
        "the shipped constant is the closed form",
        FORMULA,
        controls=(
            Control("xi(n) in its place", _shipped(FORMULA, lambda s: maurer_xi(s.n) * (1 + 1e-12))),
            Control("2 sqrt(n) in its place", _shipped(FORMULA, lambda s: 2 * np.sqrt(s.n) * (1 - 1e-12))),
            Control("leading asymptotics only", _shipped(FORMULA, lambda s: np.sqrt(np.pi * s.n))),
            Control("kt(n - 1)", _shipped(FORMULA, lambda s: kt_constant(s.n) * (2 * s.n - 1) / (2 * s.n))),
        ),
    ),
    Check(
        "the shipped logarithm is never below the exact one",
        LOGARITHM,
        controls=(
            Control("rounded to nearest", _shipped(LOGARITHM, lambda s: log_kt(s.n))),
            Control("the term 1/(8n) dropped", _shipped(LOGARITHM, lambda s: np.log(np.pi * s.n) / 2)),
            Control("ln(2 sqrt n)", _shipped(LOGARITHM, lambda s: np.log(2 * np.sqrt(s.n)) * (1 + 1e-15))),
        ),
    ),
    Check(
        "worst ratio over all sequences, by brute force",
        Agreement("rounding"),
        settings=ByBudget(quick=tuple(KtSetting(n) for n in (1, 2, 3, 10, 60)), full=tuple(KtSetting(n) for n in range(1, 300, 7))),
        compare=compare_regret,
        controls=(
            Control("uniform mixture of coins", {"compare": compare_laplace}),
            Control("mean ratio in place of the largest", {"compare": compare_average}),
        ),
    ),
    Check(
        "sqrt(n) <= xi(n) <= kt(n) <= 2 sqrt(n)",
        Inequality(),
        settings=ByBudget(quick=tuple(KtSetting(n) for n in (1, 2, 3, 10, 100, 10**4, 10**6, 10**12))),
        compare=compare_order,
        controls=(
            Control("xi and kt exchanged", {"compare": compare_swapped}),
            Control("1.99 sqrt(n) in place of 2 sqrt(n)", {"compare": compare_smaller_factor}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    KT, predict=predict, example=KtSetting(1000), checks=CHECKS, uses=(maurer.RESULT,), derivation=DERIVATION
)
