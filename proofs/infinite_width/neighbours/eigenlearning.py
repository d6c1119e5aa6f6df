"""Kernel regression in high dimension: n = sum L_i + del/kappa, and the errors that the learnabilities L_i determine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb

from ....numerics.claims import Enclosures, Formula, Identity, Inequality, Ladder, LimitWithRate
from ....numerics.kernel_regression.eigenlearning import eigenlearning
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import GAUSSIAN_AFFINE, LINEARITY, MONOTONE_INVERSE, SPECTRAL
from ....theory.balls.eigenlearning import eigenlearning_ball
from ....theory.derivation import Algebra, Axiom, Cited, Enumeration
from ....theory.statements.infinite_width.neighbours import EIGENLEARNING
from ...result import ByBudget, Check, Control, Result
from ..kernels.nngp import ladder
from . import eigenlearning_algebra
from .gaussian_features import SpectrumSetting, regressions

UNIT = 2.0**-53


@dataclass(frozen=True)
class EigenlearningPrediction:
    """kappa, sum of the learnabilities, E0, test and train error (label noise included), share of the target learned."""

    kappa: float
    spent: float
    overfitting: float
    test_error: float
    train_error: float
    total_learnability: float


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Axiom(SPECTRAL, "in eigenfunctions of the kernel an example has features f = L^{1/2} z with E z z^T = I, and the predictor is ridge regression on them"),
    Axiom(LINEARITY, "the coefficients of the target that are learned are linear in it; their trace is that of K (K + del)^{-1}"),
    Enumeration("on every draw that trace is n - del tr (K + del)^{-1}: at most n, equal iff del = 0", eigenlearning_algebra.trace_of_the_smoother),
    Algebra("B^{-1} f_k, and a training residual, in terms of the fit without example k", eigenlearning_algebra.leave_one_out),
    Cited("canatar2021", "the quadratic forms f_k^T B_k^{-1} f_k and the traces may be replaced by one number m and its mean, with an error of order 1/n"),
    Algebra("then del B^{-1} has mean kappa/(l + kappa) and n = sum l/(l + kappa) + del/kappa", eigenlearning_algebra.fixed_point),
    Axiom(MONOTONE_INVERSE, "the right side falls strictly in kappa, from infinity (or the rank, if del = 0) to 0: one root, none if del = 0 and the rank is at most n"),
    Algebra("bias: minus the derivative of b^T del B^{-1} b in a penalty del t L is E0 sum (1-L)^2 v^2", eigenlearning_algebra.bias),
    Algebra("variance: s2 (E0 - 1), so E0 s2 with the noise of the test label", eigenlearning_algebra.variance),
    Axiom(GAUSSIAN_AFFINE, "train error: residuals are left-out ones over 1 + m = n kappa/del"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _shipped(s: SpectrumSetting, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "eigenvalues": s.eigenvalues,
        "n": s.n,
        "ridge_sum_loss": s.ridge,
        "coefficients": s.coefficients,
        "multiplicities": s.multiplicities,
        "noise_variance": s.noise_variance,
    }
    return eigenlearning(**(given | changes))


def predict(s: SpectrumSetting) -> EigenlearningPrediction:
    e = _shipped(s)
    return EigenlearningPrediction(e.kappa, e.spent, e.overfitting, e.test_error, e.train_error, e.total_learnability)


def flatten(p: Any) -> np.ndarray:
    return np.array([p.kappa, p.spent, p.overfitting, p.test_error, p.train_error, p.total_learnability])


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SpectrumSetting:
    """Spectra over six decades; ridge from none (if the rank allows) to far above the eigenvalues; n from 1 to three times the rank."""
    modes = int(rng.integers(1, 7))
    counts = rng.integers(1, 30, modes).astype(float)
    rank = int(counts.sum())
    n = int(rng.integers(1, max(2, 3 * rank)))
    free = bool(rng.integers(2)) and n < rank
    return SpectrumSetting(
        10 ** rng.uniform(-4, 2, modes),
        counts,
        rng.normal(size=modes),
        n,
        0.0 if free else float(10 ** rng.uniform(-3, 2)),
        float(rng.choice([0.0, rng.uniform(0, 2)])),
    )


def exact(s: SpectrumSetting) -> list[arb]:
    e = eigenlearning_ball(
        eigenvalues=s.eigenvalues.tolist(),
        multiplicities=s.multiplicities.tolist(),
        coefficients=s.coefficients.tolist(),
        n=s.n,
        ridge=s.ridge,
        noise_variance=s.noise_variance,
    )
    return [e.kappa, e.spent, e.overfitting, e.test_error, e.train_error, e.total_learnability]


def width(s: SpectrumSetting) -> np.ndarray:
    """The sum for n has relative error (modes + 4) u, and n moves kappa by E0 times as much. E0, L and 1 - L move by at most the
    relative change of kappa, so the errors by 3 and the train error by 5 of it; each sum adds (modes + 10) u."""
    terms = (len(s.eigenvalues) + 10) * 2 * UNIT
    kappa = terms * _shipped(s).overfitting
    return kappa * np.array([1.0, 1.0, 1.0, 3.0, 5.0, 1.0]) + np.array([1.0, 1.0, 2.0, 4.0, 5.0, 2.0]) * terms


FORMULA = Formula(expression=exact, shipped=lambda s: flatten(_shipped(s)), read=flatten, sample=sample, width=width, count=60)  # fmt: skip


def _mutant(**changes: Any) -> dict[str, Any]:
    """`changes` map names of fields to functions of (shipped, setting)."""

    def wrong(s: SpectrumSetting) -> np.ndarray:
        e = _shipped(s)
        return flatten(replace(e, **{name: change(e, s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


# --- checks: every draw, and the limit ----------------------------------------------------------------------------


def compare_draws(s: SpectrumSetting, p: EigenlearningPrediction, rows: Rows, *, charge: Any = None) -> Enclosures:
    """n - tr(learned) - del tr (K + del)^{-1} for random integer features, in rationals; `charge` replaces the last term."""
    rng = generator(0, "integer features")
    found = []
    for ridge in (0, 1, 5):
        for _ in range(6):
            features = sympy.Matrix(rng.integers(-3, 4, (3, 5)).tolist())
            gram = features * features.T
            inverse = (gram + ridge * sympy.eye(3)).inv() if (gram + ridge * sympy.eye(3)).det() else None
            if inverse is None:
                continue
            learned = (features.T * inverse * features).trace()
            cost = ridge * inverse.trace() if charge is None else charge(ridge, inverse)
            found.append(float(3 - learned - cost))
    return Enclosures(np.array(found), np.array(found))


def compare_conservation(
    s: SpectrumSetting, p: EigenlearningPrediction, rows: Rows, *, budget: float = 1.0
) -> Enclosures:
    """budget n - sum L at exact kappa, over ridges and noise: as balls."""
    low, high = [], []
    for seed in range(20):
        setting = sample(generator(seed, "conservation"))
        setting = replace(setting, ridge=max(setting.ridge, 0.01))
        e = exact(setting)
        left = budget * setting.n - e[1]
        low.append(float(left.lower()))
        high.append(float(left.upper()))
    return Enclosures(np.array(low), np.array(high))


def compare_error(s: SpectrumSetting, p: EigenlearningPrediction, rows: Rows, *, column: str = "test") -> Ladder:
    """Mean over draws against the prediction, less 1, at n = copies times the setting's n: its spectrum grows along, kappa stays."""
    target = {"test": p.test_error, "train": p.train_error, "kappa": p.kappa}[column]
    relative = rows[column] / target - 1
    return ladder(rows["copies"] * s.n, relative, relative)


