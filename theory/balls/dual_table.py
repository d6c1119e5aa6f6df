"""The dual activations as the tables of the literature print them, in ball arithmetic.

Each function takes a, b, c and `discriminant` = ab - c^2 of (u, v) ~ N(0, [[a, c], [c, b]]) and returns
E phi(u) phi(v) and E phi'(u) phi'(v) (None: infinite on the diagonal). No form here is made to keep digits; precision
does that.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from flint import arb

from ..activations import ABRelu, Cosine, Rbf, Scaled, Sine, resolve
from .context import to_ball

Values = tuple[arb, arb | None]
Dual = Callable[[arb, arb, arb, arb], Values]


def relu_dual(a: arb, b: arb, c: arb, discriminant: arb) -> tuple[arb, arb]:
    """max(z, 0)."""
    if a.is_zero() or b.is_zero():  # the theory's convention for a zero vector: angle 0
        return arb(0), arb(1) / 2
    sine = discriminant.sqrt()
    angle = arb.atan2(sine, c)
    return (sine + (arb.pi() - angle) * c) / (2 * arb.pi()), (arb.pi() - angle) / (2 * arb.pi())


def erf_dual(a: arb, b: arb, c: arb, discriminant: arb) -> tuple[arb, arb]:
    """erf(z)."""
    root = (1 + 2 * (a + b) + 4 * discriminant).sqrt()
    return 2 / arb.pi() * arb.atan2(2 * c, root), 4 / (arb.pi() * root)


def _identity(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
    return c, arb(1)


def _sign(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
    if a.is_zero() or b.is_zero():
        return arb(0), None
    return 1 - 2 * arb.atan2(discriminant.sqrt(), c) / arb.pi(), None


def _gelu(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
    full, square = (1 + a) * (1 + b), 1 + a + b + discriminant  # square = full - c^2
    root = square.sqrt()
    angle, turn = arb.atan2(c, root), 2 * arb.pi()
    value = c / 4 + (c * angle + (c * c + a * b * square) / (full * root)) / turn
    slope = 1 / square + (1 - a * b) / full + 1
    return value, arb(1) / 4 + angle / turn + c / (turn * root) * slope


def _abrelu(parameters: ABRelu) -> Dual:
    """be max(z,0) - al max(-z,0): four ReLU terms, two of them at -v."""
    negative, positive = to_ball(Fraction(parameters.negative)), to_ball(Fraction(parameters.positive))
    same, mixed = negative**2 + positive**2, negative * positive

    def dual(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
        (value, slope), (far, far_slope) = relu_dual(a, b, c, discriminant), relu_dual(a, b, -c, discriminant)
        if a.is_zero() or b.is_zero():
            far_slope = arb(0)  # the angle 0 between x and y is pi between x and -y
        return same * value - 2 * mixed * far, same * slope + 2 * mixed * far_slope

    return dual


def _wave(amplitude: arb, frequency: arb, phase: arb) -> Dual:
    """A sin(B z + C)."""

    def dual(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
        square = frequency**2
        apart = (square * (c - (a + b) / 2)).exp()
        both = (2 * phase).cos() * (-square * (c + (a + b) / 2)).exp()
        return amplitude**2 / 2 * (apart - both), amplitude**2 * square / 2 * (apart + both)

    return dual


def _scaled(parameters: Scaled) -> Dual:
    """A phi(B z) + k."""
    outer, inner, k = (to_ball(Fraction(v)) for v in (parameters.outer, parameters.inner, parameters.constant))
    base, mean = dual_of(parameters.base), mean_of(parameters.base)

    def dual(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
        s = inner**2
        value, slope = base(s * a, s * b, s * c, s**2 * discriminant)
        value = outer**2 * value
        if parameters.constant:
            value = value + k * outer * (mean(s * a) + mean(s * b)) + k**2
        return value, None if slope is None else outer**2 * s * slope

    return dual


_PLAIN: dict[str, Dual] = {"identity": _identity, "sign": _sign, "erf": erf_dual, "gelu": _gelu}


def dual_of(activation: Any) -> Dual:
    """The pair (V, Vd) as a function of (a, b, c, ab - c^2). Raises InvalidInput for an activation without one."""
    found = resolve(activation)
    if isinstance(found, str):
        return _PLAIN[found]
    if isinstance(found, ABRelu):
        return _abrelu(found)
    if isinstance(found, Sine | Cosine):
        quarter = arb.pi() / 2 if isinstance(found, Cosine) else arb(0)
        amplitude, frequency = (to_ball(Fraction(v)) for v in (found.amplitude, found.frequency))
        return _wave(amplitude, frequency, _phase(found) + quarter)
    if isinstance(found, Rbf):
        gamma = to_ball(Fraction(found.gamma))

        def gaussian(a: arb, b: arb, c: arb, discriminant: arb) -> Values:
            value = (-gamma * (a + b - 2 * c)).exp()
            return value, 2 * gamma * value

        return gaussian
    return _scaled(found)


def mean_of(activation: Any) -> Callable[[arb], arb]:
    """E phi(z) for z of variance a."""
    found = resolve(activation)
    if isinstance(found, ABRelu):
        bend = to_ball(Fraction(found.positive)) - to_ball(Fraction(found.negative))
        return lambda a: bend * (a / (2 * arb.pi())).sqrt()
    if found == "gelu":
        return lambda a: a / (2 * arb.pi() * (1 + a)).sqrt()
    if isinstance(found, Sine | Cosine):
        amplitude, square = to_ball(Fraction(found.amplitude)), to_ball(Fraction(found.frequency)) ** 2
        height = _phase(found).cos() if isinstance(found, Cosine) else _phase(found).sin()
        return lambda a: amplitude * height * (-square * a / 2).exp()
    if isinstance(found, Rbf):
        gamma = to_ball(Fraction(found.gamma))
        return lambda a: (-gamma * a).exp()
    return lambda a: arb(0)


def _phase(wave: Sine | Cosine) -> arb:
    return to_ball(Fraction(wave.phase))
