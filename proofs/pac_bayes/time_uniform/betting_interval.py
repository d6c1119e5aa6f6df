"""Betting on the mean: with probability 1-delta, for all n, the best bet in hindsight against the true mean wins at most kt(n)/delta."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from flint import ctx
from scipy.optimize import brentq

from ....numerics.bounds.betting import betting_interval
from ....numerics.bounds.time_uniform import anytime_budget
from ....numerics.certified.betting import mean_limits
from ....numerics.certified.krichevsky_trofimov import log_kt
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage, Enclosures, FloatArray, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, VILLE
from ....theory.balls.maurer import maurer_xi_ball
from ....theory.balls.time_uniform import betting_interval_ball, kl_anytime_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.time_uniform import BETTING_CI
from ....theory.validation import float_array, log_inverse_delta, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..time_uniform_worlds import first_passage, random_losses
from . import kl_anytime, krichevsky_trofimov
from .betting_worlds import LAW, VALUES, interval

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class LossesSetting:
    """The losses of one predictor in [0, 1], shape (n,), and ln(1/delta)."""

    losses: FloatArray
    log_inv_delta: float

    def __post_init__(self) -> None:
        array = unit_interval("losses", float_array("losses", self.losses, ndim=1))
        if not array.size:
            raise InvalidInput("losses is empty.", "Pass at least one loss.")
        object.__setattr__(self, "losses", array)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class IntervalPrediction:
    """Both ends of the interval for the true risk, and ln kt(n)."""

    upper: float
    lower: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def bets_are_mixtures() -> list[tuple[Any, Any]]:
    import sympy

    b, f, u = sympy.symbols("b f u", positive=True)
    w = u + b * u * (1 - u)  # b in [-1/(1-u), 1/u] is w in [0, 1]
    return [
        (1 + b * (f - u), w * f / u + (1 - w) * (1 - f) / (1 - u)),
        (w.subs(b, 1 / u), sympy.Integer(1)),
        (w.subs(b, -1 / (1 - u)), sympy.Integer(0)),
    ]


def wealth_is_multilinear() -> list[tuple[Any, Any]]:
    import itertools

    import sympy

    w = sympy.Symbol("w", real=True)
    a, c = sympy.symbols("a1:5", real=True), sympy.symbols("c1:5", real=True)
    subsets = [
        w ** sum(bits) * (1 - w) ** (4 - sum(bits)) * sympy.prod([x if bit else y for bit, x, y in zip(bits, a, c, strict=True)])
        for bits in itertools.product((0, 1), repeat=4)
    ]  # fmt: skip
    return [(sympy.prod([w * x + (1 - w) * y for x, y in zip(a, c, strict=True)]), sum(subsets))]


def convex_in_the_mean() -> list[tuple[Any, Any]]:
    import sympy

    a, c, u = sympy.symbols("a c u", positive=True)
    value = a / u + c / (1 - u)  # a = w f, c = (1-w)(1-f), neither negative
    numerator = value * sympy.diff(value, u, 2) - sympy.diff(value, u) ** 2
    cross = 2 * a * c * (1 / (u * (1 - u) ** 3) + 1 / (u**3 * (1 - u)) + 1 / (u * (1 - u)) ** 2)
    return [(numerator, a**2 / u**4 + c**2 / (1 - u) ** 4 + cross)]


DERIVATION = (
    Algebra("1 + b (f-u) = w f/u + (1-w)(1-f)/(1-u) with w = u + b u (1-u): bets b in [-1/(1-u), 1/u] are weights w in [0, 1]", bets_are_mixtures, (("u", 0.1, 0.8),)),
    Uses(kl_anytime.RESULT, "at u = r the product over the examples is a martingale of mean 1 for every w, hence so is its mixture W_n over w ~ Beta(1/2,1/2)"),
    Axiom(FUBINI, "the mixture is taken inside the conditional expectation"),
    Algebra("the product is a sum over subsets J of w^|J| (1-w)^(n-|J|) times a weight that is not negative and free of w (n = 4 written out)", wealth_is_multilinear),
    Uses(krichevsky_trofimov.RESULT, "each w^k (1-w)^(n-k) is at most kt(n) times its Beta(1/2,1/2) mean, so the best w wins at most kt(n) W_n: psi_n(r) <= ln kt(n) + ln W_n"),
    Axiom(VILLE, "with probability at least 1-delta, W_n <= 1/delta for all n at once"),
    Algebra("ln(a/u + c/(1-u)) is convex in u: its second derivative is a sum of positive terms over a square", convex_in_the_mean, (("u", 0.1, 0.8),)),
    Axiom(JENSEN, "psi_n is at most 0 at the empirical mean (ln is concave), so it is 0 there, and {u : psi_n(u) <= B} is an interval around it"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LossesSetting) -> IntervalPrediction:
    n = s.losses.size
    lower, upper = mean_limits(s.losses, np.ones(n), anytime_budget(0.0, n, s.log_inv_delta))
    return IntervalPrediction(upper, lower, float(log_kt(n)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> LossesSetting:
    return LossesSetting(random_losses(rng, int(10 ** rng.uniform(0, 1.8))), float(10 ** rng.uniform(-1, 1.5)))


def width(s: LossesSetting) -> float:
    """Upper end, relative. u moves by (error of psi)/(slope of psi), and by convexity the slope is at least B/(u - mean), B >= ln 2.

    At the best bet the positive and the negative terms x/(1+x), x = b (f-u), cancel, and the former are below 1 each: sum |x|/(1+x) <=
    2n; sum |ln(1+x)| <= B + 2n follows from -ln(1+x) <= -x/(1+x). With the kernel's errors of 4 and 10 half-ulps, and 16 for B:
    (8n + 10(B + 2n) + 16 B)/B. Newton's inexact beta costs 1e-18.
    """
    n = s.losses.size
    budget = math.log(2 * math.sqrt(n)) + s.log_inv_delta
    return ((28 * n + 26 * budget) / min(budget, math.log(2) + s.log_inv_delta) + 16) * HALF_ULP


def _ends(s: LossesSetting) -> tuple[Any, Any]:
    return _balls(tuple(sorted(s.losses.tolist())), s.log_inv_delta)


@lru_cache(maxsize=200)
def _balls(losses: tuple[float, ...], log_inv_delta: float) -> tuple[Any, Any]:
    values, counts = np.unique(losses, return_counts=True)
    return betting_interval_ball(values.tolist(), counts.tolist(), log_inv_delta, 30)


def _certificate(s: LossesSetting, extra: float = 0.0) -> Any:
    return betting_interval(losses=s.losses, log_inv_delta=s.log_inv_delta + extra)


def _with(s: LossesSetting, log_constant: float) -> tuple[float, float]:
    return mean_limits(s.losses, np.ones(s.losses.size), max(1e-9, log_constant + s.log_inv_delta))


def timid(s: LossesSetting) -> float:
    """The upper end that bets b >= -1 would give."""
    budget = float(log_kt(s.losses.size)) + s.log_inv_delta

    def won(u: float) -> float:
        def slope(b: float) -> float:
            return float(((s.losses - u) / (1 + b * (s.losses - u))).sum())

        b = -1.0 if slope(-1.0) <= 0 else 0.0 if slope(0.0) >= 0 else brentq(slope, -1.0, 0.0)
        return float(np.log1p(b * (s.losses - u)).sum()) - budget

    return float(brentq(won, s.losses.mean(), 1.0)) if won(1.0) > 0 else 1.0


UPPER = Formula(
    expression=lambda s: _ends(s)[1],
    shipped=lambda s: _certificate(s).value,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=14,
)


def sample_lower(rng: np.random.Generator) -> LossesSetting:
    s = sample(rng)
    return LossesSetting(1 - s.losses, min(s.log_inv_delta, 6.0))


LOWER = replace(
    UPPER,
    expression=lambda s: _ends(s)[0],
    shipped=lambda s: _certificate(s).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    # the same error in u, now relative to a lower end of at least mean e^(-2B/n mean): 0 or above e^-40 here; doubled for 1-(1-f)
    width=lambda s: 2 * width(s) / max(_ends_float(s), 1e-12) if s.losses.any() else 0.0,
    side="lower",
)


def _ends_float(s: LossesSetting) -> float:
    return float(_ends(s)[0].mid())


def _upper(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def _lower(function: Any) -> dict[str, Any]:
    return {"claim": replace(LOWER, shipped=function)}


# --- checks: exact failure probability, and order -----------------------------------------------------------------


def compare_coverage(s: LossesSetting, p: IntervalPrediction, rows: Rows, *, paid: bool = True) -> Coverage:
    """P(some n <= T = the number of losses of the setting has a shipped interval without the true mean), three-valued losses."""
    truth = float(VALUES @ LAW)

    def violated(counts: Any, n: int) -> Any:
        ends = np.array([interval(tuple(c), s.log_inv_delta, paid) for c in counts.tolist()])
        return ~((ends[:, 0] <= truth) & (truth <= ends[:, 1]))

    found = first_passage(violated, LAW, s.losses.size)
    return Coverage(math.exp(-s.log_inv_delta), failure=found, note="losses 0, 0.3 and 1")


def compare_coverage_free(s: LossesSetting, p: IntervalPrediction, rows: Rows) -> Coverage:
    return compare_coverage(s, p, rows, paid=False)


def compare_order(s: LossesSetting, p: IntervalPrediction, rows: Rows, *, constant: str = "kt") -> Enclosures:
    """kl_anytime's interval contains the betting interval, by balls; for 0-1 losses they agree."""
    with ctx.workdps(40):
        lower, upper = _ends(s)
        n, level = s.losses.size, s.log_inv_delta
        mean = sum(map(Fraction, s.losses.tolist()), Fraction(0)) / n
        if constant == "xi":
            level += float((maurer_xi_ball(n).log() - float(log_kt(n))).mid())
        outer = kl_anytime_ball(mean, 0.0, n, level, 30)
        gaps = (outer[1] - upper, lower - outer[0])
        low, high = np.array([[float(g.lower()), float(g.upper())] for g in gaps]).T
    return Enclosures(low, high, width=1e-25)


