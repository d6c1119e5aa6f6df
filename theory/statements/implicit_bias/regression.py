"""Variational regression without a divergence term: the law that descent ends in, and how sampled training reaches it."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
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

MC_STABILITY = Statement(
    key="ib.mc_stability",
    title="The exact edge of stability of sampled variational training",
    kind=Kind.EQUIVALENCE,
    text="Full-batch descent on mean and factor (R columns) of a linear model with M fresh weight samples per step, heavy-ball "
    "momentum b and covariance learning rate k times the mean's. In a mode of X^T X with eigenvalue h let a = eta h. The second "
    "moments of mean and factor follow a linear recursion T, and training is stable in mean square exactly for a < a_max = "
    "2 (1-b)/L, L = [p + q + ((p-q)^2 + 4 k R/M^2)^{1/2}]/2 with p = (1-b)/(1+b), q = k (p + (R+1)/M). For k = 1 and b = 0 "
    "that is 2/lam, lam = 1 + (R + 1 + ((R+3)^2 - 8)^{1/2})/(2M), about 2/(R+3) with one sample; for k = 1/R and one sample it is "
    "R + 1 - (R^2+1)^{1/2}, between 0.58 and 1 for every rank; with momentum it shrinks: 2 (1-b^2)/(lam (1+b) - 2b). J antithetic "
    "pairs free the mean of noise: min(2 (1+b), 2 (1-b)/(k (p + (R+1)/J))); so does the analytic expectation, without any R. "
    "Single runs may survive above the edge for a while; their second moment does not.",
    latex=r"a_{\max} = \frac{2 (1-b)}{L}, \qquad L = \frac{p + q + \sqrt{(p-q)^2 + 4 k R / M^2}}{2}, \qquad "
    r"p = \frac{1-b}{1+b}, \quad q = k \left( p + \frac{R+1}{M} \right)",
    source=(Source("here", "", "every rate, rank, momentum and estimator in one formula", "derived"),),
    assumptions=(
        HALF_SUM,
        Assumption("fresh noise", "Every step draws its own z, standard normal, shared by all examples."),
        Assumption("full batch", "Every step sees all examples; mini-batches only lower the edge."),
    ),
    function="nonvacuous.numerics.implicit_bias.stability.largest_stable_mode_step",
)

REGRESSION_MC = Statement(
    key="ib.regression_mc",
    title="Sampled weights and mini-batches reach the same limit law",
    kind=Kind.INEQUALITY,
    text="Each step draws M fresh weight samples, shared by a fresh random batch B of rows, and descends the averaged loss in mean "
    "and factor (R columns). With H_B the batch's N/|B| sum x_n x_n^T, L_max its largest eigenvalue over all batches and "
    "c = 1 + (R+2)/M: for eta < 2/(L_max c) the distance D_t of (mu, S) to the limit law of exact training satisfies "
    "E ||D_t||^2 <= [1 - eta h_min (2 - eta L_max c)]^t ||D_0||^2, so D_t -> 0 in mean square and almost surely; with probability "
    "1 - delta, ||D_t||^2 is at most that bound over delta. Mini-batches need data that can be interpolated; the full batch works "
    "for every y. Heavy ball: see ib.mc_stability for the full batch.",
    latex=r"\mathbb{E}\, \|D_t\|^2 \leq \left[1 - \eta h_{\min} (2 - \eta L_{\max} c)\right]^t \|D_0\|^2, \qquad c = 1 + \frac{R+2}{M}",
    source=(
        Source("wenger2025", "", "says that stochastic descent has the same limit, without a rate", "secondary"),
        Source("here", "", "the bound, its constant and almost sure convergence", "derived"),
    ),
    assumptions=(
        HALF_SUM,
        Assumption("fresh draws", "Batches and noise are drawn anew, independently, at every step."),
        Assumption("interpolation", "X w = y has a solution, unless every step sees all rows."),
    ),
    function="nonvacuous.numerics.implicit_bias.sampled_regression.sampled_bound",
)

FIXED_NOISE = Statement(
    key="ib.fixed_noise",
    title="Reusing the same noise draws leaves variance at the data",
    kind=Kind.LIMIT,
    text="Training with the same K draws z_k at every step, u_k = (1, z_k), U their average u_k u_k^T: for "
    "0 < eta < 2/(h_max u_max), W = [mu - w, S] relative to a least-squares solution w tends to W_0 - Q W_0 Pi, Pi the orthogonal "
    "projector on the span of the u_k. For K <= R draws some directions of (mu, S) are never trained: variance stays at the "
    "training inputs and X mu need not equal y, although every drawn mu + S z_k fits. If R + 1 draws or more span all "
    "directions the limit is that of exact training, at a rate set by the smallest eigenvalue of U.",
    latex=r"W_t \to W_0 - Q W_0 \Pi_U, \qquad U = \frac{1}{K} \sum_{k=1}^K u_k u_k^\top, \quad u_k = (1, z_k)",
    source=(Source("here", "", "", "derived"),),
    assumptions=(HALF_SUM, Assumption("stable step", "0 < eta < 2/(h_max u_max).")),
    function="nonvacuous.numerics.implicit_bias.fixed_noise.fixed_noise_limit",
)

ENSEMBLE_EQUIV = Statement(
    key="ib.ensemble_equiv",
    title="A linear deep ensemble and the variational law are one, at every time",
    kind=Kind.EQUIVALENCE,
    text="Members w_0 ~ N(mu_0, S_0 S_0^T) trained independently by full-batch descent, with or without heavy ball, or by the "
    "gradient flow, have the law N(A_t mu_0 + b_t, A_t Sigma_0 A_t^T) at every time t, where w_t = A_t w_0 + b_t. That is the law "
    "N(mu_t, S_t S_t^T) which the same descent of the expected loss in (mu, S) gives at time t; in the limit N(mu_inf, P Sigma_0 P). "
    "With mini-batches of their own the members' law differs at finite times and agrees in the limit. The average of K members "
    "errs by (tr C/K)^{1/2}, their covariance by (((tr C)^2 + tr C^2)/(K-1))^{1/2} in Frobenius norm. All of it is about one factor S "
    "over all trained weights: with a factor and noise for each of several layers, each is projected by its own columns of X alone, and "
    "the law is another than that of an ensemble with the same start.",
    latex=r"w_t = A_t w_0 + b_t \sim \mathcal{N}(\mu_t,\; S_t S_t^\top), \qquad \mu_t = A_t \mu_0 + b_t, \quad S_t = A_t S_0",
    source=(
        Source("wenger2025", "", "the limit, for ensembles trained to convergence", "secondary"),
        Source("here", "", "every finite time, momentum and flow", "derived"),
    ),
    assumptions=(STABLE_STEP, HALF_SUM, Assumption("full batch", "Every member sees all rows at every step.")),
    function="nonvacuous.numerics.implicit_bias.ensemble_law.ensemble_law",
)

STATEMENTS = (REGRESSION_W2, REGRESSION_MC, MC_STABILITY, FIXED_NOISE, ENSEMBLE_EQUIV)
