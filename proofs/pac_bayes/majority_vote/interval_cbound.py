"""The C-bound over a box of (L, L2): its supremum, and the weaker form that bounds numerator and denominator separately."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ....numerics.bounds.majority_vote import majority_vote_cbound
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY
from ....theory.balls.majority_vote import ctandem_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.majority_vote import MV_CTANDEM
from ...result import ByBudget, Check, Control, Result
from . import disagreement, first_and_second_order, oracle
from .disagreement import (
    TwoEventPrediction,
    TwoEventSetting,
    ends,
    levels,
    log_constants,
    lower_width,
    mutants,
    raw_ends,
    sample_dis,
)
from .finite_problems import HALF, Exact, cbound

HALF_ULP = 2.0**-53

# --- derivation ---------------------------------------------------------------------------------------------------


def cbound_slopes() -> list[tuple[Any, Any]]:
    import sympy

    a, b = sympy.symbols("a b", real=True)
    c = (b - a**2) / (b - a + sympy.Rational(1, 4))
    bottom = (b - a + sympy.Rational(1, 4)) ** 2
    return [
        (sympy.diff(c, b), (a - sympy.Rational(1, 2)) ** 2 / bottom),
        (sympy.diff(c, a), (1 - 2 * a) * (b - a / 2) / bottom),
        (c.subs(a, 2 * b), 4 * b),
        (b - a + sympy.Rational(1, 4), (b - a**2) + (a - sympy.Rational(1, 2)) ** 2),
    ]


BOX_STEPS = (
    *disagreement.EVENTS,
    Uses(oracle.ORACLE_RESULT, "R <= C(L, L2) if L < 1/2"),
    Algebra(
        "C grows in L2; in L it grows up to L = 2 L2 where it is 4 L2, and falls beyond; its denominator is (L2 - L^2) + (L - 1/2)^2",
        cbound_slopes,
        (("a", 0.05, 0.3), ("b", 0.11, 0.25)),
    ),
    Axiom(LINEARITY, "L^2 <= L2: so L2 < 1/4 gives L < 1/2, and the largest C of the box is at L2 = UP(L2h), L = 2 UP(L2h) moved into the box"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: TwoEventSetting) -> TwoEventPrediction:
    return TwoEventPrediction(shipped_box(s), log_constants(s))


# --- checks: the formulas -----------------------------------------------------------------------------------------


def shipped_box(s: TwoEventSetting, **changes: Any) -> float:
    given = {
        "risk": s.risk,
        "tandem": s.pairs,
        "kl": s.kl,
        "n": s.n,
        "n_pairs": s.n_pairs,
        "log_inv_delta": s.log_inv_delta,
        "form": s.form,
    }
    return majority_vote_cbound(**{**given, **changes}).raw


def sample_box(rng: np.random.Generator, form: Any = "box") -> TwoEventSetting:
    s = sample_dis(rng)
    second = s.risk - s.pairs / 2
    # sometimes L above 2 L2, so that the lower end of L matters
    second = float(rng.choice([second, s.risk**2 * (1 + 0.5 * rng.uniform())]))
    n = s.n if form == "box" else max(s.n, 10**4)
    return replace(s, pairs=max(second, s.risk**2), n=n, n_pairs=max(s.n_pairs, n // 10 + 1), form=form)


def sample_separate(rng: np.random.Generator) -> TwoEventSetting:
    return sample_box(rng, "separate")


def width_box(s: TwoEventSetting) -> float:
    """Each end within 40 half-ulps (UP) or `lower_width` (LO), through numerator and denominator, and six roundings."""
    low, high, second_low, second = ends(s)
    below, below2 = lower_width(s, s.risk, s.kl, s.n), lower_width(s, s.pairs, 2 * s.kl, s.n_pairs)
    if s.form == "separate":
        if high >= 0.5 or second_low - high + 0.25 <= 0:
            return 0.0
        bottom, top = second_low - high + 0.25, second - low**2
        return float(
            ((second_low * below2 + high * 40 + 1) / bottom + (second * 40 + 2 * low**2 * below + 2) / top + 6)
            * HALF_ULP
        )
    if (second >= 0.25 and high >= 0.5) or low <= 2 * second <= high:
        return 60 * HALF_ULP
    mean, spread = (high, 40.0) if high < 2 * second else (low, below)
    top, bottom = second - mean**2, second - mean + 0.25
    return float(
        ((second * 40 + mean * spread + 1) / bottom + (second * 40 + 2 * mean**2 * spread + 2) / top + 6) * HALF_ULP
    )


BOX = Formula(
    expression=lambda s: ctandem_ball(s.risk, s.pairs, s.kl, s.n, s.n_pairs, levels(s), form=s.form, digits=35),
    shipped=shipped_box,
    read=lambda p: p.upper,
    sample=sample_box,
    width=width_box,
    side="upper",
    count=40,
)
SEPARATE = replace(BOX, sample=sample_separate)


def cantelli(mean: float, second: float, shift: float = 0.25) -> float:
    return (second - mean**2) / (second - mean + shift)


def best_mean(low: float, high: float, second: float) -> float:
    return min(max(2 * second, low), high)


def pairs_pay_once(s: TwoEventSetting) -> float:
    low, high, _, second = raw_ends(s, 1.0)
    return cantelli(best_mean(low, high, second), second)


def shifted(s: TwoEventSetting) -> float:
    low, high, _, second = ends(s)
    return cantelli(best_mean(low, high, second), second, 0.26)


BOX_MUTANTS = (
    ("K for the pairs' 2K", pairs_pay_once),
    ("the empirical L for the interval", lambda s: cantelli(s.risk, ends(s)[3])),
    ("0.26 for 1/4 in the denominator", shifted),
    ("UP(Lh) always", lambda s: cantelli(ends(s)[1], ends(s)[3])),
)
SEPARATE_MUTANTS = (
    ("UP(Lh)^2 for LO(Lh)^2", lambda s: (ends(s)[3] - ends(s)[1] ** 2) / (ends(s)[2] - ends(s)[1] + 0.25)),
    ("UP(L2h) in the denominator", lambda s: (ends(s)[3] - ends(s)[0] ** 2) / (ends(s)[3] - ends(s)[1] + 0.25)),
    ("LO(L2h) in the numerator", lambda s: (ends(s)[2] - ends(s)[0] ** 2) / (ends(s)[2] - ends(s)[1] + 0.25)),
    ("0.26 for 1/4 in the denominator", lambda s: (ends(s)[3] - ends(s)[0] ** 2) / (ends(s)[2] - ends(s)[1] + 0.26)),
)


# --- checks: the supremum is one, and what happens without its tests ----------------------------------------------


def compare_box(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Enclosures:
    """Value minus the C-bound (1 where L >= 1/2) of random rational laws in the box: never negative."""
    low, high, _, second = (Fraction(x) for x in ends(s))
    value = Fraction(p.upper)
    rng, found = generator(8, "pb.mv_ctandem", s.risk, s.pairs), []
    whole = Fraction(1)
    corners = [(low, whole), (high, whole), (min(max(2 * second, low), high), whole)]
    inside = [
        (low + (high - low) * Fraction(int(x), 1000), Fraction(int(y), 1000)) for x, y in rng.integers(0, 1001, (60, 2))
    ]
    for mean, share in [*corners, *inside]:
        b = share * second
        if b >= mean * mean:
            found.append(value - (1 if mean >= HALF else cbound(Exact(mean, mean, b))))
    values = np.array([float(x) for x in found])
    # the three ends were rounded outward by less than 1e-12 in relative terms, so the supremum is known to this
    return Enclosures(values, values + 1e-11, 1e-10)


def compare_order(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows, *, other: Any = None) -> Enclosures:
    """Separate form minus box form, and 4 UP(L2h) minus box form."""
    box = shipped_box(replace(s, form="box"))
    values = np.array(
        [shipped_box(replace(s, form="separate")) * (1 + 1e-14) - min(box, 1.0), 4 * ends(s)[3] * (1 + 1e-14) - box]
    )
    values = values if other is None else other(values)
    return Enclosures(values, values)


def all_wrong_together(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Coverage:
    """Six of ten equal voters err on every example: L = .6 and L2 = .36 are observed without error, and the vote always errs."""
    return Coverage(0.05, failure=float(p.upper < 1))


def without_test(s: TwoEventSetting) -> TwoEventPrediction:
    low, high, second_low, second = ends(s)
    return replace(predict(s), upper=(second - low**2) / (second_low - high + 0.25))


LEVEL = float(np.log(20))
BOXES = ByBudget(quick=tuple(sample_box(generator(9, "pb.mv_ctandem", i)) for i in range(40)))
ALL_WRONG = TwoEventSetting(0.6, 0.36, 0.0, 10**6, 10**6, LEVEL)
WRONG = ByBudget(quick=(ALL_WRONG, replace(ALL_WRONG, form="separate")))

RESULT = Result(
    MV_CTANDEM,
    predict=predict,
    example=TwoEventSetting(risk=0.1, pairs=0.04, kl=3.0, n=100_000, n_pairs=90_000, log_inv_delta=LEVEL),
    uses=(first_and_second_order.FIRST_RESULT, first_and_second_order.TANDEM_RESULT, oracle.ORACLE_RESULT),
    derivation=BOX_STEPS,
    checks=(
        Check("the shipped supremum is that of the box, rounded upward", BOX, controls=mutants(BOX, shipped_box, *BOX_MUTANTS)),
        Check("the shipped separate form, rounded upward", SEPARATE, controls=mutants(SEPARATE, shipped_box, *SEPARATE_MUTANTS)),
        Check(
            "no law in the box has a larger C-bound",
            Inequality(),
            settings=BOXES,
            compare=compare_box,
            controls=(
                Control("UP(Lh) in place of the best L", {"predict": lambda s: replace(predict(s), upper=cantelli(ends(s)[1], ends(s)[3]))}),
                Control("LO(Lh) in place of the best L", {"predict": lambda s: replace(predict(s), upper=cantelli(ends(s)[0], ends(s)[3]))}),
                Control("LO(L2h) for UP(L2h)", {"predict": lambda s: replace(predict(s), upper=4 * ends(s)[2])}),
            ),
        ),
        Check(
            "the box is below the separate form and 4 UP(L2h)",
            Inequality(),
            settings=BOXES,
            compare=compare_order,
            controls=(Control("the order turned round", {"compare": lambda s, p, rows: compare_order(s, p, rows, other=np.negative)}),),
        ),
        Check(
            "all voters wrong together",
            HighProbabilityBound(),
            settings=WRONG,
            compare=all_wrong_together,
            controls=(Control("without the test UP(Lh) < 1/2", {"predict": without_test}),),
        ),
    ),
)  # fmt: skip
RESULTS = (RESULT,)
