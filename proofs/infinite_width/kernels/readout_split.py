"""T = K + S: the readout's share of the tangent kernel is the NNGP kernel, and the hidden layers' share S is positive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.kernels.fully_connected import Trained, fully_connected_kernels
from ....numerics.store import Rows
from ....theory.axioms import SPECTRAL
from ....theory.balls.context import to_ball
from ....theory.balls.dual_activations import PairKernels, fully_connected_pair
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.kernels import READOUT_SPLIT
from ...result import ByBudget, Check, Control, Result
from ..settings import KernelSetting
from . import dual_algebra, gap_propagation, ntk

DIGITS = 50


@dataclass(frozen=True)
class SplitPrediction:
    """The tangent kernel of everything, of all but the readout bias, of the readout, and of the hidden layers, (n, m)."""

    ntk: Float[np.ndarray, "n m"]
    frozen_bias: Float[np.ndarray, "n m"]
    readout: Float[np.ndarray, "n m"]
    hidden: Float[np.ndarray, "n m"]


OPTIONS: tuple[Trained, ...] = ("all", "all but the readout bias", "readout", "hidden")


def schur_product() -> list[tuple[Any, Any]]:
    """z^T (A o B) z with A = sum_k l_k v_k v_k^T is sum_k l_k (v_k o z)^T B (v_k o z), at size 2."""
    l1, l2, z1, z2, b11, b12, b22 = sympy.symbols("l1 l2 z1 z2 b11 b12 b22", real=True)
    v = sympy.Matrix(2, 2, sympy.symbols("v:4", real=True))  # columns v_k
    a, b = v * sympy.diag(l1, l2) * v.T, sympy.Matrix([[b11, b12], [b12, b22]])
    z = sympy.Matrix([z1, z2])
    parts = [
        scale * (v[:, k].multiply_elementwise(z).T * b * v[:, k].multiply_elementwise(z))[0]
        for k, scale in enumerate((l1, l2))
    ]
    return [((z.T * a.multiply_elementwise(b) * z)[0], sum(parts))]  # fmt: skip


DERIVATION = (
    Algebra("chain rule: readout weights and bias add sw^2/n sum_j phi_j phi_j' + sb^2, which is the output's covariance given the layers below", dual_algebra.chain_rule),
    Uses(ntk.RESULT, "in the limit this share is K, and that of the layers below is S = sw^2 Vd(K) T"),
    Axiom(SPECTRAL, "Vd is a Gram matrix of the features phi', T one of gradients: both have eigenvalues l_k >= 0"),
    Algebra("so their entrywise product is positive semi-definite", schur_product),
)  # fmt: skip


def predict(s: KernelSetting) -> SplitPrediction:
    return SplitPrediction(*(fully_connected_kernels(s.x, s.y, trained=t, **s.architecture).ntk for t in OPTIONS))


def flatten(p: SplitPrediction) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in vars(p).values()])


# --- checks: the formula ------------------------------------------------------------------------------------------


def shares(found: PairKernels, bias: float) -> list[arb]:
    """T, T - sb^2, K and T - K at one pair."""
    return [found.ntk, found.ntk - to_ball(Fraction(bias)) ** 2, found.nngp, found.ntk - found.nngp]


@lru_cache(maxsize=8)
def lower_triangle(s: KernelSetting) -> dict[tuple[int, int], PairKernels]:
    """All pairs of the points x."""
    return {(i, j): pair(s, s.x[i], s.x[j]) for i in range(len(s.x)) for j in range(i + 1)}


def pair(s: KernelSetting, x: np.ndarray, y: np.ndarray) -> PairKernels:
    return fully_connected_pair(
        x.tolist(),
        y.tolist(),
        activation=s.activation,
        weight_scale=s.weight_scale,
        bias_scale=s.bias_scale,
        digits=DIGITS + 20,
    )


def last_step(s: KernelSetting) -> list[arb]:
    with ctx.workdps(DIGITS + 20):
        return shares(pair(s, s.x[0], s.y[0]), s.bias_scale[-1])


def width(s: KernelSetting) -> np.ndarray:
    """That of the tangent kernel's formula (24 roundings a layer on the scale sqrt(T(x,x) T(y,y)), times what GELU and erf
    lose), on the same scale for every share."""
    found = np.abs(flatten(predict(s)))
    return float(gap_propagation.width(s)[1]) * found[0] / np.where(found == 0, 1.0, found)


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=gap_propagation.sample,
    width=width,
    count=16,
)


def _mutant(function: Callable[[KernelSetting], SplitPrediction]) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: flatten(function(s)))}


def _moved(s: KernelSetting, **sources: str) -> SplitPrediction:
    p = predict(s)
    return replace(p, **{name: getattr(p, source) for name, source in sources.items()})


def _weights_only(s: KernelSetting) -> SplitPrediction:
    """The readout's share without its bias."""
    p = predict(s)
    return replace(p, readout=p.readout - s.bias_scale[-1] ** 2)


