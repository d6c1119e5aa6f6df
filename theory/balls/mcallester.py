"""The generic PAC-Bayes theorem and McAllester's square-root bound as balls."""

from __future__ import annotations

from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, to_ball
from .seeger import complexity_ball

_GUARD = 15  # digits beyond those asked for


def master_ball(kl: Exact, log_constant: Exact, log_inv_delta: Exact, digits: int = 60) -> arb:
    """kl + ln C + ln(1/delta)."""
    if kl == float("inf"):
        return arb("inf")
    terms = (("kl", kl), ("log_constant", log_constant), ("log_inv_delta", log_inv_delta))
    total = sum((exact_fraction(*term) for term in terms), Fraction(0))
    with ctx.workdps(digits + _GUARD):
        return to_ball(total)


def mcallester_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, constant: str = "exact", digits: int = 60
) -> tuple[arb, arb]:
    """risk + w and risk - w; `constant` names w^2: "exact", "2sqrt", "1999", "2003", "hybrid"."""
    if kl == float("inf"):
        return arb("inf"), arb("-inf")
    q = exact_fraction("risk", risk)
    with ctx.workdps(digits + _GUARD):
        w = _squared_width(kl, n, log_inv_delta, constant, digits + _GUARD).sqrt()
        return to_ball(q) + w, to_ball(q) - w


def _squared_width(kl: Exact, n: int, log_inv_delta: Exact, constant: str, digits: int) -> arb:
    if constant == "exact":
        return complexity_ball(kl, n, log_inv_delta, "exact", digits) / 2
    if constant == "2sqrt":
        return complexity_ball(kl, n, log_inv_delta, "2sqrt", digits) / 2
    known = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    # what is added to K + ln(1/delta): a multiple of ln n and a number; and the denominator
    table = {
        "1999": (Fraction(5, 2), 8, 2 * n - 1),
        "2003": (Fraction(1), 0, 2 * n - 2),
        "hybrid": (Fraction(1), 0, 2 * n - 1),
    }
    if constant not in table or n < (1 if constant == "1999" else 2):
        raise InvalidInput(f"constant is {constant!r} at n = {n}.", "See nonvacuous.bounds.mcallester.")
    factor, added, below = table[constant]
    return (to_ball(known + added) + to_ball(factor) * arb(n).log()) / below
