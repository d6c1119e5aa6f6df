"""KL divergence between mean-field Gaussians, in float64 and rounded upward.

Per coordinate, with D = 2 (ln s - ln s0) and u = expm1(D) = (s^2 - s0^2)/s0^2,

    KL(N(m, s^2) || N(m0, s0^2)) = (u - ln(1+u))/2 + ((m - m0)/s0)^2/2,

two non-negative terms (pb.kl_families). Near s = s0 the first is h(u)/2 without cancellation; further off u - D is harmless, while
ln(1+u) itself would not be: u rounds to -1 once s < 1e-8 s0.

Rounding, w = 2^-53, exp and expm1 trusted to 4w (two ulps), linear in w:

* D carries w; then u carries w D e^D/(e^D - 1) + 4w: 5.7w for |D| <= ln 3, and (|D| + 5)w at most.
* -2/3 <= u <= 2: h multiplies a relative error of u by at most 3.1 (at -2/3, where u has 4.6w; by 2 at 0) and costs 8w: 24w.
* u > 2: (u - D) loses a factor u/(u - D) <= 2.3 on u, 1.3 on D, and w: below (16 + 3 D) w. u < -2/3: 11w.
* the mean: difference w, exponential 4w, product w, square and half 2 * 6w + w: 13w.

Terms are non-negative, so the sum's relative error is the worst term's, plus w for adding the two and w for the exact sum's rounding.
All intermediate values stay within the normal range because log-scales are limited to +-80; only a square can underflow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from ..certified.excess import near_term

Coordinates = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

LOG_SCALE_LIMIT = 80.0  # exp(80) and exp(-80) are normal numbers in float32 too
UNIT = 2.0**-53


def gaussian_kl_terms(
    mean: Float64[np.ndarray, " n"],
    log_scale: Float64[np.ndarray, " n"],
    prior_mean: Float64[np.ndarray, " n"],
    prior_log_scale: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " n"]:
    """KL of each coordinate in nats, to the relative accuracy of `gaussian_kl_slack`. |log-scales| <= LOG_SCALE_LIMIT."""
    d = 2 * (log_scale - prior_log_scale)
    u = np.expm1(d)
    near = (u >= -2 / 3) & (u <= 2)
    scale = np.where(near, near_term(1.0, np.where(near, u, 0.0)), u - d)
    shift = (mean - prior_mean) * np.exp(-prior_log_scale)
    return 0.5 * scale + 0.5 * (shift * shift)


def gaussian_kl_slack(largest_log_ratio: float) -> float:
    """Bound on the relative rounding error of a sum of terms whose D is at most `largest_log_ratio`."""
    return (32 + 4 * max(0.0, largest_log_ratio)) * UNIT


def gaussian_kl_upper(coordinates: Iterable[Coordinates]) -> float:
    """Sum of `gaussian_kl_terms` over blocks of (mean, log-scale, prior mean, prior log-scale), never below the exact KL.

    Infinite when a mean difference overflows its square.
    """
    total, count, largest = 0.0, 0, 0.0
    parts = []
    with np.errstate(over="ignore", under="ignore"):
        for block in coordinates:
            mean, log_scale, prior_mean, prior_log_scale = (np.ravel(part) for part in block)
            terms = gaussian_kl_terms(mean, log_scale, prior_mean, prior_log_scale)
            count += terms.size
            largest = max(largest, float(np.max(2 * (log_scale - prior_log_scale), initial=0.0)))
            parts.append(math.fsum(terms) if np.isfinite(terms).all() else math.inf)
    if math.inf in parts:
        return math.inf
    # Summing the blocks' sums rounds once per block and once more; the squares may have lost 2^-1073 each to underflow.
    total = math.fsum(parts)
    return total * (1 + gaussian_kl_slack(largest) + 2 * UNIT) + count * 2.0**-1073
