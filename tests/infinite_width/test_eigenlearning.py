"""Eigenlearning, GCV, ridgeless risk and alignment: conservation, limits, equal eigenvalues, refusals (section 8, item 12)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.kernel_regression.alignment import alignment
from nonvacuous.numerics.kernel_regression.eigenlearning import RankTooSmall, eigenlearning
from nonvacuous.numerics.kernel_regression.ridgeless import optimal_ridge, ridgeless_risk, ridgeless_risk_at
from nonvacuous.numerics.kernel_regression.risk_estimates import risk_estimates
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SPECTRA = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=8)


@given(SPECTRA, st.integers(1, 40), st.floats(1e-6, 1e3), st.floats(0, 10))
def test_conservation_and_both_normalisations(eigenvalues, n, ridge, noise):
    e = eigenlearning(
        eigenvalues=eigenvalues, n=n, ridge_sum_loss=ridge, coefficients=np.ones(len(eigenvalues)), noise_variance=noise
    )
    assert e.spent <= n * (1 + 1e-12)
    assert n == pytest.approx(e.spent + ridge / e.kappa, rel=1e-9)
    np.testing.assert_allclose(e.learnability + e.residual, 1, rtol=1e-15)
    # Canatar: kappa_C = n kappa, gamma = sum L^2/n, E_g = (bias + noise)/(1 - gamma)
    gamma = np.sum(e.learnability**2) / n
    bias = np.sum(e.residual**2)
    if gamma < 0.999:
        assert e.test_error == pytest.approx((bias + noise) / (1 - gamma), rel=1e-8)
    assert e.train_error <= e.test_error * (1 + 1e-12)
    assert 0 < e.total_learnability <= 1


@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=8), st.integers(1, 2))
def test_equality_without_a_ridge(eigenvalues, n):
    e = eigenlearning(eigenvalues=eigenvalues, n=n, ridge_sum_loss=0)
    assert e.spent == pytest.approx(n, rel=1e-12)
    assert e.train_error == 0
    assert math.isnan(e.total_learnability)


def test_degenerate_modes_are_weights():
    one = eigenlearning(eigenvalues=[2.0, 2.0, 0.5], n=2, ridge_sum_loss=0.1, coefficients=[3.0, 4.0, 1.0])
    two = eigenlearning(
        eigenvalues=[2.0, 0.5], multiplicities=[2.0, 1.0], n=2, ridge_sum_loss=0.1, coefficients=[5.0, 1.0]
    )
    assert two.kappa == pytest.approx(one.kappa, rel=1e-14)
    assert two.test_error == pytest.approx(one.test_error, rel=1e-14)


def test_rank_at_most_n_without_a_ridge_has_no_solution():
    with pytest.raises(RankTooSmall, match="no positive kappa") as caught:
        eigenlearning(eigenvalues=[1.0, 0.5, 0.0], n=2, ridge_sum_loss=0)
    assert (caught.value.rank, caught.value.n) == (2, 2)
    assert isinstance(caught.value, AssumptionViolated)
    assert eigenlearning(eigenvalues=[1.0, 0.5, 0.0], n=2, ridge_sum_loss=1e-9).spent <= 2


@pytest.mark.parametrize("aspect", [1.2, 2.0, 7.0])
def test_equal_eigenvalues_are_the_ridgeless_risk(aspect):
    n = 1000
    e = eigenlearning(
        eigenvalues=[1.0], multiplicities=[aspect * n], n=n, ridge_sum_loss=0, coefficients=[1.3], noise_variance=0.25
    )
    assert e.test_error - 0.25 == pytest.approx(
        ridgeless_risk(aspect=aspect, signal=1.69, noise_variance=0.25), rel=1e-11
    )


def test_the_documents_numbers():
    """g = 2, r2 = 1, s2 = 1/4: 0.75 without a ridge, 0.640388 at the best one."""
    assert ridgeless_risk(aspect=2, signal=1, noise_variance=0.25) == 0.75
    best = optimal_ridge(aspect=2, signal=1, noise_variance=0.25)
    assert best.penalty == 0.5
    assert best.excess_risk == pytest.approx(0.640388, abs=5e-7)


def test_the_documents_spectra():
    """50 modes i^-2 with v = 1/i, n = 12: 0.2516 with a ridge of .01 and noise .05, 0.1495 with neither; kappa of 4n modes i^-1.5."""
    i = np.arange(1, 51.0)
    given_ = {"eigenvalues": i**-2, "coefficients": 1 / i, "n": 12}
    noisy = eigenlearning(ridge_sum_loss=0.01, noise_variance=0.05, **given_)
    assert noisy.test_error == pytest.approx(0.2516, abs=5e-5)
    assert eigenlearning(ridge_sum_loss=0, **given_).test_error == pytest.approx(0.1495, abs=5e-5)
    for n, kappa, digits in ((12, 0.0489, 5e-5), (192, 0.000891, 5e-7)):
        modes = np.arange(1, 4 * n + 1.0) ** -1.5
        assert eigenlearning(eigenvalues=modes, n=n, ridge_sum_loss=0.01).kappa == pytest.approx(kappa, abs=digits)


def test_ridgeless_limit_of_a_small_ridge():
    given_ = {"eigenvalues": [1.0, 0.3], "multiplicities": [4.0, 9.0], "n": 6, "coefficients": [1.0, 1.0]}
    free, small = (eigenlearning(ridge_sum_loss=ridge, **given_) for ridge in (0.0, 1e-9))
    assert small.test_error == pytest.approx(free.test_error, rel=1e-7)


def test_ridgeless_at_finite_n():
    at = ridgeless_risk_at(n=100_000, features=200_000, signal=1.0, noise_variance=0.25)
    assert at == pytest.approx(0.75, rel=1e-5)
    assert ridgeless_risk_at(n=10, features=11, signal=1.0, noise_variance=0.25) == math.inf
    assert ridgeless_risk_at(n=10, features=11, signal=1.0, noise_variance=0.0) == pytest.approx(1 / 11)
    assert ridgeless_risk_at(n=10, features=4, signal=1.0, noise_variance=0.0) == 0
    assert ridgeless_risk(aspect=1, signal=1, noise_variance=1) == math.inf


@given(st.floats(0.01, 100), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_best_ridge_beats_none(aspect, signal, noise):
    best = optimal_ridge(aspect=aspect, signal=signal, noise_variance=noise)
    assert 0 < best.excess_risk <= signal * (1 + 1e-12)
    if aspect != 1:
        assert best.excess_risk <= ridgeless_risk(aspect=aspect, signal=signal, noise_variance=noise) * (1 + 1e-9)


def test_gcv_needs_no_ridge():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 9))
    gram, y = features @ features.T, rng.normal(size=6)
    free, small = (risk_estimates(gram=gram, labels=y, ridge_sum_loss=ridge) for ridge in (0.0, 1e-9))
    inverse = np.linalg.inv(gram)
    assert free.gcv == pytest.approx(y @ inverse @ inverse @ y / 6 / (np.trace(inverse) / 6) ** 2, rel=1e-10)
    assert free.gcv == pytest.approx(small.gcv, rel=1e-7)
    assert free.train_error == 0
    assert small.gcv == pytest.approx(small.train_error / (1e-9 / 6 * np.trace(inverse)) ** 2, rel=1e-6)
    with pytest.raises(SingularGram):
        risk_estimates(gram=np.ones((3, 3)), labels=y[:3], ridge_sum_loss=0.0)


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_alignment_is_in_the_unit_interval(size, seed):
    rng = np.random.default_rng(seed)
    features, y = rng.normal(size=(size, 2)), rng.normal(size=size)
    for centred in (False, True):
        assert -1e-12 <= alignment(gram=features @ features.T, labels=y, centred=centred) <= 1 + 1e-12
        assert alignment(gram=np.outer(y, y), labels=y, centred=centred) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (eigenlearning, {"eigenvalues": [1.0], "n": 0, "ridge_sum_loss": 1.0}),
        (eigenlearning, {"eigenvalues": [-1.0], "n": 1, "ridge_sum_loss": 1.0}),
        (eigenlearning, {"eigenvalues": [], "n": 1, "ridge_sum_loss": 1.0}),
        (eigenlearning, {"eigenvalues": [1.0], "n": 1, "ridge_sum_loss": -1.0}),
        (eigenlearning, {"eigenvalues": [1.0], "n": 1, "ridge_sum_loss": math.nan}),
        (eigenlearning, {"eigenvalues": [1.0], "n": 1, "ridge_sum_loss": 1.0, "coefficients": [1.0, 2.0]}),
        (eigenlearning, {"eigenvalues": [1.0], "n": 1, "ridge_sum_loss": 1.0, "multiplicities": [0.0]}),
        (ridgeless_risk, {"aspect": 0.0, "signal": 1.0, "noise_variance": 1.0}),
        (optimal_ridge, {"aspect": 2.0, "signal": 0.0, "noise_variance": 1.0}),
        (risk_estimates, {"gram": np.eye(3), "labels": np.ones(2), "ridge_sum_loss": 0.0}),
        (alignment, {"gram": np.eye(3), "labels": np.zeros(3), "centred": False}),
        (alignment, {"gram": np.eye(3), "labels": np.ones(3), "centred": True}),
        (alignment, {"gram": np.triu(np.ones((3, 3))), "labels": np.arange(3.0), "centred": False}),
        (alignment, {"gram": -np.eye(3), "labels": np.arange(3.0), "centred": False}),
    ],
)
def test_bad_input(function, arguments):
    with pytest.raises(InvalidInput):
        function(**arguments)
