"""Hoeffding's lemma, and its sharp form for coins (Kearns-Saul): ln E e^{l(X-p)} <= l^2 (1-2p)/(4 ln((1-p)/p)) <= l^2/8."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.certified.pinsker import hoeffding_cgf, kearns_saul_cgf
from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import JENSEN
from ....theory.balls.hoeffding import bernoulli_cgf_ball, centred_cgf_ball, hoeffding_ball, kearns_saul_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.inequalities import HOEFFDING_LEMMA
from ....theory.validation import finite, unit_interval
from ...result import ByBudget, Check, Control, Result

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class CoinSetting:
    """Probability p in (0, 1) of a coin and the argument l of its generating function."""

    p: float
    l: float  # noqa: E741

    def __post_init__(self) -> None:
        unit_interval("p", self.p), finite("l", self.l)
        if not 0 < self.p < 1:
            raise InvalidInput(f"p is {self.p}.", "At 0 and 1 nothing is random.")


@dataclass(frozen=True)
class CoinPrediction:
    """Both bounds on ln E e^{l(X-p)}."""

    kearns_saul: float
    hoeffding: float


# --- derivation ---------------------------------------------------------------------------------------------------


def curvature() -> list[tuple[Any, Any]]:
    import sympy

    p, l = sympy.symbols("p l", positive=True)  # noqa: E741
    cgf = sympy.log(1 - p + p * sympy.exp(l)) - l * p
    tilted = p * sympy.exp(l) / (1 - p + p * sympy.exp(l))
    gap = sympy.Rational(1, 4) - sympy.diff(cgf, l, 2)
    return [
        (cgf.subs(l, 0), sympy.Integer(0)),
        (sympy.diff(cgf, l).subs(l, 0), sympy.Integer(0)),
        (gap, (sympy.Rational(1, 2) - tilted) ** 2),
    ]


def hyperbolic_form() -> list[tuple[Any, Any]]:
    import sympy

    # a = e^s, z = e^x, p = 1/(1 + a^2), e^l = z^2 a^2: slopes in x of both sides (dl/dx = 2); both vanish at l = 0, x = -s
    a, z = sympy.symbols("a z", positive=True)
    p, tilt = 1 / (1 + a**2), z**2 * a**2
    left = 2 * (p * tilt / (1 - p + p * tilt) - p)
    right = (a**2 - 1) / (a**2 + 1) + (z**2 - 1) / (z**2 + 1)
    return [(left, right), ((1 - 2 * p), (a**2 - 1) / (a**2 + 1)), ((1 - p) / p, a**2)]


def gap_is_even() -> list[tuple[Any, Any]]:
    import sympy

    # t stands for tanh s and d for ln cosh x - ln cosh s; l = 2 (x + s), and the factor is tanh(s)/(8 s)
    s, x, t, d = sympy.symbols("s x t d", positive=True)
    gap = t / (8 * s) * (2 * (x + s)) ** 2 - ((x + s) * t + d)
    return [(gap, t / (2 * s) * (x**2 - s**2) - d)]


def slope_of_gap() -> list[tuple[Any, Any]]:
    import sympy

    s, x = sympy.symbols("s x", positive=True)
    gap = sympy.tanh(s) / (2 * s) * (x**2 - s**2) - sympy.log(sympy.cosh(x)) + sympy.log(sympy.cosh(s))
    ratio = sympy.tanh(x) / x
    return [
        (gap.subs(x, s), sympy.Integer(0)),
        (sympy.diff(gap, x), x * (sympy.tanh(s) / s - ratio)),
        (sympy.diff(ratio, x), -(sympy.sinh(x) * sympy.cosh(x) - x) / (x**2 * sympy.cosh(x) ** 2)),
        (sympy.diff(sympy.sinh(x) * sympy.cosh(x) - x, x), 2 * sympy.sinh(x) ** 2),
    ]


def factor_is_below_an_eighth() -> list[tuple[Any, Any]]:
    import sympy

    s = sympy.Symbol("s", positive=True)
    return [(sympy.diff(s - sympy.tanh(s), s), sympy.tanh(s) ** 2), ((s - sympy.tanh(s)).subs(s, 0), sympy.Integer(0))]


DERIVATION = (
    Axiom(JENSEN, "e^{lx} lies below its chord over [a, b]: among laws with the same mean the two end points have the largest E e^{lX}; rescale to [0, 1]"),
    Algebra("psi(l) = ln(1-p+p e^l) - lp has psi(0) = psi'(0) = 0 and 1/4 - psi'' a square, so l^2/8 - psi is convex with its minimum 0 at 0", curvature, (("p", 0.1, 0.9),)),
    Algebra("with s = ln((1-p)/p)/2 and x = l/2 - s: psi = (x+s) tanh s + ln cosh x - ln cosh s (equal slopes in x, both 0 at x = -s)", hyperbolic_form),
    Algebra("so (tanh s/(8s)) l^2 - psi = (tanh s/(2s))(x^2 - s^2) - ln cosh x + ln cosh s, even in x and in s", gap_is_even),
    Algebra("it vanishes at x = s, its slope for x > 0 is x (tanh s/s - tanh x/x), and tanh x/x falls: the minimum is 0, for every p and l", slope_of_gap, (("s", 0.1, 2), ("x", 0.1, 2))),
    Algebra("tanh s <= s, so the factor (1-2p)/(4 ln((1-p)/p)) = tanh s/(8s) is at most 1/8", factor_is_below_an_eighth),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: CoinSetting) -> CoinPrediction:
    return CoinPrediction(kearns_saul_cgf(s.l, s.p), hoeffding_cgf(s.l))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> CoinSetting:
    small = 10 ** rng.uniform(-12, -0.31)
    p = float(rng.choice([small, 1 - small, 0.5 + 10 ** rng.uniform(-12, -0.5), 0.5, rng.uniform(0.01, 0.99)]))
    return CoinSetting(p, float(rng.choice([-1, 1]) * 10 ** rng.uniform(-6, 3)))


FORMULA = Formula(
    expression=lambda s: [kearns_saul_ball(s.p, s.l), hoeffding_ball(s.l)],
    shipped=lambda s: [kearns_saul_cgf(s.l, s.p), hoeffding_cgf(s.l)],
    read=lambda p: [p.kearns_saul, p.hoeffding],
    sample=sample,
    # six ulps outward, five half-ulps either way, four for two outward products; squares and an exact eighth
    width=lambda s: [(12 + 5 + 4) * HALF_ULP, 6 * HALF_ULP],
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _coins(count: int) -> tuple[CoinSetting, ...]:
    """Coins at, near and far from the point of contact l = 2 ln((1-p)/p)."""
    found = []
    for index in range(count):
        rng = generator(1, "pb.hoeffding_lemma", index)
        p = sample(rng).p
        contact = 2 * (np.log1p(-p) - np.log(p))
        offset = float(rng.choice([0.0, 1e-6, 1e-3, 0.1, -0.05, -2.0]))
        l = contact * (1 + offset) if abs(contact) > 1e-3 and rng.random() < 0.6 else sample(rng).l  # noqa: E741
        found.append(CoinSetting(p, float(l)))
    return tuple(found)


def _points(gaps: list[Any]) -> Enclosures:
    low, high = (np.array([float(end(gap)) for gap in gaps]) for end in (lambda g: g.lower(), lambda g: g.upper()))
    return Enclosures(low, high, 1e-30)


def compare_coins(s: CoinSetting, p: CoinPrediction, rows: Rows) -> Enclosures:
    """Predicted Kearns-Saul bound minus the exact generating function, and Hoeffding minus Kearns-Saul, over the latter."""
    from flint import arb, ctx

    with ctx.workdps(50):
        exact, sharp = bernoulli_cgf_ball(s.p, s.l), kearns_saul_ball(s.p, s.l)
        gaps = [(arb(p.kearns_saul) - exact) / sharp, (arb(p.hoeffding) - sharp) / sharp]
        return _points([gaps[0], gaps[1]])


def compare_laws(s: CoinSetting, p: CoinPrediction, rows: Rows, *, factor: float = 1.0) -> Enclosures:
    """Hoeffding's bound on random laws with four points in an interval, two-point laws among them."""
    from flint import arb, ctx

    rng = generator(2, "pb.hoeffding_lemma", s.p, s.l)
    gaps = []
    with ctx.workdps(50):
        for index in range(4):
            low, width = float(rng.normal()), float(10 ** rng.uniform(-2, 1))
            values = np.sort(low + width * np.array([0.0, rng.random(), rng.random(), 1.0]))
            weights = [s.p, 0.0, 0.0, 1 - s.p] if index == 0 else rng.dirichlet(np.full(4, 0.5)).tolist()
            spread = float(values[-1] - values[0])
            l = float(s.l / spread) if index < 3 else 0.01 / spread  # noqa: E741
            bound = arb(hoeffding_cgf(l, spread)) * factor
            gaps.append((bound - centred_cgf_ball(weights, values.tolist(), l)) / bound)
    return _points(gaps)


