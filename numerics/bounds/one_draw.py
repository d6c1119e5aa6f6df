"""Certificates for one predictor drawn from the posterior (pb.disintegrated): kl, Catoni, Occam and Renyi forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.other_divergences import DISINTEGRATED
from ...theory.validation import finite, float_array, log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified.kl_inverse import kl_lower, kl_upper
from ..certified.maurer import log_maurer_xi_upper
from ..certified.outward import add_up, div_up, expm1_down, expm1_up, log_up, mul_down, mul_up, sub_down, sub_up
from .certificate import Certificate
from .issue import Given, issue, scalar, spend

EVENT = "sample and one draw from the posterior"
SAMPLE_EVENT, DRAW_EVENT = "moment over the sample", "one draw from the posterior"
QUANTITY = "true risk of the drawn predictor"
LN2 = log_up(2.0)


def one_draw_kl(
    *, risk: float, log_density: float, n: int, delta: float | None = None, log_inv_delta: float | None = None
) -> Certificate:
    """Two-sided certificate for one draw h from Q: `value` = UP(risk, max(0, log_density + ln(xi(n)/delta))/n).

    risk: empirical risk of h on the n examples, in [0, 1]. log_density: ln (dQ/dP)(h), in nats; it may be negative
    (`gaussian_log_ratio` for Gaussians). delta covers the sample and the draw together; give it or log_inv_delta. h must be drawn once:
    the best of several draws is a union over them. Raises `InvalidInput`. Source: Rivasplata et al. 2020.
    """
    q, density, size = _common(risk, log_density, n)
    spent = spend(EVENT, delta, log_inv_delta)
    total = add_up(density, float(log_maurer_xi_upper(size)), spent.log_inv_delta)
    c = div_up(max(total, 0.0), size)
    inputs: dict[str, Given] = {
        "form": "kl",
        "risk": q,
        "log_density": density,
        "n": size,
        "log_inv_delta": spent.log_inv_delta,
    }
    value, lower = float(kl_upper(q, c)), float(kl_lower(q, c))
    return issue(DISINTEGRATED, value, lower=lower, quantity=QUANTITY, spent=(spent,), inputs=inputs)


def one_draw_catoni(
    *,
    risk: float,
    log_density: float,
    n: int,
    beta: float,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Upper certificate for one draw h from Q: `value` = (1 - exp(-beta risk - (log_density + ln(1/delta))/n))/(1 - exp(-beta)).

    beta > 0 must be fixed before the data. Other arguments as `one_draw_kl`. Source: Catoni 2007; Rivasplata et al. 2020.
    """
    q, density, size = _common(risk, log_density, n)
    b = _positive("beta", beta)
    spent = spend(EVENT, delta, log_inv_delta)
    t = add_up(mul_up(b, q), div_up(add_up(density, spent.log_inv_delta), size))
    denominator = -expm1_up(-b)  # not positive for a beta so small that its neighbouring floats pass 0
    value = 0.0 if t <= 0 else div_up(-expm1_down(-t), denominator) if denominator > 0 else math.inf
    inputs: dict[str, Given] = {
        "form": "catoni", "risk": q, "log_density": density, "n": size, "beta": b, "log_inv_delta": spent.log_inv_delta,
    }  # fmt: skip
    return issue(DISINTEGRATED, value, quantity=QUANTITY, spent=(spent,), inputs=inputs)


