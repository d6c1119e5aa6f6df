"""The joint C-bound and Chebyshev-Cantelli as balls. The C-bound is enclosed from both sides: its value at a law that provably satisfies
KL(u||p) <= c, and a dual value b - exp(sum u_i ln(b - f_i) - c), which no such law can exceed. The search for both is not trusted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flint import arb, ctx
from scipy.optimize import brentq

from ..errors import InvalidInput, NumericalFailure
from .context import Exact, exact_fraction, is_narrow, refine, target_bits, to_ball
from .kl import kl_upper_ball
from .majority_vote import Constant, twice
from .multinomial_kl import multinomial_kl_upper_ball
from .nml import nml_ball
from .seeger import complexity_ball

_MAXIMUM_BITS = 1 << 12
_NEWTON = 30


def pair_complexity_ball(kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> arb:
    """(2K + ln(C(3,n)/delta))/n, C(3,n) = xi(n) + n the exact constant of three outcomes; infinite where K is."""
    if kl == math.inf:
        return arb("inf")
    if kl < 0 or log_inv_delta <= 0:
        raise InvalidInput(f"kl = {kl}, ln(1/delta) = {log_inv_delta}.", "kl is not negative, the other positive.")
    rational = exact_fraction("kl", twice(kl)) + exact_fraction("log_inv_delta", log_inv_delta)
    constant = nml_ball(3, n, digits + 5)
    return refine(lambda: (to_ball(rational) + constant.log()) / n, digits)


def joint_cbound_ball(
    joint_error: Exact, disagreement: Exact, kl: Exact, n: int, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """max of 1 - (1-2e-d)^2/(1-2d) subject to KL((dh,eh)||(d,e)) <= c; 1 where that set contains a law with 2e + d >= 1."""
    e, d = _frequencies(joint_error, disagreement)
    c = pair_complexity_ball(kl, n, log_inv_delta, digits)
    if 2 * e + d >= 1 or 2 * d >= 1 or not c.is_finite():
        return arb(1)
    wanted = target_bits(digits)
    bits = wanted + 64
    # frequencies that no digit of the answer depends on would only ask for a precision of their own size
    tiny = [x if x and _entropy_bits(x) < math.log2(float(c.mid())) - wanted - 16 else Fraction(0) for x in (e, d)]
    rest = 1 - sum(tiny, Fraction(0))
    e_kept, d_kept = (e - tiny[0]) / rest, (d - tiny[1]) / rest
    start = _start(float(e_kept), float(d_kept), float(c))
    while bits <= _MAXIMUM_BITS + wanted:
        c = pair_complexity_ball(kl, n, log_inv_delta, bits // 3)
        with ctx.workprec(bits):
            found = _enclose(e_kept, d_kept, _widened(c, tiny), start, wanted, tiny)
        if found is not None and is_narrow(found, wanted):
            return found
        bits *= 2
    raise NumericalFailure("No narrow enclosure of the C-bound was found.", "The input is too extreme.")


def _entropy_bits(x: Fraction) -> float:
    """log2 of (at least) the entropy x ln(1/x) + (1-x) ln(1/(1-x)) of a frequency x in (0, 1)."""
    bits = x.numerator.bit_length() - x.denominator.bit_length() + 1
    return bits + math.log2(3 - min(bits, 0))


def _widened(c: arb, tiny: Sequence[Fraction]) -> arb:
    """Without the outcomes of these frequencies x (sum m), u = sum x delta + (1-m) u' and KL(u||p) >= (1-m) KL(u'||p) + sum x ln x +
    (1-m) ln(1-m): what satisfies KL(u||p) <= c has KL(u'||p) at most the upper end. The lower end is c itself."""
    mass = sum(tiny, Fraction(0))
    if not mass:
        return c
    entropy = sum((-to_ball(x) * to_ball(x).log() for x in (*tiny, 1 - mass) if x), arb(0))
    return c.union((c + entropy) / to_ball(1 - mass))


def chebyshev_cantelli_ball(
    joint_error: Exact,
    disagreement: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    mu: Sequence[Exact],
    method: str = "trinomial",
    constant: Constant = "exact",
    digits: int = 60,
) -> arb:
    """The least over mu of an upper bound on mu^2 s - mu(1-mu) d + (1-mu)^2 e, divided by (1/2 - mu)^2."""
    e, d = _frequencies(joint_error, disagreement)
    u = (e, d, 1 - e - d)
    with ctx.workdps(digits + 20):
        if method == "trinomial":
            c = pair_complexity_ball(kl, n, log_inv_delta, digits + 20)
        elif method == "kl":
            c = _paid(kl, n, log_inv_delta, len(mu), constant, digits + 20)
        else:
            raise InvalidInput(f"method is {method!r}.", "It must be 'trinomial' or 'kl'.")
        found: Any = None
        for point in (exact_fraction("mu", x) for x in mu):
            if 2 * point >= 1:
                raise InvalidInput(f"mu is {float(point)}.", "It must lie below 1/2.")
            scale = (Fraction(1, 2) - point) ** 2
            values = [(1 - point) ** 2, -point * (1 - point), point**2]
            if method == "trinomial":
                most = to_ball(max(values)) if not c.is_finite() else multinomial_kl_upper_ball(u, values, c, digits)
            else:
                low, width = min(values), max(values) - min(values)
                mean = sum((x * (y - low) / width for x, y in zip(u, values, strict=True)), Fraction(0))
                most = to_ball(low) + to_ball(width) * _upper(mean, c, digits)
            value = most / to_ball(scale)
            value = arb(0) if value <= 0 else value
            found = value if found is None else found.min(value)
    return found


def _paid(kl: Exact, n: int, log_inv_delta: Exact, count: int, constant: Constant, digits: int) -> arb:
    if kl == math.inf:
        return arb("inf")
    one = complexity_ball(twice(kl), n, log_inv_delta, constant, digits)
    return one + arb(count).log() / n


def _upper(q: Fraction, c: arb, digits: int) -> arb:
    if not c.is_finite():
        return arb(1)
    ends = []
    for end in (c.lower(), c.upper()):
        mantissa, exponent = end.mid().man_exp()
        ends.append(kl_upper_ball(q, Fraction(int(mantissa)) * Fraction(2) ** int(exponent), digits=digits).p)
    return ends[0].union(ends[1])


def _frequencies(joint_error: Exact, disagreement: Exact) -> tuple[Fraction, Fraction]:
    e, d = exact_fraction("joint_error", joint_error), exact_fraction("disagreement", disagreement)
    if e < 0 or d < 0 or e + d > 1:
        raise InvalidInput(
            "joint_error and disagreement are not frequencies.", "Each is >= 0, and they sum to 1 at most."
        )
    return e, d


# --- the joint C-bound --------------------------------------------------------------------------------------------


def _divergence(u: Sequence[Any], p: Sequence[Any]) -> Any:
    return sum((x * (x / y).log() for x, y in zip(u, p, strict=True) if not x.contains(0)), arb(0))


def _enclose(
    e: Fraction, d: Fraction, c: arb, start: tuple[float, float] | None, wanted: int, tiny: Sequence[Fraction]
) -> arb | None:
    u = [to_ball(e), to_ball(d), to_ball(1 - e - d)]
    half = (u[0] + u[2]) / 2
    nearest = _divergence(u, (half, u[1], half))  # the closest law with e = s, that is L = 1/2
    if nearest <= c:
        return arb(1)
    if not nearest > c or start is None:
        return None
    found = _polish(u, c.mid(), *(arb(x) for x in start))
    if found is None:
        return None
    t, z = found
    f = ((2 + t) ** 2, -t * (2 + t), t * t)
    top = f[0] / (1 - z)
    exponent = sum((x * (top - y).log() for x, y in zip(u, f, strict=True) if not x.contains(0)), arb(0))
    dual = top - (exponent - c).exp()
    # towards u by so little that no digit asked for is lost; KL(u||.) is convex and vanishes at u
    inward = 1 - arb(2) ** (-ctx.prec // 2 - wanted // 4) if ctx.prec > wanted + 64 else 1 - arb(2) ** (-wanted - 8)
    p = [x + inward * (y - x) for x, y in zip(u, _law(u, t, z, c.mid()), strict=True)]
    if not _divergence(u, p) <= c or not (1 - 2 * p[1] > 0 and p[0] >= 0):
        return None
    # by joint convexity KL is no larger once the frequencies left out are mixed into both laws
    kept = to_ball(1 - sum(tiny, Fraction(0)))
    p = [kept * x + to_ball(y) for x, y in zip(p, (*tiny, Fraction(0)), strict=True)]
    primal = 1 - (p[2] - p[0]) ** 2 / (1 - 2 * p[1])
    value = primal.union(dual)
    return arb(0) if value <= 0 else value


def _law(u: Sequence[arb], t: arb, z: arb, c: arb) -> list[arb]:
    """The law that maximises f.p: p_i ~ u_i/(b - f_i), b = f_e/(1 - z); at z = 0 the unseen outcome e takes what is left."""
    f = ((2 + t) ** 2, -t * (2 + t), t * t)
    top = f[0] / (1 - z)
    if z == 0:
        k = (
            sum((x * (top - y).log() for x, y in zip(u[1:], f[1:], strict=True) if not x.contains(0)), arb(0)) - c
        ).exp()
        one, none = k * u[1] / (top - f[1]), k * u[2] / (top - f[2])
        return [1 - one - none, one, none]
    raw = [x / (top - y) for x, y in zip(u, f, strict=True)]
    total = sum(raw, arb(0))
    return [x / total for x in raw]


def _residual(u: Sequence[arb], t: arb, z: arb, c: arb) -> tuple[arb, arb]:
    p = _law(u, t, z, c)
    slope = t * (1 - 2 * p[1]) + 2 * p[0] - p[1]
    return slope.mid(), (_divergence(u, p) - c).mid()


def _polish(u: Sequence[arb], c: arb, t: arb, log_z: arb) -> tuple[arb, arb] | None:
    """Newton on (stationarity in t, KL = c) with differences at half the precision for slopes; z = e^log_z, or 0."""
    unseen = not log_z.is_finite()
    step = arb(2) ** (-ctx.prec // 2)
    for _ in range(_NEWTON):
        z = arb(0) if unseen else log_z.exp().mid()
        here = _residual(u, t, z, c)
        moved = _residual(u, t + step, z, c)
        if unseen:
            change = (here[0] * step / (moved[0] - here[0])).mid()
            t = (t - change).mid()
            size = abs(change)
        else:
            other = _residual(u, t, (log_z + step).exp().mid(), c)
            a, b = (moved[0] - here[0]) / step, (other[0] - here[0]) / step
            e, g = (moved[1] - here[1]) / step, (other[1] - here[1]) / step
            det = a * g - b * e
            if det.contains(0):
                return None
            first, second = ((here[0] * g - b * here[1]) / det).mid(), ((a * here[1] - e * here[0]) / det).mid()
            t, log_z = (t - first).mid(), (log_z - second).mid()
            size = abs(first) + abs(second)
        if not t > -1:
            return None
        if size < arb(2) ** (-(ctx.prec * 45) // 100):
            break
    return t, arb(0) if unseen else log_z.exp().mid()


def _start(e: float, d: float, c: float) -> tuple[float, float] | None:
    """(t, ln z) to some digits: for each t the z with KL = c, and the t at which t = (d - 2e)/(1 - 2d)."""
    u = (e, d, 1 - e - d)

    def law(t: float, w: float) -> tuple[float, tuple[float, ...]]:
        y, f = -math.expm1(-w), ((2 + t) ** 2, -t * (2 + t), t * t)
        raw = [
            (math.exp(math.log(x) + w) if i == 0 else x / (1 - y * v / f[0])) if x else 0.0
            for i, (x, v) in enumerate(zip(u, f, strict=True))
        ]
        total = sum(raw)
        p = tuple(x / total for x in raw)
        return sum(q - x - x * math.log(q / x) if q else math.inf for x, q in zip(u, p, strict=True) if x), p

    def solve(t: float) -> tuple[float, tuple[float, ...]]:
        if not e and law(t, math.inf)[0] <= c:
            f = ((2 + t) ** 2, -t * (2 + t), t * t)
            k = math.exp(sum(x * math.log(f[0] - v) for x, v in zip(u, f, strict=True) if x) - c)
            one, none = k * d / (f[0] - f[1]), k * u[2] / (f[0] - f[2])
            return math.inf, (1 - one - none, one, none)
        high, most = 1.0, 700 - math.log(e or 1.0)
        while law(t, high)[0] < c and high < most:
            high = min(2 * high, most)
        w = float(brentq(lambda w: law(t, w)[0] - c, 0.0, high, disp=False)) if law(t, high)[0] > c else high
        return w, law(t, w)[1]

    def slope(x: float) -> float:
        t = math.expm1(x)
        _, p = solve(t)
        return t * (1 - 2 * p[1]) + 2 * p[0] - p[1]

    try:
        low, high = -1.0, 1.0
        while slope(low) > 0:
            low *= 2
        while slope(high) < 0:
            high *= 2
        t = math.expm1(float(brentq(slope, low, high, xtol=1e-14, disp=False)))
    except (OverflowError, ValueError, ZeroDivisionError):
        return None
    w = solve(t)[0]
    return t, -w
