"""Code lengths: exact at every size, decodable in a small case, priced in nats; closed-form ends of the kl inverse."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified import (
    hoeffding_cgf,
    kearns_saul_cgf,
    kearns_saul_factor,
    kl_lower,
    kl_upper,
    linear_lower,
    pinsker_lower,
    pinsker_upper,
    quadratic_upper,
    relaxed_lower,
    relaxed_upper,
)
from nonvacuous.numerics.certified.code_lengths import (
    arithmetic_bits,
    arrangement_bits,
    ceil_log2,
    count_index_bits,
    log_factorial_down,
    log_factorial_up,
    table_bits,
)
from nonvacuous.theory.balls.compression import log_inv_weight_ball, quantised_bits

B = nv.bounds
LN2 = math.log(2)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(sum), st.integers(0, 32))
def test_lengths_are_exact(counts, bits):
    for form in ("arithmetic", "enumerative"):
        assert B.quantised_code_bits(counts, bits_per_level=bits, form=form) == quantised_bits(counts, bits, form)


@pytest.mark.parametrize(
    "counts",
    [(10**6, 10**5, 7), (5 * 10**6, 5 * 10**6 + 1), (2**20, 2**20), (2**22 - 1, 1), (10**9, 10**8, 10**7), (10**12,), (4097, 4097, 4097), (2**30, 2**29, 2**29)],
)  # fmt: skip
def test_large_vectors(counts):
    """Beyond exact integers the length is that of the balls, or one bit longer where the exact one is within rounding of an integer."""
    for form in ("arithmetic", "enumerative"):
        ours, exact = B.quantised_code_bits(counts, form=form), quantised_bits(counts, 16, form)
        assert exact <= ours <= exact + (2 if sum(counts) > 10**8 else 0)


def test_d24_one_level_only():
    """Every entry alike: nothing is left to say but the levels; H = 0 and no logarithm of 0."""
    assert B.quantised_code_bits((1000,), bits_per_level=16) == 16
    assert B.quantised_code_bits((1000, 0), bits_per_level=0) == ceil_log2(1001)
    assert arithmetic_bits((1000, 0)) == 2
    assert arrangement_bits((1000, 0)) == 0


def test_the_frequency_table_holds_d_plus_one_values():
    """ceil(log2 d) bits, as published, cannot tell 0 from d when d is a power of two."""
    assert table_bits(8, 3) == 3 * 4
    assert 2**3 < 8 + 1
    assert table_bits(7, 3) == 3 * 3


def test_without_the_table_nobody_could_decode():
    """Enumeration indices alone are shared by vectors with different counts: their Kraft sum exceeds 1."""
    total = sum(
        2.0 ** -arrangement_bits(tuple(vector.count(level) for level in range(3)))
        for vector in itertools.product(range(3), repeat=5)
    )
    paid = sum(
        2.0 ** -B.quantised_code_bits(tuple(vector.count(level) for level in range(3)), bits_per_level=0)
        for vector in itertools.product(range(3), repeat=5)
    )
    assert total > 10
    assert paid <= 1


def test_enumeration_is_a_code():
    """(index of the counts, index among vectors with these counts) is one-to-one and fits the stated bits."""
    d, levels, seen = 5, 3, {}
    order = sorted({tuple(v.count(x) for x in range(levels)) for v in itertools.product(range(levels), repeat=d)})
    for vector in itertools.product(range(levels), repeat=d):
        counts = tuple(vector.count(x) for x in range(levels))
        index = seen.setdefault(counts, 0)
        seen[counts] += 1
        assert index < 2 ** arrangement_bits(counts)
    assert len(order) == math.comb(d + levels - 1, levels - 1) <= 2 ** count_index_bits(d, levels)


def test_d16_entropy_in_bits():
    assert arithmetic_bits((512, 512)) == 1024 + 2
    assert arithmetic_bits((3, 1)) == math.ceil(4 * (0.75 * math.log2(4 / 3) + 0.25 * 2)) + 2


@pytest.mark.parametrize("m", [0, 1, 2, 5, 22, 23, 63, 64, 65, 170, 171, 1000, 10**6, 10**12])
def test_factorials_from_both_sides(m):
    from flint import arb, ctx

    with ctx.workdps(40):
        exact = arb(m + 1).lgamma()
        assert arb(log_factorial_down(m)) <= exact or m < 2
        assert arb(log_factorial_up(m)) >= exact or m < 2
    assert log_factorial_up(m) - log_factorial_down(m) <= 1e-14 * (1 + log_factorial_up(m))


@given(st.integers(2, 10**6), st.integers(1, 1000), st.lists(st.integers(1, 12), max_size=2))
def test_weights(bits, choices, widths):
    if bits < 100:
        widths = []
    ours = B.code_log_inv_weight(bits, choices=choices, permuted_widths=widths)
    exact = float(log_inv_weight_ball(bits, choices=choices, permuted_widths=widths).mid())
    assert exact * (1 - 1e-15) <= ours <= exact * (1 + 1e-13)
    paid = B.code_log_inv_weight(bits, choices=choices, permuted_widths=widths, prefix_free=False)
    assert paid - ours == pytest.approx(2 * math.log(bits) + math.log(math.pi**2 / 6), rel=1e-9, abs=1e-8)
    published = B.code_log_inv_weight(bits, prefix_free=False, length_prior="published")
    assert published == pytest.approx(bits * LN2 + 2 * math.log(bits), rel=1e-12, abs=0)


def test_published_length_prior_starts_at_two():
    with pytest.raises(InvalidInput):
        B.code_log_inv_weight(1, prefix_free=False, length_prior="published")
    assert B.code_log_inv_weight(1, prefix_free=False) == pytest.approx(LN2 + math.log(math.pi**2 / 6))
    assert sum(1 / b**2 for b in range(1, 1000)) > 1 > sum(1 / b**2 for b in range(2, 100_000))


def test_symmetry_credit():
    """20! 10! codes of one length decode to the same network: ln(20! 10!) off the weight, and the certificate says so."""
    plain = B.compression_bound(errors=60, n=5000, level_counts=(300, 200), delta=0.05)
    pooled = B.compression_bound(errors=60, n=5000, level_counts=(300, 200), permuted_widths=(20, 10), delta=0.05)
    assert pooled.value < plain.value
    assert "distinct codes" in pooled.unchecked
    gain = B.code_log_inv_weight(500) - B.code_log_inv_weight(500, permuted_widths=(20, 10))
    assert gain == pytest.approx(math.lgamma(21) + math.lgamma(11), rel=1e-12, abs=0)
    with pytest.raises(InvalidInput, match="outnumber"):
        B.code_log_inv_weight(10, permuted_widths=(20,))


@pytest.mark.parametrize(
    "bad",
    [
        {"level_counts": ()}, {"level_counts": (0, 0)}, {"level_counts": (-1, 2)}, {"level_counts": (1.5,)}, {"level_counts": "12"}, {"level_counts": 5},
        {"level_counts": (True, True)}, {"bits_per_level": -1}, {"bits_per_level": 0.5}, {"form": "huffman"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_vectors(bad):
    with pytest.raises(InvalidInput):
        B.quantised_code_bits(**{"level_counts": (1, 2), **bad})
    with pytest.raises(InvalidInput):
        B.compression_bound(**{"errors": 1, "n": 10, "delta": 0.1, "level_counts": (1, 2), **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"bits": 0}, {"bits": 1.5}, {"bits": math.nan}, {"bits": 2.0**54}, {"choices": 0}, {"choices": 1.5}, {"permuted_widths": (0,)},
        {"permuted_widths": 3}, {"length_prior": "none"},
    ],
    ids=str,
)  # fmt: skip
def test_bad_codes(bad):
    with pytest.raises(InvalidInput):
        B.code_log_inv_weight(**{"bits": 100, **bad})


def test_a_description_is_given_once():
    for both in ({}, {"level_counts": (1, 2), "message_bits": 10}, {"level_counts": (1, 2), "prefix_free": False}):
        with pytest.raises(InvalidInput):
            B.compression_bound(errors=1, n=10, delta=0.1, **both)


# --- closed-form ends -----------------------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(1e-16, 50), st.floats(0.01, 1.99))
def test_e3_closed_forms_enclose_the_inverse(q, c, gamma):
    upper, lower = float(kl_upper(q, c)), float(kl_lower(q, c))
    slack = 1 + 1e-14
    assert upper <= quadratic_upper(q, c) * slack <= relaxed_upper(q, c) * slack**2
    assert upper <= pinsker_upper(q, c) * slack
    size = 1e-14 * (q + math.sqrt(c) + c / gamma)
    assert pinsker_lower(q, c) <= lower + size
    assert linear_lower(q, c, gamma) <= relaxed_lower(q, c) + size
    assert relaxed_lower(q, c) <= lower + size


def test_closed_forms_at_the_edges():
    assert pinsker_upper(0.0, 0.0) == quadratic_upper(0.0, 0.0) == relaxed_upper(0.0, 0.0) == 0.0
    assert quadratic_upper(0.0, 0.5) == 1.0
    assert pinsker_upper(0.5, math.inf) == quadratic_upper(0.5, math.inf) == relaxed_upper(0.5, math.inf) == math.inf
    assert relaxed_upper(0.0, math.inf) == math.inf
    assert pinsker_lower(0.5, math.inf) == relaxed_lower(0.5, math.inf) == -math.inf
    assert quadratic_upper(1e-300, 1e-300) >= (2 + math.sqrt(3)) * 1e-300 * (1 - 1e-15)
    assert relaxed_upper(1e-300, 1e-300) >= (3 + math.sqrt(2)) * 1e-300 * (1 - 1e-15)


@pytest.mark.parametrize(
    "bad", [(-0.1, 1.0), (1.1, 1.0), (math.nan, 1.0), (0.1, -1.0), (0.1, math.nan), ([0.1, 0.2], 1.0)]
)
def test_bad_ends(bad):
    for function in (pinsker_upper, quadratic_upper, relaxed_upper, pinsker_lower, relaxed_lower):
        with pytest.raises(InvalidInput):
            function(*bad)
    with pytest.raises(InvalidInput):
        linear_lower(*bad, 1.0)


@pytest.mark.parametrize("gamma", [0.0, 2.0, -1.0, math.nan, math.inf])
def test_bad_gamma(gamma):
    with pytest.raises(InvalidInput):
        linear_lower(0.1, 0.1, gamma)


@given(st.floats(0, 1), st.floats(-50, 50))
def test_kearns_saul_is_below_hoeffding_and_above_the_cgf(p, x):
    sharp, loose = kearns_saul_cgf(x, p), hoeffding_cgf(x)
    assert 0 <= sharp <= loose
    if 1e-3 < p < 1 - 1e-3 and 1e-3 < abs(x) < 30:
        exact = math.log1p(p * math.expm1(x)) - p * x
        assert exact <= sharp * (1 + 1e-12) + 1e-13
    if p >= 2.0**-20:
        # 1 - p is off by up to 2^-53, p itself not
        assert kearns_saul_factor(p) == pytest.approx(kearns_saul_factor(1 - p), rel=1e-12 + 2.0**-53 / p, abs=0)


def test_kearns_saul_edges():
    assert kearns_saul_factor(0.5) == 0.125
    assert kearns_saul_factor(0.0) == kearns_saul_factor(1.0) == 0.0
    assert kearns_saul_factor(5e-324) == pytest.approx(1 / (4 * 744.44), rel=1e-4, abs=0)
    assert hoeffding_cgf(2.0, 3.0) == pytest.approx(4.5)
    for bad in (-0.1, 1.1, math.nan, [0.1, 0.2]):
        with pytest.raises(InvalidInput):
            kearns_saul_factor(bad)
    for bad in ((math.inf, 1.0), (1.0, -1.0), (1.0, math.inf), (math.nan, 1.0)):
        with pytest.raises(InvalidInput):
            hoeffding_cgf(*bad)
    assert np.isfinite(kearns_saul_cgf(1e150, 0.3))
