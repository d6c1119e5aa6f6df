"""Filters, step sizes, duplicates, penalties: worked cases, limits and refusals of the training of linear models."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.networks.fully_connected import forward
from nonvacuous.numerics.wide_networks.duplicates import ConflictingLabels, collapse_duplicates
from nonvacuous.numerics.wide_networks.ensemble import ensemble_law
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.numerics.wide_networks.smoother import linear_smoother
from nonvacuous.numerics.wide_networks.step_sizes import (
    best_step_size_sum_loss,
    largest_step_size_sum_loss,
    steps_to_tolerance,
)
from nonvacuous.numerics.wide_networks.training import GradientDescent, GradientFlow, HeavyBall, UnstableStep
from nonvacuous.numerics.wide_networks.weight_decay import PriorMoved, relu_offset, weight_decay_law
from nonvacuous.proofs.infinite_width.dynamics.ensemble_law import EXAMPLE
from nonvacuous.proofs.infinite_width.linear_models import LinearModel, kernels, random_model
from nonvacuous.proofs.infinite_width.posteriors.finite_sampling import FiniteSetting, _network, network_jacobian
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = 2.0**-52


def model(seed=0, **changes):
    return random_model(np.random.default_rng(seed), **changes)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        (GradientFlow(3.0), 3.0),
        (GradientDescent(7, 0.5), 3.5),
        (HeavyBall(1, 0.5, 0.5), 0.5),
        (HeavyBall(2, 0.5, 0.5), 1.25),  # 1/2, then 1/2 + 1/4 on top of it
    ],
)
def test_no_filter_divides_by_a_zero_eigenvalue(training, expected):
    """neural-tangents divides by |lambda|: 0/0 at an exactly singular kernel."""
    zero, tiny = training.filter(np.array([0.0, 1e-300]))
    assert zero == pytest.approx(expected, rel=4 * EPS)
    assert tiny == pytest.approx(expected, rel=4 * EPS)


@given(st.floats(1e-12, 1.9), st.integers(1, 10_000))
@settings(max_examples=60, deadline=None)
def test_descent_filter_keeps_its_digits(moved, steps):
    import mpmath

    with mpmath.workdps(60):
        exact = (1 - (1 - mpmath.mpf(moved)) ** steps) / mpmath.mpf(moved)
        found = GradientDescent(steps, 1.0).filter(np.array([moved]))[0]
        assert abs(found / exact - 1) <= 4 * (steps + 10) * EPS


@given(st.integers(0, 200), st.floats(0.01, 0.95), st.integers(0, 10))
@settings(max_examples=40, deadline=None)
def test_heavy_ball_without_momentum_is_descent(steps, fraction, seed):
    eigenvalues = np.sort(np.random.default_rng(seed).uniform(0, 3, 5))
    eta = fraction * 2 / 3
    plain, ball = GradientDescent(steps, eta), HeavyBall(steps, eta, 0.0)
    np.testing.assert_allclose(ball.filter(eigenvalues), plain.filter(eigenvalues), rtol=100 * (steps + 1) * EPS)


def test_descent_with_small_steps_is_the_flow():
    s = model()
    _, t = kernels(s)
    eta = 1e-6
    one = linear_smoother(t, training=GradientDescent(100_000, eta)).matrix
    other = linear_smoother(t, training=GradientFlow(0.1)).matrix
    assert np.linalg.norm(one - other) <= eta / math.e * np.linalg.norm(t.cross) + 1e-12


def test_steps_at_the_limit_are_refused_with_the_limit():
    _, t = kernels(model())
    limit = largest_step_size_sum_loss(t.train)
    with pytest.raises(UnstableStep, match="NC") as caught:
        linear_smoother(t, training=GradientDescent(5, 1.001 * limit))
    assert caught.value.limit == pytest.approx(limit, rel=1e-12)
    linear_smoother(t, training=HeavyBall(5, 1.001 * limit, 0.5))  # momentum allows more
    with pytest.raises(UnstableStep):
        linear_smoother(t, training=HeavyBall(5, 1.501 * limit, 0.5))
    with pytest.raises(UnstableStep):
        steps_to_tolerance(t.train, step_size_sum_loss=limit * 1.01, relative_residual=0.1)
    with pytest.raises(UnstableStep):  # the ridge takes part in the stiffest mode
        linear_smoother(t, training=GradientDescent(5, 0.999 * limit), ridge_sum_loss=1.0)


def test_repeated_inputs_lower_the_limit():
    _, t = kernels(model())
    counts = np.arange(1, len(t.train) + 1)
    rows = np.repeat(np.arange(len(t.train)), counts)
    repeated = np.linalg.eigvalsh(t.train[np.ix_(rows, rows)])[-1]
    assert largest_step_size_sum_loss(t.train, multiplicity=counts) == pytest.approx(2 / repeated, rel=1e-12)
    assert largest_step_size_sum_loss(t.train, multiplicity=counts) < largest_step_size_sum_loss(t.train)


def test_best_step_is_the_fastest():
    _, t = kernels(model(3))
    best = best_step_size_sum_loss(t.train)
    fastest = steps_to_tolerance(t.train, step_size_sum_loss=best, relative_residual=1e-6)
    limit = largest_step_size_sum_loss(t.train)
    for step in (0.5 * best, best + 0.5 * (limit - best)):
        assert steps_to_tolerance(t.train, step_size_sum_loss=step, relative_residual=1e-6) > fastest


def test_variances_vanish_on_the_training_inputs():
    s = model(1)
    k, t = kernels(s)
    on_train = [gram_blocks(name, m.train, m.train, m.train) for name, m in (("K", k), ("T", t))]
    found = ensemble_law(*on_train, s.labels)
    allowed = 1e3 * len(s.labels) * EPS * np.linalg.cond(t.train) * np.abs(k.train).max()
    assert np.abs(found.covariance).max() <= allowed
    np.testing.assert_allclose(found.mean, s.labels, atol=allowed)


def test_outputs_share_one_covariance():
    s = model(2)
    labels = np.stack([s.labels, 2 * s.labels, -s.labels], axis=1)
    found = ensemble_law(*kernels(s), labels, training=GradientFlow(0.3))
    joint = found.joint_covariance()
    for i in range(3):
        np.testing.assert_allclose(
            found.mean[:, i], ensemble_law(*kernels(s), labels[:, i], training=GradientFlow(0.3)).mean
        )
        for j in range(3):
            assert np.array_equal(joint[:, i, :, j], found.covariance * (i == j))


# --- duplicates ---------------------------------------------------------------------------------------------------


def test_repeating_a_consistent_point_changes_nothing_at_convergence():
    s = model(4)
    x = s.jacobian[s.tests :]
    rows = [*range(len(x)), 0, 0, 1]
    found = collapse_duplicates(x[rows], s.labels[rows])
    assert found.irreducible_loss == 0
    np.testing.assert_array_equal(found.inputs, x)
    np.testing.assert_array_equal(found.labels, s.labels)
    np.testing.assert_array_equal(found.inputs[found.index], x[rows])
    k, t = kernels(s)
    once, often = (ensemble_law(k, t, s.labels, multiplicity=m) for m in (None, found.multiplicity))
    np.testing.assert_array_equal(once.covariance, often.covariance)
    early, often_early = (ensemble_law(k, t, s.labels, training=GradientFlow(0.02), multiplicity=m) for m in (None, found.multiplicity))  # fmt: skip
    assert np.abs(early.covariance - often_early.covariance).max() > 1e-3  # at finite time copies count
    with pytest.raises(SingularGram, match="collapse_duplicates"):  # never hidden by jitter
        linear_smoother(gram_blocks("T", t.test, t.cross[:, rows], t.train[np.ix_(rows, rows)]))


@pytest.mark.parametrize("training", [GradientFlow(), GradientFlow(0.1), GradientDescent(30, 0.01)])
def test_a_penalty_and_repeated_points_together(training):
    """Unique points with multiplicities against all rows, both with the penalty lam/2 |theta - theta0|^2."""
    s = model(4)
    _, t = kernels(s)
    counts = np.arange(1, len(t.train) + 1)
    rows = np.repeat(np.arange(len(t.train)), counts)
    every = gram_blocks("T", t.test, t.cross[:, rows], t.train[np.ix_(rows, rows)])
    unique = linear_smoother(t, training=training, ridge_sum_loss=0.7, multiplicity=counts)
    copies = linear_smoother(every, training=training, ridge_sum_loss=0.7)
    summed = np.stack([copies.matrix[:, rows == i].sum(axis=1) for i in range(len(counts))], axis=1)
    np.testing.assert_allclose(unique.matrix, summed, atol=1e-10)


def test_conflicting_labels_warn_and_leave_half_their_scatter():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -0.0]])
    with pytest.warns(ConflictingLabels, match="cannot be removed"):
        found = collapse_duplicates(x, [1.0, 5.0, 2.0])
    assert found.labels.tolist() == [1.5, 5.0]
    assert found.multiplicity.tolist() == [2, 1]
    assert found.irreducible_loss == 0.25
    assert found.noise(0.5).tolist() == [0.25, 0.5]
    with pytest.warns(ConflictingLabels):
        two = collapse_duplicates(x, [[1.0, 0.0], [5.0, 5.0], [2.0, 0.0]])
    assert two.labels.tolist() == [[1.5, 0.0], [5.0, 5.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert collapse_duplicates(x[[0, 0, 0]], [0.1, 0.1, 0.1]).labels.tolist() == [0.1]


# --- weight decay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_bias_free_relu_networks_are_homogeneous_in_their_parameters(layers):
    """J theta0 = L f0, so weight decay leaves g0 = (1 - L) f0 of the initial function: at every width, exactly."""
    s = FiniteSetting(EXAMPLE.train, EXAMPLE.test, EXAMPLE.labels, "relu", (1.4,) * layers, (0.0,) * layers, width=7)
    network, parameters, points = _network(s, s.seed)
    j, _ = network_jacobian(s, s.seed)
    pairs = zip(parameters.weights, parameters.biases, strict=True)
    theta = torch.cat([t.flatten(1) for pair in pairs for t in pair], dim=1)[0].numpy()
    outputs = forward(network, parameters, points).output[0, :, 0].numpy()
    rounding = 20 * j.shape[1] * EPS * np.linalg.norm(j) * np.linalg.norm(theta)
    assert np.abs(j @ theta - layers * outputs).max() <= rounding
    # the converged linearised network, by least squares in the parameters
    lam, n = 0.3, len(s.test)
    stacked = np.concatenate([j[n:], math.sqrt(lam) * np.eye(j.shape[1])])
    goal = np.concatenate([s.labels - outputs[n:] + j[n:] @ theta, np.zeros(j.shape[1])])
    moved = np.linalg.lstsq(stacked, goal, rcond=None)[0]
    kernel = j @ j.T
    t = gram_blocks("T0", kernel[:n, :n], kernel[:n, n:], kernel[n:, n:])
    g0 = (1 - layers) * outputs
    predicted = g0[:n] + linear_smoother(t, ridge_sum_loss=lam).matrix @ (s.labels - g0[n:])
    np.testing.assert_allclose(outputs[:n] + j[:n] @ (moved - theta), predicted, atol=1e-9)


def test_users_are_warned_that_weight_decay_moves_the_prior():
    s = model(5)
    k, t = kernels(s)
    with pytest.warns(PriorMoved, match="multiplied by 4"):
        offset = relu_offset(k, weight_layers=3)
    found = weight_decay_law(offset, t, s.labels, ridge_sum_loss=0.5)
    kept = ensemble_law(k, t, s.labels, ridge_sum_loss=0.5)
    np.testing.assert_allclose(found.covariance, 4 * kept.covariance, rtol=1e-10)
    np.testing.assert_allclose(found.mean, kept.mean)
    with pytest.raises(InvalidInput):
        weight_decay_law(offset, t, s.labels, ridge_sum_loss=0.0)


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: GradientFlow(-1.0),
        lambda: GradientFlow(math.nan),
        lambda: GradientFlow("late"),  # type: ignore[arg-type]
        lambda: GradientDescent(-1, 0.1),
        lambda: GradientDescent(2.5, 0.1),  # type: ignore[arg-type]
        lambda: GradientDescent(True, 0.1),
        lambda: GradientDescent(3, 0.0),
        lambda: GradientDescent(3, math.inf),
        lambda: HeavyBall(3, 0.1, 1.0),
        lambda: HeavyBall(3, 0.1, -0.1),
        lambda: largest_step_size_sum_loss(np.zeros((2, 2))),
        lambda: largest_step_size_sum_loss(np.ones((2, 3))),
        lambda: largest_step_size_sum_loss(np.eye(2, dtype=np.float32)),
        lambda: largest_step_size_sum_loss(np.eye(2), momentum=1.0),
        lambda: largest_step_size_sum_loss(np.eye(2), multiplicity=[0, 1]),
        lambda: steps_to_tolerance(np.eye(2), step_size_sum_loss=0.1, relative_residual=1.0),
        lambda: steps_to_tolerance(np.ones((2, 2)), step_size_sum_loss=0.1, relative_residual=0.1),
        lambda: collapse_duplicates(np.zeros((0, 2)), []),
        lambda: collapse_duplicates(np.eye(2), [1.0]),
        lambda: collapse_duplicates(np.eye(2) * math.nan, [1.0, 2.0]),
        lambda: linear_smoother(kernels(model())[1], ridge_sum_loss=-1.0),
        lambda: linear_smoother(kernels(model())[1], multiplicity=[1.0]),
        lambda: LinearModel(np.eye(3), np.eye(2), np.ones(1)),
        lambda: LinearModel(np.eye(3), np.eye(3), np.ones(3)),
        lambda: LinearModel(np.eye(3), np.eye(3), np.ones(1), noise=-1.0),
    ],
)
def test_bad_input_is_refused(make):
    with pytest.raises(InvalidInput):
        make()


def test_a_kernel_that_is_no_covariance_is_refused():
    _, t = kernels(model())
    broken = gram_blocks("T", t.test, t.cross, -t.train)
    with pytest.raises(NumericalFailure):
        linear_smoother(broken, training=GradientFlow(1.0))
    with pytest.raises(NumericalFailure):
        largest_step_size_sum_loss(-t.train)
