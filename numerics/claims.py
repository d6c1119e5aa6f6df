"""What kind of thing a check asserts. How each kind is judged is in `verdict.py`, one procedure per claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Identity:
    """left = right. Evidence: `Enclosures` of left - right; each must contain 0."""


@dataclass(frozen=True)
class Inequality:
    """left >= right. Evidence: `Enclosures` of left - right; none may lie below 0."""


@dataclass(frozen=True)
class Formula:
    """A closed form as shipped: a public function and `predict` against the end of the derivation at 50 digits.

    `sample(rng)` draws a setting; `expression(setting)` is the ball-arithmetic value (one ball or a list of balls);
    `shipped(setting)` calls the public function; `read(prediction)` picks the same numbers from the prediction.
    `width(setting)` is the derived rounding width relative to |exact| (one number or one for each value), and `side`
    says on which side of the exact value the result must lie ("upper": never below; "lower": never above).
    """

    expression: Callable[[Any], Any]
    shipped: Callable[[Any], Any]
    read: Callable[[Any], Any]
    sample: Callable[[np.random.Generator], Any]
    width: Callable[[Any], Any]
    side: Literal["upper", "lower", "both"] = "both"
    count: int = 200
    relative: float = 1e-3  # the widest width that still counts as an answer


@dataclass(frozen=True)
class Agreement:
    """Two independent routes to the same numbers, or a trained system against its formula. Evidence: `Comparison`.

    `because` names where the bound comes from. `relative` is the widest bound, relative to the scale, that still counts
    as an answer.
    """

    because: Literal["rounding", "convergence", "Monte Carlo"]
    relative: float = 1e-3


@dataclass(frozen=True)
class HighProbabilityBound:
    """P(bound fails) <= delta. Evidence: `Coverage`: exact moment and failure probability, or counted violations."""

    power: float = 0.9


@dataclass(frozen=True)
class LimitWithRate:
    """discrepancy(n) -> 0, with a power law n^rate, rate in the declared band. Evidence: `Ladder`.

    The end point is the constant of a weighted fit a + b n^-order + c n^(-2 order); the slope is fitted over the `top`
    largest sizes. `resolution` is the widest interval for the end point that still counts as an answer.
    """

    rate: tuple[float, float] | None
    top: int = 3
    order: float = 1.0
    resolution: float = 0.25


@dataclass(frozen=True)
class Ordering:
    """One quantity is larger than another on average over independent replicates. Evidence: `Paired`."""


@dataclass(frozen=True)
class EqualInLaw:
    """Random numbers have a stated law, exactly at the tested size. Evidence: `Samples`.

    `distance` is the Kolmogorov distance of a column's law from the stated one that must be found with probability
    `power`; the sample size is planned from them and from the number of tests.
    """

    distance: float = 0.05
    power: float = 0.9


Claim = Identity | Inequality | Formula | Agreement | HighProbabilityBound | LimitWithRate | Ordering | EqualInLaw


# --- evidence: what `compare` returns for each claim --------------------------------------------------------------


@dataclass(frozen=True)
class Enclosures:
    """`low <= left - right <= high` at each point, rigorously (exact rationals have low = high).

    `width` is the largest high - low that still decides anything; points wider than it are undecided.
    """

    low: FloatArray
    high: FloatArray
    width: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """|observed - predicted| <= bound, elementwise; `scale` is what the bound is relative to."""

    observed: FloatArray
    predicted: FloatArray
    bound: FloatArray
    scale: FloatArray | float


@dataclass(frozen=True)
class Coverage:
    """Exact: `moment` <= `constant` (each optional) and `failure` <= `delta`. Simulated: `violations` of `trials`."""

    delta: float
    moment: float | None = None
    constant: float | None = None
    failure: float | None = None
    violations: int | None = None
    trials: int | None = None
    rounding: float = 1e-12  # relative rounding of the enumeration's float64 sums
    note: str = ""


@dataclass(frozen=True)
class Ladder:
    """discrepancy and its standard error at each size; optionally a paired `correction` that carries the rate.

    Discrepancies at different sizes come from independent seeds. Without a correction the slope is that of |discrepancy|.
    """

    size: FloatArray
    discrepancy: FloatArray
    standard_error: FloatArray
    correction: FloatArray | None = None
    correction_error: FloatArray | None = None


@dataclass(frozen=True)
class Paired:
    """Differences, larger minus smaller as claimed, of independent paired replicates: one row for each claimed order."""

    differences: FloatArray


@dataclass(frozen=True)
class Samples:
    """Independent draws, one row each, of one or more numbers (columns) whose marginal laws are claimed.

    What a law is held to, each optional: `reference` draws of the stated law by another route, as many rows; `cdf`, the
    stated distribution functions at the `observed` numbers; `mean` and `variance` of the stated laws.
    """

    names: tuple[str, ...]
    observed: FloatArray
    reference: FloatArray | None = None
    cdf: FloatArray | None = None
    mean: FloatArray | None = None
    variance: FloatArray | None = None


Evidence = Enclosures | Comparison | Coverage | Ladder | Paired | Samples
