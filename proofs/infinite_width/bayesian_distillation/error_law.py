"""Distillation on the predictor's own tangent target: the error is a sample of the posterior, without a factor 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.store import Rows
from ....numerics.wide_networks.bayesian_distillation import (
    brnd_error_covariance,
    brnd_target_covariance,
    posterior_covariance,
    unzeroed_readout,
)
from ....numerics.wide_networks.ensemble import ensemble_covariance, smoother
from ....theory.axioms import BOUNDED_CONVERGENCE, CONDITIONING, GAUSSIAN_AFFINE, LEVY, PROKHOROV
from ....theory.balls.smoothers import split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.bayesian_distillation import BRND_ERROR_LAW
from ...result import ByBudget, Check, Control, Result
from ..distillation.rnd import error_is_a_smoothed_difference
from ..distillation.setting import covariance_width, exact_kernels, sample_one
from ..dynamics import ensemble_law
from ..finite_bayesian import bayesian_distil, linearised_bayesian
from ..finite_networks import table
from ..kernels import nngp, ntk
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import distillation_steps, late_steps, rounding
from . import target


@dataclass(frozen=True)
class PosteriorPrediction:
    """Covariance (S, S) of the converged error u - J psi* at the test points."""

    error_covariance: Float[np.ndarray, "test test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def posterior_of_the_tangent_kernel() -> list[tuple[Any, Any]]:
    """K + (T - K) = T and M T M^T = T_** - T_*X T_XX^{-1} T_X* for G = T_*X T_XX^{-1}; two training points."""
    v, a, b, c, k1, k2 = sympy.symbols("v a b c k1 k2", real=True)
    train, cross = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([[k1, k2]])
    g = cross * train.inv()
    joint = sympy.Matrix([[v, k1, k2], [k1, a, b], [k2, b, c]])
    m = sympy.Matrix.hstack(sympy.eye(1), -g)
    return [((m * joint * m.T)[0], v - (cross * train.inv() * cross.T)[0])]


def factorises() -> list[tuple[Any, Any]]:
    """exp(-s^T K s/2) exp(-r^T (T-K) r/2) is the characteristic function of independent parts; with r = -s: T."""
    s, k, t = sympy.symbols("s k t", positive=True)
    return [(sympy.exp(-(s**2) * k / 2) * sympy.exp(-(s**2) * (t - k) / 2), sympy.exp(-(s**2) * t / 2))]


DERIVATION = (
    Axiom(CONDITIONING, "given theta0 the start u0 is constant and the target is N(0, T_0 - K_0)"),
    Uses(target.RESULT, "so E exp(i s.u0 + i r.g) = E[ exp(i s.u0) exp(-r^T (T_0 - K_0) r/2) ], the second factor tending to a constant in probability"),
    Axiom(BOUNDED_CONVERGENCE, "both factors are at most 1 in size: the second may be replaced by its limit exp(-r^T (T - K) r/2)"),
    Uses(nngp.RESULT, "what is left is the characteristic function of u0, which tends to exp(-s^T K s/2)"),
    Axiom(LEVY, "so (u0, g) converges jointly to independent Gaussian processes with covariances K and T - K: zero covariance alone would not say so"),
    Algebra("and u0 - g to one with covariance K + (T - K) = T", factorises),
    Uses(ensemble_law.RESULT, "trained on g(X), the predictor ends at u0 + G (g(X) - u0(X)), G = T_*X T_XX^{-1}"),
    Algebra("its error is M (u0 - g)", error_is_a_smoothed_difference),
    Axiom(PROKHOROV, "a continuous image of the start"),
    Axiom(GAUSSIAN_AFFINE, "hence N(0, M T M^T)"),
    Algebra("which is the posterior of the Gaussian process with kernel T", posterior_of_the_tangent_kernel),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> PosteriorPrediction:
    return PosteriorPrediction(brnd_error_covariance(*blocks(s)))


# --- checks -------------------------------------------------------------------------------------------------------


def last_step(s: EnsembleSetting) -> list[arb]:
    """T_** - T_*X T_XX^{-1} T_X*, by Gaussian elimination."""
    _, t = exact_kernels(s)
    test, cross, train = split(t, len(s.test))
    found: arb_mat = test - cross * train.solve(cross.transpose())
    return found.entries()


def width(s: EnsembleSetting) -> np.ndarray:
    _, t = blocks(s)
    return covariance_width(t, smoother(t), t.joint()) / np.abs(predict(s).error_covariance.ravel())


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: predict(s).error_covariance.ravel(),
    read=lambda p: p.error_covariance,
    sample=sample_one,
    width=width,
    count=30,
)

Wrong = Callable[[EnsembleSetting], PosteriorPrediction]


def _twice(s: EnsembleSetting) -> PosteriorPrediction:
    return PosteriorPrediction(2 * predict(s).error_covariance)


def _ensemble(s: EnsembleSetting) -> PosteriorPrediction:
    return PosteriorPrediction(ensemble_covariance(*blocks(s)))


def _not_zeroed(s: EnsembleSetting) -> PosteriorPrediction:
    k, t = blocks(s)
    return PosteriorPrediction(posterior_covariance(t) + unzeroed_readout(k, t))


def _nngp_posterior(s: EnsembleSetting) -> PosteriorPrediction:
    return PosteriorPrediction(ensemble_law.posterior(s, kernel=0).covariance)


def _stopped(s: EnsembleSetting) -> PosteriorPrediction:
    return PosteriorPrediction(brnd_error_covariance(*blocks(s), time_sum_loss=1.0))


WRONG: tuple[tuple[str, Wrong], ...] = (
    ("factor 2", _twice),
    ("ensemble covariance", _ensemble),
    ("last layer of psi not zeroed", _not_zeroed),
    ("posterior of the NNGP", _nngp_posterior),
    ("stopped at time 1", _stopped),
)


def compare_descent(s: EnsembleSetting, p: PosteriorPrediction, rows: Rows) -> Comparison:
    """Descent step by step from independent draws u0 ~ N(0, K) and g ~ N(0, T - K)."""
    k, t = blocks(s)
    schedule = late_steps(t)
    error = distillation_steps(t, **schedule)  # type: ignore[arg-type]
    size = error.shape[1] // 2
    joint = np.zeros((2 * size, 2 * size))
    joint[:size, :size], joint[size:, size:] = k.joint(), brnd_target_covariance(k, t).joint()
    bound, scale = rounding(t, error, joint, steps=schedule["steps"])
    left = 4e-14 * (1 + float(np.linalg.norm(smoother(t), 2))) * scale
    return Comparison(error @ joint @ error.T, p.error_covariance, np.array(bound + left), scale)


def compare_networks(s: EnsembleSetting, p: PosteriorPrediction, rows: Rows, *, trained: bool = True) -> Ladder:
    """E e^2 over the posterior variance, less 1, averaged over the test points; untrained parts carry the rate."""
    tests, variance = len(s.test), np.diag(p.error_covariance)
    linearised = (table(rows, "linearised", tests) / variance).mean(axis=1) - 1
    if not trained:
        return nngp.ladder(rows["width"], linearised, linearised)
    correction = (table(rows, "correction", tests) / variance).mean(axis=1)
    return nngp.ladder(rows["width"], linearised + correction, correction)


SIZES = ((32, 2_000), (64, 2_000), (128, 1_500), (256, 1_500))
TRAINED = ByBudget(
    quick=tuple({"width": n, "members": r} for n, r in SIZES),
    standard=tuple({"width": n, "members": r, "part": part} for n, r in (*SIZES, (512, 1_000), (1024, 500)) for part in range(8)),
    full=tuple({"width": n, "members": r, "part": part} for n, r in ((64, 8_000), (256, 8_000), (1024, 4_000), (4096, 2_000)) for part in range(8)),
)  # fmt: skip
FEW = ByBudget(quick=tuple({"width": n, "members": 600} for n in (32, 64, 128)))
LINEARISED = ByBudget(
    quick=tuple({"width": n, "members": r} for n, r in ((16, 12_000), (32, 12_000), (64, 12_000), (128, 10_000)))
)


CHECKS = (
    Check(
        "shipped covariance",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: f(s).error_covariance.ravel(), f))})
            for name, f in WRONG
        ),
    ),
    Check(
        "descent from draws of predictor and target ends there",
        Agreement("convergence"),
        settings=ensemble_law.BOTH,
        compare=compare_descent,
        controls=tuple(Control(name, {"predict": f}) for name, f in WRONG),
    ),
    Check(
        "linearised finite networks: variances at rate 1/n",
        LimitWithRate(rate=(-1.2, -0.8)),
        settings=ByBudget(quick=(ensemble_law.EXAMPLE,)),
        experiment=linearised_bayesian,
        plan=LINEARISED,
        compare=partial(compare_networks, trained=False),
        controls=(
            *(Control(name, {"predict": f}) for name, f in WRONG),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
            Control("a bias that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
        ),
    ),
    Check(
        "trained finite networks: variances",
        LimitWithRate(rate=None),
        settings=ByBudget(quick=(ensemble_law.EXAMPLE,)),
        experiment=bayesian_distil,
        plan=TRAINED,
        compare=compare_networks,
        controls=(
            *(Control(name, {"predict": f}) for name, f in WRONG),
            Control("networks with the last layer of psi not zeroed", {"experiment": partial(bayesian_distil, zeroed=False), "plan": FEW}),
            Control("networks stopped at half the residual", {"experiment": partial(bayesian_distil, relative_residual=0.5), "plan": FEW}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    BRND_ERROR_LAW,
    predict,
    ensemble_law.EXAMPLE,
    CHECKS,
    uses=(nngp.RESULT, ntk.RESULT, target.RESULT, ensemble_law.RESULT),
    derivation=DERIVATION,
)
