"""Bounds on the Gibbs risk through the binary relative entropy, and their relaxations."""

from __future__ import annotations

from ...statement import Kind, Source, Statement
from .common import BOUNDED_LOSS, FRESH_DRAWS, IID, PRIOR_FIRST, RANDOM_SPLIT

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
        Source("perezortiz2021", "", "one part and ln(2/delta); one side suffices, and parts are derived here", "secondary"),
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

STATEMENTS: tuple[Statement, ...] = (SEEGER_KL, GIBBS_MC, DATA_PRIOR)
