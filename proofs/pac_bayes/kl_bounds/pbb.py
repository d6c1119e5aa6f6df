"""PAC-Bayes with backprop: UP(UP(rh_MC, ln(2/delta')/m), (K + ln(2 sqrt(n)/delta))/n), two events, and prior scales by a union."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import rel_entr
from scipy.stats import binom

from ....numerics.bounds.monte_carlo import gibbs_monte_carlo
from ....numerics.bounds.pbb import LOG_ZETA_2, SIDES, pbb
from ....numerics.bounds.seeger import CONSTANTS, seeger_kl
from ....numerics.certified import kl_upper
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import UNION
from ....theory.balls.pbb import pbb_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import PBB
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import compositions, count_probability, world_a
from . import monte_carlo, seeger
from .relaxations import HALF_ULP, control


@dataclass(frozen=True)
class PbbSetting:
    """Mean empirical risk of the draws in [0, 1], number of draws, KL(Q||P) in nats, number of examples, ln(1/delta), ln(1/delta') of the
    draws; "two" or "one" sides, "2sqrt" or "exact", and the index of the prior scale (0: the prior was fixed)."""

    risk: float
    draws: int
    kl: float
    n: int
    log_inv_delta: float
    draws_log_inv_delta: float
    sides: str = "two"
    constant: str = "2sqrt"
    scale_index: int = 0

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), sample_size("draws", self.draws), non_negative("kl", self.kl)
        sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)
        log_inverse_delta(log_inv_delta=self.draws_log_inv_delta)
        if (
            self.sides not in SIDES
            or self.constant not in CONSTANTS
            or sample_size("scale_index + 1", self.scale_index + 1) < 1
        ):
            raise InvalidInput(
                f"sides = {self.sides!r}, constant = {self.constant!r}.", f"One of {SIDES}, one of {CONSTANTS}."
            )


@dataclass(frozen=True)
class PbbPrediction:
    """The certificate, and the upper end for the empirical Gibbs risk that it is computed from."""

    upper: float
    inner: float
    delta: float


# --- derivation ---------------------------------------------------------------------------------------------------


def falls_in_the_first_argument() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    # for q < p the odds ratio is below 1: kl falls in q, so the set {p : kl(q||p) <= c} reaches further for a larger q
    return [
        (
            sympy.expand_log(sympy.diff(kl, q), force=True),
            sympy.expand_log(sympy.log(q * (1 - p)) - sympy.log(p * (1 - q)), force=True),
        )
    ]


def scale_weights() -> list[tuple[Any, Any]]:
    import sympy

    j, k = sympy.Symbol("j", integer=True), sympy.Symbol("k", positive=True)
    total = sympy.summation(6 / (sympy.pi**2 * j**2), (j, 1, sympy.oo))
    return [
        (total, 1),
        (
            -sympy.expand_log(sympy.log(6 / (sympy.pi * k) ** 2), force=True),
            2 * sympy.log(k) + sympy.expand_log(sympy.log(sympy.pi**2 / 6), force=True),
        ),
    ]


DERIVATION = (
    Uses(monte_carlo.RESULT, "rh_Q <= UP(rh_MC, ln(1/delta')/m) with probability at least 1-delta' over the draws; all the more with ln(2/delta')"),
    Uses(seeger.RESULT, "r_Q <= UP(rh_Q, (K + ln(2 sqrt(n)/delta))/n) for all Q with probability at least 1-delta, since xi(n) <= 2 sqrt(n)"),
    Algebra("d kl(q||p)/dq = ln(q(1-p)/(p(1-q))) < 0 for q < p: UP increases in q, so an upper end for rh_Q may stand for it", falls_in_the_first_argument, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Axiom(UNION, "both events hold with probability at least 1 - delta - delta'"),
    Algebra("weights 6/(pi j)^2 on the prior scales j = 1, 2, ... sum to 1 and cost 2 ln j + ln(pi^2/6)", scale_weights, (("k", 1, 50),)),
    Axiom(UNION, "delta 6/(pi j)^2 for the j-th prior of a sequence fixed in advance: the bound holds for all of them at once"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def given(s: PbbSetting) -> dict[str, Any]:
    return {**vars(s), "scale_index": s.scale_index or None}


def predict(s: PbbSetting) -> PbbPrediction:
    """The chain of two other certificates: draws first, then the kl bound."""
    level = math.nextafter(s.draws_log_inv_delta + math.log(2), math.inf) if s.sides == "two" else s.draws_log_inv_delta
    inner = gibbs_monte_carlo(risk=s.risk, draws=s.draws, log_inv_delta=level).value
    kl = math.nextafter(s.kl + 2 * math.log(s.scale_index) + LOG_ZETA_2, math.inf) if s.scale_index else s.kl
    constant: Any = s.constant
    outer = seeger_kl(risk=inner, kl=kl, n=s.n, log_inv_delta=s.log_inv_delta, constant=constant).value
    return PbbPrediction(outer, inner, math.exp(-s.log_inv_delta) + math.exp(-s.draws_log_inv_delta))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> PbbSetting:
    return PbbSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0)])),
        int(10 ** rng.uniform(0, 6)),
        float(10 ** rng.uniform(-3, 5)),
        int(10 ** rng.uniform(0, 7)),
        float(10 ** rng.uniform(-0.1, 2.5)),
        float(10 ** rng.uniform(-0.1, 2.5)),
        str(rng.choice(SIDES)),
        str(rng.choice(CONSTANTS)),
        int(rng.choice([0, 1, int(10 ** rng.uniform(0, 5))])),
    )


def width(s: PbbSetting) -> float:
    """UP(q, c) with c off by 24 half-ulps (and 8 more for the price of the scale) moves relatively no more than c (concave, UP(q,0) = q);
    with q off by the inner 22 no more than q does, for the same reason: UP is jointly concave and UP(0,0) = 0. 12 for each inverse."""
    return (24 + 8 + 22 + 2 * 12) * HALF_ULP


FORMULA = Formula(
    expression=lambda s: pbb_ball(**given(s)),
    shipped=lambda s: pbb(**given(s)).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=40,
)


def _chain(s: PbbSetting, *, inner: float | None = None, add: float = 0.0, n: float | None = None) -> float:
    """The certificate with a wrong ingredient."""
    c = (s.kl + s.log_inv_delta + math.log(2 * math.sqrt(s.n)) + add) / (s.n if n is None else n)
    return float(kl_upper(predict(s).inner if inner is None else inner, c))


# --- checks: both events at once, exactly -------------------------------------------------------------------------


def compare_two_events(s: PbbSetting, p: PbbPrediction, rows: Rows, *, bound: Any = None) -> Coverage:
    """P over samples of world A and m draws that the printed certificate is below the true Gibbs risk."""
    world, broken, draws = world_a(), 0.0, compositions(s.draws, 3)
    logits = world.log_prior - 2.0 * s.n * world.empirical  # a posterior that follows the sample
    q = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    kl = rel_entr(q, np.exp(world.log_prior)).sum(axis=1)
    for i, weights in enumerate(q):
        true, mean = float(weights @ world.risk), draws @ world.empirical[i] / s.draws
        chance = count_probability(draws, weights)
        for risk in np.unique(mean):
            here = replace(s, risk=float(min(1.0, risk)), kl=float(kl[i]))
            if true > (pbb(**given(here)).value if bound is None else bound(here)):
                broken += world.probability[i] * float(chance[mean == risk].sum())
    return Coverage(p.delta, failure=float(broken), note="samples and draws")


def compare_constant_risks(s: PbbSetting, p: PbbPrediction, rows: Rows, *, bound: Any = None) -> Coverage:
    """A predictor that is always right and one that is always wrong, Q = P = half each: rh_Q = r_Q = 1/2, K = 0, and only the draws
    can mislead. The failure probability is a binomial tail."""
    k = np.arange(s.draws + 1)
    ends = [
        (lambda x: pbb(**given(x)).value if bound is None else bound(x))(replace(s, risk=i / s.draws, kl=0.0))
        for i in k
    ]
    broken = float(binom.pmf(k, s.draws, 0.5)[np.array(ends) < 0.5].sum())
    return Coverage(p.delta, failure=broken, note="draws alone")


def no_draws_event(s: PbbSetting) -> float:
    return _chain(s, inner=s.risk)


def compare_no_draws_event(s: PbbSetting, p: PbbPrediction, rows: Rows) -> Coverage:
    return compare_constant_risks(s, p, rows, bound=no_draws_event)


def nothing_paid(s: PbbSetting) -> float:
    return s.risk


def compare_nothing_paid(s: PbbSetting, p: PbbPrediction, rows: Rows) -> Coverage:
    return compare_two_events(s, p, rows, bound=nothing_paid)


# --- checks: the ledger -------------------------------------------------------------------------------------------


def compare_ledger(s: PbbSetting, p: PbbPrediction, rows: Rows) -> Comparison:
    """What the certificate says it spends, against delta + delta'."""
    spent = pbb(**given(s)).delta
    # two exponentials, each widened by two ulps, and their sum rounded up
    return Comparison(np.array([spent]), np.array([p.delta]), np.array([8 * 2.0**-52 * p.delta]), p.delta)


def _delta(of: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), delta=of(s))}


