"""Function-space methods: the statements. T are trained weights, J(x) = df(x, t)/dt at T, L_n the curvature of the n-th loss."""

from __future__ import annotations

from typing import Any

from ..statement import Assumption, Kind, Source, Statement

CURVATURE = Assumption(
    "positive semi-definite curvature",
    "Each L_n, the Hessian of the n-th negative log likelihood in the network's outputs, is positive semi-definite (true "
    "of a Gaussian and of a softmax likelihood).",
)


def _positive_prior(setting: Any) -> bool:
    return bool(setting.prior_precision > 0)


PROPER_PRIOR = Assumption("proper prior", "The prior is N(0, I/d) with d > 0.", _positive_prior)

LLA_POSTERIOR = Statement(
    key="fs.lla_posterior",
    title="Linearised Laplace posterior",
    kind=Kind.DEFINITION,
    text="q(t) = N(T, H^-1) with H = sum over n of J_n^T L_n J_n + d I. The predictive at x is that of the linearised network "
    "f(x,T) + J(x)(t - T): f ~ N(f(x,T), J(x) H^-1 J(x)^T). The mean is the network's output by definition, whatever T is; it is "
    "the exact posterior mean of the linearised model only where T is stationary.",
    latex=r"f(x) \sim \mathcal{N}\left(f(x, T),\; J(x) H^{-1} J(x)^\top\right), \quad H = \sum_n J_n^\top L_n J_n + d I",
    source=(Source("immer2021", "", "prior N(0, I/d), full covariance over the outputs", "standard"),),
    assumptions=(CURVATURE, PROPER_PRIOR),
    function="nonvacuous.numerics.methods.laplace.fit",
)

LLA_FUNCTION = Statement(
    key="fs.lla_function",
    title="Linearised Laplace is a Gaussian process posterior",
    kind=Kind.IDENTITY,
    text="With the kernel k(x,x') = J(x) J(x')^T / d and L_n = R_n R_n^T, Lam = R R^T over all data, the covariance J(x) H^-1 J(x')^T of "
    "the linearised Laplace posterior equals k(x,x') - k(x,X) R (I + R^T K R)^-1 R^T k(X,x'), K = k(X,X); where Lam is invertible this "
    "is k(x,x') - k(x,X) (Lam^-1 + K)^-1 k(X,x'). For a softmax R = diag(sqrt p) - p sqrt(p)^T.",
    latex=r"J(x) H^{-1} J(x')^\top = k(x,x') - k(x,X)\, R\, (I + R^\top K R)^{-1} R^\top\, k(X,x')",
    source=(
        Source(
            "ortega2024",
            "",
            "the form with R, which a singular Lam needs, and R for a softmax are derived here",
            "secondary",
        ),
        Source("here", provenance="derived"),
    ),
    assumptions=(CURVATURE, PROPER_PRIOR),
    function="nonvacuous.numerics.methods.laplace.predict",
)

STATEMENTS = (LLA_POSTERIOR, LLA_FUNCTION)
