"""Self-attention with tied queries and keys and scaling 1/n, or with the identity: kernels in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from flint import arb
from jaxtyping import Float
from scipy.special import softmax

from ....numerics.claims import Agreement, Formula, LimitWithRate
from ....numerics.kernels.architectures.attention import Mechanism, Scaling, attention_kernels
from ....theory.axioms import CONDITIONING, INDEPENDENCE, PROKHOROV, STRONG_LAW
from ....theory.balls.architectures import attention_entries
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.architectures import ATTENTION
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from . import block_algebra
from .convolution import compare_ladder, compare_means
from .finite_dense import attention_networks
from .setting import AttentionSetting

HALF_ULP = 2.0**-53
Wrong = Literal[
    "values forgotten", "queries counted", "one softmax for both", "columns for rows", "unweighted", "linear in s_OV"
]


@dataclass(frozen=True)
class AttentionPrediction:
    """Kernels of the layer's output at every position of every input, (n positions, n positions), inputs one after the other."""

    nngp: Float[np.ndarray, "rows rows"]
    ntk: Float[np.ndarray, "rows rows"]


DERIVATION = (
    Uses(nngp.RESULT, "features below: second moments K per pair of positions"),
    Algebra("tied products have mean s_QK K_ij, and their derivatives by the key weights a squared size of order 1/n_key", block_algebra.tied_products),
    Axiom(STRONG_LAW, "so products tend to s_QK K(x,x), and queries and keys leave nothing in the tangent kernel"),
    Axiom(PROKHOROV, "the softmax is continuous: A_x is a constant in the limit"),
    Axiom(CONDITIONING, "given A and the features the output is linear in fresh values and outputs: Gaussian as for two dense layers"),
    Algebra("second moments over values and outputs: A K A^T; each of the two adds it to T', the layer below adds A T A^T", block_algebra.attention_moments),
    Uses(ntk.RESULT, "T below, with cross terms between units that vanish"),
    Axiom(INDEPENDENCE, "independent queries and keys with the identity: products are averaged, not constant"),
    Algebra("E G_ik G_jl = s_QK^2 K_ij K_kl", block_algebra.untied_products),
    Algebra("four weight matrices add K' each, and each of the three factors K its T below", block_algebra.untied_chain_rule),
)  # fmt: skip


def blocks(s: AttentionSetting, i: int, j: int) -> dict[str, Any]:
    """K and T below the attention, for inputs i and j."""
    x, weight, bias = s.x, s.weight_scale or 1.0, s.stem_bias_scale if s.weight_scale else 0.0
    xx, xy, yy = (weight**2 * (x[p] @ x[q].T) / x.shape[2] + bias**2 for p, q in ((i, i), (i, j), (j, j)))
    return {"nngp_xx": xx, "nngp_xy": xy, "nngp_yy": yy, "ntk_xy": xy if s.weight_scale else 0 * xy}


def predict(s: AttentionSetting) -> AttentionPrediction:
    return _assembled(s, lambda given: attention_kernels(**given, **s.architecture))


def _assembled(s: AttentionSetting, layer: Any) -> AttentionPrediction:
    n = len(s.x)
    found = [[layer(blocks(s, i, j)) for j in range(n)] for i in range(n)]
    return AttentionPrediction(
        *(np.block([[getattr(f, name) for f in row] for row in found]) for name in ("nngp", "ntk"))
    )


def flatten(p: AttentionPrediction) -> np.ndarray:
    """K and T between all positions of all inputs."""
    return np.concatenate([p.nngp.ravel(), p.ntk.ravel()])


def naive(s: AttentionSetting, wrong: Wrong) -> AttentionPrediction:
    """The recursion with a mistake in it."""

    def layer(given: Mapping[str, np.ndarray]) -> AttentionPrediction:
        xx, xy, yy, below = (given[name] for name in ("nngp_xx", "nngp_xy", "nngp_yy", "ntk_xy"))
        ov = s.output_value_scale if wrong == "linear in s_OV" else s.output_value_scale**2
        left, right = (_weights(s, block, wrong) for block in (xx, xx if wrong == "one softmax for both" else yy))
        if s.scaling == "1/sqrt(n)":
            factor = s.query_key_scale**2 * ov * (np.sum(xy) ** 2 if wrong == "unweighted" else np.sum(xy**2))
            value, low = factor * xy, factor * below
        else:
            value, low = ov * left @ xy @ right.T, ov * left @ below @ right.T
        shares = (4 if s.scaling == "1/sqrt(n)" else 2) + {"values forgotten": -1, "queries counted": 1}.get(wrong, 0)
        return AttentionPrediction(value + s.bias_scale**2, shares * value + low + s.bias_scale**2)

    return _assembled(s, layer)


def _weights(s: AttentionSetting, block: np.ndarray, wrong: Wrong) -> np.ndarray:
    scaled = s.query_key_scale * block
    if s.mechanism == "identity":
        return scaled
    if wrong == "unweighted":
        return np.full_like(scaled, 1 / len(scaled))
    return softmax(scaled, axis=0 if wrong == "columns for rows" else 1)


