"""Binary relative entropy kl(q||p) and its inverses in p, enclosed rigorously.

A probability is given as an exact pair (q, 1-q). Near one the complement is the number that carries the information, so
whichever of the two the caller knows exactly defines the pair; given both, it is the smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput, NumericalFailure
from .context import Exact, exact_fraction, is_narrow, refine, target_bits, to_ball

_MAXIMUM_BITS = 1 << 14
# Cushion between working precision and the width of the bracket: covers the roundings of one evaluation of kl.
_GUARD_BITS = 16


@dataclass(frozen=True)
class KlInverseBall:
    """Enclosures of p, 1-p, p-q and ln(1-p), each with the requested relative accuracy, for p an inverse of kl(q||.)."""

    p: arb
    complement: arb
    gap: arb
    log_complement: arb


def exact_pair(q: Exact, q_complement: Exact | None = None, name: str = "q") -> tuple[Fraction, Fraction]:
    """(q, 1-q) as rational numbers. Given both, the smaller is taken as exact; they may differ by rounding only."""
    x = exact_fraction(name, q)
    y = 1 - x
    if q_complement is not None:
        given = exact_fraction(f"{name}_complement", q_complement)
        if abs(x + given - 1) > Fraction(1, 2**50):
            raise InvalidInput(
                f"{name} and {name}_complement do not add up to 1 ({q!r}, {q_complement!r}).", "Pass 1 minus the other."
            )
        x, y = (1 - given, given) if given < x else (x, y)
    if not 0 <= x <= 1:
        raise InvalidInput(f"{name} lies outside [0, 1].", "It is a probability.")
    return x, y


def binary_kl_ball(
    q: Exact, p: Exact, *, q_complement: Exact | None = None, p_complement: Exact | None = None, digits: int = 60
) -> arb:
    """kl(q||p) = q ln(q/p) + (1-q) ln((1-q)/(1-p)), with 0 ln 0 = 0."""
    x, xc = exact_pair(q, q_complement)
    y, yc = exact_pair(p, p_complement, "p")
    if x == y:
        return arb(0)
    if (x and not y) or (xc and not yc):
        return arb("inf")

    def evaluate() -> arb:
        first = to_ball(x) * (to_ball(x).log() - to_ball(y).log()) if x else arb(0)
        second = to_ball(xc) * (to_ball(xc).log() - to_ball(yc).log()) if xc else arb(0)
        return first + second

    return refine(evaluate, digits)


def kl_upper_ball(q: Exact, c: Exact, *, q_complement: Exact | None = None, digits: int = 60) -> KlInverseBall:
    """The largest p with kl(q||p) <= c, for c in [0, inf].

    The equation is solved in v = -ln((1-p)/(1-q)), where it is well conditioned everywhere; Newton finds a candidate and
    the sign of kl - c on both sides of it proves the bracket (kl increases in v).
    """
    x, xc = exact_pair(q, q_complement)
    return _upper(x, xc, c, digits)


def kl_lower_ball(q: Exact, c: Exact, *, q_complement: Exact | None = None, digits: int = 60) -> KlInverseBall:
    """The smallest p with kl(q||p) <= c: the mirror image of the upper inverse, with q and 1-q exchanged."""
    x, xc = exact_pair(q, q_complement)
    mirror = _upper(xc, x, c, digits)
    with ctx.workprec(target_bits(digits) + 32):
        return KlInverseBall(mirror.complement, mirror.p, -mirror.gap, _log(mirror.p, mirror.complement))


def _log(p: arb, complement: arb) -> arb:
    """ln p without cancellation near p = 1."""
    return p.log() if p < 0.5 else (-complement).log1p()


def _upper(q: Fraction, qc: Fraction, c: Exact, digits: int) -> KlInverseBall:
    wanted = target_bits(digits)
    infinite = isinstance(c, float) and c == math.inf
    divergence = Fraction(0) if infinite else exact_fraction("c", c)
    if divergence < 0:
        raise InvalidInput(f"c is {c!r}.", "A divergence is zero or larger.")
    with ctx.workprec(wanted + 32):
        if not qc or infinite:
            return KlInverseBall(arb(1), arb(0), to_ball(qc), arb("-inf"))
        if not divergence:
            x, y = to_ball(q), to_ball(qc)
            return KlInverseBall(x, y, arb(0), _log(y, x))
    bits = wanted + 64
    while bits <= _MAXIMUM_BITS + wanted:
        with ctx.workprec(bits):
            result = _attempt(q, qc, divergence)
        if result is not None and all(is_narrow(ball, wanted) for ball in vars(result).values()):
            return result
        bits *= 2
    raise NumericalFailure(
        f"kl inverse: no enclosure with {digits} digits.", "The input is too extreme for ball arithmetic."
    )


def _attempt(q: Fraction, qc: Fraction, divergence: Fraction) -> KlInverseBall | None:
    """One try at the current precision; None where the bracket could not be proved."""
    x, y, c = to_ball(q), to_ball(qc), to_ball(divergence)
    v = _bracket(x, y, c) if q else c
    if v is None:
        return None
    shrink = (-v).expm1()
    gap = -y * shrink
    p, complement = x + gap, y * (-v).exp()
    return KlInverseBall(p, complement, gap, (-p).log1p() if p < 0.5 else y.log() - v)


def _bracket(x: arb, y: arb, c: arb) -> arb | None:
    """A ball that provably contains the root v of kl = c, or None."""

    def excess(v: arb) -> tuple[arb, arb]:
        gap = -y * (-v).expm1()
        return y * v - x * (gap / x).log1p() - c, gap / (x + gap)

    scale = c / y
    v = ((scale + (scale * (scale + 8 * x)).sqrt()) / 2).mid()
    # The two terms of kl cancel to first order where v << q: that many bits are lost.
    lost = max(0, math.ceil(float((2 * x / v).log()) / math.log(2)))
    goal = ctx.prec - lost - _GUARD_BITS
    if goal < 8:
        return None
    for _ in range(200):
        value, slope = excess(v)
        step = (value / slope).mid()
        v = (v - step).mid()
        if abs(step) < v * arb(2) ** (-goal // 2 - 4):
            break
    width = v * arb(2) ** (-goal)
    low, high = (v - width).mid(), (v + width).mid()
    if low > 0 and excess(low)[0] < 0 and excess(high)[0] > 0:
        return low.union(high)
    return None
