"""2 UP(Lh, (K + ln(xi/delta))/n) and 4 UP(L2h, (2K + ln(xi/delta))/n2): the vote through one voter, and through two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

from ....numerics.bounds.majority_vote import majority_vote_first_order, majority_vote_tandem
from ....numerics.bounds.seeger import complexity
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE, FUBINI, JENSEN, MARKOV
from ....theory.balls.majority_vote import first_order_ball, tandem_ball
from ....theory.derivation import Algebra, Axiom, Step, Uses
from ....theory.statement import Statement
from ....theory.statements.pac_bayes.majority_vote import MV_FO, MV_TANDEM
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, kl_inverse, maurer
from ..kl_bounds import seeger
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from . import oracle
from .own_examples import OWN_EXAMPLES

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class MomentSetting:
    """Empirical Gibbs risk (or tandem loss) in [0, 1], KL(rho||prior) of the weights in nats, number of examples, ln(1/delta)."""

    rate: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("rate", self.rate), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class MomentPrediction:
    """The bound on the risk of the vote (it may exceed 1), and ln xi(n), the constant that it pays."""

    upper: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def divergence_of_pairs() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q1:3", positive=True), sympy.symbols("p1:3", positive=True)
    pairs = sum(
        (q[i] * q[j] * (sympy.log(q[i] / p[i]) + sympy.log(q[j] / p[j])) for i in range(2) for j in range(2)),
        start=sympy.Integer(0),
    )
    single = sum((q[i] * sympy.log(q[i] / p[i]) for i in range(2)), start=sympy.Integer(0))
    return [(pairs, 2 * (q[0] + q[1]) * single)]


FIRST_STEPS: tuple[Step, ...] = (
    Uses(
        seeger.RESULT, "with the 0-1 loss of the voters: L <= UP(Lh, (K + ln(xi(n)/delta))/n) for all weights at once"
    ),
    *OWN_EXAMPLES,
    Uses(oracle.ORACLE_RESULT, "R <= 2L"),
)

TANDEM_STEPS: tuple[Step, ...] = (
    Axiom(CHAIN_RULE, "two voters drawn from rho against two drawn from the prior"),
    Algebra("KL(rho x rho||pi x pi) = 2K (two voters; weights that sum to 1)", divergence_of_pairs),
    Uses(
        change_of_measure.RESULT,
        "on pairs, f(h,h') = n kl(frequency of joint errors||its probability): E f <= 2K + ln E_{pi x pi} e^f",
    ),
    Uses(maurer.RESULT, "the product of two 0-1 losses is a 0-1 loss: E_S e^f <= xi(n) for each pair"),
    Axiom(FUBINI, "so E_S E_{pi x pi} e^f <= xi(n)"),
    Axiom(MARKOV, "so E f <= 2K + ln(xi(n)/delta) for all rho at once, with probability at least 1-delta"),
    Axiom(JENSEN, "kl is jointly convex (pb.kl): n kl(L2h||L2) <= E f"),
    *OWN_EXAMPLES,
    Uses(kl_inverse.RESULT, "L2 <= UP(L2h, (2K + ln(xi(n)/delta))/n)"),
    Uses(oracle.ORACLE_RESULT, "R <= 4 L2"),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict_first(s: MomentSetting) -> MomentPrediction:
    upper = 2 * float(kl_upper(s.rate, complexity(s.kl, s.n, s.log_inv_delta)))
    return MomentPrediction(upper, float(log_maurer_xi(s.n)))


def predict_tandem(s: MomentSetting) -> MomentPrediction:
    upper = 4 * float(kl_upper(s.rate, complexity(2 * s.kl, s.n, s.log_inv_delta)))
    return MomentPrediction(upper, float(log_maurer_xi(s.n)))


# --- checks: the formulas -----------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> MomentSetting:
    return MomentSetting(
        rate=float(rng.choice([0.0, rng.uniform(0, 0.5), 10 ** rng.uniform(-6, -1), 1.0])),
        kl=float(rng.choice([0.0, 10 ** rng.uniform(-3, 5)])),
        n=int(10 ** rng.uniform(0, 7)),
        log_inv_delta=float(10 ** rng.uniform(-1, 2.8)),
    )


def shipped_first(s: MomentSetting, **changes: Any) -> float:
    given = {"risk": s.rate, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}
    return majority_vote_first_order(**given).raw


def shipped_tandem(s: MomentSetting, **changes: Any) -> float:
    given = {"tandem": s.rate, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}
    return majority_vote_tandem(**given).raw


# c is rounded up by at most 24 half-ulps (pb.kl) and UP by 12; its relative change is no larger than that of c; doubling is exact
WIDTH = (24 + 12) * HALF_ULP

FIRST = Formula(
    expression=lambda s: first_order_ball(s.rate, s.kl, s.n, s.log_inv_delta),
    shipped=shipped_first,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: WIDTH,
    side="upper",
    count=120,
)
TANDEM = replace(FIRST, expression=lambda s: tandem_ball(s.rate, s.kl, s.n, s.log_inv_delta), shipped=shipped_tandem)


def _mutants(claim: Formula, shipped: Callable[..., float], factor: float) -> tuple[Control, ...]:
    def mutant(function: Any) -> dict[str, Any]:
        return {"claim": replace(claim, shipped=function)}

    def inverse(s: MomentSetting, c: float) -> float:
        return factor * float(kl_upper(s.rate, c))

    voters = factor / 2
    return (
        Control("half of the factor", mutant(lambda s: shipped(s) / 2)),
        Control("K half of what it is (K for 2K in the tandem bound)", mutant(lambda s: shipped(s, kl=s.kl / 2))),
        Control("2K for K, 4K for 2K", mutant(lambda s: shipped(s, kl=s.kl * 2))),
        Control("KL in bits", mutant(lambda s: shipped(s, kl=s.kl / np.log(2)))),
        Control("ln xi(n) dropped", mutant(lambda s: inverse(s, (voters * s.kl + s.log_inv_delta) / s.n))),
        Control("2 sqrt(n) for xi(n)", mutant(lambda s: shipped(s, constant="2sqrt"))),
        Control("delta halved", mutant(lambda s: shipped(s, log_inv_delta=s.log_inv_delta + np.log(2)))),
        Control("2 n for n", mutant(lambda s: inverse(s, complexity(voters * s.kl, s.n, s.log_inv_delta) / 2))),
        Control("n - 1 for n", mutant(lambda s: inverse(s, complexity(voters * s.kl, s.n, s.log_inv_delta) * s.n / max(s.n - 1, 0.5)))),
        Control("Pinsker for kl", mutant(lambda s: factor * (s.rate + np.sqrt(complexity(voters * s.kl, s.n, s.log_inv_delta) / 2)))),
    )  # fmt: skip


# --- checks: the pairs of world A, exactly ------------------------------------------------------------------------


def binary_kl(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    return rel_entr(q, p) + rel_entr(1 - q, 1 - p)


def pair_exponents(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of all samples, n kl(frequency of joint errors||its probability) for the 9 pairs (0 where that is 0), ln prior."""
    counts = compositions(n, len(OUTCOMES))
    pairs = list(product(range(len(PRIOR)), repeat=2))
    loss = np.array([LOSSES[i] * LOSSES[j] for i, j in pairs])
    q, p = counts @ loss.T / n, np.broadcast_to(loss @ OUTCOMES, (len(counts), len(pairs)))
    prior = np.log([PRIOR[i] * PRIOR[j] for i, j in pairs])
    return count_probability(counts, OUTCOMES), n * binary_kl(q, p), prior


