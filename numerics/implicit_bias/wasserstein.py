"""2-Wasserstein distance between Gaussian laws that may be singular, straight from their factors.

W2^2 = ||m_1 - m_2||^2 + ||S_1||_F^2 + ||S_2||_F^2 - 2 ||S_1^T S_2||_*          (nuclear form)
     = ||m_1 - m_2||^2 + min over orthogonal O of ||S_1 - S_2 O||_F^2            (polar form)

with zero columns appended to the shorter factor; the best O is the polar factor of S_2^T S_1. Both equal the Bures
formula in the covariances, whose matrix square roots lose half the digits on singular covariances.

Which one to use: the nuclear form is accurate for the square, to rounding times the squared scale of the laws, so its
root is good only to 1e-8 of the scale when the laws nearly agree; the polar form is accurate for the distance itself.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from .gaussian_law import GaussianLaw


def wasserstein2_squared(first: GaussianLaw, second: GaussianLaw) -> float:
    """W2^2 by the nuclear form, in squared units of the weights.

    The error is a few roundings of ||m_1 - m_2||^2 + ||S_1||_F^2 + ||S_2||_F^2; when the laws agree the result may be
    negative by as much, and is returned as it is. Raises `InvalidInput` when the laws live in different dimensions.
    """
    _same_dimension(first, second)
    nuclear = float(np.linalg.svd(first.factor.T @ second.factor, compute_uv=False).sum())
    shift = float(np.sum((first.mean - second.mean) ** 2))
    return shift + float(np.sum(first.factor**2)) + float(np.sum(second.factor**2)) - 2 * nuclear


def wasserstein2(first: GaussianLaw, second: GaussianLaw) -> float:
    """W2 by the polar form, in units of the weights; the error is a few roundings of the scale of the two laws.

    Raises `InvalidInput` when the laws live in different dimensions.
    """
    _same_dimension(first, second)
    parts = [first.mean - second.mean, first.factor, second.factor]
    scale = max(float(np.abs(part).max()) for part in parts)
    if scale == 0:
        return 0.0
    shift, one, two = (part / scale for part in parts)
    one, two = _graded(one), _graded(two)
    rank = max(one.shape[1], two.shape[1])
    one, two = (np.pad(factor, ((0, 0), (0, rank - factor.shape[1]))) for factor in (one, two))
    left, _, right_t = np.linalg.svd(two.T @ one)
    return scale * float(np.hypot(np.linalg.norm(shift), np.linalg.norm(one - two @ (left @ right_t))))


def _graded(factor: np.ndarray) -> Float[np.ndarray, "parameters rank"]:
    # Rotated from the right until its columns are orthogonal and decrease in length, which leaves the law as it is. The
    # cross product of two such factors is graded from its top left corner down, and its singular vectors then keep the
    # digits that matter for small columns; without this, columns of relative length 1e-8 cost half of the digits.
    left, values, _ = np.linalg.svd(factor, full_matrices=False)
    return left * values


def _same_dimension(first: GaussianLaw, second: GaussianLaw) -> None:
    for law in (first, second):
        if not isinstance(law, GaussianLaw):
            raise InvalidInput(f"got a {type(law).__name__}.", "Pass two GaussianLaw(mean, factor).")
    if first.mean.shape != second.mean.shape:
        raise InvalidInput(f"the laws live in different dimensions: {first.mean.shape} and {second.mean.shape}.")
