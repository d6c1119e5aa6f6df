"""Beyond the direction: w_t = w_hat log t + w_tilde + P w_0 + o(1), with x_n^T w_tilde = log(eta/alpha_n) on the support."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Formula
from ....numerics.implicit_bias.least_squares import null_projector
from ....numerics.implicit_bias.max_margin import max_margin
from ....numerics.implicit_bias.separable_limits import constant_term, correction_exponent, rate_matrix, rate_spectrum
from ....theory.axioms import CONVEX_FLOW, KKT, LINEARISED_DECAY
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.max_margin import LOGIT_RESIDUAL
from ...result import ByBudget, Check, Control, Result
from ..separable_problems import (
    SeparatorFloats,
    balls_of,
    constant_balls,
    exact_separator,
    random_separable,
    small_separable_designs,
)
from . import direction
from .direction import SeparableSetting
from .residual_evidence import (
    compare_constant,
    compare_estimators,
    compare_exponent,
    descend,
    exponent_setting,
    flow,
    flow_setting,
    random_setting,
)


@dataclass(frozen=True, eq=False)
class ResidualPrediction:
    """w_hat, w_tilde and P w_0 (parameters,), A (parameters, parameters), its nonzero spectrum increasing, rho."""

    weights: Float[np.ndarray, " parameters"]
    constant: Float[np.ndarray, " parameters"]
    kept: Float[np.ndarray, " parameters"]
    matrix: Float[np.ndarray, "parameters parameters"]
    spectrum: Float[np.ndarray, " support"]
    exponent: float


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def generic_support() -> tuple[Any, Any, Any]:
    """Two independent rows after the rotation that puts them first, their dual weights and w_hat."""
    import sympy

    a, b, c = sympy.symbols("a b c", positive=True)
    rows = sympy.Matrix([[a, 0, 0], [b, c, 0]])
    alpha = (rows * rows.T).inv() * sympy.Matrix([1, 1])
    return rows, alpha, rows.T * alpha


def fixed_direction() -> Equations:
    """A w_hat = w_hat, trace A = sum alpha_n ||x_n||^2, and the flow of r = w - w_hat tau in tau."""
    import sympy

    rows, alpha, w = generic_support()
    matrix = rows.T * sympy.diag(*alpha) * rows
    pairs: Equations = [(left, right) for left, right in zip(matrix * w, w, strict=True)]
    pairs.append((matrix.trace(), sum(alpha[n] * rows.row(n).dot(rows.row(n)) for n in range(2))))
    r = sympy.Matrix(sympy.symbols("r1:4", real=True))
    tau, eta = sympy.symbols("tau eta", positive=True)
    # dw/dtau = e^tau sum exp(-x_n^T w) x_n at w = w_hat tau + r
    moved = [sympy.cancel(tau - rows.row(n).dot(w * tau + r)) for n in range(2)]
    velocity = sum((sympy.exp(m) * rows.row(n).T for n, m in enumerate(moved)), sympy.zeros(3, 1)) - w
    still = sum((sympy.exp(-rows.row(n).dot(r)) * rows.row(n).T for n in range(2)), sympy.zeros(3, 1)) - w
    pairs += list(zip(velocity, still, strict=True))
    # eta t sum exp(-x_n^T w_t) x_n = w_hat where x_n^T w_tilde = log(eta/alpha_n)
    logs = [eta * sympy.exp(-sympy.log(eta / alpha[n])) - alpha[n] for n in range(2)]
    return pairs + [(left, 0) for left in logs]


def convex_potential() -> Equations:
    """r' = -grad F, F = sum exp(-x_n^T r) + w_hat^T r; at w_tilde the gradient vanishes and the Hessian is A."""
    import sympy

    rows, alpha, w = generic_support()
    r = sympy.Matrix(sympy.symbols("r1:4", real=True))
    inner = [rows.row(n).dot(r) for n in range(2)]
    potential = sum(sympy.exp(-u) for u in inner) + w.dot(r)
    force = sum((sympy.exp(-u) * rows.row(n).T for n, u in enumerate(inner)), sympy.zeros(3, 1)) - w
    pairs: Equations = [(-sympy.diff(potential, r[k]), force[k]) for k in range(3)]
    hessian = sympy.hessian(potential, list(r))
    weight = sympy.symbols("q1:3", positive=True)  # exp(-x_n^T r), alpha_n at w_tilde
    at = hessian.subs({sympy.exp(-u): q for u, q in zip(inner, weight, strict=True)})
    expected = rows.T * sympy.diag(*weight) * rows
    return pairs + list(zip(at, expected, strict=True)) + [(w[k] - (rows.T * alpha)[k], 0) for k in range(3)]


