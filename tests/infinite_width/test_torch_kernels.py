"""Kernels on a device: torch against 50 digits and against the NumPy route, which shares the formulas but none of the functions."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from flint import ctx

from nonvacuous.numerics.kernels import (
    TorchKernels,
    fully_connected_distances,
    fully_connected_kernels,
    network_kernels,
    nngp_kernel,
    ntk_kernel,
)
from nonvacuous.theory.activations import LeakyRelu, Quadrature, QuadratureOf, Rbf, Scaled, Sine
from nonvacuous.theory.architectures import Activate, Dense, Dropout, LayerNorm, Residual
from nonvacuous.theory.balls.dual_activations import fully_connected_pair
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, MissingExtra

torch = pytest.importorskip("torch")

EPS = float(np.finfo(np.float64).eps)
CARD = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card"))
EVERY = ["identity", "relu", "abs", LeakyRelu(0.3), "erf", "gelu", "sin", "cos", Sine(0.9, 2.1, 1.2), Rbf(0.6),
         Scaled("relu", 1.2, 0.8, -0.3), Scaled("gelu", 1.5, 0.8, -0.2), Scaled("erf", 1.5, 0.7, 0.4)]  # fmt: skip
NETWORK = {"depth": 2, "activation": "erf", "weight_scale": 1.4, "bias_scale": 0.1}


def neighbours(seed: int, d: int = 3) -> np.ndarray:
    """A row and others near it, equal to it, far from it, nearly opposite to it, and zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, d))
    near = [x + 10.0**-k * rng.normal(size=(1, d)) for k in (0, 1, 3, 6, 9)]
    return np.concatenate([x, *near, x, -x + 0.1 * rng.normal(size=(1, d)), 0 * x])


@pytest.mark.parametrize("device", ["cpu", CARD])
@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_kernels_and_distances_against_fifty_digits(activation, device):
    """The accuracy that the NumPy route promises: about ten roundings a layer, relative to the norms, and of distances relative to themselves."""
    for depth, bias in ((1, 0.0), (1, 0.3), (5, 0.2)):
        rows = neighbours(depth)
        scales = {"activation": activation, "weight_scale": [1.3] * depth + [0.7], "bias_scale": [bias] * (depth + 1)}
        kernels = fully_connected_kernels(rows[:1], rows, depth=depth, **scales, device=device)
        distances = fully_connected_distances(rows[:1], rows, depth=depth, **scales, device=device)
        assert kernels.error is None
        for found in (kernels.nngp, kernels.ntk, distances.nngp, distances.ntk):
            assert found.dtype == torch.float64
            assert found.device.type == device
        for j in range(len(rows)):
            exact = fully_connected_pair(rows[0].tolist(), rows[j].tolist(), digits=60, **scales)
            with ctx.workdps(60):
                pairs = [
                    (kernels.nngp, exact.nngp, (exact.nngp_xx * exact.nngp_yy).sqrt()),
                    (kernels.ntk, exact.ntk, (exact.ntk_xx * exact.ntk_yy).sqrt()),
                    (distances.nngp, exact.nngp_distance, abs(exact.nngp_distance)),
                    (distances.ntk, exact.ntk_distance, abs(exact.ntk_distance)),
                ]
                for found, value, scale in pairs:
                    size = float(scale.mid())
                    error = abs(float((value - float(found[0, j])).mid())) / (size if size > 1e-40 else 1.0)
                    assert error <= 15 * (depth + 1) * EPS, (depth, bias, j)


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_both_routes_agree_on_many_pairs(activation):
    """Within what each may be off, at 40 inputs with their neighbours; K and T are symmetric to the bit."""
    x = np.concatenate([neighbours(seed, d=6) for seed in range(5)])
    architecture = {"depth": 3, "activation": activation, "weight_scale": (1.4, 1.3, 1.5, 1.1), "bias_scale": 0.2}
    exact = fully_connected_kernels(x, **architecture)
    found = fully_connected_kernels(torch.tensor(x), **architecture)
    apart = fully_connected_kernels(x[:7], torch.tensor(x[3:]), **architecture)
    assert type(found) is type(apart) is TorchKernels
    for one, part, other in ((found.nngp, apart.nngp, exact.nngp), (found.ntk, apart.ntk, exact.ntk)):
        allowed = 2 * 15 * 4 * EPS * np.sqrt(np.outer(np.diag(other), np.diag(other)))
        assert (np.abs(one.numpy() - other) <= allowed).all()
        assert (np.abs(part.numpy() - other[:7, 3:]) <= allowed[:7, 3:]).all()
        assert torch.equal(one, one.T)
    assert torch.equal(nngp_kernel(x, **architecture, device="cpu"), found.nngp)
    assert torch.equal(ntk_kernel(x, **architecture, device="cpu"), found.ntk)


@pytest.mark.parametrize("trained", ["all", "all but the readout bias", "readout", "hidden"])
def test_what_is_trained(trained):
    x = neighbours(0)
    exact = fully_connected_kernels(x, **NETWORK, trained=trained).ntk
    found = fully_connected_kernels(x, **NETWORK, trained=trained, device="cpu").ntk
    np.testing.assert_allclose(found.numpy(), exact, rtol=0, atol=100 * EPS * np.abs(exact).max())


