"""Linear regression with an explicit W2 term to the prior: the law of many ridge regressions, each to its own start.

Objective over all laws q: E_q ||y - X w||^2 / 2 + (penalty / 2) W2^2(q, q_0). The minimiser is the image of q_0 under
w_0 -> argmin_w ||y - X w||^2/2 + (penalty/2) ||w - w_0||^2, so it costs one linear solve, and is Gaussian where q_0 is.
With vanishing penalty it tends to the law that descent without a divergence reaches (`variational_regression`).
Shapes are those of `least_squares`; derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .gaussian_law import GaussianLaw
from .kl_regression import checked, positive
from .least_squares import UNIT_ROUNDOFF, row_space
from .spectral_filters import filter_rounding_floor, ridge_path
from .variational_regression import distance_to_prior_squared
from .wasserstein import wasserstein2_squared


def proximal_law(design: Any, targets: Any, prior: GaussianLaw, *, penalty: float) -> GaussianLaw:
    """Mean mu_0 + X^T (X X^T + penalty)^{-1} (y - X mu_0), factor (I + H/penalty)^{-1} S_0, for penalty > 0."""
    x, y, prior = checked(design, targets, prior)
    lam = positive("penalty", penalty)
    columns = [ridge_path(x, 0 * y, column, penalty=lam) for column in prior.factor.T]
    return GaussianLaw(ridge_path(x, y, prior.mean, penalty=lam), np.stack(columns, axis=1))


def wasserstein_objective(design: Any, targets: Any, law: GaussianLaw, prior: GaussianLaw, *, penalty: float) -> float:
    """E_q ||y - X w||^2 / 2 + (penalty / 2) W2^2(q, q_0) of a Gaussian law, singular or not."""
    x, y, law = checked(design, targets, law)
    fit = float(np.sum((y - x @ law.mean) ** 2) + np.sum((x @ law.factor) ** 2)) / 2
    return fit + positive("penalty", penalty) / 2 * wasserstein2_squared(law, prior)


def least_wasserstein_objective(design: Any, targets: Any, prior: GaussianLaw, *, penalty: float) -> float:
    """Its least value over all laws: sum over modes of penalty/(2 (s^2 + penalty)) E (u^T y - s v^T w_0)^2, and the rest of y."""
    x, y, prior = checked(design, targets, prior)
    lam, space = positive("penalty", penalty), row_space(x)
    mode = (space.left.T @ (y - x @ prior.mean)) ** 2 + np.sum((space.left.T @ x @ prior.factor) ** 2, axis=1)
    rest = y - space.left @ (space.left.T @ y)
    return float(np.sum(lam / (space.singular_values**2 + lam) * mode) + np.sum(rest**2)) / 2


def distance_to_zero_penalty(design: Any, targets: Any, prior: GaussianLaw, *, penalty: float) -> float:
    """penalty/(penalty + h_min) W2(q_inf, q_0), which bounds W2(q_penalty, q_inf) and the distance of mean and factor."""
    x, y, prior = checked(design, targets, prior)
    values, lam = row_space(x).singular_values, positive("penalty", penalty)
    if not values.size:
        return 0.0
    return float(lam / (lam + values[-1] ** 2) * np.sqrt(distance_to_prior_squared(x, y, prior)))


def proximal_rounding_floor(design: Any, targets: Any, prior: GaussianLaw, *, penalty: float) -> float:
    """Rounding of `proximal_law` in mean and factor: `spectral_filters.filter_rounding_floor`, added in quadrature."""
    x, y, prior = checked(design, targets, prior)
    runs = [(y, prior.mean)] + [(0 * y, column) for column in prior.factor.T]
    floors = [filter_rounding_floor(x, goal, start, time=1 / positive("penalty", penalty)) for goal, start in runs]
    return float(np.linalg.norm(floors)) + UNIT_ROUNDOFF * float(np.linalg.norm(prior.factor))
