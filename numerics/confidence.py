"""The delta ledger: who spent which part of a confidence level. Spending twice, or more than was declared, is an error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ..theory.errors import DeltaOverspent, InvalidInput
from ..theory.validation import log_inverse_delta

# What is compared in logarithms carries the rounding of a logarithm and of a sum of exponentials.
_ROUNDING = 2.0**-50


@dataclass(frozen=True)
class Spending:
    """One event that can fail: ln(1/delta) of the probability set aside for it, and that probability where it was stated."""

    event: str
    log_inv_delta: float
    stated: float | None = None

    @property
    def delta(self) -> float:
        """The probability itself, not rounded down; the smallest float where it underflows."""
        if self.stated is not None:
            return self.stated
        return math.nextafter(math.exp(-self.log_inv_delta) * (1 + 2.0**-51), math.inf)


@dataclass(frozen=True)
class DeltaLedger:
    """A declared total (ln(1/delta)) and what was spent of it. Immutable: `spend` returns a new ledger."""

    log_inv_delta: float
    entries: tuple[Spending, ...] = ()

    @classmethod
    def declare(cls, delta: Any = None, log_inv_delta: Any = None) -> DeltaLedger:
        """An empty ledger for a total failure probability."""
        return cls(log_inverse_delta(delta, log_inv_delta))

    @classmethod
    def single(cls, event: str, log_inv_delta: float, delta: float | None = None) -> DeltaLedger:
        """A ledger whose whole delta goes to one event; `delta` is the probability as it was stated, if it was."""
        return cls(log_inv_delta, (Spending(event, log_inv_delta, None if delta is None else float(delta)),))

    def spend(self, event: str, *, delta: Any = None, log_inv_delta: Any = None) -> DeltaLedger:
        """Set part of the total aside for `event`."""
        return self._add(
            Spending(event, log_inverse_delta(delta, log_inv_delta), None if delta is None else float(delta))
        )

    def _add(self, entry: Spending) -> DeltaLedger:
        if any(earlier.event == entry.event for earlier in self.entries):
            raise DeltaOverspent(
                f"The event {entry.event!r} was already paid for.",
                "A second use of the same delta is a second event: give it a name and a share of its own.",
            )
        spent = replace(self, entries=(*self.entries, entry))
        if spent.spent_log_inv_delta < self.log_inv_delta - _ROUNDING * max(1.0, self.log_inv_delta):
            raise DeltaOverspent(
                f"Spending {entry.delta:g} on {entry.event!r} brings the total to {math.exp(-spent.spent_log_inv_delta):g}, more "
                f"than the declared {math.exp(-self.log_inv_delta):g}.",
                "Lower the shares or declare a larger delta.",
            )
        return spent

    def merge(self, other: DeltaLedger) -> DeltaLedger:
        """The union of two ledgers; both events may fail, so the totals add. A shared event name is an error."""
        merged = DeltaLedger(-_log_add(-self.log_inv_delta, -other.log_inv_delta), self.entries)
        if merged.log_inv_delta <= 0:
            raise DeltaOverspent(
                "Together the events may fail with probability 1.", "Lower the deltas: their sum must be below 1."
            )
        for entry in other.entries:
            merged = merged._add(entry)
        return merged

    @property
    def spent_log_inv_delta(self) -> float:
        """ln(1/sum of what was spent); infinity when nothing was."""
        total = -math.inf
        for entry in self.entries:
            total = _log_add(total, -entry.log_inv_delta)
        return -total

    @property
    def delta(self) -> float:
        """What was spent in all, as a probability, rounded up."""
        exact = sum((Fraction(entry.delta) for entry in self.entries), Fraction(0))
        rounded = float(exact)
        return min(1.0, rounded if Fraction(rounded) >= exact else math.nextafter(rounded, 1.0))


def split_delta(delta: float, share: Any) -> tuple[float, float]:
    """`delta` in two floats, about share * delta and the rest, whose exact sum is not above it. Raises `InvalidInput`."""
    log_inverse_delta(delta)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise InvalidInput(f"The share {share!r} of delta makes no sense.", "It must lie strictly between 0 and 1.")
    first = float(delta) * share
    second = float(delta) - first
    while Fraction(first) + Fraction(second) > Fraction(float(delta)):
        second = math.nextafter(second, 0.0)
    if not (first > 0 and second > 0):
        raise InvalidInput(
            f"delta = {delta:g} is too small to be split.", "Work with log_inv_delta and one event at a time."
        )
    return first, second


def _log_add(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
