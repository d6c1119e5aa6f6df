"""Gibbs laws on finitely many points as balls, with their derivative in the inverse temperature by power series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from flint import arb, arb_series, ctx

from .context import Exact, exact_fraction, to_ball

_EXTRA = 40  # digits: differences of nearly equal numbers lose some


@dataclass(frozen=True)
class GibbsBall:
    """E_Q f, KL(Q||P), -(1/beta) ln E_P e^{-beta f} and d/dbeta E_Q f at dQ/dP proportional to e^{-beta f}."""

    mean: arb
    kl: arb
    free_energy: arb
    slope: arb


def gibbs_ball(losses: Sequence[Exact], prior: Sequence[Exact], beta: Exact, digits: int = 60) -> GibbsBall:
    """Enclosures for exact losses and weights (normalised exactly); Q is summed up term by term, nothing is taken from theory.

    The slope is the linear coefficient of E_Q f as a power series in beta, not minus a variance.
    """
    f = [exact_fraction("losses", x) for x in losses]
    raw = [exact_fraction("prior", x) for x in prior]
    total = sum(raw, Fraction(0))
    pairs = [(x, w / total) for x, w in zip(f, raw, strict=True) if w]
    b = exact_fraction("beta", beta)
    with ctx.workdps(digits + _EXTRA):
        previous, ctx.cap = ctx.cap, 2
        try:
            variable = arb_series([to_ball(b), arb(1)])
            tilts = [(-variable * to_ball(x)).exp() * to_ball(w) for x, w in pairs]
            partition = sum(tilts, arb_series([arb(0)]))
            mean = (
                sum((t * to_ball(x) for t, (x, _) in zip(tilts, pairs, strict=True)), arb_series([arb(0)])) / partition
            )
        finally:
            ctx.cap = previous
        z = partition[0]
        q = [t[0] / z for t in tilts]
        kl = sum((a * (a / to_ball(w)).log() for a, (_, w) in zip(q, pairs, strict=True)), arb(0))
        return GibbsBall(mean[0], kl, -z.log() / to_ball(b), mean[1])
