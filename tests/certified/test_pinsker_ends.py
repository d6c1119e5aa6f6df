"""The closed forms beside kl's inverses against exact arithmetic, at sizes where products under- or overflow, and at the ends of their range."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from exaggerated import exaggerated

from nonvacuous.numerics.certified import pinsker
from nonvacuous.numerics.certified.pinsker import (  # fmt: skip
    hoeffding_cgf,
    kearns_saul_cgf,
    kearns_saul_factor,
    linear_lower,
    pinsker_lower,
    pinsker_upper,
    quadratic_upper,
    relaxed_lower,
    relaxed_upper,
)
from nonvacuous.theory.errors import InvalidInput

ULP = 2.0**-52
SIZES = [0.0, 5e-324, 1e-320, 1e-300, 1e-160, 1e-140, 3e-9, 0.3, 1.0]
DIVERGENCES = [x for x in SIZES if not 0 < x < 1e-307] + [
    7.0,
    1e8,
    1e160,
    1e300,
    1.7e308,
]  # half of a subnormal may be off by half of it


@pytest.mark.parametrize("q", SIZES)
def test_every_end_is_on_its_side_and_close(q):
    """At most three rounded operations: within three ulps of the size of the parts; in the subnormal range, some steps."""
    with mp.workdps(700):
        x = mp.mpf(q)
        for c in DIVERGENCES:
            d = mp.mpf(c)
            root, half = mp.sqrt(2 * x * d), mp.sqrt(d / 2)
            for found, exact, size in (
                (pinsker_upper(q, c), x + half, x + half),
                (-pinsker_lower(q, c), half - x, x + half),
                (quadratic_upper(q, c), x + d + mp.sqrt(d * d + 2 * x * d), x + 3 * d + root),
                (relaxed_upper(q, c), x + root + 2 * d, x + root + 2 * d),
                (-relaxed_lower(q, c), root - x, x + root),
                *((-linear_lower(q, c, g), d / mp.mpf(g) - (1 - mp.mpf(g) / 2) * x, x + d / g) for g in (1e-3, 1.0, 1.9)),
            ):  # fmt: skip
                assert found >= exact
                assert math.isinf(found) or found - exact <= 3 * ULP * size + mp.mpf(2) ** -1070
                assert not math.isinf(found) or size > mp.mpf(2) ** 1023


def test_exact_values_stay_exact():
    """2 q c = 1/16 and d (d + 2 q) = 9/16, both squares, of factors that are not."""
    assert relaxed_upper(1 / 16, 0.5) == 1 / 16 + 1 / 4 + 1
    assert relaxed_lower(1 / 16, 0.5) == 1 / 16 - 1 / 4
    assert quadratic_upper(0.5, 1 / 8) == 0.5 + 1 / 8 + 3 / 8
    assert pinsker_upper(0.25, 0.5) == 0.75
    assert pinsker_lower(0.25, 0.5) == -0.25
    assert linear_lower(0.5, 0.25, 1.0) == 0.0


def test_without_errors_and_with_an_infinite_divergence():
    assert relaxed_lower(0.0, 0.7) == relaxed_lower(0.0, math.inf) == 0.0
    assert relaxed_upper(0.0, 0.25) == 0.5
    assert pinsker_upper(0.2, math.inf) == quadratic_upper(0.2, math.inf) == relaxed_upper(0.2, math.inf) == math.inf
    assert pinsker_lower(0.2, math.inf) == relaxed_lower(0.2, math.inf) == linear_lower(0.2, math.inf, 1.0) == -math.inf


def test_gamma_lies_strictly_between_zero_and_two():
    for bad in (0.0, 2.0, 2.5, -1.0, math.nan):
        with pytest.raises(InvalidInput):
            linear_lower(0.5, 0.1, bad)
    # half of the smallest double is not a double: it must not vanish
    assert linear_lower(1.0, 0.0, 5e-324) < 1.0
    assert linear_lower(1.0, 0.0, math.nextafter(2.0, 0.0)) > 0


def test_kearns_saul_at_the_ends_and_at_one_half():
    assert kearns_saul_factor(0.0) == kearns_saul_factor(1.0) == 0.0
    assert kearns_saul_cgf(3.0, 0.0) == kearns_saul_cgf(3.0, 1.0) == 0.0
    assert kearns_saul_factor(0.5) == 0.125
    for away in 2.0 ** -np.arange(2.0, 54.0):
        assert kearns_saul_factor(0.5 - away) == kearns_saul_factor(0.5 + away) <= 0.125
    with mp.workdps(40):
        for p in [5e-324, 1e-300, 1e-3, 0.2, 0.2499, 0.25, 0.2501, 0.2524, 0.4, 0.499999, 0.7501, 0.76, 1 - 2.0**-53]:
            exact = (1 - 2 * mp.mpf(p)) / (4 * mp.log((1 - mp.mpf(p)) / p))
            assert exact <= kearns_saul_factor(p) <= exact * (1 + 13 * ULP)


def test_the_cumulant_bounds_are_even():
    """And rounded up, at most three ulps above l^2 w^2/8, respectively the factor times l^2."""
    rng = np.random.default_rng(95)
    for l, w, p in zip(rng.normal(size=60), rng.random(60), rng.random(60), strict=True):  # noqa: E741
        with mp.workdps(40):
            exact = (mp.mpf(float(l)) * float(w)) ** 2 / 8
            assert exact <= hoeffding_cgf(l, w) == hoeffding_cgf(-l, w) <= exact * (1 + 4 * ULP)
            exact = mp.mpf(float(l)) ** 2 * kearns_saul_factor(p)
            assert exact <= kearns_saul_cgf(l, p) == kearns_saul_cgf(-l, p) <= exact * (1 + 3 * ULP)
    assert hoeffding_cgf(2.0) == 0.5


@pytest.mark.parametrize("c", [5e-324, 1.5e-323, 2.5e-323])
def test_half_of_a_subnormal_is_rounded_outwards(c):
    with mp.workdps(400):
        assert pinsker_upper(0.0, c) >= mp.sqrt(mp.mpf(c) / 2)
        assert pinsker_lower(0.0, c) <= -mp.sqrt(mp.mpf(c) / 2)
        assert hoeffding_cgf(math.sqrt(5 * c), 1.0) >= mp.mpf(math.sqrt(5 * c)) ** 2 / 8


def test_every_rounding_goes_the_safe_way(monkeypatch):
    for q, c in ((0.3, 0.2), (0.01, 3.0), (0.9, 1e-5)):
        for run in (
            lambda q=q, c=c: pinsker_upper(q, c), lambda q=q, c=c: quadratic_upper(q, c), lambda q=q, c=c: relaxed_upper(q, c),
            lambda q=q, c=c: -pinsker_lower(q, c), lambda q=q, c=c: -relaxed_lower(q, c), lambda q=q, c=c: -linear_lower(q, c, 0.7),
            lambda q=q, c=c: hoeffding_cgf(-c, q), lambda q=q, c=c: kearns_saul_cgf(-c, q),
        ):  # fmt: skip
            with monkeypatch.context() as patch:
                plain, *others = exaggerated(patch, pinsker, run)
            assert min(others) >= plain - 1e-13
