"""Unbounded losses: cumulants, rate functions, PAC-Chernoff and PAC-Bayes-Chernoff bounds."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import IID, PRIOR_FIRST

DECLARED_TAIL = Assumption(
    "declared tail",
    "For every model that the prior charges, ln E exp(l (L - loss)) is at most the declared psi(theta, l) for all l in [0, b), one b for all models.",
)
BOTH_TAILS = Assumption(
    "both tails sub-Gaussian",
    "ln E exp(l (L - loss)) <= s(theta)^2 l^2/2 for every real l and every model that the prior charges.",
)
FIXED_BEFORE = Assumption(
    "constants before data", "The exponent, tilt, grid or scale was fixed without looking at the n examples."
)
SECOND_MOMENTS = Assumption(
    "second moment",
    "The losses are not negative, and E loss(theta)^2 <= B2(theta) for every model that the prior charges.",
)
KNOWN_LAW = Assumption(
    "known generating function",
    "The law of the loss is known. A sample in its place makes the number a diagnostic, optimistic on average.",
)
FINITE_CLASS = Assumption(
    "weights before data",
    "The weights of the models are positive, sum to at most 1, and were fixed without looking at the n examples.",
)
KNOWN_MOMENT = Assumption(
    "known moment", "Psi is at least ln E_P E_S exp(l (L - Lh)), a number that depends on the unknown distribution."
)

CRAMER = Statement(
    key="pb.cramer",
    title="Cumulant generating function, rate function and inverse rate",
    kind=Kind.IDENTITY,
    text="For a loss with mean L and essential minimum m let J(l) = ln E exp(l (L - loss)), l >= 0, I its Legendre transform and "
    "Iinv(s) = inf over l > 0 of (J(l) + s)/l. Then Iinv inverts I on (0, L - m); it equals L minus the least mean of a law within "
    "relative entropy s of the loss's law, J' at the tilt where l J' - J = s, and L - m from s = ln(1/P(loss = m)) on. "
    "P(L - Lh >= a) <= exp(-n I(a)) for the mean Lh of n losses, so L <= Lh + Iinv(ln(1/delta)/n) with probability at least 1-delta "
    "for one fixed model. Closed forms: Gaussian sqrt(2 v s); sub-gamma sqrt(2 v s) + c s; Bernoulli I(a) = kl(L - a||L); "
    "exponential of mean b: J(l) = b l - ln(1 + b l), I(a) = -a/b - ln(1 - a/b), Iinv(s) = b (1 + W0(-exp(-1-s))).",
    latex=r"\mathcal{I}^{-1}(s) = \inf_{\lambda > 0} \frac{J(\lambda) + s}{\lambda} "
    r"= L - \min \{ \mathbb{E}_{\nu'} \ell : \mathrm{KL}(\nu' \| \nu) \le s \}",
    source=(
        Source("cramer1938", provenance="standard"),
        Source("masegosa2025", "", "notation", "secondary"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.large_deviations.inverse_rate",
)

CGF_ESTIMATION = Statement(
    key="pb.cgf_estimation",
    title="What a plug-in generating function can and cannot say",
    kind=Kind.INEQUALITY,
    text="For N losses with empirical generating function Jh: E ln(mean of exp(-l loss)) <= ln E exp(-l loss), so the plug-in rate is biased low "
    "in J and optimistic; the plug-in inverse rate equals mean - minimum for every s >= ln(N/number of minimal losses): N points tell "
    "nothing about rates above ln N. A bound on E exp(-l loss) cancels L from both sides of the Chernoff inequality, so a certificate for an "
    "unbounded loss always needs an assumption on its tail made in advance.",
    latex=r"\mathbb{E} \ln \frac{1}{N} \sum_{i} e^{-\lambda \ell_i} \le \ln \mathbb{E} e^{-\lambda \ell}, \qquad "
    r"\hat{\mathcal{I}}^{-1}(s) = \bar{\ell} - \min_i \ell_i \text{ for } s \ge \ln N",
    source=(Source("here", provenance="derived"),),
    function="nonvacuous.numerics.large_deviations.plug_in",
)

PAC_CHERNOFF = Statement(
    key="pb.pac_chernoff",
    title="PAC-Chernoff bound for countably many models",
    kind=Kind.ORACLE,
    text="With weights w(theta) that sum to at most 1, with probability at least 1-delta over n i.i.d. examples, for all theta at once: "
    "L(theta) <= Lh(theta) + Iinv_theta((ln(1/w(theta)) + ln(1/delta))/n). p parameters with k values each have ln(1/w) = p ln k. Since "
    "Iinv <= L - m, an interpolating model (Lh = m) has a bound of at most L: the information sits in Iinv, which nobody knows.",
    latex=r"L(\theta) \le \hat L(\theta) + \mathcal{I}_\theta^{-1}\left( \frac{\ln(1/w(\theta)) + \ln(1/\delta)}{n} \right)",
    source=(
        Source("masegosa2025", "", "nats, where their figures use bits; weights in place of p ln k", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, FINITE_CLASS, KNOWN_LAW),
    function="nonvacuous.bounds.pac_chernoff",
)

SMOOTHNESS = Statement(
    key="pb.smoothness",
    title="Smoothness by the rate function",
    kind=Kind.DEFINITION,
    text="theta is beta-smoother than theta' if I_theta(a) >= I_theta'(a) for all a in (0, beta]; equivalently Iinv_theta(s) <= Iinv_theta'(s) for s up to "
    "the smaller of the two rates at beta. It is a partial order: where the curves cross the two are incomparable beyond the crossing. "
    "If both have empirical loss at most eps and Iinv_theta <= Iinv_theta' at the s of the PAC-Chernoff bound, theta has the smaller bound.",
    latex=r"\mathcal{I}_\theta(a) \ge \mathcal{I}_{\theta'}(a) \quad \forall a \in (0, \beta]",
    source=(Source("masegosa2025", provenance="secondary"), Source("here", "", "the consequence", "derived")),
    function="nonvacuous.numerics.large_deviations.compare_smoothness",
)

SMOOTH_LEVERS = Statement(
    key="pb.smooth_levers",
    title="What makes the inverse rate small",
    kind=Kind.INEQUALITY,
    text="Distance from initialisation: if the loss is M-Lipschitz in theta and constant in x at theta0, J <= l^2 M^2 |theta - theta0|^2/2. Input gradients: "
    "under a log-Sobolev inequality with constant c given the label, J <= l^2 (c G^2 + R^2/4)/2 for |grad_x loss| <= G and class means of range R. "
    "Invariance: averaging the loss over a group that leaves the law of the data alone keeps L and lowers J, and removes "
    "exactly the mean within-orbit variance. Averaging models: J of E_rho loss is at most E_rho J. More models can only lower the least Iinv among "
    "those that fit. Penalty: the gradient of Lh + Iinvh(s) is 2 E[d loss] - E_tilted[d loss].",
    latex=r"J \le \tfrac{1}{2}\lambda^2 M^2 \|\theta - \theta_0\|^2, \quad J \le \tfrac{1}{2} \lambda^2 (c G^2 + R^2/4), \quad "
    r"J_{\mathbb{E}_g \ell(g \cdot)} \le J_\ell, \quad J_{\mathbb{E}_\rho \ell} \le \mathbb{E}_\rho J_\theta",
    source=(
        Source("masegosa2025", "", "mechanisms; the constants are derived here", "secondary"),
        Source("ledoux2001", "", "Herbst's argument", "standard"),
        Source("here", provenance="derived"),
    ),
)

PBC = Statement(
    key="pb.pbc",
    title="PAC-Bayes-Chernoff bound under a declared tail",
    kind=Kind.CERTIFICATE,
    text="Let ln E exp(l (L(theta) - loss)) <= psi(theta, l) for l in [0, b). With probability at least 1-delta over n >= 2 i.i.d. examples, for all Q at once: "
    "L_Q <= Lh_Q + inf over l of (E_Q psi(theta, l) + t)/l, t = (K + ln(n/delta))/(n-1). The infimum is free. Sub-Gaussian: "
    "sqrt(2 E_Q[s^2] t); sub-gamma: sqrt(2 E_Q[v] t) + c t; loss M-Lipschitz in theta: M sqrt(2 E_Q|theta - theta0|^2 t); "
    "input gradients: sqrt(2 (c E_Q[G^2] + E_Q[R^2]/4) t).",
    latex=r"L_Q \le \hat L_Q + \inf_{0 < \lambda < b} \frac{\mathbb{E}_Q \psi(\theta, \lambda) + "
    r"\frac{\mathrm{KL}(Q \| P) + \ln(n/\delta)}{n-1}}{\lambda}",
    source=(
        Source("casado2024", "", "the special cases with their constants are derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, DECLARED_TAIL),
    function="nonvacuous.bounds.pac_bayes_chernoff",
)

PBC_ORACLE = Statement(
    key="pb.pbc_oracle",
    title="PAC-Bayes-Chernoff bound with the generating functions themselves",
    kind=Kind.ORACLE,
    text="The PAC-Bayes-Chernoff bound with psi = J_theta, the generating function of the loss of each model: the width is the inverse of the "
    "Legendre transform of the average E_Q J_theta at t = (K + ln(n/delta))/(n-1). J_theta is unknown; a plug-in makes a diagnostic.",
    latex=r"L_Q \le \hat L_Q + \inf_{\lambda > 0} \frac{\mathbb{E}_Q J_\theta(\lambda) + "
    r"\frac{\mathrm{KL}(Q \| P) + \ln(n/\delta)}{n-1}}{\lambda}",
    source=(Source("casado2024", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, KNOWN_LAW),
    function="nonvacuous.bounds.pac_bayes_chernoff",
)

PBC_ALPHA = Statement(
    key="pb.pbc_alpha",
    title="PAC-Bayes-Chernoff bound with a free exponent",
    kind=Kind.CERTIFICATE,
    text="For one a in (0, 1) fixed in advance the PAC-Bayes-Chernoff bound holds with t = (K + ln(1/(1-a)) + ln(1/delta))/(a n), for n >= 1. "
    "The best a for an anticipated B = K0 + ln(1/delta) is 1 - 1/x with x = -W_{-1}(-exp(-1-B)), where t = x/n: no logarithm of n. For Gaussian losses "
    "1/(1-a) may be replaced by the exact moment (1 + (1-a)^(-1/2))/2.",
    latex=r"t_a = \frac{\mathrm{KL}(Q \| P) + \ln\frac{1}{1-a} + \ln\frac{1}{\delta}}{a n}, \qquad a^* = 1 + \frac{1}{W_{-1}(-e^{-1-B})}",
    source=(
        Source("casado2024", "", "a = 1 - 1/n is theirs", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, DECLARED_TAIL, FIXED_BEFORE),
    function="nonvacuous.bounds.pac_bayes_chernoff_alpha",
)

SG_MIXTURE = Statement(
    key="pb.sg_mixture",
    title="Mixture bound for sub-Gaussian losses",
    kind=Kind.CERTIFICATE,
    text="Let both tails of the loss be sub-Gaussian with variance s(theta)^2 and a > 0 fixed in advance. With probability at least 1-delta, for all n >= 1 and all "
    "Q at once: |L_Q - Lh_Q| <= sqrt(2 E_Q[s^2] ((n+a)/n^2) (K + ln((n+a)/a)/2 + ln(1/delta))). For an anticipated n0 and B = K0 + ln(1/delta) "
    "the best a is n0/(r - 1), r = -W_{-1}(-exp(-1-2B)), with width sqrt(E_Q[s^2] r/n0). It is never above pb.pbc for a = 1, n >= 2.",
    latex=r"|L_Q - \hat L_Q| \le \sqrt{2\, \mathbb{E}_Q[s^2]\, \frac{n + a}{n^2} \left( \mathrm{KL}(Q \| P) + \tfrac{1}{2} "
    r"\ln \frac{n+a}{a} + \ln \frac{1}{\delta} \right)}",
    source=(
        Source("robbins1970", "", "the mixture of one supermartingale", "standard"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOTH_TAILS, FIXED_BEFORE),
    function="nonvacuous.bounds.sub_gaussian_mixture",
)

SG_MIXTURE_ONE_SIDED = Statement(
    key="pb.sg_mixture_one_sided",
    title="Mixture bound for losses with a sub-Gaussian lower tail",
    kind=Kind.CERTIFICATE,
    text="Let ln E exp(l (L - loss)) <= s(theta)^2 l^2/2 for l >= 0, and a, s0^2 > 0 fixed in advance. With D = n E_Q[s^2] + a s0^2, with probability "
    "at least 1-delta, for all n >= 1 and all Q at once: L_Q - Lh_Q <= sqrt(2 D (K + ln(D/(a s0^2))/2 + ln(1/delta)))/n. Losses >= 0 with "
    "E loss^2 <= B2 qualify with s^2 = B2.",
    latex=r"L_Q - \hat L_Q \le \frac{1}{n} \sqrt{2 D \left( \mathrm{KL}(Q \| P) + \tfrac{1}{2} \ln \frac{D}{a s_0^2} + \ln \frac{1}{\delta} \right)}",
    source=(Source("robbins1970", "", "half-normal mixture", "standard"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, DECLARED_TAIL, FIXED_BEFORE),
    function="nonvacuous.bounds.sub_gaussian_mixture_one_sided",
)

SECOND_MOMENT = Statement(
    key="pb.second_moment",
    title="Bound for non-negative losses with a declared second moment",
    kind=Kind.CERTIFICATE,
    text="Let the losses be non-negative with E loss(theta)^2 <= B2(theta). For a grid of G tilts l > 0 fixed in advance, with probability at least 1-delta, "
    "for all Q and all l of the grid at once: L_Q <= Lh_Q + l E_Q[B2]/2 + (K + ln(G/delta))/(l n). Only the lower tail matters, so the "
    "right tail may be heavy. The optimum over all l, sqrt(2 E_Q[B2] (K + ln(1/delta))/n), is a lower envelope and no certificate.",
    latex=r"L_Q \le \hat L_Q + \frac{\lambda}{2} \mathbb{E}_Q[B_2] + \frac{\mathrm{KL}(Q \| P) + \ln(G/\delta)}{\lambda n}",
    source=(
        Source("alquier2018", "", "variance assumptions; this form is derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, SECOND_MOMENTS, FIXED_BEFORE),
    function="nonvacuous.bounds.second_moment",
)

ALQUIER = Statement(
    key="pb.alquier",
    title="Linear bound with the moment of the generalization gap",
    kind=Kind.ORACLE,
    text="For one l > 0 fixed in advance, with probability at least 1-delta, for all Q at once: L_Q <= Lh_Q + (K + ln(1/delta) + Psi)/l, "
    "Psi = ln E_P E_S exp(l (L - Lh)). Sub-Gaussian losses have Psi <= l^2 s^2/(2n): s^2/2 at l = n, a constant that does not vanish.",
    latex=r"L_Q \le \hat L_Q + \frac{\mathrm{KL}(Q \| P) + \ln(1/\delta) + \Psi(\lambda, n)}{\lambda}",
    source=(Source("alquier2016", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, FIXED_BEFORE, KNOWN_MOMENT),
    function="nonvacuous.bounds.alquier",
)

GERMAIN_NLL = Statement(
    key="pb.germain_nll",
    title="Bayes posterior, marginal likelihood and the linear bound",
    kind=Kind.IDENTITY,
    text="For the log-loss, Lh_Q + K/n is least at the Bayes posterior, and its value there is -(1/n) ln Z, Z the marginal likelihood. "
    "At every other Q it is larger by KL(Q||posterior)/n.",
    latex=r"\min_Q \left\{ \hat L_Q + \frac{\mathrm{KL}(Q \| P)}{n} \right\} = -\frac{1}{n} \ln Z",
    source=(Source("germain2016", provenance="secondary"), Source("here", provenance="derived")),
)

STATEMENTS: tuple[Statement, ...] = (
    CRAMER,
    CGF_ESTIMATION,
    PAC_CHERNOFF,
    SMOOTHNESS,
    SMOOTH_LEVERS,
    PBC,
    PBC_ORACLE,
    PBC_ALPHA,
    SG_MIXTURE,
    SG_MIXTURE_ONE_SIDED,
    SECOND_MOMENT,
    ALQUIER,
    GERMAIN_NLL,
)
