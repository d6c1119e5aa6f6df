"""Large deviations of the lower tail of an exponential loss with mean b: CGF, rate function, inverse rate, in float64.

J(lam) = ln E exp(lam (b - loss)) = h(b lam), I(a) = sup {lam a - J(lam) : lam >= 0} = h(-a/b), both through
h(x) = x - ln(1+x) >= 0 without cancellation; I^-1(s) = b x solves h(-x) = s. (The closed form b (1 + W0(-exp(-1-s))) is
right but useless in float64: at s = 1e-8 it has 8 digits.)

Rounded to nearest, not outward. Errors where the result is above 1e-290, u = 2^-53: J and I at most 12u = 6 ulp (7.2u for the
series and up to 3.1u from rounding its argument; 10u for the difference at its switch x = -2/3); I^-1 at most 6u = 3 ulp (half the
series' error, since h is quadratic or steeper there, an update, a product).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative
from .arithmetic import ARRAY
from .excess import excess_term
from .probability_pair import broadcast

_NEWTON_STEPS = 4
_SATURATED = 30.0  # beyond it 1 - x = exp(-1-s) to float64 accuracy
_QUADRATIC = 2.0**-960  # below it h(-x) = x^2/2 to float64 accuracy, and h itself would underflow


def cgf_exponential(lam: ArrayLike, mean: ArrayLike = 1.0) -> NDArray[np.float64]:
    """J(lam) = b lam - ln(1 + b lam) for lam in [0, inf], elementwise with broadcasting."""
    b, multiplier = broadcast(mean=_mean(mean), lam=non_negative("lam", lam))
    with np.errstate(all="ignore"):
        return excess_term(ARRAY, 1.0, np.asarray(b * multiplier))


def rate_exponential(a: ArrayLike, mean: ArrayLike = 1.0) -> NDArray[np.float64]:
    """I(a), elementwise: 0 for a <= 0 (the best lam is 0), inf for a >= b (the loss would have to be <= 0)."""
    b, a = broadcast(mean=_mean(mean), a=finite("a", a))
    inside = (a > 0) & (a < b)
    # b - a is exact where a > b/2, so 1 - a/b keeps its digits near the end point.
    with np.errstate(over="ignore"):  # outside only
        remainder = np.where(inside, (b - a) / b, 1.0)
        x = np.where(inside, a / b, 0.0)
    near = x <= 2 / 3
    value = np.where(near, excess_term(ARRAY, 1.0, -np.where(near, x, 0.0)), -x - np.log(remainder))
    return np.where(inside, value, np.where(a > 0, np.inf, 0.0))[()]


def inverse_rate_exponential(s: ArrayLike, mean: ArrayLike = 1.0) -> NDArray[np.float64]:
    """I^-1(s) = inf over lam > 0 of (J(lam) + s)/lam for s in [0, inf], elementwise; between 0 and the mean b."""
    b, s = broadcast(mean=_mean(mean), s=non_negative("s", s))
    limit = -np.expm1(-1.0 - s)
    w = np.sqrt(2.0 * np.minimum(s, _SATURATED))
    x = np.minimum(w - w**2 / 3 + w**3 / 36 + w**4 / 270, limit)
    start = x
    for _ in range(_NEWTON_STEPS):
        x = x - _newton_step(x, s)
    return (b * np.where(s > _SATURATED, limit, np.where(s < _QUADRATIC, start, x)))[()]


def _newton_step(x: Any, s: Any) -> Any:
    regular = (s >= _QUADRATIC) & (s <= _SATURATED)
    y = np.where(regular, x, 0.5)
    return np.where(regular, (excess_term(ARRAY, 1.0, -y) - s) * (1.0 - y) / y, 0.0)


def _mean(mean: Any) -> NDArray[np.float64]:
    b = finite("mean", mean)
    if b.size and b.min() <= 0:
        raise InvalidInput(f"mean is {b.min():g}.", "An exponential law has a positive mean.")
    return b
