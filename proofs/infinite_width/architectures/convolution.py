"""Kernels of wide convolutional networks: K'_ij = sb^2 + (sw^2/q) sum_o V_{i+o,j+o}, flattened before the readout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.intervals import multiplier
from ....numerics.kernels.architectures.convolution import all_norms
from ....numerics.kernels.architectures.images import checked_problem
from ....numerics.kernels.architectures.pooling import convolutional_kernels
from ....numerics.store import Rows
from ....theory.activations import ABRelu
from ....theory.axioms import CONDITIONING, GAUSSIAN_AFFINE, INDEPENDENCE, LEVY, LINEARITY, PROKHOROV, STRONG_LAW
from ....theory.balls.convolutional import convolutional_pair
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.architectures import CONVOLUTION
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from . import convolution_algebra
from .finite_convolutions import convolutional_networks, grams
from .naive_convolution import naive_kernels
from .setting import ConvolutionalSetting

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class ConvolutionalPrediction:
    """Covariance of the outputs and tangent kernel on the images, (n, n)."""

    nngp: Float[np.ndarray, "n n"]
    ntk: Float[np.ndarray, "n n"]


# --- derivation ---------------------------------------------------------------------------------------------------

LIMITS = (
    Axiom(GAUSSIAN_AFFINE, "and they are jointly Gaussian over all positions and images, being linear in fresh weights"),
    Axiom(CONDITIONING, "channels of a layer are independent given the layer below, whose number of channels has gone to infinity"),
    Axiom(STRONG_LAW, "so the average over channels converges to V of the covariance at each pair of positions"),
    Axiom(PROKHOROV, "the conditional characteristic function is a bounded continuous function of it"),
    Axiom(LEVY, "so the next layer converges in law to a Gaussian process with covariance K'"),
)  # fmt: skip
DERIVATION = (
    Algebra("given the layer below, z_i(x) and z_j(y) have covariance sb^2 + sw^2/(qC) sum_o sum_c phi_{c,i+o} phi_{c,j+o}; at a border of zeros with fewer terms", convolution_algebra.convolution_covariance),
    *LIMITS,
    Uses(nngp.RESULT, "closed forms of V, and the argument for dense layers"),
    Algebra("chain rule: a layer's weights add the same sum of phi phi', those below sum_o phi' phi' T in the mean over its weights", convolution_algebra.convolution_chain_rule),
    Axiom(INDEPENDENCE, "E w_o w_p = 0 for different offsets or channels: they leave no cross terms"),
    Axiom(LINEARITY, "tangent kernels between different channels below tend to 0, by induction"),
    Uses(ntk.RESULT, "closed forms of Vd, and the argument for dense layers"),
    Algebra("flattened readout: each position has its own weight, so only equal positions remain", convolution_algebra.readouts),
    Algebra("the gap of a convolution is the average gap plus the gap of the norms", convolution_algebra.gap_of_norms),
    Algebra("al min(z,0) + be max(z,0) carries the gap on in half angles", convolution_algebra.rectified_gap),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: ConvolutionalSetting) -> ConvolutionalPrediction:
    found = convolutional_kernels(s.x, **s.architecture)
    return ConvolutionalPrediction(found.nngp, found.ntk)


def flatten(p: ConvolutionalPrediction) -> np.ndarray:
    """K(x,y) and T(x,y) of the first two images."""
    return np.array([p.nngp[0, 1], p.ntk[0, 1]])


# --- checks: the formula ------------------------------------------------------------------------------------------

SMOOTH = ("relu", "erf", "gelu", "sin")  # and those whose angles stay below a right one
BENT = (ABRelu(0.2, 1.1), "abs")  # no balls for exactly parallel features of different norm
SHAPES = ((1, 4, 2, 1, 3), (1, 3, 1, 1, 2), (2, 3, 1, 2, 3), (3, 2, 1, 2, 2), (1, 1, 3, 1, 1))  # ..., channels, filter


def sample(rng: np.random.Generator, readout: str) -> ConvolutionalSetting:
    """Two small images: far apart, nearly equal, equal, brighter, or with a dark corner; up to three convolutions."""
    height, width, channels, rows, columns = SHAPES[rng.integers(len(SHAPES))]
    layers = int(rng.integers(2, 5))
    x = rng.normal(size=(height, width, channels))
    dark = x.copy()
    dark[0, 0] = 0.0
    near = x + 10 ** rng.uniform(-12, 0) * rng.normal(size=x.shape)
    smooth = rng.integers(3) > 0
    others = (near, x, rng.normal(size=x.shape), *((near, 1.3 * x, dark) if smooth else ()))
    y = others[rng.integers(len(others))]
    family = SMOOTH if smooth else BENT
    return ConvolutionalSetting(
        np.stack([x, y]),
        (rows, columns),
        "zero" if rng.integers(2) else "circular",
        readout,  # type: ignore[arg-type]
        family[rng.integers(len(family))],  # type: ignore[arg-type]
        tuple(rng.uniform(0.6, 1.6, layers).tolist()),
        tuple((rng.choice([0.0, 0.1, 1.0]) * rng.uniform(0.5, 1, layers)).tolist()),
    )


def exact(s: ConvolutionalSetting) -> list[arb]:
    return list(
        convolutional_pair(
            s.x[0].tolist(),
            s.x[1].tolist(),
            filter_size=s.filter_size,
            padding=s.padding,
            readout=s.readout,
            activation=s.activation,
            weight_scale=s.weight_scale,
            bias_scale=s.bias_scale,
        )
    )


def width(s: ConvolutionalSetting) -> np.ndarray:
    """24 roundings a layer and one per term of a sum, on the scale sqrt(k(x,x) k(y,y)), times 1 + sqrt(a+b) for what GELU and erf
    lose in their discriminants."""
    problem = checked_problem(s.x, None, **s.architecture)
    total = sum(2 * float(layer.a.max()) for image in all_norms(s.x, problem) for layer in image)
    terms = problem.filter_count * (s.x.shape[-1] + len(s.weight_scale)) + 2 * problem.positions
    roundings = (24 * len(s.weight_scale) + terms) * (1 + np.sqrt(total))
    p = predict(s)
    scales = [np.sqrt(k[0, 0] * k[1, 1]) for k in (p.nngp, p.ntk)]
    values = [abs(k[0, 1]) if k[0, 1] else 1.0 for k in (p.nngp, p.ntk)]
    return roundings * HALF_ULP * np.array(scales) / np.array(values)


def shipped(s: ConvolutionalSetting) -> np.ndarray:
    return flatten(predict(s))


def wrong(s: ConvolutionalSetting, **changes: Any) -> ConvolutionalPrediction:
    return ConvolutionalPrediction(*naive_kernels(s, **changes))


def formula(readout: str) -> Formula:
    return Formula(
        expression=exact,
        shipped=shipped,
        read=flatten,
        sample=partial(sample, readout=readout),
        width=width,
        count=30,
    )


FORMULA = formula("flatten")


def mutant(claim: Formula, function: Callable[[ConvolutionalSetting], np.ndarray]) -> dict[str, Any]:
    return {"claim": replace(claim, shipped=function)}


# --- checks: finite networks --------------------------------------------------------------------------------------

IMAGES = np.array(
    [
        [[0.9, -0.3], [1.2, 0.4], [-0.5, 0.8], [0.3, 0.1]],
        [[0.7, -0.1], [1.0, 0.6], [-0.2, -0.8], [0.5, 0.2]],
        [[-0.6, 1.1], [0.2, -0.9], [0.8, 0.3], [-1.0, 0.4]],
    ]
)[:, None]


def tiny(activation: str, readout: str, layers: int, padding: str = "zero") -> ConvolutionalSetting:
    weights, biases = (1.5, 1.2, 1.3)[:layers], (0.3, 0.4, 0.2)[:layers]
    return ConvolutionalSetting(IMAGES, (1, 3), padding, readout, activation, weights, biases)  # type: ignore[arg-type]


# bright and dark positions side by side, which tell the average of V from V of the average
UNEVEN = ConvolutionalSetting(
    IMAGES * np.array([8.0, 0.2, 4.0, 0.1])[:, None], (1, 2), "zero", "flatten", "erf", (2.0, 2.0, 1.5), (0.0, 0.0, 0.2)
)
MANY = ByBudget(quick=({"width": 8, "members": 40_000, "group": 250},))


def compare_means(s: ConvolutionalSetting, p: ConvolutionalPrediction, rows: Rows) -> Comparison:
    """Means of both empirical kernels."""
    parts: list[list[np.ndarray]] = [[], [], [], []]
    upper = np.triu_indices(len(s.x))
    for name, limit in (("K", p.nngp), ("T", p.ntk)):
        kernels = grams(rows, name, len(s.x))
        mean, error = kernels.mean(axis=0), kernels.std(axis=0, ddof=1) / np.sqrt(len(kernels))
        bound = multiplier(2 * len(upper[0]), degrees=len(kernels) - 1) * error
        scale = np.sqrt(np.outer(*[np.diag(mean)] * 2))
        for part, matrix in zip(parts, (mean, limit, bound, scale), strict=True):
            part.append(matrix[upper])
    return Comparison(*(np.concatenate(part) for part in parts))


def compare_ladder(s: ConvolutionalSetting, p: ConvolutionalPrediction, rows: Rows) -> Ladder:
    """Mean over entries of (T_n - T)/scale, and as the correction the mean of its square."""
    scale = np.sqrt(np.outer(*[np.diag(p.ntk)] * 2))
    deviation = (grams(rows, "T", len(s.x)) - p.ntk) / scale
    return nngp.ladder(rows["width"], deviation.mean(axis=(1, 2)), (deviation**2).mean(axis=(1, 2)))


def by_variant(**changes: Any) -> dict[str, Any]:
    """Predictions by a wrong recursion."""
    return {"predict": partial(wrong, **changes)}


def other_readout(s: ConvolutionalSetting) -> ConvolutionalPrediction:
    return predict(replace(s, readout="average" if s.readout == "flatten" else "flatten"))


def other_padding(s: ConvolutionalSetting) -> ConvolutionalPrediction:
    return predict(replace(s, padding="zero" if s.padding == "circular" else "circular"))


WRONG = (
    Control("1/q missing", by_variant(filter_mean=False)),
    Control("zero padding renormalised", by_variant(renormalised=True)),
    Control("x shifted alone", by_variant(aligned=False)),
)
LADDER = ByBudget(
    quick=tuple({"width": n, "members": r} for n, r in ((4, 4000), (8, 4000), (16, 2000), (32, 1000))),
    standard=tuple({"width": n, "members": r} for n, r in ((4, 32_000), (8, 32_000), (16, 16_000), (32, 8000), (64, 4000))),
)  # fmt: skip

CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(
            Control("1/q missing", mutant(FORMULA, lambda s: flatten(wrong(s, filter_mean=False)))),
            Control("zero padding renormalised", mutant(FORMULA, lambda s: flatten(wrong(s, renormalised=True)))),
            Control("average inside V", mutant(FORMULA, lambda s: flatten(wrong(s, inside=True)))),
            Control("x shifted alone", mutant(FORMULA, lambda s: flatten(wrong(s, aligned=False)))),
            Control("all pairs of positions", mutant(FORMULA, lambda s: flatten(other_readout(s)))),
            Control("the other padding", mutant(FORMULA, lambda s: flatten(other_padding(s)))),
            Control("1e-11 off", mutant(FORMULA, lambda s: (1 + 1e-11) * shipped(s))),
        ),
    ),
    Check(
        "one convolution with 8 channels: the mean kernels are K and T",
        Agreement("Monte Carlo", relative=2e-2),
        settings=ByBudget(quick=(tiny("relu", "flatten", 2), tiny("erf", "flatten", 2))),
        experiment=convolutional_networks,
        plan=MANY,
        compare=compare_means,
        controls=(
            *WRONG,
            Control("all pairs of positions", {"predict": other_readout}),
            Control("the other padding", {"predict": other_padding}),
        ),
    ),
    Check(
        "two convolutions: the mean tangent kernel tends to T, the mean square deviation like 1/n",
        LimitWithRate(rate=(-1.3, -0.7)),
        settings=ByBudget(quick=(UNEVEN,)),
        experiment=convolutional_networks,
        plan=LADDER,
        compare=compare_ladder,
        controls=(
            *(control for control in WRONG if control.name != "zero padding renormalised"),  # the border is dark here
            Control("average inside V", by_variant(inside=True)),
            Control("derivative factor after the sum", by_variant(layer_above=True)),
            Control("mean square deviation like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)

RESULT = Result(
    CONVOLUTION, predict, tiny("erf", "flatten", 3), CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION
)
RESULTS = (RESULT,)