def other_rows() -> Equations:
    """A row of margin m > 1 adds e^(tau - m tau) exp(-x^T r) x; the estimators' errors, w_t = w log t + c + e."""
    import sympy

    tau, margin, u = sympy.symbols("tau m u", positive=True)
    w, c, early, late, first, second = sympy.symbols("w c e1 e2 l1 l2", real=True)
    difference = ((w * second + c + late) - (w * first + c + early)) / (second - first)
    return [
        (sympy.exp(tau - (margin * tau + u)), sympy.exp(-(margin - 1) * tau) * sympy.exp(-u)),
        (difference - w, (late - early) / (second - first)),
        ((w * first + c + early) / first - w, (c + early) / first),
    ]


DERIVATION = (
    Uses(direction.RESULT, "w_t/||w_t|| -> w_hat/||w_hat||, so rows off the support are left behind"),
    Axiom(KKT, "w_hat = sum over the support of alpha_n x_n, and x_n^T w_hat = 1 there"),
    Algebra("A w_hat = w_hat; in tau = log(1 + t), r = w - w_hat tau obeys r' = sum exp(-x_n^T r) x_n - w_hat on the support", fixed_direction),
    Enumeration("A w_hat = w_hat and w_hat = X^T alpha for every generic design of three rows in the plane with entries -1, 0, 2", small_separable_designs),
    Algebra("this is the gradient flow of a convex F whose Hessian at the minimiser w_tilde is A, positive definite on the span", convex_potential),
    Algebra("a row of margin m adds a force e^(-(m - 1) tau), integrable as m > 1", other_rows),
    Axiom(CONVEX_FLOW, "so r -> w_tilde on span(SV); off the rows of X nothing moves"),
    Axiom(LINEARISED_DECAY, "and the remainder is O(e^(-min(lambda_min, m_2 - 1) tau)); lambda_min <= 1 as A w_hat = w_hat"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SeparableSetting) -> ResidualPrediction:
    return ResidualPrediction(
        weights=max_margin(s.design).weights,
        constant=constant_term(s.design, step=s.step),
        kept=null_projector(s.design) @ s.initial,
        matrix=rate_matrix(s.design),
        spectrum=rate_spectrum(s.design),
        exponent=correction_exponent(s.design),
    )


# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(4))), standard=lambda: tuple(map(random_setting, range(12))))
FLOWS = ByBudget(quick=tuple(map(flow_setting, range(4))), standard=lambda: tuple(map(flow_setting, range(12))))
BOTH = ByBudget(quick=({"method": "DOP853"}, {"method": "LSODA"}))
EXPONENTS = ByBudget(quick=tuple(map(exponent_setting, range(4))))


def by(change: Callable[[SeparableSetting, ResidualPrediction], Mapping[str, Any]]) -> Mapping[str, Any]:
    def wrong(s: SeparableSetting) -> ResidualPrediction:
        right = predict(s)
        return replace(right, **change(s, right))

    return {"predict": wrong}


def at_step(factor: float) -> Mapping[str, Any]:
    return by(lambda s, p: {"constant": constant_term(s.design, step=s.step * factor)})


def alpha_inverted(s: SeparableSetting, p: ResidualPrediction) -> Mapping[str, Any]:
    found = max_margin(s.design)
    rows, alpha = s.design[found.support], found.dual[found.support]
    return {"constant": np.linalg.pinv(rows) @ np.log(s.step * alpha)}


def sample(rng: np.random.Generator) -> SeparableSetting:
    design = random_separable(rng, examples=int(rng.integers(1, 6)), parameters=int(rng.integers(2, 5)))
    return SeparableSetting(design, np.zeros(design.shape[1]), float(10 ** rng.uniform(-3, 0)), (1,))


def last_steps(s: SeparableSetting) -> list[arb]:
    """w_tilde, A, and exact trace and determinant of the nonzero part of A, which its spectrum must have."""
    exact = exact_separator(s.design)
    assert exact is not None
    rows = arb_mat(exact_rows(s.design, exact.support))
    alpha = balls_of(exact.dual.entries())
    weighted = arb_mat([[alpha[i] * rows[i, j] for j in range(rows.ncols())] for i in range(rows.nrows())])
    matrix, small = rows.transpose() * weighted, weighted * rows.transpose()
    product = arb(small.det())
    trace = sum((small[i, i] for i in range(small.nrows())), arb(0))
    constant = constant_balls(s.design, exact, s.step)
    return [*(constant[i, 0] for i in range(constant.nrows())), *matrix.entries(), trace, product]


def exact_rows(design: np.ndarray, support: tuple[int, ...]) -> list[list[arb]]:
    return [[arb(float(entry)) for entry in design[n]] for n in support]


def numbers(constant: np.ndarray, matrix: np.ndarray, spectrum: np.ndarray) -> np.ndarray:
    return np.concatenate([constant, matrix.ravel(), [spectrum.sum(), spectrum.prod()]])


def read(p: ResidualPrediction) -> np.ndarray:
    return numbers(p.constant, p.matrix, p.spectrum)


def shipped(s: SeparableSetting) -> np.ndarray:
    return numbers(constant_term(s.design, step=s.step), rate_matrix(s.design), rate_spectrum(s.design))


def width(s: SeparableSetting) -> np.ndarray:
    """Backward-stable solves and products: 20 (P + |SV|) u of the norms below, u = 2^-53."""
    found = SeparatorFloats.of(s.design)
    assert found is not None
    values, p, size = shipped(s), s.design.shape[1], sum(found.rows.shape)
    inverse, condition = float(np.linalg.norm(np.linalg.pinv(found.rows), 2)), float(np.linalg.cond(found.rows))
    trace = float(found.alpha @ (found.rows**2).sum(axis=1))
    solve = condition * float(np.linalg.norm(values[:p])) + inverse * math.sqrt(len(found.alpha))
    # the product of the squared singular values: each is off by u of the largest one
    product = values[-1] * 4 * len(found.alpha) * math.sqrt(found.spectrum[-1] / found.spectrum[0])
    norms = np.concatenate([np.full(p, solve), np.full(p * p + 1, trace), [product]])
    return 20 * size * 2.0**-53 * norms / np.abs(values)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=25)


