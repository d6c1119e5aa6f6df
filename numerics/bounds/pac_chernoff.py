"""The PAC-Chernoff bound for one of countably many models (pb.pac_chernoff), an oracle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.large_deviations import PAC_CHERNOFF
from ...theory.validation import finite, non_negative, sample_size
from ..certified.outward import add_up, div_up, log_up, mul_up
from ..large_deviations.inverse_rate import SMALLEST_RATE, inverse_rate
from ..large_deviations.laws import FiniteLaw, Law, models
from ..large_deviations.tails import describe_law
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "PAC-Chernoff over the sample, union over the models"
QUANTITY = "true loss of one model"
UNITS = ("nats",)


def pac_chernoff(
    *,
    risk: float,
    law: Any,
    n: int,
    log_inv_weight: float,
    units: str = "nats",
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Oracle: risk + Iinv((log_inv_weight + ln(1/delta))/n) for the true loss of one model.

    Parameters
    ----------
    risk: empirical loss of the model on the n examples, any finite number.
    law: the law of its loss (`FiniteLaw`, `ExponentialLaw` or `GaussianLaw`), or a row of losses of fresh examples in its place. That is
        what makes this an oracle: `inputs["saturated"]` says whether the value is mean - minimum and tells nothing about rates.
        If the row is also what the number is compared with, the comparison is circular.
    log_inv_weight: ln(1/w(theta)) in nats; p parameters of k values each have p ln k (`log_inv_precision`).
    units: only "nats": a code length in bits must be multiplied by ln 2 first.
    delta, log_inv_delta: exactly one.

    Raises `InvalidInput`. Source: Masegosa and Ortega 2025.
    """
    if units not in UNITS:
        raise InvalidInput(f"units is {units!r}.", "Only nats: multiply a number of bits by ln 2.")
    r = float(finite("risk", scalar("risk", risk)))
    size = sample_size("n", n)
    weight = float(non_negative("log_inv_weight", finite("log_inv_weight", scalar("log_inv_weight", log_inv_weight))))
    model = law if isinstance(law, Law) else FiniteLaw(finite("law", law, ndim=1))
    if models(model) != 1:
        raise InvalidInput("law describes several models.", "Give the law of one.")
    spent = spend(EVENT, delta, log_inv_delta)
    s = div_up(add_up(weight, spent.log_inv_delta), float(size))
    found = inverse_rate(model, max(s, SMALLEST_RATE))
    value, rounding, saturated, effective = (
        float(np.ravel(x)[0]) for x in (found.value, found.rounding, found.saturated, found.effective)
    )
    return issue(
        PAC_CHERNOFF,
        add_up(r, mul_up(value, 1 + 2 * rounding)),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={
            "risk": r,
            "n": size,
            "log_inv_weight": weight,
            "log_inv_delta": spent.log_inv_delta,
            **describe_law(model),
            "saturated": int(saturated),
            "effective": effective,
        },
        top=math.inf,
    )


def log_inv_precision(parameters: int, bits: int = 32) -> float:
    """ln of the number of models with this many parameters of so many bits each, in nats, rounded up: parameters * bits * ln 2."""
    return mul_up(sample_size("parameters", parameters) * sample_size("bits", bits), log_up(2.0))
