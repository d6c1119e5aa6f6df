"""Gradient descent on least squares from w_0 converges to P w_0 + X^+ y, the solution nearest to w_0, at the rate rho^t."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.least_squares import (
    contraction_factor,
    convergence_bound,
    gradient_descent_limit,
    gradient_descent_path,
    largest_stable_step,
    least_squares_problem,
    null_projector,
    rounding_floor,
    row_projector,
    row_space,
    whole_times,
)
from ....numerics.store import Rows
from ....numerics.training.linear_gd import descend_weights
from ....theory.axioms import CONTRACTION, CONVEX_UNIQUE, KKT, SVD
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.statements.implicit_bias.least_squares import LS_MINNORM
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..problems import (
    balls,
    identity,
    integer_design,
    pseudo_inverse,
    random_design,
    random_times,
    rational,
    small_designs,
)


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


# --- derivation ---------------------------------------------------------------------------------------------------


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


def pseudo_inverse_by_modes() -> Equations:
    c, b, s, _ = mode()
    inverse, q = 1 / s, (1 / s) * s
    trained = [
        (s * (1 - q), 0),
        ((1 - q) * inverse, 0),
        (inverse * s * s, s),
        (c + inverse * (b - s * c), (1 - q) * c + inverse * b),
    ]
    untrained = [(0 * (1 - 0), 0), (c + 0 * (b - 0 * c), (1 - 0) * c + 0 * b)]  # s = 0: X^+ and Q vanish too
    stationary = [(s * (s * (b / s) - b), 0)]  # X^T (X w_inf - y); it vanishes by itself where s = 0
    return trained + untrained + stationary


DERIVATION = (
    Axiom(SVD, "X = U diag(s) V^T; in the coordinates c = V^T w, b = U^T y every direction follows c <- c - eta s (s c - b)"),
    Algebra("a step shrinks the distance to b/s by 1 - eta s^2; where s = 0 nothing moves, so P w_t = P w_0", error_shrinks),
    Algebra("c + [1 - (1 - eta s^2)^t] (b - s c)/s solves the recursion, so w_t - w_inf = (I - eta H)^t d_0", path_solves_the_recursion),
    Algebra("|1 - eta h| < 1 for 0 < eta h < 2 and, h -> 1 - eta h being affine, it is largest at h_min or h_max", stability),
    Axiom(CONTRACTION, "on the row space I - eta H has spectral radius rho < 1, so w_t -> w_inf at the rate rho^t"),
    Algebra("direction by direction: X P = 0, P X^+ = 0, w_inf = P w_0 + X^+ y, and w_inf is stationary", pseudo_inverse_by_modes),
    Axiom(KKT, "w minimises ||w - w_0|| over X^T (X w - y) = 0 iff it is feasible and w - w_0 lies in the row space, as w_inf - w_0 does"),
    Axiom(CONVEX_UNIQUE, "the solutions form an affine space, so the nearest one is unique"),
    Enumeration("identities and both conditions for 1458 designs of every rank, with X^+ from a rank factorisation", small_designs),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LeastSquaresSetting) -> LeastSquaresPrediction:
    return LeastSquaresPrediction(
        limit=gradient_descent_limit(s.design, s.targets, s.initial),
        path=gradient_descent_path(s.design, s.targets, s.initial, step=s.step, time=s.times),
        contraction=contraction_factor(s.design, s.step),
    )


# --- checks -------------------------------------------------------------------------------------------------------


def random_setting(seed: int) -> LeastSquaresSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    step = rng.uniform(0.2, 0.9) * largest_stable_step(design)
    scale = float(np.linalg.norm(design, 2))
    targets, initial = scale * rng.normal(size=(design.shape[0],)), rng.normal(size=(design.shape[1],))
    return LeastSquaresSetting(design, targets, initial, step, random_times(design, step))


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(16))), standard=lambda: tuple(map(random_setting, range(60))))


def descend(setting: LeastSquaresSetting, run: Run) -> dict[str, Any]:
    """Gradient descent, step by step."""
    path = descend_weights(setting.design, setting.targets, setting.initial, step=setting.step, record=setting.times)
    return {"time": np.array(setting.times), "weights": path}


def floor(s: LeastSquaresSetting, steps: int) -> float:
    return rounding_floor(s.design, s.targets, s.initial, step=s.step, steps=steps)


def floors(s: LeastSquaresSetting) -> np.ndarray:
    return np.array([floor(s, t) for t in s.times])


def compare_limit(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Comparison:
    last = int(rows["time"][-1])
    bound = convergence_bound(setting.design, setting.targets, setting.initial, step=setting.step, steps=last)
    scale = float(np.linalg.norm(rows["weights"][-1]))
    return Comparison(rows["weights"][-1], prediction.limit, np.array(bound + floor(setting, last)), scale)


def compare_path(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Comparison:
    scale = np.linalg.norm(rows["weights"], axis=1)[:, None]
    return Comparison(rows["weights"], prediction.path, floors(setting)[:, None], scale)


def compare_rate(setting: LeastSquaresSetting, prediction: LeastSquaresPrediction, rows: Rows) -> Enclosures:
    start = float(np.linalg.norm(prediction.limit - setting.initial))
    distance = np.linalg.norm(rows["weights"] - prediction.limit, axis=1)
    slack = prediction.contraction ** rows["time"] + (floors(setting) - distance) / start
    return Enclosures(slack, slack)


def limit_by(formula: Callable[[LeastSquaresSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), limit=formula(s))}


def path_by(remaining: Callable[[LeastSquaresSetting, np.ndarray, int], np.ndarray]) -> Mapping[str, Any]:
    """The path with another fraction remaining of the error along eigenvalues h after t steps."""

    def wrong(s: LeastSquaresSetting) -> LeastSquaresPrediction:
        space = row_space(s.design)
        move = space.left.T @ (s.targets - s.design @ s.initial) / space.singular_values
        fitted = [1 - remaining(s, space.singular_values**2, t) for t in s.times]
        return replace(predict(s), path=s.initial + (np.array(fitted) * move) @ space.right.T)

    return {"predict": wrong}


def rate_of(choose: Callable[[np.ndarray], float], power: int = 1) -> Mapping[str, Any]:
    def wrong(s: LeastSquaresSetting) -> LeastSquaresPrediction:
        factors = np.abs(1 - s.step * row_space(s.design).singular_values ** 2)
        return replace(predict(s), contraction=float(choose(factors)) ** power)

    return {"predict": wrong}


def sample(rng: np.random.Generator) -> LeastSquaresSetting:
    design = integer_design(rng)
    step = rng.uniform(0.1, 0.9) * largest_stable_step(design)
    targets, initial = rng.normal(size=(design.shape[0],)), rng.normal(size=(design.shape[1],))
    return LeastSquaresSetting(design, targets, initial, step, (0, 1, 6))


def last_steps(s: LeastSquaresSetting) -> list[arb]:
    x, y, start = rational(s.design), rational(s.targets), rational(s.initial)
    limit = start + pseudo_inverse(x) * (y - x * start)
    shrink = identity(x.ncols()) - rational(np.array([s.step]))[0, 0] * (x.transpose() * x)
    path = [entry for t in s.times for entry in balls(limit + shrink**t * (start - limit))]
    return balls(limit) + path


def read(prediction: LeastSquaresPrediction) -> np.ndarray:
    return np.concatenate([prediction.limit, prediction.path.ravel()])


def shipped(s: LeastSquaresSetting) -> np.ndarray:
    limit = gradient_descent_limit(s.design, s.targets, s.initial)
    return np.concatenate(
        [limit, gradient_descent_path(s.design, s.targets, s.initial, step=s.step, time=s.times).ravel()]
    )


def width(s: LeastSquaresSetting) -> np.ndarray:
    values = shipped(s)
    bound = np.repeat([floors(s)[-1], *floors(s)], len(s.initial))
    # The procedure divides by |exact| except where that is 0, which integer designs do produce.
    return bound / np.where(np.abs(values) > bound, np.abs(values), 1.0)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)

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
            Control("Q in place of P", limit_by(lambda s: row_projector(s.design) @ s.initial + np.linalg.pinv(s.design) @ s.targets)),
            Control("start forgotten", limit_by(lambda s: np.linalg.pinv(s.design) @ s.targets)),
            Control("X^T in place of X^+", limit_by(lambda s: null_projector(s.design) @ s.initial + s.design.T @ s.targets)),
            Control("residual forgotten", limit_by(lambda s: s.initial + np.linalg.pinv(s.design) @ s.targets)),
        ),
    ),
    Check(
        "every iterate of real descent",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_path,
        controls=(
            Control("step of the mean loss not converted", path_by(lambda s, h, t: (1 - s.step / len(s.targets) * h) ** t)),
            Control("factor 1/2 of the loss forgotten", path_by(lambda s, h, t: (1 - 2 * s.step * h) ** t)),
            Control("one step late", path_by(lambda s, h, t: (1 - s.step * h) ** (t + 1))),
            Control("gradient flow in place of descent", path_by(lambda s, h, t: np.exp(-s.step * h * t))),
        ),
    ),
    Check(
        "rate",
        Inequality(),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_rate,
        controls=(
            Control("rate of the fastest direction", rate_of(np.min)),
            Control("rate of the loss", rate_of(np.max, power=2)),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("limit and path off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-9) * shipped(s))}),
            Control("step off by 1e-9", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, step=s.step * (1 + 1e-9))))}),
            Control("start forgotten", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, initial=0 * s.initial)))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_MINNORM, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
