"""Distillation and ensembles at finite width: what nonlinear training adds to the limit, over width, heads, labels, depth, step and parametrisation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ....numerics.claims import Formula, LimitWithRate, Ordering
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....theory.axioms import CONDITIONING, LINEARITY
from ....theory.derivation import Algebra, Axiom, Cited, Uses
from ....theory.statements.infinite_width.finite_training import RND_FINITE_WIDTH
from ...result import ByBudget, Check, Control, Result
from ..distillation import rnd
from ..dynamics import ensemble_law
from ..settings import EnsembleSetting, blocks
from . import bayesian_checks, parametrisations, standard_checks, training_checks
from .compare import LimitPrediction, compare_heads, compare_labels, compare_widths, no_difference, turned
from .experiments import distil_heads, labelled_ensembles
from .instances import EXAMPLE, FIVE
from .plans import STANDARD, every_heads, ladder_plan, spread

DERIVATION = (
    Uses(rnd.RESULT, "the limit: Sigma, half the squared error of every head"),
    Axiom(LINEARITY, "nonlinear error = linearised error + their difference, for the same draw"),
    Axiom(CONDITIONING, "the linearised squared error is averaged exactly over what its tangent kernel does not depend on: the target's Gaussian readout and, for one hidden layer, the sign of each unit's weights to all heads"),
    Algebra("a rate for each layer turns the standard parametrisation into this one; mean-field training on labels y is this one on sqrt(n) y", parametrisations.one_step),
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

LADDER_CONTROLS = (
    Control("factor 2 dropped", {"compare": partial(compare_widths, factor=1.0)}),
    Control("a correction that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
    Control("a correction like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
)
QUICK_LADDER = ((32, 1000), (64, 1000), (128, 1000), (256, 1000), (512, 1000))
MANY_AND_FEW = ByBudget(
    quick=tuple({"width": 32, "members": 1500, "heads": k} for k in STANDARD),
    standard=every_heads((512,), ()).of("standard"),
    full=every_heads((), (1024,)).of("full"),
)
ENSEMBLES = ByBudget(
    quick=({"width": 64, "members": 2000, "group": 20},),
    standard=tuple({**block, "group": 20} for block in spread(((128, 4000),), 1000)),
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
        "4 heads on one trunk: the nonlinear correction decays with the width",
        LimitWithRate(rate=(-1.2, -0.6), top=5),
        settings=ByBudget(quick=(EXAMPLE,), standard=(FIVE,)),
        experiment=distil_heads,
        plan=ladder_plan(4, QUICK_LADDER),
        compare=compare_widths,
        controls=LADDER_CONTROLS,
    ),
    Check(
        "it grows with the number of heads",
        Ordering(),
        settings=ByBudget(quick=(EXAMPLE,), standard=(FIVE,)),
        experiment=distil_heads,
        plan=MANY_AND_FEW,
        compare=compare_heads,
        controls=(Control("it shrinks with them", {"compare": turned(compare_heads)}), no_difference(compare_heads)),
    ),
    Check(
        "labels move the variance of a finite ensemble",
        Ordering(),
        settings=ByBudget(quick=(EXAMPLE,), standard=(FIVE,)),
        experiment=labelled_ensembles,
        plan=ENSEMBLES,
        compare=compare_labels,
        controls=(Control("the other way", {"compare": turned(compare_labels)}), no_difference(compare_labels)),
    ),
    *bayesian_checks.CHECKS,
    *training_checks.CHECKS,
    *standard_checks.checks(LADDER_CONTROLS),
)  # fmt: skip

RESULT = Result(RND_FINITE_WIDTH, predict, EXAMPLE, CHECKS, uses=(rnd.RESULT,), derivation=DERIVATION)
