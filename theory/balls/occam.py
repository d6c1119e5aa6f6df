"""Test-set, Occam and subsampled bounds as balls: what their certificates are verified against.

A level ln(1/delta) + ln(1/w) may be irrational (code lengths are multiplied by ln 2); the limits are monotone in it, so those at
the two ends of its ball enclose the one in between.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .binomial import binomial_lower_ball, binomial_upper_ball
from .context import Exact, exact_fraction, refine, to_ball
from .kl import kl_lower_ball, kl_upper_ball


def level_ball(log_inv_delta: Exact, log_inv_weight: Exact = 0, code_bits: Exact = 0, digits: int = 60) -> arb:
    """ln(1/delta) + ln(1/w) + code_bits ln 2."""
    nats = exact_fraction("log_inv_delta", log_inv_delta) + exact_fraction("log_inv_weight", log_inv_weight)
    bits = exact_fraction("code_bits", code_bits)
    if log_inv_delta <= 0 or log_inv_weight < 0 or bits < 0:
        raise InvalidInput(
            f"ln(1/delta) = {log_inv_delta}, ln(1/w) = {log_inv_weight}, {code_bits} bits.", "Levels are positive."
        )
    return refine(lambda: to_ball(nats) + to_ball(bits) * arb(2).log(), digits)


def between(limit: Callable[[Fraction], arb], level: arb, digits: int) -> arb:
    """`limit`, monotone in its argument, at a level that is only known as a ball."""
    with ctx.workdps(digits + 30):
        ends = [limit(rational(end)) for end in (level.lower(), level.upper())]
        return ends[0].union(ends[1])


def rational(end: arb) -> Fraction:
    """The dyadic number in the middle of a ball."""
    mantissa, exponent = end.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def binomial_test_ball(errors: int, n: int, log_inv_delta: Exact, digits: int = 60) -> tuple[arb, arb]:
    """The upper and the lower binomial limit, each at that level."""
    return (
        binomial_upper_ball(errors, n, log_inv_delta, digits).p,
        binomial_lower_ball(errors, n, log_inv_delta, digits).p,
    )


def chernoff_test_ball(risk: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> tuple[arb, arb]:
    """UP and LO of (risk, ln(1/delta)/n)."""
    c = exact_fraction("log_inv_delta", log_inv_delta) / n
    return kl_upper_ball(risk, c, digits=digits).p, kl_lower_ball(risk, c, digits=digits).p


def hoeffding_test_ball(risk: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> tuple[arb, arb]:
    """risk +- sqrt(ln(1/delta)/(2n))."""
    q, half = exact_fraction("risk", risk), exact_fraction("log_inv_delta", log_inv_delta) / (2 * n)
    with ctx.workdps(2 * digits + 20):
        width = to_ball(half).sqrt()
        return to_ball(q) + width, to_ball(q) - width


def occam_kl_ball(risk: Exact, n: int, level: arb, digits: int = 60) -> arb:
    """UP(risk, level/n)."""
    return between(lambda end: kl_upper_ball(risk, end / n, digits=digits + 10).p, level, digits)


def occam_binomial_ball(errors: int, n: int, level: arb, digits: int = 60) -> arb:
    """The upper binomial limit at that level."""
    return binomial_upper_ball(errors, n, level, digits).p


def subsample_ball(
    risk: Exact,
    m: int,
    n: int,
    interval: tuple[Exact, Exact],
    form: str,
    level: arb,
    log_inv_delta_part: Exact,
    digits: int = 60,
) -> arb:
    """The subsampled Occam bound; `level` is ln(1/w) + ln(1/delta) of the event over the training sample."""
    low, high = (exact_fraction("interval", end) for end in interval)
    value, part = exact_fraction("risk", risk), exact_fraction("log_inv_delta_part", log_inv_delta_part)
    if not low < high or not low <= value <= high or m < 1 or n < 1 or part <= 0:
        raise InvalidInput(f"risk {risk} in {interval}, m = {m}, n = {n}.", "They describe no subsample.")
    width = high - low
    with ctx.workdps(2 * digits + 20):
        if form == "hoeffding":
            slack = (level / (2 * n)).sqrt() + (to_ball(part) / (2 * m)).sqrt()
            return to_ball(value) + to_ball(width) * slack
        if form != "kl":
            raise InvalidInput(f"The form is {form!r}.", "It is 'kl' or 'hoeffding'.")
        inner = kl_upper_ball((value - low) / width, part / m, digits=digits + 20).p
        # monotone in the inner bound as well
        ends = [
            occam_kl_ball(min(Fraction(1), rational(end)), n, level, digits + 10)
            for end in (inner.lower(), inner.upper())
        ]
        return to_ball(low) + to_ball(width) * ends[0].union(ends[1])
