"""The ReLU tangent kernel has a kink on the diagonal: dT is of order h, where dK is of order h^2."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.kernels.fully_connected import fully_connected_distances, fully_connected_kernels, layer_scales
from ....numerics.store import Rows
from ....theory.activations import Activation
from ....theory.balls.context import to_ball
from ....theory.derivation import Algebra, Enclosure, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.kernels import NTK_KINK
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result
from . import gap_propagation, kink_algebra

HALF_ULP = 2.0**-53
DIGITS = 60


@dataclass(frozen=True, eq=False)
class KinkSetting:
    """A point x (d,), a direction e (d,), steps h (k,), and sw, sb of both weight layers; x + h e should be exact."""

    x: Float[np.ndarray, " features"]
    direction: Float[np.ndarray, " features"]
    steps: Float[np.ndarray, " steps"]
    weight_scale: tuple[float, float]
    bias_scale: tuple[float, float]

    def __post_init__(self) -> None:
        x, e, h = (finite(n, getattr(self, n), ndim=1) for n in ("x", "direction", "steps"))
        if x.shape != e.shape or not len(x):
            raise InvalidInput(f"x and direction have shapes {x.shape} and {e.shape}.", "They need the same length.")
        if not len(h) or (h <= 0).any():
            raise InvalidInput("steps is empty or not positive.", "Pass step sizes h > 0.")
        layer_scales("weight_scale", self.weight_scale, 1)
        layer_scales("bias_scale", self.bias_scale, 1)


@dataclass(frozen=True)
class KinkPrediction:
    """dK and dT between x and x + h e, (k,), and the constants C with dT ~ C_T h and dK ~ C_K h^2."""

    nngp_distance: Float[np.ndarray, " steps"]
    ntk_distance: Float[np.ndarray, " steps"]
    nngp_constant: float
    ntk_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


DERIVATION = (
    Uses(gap_propagation.RESULT, "dK' = sw^2 (dK/2 - p (sin t - t cos t)/pi), dT' = dK' + sw^2 (dT/2 + t T/pi)"),
    Algebra("wedge and inner product of X and X + h E", kink_algebra.wedge),
    Algebra("dK and dT of one hidden layer", kink_algebra.one_hidden_layer),
    Algebra(
        "t cot t lies between 1 - t^2/2 and 1 for 0 <= t <= 1, since both slopes are non-negative",
        kink_algebra.tangent_bounds,
    ),
    Enclosure("cos t >= 0 there", lambda t: t.cos(), ((0.0, 1.0),)),
    Enclosure("and sin t >= 0 (in t/2: 2 sin cos)", lambda t: (t / 2).cos(), ((0.0, 1.0),)),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def distances(s: KinkSetting, activation: Activation = "relu") -> tuple[np.ndarray, np.ndarray]:
    """dK and dT of the shipped function."""
    y = s.x + s.steps[:, None] * s.direction
    found = fully_connected_distances(
        s.x[None], y, depth=1, activation=activation, weight_scale=s.weight_scale, bias_scale=s.bias_scale
    )
    return found.nngp[0], found.ntk[0]


def constants(s: KinkSetting) -> tuple[float, float]:
    """C_K = sw2^2 |E|^2/2 and C_T = sw2^2 w/pi, w from the part of E across X."""
    scale = s.weight_scale[0] / np.sqrt(len(s.x))
    big_x, big_e = np.append(scale * s.x, s.bias_scale[0]), np.append(scale * s.direction, 0.0)
    size = big_x @ big_x
    across = big_e - (big_e @ big_x) / size * big_x if size else big_e
    wedge_size = float(np.sqrt(size) * np.linalg.norm(across))
    power = s.weight_scale[1] ** 2
    return power * float(big_e @ big_e) / 2, power * wedge_size / float(np.pi)


def predict(s: KinkSetting) -> KinkPrediction:
    return KinkPrediction(*distances(s), *constants(s))


# --- the closed form in ball arithmetic ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Exact:
    """Step, angle, |E|^2, w, sw2^2, dK and dT of one step."""

    step: arb
    angle: arb
    square: arb
    wedge: arb
    power: arb
    nngp: arb
    ntk: arb


def exact_steps(s: KinkSetting) -> list[Exact]:
    """One entry for each step, from exact rationals."""
    w1, w2, b1 = (Fraction(v) for v in (*s.weight_scale, s.bias_scale[0]))
    x, e = ([Fraction(v) for v in part.tolist()] for part in (s.x, s.direction))
    scale = w1**2 / len(x)
    a = scale * sum((v * v for v in x), Fraction(0)) + b1**2
    square = scale * sum((v * v for v in e), Fraction(0))
    inner = scale * sum((p * q for p, q in zip(x, e, strict=True)), Fraction(0))
    wedge_size, power = to_ball(a * square - inner**2).sqrt(), to_ball(w2) ** 2
    found = []
    for value in s.steps.tolist():
        h = Fraction(value)
        angle = arb.atan2(to_ball(h) * wedge_size, to_ball(a + h * inner))
        bend, apart = to_ball(h) * wedge_size / arb.pi(), to_ball(h * h * square)
        turn = angle * angle.cot()
        found.append(
            Exact(to_ball(h), angle, to_ball(square), wedge_size, power,
                  power * (apart / 2 - bend * (1 - turn)), power * (apart + bend * (2 * turn - 1)))
        )  # fmt: skip
    return found


def last_step(s: KinkSetting) -> list[arb]:
    with ctx.workdps(DIGITS):
        steps = exact_steps(s)
        first = steps[0]
        constant = [first.power * first.square / 2, first.power * first.wedge / arb.pi()]
        return [*(v.nngp for v in steps), *(v.ntk for v in steps), *constant]


def flatten(p: KinkPrediction) -> np.ndarray:
    return np.concatenate([p.nngp_distance, p.ntk_distance, [p.nngp_constant, p.ntk_constant]])


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KinkSetting:
    """Points and directions on a binary grid, so that x + h e is exact for h = 2^-k."""
    return KinkSetting(
        np.round(rng.normal(size=3) * 2**10) / 2**10,
        np.round(rng.normal(size=3) * 2**4) / 2**4 + 2.0**-4,
        2.0 ** -np.sort(rng.choice(np.arange(1, 34), 3, replace=False)),
        (float(rng.uniform(0.5, 1.8)), float(rng.uniform(0.5, 1.8))),
        (float(rng.choice([0.0, rng.uniform(0.1, 1)])), float(rng.uniform(0.1, 1))),
    )


def compare_bounds(
    s: KinkSetting, p: KinkPrediction, rows: Rows, *, ntk_power: int = 1, tight: float = 1.0
) -> Enclosures:
    """The four inequalities for e1 = dT/(C_T h) - 1 and e2 = 1 - dK/(C_K h^2), in ball arithmetic."""
    slack = []
    with ctx.workdps(DIGITS):
        for v in exact_steps(s):
            first = v.ntk / (v.power * v.step**ntk_power * v.wedge / arb.pi()) - 1
            second = 1 - v.nngp / (v.power * v.step**2 * v.square / 2)
            ratio = arb.pi() * v.step * v.square / v.wedge
            slack += [first + tight * v.angle**2, ratio - first, second, tight * v.angle**2 / ratio - second]
    return Enclosures(np.array([float(v.lower()) for v in slack]), np.array([float(v.upper()) for v in slack]))


def compare_slopes(
    s: KinkSetting,
    p: KinkPrediction,
    rows: Rows,
    *,
    activation: Activation = "relu",
    naive: bool = False,
    powers: tuple[int, int] = (2, 1),
) -> Comparison:
    """Local slopes of log dK and log dT on log h against 2 and 1, each within log((1+e)/(1-e)) / log(step ratio), e the
    largest remainder of the two steps (the statement's) plus 40 roundings."""
    y = s.x + s.steps[:, None] * s.direction
    if naive:
        architecture: dict[str, Any] = {
            "depth": 1,
            "activation": activation,
            "weight_scale": s.weight_scale,
            "bias_scale": s.bias_scale,
        }
        pair, left = (
            fully_connected_kernels(s.x[None], y, **architecture),
            fully_connected_kernels(s.x[None], **architecture),
        )
        right = fully_connected_kernels(y, **architecture)
        found = [
            left.nngp[0, 0] + np.diag(right.nngp) - 2 * pair.nngp[0],
            left.ntk[0, 0] + np.diag(right.ntk) - 2 * pair.ntk[0],
        ]
    else:
        found = list(distances(s, activation))
    with ctx.workdps(DIGITS):
        ratio = np.array([float(arb.pi() * v.step * v.square / v.wedge) for v in exact_steps(s)])
        angle = np.array([float(v.angle) for v in exact_steps(s)])
    remainders = (angle**2 / ratio, np.maximum(ratio, angle**2))
    steps = np.diff(np.log(s.steps))
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = [np.diff(np.log(np.abs(d))) / steps for d in found]
    bounds = []
    for remainder in remainders:
        e = np.maximum(remainder[1:], remainder[:-1]) + 40 * HALF_ULP
        bounds.append(np.log((1 + e) / (1 - e)) / np.abs(steps))
    claimed = np.repeat(powers, len(steps)).astype(np.float64)
    return Comparison(np.concatenate(slopes), claimed, np.concatenate(bounds), claimed)


def width(s: KinkSetting) -> float:
    """Eighty roundings; what lies across X is formed on the scale |E| |X| and loses the part |E| |X|/w of the digits."""
    scale = s.weight_scale[0] / np.sqrt(len(s.x))
    lengths = scale * np.linalg.norm(s.direction) * np.hypot(scale * np.linalg.norm(s.x), s.bias_scale[0])
    wedge_size = constants(s)[1] * np.pi / s.weight_scale[1] ** 2
    return 80 * HALF_ULP * float(1 + lengths / wedge_size)


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=60,
)


