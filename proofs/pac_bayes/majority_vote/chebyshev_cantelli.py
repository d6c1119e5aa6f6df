"""Chebyshev-Cantelli: E(err - mu)^2/(1/2 - mu)^2 bounds the vote; the trinomial event does not know mu, so the best mu is free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy.special import logsumexp

from ....numerics.bounds.cbound import majority_vote_chebyshev_cantelli, pair_complexity
from ....numerics.bounds.pair_search import best_slope, largest_means_half
from ....numerics.bounds.seeger import complexity
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.certified.maurer import log_maurer_xi, maurer_xi
from ....numerics.certified.multinomial_kl import multinomial_kl_upper
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import JENSEN, LINEARITY, UNION
from ....theory.balls.pair_cbound import chebyshev_cantelli_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.majority_vote import MV_CC
from ...result import ByBudget, Check, Control, Result
from ..foundations import multinomial_kl
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from . import first_and_second_order as moments
from . import joint_cbound, oracle
from .joint_cbound import JointSetting

HALF_ULP = 2.0**-53
GRID = (-0.5, -0.1, 0.0, 0.05, 0.1, 0.2, 0.3)


@dataclass(frozen=True)
class CantelliSetting:
    """As for the joint C-bound, with the values of mu that are tried, and how their losses are bounded."""

    joint_error: float
    disagreement: float
    kl: float
    n: int
    log_inv_delta: float
    mu: tuple[float, ...]
    method: Literal["trinomial", "kl"] = "trinomial"

    def __post_init__(self) -> None:
        JointSetting(self.joint_error, self.disagreement, self.kl, self.n, self.log_inv_delta)
        if not self.mu or not all(mu < 0.5 for mu in self.mu) or self.method not in ("trinomial", "kl"):
            raise InvalidInput(
                f"mu is {self.mu}, method {self.method!r}.", "Each mu lies below 1/2; method is trinomial or kl."
            )


@dataclass(frozen=True)
class CantelliPrediction:
    """The bound on the risk of the vote, and the logarithm of the constant that its event pays, the number of values of mu included."""

    upper: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def three_values() -> list[tuple[Any, Any]]:
    import sympy

    mu, e, d = sympy.symbols("mu e d", real=True)
    s = 1 - e - d
    mean = mu**2 * s - mu * (1 - mu) * d + (1 - mu) ** 2 * e
    a = 1 / (1 - 2 * mu)
    square = (sympy.Rational(1, 2) - mu) ** 2
    return [
        (mean, e - 2 * mu * (e + d / 2) + mu**2),
        ((1 - mu) ** 2 / square, (1 + a) ** 2),
        (-mu * (1 - mu) / square, 1 - a**2),
        (mu**2 / square, (1 - a) ** 2),
    ]


DERIVATION = (
    Uses(oracle.ORACLE_RESULT, "R <= E(err - mu)^2/(1/2 - mu)^2 for every mu < 1/2"),
    Algebra("E(err - mu)^2 is the mean of mu^2, -mu(1-mu), (1-mu)^2 over (none, one errs, both err); divided by (1/2-mu)^2 these are the values at a = 1/(1-2mu)", three_values, (("mu", -1, 0.4),)),
    Uses(joint_cbound.RESULT, "its event: KL((dh,eh)||(d,e)) <= c for all rho at once"),
    Axiom(LINEARITY, "that event confines (d, e) and does not mention mu: on it the bound holds for all mu, chosen after the data or not"),
    Uses(multinomial_kl.RESULT, "the largest mean of the three values on that set"),
    Uses(joint_cbound.RESULT, "their minimum over mu is the joint C-bound"),
    Axiom(JENSEN, "method kl: for losses in [0,1] E e^{n kl} <= xi(n) (pb.xi), with the three values rescaled; one event for each mu"),
    Uses(moments.TANDEM_RESULT, "with that loss of pairs in place of the joint error"),
    Axiom(UNION, "G values fixed in advance: ln G more"),
)  # fmt: skip

# --- prediction: other kernels than the shipped function uses ------------------------------------------------------


def values(mu: float) -> np.ndarray:
    return np.array([(1 - mu) ** 2, -mu * (1 - mu), mu**2])


def predict(s: CantelliSetting) -> CantelliPrediction:
    u = np.array([s.joint_error, s.disagreement, 1 - s.joint_error - s.disagreement])
    level = s.log_inv_delta
    if s.method == "trinomial":
        c = pair_complexity(s.kl, s.n, level)
        found = [float(multinomial_kl_upper(u, values(mu), c)) / (0.5 - mu) ** 2 for mu in s.mu]
        return CantelliPrediction(min(found) * (1 + 8 * HALF_ULP), float(np.log(maurer_xi(s.n) + s.n)))
    paid = float(np.log(len(s.mu)))
    c = complexity(2 * s.kl, s.n, level + paid) * (1 + 4 * HALF_ULP)
    return CantelliPrediction(min(_rescaled(s, mu, c) for mu in s.mu), float(log_maurer_xi(s.n)) + paid)


def _rescaled(s: CantelliSetting, mu: float, c: float) -> float:
    f = [Fraction(x) for x in ((1 - Fraction(mu)) ** 2, -Fraction(mu) * (1 - Fraction(mu)), Fraction(mu) ** 2)]
    e, d = Fraction(s.joint_error), Fraction(s.disagreement)
    low, high = min(f), max(f)
    mean = (f[0] * e + f[1] * d + f[2] * (1 - e - d) - low) / (high - low)
    upper = Fraction(float(kl_upper(np.nextafter(float(mean), 1.0), c)))
    return float((low + (high - low) * upper) / (Fraction(1, 2) - Fraction(mu)) ** 2) * (1 + 4 * HALF_ULP)


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator, method: Any = "trinomial") -> CantelliSetting:
    s = joint_cbound.sample(rng)
    n = max(s.n, 30)
    candidates = [rng.uniform(-1, 0.45), 0.0, rng.uniform(0, 0.2), 0.1, -0.05]
    mu = tuple(float(x) for x in rng.choice(candidates, int(rng.integers(1, 4)), replace=False))
    return CantelliSetting(s.joint_error, s.disagreement, s.kl, n, s.log_inv_delta, mu, method)


def sample_kl(rng: np.random.Generator) -> CantelliSetting:
    return sample(rng, "kl")


def shipped(s: CantelliSetting, **changes: Any) -> float:
    given = {
        "joint_error": s.joint_error,
        "disagreement": s.disagreement,
        "kl": s.kl,
        "n": s.n,
        "log_inv_delta": s.log_inv_delta,
        "mu": s.mu,
        "method": s.method,
    }
    return majority_vote_chebyshev_cantelli(**{**given, **changes}).raw


def width(s: CantelliSetting) -> float:
    return _width(s)


@cache
def _width(s: CantelliSetting) -> float:
    """The mean is a sum of positive and negative parts: what is resolved is relative to their sizes, (1-mu)^2 e + |mu|(1-mu) d + mu^2 s and what
    the ball adds to them, which is no more than the value and the negative part together. The shipped dual: 40 half-ulps of that (its
    exponent's terms 14 each, c 24, rounding 12, once more for both kernels); rescaled kl: 40 on UP, 4 on the map back."""
    e, d = s.joint_error, s.disagreement
    allowed = []
    for mu in s.mu:
        f = values(mu)
        value = predict(replace(s, mu=(mu,))).upper * (0.5 - mu) ** 2
        size = float(np.abs(f) @ [e, d, 1 - e - d]) + abs(float(f.min())) + abs(value)
        allowed.append(100 * size / value)
    return max(allowed) * HALF_ULP


FORMULA = Formula(
    expression=lambda s: chebyshev_cantelli_ball(
        s.joint_error, s.disagreement, s.kl, s.n, s.log_inv_delta, s.mu, s.method, digits=35
    ),
    shipped=shipped,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=40,
)
RESCALED = replace(FORMULA, sample=sample_kl)


def _with_constant(s: CantelliSetting, constant: float, voters: float = 2.0, of: Any = values) -> float:
    u = np.array([s.joint_error, s.disagreement, 1 - s.joint_error - s.disagreement])
    c = (voters * s.kl + np.log(constant) + s.log_inv_delta) / s.n
    return min(float(multinomial_kl_upper(u, of(mu), c)) / (0.5 - mu) ** 2 for mu in s.mu)


SHARED = (
    ("KL in bits", lambda s: shipped(s, kl=s.kl / np.log(2))),
    ("K for 2K", lambda s: shipped(s, kl=s.kl / 2)),
    ("delta halved", lambda s: shipped(s, log_inv_delta=s.log_inv_delta + np.log(2))),
    ("2n for n", lambda s: shipped(s, n=2 * s.n)),
    ("mu moved by a thousandth", lambda s: shipped(s, mu=tuple(x - 1e-3 for x in s.mu))),
    ("(1/4 - mu)^2 in the denominator", lambda s: shipped(s) / 4),
    ("the first mu only", lambda s: shipped(s, mu=s.mu[:1])),
)
TRINOMIAL = (
    ("xi(n) for xi(n) + n", lambda s: _with_constant(s, float(maurer_xi(s.n)))),
    ("2n for xi(n) + n", lambda s: _with_constant(s, 2 * s.n)),
    (
        "mu(1-mu) with its sign turned",
        lambda s: _with_constant(s, float(maurer_xi(s.n) + s.n), of=lambda mu: np.abs(values(mu))),
    ),
    ("ln G paid without need", lambda s: shipped(s, log_inv_delta=s.log_inv_delta + float(np.log(7)))),
)
GRID_PAID = (
    ("ln G forgotten", lambda s: min(_rescaled(s, mu, complexity(2 * s.kl, s.n, s.log_inv_delta)) for mu in s.mu)),
    ("2 sqrt(n) for xi(n)", lambda s: shipped(s, constant="2sqrt")),
    ("G/delta twice", lambda s: shipped(s, log_inv_delta=s.log_inv_delta + float(np.log(len(s.mu))))),
)


def _mutants(claim: Formula, *more: tuple[str, Any]) -> tuple[Control, ...]:
    return tuple(Control(name, {"claim": replace(claim, shipped=function)}) for name, function in (*SHARED, *more))


# --- checks: the best mu is the joint C-bound; world A ------------------------------------------------------------


def compare_best(s: CantelliSetting, p: CantelliPrediction, rows: Rows, *, change: float = 0.0) -> Comparison:
    """Chebyshev-Cantelli at the mu of the maximiser, against the joint C-bound: two certificates of one event."""
    c = pair_complexity(s.kl, s.n, s.log_inv_delta)
    assert not largest_means_half(s.joint_error, s.disagreement, c)
    t, _ = best_slope(s.joint_error, s.disagreement, c)
    at_best = replace(s, mu=(t / (2 + 2 * t) + change,))
    other = JointSetting(s.joint_error, s.disagreement, s.kl, s.n, s.log_inv_delta)
    joint = joint_cbound.shipped(other)
    bound = (joint_cbound.width(other) + width(at_best)) * joint
    return Comparison(np.array([shipped(at_best)]), np.array([joint]), np.array([bound]), joint)


def compare_elsewhere(s: CantelliSetting, p: CantelliPrediction, rows: Rows) -> Comparison:
    return compare_best(s, p, rows, change=0.01)


def compare_grid(s: CantelliSetting, p: CantelliPrediction, rows: Rows) -> Coverage:
    """World A, method kl: n kl of the rescaled loss for each pair and mu; failure means that some mu exceeds its threshold."""
    counts = compositions(s.n, len(OUTCOMES))
    probability = count_probability(counts, OUTCOMES)
    prior = np.log(np.outer(PRIOR, PRIOR).ravel())
    failed, moment = np.zeros(len(counts), dtype=bool), 0.0
    for mu in s.mu:
        f = values(mu)
        kinds = np.array([LOSSES[i] + LOSSES[j] for i in range(3) for j in range(3)]).astype(int)
        loss = (f[2 - kinds] - f.min()) / (f.max() - f.min())
        q, p_ = counts @ loss.T / s.n, loss @ OUTCOMES
        phi = s.n * moments.binary_kl(q.clip(0, 1), np.broadcast_to(p_, q.shape))
        statistic = logsumexp(prior + phi, axis=1)
        failed |= statistic > p.log_constant + s.log_inv_delta
        moment += float(probability @ np.exp(statistic))
    return Coverage(
        float(np.exp(-s.log_inv_delta)), moment, float(np.exp(p.log_constant)), float(probability[failed].sum())
    )


WORLD_A = ByBudget(quick=(CantelliSetting(0.0, 0.0, 0.0, 12, float(np.log(10)), GRID, "kl"),))


def interior(index: int) -> CantelliSetting:
    rng = generator(11, "pb.mv_cc", index)
    first = float(rng.uniform(0.02, 0.3))
    second = first ** float(rng.uniform(1.1, 1.8))
    return CantelliSetting(
        second, 2 * (first - second), float(rng.uniform(0, 5)), int(10 ** rng.uniform(3, 6)), 3.0, (0.0,)
    )


RESULT = Result(
    MV_CC,
    predict=predict,
    example=CantelliSetting(0.04, 0.12, 3.0, 10_000, float(-np.log(0.05)), GRID),
    uses=(oracle.ORACLE_RESULT, joint_cbound.RESULT, multinomial_kl.RESULT, moments.TANDEM_RESULT),
    derivation=DERIVATION,
    checks=(
        Check("the shipped trinomial form, rounded upward", FORMULA, controls=_mutants(FORMULA, *TRINOMIAL)),
        Check("the shipped kl form on a paid list, rounded upward", RESCALED, controls=_mutants(RESCALED, *GRID_PAID)),
        Check(
            "at its best mu it is the joint C-bound",
            Agreement("rounding"),
            settings=ByBudget(quick=tuple(interior(i) for i in range(6))),
            compare=compare_best,
            controls=(Control("a hundredth beside the best mu", {"compare": compare_elsewhere}),),
        ),
        Check(
            "world A, seven values of mu: exact moments and failure probability",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=compare_grid,
            controls=(Control("the seven values not paid for", {"predict": lambda s: replace(predict(s), log_constant=float(log_maurer_xi(s.n)))}),),
        ),
    ),
)  # fmt: skip
RESULTS = (RESULT,)
