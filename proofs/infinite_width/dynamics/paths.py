"""What training does not depend on: the path, as long as it stays in the row space of the Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....numerics.wide_networks.features import features, preconditioned_smoother
from ....theory.axioms import CONVEX_UNIQUE
from ....theory.balls.linear_training import exact_matrix, regression_map
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import ROW_SPACE_INVARIANCE
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    LinearModel,
    kernels,
    random_model,
    relative,
)
from .flow import (
    FLOW,
    mutant,
)

Train = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
UPDATES = 200_000  # at most


def preconditioned_step() -> list[tuple[Any, Any]]:
    """theta = P^{1/2} psi: J P^{1/2} is the Jacobian in psi, P^{1/2} (P^{1/2} J^T) the step of theta, J P J^T the kernel."""
    a, b, p, q = sympy.symbols("a b p q", positive=True)
    row, root = sympy.Matrix([[a, b]]), sympy.diag(p, q)
    inner = row * root
    steps = root * inner.T
    return [*zip(steps, root**2 * row.T, strict=True), ((inner * inner.T)[0], (row * root**2 * row.T)[0])]


@dataclass(frozen=True)
class Limits:
    """Converged outputs (S,) of the member that starts at the first readout feature: plain, and with the preconditioner."""

    plain: Float[np.ndarray, " test"]
    preconditioned: Float[np.ndarray, " test"]


def diagonal(s: LinearModel) -> np.ndarray:
    """The fixed preconditioner of the checks: 1, 2, 3, 4, 1, ..."""
    return 1.0 + np.arange(s.jacobian.shape[1]) % 4


def predict(s: LinearModel) -> Limits:
    j, start = features(s.jacobian[: s.tests], s.jacobian[s.tests :]), s.readout[:, 0]
    gap = s.labels - start[s.tests :]
    first = start[: s.tests]
    return Limits(first + preconditioned_smoother(j) @ gap, first + preconditioned_smoother(j, diagonal(s)) @ gap)


def exact(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        j = exact_matrix(s.jacobian.tolist())
        values, n = [], s.tests
        gap = arb_mat([[s.labels[i] - s.readout[n + i, 0]] for i in range(len(s.labels))])
        for p in (np.ones(j.ncols()), diagonal(s)):
            weighted = exact_matrix((s.jacobian * p).tolist())
            gain = regression_map(arb_mat(weighted * j.transpose()), n)
            values += [arb(s.readout[i, 0]) + (gain * gap)[i, 0] for i in range(n)]
        return values


def read(p: Limits) -> np.ndarray:
    return np.concatenate([p.plain, p.preconditioned])


def width(s: LinearModel) -> np.ndarray:
    """Solving: 40 N eps cond |G|, with the preconditioner's condition (4) on top; then N eps for the products."""
    _, t = kernels(s)
    gain = float(np.linalg.norm(np.linalg.solve(t.train, t.cross.T))) * 4
    size = float(np.linalg.norm(s.labels)) + float(np.linalg.norm(s.readout[:, 0]))
    absolute = 40 * (len(s.labels) + s.jacobian.shape[1]) * EPS * 4 * float(np.linalg.cond(t.train)) * (1 + gain) * size
    return relative(np.full(2 * s.tests, absolute), read(predict(s)))


FORMULA = Formula(exact, lambda s: read(predict(s)), read, random_model, width, count=50)


def descend(
    j: np.ndarray, y: np.ndarray, theta: np.ndarray, rng: np.random.Generator, *, beta: float = 0.0
) -> np.ndarray:
    """Gradient descent or heavy ball."""
    step, before = 1 / np.linalg.norm(j, 2) ** 2, theta
    for _ in range(20_000):
        residual = j @ theta - y
        if np.linalg.norm(residual) < 1e-9:
            break
        theta, before = theta - step * (j.T @ residual) + beta * (theta - before), theta
    return theta


