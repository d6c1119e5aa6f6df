"""Closed-form ends of the kl inverses as balls, written from the inequalities they solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flint import arb, ctx

from .context import Exact, exact_fraction, to_ball


@dataclass(frozen=True)
class ClosedFormEnds:
    """Upper ends (Pinsker, quadratic, relaxed) and lower ends (Pinsker, square root, linear with gamma)."""

    pinsker_upper: arb
    quadratic_upper: arb
    relaxed_upper: arb
    pinsker_lower: arb
    relaxed_lower: arb
    linear_lower: arb


def closed_form_ends(q: Exact, c: Exact, gamma: Exact, digits: int = 60) -> ClosedFormEnds:
    """All six for q in [0, 1], c >= 0, gamma in (0, 2)."""
    x, d, g = exact_fraction("q", q), exact_fraction("c", c), exact_fraction("gamma", gamma)
    with ctx.workdps(2 * digits + 40):
        half, cross, square = (to_ball(value).sqrt() for value in (d / 2, 2 * x * d, d * d + 2 * x * d))
        start = to_ball(x)
        return ClosedFormEnds(
            start + half,
            start + to_ball(d) + square,
            start + cross + to_ball(2 * d),
            start - half,
            start - cross,
            to_ball((1 - g / 2) * x - d / g),
        )


def refinements(q: Exact, p: Exact, digits: int = 60) -> dict[str, Callable[[arb], arb]]:
    """By name, kl - (lower bound) as a function of kl(q||p): each must not be negative."""
    x, y = exact_fraction("q", q), exact_fraction("p", p)
    square = (x - y) ** 2
    low, high = min(x, y), max(x, y)
    widest = exact_fraction("", 0.25) if low <= 0.5 <= high else max(x * (1 - x), y * (1 - y))
    bounds = {"Pinsker": 2 * square, "larger end": square / (2 * high), "largest variance": square / (2 * widest)}

    def slack(bound: Exact) -> Callable[[arb], arb]:
        def evaluate(kl: arb) -> arb:
            with ctx.workdps(digits + 10):
                return kl - to_ball(exact_fraction("bound", bound))

        return evaluate

    return {name: slack(bound) for name, bound in bounds.items()}
