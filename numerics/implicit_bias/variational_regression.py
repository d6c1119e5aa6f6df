"""Gaussian variational inference for linear regression with the divergence term left out: what descent converges to.

Model f_w(x) = x^T w, family q = N(mu, S S^T), objective E_q 1/2 ||y - X w||^2 and nothing else; the prior enters only
as the starting point q_0. Descent on (mu, S) ends at the law of minimal expected loss that is nearest to q_0 in
2-Wasserstein distance (Wenger et al., "Variational Deep Learning via Implicit Regularization", arXiv 2505.20235,
Theorem 1). The extension to every X and y, and to competitors that are not Gaussian, is derived in
`proofs/implicit_bias`. Shapes and conventions are those of `least_squares`; prior.mean has shape (parameters,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from .gaussian_law import GaussianLaw
from .least_squares import (
    contraction_factor,
    gradient_descent_limit,
    gradient_descent_path,
    least_squares_problem,
    rounding_floor,
    row_space,
    whole_times,
)


def regression_limit(design: Any, targets: Any, prior: GaussianLaw) -> GaussianLaw:
    """q_inf: mean P mu_0 + X^+ y and factor P S_0, hence covariance P Sigma_0 P, for every stable step.

    P is the orthogonal projector on ker X. Every law of minimal expected loss, Gaussian or not, is at least as far
    from the prior. The factor is one of many (rotations from the right), the one that descent reaches.
    """
    x, y, prior = _checked(design, targets, prior)
    right = row_space(x).right
    factor = prior.factor - right @ (right.T @ prior.factor)
    return GaussianLaw(gradient_descent_limit(x, y, prior.mean), factor)


def regression_path(design: Any, targets: Any, prior: GaussianLaw, *, step: float, time: int) -> GaussianLaw:
    """q_t, the law after `time` steps: the mean follows least squares, and so does each factor column, targets 0."""
    x, y, prior = _checked(design, targets, prior)
    t = int(whole_times(time))
    columns = [gradient_descent_path(x, np.zeros_like(y), column, step=step, time=t) for column in prior.factor.T]
    return GaussianLaw(gradient_descent_path(x, y, prior.mean, step=step, time=t), np.stack(columns, axis=1))


def distance_to_prior_squared(design: Any, targets: Any, prior: GaussianLaw) -> float:
    """W2^2(q_inf, q_0) = ||X^+ (y - X mu_0)||^2 + ||Q S_0||_F^2, in squared units of the weights."""
    x, y, prior = _checked(design, targets, prior)
    space = row_space(x)
    shift = (space.left.T @ (y - x @ prior.mean)) / space.singular_values
    return float(np.sum(shift**2) + np.sum((space.right.T @ prior.factor) ** 2))


def distance_to_limit_bound(design: Any, targets: Any, prior: GaussianLaw, *, step: float, steps: int) -> float:
    """rho^t (||Q (mu_0 - mu_inf)||^2 + ||Q S_0||_F^2)^{1/2}, which bounds W2(q_t, q_inf) in exact arithmetic.

    It also bounds the Euclidean distance between (mu_t, S_t) and (mu_inf, P S_0), from which the first bound follows.
    """
    rho = contraction_factor(design, step)
    return float(rho ** whole_times(steps) * np.sqrt(distance_to_prior_squared(design, targets, prior)))


def law_rounding_floor(design: Any, targets: Any, prior: GaussianLaw, *, step: float, steps: int) -> float:
    """What rounding puts between `steps` float64 steps on (mu, S) and the closed forms, in Euclidean norm.

    `least_squares.rounding_floor` for the mean and for each column of the factor, added in quadrature. Since
    W2 <= ||(mu, S) - (mu', S')||, it covers the distance between the two laws as well.
    """
    x, y, prior = _checked(design, targets, prior)
    runs = [(y, prior.mean)] + [(np.zeros_like(y), column) for column in prior.factor.T]
    return float(np.linalg.norm([rounding_floor(x, goal, start, step=step, steps=steps) for goal, start in runs]))


def _checked(design: Any, targets: Any, prior: GaussianLaw) -> tuple[np.ndarray, np.ndarray, GaussianLaw]:
    if not isinstance(prior, GaussianLaw):
        raise InvalidInput(f"prior is a {type(prior).__name__}.", "Pass GaussianLaw(mean, factor).")
    x, y, _ = least_squares_problem(design, targets, prior.mean)
    return x, y, prior
