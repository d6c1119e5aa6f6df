"""The function-space covariance on the worked network, in closed form where there is one, and bad settings."""

from dataclasses import replace

import numpy as np
import pytest

from nonvacuous.proofs.function_space.laplace import RESULT, LaplaceSetting, covariance, diagonal_factor, predict
from nonvacuous.theory.errors import InvalidInput

EPS = np.finfo(float).eps


def worked_jacobian(x):
    """Outputs and Jacobians of the (1, 4, 1) tanh network of the worked numbers, differentiated by hand."""
    i = np.arange(1, 5)
    w, b, v, c = np.cos(2 * i + 2), np.sin(i + 1) / 5, np.cos(4 + i) / 2, np.sin(3) / 5
    h = np.tanh(np.outer(x, w) + b)
    slope = v * (1 - h**2)
    jacobian = np.concatenate([slope * x[:, None], slope, h, np.ones((len(x), 1))], axis=1)
    return h @ v + c, jacobian[:, None, :]


def test_worked_variances():
    outputs, jacobian = worked_jacobian(-1.5 + 0.4 * np.arange(1, 7))
    assert outputs[0] == pytest.approx(-0.283377601890017, abs=1e-15)
    _, test = worked_jacobian(np.array([-2.5, 0.2, 2.0]))
    setting = LaplaceSetting(jacobian, outputs[:, None], test, prior_precision=0.5, noise_variance=0.09)
    joint = predict(setting).covariance
    expected = [0.588769474209513, 0.0313580419368273, 0.457649235047414]
    np.testing.assert_allclose(np.einsum("ncnc->n", joint), expected, rtol=1e-12)
    np.testing.assert_allclose(joint, joint.transpose(2, 3, 0, 1), rtol=0, atol=100 * EPS)


def test_one_parameter_by_hand():
    # posterior precision d + sum j_n^2 / s2, variance j*^2 over it
    setting = LaplaceSetting(np.array([[[2.0]], [[1.0]]]), np.zeros((2, 1)), np.array([[[3.0]]]), 0.5, 0.25)
    # the difference of 9/d = 18 and what the data take away: 10 half-ulps of 18
    assert predict(setting).covariance.item() == pytest.approx(9 / (0.5 + 5 / 0.25), rel=0, abs=18 * 10 * EPS)


def test_two_classes_share_one_logit():
    jacobian = np.array([[[1.0], [0.0]]])
    setting = LaplaceSetting(jacobian, np.array([[0.3, -0.4]]), jacobian, 2.0, None)
    p = 1 / (1 + np.exp(-0.7))
    assert predict(setting).covariance[0, 0, 0, 0] == pytest.approx(1 / (2 + p * (1 - p)), rel=10 * EPS, abs=0)
    wrong = covariance(replace(setting, jacobian=np.ones((1, 2, 1))), factor=diagonal_factor).covariance
    assert wrong[0, 0, 0, 0] < 0.5  # a common shift of the logits teaches nothing, but its diagonal says otherwise


@pytest.mark.parametrize(
    "changes",
    [
        {"prior_precision": 0.0},
        {"prior_precision": np.nan},
        {"noise_variance": -1.0},
        {"noise_variance": np.inf},
        {"jacobian": np.zeros((2, 2))},
        {"jacobian": np.full((2, 1, 2), np.nan)},
        {"jacobian": np.zeros((0, 1, 2)), "outputs": np.zeros((0, 1))},
        {"outputs": np.zeros((2, 2))},
        {"test_jacobian": np.ones((1, 1, 3))},
    ],
)
def test_bad_settings_are_refused(changes):
    with pytest.raises(InvalidInput):
        replace(RESULT.example, **changes)
