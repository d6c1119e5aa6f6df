"""Heads on one trunk are independent in the limit of infinite width."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import (
    Formula,
    Ladder,
    LimitWithRate,
)
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import smoother
from ....numerics.wide_networks.heads import head_error_covariance
from ....theory.axioms import GAUSSIAN_AFFINE, GAUSSIAN_INDEPENDENCE
from ....theory.balls.smoothers import congruence, flow, residual_map, split
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.distillation import HEAD_INDEPENDENCE
from ....theory.validation import sample_size
from ...result import ByBudget, Check, Control, Result
from ..dynamics import ensemble_law
from ..finite_distillation import linearised_heads
from ..finite_networks import table
from ..kernels import nngp
from ..settings import EnsembleSetting, Trained, blocks
from . import linear_smoother
from .setting import covariance_width, exact_kernels, sample_one


@dataclass(frozen=True, eq=False)
class HeadsSetting:
    """Points, one architecture, the number of heads on its trunk, and the time of gradient flow (sum loss)."""

    train: Float[np.ndarray, "train features"]
    test: Float[np.ndarray, "test features"]
    activation: Trained
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    heads: int
    time_sum_loss: float

    def __post_init__(self) -> None:
        sample_size("heads", self.heads)
        _ = self.network

    @property
    def network(self) -> EnsembleSetting:
        """The points with their architecture."""
        return EnsembleSetting(
            self.train, self.test, np.zeros(len(self.train)), self.activation, self.weight_scale, self.bias_scale
        )


@dataclass(frozen=True)
class HeadsPrediction:
    """Covariance (K S, K S) of all errors, head by head."""

    covariance: Float[np.ndarray, "errors errors"]


# --- derivations --------------------------------------------------------------------------------------------------


def heads_do_not_mix() -> list[tuple[Any, Any]]:
    """Two heads with kernels K (x) I and T (x) I: G (x) I, and the errors of different heads are uncorrelated."""
    t, s, v, k, a = sympy.symbols("t s v k a", positive=True)
    eye = sympy.eye(2)
    train, cross = sympy.kronecker_product(sympy.Matrix([[t]]), eye), sympy.kronecker_product(sympy.Matrix([[s]]), eye)
    g = cross * train.inv()
    m = sympy.Matrix.hstack(eye, -g)
    joint = sympy.kronecker_product(sympy.Matrix([[v, k], [k, a]]), eye)
    found = m * (2 * joint) * m.T
    one = 2 * (v - 2 * s / t * k + (s / t) ** 2 * a)
    return [(found[0, 1], sympy.Integer(0)), (found[0, 0], one), (found[1, 1], one)]


DERIVATION = (
    Uses(nngp.RESULT, "output units of predictor and target are independent Gaussian processes with covariance K in the limit"),
    Uses(ensemble_law.RESULT, "tangent kernels converge to T between points of one head and to 0 between heads, and training is that of the linearisation"),
    Uses(linear_smoother.RESULT, "at every time: e_t = M_t (u0 - g) with M_t = [I, -G_t] (x) I over the heads"),
    Algebra("so errors of different heads are uncorrelated, each with covariance 2 M K M^T", heads_do_not_mix),
    Axiom(GAUSSIAN_AFFINE, "they are jointly Gaussian"),
    Axiom(GAUSSIAN_INDEPENDENCE, "hence independent"),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: HeadsSetting) -> HeadsPrediction:
    k, t = blocks(s.network)
    return HeadsPrediction(head_error_covariance(k, t, heads=s.heads, time_sum_loss=s.time_sum_loss))


# --- checks: independence -----------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> HeadsSetting:
    s = sample_one(rng)
    time = float(rng.choice([0.2, 1.0, 5.0]))
    return HeadsSetting(s.train, s.test, s.activation, s.weight_scale, s.bias_scale, int(rng.integers(1, 4)), time)


def spread(block: arb_mat, heads: int) -> arb_mat:
    """I (x) block: the heads one after the other."""
    rows, columns = block.nrows(), block.ncols()
    return arb_mat(
        [
            [block[i % rows, j % columns] if i // rows == j // columns else arb(0) for j in range(heads * columns)]
            for i in range(heads * rows)
        ]
    )


def last_step(s: HeadsSetting) -> list[arb]:
    """The flow of all heads as one system of K N equations, from independent u0 and g."""
    k, t = exact_kernels(s.network)
    tests = len(s.test)

    def every_head(joint: arb_mat) -> arb_mat:
        test, cross, train = (spread(block, s.heads) for block in split(joint, tests))
        upper = [[*(test[i, j] for j in range(test.ncols())), *(cross[i, j] for j in range(cross.ncols()))] for i in range(test.nrows())]  # fmt: skip
        lower = [[*(cross[i, j] for i in range(cross.nrows())), *(train[j, i] for i in range(train.ncols()))] for j in range(train.nrows())]  # fmt: skip
        return arb_mat(upper + lower)

    m = residual_map(flow(every_head(t), tests * s.heads, arb(s.time_sum_loss)))
    return (congruence(m, every_head(k)) * arb(2)).entries()


def width(s: HeadsSetting) -> np.ndarray:
    k, t = blocks(s.network)
    found = covariance_width(t, smoother(t), 2 * k.joint())
    value = np.abs(predict(s).covariance.ravel())
    return found / np.where(value > 0, value, 1.0)


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: predict(s).covariance.ravel(),
    read=lambda p: p.covariance,
    sample=sample,
    width=width,
    count=15,
)


def _one_target(s: HeadsSetting) -> np.ndarray:
    """All heads with the same target: half of the covariance is shared."""
    full = predict(s).covariance
    return (full + np.kron(np.ones((s.heads, s.heads)), full[: len(s.test), : len(s.test)])) / 2


def compare_correlation(s: HeadsSetting, p: HeadsPrediction, rows: Rows, *, same: bool = False) -> Ladder:
    """Covariance of the squared errors of two heads over 2 (2 Sigma)^2, averaged over the test points.

    Cov = E Cov(. | all but the targets' readouts) + Cov(E(. | .)); `same` puts one head in place of both.
    """
    tests = len(s.test)
    variance = 2 * np.diag(p.covariance)[:tests] ** 2
    first, second, within = (table(rows, name, tests) for name in ("first", "second", "within"))
    if same:
        second = first
    width = rows["width"]
    value = np.empty(len(width))
    for size in np.unique(width):
        group = width == size
        a, b = first[group], second[group]
        between = (a - a.mean(axis=0)) * (b - b.mean(axis=0))
        value[group] = ((within[group] + between) / variance).mean(axis=1)
    return nngp.ladder(width, value, value)


BASE = ensemble_law.EXAMPLE
EXAMPLE = HeadsSetting(BASE.train, BASE.test, "erf", (1.5, 1.5), (0.3, 0.3), 2, math.inf)
TWO_HEADS = ByBudget(quick=tuple({"width": n, "members": 12_000} for n in (16, 32, 64, 128)))


def formula_mutant(claim: Formula, function: Callable[[Any], Any]) -> dict[str, Any]:
    return {"claim": replace(claim, shipped=lambda s: np.asarray(function(s)).ravel())}


CHECKS = (
    Check(
        "shipped covariance of all heads",
        FORMULA,
        controls=(
            Control("one target for all heads", formula_mutant(FORMULA, _one_target)),
            Control("factor 2 dropped", formula_mutant(FORMULA, lambda s: predict(s).covariance / 2)),
            Control("the converged ensemble at every time", formula_mutant(FORMULA, lambda s: predict(replace(s, time_sum_loss=math.inf)).covariance)),
        ),
    ),
    Check(
        "finite networks: squared errors of two heads decorrelate",
        LimitWithRate(rate=None, resolution=0.05),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=linearised_heads,
        plan=TWO_HEADS,
        compare=compare_correlation,
        controls=(
            Control("one head twice", {"compare": partial(compare_correlation, same=True)}),
            Control("one target for both heads", {"experiment": partial(linearised_heads, one_target=True)}),
        ),
    ),
)  # fmt: skip


RESULT = Result(
    HEAD_INDEPENDENCE,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(nngp.RESULT, ensemble_law.RESULT, linear_smoother.RESULT),
    derivation=DERIVATION,
)
