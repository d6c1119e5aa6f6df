"""The law of predictions after variational training: K - G K - K G^T + G K G^T, a Gaussian process only by coincidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula
from ....numerics.implicit_bias.function_space import predictive_law
from ....theory.axioms import GAUSSIAN_AFFINE, SPECTRAL
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.predictive import FUNCTION_SPACE
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..problems import balls, integer_design, pseudo_inverse, rational
from ..regression import nearest_law
from .function_space_evidence import (
    FunctionSpacePrediction,
    FunctionSpaceSetting,
    compare_conditioned,
    compare_trained,
    conditioned,
    errors,
    flat,
    limit_error,
    random_setting,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def one_example() -> tuple[Any, Any, Any, Any]:
    """Two weights, the training row turned onto the first axis; a generic covariance and test row."""
    import sympy

    a = sympy.Symbol("a", positive=True)
    p, q, r = sympy.symbols("p q r", real=True)
    return sympy.Matrix([[a, 0]]), sympy.Matrix([[p, q], [q, r]]), sympy.Matrix([sympy.symbols("f1:3", real=True)]), a


def four_terms() -> Equations:
    """phi P Sigma_0 P phi^T = K(x,x) - 2 G K(X,x) + G K(X,X) G^T with G = Th(x,X)/Th(X,X)."""
    import sympy

    x, sigma, phi, a = one_example()
    null = sympy.eye(2) - x.T * x / a**2
    g = (phi * x.T)[0] / (x * x.T)[0]
    terms = (phi * sigma * phi.T)[0] - 2 * g * (x * sigma * phi.T)[0] + g**2 * (x * sigma * x.T)[0]
    return [
        ((phi * null * sigma * null * phi.T)[0], terms),
        ((null * x.T)[0], 0),
        ((null * x.T)[1], 0),
        ((phi * x.T)[0] / a**2, g),
    ]


def gap_to_the_posterior() -> Equations:
    """P Sigma_0 P - Sigma_c = P Sigma_0 X^T (X Sigma_0 X^T)^{-1} X Sigma_0 P, Sigma_c the noise-free posterior covariance."""
    import sympy

    x, sigma, _, a = one_example()
    null = sympy.eye(2) - x.T * x / a**2
    gain = sigma * x.T / (x * sigma * x.T)[0]
    posterior = sigma - gain * x * sigma
    gap = null * sigma * x.T * x * sigma * null / (x * sigma * x.T)[0]
    pairs = list(zip(null * sigma * null - posterior, gap, strict=True))
    # with P Sigma_0 Q = 0 (q = 0) the gains agree as well
    q = sigma[0, 1]
    return pairs + list(zip(gain.subs(q, 0), x.T / a**2, strict=True))


DERIVATION = (
    Uses(nearest_law.RESULT, "training ends at N(P mu_0 + X^+ y, P Sigma_0 P)"),
    Axiom(GAUSSIAN_AFFINE, "outputs phi w are Gaussian with mean phi mu_inf and covariance phi P Sigma_0 P phi^T"),
    Algebra("with G = phi X^+ = Th(x,X) Th(X,X)^+ these are the four terms; P X^T = 0, so no variance is left at the data", four_terms),
    Algebra("the covariance exceeds that of the noise-free Gaussian process by P Sigma_0 X^T (X Sigma_0 X^T)^{-1} X Sigma_0 P", gap_to_the_posterior),
    Axiom(SPECTRAL, "which is positive semi-definite and vanishes iff P Sigma_0 X^T = 0, that is P Sigma_0 Q = 0; then the means agree too"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: FunctionSpaceSetting) -> FunctionSpacePrediction:
    law = predictive_law(s.design, s.targets, s.tests, s.prior)
    return FunctionSpacePrediction(law.mean, law.covariance)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> FunctionSpaceSetting:
    design = integer_design(rng)
    n, p = design.shape
    factor = rng.normal(size=(p, int(rng.integers(1, 4))))
    return FunctionSpaceSetting(design, rng.normal(size=(n,)), rng.normal(size=(2, p)), rng.normal(size=(p,)), factor)


def last_steps(s: FunctionSpaceSetting) -> list[arb]:
    """The kernel form in fractions: K and Th from the features, G by the pseudo-inverse of Th(X, X)."""
    x, phi, factor = rational(s.design), rational(s.tests), rational(s.prior_factor)
    sigma = factor * factor.transpose()
    g = phi * x.transpose() * pseudo_inverse(x * x.transpose())
    mean = phi * rational(s.prior_mean) + g * (rational(s.targets) - x * rational(s.prior_mean))
    cross = g * x * sigma * phi.transpose()
    covariance = (
        phi * sigma * phi.transpose() - cross - cross.transpose() + g * x * sigma * x.transpose() * g.transpose()
    )
    return [*balls(mean), *balls(covariance)]


def width(s: FunctionSpaceSetting) -> np.ndarray:
    return relative_width(flat(predict(s)), errors(s, limit_error(s)))


FORMULA = Formula(
    expression=last_steps, shipped=lambda s: flat(predict(s)), read=flat, sample=sample, width=width, count=40
)


def by(change: Callable[[FunctionSpaceSetting, FunctionSpacePrediction], FunctionSpacePrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def kernels(s: FunctionSpaceSetting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K at the tests, G K(X, tests) and G K(X, X) G^T."""
    sigma, g = s.prior_factor @ s.prior_factor.T, s.tests @ np.linalg.pinv(s.design)
    return s.tests @ sigma @ s.tests.T, g @ s.design @ sigma @ s.tests.T, g @ s.design @ sigma @ s.design.T @ g.T


