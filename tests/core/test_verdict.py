"""Each procedure rules in each of its ways, on evidence where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flint import arb

from nonvacuous.numerics.claims import (
    Agreement,
    Comparison,
    Coverage,
    Enclosures,
    Formula,
    HighProbabilityBound,
    Identity,
    Inequality,
    Ladder,
    LimitWithRate,
    Ordering,
    Paired,
)
from nonvacuous.numerics.intervals import ALPHA, multiplier
from nonvacuous.numerics.verdict import coverage_power, judge, judge_formula, worst


def test_worst():
    assert worst(["supported", "inconclusive"]) == "inconclusive"
    assert worst(["inconclusive", "refuted", "supported"]) == "refuted"
    assert worst([]) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "identity", "inequality"),
    [
        ([0.0], [0.0], "supported", "supported"),
        ([1e-30], [2e-30], "refuted", "supported"),
        ([-2e-30], [-1e-30], "refuted", "refuted"),
        ([-1.0], [1.0], "inconclusive", "inconclusive"),
    ],
)
def test_enclosures(low, high, identity, inequality):
    evidence = Enclosures(np.array(low), np.array(high), width=1e-20)
    assert judge(Identity(), evidence).ruling == identity
    assert judge(Inequality(), evidence).ruling == inequality


def test_agreement():
    def ruling(difference: float, bound: float) -> str:
        one = np.ones(1)
        return judge(Agreement("rounding"), Comparison(one + difference, one, bound * one, one)).ruling

    assert ruling(1e-6, 1e-5) == "supported"
    assert ruling(1e-4, 1e-5) == "refuted"
    assert ruling(0.0, 0.1) == "inconclusive"  # a bound that wide answers nothing
    assert ruling(float("nan"), 1e-5) == "refuted"
    with pytest.raises(ValueError, match="finite"):
        ruling(0.0, float("inf"))


def test_coverage_exact():
    claim = HighProbabilityBound()
    assert judge(claim, Coverage(0.1, moment=1.0, constant=1.0, failure=0.1)).ruling == "supported"
    assert judge(claim, Coverage(0.1, moment=1.1, constant=1.0, failure=0.0)).ruling == "refuted"
    assert judge(claim, Coverage(0.1, failure=0.11)).ruling == "refuted"


def test_coverage_simulated():
    claim = HighProbabilityBound()
    assert judge(claim, Coverage(0.05, violations=50, trials=1000)).ruling == "supported"
    assert judge(claim, Coverage(0.05, violations=150, trials=1000)).ruling == "refuted"
    assert judge(claim, Coverage(0.05, violations=0, trials=100)).ruling == "inconclusive"
    # the planned sample sizes of the architecture
    assert coverage_power(1000, 0.05) > 0.9 > coverage_power(500, 0.05)
    assert coverage_power(5500, 0.01) > 0.9


def _ladder(end: float, slope: float, error: float = 1e-4) -> Ladder:
    size = np.array([32.0, 64, 128, 256, 512])
    correction = size**slope
    return Ladder(size, end + correction, np.full(5, error), correction, error * correction)


def test_limit():
    claim = LimitWithRate(rate=(-1.2, -0.6))
    assert judge(claim, _ladder(0.0, -1.0)).ruling == "supported"
    assert judge(claim, _ladder(0.1, -1.0)).ruling == "refuted"
    assert judge(claim, _ladder(0.0, -2.0)).ruling == "refuted"
    assert judge(claim, _ladder(0.0, -1.0, error=0.1)).ruling == "inconclusive"
    with pytest.raises(ValueError, match="three sizes"):
        judge(claim, Ladder(np.ones(2), np.ones(2), np.ones(2)))


def test_limit_says_which_sizes_carry_no_signal():
    size = np.array([32.0, 64, 128, 256, 512])
    correction, error = 1 / size, np.full(5, 1e-5)
    error[-1] = 1.0
    outcome = judge(LimitWithRate(rate=(-1.2, -0.6)), Ladder(size, correction, np.full(5, 1e-4), correction, error))
    assert "1 size(s) within three standard errors" in outcome.detail


def test_the_end_point_interval_covers():
    """5000 ladders with known noise: the 1e-6 interval for the end point never misses, the 5% one misses as often as it should."""
    from nonvacuous.numerics.verdict import _weighted_constant

    rng = np.random.default_rng(0)
    size = np.array([32.0, 64, 128, 256, 512])
    design = np.stack([size**0.0, 1 / size, size**-2.0], axis=1)
    error = 0.01 * np.ones(5)
    z = []
    for _ in range(5000):
        value = 0.7 + 3 / size - 20 / size**2 + error * rng.normal(size=5)
        end, half = _weighted_constant(design, value, error)
        z.append(abs(end - 0.7) / half)
    assert max(z) < multiplier()
    misses = int((np.array(z) > 1.96).sum())
    assert abs(misses - 250) < 4.9 * np.sqrt(250 * 0.95)


def _formula(shipped, side="both", width=1e-15) -> Formula:
    return Formula(
        expression=lambda s: arb(s).exp(),
        shipped=shipped,
        read=lambda p: p,
        sample=lambda rng: float(rng.normal()),
        width=lambda s: width,
        side=side,
    )


def test_formula():
    rng = np.random.default_rng
    assert judge_formula(_formula(np.exp), np.exp, rng(0)).ruling == "supported"
    assert judge_formula(_formula(lambda s: np.exp(s) * (1 + 1e-14)), np.exp, rng(0)).ruling == "refuted"
    # the prediction is held to the same standard as the shipped function
    assert judge_formula(_formula(np.exp), lambda s: np.exp(s) + 1e-12, rng(0)).ruling == "refuted"
    assert judge_formula(_formula(lambda s: float("nan")), np.exp, rng(0)).ruling == "refuted"
    # within the width, but on the unsafe side
    assert (
        judge_formula(
            _formula(lambda s: np.exp(s) * (1 - 1e-15), side="upper"), np.exp, rng(0), shipped_only=True
        ).ruling
        == "refuted"
    )
    assert (
        judge_formula(
            _formula(lambda s: np.exp(s) * (1 + 4e-16), side="upper"), np.exp, rng(0), shipped_only=True
        ).ruling
        == "supported"
    )


def test_a_check_and_its_controls_share_settings_but_not_what_differs():
    drawn: list[float] = []

    def sample(rng):
        drawn.append(float(rng.normal()))
        return drawn[-1]

    claim = replace(_formula(np.exp), sample=sample, count=20)
    known: dict = {}
    rng = np.random.default_rng
    assert judge_formula(claim, np.exp, rng(0), known=known).ruling == "supported"
    assert len(drawn) == 20
    off = replace(claim, shipped=lambda s: np.exp(s) * (1 + 1e-14))
    assert judge_formula(off, np.exp, rng(0), known=known, shipped_only=True).ruling == "refuted"
    wider = replace(off, width=lambda s: 1e-13)
    assert judge_formula(wider, np.exp, rng(0), known=known, shipped_only=True).ruling == "supported"
    other = replace(claim, expression=lambda s: arb(s).exp() + 1)
    assert judge_formula(other, np.exp, rng(0), known=known).ruling == "refuted"
    assert len(drawn) == 20
    judge_formula(replace(claim, count=30), np.exp, rng(0), known=known)
    assert len(drawn) == 50


def test_multiplier():
    assert multiplier() == pytest.approx(4.891638, abs=1e-6)
    assert multiplier(10) > multiplier()
    assert multiplier(degrees=15) > multiplier()
    assert ALPHA == 1e-6


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_a_number_is_not_evidence(number):
    """NaN compares false with everything: without a guard it would refute nothing."""
    bad, one = np.array([number]), np.ones(1)
    with pytest.raises(ValueError, match="numbers"):
        judge(Identity(), Enclosures(np.array([np.nan]), bad))
    with pytest.raises(ValueError, match="numbers"):
        judge(Inequality(), Enclosures(np.array([np.nan]), bad))
    with pytest.raises(ValueError, match="finite"):
        judge(Agreement("rounding"), Comparison(one, one, bad, one))
    with pytest.raises(ValueError, match="width"):
        judge_formula(_formula(np.exp, width=number), np.exp, np.random.default_rng(0))
    for name in ("failure", "moment"):
        with pytest.raises(ValueError, match="coverage"):
            judge(HighProbabilityBound(), Coverage(0.1, **{"constant": 1.0, name: np.nan}))


def test_a_vague_exact_value_decides_nothing():
    vague = Formula(
        expression=lambda s: arb(3, 1e6),
        shipped=lambda s: 3.0,
        read=lambda p: p,
        sample=lambda rng: 0.0,
        width=lambda s: 1e-15,
    )
    assert judge_formula(vague, lambda s: 3.0, np.random.default_rng(0)).ruling == "inconclusive"
    wide = _formula(lambda s: np.exp(s) * 1.4, width=0.5)
    assert judge_formula(wide, np.exp, np.random.default_rng(0)).ruling == "inconclusive"


def test_a_ladder_that_no_power_fits_is_inconclusive():
    size = np.array([32.0, 64, 128, 256, 512])
    wild = np.array([0.05, -0.33, 0.74, -0.57, 0.12])
    outcome = judge(LimitWithRate(rate=None), Ladder(size, wild - wild.mean(), np.full(5, 1e-4)))
    assert outcome.ruling != "supported"
    assert "do not fit" in outcome.detail


def test_an_ordering_needs_an_interval_on_its_side():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=12)
    assert judge(Ordering(), Paired(10 + noise)).ruling == "supported"
    assert judge(Ordering(), Paired(-10 - noise)).ruling == "refuted"
    assert judge(Ordering(), Paired(0.5 + noise)).ruling == "inconclusive"
    both = judge(Ordering(), Paired(np.stack([10 + noise, -10 + noise])))
    assert both.ruling == "refuted"
    assert both.statistic > 1
    assert judge(Ordering(), Paired(np.full(5, 0.1))).ruling == "supported"
    for bad in (np.full(2, 1.0), np.array([1.0, np.nan, 2.0, 3.0])):
        with pytest.raises(ValueError, match="ordering"):
            judge(Ordering(), Paired(bad))


def test_an_ordering_is_wrong_with_the_stated_probability_only():
    """No difference at all: supported or refuted in at most alpha of all cases, here never in 2000."""
    rng = np.random.default_rng(1)
    rulings = {judge(Ordering(), Paired(rng.normal(size=8))).ruling for _ in range(2000)}
    assert rulings == {"inconclusive"}
