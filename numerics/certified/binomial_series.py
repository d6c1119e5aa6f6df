"""S(p) = P(Bin(n,p) <= k) / P(Bin(n,p) = k) for p at or above k/n: how much longer the tail is than its last term.

S is a sum of decreasing terms, t_0 = 1, t_{j+1} = t_j (k-j)(1-p) / ((n-k+1+j) p), and also, by the Beta integral of the tail,
(n-k) times the integral over y in [0, 1] of exp(phi(y)), phi(y) = -a y - k h(y (1-p)/p) - m h(-y), with m = n-k-1, a = (n(p - k/n) - p)/p
and h(x) = x - ln(1+x): every term is of one sign, so nothing cancels. The sum serves where k or n-k is at most 1000, the integral
elsewhere: its cost does not grow with n.

Errors relative to S, u = 2^-53, as returned in the second array:

* sum. Each ratio is off by at most 12u (p and 1-p carry 6u between them, four operations and two rounded integers), so t_j by 12 j u.
  The terms are log-concave, t_{i+j} <= t_i t_j, hence sum j t_j <= S^2: at most 12 S u. Adding up costs 10u (pairwise), and what is cut
  off is below t_J r/(1-r) for the next ratio r, which is computed.
* integral. 48 Gauss-Legendre nodes on [0, U/s], s = |a| + sqrt(k (1-p)^2/p^2 + m). For an integrand that is analytic and at most M on the
  Bernstein ellipse of parameter 2, N nodes err by at most (64/15) M 4^-N/(1 - 1/4) times half the length. With ln|1+w| <= Re w + |w|^2/2
  and the concavity of phi on the interval, M <= e^16 for k, m >= 1000: below 1e-18. Beyond U the concave phi leaves at most
  e^phi(U)/|phi'(U)|, with phi'(U) <= phi(U)/U. Rounding moves phi by 20u |phi| (and a, should n g and p nearly cancel, by 4u), and
  the mean of |phi| under exp(phi) is at most 1: 40u cover it and the sum.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from .arithmetic import ARRAY
from .excess import excess_term

FloatArray = NDArray[np.float64]

HALF_ULP = 2.0**-53
SHORT = 1000  # the smaller of k and n-k-1 up to which the sum is used
_TERMS = 320  # of the sum: beyond them t_j <= exp(-j(j-1)/(2 * 1000)), or its mirror image in n-k, is below 1e-19
_NODES = 48
_REACH = 46.0  # -phi at the end of the integral, or more


def tail_over_term(k: FloatArray, n: FloatArray, gap: FloatArray, p: FloatArray, pc: FloatArray) -> Any:
    """(S, relative error) for 1 <= k < n, gap = p - k/n >= 0; 1-D arrays of one length."""
    value, error = np.empty_like(p), np.empty_like(p)
    short = np.minimum(k, n - k - 1) <= SHORT
    for chosen, method in ((short, _sum), (~short, _integral)):
        if chosen.any():
            value[chosen], error[chosen] = method(k[chosen], n[chosen], gap[chosen], p[chosen], pc[chosen])
    return value, error


def _sum(k: FloatArray, n: FloatArray, gap: FloatArray, p: FloatArray, pc: FloatArray) -> Any:
    j = np.arange(min(_TERMS, int(k.max())), dtype=np.float64)
    ratio = np.maximum(k[:, None] - j, 0.0) / (n - k + 1)[:, None].__add__(j) * (pc / p)[:, None]
    terms = np.cumprod(ratio, axis=1)
    total = 1 + terms.sum(axis=1)
    last = ratio[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # all k terms were added where the loop was long enough for them
        rest = np.where(k <= j.size, 0.0, terms[:, -1] * last / (1 - last))
    return total, HALF_ULP * (12 * total + 12) + rest / total


@cache
def _rule() -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on [0, 1], correctly rounded: NumPy's weights at the ends of the interval are off by 1e-12."""
    with ctx.workdps(30):
        pairs = [arb.legendre_p_root(_NODES, i, weight=True) for i in range(_NODES)]
        node, weight = ([float(((x + 1) / 2).mid()) for x, _ in pairs], [float((w / 2).mid()) for _, w in pairs])
    return np.array(node), np.array(weight)


def _integral(k: FloatArray, n: FloatArray, gap: FloatArray, p: FloatArray, pc: FloatArray) -> Any:
    node, weight = _rule()
    m = n - k - 1
    slope, odds = (n * gap - p) / p, pc / p
    bend = np.sqrt(k * odds**2 + m)
    scale = np.abs(slope) + bend
    share = np.maximum(slope, 0.0) / scale
    # share U + ((1-share) U)^2/2 = reach, stretched by a fifth because k h(y) falls short of its parabola
    rest = 1 - share
    length = 1.2 * 2 * _REACH / (share + np.sqrt(share**2 + 2 * _REACH * rest**2)) / scale
    length = np.minimum(length, 0.9)
    y = length[:, None] * np.append(node, 1.0)
    one = np.ones_like(y)
    exponent = -slope[:, None] * y - k[:, None] * excess_term(ARRAY, one, y * odds[:, None])
    exponent -= m[:, None] * excess_term(ARRAY, one, -y)
    end = exponent[:, -1]
    integral = length * (np.exp(exponent[:, :-1]) @ weight)
    beyond = np.exp(end) * length / -end
    return (n - k) * integral, 41 * HALF_ULP + beyond / integral