def compare_pairs(s: MomentSetting, p: MomentPrediction, rows: Rows, *, weight: float = 1.0) -> Coverage:
    probability, phi, prior = pair_exponents(s.n)
    statistic = logsumexp(prior + weight * phi, axis=1)
    threshold = p.log_constant + s.log_inv_delta
    assert np.abs(statistic - threshold).min() > 1e-9, "a sample lies on the threshold"
    failure = float(probability[statistic > threshold].sum())
    moment = float(probability @ np.exp(statistic))
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, float(np.exp(p.log_constant)), failure)


def compare_counted_twice(s: MomentSetting, p: MomentPrediction, rows: Rows) -> Coverage:
    """Two voters of one example taken for two examples: 2n in place of n."""
    return compare_pairs(s, p, rows, weight=2.0)


def compare_pair_moment(s: MomentSetting, p: MomentPrediction, rows: Rows) -> Comparison:
    """The moment is known: pairs that never err together (half of the prior's) contribute 1, the others xi(n) each."""
    probability, phi, prior = pair_exponents(s.n)
    moment = float(probability @ np.exp(logsumexp(prior + phi, axis=1)))
    # a sum of positive terms; each carries n logarithms' worth of rounding: n kl is within some 8 n half-ulps
    bound = np.array([(16 * s.n + 500) * HALF_ULP * moment])
    return Comparison(np.array([moment]), np.array([(1 + np.exp(p.log_constant)) / 2]), bound, moment)


