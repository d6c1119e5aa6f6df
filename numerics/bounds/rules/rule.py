"""How a theorem's certificates are verified: the exact ends, what they bound, their own events, and where inputs may come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flint import arb

from ....theory.validation import log_inverse_delta

Inputs = Mapping[str, Any]
Ends = tuple[arb, arb | None]
# (name of the event, ln(1/delta) that the formula spends on it); a name of None is chosen by whoever computes the bound
Event = tuple[str | None, float]


def level(inputs: Inputs) -> float:
    """ln(1/delta) as the certificate states it, validated."""
    return log_inverse_delta(log_inv_delta=inputs["log_inv_delta"])


@dataclass(frozen=True)
class Rule:
    """`ends(inputs, digits)` are balls around the exact upper and lower bound (None where there is no lower one), computed from the
    validated inputs by ball arithmetic alone; `events(inputs)` are those that this formula pays for, `parts` the theorems whose
    certificates may supply an input."""

    ends: Callable[[Inputs, int], Ends]
    quantity: str
    events: Callable[[Inputs], Sequence[Event]]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def one_event(name: str | None) -> Callable[[Inputs], Sequence[Event]]:
    """The whole `log_inv_delta` of the inputs goes to one event."""
    return lambda inputs: ((name, level(inputs)),)
