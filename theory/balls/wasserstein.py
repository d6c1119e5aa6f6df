"""The Wasserstein bound and the distance between diagonal Gaussians as balls."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb

from .context import Exact, exact_fraction, refine, to_ball


def wasserstein_ball(
    risk: Exact,
    distances: Sequence[Exact],
    sizes: Sequence[int],
    lipschitz: Exact,
    log_inv_delta: Exact,
    factor: Fraction,
    digits: int = 60,
) -> arb:
    """risk + sum 2 m_i L W_i/n + sum sqrt(factor m_i ln(T/delta))/n; factor is 1/2 for losses in [0, 1], 2 for a second moment."""
    n, parts = sum(sizes), len(sizes)
    slope, level = exact_fraction("lipschitz", lipschitz), exact_fraction("log_inv_delta", log_inv_delta)
    walked = sum((m * exact_fraction("distance", w) for m, w in zip(sizes, distances, strict=True)), Fraction(0))
    fixed = exact_fraction("risk", risk) + 2 * slope * walked / n

    def value() -> arb:
        price = to_ball(level) + arb(parts).log()
        return to_ball(fixed) + sum(((to_ball(factor * m) * price).sqrt() for m in sizes), arb(0)) / n

    return refine(value, digits)


def gaussian_distance_ball(
    mean: Sequence[Exact],
    scale: Sequence[Exact],
    prior_mean: Sequence[Exact],
    prior_scale: Sequence[Exact],
    digits: int = 60,
) -> arb:
    """W2 between Gaussians with diagonal covariances: the Euclidean distance of (means, standard deviations)."""
    square = sum(
        (
            (exact_fraction("mean", a) - exact_fraction("prior_mean", b)) ** 2
            for a, b in [*zip(mean, prior_mean, strict=True), *zip(scale, prior_scale, strict=True)]
        ),
        Fraction(0),
    )
    return refine(lambda: to_ball(square).sqrt(), digits) if square else arb(0)
