"""Linear models as settings: what a wide network is while it trains. Features are given exactly, so Gram matrices are too.

f(x) = readout(x) w + hidden(x) v starts at w ~ N(0, I), v = 0 and trains both: the initial covariance is K = R R^T and the
tangent kernel T = K + H H^T, as for a network whose readout is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ...numerics.wide_networks.gram import GramBlocks, gram_blocks
from ...numerics.wide_networks.training import GradientDescent, GradientFlow, HeavyBall, Training
from ...theory.balls.context import exact_fraction, to_ball
from ...theory.balls.linear_training import (
    descent_map,
    exact_matrix,
    flow_map,
    heavy_ball_map,
    law,
    regression_map,
)
from ...theory.errors import InvalidInput
from ...theory.validation import finite

EPS = 2.0**-52
DIGITS = 50


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Features of S test points, then N training points: readout (S+N, p), hidden (S+N, q); labels (N,).

    `steps` = 0 means gradient flow until `time_sum_loss`; `noise` is a variance or a ridge, as the statement says.
    """

    readout: Float[np.ndarray, "points readout"]
    hidden: Float[np.ndarray, "points hidden"]
    labels: Float[np.ndarray, " train"]
    time_sum_loss: float = math.inf
    steps: int = 0
    step_size_sum_loss: float = 0.01
    momentum: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        readout, hidden = finite("readout", self.readout, ndim=2), finite("hidden", self.hidden, ndim=2)
        labels = finite("labels", self.labels, ndim=1)
        if len(readout) != len(hidden) or len(readout) <= len(labels) or not len(labels):
            raise InvalidInput(
                f"There are {len(readout)} and {len(hidden)} rows of features and {len(labels)} labels.",
                "Pass features of test points, then of training points, and one label for each of the latter.",
            )
        if not float(finite("noise", self.noise, ndim=0)) >= 0:
            raise InvalidInput(f"noise is {self.noise!r}.", "It is a variance.")
        _ = self.training

    @property
    def tests(self) -> int:
        return len(self.readout) - len(self.labels)

    @property
    def training(self) -> Training:
        if not self.steps:
            return GradientFlow(self.time_sum_loss)
        if self.momentum:
            return HeavyBall(self.steps, self.step_size_sum_loss, self.momentum)
        return GradientDescent(self.steps, self.step_size_sum_loss)

    @property
    def jacobian(self) -> np.ndarray:
        """(S+N, p+q)."""
        return np.concatenate([self.readout, self.hidden], axis=1)


@dataclass(frozen=True)
class Law:
    """Mean (S,) and covariance (S,S) of the trained output at the test points."""

    mean: Float[np.ndarray, " test"]
    covariance: Float[np.ndarray, "test test"]


def flatten(p: Any) -> np.ndarray:
    return np.concatenate([p.mean, p.covariance.ravel()])


# --- kernels ------------------------------------------------------------------------------------------------------


def kernels(s: LinearModel) -> tuple[GramBlocks, GramBlocks]:
    """K and T over (test, train)."""
    n = s.tests
    k = s.readout @ s.readout.T
    t = k + s.hidden @ s.hidden.T
    found = [gram_blocks(name, m[:n, :n], m[:n, n:], m[n:, n:]) for name, m in (("K", k), ("T", t))]
    return found[0], found[1]


def exact_kernels(s: LinearModel) -> tuple[arb_mat, arb_mat]:
    """The same, exactly."""
    r, h = exact_matrix(s.readout.tolist()), exact_matrix(s.hidden.tolist())
    k = r * r.transpose()
    return arb_mat(k), arb_mat(k + h * h.transpose())


def exact_noise(s: LinearModel) -> list[arb]:
    return [to_ball(exact_fraction("noise", s.noise))] * len(s.labels)


def exact_gain(s: LinearModel, kernel: arb_mat) -> arb_mat:
    """G of the setting's way to train, with its noise as the ridge (converged flow only)."""
    if s.momentum and s.steps:
        return heavy_ball_map(kernel, s.tests, step=s.step_size_sum_loss, momentum=s.momentum, steps=s.steps)
    if s.steps:
        return descent_map(kernel, s.tests, step=s.step_size_sum_loss, steps=s.steps)
    if math.isinf(s.time_sum_loss):
        return regression_map(kernel, s.tests, exact_noise(s))
    return flow_map(kernel, s.tests, s.time_sum_loss)


def exact_law(s: LinearModel) -> list[arb]:
    with ctx.workdps(DIGITS + 60):
        k, t = exact_kernels(s)
        return law(k, exact_gain(s, t), s.labels.tolist())


# --- random settings ----------------------------------------------------------------------------------------------


