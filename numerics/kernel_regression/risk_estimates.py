"""Estimates of the test error of kernel regression from the training data alone: GCV and leave-one-out (iw.gcv)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative
from ..wide_networks.policy import cholesky


@dataclass(frozen=True)
class RiskEstimates:
    """`kappa` = 1/tr (K + ridge)^{-1} estimates the kappa of eigenlearning.

    `gcv` estimates the mean squared test error (with label noise), `leave_one_out` is the exact mean squared error of
    the n refits without one example each; `train_error` is what both start from.
    """

    kappa: float
    gcv: float
    leave_one_out: float
    train_error: float


def risk_estimates(*, gram: Any, labels: Any, ridge_sum_loss: float) -> RiskEstimates:
    """GCV `= train error / ((ridge/n) tr R)^2 = n |R y|^2/(tr R)^2`, R = (K + ridge)^{-1}; ridge 0 is its limit.

    `gram` (n, n), `labels` (n,), `ridge_sum_loss` added to the Gram matrix (n times the penalty of the mean loss). The
    right-hand form divides by no ridge: `|K^{-1} y|^2/n / (tr K^{-1}/n)^2` without one. Leave-one-out residuals are
    `(R y)_i / R_ii`. Source: Golub et al. 1979; Wei et al. 2022 for kernels. Raises SingularGram.
    """
    k, y = finite("gram", gram, ndim=2), finite("labels", labels, ndim=1)
    if k.shape != (len(y), len(y)) or not len(y):
        raise InvalidInput(f"gram has shape {k.shape} for {len(y)} labels.", "Pass the Gram matrix of the same inputs.")
    ridge = float(non_negative("ridge_sum_loss", finite("ridge_sum_loss", ridge_sum_loss, ndim=0)))
    n = len(y)
    factor = cholesky("K_XX + ridge", (k + k.T) / 2 + ridge * np.eye(n))
    half: NDArray[np.float64] = scipy.linalg.solve_triangular(factor, np.eye(n), lower=True)
    diagonal = np.sum(half**2, axis=0)
    weights = half.T @ (half @ y)
    trace = float(diagonal.sum())
    square = float(weights @ weights)
    return RiskEstimates(
        1 / trace, n * square / trace**2, float(np.mean((weights / diagonal) ** 2)), ridge**2 * square / n
    )
