"""Exact moments at finite width (section 8, item 10), against torch networks, and the depth-to-width ratio."""

import math

import numpy as np
import pytest
import torch

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.numerics.networks.width_moments import depth_to_width, kernel_moment_ratio, tangent_kernel_variance
from nonvacuous.theory.errors import InvalidInput

X = torch.tensor([[0.9, -0.3, 0.4]], dtype=torch.float64)


def kernels(depth, width, members, *, trained="all", bias=0.0, activation="relu", seed=0):
    network = fully_connected(
        inputs=3,
        width=width,
        depth=depth,
        activation=activation,
        parametrisation="ntk",
        weight_scale=1.4,
        bias_scale=bias,
    )
    parameters = initialise(network, members, seed=seed)
    found = empirical_ntk(network, parameters, X, trained=trained)[:, 0, 0, 0, 0].numpy()
    limit = fully_connected_kernels(X.numpy(), depth=depth, activation=activation, weight_scale=1.4, bias_scale=bias)
    return found, float((limit.ntk if trained == "all" else limit.nngp)[0, 0])


def within(terms, value):
    allowed = multiplier(1, degrees=len(terms) - 1) * terms.std(ddof=1) / math.sqrt(len(terms))
    return abs(terms.mean() - value) <= allowed


@pytest.mark.parametrize(("depth", "width"), [(1, 1), (2, 3), (4, 8)])
@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_relu_diagonal_is_unbiased(depth, width, bias):
    found, limit = kernels(depth, width, 40_000, bias=bias)
    assert within(found / limit, 1.0)


def test_one_hidden_layer_of_erf_is_unbiased():
    found, limit = kernels(1, 2, 40_000, bias=0.5, activation="erf")
    assert within(found / limit, 1.0)


@pytest.mark.parametrize("width", [1, 2, 16])
def test_variance_of_the_tangent_kernel(width):
    found, limit = kernels(1, width, 100_000)
    exact = tangent_kernel_variance(tangent_kernel=limit, width=width)
    terms = (found - limit) ** 2
    assert within(terms, exact)
    assert not within(terms, exact * 2 / 3)


@pytest.mark.parametrize(("depth", "width"), [(1, 2), (2, 8), (3, 30)])
def test_second_moment_of_the_output_covariance(depth, width):
    found, limit = kernels(depth, width, 60_000, trained="readout")
    assert within((found / limit) ** 2, kernel_moment_ratio(widths=[width] * depth))


def test_two_heads_share_their_covariance():
    """Cov(u_i^2, u_j^2) = ((1 + 5/n)^H - 1) K^2."""
    network = fully_connected(
        inputs=3,
        width=10,
        depth=2,
        outputs=2,
        activation="relu",
        parametrisation="ntk",
        weight_scale=1.4,
        bias_scale=0.0,
    )
    u = forward(network, initialise(network, 200_000, seed=3), X).output[:, 0].numpy()
    limit = fully_connected_kernels(X.numpy(), depth=2, activation="relu", weight_scale=1.4, bias_scale=0.0).nngp[0, 0]
    products = (u[:, 0] ** 2 / limit - 1) * (u[:, 1] ** 2 / limit - 1)
    assert within(products, kernel_moment_ratio(widths=[10, 10]) - 1)
    assert not within(products, 0.0)


def test_depth_to_width():
    found = depth_to_width(widths=512, depth=3)
    assert found.ratio == pytest.approx(15 / 512)
    assert found.beta == pytest.approx(3 / 512)
    assert found.kernel_moment == pytest.approx((1 + 5 / 512) ** 3)
    assert found.kernel_moment <= math.exp(found.ratio)
    assert "0.0293" in str(found)
    assert depth_to_width(widths=[10, 20]).ratio == pytest.approx(0.75)
    assert depth_to_width(widths=[512] * 3) == found


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (tangent_kernel_variance, {"tangent_kernel": -1.0, "width": 3}),
        (tangent_kernel_variance, {"tangent_kernel": math.nan, "width": 3}),
        (tangent_kernel_variance, {"tangent_kernel": 1.0, "width": 0}),
        (kernel_moment_ratio, {"widths": []}),
        (kernel_moment_ratio, {"widths": [3, 0.5]}),
        (depth_to_width, {"widths": [3, 4], "depth": 2}),
        (depth_to_width, {"widths": 3, "depth": 0}),
    ],
)
def test_bad_input(function, arguments):
    with pytest.raises(InvalidInput):
        function(**arguments)


def test_off_the_diagonal_two_layers_are_biased():
    """n (E T_0 - T)/T(x,x) is not 0: the exact facts above do not extend to pairs of inputs."""
    points = torch.tensor([[0.9, -0.3, 0.4], [-0.6, 1.1, 0.2]], dtype=torch.float64)
    network = fully_connected(
        inputs=3, width=4, depth=2, activation="relu", parametrisation="ntk", weight_scale=1.4, bias_scale=0.0
    )
    found = empirical_ntk(network, initialise(network, 200_000, seed=5), points)[:, 0, 0, 1, 0].numpy()
    limit = fully_connected_kernels(points.numpy(), depth=2, activation="relu", weight_scale=1.4, bias_scale=0.0).ntk[
        0, 1
    ]
    assert not within(found, limit)
    assert np.isfinite(found).all()
