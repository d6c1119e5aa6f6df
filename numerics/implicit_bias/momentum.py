"""Momentum on least squares: the whole path by the roots of each mode, stability limits, rates, and rounding.

The loss is 1/2 ||y - X w||^2, g its gradient. Three recursions, all from rest at w_0, momentum 0 <= beta < 1:

    heavy_ball   w+ = w - eta g(w) + beta (w - w_previous)         (torch's SGD with momentum: v+ = beta v + g, w+ = w - eta v+)
    nesterov     w+ = z - eta g(z), z = w + beta (w - w_previous)
    look_ahead   the points z of nesterov                           (torch's SGD with nesterov=True stores these)

Along an eigenvector of X^T X with eigenvalue h, the error d_t = w_t - w_inf obeys d+ = a d - q d_previous with x = eta h,
(a, q) = (1 + beta - x, beta) for heavy ball and ((1 + beta)(1 - x), beta (1 - x)) otherwise; d_1 = (1 - x) d_0, or
(1 - (1 + beta) x) d_0 for the look-ahead points. With r_1, r_2 the roots of r^2 - a r + q,
d_t = r_2^t d_0 + (d_1 - r_2 d_0) S_t, S_t = (r_1^t - r_2^t)/(r_1 - r_2), and S_t = t r^(t-1) at a double root. All three
end where plain descent does. Shapes are those of `least_squares`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite
from .least_squares import (
    UNIT_ROUNDOFF,
    RowSpace,
    gradient_descent_limit,
    least_squares_problem,
    row_space,
    whole_times,
)

Variant = Literal["heavy_ball", "nesterov", "look_ahead"]
VARIANTS = ("heavy_ball", "nesterov", "look_ahead")


@dataclass(frozen=True, eq=False)
class Modes:
    """One entry per eigenvalue of X^T X: the larger root in modulus, r_1 - r_2, r_2 and d_1/d_0; complex pairs as r_1."""

    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray
    start: Float[np.ndarray, " modes"]

    @property
    def modulus(self) -> Float[np.ndarray, " modes"]:
        """max |r|, the factor by which the mode shrinks per step in the long run."""
        return np.asarray(np.abs(self.first))


def momentum_modes(scaled_curvatures: Any, *, momentum: float, variant: Variant = "heavy_ball") -> Modes:
    """The roots of each mode for x = step * h, x >= 0; no stability is required here."""
    x, beta = finite("scaled_curvatures", scaled_curvatures, ndim=1), _momentum(momentum)
    if variant not in VARIANTS:
        raise InvalidInput(f"variant is {variant!r}.", f"Choose one of {', '.join(VARIANTS)}.")
    if x.size and x.min() < 0:
        raise InvalidInput("scaled_curvatures contains a negative number.", "Pass step * h with h >= 0.")
    total, product = (
        (1 + beta - x, np.full_like(x, beta)) if variant == "heavy_ball" else ((1 + beta) * (1 - x), beta * (1 - x))
    )
    # a^2 - 4 q in factors: no cancellation except where the roots really meet
    if variant == "heavy_ball":
        root = math.sqrt(beta)
        discriminant = (x - (1 - root) ** 2) * (x - (1 + root) ** 2)
    else:
        discriminant = (1 - x) * ((1 - beta) ** 2 - (1 + beta) ** 2 * x)
    width = np.sqrt(discriminant.astype(np.complex128))
    sign = np.where(total < 0, -1.0, 1.0)
    first = (total + sign * width) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        second = np.where(first == 0, 0.0, np.where(discriminant < 0, np.conj(first), product / first))
    return Modes(first, second, sign * width, 1 - (1 + beta) * x if variant == "look_ahead" else 1 - x)


def divided_powers(modes: Modes, time: Any) -> Float[np.ndarray, "*times modes"]:
    """S_t = (r_1^t - r_2^t)/(r_1 - r_2), also where the roots nearly or exactly meet; S_0 = 0, S_1 = 1."""
    t = whole_times(time)[..., None]
    # mirrored so that the real part is not negative: S_t(-r) = (-1)^(t-1) S_t(r)
    mirrored = modes.first.real < 0
    r, gap = np.where(mirrored, -modes.first, modes.first), np.where(mirrored, -modes.difference, modes.difference)
    size, angle = np.abs(r), np.abs(np.angle(r))
    pairs = modes.first.imag != 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        power = np.where(t >= 1, size ** np.maximum(t - 1, 0), 0.0)
        turning = np.sin(t * angle) / np.sin(angle)
        part = np.where(size > 0, gap.real / size, 1.0)  # 1 - r_2/r_1, from 0 (double root) to 2
        both = np.where(
            part == 0, t, np.where(part < 1, -np.expm1(t * np.log1p(-np.minimum(part, 1))), 1 - (1 - part) ** t) / part
        )
    flip = np.where(mirrored, np.where(t % 2 == 0, -1.0, 1.0), 1.0)
    return np.asarray(flip * power * np.where(pairs, turning, both))


def mode_path(modes: Modes, time: Any) -> Float[np.ndarray, "*times modes"]:
    """d_t/d_0 = d_1 S_t - q S_{t-1} for each mode (q = r_1 r_2), 1 at t = 0."""
    t = whole_times(time)
    now, before = divided_powers(modes, t), divided_powers(modes, np.maximum(t - 1, 0))
    product = (modes.first * modes.second).real
    return np.asarray(np.where(t[..., None] == 0, 1.0, modes.start * now - product * before))


def momentum_path(
    design: Any, targets: Any, initial: Any, *, step: float, momentum: float, time: Any, variant: Variant = "heavy_ball"
) -> Float[np.ndarray, "*times parameters"]:
    """The iterate after `time` steps, w_inf + sum_i (d_t/d_0)_i v_i v_i^T (w_0 - w_inf), without iterating.

    `time` is a whole number or an array of them. Raises `AssumptionViolated` when the step is not stable.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space, times = row_space(x), whole_times(time)
    modes = stable_modes(space, step=step, momentum=momentum, variant=variant)
    moved = (space.left.T @ (y - x @ w)) / space.singular_values
    return w + ((1 - mode_path(modes, times)) * moved) @ space.right.T


