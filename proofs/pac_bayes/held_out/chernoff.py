"""One predictor, losses in [0, 1], independent examples: r <= UP(rh, ln(1/delta)/n) with probability at least 1-delta."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from scipy.stats import binom

from ....numerics.bounds.held_out import chernoff_test_set
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CHERNOFF, INDEPENDENCE, JENSEN, UNION
from ....theory.balls.occam import between, binomial_test_ball, chernoff_test_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.held_out import TEST_CHERNOFF
from ....theory.validation import log_inverse_delta, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class MeanLossSetting:
    """Mean loss on the test set in [0, 1], number of test examples, ln(1/delta)."""

    risk: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class UpperPrediction:
    """Upper end for the risk."""

    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def concave_in_the_mean() -> list[tuple[Any, Any]]:
    import sympy

    p, t = sympy.symbols("p t", positive=True)  # t = e^{-l}
    log = sympy.log(1 - p + p * t)
    return [(sympy.diff(log, p, 2), -(((t - 1) / (1 - p + p * t)) ** 2))]


def best_exponent() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    tilt = q * (1 - p) / (p * (1 - q))  # e^{-l*}
    exponent = q * sympy.log(tilt) - sympy.log(1 - p + p * tilt)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    return [
        (p * tilt / (1 - p + p * tilt), q),
        (sympy.diff(exponent, p), sympy.diff(kl, p)),
        (exponent.subs(p, q), kl.subs(p, q)),
    ]


DERIVATION = (
    Axiom(JENSEN, "e^{-lx} <= 1 - x + x e^{-l} on [0, 1], so E e^{-l X_i} <= 1 - p_i + p_i e^{-l} with p_i = E X_i"),
    Axiom(INDEPENDENCE, "E e^{-l sum X_i} is the product of the factors"),
    Algebra("ln(1 - p + p t) is concave in p: its second derivative is minus a square", concave_in_the_mean),
    Axiom(JENSEN, "so the product is at most (1 - r + r e^{-l})^n with r the mean of the p_i: the laws need not be equal"),
    Axiom(CHERNOFF, "P(rh <= q) <= exp(n inf_l (l q + ln(1 - r + r e^{-l}))) for q <= r"),
    Algebra("at the best l, that of mean q under the tilt, the exponent is -kl(q||r)", best_exponent, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(kl_inverse.RESULT, "UP(rh, c) < r iff rh < r and kl(rh||r) > c; with c = ln(1/delta)/n that is a set {rh <= q*}, q* < r, of probability at most delta"),
    Axiom(UNION, "the lower side is the same for 1 - X; both together need delta/2 each"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: MeanLossSetting) -> UpperPrediction:
    return UpperPrediction(chernoff_test_set(risk=s.risk, n=s.n, log_inv_delta=s.log_inv_delta).value)


# --- checks: the formulas -----------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> MeanLossSetting:
    return MeanLossSetting(
        float(rng.choice([0.0, 1.0, rng.uniform(), 10 ** rng.uniform(-9, 0)], p=[0.1, 0.05, 0.45, 0.4])),
        int(10 ** rng.uniform(0, 12)),
        float(10 ** rng.uniform(-1, 4)),
    )


FORMULA = Formula(
    expression=lambda s: chernoff_test_ball(s.risk, s.n, s.log_inv_delta)[0],
    shipped=lambda s: chernoff_test_set(risk=s.risk, n=s.n, log_inv_delta=s.log_inv_delta).value,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (2 + 12) * HALF_ULP,  # c rounded up once, and the inverse
    side="upper",
    count=100,
)


def sample_lower(rng: np.random.Generator) -> MeanLossSetting:
    """Levels at which the lower end is a normal float."""
    s = sample(rng)
    risk = min(1.0, max(s.risk, 2 / s.n))
    return MeanLossSetting(risk, s.n, float(min(s.log_inv_delta, 50 * s.n * risk)))


def lower_side(function: Any, s: MeanLossSetting) -> float:
    """The lower end of a two-sided certificate at delta, spent half and half."""
    return float(function(risk=s.risk, n=s.n, log_inv_delta=s.log_inv_delta, two_sided=True).lower)


def halved(ball: Any, s: MeanLossSetting) -> Any:

    with ctx.workdps(60):
        level = arb(s.log_inv_delta) + arb(2).log()
    return between(lambda end: ball(s.risk, s.n, end, 30)[1], level, 30)


LOWER = replace(
    FORMULA,
    expression=lambda s: halved(chernoff_test_ball, s),
    shipped=lambda s: lower_side(chernoff_test_set, s),
    read=lambda p: p.upper,
    sample=sample_lower,
    # LO is 1 - UP(1-q): (v + 8) ulps with v <= c/q, as for the kl inverse, and three roundings of c
    width=lambda s: 8 * (8 + (s.log_inv_delta + 1) / (s.n * s.risk)) * HALF_ULP,
    side="lower",
    count=50,
)


def mutant(formula: Formula, function: Any) -> dict[str, Any]:
    return {"claim": replace(formula, shipped=function)}


def _up(risk: float, c: float) -> float:
    return float(kl_upper(risk, c))


# --- checks: exact failure probabilities and the order --------------------------------------------------------------


def _error_laws(n: int, truth: float) -> list[np.ndarray]:
    """Laws of the number of errors with mean risk `truth`: one coin, and two halves with different coins."""
    half, spread = n // 2, min(truth, 1 - truth) * 0.9
    first, second = truth + spread * (n - half) / n, truth - spread * half / n
    mixed = np.convolve(binom.pmf(range(half + 1), half, first), binom.pmf(range(n - half + 1), n - half, second))
    return [binom.pmf(range(n + 1), n, truth), mixed]


def compare_coverage(s: MeanLossSetting, p: UpperPrediction, rows: Rows, *, bound: Any = predict) -> Coverage:
    """0-1 losses, equal and unequal laws: the worst failure probability over a fine set of true risks, each end included."""
    ends = np.array([bound(replace(s, risk=k / s.n)).upper for k in range(s.n + 1)])
    worst = 0.0
    for truth in (*np.nextafter(ends[ends < 1], 1.0), *np.linspace(0.02, 0.98, 13)):
        worst = max([worst, *(float(law[ends < truth].sum()) for law in _error_laws(s.n, float(truth)))])
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=worst, note="worst true risk, equal and unequal laws")


def coverage(bound: Any) -> dict[str, Any]:
    def compare(s: MeanLossSetting, p: UpperPrediction, rows: Rows) -> Coverage:
        return compare_coverage(s, p, rows, bound=bound)

    return {"compare": compare}


def half_the_exponent(s: MeanLossSetting) -> UpperPrediction:
    return UpperPrediction(_up(s.risk, s.log_inv_delta / (4 * s.n)))


def own_variance(s: MeanLossSetting) -> UpperPrediction:
    """The empirical variance in place of the worst one: exact at rh = 0, and false."""
    return UpperPrediction(s.risk + float(np.sqrt(2 * s.risk * (1 - s.risk) * s.log_inv_delta / s.n)))


def compare_order(s: MeanLossSetting, p: UpperPrediction, rows: Rows, *, examples: float = 1.0) -> Enclosures:
    """The predicted bound minus the one that must lie below it: binomial at whole numbers of errors, relative to the gap's scale."""
    k = round(s.risk * s.n)
    found = predict(replace(s, risk=k / s.n))
    below = binomial_test_ball(k, s.n, s.log_inv_delta, 25)[0]
    with ctx.workdps(40):
        gap = (arb(found.upper) - below) / below
        return Enclosures(np.array([float(gap.lower())]), np.array([float(gap.upper())]), 1e-15)


