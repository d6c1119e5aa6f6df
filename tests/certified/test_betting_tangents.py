"""Tangents of the betting supremum at their derived width, where they are refused, and with every rounding exaggerated."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from exaggerated import exaggerated

from nonvacuous.numerics.certified import betting
from nonvacuous.numerics.certified.betting import Tangent, tangent

U = 2.0**-53
ONE, ONES = np.ones(1), np.ones(2)


@pytest.mark.parametrize("count", [1.0, 3.0])
@pytest.mark.parametrize("x", [1e-3, 0.2, 0.9, 20.0, 1e6])
def test_value_is_rounded_down_by_its_derived_error(x, count):
    """ln(1+x) + ln(1-x/(1+x)) = 0, so that the value is minus the error, 4 |x|/(1+x) + 10 |ln(1+x)| half-ulps for each bet of a count."""
    pair = np.array([x, -x / (1 + x)])
    u, bet = 0.5, -1.75
    f = u + pair / bet if x < 0.8 else None
    if f is None:  # a large gain needs a large bet, which u near the loss allows
        u = 1 / (2 + 2 * x)
        bet = x * (2 + 2 * x) / (1 + 2 * x)  # on a loss of 1: bet (1 - u) = x
        f = u + pair / bet
    line = tangent(f, count * ONES, bet, u)
    error = count * (4 * (x / (1 + x) + x) + 20 * math.log1p(x))
    rounding = 2 * count * U * 4 * (1 + x)  # of the pair's own doubles
    assert -line.value == pytest.approx(error * U, rel=0.02, abs=rounding)


@pytest.mark.parametrize("count", [1.0, 3.0])
@pytest.mark.parametrize("x", [-0.49, -0.3, 0.3, 2.0])
def test_slope_where_the_terms_cancel(x, count):
    """x/(1+x) cancels between x and -x/(1+2x): the slope is off by the terms' error alone, 8 + 4 |x|/(1+x) half-ulps of each."""
    pair = np.array([x, -x / (1 + 2 * x)])
    bet = 4.0
    u = 1 / 16 if x > 0 else 3 / 16
    f = u + pair / bet
    line = tangent(f, count * ONES, bet, u)
    part, ratios = abs(x / (1 + x)) / bet, np.abs(pair) / (1 + pair)
    blur = count * part * (16 + 4 * ratios.sum())
    product = (1 + bet * (1 - u)) * (1 - bet * u) / (u * (1 - u))
    rounding = 2 * count * bet * 2  # of -n b, a neighbour on either side
    centre = count * part * 2 * (4 + ratios.sum()) * product  # the doubles of the pair do not cancel exactly
    assert (line.slope_high - line.slope_low) / U == pytest.approx(2 * blur * product, abs=rounding + 0.02 * centre)
    assert line.slope_low <= -2 * count * bet + centre * U
    assert line.slope_high >= -2 * count * bet - centre * U


@pytest.mark.parametrize("bet", [-300.0, 300.0])
def test_slope_of_a_large_bet(bet):
    """(1 + b (1-u)) (1 - b u) is off by 16 (1 + |b|)^2 half-ulps, which exceeds all other errors if |b| is large."""
    u = 1 / 512 if bet > 0 else 511 / 512
    f = np.array([u / 2]) if bet > 0 else np.array([(1 + u) / 2])
    line = tangent(f, ONE, bet, u)
    x = bet * (f[0] - u)
    term, product, spread = (f[0] - u) / (1 + x), (1 + bet * (1 - u)) * (1 - bet * u), u * (1 - u)
    off = abs(term) * 2 * 16 * (1 + abs(bet)) ** 2 / spread
    rest = abs(term) * product / spread * (2 * (8 + 4 * abs(x) / (1 + x)) + 2 * 8)
    assert (line.slope_high - line.slope_low) / U == pytest.approx(off + rest, rel=0.01, abs=0)


@pytest.mark.parametrize("bet", [-2 * (1 - 2.0**-48), 2 * (1 - 2.0**-48)])
def test_slope_of_a_bet_next_to_its_end(bet):
    """(1 + b (1-u)) (1 - b u) is then smaller than its rounding; R u (1-u)/(A C) of either sign must still be enclosed."""
    for f in ([0.5 + 0.4 * np.sign(bet)] * 2, [0.5 - 0.1 * np.sign(bet), 0.5], [0.1, 0.9]):
        line = tangent(np.array(f), ONES, bet, 0.5)
        with mp.workdps(50):
            b, u = mp.mpf(bet), mp.mpf("0.5")
            r = sum((mp.mpf(x) - u) / (1 + b * (mp.mpf(x) - u)) for x in f)
            slope = -2 * b - r * (1 + b * (1 - u)) * (1 - b * u) / (u * (1 - u))
        assert line.slope_low <= slope <= line.slope_high
        assert line.slope_high - line.slope_low < 1e-9


