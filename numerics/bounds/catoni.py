"""Catoni's bound at one parameter fixed in advance (pb.catoni)."""

from __future__ import annotations

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import CATONI
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.outward import (
    add_up,
    div_down,
    div_up,
    exp_down,
    expm1_down,
    expm1_up,
    mul_down,
    mul_up,
    sub_down,
    sub_up,
)
from .certificate import Certificate
from .issue import Given, issue, scalar, spend

EVENT = "Catoni's bound at one beta, over the sample"
LOWER_EVENT = "Catoni's lower bound at one beta, over the sample"


def catoni(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    beta: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    lower_beta: float | None = None,
    lower_delta: float | None = None,
    lower_log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk: `value` = (1 - exp(-beta risk - (kl + ln(1/delta))/n))/(1 - exp(-beta)).

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, in [0, 1], or a `Certificate` that bounds it from above.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples that `risk` was averaged over and that the prior never saw.
    beta: positive, and fixed before the examples were seen. The smallest value over beta is no bound (see `catoni_grid`).
    delta, log_inv_delta: probability that the upper side fails, or ln of its inverse; exactly one.
    lower_beta: negative, fixed in advance like beta: the same formula is then a lower bound, an event of its own that spends
        `lower_delta` (or `lower_log_inv_delta`).

    Raises `InvalidInput`. No xi(n) is paid. Source: Catoni 2007.
    """
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    b = parameter("beta", beta)
    spent = [spend(EVENT, delta, log_inv_delta)]
    inputs: dict[str, Given] = {
        "risk": q,
        "kl": divergence,
        "n": size,
        "log_inv_delta": spent[0].log_inv_delta,
        "beta": b,
    }
    lower = None
    if lower_beta is not None:
        if part is not None:
            raise InvalidInput(
                "There is no lower side when the risk is itself an upper bound.", "Leave out lower_beta and its delta."
            )
        opposite = parameter("-lower_beta", -float(finite("lower_beta", scalar("lower_beta", lower_beta))))
        spent.append(spend(LOWER_EVENT, lower_delta, lower_log_inv_delta))
        level = spent[1].log_inv_delta
        lower = catoni_lower(opposite, q, div_up(add_up(divergence, level), size))
        inputs |= {"lower_beta": -opposite, "lower_log_inv_delta": level}
    elif lower_delta is not None or lower_log_inv_delta is not None:
        raise InvalidInput("A delta for the lower side is given without lower_beta.", "Give both or neither.")
    return issue(
        CATONI,
        catoni_upper(b, q, div_up(add_up(divergence, spent[0].log_inv_delta), size)),
        lower=lower,
        quantity="true Gibbs risk",
        spent=spent,
        inputs=inputs,
        parts={"risk": part} if part is not None else {},
    )


def parameter(name: str, value: float) -> float:
    """`value` as a positive finite float."""
    number = float(finite(name, scalar(name, value)))
    if number <= 0:
        raise InvalidInput(f"{name} is {number:g}.", "It is positive; the lower side takes lower_beta, a negative one.")
    return number


def catoni_upper(beta: float, q: float, c: float) -> float:
    """At least (1 - e^{-beta q - c})/(1 - e^{-beta}), for beta > 0 and c >= 0 that may be infinite."""
    denominator = -expm1_up(-beta)
    if denominator <= 0:  # beta so small that its neighbouring floats pass 0
        return float("inf")
    return div_up(-expm1_down(-add_up(mul_up(beta, q), c)), denominator)


def catoni_lower(opposite: float, q: float, c: float) -> float:
    """At most (e^x - 1)/(e^b - 1), x = b q - c, for b = `opposite` = -beta > 0; not below 0.

    Written as e^{-(b (1-q) + c)} (1 - e^{-x})/(1 - e^{-b}), in which nothing overflows.
    """
    x = sub_down(mul_down(opposite, q), c)
    if x <= 0:
        return 0.0
    scale = exp_down(-add_up(mul_up(opposite, sub_up(1.0, q)), c))
    return max(0.0, div_down(mul_down(scale, -expm1_up(-x)), -expm1_down(-opposite)))
