"""Exact binomial limits in float64 against ball arithmetic: on the safe side, tight, monotone, and sane where peers break."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainccinv, betaincinv

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified import binomial_lower, binomial_upper, kl_upper
from nonvacuous.numerics.certified.binomial_root import stirling
from nonvacuous.numerics.certified.binomial_series import _integral, _sum
from nonvacuous.theory.balls.binomial import (
    binomial_lower_ball,
    binomial_upper_ball,
    exact_tail,
    log_tail,
)

ULP = 2.0**-52


def hard_inputs(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(k, n, ln(1/delta)): n up to 1e12, k at both ends and everywhere between, levels from 1e-3 to 1e6."""
    n = np.floor(10 ** rng.uniform(0, rng.choice([1.5, 3.5, 12], size, p=[0.5, 0.4, 0.1]))).astype(np.int64)
    family, u = rng.integers(0, 6, size), rng.random(size)
    small = np.floor(10 ** (u * 3.4) - 1).astype(np.int64)
    choices = [small // 200, small, n - 1 - small, np.floor(n * u).astype(np.int64)]
    k = np.select([family == i for i in range(4)], choices, np.floor(n**u).astype(np.int64)).clip(0, n)
    level = np.where(rng.random(size) < 0.5, 10 ** rng.uniform(-1, 1.5, size), 10 ** rng.uniform(-3, 6, size))
    return k, n, level


def excess(k: int, n: int, p: float, level: float) -> arb:
    """ln P(Bin(n,p) <= k) + ln(1/delta) at a float p, rigorously."""
    with ctx.workprec(110 + int(max(0.0, -math.log2(level)))):
        return log_tail(k, n, arb(p), 1 - arb(p)) + arb(level)


def test_twenty_thousand_hard_inputs_are_on_the_safe_side():
    """Upper: the tail at the returned p does not exceed delta; lower: nor does the other tail (10,000 inputs for each)."""
    k, n, level = hard_inputs(20_000, np.random.default_rng(7))
    half = 10_000
    upper = binomial_upper(k[:half], n[:half], log_inv_delta=level[:half])
    for i in np.flatnonzero(upper < 1):
        assert excess(int(k[i]), int(n[i]), float(upper[i]), float(level[i])) <= 0, (k[i], n[i], level[i])
    k, n, level = k[half:], n[half:], level[half:]
    lower = binomial_lower(k, n, log_inv_delta=level)
    for i in np.flatnonzero(lower > 0):
        p = arb(float(lower[i]))
        with ctx.workprec(110 + int(max(0.0, -math.log2(level[i])))):
            # P(Bin(n,p) >= k) = P(Bin(n,1-p) <= n-k)
            tail = log_tail(int(n[i] - k[i]), int(n[i]), 1 - p, p) + arb(float(level[i]))
        assert tail <= 0, (k[i], n[i], level[i])


def test_the_upper_limit_is_tight():
    """At p (1 - 100 ulp) the tail exceeds delta, for every level that is of use (delta <= 1/2)."""
    k, n, level = hard_inputs(1500, np.random.default_rng(8))
    level = np.maximum(level, np.log(2))
    upper = binomial_upper(k, n, log_inv_delta=level)
    for i in np.flatnonzero(k < n):
        assert excess(int(k[i]), int(n[i]), float(upper[i]) * (1 - 100 * ULP), float(level[i])) >= 0, (
            k[i],
            n[i],
            level[i],
        )


@pytest.mark.parametrize(
    ("k", "n", "level"),
    [
        (600, 50_000, 3.0), (7, 10**12, 34.5), (5 * 10**11, 10**12, 3.0), (10**12 - 5, 10**12, 4.6), (600, 10**9, 1e6), (5 * 10**11, 10**12, 1e6),
        (16, 10**9, 3.0), (1000, 2002, 2.0), (1001, 2003, 2.0), (99, 100, 1e6), (1, 2, math.log(2)), (3, 7, 1e-3), (0, 1, 1e-300), (2, 5, 745.0),
    ],
)  # fmt: skip
def test_named_inputs(k, n, level):
    upper, lower = float(binomial_upper(k, n, log_inv_delta=level)), float(binomial_lower(k, n, log_inv_delta=level))
    exact_upper, exact_lower = binomial_upper_ball(k, n, level, 40).p, binomial_lower_ball(k, n, level, 40).p
    with ctx.workdps(50):
        assert upper == 1 or arb(upper) >= exact_upper
        assert float((arb(upper) - exact_upper) / exact_upper) < 200 * ULP
        if lower > 0:
            assert arb(lower) <= exact_lower
            assert float((exact_lower - arb(lower)) / exact_lower) < 40 * ULP * (5 + level / k + math.log(n))


def test_the_balls_against_rational_tails():
    """The third route: the defining sum in rational arithmetic."""
    rng = np.random.default_rng(9)
    for _ in range(60):
        n = int(rng.integers(1, 40))
        k, p = int(rng.integers(0, n + 1)), Fraction(int(rng.integers(1, 1000)), 1000 + int(rng.integers(0, 5)))
        with ctx.workdps(50):
            ball = log_tail(k, n, arb(p.numerator) / p.denominator, 1 - arb(p.numerator) / p.denominator).exp()
            exact = exact_tail(k, n, p)
            assert ball.overlaps(arb(exact.numerator) / exact.denominator)
            assert ball.rel_accuracy_bits() > 100 or exact == 1


def test_sum_and_integral_agree():
    """Two ways to the ratio of tail and last term, where both apply."""
    rng = np.random.default_rng(10)
    n = np.floor(10 ** rng.uniform(3.5, 9, 300))
    k = np.minimum(rng.integers(990, 1000, 300).astype(float), n - 1100)
    q = k / n
    gap = (kl_upper(q, 10 ** rng.uniform(0, 3, 300) / n) - q) * rng.uniform(0.2, 1, 300)
    p = q + gap
    first, first_error = _sum(k, n, gap, p, 1 - p)
    second, second_error = _integral(k, n, gap, p, 1 - p)
    np.testing.assert_array_less(np.abs(first / second - 1), 3 * (first_error + second_error) + 1e-15)


def test_stirling_remainder():
    with ctx.workdps(40):
        for m in (1, 2, 15, 16, 17, 63, 64, 65, 1000, 10**6, 10**12):
            exact = arb(m + 1).lgamma() - (arb(m) + arb("0.5")) * arb(m).log() + m - (2 * arb.pi()).log() / 2
            assert abs(float(stirling(np.array([float(m)]))[0] - exact)) < 3e-17


def test_the_documents_short_table_would_be_too_short():
    """With Stirling's series from m = 16 on (four terms), s(16) is off by 1.1e-14, which moves pbar by more than 1e-15 relative."""
    with ctx.workdps(40):
        exact = arb(17).lgamma() - (arb(16) + arb("0.5")) * arb(16).log() + 16 - (2 * arb.pi()).log() / 2
        series = sum(
            arb(c) / arb(d) / arb(16) ** (2 * i + 1)
            for i, (c, d) in enumerate([(1, 12), (-1, 360), (1, 1260), (-1, 1680)])
        )
        assert 1e-14 < float(exact - series) < 1.3e-14


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.7, 1e4))
def test_order_and_monotonicity(n, share, level):
    """E6 and E17 (delta <= 1/2): below Chernoff, growing with k and the level, falling with n at fixed k/n."""
    k = int(n * share)
    upper = float(binomial_upper(k, n, log_inv_delta=level))
    assert k / n * (1 - ULP) <= upper <= 1
    assert upper <= float(kl_upper(k / n * (1 + ULP) if k < n else 1.0, level / n)) * (1 + 100 * ULP)
    assert upper <= float(binomial_upper(k, n, log_inv_delta=level * 1.01)) * (1 + 100 * ULP)
    if k < n:
        assert upper <= float(binomial_upper(k + 1, n, log_inv_delta=level)) * (1 + 100 * ULP)
    assert float(binomial_upper(3 * k, 3 * n, log_inv_delta=level)) <= upper * (1 + 100 * ULP)
    assert float(binomial_lower(k, n, log_inv_delta=level)) <= k / n * (1 + ULP)


