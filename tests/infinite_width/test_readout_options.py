"""What is trained and what is not, layer by layer scales, and the kink of the tangent kernel."""

import numpy as np
import pytest

from nonvacuous.numerics.kernels.fully_connected import (
    fully_connected_distances,
    fully_connected_kernels,
    nngp_kernel,
)
from nonvacuous.proofs.infinite_width.kernels import ntk_kink
from nonvacuous.theory.activations import LeakyRelu, Rbf
from nonvacuous.theory.errors import InvalidInput

EPS = float(np.finfo(np.float64).eps)
X = np.random.default_rng(0).normal(size=(5, 3))
SCALES = {"weight_scale": (1.4, 0.9, 1.2), "bias_scale": (0.3, 0.1, 0.7)}


@pytest.mark.parametrize("activation", ["relu", "erf", "gelu", "sin", LeakyRelu(0.1), Rbf(0.4)])
def test_shares_of_the_tangent_kernel_add_up(activation):
    def ntk(trained):
        return fully_connected_kernels(X, depth=2, activation=activation, trained=trained, **SCALES).ntk

    nngp = nngp_kernel(X, depth=2, activation=activation, **SCALES)
    scale = 20 * EPS * np.abs(ntk("all")).max()
    assert (ntk("readout") == nngp).all()
    assert np.abs(ntk("hidden") + nngp - ntk("all")).max() <= scale
    assert np.abs(ntk("all but the readout bias") + 0.7**2 - ntk("all")).max() <= scale
    assert np.linalg.eigvalsh(ntk("hidden"))[0] > 0
    # with a frozen bias the tangent kernel less K is S - sb^2, no longer positive
    assert np.linalg.eigvalsh(ntk("all but the readout bias") - nngp)[0] < np.linalg.eigvalsh(ntk("hidden"))[0]


def test_the_order_of_the_scales_matters_and_one_number_means_all_layers():
    def ntk(weights, biases):
        return fully_connected_kernels(X, depth=2, activation="erf", weight_scale=weights, bias_scale=biases).ntk

    assert np.abs(ntk((1.4, 0.9, 1.2), 0.1) - ntk((1.2, 0.9, 1.4), 0.1)).max() > 0.01
    assert (ntk(1.3, 0.1) == ntk((1.3, 1.3, 1.3), (0.1, 0.1, 0.1))).all()


@pytest.mark.parametrize("trained", ["everything", "All", None, 1])
def test_unknown_trained_parameters_are_refused(trained):
    with pytest.raises(InvalidInput, match="trained"):
        fully_connected_kernels(X, depth=1, activation="relu", weight_scale=1.0, bias_scale=0.1, trained=trained)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_kink_slopes_are_1_and_2_at_every_depth(depth, bias):
    """The band of 0.02 is the one the theory declares for steps below a thousandth of |x|."""
    x, direction = np.array([[0.4, -1.1, 0.6]]), np.array([0.3, 0.5, -0.2])
    steps = 10.0 ** -np.arange(3.0, 9.0)
    found = fully_connected_distances(
        x, x + steps[:, None] * direction, depth=depth, activation="relu", weight_scale=1.4, bias_scale=bias
    )
    for distance, slope in ((found.ntk[0], 1), (found.nngp[0], 2)):
        local = np.diff(np.log(distance)) / np.diff(np.log(steps))
        assert np.abs(local - slope).max() < 0.02


def test_smooth_activations_have_no_kink():
    x, direction = np.array([[0.4, -1.1, 0.6]]), np.array([0.3, 0.5, -0.2])
    steps = 10.0 ** -np.arange(3.0, 9.0)
    for activation in ("erf", "gelu", "sin", Rbf(0.5)):
        found = fully_connected_distances(
            x, x + steps[:, None] * direction, depth=3, activation=activation, weight_scale=1.4, bias_scale=0.3
        )
        assert np.abs(np.diff(np.log(found.ntk[0])) / np.diff(np.log(steps)) - 2).max() < 0.02


def test_distances_are_those_of_the_kernels_where_inputs_are_far_apart():
    kernels = fully_connected_kernels(X, depth=2, activation="gelu", **SCALES)
    found = fully_connected_distances(X, depth=2, activation="gelu", **SCALES)
    for distance, kernel in ((found.nngp, kernels.nngp), (found.ntk, kernels.ntk)):
        diagonal = np.diag(kernel)
        np.testing.assert_allclose(
            distance, diagonal[:, None] + diagonal - 2 * kernel, atol=50 * EPS * np.abs(kernel).max()
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": np.array([])},
        {"steps": np.array([0.0])},
        {"direction": np.ones(2)},
        {"x": np.ones((1, 3))},
        {"weight_scale": (1.0,)},
        {"bias_scale": (0.1, -0.1)},
    ],
)
def test_bad_kink_settings_are_refused(changes):
    good = {name: getattr(ntk_kink.FINE, name) for name in ("x", "direction", "steps", "weight_scale", "bias_scale")}
    ntk_kink.KinkSetting(**good)
    with pytest.raises(InvalidInput):
        ntk_kink.KinkSetting(**(good | changes))