def test_tangent_at_the_end_of_the_bets():
    """f = u: ln((1-f)/(1-u)) = 0, so that the value is minus 12 half-ulps of both logarithms; the slope is within 4 half-ulps."""
    for bet, u, f in ((-2.0, 0.5, 0.5), (2.0, 0.5, 0.5), (-4.0, 0.75, 0.75), (4.0, 0.25, 0.25)):
        line = tangent(np.array([f, f]), np.array([1.0, 3.0]), bet, u, True)
        size = -4 * (math.log1p(-u) if bet < 0 else math.log(u))
        slope = -4 * bet
        assert line.value == pytest.approx(-2 * size * 12 * U, rel=1e-9, abs=0)
        assert (line.slope_low, line.slope_high) == (slope - abs(slope) * 4 * U, slope + abs(slope) * 4 * U)


@pytest.mark.parametrize("count", [1.0, 3.0])
def test_values_at_the_end(count):
    line = tangent(np.array([0.25, 0.0]), np.array([count, 2.0]), -2.0, 0.5, True)
    assert line.value == pytest.approx(count * math.log(1.5) + 2 * math.log(2), rel=1e-14, abs=0)
    line = tangent(np.array([0.75, 1.0]), np.array([count, 2.0]), 2.0, 0.5, True)
    assert line.value == pytest.approx(count * math.log(1.5) + 2 * math.log(2), rel=1e-14, abs=0)
    line = tangent(np.array([0.0, 0.5]), np.array([2.0, count]), -1.0, 0.0, True)
    assert line.point == 0
    assert line.value == pytest.approx(-count * math.log(2), rel=1e-14, abs=0)
    assert line.slope_high == pytest.approx(2 + count, rel=1e-15, abs=0)


NEAR_ONE = 1 - 2.0**-53


@pytest.mark.parametrize(
    ("f", "bet", "u", "at_end"),
    [
        ([0.5, 0.2], -0.5, 0.0, False),  # a candidate of 0 or 1
        ([0.5, 0.2], -0.5, 1.0, False), ([0.5, 0.2], -0.5, 1.0, True), ([0.5, 0.2], 0.5, 1.0, True),
        ([0.5, 0.2], 0.5, 0.0, False), ([0.5, 0.2], 0.5, 0.0, True), ([0.5, 0.2], 1.0, -0.5, False), ([0.5, 0.2], -0.2, 1.5, False),
        ([0.5, 1.0], -2.0, 0.5, True), ([0.5, 0.0], 2.0, 0.5, True),  # a loss that ruins the last bet
        ([1.0, 0.2], -2.0, 0.5, False), ([1.0, 0.2], -3.0, 0.5, False), ([0.0, 0.2], 3.0, 0.5, False),
        ([0.5, 0.4], -2.0, 0.5, False), ([0.5, 0.6], 2.0, 0.5, False),  # a bet at its end or within 1e-15 of it
        ([0.5, 0.4], -2 * NEAR_ONE, 0.5, False), ([0.5, 0.6], 2 * NEAR_ONE, 0.5, False), ([0.5, 0.4], -2.5, 0.5, False), ([0.5, 0.6], 2.5, 0.5, False),
        ([0.5, 0.5 - (1 - 2.0**-46) / 3.5], 3.5, 0.28, False),  # 1 + x too close to 0
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_teaches_nothing(f, bet, u, at_end):
    if u == 0.28:
        f = [0.5, u - (1 - 2.0**-46) / bet]
    assert tangent(np.array(f), ONES, bet, u, at_end) == Tangent(u, 0.0, 0.0, 0.0)


def test_what_can_be_evaluated():
    for f, bet, u in (
        ([0.5, 0.28 - (1 - 2.0**-42) / 3.5], 3.5, 0.28),
        ([0.5, 0.4], -2 * (1 - 2.0**-48), 0.5),
        ([0.5, 0.6], 2 * (1 - 2.0**-48), 0.5),
        ([0.0, 1.0], -0.25, 0.5),
    ):
        assert tangent(np.array(f), ONES, bet, u).slope_high != 0


NOISE = 1e-12


def test_every_rounding_of_a_tangent_goes_the_safe_way(monkeypatch):
    for f, bet, u, at_end in (
        ([0.1, 0.4], -0.7, 0.5, False), ([0.9, 0.7], -0.7, 0.5, False), ([0.1, 0.4], 0.7, 0.5, False), ([0.9, 0.7], 0.7, 0.3, False),
        ([0.1, 0.4], -2.0, 0.5, True), ([0.9, 0.7], 2.0, 0.5, True), ([0.3, 0.2], 4.0, 0.25, True),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            plain, *others = exaggerated(
                patch, betting, lambda f=f, bet=bet, u=u, at_end=at_end: tangent(np.array(f), ONES, bet, u, at_end)
            )
        assert others
        for line in others:
            assert line.value <= plain.value + NOISE
            assert line.slope_low <= plain.slope_low + NOISE
            assert line.slope_high >= plain.slope_high - NOISE