WORLD_A = ByBudget(quick=(MomentSetting(0.0, 0.0, 12, float(np.log(10))),))


def _constant(of: Callable[[MomentSetting], float]) -> dict[str, Any]:
    return {"predict": lambda s: MomentPrediction(predict_tandem(s).upper, of(s))}


def _result(
    statement: Statement,
    predict: Any,
    claim: Formula,
    shipped: Any,
    factor: float,
    steps: Any,
    uses: Any,
    more: tuple[Check, ...],
) -> Result:
    formula = Check(
        "the shipped certificate is the last step, rounded upward", claim, controls=_mutants(claim, shipped, factor)
    )
    return Result(
        statement,
        predict=predict,
        example=MomentSetting(rate=0.06, kl=3.0, n=2000, log_inv_delta=float(-np.log(0.05))),
        checks=(formula, *more),
        uses=uses,
        derivation=steps,
    )


PAIR_CHECKS = (
    Check(
        "world A, 9 pairs: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_pairs,
        controls=(
            Control("1 in place of xi(n)", _constant(lambda s: 0.0)),
            Control("2n in place of n", {"compare": compare_counted_twice}),
        ),
    ),
    Check(
        "world A, 9 pairs: the moment is (1 + xi(n))/2",
        Agreement("rounding"),
        settings=WORLD_A,
        compare=compare_pair_moment,
        controls=(
            Control("2 sqrt(n) for xi(n)", _constant(lambda s: float(np.log(2 * np.sqrt(s.n))))),
            Control("xi(n - 1) for xi(n)", _constant(lambda s: float(log_maurer_xi(s.n - 1)))),
        ),
    ),
)

FIRST_RESULT = _result(
    MV_FO, predict_first, FIRST, shipped_first, 2.0, FIRST_STEPS, (seeger.RESULT, oracle.ORACLE_RESULT), (
        Check(
            "world A: exact moment and failure probability of the voters",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=lambda s, p, rows: seeger.compare_world_a(s, p, rows),
            controls=(Control("1 in place of xi(n)", {"predict": lambda s: replace(predict_first(s), log_constant=0.0)}),),
        ),
    ),
)  # fmt: skip
TANDEM_RESULT = _result(
    MV_TANDEM,
    predict_tandem,
    TANDEM,
    shipped_tandem,
    4.0,
    TANDEM_STEPS,
    (change_of_measure.RESULT, maurer.RESULT, kl_inverse.RESULT, oracle.ORACLE_RESULT),
    PAIR_CHECKS,
)
RESULTS = (FIRST_RESULT, TANDEM_RESULT)
