"""Expected error of kernel ridge regression from the spectrum of the kernel: the eigenlearning equations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite, non_negative, sample_size

Vector = NDArray[np.float64]

_HALVINGS = 120  # of the logarithm's bracket: beyond the last bit of a float


class RankTooSmall(AssumptionViolated):
    """Without a ridge, `rank` modes cannot absorb n >= rank examples: `n = sum L_i` has no positive solution.

    The kernel then fits every function in its span exactly (or the labels not at all); use a ridge, or fewer examples.
    """

    def __init__(self, rank: float, n: int) -> None:
        self.rank, self.n = rank, n
        super().__init__(
            f"The spectrum has rank {rank:g} and there are n = {n} examples without a ridge: no positive kappa solves "
            "the equation.",
            "Pass ridge_sum_loss > 0, a spectrum of higher rank, or n below the rank.",
        )


@dataclass(frozen=True)
class Eigenlearning:
    """The law of kernel regression at n examples; one entry per distinct eigenvalue in `learnability` and `residual`.

    `kappa` > 0 solves `n = sum m_i l_i/(l_i + kappa) + ridge/kappa`. `learnability` L_i = l_i/(l_i + kappa), `residual`
    1 - L_i to full relative accuracy. The mean predictor has coefficients `L_i v_i`. `overfitting` is E0 =
    n/(n - sum m_i L_i^2). `test_error` and `train_error` are mean squared errors with label noise in them (the test
    error is on noisy labels; subtract the noise variance for the error of the function). `total_learnability` is
    sum L_i v_i^2 / sum v_i^2 (nan without a target). Conservation: `spent` = sum m_i L_i <= n, equal iff the ridge is 0.
    """

    kappa: float
    learnability: Vector
    residual: Vector
    spent: float
    overfitting: float
    test_error: float
    train_error: float
    total_learnability: float


def eigenlearning(
    *,
    eigenvalues: Any,
    n: int,
    ridge_sum_loss: float,
    coefficients: Any = None,
    multiplicities: Any = None,
    noise_variance: float = 0.0,
) -> Eigenlearning:
    """Kernel regression on n random examples, from eigenvalues l_i of the kernel under the law of the inputs.

    Parameters
    ----------
    eigenvalues: (modes,), at least 0; modes with l = 0 are never learned.
    n: number of examples.
    ridge_sum_loss: del >= 0, added to the Gram matrix (the penalty of the *sum* of squares; `n` times that of the mean).
    coefficients: (modes,), v_i of the target in orthonormal eigenfunctions; with multiplicities v_i^2 is the sum of the
        squares over the degenerate modes. None means a target of 0.
    multiplicities: (modes,), positive weights of degenerate eigenvalues; default 1.
    noise_variance: of the labels.

    A high-dimensional limit: at finite n the error is of order 1/n relative. Source: Simon et al. 2021; equal to Bordelon
    et al. 2020 and Canatar et al. 2021, whose kappa is n times this one. Raises RankTooSmall.
    """
    lam, v, m = _spectrum(eigenvalues, coefficients, multiplicities)
    size = sample_size("n", n)
    ridge, noise = (
        float(non_negative(name, finite(name, value, ndim=0)))
        for name, value in (("ridge_sum_loss", ridge_sum_loss), ("noise_variance", noise_variance))
    )
    rank = float(m[lam > 0].sum())
    if ridge == 0 and rank <= size:
        raise RankTooSmall(rank, size)
    kappa = _solve(lam, m, size, ridge)
    learned, residual = lam / (lam + kappa), kappa / (lam + kappa)
    # n - sum m L^2 = ridge/kappa + sum m L (1 - L): no difference of nearly equal numbers
    overfitting = size / (ridge / kappa + float(np.sum(m * learned * residual)))
    test = overfitting * (float(np.sum(residual**2 * v**2)) + noise)
    power = float(np.sum(v**2))
    return Eigenlearning(
        kappa,
        learned,
        residual,
        float(np.sum(m * learned)),
        overfitting,
        test,
        (ridge / (size * kappa)) ** 2 * test,
        float(np.sum(learned * v**2)) / power if power else math.nan,
    )


def _solve(lam: Vector, m: Vector, n: int, ridge: float) -> float:
    """Bisection in log kappa: the right side falls from above n to 0 as kappa grows."""

    def right(kappa: float) -> float:
        return float(np.sum(m * (lam / (lam + kappa)))) + ridge / kappa

    high = (float(np.sum(m * lam)) + ridge) / n  # there the right side is at most n
    low = high
    while right(low) < n:
        low *= 2.0**-20
        if low == 0:
            raise InvalidInput("kappa is below the smallest float.", "Rescale eigenvalues and ridge nearer to 1.")
    for _ in range(_HALVINGS):
        middle = math.sqrt(low) * math.sqrt(high)
        if not low < middle < high:
            break
        low, high = (middle, high) if right(middle) >= n else (low, middle)
    return math.sqrt(low) * math.sqrt(high)


def _spectrum(eigenvalues: Any, coefficients: Any, multiplicities: Any) -> tuple[Vector, Vector, Vector]:
    lam = finite("eigenvalues", eigenvalues, ndim=1)
    v = np.zeros_like(lam) if coefficients is None else finite("coefficients", coefficients, ndim=1)
    m = np.ones_like(lam) if multiplicities is None else finite("multiplicities", multiplicities, ndim=1)
    if not lam.size or lam.min() < 0 or not lam.max() > 0:
        raise InvalidInput("eigenvalues must not be negative and not all 0.", "Pass the spectrum of a kernel.")
    if v.shape != lam.shape or m.shape != lam.shape:
        raise InvalidInput(
            f"{lam.size} eigenvalues, {v.size} coefficients and {m.size} multiplicities.", "One of each."
        )
    if m.min() <= 0:
        raise InvalidInput("A multiplicity is not positive.", "Leave the mode out.")
    return lam, v, m
