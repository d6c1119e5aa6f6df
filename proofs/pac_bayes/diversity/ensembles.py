"""R(ensemble) <= alpha (E_rho L - Div): an equality for the squared loss, V for the log-loss, four joint errors for the majority vote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.claims import Enclosures, Formula, Identity, Inequality
from ....numerics.diversity.ensembles import ensemble_report
from ....numerics.diversity.jensen import jensen_bounds
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY
from ....theory.balls.jensen import ensemble_balls
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import DIVERSITY
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result
from . import jensen

UNIT = 2.0**-53
Loss = Literal["squared", "cross_entropy", "zero_one"]


@dataclass(frozen=True)
class EnsembleSetting:
    """Predictions of the members (models x examples): real numbers, log-losses or class labels; targets (ignored for log-losses); and
    the members' weights, which sum to 1."""

    loss: Loss
    predictions: NDArray[np.float64]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        f, y = finite("predictions", self.predictions, ndim=2), finite("targets", self.targets, ndim=1)
        rho = non_negative("weights", self.weights)
        if not f.size or f.shape != (rho.size, y.size) or abs(float(rho.sum()) - 1) > 1e-9:
            raise InvalidInput(
                "predictions, targets and weights do not fit.",
                "One row per member, one column per target, weights of sum 1.",
            )


@dataclass(frozen=True)
class EnsemblePrediction:
    """E_rho L, Div, the ensemble's loss, and alpha."""

    average_loss: float
    diversity: float
    ensemble_loss: float
    alpha: float


# --- derivation ---------------------------------------------------------------------------------------------------


def ambiguity() -> list[tuple[Any, Any]]:
    import sympy

    r, f, y = sympy.symbols("r1:3", positive=True), sympy.symbols("f1:4", real=True), sympy.Symbol("y", real=True)
    rho = (*r, 1 - r[0] - r[1])
    mean = sum(w * v for w, v in zip(rho, f, strict=True))
    loss = sum(w * (v - y) ** 2 for w, v in zip(rho, f, strict=True))
    variance = sum(w * (v - mean) ** 2 for w, v in zip(rho, f, strict=True))
    return [(loss - variance, (mean - y) ** 2)]


def majority() -> list[tuple[Any, Any]]:
    import sympy

    e = sympy.Symbol("e", positive=True)
    # the variance of an indicator of mean e is e - e^2; and 4 e^2 - 1 = (2e - 1)(2e + 1) is not negative from e = 1/2 on
    return [(e - e * (1 - e), e**2), (4 * e**2 - 1, (2 * e - 1) * (2 * e + 1))]


DERIVATION = (
    Algebra("squared loss: E_rho (f - y)^2 - Var_rho f = (mean f - y)^2, whatever the weights", ambiguity),
    Uses(jensen.RESULT, "log-loss: CE <= E_rho L - V"),
    Algebra("0-1 loss: e - Var_rho(1[h(x) != y]) = e^2 for e = rho(h(x) != y); a weighted majority can only err where e >= 1/2, and there 1 <= 4 e^2", majority),
    Axiom(LINEARITY, "the three inequalities hold for every example, so they hold on average"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> EnsemblePrediction:
    targets = None if s.loss == "cross_entropy" else s.targets
    found = ensemble_report(s.predictions, targets, loss=s.loss, weights=s.weights)
    return EnsemblePrediction(found.average_loss, found.diversity, found.ensemble_loss, found.alpha)


# --- checks -------------------------------------------------------------------------------------------------------


def draw(rng: np.random.Generator, loss: Any) -> EnsembleSetting:
    models, examples = int(rng.integers(2, 7)), int(rng.integers(1, 6))
    rho = rng.dirichlet(np.full(models, 3.0)) if rng.random() < 0.7 else np.full(models, 1.0 / models)
    if loss == "zero_one":
        return EnsembleSetting(
            loss, rng.integers(0, 3, (models, examples)).astype(float), rng.integers(0, 3, examples).astype(float), rho
        )
    if loss == "cross_entropy":
        return EnsembleSetting(loss, rng.exponential(size=(models, examples)) + 0.01, np.zeros(examples), rho)
    scale = 10 ** rng.uniform(-3, 3)
    return EnsembleSetting(loss, rng.normal(size=(models, examples)) * scale, rng.normal(size=examples) * scale, rho)


def sample(rng: np.random.Generator) -> EnsembleSetting:
    return draw(rng, str(rng.choice(["squared", "cross_entropy", "zero_one"])))


def width(s: EnsembleSetting) -> list[float]:
    """Means of non-negative terms: (M + N + 10) roundings, except for a square of a mean prediction that nearly vanishes."""
    models, examples = s.predictions.shape
    plain = (models + examples + 10) * UNIT
    if s.loss == "cross_entropy":
        one = jensen.width(jensen.LossArraySetting(s.predictions, s.weights))
        return [one[0], one[3], one[1]]
    if s.loss == "zero_one":
        e = s.weights @ (s.predictions != s.targets)
        return [
            2 * plain,
            4 * plain * float(np.max(np.where((e > 0) & (e < 1), 1 / np.maximum(1 - e, 1e-9), 1.0))) + plain,
            0.0 if not predict(s).ensemble_loss else plain,
        ]
    residual = s.predictions - s.targets
    rho = s.weights / s.weights.sum()
    mean = rho @ residual
    spread = rho @ (residual - mean) ** 2
    square = rho @ residual**2
    # rounding of a mean of residuals: plain times their size; twice that in its square and in the centred squares
    return [
        4 * plain,
        4 * plain * (1 + float(np.sqrt(spread * square).sum() / spread.sum())),
        4 * plain * (1 + float((np.abs(mean) * (rho @ np.abs(residual))).sum() / (mean**2).sum())),
    ]


FORMULA = Formula(
    expression=lambda s: ensemble_balls(s.loss, s.predictions.tolist(), s.targets.tolist(), s.weights.tolist()),
    shipped=lambda s: [predict(s).average_loss, predict(s).diversity, predict(s).ensemble_loss],
    read=lambda p: [p.average_loss, p.diversity, p.ensemble_loss],
    sample=sample,
    width=width,
)


def compare_slack(s: EnsembleSetting, p: EnsemblePrediction, rows: Rows) -> Enclosures:
    """alpha (E_rho L - Div) - R: exact E_rho L and R, the predicted alpha, and the predicted Div widened by its rounding."""
    with ctx.workdps(50):
        average, _, ensemble = ensemble_balls(s.loss, s.predictions.tolist(), s.targets.tolist(), s.weights.tolist())
        rounding = width(s)[1] * abs(p.diversity)
        slack = p.alpha * (average - arb(p.diversity, rounding)) - ensemble
        return Enclosures(
            np.array([float(slack.lower())]), np.array([float(slack.upper())]), 10 * p.alpha * rounding + 1e-30
        )


def settings(loss: Loss, count: int) -> tuple[EnsembleSetting, ...]:
    return tuple(draw(generator(1, "pb.diversity", loss, i), loss) for i in range(count))


# three voters of whom two err: e = 2/3
TWO_OF_THREE = EnsembleSetting("zero_one", np.array([[1.0], [1.0], [0.0]]), np.array([0.0]), np.full(3, 1 / 3))


def _alpha(value: float) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), alpha=value)}


