"""The linear-algebra policy, the two posteriors, their order with the ensemble, and exact sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.wide_networks.ensemble import ensemble_covariance
from nonvacuous.numerics.wide_networks.features import features, preconditioned_smoother, sample_then_optimise
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.numerics.wide_networks.policy import LADDER, SingularGram, clipped_variances, solver
from nonvacuous.numerics.wide_networks.posterior import (
    excess_decomposition,
    nngp_posterior,
    ntkgp_posterior,
    readout_ensemble,
)
from nonvacuous.numerics.wide_networks.randomised_priors import bayesian_ensemble_law, randomised_prior_covariance
from nonvacuous.numerics.wide_networks.smoother import linear_smoother
from nonvacuous.proofs.infinite_width.linear_models import kernels, random_model
from nonvacuous.proofs.infinite_width.posteriors.finite_sampling import (
    _FINITE,
    FiniteSetting,
    compare_errors,
    predict_errors,
)
from nonvacuous.proofs.infinite_width.posteriors.growth import RISING, predict_added
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = 2.0**-52


def blocks(x_test, x_train, **architecture):
    joint = fully_connected_kernels(np.concatenate([x_test, x_train]), **architecture)
    s = len(x_test)
    return [gram_blocks(name, m[:s, :s], m[:s, s:], m[s:, s:]) for name, m in (("K", joint.nngp), ("T", joint.ntk))]


def model(seed=0, **changes):
    return random_model(np.random.default_rng(seed), **changes)


# --- policy -------------------------------------------------------------------------------------------------------


def test_jitter_is_never_silent():
    singular = np.ones((3, 3))
    with pytest.raises(SingularGram, match="jitter='ladder'") as caught:
        solver("T_XX", singular)
    assert caught.value.rank == 1
    assert caught.value.condition > 1e12
    found = solver("T_XX", singular, jitter="ladder")
    assert found.jitter in LADDER[1:]
    assert f"jitter={found.jitter}" in repr(found)
    assert "factor" not in repr(found)
    tried = solver("T_XX", singular, jitter=1e-6)
    assert tried.jitter == 1e-6
    fine = solver("T_XX", np.eye(3), jitter="ladder")
    assert (fine.jitter, fine.path) == (0.0, "cholesky")
    smoothed = linear_smoother(gram_blocks("T", np.eye(1), np.ones((1, 3)), singular), jitter="ladder")
    assert smoothed.jitter > 0
    assert f"jitter={smoothed.jitter}" in repr(smoothed)


def test_noise_takes_the_eigen_path_where_cholesky_gives_up():
    singular = np.ones((3, 3)) * 1e14
    found = solver("T_XX", singular, noise=1.0)
    assert found.path == "eigen"
    assert found.condition > 1e12
    right = np.array([[1.0], [1.0], [1.0]])
    np.testing.assert_allclose(found.solve(right), right / (3e14 + 1), rtol=10 * found.condition * EPS)
    np.testing.assert_allclose(found.half(right).T @ found.half(right), right.T @ found.solve(right), rtol=1e-12)
    with pytest.raises(SingularGram):
        solver("T_XX", singular, noise=1e-3)  # below the rounding of the matrix itself
    assert solver("T_XX", np.zeros((0, 0))).size == 0


def test_jitter_counts_as_noise_where_it_was_asked_for():
    rows = [0, 0, 1]
    s = model(2)
    _, t = kernels(s)
    repeated = gram_blocks("T", t.test, t.cross[:, rows], t.train[np.ix_(rows, rows)])
    found = ntkgp_posterior(repeated, s.labels[rows], jitter=1e-2)
    same = ntkgp_posterior(repeated, s.labels[rows], noise=found.jitter)
    assert found.jitter == pytest.approx(1e-2 * np.trace(repeated.train) / 3)
    assert f"jitter={found.jitter}" in repr(found)
    np.testing.assert_allclose(found.covariance, same.covariance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"noise": -1.0}, {"noise": [1.0, 2.0]}, {"noise": math.nan}, {"jitter": -1.0}, {"jitter": "some"}, {"jitter": True}])  # fmt: skip
def test_bad_options_of_the_solver_are_refused(options):
    with pytest.raises(InvalidInput):
        solver("T_XX", np.eye(3), **options)


def test_variances_are_clipped_only_within_rounding():
    assert clipped_variances("v", np.array([-1e-16, 2.0]), tolerance=1e-15).tolist() == [0.0, 2.0]
    with pytest.raises(NumericalFailure):
        clipped_variances("v", np.array([-1e-14]), tolerance=1e-15)


def test_float32_is_refused():
    import torch

    k, _ = kernels(model())
    for coarse in (np.float32, np.float16):
        with pytest.raises(InvalidInput, match="float64"):
            gram_blocks("K", k.test.astype(coarse), k.cross, k.train)
    with pytest.raises(InvalidInput, match="float64"):
        gram_blocks("K", torch.tensor(k.test, dtype=torch.float32), k.cross, k.train)
    with pytest.raises(InvalidInput, match="float64"):
        nngp_posterior(k, np.zeros(len(k.train), dtype=np.float32))


# --- posteriors ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1e-6, 0.1, 3.0]))
@settings(max_examples=40, deadline=None)
def test_squares_agree_with_the_difference(seed, noise):
    s = model(seed)
    _, t = kernels(s)
    found = ntkgp_posterior(t, s.labels, noise=noise)
    solved = solver("T", t.train, noise=noise)
    half = solved.half(t.cross.T)
    allowed = 1e3 * len(t.train) * EPS * solved.condition * np.abs(t.test).max()
    np.testing.assert_allclose(found.covariance, t.test - half.T @ half, atol=allowed)
    np.testing.assert_allclose(found.mean, t.cross @ solved.solve(s.labels[:, None])[:, 0], atol=allowed * 10)
    assert np.linalg.eigvalsh(found.covariance)[0] >= -EPS * np.trace(found.covariance)
    assert (found.variance >= 0).all()


def test_noise_of_each_point_is_noise_of_repeated_points():
    """s2/m for the mean of m labels: all rows against unique points."""
    s = model(3)
    _, t = kernels(s)
    counts = np.arange(1, len(t.train) + 1)
    rows = np.repeat(np.arange(len(t.train)), counts)
    every = gram_blocks("T", t.test, t.cross[:, rows], t.train[np.ix_(rows, rows)])
    one, all_rows = ntkgp_posterior(t, s.labels, noise=0.4 / counts), ntkgp_posterior(every, s.labels[rows], noise=0.4)
    np.testing.assert_allclose(one.covariance, all_rows.covariance, atol=1e-10)
    np.testing.assert_allclose(one.mean, all_rows.mean, atol=1e-10)


def test_posteriors_vanish_on_the_training_inputs_without_noise():
    s = model(6)
    for kernel, posterior in zip(kernels(s), (nngp_posterior, ntkgp_posterior), strict=True):
        on_train = gram_blocks("C", kernel.train, kernel.train, kernel.train)
        found = posterior(on_train, s.labels)
        allowed = 1e3 * len(s.labels) * EPS * np.linalg.cond(kernel.train) * np.abs(kernel.train).max()
        assert np.abs(found.covariance).max() <= allowed
        np.testing.assert_allclose(found.mean, s.labels, atol=allowed)


def test_readout_training_ends_at_the_nngp_posterior():
    s = model(7)
    k, _ = kernels(s)
    late, exact = readout_ensemble(k, s.labels), nngp_posterior(k, s.labels)
    np.testing.assert_allclose(late.covariance, exact.covariance, atol=1e-10)
    np.testing.assert_allclose(late.mean, exact.mean, atol=1e-10)
    np.testing.assert_allclose(readout_ensemble(k, s.labels, time_sum_loss=0.0).covariance, k.test, atol=1e-12)


# --- order --------------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    activation=st.sampled_from(["relu", "erf"]),
    depth=st.integers(1, 5),
    train=st.integers(1, 8),
    scale=st.floats(0.5, 2.0),
    bias=st.floats(0.05, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_loewner_chain_with_explicit_excess(seed, activation, depth, train, scale, bias):
    rng = np.random.default_rng(seed)
    k, t = blocks(rng.normal(size=(4, 3)), rng.normal(size=(train, 3)), depth=depth, activation=activation, weight_scale=scale, bias_scale=bias)  # fmt: skip
    try:
        found = excess_decomposition(k, t)
    except SingularGram:
        return  # refused, not answered
    trace = np.trace(t.test)
    rounding = 1e3 * (train + 4) * EPS * max(np.linalg.cond(k.train), np.linalg.cond(t.train)) * trace
    for low, high, gap in (
        (found.nngp, found.ensemble, found.over_nngp),
        (found.ensemble, found.ntkgp, found.below_ntkgp),
    ):
        np.testing.assert_allclose(high - low, gap, atol=rounding)
        assert np.linalg.eigvalsh(high - low)[0] >= -1e-10 * trace - rounding
        assert np.linalg.eigvalsh(gap)[0] >= -10 * EPS * trace


def test_adding_a_point_can_raise_the_ensemble_but_no_posterior():
    found = predict_added(RISING)
    before, after = found.ensemble[:, 0]
    assert (f"{before:.7f}", f"{after:.7f}") == ("0.0152542", "0.0169334")
    assert round(100 * (after / before - 1)) == 11
    assert found.nngp[1, 0] < found.nngp[0, 0]
    assert found.ntkgp[1, 0] < found.ntkgp[0, 0]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
@settings(max_examples=30, deadline=None)
def test_a_new_point_lowers_each_posterior_in_every_direction(seed, noise):
    s = model(seed)
    for kernel, posterior in zip(kernels(s), (nngp_posterior, ntkgp_posterior), strict=True):
        fewer = gram_blocks("C", kernel.test, kernel.cross[:, :-1], kernel.train[:-1, :-1])
        drop = (
            posterior(fewer, s.labels[:-1], noise=noise).covariance
            - posterior(kernel, s.labels, noise=noise).covariance
        )
        assert np.linalg.eigvalsh(drop)[0] >= -1e4 * EPS * np.linalg.cond(kernel.train) * np.trace(kernel.test)


# --- sampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5, 12])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_sto_finite_is_exact_at_every_width(width, activation):
    """Errors trained by least squares on a torch network's Jacobian have the posterior covariance of its own kernel."""
    e = _FINITE[0]
    s = FiniteSetting(e.train, e.test, e.labels, activation, (1.5, 1.2, 1.1), (0.3, 0.2, 0.1), width=width, noise=0.5)  # type: ignore[arg-type]
    evidence = compare_errors(s, predict_errors(s), {})
    assert (np.abs(evidence.observed - evidence.predicted) <= evidence.bound).all()
    assert np.max(evidence.bound / evidence.scale) < 1e-6


