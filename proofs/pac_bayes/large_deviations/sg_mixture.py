"""Mixture of one supermartingale with a normal law: two-sided bounds for sub-Gaussian losses, all n and all Q at once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import NDArray

from ....numerics.bounds.sub_gaussian import best_a
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CAUCHY_SCHWARZ, FUBINI, VILLE
from ....theory.balls.sub_gaussian import best_a_ball, mixture_width_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import SG_MIXTURE
from ...result import Check, Control, Result
from ..foundations import change_of_measure
from .mixture_worlds import measured, time_uniform, two_sided_statistic
from .mixtures import (
    COMMON,
    EXAMPLE,
    FINITE,
    MixturePrediction,
    MixtureSetting,
    predict,
    sample,
    solved_for_the_gap,
    two,
)

FloatArray = NDArray[np.float64]
HALF_ULP = 2.0**-53

# --- derivation ---------------------------------------------------------------------------------------------------


def gaussian_integral() -> list[tuple[Any, Any]]:
    import sympy

    tilt, n, a, v = sympy.symbols("l n a v", positive=True)
    g = sympy.Symbol("g", real=True)
    # e^{l n g - n l^2 v/2} times the density of N(0, 1/(a v)): complete the square
    exponent = tilt * n * g - n * tilt**2 * v / 2 - a * v * tilt**2 / 2
    centre = n * g / ((n + a) * v)
    square = -(n + a) * v / 2 * (tilt - centre) ** 2 + n**2 * g**2 / (2 * v * (n + a))
    u, w = sympy.symbols("u w", positive=True)
    normaliser = sympy.integrate(sympy.exp(-w * u**2 / 2), (u, -sympy.oo, sympy.oo))
    ratio = normaliser.subs(w, (n + a) * v) * sympy.sqrt(a * v) / sympy.sqrt(2 * sympy.pi)
    return [(exponent, square), (ratio, sympy.sqrt(a / (n + a)))]


def best_scale() -> list[tuple[Any, Any]]:
    import sympy

    r, n = sympy.symbols("r n", positive=True)
    B = (r - 1 - sympy.log(r)) / 2  # r = 1 + 2B + ln r
    a = sympy.Symbol("a", positive=True)
    square = (n + a) / n**2 * (B + sympy.log((n + a) / a) / 2)
    at = {a: n / (r - 1)}
    simple = sympy.simplify(sympy.expand_log(sympy.diff(square, a).subs(at).simplify(), force=True))
    value = sympy.expand_log(sympy.simplify(2 * square.subs(at)), force=True)
    return [(simple, sympy.Integer(0)), (sympy.simplify(value - r / n), sympy.Integer(0))]


DERIVATION = (
    *COMMON,
    Axiom(FUBINI, "so is its mixture over l, for each theta, and its average over P"),
    Algebra("mixed with N(0, 1/(a s^2)) it is sqrt(a/(n+a)) exp(n^2 gen^2/(2 s^2 (n+a)))", gaussian_integral),
    Axiom(VILLE, "E_P of it stays below 1/delta for all n, with probability at least 1-delta"),
    Uses(change_of_measure.RESULT, "so E_Q ln of it is at most K + ln(1/delta) for all Q"),
    Axiom(CAUCHY_SCHWARZ, "(E_Q gen)^2 <= E_Q s^2 E_Q[gen^2/s^2]"),
    Algebra("solved for the gap, either sign", solved_for_the_gap),
    Algebra("for an anticipated B the width is stationary at a = n/(r-1), r = 1 + 2B + ln r, with square r/n (times E_Q s^2)", best_scale, (("r", 1.5, 9), ("n", 2, 9))),
)  # fmt: skip

# --- checks: formulas ---------------------------------------------------------------------------------------------


def _exact(s: MixtureSetting) -> list[arb]:
    width = mixture_width_ball(s.variance, s.kl, s.n, s.a, s.log_inv_delta, 50)
    return [width, width, best_a_ball(s.n, Fraction(s.anticipated_kl) + Fraction(s.log_inv_delta), 50)]


# n + a and its quotient one ulp each: an error e of (n+a)/a is e in ln(.), at most 2e-16/ln(1/delta) relatively; logarithm 3, sum 1, two products
# 2, root halves and adds one, quotient one: at most 8 ulps = 16 half-ulps where ln(1/delta) >= 1, and 2 more per 1/ln(1/delta)
def _width(s: MixtureSetting) -> float:
    return (20 + 4 / s.log_inv_delta) * HALF_ULP


TWO_FORMULA = Formula(
    expression=lambda s: _exact(s)[:2],
    shipped=lambda s: [two(s).value, -two(s).lower],
    read=lambda p: [p.upper, -p.lower],
    sample=sample,
    width=_width,
    side="upper",
    count=120,
)
SCALE = Formula(
    expression=lambda s: _exact(s)[2],
    shipped=lambda s: best_a(s.n, s.anticipated_kl, s.log_inv_delta),
    read=lambda p: p.best_a,
    sample=sample,
    width=lambda s: 24 * HALF_ULP,  # the root y = r - 1 to 16 (as in pb.pbc_alpha), sum, product and quotient
    count=120,
)


def by_hand(
    s: MixtureSetting, *, half: float = 0.5, spent: float = 1.0, root: float = 2.0, plus: float = 1.0, kl: float = 1.0
) -> list[float]:
    total = s.n + plus * s.a
    level = kl * s.kl + half * np.log((s.n + s.a) / s.a) + spent * s.log_inv_delta
    return [float(np.sqrt(root * s.variance * total * level) / s.n) * (1 + 2.0**-45)] * 2


def _two_mutant(**wrong: Any) -> dict[str, Any]:
    return {"claim": replace(TWO_FORMULA, shipped=lambda s: by_hand(s, **wrong))}


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def compare_fixed(s: MixtureSetting, p: MixturePrediction, rows: Rows, *, name: str, share: float = 1.0) -> Coverage:
    value, _, failed, margin = measured(name, s.a, share, p.log_constant + s.log_inv_delta)
    assert margin > 1e-9
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        value,
        float(np.exp(p.log_constant)),
        failed,
        note=f"world {name}, both sides, worst posterior",
    )


def compare_a(s: MixtureSetting, p: MixturePrediction, rows: Rows) -> Coverage:
    return compare_fixed(s, p, rows, name="A")


def compare_c(s: MixtureSetting, p: MixturePrediction, rows: Rows) -> Coverage:
    return compare_fixed(s, p, rows, name="C")


def compare_half(s: MixtureSetting, p: MixturePrediction, rows: Rows) -> Coverage:
    """The variance of 0-1 losses halved: 1/8 for 1/4."""
    return compare_fixed(s, p, rows, name="A", share=0.5)


def compare_anytime(s: MixtureSetting, p: MixturePrediction, rows: Rows, *, share: float = 1.0) -> Coverage:
    """World A, every t up to 12: the averaged statement, which contains every certificate's failure."""
    failed = time_uniform("A", s.n, two_sided_statistic("A", share, s.log_inv_delta))
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=failed, note=f"some t <= {s.n}")


