"""Exact failure probabilities of time-uniform bounds: P(some n <= T violates), by forward recursion or over all paths.

A sample of size n is a count vector of outcomes. The mass still alive at n - 1 moves from c to c + e_z with weight p_z, and is
absorbed where the bound is violated. World A has 0-1 losses, world C real ones, both with three predictors on four outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from .small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, kl

FloatArray = NDArray[np.float64]
# statistic(losses summed over the sample, n) for every sample and predictor
Exponent = Callable[[FloatArray, int], FloatArray]

REAL_LOSSES = np.array([[0.1, 0.2, 0.5, 3.0], [0.0, 1.0, 1.0, 2.0], [2.0, 0.0, 1.0, 0.0]])  # world C


@dataclass(frozen=True)
class Passage:
    """Probability that the bound is violated at some n <= T, and the least distance of a statistic from its threshold."""

    probability: float
    margin: float


def first_passage(
    violated: Callable[[NDArray[np.int64], int], NDArray[np.bool_]], outcomes: FloatArray, horizon: int
) -> float:
    """P(some n <= horizon has violated(counts, n)), counts of the outcomes in n i.i.d. draws."""
    place = (horizon + 2) ** np.arange(outcomes.size)
    old, alive = np.zeros((1, outcomes.size), dtype=np.int64), np.ones(1)
    absorbed = 0.0
    for n in range(1, horizon + 1):
        new = compositions(n, outcomes.size)
        code = new @ place
        order = np.argsort(code)
        mass = np.zeros(len(new))
        for z, p in enumerate(outcomes):
            moved = order[np.searchsorted(code, old @ place + place[z], sorter=order)]
            np.add.at(mass, moved, alive * p)
        bad = violated(new, n)
        absorbed += float(mass[bad].sum())
        old, alive = new[~bad], mass[~bad]
    return absorbed


def posterior_passage(
    exponent: Exponent, log_constant: Callable[[int], float], losses: FloatArray, log_inv_delta: float, horizon: int
) -> Passage:
    """P(some n and Q have E_Q phi > K + ln(C_n/delta)): by Donsker-Varadhan, ln E_P e^phi > ln(C_n/delta)."""
    margin = np.inf

    def violated(counts: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
        nonlocal margin
        excess = logsumexp(np.log(PRIOR) + exponent(counts @ losses.T, n), axis=1) - log_constant(n) - log_inv_delta
        margin = min(margin, float(np.abs(excess).min()))
        return excess > 0

    return Passage(first_passage(violated, OUTCOMES, horizon), margin)


def kl_exponent(sums: FloatArray, n: int) -> FloatArray:
    """n kl(rh||r) in world A."""
    risk = LOSSES @ OUTCOMES
    return n * kl(sums / n, np.broadcast_to(risk, sums.shape))


def mixture_exponent(losses: FloatArray, proxy: FloatArray, a: float = 1.0) -> Exponent:
    """n^2 gen^2/(2 s^2 (n+a)), the logarithm of the Gaussian mixture but for its constant sqrt((n+a)/a); `proxy` is s^2."""
    risk = losses @ OUTCOMES

    def exponent(sums: FloatArray, n: int) -> FloatArray:
        return (n * risk - sums) ** 2 / (2 * proxy * (n + a))

    return exponent


def all_paths(violated: Callable[[FloatArray, int], NDArray[np.bool_]], risk: float, horizon: int) -> float:
    """The same probability for one predictor with 0-1 losses of mean `risk`, summed over all 2^horizon paths."""
    paths = (np.arange(2**horizon)[:, None] >> np.arange(horizon)) & 1
    errors = np.cumsum(paths, axis=1)
    bad = np.zeros(len(paths), dtype=bool)
    for n in range(1, horizon + 1):
        bad |= violated(errors[:, n - 1].astype(np.float64), n)
    total = errors[:, -1]
    return float((risk**total * (1 - risk) ** (horizon - total))[bad].sum())


def random_losses(rng: np.random.Generator, n: int) -> FloatArray:
    """Spread over [0, 1], crowded at 0, on a grid, or binary."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.random(n)
    if kind == 1:
        return rng.random(n) ** 4
    return rng.integers(0, 5, n) / 4 if kind == 2 else (rng.random(n) < rng.random()).astype(np.float64)
