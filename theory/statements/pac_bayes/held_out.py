"""One fixed predictor, countable classes and codes: test-set bounds, Occam, compression."""

from __future__ import annotations

from ...statement import Assumption, Kind, Source, Statement
from .common import BOUNDED_LOSS, IID

FIXED_FIRST = Assumption(
    "held-out examples",
    "The predictor was fixed before any of the n test examples was looked at, and they are used once.",
)
INDEPENDENT = Assumption("independent examples", "The n examples are independent; they need not have one law.")
ZERO_ONE = Assumption("0-1 loss", "Every example is either right (0) or wrong (1).")
WEIGHTS_FIRST = Assumption(
    "weights before data", "The weights (sum at most 1) were fixed without looking at the n examples."
)
CODE_FIRST = Assumption(
    "code before data",
    "The decoder, and the dimension and number of levels of a quantised vector, were fixed without looking at the n examples, or are "
    "paid for among the choices.",
)
DISTINCT_CODES = Assumption(
    "distinct codes", "The codes that are pooled are distinct, of the same length, and decode to the same predictor."
)
FRESH_PART = Assumption(
    "fresh subsample",
    "The m evaluated examples were drawn uniformly from the n, with or without replacement, after the predictor was fixed.",
)

TEST_BINOMIAL = Statement(
    key="pb.test_binomial",
    title="Exact binomial test-set bound (Clopper-Pearson, Langford)",
    kind=Kind.CERTIFICATE,
    text="One predictor fixed in advance makes k errors on n i.i.d. examples. With probability at least 1-delta its risk is at most "
    "max{p : P(Bin(n,p) <= k) >= delta}, the upper delta-quantile of Beta(k+1, n-k) (1 at k = n; 1 - delta^(1/n) at k = 0). The mirror image "
    "is a lower bound; both sides need delta/2 each.",
    latex=r"r \le \max\{p : \mathbb{P}(\mathrm{Bin}(n, p) \le k) \ge \delta\}",
    source=(
        Source("clopper1934", provenance="standard"),
        Source("langford2005", provenance="secondary"),
        Source("here", "", "evaluation in ln delta, with outward rounding", "derived"),
    ),
    assumptions=(IID, FIXED_FIRST, ZERO_ONE),
    function="nonvacuous.bounds.binomial_test_set",
)

