"""Closed-form ends for the inverses of kl, and the constants of Hoeffding's lemma: scalars, each rounded to its safe side.

Every function is looser than `kl_upper`/`kl_lower` and exists to be differentiated, inverted by hand, or compared with a paper.
"""

from __future__ import annotations

import math

from ...theory.errors import InvalidInput
from ...theory.validation import finite, float_array, non_negative, unit_interval
from .arithmetic import ULP
from .outward import add_down, add_up, div_up, mul_down, mul_up, sqrt_up


def _pair(q: float, c: float) -> tuple[float, float]:
    return float(unit_interval("q", float_array("q", q, ndim=0))), float(non_negative("c", float_array("c", c, ndim=0)))


def pinsker_upper(q: float, c: float) -> float:
    """At least q + sqrt(c/2), which is at least UP(q, c). q in [0, 1], c >= 0 nats; may exceed 1. Statement pb.pinsker."""
    x, d = _pair(q, c)
    return add_up(x, sqrt_up(div_up(d, 2.0)))


def quadratic_upper(q: float, c: float) -> float:
    """At least q + c + sqrt(c^2 + 2 q c), the solution of (p-q)^2 = 2 p c; between UP(q, c) and `relaxed_upper`."""
    x, d = _pair(q, c)
    root = math.inf if math.isinf(d) else _root_product_up(d, add_up(d, 2 * x))
    return add_up(x, d, root)


def relaxed_upper(q: float, c: float) -> float:
    """At least q + sqrt(2 q c) + 2 c."""
    x, d = _pair(q, c)
    return add_up(x, _root_product_up(2 * x, d), 2 * d)


def pinsker_lower(q: float, c: float) -> float:
    """At most q - sqrt(c/2), which is at most LO(q, c); may be negative."""
    x, d = _pair(q, c)
    return add_down(x, -sqrt_up(div_up(d, 2.0)))


def relaxed_lower(q: float, c: float) -> float:
    """At most q - sqrt(2 q c), which is at most LO(q, c)."""
    x, d = _pair(q, c)
    return add_down(x, -_root_product_up(2 * x, d))


def linear_lower(q: float, c: float, gamma: float) -> float:
    """At most (1 - gamma/2) q - c/gamma for gamma in (0, 2), which is at most LO(q, c) whatever gamma."""
    x, d = _pair(q, c)
    g = float(finite("gamma", gamma, ndim=0))
    if not 0 < g < 2:
        raise InvalidInput(f"gamma is {gamma!r}.", "It must lie strictly between 0 and 2.")
    # 1 - g/2 is rounded down once; for q >= 0 the product keeps the direction
    return add_down(mul_down(add_down(1.0, -div_up(g, 2.0)), x), -div_up(d, g))


def _root_product_up(a: float, b: float) -> float:
    """At least sqrt(a b): of the product where that neither over- nor underflows, of the factors elsewhere; 0 where one is, beside inf too."""
    product = a * b
    if 1e-280 < product < 1e300:
        return sqrt_up(mul_up(a, b))
    return mul_up(sqrt_up(a), sqrt_up(b))


def kearns_saul_factor(p: float) -> float:
    """At least (1-2p)/(4 ln((1-p)/p)) = tanh(s)/(8 s), s = ln((1-p)/p)/2: ln E exp(l(X-p)) <= factor l^2 for X ~ Bernoulli(p).

    p in [0, 1]; 1/8 at p = 1/2 (Hoeffding's constant), 0 at the ends. At most 6 ulp above the exact value. Statement pb.hoeffding_lemma.
    """
    x = float(unit_interval("p", float_array("p", p, ndim=0)))
    # 1-2p is exact for p in [1/4, 1]; below, 1 - 2p > 1/2 is off by half an ulp. The ratio is symmetric in p and 1-p
    if x in (0.0, 1.0):
        return 0.0
    y = abs(1 - 2 * x)
    if y == 0:
        return 0.125
    if 0.25 <= x <= 0.75:
        value = y / (8 * math.atanh(y))  # atanh within an ulp, two roundings
    else:
        # near 1 the complement 1-p is exact; the logarithm, above 1, moves by less than the error of its argument
        small = min(x, 1 - x)
        value = y / (4 * (math.log1p(-small) - math.log(small)))
    return min(0.125, value * (1 + 6 * ULP))


def hoeffding_cgf(l: float, width: float = 1.0) -> float:  # noqa: E741
    """At least l^2 width^2/8, which is at least ln E exp(l (X - E X)) for X in an interval of that width."""
    slope, size = float(finite("l", l, ndim=0)), float(non_negative("width", finite("width", width, ndim=0)))
    product = mul_up(abs(slope), size)
    return div_up(mul_up(product, product), 8.0)


def kearns_saul_cgf(l: float, p: float) -> float:  # noqa: E741
    """At least l^2 (1-2p)/(4 ln((1-p)/p)), which is at least ln E exp(l (X-p)) for X ~ Bernoulli(p)."""
    slope = float(finite("l", l, ndim=0))
    return mul_up(mul_up(slope, slope), kearns_saul_factor(p))


__all__ = [
    "hoeffding_cgf",
    "kearns_saul_cgf",
    "kearns_saul_factor",
    "linear_lower",
    "pinsker_lower",
    "pinsker_upper",
    "quadratic_upper",
    "relaxed_lower",
    "relaxed_upper",
]
