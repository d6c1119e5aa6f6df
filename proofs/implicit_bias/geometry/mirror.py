"""Mirror descent ends at the interpolating solution nearest to its start in the Bregman divergence of its potential."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.mirror import bregman_solution, hypentropy
from ....theory.axioms import CONVEX_UNIQUE, KKT
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.statements.implicit_bias.geometry import MIRROR
from ...result import ByBudget, Check, Control, Result
from .mirror_evidence import (
    GREEDY,
    MirrorPrediction,
    MirrorSetting,
    compare_ends,
    compare_limit,
    coordinate_descent,
    descend,
    mirror_twice,
    random_setting,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def three_points() -> Equations:
    """D(v, w_0) = D(v, w) + D(w, w_0) + (grad psi(w) - grad psi(w_0)).(v - w), with psi and its gradient as symbols."""
    import sympy

    v, w, start = (sympy.Matrix(sympy.symbols(f"{n}1:3", real=True)) for n in ("v", "w", "u"))
    at_v, at_w, at_start = sympy.symbols("A B C", real=True)
    slope_w, slope_start = (sympy.Matrix(sympy.symbols(f"{n}1:3", real=True)) for n in ("g", "h"))
    outer = at_v - at_start - slope_start.dot(v - start)
    parts = at_v - at_w - slope_w.dot(v - w) + at_w - at_start - slope_start.dot(w - start)
    nu, x = sympy.symbols("n1:3", real=True), sympy.Matrix(2, 2, sympy.symbols("x1:5", real=True))
    moved = x.T * sympy.Matrix(nu)  # grad psi(w) - grad psi(w_0) in the row space
    return [
        (outer, parts + (slope_w - slope_start).dot(v - w)),
        (moved.dot(v - w), sympy.Matrix(nu).dot(x * v - x * w)),
    ]


def potentials() -> Equations:
    """primal(theta) = psi*' and its inverse; psi*''' = psi*'' for the entropy, psi*'' - psi*''' = b e^-theta for the hypentropy, theta > 0."""
    import sympy

    t, b, w = sympy.symbols("theta b w", positive=True)
    smooth = b * sympy.cosh(t)
    return [
        (sympy.diff(sympy.exp(t), t), sympy.exp(t)),
        (sympy.log(sympy.exp(t)), t),
        (sympy.diff(smooth, t), b * sympy.sinh(t)),
        (b * sympy.sinh(sympy.asinh(w / b)), w),
        ((smooth - sympy.diff(smooth, t)).rewrite(sympy.exp), b * sympy.exp(-t)),
    ]


def greedy_limits() -> list[tuple[str, Any, str, Any]]:
    """The two ends of greedy coordinate descent are exact solutions, and they differ."""
    from fractions import Fraction as F

    rows, targets = ((2, 3, 3), (3, 1, -2)), (-1, -3)
    end, other = (F(-11, 13), F(0), F(3, 13)), (F(-111615385, 10**8), F(39, 100), F(2076923, 10**8))
    exact = [
        (f"row {k}", sum((F(a) * w for a, w in zip(row, end, strict=True)), F(0)), "==", F(targets[k]))
        for k, row in enumerate(rows)
    ]
    near = [
        (
            f"row {k} to 1e-7",
            abs(sum((F(a) * w for a, w in zip(row, other, strict=True)), F(0)) - targets[k]),
            "<=",
            F(1, 10**7),
        )
        for k, row in enumerate(rows)
    ]
    return [*exact, *near, ("they differ", F(1, 4), "<=", abs(end[0] - other[0]))]


DERIVATION = (
    Algebra("grad psi(w_t) - grad psi(w_0) is a sum of X^T r; with X v = X w = y it is orthogonal to v - w, so D(v, w_0) = D(v, w) + D(w, w_0)", three_points),
    Axiom(KKT, "so w with X w = y and grad psi(w) - grad psi(w_0) in the row space minimises D(., w_0): D(v, w) >= 0 by convexity"),
    Axiom(CONVEX_UNIQUE, "in its form for Bregman divergences: D(v, w) = 0 only for v = w, psi being strictly convex"),
    Algebra("the potentials shipped: entropy and hypentropy, and what bounds the third derivatives of their duals", potentials),
    Enumeration("both ends of greedy coordinate descent interpolate, and they differ", greedy_limits),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: MirrorSetting) -> MirrorPrediction:
    return MirrorPrediction(bregman_solution(s.design, s.targets, s.initial, potential=s.chosen))


# --- checks -------------------------------------------------------------------------------------------------------


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(40))))


def by(change: Callable[[MirrorSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"predict": lambda s: MirrorPrediction(change(s))}


def other_potential(s: MirrorSetting) -> np.ndarray:
    return bregman_solution(
        s.design, s.targets, s.initial, potential=hypentropy(1.0 if s.potential == "entropy" else 2 * s.scale)
    )


# One row: the dual is one equation in one unknown, solved at 50 digits by bisection and Newton.


def sample(rng: np.random.Generator) -> MirrorSetting:
    p = int(rng.integers(1, 5))
    design = rng.choice([-1, 1], size=(1, p)) * rng.integers(2, 9, size=(1, p)) / 8
    if rng.random() < 0.5:
        design = np.abs(design)
        return MirrorSetting(
            design, rng.integers(1, 33, size=1) / 16, rng.integers(2, 17, size=p) / 8, "entropy", 1.0, 0.1, 1
        )
    return MirrorSetting(
        design,
        rng.integers(-32, 33, size=1) / 16,
        rng.integers(-8, 9, size=p) / 8,
        "hypentropy",
        float(2.0 ** rng.integers(-6, 4)),
        0.1,
        1,
    )


def last_steps(s: MirrorSetting) -> list[arb]:
    with mpmath.workdps(60):
        row, y = [mpmath.mpf(v) for v in s.design[0]], mpmath.mpf(s.targets[0])
        start, b = [mpmath.mpf(v) for v in s.initial], mpmath.mpf(s.scale)
        entropy = s.potential == "entropy"
        theta = [mpmath.log(v) if entropy else mpmath.asinh(v / b) for v in start]

        def weights(nu: Any) -> list[Any]:
            points = [t + x * nu for t, x in zip(theta, row, strict=True)]
            return [mpmath.exp(t) if entropy else b * mpmath.sinh(t) for t in points]

        def gap(nu: Any) -> Any:
            return sum(x * w for x, w in zip(row, weights(nu), strict=True)) - y

        low, high = mpmath.mpf(-1), mpmath.mpf(1)
        while gap(low) > 0:
            low *= 2
        while gap(high) < 0:
            high *= 2
        for _ in range(230):  # the gap increases, so bisection is a proof: 2^-230 of the first interval is left
            middle = (low + high) / 2
            low, high = (low, middle) if gap(middle) > 0 else (middle, high)
        return [arb(mpmath.nstr(w, 55)) for w in weights((low + high) / 2)]


def read(p: MirrorPrediction) -> np.ndarray:
    return p.limit


def shipped(s: MirrorSetting) -> np.ndarray:
    return bregman_solution(s.design, s.targets, s.initial, potential=s.chosen)


def width(s: MirrorSetting) -> np.ndarray:
    """The contract's residual, 1e-12 of |X| |w| + |y|, seen through the curvature of the dual; and a few roundings of theta."""
    w = shipped(s)
    slope = w if s.potential == "entropy" else np.sqrt(s.scale**2 + w * w)
    x, size = s.design[0], float(np.abs(s.design[0]) @ np.abs(w) + np.abs(s.targets[0]))
    moved = 2e-12 * size / float(x * x @ slope)
    theta = 1 + np.abs(np.log(slope / s.scale)) if s.potential == "hypentropy" else 1 + np.abs(np.log(w))
    bound = slope * (np.abs(x) * moved + 8 * 2.0**-53 * theta)
    return bound / np.where(np.abs(w) > bound, np.abs(w), 1.0)


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=20)
EXAMPLE = MirrorSetting(
    np.array([[1.0, 2.0, 0.5]]), np.array([1.0]), np.array([0.5, 0.5, 0.5]), "entropy", 1.0, 0.1, 500
)

CHECKS = (
    Check(
        "limit of mirror descent at two steps and with momentum",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_limit,
        controls=(
            Control("Euclidean distance", by(lambda s: s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial))),
            Control("another potential", by(other_potential)),
            Control("start forgotten", by(lambda s: bregman_solution(s.design, s.targets, np.full_like(s.initial, 0.5), potential=s.chosen))),
        ),
    ),
    Check(
        "greedy coordinate descent depends on its step",
        Inequality(),
        settings=ByBudget(quick=(GREEDY,)),
        experiment=coordinate_descent,
        compare=compare_ends,
        controls=(Control("mirror descent in its place", {"experiment": mirror_twice}),),
    ),
    Check(
        "shipped solution",
        FORMULA,
        controls=(
            Control("off by 1e-8", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-8) * shipped(s))}),
            Control("start forgotten", {"claim": replace(FORMULA, shipped=lambda s: shipped(replace(s, initial=np.full_like(s.initial, 0.5))))}),
            Control("potential of another scale", {"claim": replace(FORMULA, shipped=other_potential)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(MIRROR, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
