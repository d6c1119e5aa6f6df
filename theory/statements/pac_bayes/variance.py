"""Bounds that see the spread of the losses: Bernstein forms, vector relative entropies, recursive priors."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, FRESH_DRAWS, IID, PRIOR_FIRST
from .held_out import ZERO_ONE

LEVELS_FIRST = Assumption(
    "levels before data", "The levels (or the point of the split) were fixed before the examples were seen."
)
CONSTANTS_FIRST = Assumption(
    "constants before data", "c1, c2 and the split of delta were fixed before the examples were seen."
)
GRID_FIRST = Assumption("grid before data", "The grid was fixed before the examples were seen.")
OUTCOMES = Assumption("named outcomes", "Every loss takes one of the named values.")
SEQUENCE = Assumption(
    "priors and factors in sequence",
    "The t-th posterior and the factor gamma_t used parts before t (the posterior: up to t) only; the parts are disjoint.",
)

EB = Statement(
    key="pb.eb",
    title="PAC-Bayes empirical Bernstein bound",
    kind=Kind.CERTIFICATE,
    text="Let V be the posterior mean of the unbiased empirical variances and delta = delta1 + delta2. With A1 = K + ln(nu1/delta1) and "
    "A2 = K + ln(nu2/delta2), Vbar = min(1/4, V + (1+c1) sqrt(V A1/(2(n-1))) + 2 c1 A1/(n-1)): with probability at least 1-delta, for all Q at "
    "once, r_Q <= rh_Q + (1+c2) sqrt((e-2) Vbar A2/n) if A2 <= n (e-2) Vbar, and r_Q <= rh_Q + 2 A2/n otherwise. The sizes of the grids are "
    "nu1 = ceil(ln(sqrt((n-1)/ln(1/delta1) + 1)/2 + 1/2)/ln c1) and nu2 = ceil(ln(sqrt((e-2) n/(4 ln(1/delta2))))/ln c2) + 1, at least 1.",
    latex=r"r_Q \le \hat r_Q + (1 + c_2) \sqrt{\frac{(e-2) \bar V (\mathrm{KL}(Q \| P) + \ln(\nu_2/\delta_2))}{n}}",
    source=(
        Source("tolstikhin2013", "", "nu1 and nu2 clipped at 1, Vbar at 1/4", "secondary"),
        Source("here", "", "the Bernstein part", "derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS, CONSTANTS_FIRST),
    function="nonvacuous.bounds.empirical_bernstein",
)

UB = Statement(
    key="pb.ub",
    title="PAC-Bayes unexpected Bernstein bound",
    kind=Kind.CERTIFICATE,
    text="For losses at most b and a grid G of rates eta in (0, 1/b) fixed before the data: with probability at least 1-delta, for all Q and all eta "
    "in G at once, r_Q <= rh_Q + c_eta E_Q[mean loss^2] + (K + ln(|G|/delta))/(eta n), c_eta = (-ln(1 - eta b) - eta b)/(eta b^2).",
    latex=r"r_Q \le \hat r_Q + c_\eta \mathbb{E}_Q \frac{1}{n} \sum_i \ell_i^2 + \frac{\mathrm{KL}(Q \| P) + \ln(|G|/\delta)}{\eta n}",
    source=(Source("mhammedi2019", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS, GRID_FIRST),
    function="nonvacuous.bounds.unexpected_bernstein",
)

SPLIT_KL = Statement(
    key="pb.split_kl",
    title="PAC-Bayes split-kl bound",
    kind=Kind.CERTIFICATE,
    text="Let losses X take values in b_0 < ... < b_M, so that X = b_0 + sum of a_j 1[X >= b_j] with a_j = b_j - b_(j-1). With probability at least "
    "1-delta, for all Q at once, E_Q E X <= b_0 + sum of a_j UP(F_j, (K + ln(M xi(n)/delta))/n), F_j the posterior frequency of X >= b_j. For "
    "losses in [a, b] split at mu: E_Q E X <= mu + (b-mu) UP(F+/(b-mu), c) - (mu-a) LO(F-/(mu-a), c), c = (K + ln(2 xi(n)/delta))/n, F+ and F- the "
    "posterior means of max(0, X-mu) and max(0, mu-X).",
    latex=r"\mathbb{E}_Q \mathbb{E} X \le b_0 + \sum_{j=1}^{M} a_j \mathrm{UP}\left( F_j, \frac{\mathrm{KL}(Q \| P) + \ln(M \xi(n)/\delta)}{n} \right)",
    source=(Source("wu2022", "", "xi(n) in place of 2 sqrt(n)", "secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, LEVELS_FIRST, OUTCOMES),
    function="nonvacuous.bounds.split_kl",
)

TRIKL = Statement(
    key="pb.trikl",
    title="PAC-Bayes bound through the relative entropy of outcome frequencies",
    kind=Kind.CERTIFICATE,
    text="Let each loss take one of M values f_1..f_M, and let u be the posterior mean of the M frequencies. With probability at least 1-delta, for all "
    "Q at once, KL(uh_Q||u_Q) <= (K + ln(C(M,n)/delta))/n, so E_Q E X is at most the largest sum of f_i p_i over laws p in that ball around "
    "uh_Q. For excess losses in {-1, 0, 1}: M = 3 and C = xi(n) + n.",
    latex=r"\mathrm{KL}(\hat u_Q \| u_Q) \le \frac{\mathrm{KL}(Q \| P) + \ln(C(M, n)/\delta)}{n}",
    source=(
        Source("here", "", "the exact constant", "derived"),
        Source("biggs2023", "", "ln(2n) for M = 3", "secondary"),
    ),
    assumptions=(IID, PRIOR_FIRST, LEVELS_FIRST, OUTCOMES),
    function="nonvacuous.bounds.vector_kl",
)

RPB = Statement(
    key="pb.rpb",
    title="Recursive PAC-Bayes",
    kind=Kind.CERTIFICATE,
    text="Cut the sample into T parts; pi_0 is fixed and pi_t may depend on parts 1..t, gamma_t on parts before t; n_t is the size of parts t..T. With "
    "probability at least 1-delta, for all t: the risk of pi_1 is at most B_1 = UP(rh, (KL(pi_1||pi_0) + ln(T xi(n_1)/delta))/n_1), and that of "
    "pi_t at most B_t = E_t + gamma_t B_(t-1), where E_t bounds the excess loss(h) - gamma_t loss(h') of h ~ pi_t over h' ~ pi_(t-1), with values "
    "in {-gamma, 0, 1-gamma, 1}, on parts t..T: by split-kl at delta/T, or by the relative entropy of its four frequencies at delta/T.",
    latex=r"B_t = E_t + \gamma_t B_{t-1}, \quad B_1 = \mathrm{UP}\left( \hat r, \frac{\mathrm{KL}(\pi_1 \| \pi_0) + \ln(T \xi(n_1)/\delta)}{n_1} \right)",
    source=(
        Source("wu2024", "", "xi(n) for 2 sqrt(n); the four-outcome form is ours", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, SEQUENCE, ZERO_ONE, FRESH_DRAWS),
    function="nonvacuous.bounds.recursive_pac_bayes",
)

STATEMENTS: tuple[Statement, ...] = (EB, UB, SPLIT_KL, TRIKL, RPB)
