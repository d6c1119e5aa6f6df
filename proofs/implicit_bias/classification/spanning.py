"""Support vectors that do not span the rows leave part of the factor frozen; for independent rows they span iff all support."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpq_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.max_margin import max_margin
from ....numerics.implicit_bias.support_vectors import every_row_supports, support_report
from ....numerics.store import Rows
from ....numerics.training.separable import flow_separable
from ....theory.axioms import KKT, ODE
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.classification import CLASS_NONSPAN
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..max_margin import direction
from ..problems import rational
from ..separable_problems import exact_separator, ones, separable_design


@dataclass(frozen=True, eq=False)
class SpanSetting:
    """Labelled rows (examples, parameters), the prior's mean and factor, and the time tau = log(1 + t) to look at."""

    design: Float[np.ndarray, "examples parameters"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    log_time: float

    def __post_init__(self) -> None:
        law = GaussianLaw(self.prior_mean, self.prior_factor)
        if finite("design", self.design, ndim=2).shape[1:] != law.mean.shape or not self.log_time > 0:
            raise InvalidInput(
                f"design has shape {self.design.shape}.", "Pass one column per parameter and a positive time."
            )


@dataclass(frozen=True, eq=False)
class SpanPrediction:
    """Number of support vectors, row directions they leave open, direction of the mean, training variances at the time."""

    support_vectors: int
    residual_rank: int
    direction: Float[np.ndarray, " parameters"]
    variances: Float[np.ndarray, " examples"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def determinant() -> Equations:
    """Liouville: Z' = -sum l_n x_n x_n^T Z for a square Z gives (log det Z)' = -sum l_n ||x_n||^2."""
    import sympy

    z = sympy.Matrix(2, 2, sympy.symbols("z1:5", real=True))
    x, y = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "y"))
    first, second = sympy.symbols("l1 l2", positive=True)
    velocity = -(first * x * x.T + second * y * y.T) * z
    rate = velocity[0, 0] * z[1, 1] + z[0, 0] * velocity[1, 1] - velocity[0, 1] * z[1, 0] - z[0, 1] * velocity[1, 0]
    return [(rate, -(first * x.dot(x) + second * y.dot(y)) * z.det())]


def open_direction() -> Equations:
    """u orthogonal to the support vectors sees only the other rows; l_n ~ t^-m is integrable; (1,0,0): l_1 ~ 1/t."""
    import sympy

    u, v, s, t = sympy.symbols("u v s t", real=True)
    force, other = sympy.symbols("l1 l2", positive=True)
    m, time = sympy.symbols("m time", positive=True)
    support, row = sympy.Matrix([1, 0]), sympy.Matrix([sympy.Rational(5, 2), 2])
    factor = sympy.Matrix([[u, v], [s, t]])
    velocity = -(force * support * support.T + other * row * row.T) * factor
    across = sympy.Matrix([[0, 1]]) * velocity
    pairs: Equations = list(zip(across, -other * 2 * (row.T * factor), strict=True))
    return [*pairs, (sympy.diff(-(time ** (1 - m)) / (m - 1), time), time**-m)]


def all_rows_support() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Every pair of independent rows in space with entries -1, 0, 2: both support iff (X X^T)^{-1} 1 > 0."""
    import itertools

    for entries in itertools.product((-1, 0, 2), repeat=6):
        design = np.array(entries, dtype=np.float64).reshape(2, 3)
        x = rational(design)
        gram = x * x.transpose()
        if gram.det() == 0:
            continue
        found = exact_separator(design)
        assert found is not None  # independent rows are separable
        positive = all(entry > 0 for entry in (gram.inv() * ones(2)).entries())
        generic = len(found.support) == 2 and all(alpha > 0 for alpha in found.dual.entries())
        yield f"{entries}", Fraction(int(generic)), "==", Fraction(int(positive))


DERIVATION = (
    Axiom(KKT, "with independent rows w = X^+ 1 has all margins 1 and the dual (X X^T)^{-1} 1: it is w_hat with every weight positive iff that is > 0"),
    Enumeration("so for every pair of independent rows in space with entries -1, 0, 2", all_rows_support),
    Uses(direction.RESULT, "its argument holds for L = sum exp(-m_n + v_n/2): dL/dt <= -||grad_mu L||^2, ||grad_mu L|| >= gamma L, exp(-m_n) <= l_n; so l_n = O(t^(-m_n + o(1)))"),
    Algebra("off the span of the support vectors only rows of margin m_n > 1 act, with integrable weights: that part of S converges", open_direction),
    Axiom(ODE, "with integrable coefficients the solution converges"),
    Algebra("log det of the factor on the rows falls by sum l_n ||x_n||^2: in the example by log t + O(1), all of it in the one direction "
            "of exponent 1, so the other direction stays away from 0", determinant),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def integrated_variances(s: SpanSetting) -> Float[np.ndarray, " examples"]:
    """Training variances at the time, from the closed system in margins a = X mu and columns C = X S alone, K = X X^T.

    da/dtau = K l and dC/dtau = -K diag(l) C with l = exp(tau - a + |C|^2/2), by a multistep method.
    """
    from scipy.integrate import solve_ivp

    k, n = s.design @ s.design.T, len(s.design)

    def velocity(tau: float, state: np.ndarray) -> np.ndarray:
        c = state[n:].reshape(n, -1)
        force = np.exp(tau - state[:n] + (c * c).sum(axis=1) / 2)
        return np.concatenate([k @ force, -(k @ (force[:, None] * c)).ravel()])

    start = np.concatenate([s.design @ s.prior_mean, (s.design @ s.prior_factor).ravel()])
    found = solve_ivp(velocity, (0, s.log_time), start, method="LSODA", rtol=1e-10, atol=1e-12)
    return np.asarray((found.y[n:, -1].reshape(n, -1) ** 2).sum(axis=1))


def predict(s: SpanSetting) -> SpanPrediction:
    return replace(predict_counts(s), variances=integrated_variances(s))


def predict_counts(s: SpanSetting) -> SpanPrediction:
    """Without the variances, which take an integration."""
    solution = max_margin(s.design)
    report = support_report(s.design, solution=solution)
    way = solution.weights / np.linalg.norm(solution.weights)
    return SpanPrediction(report.support_vectors, report.residual_rank, way, np.full(len(s.design), np.nan))


# --- checks -------------------------------------------------------------------------------------------------------

ROWS = np.array([[1.0, 0.0, 0.0], [2.5, 2.0, 0.0]])
EXAMPLE = SpanSetting(ROWS, np.zeros(3), np.eye(3), 60.0)
HALF = SpanSetting(ROWS, np.zeros(3), np.eye(3) / 2, 60.0)
VARIANCE_ERROR = 1e-6  # absolute: ten thousand local errors of 1e-10, more than the integrators take steps


def flow(setting: SpanSetting, run: Run) -> dict[str, Any]:
    """Gradient flow on mean and factor; late log-differences give the direction without the constant term."""
    s = setting
    path = flow_separable(
        s.design,
        s.prior_mean,
        s.prior_factor,
        record=(s.log_time / 2, s.log_time),
        method=run.block["method"],
        rtol=1e-12,
    )
    moved = path.means[1] - path.means[0]
    variances = ((s.design @ path.factors[1]) ** 2).sum(axis=1)
    return {"direction": (moved / np.linalg.norm(moved))[None], "variance": variances[None]}


def compare_frozen(setting: SpanSetting, prediction: SpanPrediction, rows: Rows) -> Comparison:
    """Variances and direction. The constant term's remainder is e^(-tau/2) at half the time, 1e-13 here."""
    runs = len(rows["variance"])
    observed = np.concatenate([rows["variance"], rows["direction"]], axis=1)
    predicted = np.tile(np.concatenate([prediction.variances, prediction.direction]), (runs, 1))
    return Comparison(observed, predicted, np.array(VARIANCE_ERROR), 1.0)


