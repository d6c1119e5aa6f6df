"""What is measured about variational regression: real descent on mean and factor, and rival laws that fit the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.least_squares import largest_stable_step, least_squares_problem, whole_times
from ....numerics.implicit_bias.variational_regression import distance_to_limit_bound, law_rounding_floor
from ....numerics.implicit_bias.wasserstein import wasserstein2, wasserstein2_squared
from ....numerics.store import Rows
from ....numerics.training.linear_gd import descend_gaussian_law
from ....theory.validation import finite
from ...result import Run
from ..problems import random_design, random_times

UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True, eq=False)
class VariationalSetting:
    """X (examples, parameters), y (examples,), the prior's mean and factor, the step eta and the numbers of steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    prior_mean: Float[np.ndarray, " parameters"]
    prior_factor: Float[np.ndarray, "parameters rank"]
    step: float
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.prior_mean), whole_times(self.times)
        GaussianLaw(self.prior_mean, self.prior_factor), finite("step", self.step, ndim=0)

    @property
    def prior(self) -> GaussianLaw:
        return GaussianLaw(self.prior_mean, self.prior_factor)


@dataclass(frozen=True, eq=False)
class VariationalPrediction:
    """mu_inf, S_inf, Sigma_inf, W2^2(q_inf, q_0), rho, ||(mu_0, S_0) - (mu_inf, S_inf)||; mu_t and S_t for the times."""

    mean: Float[np.ndarray, " parameters"]
    factor: Float[np.ndarray, "parameters rank"]
    covariance: Float[np.ndarray, "parameters parameters"]
    distance_squared: float
    contraction: float
    start: float
    path_means: Float[np.ndarray, "times parameters"]
    path_factors: Float[np.ndarray, "times parameters rank"]


def random_setting(seed: int) -> VariationalSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    step = rng.uniform(0.2, 0.9) * largest_stable_step(design)
    n, p = design.shape
    factor = rng.normal(size=(p, int(rng.integers(1, p + 1))))
    targets = float(np.linalg.norm(design, 2)) * rng.normal(size=(n,))
    return VariationalSetting(design, targets, rng.normal(size=(p,)), factor, step, random_times(design, step))


def descend(setting: VariationalSetting, run: Run) -> dict[str, Any]:
    """Gradient descent on mean and factor, step by step; the factor's entries in one row."""
    s = setting
    means, factors = descend_gaussian_law(
        s.design, s.targets, s.prior_mean, s.prior_factor, step=s.step, record=s.times
    )
    return {"time": np.array(s.times), "mean": means, "factor": factors.reshape(len(factors), -1)}


def law(setting: VariationalSetting, rows: Rows, index: int) -> GaussianLaw:
    return GaussianLaw(rows["mean"][index], rows["factor"][index].reshape(setting.prior_factor.shape))


def floor(s: VariationalSetting, steps: int) -> float:
    return law_rounding_floor(s.design, s.targets, s.prior, step=s.step, steps=steps)


def size(s: VariationalSetting, *laws: GaussianLaw) -> float:
    return max(float(np.hypot(np.linalg.norm(q.mean), np.linalg.norm(q.factor))) for q in (s.prior, *laws))


def distance_rounding(s: VariationalSetting, *laws: GaussianLaw) -> float:
    """Rounding of `wasserstein2`: three decompositions and two products, each moving a factor by max(P, R) 2 u of its size."""
    return 5 * max(s.prior_factor.shape) * 2 * UNIT_ROUNDOFF * size(s, *laws)


