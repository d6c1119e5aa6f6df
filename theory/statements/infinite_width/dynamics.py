"""Training of wide networks: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import (
    FULL_BATCH,
    LINEAR_MODEL,
    NTK_PARAMETRISATION,
    POSITIVE_DEFINITE,
    POSITIVE_DEFINITE_KERNEL,
    READOUT_TRAINED,
    SUM_LOSS,
)

DERIVED = Source("here", provenance="derived")

LINEARISATION = Statement(
    key="iw.linearisation",
    title="Wide networks train as their linearisation",
    kind=Kind.LIMIT,
    text="In the NTK parametrisation, with half the sum of squares and a step below the stability limit, a network stays within o(1) of "
    "f_lin(x) = f0(x) + J(x)(theta - theta0), trained alike, uniformly over training, as n -> inf, if T_XX is positive definite; so does its "
    "tangent kernel of the initial one. The theorem gives sup_t |f - f_lin| = O(n^-1/2); perturbation theory, and what is measured, is nearer "
    "1/n.",
    latex=r"\sup_t |f_t - f_{lin,t}| = O(n^{-1/2})",
    source=(Source("lee2019", "", "the rate as recalled from the paper", "secondary"),),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
)

LIN_FLOW = Statement(
    key="iw.lin_flow",
    title="Gradient flow of a linearised network",
    kind=Kind.IDENTITY,
    text="On half the sum of squares, gradient flow at unit rate moves the outputs to f_t(X) = y + e^{-t T_XX} (f0(X) - y) on the training "
    "inputs and f_t(*) = f0(*) + T_*X A_t (y - f0(X)) elsewhere, with A_t = T_XX^{-1} (I - e^{-t T_XX}); where T_XX is singular, A_t is "
    "its limit, t on the null space. With the mean loss 1/(2NC) sum, t becomes t/(NC).",
    latex=r"f_t(*) = f_0(*) + T_{*X} A_t (y - f_0(X)), \qquad A_t = T_{XX}^{-1} (I - e^{-t T_{XX}})",
    source=(Source("jacot2018", provenance="standard"), Source("lee2019", provenance="standard")),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.smoother.linear_smoother",
)

LIN_COV_T = Statement(
    key="iw.lin_cov_t",
    title="The law of an ensemble at any training time",
    kind=Kind.IDENTITY,
    text="At time t the outputs of a linearised member are jointly N(T_*X A_t y, M_t K M_t^T) over its initialisation, with M_t = "
    "[I, -T_*X A_t] on (test, train). Labels do not enter the covariance. At t = 0 it is K; on the training inputs it is e^{-tT} K e^{-tT}, "
    "which vanishes at t = inf; with T = K and t = inf it is the NNGP posterior.",
    latex=r"f_t(*) \sim N(T_{*X} A_t y, \; M_t K M_t^\top), \qquad M_t = [I, \, -T_{*X} A_t]",
    source=(Source("lee2019", provenance="standard"), Source("zanger2026", provenance="secondary")),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.ensemble.ensemble_law",
)

LIN_COV_INF = Statement(
    key="iw.lin_cov_inf",
    title="The law of an infinitely wide deep ensemble",
    kind=Kind.LIMIT,
    text="Members trained to convergence from independent initialisations have jointly Gaussian outputs at any test points, with "
    "mean G y and covariance M K M^T = K_** + G K_XX G^T - G K_X* - K_*X G^T, where G = T_*X T_XX^{-1} and M = [I, -G]. Labels "
    "do not enter the covariance. It vanishes on X, and with T = K it is the NNGP posterior.",
    latex=r"\Sigma = K_{**} + G K_{XX} G^\top - G K_{X*} - K_{*X} G^\top, \qquad G = T_{*X} T_{XX}^{-1}",
    source=(
        Source(
            "lee2019", "", "the quadratic term has a plus; a companion text of zanger2026 prints a minus", "standard"
        ),
        Source(
            "zanger2026", "", "prints the trained function with the wrong sign; f0 + G (y - f0(X)) is right", "read"
        ),
    ),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, FULL_BATCH, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.ensemble.ensemble_covariance",
)

GD_DISCRETE = Statement(
    key="iw.gd_discrete",
    title="Gradient descent with a step size",
    kind=Kind.IDENTITY,
    text="k steps of size eta on half the sum of squares replace A_t by A_k = (I - (I - eta T_XX)^k) T_XX^{-1} in outputs, mean and "
    "covariance; on a null space A_k is k eta. For eta lambda_max <= 1/2 and t = k eta, |A_k - A_t| <= eta/e in the spectral norm: gradient "
    "flow is the limit of small steps, at first order in eta.",
    latex=r"A_k = (I - (I - \eta T_{XX})^k) T_{XX}^{-1}, \qquad \|A_k - A_{k \eta}\| \leq \eta / e",
    source=(Source("lee2019", provenance="standard"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.smoother.linear_smoother",
)

MAX_LR = Statement(
    key="iw.max_lr",
    title="The largest stable step, and how many steps",
    kind=Kind.EQUIVALENCE,
    text="Gradient descent on half the sum of squares converges for all labels iff eta < 2/lambda_max(T_XX); with the mean loss "
    "1/(2NC) sum the limit is NC times larger. The best constant step is 2/(lambda_max + lambda_min). Up to it log(1/tau)/(eta lambda_min) "
    "steps reach the relative residual tau; above it the top mode is the slow one and log(1/tau)/(-log|1 - eta lambda_max|) steps do.",
    latex=r"\eta < \frac{2}{\lambda_{max}}, \qquad k \geq \frac{\log (1/\tau)}{\eta \lambda_{min}}",
    source=(Source("lee2019", provenance="standard"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS, POSITIVE_DEFINITE_KERNEL),
    function="nonvacuous.numerics.wide_networks.step_sizes.largest_step_size_sum_loss",
)

MOMENTUM = Statement(
    key="iw.momentum",
    title="Heavy ball: law and stability",
    kind=Kind.IDENTITY,
    text="theta_{k+1} = theta_k - eta grad + beta (theta_k - theta_{k-1}), started at rest, moves each eigenvector of T_XX by "
    "a_{k+1} = a_k + eta (1 - lambda a_k) + beta (a_k - a_{k-1}); outputs, mean and covariance are those of A_k with eigenvalues a_k. "
    "It converges for all labels iff 0 <= beta < 1 and eta < 2 (1 + beta)/lambda_max, to the same outputs as gradient descent.",
    latex=r"a_{k+1} = a_k + \eta (1 - \lambda a_k) + \beta (a_k - a_{k-1}), \qquad \eta < \frac{2 (1 + \beta)}{\lambda_{max}}",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, SUM_LOSS, POSITIVE_DEFINITE_KERNEL),
    function="nonvacuous.numerics.wide_networks.step_sizes.largest_step_size_sum_loss",
)

CENTERED_NETWORK = Statement(
    key="iw.centered_network",
    title="A centred network is deterministic",
    kind=Kind.IDENTITY,
    text="Training f(x; theta) - f(x; theta0), the network less its own initial function, gives T_*X A_t y for every initialisation: the mean of "
    "the ensemble, and at t = inf the posterior mean of the tangent kernel, from one network. Setting the readout's weights to 0 is not the "
    "same: the hidden layers then have no gradient and T becomes K.",
    latex=r"f_t(*) - f_0(*) = T_{*X} A_t y",
    source=(Source("zanger2026", provenance="secondary"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.ensemble.ensemble_law",
)

ROW_SPACE_INVARIANCE = Statement(
    key="iw.row_space_invariance",
    title="Every method that stays in the row space ends at the same function",
    kind=Kind.IDENTITY,
    text="If all updates of a linear model lie in the row space of J(X) and training interpolates y, the outputs end at "
    "f0(*) + T_*X T_XX^{-1} (y - f0(X)): gradient descent, heavy ball, mini-batches and conjugate gradients alike. A fixed coordinate-wise "
    "preconditioner P replaces T by J P J^T, and Adam, whose P moves, ends elsewhere.",
    latex=r"f_\infty(*) = f_0(*) + J_* P J_X^\top (J_X P J_X^\top)^{-1} (y - f_0(X))",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, POSITIVE_DEFINITE_KERNEL),
    function="nonvacuous.numerics.wide_networks.features.preconditioned_smoother",
)

RIDGE_FROM_INIT = Statement(
    key="iw.ridge_from_init",
    title="A penalty on the distance from the initial parameters",
    kind=Kind.IDENTITY,
    text="With the penalty lam/2 |theta - theta0|^2, f_t(*) = f0(*) + T_*X (T_XX + lam I)^{-1} (I - e^{-t (T_XX + lam I)}) (y - f0(X)). The covariance "
    "over initialisations is M K M^T with this smoother, which is no posterior: label noise is missing.",
    latex=r"f_t(*) = f_0(*) + T_{*X} (T_{XX} + \lambda I)^{-1} (I - e^{-t (T_{XX} + \lambda I)}) (y - f_0(X))",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.smoother.linear_smoother",
)

WEIGHT_DECAY_ORIGIN = Statement(
    key="iw.weight_decay_origin",
    title="Weight decay towards the origin moves the prior",
    kind=Kind.IDENTITY,
    text="With the penalty lam/2 |theta|^2 the converged output is g0(*) + T_*X (T_XX + lam I)^{-1} (y - g0(X)), g0 = f0 - J theta0. A ReLU network "
    "without biases is homogeneous of degree L, its number of weight layers, in its parameters: J theta0 = L f0, so g0 = (1 - L) f0 and the "
    "prior variance is multiplied by (L - 1)^2.",
    latex=r"g_0 = f_0 - J \theta_0 = (1 - L) f_0",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.weight_decay.weight_decay_law",
)

MULTI_OUTPUT = Statement(
    key="iw.multi_output",
    title="Several outputs train independently",
    kind=Kind.IDENTITY,
    text="With C outputs the infinite-width kernels are K and T times the identity: each output has its own mean T_*X A_t y_c, all have the same "
    "covariance M_t K M_t^T, and different outputs are independent. At finite width the off-diagonal blocks of the empirical kernel are "
    "random, of mean 0 and size O(n^-1/2).",
    latex=r"T(x, x') \otimes I_C",
    source=(Source("jacot2018", provenance="standard"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.ensemble.ensemble_law",
)

DUPLICATES = Statement(
    key="iw.duplicates",
    title="Repeated training inputs",
    kind=Kind.IDENTITY,
    text="Training on inputs with multiplicities m_j is training on the unique points u with mean labels: at finite time the smoother is T_*u "
    "D^{1/2} S^{-1} (I - e^{-tS}) D^{1/2} with D = diag(m) and S = D^{1/2} T_uu D^{1/2}, and steps must stay below 2/lambda_max(S); at t = inf it is "
    "T_*u T_uu^{-1}, whatever the multiplicities; with noise s2 per label it is the posterior with noise s2/m_j. Labels that disagree leave "
    "the loss 1/2 sum (y - mean)^2.",
    latex=r"A_t = D^{1/2} S^{-1} (I - e^{-t S}) D^{1/2}, \qquad S = D^{1/2} T_{uu} D^{1/2}",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.duplicates.collapse_duplicates",
)

STATEMENTS: tuple[Statement, ...] = (
    LINEARISATION,
    LIN_FLOW,
    LIN_COV_T,
    LIN_COV_INF,
    GD_DISCRETE,
    MAX_LR,
    MOMENTUM,
    CENTERED_NETWORK,
    ROW_SPACE_INVARIANCE,
    RIDGE_FROM_INIT,
    WEIGHT_DECAY_ORIGIN,
    MULTI_OUTPUT,
    DUPLICATES,
)
