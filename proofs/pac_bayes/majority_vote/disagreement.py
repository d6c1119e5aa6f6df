"""Two empirical numbers, two events: 4 UP(Lh) - 2 LO(Dh) bounds the vote with the help of unlabelled examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import numpy as np
from scipy.special import logsumexp, rel_entr

from ....numerics.bounds.majority_vote import majority_vote_disagreement
from ....numerics.bounds.seeger import complexity
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY, UNION
from ....theory.balls.majority_vote import disagreement_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.majority_vote import MV_DIS
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from . import first_and_second_order as moments

HALF_ULP = 2.0**-53
LN2 = Fraction("0.6931471805599453094172321214581765680755001343602552541206800094933936219696947156058633269964186875")


@dataclass(frozen=True)
class TwoEventSetting:
    """Empirical Gibbs risk, the pairs' empirical number (disagreement, or tandem loss), KL(rho||prior) in nats, numbers of examples,
    ln(1/delta) in all, and the form of the C-bound."""

    risk: float
    pairs: float
    kl: float
    n: int
    n_pairs: int
    log_inv_delta: float
    form: Literal["box", "separate"] = "box"

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), unit_interval("pairs", self.pairs), non_negative("kl", self.kl)
        sample_size("n", self.n), sample_size("n_pairs", self.n_pairs)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if self.form not in ("box", "separate"):
            raise InvalidInput(f"form is {self.form!r}.", "It is 'box' or 'separate'.")


@dataclass(frozen=True)
class TwoEventPrediction:
    """The bound on the risk of the vote, and ln xi(n), ln xi(n_pairs)."""

    upper: float
    log_constants: tuple[float, float]


# --- derivation ---------------------------------------------------------------------------------------------------


def disagreement_of_classes() -> list[tuple[Any, Any]]:
    import sympy

    w, u, rest = sympy.symbols("w u rest", real=True)
    # w: weight of the right class, u of the strongest wrong one, rest: sum of squares over the other wrong ones
    d = 1 - w**2 - u**2 - rest
    pointwise = 4 * (1 - w) - 2 * d
    two = sympy.Symbol("x", real=True)
    return [
        (pointwise, 2 * (1 - w) ** 2 + 2 * u**2 + 2 * rest),
        ((1 - w) ** 2 + u**2 - sympy.Rational(1, 2), (1 - 2 * w) ** 2 / 2 + (u - w) * (u + w)),
        (4 * two - 2 * (1 - (1 - two) ** 2 - two**2), 4 * two**2),
    ]


EVENTS = (
    Uses(moments.FIRST_RESULT, "its event, at delta1: kl(Lh||L) <= (K + ln(xi(n)/delta1))/n for all rho, two-sided"),
    Uses(
        moments.TANDEM_RESULT,
        "its event, at delta2, for any 0-1 loss of pairs: kl <= (2K + ln(xi(n2)/delta2))/n2, two-sided",
    ),
    Axiom(UNION, "both hold with probability at least 1-delta1-delta2"),
)

DIS_STEPS = (
    *EVENTS,
    Algebra(
        "on one example 4 err - 2 d = 2(1-w)^2 + 2 sum of the squared weights of wrong classes >= 0, and >= 1 where a wrong class has weight u >= w; two classes: 4 err^2",
        disagreement_of_classes,
    ),
    Axiom(LINEARITY, "so R <= 4L - 2D <= 4 UP(Lh) - 2 LO(Dh)"),
)

# --- prediction ---------------------------------------------------------------------------------------------------


@cache
def ends(s: TwoEventSetting) -> tuple[float, float, float, float]:
    """LO and UP of the risk, LO and UP of the pairs' number, each at half of delta."""
    level = float(np.nextafter(s.log_inv_delta + np.log(2), np.inf))
    one, two = complexity(s.kl, s.n, level), complexity(2 * s.kl, s.n_pairs, level)
    return (
        float(kl_lower(s.risk, one)),
        float(kl_upper(s.risk, one)),
        float(kl_lower(s.pairs, two)),
        float(kl_upper(s.pairs, two)),
    )


def log_constants(s: TwoEventSetting) -> tuple[float, float]:
    return float(log_maurer_xi(s.n)), float(log_maurer_xi(s.n_pairs))


def predict_dis(s: TwoEventSetting) -> TwoEventPrediction:
    _, high, low, _ = ends(s)
    return TwoEventPrediction(float(np.nextafter(4 * high - 2 * low, np.inf)), log_constants(s))


