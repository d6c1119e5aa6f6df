"""Step sizes and numbers of steps of gradient descent and heavy ball on `1/2 sum (f - y)^2` (no 1/N), from T_XX.

For the mean loss `1/(2NC) sum` every step size is NC times the one returned here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import EPS, Matrix, refuse_coarse
from .policy import SingularGram, non_negative
from .smoother import multiplicities
from .training import UnstableStep


def largest_step_size_sum_loss(ntk_train: Any, *, momentum: float = 0.0, multiplicity: Any = None) -> float:
    """2 (1 + momentum)/lambda_max(T_XX): descent (heavy ball) converges iff its step is strictly below.

    `multiplicity` counts repeated inputs: they raise lambda_max to that of D^{1/2} T D^{1/2}. Raises InvalidInput.
    """
    if not 0 <= float(finite("momentum", momentum, ndim=0)) < 1:
        raise InvalidInput(f"momentum is {momentum!r}.", "Heavy ball is stable only for 0 <= momentum < 1.")
    return 2 * (1 + momentum) / float(_eigenvalues(ntk_train, multiplicity)[-1])


def best_step_size_sum_loss(ntk_train: Any, *, multiplicity: Any = None) -> float:
    """2/(lambda_max + lambda_min), the constant step whose slowest mode is fastest. Raises InvalidInput."""
    eigenvalues = _eigenvalues(ntk_train, multiplicity)
    return 2 / float(eigenvalues[-1] + eigenvalues[0])


def steps_to_tolerance(
    ntk_train: Any, *, step_size_sum_loss: float, relative_residual: float, multiplicity: Any = None
) -> int:
    """Steps of descent after which |f(X) - y| <= relative_residual |f0(X) - y|, whatever the labels.

    log(1/tau)/(eta lambda_min) for eta <= 2/(lambda_max + lambda_min); above, the top mode is the slow one:
    log(1/tau)/(-log|1 - eta lambda_max|). Raises UnstableStep, SingularGram, InvalidInput.
    """
    eta = float(finite("step_size_sum_loss", step_size_sum_loss, ndim=0))
    tau = float(finite("relative_residual", relative_residual, ndim=0))
    if eta <= 0 or not 0 < tau < 1:
        raise InvalidInput(
            f"step_size_sum_loss is {eta:g}, relative_residual {tau:g}.",
            "Use a positive step and a tolerance in (0, 1).",
        )
    eigenvalues = _eigenvalues(ntk_train, multiplicity)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if eta * largest >= 2:
        raise UnstableStep(eta, 2 / largest)
    if smallest <= len(eigenvalues) * EPS * largest:
        raise SingularGram("T_XX", eigenvalues)
    slow = eta * smallest if eta * (largest + smallest) <= 2 else -math.log(abs(1 - eta * largest))
    # the quotient carries the eigenvalue's rounding, N eps lambda_max/lambda_min relative: round it up by that much
    return math.ceil(math.log(1 / tau) / slow * (1 + 10 * len(eigenvalues) * EPS * largest / min(smallest, slow / eta)))


def steps_of_modes(
    eigenvalues: Matrix, shares: Matrix, *, step_size_sum_loss: float, relative_residual: float
) -> float:
    """Least k with sum_i s_i (1 - eta l_i)^(2k) <= tau^2 sum_i s_i: steps of linear descent on a residual whose square has the shares s_i in
    the modes of eigenvalues l_i, or, for shares that are expectations, steps until the mean square residual is there. inf where no k is.
    """
    with np.errstate(divide="ignore"):  # a mode that one step removes
        decay = 2 * np.log(np.abs(1 - step_size_sum_loss * eigenvalues))
        small = np.abs(step_size_sum_loss * eigenvalues) < 0.5
        decay[small] = 2 * np.log1p(-step_size_sum_loss * eigenvalues[small])
    # e^-1e6 is 0, and minus infinity times no step would be no number
    decay = np.where(shares > 0, np.maximum(decay, -1e6), -1.0)
    goal = relative_residual**2 * shares.sum()

    def left(steps: int) -> float:
        with np.errstate(over="ignore"):
            return float((shares * np.exp(decay * steps)).sum())

    if left(0) <= goal:
        return 0.0
    many = 1
    while not left(many) <= goal:
        many *= 2
        if many > 2**60:
            return math.inf
    few = many // 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if left(middle) <= goal else (middle, many)
    return float(many)


def _eigenvalues(ntk_train: Any, multiplicity: Any) -> Matrix:
    refuse_coarse("ntk_train", ntk_train)
    kernel = finite("ntk_train", ntk_train, ndim=2)
    if kernel.shape[0] != kernel.shape[1] or not len(kernel):
        raise InvalidInput(f"ntk_train has shape {kernel.shape}.", "Pass T_XX.")
    root = np.sqrt(multiplicities(multiplicity, len(kernel)))
    values = np.linalg.eigvalsh(root[:, None] * (kernel + kernel.T) / 2 * root)
    eigenvalues = non_negative("T_XX", values.astype(np.float64))
    if eigenvalues[-1] <= 0:
        raise InvalidInput("ntk_train is 0.", "No step trains such a network.")
    return eigenvalues
