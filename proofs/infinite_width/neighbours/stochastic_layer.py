"""Wide stochastic networks: given the trained means, the output has known moments at any width and becomes Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float
from scipy.special import ndtr

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.intervals import multiplier
from ....numerics.networks.stochastic_moments import relu_moments, square_loss, stochastic_output, zero_one_loss
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CLT, INDEPENDENCE, LINEARITY, PROKHOROV
from ....theory.balls.relu_moments import stochastic_output_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import CLERICO2021
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..kernels.nngp import ladder
from . import half_gaussian_algebra

UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class StochasticLayerSetting:
    """Means mu_j of the pre-activations at one input (n,), their deviation tau, readout means m_j (n,), readout deviation s."""

    hidden_mean: Float[np.ndarray, " n"]
    hidden_deviation: float
    readout_mean: Float[np.ndarray, " n"]
    readout_deviation: float

    def __post_init__(self) -> None:
        if (
            finite("hidden_mean", self.hidden_mean, ndim=1).shape
            != finite("readout_mean", self.readout_mean, ndim=1).shape
        ):
            raise InvalidInput("hidden_mean and readout_mean differ in length.", "One entry per unit.")
        if not (self.hidden_deviation > 0 and self.readout_deviation >= 0):
            raise InvalidInput("A deviation is out of range.", "hidden_deviation > 0, readout_deviation >= 0.")


@dataclass(frozen=True)
class StochasticLayerPrediction:
    """Mean and variance of the output, exact at n; expected 0-1 loss at label +1 in the limit; expected square loss, exact."""

    mean: float
    variance: float
    zero_one: float
    square: float


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Algebra("E max(z,0) and E max(z,0)^2 from the density of z", half_gaussian_algebra.half_gaussian),
    Axiom(LINEARITY, "the mean of the output is n^-1/2 sum m_j E phi(z_j): w_j and z_j are independent"),
    Axiom(INDEPENDENCE, "so are the units, so variances add"),
    Algebra("variance of one unit, and the variance of max(z,0) without cancellation", half_gaussian_algebra.moments_of_a_unit),
    Algebra("partial moments of the tail, for units that are mostly off", half_gaussian_algebra.partial_moments),
    Axiom(CLT, "with bounded means the sum over units becomes Gaussian given them (Lyapunov: a third moment of order n^-1/2)"),
    Axiom(PROKHOROV, "so P(y f <= 0) tends to Phi(-y mean/deviation)"),
    Algebra("square and Gaussian losses need two moments only, at every width", half_gaussian_algebra.expected_losses),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: StochasticLayerSetting) -> StochasticLayerPrediction:
    found = stochastic_output(
        hidden_mean=s.hidden_mean[None],
        hidden_deviation=np.array([s.hidden_deviation]),
        readout_mean=s.readout_mean,
        readout_deviation=s.readout_deviation,
    )
    one = {"mean": found.mean, "variance": found.variance, "labels": np.array([1.0])}
    return StochasticLayerPrediction(
        float(found.mean[0]), float(found.variance[0]), float(zero_one_loss(**one)[0]), float(square_loss(**one)[0])
    )


def flatten(p: StochasticLayerPrediction) -> np.ndarray:
    return np.array([p.mean, p.variance, p.zero_one, p.square])


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> StochasticLayerSetting:
    """Units from always on to eight deviations off; readout means of one sign, so that the mean keeps its digits."""
    units = int(rng.integers(1, 6))
    tau = float(10 ** rng.uniform(-1, 1))
    return StochasticLayerSetting(
        tau * rng.uniform(-8, 8, units),
        tau,
        rng.choice([-1.0, 1.0]) * rng.uniform(0.1, 2, units),
        float(rng.choice([0.0, 1.0])),
    )


def exact(s: StochasticLayerSetting) -> list[arb]:
    mean, variance, loss = stochastic_output_ball(
        s.hidden_mean.tolist(), s.hidden_deviation, s.readout_mean.tolist(), s.readout_deviation
    )
    return [mean, variance, loss, (mean - 1) ** 2 + variance]


def width(s: StochasticLayerSetting) -> np.ndarray:
    """The density's exponent x^2/2 carries 2 u x^2 (and so do Phi, the moments and the sums of one sign); below -1 all terms are
    positive, above the sums lose at most a factor 8. A tail Phi(-y) changes by y^2 + 1 of the relative change of y."""
    x2 = float(np.max((s.hidden_mean / s.hidden_deviation) ** 2))
    one = (4 * x2 + 120 + 4 * len(s.hidden_mean)) * UNIT
    p = predict(s)
    margin2 = p.mean**2 / p.variance
    square = p.mean**2 + 1 + p.variance
    return np.array([one, one, (2 * margin2 + 4) * one, 4 * one * square / p.square])


FORMULA = Formula(expression=exact, shipped=lambda s: flatten(predict(s)), read=flatten, sample=sample, width=width, count=60)  # fmt: skip


def _mutant(**changes: Any) -> dict[str, Any]:
    def wrong(s: StochasticLayerSetting) -> np.ndarray:
        p = predict(s)
        return flatten(replace(p, **{name: change(p, s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


def _units(s: StochasticLayerSetting) -> Any:
    return relu_moments(mean=s.hidden_mean, deviation=s.hidden_deviation)


def textbook_variance(s: StochasticLayerSetting) -> float:
    """The printed moments in float64, subtracted."""
    x = s.hidden_mean / s.hidden_deviation
    p, phi = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), ndtr(x)
    first, second = s.hidden_deviation * (x * phi + p), s.hidden_deviation**2 * ((x**2 + 1) * phi + x * p)
    terms = s.readout_deviation**2 * second + s.readout_mean**2 * (second - first**2)
    return float(np.sum(terms)) / len(x)


# --- checks: networks ---------------------------------------------------------------------------------------------


def widened(s: StochasticLayerSetting, copies: int) -> StochasticLayerSetting:
    """`copies` of every unit, readout means over sqrt(copies): the limit's mean and variance in s stay as they are."""
    return replace(
        s,
        hidden_mean=np.tile(s.hidden_mean, copies),
        readout_mean=np.tile(s.readout_mean, copies) / np.sqrt(copies),
    )


