"""The parametrisation of the covariance selects the law: triangles, log-scales and Sigma itself beside a free factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.covariance_parameters import (
    cholesky_limit,
    covariance_steps_until_indefinite,
    log_scale_flow,
)
from ....numerics.implicit_bias.least_squares import null_projector, rounding_floor
from ....theory.axioms import MONOTONE_INVERSE, ODE, SPECTRAL
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.selection import PARAM_COVARIANCE
from ...result import ByBudget, Check, Control, Result
from ..exact_values import largest_eigenvalue, mutant, relative_width
from ..least_squares import minimum_norm
from ..problems import balls, identity, integer_design, pseudo_inverse, rational
from ..regression import nearest_law
from . import kronecker, metric_dial
from .parametrisation_evidence import (
    UNIT_ROUNDOFF,
    ParametrisationPrediction,
    ParametrisationSetting,
    compare_covariance,
    compare_law,
    compare_log_scales,
    compare_softplus,
    compare_triangle,
    integrate_softplus,
    measure_law,
    predict,
    random_setting,
    train_covariance,
    train_log_scales,
    train_triangle,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def triangle_decouples() -> Equations:
    """tr(X L L^T X^T)/2 for P = 3, N = 2: its derivative in an entry of column j involves X[:, j:] and that column alone."""
    import sympy

    x = sympy.Matrix(2, 3, sympy.symbols("x1:7", real=True))
    a, b, c, d, e, f = sympy.symbols("a b c d e f", real=True)
    factor = sympy.Matrix([[a, 0, 0], [b, d, 0], [c, e, f]])
    loss = (x * factor * factor.T * x.T).trace() / 2
    pairs: Equations = []
    for j, names in enumerate(((a, b, c), (d, e), (f,))):
        part = x[:, j:]
        gradient = part.T * part * sympy.Matrix(names)
        pairs += [(sympy.diff(loss, name), g) for name, g in zip(names, gradient, strict=True)]
    return pairs


def scales_in_other_parameters() -> Equations:
    """Flows of the scale s itself, of rho = log s, and of rho with s = log(1 + exp(rho)), on c s^2/2."""
    import sympy

    rho = sympy.Symbol("rho", real=True)
    s, c, t = sympy.symbols("s c t", positive=True)

    def flow_of_scale(scale: Any) -> Any:  # s' = -(ds/drho)^2 dL/ds
        return -(sympy.diff(scale, rho) ** 2) * c * scale

    path = s / sympy.sqrt(1 + 2 * c * s**2 * t)
    soft = sympy.log(1 + sympy.exp(rho))
    return [
        (flow_of_scale(sympy.exp(rho)), -c * sympy.exp(rho) ** 3),
        (sympy.diff(path, t), -c * path**3),
        (path.subs(t, 0), s),
        (flow_of_scale(soft), -c * soft * (1 - sympy.exp(-soft)) ** 2),
        (sympy.diff(sympy.exp(-s) - 1 + s, s), 1 - sympy.exp(-s)),
    ]


def covariance_itself() -> Equations:
    """The gradient of tr(X Sigma X^T)/2 is X^T X/2 (entries counted separately); scaled factors."""
    import sympy

    one, two, a, b, c, d, k, eta = sympy.symbols("x1 x2 a b c d k eta", real=True)
    x, sigma = sympy.Matrix([[one, two]]), sympy.Matrix([[a, b], [c, d]])
    loss = (x * sigma * x.T)[0, 0] / 2
    gradient = [sympy.diff(loss, entry) for entry in (a, b, c, d)]
    h = one**2
    return [
        *zip(gradient, [one**2 / 2, one * two / 2, one * two / 2, two**2 / 2], strict=True),
        (
            k * (d - eta * k * (h * k * d)),
            (1 - eta * k**2 * h) * (k * d),
        ),  # S = k S': the step eta on S' is k^2 eta on S
    ]


DERIVATION = (
    Algebra("a triangle decouples: column j is least squares on X[:, j:] with targets 0", triangle_decouples),
    Uses(minimum_norm.RESULT, "so it ends at (I - X_j^+ X_j) L_{0,j}"),
    Uses(nearest_law.RESULT, "that law fits the data, so it is at least as far from the prior as N(mu_inf, P Sigma_0 P), and farther unless equal to it: the nearest one is unique"),
    Axiom(ODE, "with rho = log s: u = s^-2 has u' = 2 c, so s(t)^2 = s^2/(1 + 2 c s^2 t)"),
    Algebra("the flows of s in each parametrisation; 1 - exp(-s) <= min(1, s)", scales_in_other_parameters),
    Axiom(MONOTONE_INVERSE, "softplus: s' lies above -c s and above -c s^3, so s(t) is at least both of their solutions"),
    Algebra("Sigma_t = Sigma_0 - eta t H/2, and S = k S' is a covariance learning rate k^2 eta", covariance_itself),
    Axiom(SPECTRAL, "Sigma_0 - a H = S_0 (I - a S_0^{-1} H S_0^{-T}) S_0^T is positive semidefinite iff a lambda_max(S_0^{-1} H S_0^{-T}) <= 1; beyond it the objective keeps falling along the gradient, without a lower bound"),
    Uses(metric_dial.RESULT, "a covariance learning rate does not change the limit"),
    Algebra("a weight M + A Z B^T that is stored row by row has the factor A x B", kronecker.stored_by_rows),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(30))))


def with_(**changes: Callable[[ParametrisationSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def exponential(s: ParametrisationSetting, scale: float = 1.0) -> np.ndarray:
    return np.asarray(s.scales * np.exp(-scale * np.sum(s.design**2, axis=0) * s.time))


def sample(rng: np.random.Generator) -> ParametrisationSetting:
    design = integer_design(rng)
    n, p = design.shape
    factor = np.tril(rng.integers(-2, 3, size=(p, p)), -1) / 2 + np.diag(rng.integers(1, 4, size=p))
    step = 1 / float(np.linalg.norm(design, 2)) ** 2
    return ParametrisationSetting(
        design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, step, float(10 ** rng.uniform(-2, 2))
    )


def last_steps(s: ParametrisationSetting) -> list[arb]:
    x, factor = rational(s.design), rational(s.prior_factor)
    (n, p), limit = s.design.shape, fmpq_mat(*s.prior_factor.shape)
    for j in range(p):
        part = fmpq_mat(n, p - j, [x[i, k] for i in range(n) for k in range(j, p)])
        column = fmpq_mat(p - j, 1, [factor[i, j] for i in range(j, p)])
        kept = (identity(p - j) - pseudo_inverse(part) * part) * column if any(part.entries()) else column
        for i in range(j, p):
            limit[i, j] = kept[i - j, 0]
    time, scales = arb(fmpq(*s.time.as_integer_ratio())), []
    for i in range(p):
        squares = sum((factor[i, k] ** 2 for k in range(p)), fmpq(0))
        slope = sum((x[k, i] ** 2 for k in range(n)), fmpq(0))
        scales.append((1 / (1 / arb(squares) + 2 * arb(slope) * time)).sqrt())
    white = x * factor.inv().transpose()
    top = largest_eigenvalue(white * white.transpose())
    return [*balls(limit), *scales, 2 / (arb(fmpq(*s.step.as_integer_ratio())) * top)]


def read(p: ParametrisationPrediction) -> np.ndarray:
    return np.concatenate([p.factor.ravel(), p.log_scales, [p.steps]])


def shipped(s: ParametrisationSetting) -> np.ndarray:
    limit = cholesky_limit(s.design, s.targets, s.prior).factor
    steps = covariance_steps_until_indefinite(s.design, s.prior, step=s.step)
    return np.concatenate([limit.ravel(), log_scale_flow(s.design, s.scales, time=s.time), [steps]])


def width(s: ParametrisationSetting) -> np.ndarray:
    values, bounds = shipped(s), np.zeros_like(s.prior_factor)
    for j, column in enumerate(s.prior_factor.T):
        bounds[:, j] = rounding_floor(s.design[:, j:], 0 * s.targets, column[j:], step=s.step, steps=1)
    scales = 4 * (sum(s.design.shape) + 8) * UNIT_ROUNDOFF * s.scales
    steps = (
        20 * sum(s.design.shape) * UNIT_ROUNDOFF * np.linalg.cond(s.prior_factor) ** 2 * values[-1]
    )  # Cholesky of Sigma_0
    return relative_width(values, np.concatenate([bounds.ravel(), scales, [steps]]))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=50)
EXAMPLE = ParametrisationSetting(np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.array([[1.0, 0, 0], [0.5, 1, 0], [0, 1, 2]]), 0.1, 1.0)  # fmt: skip

CHECKS = (
    Check(
        "limit of descent on a lower triangle",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train_triangle,
        compare=compare_triangle,
        controls=(
            Control("P S_0, as for a free factor", with_(factor=lambda s: null_projector(s.design) @ s.prior_factor)),
            Control("lower triangle of P S_0", with_(factor=lambda s: np.tril(null_projector(s.design) @ s.prior_factor))),
            Control("all entries trained", {"experiment": partial(train_triangle, entries="all")}),
        ),
    ),
    Check(
        "the triangle's law is farther from the prior and depends on the order of the features",
        Inequality(),
        settings=SETTINGS,
        experiment=measure_law,
        compare=compare_law,
        controls=(
            Control("all entries trained", {"experiment": partial(measure_law, entries="all")}),
        ),
    ),
    Check(
        "flow of log-scales",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train_log_scales,
        compare=compare_log_scales,
        controls=(
            Control("exponential decay, as for the scales themselves", with_(log_scales=exponential)),
            Control("without the factor 2", with_(log_scales=lambda s: log_scale_flow(s.design, s.scales, time=s.time / 2))),
            Control("scale in place of its square", with_(log_scales=lambda s: s.scales / (1 + 2 * np.sum(s.design**2, axis=0) * s.scales**2 * s.time))),
        ),
    ),
    Check(
        "softplus scales lose no more than exponentially, and no more than log-scales",
        Inequality(),
        settings=SETTINGS,
        experiment=integrate_softplus,
        compare=compare_softplus,
        controls=(
            Control("half the exponential rate", with_(softplus=lambda s: exponential(s, 0.5))),
            Control("log-scales at a tenth of the time", with_(softplus=lambda s: log_scale_flow(s.design, s.scales, time=s.time / 10))),
        ),
    ),
    Check(
        "steps on Sigma until it is no covariance",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=train_covariance,
        compare=compare_covariance,
        controls=(
            Control("gradient H in place of H/2", with_(steps=lambda s: predict(s).steps / 2)),
            Control("X S_0 in place of X S_0^{-T}", with_(steps=lambda s: 2 / (s.step * np.linalg.norm(s.design @ s.prior_factor, 2) ** 2))),
        ),
    ),
    kronecker.CHECK,
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("time off by 1e-8", mutant(FORMULA, lambda s: shipped(replace(s, time=s.time * (1 + 1e-8))))),
            Control("free factor", mutant(FORMULA, lambda s: np.concatenate([(null_projector(s.design) @ s.prior_factor).ravel(), shipped(s)[s.prior_factor.size :]]))),
        ),
    ),
)  # fmt: skip

RESULT = Result(PARAM_COVARIANCE, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT, nearest_law.RESULT, metric_dial.RESULT), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
