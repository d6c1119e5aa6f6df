"""McAllester's square-root bound (pb.mcallester), with the constants of several papers."""

from __future__ import annotations

from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import MCALLESTER
from ...theory.validation import non_negative, sample_size, unit_interval
from ..certified.outward import add_up, div_up, log_up, mul_up, sqrt_up, sub_down
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import EVENT as KL_EVENT
from .seeger import complexity

Constant = Literal["exact", "2sqrt", "1999", "2003", "hybrid"]
# "exact" and "2sqrt" live on the event of the PAC-Bayes-kl bound; the others have an event of their own.
EVENTS = {
    "exact": KL_EVENT,
    "2sqrt": KL_EVENT,
    "1999": "McAllester 1999 over the sample",
    "2003": "McAllester 2003 over the sample",
    "hybrid": "McAllester hybrid over the sample",
}
TWO_EXAMPLES = ("2003", "hybrid")  # they need n >= 2


def mcallester(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the true Gibbs risk: `value` = risk + w, `lower` = risk - w at the one delta.

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, in [0, 1], or a `Certificate` that bounds it from above (then there is no lower side).
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples that `risk` was averaged over and that the prior never saw.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.
    constant: w^2 is
        "exact": (kl + ln(xi(n)/delta))/(2n), never wider than the others for the same delta and n >= 2;
        "2sqrt": the same with 2 sqrt(n) for xi(n), as Maurer 2004 has it;
        "1999": (kl + ln(1/delta) + (5/2) ln n + 8)/(2n-1), McAllester 1999;
        "2003": (kl + ln(n/delta))/(2(n-1)), McAllester 2003, n >= 2;
        "hybrid": (kl + ln(n/delta))/(2n-1), found in public code, n >= 2.

    Raises `InvalidInput`. Never below `seeger_kl` with the same constant.
    """
    if not isinstance(constant, str) or constant not in EVENTS:
        raise InvalidInput(f"constant is {constant!r}.", f"Choose one of {tuple(EVENTS)}.")
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    if constant in TWO_EXAMPLES and size < 2:
        raise InvalidInput(f"The constant {constant!r} needs n >= 2.", "Use the exact one.")
    spent = spend(EVENTS[constant], delta, log_inv_delta)
    half = sqrt_up(_squared_width(divergence, size, spent.log_inv_delta, constant))
    return issue(
        MCALLESTER,
        add_up(q, half),
        lower=None if part is not None else max(0.0, sub_down(q, half)),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta, "constant": constant},
        parts={"risk": part} if part is not None else {},
    )


def _squared_width(kl: float, n: int, level: float, constant: Constant) -> float:
    if constant == "exact" or constant == "2sqrt":
        return complexity(kl, n, level, constant) / 2
    if constant == "1999":
        return div_up(add_up(kl, level, mul_up(2.5, log_up(n)), 8.0), 2 * n - 1)
    return div_up(add_up(kl, level, log_up(n)), 2 * n - 2 if constant == "2003" else 2 * n - 1)
