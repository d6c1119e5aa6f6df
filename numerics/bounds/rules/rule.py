"""How a theorem's certificates are verified: the exact ends, what they bound, their own events, and where inputs may come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flint import arb

from ....theory.validation import log_inverse_delta

Inputs = Mapping[str, Any]
Ends = tuple[arb, arb | None]
# (name of the event, ln(1/delta) that the formula spends on it); a name of None is chosen by whoever computes the bound
Event = tuple[str | None, float]


def unit_range(inputs: Inputs) -> tuple[float, float]:
    """Losses in [0, 1]."""
    return 0.0, 1.0


def no_range(inputs: Inputs) -> tuple[float, float]:
    """Nothing is known of the quantity's range."""
    return -math.inf, math.inf


def range_of_form(inputs: Inputs) -> tuple[float, float]:
    """[0, 1] for the form "bounded", nothing for the others."""
    return unit_range(inputs) if inputs["form"] == "bounded" else no_range(inputs)


def level(inputs: Inputs) -> float:
    """ln(1/delta) as the certificate states it, validated."""
    return log_inverse_delta(log_inv_delta=inputs["log_inv_delta"])


@dataclass(frozen=True)
class Rule:
    """`ends(inputs, digits)` are balls around the exact upper and lower bound (None where there is no lower one), computed from the
    validated inputs by ball arithmetic alone; `events(inputs)` are those that this formula pays for, `parts` the theorems whose
    certificates may supply an input. `span(inputs)` is the range of the quantity: above it a bound is clipped, below it a lower one is idle."""

    ends: Callable[[Inputs, int], Ends]
    quantity: str
    events: Callable[[Inputs], Sequence[Event]]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    span: Callable[[Inputs], tuple[float, float]] = unit_range
    notes: tuple[str, ...] = ()  # what the quantity's name may carry in brackets


def one_event(name: str | None) -> Callable[[Inputs], Sequence[Event]]:
    """The whole `log_inv_delta` of the inputs goes to one event."""
    return lambda inputs: ((name, level(inputs)),)
