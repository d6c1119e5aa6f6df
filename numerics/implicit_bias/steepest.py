"""The largest margin in another norm, max of min_n x_n^T v over |v| <= 1: where steepest descent in that norm is heading.

Steepest descent with respect to a norm moves along the unit direction of largest decrease, by the step times the dual
norm of the gradient: one coordinate at a time for the l1 norm, the signs of the gradient for the l_inf norm. Labels are
absorbed into the rows (examples, parameters). For quadratic norms w^T D^{-1} w see `max_margin` with `metric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput, NumericalFailure
from ...theory.validation import finite
from .least_squares import UNIT_ROUNDOFF, design_matrix
from .max_margin import KKT_TOLERANCE, inseparable

Norm = Literal["l1", "linf"]


@dataclass(frozen=True, eq=False)
class SteepestMargin:
    """direction v with |v| = 1 (parameters,), dual weights on the simplex (examples,), margin, and the duality gap.

    margin = min_n x_n^T v <= |X^T dual|_* for every v and dual; `gap` is the relative difference of the two. The margin
    is unique, the direction need not be.
    """

    direction: Float[np.ndarray, " parameters"]
    dual: Float[np.ndarray, " examples"]
    margin: float
    gap: float


def norm_of(vector: Any, *, norm: Norm) -> float:
    """|v|_1 or |v|_inf of a vector."""
    return float(np.linalg.norm(finite("vector", vector, ndim=1), _order(norm)))


def dual_norm_of(vector: Any, *, norm: Norm) -> float:
    """The dual norm: |v|_inf for l1, |v|_1 for l_inf."""
    return norm_of(vector, norm="linf" if norm == "l1" else "l1")


def _order(norm: Norm) -> float:
    if norm not in ("l1", "linf"):
        raise InvalidInput(
            f"norm is {norm!r}.", "Pass 'l1' or 'linf'; for a quadratic norm use max_margin with a metric."
        )
    return 1 if norm == "l1" else np.inf


def steepest_max_margin(design: Any, *, norm: Norm) -> SteepestMargin:
    """The largest margin in the l1 or l_inf norm, by a linear program whose duality gap must be at most 1e-10.

    Raises `AssumptionViolated` when no direction has a positive margin, `NumericalFailure` when the gap is too wide.
    """
    from scipy.optimize import linprog

    x = design_matrix(design)
    _order(norm)
    if not len(x):
        raise InvalidInput("design has no rows.", "Pass at least one labelled example.")
    n, p = x.shape
    scale = float(np.abs(x).max())
    if scale == 0:
        raise inseparable("every row is zero")
    rows, ones = x / scale, np.ones((n, 1))
    limits: list[tuple[float | None, float | None]]
    if norm == "l1":  # v = a - b with a, b >= 0 and sum(a + b) <= 1
        above = np.vstack([np.hstack([-rows, rows, ones]), np.append(np.ones(2 * p), 0.0)])
        limits, right = [(0, None)] * (2 * p) + [(None, None)], np.append(np.zeros(n), 1.0)
    else:
        above, right = np.hstack([-rows, ones]), np.zeros(n)
        limits = [(-1, 1)] * p + [(None, None)]
    goal = np.zeros(above.shape[1])
    goal[-1] = -1
    found = linprog(goal, A_ub=above, b_ub=right, bounds=limits, method="highs")
    if not found.success:
        raise NumericalFailure(f"The linear program failed: {found.message}", "Rescale the features.")
    v = found.x[:p] - found.x[p : 2 * p] if norm == "l1" else found.x[:p]
    dual = np.maximum(-found.ineqlin.marginals[:n], 0)
    if not v.any() or found.x[-1] <= 8 * max(x.shape) * UNIT_ROUNDOFF:
        raise inseparable(f"the largest margin in the {norm} norm is {scale * found.x[-1]:.1e}, 0 to rounding")
    v, dual = v / norm_of(v, norm=norm), dual / dual.sum()
    margin, bound = float((x @ v).min()), dual_norm_of(x.T @ dual, norm=norm)
    gap = (bound - margin) / bound
    if not abs(gap) <= KKT_TOLERANCE:
        raise NumericalFailure(f"The duality gap is {gap:.1e}, above {KKT_TOLERANCE:g}.", "Rescale the features.")
    return SteepestMargin(v, dual, margin, gap)
