"""Descent on separable data in closed form: w_t = w_hat log t + w_tilde + P w_0 + o(1), and how fast the o(1) goes.

The loss is the sum over examples of exp(-x_n^T w) (or any loss with that tail), rows x_n with their labels absorbed,
shape (examples, parameters); `step` is eta, 1 for gradient flow; D is the metric of the training. Everything needs
generic support vectors: independent, with positive dual weights alpha. Derived in `proofs/implicit_bias/max_margin`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite
from .least_squares import design_matrix, row_space, whole_times
from .max_margin import MaxMargin, max_margin
from .metric import metric_matrix
from .support_vectors import require_generic, support_report


def positive_step(step: float) -> float:
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number; 1 stands for gradient flow.")
    return float(step)


def constant_term(
    design: Any, *, step: float = 1.0, metric: Any = None, solution: MaxMargin | None = None
) -> Float[np.ndarray, " parameters"]:
    """w_tilde = D X_SV^T (X_SV D X_SV^T)^{-1} log(eta/alpha): in the span of the support vectors, x_n^T w_tilde = log(eta/alpha_n).

    `solution`: what `max_margin` returned for this design and metric, where it is known. Raises `AssumptionViolated`
    unless the support vectors are generic.
    """
    x, d, solution = generic_problem(design, metric, solution)
    rows, alpha = x[solution.support], solution.dual[solution.support]
    goal = np.log(positive_step(step) / alpha)
    if d is None:
        return np.asarray(np.linalg.lstsq(rows, goal, rcond=None)[0])
    root = np.linalg.cholesky(d)
    return np.asarray(root @ np.linalg.lstsq(rows @ root, goal, rcond=None)[0])


def rate_matrix(design: Any, *, metric: Any = None) -> Float[np.ndarray, "parameters parameters"]:
    """D A, A = sum over support vectors of alpha_n x_n x_n^T. D A w_hat = w_hat, always."""
    x, d, solution = generic_problem(design, metric)
    rows, alpha = x[solution.support], solution.dual[solution.support]
    a = (rows.T * alpha) @ rows
    return a if d is None else d @ a


def rate_spectrum(
    design: Any, *, metric: Any = None, solution: MaxMargin | None = None
) -> Float[np.ndarray, " support"]:
    """The nonzero eigenvalues of D A in increasing order, those of diag(alpha) X_SV D X_SV^T; one of them is 1."""
    x, d, solution = generic_problem(design, metric, solution)
    rows, alpha = x[solution.support], solution.dual[solution.support]
    root = np.sqrt(alpha)[:, None] * (rows if d is None else rows @ np.linalg.cholesky(d))
    return np.asarray(np.linalg.svd(root, compute_uv=False)[::-1] ** 2)


def correction_exponent(design: Any, *, metric: Any = None) -> float:
    """min(lambda_min, m_2 - 1): under gradient flow the o(1) is O(t^-exponent), times log t when the two are equal.

    lambda_min <= 1 is the least nonzero eigenvalue of D A, m_2 the smallest margin of a row off the support.
    """
    _, _, solution = generic_problem(design, metric)
    return min(float(rate_spectrum(design, metric=metric, solution=solution)[0]), solution.second_margin - 1)


def limit_remainder(
    design: Any, initial: Any, *, step: float = 1.0, metric: Any = None
) -> Float[np.ndarray, " parameters"]:
    """lim w_t - w_hat log t = w_tilde + P_D w_0, P_D = I - D X^T (X D X^T)^+ X; needs support vectors that span the rows."""
    x, d, solution = generic_problem(design, metric)
    report = support_report(x, solution=solution)
    require_generic(report, theorem="The limit of w_t - w_hat log t (ib.logit_residual)", spanning=True)
    start = finite("initial", initial, ndim=1)
    if start.shape != x.shape[1:]:
        raise InvalidInput(f"initial has shape {start.shape}, design {x.shape}.", "Pass one weight per design column.")
    return constant_term(x, step=step, metric=d, solution=solution) + kept_part(x, solution, start, metric=d)


def kept_part(
    design: np.ndarray, solution: MaxMargin, vectors: np.ndarray, *, metric: np.ndarray | None = None
) -> np.ndarray:
    """P_D applied to vectors (parameters,) or columns (parameters, rank): what training never moves when support vectors span."""
    return unseen_part(design[solution.support], vectors, metric=metric)


def unseen_part(rows: np.ndarray, vectors: np.ndarray, *, metric: np.ndarray | None = None) -> np.ndarray:
    """P_D applied to vectors (parameters,) or columns (parameters, rank), for any rows: the directions that none of them sees."""
    root = None if metric is None else np.linalg.cholesky(metric)
    q = row_space(rows if root is None else rows @ root).right
    inner = vectors if root is None else np.linalg.solve(root, vectors)
    left = inner - q @ (q.T @ inner)
    return np.asarray(left if root is None else root @ left)


def log_difference(first: Any, second: Any, *, times: tuple[float, float]) -> Float[np.ndarray, " parameters"]:
    """(w_{t2} - w_{t1}) / (log t2 - log t1), which estimates w_hat with an error polynomially small in t1.

    w_t / log t itself is off by (w_tilde + P w_0) / log t, which no training time in reach makes small.
    """
    early, late = (float(t) for t in times)
    if not 0 < early < late:
        raise InvalidInput(f"times are {times!r}.", "Pass two positive times in increasing order.")
    return np.asarray((finite("second", second) - finite("first", first)) / math.log(late / early))


def generic_problem(
    design: Any, metric: Any, solution: MaxMargin | None = None
) -> tuple[np.ndarray, np.ndarray | None, MaxMargin]:
    """The checked design and metric with the hard-margin solution; `AssumptionViolated` unless its support is generic."""
    x = design_matrix(design)
    d = metric_matrix(metric, parameters=x.shape[1])
    solution = max_margin(x, metric=d) if solution is None else solution
    require_generic(
        support_report(x, solution=solution), theorem="The constant term of descent (ib.logit_residual)", spanning=False
    )
    return x, d, solution


def guaranteed_descent_step(design: Any, initial: Any) -> float:
    """1 / (B^2 L(w_0)), B the longest row: up to this step descent on the exponential loss lowers it every time."""
    x, start = design_matrix(design), finite("initial", initial, ndim=1)
    if start.shape != x.shape[1:] or not x.any():
        raise InvalidInput(
            f"initial has shape {start.shape}, design {x.shape}.", "Pass weights and rows that belong together."
        )
    with np.errstate(over="ignore"):
        loss = float(np.exp(-(x @ start)).sum())
    if not 0 < loss < math.inf:
        raise AssumptionViolated(f"The loss at the start is {loss}.", "Start nearer to the scale of the data.")
    return 1 / (float((x**2).sum(axis=1).max()) * loss)


def relative_margin_bound(
    design: Any, initial: Any, *, step: float, time: Any, margin: float
) -> Float[np.ndarray, " *times"]:
    """1 - C / log(1/L(w_0) + eta gamma^2 t/2): at least this is min_n x_n^T w_t / (gamma ||w_t||) after t = `time` steps.

    C = gamma ||w_0|| + log L(w_0) + eta B^2 L(w_0), L the exponential loss, B the longest row, gamma = `margin` the largest
    margin. Holds for steps up to `guaranteed_descent_step`; where it says less, -B/gamma (Cauchy-Schwarz) is returned.
    """
    x, start = design_matrix(design), finite("initial", initial, ndim=1)
    loss, longest = float(np.exp(-(x @ start)).sum()), float(np.linalg.norm(x, axis=1).max())
    inverse = 1 / loss + positive_step(step) * margin**2 * whole_times(time) / 2
    constant = margin * float(np.linalg.norm(start)) + math.log(loss) + step * longest**2 * loss
    logs = np.log(inverse)
    bound = np.where(logs > 0, 1 - constant / np.where(logs > 0, logs, 1.0), -np.inf)
    return np.maximum(bound, -longest / margin)
