"""From Gibbs risk to the majority vote: oracle inequalities and their certificates.

Voters have weights rho; err(x) is the weight of the voters that err on x; L = E err is the Gibbs risk, L2 = E err^2 the tandem loss
(the probability that two independent voters err together), D = 2(L - L2) the probability that exactly one of the two errs.
"""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import IID, PRIOR_FIRST

ZERO_ONE = Assumption(
    "0-1 loss of every voter", "Each voter answers with a class, and its loss is 1 where that is wrong."
)
OUT_OF_BAG = Assumption(
    "own examples",
    "Where voters are judged on different examples, each (and each pair) is judged on examples that it was not fitted on; which ones was "
    "decided without looking at the data, and n (n2) is the smallest number of them.",
)
FINITE_SIMPLEX = Assumption(
    "prior concentrations first",
    "The prior concentrations were chosen without looking at the n examples of the empirical risk.",
)

_SHARED = (IID, PRIOR_FIRST, ZERO_ONE, OUT_OF_BAG)

MV_ORACLE = Statement(
    key="pb.mv_oracle",
    title="Risk of the majority vote through one and two moments of the error weight",
    kind=Kind.INEQUALITY,
    text="The weighted vote errs only where err >= 1/2. So R <= 2L, R <= 4 L2 = 4L - 2D, for every mu < 1/2 "
    "R <= (L2 - 2 mu L + mu^2)/(1/2 - mu)^2, and if L < 1/2 the C-bound R <= (L2 - L^2)/(L2 - L + 1/4) = 1 - (1-2L)^2/(1-2D). "
    "True for any number of classes, and wherever ties count as errors.",
    latex=r"R \le 2L, \quad R \le 4 L_2, \quad R \le \frac{L_2 - 2\mu L + \mu^2}{(1/2-\mu)^2}, \quad R \le \frac{L_2 - L^2}{L_2 - L + 1/4}",
    source=(
        Source("lacasse2006", "", "the C-bound", "secondary"),
        Source("masegosa2020mv", "", "the tandem loss", "secondary"),
        Source("wu2021", "", "the form with a free mu", "secondary"),
        Source("here", provenance="derived"),
    ),
)

MV_ORDER = Statement(
    key="pb.mv_order",
    title="The order of the majority-vote inequalities",
    kind=Kind.INEQUALITY,
    text="Let L < 1/2. The C-bound C is the minimum over mu < 1/2 of (L2 - 2 mu L + mu^2)/(1/2 - mu)^2, attained at mu = (L/2 - L2)/(1/2 - L). "
    "4 L2 - C = 4(D - L)^2/(1-2D), 2L - C = 2(1-2L)(D-L)/(1-2D) and 2L - 4 L2 = 2(D - L): so C <= 4 L2 always, "
    "L <= D gives C <= 4 L2 <= 2L, and otherwise 2L < C <= 4 L2.",
    latex=r"4L_2 - C = \frac{4(D-L)^2}{1-2D}, \qquad 2L - C = \frac{2(1-2L)(D-L)}{1-2D}",
    source=(Source("masegosa2020mv", provenance="secondary"), Source("here", provenance="derived")),
)

MV_FO = Statement(
    key="pb.mv_fo",
    title="First-order bound on the majority vote",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta, for all weights rho at once: the risk of the weighted majority vote is at most "
    "2 UP(Lh, (K + ln(xi(n)/delta))/n), Lh the empirical Gibbs risk.",
    latex=r"R(\mathrm{MV}_\rho) \le 2\,\mathrm{UP}\left(\hat L, \frac{K + \ln(\xi(n)/\delta)}{n}\right)",
    source=(Source("masegosa2020mv", "", "xi(n) in place of 2 sqrt(n)", "secondary"),),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_first_order",
)

MV_TANDEM = Statement(
    key="pb.mv_tandem",
    title="Tandem bound on the majority vote",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta, for all weights rho at once: the risk of the weighted majority vote is at most "
    "4 UP(L2h, (2K + ln(xi(n2)/delta))/n2), L2h the empirical frequency with which two voters drawn from rho err together.",
    latex=r"R(\mathrm{MV}_\rho) \le 4\,\mathrm{UP}\left(\hat L_2, \frac{2K + \ln(\xi(n_2)/\delta)}{n_2}\right)",
    source=(Source("masegosa2020mv", "", "xi(n) in place of 2 sqrt(n)", "secondary"),),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_tandem",
)

