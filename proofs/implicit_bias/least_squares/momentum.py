"""Momentum on least squares: the limit of plain descent, the roots of every mode, and how large a step may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.least_squares import gradient_descent_path, largest_stable_step
from ....numerics.implicit_bias.momentum import (
    Variant,
    largest_stable_momentum_step,
    momentum_path,
)
from ....theory.axioms import SVD
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.least_squares import LS_MOMENTUM
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from . import minimum_norm
from .momentum_evidence import (
    MomentumPrediction,
    MomentumSetting,
    compare_decay,
    compare_limit,
    compare_path,
    compare_rate,
    compare_stability,
    floors,
    last_steps,
    predict,
    random_setting,
    sample,
    stability_setting,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def errors_of_a_mode() -> Equations:
    """The three recursions on c <- weights, b = targets in one direction, as second-order recursions of d = c - b/s."""
    import sympy

    b, d, before = sympy.symbols("b d before", real=True)
    s, eta, beta = sympy.symbols("s eta beta", positive=True)
    x, goal = eta * s**2, b / s

    def gradient(c: Any) -> Any:
        return s * (s * c - b)

    heavy = (goal + d) - eta * gradient(goal + d) + beta * (d - before) - goal
    ahead = goal + d + beta * (d - before)
    nesterov = ahead - eta * gradient(ahead) - goal
    return [
        (heavy, (1 + beta - x) * d - beta * before),
        (nesterov, (1 + beta) * (1 - x) * d - beta * (1 - x) * before),
        (heavy.subs(before, d), (1 - x) * d),
        (nesterov.subs(before, d), (1 - x) * d),
    ]


def optimiser_forms() -> Equations:
    """v+ = beta v + g, w+ = w - eta v+ is heavy ball; w+ = w - eta (g + beta v+) are Nesterov's extrapolated points."""
    import sympy

    d0, v0 = sympy.symbols("d v", real=True)
    x, beta = sympy.symbols("x beta", positive=True)  # speeds in units where g = x d, eta = 1
    heavy, points, speed, fast = [d0], [d0], v0, v0
    for _ in range(3):
        speed = beta * speed + x * heavy[-1]
        heavy.append(heavy[-1] - speed)
        fast = beta * fast + x * points[-1]
        points.append(points[-1] - (x * points[-1] + beta * fast))
    rest = {v0: 0}
    return [
        (heavy[2], (1 + beta - x) * heavy[1] - beta * heavy[0]),
        (heavy[3], (1 + beta - x) * heavy[2] - beta * heavy[1]),
        (heavy[1].subs(rest), (1 - x) * d0),
        (points[2], (1 + beta) * (1 - x) * points[1] - beta * (1 - x) * points[0]),
        (points[3], (1 + beta) * (1 - x) * points[2] - beta * (1 - x) * points[1]),
        (points[1].subs(rest), (1 - (1 + beta) * x) * d0),
    ]


def solution_by_roots() -> Equations:
    """d_t = r_2^t d_0 + (d_1 - r_2 d_0) S_t, with p = r_1^t and q = r_2^t; d_{t+1} - r_2 d_t = r_1^t (d_1 - r_2 d_0)."""
    import sympy

    r1, r2, d0, d1, p, q, t = sympy.symbols("r1 r2 d0 d1 p q t", real=True)

    def path(p: Any, q: Any) -> Any:
        return q * d0 + (d1 - r2 * d0) * (p - q) / (r1 - r2)

    def twice(t: Any, p: Any) -> Any:  # double root r1, p = r1^(t-1)
        return p * r1 * d0 + (d1 - r1 * d0) * t * p

    one, two, three = path(p, q), path(p * r1, q * r2), path(p * r1**2, q * r2**2)
    return [
        (path(1, 1), d0),
        (path(r1, r2), d1),
        (three, (r1 + r2) * two - r1 * r2 * one),
        (two - r2 * one, p * (d1 - r2 * d0)),
        (twice(1, 1), d1),
        (twice(t + 2, p * r1**2), 2 * r1 * twice(t + 1, p * r1) - r1**2 * twice(t, p)),
    ]


