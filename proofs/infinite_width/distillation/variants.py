"""Centred, scaled and readout-only distillation: the constant of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.store import Rows
from ....numerics.wide_networks.distillation import (
    distillation_error_covariance,
    distilled_variance,
    readout_error_covariance,
)
from ....numerics.wide_networks.ensemble import smoother
from ....theory.axioms import GAUSSIAN_AFFINE
from ....theory.balls.smoothers import beside, congruence, converged, diagonal, residual_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.distillation import RND_VARIANTS
from ....theory.validation import finite, flag
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law
from ..finite_distillation import linearised_distillation
from ..finite_networks import table
from ..kernels import nngp
from ..settings import EnsembleSetting, Trained, blocks
from ..wide_dynamics import distillation_steps, late_steps, rounding
from . import error_law, linear_smoother
from .rnd import covariances_add_up
from .setting import DistillationSetting, covariance_width, exact_kernels, sample_one

Layers = Literal["all", "readout"]


@dataclass(frozen=True, eq=False)
class VariantSetting:
    """An ensemble setting without labels; the target's scale c, whether u0 is subtracted, and which layers are trained."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    target_scale: float = 1.0
    centred: bool = False
    trained: Layers = "all"

    def __post_init__(self) -> None:
        finite("target_scale", self.target_scale, ndim=0)
        flag("centred", self.centred)
        if self.trained not in ("all", "readout"):
            raise InvalidInput(f"trained is {self.trained!r}.", "Use 'all' or 'readout'.")
        _ = self.network

    @property
    def network(self) -> EnsembleSetting:
        """The points with their architecture."""
        return EnsembleSetting(
            self.train, self.test, np.zeros(len(self.train)), self.activation, self.weight_scale, self.bias_scale
        )

    @property
    def distillation(self) -> DistillationSetting:
        """Predictor and target of this architecture."""
        scales = (self.activation, self.weight_scale, self.bias_scale)
        return DistillationSetting(self.train, self.test, *scales, *scales)


@dataclass(frozen=True)
class VariantPrediction:
    """Covariance (S, S) of the error, and the constant that its mean square is divided by to estimate a variance."""

    error_covariance: Float[np.ndarray, "test test"]
    constant: float


# --- derivations --------------------------------------------------------------------------------------------------


def constants() -> list[tuple[Any, Any]]:
    """A centred predictor starts at 0: Cov = c^2 M K M^T; with T = K the ensemble covariance is k - k_x a^{-1} k_x."""
    s, c, v, k, a = sympy.symbols("s c v k a", positive=True)
    m, joint = sympy.Matrix([[1, -s]]), sympy.Matrix([[v, k], [k, a]])
    centred = (c * m) * joint * (c * m).T
    readout = m.subs(s, k / a) * joint * m.subs(s, k / a).T
    return [(centred[0], c**2 * (m * joint * m.T)[0]), (readout[0], v - k**2 / a)]


DERIVATION = (
    Uses(linear_smoother.RESULT, "for a rule with smoother G the error is M (u0 - c g)"),
    Uses(nngp.RESULT, "u0 and g are N(0, K)"),
    Algebra("(1 + c^2) M K M^T for a target c g", covariances_add_up),
    Algebra("c^2 M K M^T without u0; and T = K makes M K M^T the NNGP posterior", constants),
    Uses(error_law.RESULT, "a target of another architecture adds M K_g M^T instead of M K M^T"),
    Axiom(GAUSSIAN_AFFINE, "all of them Gaussian"),
)

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: VariantSetting) -> VariantPrediction:
    k, t = blocks(s.network)
    constant = s.target_scale**2 + (not s.centred)
    if s.trained == "readout" and s.target_scale == 1 and not s.centred:
        return VariantPrediction(readout_error_covariance(k), constant)
    found = distillation_error_covariance(
        smoother=smoother(k if s.trained == "readout" else t),
        target_nngp=k,
        predictor_nngp=None if s.centred else k,
        target_scale=s.target_scale,
    )
    return VariantPrediction(found, constant)


# --- checks: variants ---------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> VariantSetting:
    s = sample_one(rng)
    return VariantSetting(
        s.train,
        s.test,
        s.activation,
        s.weight_scale,
        s.bias_scale,
        float(rng.choice([1.0, rng.uniform(0.2, 3)])),
        bool(rng.integers(2)),
        "all" if rng.integers(2) else "readout",
    )


def last_step(s: VariantSetting) -> list[arb]:
    """[M, -c M] applied to independent u0 (absent when centred) and g; and an estimate from two known errors."""
    k, t = exact_kernels(s.network)
    m = residual_map(converged(k if s.trained == "readout" else t, len(s.test)))
    c = arb(s.target_scale)
    operator = m * (-c) if s.centred else beside(m, m * (-c))
    covariance = congruence(operator, k if s.centred else diagonal(k, k))
    constant = c * c + (0 if s.centred else 1)
    return [*covariance.entries(), constant, (arb(9) + arb(16)) / 2 / constant]


