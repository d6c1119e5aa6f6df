"""Gradient descent on least squares from w_0 converges to P w_0 + X^+ y, the solution nearest to w_0, at the rate rho^t."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat
from jaxtyping import Float

from ...numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ...numerics.implicit_bias.least_squares import (
    contraction_factor,
    convergence_bound,
    gradient_descent_limit,
    gradient_descent_path,
    half_sum_step,
    largest_stable_step,
    least_squares_problem,
    null_projector,
    rounding_floor,
    row_projector,
    row_space,
    whole_times,
)
from ...numerics.store import Rows
from ...numerics.training.linear_gd import descend_weights
from ...theory.axioms import CONTRACTION, CONVEX_UNIQUE, KKT, SVD
from ...theory.derivation import Algebra, Axiom
from ...theory.statements.implicit_bias import LS_MINNORM
from ...theory.validation import finite
from ..result import ByBudget, Check, Control, Result, Run


@dataclass(frozen=True, eq=False)
class LeastSquaresSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), the step eta and the numbers of steps to look at."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    step: float
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.initial), whole_times(self.times)
        finite("step", self.step, ndim=0)


@dataclass(frozen=True, eq=False)
class LeastSquaresPrediction:
    """w_inf (parameters,), w_t for each of the times (times, parameters), and rho."""

    limit: Float[np.ndarray, " parameters"]
    path: Float[np.ndarray, "times parameters"]
    contraction: float


# --- derivation -----------------------------------------------------------------------------------------------------


Equations = list[tuple[Any, Any]]


def mode() -> tuple[Any, ...]:
    """One direction: start c, coefficient b of the targets, singular value s, step eta."""
    import sympy

    return (*sympy.symbols("c b", real=True), *sympy.symbols("s eta", positive=True))


def step_of_a_mode(c: Any, b: Any, s: Any, eta: Any) -> Any:
    return c - eta * s * (s * c - b)


def error_shrinks() -> Equations:
    c, b, s, eta = mode()
    return [(step_of_a_mode(c, b, s, eta) - b / s, (1 - eta * s**2) * (c - b / s)), (step_of_a_mode(c, 0, 0, eta), c)]


def path_solves_the_recursion() -> Equations:
    import sympy

    c, b, s, eta = mode()
    q = sympy.Symbol("q", real=True)  # stands for (1 - eta s^2)^t; the next power is q (1 - eta s^2)

    def path(power: Any) -> Any:
        return c + (1 - power) * (b - s * c) / s

    return [
        (path(1), c),
        (step_of_a_mode(path(q), b, s, eta), path(q * (1 - eta * s**2))),
        (path(q), b / s + q * (c - b / s)),
    ]


def stability() -> Equations:
    import sympy

    eta, low, high, part = sympy.symbols("eta low high part", positive=True)
    between = part * low + (1 - part) * high
    return [
        (1 - (1 - eta * high) ** 2, eta * high * (2 - eta * high)),
        (1 - eta * between, part * (1 - eta * low) + (1 - part) * (1 - eta * high)),
    ]


def generic_designs() -> list[tuple[Any, Any, Any]]:
    """Generic wide, tall and rank-one designs X with G and d such that X^+ = G / d, all polynomial."""
    import sympy

    a, b, c, d, e, f = sympy.symbols("a b c d e f", positive=True)
    wide = sympy.Matrix([[a, b, c], [d, e, f]])
    gram = wide * wide.T
    column, row = sympy.Matrix([a, b]), sympy.Matrix([[c, d, e]])
    length = (column.T * column)[0] * (row * row.T)[0]
    return [
        (wide, wide.T * gram.adjugate(), gram.det()),
        (wide.T, gram.adjugate() * wide, gram.det()),
        (column * row, row.T * column.T, length),
    ]


def projectors() -> Equations:
    pairs: Equations = []
    for x, g, d in generic_designs():
        q = g * x  # d times the projector
        pairs += [*zip(x * q, d * x, strict=True), *zip(q * g, d * g, strict=True), *zip(q, q.T, strict=True)]
        pairs += zip(q * x.T, d * x.T, strict=True)
    return pairs


def optimality() -> Equations:
    import sympy

    pairs: Equations = []
    for x, g, d in generic_designs():
        y, w = sympy.Matrix(sympy.symbols(f"y:{x.rows}", real=True)), sympy.Matrix(sympy.symbols(f"w:{x.cols}", real=True))
        move = g * (y - x * w)  # d (w_inf - w_0)
        pairs += zip(x.T * (x * (d * w + move)), d * x.T * y, strict=True)
        pairs += zip(d * move, x.T * g.T * move, strict=True)
    return pairs


DERIVATION = (
    Axiom(SVD, "X = U diag(s) V^T; in the coordinates c = V^T w, b = U^T y every direction follows c <- c - eta s (s c - b)."),
    Algebra("Per step the distance to b/s shrinks by 1 - eta s^2; where s = 0 nothing moves, so P w_t = P w_0.", error_shrinks),
    Algebra("c_0 + [1 - (1 - eta s^2)^t] (b - s c_0)/s solves the recursion: w_t = w_inf + (I - eta H)^t d_0.", path_solves_the_recursion),
    Algebra("|1 - eta h| < 1 for 0 < eta h < 2, and, being convex in h, it is largest at h_min or h_max.", stability),
    Axiom(CONTRACTION, "On the row space I - eta H has spectral radius rho < 1, so w_t -> w_inf at the rate rho^t."),
    Algebra("X P = 0, P X^+ = 0, Q = Q^T and X^+ X X^T = X^T on generic wide, tall and rank-deficient designs.", projectors),
    Axiom(KKT, "w minimises ||w - w_0|| over X^T (X w - y) = 0 iff it is feasible and w - w_0 lies in the row space."),
    Algebra("w_inf satisfies both conditions, with multiplier (X^+)^T X^+ (y - X w_0).", optimality),
    Axiom(CONVEX_UNIQUE, "The solutions form an affine space, so the nearest one is unique."),
)  # fmt: skip


# --- prediction -----------------------------------------------------------------------------------------------------


def predict(s: LeastSquaresSetting) -> LeastSquaresPrediction:
    return LeastSquaresPrediction(
        limit=gradient_descent_limit(s.design, s.targets, s.initial),
        path=gradient_descent_path(s.design, s.targets, s.initial, step=s.step, time=s.times),
        contraction=contraction_factor(s.design, s.step),
    )


# --- checks ---------------------------------------------------------------------------------------------------------


def random_design(rng: np.random.Generator) -> Float[np.ndarray, "examples parameters"]:
    """Any shape up to 9, any rank, condition number up to 6, any scale from 1/10 to 10."""
    n, p = (int(size) for size in rng.integers(2, 10, size=2))
    rank = int(rng.integers(1, min(n, p) + 1))
    left, right = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (n, p))
    return 10 ** rng.uniform(-1, 1) * (left * rng.uniform(0.4, 2.4, rank)) @ right.T


def random_times(design: np.ndarray, step: float) -> tuple[int, ...]:
    """Early, middle and late numbers of steps; after the last one the error has shrunk by 1e-13."""
    last = math.ceil(30 / -math.log(max(contraction_factor(design, step), 0.1)))
    return (1, 2 + last // 30, 3 + last // 8, 4 + last)


def random_setting(seed: int) -> LeastSquaresSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    step = rng.uniform(0.2, 0.9) * largest_stable_step(design)
    scale = float(np.linalg.norm(design, 2))
    targets, initial = scale * rng.normal(size=design.shape[0]), rng.normal(size=design.shape[1])
    return LeastSquaresSetting(design, targets, initial, step, random_times(design, step))


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(16))), standard=tuple(map(random_setting, range(200))))


def descend(setting: LeastSquaresSetting, run: Run) -> dict[str, Any]:
    """Gradient descent, step by step."""
    path = descend_weights(setting.design, setting.targets, setting.initial, step=setting.step, record=setting.times)
    return {"time": np.array(setting.times), "weights": path}


def _floors(s: LeastSquaresSetting) -> np.ndarray:
    return np.array([rounding_floor(s.design, s.targets, s.initial, step=s.step, steps=t) for t in s.times])


def compare_limit(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Comparison:
    last = int(rows["time"][-1])
    bound = convergence_bound(setting.design, setting.targets, setting.initial, step=setting.step, steps=last)
    scale = float(np.linalg.norm(rows["weights"][-1]))
    return Comparison(rows["weights"][-1], prediction.limit, np.array(bound + _floors(setting)[-1]), scale)


def compare_path(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Comparison:
    scale = np.linalg.norm(rows["weights"], axis=1)[:, None]
    return Comparison(rows["weights"], prediction.path, _floors(setting)[:, None], scale)


def compare_rate(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Enclosures:
    start = float(np.linalg.norm(prediction.limit - setting.initial))
    distance = np.linalg.norm(rows["weights"] - prediction.limit, axis=1)
    slack = prediction.contraction ** rows["time"] + (_floors(setting) - distance) / start
    return Enclosures(slack, slack)


def _limit_by(formula: Callable[[LeastSquaresSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), limit=formula(s))}


def _path_by(step: Callable[[LeastSquaresSetting], float] = lambda s: s.step, late: int = 0) -> Mapping[str, Any]:
    def wrong(s: LeastSquaresSetting) -> LeastSquaresPrediction:
        times = [t + late for t in s.times]
        # Evaluated mode by mode: the wrong step need not be stable.
        space = row_space(s.design)
        move = space.left.T @ (s.targets - s.design @ s.initial) / space.singular_values
        fitted = [1 - (1 - step(s) * space.singular_values**2) ** t for t in times]
        return replace(predict(s), path=s.initial + (np.array(fitted) * move) @ space.right.T)

    return {"predict": wrong}


def _flow(s: LeastSquaresSetting) -> LeastSquaresPrediction:
    h = row_space(s.design).singular_values ** 2
    limit, right = gradient_descent_limit(s.design, s.targets, s.initial), row_space(s.design).right
    decay = np.exp(-s.step * np.outer(s.times, h))
    return replace(predict(s), path=limit + (decay * (right.T @ (s.initial - limit))) @ right.T)


def _rate_of(choose: Callable[[np.ndarray], float], power: int = 1) -> Mapping[str, Any]:
    def wrong(s: LeastSquaresSetting) -> LeastSquaresPrediction:
        factors = np.abs(1 - s.step * row_space(s.design).singular_values ** 2)
        return replace(predict(s), contraction=float(choose(factors)) ** power)

    return {"predict": wrong}


# The closed forms in exact rational arithmetic: floats are fractions, and nothing below rounds.


def rational(array: np.ndarray) -> fmpq_mat:
    """A float64 matrix or column as exact fractions."""
    rows = np.atleast_2d(array.T).T
    entries = [fmpq(f.numerator, f.denominator) for f in map(Fraction, rows.ravel().tolist())]
    return fmpq_mat(*rows.shape, entries)


def identity(size: int) -> fmpq_mat:
    return fmpq_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])


def pseudo_inverse(x: fmpq_mat) -> fmpq_mat:
    """X^+ = F^T (F F^T)^{-1} (C^T C)^{-1} C^T, where X = C F, F the nonzero rows of its reduced echelon form."""
    echelon, rank = x.rref()
    f = fmpq_mat(rank, x.ncols(), [echelon[i, j] for i in range(rank) for j in range(x.ncols())])
    pivots = [next(j for j in range(x.ncols()) if f[i, j] != 0) for i in range(rank)]
    c = fmpq_mat(x.nrows(), rank, [x[i, j] for i in range(x.nrows()) for j in pivots])
    return f.transpose() * (f * f.transpose()).inv() * (c.transpose() * c).inv() * c.transpose()


def balls(matrix: fmpq_mat) -> list[arb]:
    return [arb(entry) for entry in matrix.entries()]


def integer_design(rng: np.random.Generator) -> Float[np.ndarray, "examples parameters"]:
    """A nonzero design of small integers, whose rank is exact in float64; about half are rank-deficient."""
    n, p, rank = (int(size) for size in rng.integers(1, 5, size=3))
    while True:
        design = rng.integers(-2, 3, size=(n, rank)) @ rng.integers(-2, 3, size=(rank, p))
        if design.any():
            return design.astype(np.float64)


def _sample(rng: np.random.Generator) -> LeastSquaresSetting:
    design = integer_design(rng)
    step = rng.uniform(0.1, 0.9) * largest_stable_step(design)
    targets, initial = rng.normal(size=design.shape[0]), rng.normal(size=design.shape[1])
    return LeastSquaresSetting(design, targets, initial, step, (0, 1, 6))


def _last_steps(s: LeastSquaresSetting) -> list[arb]:
    x, y, start = rational(s.design), rational(s.targets), rational(s.initial)
    limit = start + pseudo_inverse(x) * (y - x * start)
    shrink = identity(x.ncols()) - rational(np.array([s.step]))[0, 0] * (x.transpose() * x)
    path = [entry for t in s.times for entry in balls(limit + shrink**t * (start - limit))]
    return balls(limit) + path


def _read(prediction: LeastSquaresPrediction) -> np.ndarray:
    return np.concatenate([prediction.limit, prediction.path.ravel()])


def _shipped(s: LeastSquaresSetting) -> np.ndarray:
    limit = gradient_descent_limit(s.design, s.targets, s.initial)
    return np.concatenate([limit, gradient_descent_path(s.design, s.targets, s.initial, step=s.step, time=s.times).ravel()])


def _width(s: LeastSquaresSetting) -> np.ndarray:
    values = _shipped(s)
    floors = np.repeat([_floors(s)[-1], *_floors(s)], len(s.initial))
    # An entry that is exactly zero, as integer designs have them, is measured on the scale of the others.
    return floors / np.where(np.abs(values) > floors, np.abs(values), 1.0)


FORMULA = Formula(expression=_last_steps, shipped=_shipped, read=_read, sample=_sample, width=_width, count=60)

EXAMPLE = LeastSquaresSetting(
    np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([1.0, -1.0]), np.array([0.5, 0.0, 2.0]), 0.2, (1, 10, 100)
)

CHECKS = (
    Check(
        "limit of real descent",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_limit,
        controls=(
            Control("Q in place of P", _limit_by(lambda s: row_projector(s.design) @ s.initial + np.linalg.pinv(s.design) @ s.targets)),
            Control("start forgotten", _limit_by(lambda s: np.linalg.pinv(s.design) @ s.targets)),
            Control("X^T in place of X^+", _limit_by(lambda s: null_projector(s.design) @ s.initial + s.design.T @ s.targets)),
            Control("residual forgotten", _limit_by(lambda s: s.initial + np.linalg.pinv(s.design) @ s.targets)),
        ),
    ),
    Check(
        "every iterate of real descent",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_path,
        controls=(
            Control(
                "step of the mean loss not converted",
                _path_by(lambda s: half_sum_step(s.step, examples=len(s.targets), reduction="mean")),
            ),
            Control("factor 1/2 of the loss forgotten", _path_by(lambda s: half_sum_step(s.step, examples=1, half=False))),
            Control("one step late", _path_by(late=1)),
            Control("gradient flow in place of descent", {"predict": _flow}),
        ),
    ),
    Check(
        "rate",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_rate,
        controls=(
            Control("rate of the fastest direction", _rate_of(np.min)),
            Control("rate of the loss", _rate_of(np.max, power=2)),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("limit and path off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * _shipped(s))}),
            Control("step off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: _shipped(replace(s, step=s.step * (1 + 1e-9))))}),
            Control("start forgotten", {"claim": replace(FORMULA, shipped=lambda s: _shipped(replace(s, initial=0 * s.initial)))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_MINNORM, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
