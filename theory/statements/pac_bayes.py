"""PAC-Bayes and large deviations: the statements. Natural logarithms; K is KL(Q||P) in nats."""

from __future__ import annotations

from ..statement import Assumption, Kind, Source, Statement

IID = Assumption("i.i.d. examples", "The n examples of the empirical risk are independent draws from one distribution.")
PRIOR_FIRST = Assumption(
    "prior before data", "The prior was chosen without looking at the n examples of the empirical risk."
)
FRESH_DRAWS = Assumption(
    "fresh draws", "The m posterior draws were made after the posterior and m were fixed, and used once."
)
RANDOM_SPLIT = Assumption("random split", "The split does not depend on the examples that the bound is computed on.")


# A mean in [0, 1] does not show that every loss is: only a function that sees the losses can say that it holds.
BOUNDED_LOSS = Assumption("loss in [0, 1]", "The loss of every example lies in [0, 1].")

DV = Statement(
    key="pb.dv",
    title="Donsker-Varadhan change of measure",
    kind=Kind.IDENTITY,
    text="For every measurable f with E_P e^f finite and every Q: E_Q f <= K + ln E_P e^f, with equality iff dQ/dP is "
    "proportional to e^f. So the supremum over Q of E_Q f - K is ln E_P e^f.",
    latex=r"\sup_Q \{ \mathbb{E}_Q f - \mathrm{KL}(Q \| P) \} = \ln \mathbb{E}_P e^{f}",
    source=(
        Source("donsker1975", "", "finite spaces are proved here; the general case is the textbook limit", "standard"),
    ),
)

XI = Statement(
    key="pb.xi",
    title="Maurer's constant, exact value",
    kind=Kind.IDENTITY,
    text="xi(n), the sum over k of C(n,k) (k/n)^k (1-k/n)^(n-k), equals `exp(n)*uppergamma(n + 1, n)/n**n`. For 0-1 losses with "
    "risk r in (0,1), E exp(n kl(rh||r)) = xi(n) for every r; for losses in [0,1] it is at most xi(n). "
    "sqrt(n) <= xi(n) <= 2 sqrt(n) for every n >= 1.",
    latex=r"\xi{\left(n \right)} = n^{- n} e^{n} \Gamma\left(n + 1, n\right)",
    relation="Eq(xi(n), exp(n)*uppergamma(n + 1, n)/n**n)",
    source=(
        Source("maurer2004", "", "the exact value and its closed form are derived here", "standard"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.maurer_xi",
)

KLINV = Statement(
    key="pb.klinv",
    title="Inverse of the binary relative entropy",
    kind=Kind.IDENTITY,
    text="UP(q,c), the largest p with kl(q||p) <= c, satisfies kl(q||UP(q,c)) = c whenever it is below 1, and LO(q,c) = 1 - UP(1-q,c). "
    "With h(x) = x - ln(1+x), kl(q||q+g) = q h(g/q) + (1-q) h(-g/(1-q)), two non-negative terms.",
    latex=r"\mathrm{kl}(q \| \mathrm{UP}(q, c)) = c",
    source=(Source("langford2005", "", "stable evaluation and outward rounding are derived here", "standard"),),
    function="nonvacuous.numerics.certified.kl_upper",
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
    text="Draw m predictors from Q and let rh_MC be the mean of their empirical risks, each over all examples. With probability at least "
    "1-delta over the draws: rh_Q <= UP(rh_MC, ln(1/delta)/m).",
    latex=r"\hat r_Q \le \mathrm{UP}\left(\hat r_{\mathrm{MC}}, \frac{\ln(1/\delta)}{m}\right)",
    source=(
        Source("perezortiz2021", "", "they use ln(2/delta); one side suffices", "secondary"),
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

CRAMER = Statement(
    key="pb.cramer",
    title="Cumulant generating function, rate function and inverse rate: the exponential law",
    kind=Kind.IDENTITY,
    text="With J(l) = ln E exp(l (L - loss)) and I its Legendre transform, Iinv(s) = inf over l of (J(l) + s)/l equals L minus the least "
    "mean of a law within relative entropy s of the loss's law. For an exponential loss of mean b: "
    "J(l) = b l - ln(1 + b l), I(a) = -a/b - ln(1 - a/b), Iinv(s) = b (1 + W0(-exp(-1-s))). "
    "So P(L - Lh >= a) <= exp(-n I(a)) for the mean Lh of n losses.",
    latex=r"\mathcal{I}^{-1}(s) = \inf_{\lambda > 0} \frac{J(\lambda) + s}{\lambda} = b \left( 1 + W_0(-e^{-1-s}) \right)",
    source=(
        Source("cramer1938", provenance="standard"),
        Source("masegosa2025", "", "notation", "secondary"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.inverse_rate_exponential",
)

STATEMENTS = (DV, XI, KLINV, SEEGER_KL, GIBBS_MC, DATA_PRIOR, CRAMER)
