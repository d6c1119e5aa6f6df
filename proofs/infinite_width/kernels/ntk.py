"""The tangent kernel of a wide network at initialisation: T' = K' + sw^2 Vd(K) T."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula, Ladder, LimitWithRate
from ....numerics.kernels.duals.table import dual_activation
from ....numerics.kernels.fully_connected import fully_connected_kernels, ntk_kernel
from ....numerics.kernels.pairs import affine, input_state
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, INDEPENDENCE, LINEARITY, STRONG_LAW
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.kernels import NTK_RECURSION
from ...result import ByBudget, Check, Control, Result, Run
from ..finite_networks import gram, initial_kernels
from ..settings import KernelSetting
from . import dual_algebra, nngp


@dataclass(frozen=True)
class NTKPrediction:
    """Tangent kernel between x and y, (n, m)."""

    kernel: Float[np.ndarray, "n m"]


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Algebra(
        "chain rule: readout weights and bias add sw^2/n sum_j phi_j phi_j' + sb^2, the layers below "
        "sw^2/n sum_j w_j^2 phi'_j phi'_j' T_jj (cross terms of distinct units vanish where they share no parameter)",
        dual_algebra.chain_rule,
    ),
    Uses(nngp.RESULT, "the first share converges to K', and the pre-activations to N(0, K)"),
    Axiom(
        LINEARITY, "T_jk between units j, k of the layer below tends to T for j = k and to 0 otherwise, by induction"
    ),
    Axiom(INDEPENDENCE, "the weights w_j are independent of the layers below and E w_j w_k = 1 for j = k, 0 otherwise"),
    Axiom(CONDITIONING, "the terms are independent given the layer below, whose width has gone to infinity before"),
    Axiom(
        STRONG_LAW, "so the second share converges to sw^2 E[phi'(u) phi'(v)] T, at the covariance of the layer below"
    ),
    Algebra("Vd of max(z,0)", dual_algebra.relu_dual),
    Algebra("Vd of erf", dual_algebra.erf_dual, (("s", 4, 5), ("c", -1, 1))),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KernelSetting) -> NTKPrediction:
    return NTKPrediction(ntk_kernel(s.x, s.y, **s.architecture))


# --- wrong variants -----------------------------------------------------------------------------------------------


def wrong_recursion(
    s: KernelSetting, *, layer_above: bool = False, unscaled: bool = False, frozen: bool = False
) -> np.ndarray:
    """The recursion with the derivative factor at the layer above, without its sw^2, or with a frozen readout bias."""
    state = input_state(s.x, s.y, s.weight_scale[0], s.bias_scale[0])
    ntk = state.nngp
    for weight, bias in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        below = dual_activation(s.activation, state)
        state = affine(below, weight, bias)
        derivative = dual_activation(s.activation, state).derivative if layer_above else below.derivative
        assert derivative is not None
        ntk = state.nngp + (1.0 if unscaled else weight**2) * derivative * ntk
    return ntk - s.bias_scale[-1] ** 2 if frozen else ntk


def naive(s: KernelSetting) -> np.ndarray:
    """The textbook code: cosine, arccosine and square root of ab - c^2 in float64 (ReLU; others are left as shipped)."""
    if s.activation != "relu":
        return ntk_kernel(s.x, s.y, **s.architecture)
    w, b = s.weight_scale[0], s.bias_scale[0]
    xx, yy, xy = (w**2 * np.sum(p * q, axis=1) / s.x.shape[1] + b**2 for p, q in ((s.x, s.x), (s.y, s.y), (s.x, s.y)))
    ntk = xy
    for w, b in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        norm = np.sqrt(xx * yy)
        cosine = np.clip(np.divide(xy, norm, out=np.ones_like(xy), where=norm > 0), -1, 1)
        angle = np.arccos(cosine)
        xy = w**2 * norm * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine) / (2 * np.pi) + b**2
        ntk = xy + w**2 * (np.pi - angle) / (2 * np.pi) * ntk
        xx, yy = w**2 * xx / 2 + b**2, w**2 * yy / 2 + b**2
    return ntk


def _no_readout_bias(s: KernelSetting) -> np.ndarray:
    return ntk_kernel(s.x, s.y, **(s.architecture | {"bias_scale": (*s.bias_scale[:-1], 0.0)}))


def _readout_only(s: KernelSetting) -> np.ndarray:
    return fully_connected_kernels(s.x, s.y, **s.architecture).nngp


def _by(function: Any, **options: Any) -> dict[str, Any]:
    return {"predict": lambda s: NTKPrediction(function(s, **options))}


# --- checks -------------------------------------------------------------------------------------------------------

FORMULA = Formula(
    expression=lambda s: nngp.exact_pair(s).ntk,
    shipped=lambda s: ntk_kernel(s.x, s.y, **s.architecture),
    read=lambda p: p.kernel,
    sample=nngp.sample_pair,
    width=lambda s: nngp.rounding_width(s, "ntk"),
    count=80,
)


def _mutant(function: Any, **options: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: function(s, **options))}


def compare_one_hidden(s: KernelSetting, p: NTKPrediction, rows: Rows) -> Comparison:
    return nngp.compare_one_hidden(s, nngp.NNGPPrediction(p.kernel), rows)


def compare_two_hidden(s: KernelSetting, p: NTKPrediction, rows: Rows) -> Ladder:
    """Mean over entries of (T_n - T)/scale, and as the correction the mean of its square: it is of order 1/n too."""
    scale = np.sqrt(np.outer(*[np.diag(p.kernel)] * 2))
    deviation = (gram(rows, len(s.x)) - p.kernel) / scale
    return nngp.ladder(rows["width"], deviation.mean(axis=(1, 2)), (deviation**2).mean(axis=(1, 2)))


def standard_kernels(setting: KernelSetting, run: Run) -> Any:
    """The same networks in the standard parametrisation."""
    return initial_kernels(setting, run, parametrisation="standard")


CHECKS = (
    Check(
        "shipped kernel",
        FORMULA,
        controls=(
            Control("readout bias forgotten", _mutant(_no_readout_bias)),
            Control("readout bias frozen", _mutant(wrong_recursion, frozen=True)),
            Control("derivative factor of the layer above", _mutant(wrong_recursion, layer_above=True)),
            Control("sw^2 missing in the second share", _mutant(wrong_recursion, unscaled=True)),
            Control("readout trained alone", _mutant(_readout_only)),
            Control("arccosine of the rounded cosine", _mutant(naive)),
            Control("1e-12 off", _mutant(lambda s: (1 + 1e-12) * ntk_kernel(s.x, s.y, **s.architecture))),
        ),
    ),
    Check(
        "one hidden layer of 16 units: E T_n is T",
        Agreement("Monte Carlo", relative=5e-3),
        settings=ByBudget(quick=nngp.ONE_HIDDEN),
        experiment=initial_kernels,
        plan=nngp.MANY,
        compare=compare_one_hidden,
        controls=(
            Control("readout bias frozen", _by(wrong_recursion, frozen=True)),
            Control("derivative factor of the layer above", _by(wrong_recursion, layer_above=True)),
            Control("sw^2 missing in the second share", _by(wrong_recursion, unscaled=True)),
            Control("readout trained alone", _by(_readout_only)),
            Control(
                "standard parametrisation",
                {
                    "experiment": standard_kernels,
                    "plan": ByBudget(quick=({"width": 16, "members": 40_000, "group": 400},)),
                },
            ),
        ),
    ),
    Check(
        "two hidden layers: the mean kernel tends to T, the mean square deviation like 1/n",
        LimitWithRate(rate=(-1.2, -0.8)),
        settings=ByBudget(quick=nngp.TWO_HIDDEN),
        experiment=initial_kernels,
        plan=nngp.PLAN,
        compare=compare_two_hidden,
        controls=(
            Control("readout bias frozen", _by(wrong_recursion, frozen=True)),
            Control("derivative factor of the layer above", _by(wrong_recursion, layer_above=True)),
            Control("sw^2 missing in the second share", _by(wrong_recursion, unscaled=True)),
            Control("mean square deviation like n^(-1/2)", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
            Control("mean square deviation like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)

RESULT = Result(NTK_RECURSION, predict, nngp.EXAMPLE, CHECKS, uses=(nngp.RESULT,), derivation=DERIVATION)

RESULTS = (RESULT,)
