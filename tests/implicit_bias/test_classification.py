"""Variational classification: the limit law, exponents, safe steps, one example solved, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.classification import (
    ClassificationLimit,
    classification_limit,
    classification_rates,
    guaranteed_law_step,
    heuristic_law_step,
    predictive_margin,
    predictive_probability,
    rescaled_distance_squared,
    rescaled_limit,
)
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.least_squares import null_projector
from nonvacuous.numerics.implicit_bias.max_margin import max_margin
from nonvacuous.numerics.implicit_bias.single_example import law_at_time, time_to_margin
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2_squared
from nonvacuous.numerics.training.separable import descend_separable, flow_separable
from nonvacuous.proofs.implicit_bias.separable_problems import random_separable
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

PAIR = np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]]))
COUNTEREXAMPLE = np.array([[1.0, 0, 0], [2.5, 2, 0]])
SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    x = random_separable(rng, examples=2, parameters=int(rng.integers(2, 5)), spanning=True)
    p = x.shape[1]
    return rng, x, GaussianLaw(rng.normal(size=p), rng.normal(size=(p, int(rng.integers(1, 4)))))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_rescaled_law_is_nearest_and_its_distance_is_the_wasserstein_distance(seed):
    rng, x, prior = problem(seed)
    law = rescaled_limit(x, prior)
    square = rescaled_distance_squared(x, prior)
    scale = 1 + np.sum(law.mean**2) + np.sum(prior.mean**2) + np.sum(prior.factor**2)
    assert wasserstein2_squared(law, prior) == pytest.approx(square, abs=1e-9 * scale)
    kept, w = null_projector(x), max_margin(x).weights
    for _ in range(10):  # rivals with row part w_hat and no variance on the rows
        mean = w + kept @ (prior.mean + rng.normal(size=len(w)))
        rival = GaussianLaw(mean, kept @ (prior.factor + rng.normal(size=prior.factor.shape)))
        assert wasserstein2_squared(rival, prior) >= square - 1e-9 * scale


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_equivariance_and_parts_of_the_limit(seed):
    rng, x, prior = problem(seed)
    limit = classification_limit(x, prior, step=0.1)
    np.testing.assert_allclose(x @ limit.factor, 0, atol=1e-9 * np.linalg.norm(prior.factor) * np.linalg.norm(x))
    alpha = max_margin(x).dual
    np.testing.assert_allclose(x @ limit.offset, np.log(0.1 / alpha), atol=1e-7)
    rotation = np.linalg.qr(rng.normal(size=(x.shape[1],) * 2))[0]
    turned = classification_limit(
        x @ rotation, GaussianLaw(rotation.T @ prior.mean, rotation.T @ prior.factor), step=0.1
    )
    np.testing.assert_allclose(turned.offset, rotation.T @ limit.offset, atol=1e-7 * (1 + np.linalg.norm(limit.offset)))
    np.testing.assert_allclose(turned.factor, rotation.T @ limit.factor, atol=1e-7)


def test_printed_slopes_of_flow_and_descent():
    prior = GaussianLaw(np.array([0.3, -0.2]), np.array([[0.5, 0.1], [-0.2, 0.4]]))
    flow = flow_separable(PAIR, prior.mean, prior.factor, record=(10.0, 25.0))
    a = np.linalg.eigh(PAIR.T @ PAIR / 7)[1]
    modes = np.linalg.norm(np.einsum("tpr,pj->tjr", flow.factors, a), axis=2)
    np.testing.assert_allclose(-np.diff(np.log(modes), axis=0)[0] / 15, [0.7143, 1.0], atol=2e-3)
    assert classification_rates(PAIR).modes == pytest.approx((5 / 7, 1.0))


def test_printed_exponents_of_the_preconditioned_example():
    rows, metric = np.linalg.cholesky(np.array([[16.5, 12.5], [12.5, 16.5]])), np.array([4.0, 0.25])
    rates = classification_rates(rows / np.sqrt(metric), metric=metric)
    assert (round(rates.factor, 4), round(rates.mean, 4), round(rates.modes[1], 4)) == (0.1379, 0.1379, 0.2759)
    slow = classification_rates(rows / np.sqrt(metric), metric=metric, factor_ratio=0.5)
    assert round(slow.factor, 4) == 0.0690
    assert classification_rates(rows / np.sqrt(metric), metric=metric, factor_ratio=0.1).variance == pytest.approx(
        0.2 * 4 / 29
    )


@pytest.mark.parametrize(("scale", "start", "end"), [(1.0, 10.25, 1.6816), (0.5, 2.5625, 0.42822)])
def test_printed_variances_without_spanning(scale, start, end):
    prior = GaussianLaw(np.zeros(3), scale * np.eye(3))
    path = flow_separable(COUNTEREXAMPLE, prior.mean, prior.factor, record=(0.0, 40.0))
    variances = ((path.factors.transpose(0, 2, 1) @ COUNTEREXAMPLE[1]) ** 2).sum(axis=1)
    assert variances[0] == pytest.approx(start, rel=1e-14)
    assert variances[1] == pytest.approx(end, abs=0.5 * 10.0 ** -(len(str(end)) - 2))
    with pytest.raises(AssumptionViolated, match="1 of 2 rows are no support vectors"):
        classification_limit(COUNTEREXAMPLE, prior)
    with pytest.raises(AssumptionViolated, match=r"ib\.class_w2"):
        classification_rates(COUNTEREXAMPLE)


def test_printed_step_trap():
    x = np.array([[1.0, 0.0], [-100.0, 1000.0]])
    prior = GaussianLaw(np.array([0.0, 0.03]), np.zeros((2, 1)))
    path = descend_separable(x, prior.mean, prior.factor, step=heuristic_law_step(x, prior), record=(0, 1))
    assert path.losses[0] == pytest.approx(1.0, abs=1e-12)
    assert f"{path.losses[1]:.1e}" == "4.9e+08"
    safe = descend_separable(x, prior.mean, prior.factor, step=guaranteed_law_step(x, prior), record=range(50))
    assert (np.diff(safe.losses) < 0).all()


def test_half_of_a_unit_sized_factor_on_long_rows_blows_up_at_ordinary_steps():
    x = np.array([[6.0, 3.0], [5.0, -4.5]])  # ||x||^2 = 45
    prior = GaussianLaw(np.zeros(2), np.eye(2))
    assert guaranteed_law_step(x, prior) < 1e-12
    with pytest.raises(ArithmeticError):
        descend_separable(x, prior.mean, prior.factor, step=0.01, record=(3,))


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_one_example_inverts_its_own_clock(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(1, 5))
    row, prior = rng.normal(size=p), GaussianLaw(rng.normal(size=p), rng.normal(size=(p, 2)))
    for time in (0.0, 1e-6, 1.0, 1e3, 1e12):
        law = law_at_time(row, prior, time)
        margin = row @ law.mean
        assert time_to_margin(row, prior, max(margin, row @ prior.mean)) == pytest.approx(time, rel=1e-7, abs=1e-9)
        conserved = np.linalg.norm(law.factor.T @ row) * math.exp(margin)
        # the factor holds s e^-(m - m_0) only to the rounding of its parts off the row
        rounding = 1e-14 * math.exp(margin) * np.linalg.norm(prior.factor) * np.linalg.norm(row)
        assert conserved == pytest.approx(
            np.linalg.norm(prior.factor.T @ row) * math.exp(row @ prior.mean), rel=1e-6, abs=rounding
        )
        np.testing.assert_allclose(null_projector(row[None]) @ (law.mean - prior.mean), 0, atol=1e-9)


def test_orthogonal_rows_are_independent_copies():
    rows = np.array([[2.0, 0, 0], [0, 0.5, 0]])
    prior = GaussianLaw(np.array([0.1, -0.3, 1.0]), np.array([[0.3, 0.0], [0.2, 1.0], [0.5, 0.5]]))
    path = flow_separable(rows, prior.mean, prior.factor, record=(5.0,))
    for row in rows:
        alone = law_at_time(row, prior, math.expm1(5.0))
        assert row @ path.means[0] == pytest.approx(row @ alone.mean, rel=1e-9)
        np.testing.assert_allclose(row @ path.factors[0], row @ alone.factor, atol=1e-9)


def test_certainty_grows_except_across_the_separator():
    prior = GaussianLaw(np.array([0.2, 0.1, 0.7]), np.diag([0.5, 0.5, 1.0]))
    x = np.array([[1.0, 0, 0], [0, 2.0, 0]])
    limit = classification_limit(x, prior)
    along, across = np.array([1.0, 0.0, 0.4]), np.array([0.0, 0.0, 1.0])
    certain = [predictive_probability(limit.at(t), along) for t in (1e2, 1e6, 1e20)]
    assert certain[0] < certain[1] < certain[2]
    assert certain[2] > 1 - 1e-12
    kept = {round(predictive_probability(limit.at(t), across), 12) for t in (1e2, 1e6, 1e20)}
    assert len(kept) == 1
    assert 0.55 < kept.pop() < 0.7  # not 1/2: its mean margin is .7
    assert predictive_margin(limit.at(5.0), across) == pytest.approx((0.7, 1.0))


def test_probability_of_extreme_margins():
    for mean, deviation in ((0.0, 0.0), (0.0, 30.0), (700.0, 1.0), (-700.0, 1.0), (2.0, 1e-200)):
        p = predictive_probability(GaussianLaw(np.array([mean]), np.array([[deviation]])), [1.0])
        assert p == pytest.approx(
            0.5 if mean == 0 else 1 / (1 + math.exp(-mean)), rel=0.1 if abs(mean) > 3 else 1e-12, abs=1e-300
        )


def test_bad_input_is_refused():
    prior = GaussianLaw(np.zeros(2), np.eye(2))
    with pytest.raises(InvalidInput):
        classification_limit(PAIR, (np.zeros(2), np.eye(2)))
    with pytest.raises(InvalidInput):
        classification_limit(np.ones((2, 3)), prior)
    with pytest.raises(AssumptionViolated, match="separated"):
        classification_limit(np.array([[1.0, 0], [-1, 0]]), prior)
    with pytest.raises(InvalidInput):
        classification_rates(PAIR, factor_ratio=0.0)
    with pytest.raises(InvalidInput):
        guaranteed_law_step(PAIR, GaussianLaw(np.zeros(2), 1e3 * np.eye(2)))
    with pytest.raises(InvalidInput):
        ClassificationLimit(np.zeros(2), np.zeros(2), np.eye(2)).at(0.0)
    with pytest.raises(InvalidInput):
        predictive_probability(prior, np.zeros(3))
    with pytest.raises(InvalidInput):
        time_to_margin([1.0, 0], prior, -1.0)
    for time in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput):
            law_at_time([1.0, 0], prior, time)
    with pytest.raises(InvalidInput):
        law_at_time([0.0, 0], prior, 1.0)
