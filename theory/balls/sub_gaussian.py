"""Mixture bounds for sub-Gaussian losses as balls, two-sided and one-sided."""

from __future__ import annotations

from fractions import Fraction

from flint import arb

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball


def mixture_width_ball(variance: Exact, kl: Exact, n: int, a: Exact, log_inv_delta: Exact, digits: int = 60) -> arb:
    """The gap g at which the logarithm of the mixture supermartingale, n^2 g^2/(2 (n+a) v) + ln sqrt(a/(n+a)), is K + ln(1/delta)."""
    v, spent, size = _numbers(variance, kl, n, a, log_inv_delta)
    b = exact_fraction("a", a)

    def evaluate() -> arb:
        half_log = ((arb(size) + to_ball(b)) / to_ball(b)).log() / 2
        return (to_ball(v * 2 * (size + b) / size**2) * (to_ball(spent) + half_log)).sqrt()

    return refine(evaluate, digits) if v else arb(0)


def one_sided_width_ball(
    variance: Exact, reference: Exact, kl: Exact, n: int, a: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """With D = n v + a s0^2: the gap at which n^2 g^2/(2 D) + ln sqrt(a s0^2/D) is K + ln(1/delta)."""
    v, spent, size = _numbers(variance, kl, n, a, log_inv_delta)
    base = exact_fraction("a", a) * exact_fraction("reference", reference)
    if base <= 0:
        raise InvalidInput("a and the reference variance must be positive.")
    total = size * v + base

    def evaluate() -> arb:
        level = to_ball(spent) + (to_ball(total).log() - to_ball(base).log()) / 2
        return (to_ball(2 * total) * level).sqrt() / size

    return refine(evaluate, digits)


def best_a_ball(n: int, anticipated: Exact, digits: int = 60) -> arb:
    """a = n/(r - 1), r = -W_{-1}(-e^{-1-2B})."""
    b = exact_fraction("anticipated", anticipated)
    return refine(lambda: arb(n) / (-((-(-1 - 2 * to_ball(b)).exp()).lambertw(-1)) - 1), digits)


def _numbers(variance: Exact, kl: Exact, n: int, a: Exact, log_inv_delta: Exact) -> tuple[Fraction, Fraction, int]:
    v, spent = (
        exact_fraction("variance", variance),
        exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta),
    )
    if v < 0 or kl < 0 or n < 1 or a <= 0 or log_inv_delta <= 0:
        raise InvalidInput(
            f"variance {variance}, kl {kl}, n {n}, a {a}.", "n and a are positive, the others not negative."
        )
    return v, spent, n
