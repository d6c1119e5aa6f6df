"""Limits for means of losses in [0, 1] by betting against every candidate mean, rounded outward.

psi(u) = max over b in [-1/(1-u), 1/u] of sum_i ln(1 + b (f_i - u)), f_1..f_n the losses of one predictor, u a candidate mean.
For predictors j with weights rho_j (sum 1) and a budget B: `mean_upper` is at least max{sum rho_j u_j : sum rho_j psi_j(u_j) <= B}.

Solving it. At the maximum all psi_j have one slope n beta in u_j, and there the best bet is b = -beta for every j, whether it is
interior (sum (f-u)/T = 0 with T = 1 - beta (f-u), hence sum 1/T = n, hence slope n beta) or at its end b = -1/(1-u) (slope
n/(1-u)). So u_j(beta) is the root of sum 1/T = n, or 1 - 1/beta where that is larger (0 at least), and one number beta is left to find.

Why the answer is safe whatever the solver did. Hold w = u + b u (1-u) in [0, 1]. ln(w f/u + (1-w)(1-f)/(1-u)) is convex in u (a
sum of log-convex functions), so psi lies above each of its tangents: psi(r) >= g + s (r-u) for all r, with g = sum ln T and
s = -n b - R A C/(u (1-u)), R = sum (f-u)/T, A = 1 + b (1-u), C = 1 - b u. Hence sum rho_j r_j <= sum rho_j u_j
+ (B - sum rho_j g_j)/s0 + sum rho_j max((1 - s_j/s0) (1-u_j), (s_j/s0 - 1) u_j) for every r in [0, 1] with sum rho_j psi_j(r_j) <= B
and any s0 > 0. An inexact beta or u costs only second order; g and R are evaluated with their rounding errors bounded term by term.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .outward import add_down, add_up, div_down, div_up, mul_down, mul_up, sub_down, sub_up

FloatArray = NDArray[np.float64]
_U = 2.0**-53
_STEEPEST = 2.0**60  # beyond it 1 - 1/beta rounds to 1
_BEND = 0.01  # largest relative error of a single T that is worked with


@dataclass(frozen=True)
class Tangent:
    """psi(r) >= value + slope (r - point) for all r; `value` is rounded down, the slope lies in [slope_low, slope_high]."""

    point: float
    value: float
    slope_low: float
    slope_high: float


def mean_upper(losses: FloatArray, counts: FloatArray, weights: FloatArray, budget: float) -> float:
    """Upper limit for sum_j weights_j mean_j, in [0, 1]. losses: (predictors, values) in [0, 1]; counts: how often each column
    occurs, at least once; weights: one for each predictor, adding up to 1 (to rounding: they are divided by their sum); budget B > 0, may be inf."""
    least, most = add_down(*weights.tolist()), add_up(*weights.tolist())
    sure = (losses == 1).all(axis=1)  # psi is 0 at 1: nothing is learned
    rest, share = losses[~sure], weights[~sure]
    certain = div_up(add_up(*weights[sure].tolist()), least)
    if not len(rest) or not math.isfinite(budget):
        return 1.0
    scale = share / least
    beta = _slope(rest, counts, scale, budget)
    if beta >= _STEEPEST:
        return 1.0
    points, _, ends = _points(rest, counts, beta)
    n = float(counts.sum())
    if len(losses) == 1:
        return _where_it_meets(tangent(rest[0], counts, -beta, float(points[0]), bool(ends[0])), budget)
    slope = n * beta  # s0: any is safe
    found, gained = [certain], []
    for f, u, weight, end in zip(rest, points, share, ends, strict=True):
        line = tangent(f, counts, -beta, float(u), bool(end))
        low, high = div_down(float(weight), most), div_up(float(weight), least)
        flat = mul_up(sub_up(1.0, div_down(line.slope_low, slope)), sub_up(1.0, line.point))
        steep = mul_up(sub_up(div_up(line.slope_high, slope), 1.0), line.point)
        found.append(mul_up(high, add_up(line.point, max(flat, steep, 0.0))))
        gained.append(mul_down(low if line.value >= 0 else high, line.value))
    missing = sub_up(budget, add_down(*gained))
    return min(1.0, add_up(*found, div_up(missing, slope)))


def mean_limits(values: FloatArray, counts: FloatArray, budget: float) -> tuple[float, float]:
    """(lower, upper) limit for the mean of one predictor: an interval that contains {u : psi(u) <= budget}."""
    values, counts = values[counts > 0], counts[counts > 0]
    upper = mean_upper(values[None, :], counts, np.ones(1), budget)
    if not math.isfinite(budget) or not values.any():
        return 0.0, upper
    mirror = 1.0 - values[None, :]  # rounded, but only the solver sees it
    beta = _slope(mirror, counts, np.ones(1), budget)
    if beta >= _STEEPEST:
        return 0.0, upper
    points, _, ends = _points(mirror, counts, beta)
    u = 1.0 - float(points[0])
    line = tangent(values, counts, beta, u, bool(ends[0]))
    if line.slope_high >= 0:
        return 0.0, upper
    missing = sub_up(budget, line.value)
    drop = div_up(missing, -line.slope_high if missing >= 0 else -line.slope_low)
    return max(0.0, add_down(u, -drop)), upper


def tangent(f: FloatArray, counts: FloatArray, bet: float, u: float, at_end: bool = False) -> Tangent:
    """The tangent of psi at u from the bet b, or from the end of its range on the side of b.

    Rounding, U = 2^-53: x = b (f-u) is off by 2.01 U |x|, which moves ln(1+x) by at most 4 U |x|/(1+x); the logarithm itself is
    within 8 U (four ulps), its product with a count and the sum within U each. A bet that cannot be evaluated gives psi >= 0."""
    n = float(counts.sum())
    nothing = Tangent(u, 0.0, 0.0, 0.0)
    if not (0 < u < 1 or (u == 0 and at_end and bet < 0)):
        return nothing
    if at_end:
        return nothing if ((f == 1) if bet < 0 else (f == 0)).any() else _end_tangent(f, counts, bet, u, n)
    x = bet * (f - u)
    if not (1 + bet * (1 - u) > 1e-15 and 1 - bet * u > 1e-15):  # hence x > -1, since rounding keeps the order
        return nothing
    ratio = np.abs(x) / (1 + x)
    if not 4 * _U * ratio.max() < _BEND:
        return nothing
    logs = np.log1p(x)
    error = math.fsum((counts * (4 * ratio + 10 * np.abs(logs))).tolist()) * _U * (1 + 1e-6)
    value = add_down(math.fsum((counts * logs).tolist()), -error)
    # each term of R: difference, count, 1+x, quotient and sum U each, and 2.01 U |x|/(1+x) from x
    terms = counts * (f - u) / (1 + x)
    blur = math.fsum((np.abs(terms) * (8 + 4 * ratio)).tolist()) * _U * (1 + 1e-6)
    # A and C are within 3 U (1 + |b|) and at most 1 + |b|: their product is within 7 U (1 + |b|)^2, the rest costs 4 U of it
    product, spread = (1 + bet * (1 - u)) * (1 - bet * u), u * (1 - u)
    off = 16 * _U * (1 + abs(bet)) ** 2
    most, least = (product + off) / spread, max(0.0, (product - off) / spread)
    centre = math.fsum(terms.tolist())
    low, high = sub_down(centre, blur), add_up(centre, blur)
    rise = mul_down(low, most if low < 0 else least), mul_up(high, most if high > 0 else least)
    return Tangent(u, value, add_down(mul_down(-n, bet), -rise[1]), add_up(mul_up(-n, bet), -rise[0]))


def _end_tangent(f: FloatArray, counts: FloatArray, bet: float, u: float, n: float) -> Tangent:
    """w = 0: psi(r) >= sum ln((1-f)/(1-r)), of slope n/(1-r); w = 1: psi(r) >= sum ln(f/r), of slope -n/r."""
    own, there = (np.log1p(-f), math.log1p(-u)) if bet < 0 else (np.log(f), math.log(u))
    error = (math.fsum((counts * np.abs(own)).tolist()) + n * abs(there)) * 12 * _U
    value = add_down(math.fsum((counts * own).tolist()), -n * there, -error)
    slope = n / (1 - u) if bet < 0 else -n / u
    return Tangent(u, value, slope - abs(slope) * 4 * _U, slope + abs(slope) * 4 * _U)


def _where_it_meets(line: Tangent, budget: float) -> float:
    if line.slope_low <= 0:
        return 1.0
    missing = sub_up(budget, line.value)
    step = div_up(missing, line.slope_low if missing >= 0 else line.slope_high)
    return min(1.0, max(0.0, add_up(line.point, step)))


def _slope(f: FloatArray, counts: FloatArray, weights: FloatArray, budget: float) -> float:
    """beta with sum_j weights_j psi_j = budget, to nine digits; `_STEEPEST` if it is larger than that."""

    def excess(log_beta: float) -> float:
        return float(weights @ _points(f, counts, math.exp(log_beta))[1]) - budget

    low = high = math.log(max(1e-12, min(1.0, budget / float(counts.sum()))))
    while excess(high) < 0:
        low, high = high, high + 2.0
        if high > math.log(_STEEPEST):
            return _STEEPEST
    while low > -80 and excess(low) > 0:
        low, high = low - 2.0, low
    return math.exp(brentq(excess, low, high, xtol=1e-9)) if low < high else math.exp(high)


def _points(f: FloatArray, counts: FloatArray, beta: float) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """u_j(beta), psi_j there, and whether the bet is at its end, for all predictors at once.

    sum 1/T decreases in u and is convex, so Newton from a point where it is at least n never passes the root: from the mean (by
    Jensen), or from where the terms of the largest loss alone make n.
    """
    n = counts.sum()
    top = f.max(axis=1)
    heaviest = (counts * (f == top[:, None])).sum(axis=1)
    u = np.maximum(f @ counts / n, top - (1 - heaviest / n) / beta)
    for _ in range(100):
        inverse = 1 / (1 - beta * (f - u[:, None]))
        step = (inverse @ counts - n) / (beta * (inverse**2 @ counts))
        u = u + np.maximum(step, 0.0)
        if (step <= 1e-14 * u + 1e-300).all():
            break
    end = max(1 - 1 / beta, 0.0)
    at_end = ((u < end) & (top < 1)) | (top == 0)  # without any loss the limit is 0 until beta passes 1
    u = np.where(at_end, end, np.minimum(u, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.log1p(-f) @ counts + n * max(math.log(beta), 0.0)
        logs = np.log1p(-beta * (f - u[:, None])) @ counts
    return u, np.where(at_end, ends, logs), at_end
