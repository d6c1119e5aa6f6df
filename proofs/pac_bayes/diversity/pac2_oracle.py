"""The linear form of PAC2-Bayes: one l fixed in advance, the moment of the pair losses, twice the KL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.bounds.pac2 import pac2_oracle
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE, FUBINI, MARKOV
from ....theory.balls.pac2 import pac2_oracle_ball
from ....theory.derivation import Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import PAC2_ORACLE
from ....theory.validation import finite, log_inverse_delta, non_negative
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..small_worlds import failure, moment
from . import jensen
from .pac2 import SECOND_ORDER
from .pac2_world import pair_world

UNIT = 2.0**-53
SIZE = 12  # examples of the finite world


@dataclass(frozen=True)
class Pac2OracleSetting:
    """Empirical pair loss, KL(rho||P) of one model, l > 0, Psi2(l, n), ln(1/delta)."""

    risk: float
    kl: float
    tilt: float
    log_moment: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), finite("log_moment", self.log_moment, ndim=0)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if self.tilt <= 0:
            raise InvalidInput(f"tilt is {self.tilt}.", "It must be positive.")


@dataclass(frozen=True)
class Pac2OraclePrediction:
    """The bound, and the moment Psi2 that it pays."""

    upper: float
    log_moment: float


DERIVATION = (
    *SECOND_ORDER,
    Uses(
        change_of_measure.RESULT, "on pairs, with f = l (L2 - L2h): E f <= KL + ln E_{P x P} e^f for every law on pairs"
    ),
    Axiom(CHAIN_RULE, "KL(rho x rho||P x P) = 2 KL(rho||P)"),
    Axiom(FUBINI, "E_S E_{P x P} e^f = e^{Psi2}"),
    Axiom(
        MARKOV, "so E_{P x P} e^f <= e^{Psi2}/delta with probability at least 1-delta, for all rho at once; divide by l"
    ),
)


def predict(s: Pac2OracleSetting) -> Pac2OraclePrediction:
    upper = _bound(s)
    return Pac2OraclePrediction(upper, s.log_moment)


def _bound(s: Pac2OracleSetting, **changes: Any) -> float:
    return pac2_oracle(**{**vars(s), **changes}).value


def sample(rng: np.random.Generator) -> Pac2OracleSetting:
    return Pac2OracleSetting(
        *(
            float(x)
            for x in (
                rng.uniform(0, 3),
                10 ** rng.uniform(-3, 4),
                10 ** rng.uniform(-1, 5),
                rng.uniform(0, 5),
                10 ** rng.uniform(-1, 2.8),
            )
        )
    )


FORMULA = Formula(
    expression=lambda s: pac2_oracle_ball(s.risk, s.kl, s.tilt, s.log_moment, s.log_inv_delta),
    shipped=_bound,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: 8 * UNIT,  # two sums and a quotient of non-negative numbers, one ulp each
    side="upper",
    count=100,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def log_moment(tilt: float) -> float:
    """Psi2 of the finite world: E_S over one example at a time, to the power n."""
    from ..small_worlds import OUTCOMES

    one, weight = pair_world(1, symmetric=False), np.exp(pair_world(1, symmetric=False).log_prior[0])
    # a sample of one example is one outcome: the rows of that world, in the order of their probabilities
    assert np.allclose(np.sort(one.probability), np.sort(OUTCOMES))
    single = one.probability @ np.exp(tilt / SIZE * (one.risk - one.empirical))
    return float(np.log(weight @ single**SIZE))


def compare_world(s: Pac2OracleSetting, p: Pac2OraclePrediction, rows: Rows) -> Coverage:
    world = pair_world(SIZE, symmetric=False)
    phi = s.tilt * (world.risk - world.empirical)
    found, margin = failure(world, phi, p.log_moment + s.log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold"
    return Coverage(float(np.exp(-s.log_inv_delta)), moment(world, phi), float(np.exp(p.log_moment)), found)


CHECKS = (
    Check(
        "the shipped oracle is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("K for 2K", _mutant(lambda s: _bound(s, kl=s.kl / 2))),
            Control("the moment forgotten", _mutant(lambda s: _bound(s, log_moment=0.0))),
            Control("ln(2/delta) for ln(1/delta)", _mutant(lambda s: _bound(s, log_inv_delta=s.log_inv_delta + np.log(2)))),
            Control("2 l for l", _mutant(lambda s: _bound(s, tilt=2 * s.tilt))),
        ),
    ),
    Check(
        "world A in pairs: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=tuple(Pac2OracleSetting(0.0, 0.0, tilt, log_moment(tilt), float(np.log(10))) for tilt in (2.0, 12.0, 40.0))),
        compare=compare_world,
        controls=(
            Control("the moment forgotten", {"predict": lambda s: replace(predict(s), log_moment=0.0)}),
            Control("the moment at 0.9 l", {"predict": lambda s: replace(predict(s), log_moment=log_moment(0.9 * s.tilt))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    PAC2_ORACLE,
    predict=predict,
    example=Pac2OracleSetting(0.8, 2.0, 100.0, 0.5, float(np.log(20))),
    checks=CHECKS,
    uses=(jensen.RESULT, change_of_measure.RESULT),
    derivation=DERIVATION,
)
