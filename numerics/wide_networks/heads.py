"""What K heads on one trunk say about a variance: its law, intervals, tails, and where more heads stop helping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import chdtr, gammainccinv, gammaincinv, ndtri

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative, sample_size
from .ensemble import rnd_error_covariance
from .gram import GramBlocks, Matrix

_WIDEN = 1e-12  # relative; the quantile function is inverted to better than this (checked against 50 digits)
# beyond 4.5 deviations the lower tail is summed as a series that scipy stops at 2000 terms: too few for more heads
_MANY, _DEEP = 100_000, 1e-5


def head_error_covariance(nngp: GramBlocks, ntk: GramBlocks, *, heads: int, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (K S, K S) of the errors of K heads at S points, head by head: 2 Sigma in each block, 0 between heads.

    Heads are independent in the limit of infinite width at fixed K, for every training time, although they share their
    hidden layers. Source: Zanger et al. 2026. Raises as `rnd_error_covariance` does.
    """
    one = rnd_error_covariance(nngp, ntk, time_sum_loss=time_sum_loss)
    return np.asarray(np.kron(np.eye(sample_size("heads", heads)), one), dtype=np.float64)


def heads_interval(variance: Any, *, heads: int, alpha: float = 0.05) -> tuple[Matrix, Matrix]:
    """Two-sided interval for the ensemble variance from its estimate with K heads: [K e/q_{1-a/2}, K e/q_{a/2}].

    `variance` e is half the mean square over the heads, any shape; q are quantiles of chi-square with K degrees. It
    covers the variance with probability 1 - alpha exactly in the limit of infinite width (rounded outward by 1e-12).
    Finite networks have fewer effective heads: see `effective_heads`. Raises InvalidInput, also for more than 1e5 heads
    at an alpha below 1e-5.
    """
    e, k = non_negative("variance", variance), sample_size("heads", heads)
    level = float(finite("alpha", alpha, ndim=0))
    if not 1e-15 <= level < 1:
        raise InvalidInput(f"alpha is {level:g}.", "It must lie in [1e-15, 1).")
    _require_exact_tails(k, level)
    # each tail by its own inverse: 1 - level/2 would already have lost the small one
    low, high = 2 * gammainccinv(k / 2, level / 2), 2 * gammaincinv(k / 2, level / 2)
    return k * e / (low * (1 + _WIDEN)), k * e / (high * (1 - _WIDEN))


def heads_tail(*, heads: int, log_inv_delta: float) -> tuple[float, float]:
    """Ratios (low, high) of estimate to variance that are passed with probability at most delta on either side.

    1 - 2 sqrt(s/K) and 1 + 2 sqrt(s/K) + 2 s/K with s = ln(1/delta), `low` at least 0. Source: Laurent and Massart
    2000. Raises InvalidInput.
    """
    k = sample_size("heads", heads)
    s = float(non_negative("log_inv_delta", finite("log_inv_delta", log_inv_delta, ndim=0)))
    return max(0.0, 1 - 2 * math.sqrt(s / k)), 1 + 2 * math.sqrt(s / k) + 2 * s / k


def heads_needed(relative_error: float, *, alpha: float = 0.05) -> int:
    """Heads for a relative error r of the variance with probability 1 - alpha: the least K with P(|chi2_K/K - 1| <= r)
    >= 1 - alpha, and so for every larger one; about 2 (z/r)^2 with z the normal quantile. Raises InvalidInput, also where
    that is more than 1e5 at an alpha below 1e-5.
    """
    r, level = float(finite("relative_error", relative_error, ndim=0)), float(finite("alpha", alpha, ndim=0))
    if not (1e-4 <= r < 1 and 1e-12 <= level < 1):
        raise InvalidInput(
            f"relative_error and alpha are {r:g} and {level:g}.",
            "Use [1e-4, 1) for the error and [1e-12, 1) for alpha.",
        )
    z = float(-ndtri(level / 2))
    guess = 2 * (z / r) ** 2
    _require_exact_tails(guess, level)
    apart = (
        int(z**4) + 100
    )  # the normal law's number is off by at most z^4/4 + 2 (its expansion's next term has this order)
    found = np.arange(max(1, int(guess) - apart), int(guess) + apart, dtype=np.float64)
    enough = chdtr(found, found * (1 + r)) - chdtr(found, found * (1 - r)) >= 1 - level
    return int(found[np.flatnonzero(~enough)[-1]]) + 1 if not enough.all() else int(found[0])


