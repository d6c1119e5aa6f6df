"""The stochastic majority vote as balls: I_{1/2}(A, B) from its hypergeometric form, its mean, and the PAC-Bayes-kl bound on that."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from .context import Exact, exact_fraction, refine, to_ball
from .divergences_kl import kl_dirichlet_ball
from .kl import kl_upper_ball
from .maurer import maurer_xi_ball


def half_beta_ball(a: Exact, b: Exact, digits: int = 60) -> arb:
    """I_{1/2}(a, b) = P(Beta(a, b) < 1/2); 0 at b = 0 and 1 at a = 0."""
    x, y = exact_fraction("a", a), exact_fraction("b", b)
    if not y or not x:
        return arb(1) if not x else arb(0)
    return refine(lambda: (arb(1) / 2).beta_lower(to_ball(x), to_ball(y), 1), digits)


def vote_risk_ball(wrong: Sequence[Sequence[int]], concentrations: Sequence[Exact], digits: int = 60) -> arb:
    """Mean over examples of I_{1/2}(sum of those right, sum of those wrong); rows of `wrong` are voters."""
    weights = [exact_fraction("concentration", float(x)) for x in concentrations]
    total = sum(weights, Fraction(0))
    sums = [
        sum((w for w, x in zip(weights, column, strict=True) if x), Fraction(0)) for column in zip(*wrong, strict=True)
    ]
    with ctx.workdps(digits + 15):
        return sum((half_beta_ball(total - x, x, digits + 5) for x in sums), arb(0)) / len(sums)


def stochastic_vote_ball(
    risk: Exact | arb,
    concentrations: Sequence[Exact],
    prior: Sequence[Exact],
    n: int,
    log_inv_delta: Exact,
    digits: int = 60,
) -> arb:
    """UP(risk, (KL(Dir(a)||Dir(b)) + ln(xi(n)/delta))/n)."""
    inner = digits + 15
    with ctx.workdps(inner + 15):
        divergence = kl_dirichlet_ball(concentrations, prior, inner)
        level = to_ball(exact_fraction("log_inv_delta", log_inv_delta))
        c = (divergence + maurer_xi_ball(n, inner).log() + level) / n
        rate = risk if isinstance(risk, arb) else to_ball(exact_fraction("risk", risk))
        low = kl_upper_ball(_end(rate.lower(), True), _end(c.lower()), digits=inner).p
        return low.union(kl_upper_ball(_end(rate.upper(), True), _end(c.upper()), digits=inner).p)


def _end(end: arb, probability: bool = False) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return min(max(value, Fraction(0)), Fraction(1)) if probability else value
