"""What the rows of the dual table share: settings, exact values, rounding widths, wrong variants and the two checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float
from scipy.special import erf, ndtr

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.kernels.activation_kernels import ActivationKernels, activation_kernels
from ....numerics.kernels.pairs import input_state
from ....numerics.kernels.quadrature import quadrature_dual
from ....numerics.store import Rows
from ....theory.activations import ABRelu, Activation, Cosine, QuadratureOf, Rbf, Scaled, Sine, resolve
from ....theory.balls.context import to_ball
from ....theory.balls.dual_table import dual_of
from ....theory.derivation import Step
from ....theory.errors import AssumptionViolated, InvalidInput
from ....theory.statement import Answer, Statement
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result

HALF_ULP = 2.0**-53


@dataclass(frozen=True, eq=False)
class DualSetting:
    """Vectors x (n, d) and y (m, d), whose inner products are a, b, c, and an activation."""

    x: Float[np.ndarray, "n features"]
    y: Float[np.ndarray, "m features"]
    activation: Activation

    def __post_init__(self) -> None:
        x, y = finite("x", self.x, ndim=2), finite("y", self.y, ndim=2)
        if x.shape[1] != y.shape[1]:
            raise InvalidInput(f"x has {x.shape[1]} columns and y has {y.shape[1]}.", "Both need the same features.")
        resolve(self.activation)


@dataclass(frozen=True)
class DualPrediction:
    """V, Vd and their squared distances V(x,x) + V(y,y) - 2 V(x,y), (n, m); the last is None for sign."""

    value: Float[np.ndarray, "n m"]
    derivative: Float[np.ndarray, "n m"]
    value_distance: Float[np.ndarray, "n m"]
    derivative_distance: Float[np.ndarray, "n m"] | None


def prediction(kernels: ActivationKernels) -> DualPrediction:
    return DualPrediction(**vars(kernels))


def shipped(s: DualSetting, **changes: Any) -> DualPrediction:
    return prediction(activation_kernels(s.x, s.y, **({"activation": s.activation} | changes)))


def flatten(p: DualPrediction) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in vars(p).values() if part is not None])


# --- the exact values ---------------------------------------------------------------------------------------------


def exact(s: DualSetting) -> list[arb]:
    """The table's formulas at one pair, from exact inner products; sign's Vd is dV/dc = 2 A^2/(pi s)."""
    x, y = ([Fraction(v) for v in row[0].tolist()] for row in (s.x, s.y))
    a, b, c = (sum((p * q for p, q in zip(u, v, strict=True)), Fraction(0)) for u, v in ((x, x), (y, y), (x, y)))
    balls = [to_ball(v) for v in (a, b, c, a * b - c * c)]
    dual = dual_of(s.activation)
    (at_x, slope_x), (at_y, slope_y) = (dual(v, v, v, arb(0)) for v in balls[:2])
    value, slope = dual(*balls)
    if slope is None or slope_x is None or slope_y is None:
        outer = to_ball(Fraction(getattr(s.activation, "outer", 1)))
        return [value, 2 * outer**2 / (arb.pi() * balls[3].sqrt()), at_x + at_y - 2 * value]
    return [value, slope, at_x + at_y - 2 * value, slope_x + slope_y - 2 * slope]


def width(s: DualSetting) -> np.ndarray:
    """Relative rounding: every term of a value or distance is formed to a few roundings from norms and gaps that are exact
    to a few, and no difference takes more than the part 1 + sqrt(a+b) of the digits away (GELU; others less). Values are
    formed on the scale sqrt(V(x,x) V(y,y))."""
    p = shipped(s)
    ends = [shipped(replace(s, x=v, y=v)) for v in (s.x, s.y)]
    found = flatten(p)
    scales = np.abs(found)
    scales[0] = math.sqrt(float(ends[0].value[0, 0] * ends[1].value[0, 0]))
    if p.derivative_distance is not None:
        scales[1] = math.sqrt(abs(float(ends[0].derivative[0, 0] * ends[1].derivative[0, 0])))
    loss = 1 + math.sqrt(float(np.sum(s.x**2) + np.sum(s.y**2)))
    roundings = np.array([40.0, 40.0, 80.0, 80.0])[: len(found)] * loss
    # what is exactly 0 (equal vectors, a zero vector) has no relative error
    return roundings * HALF_ULP * np.where(found == 0, 1.0, scales / np.where(found == 0, 1.0, np.abs(found)))


def sampler(draw: Callable[[np.random.Generator], Activation], *, kinked: bool) -> Callable[[Any], DualSetting]:
    """One pair, from far apart to 1e-12 apart, to the opposite side, and (smooth phi) equal, zero or nearly parallel.

    V or Vd below a hundredth of the larger norm of its features has lost its digits to the sum, and is drawn again.
    """

    def sample(rng: np.random.Generator) -> DualSetting:
        while True:
            x = rng.normal(size=3) * 10 ** rng.uniform(-1, 0.5)
            near = x + 10 ** rng.uniform(-12, 0) * np.linalg.norm(x) * rng.normal(size=3)
            others = (near, near, near, -near) if kinked else (near, near, -near, x, 0 * x, 1.001 * x)
            s = DualSetting(x[None], others[rng.integers(len(others))][None], draw(rng))
            value, slope, *distances = (float(v.mid()) for v in exact(s))
            pairs = ((value, distances[0]), *([(slope, distances[1])] if len(distances) > 1 else []))
            # distance + 2 value is the sum of the squared norms
            if all(found == 0 or abs(found) >= 0.01 * (far / 2 + found) for found, far in pairs):
                return s

    return sample


# --- the activations themselves, for quadrature -------------------------------------------------------------------


def numerical(activation: Activation) -> QuadratureOf:
    """phi and phi' as functions; the derivative of sign is left out."""
    found = resolve(activation)
    if isinstance(found, Scaled):
        base = numerical(found.base)
        return QuadratureOf(
            lambda z: found.outer * base.function(found.inner * z) + found.constant,
            lambda z: found.outer * found.inner * base.derivative(found.inner * z),
            kink=base.kink,
        )
    if isinstance(found, ABRelu):
        low, high = found.negative, found.positive
        return QuadratureOf(lambda z: np.where(z > 0, high, low) * z, lambda z: np.where(z > 0, high, low), kink=True)
    if isinstance(found, Sine):
        A, B, C = found.amplitude, found.frequency, found.phase
        return QuadratureOf(lambda z: A * np.sin(B * z + C), lambda z: A * B * np.cos(B * z + C))
    if isinstance(found, Cosine):
        A, B, C = found.amplitude, found.frequency, found.phase
        return QuadratureOf(lambda z: A * np.cos(B * z + C), lambda z: -A * B * np.sin(B * z + C))
    if isinstance(found, Rbf):
        B = math.sqrt(2 * found.gamma)
        return QuadratureOf(
            lambda z: math.sqrt(2) * np.sin(B * z + np.pi / 4), lambda z: math.sqrt(2) * B * np.cos(B * z + np.pi / 4)
        )
    density = 1 / math.sqrt(2 * math.pi)
    return {
        "identity": QuadratureOf(lambda z: z, np.ones_like),
        "sign": QuadratureOf(np.sign, np.zeros_like, kink=True),
        "erf": QuadratureOf(erf, lambda z: 2 / math.sqrt(math.pi) * np.exp(-(z**2))),
        "gelu": QuadratureOf(lambda z: z * ndtr(z), lambda z: ndtr(z) + density * z * np.exp(-(z**2) / 2)),
    }[found]


