"""Descent and flow on separable data, and the closed forms of what is left after w_hat log t."""

import math

import numpy as np
import pytest

from nonvacuous.numerics.implicit_bias.max_margin import max_margin
from nonvacuous.numerics.implicit_bias.separable_limits import (
    constant_term,
    correction_exponent,
    guaranteed_descent_step,
    limit_remainder,
    log_difference,
    rate_matrix,
    rate_spectrum,
)
from nonvacuous.numerics.training.separable import descend_separable, flow_separable
from nonvacuous.proofs.implicit_bias.separable_problems import random_separable
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure

PAIR = np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]]))


def start(rng, parameters, rank):
    return rng.normal(size=parameters), 0.5 * rng.normal(size=(parameters, rank))


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("seed", range(4))
def test_two_integrators_agree(seed, loss):
    rng = np.random.default_rng(seed)
    x = random_separable(rng, examples=3, parameters=4)
    mean, factor = start(rng, 4, 2)
    runs = [
        flow_separable(x, mean, factor, record=(1, 10, 30), loss=loss, method=method) for method in ("DOP853", "LSODA")
    ]
    np.testing.assert_allclose(runs[0].means, runs[1].means, atol=1e-9 * np.abs(runs[0].means).max())
    np.testing.assert_allclose(runs[0].factors, runs[1].factors, atol=1e-9)


def test_descent_with_a_small_step_follows_the_flow():
    rng = np.random.default_rng(0)
    mean, factor = start(rng, 2, 2)
    flow = flow_separable(PAIR, mean, factor, record=(math.log(3.0),))
    errors = []
    for step in (1e-3, 5e-4):
        run = descend_separable(PAIR, mean, factor, step=step, record=(round(2 / step),))
        errors.append(np.linalg.norm(run.means - flow.means) + np.linalg.norm(run.factors - flow.factors))
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.02)  # first order in the step


def test_the_step_is_the_gradient_of_the_expected_loss():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 3))
    mean, factor = start(rng, 3, 2)
    for loss in ("exponential", "logistic"):
        one = descend_separable(x, mean, factor, step=1e-3, record=(0, 1), loss=loss)

        def value(m, s, loss=loss):
            return descend_separable(x, m, s, step=1.0, record=(0,), loss=loss).losses[0]

        h = 1e-5
        for k in range(3):
            e = h * np.eye(3)[k]
            slope = (value(mean + e, factor) - value(mean - e, factor)) / (2 * h)
            assert (one.means[0] - one.means[1])[k] / 1e-3 == pytest.approx(slope, rel=1e-6, abs=1e-8)
            f = np.outer(e, [1.0, 0.0])
            slope = (value(mean, factor + f) - value(mean, factor - f)) / (2 * h)
            assert (one.factors[0] - one.factors[1])[k, 0] / 1e-3 == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_printed_spectra():
    np.testing.assert_allclose(rate_spectrum(PAIR), [5 / 7, 1], rtol=1e-14)
    np.testing.assert_allclose(rate_spectrum([[1.0, 0, 2], [1, 0, -2]]), [1, 4], rtol=1e-14)
    assert correction_exponent(PAIR) == pytest.approx(5 / 7)
    w = max_margin(PAIR).weights
    extra = np.vstack([PAIR, 1.4 * w / (w @ w)])
    assert correction_exponent(extra) == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(6))
def test_the_separator_is_a_fixed_direction_in_every_metric(seed):
    rng = np.random.default_rng(seed)
    x = random_separable(rng, examples=3, parameters=4)
    metric = rng.uniform(0.3, 3, 4)
    found = max_margin(x, metric=metric)
    matrix = rate_matrix(x, metric=metric)
    np.testing.assert_allclose(matrix @ found.weights, found.weights, rtol=1e-9, atol=1e-9)
    spectrum = rate_spectrum(x, metric=metric)
    assert np.abs(spectrum - 1).min() < 1e-9
    assert spectrum.sum() == pytest.approx(np.trace(matrix))
    rows, alpha = x[found.support], found.dual[found.support]
    np.testing.assert_allclose(rows @ constant_term(x, step=0.1, metric=metric), np.log(0.1 / alpha), atol=1e-9)


def test_preconditioned_flow_ends_at_the_metric_limit():
    rng = np.random.default_rng(2)
    x = random_separable(rng, examples=2, parameters=4, spanning=True, exponent=0.5)
    metric = np.diag(rng.uniform(0.5, 2, 4))
    if correction_exponent(x, metric=metric) < 0.3:
        pytest.skip("slow")
    initial = rng.normal(size=4)
    run = flow_separable(x, initial, np.zeros((4, 0)), record=(60.0,), metric=metric)
    limit = max_margin(x, metric=metric).weights * 60 + limit_remainder(x, initial, metric=metric)
    np.testing.assert_allclose(run.means[0], limit, atol=1e-7)


def test_the_log_difference_is_exact_for_a_logarithm():
    w, c = np.array([1.0, -2.0]), np.array([5.0, 7.0])
    first, second = (w * math.log(t) + c for t in (30.0, 900.0))
    np.testing.assert_allclose(log_difference(first, second, times=(30, 900)), w, rtol=1e-14)
    with pytest.raises(InvalidInput):
        log_difference(first, second, times=(900, 30))


def test_what_is_not_claimed_is_refused():
    with pytest.raises(AssumptionViolated, match=r"ib\.logit_residual"):
        limit_remainder([[1.0, 0, 0], [2.5, 2, 0]], np.zeros(3))
    with pytest.raises(AssumptionViolated, match="independent"):
        constant_term([[1.0, 1], [1, 1]])
    with pytest.raises(AssumptionViolated, match="separated"):
        constant_term([[1.0, 1], [-1, -1]])
    for step in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput):
            constant_term(PAIR, step=step)
    with pytest.raises(AssumptionViolated):
        guaranteed_descent_step(PAIR, [-1e4, 0.0])


def test_a_run_that_blows_up_is_an_error():
    with pytest.raises(NumericalFailure, match="blew up"):
        descend_separable(PAIR * 20, np.zeros(2), 3 * np.eye(2), step=0.1, record=(50,))
    with pytest.raises(InvalidInput):
        descend_separable(PAIR, np.zeros(3), np.zeros((3, 0)), step=0.1, record=(5,))
    with pytest.raises(InvalidInput):
        flow_separable(PAIR, np.zeros(2), np.zeros((2, 0)), record=(5, 1))
