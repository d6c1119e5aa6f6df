"""GCV and leave-one-out from one fit: residuals over the diagonal of (K + del)^{-1}, or over its mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.kernel_regression.eigenlearning import eigenlearning as equations
from ....numerics.kernel_regression.risk_estimates import risk_estimates
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.risk_estimates import risk_estimates_ball
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import GCV
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..kernels.nngp import ladder
from . import eigenlearning
from .gaussian_features import regressions

UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class RegressionSetting:
    """Gram matrix (n, n), labels (n,) and the ridge that is added to the Gram matrix."""

    gram: Float[np.ndarray, "n n"]
    labels: Float[np.ndarray, " n"]
    ridge: float

    def __post_init__(self) -> None:
        gram, labels = finite("gram", self.gram, ndim=2), finite("labels", self.labels, ndim=1)
        if gram.shape != (len(labels), len(labels)) or self.ridge < 0:
            raise InvalidInput(f"gram has shape {gram.shape} for {len(labels)} labels, ridge {self.ridge}.")


@dataclass(frozen=True)
class RiskPrediction:
    """1/tr R, GCV, mean squared leave-one-out error, train error."""

    kappa: float
    gcv: float
    leave_one_out: float
    train_error: float


# --- derivation ---------------------------------------------------------------------------------------------------


def left_out_residual() -> list[tuple[Any, Any]]:
    """Three examples: the residual at the third, fitted on the first two, is (R y)_3/R_33."""
    a, b, c, e, f, g, y1, y2, y3 = sympy.symbols("a b c e f g y1 y2 y3", real=True)
    matrix, y = sympy.Matrix([[a, b, c], [b, e, f], [c, f, g]]), sympy.Matrix([y1, y2, y3])  # g holds K_33 + del
    adjugate = matrix.adjugate()
    refit = y3 - (sympy.Matrix([[c, f]]) * matrix[:2, :2].adjugate() / matrix[:2, :2].det() * y[:2, :])[0]
    return [((adjugate * y)[2] / adjugate[2, 2], refit)]


def one_formula_for_every_ridge() -> list[tuple[Any, Any]]:
    """The residual y - K R y is del R y; with it train error/((del/n) tr R)^2 = n |R y|^2/(tr R)^2, in which no ridge is left."""
    lam, d, y, n, square, trace = sympy.symbols("l d y n square trace", positive=True)
    return [
        (y - lam * y / (lam + d), d * y / (lam + d)),
        (d**2 * square / n / (d / n * trace) ** 2, n * square / trace**2),
    ]


def limit_of_gcv() -> list[tuple[Any, Any]]:
    """With train = (del/(n kappa))^2 test and kappa for 1/tr R, GCV is the test error."""
    d, n, k, test = sympy.symbols("d n kappa test", positive=True)
    return [((d / (n * k)) ** 2 * test / (d / n / k) ** 2, test)]


DERIVATION = (
    Algebra("a left-out residual is (R y)_i/R_ii: the two fits differ by one row", left_out_residual),
    Algebra("GCV replaces R_ii by its mean; its two forms agree, and the second needs no ridge", one_formula_for_every_ridge),
    Uses(eigenlearning.RESULT, "del R_ii is one number, n kappa tr R = n, in the limit: train error (del/(n kappa))^2 times the test error"),
    Algebra("so GCV tends to the test error", limit_of_gcv),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _shipped(s: RegressionSetting, **changes: Any) -> Any:
    given: dict[str, Any] = {"gram": s.gram, "labels": s.labels, "ridge_sum_loss": s.ridge}
    return risk_estimates(**(given | changes))


def predict(s: RegressionSetting) -> RiskPrediction:
    e = _shipped(s)
    return RiskPrediction(e.kappa, e.gcv, e.leave_one_out, e.train_error)


def flatten(p: Any) -> np.ndarray:
    return np.array([p.kappa, p.gcv, p.leave_one_out, p.train_error])


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> RegressionSetting:
    size = int(rng.integers(2, 7))
    features = rng.normal(size=(size, size + 2)) * 10 ** rng.uniform(-1, 1, size + 2)
    gram = features @ features.T
    ridge = float(rng.choice([0.0, np.trace(gram) / size * 10 ** rng.uniform(-4, 2)]))
    return RegressionSetting((gram + gram.T) / 2, rng.normal(size=size), ridge)


def exact(s: RegressionSetting) -> list[arb]:
    return list(risk_estimates_ball(s.gram.tolist(), s.labels.tolist(), s.ridge))


def width(s: RegressionSetting) -> np.ndarray:
    """Cholesky and two triangular solves: R y and R's diagonal within 8 n^1.5 u cond; |R y| may be small against |R||y|."""
    size = len(s.labels)
    matrix = s.gram + s.ridge * np.eye(size)
    inverse = np.linalg.inv(matrix)
    one = 8 * size**1.5 * UNIT * float(np.linalg.cond(matrix))
    weights = inverse @ s.labels
    loss = one * float(np.linalg.norm(inverse, 2) * np.linalg.norm(s.labels) / np.linalg.norm(weights))
    spread = float(np.abs(np.diag(inverse)).max() / np.abs(np.diag(inverse)).min())
    return np.array([one, 2 * loss + 2 * one, (2 * loss + 2 * one) * spread, 2 * loss]) + 4 * UNIT


FORMULA = Formula(expression=exact, shipped=lambda s: flatten(_shipped(s)), read=flatten, sample=sample, width=width, count=60)  # fmt: skip