def one_draw_occam(
    *,
    risk: float,
    log_density: float,
    n: int,
    b: float = 1.0,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Upper certificate for one draw h from Q: `value` = UP(risk, (ln((b+1)/delta) + (1 + 1/b) max(0, log_density))/n).

    b > 0 must be fixed before the data: a large b pays less for the density and more for delta. No ln n at all. Other arguments as
    `one_draw_kl`. Source: Blanchard and Fleuret 2007.
    """
    q, density, size = _common(risk, log_density, n)
    power = _positive("b", b)
    spent = spend(EVENT, delta, log_inv_delta)
    paid = mul_up(add_up(1.0, div_up(1.0, power)), density) if density > 0 else 0.0
    c = div_up(add_up(log_up(add_up(1.0, power)), spent.log_inv_delta, paid), size)
    inputs: dict[str, Given] = {
        "form": "occam", "risk": q, "log_density": density, "n": size, "b": power, "log_inv_delta": spent.log_inv_delta,
    }  # fmt: skip
    return issue(DISINTEGRATED, float(kl_upper(q, c)), quantity=QUANTITY, spent=(spent,), inputs=inputs)


def one_draw_renyi(
    *,
    risk: float,
    divergence: float,
    n: int,
    order: float = 2.0,
    candidates: int = 1,
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Two-sided certificate for one draw h from Q that does not depend on the density at h.

    `value` = UP(risk, (((2a-1)/(a-1)) ln(2/delta) + D_a(Q||P) + ln T + ln xi(n))/n): at a = 2 the level enters as delta^3.

    divergence: D_a(Q||P) in nats, in [0, inf], of the given order a > 1; the smallest over `candidates` = T priors fixed before the data,
    if there are several. Half of delta pays for the sample, half for the draw. Other arguments as `one_draw_kl`.
    Source: Viallard et al. 2023.
    """
    q, _, size = _common(risk, 0.0, n)
    spent_on, priors = (
        float(non_negative("divergence", scalar("divergence", divergence))),
        sample_size("candidates", candidates),
    )
    a = finite("order", scalar("order", order))
    if a <= 1:
        raise InvalidInput(f"order is {a:g}.", "The Renyi divergence must have an order above 1.")
    level = log_inverse_delta(delta, log_inv_delta)
    if delta is None:
        half = add_up(level, LN2)
        halves = [spend(event, log_inv_delta=half) for event in (SAMPLE_EVENT, DRAW_EVENT)]
    else:
        halves = [spend(event, delta=float(delta) / 2) for event in (SAMPLE_EVENT, DRAW_EVENT)]
    half = halves[0].log_inv_delta
    twice = add_up(float(a), float(a))
    factor = div_up(sub_up(twice, 1.0), sub_down(float(a), 1.0))
    total = add_up(mul_up(factor, half), spent_on, log_up(float(priors)), float(log_maurer_xi_upper(size)))
    c = div_up(total, size)
    inputs: dict[str, Given] = {
        "form": "renyi", "risk": q, "divergence": spent_on, "order": float(a), "candidates": priors, "n": size,
        "log_inv_half_delta": half,
    }  # fmt: skip
    value, lower = float(kl_upper(q, c)), float(kl_lower(q, c))
    return issue(DISINTEGRATED, value, lower=lower, quantity=QUANTITY, spent=halves, inputs=inputs)


def gaussian_log_ratio(*, draw: Any, posterior_mean: Any, prior_mean: Any, scale: float) -> float:
    """ln (dQ/dP)(draw) for Q = N(posterior_mean, scale^2 I) and P = N(prior_mean, scale^2 I), rounded up.

    Arrays of one shape (parameters,); scale > 0. Equals sum (w - v)(2h - w - v)/(2 scale^2). Raises `InvalidInput`.
    """
    h, w, v = (finite(name, float_array(name, x, ndim=1)) for name, x in (("draw", draw), ("posterior_mean", posterior_mean), ("prior_mean", prior_mean)))  # fmt: skip
    if not h.shape == w.shape == v.shape or not h.size:
        raise InvalidInput("draw and means differ in shape.", "Flatten the parameters in one order.")
    s = _positive("scale", scale)
    unit = math.ldexp(
        0.5, math.frexp(s)[1]
    )  # a power of two next to the scale: in its units no square of a scale overflows
    with np.errstate(over="ignore", invalid="ignore"):
        h, w, v = h / unit, w / unit, v / unit
        from_prior, from_posterior = h - v, h - w
        terms = (w - v) * (from_prior + from_posterior)
        near, far = np.abs(w - v), np.abs(from_prior) + np.abs(from_posterior)
        sizes = near * far
    if not (np.isfinite(terms).all() and math.isfinite(sum(sizes.tolist()))):
        raise InvalidInput("The log-density ratio overflows.", "The draw or a mean is too many scales away.")
    # two differences of one sum, the sum, a third difference, a product and the sum of all: five half-ulps of the sizes, of which six are
    # added; what underflows, a coordinate or a product, is the last term
    error = math.fsum(sizes.tolist()) * 6 * 2.0**-53 + (float(np.max(near + far)) + 1) * h.size * 2.0**-1060
    top = add_up(math.fsum(terms.tolist()), error)
    square = (mul_down if top >= 0 else mul_up)(s / unit, s / unit)
    return div_up(top, 2 * square)


def _positive(name: str, value: Any) -> float:
    number = float(finite(name, scalar(name, value)))
    if number <= 0:
        raise InvalidInput(f"{name} is {number:g}.", "It must be positive and fixed before the data.")
    return number


def _common(risk: Any, log_density: Any, n: Any) -> tuple[float, float, int]:
    density = float(float_array("log_density", scalar("log_density", log_density)))
    if density == -math.inf:
        raise InvalidInput("log_density is -inf.", "A predictor of density 0 cannot be drawn.")
    return float(unit_interval("risk", scalar("risk", risk))), density, sample_size("n", n)
