"""What data and optimiser settings are, as far as float64 can tell: interpolating, full rank, stable. Each answer says why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...theory.statement import Answer
from .exact_max_margin import rational_matrix
from .least_squares import UNIT_ROUNDOFF, RowSpace

EXACT_ENTRIES = 10_000  # up to here the exact rank of a matrix takes a second at most


@dataclass(frozen=True)
class Fact:
    """One property of a problem: does it hold, and by which number."""

    name: str
    answer: Answer
    says: str

    @property
    def holds(self) -> bool:
        """True only if it is known to hold."""
        return self.answer is Answer.HOLDS


def decided(name: str, holds: bool, says: str) -> Fact:
    return Fact(name, Answer.HOLDS if holds else Answer.VIOLATED, says)


def clear_rank(space: RowSpace, shape: tuple[int, int]) -> Fact:
    """Is the rank beyond doubt, every singular value lying a thousand times above what rounding of the design can do?"""
    n, p = shape
    rank = space.singular_values.size
    said = f"rank {rank} of a {n} x {p} design"
    if not rank:
        return decided("clear rank", True, said)
    smallest = float(space.singular_values[-1])
    if smallest > 1e3 * space.cutoff:
        return decided("clear rank", True, f"{said}, condition number {space.norm / smallest:.3g}")
    return Fact(
        "clear rank",
        Answer.CANNOT_BE_CHECKED,
        f"{said}, but its smallest singular value, {smallest:.3g}, is within a thousand times the cutoff {space.cutoff:.3g}",
    )


def interpolating(x: np.ndarray, y: np.ndarray, space: RowSpace) -> Fact:
    """Is there a w with X w = y?

    Certain where the rows are independent. Otherwise the part of y outside the column space of X is compared with what
    rounding explains: the decomposition is exact for a design moved by d = cutoff, which turns the column space by at
    most d / s_min, and the products that follow err by max(n, p) roundings of ||y||.
    """
    rank = space.singular_values.size
    if rank == len(x):
        return decided("interpolating", True, "the rows are independent, so every y can be fitted exactly")
    size = float(np.linalg.norm(y))
    left = float(np.linalg.norm(y - space.left @ (space.left.T @ y)))
    turned = 2 * space.cutoff / float(space.singular_values[-1]) if rank else 0.0
    floor = (turned + 4 * max(x.shape) * UNIT_ROUNDOFF) * size
    if left <= floor:
        return decided("interpolating", True, f"the residual {left:.3g} is within its rounding {floor:.3g}")
    if left > 4 * floor:
        if rank < min(x.shape) and not rank_is_exact(x, rank):
            return Fact(
                "interpolating",
                Answer.CANNOT_BE_CHECKED,
                f"the residual is {left:.3g} without the directions that float64 cannot tell from dependent ones",
            )
        return decided("interpolating", False, f"no w fits: the residual of the best one is {left:.3g}")
    return Fact(
        "interpolating",
        Answer.CANNOT_BE_CHECKED,
        f"the residual {left:.3g} is too near its rounding {floor:.3g}",
    )


def rank_is_exact(x: np.ndarray, rank: int) -> bool:
    """Is this the rank of the floats as they are? False also where the matrix is too large for rational arithmetic."""
    return x.size <= EXACT_ENTRIES and int(rational_matrix(x).rank()) == rank


def stable(step: float, limit: float, *, why: str, sufficient: bool = False) -> Fact:
    """Is the step below its threshold? A threshold that is only sufficient decides nothing above it."""
    said = f"step {step:.6g} against {limit:.6g}, {why}"
    if abs(step - limit) <= 64 * UNIT_ROUNDOFF * limit:
        return Fact("stable step", Answer.CANNOT_BE_CHECKED, f"{said}: equal to rounding")
    if step > limit and sufficient:
        return Fact("stable step", Answer.CANNOT_BE_CHECKED, f"{said}, which suffices; nothing is known above it")
    return decided("stable step", step < limit, said)