def mini_batches(j: np.ndarray, y: np.ndarray, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random example at a time."""
    step = 1 / (j**2).sum(axis=1).max()
    for count in range(UPDATES):
        i = rng.integers(len(y))
        theta = theta - step * (j[i] @ theta - y[i]) * j[i]
        if count % 100 == 0 and np.linalg.norm(j @ theta - y) < 1e-9:
            break
    return theta


def conjugate_gradients(j: np.ndarray, y: np.ndarray, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """On the normal equations."""
    residual = y - j @ theta
    gradient = direction = j.T @ residual
    for _ in range(4 * len(y)):
        if np.linalg.norm(residual) < 1e-9:
            break
        image = j @ direction
        step = gradient @ gradient / (image @ image)
        theta, residual = theta + step * direction, residual - step * image
        fresh = j.T @ residual
        direction, gradient = fresh + (fresh @ fresh) / (gradient @ gradient) * direction, fresh
    return theta


def adam(j: np.ndarray, y: np.ndarray, theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The usual coefficients, with a step that shrinks."""
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for k in range(1, 20_000):
        residual = j @ theta - y
        if np.linalg.norm(residual) < 1e-7:
            break
        gradient = j.T @ residual
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        theta = theta - 0.05 / (1 + k / 500) * (first / (1 - 0.9**k)) / (np.sqrt(second / (1 - 0.999**k)) + 1e-12)
    return theta


PATHS: tuple[Train, ...] = (descend, partial(descend, beta=0.8), mini_batches, conjugate_gradients)


def compare_paths(
    s: LinearModel, p: Limits, rows: Rows, *, paths: tuple[Train, ...] = PATHS, preconditioned: bool = False
) -> Comparison:
    """Outputs of each method. In the row space, an output is off by G times the residual left on X; updates round eps |theta|."""
    j, n, rng = s.jacobian, s.tests, np.random.default_rng(0)
    root = np.sqrt(diagonal(s)) if preconditioned else np.ones(j.shape[1])
    start = np.eye(j.shape[1])[0]
    gain = float(np.linalg.norm(preconditioned_smoother(features(j[:n] * root, j[n:] * root)), 2))
    observed, bounds = [], []
    for train in paths:
        # descent along P J^T is descent in the coordinates P^{-1/2} theta
        theta = root * train(j[n:] * root, s.labels, start / root, rng)
        left = float(np.linalg.norm(j[n:] @ theta - s.labels))
        observed.append(j[:n] @ theta)
        rounding = UPDATES * EPS * float(np.linalg.norm(theta)) * float(np.linalg.norm(j))
        bounds.append(np.full(n, gain * left + (1 + gain) * rounding))
    predicted = np.tile(p.preconditioned if preconditioned else p.plain, len(paths))
    return Comparison(np.concatenate(observed), predicted, np.concatenate(bounds), 1.0)


_rng = np.random.default_rng(25)
SETTINGS = ByBudget(quick=tuple(random_model(_rng) for _ in range(2)))

ROW_SPACE = Result(
    ROW_SPACE_INVARIANCE,
    predict,
    SETTINGS.quick[0],
    (
        Check(
            "shipped limits",
            FORMULA,
            controls=(
                Control("preconditioner forgotten", mutant(FORMULA, lambda s: replace(predict(s), preconditioned=predict(s).plain))),
                Control("preconditioner squared", {"claim": replace(FORMULA, shipped=lambda s: np.concatenate([predict(s).plain, s.readout[: s.tests, 0] + preconditioned_smoother(features(s.jacobian[: s.tests], s.jacobian[s.tests :]), diagonal(s) ** 2) @ (s.labels - s.readout[s.tests :, 0])]))}),
            ),
        ),
        Check(
            "descent, heavy ball, single examples and conjugate gradients",
            Agreement("convergence"),
            settings=SETTINGS,
            compare=compare_paths,
            controls=(
                Control("Adam", {"compare": partial(compare_paths, paths=(adam,))}),
                Control("a fixed preconditioner", {"predict": lambda s: Limits(predict(s).preconditioned, predict(s).plain)}),
            ),
        ),
        Check(
            "the same methods with a fixed preconditioner",
            Agreement("convergence"),
            settings=SETTINGS,
            compare=partial(compare_paths, preconditioned=True),
            controls=(
                Control("J J^T in place of J P J^T", {"predict": lambda s: Limits(predict(s).preconditioned, predict(s).plain)}),
            ),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Axiom(CONVEX_UNIQUE, "theta0 + rowspace(J_X) meets the interpolating parameters in one point: the closest one to theta0"),
        Uses(FLOW, "gradient flow ends there, with outputs f0 + T_*X T_XX^{-1} (y - f0(X))"),
        Algebra("a step along P J^T is a step along the gradient for features J P^{1/2}: T becomes J P J^T", preconditioned_step),
    ),
)  # fmt: skip


RESULTS = (ROW_SPACE,)