def discriminants() -> Equations:
    """Where roots are complex, and what they multiply to; for heavy ball and Nesterov d_1/d_0 - r_2 = r_1 (1 - r_2)."""
    import sympy

    x, root, beta, r1, r2 = sympy.symbols("x root beta r1 r2", positive=True)
    heavy = (1 + root**2 - x) ** 2 - 4 * root**2
    nesterov = ((1 + beta) * (1 - x)) ** 2 - 4 * beta * (1 - x)
    return [
        (heavy, (x - (1 - root) ** 2) * (x - (1 + root) ** 2)),
        (nesterov, (1 - x) * ((1 - beta) ** 2 - (1 + beta) ** 2 * x)),
        ((1 + beta - x) - beta, 1 - x),  # r_1 + r_2 - r_1 r_2 = d_1/d_0 for heavy ball
        ((1 + beta) * (1 - x) - beta * (1 - x), 1 - x),  # and for Nesterov
        ((r1 + r2 - r1 * r2) - r2, r1 * (1 - r2)),
    ]


def values_at_one() -> Equations:
    """p(1), p(-1) and the product of the roots: both roots lie in the unit disc iff p(1), p(-1) > 0 and the product < 1."""
    import sympy

    x, beta, r = sympy.symbols("x beta r", positive=True)
    heavy = r**2 - (1 + beta - x) * r + beta
    nesterov = r**2 - (1 + beta) * (1 - x) * r + beta * (1 - x)
    return [
        (heavy.subs(r, 1), x),
        (heavy.subs(r, -1), 2 * (1 + beta) - x),
        (nesterov.subs(r, 1), x),
        (nesterov.subs(r, -1), 2 * (1 + beta) - (1 + 2 * beta) * x),
        (1 - beta * (1 - x), 1 - beta + beta * x),
        (1 + beta * (1 - 2 * (1 + beta) / (1 + 2 * beta)), (1 + beta) / (1 + 2 * beta)),
    ]


DERIVATION = (
    Axiom(SVD, "X = U diag(s) V^T: each direction is a mode of its own, and where s = 0 nothing moves"),
    Algebra("errors obey d+ = a d - q d_previous; from rest d_1 = (1 - x) d_0", errors_of_a_mode),
    Algebra("the forms that optimisers run: heavy ball, and the extrapolated points with d_1 = (1 - (1+beta) x) d_0", optimiser_forms),
    Algebra("d_t from the roots, distinct or double; d_{t+1} - r_2 d_t decays exactly like r_1^t", solution_by_roots),
    Algebra("roots are complex iff the discriminant is negative, and then |r|^2 is the product: beta for heavy ball; |d_1/d_0 - r_2| <= |r_1| (1 + |r_2|), so |d_t| <= (1 + 2 t) max|r|^t |d_0|, since |S_t| = |sum of r_1^i r_2^(t-1-i)| <= t max|r|^(t-1)", discriminants),
    Algebra("p(1) = x > 0; p(-1) > 0 iff x < 2 (1+beta), or (1+2 beta) x < 2 (1+beta); below it |r_1 r_2| < 1: complex roots then have modulus below 1, and real ones lie on one side of 1 and of -1, so in (-1, 1). At the limit -1 is a root, beyond it one is below -1", values_at_one),
    Uses(minimum_norm.RESULT, "d_t -> 0 in the row space and P w_t = P w_0: the limit is that of plain descent"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(15))), standard=lambda: tuple(map(random_setting, range(60))))
LIMITS = ByBudget(quick=tuple(map(stability_setting, range(9))))
OTHER = {"heavy_ball": "nesterov", "nesterov": "heavy_ball", "look_ahead": "nesterov"}


