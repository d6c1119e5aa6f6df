"""The binomial root piece by piece: the derived error of ln T, the ends of a Newton iterate and of p, in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from nonvacuous.numerics.certified import binomial_root
from nonvacuous.numerics.certified.binomial_series import tail_over_term

ULP, U = 2.0**-52, 2.0**-53
POINTS = [(k, n) for n in (2, 9, 64, 1000, 10**6, 10**12) for k in sorted({1, n // 3, n // 2, n - 1}) if 0 < k < n]
SHARES = [1e-9, 1e-3, 0.1, 0.5, 0.79]


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def parts(k: int, n: int, p: mp.mpf) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    """(1-q) v and q ln(p/q), whose difference is kl(q||p), and ln of the largest term's constant apart from Stirling's remainders."""
    q = mp.mpf(k) / n
    return -(1 - q) * mp.log((1 - p) / (1 - q)), q * mp.log(p / q), mp.log(2 * mp.pi * k * (1 - q))


@pytest.mark.parametrize(("k", "n"), POINTS)
@pytest.mark.parametrize("share", SHARES)
def test_the_error_of_ln_t_has_the_derived_size(k, n, share):
    """The table of the module: by the gap 15 n kl, by v 10 and 12 of the two parts; 3 (1 + |ln|) + 2; 3 (1 + ln S) + n kl for the sums."""
    with mp.workdps(60):
        gap = float(share * (n - k) / n)
        p = mp.mpf(k) / n + gap
        v = float(-mp.log1p(-mp.mpf(share)))
        drop, rise, log = parts(k, n, p)
        whole, size = array(k), array(n)
        total, series = (
            float(x[0]) for x in tail_over_term(whole, size, array(gap), array(float(p)), array(float(1 - p)))
        )
        nkl = n * (drop - rise)
        common = float(series / U + 3 * (1 + abs(log)) + 2 + 3 * (1 + mp.log(total)) + nkl)
        found = binomial_root._by_gap(whole, size, array(gap))
        assert found.error[0] / U == pytest.approx(common + float(15 * nkl), rel=1e-6, abs=0)
        assert found.slope[0] == pytest.approx(float((n - k) / total / (1 - p)), rel=1e-6, abs=0)
        found = binomial_root._by_v(whole, size, array(v))
        # v is rounded, and n kl with it, by its slope n g/p in v
        moved = n * gap / float(p) * v * 2 * U
        assert found.error[0] / U == pytest.approx(
            common + float(n * (10 * drop + 12 * rise)), rel=1e-6, abs=20 * moved
        )
        assert found.slope[0] == pytest.approx((n - k) / total, rel=1e-6, abs=0)


@pytest.mark.parametrize(("k", "n"), [(k, n) for k, n in POINTS if n <= 1000])
@pytest.mark.parametrize("share", SHARES)
def test_ln_t_is_within_its_error(k, n, share):
    with mp.workdps(50):
        for route, x in ((binomial_root._by_gap, share * (n - k) / n), (binomial_root._by_v, -math.log1p(-share))):
            q = mp.mpf(k) / n
            p = q + x if route is binomial_root._by_gap else 1 - (1 - q) * mp.exp(-mp.mpf(x))
            term, total = mp.mpf(1), mp.mpf(1)
            for j in range(k):
                term *= mp.mpf(k - j) / (n - k + 1 + j) * (1 - p) / p
                total += term
            exact = mp.log(mp.binomial(n, k)) + k * mp.log(p) + (n - k) * mp.log(1 - p) + mp.log(total)
            found = route(array(k), array(n), array(x))
            assert abs(found.value[0] - exact) <= found.error[0]


@pytest.mark.parametrize("slope", [0.3, 1.0, 5e4])
@pytest.mark.parametrize(("error", "level_error"), [(2.0**-20, 0.0), (0.0, 2.0**-20), (2.0**-30, 2.0**-31), (0.0, 0.0)])
@pytest.mark.parametrize("level", [0.7, 3.0, 1e4])
def test_ends_of_a_newton_iterate(slope, error, level_error, level):
    """T exactly linear with its root at x: the ends are x + E/|T'| and x - 2 E/|T'|, E with half an ulp of the level, and two ulps outwards."""
    rng = np.random.default_rng(90)
    for x in rng.random(40):

        def evaluate(k, n, y, x=x):
            return binomial_root._Tail(np.full(1, -level), np.full(1, error), np.full(1, slope))

        low, high = (
            float(z[0])
            for z in binomial_root._newton(evaluate, array(1), array(2), array(x), array(level), array(level_error))
        )
        distance = (Fraction(error) + Fraction(level_error) + Fraction(U) * Fraction(level)) / Fraction(slope)
        ends = Fraction(float(x)) - 2 * distance, Fraction(float(x)) + distance
        tolerance = Fraction(float(x)) * Fraction(4 * ULP) + distance * Fraction(8 * ULP)
        assert 0 <= ends[0] - Fraction(low) <= tolerance or low == 0 >= ends[0]
        assert 0 <= Fraction(high) - ends[1] <= tolerance


def just(found: float, exact: Fraction | mp.mpf, ulps: float, size: float) -> bool:
    """At or above `exact`, by so many ulps of `size` at most, cut at 0 and 1."""
    return exact <= found <= exact + ulps * ULP * size


def limited(x: mp.mpf) -> mp.mpf:
    return min(max(x, mp.mpf(0)), mp.mpf(1))


def test_ends_of_p_from_the_gap():
    """Two ulps outwards, for k/n exact: one and a half are owed at most, so that four are never reached."""
    rng = np.random.default_rng(91)
    with mp.workdps(60):
        for _ in range(1500):
            n = int(10 ** rng.uniform(0.4, 12))
            k = int(rng.integers(1, n)) if rng.random() < 0.6 else int(rng.choice([1, n - 1]))
            q, qc = k / n, (n - k) / n
            low, high = sorted(qc * rng.random(2) ** rng.choice([1, 9]))
            if rng.random() < 0.2:
                low, high = 0.0, qc * rng.choice([1.0, 1.5])
            ends = [float(x) for x in binomial_root._gap_ends(q, qc, low, high)]
            exact, other = mp.mpf(k) / n, mp.mpf(n - k) / n
            assert just(-ends[0], -limited(exact + low), 4, exact + low)
            assert just(ends[1], limited(exact + high), 4, exact + high)
            assert just(-ends[2], -limited(other - high), 4, other)
            assert just(ends[3], limited(other - low), 4, other)


def test_ends_of_p_from_v():
    rng = np.random.default_rng(92)
    with mp.workdps(60):
        for i in range(1500):
            n = int(10 ** rng.uniform(0.4, 12))
            k = int(rng.integers(1, n)) if rng.random() < 0.6 else int(rng.choice([1, n - 1]))
            q, qc = k / n, (n - k) / n
            low, high = sorted(rng.uniform(0, 5, 2) if i % 3 else rng.uniform(735, 747, 2))
            if i % 10 == 0:
                low = 0.0
            ends = [float(x) for x in binomial_root._v_ends(q, qc, low, high)]
            other = mp.mpf(n - k) / n
            away = [other * mp.exp(-mp.mpf(float(x))) for x in (low, high)]
            assert just(-ends[0], -(1 - away[0]), 7, 1 - away[0])
            assert just(ends[1], 1 - away[1], 7, 1 - away[1])
            tiny = mp.mpf(2) ** -1070  # four smallest normal floats' worth of underflow
            assert just(-ends[2], -away[1], 5, away[1] + tiny / ULP)
            assert just(ends[3], min(away[0], 1), 5, away[0] + tiny / ULP)
            assert all(0 <= x <= 1 for x in ends)


def test_ends_of_a_nearly_certain_complement_stay_below_one():
    for ends in (binomial_root._gap_ends, binomial_root._v_ends):
        found = [float(x) for x in ends(1e-17, 1.0, 0.0, 50.0)]
        assert found[1] == found[3] == 1.0
        assert 0 <= found[0] <= 1e-17
        assert found[2] <= math.exp(-50)


def test_table_and_series_of_stirlings_remainder():
    binomial_root._table.cache_clear()
    table = binomial_root._table()
    with mp.workdps(40):
        for m in range(1, binomial_root._TABLE):
            exact = mp.loggamma(m + 1) - (m + mp.mpf(1) / 2) * mp.log(m) + m - mp.log(2 * mp.pi) / 2
            assert table[m] == float(exact)
            assert binomial_root.stirling(array(m))[0] == table[m]
        assert tuple(float(mp.bernoulli(2 * i) / (2 * i * (2 * i - 1))) for i in range(1, 5)) == binomial_root._STIRLING
