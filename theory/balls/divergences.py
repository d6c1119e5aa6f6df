"""Bounds through chi-square and power divergences as balls."""

from __future__ import annotations

from flint import arb

from .context import Exact, exact_fraction, refine, to_ball


def chi_square_width_ball(chi2: Exact, variance: Exact, n: int, log_inv_delta: Exact, digits: int = 60) -> arb:
    """sqrt((variance/(n delta)) (1 + chi2))."""
    square = exact_fraction("variance", variance) / n * (1 + exact_fraction("chi2", chi2))
    level = exact_fraction("log_inv_delta", log_inv_delta)
    return refine(lambda: (to_ball(square) * to_ball(level).exp()).sqrt(), digits) if square else arb(0)


def power_width_ball(density_norm: Exact, order: Exact, moment: Exact, log_inv_delta: Exact, digits: int = 60) -> arb:
    """(moment/delta)^(1/q) density_norm, q = p/(p-1) for the order p."""
    p, norm = exact_fraction("order", order), exact_fraction("density_norm", density_norm)
    m, level = exact_fraction("moment", moment), exact_fraction("log_inv_delta", log_inv_delta)
    inverse = (p - 1) / p
    if not m:
        return arb(0)
    return refine(lambda: ((to_ball(m).log() + to_ball(level)) * to_ball(inverse)).exp() * to_ball(norm), digits)
