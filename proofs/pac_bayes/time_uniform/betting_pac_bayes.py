"""PAC-Bayes by betting: with probability 1-delta, for all n and Q, E_Q psi_n(h, r(h)) <= KL(Q||P) + ln(kt(n)/delta)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from flint import ctx
from scipy.special import logsumexp, rel_entr

from ....numerics.bounds.betting import betting_pac_bayes
from ....numerics.bounds.time_uniform import anytime_budget
from ....numerics.certified.betting import mean_upper
from ....numerics.certified.krichevsky_trofimov import log_kt
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage, Enclosures, FloatArray, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import ENVELOPE, FUBINI, KKT, VILLE
from ....theory.balls.time_uniform import betting_pac_bayes_ball, kl_anytime_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.time_uniform import BETTING
from ....theory.validation import float_array, log_inverse_delta, non_negative, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..small_worlds import OUTCOMES, PRIOR, compositions, count_probability
from ..time_uniform_worlds import posterior_passage, random_losses
from . import betting_interval
from .betting_worlds import WORLD, exponents, posteriors, rounding_half_ulps

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class BettingSetting:
    """Losses in [0, 1], shape (predictors, n), the posterior's weights (sum 1), KL(Q||P) in nats and ln(1/delta)."""

    losses: FloatArray
    posterior: FloatArray
    kl: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        losses = unit_interval("losses", float_array("losses", self.losses, ndim=2))
        posterior = non_negative("posterior", float_array("posterior", self.posterior, ndim=1))
        if not losses.size or len(losses) != len(posterior) or not abs(posterior.sum() - 1) <= 1e-9:
            raise InvalidInput("losses and posterior do not belong together.", "One row for each weight; sum 1.")
        object.__setattr__(self, "losses", np.ascontiguousarray(losses))
        object.__setattr__(self, "posterior", posterior)
        non_negative("kl", self.kl), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class BettingPrediction:
    """The bound on the true Gibbs risk, and ln kt(n)."""

    upper: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def one_slope() -> list[tuple[Any, Any]]:
    import sympy

    beta, f, g, u = sympy.symbols("beta f g u", positive=True)
    # two losses f, g: at an interior best bet b = -beta, sum (f-u)/T = 0; then sum 1/T = n, and the slope of psi is n beta
    t, s = 1 - beta * (f - u), 1 - beta * (g - u)
    stationary = (f - u) / t + (g - u) / s
    slope = sympy.diff(sympy.log(t) + sympy.log(s), u)
    at_end = sympy.log((1 - f) / (1 - u)) + sympy.log((1 - g) / (1 - u))  # b = -1/(1-u)
    return [
        (1 / t + 1 / s, 2 + beta * stationary),
        (slope, 2 * beta + beta**2 * stationary),
        (sympy.diff(at_end, u), 2 / (1 - u)),
    ]


def tangent_of_fixed_weight() -> list[tuple[Any, Any]]:
    import sympy

    b, f, u = sympy.symbols("b f u", positive=True)
    w, x = sympy.symbols("w x", positive=True)
    # with w held fixed, one loss: T' = -b T - (f-u) A C/(u(1-u)), A = w/u = 1 + b(1-u), C = (1-w)/(1-u) = 1 - bu
    factor = w * f / x + (1 - w) * (1 - f) / (1 - x)
    own = sympy.diff(factor, x).subs(w, u + b * u * (1 - u)).subs(x, u)
    room = u * (1 - u)
    claimed = -b * (1 + b * (f - u)) * room - (f - u) * (1 + b * (1 - u)) * (1 - b * u)
    return [(sympy.cancel(own * room), claimed)]


