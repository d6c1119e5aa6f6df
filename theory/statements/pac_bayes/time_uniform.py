"""Bounds that hold at all sample sizes at once: universal portfolios, betting, supermartingales."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, PRIOR_FIRST

SAME_MEAN = Assumption(
    "constant conditional mean",
    "Given the past, the loss of the next example under predictor h has mean r(h); i.i.d. examples do.",
)
PREDICTABLE = Assumption("predictable rates", "Each rate l_i > 0 was fixed before example i was seen.")
DECLARED = Assumption(
    "declared scale",
    "The losses keep to what the instance declares: the range [0, 1], a variance proxy, a second moment, variances.",
)

KT = Statement(
    key="pb.kt",
    title="Krichevsky-Trofimov constant",
    kind=Kind.IDENTITY,
    text="kt(n) = `sqrt(pi)*gamma(n + 1)/gamma(n + Rational(1, 2))`, the product of 2k/(2k-1) for k = 1..n, is the largest ratio of the "
    "best coin's likelihood in hindsight to that of the Beta(1/2,1/2) mixture of coins over binary sequences of length n. "
    "sqrt(n) <= xi(n) <= kt(n) <= 2 sqrt(n) for every n >= 1, all but the first equal at n = 1.",
    latex=r"\operatorname{kt}{\left(n \right)} = \frac{\sqrt{\pi} \Gamma\left(n + 1\right)}{\Gamma\left(n + \frac{1}{2}\right)}",
    relation="Eq(kt(n), sqrt(pi)*gamma(n + 1)/gamma(n + Rational(1, 2)))",
    source=(
        Source("krichevsky1981", "", "the exact constant and the order with xi(n) are derived here", "standard"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.kt_constant",
)

KL_ANYTIME = Statement(
    key="pb.kl_anytime",
    title="Time-uniform PAC-Bayes-kl bound",
    kind=Kind.CERTIFICATE,
    text="Losses in [0, 1], each with conditional mean r(h) given the past. With probability at least 1-delta, for all n >= 1 and all Q at "
    "once (Q may change with n): kl(rh_Q||r_Q) <= (K + ln(kt(n)/delta))/n. Since kt(n) <= 2 sqrt(n), the classical constant of a "
    "fixed n pays for all n.",
    latex=r"\forall n: \mathrm{kl}(\hat r_Q \| r_Q) \le \frac{\mathrm{KL}(Q \| P) + \ln(\mathrm{kt}(n)/\delta)}{n}",
    source=(
        Source("here", provenance="derived"),
        Source("jang2023", "", "equivalent content through coin-betting", "secondary"),
    ),
    assumptions=(SAME_MEAN, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.kl_anytime",
)

BETTING_CI = Statement(
    key="pb.betting_ci",
    title="Confidence sequence for a mean by betting",
    kind=Kind.CERTIFICATE,
    text="Let psi_n(u) be the largest sum of ln(1 + b (f_i - u)) over bets b in [-1/(1-u), 1/u], u a candidate mean. One predictor fixed in "
    "advance, losses f_i in [0, 1] with conditional mean r: with probability at least 1-delta, psi_n(r) <= ln(kt(n)/delta) for all "
    "n at once. So r lies in the interval of all u with psi_n(u) <= ln(kt(n)/delta).",
    latex=r"\forall n: \max_b \sum_{i \le n} \ln(1 + b (f_i - r)) \le \ln \frac{\mathrm{kt}(n)}{\delta}",
    source=(
        Source("orabona2024", "", "regret of the universal portfolio", "secondary"),
        Source("waudbysmith2024", "", "estimating a mean by betting", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(SAME_MEAN, BOUNDED_LOSS),
    function="nonvacuous.bounds.betting_interval",
)

BETTING = Statement(
    key="pb.betting",
    title="PAC-Bayes by betting",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta, for all n and all Q at once: E_Q psi_n(h, r(h)) <= K + ln(kt(n)/delta), psi_n(h, u) the largest "
    "sum over i of ln(1 + b (f_i(h) - u)) over the bets b. For a posterior on finitely many predictors the true Gibbs risk is at most the "
    "largest sum of rho_j u_j with sum of rho_j psi_n(h_j, u_j) <= K + ln(kt(n)/delta). It implies pb.kl_anytime.",
    latex=r"\forall n: \mathbb{E}_Q \max_b \sum_{i \le n} \ln(1 + b (f_i(h) - r(h))) \le \mathrm{KL}(Q \| P) + \ln \frac{\mathrm{kt}(n)}{\delta}",
    source=(
        Source("jang2023", "", "the maximum over Q on finitely many predictors is solved here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(SAME_MEAN, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.betting_pac_bayes",
)

CHUGG = Statement(
    key="pb.chugg",
    title="Time-uniform PAC-Bayes from supermartingales",
    kind=Kind.CERTIFICATE,
    text="If for each h the exponential of the sum over i <= t of l_i (r(h) - f_i(h)) - psi_i(h) is a supermartingale, with predictable rates "
    "l_i > 0: with probability at least 1-delta, for all t and all Q at once, r_Q <= (sum l_i E_Q f_i + sum E_Q psi_i + K + ln(1/delta))/"
    "sum l_i. Instances: psi = l^2/8 for losses in [0, 1]; l^2 s^2/2 for sub-Gaussian losses; l^2 E f^2/2 for losses that are not "
    "negative; l^2 (f-r)^2/6 + l^2 Var/3 for losses with a variance. The last three certify only under declared moments.",
    latex=r"\forall t: r_Q \le \frac{\sum_i \lambda_i \mathbb{E}_Q f_i + \sum_i \mathbb{E}_Q \psi_i + \mathrm{KL}(Q \| P) + \ln(1/\delta)}{\sum_i \lambda_i}",
    source=(
        Source("chugg2023", provenance="secondary"),
        Source("delyon2009", "", "the lemma of the last instance, proved anew", "secondary"),
        Source("haddouche2023", "", "heavy-tailed losses", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(SAME_MEAN, PRIOR_FIRST, PREDICTABLE, DECLARED),
    function="nonvacuous.bounds.supermartingale",
)

STATEMENTS: tuple[Statement, ...] = (KT, KL_ANYTIME, BETTING_CI, BETTING, CHUGG)
