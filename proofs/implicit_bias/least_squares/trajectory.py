"""Early stopping is a spectral filter: descent, gradient flow and ridge, and how far flow and ridge can differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.spectral_filters import (
    FLOW_RIDGE_GAP,
    gradient_flow_path,
    ridge_path,
)
from ....theory.axioms import ODE, SVD
from ....theory.derivation import Algebra, Axiom, Enclosure, Uses
from ....theory.statements.implicit_bias.least_squares import LS_TRAJECTORY
from ...result import Check, Control, Result, Run
from ..exact_values import as_balls, mutant, relative_width
from ..problems import balls, identity, integer_design, pseudo_inverse, rational
from . import minimum_norm
from .trajectory_evidence import (
    SETTINGS,
    FilterPrediction,
    FilterSetting,
    compare_flow,
    compare_gap,
    compare_ridge,
    floors,
    measure,
    predict,
    stacked_least_squares,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def one_direction() -> Equations:
    """c' = -s (s c - b) and the stationary point of 1/2 (b - s c)^2 + lam/2 (c - c_0)^2, as filters."""
    import sympy

    c0, b = sympy.symbols("c b", real=True)
    s, t, lam, power = sympy.symbols("s t lam power", positive=True)

    def moved(filtered: Any) -> Any:
        return c0 + filtered * (b - s * c0) / s

    flow, ridge = moved(1 - sympy.exp(-(s**2) * t)), moved(s**2 / (s**2 + lam))
    return [
        (sympy.diff(flow, t), -s * (s * flow - b)),
        (flow.subs(t, 0), c0),
        (s * (s * ridge - b) + lam * (ridge - c0), 0),
        (moved(1 - power), (1 - power) * b / s + power * c0),  # descent: power = (1 - eta s^2)^t
        (flow, b / s + sympy.exp(-(s**2) * t) * (c0 - b / s)),
    ]


def matched_filters() -> Equations:
    """With lam = 1/t both filters depend on u = s^2 t alone."""
    import sympy

    s, t, u = sympy.symbols("s t u", positive=True)
    difference = (1 - sympy.exp(-u)) - u / (1 + u)
    return [
        ((s**2 / (s**2 + 1 / t)), (s**2 * t) / (1 + s**2 * t)),
        (difference, 1 / (1 + u) - sympy.exp(-u)),
        (sympy.diff(sympy.exp(-u) * (1 + u), u), -u * sympy.exp(-u)),
        (difference, (1 - sympy.exp(-u) * (1 + u)) / (1 + u)),
        (sympy.diff(difference, u), (sympy.exp(-u) * (1 + u) ** 2 - 1) / (1 + u) ** 2),
        (sympy.diff(2 * sympy.log(1 + u) - u, u), (1 - u) / (1 + u)),
        (difference.subs(sympy.exp(-u), 1 / (1 + u) ** 2), u / (1 + u) ** 2),
    ]


def sign_of_slope(u: arb) -> arb:
    """2 log(1+u) - u."""
    return 2 * (1 + u).log() - u


def gap_within(u: arb) -> arb:
    """u/(1+u)^2 lies between these two ends."""
    gap = u / (1 + u) ** 2
    return (arb("0.2036321888") - gap).min(gap - arb("0.2036321887"))


def power_against_exponential() -> Equations:
    """exp(x) (1 - x/k)^k = [(1 - v) exp(v)]^k with v = x/k, and (1 - v) exp(v) decreases from 1 and is at least 1 - v^2."""
    import sympy

    v, x, k = sympy.symbols("v x k", positive=True)
    return [
        (sympy.diff((1 - v) * sympy.exp(v), v), -v * sympy.exp(v)),
        ((1 - v) * (1 + v), 1 - v**2),
        (sympy.diff(sympy.exp(v) - 1 - v, v), sympy.exp(v) - 1),
        (k * (x / k) ** 2, x**2 / k),
        (sympy.diff(x**2 * sympy.exp(-x), x), x * (2 - x) * sympy.exp(-x)),
        ((x**2 * sympy.exp(-x)).subs(x, 2), 4 * sympy.exp(-2)),
    ]


