"""A codeword of b bits as a prior weight 2^-b, and how many bits a quantised network takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from math import comb
from typing import Any

import numpy as np
from flint import arb, ctx

from ....numerics.bounds.compression import code_log_inv_weight, compression_bound, quantised_code_bits
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import BASEL, KRAFT, UNION
from ....theory.balls.compression import codeword_mass, log_inv_weight_ball, quantised_bits
from ....theory.balls.occam import level_ball, occam_binomial_ball
from ....theory.derivation import Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.held_out import COMPRESSION
from ....theory.validation import log_inverse_delta, sample_size
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import compositions
from . import binomial, occam
from .kraft import enumerative_is_shorter, kraft_sums

HALF_ULP = 2.0**-53
LN2 = float(np.log(2))


@dataclass(frozen=True)
class NetworkSetting:
    """Errors on n examples; entries at each level of the quantised network, bits of a level, options chosen among, widths of hidden
    layers whose units may be permuted, ln(1/delta)."""

    errors: int
    n: int
    level_counts: tuple[int, ...]
    bits_per_level: int
    choices: int
    permuted_widths: tuple[int, ...]
    log_inv_delta: float

    def __post_init__(self) -> None:
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not 0 <= self.errors <= sample_size("n", self.n):
            raise InvalidInput(f"{self.errors} errors in {self.n} examples.", "Errors lie between 0 and n.")
        quantised_code_bits(self.level_counts, bits_per_level=self.bits_per_level)
        code_log_inv_weight(self.bits(), choices=self.choices, permuted_widths=self.permuted_widths)

    def bits(self) -> int:
        return max(1, quantised_code_bits(self.level_counts, bits_per_level=self.bits_per_level))


@dataclass(frozen=True)
class NetworkPrediction:
    """Bits of the enumerative and of the arithmetic code, ln(1/w) of the first as a prefix-free code and as a message whose length must be
    paid, and the bound on the risk."""

    enumerative: float
    arithmetic: float
    prefix_free: float
    paid_length: float
    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


DERIVATION = (
    Axiom(KRAFT, "the weights 2^-b of a prefix-free code sum to at most 1"),
    Axiom(BASEL, "naming the length b first, with weight 6/(pi^2 b^2), makes any code prefix-free: ln(1/w) = b ln 2 + 2 ln b + ln(pi^2/6), as at most 2^b "
          "messages have b bits; without the constant the sum over b >= 2 is pi^2/6 - 1 < 1"),
    Axiom(UNION, "N options of equal weight cost ln N; the weight of a predictor is the sum over all its codewords, so N of one length give N 2^-b"),
    Enumeration("quantised vectors, levels given: table and arithmetic code, and index and enumeration, sum to at most 1 (d <= 8, L <= 4)", kraft_sums),
    Enumeration("each part of the enumerative code is no longer than that of the other (d <= 12, L <= 4)", enumerative_is_shorter),
    Uses(occam.BINOMIAL_RESULT, "with the weight of the codeword"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _lengths(s: NetworkSetting) -> tuple[int, int]:
    return (
        quantised_code_bits(s.level_counts, bits_per_level=s.bits_per_level),
        quantised_code_bits(s.level_counts, bits_per_level=s.bits_per_level, form="arithmetic"),
    )


def predict(s: NetworkSetting) -> NetworkPrediction:
    first, second = _lengths(s)
    weight: dict[str, Any] = {"choices": s.choices, "permuted_widths": s.permuted_widths}
    certificate = compression_bound(
        errors=s.errors,
        n=s.n,
        level_counts=s.level_counts,
        bits_per_level=s.bits_per_level,
        log_inv_delta=s.log_inv_delta,
        **weight,
    )
    return NetworkPrediction(
        float(first),
        float(second),
        code_log_inv_weight(first, **weight),
        code_log_inv_weight(first, prefix_free=False, **weight),
        certificate.value,
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> NetworkSetting:
    levels = int(rng.integers(1, 9))
    entries = int(10 ** rng.uniform(0, rng.choice([1.0, 3.0, 7.0])))
    counts = tuple(int(c) for c in rng.multinomial(entries, rng.dirichlet(np.full(levels, 0.7))))
    # powers of two are where a ceiling is decided by equality
    if rng.random() < 0.2:
        counts = tuple(2 ** int(rng.integers(0, 5)) for _ in range(2 ** int(rng.integers(0, 4))))
    n = int(10 ** rng.uniform(2, 5))
    bits = int(rng.integers(8, 33))
    widths = tuple(int(h) for h in rng.integers(1, 8, size=int(rng.integers(0, 3)))) if sum(counts) > 60 else ()
    return NetworkSetting(
        int(n * rng.uniform(0, 0.4)),
        n,
        counts,
        bits,
        int(rng.integers(1, 100)),
        widths,
        float(10 ** rng.uniform(-0.1, 2)),
    )


def expression(s: NetworkSetting) -> list[arb]:
    first, second = (quantised_bits(s.level_counts, s.bits_per_level, form) for form in ("enumerative", "arithmetic"))
    weight: dict[str, Any] = {"choices": s.choices, "permuted_widths": s.permuted_widths}
    free, paid = (log_inv_weight_ball(first, code=code, **weight) for code in ("prefix-free", "basel"))
    with ctx.workdps(60):
        level = free + level_ball(s.log_inv_delta)
    return [arb(first), arb(second), free, paid, occam_binomial_ball(s.errors, s.n, level, 20)]


def width(s: NetworkSetting) -> list[float]:
    """Lengths are whole: equal. ln(1/w): b ln 2 is 4 half-ulps up, the other logarithms 6, sums 4; a credit takes off at most 9/10."""
    return [
        0.0,
        0.0,
        140 * HALF_ULP,
        140 * HALF_ULP,
        140 * HALF_ULP + binomial.width(binomial.ErrorsSetting(s.errors, s.n, s.log_inv_delta)),
    ]


@cache
def _values(s: NetworkSetting) -> tuple[float, ...]:
    """What is shipped, once for all the mutants of one number each."""
    return tuple(vars(predict(s)).values())


FORMULA = Formula(
    expression=expression,
    shipped=lambda s: list(vars(predict(s)).values()),
    read=lambda p: list(vars(p).values()),
    sample=sample,
    width=width,
    side="upper",
    count=24,
)


def _mutant(index: int, function: Any) -> dict[str, Any]:
    def shipped(s: NetworkSetting) -> list[float]:
        values = list(_values(s))
        values[index] = float(function(s, values))
        return values

    return {"claim": replace(FORMULA, shipped=shipped)}


def _bound(s: NetworkSetting, **changes: Any) -> float:
    given: dict[str, Any] = {
        "errors": s.errors, "n": s.n, "level_counts": s.level_counts, "bits_per_level": s.bits_per_level, "choices": s.choices,
        "permuted_widths": s.permuted_widths, "log_inv_delta": s.log_inv_delta, **changes,
    }  # fmt: skip
    return compression_bound(**given).value


def _entropy(s: NetworkSetting, base: float) -> float:
    """d H with the given logarithm."""
    d = sum(s.level_counts)
    return float(sum(c * np.log(d / c) for c in s.level_counts if c) / np.log(base))


def _table(s: NetworkSetting) -> int:
    return len(s.level_counts) * sum(s.level_counts).bit_length()


# --- checks: the weights are proper -------------------------------------------------------------------------------


def _masses(s: NetworkSetting, bits: Any) -> Coverage:
    """The sum of 2^-bits over all vectors with as many entries and levels as the setting's."""
    found = 0.0
    for counts in compositions(sum(s.level_counts), len(s.level_counts)).tolist():
        ways, _ = codeword_mass(counts, 0)
        found += ways * 2.0 ** -float(bits(tuple(counts)))
    return Coverage(0.5, moment=found, constant=1.0, note="sum of 2^-bits over every vector")


