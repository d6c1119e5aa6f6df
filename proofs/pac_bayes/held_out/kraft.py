"""Codes of small quantised vectors, every one of them: their weights are proper, and which of two codes is shorter."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import comb, prod

from ....theory.balls.compression import codeword_mass, quantised_bits
from ..small_worlds import compositions


def kraft_sums() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """The sum of 2^-bits over every vector of d entries on L levels: at most 1, so the codes exist (and the weights are proper)."""
    for levels in (1, 2, 3, 4):
        for entries in (1, 2, 3, 4, 7, 8):
            for form in ("arithmetic", "enumerative"):
                total = Fraction(0)
                for counts in compositions(entries, levels).tolist():
                    ways, weight = codeword_mass(counts, quantised_bits(counts, 0, form))
                    total += Fraction(ways, weight)
                yield f"{form}, d={entries}, L={levels}", total, "<=", Fraction(1)


def enumerative_is_shorter() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """C(d+L-1, L-1) <= (d+1)^L, and d!/prod d_j! <= d^d/prod d_j^d_j: in each part the enumerative code is no longer."""
    for levels in (2, 3, 4):
        for entries in (1, 3, 8, 12):
            yield (
                f"tables, d={entries}, L={levels}",
                Fraction(comb(entries + levels - 1, levels - 1)),
                "<=",
                Fraction((entries + 1) ** levels),
            )
            for counts in compositions(entries, levels).tolist():
                ways, _ = codeword_mass(counts, 0)
                powers = Fraction(entries**entries, prod(c**c for c in counts))
                yield f"vectors, {counts}", Fraction(ways), "<=", powers
