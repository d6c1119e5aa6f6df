"""Non-negative losses with a declared second moment (pb.second_moment): one tilt, or a grid of tilts, fixed in advance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.large_deviations import SECOND_MOMENT
from ...theory.validation import finite, non_negative, sample_size
from ..certified.outward import add_up, div_up, log_up, mul_down, mul_up
from .certificate import Certificate
from .chernoff import QUANTITY
from .issue import issue, scalar, spend

EVENT = "second-moment bound over the sample"


def second_moment(
    *,
    risk: float,
    kl: float,
    n: int,
    second_moment: float,
    tilts: Any,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate: the least over the tilts l of risk + l second_moment/2 + (kl + ln(G/delta))/(l n).

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, not negative.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples.
    second_moment: E_Q B2(theta), where the loss is >= 0 and E loss(theta)^2 <= B2(theta) is declared.
    tilts: one positive number, or G of them; all fixed before the data (the union over them is paid for with ln G).
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    For a free tilt declare `SecondMoment` in `pac_bayes_chernoff`. Raises `InvalidInput`. Derived here.
    """
    r = float(non_negative("risk", finite("risk", scalar("risk", risk))))
    divergence = float(non_negative("kl", scalar("kl", kl)))
    size = sample_size("n", n)
    moment = float(non_negative("second_moment", finite("second_moment", scalar("second_moment", second_moment))))
    grid = np.atleast_1d(finite("tilts", tilts))
    if grid.ndim != 1 or not grid.size or grid.min() <= 0:
        raise InvalidInput(f"tilts is {tilts!r}.", "Give one or more positive numbers, fixed before the data.")
    spent = spend(EVENT, delta, log_inv_delta)
    level = add_up(divergence, log_up(float(grid.size)), spent.log_inv_delta)
    values = [add_up(r, mul_up(0.5 * float(x), moment), div_up(level, mul_down(float(x), float(size)))) for x in grid]
    return issue(
        SECOND_MOMENT,
        min(values),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={
            "risk": r,
            "kl": divergence,
            "n": size,
            "second_moment": moment,
            "tilts": tuple(map(float, grid)),
            "log_inv_delta": spent.log_inv_delta,
        },
        top=math.inf,
    )
