"""Wide networks train as their linearisation: the gap between the two, and the motion of the tangent kernel, over widths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ....numerics.claims import Ladder, LimitWithRate
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....theory.derivation import Cited, Uses
from ....theory.statements.infinite_width.dynamics import LINEARISATION
from ...result import ByBudget, Check, Control, Result
from ..kernels import nngp, ntk
from ..linearised_networks import side_by_side
from ..settings import EnsembleSetting, blocks


@dataclass(frozen=True)
class GapPrediction:
    """The gap in the limit, 0, and the ensemble variance (mean over the test points) that it is measured against."""

    gap: float
    variance: float


def predict(s: EnsembleSetting) -> GapPrediction:
    return GapPrediction(0.0, float(np.mean(np.diag(ensemble_covariance(*blocks(s))))))


def compare_gap(s: EnsembleSetting, p: GapPrediction, rows: Rows) -> Ladder:
    """The largest mean square gap of a run, over the ensemble variance."""
    gap = rows["gap"] / p.variance
    return nngp.ladder(rows["width"], gap - p.gap, gap)


def compare_kernel(s: EnsembleSetting, p: GapPrediction, rows: Rows) -> Ladder:
    """The largest squared relative change of the tangent kernel on X."""
    return nngp.ladder(rows["width"], rows["kernel"] - p.gap, rows["kernel"])


TRAIN = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0]])
TEST = np.array([[0.5, 0.5, 0.0], [-0.7, 0.4, 0.2], [0.3, -0.8, -0.6]])
EXAMPLE = EnsembleSetting(TRAIN, TEST, np.array([0.5, -0.3, 0.2, -0.4]), "erf", (1.5, 1.5), (0.3, 0.3))
PLAN = ByBudget(
    quick=tuple({"width": n, "members": m} for n, m in ((32, 400), (64, 300), (128, 150), (256, 80), (512, 50))),
    standard=tuple({"width": n, "members": m} for n, m in ((32, 4_000), (128, 2_000), (512, 1_000), (2048, 200))),
    full=tuple(
        {"width": n, "members": m} for n, m in ((64, 8_000), (256, 4_000), (1024, 2_000), (4096, 500), (16384, 64))
    ),
)
FEW = ByBudget(quick=tuple({"width": n, "members": 60} for n in (32, 64, 128, 256)))
MEAN_FIELD = {"experiment": partial(side_by_side, readout_power=0.5, steps=150), "plan": FEW}
LARGE_LABELS = {"experiment": partial(side_by_side, label_power=0.5, steps=150), "plan": FEW}

# squares: the theorem's n^-1/2 is -1 here, perturbation theory's 1/n is -2
_BAND = LimitWithRate(rate=(-2.4, -1.0), top=5)

RESULT = Result(
    LINEARISATION,
    predict,
    EXAMPLE,
    (
        Check(
            "squared gap over training",
            _BAND,
            settings=ByBudget(quick=(EXAMPLE,)),
            experiment=side_by_side,
            plan=PLAN,
            compare=compare_gap,
            controls=(
                Control("labels of order n^1/2", LARGE_LABELS),
                Control("a gap of a tenth of the variance stays", {"predict": lambda s: GapPrediction(0.1, predict(s).variance)}),
                Control("n^-1/4", {"claim": LimitWithRate(rate=(-0.6, -0.4), top=5)}),
                Control("n^-2", {"claim": LimitWithRate(rate=(-4.2, -3.8), top=5)}),
            ),
        ),
        Check(
            "squared motion of the tangent kernel",
            _BAND,
            settings=ByBudget(quick=(EXAMPLE,)),
            experiment=side_by_side,
            plan=PLAN,
            compare=compare_kernel,
            controls=(
                Control("mean-field scaling of the readout", MEAN_FIELD),
                Control("n^-1/4", {"claim": LimitWithRate(rate=(-0.6, -0.4), top=5)}),
            ),
        ),
    ),
    uses=(nngp.RESULT, ntk.RESULT),
    derivation=(
        Uses(nngp.RESULT, "initial outputs are of order 1"),
        Uses(ntk.RESULT, "the tangent kernel at initialisation converges to T"),
        Cited("lee2019", "during training the network stays within o(1) of its linearisation, uniformly in time, if T_XX > 0"),
    ),
)  # fmt: skip

RESULTS = (RESULT,)
