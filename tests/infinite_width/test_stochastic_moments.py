"""Moments of wide stochastic networks: tails, limits, losses, a PAC-Bayes bound without sampling, refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.bounds.seeger import seeger_kl
from nonvacuous.numerics.certified.divergences import kl_gaussian_diagonal
from nonvacuous.numerics.networks.stochastic_moments import (
    gaussian_log_loss,
    relu_moments,
    square_loss,
    stochastic_output,
    zero_one_loss,
)
from nonvacuous.theory.balls.relu_moments import relu_moments_ball
from nonvacuous.theory.errors import InvalidInput


@given(st.floats(-30, 30), st.floats(1e-3, 1e3))
def test_moments_to_rounding(x, deviation):
    mean = x * deviation
    found = relu_moments(mean=mean, deviation=deviation)
    allowed = (4 * (mean / deviation) ** 2 + 120) * 2.0**-53
    for value, exact in zip(
        (found.mean, found.square, found.variance), relu_moments_ball(mean, deviation), strict=True
    ):
        assert abs(float(value) / float(exact) - 1) <= allowed


def test_fixed_and_far_pre_activations():
    fixed = relu_moments(mean=[-1.0, 2.0], deviation=0.0)
    assert fixed.mean.tolist() == [0, 2]
    assert fixed.square.tolist() == [0, 4]
    assert fixed.variance.tolist() == [0, 0]
    far = relu_moments(mean=[-1e6, 1e6], deviation=1.0)
    assert far.mean.tolist() == [0, 1e6]
    assert far.variance[1] == pytest.approx(1)
    assert relu_moments(mean=0.0, deviation=1.0).mean == pytest.approx(1 / math.sqrt(2 * math.pi))


def test_a_wide_layer_by_sampling():
    rng = np.random.default_rng(0)
    n, draws = 200, 20_000
    mu, m, tau, s = rng.normal(size=(1, n)), rng.normal(size=n), np.array([0.8]), 0.6
    found = stochastic_output(hidden_mean=mu, hidden_deviation=tau, readout_mean=m, readout_deviation=s)
    w = m + s * rng.normal(size=(draws, n))
    f = (w * np.maximum(mu + tau * rng.normal(size=(draws, n)), 0)).sum(axis=1) / math.sqrt(n)
    assert abs(f.mean() - found.mean[0]) < 4.9 * f.std() / math.sqrt(draws)
    assert abs(f.var() / found.variance[0] - 1) < 4.9 * math.sqrt(2.2 / draws)
    losses = zero_one_loss(mean=found.mean, variance=found.variance, labels=[1.0])
    assert abs(np.mean(f <= 0) - losses[0]) < 4.9 * 0.5 / math.sqrt(draws) + 1 / n


def test_losses():
    given_ = {"mean": [0.3, -0.2], "variance": [0.5, 0.1], "labels": [1.0, -1.0]}
    f = np.random.default_rng(1).normal(size=(200_000, 2)) * np.sqrt(given_["variance"]) + given_["mean"]
    y = np.array(given_["labels"])
    np.testing.assert_allclose(zero_one_loss(**given_), np.mean(f * y <= 0, axis=0), atol=0.006)
    np.testing.assert_allclose(square_loss(**given_), np.mean((f - y) ** 2, axis=0), rtol=0.02)
    log_loss = np.mean((f - y) ** 2 / 0.4 + math.log(2 * math.pi * 0.2) / 2, axis=0)
    np.testing.assert_allclose(gaussian_log_loss(**given_, noise_variance=0.2), log_loss, rtol=0.02)
    assert zero_one_loss(mean=[0.0, 1.0, -1.0], variance=0.0, labels=1.0).tolist() == [1, 0, 1]


def test_a_bound_without_sampling():
    """Expected 0-1 losses in closed form, divergence of diagonal Gaussians, PAC-Bayes-kl: no draw anywhere."""
    rng = np.random.default_rng(2)
    n, examples = 64, 500
    x = rng.normal(size=(examples, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    start, readout = rng.normal(size=(5, n)), rng.normal(size=n)
    labels = np.where(x @ start @ readout > 0, 1.0, -1.0)
    moved = 3 * readout
    found = stochastic_output(
        hidden_mean=x @ start, hidden_deviation=np.ones(examples), readout_mean=moved, readout_deviation=1.0
    )
    risk = float(zero_one_loss(mean=found.mean, variance=found.variance, labels=labels).mean())
    kl = kl_gaussian_diagonal(moved, np.zeros(n), readout, np.zeros(n))
    assert kl == pytest.approx(2 * readout @ readout)
    certificate = seeger_kl(risk=risk, kl=kl, n=examples, delta=0.05)
    assert risk < certificate.value <= 1
    assert certificate.check().sound


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (relu_moments, {"mean": math.nan, "deviation": 1.0}),
        (relu_moments, {"mean": 0.0, "deviation": -1.0}),
        (relu_moments, {"mean": 0.0, "deviation": math.inf}),
        (zero_one_loss, {"mean": 0.0, "variance": 1.0, "labels": 0.5}),
        (zero_one_loss, {"mean": 0.0, "variance": -1.0, "labels": 1.0}),
        (gaussian_log_loss, {"mean": 0.0, "variance": 1.0, "labels": 0.0, "noise_variance": 0.0}),
    ],
)
def test_bad_input(function, arguments):
    with pytest.raises(InvalidInput):
        function(**arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_mean": np.zeros((2, 4))},
        {"hidden_deviation": np.ones(3)},
        {"readout_mean": np.zeros((3, 1))},
        {"readout_deviation": -1.0},
        {"readout_mean": np.array([])},
    ],
)
def test_bad_layers(changes):
    good = {
        "hidden_mean": np.zeros((2, 3)),
        "hidden_deviation": np.ones(2),
        "readout_mean": np.ones(3),
        "readout_deviation": 1.0,
    }
    stochastic_output(**good)
    with pytest.raises(InvalidInput):
        stochastic_output(**(good | changes))
