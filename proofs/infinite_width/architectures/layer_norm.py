"""Layer normalisation of a wide layer divides K and T by sqrt((K(x,x) + e)(K(y,y) + e))."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Comparison, LimitWithRate
from ....numerics.store import Rows
from ....theory.architectures import Activate, Dense, LayerNorm
from ....theory.axioms import PROKHOROV, STRONG_LAW
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.architectures import LAYER_NORM
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from . import block_algebra, dense_checks
from .convolution import compare_ladder
from .dense_checks import HALF_ULP, NetworkPrediction, mutant, off, predict, wrongly
from .finite_dense import dense_networks
from .setting import NetworkSetting

DERIVATION = (
    Uses(nngp.RESULT, "pre-activations of a wide layer: independent units N(0, K)"),
    Axiom(STRONG_LAW, "mean and variance over the units converge to 0 and K(x,x)"),
    Axiom(PROKHOROV, "so the normalised units converge to Gaussians with covariance K/sqrt((K(x,x) + e)(K(y,y) + e))"),
    Algebra("the derivative is (delta_ij - 1/n - y_i y_j/n)/sqrt(variance + e): the last two terms have squares that sum to order 1/n", block_algebra.layer_norm_derivative),
    Uses(ntk.RESULT, "the tangent kernel passes through the first term alone"),
    Algebra("the gap is divided by the same root; the difference of the norms does not cancel", block_algebra.layer_norm_gap),
)  # fmt: skip


def sample(rng: np.random.Generator) -> NetworkSetting:
    """Normalised once or twice, before ReLU, erf or GELU; epsilon 0 or not."""
    activation = ("relu", "erf", "gelu")[rng.integers(3)]
    bias, epsilon = rng.choice([0.0, 0.1, 1.0]), float(rng.choice([0.0, 1e-3, 0.5]))

    def dense() -> Dense:
        return Dense(float(rng.uniform(0.5, 1.5)), float(bias * rng.uniform(0.5, 1)))

    block = (LayerNorm(epsilon), Activate(activation), dense())  # type: ignore[arg-type]
    return NetworkSetting(dense_checks.pair(rng), (dense(), *block, *(block if rng.integers(2) else ())))


FORMULA = dense_checks.formula(sample)


def scaled(s: NetworkSetting, p: NetworkPrediction, rows: Rows) -> Comparison:
    """Each input multiplied by a number of its own."""
    factors = np.linspace(0.03, 50.0, len(s.x))[:, None]
    moved = predict(replace(s, x=factors * s.x))
    scales = [np.sqrt(np.outer(np.diag(k), np.diag(k))) for k in (p.nngp, p.ntk)]
    bound = 24 * len(s.layers) * HALF_ULP
    return Comparison(
        np.stack([moved.nngp, moved.ntk]), np.stack([p.nngp, p.ntk]), bound * np.stack(scales), np.stack(scales)
    )


def scaled_with(s: NetworkSetting, p: NetworkPrediction, rows: Rows, *, layers: tuple[Any, ...]) -> Comparison:
    s = replace(s, layers=layers)
    return scaled(s, predict(s), rows)


LADDER = NetworkSetting(dense_checks.POINTS, (Dense(1.6, 0.3), LayerNorm(0.25), Activate("erf"), Dense(1.2, 0.2)))
BIAS_FREE = NetworkSetting(
    dense_checks.POINTS, (Dense(1.6), LayerNorm(), Activate("relu"), Dense(1.3, 0.4), LayerNorm(), Activate("erf"), Dense(1.0))
)  # fmt: skip
CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(
            Control("tangent kernel not normalised", mutant(FORMULA, "tangent kernel not normalised")),
            Control("root forgotten", mutant(FORMULA, "root forgotten")),
            Control("epsilon forgotten", mutant(FORMULA, "epsilon forgotten")),
            Control("epsilon outside the root", mutant(FORMULA, "epsilon outside the root")),
            Control("1e-11 off", off(FORMULA)),
        ),
    ),
    Check(
        "finite layers: the mean tangent kernel tends to T, the mean square deviation like 1/n",
        LimitWithRate(rate=(-1.3, -0.7)),
        settings=ByBudget(quick=(LADDER,)),
        experiment=dense_networks,
        plan=ByBudget(quick=tuple({"width": n, "members": 4000} for n in (16, 32, 64, 128, 256))),
        compare=compare_ladder,
        controls=(
            Control("tangent kernel not normalised", wrongly("tangent kernel not normalised")),
            Control("root forgotten", wrongly("root forgotten")),
            Control("epsilon forgotten", wrongly("epsilon forgotten")),
            Control("mean square deviation like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
    Check(
        "without bias and epsilon the size of an input does not matter",
        Agreement("rounding"),
        settings=ByBudget(quick=(BIAS_FREE,)),
        compare=scaled,
        controls=(
            Control("with a bias", {"compare": partial(scaled_with, layers=(Dense(1.6, 0.3), *BIAS_FREE.layers[1:]))}),
            Control("with an epsilon", {"compare": partial(scaled_with, layers=(Dense(1.6), LayerNorm(1e-6), *BIAS_FREE.layers[2:]))}),
            Control("without normalisation", {"compare": partial(scaled_with, layers=(Dense(1.6), *BIAS_FREE.layers[2:]))}),
        ),
    ),
)  # fmt: skip

RESULT = Result(LAYER_NORM, predict, LADDER, CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION)
RESULTS = (RESULT,)
