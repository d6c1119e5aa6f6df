"""What the limit law means for predictions: ensembles agree with it, and nearly every probability tends to 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import acb, arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.classification import (
    ClassificationLimit,
    classification_limit,
    predictive_margin,
    predictive_probability,
)
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.store import Rows
from ....numerics.training.separable import flow_separable
from ....theory.axioms import GAUSSIAN_AFFINE, PROKHOROV
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.classification import CLASS_ENSEMBLE, CLASS_OVERCONFIDENCE
from ...result import ByBudget, Check, Control, Result, Run
from ..max_margin import residual
from ..separable_problems import distance_to_constant
from . import limit_law, on_networks
from .evidence import FLOW_ERROR, ClassificationSetting, factor_bound, flow, mean_bound, separator, spanning_problem


@dataclass(frozen=True, eq=False)
class EnsemblePrediction:
    """Late weights of the member with noise z are direction log t + offset + factor z; `shift` is that of the mean."""

    direction: Float[np.ndarray, " parameters"]
    offset: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]


@dataclass(frozen=True, eq=False)
class CertaintyPrediction:
    """For a feature vector along w_hat and one across it: mean and deviation of the margin, and the probability, at each time."""

    means: Float[np.ndarray, "features times"]
    deviations: Float[np.ndarray, " features"]
    probabilities: Float[np.ndarray, "features times"]


# --- derivation ---------------------------------------------------------------------------------------------------


def push_forward() -> list[tuple[Any, Any]]:
    """w_hat log t + w_tilde + P (mu_0 + S_0 z) against mu_t + S_t z in the limit, in one coordinate of each kind."""
    import sympy

    w, c, kept, factor, z, log_t = sympy.symbols("w c mu s z logt", real=True)
    member, law = w * log_t + c + (kept + factor * z), (w * log_t + c + kept) + factor * z
    return [(member, law)]


def certain() -> list[tuple[Any, Any]]:
    """Margin a log t + b + d z over its deviation, and sigma(u) + sigma(-u) = 1."""
    import sympy

    a, b, log_t, z, u = sympy.symbols("a b logt z u", real=True)
    d = sympy.Symbol("d", positive=True)
    sigma = 1 / (1 + sympy.exp(-u))
    return [
        ((a * log_t + b) / d / log_t, a / d + b / (d * log_t)),
        (sigma + sigma.subs(u, -u), 1),
        ((a * log_t + b + d * z).subs(a, 0), b + d * z),
    ]


ENSEMBLE_DERIVATION = (
    Uses(
        residual.RESULT,
        "each member w_0 tends to w_hat log t + w_tilde + P w_0, since the support vectors span the rows",
    ),
    Uses(limit_law.RESULT, "mu_t and S_t tend to w_hat log t + w_tilde + P mu_0 and P S_0"),
    Algebra("with w_0 = mu_0 + S_0 z both are the same affine function of z", push_forward),
    Axiom(GAUSSIAN_AFFINE, "so the two limit laws agree"),
)
CERTAINTY_DERIVATION = (
    Uses(limit_law.RESULT, "x^T w ~ N(x^T w_hat log t + x^T (w_tilde + P mu_0) + o(1), ||S_0^T P x||^2 + o(1))"),
    Algebra(
        "mean over deviation grows like log t unless x^T w_hat = 0, where the law of the margin converges", certain
    ),
    Axiom(PROKHOROV, "sigma is bounded and continuous, so E sigma(x^T w) converges: to 0 or 1, or to the stated mean"),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict_ensemble(s: ClassificationSetting) -> EnsemblePrediction:
    limit = classification_limit(s.design, s.prior, step=s.step)
    return EnsemblePrediction(limit.direction, limit.offset, limit.factor)


def features(s: ClassificationSetting) -> Float[np.ndarray, "2 parameters"]:
    """One feature vector with a positive margin under w_hat, and one with none; fixed by the design alone."""
    w = separator(s.design).weights
    generic = np.cos(1.0 + np.arange(len(w)))
    across = generic - w * (w @ generic) / (w @ w)
    return np.stack([across + w / (w @ w), across])


def predict_certainty(s: ClassificationSetting) -> CertaintyPrediction:
    limit = classification_limit(s.design, s.prior, step=s.step)
    x = features(s)
    margins = np.array([[predictive_margin(limit.at(t), row) for t in s.times] for row in x])
    probabilities = np.array([[predictive_probability(limit.at(t), row) for t in s.times] for row in x])
    return CertaintyPrediction(margins[:, :, 0], margins[:, 0, 1], probabilities)


# --- checks -------------------------------------------------------------------------------------------------------


def setting(seed: int) -> ClassificationSetting:
    _, design, prior = spanning_problem(seed)
    return ClassificationSetting(design, prior.mean, prior.factor, 1.0, (2.0, 1e5, 1e12))


SETTINGS = ByBudget(quick=tuple(map(setting, range(3))), standard=lambda: tuple(map(setting, range(12))))
NOT_SPANNING = ClassificationSetting(
    np.array([[1.0, 0.0, 0.0], [2.5, 2.0, 0.0]]), np.zeros(3), np.eye(3), 1.0, (2.0, 1e20)
)
MEMBERS = 3


def noise(s: ClassificationSetting) -> Float[np.ndarray, "members rank"]:
    return np.random.default_rng(7).normal(size=(MEMBERS, s.prior_factor.shape[1]))


def train_members(s: ClassificationSetting, run: Run) -> dict[str, Any]:
    """Point estimates from w_0 = mu_0 + S_0 z, and mu_t + S_t z of the variational law, for the same z; late times only differ in o(1)."""
    record, none = np.log1p(np.array(s.times)), np.zeros((len(s.prior_mean), 0))
    law = flow_separable(s.design, s.prior_mean, s.prior_factor, record=record, rtol=1e-12)
    draws = noise(s)
    members = [
        flow_separable(s.design, s.prior_mean + s.prior_factor @ z, none, record=record, rtol=1e-12).means
        for z in draws
    ]
    pushed = law.means[None] + np.einsum("tpr,mr->mtp", law.factors, draws)
    return {"member": np.stack(members).reshape(MEMBERS, -1), "pushed": pushed.reshape(MEMBERS, -1)}


def compare_members(s: ClassificationSetting, prediction: EnsemblePrediction, rows: Rows) -> Comparison:
    """The last weights of every member against the limit law pushed forward by its noise."""
    found, p = separator(s.design), len(s.prior_mean)
    last, time = rows["member"][:, -p:], float(s.times[-1])
    predicted = prediction.direction * math.log(time) + prediction.offset + noise(s) @ prediction.factor.T
    log_time = math.log1p(time)
    shown = np.array([distance_to_constant(found, w, log_time) for w in last])
    size = np.linalg.norm(last, axis=1)
    bound = shown + FLOW_ERROR * (size + np.linalg.norm(s.prior_factor)) + np.linalg.norm(found.weights) / time
    return Comparison(last, predicted, bound[:, None], size[:, None])


def compare_gaps(s: ClassificationSetting, prediction: Any, rows: Rows) -> Enclosures:
    """Ensemble against variational law, as the largest distance of a member from its image: 1e-3 at least at t = 2, always;
    at the last time 1e-8 at most where the support vectors span, 1e-3 at least where they do not."""
    gaps = np.linalg.norm((rows["member"] - rows["pushed"]).reshape(MEMBERS, len(s.times), -1), axis=2).max(axis=0)
    spanning = len(separator(s.design).support) == np.linalg.matrix_rank(s.design)
    slack = np.array([gaps[0] - 1e-3, 1e-8 - gaps[-1] if spanning else gaps[-1] - 1e-3])
    return Enclosures(slack, slack)


def gaps_with(change: Callable[[np.ndarray], np.ndarray]) -> Mapping[str, Any]:
    def compare(s: ClassificationSetting, prediction: Any, rows: Rows) -> Enclosures:
        return compare_gaps(s, prediction, {**rows, "member": change(rows["member"] - rows["pushed"]) + rows["pushed"]})

    return {"compare": compare}


def changed(predict: Callable[[Any], Any], change: Callable[[Any, Any], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: Any) -> Any:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def measured_probability(mean: float, deviation: float) -> float:
    """E sigma(mean + deviation z) by 200 Gauss-Hermite nodes: another rule than the shipped one."""
    z, weight = np.polynomial.hermite_e.hermegauss(180)
    return float(weight @ (1 / (1 + np.exp(-np.clip(mean + deviation * z, -700, 700)))) / weight.sum())


def compare_certainty(s: ClassificationSetting, prediction: CertaintyPrediction, rows: Rows) -> Comparison:
    """Margins and probabilities of the trained law at the last two times; sigma is 1/4-Lipschitz in the margin's mean and deviation."""
    found, x = separator(s.design), features(s)
    shape, parts = s.prior_factor.shape, []
    for index in (1, 2):
        at = int(np.argmin(np.abs(rows["time"] - s.times[index])))
        mean, factor = rows["mean"][at], rows["factor"][at].reshape(shape)
        near = mean_bound(s, found, mean, rows["log_time"][at], s.times[index])
        left = factor_bound(s, {name: rows[name][: at + 1] for name in ("log_time", "mean", "factor")})
        for k, row in enumerate(x):
            center, deviation = float(row @ mean), float(np.linalg.norm(row @ factor))
            long = float(np.linalg.norm(row))
            parts += [
                (center, prediction.means[k, index], near * long, 1 + abs(center)),
                (deviation, prediction.deviations[k], left * long, 1.0),
                (
                    measured_probability(center, deviation),
                    prediction.probabilities[k, index],
                    (near + left) * long / 4 + 1e-9,
                    1.0,
                ),
            ]
    columns = np.array(parts, dtype=float)
    return Comparison(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])


