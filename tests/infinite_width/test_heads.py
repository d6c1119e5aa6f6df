"""Heads of a distillation: intervals, numbers of them, correlations, each used once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_problems import problem

from nonvacuous.numerics.wide_networks.distillation import (
    distilled_variance,
)
from nonvacuous.numerics.wide_networks.ensemble import rnd_error_covariance
from nonvacuous.numerics.wide_networks.heads import (
    effective_heads,
    head_covariance,
    head_covariance_deviation,
    head_error_covariance,
    heads_interval,
    heads_needed,
    heads_tail,
    initial_head_correlation,
    squared_error_correlation,
)
from nonvacuous.numerics.wide_networks.posterior_functions import HeadsExhausted, PosteriorFunctions
from nonvacuous.theory.errors import InvalidInput


def test_interval_covers_in_95_of_100_models():
    """1e4 simulated models of 6 heads: the coverage of the exact interval is binomial around 0.95."""
    rng = np.random.default_rng(0)
    sigma = 0.34
    errors = rng.normal(size=(10_000, 6)) * math.sqrt(2 * sigma)
    low, high = heads_interval(distilled_variance(errors), heads=6)
    covered = np.mean((low <= sigma) & (sigma <= high))
    assert abs(covered - 0.95) <= 0.01
    one_more = heads_interval(distilled_variance(errors), heads=12)
    assert np.mean((one_more[0] <= sigma) & (sigma <= one_more[1])) < 0.9


@given(st.integers(1, 500), st.floats(1e-8, 0.9), st.floats(0, 1e6))
@settings(max_examples=60, deadline=None)
def test_interval_properties(heads, alpha, variance):
    low, high = heads_interval(variance, heads=heads, alpha=alpha)
    wider = heads_interval(variance, heads=heads, alpha=alpha / 2)
    assert 0 <= low <= high
    assert wider[0] <= low
    assert high <= wider[1]
    if variance > 1e-300:
        quantiles = scipy.stats.chi2.ppf([alpha / 2], heads)
        assert high == pytest.approx(heads * variance / quantiles[0], rel=1e-8)


def test_numbers_of_heads():
    """About 2 (1.96/r)^2: 193 for 20%. The exact chi-square count is within a few of it."""
    assert math.ceil(2 * (1.959964 / 0.2) ** 2) == 193
    exact = heads_needed(0.2)
    assert abs(exact - 193) <= 5

    def inside(k):
        return scipy.stats.chi2.cdf(k * 1.2, k) - scipy.stats.chi2.cdf(k * 0.8, k)

    assert inside(exact) >= 0.95 > inside(exact - 1)
    assert all(inside(k) >= 0.95 for k in range(exact, exact + 300))
    assert heads_needed(0.05) > heads_needed(0.1) > exact
    for bad in ((0.0, 0.05), (1.0, 0.05), (0.2, 0.0)):
        with pytest.raises(InvalidInput):
            heads_needed(bad[0], alpha=bad[1])


@pytest.mark.parametrize("heads", [1, 2, 10, 100])
@pytest.mark.parametrize("s", [0.1, 1.0, 10.0])
def test_tails_bound_the_chi_square(heads, s):
    low, high = heads_tail(heads=heads, log_inv_delta=s)
    assert scipy.stats.chi2.sf(heads * high, heads) <= math.exp(-s)
    assert scipy.stats.chi2.cdf(heads * low, heads) <= math.exp(-s)


def test_heads_are_independent_blocks_and_a_wishart_sum():
    k, t = problem(0)
    one = rnd_error_covariance(k, t)
    every = head_error_covariance(k, t, heads=3)
    np.testing.assert_array_equal(every[4:8, 4:8], one)
    assert not every[:4, 4:].any()
    rng = np.random.default_rng(0)
    models = 20_000
    errors = rng.multivariate_normal(np.zeros(4), one, size=(models, 6))
    estimate = head_covariance(errors)
    sigma = one / 2
    deviation = head_covariance_deviation(sigma, heads=6)
    assert np.abs((estimate.mean(axis=0) - sigma) / deviation).max() <= 5 / math.sqrt(models)
    np.testing.assert_allclose(estimate.std(axis=0), deviation, rtol=0.05)
    for bad in (np.ones(3), np.ones((2, 0, 3))):
        with pytest.raises(InvalidInput):
            head_covariance(bad)
    with pytest.raises(InvalidInput):
        head_covariance_deviation(-np.eye(2), heads=3)


def test_effective_heads_saturate():
    assert effective_heads(16, correlation=0.0) == 16
    assert effective_heads(16, correlation=1.0) == 1
    assert effective_heads(10**9, correlation=0.01) == pytest.approx(100, rel=1e-5)
    n, depth = 10_000, 3
    assert 1 / initial_head_correlation(width=n, depth=depth, trunks=1) == pytest.approx(2 * n / (5 * depth), rel=1e-2)
    assert 1 / initial_head_correlation(width=n, depth=depth, trunks=2) == pytest.approx(4 * n / (5 * depth), rel=1e-2)
    assert initial_head_correlation(width=1, depth=1000, trunks=2) == pytest.approx(1 / 3)
    for bad in ({"width": 0, "depth": 1, "trunks": 1}, {"width": 1, "depth": 1, "trunks": 3}):
        with pytest.raises(InvalidInput):
            initial_head_correlation(**bad)
    with pytest.raises(InvalidInput):
        effective_heads(4, correlation=-0.1)


def test_correlation_of_squares_is_found():
    """Heads with a common random scale v: Cov = Var v^2, known."""
    rng = np.random.default_rng(0)
    scale = rng.choice([1.0, 3.0], size=(400_000, 1))
    errors = np.sqrt(scale) * rng.normal(size=(400_000, 4))
    assert squared_error_correlation(errors) == pytest.approx(1 / (3 * 5 - 4), abs=0.005)  # Var v / (3 E v^2 - (E v)^2)
    assert abs(squared_error_correlation(rng.normal(size=(400_000, 4)))) < 0.005
    for bad in (errors[:1], errors[:, :1], np.ones((5, 3))):
        with pytest.raises(InvalidInput):
            squared_error_correlation(bad)


# --- posterior functions -------------------------------------------------------------------------------------------


def test_heads_are_drawn_once_and_then_refused():
    errors = np.arange(12.0).reshape(4, 3)
    source = PosteriorFunctions(lambda x: np.full(len(x), 100.0), lambda x: errors, heads=4, seed=3)
    first = source.draw(3)
    values = [f(np.zeros((3, 1))) for f in first]
    assert len({tuple(v) for v in values}) == 3
    assert all(any((v == 100 + e).all() for e in errors) for v in values)
    with pytest.raises(HeadsExhausted) as caught:
        source.draw(2)
    assert caught.value.heads == 4
    assert source.remaining == 1  # a refusal uses no head
    assert len(list(source)) == 1
    assert list(source) == []
    with pytest.raises(HeadsExhausted):
        source.draw(1)
    every = PosteriorFunctions(lambda x: np.zeros(3), lambda x: errors, heads=4, seed=0)
    assert sorted(f(None)[0] for f in every) == [0.0, 3.0, 6.0, 9.0]
    wrong = PosteriorFunctions(lambda x: np.zeros(3), lambda x: errors, heads=5, seed=0)
    with pytest.raises(InvalidInput):
        wrong.draw(1)[0](None)
