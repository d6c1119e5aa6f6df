"""The certificate of PAC-Bayes with backprop as a ball: an inverse of kl at an inverse of kl."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from flint import arb, ctx

from .context import Exact, exact_fraction, to_ball
from .kl import kl_upper_ball
from .seeger import complexity_ball

_GUARD = 20


def pbb_ball(
    risk: Exact,
    draws: int,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    draws_log_inv_delta: Exact,
    *,
    sides: Literal["two", "one"] = "two",
    constant: Literal["exact", "2sqrt"] = "2sqrt",
    scale_index: int | None = None,
    digits: int = 60,
) -> arb:
    """UP(UP(risk, ln(s/draws_delta)/draws), (kl + prior scale + ln(C/delta))/n), s = 2 or 1."""
    if kl == float("inf"):
        return arb(1)
    level = exact_fraction("draws_log_inv_delta", draws_log_inv_delta)
    with ctx.workdps(digits + _GUARD):
        inner = (to_ball(level) + (arb(2).log() if sides == "two" else 0)) / draws
        outer = complexity_ball(kl, n, log_inv_delta, constant, digits + _GUARD)
        if scale_index is not None:
            # ln of 1/(6/(pi j)^2)
            outer = outer + ((arb.pi() * scale_index) ** 2 / 6).log() / n
        return upper_of_balls(upper_of_balls(to_ball(exact_fraction("risk", risk)), inner, digits), outer, digits)


def upper_of_balls(q: arb, c: arb, digits: int = 60) -> arb:
    """UP at a ball of risks and a ball of complexities: it increases in both, so two exact evaluations enclose it."""
    with ctx.workdps(digits + _GUARD):
        low = kl_upper_ball(max(Fraction(0), _rational(q.lower())), _rational(c.lower()), digits=digits + 5).p
        high = kl_upper_ball(min(Fraction(1), _rational(q.upper())), _rational(c.upper()), digits=digits + 5).p
        return low.union(high)


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
