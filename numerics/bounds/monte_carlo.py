"""Bounding the empirical Gibbs risk by posterior draws (pb.gibbs_mc)."""

from __future__ import annotations

import math

from ...theory.statements.pac_bayes.kl_bounds import GIBBS_MC
from ...theory.validation import sample_size, unit_interval
from ..certified import kl_upper
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "Monte-Carlo draws from the posterior"
_OUTWARD = 1 + 2 * 2.0**-53  # the quotient is within half an ulp


def gibbs_monte_carlo(
    *, risk: float, draws: int, delta: float | None = None, log_inv_delta: float | None = None, event: str = EVENT
) -> Certificate:
    """Certificate for the empirical Gibbs risk from `draws` fresh posterior samples: `value` = UP(risk, ln(1/delta)/draws).

    Parameters
    ----------
    risk: mean over the draws of the empirical risk of the drawn predictor (each over all examples), in [0, 1].
    draws: number of independent draws, made after the posterior and this number were fixed.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    event: name in the ledger (several posteriors tried need several events).

    One-sided, so ln(1/delta) where published code spends ln(2/delta). Raises `InvalidInput`.
    """
    q = float(unit_interval("risk", scalar("risk", risk)))
    count = sample_size("draws", draws)
    spent = spend(event, delta, log_inv_delta)
    level = spent.log_inv_delta
    value = float(
        kl_upper(q, math.nextafter(level / count, math.inf) * _OUTWARD)
    )  # above 0 even where the quotient underflows
    return issue(
        GIBBS_MC,
        value,
        quantity="empirical Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "draws": count, "log_inv_delta": level},
    )