def compare_kraft(
    s: NetworkSetting, p: NetworkPrediction, rows: Rows, *, form: Any = "enumerative", less: Any = None
) -> Coverage:
    def bits(counts: tuple[int, ...]) -> float:
        length = quantised_code_bits(counts, bits_per_level=0, form=form)
        return length - (less(replace(s, level_counts=counts)) if less else 0)

    return _masses(s, bits)


def compare_arithmetic(s: NetworkSetting, p: NetworkPrediction, rows: Rows) -> Coverage:
    return compare_kraft(s, p, rows, form="arithmetic")


def _less(form: str, less: Any) -> dict[str, Any]:
    return {"compare": lambda s, p, rows: compare_kraft(s, p, rows, form=form, less=less)}


def _count_index(s: NetworkSetting) -> int:
    entries, levels = sum(s.level_counts), len(s.level_counts)
    return (comb(entries + levels - 1, levels - 1) - 1).bit_length()


def compare_lengths(s: NetworkSetting, p: NetworkPrediction, rows: Rows, *, constant: float | None = None) -> Coverage:
    """2^b messages of each length b = 1, ..., 500 at the weights that are paid for: the rest of the sum is at most 6/(500 pi^2), which is added."""
    total = 6 / (np.pi**2 * 500) if constant is None else 0.0
    for b in range(1, 501):
        paid = code_log_inv_weight(b, prefix_free=False) - b * LN2
        total += np.exp(-(paid if constant is None else 2 * np.log(b) + constant))
    # 1/500 is more than the rest, by 1/(2 * 500^2); b ln 2 is subtracted again: 4 half-ulps of at most 347 nats
    return Coverage(
        0.5, moment=float(total), constant=1 + 6 / (np.pi**2 * 2 * 500**2), rounding=1e-12, note="sum over all lengths"
    )


