"""The exact edge of stability of variational regression trained on sampled weights, in mean square.

Setting: full-batch (heavy-ball) descent on E 1/2 ||y - X (mean + factor z)||^2, the expectation replaced at every step
by an average over fresh draws of z. Along an eigenvector of X^T X with eigenvalue h everything depends on the mode step
a = step h alone. With c_0 the second moment of the mean's error in that mode and c_1 that of the factor, averaged over
its `rank` columns, one step without momentum is linear:

    (c_0, c_1) <- T (c_0, c_1),    T = diag(1 - 2 a, 1 - 2 a k) + a^2 diag(1, k^2) Q,    k = covariance_rate,

    Q = [[1, R/M], [1/M, 1 + (R+1)/M]]  for M independent draws,
    Q = [[1, 0], [0, 1 + (R+1)/J]]      for J antithetic pairs (z, -z): the mean then feels no noise at all,
    Q = I                               for the analytic expectation.

Heavy ball couples the current and the previous iterate, which makes T a 6 x 6 matrix of their second moments. Training
is stable in mean square exactly while the spectral radius of T is below 1, that is for a below

    a_max = 2 (1 - b) / L,    L = [p + q + ((p - q)^2 + 4 k Q_01 Q_10)^{1/2}] / 2,
    p = (1 - b)/(1 + b),    q = k (Q_11 - 1 + p),    b = momentum.

Single runs may survive above it for a while (almost sure stability asks for less); their second moment does not. All of
it derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite, sample_size
from .least_squares import row_space

Estimator = Literal["independent", "antithetic", "analytic"]


@dataclass(frozen=True)
class SampledDescent:
    """How mean and factor are trained: everything that the edge of stability depends on besides the data.

    rank: columns of the factor. samples: draws of z per step, shared by all examples (an even number for "antithetic",
    1 for "analytic", which draws none). momentum: heavy ball, in [0, 1). covariance_rate: learning rate of the factor
    relative to that of the mean. Raises `InvalidInput`.
    """

    rank: int
    samples: int = 1
    momentum: float = 0.0
    covariance_rate: float = 1.0
    estimator: Estimator = "independent"

    def __post_init__(self) -> None:
        sample_size("rank", self.rank), sample_size("samples", self.samples)
        if self.estimator not in get_args(Estimator):
            raise InvalidInput(f"estimator is {self.estimator!r}.", f"Pass one of {', '.join(get_args(Estimator))}.")
        if self.estimator == "antithetic" and self.samples % 2:
            raise InvalidInput(f"samples is {self.samples} with antithetic pairs.", "Pass an even number of draws.")
        if self.estimator == "analytic" and self.samples != 1:
            raise InvalidInput(
                f"samples is {self.samples} with the analytic expectation.", "It draws none: leave it at 1."
            )
        if not 0 <= float(finite("momentum", self.momentum, ndim=0)) < 1:
            raise InvalidInput(f"momentum is {self.momentum!r}.", "Heavy ball needs a value in [0, 1).")
        if not float(finite("covariance_rate", self.covariance_rate, ndim=0)) > 0:
            raise InvalidInput(
                f"covariance_rate is {self.covariance_rate!r}.",
                "It must be positive: an untrained factor never converges.",
            )


def noise_matrix(descent: SampledDescent) -> Float[np.ndarray, "2 2"]:
    """Q: second moments of the sampled gradient of (mean, a factor column) per second moment of (mean, factor column)."""
    rank, draws = descent.rank, descent.samples
    if descent.estimator == "independent":
        return np.array([[1.0, rank / draws], [1 / draws, 1 + (rank + 1) / draws]])
    spread = 0.0 if descent.estimator == "analytic" else (rank + 1) / (draws / 2)
    return np.diag([1.0, 1.0 + spread])


def moment_matrix(mode_step: Any, descent: SampledDescent) -> Float[np.ndarray, "*modes moments moments"]:
    """T at one mode step a = step h, or at an array of them: 2 x 2 without momentum, 6 x 6 with it.

    The six moments are those of (mean, factor) at the current time, the products of current and previous values, and
    those at the previous time. Raises `InvalidInput` unless every mode step is positive.
    """
    a = finite("mode_step", mode_step)
    if a.size and a.min() <= 0:
        raise InvalidInput(f"mode_step is {mode_step!r}.", "It is step times an eigenvalue of X^T X: positive.")
    rates = a[..., None] * np.array([1.0, descent.covariance_rate])
    b, total = descent.momentum, 1 + descent.momentum
    eye = np.eye(2)
    here = (total**2 - 2 * total * rates)[..., None] * eye + rates[..., None] ** 2 * noise_matrix(descent)
    if b == 0:
        return here
    mixed = (total - rates)[..., None] * eye
    flat = np.zeros_like(mixed)
    rows = [
        np.concatenate([here, -2 * b * mixed, flat + b**2 * eye], axis=-1),
        np.concatenate([mixed, flat - b * eye, flat], axis=-1),
        np.concatenate([flat + eye, flat, flat], axis=-1),
    ]
    return np.concatenate(rows, axis=-2)


def mean_square_rate(mode_step: Any, descent: SampledDescent) -> Float[np.ndarray, "*modes"]:
    """Spectral radius of T: the factor by which the second moments of a mode shrink (below 1) or grow per step."""
    t = moment_matrix(mode_step, descent)
    if descent.momentum:
        # The coupling of mean and factor is very uneven for high ranks and slow factors; in units in which it is even, the
        # eigenvalues keep their digits.
        noise = noise_matrix(descent)
        uneven = descent.covariance_rate * math.sqrt(noise[1, 0] / noise[0, 1]) if noise[0, 1] else 1.0
        scale = np.tile([1.0, uneven], 3)
        return np.asarray(np.abs(np.linalg.eigvals(t * scale / scale[:, None])).max(axis=-1))
    # A matrix without negative entries: the larger root of its characteristic polynomial, from terms that only add up.
    first, second, cross = t[..., 0, 0], t[..., 1, 1], t[..., 0, 1] * t[..., 1, 0]
    return np.asarray((first + second + np.sqrt((first - second) ** 2 + 4 * cross)) / 2)


def largest_stable_mode_step(descent: SampledDescent) -> float:
    """a_max, the open upper end of the mode steps that are stable in mean square, in closed form."""
    b, k, noise = descent.momentum, descent.covariance_rate, noise_matrix(descent)
    first = (1 - b) / (1 + b)
    # Q_11 - 1 straight from its definition, so that nothing cancels
    spread = {"independent": 1.0, "antithetic": 2.0, "analytic": 0.0}[descent.estimator] * (descent.rank + 1)
    second = k * (spread / descent.samples + first)
    root = math.hypot(first - second, 2 * math.sqrt(k * noise[0, 1] * noise[1, 0]))
    return 4 * (1 - b) / (first + second + root)


def largest_stable_sampled_step(design: Any, descent: SampledDescent) -> float:
    """a_max / h_max, h_max the largest eigenvalue of X^T X; infinite when the design is zero."""
    norm = row_space(design).norm
    return largest_stable_mode_step(descent) / norm**2 if norm > 0 else math.inf


def stable_mode_step_by_bisection(descent: SampledDescent) -> float:
    """a_max found from the spectral radius of T alone: the route that needs no closed form, to about 1e-12 relative."""
    low, high = 0.0, 2 * (1 + descent.momentum) * 1.5  # above 2 (1 + b) the mean alone is unstable
    if float(mean_square_rate(high, descent)) < 1:
        raise NumericalFailure(f"The spectral radius is below 1 at {high:g}.", "This cannot happen; please report it.")
    while high - low > 2.0**-51 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if float(mean_square_rate(middle, descent)) < 1 else (low, middle)
    return (low + high) / 2
