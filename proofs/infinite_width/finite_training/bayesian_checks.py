"""Bayesian distillation at finite width: one direction for all heads or one for each, and what nonlinear training adds."""

from __future__ import annotations

from functools import partial

import numpy as np

from ....numerics.claims import LimitWithRate, Ordering
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.posterior import ntkgp_posterior
from ...result import ByBudget, Check, Control
from ..settings import EnsembleSetting, blocks
from .compare import (
    LimitPrediction,
    compare_bayesian_heads,
    compare_directions,
    compare_linearised,
    no_difference,
    turned,
)
from .experiments import bayesian_heads
from .instances import FIVE
from .plans import spread


def predict(s: EnsembleSetting) -> LimitPrediction:
    """The tangent-kernel posterior: the squared error itself, no factor 2."""
    _, tangent = blocks(s)
    return LimitPrediction(np.diag(ntkgp_posterior(tangent, np.zeros(len(s.train))).covariance).copy())


def ensemble(s: EnsembleSetting) -> LimitPrediction:
    return LimitPrediction(np.diag(ensemble_covariance(*blocks(s))).copy())


BOTH = tuple({"heads": k, "directions": d} for d in ("shared", "separate") for k in (1, 4))
ALL = tuple({"heads": k, "directions": d} for d in ("shared", "separate") for k in (1, 4, 16))
AT_16 = ByBudget(
    quick=tuple({"width": 16, "members": 2000, **entries} for entries in BOTH),
    standard=tuple(block for entries in ALL for block in spread(((16, 4000),), 1000, **entries)),
)
KEPT = {"experiment": partial(bayesian_heads, zeroed=False)}
WIDTHS = {
    4: ((16, 4000), (32, 4000), (64, 4000), (128, 2000), (256, 2000)),
    16: ((64, 4000), (128, 2000), (256, 2000), (512, 1000)),
}
TRAINED = ((1, 6000), (4, 2000), (16, 1000))

SETTINGS = ByBudget(quick=(), standard=(FIVE,))
BAND = LimitWithRate(rate=(-1.2, -0.6))


def _ladder(name: str, heads: int, directions: str) -> Check:
    """Linearised training alone: the bias of the average is of order 1/n."""
    plan = ByBudget(quick=(), standard=spread(WIDTHS[heads], 1000, heads=heads, directions=directions))
    return Check(
        name,
        BAND,
        settings=SETTINGS,
        predict=predict,
        experiment=bayesian_heads,
        plan=plan,
        compare=compare_linearised,
        controls=(
            Control("the ensemble's variance", {"predict": ensemble}),
            Control("psi's last layer kept", KEPT),
            Control("a bias that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
            Control("a bias like n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    )


CHECKS = (
    Check(
        "Bayesian distillation, linearised: one direction for all heads reports too little, one for each too much",
        Ordering(),
        settings=ByBudget(quick=(FIVE,)),
        predict=predict,
        experiment=bayesian_heads,
        plan=AT_16,
        compare=compare_directions,
        controls=(
            Control("the other way", {"compare": turned(compare_directions)}),
            no_difference(compare_directions),
            Control("psi's last layer kept", KEPT),
            Control("against the ensemble's variance", {"predict": ensemble}),
        ),
    ),
    _ladder("Bayesian distillation, linearised, 4 heads, one direction for all", 4, "shared"),
    _ladder("Bayesian distillation, linearised, 16 heads, a direction for each", 16, "separate"),
    Check(
        "Bayesian distillation: nonlinear training adds to the variance here, and the more heads the more",
        Ordering(),
        settings=SETTINGS,
        predict=predict,
        experiment=partial(bayesian_heads, train=True),
        plan=ByBudget(
            quick=(),
            standard=tuple(b for k, r in TRAINED for b in spread(((32, r),), 500, heads=k, directions="shared")),
        ),
        compare=compare_bayesian_heads,
        controls=(
            Control("it takes away", {"compare": turned(compare_bayesian_heads)}),
            no_difference(compare_bayesian_heads),
        ),
    ),
)
