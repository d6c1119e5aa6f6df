"""Kernels and squared distances of nearly equal inputs, in coordinates without cancellation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb, ctx
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.kernels.duals.table import activation_slopes, dual_activation
from ....numerics.kernels.fully_connected import fully_connected_distances, fully_connected_kernels
from ....numerics.kernels.pairs import affine, input_state
from ....numerics.store import Rows
from ....theory.activations import ABRelu, Activation, Cosine, LeakyRelu, Rbf, Scaled, Sine
from ....theory.balls.dual_activations import fully_connected_pair
from ....theory.derivation import Algebra, Step, Uses
from ....theory.statements.infinite_width.kernels import GAP_PROPAGATION
from ...result import ByBudget, Check, Control, Result
from ..settings import KernelSetting
from . import dual_algebra, duals, ntk

HALF_ULP = 2.0**-53
KINKED: tuple[Activation, ...] = ("relu", "abs", LeakyRelu(0.1), ABRelu(-0.3, 1.2), ABRelu(0.5, 1.0), Scaled("relu", 1.2, 0.8, -0.3))  # fmt: skip
SMOOTH: tuple[Activation, ...] = ("identity", "erf", "gelu", "sin", "cos", Sine(1.3, 0.7, 0.4), Cosine(1.1, 0.8, -0.5), Rbf(0.6), Scaled("gelu", 1.5, 0.8, -0.2))  # fmt: skip


@dataclass(frozen=True)
class GapPrediction:
    """K, T and the squared distances dK = K(x,x) + K(y,y) - 2 K(x,y), dT, (n, m)."""

    nngp: Float[np.ndarray, "n m"]
    ntk: Float[np.ndarray, "n m"]
    nngp_distance: Float[np.ndarray, "n m"]
    ntk_distance: Float[np.ndarray, "n m"]


# --- derivation ---------------------------------------------------------------------------------------------------


def distances() -> list[tuple[Any, Any]]:
    """dK from gap and norms; the distance of a product kernel A T from those of its factors, three ways."""
    r, q = sympy.symbols("r q", positive=True)
    g, p, t, ax, ay, tx, ty = sympy.symbols("g p t ax ay tx ty", real=True)
    product = ax * tx + ay * ty - 2 * p * t
    da, dt, sa, st = ax + ay - 2 * p, tx + ty - 2 * t, ax + ay + 2 * p, tx + ty + 2 * t
    mixed = (ax - ay) * (tx - ty) / 2
    angle = sympy.symbols("angle", positive=True)
    slope = (sympy.pi - angle) / (2 * sympy.pi)
    relu = {ax: sympy.Rational(1, 2), ay: sympy.Rational(1, 2), p: slope}
    return [
        (r**2 + q**2 - 2 * (r * q - g), ((r**2 - q**2) / (r + q)) ** 2 + 2 * g),
        (product, p * dt + (tx + ty) / 2 * da + mixed),
        (product, -p * st + (tx + ty) / 2 * sa + mixed),
        (product.subs(relu), dt / 2 + angle / sympy.pi * t),
        (ax * tx - ay * ty, (ax + ay) / 2 * (tx - ty) + (ax - ay) * (tx + ty) / 2),
    ]


DERIVATION: tuple[Step, ...] = (
    Uses(ntk.RESULT, "the recursions of K and T"),
    Algebra("the gap of two inputs from their difference, with |X|, |Y| of any size", dual_algebra.gap_of_inputs),
    Algebra("max(z,0) maps gaps to gaps in half angles; a bias adds a rationalised term", dual_algebra.gap_through_a_layer),
    *(Uses(row, "gap, slope and distances of this activation") for row in duals.RESULTS),
    Algebra("dK from gap and norms; dT from distances, or from sums where Vd and T are negative", distances),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KernelSetting) -> GapPrediction:
    kernels = fully_connected_kernels(s.x, s.y, **s.architecture)
    apart = fully_connected_distances(s.x, s.y, **s.architecture)
    return GapPrediction(kernels.nngp, kernels.ntk, apart.nngp, apart.ntk)


def flatten(p: GapPrediction) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in vars(p).values()])


# --- wrong variants -----------------------------------------------------------------------------------------------


def variant(
    s: KernelSetting, *, bias: bool = True, spread: bool = True, norms: bool = True, slope: bool = True
) -> GapPrediction:
    """The recursion with a term left out: the bias's share of the gap, dVd, the norms' share of dK, or Vd before dT."""
    state = input_state(s.x, s.y, s.weight_scale[0], s.bias_scale[0])
    a, b, difference, distance = state.a, state.b, state.difference, state.squared_distance
    ntk_ = state.nngp
    for weight, shift in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        dual, slopes, w = dual_activation(s.activation, state), activation_slopes(s.activation, state), weight**2
        assert dual.derivative is not None
        above = affine(dual, weight, shift)
        if not bias:
            above = replace(above, gap=w * dual.gap)
        apart = above.squared_distance if norms else 2 * above.gap
        hidden = (dual.derivative if slope else 1.0) * distance + slopes.difference * difference / 2
        distance = apart + w * (hidden + ((a + b) / 2 * slopes.distance if spread else 0.0))
        ntk_ = above.nngp + w * dual.derivative * ntk_
        difference = above.difference + w * ((slopes.a + slopes.b) * difference + slopes.difference * (a + b)) / 2
        a, b, state = above.a + w * slopes.a * a, above.b + w * slopes.b * b, above
    return GapPrediction(state.nngp, ntk_, state.squared_distance if norms else 2 * state.gap, distance)


def rounded(s: KernelSetting) -> GapPrediction:
    """Distances from the rounded kernels."""
    p = predict(s)
    ends = [fully_connected_kernels(v, **s.architecture) for v in (s.x, s.y)]
    return replace(
        p,
        nngp_distance=ends[0].nngp + ends[1].nngp - 2 * p.nngp,
        ntk_distance=ends[0].ntk + ends[1].ntk - 2 * p.ntk,
    )


def off(s: KernelSetting) -> GapPrediction:
    p = predict(s)
    return replace(p, ntk_distance=(1 + 1e-12) * p.ntk_distance)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KernelSetting:
    """One pair, 1 to 1e-12 apart, to the opposite side, and (smooth phi) equal, zero or nearly parallel; up to four layers."""
    kinked = bool(rng.integers(2))
    family = KINKED if kinked else SMOOTH
    layers = int(rng.integers(2, 6))
    x = rng.normal(size=3) * 10 ** rng.uniform(-0.5, 0.3)
    near = x + 10 ** rng.uniform(-12, 0) * np.linalg.norm(x) * rng.normal(size=3)
    others = (
        (near, near, near, 0.3 * rng.normal(size=3) - x)
        if kinked
        else (near, near, 0.3 * rng.normal(size=3) - x, x, 0 * x, 1.001 * x)
    )
    return KernelSetting(
        x[None],
        others[rng.integers(len(others))][None],
        family[rng.integers(len(family))],
        tuple(rng.uniform(0.5, 1.5, layers).tolist()),
        tuple((rng.choice([0.0, 0.1, 1.0]) * rng.uniform(0.5, 1, layers)).tolist()),
    )


def exact(s: KernelSetting) -> list[arb]:
    """Kernels and distances from the recursion in c itself, with 80 digits for the cancellation."""
    found = fully_connected_pair(
        s.x[0].tolist(),
        s.y[0].tolist(),
        activation=s.activation,
        weight_scale=s.weight_scale,
        bias_scale=s.bias_scale,
        digits=80,
    )
    with ctx.workdps(80):
        return [found.nngp, found.ntk, found.nngp_distance, found.ntk_distance]


def width(s: KernelSetting) -> np.ndarray:
    """Relative rounding: 24 roundings a layer on the scale sqrt(k(x,x) k(y,y)) for the kernels, 60 for the distances, times
    1 + sqrt(a+b) of the layers for what GELU and erf lose in their discriminants."""
    state, layers = input_state(s.x, s.y, s.weight_scale[0], s.bias_scale[0]), len(s.weight_scale)
    total = (state.a + state.b).item()
    for weight, bias in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        state = affine(dual_activation(s.activation, state), weight, bias)
        total = max(total, (state.a + state.b).item())
    p = predict(s)
    # the mean of k(x,x) and k(y,y) is (dk + 2 k)/2, and at least their geometric mean
    values = [(p.nngp, p.nngp_distance), (p.ntk, p.ntk_distance)]
    kernels = [24 * (1 + abs(d.item() / k.item()) / 2) if k.item() else 24.0 for k, d in values]
    return (1 + np.sqrt(total)) * layers * HALF_ULP * np.array([*kernels, 60.0, 60.0])


FORMULA = Formula(
    expression=exact,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=40,
)


def _mutant(function: Callable[..., GapPrediction], **options: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(function(s, **options)))}


def compare_naive(s: KernelSetting, p: GapPrediction, rows: Rows) -> Comparison:
    """The textbook tangent kernel (arccosine of the cosine) at angles above 0.1, where it loses a tenth of a digit a layer:
    an angle from a cosine has the error eps/sin t."""
    found = ntk.naive(s)
    ends = [fully_connected_kernels(v, **s.architecture).ntk for v in (s.x, s.y)]
    scale = np.sqrt(np.outer(*(np.diag(end) for end in ends)))
    bound = 40 * len(s.weight_scale) * HALF_ULP / 0.1 * scale
    return Comparison(found, np.diag(p.ntk), np.diag(bound), np.diag(scale))


RNG = np.random.default_rng(7)
FAR = tuple(
    KernelSetting(x := RNG.normal(size=(20, 3)), x + RNG.normal(size=(20, 3)), "relu", (1.4, 1.2, 1.3), (b, b, b))
    for b in (0.0, 0.4)
)


CHECKS = (
    Check(
        "shipped kernels and distances",
        FORMULA,
        controls=(
            Control("distances from rounded kernels", _mutant(rounded)),
            Control("bias without its share of the gap", _mutant(variant, bias=False)),
            Control("norms without their share of dK", _mutant(variant, norms=False)),
            Control("dT without the slopes' distance", _mutant(variant, spread=False)),
            Control("dT without Vd", _mutant(variant, slope=False)),
            Control("dT 1e-12 off", _mutant(off)),
        ),
    ),
    Check(
        "the textbook code at angles above 0.1",
        Agreement("rounding"),
        settings=ByBudget(quick=FAR),
        compare=compare_naive,
        controls=(
            Control("bias without its share of the gap", {"predict": lambda s: variant(replace(s, bias_scale=(0.4, 0.4, 0.4)), bias=False)}),
            Control("1e-10 off", {"predict": lambda s: replace(predict(s), ntk=predict(s).ntk * (1 + 1e-10))}),
        ),
    ),
)  # fmt: skip

POINTS = np.array([[0.9, -0.3, 0.4], [0.9, -0.3, 0.4 + 1e-9], [-0.6, 1.1, 0.2]])
EXAMPLE = KernelSetting(POINTS[:2], POINTS, "relu", (1.4, 1.2, 1.3), (0.2, 0.2, 0.2))
RESULT = Result(GAP_PROPAGATION, predict, EXAMPLE, CHECKS, uses=(ntk.RESULT, *duals.RESULTS), derivation=DERIVATION)
RESULTS = (RESULT,)
