"""Descent in a metric: w <- w - eta D g with symmetric positive definite D picks the solution nearest in D^{-1}.

D holds per-parameter step sizes, or comes from training v in w = B v, where D = B B^T. With the loss 1/2 ||y - X w||^2 the
limit is w_0 + D X^T (X D X^T)^+ (y - X w_0). When the data can be interpolated it minimises (w - w_0)^T D^{-1} (w - w_0)
over all solutions; otherwise over all minimisers of the loss, which D does not move. Everything below substitutes
w = w_0 + B v with D = B B^T, so that plain descent on X B is left. Shapes as in `least_squares`; `metric` is (parameters,),
the diagonal of D, or (parameters, parameters). Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite
from .least_squares import (
    UNIT_ROUNDOFF,
    contraction_factor,
    design_matrix,
    gradient_descent_limit,
    gradient_descent_path,
    largest_stable_step,
    least_squares_problem,
    rounding_floor,
    row_space,
)
from .momentum import Variant, error_growth, momentum_path, momentum_rounding_floor, stable_modes


def metric_matrix(metric: Any, *, parameters: int) -> Float[np.ndarray, "parameters parameters"] | None:
    """D as a symmetric positive definite matrix (a vector is its diagonal), None, the identity, as it is. Raises `InvalidInput`."""
    if metric is None:
        return None
    d = finite("metric", metric)
    if d.shape == (parameters,):
        if d.min() <= 0:
            raise InvalidInput(
                f"metric has the entry {d.min():g}.",
                "Step sizes must be positive; drop parameters that are not trained.",
            )
        return np.diag(d)
    if d.shape != (parameters, parameters):
        raise InvalidInput(
            f"metric has shape {d.shape} for {parameters} parameters.", "Pass a diagonal or a square symmetric matrix."
        )
    if not np.array_equal(d, d.T):
        raise InvalidInput("metric is not symmetric.", "Pass (D + D.T) / 2 if only rounding makes it so.")
    _cholesky(d)
    return d


def metric_root(metric: Any, *, parameters: int) -> Float[np.ndarray, "parameters parameters"]:
    """B with B B^T = D: the Cholesky factor, or the square roots on the diagonal. `InvalidInput` unless D is positive definite."""
    d = metric_matrix(metric, parameters=parameters)
    if d is None:
        raise InvalidInput("metric is None.", "Pass np.ones(parameters) for the identity.")
    return _cholesky(d)


def _cholesky(d: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.cholesky(d)
    except np.linalg.LinAlgError as error:
        raise InvalidInput(
            "metric is not positive definite.", "Directions with eigenvalue 0 are never trained: leave them out."
        ) from error


def metric_limit(design: Any, targets: Any, initial: Any, *, metric: Any) -> Float[np.ndarray, " parameters"]:
    """w_0 + D X^T (X D X^T)^+ (y - X w_0): where w <- w - eta D X^T (X w - y) ends for every stable step."""
    x, y, w = least_squares_problem(design, targets, initial)
    root = metric_root(metric, parameters=len(w))
    return w + root @ gradient_descent_limit(x @ root, y - x @ w, np.zeros_like(w))


def metric_path(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    metric: Any,
    step: float,
    time: Any,
    momentum: float = 0.0,
    variant: Variant = "heavy_ball",
) -> Float[np.ndarray, "*times parameters"]:
    """The iterate after `time` steps, without iterating. Raises `AssumptionViolated` when the step is not stable.

    `momentum` and `variant` as in `momentum.momentum_path`, with D g in place of g.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    root = metric_root(metric, parameters=len(w))
    white, residual, start = x @ root, y - x @ w, np.zeros_like(w)
    if momentum:
        path = momentum_path(white, residual, start, step=step, time=time, momentum=momentum, variant=variant)
    else:
        path = gradient_descent_path(white, residual, start, step=step, time=time)
    return w + path @ root.T


def oblique_projector(design: Any, *, metric: Any) -> Float[np.ndarray, "parameters parameters"]:
    """Pi_D = I - D X^T (X D X^T)^+ X: along D row(X) onto ker X. Pi_D^2 = Pi_D, X Pi_D = 0, Pi_D D = D Pi_D^T."""
    x = design_matrix(design)
    root = metric_root(metric, parameters=x.shape[1])
    right = row_space(x @ root).right
    # B Q B^{-1}, without an inverse on the right: B V (B^{-T} V)^T
    dual = np.linalg.solve(root.T, right)
    return np.eye(x.shape[1]) - (root @ right) @ dual.T


