"""Mini-batch descent on least squares: the same limit when the data can be interpolated, a stationary law when not.

Each step draws `batch_size` distinct rows, uniformly and independently of all other steps, and does
w <- w - step (N/B) sum_{n in batch} x_n (x_n^T w - y_n): the sum convention of `least_squares`, so that the gradient is
right on average. (With the mean over the batch as the loss, `step` here is that step divided by N.) H_B is
(N/B) sum_{n in batch} x_n x_n^T, with mean H = X^T X, and L_max its largest eigenvalue over all batches.
Shapes are those of `least_squares`. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.statement import Answer
from ...theory.validation import finite, sample_size
from .facts import interpolating
from .least_squares import (
    UNIT_ROUNDOFF,
    design_matrix,
    gradient_descent_limit,
    least_squares_problem,
    row_space,
    whole_times,
)

MOST_BATCHES = 20_000


def batch_curvature(design: Any, *, batch_size: int) -> float:
    """L_max, the largest eigenvalue of any H_B. Beyond 20,000 batches an upper bound, with which the theorem holds too.

    The bound is (N/B) min(h_max, sum of the B largest ||x_n||^2).
    """
    x, size = _batches(design, batch_size)
    n = len(x)
    if math.comb(n, size) > MOST_BATCHES:
        largest = np.sort(np.sum(x**2, axis=1))[-size:].sum()
        return n / size * min(row_space(x).norm ** 2, float(largest))
    rows = np.array(list(itertools.combinations(range(n), size)))
    return n / size * float(np.linalg.norm(x[rows], 2, axis=(1, 2)).max()) ** 2


def largest_stable_batch_step(design: Any, *, batch_size: int) -> float:
    """2 / L_max: below it every batch contracts, so that the error never grows on any path."""
    curvature = batch_curvature(design, batch_size=batch_size)
    return 2 / curvature if curvature > 0 else math.inf


def mean_square_contraction(design: Any, *, step: float, batch_size: int) -> float:
    """1 - step h_min (2 - step L_max), by which the expected squared error shrinks per step at least (interpolating data).

    Raises `AssumptionViolated` when the step is not below 2 / L_max.
    """
    x, size = _batches(design, batch_size)
    space, curvature = row_space(x), batch_curvature(x, batch_size=size)
    eta = _step(step)
    if not space.singular_values.size:
        return 0.0
    if eta * curvature >= 2:
        raise AssumptionViolated(
            f"step {eta:g} is not below 2 / L_max = {2 / curvature:g}.", "Lower the step or enlarge the batch."
        )
    return float(1 - eta * float(space.singular_values[-1]) ** 2 * (2 - eta * curvature))


def mean_square_bound(design: Any, targets: Any, initial: Any, *, step: float, batch_size: int, steps: int) -> float:
    """[1 - step h_min (2 - step L_max)]^t ||w_0 - w_inf||^2, which bounds E ||w_t - w_inf||^2.

    Raises `AssumptionViolated` when the data cannot be interpolated (the law is then `stationary_covariance`).
    """
    x, y, w = least_squares_problem(design, targets, initial)
    require_interpolation(x, y)
    rate = mean_square_contraction(x, step=step, batch_size=batch_size)
    return rate ** float(whole_times(steps)) * float(np.sum((gradient_descent_limit(x, y, w) - w) ** 2))


def require_interpolation(design: Any, targets: Any) -> None:
    """Raise `AssumptionViolated` if X w = y has no solution, by more than rounding explains (`facts.interpolating`)."""
    x, y, _ = least_squares_problem(design, targets, np.zeros(design_matrix(design).shape[1]))
    found = interpolating(x, y, row_space(x))
    if found.answer is Answer.VIOLATED:
        raise AssumptionViolated(
            f"the data cannot be interpolated: {found.says}.",
            "Mini-batches at a fixed step then have a stationary law (`stationary_covariance`); use the full batch or decay the step.",
        )


def batch_rounding_floor(design: Any, targets: Any, initial: Any, *, step: float, batch_size: int, steps: int) -> float:
    """Bound, to first order in u = 2^-53, on the rounding of `steps` float64 steps, for any draws, interpolating data.

    No batch map I - step H_B expands, so errors of steps add up. One step errs by u W + step (N/B) A (gamma_{p+2} (A W +
    ||y||) + gamma_{B+3} A ||d_0||), with A the norm of |X|, W = ||w_inf|| + ||d_0|| and d_0 = w_0 - w_inf. The limit itself
    is known up to max(n, p) 2 u ||X|| ||X^+|| (2 ||d_0|| + ||w_inf||) (Wedin), and data meet X w_inf = y to as much.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    space, limit = row_space(x), gradient_descent_limit(x, y, w)
    if not space.singular_values.size:
        return 0.0
    n, p = x.shape
    moved = float(np.linalg.norm(limit - w))
    reach, absolute = float(np.linalg.norm(limit)) + moved, float(np.linalg.norm(np.abs(x), 2))
    inner = (p + 3) * UNIT_ROUNDOFF * (absolute * reach + float(np.linalg.norm(y))) + (
        batch_size + 4
    ) * UNIT_ROUNDOFF * absolute * moved
    per_step = UNIT_ROUNDOFF * reach + _step(step) * n / batch_size * absolute * inner
    backward = max(n, p) * 2 * UNIT_ROUNDOFF * space.norm
    return float(whole_times(steps)) * per_step + 2 * backward / float(space.singular_values[-1]) * (2 * moved + reach)


