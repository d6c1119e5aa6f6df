"""Time-uniform bounds as balls: PAC-Bayes-kl with the Krichevsky-Trofimov constant, betting, and the supermartingale recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .betting import mean_limits_ball, mean_upper_ball
from .context import Exact, exact_fraction, refine, to_ball
from .kl import KlInverseBall, kl_lower_ball, kl_upper_ball
from .krichevsky_trofimov import log_kt_ball


def budget_ball(kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> arb:
    """kl + ln(kt(n)/delta)."""
    if kl < 0 or log_inv_delta <= 0:
        raise InvalidInput(f"kl = {kl}, ln(1/delta) = {log_inv_delta}.", "kl is not negative, the other is positive.")
    rational = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    log_kt = log_kt_ball(n, digits + 5)
    return refine(lambda: to_ball(rational) + log_kt, digits)


def kl_anytime_ball(risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> tuple[arb, arb]:
    """(LO, UP)(risk, (kl + ln(kt(n)/delta))/n); (0, 1) when kl is infinite."""
    if kl == float("inf"):
        return arb(0), arb(1)
    with ctx.workdps(digits + 30):
        c = budget_ball(kl, n, log_inv_delta, digits + 20) / n
        return _ends(kl_lower_ball, risk, c, digits), _ends(kl_upper_ball, risk, c, digits)


def _ends(inverse: Callable[..., KlInverseBall], risk: Exact, c: arb, digits: int) -> arb:
    """An inverse of kl at a complexity that is a ball: it is monotone in c, so its values at the two ends enclose it."""
    low, high = (inverse(risk, _rational(end), digits=digits).p for end in (c.lower(), c.upper()))
    return low.union(high)


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def betting_interval_ball(
    values: Sequence[Exact], counts: Sequence[int], log_inv_delta: Exact, digits: int = 60
) -> tuple[arb, arb]:
    """(lower, upper) limit for the mean of one predictor's losses: {u : psi_n(u) <= ln(kt(n)/delta)}."""
    n = sum(counts)
    losses = [exact_fraction("loss", x) for x in values]
    return mean_limits_ball(losses, counts, lambda more: budget_ball(0, n, log_inv_delta, more), digits)


def betting_pac_bayes_ball(
    losses: Sequence[Sequence[Exact]], posterior: Sequence[Exact], kl: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """max{sum rho_j u_j : sum rho_j psi_j(u_j) <= kl + ln(kt(n)/delta)}, rho the posterior divided by its sum."""
    if kl == float("inf"):
        return arb(1)
    n = len(losses[0])
    raw = [exact_fraction("posterior", x) for x in posterior]
    rows = [[exact_fraction("loss", x) for x in row] for row in losses]
    weights = [x / sum(raw, Fraction(0)) for x in raw]
    return mean_upper_ball(rows, [1] * n, weights, budget_ball(kl, n, log_inv_delta, digits + 20), digits)


def supermartingale_ball(
    risk: Exact, kl: Exact, rate_sum: Exact, rate_squares: Exact, price: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """risk + (rate_squares * price + kl + ln(1/delta))/rate_sum, `price` the coefficient of l^2 in psi."""
    if kl == float("inf"):
        return arb("inf")
    names = ("risk", "kl", "rate_sum", "rate_squares", "price", "log_inv_delta")
    q, k, first, second, p, level = map(exact_fraction, names, (risk, kl, rate_sum, rate_squares, price, log_inv_delta))
    return refine(lambda: to_ball(q + (second * p + k + level) / first), digits)
