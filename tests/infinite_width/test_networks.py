"""Finite networks: gradients, tangent kernels and exact moments at initialisation."""

import math

import numpy as np
import pytest
import torch

from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise, pullback
from nonvacuous.numerics.networks.tangent_kernel import empirical_ntk
from nonvacuous.theory.errors import InvalidInput

EPS = torch.finfo(torch.float64).eps


def make(activation="erf", depth=1, width=7, outputs=1, parametrisation="ntk", inputs=3, sw=1.5, sb=0.3):
    return fully_connected(
        inputs=inputs,
        width=width,
        depth=depth,
        outputs=outputs,
        activation=activation,
        parametrisation=parametrisation,
        weight_scale=sw,
        bias_scale=sb,
    )


def points(count=5, seed=1):
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


cases = pytest.mark.parametrize(
    ("activation", "depth", "outputs", "parametrisation"),
    [("erf", 1, 1, "ntk"), ("relu", 2, 3, "ntk"), ("erf", 3, 2, "standard")],
)


@cases
def test_pullback_is_the_gradient_of_autograd(activation, depth, outputs, parametrisation):
    network = make(activation, depth, outputs=outputs, parametrisation=parametrisation)
    parameters, x = initialise(network, 4, seed=0), points()
    cotangent = torch.randn(4, 5, outputs, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ours = pullback(network, parameters, forward(network, parameters, x), cotangent)
    leaves = [tensor.clone().requires_grad_() for tensor in parameters.tensors]
    split = len(parameters.weights)
    output = forward(network, Parameters(tuple(leaves[:split]), tuple(leaves[split:])), x).output
    for mine, theirs in zip(ours.tensors, torch.autograd.grad((output * cotangent).sum(), leaves), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=200 * EPS * float(theirs.abs().max()))


@cases
def test_tangent_kernel_is_the_jacobian_times_its_transpose(activation, depth, outputs, parametrisation):
    network = make(activation, depth, outputs=outputs, parametrisation=parametrisation)
    parameters, x = initialise(network, 2, seed=0), points()
    rows = [
        torch.cat(
            [
                tensor.reshape(2, -1)
                for tensor in pullback(
                    network, parameters, forward(network, parameters, x), unit.expand(2, -1, -1)
                ).tensors
            ],
            dim=1,
        )
        for unit in torch.eye(5 * outputs, dtype=torch.float64).reshape(-1, 5, outputs)
    ]
    jacobian = torch.stack(rows, dim=1)
    expected = (jacobian @ jacobian.mT).reshape(2, 5, outputs, 5, outputs)
    torch.testing.assert_close(
        empirical_ntk(network, parameters, x), expected, rtol=0, atol=1e3 * EPS * float(expected.max())
    )


def standard_error(samples):
    return samples.std(dim=0) / math.sqrt(len(samples))


@pytest.mark.parametrize("activation", ["erf", "relu"])
@pytest.mark.parametrize("width", [1, 16])
def test_one_hidden_layer_is_unbiased_at_every_width(activation, width):
    network, x = make(activation, width=width), points()
    parameters = initialise(network, 40_000, seed=5)
    kernels = fully_connected_kernels(x.numpy(), depth=1, activation=activation, weight_scale=1.5, bias_scale=0.3)
    output = forward(network, parameters, x).output[:, :, 0]
    moments = output[:, :, None] * output[:, None, :]
    tangent = empirical_ntk(network, parameters, x).reshape(-1, 5, 5)
    for samples, exact in ((moments, kernels.nngp), (tangent, kernels.ntk)):
        error, allowed = (samples.mean(dim=0) - torch.from_numpy(exact)).abs(), multiplier(15) * standard_error(samples)
        assert bool((error <= allowed).all()), float((error / allowed).max())
    # the readout's share is an unbiased NNGP kernel, and the derivative factor belongs to the layer below (erratum 4)
    share = empirical_ntk(network, parameters, x, trained="readout").reshape(-1, 5, 5)
    error = (share.mean(dim=0) - torch.from_numpy(kernels.nngp)).abs()
    assert bool((error <= multiplier(15) * standard_error(share)).all())


def test_exact_moments_of_bias_free_relu():
    n, depth, x = 8, 2, points(1)
    network = make("relu", depth=1, width=n, sb=0.0)
    tangent = empirical_ntk(network, initialise(network, 200_000, seed=1), x).flatten()
    exact = fully_connected_kernels(x.numpy(), depth=1, activation="relu", weight_scale=1.5, bias_scale=0.0).ntk[0, 0]
    squares = (tangent / exact - 1) ** 2
    assert abs(float(squares.mean()) - 3 / n) <= multiplier() * float(standard_error(squares))  # Var T0 = 3 T^2/n
    network = make("relu", depth=depth, width=n, sb=0.0)
    parameters = initialise(network, 200_000, seed=2)
    share = empirical_ntk(network, parameters, x, trained="readout").flatten()
    exact = fully_connected_kernels(x.numpy(), depth=depth, activation="relu", weight_scale=1.5, bias_scale=0.0).nngp[
        0, 0
    ]
    squares = (share / exact) ** 2
    assert abs(float(squares.mean()) - (1 + 5 / n) ** depth) <= multiplier() * float(standard_error(squares))


def test_both_parametrisations_are_one_function_with_two_kernels():
    ntk, standard = make(), make(parametrisation="standard")
    first, second = initialise(ntk, 3, seed=4), initialise(standard, 3, seed=4)
    torch.testing.assert_close(forward(ntk, first, points()).output, forward(standard, second, points()).output)
    ratio = empirical_ntk(standard, second, points()) / empirical_ntk(ntk, first, points())
    assert float((ratio - 1).abs().min()) > 0.1


def test_seeds_name_populations():
    network = make()
    first, again, other = (initialise(network, 3, seed=s).weights[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"depth": 0},
        {"outputs": 0},
        {"activation": "gelu"},
        {"parametrisation": "mup"},
        {"sw": [1.0]},
        {"sb": -1.0},
    ],
)
def test_bad_architectures_are_refused(changes):
    with pytest.raises(InvalidInput):
        make(**changes)


def test_bad_inputs_are_refused():
    network = make()
    parameters = initialise(network, 2, seed=0)
    for x in (points()[:, :2], points().float(), points()[0]):
        with pytest.raises(InvalidInput):
            forward(network, parameters, x)
    with pytest.raises(InvalidInput):
        initialise(network, 0, seed=0)
    with pytest.raises(InvalidInput):
        empirical_ntk(network, parameters, points(), trained="first")
    assert np.isfinite(forward(network, parameters, points()).output.numpy()).all()
