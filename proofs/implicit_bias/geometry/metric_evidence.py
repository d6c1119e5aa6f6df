"""What is measured about descent in a metric: both ways to train in it, rival solutions, and adaptive optimisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.least_squares import least_squares_problem, whole_times
from ....numerics.implicit_bias.metric import (
    largest_stable_metric_step,
    metric_contraction,
    metric_convergence_bound,
    metric_limit,
    metric_path,
    metric_root,
    metric_rounding_floor,
    oblique_projector,
)
from ....numerics.store import Rows
from ....numerics.training.linear_gd import descend_weights
from ....theory.validation import finite
from ...result import Run
from ..problems import random_design


@dataclass(frozen=True, eq=False)
class MetricSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), D (parameters, parameters), step and numbers of steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    metric: Float[np.ndarray, "parameters parameters"]
    step: float
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.initial), whole_times(self.times)
        metric_root(self.metric, parameters=len(self.initial)), finite("step", self.step, ndim=0)

    @property
    def problem(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.design, self.targets, self.initial


@dataclass(frozen=True, eq=False)
class MetricPrediction:
    """w_inf, w_t (times, parameters), the oblique projector, rho, and (w_inf - w_0)^T D^{-1} (w_inf - w_0)."""

    limit: Float[np.ndarray, " parameters"]
    path: Float[np.ndarray, "times parameters"]
    projector: Float[np.ndarray, "parameters parameters"]
    contraction: float
    distance_squared: float


def distance_squared(s: MetricSetting, w: np.ndarray) -> float:
    return float((w - s.initial) @ np.linalg.solve(s.metric, w - s.initial))


def predict(s: MetricSetting) -> MetricPrediction:
    limit = metric_limit(*s.problem, metric=s.metric)
    return MetricPrediction(
        limit=limit,
        path=metric_path(*s.problem, metric=s.metric, step=s.step, time=s.times),
        projector=oblique_projector(s.design, metric=s.metric),
        contraction=metric_contraction(s.design, metric=s.metric, step=s.step),
        distance_squared=distance_squared(s, limit),
    )


def random_metric(rng: np.random.Generator, size: int) -> np.ndarray:
    """Step sizes of parameters in general position: condition number up to 9."""
    rotation = np.linalg.qr(rng.normal(size=(size, size)))[0]
    d = rotation * rng.uniform(0.4, 3.6, size) @ rotation.T
    return (d + d.T) / 2


def random_setting(seed: int) -> MetricSetting:
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    n, p = design.shape
    metric = random_metric(rng, p)
    step = rng.uniform(0.2, 0.9) * largest_stable_metric_step(design, metric=metric)
    rate = metric_contraction(design, metric=metric, step=step)
    last = int(np.ceil(30 / -np.log(max(rate, 0.1))))
    targets = float(np.linalg.norm(design, 2)) * rng.normal(size=(n,))
    return MetricSetting(
        design, targets, rng.normal(size=(p,)), metric, step, (1, 2 + last // 30, 3 + last // 8, 4 + last)
    )


def descend(s: MetricSetting, run: Run) -> dict[str, Any]:
    """w <- w - eta D X^T (X w - y), step by step."""
    w, kept = s.initial.copy(), []
    for t in range(max(s.times) + 1):
        if t in s.times:
            kept.append(w)
        w = w - s.step * (s.metric @ (s.design.T @ (s.design @ w - s.targets)))
    return {"time": np.array(s.times), "weights": np.stack(kept)}


def reparametrise(s: MetricSetting, run: Run) -> dict[str, Any]:
    """Plain descent on v where w = C v, with C the symmetric root of D (the predictions use a triangular one)."""
    values, vectors = np.linalg.eigh(s.metric)
    root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    path = descend_weights(s.design @ root, s.targets, inverse @ s.initial, step=s.step, record=s.times)
    return {"time": np.array(s.times), "weights": path @ root}


def floors(s: MetricSetting) -> np.ndarray:
    return np.array([metric_rounding_floor(*s.problem, metric=s.metric, step=s.step, steps=t) for t in s.times])


def compare_limit(s: MetricSetting, p: MetricPrediction, rows: Rows) -> Comparison:
    last = int(rows["time"][-1])
    bound = metric_convergence_bound(*s.problem, metric=s.metric, step=s.step, steps=last) + floors(s)[-1]
    return Comparison(rows["weights"][-1], p.limit, np.array(bound), float(np.linalg.norm(rows["weights"][-1])))


def compare_path(s: MetricSetting, p: MetricPrediction, rows: Rows) -> Comparison:
    # Both ways to train carry the floor: that of the second, on the design times a root, is of the same form.
    bound = 2 * floors(s)[:, None] * np.linalg.cond(s.metric)
    return Comparison(rows["weights"], p.path, bound, np.linalg.norm(rows["weights"], axis=1)[:, None])


def compare_rate(s: MetricSetting, p: MetricPrediction, rows: Rows) -> Enclosures:
    """In the norm of D^{-1} the distance shrinks by rho per step."""
    root = metric_root(s.metric, parameters=len(s.initial))
    distance = np.linalg.norm(np.linalg.solve(root, (rows["weights"] - p.limit).T), axis=0)
    start = np.sqrt(p.distance_squared)
    slack = p.contraction ** rows["time"] + (floors(s) * np.linalg.norm(np.linalg.inv(root), 2) - distance) / start
    return Enclosures(slack, slack)


def draw_competitors(s: MetricSetting, run: Run) -> dict[str, Any]:
    """Squared D^{-1} distance from w_0 of random minimisers of the loss, from far to near the start."""
    from scipy.linalg import lstsq, null_space

    rng = np.random.default_rng(run.seed)
    basis, solution = null_space(s.design), lstsq(s.design, s.targets)[0]
    near = basis.T @ s.initial
    drawn = [near + 10 ** rng.uniform(-4, 1) * rng.normal(size=len(near)) for _ in range(run.block["competitors"])]
    # and the best one, by least squares on the null space in the whitened norm
    root = np.linalg.inv(np.linalg.cholesky(s.metric))
    drawn.append(lstsq(root @ basis, root @ (s.initial - solution))[0])
    return {"distance_squared": np.array([distance_squared(s, solution + basis @ v) for v in drawn])}


def compare_competitors(s: MetricSetting, p: MetricPrediction, rows: Rows) -> Enclosures:
    # Competitors lie off the solutions by the backward error of `lstsq`, the prediction by its floor; both are far below
    # floors[-1], which moves the root of the squared distance by at most ||B^{-1}|| times as much.
    off = 4 * floors(s)[-1] * np.sqrt(np.linalg.norm(np.linalg.inv(s.metric), 2))
    distance = np.sqrt(rows["distance_squared"])
    error = 2 * distance * off + off**2
    gap = rows["distance_squared"] - p.distance_squared
    return Enclosures(gap - error, gap + error, width=float(2.1 * error.max()))


def adapt(s: MetricSetting, run: Run, *, optimiser: str = "adaptive") -> dict[str, Any]:
    """How AdaGrad and Adam move from w_0 for three residuals, the third being the sum of the others; from zero moments."""
    rng = np.random.default_rng(run.seed)
    one, two = s.targets - s.design @ s.initial, rng.normal(size=s.targets.shape) * np.linalg.norm(s.targets)
    names = ("adagrad", "adam") if optimiser == "adaptive" else (optimiser,)
    moved = [[_move(s, residual, name) for residual in (one, two, one + two)] for name in names]
    return {"moved": np.concatenate(moved)}


def _move(s: MetricSetting, residual: np.ndarray, optimiser: str) -> np.ndarray:
    d = np.zeros_like(s.initial)
    first, second, lr = (
        np.zeros_like(d),
        np.zeros_like(d),
        0.05 * float(np.linalg.norm(np.linalg.pinv(s.design) @ residual)),
    )
    for t in range(1, 301):
        g = s.design.T @ (s.design @ d - residual)
        if optimiser == "adagrad":
            second = second + g**2
            d = d - 4 * lr * g / (np.sqrt(second) + 1e-12)
        elif optimiser == "adam":
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
            d = d - lr / np.sqrt(t) * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-12)
        else:
            d = d - s.step * (g if optimiser == "descent" else s.metric @ g)
    return d


def compare_adaptive(s: MetricSetting, p: MetricPrediction, rows: Rows) -> Enclosures:
    """The part of the move outside the row space and its deviation from linearity exceed 1e-6 of it.

    Rounding of 300 steps explains 1e-12.
    """
    outside = np.eye(len(s.initial)) - np.linalg.pinv(s.design) @ s.design
    slack = []
    for one, two, both in rows["moved"].reshape(-1, 3, len(s.initial)):
        size = np.linalg.norm(one) + np.linalg.norm(two) + np.linalg.norm(both)
        slack += [np.linalg.norm(outside @ one) / size - 1e-6, np.linalg.norm(one + two - both) / size - 1e-6]
    return Enclosures(np.array(slack), np.array(slack))
