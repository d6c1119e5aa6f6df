"""The joint C-bound: the largest 1 - (1-2e-d)^2/(1-2d) over the trinomial kl ball is a minimum of dual values, one for each mu."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

from ....numerics.bounds.cbound import dual_upper, majority_vote_cbound_joint, pair_complexity
from ....numerics.bounds.pair_search import best_slope, largest_means_half, slopes
from ....numerics.certified.maurer import maurer_xi
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.pair_cbound import joint_cbound_ball
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.majority_vote import MV_CBOUND
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, nml
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from . import oracle, pair_steps

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class JointSetting:
    """Frequencies with which two voters drawn from the weights both err, and exactly one errs; KL(rho||prior) in nats, n, ln(1/delta)."""

    joint_error: float
    disagreement: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        e, d = unit_interval("joint_error", self.joint_error), unit_interval("disagreement", self.disagreement)
        if e + d > 1:
            raise InvalidInput("joint_error and disagreement sum to more than 1.", "They are disjoint outcomes.")
        non_negative("kl", self.kl), sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class JointPrediction:
    """The bound on the risk of the vote, and ln(xi(n) + n), the constant that it pays."""

    upper: float
    log_constant: float


DERIVATION = (*pair_steps.EVENT, *pair_steps.DUAL)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: JointSetting) -> JointPrediction:
    return JointPrediction(shipped(s), float(np.log(maurer_xi(s.n) + s.n)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> JointSetting:
    first = float(rng.choice([10 ** rng.uniform(-4, -0.31), rng.uniform(0.01, 0.49)]))
    second = first ** float(rng.uniform(1, 1.9))
    if rng.random() < 0.2:
        first, second = float(rng.choice([first, second, 0.0])), 0.0
        first = min(first, 1e-4)
    kl = float(rng.choice([0.0, 10 ** rng.uniform(-2, 2)]))
    n = int(10 ** rng.uniform(1, 6.5)) if second else int(10 ** rng.uniform(1, 4))
    return JointSetting(second, min(2 * (first - second), 1 - second), kl, n, float(10 ** rng.uniform(-1, 2)))


def shipped(s: JointSetting, **changes: Any) -> float:
    given = {
        "joint_error": s.joint_error,
        "disagreement": s.disagreement,
        "kl": s.kl,
        "n": s.n,
        "log_inv_delta": s.log_inv_delta,
    }
    return majority_vote_cbound_joint(**{**given, **changes}).raw


def width(s: JointSetting) -> float:
    return _width(s)


@cache
def _width(s: JointSetting) -> float:
    """The value is b(1 - e^-y), y = c - sum_i u_i ln(1 - f_i/b). Each term is within 14 half-ulps of its size, c within 24, y costs 2, and
    b, expm1 and the product 12; the value's elasticity in y is at most 1. The search's error is squared."""
    e, d = s.joint_error, s.disagreement
    c = pair_complexity(s.kl, s.n, s.log_inv_delta)
    if largest_means_half(e, d, c):
        return 2 * HALF_ULP
    t, excess = best_slope(e, d, c)
    f = slopes(t)
    b = f[0] + excess
    terms = [x * abs(np.log1p(-y / b) if y < b else 0.0) for x, y in zip((e, d, 1 - e - d), f, strict=True) if x]
    y = c - sum(x * np.log1p(-v / b) for x, v in zip((e, d, 1 - e - d), f, strict=True) if x)
    return float(((14 * sum(terms) + 24 * c) / y + 16) * HALF_ULP)


FORMULA = Formula(
    expression=lambda s: joint_cbound_ball(s.joint_error, s.disagreement, s.kl, s.n, s.log_inv_delta, 35),
    shipped=shipped,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=40,
)


def at_complexity(s: JointSetting, c: float, tilt: float = 0.0, values: Any = None) -> float:
    """The dual value at another complexity, with t moved by `tilt`, or with other values of the outcomes."""
    e, d = s.joint_error, s.disagreement
    if largest_means_half(e, d, c):
        return 1.0
    t, excess = best_slope(e, d, c)
    x = Fraction(t + tilt)
    f = ((2 + x) ** 2, -x * (2 + x), x * x) if values is None else values(x)
    return dual_upper(Fraction(e), Fraction(d), c, f, excess)


def _c(s: JointSetting, constant: float, voters: float = 2.0) -> float:
    return (voters * s.kl + np.log(constant) + s.log_inv_delta) / s.n


def tangent_at_the_sample(s: JointSetting) -> float:
    """C at the empirical frequencies: no ball at all."""
    return 1 - (1 - 2 * s.joint_error - s.disagreement) ** 2 / (1 - 2 * s.disagreement)


MUTANTS = (
    ("xi(n) for xi(n) + n", lambda s: at_complexity(s, _c(s, float(maurer_xi(s.n))))),
    ("2n for xi(n) + n", lambda s: at_complexity(s, _c(s, 2 * s.n))),
    ("(n+1)(n+2) for xi(n) + n", lambda s: at_complexity(s, _c(s, (s.n + 1) * (s.n + 2)))),
    ("K for 2K", lambda s: at_complexity(s, _c(s, float(maurer_xi(s.n)) + s.n, 1.0))),
    ("KL in bits", lambda s: shipped(s, kl=s.kl / np.log(2))),
    ("delta halved", lambda s: shipped(s, log_inv_delta=s.log_inv_delta + np.log(2))),
    ("2n examples", lambda s: shipped(s, n=2 * s.n)),
    ("n - 1 for n", lambda s: at_complexity(s, pair_complexity(s.kl, s.n, s.log_inv_delta) * s.n / max(s.n - 1, 0.5))),
    ("another mu than the best", lambda s: at_complexity(s, pair_complexity(s.kl, s.n, s.log_inv_delta), 0.05)),
    ("the value of (one errs) with its sign turned", lambda s: at_complexity(s, pair_complexity(s.kl, s.n, s.log_inv_delta), values=lambda x: ((2 + x) ** 2, x * (2 + x), x * x))),
    ("d/2 for d", lambda s: shipped(s, disagreement=s.disagreement / 2)),
    ("the empirical C-bound", tangent_at_the_sample),
)  # fmt: skip

# --- checks: no law of the ball does better; world A --------------------------------------------------------------


def compare_ball(s: JointSetting, p: JointPrediction, rows: Rows, *, stretch: float = 1.0) -> Enclosures:
    """Bound minus the C-bound of laws just inside the kl ball, in all directions from the empirical law (1 where L >= 1/2)."""
    u = np.array([s.joint_error, s.disagreement, 1 - s.joint_error - s.disagreement])
    c = stretch * _c(s, float(maurer_xi(s.n)) + s.n)
    angle = np.linspace(0, 2 * np.pi, 721)
    direction = np.outer(np.cos(angle), [1, -1, 0]) + np.outer(np.sin(angle), [1, 1, -2]) / np.sqrt(3)
    low, high = np.zeros(angle.size), np.ones(angle.size)
    for _ in range(60):
        middle = (low + high) / 2
        p_ = u + middle[:, None] * direction
        inside = (p_ > 0).all(axis=1) & (rel_entr(u, np.maximum(p_, 1e-300)).sum(axis=1) <= c * (1 - 1e-9))
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    e, d, none = (u + low[:, None] * direction).T
    possible = e >= (e + d / 2) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(2 * e + d >= 1, 1.0, 1 - (none - e) ** 2 / (1 - 2 * d))
    slack = p.upper - found[possible]
    return Enclosures(slack, slack)


def compare_beyond(s: JointSetting, p: JointPrediction, rows: Rows) -> Enclosures:
    """A ball larger by a thousandth: the bound is no longer above it, so it is tight."""
    return compare_ball(s, p, rows, stretch=1.001)


@cache
def pair_world(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World A: probabilities of the samples, n KL of the three outcomes for the 9 pairs, ln prior of the pairs."""
    counts, phi, prior = compositions(n, len(OUTCOMES)), [], []
    for i, j in product(range(len(PRIOR)), repeat=2):
        total = LOSSES[i] + LOSSES[j]
        outcomes = np.array([total == k for k in (2, 1, 0)], dtype=float)
        phi.append(n * rel_entr(counts @ outcomes.T / n, outcomes @ OUTCOMES).sum(axis=1))
        prior.append(np.log(PRIOR[i] * PRIOR[j]))
    return count_probability(counts, OUTCOMES), np.array(phi).T, np.array(prior)


