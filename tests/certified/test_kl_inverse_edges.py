"""The kl inverse where float64 ends: no divergence at all, subnormal divergences, gaps and complements, 1-p below every float."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from nonvacuous.numerics.certified import kl_lower_parts, kl_upper, kl_upper_parts
from nonvacuous.numerics.certified.kl_newton import _SCALE, _SMALLEST_C, _SMALLEST_COMPLEMENT
from nonvacuous.theory.balls import kl_lower_ball, kl_upper_ball

ULP = 2.0**-52
LEAST = 2.0**-1074
FLOOR = 2.0**-1010  # smaller divergences may be raised to it
RNG = np.random.default_rng(40)


def pairs():
    """(q, 1-q) with the smaller of the two exact, near both ends and with every last bit around one half."""
    small = np.concatenate([10.0 ** RNG.uniform(-320, 0, 60), RNG.uniform(0.49, 0.5, 60), RNG.random(40) / 2])
    small = np.concatenate([small, [LEAST, 2.0**-53, 0.25, 0.5, np.nextafter(0.5, 0)]])
    return [(float(s), 1 - float(s)) for s in small] + [(1 - float(s), float(s)) for s in small]


@pytest.mark.parametrize("arrays", [False, True])
def test_no_divergence_leaves_the_exact_pair_rounded_outward(arrays):
    for q, qc in pairs():
        exact = Fraction(q) if q <= qc else 1 - Fraction(qc)
        for parts, side in ((kl_upper_parts, 1), (kl_lower_parts, -1)):
            found = parts(q, 0.0, q_complement=qc)
            if arrays:
                found = type(found)(*(x[0] for x in parts(np.array([q, 0.3]), 0.0, q_complement=np.array([qc, 0.7]))))
            p, complement, gap = (Fraction(float(x)) for x in found[:3])
            assert gap == 0
            for value, target, way in ((p, exact, side), (complement, 1 - exact, -side)):
                assert 0 <= (value - target) * way <= Fraction(math.ulp(float(target)))
            with ctx.workprec(1300):
                log = (1 - arb(exact.numerator) / exact.denominator).log()
                excess = (arb(float(found.log_complement)) - log) * -side
                # of p or 1-p one ulp or none, of the logarithm one, and three of widening
                assert 0 <= excess <= abs(log) * (5 * ULP) + float(complement and math.ulp(p) / complement) + LEAST


def test_no_errors_and_no_divergence():
    for parts in (kl_upper_parts(0.0, 0.0), kl_upper_parts(np.zeros(2), np.zeros(2))):
        assert np.all(parts.p == 0)
        assert np.all(parts.gap == 0)
        assert np.all(parts.complement == 1)
        assert np.all(parts.log_complement == 0)


@pytest.mark.parametrize("c", [LEAST, 3 * LEAST, 1e-320, 2.0**-1060, 1e-310, 1e-306, 1e-304, 1e-303])
@pytest.mark.parametrize("q", [LEAST, 1e-310, 1e-200, 1e-20, 0.3, 0.5, 0.9, 1 - 2.0**-53])
def test_subnormal_divergences(q, c):
    """Sound, and no looser than at the floor below which a divergence would lose bits to underflow."""
    upper, lower = kl_upper_parts(q, c), kl_lower_parts(q, c)
    with ctx.workprec(1400):
        exact, floored = kl_upper_ball(q, c, digits=60), kl_upper_ball(q, max(c, FLOOR), digits=60)
        assert exact.gap <= arb(float(upper.gap)) <= floored.gap * (1 + 9 * ULP) + 8 * LEAST
        exact, floored = kl_lower_ball(q, c, digits=60), kl_lower_ball(q, max(c, FLOOR), digits=60)
        assert exact.gap >= arb(float(lower.gap)) >= floored.gap * (1 + 9 * ULP) - 8 * LEAST


@pytest.mark.parametrize("qc", [LEAST, 3 * LEAST, 7 * LEAST, 1e-322, 1e-320, 1e-315, 3e-309, 1e-306, 1e-230, 1e-212])
@pytest.mark.parametrize("v", [0.1, 0.5, 1.0, 1.7, 2.0, 5.0, 30.0])
def test_complements_of_q_below_the_range_of_products(qc, v):
    """(1-q) v = kl + q ln(p/q), so kl is about (1-q) (v - 1 + e^-v): the gap and 1-p are subnormal and outward."""
    c = max(qc * (v - 1 + math.exp(-v)), LEAST)
    found = kl_upper_parts(1.0, c, q_complement=qc)
    with ctx.workprec(1400):
        exact = kl_upper_ball(1 - Fraction(qc), c, q_complement=qc, digits=60)
        # a divergence raised to the floor after scaling has left the digits of c far behind: none here
        assert exact.gap <= arb(float(found.gap)) <= exact.gap * (1 + 9 * ULP) + 8 * LEAST
        assert exact.complement >= arb(float(found.complement)) >= exact.complement * (1 - 150 * ULP) - 16 * LEAST


def test_scaling_of_small_complements_is_exact():
    """A power of two changes no digit; it lifts the smallest float above the subnormal ones and nothing over 2^-400."""
    assert math.frexp(_SCALE)[0] == 0.5
    assert LEAST * _SCALE > 2.0**-1022 / ULP
    assert _SMALLEST_COMPLEMENT * _SCALE <= 2.0**-400
    assert math.frexp(_SMALLEST_C)[0] == 0.5


@pytest.mark.parametrize("c", [650.0, 665.0, 670.0, 700.0, 710.0, 720.0, 735.0, 740.0, 744.0, 745.5, 746.0, 800.0])
@pytest.mark.parametrize("q", [0.0, 1e-300, 1e-20, 1e-3])
def test_complements_that_underflow(q, c):
    """1-p is subnormal or 0, and its logarithm keeps its digits: -c at q = 0, (entropy - c)/(1-q) + ln(1-q) elsewhere."""
    for found in (kl_upper_parts(q, c), type(kl_upper_parts(q, c))(*(x[0] for x in kl_upper_parts([q], [c])))):
        with ctx.workprec(1400):
            exact = kl_upper_ball(q, c, digits=60)
            v = -float(exact.log_complement.mid())
            assert exact.complement >= arb(float(found.complement))
            assert arb(float(found.complement)) >= exact.complement * (1 - 2 * (7 + 1.75 * v) * ULP) - 16 * LEAST
            assert exact.log_complement >= arb(float(found.log_complement)) >= exact.log_complement * (1 + 12 * ULP)


@pytest.mark.parametrize("qc", [1.0 - 2.0**-53, 0.5, 1e-3, 1e-17, 1e-100, 1e-210, 1e-212, 1e-250, 1e-300, 1e-307])
@pytest.mark.parametrize("v", [100.0, 150.0, 300.0, 420.0, 500.0, 660.0, 720.0, 1000.0, 1900.0, 2100.0, 1e5])
def test_logarithms_of_complements_at_every_scale(qc, v):
    """ln(1-p) = ln(1-q) - v: the allowance must cover the ulps of both terms, also where ln(1-q) is the larger one."""
    q = 1 - qc
    entropy = -q * math.log1p(-qc) if qc < 0.5 else -q * math.log(q)
    c = qc * v - entropy
    found = kl_upper_parts(q, c, q_complement=qc)
    with ctx.workprec(1400):
        exact = kl_upper_ball(
            Fraction(q) if q < qc else 1 - Fraction(qc),
            c,
            q_complement=Fraction(qc) if qc <= q else 1 - Fraction(q),
            digits=60,
        )
        log = exact.log_complement
        # the rounding of 1-p, relative, or 6 ulp of v + |ln(1-q)|; and what the widening adds
        width = 2 * (7 + 1.75 * v) * ULP + 15 * ULP * (v - 2 * math.log(qc))
        assert log >= arb(float(found.log_complement)) >= log - width


def test_arrays_longer_than_a_block():
    q = RNG.random(20_000)
    whole = kl_upper(q, 0.1)
    assert np.array_equal(whole, np.concatenate([kl_upper(part, 0.1) for part in np.split(q, 40)]))
    assert kl_upper(np.zeros((3, 0)), 0.1).shape == (3, 0)
