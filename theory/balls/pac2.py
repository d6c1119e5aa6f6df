"""PAC2-Bayes as balls: pair losses of clamped probabilities, and the bound on the log-loss of their average."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball
from .kl import kl_upper_ball
from .seeger import complexity_ball


def pair_loss_ball(losses: Sequence[Sequence[Exact]], weights: Sequence[Exact], p_min: Exact, digits: int = 60) -> arb:
    """Mean over examples and over pairs drawn from rho x rho of (-ln p - ln p')/2 - (p - p')^2/4, p = e^{-loss} clamped to [p_min, 1]:
    the double sum over pairs."""
    floor = exact_fraction("p_min", p_min)
    raw = [exact_fraction("weight", float(w)) for w in weights]
    rho = [w / sum(raw, Fraction(0)) for w in raw]
    rows = [[exact_fraction("loss", float(x)) for x in row] for row in losses]

    def evaluate() -> arb:
        total, points = arb(0), len(rows[0])
        for x in range(points):
            p = [_clamped(row[x], floor) for row in rows]
            for i, a in enumerate(rho):
                for j, b in enumerate(rho):
                    gap = p[i] - p[j]
                    pair = -(p[i].log() + p[j].log()) / 2 - gap * gap / 4
                    total += to_ball(a * b) * pair
        return total / points

    if all(x <= 0 for i, row in enumerate(rows) for x in row if rho[i]):
        return arb(0)  # every probability is 1
    return refine(evaluate, digits)


def _clamped(loss: Fraction, floor: Fraction) -> arb:
    if loss <= 0:
        return to_ball(Fraction(1))
    p, least = (-to_ball(loss)).exp(), to_ball(floor)
    return p if p > least else least if p < least else p.union(least)


def pac2_ball(risk: Exact, kl: Exact, n: int, p_min: Exact, log_inv_delta: Exact, digits: int = 60) -> arb:
    """B UP(risk/B, (2 kl + ln(xi(n)/delta))/n) with B = ln(1/p_min); UP increases in both arguments, so the ends enclose it."""
    r, floor = exact_fraction("risk", risk), exact_fraction("p_min", p_min)
    if not 0 < floor < 1 or r < 0:
        raise InvalidInput(f"risk = {risk}, p_min = {p_min}.", "p_min lies in (0, 1), the risk is not negative.")
    if kl == float("inf"):
        return refine(lambda: -to_ball(floor).log(), digits)
    c = complexity_ball(2 * exact_fraction("kl", kl), n, log_inv_delta, digits=digits + 15)
    span = refine(lambda: -to_ball(floor).log(), digits + 15)
    with ctx.workdps(digits + 20):
        q = to_ball(r) / span
        ends = []
        for share, price in ((q.lower(), c.lower()), (q.upper(), c.upper())):
            ends.append(kl_upper_ball(min(_rational(share), Fraction(1)), _rational(price), digits=digits + 5).p)
        return span * ends[0].union(ends[1])


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return max(Fraction(0), Fraction(int(mantissa)) * Fraction(2) ** int(exponent))


def pac2_oracle_ball(
    risk: Exact, kl: Exact, tilt: Exact, log_moment: Exact, log_inv_delta: Exact, digits: int = 60
) -> arb:
    """risk + (2 kl + ln(1/delta) + Psi)/l."""
    numbers = [exact_fraction("input", x) for x in (risk, kl, tilt, log_moment, log_inv_delta)]
    value = numbers[0] + (2 * numbers[1] + numbers[4] + numbers[3]) / numbers[2]
    return refine(lambda: to_ball(value), digits)
