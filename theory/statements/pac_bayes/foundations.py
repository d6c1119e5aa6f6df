"""Relative entropy, its inverses, and the constants that PAC-Bayes bounds pay."""

from __future__ import annotations

from ...statement import Kind, Source, Statement

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

GIBBS = Statement(
    key="pb.gibbs",
    title="Gibbs variational principle",
    kind=Kind.IDENTITY,
    text="For every beta > 0 the minimum over Q of E_Q f + K/beta is -(1/beta) ln E_P e^{-beta f}, attained by the Gibbs law "
    "dQ/dP = e^{-beta f}/Z only. Along these laws d/dbeta E_Q f = -Var_Q f, so E_Q f never increases with beta.",
    latex=r"\min_Q \left\{ \mathbb{E}_Q f + \tfrac{1}{\beta} \mathrm{KL}(Q \| P) \right\} = -\tfrac{1}{\beta} \ln \mathbb{E}_P e^{-\beta f}",
    source=(Source("catoni2007", provenance="standard"), Source("here", provenance="derived")),
    function="nonvacuous.bounds.gibbs_posterior",
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

NML = Statement(
    key="pb.nml",
    title="The exact constant for M classes",
    kind=Kind.IDENTITY,
    text="Let ph be the frequencies of n independent draws from a law p on M classes, all of positive probability. Then "
    "E exp(n KL(ph||p)) = C(M,n) whatever p is, with C(1,n) = 1, C(2,n) = xi(n) and C(k+2,n) = C(k+1,n) + (n/k) C(k,n); so "
    "C(3,n) = xi(n) + n. For random vectors in the simplex with mean p the moment is at most C(M,n).",
    latex=r"\mathbb{E}\, e^{n \mathrm{KL}(\hat p \| p)} = C(M, n), \quad C(k+2, n) = C(k+1, n) + \frac{n}{k} C(k, n)",
    source=(
        Source("shtarkov1987", "", "the sum as a minimax regret", "secondary"),
        Source("kontkanen2007", "", "the recurrence", "secondary"),
        Source("here", "", "moment identity, recurrence and reduction of simplex-valued losses", "derived"),
    ),
    function="nonvacuous.numerics.certified.nml.nml",
)

MULTIKLINV = Statement(
    key="pb.multiklinv",
    title="Inverse of the vector relative entropy",
    kind=Kind.IDENTITY,
    text="For a law u on M atoms, values f and c >= 0, the largest sum of f_i p_i over laws p with KL(u||p) <= c is the least value over "
    "a >= 0 of F + a - exp(sum of u_i ln(a + F - f_i) - c), F = max f over all atoms. It is attained by p_i proportional to "
    "u_i/(a + F - f_i) with the a > 0 at which KL(u||p) = c, or at a = 0, where an atom of largest value that u does not see takes "
    "the missing mass. The smallest sum is minus the largest for -f.",
    latex=r"\max_{\mathrm{KL}(u \| p) \le c} \sum_i f_i p_i = \min_{a \ge 0} \left\{ F + a - e^{-c} \prod_i (a + F - f_i)^{u_i} \right\}",
    source=(
        Source("adams2022", "", "the dual in one unknown is derived here", "secondary"),
        Source("biggs2023", provenance="secondary"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.multinomial_kl.multinomial_kl_upper",
)

KL_FAMILIES = Statement(
    key="pb.kl_families",
    title="Divergences between laws of one family",
    kind=Kind.IDENTITY,
    text="With h(x) = x - ln(1+x). Gaussian, per coordinate: KL = h(u)/2 + ((m-m0)/s0)^2/2, u = (s/s0)^2 - 1. Laplace: "
    "KL = h(b/b0 - 1) + (b/b0)(e^-t - 1 + t), t = |m-m0|/b. Dirichlet: KL = sum_j D(b_j, a_j) - D(sum b, sum a), "
    "D(y,x) = ln Gamma(y) - ln Gamma(x) - (y-x) psi(x). Product laws: divergences add, so KL(Q^2||P^2) = 2 KL(Q||P). Gaussians of equal "
    "covariance: Renyi divergence of order a is a |m-m0|^2/(2 s^2), and chi^2 = e^(D_2) - 1. For W ~ N(w, s^2 I) the probability that "
    "y <W,x> < 0 is Phi(-y <w,x>/(s |x|)).",
    latex=r"\mathrm{KL} = \tfrac12 h\!\left(\tfrac{s^2}{s_0^2} - 1\right) + \frac{(m - m_0)^2}{2 s_0^2}, \qquad h(x) = x - \ln(1 + x)",
    source=(
        Source("cover2006", "", "divergences of standard families", "standard"),
        Source("langford2003", "", "the Gibbs risk of a linear classifier", "secondary"),
        Source("here", "", "the forms that lose no digits", "derived"),
    ),
    function="nonvacuous.numerics.certified.divergences.kl_gaussian_diagonal",
)

STATEMENTS: tuple[Statement, ...] = (DV, GIBBS, XI, KLINV, NML, MULTIKLINV, KL_FAMILIES)
