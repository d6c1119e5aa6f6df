"""The supermartingale recipe with predictable rates, at every sample size at once (pb.chugg)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.time_uniform import CHUGG
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.outward import add_up, div_up, mul_up
from .certificate import Certificate
from .issue import issue, scalar, spend

EVENT = "supermartingale at every sample size"
Form = Literal["bounded", "sub-gaussian", "second moment", "variance"]
FORMS: tuple[Form, ...] = ("bounded", "sub-gaussian", "second moment", "variance")


def supermartingale(
    *,
    risk: float,
    kl: float,
    rates: Any,
    n: int | None = None,
    form: Form = "bounded",
    moment: float | None = None,
    deviation: float | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Upper bound on the true Gibbs risk at all sample sizes at once: risk + (price * sum l_i^2 + kl + ln(1/delta))/sum l_i.

    Parameters
    ----------
    risk: empirical Gibbs risk weighted by the rates, sum l_i E_Q f_i / sum l_i (the plain mean when the rates are equal).
    kl: KL(Q||P) in nats, in [0, inf].
    rates: the rates l_i > 0, one for each example and each fixed before its example; or one number, used for all `n` examples.
    n: number of examples; needed when `rates` is one number.
    form: what is known of the losses, and with it the price of l^2:
        "bounded" (in [0, 1]): 1/8. "sub-gaussian": moment/2, `moment` an upper bound on E_Q of the variance proxy.
        "second moment" (losses not negative): moment/2, `moment` an upper bound on E_Q E f^2.
        "variance": deviation/6 + moment/3, `moment` an upper bound on E_Q Var f and `deviation` one on the mean of E_Q (f_i - r)^2
        weighted by l_i^2, both declared in advance (the data do not show r).
    delta, log_inv_delta: probability that the event fails, at any n; or ln of its inverse; exactly one.

    Upper side only. For "bounded" the value is clipped at 1; the other forms have no largest value. Raises `InvalidInput`.
    Source: Chugg, Wang, Ramdas 2023; Delyon 2009 and Haddouche and Guedj 2023 for the last form; proof of pb.chugg.
    """
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    q = float(
        unit_interval("risk", scalar("risk", risk)) if form == "bounded" else finite("risk", scalar("risk", risk))
    )
    if form == "second moment" and q < 0:
        raise InvalidInput(f"risk is {q:g}.", "This form is for losses that are not negative.")
    divergence = float(non_negative("kl", scalar("kl", kl)))
    size, first, second = _rates(rates, n)
    declared = _declared(form, moment, deviation)
    spent = spend(EVENT, delta, log_inv_delta)
    cost = add_up(mul_up(second, price_up(form, **declared)), divergence, spent.log_inv_delta)
    value = add_up(q, div_up(cost, first))
    return issue(
        CHUGG,
        value,
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "risk": q,
            "kl": divergence,
            "n": size,
            "rate_sum": first,
            "rate_squares": second,
            "form": form,
            **declared,
            "log_inv_delta": spent.log_inv_delta,
        },
        top=1.0 if form == "bounded" else math.inf,
    )


def price_up(form: str, moment: float = 0.0, deviation: float = 0.0) -> float:
    """The coefficient of l^2 in psi, rounded up."""
    if form == "bounded":
        return 0.125
    return add_up(div_up(deviation, 6.0), div_up(moment, 3.0)) if form == "variance" else mul_up(moment, 0.5)


def _rates(rates: Any, n: Any) -> tuple[int, float, float]:
    """n, the sum of the rates rounded down and that of their squares rounded up."""
    array = finite("rates", rates)
    if array.ndim > 1 or (array.ndim == 1) == (n is not None):
        raise InvalidInput("rates and n do not belong together.", "Give one rate and n, or an array of n rates.")
    if not array.size or array.min() <= 0:
        raise InvalidInput("A rate is not positive.", "Every l_i must be above 0.")
    size = array.size if array.ndim else sample_size("n", n)
    if array.ndim:
        first = sum((Fraction(float(x)) for x in array), Fraction(0))
        second = sum((Fraction(float(x)) ** 2 for x in array), Fraction(0))
    else:
        first, second = Fraction(float(array)) * size, Fraction(float(array)) ** 2 * size
    try:
        down, up = float(first), float(second)
    except OverflowError as error:
        raise InvalidInput("The rates are too large for float64.", "Rescale the losses.") from error
    down = down if Fraction(down) <= first else math.nextafter(down, 0.0)
    up = up if Fraction(up) >= second else math.nextafter(up, math.inf)
    if not (down > 0 and math.isfinite(up)):
        raise InvalidInput("The rates are too small or too large for float64.", "Rescale the losses.")
    return int(size), down, up


def _declared(form: str, moment: Any, deviation: Any) -> dict[str, float]:
    wanted = {"bounded": (), "variance": ("moment", "deviation")}.get(form, ("moment",))
    given = {"moment": moment, "deviation": deviation}
    if any((given[name] is not None) != (name in wanted) for name in given):
        raise InvalidInput(
            f"The form {form!r} takes {' and '.join(wanted) or 'no moment'}.", "Declare exactly what it needs."
        )
    return {name: float(non_negative(name, finite(name, scalar(name, given[name])))) for name in wanted}
