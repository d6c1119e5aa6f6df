"""Trained outputs of a linearised network as a linear smoother of its labels, for every way to train."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import GramBlocks, Matrix
from .policy import Jitter, solver, spectrum
from .training import GradientFlow, Training


@dataclass(frozen=True)
class LinearSmoother:
    """`f0 + matrix (y - f0(X))` at the test points; matrix (S,N). The rest says what was used to compute it.

    `train` (N,N) is the same map to the training points. `jitter` is what was added to the diagonal of T_XX (0 unless
    asked for), `path` the factorisation, `condition` its condition number.
    """

    matrix: Matrix = field(repr=False)
    train: Matrix = field(repr=False)
    training: Training
    ridge_sum_loss: float
    jitter: float
    path: str
    condition: float

    def residual_map(self) -> Matrix:
        """M = [I, -G] on stacked (test, train) initial values, (S, S+N)."""
        return np.concatenate([np.eye(self.matrix.shape[0]), -self.matrix], axis=1)


def linear_smoother(
    ntk: GramBlocks,
    *,
    training: Training | None = None,
    ridge_sum_loss: float = 0.0,
    multiplicity: Any = None,
    jitter: Jitter = "never",
) -> LinearSmoother:
    """G = T_*X a(T_XX) of gradient flow (default: to convergence), gradient descent or heavy ball.

    `ridge_sum_loss` is lam of the penalty `lam/2 |theta - theta0|^2` beside `1/2 sum (f - y)^2`; `multiplicity` (N,)
    says how often each of the training points occurs (labels are then the means over its copies). Convergence takes the
    Cholesky path of the policy (`solver`), finite training an eigendecomposition. Source: Jacot et al. 2018; Lee et al.
    2019. Raises SingularGram, UnstableStep, InvalidInput, NumericalFailure.
    """
    training = GradientFlow() if training is None else training
    ridge = float(finite("ridge_sum_loss", ridge_sum_loss, ndim=0))
    if ridge < 0:
        raise InvalidInput(f"ridge_sum_loss is {ridge:g}.", "A penalty has a weight of at least 0.")
    root = np.sqrt(multiplicities(multiplicity, ntk.train.shape[0]))
    if not ntk.train.shape[0]:
        return LinearSmoother(ntk.cross, ntk.train, training, ridge, 0.0, "no data", 1.0)
    if training.converged:
        found = solver("T_XX", ntk.train, noise=ridge / root**2, jitter=jitter)
        both = found.solve(np.concatenate([ntk.cross.T, ntk.train], axis=1)).T
        tests = ntk.cross.shape[0]
        return LinearSmoother(both[:tests], both[tests:], training, ridge, found.jitter, found.path, found.condition)
    eigenvalues, vectors = spectrum("T_XX", root[:, None] * ntk.train * root)
    eigenvalues = eigenvalues + ridge
    training.check_stability(float(eigenvalues[-1]))
    basis = root[:, None] * vectors
    inner = (basis * training.filter(eigenvalues)) @ basis.T
    condition = float(eigenvalues[-1] / eigenvalues[0]) if eigenvalues[0] > 0 else math.inf
    return LinearSmoother(ntk.cross @ inner, ntk.train @ inner, training, ridge, 0.0, "eigen", condition)


def multiplicities(value: Any, size: int) -> Matrix:
    """Counts of each training point, (N,); None means once each. Raises InvalidInput."""
    if value is None:
        return np.ones(size)
    counts = finite("multiplicity", value, ndim=1)
    if counts.shape != (size,) or (counts < 1).any():
        raise InvalidInput(f"multiplicity is {value!r}.", f"Pass {size} counts of at least 1.")
    return counts