DERIVATION = (
    Uses(betting_interval.RESULT, "for each h, W_n(h) is a martingale of mean 1 that is not negative, and psi_n(h, r(h)) <= ln kt(n) + ln W_n(h)"),
    Axiom(FUBINI, "so is E_P W_n, since P does not depend on the data"),
    Axiom(VILLE, "with probability at least 1-delta, E_P W_n <= 1/delta for all n at once"),
    Uses(change_of_measure.RESULT, "then E_Q psi_n <= ln kt(n) + E_Q ln W_n <= K + ln(kt(n)/delta) for all n and Q"),
    Axiom(KKT, "psi_n is convex in u (pb.betting_ci), so the largest sum of rho_j u_j with sum of rho_j psi_j(u_j) <= B has one multiplier: psi_j'(u_j) is the same for all j"),
    Axiom(ENVELOPE, "the slope of psi is the partial derivative at the best bet"),
    Algebra("where all slopes are n beta every best bet is b = -beta, interior or at its end -1/(1-u)", one_slope, (("beta", 0.1, 0.9), ("u", 0.1, 0.9), ("f", 0.1, 0.9), ("g", 0.1, 0.9))),
    Algebra("the tangent with w fixed, which lies below psi wherever it is taken", tangent_of_fixed_weight, (("b", 0.1, 0.9), ("u", 0.1, 0.9), ("f", 0.1, 0.9))),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: BettingSetting) -> BettingPrediction:
    budget = anytime_budget(s.kl, s.losses.shape[1], s.log_inv_delta)
    return BettingPrediction(
        mean_upper(s.losses, np.ones(s.losses.shape[1]), s.posterior, budget), float(log_kt(s.losses.shape[1]))
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> BettingSetting:
    predictors, n = int(rng.integers(1, 5)), int(10 ** rng.uniform(0.3, 1.6))
    losses = np.stack([random_losses(rng, n) for _ in range(predictors)])
    level = float(10 ** rng.uniform(-1, 1.2))
    return BettingSetting(losses, rng.dirichlet(np.ones(predictors)), float(10 ** rng.uniform(-3, 1)), level)


def width(s: BettingSetting) -> float:
    return _half_ulps(s.losses.tobytes(), tuple(s.posterior.tolist()), s.kl, s.log_inv_delta) * HALF_ULP


@lru_cache(maxsize=100)
def _half_ulps(losses: bytes, posterior: tuple[float, ...], kl: float, log_inv_delta: float) -> float:
    rows = np.frombuffer(losses).reshape(len(posterior), -1)
    error = rounding_half_ulps(rows, posterior, kl + float(log_kt(rows.shape[1])) + log_inv_delta)
    return error / float(_ball(losses, posterior, kl, log_inv_delta).mid()) + 20


@lru_cache(maxsize=100)
def _ball(losses: bytes, posterior: tuple[float, ...], kl: float, log_inv_delta: float) -> Any:
    rows = np.frombuffer(losses).reshape(len(posterior), -1).tolist()
    return betting_pac_bayes_ball(rows, posterior, kl, log_inv_delta, 25)


def _exact(s: BettingSetting) -> Any:
    return _ball(s.losses.tobytes(), tuple(s.posterior.tolist()), s.kl, s.log_inv_delta)


def _certificate(s: BettingSetting, **changes: Any) -> float:
    given = {"losses": s.losses, "posterior": s.posterior, "kl": s.kl, "log_inv_delta": s.log_inv_delta, **changes}
    return betting_pac_bayes(**given).value


def _with(s: BettingSetting, log_constant: float) -> float:
    n = s.losses.shape[1]
    return mean_upper(s.losses, np.ones(n), s.posterior, s.kl + log_constant + s.log_inv_delta)


def each_alone(s: BettingSetting) -> float:
    """The whole budget spent on every predictor, instead of shared."""
    n = s.losses.shape[1]
    budget = anytime_budget(s.kl, n, s.log_inv_delta)
    return float(sum(w * mean_upper(row[None], np.ones(n), np.ones(1), budget) for w, row in zip(s.posterior, s.losses, strict=True)))  # fmt: skip


FORMULA = Formula(
    expression=_exact,
    shipped=_certificate,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=16,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


# --- checks: exact failure probabilities, and order ---------------------------------------------------------------


def compare_world(s: BettingSetting, p: BettingPrediction, rows: Rows, *, paid: bool = True) -> Coverage:
    """World C with losses divided by 3: the moment at n = T, and P(some n <= T and Q violate). T is the setting's n."""
    horizon = s.losses.shape[1]
    constant = (lambda n: float(log_kt(n))) if paid else (lambda n: 0.0)
    # the count vectors are recovered from the sums of the losses on four indicator "predictors"
    found = posterior_passage(lambda counts, n: exponents(counts), constant, np.eye(4), s.log_inv_delta, horizon)
    assert found.margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    counts = compositions(horizon, 4)
    moment = float(count_probability(counts, OUTCOMES) @ np.exp(logsumexp(np.log(PRIOR) + exponents(counts), axis=1)))
    return Coverage(math.exp(-s.log_inv_delta), moment, math.exp(constant(horizon)), found.probability)


def compare_world_free(s: BettingSetting, p: BettingPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, paid=False)


def compare_certificates(s: BettingSetting, p: BettingPrediction, rows: Rows, *, fair: bool = True) -> Coverage:
    """The shipped certificate at six posteriors for every sample of size n: does any of them miss the true risk?"""
    n = s.losses.shape[1]
    truth, broken = WORLD @ OUTCOMES, 0.0
    counts = compositions(n, 4)
    for row, probability in zip(counts, count_probability(counts, OUTCOMES), strict=True):
        losses = np.repeat(WORLD, row, axis=1)
        for q in posteriors(row):
            kl = float(rel_entr(q, PRIOR).sum())
            if fair:
                bound = betting_pac_bayes(losses=losses, posterior=q, kl=kl, log_inv_delta=s.log_inv_delta).value
            else:
                bound = mean_upper(losses[q > 0], np.full(n, 4.0), q[q > 0], s.log_inv_delta)
            if q @ truth > bound:
                broken += probability
                break
    return Coverage(math.exp(-s.log_inv_delta), failure=broken, note="six posteriors for each sample")


def compare_certificates_unfair(s: BettingSetting, p: BettingPrediction, rows: Rows) -> Coverage:
    return compare_certificates(s, p, rows, fair=False)


def compare_order(s: BettingSetting, p: BettingPrediction, rows: Rows, *, swap: bool = False) -> Enclosures:
    """At most kl_anytime, by balls."""
    with ctx.workdps(40):
        weights = [Fraction(x) for x in s.posterior.tolist()]
        sums = [sum(map(Fraction, row.tolist()), Fraction(0)) / row.size for row in s.losses]
        risk = sum((w * x for w, x in zip(weights, sums, strict=True)), Fraction(0)) / sum(weights, Fraction(0))
        outer = kl_anytime_ball(risk, s.kl, s.losses.shape[1], s.log_inv_delta, 25)[1]
        gap = outer - _exact(s)
        gap = -gap if swap else gap
    return Enclosures(np.array([float(gap.lower())]), np.array([float(gap.upper())]), width=1e-12)


def compare_swapped(s: BettingSetting, p: BettingPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, swap=True)


def _world_setting(n: int) -> BettingSetting:
    return BettingSetting(np.zeros((3, n)), PRIOR, 0.0, math.log(10))


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("ln kt(n) dropped", _mutant(lambda s: _with(s, 0.0))),
            Control("xi(n) for kt(n)", _mutant(lambda s: _with(s, float(log_maurer_xi(s.losses.shape[1]))))),
            Control("K dropped", _mutant(lambda s: _certificate(s, kl=0.0))),
            Control("KL in bits", _mutant(lambda s: _certificate(s, kl=s.kl / math.log(2)))),
            Control("delta halved", _mutant(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)))),
            Control("the whole budget for every predictor", _mutant(each_alone)),
            Control("uniform weights", _mutant(lambda s: _certificate(s, posterior=np.full(len(s.posterior), 1 / len(s.posterior))))),
        ),
    ),
    Check(
        "three predictors with real losses, every n: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(_world_setting(8),), full=(_world_setting(20),)),
        compare=compare_world,
        controls=(Control("1 in place of kt(n)", {"compare": compare_world_free}),),
    ),
    Check(
        "three predictors with real losses: the shipped certificate at adversarial posteriors",
        HighProbabilityBound(),
        settings=ByBudget(quick=(_world_setting(3),), full=(_world_setting(10),)),
        compare=compare_certificates,
        controls=(Control("K and kt(n) dropped, examples counted four times", {"compare": compare_certificates_unfair}),),
    ),
    Check(
        "never above the time-uniform kl bound",
        Inequality(),
        settings=ByBudget(quick=tuple(sample(generator(5, "pb.betting", i)) for i in range(6))),
        compare=compare_order,
        controls=(Control("never below it", {"compare": compare_swapped}),),
    ),
)  # fmt: skip

RESULT = Result(
    BETTING,
    predict=predict,
    example=BettingSetting(np.array([[0.0, 0.1, 0.0, 0.2], [0.5, 0.0, 0.0, 0.1]]), np.array([0.7, 0.3]), 0.2, 3.0),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, betting_interval.RESULT),
    derivation=DERIVATION,
)
