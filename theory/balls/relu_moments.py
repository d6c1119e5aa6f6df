"""Moments of max(z, 0) under a Gaussian, and of the output of a stochastic hidden layer, in ball arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, ctx

from .context import Exact, exact_fraction, to_ball


def relu_moments_ball(mean: Exact, deviation: Exact, digits: int = 60) -> tuple[arb, arb, arb]:
    """E, E of the square, and variance, as printed; cancellation is paid for with digits. deviation > 0."""
    with ctx.workdps(6 * digits):
        mu, tau = to_ball(exact_fraction("mean", mean)), to_ball(exact_fraction("deviation", deviation))
        x = mu / tau
        density = (-x * x / 2).exp() / (2 * arb.pi()).sqrt()
        phi = (-x / arb(2).sqrt()).erfc() / 2
        first = mu * phi + tau * density
        second = (mu**2 + tau**2) * phi + mu * tau * density
        return first, second, second - first**2


def stochastic_output_ball(
    means: Sequence[Exact], deviation: Exact, readout: Sequence[Exact], readout_deviation: Exact, digits: int = 60
) -> tuple[arb, arb, arb]:
    """Mean and variance of n^-1/2 sum w_j max(z_j, 0) at one input, and P(f <= 0) of a Gaussian with them.

    The variance as E f^2 - (E f)^2 unit by unit.
    """
    with ctx.workdps(6 * digits):
        mean, variance = arb(0), arb(0)
        s2 = to_ball(exact_fraction("readout_deviation", readout_deviation)) ** 2
        for mu, m in zip(means, readout, strict=True):
            weight = to_ball(exact_fraction("readout", m))
            first, second, _ = relu_moments_ball(mu, deviation, digits)
            mean += weight * first
            variance += (weight**2 + s2) * second - (weight * first) ** 2
        n = len(means)
        mean, variance = mean / arb(n).sqrt(), variance / n
        return mean, variance, (mean / (2 * variance).sqrt()).erfc() / 2