def flatten(p: VariantPrediction, s: VariantSetting) -> np.ndarray:
    estimate = distilled_variance([3.0, -4.0], target_scale=s.target_scale, centred=s.centred)
    return np.concatenate([p.error_covariance.ravel(), [p.constant, estimate]])


def width(s: VariantSetting) -> np.ndarray:
    k, t = blocks(s.network)
    kernel, p = k if s.trained == "readout" else t, predict(s)
    found = covariance_width(kernel, smoother(kernel), p.constant * k.joint())
    return np.concatenate([found / np.abs(p.error_covariance.ravel()), [1e-15, 2e-15]])


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s), s),
    read=lambda p: np.concatenate([p.error_covariance.ravel(), [p.constant, 12.5 / p.constant]]),
    sample=sample,
    width=width,
    count=30,
)


def _always(**changes: Any) -> Callable[[VariantSetting], VariantPrediction]:
    return lambda s: predict(replace(s, **changes))


def _mutant(function: Callable[[VariantSetting], VariantPrediction]) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(function(s), s))}


def _c_for_c_squared(s: VariantSetting) -> VariantPrediction:
    return predict(replace(s, target_scale=float(np.sqrt(abs(s.target_scale)))))


def _half_when_centred(s: VariantSetting) -> VariantPrediction:
    p = predict(s)
    return VariantPrediction(p.error_covariance * (2 if s.centred else 1), p.constant)


WRONG: tuple[tuple[str, Callable[[VariantSetting], VariantPrediction]], ...] = (
    ("factor 2 for a centred predictor", _half_when_centred),
    ("never centred", _always(centred=False)),
    ("scale forgotten", _always(target_scale=1.0)),
    ("c for c^2", _c_for_c_squared),
    ("all layers trained", _always(trained="all")),
    ("only the readout trained", _always(trained="readout")),
)


def compare_descent(s: VariantSetting, p: VariantPrediction, rows: Rows) -> Comparison:
    """Descent step by step in the kernel of the trained layers."""
    k, t = blocks(s.network)
    kernel = k if s.trained == "readout" else t
    schedule = late_steps(kernel)
    error = distillation_steps(kernel, centred=s.centred, scale=s.target_scale, **schedule)  # type: ignore[arg-type]
    joint = np.asarray(np.kron(np.eye(2), k.joint()), dtype=np.float64)
    bound, scale = rounding(kernel, error, joint, steps=schedule["steps"])
    left = 4e-14 * (1 + float(np.linalg.norm(smoother(kernel), 2))) * scale
    return Comparison(error @ joint @ error.T, p.error_covariance, np.array(bound + left), scale)


def finite_networks(s: VariantSetting, run: Any) -> Any:
    """The variant in finite networks, linearised."""
    return linearised_distillation(s.distillation, run, trained=s.trained, centred=s.centred, scale=s.target_scale)


def compare_networks(s: VariantSetting, p: VariantPrediction, rows: Rows) -> Ladder:
    """E e^2 over the prediction, less 1, averaged over the test points."""
    ratio = (table(rows, "square", len(s.test)) / np.diag(p.error_covariance)).mean(axis=1) - 1
    return nngp.ladder(rows["width"], ratio, ratio)


BASE = ensemble_law.EXAMPLE
EXAMPLE = VariantSetting(BASE.train, BASE.test, "erf", (1.5, 1.5), (0.3, 0.3), 1.5, True)
SETTINGS = ByBudget(
    quick=(
        EXAMPLE,
        replace(EXAMPLE, centred=False, target_scale=0.5),
        replace(EXAMPLE, centred=False, target_scale=1.0, trained="readout"),
    )
)
PLAN = ByBudget(quick=tuple({"width": n, "members": 3_000} for n in (32, 64, 128, 256)))

CHECKS = (
    Check(
        "shipped covariance and estimate",
        FORMULA,
        controls=tuple(Control(name, _mutant(function)) for name, function in WRONG),
    ),
    Check(
        "descent from the draws ends there",
        Agreement("convergence"),
        settings=SETTINGS,
        compare=compare_descent,
        controls=tuple(Control(name, {"predict": function}) for name, function in WRONG),
    ),
    Check(
        "linearised finite networks",
        LimitWithRate(rate=None, resolution=0.1),
        settings=SETTINGS,
        experiment=finite_networks,
        plan=PLAN,
        compare=compare_networks,
        controls=tuple(Control(name, {"predict": function}) for name, function in WRONG),
    ),
)

RESULT = Result(
    RND_VARIANTS,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(nngp.RESULT, error_law.RESULT, linear_smoother.RESULT),
    derivation=DERIVATION,
)
