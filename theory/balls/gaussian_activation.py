"""Mean and variance of an activation of a Gaussian variable, in ball arithmetic: the closed forms as they are derived."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb

from ..errors import NumericalFailure

Moments = tuple[arb, arb]


def _cdf(x: arb) -> arb:
    return (-x / arb(2).sqrt()).erfc() / 2


def relu_moments(m: arb, v: arb) -> Moments:
    """s h(a) and v [Phi(a) - h(a) h(-a)], h(a) = a Phi(a) + phi(a), a = m/s, s = sqrt(v) > 0."""
    s = v.sqrt()
    a = m / s
    density = (-a * a / 2).exp() / (2 * arb.pi()).sqrt()
    h, minus = a * _cdf(a) + density, -a * _cdf(-a) + density
    return s * h, v * (_cdf(a) - h * minus)


def erf_moments(m: arb, v: arb) -> Moments:
    """erf(m/sqrt(1+2v)) and (4/pi) int_r^1 exp(-k^2 (1+x^2)/2)/(1+x^2) dx, k = m sqrt(2/(1+2v)), r = 1/sqrt(1+4v)."""
    half = m * m / (1 + 2 * v)  # k^2 / 2

    def height(x: acb, analytic: bool) -> acb:
        arc = 1 + x * x
        return (-half * arc).exp() / arc

    area = acb.integral(height, 1 / (1 + 4 * v).sqrt(), arb(1))
    if not area.is_finite():
        raise NumericalFailure(
            "The variance integral was not enclosed.", "The input is too extreme for ball arithmetic."
        )
    return (m / (1 + 2 * v).sqrt()).erf(), 4 / arb.pi() * area.real


MOMENTS: dict[str, Callable[[arb, arb], Moments]] = {"relu": relu_moments, "erf": erf_moments}