def compare_quadrature(s: DualSetting, p: DualPrediction, rows: Rows) -> Comparison:
    """V and Vd by polar quadrature with two numbers of nodes; their difference bounds the error of the finer one, to which
    one rounding for each of 96 + 72 summands is added, and as many again for phi at arguments up to 12 |x|."""
    parts = [p.value] + ([p.derivative] if p.derivative_distance is not None else [])
    fine, coarse, ends = quadratures(s)
    found, other = (np.concatenate([np.ravel(v) for v in values[: len(parts)]]) for values in (fine, coarse))
    scale = np.repeat(ends[: len(parts)], p.value.size)
    bound = np.abs(found - other) + 400 * HALF_ULP * scale
    return Comparison(found, np.concatenate([value.ravel() for value in parts]), bound, scale)


@lru_cache(maxsize=8)
def quadratures(
    s: DualSetting,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], tuple[float, float]]:
    """(V, Vd) with 96 x 72 and with 64 x 48 nodes, and their scales: the largest diagonal entries."""
    state = input_state(s.x, s.y, math.sqrt(s.x.shape[1]), 0.0)
    phi = numerical(s.activation)
    duals = [quadrature_dual(phi, state, nodes) for nodes in ((96, 72), (64, 48))]
    fine, coarse = ((dual.value, np.asarray(dual.derivative)) for dual in duals)
    ends = [_diagonal(s, v) for v in (s.x, s.y)]
    return fine, coarse, (ends[0][0] + ends[1][0], ends[0][1] + ends[1][1])


