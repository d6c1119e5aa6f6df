"""The log-loss of averaged models: second-order bounds, diversity, cold posteriors, and what ties them."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import IID, PRIOR_FIRST

CLAMP_FIRST = Assumption(
    "clamp before data", "p_min was fixed without looking at the n examples of the empirical risk."
)
TILT_FIRST = Assumption(
    "tilt before data", "l was fixed before the data, and Psi2 is the moment of the pair losses or larger."
)

JENSEN2 = Statement(
    key="pb.jensen2",
    title="Second-order Jensen bounds for the log-loss",
    kind=Kind.INEQUALITY,
    text="Average models p(x|theta) over rho and let CE be the log-loss of the average, L the log-loss of one model, m_x the largest "
    "p(x|theta) over the models of rho. Then E_rho L - CE >= V_h >= V, with V = E_x Var_rho(p)/(2 m_x^2), "
    "V_h = E_x h(m_x, E_rho p) Var_rho(p) and h(m,u) = (ln u - ln m)/(m-u)^2 + 1/(u(m-u)) >= 1/(2m^2). The gap itself is "
    "E_rho L - CE = E_x ln E_rho exp(E_rho loss - loss).",
    latex=r"\mathbb{E}_\rho L - \mathrm{CE}(\rho) \ge \mathbb{E}_x\!\left[ h(m_x, \bar p)\, \mathrm{Var}_\rho(p) \right] \ge \mathbb{E}_x \frac{\mathrm{Var}_\rho(p)}{2 m_x^2}",
    source=(
        Source("masegosa2020", "", "V", "secondary"),
        Source("liao2019", "", "the weight h", "secondary"),
        Source("here", "", "integral form of h, and its evaluation from losses", "derived"),
    ),
    function="nonvacuous.numerics.diversity.jensen.jensen_bounds",
)

DIVERSITY = Statement(
    key="pb.diversity",
    title="Ensembles: loss, diversity and one inequality for three losses",
    kind=Kind.INEQUALITY,
    text="R(ensemble) <= alpha (E_rho L - Div). Squared loss and mean prediction: alpha = 1, Div = E_x Var_rho(f(x)), an equality. Log-loss "
    "and averaged probabilities: alpha = 1, Div = V = E_x Var_rho(p)/(2 m_x^2). 0-1 loss and weighted majority vote: alpha = 4, "
    "Div = E_x Var_rho(1[h(x) != y]), so that E_rho L - Div is the joint error of two independent members. Div = 0 when all members agree.",
    latex=r"R(\text{ensemble}) \le \alpha\, (\mathbb{E}_\rho L - \mathrm{Div})",
    source=(
        Source("ortega2022", "", "one inequality for three losses", "secondary"),
        Source("krogh1995", "", "the squared loss", "standard"),
        Source("masegosa2020mv", "", "the 0-1 loss", "secondary"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.diversity.ensembles.ensemble_report",
)

CPE = Statement(
    key="pb.cpe",
    title="Cold posteriors: derivatives in the temperature",
    kind=Kind.IDENTITY,
    text="Let p_l be proportional to p(D|theta)^l pi(theta), Lh the mean log-loss on the n examples of D, B(l) = E_x[-ln E_{p_l} p(x|theta)]. "
    "Then d/dl E_{p_l} Lh = -n Var_{p_l}(Lh) <= 0, and dB/dl = n (E_{q_l} Lh - E_{p_l} Lh) with q_l = E_x of p_l updated by one fresh x. So "
    "a colder posterior predicts better (dB/dl < 0) exactly when absorbing one more test point would lower the training loss. The prior is "
    "not tempered.",
    latex=r"\frac{dB}{d\lambda} = n \left( \mathbb{E}_{q_\lambda} \hat L - \mathbb{E}_{p_\lambda} \hat L \right), \quad q_\lambda \propto p_\lambda\, \mathbb{E}_x \frac{p(x | \theta)}{\mathbb{E}_{p_\lambda} p(x | \theta)}",
    source=(
        Source("zhang2024", "", "", "secondary"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.diversity.cold_posterior.cold_posterior",
)

LINK = Statement(
    key="pb.link",
    title="Smoothness, diversity and stochasticity: one array of losses in three directions",
    kind=Kind.ORACLE,
    text="J_theta(l) = ln E_x exp(l (L - loss)) looks along the data, Dv(rho) = E_x ln E_rho exp(E_rho loss - loss) = E_rho L - CE(rho) along the "
    "models, min_Q {E_Q Lh + KL(Q||P)/b} = -(1/b) ln E_P exp(-b Lh) along the prior. With probability at least 1-delta over n >= 2 i.i.d. "
    "examples, for all rho: CE(rho) <= Lh_rho + inf over l of (E_rho J_theta(l) + t)/l - Dv(rho), t = (K + ln(n/delta))/(n-1). To second order, "
    "E_x Var_theta(loss) = E_theta Var_x(loss) + Var_theta(L) - Var_x(E_theta loss); to all orders, J of E_rho loss is at most E_rho J_theta.",
    latex=r"\mathrm{CE}(\rho) \le \hat L_\rho + \inf_{\lambda > 0} \frac{\mathbb{E}_\rho J_\theta(\lambda) + \frac{\mathrm{KL}(\rho \| P) + \ln(n/\delta)}{n-1}}{\lambda} - \mathrm{Dv}(\rho)",
    source=(
        Source(
            "ortega2026",
            "",
            "that the three belong together; the identities and the combined bound are derived here",
            "secondary",
        ),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST),
    function="nonvacuous.bounds.ensemble_chernoff",
)

PAC2 = Statement(
    key="pb.pac2",
    title="PAC2-Bayes: certificate for the log-loss of an averaged model",
    kind=Kind.CERTIFICATE,
    text="Clamp probabilities to [p_min, 1], B = ln(1/p_min). For two models drawn from rho the pair loss (-ln p - ln p')/2 - (p - p')^2/4 lies in "
    "[0, B], its mean over pairs, L2, is E_rho L - E_x Var_rho(p)/2, and that is at least the log-loss CE(rho) of the averaged clamped model. With "
    "probability at least 1-delta over n i.i.d. examples, for all rho at once: CE(rho) <= B UP(L2h/B, (2K + ln(xi(n)/delta))/n). The price of "
    "pairs is twice the KL.",
    latex=r"\mathrm{CE}(\rho) \le B\, \mathrm{UP}\!\left( \frac{\hat L_2}{B}, \frac{2 \mathrm{KL}(\rho \| P) + \ln(\xi(n)/\delta)}{n} \right), \quad B = \ln \frac{1}{p_{\min}}",
    source=(
        Source("masegosa2020", "", "second-order bounds and pairs; this form is derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, CLAMP_FIRST),
    function="nonvacuous.bounds.pac2",
)

PAC2_ORACLE = Statement(
    key="pb.pac2_oracle",
    title="PAC2-Bayes: the linear bound with the moment of pairs",
    kind=Kind.ORACLE,
    text="Let m_x be at least p(x|theta) for every theta in the support of P, and L2(theta, theta') = E_x[-ln p - (p^2 - p p')/(2 m_x^2)]. For one l > 0 fixed "
    "in advance, with probability at least 1-delta, for all rho at once: CE(rho) <= L2h_rho + (2K + ln(1/delta) + Psi2)/l, "
    "Psi2 = ln E_{P x P} E_S exp(l (L2 - L2h)).",
    latex=r"\mathrm{CE}(\rho) \le \mathbb{E}_{\rho^2} \hat L_2 + \frac{2 \mathrm{KL}(\rho \| P) + \ln(1/\delta) + \Psi_2(\lambda, n)}{\lambda}",
    source=(
        Source("masegosa2020", "", "there everything is divided by two", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, TILT_FIRST),
    function="nonvacuous.bounds.pac2_oracle",
)

STATEMENTS: tuple[Statement, ...] = (JENSEN2, DIVERSITY, CPE, LINK, PAC2, PAC2_ORACLE)
