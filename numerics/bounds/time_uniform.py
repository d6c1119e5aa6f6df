"""The PAC-Bayes-kl bound at every sample size at once (pb.kl_anytime)."""

from __future__ import annotations

from ...theory.statements.pac_bayes.time_uniform import KL_ANYTIME
from ...theory.validation import non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.krichevsky_trofimov import log_kt_upper
from ..certified.outward import add_up, div_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "PAC-Bayes-kl at every sample size"


def anytime_budget(kl: float, n: int, log_inv_delta: float) -> float:
    """kl + ln(kt(n)/delta), rounded up."""
    return add_up(kl, float(log_kt_upper(n)), log_inv_delta)


def kl_anytime(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk that holds at all sample sizes at once: `value` = UP(risk, (kl + ln(kt(n)/delta))/n).

    Use it whenever n was not fixed in advance: early stopping, streams, growing data. The same delta covers every n at which it
    is computed, and posteriors that change with n.

    Parameters
    ----------
    risk: empirical Gibbs risk of the posterior on the first n examples, in [0, 1], or a `Certificate` that bounds it from above
        (`gibbs_monte_carlo`); its delta is then added to the ledger, and is not uniform in n.
    kl: KL(Q||P) in nats, in [0, inf]. Infinity gives the bound 1.
    n: number of examples that `risk` was averaged over.
    delta, log_inv_delta: probability that the event fails, at any n; or ln of its inverse; exactly one.

    Returns a two-sided certificate (no lower side when `risk` is itself only an upper bound). Raises `InvalidInput`.
    Source: derived here (proof of pb.kl_anytime); equivalent content in Jang et al. 2023.
    """
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    divergence = float(non_negative("kl", scalar("kl", kl)))
    size = sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    c = div_up(anytime_budget(divergence, size, spent.log_inv_delta), size)
    return issue(
        KL_ANYTIME,
        float(kl_upper(q, c)),
        lower=None if part is not None else float(kl_lower(q, c)),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta},
        parts={"risk": part} if part is not None else {},
    )
