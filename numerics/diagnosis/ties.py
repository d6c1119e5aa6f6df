"""The identities that tie the numbers of a diagnosis, each evaluated by a second route, with the rounding that it may show.

w = 2^-53. A mean over M models and N examples carries at most (M + 64)w of the mean of |terms| (NumPy sums blocks pairwise).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ..diversity.cold_posterior import cold_posterior
from ..diversity.cumulants import cumulants, variance_balance
from ..diversity.jensen import jensen_bounds
from .record import Rate, Tie

FloatArray = NDArray[np.float64]
UNIT = 2.0**-53


def log_loss_ties(array: FloatArray, rho: FloatArray) -> tuple[Tie, ...]:
    """Diversity = Gibbs loss - loss of the average, by logsumexp; and V <= V_h <= diversity."""
    terms = jensen_bounds(array, weights=rho)
    average = float(np.mean(-logsumexp(-array, b=rho[:, None], axis=0)))
    gibbs = float(np.mean(rho @ array))
    # logsumexp: the largest term is exact, the sum (M + 8)w, its logarithm at most ln M + 1 away from the maximum
    rounding = (
        (len(rho) + 80)
        * UNIT
        * (float(np.abs(array).mean(axis=1) @ rho) + abs(average) + float(np.ptp(array, axis=0).mean()) + 1)
    )
    relative = 1e-13 + (len(rho) + 80) * UNIT  # h at its switch; the variance
    return (
        Tie("diversity = Gibbs loss - loss of the average", terms["gap"], "=", gibbs - average, rounding),
        Tie("V <= V_h", terms["second_order"], "<=", terms["tight"], relative * terms["tight"] + 2.0**-1000),
        Tie("V_h <= diversity", terms["tight"], "<=", terms["gap"], relative * terms["tight"] + rounding),
    )


def zero_one_ties(array: FloatArray, rho: FloatArray) -> tuple[Tie, ...]:
    """Gibbs loss - diversity is the joint error of two independent members."""
    wrong = rho @ array
    pairs = float(np.mean(np.einsum("i,ix,jx,j->x", rho, array, array, rho)))
    left = float(np.mean(wrong)) - float(np.mean(rho @ (array - wrong) ** 2))
    return (Tie("Gibbs loss - diversity = joint error of two members", left, "=", pairs, 4 * (len(rho) + 70) * UNIT),)


def variance_tie(array: FloatArray, rho: FloatArray) -> Tie:
    """diversity (as a variance) = roughness + spread of risks - roughness of the average."""
    b = variance_balance(array, weights=rho)
    right = b.roughness + b.spread_of_risks - b.roughness_of_average
    return Tie(
        "Var over models = roughness + spread of risks - roughness of the average", b.diversity, "=", right, b.rounding
    )


def smoothness_tie(array: FloatArray, rho: FloatArray, tilt: float) -> Tie:
    """J of the averaged loss <= average J, at one tilt."""
    found = cumulants(array, tilt, weights=rho)
    scale = 1 + tilt * float(np.ptp(array))
    rounding = (sum(array.shape) + 100) * UNIT * scale
    return Tie(
        f"J of the averaged loss <= average J at tilt {tilt:.4g}",
        found.smoothness_of_average,
        "<=",
        found.average_smoothness,
        rounding,
    )


def rate_tie(array: FloatArray, rho: FloatArray, rate: Rate, width: float) -> Tie:
    """Inverse rate = Gibbs loss - mean loss under the tilts, evaluated from the tilted weights themselves."""
    weight = np.exp(-rate.tilt * (array - array.min(axis=1, keepdims=True)))
    tilted = (weight * array).sum(axis=1) / weight.sum(axis=1)
    right = float(rho @ (array.mean(axis=1) - tilted))
    # the optimal tilt is found to `width` of s, which moves the slope of J by width s/l; means of losses carry (M + 64)w
    rounding = 4 * width * (rate.price / rate.tilt + rate.inverse_rate.value) + (len(rho) + 80) * UNIT * 4 * float(
        np.abs(array).max()
    ) * (1 + rate.tilt * float(np.ptp(array)))
    return Tie("inverse rate = Gibbs loss - loss under the tilted data", rate.inverse_rate.value, "=", right, rounding)


def cold_tie(train: FloatArray, test: FloatArray, rho: FloatArray, n: int) -> Tie:
    """The slope in the temperature = n (fit after one fresh observation - fit), from the updated posterior itself."""
    fit = train.mean(axis=1)
    shares = np.exp(-test - logsumexp(-test, b=rho[:, None], axis=0))
    updated = float(np.mean((rho[:, None] * shares).T @ fit))
    left = cold_posterior(train, test, weights=rho).bayes_slope / train.shape[1] * n
    rounding = 8 * (len(rho) + 90 + float(np.abs(test).max())) * UNIT * n * float(np.abs(fit).max())
    return Tie(
        "slope in the temperature = n (fit after one fresh observation - fit)",
        left,
        "=",
        n * (updated - float(rho @ fit)),
        rounding,
    )


def all_ties(array: FloatArray, rho: FloatArray, loss: str, extra: list[Any]) -> tuple[Tie, ...]:
    """Those of every loss, those of this loss, and what the caller adds."""
    own = {"log": log_loss_ties, "zero_one": zero_one_ties}.get(loss)
    return (*(own(array, rho) if own else ()), variance_tie(array, rho), *extra)
