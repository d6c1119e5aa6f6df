"""Descent on least squares: where it ends, its whole path, and what momentum and mini-batches change."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import HALF_SUM, STABLE_STEP

LS_MINNORM = Statement(
    key="ib.ls_minnorm",
    title="Gradient descent on least squares ends at the nearest solution",
    kind=Kind.LIMIT,
    text="For every X and y of any shape and rank and every start w_0, gradient descent on ||y - X w||^2 / 2 with a stable "
    "step converges to w_inf = w_0 + X^+ (y - X w_0) = P w_0 + X^+ y, the unique minimiser of ||w - w_0|| over all "
    "least-squares solutions. The error is w_t - w_inf = (I - eta X^T X)^t (w_0 - w_inf), so "
    "||w_t - w_inf|| <= rho^t ||Q (w_0 - w_inf)|| with rho the largest |1 - eta h| over the nonzero eigenvalues h of X^T X.",
    latex=r"w_t \to P w_0 + X^+ y, \qquad w_t - w_\infty = (I - \eta X^\top X)^t (w_0 - w_\infty)",
    source=(Source("here", "", "a textbook result; the rounding bound is derived here", "derived"),),
    assumptions=(STABLE_STEP, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.least_squares.gradient_descent_limit",
)

STATEMENTS = (LS_MINNORM,)