def largest_stable_momentum_step(design: Any, *, momentum: float, variant: Variant = "heavy_ball") -> float:
    """2 (1 + beta)/h_max for heavy ball, 2 (1 + beta)/((1 + 2 beta) h_max) for Nesterov: convergence iff strictly below."""
    beta, norm = _momentum(momentum), row_space(design).norm
    if variant not in VARIANTS:
        raise InvalidInput(f"variant is {variant!r}.", f"Choose one of {', '.join(VARIANTS)}.")
    scaled = 2 * (1 + beta) if variant == "heavy_ball" else 2 * (1 + beta) / (1 + 2 * beta)
    return scaled / norm**2 if norm > 0 else math.inf


def momentum_contraction(design: Any, *, step: float, momentum: float, variant: Variant = "heavy_ball") -> float:
    """max |r| over all modes: sqrt(beta) exactly when all roots of heavy ball are complex. 0 for a zero design.

    Raises `AssumptionViolated` when the step is not stable.
    """
    modes = stable_modes(row_space(design), step=step, momentum=momentum, variant=variant)
    return float(modes.modulus.max(initial=0.0))


def momentum_bound(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    step: float,
    momentum: float,
    steps: int,
    variant: Variant = "heavy_ball",
) -> float:
    """max over modes of (|r|^t + t |r|^(t-1) |d_1/d_0 - r_2|), times ||w_0 - w_inf||: it bounds ||w_t - w_inf||.

    At most (1 + 2 t) max|r|^t ||w_0 - w_inf|| for heavy ball and Nesterov. The factor t is attained at double roots only.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    modes = stable_modes(row_space(x), step=step, momentum=momentum, variant=variant)
    t, size = float(whole_times(steps)), modes.modulus
    kick = np.abs(modes.start - modes.second)
    with np.errstate(under="ignore"):
        factor = size**t + t * size ** max(t - 1, 0.0) * kick if t else np.ones_like(size)
    return float(factor.max(initial=0.0)) * float(np.linalg.norm(gradient_descent_limit(x, y, w) - w))


def momentum_rounding_floor(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    step: float,
    momentum: float,
    steps: int,
    variant: Variant = "heavy_ball",
) -> float:
    """Bound, to first order in u = 2^-53, on what rounding puts between `steps` float64 steps and `momentum_path`.

    As `least_squares.rounding_floor`, with two changes. An error of one step enters the second-order recursion and is
    multiplied by S_j after j steps: sum_j |S_j| <= min(1/(1-r)^2, 2/(|r_1 - r_2| (1-r))) in a mode with modulus r, and
    t/(1 - beta) in the null space (roots 1 and beta). And iterates and residuals are bounded by
    G = 1 + |d_1/d_0 - r_2| min(1/(1-r), 2/|r_1 - r_2|) times their start, extrapolated points by 1 + 2 beta times that.
    One step errs by 8 u of the iterates (their update, the speed and, in the formula, roots that are exact for
    coefficients moved by 4 u) and by the step times the error of the gradient; a power r^t adds 8 (1 + t) u of its bound.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space, t, u = row_space(x), float(whole_times(steps)), UNIT_ROUNDOFF
    modes = stable_modes(space, step=step, momentum=momentum, variant=variant)
    if not space.singular_values.size:
        return 0.0
    n, p = x.shape
    limit = gradient_descent_limit(x, y, w)
    moved, residual = float(np.linalg.norm(limit - w)), float(np.linalg.norm(y - x @ w))
    size, kick = modes.modulus, np.abs(modes.start - modes.second)
    gain, amplified = error_growth(modes)
    ahead = 1 + 2 * momentum
    reach, off = ahead * (float(np.linalg.norm(limit)) + gain * moved), ahead * gain * residual
    absolute = float(np.linalg.norm(np.abs(x), 2))
    inner = (p + 3) * u * (absolute * reach + float(np.linalg.norm(y))) + (n + 3) * u * off
    backward = max(x.shape) * 2 * u * space.norm
    per_step = 8 * u * reach + ahead * step * (absolute * inner + backward * (off + space.norm * reach))
    inverse = 1 / float(space.singular_values[-1])
    wedin = backward * inverse * (2 * moved + inverse * float(np.linalg.norm(y - x @ limit)))
    with np.errstate(under="ignore"):
        power = 8 * (1 + t) * u * float((size**t + t * size ** max(t - 1, 0.0) * kick).max()) * moved
    evaluation = (p + 8) * u * (float(np.linalg.norm(w)) + gain * moved) + (n + p + 2) * u * inverse * (
        absolute * float(np.linalg.norm(w)) + float(np.linalg.norm(y))
    ) * gain
    return per_step * (amplified + t / (1 - momentum)) + wedin + power + evaluation


