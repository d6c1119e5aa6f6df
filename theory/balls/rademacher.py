"""The Rademacher bound of a ball of a kernel's function space, in ball arithmetic."""

from __future__ import annotations

from flint import arb

from .context import Exact, exact_fraction, refine, to_ball


def balls_needed(norm: Exact, unit_norm: Exact) -> int:
    """k = max(1, ceil(norm/unit))."""
    ratio = exact_fraction("norm", norm) / exact_fraction("unit_norm", unit_norm)
    return max(1, -(-ratio.numerator // ratio.denominator))


def kernel_ball_bound(
    risk: Exact, norm: Exact, unit_norm: Exact, trace: Exact, n: int, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """risk + 2 k unit sqrt(trace)/n + 3 sqrt((ln 2 + ln k(k+1) + ln(1/delta))/(2n)), k = max(1, ceil(norm/unit))."""
    k = balls_needed(norm, unit_norm)
    radius = k * exact_fraction("unit_norm", unit_norm)
    level = exact_fraction("log_inv_delta", log_inv_delta)
    empirical, total = exact_fraction("risk", risk), exact_fraction("trace", trace)

    def value() -> arb:
        complexity = 2 * to_ball(radius) * to_ball(total).sqrt() / n
        confidence = (arb(2 * k * (k + 1)).log() + to_ball(level)) / (2 * n)
        return to_ball(empirical) + complexity + 3 * confidence.sqrt()

    return refine(value, digits)