# --- checks: the formulas -----------------------------------------------------------------------------------------


def levels(s: TwoEventSetting) -> tuple[Fraction, Fraction]:
    half = Fraction(s.log_inv_delta) + LN2  # to 100 digits
    return half, half


def lower_width(s: TwoEventSetting, rate: float, kl: float, n: int) -> float:
    """Relative width of LO, as for pb.kl: near 0 it is q e^-v with v up to c/q."""
    return 60 * (1 + (kl + 2 * np.log(4 * n) + s.log_inv_delta + 1) / (n * max(rate, 1e-9)))


def sample_dis(rng: np.random.Generator) -> TwoEventSetting:
    first = float(rng.choice([10 ** rng.uniform(-3, -0.31), rng.uniform(0.01, 0.49)]))
    second = first ** float(rng.uniform(1, 1.7))
    n, n_pairs = (int(10 ** rng.uniform(2, 7)) for _ in range(2))
    kl = float(rng.choice([0.0, 10 ** rng.uniform(-2, 2.5)]))
    return TwoEventSetting(first, min(1.0, 2 * (first - second)), kl, n, n_pairs, float(10 ** rng.uniform(-1, 2)))


def width_dis(s: TwoEventSetting) -> float:
    """UP within 40 half-ulps, LO within `lower_width`; the difference of the two against its value, and two roundings."""
    _, high, low, _ = ends(s)
    error = 4 * high * 40 + (2 * low * lower_width(s, s.pairs, 2 * s.kl, s.n_pairs) if low else 0.0)
    return (error / abs(4 * high - 2 * low) + 4) * HALF_ULP


def shipped_dis(s: TwoEventSetting, **changes: Any) -> float:
    given = {
        "risk": s.risk,
        "disagreement": s.pairs,
        "kl": s.kl,
        "n": s.n,
        "n_pairs": s.n_pairs,
        "log_inv_delta": s.log_inv_delta,
    }
    return majority_vote_disagreement(**{**given, **changes}).raw


DIS = Formula(
    expression=lambda s: disagreement_ball(s.risk, s.pairs, s.kl, s.n, s.n_pairs, levels(s), digits=35),
    shipped=shipped_dis,
    read=lambda p: p.upper,
    sample=sample_dis,
    width=width_dis,
    side="upper",
    count=60,
)


def mutants(claim: Formula, shipped: Any, *more: tuple[str, Any]) -> tuple[Control, ...]:
    shared = (
        (
            "the whole delta for each event",
            lambda s: shipped(s, log_inv_delta=max(s.log_inv_delta - float(np.log(2)), 1e-9)),
        ),
        ("2 sqrt(n) for xi(n)", lambda s: shipped(s, constant="2sqrt")),
        ("K half of what it is", lambda s: shipped(s, kl=s.kl / 2)),
        ("KL in bits", lambda s: shipped(s, kl=s.kl / np.log(2))),
        ("2n for n", lambda s: shipped(s, n=2 * s.n)),
        ("2 n2 for n2", lambda s: shipped(s, n_pairs=2 * s.n_pairs)),
        ("n and n2 exchanged", lambda s: shipped(s, n=s.n_pairs, n_pairs=s.n)),
    )
    return tuple(Control(name, {"claim": replace(claim, shipped=function)}) for name, function in (*shared, *more))


def raw_ends(s: TwoEventSetting, pairs_share: float = 2.0) -> tuple[float, float, float, float]:
    level = s.log_inv_delta + np.log(2)
    one, two = complexity(s.kl, s.n, level), complexity(pairs_share * s.kl, s.n_pairs, level)
    return (
        float(kl_lower(s.risk, one)),
        float(kl_upper(s.risk, one)),
        float(kl_lower(s.pairs, two)),
        float(kl_upper(s.pairs, two)),
    )


DIS_MUTANTS = (
    ("K for the pairs' 2K", lambda s: 4 * raw_ends(s, 1.0)[1] - 2 * raw_ends(s, 1.0)[2]),
    ("the empirical disagreement for LO", lambda s: 4 * raw_ends(s)[1] - 2 * s.pairs),
    ("UP(Dh) for LO(Dh)", lambda s: 4 * raw_ends(s)[1] - 2 * raw_ends(s)[3]),
    ("LO floored at 1e-9", lambda s: 4 * raw_ends(s)[1] - 2 * max(raw_ends(s)[2], 1e-9) * (1 + 1e-9)),
    ("D for 2D", lambda s: 4 * raw_ends(s)[1] - raw_ends(s)[2]),
)
# --- checks: the two events, and any number of classes ----------------------------------------------------