def compare_lengths_published(s: NetworkSetting, p: NetworkPrediction, rows: Rows) -> Coverage:
    return compare_lengths(s, p, rows, constant=0.0)


SMALL = ByBudget(
    quick=tuple(NetworkSetting(0, 1, c, 0, 1, (), 1.0) for c in ((3, 3), (30, 30), (2, 2, 2, 2), (4, 4, 4))),
)

CHECKS = (
    Check(
        "the shipped lengths, weights and bound are exact, or rounded upward",
        FORMULA,
        controls=(
            Control("the index of the counts forgotten", _mutant(0, lambda s, v: v[0] - _count_index(s))),
            Control("the frequency table forgotten", _mutant(1, lambda s, v: v[1] - _table(s))),
            Control("entropy in nats", _mutant(1, lambda s, v: v[1] + np.ceil(_entropy(s, math.e)) - np.ceil(_entropy(s, 2)))),
            Control("the levels themselves forgotten", _mutant(0, lambda s, v: v[0] - len(s.level_counts) * s.bits_per_level)),
            Control("the coder's two bits dropped", _mutant(1, lambda s, v: v[1] - 2)),
            Control("bits taken for nats", _mutant(2, lambda s, v: v[2] + v[0] * (1 - LN2))),
            Control("the length's price dropped", _mutant(3, lambda s, v: v[2])),
            Control("ln(pi^2/6) dropped", _mutant(3, lambda s, v: v[3] - np.log(np.pi**2 / 6))),
            Control("choices not paid for", _mutant(4, lambda s, v: _bound(s, choices=1))),
            Control("no credit for permutations", _mutant(2, lambda s, v: code_log_inv_weight(int(v[0]), choices=s.choices))),
            Control("the arithmetic code in the bound", _mutant(4, lambda s, v: _bound(s, form="arithmetic"))),
        ),
    ),
    Check(
        "the enumerative code is prefix-free: its weights sum to at most 1",
        HighProbabilityBound(),
        settings=SMALL,
        compare=compare_kraft,
        controls=(Control("the index of the counts forgotten", _less("enumerative", _count_index)),),
    ),
    Check(
        "table and arithmetic code are prefix-free: their weights sum to at most 1",
        HighProbabilityBound(),
        settings=SMALL,
        compare=compare_arithmetic,
        controls=(
            Control("the frequency table forgotten", _less("arithmetic", _table)),
            Control("entropy in nats", _less("arithmetic", lambda s: np.ceil(_entropy(s, 2)) - np.ceil(_entropy(s, math.e)) + 2)),
        ),
    ),
    Check(
        "naming the length: the weights of all messages sum to at most 1",
        HighProbabilityBound(),
        settings=ByBudget(quick=(NetworkSetting(0, 1, (1, 1), 1, 1, (), 1.0),)),
        compare=compare_lengths,
        controls=(Control("2 ln b without ln(pi^2/6), from b = 1 on", {"compare": compare_lengths_published}),),
    ),
)  # fmt: skip

RESULT = Result(
    COMPRESSION,
    predict=predict,
    example=NetworkSetting(600, 50_000, (700, 200, 90, 10), 16, 12, (20, 10), float(-np.log(0.05))),
    checks=CHECKS,
    uses=(occam.BINOMIAL_RESULT,),
    derivation=DERIVATION,
)
