"""What is measured about regression with a W2 term: samples trained with a pull to their own start, and rival laws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import lstsq

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.kl_regression import positive
from ....numerics.implicit_bias.least_squares import least_squares_problem, rounding_floor, row_space
from ....numerics.implicit_bias.variational_regression import distance_to_prior_squared, regression_limit
from ....numerics.implicit_bias.wasserstein import wasserstein2
from ....numerics.implicit_bias.wasserstein_regression import (
    distance_to_zero_penalty,
    least_wasserstein_objective,
    proximal_law,
    proximal_rounding_floor,
)
from ....numerics.store import Rows
from ...result import Run
from ..problems import random_design

UNIT_ROUNDOFF = 2.0**-53
SAMPLES = 6
LADDER = (1.0, 1e-2, 1e-4, 1e-6)


@dataclass(frozen=True, eq=False)
class ProximalSetting:
    """X (examples, parameters), y (examples,), the prior's mean and factor (any rank), and the penalty."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    penalty: float

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean)
        GaussianLaw(self.prior_mean, self.prior_factor), positive("penalty", self.penalty)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


@dataclass(frozen=True, eq=False)
class ProximalPrediction:
    """Mean, factor and covariance of the minimiser, the least objective, and the bound on W2 to the limit of no penalty."""

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    covariance: Float[np.ndarray, "parameters parameters"]
    least: float
    distance_bounds: Float[np.ndarray, " ladder"]


def predict(s: ProximalSetting) -> ProximalPrediction:
    law = proximal_law(s.design, s.targets, s.prior, penalty=s.penalty)
    return ProximalPrediction(
        mean=law.mean,
        factor=law.factor,
        covariance=covariance(law),
        least=least_wasserstein_objective(s.design, s.targets, s.prior, penalty=s.penalty),
        distance_bounds=np.array(
            [distance_to_zero_penalty(s.design, s.targets, s.prior, penalty=c * s.penalty) for c in LADDER]
        ),
    )


def random_setting(seed: int) -> ProximalSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    n, p = design.shape
    factor = rng.normal(size=(p, int(rng.integers(1, p + 1))))
    norm = float(np.linalg.norm(design, 2))
    return ProximalSetting(
        design, norm * rng.normal(size=(n,)), rng.normal(size=(p,)), factor, norm**2 * rng.uniform(0.02, 0.5)
    )


