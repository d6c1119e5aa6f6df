"""Gradient descent on least squares: its limit, its whole path, its rate, and how far rounding can move it.

Conventions: the loss is 1/2 ||y - X w||^2 (sum over examples, factor 1/2), the recursion w <- w - eta X^T (X w - y).
`half_sum_step` converts the step of any other convention. `design` X has shape (examples, parameters), `targets` y
(examples,), `initial` w_0 (parameters,); everything is float64 and carries the units of the data.

Any shape and any rank is allowed. For every step below 2 / h_max, h the eigenvalues of X^T X, the limit is
w_0 + X^+ (y - X w_0), the least-squares solution nearest to w_0. Textbook result, derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite, sample_size

UNIT_ROUNDOFF = 2.0**-53
REMEMBERED = 4096  # entries of a design up to which its last decompositions are kept


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Thin singular value decomposition X = left diag(singular_values) right^T, cut at the numerical rank.

    left (examples, rank), singular_values (rank,) in decreasing order and all above `cutoff`, right (parameters, rank).
    """

    left: Float[np.ndarray, "examples rank"]
    singular_values: Float[np.ndarray, " rank"]
    right: Float[np.ndarray, "parameters rank"]
    cutoff: float

    @property
    def norm(self) -> float:
        """Largest singular value, the spectral norm of X; 0 when X is zero or has no rows."""
        return float(self.singular_values[0]) if self.singular_values.size else 0.0


def row_space(design: Any, *, relative_cutoff: float | None = None) -> RowSpace:
    """Singular value decomposition of the design, without the singular values that rounding cannot tell from zero.

    `relative_cutoff` times the largest singular value is the rank cutoff; by default max(examples, parameters) * 2^-52,
    the backward error of the decomposition. Descent agrees with this choice: it needs 1 / (step * s^2) steps to move
    along a direction of singular value s, so it never sees those below the cutoff.
    """
    x = design_matrix(design)
    relative = max(x.shape) * 2 * UNIT_ROUNDOFF if relative_cutoff is None else relative_cutoff
    if not 0 <= relative < 1:
        raise InvalidInput(f"relative_cutoff is {relative!r}.", "It must lie in [0, 1).")
    left, values, right_t = _decomposition(x) if x.size > REMEMBERED else _remembered(x.tobytes(), x.shape)
    cutoff = relative * float(values[0]) if values.size else 0.0
    rank = int(np.count_nonzero(values > cutoff))
    return RowSpace(left[:, :rank], values[:rank], right_t[:rank].T, cutoff)


