"""Random finite vote problems in rational arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from ....numerics.randomness import generator

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Exact:
    """Rational risk of the vote (ties are errors), L and L2 of one finite problem."""

    risk: Fraction
    first: Fraction
    second: Fraction


def exact_problem(rng: np.random.Generator) -> Exact:
    """A random finite problem with whole weights: up to 7 voters, 6 outcomes, any level of error, some with all voters alike."""
    voters, outcomes = int(rng.integers(1, 8)), int(rng.integers(1, 7))
    w = rng.integers(0, 9, voters) + (rng.random(voters) < 0.5)
    w = w if w.sum() else np.ones(voters, dtype=int)
    p = rng.integers(1, 20, outcomes)
    wrong = rng.random((voters, outcomes)) < rng.choice([0.1, 0.3, 0.5, 0.7])
    if rng.random() < 0.2:
        wrong[:] = wrong[0]
    lost = [Fraction(int((w * column).sum()), int(w.sum())) for column in wrong.T]
    share = [Fraction(int(x), int(p.sum())) for x in p]
    risk = sum((x for x, err in zip(share, lost, strict=True) if err >= HALF), Fraction(0))
    first = sum((x * err for x, err in zip(share, lost, strict=True)), Fraction(0))
    second = sum((x * err * err for x, err in zip(share, lost, strict=True)), Fraction(0))
    return Exact(risk, first, second)


@cache
def problems(count: int) -> tuple[Exact, ...]:
    rng = generator(5, "pb.mv_oracle")
    return tuple(exact_problem(rng) for _ in range(count))


def cbound(x: Exact) -> Fraction:
    return (x.second - x.first**2) / (x.second - x.first + Fraction(1, 4))
