"""The state that variance propagation carries: a mean and a marginal variance for every unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite, non_negative


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and marginal variance, of the same shape (a "diagonal state": covariances are not carried)."""

    mean: Float[NDArray[np.float64], "*shape"]
    variance: Float[NDArray[np.float64], "*shape"]


def state(mean: Any, variance: Any) -> Moments:
    """Checked moments: finite, non-negative variance, equal shapes. Raises `InvalidInput`."""
    mean, variance = finite("mean", mean), finite("variance", non_negative("variance", variance))
    if mean.shape != variance.shape:
        raise InvalidInput(
            f"The mean has shape {mean.shape}, the variance {variance.shape}.", "Each unit has one of both."
        )
    return Moments(mean, variance)


def representable(moments: Moments) -> Moments:
    """The same moments, or `NumericalFailure` if float64 could not hold them."""
    if not (np.isfinite(moments.mean).all() and np.isfinite(moments.variance).all()):
        raise NumericalFailure("A propagated moment overflows float64.", "Rescale the inputs or the weights.")
    return moments
