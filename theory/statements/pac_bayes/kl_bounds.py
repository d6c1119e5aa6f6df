"""Bounds on the Gibbs risk through the binary relative entropy, and their relaxations."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, FRESH_DRAWS, IID, PRIOR_FIRST, RANDOM_SPLIT

MOMENT = Assumption(
    "moment",
    "E_S E_P e^phi(h,S) <= C, over the sample and the prior as it is for that sample (which may be fixed, or depend on it).",
)
BETA_FIRST = Assumption(
    "parameter before data", "beta (or the grid, or alpha) was fixed before the n examples were seen."
)

MASTER = Statement(
    key="pb.master",
    title="Generic PAC-Bayes theorem",
    kind=Kind.CERTIFICATE,
    text="Let E_S E_P e^{phi(h,S)} <= C. With probability at least 1-delta over the sample, for all Q at once: "
    "E_Q phi <= K + ln(C/delta). The prior may even depend on the sample, as long as C bounds the moment under that very prior.",
    latex=r"\mathbb{E}_Q \varphi \le \mathrm{KL}(Q \| P) + \ln\frac{C}{\delta}",
    source=(
        Source("germain2009", provenance="secondary"),
        Source("begin2016", provenance="secondary"),
        Source("rivasplata2020", "", "priors that depend on the sample", "secondary"),
    ),
    assumptions=(MOMENT,),
    function="nonvacuous.bounds.master",
)

SEEGER_KL = Statement(
    key="pb.kl",
    title="PAC-Bayes-kl bound (Seeger, Langford, Maurer)",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta over n i.i.d. examples, for all Q at once: kl(rh_Q||r_Q) <= (K + ln(xi(n)/delta))/n, so the true "
    "Gibbs risk r_Q lies between LO(rh_Q, c) and UP(rh_Q, c), c = (K + ln(xi(n)/delta))/n, both at the one delta.",
    latex=r"\mathrm{kl}(\hat r_Q \| r_Q) \le \frac{\mathrm{KL}(Q \| P) + \ln(\xi(n)/\delta)}{n}",
    source=(
        Source("seeger2002", provenance="read"),
        Source("maurer2004", "", "xi(n) in place of 2 sqrt(n)", "read"),
        Source("germain2015", "", "the form with xi(n)", "read"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.seeger_kl",
)

GIBBS_MC = Statement(
    key="pb.gibbs_mc",
    title="Monte-Carlo estimate of the empirical Gibbs risk",
    kind=Kind.CERTIFICATE,
    text="Cut the n examples into parts of at most b and draw m predictors from Q for each part, all independent; rh_MC is the mean over "
    "the examples of the mean loss of their part's draws. With probability at least 1-delta over the draws: rh_Q <= UP(rh_MC, ln(1/delta)/M), "
    "M = m n/b. For a single part M = m; for one part per example M = m n.",
    latex=r"\hat r_Q \le \mathrm{UP}\left(\hat r_{\mathrm{MC}}, \frac{\ln(1/\delta)}{M}\right), \quad M = \frac{m n}{b}",
    source=(
        Source(
            "perezortiz2021", "", "one part and ln(2/delta); one side suffices, and parts are derived here", "secondary"
        ),
        Source("chernoff1952", provenance="standard"),
    ),
    assumptions=(FRESH_DRAWS, BOUNDED_LOSS),
    function="nonvacuous.bounds.gibbs_monte_carlo",
)

DATA_PRIOR = Statement(
    key="pb.data_prior",
    title="PAC-Bayes-kl bound with a prior learned on a split",
    kind=Kind.CERTIFICATE,
    text="Let the prior depend on n0 of the n examples only. With probability at least 1-delta over the other n - n0, for all Q at once (Q may "
    "use all n): kl(rh_Q||r_Q) <= (K + ln(xi(n-n0)/delta))/(n-n0), where rh_Q is the empirical risk on those n - n0 examples.",
    latex=r"\mathrm{kl}(\hat r_Q \| r_Q) \le \frac{\mathrm{KL}(Q \| P_{S_0}) + \ln(\xi(n - n_0)/\delta)}{n - n_0}",
    source=(Source("perezortiz2021", provenance="standard"), Source("here", provenance="derived")),
    assumptions=(IID, RANDOM_SPLIT, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.seeger_kl_split",
)

MCALLESTER = Statement(
    key="pb.mcallester",
    title="McAllester's square-root bound",
    kind=Kind.CERTIFICATE,
    text="With probability at least 1-delta over n i.i.d. examples, for all Q at once: |r_Q - rh_Q| <= sqrt((K + ln(xi(n)/delta))/(2n)), both "
    "sides at the one delta. So do the older forms with (K + ln(1/delta) + (5/2) ln n + 8)/(2n-1) for n >= 1, and with "
    "(K + ln(n/delta))/(2(n-1)) or (K + ln(n/delta))/(2n-1) for n >= 2 under the root.",
    latex=r"|r_Q - \hat r_Q| \le \sqrt{\frac{\mathrm{KL}(Q \| P) + \ln(\xi(n)/\delta)}{2 n}}",
    source=(
        Source("mcallester1999", "", "the constants are those of public code; the proof is ours", "secondary"),
        Source("mcallester2003", "", "the same", "secondary"),
        Source("maurer2004", "", "xi(n) in place of 2 sqrt(n)", "read"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.mcallester",
)

QUAD = Statement(
    key="pb.quad",
    title="Quadratic relaxation of the PAC-Bayes-kl bound",
    kind=Kind.CERTIFICATE,
    text="Let c = (K + ln(xi(n)/delta))/n. On the event of pb.kl, for all Q at once: r_Q <= (sqrt(rh_Q + c/2) + sqrt(c/2))^2 = "
    "rh_Q + c + sqrt(c^2 + 2 rh_Q c), and r_Q >= rh_Q - sqrt(2 rh_Q c). Never tighter than pb.kl.",
    latex=r"r_Q \le \left(\sqrt{\hat r_Q + \frac{c}{2}} + \sqrt{\frac{c}{2}}\right)^2, \qquad c = \frac{\mathrm{KL}(Q \| P) + \ln(\xi(n)/\delta)}{n}",
    source=(
        Source("perezortiz2021", "", "f_quad, there with 2 sqrt(n)", "secondary"),
        Source("here", "", "the lower side", "derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.quad",
)

LAMBDA = Statement(
    key="pb.lambda",
    title="Lambda bound (Thiemann, Igel, Wintenberger, Seldin)",
    kind=Kind.CERTIFICATE,
    text="Let c = (K + ln(xi(n)/delta))/n. On the event of pb.kl, for all Q, all l in (0,2) and all g > 0 at once: "
    "r_Q <= rh_Q/(1-l/2) + c/(l(1-l/2)) and r_Q >= (1-g/2) rh_Q - c/g. The best l is 2/(sqrt(2 rh_Q/c + 1) + 1), and the value there is "
    "that of pb.quad. At fixed l the best Q is the Gibbs law with density proportional to e^{-l n rh(h)}.",
    latex=r"r_Q \le \frac{\hat r_Q}{1 - \lambda/2} + \frac{\mathrm{KL}(Q \| P) + \ln(\xi(n)/\delta)}{n \lambda (1 - \lambda/2)}",
    source=(
        Source("thiemann2017", "", "there with 2 sqrt(n)", "secondary"),
        Source("here", "", "the value at the best l is that of pb.quad", "derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.thiemann_lambda",
)

CATONI = Statement(
    key="pb.catoni",
    title="Catoni's bound at a fixed parameter",
    kind=Kind.CERTIFICATE,
    text="Fix beta > 0 in advance. With probability at least 1-delta over n i.i.d. examples, for all Q at once: "
    "r_Q <= (1 - exp(-beta rh_Q - (K + ln(1/delta))/n))/(1 - e^{-beta}). For a fixed beta < 0 the same expression is a lower bound, at a "
    "delta of its own. The smallest value over beta is UP(rh_Q, (K + ln(1/delta))/n), which is not a bound: every bound lies above it.",
    latex=r"r_Q \le \frac{1 - \exp\left(-\beta \hat r_Q - \frac{\mathrm{KL}(Q \| P) + \ln(1/\delta)}{n}\right)}{1 - e^{-\beta}}",
    source=(Source("catoni2007", provenance="secondary"), Source("here", "", "the optimum over beta", "derived")),
    assumptions=(IID, PRIOR_FIRST, BETA_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.catoni",
)

CATONI_GRID = Statement(
    key="pb.catoni_grid",
    title="Catoni's bound over a grid of parameters",
    kind=Kind.CERTIFICATE,
    text="Fix a grid of G values of beta > 0 in advance. With probability at least 1-delta over n i.i.d. examples, for all Q and every beta of "
    "the grid at once: r_Q <= (1 - exp(-beta rh_Q - (K + ln(G/delta))/n))/(1 - e^{-beta}).",
    latex=r"r_Q \le \min_{\beta \in B} \frac{1 - \exp\left(-\beta \hat r_Q - \frac{\mathrm{KL}(Q \| P) + \ln(|B|/\delta)}{n}\right)}{1 - e^{-\beta}}",
    source=(Source("catoni2007", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, PRIOR_FIRST, BETA_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.catoni_grid",
)

CATONI_CONTINUOUS = Statement(
    key="pb.catoni_continuous",
    title="Catoni's bound for every lambda of at least one",
    kind=Kind.CERTIFICATE,
    text="Fix alpha > 1 in advance and let Phi_a^{-1}(x) = (1 - e^{-a x})/(1 - e^{-a}). With probability at least 1-delta over n i.i.d. "
    "examples, for all Q and all lambda >= 1 at once: "
    "r_Q <= Phi_{lambda/n}^{-1}(rh_Q + (alpha/lambda)(K + ln(1/delta) + 2 ln(ln(alpha^2 lambda)/ln alpha))).",
    latex=r"r_Q \le \Phi_{\lambda/n}^{-1}\left(\hat r_Q + \frac{\alpha}{\lambda}\left(\mathrm{KL}(Q \| P) + \ln\frac{1}{\delta} + 2 \ln\frac{\ln(\alpha^2 \lambda)}{\ln \alpha}\right)\right)",
    source=(
        Source("catoni2007", provenance="secondary"),
        Source("zhou2019", "", "the expression in compression-bound code", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(IID, PRIOR_FIRST, BETA_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.catoni_continuous",
)

CATONI_UNIFORM = Statement(
    key="pb.catoni_uniform",
    title="Catoni's form of the PAC-Bayes-kl bound, for all parameters at once",
    kind=Kind.CERTIFICATE,
    text="Let c = (K + ln(xi(n)/delta))/n. On the event of pb.kl, for all Q and all beta > 0 at once: "
    "r_Q <= (1 - exp(-beta rh_Q - c))/(1 - e^{-beta}), with the smallest value UP(rh_Q, c); for beta < 0 the same expression is a lower bound.",
    latex=r"r_Q \le \inf_{\beta > 0} \frac{1 - e^{-\beta \hat r_Q - c}}{1 - e^{-\beta}} = \mathrm{UP}(\hat r_Q, c)",
    source=(
        Source("here", provenance="derived"),
        Source("rodriguezgalvez2024", "", "the same point for their fast-rate bound", "secondary"),
    ),
    assumptions=(IID, PRIOR_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.catoni_uniform",
)

PBB = Statement(
    key="pb.pbb",
    title="Certificate of PAC-Bayes with backprop",
    kind=Kind.CERTIFICATE,
    text="Let rh_MC be the mean empirical risk of m fresh draws from Q. With probability at least 1 - delta - delta' over the n examples and the "
    "draws: r_Q <= UP(UP(rh_MC, ln(2/delta')/m), (K + ln(2 sqrt(n)/delta))/n); ln(1/delta') is enough. If the prior was picked from a sequence "
    "fixed in advance after seeing the data, its j-th member adds 2 ln j + ln(pi^2/6) to K.",
    latex=r"r_Q \le \mathrm{UP}\left(\mathrm{UP}\left(\hat r_{\mathrm{MC}}, \frac{\ln(2/\delta^{\prime})}{m}\right), \frac{\mathrm{KL}(Q \| P) + \ln(2 \sqrt{n}/\delta)}{n}\right)",
    source=(
        Source("perezortiz2021", provenance="secondary"),
        Source("dziugaite2017", "", "the union over prior scales", "secondary"),
    ),
    assumptions=(IID, PRIOR_FIRST, FRESH_DRAWS, BOUNDED_LOSS),
    function="nonvacuous.bounds.pbb",
)

SMALL_DATA = Statement(
    key="pb.smalldata",
    title="What no generic PAC-Bayes bound can reach",
    kind=Kind.INEQUALITY,
    text="Let D(q,p) be convex in q and I_D(n) = sup_p E exp(n D(k/n,p)) over k ~ Binomial(n,p). Then D(q,p) <= kl(q||p) + ln(I_D(n))/n, so the "
    "bound D(rh_Q,r_Q) <= (K + ln(I_D(n)/delta))/n never excludes a risk below UP(rh_Q, (K + ln(1/delta))/n). Catoni's bound at the best "
    "parameter attains it; it is no bound itself.",
    latex=r"\sup\left\{p : D(\hat r_Q, p) \le \frac{\mathrm{KL}(Q \| P) + \ln(I_D(n)/\delta)}{n}\right\} \ge \mathrm{UP}\left(\hat r_Q, \frac{\mathrm{KL}(Q \| P) + \ln(1/\delta)}{n}\right)",
    source=(Source("foong2021", provenance="secondary"), Source("here", provenance="derived")),
    function="nonvacuous.bounds.small_data_envelope",
)

STATEMENTS: tuple[Statement, ...] = (
    MASTER,
    SEEGER_KL,
    GIBBS_MC,
    DATA_PRIOR,
    MCALLESTER,
    QUAD,
    LAMBDA,
    CATONI,
    CATONI_GRID,
    CATONI_CONTINUOUS,
    CATONI_UNIFORM,
    PBB,
    SMALL_DATA,
)
