"""The PAC-Bayes empirical Bernstein bound (pb.eb): a variance bound and a Bernstein bound, each with a grid that it pays for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.variance import EB
from ...theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ..certified.outward import add_down, add_up, div_up, log_down, log_up, mul_down, mul_up, sqrt_up
from ..confidence import split_delta
from .certificate import Certificate
from .given import weighted_mean_up, weights_of
from .issue import issue, scalar, spend

VARIANCE_EVENT = "variance over the sample"
EVENT = "empirical Bernstein over the sample"
E_MINUS_2_UP = math.nextafter(math.e, math.inf) - 2  # the float e is below e


def empirical_bernstein(
    *,
    risk: float,
    variance: float,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    c1: float = 1.15,
    c2: float = 1.15,
) -> Certificate:
    """Certificate for the true Gibbs risk that uses the spread of the losses.

    Parameters
    ----------
    risk: empirical Gibbs risk on the n examples, in [0, 1].
    variance: posterior mean of the unbiased empirical variances (sums of squares divided by n - 1), in [0, 1/2]; `posterior_moments` computes both.
    kl: KL(Q||P) in nats, in [0, inf].
    n: number of examples, at least 2.
    delta, log_inv_delta: probability that the bound fails, or ln of its inverse; half of it pays for the variance, half for the risk.
    c1, c2: ratios of the two geometric grids, above 1, fixed before the data (searching them needs a union).

    Raises `InvalidInput`. Source: Tolstikhin and Seldin 2013.
    """
    q, v = (
        float(unit_interval("risk", scalar("risk", risk))),
        float(non_negative("variance", scalar("variance", variance))),
    )
    divergence, size = float(non_negative("kl", scalar("kl", kl))), sample_size("n", n)
    ratios = [float(finite(name, scalar(name, value))) for name, value in (("c1", c1), ("c2", c2))]
    if v > 0.5 * (1 + 2.0**-50) or size < 2:
        raise InvalidInput(
            f"variance is {v:g} and n = {size}.",
            "An unbiased variance of losses in [0, 1] is at most 1/2 and needs n >= 2.",
        )
    if min(ratios) <= 1:
        raise InvalidInput(f"c1 = {c1!r} and c2 = {c2!r}.", "Both are above 1 and fixed before the data.")
    if delta is not None and log_inv_delta is None:
        shares = split_delta(delta, 0.5)
        spent = (spend(VARIANCE_EVENT, shares[0]), spend(EVENT, shares[1]))
    else:
        level = add_up(log_inverse_delta(delta, log_inv_delta), log_up(2.0))
        spent = (spend(VARIANCE_EVENT, None, level), spend(EVENT, None, level))
    first, second = (s.log_inv_delta for s in spent)
    grids = grid_sizes(size, first, second, *ratios)
    bar = variance_up(v, divergence, size, first, grids[0], ratios[0])
    return issue(
        EB,
        add_up(q, deviation_up(bar, divergence, size, second, grids[1], ratios[1])),
        quantity="true Gibbs risk",
        spent=spent,
        inputs={
            "risk": q, "variance": v, "kl": divergence, "n": size, "c1": ratios[0], "c2": ratios[1],
            "variance_log_inv_delta": first, "log_inv_delta": second,
        },
    )  # fmt: skip


def grid_sizes(n: int, first: float, second: float, c1: float, c2: float) -> tuple[int, int]:
    """nu1 and nu2, never below the exact ones."""
    inner = add_up(0.5 * sqrt_up(add_up(div_up(n - 1.0, first), 1.0)), 0.5)
    nu1 = math.ceil(div_up(log_up(inner), log_down(c1)))
    ratio = div_up(mul_up(E_MINUS_2_UP, float(n)), mul_down(4.0, second))
    top = log_up(ratio) / 2
    nu2 = math.ceil(div_up(top, log_down(c2)) if top > 0 else 0.0) + 1
    return max(1, nu1), max(1, nu2)


def variance_up(variance: float, kl: float, n: int, log_inv_delta: float, grid: int, ratio: float) -> float:
    """Vbar, rounded up."""
    a = add_up(kl, log_up(float(grid)), log_inv_delta)
    if math.isinf(a):
        return 0.25
    root = sqrt_up(div_up(mul_up(variance, a), 2.0 * (n - 1)))
    found = add_up(variance, mul_up(add_up(1.0, ratio), root), div_up(mul_up(2 * ratio, a), n - 1.0))
    return min(0.25, found)


def deviation_up(bar: float, kl: float, n: int, log_inv_delta: float, grid: int, ratio: float) -> float:
    """What is added to the empirical risk, rounded up; where rounding leaves the case open, the larger of the two."""
    a = add_up(kl, log_up(float(grid)), log_inv_delta)
    if math.isinf(a):
        return math.inf
    low = add_down(kl, log_down(float(grid)), log_inv_delta)
    if low <= mul_up(mul_up(float(n), E_MINUS_2_UP), bar):
        return mul_up(add_up(1.0, ratio), sqrt_up(div_up(mul_up(mul_up(E_MINUS_2_UP, bar), a), float(n))))
    return div_up(2 * a, float(n))


def posterior_moments(losses: Any, posterior: Any) -> tuple[float, float, float]:
    """(risk, unbiased variance, mean squared loss), posterior means, each rounded up, from losses (predictors, n >= 2) in [0, 1] and weights.

    A product of floats is at most the float after its rounded value. Sums of squares about any centre are not below those about the mean,
    and a difference of floats is right to half an ulp, its square to a whole one.
    """
    array = unit_interval("losses", losses)
    if array.ndim != 2 or array.shape[1] < 2:
        raise InvalidInput(f"losses has shape {array.shape}.", "It needs predictors and at least two examples.")
    weights = weights_of("posterior", posterior, len(array))
    spreads = squared_distance_up(array, array.mean(axis=1, keepdims=True))
    n = array.shape[1]
    variance = mul_up(weighted_mean_up(spreads, weights), div_up(float(n), n - 1.0))
    return weighted_mean_up(array, weights), min(0.5, variance), weighted_mean_up(_square_up(array), weights)


def squared_distance_up(x: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x - centre)^2 of numbers in [0, 1], rounded up: the difference costs half an ulp, its square a whole one (2 * 2^-53, relatively),
    the product with the factor another half."""
    return np.minimum(_square_up(x - centre) * (1 + 8 * 2.0**-53), 1.0)


def _square_up(x: NDArray[np.float64]) -> NDArray[np.float64]:
    square = x * x
    return np.where(x == 0, 0.0, np.nextafter(square, np.inf))
