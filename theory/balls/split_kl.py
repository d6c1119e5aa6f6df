"""Split-kl, vector-kl and recursive PAC-Bayes bounds in ball arithmetic, written from their statements."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

from flint import arb, ctx

from .context import Exact, exact_fraction, refine, to_ball
from .kl import kl_lower_ball, kl_upper_ball
from .maurer import maurer_xi_ball
from .multinomial_kl import multinomial_kl_upper_ball
from .nml import nml_ball

INFINITE = float("inf")


def level_ball(kl: Exact, n: int, log_inv_delta: Exact, constant: arb, digits: int, *, parts: int = 1) -> arb | float:
    """(kl + ln(parts constant/delta))/n for a constant with some more digits; infinity for an infinite kl."""
    if kl == INFINITE:
        return INFINITE
    rational = exact_fraction("kl", kl) + exact_fraction("log_inv_delta", log_inv_delta)
    return refine(lambda: (to_ball(rational) + (parts * constant).log()) / n, digits)


def upper_at(q: Exact, c: arb | float, digits: int) -> arb:
    """UP(q, c) for a ball c."""
    return _at(kl_upper_ball, q, c, digits)


def lower_at(q: Exact, c: arb | float, digits: int) -> arb:
    """LO(q, c) for a ball c."""
    return _at(kl_lower_ball, q, c, digits)


def _at(inverse: object, q: Exact, c: arb | float, digits: int) -> arb:
    assert callable(inverse)
    if isinstance(c, float):
        return inverse(q, c, digits=digits).p
    with ctx.workdps(digits + 20):
        return inverse(q, _rational(c.lower()), digits=digits).p.union(
            inverse(q, _rational(c.upper()), digits=digits).p
        )


def _rational(end: arb) -> Fraction:
    mantissa, exponent = end.mid().man_exp()
    return max(Fraction(0), Fraction(int(mantissa)) * Fraction(2) ** int(exponent))


def split_kl_ball(
    frequencies: Sequence[Exact], levels: Sequence[Exact], kl: Exact, n: int, log_inv_delta: Exact, digits: int = 50
) -> tuple[arb, arb]:
    """Upper and lower bound on the mean of a loss with the given levels."""
    inner = digits + 15
    c = level_ball(kl, n, log_inv_delta, maurer_xi_ball(n, inner + 5), inner, parts=len(frequencies))
    steps = [exact_fraction("level", b) for b in levels]
    with ctx.workdps(inner):
        upper = lower = to_ball(steps[0])
        for j, q in enumerate(frequencies):
            height = to_ball(steps[j + 1] - steps[j])
            upper, lower = upper + height * upper_at(q, c, inner), lower + height * lower_at(q, c, inner)
    return upper, lower


def split_kl_continuous_ball(
    above: Exact,
    below: Exact,
    low: Exact,
    split: Exact,
    high: Exact,
    kl: Exact,
    n: int,
    log_inv_delta: Exact,
    digits: int = 50,
) -> arb:
    """Upper bound on the mean of a loss in [low, high] from the means of its parts above and below the split."""
    inner = digits + 15
    c = level_ball(kl, n, log_inv_delta, maurer_xi_ball(n, inner + 5), inner, parts=2)
    plus, minus, a, m, b = (exact_fraction("input", x) for x in (above, below, low, split, high))
    with ctx.workdps(inner):
        rise = to_ball(b - m) * upper_at(min(Fraction(1), plus / (b - m)), c, inner)
        return to_ball(m) + rise - to_ball(m - a) * lower_at(minus / (m - a), c, inner)


def vector_kl_ball(
    frequencies: Sequence[Exact], values: Sequence[Exact], kl: Exact, n: int, log_inv_delta: Exact, digits: int = 50
) -> tuple[arb, arb]:
    """Largest and smallest mean of the values over the ball around the frequencies."""
    c = level_ball(kl, n, log_inv_delta, nml_ball(len(values), n, digits + 20), digits + 15)
    opposite = [-exact_fraction("value", f) for f in values]
    return multinomial_kl_upper_ball(frequencies, values, c, digits), -multinomial_kl_upper_ball(
        frequencies, opposite, c, digits
    )


def _ends(frequencies: Sequence[arb | Exact]) -> list[list[Fraction]]:
    """Lower and upper ends of frequencies that do not increase; the ends do not either."""
    found = []
    for end in (arb.lower, arb.upper):
        exact = [_rational(end(f)) if isinstance(f, arb) else exact_fraction("frequency", f) for f in frequencies]
        found.append([min(Fraction(1), max(exact[i:])) for i in range(len(exact))])
    return found if found[0] != found[1] else found[:1]


def _cells(f: Sequence[Fraction], count: int) -> list[Fraction]:
    """Frequencies of the outcomes from those of reaching each level, the highest first; at gamma = 1 the levels 1 - gamma and 0 are one."""
    return [f[2], f[1] - f[2], f[0] - f[1], 1 - f[0]] if count == 4 else [f[2], f[0] - f[2], 1 - f[0]]


def recursive_ball(
    risk: Exact,
    kl: Exact,
    n: int,
    steps: Sequence[tuple[Exact, Sequence[Exact], Exact, int]],
    log_inv_delta: Exact,
    *,
    form: str = "vector",
    constant: str = "exact",
    draws: tuple[Exact, int] | None = None,
    digits: int = 50,
) -> list[arb]:
    """B_1..B_T; `log_inv_delta` is that of one part, steps are (gamma, (F_1, F_2, F_3), kl, n), draws (ln(1/draws_delta), pairs)."""
    inner = digits + 20

    def moment(size: int) -> arb:
        return (
            maurer_xi_ball(size, inner + 5) if constant == "exact" else refine(lambda: 2 * arb(size).sqrt(), inner + 5)
        )

    def limited(q: Exact) -> arb | Exact:
        if draws is None:
            return q
        total = 3 * (1 + len(steps))
        c = refine(lambda: (to_ball(exact_fraction("draws", draws[0])) + arb(total).log()) / draws[1], inner)
        return upper_at(q, c, inner)

    def outer(q: arb | Exact, c: arb | float) -> arb:
        if not isinstance(q, arb):
            return upper_at(q, c, inner)
        with ctx.workdps(inner + 20):  # UP increases in q
            ends = [min(Fraction(1), _rational(end)) for end in (q.lower(), q.upper())]
            return upper_at(ends[0], c, inner).union(upper_at(ends[1], c, inner))

    bounds = [outer(limited(risk), level_ball(kl, n, log_inv_delta, moment(n), inner))]
    for gamma_given, frequencies, divergence, size in steps:
        gamma = exact_fraction("gamma", gamma_given)
        f = [exact_fraction("frequency", x) for x in frequencies]
        if form == "split":
            c = level_ball(divergence, size, log_inv_delta, moment(size), inner, parts=3)
            with ctx.workdps(inner):
                gain = to_ball(-gamma)
                for height, q in zip((gamma, 1 - gamma, gamma), f, strict=True):
                    gain = gain + to_ball(height) * outer(limited(q), c)
        else:
            values = [Fraction(1), *([1 - gamma] if gamma < 1 else []), Fraction(0), -gamma]
            c = level_ball(divergence, size, log_inv_delta, nml_ball(len(values), size, inner + 5), inner)
            # the largest mean increases in each frequency: the ends of their limits enclose it
            corners = (_cells(g, len(values)) for g in _ends([limited(q) for q in f]))
            gain = functools.reduce(arb.union, (multinomial_kl_upper_ball(u, values, c, inner) for u in corners))
        with ctx.workdps(inner):
            bounds.append(gain + to_ball(gamma) * bounds[-1])
    return bounds
