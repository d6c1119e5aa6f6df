"""Float arithmetic that never errs on the unsafe side: each function returns a float64 at or above (`_up`) or at or below (`_down`)
the exact result for the floats it was given.

Sums, products, quotients and roots are correctly rounded by IEEE 754, so the neighbouring float is enough, and exact results stay
exact; logarithms and exponentials of the C library are within one unit in the last place, so two steps are. For scalars: bounds
are computed once, and a chain of these functions needs no error analysis as long as each step is monotone in what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

_LARGEST = float.fromhex("0x1.fffffffffffffp+1023")
_STEPS = 2  # of neighbouring floats, for functions that are not correctly rounded


def add_up(*terms: float) -> float:
    """At least the sum of the terms."""
    return _sum(terms, math.inf)


def add_down(*terms: float) -> float:
    """At most the sum of the terms."""
    return _sum(terms, -math.inf)


def _sum(terms: Iterable[float], towards: float) -> float:
    parts = list(terms)
    if any(math.isinf(x) for x in parts):
        return sum(parts)
    exact = sum(map(Fraction, parts), Fraction(0))
    try:
        total = math.fsum(parts)  # correctly rounded
    except OverflowError:
        return _nearest(exact, towards)
    return _towards(total, Fraction(total) < exact if towards > 0 else Fraction(total) > exact, towards)


def sub_up(a: float, b: float) -> float:
    """At least a - b."""
    return add_up(a, -b)


def sub_down(a: float, b: float) -> float:
    """At most a - b."""
    return add_down(a, -b)


def mul_up(a: float, b: float) -> float:
    """At least a * b."""
    return _product(a, b, math.inf)


def mul_down(a: float, b: float) -> float:
    """At most a * b."""
    return _product(a, b, -math.inf)


def _product(a: float, b: float, towards: float) -> float:
    if not a or not b:
        return 0.0  # also beside an infinity, which may be an overflow
    result = float(a) * float(b)
    if math.isinf(a) or math.isinf(b):
        return result
    if math.isinf(result):  # overflow: the exact product is finite
        return result if (result > 0) == (towards > 0) else math.copysign(_LARGEST, result)
    exact = Fraction(a) * Fraction(b)
    return _towards(result, Fraction(result) < exact if towards > 0 else Fraction(result) > exact, towards)


def div_up(a: float, b: float) -> float:
    """At least a / b, for b not 0."""
    return _quotient(a, b, math.inf)


def div_down(a: float, b: float) -> float:
    """At most a / b, for b not 0."""
    return _quotient(a, b, -math.inf)


def _quotient(a: float, b: float, towards: float) -> float:
    if math.isinf(a) or math.isinf(b):
        return float(a) / float(b)
    return _nearest(Fraction(a) / Fraction(b), towards)


def _nearest(exact: Fraction, towards: float) -> float:
    """The float next to a rational number on the safe side: infinity, or the largest float, where it overflows."""
    try:
        result = float(exact)
    except OverflowError:
        result = math.inf if exact > 0 else -math.inf
        return result if (result > 0) == (towards > 0) else math.copysign(_LARGEST, result)
    return _towards(result, Fraction(result) < exact if towards > 0 else Fraction(result) > exact, towards)


def sqrt_up(a: float) -> float:
    """At least the square root of a >= 0."""
    root = math.sqrt(a)
    return root if math.isinf(root) or Fraction(root) ** 2 >= Fraction(a) else math.nextafter(root, math.inf)


def sqrt_down(a: float) -> float:
    """At most the square root of a >= 0."""
    root = math.sqrt(a)
    return root if math.isinf(root) or Fraction(root) ** 2 <= Fraction(a) else math.nextafter(root, 0.0)


def log_up(a: float) -> float:
    """At least ln a, for a > 0; ln 1 = 0 is exact."""
    return 0.0 if a == 1 else _out(math.log(a), math.inf)


def log_down(a: float) -> float:
    """At most ln a, for a > 0; ln 1 = 0 is exact."""
    return 0.0 if a == 1 else _out(math.log(a), -math.inf)


def exp_up(a: float) -> float:
    """At least e^a; e^0 = 1 is exact, and overflow is infinity."""
    return 1.0 if a == 0 else _out(math.exp(a) if a < 709.7 else math.inf, math.inf)


def exp_down(a: float) -> float:
    """At most e^a, and not negative."""
    return 1.0 if a == 0 else max(0.0, _out(math.exp(min(a, 709.7)), -math.inf))


def expm1_up(a: float) -> float:
    """At least e^a - 1."""
    return 0.0 if a == 0 else _out(math.expm1(a) if a < 709.7 else math.inf, math.inf)


def expm1_down(a: float) -> float:
    """At most e^a - 1, and not below -1."""
    return 0.0 if a == 0 else max(-1.0, _out(math.expm1(min(a, 709.7)), -math.inf))


def log1p_up(a: float) -> float:
    """At least ln(1 + a), for a > -1."""
    return 0.0 if a == 0 else _out(math.log1p(a), math.inf)


def log1p_down(a: float) -> float:
    """At most ln(1 + a), for a > -1."""
    return 0.0 if a == 0 else _out(math.log1p(a), -math.inf)


def _out(value: float, towards: float) -> float:
    for _ in range(_STEPS):
        value = math.nextafter(value, towards)
    return value


def _towards(value: float, short: bool, towards: float) -> float:
    return math.nextafter(value, towards) if short else value
