"""A prior learned on n0 of the n examples: the bound holds with n - n0 in place of n, and with nothing less."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ....numerics.bounds import seeger_kl_split
from ....numerics.bounds.seeger import complexity
from ....numerics.certified import kl_lower, kl_upper, log_maurer_xi
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, FUBINI
from ....theory.balls.seeger import seeger_upper_ball
from ....theory.derivation import Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import DATA_PRIOR
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import (
    LOSSES,
    OUTCOMES,
    PRIOR,
    World,
    compositions,
    count_probability,
    exponent,
    failure,
    kl,
    moment,
)
from . import seeger

HALF_ULP = 2.0**-53
TEMPERATURE = 8.0  # how strongly the learned prior follows the first part


@dataclass(frozen=True)
class SplitSetting:
    """Empirical Gibbs risk on the second part, KL(Q||P_S0), all examples n, those n_prior that made the prior, ln(1/delta)."""

    risk: float
    kl: float
    n: int
    n_prior: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            non_negative("kl", self.kl),
            log_inverse_delta(log_inv_delta=self.log_inv_delta),
        )
        if not 0 <= self.n_prior < sample_size("n", self.n):
            raise InvalidInput(
                f"n_prior is {self.n_prior} of n = {self.n}.", "Leave at least one example for the bound."
            )


@dataclass(frozen=True)
class SplitPrediction:
    """Both sides of the bound on the true Gibbs risk, the number of examples that count, and ln xi of it."""

    upper: float
    lower: float
    counted: int
    log_constant: float


DERIVATION = (
    Axiom(
        CONDITIONING,
        "given the first part, the second is an i.i.d. sample of n - n0 examples and the prior is a constant",
    ),
    Uses(
        seeger.RESULT, "applied to the second part with that prior: it fails with conditional probability at most delta"
    ),
    Axiom(FUBINI, "averaging over the first part keeps the failure probability below delta"),
)


def predict(s: SplitSetting) -> SplitPrediction:
    counted = s.n - s.n_prior
    c = complexity(s.kl, counted, s.log_inv_delta)
    return SplitPrediction(
        float(kl_upper(s.risk, c)), float(kl_lower(s.risk, c)), counted, float(log_maurer_xi(counted))
    )


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SplitSetting:
    s = seeger.sample(rng)
    n = s.n + 1
    return SplitSetting(s.risk, s.kl, n, int(rng.integers(0, n)), s.log_inv_delta)


def _shipped(s: SplitSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "n_prior": s.n_prior, "log_inv_delta": s.log_inv_delta, **changes}
    return seeger_kl_split(**given).value


FORMULA = Formula(
    expression=lambda s: seeger_upper_ball(s.risk, s.kl, s.n - s.n_prior, s.log_inv_delta),
    shipped=_shipped,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: 36 * HALF_ULP,
    side="upper",
)


@cache
def _split_world(n: int, n_prior: int) -> tuple[World, np.ndarray]:
    """World A cut in two: every pair of count vectors, with the prior learned on the first part; and the risks on all n."""
    first, second = compositions(n_prior, 4), compositions(n - n_prior, 4)
    a, b = (m.ravel() for m in np.meshgrid(np.arange(len(first)), np.arange(len(second)), indexing="ij"))
    learned = np.log(PRIOR) - TEMPERATURE * (first @ LOSSES.T)
    learned -= np.logaddexp.reduce(learned, axis=1, keepdims=True)
    probability = count_probability(first, OUTCOMES)[a] * count_probability(second, OUTCOMES)[b]
    world = World(n - n_prior, probability, (second @ LOSSES.T / (n - n_prior))[b], learned[a], LOSSES @ OUTCOMES)
    return world, (first[a] + second[b]) @ LOSSES.T / n


def compare_split(s: SplitSetting, p: SplitPrediction, rows: Rows, *, phi: Any = None) -> Coverage:
    world, _ = _split_world(s.n, s.n_prior)
    values = exponent(world) if phi is None else phi(s, world)
    found, _ = failure(world, values, p.log_constant + s.log_inv_delta)
    return Coverage(float(np.exp(-s.log_inv_delta)), moment(world, values), float(np.exp(p.log_constant)), found)


def all_examples_counted(s: SplitSetting, world: World) -> np.ndarray:
    """n in place of n - n0, with the risk of the second part."""
    return exponent(replace(world, n=s.n))


def risk_on_all_examples(s: SplitSetting, world: World) -> np.ndarray:
    """n in place of n - n0, with the risk on all n examples, those of the prior included."""
    _, empirical = _split_world(s.n, s.n_prior)
    return s.n * kl(empirical, np.broadcast_to(world.risk, empirical.shape))


def compare_all_counted(s: SplitSetting, p: SplitPrediction, rows: Rows) -> Coverage:
    return compare_split(s, p, rows, phi=all_examples_counted)


def compare_risk_on_all(s: SplitSetting, p: SplitPrediction, rows: Rows) -> Coverage:
    return compare_split(s, p, rows, phi=risk_on_all_examples)


def pay_for_all(s: SplitSetting) -> SplitPrediction:
    return replace(predict(s), log_constant=float(log_maurer_xi(s.n)))


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("n in place of n - n0", {"claim": replace(FORMULA, shipped=lambda s: seeger_kl_split(risk=s.risk, kl=s.kl, n=s.n, n_prior=0, log_inv_delta=s.log_inv_delta).value)}),
            Control("ln xi(n - n0) dropped", {"claim": replace(FORMULA, shipped=lambda s: float(kl_upper(s.risk, (s.kl + s.log_inv_delta) / (s.n - s.n_prior))))}),
        ),
    ),
    Check(
        "world A cut in two: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(SplitSetting(0.0, 0.0, 12, 4, float(np.log(10))), SplitSetting(0.0, 0.0, 12, 7, float(np.log(10))))),
        compare=compare_split,
        controls=(
            Control("n counted, risk of the second part", {"compare": compare_all_counted, "predict": pay_for_all}),
            Control("n counted, risk on all examples", {"compare": compare_risk_on_all, "predict": pay_for_all}),
            Control("1 in place of xi(n - n0)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    DATA_PRIOR,
    predict=predict,
    example=SplitSetting(risk=0.02, kl=12.0, n=1400, n_prior=700, log_inv_delta=float(-np.log(0.04))),
    checks=CHECKS,
    uses=(seeger.RESULT,),
    derivation=DERIVATION,
    notebook="02_from_hoeffding_to_a_certificate",
)
