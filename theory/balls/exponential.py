"""Large deviations of the lower tail of an exponential loss with mean b: CGF, rate function and inverse rate as balls.

J(lam) = ln E exp(lam (b - loss)) = b lam - ln(1 + b lam), I(a) = -a/b - ln(1 - a/b), I^-1(s) = b (1 + W0(-exp(-1-s))).
"""

from __future__ import annotations

import math
from fractions import Fraction

from flint import arb

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball


def _positive_mean(mean: Exact) -> Fraction:
    b = exact_fraction("mean", mean)
    if b <= 0:
        raise InvalidInput(f"mean is {mean!r}.", "An exponential law has a positive mean.")
    return b


def _non_negative(name: str, value: Exact) -> Fraction:
    x = exact_fraction(name, value)
    if x < 0:
        raise InvalidInput(f"{name} is {value!r}.", "It must be zero or larger.")
    return x


def cgf_exponential_ball(lam: Exact, mean: Exact = 1, digits: int = 60) -> arb:
    """J(lam) for lam >= 0."""
    tilt = _positive_mean(mean) * _non_negative("lam", lam)
    return refine(lambda: to_ball(tilt) - to_ball(tilt).log1p(), digits) if tilt else arb(0)


def rate_exponential_ball(a: Exact, mean: Exact = 1, digits: int = 60) -> arb:
    """I(a); zero for a <= 0 (the supremum over lam >= 0 sits at 0) and infinite for a >= b, where the loss would be <= 0."""
    x = exact_fraction("a", a) / _positive_mean(mean)
    if x <= 0:
        return arb(0)
    if x >= 1:
        return arb("inf")
    return refine(lambda: -to_ball(x) - (-to_ball(x)).log1p(), digits)


def inverse_rate_exponential_ball(s: Exact, mean: Exact = 1, digits: int = 60) -> arb:
    """I^-1(s) for s >= 0 through the Lambert W function; s = inf gives the mean itself."""
    b = _positive_mean(mean)
    if isinstance(s, float) and s == math.inf:
        return refine(lambda: to_ball(b), digits)
    x = _non_negative("s", s)
    if not x:
        return arb(0)
    return refine(lambda: to_ball(b) * (1 + (-(-1 - to_ball(x)).exp()).lambertw()), digits)
