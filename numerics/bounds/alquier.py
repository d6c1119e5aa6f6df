"""The linear bound with the moment of the gap (pb.alquier), an oracle."""

from __future__ import annotations

import math

from ...theory.statements.pac_bayes.large_deviations import ALQUIER
from ...theory.validation import finite, non_negative
from ..certified.outward import add_up, div_up
from .certificate import Certificate
from .chernoff import QUANTITY
from .issue import issue, scalar, spend
from .sub_gaussian import positive

EVENT = "linear PAC-Bayes bound over the sample"


def alquier(
    *,
    risk: float,
    kl: float,
    tilt: float,
    log_moment: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Oracle: risk + (kl + ln(1/delta) + log_moment)/tilt.

    risk: empirical Gibbs risk, any finite number; kl: KL(Q||P) in nats, in [0, inf]; tilt: l > 0, fixed in advance; log_moment:
    Psi = ln E_P E_S e^{l (L - Lh)}, which depends on the unknown distribution (so the result is an oracle; a number of at least Psi
    is as good); delta, log_inv_delta: exactly one. Raises `InvalidInput`. Source: Alquier, Ridgway and Chopin 2016.
    """
    r = float(finite("risk", scalar("risk", risk)))
    divergence = float(non_negative("kl", scalar("kl", kl)))
    level, psi = positive("tilt", tilt), float(finite("log_moment", scalar("log_moment", log_moment)))
    spent = spend(EVENT, delta, log_inv_delta)
    value = add_up(r, div_up(add_up(divergence, spent.log_inv_delta, psi), level))
    return issue(
        ALQUIER,
        value,
        quantity=QUANTITY,
        spent=(spent,),
        inputs={"risk": r, "kl": divergence, "tilt": level, "log_moment": psi, "log_inv_delta": spent.log_inv_delta},
        top=math.inf,
    )
