"""The PAC-Bayes split-kl bounds (pb.split_kl): one binary inverse for each step between the values of the loss, or two around a point."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import ArrayLike

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.variance import SPLIT_KL
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.maurer import log_maurer_xi_upper
from ..certified.outward import add_down, add_up, div_down, div_up, log_up, mul_down, mul_up, sub_down, sub_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "split-kl over the sample, all levels"
QUANTITY = "true Gibbs risk"


def split_kl(
    *,
    frequencies: ArrayLike,
    levels: ArrayLike,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the posterior mean of a loss with values b_0 < ... < b_M: b_0 + sum of a_j UP(F_j, (kl + ln(M xi(n)/delta))/n).

    Parameters
    ----------
    frequencies: F_1..F_M, posterior means of the empirical frequencies of loss >= b_j, not increasing, in [0, 1].
    levels: b_0..b_M, increasing, finite, fixed before the data; they need not lie in [0, 1].
    kl: KL(Q||P) in nats. n: number of examples. delta, log_inv_delta: exactly one; the M levels share it.

    Raises `InvalidInput`. Source: Wu and Seldin 2022 (with 2 sqrt(n)).
    """
    f, b = unit_interval("frequencies", frequencies), finite("levels", levels, ndim=1)
    if f.ndim != 1 or not f.size or b.size != f.size + 1 or not (b[1:] > b[:-1]).all():
        raise InvalidInput(
            f"There are {f.size} frequencies and {b.size} levels.", "Give M frequencies and M + 1 increasing levels."
        )
    if (f[1:] > f[:-1]).any():
        raise InvalidInput(
            "The frequencies increase.", "F_j is the frequency of loss >= b_j; pass them in the order of the levels."
        )
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    c = _complexity(divergence, size, spent.log_inv_delta, f.size)
    value = lower = float(b[0])
    for low, high, q in zip(b[:-1].tolist(), b[1:].tolist(), f.tolist(), strict=True):
        value = add_up(value, mul_up(sub_up(high, low), float(kl_upper(q, c))))
        lower = add_down(lower, mul_down(sub_down(high, low), float(kl_lower(q, c))))
    return issue(
        SPLIT_KL,
        value,
        lower=max(lower, float(b[0])),
        top=float(b[-1]),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={
            "form": "levels", "frequencies": tuple(f.tolist()), "levels": tuple(b.tolist()), "kl": divergence, "n": size,
            "log_inv_delta": spent.log_inv_delta,
        },
    )  # fmt: skip


def split_kl_continuous(
    *,
    above: float,
    below: float,
    low: float,
    split: float,
    high: float,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the posterior mean of a loss in [low, high], split at a point fixed before the data:
    split + (high-split) UP(above/(high-split), c) - (split-low) LO(below/(split-low), c), c = (kl + ln(2 xi(n)/delta))/n.

    above, below: posterior means of the mean of max(0, loss - split) and max(0, split - loss), the one rounded up, the other down. Other
    parameters and errors as `split_kl`. Source: Wu and Seldin 2022.
    """
    a, m, b = (
        float(finite(name, scalar(name, value))) for name, value in (("low", low), ("split", split), ("high", high))
    )
    if not a < m < b:
        raise InvalidInput(f"low, split, high are {a:g}, {m:g}, {b:g}.", "They must increase.")
    plus, minus = (
        float(non_negative(name, scalar(name, value))) for name, value in (("above", above), ("below", below))
    )
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    q_up, q_down = div_up(plus, sub_down(b, m)), div_down(minus, sub_up(m, a))
    if q_up > 1 + 2.0**-50 or div_down(minus, sub_up(m, a)) > 1:
        raise InvalidInput(
            f"above is {plus:g} and below is {minus:g}.", "They are means of parts of a loss in [low, high]."
        )
    spent = spend(EVENT, delta, log_inv_delta)
    c = _complexity(divergence, size, spent.log_inv_delta, 2)
    rise = mul_up(sub_up(b, m), float(kl_upper(min(1.0, q_up), c)))
    fall = mul_down(sub_down(m, a), float(kl_lower(q_down, c)))
    return issue(
        SPLIT_KL,
        add_up(m, rise, -fall),
        top=b,
        quantity=QUANTITY,
        spent=(spent,),
        inputs={
            "form": "continuous", "above": plus, "below": minus, "low": a, "split": m, "high": b, "kl": divergence, "n": size,
            "log_inv_delta": spent.log_inv_delta,
        },
    )  # fmt: skip


def _complexity(kl: float, n: int, log_inv_delta: float, parts: int) -> float:
    """(kl + ln(parts xi(n)/delta))/n, rounded up."""
    if math.isinf(kl):
        return math.inf
    return div_up(add_up(kl, log_up(float(parts)), float(log_maurer_xi_upper(n)), log_inv_delta), float(n))


__all__: list[Any] = ["split_kl", "split_kl_continuous"]
