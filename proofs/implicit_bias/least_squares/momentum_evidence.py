"""What is measured about momentum on least squares: the recursions as optimisers run them, and powers of companion maps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from flint import arb, arb_mat, ctx
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.least_squares import least_squares_problem, row_space, whole_times
from ....numerics.implicit_bias.momentum import (
    VARIANTS,
    Variant,
    largest_stable_momentum_step,
    momentum_bound,
    momentum_contraction,
    momentum_path,
    momentum_rounding_floor,
    stable_modes,
)
from ....numerics.store import Rows
from ....theory.balls.context import exact_fraction, to_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run
from ..exact_values import largest_eigenvalue
from ..problems import integer_design, random_design, rational


@dataclass(frozen=True, eq=False)
class MomentumSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), step, momentum, variant and the numbers of steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    step: float
    momentum: float
    variant: str
    times: tuple[int, ...]

    def __post_init__(self) -> None:
        least_squares_problem(self.design, self.targets, self.initial), whole_times(self.times)
        finite("step", self.step, ndim=0), finite("momentum", self.momentum, ndim=0)
        if self.variant not in VARIANTS:
            raise InvalidInput(f"variant is {self.variant!r}.", f"Choose one of {', '.join(VARIANTS)}.")

    @property
    def problem(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.design, self.targets, self.initial

    @property
    def options(self) -> dict[str, Any]:
        return {"step": self.step, "momentum": self.momentum, "variant": cast(Variant, self.variant)}


@dataclass(frozen=True, eq=False)
class MomentumPrediction:
    """w_t (times, parameters), bounds on ||w_t - w_inf|| (times,), |r| of each mode, max |r|, the largest stable step."""

    path: Float[np.ndarray, "times parameters"]
    bounds: Float[np.ndarray, " times"]
    moduli: Float[np.ndarray, " modes"]
    contraction: float
    largest_step: float


def predict(s: MomentumSetting) -> MomentumPrediction:
    return MomentumPrediction(
        path=momentum_path(*s.problem, time=s.times, **s.options),
        bounds=np.array([momentum_bound(*s.problem, steps=t, **s.options) for t in s.times]),
        moduli=stable_modes(row_space(s.design), **s.options).modulus,
        contraction=momentum_contraction(s.design, **s.options),
        largest_step=largest_stable_momentum_step(s.design, momentum=s.momentum, variant=cast(Variant, s.variant)),
    )


def random_setting(seed: int) -> MomentumSetting:
    """The variants in turn; all modes complex, some real, or (every fifth) exact double roots of both signs."""
    rng = np.random.default_rng(seed)
    variant = cast(Variant, VARIANTS[seed % 3])
    if seed % 5 == 4:
        # heavy ball at 1/4 has double roots 1/2 and -1/2 where step * h is 1/4 or 9/4; Nesterov at step * h = 1 twice 0
        design = np.diag([1.0, 3.0] if variant == "heavy_ball" else [1.0, 0.5]) @ np.eye(2, 4)
        step, momentum = (0.25, 0.25) if variant == "heavy_ball" else (1.0, 0.25)
    else:
        design, momentum = random_design(rng), float(rng.uniform(0.1, 0.9))
        step = float(rng.uniform(0.05, 0.95)) * largest_stable_momentum_step(design, momentum=momentum, variant=variant)
    targets = float(np.linalg.norm(design, 2)) * rng.normal(size=(design.shape[0],))
    initial = rng.normal(size=(design.shape[1],))
    rate = momentum_contraction(design, step=step, momentum=momentum, variant=variant)
    last = int(np.ceil(25 / -np.log(max(rate, 0.1))))
    times = sorted({1, 2, 3 + last // 20, 4 + last // 20, 6 + last // 4, 7 + last})
    return MomentumSetting(design, targets, initial, step, momentum, variant, tuple(times))


def train(s: MomentumSetting, run: Run) -> dict[str, Any]:
    """As optimisers do it: a speed v+ = beta v + g; Nesterov's own form extrapolates before each gradient."""
    w, speed = s.initial.copy(), np.zeros_like(s.initial)
    before, kept, iterates = w, [], {0: w}
    for t in range(1, max(s.times) + 1):
        ahead = w + s.momentum * (w - before) if s.variant == "nesterov" else w
        gradient = s.design.T @ (s.design @ ahead - s.targets)
        before = w
        if s.variant == "nesterov":
            w = ahead - s.step * gradient
        else:
            speed = s.momentum * speed + gradient
            w = w - s.step * (gradient + s.momentum * speed if s.variant == "look_ahead" else speed)
        iterates[t] = w
    kept = [iterates[t] for t in s.times]
    return {"time": np.array(s.times), "weights": np.stack(kept)}


def floors(s: MomentumSetting, times: Any = None) -> np.ndarray:
    return np.array([momentum_rounding_floor(*s.problem, steps=t, **s.options) for t in (times or s.times)])


def compare_path(s: MomentumSetting, p: MomentumPrediction, rows: Rows) -> Comparison:
    scale = np.linalg.norm(rows["weights"], axis=1)[:, None]
    return Comparison(rows["weights"], p.path, floors(s)[:, None], scale)


