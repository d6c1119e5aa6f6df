"""Gradient flow of a linear model at every time: its outputs, and their law over initialisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_law
from ....numerics.wide_networks.smoother import linear_smoother
from ....theory.axioms import GAUSSIAN_AFFINE, ODE, SPECTRAL
from ....theory.balls.linear_training import exact_matrix, part
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import LIN_COV_T, LIN_FLOW
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    Law,
    LinearModel,
    exact_gain,
    exact_kernels,
    exact_law,
    exponential_bound,
    flatten,
    gain_error,
    kernels,
    law_width,
    parameter_flow,
    parameter_law,
    random_model,
    relative,
)


@dataclass(frozen=True)
class Outputs:
    """Trained outputs at the test points, of the member whose initial function is the first readout feature."""

    outputs: Float[np.ndarray, " test"]


# --- derivations --------------------------------------------------------------------------------------------------


def gradient_of_the_sum_loss() -> list[tuple[Any, Any]]:
    """-J_* grad(1/2 |J theta - y|^2) = -T_*X (f(X) - y): two training points, one test point, three parameters."""
    a = sympy.symbols("a0:3", real=True)
    rows = sympy.Matrix(2, 3, sympy.symbols("j0:6", real=True))
    theta, y = sympy.Matrix(sympy.symbols("w0:3", real=True)), sympy.Matrix(sympy.symbols("y0:2", real=True))
    residual = rows * theta - y
    loss = (residual.T * residual)[0] / 2
    test = sympy.Matrix([a])
    velocity = -(test * sympy.Matrix([loss.diff(w) for w in theta]))[0]
    return [(velocity, -(test * rows.T * residual)[0])]


def flow_of_one_mode() -> list[tuple[Any, Any]]:
    """In an eigenvector of T_XX: r' = -h r from r0 gives r0 e^{-ht}, whose integral is r0 (1 - e^{-ht})/h, and r0 t at h = 0."""
    t, s, h, r0 = sympy.symbols("t s h r0", positive=True)
    residual = r0 * sympy.exp(-h * t)
    moved = sympy.integrate(residual.subs(t, s), (s, 0, t))
    return [
        (residual.diff(t), -h * residual),
        (moved, r0 * (1 - sympy.exp(-h * t)) / h),
        (sympy.limit(moved, h, 0), r0 * t),
        (sympy.limit((1 - sympy.exp(-h * t)) / h, t, sympy.oo), 1 / h),
    ]


def special_cases() -> list[tuple[Any, Any]]:
    """One training point: M_t K M_t^T at t = 0, on X, and with T = K at t = inf."""
    t, h, k, v, c, d = sympy.symbols("t h k v c d", positive=True)

    def variance(time: Any, tangent: Any, cross: Any) -> Any:
        a = cross * (1 - sympy.exp(-time * tangent)) / tangent
        return v - 2 * a * c + a**2 * k

    on_training = variance(t, h, h).subs({v: k, c: k})
    late = v - 2 * (c / k) * c + (c / k) ** 2 * k
    return [(variance(0, h, d), v), (on_training, k * sympy.exp(-2 * t * h)), (late, v - c**2 / k)]