def _diversity(factor: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), diversity=factor(s) * predict(s).diversity)}


def bessel(s: EnsembleSetting) -> float:
    return len(s.weights) / (len(s.weights) - 1)


def _mutant(loss: Loss, function: Any) -> dict[str, Any]:
    def shipped(s: EnsembleSetting) -> list[float]:
        p = predict(s)
        values = [p.average_loss, p.diversity, p.ensemble_loss]
        return function(s, values) if s.loss == loss else values

    return {"claim": replace(FORMULA, shipped=shipped)}


CHECKS = (
    Check(
        "the shipped report is the definitions",
        FORMULA,
        controls=(
            Control("variance with M - 1", _mutant("squared", lambda s, v: [v[0], v[1] * bessel(s), v[2]])),
            Control("best member in place of the ensemble", _mutant("squared", lambda s, v: [*v[:2], float(((s.predictions - s.targets) ** 2).mean(axis=1).min())])),
            Control("V_h in place of V", _mutant("cross_entropy", lambda s, v: [v[0], jensen_bounds(s.predictions, weights=s.weights)["tight"], v[2]])),
            Control("unweighted vote", _mutant("zero_one", lambda s, v: [*v[:2], predict(replace(s, weights=np.full(len(s.weights), 1 / len(s.weights)))).ensemble_loss])),
            Control("disagreement for diversity", _mutant("zero_one", lambda s, v: [v[0], 2 * v[1], v[2]])),
        ),
    ),
    Check(
        "squared loss: an equality",
        Identity(),
        settings=ByBudget(quick=settings("squared", 12), full=lambda: settings("squared", 300)),
        compare=compare_slack,
        controls=(Control("variance with M - 1", _diversity(bessel)), Control("alpha = 1.01", _alpha(1.01))),
    ),
    Check(
        "log-loss: an inequality",
        Inequality(),
        settings=ByBudget(quick=settings("cross_entropy", 12), full=lambda: settings("cross_entropy", 300)),
        compare=compare_slack,
        controls=(
            Control("the variance not divided by 2", _diversity(lambda s: 2.0)),
            Control("alpha = 1/2", _alpha(0.5)),
        ),
    ),
    Check(
        "0-1 loss: an inequality",
        Inequality(),
        settings=ByBudget(quick=(*settings("zero_one", 12), TWO_OF_THREE), full=lambda: settings("zero_one", 300)),
        compare=compare_slack,
        controls=(
            Control("alpha = 2, as for the Gibbs risk", _alpha(2.0)),
            Control("the disagreement 2 e (1-e) for the variance", _diversity(lambda s: 2.0)),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    DIVERSITY,
    predict=predict,
    example=TWO_OF_THREE,
    checks=CHECKS,
    uses=(jensen.RESULT,),
    derivation=DERIVATION,
)
