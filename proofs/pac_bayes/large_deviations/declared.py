"""Settings of bounds under a declared tail: the tail as words and numbers, random ones, and the exact (v, c) they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from ....numerics.large_deviations.tails import NAMES, Declared
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size

TailName = Literal["sub-Gaussian", "sub-gamma", "parameter norm", "input gradient", "second moment", "Gaussian"]
LENGTHS = {"sub-gamma": 2, "parameter norm": 2, "input gradient": 3}
HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class DeclaredSetting:
    """Empirical Gibbs risk, KL(Q||P), n, ln(1/delta), the declared tail and its numbers in the order of the tail's fields."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    tail: TailName
    numbers: tuple[float, ...]

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if self.tail not in NAMES or len(self.numbers) != LENGTHS.get(self.tail, 1):
            raise InvalidInput(f"The tail {self.tail!r} does not have {len(self.numbers)} number(s).")
        make_tail(self)


def make_tail(s: Any) -> Declared:
    """The declaration that a setting describes."""
    return NAMES[s.tail](*s.numbers)


def exact_form(s: Any) -> tuple[Fraction, Fraction]:
    """(v, c) of psi = v l^2/(2 (1 - c l)), in rationals."""
    x = [Fraction(float(number)) for number in s.numbers]
    return {
        "sub-gamma": lambda: (x[0], x[1]),
        "parameter norm": lambda: (x[0] ** 2 * x[1], Fraction(0)),
        "input gradient": lambda: (x[0] * x[1] + x[2] / 4, Fraction(0)),
    }.get(s.tail, lambda: (x[0], Fraction(0)))()


def random_tail(rng: np.random.Generator) -> tuple[TailName, tuple[float, ...]]:
    """Any of the tails, at scales from 1e-3 to 1e3."""
    name = str(rng.choice(list(NAMES)))
    return name, tuple(float(10 ** rng.uniform(-3, 3)) for _ in range(LENGTHS.get(name, 1)))  # type: ignore[return-value]


# The price t is rounded up by at most 5 ulps (logarithm 3, sum and quotient 1 each), v by 3, the root halves what reaches it and adds one, then
# two sums: at most 11 ulps, that is 22 half-ulps, of a sum of non-negative terms.
WIDTH = 24 * HALF_ULP
