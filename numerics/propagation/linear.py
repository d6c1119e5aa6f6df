"""A linear layer with random weights and random inputs (vp.linear)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, non_negative
from .moments import Moments, representable, state


def linear(
    mean: Any, variance: Any, weight_mean: Any, weight_variance: Any, bias_mean: Any, bias_variance: Any
) -> Moments:
    """Mean and marginal variance of y = W x + b, for inputs of shape (..., n_in) and weights of shape (n_out, n_in).

        mean_i = sum_j Wbar_ij m_j + bbar_i
        var_i  = sum_j [Wbar_ij^2 v_j + S_ij (m_j^2 + v_j)] + Sb_i          (S, Sb: the variances of W and b)

    Exact when all entries of W and b are independent of one another and of x, and the inputs are uncorrelated; no
    distribution is assumed. Every term of the variance is non-negative, so nothing cancels. Raises `InvalidInput` for
    NaN, infinities, negative variances or shapes that do not fit, `NumericalFailure` on overflow.
    Source: law of total variance; derived in `proofs.variance_propagation.one_hidden`.
    """
    x = state(mean, variance)
    weight_mean = finite("weight_mean", weight_mean, ndim=2)
    bias_mean = finite("bias_mean", bias_mean, ndim=1)
    weight_variance = finite("weight_variance", non_negative("weight_variance", weight_variance), ndim=2)
    bias_variance = finite("bias_variance", non_negative("bias_variance", bias_variance), ndim=1)
    n_out, n_in = weight_mean.shape
    if x.mean.ndim == 0 or x.mean.shape[-1] != n_in:
        raise InvalidInput(
            f"The inputs have shape {x.mean.shape}, the weights {weight_mean.shape}.", "Need (..., n_in)."
        )
    if weight_variance.shape != (n_out, n_in) or bias_mean.shape != (n_out,) or bias_variance.shape != (n_out,):
        raise InvalidInput(
            f"Weights {weight_mean.shape}, their variances {weight_variance.shape}, biases {bias_mean.shape} and their "
            f"variances {bias_variance.shape} do not fit.",
            f"For these weights they are ({n_out}, {n_in}), ({n_out},) and ({n_out},).",
        )
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported below, by name
        spread = x.variance @ np.square(weight_mean).T + (np.square(x.mean) + x.variance) @ weight_variance.T
        return representable(Moments(x.mean @ weight_mean.T + bias_mean, spread + bias_variance))
