"""KL from the posterior of Gaussian-process regression to its prior, from the two covariance matrices, in ball arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, arb_mat, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, to_ball


def gaussian_process_kl_ball(
    gram: Sequence[Sequence[Exact]], labels: Sequence[Exact], noise_variance: Exact, digits: int = 60
) -> arb:
    """KL(N(m, S) || N(0, K)) = 1/2 [tr K^{-1} S - N + m^T K^{-1} m + ln det K - ln det S] for a positive definite K.

    m = K (K + s2)^{-1} y and S = K - K (K + s2)^{-1} K are computed as matrices; nothing is simplified first.
    """
    size = len(gram)
    if len(labels) != size or any(len(row) != size for row in gram):
        raise InvalidInput("gram and labels do not fit.", "Pass an N x N matrix and N labels.")
    with ctx.workdps(3 * digits):
        k = arb_mat([[to_ball(exact_fraction("gram", value)) for value in row] for row in gram])
        y = arb_mat([[to_ball(exact_fraction("labels", value))] for value in labels])
        identity = arb_mat([[arb(int(i == j)) for j in range(size)] for i in range(size)])
        shifted = k + identity * to_ball(exact_fraction("noise_variance", noise_variance))
        mean = k * shifted.solve(y)
        covariance = k - k * shifted.solve(k)
        trace = sum((k.solve(covariance)[i, i] for i in range(size)), arb(0))
        fit = (mean.transpose() * k.solve(mean))[0, 0]
        return (trace - size + fit + k.det().log() - covariance.det().log()) / 2
