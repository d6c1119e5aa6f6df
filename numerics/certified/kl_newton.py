"""The upper end of {p : kl(q||p) <= c} from both sides of its last digit: Newton steps, then derived outward rounding.

Two unknowns, each well conditioned where it is used (v = -ln((1-p)/(1-q)), g = p - q):

* v < 1.8: g. kl is convex in g, with g dkl/dg = g^2/(p(1-p)) >= kl, so a relative error e of kl moves g by at most e.
* otherwise: v, F(v) = (1-q) v - q ln(p/q). F is convex and F' = g/p concave with F'(0) = 0, so F <= v F' <= 2 F: a relative
  error e of F moves v by at most e.

The start solves kl ~ (1-q) v^2/(v + 2q), within 10 percent of the root for every (q, c). One Halley step leaves 1e-4, a
second 1e-9 or less (kl itself is evaluated no better in these two). The closing Newton step lands on the safe side of the
root wherever it starts, because the function is convex, and leaves less than half the square of that. The rest is rounding.

Rounding, u = 2^-53, with ln, exp and their relatives trusted to 2u (one ulp; glibc and NumPy's vector loops do better, and a
test measures it). The larger of q, 1-q carries u from rounding; the smaller is exact. Worst cases, linear in u:

* g in the first regime. Series terms cost 7.2u of their own size, hence at most 4.2u of g; the term x - ln(1+x) at the switch
  x = 2 costs 3u of g, and at x = -2/3 5u of g (2u argument, 2.5u logarithm and product, .5u difference). Sum of the two
  terms .6u, Newton update 1u, outward product 1u: 7.9u < 8u = 4 ulp.
* v in the second regime (v >= 1.4). Errors of 1-exp(-v), of g and of g/q cost 4u q/v, the logarithm and its product
  3u p/v, (1-q) v 1.33u, the update 1u and the representation of 1-q 1u (q < 1/2 only): at most (7/v + 3.33) u of v.
  g follows with v/(e^v - 1) <= .46 of that plus 4u: 7.8u < 4 ulp. 1-p follows with v of it plus 5u for the exponential
  and three products: (12 + 3.33 v) u < (7 + 1.75 v) ulp.
* 1-p in the first regime and p in both are sums with g (or with 1-p), rounded outward exactly.

Fewer ulps on 1-p, as for g, would be unsound: it decays like exp(-v) and inherits v times the relative error of v.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from .arithmetic import ULP, Arithmetic, add_down, add_up
from .excess import FULL, HALF, LARGEST, ROUGH, excess_term

GAP_ULPS = 4.0
COMPLEMENT_ULPS = 7.0
COMPLEMENT_ULPS_PER_V = 1.75

_SWITCH = 1.6  # of the start, which is within 10 percent of v
# Beyond v = 2000 the complement underflows whatever q is; kl <= (1-q) v says so without solving.
_SATURATED = 2000.0
# Below these, products would lose bits to underflow. A smaller c is raised to the floor, which only loosens the bound (by less
# than 1e-303); a smaller 1-q is scaled together with c, which leaves g/(1-q) and v unchanged to far below an ulp.
_SMALLEST_C = 2.0**-1010
_SMALLEST_COMPLEMENT = 2.0**-700
_SCALE = 2.0**300


class Enclosure(NamedTuple):
    """Outward ends for the upper inverse: p and gap from above, 1-p from below, the latter also times `scale`."""

    p: Any
    complement: Any
    gap: Any
    scaled_complement: Any
    scale: Any


def enclose_upper(ops: Arithmetic, q: Any, qc: Any, c: Any) -> Enclosure:
    """Outward enclosure for 0 < q < 1 (a pair whose smaller member is exact) and 0 < c <= inf."""
    scale = ops.where(qc < _SMALLEST_COMPLEMENT, _SCALE, 1.0)
    y = qc * scale
    divergence = ops.maximum(c * scale, _SMALLEST_C)
    saturated = divergence > _SATURATED * y
    divergence = ops.minimum(divergence, _SATURATED * y)
    d = divergence / y
    start = 0.5 * (d + ops.sqrt(d) * ops.sqrt(d + 8 * q))  # one root would underflow
    scaled_gap, scaled_complement = ops.split(
        start <= _SWITCH, partial(_solve_gap, ops), partial(_solve_v, ops), q, y, divergence, start
    )
    scaled_complement = ops.where(saturated, 0.0, scaled_complement)
    # The subnormal steps cover underflow in the last products; on normal numbers they do nothing.
    gap = scaled_gap / scale + 2.0**-1074
    complement = ops.maximum(scaled_complement / scale - 2.0**-1072, 0.0)
    p = ops.minimum(ops.where(q < 0.5, add_up(ops, q, gap), 1.0), add_up(ops, 1.0, -complement))
    return Enclosure(p, complement, gap, scaled_complement, scale)


def _solve_gap(ops: Arithmetic, q: Any, qc: Any, c: Any, start: Any) -> tuple[Any, Any]:
    gap = qc * start / (1.0 + start * (0.5 + start / 12))  # Pade approximant of 1 - exp(-v), 1 percent at worst
    for series in (ROUGH, HALF, FULL):
        p, pc = q + gap, qc - gap
        kl = excess_term(ops, q, gap, series) + excess_term(ops, qc, -gap, series)
        step = ((kl - c) / gap) * (p * pc / gap)
        if series is not FULL:
            step = step / (1.0 - 0.5 * step * (q * pc / p + qc * p / pc))
        gap = gap - gap * step
    gap = gap * (1 + GAP_ULPS * ULP)
    # 1-q is inexact where q < 1/2; then start from the float64 just below it.
    return gap, add_down(ops, ops.where(q < 0.5, add_down(ops, 1.0, -q), qc), -gap)


def _solve_v(ops: Arithmetic, q: Any, qc: Any, c: Any, start: Any) -> tuple[Any, Any]:
    v = start
    for halley in (True, True, False):
        gap = -qc * ops.expm1(-v)
        p = q + gap
        step = ((qc * v - c) - q * ops.log1p(ops.minimum(gap / q, LARGEST))) * (p / gap)
        if halley:
            step = step / (1.0 - 0.5 * step * (q / p) * (qc - gap) / gap)
        v = v - step
    gap = -qc * ops.expm1(-v) * (1 + GAP_ULPS * ULP)
    return gap, qc * ops.exp(-v) * (1 - (COMPLEMENT_ULPS + COMPLEMENT_ULPS_PER_V * v) * ULP)


def log_complement_down(ops: Arithmetic, q: Any, qc: Any, c: Any, ends: Enclosure) -> Any:
    """A lower bound of ln(1-p), also where 1-p underflows."""
    moderate = ends.scaled_complement > 2.0**-960

    def underflowed() -> Any:
        # Here v > 120, so that ln p = -exp(-v) (1-q) is nothing and v = (c - q ln q)/(1-q).
        entropy = -q * ops.where(q < 0.5, ops.log(q), ops.log1p(-qc))
        v = (c + entropy) / qc
        log_qc = ops.log(qc)
        return log_qc - v - (v - log_qc) * (6 * ULP)

    def representable() -> Any:
        direct = ops.log(ops.where(moderate, ends.scaled_complement, 1.0)) - ops.log(ends.scale)
        return ops.where(ends.p < 0.5, ops.log1p(-ops.minimum(ends.p, 0.5)), direct) * (1 + 3 * ULP)

    return ops.choose(moderate, representable, underflowed)


def log_p_up(ops: Arithmetic, p: Any, complement: Any) -> Any:
    """An upper bound of ln p from p rounded up and 1-p rounded down."""
    near_one = ops.log1p(-ops.minimum(complement, 0.5))
    return ops.where(complement < 0.5, near_one, ops.log(p)) * (1 - 2 * ULP)
