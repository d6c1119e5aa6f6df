"""Kernels whose mean at finite width is that of infinite width: one hidden layer, and the diagonal of ReLU at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.intervals import multiplier
from ....numerics.kernels.fully_connected import fully_connected_kernels, ntk_kernel
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, INDEPENDENCE, LINEARITY
from ....theory.balls.context import to_ball
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.statements.infinite_width.finite_width import FW_RELU_DIAGONAL, FW_UNBIASED
from ...result import ByBudget, Check, Control, Result, Run
from ..finite_networks import gram, initial_kernels, readout_shares
from ..kernels import dual_algebra, nngp
from ..settings import KernelSetting
from . import sign_symmetry

UNIT = 2.0**-53
Cases = Iterator[tuple[str, Fraction, str, Fraction]]


@dataclass(frozen=True)
class KernelsPrediction:
    """Means of K_0 and T_0 between x and y, (n, m)."""

    nngp: Float[np.ndarray, "n m"]
    ntk: Float[np.ndarray, "n m"]


@dataclass(frozen=True)
class DiagonalPrediction:
    """Mean of T_0(x,x) at each x, (n,)."""

    diagonal: Float[np.ndarray, " n"]


# --- derivations --------------------------------------------------------------------------------------------------

UNBIASED_DERIVATION = (
    Algebra("given the weights, K_0 and T_0 are sums over units: sw^2/n sum_j phi_j phi_j' + sb^2, and sw^2/n sum_j w_j^2 phi'_j phi'_j' T_1", dual_algebra.chain_rule),
    Axiom(LINEARITY, "the mean of a sum of n terms over n is the mean of one, whose pre-activations are N(0, K^1) at every n"),
    Axiom(INDEPENDENCE, "E w_j^2 = 1, independent of the unit's mask; T_1 = K^1 holds no weight at all"),
    Enumeration("exact means over all networks of 1, 2 and 3 units with signs for weights agree", sign_symmetry.any_number_of_units),
)  # fmt: skip

DIAGONAL_DERIVATION = (
    Algebra("T_0(x,x) is a sum over layers of |h|^2 times |delta|^2, and delta_j = sum_i w_ij m_i delta_i: masks enter as squares or once per unit of a path", dual_algebra.chain_rule),
    Axiom(CONDITIONING, "from the readout down: a mean over the readout's signs leaves squares; these are quadratic forms in the weights that enter a unit, so flipping those and its bias together changes its mask alone"),
    Algebra("max(z,0)^2 and 1[z>0], averaged over that sign, are z^2/2 and 1/2", sign_symmetry.flipped_unit),
    Axiom(LINEARITY, "with 1/2 for the mask the weights that enter the unit are free, cross terms carry E w_i w_k = 0, and the layer below is next: K' = sw^2 K/2 + sb^2 and T' = K' + sw^2 T/2, the recursion at equal inputs"),
    Enumeration("two hidden layers of two units with biases: exact mean over all 4096 sign patterns", sign_symmetry.all_signs),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: KernelSetting) -> KernelsPrediction:
    kernels = fully_connected_kernels(s.x, s.y, **s.architecture)
    return KernelsPrediction(kernels.nngp, kernels.ntk)


def predict_diagonal(s: KernelSetting) -> DiagonalPrediction:
    return DiagonalPrediction(np.array([ntk_kernel(row[None], row[None], **s.architecture)[0, 0] for row in s.x]))


# --- checks: the formulas -----------------------------------------------------------------------------------------


def sample_one_hidden(rng: np.random.Generator) -> KernelSetting:
    s = nngp.sample_pair(rng)
    return replace(s, weight_scale=s.weight_scale[:2], bias_scale=s.bias_scale[:2])


def exact_both(s: KernelSetting) -> list[arb]:
    pair = nngp.exact_pair(s)
    return [pair.nngp, pair.ntk]


FORMULA = Formula(
    expression=exact_both,
    shipped=lambda s: [predict(s).nngp[0, 0], predict(s).ntk[0, 0]],
    read=lambda p: [p.nngp[0, 0], p.ntk[0, 0]],
    sample=sample_one_hidden,
    width=lambda s: [nngp.rounding_width(s, "nngp"), nngp.rounding_width(s, "ntk")],
    count=40,
)


def sample_relu(rng: np.random.Generator) -> KernelSetting:
    layers = int(rng.integers(2, 7))
    x = rng.normal(size=(1, 3)) * 10 ** rng.uniform(-2, 2)
    scales = rng.uniform(0.5, 2, layers), rng.choice([0.0, 1.0]) * rng.uniform(0, 1, layers)
    return KernelSetting(x, x, "relu", tuple(scales[0].tolist()), tuple(scales[1].tolist()))


def exact_diagonal(s: KernelSetting) -> arb:
    """The recursion at equal inputs is rational."""
    x = [Fraction(value) for value in s.x[0].tolist()]
    w, b = ([Fraction(value) ** 2 for value in scale] for scale in (s.weight_scale, s.bias_scale))
    kernel = w[0] * sum(value**2 for value in x) / len(x) + b[0]
    tangent = kernel
    for weight, bias in zip(w[1:], b[1:], strict=True):
        kernel = weight * kernel / 2 + bias
        tangent = kernel + weight * tangent / 2
    return to_ball(tangent)


DIAGONAL_FORMULA = Formula(
    expression=exact_diagonal,
    shipped=lambda s: predict_diagonal(s).diagonal,
    read=lambda p: p.diagonal,
    sample=sample_relu,
    # sums of positive terms: at most eight roundings a layer, and those of |x|^2
    width=lambda s: (8 * len(s.weight_scale) + 10) * UNIT,
    count=60,
)


def _mutant(formula: Formula, function: Any) -> dict[str, Any]:
    return {"claim": replace(formula, shipped=function)}


def _without(s: KernelSetting, layer: int) -> KernelSetting:
    """One bias scale set to 0 (to 1 where it is 0 already)."""
    scales = list(s.bias_scale)
    scales[layer] = 0.0 if scales[layer] else 1.0
    return replace(s, bias_scale=tuple(scales))


def half_masks(s: KernelSetting) -> float:
    """T' = K' + sw^2 T: the mask counted as 1."""
    kernel = tangent = s.weight_scale[0] ** 2 * float(s.x[0] @ s.x[0]) / s.x.shape[1] + s.bias_scale[0] ** 2
    for weight, bias in zip(s.weight_scale[1:], s.bias_scale[1:], strict=True):
        kernel = weight**2 * kernel / 2 + bias**2
        tangent = kernel + weight**2 * tangent
    return float(tangent)


# --- checks: finite networks --------------------------------------------------------------------------------------


def compare_means(s: KernelSetting, p: KernelsPrediction, rows: Rows, *, kernel: str) -> Comparison:
    """Mean over groups of networks of each entry, against the kernel of infinite width: Monte-Carlo error only."""
    return nngp.compare_one_hidden(s, nngp.NNGPPrediction(getattr(p, kernel)), rows)


def compare_diagonal(s: KernelSetting, p: DiagonalPrediction, rows: Rows) -> Comparison:
    kernels = np.diagonal(gram(rows, len(s.x)), axis1=1, axis2=2)
    mean, error = kernels.mean(axis=0), kernels.std(axis=0, ddof=1) / np.sqrt(len(kernels))
    bound = multiplier(len(mean), degrees=len(kernels) - 1) * error
    return Comparison(mean, p.diagonal, bound, p.diagonal)


def compare_every_entry(s: KernelSetting, p: DiagonalPrediction, rows: Rows) -> Comparison:
    """The claim for pairs of distinct inputs, which is false from two hidden layers on."""
    return nngp.compare_one_hidden(s, nngp.NNGPPrediction(ntk_kernel(s.x, s.y, **s.architecture)), rows)


def one_more_layer(setting: KernelSetting, run: Run, *, experiment: Any) -> Mapping[str, Any]:
    """The same with a second hidden layer that keeps sw^2 V at equal inputs (ReLU, sw^2 = 2)."""
    deeper = replace(
        setting,
        weight_scale=(setting.weight_scale[0], float(np.sqrt(2)), setting.weight_scale[1]),
        bias_scale=(setting.bias_scale[0], 0.0, setting.bias_scale[1]),
    )
    return experiment(deeper, run)


def deeper_kernels(s: KernelSetting) -> KernelsPrediction:
    """Infinite-width kernels of `one_more_layer`."""
    scales = (s.weight_scale[0], float(np.sqrt(2)), s.weight_scale[1]), (s.bias_scale[0], 0.0, s.bias_scale[1])
    return predict(replace(s, weight_scale=scales[0], bias_scale=scales[1]))


POINTS = np.array([[0.9, -0.3, 0.4], [-0.6, 1.1, 0.2]])
ONE_HIDDEN = ByBudget(quick=tuple(KernelSetting(POINTS, POINTS, a, (1.5, 1.2), (0.5, 0.6)) for a in ("relu", "erf")))
DEEP = KernelSetting(POINTS, POINTS, "relu", (1.5, 1.4, 1.2), (0.5, 1.0, 0.6))
TWO_UNITS = ByBudget(quick=({"width": 2, "members": 400_000, "group": 1_000},))
MORE = ByBudget(quick=({"width": 2, "members": 1_000_000, "group": 2_500},))


def _deeper(experiment: Any) -> dict[str, Any]:
    return {"experiment": partial(one_more_layer, experiment=experiment), "predict": deeper_kernels}


def _predict(change: Any) -> dict[str, Any]:
    return {"predict": lambda s: predict(change(s))}


UNBIASED = Result(
    FW_UNBIASED,
    predict,
    ONE_HIDDEN.quick[0],
    (
        Check(
            "shipped kernels",
            FORMULA,
            controls=(
                Control("readout bias forgotten", _mutant(FORMULA, lambda s: FORMULA.shipped(_without(s, -1)))),
                Control("input bias forgotten", _mutant(FORMULA, lambda s: FORMULA.shipped(_without(s, 0)))),
                Control("K for T", _mutant(FORMULA, lambda s: [predict(s).nngp[0, 0]] * 2)),
            ),
        ),
        Check(
            "two units: E K_0 = K",
            Agreement("Monte Carlo", relative=0.02),
            settings=ONE_HIDDEN,
            experiment=readout_shares,
            plan=TWO_UNITS,
            compare=partial(compare_means, kernel="nngp"),
            controls=(
                Control("input bias forgotten", _predict(lambda s: _without(s, 0))),
                Control("a second hidden layer of two units", _deeper(readout_shares)),
            ),
        ),
        Check(
            "two units: E T_0 = T",
            Agreement("Monte Carlo", relative=0.02),
            settings=ONE_HIDDEN,
            experiment=initial_kernels,
            plan=TWO_UNITS,
            compare=partial(compare_means, kernel="ntk"),
            controls=(
                Control("input bias forgotten", _predict(lambda s: _without(s, 0))),
                Control("readout bias frozen", _predict(lambda s: _without(s, -1))),
                Control("a second hidden layer of two units", _deeper(initial_kernels)),
            ),
        ),
    ),
    derivation=UNBIASED_DERIVATION,
)  # fmt: skip

DIAGONAL = Result(
    FW_RELU_DIAGONAL,
    predict_diagonal,
    DEEP,
    (
        Check(
            "shipped kernel at equal inputs",
            DIAGONAL_FORMULA,
            controls=(
                Control("masks counted as 1", _mutant(DIAGONAL_FORMULA, half_masks)),
                Control("input bias forgotten", _mutant(DIAGONAL_FORMULA, lambda s: predict_diagonal(_without(s, 0)).diagonal)),
                Control("1e-13 off", _mutant(DIAGONAL_FORMULA, lambda s: (1 + 1e-13) * predict_diagonal(s).diagonal)),
            ),
        ),
        Check(
            "two hidden layers of two units with biases: E T_0(x,x) = T(x,x)",
            Agreement("Monte Carlo", relative=0.02),
            settings=ByBudget(quick=(DEEP,)),
            experiment=initial_kernels,
            plan=MORE,
            compare=compare_diagonal,
            controls=(
                Control("masks counted as 1", {"predict": lambda s: DiagonalPrediction(np.array([half_masks(replace(s, x=row[None], y=row[None])) for row in s.x]))}),
                Control("a hidden bias forgotten", {"predict": lambda s: predict_diagonal(_without(s, 1))}),
                Control("distinct inputs too", {"compare": compare_every_entry, "settings": ByBudget(quick=(replace(DEEP, bias_scale=(0.0, 0.0, 0.0)),))}),
            ),
        ),
    ),
    derivation=DIAGONAL_DERIVATION,
)  # fmt: skip

RESULTS = (UNBIASED, DIAGONAL)
