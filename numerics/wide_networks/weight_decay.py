"""Weight decay towards the origin: it moves the prior, by a factor that only bias-free homogeneous networks make explicit."""

from __future__ import annotations

import warnings
from typing import Any

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from .ensemble import EnsembleLaw, ensemble_law
from .gram import GramBlocks


class PriorMoved(UserWarning):
    """Training pulls functions away from their initial prior."""


def weight_decay_law(offset: GramBlocks, ntk: GramBlocks, labels: Any, *, ridge_sum_loss: float) -> EnsembleLaw:
    """Members trained to convergence on `1/2 sum (f - y)^2 + lam/2 |theta|^2`, linearised: `g0 + G (y - g0(X))`.

    g0 = f0 - J theta0 is what is left of the initial function; `offset` is its covariance. For ReLU networks without
    biases use `relu_offset`. Penalise |theta - theta0|^2 instead (`ensemble_law`) to keep the prior f0.
    """
    if not float(finite("ridge_sum_loss", ridge_sum_loss, ndim=0)) > 0:
        raise InvalidInput(f"ridge_sum_loss is {ridge_sum_loss!r}.", "Decay needs a positive weight.")
    return ensemble_law(offset, ntk, labels, ridge_sum_loss=ridge_sum_loss)


def relu_offset(nngp: GramBlocks, *, weight_layers: int) -> GramBlocks:
    """Covariance (L-1)^2 K of g0 = (1 - L) f0 for a bias-free ReLU network with L weight layers, where J theta0 = L f0.

    Warns (`PriorMoved`): weight decay to the origin multiplies the prior variance, and for L = 2 only seems not to.
    Source: Euler's identity for functions that are homogeneous of degree L in their parameters.
    """
    factor = float((sample_size("weight_layers", weight_layers) - 1) ** 2)
    warnings.warn(
        f"Weight decay to the origin replaces the initial function f0 by {1 - weight_layers} f0: the prior variance is "
        f"multiplied by {factor:g}. Penalise |theta - theta0|^2 to keep it.",
        PriorMoved,
        stacklevel=2,
    )
    return GramBlocks(factor * nngp.test, factor * nngp.cross, factor * nngp.train)
