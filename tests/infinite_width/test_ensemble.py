"""The ensemble law: matrix identities, independent routes, errata of the source, and refusals."""

import math

import numpy as np
import pytest
import scipy.linalg

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.wide_networks import (
    SingularGram,
    ensemble_covariance,
    ensemble_mean,
    gram_blocks,
    rnd_error_covariance,
    rnd_variance,
    smoother,
)
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = np.finfo(np.float64).eps
SEEDS = range(5)


def blocks(x_test, x_train, **changes):
    architecture = {"depth": 2, "activation": "erf", "weight_scale": 1.5, "bias_scale": 0.3} | changes
    joint = fully_connected_kernels(np.concatenate([x_test, x_train]), **architecture)
    s = len(x_test)
    return tuple(
        gram_blocks(name, m[:s, :s], m[:s, s:], m[s:, s:]) for name, m in (("K", joint.nngp), ("T", joint.ntk))
    )


def problem(seed):
    rng = np.random.default_rng(seed)
    return blocks(rng.normal(size=(4, 3)), rng.normal(size=(6, 3)))


def expanded(k, t, sign=+1):
    g = np.linalg.solve(t.train, t.cross.T).T
    return k.test + sign * g @ k.train @ g.T - g @ k.cross.T - k.cross @ g.T


@pytest.mark.parametrize("seed", SEEDS)
def test_factors_agree_with_the_expanded_form_and_refute_the_minus_sign(seed):
    k, t = problem(seed)
    allowed = 1e3 * 6 * EPS * np.linalg.cond(t.train) * np.abs(k.test).max()
    ours = ensemble_covariance(k, t)
    assert np.abs(ours - expanded(k, t)).max() <= allowed
    assert np.abs(ours - expanded(k, t, sign=-1)).max() > 1e3 * allowed  # the source's appendix prints a minus


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("time", [0.0, 1e-12, 0.2, 1.0, 30.0])
def test_finite_time_agrees_with_the_block_matrix_exponential(seed, time):
    k, t = problem(seed)
    flow = np.block([[np.zeros((4, 4)), -t.cross], [np.zeros((6, 4)), -t.train]])
    operator = scipy.linalg.expm(time * flow)[:4]  # maps (f0(*), f0(X) - y) to f_t(*)
    np.testing.assert_allclose(smoother(t, time_sum_loss=time), -operator[:, 4:], atol=1e-12)
    joint = k.joint()
    np.testing.assert_allclose(ensemble_covariance(k, t, time_sum_loss=time), operator @ joint @ operator.T, atol=1e-12)


def test_finite_time_keeps_its_digits_at_every_rate():
    one = np.ones((1, 1))
    for rate in (0.0, 1e-300, 1e-12, 0.9e-8, 1.1e-8, 1e-3, 1.0, 50.0):
        found = smoother(gram_blocks("T", one, one, rate * one), time_sum_loss=1.0)[0, 0]
        expected = -math.expm1(-rate) / rate if rate else 1.0
        assert abs(found / expected - 1) <= 8 * EPS


def test_limits_in_time_and_data():
    k, t = problem(0)
    assert np.abs(ensemble_covariance(k, t, time_sum_loss=0.0) - k.test).max() <= 100 * EPS * np.abs(k.test).max()
    late = ensemble_covariance(k, t, time_sum_loss=100 / np.linalg.eigvalsh(t.train)[0])
    np.testing.assert_allclose(late, ensemble_covariance(k, t), atol=1e-10)
    none = [gram_blocks("K", m.test, m.cross[:, :0], m.train[:0, :0]) for m in (k, t)]
    np.testing.assert_allclose(ensemble_covariance(*none), k.test, atol=100 * EPS)


