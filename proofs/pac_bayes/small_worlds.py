"""Two finite worlds in which a PAC-Bayes bound's moment and failure probability are sums, not simulations.

World A: three hypotheses on four outcomes, n = 12, every count vector. World B: 16 independent fair coins as hypotheses,
n = 6, every vector of error counts: rich enough to see a dropped constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, rel_entr

FloatArray = NDArray[np.float64]

OUTCOMES = np.array([0.4, 0.3, 0.2, 0.1])
LOSSES = np.array([[0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]], dtype=np.float64)
PRIOR = np.array([0.5, 0.3, 0.2])


@dataclass(frozen=True)
class World:
    """All samples: their probabilities, each hypothesis's empirical risk (samples x hypotheses), and the weights with which
    hypotheses of a kind enter the prior (samples x hypotheses: in world B they are counted by their number of errors).
    """

    n: int
    probability: FloatArray
    empirical: FloatArray
    log_prior: FloatArray
    risk: FloatArray


def compositions(total: int, parts: int) -> NDArray[np.int64]:
    """All vectors of `parts` non-negative integers with the given sum."""
    if parts == 1:
        return np.array([[total]])
    blocks = [
        np.column_stack([np.full(len(rest), first), rest])
        for first in range(total + 1)
        for rest in (compositions(total - first, parts - 1),)
    ]
    return np.concatenate(blocks)


def count_probability(counts: NDArray[np.int64], p: FloatArray) -> FloatArray:
    """Multinomial probabilities of count vectors."""
    factorial = np.array([math.factorial(i) for i in range(int(counts.sum(axis=1).max()) + 1)], dtype=object)
    ways = np.array([math.factorial(int(row.sum())) // math.prod(factorial[row]) for row in counts], dtype=np.float64)
    return ways * np.prod(p**counts, axis=1)


@cache
def world_a(n: int = 12) -> World:
    """Three hypotheses; 455 count vectors at n = 12."""
    counts = compositions(n, 4)
    log_prior = np.broadcast_to(np.log(PRIOR), (len(counts), 3))
    return World(n, count_probability(counts, OUTCOMES), counts @ LOSSES.T / n, log_prior, LOSSES @ OUTCOMES)


@cache
def world_b(n: int = 6, hypotheses: int = 16) -> World:
    """Fair coins; a sample is how many of the 16 hypotheses make k errors, k = 0..6 (74613 vectors)."""
    counts = compositions(hypotheses, n + 1)
    kinds = np.array([math.comb(n, k) for k in range(n + 1)]) / 2.0**n
    with np.errstate(divide="ignore"):
        log_prior = np.log(counts / hypotheses)
    empirical = np.broadcast_to(np.arange(n + 1) / n, counts.shape)
    return World(n, count_probability(counts, kinds), empirical, log_prior, np.full(n + 1, 0.5))


def kl(q: FloatArray, p: FloatArray) -> FloatArray:
    """Binary relative entropy, written independently of the certified one."""
    return rel_entr(q, p) + rel_entr(1 - q, 1 - p)


def exponent(world: World) -> FloatArray:
    """n kl(rh||r) for every sample and hypothesis."""
    return world.n * kl(world.empirical, np.broadcast_to(world.risk, world.empirical.shape))


def moment(world: World, phi: FloatArray) -> float:
    """E_S E_P e^phi: the only probabilistic ingredient of the theorem."""
    return float(world.probability @ np.exp(logsumexp(world.log_prior + phi, axis=1)))


def failure(world: World, phi: FloatArray, log_threshold: float) -> tuple[float, float]:
    """P(some Q has E_Q phi > K + log_threshold), which is P(ln E_P e^phi > log_threshold) by Donsker-Varadhan, and the
    distance of the closest sample from the threshold (so that no strict inequality hangs on rounding)."""
    statistic = logsumexp(world.log_prior + phi, axis=1)
    return float(world.probability[statistic > log_threshold].sum()), float(np.abs(statistic - log_threshold).min())


def worst_posteriors(world: World, phi_steps: int = 60, grid: int = 60) -> FloatArray:
    """For each sample of world A, the posterior that makes n kl(rh_Q||r_Q) - KL(Q||P) largest.

    Start from the best point of a simplex grid, then Q <- P e^{n (x rh + y r)}, x, y the partial derivatives of kl at
    (rh_Q, r_Q): by convexity of kl the objective never decreases.
    """
    simplex = compositions(grid, world.risk.size) / grid
    prior = np.exp(world.log_prior[0])
    divergence = rel_entr(simplex, prior).sum(axis=1)
    risk = simplex @ world.risk
    best = np.empty((len(world.probability), world.risk.size))
    for i, empirical in enumerate(world.empirical):
        best[i] = simplex[np.argmax(world.n * kl(simplex @ empirical, risk) - divergence)]
    for _ in range(phi_steps):
        q = (best * world.empirical).sum(axis=1).clip(1e-15, 1 - 1e-15)
        p = best @ world.risk
        x, y = np.log(q * (1 - p) / (p * (1 - q))), (p - q) / (p * (1 - p))
        logits = world.log_prior + world.n * (x[:, None] * world.empirical + y[:, None] * world.risk)
        best = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    return best