MV_DIS = Statement(
    key="pb.mv_dis",
    title="Disagreement bound on the majority vote (unlabelled examples)",
    kind=Kind.CERTIFICATE,
    text="Take n2 examples whose labels are not needed. With probability at least 1-delta1-delta2, for all weights rho at once: the "
    "risk of the majority vote is at most 4 UP(Lh, (K + ln(xi(n)/delta1))/n) - 2 LO(Dh, (2K + ln(xi(n2)/delta2))/n2), Dh the frequency with "
    "which two voters drawn from rho say different classes. With two classes 4L - 2D = 4 L2; with more, D is larger than the probability that exactly one "
    "errs, and 4L - 2D is below 4 L2 but still above the risk of the plurality vote.",
    latex=r"R(\mathrm{MV}_\rho) \le 4\,\mathrm{UP}\left(\hat L, \frac{K + \ln(\xi(n)/\delta_1)}{n}\right) "
    r"- 2\,\mathrm{LO}\left(\hat D, \frac{2K + \ln(\xi(n_2)/\delta_2)}{n_2}\right)",
    source=(
        Source("masegosa2020mv", "", "two classes there; xi(n) in place of 2 sqrt(n)", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_disagreement",
)

MV_CTANDEM = Statement(
    key="pb.mv_ctandem",
    title="C-bound of two intervals",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta1-delta2, for all weights rho at once, L lies in [LO(Lh), UP(Lh)] and L2 in [LO(L2h), UP(L2h)] (K and 2K). "
    "The risk of the majority vote is then at most the largest C-bound of that box: 1 if UP(Lh) >= 1/2 and UP(L2h) >= 1/4, else (b - a^2)/(b - a + 1/4) "
    "at b = UP(L2h) and a = 2b moved into [LO(Lh), UP(Lh)]; never above 4 UP(L2h). The weaker separate form bounds numerator by UP(L2h) - LO(Lh)^2 and denominator by "
    "LO(L2h) - UP(Lh) + 1/4, and is 1 unless UP(Lh) < 1/2 and that is positive.",
    latex=r"R(\mathrm{MV}_\rho) \le \sup \left\{ \frac{L_2 - L^2}{L_2 - L + 1/4} : \mathrm{kl}(\hat L \| L) \le c_1, \mathrm{kl}(\hat L_2 \| L_2) \le c_2 \right\}",
    source=(
        Source("masegosa2020mv", "", "the separate form; the supremum over the box is derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_cbound",
)

MV_CBOUND = Statement(
    key="pb.mv_cbound",
    title="Joint C-bound of the majority vote",
    kind=Kind.CERTIFICATE,
    text="Two voters drawn from rho: e the probability that both err, d that exactly one does. With probability at least 1-delta, for all rho at once, "
    "KL((dh,eh)||(d,e)) <= c = (2K + ln((xi(n)+n)/delta))/n, and the risk of the majority vote is at most the largest C-bound 1 - (1-2e-d)^2/(1-2d) over "
    "the (d,e) that satisfy this and e >= (e + d/2)^2; 1 if one of them has 2e + d >= 1. It equals the minimum over a > 0 and b >= (1+a)^2 of "
    "b - exp(-c) (b-(1+a)^2)^eh (b-1+a^2)^dh (b-(1-a)^2)^(1-eh-dh).",
    latex=r"R(\mathrm{MV}_\rho) \le \sup \left\{ 1 - \frac{(1-2e-d)^2}{1-2d} : \mathrm{KL}(\hat d, \hat e \| d, e) \le \frac{2K + \ln((\xi(n)+n)/\delta)}{n} \right\}",
    source=(
        Source("germain2015", "", "xi(n) + n as the constant; the dual form is derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_cbound_joint",
)

MV_CC = Statement(
    key="pb.mv_cc",
    title="Chebyshev-Cantelli bound on the majority vote",
    kind=Kind.CERTIFICATE,
    text="Let mu < 1/2. With probability at least 1-delta, for all weights rho at once, the risk of the majority vote is at most "
    "max{mu^2 s - mu(1-mu) d + (1-mu)^2 e : KL((dh,eh)||(d,e)) <= (2K + ln((xi(n)+n)/delta))/n}/(1/2-mu)^2 with s = 1-d-e. The event does not involve mu, so this holds for "
    "all mu at once and may be minimised freely; the minimum is the joint C-bound. Bounding the loss of each mu by binary kl instead is an event of its "
    "own for each: a list of G values fixed in advance costs ln G.",
    latex=r"R(\mathrm{MV}_\rho) \le \frac{\max \{ \mu^2 s - \mu(1-\mu) d + (1-\mu)^2 e : \mathrm{KL}(\hat d, \hat e \| d, e) \le c \}}{(1/2-\mu)^2}",
    source=(
        Source("wu2021", "", "they bound the loss of each mu by a Bennett inequality on a grid", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=_SHARED,
    function="nonvacuous.bounds.majority_vote_chebyshev_cantelli",
)

MV_DIRICHLET = Statement(
    key="pb.mv_dirichlet",
    title="Stochastic majority vote with Dirichlet weights",
    kind=Kind.CERTIFICATE,
    text="Draw the weights from Dirichlet(a), and vote. The vote errs on an example with probability at most I_{1/2}(A, B) (exactly that with two classes), "
    "A and B the sums of the concentrations of the voters that are right and wrong, I the regularised incomplete beta function. With probability at least "
    "1-delta, for all a at once, its true mean is at most UP(mean I_{1/2}(A_i, B_i), (KL(Dir(a)||Dir(b)) + ln(xi(n)/delta))/n).",
    latex=r"\mathbb{E}_{\rho \sim \mathrm{Dir}(a)} R(\mathrm{MV}_\rho) \le \mathrm{UP}\left(\frac{1}{n} \sum_i I_{1/2}(A_i, B_i), "
    r"\frac{\mathrm{KL}(\mathrm{Dir}(a) \| \mathrm{Dir}(b)) + \ln(\xi(n)/\delta)}{n}\right)",
    source=(Source("zantedeschi2021", "", "xi(n) in place of 2 sqrt(n)", "secondary"),),
    assumptions=(IID, FINITE_SIMPLEX, ZERO_ONE),
    function="nonvacuous.bounds.stochastic_majority_vote",
)

STATEMENTS: tuple[Statement, ...] = (
    MV_ORACLE,
    MV_ORDER,
    MV_FO,
    MV_TANDEM,
    MV_DIS,
    MV_CTANDEM,
    MV_CBOUND,
    MV_CC,
    MV_DIRICHLET,
)
