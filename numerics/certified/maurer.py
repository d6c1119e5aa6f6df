"""Maurer's constant xi(n) = sum_k C(n,k) (k/n)^k (1-k/n)^(n-k) in float64, for any n >= 1 in constant time.

n <= 200: the exact rational number, correctly rounded. It is xi = s_0 with s_n = 1, s_k = 1 + ((n-k)/n) s_{k+1}
(xi = 1 + Ramanujan's Q function), run over integers. n > 200: the asymptotic series
xi = 1 + n! e^n/(2 n^n) - theta(n), with Stirling's series for the first and Ramanujan's theta for the last.

Rounding for n > 200, u = 2^-53: pi n/2 and its root 2u, exponential of an argument below 5e-4 2u, product u, sum u, the first
omitted term of theta (7e-4/n^5, under u of xi at n = 201), conversion of n beyond 2^53 u/2: at most 8u = 4 ulp.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .arithmetic import ULP

XI_ULPS = 4.0
LOG_XI_ULPS = 3.0
_EXACT_UP_TO = 200
# theta(n) = sum_k THETA_k n^-k, and ln(n! e^n / (n^n sqrt(2 pi n))) = sum_k STIRLING_k n^-(2k+1)
THETA = (Fraction(1, 3), Fraction(4, 135), Fraction(-8, 2835), Fraction(-16, 8505), Fraction(8992, 12629925))
STIRLING = (Fraction(1, 12), Fraction(-1, 360), Fraction(1, 1260))


def maurer_xi(n: ArrayLike) -> NDArray[np.float64]:
    """xi(n), elementwise, within 4 ulp (half an ulp for n <= 200). n: whole numbers >= 1. Source: Maurer 2004 (cs/0411099)."""
    size = _sizes(n)
    xi = np.array(_series(np.maximum(size, _EXACT_UP_TO)))
    for k in np.unique(size[size <= _EXACT_UP_TO]):
        xi[size == k] = _exact(int(k))
    return xi[()]


def maurer_xi_upper(n: ArrayLike) -> NDArray[np.float64]:
    """xi(n) rounded up: never below the exact value, at most 9 ulp above it."""
    return maurer_xi(n) * (1 + (XI_ULPS + 1) * ULP)


def log_maurer_xi(n: ArrayLike) -> NDArray[np.float64]:
    """ln xi(n), within 3 ulp: those of xi divided by ln xi (above 2.9 for n > 200), and one for the logarithm."""
    return np.log(maurer_xi(n))


def log_maurer_xi_upper(n: ArrayLike) -> NDArray[np.float64]:
    """ln xi(n) rounded up, for the complexity of a bound: never below the exact value, at most 7 ulp above it."""
    return log_maurer_xi(n) * (1 + (LOG_XI_ULPS + 1) * ULP)


def _sizes(n: Any) -> NDArray[np.float64]:
    size = finite("n", n)
    if size.size and (np.any(size != np.floor(size)) or size.min() < 1):
        raise InvalidInput("n is not a whole number of at least 1.", "Pass the number of examples.")
    return size


@lru_cache(maxsize=_EXACT_UP_TO)
def _exact(n: int) -> float:
    numerator, denominator = 1, 1
    for k in range(n - 1, -1, -1):
        numerator, denominator = denominator * n + (n - k) * numerator, denominator * n
    # Division of Python integers is correctly rounded.
    return numerator / denominator


def _series(n: NDArray[np.float64]) -> NDArray[np.float64]:
    z = 1.0 / n
    stirling = np.exp(z * _horner(STIRLING, z * z))
    return np.sqrt(np.pi / 2 * n) * stirling + (1.0 - _horner(THETA, z))


def _horner(coefficients: tuple[Fraction, ...], z: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros_like(z)
    for coefficient in reversed(coefficients):
        total = float(coefficient) + z * total
    return total
