"""Predictions of a linear model after variational training without a divergence: a Gaussian law of functions.

With features phi(x), the training design X of rows phi(x_n) and a prior N(mu_0, Sigma_0) on the weights, let
K(x, x') = phi(x) Sigma_0 phi(x')^T, Th(x, x') = phi(x) phi(x')^T and G(x) = Th(x, X) Th(X, X)^+. Training ends at the law

    mean phi mu_0 + G (y - X mu_0),    covariance K(x,x') - G(x) K(X,x') - K(x,X) G(x')^T + G(x) K(X,X) G(x')^T

of the outputs: no variance at the training inputs, the prior's where Th(x, X) = 0. It is the Gaussian process with kernel K
conditioned on the data without noise exactly if P Sigma_0 Q = 0, Q the projector on the rows of X and P = I - Q: for every
isotropic prior, and hardly any other. Shapes are those of `least_squares`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix, row_space
from .variational_regression import regression_limit


@dataclass(frozen=True, eq=False)
class PredictiveLaw:
    """Outputs at the test inputs: N(mean, factor factor^T), mean (tests,), factor (tests, rank)."""

    mean: Float[np.ndarray, " tests"]
    factor: Float[np.ndarray, "tests rank"]

    @property
    def covariance(self) -> Float[np.ndarray, "tests tests"]:
        """factor factor^T, positive semi-definite as computed."""
        return self.factor @ self.factor.T

    @property
    def variance(self) -> Float[np.ndarray, " tests"]:
        """The diagonal of the covariance, never negative."""
        return np.asarray(np.sum(self.factor**2, axis=1))


def predictive_law(design: Any, targets: Any, tests: Any, prior: GaussianLaw) -> PredictiveLaw:
    """The law of the outputs at the rows of `tests` (tests, parameters) after training on design and targets.

    Computed from the limit law's mean and factor, so that no kernel matrix is inverted. Raises `InvalidInput`.
    """
    limit = regression_limit(design, targets, prior)
    rows = design_matrix(tests)
    if rows.shape[1:] != limit.mean.shape:
        raise InvalidInput(
            f"tests has shape {rows.shape}, the weights {limit.mean.shape}.", "Pass one feature per weight."
        )
    return PredictiveLaw(rows @ limit.mean, rows @ limit.factor)


def distance_from_conditioning(design: Any, prior: GaussianLaw) -> float:
    """||P Sigma_0 Q||_F / ||Sigma_0||_F: zero (to rounding) exactly if training ends at the noise-free Gaussian process.

    Raises `InvalidInput` for a prior without spread or of another dimension.
    """
    x = design_matrix(design)
    size = float(np.linalg.norm(prior.factor @ prior.factor.T))
    if x.shape[1:] != prior.mean.shape or size == 0:
        raise InvalidInput(
            f"design has shape {x.shape}, the prior {prior.factor.shape}.",
            "Pass one feature per weight and a factor with a nonzero entry.",
        )
    right = row_space(x).right
    inside = right @ (right.T @ prior.factor)
    return float(np.linalg.norm((prior.factor - inside) @ inside.T)) / size
