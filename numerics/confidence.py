"""The delta ledger: who spent which part of a confidence level. Spending twice, or more than was declared, is an error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ..theory.errors import DeltaOverspent, InvalidInput
from ..theory.validation import log_inverse_delta

# Shares of a declared delta are float64 quotients and differences: their sum may exceed it by rounding alone.
_ROUNDING = 2.0**-50


@dataclass(frozen=True)
class Spending:
    """One event that can fail, and ln(1/delta) of the probability that was set aside for it."""

    event: str
    log_inv_delta: float

    @property
    def delta(self) -> float:
        """The probability itself; 0.0 where it underflows."""
        return math.exp(-self.log_inv_delta)


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
    def single(cls, event: str, log_inv_delta: float) -> DeltaLedger:
        """A ledger whose whole delta goes to one event."""
        return cls(log_inv_delta, (Spending(event, log_inv_delta),))

    def spend(self, event: str, *, delta: Any = None, log_inv_delta: Any = None) -> DeltaLedger:
        """Set part of the total aside for `event`."""
        amount = log_inverse_delta(delta, log_inv_delta)
        if any(entry.event == event for entry in self.entries):
            raise DeltaOverspent(
                f"The event {event!r} was already paid for.",
                "A second use of the same delta is a second event: give it a name and a share of its own.",
            )
        spent = replace(self, entries=(*self.entries, Spending(event, amount)))
        if spent.spent_log_inv_delta < self.log_inv_delta - _ROUNDING:
            raise DeltaOverspent(
                f"Spending {math.exp(-amount):g} on {event!r} brings the total to {math.exp(-spent.spent_log_inv_delta):g}, more than the "
                f"declared {math.exp(-self.log_inv_delta):g}.",
                "Lower the shares or declare a larger delta.",
            )
        return spent

    def merge(self, other: DeltaLedger) -> DeltaLedger:
        """The union of two ledgers; both events may fail, so the totals add. A shared event name is an error."""
        merged = DeltaLedger(-_log_add(-self.log_inv_delta, -other.log_inv_delta), self.entries)
        for entry in other.entries:
            merged = merged.spend(entry.event, log_inv_delta=entry.log_inv_delta)
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
        """What was spent in all, as a probability rounded up (0.0 where it underflows)."""
        exact = math.fsum(entry.delta for entry in self.entries)
        return min(1.0, exact * (1 + _ROUNDING))

    def require_spent(self) -> None:
        """Refuse a ledger in which nothing was spent: a certificate without a failure event is a mistake."""
        if not self.entries:
            raise InvalidInput("No part of delta was spent.", "Every certificate names the events that can fail.")


def _log_add(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
