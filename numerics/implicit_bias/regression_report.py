"""A run on the squared loss, step by step: its laws against the predicted limit and the predicted path, and its rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.validation import finite
from .assessment import Assessment
from .gaussian_law import GaussianLaw
from .least_squares import UNIT_ROUNDOFF
from .metric_regression import metric_law_rounding_floor, metric_regression_path
from .training_choices import Training
from .training_run import TrainingRun
from .wasserstein import wasserstein2


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

    def __str__(self) -> str:
        parts = [f"step {self.step}:"]
        if self.to_limit is not None:
            parts.append(f"W2 to the limit {self.to_limit:.6g}")
        if self.to_path is not None:
            parts.append(f"W2 to the predicted law {self.to_path:.3g} (rounding allows {self.allowed:.3g})")
        return " ".join(parts)


def measure_regression(
    x: np.ndarray, y: np.ndarray, run: TrainingRun, laws: Mapping[int, GaussianLaw], found: Assessment
) -> tuple[tuple[Measured, ...], float | None]:
    """One row for each recorded step, in order, and the measured rate in the unit of the predicted one."""
    rows = tuple(_measured(x, y, run, found, laws, step) for step in laws)
    return rows, _rate(rows, run, found)


def _measured(
    x: np.ndarray, y: np.ndarray, run: TrainingRun, found: Assessment, laws: Mapping[int, GaussianLaw], step: int
) -> Measured:
    training = run.training
    limit = None if found.law is None else wasserstein2(laws[step], found.law)
    noisy = training.samples is not None and bool(laws[0].factor.any())
    if found.law is None or noisy or training.batch_size is not None:
        return Measured(step, limit, None, None)
    predicted, floor = _path(x, y, training, laws[0], step)
    size = float(np.linalg.norm(laws[0].mean) + np.linalg.norm(laws[0].factor) + np.linalg.norm(predicted.mean))
    # rounding of the run, and of the distance itself (a few roundings of the laws' scale for each entry)
    allowed = run.unit * (floor + 16 * max(laws[0].factor.shape) * UNIT_ROUNDOFF * size)
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


def _rate(rows: tuple[Measured, ...], run: TrainingRun, found: Assessment) -> float | None:
    """Geometric mean over the later half of the steps whose distance (or, in mean square, its square) rounding cannot have made."""
    start = rows[0].to_limit or 0.0
    known = [(row.step, row.to_limit) for row in rows if row.to_limit and row.to_limit > _smallest(row, run, start)]
    late = [pair for pair in known if 2 * pair[0] >= known[-1][0]]
    if found.rate is None or len(late) < 2:
        return None
    (first, before), (last, after) = late[0], late[-1]
    power = 2 if found.rate.kind == "mean square per step" else 1
    return math.exp(power * math.log(after / before) / (last - first))


def _smallest(row: Measured, run: TrainingRun, start: float) -> float:
    """A hundred times what rounding may be: as derived for the step, or 1000 roundings of the start where no path is predicted."""
    return 100 * (1000 * run.unit * UNIT_ROUNDOFF * start if row.allowed is None else row.allowed)