def draws(setting: StochasticLayerSetting, run: Run) -> Mapping[str, Any]:
    """Given the hidden draws: mean and variance of f over the readout draws, for `copies` of the units."""
    s = widened(setting, run.block["copies"])
    rng = generator(run.seed, "hidden draws")
    n = len(s.hidden_mean)
    phi = np.maximum(s.hidden_mean + s.hidden_deviation * rng.normal(size=(run.block["draws"], n)), 0)
    return {
        "centre": phi @ s.readout_mean / np.sqrt(n),
        "spread": s.readout_deviation**2 * np.sum(phi**2, axis=1) / n,
    }


def compare_moments(s: StochasticLayerSetting, p: StochasticLayerPrediction, rows: Rows) -> Comparison:
    """Mean, and mean square about the predicted mean, of five units."""
    terms = np.stack([rows["centre"], rows["spread"] + (rows["centre"] - p.mean) ** 2])
    error = multiplier(2, degrees=terms.shape[1] - 1) * terms.std(axis=1, ddof=1) / np.sqrt(terms.shape[1])
    return Comparison(
        terms.mean(axis=1), np.array([p.mean, p.variance]), error, np.array([np.sqrt(p.variance), p.variance])
    )


def compare_loss(s: StochasticLayerSetting, p: StochasticLayerPrediction, rows: Rows) -> Ladder:
    """P(f <= 0) given the hidden draws, averaged, less that of a Gaussian with the exact moments at that width, as printed.

    The moments at `copies` are those of the setting with readout means over sqrt(copies); only the law's shape is left.
    """
    off = rows["spread"] == 0  # every unit is off and f = 0, which counts as an error
    loss = np.where(off, 1.0, ndtr(-rows["centre"] / np.sqrt(np.where(off, 1.0, rows["spread"]))))
    target = np.array([p_of(s, int(c), p) for c in np.unique(rows["copies"])])
    relative = loss - target[np.searchsorted(np.unique(rows["copies"]), rows["copies"])]
    return ladder(rows["copies"] * len(s.hidden_mean), relative, relative)


