"""Closed-form relaxations of the PAC-Bayes-kl bound as balls: refined Pinsker's inverse and the bounds linear in the risk."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from flint import arb, ctx

from .context import Exact, exact_fraction, to_ball
from .seeger import complexity_ball

Constant = Literal["exact", "2sqrt"]
_GUARD = 15


def quad_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, constant: Constant = "exact", digits: int = 60
) -> tuple[arb, arb]:
    """The larger root of (p - q)^2 = 2 p c, which is q + c + sqrt(c^2 + 2 q c), and the root q - sqrt(2 q c) of (q - p)^2 = 2 q c."""
    if kl == float("inf"):
        return arb("inf"), arb("-inf") if risk else arb(0)
    q = exact_fraction("risk", risk)
    with ctx.workdps(digits + _GUARD):
        c = complexity_ball(kl, n, log_inv_delta, constant, digits + _GUARD)
        x = to_ball(q)
        return x + c + (c * c + 2 * x * c).sqrt(), x - (2 * x * c).sqrt()


def lambda_ball(
    risk: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    lam: Exact,
    gamma: Exact,
    constant: Constant = "exact",
    digits: int = 60,
) -> tuple[arb, arb]:
    """(q + c/lam)/(1 - lam/2) and (1 - gamma/2) q - c/gamma."""
    if kl == float("inf"):
        return arb("inf"), arb("-inf")
    q, l, g = (exact_fraction(name, x) for name, x in (("risk", risk), ("lam", lam), ("gamma", gamma)))  # noqa: E741
    with ctx.workdps(digits + _GUARD):
        c = complexity_ball(kl, n, log_inv_delta, constant, digits + _GUARD)
        upper = (to_ball(q) + c / to_ball(l)) * to_ball(Fraction(2) / (2 - l))
        return upper, to_ball((1 - g / 2) * q) - c / to_ball(g)
