"""The error of a distilled network: N(0, M (K_u + K_g) M^T), predictor and target of any two architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.distillation import distillation_error_covariance
from ....numerics.wide_networks.ensemble import ensemble_covariance, smoother
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE
from ....theory.balls.smoothers import beside, congruence, converged, diagonal, residual_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.distillation import RND_ERROR_LAW
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law
from ..kernels import nngp
from ..settings import blocks
from ..wide_dynamics import distillation_steps, late_steps, rounding
from .rnd import error_is_a_smoothed_difference
from .setting import DistillationSetting, covariance_width, exact_kernels, kernels, sample


@dataclass(frozen=True)
class ErrorPrediction:
    """Covariance (S, S) of the error u - g at the test points."""

    error_covariance: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def two_architectures() -> list[tuple[Any, Any]]:
    """Cov of M (u0 - g) with Cov u0 = A, Cov g = B independent: M (A + B) M^T; one test point, one training point."""
    s, a, b, c, p, q, r = sympy.symbols("s a b c p q r", real=True)
    m, k_u, k_g = sympy.Matrix([[1, -s]]), sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([[p, q], [q, r]])
    both = sympy.Matrix.hstack(m, -m)
    return [((both * sympy.diag(k_u, k_g) * both.T)[0], (m * (k_u + k_g) * m.T)[0])]


DERIVATION = (
    Axiom(CONDITIONING, "u0 is independent of g; given g its values on X are constant labels"),
    Uses(ensemble_law.RESULT, "so u is a member trained on them: u = u0 + G (g(X) - u0(X)), G = T_*X T_XX^{-1} of the predictor"),
    Algebra("the error is u - g = M (u0 - g)", error_is_a_smoothed_difference),
    Uses(nngp.RESULT, "u0 is N(0, K_u) and g is N(0, K_g) in the limit"),
    Axiom(INDEPENDENCE, "and they are independent"),
    Axiom(GAUSSIAN_AFFINE, "so the error is Gaussian, and the covariances add up under M"),
    Algebra("Cov = M (K_u + K_g) M^T", two_architectures),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: DistillationSetting) -> ErrorPrediction:
    k_u, k_g, t = kernels(s)
    return ErrorPrediction(distillation_error_covariance(smoother=smoother(t), target_nngp=k_g, predictor_nngp=k_u))


# --- checks: the law ----------------------------------------------------------------------------------------------


def last_step(s: DistillationSetting) -> list[arb]:
    """[M, -M] applied to independent u0 and g."""
    k_u, t = exact_kernels(s.predictor)
    k_g, _ = exact_kernels(s.target)
    m = residual_map(converged(t, len(s.test)))
    return congruence(beside(m, m * arb(-1)), diagonal(k_u, k_g)).entries()


def width(s: DistillationSetting) -> np.ndarray:
    k_u, k_g, t = kernels(s)
    return covariance_width(t, smoother(t), k_u.joint() + k_g.joint()) / np.abs(predict(s).error_covariance.ravel())


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: predict(s).error_covariance.ravel(),
    read=lambda p: p.error_covariance,
    sample=sample,
    width=width,
    count=25,
)


def _with(k_u: int, k_g: int, t: int) -> Callable[[DistillationSetting], ErrorPrediction]:
    """Kernels by number: 0 the predictor's NNGP, 1 the target's, 2 the predictor's tangent kernel, 3 the target's."""

    def wrong(s: DistillationSetting) -> ErrorPrediction:
        found = (*kernels(s), blocks(s.target)[1])
        covariance = distillation_error_covariance(
            smoother=smoother(found[t]), target_nngp=found[k_g], predictor_nngp=found[k_u]
        )
        return ErrorPrediction(covariance)

    return wrong


def _target_forgotten(s: DistillationSetting) -> ErrorPrediction:
    k_u, _, t = kernels(s)
    return ErrorPrediction(ensemble_covariance(k_u, t))


def covariance_mutant(claim: Formula, function: Callable[[Any], ErrorPrediction]) -> dict[str, Any]:
    return {"claim": replace(claim, shipped=lambda s: function(s).error_covariance.ravel())}


def compare_descent(s: DistillationSetting, p: ErrorPrediction, rows: Rows, *, stopped: bool = False) -> Comparison:
    """Descent step by step from independent draws of both networks, until every mode is below 1e-14 of its start."""
    k_u, k_g, t = kernels(s)
    schedule = late_steps(t)
    if stopped:
        schedule["steps"] = 10
    error = distillation_steps(t, **schedule)  # type: ignore[arg-type]
    size = error.shape[1] // 2
    joint = np.zeros((2 * size, 2 * size))
    joint[:size, :size], joint[size:, size:] = k_u.joint(), k_g.joint()
    bound, scale = rounding(t, error, joint, steps=schedule["steps"])
    # what 1e-14 of the start leaves in a mode reaches the test points through G
    left = 4e-14 * float(np.linalg.norm(smoother(t), 2)) * scale
    return Comparison(error @ joint @ error.T, p.error_covariance, np.array(bound + left), scale)


EXAMPLE = DistillationSetting(
    ensemble_law.TRAIN, ensemble_law.TEST, "erf", (1.5, 1.5), (0.3, 0.3), "relu", (1.2, 1.0, 1.4), (0.5, 0.2, 0.1)
)
OTHER = replace(
    EXAMPLE, activation="relu", weight_scale=(1.4, 1.4, 1.4), bias_scale=(0.2, 0.2, 0.2), target_bias_scale=(0.0,) * 3
)
WRONG: tuple[tuple[str, Callable[[DistillationSetting], ErrorPrediction]], ...] = (
    ("target's kernel forgotten", _target_forgotten),
    ("predictor's kernel twice", _with(0, 0, 2)),
    ("target's kernel twice", _with(1, 1, 2)),
    ("smoother of the target's tangent kernel", _with(0, 1, 3)),
    ("tangent kernel for the predictor's prior", _with(2, 1, 2)),
)
CHECKS = (
    Check(
        "shipped covariance",
        FORMULA,
        controls=(
            *(Control(name, covariance_mutant(FORMULA, function)) for name, function in WRONG),
            Control("1e-8 off", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-8) * predict(s).error_covariance.ravel())}),
        ),
    ),
    Check(
        "descent from draws of both networks ends there",
        Agreement("convergence"),
        settings=ByBudget(quick=(EXAMPLE, OTHER)),
        compare=compare_descent,
        controls=(
            *(Control(name, {"predict": function}) for name, function in WRONG),
            Control("descent stopped after ten steps", {"compare": partial(compare_descent, stopped=True)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(RND_ERROR_LAW, predict, EXAMPLE, CHECKS, uses=(nngp.RESULT, ensemble_law.RESULT), derivation=DERIVATION)
