"""Exponents of variational classification: t^-(kappa lambda_min) for the factor, and modes that the mean's correction mixes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb, arb_mat

from ....numerics.claims import Agreement, Formula
from ....numerics.implicit_bias.classification import ClassificationRates, classification_rates
from ....theory.axioms import LINEARISED_DECAY, ODE
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.classification import CLASS_RATES
from ...result import ByBudget, Check, Control, Result
from ..max_margin import residual
from ..separable_problems import exact_separator, random_separable
from . import limit_law
from .evidence import separator
from .rates_evidence import (
    RateSetting,
    compare_exponents,
    flow,
    pair,
    with_further_row,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def separator_is_an_eigenvector() -> Equations:
    """D A w_hat = w_hat for two generic rows and a generic diagonal metric; trace and determinant of diag(alpha) K."""
    import sympy

    a, b, c, first, second = sympy.symbols("a b c d1 d2", positive=True)
    rows, d = sympy.Matrix([[a, 0], [b, c]]), sympy.diag(first, second)
    gram = rows * d * rows.T
    alpha = gram.inv() * sympy.ones(2, 1)
    w, matrix = d * rows.T * alpha, d * rows.T * sympy.diag(*alpha) * rows
    small = sympy.diag(*alpha) * gram
    pairs: Equations = list(zip(matrix * w, w, strict=True))
    return [*pairs, *zip(rows * w, (1, 1), strict=True), (matrix.trace(), small.trace()), (matrix.det(), small.det())]


def forced_modes() -> Equations:
    """c' = -a c + f e^{-b tau} and its solution; the force on mode j is that of S ~ e^{-kappa lambda_min tau} times e^{-rho tau}."""
    import sympy

    a, b, f, start, tau, slow, rho = sympy.symbols("a b f c0 tau slow rho", positive=True)
    gap = a - b
    solution = (start - f / gap) * sympy.exp(-a * tau) + f / gap * sympy.exp(-b * tau)
    return [
        (sympy.diff(solution, tau) + a * solution, f * sympy.exp(-b * tau)),
        (solution.subs(tau, 0), start),
        (sympy.exp(-rho * tau) * sympy.exp(-slow * tau), sympy.exp(-(slow + rho) * tau)),
    ]


def linearised() -> Equations:
    """Forces near the limit: exp(-u + v/2) - 1 = -u + v/2 + second order, so the mean's correction is driven by v ~ S^2."""
    import sympy

    u, v, h = sympy.symbols("u v h", real=True)
    force = sympy.exp(-h * u + h * v / 2)
    return [(force.subs(h, 0), 1), (sympy.diff(force, h).subs(h, 0), -u + v / 2)]


