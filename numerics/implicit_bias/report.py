"""`report`: a finished training run of a linear model against theory: measured law, its distance to the prediction, measured rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .assess import assess, starting_law
from .assessment import Assessment
from .gaussian_law import GaussianLaw
from .least_squares import UNIT_ROUNDOFF, design_matrix, whole_times
from .metric_regression import metric_law_rounding_floor, metric_regression_path
from .training_choices import Training
from .wasserstein import wasserstein2


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A run to be compared with theory: the settings, and the law or point of the parameters after some numbers of steps.

    laws: step -> `GaussianLaw` or point (parameters,), step 0, the start, among them. Raises `InvalidInput`.
    """

    training: Training
    laws: Mapping[int, Any]

    def __post_init__(self) -> None:
        steps = sorted(self.laws)
        whole_times(steps)
        if len(steps) < 2 or steps[0] != 0:
            raise InvalidInput(
                f"laws has the steps {steps[:5]}.", "Give the start (step 0) and at least one later step."
            )


@dataclass(frozen=True)
class Measured:
    """After `step` steps: W2 to the predicted limit; W2 to the law predicted for this step and what rounding allows, if there is one."""

    step: int
    to_limit: float | None
    to_path: float | None
    allowed: float | None

    @property
    def agrees(self) -> bool | None:
        """Is the run within rounding of the predicted path? None where no path is predicted."""
        return None if self.to_path is None or self.allowed is None else self.to_path <= self.allowed


@dataclass(frozen=True, eq=False)
class RunReport:
    """The assessment of a run, its measured laws, and its rate over the last half of the steps, in the unit of the predicted one."""

    assessment: Assessment
    measured: tuple[Measured, ...]
    measured_rate: float | None

    @property
    def agrees(self) -> bool | None:
        """Do all steps with a predicted law agree? None where theory predicts no law of a step."""
        found = [row.agrees for row in self.measured if row.agrees is not None]
        return all(found) if found else None

    def __str__(self) -> str:
        lines = [str(self.assessment)]
        for row in self.measured:
            parts = [f"step {row.step}:"]
            if row.to_limit is not None:
                parts.append(f"W2 to the limit {row.to_limit:.6g}")
            if row.to_path is not None:
                parts.append(f"W2 to the predicted law {row.to_path:.3g} (rounding allows {row.allowed:.3g})")
            lines.append(" ".join(parts))
        if self.measured_rate is not None and self.assessment.rate is not None:
            lines.append(
                f"measured factor per step {self.measured_rate:.6g}, predicted {self.assessment.rate.factor:.6g}"
            )
        return "\n".join(lines)


def report(model: Any, data: Any, run: TrainingRun) -> RunReport:
    """Compare a run on the squared loss with what theory says of it.

    model: the design X (examples, parameters), or a torch module that is linear in its trainable parameters (its
    `linear_design` is then taken; parameters in the order of `module.parameters()`). data: targets (examples,), or
    (inputs, targets) for a module. Raises `InvalidInput`, `AssumptionViolated` for a module that is not linear.
    """
    if not isinstance(run, TrainingRun):
        raise InvalidInput(f"run is a {type(run).__name__}.", "Pass TrainingRun(training, laws).")
    if run.training.loss != "squared":
        raise InvalidInput(
            f"report compares regression runs; the loss is {run.training.loss}.", "Use `assess` and simulate."
        )
    x, y = _problem(model, data)
    laws = {step: starting_law(run.laws[step], x.shape[1]) for step in sorted(run.laws)}
    found = assess(x, y, training=run.training, start=laws[0])
    rows = tuple(_measured(x, y, run.training, found, laws, step) for step in laws)
    return RunReport(found, rows, _rate(rows, found))


def _problem(model: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    if hasattr(model, "named_parameters"):
        from .linear_modules import linear_design

        inputs, targets = data
        design, offset = linear_design(model, inputs)
        return design, np.asarray(targets, dtype=np.float64).reshape(-1) - offset
    return design_matrix(model), np.asarray(data, dtype=np.float64)


def _measured(
    x: np.ndarray, y: np.ndarray, training: Training, found: Assessment, laws: Mapping[int, GaussianLaw], step: int
) -> Measured:
    limit = None if found.law is None else wasserstein2(laws[step], found.law)
    noisy = training.samples is not None and bool(laws[0].factor.any())
    if found.law is None or noisy or training.batch_size is not None:
        return Measured(step, limit, None, None)
    predicted, floor = _path(x, y, training, laws[0], step)
    size = float(np.linalg.norm(laws[0].mean) + np.linalg.norm(laws[0].factor) + np.linalg.norm(predicted.mean))
    # rounding of the run, and of the distance itself (a few roundings of the laws' scale for each entry)
    allowed = floor + 16 * max(laws[0].factor.shape) * UNIT_ROUNDOFF * size
    return Measured(step, limit, wasserstein2(laws[step], predicted), allowed)


def _path(x: np.ndarray, y: np.ndarray, training: Training, start: GaussianLaw, step: int) -> tuple[GaussianLaw, float]:
    """The law after `step` deterministic steps, and the rounding between it and a run; a covariance rate is a metric of the factor."""
    metric = np.ones(x.shape[1]) if training.metric is None else finite("metric", training.metric)
    options: dict[str, Any] = {
        "mean_metric": metric,
        "factor_metric": training.covariance_rate * metric,
        "step": training.step,
        "momentum": training.momentum,
        "variant": "look_ahead" if training.nesterov else "heavy_ball",
    }
    path = metric_regression_path(x, y, start, time=step, **options)
    return path, metric_law_rounding_floor(x, y, start, steps=step, **options)


def _rate(rows: tuple[Measured, ...], found: Assessment) -> float | None:
    """Geometric mean over the later half of the steps whose distance (or, in mean square, its square) rounding cannot have made."""
    start = rows[0].to_limit or 0.0
    known = [(row.step, row.to_limit) for row in rows if row.to_limit and row.to_limit > _smallest(row, start)]
    late = [pair for pair in known if 2 * pair[0] >= known[-1][0]]
    if found.rate is None or len(late) < 2:
        return None
    (first, before), (last, after) = late[0], late[-1]
    power = 2 if found.rate.kind == "mean square per step" else 1
    return math.exp(power * math.log(after / before) / (last - first))


def _smallest(row: Measured, start: float) -> float:
    """A hundred times what rounding may be: as derived for the step, or 1000 roundings of the start where no path is predicted."""
    return 100 * (1000 * UNIT_ROUNDOFF * start if row.allowed is None else row.allowed)
