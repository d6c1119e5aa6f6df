"""What the checks of this area share when they hold floats to exact values: relative widths, designs as balls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb, arb_mat, fmpq_mat

from ...numerics.claims import Formula


def relative_width(values: np.ndarray, bound: np.ndarray | float) -> np.ndarray:
    """Absolute bounds as the formula procedure wants them: it divides by |exact|, except where the exact value is 0."""
    return bound / np.where(np.abs(values) > bound, np.abs(values), 1.0)


def as_balls(matrix: fmpq_mat) -> arb_mat:
    """Exact fractions as balls of the working precision."""
    return arb_mat(matrix.nrows(), matrix.ncols(), [arb(entry) for entry in matrix.entries()])


def mutant(formula: Formula, shipped: Callable[[Any], Any]) -> Mapping[str, Any]:
    """The changes of a control that puts a wrong function in place of the shipped one."""
    return {"claim": replace(formula, shipped=shipped)}


def largest_eigenvalue(matrix: fmpq_mat) -> arb:
    """Of a symmetric matrix of fractions, also with repeated eigenvalues: a root of its characteristic polynomial."""
    roots: list[Any] = matrix.charpoly().numer().complex_roots()
    return max((root[0].real for root in roots), key=float)