def test_sampled_outputs_are_posterior_draws():
    """2e5 joint draws: means and covariances within 6 standard errors."""
    s = model(8, noise=0.5)
    j, rng, draws = features(s.jacobian[: s.tests], s.jacobian[s.tests :]), np.random.default_rng(0), 200_000
    initial = rng.normal(size=(draws, s.jacobian.shape[1]))
    xi = math.sqrt(s.noise) * rng.normal(size=(draws, len(s.labels)))
    outputs = sample_then_optimise(j, s.labels, initial=initial, noise=s.noise, label_noise=xi)
    exact = ntkgp_posterior(kernels(s)[1], s.labels, noise=s.noise)
    deviation = np.sqrt(exact.variance)
    assert (np.abs(outputs.mean(axis=0) - exact.mean) <= 6 * deviation / math.sqrt(draws)).all()
    spread = np.sqrt((exact.covariance**2 + np.outer(exact.variance, exact.variance)) / draws)
    assert (np.abs(np.cov(outputs.T) - exact.covariance) <= 6 * spread).all()
    lacking = sample_then_optimise(j, s.labels, initial=initial, noise=s.noise)
    deficit = exact.covariance - np.cov(lacking.T)
    np.testing.assert_allclose(deficit, s.noise * exact.smoother @ exact.smoother.T, atol=6 * spread.max())