def error_moments(
    design: Any, targets: Any, initial: Any, *, step: float, batch_size: int, time: int
) -> tuple[Float[np.ndarray, " parameters"], Float[np.ndarray, "parameters parameters"]]:
    """E d_t and E d_t d_t^T of d_t = w_t - w_inf, exactly, for every X, y and step; w_inf the limit of plain descent."""
    x, y, w = least_squares_problem(design, targets, initial)
    eta, (_, size) = _step(step), _batches(x, batch_size)
    limit = gradient_descent_limit(x, y, w)
    mean, residual = w - limit, y - x @ limit
    second = np.outer(mean, mean)
    for _ in range(int(whole_times(time))):
        kicks = _paired(x, -(x @ mean) * residual, size)  # E H_B d xi_B^T, whose other part vanishes with X^T residual
        noise = _paired(x, residual**2, size)
        second = _moved(x, second, eta, size) + eta**2 * (noise + kicks + kicks.T)
        mean = mean - eta * (x.T @ (x @ mean))
    return mean, second


def stationary_covariance(
    design: Any, targets: Any, *, step: float, batch_size: int
) -> Float[np.ndarray, "parameters parameters"]:
    """Covariance of w_t around w_inf in the long run; the zero matrix when the data can be interpolated.

    The fixed point C of C = E (I - step H_B) C (I - step H_B) + step^2 E xi_B xi_B^T on the row space, xi_B the gradient of
    a batch at w_inf. Raises `AssumptionViolated` when second moments do not settle at this step.
    """
    x, y, start = least_squares_problem(design, targets, np.zeros(design_matrix(design).shape[1]))
    eta, (_, size) = _step(step), _batches(x, batch_size)
    space = row_space(x)
    rank = len(space.singular_values)
    if not rank:
        return np.zeros((x.shape[1], x.shape[1]))
    residual, inner = y - x @ gradient_descent_limit(x, y, start), x @ space.right
    basis = np.eye(rank * rank).reshape(rank * rank, rank, rank)
    operator = np.stack([_moved(inner, b, eta, size).ravel() for b in basis], axis=1)
    if np.abs(np.linalg.eigvals(operator)).max() >= 1:
        raise AssumptionViolated(
            f"second moments grow at step {eta:g} with batches of {size}.",
            "Lower the step: below 2 / L_max they settle.",
        )
    noise = eta**2 * _paired(inner, residual**2, size)
    solved = np.linalg.solve(np.eye(rank * rank) - operator, noise.ravel()).reshape(rank, rank)
    return space.right @ ((solved + solved.T) / 2) @ space.right.T


def _paired(x: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    # (N/B)^2 (p_1 - p_2) sum_n weights_n x_n x_n^T: p_1 = B/N and p_2 = B(B-1)/(N(N-1)), the chances that a batch holds one
    # given row, and two
    n = len(x)
    alone = (n / size) * (1 - (size - 1) / (n - 1)) if n > 1 else 0.0
    return alone * (x.T * weights) @ x


def _moved(x: np.ndarray, second: np.ndarray, eta: float, size: int) -> np.ndarray:
    # E (I - eta H_B) C (I - eta H_B); E H_B C H_B = (N/B)^2 [(p_1 - p_2) sum_n (x_n^T C x_n) x_n x_n^T + p_2 H C H]
    n, gram = len(x), x.T @ x
    both = (n / size) * (size - 1) / (n - 1) if n > 1 else 1.0
    spread = _paired(x, np.einsum("ni,ij,nj->n", x, second, x), size) + both * gram @ second @ gram
    return second - eta * (gram @ second + second @ gram) + eta**2 * spread


def _batches(design: Any, batch_size: Any) -> tuple[np.ndarray, int]:
    x, size = design_matrix(design), sample_size("batch_size", batch_size)
    if size > len(x):
        raise InvalidInput(f"batch_size is {size} for {len(x)} examples.", "Draw at most all of them.")
    return x, size


def _step(step: Any) -> float:
    eta = float(finite("step", step, ndim=0))
    if eta <= 0:
        raise InvalidInput(f"step is {eta:g}.", "It must be positive.")
    return eta
