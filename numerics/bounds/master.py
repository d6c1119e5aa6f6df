"""The generic PAC-Bayes theorem: from a moment and a divergence to a bound on a posterior mean (pb.master)."""

from __future__ import annotations

import math

from ...theory.statements.pac_bayes.kl_bounds import MASTER
from ...theory.validation import finite, non_negative
from ..certified.outward import add_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "the averaged statement over the sample"


def master(
    *, kl: float, log_constant: float, delta: float | None = None, log_inv_delta: float | None = None
) -> Certificate:
    """Certificate for E_Q phi, for all Q at once: `value` = kl + ln C + ln(1/delta), wherever E_S E_P e^phi <= C.

    Parameters
    ----------
    kl: KL(Q||P) in nats, in [0, inf].
    log_constant: ln C, any finite number; it is the caller who vouches for the moment (an assumption of the certificate).
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    Raises `InvalidInput`. Every bound of the package with a divergence KL(Q||P) is this one for some phi; what each adds is the
    moment and the solution of E_Q phi <= value for the risk.
    """
    divergence = float(non_negative("kl", scalar("kl", kl)))
    constant = float(finite("log_constant", log_constant, ndim=0))
    spent = spend(EVENT, delta, log_inv_delta)
    return issue(
        MASTER,
        add_up(divergence, constant, spent.log_inv_delta),
        quantity="posterior mean of phi",
        spent=(spent,),
        inputs={"kl": divergence, "log_constant": constant, "log_inv_delta": spent.log_inv_delta},
        top=math.inf,
    )
