"""Hard-margin separation in exact rational arithmetic: the dual weights of the active set, or the proof that there are none.

Everything is said in the Gram matrix G = X D X^T. A set S of rows with nonsingular G_SS, a = G_SS^{-1} 1 > 0 and
G_{nS} a >= 1 for all n solves the KKT conditions of min w^T D^{-1} w subject to X w >= 1, which are sufficient; by
Caratheodory's theorem some such S exists whenever the rows can be separated. So trying every S decides separability.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from flint import fmpq, fmpq_mat


def rational_matrix(array: np.ndarray) -> fmpq_mat:
    """A finite float64 matrix as exact fractions."""
    entries = [fmpq(f.numerator, f.denominator) for f in map(Fraction, array.ravel().tolist())]
    return fmpq_mat(array.shape[0], array.shape[1], entries)


def gram_matrix(design: np.ndarray, metric: np.ndarray | None) -> fmpq_mat:
    """X D X^T, D the identity when no metric is given."""
    x = rational_matrix(design)
    return x * x.transpose() if metric is None else x * rational_matrix(metric) * x.transpose()


def active_dual(gram: fmpq_mat, support: Sequence[int]) -> list[fmpq] | None:
    """The dual weights (one per row of the Gram matrix) if `support` is an active set as above, else None."""
    size, k = gram.nrows(), len(support)
    block = fmpq_mat(k, k, [gram[i, j] for i in support for j in support])
    try:
        solution = block.solve(fmpq_mat(k, 1, [1] * k))
    except ZeroDivisionError:  # dependent rows
        return None
    weights = [solution[i, 0] for i in range(k)]
    if any(weight <= 0 for weight in weights):
        return None
    for n in range(size):
        if n not in support and sum((gram[n, j] * a for j, a in zip(support, weights, strict=True)), fmpq(0)) < 1:
            return None
    dual = [fmpq(0)] * size
    for j, weight in zip(support, weights, strict=True):
        dual[j] = weight
    return dual


def exact_dual(gram: fmpq_mat, guess: Sequence[int] = ()) -> list[fmpq] | None:
    """Dual weights of the hard-margin problem, trying `guess` and then every set of rows; None if inseparable."""
    rank = gram.rank()
    if guess and len(guess) <= rank and (dual := active_dual(gram, guess)) is not None:
        return dual
    return next((dual for s in _subsets(gram.nrows(), rank) if (dual := active_dual(gram, s)) is not None), None)


def _subsets(size: int, largest: int) -> Iterator[tuple[int, ...]]:
    for k in range(1, largest + 1):
        yield from itertools.combinations(range(size), k)
