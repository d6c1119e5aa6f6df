"""All four ends of the binomial root, p and 1-p from below and above, on both sides of delta = 1/2 and on both routes of the solver."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from nonvacuous.numerics.certified.binomial_root import _TABLE, root, stirling
from nonvacuous.numerics.certified.binomial_tail import _ends
from nonvacuous.theory.balls.binomial import binomial_upper_ball

ULP = 2.0**-52
RNG = np.random.default_rng(60)
SIZES = [2, 3, 17, 64, 65, 1000, 10**6]


def cases():
    """(k, n, ln(1/delta)): every size with few, some and nearly all errors, at levels from 1e-300 to 1e5."""
    for n in SIZES:
        for k in sorted({0, 1, 2, *([n // 7, n // 2] if n < 10**4 else []), n - 2, n - 1} & set(range(n))):
            for level in (1e-300, 1e-17, 1e-3, 0.3, 0.69, 0.7, 1.0, 5.0, 40.0, 700.0, 1e5):
                yield k, n, level * (1 + 0.01 * RNG.random())


CASES = list(cases())


def between(low, number, high):
    """low <= p <= high for a `BinomialLimitBall`, by the member of the pair (p, 1-p) that has the digits."""
    low, high = arb(float(low)), arb(float(high))
    return low <= number.p <= high or 1 - high <= number.complement <= 1 - low


def mirrored(number):
    return type(number)(number.complement, number.p)


def test_the_ends_enclose_and_are_narrow():
    """Beside containing the exact numbers: the ends of p are as close as the error of ln T, divided by its slope, allows."""
    k, n, level = (np.array(x, dtype=float) for x in zip(*CASES, strict=True))
    found = _ends(k, n, level)
    for i, (errors, trials, value) in enumerate(CASES):
        exact = binomial_upper_ball(errors, trials, value, 25)
        with ctx.workprec(1300):
            low, high, other_low, other_high = (float(x[i]) for x in found)
            assert between(low, exact, high)
            assert between(other_low, mirrored(exact), other_high)
            # terms of size ln(1/delta) (or of ln(1/(1-delta)), whichever is solved for) and ln n carry some ulps each, at slope 1/2 or more
            solved = value if value >= math.log(2) else -math.log(-math.expm1(-value))
            width = 64 * ULP * (10 + solved + math.log(trials))
            assert high - low <= exact.p * width + 2.0**-1060
            assert other_high - other_low <= exact.complement * width * (1 + solved) + 2.0**-1060


@pytest.mark.parametrize("spread", [1e-7])
def test_an_uncertain_level_widens_every_end(spread):
    """ln(1/delta) known to within `spread`: the ends hold for the whole range, not only for its middle."""
    chosen = [(k, n, level) for k, n, level in CASES if k and level >= 0.7 and level < 1e4]
    k, n, level = (np.array(x, dtype=float) for x in zip(*chosen, strict=True))
    found = root(k, n, level, np.full(k.size, spread))
    for i, (errors, trials, value) in enumerate(chosen):
        upper = binomial_upper_ball(errors, trials, value + spread, 25)
        lower = binomial_upper_ball(errors, trials, value - spread, 25)
        with ctx.workprec(1300):
            low, high, other_low, other_high = (float(x[i]) for x in found)
            assert between(low, lower, high) and between(low, upper, high)  # noqa: PT018
            for number in (lower, upper):
                assert between(other_low, mirrored(number), other_high)


def test_levels_beyond_every_float_of_the_complement():
    found = root(np.array([1.0, 5.0]), np.array([9.0, 2.0**53]), np.array([1.7e308, 1e307]), np.zeros(2))
    assert np.all(found.complement_low == 0)
    assert np.all(found.p_high == 1)
    assert np.all(found.complement_high < 1e-300)


def test_stirlings_remainder_from_the_table_and_from_the_series():
    """Within an ulp of 1/12 of ln m! - (m + 1/2) ln m + m - ln(2 pi)/2."""
    sizes = [*range(1, 200), 1000, 10**6, 10**12, 2**53]
    with mpmath.workdps(60):
        for m, value in zip(sizes, stirling(np.array(sizes, dtype=float)), strict=True):
            x = mpmath.mpf(m)
            exact = mpmath.loggamma(x + 1) - (x + mpmath.mpf(1) / 2) * mpmath.log(x) + x - mpmath.log(2 * mpmath.pi) / 2
            assert abs(value - exact) <= math.ulp(1 / 12)
    # the first omitted term at the end of the table, as the module says
    assert 1 / (1188 * _TABLE**9) < 5e-20
