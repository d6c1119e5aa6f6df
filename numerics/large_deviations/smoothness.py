"""Smoothness by the rate function (pb.smoothness): which of two models has the larger rate, up to which deviation, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from .laws import ExponentialLaw, FiniteLaw, GaussianLaw, Law, models, saturation
from .rate import rate

FloatArray = NDArray[np.float64]
_BISECTIONS = 60
# rates agree to about 1e-12 relatively (rounding of I, see finite-law widths): smaller differences are ties
_TIE = 1e-11


@dataclass(frozen=True)
class Summary:
    """Variance, third cumulant, mean - essential minimum, and probability of the minimum: what the rate looks like at both ends."""

    variance: float
    third: float
    gap: float
    mass_at_minimum: float


@dataclass(frozen=True)
class Comparison:
    """`smoother` names the model with the larger rate on all of (0, beta]; beta = inf where it has it everywhere.

    "incomparable": the curves cross; `smoother_near_zero` then is the model that leads on (0, beta], and beta the first crossing. "equal": no
    difference beyond rounding was found. Decided on a grid of deviations; crossings narrower than its steps are not seen.
    """

    smoother: Literal["first", "second", "incomparable", "equal"]
    smoother_near_zero: Literal["first", "second", "equal"]
    beta: float
    first: Summary
    second: Summary


def compare_smoothness(first: ArrayLike | Law, second: ArrayLike | Law, *, points: int = 400) -> Comparison:
    """Compare the rate functions of two models (rows of losses, or laws of `laws`): I_first(a) >= I_second(a) for a in (0, beta].

    points: of the grid, half of it spaced evenly in ln a from 1e-6 of the range, half evenly in a. Raises `InvalidInput`.
    """
    a, b = (x if isinstance(x, Law) else FiniteLaw(np.asarray(x, dtype=np.float64)) for x in (first, second))
    if models(a) != 1 or models(b) != 1 or points < 4:
        raise InvalidInput(
            "One model on each side is compared.", "Pass one row of losses each, and four points or more."
        )
    reach = [float(np.ravel(x.gap)[0]) for x in (a, b)]
    top = min(reach) if np.isfinite(min(reach)) else 20 * float(np.sqrt(max(a.variance[0], b.variance[0])))
    sides = (_summary(a), _summary(b))
    if max(reach) == 0:
        return Comparison("equal", "equal", np.inf, *sides)
    if min(reach) == 0:  # a constant loss: any deviation has an infinite rate
        winner: Any = "first" if reach[0] == 0 else "second"
        return Comparison(winner, winner, np.inf, *sides)
    grid = np.unique(
        np.concatenate([top * np.logspace(-6, -0.1, points // 2), top * np.linspace(0, 1, points // 2 + 2)[1:-1]])
    )
    lead = _lead(a, b, grid)
    # beyond the smaller range that model's rate is infinite; on equal ranges the rates at the end are ln(1/P(minimum))
    ends = reach if abs(reach[0] - reach[1]) > _TIE * top else [-float(saturation(x)[0]) for x in (a, b)]
    beyond = (
        0 if abs(ends[0] - ends[1]) <= _TIE * abs(ends[0]) or ends[0] == ends[1] else (1 if ends[0] < ends[1] else -1)
    )
    signs = np.append(lead, beyond)
    decided = signs[signs != 0]
    if not decided.size:
        return Comparison("equal", "equal", np.inf, *sides)
    near: Any = "first" if decided[0] > 0 else "second"
    if (decided == decided[0]).all():
        return Comparison(near, near, np.inf, *sides)
    index = int(np.argmax(signs == -decided[0]))
    if index == grid.size:
        return Comparison("incomparable", near, top, *sides)
    left, right = (grid[index - 1] if index else 0.0), grid[index]
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        left, right = (left, middle) if _lead(a, b, np.array([middle]))[0] == -decided[0] else (middle, right)
    return Comparison("incomparable", near, float(left), *sides)


def _lead(a: Law, b: Law, grid: FloatArray) -> FloatArray:
    """Sign of I_a - I_b on the grid, 0 where they agree up to rounding."""
    x, y = (rate(_tiled(law, grid.size), grid) for law in (a, b))
    with np.errstate(invalid="ignore"):
        difference = np.where(x == y, 0.0, x - y)
    return np.where(np.abs(difference) <= _TIE * np.minimum(x, y), 0.0, np.sign(difference))


def _tiled(law: Law, count: int) -> Law:
    match law:
        case FiniteLaw():
            return FiniteLaw(np.tile(np.ravel(law.losses), (count, 1)), law.weight[0])
        case ExponentialLaw():
            return ExponentialLaw(np.full(count, law.mean[0]))
        case GaussianLaw():
            return GaussianLaw(np.full(count, law.variance[0]))


def _summary(law: Law) -> Summary:
    third = {ExponentialLaw: lambda: 2 * float(law.variance[0]) ** 1.5, GaussianLaw: lambda: 0.0}.get(type(law))
    return Summary(
        float(law.variance[0]),
        third() if third else float(law.third[0]),  # type: ignore[union-attr]
        float(np.ravel(law.gap)[0]),
        float(np.exp(-saturation(law)[0])),
    )
