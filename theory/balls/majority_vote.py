"""Certificates of the weighted majority vote as balls: first order, tandem, disagreement, and the C-bound of two intervals.

Written from the inequalities of the vote (2L, 4 L2, 4L - 2D, (L2 - L^2)/(L2 - L + 1/4)) and the ends UP and LO of binary kl.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction
from .seeger import seeger_lower_ball, seeger_upper_ball

Constant = Literal["exact", "2sqrt"]
Form = Literal["box", "separate"]
_GUARD = 15  # digits worked with beyond those asked for: the C-bound loses those by which L2 - L^2 cancels


def twice(kl: Exact) -> Exact:
    """2 K, the divergence of two independent draws of the posterior from two of the prior."""
    return kl if kl == float("inf") else 2 * exact_fraction("kl", kl)


def first_order_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, constant: Constant = "exact", digits: int = 60
) -> arb:
    """2 UP(L, (K + ln(C/delta))/n)."""
    with ctx.workdps(digits + _GUARD):
        return 2 * seeger_upper_ball(risk, kl, n, log_inv_delta, constant, digits)


def tandem_ball(
    tandem: Exact, kl: Exact, n: int, log_inv_delta: Exact, constant: Constant = "exact", digits: int = 60
) -> arb:
    """4 UP(L2, (2K + ln(C/delta))/n)."""
    with ctx.workdps(digits + _GUARD):
        return 4 * seeger_upper_ball(tandem, twice(kl), n, log_inv_delta, constant, digits)


def disagreement_ball(
    risk: Exact,
    disagreement: Exact,
    kl: Exact,
    n: int,
    n_pairs: int,
    levels: tuple[Exact, Exact],
    constant: Constant = "exact",
    digits: int = 60,
) -> arb:
    """4 UP(L, (K + ln(C/delta_1))/n) - 2 LO(D, (2K + ln(C/delta_2))/n2), and not below 0; `levels` are ln(1/delta_i)."""
    with ctx.workdps(digits + _GUARD):
        upper = seeger_upper_ball(risk, kl, n, levels[0], constant, digits)
        lower = seeger_lower_ball(disagreement, twice(kl), n_pairs, levels[1], constant, digits)
        value = 4 * upper - 2 * lower
        return arb(0) if value <= 0 else value


def cantelli_ball(mean: arb, second: arb) -> arb:
    """(L2 - L^2)/(L2 - L + 1/4)."""
    return (second - mean * mean) / (second - mean + arb(1) / 4)


def ctandem_ball(
    risk: Exact,
    tandem: Exact,
    kl: Exact,
    n: int,
    n_pairs: int,
    levels: tuple[Exact, Exact],
    constant: Constant = "exact",
    form: Form = "box",
    digits: int = 60,
) -> arb:
    """The C-bound of L in [LO(L), UP(L)] and L2 in [LO(L2), UP(L2)]: its supremum ("box"), or numerator and denominator
    bounded separately."""
    inner = digits + 2 * _GUARD
    with ctx.workdps(inner + _GUARD):
        high = seeger_upper_ball(risk, kl, n, levels[0], constant, inner)
        low = seeger_lower_ball(risk, kl, n, levels[0], constant, inner)
        second = seeger_upper_ball(tandem, twice(kl), n_pairs, levels[1], constant, inner)
        if form == "box":
            return _supremum(low, high, second)
        if form != "separate":
            raise InvalidInput(f"form is {form!r}.", "It must be 'box' or 'separate'.")
        denominator = seeger_lower_ball(tandem, twice(kl), n_pairs, levels[1], constant, inner) - high + arb(1) / 4
        if high >= 0.5 or denominator <= 0:
            return arb(1)
        if not (high < 0.5 and denominator > 0):
            return arb(1).union(arb(0))  # undecided: says nothing, as a ball should
        numerator = second - low * low
        return arb(0) if numerator <= 0 else numerator / denominator


def _supremum(low: arb, high: arb, second: arb) -> arb:
    """Largest C-bound with L in [low, high] and L2 <= second: it grows in L2, and in L up to L = 2 L2, where it is 4 L2."""
    if second >= 0.25 and high >= 0.5:
        return arb(1)
    peak = 4 * second
    candidates: list[Callable[[], arb]] = []
    if not high >= 2 * second:
        candidates.append(lambda: cantelli_ball(high, second))
    if not low <= 2 * second:
        # L^2 <= L2 for every law: an interval of L above that is a contradiction, and 4 L2 is still an upper bound
        candidates.append(lambda: peak if low * low >= second else cantelli_ball(low, second))
    if not (high < 2 * second or low > 2 * second):
        candidates.append(lambda: peak)
    values = [candidate() for candidate in candidates]
    result = values[0]
    for value in values[1:]:
        result = result.union(value)
    return result
