"""What is measured about mini-batch descent: single long runs, populations of runs, and sums over every batch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.least_squares import gradient_descent_limit, least_squares_problem, whole_times
from ....numerics.implicit_bias.mini_batches import (
    batch_rounding_floor,
    error_moments,
    largest_stable_batch_step,
    mean_square_bound,
    mean_square_contraction,
    stationary_covariance,
)
from ....numerics.intervals import ALPHA, multiplier
from ....numerics.store import Rows
from ....theory.errors import AssumptionViolated
from ....theory.validation import finite, sample_size
from ...result import Run

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class MiniBatchSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), the step, the batch size and numbers of steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    step: float
    batch_size: int
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.initial), whole_times(self.times)
        finite("step", self.step, ndim=0), sample_size("batch_size", self.batch_size)

    @property
    def problem(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.design, self.targets, self.initial

    @property
    def options(self) -> dict[str, Any]:
        return {"step": self.step, "batch_size": self.batch_size}


@dataclass(frozen=True, eq=False)
class MiniBatchPrediction:
    """w_inf; bounds on E ||d_t||^2 (times,), infinite if not interpolating; E d_t, E d_t d_t^T; the stationary covariance."""

    limit: Float[np.ndarray, " parameters"]
    bounds: Float[np.ndarray, " times"]
    means: Float[np.ndarray, "times parameters"]
    second_moments: Float[np.ndarray, "times parameters parameters"]
    stationary: Float[np.ndarray, "parameters parameters"]


def predict(s: MiniBatchSetting) -> MiniBatchPrediction:
    try:
        bounds = [mean_square_bound(*s.problem, steps=t, **s.options) for t in s.times]
    except AssumptionViolated:
        bounds = [np.inf] * len(s.times)
    moments = [error_moments(*s.problem, time=min(t, 50), **s.options) for t in s.times]
    return MiniBatchPrediction(
        limit=gradient_descent_limit(*s.problem),
        bounds=np.array(bounds),
        means=np.stack([mean for mean, _ in moments]),
        second_moments=np.stack([second for _, second in moments]),
        stationary=stationary_covariance(s.design, s.targets, **s.options),
    )


def well_conditioned(rng: np.random.Generator, n: int, p: int) -> np.ndarray:
    """Singular values within a factor of two."""
    size = min(n, p)
    left, right = (np.linalg.qr(rng.normal(size=(k, size)))[0] for k in (n, p))
    return 10 ** rng.uniform(-0.5, 0.5) * (left * rng.uniform(1, 2, size)) @ right.T


def interpolating_setting(seed: int, *, times: tuple[int, ...] = (1, 4, 16, 50)) -> MiniBatchSetting:
    """More parameters than examples; every third has orthogonal rows of one length, where the bound is attained at B = 1."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 7))
    p, size = n + int(rng.integers(1, 4)), int(rng.integers(1, n))
    x = well_conditioned(rng, n, p)
    if seed % 3 == 0:
        x, size = np.linalg.qr(x.T)[0].T, 1
    step = rng.uniform(0.2, 0.9) * largest_stable_batch_step(x, batch_size=size)
    return MiniBatchSetting(x, rng.normal(size=(n,)), rng.normal(size=(p,)), step, size, times)


def long_setting(seed: int) -> MiniBatchSetting:
    """As many steps as Markov's inequality at 1e-6 needs to leave nothing but rounding."""
    s = interpolating_setting(seed, times=(1,))
    rate = mean_square_contraction(s.design, **s.options)
    last = int(np.ceil(np.log(1e-28 * ALPHA) / np.log(rate))) if rate > 0 else 1
    return MiniBatchSetting(s.design, s.targets, s.initial, s.step, s.batch_size, (last,))