def test_no_variance_on_the_training_set_and_a_spectral_factor_there():
    x = np.random.default_rng(1).normal(size=(5, 3))
    k, t = blocks(x[[0, 0, 3]], x)  # repeated test points inside X: the joint matrix is singular
    allowed = 1e3 * 5 * EPS * np.linalg.cond(t.train) * np.abs(k.test).max()
    assert np.abs(ensemble_covariance(k, t)).max() <= allowed
    time = 0.7
    decay = scipy.linalg.expm(-time * t.train)
    expected = (decay @ k.train @ decay)[np.ix_([0, 0, 3], [0, 0, 3])]
    np.testing.assert_allclose(ensemble_covariance(k, t, time_sum_loss=time), expected, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_loewner_chain_with_its_explicit_excess(seed, activation):
    rng = np.random.default_rng(seed)
    k, t = blocks(rng.normal(size=(4, 3)), rng.normal(size=(6, 3)), activation=activation)
    posterior = [m.test - m.cross @ np.linalg.solve(m.train, m.cross.T) for m in (k, t)]
    ensemble = ensemble_covariance(k, t)
    shift = smoother(t) - np.linalg.solve(k.train, k.cross.T).T
    np.testing.assert_allclose(ensemble, posterior[0] + shift @ k.train @ shift.T, atol=1e-9)
    for gap in (ensemble - posterior[0], posterior[1] - ensemble):
        assert np.linalg.eigvalsh(gap)[0] >= -1e-10 * np.trace(ensemble)
    # readout-only training (T = K) is exact Bayesian inference
    np.testing.assert_allclose(ensemble_covariance(k, k), posterior[0], atol=1e-9)


def test_rnd_error_covariance_is_twice_the_ensembles_at_every_time():
    # e_t(*) = [I, -G_t] (u0 - g) with u0 and g independent with covariance K: enumerate the linear map on both
    k, t = problem(2)
    for time in (0.0, 0.2, 1.0, math.inf):
        residual = np.concatenate([np.eye(4), -smoother(t, time_sum_loss=time)], axis=1)
        both = np.concatenate([residual, -residual], axis=1)
        joint = np.kron(np.eye(2), k.joint())
        error = both @ joint @ both.T
        ensemble = ensemble_covariance(k, t, time_sum_loss=time)
        np.testing.assert_allclose(error, rnd_error_covariance(k, t, time_sum_loss=time), atol=1e-10)
        np.testing.assert_allclose(error, 2 * ensemble, atol=1e-10)
        assert np.abs(error - ensemble).max() > 0.1 * np.abs(ensemble).max()  # erratum: no factor 2


def test_rnd_variance_halves_the_mean_square_over_heads():
    rng = np.random.default_rng(0)
    u, g = rng.normal(size=(2, 3, 50_000))  # errors of variance 2: twice an ensemble variance of 1
    relative = rnd_variance(u, g) - 1
    assert np.abs(relative).max() <= multiplier(3) * np.sqrt(2 / 50_000)
    assert np.abs(2 * rnd_variance(u, g) - 1).min() > 0.5  # the mean square itself is not the variance
    for wrong in ((u, g[:2]), (u[:, :0], g[:, :0]), (u, np.full_like(g, np.nan)), (1.0, 2.0)):
        with pytest.raises(InvalidInput):
            rnd_variance(*wrong)


def test_mean_is_the_kernel_regression():
    _, t = problem(3)
    y = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_allclose(ensemble_mean(t, y), t.cross @ np.linalg.solve(t.train, y), atol=1e-10)
    with pytest.raises(InvalidInput):
        ensemble_mean(t, y[:3])


def test_adding_a_point_can_raise_the_ensemble_variance():
    train = np.array([(-0.1, 0.5), (-1, 0.2), (0.1, -0.8)])
    more = np.concatenate([train, [(-1, 1.1)]])
    before, after = (
        ensemble_covariance(*blocks(np.array([(-0.7, 0.2)]), x, activation="relu"))[0, 0] for x in (train, more)
    )
    assert (round(before, 7), round(after, 7)) == (0.0152542, 0.0169334)


def test_singular_and_malformed_matrices_are_refused():
    x = np.random.default_rng(1).normal(size=(5, 3))
    k, t = blocks(x[:1] + 0.5, x[[0, 1, 1]])
    with pytest.raises(SingularGram) as caught:
        ensemble_covariance(k, t)
    assert caught.value.rank == 2
    assert np.isfinite(ensemble_covariance(k, t, time_sum_loss=2.0)).all()
    k, t = problem(0)
    for time in (-1.0, math.nan):
        with pytest.raises(InvalidInput):
            smoother(t, time_sum_loss=time)
    with pytest.raises(InvalidInput):
        gram_blocks("K", k.test[:2, :2], k.cross, k.train)
    with pytest.raises(InvalidInput):
        gram_blocks("K", k.test + np.triu(np.ones((4, 4)), 1), k.cross, k.train)
    with pytest.raises(InvalidInput):
        gram_blocks("K", k.test, k.cross * np.nan, k.train)
    with pytest.raises(InvalidInput):
        ensemble_covariance(k, gram_blocks("T", t.test[:2, :2], t.cross[:2], t.train))
    with pytest.raises(NumericalFailure):
        smoother(gram_blocks("T", t.test, t.cross, -t.train), time_sum_loss=1.0)