@dataclass(frozen=True)
class ProbabilitySetting:
    """Mean and standard deviation of a margin."""

    mean: float
    deviation: float


def sample(rng: np.random.Generator) -> ProbabilitySetting:
    return ProbabilitySetting(float(rng.integers(-160, 160)) / 16, float(rng.integers(0, 80)) / 16)


def last_steps(s: ProbabilitySetting) -> arb:
    """The integral over [-14, 14], whose complement holds less than 1e-43, by certified quadrature."""

    def density(z: acb, analytic: bool) -> acb:
        return (-z * z / 2).exp() / (1 + (-(s.mean + s.deviation * z)).exp()) / (2 * acb.pi()).sqrt()

    return acb.integral(density, -14, 14, rel_tol=arb(10) ** -25, abs_tol=arb(10) ** -25).real


def shipped(s: ProbabilitySetting) -> float:
    return predictive_probability(GaussianLaw(np.array([s.mean]), np.array([[s.deviation]])), [1.0])


def width(s: ProbabilitySetting) -> float:
    """The contract's 1e-12 for logistic expectations, and the rounding of a sum of some 400 terms up to sigma's exponent."""
    return 1e-12


FORMULA = Formula(
    expression=last_steps, shipped=shipped, read=lambda p: p.probabilities, sample=sample, width=width, count=25
)