@cache
def _world(n: int) -> tuple[np.ndarray, ...]:
    """World A: sample probabilities; n kl for each voter and for the disagreement of each pair; ln priors."""
    counts = compositions(n, len(OUTCOMES))
    differ = np.array([np.abs(LOSSES[i] - LOSSES[j]) for i in range(3) for j in range(3)])

    def exponent(loss: np.ndarray) -> np.ndarray:
        q, p = counts @ loss.T / n, np.broadcast_to(loss @ OUTCOMES, (len(counts), len(loss)))
        return n * (rel_entr(q, p) + rel_entr(1 - q, 1 - p))

    prior = np.log(np.outer(PRIOR, PRIOR).ravel())
    return count_probability(counts, OUTCOMES), exponent(LOSSES), exponent(differ), np.log(PRIOR), prior


def compare_events(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Coverage:
    """P(one of the two events fails for some rho), exactly; the moment is that of the pairs."""
    probability, one, two, prior, pair_prior = _world(s.n)
    level = s.log_inv_delta + np.log(2)
    first, second = logsumexp(prior + one, axis=1), logsumexp(pair_prior + two, axis=1)
    failed = (first > p.log_constants[0] + level) | (second > p.log_constants[1] + level)
    moment = max(
        float(probability @ np.exp(x)) / np.exp(c) for x, c in zip((first, second), p.log_constants, strict=True)
    )
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, 1.0, float(probability[failed].sum()))


def multiclass_slacks(rule: Any, count: int = 1500) -> Enclosures:
    """4L - 2D - R on random plurality votes among up to five classes, exactly; ties are errors."""
    rng, found = generator(7, "pb.mv_dis"), []
    for _ in range(count):
        weights = rng.integers(0, 9, int(rng.integers(2, 6)))
        if weights.sum():
            p = [Fraction(int(x), int(weights.sum())) for x in weights]
            found.append(rule(1 - p[0], 1 - sum(x * x for x in p)) - (max(p[1:]) >= p[0]))
    values = np.array([float(x) for x in found])
    return Enclosures(values, values)


def compare_multiclass(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Enclosures:
    return multiclass_slacks(lambda err, d: 4 * err - 2 * d)


def compare_too_much(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Enclosures:
    return multiclass_slacks(lambda err, d: 4 * err - Fraction(21, 10) * d)


def compare_too_little(s: TwoEventSetting, p: TwoEventPrediction, rows: Rows) -> Enclosures:
    return multiclass_slacks(lambda err, d: Fraction(39, 10) * err - 2 * d)


WORLD_A = ByBudget(quick=(TwoEventSetting(0.0, 0.0, 0.0, 12, 12, float(np.log(10))),))


def _constant(pair: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict_dis(s), log_constants=pair(*predict_dis(s).log_constants))}


RESULT = Result(
    MV_DIS,
    predict=predict_dis,
    example=TwoEventSetting(risk=0.1, pairs=0.12, kl=3.0, n=1000, n_pairs=50_000, log_inv_delta=float(-np.log(0.05))),
    uses=(moments.FIRST_RESULT, moments.TANDEM_RESULT),
    derivation=DIS_STEPS,
    checks=(
        Check("the shipped certificate is the last step, rounded upward", DIS, controls=mutants(DIS, shipped_dis, *DIS_MUTANTS)),
        Check(
            "world A: exact moments and probability that one of the two events fails",
            HighProbabilityBound(),
            settings=WORLD_A,
            compare=compare_events,
            controls=(
                Control("1 for the voters' xi(n)", _constant(lambda one, two: (0.0, two))),
                Control("1 for the pairs' xi(n2)", _constant(lambda one, two: (one, 0.0))),
            ),
        ),
        Check(
            "1500 plurality votes among up to five classes, in rational arithmetic",
            Inequality(),
            settings=WORLD_A,
            compare=compare_multiclass,
            controls=(
                Control("2.1 D for 2D", {"compare": compare_too_much}),
                Control("3.9 L for 4L", {"compare": compare_too_little}),
            ),
        ),
    ),
)  # fmt: skip
RESULTS = (RESULT,)
