"""h(x) = x - ln(1+x) >= 0 without cancellation: the building block of kl and of the exponential law's rate function.

For |r| <= 1/2, r = x/(2+x), it comes from ln(1+x) = 2 artanh(r) with the first term removed: h(x) = r (x - 2 r^2 S(r^2)),
S(z) = 1/3 + z/5 + z^2/7 + ... Beyond that, the difference x - ln(1+x) is harmless.
"""

from __future__ import annotations

from typing import Any

from .arithmetic import Arithmetic

# Chebyshev approximants of S on [0, 1/4] in powers of z, highest first (mpmath.chebyfit at 60 digits, then rounded); the power
# series itself would need 25 terms for float64. Error relative to h: 5e-6, 1e-9, and 6e-18 plus rounding.
ROUGH = (
    0.1742371609172678,
    0.13202753410500642,
    0.20056173430580343,
    0.33332891524243713,
)
HALF = (
    0.1562916538185637,
    0.040916230718241735,
    0.09751940865741168,
    0.11050830395223991,
    0.14288286042811285,
    0.19999959336215828,
    0.33333333437307106,
)
FULL = (
    0.21098097885975797,
    -0.14450491183414468,
    0.13557903913692299,
    0.012292448728540531,
    0.05441915418234587,
    0.05160769881147162,
    0.05893099692590042,
    0.06665886352701884,
    0.07692345940270638,
    0.09090907881509189,
    0.11111111133938968,
    0.14285714285490106,
    0.20000000000000864,
    0.3333333333333333,
)
LARGEST = 1.7e308


def excess_term(ops: Arithmetic, weight: Any, gap: Any, series: tuple[float, ...] = FULL) -> Any:
    """weight * h(gap / weight) for weight > 0, gap > -weight."""
    near = (gap <= 2 * weight) & (1.5 * gap >= -weight)
    return ops.choose(near, lambda: near_term(weight, gap, series), lambda: far_term(ops, weight, gap))


def near_term(weight: Any, gap: Any, series: tuple[float, ...] = FULL) -> Any:
    """weight * h(gap / weight) for -2/3 <= gap / weight <= 2."""
    double = 2 * weight
    r = gap / (double + gap)
    z = r * r
    tail = z * series[0] + series[1]
    for coefficient in series[2:]:
        tail *= z  # in place on arrays
        tail += coefficient
    z *= tail
    z *= double
    return r * (gap - z)


def far_term(ops: Arithmetic, weight: Any, gap: Any) -> Any:
    """The same where gap / weight lies outside [-2/3, 2]."""
    # A subnormal weight can push the ratio over the range; weight * ln(ratio) is then far below one ulp of gap.
    return gap - weight * ops.log1p(ops.minimum(gap / weight, LARGEST))
