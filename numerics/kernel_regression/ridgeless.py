"""Isotropic linear regression in high dimension: excess risk without a ridge and with the best one (iw.ridgeless)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite, non_negative, sample_size


@dataclass(frozen=True)
class OptimalRidge:
    """`penalty` of |beta|^2 against the *mean* of squares (so a ridge of n times it), and the excess risk there."""

    penalty: float
    excess_risk: float


def ridgeless_risk(*, aspect: float, signal: float, noise_variance: float) -> float:
    """Excess risk of minimum-norm least squares in the limit p/n -> aspect, isotropic features, |beta|^2 = signal.

    `s2 g/(1-g)` for g < 1 and `r2 (1 - 1/g) + s2/(g-1)` for g > 1; infinite at g = 1 with noise. The risk is that of
    the function, without the noise of test labels. Source: Hastie et al. 2019.
    """
    g, r2, s2 = _checked(aspect, signal, noise_variance)
    if g == 1:
        return math.inf if s2 else 0.0
    return s2 * g / (1 - g) if g < 1 else r2 * ((g - 1) / g) + s2 / (g - 1)


def ridgeless_risk_at(*, n: int, features: int, signal: float, noise_variance: float) -> float:
    """The same for Gaussian features at finite n and p, exactly: `s2 p/(n-p-1)`, or `r2 (1-n/p) + s2 n/(p-n-1)`.

    Infinite for p in {n-1, n, n+1} with noise. Derived in iw.ridgeless from the mean of an inverse Wishart matrix.
    """
    n, p = sample_size("n", n), sample_size("features", features)
    _, r2, s2 = _checked(p / n, signal, noise_variance)
    if abs(p - n) <= 1 and s2:
        return math.inf
    if p <= n:
        return s2 * (p / (n - p - 1)) if s2 else 0.0
    return r2 * ((p - n) / p) + (s2 * (n / (p - n - 1)) if s2 else 0.0)


def optimal_ridge(*, aspect: float, signal: float, noise_variance: float) -> OptimalRidge:
    """The best penalty `lam* = s2 g/r2` and its excess risk `s2 g m(-lam*)`.

    `m(-z) = [-(1-g+z) + sqrt((1-g+z)^2 + 4 g z)]/(2 g z)`, here without cancellation. Raises AssumptionViolated without
    signal (the best penalty is infinite and the estimate 0). Source: Hastie et al. 2019.
    """
    g, r2, s2 = _checked(aspect, signal, noise_variance)
    if r2 == 0:
        raise AssumptionViolated("There is no signal.", "The best penalty is infinite, with excess risk 0.")
    if s2 == 0:
        return OptimalRidge(0.0, ridgeless_risk(aspect=g, signal=r2, noise_variance=0.0))
    z = s2 * g / r2
    b = (1 - g) + z
    root = math.hypot(b, 2 * math.sqrt(g * z))
    m = 2 / (b + root) if b >= 0 else (root - b) / (2 * g * z)
    return OptimalRidge(z, s2 * g * m)


def _checked(aspect: float, signal: float, noise_variance: float) -> tuple[float, float, float]:
    g = float(finite("aspect", aspect, ndim=0))
    if g <= 0:
        raise InvalidInput(f"aspect is {g:g}.", "It is the number of features over that of examples.")
    r2, s2 = (
        float(non_negative(name, finite(name, value, ndim=0)))
        for name, value in (("signal", signal), ("noise_variance", noise_variance))
    )
    return g, r2, s2
