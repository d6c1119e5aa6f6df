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
