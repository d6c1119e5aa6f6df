"""Finite worlds for losses that need not be 0 or 1: three hypotheses on four outcomes, every count vector of n examples.

Real losses: those of the third world of the area, divided by 3 so that they lie in [0, 1]. Excess losses: values in {-1, 0, 1}, each
of them possible for each hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, rel_entr

from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability

FloatArray = NDArray[np.float64]

REAL = np.array([[0.1, 0.2, 0.5, 3], [0, 1, 1, 2], [2, 0, 1, 0]]) / 3
EXCESS = np.array([[0, 1, -1, 0], [-1, 0, 1, 1], [1, 0, 0, -1]], dtype=np.float64)


@dataclass(frozen=True)
class LossWorld:
    """Samples with their probabilities, and how often each outcome occurs in them; `losses` hypotheses x outcomes."""

    n: int
    probability: FloatArray
    frequency: FloatArray
    losses: FloatArray

    @property
    def risk(self) -> FloatArray:
        return self.losses @ OUTCOMES

    def empirical(self, losses: FloatArray) -> FloatArray:
        """Empirical means of functions of the outcome, samples x hypotheses."""
        return self.frequency @ losses.T

    def variance(self) -> FloatArray:
        """Unbiased empirical variances, samples x hypotheses."""
        mean = self.empirical(self.losses)
        return (self.empirical(self.losses**2) - mean**2).clip(0) * self.n / (self.n - 1)


@cache
def world(losses: str, n: int = 12) -> LossWorld:
    """The world of "real", "excess" or "binary" losses (those of world A)."""
    counts = compositions(n, 4)
    table = {"real": REAL, "excess": EXCESS, "binary": LOSSES}[losses]
    return LossWorld(n, count_probability(counts, OUTCOMES), counts / n, table)


def statistic(phi: FloatArray) -> FloatArray:
    """sup over Q of E_Q phi - KL(Q||P) for each sample (Donsker-Varadhan)."""
    return np.asarray(logsumexp(phi, axis=1, b=PRIOR))


def posteriors(empirical: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Posteriors that follow the sample, (weights, KL) with one row for each sample: point masses, and Gibbs laws of both signs."""
    found = [np.tile(row, (len(empirical), 1)) for row in np.eye(3)]
    for tilt in (-10.0, 3.0, 10.0):
        logits = np.log(PRIOR) - tilt * empirical
        found.append(np.exp(logits - logsumexp(logits, axis=1, keepdims=True)))
    return [(q, rel_entr(q, PRIOR).sum(axis=1)) for q in found]
