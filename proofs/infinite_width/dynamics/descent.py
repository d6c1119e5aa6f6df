"""Gradient descent with a step size: its law, how far it is from gradient flow, when it is stable, and how long it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.smoother import linear_smoother
from ....numerics.wide_networks.training import GradientFlow
from ....theory.axioms import SPECTRAL
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.balls.linear_training import descent_map, flow_map, identity, pivots, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.dynamics import GD_DISCRETE
from ...result import ByBudget, Check, Control, Result
from ..linear_models import (
    DIGITS,
    EPS,
    Law,
    LinearModel,
    exact_kernels,
    exact_law,
    flatten,
    gain_error,
    kernels,
    law_width,
    parameter_law,
    random_model,
    stable_step,
)
from .flow import FLOW, mutant, predict_law, with_gain

# --- derivations --------------------------------------------------------------------------------------------------


def descent_of_one_mode() -> list[tuple[Any, Any]]:
    """r_{k+1} = (1 - eta h) r_k; a_{k+1} = a_k + eta (1 - h a_k) is solved by (1 - (1 - eta h)^k)/h, and by k eta at h = 0."""
    h, eta, r0 = sympy.symbols("h eta r0", positive=True)
    moved, equations = sympy.Integer(0), []
    for k in range(1, 6):
        moved = moved + eta * (1 - h * moved)
        equations += [(r0 * (1 - h * moved), r0 * (1 - eta * h) ** k), (moved, (1 - (1 - eta * h) ** k) / h)]
        equations.append((sympy.limit(moved, h, 0), k * eta))
    k = sympy.symbols("k", positive=True)
    closed = (1 - (1 - eta * h) ** k) / h
    return [*equations, (closed + eta * (1 - h * closed), (1 - (1 - eta * h) ** k * (1 - eta * h)) / h)]


def logarithms() -> list[tuple[Any, Any]]:
    """Derivatives of log(1-z) + z + z^2 (not negative for z <= 1/2), of -z - log(1-z), and of 1/e - x e^{-x} (its zero)."""
    z, x = sympy.symbols("z x", positive=True)
    return [
        ((sympy.log(1 - z) + z + z**2).diff(z), z * (1 - 2 * z) / (1 - z)),
        ((-z - sympy.log(1 - z)).diff(z), z / (1 - z)),
        ((x * sympy.exp(-x)).diff(x), (1 - x) * sympy.exp(-x)),
        ((x * sympy.exp(-x)).subs(x, 1), sympy.exp(-1)),
    ]


# --- gd_discrete --------------------------------------------------------------------------------------------------


def random_descent(rng: np.random.Generator) -> LinearModel:
    s = random_model(rng)
    return replace(s, steps=int(rng.integers(1, 200)), step_size_sum_loss=stable_step(s, rng.uniform(0.02, 0.98)))


def widths(s: LinearModel) -> np.ndarray:
    return law_width(s, *kernels(s), predict_law(s))


FORMULA = Formula(exact_law, lambda s: flatten(predict_law(s)), flatten, random_descent, widths, count=50)


def descend(s: LinearModel) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """theta <- theta - eta J^T (J theta - y), column by column."""

    def train(j: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        theta = start.copy()
        for _ in range(s.steps):
            theta -= s.step_size_sum_loss * (j.T @ (j @ theta - goals))
        return theta

    return train


def compare_parameters(s: LinearModel, p: Law, rows: Rows) -> Comparison:
    """A contraction accumulates at most k roundings of a step, each about (p+N) eps of the current parameters."""
    observed = parameter_law(s, descend(s))
    gain, error = gain_error(s, kernels(s)[1])
    size = float(np.linalg.norm(s.jacobian))
    total = error + 10 * s.steps * sum(s.jacobian.shape) * EPS * (1 + gain) * size * (
        1 + s.step_size_sum_loss * size**2
    )
    joint, label = float(np.linalg.norm(s.readout) ** 2), float(np.linalg.norm(s.labels))
    split_up = [s.tests, s.tests**2]
    return Comparison(
        flatten(observed),
        flatten(p),
        np.repeat([2 * total * label, 4 * total * (1 + gain) * joint], split_up),
        np.repeat([(1 + gain) * label, (1 + gain) ** 2 * joint], split_up),
    )


def flow_gap(s: LinearModel, p: Law, rows: Rows, *, constant: float = 1.0, order: int = 1) -> Enclosures:
    """(c eta^order/e)^2 I - D^2 with D = A_k - A_{k eta}, by its pivots: positive definite iff |D| < c eta^order/e."""
    with ctx.workdps(DIGITS + 60):
        _, _, train = split(exact_kernels(s)[1], s.tests)
        n = train.nrows()
        joint = arb_mat(
            [
                [(train[i % n, j % n] if i // n == j // n else arb(int(i % n == j % n))) for j in range(2 * n)]
                for i in range(2 * n)
            ]
        )
        step = exact_fraction("step", s.step_size_sum_loss)
        gap = descent_map(joint, n, step=step, steps=s.steps) - flow_map(joint, n, s.steps * step)
        bound = to_ball(exact_fraction("constant", constant)) * to_ball(step) ** order / arb(1).exp()
        found = pivots(identity(n) * bound**2 - gap.transpose() * gap)
    return enclose([value / bound**2 for value in found])


def enclose(balls: list[arb]) -> Enclosures:
    """Bounds of balls as floats, rounded outwards."""
    low = np.array([math.nextafter(float(b.lower()), -math.inf) for b in balls])
    high = np.array([math.nextafter(float(b.upper()), math.inf) for b in balls])
    return Enclosures(low, high)


def small_steps(s: LinearModel) -> LinearModel:
    """eta lambda_max <= 1/2, and about 1/(eta lambda_min) steps, where the two differ most."""
    step = stable_step(s, 0.24)
    smallest = float(np.linalg.eigvalsh(kernels(s)[1].train)[0])
    return replace(s, step_size_sum_loss=step, steps=max(1, round(1 / (step * smallest))))


_rng = np.random.default_rng(21)
EXAMPLE = random_descent(_rng)
SETTINGS = ByBudget(quick=tuple(random_descent(_rng) for _ in range(4)))
SMALL = ByBudget(quick=tuple(small_steps(random_model(_rng)) for _ in range(6)))


def descent_as_flow(s: LinearModel) -> Law:
    return predict_law(replace(s, steps=0, time_sum_loss=s.steps * s.step_size_sum_loss))


def changed_steps(more: int) -> Callable[[LinearModel], Law]:
    return lambda s: predict_law(replace(s, steps=s.steps + more))


def mean_loss(s: LinearModel) -> Law:
    return predict_law(replace(s, step_size_sum_loss=s.step_size_sum_loss / len(s.labels)))


GD = Result(
    GD_DISCRETE,
    predict_law,
    EXAMPLE,
    (
        Check(
            "shipped law after k steps",
            FORMULA,
            controls=(
                Control("gradient flow at t = k eta", mutant(FORMULA, descent_as_flow)),
                Control("one step more", mutant(FORMULA, changed_steps(1))),
                Control("step of the mean loss", mutant(FORMULA, mean_loss)),
                Control("converged", mutant(FORMULA, with_gain(lambda s, t: linear_smoother(t, training=GradientFlow()).matrix))),
            ),
        ),
        Check(
            "descent of the parameters, step by step",
            Agreement("rounding"),
            settings=SETTINGS,
            compare=compare_parameters,
            controls=(
                Control("gradient flow at t = k eta", {"predict": descent_as_flow}),
                Control("one step more", {"predict": changed_steps(1)}),
                Control("step of the mean loss", {"predict": mean_loss}),
            ),
        ),
        Check(
            "distance to gradient flow is at most eta/e",
            Inequality(),
            settings=SMALL,
            compare=flow_gap,
            controls=(
                Control("a quarter of it", {"compare": partial(flow_gap, constant=0.25)}),
                Control("second order in eta", {"compare": partial(flow_gap, order=2)}),
            ),
        ),
    ),
    uses=(FLOW,),
    derivation=(
        Uses(FLOW, "the velocity of the outputs is -T_*X (f(X) - y); a step of descent moves them by eta times that, exactly, as J is constant"),
        Axiom(SPECTRAL, "T_XX is diagonal in an orthonormal basis, with eigenvalues h >= 0"),
        Algebra("k steps move a mode by (1 - (1 - eta h)^k)/h, k eta at h = 0", descent_of_one_mode),
        Algebra("for z = eta h <= 1/2: e^{-z-z^2} <= 1 - z <= e^{-z}, so 0 <= e^{-kz} - (1-z)^k <= e^{-kz} k z^2, and after division by h at most eta (kz) e^{-kz} <= eta/e", logarithms),
    ),
)  # fmt: skip

RESULTS = (GD,)
