"""The same inverse rate by its dual, worst-case reweighting: Iinv(s) = mean - min {E_{nu'} loss : KL(nu'||nu) <= s}.

The worst law is the tilt of nu with KL = s. Its divergence is summed from density ratios, sum p psi(w/p) with
psi(r) = r ln r - r + 1 >= 0, and the tilt is bracketed by bisection: nothing is shared with `inverse_rate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class WorstCase:
    """The worst law within relative entropy s: how far its mean lies below, its probabilities, its divergence, its tilt."""

    value: float
    weights: FloatArray
    divergence: float
    tilt: float


def worst_reweighting(losses: ArrayLike, s: float, *, weights: ArrayLike | None = None) -> WorstCase:
    """The law with the smallest mean loss among those within relative entropy s of the losses' own law (one model).

    losses: one row; weights: its probabilities (uniform by default); s in [0, inf] nats. Raises `InvalidInput`.
    """
    x = finite("losses", losses, ndim=1)
    p = np.ones(x.size) if weights is None else non_negative("weights", finite("weights", weights, ndim=1))
    if p.shape != x.shape or not p.sum() > 0:
        raise InvalidInput(f"weights has shape {p.shape}, losses {x.shape}.", "Give one weight for each loss.")
    level = float(non_negative("s", s))
    if np.abs(x).max(initial=0.0) > 1e150:
        raise InvalidInput("The losses leave the range in which squares are floats.", "Rescale them first.")
    x, p = x[p > 0], p[p > 0] / p.sum()
    x = x - x.min()
    lowest = x == 0
    if level >= -math.log(p[lowest].sum()):
        w = np.where(lowest, p, 0.0) / p[lowest].sum()
        return WorstCase(float(p @ x), w, -math.log(p[lowest].sum()), math.inf)
    if level == 0:
        return WorstCase(0.0, p, 0.0, 0.0)

    x = x - p @ x
    x = x - p @ x  # what is left of the mean
    variance = float(p @ x**2)

    def tilted(log_tilt: float) -> tuple[FloatArray, float]:
        y = math.exp(log_tilt) * x
        # ln E e^{-y}; where every |y| is small, from E (e^{-y} - 1 + y), since E y = 0
        small = np.abs(y).max() < 0.25
        ln_z = math.log1p(float(p @ _second_order(-y))) if small else _log_mean_exp(-y, p)
        ln_r = -y - ln_z
        return ln_r, float(p @ _psi(ln_r))

    low = high = math.log(math.sqrt(2 * level / variance))
    while tilted(low)[1] > level:
        low -= 1.0
    while tilted(high)[1] < level:
        high += 1.0
    root = low
    if low < high:
        root = float(brentq(lambda v: tilted(v)[1] / level - 1, low, high, xtol=1e-15, rtol=8.9e-16, maxiter=300))
    ln_r, divergence = tilted(root)
    w = p * np.exp(ln_r)
    # sum (p - w) x: from the differences where ratios are near 1, from the normalised weights elsewhere
    near = np.abs(ln_r).max() < 1
    value = -float((p * np.expm1(ln_r)) @ x) if near else -float(w @ x) / float(w.sum())
    return WorstCase(value, w / w.sum(), divergence, math.exp(root))


def _psi(u: FloatArray) -> FloatArray:
    """r ln r - r + 1 at r = e^u: sum over k >= 2 of (k-1) u^k/k! where |u| < 1/4, else u e^u - expm1(u)."""
    small = np.abs(u) < 0.25
    z = np.where(small, u, 0.0)
    series = np.asarray(sum((k - 1) / math.factorial(k) * z**k for k in range(2, 16)))
    return np.where(small, series, u * np.exp(u) - np.expm1(u))


def _second_order(u: FloatArray) -> FloatArray:
    """e^u - 1 - u for |u| < 1/4."""
    return np.asarray(sum(u**k / math.factorial(k) for k in range(2, 16)))


def _log_mean_exp(u: FloatArray, p: FloatArray) -> float:
    top = float(u.max())
    return top + math.log(float(p @ np.exp(u - top)))
