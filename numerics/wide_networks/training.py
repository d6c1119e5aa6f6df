"""Ways to train on half the sum of squares, as filters: what each does to an eigenvector of the tangent kernel on X.

Trained outputs are `f0 + T_*X a(T_XX) (y - f0(X))`. A filter a(lam) never divides by an eigenvalue that may be 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .gram import Matrix


class UnstableStep(InvalidInput):
    """A step size at or above the stability limit, `limit`; in the convention of the sum loss."""

    def __init__(self, step: float, limit: float) -> None:
        self.limit = limit
        super().__init__(
            f"step_size_sum_loss = {step:g} is not below the stability limit {limit:g}.",
            "Training would diverge: lower the step (`best_step_size_sum_loss`). For the mean loss 1/(2NC) sum, limits are "
            "NC times larger: divide your step by NC first.",
        )


@dataclass(frozen=True)
class GradientFlow:
    """`d theta/dt = - grad` of `1/2 sum (f - y)^2` (no 1/N) until `time_sum_loss`; math.inf means convergence."""

    time_sum_loss: float = math.inf

    def __post_init__(self) -> None:
        time = self.time_sum_loss
        if isinstance(time, bool) or not isinstance(time, int | float | np.floating) or not time >= 0:
            raise InvalidInput(f"time_sum_loss is {time!r}.", "Pass a time of at least 0; math.inf means convergence.")

    @property
    def converged(self) -> bool:
        return math.isinf(self.time_sum_loss)

    def filter(self, eigenvalues: Matrix) -> Matrix:
        """(1 - e^{-t lam})/lam = t phi1(-t lam), with phi1(z) = expm1(z)/z and phi1(0) = 1. Finite times only."""
        exponent = self.time_sum_loss * eigenvalues
        small = exponent < 1e-8
        phi = np.where(small, 1 - exponent / 2, -np.expm1(-exponent) / np.where(small, 1.0, exponent))
        return self.time_sum_loss * phi

    def check_stability(self, largest: float) -> None:
        """Gradient flow is stable at every time."""


@dataclass(frozen=True)
class GradientDescent:
    """`steps` steps `theta <- theta - step_size_sum_loss * grad` of `1/2 sum (f - y)^2` (no 1/N)."""

    steps: int
    step_size_sum_loss: float

    converged = False

    def __post_init__(self) -> None:
        _check_steps(self.steps, self.step_size_sum_loss)

    def filter(self, eigenvalues: Matrix) -> Matrix:
        """(1 - (1 - eta lam)^k)/lam, and k eta at lam = 0."""
        moved = self.step_size_sum_loss * eigenvalues
        slow = moved < 1
        with np.errstate(over="ignore"):
            decayed = np.where(
                slow,
                -np.expm1(self.steps * np.log1p(-np.where(slow, moved, 0.0))),
                1 - (1 - np.where(slow, 1.0, moved)) ** self.steps,
            )
        zero = eigenvalues == 0
        return np.where(zero, self.steps * self.step_size_sum_loss, decayed / np.where(zero, 1.0, eigenvalues))

    def check_stability(self, largest: float) -> None:
        """Raises UnstableStep unless step_size_sum_loss < 2/largest."""
        if self.step_size_sum_loss * largest >= 2:
            raise UnstableStep(self.step_size_sum_loss, 2 / largest)


@dataclass(frozen=True)
class HeavyBall:
    """`theta_{k+1} = theta_k - step_size_sum_loss * grad + momentum (theta_k - theta_{k-1})`, started at rest."""

    steps: int
    step_size_sum_loss: float
    momentum: float

    converged = False

    def __post_init__(self) -> None:
        _check_steps(self.steps, self.step_size_sum_loss)
        if not 0 <= float(finite("momentum", self.momentum, ndim=0)) < 1:
            raise InvalidInput(f"momentum is {self.momentum!r}.", "Heavy ball is stable only for 0 <= momentum < 1.")

    def filter(self, eigenvalues: Matrix) -> Matrix:
        """a_k with a_{k+1} = a_k + eta (1 - lam a_k) + beta (a_k - a_{k-1}) from a_0 = a_{-1} = 0, by repeated squaring."""
        eta, beta = self.step_size_sum_loss, self.momentum
        step = np.zeros((len(eigenvalues), 3, 3))
        step[:, 0, 0] = 1 + beta - eta * eigenvalues
        step[:, 0, 1], step[:, 0, 2], step[:, 1, 0], step[:, 2, 2] = -beta, eta, 1.0, 1.0
        return np.linalg.matrix_power(step, self.steps)[:, 0, 2]

    def check_stability(self, largest: float) -> None:
        """Raises UnstableStep unless step_size_sum_loss < 2 (1 + momentum)/largest."""
        if self.step_size_sum_loss * largest >= 2 * (1 + self.momentum):
            raise UnstableStep(self.step_size_sum_loss, 2 * (1 + self.momentum) / largest)


Training = GradientFlow | GradientDescent | HeavyBall


def _check_steps(steps: Any, step: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 0 <= steps <= 2**53:
        raise InvalidInput(f"steps is {steps!r}.", "Pass a whole number of steps, 0 or more.")
    if not float(finite("step_size_sum_loss", step, ndim=0)) > 0:
        raise InvalidInput(f"step_size_sum_loss is {step!r}.", "It must be positive.")
