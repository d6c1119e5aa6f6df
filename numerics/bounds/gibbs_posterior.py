"""The Gibbs posterior of finitely many losses: the law that minimises mean loss plus relative entropy over beta (pb.gibbs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, float_array

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GibbsPosterior:
    """dQ/dP proportional to e^{-beta f}: its weights, E_Q f, Var_Q f, KL(Q||P) in nats, and min_Q {E_Q f + KL(Q||P)/beta}."""

    weights: FloatArray
    mean: float
    variance: float
    kl: float
    free_energy: float


def gibbs_posterior(*, losses: Any, beta: float, prior: Any = None) -> GibbsPosterior:
    """The minimiser of E_Q f + KL(Q||P)/beta over all laws Q on finitely many points.

    Parameters
    ----------
    losses: array (points,) of finite numbers f.
    beta: inverse temperature, positive and finite.
    prior: array (points,) of non-negative weights, normalised here; uniform by default. Points without weight get none.

    Rounding of `kl` and `free_energy` is not outward: within (points + 16) ulps of the terms that they are differences of. Raises
    `InvalidInput`. Statement pb.gibbs.
    """
    f = finite("losses", losses, ndim=1)
    p = prior_weights(prior, f.size)
    b = float(finite("beta", beta, ndim=0))
    if b <= 0:
        raise InvalidInput(f"beta is {b:g}.", "The inverse temperature is positive.")
    smallest = float(f[p > 0].min())
    gap = np.where(p > 0, f - smallest, 0.0)
    with np.errstate(over="ignore", under="ignore"):
        factor = np.exp(-b * gap)
        partition = float(p @ factor)
        # near 1 the logarithm of the partition function is that of 1 plus a sum of small numbers of one sign
        log_partition = float(np.log1p(p @ np.expm1(-b * gap)) if partition > 0.5 else np.log(partition))
        weights = p * factor / partition
    mean_gap = float(weights @ gap)
    variance = float(weights @ (gap - mean_gap) ** 2)
    divergence = max(0.0, -log_partition - b * mean_gap)
    return GibbsPosterior(weights, smallest + mean_gap, variance, divergence, smallest - log_partition / b)


def prior_weights(prior: Any, size: int) -> FloatArray:
    """A law on `size` points: the given non-negative weights divided by their sum, or the uniform law."""
    if size == 0:
        raise InvalidInput("There are no points.", "Give at least one.")
    if prior is None:
        return np.full(size, 1.0 / size)
    p = float_array("prior", prior, ndim=1)
    if p.size != size or not np.isfinite(p).all() or p.min() < 0 or p.sum() <= 0:
        raise InvalidInput(
            f"prior has {p.size} weights for {size} points, or one is negative or infinite.",
            "Give one non-negative weight for each point, not all of them 0.",
        )
    return p / p.sum()
