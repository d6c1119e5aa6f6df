"""Putting a certificate together: one place where values are clipped, ledgers added and assumptions answered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statement import Answer, Statement
from ...theory.validation import log_inverse_delta
from ..confidence import DeltaLedger, Spending
from .certificate import Certificate

EMPIRICAL_RISK = "empirical Gibbs risk"  # what a certificate in place of a risk must bound
Given = float | int | str | Sequence[float | int | str]


def scalar(name: str, value: Any) -> Any:
    """`value` if it is one number; arrays are refused with advice."""
    try:
        shape = np.shape(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is not numeric ({type(value).__name__}).", "Pass one number.") from error
    if shape:
        raise InvalidInput(
            f"{name} has shape {shape}; one number is expected.", "Average it over examples and draws first."
        )
    return value


def spend(event: str, delta: float | None = None, log_inv_delta: float | None = None) -> Spending:
    """One event of a ledger, from exactly one of the two ways to state its probability."""
    return Spending(event, log_inverse_delta(delta, log_inv_delta), None if delta is None else float(delta))


def issue(
    statement: Statement,
    value: float,
    *,
    quantity: str,
    spent: Sequence[Spending],
    inputs: Mapping[str, Given],
    lower: float | None = None,
    top: float = 1.0,
    parts: Mapping[str, Certificate] | None = None,
    answers: Mapping[str, Answer] | None = None,
) -> Certificate:
    """A certificate whose number is `value`, already rounded to the safe side.

    `top` is the largest value the quantity can take (1 for losses in [0, 1], inf for unbounded ones): the value is clipped there and
    kept in `raw`. `spent` are the events of this bound, to which those of `parts` are added; none at all for statements
    that hold surely or in expectation. Assumptions are unanswered unless a part or `answers` speaks for them. NaN never leaves.
    """
    if math.isnan(value) or (lower is not None and math.isnan(lower)):
        raise InvalidInput(
            f"{statement.key} has no finite value for these inputs.", "They are too extreme for float64."
        )
    ledger: DeltaLedger | None = None
    for one in [p.ledger for p in (parts or {}).values()] + [DeltaLedger(s.log_inv_delta, (s,)) for s in spent]:
        if one.entries:
            ledger = one if ledger is None else ledger.merge(one)
    risk = (parts or {}).get("risk")
    if risk is not None and risk.quantity != EMPIRICAL_RISK:
        raise InvalidInput(
            f"The certificate given as risk bounds the {risk.quantity}.",
            f"Only one for the {EMPIRICAL_RISK} can stand for it: `gibbs_monte_carlo`.",
        )
    found = {a.name: Answer.CANNOT_BE_CHECKED for a in statement.assumptions}
    for part in (parts or {}).values():
        found |= part.answers
    return Certificate(
        value=min(value, top),
        raw=value,
        lower=lower,
        quantity=quantity,
        statement=statement,
        ledger=DeltaLedger(math.inf) if ledger is None else ledger,
        answers={**found, **(answers or {})},
        inputs=dict(inputs),
        parts=dict(parts or {}),
        top=top,
    )
