"""Bounds for one predictor drawn from the posterior, and the Renyi bound on the Gibbs risk, as balls."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from flint import arb, ctx

from .context import Exact, exact_fraction, refine, to_ball
from .kl import KlInverseBall, kl_lower_ball, kl_upper_ball
from .maurer import maurer_xi_ball


def one_draw_kl_ball(
    risk: Exact, log_density: Exact, n: int, log_inv_delta: Exact, digits: int = 60
) -> tuple[arb, arb]:
    """(LO, UP)(risk, max(0, log_density + ln xi(n) + ln(1/delta))/n)."""
    if log_density == float("inf"):
        return arb(0), arb(1)
    rational = exact_fraction("log_density", log_density) + exact_fraction("log_inv_delta", log_inv_delta)
    return _both(risk, lambda: to_ball(rational) + maurer_xi_ball(n, digits + 30).log(), n, digits)


def one_draw_occam_ball(
    risk: Exact, log_density: Exact, n: int, b: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """UP(risk, (ln((b+1)/delta) + (1 + 1/b) max(0, log_density))/n)."""
    if log_density == float("inf"):
        return arb(1)
    base = exact_fraction("b", b)
    level = exact_fraction("log_inv_delta", log_inv_delta)
    extra = (1 + 1 / base) * max(Fraction(0), exact_fraction("log_density", log_density))
    return _both(risk, lambda: to_ball(base + 1).log() + to_ball(level + extra), n, digits)[1]


def one_draw_renyi_ball(
    risk: Exact, divergence: Exact, order: Exact, n: int, candidates: int, log_inv_delta: Exact, digits: int = 60
) -> tuple[arb, arb]:
    """(LO, UP)(risk, (((2a-1)/(a-1)) ln(2/delta) + D_a + ln T + ln xi(n))/n)."""
    if divergence == float("inf"):
        return arb(0), arb(1)
    a, level = exact_fraction("order", order), exact_fraction("log_inv_delta", log_inv_delta)
    spent, factor = exact_fraction("divergence", divergence), (2 * a - 1) / (a - 1)

    def complexity() -> arb:
        halves = to_ball(factor) * (arb(2).log() + to_ball(level))
        return halves + to_ball(spent) + arb(candidates).log() + maurer_xi_ball(n, digits + 30).log()

    return _both(risk, complexity, n, digits)


def one_draw_catoni_ball(
    risk: Exact, log_density: Exact, n: int, beta: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """(1 - exp(-t))/(1 - exp(-beta)), t = max(0, beta risk + (log_density + ln(1/delta))/n)."""
    b = exact_fraction("beta", beta)
    if log_density == float("inf"):
        return refine(lambda: -1 / (-to_ball(b)).expm1(), digits)
    spent = exact_fraction("log_density", log_density) + exact_fraction("log_inv_delta", log_inv_delta)
    t = max(Fraction(0), b * exact_fraction("risk", risk) + spent / n)
    return refine(lambda: (-to_ball(t)).expm1() / (-to_ball(b)).expm1(), digits) if t else arb(0)


def _both(risk: Exact, complexity: Callable[[], arb], n: int, digits: int) -> tuple[arb, arb]:
    """Both inverses of kl at max(0, complexity)/n, which is monotone in it: their values at the ends enclose them."""
    with ctx.workdps(digits + 30):
        c = complexity() / n
        ends = [max(Fraction(0), _rational(end)) for end in (c.lower(), c.upper())]
        return _union(kl_lower_ball, risk, ends, digits), _union(kl_upper_ball, risk, ends, digits)


def _union(inverse: Callable[..., KlInverseBall], risk: Exact, ends: list[Fraction], digits: int) -> arb:
    low, high = (inverse(risk, end, digits=digits).p for end in ends)
    return low.union(high)


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