def _mutant(**factors: float) -> dict[str, Any]:
    def wrong(s: KinkSetting) -> np.ndarray:
        p = predict(s)
        return flatten(replace(p, **{name: factor * getattr(p, name) for name, factor in factors.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


X, E = np.array([0.5, -1.125, 0.625]), np.array([0.3125, 0.5, -0.25])
FINE = KinkSetting(X, E, 2.0 ** -np.arange(14.0, 29.0, 2.0), (1.4, 1.3), (0.3, 0.2))
COARSE = replace(FINE, steps=2.0 ** -np.arange(1.0, 12.0))
CHECKS = (
    Check(
        "shipped distances and constants",
        FORMULA,
        controls=(
            Control("dT 1e-11 off", _mutant(ntk_distance=1 + 1e-11)),
            Control("dK 1e-11 off", _mutant(nngp_distance=1 + 1e-11)),
            Control("w/(2 pi) for w/pi", _mutant(ntk_constant=0.5)),
            Control("|E|^2 for |E|^2/2", _mutant(nngp_constant=2.0)),
        ),
    ),
    Check(
        "remainders lie within their bounds",
        Inequality(),
        settings=ByBudget(quick=(COARSE, FINE)),
        compare=compare_bounds,
        controls=(
            Control("dT of order h^2", {"compare": partial(compare_bounds, ntk_power=2)}),
            Control("t^2/2 for t^2", {"compare": partial(compare_bounds, tight=0.5)}),
        ),
    ),
    Check(
        "local slopes are 1 for dT and 2 for dK",
        Agreement("convergence"),
        settings=ByBudget(quick=(FINE,)),
        compare=compare_slopes,
        controls=(
            Control("both slopes 2", {"compare": partial(compare_slopes, powers=(2, 2))}),
            Control("both slopes 1", {"compare": partial(compare_slopes, powers=(1, 1))}),
            Control("erf, which has no kink", {"compare": partial(compare_slopes, activation="erf")}),
            Control("distances from rounded kernels", {"compare": partial(compare_slopes, naive=True)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(NTK_KINK, predict, FINE, CHECKS, uses=(gap_propagation.RESULT,), derivation=DERIVATION)
RESULTS = (RESULT,)
