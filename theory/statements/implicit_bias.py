"""Implicit bias: the statements. X is N x P with rows x_n^T, Q = X^+ X projects on its rows, P = I - Q on ker X."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..statement import Assumption, Kind, Source, Statement


def _stable(setting: Any) -> bool:
    largest = float(np.linalg.norm(setting.design, 2)) if setting.design.size else 0.0
    return bool(0 < setting.step * largest**2 < 2)


STABLE_STEP = Assumption("stable step", "0 < eta < 2/h_max, h_max the largest eigenvalue of X^T X.", _stable)
HALF_SUM = Assumption(
    "loss convention", "The loss is half the sum of squared errors; steps for other conventions are converted first."
)

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

REGRESSION_W2 = Statement(
    key="ib.regression_w2",
    title="Variational regression without a divergence ends at the law nearest to the prior",
    kind=Kind.LIMIT,
    text="Gradient descent on the expected loss E ||y - X w||^2 / 2, w ~ N(mu, S S^T), from the prior q_0 = N(mu_0, S_0 S_0^T) "
    "converges to q_inf with mu_inf = P mu_0 + X^+ y, S_inf = P S_0 and covariance P Sigma_0 P. Among all laws of minimal "
    "expected loss, Gaussian or not, q_inf is the unique nearest one to q_0 in 2-Wasserstein distance, and "
    "W2^2(q_inf, q_0) = ||X^+ (y - X mu_0)||^2 + ||Q S_0||_F^2. Moreover "
    "W2(q_t, q_inf) <= rho^t (||Q (mu_0 - mu_inf)||^2 + ||Q S_0||_F^2)^(1/2).",
    latex=r"q_\infty = \mathcal{N}(P \mu_0 + X^+ y,\; P \Sigma_0 P), \qquad "
    r"W_2^2(q_\infty, q_0) = \|X^+ (y - X \mu_0)\|^2 + \|Q S_0\|_F^2",
    source=(
        Source("wenger2025", "Theorem 1", "stated there for P > N and Gaussian competitors", "secondary"),
        Source("here", "", "every X and y, every competitor, the rate and the constant", "derived"),
    ),
    assumptions=(STABLE_STEP, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.variational_regression.regression_limit",
)

STATEMENTS = (LS_MINNORM, REGRESSION_W2)