def compare_limit(s: MomentumSetting, p: MomentumPrediction, rows: Rows) -> Comparison:
    """The last iterate against P w_0 + X^+ y, whose value no momentum enters, in exact arithmetic up to the bound."""
    limit = s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    return Comparison(rows["weights"][-1], limit, np.array(p.bounds[-1] + floors(s)[-1]), float(np.linalg.norm(limit)))


def compare_rate(s: MomentumSetting, p: MomentumPrediction, rows: Rows) -> Enclosures:
    limit = s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    start = float(np.linalg.norm(limit - s.initial))
    slack = (p.bounds + floors(s) - np.linalg.norm(rows["weights"] - limit, axis=1)) / start
    return Enclosures(slack, slack)


def compare_decay(s: MomentumSetting, p: MomentumPrediction, rows: Rows) -> Comparison:
    """d_{t+1} - r_2 d_t = r_1^t (d_1 - r_2 d_0): at consecutive times of the record the first root decays by itself."""
    space, modes = row_space(s.design), stable_modes(row_space(s.design), **s.options)
    limit = s.initial + np.linalg.pinv(s.design) @ (s.targets - s.design @ s.initial)
    error = (rows["weights"] - limit) @ space.right
    start = (s.initial - limit) @ space.right
    observed, predicted, bounds = [], [], []
    for k in np.flatnonzero(np.diff(rows["time"]) == 1):
        t = int(rows["time"][k])
        observed.append(np.abs(error[k + 1] - modes.second * error[k]))
        predicted.append(p.moduli**t * np.abs(modes.start * start - modes.second * start))
        bounds.append(np.full(len(start), 2 * sum(floors(s, (t, t + 1)))))
    scale = float(np.linalg.norm(limit - s.initial))
    return Comparison(np.concatenate(observed), np.concatenate(predicted), np.concatenate(bounds), scale)


def compare_stability(s: MomentumSetting, p: MomentumPrediction, rows: Rows) -> Enclosures:
    """The companion map of the largest curvature to the power 2^26, 1e-6 below and above the limit: to 0, and beyond 1."""
    with ctx.workdps(60):
        beta, margins = to_ball(exact_fraction("momentum", s.momentum)), []
        h = to_ball(max(exact_fraction("design", v) for v in np.diag(s.design).tolist()) ** 2)
        for change, sign in ((-1e-6, 1), (1e-6, -1)):
            x = to_ball(exact_fraction("step", p.largest_step * (1 + change))) * h
            total, product = (
                (1 + beta - x, beta) if s.variant == "heavy_ball" else ((1 + beta) * (1 - x), beta * (1 - x))
            )
            power = arb_mat([[total, -product], [arb(1), arb(0)]])
            for _ in range(26):
                power = power * power
                size = sum((entry**2 for entry in power.entries()), arb(0))
                if size > 1e30:  # it grows from here on, and the balls with it
                    break
            margins.append(float((sign * (1 - size)).min(arb(1)).max(arb(-1)).mid()))
    found = np.array(margins)
    return Enclosures(found, found)


def stability_setting(seed: int) -> MomentumSetting:
    """Diagonal designs, whose largest curvature is a known fraction."""
    rng = np.random.default_rng(seed)
    diagonal, momentum = rng.integers(1, 9, size=3) / 4, float(rng.integers(1, 15)) / 16
    variant, design = cast(Variant, VARIANTS[seed % 3]), np.diag(diagonal)
    step = 0.5 * largest_stable_momentum_step(design, momentum=momentum, variant=variant)
    return MomentumSetting(design, np.ones(3), np.zeros(3), step, momentum, variant, (1,))


def sample(rng: np.random.Generator) -> MomentumSetting:
    design = integer_design(rng)
    momentum, variant = float(rng.integers(0, 15)) / 16, cast(Variant, VARIANTS[int(rng.integers(3))])
    step = rng.uniform(0.05, 0.95) * largest_stable_momentum_step(design, momentum=momentum, variant=variant)
    targets, initial = rng.normal(size=(design.shape[0],)), rng.normal(size=(design.shape[1],))
    return MomentumSetting(design, targets, initial, step, momentum, variant, (0, 1, 2, 9))


def last_steps(s: MomentumSetting) -> list[arb]:
    """The recursion itself in exact fractions, and the largest eigenvalue of X^T X in balls."""
    x, y, w = rational(s.design), rational(s.targets), rational(s.initial)
    step, beta = (rational(np.array([v]))[0, 0] for v in (s.step, s.momentum))
    before, found = w, [w]
    for _ in range(max(s.times)):
        ahead = w if s.variant == "heavy_ball" else w + beta * (w - before)
        before, w = w, w + beta * (w - before) - step * (x.transpose() * (x * ahead - y))
        found.append(w)
    if s.variant == "look_ahead":
        found = [found[0]] + [now + beta * (now - last) for last, now in pairwise(found)]
    top = largest_eigenvalue(x * x.transpose())
    limit = 2 * (1 + arb(beta)) / (top if s.variant == "heavy_ball" else (1 + 2 * arb(beta)) * top)
    return [*(arb(v) for t in s.times for v in found[t].entries()), limit]
