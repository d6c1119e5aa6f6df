"""Bounding the empirical Gibbs risk by posterior draws (pb.gibbs_mc)."""

from __future__ import annotations

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import GIBBS_MC
from ...theory.validation import sample_size, unit_interval
from ..certified import kl_upper
from ..certified.outward import div_up
from .certificate import Certificate
from .issue import EMPIRICAL_RISK, issue, scalar, spend

EVENT = "Monte-Carlo draws from the posterior"


def gibbs_monte_carlo(
    *,
    risk: float,
    draws: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    examples: int = 1,
    largest_part: int | None = None,
    event: str = EVENT,
) -> Certificate:
    """Certificate for the empirical Gibbs risk from fresh posterior samples: `value` = UP(risk, ln(1/delta)/M), M = draws n/b.

    Parameters
    ----------
    risk: mean over the examples of the mean loss of the draws that saw them, in [0, 1].
    draws: m, independent draws for each part of the examples, made after the posterior and this number were fixed.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    examples, largest_part: n and b, the examples in all and in the largest part, where different parts have draws of their own. By
        default all examples see the same draws (one part, M = draws). M is rounded down.
    event: name in the ledger (several posteriors tried need several events).

    One-sided, so ln(1/delta) where published code spends ln(2/delta). Raises `InvalidInput`.
    """
    if not isinstance(event, str) or not event:
        raise InvalidInput(f"event is {event!r}.", "Name the event in words.")
    q = float(unit_interval("risk", scalar("risk", risk)))
    total = sample_size("examples", examples)
    part = total if largest_part is None else sample_size("largest_part", largest_part)
    if part > total:
        raise InvalidInput(f"largest_part is {part} of {total} examples.", "A part cannot be larger than the whole.")
    each = sample_size("draws", draws)
    count = each * total // part
    spent = spend(event, delta, log_inv_delta)
    level = spent.log_inv_delta
    value = float(kl_upper(q, div_up(level, count)))  # above 0 even where the quotient underflows
    return issue(
        GIBBS_MC,
        value,
        quantity=EMPIRICAL_RISK,
        spent=(spent,),
        inputs={"risk": q, "draws": each, "examples": total, "largest_part": part, "log_inv_delta": level},
    )
