"""Variational regression with the same few noise draws at every step: what is trained, and what never is.

With fixed draws z_1, ..., z_K the matrix U = (1/K) sum u_k u_k^T, u_k = (1, z_k), is constant, and descent on
W = [mean - w, factor], w a least-squares solution, is W <- W - step X^T X W U. With Pi the orthogonal projector on the
span of the u_k it ends at W_0 - Q W_0 Pi: the sampled weights mean + factor z_k fit the data and nothing else does. With
K <= rank the span is not everything: variance stays at the training inputs, and the mean need not fit. rank + 1 draws
whose u_k are independent are enough for the limit of exact training. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite
from .gaussian_law import GaussianLaw
from .least_squares import gradient_descent_limit, least_squares_problem, row_space


@dataclass(frozen=True, eq=False)
class FixedDraws:
    """The span of u_k = (1, z_k): its orthonormal basis (1 + rank, dimension) and the nonzero eigenvalues of U, decreasing."""

    basis: Float[np.ndarray, "columns dimension"]
    eigenvalues: Float[np.ndarray, " dimension"]

    @property
    def complete(self) -> bool:
        """Whether every direction of mean and factor is trained, so that the limit is that of exact training."""
        return self.basis.shape[1] == self.basis.shape[0]


def fixed_draws(draws: Any, *, rank: int) -> FixedDraws:
    """Read draws of shape (draws, rank); directions within rounding of not being spanned count as not spanned."""
    z = finite("draws", draws, ndim=2)
    if z.shape[1] != rank or not len(z):
        raise InvalidInput(f"draws has shape {z.shape} for rank {rank}.", "Pass one row of rank numbers per draw.")
    space = row_space(np.column_stack([np.ones(len(z)), z]))
    return FixedDraws(space.right, space.singular_values**2 / len(z))


def fixed_noise_limit(design: Any, targets: Any, prior: GaussianLaw, *, draws: Any) -> GaussianLaw:
    """Where descent with these draws (draws, rank) at every step ends: W_0 - Q W_0 Pi, for every stable step.

    Raises `InvalidInput` on shapes that do not belong together. Compare `regression_limit`, the limit with fresh draws.
    """
    x, y, _ = least_squares_problem(design, targets, prior.mean)
    basis = fixed_draws(draws, rank=prior.factor.shape[1]).basis
    right = row_space(x).right
    off = np.column_stack([prior.mean - gradient_descent_limit(x, y, prior.mean), right @ (right.T @ prior.factor)])
    moved = (off @ basis) @ basis.T
    return GaussianLaw(prior.mean - moved[:, 0], prior.factor - moved[:, 1:])


def training_variance(design: Any, law: GaussianLaw) -> Float[np.ndarray, " examples"]:
    """||factor^T x_n||^2, the variance of the prediction at each row of the design."""
    x, _, _ = least_squares_problem(design, np.zeros(len(np.asarray(design))), law.mean)
    return np.asarray(np.sum((x @ law.factor) ** 2, axis=1))


def largest_fixed_noise_step(design: Any, *, draws: Any, rank: int) -> float:
    """2 / (h_max u_max), u_max the largest eigenvalue of U; infinite when the design is zero."""
    norm, largest = row_space(design).norm, float(fixed_draws(draws, rank=rank).eigenvalues[0])
    return 2 / (norm**2 * largest) if norm > 0 else math.inf


def fixed_noise_contraction(design: Any, *, step: float, draws: Any, rank: int) -> float:
    """max |1 - step h u| over the nonzero eigenvalues h of X^T X and u of U: the factor per step of what is trained at all.

    Raises `AssumptionViolated` when the step is not stable.
    """
    eta = float(finite("step", step, ndim=0))
    space, spectrum = row_space(design), fixed_draws(draws, rank=rank).eigenvalues
    if eta <= 0:
        raise InvalidInput(f"step is {eta:g}.", "It must be positive.")
    if not space.singular_values.size:
        return 0.0
    speeds = eta * np.outer(space.singular_values**2, spectrum)
    rho = float(np.abs(1 - speeds).max())
    if rho >= 1:
        raise AssumptionViolated(
            f"step {eta:g} is not stable with these draws: the contraction factor is {rho:g} (ib.fixed_noise).",
            f"Stay below {largest_fixed_noise_step(design, draws=draws, rank=rank):g}.",
        )
    return rho
