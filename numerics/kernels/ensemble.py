"""The law of an ensemble of infinitely wide (or linearised) networks trained by gradient flow on the sum of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite

Matrix = NDArray[np.float64]

_SMALLEST_RCOND = 1e-12
_EPS = float(np.finfo(np.float64).eps)


class SingularGram(InvalidInput):
    """A Gram matrix that a limit at infinite time needs to be positive definite is singular to working precision.

    `condition`, `smallest` and `rank` are its condition number, smallest eigenvalue and rank at N eps lambda_max.
    """

    def __init__(self, name: str, eigenvalues: Matrix) -> None:
        self.smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
        self.condition = largest / self.smallest if self.smallest > 0 else math.inf
        self.rank = int(np.sum(eigenvalues > len(eigenvalues) * _EPS * largest))
        super().__init__(
            f"{name} ({len(eigenvalues)} x {len(eigenvalues)}) is singular: condition {self.condition:.1e}, smallest "
            f"eigenvalue {self.smallest:.1e}, rank {self.rank}.",
            "Remove repeated or linearly dependent inputs, or ask for a finite training time.",
        )


@dataclass(frozen=True)
class GramBlocks:
    """Blocks of one kernel's Gram matrix: `test` (S,S), `cross` = test against train (S,N), `train` (N,N)."""

    test: Matrix
    cross: Matrix
    train: Matrix

    def joint(self) -> Matrix:
        """The matrix over (test, train), symmetrised, shape (S+N, S+N)."""
        matrix = np.block([[self.test, self.cross], [self.cross.T, self.train]])
        return (matrix + matrix.T) / 2


def gram_blocks(name: str, test: Any, cross: Any, train: Any) -> GramBlocks:
    """Checked and symmetrised blocks of one kernel.

    Raises InvalidInput on shapes that do not fit or an asymmetric block.
    """
    cross = finite(f"{name}.cross", cross, ndim=2)
    blocks = []
    for part, value, size in (("test", test, cross.shape[0]), ("train", train, cross.shape[1])):
        block = finite(f"{name}.{part}", value, ndim=2)
        if block.shape != (size, size):
            raise InvalidInput(
                f"{name}.{part} has shape {block.shape}.", f"With cross {cross.shape} it must be {(size, size)}."
            )
        if size and np.abs(block - block.T).max() > 1e3 * size * _EPS * np.abs(block).max():
            raise InvalidInput(f"{name}.{part} is not symmetric.", "Pass a Gram matrix.")
        blocks.append((block + block.T) / 2)
    return GramBlocks(blocks[0], cross, blocks[1])


