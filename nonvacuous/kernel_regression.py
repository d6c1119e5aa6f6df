"""Kernel regression: learning curves, risk estimates, norms and certificates of kernel and Gaussian-process predictors."""

from .numerics.kernel_regression.alignment import alignment
from .numerics.kernel_regression.eigenlearning import RankTooSmall, eigenlearning
from .numerics.kernel_regression.gaussian_process_bound import gaussian_process_bound, gaussian_process_kl
from .numerics.kernel_regression.rademacher import (
    arora2019_bound,
    arora2019_leading_term,
    interpolant_norm,
    kernel_ball_bound,
)
from .numerics.kernel_regression.ridgeless import optimal_ridge, ridgeless_risk, ridgeless_risk_at
from .numerics.kernel_regression.risk_estimates import risk_estimates
from .numerics.kernel_regression.spectral import residual_modes, zonal_spectrum

__all__ = [
    "RankTooSmall",
    "alignment",
    "arora2019_bound",
    "arora2019_leading_term",
    "eigenlearning",
    "gaussian_process_bound",
    "gaussian_process_kl",
    "interpolant_norm",
    "kernel_ball_bound",
    "optimal_ridge",
    "residual_modes",
    "ridgeless_risk",
    "ridgeless_risk_at",
    "risk_estimates",
    "zonal_spectrum",
]
