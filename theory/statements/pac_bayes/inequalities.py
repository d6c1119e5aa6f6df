"""Inequalities that turn relative entropies and generating functions into closed forms."""

from __future__ import annotations

from ...statement import Kind, Source, Statement

HOEFFDING_LEMMA = Statement(
    key="pb.hoeffding_lemma",
    title="Hoeffding's lemma and its sharp Bernoulli form (Kearns-Saul)",
    kind=Kind.INEQUALITY,
    text="For X in an interval of width R and every real l: ln E e^{l(X - EX)} <= l^2 R^2/8. For X Bernoulli(p): "
    "ln E e^{l(X - p)} <= l^2 (1-2p)/(4 ln((1-p)/p)), which is never larger (it tends to l^2/8 at p = 1/2) and is attained "
    "at l = 2 ln((1-p)/p).",
    latex=r"\ln \mathbb{E} e^{l (X - p)} \le \frac{l^2 (1 - 2p)}{4 \ln((1-p)/p)} \le \frac{l^2}{8}",
    source=(
        Source("hoeffding1963", provenance="standard"),
        Source("kearns1998", "", "derived here from the concavity of ln cosh(sqrt y)", "standard"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.kearns_saul_cgf",
)

PINSKER = Statement(
    key="pb.pinsker",
    title="Pinsker's inequality, its refinements, and closed-form ends for the kl inverse",
    kind=Kind.INEQUALITY,
    text="With g = p-q, kl(q||p) is the integral from q to p of (x-q)/(x(1-x)), hence kl >= 2 g^2; kl >= g^2/(2p) for q <= p and "
    "g^2/(2q) for q >= p; and kl >= g^2/(2 M), M the largest x(1-x) between q and p. So UP(q,c) <= q + sqrt(c/2), UP(q,c) <= "
    "q + c + sqrt(c^2 + 2qc) <= q + sqrt(2qc) + 2c, LO(q,c) >= q - sqrt(c/2), LO(q,c) >= q - sqrt(2qc) >= (1 - g/2) q - c/g for "
    "every g in (0, 2).",
    latex=r"\mathrm{kl}(q \| p) = \int_q^p \frac{x - q}{x (1 - x)} \mathrm{d}x \ge 2 (p - q)^2",
    source=(
        Source("pinsker1964", "", "the two-point case; refinements and inverses are derived here", "standard"),
        Source("here", provenance="derived"),
    ),
    function="nonvacuous.numerics.certified.quadratic_upper",
)

STATEMENTS: tuple[Statement, ...] = (HOEFFDING_LEMMA, PINSKER)