def error_growth(modes: Modes) -> tuple[float, float]:
    """G = max |d_t/d_0| at most, and what sum_t |S_t| is at most, over the modes of a stable recursion (at least one)."""
    size, apart, kick = modes.modulus, np.abs(modes.difference), np.abs(modes.start - modes.second)
    with np.errstate(divide="ignore"):
        gain = float((1 + kick * np.minimum(1 / (1 - size), 2 / apart)).max())
        return gain, float(np.minimum(1 / (1 - size) ** 2, 2 / (apart * (1 - size))).max())


def stable_modes(space: RowSpace, *, step: float, momentum: float, variant: Variant) -> Modes:
    """The modes of a stable recursion; `AssumptionViolated` where a root has modulus 1 or more."""
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number.")
    beta, x = _momentum(momentum), step * space.singular_values**2
    modes = momentum_modes(x, momentum=beta, variant=variant)
    limit = 2 * (1 + beta) if variant == "heavy_ball" else 2 * (1 + beta) / (1 + 2 * beta)
    if (x >= limit).any() or (modes.modulus >= 1).any():
        raise AssumptionViolated(
            f"step {step:g} with momentum {beta:g} is not stable for this design: the largest root is {modes.modulus.max():g}.",
            f"With {variant} the step must lie strictly between 0 and {limit / space.norm**2:g}.",
        )
    return modes


def _momentum(momentum: Any) -> float:
    beta = float(finite("momentum", momentum, ndim=0))
    if not 0 <= beta < 1:
        raise InvalidInput(f"momentum is {beta:g}.", "It must lie in [0, 1).")
    return beta