def compare_anytime_wrong(s: MixtureSetting, p: MixturePrediction, rows: Rows) -> Coverage:
    return compare_anytime(s, p, rows, share=0.25)


def _constant(value: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), log_constant=float(value(s)))}


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded outward",
        TWO_FORMULA,
        controls=(
            Control("the whole logarithm", _two_mutant(half=1.0)),
            Control("no logarithm", _two_mutant(half=0.0)),
            Control("n for n + a under the root", _two_mutant(plus=0.0)),
            Control("v for 2 v", _two_mutant(root=1.0)),
            Control("delta squared", _two_mutant(spent=2.0)),
            Control("KL in bits", _two_mutant(kl=1 / np.log(2))),
        ),
    ),
    Check(
        "the best scale",
        SCALE,
        controls=(
            Control("B for 2 B", {"claim": replace(SCALE, shipped=lambda s: best_a(s.n, s.anticipated_kl / 2, s.log_inv_delta / 2))}),
            Control("n/r for n/(r-1)", {"claim": replace(SCALE, shipped=lambda s: s.n / (1 + s.n / best_a(s.n, s.anticipated_kl, s.log_inv_delta)))}),
        ),
    ),
    Check(
        "world A: exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=FINITE,
        compare=compare_a,
        controls=(
            Control("variance halved (planted)", {"compare": compare_half}),
            Control("1 in place of sqrt((n+a)/a)", _constant(lambda s: 0.0)),
        ),
    ),
    Check(
        "world C: exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=FINITE,
        compare=compare_c,
        controls=(Control("1 in place of sqrt((n+a)/a)", _constant(lambda s: 0.0)),),
    ),
    Check(
        "world A: exact failure probability over all n up to 12",
        HighProbabilityBound(),
        settings=FINITE,
        compare=compare_anytime,
        controls=(Control("a quarter of the variance", {"compare": compare_anytime_wrong}),),
    ),
)  # fmt: skip

RESULT = Result(
    SG_MIXTURE, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(change_of_measure.RESULT,), derivation=DERIVATION
)
