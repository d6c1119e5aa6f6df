"""Linear algebra on Gram matrices: Cholesky, else eigenvalues with a typed error; jitter only when asked for, and recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.linalg

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite
from .gram import EPS, Matrix

SMALLEST_RCOND = 1e-12
LADDER = (0.0, *(10.0**k for k in range(-14, -7)))  # multiples of trace/N
Jitter = float | Literal["never", "ladder"]


class SingularGram(InvalidInput):
    """A Gram matrix that must be positive definite is singular to working precision.

    `condition`, `smallest` and `rank` are its condition number, smallest eigenvalue and rank at N eps lambda_max.
    """

    def __init__(self, name: str, eigenvalues: Matrix) -> None:
        self.smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
        self.condition = largest / self.smallest if self.smallest > 0 else math.inf
        self.rank = int(np.sum(eigenvalues > len(eigenvalues) * EPS * largest))
        super().__init__(
            f"{name} ({len(eigenvalues)} x {len(eigenvalues)}) is singular: condition {self.condition:.1e}, smallest "
            f"eigenvalue {self.smallest:.1e}, rank {self.rank}.",
            "Collapse repeated inputs (`collapse_duplicates`), remove linearly dependent ones, ask for a finite training "
            "time, or pass a noise variance; jitter='ladder' adds the smallest diagonal that helps and records it.",
        )


@dataclass(frozen=True)
class SymmetricSolver:
    """A factorised `matrix + noise + jitter`, and how it was factorised.

    `path` is "cholesky" or "eigen"; `noise` what the caller added to the diagonal (its smallest entry), `jitter` what
    the ladder added on top (absolute, 0 unless asked for), `condition` the condition number (estimated in the 1-norm on
    the Cholesky path).
    """

    size: int
    path: Literal["cholesky", "eigen"]
    noise: float
    jitter: float
    condition: float
    factor: Matrix = field(repr=False)  # lower Cholesky factor, or Q sqrt(lam)^{-1} on the eigen path

    def half(self, right: Matrix) -> Matrix:
        """W with W^T W = right^T A^{-1} right, shape (N, columns)."""
        if self.path == "cholesky":
            return scipy.linalg.solve_triangular(self.factor, right, lower=True)
        return self.factor.T @ right

    def solve(self, right: Matrix) -> Matrix:
        """A^{-1} right."""
        if self.path == "cholesky":
            return scipy.linalg.cho_solve((self.factor, True), right)
        return self.factor @ (self.factor.T @ right)


def solver(name: str, matrix: Matrix, *, noise: Any = 0.0, jitter: Jitter = "never") -> SymmetricSolver:
    """Factorise `matrix + diag(noise)` (noise: one variance, or one for each point).

    Cholesky where its reciprocal condition is at least 1e-12. Otherwise eigenvalues: SingularGram, unless the noise is
    above rounding, or a jitter was asked for: "ladder" tries 0, 1e-14, ..., 1e-8 times trace/N, a number is that
    multiple. The matrix may be empty. Raises SingularGram, InvalidInput, NumericalFailure (not a covariance).
    """
    size = matrix.shape[0]
    added = _noise(noise, size)
    steps = _ladder(jitter)
    level = float(np.trace(matrix)) / size if size else 0.0
    least = float(added.min()) if size else 0.0
    for multiple in steps:
        found = _cholesky(matrix + np.diag(added + multiple * level))
        if found is not None:
            factor, condition = found
            return SymmetricSolver(size, "cholesky", least, multiple * level, condition, factor)
    eigenvalues, vectors = np.linalg.eigh(matrix + np.diag(added))
    floor = size * EPS * float(eigenvalues[-1])
    if least <= floor:
        raise SingularGram(name, eigenvalues)
    # the noise bounds the eigenvalues from below; what rounding took from that is put back
    positive = np.maximum(non_negative(name, eigenvalues - least) + least, least)
    condition = float(positive[-1] / positive[0])
    return SymmetricSolver(size, "eigen", least, 0.0, condition, vectors / np.sqrt(positive))


def spectrum(name: str, matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues (rounding-negative ones set to 0) and eigenvectors of a covariance. Raises NumericalFailure."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return non_negative(name, eigenvalues), vectors


def covariance_factor(name: str, matrix: Matrix) -> Matrix:
    """P with P P^T = matrix: Cholesky, else the spectral square root (repeated points, test points in the training set)."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if not failed:
        return factor
    eigenvalues, vectors = spectrum(name, matrix)
    return vectors * np.sqrt(eigenvalues)


def non_negative(name: str, eigenvalues: Matrix) -> Matrix:
    """Eigenvalues with rounding-negative ones set to 0; anything more negative is not a covariance."""
    if not len(eigenvalues):
        return eigenvalues
    tolerance = len(eigenvalues) * EPS * max(float(np.abs(eigenvalues).max()), 0.0)
    if eigenvalues[0] < -tolerance:
        raise NumericalFailure(
            f"{name} has the eigenvalue {eigenvalues[0]:.2e}, beyond rounding ({tolerance:.1e}).",
            "Pass a covariance matrix.",
        )
    return np.maximum(eigenvalues, 0.0)


def clipped_variances(name: str, values: Matrix, *, tolerance: float) -> Matrix:
    """Variances with those in [-tolerance, 0) set to 0. Raises NumericalFailure for a more negative one."""
    if values.size and float(values.min()) < -tolerance:
        raise NumericalFailure(
            f"{name} has the variance {float(values.min()):.2e}, beyond rounding ({tolerance:.1e}).",
            "The kernels are inconsistent: use blocks of one kernel on one set of points, in float64.",
        )
    return np.maximum(values, 0.0)


def cholesky(name: str, matrix: Matrix) -> Matrix:
    """Lower Cholesky factor of a positive definite matrix. SingularGram below a reciprocal condition of 1e-12."""
    found = _cholesky(matrix)
    if found is None:
        raise SingularGram(name, np.linalg.eigvalsh(matrix).astype(np.float64))
    return found[0]


def _cholesky(matrix: Matrix) -> tuple[Matrix, float] | None:
    """The factor and the condition number; None where that is above 1e12 or the matrix is not positive definite."""
    if not matrix.shape[0]:
        return matrix, 1.0
    norm = float(np.abs(matrix).sum(axis=0).max())
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if failed:
        return None
    rcond, _ = scipy.linalg.lapack.dpocon(factor, norm, uplo="L")
    return (factor, float(1 / rcond)) if rcond >= SMALLEST_RCOND else None


def _noise(noise: Any, size: int) -> Matrix:
    values = finite("noise", noise)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != size) or (values < 0).any():
        raise InvalidInput(
            f"noise is {noise!r}.", f"Pass one variance, or one for each of the {size} points; none negative."
        )
    return np.broadcast_to(values, (size,)).astype(np.float64)


def _ladder(jitter: Jitter) -> tuple[float, ...]:
    if jitter == "never":
        return (0.0,)
    if jitter == "ladder":
        return LADDER
    if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter < math.inf:
        raise InvalidInput(f"jitter is {jitter!r}.", "Use 'never', 'ladder' or a multiple of trace/N.")
    return (float(jitter),)
