"""What selects another law: explicit W2 or KL terms, metrics, and the parametrisation of the covariance."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import HALF_SUM, NONSINGULAR_PRIOR, STABLE_METRICS, STABLE_STEP

PRECOND_BAYES = Statement(
    key="ib.precond_bayes",
    title="One dial from deep ensembles to Bayes",
    kind=Kind.LIMIT,
    text="Descent without a divergence from N(mu_0, S_0 S_0^T), with metric D_mu on the mean and D_S on the factor, ends at "
    "mu_inf = mu_0 + K_mu (y - X mu_0) and S_inf = (I - K_S X) S_0, K = D X^T (X D X^T)^+. D = I gives the law of ensembles; "
    "D_mu = D_S = Sigma_0 (training in prior-whitened coordinates) gives exactly the prior conditioned on the data without "
    "noise; D_mu = D_S = D in general the nearest law to the prior in W2 measured in D^{-1}. Sigma_0^p, 0 <= p <= 1, runs "
    "from one to the other. Multiplying a metric by a constant, as a covariance learning rate does, never changes the limit; "
    "step sizes that differ between parameters or layers do, for some design, unless the metric is a multiple of I.",
    latex=r"D = I:\; \mathcal{N}(P \mu_0 + X^+ y, P \Sigma_0 P) \qquad \longrightarrow \qquad D = \Sigma_0:\; p(w \mid X w = y)",
    source=(Source("here", "", "not found in the sources read", "derived"),),
    assumptions=(STABLE_METRICS, NONSINGULAR_PRIOR, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.metric_regression.metric_regression_limit",
)

KL_COMPARE = Statement(
    key="ib.kl_compare",
    title="What a KL term to the prior selects in the same model",
    kind=Kind.EQUIVALENCE,
    text="The minimiser of E_q ||y - X w||^2/(2 s2) + lam KL(q || N(mu_0, Sigma_0)) is the posterior at noise lam s2, covariance "
    "(H/(lam s2) + Sigma_0^{-1})^{-1}. As lam -> 0 it tends to the prior conditioned on the data without noise, "
    "Sigma_c = Pi Sigma_0 Pi^T with the oblique projector Pi of the metric Sigma_0: KL of vanishing weight keeps no variance at "
    "the data either. The W2 limit is the orthogonal projection P Sigma_0 P >= Sigma_c, equal iff P Sigma_0 Q = 0. A cold "
    "posterior (everything to the power 1/T) has covariance T Sigma and ends at a point mass at the ridge solution instead. "
    "KL is infinite for a singular q, so at these limits and for factors of low rank. Among laws with independent "
    "parameters the best has the exact mean and v_i = 1/[H/(lam s2) + Sigma_0^{-1}]_ii; it loses the variance of every used "
    "parameter as lam -> 0, and so does descent without a divergence, s_i(t) = (1 - eta ||X_i||^2)^t s_i(0): only "
    "correlated factors keep the uncertainty of the null space.",
    latex=r"\Sigma_{\lambda} = (H/(\lambda \sigma^2) + \Sigma_0^{-1})^{-1} \to \Sigma_c = \Pi_{\Sigma_0} \Sigma_0 \Pi_{\Sigma_0}^\top "
    r"\leq P \Sigma_0 P, \qquad v_i = 1/[H/(\lambda \sigma^2) + \Sigma_0^{-1}]_{ii}",
    source=(Source("here", "", "the posterior is textbook knowledge; the comparison is derived here", "derived"),),
    assumptions=(NONSINGULAR_PRIOR,),
    function="nonvacuous.numerics.implicit_bias.kl_regression.tempered_posterior",
)

GVI_PATH = Statement(
    key="ib.gvi_path",
    title="Explicit W2 regularisation: the proximal image of the prior",
    kind=Kind.IDENTITY,
    text="Over all laws q, E_q ||y - X w||^2/2 + (lam/2) W2^2(q, q_0) is least at the image of q_0 under the proximal map "
    "w_0 -> argmin ||y - X w||^2/2 + (lam/2) ||w - w_0||^2. For q_0 = N(mu_0, S_0 S_0^T) that is N(mu_lam, S_lam S_lam^T) with "
    "mu_lam = mu_0 + X^T (X X^T + lam I)^{-1} (y - X mu_0) and S_lam = (I + H/lam)^{-1} S_0: the law of draws from the prior "
    "that are each trained with a penalty on the distance to their own start. Per mode it keeps lam/(lam + s^2) of the "
    "distance to the limit q_inf of no penalty, so W2(q_lam, q_inf) <= lam/(lam + h_min) W2(q_inf, q_0).",
    latex=r"q_\lambda = \mathcal{N}(\mu_0 + X^\top (X X^\top + \lambda I)^{-1} (y - X \mu_0),\; S_\lambda S_\lambda^\top), \qquad "
    r"S_\lambda = (I + H/\lambda)^{-1} S_0",
    source=(Source("here", "", "the W2 member of generalised variational inference, in closed form", "derived"),),
    function="nonvacuous.numerics.implicit_bias.wasserstein_regression.proximal_law",
)

PARAM_COVARIANCE = Statement(
    key="ib.param_covariance",
    title="The parametrisation of the covariance selects the law, and the rate",
    kind=Kind.LIMIT,
    text="Descent of E ||y - X w||^2/2 with other parameters than a free factor. Lower-triangular factor: column j ends at "
    "(I - X_j^+ X_j) L_{0,j}, X_j = X[:, j:], so Sigma_inf differs from P Sigma_0 P wherever a column is projected otherwise, is "
    "then strictly farther from the prior in W2, and depends on the order of the features. Independent scales s = exp(rho): under "
    "gradient flow s_i(t)^2 = s_i^2/(1 + 2 c_i s_i^2 t), c_i = ||X_i||^2, a 1/t law in place of an exponential; s = log(1 + "
    "exp(rho)) keeps at least the larger of s_i exp(-c_i t) and that law. Sigma itself: Sigma_t = Sigma_0 - eta t H/2 is no "
    "covariance for t > 2/(eta lambda_max(S_0^{-1} H S_0^{-T})), and the objective has no lower bound. S = c S' is only a "
    "covariance learning rate c^2 eta and has the same limit. A weight M + A Z B^T that is stored row by row has covariance "
    "(A A^T) x (B B^T), in this order; where training takes A and B is not claimed.",
    latex=r"L_{\infty,j} = (I - X_j^+ X_j) L_{0,j}, \qquad s_i(t)^2 = \frac{s_i^2}{1 + 2 c_i s_i^2 t}, \qquad "
    r"\Sigma_t = \Sigma_0 - \eta t H/2",
    source=(Source("here", "", "", "derived"),),
    assumptions=(STABLE_STEP, NONSINGULAR_PRIOR, HALF_SUM),
    function="nonvacuous.numerics.implicit_bias.covariance_parameters.cholesky_limit",
)

STATEMENTS: tuple[Statement, ...] = (PRECOND_BAYES, KL_COMPARE, GVI_PATH, PARAM_COVARIANCE)
