"""What the edge of stability is held to: exact fractions, real descent on sampled weights, and populations with resampling."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import numpy as np
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Comparison
from ....numerics.implicit_bias.stability import (
    SampledDescent,
    mean_square_rate,
    moment_matrix,
    stable_mode_step_by_bisection,
)
from ....numerics.intervals import multiplier
from ....numerics.store import Rows
from ....numerics.training.sampled_law import descend_sampled_law
from ....theory.errors import InvalidInput
from ...result import Run
from .noise_moments import exact_rate, exact_threshold, moment_operator

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class StabilitySetting:
    """The training options, mode steps step * h (modes,), start of (mean, factor) in each mode (modes, 1 + rank), times."""

    rank: int
    samples: int
    momentum: float
    covariance_rate: float
    estimator: Literal["independent", "antithetic", "analytic"]
    mode_steps: Float[np.ndarray, " modes"]
    start: Float[np.ndarray, "modes columns"]
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.start.shape != (len(self.mode_steps), 1 + self.descent.rank):
            raise InvalidInput(f"start has shape {self.start.shape}.", "One row per mode: the mean, then the factor.")

    @property
    def descent(self) -> SampledDescent:
        return SampledDescent(self.rank, self.samples, self.momentum, self.covariance_rate, self.estimator)

    @property
    def options(self) -> dict[str, Any]:
        exact = {"momentum": Fraction(self.momentum), "covariance_rate": Fraction(self.covariance_rate)}
        return {"rank": self.rank, "samples": self.samples, "estimator": self.estimator} | exact


@dataclass(frozen=True, eq=False)
class StabilityPrediction:
    """a_max; the factor per step of each mode (modes,); c_0 and c_1 of each mode at the times (times, modes, 2); and the
    growth of the summed second moments of current and previous iterate of each mode (times, modes)."""

    threshold: float
    rates: Float[np.ndarray, " modes"]
    moments: Float[np.ndarray, "times modes 2"]
    growth: Float[np.ndarray, "times modes"]


# --- 50 digits ------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> StabilitySetting:
    """Options of every kind, small enough for exact determinants of the full operator."""
    momentum = float(rng.choice([0.0, rng.uniform(0.05, 0.95)]))
    estimator = ("independent", "independent", "antithetic", "analytic")[int(rng.integers(4))]
    rank = int(rng.integers(1, 2 if momentum else 4))
    samples = {"independent": int(rng.integers(1, 6)), "antithetic": 2 * int(rng.integers(1, 4)), "analytic": 1}[
        estimator
    ]
    rate = float(rng.choice([1.0, 1 / rank, 10 ** rng.uniform(-1, 0.5)]))
    return StabilitySetting(
        rank, samples, momentum, rate, estimator, rng.uniform(0.05, 1.5, 1), np.ones((1, 1 + rank)), (1,)  # type: ignore[arg-type]
    )  # fmt: skip


def exact(s: StabilitySetting) -> list[arb]:
    """The full second-moment operator, all blocks of it: where it first has eigenvalue 1, and its spectral radius."""
    return [exact_threshold(**s.options), exact_rate(Fraction(float(s.mode_steps[0])), **s.options)]


def eigenvalue_error(t: np.ndarray) -> float:
    """What rounding may move the spectral radius by: 4 n roundings of |T| times the condition number |y| |x| / |y.x| of that
    eigenvalue, in the units of c_1 in which T_01 = T_10."""
    units = np.tile([1.0, np.sqrt(t[1, 0] / t[0, 1]) if t[0, 1] else 1.0], len(t) // 2)
    balanced = t * units / units[:, None]
    values, vectors = np.linalg.eig(balanced)
    top = int(np.abs(values).argmax())
    condition = float(np.linalg.norm(np.linalg.inv(vectors)[top]) * np.linalg.norm(vectors[:, top]))
    return 4 * len(t) * UNIT_ROUNDOFF * float(np.linalg.norm(balanced)) * condition


@cache
def bisected(descent: SampledDescent) -> tuple[float, float]:
    """The edge by bisection on the spectral radius, and its error: the radius's over its slope there, and the last bracket."""
    edge = stable_mode_step_by_bisection(descent)
    ends = mean_square_rate(edge * (1 + np.array([-1e-5, 1e-5])), descent)
    slope = float(ends[1] - ends[0]) / (2e-5 * edge)
    return edge, eigenvalue_error(moment_matrix(edge, descent)) / slope + 2.0**-50 * edge


def compare_bisection(s: StabilitySetting, p: StabilityPrediction, rows: Rows) -> Comparison:
    edge, bound = bisected(s.descent)
    # mode steps are pure numbers of order 1, which the claim's 1e-10 is relative to
    return Comparison(np.array([edge]), np.array([p.threshold]), np.array([bound]), 1.0)


# --- real descent -------------------------------------------------------------------------------------------------


def train(setting: StabilitySetting, run: Run) -> dict[str, Any]:
    """Sampled descent with step 1 on a random design whose squared singular values are the mode steps; moments by mode."""
    s, rng = setting, np.random.default_rng(run.seed)
    modes = len(s.mode_steps)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (modes + 1, modes + 2))
    design = left[:, :modes] * np.sqrt(s.mode_steps) @ right[:modes]
    start = right[:modes].T @ s.start + right[modes:].T @ rng.normal(size=(2, 1 + s.rank))
    solution = rng.normal(size=modes + 2)
    means, factors = descend_sampled_law(
        design, design @ solution, start[:, 0] + solution, start[:, 1:], step=1.0, record=s.times,
        samples=s.samples, antithetic=s.estimator == "antithetic", momentum=s.momentum,
        covariance_rate=s.covariance_rate, replicates=run.block["replicates"], seed=run.seed + 1,
    )  # fmt: skip
    mean = (means - solution) @ right[:modes].T
    factor = np.einsum("mp,trpk->trmk", right[:modes], factors)
    moments = np.stack([(mean**2).mean(axis=1), (factor**2).mean(axis=(1, 3))], axis=2)
    return {"time": np.array(s.times), "moments": moments.reshape(len(s.times), -1)}


