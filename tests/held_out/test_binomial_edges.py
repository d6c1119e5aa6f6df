"""The relative error that the binomial tail claims for itself, and what is refused in arrays where only one entry is wrong."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified.binomial_series import tail_over_term
from nonvacuous.numerics.certified.binomial_tail import binomial_upper


def exact(k: int, n: int, p: float) -> mpmath.mpf:
    """P(Bin(n, p) <= k)/P(Bin(n, p) = k), term by term from the largest."""
    x, term, total = mpmath.mpf(p), mpmath.mpf(1), mpmath.mpf(1)
    for j in range(k):
        term *= mpmath.mpf(k - j) / (n - k + 1 + j) * (1 - x) / x
        total += term
        if term < total * mpmath.mpf(10) ** -45:
            break
    return total


CASES = [
    (k, n, gap)
    for k, n in [(1, 2), (1, 7), (3, 4), (5, 30), (40, 50), (290, 600), (330, 700), (319, 640), (321, 650), (400, 20_000), (900, 1000), (1000, 2001), (1000, 50_000), (1500, 3000), (1500, 10**5), (4000, 5200)]
    for gap in (0.0, 0.01, 0.3, 1.0, 4.0)  # in standard deviations
]  # fmt: skip


@pytest.mark.parametrize(("k", "n", "gap"), CASES)
def test_the_claimed_error_covers_the_real_one(k, n, gap):
    """Several p next to each other, so that roundings differ; the claim may be pessimistic by a factor, not by orders."""
    rng = np.random.default_rng(k + n)
    q = k / n
    p = q + gap * np.sqrt(q * (1 - q) / n) * rng.uniform(0.9, 1.1, 6)
    p = p[(p < 1) & (p >= q)]
    if not p.size:
        return
    with mpmath.workdps(50):
        # the formula takes 1 - p and p - k/n as given: they are those of the same p, to the last digit
        pc = np.array([float(1 - mpmath.mpf(float(x))) for x in p])
        away = np.array([float(mpmath.mpf(float(x)) - mpmath.mpf(k) / n) for x in p])
        keep = away >= 0
        if not keep.any():
            return
        p, pc, away = p[keep], pc[keep], away[keep]
        found, error = tail_over_term(np.full(p.size, float(k)), np.full(p.size, float(n)), away, p, pc)
        wanted = [exact(k, n, float(x)) for x in p]
        for value, claim, truth in zip(found, error, wanted, strict=True):
            assert abs(mpmath.mpf(float(value)) / truth - 1) <= claim
            # 12 half-ulps for each unit of the sum, or 41 in all; what is left of the series or the integral is below 1e-16
            assert 12 * 2.0**-53 <= claim <= 12 * 2.0**-53 * (float(truth) + 2) + 45 * 2.0**-53 + 1e-16


@pytest.mark.parametrize(
    ("k", "n", "delta"),
    [
        ([1, 2.5], 10, 0.05), ([2.5, 3.5], 10, 0.05), ([-1, 3], 10, 0.05), ([3, -1], 10, 0.05), (3, [10, 0], 0.05), (3, [10, 2], 0.05),
        (0, [10, 0.5], 0.05), (3, 10, [0.05, 0.0]), (3, 10, [0.05, 1.0]), (3, 10, [0.0, 0.5]), (3, 10, [-0.1, 0.5]), (-(2**54), 10, 0.05),
    ],
)  # fmt: skip
def test_one_wrong_entry_is_enough(k, n, delta):
    with pytest.raises(InvalidInput):
        binomial_upper(k, n, delta=delta)


@pytest.mark.parametrize("level", [[1.0, 0.0], [0.0, 1.0], [-1.0, 3.0]])
def test_one_wrong_level_is_enough(level):
    with pytest.raises(InvalidInput):
        binomial_upper(3, 10, log_inv_delta=level)


def test_all_wrong_is_one_whatever_delta():
    assert (binomial_upper([10, 3], [10, 3], delta=[0.05, 0.999]) == 1.0).all()


def test_arrays_keep_their_shape():
    k = np.arange(6).reshape(2, 3)
    found = binomial_upper(k, 10, delta=0.05)
    assert found.shape == (2, 3)
    assert (np.diff(found.ravel()) > 0).all()
