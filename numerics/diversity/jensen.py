"""Second-order Jensen bounds for the log-loss, from an array of losses alone.

With d = loss - min over models (for one example), t = e^-d lies in (0, 1] and p = m t: only the ratio to the best model enters.
V = Var(t)/2, V_h = h(1, mean t) Var(t), and the gap between the mean loss and the loss of the mean is ln E e^(mean loss - loss).

Rounding, w = 2^-53, M models: t - 1 = expm1(-d) carries 5w, so a mean of it at most (M + 6)w; the variance is a sum of squares of
centred values and carries (M + 4)w + 2 (M + 12)w sqrt(E (t-1)^2/Var t): far more than its share only where one unlikely model is
the best. h is right to 2 (M + 6)w plus 1e-14 (at its switch 40 times its size cancels), the gap to (M + 26)w plus 3 (M + 4)w E|x|
absolutely, x = loss - mean loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative

FloatArray = NDArray[np.float64]
_SWITCH = 0.05
_SERIES = tuple((k + 1) / (k + 2) for k in range(14))
_FAR = 30.0


@dataclass(frozen=True)
class JensenTerms:
    """One entry for each example: mean loss over models, loss of the averaged model, gap = the first minus the second, and
    its lower bounds `second_order` (V) and `tight` (V_h): second_order <= tight <= gap."""

    average_loss: FloatArray
    ensemble_loss: FloatArray
    gap: FloatArray
    second_order: FloatArray
    tight: FloatArray


def liao_berg_weight(mean: ArrayLike, distance: ArrayLike | None = None) -> FloatArray:
    """h(1, t) = ln t/(1-t)^2 + 1/(t(1-t)) for t in (0, 1]; h(m, mu) = h(1, mu/m)/m^2. At t = 1 it is 1/2, its smallest value.

    `distance` is 1 - t where it is known more accurately. Below 0.05 the series sum_k (k+1)/(k+2) (1-t)^k, 14 terms.
    """
    t = finite("mean", mean)
    d = 1.0 - t if distance is None else finite("distance", distance)
    if t.size and (t.min() <= 0 or t.max() > 1 or d.min() < 0):
        raise InvalidInput(
            f"The mean lies outside (0, 1] ({t.min():g} to {t.max():g}).", "Divide by the largest probability first."
        )
    near = d < _SWITCH
    series = np.zeros_like(d)
    small = np.where(near, d, 0.0)
    for coefficient in reversed(_SERIES):
        series = series * small + coefficient
    far, far_t = np.where(near, 0.5, d), np.where(near, 0.5, t)
    log_t = np.where(far < 0.5, np.log1p(-np.minimum(far, 0.5)), np.log(far_t))
    # the mutually cancelling terms share the factor 1/d
    return np.where(near, series, (log_t / far + 1.0 / far_t) / far)[()]


def jensen_terms(losses: ArrayLike, *, weights: ArrayLike | None = None) -> JensenTerms:
    """Mean loss, loss of the average, their gap and its two lower bounds for every example.

    losses: (models, examples) of log-losses -ln p (any real numbers, so densities too). weights: one for each model, sum 1 (default:
    equal); models of weight 0 are left out, also from the largest probability. Raises `InvalidInput`. Statement pb.jensen2.
    """
    array, rho = loss_array(losses, weights)
    with np.errstate(under="ignore"):
        best = array.min(axis=0)
        shortfall = np.expm1(-(array - best))  # t - 1
        mean_shortfall = rho @ shortfall
        t = rho @ np.exp(-(array - best))
        variance = rho @ (shortfall - mean_shortfall) ** 2
        gap = cumulant_gap(array, rho)
    average = rho @ array
    weight = liao_berg_weight(np.minimum(t, 1.0), np.maximum(-mean_shortfall, 0.0))
    return JensenTerms(average, average - gap, gap, 0.5 * variance, weight * variance)


def jensen_bounds(losses: ArrayLike, *, weights: ArrayLike | None = None) -> dict[str, float]:
    """`jensen_terms` averaged over the examples: average_loss, ensemble_loss, gap, second_order (V) and tight (V_h)."""
    return {name: float(np.mean(value)) for name, value in vars(jensen_terms(losses, weights=weights)).items()}


def cumulant_gap(array: FloatArray, rho: FloatArray) -> FloatArray:
    """ln E_rho e^(E_rho loss - loss) for each column: log1p of a mean of e^-x - 1 + x >= 0, x = loss - mean loss."""
    x = array - rho @ array
    x = x - rho @ x  # a second centring: without it losses of 1e6 with spread 1 lose six digits
    gentle = np.abs(x).max(axis=0) <= _FAR
    excess = rho @ excess_of_exponential(np.where(gentle, x, 0.0))
    least = x.min(axis=0)
    steep = np.log(rho @ np.exp(-(x - least))) - least
    return np.where(gentle, np.log1p(excess), steep)


def excess_of_exponential(x: FloatArray) -> FloatArray:
    """e^-x - 1 + x >= 0, by twelve terms of its series below 0.1."""
    small = np.clip(x, -0.1, 0.1)
    series = np.ones_like(small)
    for k in range(14, 2, -1):
        series = 1.0 - series * (small / k)
    return np.where(np.abs(x) < 0.1, series * (small * small / 2), np.expm1(-x) + x)


def loss_array(losses: Any, weights: Any) -> tuple[FloatArray, FloatArray]:
    """A finite (models, examples) array and normalised weights, without the models of weight 0."""
    array = finite("losses", losses, ndim=2)
    if 0 in array.shape:
        raise InvalidInput(f"losses has shape {array.shape}.", "It needs at least one model and one example.")
    if weights is None:
        return array, np.full(len(array), 1.0 / len(array))
    rho = non_negative("weights", finite("weights", weights, ndim=1))
    if rho.size != len(array) or abs(rho.sum() - 1) > 1e-9:
        raise InvalidInput(
            f"weights has {rho.size} entries with sum {rho.sum():.12g}.", f"Give {len(array)} of them, with sum 1."
        )
    used = rho > 0
    return array[used], rho[used] / rho[used].sum()
