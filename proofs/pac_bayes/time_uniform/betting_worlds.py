"""Finite worlds for bounds by betting: one predictor with three-valued losses, and three predictors with real losses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ....numerics.bounds.betting import betting_interval
from ....numerics.certified.betting import mean_limits
from ....numerics.claims import FloatArray
from ....theory.balls.betting import rough_solution
from ..small_worlds import OUTCOMES, PRIOR
from ..time_uniform_worlds import REAL_LOSSES

VALUES, LAW = np.array([0.0, 0.3, 1.0]), np.array([0.3, 0.4, 0.3])  # the finite world: losses and their probabilities
WORLD = REAL_LOSSES / 3  # three predictors, losses in [0, 1] on four outcomes


@cache
def interval(counts: tuple[int, ...], log_inv_delta: float, paid: bool) -> tuple[float, float]:
    if paid:
        certificate = betting_interval(losses=np.repeat(VALUES, counts), log_inv_delta=log_inv_delta)
        assert certificate.lower is not None
        return certificate.lower, certificate.value
    return mean_limits(VALUES, np.array(counts, dtype=np.float64), log_inv_delta)


def best_bet(counts: FloatArray, losses: FloatArray, u: float) -> FloatArray:
    """psi_n(u) for many count vectors of the outcomes, by bisection on the slope in b: no code of the bound."""
    low, high = np.full(len(counts), -1 / (1 - u)), np.full(len(counts), 1 / u)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(45):
            b = (low + high) / 2
            slope = np.where(counts > 0, counts * (losses - u) / (1 + b[:, None] * (losses - u)), 0.0).sum(axis=1)
            low, high = np.where(slope > 0, b, low), np.where(slope > 0, high, b)
        terms = np.where(counts > 0, counts * np.log1p(((low + high) / 2)[:, None] * (losses - u)), 0.0)
    return terms.sum(axis=1)


def exponents(counts: Any) -> FloatArray:
    """psi_n(h, r(h)) for every sample and predictor of the world."""
    return np.stack([best_bet(counts, row, float(row @ OUTCOMES)) for row in WORLD], axis=1)


def posteriors(counts: Any) -> Sequence[FloatArray]:
    """Point masses, and Gibbs posteriors of psi_n at three temperatures."""
    phi = exponents(counts[None, :])[0]
    weights = [np.log(PRIOR) + t * phi for t in (0.3, 1.0, 3.0)]
    return [*np.eye(3), *(np.exp(x - logsumexp(x)) for x in weights)]


def rounding_half_ulps(losses: FloatArray, posterior: Sequence[float], budget: float) -> float:
    """The rounding errors that the kernel bounds, evaluated at a rough solution and doubled, in half-ulps of 1: the sums of ln T
    (4 |x|/T + 12 |ln T| for each term) and the budget, over the common slope n beta; and the residuals R (8 + 4 |x|/T for each term,
    4 u/T^2 because u is rounded), which tilt the tangents by R A C/(u(1-u)). What the solver leaves is of second order, 1e-16."""
    alive = [index for index, row in enumerate(losses) if not (row == 1).all()]
    if not alive:
        return 0.0
    rows = [[Fraction(x) for x in losses[index].tolist()] for index in alive]
    shares = [Fraction(posterior[index]) for index in alive]
    beta, points = rough_solution(rows, shares, budget)
    error = 20 * budget
    for row, share, u in zip(losses[alive], shares, points, strict=True):
        t = np.maximum(1 - beta * (row - u), 1e-9)
        ratio, reach = np.abs(t - 1) / t, (1 - beta * (1 - u)) * (1 + beta * u) * max(1 / max(u, 1e-12), 1 / (1 - u))
        at_end = np.abs(np.log1p(-np.minimum(row, 1 - 1e-12))) + abs(np.log1p(-u))
        logs = np.abs(np.log(t)) if t.min() > 1e-6 else at_end
        tilt = ((8 + 4 * ratio) * np.abs(row - u) / t + 4 * u / t**2).sum() * max(reach, 0.0)
        error += float(share) * float((4 * ratio + 12 * logs).sum() + tilt)
    return 2 * error / (losses.shape[1] * beta)
