"""NNGP and NTK of a fully connected net for one pair of inputs, by the naive recursion in ball arithmetic.

This is the reference for the float64 kernels: it works with the covariance c itself, loses digits at nearly equal
inputs like every naive code, and buys them back with precision until the enclosure is as narrow as asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx

from ..activations import Activation, Scaled, resolve
from ..errors import InvalidInput, NumericalFailure
from .context import to_ball
from .dual_table import Dual, dual_of

_MAX_DIGITS = 4000


@dataclass(frozen=True)
class PairKernels:
    """Enclosures of K(x,y), T(x,y), K(x,x), K(y,y), T(x,x) and T(y,y); the tangent kernel through sign is NaN."""

    nngp: arb
    ntk: arb
    nngp_xx: arb
    nngp_yy: arb
    ntk_xx: arb
    ntk_yy: arb

    @property
    def nngp_distance(self) -> arb:
        """K(x,x) + K(y,y) - 2 K(x,y); cancels at nearly equal inputs."""
        return self.nngp_xx + self.nngp_yy - 2 * self.nngp

    @property
    def ntk_distance(self) -> arb:
        """T(x,x) + T(y,y) - 2 T(x,y)."""
        return self.ntk_xx + self.ntk_yy - 2 * self.ntk


def fully_connected_pair(
    x: Sequence[float | Fraction],
    y: Sequence[float | Fraction],
    *,
    activation: Activation,
    weight_scale: Sequence[float | Fraction],
    bias_scale: Sequence[float | Fraction],
    digits: int = 50,
) -> PairKernels:
    """Kernels at one pair of exactly given inputs (floats are taken at their exact value) to `digits` relative digits.

    `weight_scale` and `bias_scale` have one entry per weight layer, the readout last; hidden layers = entries - 1.
    Source: Jacot et al. 2018; recursion `T <- K + sw^2 Vd T`. Raises InvalidInput for unequal lengths or an unknown
    activation, NumericalFailure if the precision runs out (a kernel that is exactly zero has no relative digits; its
    absolute width is then held to 10^-digits).
    """
    base = activation.base if isinstance(activation, Scaled) else activation
    tangent = resolve(base) != "sign"
    if len(x) != len(y) or not len(x):
        raise InvalidInput(f"The inputs have {len(x)} and {len(y)} coordinates.", "Pass two vectors of equal length.")
    if len(weight_scale) != len(bias_scale) or len(weight_scale) < 2:
        raise InvalidInput("weight_scale and bias_scale differ in length or have fewer than two entries.")
    exact = [[Fraction(value) for value in row] for row in (x, y, weight_scale, bias_scale)]
    working = digits + 20
    while working <= _MAX_DIGITS:
        with ctx.workdps(working):
            kernels = _recursion(dual_of(activation), *exact)
            if all(_narrow(ball, digits) for name, ball in vars(kernels).items() if tangent or name.startswith("nngp")):
                return kernels
        working *= 2
    raise NumericalFailure(f"The kernels could not be enclosed to {digits} digits with {_MAX_DIGITS} working digits.")


def _narrow(ball: arb, digits: int) -> bool:
    if not ball.is_finite():
        return False
    width = arb(10) ** (-digits)
    return bool(ball.rad() <= width * ball.abs_lower()) or bool(ball.abs_upper() <= width)


def _recursion(
    dual: Dual, x: list[Fraction], y: list[Fraction], weights: list[Fraction], biases: list[Fraction]
) -> PairKernels:
    def affine(u: list[Fraction], v: list[Fraction]) -> Fraction:
        return weights[0] ** 2 * sum((p * q for p, q in zip(u, v, strict=True)), Fraction(0)) / len(u) + biases[0] ** 2

    # the first layer is rational: its discriminant is exact, so collinear inputs need no limit
    rational = affine(x, x), affine(y, y), affine(x, y)
    a, b, c = (to_ball(value) for value in rational)
    discriminant = to_ball(rational[0] * rational[1] - rational[2] ** 2)
    same = x == y
    t_xx, t_yy, t = a, b, c
    for weight, bias in zip(weights[1:], biases[1:], strict=True):
        w, s = to_ball(weight) ** 2, to_ball(bias) ** 2
        values = [dual(a, a, a, arb(0)), dual(b, b, b, arb(0)), dual(a, b, c, discriminant)]
        (a, da), (b, db), (c, dc) = (
            (w * value + s, arb("nan") if slope is None else w * slope) for value, slope in values
        )
        t_xx, t_yy, t = a + da * t_xx, b + db * t_yy, c + dc * t
        # Cauchy-Schwarz: the true value is not negative, so the negative part of its ball may be dropped
        discriminant = arb(0) if same else (a * b - c * c).nonnegative_part()
    return PairKernels(c, t, a, b, t_xx, t_yy)
