"""Relative entropies of the families that posteriors come from, in float64 and never below the exact value (pb.kl_families).

Each is written as a sum of non-negative terms (Gaussian, Laplace, categorical) or as one such sum minus another (Dirichlet), so
that nothing is lost where posterior and prior are close. With h(x) = x - ln(1+x) and w = 2^-53, errors are linear in w:

* `_bregman`: weight h(other/weight - 1), its three arguments right to w each. For -2/3 <= x <= 2 the series costs 8w, the gap at
  most 3.1w and the weight 2.1w (condition numbers x h'/h and 1 - x h'/h): 14w. Beyond, the logarithm's argument is right to 3w,
  which is at most 7w of h >= 0.43, its own ulp 7w, the gap 5w: 22w.
* exp, expm1, log of the C library are trusted to 4w (two ulps).

Scales, concentrations and weights lie in [1e-140, 1e140], log-scales in [-300, 300]: no intermediate value then leaves the normal
range, except for terms that no sum notices; `TINY` for each term makes up for those.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative
from .excess import near_term

FloatArray = NDArray[np.float64]

UNIT = 2.0**-53
TINY = 2.0**-1060  # more than what a handful of underflows can lose
LOG_SCALE_LIMIT = 300.0  # exp(+-600) is still a normal number
SMALLEST, LARGEST = 1e-140, 1e140
_SHIFT = 16
# ln Gamma(x) = (x - 1/2) ln x - x + ln(2 pi)/2 + sum_k c_k x^-(2k+1); the first omitted term is 1/(156 x^13)
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_DIRICHLET_UNITS = 56.0


def _bregman(weight: FloatArray, other: FloatArray, gap: FloatArray) -> FloatArray:
    """weight h(other/weight - 1) = gap - weight ln(other/weight) >= 0, for gap = other - weight."""
    near = (gap <= 2 * weight) & (1.5 * gap >= -weight)
    with np.errstate(all="ignore"):
        ratio = other / weight
        usual = np.isfinite(ratio) & (ratio > 1e-290)
        log_ratio = np.where(usual, np.log(np.where(usual, ratio, 1.0)), np.log(other) - np.log(weight))
        far = gap - weight * log_ratio
        return np.where(near, near_term(np.where(near, weight, 1.0), np.where(near, gap, 0.0)), far)


def kl_gaussian_diagonal(
    mean: ArrayLike, log_scale: ArrayLike, prior_mean: ArrayLike, prior_log_scale: ArrayLike
) -> float:
    """KL(N(m, diag s^2) || N(m0, diag s0^2)) in nats, summed over all coordinates, never below the exact value.

    Means and logarithms of standard deviations: arrays that broadcast against each other; |ln s| <= 300. Raises `InvalidInput`.
    Per coordinate h(u)/2 + ((m - m0)/s0)^2/2 with u = (s/s0)^2 - 1.
    """
    m, t, m0, t0 = _together(mean=mean, log_scale=log_scale, prior_mean=prior_mean, prior_log_scale=prior_log_scale)
    _limit(t, t0)
    with np.errstate(over="ignore", under="ignore"):
        shift = (m - m0) * np.exp(-t0)  # w, 4w and w; its square and half: 13w
        terms = 0.5 * _scale_part(t, t0) + 0.5 * (shift * shift)
    return _total(terms, _scale_units(t, t0), np.array_equal(m, m0) and np.array_equal(t, t0))


def kl_gaussian_isotropic(mean: ArrayLike, log_scale: float, prior_mean: ArrayLike, prior_log_scale: float) -> float:
    """KL(N(m, s^2 I) || N(m0, s0^2 I)) = d h(u)/2 + |m - m0|^2/(2 s0^2) in nats, never below the exact value.

    Means of one shape (d entries), two numbers as the logarithms of the standard deviations, at most 300 in size.
    Raises `InvalidInput`.
    """
    m, m0 = _together(mean=mean, prior_mean=prior_mean)
    t, t0 = (finite(name, x, ndim=0) for name, x in (("log_scale", log_scale), ("prior_log_scale", prior_log_scale)))
    _limit(t, t0)
    with np.errstate(over="ignore", under="ignore"):
        # the difference is scaled before it is squared: neither factor can leave the range alone
        shift = (m - m0) * np.exp(-t0)
        half = np.append(0.5 * (shift * shift), 0.5 * m.size * _scale_part(t, t0))
    return _total(half, _scale_units(t, t0) + 1, np.array_equal(m, m0) and bool(t == t0))


def _scale_part(t: FloatArray, t0: FloatArray) -> FloatArray:
    """h(u) = u - D, u = e^D - 1, D = 2 (t - t0): never ln(1+u), since u rounds to -1 once s < 1e-8 s0."""
    d = 2 * (t - t0)
    u = np.expm1(d)
    near = (u >= -2 / 3) & (u <= 2)
    return np.where(near, near_term(1.0, np.where(near, u, 0.0)), u - d)


def _scale_units(t: FloatArray, t0: FloatArray) -> float:
    """Relative error of `_scale_part` in units of w.

    D carries w, so u carries w D e^D/(e^D - 1) + 4w: 5.7w for |D| <= ln 3, and (|D| + 5)w at most. Within [-2/3, 2], h multiplies
    that by at most 3.1 and costs 8w: 24w. Above, u - D loses a factor u/(u - D) <= 2.3 on u and 1.3 on D: below (16 + 3 D)w.
    """
    return 32 + 4 * max(0.0, float(np.max(2 * (t - t0), initial=0.0)))


def kl_laplace(mean: ArrayLike, scale: ArrayLike, prior_mean: ArrayLike, prior_scale: ArrayLike) -> float:
    """KL(Laplace(m, b) || Laplace(m0, b0)) in nats, summed over all coordinates, never below the exact value.

    Means, and scales > 0: arrays that broadcast. Raises `InvalidInput`.
    Per coordinate h(b/b0 - 1) + (b/b0)(e^-t - 1 + t) with t = |m - m0|/b.
    """
    m, b, m0, b0 = _together(mean=mean, scale=scale, prior_mean=prior_mean, prior_scale=prior_scale)
    _positive(scale=b, prior_scale=b0)
    with np.errstate(over="ignore", under="ignore"):
        distance = np.abs(m - m0)
        terms = _bregman(b0, b, b - b0) / b0 + distance / b0 * _excess_share(distance / b)
    # _bregman 22w and its quotient 2w; the share 27w, difference, quotient and product 3w
    return _total(terms, 32, np.array_equal(m, m0) and np.array_equal(b, b0))


def _excess_share(t: FloatArray) -> FloatArray:
    """(e^-t - 1 + t)/t for t in [0, inf], t right to 2w: 27w.

    Below 1/2 by its series t/2 - t^2/6 + ..., 16 terms: alternating with condition 1.3, at most 6w, and 2w from t. Above, 1 exceeds
    the result (0.21 or more) 4.7 times and expm1(-t)/t 3.7 times, which carries 4w, w and at most 2w from t.
    """
    small = np.minimum(t, 0.5)
    series = np.ones_like(small)
    for k in range(17, 2, -1):
        series = 1.0 - series * (small / k)
    large = np.clip(t, 0.5, 1e300)
    return np.where(t <= 0.5, series * (small / 2), 1.0 + np.expm1(-large) / large)


def kl_categorical(q: ArrayLike, p: ArrayLike) -> float:
    """KL between two laws on the same finite set, in nats, never below that of the weights divided by their exact sums.

    q, p: one non-negative weight for each point, summing to 1 within 1e-9; 0 in p where q is positive gives infinity. Raises
    `InvalidInput`. Term by term q h(p/q - 1), where p/q - 1 = 0 keeps the sum at 0 for equal laws.
    """
    first, second = _law("q", q), _law("p", p)
    if first.shape != second.shape:
        raise InvalidInput(
            f"q has shape {first.shape} and p {second.shape}.", "Give both a weight for each of the same points."
        )
    if np.array_equal(first, second):
        return 0.0
    a, b = first / math.fsum(first), second / math.fsum(second)  # right to 2w each
    if np.any((b == 0) & (a > 0)):
        return math.inf
    used = a > 0
    x, y = a[used], b[used]
    terms = np.concatenate([_bregman(x, y, y - x), b[~used]])
    # An error of 2w in the laws moves the sum of q ln(q/p) + p - q by 2w (|p - q| + q |ln(q/p)|), and by 8w^2 to second order.
    moved = math.fsum(np.abs(y - x)) + math.fsum(x * np.abs(np.log(x) - np.log(y))) + math.fsum(b[~used])
    return _total(terms, 24, False) + 4 * UNIT * moved + 16 * UNIT**2


def kl_dirichlet(a: ArrayLike, b: ArrayLike) -> float:
    """KL(Dirichlet(a) || Dirichlet(b)) in nats, never below the exact value; a, b: concentrations > 0 of one shape.

    It is sum_j D(b_j, a_j) - D(sum b, sum a) with D(y, x) = ln Gamma(y) - ln Gamma(x) - (y - x) psi(x) >= 0, and D is a sum of
    positive terms: the recurrence of ln Gamma gives h((y - x)/(x + k)), k = 0..15, Stirling's series the rest. The slack is that of
    both sums, so close to a common scaling (a = c b, large) relative accuracy goes down while the bound stays valid.
    Raises `InvalidInput`.
    """
    x, y = finite("a", a, ndim=1), finite("b", b, ndim=1)
    _positive(a=x, b=y)
    if x.shape != y.shape or not x.size:
        raise InvalidInput(f"a has shape {x.shape} and b {y.shape}.", "Give both one concentration for each outcome.")
    if x.size == 1 or np.array_equal(x, y):
        return 0.0
    total, prior_total = math.fsum(x), math.fsum(y)
    gap = math.fsum([*y, *(-x)])
    parts = math.fsum(_gamma_bregman(y, x, y - x))
    whole = float(_gamma_bregman(*(np.array([z]) for z in (prior_total, total, gap)))[0])
    slack = _DIRICHLET_UNITS * UNIT * (parts + whole)
    return max(0.0, parts - whole) + slack + x.size * TINY


def _gamma_bregman(y: FloatArray, x: FloatArray, gap: FloatArray) -> FloatArray:
    """ln Gamma(y) - ln Gamma(x) - (y - x) psi(x) for gap = y - x, arguments right to w each.

    Each of 16 + 2 terms carries at most 22w + 5w (two more from a shifted argument, a quotient), their sum 18w; Stirling's
    remainder, a fraction 13 * 14/156 * 16^-14 of it, is below w: at most 48w, 50w where x and y are rounded sums themselves.
    """
    terms = np.zeros_like(gap)
    with np.errstate(under="ignore"):
        for k in range(_SHIFT - 1, -1, -1):  # smallest first
            terms = terms + _bregman(x + k, y + k, gap) / (x + k)
        far_x, far_y = x + _SHIFT, y + _SHIFT
        terms = terms + 0.5 * _bregman(far_x, far_y, gap) / far_x + _bregman(far_y, far_x, -gap)
        # x^-m: y^-m - x^-m + m (y - x) x^-(m+1) = (y - x)^2/(x y) S_m, S_m = sum_{j=1}^m j x^-j y^-(m-j)
        inverse, square = 1.0 / far_x, (gap / far_y) * (gap / far_x)
        power, s = inverse, inverse
        for m in range(1, 2 * len(_STIRLING)):
            if m % 2:
                terms = terms + _STIRLING[m // 2] * square * s
            power = power * inverse
            s = s / far_y + (m + 1) * power
    return terms


def renyi_gaussian(order: float, mean: ArrayLike, prior_mean: ArrayLike, log_scale: ArrayLike) -> float:
    """Renyi divergence of order a > 0 between Gaussians of one diagonal covariance: a sum ((m - m0)/s)^2/2, rounded up.

    Means and logarithms of the common standard deviations: arrays that broadcast; |ln s| <= 300. Raises `InvalidInput`.
    """
    a = float(finite("order", order, ndim=0))
    if a <= 0:
        raise InvalidInput(f"order is {a:g}.", "It must be positive.")
    m, m0, t = _together(mean=mean, prior_mean=prior_mean, log_scale=log_scale)
    _limit(t)
    with np.errstate(over="ignore", under="ignore"):
        shift = (m - m0) * np.exp(-t)
        same = np.array_equal(m, m0)
        return _total(a * (0.5 * (shift * shift)), 14, same) + (0.0 if same else a * TINY * m.size)


def chi_square_gaussian(mean: ArrayLike, prior_mean: ArrayLike, log_scale: ArrayLike) -> float:
    """chi^2(Q||P) = E_P (dQ/dP)^2 - 1 = e^(D_2) - 1 between Gaussians of one diagonal covariance, rounded up."""
    divergence = renyi_gaussian(2.0, mean, prior_mean, log_scale)
    if divergence > 709.7:
        return math.inf
    return math.expm1(divergence) * (1 + 8 * UNIT)


def gibbs_risk_linear_classifier(weights: ArrayLike, log_scale: float, inputs: ArrayLike, labels: ArrayLike) -> float:
    """0-1 risk of sign(<W, x>) averaged over W ~ N(w, s^2 I): mean_i Phi(-y_i <w, x_i>/(s |x_i|)), no Monte-Carlo, rounded up.

    weights: (d,); log_scale: ln s, at most 300 in size; inputs: (n, d), no row of zeros; labels: (n,) of +1 and -1.
    Raises `InvalidInput`.
    """
    w, x, y = finite("weights", weights, ndim=1), finite("inputs", inputs, ndim=2), finite("labels", labels, ndim=1)
    t = finite("log_scale", log_scale, ndim=0)
    _limit(t)
    if x.shape != (y.size, w.size) or not x.size:
        raise InvalidInput(
            f"inputs has shape {x.shape}; {y.size} labels and {w.size} weights need {(y.size, w.size)}.",
            "One row for each example, one column for each weight.",
        )
    if not np.all(np.abs(y) == 1):
        raise InvalidInput("A label is neither +1 nor -1.", "Map the two classes to +1 and -1.")
    size = np.abs(x).max(axis=1, keepdims=True)
    if not size.all():
        raise InvalidInput("A row of inputs is zero.", "A linear classifier has no sign there; add a constant feature.")
    largest = max(float(np.abs(w).max()), SMALLEST)
    if largest > LARGEST:
        raise InvalidInput(f"A weight is {largest:g} in size.", f"Divide weights and scale: at most {LARGEST:g}.")
    unit, weight = x / size, w / largest  # no square or product can leave the range
    norm = np.sqrt((unit * unit).sum(axis=1))
    # inner product: each factor carries w, each product w, a sum of d terms at most (d - 1) w of sum |w_j x_j|
    products = unit * weight
    margin = y * products.sum(axis=1) - (w.size + 3) * UNIT * np.abs(products).sum(axis=1) * (1 + w.size * UNIT)
    # norm: squares 3w each, sum (d - 1) w, root: ((d + 2)/2 + 1) w; exponential 4w, quotients and products 4w, 1/sqrt(2) w
    relative = (w.size / 2 + 16) * UNIT
    with np.errstate(over="ignore", under="ignore"):
        argument = margin / norm * (largest * math.exp(-float(t))) * math.sqrt(0.5)
    argument = argument - np.abs(argument) * relative
    risks = [0.5 * math.erfc(z) for z in argument.tolist()]
    # erfc is trusted to 16w (eight ulps); where it underflows the risk is below 2^-1060
    return min(1.0, math.fsum(risks) / y.size * (1 + 20 * UNIT) + TINY)


def _total(terms: FloatArray, units: float, zero: bool) -> float:
    """Upper end of a sum of non-negative terms that carry `units` w each; `zero`: every term is exactly 0."""
    if zero:
        return 0.0
    if not np.isfinite(terms).all():
        return math.inf
    return math.fsum(terms.ravel()) * (1 + (units + 4) * UNIT) + terms.size * TINY


def _together(**arrays: Any) -> list[FloatArray]:
    checked = {name: finite(name, value) for name, value in arrays.items()}
    try:
        return [np.asarray(x, dtype=np.float64) for x in np.broadcast_arrays(*checked.values())]
    except ValueError as error:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in checked.items())
        raise InvalidInput(f"The shapes do not fit: {shapes}.", "Give one entry for each coordinate.") from error


def _limit(*log_scales: FloatArray) -> None:
    for t in log_scales:
        if np.max(np.abs(t), initial=0.0) > LOG_SCALE_LIMIT:
            raise InvalidInput(
                f"A log-scale is {float(t.ravel()[np.argmax(np.abs(t))]):g}.",
                f"They are logarithms of standard deviations and must lie within +-{LOG_SCALE_LIMIT:g}.",
            )


def _positive(**values: FloatArray) -> None:
    for name, x in values.items():
        if x.size and not (x.min() >= SMALLEST and x.max() <= LARGEST):
            raise InvalidInput(
                f"{name} ranges from {x.min():g} to {x.max():g}.",
                f"It must be positive, between {SMALLEST:g} and {LARGEST:g}.",
            )


def _law(name: str, value: Any) -> FloatArray:
    weights = non_negative(name, finite(name, value, ndim=1))
    if not weights.size or abs(math.fsum(weights) - 1) > 1e-9:
        raise InvalidInput(f"{name} sums to {math.fsum(weights):.12g}.", "Give probabilities that sum to 1.")
    if np.any((weights > 0) & (weights < SMALLEST)):
        raise InvalidInput(f"{name} has a weight below {SMALLEST:g}.", "Make it 0, or merge points.")
    return weights
