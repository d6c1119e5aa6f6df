"""Variational regression without a divergence term: the law that descent ends in, and how sampled training reaches it."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import HALF_SUM, STABLE_STEP

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

STATEMENTS = (REGRESSION_W2,)
