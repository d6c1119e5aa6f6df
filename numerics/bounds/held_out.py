"""Bounds for one predictor from examples it never saw: exact binomial, Chernoff, Hoeffding (pb.test_binomial, _chernoff, _hoeffding)."""

from __future__ import annotations

from typing import Any

from ...theory.errors import InvalidInput
from ...theory.statement import Statement
from ...theory.statements.pac_bayes.held_out import TEST_BINOMIAL, TEST_CHERNOFF, TEST_HOEFFDING
from ...theory.validation import flag, float_array, log_inverse_delta, sample_size, unit_interval
from ..certified.binomial_tail import binomial_lower, binomial_upper
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.outward import add_down, add_up, div_up, log_up, sqrt_up
from ..confidence import Spending
from .certificate import Certificate
from .issue import issue, scalar, spend

UPPER_EVENT = "upper side over the test set"
LOWER_EVENT = "lower side over the test set"
QUANTITY = "true risk of the predictor"


def binomial_test_set(
    *, errors: int, n: int, delta: float | None = None, log_inv_delta: float | None = None, two_sided: bool = False
) -> Certificate:
    """Certificate for the true 0-1 risk of one predictor: the exact (Clopper-Pearson, Langford) binomial limit.

    Parameters
    ----------
    errors: number of the n test examples that the predictor gets wrong, a whole number in [0, n]. Not for losses in [0, 1].
    n: number of test examples, at most 2^53.
    delta, log_inv_delta: probability that the statement fails, or ln of its inverse; exactly one.
    two_sided: also give the lower limit; each side then spends delta/2 (two binomial tails are two events).

    `value` = max{p : P(Bin(n,p) <= errors) >= delta}: for 0-1 losses no valid bound that grows with the errors is smaller at
    any number of errors. Raises `InvalidInput`. Source: Clopper and Pearson 1934; Langford 2005.
    """
    k, size = error_count(errors, n), sample_size("n", n)
    spent = _sides(two_sided, delta, log_inv_delta)
    level = spent[0].log_inv_delta
    value = float(binomial_upper(k, size, log_inv_delta=level))
    lower = float(binomial_lower(k, size, log_inv_delta=level)) if two_sided else None
    return _issue(TEST_BINOMIAL, value, lower, spent, {"errors": k, "n": size})


def chernoff_test_set(
    *, risk: float, n: int, delta: float | None = None, log_inv_delta: float | None = None, two_sided: bool = False
) -> Certificate:
    """Certificate for the true risk of one predictor with losses in [0, 1]: `value` = UP(risk, ln(1/delta)/n).

    risk: mean loss on the n test examples, in [0, 1]; the examples are independent (they need not have one law: the bound is on the mean
    of their expected losses). Other parameters as `binomial_test_set`. Raises `InvalidInput`. Source: Chernoff 1952.
    """
    q, size = float(unit_interval("risk", scalar("risk", risk))), sample_size("n", n)
    spent = _sides(two_sided, delta, log_inv_delta)
    c = div_up(spent[0].log_inv_delta, size)
    lower = float(kl_lower(q, c)) if two_sided else None
    return _issue(TEST_CHERNOFF, float(kl_upper(q, c)), lower, spent, {"risk": q, "n": size})


def hoeffding_test_set(
    *, risk: float, n: int, delta: float | None = None, log_inv_delta: float | None = None, two_sided: bool = False
) -> Certificate:
    """Certificate for the true risk of one predictor with losses in [0, 1]: `value` = risk + sqrt(ln(1/delta)/(2n)).

    Never below `chernoff_test_set` (Pinsker's inequality); kept for comparison. Parameters, errors as there. Source: Hoeffding 1963.
    """
    q, size = float(unit_interval("risk", scalar("risk", risk))), sample_size("n", n)
    spent = _sides(two_sided, delta, log_inv_delta)
    width = sqrt_up(div_up(spent[0].log_inv_delta, 2.0 * size))
    lower = max(0.0, add_down(q, -width)) if two_sided else None
    return _issue(TEST_HOEFFDING, add_up(q, width), lower, spent, {"risk": q, "n": size})


def error_count(errors: Any, n: Any) -> int:
    """`errors` as a whole number between 0 and n <= 2^53."""
    size, value = sample_size("n", n), scalar("errors", errors)
    try:
        count = float(float_array("errors", value))
        whole = not isinstance(value, bool) and count == int(count)
    except (ValueError, OverflowError):
        whole = False
    if not whole or not 0 <= count <= size:
        raise InvalidInput(
            f"errors is {errors!r} of n = {n!r}.",
            "It counts the misclassified examples: whole, from 0 to n (at most 2^53). For losses in [0, 1] use a Chernoff bound.",
        )
    return int(count)


def _sides(two_sided: bool, delta: Any, log_inv_delta: Any) -> tuple[Spending, ...]:
    """The events of a test bound: one at delta, or two at delta/2 each."""
    level = log_inverse_delta(delta, log_inv_delta)
    if not flag("two_sided", two_sided):
        return (spend(UPPER_EVENT, delta, log_inv_delta),)
    if delta is not None and float(delta) > 1e-300:
        half: dict[str, float] = {"delta": float(delta) / 2}
    else:
        half = {"log_inv_delta": add_up(level, log_up(2.0))}
    return spend(UPPER_EVENT, **half), spend(LOWER_EVENT, **half)


def _issue(
    statement: Statement, value: float, lower: float | None, spent: tuple[Spending, ...], inputs: dict[str, Any]
) -> Certificate:
    given = {**inputs, "log_inv_delta": spent[0].log_inv_delta, "sides": len(spent)}
    return issue(statement, value, lower=lower, quantity=QUANTITY, spent=spent, inputs=given)
