"""Descent on least squares: where it ends, its whole path, and what momentum and mini-batches change."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import HALF_SUM, INTERPOLATION, STABLE_BATCH_STEP, STABLE_MOMENTUM, STABLE_STEP

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

LS_TRAJECTORY = Statement(
    key="ib.ls_trajectory",
    title="Early stopping is a spectral filter: descent, gradient flow and ridge",
    kind=Kind.IDENTITY,
    text="With X = U diag(s) V^T, descent, gradient flow and ridge regression all move w_0 to "
    "w_0 + sum_i phi(s_i) v_i u_i^T (y - X w_0)/s_i. The filter phi(s) is 1 - (1 - eta s^2)^t for t steps of descent, "
    "1 - exp(-s^2 t) for the flow at time t and s^2/(s^2 + lam) for ridge with penalty lam ||w - w_0||^2/2. At lam = 1/t the "
    "flow has fitted at least as much as ridge in every direction, and at most 0.20363219 more: the maximum of "
    "1/(1+u) - exp(-u), at u = s^2 t = 2.51286. Descent in k steps of size t/k <= 1/h_max ends within "
    "(4/e^2) ||w_0 - w_inf||/k of the flow at time t.",
    latex=r"w = w_0 + \sum_i \varphi(s_i) \frac{u_i^\top (y - X w_0)}{s_i} v_i, \qquad "
    r"0 \leq (1 - e^{-s^2 t}) - \frac{s^2}{s^2 + 1/t} \leq 0.20364",
    source=(Source("here", "", "the filters are textbook knowledge; constant and rate are derived here", "derived"),),
    assumptions=(HALF_SUM,),
    function="nonvacuous.numerics.implicit_bias.spectral_filters.gradient_flow_path",
)

LS_MOMENTUM = Statement(
    key="ib.ls_momentum",
    title="Momentum on least squares: same limit, roots of every mode, stability limits",
    kind=Kind.IDENTITY,
    text="Heavy ball and Nesterov's method from rest end where plain descent does, for every momentum 0 <= beta < 1 and "
    "0 < eta h_max < 2 (1 + beta), for Nesterov 2 (1 + beta)/(1 + 2 beta). In a mode with x = eta h the error is "
    "d_t = r_2^t d_0 + (d_1 - r_2 d_0)(r_1^t - r_2^t)/(r_1 - r_2), with d_1 = (1 - x) d_0 and r_1, r_2 the roots of "
    "r^2 - (1 + beta - x) r + beta, for Nesterov r^2 - (1 + beta)(1 - x) r + beta (1 - x); at a double root the quotient is "
    "t r^(t-1). Heavy ball's roots are complex iff (1 - sqrt beta)^2 < x < (1 + sqrt beta)^2, and then |r| = sqrt(beta). "
    "||w_t - w_inf|| <= (1 + 2 t) max|r|^t ||w_0 - w_inf||. Optimisers that store Nesterov's extrapolated points have the "
    "same roots and d_1 = (1 - (1 + beta) x) d_0.",
    latex=r"d_t = r_2^t d_0 + (d_1 - r_2 d_0) \frac{r_1^t - r_2^t}{r_1 - r_2}, \qquad "
    r"r^2 - (1 + \beta - \eta h) r + \beta = 0, \qquad 0 < \eta h < 2 (1 + \beta)",
    source=(Source("here", "", "roots and limits are textbook knowledge; the bounds are derived here", "derived"),),
    assumptions=(STABLE_MOMENTUM, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.momentum.momentum_path",
)

LS_SGD = Statement(
    key="ib.ls_sgd",
    title="Mini-batch descent on least squares: the same limit, or a stationary law",
    kind=Kind.LIMIT,
    text="Each step uses an independent batch of B distinct rows, with H_B = (N/B) sum x_n x_n^T over the batch and L_max its "
    "largest eigenvalue over all batches. If X w = y has a solution and 0 < eta < 2/L_max, then w_t converges almost surely "
    "and in mean square to the limit w_inf of plain descent, at a fixed step, and "
    "E ||w_t - w_inf||^2 <= [1 - eta h_min (2 - eta L_max)]^t ||w_0 - w_inf||^2. If X w = y has no solution and B < N, the "
    "covariance of w_t tends to the fixed point C of C = E (I - eta H_B) C (I - eta H_B) + eta^2 E xi_B xi_B^T instead, "
    "xi_B the batch gradient at w_inf; it is not 0 unless the noise is.",
    latex=r"E \|w_t - w_\infty\|^2 \leq [1 - \eta h_{\min} (2 - \eta L_{\max})]^t \, \|w_0 - w_\infty\|^2",
    source=(
        Source(
            "here",
            "",
            "the mean-square bound is textbook knowledge; moments and the stationary law are derived here",
            "derived",
        ),
    ),
    assumptions=(INTERPOLATION, STABLE_BATCH_STEP, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.mini_batches.mean_square_bound",
)

STATEMENTS = (LS_MINNORM, LS_TRAJECTORY, LS_MOMENTUM, LS_SGD)