def smoother(ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """G_t = T_*X A_t with A_t = T_XX^{-1} (I - exp(-t T_XX)), shape (S,N): the trained output is f0 + G_t (y - f0(X)).

    `time_sum_loss` is the time of gradient flow at unit rate on `1/2 sum (f - y)^2` (no 1/N). Only `ntk.cross` and
    `ntk.train` are used. Source: Jacot et al. 2018, Lee et al. 2019. Raises SingularGram at infinite time,
    NumericalFailure if T_XX is not positive semi-definite.
    """
    time = float(time_sum_loss)
    if math.isnan(time) or time < 0:
        raise InvalidInput(
            f"time_sum_loss is {time_sum_loss!r}.", "Pass a time of at least 0; math.inf means convergence."
        )
    if not ntk.train.shape[0]:
        return ntk.cross
    if math.isinf(time):
        return scipy.linalg.cho_solve((cholesky("T_XX", ntk.train), True), ntk.cross.T).T
    eigenvalues, vectors = np.linalg.eigh(ntk.train)
    eigenvalues = _non_negative("T_XX", eigenvalues)
    exponent = time * eigenvalues
    # t phi1(-t l) with phi1(z) = expm1(z)/z, phi1(0) = 1: no division by an eigenvalue
    small = exponent < 1e-8
    phi = np.where(small, 1 - exponent / 2, -np.expm1(-exponent) / np.where(small, 1.0, exponent))
    return ((ntk.cross @ vectors) * (time * phi)) @ vectors.T


def ensemble_covariance(nngp: GramBlocks, ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (S,S) over members of the trained output at the test points: M_t K M_t^T with M_t = [I, -G_t].

    At infinite time `K_** + G K_XX G^T - G K_X* - K_*X G^T`. Formed from a factor of the joint K, hence positive
    semi-definite by construction. Labels do not enter. Source: Lee et al. 2019. Raises as `smoother` does.
    """
    if nngp.cross.shape != ntk.cross.shape:
        raise InvalidInput(
            f"The kernels' blocks differ: {nngp.cross.shape} and {ntk.cross.shape}.", "Use the same points."
        )
    factor = _factor(nngp.joint())
    tests = nngp.cross.shape[0]
    residual = factor[:tests] - smoother(ntk, time_sum_loss=time_sum_loss) @ factor[tests:]
    return residual @ residual.T


def rnd_error_covariance(nngp: GramBlocks, ntk: GramBlocks, *, time_sum_loss: float = math.inf) -> Matrix:
    """Covariance (S,S) of u - g when a predictor u is trained on a frozen network g of its own architecture: 2 M_t K
    M_t^T.

    Half its diagonal is the ensemble variance. Source: Zanger et al. 2026, with the factor 2 that their corollary
    lacks.
    """
    return 2 * ensemble_covariance(nngp, ntk, time_sum_loss=time_sum_loss)


def rnd_variance(predictor: Any, target: Any) -> Matrix:
    """The ensemble variance that distillation estimates: the mean over heads of (u - g)^2, halved; (..., heads) to
    (...).

    The mean square itself is twice a variance. Its relative standard error is sqrt(2/heads) in the limit of infinite
    width.
    """
    u, g = finite("predictor", predictor), finite("target", target)
    if u.shape != g.shape or u.ndim < 1 or not u.shape[-1]:
        raise InvalidInput(f"predictor and target have shapes {u.shape} and {g.shape}.", "Pass (..., heads) twice.")
    return ((u - g) ** 2).mean(axis=-1) / 2


def ensemble_mean(ntk: GramBlocks, labels: Any, *, time_sum_loss: float = math.inf) -> Matrix:
    """Mean over members of the trained output at the test points, G_t y, for labels y of shape (N,) or (N, outputs)."""
    y = finite("labels", labels)
    if y.ndim not in (1, 2) or y.shape[0] != ntk.cross.shape[1]:
        raise InvalidInput(f"labels has shape {y.shape}.", f"Its first axis must have {ntk.cross.shape[1]} entries.")
    return smoother(ntk, time_sum_loss=time_sum_loss) @ y


def cholesky(name: str, matrix: Matrix) -> Matrix:
    """Lower Cholesky factor of a positive definite matrix.

    SingularGram below a reciprocal condition of 1e-12, never jitter.
    """
    norm = float(np.abs(matrix).sum(axis=0).max())
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if not failed:
        rcond, _ = scipy.linalg.lapack.dpocon(factor, norm, uplo="L")
        if rcond >= _SMALLEST_RCOND:
            return factor
    raise SingularGram(name, np.linalg.eigvalsh(matrix).astype(np.float64))


def _factor(matrix: Matrix) -> Matrix:
    """P with P P^T = matrix.

    Cholesky, else the spectral square root (repeated points, test points in the training set).
    """
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, clean=1)
    if not failed:
        return factor
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(_non_negative("The joint NNGP matrix", eigenvalues))


def _non_negative(name: str, eigenvalues: Matrix) -> Matrix:
    """Eigenvalues with rounding-negative ones set to 0; anything more negative is not a covariance."""
    tolerance = len(eigenvalues) * _EPS * max(float(eigenvalues[-1]), 0.0)
    if eigenvalues[0] < -tolerance:
        raise NumericalFailure(
            f"{name} has the eigenvalue {eigenvalues[0]:.2e}, beyond rounding ({tolerance:.1e}).",
            "Pass a covariance matrix.",
        )
    return np.maximum(eigenvalues, 0.0)
