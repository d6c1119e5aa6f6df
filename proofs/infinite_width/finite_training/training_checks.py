"""The step size and the parametrisation: what the correction owes to them."""

from __future__ import annotations

from functools import partial

from ....numerics.claims import Agreement, LimitWithRate
from ...result import ByBudget, Check, Control
from . import parametrisations
from .compare import compare_gap, compare_half_steps, compare_label_ladder
from .experiments import half_steps, label_gaps, labelled_ensembles, long_and_short_steps
from .instances import EXAMPLE, FIVE, TWO_POINTS
from .plans import spread

MEAN_FIELD_PLAN = ByBudget(quick=tuple({"width": n, "members": 400, "group": 20} for n in (32, 64, 128, 256)))
SETTINGS = ByBudget(quick=(), standard=(FIVE,))
LABELS = ByBudget(
    quick=(),
    standard=spread(((32, 8000), (128, 4000), (512, 2000), (1024, 1000)), 500, group=20),
    full=spread(((64, 16000), (256, 8000), (1024, 8000), (4096, 4000), (16384, 1000)), 500, group=20),
)
GAPS = ByBudget(
    quick=(),
    standard=spread(((128, 1000), (256, 1000), (512, 400), (1024, 400), (2048, 100)), 500, group=20),
    full=spread(((256, 2000), (512, 2000), (1024, 2000), (4096, 1000), (16384, 200)), 500, group=20),
)
# squares: the theorem's n^-1/2 is -1 here, perturbation theory's 1/n is -2
SQUARES = LimitWithRate(rate=(-2.4, -1.0))


STEPS = ByBudget(
    quick=tuple({"inverse_step": f, "width": 64, "members": 60, "group": 10} for f in (4.0, 8.0, 16.0, 32.0)),
    standard=tuple({"inverse_step": f, "width": 64, "members": 200, "group": 10} for f in (4.0, 8.0, 16.0, 32.0)),
)

OTHER_GRADIENT = {
    "experiment": partial(half_steps, other_parametrisation=True),
    "plan": ByBudget(quick=STEPS.quick[:3]),
}


def _stays(level: float) -> Control:
    return Control("a gap that stays", {"predict": lambda s: level})


CHECKS = (
    Check(
        "the standard parametrisation with a rate for each layer, and the mean-field one on labels: the same training",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE,)),
        predict=lambda s: parametrisations.SameTraining(),
        experiment=parametrisations.side_by_side,
        plan=ByBudget(quick=({"width": 32, "steps": 30},)),
        compare=parametrisations.compare,
        controls=(
            Control("one rate for all layers", {"experiment": partial(parametrisations.side_by_side, one_rate=True)}),
            Control("labels not scaled", {"experiment": partial(parametrisations.side_by_side, scale_labels=False)}),
            Control("rate times sqrt(n)", {"experiment": partial(parametrisations.side_by_side, rate_power=1)}),
            Control("1e-9 off", {"predict": lambda s: parametrisations.SameTraining(1e-9)}),
        ),
    ),
    Check(
        "64 units: half the step changes half as much, in the limit of small steps",
        LimitWithRate(rate=None),
        settings=ByBudget(quick=(TWO_POINTS,)),
        predict=lambda s: 2.0,
        experiment=half_steps,
        plan=STEPS,
        compare=compare_half_steps,
        controls=(
            Control("the halved step follows another gradient", OTHER_GRADIENT),
            Control("a change like the square of the step", {"predict": lambda s: 4.0}),
            Control("a change like its root", {"predict": lambda s: 2**0.5}),
            Control("1.9 for 2", {"predict": lambda s: 1.9}),
        ),
    ),
    Check(
        "long and short steps part by less the wider the network",
        SQUARES,
        settings=SETTINGS,
        predict=lambda s: 0.0,
        experiment=long_and_short_steps,
        plan=ByBudget(
            quick=(),
            standard=spread(((32, 1000), (128, 500), (512, 200), (2048, 50)), 500),
            full=spread(((64, 2000), (256, 2000), (1024, 1000), (4096, 500), (16384, 100)), 500),
        ),
        compare=compare_gap,
        controls=(_stays(0.01), Control("n^-1/4", {"claim": LimitWithRate(rate=(-0.6, -0.4))})),
    ),
    Check(
        "labels: the squared gap to the linearisation decays with the width",
        SQUARES,
        settings=SETTINGS,
        predict=lambda s: 0.0,
        experiment=label_gaps,
        plan=GAPS,
        compare=compare_gap,
        controls=(
            Control("mean-field parametrisation", {"experiment": partial(label_gaps, label_power=0.5), "plan": MEAN_FIELD_PLAN}),
            _stays(0.01),
            Control("n^-1/4", {"claim": LimitWithRate(rate=(-0.6, -0.4))}),
        ),
    ),
    Check(
        "labels: what they do to an ensemble's variance decays with the width",
        LimitWithRate(rate=(-1.2, -0.6)),
        settings=SETTINGS,
        experiment=labelled_ensembles,
        plan=LABELS,
        compare=compare_label_ladder,
        controls=(
            Control("mean-field parametrisation", {"experiment": partial(labelled_ensembles, label_power=0.5), "plan": MEAN_FIELD_PLAN}),
            Control("a difference that stays", {"claim": LimitWithRate(rate=(-0.2, 0.2))}),
            Control("n^-2", {"claim": LimitWithRate(rate=(-2.2, -1.8))}),
        ),
    ),
)  # fmt: skip