LN = math.log
PUBLISHED = PbbSetting(0.0155, 150_000, 73.2, 30_000, float(-np.log(0.025)), float(-np.log(0.01)))
TWO = ByBudget(
    quick=(PbbSetting(0.0, 4, 0.0, 12, LN(5), LN(5), "one", "exact"),),
    standard=(PbbSetting(0.0, 4, 0.0, 12, LN(5), LN(5)), PbbSetting(0.0, 8, 0.0, 12, LN(10), -LN(0.6), "one", "exact")),
)
ALONE = ByBudget(quick=tuple(PbbSetting(0.0, m, 0.0, 10**6, LN(10), LN(10), "one") for m in (1, 7, 40)))

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            control("the draws' event dropped", FORMULA, no_draws_event),
            control("one delta for both events", FORMULA, lambda s: pbb(**{**given(s), "log_inv_delta": s.draws_log_inv_delta}).raw),
            control("one side for two", FORMULA, lambda s: pbb(**{**given(s), "sides": "one"}).raw),
            control("xi(n) for 2 sqrt(n)", FORMULA, lambda s: pbb(**{**given(s), "constant": "exact"}).raw),
            control("the prior scale not paid", FORMULA, lambda s: pbb(**{**given(s), "scale_index": None}).raw),
            control("ln j for 2 ln j", FORMULA, lambda s: pbb(**{**given(s), "scale_index": None, "kl": s.kl + (LN(s.scale_index) + LOG_ZETA_2 if s.scale_index else 0.0)}).raw),
            control("ln(pi^2/6) dropped", FORMULA, lambda s: pbb(**{**given(s), "scale_index": None, "kl": s.kl + (2 * LN(s.scale_index) if s.scale_index else 0.0)}).raw),
            control("draws and n exchanged", FORMULA, lambda s: pbb(**{**given(s), "draws": s.n, "n": s.draws}).raw),
        ),
    ),
    Check(
        "world A: exact failure probability over samples and draws together",
        HighProbabilityBound(),
        settings=TWO,
        compare=compare_two_events,
        controls=(Control("the mean of the draws taken for the true risk", {"compare": compare_nothing_paid}),),
    ),
    Check(
        "draws alone: exact failure probability where only they can mislead",
        HighProbabilityBound(),
        settings=ALONE,
        compare=compare_constant_risks,
        controls=(Control("the draws' event dropped", {"compare": compare_no_draws_event}),),
    ),
    Check(
        "the ledger spends delta + delta'",
        Agreement("rounding"),
        settings=ByBudget(quick=(PUBLISHED, replace(PUBLISHED, scale_index=7), replace(PUBLISHED, sides="one", constant="exact"))),
        compare=compare_ledger,
        controls=(
            Control("delta' for both events, only once", _delta(lambda s: math.exp(-s.draws_log_inv_delta))),
            Control("delta' alone, twice", _delta(lambda s: 2 * math.exp(-s.draws_log_inv_delta))),
            Control("delta alone", _delta(lambda s: math.exp(-s.log_inv_delta))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    PBB,
    predict=predict,
    example=PUBLISHED,
    checks=CHECKS,
    uses=(monte_carlo.RESULT, seeger.RESULT),
    derivation=DERIVATION,
)