def compare_limit(setting: VariationalSetting, prediction: VariationalPrediction, rows: Rows) -> Comparison:
    """Mean, factor, covariance and distance from the prior of the trained law, each on its own scale."""
    s, last = setting, int(rows["time"][-1])
    trained = law(s, rows, -1)
    moved = distance_to_limit_bound(s.design, s.targets, s.prior, step=s.step, steps=last) + floor(s, last)
    spread, rank = float(np.linalg.norm(s.prior_factor)), s.prior_factor.shape[1]
    # |S S^T - S' S'^T| <= (2 |S| + |S - S'|) |S - S'|, and the product itself rounds.
    moved_covariance = (2 * spread + moved) * moved + 2 * (rank + 1) * UNIT_ROUNDOFF * spread**2
    distance = wasserstein2(trained, s.prior)
    parts = [
        (trained.mean, prediction.mean, moved, float(np.linalg.norm(trained.mean))),
        (trained.factor, prediction.factor, moved, spread),
        (covariance(trained), prediction.covariance, moved_covariance, spread**2),
        (
            np.array([distance]),
            np.array([np.sqrt(prediction.distance_squared)]),
            moved + distance_rounding(s, trained),
            distance,
        ),
    ]
    observed, predicted = (np.concatenate([np.ravel(part[k]) for part in parts]) for k in (0, 1))
    bound, scale = (np.concatenate([np.full(np.size(part[0]), part[k]) for part in parts]) for k in (2, 3))
    return Comparison(observed, predicted, bound, scale)


def compare_path(setting: VariationalSetting, prediction: VariationalPrediction, rows: Rows) -> Comparison:
    observed = np.concatenate([rows["mean"], rows["factor"]], axis=1)
    predicted = np.concatenate([prediction.path_means, prediction.path_factors.reshape(rows["factor"].shape)], axis=1)
    bound = np.array([[floor(setting, int(t))] for t in rows["time"]])
    return Comparison(observed, predicted, bound, size(setting))


def compare_rate(setting: VariationalSetting, prediction: VariationalPrediction, rows: Rows) -> Enclosures:
    limit = GaussianLaw(prediction.mean, prediction.factor)
    slack = []
    for index, t in enumerate(rows["time"]):
        trained = law(setting, rows, index)
        allowed = floor(setting, int(t)) + distance_rounding(setting, trained, limit)
        slack.append(prediction.contraction ** float(t) * prediction.start + allowed - wasserstein2(trained, limit))
    relative = np.array(slack) / distance_to_limit_bound(
        setting.design, setting.targets, setting.prior, step=setting.step, steps=0
    )
    return Enclosures(relative, relative)


def draw_competitors(setting: VariationalSetting, run: Run) -> dict[str, Any]:
    """W2^2 from the prior to random Gaussian laws on the least-squares solutions, from far to near the prior's own shape."""
    from scipy.linalg import lstsq, null_space

    rng = np.random.default_rng(run.seed)
    basis, solution = null_space(setting.design), lstsq(setting.design, setting.targets)[0]
    distances = []
    for _ in range(run.block["competitors"]):
        spread = 10 ** rng.uniform(-4, 1)
        mean = basis.T @ setting.prior_mean + spread * rng.normal(size=basis.shape[1])
        shape = (basis.shape[1], setting.prior_factor.shape[1])
        factor = basis.T @ setting.prior_factor + spread * rng.normal(size=shape)
        distances.append(wasserstein2_squared(GaussianLaw(solution + basis @ mean, basis @ factor), setting.prior))
    return {"distance_squared": np.array(distances)}


def compare_competitors(setting: VariationalSetting, prediction: VariationalPrediction, rows: Rows) -> Enclosures:
    # How far the laws drawn may lie off the feasible set, and the rounding of W2^2 (as `distance_rounding`, on squares).
    off = floor(setting, 1)
    distance = np.sqrt(np.abs(rows["distance_squared"]))
    scale = (size(setting) + distance) ** 2
    error = 2 * distance * off + off**2 + 5 * max(setting.prior_factor.shape) * 2 * UNIT_ROUNDOFF * scale
    gap = rows["distance_squared"] - prediction.distance_squared
    return Enclosures(gap - error, gap + error, width=float(2 * error.max()))