def p_of(s: StochasticLayerSetting, copies: int, p: StochasticLayerPrediction) -> float:
    """Expected 0-1 loss predicted for that width, shifted by what the prediction under test is off at the setting's own."""
    return predict(widened(s, copies)).zero_one + p.zero_one - predict(s).zero_one


EXAMPLE = StochasticLayerSetting(np.array([0.5, -1.0, 1.5, 0.0]), 1.0, np.array([2.0, -1.5, 1.0, -2.0]), 0.5)
MOMENTS = ByBudget(quick=({"copies": 1, "draws": 300_000},))
PLAN = ByBudget(
    quick=tuple({"copies": c, "draws": r} for c, r in ((4, 150_000), (8, 120_000), (16, 80_000), (32, 50_000)))
)


def _by(**changes: Any) -> dict[str, Any]:
    def wrong(s: StochasticLayerSetting) -> StochasticLayerPrediction:
        p = predict(s)
        return replace(p, **{name: change(p, s) for name, change in changes.items()})

    return {"predict": wrong}


CHECKS = (
    Check(
        "shipped moments and losses",
        FORMULA,
        controls=(
            Control("readout means out of the variance", _mutant(variance=lambda p, s: p.variance - float(np.mean(s.readout_mean**2 * _units(s).variance)) + 1e-9)),
            Control("E phi^2 for Var phi", _mutant(variance=lambda p, s: p.variance + float(np.mean(s.readout_mean**2 * _units(s).mean ** 2)))),
            Control("max of the mean for the mean of max", _mutant(mean=lambda p, s: float(np.maximum(s.hidden_mean, 0) @ s.readout_mean) / np.sqrt(len(s.hidden_mean)))),
            Control("n for sqrt(n)", _mutant(mean=lambda p, s: p.mean * (1 + 1e-9) / np.sqrt(len(s.hidden_mean)))),
            Control("wrong side of the margin", _mutant(zero_one=lambda p, s: 1 - p.zero_one)),
            Control("variance out of the square loss", _mutant(square=lambda p, s: p.square - p.variance)),
            Control("printed moments in float64", _mutant(variance=lambda p, s: textbook_variance(s))),
        ),
    ),
    Check(
        "four units: both moments are exact",
        Agreement("Monte Carlo", relative=0.02),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=draws,
        plan=MOMENTS,
        compare=compare_moments,
        controls=(
            Control("readout deviation alone", _by(variance=lambda p, s: float(np.mean(s.readout_deviation**2 * _units(s).square)))),
            Control("E phi^2 for Var phi", _by(variance=lambda p, s: p.variance + float(np.mean(s.readout_mean**2 * _units(s).mean ** 2)))),
            Control("max of the mean for the mean of max", _by(mean=lambda p, s: float(np.maximum(s.hidden_mean, 0) @ s.readout_mean) / np.sqrt(len(s.hidden_mean)))),
        ),
    ),
    Check(
        "wide layers: the 0-1 loss becomes that of a Gaussian",
        LimitWithRate(rate=(-1.4, -0.6)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=draws,
        plan=PLAN,
        compare=compare_loss,
        controls=(
            Control("variance of the readout alone", _by(zero_one=lambda p, s: float(ndtr(-p.mean / np.sqrt(np.mean(s.readout_deviation**2 * _units(s).square)))))),
            Control("wrong side of the margin", _by(zero_one=lambda p, s: 1 - p.zero_one)),
        ),
    ),
)  # fmt: skip

RESULT = Result(CLERICO2021, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
