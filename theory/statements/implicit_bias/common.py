"""Implicit bias: what its theorems assume. X is N x P with rows x_n^T, Q = X^+ X projects on its rows, P = I - Q on ker X."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...statement import Assumption


def _stable(setting: Any) -> bool:
    largest = float(np.linalg.norm(setting.design, 2)) if setting.design.size else 0.0
    return bool(0 < setting.step * largest**2 < 2)


STABLE_STEP = Assumption("stable step", "0 < eta < 2/h_max, h_max the largest eigenvalue of X^T X.", _stable)


def _stable_momentum(setting: Any) -> bool:
    largest = float(np.linalg.norm(setting.design, 2)) if setting.design.size else 0.0
    top = 2 * (1 + setting.momentum) / (1 if setting.variant == "heavy_ball" else 1 + 2 * setting.momentum)
    return bool(0 <= setting.momentum < 1 and 0 < setting.step * largest**2 < top)


STABLE_MOMENTUM = Assumption(
    "stable step",
    "0 <= beta < 1 and 0 < eta h_max < 2 (1 + beta); for Nesterov eta h_max < 2 (1 + beta)/(1 + 2 beta).",
    _stable_momentum,
)


def _stable_in_metric(setting: Any) -> bool:
    matrix = setting.design @ setting.metric @ setting.design.T
    return bool(0 < setting.step * (float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0) < 2)


STABLE_METRIC_STEP = Assumption(
    "stable step", "0 < eta < 2/lambda_max(X D X^T), D symmetric positive definite.", _stable_in_metric
)


def _interpolates(setting: Any) -> bool:
    solution = np.linalg.lstsq(setting.design, setting.targets, rcond=None)[0] if setting.design.size else None
    residual = setting.targets if solution is None else setting.targets - setting.design @ solution
    return bool(np.linalg.norm(residual) <= 1e-10 * np.linalg.norm(setting.targets))


INTERPOLATION = Assumption("interpolation", "X w = y has a solution (to 1e-10 of y).", _interpolates)
STABLE_BATCH_STEP = Assumption(
    "stable step", "0 < eta < 2/L_max, L_max the largest eigenvalue of (N/B) sum x_n x_n^T over any batch."
)


def _stable_in_both(setting: Any) -> bool:
    x, both = setting.design, (setting.mean_metric, setting.factor_metric)
    return bool(setting.step > 0 and all(setting.step * float(np.linalg.norm(x @ d @ x.T, 2)) < 2 for d in both))


def _nonsingular(setting: Any) -> bool:
    values = np.linalg.svd(setting.prior_factor, compute_uv=False)
    return bool(len(values) == len(setting.prior_mean) and values[-1] > len(values) * 2.0**-52 * values[0])


STABLE_METRICS = Assumption(
    "stable step", "0 < eta < 2/lambda_max(X D X^T) for both metrics, symmetric positive definite.", _stable_in_both
)
NONSINGULAR_PRIOR = Assumption("nonsingular prior", "Sigma_0 is invertible.", _nonsingular)
HALF_SUM = Assumption(
    "loss convention", "The loss is half the sum of squared errors; steps for other conventions are converted first."
)