def _require_exact_tails(heads: float, level: float) -> None:
    if heads > _MANY and level < _DEEP:
        raise InvalidInput(
            f"The tails of {heads:.2g} heads at alpha = {level:g} are not known exactly.",
            f"Use an alpha of at least {_DEEP:g}, or at most {_MANY} heads.",
        )


def effective_heads(heads: int, *, correlation: float) -> float:
    """K_eff = K / (1 + (K - 1) c): independent heads with the same variance of the mean square, at most 1/c.

    `correlation` c is that of the squared errors of two heads of one trunk, over seeds. Raises InvalidInput.
    """
    k, c = sample_size("heads", heads), float(finite("correlation", correlation, ndim=0))
    if not 0 <= c <= 1:
        raise InvalidInput(f"correlation is {c:g}.", "Squared errors of heads of one trunk correlate between 0 and 1.")
    return k / (1 + (k - 1) * c)


def initial_head_correlation(*, width: int, depth: int, trunks: int) -> float:
    """Correlation of the squares of two heads at initialisation, for bias-free ReLU networks of `depth` hidden layers.

    (m - 1)/(3m - 1) for the outputs of one network (`trunks` 1), (m - 1)/(3m + 1) for u - g (`trunks` 2), with m = (1 +
    5/n)^H, exactly at every width n. Raises InvalidInput.
    """
    n, hidden = sample_size("width", width), sample_size("depth", depth)
    if trunks not in (1, 2):
        raise InvalidInput(f"trunks is {trunks!r}.", "Use 1 for one network, 2 for predictor and target.")
    exponent = hidden * math.log1p(5 / n)  # ln m
    inverse = math.exp(-exponent) / -math.expm1(-exponent)  # 1/(m - 1), which no m overflows
    return 1 / (3 + (2 if trunks == 1 else 4) * inverse)


def squared_error_correlation(errors: Any) -> float:
    """Correlation of the squared errors of two heads, from errors (seeds, heads) at one point: the input of
    `effective_heads`. The mean covariance between heads over the mean variance. Raises InvalidInput.
    """
    e = finite("errors", errors, ndim=2)
    if e.shape[0] < 2 or e.shape[1] < 2:
        raise InvalidInput(f"errors has shape {e.shape}.", "It takes at least two seeds and two heads.")
    square = e**2
    heads = e.shape[1]
    each = square.var(axis=0, ddof=1).mean()
    if each == 0:
        raise InvalidInput("The squared errors do not vary over the seeds.", "Draw new parameters for every seed.")
    total = square.sum(axis=1).var(ddof=1)
    return float((total / heads - each) / ((heads - 1) * each))


def head_covariance(errors: Any) -> Matrix:
    """The ensemble covariance over points from errors (..., heads, points): the mean over heads of e e^T, halved.

    In the limit of infinite width K times it is Wishart(Sigma, K): all correlations included. Raises InvalidInput.
    """
    e = finite("errors", errors)
    if e.ndim < 2 or not e.shape[-2]:
        raise InvalidInput(f"errors has shape {e.shape}.", "Pass (..., heads, points) with at least one head.")
    return np.swapaxes(e, -1, -2) @ e / (2 * e.shape[-2])


def head_covariance_deviation(covariance: Any, *, heads: int) -> Matrix:
    """Standard deviations (S, S) of the entries of `head_covariance`: sqrt((S_ij^2 + S_ii S_jj)/K) for covariance S."""
    s = finite("covariance", covariance, ndim=2)
    if s.shape[0] != s.shape[1] or (np.diag(s) < 0).any():
        raise InvalidInput(f"covariance has shape {s.shape} or a negative diagonal.", "Pass a covariance matrix.")
    return np.sqrt((s**2 + np.outer(np.diag(s), np.diag(s))) / sample_size("heads", heads))
