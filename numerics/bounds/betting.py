"""Bounds by betting against every candidate mean (pb.betting_ci, pb.betting): they see how the losses are spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statement import Answer
from ...theory.statements.pac_bayes.common import BOUNDED_LOSS
from ...theory.statements.pac_bayes.time_uniform import BETTING, BETTING_CI
from ...theory.validation import float_array, non_negative, unit_interval
from ..certified.betting import mean_limits, mean_upper
from .certificate import Certificate
from .issue import issue, scalar, spend
from .time_uniform import anytime_budget

INTERVAL_EVENT = "betting on the mean at every sample size"
PAC_BAYES_EVENT = "betting on every mean at every sample size"
SEEN = {BOUNDED_LOSS.name: Answer.HOLDS}


def betting_interval(*, losses: Any, delta: float | None = None, log_inv_delta: float | None = None) -> Certificate:
    """Limits for the true risk of one predictor fixed in advance, valid at all sample sizes at once.

    Parameters
    ----------
    losses: the n losses in [0, 1], shape (n,), in any order.
    delta, log_inv_delta: probability that the event fails, at any n; or ln of its inverse; exactly one.

    `value` and `lower` are the ends of {u : psi_n(u) <= ln(kt(n)/delta)}, both at the one delta. With 0-1 losses they are those of
    `kl_anytime`; with losses that spread less they are closer. Raises `InvalidInput`.
    Source: Orabona and Jun 2024; Waudby-Smith and Ramdas 2024; proof of pb.betting_ci.
    """
    array = unit_interval("losses", float_array("losses", losses, ndim=1))
    if not array.size:
        raise InvalidInput("losses is empty.", "Pass at least one loss.")
    spent = spend(INTERVAL_EVENT, delta, log_inv_delta)
    values, counts = np.unique(array + 0.0, return_counts=True)
    budget = anytime_budget(0.0, array.size, spent.log_inv_delta)
    lower, upper = mean_limits(values, counts.astype(np.float64), budget)
    return issue(
        BETTING_CI,
        upper,
        lower=lower,
        quantity="true risk of one predictor",
        spent=(spent,),
        inputs={
            "values": tuple(values.tolist()),
            "counts": tuple(counts.tolist()),
            "n": int(array.size),
            "log_inv_delta": spent.log_inv_delta,
        },
        answers=SEEN,
    )


def betting_pac_bayes(
    *, losses: Any, posterior: Any, kl: float, delta: float | None = None, log_inv_delta: float | None = None
) -> Certificate:
    """Certificate for the true Gibbs risk of a posterior on finitely many predictors, valid at all sample sizes at once.

    Parameters
    ----------
    losses: loss of every predictor on every example, in [0, 1], shape (predictors, n).
    posterior: weights of the predictors, not negative, shape (predictors,); they must add up to 1 and are divided by their sum.
    kl: KL(Q||P) in nats, in [0, inf], for a prior chosen before the data. Infinity gives the bound 1.
    delta, log_inv_delta: probability that the event fails, at any n; or ln of its inverse; exactly one.

    `value` is the largest sum of rho_j u_j whose bets cost sum rho_j psi_j(u_j) <= kl + ln(kt(n)/delta). Never above `kl_anytime`
    (but for rounding). Raises `InvalidInput`. Source: Jang et al. 2023; proof of pb.betting.
    """
    array = unit_interval("losses", float_array("losses", losses, ndim=2)) + 0.0
    weights = non_negative("posterior", float_array("posterior", posterior, ndim=1))
    if not array.size or len(array) != len(weights):
        raise InvalidInput(
            f"losses has shape {array.shape} and posterior {weights.shape}.",
            "Give one row of losses for each predictor, and at least one example.",
        )
    if not abs(weights.sum() - 1) <= 1e-9:
        raise InvalidInput(f"The posterior adds up to {weights.sum()!r}.", "Divide the weights by their sum.")
    divergence = float(non_negative("kl", scalar("kl", kl)))
    spent = spend(PAC_BAYES_EVENT, delta, log_inv_delta)
    used = weights > 0
    n = array.shape[1]
    budget = anytime_budget(divergence, n, spent.log_inv_delta)
    return issue(
        BETTING,
        mean_upper(array[used], np.ones(n), weights[used], budget),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "losses": tuple(array[used].ravel().tolist()),
            "posterior": tuple(weights[used].tolist()),
            "kl": divergence,
            "n": n,
            "log_inv_delta": spent.log_inv_delta,
        },
        answers=SEEN,
    )
