"""Mixture bounds for sub-Gaussian losses (pb.sg_mixture, pb.sg_mixture_one_sided): all n at once, half a logarithm, no n - 1."""

from __future__ import annotations

import math
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.large_deviations import SG_MIXTURE, SG_MIXTURE_ONE_SIDED
from ...theory.validation import finite, non_negative, sample_size
from ..certified.outward import add_up, div_up, log_up, mul_down, mul_up, sqrt_up, sub_down
from .certificate import Certificate
from .chernoff import QUANTITY, log_root
from .issue import issue, scalar, spend

EVENT = "sub-Gaussian mixture over all sample sizes"
ONE_SIDED_EVENT = "half-normal mixture over all sample sizes"


def sub_gaussian_mixture(
    *,
    risk: float,
    kl: float,
    n: int,
    variance: float,
    a: float = 1.0,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate risk +- sqrt(2 variance ((n+a)/n^2) (kl + ln((n+a)/a)/2 + ln(1/delta))), at one delta, for all n at once.

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, any finite number.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples; it need not be fixed in advance.
    variance: E_Q s(theta)^2, where ln E e^{l (L - loss)} <= s(theta)^2 l^2/2 is declared for every real l.
    a: positive, fixed in advance: 1 when no horizon is known, `best_a(n0, kl0, log_inv_delta)` for an anticipated one.
    delta, log_inv_delta: probability that this event fails, or ln of its inverse; exactly one.

    Raises `InvalidInput`. Derived here from Robbins's mixture.
    """
    r, divergence, size, spent = _common(risk, kl, n, delta, log_inv_delta, EVENT)
    v = float(non_negative("variance", finite("variance", scalar("variance", variance))))
    b = positive("a", a)
    total = add_up(float(size), b)
    level = add_up(divergence, 0.5 * log_up(div_up(total, b)), spent.log_inv_delta)
    # an infinite kl says nothing, whatever the variance (Q may live where P never looks)
    spread = mul_up(mul_up(2 * v, total), level) if level < math.inf else math.inf
    width = div_up(sqrt_up(spread), float(size))
    return issue(
        SG_MIXTURE,
        add_up(r, width),
        lower=sub_down(r, width),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={"risk": r, "kl": divergence, "n": size, "variance": v, "a": b, "log_inv_delta": spent.log_inv_delta},
        top=math.inf,
    )


def sub_gaussian_mixture_one_sided(
    *,
    risk: float,
    kl: float,
    n: int,
    variance: float,
    reference: float,
    a: float = 1.0,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate risk + sqrt(2 D (kl + ln(D/(a reference))/2 + ln(1/delta)))/n, D = n variance + a reference, for all n at once.

    Only the lower tail of the loss is declared: ln E e^{l (L - loss)} <= s(theta)^2 l^2/2 for l >= 0 (losses >= 0 with E loss^2 <= B2
    have s^2 = B2). `variance` is E_Q s(theta)^2; `reference` = s0^2 > 0 and `a` > 0 are fixed in advance, the variance need not be. Other
    parameters and errors are those of `sub_gaussian_mixture`.
    """
    r, divergence, size, spent = _common(risk, kl, n, delta, log_inv_delta, ONE_SIDED_EVENT)
    v = float(non_negative("variance", finite("variance", scalar("variance", variance))))
    b, s0 = positive("a", a), positive("reference", reference)
    total = add_up(mul_up(float(size), v), mul_up(b, s0))
    least = mul_down(b, s0)  # 0 where the product underflows
    ratio = 1.0 if not v else add_up(1.0, div_up(mul_up(float(size), v), least)) if least else math.inf
    level = add_up(divergence, 0.5 * log_up(ratio), spent.log_inv_delta)
    width = div_up(sqrt_up(mul_up(2 * total, level)), float(size))
    inputs = {"risk": r, "kl": divergence, "n": size, "variance": v, "reference": s0, "a": b}
    return issue(
        SG_MIXTURE_ONE_SIDED,
        add_up(r, width),
        quantity=QUANTITY,
        spent=(spent,),
        inputs={**inputs, "log_inv_delta": spent.log_inv_delta},
        top=math.inf,
    )


def best_a(n: int, anticipated_kl: float, log_inv_delta: float) -> float:
    """The a that is best at a horizon n if KL(Q||P) turns out as anticipated: n/(r-1), r = 1 + 2B + ln r, B = kl + ln(1/delta)."""
    return n / log_root(2 * (anticipated_kl + log_inv_delta))


def positive(name: str, value: Any) -> float:
    """One positive finite number."""
    number = float(finite(name, scalar(name, value)))
    if number <= 0:
        raise InvalidInput(f"{name} is {number:g}.", "It must be positive and fixed before the data.")
    return number


def _common(risk: Any, kl: Any, n: Any, delta: Any, log_inv_delta: Any, event: str) -> tuple[float, float, int, Any]:
    size = sample_size("n", n)
    r = float(finite("risk", scalar("risk", risk)))
    return r, float(non_negative("kl", scalar("kl", kl))), size, spend(event, delta, log_inv_delta)