def mutated(change: Callable[[SeparableSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


EXAMPLE = SeparableSetting(np.array([[1.0, 0.0, 1.0], [1.0, 2.0, 0.0]]), np.array([0.1, 0.0, 0.2]), 0.01, (10, 1000))

CHECKS = (
    Check(
        "constant term of the flow",
        Agreement("convergence"),
        settings=FLOWS,
        experiment=flow,
        plan=BOTH,
        compare=compare_constant,
        controls=(
            Control("log alpha in place of -log alpha", by(alpha_inverted)),
            Control("constant forgotten", by(lambda s, p: {"constant": 0 * p.constant})),
            Control("start forgotten", by(lambda s, p: {"kept": 0 * p.kept})),
            Control("whole start kept", by(lambda s, p: {"kept": s.initial})),
        ),
    ),
    Check(
        "constant term of descent",
        Agreement("convergence", relative=1e-2),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_constant,
        controls=(
            Control("step forgotten", by(lambda s, p: {"constant": constant_term(s.design)})),
            Control("step of the mean loss", at_step(10.0)),
            Control("log alpha in place of -log alpha", by(alpha_inverted)),
        ),
    ),
    Check(
        "two estimates of the separator",
        Agreement("convergence", relative=0.1),
        settings=ByBudget(quick=SETTINGS.quick[:2], standard=lambda: SETTINGS.of("standard")),
        experiment=descend,
        compare=compare_estimators,
        controls=(
            Control("offset of w_t/log t hidden", by(lambda s, p: {"constant": 0 * p.constant, "kept": 0 * p.kept})),
            Control("margin 2", by(lambda s, p: {"weights": 2 * p.weights})),
        ),
    ),
    Check(
        "exponent of the remainder",
        Agreement("convergence", relative=1e-2),
        settings=EXPONENTS,
        experiment=flow,
        plan=ByBudget(quick=({"method": "DOP853"},)),
        compare=compare_exponent,
        controls=(
            Control("other rows forgotten", by(lambda s, p: {"exponent": float(p.spectrum[0])})),
            Control("m_2 in place of m_2 - 1", by(lambda s, p: {"exponent": min(p.spectrum[0], p.exponent + 1)})),
            Control("largest eigenvalue", by(lambda s, p: {"exponent": float(p.spectrum[-1])})),
            Control("rate 1/t", by(lambda s, p: {"exponent": 1.0})),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutated(lambda s: (1 + 1e-9) * shipped(s))),
            Control("step off by 1e-9", mutated(lambda s: shipped(replace(s, step=s.step * (1 + 1e-9))))),
            Control("A without alpha", mutated(lambda s: numbers(constant_term(s.design, step=s.step), s.design.T @ s.design, rate_spectrum(s.design)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    LOGIT_RESIDUAL, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(direction.RESULT,), derivation=DERIVATION
)
