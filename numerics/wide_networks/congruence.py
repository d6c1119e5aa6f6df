"""Covariances of linear images, formed from factors so that they are positive semi-definite whatever the rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import GramBlocks, Matrix
from .policy import covariance_factor
from .smoother import LinearSmoother


def image_covariance(operator: Any, covariance: Any) -> Matrix:
    """A C A^T for an operator A (R, P) and a covariance C (P, P), as (A F)(A F)^T with F F^T = C.

    F is Cholesky's factor, else the spectral square root (repeated points, points in the training set). Raises
    InvalidInput for shapes that do not fit, NumericalFailure for a C with an eigenvalue that is negative beyond rounding.
    """
    a, c = finite("operator", operator, ndim=2), finite("covariance", covariance, ndim=2)
    if c.shape != (a.shape[1], a.shape[1]):
        raise InvalidInput(f"operator and covariance have shapes {a.shape} and {c.shape}.", "Pass (R, P) and (P, P).")
    image = a @ covariance_factor("The covariance", (c + c.T) / 2)
    return image @ image.T


def error_operator(smoother: Any) -> Matrix:
    """M = [I, -G] over (test, train) for a smoother G (S, N): maps initial errors to trained ones, (S, S+N)."""
    g = finite("smoother", smoother, ndim=2)
    return np.concatenate([np.eye(len(g)), -g], axis=1)


def checked_smoother(smoother: Any, *kernels: GramBlocks) -> Matrix:
    """`smoother`, an array (S, N) or a LinearSmoother, as a float64 array held to the blocks of every kernel given."""
    g = finite("smoother", smoother.matrix if isinstance(smoother, LinearSmoother) else smoother, ndim=2)
    for kernel in kernels:
        if kernel.cross.shape != g.shape:
            raise InvalidInput(
                f"The smoother has shape {g.shape} and a kernel's cross block {kernel.cross.shape}.",
                "Both are (test points, training points).",
            )
    return g
