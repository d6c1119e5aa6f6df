"""Catoni's bound with its parameter chosen after the data, legally: three ways to pay (pb.catoni_grid and its two companions)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.kl_bounds import CATONI_CONTINUOUS, CATONI_GRID, CATONI_UNIFORM
from ...theory.validation import finite, non_negative, sample_size, unit_interval
from ..certified import kl_lower_parts, kl_upper_parts
from ..certified.outward import add_up, div_down, div_up, expm1_down, expm1_up, log_down, log_up, mul_up
from .catoni import catoni_lower, catoni_upper, parameter
from .certificate import Certificate
from .issue import issue, scalar, spend
from .seeger import EVENT as KL_EVENT
from .seeger import complexity

GRID_EVENT = "Catoni's bound at every beta of a grid, over the sample"
CONTINUOUS_EVENT = "Catoni's bound at every lambda >= 1, over the sample"
LARGEST = 700.0  # beyond it e^-beta is below every float that matters


def catoni_grid(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    betas: Sequence[float] | NDArray[np.float64],
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk: the smallest of `catoni` over G betas fixed in advance, each at delta/G.

    betas: positive numbers, all different, fixed before the examples were seen; the grid costs ln G. Other parameters and errors are
    those of `catoni`.
    """
    q, part, divergence, size = _arguments(risk, kl, n)
    grid = finite("betas", betas, ndim=1)
    if not grid.size or np.unique(grid).size != grid.size:
        raise InvalidInput("betas is empty or names a value twice.", "Give every beta of the grid once.")
    values = [parameter("betas", float(b)) for b in grid]
    spent = spend(GRID_EVENT, delta, log_inv_delta)
    c = div_up(add_up(divergence, log_up(len(values)), spent.log_inv_delta), size)
    return issue(
        CATONI_GRID,
        min(catoni_upper(b, q, c) for b in values),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": spent.log_inv_delta, "betas": tuple(values)},
        parts=part,
    )


def catoni_continuous(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    alpha: float = 1.1,
    lam: float | None = None,
) -> Certificate:
    """Certificate for the true Gibbs risk at any lambda >= 1: (1 - exp(-(lam/n) x))/(1 - exp(-lam/n)) with
    x = risk + (alpha/lam) (kl + ln(1/delta) + 2 ln(ln(alpha^2 lam)/ln alpha)).

    alpha: above 1, fixed before the examples were seen (public compression-bound code has 1.0001). lam: at least 1; it may depend on
    everything, and None searches for a good one. Other parameters and errors are those of `catoni`.
    """
    q, part, divergence, size = _arguments(risk, kl, n)
    a = float(finite("alpha", scalar("alpha", alpha)))
    if a <= 1:
        raise InvalidInput(f"alpha is {a:g}.", "It is above 1 and fixed in advance.")
    spent = spend(CONTINUOUS_EVENT, delta, log_inv_delta)
    level = spent.log_inv_delta
    chosen = _search_lambda(q, divergence, size, level, a) if lam is None else float(finite("lam", scalar("lam", lam)))
    if chosen < 1:
        raise InvalidInput(f"lam is {chosen:g}.", "The union covers lambda >= 1.")
    return issue(
        CATONI_CONTINUOUS,
        _continuous(q, divergence, size, level, a, chosen),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={"risk": q, "kl": divergence, "n": size, "log_inv_delta": level, "alpha": a, "lam": chosen},
        parts=part,
    )


def _continuous(q: float, kl: float, n: int, level: float, alpha: float, lam: float) -> float:
    levels = div_up(add_up(mul_up(2.0, log_up(alpha)), log_up(lam)), log_down(alpha))  # k + 2 at most
    price = add_up(kl, level, mul_up(2.0, log_up(levels)))
    x = add_up(q, mul_up(div_up(alpha, lam), price))
    denominator = -expm1_up(-div_down(lam, n))
    return div_up(min(1.0, -expm1_down(-mul_up(div_up(lam, n), x))), denominator)


def _search_lambda(q: float, kl: float, n: int, level: float, alpha: float) -> float:
    """A lambda close to the best. Any one gives a bound, so a grid in its logarithm, refined twice, is enough."""
    low, high = 0.0, math.log(50.0 * n)
    for _ in range(3):
        grid = np.linspace(low, high, 61)
        values = [_continuous(q, kl, n, level, alpha, math.exp(x)) for x in grid]
        best = int(np.argmin(values))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return math.exp(grid[best])


def catoni_uniform(
    *,
    risk: float | Certificate,
    kl: float,
    n: int,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    beta: float | None = None,
    lower_beta: float | None = None,
    constant: Literal["exact", "2sqrt"] = "exact",
) -> Certificate:
    """Certificate for the true Gibbs risk at any beta: (1 - exp(-beta risk - c))/(1 - exp(-beta)), c = (kl + ln(xi(n)/delta))/n.

    On the event of `seeger_kl` this holds for all beta at once, the negative ones on the lower side; None takes the best, and the
    value is then `seeger_kl`'s. Other parameters and errors are those of `seeger_kl`.
    """
    q, part, divergence, size = _arguments(risk, kl, n)
    spent = spend(KL_EVENT, delta, log_inv_delta)
    c = complexity(divergence, size, spent.log_inv_delta, constant)
    up = _best_beta(q, c) if beta is None else parameter("beta", beta)
    down = (
        -_best_opposite(q, c) if lower_beta is None else float(finite("lower_beta", scalar("lower_beta", lower_beta)))
    )
    if down >= 0:
        raise InvalidInput(f"lower_beta is {down:g}.", "The lower side takes a negative one.")
    return issue(
        CATONI_UNIFORM,
        catoni_upper(up, q, c),
        lower=None if part else catoni_lower(-down, q, c),
        quantity="true Gibbs risk",
        spent=(spent,),
        inputs={
            "risk": q,
            "kl": divergence,
            "n": size,
            "log_inv_delta": spent.log_inv_delta,
            "constant": constant,
            "beta": up,
            "lower_beta": down,
        },
        parts=part,
    )


def _best_beta(q: float, c: float) -> float:
    """ln(p(1-q)/(q(1-p))) at p = UP(q, c), kept within (0, 700]."""
    parts = kl_upper_parts(q, c)
    return _odds(float(parts.p), float(parts.log_complement), q)


def _best_opposite(q: float, c: float) -> float:
    """The same on the lower side, with signs changed: the upper side of 1 - q."""
    parts = kl_lower_parts(q, c)
    log_p = math.log(float(parts.p)) if parts.p > 0 else -LARGEST
    return _odds(float(parts.complement), log_p, 1 - q)


def _odds(p: float, log_complement: float, q: float) -> float:
    if not 0 < q < 1 or log_complement == -math.inf:
        return LARGEST
    found = math.log(p) - log_complement + math.log1p(-q) - math.log(q)
    return min(max(found, 2.0**-500), LARGEST)


def _arguments(risk: float | Certificate, kl: float, n: int) -> tuple[float, dict[str, Certificate], float, int]:
    part = risk if isinstance(risk, Certificate) else None
    q = float(unit_interval("risk", scalar("risk", part.value if part else risk)))
    return (
        q,
        {"risk": part} if part is not None else {},
        float(non_negative("kl", scalar("kl", kl))),
        sample_size("n", n),
    )
