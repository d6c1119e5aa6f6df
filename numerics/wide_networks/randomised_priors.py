"""Ensembles with a random function added to each member: when they sample a posterior, and when they do not."""

from __future__ import annotations

from typing import Any

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .ensemble import EnsembleLaw, propagated_covariance
from .gram import GramBlocks, Matrix, label_array, same_points
from .smoother import linear_smoother


def bayesian_ensemble_law(ntk: GramBlocks, labels: Any, *, noise: float, label_noise: bool = True) -> EnsembleLaw:
    """Members `f + J(theta0) theta*` (theta* an own draw with the readout's entries set to 0), in the infinite-width limit.

    Their initial covariance is K + (T - K) = T. Trained on labels with fresh noise of variance s2 and the penalty
    `s2/2 |theta - theta0|^2`, each is a draw from the posterior with kernel T. Without `label_noise` the covariance is
    `M T M^T`, short of it by `s2 G G^T`. Source: He et al. 2020. Raises as `linear_smoother`.
    """
    y = label_array(labels, ntk.cross.shape[1])
    found = linear_smoother(ntk, ridge_sum_loss=noise)
    covariance = propagated_covariance(ntk, found)
    if label_noise:
        covariance = covariance + noise * found.matrix @ found.matrix.T
    return EnsembleLaw(found.matrix @ y, covariance, found)


def randomised_prior_covariance(nngp: GramBlocks, prior: GramBlocks, ntk: GramBlocks, *, scale: float) -> Matrix:
    """Covariance (S,S) at convergence of members `f + scale p`, p an independent frozen network with NNGP kernel `prior`.

    `M (K_f + scale^2 K_p) M^T`: a posterior only where `K_f + scale^2 K_p = T`. Source: Osband et al. 2018.
    """
    same_points(nngp, ntk)
    same_points(prior, ntk)
    beta = float(finite("scale", scale, ndim=0))
    if beta < 0:
        raise InvalidInput(f"scale is {beta:g}.", "A prior function has a scale of at least 0.")
    total = GramBlocks(
        nngp.test + beta**2 * prior.test, nngp.cross + beta**2 * prior.cross, nngp.train + beta**2 * prior.train
    )
    return propagated_covariance(total, linear_smoother(ntk))
