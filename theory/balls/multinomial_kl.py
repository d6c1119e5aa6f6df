"""The largest mean over laws p with KL(u||p) <= c, enclosed from both sides: a feasible p below, the dual value above.

Weights are rational and are divided by their sum. Unlike the float code this works with A = a + max f and plain logarithms, at a
precision that grows until primal and dual agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput, NumericalFailure
from .context import Exact, exact_fraction, is_narrow, refine, target_bits, to_ball

_MAXIMUM_BITS = 1 << 14
_LARGEST_POWER = 1 << 50


def multinomial_kl_upper_ball(u: Sequence[Exact], f: Sequence[Exact], c: Exact | arb, digits: int = 60) -> arb:
    """max of sum f_i p_i subject to KL(u||p) <= c, for c in [0, inf] (a ball c gives the union over its ends)."""
    if isinstance(c, arb) and not c.is_exact():
        with ctx.workdps(digits + 20):
            return multinomial_kl_upper_ball(u, f, c.lower(), digits).union(
                multinomial_kl_upper_ball(u, f, c.upper(), digits)
            )
    weights = [exact_fraction("u", x) for x in u]
    values = [exact_fraction("f", x) for x in f]
    if len(weights) != len(values) or not weights or min(weights) < 0 or not sum(weights):
        raise InvalidInput("u and f do not belong together.", "Give one weight >= 0 and one value for each atom.")
    weights = [x / sum(weights) for x in weights]
    mean, top = sum((x * y for x, y in zip(weights, values, strict=True)), Fraction(0)), max(values)
    if (isinstance(c, float) and math.isinf(c)) or mean == top:
        return refine(lambda: to_ball(top), digits)
    bound = c if isinstance(c, arb) else exact_fraction("c", c)
    if bound < 0:
        raise InvalidInput(f"c is {c!r}.", "A divergence is zero or larger.")
    if bound == 0:
        return refine(lambda: to_ball(mean), digits)
    atoms = [(x, top - y) for x, y in zip(weights, values, strict=True) if x]
    wanted = target_bits(digits)
    bits = wanted + 64
    while bits <= _MAXIMUM_BITS + wanted:
        with ctx.workprec(bits):
            found = _attempt(atoms, top, mean, bound if isinstance(bound, arb) else to_ball(bound))
        if found is not None and (is_narrow(found, wanted) or _is_zero(found, top, mean, bits - wanted)):
            return found
        bits *= 2
    raise NumericalFailure("No narrow enclosure was found.", "The input is too extreme for ball arithmetic.")


def multinomial_kl_lower_ball(u: Sequence[Exact], f: Sequence[Exact], c: Exact | arb, digits: int = 60) -> arb:
    """min of sum f_i p_i subject to KL(u||p) <= c."""
    return -multinomial_kl_upper_ball(u, [-exact_fraction("f", x) for x in f], c, digits)


def _is_zero(found: arb, top: Fraction, mean: Fraction, bits: int) -> bool:
    """A value that cancels to 0: absolute accuracy at the scale of the values is then all there is."""
    return bool(found.contains(0) and found.rad() < to_ball(top - mean) * arb(2) ** (-max(bits, 200)))


def _attempt(atoms: list[tuple[Fraction, Fraction]], top: Fraction, mean: Fraction, c: arb) -> arb | None:
    pairs = [(to_ball(x), to_ball(d)) for x, d in atoms]
    if all(d for _, d in atoms):
        geometric = sum((x * d.log() for x, d in pairs), arb(0))
        missing = geometric + sum((x / d for x, d in pairs), arb(0)).log()  # KL(u||p) at a = 0
        if missing <= c:
            return to_ball(top) - (geometric - c).exp()
        if not missing > c:
            return None
    a = _root(pairs, to_ball(top - mean), c)
    return None if a is None else _ends(pairs, to_ball(top), c, *a)


def _kl(pairs: list[tuple[arb, arb]], a: arb) -> arb:
    return sum((x * (a + d).log() for x, d in pairs), arb(0)) + sum((x / (a + d) for x, d in pairs), arb(0)).log()


def _root(pairs: list[tuple[arb, arb]], scale: arb, c: arb) -> tuple[arb, arb] | None:
    """Ends of an interval around the a with KL(u||p(a)) = c; KL < c at the upper end is proved (KL decreases in a)."""
    two = arb(2)

    def above(power: int) -> bool | None:
        value = _kl(pairs, scale * two**power)
        return True if value > c else False if value < c else None

    # the power of two below the root: steps that double, then bisection
    step, low, high = 1, 0, 0
    while above(low) is False and step < _LARGEST_POWER:
        low, step = low - step, 2 * step
    if (
        above(low) is False
    ):  # the root is smaller than any number of interest: already p(a) at this a is all but concentrated
        return scale * two**low, scale * two**low
    step = 1
    while above(high) is True and step < _LARGEST_POWER:
        high, step = high + step, 2 * step
    if above(low) is not True or above(high) is not False:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        match above(middle):
            case True:
                low = middle
            case False:
                high = middle
            case None:
                return None
    left, right = scale * two**low, scale * two**high
    a = ((left + right) / 2).mid()
    for _ in range(200):
        first, second = (sum((x / (a + d) ** k for x, d in pairs), arb(0)) for k in (1, 2))
        excess = _kl(pairs, a) - c
        left, right = (a, right) if excess > 0 else (left, a) if excess < 0 else (left, right)
        following = (a - excess / (first - second / first)).mid()
        if not (following > left and following < right):
            following = ((left + right) / 2).mid()
        done = abs(following - a) < a * two ** (-ctx.prec // 2)
        a = following
        if done:
            break
    # the last Newton step leaves no more than the evaluation's own rounding, which the ball of KL knows
    first, second = (sum((x / (a + d) ** k for x, d in pairs), arb(0)) for k in (1, 2))
    room = 2 * (_kl(pairs, a) - c).abs_upper() / (second / first - first).abs_lower() + a * two ** (8 - ctx.prec)
    ends = (a - room).mid(), (a + room).mid()
    if ends[0] > 0 and _kl(pairs, ends[0]) > c and _kl(pairs, ends[1]) < c:
        return ends
    return None


def _ends(pairs: list[tuple[arb, arb]], top: arb, c: arb, low: arb, high: arb) -> arb | None:
    """Dual value at `high` and the mean under p(high), which is feasible: KL(u||p(high)) < c."""
    dual = top + high - (sum((x * (high + d).log() for x, d in pairs), arb(0)) - c).exp()
    total = sum((x / (high + d) for x, d in pairs), arb(0))
    primal = top - sum((x * d / (high + d) for x, d in pairs), arb(0)) / total
    return primal.union(dual)