def counts(setting: SpanSetting, run: Run) -> dict[str, Any]:
    """Support vectors and open directions from exact arithmetic, and whether (X X^T)^{-1} 1 > 0."""
    found, x = exact_separator(setting.design), rational(setting.design)
    assert found is not None
    chosen = fmpq_mat(len(found.support), x.ncols(), [x[i, j] for i in found.support for j in range(x.ncols())])
    every = float(every_row_supports(setting.design)) if x.rank() == x.nrows() else -1.0
    return {"count": np.array([len(found.support), x.rank() - chosen.rank(), every])}


def compare_counts(setting: SpanSetting, prediction: SpanPrediction, rows: Rows) -> Comparison:
    """Whole numbers, so any bound below 1 is exact; the last is compared only where rows are independent."""
    every = float(prediction.residual_rank == 0) if rows["count"][2] >= 0 else -1.0
    predicted = np.array([prediction.support_vectors, prediction.residual_rank, every])
    return Comparison(rows["count"], predicted, np.full(3, 1e-6), 1.0)


def count_setting(seed: int) -> SpanSetting:
    rng = np.random.default_rng(seed)
    examples, parameters = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    design = separable_design(rng, examples=examples, parameters=parameters)
    return SpanSetting(design, np.zeros(parameters), 0.1 * np.eye(parameters)[:, :1], 1.0)


def but(change: Callable[[SpanSetting], Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict_counts(s), **change(s))}


def rescaled(s: SpanSetting) -> Mapping[str, Any]:
    """What the flow from twice the factor leaves, divided by four."""
    return {"variances": integrated_variances(replace(s, prior_factor=2 * s.prior_factor)) / 4}


def way_of_the_least_norm_fit(s: SpanSetting) -> Mapping[str, Any]:
    fit = np.linalg.pinv(s.design) @ np.ones(len(s.design))
    return {"variances": integrated_variances(s), "direction": fit / np.linalg.norm(fit)}


CHECKS = (
    Check(
        "frozen variance and direction",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE, HALF)),
        experiment=flow,
        plan=ByBudget(quick=({"method": "DOP853"}, {"method": "LSODA"})),
        compare=compare_frozen,
        controls=(
            Control("variance vanishes (ib.class_w2 applied regardless)", but(lambda s: {"variances": np.zeros(len(s.design))})),
            Control("a rescaling of another start", but(rescaled)),
            Control("variance kept", but(lambda s: {"variances": ((s.design @ s.prior_factor) ** 2).sum(axis=1)})),
            Control("direction of X^+ 1", but(way_of_the_least_norm_fit)),
        ),
    ),
    Check(
        "counts of support vectors against exact arithmetic",
        Agreement("rounding"),
        settings=ByBudget(quick=tuple(map(count_setting, range(20))), standard=lambda: tuple(map(count_setting, range(200)))),
        experiment=counts,
        predict=predict_counts,
        compare=compare_counts,
        controls=(
            Control("every row supports", but(lambda s: {"support_vectors": len(s.design), "residual_rank": 0})),
            Control("more parameters than examples suffice", {"predict": lambda s: replace(predict_counts(s), residual_rank=0)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CLASS_NONSPAN, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(direction.RESULT,), derivation=DERIVATION
)
