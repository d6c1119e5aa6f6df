"""Gaussian laws N(mean, factor factor^T), singular ones included: the variational family of implicit-bias theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite


@dataclass(frozen=True, eq=False)
class GaussianLaw:
    """The law of mean + factor z, z ~ N(0, I_rank).

    mean has shape (parameters,), factor (parameters, rank) with any rank of at least 1; a zero factor is a point mass.
    The law determines the factor only up to rotation from the right. Raises `InvalidInput` on NaN, infinity or shapes
    that do not belong together.
    """

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]

    def __post_init__(self) -> None:
        mean, factor = finite("mean", self.mean, ndim=1), finite("factor", self.factor, ndim=2)
        if factor.shape[0] != mean.shape[0] or 0 in factor.shape:
            raise InvalidInput(
                f"mean has shape {mean.shape}, factor {factor.shape}.",
                "The factor needs one row per entry of the mean and at least one column; pass zeros for a point mass.",
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "factor", factor)


def covariance(law: GaussianLaw) -> Float[np.ndarray, "parameters parameters"]:
    """factor factor^T, which unlike the factor is unique."""
    return law.factor @ law.factor.T
