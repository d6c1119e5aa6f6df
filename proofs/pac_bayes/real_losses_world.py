"""World C: three hypotheses with real losses on four outcomes, n = 12: every count vector, the exact laws and their exponents.

The generating functions are written as defining sums over the four outcomes; rates come from a bisection of J'(l) = a. Nothing of
`numerics.large_deviations` is used here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from .small_worlds import OUTCOMES, PRIOR, World, compositions, count_probability

FloatArray = NDArray[np.float64]

REAL_LOSSES = np.array([[0.1, 0.2, 0.5, 3.0], [0.0, 1.0, 1.0, 2.0], [2.0, 0.0, 1.0, 0.0]])
MEANS = REAL_LOSSES @ OUTCOMES
SECOND_MOMENTS = REAL_LOSSES**2 @ OUTCOMES
VARIANCE_PROXIES = np.ptp(REAL_LOSSES, axis=1) ** 2 / 4  # Hoeffding's lemma


@cache
def world_c(n: int = 12) -> World:
    """455 count vectors at n = 12; `risk` holds the three mean losses."""
    counts = compositions(n, 4)
    log_prior = np.broadcast_to(np.log(PRIOR), (len(counts), 3))
    return World(n, count_probability(counts, OUTCOMES), counts @ REAL_LOSSES.T / n, log_prior, MEANS)


def generating_at(tilt: FloatArray) -> FloatArray:
    """J_h(l) = ln sum_z p_z e^{l (L_h - loss_h(z))} for tilts of shape (..., 1), hypotheses last."""
    return np.asarray(logsumexp(tilt[..., None] * (MEANS[:, None] - REAL_LOSSES), b=OUTCOMES, axis=-1))


def slopes(tilt: FloatArray) -> FloatArray:
    """J_h'(l), each hypothesis at its own tilts: array (points, 3) in and out."""
    logits = np.log(OUTCOMES) - tilt[..., None] * REAL_LOSSES
    weights = np.exp(logits - logsumexp(logits, axis=-1, keepdims=True))
    return np.asarray(MEANS - (weights * REAL_LOSSES).sum(axis=-1))


def rates(gap: FloatArray) -> FloatArray:
    """I_h(a) for an array (points, 3) of gaps: 0 for a <= 0, ln(1/P(least loss)) at L - m; larger gaps do not occur."""
    limit = MEANS - REAL_LOSSES.min(axis=1)
    mass = np.where(REAL_LOSSES.min(axis=1, keepdims=True) == REAL_LOSSES, OUTCOMES, 0.0).sum(axis=1)
    low, high = np.full(gap.shape, -40.0), np.full(gap.shape, 10.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = slopes(np.exp(middle)) < gap
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    tilt = np.exp((low + high) / 2)
    log_mean = logsumexp(tilt[..., None] * (MEANS[:, None] - REAL_LOSSES), b=OUTCOMES, axis=-1)
    value = tilt * gap - log_mean
    at_limit = gap >= limit - 1e-12
    return np.where(gap <= 0, 0.0, np.where(at_limit, -np.log(mass), value))


@cache
def rate_exponent() -> FloatArray:
    """I_h(max(L_h - Lh_h, 0)) for every sample and hypothesis of world C."""
    world = world_c()
    return rates(np.maximum(world.risk - world.empirical, 0.0))