def stacked(s: ProximalSetting, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Design and targets whose least squares are ridge with a pull to `start`."""
    root = np.sqrt(s.penalty)
    return np.vstack([s.design, root * np.eye(len(start))]), np.concatenate([s.targets, root * start])


def train_samples(s: ProximalSetting, run: Run, *, pull: str = "own start") -> dict[str, Any]:
    """Draws of the prior, each descending ||y - X w||^2/2 + penalty/2 ||w - where it is pulled to||^2 from its own start."""
    rng, steps, rate = np.random.default_rng(run.seed), *schedule(s)
    noise = rng.normal(size=(SAMPLES, s.prior_factor.shape[1]))
    start = s.prior_mean + noise @ s.prior_factor.T
    goal = {"own start": start, "zero": 0 * start, "prior mean": 0 * start + s.prior_mean}[pull]
    w = start.copy()
    for _ in range(steps):
        w = w - rate * ((w @ s.design.T - s.targets) @ s.design + s.penalty * (w - goal))
    return {"start": start, "trained": w, "noise": noise}


def schedule(s: ProximalSetting) -> tuple[int, float]:
    """Number of steps and step size: the fastest step, until rounding is all that is left."""
    top = float(np.linalg.norm(s.design, 2)) ** 2
    step = 2 / (top + 2 * s.penalty)
    return int(np.ceil(36 / -np.log(1 - step * s.penalty))), step


def compare_samples(s: ProximalSetting, p: ProximalPrediction, rows: Rows) -> Comparison:
    """Each sample against mean + factor z with its own noise z."""
    steps, step = schedule(s)
    predicted = p.mean + rows["noise"] @ p.factor.T
    floors = [rounding_floor(*stacked(s, w), w, step=0.999 * step, steps=steps) for w in rows["start"]]
    law_floor = proximal_rounding_floor(s.design, s.targets, s.prior, penalty=s.penalty) * (
        1 + np.linalg.norm(rows["noise"], axis=1)
    )
    left = (1 - step * s.penalty) ** steps * np.linalg.norm(rows["start"] - predicted, axis=1)
    bound = (np.array(floors) + law_floor + left)[:, None]
    return Comparison(rows["trained"], predicted, bound, np.linalg.norm(rows["trained"], axis=1)[:, None])


def objective(s: ProximalSetting, mean: np.ndarray, factor: np.ndarray) -> float:
    """E_q ||y - X w||^2/2 + penalty/2 W2^2(q, prior), with the nuclear norm for the coupling."""
    fit = np.sum((s.targets - s.design @ mean) ** 2) + np.sum((s.design @ factor) ** 2)
    spread = np.sum(factor**2) + np.sum(s.prior_factor**2) - 2 * np.linalg.norm(factor.T @ s.prior_factor, "nuc")
    return float(fit + s.penalty * (np.sum((mean - s.prior_mean) ** 2) + spread)) / 2


def rounding(s: ProximalSetting, value: Any) -> Any:
    """20 (n + p) u of every term of an objective: the terms at the prior plus twice its value bound them all."""
    terms = np.sum(s.targets**2) + np.sum((s.design @ s.prior_mean) ** 2) + np.sum((s.design @ s.prior_factor) ** 2)
    terms += s.penalty * (np.sum(s.prior_mean**2) + np.sum(s.prior_factor**2))
    return 20 * sum(s.design.shape) * UNIT_ROUNDOFF * (4 * terms + 4 * np.abs(value))


def draw_laws(s: ProximalSetting, run: Run) -> dict[str, Any]:
    """The objective at random Gaussian laws near and far from ridge applied to the prior, some with fewer columns or more."""
    rng, p = np.random.default_rng(run.seed), len(s.prior_mean)
    design, _ = stacked(s, s.prior_mean)
    near_mean = lstsq(*stacked(s, s.prior_mean))[0]
    root, zero = np.sqrt(s.penalty), np.zeros((len(s.targets), s.prior_factor.shape[1]))
    near = lstsq(design, np.vstack([zero, root * s.prior_factor]))[0]
    values = []
    for _ in range(run.block["laws"]):
        spread, columns = 10 ** rng.uniform(-5, 0.5), int(rng.integers(1, p + 2))
        extra = spread * rng.normal(size=(p, columns))
        factor = np.hstack([near, extra]) if rng.random() < 0.3 else near + spread * rng.normal(size=near.shape)
        values.append(objective(s, near_mean + spread * rng.normal(size=p), factor))
    return {"objective": np.array([objective(s, near_mean, near), *values])}


def compare_objective(s: ProximalSetting, p: ProximalPrediction, rows: Rows) -> Enclosures:
    """No law is below the least value, nor below the value at the predicted law."""
    found, at_law = rows["objective"], objective(s, p.mean, p.factor)
    gap = np.concatenate([found - p.least, found - at_law])
    error = np.tile(rounding(s, found) + rounding(s, at_law), 2)
    return Enclosures(gap - error, gap + error, width=float(2.1 * error.max()))


def compare_value(s: ProximalSetting, p: ProximalPrediction, rows: Rows) -> Comparison:
    """The least value as a formula, and the objective at ridge applied to the prior by stacked least squares."""
    return Comparison(rows["objective"][:1], np.array([p.least]), rounding(s, p.least), abs(p.least))


def weaken(s: ProximalSetting, run: Run) -> dict[str, Any]:
    """W2 to the limit of no penalty, for smaller and smaller penalties, each by solves with X X^T + penalty."""
    limit, found = regression_limit(s.design, s.targets, s.prior), []
    for c in LADDER:
        system = s.design @ s.design.T + c * s.penalty * np.eye(len(s.targets))
        gain = np.linalg.solve(system, s.design).T
        mean = s.prior_mean + gain @ (s.targets - s.design @ s.prior_mean)
        found.append(wasserstein2(GaussianLaw(mean, s.prior_factor - gain @ s.design @ s.prior_factor), limit))
    return {"scale": np.array(LADDER), "distance": np.array(found)}


def compare_distance(s: ProximalSetting, p: ProximalPrediction, rows: Rows) -> Enclosures:
    """Bound minus distance, in units of W2(q_inf, q_0); the solve has condition ||X||^2/penalty."""
    whole = np.sqrt(distance_to_prior_squared(s.design, s.targets, s.prior))
    slack = (p.distance_bounds - rows["distance"]) / whole
    norm, low = row_space(s.design).norm, float(row_space(s.design).singular_values[-1])
    size = np.linalg.norm(s.prior_mean) + np.linalg.norm(s.prior_factor) + np.linalg.norm(s.targets) / low
    error = (
        40
        * sum(s.design.shape)
        * UNIT_ROUNDOFF
        * (1 + norm**2 / (rows["scale"] * s.penalty))
        * (norm / low)
        * size
        / whole
    )
    return Enclosures(slack - error, slack + error, width=1e-3)
