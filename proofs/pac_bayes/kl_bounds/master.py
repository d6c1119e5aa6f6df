"""Generic PAC-Bayes: if E_S E_P e^phi <= C then, with probability 1-delta, E_Q phi <= K + ln(C/delta) for all Q at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.bounds.master import master
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, MARKOV
from ....theory.balls.maurer import xi_exact
from ....theory.balls.mcallester import master_ball
from ....theory.derivation import Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import MASTER
from ....theory.validation import finite, log_inverse_delta, non_negative
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..small_worlds import World, compositions, exponent, failure, moment, world_a, world_b

HALF_ULP = 2.0**-53
SHARE = 0.5  # how much of phi a prior that follows the sample already contains


@dataclass(frozen=True)
class MasterSetting:
    """KL(Q||P) in nats, ln C, ln(1/delta), and the name of the phi of a finite world (see PHIS)."""

    kl: float
    log_constant: float
    log_inv_delta: float
    phi: str = "n kl"

    def __post_init__(self) -> None:
        non_negative("kl", self.kl), finite("log_constant", self.log_constant)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if self.phi not in PHIS:
            raise InvalidInput(f"phi is {self.phi!r}.", f"Choose one of {tuple(PHIS)}.")


@dataclass(frozen=True)
class MasterPrediction:
    """The bound on E_Q phi, and the two numbers of the averaged statement: C, and ln(C/delta) which ln E_P e^phi must not pass."""

    bound: float
    constant: float
    log_threshold: float


def _worse_than_it_looks(w: World) -> NDArray[np.bool_]:
    return w.empirical < w.risk


PHIS = {
    "n kl": exponent,
    "n kl, lower tail": lambda w: np.where(_worse_than_it_looks(w), exponent(w), 0.0),
    "Catoni, beta = 1": lambda w: w.n * (-np.log(1 - (1 - np.exp(-1.0)) * w.risk) - w.empirical),
    "(n-1) kl, lower tail": lambda w: np.where(_worse_than_it_looks(w), exponent(w) * (w.n - 1) / w.n, 0.0),
    "(n/2) kl, lower tail": lambda w: np.where(_worse_than_it_looks(w), exponent(w) / 2, 0.0),
    "2(n-1) gap^2": lambda w: 2 * (w.n - 1) * (w.risk - w.empirical) ** 2,
}

# --- derivation ---------------------------------------------------------------------------------------------------


def a_world_in_rationals() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """World A with n = 5 and Catoni's phi at beta = ln 2, for which e^phi is rational: the chain of inequalities, sample by sample."""
    n, p = 5, [Fraction(x, 10) for x in (4, 3, 2, 1)]
    losses, prior = ((0, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 1)), [Fraction(x, 10) for x in (5, 3, 2)]
    risks = [sum((q for q, bad in zip(p, row, strict=True) if bad), Fraction(0)) for row in losses]
    averages, weights = [], []
    for counts in compositions(n, 4):
        c = [int(x) for x in counts]
        weights.append(
            math.factorial(n)
            * math.prod((q**x / math.factorial(x) for q, x in zip(p, c, strict=True)), start=Fraction(1))
        )
        errors = [sum(x for x, bad in zip(c, row, strict=True) if bad) for row in losses]
        tilted = [Fraction(1, 2) ** k / (1 - r / 2) ** n for k, r in zip(errors, risks, strict=True)]
        averages.append(sum((a * b for a, b in zip(prior, tilted, strict=True)), Fraction(0)))
    yield "total probability", sum(weights, Fraction(0)), "==", Fraction(1)
    yield "E_S E_P e^phi", sum((w * a for w, a in zip(weights, averages, strict=True)), Fraction(0)), "==", Fraction(1)
    for delta in (Fraction(1, 2), Fraction(1, 5), Fraction(1, 20)):
        found = sum((w for w, a in zip(weights, averages, strict=True) if a > 1 / delta), Fraction(0))
        yield f"P(E_P e^phi > 1/{delta})", found, "<=", delta


DERIVATION = (
    Axiom(FUBINI, "the prior and the sample are integrated in either order; a prior that depends on the sample is a kernel, and C then bounds the moment under it"),
    Axiom(MARKOV, "X = E_P e^phi >= 0 has E X <= C: X <= C/delta with probability at least 1-delta"),
    Uses(change_of_measure.RESULT, "E_Q phi <= K + ln X for every Q, whatever the sample; so one event serves all Q"),
    Enumeration("a finite world in rational numbers: the moment is C = 1 exactly, and X passes 1/delta with probability at most delta", a_world_in_rationals),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: MasterSetting) -> MasterPrediction:
    log_threshold = s.log_constant + s.log_inv_delta
    bound = master(kl=s.kl, log_constant=s.log_constant, log_inv_delta=s.log_inv_delta).raw
    return MasterPrediction(bound, math.exp(s.log_constant), log_threshold)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> MasterSetting:
    return MasterSetting(float(10 ** rng.uniform(-3, 6)), float(rng.normal() * 10), float(10 ** rng.uniform(-1, 2.8)))


