"""Cumulant generating functions of the lower tail, J(l) = ln E e^{l (E loss - loss)}, for several models at once.

A finite law is given by its losses (models x examples) and weights; it may be a sample. Evaluation without cancellation:

* deviations from the mean are centred three times, so that losses like 1e6 + Exp(1) keep all their digits;
* l gap <= 30, gap = mean - minimum: with x = l d, J = ln(1 + mean phi(x)), phi(x) = e^{-x} - 1 + x >= 0, and
  J' = mean(-d expm1(-x))/(1 + mean phi), sums of terms of one sign;
* beyond: y = l (loss - minimum), w = e^{-y}, J = l gap + ln mean w, and G = l J' - J = -mean(w y)/mean w - ln mean w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..certified.arithmetic import ARRAY
from ..certified.excess import excess_term
from .laws import ExponentialLaw, FiniteLaw, GaussianLaw, Law

FloatArray = NDArray[np.float64]
FAR = 30.0  # tilts beyond FAR/gap are evaluated from the minimum
_SERIES = 1 / np.cumprod(np.arange(1.0, 17.0))[1:]  # 1/2!, ..., 1/16!


@dataclass(frozen=True)
class Cumulants:
    """For each model, at its tilt l: J, J', J'' (the variance of the loss under the tilt) and G = l J' - J, the relative entropy of
    the tilted law. `offset` = J/l - gap where that is more accurate than J (NaN elsewhere). `effective` is the effective sample
    size (sum w)^2/sum w^2 of the tilted weights (infinite for laws with a density).
    """

    value: FloatArray
    slope: FloatArray
    curvature: FloatArray
    divergence: FloatArray
    offset: FloatArray
    effective: FloatArray


def phi(x: FloatArray, falls: FloatArray) -> FloatArray:
    """e^{-x} - 1 + x without cancellation, given falls = e^{-x} - 1: a series for |x| < 1/2 (first omitted term 6e-18), within 5
    half-ulps elsewhere."""
    near = np.abs(x) < 0.5
    z = -x[near]
    tail = np.full_like(z, _SERIES[-1])
    for coefficient in _SERIES[-2::-1]:
        tail *= z
        tail += coefficient
    result = falls + x
    result[near] = z * z * tail
    return result


def cumulants(law: Law, tilt: FloatArray) -> Cumulants:
    """`Cumulants` of each model at its own tilt l > 0, shape (models,)."""
    match law:
        case FiniteLaw():
            return _finite(law, tilt)
        case ExponentialLaw():
            x = law.mean * tilt
            share = x / (1 + x)
            value, divergence = excess_term(ARRAY, 1.0, x), excess_term(ARRAY, 1.0, -share)
            return _smooth(value, law.mean * share, (law.mean / (1 + x)) ** 2, divergence)
        case GaussianLaw():
            half = law.variance * tilt**2 / 2
            return _smooth(half, law.variance * tilt, law.variance, half)


def _smooth(value: FloatArray, slope: FloatArray, curvature: FloatArray, divergence: FloatArray) -> Cumulants:
    return Cumulants(value, slope, curvature, divergence, np.full_like(value, np.nan), np.full_like(value, np.inf))


def _finite(law: FiniteLaw, tilt: FloatArray) -> Cumulants:
    d, p = law.deviation, law.weight
    far = tilt * law.gap > FAR
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        # far models are given a harmless tilt here, and the near ones below
        x = np.where(far, 0.0, tilt)[:, None] * d
        falls = np.expm1(-x)
        excess = (p * phi(x, falls)).sum(axis=1)
        total = 1 + excess
        value = np.log1p(excess)
        slope = -(p * d * falls).sum(axis=1) / total
        tilted = p * (1 + falls)
        divergence = tilt * slope - value
        if far.any():
            y = np.where(far, tilt, 0.0)[:, None] * law.above
            w = p * np.exp(-y)
            mass = w.sum(axis=1)
            mean_above = (w * law.above).sum(axis=1) / mass
            log_mass = np.log(mass)
            value = np.where(far, tilt * law.gap + log_mass, value)
            slope = np.where(far, law.gap - mean_above, slope)
            divergence = np.where(far, -(w * y).sum(axis=1) / mass - log_mass, divergence)
            tilted = np.where(far[:, None], w, tilted)
            offset = np.where(far, log_mass / tilt, np.nan)
        else:
            offset = np.full_like(value, np.nan)
        mass = tilted.sum(axis=1)
        spread = np.where(far[:, None], law.above - (law.gap - slope)[:, None], d + slope[:, None])
        curvature = (tilted * spread**2).sum(axis=1) / mass
        effective = mass**2 / (tilted**2).sum(axis=1)
    return Cumulants(value, slope, curvature, divergence, offset, effective)
