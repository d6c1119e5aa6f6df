"""Random and exact linear-regression problems on which the results of this area are checked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from flint import arb, fmpq, fmpq_mat
from jaxtyping import Float

from ...numerics.implicit_bias.least_squares import contraction_factor


def random_design(rng: np.random.Generator) -> Float[np.ndarray, "examples parameters"]:
    """Any shape from 2 to 9, any rank, condition number up to 6, scale from 1/10 to 10."""
    n, p = (int(size) for size in rng.integers(2, 10, size=2))
    rank = int(rng.integers(1, min(n, p) + 1))
    left, right = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (n, p))
    return 10 ** rng.uniform(-1, 1) * (left * rng.uniform(0.4, 2.4, rank)) @ right.T


def random_times(design: np.ndarray, step: float) -> tuple[int, ...]:
    """Early, middle and late numbers of steps; after the last one the error has shrunk by a factor of about e^-30."""
    last = math.ceil(30 / -math.log(max(contraction_factor(design, step), 0.1)))
    return (1, 2 + last // 30, 3 + last // 8, 4 + last)


def integer_design(rng: np.random.Generator) -> Float[np.ndarray, "examples parameters"]:
    """A nonzero design of small integers, so that its rank is the same in floats and in fractions; often deficient."""
    n, p, rank = (int(size) for size in rng.integers(1, 5, size=3))
    while True:
        design = rng.integers(-2, 3, size=(n, rank)) @ rng.integers(-2, 3, size=(rank, p))
        if design.any():
            return design.astype(np.float64)


# --- exact rational arithmetic: floats are fractions, and nothing below rounds --------------------------------------


def rational(array: np.ndarray) -> fmpq_mat:
    """A float64 matrix, or vector as a column, in exact fractions."""
    matrix = array[:, None] if array.ndim == 1 else array
    entries = [fmpq(f.numerator, f.denominator) for f in map(Fraction, matrix.ravel().tolist())]
    return fmpq_mat(matrix.shape[0], matrix.shape[1], entries)


def identity(size: int) -> fmpq_mat:
    return fmpq_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])


def pseudo_inverse(x: fmpq_mat) -> fmpq_mat:
    """X^+ = F^T (F F^T)^{-1} (C^T C)^{-1} C^T, where X = C F, F the nonzero rows of its reduced echelon form."""
    echelon, rank = x.rref()
    f = fmpq_mat(rank, x.ncols(), [echelon[i, j] for i in range(rank) for j in range(x.ncols())])
    pivots = [next(j for j in range(x.ncols()) if f[i, j] != 0) for i in range(rank)]
    c = fmpq_mat(x.nrows(), rank, [x[i, j] for i in range(x.nrows()) for j in pivots])
    return f.transpose() * (f * f.transpose()).inv() * (c.transpose() * c).inv() * c.transpose()


def sum_of_squares(matrix: fmpq_mat) -> fmpq:
    return sum((entry * entry for entry in matrix.entries()), fmpq(0))


def balls(matrix: fmpq_mat) -> list[arb]:
    return [arb(entry) for entry in matrix.entries()]


def small_designs() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Every 2 x 3 and 3 x 2 design with entries -1, 0, 1, so of every rank: the four identities and both conditions."""
    for entries in itertools.product((-1, 0, 1), repeat=6):
        for shape in ((2, 3), (3, 2)):
            x = fmpq_mat(*shape, list(entries))
            inverse = pseudo_inverse(x)
            q, start = inverse * x, fmpq_mat(shape[1], 1, [3, -1, 2][: shape[1]])
            move = inverse * (fmpq_mat(shape[0], 1, [1, 5, -2][: shape[0]]) - x * start)
            zeros = (x * q - x, q * inverse - inverse, q - q.transpose(), x * inverse - (x * inverse).transpose())
            gradient = x.transpose() * (x * (start + move) - fmpq_mat(shape[0], 1, [1, 5, -2][: shape[0]]))
            for zero in (*zeros, gradient, move - x.transpose() * (inverse.transpose() * move)):
                size = sum_of_squares(zero)
                yield f"{entries} as {shape}", Fraction(int(size.p), int(size.q)), "==", Fraction(0)