def standard_errors(s: StabilitySetting, replicates: int) -> np.ndarray:
    """Of the two sample moments at the times (times, modes, 2), from the exact second and fourth moments of the recursion."""
    n = 1 + s.rank
    found = np.empty((len(s.times), len(s.mode_steps), 2))
    for mode, (rate, row) in enumerate(zip(s.mode_steps, s.start, strict=True)):
        v = np.concatenate([row, row]) if s.momentum else row
        powers = {}
        for power in (2, 4):
            operator = moment_operator(
                power, float(rate), rank=s.rank, samples=s.samples, momentum=s.momentum,
                covariance_rate=s.covariance_rate, estimator=s.estimator,
            )  # fmt: skip
            state = np.kron(v, v) if power == 2 else np.kron(np.kron(v, v), np.kron(v, v))
            powers[power] = [state.reshape((len(v),) * power)]
            for _ in range(max(s.times)):
                state = state @ operator
                powers[power].append(state.reshape((len(v),) * power))
        for place, t in enumerate(s.times):
            pair, four = powers[2][t], powers[4][t]
            second = np.array([pair[0, 0], np.trace(pair[1:n, 1:n]) / s.rank])
            fourth = np.array([four[0, 0, 0, 0], np.einsum("iijj", four[1:n, 1:n, 1:n, 1:n]) / s.rank**2])
            found[place, mode] = np.sqrt(np.maximum(fourth - second**2, 0) / replicates)
    return found


def compare_moments(s: StabilitySetting, p: StabilityPrediction, rows: Rows) -> Comparison:
    observed = rows["moments"].reshape(p.moments.shape)
    error = standard_errors(s, int(rows["replicates"][0]))
    # each step multiplies by a factor that a hundred roundings have moved, and an average of n squares errs by n u
    rounding = (100 * max(s.times) + int(rows["replicates"][0])) * UNIT_ROUNDOFF * p.moments
    return Comparison(observed, p.moments, multiplier(observed.size) * error + rounding, p.moments)


# --- late times: populations with resampling ----------------------------------------------------------------------


def resample(setting: StabilitySetting, run: Run) -> dict[str, Any]:
    """Growth of E |w_t|^2 + |w_{t-1}|^2 in each mode, from islands of particles that are resampled in proportion to it.

    Rare paths carry the second moment, so that plain averages miss it at late times. The product over the steps of the
    mean growth within an island is an unbiased estimate of the expectation, with a variance that grows only linearly.
    """
    s, rng = setting, np.random.default_rng(run.seed)
    islands, particles = run.block["islands"], run.block["particles"]
    free = s.samples // 2 if s.estimator == "antithetic" else s.samples
    rates = np.array([1.0] + [s.covariance_rate] * s.rank)
    table = []
    lanes = np.arange(islands)[:, None]
    for rate, row in zip(s.mode_steps, s.start, strict=True):
        now = np.broadcast_to(row, (islands, particles, 1 + s.rank)).copy()
        before, estimate = now.copy(), np.ones(islands)
        kept = []
        for t in range(1, max(s.times) + 1):
            gradient = np.zeros_like(now)
            for _ in range(free):
                u = np.concatenate(
                    [np.ones((islands, particles, 1)), rng.normal(size=(islands, particles, s.rank))], axis=2
                )
                if s.estimator == "antithetic":  # the average of u u^T over (z, -z) has no cross terms
                    gradient[..., 0] += now[..., 0]
                    gradient[..., 1:] += np.sum(now[..., 1:] * u[..., 1:], axis=2, keepdims=True) * u[..., 1:]
                else:
                    gradient += np.sum(now * u, axis=2, keepdims=True) * u
            size = np.sum(now**2 + before**2, axis=2)
            now, before = now + s.momentum * (now - before) - rate * rates * gradient / free, now
            weight = np.sum(now**2 + before**2, axis=2)
            estimate = estimate * (weight / size).mean(axis=1)
            if t in s.times:
                kept.append(estimate)
            share = np.cumsum(weight / size, axis=1)
            share /= share[:, -1:]
            # systematic resampling, one uniform number per island; island i searches in (i, i + 1)
            marks = (np.arange(particles) + rng.random((islands, 1))) / particles
            chosen = np.searchsorted((share + lanes).ravel(), (marks + lanes).ravel()).reshape(islands, particles)
            chosen = np.minimum(chosen - lanes * particles, particles - 1)
            scale = 1 / np.sqrt(np.take_along_axis(weight, chosen, axis=1))[..., None]
            now, before = now[lanes, chosen] * scale, before[lanes, chosen] * scale
        table.append(np.array(kept))
    return {"growth": np.stack(table, axis=1).transpose(2, 0, 1).reshape(islands, -1)}


def compare_growth(s: StabilitySetting, p: StabilityPrediction, rows: Rows) -> Comparison:
    growth = rows["growth"]
    error = growth.std(axis=0, ddof=1) / np.sqrt(len(growth))
    bound = multiplier(growth.shape[1], degrees=len(growth) - 1) * error
    return Comparison(growth.mean(axis=0), p.growth.ravel(), bound, p.growth.ravel())
