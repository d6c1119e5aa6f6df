"""Voters with examples of their own: why n counts as the smallest number of examples."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

from ....theory.axioms import JENSEN
from ....theory.balls.maurer import xi_exact
from ....theory.derivation import Axiom, Enumeration, Step


def mean_of_subset_means() -> Any:
    """The mean of m numbers is the mean over all their subsets of size n of the subsets' means (here: 0-1 numbers, k ones)."""
    for m in range(1, 9):
        for n in range(1, m + 1):
            for k in range(m + 1):
                inside = sum(
                    Fraction(comb(k, j) * comb(m - k, n - j), comb(m, n)) * Fraction(j, n)
                    for j in range(max(0, n - m + k), min(k, n) + 1)
                )
                yield f"m={m}, n={n}, k={k}", inside, "==", Fraction(k, m)


def constants_only_shrink() -> Any:
    """Consequence: xi(m)^n <= xi(n)^m for m >= n."""
    for n in range(1, 13):
        for m in range(n, 25):
            yield f"m={m}, n={n}", xi_exact(m) ** n, "<=", xi_exact(n) ** m


OWN_EXAMPLES: tuple[Step, ...] = (
    Enumeration("a mean over m >= n examples is the average of the means over the subsets of n of them, by symmetry (counted for m <= 8)", mean_of_subset_means),
    Axiom(JENSEN, "e^{n kl(.||r)} is convex, so where a voter (a pair) has m >= n examples of its own, E e^{n kl} is no larger than with n of them"),
    Enumeration("so n counts as the smallest number of examples: E e^{n kl} = E (e^{m kl})^{n/m} <= xi(m)^{n/m} agrees, xi(m)^n <= xi(n)^m", constants_only_shrink),
)  # fmt: skip