FLOW_DERIVATION = (
    Algebra("the outputs move with velocity -T_*X (f(X) - y), because J is constant", gradient_of_the_sum_loss),
    Axiom(ODE, "so f_t(X) - y = e^{-t T_XX} (f0(X) - y), and f_t(*) - f0(*) is the integral of -T_*X (f_s(X) - y) over s < t"),
    Axiom(SPECTRAL, "T_XX is diagonal in an orthonormal basis, with eigenvalues of at least 0"),
    Algebra("so the integral is A_t (f0(X) - y), also where an eigenvalue is 0, and t = inf is its limit", flow_of_one_mode),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict_flow(s: LinearModel) -> Outputs:
    _, t = kernels(s)
    start, found = s.readout[:, 0], linear_smoother(t, training=s.training)
    return Outputs(start[: s.tests] + found.matrix @ (s.labels - start[s.tests :]))


def predict_law(s: LinearModel) -> Law:
    k, t = kernels(s)
    found = ensemble_law(k, t, s.labels, training=s.training)
    return Law(found.mean, found.covariance)


# --- exact values -------------------------------------------------------------------------------------------------


def exact_outputs(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        start = exact_matrix([[v] for v in s.readout[:, 0].tolist()])
        labels = exact_matrix([[v] for v in s.labels.tolist()])
        first = part(arb_mat(start), range(s.tests), [0])
        gap = labels - part_rational(start, s.tests)
        return (first + exact_gain(s, exact_kernels(s)[1]) * gap).entries()


def part_rational(column: Any, tests: int) -> Any:
    return type(column)([[column[i, 0]] for i in range(tests, column.nrows())])


def output_width(s: LinearModel) -> np.ndarray:
    _, t = kernels(s)
    gain, error = gain_error(s, t)
    size = float(np.linalg.norm(s.labels - s.readout[s.tests :, 0]))
    absolute = error * size + 10 * len(s.readout) * EPS * (gain * size + float(np.linalg.norm(s.readout[:, 0])))
    return relative(np.full(s.tests, absolute), predict_flow(s).outputs)


def at_any_time(rng: np.random.Generator) -> LinearModel:
    """t = 0, tiny, moderate, late or infinite."""
    time = [0.0, float(rng.uniform(0, 1e-6)), float(rng.uniform(0, 1)), float(rng.uniform(1, 30)), math.inf]
    return random_model(rng, time_sum_loss=time[int(rng.integers(5))])


FLOW_FORMULA = Formula(exact_outputs, lambda s: predict_flow(s).outputs, lambda p: p.outputs, at_any_time, output_width, count=60)  # fmt: skip


def widths(s: LinearModel) -> np.ndarray:
    return law_width(s, *kernels(s), predict_law(s))


LAW_FORMULA = Formula(exact_law, lambda s: flatten(predict_law(s)), flatten, at_any_time, widths, count=60)

# --- the other route: the flow of the parameters --------------------------------------------------------------------


def compare_outputs(s: LinearModel, p: Outputs, rows: Rows) -> Comparison:
    start = np.concatenate([np.eye(s.readout.shape[1])[0], np.zeros(s.hidden.shape[1])])
    train = parameter_flow(s)
    moved = s.jacobian[: s.tests] @ train(s.jacobian[s.tests :], s.labels[:, None], start[:, None])[:, 0]
    gain, error = exponential_bound(s)
    size = float(np.linalg.norm(s.labels)) + float(np.linalg.norm(s.readout[:, 0]))
    return Comparison(moved, p.outputs, np.full(s.tests, 2 * error * size), (1 + gain) * size)


def compare_law(s: LinearModel, p: Law, rows: Rows) -> Comparison:
    observed = parameter_law(s, parameter_flow(s))
    gain, error = exponential_bound(s)
    joint, label = float(np.linalg.norm(s.readout) ** 2), float(np.linalg.norm(s.labels))
    scale = np.repeat([(1 + gain) * label, (1 + gain) ** 2 * joint], [s.tests, s.tests**2])
    bound = np.repeat([2 * error * label, 4 * error * (1 + gain) * joint], [s.tests, s.tests**2])
    return Comparison(flatten(observed), flatten(p), bound, scale)


# --- wrong variants -----------------------------------------------------------------------------------------------


def with_gain(change: Callable[[LinearModel, Any], np.ndarray]) -> Callable[[LinearModel], Law]:
    """The law with another smoother: change(setting, T) -> G."""

    def wrong(s: LinearModel) -> Law:
        k, t = kernels(s)
        gain = change(s, t)
        residual = np.concatenate([np.eye(s.tests), -gain], axis=1)
        return Law(gain @ s.labels, residual @ k.joint() @ residual.T)

    return wrong


def law_at(factor: float) -> Callable[[LinearModel], Law]:
    return lambda s: predict_law(replace(s, time_sum_loss=factor * s.time_sum_loss))


def outputs_at(factor: float) -> Callable[[LinearModel], Outputs]:
    return lambda s: predict_flow(replace(s, time_sum_loss=factor * s.time_sum_loss))


def mean_loss_law(s: LinearModel) -> Law:
    return predict_law(replace(s, time_sum_loss=s.time_sum_loss / len(s.labels)))


def mean_loss_outputs(s: LinearModel) -> Outputs:
    return predict_flow(replace(s, time_sum_loss=s.time_sum_loss / len(s.labels)))


def wrong_sign(s: LinearModel) -> Outputs:
    """f0 - G (y - f0(X))."""
    return Outputs(2 * s.readout[: s.tests, 0] - predict_flow(s).outputs)


def converged_law(s: LinearModel) -> Law:
    return predict_law(replace(s, time_sum_loss=math.inf))


def with_ntk_prior(s: LinearModel) -> Law:
    """M_t T M_t^T: the initial covariance mistaken for T."""
    _, t = kernels(s)
    found = ensemble_law(t, t, s.labels, training=s.training)
    return Law(found.mean, found.covariance)


def mutant(formula: Formula, function: Callable[[Any], Any]) -> dict[str, Any]:
    return {"claim": replace(formula, shipped=lambda s: formula.read(function(s)))}


_rng = np.random.default_rng(20)
EXAMPLE = random_model(_rng, time_sum_loss=0.1)
TIMES = ByBudget(quick=tuple(random_model(_rng, time_sum_loss=t) for t in (0.0, 0.02, 0.1, 0.5)))
POSITIVE_TIMES = ByBudget(quick=TIMES.quick[1:])

FLOW = Result(
    LIN_FLOW,
    predict_flow,
    EXAMPLE,
    (
        Check(
            "shipped outputs at every time",
            FLOW_FORMULA,
            controls=(
                Control("f0 - G (y - f0(X))", mutant(FLOW_FORMULA, wrong_sign)),
                Control("time of the mean loss", mutant(FLOW_FORMULA, mean_loss_outputs)),
                Control("1e-9 later", mutant(FLOW_FORMULA, outputs_at(1 + 1e-9))),
            ),
        ),
        Check(
            "the flow of the parameters ends there",
            Agreement("rounding"),
            settings=TIMES,
            compare=compare_outputs,
            controls=(
                Control("f0 - G (y - f0(X))", {"predict": wrong_sign}),
                Control("time of the mean loss", {"predict": mean_loss_outputs}),
                Control("twice the time", {"predict": outputs_at(2.0)}),
            ),
        ),
    ),
    derivation=FLOW_DERIVATION,
)  # fmt: skip

LAW = Result(
    LIN_COV_T,
    predict_law,
    EXAMPLE,
    (
        Check(
            "shipped law at every time",
            LAW_FORMULA,
            controls=(
                Control("1e-9 later", mutant(LAW_FORMULA, law_at(1 + 1e-9))),
                Control("time of the mean loss", mutant(LAW_FORMULA, mean_loss_law)),
                Control("the converged law", mutant(LAW_FORMULA, converged_law)),
                Control("T for the initial covariance", mutant(LAW_FORMULA, with_ntk_prior)),
                Control("first order in t", mutant(LAW_FORMULA, with_gain(lambda s, t: (s.time_sum_loss if s.time_sum_loss < 1e300 else 1.0) * t.cross))),
                Control("K in the smoother", mutant(LAW_FORMULA, with_gain(lambda s, t: linear_smoother(kernels(s)[0], training=s.training).matrix))),
            ),
        ),
        Check(
            "the flow of the parameters from all unit starts",
            Agreement("rounding"),
            settings=POSITIVE_TIMES,
            compare=compare_law,
            controls=(
                Control("twice the time", {"predict": law_at(2.0)}),
                Control("time of the mean loss", {"predict": mean_loss_law}),
                Control("the converged law", {"predict": converged_law}),
                Control("T for the initial covariance", {"predict": with_ntk_prior}),
            ),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Uses(FLOW, "f_t(*) = M_t f0 + T_*X A_t y, the same affine map of f0 for every draw"),
        Axiom(GAUSSIAN_AFFINE, "f0 is N(0, K) jointly over test and training points, so f_t(*) is N(T_*X A_t y, M_t K M_t^T)"),
        Algebra("t = 0 gives K; on X the covariance is e^{-tT} K e^{-tT}; T = K at t = inf gives K_** - K_*X K_XX^{-1} K_X*", special_cases),
    ),
)  # fmt: skip

RESULTS = (FLOW, LAW)
