"""Step sizes of gradient descent: where it stays stable, which step is best, and how many steps reach a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.step_sizes import (
    best_step_size_sum_loss,
    largest_step_size_sum_loss,
    steps_to_tolerance,
)
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.linear_training import identity, pivots, power, split
from ....theory.derivation import Algebra, Uses
from ....theory.statements.infinite_width.dynamics import MAX_LR
from ...result import ByBudget, Check, Control, Result
from ..linear_models import DIGITS, EPS, LinearModel, exact_kernels, kernels
from .descent import EXAMPLE, GD, SETTINGS, enclose, logarithms, random_descent


@dataclass(frozen=True)
class StepPrediction:
    """The stability limit, the best constant step, and the steps to a residual of 1e-3 at the setting's step size."""

    largest: float
    best: float
    steps: int


def extremes_balance() -> list[tuple[Any, Any]]:
    """At eta = 2/(h + l) the factors 1 - eta l and -(1 - eta h) of the extreme modes agree; at 2/h the top one is -1."""
    low, high = sympy.symbols("l h", positive=True)
    eta = 2 / (low + high)
    return [(1 - eta * low, -(1 - eta * high)), (1 - 2 / high * high, sympy.Integer(-1))]


TOLERANCE = 1e-3


def predict_steps(s: LinearModel) -> StepPrediction:
    train = kernels(s)[1].train
    steps = steps_to_tolerance(train, step_size_sum_loss=s.step_size_sum_loss, relative_residual=TOLERANCE)
    return StepPrediction(largest_step_size_sum_loss(train), best_step_size_sum_loss(train), steps)


def exact_steps(s: LinearModel) -> list[arb]:
    """From the roots of the characteristic polynomial."""
    with ctx.workdps(DIGITS + 60):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        values = [root.real for root in train.eig()]
        high = low = values[0]
        for value in values[1:]:
            high, low = high.max(value), low.min(value)
        return [2 / high, 2 / (high + low)]


def pair(p: StepPrediction) -> list[float]:
    return [p.largest, p.best]


def step_width(s: LinearModel) -> float:
    """|dlambda| <= 20 N eps lambda_max, on a denominator of at least lambda_max."""
    return 20 * len(s.labels) * EPS


STEP_FORMULA = Formula(exact_steps, lambda s: pair(predict_steps(s)), pair, random_descent, step_width, count=60)


def compare_stability(s: LinearModel, p: StepPrediction, rows: Rows) -> Enclosures:
    """|(I - eta T)^(2^26)| at steps 1e-6 below and above the limit: to 0, and beyond 1."""
    with ctx.workdps(400):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        one, margins = identity(train.nrows()), []
        for change, sign in ((-1e-6, 1), (1e-6, -1)):
            eta = to_ball(exact_fraction("step", p.largest * (1 + change)))
            moved = power(one - train * eta, 1 << 26)
            square = sum((entry**2 for entry in moved.entries()), arb(0))
            margins.append(sign * (1 - square))
        # beyond the limit the power may overflow every float: only its sign is of interest
        return enclose([value.min(arb(1)).max(arb(-1)) for value in margins])


def compare_steps(s: LinearModel, p: StepPrediction, rows: Rows) -> Enclosures:
    """tau^2 I - R^(2k) by its pivots: |(I - eta T)^k| <= tau after the predicted number of steps."""
    with ctx.workdps(DIGITS + 60):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        one = identity(train.nrows())
        moved = power(one - train * to_ball(exact_fraction("step", s.step_size_sum_loss)), 2 * p.steps)
        return enclose(pivots(one - moved / to_ball(exact_fraction("tau", TOLERANCE)) ** 2))


def wrong_steps(**changes: Callable[[LinearModel, StepPrediction], Any]) -> dict[str, Any]:
    def predict(s: LinearModel) -> StepPrediction:
        right = predict_steps(s)
        return replace(right, **{name: change(s, right) for name, change in changes.items()})

    return {"predict": predict}


def _above(s: LinearModel, fraction: float) -> LinearModel:
    """A step between the best one and the limit."""
    p = predict_steps(s)
    return replace(s, step_size_sum_loss=float(np.float32(p.best + fraction * (p.largest - p.best))))


BELOW = tuple(replace(s, step_size_sum_loss=float(np.float32(0.5 * predict_steps(s).best))) for s in SETTINGS.quick)
ABOVE = tuple(_above(s, 0.9) for s in SETTINGS.quick)

STEPS = Result(
    MAX_LR,
    predict_steps,
    EXAMPLE,
    (
        Check(
            "shipped step sizes",
            STEP_FORMULA,
            controls=(
                Control("1/lambda_max", {"claim": replace(STEP_FORMULA, shipped=lambda s: [predict_steps(s).largest / 2, predict_steps(s).best])}),
                Control("1/(lambda_max + lambda_min)", {"claim": replace(STEP_FORMULA, shipped=lambda s: [predict_steps(s).largest, predict_steps(s).best / 2])}),
                Control("the limit of the mean loss", {"claim": replace(STEP_FORMULA, shipped=lambda s: [predict_steps(s).largest * len(s.labels), predict_steps(s).best])}),
            ),
        ),
        Check(
            "powers of I - eta T decay just below the limit and grow just above it",
            Inequality(),
            settings=SETTINGS,
            compare=compare_stability,
            controls=(
                Control("1/lambda_max", wrong_steps(largest=lambda s, p: p.largest / 2)),
                Control("the limit of the mean loss", wrong_steps(largest=lambda s, p: p.largest * len(s.labels))),
                Control("a thousandth more", wrong_steps(largest=lambda s, p: p.largest * 1.001)),
                Control("a thousandth less", wrong_steps(largest=lambda s, p: p.largest * 0.999)),
            ),
        ),
        Check(
            "the predicted number of steps reaches the tolerance",
            Inequality(),
            settings=ByBudget(quick=(*BELOW, *ABOVE)),
            compare=compare_steps,
            controls=(
                Control("half as many", wrong_steps(steps=lambda s, p: p.steps // 2)),
                Control("lambda_max in place of lambda_min", wrong_steps(steps=lambda s, p: math.ceil(math.log(1 / TOLERANCE) / (s.step_size_sum_loss * 2 / p.largest)))),
                Control("log10", wrong_steps(steps=lambda s, p: math.ceil(p.steps / math.log(10)))),
            ),
        ),
    ),
    uses=(GD,),
    derivation=(
        Uses(GD, "each mode of f(X) - y shrinks by 1 - eta h in every step"),
        Algebra("so the residual vanishes for all labels iff |1 - eta h| < 1 at every eigenvalue, that is 0 < eta < 2/lambda_max; the slowest mode is fastest where the extremes balance", extremes_balance),
        Algebra("up to there max |1 - eta h| = 1 - eta lambda_min <= e^{-eta lambda_min}; above, it is |1 - eta lambda_max|", logarithms),
    ),
)  # fmt: skip

RESULTS = (STEPS,)