def _mutant(**changes: Any) -> dict[str, Any]:
    def wrong(s: RegressionSetting) -> np.ndarray:
        e = _shipped(s)
        return flatten(replace(e, **{name: change(e, s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


def compare_refits(s: RegressionSetting, p: RiskPrediction, rows: Rows) -> Comparison:
    """n least-squares refits on the joint system, one example left out of each, by lstsq in features that make the Gram matrix."""
    values, vectors = np.linalg.eigh(s.gram)
    features = vectors * np.sqrt(np.maximum(values, 0))
    size = len(s.labels)
    errors = []
    for i in range(size):
        keep = np.arange(size) != i
        design = np.vstack([features[keep], np.sqrt(s.ridge) * np.eye(size)])
        target = np.concatenate([s.labels[keep], np.zeros(size)])
        errors.append((s.labels[i] - features[i] @ np.linalg.lstsq(design, target, rcond=None)[0]) ** 2)
    observed = np.array([np.mean(errors)])
    condition = np.linalg.cond(s.gram + s.ridge * np.eye(size))
    return Comparison(observed, np.array([p.leave_one_out]), 100 * size * UNIT * condition * observed, observed)


def compare_limit(s: Any, p: Any, rows: Rows, *, column: str = "gcv", field: str = "test_error") -> Ladder:
    """Mean of GCV (or of 1/tr R) over draws against eigenlearning, less 1."""
    relative = rows[column] / getattr(p, field) - 1
    return ladder(rows["copies"] * s.n, relative, relative)


def regressions_with(setting: Any, run: Run) -> Any:
    return regressions(setting, run)


def limit(s: Any) -> Any:
    """The error that GCV estimates."""
    return equations(
        eigenvalues=s.eigenvalues,
        n=s.n,
        ridge_sum_loss=s.ridge,
        coefficients=s.coefficients,
        multiplicities=s.multiplicities,
        noise_variance=s.noise_variance,
    )


def _of(**changes: Any) -> dict[str, Any]:
    def wrong(s: Any) -> Any:
        e = limit(s)
        return replace(e, **{name: change(e, s) for name, change in changes.items()})

    return {"predict": wrong}


def _smooth(size: int) -> RegressionSetting:
    rng = generator(0, "regression", size)
    grid = np.linspace(-1, 1, size)
    gram = np.exp(-((grid[:, None] - grid[None, :]) ** 2) / 0.5)
    return RegressionSetting(gram, np.sin(3 * grid) + 0.1 * rng.normal(size=size), 0.1)


EXAMPLE = _smooth(6)
SPECTRUM = eigenlearning.EXAMPLE
FREE = replace(SPECTRUM, ridge=0.0)
PLAN = ByBudget(
    quick=tuple({"copies": c, "trials": t} for c, t in ((2, 6_000), (4, 3_000), (8, 1_500), (16, 400))),
    standard=tuple({"copies": c, "trials": 8_000, "part": part} for c in (2, 4, 8, 16) for part in range(6)),
)

CHECKS = (
    Check(
        "shipped estimates",
        FORMULA,
        controls=(
            Control("GCV without n", _mutant(gcv=lambda e, s: e.gcv / len(s.labels))),
            Control("GCV for leave-one-out", _mutant(leave_one_out=lambda e, s: e.gcv)),
            Control("trace of the inverse for its inverse", _mutant(kappa=lambda e, s: 1 / e.kappa)),
            Control("train error without n", _mutant(train_error=lambda e, s: (e.train_error + 1e-3) * len(s.labels))),
            Control("ridge forgotten", {"claim": replace(FORMULA, shipped=lambda s: flatten(_shipped(s, ridge_sum_loss=0.0)))}),
            Control("1e-9 off", _mutant(gcv=lambda e, s: (1 + 1e-9) * e.gcv)),
        ),
    ),
    Check(
        "n refits without one example",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE, _smooth(20))),
        compare=compare_refits,
        controls=(
            Control("GCV for leave-one-out", {"predict": lambda s: replace(predict(s), leave_one_out=predict(s).gcv)}),
            Control("train error for it", {"predict": lambda s: replace(predict(s), leave_one_out=predict(s).train_error)}),
        ),
    ),
    Check(
        "Gaussian features: GCV tends to the test error at rate 1/n",
        LimitWithRate(rate=(-1.5, -0.5)),
        settings=ByBudget(quick=(SPECTRUM,)),
        predict=limit,
        experiment=regressions_with,
        plan=PLAN,
        compare=compare_limit,
        controls=(
            Control("the error without label noise", _of(test_error=lambda e, s: e.test_error - s.noise_variance)),
            Control("the train error", _of(test_error=lambda e, s: e.train_error)),
            Control("without E0", _of(test_error=lambda e, s: e.test_error / e.overfitting)),
        ),
    ),
    Check(
        "Gaussian features, no ridge: 1/tr R tends to kappa",
        LimitWithRate(rate=None),
        settings=ByBudget(quick=(FREE,)),
        predict=limit,
        experiment=regressions_with,
        plan=PLAN,
        compare=partial(compare_limit, column="kappa", field="kappa"),
        controls=(
            Control("kappa with the ridge of the other check", {"predict": lambda s: limit(replace(s, ridge=SPECTRUM.ridge))}),
            Control("n times kappa", _of(kappa=lambda e, s: s.n * e.kappa)),
        ),
    ),
)  # fmt: skip

RESULT = Result(GCV, predict, EXAMPLE, CHECKS, uses=(eigenlearning.RESULT,), derivation=DERIVATION)
