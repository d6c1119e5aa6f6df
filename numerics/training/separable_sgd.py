"""Mini-batch descent on separable data with a fixed step, many independent runs at once, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite
from .separable import Loss


def descend_mini_batches(
    design: Any,
    initial: Any,
    *,
    step: float,
    batch: int,
    record: Sequence[int],
    runs: int,
    seed: int,
    loss: Loss = "exponential",
    replacement: bool = True,
) -> Float[np.ndarray, "records runs parameters"]:
    """Weights of every run after each number of steps: w <- w - step * the sum of the batch's gradients of phi(x_n^T w).

    design (examples, parameters) with labels absorbed, initial (parameters,). Batches of `batch` rows are drawn anew
    each step (with replacement), or cut from a fresh permutation each epoch (without; `batch` must divide the number of
    rows). Raises `InvalidInput` on shapes or values that make no sense, `NumericalFailure` when a run overflows.
    """
    x, start = finite("design", design, ndim=2), finite("initial", initial, ndim=1)
    n, times = len(x), [int(t) for t in record]
    if x.shape[1:] != start.shape or not x.size or runs < 1 or not 1 <= batch <= n or (n % batch and not replacement):
        raise InvalidInput(
            f"design has shape {x.shape}, initial {start.shape}, batch is {batch}, runs {runs}.",
            "Pass one weight per column, at least one run, and a batch that divides the rows if nothing is replaced.",
        )
    if (
        not times
        or times[0] < 0
        or (np.diff(times) <= 0).any()
        or not step > 0
        or loss not in ("exponential", "logistic")
    ):
        raise InvalidInput(
            f"record is {times}, step {step!r}, loss {loss!r}.", "Pass increasing whole numbers of steps."
        )
    rng = np.random.default_rng(seed)
    w, per_epoch = np.tile(start, (runs, 1)), n // batch
    kept: list[np.ndarray] = []
    order = np.tile(np.arange(n), (runs, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(times[-1] + 1):
            if t == times[len(kept)]:
                kept.append(w.copy())
            if replacement:
                chosen = rng.integers(0, n, size=(runs, batch))
            else:
                if t % per_epoch == 0:
                    order = rng.permuted(order, axis=1)
                first = batch * (t % per_epoch)
                chosen = order[:, first : first + batch]
            rows = x[chosen]
            margins = np.einsum("rbp,rp->rb", rows, w)
            force = np.exp(-margins) if loss == "exponential" else 1 / (1 + np.exp(margins))
            w = w + step * np.einsum("rb,rbp->rp", force, rows)
    path = np.stack(kept)
    if not np.isfinite(path).all():
        raise NumericalFailure(f"Mini-batch descent blew up with step {step:g}.", "Lower the step.")
    return path
