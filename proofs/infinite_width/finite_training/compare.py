"""From rows to evidence: ladders of totals with their nonlinear part, orders of paired means, and the theories under which an order is 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Ladder, Paired
from ....numerics.intervals import multiplier
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ...result import Control
from ..finite_networks import table
from ..kernels import nngp

BATCHES = 80


@dataclass(frozen=True)
class LimitPrediction:
    """Variances (S,) that distillation and ensembles have in the limit of infinite width."""

    variance: Float[np.ndarray, " test"]


def relative(rows: Rows, name: str, limit: np.ndarray) -> np.ndarray:
    """The columns of one quantity over its limit, averaged over the test points."""
    return np.asarray((table(rows, name, len(limit)) / limit).mean(axis=1))


def compare_widths(s: Any, p: LimitPrediction, rows: Rows, *, factor: float = 2.0) -> Ladder:
    """Mean squared error of the heads over `factor` times the limit, less 1; the correction is its nonlinear part.

    Where widths go beyond a thousand, those below a hundred are left out: they are before the stretch on which powers of 1/n describe the
    correction (it falls like 1/(n + m), with m of a few hundred for four heads), and would bend the extrapolation.
    """
    if rows["width"].max() > 1000:
        wide = rows["width"] > 100
        rows = {name: column[wide] for name, column in rows.items()}
    linearised, correction = (relative(rows, name, factor * p.variance) for name in ("linearised", "correction"))
    return nngp.ladder(rows["width"], linearised + correction - 1, correction)


def compare_linearised(s: Any, p: LimitPrediction, rows: Rows) -> Ladder:
    """The same for networks that are not trained: the bias of the linearised error is all there is."""
    bias = relative(rows, "linearised", p.variance) - 1
    return nngp.ladder(rows["width"], bias, bias)


def compare_label_ladder(s: Any, p: LimitPrediction, rows: Rows) -> Ladder:
    """Nonlinear change of the variance with zero labels less that with labels, over the limit."""
    found = relative(rows, "zeros", p.variance) - relative(rows, "labels", p.variance)
    return nngp.ladder(rows["width"], found, found)


def compare_gap(s: Any, p: float, rows: Rows) -> Ladder:
    """A gap less its predicted limit."""
    return nngp.ladder(rows["width"], rows["gap"] - p, rows["gap"])


def compare_half_steps(s: Any, p: float, rows: Rows) -> Ladder:
    """The ratio of successive changes over its predicted limit, less 1."""
    found = rows["ratio"] / p - 1
    return nngp.ladder(rows["inverse_step"], found, found)


def compare_heads(s: Any, p: LimitPrediction, rows: Rows, *, width: int | None = None) -> Paired:
    """Corrections of fewer heads less those of more, over twice the limit, at one width: the latter are further below zero."""
    found = _by(rows if width is None else where(rows, width=width), "heads", "correction", 2 * p.variance)
    return _stacked([few - many for few, many in pairwise(found)])


def compare_decay(s: Any, p: LimitPrediction, rows: Rows, *, heads: int) -> Paired:
    """Corrections of a width less those of the next narrower one, and 0 less that of the widest: below zero, and nearer to it each time."""
    found = _by(where(rows, heads=heads), "width", "correction", 2 * p.variance)
    return _stacked([*(wide - narrow for narrow, wide in pairwise(found)), -found[-1]])


def compare_labels(s: Any, p: LimitPrediction, rows: Rows) -> Paired:
    """Nonlinear change of the variance with zero labels, less that with labels."""
    return _stacked([relative(rows, "zeros", p.variance) - relative(rows, "labels", p.variance)])


def compare_directions(s: Any, p: LimitPrediction, rows: Rows) -> Paired:
    """One direction for all heads reports less than the limit and, with more heads, still less; one for each head reports more than it."""
    shared, separate = (
        _by(where(rows, directions=name), "heads", "linearised", p.variance) for name in ("shared", "separate")
    )
    return _stacked(
        [*(1 - value for value in shared), *(few - many for few, many in pairwise(shared)), separate[-1] - 1]
    )


def compare_bayesian_heads(s: Any, p: LimitPrediction, rows: Rows) -> Paired:
    """Nonlinear corrections of Bayesian distillation: above zero, the more so the more heads."""
    found = _by(rows, "heads", "correction", p.variance)
    return _stacked([found[0], *(many - few for few, many in pairwise(found))])


def turned(compare: Callable[..., Paired]) -> Callable[..., Paired]:
    """Every order the other way round."""
    return partial(_turn, compare)


def no_difference(compare: Callable[..., Paired]) -> Control:
    """The theory of the limit, in which every one of these differences is 0: the same rows, held to that."""
    changes = {"claim": Agreement("Monte Carlo"), "compare": partial(_zero, compare)}
    return Control("no difference, as in the limit", changes)


def _turn(compare: Callable[..., Paired], s: Any, p: Any, rows: Rows) -> Paired:
    return Paired(-compare(s, p, rows).differences)


def _zero(compare: Callable[..., Paired], s: Any, p: Any, rows: Rows) -> Comparison:
    """Each mean difference against 0, to within the interval that an `Ordering` would give it."""
    found = compare(s, p, rows).differences
    orders, replicates = found.shape
    half = multiplier(orders, degrees=replicates - 1) * found.std(axis=1, ddof=1) / math.sqrt(replicates)
    return Comparison(found.mean(axis=1), np.zeros(orders), half, 1.0)


def where(rows: Rows, **entries: Any) -> Rows:
    """The rows of blocks with these entries."""
    keep = np.all([rows[name] == value for name, value in entries.items()], axis=0)
    return {name: column[keep] for name, column in rows.items()}


def _by(rows: Rows, entry: str, name: str, limit: np.ndarray) -> list[np.ndarray]:
    """`relative` for each value of a block's entry, in ascending order, as equally many means of batches."""
    return [batches(relative(where(rows, **{entry: value}), name, limit)) for value in np.unique(rows[entry])]


def batches(values: np.ndarray, count: int = BATCHES) -> np.ndarray:
    """Means of `count` batches of independent rows: replicates of one number, however many rows there are."""
    if len(values) < 2 * count:
        raise InvalidInput(f"{len(values)} rows are too few for {count} batches.", "Plan more networks.")
    return np.array([part.mean() for part in np.array_split(values, count)])


def _stacked(differences: Sequence[np.ndarray]) -> Paired:
    return Paired(np.stack([*differences]))