TEST_CHERNOFF = Statement(
    key="pb.test_chernoff",
    title="Chernoff test-set bound",
    kind=Kind.CERTIFICATE,
    text="One predictor fixed in advance has mean loss rh on n independent examples, losses in [0,1]. With probability at least 1-delta its "
    "risk (the mean of the expected losses) is at most UP(rh, ln(1/delta)/n). Never below the binomial bound at rh = k/n.",
    latex=r"r \le \mathrm{UP}\left(\hat r, \frac{\ln(1/\delta)}{n}\right)",
    source=(Source("chernoff1952", provenance="standard"), Source("langford2005", provenance="secondary")),
    assumptions=(INDEPENDENT, FIXED_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.chernoff_test_set",
)

TEST_HOEFFDING = Statement(
    key="pb.test_hoeffding",
    title="Hoeffding test-set bound",
    kind=Kind.CERTIFICATE,
    text="In the setting of the Chernoff bound, the risk is at most rh + sqrt(ln(1/delta)/(2n)), which is never smaller than "
    "UP(rh, ln(1/delta)/n).",
    latex=r"r \le \hat r + \sqrt{\frac{\ln(1/\delta)}{2 n}}",
    source=(Source("hoeffding1963", provenance="standard"),),
    assumptions=(INDEPENDENT, FIXED_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.hoeffding_test_set",
)

OCCAM_KL = Statement(
    key="pb.occam_kl",
    title="Occam bound for a countable class (kl form)",
    kind=Kind.CERTIFICATE,
    text="Let w(h) > 0 sum to at most 1. With probability at least 1-delta over n independent examples, for all h at once: "
    "r(h) <= UP(rh(h), (ln(1/w(h)) + ln(1/delta))/n). No xi(n): a point mass in the PAC-Bayes-kl bound pays ln xi(n) more.",
    latex=r"r(h) \le \mathrm{UP}\left(\hat r(h), \frac{\ln(1/w(h)) + \ln(1/\delta)}{n}\right)",
    source=(Source("langford2005", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(INDEPENDENT, WEIGHTS_FIRST, BOUNDED_LOSS),
    function="nonvacuous.bounds.occam_kl",
)

OCCAM_BINOMIAL = Statement(
    key="pb.occam_binomial",
    title="Occam bound for a countable class (exact binomial form)",
    kind=Kind.CERTIFICATE,
    text="Let w(h) > 0 sum to at most 1. With probability at least 1-delta over n i.i.d. examples, for all h at once: with k(h) errors, "
    "r(h) <= max{p : P(Bin(n,p) <= k(h)) >= delta w(h)}, which is never above the kl form.",
    latex=r"r(h) \le \max\{p : \mathbb{P}(\mathrm{Bin}(n, p) \le k(h)) \ge \delta\, w(h)\}",
    source=(Source("langford2005", provenance="secondary"), Source("here", provenance="derived")),
    assumptions=(IID, WEIGHTS_FIRST, ZERO_ONE),
    function="nonvacuous.bounds.occam_binomial",
)

COMPRESSION = Statement(
    key="pb.compression",
    title="Compression bound: the length of a code as a prior",
    kind=Kind.CERTIFICATE,
    text="A predictor that a prefix-free code fixed in advance describes in b bits has weight 2^-b in the Occam bound: ln(1/w) = b ln 2. A code "
    "that is not prefix-free pays 2 ln b + ln(pi^2/6) more for its length, a choice among N options ln N, and N codewords "
    "of one length for the same predictor pool their weight, ln N less. A vector of d entries on L levels, d_j of them on level j, takes L times "
    "the bits of a level, L ceil(log2(d+1)) for the frequency table and ceil(d H) + 2, H the entropy in bits; or ceil(log2 C(d+L-1, L-1)) "
    "and ceil(log2(d!/(d_1! ... d_L!))) in place of table and code.",
    latex=r"\ln \frac{1}{w} = b \ln 2, \quad b = L b_0 + \left\lceil \log_2 \binom{d+L-1}{L-1} \right\rceil + "
    r"\left\lceil \log_2 \frac{d!}{d_1! \cdots d_L!} \right\rceil",
    source=(
        Source("zhou2019", provenance="secondary"),
        Source(
            "lotfi2022", "", "d + 1 values for each frequency, where ceil(log2 d) bits cannot hold them", "secondary"
        ),
        Source("here", "", "enumerative code, constant of the length prior, pooling", "derived"),
    ),
    assumptions=(IID, CODE_FIRST, DISTINCT_CODES, ZERO_ONE),
    function="nonvacuous.bounds.compression_bound",
)

SUBSAMPLE = Statement(
    key="pb.subsample",
    title="Occam bound with a subsampled empirical risk",
    kind=Kind.CERTIFICATE,
    text="Let rh_m be the mean loss, in [a, a+R], of h on m of the n training examples, drawn uniformly with or without replacement after h "
    "was fixed. For every s in (0,1) fixed in advance, with probability at least 1-delta, for the h of a countable class that was chosen: "
    "r(h) <= rh_m + R (sqrt((ln(1/w) + ln(1/(s delta)))/(2n)) + sqrt(ln(1/((1-s) delta))/(2m))). With losses in [0,1] also the smaller "
    "UP(UP(rh_m, ln(1/((1-s) delta))/m), (ln(1/w) + ln(1/(s delta)))/n).",
    latex=r"r(h) \le \hat r_m + R \left( \sqrt{\frac{\ln \frac{1}{w} + \ln \frac{1}{s \delta}}{2 n}} + "
    r"\sqrt{\frac{\ln \frac{1}{(1-s) \delta}}{2 m}} \right)",
    source=(
        Source("lotfi2024", "", "the kl form is derived here", "secondary"),
        Source("here", provenance="derived"),
    ),
    assumptions=(INDEPENDENT, WEIGHTS_FIRST, FRESH_PART, BOUNDED_LOSS),
    function="nonvacuous.bounds.subsampled_occam",
)

STATEMENTS: tuple[Statement, ...] = (
    TEST_BINOMIAL,
    TEST_CHERNOFF,
    TEST_HOEFFDING,
    OCCAM_KL,
    OCCAM_BINOMIAL,
    COMPRESSION,
    SUBSAMPLE,
)
