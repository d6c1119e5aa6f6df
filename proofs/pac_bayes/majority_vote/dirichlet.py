"""Weights drawn from a Dirichlet law: the vote's risk on an example is I_{1/2}(A, B), and PAC-Bayes-kl applies to it as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import comb, factorial
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray
from scipy.special import logsumexp

from ....numerics.bounds.seeger import complexity
from ....numerics.bounds.stochastic_vote import stochastic_majority_vote, stochastic_vote_risk
from ....numerics.certified.divergences import kl_dirichlet
from ....numerics.certified.half_beta import half_beta_lower, half_beta_upper
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import BETA_MOMENTS, LINEARITY
from ....theory.balls.divergences_kl import gamma_divergence_ball
from ....theory.balls.stochastic_vote import half_beta_ball, stochastic_vote_ball, vote_risk_ball
from ....theory.derivation import Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.majority_vote import MV_DIRICHLET
from ....theory.validation import finite, log_inverse_delta
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_families
from ..kl_bounds import seeger
from ..small_worlds import LOSSES, OUTCOMES, compositions, count_probability
from . import oracle
from .first_and_second_order import binary_kl

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class DirichletSetting:
    """Which voter errs on which example (voters, examples), concentrations of posterior and prior, ln(1/delta)."""

    wrong: NDArray[np.float64]
    concentrations: NDArray[np.float64]
    prior: NDArray[np.float64]
    log_inv_delta: float

    def __post_init__(self) -> None:
        wrong, a = finite("wrong", self.wrong, ndim=2), finite("concentrations", self.concentrations, ndim=1)
        b = finite("prior", self.prior, ndim=1)
        if wrong.shape[0] != a.size or a.shape != b.shape or not wrong.size:
            raise InvalidInput(f"Shapes {wrong.shape}, {a.shape}, {b.shape} do not fit.", "One row for each voter.")
        if not np.isin(wrong, (0, 1)).all() or min(a.min(), b.min()) <= 0:
            raise InvalidInput("wrong is not 0 or 1, or a concentration not positive.", "Errors count as 1.")
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class DirichletPrediction:
    """Mean empirical risk of the vote with random weights, KL(Dir(a)||Dir(b)), the bound on the true one, and ln xi(n)."""

    risk: float
    kl: float
    upper: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def beta_half(a: int, b: int) -> Fraction:
    """I_{1/2}(a, b) for whole a and b: the integral of t^(a-1) (1-t)^(b-1), expanded, over its value on [0, 1]."""
    integral = sum((Fraction((-1) ** k * comb(b - 1, k), (a + k) * 2 ** (a + k)) for k in range(b)), Fraction(0))
    return integral * Fraction(factorial(a + b - 1), factorial(a - 1) * factorial(b - 1))


def contiguous() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for a in range(1, 13):
        for b in range(1, 13):
            step = Fraction(factorial(a + b - 1), a * factorial(a - 1) * factorial(b - 1) * 2 ** (a + b))
            yield f"a={a}, b={b}", beta_half(a, b) - beta_half(a + 1, b), "==", step
            yield f"symmetry at a={a}, b={b}", beta_half(a, b) + beta_half(b, a), "==", Fraction(1)


def binomial_tail() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for a in range(1, 13):
        for b in range(1, 13):
            tail = Fraction(sum(comb(a + b - 1, k) for k in range(a, a + b)), 2 ** (a + b - 1))
            yield f"a={a}, b={b}", beta_half(a, b), "==", tail


DERIVATION = (
    Axiom(BETA_MOMENTS, "Dirichlet weights are independent gamma variables divided by their sum, so the weight of the voters that are right is Beta(A, B)"),
    Uses(oracle.ORACLE_RESULT, "the vote errs only where that weight is at most 1/2; with two classes exactly there (equality has probability 0)"),
    Enumeration("P(Beta(a,b) < 1/2), integrated term by term, is a binomial tail (a, b <= 12)", binomial_tail),
    Enumeration("the series that is computed: I(a,b) - I(a+1,b) = 2^-(a+b) Gamma(a+b)/(Gamma(a+1) Gamma(b)), and I(a,b) + I(b,a) = 1", contiguous),
    Axiom(LINEARITY, "the mean over examples is the empirical Gibbs risk of the vote as a random predictor"),
    Uses(kl_families.RESULT, "KL(Dir(a)||Dir(b)); the vote is a function of the weights"),
    Uses(seeger.RESULT, "with the 0-1 loss of the vote"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: DirichletSetting) -> DirichletPrediction:
    risk, kl, n = (
        stochastic_vote_risk(s.wrong, s.concentrations),
        kl_dirichlet(s.concentrations, s.prior),
        s.wrong.shape[1],
    )
    return DirichletPrediction(
        risk, kl, float(kl_upper(risk, complexity(kl, n, s.log_inv_delta))), float(log_maurer_xi(n))
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> DirichletSetting:
    voters, examples = int(rng.integers(2, 6)), int(rng.integers(1, 7))
    a = 10 ** rng.uniform(-2, 2, voters) * 10 ** rng.uniform(0, 1)
    wrong = (rng.random((voters, examples)) < rng.choice([0.1, 0.4])).astype(float)
    return DirichletSetting(wrong, a, 10 ** rng.uniform(-1, 1, voters), float(10 ** rng.uniform(-1, 2)))


def shipped(s: DirichletSetting, **changes: Any) -> tuple[float, float]:
    risk = changes.pop("risk", None)
    risk = stochastic_vote_risk(s.wrong, changes.get("concentrations", s.concentrations)) if risk is None else risk
    given = {
        "risk": risk,
        "concentrations": s.concentrations,
        "prior": s.prior,
        "n": s.wrong.shape[1],
        "log_inv_delta": s.log_inv_delta,
        **changes,
    }
    return risk, stochastic_majority_vote(**given).raw


def tail_width(first: float, second: float) -> float:
    """Relative error that `half_beta` derives for either end, doubled there and once more for both ends, in half-ulps: 12 of the sizes in
    ln g, three remainders, 6 for each of the at most 60 + 13 sqrt(p) terms."""
    p, q = max(first, second), min(first, second)
    size = (
        p * np.log1p((p - q) / (p + q))
        - q * np.log(2 * q / (p + q))
        + abs(np.log(q)) * 2
        + abs(np.log(p / (p + q)))
        + 6
    )
    return float(4 * (12 * size + 3 * (450 + 9 * abs(np.log(q)) + 64 * 16) + 6 * (60 + 13 * np.sqrt(p)) + 8) + 20)


def _series_width(s: DirichletSetting) -> float:
    """For the worst example (I is 0 or 1 where all voters agree)."""
    sums = [(float(s.concentrations[~x].sum()), float(s.concentrations[x].sum())) for x in s.wrong.T > 0]
    return max((tail_width(*pair) for pair in sums if min(pair)), default=20.0)


def width(s: DirichletSetting) -> tuple[float, float]:
    """Risk: `_series_width`, and the rounding of A and B (an ulp each, which moves ln I by no more than the sizes above). UP is no steeper than
    proportional in the risk and in c; KL is within its slack, 56 half-ulps of the sums it is the difference of, twice."""
    risk = 2 * _series_width(s) * HALF_ULP
    with ctx.workdps(20):
        parts = float(gamma_divergence_ball(s.concentrations.tolist(), s.prior.tolist()).mid())
    n = s.wrong.shape[1]
    return risk, float(risk + (2 * 56 * parts / (s.log_inv_delta + log_maurer_xi(n)) + 36) * HALF_ULP)


def expression(s: DirichletSetting) -> list[arb]:
    wrong = [[int(x) for x in row] for row in s.wrong]
    a, b = [float(x) for x in s.concentrations], [float(x) for x in s.prior]
    risk = vote_risk_ball(wrong, a, 35)
    return [risk, stochastic_vote_ball(risk, a, b, s.wrong.shape[1], s.log_inv_delta, 30)]


FORMULA = Formula(
    expression=expression,
    shipped=shipped,
    read=lambda p: (p.risk, p.upper),
    sample=sample,
    width=width,
    side="upper",
    count=20,
)

MUTANTS = (
    ("right and wrong exchanged", lambda s: shipped(s, risk=stochastic_vote_risk(1 - s.wrong, s.concentrations))),
    ("the vote of the mean weights", lambda s: shipped(s, risk=float((s.concentrations @ s.wrong >= s.concentrations.sum() / 2).mean()))),
    ("the Gibbs risk of one voter", lambda s: shipped(s, risk=float(np.minimum(1, s.concentrations @ s.wrong / s.concentrations.sum()).mean()))),
    ("the prior's risk", lambda s: shipped(s, risk=stochastic_vote_risk(s.wrong, s.prior))),
    ("KL forgotten", lambda s: shipped(s, prior=s.concentrations)),
    ("KL(prior||posterior)", lambda s: (shipped(s)[0], shipped(s, risk=shipped(s)[0], concentrations=s.prior, prior=s.concentrations)[1])),
    ("KL of the mean weights", lambda s: (shipped(s)[0], _with(s, _mean_kl(s)))),
    ("2K for K", lambda s: (shipped(s)[0], _with(s, 2 * kl_dirichlet(s.concentrations, s.prior)))),
    ("delta halved", lambda s: shipped(s, log_inv_delta=s.log_inv_delta + np.log(2))),
    ("2n for n", lambda s: shipped(s, n=2 * s.wrong.shape[1])),
)  # fmt: skip


def _with(s: DirichletSetting, kl: float) -> float:
    return float(
        kl_upper(stochastic_vote_risk(s.wrong, s.concentrations), complexity(kl, s.wrong.shape[1], s.log_inv_delta))
    )


def _mean_kl(s: DirichletSetting) -> float:
    q, p = s.concentrations / s.concentrations.sum(), s.prior / s.prior.sum()
    return float((q * np.log(q / p)).sum())


# --- checks: binomial tails; the votes of world A -----------------------------------------------------------------


def compare_tails(
    s: DirichletSetting, p: DirichletPrediction, rows: Rows, *, swap: bool = False, shift: int = 0
) -> Comparison:
    """I_{1/2}(a, b) for whole a, b from 1 to 30 against the binomial tail, in integers."""
    grid = [(a, b) for a in range(1, 31) for b in range(1, 31)]
    exact = np.array(
        [float(Fraction(sum(comb(a + b - 1, k) for k in range(a, a + b)), 2 ** (a + b - 1))) for a, b in grid]
    )
    a, b = np.array(grid, dtype=float).T
    first, second = (b, a) if swap else (a + shift, b)
    upper, lower = half_beta_upper(first, second), half_beta_lower(first, second)
    bound = np.array([tail_width(*pair) for pair in grid]) * HALF_ULP * exact
    return Comparison((upper + lower) / 2, exact, bound, exact)


def compare_swapped(s: DirichletSetting, p: DirichletPrediction, rows: Rows) -> Comparison:
    return compare_tails(s, p, rows, swap=True)


def compare_shifted(s: DirichletSetting, p: DirichletPrediction, rows: Rows) -> Comparison:
    return compare_tails(s, p, rows, shift=1)


@cache
def _votes(prior: tuple[float, ...], n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World A's three voters: either one has more than half of the weight, or any two have. Sample probabilities, n kl, ln prior."""
    alone = np.array([1 - float(half_beta_ball(x, sum(prior) - x, 20).mid()) for x in prior])
    losses = np.vstack([LOSSES, LOSSES.sum(axis=0) >= 2])
    counts = compositions(n, len(OUTCOMES))
    phi = n * binary_kl(counts @ losses.T / n, np.broadcast_to(losses @ OUTCOMES, (len(counts), 4)))
    return count_probability(counts, OUTCOMES), phi, np.log(np.append(alone, 1 - alone.sum()))