def mutated(change: Callable[[ProbabilitySetting], float]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


def formula_prediction(s: ProbabilitySetting) -> CertaintyPrediction:
    limit = ClassificationLimit(np.zeros(1), np.array([s.mean]), np.array([[s.deviation]]))
    return CertaintyPrediction(np.zeros(0), np.zeros(0), np.array([predictive_probability(limit.at(1.0), [1.0])]))


ENSEMBLE_CHECKS = (
    Check(
        "members at late times",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train_members,
        compare=compare_members,
        controls=(
            Control("members end at the mean", changed(predict_ensemble, lambda s, p: {"factor": 0 * p.factor})),
            Control("members keep their whole start", changed(predict_ensemble, lambda s, p: {"factor": s.prior_factor})),
            Control("initial variance in the constant", changed(predict_ensemble, lambda s, p: {"offset": p.offset + np.linalg.pinv(s.design) @ ((s.design @ s.prior_factor) ** 2).sum(axis=1) / 2})),
        ),
    ),
    Check(
        "distance between ensemble and law",
        Inequality(),
        settings=ByBudget(quick=(SETTINGS.quick[0], NOT_SPANNING), standard=(*SETTINGS.quick, NOT_SPANNING)),
        experiment=train_members,
        predict=lambda s: None,
        compare=compare_gaps,
        controls=(
            Control("equal at every time, as in regression", gaps_with(lambda gap: 0 * gap)),
            Control("never equal", gaps_with(lambda gap: gap + 1e-3)),
        ),
    ),
)  # fmt: skip

CERTAINTY_CHECKS = (
    Check(
        "margins and probabilities of the trained law",
        Agreement("convergence", relative=5e-3),
        settings=SETTINGS,
        experiment=flow,
        plan=ByBudget(quick=({"method": "DOP853"},)),
        compare=compare_certainty,
        controls=(
            Control("one half wherever x^T w_hat = 0", changed(predict_certainty, lambda s, p: {"probabilities": np.stack([p.probabilities[0], np.full(len(s.times), 0.5)])})),
            Control("whole prior deviation", changed(predict_certainty, lambda s, p: {"deviations": np.linalg.norm(features(s) @ s.prior_factor, axis=1)})),
            Control("probability at the mean margin", changed(predict_certainty, lambda s, p: {"probabilities": 1 / (1 + np.exp(-p.means))})),
            Control("mean that stays", changed(predict_certainty, lambda s, p: {"means": np.repeat(p.means[:, :1], len(s.times), axis=1)})),
        ),
    ),
    Check(
        "shipped probability",
        FORMULA,
        predict=formula_prediction,
        controls=(
            Control("off by 1e-10", mutated(lambda s: (1 + 1e-10) * shipped(s))),
            Control("probit approximation", mutated(lambda s: 1 / (1 + math.exp(-s.mean / math.sqrt(1 + math.pi * s.deviation**2 / 8))))),
            Control("deviation off by 1e-9", mutated(lambda s: shipped(replace(s, deviation=s.deviation * (1 + 1e-8))))),
        ),
    ),
    *on_networks.CHECKS,
)  # fmt: skip

ENSEMBLE = Result(
    CLASS_ENSEMBLE, predict=predict_ensemble, example=limit_law.EXAMPLE, checks=ENSEMBLE_CHECKS, uses=(residual.RESULT, limit_law.RESULT), derivation=ENSEMBLE_DERIVATION
)  # fmt: skip
OVERCONFIDENCE = Result(
    CLASS_OVERCONFIDENCE, predict=predict_certainty, example=limit_law.EXAMPLE, checks=CERTAINTY_CHECKS, uses=(limit_law.RESULT,), derivation=CERTAINTY_DERIVATION
)  # fmt: skip
RESULTS = (ENSEMBLE, OVERCONFIDENCE)
