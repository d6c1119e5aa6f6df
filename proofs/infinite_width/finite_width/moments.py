"""Second moments of finite ReLU networks without biases: Var T_0(x,x) = 3 T^2/n, and E K_0(x,x)^2 = prod (1 + 5/n_l) K^2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.intervals import multiplier
from ....numerics.kernels.fully_connected import fully_connected_kernels
from ....numerics.networks.width_moments import kernel_moment_ratio, tangent_kernel_variance
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, INDEPENDENCE, LINEARITY, TOTAL_VARIANCE, TOWER
from ....theory.balls.context import to_ball
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.finite_width import FW_KAPPA_VARIANCE, FW_RELU_VARIANCE
from ....theory.validation import finite
from ...result import ByBudget, Check, Control, Result, Run
from ..finite_networks import initial_kernels, readout_shares
from ..settings import KernelSetting
from . import mask_moments
from .unbiased import UNBIASED

UNIT = 2.0**-53
Cases = Iterator[tuple[str, Fraction, str, Fraction]]


@dataclass(frozen=True, eq=False)
class WidthSetting:
    """One input x (d,), weight scales with the readout last, no biases, and the width n of every hidden layer."""

    x: Float[np.ndarray, " features"]
    weight_scale: tuple[float, ...]
    width: int

    def __post_init__(self) -> None:
        finite("x", self.x, ndim=1)
        if len(self.weight_scale) < 2 or self.width < 1:
            raise InvalidInput(f"There are {len(self.weight_scale)} weight scales and width {self.width}.")

    @property
    def kernel_setting(self) -> KernelSetting:
        return KernelSetting(self.x[None], self.x[None], "relu", self.weight_scale, (0.0,) * len(self.weight_scale))

    @property
    def depth(self) -> int:
        return len(self.weight_scale) - 1


@dataclass(frozen=True)
class MomentPrediction:
    """Mean and variance of the kernel at x; the mean is that of infinite width."""

    mean: float
    variance: float


# --- derivations --------------------------------------------------------------------------------------------------

VARIANCE_DERIVATION = (
    Uses(UNBIASED, "T_0 = sw^2/n sum_j t_j, t_j = max(z_j,0)^2 + w_j^2 1[z_j>0] q, over independent units, with mean T"),
    Algebra("moments of a half Gaussian", mask_moments.gaussian_moments),
    Axiom(INDEPENDENCE, "the mask is independent of z^2, and w of both"),
    Algebra("so t has mean q and second moment 4 q^2", mask_moments.unit_of_the_tangent_kernel),
    Enumeration("the same by masks, for n = 1..6 units", mask_moments.masks_of_the_tangent_kernel),
)  # fmt: skip

KAPPA_DERIVATION = (
    Axiom(CONDITIONING, "given K_0 = q of the layer below, the pre-activations of the next are independent N(0, q)"),
    Algebra("moments of a half Gaussian", mask_moments.gaussian_moments),
    Algebra("the next K_0 has second moment (1 + 5/n) times its squared mean, sw^2 q/2", mask_moments.layer_of_the_kernel),
    Axiom(TOWER, "q enters as a factor of its square, so the ratios of the layers multiply"),
    Enumeration("the same by masks, two layers of 1 to 3 units", mask_moments.masks_of_the_kernel),
    Axiom(TOTAL_VARIANCE, "two heads are independent given K_0"),
    Algebra("so the covariance of their squares is the variance of K_0", mask_moments.two_heads),
    Axiom(LINEARITY, "and ln(1 + 5/n) <= 5/n bounds the product by exp(5 sum 1/n_l)"),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def _kernel(s: WidthSetting, name: str) -> float:
    k = s.kernel_setting
    return float(getattr(fully_connected_kernels(k.x, k.y, **k.architecture), name)[0, 0])


def predict_tangent(s: WidthSetting) -> MomentPrediction:
    """One hidden layer."""
    if s.depth != 1:
        raise InvalidInput(f"There are {s.depth} hidden layers.", "3/n is the variance for one.")
    mean = _kernel(s, "ntk")
    return MomentPrediction(mean, tangent_kernel_variance(tangent_kernel=mean, width=s.width))


def predict_kernel(s: WidthSetting) -> MomentPrediction:
    mean = _kernel(s, "nngp")
    return MomentPrediction(mean, (kernel_moment_ratio(widths=[s.width] * s.depth) - 1) * mean**2)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator, *, depth: int = 0) -> WidthSetting:
    layers = depth + 1 if depth else int(rng.integers(2, 7))
    return WidthSetting(rng.normal(size=3), tuple(rng.uniform(0.5, 2, layers).tolist()), int(10 ** rng.uniform(0, 4)))


def _rational_kernel(s: WidthSetting) -> Fraction:
    """K(x,x) = sw_1^2 |x|^2/d prod sw^2/2."""
    squares = sum((Fraction(value) ** 2 for value in s.x.tolist()), Fraction(0)) / len(s.x)
    return (
        Fraction(s.weight_scale[0]) ** 2
        * squares
        * prod((Fraction(w) ** 2 / 2 for w in s.weight_scale[1:]), start=Fraction(1))
    )


def exact_tangent(s: WidthSetting) -> list[arb]:
    t = 2 * _rational_kernel(s)
    return [to_ball(t), to_ball(3 * t**2 / s.width)]


def exact_kernel(s: WidthSetting) -> list[arb]:
    k = _rational_kernel(s)
    return [to_ball(k), to_ball(((1 + Fraction(5, s.width)) ** s.depth - 1) * k**2)]


def flatten(p: MomentPrediction) -> np.ndarray:
    return np.array([p.mean, p.variance])


TANGENT = Formula(
    expression=exact_tangent,
    shipped=lambda s: flatten(predict_tangent(s)),
    read=flatten,
    sample=partial(sample, depth=1),
    width=lambda s: np.array([26.0, 60.0]) * UNIT,  # at most eight roundings a layer and those of |x|^2, then squared
    count=60,
)
KERNEL = Formula(
    expression=exact_kernel,
    shipped=lambda s: flatten(predict_kernel(s)),
    read=flatten,
    sample=sample,
    # the product less 1 loses what 5 H/n is short of 1
    width=lambda s: np.array([8.0 * s.depth + 18, 16.0 * s.depth + 40 + 4 * s.depth * (1 + s.width / 5)]) * UNIT,
    count=60,
)


def _mutant(formula: Formula, change: Any) -> dict[str, Any]:
    def wrong(s: WidthSetting) -> np.ndarray:
        mean, variance = formula.shipped(s)
        return np.array([mean, change(mean, variance, s)])

    return {"claim": replace(formula, shipped=wrong)}


def kernels_at_x(setting: WidthSetting, run: Run, *, trained: str, layers: int = 0) -> Mapping[str, Any]:
    """The kernel at x of each network, not averaged; `layers` more hidden layers (with sw^2 = 2) for a control."""
    scales = (*setting.weight_scale[:1], *(float(np.sqrt(2)),) * layers, *setting.weight_scale[1:])
    block = {"width": setting.width, **run.block}
    experiment = readout_shares if trained == "readout" else initial_kernels
    return experiment(replace(setting, weight_scale=scales).kernel_setting, replace(run, block=block))


tangent_kernels = partial(kernels_at_x, trained="all")
deeper_tangent_kernels = partial(kernels_at_x, trained="all", layers=1)
readout_kernels = partial(kernels_at_x, trained="readout")


def compare_variance(s: WidthSetting, p: MomentPrediction, rows: Rows) -> Comparison:
    """Mean square deviation from the exact mean over the squared mean: its standard error is that of independent terms."""
    terms = (rows["0,0"] / p.mean - 1) ** 2
    bound = multiplier(1, degrees=len(terms) - 1) * terms.std(ddof=1) / np.sqrt(len(terms))
    predicted = p.variance / p.mean**2
    return Comparison(np.array([terms.mean()]), np.array([predicted]), np.array([bound]), 1 + predicted)


ONE_LAYER = ByBudget(quick=tuple(WidthSetting(np.array([0.9, -0.3, 0.4]), (1.5, 1.2), n) for n in (1, 5)))
TWO_LAYERS = ByBudget(quick=tuple(WidthSetting(np.array([0.9, -0.3, 0.4]), (1.5, 1.4, 1.2), n) for n in (5, 8)))
PLAN = ByBudget(quick=({"members": 360_000},), standard=({"members": 4_000_000},))


def _times(predict: Any, factor: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), variance=factor(predict(s), s))}


VARIANCE = Result(
    FW_RELU_VARIANCE,
    predict_tangent,
    ONE_LAYER.quick[1],
    (
        Check(
            "shipped variance",
            TANGENT,
            controls=(
                Control("2/n", _mutant(TANGENT, lambda m, v, s: v * 2 / 3)),
                Control("n - 1 for n", _mutant(TANGENT, lambda m, v, s: v * s.width / max(s.width - 1, 0.5))),
                Control("T for T^2", _mutant(TANGENT, lambda m, v, s: v / m)),
                Control("the kernel of the readout", _mutant(TANGENT, lambda m, v, s: v / 4)),
            ),
        ),
        Check(
            "networks of 1 and 5 units",
            Agreement("Monte Carlo", relative=0.05),
            settings=ONE_LAYER,
            experiment=tangent_kernels,
            plan=PLAN,
            compare=compare_variance,
            controls=(
                Control("2/n", _times(predict_tangent, lambda p, s: 2 * p.mean**2 / s.width)),
                Control("5/n", _times(predict_tangent, lambda p, s: 5 * p.mean**2 / s.width)),
                Control("two hidden layers", {"experiment": deeper_tangent_kernels, "predict": lambda s: replace(predict_tangent(s), mean=1.5 * _kernel(s, "ntk"), variance=1.5**2 * predict_tangent(s).variance)}),
            ),
        ),
    ),
    uses=(UNBIASED,),
    derivation=VARIANCE_DERIVATION,
)  # fmt: skip

KAPPA = Result(
    FW_KAPPA_VARIANCE,
    predict_kernel,
    TWO_LAYERS.quick[0],
    (
        Check(
            "shipped moment",
            KERNEL,
            controls=(
                Control("1 + 3/n", _mutant(KERNEL, lambda m, v, s: ((1 + 3 / s.width) ** s.depth - 1) * m**2)),
                Control("5 H/n", _mutant(KERNEL, lambda m, v, s: 5 * s.depth / s.width * m**2)),
                Control("exp(5 H/n)", _mutant(KERNEL, lambda m, v, s: np.expm1(5 * s.depth / s.width) * m**2)),
                Control("one layer more", _mutant(KERNEL, lambda m, v, s: ((1 + 5 / s.width) ** (s.depth + 1) - 1) * m**2)),
                Control("second moment for the variance", _mutant(KERNEL, lambda m, v, s: v + m**2)),
            ),
        ),
        Check(
            "two hidden layers of 5 and 8 units",
            Agreement("Monte Carlo", relative=0.06),
            settings=TWO_LAYERS,
            experiment=readout_kernels,
            plan=PLAN,
            compare=compare_variance,
            controls=(
                Control("1 + 3/n", _times(predict_kernel, lambda p, s: ((1 + 3 / s.width) ** s.depth - 1) * p.mean**2)),
                Control("exp(5 H/n)", _times(predict_kernel, lambda p, s: float(np.expm1(5 * s.depth / s.width)) * p.mean**2)),
                Control("one layer less", _times(predict_kernel, lambda p, s: 5 / s.width * p.mean**2)),
            ),
        ),
    ),
    derivation=KAPPA_DERIVATION,
)  # fmt: skip

RESULTS = (VARIANCE, KAPPA)