def sample(rng: np.random.Generator) -> AttentionSetting:
    positions = int(rng.integers(1, 4))
    cases: tuple[tuple[Mechanism, Scaling], ...] = (
        ("softmax", "1/n"),
        ("softmax", "1/n"),
        ("identity", "1/n"),
        ("identity", "1/sqrt(n)"),
    )
    mechanism, scaling = cases[rng.integers(4)]
    return AttentionSetting(
        x=rng.normal(size=(2, positions, 2)) * 10 ** rng.uniform(-1, 0.5),
        weight_scale=float(rng.uniform(0.5, 1.5)),
        stem_bias_scale=float(rng.choice([0.0, 0.4])),
        query_key_scale=float(rng.uniform(0.5, 1.5)),
        output_value_scale=float(rng.uniform(0.5, 1.5)),
        bias_scale=float(rng.uniform(0.5, 1.5)),
        mechanism=mechanism,
        scaling=scaling,
    )


def exact(s: AttentionSetting) -> list[arb]:
    """All pairs of inputs, from the blocks as float64 has them."""
    n, p = s.x.shape[:2]
    entries = {(i, j): attention_entries(**blocks(s, i, j), **s.architecture) for i in range(n) for j in range(n)}
    return [
        entries[i, j][part * p * p + row * p + column]
        for part in range(2)
        for i in range(n)
        for row in range(p)
        for j in range(n)
        for column in range(p)
    ]


def width(s: AttentionSetting) -> np.ndarray:
    """Two products of matrices of p positions add 2p roundings, on the scale of the same products of absolute values; the softmax of
    u adds 4 and 2|u|, since its argument carries an error of |u| eps."""
    n, p = s.x.shape[:2]
    largest = max(float(np.abs(s.query_key_scale * blocks(s, i, i)["nngp_xx"]).max()) for i in range(n))
    roundings = 2 * p * p + 20 + 4 * (2 * largest + 4 + p)

    def sizes(given: Mapping[str, Any]) -> Any:
        given = {
            name: np.abs(value) if name.endswith("xy") or s.mechanism == "identity" else value
            for name, value in given.items()
        }
        return attention_kernels(**given, **s.architecture)

    found = np.abs(flatten(predict(s)))
    return roundings * HALF_ULP * flatten(_assembled(s, sizes)) / np.where(found == 0, 1.0, found)


FORMULA = Formula(
    expression=exact, shipped=lambda s: flatten(predict(s)), read=flatten, sample=sample, width=width, count=40
)


def _mutant(wrong: Wrong) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(naive(s, wrong)))}


def _wrongly(wrong: Wrong) -> Mapping[str, Any]:
    return {"predict": partial(naive, wrong=wrong)}


X = np.array([[[0.9, -0.3, 0.4], [-0.8, 1.2, 0.5]], [[-0.6, 1.1, 0.2], [0.5, 0.9, -1.3]]])
TIED = AttentionSetting(X, 1.5, 0.3, 1.2, 1.3, 0.4, "softmax", "1/n")
UNTIED = AttentionSetting(2 * X, 0.0, 0.0, 0.9, 0.6, 0.4, "identity", "1/sqrt(n)")

# the rows of `compare_means` and `compare_ladder` run over positions of all inputs
_POINTS = X.reshape(4, 3)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the comparisons read from a setting: one point per position."""

    x: np.ndarray


def compare_untied(s: AttentionSetting, p: AttentionPrediction, rows: Any) -> Any:
    return compare_means(_Rows(_POINTS), p, rows)  # type: ignore[arg-type]


def compare_tied(s: AttentionSetting, p: AttentionPrediction, rows: Any) -> Any:
    return compare_ladder(_Rows(_POINTS), p, rows)  # type: ignore[arg-type]


CHECKS = (
    Check(
        "shipped kernels",
        FORMULA,
        controls=(
            Control("share of the values forgotten", _mutant("values forgotten")),
            Control("share of queries and keys counted", _mutant("queries counted")),
            Control("attention of x for both", _mutant("one softmax for both")),
            Control("softmax of the columns", _mutant("columns for rows")),
            Control("s_OV for its square", _mutant("linear in s_OV")),
            Control("1e-11 off", {"claim": replace(FORMULA, shipped=lambda s: (1 + 1e-11) * flatten(predict(s)))}),
        ),
    ),
    Check(
        "softmax, tied, 1/n: the mean tangent kernel tends to T, the mean square deviation like 1/n",
        LimitWithRate(rate=(-1.3, -0.7)),
        settings=ByBudget(quick=(TIED,)),
        experiment=attention_networks,
        plan=ByBudget(
            quick=tuple({"width": n, "members": r} for n, r in ((8, 3000), (16, 3000), (32, 3000), (64, 1500)))
        ),
        compare=compare_tied,
        controls=(
            Control("share of the values forgotten", _wrongly("values forgotten")),
            Control("share of queries and keys counted", _wrongly("queries counted")),
            Control("attention without weights", _wrongly("unweighted")),
            Control("s_OV for its square", _wrongly("linear in s_OV")),
            Control("mean square deviation like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
    Check(
        "identity, independent queries and keys on the inputs, one head of 8 units: the mean kernels are K and T",
        Agreement("Monte Carlo", relative=5e-2),
        settings=ByBudget(quick=(UNTIED,)),
        experiment=attention_networks,
        plan=ByBudget(quick=({"width": 8, "members": 80_000, "group": 500},)),
        compare=compare_untied,
        controls=(
            Control("share of the values forgotten", _wrongly("values forgotten")),
            Control("one more share", _wrongly("queries counted")),
            Control("square of the sum for the sum of squares", _wrongly("unweighted")),
            Control("s_OV for its square", _wrongly("linear in s_OV")),
        ),
    ),
)

RESULT = Result(ATTENTION, predict, TIED, CHECKS, uses=(nngp.RESULT, ntk.RESULT), derivation=DERIVATION)
RESULTS = (RESULT,)