def test_e17_fails_above_one_half():
    """The document's exception: for delta > 1/2 the limit may rise with n at fixed k/n."""
    assert float(binomial_upper(5, 10, delta=0.9)) < float(binomial_upper(50, 100, delta=0.9))


def test_d24_no_errors():
    """k = 0: the closed form 1 - delta^(1/n), for n where clamping at 1e-6 would be wrong by a factor 1e5."""
    for n in (1, 10, 10**6, 10**12):
        exact = -math.expm1(math.log(0.05) / n)
        assert float(binomial_upper(0, n, delta=0.05)) == pytest.approx(exact, rel=4e-15, abs=0)
        assert float(binomial_upper(0, n, delta=0.05)) >= exact * (1 - ULP)
    assert float(binomial_lower(0, 10, delta=0.05)) == 0.0
    assert float(binomial_upper(10, 10, delta=0.05)) == 1.0
    assert float(binomial_lower(10, 10, delta=0.05)) == pytest.approx(0.05**0.1, rel=1e-14, abs=0)


def test_the_incomplete_beta_inverse_at_one_minus_delta_loses_its_digits():
    """n = 1e12, k = 7, delta = 1e-15: the plain inverse is wrong by 1.7e-5, ours and the complementary inverse agree."""
    ours = float(binomial_upper(7, 10**12, delta=1e-15))
    assert ours == pytest.approx(betainccinv(8, 10**12 - 7, 1e-15), rel=1e-14, abs=0)
    assert abs(betaincinv(8, 10**12 - 7, 1 - 1e-15) / ours - 1) > 1e-5


