"""Early stopping as a spectral filter: gradient flow and ridge regression beside gradient descent on least squares.

Each of them moves the start w_0 to w_0 + sum_i phi(s_i) v_i u_i^T (y - X w_0) / s_i, with X = U diag(s) V^T, and they
differ in the filter phi alone: 1 - (1 - step s^2)^t for descent (`least_squares.spectral_filter`), 1 - exp(-s^2 t) for
the flow w' = -X^T (X w - y), s^2/(s^2 + penalty) for ridge. Shapes and conventions are those of `least_squares`: the loss
is 1/2 ||y - X w||^2, times have the units of a step times a number of steps. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite, float_array, sample_size
from .least_squares import UNIT_ROUNDOFF, RowSpace, least_squares_problem, row_space

# The largest difference between the flow's filter and ridge's at penalty = 1/time: the maximum of 1/(1+u) - exp(-u) over
# u > 0, which is u/(1+u)^2 at the root u of (1+u)^2 = exp(u).
FLOW_RIDGE_GAP = 0.20363218879453687
FLOW_RIDGE_GAP_AT = 2.5128624172523395


def flow_filter(singular_values: Any, *, time: Any) -> Float[np.ndarray, "*times rank"]:
    """1 - exp(-s^2 time), the part of each singular direction that gradient flow has fitted; `time` may be infinite."""
    values, times = finite("singular_values", singular_values, ndim=1), _non_negative("time", time)
    with np.errstate(invalid="ignore", over="ignore"):
        exponent = values**2 * times[..., None]
    return np.where(values == 0, 0.0, -np.expm1(-exponent))


def ridge_filter(singular_values: Any, *, penalty: Any) -> Float[np.ndarray, "*penalties rank"]:
    """s^2 / (s^2 + penalty), the part of each singular direction that ridge regression fits; 0 where s = 0."""
    values, penalties = finite("singular_values", singular_values, ndim=1), _non_negative("penalty", penalty)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(values == 0, 0.0, 1 / (1 + penalties[..., None] / values**2))


def gradient_flow_path(design: Any, targets: Any, initial: Any, *, time: Any) -> Float[np.ndarray, "*times parameters"]:
    """w(t) = w_inf + exp(-t X^T X) (w_0 - w_inf), the solution of w' = -X^T (X w - y) from w_0, for one time or many.

    The result has one leading axis per axis of `time`. Raises `InvalidInput` on shapes or values that make no sense.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space = row_space(x)
    return w + (flow_filter(space.singular_values, time=time) * _shift(space, y - x @ w)) @ space.right.T


def ridge_path(design: Any, targets: Any, initial: Any, *, penalty: Any) -> Float[np.ndarray, "*penalties parameters"]:
    """The minimiser of 1/2 ||y - X w||^2 + penalty/2 ||w - w_0||^2, for one penalty (>= 0) or many.

    At penalty 0 it is the limit of descent, w_inf. The result has one leading axis per axis of `penalty`.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space = row_space(x)
    return w + (ridge_filter(space.singular_values, penalty=penalty) * _shift(space, y - x @ w)) @ space.right.T


def flow_discretisation_bound(design: Any, targets: Any, initial: Any, *, steps: int) -> float:
    """(4/e^2)/k ||w_0 - w_inf||: how far k = `steps` steps of size t/k end from the flow at time t, for any t <= k/h_max.

    In a direction of curvature h, with x = h t <= k: exp(-x) (1 - x^2/k) <= (1 - x/k)^k <= exp(-x), and x^2 exp(-x) is at
    most 4/e^2.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    return 4 * float(np.exp(-2)) / sample_size("steps", steps) * float(np.linalg.norm(_shift(row_space(x), y - x @ w)))


def filter_rounding_floor(design: Any, targets: Any, initial: Any, *, time: float) -> float:
    """Bound, to first order in u = 2^-53, on the rounding of `gradient_flow_path` at `time` and of `ridge_path` at 1/time.

    The decomposition is exact for a design moved by at most d = max(n, p) 2 u ||X||. Along the flow that moves w' by at
    most d (||r_0|| + ||X|| W), W = ||w_inf|| + ||w_0 - w_inf||, which is contracted at the rate h_min in the row space and
    adds up in the null space: times (1 - exp(-h_min t))/h_min + t <= 2 t. Ridge solves (H + 1/t) w = X^T y + w_0/t: the
    same perturbation of its right side, times the inverse, which is at most t. Evaluating the filter costs 4 u of each
    coefficient, the residual gamma_{p+1} (|| |X| || ||w_0|| + ||y||), the products gamma_n and gamma_p; what multiplies the
    residual is phi(s)/s <= min(1/s_min, sqrt t), since phi(s) <= s^2 t and phi(s) <= 1.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space, u = row_space(x), UNIT_ROUNDOFF
    if not space.singular_values.size:
        return 0.0
    residual, moved = y - x @ w, _shift(space, y - x @ w)
    reach = float(np.linalg.norm(w)) + 2 * float(np.linalg.norm(moved))
    backward = max(x.shape) * 2 * u * space.norm
    drift = backward * (float(np.linalg.norm(residual)) + space.norm * reach) * 2 * time
    size = float(np.linalg.norm(np.abs(x), 2)) * float(np.linalg.norm(w)) + float(np.linalg.norm(y))
    inner = ((x.shape[1] + 1) * size + x.shape[0] * float(np.linalg.norm(residual))) * u
    gain = min(1 / float(space.singular_values[-1]), float(np.sqrt(time)))
    return drift + inner * gain + (x.shape[1] + 8) * u * reach


def _shift(space: RowSpace, residual: np.ndarray) -> np.ndarray:
    # the coordinates of w_inf - w_0 along the right singular vectors
    return (space.left.T @ residual) / space.singular_values


def _non_negative(name: str, value: Any) -> np.ndarray:
    array = float_array(name, value)
    if array.size and array.min() < 0:
        raise InvalidInput(f"{name} is negative ({array.min():g}).", "It must be 0 or larger.")
    return array
