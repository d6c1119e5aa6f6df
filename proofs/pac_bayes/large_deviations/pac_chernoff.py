"""PAC-Chernoff: for countably many models at once, L <= Lh + Iinv((ln(1/w) + ln(1/delta))/n). An oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.pac_chernoff import pac_chernoff
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.large_deviations.laws import FiniteLaw
from ....numerics.store import Rows
from ....theory.axioms import UNION
from ....theory.balls.chernoff import pac_chernoff_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import PAC_CHERNOFF
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..real_losses_world import REAL_LOSSES, world_c
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, world_a
from . import cramer

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class PacChernoffSetting:
    """Empirical loss of one model, n, ln(1/w) in nats, ln(1/delta), and the law of its loss: losses with their probabilities."""

    risk: float
    n: int
    log_inv_weight: float
    log_inv_delta: float
    losses: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), sample_size("n", self.n), non_negative("log_inv_weight", self.log_inv_weight)
        log_inverse_delta(log_inv_delta=self.log_inv_delta), FiniteLaw(self.losses, self.weights)


@dataclass(frozen=True)
class PacChernoffPrediction:
    """The bound, the true loss, and the most that the bound can be: L + (Lh - m)."""

    upper: float
    risk: float
    most: float


# --- derivation ---------------------------------------------------------------------------------------------------


def budget() -> list[tuple[Any, Any]]:
    import sympy

    w, d, n, p, k = sympy.symbols("w d n p k", positive=True)
    s = (sympy.log(1 / w) + sympy.log(1 / d)) / n
    return [
        (sympy.exp(-n * s), w * d),  # each model's share of delta, so that the shares add to at most delta
        (sympy.expand_log(sympy.log(1 / w).subs(w, k**-p), force=True), p * sympy.log(k)),
        (sympy.expand_log(sympy.log(2 ** (32 * p)), force=True), 32 * p * sympy.log(2)),
    ]


DERIVATION = (
    Uses(cramer.RESULT, "one model: L > Lh + Iinv(s) has probability at most e^{-n s}"),
    Algebra(
        "s = (ln(1/w) + ln(1/delta))/n makes that w delta; k^p models have ln(1/w) = p ln k, 32-bit floats 32 p ln 2",
        budget,
    ),
    Axiom(UNION, "the weights sum to at most 1, so some model fails with probability at most delta"),
    Uses(
        cramer.RESULT,
        "Iinv(s) <= L - m, with equality from s = ln(1/P(loss = m)) on: the bound is at most L + (Lh - m)",
    ),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def certificate(s: PacChernoffSetting, **changes: Any) -> Any:
    given = {"risk": s.risk, "n": s.n, "log_inv_weight": s.log_inv_weight, "log_inv_delta": s.log_inv_delta}
    return pac_chernoff(**{**given, "law": FiniteLaw(s.losses, s.weights), **changes})


def predict(s: PacChernoffSetting) -> PacChernoffPrediction:
    law = FiniteLaw(s.losses, s.weights)
    mean = float(law.mean[0])
    return PacChernoffPrediction(certificate(s).value, mean, mean + s.risk - float(law.minimum[0]))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> PacChernoffSetting:
    size = int(rng.integers(2, 10))
    weights = rng.dirichlet(np.ones(size)) + 1e-3
    n = int(10 ** rng.uniform(0, 6))
    return PacChernoffSetting(float(10 ** rng.uniform(-3, 1)), n, float(rng.choice([0.0, 10 ** rng.uniform(-1, 7)])), float(10 ** rng.uniform(-1, 2)), rng.lognormal(0, 1, size), weights)  # fmt: skip


def _level(s: PacChernoffSetting) -> float:
    return (s.log_inv_weight + s.log_inv_delta) / s.n


def _law_data(s: PacChernoffSetting) -> Any:
    return "finite", tuple(map(float, s.losses)), tuple(map(float, s.weights))


FORMULA = Formula(
    expression=lambda s: pac_chernoff_ball(s.risk, _law_data(s), s.log_inv_weight, s.n, s.log_inv_delta, 50),
    shipped=lambda s: certificate(s).value,
    read=lambda p: p.upper,
    sample=sample,
    # the width of Iinv three times (its error, and twice outward), and the roundings of s and of the sum
    width=lambda s: 3 * float(inverse_rate(s.losses, _level(s), weights=s.weights).rounding) + 12 * HALF_ULP,
    side="upper",
    count=80,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: float(function(s)))}


@cache
def outcomes(name: str, weight_share: float, spent: float) -> tuple[float, tuple[float, ...]]:
    """P(some model's shipped bound is below its true loss), and for each model alone, by enumeration of 12 examples."""
    world, losses = (world_a(), LOSSES) if name == "A" else (world_c(), REAL_LOSSES)
    broken = np.zeros(world.empirical.shape, dtype=bool)
    for h, row in enumerate(losses):
        # the width does not depend on the sample
        width = pac_chernoff(
            risk=0.0,
            n=world.n,
            log_inv_weight=-weight_share * float(np.log(PRIOR[h])),
            log_inv_delta=spent,
            law=FiniteLaw(row, OUTCOMES),
        ).value
        broken[:, h] = world.risk[h] > world.empirical[:, h] + width * (1 + 1e-9)
    return float(world.probability[broken.any(axis=1)].sum()), tuple(map(float, world.probability @ broken))


def compare_world(
    s: PacChernoffSetting,
    p: PacChernoffPrediction,
    rows: Rows,
    *,
    name: str = "C",
    weights: float = 1.0,
    spent: float = 1.0,
) -> Coverage:
    found, each = outcomes(name, weights, spent * s.log_inv_delta)
    # each model within its own share of delta, and together within delta
    worst = max(e / w for e, w in zip(each, PRIOR, strict=True))
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        worst,
        float(np.exp(-s.log_inv_delta)),
        found,
        note=f"world {name}, each model's share as well",
    )


