"""Catoni's bounds as balls, straight from (1 - e^{-beta q - c})/(1 - e^{-beta}) with signs tracked."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from flint import arb, ctx

from .context import Exact, exact_fraction, refine, to_ball
from .kl import kl_upper_ball
from .seeger import complexity_ball

_GUARD = 15


def catoni_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, beta: Exact, *, union: int = 1, digits: int = 60
) -> arb:
    """(1 - e^{-beta q - c})/(1 - e^{-beta}) at c = (kl + ln(union/delta))/n; an upper bound for beta > 0, a lower one for beta < 0."""
    if kl == float("inf"):
        return _limit(exact_fraction("beta", beta), digits)
    known = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    q, b = exact_fraction("risk", risk), exact_fraction("beta", beta)
    return refine(lambda: _phi(to_ball(b), to_ball(q), (to_ball(known) + arb(union).log()) / n), digits)


def catoni_grid_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, betas: Sequence[Exact], digits: int = 60
) -> arb:
    """The smallest over the grid, each at delta over the number of its points."""
    values = [catoni_ball(risk, kl, n, log_inv_delta, b, union=len(betas), digits=digits) for b in betas]
    with ctx.workdps(digits + _GUARD):
        smallest = values[0]
        for value in values[1:]:
            smallest = smallest.min(value)
        return smallest


def catoni_continuous_ball(
    risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, alpha: Exact, lam: Exact, digits: int = 60
) -> arb:
    """Phi_a^{-1}(q + (alpha/lam)(kl + ln(1/delta) + 2 ln(ln(alpha^2 lam)/ln alpha))) at a = lam/n, Phi_a^{-1}(x) = (1-e^{-ax})/(1-e^{-a})."""
    a, base = exact_fraction("lam", lam) / n, exact_fraction("alpha", alpha)
    if kl == float("inf"):
        return _limit(a, digits)
    known = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    q, length = exact_fraction("risk", risk), exact_fraction("lam", lam)

    def evaluate() -> arb:
        price = 2 * (to_ball(base * base * length).log() / to_ball(base).log()).log()
        return _phi(to_ball(a), arb(0), to_ball(a * q) + to_ball(a * base / length) * (to_ball(known) + price))

    return refine(evaluate, digits)


def catoni_uniform_ball(
    risk: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    beta: Exact,
    constant: Literal["exact", "2sqrt"] = "exact",
    digits: int = 60,
) -> arb:
    """The same formula at the complexity of the PAC-Bayes-kl bound, (kl + ln(C/delta))/n with C = xi(n) or 2 sqrt(n)."""
    q, b = exact_fraction("risk", risk), exact_fraction("beta", beta)
    if kl == float("inf"):
        return _limit(b, digits)
    extra = _GUARD
    c = complexity_ball(kl, n, log_inv_delta, constant, digits + extra)
    while True:  # an enormous beta costs digits of the exponent, and so does one at which its terms cancel
        with ctx.workdps(digits + extra):
            value = _phi(to_ball(b), to_ball(q), c)
            cancels = not abs(to_ball(b * q) + c) > 1
        if value.rel_accuracy_bits() > 3.33 * digits or extra > 400:
            return value
        extra *= 2
        if cancels:  # only then does it take more digits of c, and xi(n) to many digits takes long
            c = complexity_ball(kl, n, log_inv_delta, constant, digits + extra)


def envelope_ball(risk: Exact, kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> arb:
    """UP(q, (kl + ln(1/delta))/n): what the best beta in hindsight would give, and no bound."""
    if kl == float("inf"):
        return arb(1)
    known = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    return kl_upper_ball(risk, known / n, digits=digits).p


def _phi(beta: arb, q: arb, c: arb) -> arb:
    return (-beta * q - c).expm1() / (-beta).expm1()


def _limit(beta: Fraction, digits: int) -> arb:
    """kl = inf: 1/(1 - e^{-beta}), above 1 for beta > 0 and below 0 for beta < 0."""
    return refine(lambda: 1 / (1 - (-to_ball(beta)).exp()), digits)
