"""One predictor, losses in [0, 1], independent examples: r <= rh + sqrt(ln(1/delta)/(2n)) with probability at least 1-delta."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from flint import arb, ctx

from ....numerics.bounds.held_out import hoeffding_test_set
from ....numerics.claims import Coverage, Enclosures, HighProbabilityBound, Inequality
from ....numerics.store import Rows
from ....theory.balls.occam import chernoff_test_ball, hoeffding_test_ball
from ....theory.derivation import Uses
from ....theory.statements.pac_bayes.held_out import TEST_HOEFFDING
from ...result import Check, Control, Result
from ..foundations import hoeffding as hoeffding_lemma
from ..foundations import pinsker
from . import chernoff
from .chernoff import MeanLossSetting, UpperPrediction

HALF_ULP = 2.0**-53

DERIVATION = (
    Uses(hoeffding_lemma.RESULT, "E e^{-l(X_i - p_i)} <= e^{l^2/8}: Chernoff's bound at l = 4 (r - q) is e^{-2n(r-q)^2}"),
    Uses(chernoff.RESULT, "or from the exact exponent,"),
    Uses(pinsker.RESULT, "UP(rh, c) <= rh + sqrt(c/2), c = ln(1/delta)/n, so it fails less often still"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: MeanLossSetting) -> UpperPrediction:
    return UpperPrediction(hoeffding_test_set(risk=s.risk, n=s.n, log_inv_delta=s.log_inv_delta).raw)


# --- checks -------------------------------------------------------------------------------------------------------

FORMULA = replace(
    chernoff.FORMULA,
    expression=lambda s: hoeffding_test_ball(s.risk, s.n, s.log_inv_delta)[0],
    shipped=lambda s: hoeffding_test_set(risk=s.risk, n=s.n, log_inv_delta=s.log_inv_delta).raw,
    width=lambda s: 5 * HALF_ULP,  # half of a quotient's ulp, those of the root and of the sum
)


def sample_lower(rng: np.random.Generator) -> MeanLossSetting:
    """Levels at which the lower end stays away from 0, where its two terms cancel."""
    s = chernoff.sample(rng)
    risk = float(rng.uniform(0.01, 1))
    return MeanLossSetting(risk, s.n + 20_000, float(min(s.log_inv_delta, risk**2 * (s.n + 20_000) / 4)))


LOWER = replace(
    FORMULA,
    expression=lambda s: chernoff.halved(hoeffding_test_ball, s),
    shipped=lambda s: chernoff.lower_side(hoeffding_test_set, s),
    sample=sample_lower,
    # ln(2/delta)/(2n) <= risk^2/8 + .35/n < .3 risk^2, so the width is below .55 risk: the terms are below 3.5 times their difference
    width=lambda s: 7 * 5 * HALF_ULP,
    side="lower",
)


def _root(s: MeanLossSetting, factor: float) -> float:
    return s.risk + float(np.sqrt(factor * s.log_inv_delta / s.n))


def compare_coverage(s: MeanLossSetting, p: UpperPrediction, rows: Rows) -> Coverage:
    return chernoff.compare_coverage(s, p, rows, bound=predict)


def compare_order(s: MeanLossSetting, p: UpperPrediction, rows: Rows) -> Enclosures:
    """Predicted Hoeffding end minus the exact Chernoff end."""
    below = chernoff_test_ball(s.risk, s.n, s.log_inv_delta, 40)[0]
    with ctx.workdps(50):
        gap = (arb(p.upper) - below) / below
        return Enclosures(np.array([float(gap.lower())]), np.array([float(gap.upper())]), 1e-25)


CHECKS = (
    Check(
        "the shipped bound is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("n for 2n", chernoff.mutant(FORMULA, lambda s: _root(s, 1.0))),
            Control("4n for 2n", chernoff.mutant(FORMULA, lambda s: _root(s, 0.25))),
            Control("ln(2/delta)", chernoff.mutant(FORMULA, lambda s: _root(replace(s, log_inv_delta=s.log_inv_delta + np.log(2)), 0.5))),
            Control("the root dropped", chernoff.mutant(FORMULA, lambda s: s.risk + s.log_inv_delta / (2 * s.n))),
        ),
    ),
    Check(
        "the lower side of a two-sided bound, at delta/2, rounded downward",
        LOWER,
        predict=lambda s: UpperPrediction(chernoff.lower_side(hoeffding_test_set, s)),
        controls=(
            Control("not halved", chernoff.mutant(LOWER, lambda s: 2 * s.risk - _root(s, 0.5))),
            Control("rounded up", chernoff.mutant(LOWER, lambda s: chernoff.lower_side(hoeffding_test_set, s) * (1 + 2.0**-46))),
        ),
    ),
    Check(
        "exact failure probability, equal and unequal laws",
        HighProbabilityBound(),
        settings=chernoff.WORLDS,
        compare=compare_coverage,
        controls=(Control("half the width", chernoff.coverage(lambda s: UpperPrediction(_root(s, 0.125)))),),
    ),
    Check(
        "never below the Chernoff bound",
        Inequality(),
        settings=chernoff.ORDER,
        compare=compare_order,
        controls=(
            Control("4n for 2n", {"predict": lambda s: UpperPrediction(_root(s, 0.25))}),
            Control("the empirical variance", {"predict": chernoff.own_variance}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    TEST_HOEFFDING,
    predict=predict,
    example=MeanLossSetting(0.012, 50_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(chernoff.RESULT, hoeffding_lemma.RESULT, pinsker.RESULT),
    derivation=DERIVATION,
)
