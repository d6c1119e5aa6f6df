"""The PAC-Bayes unexpected Bernstein bound (pb.ub): linear in the second moment of the losses, at every rate of a paid grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.variance import UB
from ...theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified.excess import near_term
from ..certified.outward import add_up, div_up, log1p_down, log_up, mul_down, mul_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "unexpected Bernstein over the sample, for the grid of rates"


def unexpected_bernstein(
    *,
    risk: float,
    second_moment: float,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    rates: Sequence[float] | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk, losses in [0, 1]: the smallest over the rates of
    risk + c_eta second_moment + (kl + ln(|G|/delta))/(eta n), c_eta = -1 - ln(1 - eta)/eta.

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, in [0, 1].
    second_moment: posterior mean of the mean squared losses, in [0, 1] (not a variance: `posterior_moments` computes it).
    kl: KL(Q||P) in nats, in [0, inf]. n: number of examples.
    delta, log_inv_delta: probability that the bound fails, or ln of its inverse; exactly one.
    rates: grid of etas in (0, 1), all different, fixed before the data. None: 2^-k for k = 1..max(1, ceil(log2(sqrt(n/ln(1/delta))/2))).

    Raises `InvalidInput`. Source: Mhammedi, Gruenwald and Guedj 2019.
    """
    q, second = (
        float(unit_interval(name, scalar(name, value)))
        for name, value in (("risk", risk), ("second_moment", second_moment))
    )
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    level = log_inverse_delta(delta, log_inv_delta)
    grid = default_rates(size, level) if rates is None else _rates(rates)
    spent = spend(EVENT, delta, log_inv_delta)
    a = add_up(divergence, log_up(float(len(grid))), level)
    found = min(add_up(q, mul_up(slope_up(eta), second), div_up(a, mul_down(eta, float(size)))) for eta in grid)
    return issue(
        UB,
        found,
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "risk": q, "second_moment": second, "kl": divergence, "n": size, "log_inv_delta": level, "rates": tuple(grid),
        },
    )  # fmt: skip


def default_rates(n: int, log_inv_delta: float) -> tuple[float, ...]:
    """The grid 2^-k, k = 1..max(1, ceil(log2(sqrt(n/ln(1/delta))/2))): a function of n and delta alone."""
    # the roots apart: n/ln(1/delta) overflows for deltas next to 1
    count = math.ceil(math.log2(0.5 * (math.sqrt(n) / math.sqrt(log_inv_delta)))) if n > 4 * log_inv_delta else 1
    return tuple(2.0**-k for k in range(1, max(1, count) + 1))


def slope_up(eta: float) -> float:
    """c_eta = h(-eta)/eta, h(x) = x - ln(1 + x), rounded up: the series costs at most 7.2 half-ulps, of which 12 are added."""
    h = float(near_term(1.0, -eta)) * (1 + 6 * 2.0**-52) if eta < 0.5 else add_up(-eta, -log1p_down(-eta))
    return div_up(h, eta)


def _rates(rates: Any) -> tuple[float, ...]:
    grid = finite("rates", rates, ndim=1).tolist()
    if not grid or not all(0 < eta < 1 for eta in grid) or len(set(grid)) != len(grid):
        raise InvalidInput(f"rates is {rates!r}.", "Give different numbers in (0, 1), fixed before the data.")
    return tuple(grid)