def compare_order_xi(s: LossesSetting, p: IntervalPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, constant="xi")


ORDER = ByBudget(
    quick=tuple(LossesSetting(random_losses(generator(4, "pb.betting_ci", i), 8 + 5 * i), 3.0) for i in range(4))
)
WORKED = np.array([0.0] * 30 + [0.1] * 10 + [0.2] * 10)

CHECKS = (
    Check(
        "the shipped upper end is the last step, rounded upward",
        UPPER,
        controls=(
            Control("ln kt(n) dropped", _upper(lambda s: _with(s, 0.0)[1])),
            Control("xi(n) for kt(n)", _upper(lambda s: _with(s, float(log_maurer_xi(s.losses.size)))[1])),
            Control("kt(n + 1) for kt(n)", _upper(lambda s: _with(s, float(log_kt(s.losses.size + 1)))[1])),
            Control("delta halved", _upper(lambda s: _certificate(s, math.log(2)).value)),
            Control("bets b >= -1 only", _upper(timid)),
            Control("one loss left out", _upper(lambda s: mean_limits(s.losses[1:] if s.losses.size > 1 else s.losses, np.ones(max(1, s.losses.size - 1)), float(log_kt(s.losses.size)) + s.log_inv_delta)[1])),
        ),
    ),
    Check(
        "the shipped lower end is the last step, rounded downward",
        LOWER,
        controls=(
            Control("ln kt(n) dropped", _lower(lambda s: _with(s, 0.0)[0])),
            Control("xi(n) for kt(n)", _lower(lambda s: _with(s, float(log_maurer_xi(s.losses.size)))[0])),
            Control("delta halved for two sides", _lower(lambda s: _certificate(s, math.log(2)).lower)),
        ),
    ),
    Check(
        "three-valued losses, the shipped interval at every n: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(LossesSetting(np.zeros(9), math.log(10)),), full=(LossesSetting(np.zeros(25), math.log(10)),)),
        compare=compare_coverage,
        controls=(Control("1 in place of kt(n)", {"compare": compare_coverage_free}),),
    ),
    Check(
        "the interval lies within that of the kl",
        Inequality(),
        settings=ORDER,
        compare=compare_order,
        controls=(Control("kl interval with xi(n)", {"compare": compare_order_xi}),),
    ),
)  # fmt: skip

RESULT = Result(
    BETTING_CI,
    predict=predict,
    example=LossesSetting(WORKED, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(krichevsky_trofimov.RESULT, kl_anytime.RESULT),
    derivation=DERIVATION,
)
