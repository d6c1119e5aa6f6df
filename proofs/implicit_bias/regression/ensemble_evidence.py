"""What the law of linear ensembles is held to: exact recursions, starts that carry the law exactly, thousands of members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, fmpq
from jaxtyping import Float
from scipy.special import ndtr

from ....numerics.claims import Comparison, Samples
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.least_squares import UNIT_ROUNDOFF, least_squares_problem, whole_times
from ....numerics.implicit_bias.momentum import largest_stable_momentum_step, momentum_rounding_floor
from ....numerics.store import Rows
from ....numerics.training.linear_ensemble import descend_ensemble
from ....theory.validation import finite
from ...result import Run
from ..problems import balls, integer_design, rational


@dataclass(frozen=True, eq=False)
class EnsembleSetting:
    """X (examples, parameters), y (examples,), the members' law at the start, step, momentum, and numbers of steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    step: float
    momentum: float
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), whole_times(self.times)
        self.prior, finite("step", self.step, ndim=0), finite("momentum", self.momentum, ndim=0)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def rank(self) -> int:
        return int(self.prior_factor.shape[1])


@dataclass(frozen=True, eq=False)
class EnsemblePrediction:
    """Mean (times, parameters) and covariance (times, parameters, parameters) of a member at each of the times."""

    means: Float[np.ndarray, "times parameters"]
    covariances: Float[np.ndarray, "times parameters parameters"]


def random_setting(seed: int) -> EnsembleSetting:
    """More parameters than examples or fewer, condition up to 2, with and without momentum."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    size = min(n, p)
    left, right = (np.linalg.qr(rng.normal(size=(k, size)))[0] for k in (n, p))
    design = left * rng.uniform(1, 2, size) @ right.T
    momentum = float(rng.choice([0.0, rng.uniform(0.2, 0.9)]))
    step = rng.uniform(0.2, 0.8) * largest_stable_momentum_step(design, momentum=momentum)
    factor = rng.normal(size=(p, int(rng.integers(1, p + 1))))
    return EnsembleSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, step, momentum, (1, 4, 15))


# --- exact fractions ------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> EnsembleSetting:
    design = integer_design(rng)
    n, p = design.shape
    momentum = float(rng.choice([0.0, rng.uniform(0.1, 0.9)]))
    step = rng.uniform(0.1, 0.8) * largest_stable_momentum_step(design, momentum=momentum)
    factor = rng.normal(size=(p, int(rng.integers(1, 4))))
    return EnsembleSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, step, momentum, (0, 1, 4))


def last_steps(s: EnsembleSetting) -> list[arb]:
    """A_t and b_t by the recursion itself, applied to the mean and to the covariance, in fractions."""
    x, y = rational(s.design), rational(s.targets)
    sigma = rational(s.prior_factor) * rational(s.prior_factor).transpose()
    eta, beta = (fmpq(*value.as_integer_ratio()) for value in (s.step, s.momentum))
    size = x.ncols()
    now = rational(np.eye(size))
    before, mean, mean_before = now, rational(s.prior_mean), rational(s.prior_mean)
    values: list[arb] = []
    for t in range(max(s.times) + 1):
        if t in s.times:
            values += [*balls(mean), *balls(now * sigma * now.transpose())]
        gram = x.transpose() * x
        now, before = now - eta * (gram * now) + beta * (now - before), now
        slope = x.transpose() * (x * mean - y)
        mean, mean_before = mean - eta * slope + beta * (mean - mean_before), mean
    return values


def floors(s: EnsembleSetting) -> np.ndarray:
    """Rounding of mean and factor, in Euclidean norm, at each of the times: that of single runs, in quadrature."""
    runs = [(s.targets, s.prior_mean)] + [(0 * s.targets, column) for column in s.prior_factor.T]
    return np.array(
        [
            np.linalg.norm(
                [momentum_rounding_floor(s.design, y, w, step=s.step, momentum=s.momentum, steps=t) for y, w in runs]
            )
            for t in s.times
        ]
    )


def flat(p: EnsemblePrediction) -> np.ndarray:
    return np.concatenate([np.append(m, c.ravel()) for m, c in zip(p.means, p.covariances, strict=True)])


def errors(s: EnsembleSetting, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Absolute errors in the order of `flat`: |S S^T - S' S'^T| <= (2 |S| + off) off, and the product itself rounds."""
    found = []
    for off, mean, c in zip(floors(s), means, covariances, strict=True):
        spread = float(np.sqrt(max(np.trace(c), 0.0)))
        found += [off] * len(mean)
        found += [(2 * spread + off) * off + 2 * (s.rank + 1) * UNIT_ROUNDOFF * spread**2] * c.size
    return np.array(found)


# --- real members -------------------------------------------------------------------------------------------------


def carry(s: EnsembleSetting, run: Run) -> dict[str, Any]:
    """Average and covariance of 2 R members from mu_0 +- R^{1/2} s_j, whose average is mu_0 and covariance S_0 S_0^T exactly."""
    moves = np.sqrt(s.rank) * np.concatenate([s.prior_factor.T, -s.prior_factor.T])
    path = descend_ensemble(s.design, s.targets, s.prior_mean + moves, step=s.step, record=s.times, momentum=s.momentum)
    means = path.mean(axis=1)
    off = path - means[:, None]
    covariances = np.einsum("tkp,tkq->tpq", off, off) / path.shape[1]
    return {"time": np.array(s.times), "mean": means, "covariance": covariances.reshape(len(s.times), -1)}


def compare_carried(s: EnsembleSetting, p: EnsemblePrediction, rows: Rows) -> Comparison:
    """Twice the rounding of single runs: each of the 2 R members may be off by its own, R^{1/2} times that of a column."""
    observed = np.concatenate([np.append(m, c) for m, c in zip(rows["mean"], rows["covariance"], strict=True)])
    bound = 2 * np.sqrt(s.rank) * errors(s, p.means, p.covariances)
    spread = np.linalg.norm(s.prior_factor)
    scale = np.concatenate(
        [
            np.append(np.full(len(m), np.linalg.norm(m) + spread), np.full(c.size, spread**2))
            for m, c in zip(p.means, p.covariances, strict=True)
        ]
    )
    return Comparison(observed, flat(p), bound, scale)


def train(s: EnsembleSetting, run: Run, *, batch: int | None = None, late: int = 0) -> dict[str, Any]:
    """The first three weights of many members drawn from the prior and trained one by one, at the last of the times."""
    rng = np.random.default_rng(run.seed)
    starts = s.prior_mean + rng.normal(size=(run.block["members"], s.rank)) @ s.prior_factor.T
    path = descend_ensemble(
        s.design,
        s.targets,
        starts,
        step=s.step,
        record=(s.times[-1] + late,),
        momentum=s.momentum,
        batch=batch,
        seed=run.seed + 1,
    )
    return {"weights": path[0][:, :3]}


def compare_law(s: EnsembleSetting, p: EnsemblePrediction, rows: Rows) -> Samples:
    observed = rows["weights"]
    mean, variance = p.means[-1][:3], np.diag(p.covariances[-1])[:3]
    return Samples(
        names=("w1", "w2", "w3"),
        observed=observed,
        cdf=ndtr((observed - mean) / np.sqrt(variance)),
        mean=mean,
        variance=variance,
    )
