"""What mirror descent is held to: its own runs with an error bound from the residual, and greedy coordinate descent beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ....numerics.claims import Comparison, Enclosures
from ....numerics.implicit_bias.mirror import ENTROPY, Potential, hypentropy
from ....numerics.store import Rows
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run


@dataclass(frozen=True, eq=False)
class MirrorSetting:
    """X (examples, parameters), y (examples,), w_0 (parameters,), the potential (a positive scale is a hypentropy) and steps."""

    design: Float[np.ndarray, "examples parameters"]
    targets: Float[np.ndarray, " examples"]
    initial: Float[np.ndarray, " parameters"]
    potential: Literal["entropy", "hypentropy"]
    scale: float
    step: float
    steps: int

    def __post_init__(self) -> None:
        x, y, w = (
            finite("design", self.design, ndim=2),
            finite("targets", self.targets),
            finite("initial", self.initial),
        )
        if (len(y), len(w)) != x.shape or not x.size or self.potential not in ("entropy", "hypentropy"):
            raise InvalidInput(
                f"design has shape {x.shape}, targets {y.shape}, initial {w.shape}.", "Pass y per row, w_0 per column."
            )

    @property
    def chosen(self) -> Potential:
        return ENTROPY if self.potential == "entropy" else hypentropy(self.scale)


@dataclass(frozen=True, eq=False)
class MirrorPrediction:
    """The limit (parameters,)."""

    limit: Float[np.ndarray, " parameters"]


def distance_to_limit(design: np.ndarray, targets: np.ndarray, weights: np.ndarray, slope: np.ndarray) -> float:
    """Bound on ||w - w_inf|| for a state w = primal(theta) with theta - theta_0 in the row space, from its residual alone.

    The dual F is convex with gradient g = X w - y and Hessian X diag(slope) X^T, and |psi*'''| <= psi*'' bounds the change of
    the Hessian by e^(M s) along a path of length s in nu, M the longest column. So s <= -log(1 - M ||g||/lambda_min)/M, and w
    moves by at most e^(M s) ||diag(slope) X^T|| s. Infinite where the residual is too large to tell.
    """
    residual = float(np.linalg.norm(design @ weights - targets))
    longest = float(np.linalg.norm(design, axis=0).max())
    ratio = longest * residual / float(np.linalg.eigvalsh((design * slope) @ design.T)[0])
    if ratio >= 1:
        return math.inf
    return -math.log1p(-ratio) / longest / (1 - ratio) * float(np.linalg.norm(design * slope, 2))


def random_setting(seed: int) -> MirrorSetting:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    p = n + int(rng.integers(1, 5))
    design = np.linalg.qr(rng.normal(size=(p, n)))[0].T * rng.uniform(0.7, 1.4, (n, 1))
    if seed % 2:
        initial, targets = rng.uniform(0.5, 1.5, p), design @ rng.uniform(0.5, 1.5, p)
        return MirrorSetting(design, targets, initial, "entropy", 1.0, 0.15, 1500)
    targets = design @ rng.normal(size=(p,))
    return MirrorSetting(design, targets, 0.3 * rng.normal(size=(p,)), "hypentropy", 0.5, 0.15, 1500)


def descend(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Mirror descent step by step at two steps, plain and with momentum on the dual variable; written out here."""
    s, ends = setting, []
    primal = np.exp if s.potential == "entropy" else lambda t: s.scale * np.sinh(t)
    start = np.log(s.initial) if s.potential == "entropy" else np.arcsinh(s.initial / s.scale)
    for eta, beta in ((s.step, 0.0), (s.step / 2, 0.0), (s.step / 2, 0.5)):
        theta, speed = start.copy(), np.zeros_like(start)
        for _ in range(s.steps):
            speed = beta * speed - eta * (s.design.T @ (s.design @ primal(theta) - s.targets))
            theta = theta + speed
        ends.append(primal(theta))
    return {"weights": np.array(ends)}


def compare_limit(setting: MirrorSetting, prediction: MirrorPrediction, rows: Rows) -> Comparison:
    s, size = setting, float(np.linalg.norm(prediction.limit))
    bounds = []
    for w in rows["weights"]:
        slope = w if s.potential == "entropy" else np.sqrt(s.scale**2 + w * w)
        # theta drifts off the row space by a rounding of its size per step
        drift = s.steps * 8 * 2.0**-53 * float(slope.max()) * (1 + float(np.abs(w).max()))
        bounds.append(distance_to_limit(s.design, s.targets, w, slope) + drift)
    return Comparison(rows["weights"], np.tile(prediction.limit, (len(bounds), 1)), np.array(bounds)[:, None], size)


GREEDY = MirrorSetting(
    np.array([[2.0, 3.0, 3.0], [3.0, 1.0, -2.0]]), np.array([-1.0, -3.0]), np.zeros(3), "hypentropy", 1.0, 0.02, 3000
)


def coordinate_descent(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Greedy coordinate descent on the squared loss from 0, at the setting's step and at five times it."""
    ends = []
    for eta in (setting.step, 5 * setting.step):
        w = setting.initial.copy()
        for _ in range(setting.steps):
            gradient = setting.design.T @ (setting.design @ w - setting.targets)
            largest = int(np.argmax(np.abs(gradient)))
            w[largest] -= eta * gradient[largest]
        ends.append(w)
    return {"weights": np.array(ends)}


def mirror_twice(setting: MirrorSetting, run: Run) -> dict[str, Any]:
    """Mirror descent in place of it: the two ends agree."""
    end = descend(replace(setting, step=0.02), run)["weights"]
    return {"weights": end[:2]}


def compare_ends(setting: MirrorSetting, prediction: Any, rows: Rows) -> Enclosures:
    """The two ends interpolate to 1e-9, are 1/4 apart, and are the two stated points to their five digits."""
    ends = rows["weights"]
    off = 1e-9 - np.abs(ends @ setting.design.T - setting.targets).max()
    stated = np.array([[-11 / 13, 0.0, 3 / 13], [-1.11615, 0.39, 0.02077]])
    slack = np.array([off, float(np.abs(ends[0] - ends[1]).max()) - 0.25, 5e-6 - float(np.abs(ends - stated).max())])
    return Enclosures(slack, slack)
