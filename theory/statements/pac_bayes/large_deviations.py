"""Unbounded losses: cumulants, rate functions, PAC-Chernoff and PAC-Bayes-Chernoff bounds."""

from __future__ import annotations

from ...statement import Kind, Source, Statement

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

STATEMENTS: tuple[Statement, ...] = (CRAMER,)
