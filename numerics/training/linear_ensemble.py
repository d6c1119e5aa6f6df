"""Many linear members trained at once: one matrix recursion for a whole deep ensemble, with heavy ball, batches and anchors.

The loss of a member is 1/2 ||y - X w||^2 (sum over examples, factor 1/2), plus anchor/2 ||w - w_0||^2 when it is pulled
back to its own start. Gradients lie in the span of the rows, so a member is w_0 - step X^T a with one number a_n per
example, and its residual r_0 - step X X^T a: the members' a are the columns of one matrix, and a step is one product with
the kernel X X^T for all of them (or with X^T X, on the weights themselves, where there are fewer parameters than
examples). Members are worked on in blocks that fit into the cache. Nothing here knows where members end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite, non_negative, sample_size

_CACHED = 20_000  # entries of one work array


def descend_ensemble(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    step: float,
    record: Sequence[int],
    momentum: float = 0.0,
    anchor: float = 0.0,
    batch: int | None = None,
    seed: int | None = None,
) -> Float[np.ndarray, "records members parameters"]:
    """Weights of every member after each number of steps in `record` (increasing whole numbers).

    design (examples, parameters); targets (examples,), or (members, examples) when every member has its own; initial
    (members, parameters). Heavy ball starts at rest. With `batch` every member draws its own rows at every step, without
    replacement and weighted by examples/batch, from the given `seed`. Raises `InvalidInput` on shapes or values that make
    no sense and `NumericalFailure` when the iterates overflow.
    """
    x, start = finite("design", design, ndim=2), finite("initial", initial, ndim=2)
    y = finite("targets", targets)
    if x.shape[1:] != start.shape[1:] or not start.size or y.shape not in ((len(x),), (len(start), len(x))):
        raise InvalidInput(
            f"design has shape {x.shape}, targets {y.shape}, initial {start.shape}.",
            "Pass (examples, parameters), (examples,) or (members, examples), and (members, parameters).",
        )
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number.")
    if not 0 <= float(finite("momentum", momentum, ndim=0)) < 1:
        raise InvalidInput(f"momentum is {momentum!r}.", "Heavy ball needs a value in [0, 1).")
    pull = float(finite("anchor", non_negative("anchor", anchor), ndim=0))
    times = list(record)
    if not times or any(t != int(t) or t < 0 for t in times) or (np.diff(times) <= 0).any():
        raise InvalidInput(f"record is {times!r}.", "Pass one or more increasing whole numbers of steps.")
    size = len(x) if batch is None else sample_size("batch", batch)
    if size > max(len(x), 1) or (size < len(x) and seed is None):
        raise InvalidInput(f"batch is {batch}, seed is {seed}.", "Draw at most all rows, and say from which seed.")

    by_example = size < len(x) or len(x) <= x.shape[1]
    matrix = step * (x @ x.T if by_example else x.T @ x)
    lift = x if by_example else None
    rng, kept = np.random.default_rng(seed), np.empty((len(times), *start.shape))
    block = max(64, _CACHED // max(len(matrix), 1))
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is reported below, once
        for first in range(0, len(start), block):
            members = slice(first, first + block)
            residual = x @ start[members].T - (y[members].T if y.ndim == 2 else y[:, None])
            slope = residual if by_example else x.T @ residual
            draws = (rng, size) if size < len(x) else None
            for place, moved in enumerate(_moved(matrix, slope, times, float(momentum), step * pull, draws)):
                kept[place, members] = start[members] - step * (moved.T if lift is None else moved.T @ lift)
    if not np.isfinite(kept).all():
        raise NumericalFailure(f"Descent diverged with step {step:g}.", "Lower the step below `largest_stable_step`.")
    return kept


def _moved(
    matrix: np.ndarray,
    slope: np.ndarray,
    times: list[int],
    momentum: float,
    pull: float,
    draws: tuple[np.random.Generator, int] | None,
) -> Iterator[np.ndarray]:
    """a after each of the times: a <- a + v, v <- momentum v + (slope - matrix a, masked by batches) - pull a."""
    moved, speed, work = np.zeros_like(slope), np.zeros_like(slope), np.empty_like(slope)
    for t in range(int(times[-1]) + 1):
        if t in times:
            yield moved.copy()
        np.matmul(matrix, moved, out=work)
        np.subtract(slope, work, out=work)
        if draws is not None:
            work *= _rows_drawn(draws[0], len(slope), draws[1], slope.shape[1])
        if pull:
            work -= pull * moved
        if momentum:
            speed *= momentum
            speed += work
            moved += speed
        else:
            moved += work


def _rows_drawn(rng: np.random.Generator, examples: int, batch: int, members: int) -> np.ndarray:
    """(examples, members): examples/batch where a row is in the member's batch, 0 elsewhere."""
    order = rng.random((examples, members)).argsort(axis=0).argsort(axis=0)
    return np.asarray((order < batch) * (examples / batch))
