"""Occam's razor: one bound for every member of a countable class, each at its own share of delta (pb.occam_kl, pb.occam_binomial)."""

from __future__ import annotations

from typing import Any

from ...theory.errors import InvalidInput
from ...theory.statement import Statement
from ...theory.statements.pac_bayes.held_out import OCCAM_BINOMIAL, OCCAM_KL
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.binomial_tail import binomial_upper
from ..certified.kl_inverse import kl_upper
from ..certified.outward import add_up, div_up, log_up, mul_up
from ..confidence import Spending
from .certificate import Certificate
from .held_out import QUANTITY, error_count
from .issue import issue, scalar, spend

EVENT = "Occam union over the class"


def occam_kl(
    *,
    risk: float,
    n: int,
    log_inv_weight: float | None = None,
    code_bits: float | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true risk of one member of a countable class: `value` = UP(risk, (ln(1/w) + ln(1/delta))/n).

    Parameters
    ----------
    risk: its mean loss on the n examples, losses in [0, 1]; it may have been chosen by looking at them.
    n: number of examples.
    log_inv_weight: ln(1/w) in nats, w its weight; weights are positive, sum to at most 1 and were fixed before the examples were seen.
    code_bits: the length of its codeword in bits, in place of log_inv_weight: ln(1/w) = code_bits ln 2 (a prefix-free code).
    delta, log_inv_delta: probability that the bound fails for some member, or ln of its inverse; exactly one.

    It holds for all members at once. For a single predictor it beats the PAC-Bayes-kl bound of a point mass by ln xi(n).
    Raises `InvalidInput`. Source: Langford 2005.
    """
    q, size = float(unit_interval("risk", scalar("risk", risk))), sample_size("n", n)
    inverse_weight, given = weight(log_inv_weight, code_bits)
    spent = spend(EVENT, delta, log_inv_delta)
    c = div_up(add_up(inverse_weight, spent.log_inv_delta), size)
    return _issue(OCCAM_KL, float(kl_upper(q, c)), spent, {"risk": q, "n": size, **given})


def occam_binomial(
    *,
    errors: int,
    n: int,
    log_inv_weight: float | None = None,
    code_bits: float | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true 0-1 risk of one member of a countable class: the exact binomial limit at level delta w.

    errors: number of the n examples that it gets wrong, a whole number. Other parameters as `occam_kl`, and never above it.
    Raises `InvalidInput`. Source: Langford 2005.
    """
    k, size = error_count(errors, n), sample_size("n", n)
    inverse_weight, given = weight(log_inv_weight, code_bits)
    spent = spend(EVENT, delta, log_inv_delta)
    value = float(binomial_upper(k, size, log_inv_delta=add_up(inverse_weight, spent.log_inv_delta)))
    return _issue(OCCAM_BINOMIAL, value, spent, {"errors": k, "n": size, **given})


def weight(log_inv_weight: Any, code_bits: Any) -> tuple[float, dict[str, float]]:
    """ln(1/w) rounded up, and the one of the two that was given."""
    if (log_inv_weight is None) == (code_bits is None):
        raise InvalidInput(
            "Give exactly one of log_inv_weight (nats) and code_bits.", "A code of b bits has ln(1/w) = b ln 2."
        )
    name, value = ("code_bits", code_bits) if log_inv_weight is None else ("log_inv_weight", log_inv_weight)
    number = float(non_negative(name, finite(name, scalar(name, value))))
    return (mul_up(number, log_up(2.0)) if log_inv_weight is None else number), {name: number}


def _issue(statement: Statement, value: float, spent: Spending, inputs: dict[str, Any]) -> Certificate:
    given = {**inputs, "log_inv_delta": spent.log_inv_delta}
    return issue(statement, value, quantity=QUANTITY, spent=(spent,), inputs=given)