def compare_smaller(s: CoinSetting, p: CoinPrediction, rows: Rows) -> Enclosures:
    return compare_laws(s, p, rows, factor=0.99)


COINS = ByBudget(quick=_coins(40), standard=lambda: _coins(300))
FAIR = tuple(CoinSetting(p, x) for p in (0.5, 0.5001, 0.49, 0.1, 1e-6) for x in (-3.0, -1e-3, 1e-3, 0.7))


def _scaled(**factors: float) -> dict[str, Any]:
    def mutated(s: CoinSetting) -> CoinPrediction:
        p = predict(s)
        return CoinPrediction(p.kearns_saul * factors.get("kearns_saul", 1), p.hoeffding * factors.get("hoeffding", 1))

    return {"predict": mutated}


CHECKS = (
    Check(
        "the shipped bounds are the formulas, rounded upward",
        FORMULA,
        controls=(
            Control("logarithm to base 2", _mutant(lambda s: [kearns_saul_cgf(s.l, s.p) * np.log(2), hoeffding_cgf(s.l)])),
            Control("1 - p for 1 - 2p", _mutant(lambda s: [kearns_saul_cgf(s.l, s.p) * (1 - s.p) / max(abs(1 - 2 * s.p), 1e-3), hoeffding_cgf(s.l)])),
            Control("l^2/4 for l^2/8", _mutant(lambda s: [kearns_saul_cgf(s.l, s.p), s.l**2 / 4])),
            Control("rounded down", _mutant(lambda s: [kearns_saul_cgf(s.l, s.p) * (1 - 2.0**-49), hoeffding_cgf(s.l)])),
        ),
    ),
    Check(
        "generating function <= Kearns-Saul <= Hoeffding, at and around the point of contact",
        Inequality(),
        settings=COINS,
        compare=compare_coins,
        controls=(
            Control("Kearns-Saul with 99.999 percent of its constant", _scaled(kearns_saul=0.99999)),
            Control("l^2/10 in place of l^2/8", _scaled(hoeffding=0.8)),
        ),
    ),
    Check(
        "Hoeffding's lemma for laws with four points",
        Inequality(),
        settings=ByBudget(quick=FAIR),
        compare=compare_laws,
        controls=(Control("99 percent of the constant", {"compare": compare_smaller}),),
    ),
)  # fmt: skip

RESULT = Result(HOEFFDING_LEMMA, predict=predict, example=CoinSetting(0.1, 0.7), checks=CHECKS, derivation=DERIVATION)
