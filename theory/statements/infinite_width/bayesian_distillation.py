"""Bayesian random network distillation: the statements."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import FULL_BATCH, NTK_PARAMETRISATION, POSITIVE_DEFINITE, READOUT_TRAINED, SUM_LOSS

TANGENT_TARGET = Assumption(
    "tangent target",
    "The target is J(x; theta0) psi*, J at the predictor's own theta0, psi* a fresh N(0, I) with its readout weights and bias set to 0.",
)
RIDGE_FROM_START = Assumption(
    "ridge and label noise", "The penalty is noise/2 |theta - theta0|^2 and each label carries a fresh N(0, noise)."
)
POSTERIOR_MEAN = Assumption("mean", "mu is the output of a centred network trained on the labels to convergence.")

BRND_TARGET = Statement(
    key="iw.brnd_target",
    title="A tangent target with a zeroed readout supplies the missing kernel",
    kind=Kind.LIMIT,
    text="The target J(x; theta0) psi*, with psi* a Gaussian direction whose readout weights and bias are 0, converges to a Gaussian "
    "process with covariance T - K, the hidden layers' share of the tangent kernel. Given theta0 it is exactly Gaussian with the "
    "empirical share at every width. Different heads may share one direction in the limit.",
    latex=r"J(\cdot\,; \theta_0)\, \psi^* \to GP(0, T - K)",
    source=(Source("zanger2026", "Proposition 4.1", "", "read"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, TANGENT_TARGET),
    function="nonvacuous.numerics.wide_networks.bayesian_distillation.brnd_target_covariance",
)

BRND_ERROR_LAW = Statement(
    key="iw.brnd_error_law",
    title="The error of Bayesian distillation is a posterior sample",
    kind=Kind.EQUIVALENCE,
    text="A predictor trained to convergence on its own tangent target has an error u - J psi* that is, in the limit of infinite "
    "width, a centred Gaussian process with covariance M T M^T = T_** - T_*X T_XX^{-1} T_X*: exactly the posterior of the Gaussian "
    "process with the tangent kernel, without a factor 2. At any time t it is M_t T M_t^T, which is larger and no posterior.",
    latex=r"u_\infty - J \psi^* \sim \mathcal{N}\left(0, M T M^\top\right), \qquad M T M^\top = T_{**} - T_{*X} T_{XX}^{-1} T_{X*}",
    source=(
        Source(
            "zanger2026",
            "Theorem 4.2",
            "joint Gaussianity of predictor and target is argued, not only zero covariance",
            "read",
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, TANGENT_TARGET, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.bayesian_distillation.brnd_error_covariance",
)

BRND_NOISE = Statement(
    key="iw.brnd_noise",
    title="Bayesian distillation with observation noise",
    kind=Kind.EQUIVALENCE,
    text="With noise of variance s2, train on J(X) psi* + xi with a fresh xi ~ N(0, s2 I) per head and the penalty s2/2 |theta - "
    "theta0|^2. The error u - J psi* then has the posterior covariance T_** - T_*X (T_XX + s2 I)^{-1} T_X*. Without the noise on "
    "the labels it is short by exactly s2 G_s G_s^T, G_s = T_*X (T_XX + s2 I)^{-1}: adding s2 I alone is not enough.",
    latex=r"M_s T M_s^\top + s^2 G_s G_s^\top = T_{**} - T_{*X} (T_{XX} + s^2 I)^{-1} T_{X*}",
    source=(Source("here", "", "zanger2026 calls the extension straightforward", "derived"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, TANGENT_TARGET, SUM_LOSS, FULL_BATCH, RIDGE_FROM_START),
    function="nonvacuous.numerics.wide_networks.bayesian_distillation.brnd_noise_error_covariance",
)

BRND_SAMPLING = Statement(
    key="iw.brnd_sampling",
    title="Posterior functions from heads, each used once",
    kind=Kind.EQUIVALENCE,
    text="With mu from a centred network and the errors e_i of K heads of one Bayesian distillation, the functions mu + e_i are K "
    "independent draws of the posterior process, jointly right over all points, with no matrix inverse. Heads must be drawn "
    "without replacement: a head drawn twice is the same function, and two draws with replacement coincide with probability 1/K.",
    latex=r"\mu + e_i \sim GP\left(T_{*X} T_{XX}^{-1} y,\; T_{**} - T_{*X} T_{XX}^{-1} T_{X*}\right), \qquad i = 1, \ldots, K",
    source=(
        Source(
            "zanger2026", "Corollary 4.3", "printed with draws uniform over the heads, that is with replacement", "read"
        ),
    ),
    assumptions=(
        NTK_PARAMETRISATION,
        READOUT_TRAINED,
        TANGENT_TARGET,
        SUM_LOSS,
        FULL_BATCH,
        POSITIVE_DEFINITE,
        POSTERIOR_MEAN,
    ),
    function="nonvacuous.numerics.wide_networks.posterior_functions.PosteriorFunctions",
)

BRND_BREAKS = Statement(
    key="iw.brnd_breaks",
    title="What breaks Bayesian distillation, and by how much exactly",
    kind=Kind.IDENTITY,
    text="A readout of psi that is not zeroed adds exactly M K M^T, the ensemble covariance. A training rule with any other smoother "
    "G' (early stopping, a frozen readout bias, Adam or another preconditioner) adds (G' - G) T_XX (G' - G)^T, never negative. A readout "
    "bias that starts at 0 takes away sb^2 r r^T, r = 1 - G 1. Missing label noise takes away s2 G_s G_s^T. psi = theta0 in a "
    "bias-free max(z,0) network of H hidden layers leaves (H - 1)^2 M K M^T. A target at another theta0 is harmless in the limit; "
    "for linearised networks of one hidden layer started at 0 on the full tangent target it exceeds the posterior at every finite width, where the right one lies below.",
    latex=r"M_{G'} T M_{G'}^\top = M T M^\top + (G' - G)\, T_{XX} (G' - G)^\top, \qquad M (T + K) M^\top = M T M^\top + \Sigma",
    source=(Source("here", "", "", "derived"),),
    assumptions=(NTK_PARAMETRISATION, SUM_LOSS, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.bayesian_distillation.other_smoother",
)

STATEMENTS: tuple[Statement, ...] = (BRND_TARGET, BRND_ERROR_LAW, BRND_NOISE, BRND_SAMPLING, BRND_BREAKS)
