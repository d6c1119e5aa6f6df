"""Steepest descent on the exponential loss of separable data, with respect to the l1, l2 or l_inf norm, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite


def descend_steepest(
    design: Any, initial: Any, *, norm: Literal["l1", "l2", "linf"], step: float, record: Sequence[int]
) -> tuple[Float[np.ndarray, "records parameters"], Float[np.ndarray, " records"]]:
    """Weights and losses after each number of steps in `record` (increasing), for sum exp(-x_n^T w).

    design (examples, parameters) with labels absorbed, initial (parameters,). l1 moves the coordinate of the largest
    gradient entry by step times that entry; l_inf moves every coordinate by step times the l1 norm of the gradient,
    against its sign; l2 is gradient descent. Raises `NumericalFailure` when the run overflows.
    """
    x, w = finite("design", design, ndim=2), finite("initial", initial, ndim=1).copy()
    times = [int(t) for t in record]
    if x.shape[1:] != w.shape or not x.size:
        raise InvalidInput(f"design has shape {x.shape}, initial {w.shape}.", "Pass one weight per design column.")
    if not times or times[0] < 0 or (np.diff(times) <= 0).any() or not step > 0 or norm not in ("l1", "l2", "linf"):
        raise InvalidInput(
            f"record is {times}, step {step!r}, norm {norm!r}.", "Pass increasing whole numbers of steps."
        )
    weights: list[np.ndarray] = []
    losses: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(times[-1] + 1):
            force = np.exp(-(x @ w))
            if t == times[len(weights)]:
                weights.append(w.copy())
                losses.append(float(force.sum()))
            down = x.T @ force
            if norm == "l1":
                largest = int(np.argmax(np.abs(down)))
                w[largest] += step * down[largest]
            elif norm == "linf":
                w += step * np.abs(down).sum() * np.sign(down)
            else:
                w += step * down
    path, values = np.array(weights), np.array(losses)
    if not (np.isfinite(path).all() and np.isfinite(values).all()):
        raise NumericalFailure(f"Steepest descent blew up with step {step:g}.", "Lower the step.")
    return path, values
