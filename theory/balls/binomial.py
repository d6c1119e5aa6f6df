"""Binomial tails and the exact binomial confidence limits as balls: what the float routines are judged by.

The tail is the sum of its terms, each a rational multiple of the one before, with a geometric bound on those left out; where that
would take too many terms it is C(n,k) p^k (1-p)^(n-k) times 2F1(-k, 1; n-k+1; -(1-p)/p), summed by Arb. The limits are
found in the log-odds y = ln(p/(1-p)), and the sign of the tail minus delta on both sides of the candidate proves them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, ctx, fmpz
from scipy.special import betainccinv

from ..errors import InvalidInput, NumericalFailure
from .context import Exact, exact_fraction, target_bits, to_ball

_LONGEST = 10_000  # terms that are added one by one
_GUARD_BITS = 40
_ROUGH = 32  # bits that are right, or spare, in the first steps
_STEPS = 80


@dataclass(frozen=True)
class BinomialLimitBall:
    """Enclosures of a confidence limit p and of 1-p."""

    p: arb
    complement: arb


def _counts(k: int, n: int) -> None:
    if not (isinstance(k, int) and isinstance(n, int) and 0 <= k <= n and n >= 1):
        raise InvalidInput(f"k = {k!r}, n = {n!r}.", "Pass whole numbers with 0 <= k <= n and n >= 1.")


def log_tail(k: int, n: int, p: arb, pc: arb) -> arb:
    """ln P(Bin(n,p) <= k) at the current precision; p and 1-p are balls in (0, 1)."""
    _counts(k, n)
    return arb(0) if k == n else _log_tail(k, n, p, pc, _log_choices(k, n))


def _log_choices(k: int, n: int) -> arb:
    """ln C(n,k); the log-gammas, near n ln n, cancel."""
    with ctx.workprec(ctx.prec + 2 * n.bit_length() + 16):
        return arb(n + 1).lgamma() - arb(k + 1).lgamma() - arb(n - k + 1).lgamma()


def _log_term(k: int, n: int, p: arb, pc: arb, choices: arb) -> arb:
    """ln P(Bin(n,p) = k)."""
    with ctx.workprec(ctx.prec + 2 * n.bit_length() + 16):
        return choices + (k * p.log() if k else 0) + (n - k) * pc.log()


def _log_tail(k: int, n: int, p: arb, pc: arb, choices: arb) -> arb:
    if p * n >= k:
        return _log_term(k, n, p, pc, choices) + _ratio_sum(k, n, pc / p).log()
    # the terms do not fall from k downwards: take the other side, P(Bin(n,1-p) <= n-k-1), C(n,k+1) = C(n,k) (n-k)/(k+1)
    other = n - k - 1
    with ctx.workprec(ctx.prec + 2 * n.bit_length() + 16):
        choices = choices + arb(n - k).log() - arb(k + 1).log()
    log_other = _log_term(other, n, pc, p, choices) + _ratio_sum(other, n, p / pc).log()
    return (-log_other.exp()).log1p()


def _ratio_sum(k: int, n: int, odds: arb) -> arb:
    """1 + sum of the products of (k-i) odds/(n-k+1+i): positive, decreasing terms."""
    above = n - k + 1
    spread = math.sqrt(k * (above / (n + 1)) + 1.0)
    needed = ctx.prec * 0.7
    first = float((odds * k / above).log().mid())  # of the ratios, which fall from there
    geometric = needed / -first if first < 0 else math.inf
    if min(k, 1.5 * spread * math.sqrt(2 * needed) + needed, geometric) > _LONGEST:
        return (-odds).hypgeom_2f1(arb(-k), arb(1), arb(above))
    total, term = arb(1), arb(1)
    small = arb(2) ** (-ctx.prec - 4)
    for i in range(k):
        term = term * odds * (k - i) / (above + i)
        total += term
        if term < small:
            ratio = odds * (k - i - 1) / (above + i + 1)  # the ratios fall, so what is left is geometric
            if ratio < 1:
                return total + arb(0, (term * ratio / (1 - ratio)).upper())
    return total


def binomial_upper_ball(k: int, n: int, log_inv_delta: Exact | arb, digits: int = 60) -> BinomialLimitBall:
    """The largest p with P(Bin(n,p) <= k) >= delta, for 0 <= k <= n, delta = e^-log_inv_delta in (0, 1).

    An irrational level is given as a ball, some twenty digits narrower than what is asked for: the result then encloses
    the limits at all levels in it.
    """
    _counts(k, n)
    if isinstance(log_inv_delta, arb):
        level: Fraction | arb = log_inv_delta
        size, positive = float(log_inv_delta.mid()), bool(log_inv_delta > 0)
    else:
        level = exact_fraction("log_inv_delta", log_inv_delta)
        size, positive = float(level), level > 0
    if not positive:
        raise InvalidInput(f"log_inv_delta is {log_inv_delta!r}.", "It is ln(1/delta) and must be positive.")
    if k == n:
        return BinomialLimitBall(arb(1), arb(0))
    # T moves by up to n times the rounding of p, Arb's 2F1 loses as much, and an enormous level needs bits of its own size for 1-p
    wanted = target_bits(digits)
    spare = _GUARD_BITS + n.bit_length() + math.ceil(math.log2(max(size, 1.0)))
    if k == 0:
        with ctx.workprec(wanted + spare):
            exponent = -_ball(level) / n
            return BinomialLimitBall(-exponent.expm1(), exponent.exp())
    if size < math.log(2):
        # delta > 1/2: nearly all of the distribution lies at or below k, and the log of the tail is flat. In the log of the
        # other tail the equation reads P(Bin(n, 1-p) <= n-k-1) = 1 - delta
        with ctx.workprec(wanted + spare):
            mirror = binomial_upper_ball(n - k - 1, n, -(-(-_ball(level)).expm1()).log(), digits)
        return BinomialLimitBall(mirror.complement, mirror.p)
    for bits in (wanted, 2 * wanted, 4 * wanted):
        found = _attempt(k, n, level, size, bits + spare, wanted + 8)
        if found is not None:
            return found
    raise NumericalFailure(f"No binomial limit with {digits} digits.", "The input is too extreme for ball arithmetic.")


def _ball(level: Fraction | arb) -> arb:
    return level if isinstance(level, arb) else to_ball(level)


def binomial_lower_ball(k: int, n: int, log_inv_delta: Exact | arb, digits: int = 60) -> BinomialLimitBall:
    """The smallest p with P(Bin(n,p) >= k) >= delta: the mirror image."""
    _counts(k, n)
    mirror = binomial_upper_ball(n - k, n, log_inv_delta, digits)
    return BinomialLimitBall(mirror.complement, mirror.p)


def _pair(y: arb) -> tuple[arb, arb]:
    """p and 1-p from the log-odds."""
    return 1 / (1 + (-y).exp()), 1 / (1 + y.exp())


def _start(k: int, n: int, value: float) -> float:
    """A rough log-odds, by a library routine where delta is a float, else from P(X <= k) ~ (1-p)^(n-k)."""
    p = float(betainccinv(k + 1, n - k, math.exp(-value))) if value < 650 else math.nan
    if not 0 < p < 1 - 1e-9:
        c, q = value / n, k / n
        gap = min(math.sqrt(c / 2), c + math.sqrt(c * (c + 2 * q)))
        p = (
            q + gap
            if q + gap < 0.9
            else -math.expm1(-(value + q + 1e-3) / (1 - q) / n)
            if value / (n - k) < 30
            else 1.0
        )
        if p >= 1 - 1e-9:
            return (value + math.log(n) * min(k, n - k)) / (n - k)
    return math.log(p) - math.log1p(-p)


def _attempt(k: int, n: int, level: Fraction | arb, size: float, bits: int, wanted: int) -> BinomialLimitBall | None:
    """Newton on the log of the tail (concave in the log-odds), then the bracket; None where a sign stays open.

    The precision grows with the digits that are already right, since the last steps cost nearly all of the time.
    """
    y, width = arb(_start(k, n, size)), arb(2) ** (-wanted)
    size_before, right = arb(0), _ROUGH  # of the last step, 0 before the first; bits that are right
    for _ in range(_STEPS):
        precision = min(bits, bits - wanted + 2 * right + _ROUGH)
        with ctx.workprec(precision):
            choices = _log_choices(k, n)
            p, pc = _pair(y)
            tail = _log_tail(k, n, p, pc, choices)
            # the tail's derivative in p is -(n-k)/(1-p) times the last term, and dp = p (1-p) dy
            slope = (n - k) * p * (_log_term(k, n, p, pc, choices) - tail).exp()
            step = ((tail + _ball(level)).mid() / slope).mid()
            if not step.is_finite():
                return None
            step = max(min(step, abs(y) / 2 + 5), -abs(y) / 2 - 5)
        with ctx.workprec(bits):
            y = (y + step).mid()
            # an error of s becomes about C s^2, and C shows in two consecutive steps
            size_now = abs(step)
            following = size_now**3 / size_before**2 if 0 < size_now < size_before else size_now
        if size_now < width / 4 or (precision == bits and following < width / 1024):
            break
        if size_now < size_before:
            right = max(_ROUGH, min(wanted, -int(float(following.log() / math.log(2)))))
        size_before = size_now
    with ctx.workprec(bits):
        choices = _log_choices(k, n)
        # a level that is itself a ball leaves log-odds of the size of 1/eps open in proportion to their size
        for reach in (width, 16 * width, 256 * width, 256 * width * (1 + abs(y))):
            low, high = (y - reach).mid(), (y + reach).mid()
            if _excess(k, n, low, level, choices) > 0 and _excess(k, n, high, level, choices) < 0:
                return BinomialLimitBall(*_pair(low.union(high)))
    return None


def _excess(k: int, n: int, y: arb, level: Fraction | arb, choices: arb) -> arb:
    """ln P(Bin(n,p) <= k) - ln delta at log-odds y."""
    return _log_tail(k, n, *_pair(y), choices) + _ball(level)


def exact_tail(k: int, n: int, p: Fraction) -> Fraction:
    """P(Bin(n,p) <= k) as a rational number, from its definition."""
    _counts(k, n)
    a, b = p.numerator, p.denominator - p.numerator
    total = sum(int(fmpz.bin_uiui(n, j)) * a**j * b ** (n - j) for j in range(k + 1))
    return Fraction(total, p.denominator**n)