def random_model(rng: np.random.Generator, **changes: Any) -> LinearModel:
    """Features in multiples of 1/4 (their Gram matrices are exact in float64), condition numbers up to 1e4."""
    while True:
        tests, train = 2, int(rng.integers(2, 5))
        columns = [int(c) for c in rng.integers(tests + train + 1, tests + train + 5, size=2)]
        readout, hidden = (rng.integers(-6, 7, size=(tests + train, c)) / 4 for c in columns)
        s = LinearModel(readout, hidden, rng.integers(-8, 9, size=train) / 4 + 1 / 8, **changes)
        if all(np.linalg.cond(m.joint()) < 1e4 for m in kernels(s)):
            return s


def stable_step(s: LinearModel, fraction: float, momentum: float = 0.0) -> float:
    """A fraction of the stability limit, by the trace norm of numpy's eigenvalues; rounded to 20 bits to stay exact."""
    limit = 2 * (1 + momentum) / float(np.linalg.eigvalsh(kernels(s)[1].train)[-1])
    return float(np.float32(fraction * limit))


# --- rounding widths ----------------------------------------------------------------------------------------------


def gain_error(s: LinearModel, kernel: GramBlocks) -> tuple[float, float]:
    """(|G|, |dG|) in the spectral norm, with G computed as the policy says.

    Solving: 40 N eps cond |G|. Filters: eigh returns the eigenvalues of T + E with |E| <= 20 N eps |T|, and for a symmetric
    matrix |a(T+E) - a(T)|_F <= max|a'| |E|_F; with t = k eta/(1 - beta) the total time, 0 <= a <= t and |a'| <= t^2 for
    each filter, and evaluating a costs 10 (k+1) eps relative to t.
    """
    n, size = len(s.labels), float(np.linalg.norm(kernel.train))
    cross = float(np.linalg.norm(kernel.cross))
    if not s.steps and math.isinf(s.time_sum_loss):
        noisy = kernel.train + s.noise * np.eye(n)
        gain = float(np.linalg.norm(np.linalg.solve(noisy, kernel.cross.T)))
        return gain, 40 * n * EPS * float(np.linalg.cond(noisy)) * gain
    time = s.time_sum_loss if not s.steps else s.steps * s.step_size_sum_loss / (1 - s.momentum)
    smallest = max(float(np.linalg.eigvalsh(kernel.train)[0]), 1e-300)
    top = min(time, 2 / (smallest * (1 - s.momentum)))
    slope = min(time**2, 2 * top / (smallest * (1 - s.momentum)))
    error = cross * (slope * 20 * n * EPS * size + 10 * (s.steps + 1) * EPS * top)
    return cross * top, error


def law_width(s: LinearModel, prior: GramBlocks, kernel: GramBlocks, values: Any) -> np.ndarray:
    """Relative widths of mean and covariance: first order in dG, plus the rounding of factors and products."""
    gain, error = gain_error(s, kernel)
    joint = float(np.linalg.norm(prior.joint()))
    total = len(s.readout)
    label = float(np.linalg.norm(s.labels))
    mean = (error + total * EPS * gain) * label
    covariance = 2 * error * (1 + gain) * joint + 20 * total * EPS * (1 + gain) ** 2 * joint
    return relative(np.repeat([mean, covariance], [s.tests, s.tests**2]), flatten(values))


def relative(absolute: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Widths relative to |value|; absolute where the value is 0."""
    return absolute / np.where(values == 0, 1.0, np.abs(values))


# --- the other route: parameters ----------------------------------------------------------------------------------


def parameter_law(s: LinearModel, train: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Law:
    """The law over w ~ N(0, I) when `train(J_X, targets, start)` moves columns of parameters (p+q, c).

    Training is affine in the start and the targets, so the unit starts and the labels say everything: no sampling.
    """
    j, n = s.jacobian, s.tests
    p, q = s.readout.shape[1], s.hidden.shape[1]
    start = np.concatenate([np.eye(p, p + 1), np.zeros((q, p + 1))])
    goals = np.concatenate([np.zeros((len(s.labels), p)), s.labels[:, None]], axis=1)
    outputs = j[:n] @ train(j[n:], goals, start)
    return Law(outputs[:, p], outputs[:, :p] @ outputs[:, :p].T)


def parameter_flow(s: LinearModel) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """theta' = -J_X^T (J_X theta - y) by the exponential of its affine generator, one column of starts and labels each."""

    def train(j: np.ndarray, goals: np.ndarray, start: np.ndarray) -> np.ndarray:
        p, n = j.shape[1], len(j)
        generator = np.block([[-j.T @ j, j.T], [np.zeros((n, p + n))]])
        return (scipy.linalg.expm(s.time_sum_loss * generator) @ np.concatenate([start, goals]))[:p]

    return train


def exponential_bound(s: LinearModel) -> tuple[float, float]:
    """Rounding of both routes: of the policy (`gain_error`), and of exp, which is backward stable to (p+n) eps |tB|."""
    gain, error = gain_error(s, kernels(s)[1])
    j = s.jacobian
    norm = s.time_sum_loss * float(np.linalg.norm(j) ** 2 + np.linalg.norm(j))
    return gain, error + 20 * sum(j.shape) * EPS * norm * (1 + gain) * float(np.linalg.norm(j))