def compare_votes(s: DirichletSetting, p: DirichletPrediction, rows: Rows) -> Coverage:
    probability, phi, prior = _votes(tuple(float(x) for x in s.prior), s.wrong.shape[1])
    statistic, threshold = logsumexp(prior + phi, axis=1), p.log_constant + s.log_inv_delta
    assert np.abs(statistic - threshold).min() > 1e-9, "a sample lies on the threshold"
    failure, moment = float(probability[statistic > threshold].sum()), float(probability @ np.exp(statistic))
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, float(np.exp(p.log_constant)), failure)


def _world_setting(prior: tuple[float, ...]) -> DirichletSetting:
    return DirichletSetting(np.zeros((3, 12)), np.ones(3), np.array(prior), float(np.log(10)))


WORLD_A = ByBudget(quick=(_world_setting((1.0, 1.0, 1.0)), _world_setting((0.5, 2.0, 1.0))))
EXAMPLE = DirichletSetting(
    np.array([[0.0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]]), np.array([6.0, 2, 1]), np.ones(3), float(np.log(10))
)

RESULT = Result(
    MV_DIRICHLET,
    predict=predict,
    example=EXAMPLE,
    uses=(oracle.ORACLE_RESULT, kl_families.RESULT, seeger.RESULT),
    derivation=DERIVATION,
    checks=(
        Check(
            "the shipped risk and certificate, rounded upward",
            FORMULA,
            controls=tuple(Control(name, {"claim": replace(FORMULA, shipped=function)}) for name, function in MUTANTS),
        ),
        Check(
            "900 binomial tails",
            Agreement("rounding"),
            settings=ByBudget(quick=(EXAMPLE,)),
            compare=compare_tails,
            controls=(Control("I(b, a)", {"compare": compare_swapped}), Control("I(a + 1, b)", {"compare": compare_shifted})),
        ),
        Check(
            "world A: exact moment and failure probability of the vote",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=compare_votes,
            controls=(Control("1 in place of xi(n)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),),
        ),
    ),
)  # fmt: skip
RESULTS = (RESULT,)