def with_(**changes: Callable[[MomentumSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def path_of(s: MomentumSetting, **changes: Any) -> np.ndarray:
    """The path under other options, at half their largest step where the step would not be stable."""
    options = s.options | changes
    top = largest_stable_momentum_step(s.design, momentum=options["momentum"], variant=options["variant"])
    return momentum_path(*s.problem, time=s.times, **options | {"step": min(options["step"], top / 2)})


def effective_step(s: MomentumSetting) -> np.ndarray:
    step = min(s.step / (1 - s.momentum), 0.9 * largest_stable_step(s.design))
    return gradient_descent_path(*s.problem, step=step, time=s.times)


def powers(s: MomentumSetting, base: float) -> np.ndarray:
    start = np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    return base ** np.array(s.times, dtype=np.float64) * float(np.linalg.norm(start))


def limit_times(factor: Callable[[MomentumSetting], float]) -> Mapping[str, Any]:
    return with_(largest_step=lambda s: predict(s).largest_step * factor(s))


def read(p: MomentumPrediction) -> np.ndarray:
    return np.append(p.path.ravel(), p.largest_step)


def shipped(s: MomentumSetting) -> np.ndarray:
    path = momentum_path(*s.problem, time=s.times, **s.options)
    return np.append(
        path.ravel(), largest_stable_momentum_step(s.design, momentum=s.momentum, variant=cast(Variant, s.variant))
    )


def width(s: MomentumSetting) -> np.ndarray:
    values = shipped(s)
    # the largest singular value errs by max(n, p) 2 u of itself, its square by twice that
    last = (4 * max(s.design.shape) + 8) * 2.0**-53 * values[-1]
    return relative_width(values, np.append(np.repeat(floors(s), len(s.initial)), last))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=40)
EXAMPLE = MomentumSetting(np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]), np.array([1.0, -1.0]), np.array([0.5, 0.0, 2.0]), 0.2, 0.9, "heavy_ball", (1, 10, 100))  # fmt: skip

CHECKS = (
    Check(
        "every iterate as optimisers run it",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=train,
        compare=compare_path,
        controls=(
            Control("momentum 1e-6 larger", with_(path=lambda s: path_of(s, momentum=s.momentum * (1 + 1e-6)))),
            Control("another variant's roots or start", with_(path=lambda s: path_of(s, variant=OTHER[s.variant]))),
            Control("plain descent with the step eta/(1 - beta)", with_(path=effective_step)),
        ),
    ),
    Check(
        "the limit is that of plain descent",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train,
        compare=compare_limit,
        controls=(
            Control("null space trained towards 0", {"experiment": lambda s, run: train(replace(s, initial=0 * s.initial), run)}),
            Control("targets forgotten", {"experiment": lambda s, run: train(replace(s, targets=0 * s.targets), run)}),
        ),
    ),
    Check(
        "rate",
        Inequality(),
        settings=SETTINGS,
        experiment=train,
        compare=compare_rate,
        controls=(
            Control("no factor t at double roots", with_(bounds=lambda s: powers(s, predict(s).contraction))),
            Control("sqrt(beta) in every mode", with_(bounds=lambda s: powers(s, np.sqrt(s.momentum)))),
            Control("rate of the loss", with_(bounds=lambda s: (1 + 2 * np.array(s.times)) * powers(s, predict(s).contraction ** 2))),
        ),
    ),
    Check(
        "each root decays by itself",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=train,
        compare=compare_decay,
        controls=(
            Control("sqrt(beta) in every mode", with_(moduli=lambda s: np.full_like(predict(s).moduli, np.sqrt(s.momentum)))),
            Control("moduli 1e-6 larger", with_(moduli=lambda s: predict(s).moduli * (1 + 1e-6))),
            Control("plain descent's |1 - eta h|", with_(moduli=lambda s: np.abs(1 - s.step * np.linalg.svd(s.design)[1][: len(predict(s).moduli)] ** 2))),
        ),
    ),
    Check(
        "powers of the companion map decay just below the limit and grow just above it",
        Inequality(),
        settings=LIMITS,
        compare=compare_stability,
        controls=(
            Control("plain descent's limit", limit_times(lambda s: 1 / (1 + s.momentum) if s.variant == "heavy_ball" else (1 + 2 * s.momentum) / (1 + s.momentum))),
            Control("heavy ball's limit for Nesterov, and the reverse", limit_times(lambda s: 1 / (1 + 2 * s.momentum) if s.variant == "heavy_ball" else 1 + 2 * s.momentum)),
            Control("limit 2 (1 - beta)/h_max", limit_times(lambda s: (1 - s.momentum) / (1 + s.momentum))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("momentum off by 1e-9", mutant(FORMULA, lambda s: shipped(replace(s, momentum=min(s.momentum + 1e-9, 0.99))))),
            Control("step off by 1e-9", mutant(FORMULA, lambda s: shipped(replace(s, step=s.step * (1 + 1e-9))))),
        ),
    ),
)  # fmt: skip

RESULT = Result(LS_MOMENTUM, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(minimum_norm.RESULT,), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
