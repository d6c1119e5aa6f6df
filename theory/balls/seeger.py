"""The PAC-Bayes-kl bound and the Monte-Carlo bound as balls: what a certificate is verified against."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball
from .kl import KlInverseBall, kl_lower_ball, kl_upper_ball
from .maurer import maurer_xi_ball


def complexity_ball(
    kl: Exact, n: int, log_inv_delta: Exact, constant: Literal["exact", "2sqrt"] = "exact", digits: int = 60
) -> arb:
    """(kl + ln(C/delta))/n with C = xi(n), or 2 sqrt(n)."""
    xi = (
        maurer_xi_ball(n, digits + 5)
        if constant == "exact"
        else refine(lambda: 2 * to_ball(Fraction(n)).sqrt(), digits + 5)
    )
    if kl < 0 or log_inv_delta <= 0 or n < 1:
        raise InvalidInput(
            f"kl = {kl}, n = {n}, ln(1/delta) = {log_inv_delta}.", "kl is not negative, the others are positive."
        )
    rational = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    return refine(lambda: (to_ball(rational) + xi.log()) / n, digits)


def seeger_upper_ball(
    risk: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    constant: Literal["exact", "2sqrt"] = "exact",
    digits: int = 60,
) -> arb:
    """UP(risk, (kl + ln(C/delta))/n); 1 when kl is infinite."""
    return _inverse_at(kl_upper_ball, risk, (kl, n, log_inv_delta, constant), digits)


def seeger_lower_ball(
    risk: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    constant: Literal["exact", "2sqrt"] = "exact",
    digits: int = 60,
) -> arb:
    """LO(risk, (kl + ln(C/delta))/n); 0 when kl is infinite."""
    return _inverse_at(kl_lower_ball, risk, (kl, n, log_inv_delta, constant), digits)


def monte_carlo_ball(risk: Exact, draws: int, log_inv_delta: Exact, digits: int = 60) -> arb:
    """UP(risk, ln(1/delta)/draws)."""
    return kl_upper_ball(risk, exact_fraction("log_inv_delta", log_inv_delta) / draws, digits=digits).p


def _inverse_at(
    inverse: Callable[..., KlInverseBall], risk: Exact, arguments: tuple[Any, Any, Any, Any], digits: int
) -> arb:
    """An inverse of kl at a complexity that is itself a ball: it is monotone in c, so the two ends enclose it."""
    if arguments[0] == float("inf"):
        return inverse(risk, float("inf"), digits=digits).p
    c = complexity_ball(*arguments, digits=digits + 10)
    with ctx.workdps(digits + 20):  # an end point or a union taken at the global precision would be rounded to it
        ends = [inverse(risk, _rational(end), digits=digits).p for end in (c.lower(), c.upper())]
        return ends[0].union(ends[1])


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