def test_sign_has_a_kernel_and_no_tangent_kernel():
    x = neighbours(0)
    sign = NETWORK | {"activation": "sign"}
    np.testing.assert_allclose(nngp_kernel(x, **sign, device="cpu").numpy(), nngp_kernel(x, **sign), atol=100 * EPS)
    with pytest.raises(AssumptionViolated, match="no tangent kernel"):
        fully_connected_kernels(x, **sign, device="cpu")


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "softplus"])
def test_quadrature_sums_over_the_same_nodes(name):
    """Sums of a few hundred terms of one sign, twice: 1000 roundings at the very most, far below the error that both report."""
    x = neighbours(0)[:6]
    architecture = NETWORK | {"activation": Quadrature(name, tolerance=1e-6)}
    exact, found = fully_connected_kernels(x, **architecture), fully_connected_kernels(x, **architecture, device="cpu")
    for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
        np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1000 * EPS * np.abs(other).max())
    assert found.error == pytest.approx(exact.error, rel=1e-3)
    assert found.error < 1e-6


@pytest.mark.parametrize(
    ("own", "closed"),
    [
        (QuadratureOf(torch.abs, torch.sign, kink=True), "abs"),
        (QuadratureOf(torch.erf, lambda z: 2 / math.sqrt(math.pi) * torch.exp(-(z**2))), "erf"),
    ],
)
def test_quadrature_of_functions_of_tensors(own, closed):
    x = neighbours(1)[:6]
    exact = fully_connected_kernels(x, **NETWORK | {"activation": closed})
    found = fully_connected_kernels(x, **NETWORK | {"activation": own}, device="cpu")
    for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
        assert np.abs(one.numpy() - other).max() <= 1e-9 * np.abs(other).max()  # the tolerance is 1e-10 a kernel
    assert isinstance(found.error, float)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda z: math.tanh(z), "does not take tensors"),
        (lambda z: z.astype(float), "does not take tensors"),
        (lambda z: z.numpy(), "float64 tensors"),
        (lambda z: z.float(), "float64 tensors"),
        (lambda z: z[:1], "shape"),
        (lambda z: torch.log(z), "finite"),
    ],
)
def test_functions_that_were_not_written_for_tensors_are_refused(function, words):
    own = QuadratureOf(function, torch.ones_like)
    with pytest.raises(InvalidInput, match=words):
        fully_connected_kernels(neighbours(0), **NETWORK | {"activation": own}, device="cpu")


def test_networks_of_layers():
    x = neighbours(2)[:8]
    branch = (Activate("gelu"), Dense(1.1, 0.2))
    layers = (Dense(1.4, 0.1), LayerNorm(), Activate("erf"), Dropout(0.8), Dense(1.2, 0.3), Residual(branch), Activate("relu"), Dense(1.3, 0.1))  # fmt: skip
    for pair in ((x, None), (x[:3], x[2:])):
        exact, found = network_kernels(*pair, layers=layers), network_kernels(*pair, layers=layers, device="cpu")
        for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
            np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=2 * 15 * 6 * EPS * np.abs(other).max())


def test_gradients_are_not_kept_and_inputs_are_not_touched():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    before = x.detach().clone()
    assert not ntk_kernel(x, **NETWORK).requires_grad
    assert torch.equal(x, before)
    frozen = before.numpy().copy()
    frozen.flags.writeable = False
    assert torch.equal(ntk_kernel(frozen, **NETWORK, device="cpu"), ntk_kernel(x, **NETWORK))


X = neighbours(0)


@pytest.mark.parametrize("function", [fully_connected_kernels, fully_connected_distances, nngp_kernel, ntk_kernel])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": X.astype(np.float32)}, "float64"),
        ({"x": torch.tensor(X).float()}, "float64"),
        ({"x": torch.tensor(X).half()}, "float64"),
        ({"y": torch.tensor(X).long()}, "float64"),
        ({"x": torch.tensor(X) * math.nan}, "NaN"),
        ({"x": X * math.nan}, "NaN"),
        ({"x": torch.tensor(X[0])}, "shape"),
        ({"x": torch.tensor(X[:0])}, "shape"),
        ({"y": torch.tensor(X[:, :2])}, "columns"),
        ({"x": torch.tensor(X) * 1e160}, "overflow"),
        ({"x": torch.tensor(X) * 1e-80, "bias_scale": 0.0}, "1e-150"),
        ({"activation": "tanh"}, "tanh"),
        ({"device": "nowhere"}, "device"),
        ({"device": "meta"}, "device"),
        ({"device": 1.5}, "device"),
        ({"device": "cuda:99"}, "device"),  # no machine has so many cards
    ],
)
def test_bad_input_with_a_device(function, changes, words):
    options = {"x": X, **NETWORK, "device": "cpu"} | changes
    with pytest.raises(InvalidInput, match=words):
        function(options.pop("x"), options.pop("y", None), **options)


def test_an_absent_torch_is_a_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"nonvacuous\[torch\]"):
        fully_connected_kernels(X, **NETWORK, device="cpu")
    assert isinstance(fully_connected_kernels(X, **NETWORK).ntk, np.ndarray)
