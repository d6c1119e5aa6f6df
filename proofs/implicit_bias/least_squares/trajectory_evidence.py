"""What is measured about early stopping: the flow as descent in many small steps, ridge as stacked least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import lstsq

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.least_squares import gradient_descent_limit, least_squares_problem, row_space
from ....numerics.implicit_bias.spectral_filters import (
    FLOW_RIDGE_GAP,
    FLOW_RIDGE_GAP_AT,
    filter_rounding_floor,
    flow_discretisation_bound,
    gradient_flow_path,
    ridge_path,
)
from ....numerics.store import Rows
from ....numerics.training.linear_gd import descend_weights
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import ByBudget, Run
from ..problems import random_design


@dataclass(frozen=True, eq=False)
class FilterSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,) and positive times; ridge has penalty 1/time."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    times: Float[np.ndarray, " times"]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.initial)
        if not finite("times", self.times, ndim=1).size or np.min(self.times) <= 0:
            raise InvalidInput("times are not all positive.", "Ridge at penalty 1/time needs positive times.")


@dataclass(frozen=True, eq=False)
class FilterPrediction:
    """The flow at each time and ridge at penalty 1/time (times, parameters); the largest difference of their filters."""

    flow: Float[np.ndarray, "times parameters"]
    ridge: Float[np.ndarray, "times parameters"]
    gap: float


def predict(s: FilterSetting) -> FilterPrediction:
    problem = (s.design, s.targets, s.initial)
    return FilterPrediction(
        flow=gradient_flow_path(*problem, time=s.times),
        ridge=ridge_path(*problem, penalty=1 / s.times),
        gap=FLOW_RIDGE_GAP,
    )


STEPS = 2000


def random_setting(seed: int) -> FilterSetting:
    """Times at which the filters differ most along the fastest or the slowest direction, and between them."""
    rng = np.random.default_rng(seed)
    design = random_design(rng)
    h = row_space(design).singular_values ** 2
    times = FLOW_RIDGE_GAP_AT / np.array([h[0], np.sqrt(h[0] * h[-1]), h[-1]])
    targets = float(np.sqrt(h[0])) * rng.normal(size=(design.shape[0],))
    return FilterSetting(design, targets, rng.normal(size=(design.shape[1],)), times)


SETTINGS = ByBudget(quick=tuple(map(random_setting, range(5))), standard=tuple(map(random_setting, range(40))))


def measure(s: FilterSetting, run: Run) -> dict[str, Any]:
    """The flow by descent with many small steps, ridge by least squares on the design with a penalty block below it."""
    flow = [descend_weights(s.design, s.targets, s.initial, step=t / STEPS, record=[STEPS])[0] for t in s.times]
    return {"time": s.times, "flow": np.stack(flow), "ridge": stacked_least_squares(s, 1 / s.times)}


def stacked_least_squares(s: FilterSetting, penalties: np.ndarray) -> np.ndarray:
    ridge = []
    for root in np.sqrt(penalties):
        block = np.vstack([s.design, root * np.eye(s.design.shape[1])])
        ridge.append(lstsq(block, np.concatenate([s.targets, root * s.initial]))[0])
    return np.stack(ridge)


def floors(s: FilterSetting) -> np.ndarray:
    return np.array([filter_rounding_floor(s.design, s.targets, s.initial, time=t) for t in s.times])


def compare_flow(s: FilterSetting, p: FilterPrediction, rows: Rows) -> Comparison:
    # The steps of the descent round like a flow that is kicked once per step by u of each quantity: STEPS + 1 floors.
    bound = flow_discretisation_bound(s.design, s.targets, s.initial, steps=STEPS) + (STEPS + 1) * floors(s)
    return Comparison(rows["flow"], p.flow, bound[:, None], float(np.linalg.norm(rows["flow"])))


def ridge_rounding(s: FilterSetting) -> np.ndarray:
    """What `lstsq` on the stacked design adds: backward error, condition and Wedin's residual term, per time."""
    n, p = s.design.shape
    bounds = []
    for t, w in zip(s.times, predict(s).ridge, strict=True):
        smallest = 1 / np.sqrt(t)
        norm = float(np.hypot(np.linalg.norm(s.design, 2), smallest))
        residual = np.hypot(np.linalg.norm(s.targets - s.design @ w), smallest * np.linalg.norm(s.initial - w))
        size = (
            np.linalg.norm(w) + float(np.hypot(np.linalg.norm(s.targets), smallest * np.linalg.norm(s.initial))) / norm
        )
        backward = 4 * (n + p) * 2.0**-53 * norm / smallest
        bounds.append(backward * (2 * size + residual / smallest))
    return np.array(bounds)


def compare_ridge(s: FilterSetting, p: FilterPrediction, rows: Rows) -> Comparison:
    bound = (floors(s) + ridge_rounding(s))[:, None]
    return Comparison(rows["ridge"], p.ridge, bound, float(np.linalg.norm(rows["ridge"])))


def compare_gap(s: FilterSetting, p: FilterPrediction, rows: Rows) -> Enclosures:
    """0 <= fraction fitted by the flow - fraction fitted by ridge <= gap, in each direction, as measured."""
    space = row_space(s.design)
    whole = (gradient_descent_limit(s.design, s.targets, s.initial) - s.initial) @ space.right
    difference = ((rows["flow"] - rows["ridge"]) @ space.right) / whole
    error = (
        flow_discretisation_bound(s.design, s.targets, s.initial, steps=STEPS)
        + (STEPS + 1) * floors(s)
        + ridge_rounding(s)
    )
    off = error[:, None] / np.abs(whole)
    keep = off < 1e-3  # directions that hardly move carry no measurable fraction
    slack = np.concatenate([difference[keep], p.gap - difference[keep]])
    off = np.concatenate([off[keep], off[keep]])
    return Enclosures(slack - off, slack + off, width=float(2.1 * off.max()))
