"""Three directions in one array of losses: over examples (smoothness), over models (diversity), over the prior (stochasticity).

J_theta(l) = ln E_x e^{l (L - loss)}; Dv = E_x ln E_rho e^{E_rho loss - loss}; and -(1/b) ln E_P e^{-b Lh} (pb.link).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .jensen import cumulant_gap, loss_array


@dataclass(frozen=True)
class Cumulants:
    """At one tilt l: `smoothness` = J_theta(l) of each model, its mean over rho, J of the averaged loss (never above that mean),
    `diversity` = Dv = E_rho L - CE, and `stochasticity` = min_Q {E_Q Lh + KL(Q||rho)/l}."""

    smoothness: NDArray[np.float64]
    average_smoothness: float
    smoothness_of_average: float
    diversity: float
    stochasticity: float


@dataclass(frozen=True)
class VarianceBalance:
    """E_x Var_theta(loss) = E_theta Var_x(loss) + Var_theta(L) - Var_x(E_theta loss): diversity is average roughness plus spread of
    risks minus roughness of the averaged loss. `residual` = left - right, which only rounding keeps from 0."""

    diversity: float
    roughness: float
    spread_of_risks: float
    roughness_of_average: float
    residual: float
    rounding: float


def cumulants(losses: ArrayLike, tilt: float, *, weights: ArrayLike | None = None) -> Cumulants:
    """The three generating functions of a (models, examples) array of losses, examples weighted equally. tilt > 0.

    Of the distribution where the examples are the whole population; of the sample otherwise (then J is biased low: a diagnostic).
    Raises `InvalidInput`.
    """
    array, rho = loss_array(losses, weights)
    scale = float(finite("tilt", tilt, ndim=0))
    if scale <= 0:
        raise InvalidInput(f"tilt is {scale:g}.", "It must be positive.")
    share = np.full(array.shape[1], 1.0 / array.shape[1])
    smoothness = cumulant_gap(scale * array.T, share)
    averaged = cumulant_gap(scale * (rho @ array)[:, None], share)
    risks = array.mean(axis=1)
    least = risks.min()
    return Cumulants(
        smoothness,
        float(rho @ smoothness),
        float(averaged[0]),
        float(np.mean(cumulant_gap(array, rho))),
        float(least - logsumexp(-scale * (risks - least), b=rho) / scale),
    )


def variance_balance(losses: ArrayLike, *, weights: ArrayLike | None = None) -> VarianceBalance:
    """The law of total variance on a (models, examples) array, both ways round. Raises `InvalidInput`."""
    array, rho = loss_array(losses, weights)
    centred = array - float(np.mean(rho @ array))
    models, examples = centred.mean(axis=1), rho @ centred
    diversity = float(np.mean(rho @ (centred - examples) ** 2))
    roughness = float(rho @ np.mean((centred - models[:, None]) ** 2, axis=1))
    spread = float(rho @ (models - rho @ models) ** 2)
    averaged = float(np.mean((examples - examples.mean()) ** 2))
    # each of the four is a mean of squares: (M + N + 8) roundings of the total variance, and as many in the means squared away
    rounding = 4 * (sum(array.shape) + 8) * 2.0**-53 * (roughness + spread)
    return VarianceBalance(
        diversity, roughness, spread, averaged, diversity - (roughness + spread - averaged), rounding
    )
