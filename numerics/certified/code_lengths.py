"""Lengths of codes for quantised vectors, in whole bits, never too short; and logarithms of factorials from both sides.

Up to a few thousand entries (off the most frequent level) the lengths are exact: integers of that many digits are compared. Beyond,
logarithms rounded outward give the same whole number unless the exact one lies within rounding of an integer; then the length is
one bit longer, and still that of a code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .outward import add_down, add_up, div_up, log_down, log_up, mul_down, mul_up

EXACT_UP_TO = 4096  # entries: integers of up to 4096 * 12 bits
_SMALL = 64
_HALF_LOG_TWO_PI = (0.9189385332046727, 0.9189385332046728)  # neighbouring floats around ln(2 pi)/2


def log_factorial_up(m: int) -> float:
    """At least ln m!."""
    return _log_factorial(m)[1]


def log_factorial_down(m: int) -> float:
    """At most ln m!."""
    return _log_factorial(m)[0]


def _log_factorial(m: int) -> tuple[float, float]:
    """Exact factorials below 64; (m + 1/2) ln m - m + ln(2 pi)/2 + s, and s between Stirling's sums of two and of three terms, above."""
    if m < _SMALL:
        value = float(math.factorial(m))  # exact up to 22!, then within half an ulp
        return (0.0, 0.0) if m < 2 else (log_down(math.nextafter(value, 0.0)), log_up(math.nextafter(value, math.inf)))
    x = float(m)
    first, second, third = 1 / (12 * x), 1 / (360 * x**3), 1 / (1260 * x**5)
    s = first - second  # below 1/768: its rounding is far under the ulps added here
    low = add_down(mul_down(x + 0.5, log_down(x)), -x, _HALF_LOG_TWO_PI[0], s * (1 - 2.0**-50))
    high = add_up(mul_up(x + 0.5, log_up(x)), -x, _HALF_LOG_TWO_PI[1], (s + third) * (1 + 2.0**-50))
    return low, high


def ceil_log2(number: int) -> int:
    """The smallest m with 2^m >= number >= 1, exactly."""
    return (number - 1).bit_length()


def table_bits(entries: int, levels: int) -> int:
    """A table of how often each level occurs: `levels` numbers from 0 to `entries`, each in ceil(log2(entries + 1)) bits."""
    return levels * ceil_log2(entries + 1)


def arithmetic_bits(counts: Sequence[int]) -> int:
    """ceil(d H) + 2, H the entropy of the frequencies in bits: an arithmetic coder that knows the frequency table."""
    entries = sum(counts)
    if entries <= EXACT_UP_TO:
        # d H = log2(d^d / prod c^c)
        top, bottom = entries**entries, math.prod(c**c for c in counts)
        length = max(0, top.bit_length() - bottom.bit_length())
        return length + (bottom << length < top) + 2
    if all(c == 0 or (entries % c == 0 and (entries // c).bit_count() == 1) for c in counts):
        return sum(c * ((entries // c).bit_length() - 1) for c in counts if c) + 2
    terms = [mul_up(float(c), log_up(div_up(float(entries), float(c)))) for c in counts if c]
    return math.ceil(div_up(add_up(*terms), log_down(2.0))) + 2


def count_index_bits(entries: int, levels: int) -> int:
    """ceil(log2 C(d+L-1, L-1)): which vector of L counts that sum to d."""
    total = entries + levels - 1
    smaller = min(entries, levels - 1)
    if smaller <= EXACT_UP_TO:
        return ceil_log2(math.comb(total, smaller))
    log = add_up(log_factorial_up(total), -log_factorial_down(entries), -log_factorial_down(levels - 1))
    return math.ceil(div_up(log, log_down(2.0)))


def arrangement_bits(counts: Sequence[int]) -> int:
    """ceil(log2 (d!/prod c!)): which vector with these counts."""
    entries, most = sum(counts), max(counts)
    if entries - most <= EXACT_UP_TO:
        ways, left = 1, entries
        for c in sorted(counts)[:-1]:
            ways *= math.comb(left, c)
            left -= c
        return ceil_log2(ways)
    log = add_up(log_factorial_up(entries), *(-log_factorial_down(c) for c in counts))
    return math.ceil(div_up(max(log, 0.0), log_down(2.0)))


def log_permutations_down(widths: Sequence[int]) -> float:
    """At most the sum of ln h! over the widths: the logarithm of the number of ways to permute hidden units."""
    return add_down(*(log_factorial_down(h) for h in widths)) if widths else 0.0


def basel_up(bits: int, *, published: bool) -> float:
    """At least 2 ln b + ln(pi^2/6), which pays for naming the length b; without the constant in the published form."""
    penalty = mul_up(2.0, log_up(float(bits)))
    return penalty if published else add_up(penalty, log_up(div_up(9.869604401089360, 6.0)))