DERIVATION = (
    Axiom(SVD, "X = U diag(s) V^T: in each direction c = v^T w, b = u^T y the loss is (b - s c)^2/2, and nothing moves where s = 0"),
    Uses(minimum_norm.RESULT, "descent: w_t - w_inf = (I - eta H)^t (w_0 - w_inf), that is the filter 1 - (1 - eta s^2)^t"),
    Axiom(ODE, "the flow w' = -X^T (X w - y) has one solution"),
    Algebra("1 - exp(-s^2 t) solves the flow, s^2/(s^2 + lam) makes the ridge loss stationary (it is strictly convex)", one_direction),
    Algebra("at lam = 1/t the difference is g(u) = [1 - exp(-u)(1+u)]/(1+u), u = s^2 t; exp(-u)(1+u) decreases from 1, so g >= 0; g' has the sign of 2 log(1+u) - u, which rises until u = 1, then falls through its one positive root: there is the maximum, and g = u/(1+u)^2", matched_filters),
    Enclosure("2 log(1+u) - u is positive at u = 2.5128624172", sign_of_slope, ((2.5128624172, 2.5128624172),)),
    Enclosure("and negative at 2.5128624173: the maximum lies between", lambda u: -sign_of_slope(u), ((2.5128624173, 2.5128624173),)),
    Enclosure("where u/(1+u)^2 = 0.20363218875 +- 5e-11", gap_within, ((2.5128624172, 2.5128624173),)),
    Algebra("k steps of size t/k <= 1/h_max: 1 - x^2/k <= (1 - v^2)^k <= [(1 - v) exp v]^k <= 1 with v = x/k <= 1 (Bernoulli), and x^2 exp(-x) <= 4/e^2", power_against_exponential),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------


def with_(**changes: Callable[[FilterSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def flow_at(s: FilterSetting, scale: float) -> np.ndarray:
    return gradient_flow_path(s.design, s.targets, s.initial, time=scale * s.times)


def ridge_at(s: FilterSetting, scale: float) -> np.ndarray:
    return ridge_path(s.design, s.targets, s.initial, penalty=scale / s.times)


def measure_with_penalty(s: FilterSetting, run: Run, *, scale: float) -> dict[str, Any]:
    """Ridge with the penalty scale/time beside the flow at the right time."""
    return measure(s, run) | {"ridge": stacked_least_squares(s, scale / s.times)}


def sample(rng: np.random.Generator) -> FilterSetting:
    design = integer_design(rng)
    times = 10 ** rng.uniform(-2, 1, 2) / np.linalg.norm(design, 2) ** 2
    return FilterSetting(design, rng.normal(size=(len(design),)), rng.normal(size=(design.shape[1],)), times)


def last_steps(s: FilterSetting) -> list[arb]:
    x, y, start = rational(s.design), rational(s.targets), rational(s.initial)
    gram, limit = x.transpose() * x, start + pseudo_inverse(x) * (y - x * start)
    flow, ridge = [], []
    for t in s.times:
        exact = rational(np.array([t]))[0, 0]
        moved = as_balls(limit) + as_balls(-1 * exact * gram).exp() * as_balls(start - limit)
        flow += moved.entries()
        lam = rational(np.array([1 / t]))[0, 0]
        ridge += balls((gram + lam * identity(len(s.initial))).inv() * (x.transpose() * y + lam * start))
    u = -1 - 2 * (-1 / (2 * arb(0.5).exp())).lambertw(-1)
    return [*flow, *ridge, u / (1 + u) ** 2]


def read(p: FilterPrediction) -> np.ndarray:
    return np.concatenate([p.flow.ravel(), p.ridge.ravel(), [p.gap]])


def shipped(s: FilterSetting) -> np.ndarray:
    return np.concatenate([flow_at(s, 1).ravel(), ridge_at(s, 1).ravel(), [FLOW_RIDGE_GAP]])


def width(s: FilterSetting) -> np.ndarray:
    each = np.repeat(floors(s), len(s.initial))
    return relative_width(shipped(s), np.concatenate([each, each, [2.0**-55]]))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)
EXAMPLE = FilterSetting(np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([1.0, -1.0]), np.array([0.5, 0.0, 2.0]), np.array([0.1, 1.0, 10.0]))  # fmt: skip

CHECKS = (
    Check(
        "flow against descent in many small steps",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=measure,
        compare=compare_flow,
        controls=(
            Control("ridge in place of the flow", with_(flow=lambda s: ridge_at(s, 1))),
            Control("time 3% late", with_(flow=lambda s: flow_at(s, 1.03))),
            Control("gradient of the loss without 1/2", with_(flow=lambda s: flow_at(s, 2))),
        ),
    ),
    Check(
        "ridge against least squares on a stacked design",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=measure,
        compare=compare_ridge,
        controls=(
            Control("flow in place of ridge", with_(ridge=lambda s: flow_at(s, 1))),
            Control("penalty 1e-6 too large", with_(ridge=lambda s: ridge_at(s, 1 + 1e-6))),
            Control("shrinkage to 0 instead of w_0", with_(ridge=lambda s: ridge_path(s.design, s.targets, 0 * s.initial, penalty=1 / s.times))),
        ),
    ),
    Check(
        "the flow has fitted more than ridge at 1/time, by at most 0.20363",
        Inequality(),
        settings=SETTINGS,
        experiment=measure,
        compare=compare_gap,
        controls=(
            Control("gap 1% smaller", with_(gap=lambda s: 0.99 * FLOW_RIDGE_GAP)),
            Control("penalty 1/(2 time)", {"experiment": partial(measure_with_penalty, scale=0.5)}),
            Control("penalty 2/time", {"experiment": partial(measure_with_penalty, scale=2.0)}),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("times off by 1e-9", mutant(FORMULA, lambda s: shipped(replace(s, times=s.times * (1 + 1e-9))))),
            Control("gap off by 1e-14", mutant(FORMULA, lambda s: np.append(shipped(s)[:-1], FLOW_RIDGE_GAP + 1e-14))),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_TRAJECTORY, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT,), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
