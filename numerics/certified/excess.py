"""h(x) = x - ln(1+x) >= 0 without cancellation: the building block of kl and of the exponential law's rate function.

For |r| <= 1/2, r = x/(2+x), it comes from ln(1+x) = 2 artanh(r) with the first term removed,
h(x) = r (x - 2 r^2 (1/3 + r^2/5 + r^4/7 + ...)); beyond that, the difference x - ln(1+x) is harmless.
"""

from __future__ import annotations

from typing import Any

from .arithmetic import Arithmetic

_SERIES = tuple(1.0 / (2 * k + 3) for k in range(25))
# Remainder of the series relative to h, r^2 <= 1/4: under 2^-57 with all 25 terms; 2^-32 with 13; 2^-22 with 8.
FULL, HALF, ROUGH = 25, 13, 8
LARGEST = 1.7e308


def excess_term(ops: Arithmetic, weight: Any, gap: Any, terms: int = FULL) -> Any:
    """weight * h(gap / weight) for weight > 0, gap > -weight."""
    near = (gap <= 2 * weight) & (1.5 * gap >= -weight)
    return ops.choose(near, lambda: near_term(weight, gap, terms), lambda: far_term(ops, weight, gap))


def near_term(weight: Any, gap: Any, terms: int = FULL) -> Any:
    """weight * h(gap / weight) for -2/3 <= gap / weight <= 2."""
    r = gap / (2 * weight + gap)
    z = r * r
    tail = z * _SERIES[terms - 1] + _SERIES[terms - 2]
    for coefficient in _SERIES[terms - 3 :: -1]:
        tail *= z  # in place on arrays
        tail += coefficient
    tail *= z
    tail *= weight
    return r * (gap - 2 * tail)


def far_term(ops: Arithmetic, weight: Any, gap: Any) -> Any:
    """The same where gap / weight lies outside [-2/3, 2]."""
    # A subnormal weight can push the ratio over the range; weight * ln(ratio) is then far below one ulp of gap.
    return gap - weight * ops.log1p(ops.minimum(gap / weight, LARGEST))
