"""Relaxations of the PAC-Bayes-kl bound in closed form (pb.quad, pb.lambda): looser, easy to differentiate, on the same event."""

from __future__ import annotations

import math
from typing import Literal

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import LAMBDA, QUAD
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified.outward import add_down, add_up, div_up, mul_down, mul_up, sqrt_up, sub_down
from ..confidence import Spending
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import EVENT, complexity

Constant = Literal["exact", "2sqrt"]


def quad(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the true Gibbs risk: `value` = (sqrt(risk + c/2) + sqrt(c/2))^2, `lower` = risk - sqrt(2 risk c).

    c = (kl + ln(xi(n)/delta))/n. Parameters, event and errors are those of `seeger_kl`, whose bound is never above this one (nor its
    lower side below). f_quad of Perez-Ortiz et al. 2021.
    """
    q, part, divergence, size, spent, c = _common(risk, kl, n, delta, log_inv_delta, constant)
    root = add_up(sqrt_up(add_up(q, c / 2)), sqrt_up(c / 2))
    return issue(
        QUAD,
        mul_up(root, root),
        lower=None if part is not None else max(0.0, sub_down(q, sqrt_up(mul_up(2 * q, c)))),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta, "constant": constant},
        parts={"risk": part} if part is not None else {},
    )


def thiemann_lambda(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    lam: float | None = None,
    gamma: float | None = None,
    constant: Constant = "exact",
) -> Certificate:
    """Certificate for the true Gibbs risk: `value` = risk/(1 - lam/2) + c/(lam (1 - lam/2)), `lower` = (1 - gamma/2) risk - c/gamma.

    c = (kl + ln(xi(n)/delta))/n. The bound holds for all lam in (0, 2) and all gamma > 0 at once, so they may depend on everything:
    None takes the best, and the value is then that of `quad`. Other parameters, event and errors are those of `seeger_kl`.
    Source: Thiemann, Igel, Wintenberger, Seldin 2017 (with constant="2sqrt").
    """
    q, part, divergence, size, spent, c = _common(risk, kl, n, delta, log_inv_delta, constant)
    chosen = best_lambda(q, c) if lam is None else float(finite("lam", scalar("lam", lam)))
    if not 0 < chosen < 2:
        raise InvalidInput(f"lam is {chosen:g}.", "It lies strictly between 0 and 2.")
    slack = best_gamma(q, c) if gamma is None else float(finite("gamma", scalar("gamma", gamma)))
    if slack <= 0:
        raise InvalidInput(f"gamma is {slack:g}.", "It is positive.")
    shrunk = sub_down(1.0, chosen / 2)
    value = add_up(div_up(q, shrunk), div_up(c, mul_down(chosen, shrunk)))
    # with gamma above 2 the factor of the risk is negative: its lower end is then multiplied by the same non-negative risk
    below = add_down(mul_down(sub_down(1.0, slack / 2), q), -div_up(c, slack))
    return issue(
        LAMBDA,
        value,
        lower=None if part is not None else max(0.0, below),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "risk": q,
            "kl": divergence,
            "n": size,
            "log_inv_delta": spent.log_inv_delta,
            "constant": constant,
            "lam": chosen,
            "gamma": slack,
        },
        parts={"risk": part} if part is not None else {},
    )


def best_lambda(risk: float, c: float) -> float:
    """2/(sqrt(2 risk/c + 1) + 1), the lam at which the bound is smallest: in (0, 1]. Not outward: any lam gives a bound."""
    return max(2 / (math.sqrt(2 * risk / c + 1) + 1), 1e-300)


def best_gamma(risk: float, c: float) -> float:
    """sqrt(2 c/risk), the gamma at which the lower side is largest; at risk 0, where none helps, 1."""
    found = math.sqrt(2 * c / risk) if risk > 0 and c < math.inf else 1.0
    return found if 0 < found < math.inf else 1.0


def bound_slope(risk: float, c: float, lam: float) -> float:
    """d/dlam of the bound at fixed risk and c: risk/(2 (1-lam/2)^2) - c (1-lam)/(lam^2 (1-lam/2)^2)."""
    return (risk / 2 - c * (1 - lam) / lam**2) / (1 - lam / 2) ** 2


def _common(
    risk: float | Certificate, kl: float, n: int, delta: float | None, log_inv_delta: float | None, constant: Constant
) -> tuple[float, Certificate | None, float, int, Spending, float]:
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    spent = spend(EVENT, delta, log_inv_delta)
    return q, part, divergence, size, spent, complexity(divergence, size, spent.log_inv_delta, constant)
