"""Bayesian linear regression on a Gaussian design, flat prior, known noise: expected uncertainty at every finite N.

N inputs and one test input x are drawn independently from N(0, Sigma), Sigma any covariance of full rank p. With the
leverage h = x^T (X^T X)^{-1} x the predictive variance that comes from the weights is s^2 h, s^2 the noise variance,
and the mutual information between the weights and the label at x is 1/2 ln(1 + h) nats. 1 / (1 + h) follows the law
Beta((N - p + 1) / 2, p / 2) whatever Sigma (Hotelling's T^2), whence both expectations; see `proofs/scaling_laws`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import bernoulli

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite

# Up to here every whole number, and every difference of two, is exact in float64.
LARGEST_COUNT = 2.0**52
# From here on seven terms of psi(a) ~ ln a - 1/(2a) - sum_k B_2k / (2k a^2k) are exact to rounding: the eighth would add
# less than 8 * 16^-16 to relative accuracy.
SERIES_START = 16.0
SERIES_TERMS = 7


def expected_leverage(features: Any, samples: Any) -> Float[np.ndarray, "*shape"]:
    """E h = p / (N - p - 1), so s^2 E h is the expected variance of the prediction; features p, samples N, broadcast.

    Raises `AssumptionViolated` for N <= p + 1, where it is infinite (N = p, p + 1) or undefined (N < p).
    """
    p, n = _counts(features, samples)
    if (n <= p + 1).any():
        raise AssumptionViolated(
            "The expected leverage needs more than features + 1 samples: it is infinite at features and features + 1, "
            "undefined below.",
            "Raise the number of samples, or use expected_epistemic_uncertainty, finite from samples = features on.",
        )
    return p / (n - p - 1)


def expected_epistemic_uncertainty(features: Any, samples: Any) -> Float[np.ndarray, "*shape"]:
    """E 1/2 ln(1 + h) = 1/2 [psi((N + 1) / 2) - psi((N - p + 1) / 2)] in nats; features p, samples N, broadcast.

    Whatever the noise variance and the covariance of the inputs; about p / (2 N) for large N. Accurate to a few units
    in the last place for every N, where the difference of two digamma values would lose log10(N) digits. Raises
    `AssumptionViolated` for N < p, where the flat-prior posterior is improper.
    """
    p, n = _counts(features, samples)
    if (n < p).any():
        raise AssumptionViolated(
            "With fewer samples than features the flat-prior posterior is improper and the uncertainty undefined.",
            "Raise the number of samples to at least the number of features.",
        )
    return 0.5 * digamma_difference((n - p + 1) / 2, p / 2)


def digamma_difference(argument: Any, increment: Any) -> Float[np.ndarray, "*shape"]:
    """psi(a + d) - psi(a) for a, d > 0 without cancellation: every term below is a difference taken in closed form."""
    a, d = np.broadcast_arrays(finite("argument", argument), finite("increment", increment))
    if a.size and min(a.min(), d.min()) <= 0:
        raise InvalidInput("argument and increment must be positive.")
    a = a.copy()
    total = np.zeros_like(a)
    # psi(a + d) - psi(a) = d / (a (a + d)) + the same at a + 1.
    while (small := a < SERIES_START).any():
        total[small] += d[small] / (a[small] * (a[small] + d[small]))
        a[small] += 1
    log_ratio = np.log1p(d / a)
    tail = 0.5 * d / (a * (a + d))
    for order, number in zip(range(2, 2 * SERIES_TERMS + 1, 2), bernoulli(2 * SERIES_TERMS)[2::2], strict=True):
        tail += number / order * a ** (-float(order)) * -np.expm1(-order * log_ratio)
    return log_ratio + tail + total


def _counts(features: Any, samples: Any) -> tuple[np.ndarray, np.ndarray]:
    p, n = finite("features", features), finite("samples", samples)
    for name, value in (("features", p), ("samples", n)):
        if value.size and (value.min() < 1 or value.max() > LARGEST_COUNT or (value != np.floor(value)).any()):
            raise InvalidInput(f"{name} must consist of whole numbers from 1 to 2^52.", "Pass counts, not fractions.")
    return p, n
