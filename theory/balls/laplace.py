"""The linearised Laplace covariance J(x) H^-1 J(x)^T by a dense inverse in weight space, in ball arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, arb_mat
from numpy.typing import NDArray


def weight_space_blocks(
    jacobian: NDArray[np.float64],
    outputs: NDArray[np.float64],
    test_jacobian: NDArray[np.float64],
    prior_precision: float,
    noise_variance: float | None,
) -> list[Any]:
    """Entries of the (outputs x outputs) covariance at each test input, one after the other, at the current precision.

    H = sum_n J_n^T L_n J_n + prior_precision I, with L_n = I / noise_variance, or diag(p) - p p^T for p = softmax(outputs_n)
    where `noise_variance` is None. Floats are taken at their exact value.
    """
    size, width = jacobian.shape[2], outputs.shape[1]
    precision = arb_mat(size, size)
    for i in range(size):
        precision[i, i] = arb(prior_precision)
    for rows, logits in zip(jacobian, outputs, strict=True):
        weight = [arb(float(value)).exp() for value in logits]
        p = [value / sum(weight, arb(0)) for value in weight]
        curvature = arb_mat(width, width)
        for i in range(width):
            for j in range(width):
                same = arb(int(i == j))
                curvature[i, j] = same * p[i] - p[i] * p[j] if noise_variance is None else same / arb(noise_variance)
        precision += _matrix(rows.T) * curvature * _matrix(rows)
    inverse = precision.inv()
    blocks = [_matrix(test) * inverse * _matrix(test.T) for test in test_jacobian]
    return [block[i, j] for block in blocks for i in range(width) for j in range(width)]


def _matrix(values: NDArray[np.float64]) -> Any:
    return arb_mat([[arb(float(value)) for value in row] for row in values])