def compare_world_a(s: PacChernoffSetting, p: PacChernoffPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, name="A")


def compare_half(s: PacChernoffSetting, p: PacChernoffPrediction, rows: Rows) -> Coverage:
    """ln(1/delta) counted for a quarter, and no weights."""
    return compare_world(s, p, rows, weights=0.0, spent=0.25)


def compare_half_a(s: PacChernoffSetting, p: PacChernoffPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, name="A", weights=0.0, spent=0.25)


def compare_interpolators(s: PacChernoffSetting, p: PacChernoffPrediction, rows: Rows) -> Enclosures:
    """L + (Lh - m) - bound >= 0 whatever the rate; exactly 0 beyond saturation up to the outward rounding, which is allowed for."""
    with ctx.workdps(40):
        allowed = abs(arb(p.most)) * (
            4 * arb(float(inverse_rate(s.losses, _level(s), weights=s.weights).rounding)) + arb(2) ** -48
        )
        slack = arb(p.most) - arb(p.upper) + allowed
        return Enclosures(np.array([float(slack.lower())]), np.array([float(slack.upper())]), 1e-20)


WORLD = ByBudget(quick=(PacChernoffSetting(0.0, 12, 0.7, float(np.log(10)), REAL_LOSSES[0], OUTCOMES),))
INTERPOLATING = tuple(
    PacChernoffSetting(float(row.min()), 12, w, float(np.log(10)), row, OUTCOMES)
    for row in REAL_LOSSES
    for w in (0.0, 3.0, 50.0, 1e6)
)

CHECKS = (
    Check(
        "the shipped oracle is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("bits for nats", _mutant(lambda s: certificate(s, log_inv_weight=s.log_inv_weight / np.log(2)).value)),
            Control("weight forgotten", _mutant(lambda s: certificate(s, log_inv_weight=0.0).value)),
            Control("delta forgotten", _mutant(lambda s: s.risk + inverse_rate(s.losses, s.log_inv_weight / s.n, weights=s.weights).value)),
            Control("n + 1 for n", _mutant(lambda s: certificate(s, n=s.n + 1).value)),
            Control("delta squared", _mutant(lambda s: certificate(s, log_inv_delta=2 * s.log_inv_delta).value)),
            Control("upper tail", _mutant(lambda s: certificate(s, law=FiniteLaw(-s.losses, s.weights)).value)),
        ),
    ),
    Check("world C: exact failure probability of the shipped bound", HighProbabilityBound(), settings=WORLD, compare=compare_world, controls=(Control("no weights, a quarter of ln(1/delta)", {"compare": compare_half}),)),
    Check("world A: exact failure probability of the shipped bound", HighProbabilityBound(), settings=WORLD, compare=compare_world_a, controls=(Control("no weights, a quarter of ln(1/delta)", {"compare": compare_half_a}),)),
    Check(
        "interpolators: the bound never exceeds L + (Lh - m)",
        Inequality(),
        settings=ByBudget(quick=INTERPOLATING),
        compare=compare_interpolators,
        controls=(Control("Gaussian rate, which does not saturate", {"predict": lambda s: replace(predict(s), upper=s.risk + float(np.sqrt(2 * FiniteLaw(s.losses, s.weights).variance[0] * _level(s))))}),),
    ),
)  # fmt: skip

RESULT = Result(
    PAC_CHERNOFF,
    predict=predict,
    example=WORLD.quick[0],
    checks=CHECKS,
    uses=(cramer.RESULT,),
    derivation=DERIVATION,
)
