"""The p at which P(Bin(n,p) <= k) = delta, from both sides, for 1 <= k < n and delta <= 1/2.

T(p) = ln P(Bin(n,p) <= k) = -n kl(k/n||p) + [s(n) - s(k) - s(n-k)] - ln(2 pi k (n-k)/n)/2 + ln S(p), s Stirling's remainder
ln m! - (m + 1/2) ln m + m - ln(2 pi)/2 and S of `binomial_series`; log-gamma would be off by 5e-3 at n = 1e12. As P(X <= k) >= 1/2 at
p = k/n, the root lies at or above it: p = q + g, q = k/n. Two unknowns, as for the kl inverse: g while v = -ln((1-p)/(1-q)) is below
1.6, v beyond. In p the tail is the integral of a log-concave density, and in v its derivative -(n-k)/S decreases with S: T is
concave in both. Newton from anywhere lands at or above the root and falls monotonically from there; it starts at Chernoff's bound,
which is above the root too, so that g stays below (1 - e^-1.6)(1-q).

Width. T as computed is off by E, the sum of (u = 2^-53)
  15 u n kl                      in g: series terms 7.2u, their sum and weights .6u + 2u, q and 1-q 3u; the product with n 1u
  u n (10 (1-q) v + 12 q ln(p/q)) in v: the exponential reaches both terms through g and p
  3u (1 + |ln|) and 2u            the second logarithm and Stirling's remainders
  error of S, and 3u (1 + ln S)   its logarithm
and the solver leaves a residual R. Where T + L <= 0 the root is below; otherwise concavity bounds the distance by
(|R| + E)/|T'|. Below, T' changes by less than the factor 2 over the distance 2 (|R| + E)/|T'|, since d ln S/dv = n g/p - (n-k)/S.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx

from .arithmetic import ARRAY, ULP
from .binomial_series import HALF_ULP, FloatArray, tail_over_term
from .excess import excess_term
from .kl_inverse import kl_upper_parts

_SWITCH = 1.6
_TABLE = 64  # beyond it the first omitted term of Stirling's series, 1/(1188 m^9), is below 5e-20
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)
_MAXIMUM_STEPS = 100


class Root(NamedTuple):
    """The root and its complement, each from below and from above."""

    p_low: FloatArray
    p_high: FloatArray
    complement_low: FloatArray
    complement_high: FloatArray


class _Tail(NamedTuple):
    value: FloatArray
    error: FloatArray
    slope: FloatArray  # -dT/dx


def root(k: FloatArray, n: FloatArray, level: FloatArray, level_error: FloatArray) -> Root:
    """Ends for the p with T(p) = -level, level >= ln 2 known to within `level_error`; 1-D arrays."""
    level = np.minimum(level, 1e300)  # beyond it 1-p is 0 in float64 for every n <= 2^53
    q, qc = k / n, (n - k) / n
    start = kl_upper_parts(q, level / n, q_complement=qc)
    with np.errstate(divide="ignore"):
        v = np.where(start.gap < qc / 2, -np.log1p(-np.minimum(start.gap / qc, 0.5)), np.log(qc) - start.log_complement)
    result = Root(*(np.empty_like(q) for _ in Root._fields))
    near = v < _SWITCH
    for chosen, evaluate, x, ends in ((near, _by_gap, start.gap, _gap_ends), (~near, _by_v, v, _v_ends)):
        if chosen.any():
            at = np.flatnonzero(chosen)
            low, high = _newton(evaluate, k[at], n[at], x[at], level[at], level_error[at])
            for whole, part in zip(result, ends(q[at], qc[at], low, high), strict=True):
                whole[at] = part
    return result


def _newton(evaluate: Any, k: Any, n: Any, x: Any, level: Any, level_error: Any) -> tuple[FloatArray, FloatArray]:
    """Ends for the unknown: Newton steps on the elements that still move, then the derived width."""
    low, high = np.empty_like(x), np.empty_like(x)
    active = np.arange(x.size)
    for step in range(_MAXIMUM_STEPS):
        tail = evaluate(k[active], n[active], x[active])
        residual = tail.value + level[active]
        error = tail.error + level_error[active] + HALF_ULP * level[active]
        # as close as the evaluation can tell; the cap leaves a wider, still valid, interval
        done = (np.abs(residual) <= error) | (step == _MAXIMUM_STEPS - 1)
        where = active[done]
        distance = (np.abs(residual) + error)[done] / tail.slope[done]
        high[where] = (x[where] + distance) * (1 + 2 * ULP)
        low[where] = np.maximum((x[where] - 2 * distance) * (1 - 2 * ULP), 0.0)
        active, moved = active[~done], (residual / tail.slope)[~done]
        if not active.size:
            break
        x[active] = np.maximum(x[active] + moved, x[active] / 8)
    return low, high


def _constant(k: Any, n: Any) -> tuple[FloatArray, FloatArray]:
    """ln of C(n,k) q^k (1-q)^(n-k), and its error."""
    log = np.log(2 * np.pi * k * ((n - k) / n))
    return stirling(n) - stirling(k) - stirling(n - k) - log / 2, HALF_ULP * (3 * (1 + np.abs(log)) + 2)


def _tail(k: Any, n: Any, gap: Any, p: Any, pc: Any, nkl: Any, nkl_error: Any, rate: Any) -> _Tail:
    total, series_error = tail_over_term(k, n, gap, p, pc)
    constant, constant_error = _constant(k, n)
    log = np.log(total)
    error = nkl_error + constant_error + series_error + HALF_ULP * (3 * (1 + log) + nkl)
    return _Tail(-nkl + (constant + log), error, (n - k) / total / rate)


def _by_gap(k: Any, n: Any, gap: Any) -> _Tail:
    q, qc = k / n, (n - k) / n
    nkl = n * (excess_term(ARRAY, q, gap) + excess_term(ARRAY, qc, -gap))
    return _tail(k, n, gap, q + gap, qc - gap, nkl, 15 * HALF_ULP * nkl, qc - gap)


def _by_v(k: Any, n: Any, v: Any) -> _Tail:
    q, qc = k / n, (n - k) / n
    gap, pc = -qc * np.expm1(-v), qc * np.exp(-v)
    drop, rise = qc * v, q * np.log1p(gap / q)
    error = HALF_ULP * n * (10 * drop + 12 * rise)
    return _tail(k, n, gap, q + gap, pc, n * (drop - rise), error, 1.0)


def _gap_ends(q: Any, qc: Any, low: Any, high: Any) -> tuple[Any, ...]:
    # p = q + g and 1-p = (1-q) - g: q, 1-q and the result are each off by half an ulp of the larger
    return (
        (q + low) * (1 - 2 * ULP),
        np.minimum((q + high) * (1 + 2 * ULP), 1.0),
        np.maximum((qc - high) - 2 * ULP * qc, 0.0),
        np.minimum((qc - low) + 2 * ULP * qc, 1.0),
    )


def _v_ends(q: Any, qc: Any, low: Any, high: Any) -> tuple[Any, ...]:
    # exponentials are within an ulp, products and sums within half of one; a few smallest floats cover an underflow
    return (
        (q - qc * np.expm1(-low)) * (1 - 4 * ULP),
        np.minimum((q - qc * np.expm1(-high)) * (1 + 4 * ULP), 1.0),
        np.maximum(qc * np.exp(-high) * (1 - 3 * ULP) - 2.0**-1072, 0.0),
        np.minimum(qc * np.exp(-low) * (1 + 3 * ULP) + 2.0**-1072, 1.0),
    )


@cache
def _table() -> FloatArray:
    with ctx.workdps(40):
        values = [
            arb(m + 1).lgamma() - (arb(m) + arb("0.5")) * arb(m).log() + m - (2 * arb.pi()).log() / 2
            for m in range(1, _TABLE)
        ]
        return np.array([np.inf, *(float(value.mid()) for value in values)])


def stirling(m: FloatArray) -> FloatArray:
    """ln m! - (m + 1/2) ln m + m - ln(2 pi)/2 for whole m >= 1, within an ulp of 1/12."""
    z = 1 / np.maximum(m, _TABLE)
    w = z * z
    series = z * (_STIRLING[0] + w * (_STIRLING[1] + w * (_STIRLING[2] + w * _STIRLING[3])))
    return np.where(m < _TABLE, _table()[np.minimum(m, _TABLE - 1).astype(np.int64)], series)
