"""Beyond KL: one draw from the posterior, Renyi, chi-square, Wasserstein."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, IID, PRIOR_FIRST

DRAWN = Assumption(
    "one draw",
    "The predictor was drawn once from the posterior, independently of everything else given the sample, and not chosen.",
)
DECLARED_MOMENT = Assumption(
    "declared moment",
    "The mean over the prior and the sample of the q-th power of |r - rh| is at most what was declared.",
)
LIPSCHITZ = Assumption(
    "Lipschitz loss", "For every example the loss is L-Lipschitz in the predictor, in the metric of the distances."
)
DECLARED_RANGE = Assumption(
    "declared range",
    "The loss lies in [0, 1], or it is not negative and its mean square under each prior is at most 1.",
)
SPLIT_PRIORS = Assumption("priors off their part", "Prior i was chosen without looking at the examples of part i.")

DISINTEGRATED = Statement(
    key="pb.disintegrated",
    title="Certificates for one predictor drawn from the posterior",
    kind=Kind.CERTIFICATE,
    text="Draw h from Q, which depends on the sample. Each holds with probability at least 1-delta over the sample and h. "
    "kl: kl(rh(h)||r(h)) <= (ln dQ/dP(h) + ln(xi(n)/delta))/n. catoni, b > 0 fixed: -ln(1 - r(h)(1-e^-b)) <= b rh(h) + (ln dQ/dP(h) + ln(1/delta))/n. "
    "occam, b > 0 fixed, where rh(h) < r(h): kl(rh(h)||r(h)) <= (ln((b+1)/delta) + (1 + 1/b) max(0, ln dQ/dP(h)))/n. renyi, order a > 1, T candidate priors: "
    "kl(rh(h)||r(h)) <= (((2a-1)/(a-1)) ln(2/delta) + D_a(Q||P) + ln T + ln xi(n))/n. Right-hand sides below 0 count as 0.",
    latex=r"n\, \mathrm{kl}(\hat r(h) \| r(h)) \le \ln \frac{dQ}{dP}(h) + \ln \frac{\xi(n)}{\delta}",
    source=(
        Source("rivasplata2020", provenance="secondary"),
        Source("blanchard2007", "", "with the constant of a power law over volumes, derived here", "secondary"),
        Source("viallard2023", "", "any order a, xi(n) in place of 2 sqrt(n), and T in place of T^3", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, DRAWN, BOUNDED_LOSS),
    function="nonvacuous.bounds.one_draw_kl",
)

RENYI = Statement(
    key="pb.renyi",
    title="PAC-Bayes with a Renyi divergence",
    kind=Kind.CERTIFICATE,
    text="For a > 1 and phi > 0, with probability at least 1-delta, for all Q at once: (a/(a-1)) ln E_Q phi <= D_a(Q||P) + "
    "ln((1/delta) E_S E_P phi^(a/(a-1))). With phi = exp(((a-1)/a) n kl(rh||r)): kl(rh_Q||r_Q) <= (D_a(Q||P) + ln(xi(n)/delta))/n.",
    latex=r"\frac{a}{a-1} \ln \mathbb{E}_Q \varphi \le D_a(Q \| P) + \ln \frac{\mathbb{E}_S \mathbb{E}_P \varphi^{a/(a-1)}}{\delta}",
    source=(Source("begin2016", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.renyi",
)

FDIV = Statement(
    key="pb.fdiv",
    title="PAC-Bayes with a chi-square or power divergence",
    kind=Kind.CERTIFICATE,
    text="1/p + 1/q = 1 and M >= E_S E_P |r - rh|^q. With probability at least 1-delta, for all Q at once: E_Q |r - rh| <= (M/delta)^(1/q) "
    "(E_P (dQ/dP)^p)^(1/p). For p = q = 2 and n i.i.d. examples with E_P Var(loss) <= v: E_Q |r - rh| <= sqrt((v/(n delta)) (1 + chi2(Q||P))). "
    "Only a moment is assumed, so heavy tails are allowed; the price is 1/delta in place of its logarithm.",
    latex=r"\mathbb{E}_Q |r - \hat r| \le \sqrt{\frac{v}{n \delta} (1 + \chi^2(Q \| P))}",
    source=(
        Source("alquier2018", provenance="secondary"),
        Source("begin2016", provenance="secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(PRIOR_FIRST, DECLARED_MOMENT),
    function="nonvacuous.bounds.chi_square",
)

WASSERSTEIN = Statement(
    key="pb.wasserstein",
    title="PAC-Bayes with Wasserstein distances",
    kind=Kind.CERTIFICATE,
    text="The loss is L-Lipschitz in the predictor. The sample is split into T parts of m_1..m_T examples (n in all), prior P_i independent of part i, "
    "W the 1-Wasserstein distance. With probability at least 1-delta, for all Q at once: r_Q <= rh_Q + sum (2 m_i L/n) W(Q,P_i) + sum of "
    "sqrt(m_i ln(T/delta)/(2 n^2)) for losses in [0, 1], or + sum of sqrt(2 m_i ln(T/delta)/n^2) for losses that are not negative with "
    "E_{P_i} E loss^2 <= 1. For one network W is its distance to the prior's. Between Gaussians W is at most W2.",
    latex=r"r_Q \le \hat r_Q + \sum_i \frac{2 m_i L}{n} W(Q, P_i) + \sum_i \sqrt{\frac{m_i \ln(T/\delta)}{2 n^2}}",
    source=(Source("viallard2023w", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, SPLIT_PRIORS, LIPSCHITZ, DECLARED_RANGE),
    function="nonvacuous.bounds.wasserstein",
)

STATEMENTS: tuple[Statement, ...] = (DISINTEGRATED, RENYI, FDIV, WASSERSTEIN)
