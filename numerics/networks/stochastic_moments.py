"""Wide stochastic networks: moments of ReLU under a Gaussian, of the output of one hidden layer, and expected losses.

The parameters of a stochastic network are Gaussian with means and variances that are trained (iw.clerico2021). One
hidden layer: `f = n^-1/2 sum_j w_j max(z_j, 0)`, independent `w_j ~ N(m_j, s^2)` and `z_j ~ N(mu_j(x), tau^2(x))`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative

Matrix = NDArray[np.float64]

_FRACTION = -1.0  # below this mean/deviation the tails come from a continued fraction
_STEPS = 300  # its error is about exp(-2 t sqrt(2 steps)): 1e-21 at t = 1


@dataclass(frozen=True)
class ReluMoments:
    """E max(z,0), E max(z,0)^2 and Var max(z,0), entrywise."""

    mean: Matrix
    square: Matrix
    variance: Matrix


@dataclass(frozen=True)
class OutputMoments:
    """Mean and variance of the output at each input, (N,); exact at every width."""

    mean: Matrix
    variance: Matrix


def relu_moments(*, mean: Any, deviation: Any) -> ReluMoments:
    """Moments of max(z, 0) for z ~ N(mean, deviation^2), broadcast; deviation 0 is a fixed number.

    `E = mu Phi(x) + tau p(x)` and `E^2 = (mu^2 + tau^2) Phi(x) + mu tau p(x)` at x = mu/tau. For negative x these
    terms cancel; the partial moments `J_k = int_t^inf (z-t)^k/k! p(z) dz` at t = -x obey `J_{k-2} = t J_{k-1} + k J_k`,
    whose backward recursion has only positive terms. The variance is written with Phi(-x), so it keeps its digits.
    """
    arrays = np.broadcast_arrays(finite("mean", mean), non_negative("deviation", finite("deviation", deviation)))
    shape = arrays[0].shape
    mu, tau = (np.atleast_1d(array) for array in arrays)
    safe = np.where(tau > 0, tau, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        x = np.clip(mu / safe, -1e150, 1e150)
        density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        phi, tail = ndtr(x), ndtr(-x)
        first, second = x * phi + density, (x * x + 1) * phi + x * density
        spread = x * x * phi * tail + phi + x * density * (tail - phi) - density**2
        low = x < _FRACTION
        if low.any():
            one, two = _partial_moments(-x[low], density[low])
            for array, values in ((first, one), (second, 2 * two), (spread, 2 * two - one**2)):
                array[low] = values
    fixed = tau == 0
    return ReluMoments(
        np.where(fixed, np.maximum(mu, 0.0), safe * first).reshape(shape),
        np.where(fixed, np.maximum(mu, 0.0) ** 2, safe**2 * second).reshape(shape),
        np.where(fixed, 0.0, safe**2 * spread).reshape(shape),
    )


def _partial_moments(t: Matrix, density: Matrix) -> tuple[Matrix, Matrix]:
    """J_1 and J_2 at t > 0 by backward recursion of r_k = J_k/J_{k-1} = 1/(t + (k+1) r_{k+1})."""
    r = 1 / (t + np.sqrt(t * t + _STEPS))
    kept: dict[int, Matrix] = {}
    for k in range(_STEPS, -1, -1):
        r = 1 / (t + (k + 1) * r)
        if k < 3:
            kept[k] = r
    one = density * kept[0] * kept[1]
    return one, one * kept[2]


def stochastic_output(
    *, hidden_mean: Any, hidden_deviation: Any, readout_mean: Any, readout_deviation: float
) -> OutputMoments:
    """Mean `n^-1/2 sum m_j E phi(z_j)` and variance `n^-1 sum (s^2 E phi(z_j)^2 + m_j^2 Var phi(z_j))` at each input.

    `hidden_mean` mu (N, n), `hidden_deviation` tau (N,) or (N, n), `readout_mean` m (n,), `readout_deviation` s >= 0.
    Units must be independent given the input, which needs their own incoming weights. Source: Clerico et al. 2021;
    derived in iw.clerico2021. As n grows the output becomes Gaussian with these moments.
    """
    mu, m = finite("hidden_mean", hidden_mean, ndim=2), finite("readout_mean", readout_mean, ndim=1)
    tau = finite("hidden_deviation", hidden_deviation)
    if mu.shape[1] != len(m) or not len(m):
        raise InvalidInput(f"hidden_mean has shape {mu.shape} and readout_mean {m.shape}.", "One entry per unit.")
    if tau.shape not in ((mu.shape[0],), mu.shape):
        raise InvalidInput(f"hidden_deviation has shape {tau.shape}.", f"Pass ({mu.shape[0]},) or {mu.shape}.")
    s = float(non_negative("readout_deviation", finite("readout_deviation", readout_deviation, ndim=0)))
    unit = relu_moments(mean=mu, deviation=tau[:, None] if tau.ndim == 1 else tau)
    n = len(m)
    return OutputMoments(unit.mean @ m / math.sqrt(n), (s**2 * unit.square + m**2 * unit.variance).sum(axis=1) / n)


def zero_one_loss(*, mean: Any, variance: Any, labels: Any) -> Matrix:
    """P(y f <= 0) = Phi(-y m / sqrt v) for f ~ N(m, v) and labels +-1; with v = 0 a tie counts as an error."""
    m, v = finite("mean", mean), non_negative("variance", finite("variance", variance))
    y = finite("labels", labels)
    if not np.isin(y, (-1.0, 1.0)).all():
        raise InvalidInput("labels are not +-1.", "Encode two classes as -1 and 1.")
    margin = y * m
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = ndtr(-margin / np.sqrt(v))
    return np.where(v > 0, found, np.where(margin > 0, 0.0, 1.0))


def square_loss(*, mean: Any, variance: Any, labels: Any) -> Matrix:
    """E (f - y)^2 = (m - y)^2 + v for any law with mean m and variance v."""
    m, v = finite("mean", mean), non_negative("variance", finite("variance", variance))
    return (m - finite("labels", labels)) ** 2 + v


def gaussian_log_loss(*, mean: Any, variance: Any, labels: Any, noise_variance: float) -> Matrix:
    """E of -ln N(y; f, s2) = ((m - y)^2 + v)/(2 s2) + ln(2 pi s2)/2, in nats; not bounded."""
    s2 = float(finite("noise_variance", noise_variance, ndim=0))
    if s2 <= 0:
        raise InvalidInput(f"noise_variance is {s2:g}.", "It must be positive.")
    return square_loss(mean=mean, variance=variance, labels=labels) / (2 * s2) + math.log(2 * math.pi * s2) / 2