def _diagonal(s: DualSetting, points: np.ndarray) -> tuple[float, float]:
    """Largest E phi(u)^2 and E phi'(u)^2 at the given points."""
    state = input_state(points, points, math.sqrt(points.shape[1]), 0.0)
    dual = quadrature_dual(numerical(s.activation), state, (24, 24))
    return float(dual.a.max()), float(np.diag(np.asarray(dual.derivative)).max())


# --- one result for each row --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """`draw` makes an activation of the row, `wrong` names activations (or functions of a setting) mistaken for it."""

    statement: Statement
    example: Activation
    draw: Callable[[np.random.Generator], Activation]
    derivation: tuple[Step, ...]
    uses: tuple[Result, ...]
    wrong: tuple[tuple[str, Callable[[Any], Activation]], ...]
    kinked: bool = False


def naive_distance(s: DualSetting) -> DualPrediction:
    """V(x,x) + V(y,y) - 2 V(x,y) from the rounded values."""
    p = shipped(s)
    at_x, at_y = (shipped(replace(s, x=v, y=v)).value for v in (s.x, s.y))
    return replace(p, value_distance=at_x + at_y - 2 * p.value)


def _off(name: str, s: DualSetting) -> DualPrediction:
    p = shipped(s)
    return replace(p, **{name: (1 + 1e-12) * getattr(p, name)})


def _taken_for(change: Callable[[Activation], Activation], s: DualSetting) -> DualPrediction:
    return shipped(s, activation=change(s.activation))


def _opposite(s: DualSetting) -> DualPrediction:
    return shipped(replace(s, y=-s.y))


def _numbers(function: Callable[[DualSetting], DualPrediction], s: DualSetting) -> np.ndarray:
    return flatten(function(s))


def predict_row(statement: Statement, s: DualSetting) -> DualPrediction:
    """The shipped dual; an activation of another row is refused."""
    if any(assumption.answer(s) is Answer.VIOLATED for assumption in statement.assumptions):
        raise AssumptionViolated(f"{statement.key} is not about {s.activation!r}.", statement.assumptions[0].text)
    return shipped(s)


POINTS = np.array([[0.9, -0.3, 0.4], [0.8, -0.2, 0.5], [-0.6, 1.1, 0.2]])


def result(row: Row) -> Result:
    """Statement, prediction and checks of one row."""
    formula = Formula(
        expression=exact,
        shipped=partial(_numbers, shipped),
        read=flatten,
        sample=sampler(row.draw, kinked=row.kinked),
        width=width,
        count=40,
    )

    def mutant(function: Callable[[DualSetting], DualPrediction]) -> dict[str, Any]:
        return {"claim": replace(formula, shipped=partial(_numbers, function))}

    example = DualSetting(POINTS[:2], POINTS[::-1] + 0.05, row.example)
    checks = (
        Check(
            "shipped dual",
            formula,
            controls=(
                *(Control(name, mutant(partial(_taken_for, change))) for name, change in row.wrong),
                Control("V 1e-12 off", mutant(partial(_off, "value"))),
                Control("Vd 1e-12 off", mutant(partial(_off, "derivative"))),
                Control("distance from rounded values", mutant(naive_distance)),
            ),
        ),
        Check(
            "quadrature of E phi(u) phi(v) and E phi'(u) phi'(v)",
            Agreement("convergence"),
            settings=ByBudget(quick=(example, DualSetting(POINTS * [[0.2], [1.0], [1.5]], -POINTS, row.example))),
            compare=compare_quadrature,
            controls=(
                *(Control(name, {"predict": partial(_taken_for, change)}) for name, change in row.wrong),
                Control("V of -y", {"predict": _opposite}),
            ),
        ),
    )
    predict = partial(predict_row, row.statement)
    return Result(row.statement, predict, example, checks, uses=row.uses, derivation=row.derivation)
