"""`report`: a finished training run of a linear model against theory: measured laws, their distance to the prediction, measured rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput
from .assess import assess, starting_law
from .assessment import Assessment
from .classification_report import MeasuredMargin, measure_classification
from .coordinates import coordinates
from .least_squares import design_matrix
from .max_margin import absorb_labels
from .regression_report import Measured, measure_regression
from .training_run import TrainingRun


@dataclass(frozen=True, eq=False)
class RunReport:
    """The assessment of a run, its measured laws, and its rate in the later half of the steps, in the unit of the predicted one.

    The unit is a factor per step for the squared loss, and a power of time for classification.
    """

    assessment: Assessment
    measured: tuple[Measured, ...] | tuple[MeasuredMargin, ...]
    measured_rate: float | None

    @property
    def agrees(self) -> bool | None:
        """Do all steps agree with what theory says of every finite step? None where it says nothing."""
        found = [row.agrees for row in self.measured if row.agrees is not None]
        return all(found) if found else None

    def __str__(self) -> str:
        lines = [str(self.assessment), *map(str, self.measured)]
        rate = self.assessment.rate
        if self.measured_rate is not None and rate is not None:
            what = "exponent of time" if rate.kind == "power of time" else "factor per step"
            lines.append(f"measured {what} {self.measured_rate:.6g}, predicted {rate.factor:.6g}")
        return "\n".join(lines)


def report(model: Any, data: Any, run: TrainingRun | None = None) -> RunReport:
    """Compare a finished run with what theory says of it.

    model: features X (examples, parameters), a torch module that is linear in its trainable parameters (its `linear_design`
    is then taken; parameters in the order of `module.parameters()`), or an IBVI posterior over such a module, which knows
    its own run. data: targets (examples,), or labels -1 and 1 for the logistic and exponential losses; (inputs, targets)
    for a module and a posterior. Raises `InvalidInput`, `AssumptionViolated` for a module that is not linear and for a run
    that no theorem describes.
    """
    if hasattr(model, "family") and hasattr(model, "law"):
        if run is not None:
            raise InvalidInput("A posterior with a run of its own and `run`.", "Leave `run` out.")
        from ..methods.ibvi_run import posterior_run

        x, y, run = posterior_run(model, data)
    else:
        if not isinstance(run, TrainingRun):
            raise InvalidInput(f"run is a {type(run).__name__}.", "Pass TrainingRun(training, laws).")
        x, y = _problem(model, data, squared=run.training.loss == "squared")
    squared = run.training.loss == "squared"
    laws = {step: starting_law(run.laws[step], x.shape[1]) for step in sorted(run.laws)}
    if squared:
        found = assess(x, y, training=run.training, start=laws[0])
        return RunReport(found, *measure_regression(x, y, run, laws, found))
    rows = absorb_labels(x, y)
    found = assess(rows, training=run.training, start=laws[0])
    frame = coordinates(run.training.metric, parameters=x.shape[1])
    return RunReport(found, *measure_classification(rows, run, laws, found, frame))


def _problem(model: Any, data: Any, *, squared: bool) -> tuple[np.ndarray, np.ndarray]:
    if not hasattr(model, "named_parameters"):
        return design_matrix(model), np.asarray(data, dtype=np.float64)
    from .linear_modules import linear_design

    inputs, targets = data
    design, offset = linear_design(model, inputs)
    y = np.asarray(targets, dtype=np.float64).reshape(-1)
    if squared:
        return design, y - offset
    if offset.any():
        raise AssumptionViolated(
            "The module's output has a part that is not trained.",
            "ib.logit_maxmargin and ib.class_w2 are about x^T w: train the bias too, or freeze it at 0.",
        )
    return design, y
