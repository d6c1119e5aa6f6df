"""Plain gradient descent on linear regression, weights or a Gaussian law over them: the experiment, step by step.

Nothing here knows where descent will end: every step evaluates the gradient of the loss at the current point. Loss
conventions: sum or mean over examples, with or without the factor 1/2 (`half`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite

Reduction = Literal["sum", "mean"]


def descend_weights(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    step: float,
    record: Sequence[int],
    reduction: Reduction = "sum",
    half: bool = True,
) -> Float[np.ndarray, "records parameters"]:
    """Weights after each number of steps in `record`, by w <- w - step * gradient of the squared loss of y - X w.

    design (examples, parameters), targets (examples,), initial (parameters,), float64; `record` is strictly increasing.
    Raises `InvalidInput` on shapes or values that make no sense, `NumericalFailure` when the iterates overflow.
    """
    w = finite("initial", initial, ndim=1)
    y = finite("targets", targets, ndim=1)
    return _descend(design, y[:, None], w[:, None], step, record, reduction, half)[:, :, 0]


def descend_gaussian_law(
    design: Any,
    targets: Any,
    mean: Any,
    factor: Any,
    *,
    step: float,
    record: Sequence[int],
    reduction: Reduction = "sum",
    half: bool = True,
) -> tuple[Float[np.ndarray, "records parameters"], Float[np.ndarray, "records parameters rank"]]:
    """Means and factors after each number of steps in `record`, descending the expected loss of w = mean + factor z.

    With z of mean 0 and covariance I the expected squared error is ||y - X mean||^2 + ||X factor||_F^2: the squared
    error of the columns [mean, factor] for the targets [y, 0]. No divergence from a prior is added. factor has shape
    (parameters, rank); everything else is as in `descend_weights`.
    """
    m, s = finite("mean", mean, ndim=1), finite("factor", factor, ndim=2)
    y = finite("targets", targets, ndim=1)
    if s.shape[0] != len(m) or s.shape[1] == 0:
        raise InvalidInput(
            f"mean has shape {m.shape}, factor {s.shape}.", "The factor needs a row per entry of the mean."
        )
    columns = np.column_stack([m, s])
    goals = np.column_stack([y, np.zeros((len(y), s.shape[1]))])
    path = _descend(design, goals, columns, step, record, reduction, half)
    return path[:, :, 0], path[:, :, 1:]


def _descend(
    design: Any,
    goals: np.ndarray,
    start: np.ndarray,
    step: float,
    record: Sequence[int],
    reduction: Reduction,
    half: bool,
) -> np.ndarray:
    x = finite("design", design, ndim=2)
    if x.shape != (len(goals), len(start)) or x.shape[1] == 0:
        raise InvalidInput(
            f"design has shape {x.shape}, but there are {len(goals)} targets and {len(start)} weights.",
            "Pass a design of shape (examples, parameters) with at least one parameter.",
        )
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number.")
    times = list(record)
    if not times or any(t != int(t) or t < 0 for t in times) or (np.diff(times) <= 0).any():
        raise InvalidInput(f"record is {times!r}.", "Pass one or more increasing whole numbers of steps.")
    scale = _gradient_scale(len(goals), reduction, half)
    kept: list[np.ndarray] = []
    w = start.copy()
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is reported below, once
        for t in range(int(times[-1]) + 1):
            if t == times[len(kept)]:
                kept.append(w.copy())
            w -= step * (scale * (x.T @ (x @ w - goals)))
    path = np.stack(kept)
    if not np.isfinite(path).all():
        raise NumericalFailure(f"Descent diverged with step {step:g}.", "Lower the step below `largest_stable_step`.")
    return path


def _gradient_scale(examples: int, reduction: Reduction, half: bool) -> float:
    if reduction not in ("sum", "mean"):
        raise InvalidInput(f"reduction is {reduction!r}.", "Pass 'sum' or 'mean'.")
    return (1.0 if half else 2.0) / (max(examples, 1) if reduction == "mean" else 1)
