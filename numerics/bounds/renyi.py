"""Bounds through other divergences than KL: Renyi (pb.renyi), chi-square and powers of the density (pb.fdiv)."""

from __future__ import annotations

import math

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.other_divergences import FDIV, RENYI
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.maurer import log_maurer_xi_upper
from ..certified.outward import add_up, div_down, div_up, exp_up, log_up, mul_up, sqrt_up, sub_down, sub_up
from ..confidence import Spending
from .certificate import Certificate
from .issue import Given, issue, scalar, spend

EVENT = "Renyi PAC-Bayes over the sample"
MOMENT_EVENT = "moment of the deviation over the sample"


def renyi(
    *,
    risk: float,
    divergence: float,
    n: int,
    order: float = 2.0,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate for the true Gibbs risk: `value` = UP(risk, (D_a(Q||P) + ln(xi(n)/delta))/n).

    risk: empirical Gibbs risk in [0, 1]. divergence: D_a(Q||P) in nats, in [0, inf], of the given `order` a > 1. Never below `seeger_kl`
    with the KL of the same posterior, because D_a grows with a; the theorem also bounds ln E_Q of exponentials.
    Raises `InvalidInput`. Source: Begin et al. 2016.
    """
    q = float(unit_interval("risk", scalar("risk", risk)))
    spent_on = float(non_negative("divergence", scalar("divergence", divergence)))
    size, a = sample_size("n", n), _order(order)
    spent = spend(EVENT, delta, log_inv_delta)
    c = div_up(add_up(spent_on, float(log_maurer_xi_upper(size)), spent.log_inv_delta), size)
    inputs = {"risk": q, "divergence": spent_on, "order": a, "n": size, "log_inv_delta": spent.log_inv_delta}
    value, lower = float(kl_upper(q, c)), float(kl_lower(q, c))
    return issue(RENYI, value, lower=lower, quantity="true Gibbs risk", spent=(spent,), inputs=inputs)


def chi_square(
    *,
    risk: float,
    chi2: float,
    variance: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate for the true Gibbs risk of any loss: risk +- sqrt((variance/(n delta)) (1 + chi2(Q||P))).

    chi2: chi-square divergence, in [0, inf]. variance: a bound on E_P Var(loss) declared in advance; for dependent examples n times a
    bound on E_P of the variance of the empirical mean. The same width bounds E_Q |r - rh|. Raises `InvalidInput`.
    Source: Alquier and Guedj 2018; Begin et al. 2016.
    """
    q, divergence = float(finite("risk", scalar("risk", risk))), float(non_negative("chi2", scalar("chi2", chi2)))
    v, size = float(non_negative("variance", finite("variance", scalar("variance", variance)))), sample_size("n", n)
    spent = spend(MOMENT_EVENT, delta, log_inv_delta)
    # exp(ln(1/delta)/2) is the root of 1/delta, and halving is exact
    root = sqrt_up(div_up(mul_up(v, add_up(1.0, divergence)), size))  # 0 if v is, whatever the divergence
    width = mul_up(root, exp_up(spent.log_inv_delta / 2))
    inputs: dict[str, Given] = {"form": "chi-square", "risk": q, "chi2": divergence, "variance": v, "n": size, "log_inv_delta": spent.log_inv_delta}  # fmt: skip
    return _around(q, width, spent, inputs)


def power_divergence(
    *,
    risk: float,
    density_norm: float,
    order: float,
    moment: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate for the true Gibbs risk of any loss: risk +- (moment/delta)^(1/q) density_norm, 1/p + 1/q = 1.

    order: p > 1. density_norm: (E_P (dQ/dP)^p)^(1/p), at least 1. moment: a bound on E_S E_P |r - rh|^q declared in advance.
    `chi_square` is p = q = 2. Raises `InvalidInput`. Source: Alquier and Guedj 2018.
    """
    q, p = float(finite("risk", scalar("risk", risk))), _order(order)
    norm = float(non_negative("density_norm", scalar("density_norm", density_norm)))
    if norm < 1:
        raise InvalidInput(f"density_norm is {norm:g}.", "E_P (dQ/dP)^p is at least 1 by Jensen.")
    m = float(non_negative("moment", finite("moment", scalar("moment", moment))))
    spent = spend(MOMENT_EVENT, delta, log_inv_delta)
    if m:
        inner = add_up(log_up(m), spent.log_inv_delta)
        # 1/q = 1 - 1/p from the side that makes the product larger
        inverse = sub_up(1.0, div_down(1.0, p)) if inner >= 0 else sub_down(1.0, div_up(1.0, p))
        root = mul_up(inner, inverse)
        width = mul_up(exp_up(root) if root > -700 else math.exp(-700), norm)
    else:
        width = 0.0
    inputs: dict[str, Given] = {"form": "power", "risk": q, "density_norm": norm, "order": p, "moment": m, "log_inv_delta": spent.log_inv_delta}  # fmt: skip
    return _around(q, width, spent, inputs)


def _around(risk: float, width: float, spent: Spending, inputs: dict[str, Given]) -> Certificate:
    upper, lower = add_up(risk, width), sub_down(risk, width)
    return issue(
        FDIV,
        upper,
        lower=lower,
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs=inputs,
        top=math.inf,
    )


def _order(order: float) -> float:
    a = float(finite("order", scalar("order", order)))
    if a <= 1:
        raise InvalidInput(f"order is {a:g}.", "The order must be above 1.")
    return a
