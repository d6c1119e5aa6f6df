"""The hard-margin separator of labelled data, w_hat = argmin w^T D^{-1} w subject to x_n^T w >= 1, with its certificate.

Conventions: labels are absorbed into the rows, x_n := y_n x_n (`absorb_labels`), so that `design` has shape (examples,
parameters) and correct means x_n^T w > 0; there is no bias unless a column of ones was labelled too. D is the metric of
the training, the identity by default. w_hat = D X^T alpha with alpha >= 0, and w_hat^T D^{-1} w_hat = sum alpha =
1/gamma^2, gamma the largest margin. Textbook convex optimisation; the use of it for descent is derived in
`proofs/implicit_bias/max_margin`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from flint import fmpq, fmpq_mat
from jaxtyping import Bool, Float

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.validation import finite
from .exact_max_margin import exact_dual, gram_matrix, rational_matrix
from .least_squares import UNIT_ROUNDOFF, design_matrix
from .metric import metric_matrix

EXACT_EXAMPLES = 12  # up to here every set of rows can be tried in rational arithmetic
KKT_TOLERANCE = 1e-10


@dataclass(frozen=True)
class KKTResiduals:
    """How far a solution is from each KKT condition; all are relative, and all are 0 for an exact one.

    stationarity ||w - D X^T alpha|| / ||w||; feasibility, the largest 1 - x_n^T w; dual, the largest -alpha_n / sum
    alpha; complementarity, the largest |alpha_n (x_n^T w - 1)| / sum alpha.
    """

    stationarity: float
    feasibility: float
    dual: float
    complementarity: float

    @property
    def worst(self) -> float:
        return max(self.stationarity, self.feasibility, self.dual, self.complementarity)


@dataclass(frozen=True, eq=False)
class MaxMargin:
    """weights w_hat (parameters,), dual alpha (examples,), margins x_n^T w_hat (examples,), support (examples,).

    `support` marks the rows of margin 1. alpha is the only solution if those rows are independent. `method` says
    whether the active set was confirmed in exact rational arithmetic ("exact": all numbers are then rounded once) or by
    a quadratic program in float64, whose certificate is `residuals`.
    """

    weights: Float[np.ndarray, " parameters"]
    dual: Float[np.ndarray, " examples"]
    margins: Float[np.ndarray, " examples"]
    support: Bool[np.ndarray, " examples"]
    residuals: KKTResiduals
    method: Literal["exact", "quadratic program"]

    @property
    def margin(self) -> float:
        """gamma, the largest min_n x_n^T w over w^T D^{-1} w <= 1."""
        return float(1 / np.sqrt(self.dual.sum()))

    @property
    def second_margin(self) -> float:
        """m_2, the smallest margin of a row that is no support vector; infinite if every row is one."""
        others = self.margins[~self.support]
        return float(others.min()) if others.size else float("inf")


def absorb_labels(design: Any, labels: Any) -> Float[np.ndarray, "examples parameters"]:
    """Rows y_n x_n from features (examples, parameters) and labels -1 or 1 (examples,)."""
    x, y = design_matrix(design), finite("labels", labels, ndim=1)
    if y.shape != x.shape[:1] or not np.isin(y, (-1, 1)).all():
        raise InvalidInput("labels must be one -1 or 1 for each row.", "Map classes 0 and 1 to -1 and 1 first.")
    return y[:, None] * x


def max_margin(design: Any, *, metric: Any = None, exact: bool | None = None) -> MaxMargin:
    """w_hat, alpha, margins and support of labelled rows x_n = y_n * features, shape (examples, parameters).

    Up to 12 examples (or with `exact=True`) the active set is confirmed, or separability refuted, in rational
    arithmetic; beyond, non-negative least squares finds it, one solve on the active set polishes it, and the KKT
    residuals must be at most 1e-10. Raises `AssumptionViolated` when no w has X w > 0, `NumericalFailure` when float64
    cannot certify the answer.
    """
    x = design_matrix(design)
    if not len(x):
        raise InvalidInput("design has no rows.", "Pass at least one labelled example.")
    d = metric_matrix(metric, parameters=x.shape[1])
    exactly = len(x) <= EXACT_EXAMPLES if exact is None else exact
    guess = _least_distance(x, d)
    if exactly:
        return _exact(x, d, tuple(np.flatnonzero(guess > 0).tolist()))
    return _quadratic_program(x, d, guess)


def inseparable(detail: str) -> AssumptionViolated:
    return AssumptionViolated(
        f"The data cannot be separated through the origin: {detail}.",
        "The theorems on descent towards the maximum margin (ib.logit_maxmargin and what rests on it, ib.class_w2 "
        "included) do not apply. Add features or a column of ones before absorbing the labels.",
    )


def _exact(x: np.ndarray, d: np.ndarray | None, guess: tuple[int, ...]) -> MaxMargin:
    gram = gram_matrix(x, d)
    dual = exact_dual(gram, guess)
    if dual is None:
        raise inseparable("no set of rows satisfies the KKT conditions, which was decided in exact arithmetic")
    alpha = fmpq_mat(len(x), 1, dual)
    weights, margins = rational_matrix(x).transpose() * alpha, gram * alpha
    if d is not None:
        weights = rational_matrix(d) * weights
    found = [float_of(entry) for entry in margins.entries()]
    return MaxMargin(
        weights=np.array([float_of(entry) for entry in weights.entries()]),
        dual=np.array([float_of(entry) for entry in dual]),
        margins=np.array(found),
        support=np.array([entry == 1 for entry in margins.entries()]),
        residuals=KKTResiduals(0.0, 0.0, 0.0, 0.0),
        method="exact",
    )


def float_of(value: fmpq) -> float:
    """The nearest float64: integer division in Python rounds correctly."""
    return int(value.p) / int(value.q)


def _least_distance(x: np.ndarray, d: np.ndarray | None) -> np.ndarray:
    """Non-negative row weights proportional to alpha, by least-distance programming (Lawson and Hanson).

    Non-negative least squares for [X~^T; s 1^T] u = (0, s) has the residual s (w, ..)-parallel to the separator.
    """
    from scipy.optimize import nnls

    rows = x if d is None else x @ np.linalg.cholesky(d)
    scale = float(np.linalg.norm(rows, axis=1).max())
    if scale == 0:
        return np.zeros(len(x))
    system = np.vstack([rows.T / scale, np.ones(len(x))])
    target = np.zeros(len(system))
    target[-1] = 1
    try:
        return np.asarray(nnls(system, target, maxiter=30 * len(x))[0])
    except RuntimeError as error:
        raise NumericalFailure(
            f"Non-negative least squares did not converge on {len(x)} rows.", "Rescale the features."
        ) from error


def _quadratic_program(x: np.ndarray, d: np.ndarray | None, guess: np.ndarray) -> MaxMargin:
    rows = x if d is None else x @ np.linalg.cholesky(d)
    scale = float(np.linalg.norm(rows, axis=1).max())
    hull = guess / guess.sum() if guess.any() else np.full(len(x), 1 / len(x))
    nearest = float(np.linalg.norm(rows.T @ hull))
    if nearest <= 8 * max(x.shape) * UNIT_ROUNDOFF * scale:
        raise inseparable(f"a convex combination of the rows has norm {nearest:.1e}, 0 to rounding")
    active = np.flatnonzero(guess > 0)
    q, r = np.linalg.qr(rows[active].T)
    if not len(r) == len(active) or np.abs(np.diag(r)).min() <= len(x) * UNIT_ROUNDOFF * scale:
        raise NumericalFailure("The active rows are dependent to rounding.", "Call max_margin with exact=True.")
    inner = np.linalg.solve(r.T, np.ones(len(active)))
    dual = np.zeros(len(x))
    dual[active] = np.linalg.solve(r, inner)
    weights = q @ inner if d is None else np.linalg.cholesky(d) @ (q @ inner)
    residuals = kkt_residuals(x, weights, dual, metric=d)
    if residuals.worst > KKT_TOLERANCE:
        raise NumericalFailure(
            f"The KKT residuals are {residuals}, above {KKT_TOLERANCE:g}.",
            "The data are separable by less than float64 resolves, or nearly dependent: call max_margin with exact=True.",
        )
    margins = x @ weights
    support = (dual > 0) | (margins <= 1 + KKT_TOLERANCE)
    return MaxMargin(weights, dual, margins, support, residuals, "quadratic program")


def kkt_residuals(design: Any, weights: Any, dual: Any, *, metric: Any = None) -> KKTResiduals:
    """The residuals of a candidate: weights (parameters,), dual (examples,) for rows (examples, parameters)."""
    x = design_matrix(design)
    w, a = finite("weights", weights, ndim=1), finite("dual", dual, ndim=1)
    if w.shape != x.shape[1:] or a.shape != x.shape[:1] or not w.any() or not a.any():
        raise InvalidInput(
            f"weights has shape {w.shape}, dual {a.shape}, design {x.shape}, or one is zero.",
            "Pass one weight per column and one dual weight per row.",
        )
    d = metric_matrix(metric, parameters=x.shape[1])
    gradient = x.T @ a if d is None else d @ (x.T @ a)
    margins, total = x @ w, float(np.abs(a).sum())
    return KKTResiduals(
        stationarity=float(np.linalg.norm(w - gradient) / np.linalg.norm(w)),
        feasibility=float(max(0.0, (1 - margins).max())),
        dual=float(max(0.0, (-a).max()) / total),
        complementarity=float(np.abs(a * (margins - 1)).max() / total),
    )
