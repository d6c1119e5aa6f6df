"""The linear bound with the moment of the gap: E_Q gen <= (KL(Q||P) + ln(1/delta) + Psi)/l. An oracle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.bounds.alquier import alquier
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, INDEPENDENCE, MARKOV
from ....theory.balls.pbc import fixed_posterior_tilt_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import ALQUIER
from ....theory.validation import finite, log_inverse_delta, non_negative
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..real_losses_world import generating_at, world_c
from ..small_worlds import PRIOR, failure, moment

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class LinearSetting:
    """Empirical Gibbs risk, KL(Q||P), ln(1/delta), the tilt l and Psi = ln E_P E_S e^{l gen}."""

    risk: float
    kl: float
    log_inv_delta: float
    tilt: float
    log_moment: float

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), finite("log_moment", self.log_moment, ndim=0)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not self.tilt > 0:
            raise InvalidInput(f"tilt is {self.tilt}.", "It must be positive and fixed before the data.")


@dataclass(frozen=True)
class LinearPrediction:
    """The bound and the factor e^Psi that the threshold is multiplied with."""

    upper: float
    constant: float


def solved() -> list[tuple[Any, Any]]:
    import sympy

    g, tilt, K, d, psi = sympy.symbols("g l K d psi", positive=True)
    n, s = sympy.symbols("n s", positive=True)
    sub_gaussian = tilt**2 * s**2 / (2 * n)  # n independent examples at l/n each
    return [
        (sympy.solve(sympy.Eq(tilt * g, K + sympy.log(1 / d) + psi), g)[0], (K + sympy.log(1 / d) + psi) / tilt),
        (n * (tilt / n) ** 2 * s**2 / 2, sub_gaussian),
        ((sub_gaussian / tilt).subs(tilt, n), s**2 / 2),
        ((sub_gaussian / tilt).subs(tilt, sympy.sqrt(n)), s**2 / (2 * sympy.sqrt(n))),
    ]


LINEAR = (
    Uses(change_of_measure.RESULT, "with f = l gen: l E_Q gen <= K + ln E_P e^{l gen} for every Q"),
    Axiom(FUBINI, "E_S E_P e^{l gen} = E_P E_S e^{l gen} = e^Psi, because P does not depend on the sample"),
    Axiom(MARKOV, "so ln E_P e^{l gen} <= Psi + ln(1/delta) with probability at least 1-delta"),
    Axiom(INDEPENDENCE, "E_S e^{l gen} is the n-th power of one example's factor at l/n"),
    Algebra("solved for the gap; sub-Gaussian losses: Psi/l = l s^2/(2n), s^2/2 at l = n and s^2/(2 sqrt n) at l = sqrt n", solved, (("d", 0.1, 0.9),)),
)  # fmt: skip


def certificate(s: LinearSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "log_inv_delta": s.log_inv_delta, "tilt": s.tilt, "log_moment": s.log_moment}
    return alquier(**{**given, **changes}).value


def predict(s: LinearSetting) -> LinearPrediction:
    return LinearPrediction(certificate(s), float(np.exp(s.log_moment)))


def sample(rng: np.random.Generator) -> LinearSetting:
    return LinearSetting(float(10 ** rng.uniform(-6, 3)), float(10 ** rng.uniform(-3, 4)), float(10 ** rng.uniform(-1, 2.8)), float(10 ** rng.uniform(-2, 6)), float(10 ** rng.uniform(-3, 2)))  # fmt: skip


FORMULA = Formula(
    expression=lambda s: fixed_posterior_tilt_ball(s.risk, s.kl, s.log_inv_delta, s.log_moment, s.tilt, 50),
    shipped=certificate,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: 8 * HALF_ULP,  # a sum, a quotient and a sum, one ulp each
    side="upper",
    count=120,
)


def _mutant(**changes: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: certificate(s, **{k: f(s) for k, f in changes.items()}))}


def compare_world(s: LinearSetting, p: LinearPrediction, rows: Rows) -> Coverage:
    """World C: E_S E_P e^{l gen} is e^Psi itself; the exponent is affine in Q, so the averaged statement is the printed bound."""
    world = world_c()
    phi = s.tilt * (world.risk - world.empirical)
    found, margin = failure(world, phi, float(np.log(p.constant)) + s.log_inv_delta)
    assert margin > 1e-9
    return Coverage(float(np.exp(-s.log_inv_delta)), moment(world, phi), p.constant, found)


def _world_psi(tilt: float) -> float:
    """Psi of world C by enumeration of the samples' own law: 12 independent examples at l/12 each."""
    return float(np.log(PRIOR @ np.exp(12 * generating_at(np.array([tilt / 12])))))


WORLD = ByBudget(
    quick=tuple(LinearSetting(0.0, 0.0, float(np.log(10)), t, _world_psi(t)) for t in (1.0, 12.0**0.5, 12.0))
)

LINEAR_CHECKS = (
    Check(
        "the shipped oracle is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("Psi dropped", _mutant(log_moment=lambda s: 0.0)),
            Control("delta squared", _mutant(log_inv_delta=lambda s: 2 * s.log_inv_delta)),
            Control("KL in bits", _mutant(kl=lambda s: s.kl / np.log(2))),
            Control("twice the tilt", _mutant(tilt=lambda s: 2 * s.tilt)),
        ),
    ),
    Check(
        "world C: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_world,
        controls=(Control("Psi dropped", {"predict": lambda s: replace(predict(s), constant=1.0)}),),
    ),
)  # fmt: skip

RESULT = Result(ALQUIER, predict=predict, example=LinearSetting(0.12, 10.0, 3.0, 100.0, 0.5), checks=LINEAR_CHECKS, uses=(change_of_measure.RESULT,), derivation=LINEAR)  # fmt: skip