def compare_order_n(s: MeanLossSetting, p: UpperPrediction, rows: Rows) -> Enclosures:
    """One and a half times the examples in the Chernoff bound."""
    k = round(s.risk * s.n)
    below = binomial_test_ball(k, s.n, s.log_inv_delta, 25)[0]
    with ctx.workdps(40):
        gap = (arb(_up(k / s.n, s.log_inv_delta / (1.5 * s.n))) - below) / below
        return Enclosures(np.array([float(gap.lower())]), np.array([float(gap.upper())]), 1e-15)


def _settings(count: int) -> tuple[MeanLossSetting, ...]:
    found = []
    for index in range(count):
        rng = generator(1, "pb.test_chernoff", index)
        n = int(10 ** rng.uniform(0, 6))
        errors = int(n * rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0)]))
        found.append(MeanLossSetting(errors / n, n, float(10 ** rng.uniform(-0.1, 3))))
    return tuple(found)


WORLDS = ByBudget(
    quick=tuple(MeanLossSetting(0.0, n, float(-np.log(d))) for n in (1, 6, 40) for d in (0.05, 0.3)),
    full=tuple(MeanLossSetting(0.0, n, float(-np.log(d))) for n in (1, 2, 6, 40, 200) for d in (0.001, 0.05, 0.3)),
)
ORDER = ByBudget(quick=_settings(25), standard=lambda: _settings(200))

CHECKS = (
    Check(
        "the shipped bound is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("n + 1 for n", mutant(FORMULA, lambda s: _up(s.risk, s.log_inv_delta / (s.n + 1)))),
            Control("2n for n", mutant(FORMULA, lambda s: _up(s.risk, s.log_inv_delta / (2 * s.n)))),
            Control("ln(2/delta)", mutant(FORMULA, lambda s: _up(s.risk, (s.log_inv_delta + np.log(2)) / s.n))),
            Control("logarithm to base 2", mutant(FORMULA, lambda s: _up(s.risk, s.log_inv_delta / np.log(2) / s.n))),
        ),
    ),
    Check(
        "the lower side of a two-sided bound, at delta/2, rounded downward",
        LOWER,
        predict=lambda s: UpperPrediction(lower_side(chernoff_test_set, s)),
        controls=(
            Control("not halved", mutant(LOWER, lambda s: float(kl_lower(s.risk, s.log_inv_delta / s.n)))),
            Control("floored at 1e-9", mutant(LOWER, lambda s: max(1e-9, lower_side(chernoff_test_set, s)))),
        ),
    ),
    Check(
        "exact failure probability, equal and unequal laws",
        HighProbabilityBound(),
        settings=WORLDS,
        compare=compare_coverage,
        controls=(Control("a quarter of the exponent", coverage(half_the_exponent)), Control("the empirical variance", coverage(own_variance))),
    ),
    Check(
        "never below the exact binomial limit",
        Inequality(),
        settings=ORDER,
        compare=compare_order,
        controls=(Control("half as many examples again", {"compare": compare_order_n}),),
    ),
)  # fmt: skip

RESULT = Result(
    TEST_CHERNOFF,
    predict=predict,
    example=MeanLossSetting(0.012, 50_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(kl_inverse.RESULT,),
    derivation=DERIVATION,
)