FORMULA = Formula(
    expression=lambda s: master_ball(s.kl, s.log_constant, s.log_inv_delta),
    shipped=lambda s: master(kl=s.kl, log_constant=s.log_constant, log_inv_delta=s.log_inv_delta).raw,
    read=lambda p: p.bound,
    sample=sample,
    width=lambda s: 2 * HALF_ULP,  # the sum of floats, rounded up once
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def coverage(world: World, phi: NDArray[np.float64], p: MasterPrediction, log_inv_delta: float) -> Coverage:
    """Exact moment against C, exact probability that some Q violates the bound against delta."""
    found, margin = failure(world, phi, p.log_threshold)
    assert margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(math.exp(-log_inv_delta), moment(world, phi), p.constant, found)


def compare_a(s: MasterSetting, p: MasterPrediction, rows: Rows) -> Coverage:
    return coverage(world_a(), PHIS[s.phi](world_a()), p, s.log_inv_delta)


def compare_b(s: MasterSetting, p: MasterPrediction, rows: Rows) -> Coverage:
    return coverage(world_b(), PHIS[s.phi](world_b()), p, s.log_inv_delta)


def compare_doubled(s: MasterSetting, p: MasterPrediction, rows: Rows) -> Coverage:
    return coverage(world_a(), 2 * PHIS[s.phi](world_a()), p, s.log_inv_delta)


def compare_without_divergence(s: MasterSetting, p: MasterPrediction, rows: Rows) -> Coverage:
    """K forgotten: the largest phi among the hypotheses against ln(C/delta)."""
    world = world_b()
    largest = np.where(np.isfinite(world.log_prior), PHIS[s.phi](world), -np.inf).max(axis=1)
    return Coverage(math.exp(-s.log_inv_delta), failure=float(world.probability[largest > p.log_threshold].sum()))


def _following(world: World, phi: NDArray[np.float64]) -> World:
    """World A with a prior that follows the sample: P_S proportional to P e^{phi/2}."""
    learned = world.log_prior + SHARE * phi
    return replace(world, log_prior=learned - np.logaddexp.reduce(learned, axis=1, keepdims=True))


def predict_kernel(s: MasterSetting) -> MasterPrediction:
    """C is the moment under the prior that follows the sample."""
    phi = PHIS[s.phi](world_a())
    constant = moment(_following(world_a(), phi), phi)
    return MasterPrediction(s.kl + math.log(constant) + s.log_inv_delta, constant, math.log(constant) + s.log_inv_delta)


def compare_kernel(s: MasterSetting, p: MasterPrediction, rows: Rows) -> Coverage:
    phi = PHIS[s.phi](world_a())
    return coverage(_following(world_a(), phi), phi, p, s.log_inv_delta)


def _kt(n: int) -> float:
    return float(math.prod((Fraction(2 * k, 2 * k - 1) for k in range(1, n + 1)), start=Fraction(1)))


LN10, LN5 = float(np.log(10)), float(np.log(5))
ROWS_A = (
    ("n kl", float(xi_exact(12))),
    ("n kl", _kt(12)),
    ("n kl", 2 * math.sqrt(12)),
    ("n kl, lower tail", float(xi_exact(12))),
    ("Catoni, beta = 1", 1.0),
    ("(n-1) kl, lower tail", 12.0),
    ("(n/2) kl, lower tail", 2.0),
    ("2(n-1) gap^2", 12.0),
)
WORLD_A = ByBudget(quick=tuple(MasterSetting(0.0, math.log(c), LN10, phi) for phi, c in ROWS_A))
WORLD_B = ByBudget(
    quick=tuple(MasterSetting(0.0, math.log(float(xi_exact(6))), LN5, phi) for phi in ("n kl", "n kl, lower tail"))
)
KERNEL = ByBudget(quick=(MasterSetting(0.0, math.log(float(xi_exact(12))), LN10),))


def _constant_one(s: MasterSetting) -> MasterPrediction:
    return predict(replace(s, log_constant=0.0))


CHECKS = (
    Check(
        "the shipped bound is K + ln C + ln(1/delta), rounded upward",
        FORMULA,
        controls=(
            Control("ln C dropped", _mutant(lambda s: s.kl + s.log_inv_delta)),
            Control("ln(1/delta) dropped", _mutant(lambda s: s.kl + s.log_constant)),
            Control("K dropped", _mutant(lambda s: s.log_constant + s.log_inv_delta)),
            Control("delta halved", _mutant(lambda s: s.kl + s.log_constant + s.log_inv_delta + math.log(2))),
            Control("rounded downward", _mutant(lambda s: np.nextafter(FORMULA.shipped(s), -np.inf) - 1e-15)),
        ),
    ),
    Check(
        "world A: exact moments and failure probabilities of six phi",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_a,
        controls=(
            Control("1 in place of C", {"predict": _constant_one}),
            Control("the exponent doubled", {"compare": compare_doubled}),
        ),
    ),
    Check(
        "world B: exact moments and failure probabilities, both sides and one",
        HighProbabilityBound(),
        settings=WORLD_B,
        compare=compare_b,
        controls=(
            Control("1 in place of C", {"predict": _constant_one}),
            Control("K forgotten", {"compare": compare_without_divergence}),
        ),
    ),
    Check(
        "world A with a prior that follows the sample: C is the moment under that prior",
        HighProbabilityBound(),
        settings=KERNEL,
        compare=compare_kernel,
        predict=predict_kernel,
        controls=(Control("C of a prior fixed in advance", {"predict": predict}),),
    ),
)  # fmt: skip

RESULT = Result(
    MASTER,
    predict=predict,
    example=MasterSetting(kl=3.0, log_constant=math.log(5.0), log_inv_delta=LN10),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
)
