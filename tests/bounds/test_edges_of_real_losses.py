"""Ranges, rates, scales and shares of the bounds for other losses than those in [0, 1], at the edge of what is allowed."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.sub_gaussian import sub_gaussian_mixture, sub_gaussian_mixture_one_sided
from nonvacuous.numerics.bounds.subsample import subsampled_occam
from nonvacuous.numerics.bounds.supermartingale import _rates, price_up
from nonvacuous.numerics.bounds.surrogates import squeezed_log_loss
from nonvacuous.numerics.bounds.unexpected_bernstein import slope_up
from nonvacuous.numerics.bounds.vector_kl import vector_kl
from nonvacuous.numerics.bounds.wasserstein import gaussian_distance


def test_without_variance_the_mixture_has_no_width():
    found = sub_gaussian_mixture(risk=0.7, kl=3.0, n=20, variance=0.0, delta=0.05)
    assert (found.value, found.lower) == (0.7, 0.7)
    one = sub_gaussian_mixture_one_sided(risk=0.0, kl=3.0, n=20, variance=0.0, reference=0.3, delta=0.05)
    # D = a reference: sqrt(2 a s0^2 (kl + ln(1/delta)))/n
    assert one.value == pytest.approx(math.sqrt(2 * 0.3 * (3 + math.log(20))) / 20, rel=1e-15, abs=0)


SUBSAMPLE = {"m": 50, "n": 1000, "log_inv_weight": 3.0}


@pytest.mark.parametrize("form", ["kl", "hoeffding"])
def test_the_worst_risk_of_an_interval_that_is_no_float(form):
    for low, high in ((0.1, 0.7), (0.1, 0.3), (-0.3, 1.1), (1 / 3, 5 / 7)):
        found = subsampled_occam(risk=high, interval=(low, high), form=form, delta=0.05, **SUBSAMPLE)
        assert found.value == high


@pytest.mark.parametrize("interval", [(0.0, 0.0), (1.0, 0.0), (-1e308, 1e308), (0.0, math.inf), (0.0, 0.5, 1.0)])
def test_an_interval_has_a_finite_length(interval):
    with pytest.raises(InvalidInput):
        subsampled_occam(risk=0.0, interval=interval, delta=0.05, **SUBSAMPLE)


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1])
def test_a_share_is_no_more_than_all(share):
    for level in ({"delta": 0.05}, {"log_inv_delta": 3.0}):
        with pytest.raises(InvalidInput, match="share"):
            subsampled_occam(risk=0.1, interval=(0.0, 1.0), share=share, **level, **SUBSAMPLE)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 1 / 3, 0.999, 1e-17, 1e-300])
@pytest.mark.parametrize("delta", [5e-324, 1e-300, 1e-291, 1e-289, 0.05])
def test_the_two_shares_are_never_more_than_delta(share, delta):
    """From the logarithms, at 60 digits."""
    if share * delta == 0.0 and delta > 1e-290:
        pytest.skip("halved as a number, which has no such small part")
    found = subsampled_occam(risk=0.1, interval=(0.0, 1.0), share=share, delta=delta, **SUBSAMPLE)
    first, second = (found.inputs[name] for name in ("log_inv_delta_sample", "log_inv_delta_part"))
    with mpmath.workdps(60):
        exact = -mpmath.log(mpmath.mpf(delta))
        # at deltas that can be halved the parts were rounded as numbers, half an ulp of each
        assert mpmath.exp(exact - first) + mpmath.exp(exact - second) <= 1 + mpmath.mpf(2) ** -52
        assert first == pytest.approx(float(exact - mpmath.log(share)), rel=1e-13, abs=0)
        assert second == pytest.approx(float(exact - mpmath.log1p(-mpmath.mpf(share))), rel=1e-13, abs=0)


def test_rates_are_positive_and_one_for_each_example():
    for wrong in ([0.1, -0.1], [0.1, 0.0], [], [[0.1, 0.2]], 0.0):
        with pytest.raises(InvalidInput):
            _rates(wrong, 2 if np.ndim(wrong) == 0 else None)
    for given, n in (([0.1, 0.2], 2), (0.1, None), ([[0.1, 0.2]], 2)):
        with pytest.raises(InvalidInput, match="belong together"):
            _rates(given, n)
    # the second pair: squares that add up to just above the largest float
    for extreme in ([1e200, 1.0], [2.0**512 * (1 - 2.0**-53), 1.5 * 2.0**485]):
        with pytest.raises(InvalidInput, match="for float64"):
            _rates(extreme, None)


def test_sums_of_rates_are_rounded_to_their_safe_sides():
    rng = np.random.default_rng(0)
    for _ in range(300):
        rates = rng.random(int(rng.integers(1, 6))) + 0.01
        size, first, second = _rates(rates, None)
        exact = sum(Fraction(float(x)) for x in rates), sum(Fraction(float(x)) ** 2 for x in rates)
        assert size == len(rates)
        assert Fraction(first) <= exact[0] < Fraction(math.nextafter(first, math.inf))
        assert Fraction(second) >= exact[1] > Fraction(math.nextafter(second, 0.0))


def test_prices_of_the_forms():
    assert price_up("bounded") == 0.125
    assert price_up("variance", 3.0, 6.0) == 2.0
    assert price_up("lower", 3.0) == 1.5


def test_a_log_loss_may_be_squeezed_down_to_ln_two():
    assert squeezed_log_loss([0.0, 1.0], math.log(2)) == pytest.approx([1.0, 1.0], rel=1e-14, abs=0)
    assert squeezed_log_loss(0.0, 0.8) == pytest.approx(1.0, rel=1e-14, abs=0)
    for largest in (0.69, 0.1, 0.0):
        with pytest.raises(InvalidInput, match="ln 2"):
            squeezed_log_loss(0.5, largest)


def test_the_slope_of_unexpected_bernstein_is_rounded_up():
    rng = np.random.default_rng(1)
    with mpmath.workdps(40):
        for eta in (*rng.uniform(1e-3, 1, 3000), *10 ** rng.uniform(-8, -3, 300), *(2.0**-k for k in range(1, 40))):
            x = mpmath.mpf(float(eta))
            exact = (-x - mpmath.log1p(-x)) / x
            assert exact <= slope_up(float(eta)) <= exact * (1 + 24 * 2.0**-53)


def test_a_vector_of_frequencies_fits_its_values():
    options = {"kl": 1.0, "n": 100, "delta": 0.05}
    for u, f in (
        ([0.5, 0.5], [0.0, 1.0, 2.0]),
        ([1.0], [1.0]),
        ([[0.5, 0.5]], [0.0, 1.0]),
        ([0.2, 0.3, 0.5], [0.0, 1.0]),
    ):
        with pytest.raises(InvalidInput):
            vector_kl(frequencies=u, values=f, **options)


def test_the_distance_of_gaussians_is_rounded_up():
    rng = np.random.default_rng(2)
    for _ in range(2000):
        k = int(rng.integers(1, 4))
        m, m0, s, s0 = (rng.normal(size=k) ** 2 for _ in range(4))
        found = gaussian_distance(mean=m, scale=s, prior_mean=m0, prior_scale=s0)
        pairs = [*zip(m, m0, strict=True), *zip(s, s0, strict=True)]
        exact = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in pairs)
        assert exact <= Fraction(found) ** 2 <= exact * (1 + Fraction(1, 2**48))


def test_shapes_of_gaussians():
    point = {"mean": [0.0, 1.0], "prior_mean": [0.0, 1.0]}
    assert gaussian_distance(scale=0.5, prior_scale=[0.5, 0.5], **point) == 0.0
    for scale in ([[0.5, 0.5]], [0.5], [0.5, 0.5, 0.5], [[0.5], [0.5]]):
        with pytest.raises(InvalidInput):
            gaussian_distance(scale=scale, prior_scale=0.5, **point)
    with pytest.raises(InvalidInput, match="two means"):
        gaussian_distance(mean=[0.0], prior_mean=[0.0, 1.0], scale=1.0, prior_scale=1.0)
