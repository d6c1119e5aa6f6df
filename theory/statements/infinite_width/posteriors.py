"""Posteriors of wide networks, and the training that samples from them: the statements."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import (
    LINEAR_MODEL,
    NTK_PARAMETRISATION,
    POSITIVE_DEFINITE,
    POSITIVE_DEFINITE_KERNEL,
    READOUT_TRAINED,
    SUM_LOSS,
)

DERIVED = Source("here", provenance="derived")

NNGP_TOP_LAYER = Statement(
    key="iw.nngp_top_layer",
    title="Training only the readout is Bayesian inference with the NNGP kernel",
    kind=Kind.IDENTITY,
    text="Training only the readout, weights and bias, replaces T by K: at time t the mean is K_*X K_XX^{-1} (I - e^{-tK}) y and the "
    "covariance K_** - K_*X K_XX^{-1} (I - e^{-2tK}) K_X*. At t = inf it is the exact NNGP posterior K_** - K_*X K_XX^{-1} K_X*.",
    latex=r"\Sigma_t = K_{**} - K_{*X} K_{XX}^{-1} (I - e^{-2 t K_{XX}}) K_{X*}",
    source=(Source("lee2019", provenance="standard"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.posterior.readout_ensemble",
)

NTKGP_POSTERIOR = Statement(
    key="iw.ntkgp_posterior",
    title="The posterior with the tangent kernel as prior covariance",
    kind=Kind.IDENTITY,
    text="For f ~ GP(0, T) and labels y = f(X) + N(0, s2 I), the function values at test points have the mean T_*X (T_XX + s2 I)^{-1} y and "
    "the covariance T_** - T_*X (T_XX + s2 I)^{-1} T_X*, which is also M T M^T + s2 G G^T: a sum of squares.",
    latex=r"\Sigma_{ntkgp} = T_{**} - T_{*X} (T_{XX} + s^2 I)^{-1} T_{X*} = M T M^\top + s^2 G G^\top",
    source=(Source("he2020", provenance="secondary"), Source("zanger2026", provenance="secondary"), DERIVED),
    assumptions=(LINEAR_MODEL,),
    function="nonvacuous.numerics.wide_networks.posterior.ntkgp_posterior",
)

EXCESS_DECOMPOSITION = Statement(
    key="iw.excess_decomposition",
    title="What an ensemble adds to one posterior and lacks of the other",
    kind=Kind.IDENTITY,
    text="With H = K_*X K_XX^{-1}, Sig_ens = Sig_nngp + (G - H) K_XX (G - H)^T, and Sig_ntkgp = Sig_ens + M (T - K) M^T.",
    latex=r"\Sigma_{ens} = \Sigma_{nngp} + (G - H) K_{XX} (G - H)^\top, \qquad \Sigma_{ntkgp} = \Sigma_{ens} + M (T - K) M^\top",
    source=(DERIVED,),
    assumptions=(LINEAR_MODEL, POSITIVE_DEFINITE_KERNEL),
    function="nonvacuous.numerics.wide_networks.posterior.excess_decomposition",
)

LOEWNER_CHAIN = Statement(
    key="iw.loewner_chain",
    title="NNGP posterior <= deep ensemble <= tangent-kernel posterior",
    kind=Kind.INEQUALITY,
    text="In the Loewner order on any test points, Sig_nngp <= Sig_ens <= Sig_ntkgp. The first gap is zero iff G = H on the range of K_XX; "
    "the second is M (T - K) M^T, and T - K is positive semi-definite because the readout's share of T is K, bias included.",
    latex=r"\Sigma_{nngp} \preceq \Sigma_{ens} \preceq \Sigma_{ntkgp}",
    source=(Source("he2020", "", "states that the ensemble is the smaller of the last two", "secondary"), DERIVED),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.posterior.excess_decomposition",
)

ADDING_A_POINT = Statement(
    key="iw.adding_a_point",
    title="One more training point lowers both posteriors, but perhaps not the ensemble",
    kind=Kind.INEQUALITY,
    text="A new training point z lowers the covariance of a posterior by c c^T/v, with c its posterior covariance with the test points and v "
    "its posterior variance plus noise: Sig_nngp and Sig_ntkgp never grow. Sig_ens can: for two hidden ReLU layers (sw = 1.5, sb = 0.3) "
    "trained on (-0.1, 0.5), (-1, 0.2), (0.1, -0.8) the variance at (-0.7, 0.2) is 0.0152542, and 0.0169334 after adding (-1, 1.1).",
    latex=r"\Sigma - \Sigma' = c c^\top / v \succeq 0",
    source=(DERIVED,),
    assumptions=(NTK_PARAMETRISATION, READOUT_TRAINED, SUM_LOSS, POSITIVE_DEFINITE),
    function="nonvacuous.numerics.wide_networks.posterior.posterior",
)

STO = Statement(
    key="iw.sto",
    title="Sample, then optimise",
    kind=Kind.IDENTITY,
    text="For f(x) = J(x) theta, draw theta0 ~ N(0, I) and xi ~ N(0, s2 I) and minimise 1/2 |J(X) theta - y - xi|^2 + s2/2 |theta - theta0|^2. "
    "The outputs at the minimum are an exact draw from the posterior with kernel T = J J^T and noise s2. Without xi the covariance lacks "
    "exactly s2 G G^T, with G = T_*X (T_XX + s2 I)^{-1}.",
    latex=r"J \theta_\infty \sim N(G y, \; T_{**} - G T_{X*}), \qquad G = T_{*X} (T_{XX} + s^2 I)^{-1}",
    source=(Source("matthews2017", "", "the idea; the deficit is derived here", "secondary"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.features.sample_then_optimise",
)

STO_FINITE = Statement(
    key="iw.sto_finite",
    title="Exact posterior samples of a finite network's empirical kernel",
    kind=Kind.IDENTITY,
    text="Take the Jacobian J of a finite network at its initial parameters, of any width. A linear predictor that starts at the zero function "
    "and is trained on the random target J psi + xi, psi ~ N(0, I), xi ~ N(0, s2 I), with penalty s2/2 |theta|^2, has the error "
    "u - J psi ~ N(0, T0_** - T0_*X (T0_XX + s2 I)^{-1} T0_X*) given the initial parameters: exactly the posterior covariance of the empirical "
    "tangent kernel T0 = J J^T.",
    latex=r"u_\infty - J \psi \;|\; \theta_0 \sim N(0, \; T_{0,**} - T_{0,*X} (T_{0,XX} + s^2 I)^{-1} T_{0,X*})",
    source=(DERIVED,),
    assumptions=(SUM_LOSS,),
)

NTKGP_HE2020 = Statement(
    key="iw.ntkgp_he2020",
    title="Bayesian deep ensembles",
    kind=Kind.IDENTITY,
    text="A member f(x; theta) + J(x; theta0) theta*, with theta* an independent draw whose readout entries are 0, starts as a draw from "
    "N(0, K + (T - K)) = N(0, T). Trained on labels with fresh noise of variance s2 and the penalty s2/2 |theta - theta0|^2 it ends as a draw "
    "from the posterior with kernel T and noise s2.",
    latex=r"K + (T - K) = T, \qquad M T M^\top + s^2 G G^\top = T_{**} - G T_{X*}",
    source=(Source("he2020", "", "from the paper's statement and code as reported", "secondary"), DERIVED),
    assumptions=(LINEAR_MODEL, READOUT_TRAINED, SUM_LOSS),
    function="nonvacuous.numerics.wide_networks.randomised_priors.bayesian_ensemble_law",
)

RPF_OSBAND = Statement(
    key="iw.rpf_osband",
    title="Randomised prior functions",
    kind=Kind.IDENTITY,
    text="Members f + beta p with an independent frozen network p, trained to convergence, have the covariance M (K_f + beta^2 K_p) M^T with M of "
    "the trained network's tangent kernel T: two kernels, so not a posterior unless K_f + beta^2 K_p = T.",
    latex=r"M (K_f + \beta^2 K_p) M^\top",
    source=(Source("osband2018", "", "proposes the method; exact there for linear models", "secondary"), DERIVED),
    assumptions=(LINEAR_MODEL, SUM_LOSS, POSITIVE_DEFINITE_KERNEL),
    function="nonvacuous.numerics.wide_networks.randomised_priors.randomised_prior_covariance",
)

STATEMENTS: tuple[Statement, ...] = (
    NNGP_TOP_LAYER,
    NTKGP_POSTERIOR,
    EXCESS_DECOMPOSITION,
    LOEWNER_CHAIN,
    ADDING_A_POINT,
    STO,
    STO_FINITE,
    NTKGP_HE2020,
    RPF_OSBAND,
)