def test_d27_every_iterate_stays_inside():
    """Extreme levels: no NaN, nothing outside [0, 1], 1 where 1-p underflows."""
    levels = np.array([5e-324, 1e-300, 1e-16, 0.6931471805599452, 0.6931471805599454, 1.0, 800.0, 1e9, 1e300])
    k = np.array([0, 1, 5, 9, 10])[:, None]
    upper, lower = binomial_upper(k, 10, log_inv_delta=levels), binomial_lower(k, 10, log_inv_delta=levels)
    assert upper.shape == lower.shape == (5, 9)
    assert ((upper >= 0) & (upper <= 1) & (lower >= 0) & (lower <= 1)).all()
    assert (upper[:, -1] == 1).all()
    assert (np.diff(upper, axis=1) >= -100 * ULP).all()


def test_shapes():
    assert binomial_upper(3, 10, delta=0.1).shape == ()
    assert binomial_upper([3, 4], [[10], [20]], delta=[0.1, 0.2]).shape == (2, 2)
    assert binomial_upper(np.zeros((0, 3)), 10, delta=0.1).shape == (0, 3)
    blocks = binomial_upper(np.arange(2000), 5000, delta=0.1)
    assert blocks[1234] == float(binomial_upper(1234, 5000, delta=0.1))


@pytest.mark.parametrize(
    "bad",
    [
        {"k": -1}, {"k": 11}, {"k": 2.5}, {"k": math.nan}, {"n": 0}, {"n": 2.0**54}, {"n": math.inf}, {"k": [1, 2], "n": [3, 4, 5]}, {"delta": 0.0},
        {"delta": 1.0}, {"delta": math.nan}, {"delta": None}, {"log_inv_delta": 1.0}, {"delta": None, "log_inv_delta": 0.0},
        {"delta": None, "log_inv_delta": math.inf}, {"k": "a"},
    ],
)  # fmt: skip
def test_bad_input(bad):
    with pytest.raises(InvalidInput):
        binomial_upper(**{"k": 3, "n": 10, "delta": 0.1, **bad})
    with pytest.raises(InvalidInput):
        binomial_lower(**{"k": 3, "n": 10, "delta": 0.1, **bad})


@pytest.mark.parametrize("bad", [(-1, 5, 1.0), (6, 5, 1.0), (1, 5, 0.0), (1.5, 5, 1.0), (1, 5, -1.0)])
def test_bad_balls(bad):
    with pytest.raises(InvalidInput):
        binomial_upper_ball(*bad)
