"""Working precision for ball arithmetic: exact inputs, and evaluation repeated until the enclosure is narrow enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from flint import arb, ctx, fmpq

from ..errors import InvalidInput, NumericalFailure

# Numbers whose value is unambiguous. A float stands for the binary fraction that it is, not for the decimal that it prints as.
Exact = float | int | Fraction

_MAXIMUM_BITS = 1 << 16


def exact_fraction(name: str, value: Exact) -> Fraction:
    """The rational number that `value` is, exactly."""
    try:
        return Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{name} is {value!r}.", "Pass a finite float, int or Fraction.") from error


def to_ball(value: Fraction) -> arb:
    """A ball around a rational number, as narrow as the current precision allows."""
    return arb(fmpq(value.numerator, value.denominator))


def target_bits(digits: int) -> int:
    """Bits of relative accuracy that stand for `digits` decimal digits."""
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 10_000:
        raise InvalidInput(f"digits is {digits!r}.", "Pass a whole number from 1 to 10000.")
    return math.ceil(digits * math.log2(10))


def is_narrow(ball: arb, bits: int) -> bool:
    """True where the radius is at most 2^-bits of the midpoint, or the ball is one exact number (possibly infinite)."""
    return bool(ball.is_exact() and not ball.is_nan()) or ball.rel_accuracy_bits() >= bits


def refine(evaluate: Callable[[], arb], digits: int) -> arb:
    """Evaluate at growing precision until the enclosure has `digits` correct digits.

    Cancellation then costs time instead of accuracy. flint's precision is global: it is set only inside the call.
    """
    wanted = target_bits(digits)
    bits = wanted + 32
    while bits <= _MAXIMUM_BITS + wanted:
        with ctx.workprec(bits):
            ball = evaluate()
        if is_narrow(ball, wanted):
            return ball
        bits *= 2
    raise NumericalFailure(
        f"No enclosure with {digits} digits was found at {bits // 2} bits.",
        "The input is too extreme for ball arithmetic.",
    )


def log_fraction(value: Fraction | int, digits: int = 80) -> Fraction:
    """A rational number that agrees with ln(value) to `digits` digits, for formulas that take exact inputs."""
    with ctx.workdps(digits + 10):
        mantissa, exponent = to_ball(Fraction(value)).log().mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
