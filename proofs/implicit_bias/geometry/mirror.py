"""Mirror descent ends at the interpolating solution nearest to its start in the Bregman divergence of its potential."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import mpmath
import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.mirror import ENTROPY, Potential, bregman_solution, hypentropy
from ....numerics.store import Rows
from ....theory.axioms import CONVEX_UNIQUE, KKT
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.errors import InvalidInput
from ....theory.statements.implicit_bias.geometry import MIRROR
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run


@dataclass(frozen=True, eq=False)
class MirrorSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), the potential (a positive scale is a hypentropy) and steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    potential: Literal["entropy", "hypentropy"]
    scale: float
    step: float
    steps: int

    def __post_init__(self) -> None:
        x, y, w = (
            finite("design", self.design, ndim=2),
            finite("targets", self.targets),
            finite("initial", self.initial),
        )
        if (len(y), len(w)) != x.shape or not x.size or self.potential not in ("entropy", "hypentropy"):
            raise InvalidInput(
                f"design has shape {x.shape}, targets {y.shape}, initial {w.shape}.", "Pass y per row, w_0 per column."
            )

    @property
    def chosen(self) -> Potential:
        return ENTROPY if self.potential == "entropy" else hypentropy(self.scale)


@dataclass(frozen=True, eq=False)
class MirrorPrediction:
    """The limit (parameters,)."""

    limit: Float[np.ndarray, " parameters"]


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


def distance_to_limit(design: np.ndarray, targets: np.ndarray, weights: np.ndarray, slope: np.ndarray) -> float:
    """Bound on ||w - w_inf|| for a state w = primal(theta) with theta - theta_0 in the row space, from its residual alone.

    The dual F is convex with gradient g = X w - y and Hessian X diag(slope) X^T, and |psi*'''| <= psi*'' bounds the change of
    the Hessian by e^(M s) along a path of length s in nu, M the longest column. So s <= -log(1 - M ||g||/lambda_min)/M, and w
    moves by at most e^(M s) ||diag(slope) X^T|| s. Infinite where the residual is too large to tell.
    """
    residual = float(np.linalg.norm(design @ weights - targets))
    longest = float(np.linalg.norm(design, axis=0).max())
    ratio = longest * residual / float(np.linalg.eigvalsh((design * slope) @ design.T)[0])
    if ratio >= 1:
        return math.inf
    return -math.log1p(-ratio) / longest / (1 - ratio) * float(np.linalg.norm(design * slope, 2))


def random_setting(seed: int) -> MirrorSetting:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    p = n + int(rng.integers(1, 5))
    design = np.linalg.qr(rng.normal(size=(p, n)))[0].T * rng.uniform(0.7, 1.4, (n, 1))
    if seed % 2:
        initial, targets = rng.uniform(0.5, 1.5, p), design @ rng.uniform(0.5, 1.5, p)
        return MirrorSetting(design, targets, initial, "entropy", 1.0, 0.15, 1500)
    targets = design @ rng.normal(size=(p,))
    return MirrorSetting(design, targets, 0.3 * rng.normal(size=(p,)), "hypentropy", 0.5, 0.15, 1500)


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(40))))


def descend(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Mirror descent step by step at two steps, plain and with momentum on the dual variable; written out here."""
    s, ends = setting, []
    primal = np.exp if s.potential == "entropy" else lambda t: s.scale * np.sinh(t)
    start = np.log(s.initial) if s.potential == "entropy" else np.arcsinh(s.initial / s.scale)
    for eta, beta in ((s.step, 0.0), (s.step / 2, 0.0), (s.step / 2, 0.5)):
        theta, speed = start.copy(), np.zeros_like(start)
        for _ in range(s.steps):
            speed = beta * speed - eta * (s.design.T @ (s.design @ primal(theta) - s.targets))
            theta = theta + speed
        ends.append(primal(theta))
    return {"weights": np.array(ends)}


def compare_limit(setting: MirrorSetting, prediction: MirrorPrediction, rows: Rows) -> Comparison:
    s, size = setting, float(np.linalg.norm(prediction.limit))
    bounds = []
    for w in rows["weights"]:
        slope = w if s.potential == "entropy" else np.sqrt(s.scale**2 + w * w)
        # theta drifts off the row space by a rounding of its size per step
        drift = s.steps * 8 * 2.0**-53 * float(slope.max()) * (1 + float(np.abs(w).max()))
        bounds.append(distance_to_limit(s.design, s.targets, w, slope) + drift)
    return Comparison(rows["weights"], np.tile(prediction.limit, (len(bounds), 1)), np.array(bounds)[:, None], size)


GREEDY = MirrorSetting(
    np.array([[2.0, 3.0, 3.0], [3.0, 1.0, -2.0]]), np.array([-1.0, -3.0]), np.zeros(3), "hypentropy", 1.0, 0.02, 3000
)


def coordinate_descent(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Greedy coordinate descent on the squared loss from 0, at the setting's step and at five times it."""
    ends = []
    for eta in (setting.step, 5 * setting.step):
        w = setting.initial.copy()
        for _ in range(setting.steps):
            gradient = setting.design.T @ (setting.design @ w - setting.targets)
            largest = int(np.argmax(np.abs(gradient)))
            w[largest] -= eta * gradient[largest]
        ends.append(w)
    return {"weights": np.array(ends)}


def mirror_twice(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Mirror descent in place of it: the two ends agree."""
    end = descend(replace(setting, step=0.02), run)["weights"]
    return {"weights": end[:2]}


def compare_ends(setting: MirrorSetting, prediction: Any, rows: Rows) -> Enclosures:
    """The two ends interpolate to 1e-9, are 1/4 apart, and are the two stated points to their five digits."""
    ends = rows["weights"]
    off = 1e-9 - np.abs(ends @ setting.design.T - setting.targets).max()
    stated = np.array([[-11 / 13, 0.0, 3 / 13], [-1.11615, 0.39, 0.02077]])
    slack = np.array([off, float(np.abs(ends[0] - ends[1]).max()) - 0.25, 5e-6 - float(np.abs(ends - stated).max())])
    return Enclosures(slack, slack)


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