def _decomposition(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, values, right_t = np.linalg.svd(x, full_matrices=False)
    return left, values, right_t


@functools.lru_cache(maxsize=32)
def _remembered(content: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limit, path, rate and rounding of one design ask for the same decomposition; nobody may write to it."""
    parts = _decomposition(np.frombuffer(content).reshape(shape))
    for part in parts:
        part.flags.writeable = False
    return parts


def design_matrix(design: Any) -> Float[np.ndarray, "examples parameters"]:
    """`design` as a finite float64 matrix with at least one column; it may have no rows."""
    x = finite("design", design, ndim=2)
    if x.shape[1] == 0:
        raise InvalidInput(f"design has shape {x.shape}.", "There must be at least one parameter (column).")
    return x


def least_squares_problem(design: Any, targets: Any, initial: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three arrays as finite float64, or `InvalidInput` when their shapes do not belong together."""
    x = design_matrix(design)
    y, w = finite("targets", targets, ndim=1), finite("initial", initial, ndim=1)
    if y.shape != x.shape[:1]:
        raise InvalidInput(f"targets has shape {y.shape}, design {x.shape}.", "Pass one target per row of the design.")
    if w.shape != x.shape[1:]:
        raise InvalidInput(f"initial has shape {w.shape}, design {x.shape}.", "Pass one weight per design column.")
    return x, y, w


def row_projector(design: Any) -> Float[np.ndarray, "parameters parameters"]:
    """Q = X^+ X, the orthogonal projector on the span of the rows: the directions that the data can train."""
    right = row_space(design).right
    return right @ right.T


def null_projector(design: Any) -> Float[np.ndarray, "parameters parameters"]:
    """P = I - Q, the orthogonal projector on ker X: the directions in which the initial point survives."""
    q = row_projector(design)
    return np.eye(len(q)) - q


def half_sum_step(step: float, *, examples: int, reduction: Literal["sum", "mean"] = "sum", half: bool = True) -> float:
    """The step on 1/2 ||y - X w||^2 that equals `step` on the loss with this reduction and with or without the 1/2."""
    count = sample_size("examples", examples)
    if reduction not in ("sum", "mean"):
        raise InvalidInput(f"reduction is {reduction!r}.", "Pass 'sum' or 'mean'.")
    return step * (1.0 if half else 2.0) / (count if reduction == "mean" else 1)


def largest_stable_step(design: Any) -> float:
    """2 / h_max, the open upper end of the steps for which descent converges; infinite when the design is zero."""
    norm = row_space(design).norm
    return 2 / norm**2 if norm > 0 else math.inf


def fastest_step(design: Any) -> float:
    """2 / (h_min + h_max), the fixed step with the smallest contraction factor, (kappa - 1) / (kappa + 1)."""
    values = row_space(design).singular_values
    if not values.size:
        raise InvalidInput("design is zero, so every step does nothing.", "Pass a design with a nonzero entry.")
    return float(2 / (values[-1] ** 2 + values[0] ** 2))


def contraction_factor(design: Any, step: float) -> float:
    """rho = max |1 - step h| over the nonzero eigenvalues h of X^T X: the row-space error shrinks by rho per step.

    Raises `AssumptionViolated` when the step is not stable (rho >= 1); returns 0 for a design without nonzero entries.
    """
    return _contraction(row_space(design), step)


def _contraction(space: RowSpace, step: float) -> float:
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number.")
    if not space.singular_values.size:
        return 0.0
    rho = float(np.abs(1 - step * space.singular_values**2).max())
    if rho >= 1:
        raise AssumptionViolated(
            f"step {step:g} is not stable for this design: the contraction factor is {rho:g}.",
            f"Descent converges for steps strictly between 0 and {2 / space.norm**2:g}.",
        )
    return rho


def gradient_descent_limit(design: Any, targets: Any, initial: Any) -> Float[np.ndarray, " parameters"]:
    """w_inf = w_0 + X^+ (y - X w_0) = P w_0 + X^+ y: where descent from `initial` ends, for every stable step.

    The unique minimiser of ||w - w_0|| over all least-squares solutions. Computed from the decomposition applied to
    the residual (no Gram matrix is formed): relative error about rounding times cond(X), plus rounding times
    cond(X)^2 times the relative residual when the data cannot be interpolated.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space = row_space(x)
    return w + space.right @ ((space.left.T @ (y - x @ w)) / space.singular_values)


def gradient_descent_path(
    design: Any, targets: Any, initial: Any, *, step: float, time: Any
) -> Float[np.ndarray, "*times parameters"]:
    """The iterate after `time` steps, w_t = w_0 + sum_i phi_t(s_i) v_i u_i^T (y - X w_0) / s_i, without iterating.

    phi_t(s) = 1 - (1 - step s^2)^t is the spectral filter of early stopping. `time` is a whole number or an array of
    them; the result has one leading axis per axis of `time`. Raises `AssumptionViolated` when the step is not stable.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    times = whole_times(time)
    space = row_space(x)
    _contraction(space, step)
    coefficients = (space.left.T @ (y - x @ w)) / space.singular_values
    return w + (spectral_filter(space.singular_values, step=step, time=times) * coefficients) @ space.right.T


def spectral_filter(singular_values: np.ndarray, *, step: float, time: np.ndarray) -> Float[np.ndarray, "*times rank"]:
    """phi_t(s) = 1 - (1 - step s^2)^t, the part of each singular direction that `time` steps have fitted."""
    speed = step * singular_values**2
    times = np.asarray(time)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # For slow directions the power is within rounding of 1, so the difference from 1 needs expm1 and log1p.
        slow = -np.expm1(times * np.log1p(-np.minimum(speed, 1.0)))
    return np.where(speed < 1, slow, 1 - (1 - speed) ** times)


def whole_times(time: Any) -> np.ndarray:
    """`time` as an array of whole numbers of steps, kept as float64."""
    times = finite("time", time)
    if times.size and (times.min() < 0 or (times != np.floor(times)).any()):
        raise InvalidInput("time must consist of whole numbers of steps, 0 or more.", "Descent has no half steps.")
    return times


def convergence_bound(design: Any, targets: Any, initial: Any, *, step: float, steps: int) -> float:
    """rho^t ||Q (w_0 - w_inf)||, which bounds ||w_t - w_inf|| after t = `steps` steps in exact arithmetic."""
    x, y, w = least_squares_problem(design, targets, initial)
    distance = float(np.linalg.norm(gradient_descent_limit(x, y, w) - w))
    return contraction_factor(x, step) ** float(whole_times(steps)) * distance


def rounding_floor(design: Any, targets: Any, initial: Any, *, step: float, steps: int) -> float:
    """Bound, to first order in u = 2^-53, on what rounding puts between `steps` float64 steps and these closed forms.

    Write gamma_n = n u / (1 - n u), A = || |X| ||_2, W = ||w_inf|| + ||w_0 - w_inf|| (which bounds every iterate) and
    r_0 = y - X w_0 (which bounds every residual, the loss being non-increasing). One step errs by at most

        e = u W + step A (gamma_{p+2} (A W + ||y||) + gamma_{n+2} ||r_0||)

    by the standard inner-product bound (Higham, Accuracy and Stability of Numerical Algorithms, section 3.5), and the
    decomposition behind the closed forms is exact for a design moved by at most d = max(n, p) 2 u ||X||, which moves a
    step by step d (||r_0|| + ||X|| W). In the row space a step's error is contracted from then on, which sums to
    (1 - rho^t) / (1 - rho); in the null space it stays, which sums to t. The limit moves with the design by at most
    d (2 ||X^+ r_0|| + ||X^+|| ||y - X w_inf||) ||X^+|| (Wedin).
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space = row_space(x)
    rho, t = _contraction(space, step), float(whole_times(steps))
    if not space.singular_values.size:
        return 0.0
    limit = gradient_descent_limit(x, y, w)
    moved, residual = float(np.linalg.norm(limit - w)), float(np.linalg.norm(y - x @ w))
    reach = float(np.linalg.norm(limit)) + moved
    absolute = float(np.linalg.norm(np.abs(x), 2))
    inner = _gamma(x.shape[1] + 2) * (absolute * reach + float(np.linalg.norm(y))) + _gamma(x.shape[0] + 2) * residual
    backward = max(x.shape) * 2 * UNIT_ROUNDOFF * space.norm
    per_step = UNIT_ROUNDOFF * reach + step * (absolute * inner + backward * (residual + space.norm * reach))
    inverse = 1 / float(space.singular_values[-1])
    wedin = backward * inverse * (2 * moved + inverse * float(np.linalg.norm(y - x @ limit)))
    return per_step * ((1 - rho**t) / (1 - rho) + t) + wedin


def _gamma(terms: int) -> float:
    return terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF)
