"""The published table, from the standard budget on: heads, widths to 2048 (16384 at full), depth, another activation, a convolution."""

from __future__ import annotations

from functools import partial

import numpy as np

from ....numerics.claims import LimitWithRate, Ordering
from ....numerics.kernels.architectures.pooling import convolutional_kernels
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.gram import GramBlocks, kernel_blocks
from ...result import ByBudget, Check, Control
from .compare import LimitPrediction, compare_decay, compare_heads, compare_widths, no_difference, turned
from .experiments import distil_convolutions, distil_heads
from .image_setting import ImageSetting
from .instances import FIVE, RECTIFIED, SIGNALS, TWO_LAYERS
from .plans import FOURFOLD, ladder_plan, spread

BAND = LimitWithRate(rate=(-1.2, -0.6))
SETTINGS = ByBudget(quick=(), standard=(FIVE,))
OTHERS = ByBudget(
    quick=(),
    standard=spread(((32, 1000), (64, 1000), (128, 1000), (256, 1000), (512, 500)), 500, heads=4),
    full=spread(((256, 8000), (512, 4000), (1024, 2000), (2048, 1000), (4096, 500)), 250, heads=4),
)
NARROW = ByBudget(quick=tuple({"width": n, "members": 800, "heads": 1} for n in (16, 32, 64)))


def image_blocks(s: ImageSetting) -> tuple[GramBlocks, GramBlocks]:
    """Infinite-width K and T over (test, train)."""
    joint = convolutional_kernels(
        np.concatenate([s.test, s.train]),
        depth=1,
        filter_size=s.filter_size,
        padding="circular",
        readout="average",
        activation=s.activation,
        weight_scale=s.weight_scale,
        bias_scale=s.bias_scale,
    )
    return kernel_blocks(joint, tests=len(s.test))


def image_limit(s: ImageSetting) -> LimitPrediction:
    return LimitPrediction(np.diag(ensemble_covariance(*image_blocks(s))).copy())


def _decay(heads: int) -> Check:
    compare = partial(compare_decay, heads=heads)
    return Check(
        f"heads: {heads}, the correction lowers the variance here, at every width less",
        Ordering(),
        settings=SETTINGS,
        experiment=distil_heads,
        plan=FOURFOLD,
        compare=compare,
        controls=(Control("the other way", {"compare": turned(compare)}), no_difference(compare)),
    )


def _penalty(width: int, plan: ByBudget) -> Check:
    compare = partial(compare_heads, width=width)
    return Check(
        f"the penalty for heads at width {width}",
        Ordering(),
        settings=SETTINGS,
        experiment=distil_heads,
        plan=plan,
        compare=compare,
        controls=(Control("it shrinks with them", {"compare": turned(compare)}), no_difference(compare)),
    )


def checks(ladder_controls: tuple[Control, ...]) -> tuple[Check, ...]:
    """The checks that no quick run begins."""
    standard_rate = {"experiment": partial(distil_heads, parametrisation="standard"), "plan": NARROW}
    other = Control("standard parametrisation with one rate", standard_rate)
    ladders = [
        ("1 head", LimitWithRate(rate=(-1.2, -0.6), top=5), SETTINGS, ladder_plan(1), (*ladder_controls, other)),
        ("4 heads, two hidden layers", BAND, ByBudget(quick=(), standard=(TWO_LAYERS,)), OTHERS, ladder_controls),
        ("4 heads, max(z,0)", BAND, ByBudget(quick=(), standard=(RECTIFIED,)), OTHERS, ladder_controls),
    ]
    plain = [
        Check(
            name,
            claim,
            settings=settings,
            experiment=distil_heads,
            plan=plan,
            compare=compare_widths,
            controls=controls,
        )
        for name, claim, settings, plan, controls in ladders
    ]
    convolution = Check(
        "4 heads, one convolution",
        BAND,
        settings=ByBudget(quick=(), standard=(SIGNALS,)),
        predict=image_limit,
        experiment=distil_convolutions,
        plan=OTHERS,
        compare=compare_widths,
        controls=ladder_controls,
    )
    return (*plain, convolution, *(_decay(k) for k in (1, 4, 16)), _penalty(32, FOURFOLD), _penalty(128, FOURFOLD))
