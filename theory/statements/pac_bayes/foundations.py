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

STATEMENTS: tuple[Statement, ...] = (DV, XI, KLINV)