def without_last_term(s: FunctionSpaceSetting, p: FunctionSpacePrediction) -> FunctionSpacePrediction:
    k, cross, _ = kernels(s)
    return replace(p, covariance=k - cross - cross.T)


def one_cross_term(s: FunctionSpaceSetting, p: FunctionSpacePrediction) -> FunctionSpacePrediction:
    """K - G K, which is what a Gaussian process with the same gain would have."""
    k, cross, _ = kernels(s)
    return replace(p, covariance=k - cross)


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(40))))
INVARIANT = tuple(random_setting(seed, invariant=True) for seed in range(6))
EXAMPLE = FunctionSpaceSetting(
    np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.array([[0.0, 1.0, 1.0], [1.0, 2.0, 0.0]]), np.zeros(3),
    np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]),
)  # fmt: skip

CHECKS = (
    Check(
        "shipped law against the kernel form",
        FORMULA,
        controls=(
            Control("off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * flat(predict(s)))),
            Control("quadratic term dropped", mutant(FORMULA, lambda s: flat(without_last_term(s, predict(s))))),
            Control("prior mean dropped", mutant(FORMULA, lambda s: flat(predict(replace(s, prior_mean=0 * s.prior_mean))))),
        ),
    ),
    Check(
        "predictions of real descent",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train,
        plan=ByBudget(quick=({"steps": 250},)),
        compare=compare_trained,
        controls=(
            Control("noise-free Gaussian process with kernel K", {"predict": conditioned}),
            Control("quadratic term dropped", by(without_last_term)),
            Control("one cross term", by(one_cross_term)),
            Control("prior's spread", by(lambda s, p: replace(p, covariance=kernels(s)[0]))),
        ),
    ),
    Check(
        "the Gaussian process conditioned without noise, where P Sigma_0 Q = 0",
        Agreement("rounding"),
        settings=ByBudget(quick=INVARIANT),
        compare=compare_conditioned,
        controls=(
            Control("a generic prior covariance", {"settings": ByBudget(quick=SETTINGS.quick)}),
            Control("one cross term of another gain", by(without_last_term)),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    FUNCTION_SPACE, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(nearest_law.RESULT,), derivation=DERIVATION
)
