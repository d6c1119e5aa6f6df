"""The inverse rate Iinv(s) = inf over l > 0 of (J(l) + s)/l: by how much the mean of a law can exceed an average of i.i.d. losses at
a price of s nats for each example.

The optimal tilt solves G(l) = l J'(l) - J(l) = s. Newton's steps are taken in ln l (dG/d ln l = l^2 J''), at most 3 long, inside a
bracket. The value is insensitive to the tilt: d ln((J+s)/l)/d ln l = (G-s)/(J+s), zero at the optimum, so an error e of ln l
costs e^2/2 at most times l^2 J''/(J+s). From s = ln(1/P(loss = minimum)) on there is no root and Iinv = mean - minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.validation import non_negative
from .cgf import FAR, cumulants
from .laws import FiniteLaw, Law, models, saturation
from .newton import solve_tilt

FloatArray = NDArray[np.float64]
HALF_ULP = 2.0**-53
# Bounds raise a smaller rate to this one, which only loosens them: below, squares and products lose bits to underflow.
SMALLEST_RATE = 2.0**-500


@dataclass(frozen=True)
class InverseRate:
    """Iinv(s) with what it rests on.

    `tilt` is the optimal l (inf where `saturated`: s is at or above ln(1/P(loss = minimum)), where the value is mean - minimum and
    tells nothing about rates). `effective` is the effective sample size (sum w)^2/sum w^2 of the tilted weights.
    `rounding` bounds the relative error of `value`, from the derivation in `rounding_width`.
    """

    value: Any
    tilt: Any
    saturated: Any
    effective: Any
    rounding: Any


def inverse_rate(losses: ArrayLike | Law, s: ArrayLike, *, weights: ArrayLike | None = None) -> InverseRate:
    """Iinv(s) of each model, float64 whatever the input's type.

    losses: one row, or models x examples (a sample gives the plug-in rate), or a law of `laws`; weights: probabilities of the
    examples (uniform by default). s: nats per example in [0, inf], one number or one for each model. For the upper tail pass
    -losses. One row gives scalars. Raises `InvalidInput`. Statement pb.cramer.
    """
    law = losses if isinstance(losses, Law) else FiniteLaw(losses, weights)
    count = models(law)
    level = np.broadcast_to(non_negative("s", s), (count,)).astype(np.float64)
    limit, gap = saturation(law), np.asarray(law.gap)
    saturated = level >= limit
    trivial = saturated | (level == 0)
    # the two roots apart: neither the product nor the quotient leaves float64
    start = np.sqrt(2.0) * np.sqrt(np.where(trivial, 1.0, level)) / np.sqrt(np.where(trivial, 1.0, law.variance))
    active = np.where(trivial, 1.0, level)

    def residual(tilt: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = cumulants(law, tilt)
        return found.divergence - active, tilt**2 * found.curvature

    tilt = solve_tilt(residual, start, trivial)
    with np.errstate(all="ignore"):  # at rates beyond every float the value is the gap, whatever the terms do
        found = cumulants(law, tilt)
        value = np.where(np.isnan(found.offset), (found.value + active) / tilt, gap + found.offset + active / tilt)
    value = np.where(saturated, gap, np.where(level == 0, 0.0, np.minimum(value, gap)))
    at_minimum = size_at_minimum(law) if isinstance(law, FiniteLaw) else np.full(count, np.inf)
    effective = np.where(saturated, at_minimum, np.where(level == 0, size_of_sample(law), found.effective))
    tilt = np.where(saturated, np.inf, np.where(level == 0, 0.0, tilt))
    result = (value, tilt, saturated, effective, rounding_width(law, tilt))
    scalar = np.ndim(s) == 0 and count == 1 and not (isinstance(law, FiniteLaw) and np.ndim(law.losses) == 2)
    return InverseRate(*((part[0] for part in result) if scalar else result))


def rounding_width(law: Law, tilt: FloatArray) -> FloatArray:
    """Relative error of Iinv in float64.

    u = 2^-53, g = log2 N + 12 half-ulps for a sum of N terms with normalised weights, z = min(l gap, 30). A deviation d carries
    2u of its own and a common shift of at most g u mean|d|. Near form: the shift changes mean phi by l g u mean|d| <= 2 g u z
    relatively, the own errors (3u in x = l d) by 3u max(2, z) (the condition number of phi is at most 2 for x > 0 and
    |x| + 2 below), phi itself 6u, the sum g u, logarithm, sum and quotient 4u. Far form: gap and its sum 2 g u, and
    ln mean w, divided by l >= 30/gap, at most (g + 3 ln(1/P(min)))/30. Together below (3 g (1 + z) + 3 z + 40 + ln(1/P(min))) u.
    """
    if not isinstance(law, FiniteLaw):
        return np.full_like(np.asarray(law.gap), 40 * HALF_ULP)
    with np.errstate(invalid="ignore"):
        z = np.where(law.gap > 0, np.minimum(np.where(law.gap > 0, tilt, 0.0) * law.gap, FAR), 0.0)
    g = np.log2(law.weight.shape[1]) + 12
    return (3 * g * (1 + z) + 3 * z + 40 + saturation(law)) * HALF_ULP


def size_at_minimum(law: FiniteLaw) -> FloatArray:
    """Effective sample size of the weights restricted to the smallest loss."""
    p = np.where((law.above == 0) & (law.weight > 0), law.weight, 0.0)
    return p.sum(axis=1) ** 2 / (p**2).sum(axis=1)


def size_of_sample(law: Law) -> FloatArray:
    """Effective sample size of the weights themselves: N when they are uniform."""
    if not isinstance(law, FiniteLaw):
        return np.full_like(np.asarray(law.gap), np.inf)
    return law.weight.sum(axis=1) ** 2 / (law.weight**2).sum(axis=1)
