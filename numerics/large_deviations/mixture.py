"""The inverse rate of an averaged generating function: inf over l of (E_Q J_theta(l) + s)/l, which PAC-Bayes-Chernoff bounds pay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...theory.validation import non_negative
from .cgf import Cumulants, cumulants
from .inverse_rate import HALF_ULP, FloatArray, InverseRate, rounding_width, size_at_minimum, size_of_sample
from .laws import FiniteLaw, Law, models, posterior, saturation
from .newton import solve_tilt


def mixture_inverse_rate(
    losses: ArrayLike | Law, s: float, *, posterior_weights: ArrayLike, weights: ArrayLike | None = None
) -> InverseRate:
    """inf over l > 0 of (E_Q J(l) + s)/l, as scalars: fact 3 of pb.cramer for the average, E_Q G(l) = s.

    losses: models x examples (one row for each model) or a law with one entry for each model; posterior_weights: Q on the models.
    Saturates at s >= E_Q ln(1/P(loss = minimum)), where it is E_Q (mean - minimum). `effective` is the smallest effective sample
    size of a model that Q uses. Raises `InvalidInput`. Statement pb.pbc.
    """
    law = losses if isinstance(losses, Law) else FiniteLaw(np.atleast_2d(np.asarray(losses, dtype=np.float64)), weights)
    count = models(law)
    q = posterior(posterior_weights, count)
    used = q > 0
    level = float(non_negative("s", s))
    limit = float(q[used] @ saturation(law)[used])
    gap = float(q[used] @ np.asarray(law.gap)[used])
    sizes = size_of_sample(law)
    if level == 0:
        return InverseRate(0.0, 0.0, False, float(sizes[used].min()), 0.0)
    if level >= limit:
        lowest = size_at_minimum(law) if isinstance(law, FiniteLaw) else sizes
        width = float(rounding_width(law, np.full(count, np.inf)).max())
        return InverseRate(gap, np.inf, True, float(lowest[used].min()), width)

    def averaged(tilt: Any) -> Cumulants:
        found = cumulants(law, np.full(count, tilt[0]))
        offset = np.where(np.isnan(found.offset), found.value / tilt[0] - np.asarray(law.gap), found.offset)
        mean = (
            np.array([q[used] @ part[used]])
            for part in (found.value, found.slope, found.curvature, found.divergence, offset)
        )
        value, slope, curvature, divergence, offset = mean
        return Cumulants(value, slope, curvature, divergence, offset, np.array([found.effective[used].min()]))

    start = np.sqrt(2.0) * np.sqrt(level) / np.sqrt(q[used] @ law.variance[used])

    def residual(tilt: FloatArray) -> tuple[FloatArray, FloatArray]:
        found = averaged(tilt)
        return found.divergence - level, tilt**2 * found.curvature

    tilt = solve_tilt(residual, np.array([start]), np.array([False]))
    found = averaged(tilt)
    far = bool(np.isfinite(gap) and tilt[0] * gap > 30)
    value = gap + found.offset[0] + level / tilt[0] if far else (found.value[0] + level) / tilt[0]
    # each J within its own width, and a sum over the models
    width = float(rounding_width(law, np.full(count, tilt[0])).max()) + (np.log2(count) + 4) * HALF_ULP
    return InverseRate(float(min(value, gap)), float(tilt[0]), False, float(found.effective[0]), width)
