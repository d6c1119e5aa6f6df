"""Global average pooling: K = sb^2 + (sw^2/P^2) sum_ij V_ij over all pairs of positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Comparison
from ....numerics.store import Rows
from ....theory.derivation import Algebra, Uses
from ....theory.statements.infinite_width.architectures import POOLING
from ...result import ByBudget, Check, Control, Result
from . import convolution, convolution_algebra
from .convolution import MANY, WRONG, by_variant, flatten, mutant, tiny, wrong
from .finite_convolutions import convolutional_networks
from .setting import ConvolutionalSetting

DERIVATION = (
    Uses(convolution.RESULT, "kernels of the last convolution at each pair of positions"),
    Algebra("one weight per channel reads the average: sw^2/P^2 sum_ij V_ij", convolution_algebra.readouts),
    Algebra("weights below the average add sw^2/P^2 sum_ij Vd T_ij", convolution_algebra.pooled_chain_rule),
)

predict = convolution.predict
FORMULA = convolution.formula("average")


def shifted(s: ConvolutionalSetting) -> ConvolutionalSetting:
    """Image k moved cyclically by k rows and 2k + 1 columns."""
    return replace(s, x=np.stack([np.roll(image, (k, 2 * k + 1), axis=(0, 1)) for k, image in enumerate(s.x)]))


def compare_shifts(s: ConvolutionalSetting, p: convolution.ConvolutionalPrediction, rows: Rows) -> Comparison:
    """Kernels of images that were shifted, each by its own offset: the same sums in another order."""
    moved = predict(shifted(s))
    bound = (24 * len(s.weight_scale) + 2 * s.x[0].size) * convolution.HALF_ULP
    parts = [(moved.nngp, p.nngp), (moved.ntk, p.ntk)]
    scales = [np.sqrt(np.outer(*[np.diag(k)] * 2)) for _, k in parts]
    return Comparison(
        np.stack([a for a, _ in parts]), np.stack([b for _, b in parts]), bound * np.stack(scales), np.stack(scales)
    )  # fmt: skip


def flattened(s: ConvolutionalSetting) -> Any:
    return predict(replace(s, readout="flatten"))


RNG = np.random.default_rng(5)
CIRCULAR = tuple(
    ConvolutionalSetting(RNG.normal(size=(4, 4, 5, 2)), (3, 3), "circular", "average", activation, (1.4,) * 3, (0.2,) * 3)
    for activation in ("relu", "gelu")
)  # fmt: skip


def _zero_padding(s: ConvolutionalSetting, p: Any, rows: Rows) -> Comparison:
    s = replace(s, padding="zero")
    return compare_shifts(s, predict(s), rows)


def _flat(s: ConvolutionalSetting, p: Any, rows: Rows) -> Comparison:
    s = replace(s, readout="flatten")
    return compare_shifts(s, predict(s), rows)


CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(
            Control("1/P for 1/P^2", mutant(FORMULA, lambda s: flatten(wrong(s, position_power=1)))),
            Control("equal positions only", mutant(FORMULA, lambda s: flatten(flattened(s)))),
            Control("1/q missing", mutant(FORMULA, lambda s: flatten(wrong(s, filter_mean=False)))),
            Control("zero padding renormalised", mutant(FORMULA, lambda s: flatten(wrong(s, renormalised=True)))),
            Control("average inside V", mutant(FORMULA, lambda s: flatten(wrong(s, inside=True)))),
            Control("1e-11 off", mutant(FORMULA, lambda s: (1 + 1e-11) * convolution.shipped(s))),
        ),
    ),
    Check(
        "one convolution with 8 channels, averaged: the mean kernels are K and T",
        Agreement("Monte Carlo", relative=2e-2),
        settings=ByBudget(quick=(tiny("relu", "average", 2, "circular"), tiny("erf", "average", 2))),
        experiment=convolutional_networks,
        plan=MANY,
        compare=convolution.compare_means,
        controls=(
            *WRONG,
            Control("1/P for 1/P^2", by_variant(position_power=1)),
            Control("equal positions only", {"predict": flattened}),
        ),
    ),
    Check(
        "circular padding: each image may be shifted by its own offset",
        Agreement("rounding"),
        settings=ByBudget(quick=CIRCULAR),
        compare=compare_shifts,
        controls=(
            Control("with a border of zeros", {"compare": _zero_padding}),
            Control("with a flattened readout", {"compare": _flat}),
        ),
    ),
)

EXAMPLE = tiny("relu", "average", 3)
RESULT = Result(POOLING, predict, EXAMPLE, CHECKS, uses=(convolution.RESULT,), derivation=DERIVATION)
RESULTS = (RESULT,)