def _unscaled(s: KernelSetting) -> SplitPrediction:
    p = predict(s)
    return replace(p, hidden=p.hidden / s.weight_scale[-1] ** 2)


# --- checks: positivity -------------------------------------------------------------------------------------------


def compare_pivots(
    s: KernelSetting, p: SplitPrediction, rows: Rows, *, readouts: int = 1, bias: bool = True
) -> Enclosures:
    """Pivots of T - K on the points x by elimination in ball arithmetic: all positive for distinct points."""
    with ctx.workdps(DIGITS):
        size = len(s.x)
        offset = arb(0) if bias else to_ball(Fraction(s.bias_scale[-1])) ** 2
        entries = {key: v.ntk - offset - readouts * v.nngp for key, v in lower_triangle(s).items()}
        matrix = arb_mat([[entries[max(i, j), min(i, j)] for j in range(size)] for i in range(size)])
        pivots = []
        for k in range(size):
            pivots.append(matrix[k, k])
            if not matrix[k, k] > 0:
                break
            for i in range(k + 1, size):
                for j in range(k + 1, size):
                    matrix[i, j] = matrix[i, j] - matrix[i, k] * matrix[k, j] / matrix[k, k]
        return Enclosures(np.array([float(v.lower()) for v in pivots]), np.array([float(v.upper()) for v in pivots]))


POINTS = np.array([[0.9, -0.3, 0.4], [0.9, -0.3, 0.4001], [-0.6, 1.1, 0.2], [0.6, -1.1, -0.2], [0.0, 0.0, 0.3]])
PSD = tuple(
    KernelSetting(POINTS, POINTS, activation, (1.5, 0.8, 1.2), (0.5, 0.4, 1.6)) for activation in ("relu", "erf", "gelu")
)  # fmt: skip

CHECKS = (
    Check(
        "shipped shares",
        FORMULA,
        controls=(
            Control("readout share without its bias", _mutant(_weights_only)),
            Control("frozen bias does not matter", _mutant(lambda s: _moved(s, frozen_bias="ntk"))),
            Control("hidden share without sw^2", _mutant(_unscaled)),
            Control("readout trained alone gives T", _mutant(lambda s: _moved(s, readout="ntk"))),
            Control("hidden share is T", _mutant(lambda s: _moved(s, hidden="ntk"))),
        ),
    ),
    Check(
        "T - K is positive definite on distinct points",
        Inequality(),
        settings=ByBudget(quick=PSD),
        compare=compare_pivots,
        controls=(
            Control("readout bias frozen", {"compare": partial(compare_pivots, bias=False)}),
            Control("T - 2K", {"compare": partial(compare_pivots, readouts=2)}),
        ),
    ),
)

EXAMPLE = KernelSetting(POINTS[:2], POINTS, "erf", (1.5, 1.3, 1.2), (0.3, 0.3, 0.3))
RESULT = Result(READOUT_SPLIT, predict, EXAMPLE, CHECKS, uses=(ntk.RESULT,), derivation=DERIVATION)
RESULTS = (RESULT,)
