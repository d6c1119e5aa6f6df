"""Contextual similarity distillation: the posterior variance at a known x is T(x,x) less a regression on T(X,x)."""

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
from ....numerics.wide_networks.ensemble import ensemble_covariance, smoother
from ....numerics.wide_networks.value_functions import csd_variance
from ....theory.axioms import GAUSSIAN_AFFINE, GAUSSIAN_INDEPENDENCE
from ....theory.balls.smoothers import split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.value_functions import CSD
from ...result import Check, Control, Result
from ..distillation.setting import covariance_width, exact_kernels, sample_one
from ..dynamics import centred, ensemble_law
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import distillation_steps, late_steps, rounding


@dataclass(frozen=True)
class CSDPrediction:
    """Posterior variances (S,) at the test points, each a query known before training."""

    variance: Float[np.ndarray, " test"]


# --- derivation ---------------------------------------------------------------------------------------------------


def regression_on_similarities() -> list[tuple[Any, Any]]:
    """T_xX T_XX^{-1} y for y = T_Xx is what the posterior variance subtracts; two training points."""
    v, a, b, c, k1, k2 = sympy.symbols("v a b c k1 k2", real=True)
    train, cross = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([[k1, k2]])
    labels = cross.T
    trained = (cross * train.inv() * labels)[0]
    g = cross * train.inv()
    joint = sympy.Matrix([[v, k1, k2], [k1, a, b], [k2, b, c]])
    m = sympy.Matrix.hstack(sympy.eye(1), -g)
    return [(v - trained, (m * joint * m.T)[0])]


DERIVATION = (
    Uses(centred.CENTRED, "a centred network trained on the labels y ends at T_*X T_XX^{-1} y, without randomness"),
    Algebra("with y = T(X, x) that is, at x, the term that the posterior variance subtracts", regression_on_similarities),
    Axiom(GAUSSIAN_AFFINE, "the variance of f(x) - G f(X) for the Gaussian process f with the tangent kernel"),
    Axiom(GAUSSIAN_INDEPENDENCE, "which is uncorrelated with f(X), hence its variance given f(X)"),
)  # fmt: skip

# --- prediction and checks ----------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> CSDPrediction:
    return CSDPrediction(csd_variance(blocks(s)[1]))


def last_step(s: EnsembleSetting) -> list[arb]:
    """The diagonal of the Schur complement, by ball elimination."""
    _, t = exact_kernels(s)
    test, cross, train = split(t, len(s.test))
    found = test - cross * train.solve(cross.transpose())
    return [found[i, i] for i in range(len(s.test))]


def width(s: EnsembleSetting) -> np.ndarray:
    """T(x,x) - q is a difference: its error is that of G times |T_*X|, and 200 half-ulps of T(x,x)."""
    _, t = blocks(s)
    return 2 * covariance_width(t, smoother(t), t.joint()) / np.abs(predict(s).variance)


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: csd_variance(blocks(s)[1]),
    read=lambda p: p.variance,
    sample=sample_one,
    width=width,
    count=30,
)


def compare_training(s: EnsembleSetting, p: CSDPrediction, rows: Rows) -> Comparison:
    """Descent of a centred network on the labels T(X, x), one column for each test point x."""
    _, t = blocks(s)
    schedule = late_steps(t)
    operator = distillation_steps(t, centred=True, **schedule)  # type: ignore[arg-type]
    size, tests = operator.shape[1] // 2, len(s.test)
    fitted = operator[:, size + tests :] @ t.cross.T  # (S, S): prediction at row for the query of the column
    bound, scale = rounding(t, operator, t.joint(), steps=schedule["steps"])
    left = 4e-14 * (1 + float(np.linalg.norm(smoother(t), 2))) * scale
    return Comparison(np.diag(t.test - fitted), p.variance, np.array(bound + left), scale)


def _with(function: Callable[[EnsembleSetting], np.ndarray]) -> Callable[[EnsembleSetting], CSDPrediction]:
    return lambda s: CSDPrediction(function(s))


WRONG: tuple[tuple[str, Callable[[EnsembleSetting], CSDPrediction]], ...] = (
    ("labels K(X, x)", _with(lambda s: np.diag(blocks(s)[1].test) - np.einsum("sn,sn->s", smoother(blocks(s)[1]), blocks(s)[0].cross))),
    ("kernel of the readout alone", _with(lambda s: csd_variance(blocks(s)[0]))),
    ("ensemble variance", _with(lambda s: np.diag(ensemble_covariance(*blocks(s))))),
    ("K(x,x) for T(x,x)", _with(lambda s: predict(s).variance - np.diag(blocks(s)[1].test) + np.diag(blocks(s)[0].test))),
)  # fmt: skip

CHECKS = (
    Check(
        "shipped variance",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: f(s).variance, function))})
            for name, function in WRONG
        ),
    ),
    Check(
        "descent of a centred network on the similarities",
        Agreement("convergence"),
        settings=ensemble_law.BOTH,
        compare=compare_training,
        controls=tuple(Control(name, {"predict": function}) for name, function in WRONG),
    ),
)

RESULT = Result(
    CSD,
    predict,
    ensemble_law.EXAMPLE,
    CHECKS,
    uses=(centred.CENTRED,),
    derivation=DERIVATION,
)
