"""Distillation and ensembles at finite width: the order of the nonlinear correction in width, its growth with heads, its dependence on labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Formula, Ladder, LimitWithRate, Ordering, Paired
from ....numerics.kernels import ensemble_covariance
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, LINEARITY
from ....theory.derivation import Axiom, Cited, Uses
from ....theory.statements.infinite_width.finite_training import RND_FINITE_WIDTH
from ...result import ByBudget, Check, Control, Result
from ..distillation import rnd
from ..dynamics import ensemble_law
from ..finite_networks import table
from ..kernels import nngp
from ..settings import EnsembleSetting, blocks
from .experiments import HEADS, distil_heads, heads_side_by_side, labelled_ensembles


@dataclass(frozen=True)
class LimitPrediction:
    """Variances (S,) that distillation and ensembles have in the limit of infinite width."""

    variance: Float[np.ndarray, " test"]


DERIVATION = (
    Uses(rnd.RESULT, "the limit: Sigma, half the squared error of every head"),
    Axiom(LINEARITY, "nonlinear error = linearised error + their difference, for the same draw"),
    Axiom(CONDITIONING, "given the predictor and the target's first layer, the linearised squared error is averaged over the target's Gaussian readout exactly"),
    Cited("lee2019", "trained and linearised network differ by a vanishing amount, uniformly in time; the order 1/n of the mean of squares is measured here"),
)  # fmt: skip


def predict(s: EnsembleSetting) -> LimitPrediction:
    return LimitPrediction(np.diag(ensemble_covariance(*blocks(s))).copy())


FORMULA = Formula(
    expression=lambda s: [entry / 2 for entry in rnd.last_step(s)[:: len(s.test) + 1]],
    shipped=lambda s: predict(s).variance,
    read=lambda p: p.variance,
    sample=ensemble_law.sample,
    width=lambda s: ensemble_law.width(s)[len(s.test) :][:: len(s.test) + 1],
    count=10,
)


def compare_widths(s: EnsembleSetting, p: LimitPrediction, rows: Rows, *, factor: float = 2.0) -> Ladder:
    """Mean squared error of the heads over twice the limit, less 1, averaged over test points; the correction is its nonlinear part."""
    tests, scale = len(s.test), factor * p.variance
    linearised, correction = ((table(rows, name, tests) / scale).mean(axis=1) for name in ("linearised", "correction"))
    return nngp.ladder(rows["width"], linearised + correction - 1, correction)


def compare_heads(s: EnsembleSetting, p: LimitPrediction, rows: Rows, *, turned: bool = False) -> Paired:
    """Corrections, over twice the limit, of fewer heads less those of more heads: the latter are further below zero."""
    tests = len(s.test)
    mean = {k: (table(rows, f"heads_{k}", tests) / (2 * p.variance)).mean(axis=1) for k in HEADS}
    differences = np.stack([mean[few] - mean[many] for few, many in pairwise(HEADS)])
    return Paired(-differences if turned else differences)


def compare_labels(s: EnsembleSetting, p: LimitPrediction, rows: Rows, *, turned: bool = False) -> Paired:
    """Nonlinear change of the variance with zero labels, less that with labels."""
    tests = len(s.test)
    zeros, labels = ((table(rows, name, tests) / p.variance).mean(axis=1) for name in ("zeros", "labels"))
    difference = (zeros - labels)[None, :]
    return Paired(-difference if turned else difference)


EXAMPLE = replace(ensemble_law.EXAMPLE, labels=np.array([1.0, -0.5, 0.25, -1.0]))


def _plan(heads: int, quick: tuple[tuple[int, int], ...]) -> ByBudget:
    """Blocks of at most 500 pairs for each width."""

    def spread(sizes: tuple[tuple[int, int], ...], block: int) -> tuple[dict[str, int], ...]:
        return tuple(
            {"width": n, "members": min(r, block), "part": part, "heads": heads}
            for n, r in sizes
            for part in range(max(1, r // block))
        )

    return ByBudget(
        quick=spread(quick, 500),
        standard=spread(((32, 4000), (128, 4000), (512, 2000), (2048, 500)), 500),
        full=spread(((64, 8000), (256, 8000), (1024, 4000), (4096, 2000), (16384, 500)), 250),
    )


LADDER_CONTROLS = (
    Control("factor 2 dropped", {"compare": partial(compare_widths, factor=1.0)}),
    Control("a correction that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
    Control("a correction like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
)

CHECKS = (
    Check(
        "the limit",
        FORMULA,
        controls=(
            Control("the error itself taken for a variance", {"claim": replace(FORMULA, shipped=lambda s: 2 * predict(s).variance)}),
            Control("tangent-kernel posterior", {"claim": replace(FORMULA, shipped=lambda s: np.diag(ensemble_law.posterior(s, kernel=1).covariance))}),
        ),
    ),
    Check(
        "four heads on one trunk: the nonlinear correction decays with the width",
        LimitWithRate(rate=(-1.2, -0.6)),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=distil_heads,
        plan=_plan(4, ((32, 1000), (64, 1000), (128, 1000), (256, 1000), (512, 1000))),
        compare=compare_widths,
        controls=LADDER_CONTROLS,
    ),
    Check(
        "it grows with the number of heads",
        Ordering(),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=heads_side_by_side,
        plan=ByBudget(quick=({"width": 32, "members": 1500},), standard=({"width": 512, "members": 1000},), full=({"width": 2048, "members": 1000},)),
        compare=compare_heads,
        controls=(Control("it shrinks with them", {"compare": partial(compare_heads, turned=True)}),),
    ),
    Check(
        "labels move the variance of a finite ensemble",
        Ordering(),
        settings=ByBudget(quick=(EXAMPLE,)),
        experiment=labelled_ensembles,
        plan=ByBudget(quick=({"width": 64, "members": 2000, "group": 40},), standard=({"width": 256, "members": 8000, "group": 80},)),
        compare=compare_labels,
        controls=(Control("the other way", {"compare": partial(compare_labels, turned=True)}),),
    ),
)  # fmt: skip

RESULT = Result(RND_FINITE_WIDTH, predict, EXAMPLE, CHECKS, uses=(rnd.RESULT,), derivation=DERIVATION)
RESULTS = (RESULT,)