DERIVATION = (
    Uses(limit_law.RESULT, "Q r -> w_tilde and Q S -> 0, along the gradient flow of a convex function (r' and S'/kappa its two parts)"),
    Uses(residual.RESULT, "A and its eigenvalue 1"),
    Algebra("with a metric D A w_hat = w_hat, and the nonzero spectrum is that of diag(alpha) X D X^T", separator_is_an_eigenvector),
    Algebra("the linearised mean has the matrix D A and the forces v_n/2 and e^(-(m_n - 1) tau)", linearised),
    Axiom(LINEARISED_DECAY, "S decays like e^(-kappa lambda_min tau), v like its square, so the mean's correction like e^(-rho tau)"),
    Algebra("mode j: own exponent kappa lambda_j, force of exponent kappa lambda_min + rho; the smaller survives", forced_modes),
    Axiom(ODE, "variation of constants, mode by mode"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: RateSetting) -> ClassificationRates:
    return classification_rates(s.design, factor_ratio=s.factor_ratio, metric=s.metric)


# --- checks -------------------------------------------------------------------------------------------------------


FOUR = np.array([4.0, 0.25])
EXAMPLE = RateSetting(pair(6, 1), np.ones(2), 1.0, (18.0, 21.0, 24.0))
SETTINGS = ByBudget(
    quick=(
        EXAMPLE,  # {5/7, 1}: the fast mode keeps its own exponent, since 2 * 5/7 > 1
        RateSetting(pair(16.5, 12.5) / np.sqrt(FOUR), FOUR, 1.0, (60.0, 70.0, 80.0)),  # {4/29, 1}: capped at 8/29
        RateSetting(pair(6, 1), np.ones(2), 0.25, (36.0, 40.0, 44.0)),  # slow factor: the mean follows it, at 5/14
        RateSetting(
            with_further_row(pair(6, 1), 1.2), np.ones(2), 1.0, (56.0, 60.0, 64.0)
        ),  # m_2 - 1 = 1/5 caps at 32/35
    )
)


def by(change: Callable[[RateSetting, ClassificationRates], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: RateSetting) -> ClassificationRates:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def unmixed(s: RateSetting, p: ClassificationRates) -> Mapping[str, Any]:
    return {"modes": tuple(float(s.factor_ratio * v) for v in separator(s.inner).spectrum)}


def largest_eigenvalue(s: RateSetting, p: ClassificationRates) -> Mapping[str, Any]:
    return {"factor": float(s.factor_ratio * separator(s.inner).spectrum[-1])}


def metric_forgotten(s: RateSetting, p: ClassificationRates) -> Mapping[str, Any]:
    found = separator(s.inner)
    rows = s.design[list(found.support)]
    values = s.factor_ratio * np.linalg.svd(np.sqrt(found.alpha)[:, None] * rows, compute_uv=False)[::-1] ** 2
    return {"factor": float(values[0]), "modes": tuple(values.tolist())}


def sample(rng: np.random.Generator) -> RateSetting:
    """Rows of floats and a metric of squares, so that the rows in the metric's coordinates are exact."""
    roots = rng.choice([0.5, 1.0, 2.0, 4.0], size=2)
    design = random_separable(rng, examples=int(rng.integers(1, 4)), parameters=2, spanning=True)
    return RateSetting(design / roots, roots**2, float(rng.choice([1.0, 0.5, 0.125, 2.0])), (1.0,))


def last_steps(s: RateSetting) -> list[arb]:
    """The spectrum of a 2 x 2 matrix (or of a number) from its trace and determinant, in ball arithmetic."""
    exact = exact_separator(s.inner)
    assert exact is not None
    rows = arb_mat([[arb(float(v)) for v in s.inner[n]] for n in exact.support])
    alpha = [arb(a) for a in exact.dual.entries()]
    gram = rows * rows.transpose()
    if len(alpha) == 1:
        values = [alpha[0] * gram[0, 0]]
    else:
        trace = alpha[0] * gram[0, 0] + alpha[1] * gram[1, 1]
        half = (trace * trace / 4 - alpha[0] * alpha[1] * gram.det()).sqrt()
        # the smaller root without cancellation: the product of both is the determinant
        values = [alpha[0] * alpha[1] * gram.det() / (trace / 2 + half), trace / 2 + half]
    kappa, others = arb(s.factor_ratio), [m for m in exact.margins.entries() if m != 1]
    slow = kappa * values[0]
    rho = least([values[0], 2 * slow, *(arb(m) - 1 for m in others)])
    return [slow, 2 * slow, rho, *(least([kappa * v, slow + rho]) for v in values)]


def least(values: list[arb]) -> arb:
    found = values[0]
    for value in values[1:]:
        found = found.min(value)
    return found


def read(p: ClassificationRates) -> np.ndarray:
    return np.array([p.factor, p.variance, p.mean, *p.modes])


def shipped(s: RateSetting) -> np.ndarray:
    return read(classification_rates(s.design, factor_ratio=s.factor_ratio, metric=s.metric))


def width(s: RateSetting) -> np.ndarray:
    """Singular values are off by 20 u of the largest one, so exponents by twice that times the root of the condition; m_2 - 1 by a rounding of m_2."""
    found, values = separator(s.inner), shipped(s)
    top = max(1.0, float(found.spectrum[-1])) * max(1.0, s.factor_ratio)
    margin = found.second_margin if math.isfinite(found.second_margin) else 0.0
    return (
        (80 * math.sqrt(float(found.spectrum[-1] / found.spectrum[0])) * top + 4 * margin) * 2.0**-53 / np.abs(values)
    )


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=25)


def mutated(change: Callable[[RateSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


CHECKS = (
    Check(
        "exponents of the flow",
        Agreement("convergence", relative=2e-2),
        settings=SETTINGS,
        experiment=flow,
        compare=compare_exponents,
        controls=(
            Control("every mode at its own t^(-lambda_j)", by(unmixed)),
            Control("largest eigenvalue for the factor", by(largest_eigenvalue)),
            Control("factor ratio forgotten", {"predict": lambda s: predict(replace(s, factor_ratio=1.0))}),
            Control("A in place of D A", by(metric_forgotten)),
            Control("variance like the factor", by(lambda s, p: {"variance": p.factor})),
            Control("mean at lambda_min always", by(lambda s, p: {"mean": float(separator(s.inner).spectrum[0])})),
        ),
    ),
    Check(
        "shipped function",
        FORMULA,
        controls=(
            Control("off by 1e-9", mutated(lambda s: (1 + 1e-9) * shipped(s))),
            Control("every mode at its own t^(-lambda_j)", mutated(lambda s: read(by(unmixed)["predict"](s)))),
            Control("factor ratio off by 1e-9", mutated(lambda s: shipped(replace(s, factor_ratio=s.factor_ratio * (1 + 1e-9))))),
            Control("A in place of D A", mutated(lambda s: read(by(metric_forgotten)["predict"](s)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CLASS_RATES,
    predict=predict,
    example=EXAMPLE,
    checks=CHECKS,
    uses=(residual.RESULT, limit_law.RESULT),
    derivation=DERIVATION,
)
