"""The Krichevsky-Trofimov constant kt(n) = sqrt(pi) Gamma(n+1)/Gamma(n+1/2) in float64, for any n >= 1 in constant time.

n <= 200: the rational number 4^n / C(2n, n) = prod 2k/(2k-1), correctly rounded. n > 200: Stirling's series in
kt(n) = 4^n (n!)^2/(2n)!, that is kt = sqrt(pi n) exp(1/(8n) - 1/(192 n^3) + 1/(640 n^5) - R). That series envelops ln n!: its
error is below the first omitted term, so |R| < (2 + 2^-7)/(1680 n^7), 1e-19 at n = 201.

Rounding for n > 200, u = 2^-53: pi u, n beyond 2^53 u, product u, halved by the root and u for the root itself 2.5u; exponential
of an argument below 7e-4 2u; product u: at most 6u = 3 ulp. The logarithm: 6u/ln kt (above 3.2) or, for n <= 200, u/ln 2, and
2u of its own: below 4u = 2 ulp.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .arithmetic import ULP

KT_ULPS = 3.0
LOG_KT_ULPS = 2.0
_EXACT_UP_TO = 200


def kt_constant(n: ArrayLike) -> NDArray[np.float64]:
    """kt(n), elementwise, within 3 ulp (half an ulp for n <= 200). n: whole numbers >= 1. Source: Krichevsky and Trofimov 1981."""
    size = _sizes(n)
    kt = np.array(_series(np.maximum(size, _EXACT_UP_TO)))
    for k in np.unique(size[size <= _EXACT_UP_TO]):
        kt[size == k] = _exact(int(k))
    return kt[()]


def log_kt(n: ArrayLike) -> NDArray[np.float64]:
    """ln kt(n), elementwise, within 2 ulp."""
    return np.log(kt_constant(n))


def log_kt_upper(n: ArrayLike) -> NDArray[np.float64]:
    """ln kt(n) rounded up, for the complexity of a bound: never below the exact value, at most 6 ulp above it."""
    return log_kt(n) * (1 + (LOG_KT_ULPS + 1) * ULP)


def _sizes(n: Any) -> NDArray[np.float64]:
    size = finite("n", n)
    if size.size and (np.any(size != np.floor(size)) or size.min() < 1):
        raise InvalidInput("n is not a whole number of at least 1.", "Pass the number of examples.")
    return size


@lru_cache(maxsize=_EXACT_UP_TO)
def _exact(n: int) -> float:
    return 4**n / math.comb(2 * n, n)  # division of Python integers is correctly rounded


def _series(n: NDArray[np.float64]) -> NDArray[np.float64]:
    z = 1.0 / n
    w = z * z
    return np.sqrt(np.pi * n) * np.exp(z * (1 / 8 + w * (-1 / 192 + w / 640)))