def test_random_priors_are_posteriors_only_in_the_matched_case():
    s = model(9, noise=0.5)
    k, t = kernels(s)
    hidden = gram_blocks("T - K", t.test - k.test, t.cross - k.cross, t.train - k.train)
    exact = ntkgp_posterior(t, s.labels).covariance
    np.testing.assert_allclose(randomised_prior_covariance(k, hidden, t, scale=1.0), exact, atol=1e-10)
    assert np.abs(randomised_prior_covariance(k, hidden, t, scale=1.1) - exact).max() > 1e-3
    np.testing.assert_allclose(
        randomised_prior_covariance(k, k, t, scale=1.0), 2 * ensemble_covariance(k, t), atol=1e-10
    )
    with_noise, without = (
        bayesian_ensemble_law(t, s.labels, noise=s.noise, label_noise=flag) for flag in (True, False)
    )
    gain = with_noise.smoother.matrix
    np.testing.assert_allclose(with_noise.covariance - without.covariance, s.noise * gain @ gain.T, atol=1e-12)
    with pytest.raises(InvalidInput):
        randomised_prior_covariance(k, hidden, t, scale=-1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda j, s: sample_then_optimise(j, s.labels, initial=np.zeros(3), noise=0.1),
        lambda j, s: sample_then_optimise(j, s.labels[:-1], initial=np.zeros(j.test.shape[1]), noise=0.1),
        lambda j, s: sample_then_optimise(j, s.labels, initial=np.zeros(j.test.shape[1]), noise=-0.1),
        lambda j, s: sample_then_optimise(
            j, s.labels, initial=np.zeros(j.test.shape[1]), noise=0.1, label_noise=np.zeros(9)
        ),
        lambda j, s: preconditioned_smoother(j, np.zeros(j.test.shape[1])),
        lambda j, s: preconditioned_smoother(j, np.ones(2)),
        lambda j, s: features(j.test, j.train[:, 1:]),
        lambda j, s: features(j.test.astype(np.float32), j.train),
        lambda j, s: ntkgp_posterior(kernels(s)[1], s.labels[:-1]),
        lambda j, s: FiniteSetting(
            s.readout, s.readout, np.ones(len(s.readout)), "erf", (1.0, 1.0), (0.1, 0.1), noise=0.0
        ),
    ],
)
def test_bad_input_is_refused(make):
    s = model(1)
    with pytest.raises(InvalidInput):
        make(features(s.jacobian[: s.tests], s.jacobian[s.tests :]), s)