def noisy_setting(seed: int) -> MiniBatchSetting:
    """More examples than parameters: no interpolation."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(4, 7)), int(rng.integers(1, 4))
    size, x = int(rng.integers(1, n)), well_conditioned(rng, n, p)
    step = rng.uniform(0.2, 0.7) * largest_stable_batch_step(x, batch_size=size)
    return MiniBatchSetting(x, rng.normal(size=(n,)), rng.normal(size=(p,)), step, size, (1, 2, 6))


def train(s: MiniBatchSetting, run: Run) -> dict[str, Any]:
    """One run, batch by batch; the last iterate."""
    rng, w = np.random.default_rng(run.seed), s.initial.copy()
    n, size = len(s.targets), s.batch_size
    order = np.argsort(rng.random((max(s.times), n)), axis=1)[:, :size]
    for batch in order:
        x = s.design[batch]
        w = w - s.step * (n / size) * (x.T @ (x @ w - s.targets[batch]))
    return {"weights": w[None]}


def compare_limit(s: MiniBatchSetting, p: MiniBatchPrediction, rows: Rows) -> Comparison:
    # Markov: ||d_t||^2 exceeds its expectation's bound / ALPHA with probability at most ALPHA
    bound = np.sqrt(p.bounds[-1] / ALPHA) + batch_rounding_floor(*s.problem, steps=s.times[-1], **s.options)
    return Comparison(rows["weights"][0], p.limit, np.array(bound), float(np.linalg.norm(p.limit)))


def all_batches(s: MiniBatchSetting) -> tuple[np.ndarray, np.ndarray]:
    """I - step H_B and step xi_B for every batch; w_inf by the pseudo-inverse."""
    n, p = s.design.shape
    limit = s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    maps, kicks = [], []
    for batch in itertools.combinations(range(n), s.batch_size):
        x = s.design[list(batch)] * np.sqrt(n / s.batch_size)
        maps.append(np.eye(p) - s.step * x.T @ x)
        kicks.append(s.step * np.sqrt(n / s.batch_size) * x.T @ (s.targets - s.design @ limit)[list(batch)])
    return np.stack(maps), np.stack(kicks)


def sum_over_batches(s: MiniBatchSetting, run: Run) -> dict[str, Any]:
    """E ||d_t||^2 for interpolating data, averaging over every batch at every step, in coordinates of the row space."""
    basis = np.linalg.svd(s.design, full_matrices=False)[2].T
    maps = basis.T @ all_batches(s)[0] @ basis
    d = basis.T @ (np.linalg.pinv(s.design) @ (s.design @ s.initial - s.targets))
    second, found = np.outer(d, d), []
    for t in range(max(s.times) + 1):
        if t in s.times:
            found.append(np.trace(second))
        second = np.mean(maps @ second @ maps, axis=0)
    return {"time": np.array(s.times), "error": np.array(found)}


def compare_bound(s: MiniBatchSetting, p: MiniBatchPrediction, rows: Rows) -> Enclosures:
    """1 minus exact value over bound; every average adds some ten roundings per entry, then contracted like the bound."""
    slack = 1 - rows["error"] / p.bounds
    rate = (p.bounds[-1] / p.bounds[0]) ** (1 / (s.times[-1] - s.times[0]))
    rounding = 40 * sum(s.design.shape) * UNIT_ROUNDOFF * (1 + rows["time"] / rate)
    return Enclosures(slack - rounding, slack + rounding, width=1e-9)


def settle(s: MiniBatchSetting, run: Run) -> dict[str, Any]:
    """The covariance from a start at w_inf, averaging over every batch at every step, until it has settled."""
    maps, kicks = all_batches(s)
    noise = np.mean(kicks[:, :, None] * kicks[:, None, :], axis=0)
    rate = mean_square_contraction(s.design, **s.options)
    steps, second = int(np.ceil(-32 / np.log(rate))) if rate > 0 else 1, np.zeros_like(noise)
    for _ in range(steps):
        second = np.mean(maps @ second @ maps, axis=0) + noise
    return {"steps": np.array([steps]), "covariance": second.reshape(1, -1)}


def compare_stationary(s: MiniBatchSetting, p: MiniBatchPrediction, rows: Rows) -> Comparison:
    """In trace norm the distance shrinks by the mean-square rate; w_inf and every average carry rounding."""
    settled = rows["covariance"][0].reshape(p.stationary.shape)
    rate, size = mean_square_contraction(s.design, **s.options), float(np.trace(settled))
    rounding = 100 * sum(s.design.shape) * UNIT_ROUNDOFF * np.linalg.cond(s.design) ** 2 / (1 - rate)
    bound = (rate ** float(rows["steps"][0]) / (1 - rate) + rounding) * size
    return Comparison(settled, p.stationary, np.array(bound), size)


def run_many(s: MiniBatchSetting, run: Run) -> dict[str, Any]:
    """||d_t||^2 of many independent runs at each of the times."""
    rng, count, n = np.random.default_rng(run.seed), run.block["runs"], len(s.targets)
    limit = s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    w, found = np.tile(s.initial, (count, 1)), []
    for t in range(max(s.times) + 1):
        if t in s.times:
            found.append(np.sum((w - limit) ** 2, axis=1))
        batch = np.argsort(rng.random((count, n)), axis=1)[:, : s.batch_size]
        x, y = s.design[batch], s.targets[batch]
        residual = np.einsum("rbp,rp->rb", x, w) - y
        w = w - s.step * n / s.batch_size * np.einsum("rbp,rb->rp", x, residual)
    return {"square": np.stack(found, axis=1)}


def compare_moments(s: MiniBatchSetting, p: MiniBatchPrediction, rows: Rows) -> Comparison:
    observed, count = rows["square"].mean(axis=0), len(rows["square"])
    error = multiplier(len(s.times)) * rows["square"].std(axis=0, ddof=1) / np.sqrt(count)
    # where all runs agree there is only rounding
    error = error + 100 * max(s.times) * sum(s.design.shape) * UNIT_ROUNDOFF * observed.max()
    return Comparison(observed, np.trace(p.second_moments, axis1=1, axis2=2), error, observed)
