"""The descent loops against automatic differentiation of the loss itself."""

import numpy as np
import pytest
import torch

from nonvacuous.numerics.training.linear_gd import descend_gaussian_law, descend_weights
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

STEPS = 25


def data(rank=2):
    rng = np.random.default_rng(7)
    return rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=5), rng.normal(size=(5, rank))


def autograd_descent(loss, parameters, step):
    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in parameters]
    for _ in range(STEPS):
        gradients = torch.autograd.grad(loss(*parameters), parameters)
        with torch.no_grad():
            for value, gradient in zip(parameters, gradients, strict=True):
                value -= step * gradient
    return [value.detach().numpy() for value in parameters]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("half", [True, False])
def test_weights_follow_the_automatic_gradient(reduction, half):
    x, y, w, _ = data()
    big, goal = torch.tensor(x), torch.tensor(y)

    def loss(weights):
        square = getattr((goal - big @ weights) ** 2, reduction)()
        return square / 2 if half else square

    (expected,) = autograd_descent(loss, [w], 0.02)
    run = descend_weights(x, y, w, step=0.02, record=[STEPS], reduction=reduction, half=half)[0]
    np.testing.assert_allclose(run, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_mean_and_factor_follow_the_automatic_gradient_of_the_averaged_loss(rank):
    x, y, mean, factor = data(rank)
    big, goal = torch.tensor(x), torch.tensor(y)
    # z = +- sqrt(rank) e_j has mean 0 and covariance I: averaging a quadratic over it gives its Gaussian expectation.
    points = np.sqrt(rank) * np.hstack([np.eye(rank), -np.eye(rank)])

    def loss(m, s):
        weights = m[:, None] + s @ torch.tensor(points)
        return ((goal[:, None] - big @ weights) ** 2).sum(0).mean() / 2

    expected = autograd_descent(loss, [mean, factor], 0.02)
    run = descend_gaussian_law(x, y, mean, factor, step=0.02, record=[STEPS])
    for measured, value in zip(run, expected, strict=True):
        np.testing.assert_allclose(measured[0], value, rtol=0, atol=1e-13)


def test_records_are_the_iterates_of_one_run():
    x, y, w, s = data()
    full = descend_weights(x, y, w, step=0.02, record=range(6))
    assert np.array_equal(full[0], w)
    assert np.array_equal(descend_weights(x, y, w, step=0.02, record=[2, 5]), full[[2, 5]])
    means, factors = descend_gaussian_law(x, y, w, s, step=0.02, record=[0, 4])
    assert means.shape == (2, 5)
    assert factors.shape == (2, 5, 2)
    assert np.array_equal(factors[0], s)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": np.ones(4)},
        {"initial": np.ones(4)},
        {"initial": np.full(5, np.nan)},
        {"step": -0.1},
        {"step": np.inf},
        {"record": []},
        {"record": [3, 3]},
        {"record": [0.5]},
        {"reduction": "max"},
    ],
)
def test_bad_input_is_refused(change):
    x, y, w, _ = data()
    arguments = {"design": x, "targets": y, "initial": w, "step": 0.02, "record": [1]} | change
    with pytest.raises(InvalidInput):
        descend_weights(**arguments)


def test_factor_must_match_the_mean_and_divergence_is_reported():
    x, y, w, _ = data()
    with pytest.raises(InvalidInput):
        descend_gaussian_law(x, y, w, np.ones((4, 2)), step=0.02, record=[1])
    with pytest.raises(NumericalFailure, match="diverged"):
        descend_weights(x, y, w, step=10.0, record=[2000])