def metric_contraction(design: Any, *, metric: Any, step: float) -> float:
    """max |1 - step h| over the nonzero eigenvalues h of X D X^T, the rate in the norm of D^{-1}."""
    x = design_matrix(design)
    return contraction_factor(x @ metric_root(metric, parameters=x.shape[1]), step)


def largest_stable_metric_step(design: Any, *, metric: Any) -> float:
    """2 / lambda_max(X D X^T), the open upper end of the steps for which descent in the metric converges."""
    x = design_matrix(design)
    return largest_stable_step(x @ metric_root(metric, parameters=x.shape[1]))


def metric_convergence_bound(design: Any, targets: Any, initial: Any, *, metric: Any, step: float, steps: int) -> float:
    """||B|| rho^t ||B^{-1} (w_inf - w_0)||, which bounds ||w_t - w_inf|| in exact arithmetic."""
    x, y, w = least_squares_problem(design, targets, initial)
    root = metric_root(metric, parameters=len(w))
    moved = gradient_descent_limit(x @ root, y - x @ w, np.zeros_like(w))
    rho = contraction_factor(x @ root, step)
    return float(np.linalg.norm(root, 2)) * rho ** float(steps) * float(np.linalg.norm(moved))


def metric_rounding_floor(
    design: Any,
    targets: Any,
    initial: Any,
    *,
    metric: Any,
    step: float,
    steps: int,
    momentum: float = 0.0,
    variant: Variant = "heavy_ball",
) -> float:
    """Bound, to first order in u = 2^-53, on the rounding between `steps` float64 steps in the metric and these forms.

    In v = B^{-1} (w - w_0) the recursion is plain descent on X B with targets y - X w_0 from 0, so the floor is ||B|| times
    that of `least_squares.rounding_floor`, with what the metric adds. The step itself is taken in w: its result rounds by
    u W, W a bound on the iterates, and D g by gamma_{p+1} ||D|| ||g||, ||g|| <= ||X|| ||r_0|| (the loss does not rise); the
    residual by gamma_{p+2} (|| |X| || W + ||y||) and g by gamma_n || |X| || ||r_0||. These kicks live in w; in v they count
    ||B^{-1}|| times as much. Products by B (X B, y - X w_0, B v) and B B^T = D hold to gamma_{p+1}, which moves the design
    X B by gamma_{p+1} ||X|| ||B|| cond(B), steps and limit with it as in `rounding_floor`. Momentum makes a step round by 8 u W,
    takes gradients at points up to 1 + 2 beta times as far, and errors grow as in `momentum.momentum_rounding_floor`.
    """
    x, y, w = least_squares_problem(design, targets, initial)
    root = metric_root(metric, parameters=len(w))
    white, residual = x @ root, y - x @ w
    space = row_space(white)
    if not space.singular_values.size:
        return 0.0
    t, still = float(steps), np.zeros_like(w)
    if momentum:
        options: dict[str, Any] = {"step": step, "momentum": momentum, "variant": variant}
        plain = momentum_rounding_floor(white, residual, still, steps=steps, **options)
        gain, amplified = error_growth(stable_modes(space, **options))
        growth, ahead, update = amplified + t / (1 - momentum), 1 + 2 * momentum, 8.0
    else:
        plain, rho = rounding_floor(white, residual, still, step=step, steps=steps), contraction_factor(white, step)
        growth, gain, ahead, update = (1 - rho**t) / (1 - rho) + t, 1.0, 1.0, 1.0
    n, p = x.shape
    gamma = (max(n, p) + 3) * UNIT_ROUNDOFF
    norm, inverse = float(np.linalg.norm(root, 2)), float(np.linalg.norm(np.linalg.inv(root), 2))
    moved = gradient_descent_limit(white, residual, still)
    reach = ahead * (float(np.linalg.norm(w)) + (1 + gain) * norm * float(np.linalg.norm(moved)))
    absolute, start = float(np.linalg.norm(np.abs(x), 2)), ahead * gain * float(np.linalg.norm(residual))
    size = absolute * reach + float(np.linalg.norm(y))
    kick = update * UNIT_ROUNDOFF * reach + ahead * step * norm**2 * absolute * gamma * (size + 3 * start)
    shift = gamma * absolute * norm * norm * inverse
    travelled = (1 + gain) * space.norm * float(np.linalg.norm(moved))
    kick_in_v = inverse * kick + ahead * step * shift * (start + travelled)
    least = 1 / float(space.singular_values[-1])
    wedin = shift * least * (2 * float(np.linalg.norm(moved)) + least * float(np.linalg.norm(residual - white @ moved)))
    entry = gain * least * gamma * size  # the residual behind the closed forms
    return norm * (plain + kick_in_v * growth + wedin + entry) + 2 * gamma * reach
