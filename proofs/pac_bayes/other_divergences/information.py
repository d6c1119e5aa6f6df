"""Expected generalization gap and memory: I(W;S), I(W;Z_i), CMI, evaluated CMI and its binary-kl form. Expectations, no delta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.bounds.information import (
    conditional_information,
    conditional_information_kl,
    individual_information,
    mutual_information,
)
from ....numerics.certified import kl_lower, kl_upper
from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.digests import content_digest
from ....numerics.store import Rows
from ....theory.balls.information import gap_ball, individual_gap_ball, interpolating_ball, twice_the_inverse_balls
from ....theory.statements.pac_bayes.information import INFO_CMI, INFO_CMI_KL, INFO_MI
from ....theory.validation import finite, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, kl_inverse
from .information_derivations import CMI_DERIVATION, KL_DERIVATION, MI_DERIVATION
from .information_worlds import WORLDS, Informations, LearningWorld, expected_losses, informations

UNIT = 2.0**-53


@dataclass(frozen=True)
class MemorySetting:
    """I(W;S) and the I(W;Z_i) in nats, one for each of the n examples, and sigma of the loss."""

    information: float
    individual: NDArray[np.float64]
    sigma: float

    def __post_init__(self) -> None:
        non_negative("information", finite("information", self.information, ndim=0)), non_negative("sigma", self.sigma)
        sample_size(
            "the number of individual informations",
            non_negative("individual", finite("individual", self.individual, ndim=1)).size,
        )


@dataclass(frozen=True)
class ConditionalSetting:
    """Expected training loss in [0, 1], CMI or evaluated CMI in nats, n pairs."""

    risk: float
    information: float
    n: int

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            non_negative("information", finite("information", self.information, ndim=0)),
            sample_size("n", self.n),
        )


@dataclass(frozen=True)
class Ends:
    """`first` and `second` bound: by I(W;S) and by the I(W;Z_i); square root and interpolating; upper and lower end of E L."""

    first: float
    second: float


# --- predictions --------------------------------------------------------------------------------------------------


def predict_mi(s: MemorySetting) -> Ends:
    return Ends(
        mutual_information(information=s.information, n=len(s.individual), sigma=s.sigma).value,
        individual_information(informations=s.individual, sigma=s.sigma).value,
    )


def predict_cmi(s: ConditionalSetting) -> Ends:
    return Ends(
        *(
            conditional_information(information=s.information, n=s.n, form=form).raw
            for form in ("square_root", "interpolating")
        )
    )


def predict_kl(s: ConditionalSetting) -> Ends:
    found = conditional_information_kl(risk=s.risk, information=s.information, n=s.n)
    return Ends(found.raw, float(found.lower or 0.0))


# --- checks: formulas ---------------------------------------------------------------------------------------------


def sample_mi(rng: np.random.Generator) -> MemorySetting:
    n = int(rng.integers(1, 9))
    return MemorySetting(float(10 ** rng.uniform(-8, 3)), 10 ** rng.uniform(-8, 2, n), float(10 ** rng.uniform(-3, 3)))


def sample_conditional(rng: np.random.Generator) -> ConditionalSetting:
    n = int(10 ** rng.uniform(0, 5))
    return ConditionalSetting(float(rng.choice([0.0, rng.uniform()])), float(n * 10 ** rng.uniform(-8, 0.5)), n)


def _formula(
    expression: Callable[[Any], Any], predict: Callable[[Any], Ends], sample: Any, width: Any, **more: Any
) -> Formula:
    read: Callable[[Ends], list[float]] = more.pop("read", lambda p: [p.first, p.second])
    return Formula(
        expression=expression,
        shipped=lambda s: read(predict(s)),
        read=read,
        sample=sample,
        width=width,
        count=100,
        **{"side": "upper", **more},
    )


MI = _formula(
    lambda s: [
        gap_ball(s.information, s.sigma, len(s.individual)),
        individual_gap_ball(s.individual.tolist(), s.sigma),
    ],
    predict_mi,
    sample_mi,
    lambda s: 16 * UNIT,
)  # a product, a quotient, a root, a sum: one ulp each
CMI = _formula(
    lambda s: [gap_ball(s.information, 1, s.n), interpolating_ball(s.information, s.n)],
    predict_cmi,
    sample_conditional,
    lambda s: 16 * UNIT,
)
# UP and its gap are concave in c: widths as for pb.kl, and c within an ulp; 2 UP - q is a sum of the two
KL_UPPER = _formula(
    lambda s: twice_the_inverse_balls(s.risk, s.information, s.n)[0],
    predict_kl,
    sample_conditional,
    lambda s: 20 * UNIT,
    read=lambda p: [p.first],
)


def sample_lower(rng: np.random.Generator) -> ConditionalSetting:
    """Complexities at which 2 LO - Lh is far above 0, where the lower end is clipped."""
    n = int(10 ** rng.uniform(0, 4))
    return ConditionalSetting(float(rng.uniform(0.2, 1)), float(n * 10 ** rng.uniform(-8, -2.5)), n)


# LO and its gap to a few ulps each, as in pb.klinv; their sum is at least 0.05
KL_LOWER = _formula(
    lambda s: twice_the_inverse_balls(s.risk, s.information, s.n)[1],
    predict_kl,
    sample_lower,
    lambda s: 200 * UNIT,
    read=lambda p: [p.second],
    side="lower",
)


def _scaled(formula: Formula, *factors: float) -> dict[str, Any]:
    return {
        "claim": replace(formula, shipped=lambda s: [x * f for x, f in zip(formula.shipped(s), factors, strict=True)])
    }


def _with(formula: Formula, predict: Callable[[Any], Ends], change: Callable[[Any], Any]) -> dict[str, Any]:
    return {"claim": replace(formula, shipped=lambda s: formula.read(predict(change(s))))}


# --- checks: finite worlds ----------------------------------------------------------------------------------------


_KNOWN: dict[str, tuple[Informations, tuple[float, float]]] = {}


def _world(s: LearningWorld) -> tuple[Informations, tuple[float, float]]:
    """Informations and expected losses of a world, computed once."""
    name = content_digest(s)
    if name not in _KNOWN:
        _KNOWN[name] = informations(s), expected_losses(s)
    return _KNOWN[name]


def world_mi(s: LearningWorld) -> Ends:
    known = _world(s)[0]
    return predict_mi(MemorySetting(known.sample, known.individual, 0.5))


def world_cmi(s: LearningWorld) -> Ends:
    known = _world(s)[0]
    return predict_cmi(ConditionalSetting(0.0, known.evaluated, s.n))


def world_kl(s: LearningWorld) -> Ends:
    known, (_, train) = _world(s)
    return predict_kl(ConditionalSetting(min(1.0, train), known.evaluated, s.n))


def _slacks(s: LearningWorld, *slacks: float) -> Enclosures:
    """Sums of `terms` numbers of at most 1 (and of their logarithms), each within an ulp; a square root doubles nothing."""
    rounding = 8 * _world(s)[0].terms * UNIT + 1e-14
    found = np.array(slacks)
    return Enclosures(found - rounding, found + rounding, 2.5 * rounding)


def compare_mi(s: LearningWorld, p: Ends, rows: Rows) -> Enclosures:
    true, train = expected_losses(s)
    return _slacks(s, p.second - abs(true - train), p.first - p.second)


def compare_cmi(s: LearningWorld, p: Ends, rows: Rows) -> Enclosures:
    true, train = expected_losses(s)
    known = _world(s)[0]
    interpolates = [p.second - true] if train == 0 else []
    return _slacks(s, p.first - abs(true - train), known.conditional - known.evaluated, *interpolates)


def compare_kl(s: LearningWorld, p: Ends, rows: Rows) -> Enclosures:
    true, _ = expected_losses(s)
    return _slacks(s, p.first - true, true - p.second)


def _factor(predict: Callable[[LearningWorld], Ends], first: float, second: float) -> dict[str, Any]:
    return {"predict": lambda s: Ends(predict(s).first * first, predict(s).second * second)}


def not_doubled(s: LearningWorld) -> Ends:
    known, (_, train) = _world(s)
    return Ends(float(kl_upper(min(1.0, train), known.evaluated / s.n)), 0.0)


QUICK = ByBudget(quick=WORLDS)
NO_TWO = float(np.sqrt(0.5))

MI_CHECKS = (
    Check("the shipped bounds are the last step, rounded upward", MI, controls=(
        Control("2 sigma^2 -> sigma^2", _scaled(MI, NO_TWO, NO_TWO)),
        Control("n + 1 for n", _scaled(replace(MI, shipped=lambda s: [predict_mi(s).first * np.sqrt(len(s.individual) / (len(s.individual) + 1)), predict_mi(s).second]), 1, 1)),
        Control("root of the mean for the mean of roots", {"claim": replace(MI, shipped=lambda s: [predict_mi(s).first, float(np.sqrt(2 * s.sigma**2 * s.individual.mean())) * (1 + 4 * UNIT * (len(s.individual) > 1))])}),
        Control("bits for nats", _with(MI, predict_mi, lambda s: replace(s, information=s.information / np.log(2)))),
    )),
    Check("finite worlds: |E gap| <= individual <= sample", Inequality(), settings=QUICK, compare=compare_mi, predict=world_mi, controls=(
        Control("2 sigma^2 -> sigma^2", _factor(world_mi, NO_TWO, NO_TWO)),
        Control("information divided by n twice", {"predict": lambda s: Ends(world_mi(s).first / np.sqrt(s.n), world_mi(s).second)}),
    )),
)  # fmt: skip
CMI_CHECKS = (
    Check("the shipped bounds are the last step, rounded upward", CMI, controls=(
        Control("2 CMI -> CMI", _scaled(CMI, NO_TWO, 1)),
        Control("ln 2 forgotten", _scaled(CMI, 1, float(np.log(2)))),
        Control("2 n for n", _with(CMI, predict_cmi, lambda s: replace(s, n=2 * s.n))),
    )),
    Check("finite worlds: |E gap|, eCMI <= CMI, and E L where the training loss is 0", Inequality(), settings=QUICK, compare=compare_cmi, predict=world_cmi, controls=(
        Control("2 CMI -> CMI", _factor(world_cmi, NO_TWO, 1)),
        Control("ln 2 forgotten", _factor(world_cmi, 1, float(np.log(2)))),
        Control("1 percent off the interpolating bound", _factor(world_cmi, 1, 0.99)),
    )),
)  # fmt: skip
KL_CHECKS = (
    Check("the shipped bound is the last step, rounded upward", KL_UPPER, controls=(
        Control("UP for 2 UP - Lh", {"claim": replace(KL_UPPER, shipped=lambda s: [float(kl_upper(s.risk, s.information / s.n))])}),
        Control("2 n for n", _with(KL_UPPER, predict_kl, lambda s: replace(s, n=2 * s.n))),
        Control("rounded to nearest", {"claim": replace(KL_UPPER, shipped=lambda s: [predict_kl(s).first * (1 - 2.0**-48)])}),
    )),
    Check("the shipped lower end is the last step, rounded downward", KL_LOWER, controls=(
        Control("LO for 2 LO - Lh", {"claim": replace(KL_LOWER, shipped=lambda s: [float(kl_lower(s.risk, s.information / s.n))])}),
        Control("2 n for n", _with(KL_LOWER, predict_kl, lambda s: replace(s, n=2 * s.n))),
    )),
    Check("finite worlds: E L between both ends", Inequality(), settings=QUICK, compare=compare_kl, predict=world_kl, controls=(
        Control("UP for 2 UP - Lh", {"predict": not_doubled}),
        Control("half of the width", {"predict": lambda s: Ends(world_kl(s).first / 2 + _world(s)[1][1] / 2, 0.0)}),
    )),
)  # fmt: skip

RESULTS = (
    Result(INFO_MI, predict=predict_mi, example=MemorySetting(2.0, np.array([0.1, 0.3, 0.2]), 0.5), checks=MI_CHECKS, uses=(change_of_measure.RESULT,), derivation=MI_DERIVATION),
    Result(INFO_CMI, predict=predict_cmi, example=ConditionalSetting(0.0, 12.0, 100), checks=CMI_CHECKS, uses=(change_of_measure.RESULT,), derivation=CMI_DERIVATION),
    Result(INFO_CMI_KL, predict=predict_kl, example=ConditionalSetting(0.05, 12.0, 100), checks=KL_CHECKS, uses=(change_of_measure.RESULT, kl_inverse.RESULT), derivation=KL_DERIVATION),
)  # fmt: skip
