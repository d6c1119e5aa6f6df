"""What reusing noise draws is held to: real descent with the same draws at every step, and the rounding of the closed form."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.fixed_noise import fixed_draws, fixed_noise_contraction, largest_fixed_noise_step
from ....numerics.implicit_bias.gaussian_law import GaussianLaw
from ....numerics.implicit_bias.least_squares import UNIT_ROUNDOFF, least_squares_problem, row_space
from ....numerics.store import Rows
from ....numerics.training.sampled_law import descend_sampled_law
from ...result import Run
from ..problems import random_design


@dataclass(frozen=True, eq=False)
class FixedNoiseSetting:
    """X (examples, parameters), y (examples,), the prior's mean and factor, the draws (draws, rank) and the step."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    draws: Float[np.ndarray, "draws rank"]
    step: float

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean)
        fixed_draws(self.draws, rank=self.prior.factor.shape[1])

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)

    @property
    def rank(self) -> int:
        return int(self.prior_factor.shape[1])


@dataclass(frozen=True, eq=False)
class FixedNoisePrediction:
    """mu_inf, S_inf, the variance at the training inputs summed over them, and the factor per step."""

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    variance: float
    contraction: float


def random_setting(rng: np.random.Generator, design: np.ndarray, *, few: bool) -> FixedNoiseSetting:
    """`few`: at most as many draws as the rank; else one to three more."""
    n, p = design.shape
    rank = int(rng.integers(2, 5))
    draws = rng.normal(size=(int(rng.integers(1, rank + 1)) if few else rank + int(rng.integers(2, 4)), rank))
    step = rng.uniform(0.4, 0.9) * largest_fixed_noise_step(design, draws=draws, rank=rank)
    return FixedNoiseSetting(
        design, rng.normal(size=(n,)), rng.normal(size=(p,)), rng.normal(size=(p, rank)), draws, step
    )


def settings(first: int, last: int, *, few: bool) -> tuple[FixedNoiseSetting, ...]:
    """Settings whose slowest trained direction needs at most 600 steps."""
    found = []
    for seed in range(first, last):
        rng = np.random.default_rng(seed)
        s = random_setting(rng, random_design(rng), few=few)
        if steps_of(s) <= 600:
            found.append(s)
    return tuple(found)


def steps_of(s: FixedNoiseSetting) -> int:
    """Steps after which e^-32 of the start is left."""
    rate = fixed_noise_contraction(s.design, step=s.step, draws=s.draws, rank=s.rank)
    return 1 + int(np.ceil(-32 / np.log(max(rate, 0.1))))


def train(s: FixedNoiseSetting, run: Run, *, fresh: bool = False) -> dict[str, Any]:
    """Real descent with the same draws at every step."""
    count = steps_of(s)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that too few draws are reused is the point
        means, factors = descend_sampled_law(
            s.design, s.targets, s.prior_mean, s.prior_factor, step=s.step / (10 if fresh else 1),
            record=(10 * count if fresh else count,), samples=len(s.draws), draws=None if fresh else s.draws, seed=run.seed,
        )  # fmt: skip
    return {"state": np.column_stack([means[0, 0], factors[0, 0]]).reshape(1, -1)}


def reach(s: FixedNoiseSetting) -> float:
    space, residual = row_space(s.design), s.targets - s.design @ s.prior_mean
    moved = float(np.linalg.norm((space.left.T @ residual) / space.singular_values))
    return float(np.linalg.norm(s.prior_mean) + np.linalg.norm(s.prior_factor)) + 2 * moved


def limit_error(s: FixedNoiseSetting) -> float:
    """Rounding of the closed form: the limit moves by max(n, p) 2 u cond(X) of its size, and by the same with 1/s_min for a
    residual; the draws' projector by (R + 1 + K) 2 u times their condition number."""
    x, space = s.design, row_space(s.design)
    solution = row_space(np.column_stack([np.ones(len(s.draws)), s.draws])).singular_values
    backward = max(x.shape) * 2 * UNIT_ROUNDOFF * space.norm / float(space.singular_values[-1])
    left = s.targets - s.design @ (np.linalg.pinv(s.design) @ s.targets)
    residual = float(np.linalg.norm(left)) / float(space.singular_values[-1])
    turned = (sum(s.draws.shape) + 1) * 2 * UNIT_ROUNDOFF * float(solution[0] / solution[-1])
    return (4 * backward + 4 * turned) * (reach(s) + residual)


def compare_limit(s: FixedNoiseSetting, p: FixedNoisePrediction, rows: Rows) -> Comparison:
    """What is left of the trained part, and rounding that is contracted where it is trained and adds up elsewhere."""
    count, size = steps_of(s), reach(s)
    noise = float(fixed_draws(s.draws, rank=s.rank).eigenvalues[0])
    gain = s.step * float(np.linalg.norm(np.abs(s.design), 2)) ** 2 * max(noise, 1.0) * (1 + s.rank)
    terms = sum(s.design.shape) + sum(s.draws.shape) + 4
    rounding = (
        count
        * UNIT_ROUNDOFF
        * (size + float(np.linalg.norm(s.targets)) / max(row_space(s.design).norm, 1e-300))
        * (2 + terms * gain)
    )
    state = np.column_stack([p.mean, p.factor]).ravel()
    observed = rows["state"][0]
    factor = observed.reshape(len(p.mean), -1)[:, 1:]
    off = np.exp(-32.0) * size + rounding + limit_error(s)
    norm = float(np.linalg.norm(s.design, 2))
    spread = norm * float(np.linalg.norm(factor))
    variance = float(np.sum((s.design @ factor) ** 2))
    bounds = np.append(
        np.full(len(state), off), (2 * spread + norm * off) * norm * off + 10 * UNIT_ROUNDOFF * spread**2
    )
    scales = np.append(np.full(len(state), size), spread**2 + norm**2 * size**2)
    return Comparison(np.append(observed, variance), np.append(state, p.variance), bounds, scales)


def compare_left(s: FixedNoiseSetting, p: FixedNoisePrediction, rows: Rows) -> Enclosures:
    """Real descent leaves a variance at the training inputs of at least a thousandth of the prior's, whatever the draws."""
    factor = rows["state"][0].reshape(len(p.mean), -1)[:, 1:]
    share = np.sum((s.design @ factor) ** 2) / np.sum((s.design @ s.prior_factor) ** 2)
    slack = np.array([share - 1e-3])
    return Enclosures(slack - 1e-9, slack + 1e-9, width=1e-8)
