"""Regression in the parameters of a linear model f(x) = J(x) theta: what training does, solved exactly for any draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import GramBlocks, Matrix, label_array, refuse_coarse
from .policy import solver


@dataclass(frozen=True)
class Features:
    """Rows of the Jacobian at test (S, P) and training points (N, P)."""

    test: Matrix
    train: Matrix

    def blocks(self, preconditioner: Matrix | None = None) -> GramBlocks:
        """J P J^T over (test, train); P = I or a diagonal."""
        p = np.ones(self.train.shape[1]) if preconditioner is None else preconditioner
        left = self.test * p
        return GramBlocks(left @ self.test.T, left @ self.train.T, (self.train * p) @ self.train.T)


def features(test: Any, train: Any) -> Features:
    """Checked Jacobians with equally many columns. Raises InvalidInput."""
    refuse_coarse("test", test)
    refuse_coarse("train", train)
    a, b = finite("test", test, ndim=2), finite("train", train, ndim=2)
    if a.shape[1] != b.shape[1] or not a.shape[1]:
        raise InvalidInput(f"The Jacobians have {a.shape[1]} and {b.shape[1]} columns.", "One column per parameter.")
    return Features(a, b)


def preconditioned_smoother(jacobian: Features, preconditioner: Any = None) -> Matrix:
    """Where a method ends that steps along `P J_X^T`, interpolating: `J_* P J_X^T (J_X P J_X^T)^{-1}`, (S, N).

    P = None (the identity) holds for every method whose updates stay in the row space of J_X: gradient descent, momentum,
    mini-batches, conjugate gradients. A diagonal P (P,) is a fixed coordinate-wise preconditioner; Adam's changes on the
    way, so no formula of this package describes its limit. Raises SingularGram.
    """
    p = None if preconditioner is None else finite("preconditioner", preconditioner, ndim=1)
    if p is not None and (p.shape != (jacobian.train.shape[1],) or (p <= 0).any()):
        raise InvalidInput(f"preconditioner has shape {p.shape}.", "Pass one positive number per parameter.")
    kernel = jacobian.blocks(p)
    return solver("J P J^T", kernel.train).solve(kernel.cross.T).T


def sample_then_optimise(
    jacobian: Features, labels: Any, *, initial: Any, noise: float, label_noise: Any = None
) -> Matrix:
    """Outputs at the test points after minimising `1/2 sum (J theta - y - xi)^2 + s2/2 |theta - theta0|^2`.

    `initial` theta0 (..., P) standard normal and `label_noise` xi (..., N) with variance s2 make every output an exact
    draw from the posterior with prior covariance J J^T and noise s2. `label_noise` None means 0 and lacks `s2 G G^T`.
    J may be the Jacobian of a finite network at fixed parameters: then the law is that of its empirical kernel, at any
    width. A predictor that starts at the zero function and is trained on a random target J psi has the error
    `sample_then_optimise(J, 0, initial=-psi, ...)`.
    (Idea: Matthews et al. 2017.) Raises SingularGram at s2 = 0 on repeated points, InvalidInput.
    """
    y = label_array(labels, jacobian.train.shape[0])
    theta = finite("initial", initial)
    if theta.ndim < 1 or theta.shape[-1] != jacobian.train.shape[1] or y.ndim != 1:
        raise InvalidInput(
            f"initial has shape {theta.shape}.", f"Its last axis is {jacobian.train.shape[1]} parameters."
        )
    xi = np.zeros(y.shape) if label_noise is None else finite("label_noise", label_noise)
    if xi.shape[-1:] != y.shape:
        raise InvalidInput(f"label_noise has shape {xi.shape}.", f"Its last axis is {len(y)} labels.")
    found = solver("J J^T", jacobian.train @ jacobian.train.T, noise=noise)
    residual = y + xi - theta @ jacobian.train.T
    dual = found.solve(residual.reshape(-1, len(y)).T).T.reshape(residual.shape)
    return (theta + dual @ jacobian.train) @ jacobian.test.T
