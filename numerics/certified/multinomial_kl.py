"""The largest and the smallest mean of given values over all laws p with KL(u||p) <= c, rounded outward, on batches.

Weak duality: for every a >= 0, with F = max f over all atoms, Jensen gives sum f_i p_i <= F + a - exp(sum u_i ln(a + F - f_i) - c).
The right-hand side is convex in a; its minimiser solves KL(u||p(a)) = c for p(a)_i ~ u_i/(a + F - f_i), or is a = 0 when
KL(u||p(0)) <= c: an atom of largest value that u does not see then takes the missing mass. Newton's method finds a; whatever a
it returns, the value there is a bound, and an error e of ln a costs only e^2.

Evaluation without cancellation: with m the mean of f under u, r = a + F - m, x_i = (m - f_i)/r and h(x) = x - ln(1+x) >= 0,

    bound = m + r (1 - exp(-(c + sum u_i h(x_i)))).

It stays a bound when a float m' replaces m in r and x, up to |m - m'| (the exponent moves by (m - m')/r, which r multiplies).
Rounding, u = 2^-53, with S = sum u_i |f_i|: normalising u costs M u; m' is within (2M + 1) u S. Distances F - f_i and m' - f_i
cost u, r 2u, x 4u. h costs 24u at most: for x in [-2/3, 2] its elasticity is below 3.1 and the series costs 7.2u; outside, the
logarithm is taken of (a + F - f_i)/r, a sum of non-negative terms. So the exponent is within (2M + 26) u, and the gap, whose
elasticity in the exponent is at most 1, within (2M + 32) u.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative
from .arithmetic import ARRAY, ULP, add_up
from .excess import near_term

FloatArray = NDArray[np.float64]

SMALLEST_C = 1e-280  # a smaller positive c is raised to this, which only loosens the bound
NORMALISED = 2.0**-44  # how far the weights may sum from 1: rounding of up to some thousand terms
_RANGE = 2.0**400  # of the values: beyond it products of distances could overflow or underflow
_STEPS = 100


def multinomial_kl_upper(u: ArrayLike, f: ArrayLike, c: ArrayLike) -> FloatArray:
    """max of sum_i f_i p_i over laws p with KL(u||p) <= c, never below the exact value.

    u: (..., M) weights >= 0 that sum to 1 along the last axis up to rounding (they are normalised exactly); f: (..., M) finite values,
    unobserved atoms (u_i = 0) included; c: (...) in [0, inf] nats. Leading axes broadcast. Raises InvalidInput. Statement pb.multiklinv.
    """
    weights, values, divergence = _arguments(u, f, c)
    shape = divergence.shape
    m = weights.shape[-1]
    if not divergence.size:
        return np.empty(shape)
    flat = (weights.reshape(-1, m), values.reshape(-1, m), divergence.reshape(-1))
    with np.errstate(all="ignore"):
        return _upper(*flat).reshape(shape)[()]


def multinomial_kl_lower(u: ArrayLike, f: ArrayLike, c: ArrayLike) -> FloatArray:
    """min of sum_i f_i p_i over laws p with KL(u||p) <= c, never above the exact value. Arguments as `multinomial_kl_upper`."""
    return -multinomial_kl_upper(u, -finite("f", f), c)


def weights_of(name: str, u: ArrayLike) -> FloatArray:
    """`u` as weights along the last axis that sum to 1 up to rounding."""
    weights = non_negative(name, finite(name, u))
    if weights.ndim == 0 or not weights.shape[-1]:
        raise InvalidInput(
            f"{name} has shape {weights.shape}.", "Give one weight for each outcome along the last axis."
        )
    off = np.abs(weights.sum(axis=-1) - 1)
    if off.size and off.max() > NORMALISED:
        raise InvalidInput(
            f"{name} sums to {1 + off.max():.17g} or its mirror image.", "Weights must sum to 1: name every outcome."
        )
    return weights


def _arguments(u: ArrayLike, f: ArrayLike, c: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    weights, values, divergence = weights_of("u", u), finite("f", f), non_negative("c", c)
    if values.ndim == 0 or values.shape[-1] != weights.shape[-1]:
        raise InvalidInput(f"u has shape {weights.shape} and f {values.shape}.", "Both need one entry for each atom.")
    size = np.abs(values)
    if size.size and (size.max() > _RANGE or size[size > 0].min(initial=1.0) < 1 / _RANGE):
        raise InvalidInput("f has values beyond 2^400 or below 2^-400.", "Rescale them, and the bound with them.")
    try:
        shape = np.broadcast_shapes(weights.shape[:-1], values.shape[:-1], divergence.shape)
    except ValueError as error:
        raise InvalidInput(
            f"u {weights.shape}, f {values.shape} and c {divergence.shape} do not broadcast.", "The last axis is atoms."
        ) from error
    whole = (*shape, weights.shape[-1])
    return np.broadcast_to(weights, whole), np.broadcast_to(values, whole), np.broadcast_to(divergence, shape)


def _upper(u: FloatArray, f: FloatArray, c: FloatArray) -> FloatArray:
    m = u.shape[-1]
    u = u / u.sum(axis=-1, keepdims=True)
    top = f.max(axis=-1)
    mean, size = (u * f).sum(axis=-1), (u * np.abs(f)).sum(axis=-1)
    # at most twice the derived error of the mean; a weight below 2^-1022 is off by a whole step, hence the last term
    slack = (2 * m + 2) * ULP * size + 2.0**-600
    rise = top - mean
    settled = (c == 0) | (rise <= 0) | np.isinf(c)
    s = _Batch(u, f, np.where(settled, 1.0, np.maximum(c, SMALLEST_C)), top, mean, np.where(rise > 0, rise, 1.0))
    gap = s.gap(s.solve())
    gap = gap * (1 + (m + 17) * ULP)
    bound = add_up(ARRAY, add_up(ARRAY, mean, slack), np.where(c == 0, 0.0, gap))
    return np.minimum(top, np.where((rise <= 0) | np.isinf(c), top, bound))


class _Batch:
    """One bound for each row: the dual value and its minimiser."""

    def __init__(
        self, u: FloatArray, f: FloatArray, c: FloatArray, top: FloatArray, mean: FloatArray, rise: FloatArray
    ):
        self.u, self.c, self.rise = u, c, rise
        self.below_top, self.above_mean = top[:, None] - f, f - mean[:, None]

    def excess(self, a: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """r, x and h(x) at a, the last two for each atom."""
        r = a + self.rise
        x = -self.above_mean / r[:, None]
        near = (x <= 2) & (1.5 * x >= -1)
        rest = a[:, None] + self.below_top  # a + F - f_i, that is r (1 + x)
        far = x - np.log(rest / r[:, None])
        h = np.where(near, near_term(1.0, np.where(near, x, 0.0)), far)
        return r, x, np.where(self.u > 0, h, 0.0)

    def gap(self, a: FloatArray) -> FloatArray:
        """Dual value minus mean."""
        r, _, h = self.excess(a)
        return -r * np.expm1(-(self.c + (self.u * h).sum(axis=-1)))

    def divergence(self, a: FloatArray) -> tuple[FloatArray, FloatArray]:
        """KL(u||p(a)) = ln(sum u/(1+x)) + sum u ln(1+x), decreasing in a, and its derivative in ln a."""
        r, x, h = self.excess(a)
        seen = self.u > 0
        ratio = np.where(seen, r[:, None] / (a[:, None] + self.below_top), 0.0)  # 1/(1+x) = 1 - x + x^2/(1+x)
        # sum u x would vanish but for the rounding of the mean, which can exceed c
        drift = (self.u * x).sum(axis=-1)
        v = (self.u * x * np.where(seen, x, 0.0) * ratio).sum(axis=-1) - drift
        kl = np.log1p(v) + drift - (self.u * h).sum(axis=-1)
        # with S_j = sum u/(a + F - f)^j: dKL/da = S_1 - S_2/S_1, written with deviations of 1/(1+x) from its mean 1 + v
        deviation = np.where(seen, ratio - (1 + v)[:, None], 0.0)
        return kl, -(a / r) * (self.u * deviation**2).sum(axis=-1) / (1 + v)

    def solve(self) -> FloatArray:
        """a with KL(u||p(a)) = c up to about eight digits, or 0 where even a = 0 stays within c."""
        at_zero, _ = self.divergence(np.zeros_like(self.c))
        missing = at_zero <= self.c
        # |x| <= 1 + spread/r; beyond these ends the value no longer depends on a in float64
        low, high = np.full_like(self.c, -600.0), np.full_like(self.c, 345.0)
        variance = (self.u * self.above_mean**2).sum(axis=-1)
        start = np.sqrt(variance / 2) / np.sqrt(self.c)
        z = np.clip(np.log(np.maximum(start / self.rise, 1e-8)), low, high)
        active = ~missing
        for _ in range(_STEPS):
            a = np.exp(z) * self.rise
            kl, slope = self.divergence(a)
            low, high = np.where(kl > self.c, z, low), np.where(kl > self.c, high, z)
            step = np.log(np.maximum(kl, 1e-300) / self.c) * kl / slope  # Newton for ln KL as a function of ln a
            inside = (z - step > low) & (z - step < high)
            following = np.where(inside, z - step, (low + high) / 2)
            active = active & ~(np.abs(following - z) <= 1e-9)
            z = np.where(active, following, z)
            if not active.any():
                break
        return np.where(missing, 0.0, np.exp(z) * self.rise)


__all__: list[Any] = ["multinomial_kl_lower", "multinomial_kl_upper", "weights_of"]
