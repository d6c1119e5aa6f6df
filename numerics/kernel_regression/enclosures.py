"""How far computed eigenvalues and solutions can be from the exact ones: bounds from residuals, in float64.

A product of inner dimension k is within gamma_k |A||B| of the exact one, gamma_k = k u/(1 - k u) and u = 2^-53, in
whatever order it is summed. Everything here is proved from that and from the residual that was found, so no property
of the factorisation that produced it is trusted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

UNIT = 2.0**-53


def gamma(operations: int) -> float:
    """Bound on the relative error of `operations` roundings, itself rounded upward."""
    return operations * UNIT * (1 + 2 * operations * UNIT + 4 * UNIT)


def norm_up(vector: Any) -> float:
    """At least the Euclidean (Frobenius) norm of an array."""
    array = np.asarray(vector, dtype=np.float64)
    return float(np.sqrt(np.sum(array**2))) * (1 + gamma(array.size + 4))


def residual_norms(matrix: Matrix, shift: float, solution: Matrix, right: Matrix) -> Matrix:
    """At least the norm of each column of `right - (matrix + shift I) solution`; shapes (N, N), (N, C), (N, C)."""
    found = right - matrix @ solution - shift * solution
    size = np.abs(matrix) @ np.abs(solution) + abs(shift) * np.abs(solution) + np.abs(right)
    wide = np.abs(found) + gamma(matrix.shape[0] + 8) * size
    return np.array([norm_up(column) for column in wide.T])


def spectrum_error(matrix: Matrix, eigenvalues: Matrix, vectors: Matrix) -> float:
    """At least the largest |l_i - l^_i| over the sorted eigenvalues of a symmetric matrix and the computed ones.

    With V the orthogonal matrix next to the computed V^, |V^ - V| <= e = |V^^T V^ - I|, and
    `A V - V D = (A V^ - V^ D) + A (V - V^) + (V^ - V) D`. Weyl: the eigenvalues of A and D differ by at most its norm.
    """
    size = matrix.shape[0]
    entries = norm_up(matrix)
    largest = float(np.abs(eigenvalues).max())
    columns = norm_up(vectors)
    orthogonality = norm_up(vectors.T @ vectors - np.eye(size)) + gamma(size + 4) * (columns**2 + math.sqrt(size))
    residual = norm_up(matrix @ vectors - vectors * eigenvalues) + gamma(size + 4) * columns * (entries + largest)
    return (residual + orthogonality * (entries + largest)) * (1 + gamma(16))
