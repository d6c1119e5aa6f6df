"""Relative entropies of parametric families as balls, each from its textbook formula with exact inputs and growing precision."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb

from ..errors import InvalidInput
from .context import Exact, exact_fraction, refine, to_ball

Numbers = Sequence[Exact]


def _exact(name: str, values: Numbers) -> list[Fraction]:
    return [exact_fraction(name, float(x) if hasattr(x, "dtype") else x) for x in values]


def _sum(terms: Sequence[arb]) -> arb:
    return sum(terms, arb(0))


def kl_gaussian_ball(
    mean: Numbers, log_scale: Numbers, prior_mean: Numbers, prior_log_scale: Numbers, digits: int = 60
) -> arb:
    """Sum over coordinates of ln(s0/s) + (s^2 + (m - m0)^2)/(2 s0^2) - 1/2, from logarithms of s and s0."""
    rows = list(zip(*(_exact("parameter", x) for x in (mean, log_scale, prior_mean, prior_log_scale)), strict=True))
    if all(m == m0 and t == t0 for m, t, m0, t0 in rows):
        return arb(0)

    def evaluate() -> arb:
        found = arb(0)
        for m, t, m0, t0 in rows:
            variance, prior = (2 * to_ball(t)).exp(), (2 * to_ball(t0)).exp()
            found += to_ball(t0 - t) + (variance + to_ball((m - m0) ** 2)) / (2 * prior) - arb(1) / 2
        return found

    return refine(evaluate, digits)


def kl_laplace_ball(mean: Numbers, scale: Numbers, prior_mean: Numbers, prior_scale: Numbers, digits: int = 60) -> arb:
    """Sum over coordinates of ln(b0/b) - 1 + (b e^{-|d|/b} + |d|)/b0, d = m - m0."""
    rows = list(zip(*(_exact("parameter", x) for x in (mean, scale, prior_mean, prior_scale)), strict=True))
    if all(m == m0 and b == b0 for m, b, m0, b0 in rows):
        return arb(0)

    def evaluate() -> arb:
        found = arb(0)
        for m, b, m0, b0 in rows:
            d = abs(m - m0)
            decayed = to_ball(b) * (-to_ball(d / b)).exp()
            found += to_ball(b0 / b).log() - 1 + (decayed + to_ball(d)) / to_ball(b0)
        return found

    return refine(evaluate, digits)


def kl_categorical_ball(q: Numbers, p: Numbers, digits: int = 60) -> arb:
    """Sum of q ln(q/p) for the weights divided by their exact sums, with 0 ln 0 = 0."""
    first, second = _exact("q", q), _exact("p", p)
    total, prior_total = sum(first), sum(second)
    pairs = [(x / total, y / prior_total) for x, y in zip(first, second, strict=True) if x]
    if any(not y for _, y in pairs):
        return arb("inf")
    if all(x == y for x, y in pairs):
        return arb(0)
    return refine(lambda: _sum([to_ball(x) * to_ball(x / y).log() for x, y in pairs]), digits)


def kl_dirichlet_ball(a: Numbers, b: Numbers, digits: int = 60) -> arb:
    """ln G(A) - sum ln G(a_j) - ln G(B) + sum ln G(b_j) + sum (a_j - b_j)(psi(a_j) - psi(A)), A and B the sums."""
    first, second = _exact("a", a), _exact("b", b)
    if min(*first, *second) <= 0:
        raise InvalidInput("A concentration is not positive.", "Dirichlet laws have positive ones.")
    pairs = list(zip(first, second, strict=True))
    if first == second or len(pairs) == 1:
        return arb(0)

    def evaluate() -> arb:
        total, prior_total = to_ball(sum(first, Fraction(0))), to_ball(sum(second, Fraction(0)))
        psi = total.digamma()
        terms = [
            to_ball(y).lgamma() - to_ball(x).lgamma() + to_ball(x - y) * (to_ball(x).digamma() - psi) for x, y in pairs
        ]
        return total.lgamma() - prior_total.lgamma() + _sum(terms)

    return refine(evaluate, digits)


def gamma_divergence_ball(a: Numbers, b: Numbers, digits: int = 20) -> arb:
    """sum_j D(b_j, a_j) + D(B, A), D the Bregman divergence of ln Gamma: what the rounding of a Dirichlet's KL is relative to."""
    first, second = _exact("a", a), _exact("b", b)
    pairs = [*zip(first, second, strict=True), (sum(first, Fraction(0)), sum(second, Fraction(0)))]
    if all(x == y for x, y in pairs):
        return arb(0)

    def evaluate() -> arb:
        return _sum(
            [to_ball(y).lgamma() - to_ball(x).lgamma() - to_ball(y - x) * to_ball(x).digamma() for x, y in pairs]
        )

    return refine(evaluate, digits)


def renyi_gaussian_ball(order: Exact, mean: Numbers, prior_mean: Numbers, log_scale: Numbers, digits: int = 60) -> arb:
    """Sum over coordinates of a (m - m0)^2/(2 s^2)."""
    a = exact_fraction("order", order)
    rows = list(zip(*(_exact("parameter", x) for x in (mean, prior_mean, log_scale)), strict=True))
    if all(m == m0 for m, m0, _ in rows):
        return arb(0)
    return refine(lambda: _sum([to_ball(a * (m - m0) ** 2 / 2) * (-2 * to_ball(t)).exp() for m, m0, t in rows]), digits)


def chi_square_gaussian_ball(mean: Numbers, prior_mean: Numbers, log_scale: Numbers, digits: int = 60) -> arb:
    """exp(D_2) - 1, by expm1 of the exact D_2."""
    inner = renyi_gaussian_ball(2, mean, prior_mean, log_scale, digits + 20)
    return refine(lambda: inner.expm1(), min(digits, 60)) if inner != 0 else arb(0)


def linear_gibbs_risk_ball(
    weights: Numbers, log_scale: Exact, inputs: Sequence[Numbers], labels: Numbers, digits: int = 60
) -> arb:
    """Mean over examples of the Gaussian probability that y <W, x> < 0: erfc(y <w, x>/(s |x| sqrt 2))/2."""
    w, t = _exact("weights", weights), exact_fraction("log_scale", log_scale)
    rows = [(_exact("inputs", x), exact_fraction("label", y)) for x, y in zip(inputs, labels, strict=True)]

    def evaluate() -> arb:
        found = arb(0)
        for x, y in rows:
            margin = y * sum((a * b for a, b in zip(w, x, strict=True)), Fraction(0))
            norm = to_ball(sum((a * a for a in x), Fraction(0))).sqrt()
            found += (to_ball(margin) / (norm * to_ball(t).exp() * arb(2).sqrt())).erfc() / 2
        return found / len(rows)

    return refine(evaluate, digits)