EXAMPLE = SpectrumSetting(np.array([1.0, 0.1]), np.array([2.0, 10.0]), np.array([1.0, 0.5]), 4, 0.4, 0.05)
PLAN = ByBudget(
    quick=tuple({"copies": c, "trials": t} for c, t in ((1, 16_000), (2, 10_000), (4, 5_000), (8, 2_000))),
    standard=tuple({"copies": c, "trials": 8_000, "part": part} for c in (1, 2, 4, 8, 16) for part in range(6)),
)
FEW = ByBudget(quick=tuple({"copies": c, "trials": t} for c, t in ((1, 8_000), (2, 5_000), (4, 2_500), (8, 1_000))))


def _wrong(**changes: Any) -> dict[str, Any]:
    def other(s: SpectrumSetting) -> EigenlearningPrediction:
        p = predict(s)
        return replace(p, **{name: change(p, s) for name, change in changes.items()})

    return {"predict": other}


CHECKS = (
    Check(
        "shipped equations",
        FORMULA,
        controls=(
            Control("ridge divided by n", {"claim": replace(FORMULA, shipped=lambda s: flatten(_shipped(s, ridge_sum_loss=s.ridge / s.n if s.n > 1 else 2 * s.ridge)))}),
            Control("multiplicities forgotten", {"claim": replace(FORMULA, shipped=lambda s: flatten(_shipped(s, multiplicities=None, ridge_sum_loss=s.ridge + 0.01)))}),
            Control("noise left out of the test error", _mutant(test_error=lambda e, s: e.test_error - e.overfitting * s.noise_variance)),
            Control("sum of L in place of L^2 in E0", _mutant(overfitting=lambda e, s: s.n / (s.n - e.spent + 1e-3))),
            Control("1 - L for its square", _mutant(test_error=lambda e, s: e.overfitting * (float(e.residual @ s.coefficients**2) + s.noise_variance))),
            Control("train error del/kappa without n", _mutant(train_error=lambda e, s: e.train_error * s.n**2)),
            Control("kappa of the other normalisation", _mutant(kappa=lambda e, s: e.kappa * s.n)),
            Control("1e-9 off", _mutant(kappa=lambda e, s: e.kappa * (1 + 1e-9))),
        ),
    ),
    Check(
        "every draw: n = trace of the learned map + del tr (K + del)^-1, in rationals",
        Identity(),
        settings=ByBudget(quick=(EXAMPLE,)),
        compare=compare_draws,
        controls=(
            Control("equality with a ridge", {"compare": lambda s, p, rows: compare_draws(s, p, rows, charge=lambda ridge, inverse: 0)}),
            Control("ridge over n", {"compare": lambda s, p, rows: compare_draws(s, p, rows, charge=lambda ridge, inverse: sympy.Rational(ridge, 3) * inverse.trace())}),
        ),
    ),
    Check(
        "conservation: sum of learnabilities at most n",
        Inequality(),
        settings=ByBudget(quick=(EXAMPLE,)),
        compare=compare_conservation,
        controls=(Control("at most 0.9 n", {"compare": lambda s, p, rows: compare_conservation(s, p, rows, budget=0.9)}),),
    ),
    Check(
        "Gaussian features: test error at rate 1/n",
        LimitWithRate(rate=(-1.4, -0.7)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=regressions,
        plan=PLAN,
        compare=compare_error,
        controls=(
            Control("without E0", _wrong(test_error=lambda p, s: p.test_error / p.overfitting)),
            Control("error of the function, without label noise", _wrong(test_error=lambda p, s: p.test_error - s.noise_variance)),
            Control("ridge forgotten", {"predict": lambda s: predict(replace(s, ridge=0.0))}),
            Control("a correction that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
            Control("rate n^-2", {"claim": LimitWithRate(rate=(-2.4, -1.9))}),
        ),
    ),
    Check(
        "Gaussian features: train error at rate 1/n",
        LimitWithRate(rate=(-1.4, -0.7)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=regressions,
        plan=FEW,
        compare=lambda s, p, rows: compare_error(s, p, rows, column="train"),
        controls=(
            Control("del/kappa once", _wrong(train_error=lambda p, s: p.test_error * s.ridge / (s.n * p.kappa))),
            Control("test error for it", _wrong(train_error=lambda p, s: p.test_error)),
        ),
    ),
)  # fmt: skip

RESULT = Result(EIGENLEARNING, predict, EXAMPLE, CHECKS, derivation=DERIVATION)