def compare_world(s: JointSetting, p: JointPrediction, rows: Rows) -> Coverage:
    probability, phi, prior = pair_world(s.n)
    statistic, threshold = logsumexp(prior + phi, axis=1), p.log_constant + s.log_inv_delta
    assert np.abs(statistic - threshold).min() > 1e-9, "a sample lies on the threshold"
    failure = float(probability[statistic > threshold].sum())
    return Coverage(
        float(np.exp(-s.log_inv_delta)), float(probability @ np.exp(statistic)), float(np.exp(p.log_constant)), failure
    )


def compare_worst_pair(s: JointSetting, p: JointPrediction, rows: Rows) -> Coverage:
    """The one pair of world A with three possible outcomes as the prior: there the constant is attained."""
    probability, phi, _ = pair_world(s.n)
    return Coverage(
        float(np.exp(-s.log_inv_delta)), float(probability @ np.exp(phi[:, 5])), float(np.exp(p.log_constant))
    )


WORLD_A = ByBudget(quick=(JointSetting(0.0, 0.0, 0.0, 12, float(np.log(10))),))
BALLS = ByBudget(quick=tuple(sample(generator(10, "pb.mv_cbound", i)) for i in range(30)))
TIGHT = ByBudget(quick=(JointSetting(0.04, 0.12, 3.0, 10**4, 3.0), JointSetting(0.1, 0.2, 1.0, 10**3, 3.0)))


