"""The PAC-Chernoff bound as a ball: risk + Iinv((ln(1/w) + ln(1/delta))/n)."""

from __future__ import annotations

from flint import arb

from .cgf import LawData, inverse_rate_ball
from .context import Exact, exact_fraction, refine, to_ball


def pac_chernoff_ball(
    risk: Exact, law: LawData, log_inv_weight: Exact, n: int, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """risk + Iinv(s), s rational."""
    s = (exact_fraction("log_inv_weight", log_inv_weight) + exact_fraction("log_inv_delta", log_inv_delta)) / n
    width = inverse_rate_ball(law, s, digits + 5)
    r = exact_fraction("risk", risk)
    return refine(lambda: to_ball(r) + width, digits)
