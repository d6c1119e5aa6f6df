"""I_{1/2}(a, b) = P(Beta(a, b) < 1/2), rounded outward, on arrays: the risk of a majority vote with Dirichlet weights on one example.

With p = max(a, b) and q = min(a, b), T = I_{1/2}(p, q) is the smaller tail, a series of positive terms,

    T = (g/p) sum_{k>=0} prod_{i=1}^k (p+q+i-1)/(2(p+i)),   g = 2^-(p+q) Gamma(p+q)/(Gamma(p) Gamma(q)),

whose factors are below 1; from the k-th on they are at most r = max(factor, 1/2), so what is left out is below term r/(1-r).
I_{1/2}(a, b) is T if a >= b, else 1 - T. With delta = (p-q)/(p+q) and Stirling's remainder s (Gamma(z) shifted by 16 below z = 16),

    ln g = -(p ln(1+delta) + q ln(1-delta)) + ln(pq/(2 pi (p+q)))/2 + s(p+q) - s(p) - s(q).

Rounding, u = 2^-53, logarithms within 2u of their size. Each factor costs 5u and the sum over k terms k u: 6k u. In ln g: the two
products with delta (3u), its difference (each slope at most 1 in (p ln(1+delta))' d delta, so 4u (p+q)|delta| in all) and the sum: 12u W with
W = p ln(1+delta) - q ln(1-delta) >= (p+q)|delta|/2; the second logarithm 8u of its size and 4u; s: five terms, remainder below 2e-16 at
z = 16; below, (z + 15.5) ln(z + 16), ln of the product of 16 factors (31u) and (z - 1/2) ln z, each within 3u of its size, and five sums:
(450 + 9 |ln z| + 64 z) u. All are doubled; exp and the product with g/p add 8u.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite

U = 2.0**-53
SMALLEST, LARGEST = 1e-100, 1e8  # the series has some 13 sqrt(p) terms
_SHIFT = 16.0
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_NEGLIGIBLE = 2.0**-56  # of the sum; what is left out is bounded and added


def half_beta_upper(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """I_{1/2}(a, b), elementwise, never below the exact value. a, b: 0 (not both) or in [1e-100, 1e8]; I(a, 0) = 0, I(0, b) = 1."""
    return _half_beta(a, b)[1]


def half_beta_lower(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """I_{1/2}(a, b), elementwise, never above the exact value. Arguments as `half_beta_upper`."""
    return _half_beta(a, b)[0]


def _half_beta(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.broadcast_arrays(finite("a", a), finite("b", b))
    if x.size and not all(np.all((z == 0) | ((z >= SMALLEST) & (z <= LARGEST))) for z in (x, y)):
        raise InvalidInput("A parameter is not 0 and not in [1e-100, 1e8].", "Rescale the concentrations.")
    if np.any((x == 0) & (y == 0)):
        raise InvalidInput("Both parameters are 0.", "At least one voter must have a positive concentration.")
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    pairs, inverse = np.unique(flat, axis=0, return_inverse=True)  # examples often share their sums
    low, high = _tail(pairs.max(axis=1), np.where(pairs.min(axis=1) > 0, pairs.min(axis=1), 1.0))
    swap, never, always = pairs[:, 0] < pairs[:, 1], pairs[:, 1] == 0, pairs[:, 0] == 0
    lower = np.where(swap, np.nextafter(1 - high, -1.0), low)  # T is at most 1/2
    upper = np.where(swap, np.minimum(1.0, np.nextafter(1 - low, 2.0)), np.minimum(high, 0.5))
    lower = np.where(never, 0.0, np.where(always, 1.0, lower))
    upper = np.where(never, 0.0, np.where(always, 1.0, upper))
    return lower[inverse.ravel()].reshape(x.shape)[()], upper[inverse.ravel()].reshape(x.shape)[()]


def _tail(p: NDArray[np.float64], q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """I_{1/2}(p, q) for p >= q > 0, from below and above."""
    with np.errstate(under="ignore"):
        total, term, left, steps = np.ones_like(p), np.ones_like(p), np.zeros_like(p), np.zeros_like(p)
        active, i = np.ones(p.shape, dtype=bool), 0.0
        while active.any():
            i += 1
            term = np.where(active, term * ((p + q + (i - 1)) / (2 * (p + i))), term)
            total, steps = total + np.where(active, term, 0.0), steps + active
            rate = np.maximum((p + q + i) / (2 * (p + i + 1)), 0.5)
            left = np.where(active, term * rate / (1 - rate), left)
            active &= left > _NEGLIGIBLE * total
        rest = 2 * left  # 1 - rate, at least 1/(p + 2), is off by some 4u (p + 2)
        exponent, error = _log_prefactor(p, q)
        error = 2 * (error + (6 * steps + 8) * U)
        value = np.exp(exponent) / p * total
        tiny = 2.0**-1060  # where the exponential underflows
        return np.maximum(0.0, value * (1 - error) - tiny), (value + np.exp(exponent) / p * rest) * (1 + error) + tiny


def _log_prefactor(p: NDArray[np.float64], q: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln(2^-(p+q) Gamma(p+q)/(Gamma(p) Gamma(q))) and a bound on its error."""
    delta = (p - q) / (p + q)
    # 1 - delta = 2q/(p+q) keeps its digits where delta is close to 1
    first, second = (
        p * np.log1p(delta),
        np.where(delta < 0.5, q * np.log1p(-np.minimum(delta, 0.5)), q * np.log(2 * q / (p + q))),
    )
    root = (np.log(p / (p + q)) + np.log(q) - math.log(2 * math.pi)) / 2
    remainders = [_remainder(z) for z in (p + q, p, q)]
    exponent = -(first + second) + root + remainders[0][0] - remainders[1][0] - remainders[2][0]
    size = first - second + np.abs(root) + np.abs(np.log(q)) + 4
    return exponent, 12 * U * size + remainders[0][1] + remainders[1][1] + remainders[2][1]


def _remainder(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi)/2), and a bound on its error."""
    small = z < _SHIFT
    big = np.where(small, z + _SHIFT, z)
    inverse = 1 / big
    series = np.zeros_like(big)
    for coefficient in reversed(_STIRLING):
        series = series * inverse * inverse + coefficient
    series = series * inverse
    low = np.where(small, z, 1.0)
    product = np.ones_like(low)
    for k in range(int(_SHIFT)):
        product = product * (low + k)
    shifted = (big - 0.5) * np.log(big) - np.log(product) - (low - 0.5) * np.log(low) - _SHIFT + series
    return np.where(small, shifted, series), np.where(small, U * (450 + 9 * np.abs(np.log(low)) + 64 * low), 4 * U)
