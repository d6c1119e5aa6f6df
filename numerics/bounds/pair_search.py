"""Where the joint C-bound is attained: a float64 search. Nothing rests on its accuracy but the tightness of `cbound`.

Among the laws p of (both err, one errs, none) with KL(u||p) <= c, f.p is largest at p_i = k u_i/(b - f_i); with z = (b - f_e)/b, f_e the
largest value, p_i/u_i is 1/(1 - (1-z) f_i/f_e) up to its mean under u. For the C-bound itself f = ((2+t)^2, -t(2+t), t^2), t = a - 1,
and t is best where t = (d - 2e)/(1 - 2d) at its own maximiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq

Law = tuple[float, float, float]
_RELATIVE = 1e-13  # the bound is flat in what is searched: an error of this size is squared


def largest_means_half(e: float, d: float, c: float) -> bool:
    """Whether KL((d,e)||.) <= c contains a law with 2e + d >= 1 (or it is so close that nothing below 1 can be certified)."""
    s = 1 - e - d
    if s <= e or d >= 0.5 or math.isinf(c):
        return True
    # the closest law with e = s keeps d and shares the rest equally
    half = (s + e) / 2
    return s * math.log(s / half) + (e * math.log(e / half) if e else 0.0) <= c * (1 + 1e-13)


def best_slope(e: float, d: float, c: float) -> tuple[float, float]:
    """(t, b - max f) at the joint C-bound, for inputs that are not `largest_means_half`."""
    u = (e, d, 1 - e - d)

    def excess(x: float) -> float:
        t = math.expm1(x)
        _, p = _tilt(u, c, slopes(t))
        return t * (1 - 2 * p[1]) + 2 * p[0] - p[1]

    start = math.log1p(max((d - 2 * e) / (1 - 2 * d), -0.999)) if d or e else 0.0
    low, high, step = start, start, 0.25
    while excess(low) > 0 and low > -700:
        low, step = low - step, 2 * step
    step = 0.25
    while excess(high) < 0 and high < 300:
        high, step = high + step, 2 * step
    t = math.expm1(_root(excess, low, high))
    return t, _tilt(u, c, slopes(t))[0]


def best_top(e: float, d: float, c: float, f: Law) -> float:
    """b - max f at the maximum of f.p; f_e is the largest value."""
    return _tilt((e, d, max(0.0, 1 - e - d)), c, f)[0]


def slopes(t: float) -> Law:
    """(1 + a x)^2-type values of (both err, one errs, none) at a = 1 + t."""
    return (2 + t) ** 2, -t * (2 + t), t * t


def _tilt(u: Law, c: float, f: Law) -> tuple[float, Law]:
    """(b - f_e, p) at the maximum of f.p."""
    if not u[0] and all(y < f[0] for x, y in zip(u, f, strict=True) if x) and _at(u, 1.0, f)[0] <= c:
        # the unseen outcome takes what the others give up: p_i = k u_i/(b - f_i) with b = f_e and KL = c
        k = math.exp(sum(x * math.log(f[0] - y) for x, y in zip(u, f, strict=True) if x) - c)
        one, none = k * u[1] / (f[0] - f[1]), k * u[2] / (f[0] - f[2])
        return 0.0, (1 - one - none, one, none)
    high = 1.0
    while _at(u, -math.expm1(-high), f, high)[0] < c and high < 700:
        high = min(2 * high, 700.0)  # e^-high stays a float
    x = _root(lambda w: _at(u, -math.expm1(-w), f, w)[0] - c, 0.0, high)
    z = math.exp(-x)
    return f[0] * z / (1 - z) if z < 1 else math.inf, _at(u, -math.expm1(-x), f, x)[1]


def _at(u: Law, y: float, f: Law, w: float = math.inf) -> tuple[float, Law]:
    """KL(u||p) and p for p_i/u_i proportional to 1/(1 - y f_i/f_e); y = 1 - e^-w."""
    gains = []
    for index, value in enumerate(f):
        left = math.exp(-w) if index == 0 else 1 - y * value / f[0]
        gains.append(y * value / f[0] / left if left > 0 else 0.0)  # 1/(1 - y f_i/f_e) - 1
    mean = sum(x * gain for x, gain in zip(u, gains, strict=True))
    moved = [(gain - mean) / (1 + mean) for gain in gains]
    divergence = sum(x * (g - math.log1p(g) if g > -1 else math.inf) for x, g in zip(u, moved, strict=True) if x)
    return divergence, (u[0] * (1 + moved[0]), u[1] * (1 + moved[1]), u[2] * (1 + moved[2]))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """A zero of an increasing function on [low, high]; the end that is closest to one where there is none."""
    if function(low) >= 0:
        return low
    return float(brentq(function, low, high, xtol=1e-300, rtol=_RELATIVE, disp=False)) if function(high) > 0 else high