def _constant(of: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), log_constant=float(np.log(of(s.n))))}


RESULT = Result(
    MV_CBOUND,
    predict=predict,
    example=JointSetting(joint_error=0.04, disagreement=0.12, kl=3.0, n=10_000, log_inv_delta=float(-np.log(0.05))),
    uses=(change_of_measure.RESULT, nml.RESULT, oracle.ORDER_RESULT),
    derivation=DERIVATION,
    checks=(
        Check(
            "the shipped certificate is the maximum, rounded upward",
            FORMULA,
            controls=tuple(Control(name, {"claim": replace(FORMULA, shipped=function)}) for name, function in MUTANTS),
        ),
        Check(
            "no law of the kl ball has a larger C-bound",
            Inequality(),
            settings=BALLS,
            compare=compare_ball,
            controls=(
                Control("the empirical C-bound", {"predict": lambda s: replace(predict(s), upper=tangent_at_the_sample(s))}),
                Control("a ball larger by a thousandth", {"settings": TIGHT, "compare": compare_beyond}),
            ),
        ),
        Check(
            "world A, 9 pairs of three outcomes: exact moment and failure probability",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=compare_world,
            controls=(Control("1 in place of xi(n) + n", _constant(lambda n: 1.0)), Control("xi(n) in place of xi(n) + n", _constant(lambda n: maurer_xi(n)))),
        ),
        Check(
            "world A, one pair: the moment is the constant",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=compare_worst_pair,
            controls=(Control("2 xi(n) in place of xi(n) + n", _constant(lambda n: 2 * maurer_xi(n))), Control("n in place of xi(n) + n", _constant(lambda n: n))),
        ),
    ),
)  # fmt: skip
RESULTS = (RESULT,)
