"""How the covariance is parametrised decides what descent without a divergence selects, and how fast.

The objective is E ||y - X w||^2 / 2 over N(mu, Sigma), whose covariance part is tr(X Sigma X^T)/2. With Sigma = S S^T and
free S the limit is P Sigma_0 P (`variational_regression`). Here: lower-triangular S (column j then only moves in its own
entries, so it is projected on the kernel of X[:, j:] alone), independent parameters with scales exp(rho) or
log(1 + exp(rho)), and Sigma itself. Shapes are those of `least_squares`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite, float_array
from .gaussian_law import GaussianLaw
from .kl_regression import checked, nonsingular, positive
from .least_squares import design_matrix, gradient_descent_limit, gradient_descent_path, row_space, whole_times


def cholesky_limit(design: Any, targets: Any, prior: GaussianLaw) -> GaussianLaw:
    """The limit when only the lower triangle of the factor is trained: column j is (I - X_j^+ X_j) of its start, X_j = X[:, j:].

    The covariance differs from P Sigma_0 P, depends on the order of the features, and is farther from the prior in W2.
    Raises `InvalidInput` unless the prior's factor is square and lower-triangular.
    """
    x, y, prior = _triangular(design, targets, prior)
    factor = np.zeros_like(prior.factor)
    for j, column in enumerate(prior.factor.T):
        factor[j:, j] = gradient_descent_limit(x[:, j:], 0 * y, column[j:])
    return GaussianLaw(gradient_descent_limit(x, y, prior.mean), factor)


def cholesky_path(design: Any, targets: Any, prior: GaussianLaw, *, step: float, time: int) -> GaussianLaw:
    """The law after `time` steps on the mean and the lower triangle. Raises `AssumptionViolated` on an unstable step."""
    x, y, prior = _triangular(design, targets, prior)
    factor = np.zeros_like(prior.factor)
    for j, column in enumerate(prior.factor.T):
        factor[j:, j] = gradient_descent_path(x[:, j:], 0 * y, column[j:], step=step, time=int(whole_times(time)))
    return GaussianLaw(gradient_descent_path(x, y, prior.mean, step=step, time=int(whole_times(time))), factor)


def log_scale_flow(design: Any, scales: Any, *, time: Any) -> Float[np.ndarray, "*times parameters"]:
    """Scales s_i = exp(rho_i) under gradient flow on rho: s_i(t)^2 = s_i^2 / (1 + 2 ||X_i||^2 s_i^2 t), X_i the i-th column.

    A decay like 1/t of the variance, where flow on the scales themselves decays exponentially. Scales must be positive.
    """
    x, s = _scales(design, scales)
    t = float_array("time", time)
    if t.size and t.min() < 0:
        raise InvalidInput(f"time is negative ({t.min():g}).", "It must be 0 or larger.")
    return np.asarray(s / np.sqrt(1 + 2 * np.sum(x**2, axis=0) * s**2 * t[..., None]))


def softplus_flow_lower_bound(design: Any, scales: Any, *, time: float) -> Float[np.ndarray, " parameters"]:
    """What scales s = log(1 + exp(rho)) keep at least under flow on rho: max(s exp(-c t), s / sqrt(1 + 2 c s^2 t)), c = ||X_i||^2.

    The flow is s' = -c s (1 - exp(-s))^2: exponential while s >> 1, then the law of `log_scale_flow`.
    """
    x, s = _scales(design, scales)
    return np.maximum(s * np.exp(-np.sum(x**2, axis=0) * float(time)), log_scale_flow(x, s, time=time))


def covariance_steps_until_indefinite(design: Any, prior: GaussianLaw, *, step: float) -> float:
    """2 / (step lambda_max(S_0^{-1} H S_0^{-T})): beyond so many steps on Sigma itself, Sigma_0 - step t H/2 is no covariance.

    The gradient H/2 is constant, so the objective is unbounded below. Infinite for a zero design; needs Sigma_0 > 0.
    """
    x = design_matrix(design)
    _, _, prior = checked(x, np.zeros(len(x)), prior)
    root = np.linalg.cholesky(nonsingular(prior))
    norm = row_space(np.linalg.solve(root, x.T)).norm
    return 2 / (positive("step", step) * norm**2) if norm > 0 else math.inf


def _triangular(design: Any, targets: Any, prior: Any) -> tuple[np.ndarray, np.ndarray, GaussianLaw]:
    x, y, prior = checked(design, targets, prior)
    factor = prior.factor
    if factor.shape[0] != factor.shape[1] or np.triu(factor, 1).any():
        raise InvalidInput(
            f"the prior's factor has shape {factor.shape} and is not lower-triangular.",
            "Pass np.linalg.cholesky(covariance), or use `variational_regression` for other factors.",
        )
    return x, y, prior


def _scales(design: Any, scales: Any) -> tuple[np.ndarray, np.ndarray]:
    x, s = design_matrix(design), finite("scales", scales, ndim=1)
    if s.shape != x.shape[1:] or s.min() <= 0:
        raise InvalidInput(
            f"scales has shape {s.shape} for {x.shape[1]} parameters.", "Pass one positive scale for each."
        )
    return x, s
