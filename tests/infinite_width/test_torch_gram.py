"""Gram matrices on a device: the values of the kernel functions, predicted memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_problems import hard_inputs

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.kernels import fully_connected_kernels, gram_memory, input_tiles, nngp_kernel, rectified_tile
from nonvacuous.numerics.kernels.gram import GramProgress, fully_connected_gram, gram_plan
from nonvacuous.theory.activations import ABRelu, LeakyRelu, Quadrature, Rbf, Scaled
from nonvacuous.theory.balls.dual_activations import fully_connected_pair

torch = pytest.importorskip("torch")

CARD = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card"))
RNG = np.random.default_rng(0)
HALF_ULP = 2.0**-53


X = hard_inputs(RNG)
SCALES = {"weight_scale": (1.4, 1.3, 1.5, 1.4), "bias_scale": (0.3, 0.1, 0.0, 0.2)}


def near_and_far():
    """Normal rows of 784 features, some of them 1e-1 to 1e-9 apart, equal, opposite, and nearly opposite."""
    x = RNG.normal(size=(1, 784))
    near = [x + 10.0**-k * RNG.normal(size=(1, 784)) for k in range(1, 10)]
    return np.concatenate([x, *near, x, 1.5 * x, -x, *[-v for v in near[::4]], RNG.normal(size=(2, 784))])


@pytest.mark.parametrize("bias", [0.1, 0.0])
@pytest.mark.parametrize("device", ["cpu", CARD])
@pytest.mark.parametrize("activation", ["relu", LeakyRelu(0.1), "erf", "gelu"])
def test_torch_against_fifty_digits_down_to_separations_of_1e_9(activation, bias, device):
    rows = near_and_far()
    found = fully_connected_gram(
        torch.tensor(rows, device=device), depth=3, activation=activation, weight_scale=1.4, bias_scale=bias
    )
    assert found.ntk.dtype == torch.float64
    for j in range(len(rows)):
        exact = fully_connected_pair(
            rows[0].tolist(), rows[j].tolist(), activation=activation, weight_scale=(1.4,) * 4, bias_scale=(bias,) * 4
        )
        for kernel, value in ((found.nngp, float(exact.nngp.mid())), (found.ntk, float(exact.ntk.mid()))):
            # pairs that are nearly opposite have kernels far below their norms, on whose scale they are right
            scale = max(abs(value), 0.1 * float(kernel[0, 0]))
            assert abs(float(kernel[0, j]) - value) < 1e-14 * scale


@pytest.mark.parametrize("bias", [SCALES["bias_scale"], 0.0])
@pytest.mark.parametrize("device", ["cpu", CARD])
@pytest.mark.parametrize(
    "activation",
    ["relu", LeakyRelu(0.3), ABRelu(-1.2, -0.4), ABRelu(0.5, -1.0), "abs", "erf", "gelu", Rbf(0.3)],
    ids=str,
)
def test_torch_gives_the_same_numbers(monkeypatch, activation, bias, device):
    """On inputs with every kind of pair, by tiles of several sizes and from arrays and tensors."""
    architecture = {"depth": 3, "activation": activation, **SCALES, "bias_scale": bias}
    exact = fully_connected_kernels(X, **architecture)
    scale = float(np.diag(exact.ntk).max())
    for tile in (256, 70):
        monkeypatch.setattr(gram_memory, "TILES", {device: tile})
        for module in (input_tiles, rectified_tile):
            monkeypatch.setattr(module, "PAIRS", 300)
        found = fully_connected_gram(X, **architecture, device=device)
        for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
            assert np.abs(one.cpu().numpy() - other).max() <= 200 * HALF_ULP * scale
            assert torch.equal(one, one.T)
        apart = fully_connected_gram(torch.tensor(X[:30], device=device), X[20:], **architecture)
        assert np.abs(apart.ntk.cpu().numpy() - exact.ntk[:30, 20:]).max() <= 200 * HALF_ULP * scale


@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_nngp_kernel_alone_needs_no_tangent_kernel(device):
    """An angle is right to ten times what its cosine is, 200 half-ulps."""
    x = RNG.normal(size=(20, 5))
    architecture = {"depth": 1, "activation": "sign", "weight_scale": 1.4, "bias_scale": 0.1}
    found = np.asarray(fully_connected_gram(x, **architecture, which="nngp", device=device).nngp)
    assert np.abs(found - nngp_kernel(x, **architecture)).max() <= 10 * 200 * HALF_ULP
    with pytest.raises(AssumptionViolated, match="no tangent kernel"):
        fully_connected_gram(x, **architecture, device=device)


def test_torch_output_arrays_progress_and_memory():
    architecture = {"depth": 2, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1}
    x = torch.randn(300, 4, dtype=torch.float64, requires_grad=True)
    whole = fully_connected_gram(x, **architecture)
    assert not whole.ntk.requires_grad
    assert whole.ntk.device == x.device
    events: list[GramProgress] = []
    mine = torch.zeros(300, 300, dtype=torch.float64)
    only = fully_connected_gram(x, **architecture, which="ntk", out=(None, mine), progress=events.append)
    assert only.ntk is mine
    assert only.nngp.numel() == 0
    assert torch.equal(mine, whole.ntk)
    assert [e.done for e in events] == [1, 2, 3]
    plan = gram_plan(300, features=4, device="cpu")
    assert plan.tiles == 3
    assert plan.result_bytes == 2 * 8 * 300**2
    card = gram_plan(20_000, features=784, device="cuda")
    assert card.working_bytes < 6 * 2**30
    with pytest.raises(InvalidInput, match="MiB are allowed"):
        fully_connected_gram(x, **architecture, memory_mb=0.1)
    with pytest.raises(InvalidInput, match="MiB are allowed"):
        fully_connected_gram(x, **architecture, memory_mb=0.1, out=(mine, mine))


@pytest.mark.parametrize(
    ("activation", "close"), [("relu", 300), ("gelu", 0), (Scaled("gelu", 1.5, 0.8, -0.2), 20)], ids=str
)
def test_torch_working_memory_stays_below_the_prediction(activation, close):
    """Bytes that torch holds at once beside the result, counted at every allocation."""
    from torch.profiler import ProfilerActivity, profile

    x = torch.randn(300, 50, dtype=torch.float64)
    x[:close] = x[:1] + 1e-3 * x[:close]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        fully_connected_gram(x, depth=1, activation=activation, weight_scale=1.4, bias_scale=0.1)
    held = peak = 0
    for event in traced.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    plan = gram_plan(300, features=50, device="cpu")
    assert plan.result_bytes < peak < plan.result_bytes + plan.working_bytes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": X.astype(np.float32)}, "float64"),
        ({"x": X * np.nan}, "NaN"),
        ({"x": X[:0]}, "shape"),
        ({"x": X[0]}, "shape"),
        ({"y": X[:, :3]}, "columns"),
        ({"activation": Quadrature("tanh")}, "closed form"),
        ({"activation": "tanh"}, "tanh"),
        ({"which": "neither"}, "which"),
        ({"threads": 2}, "threads"),
        ({"memory_mb": -1}, "memory_mb"),
        ({"out": (X, X)}, "out"),
        ({"x": X * 1e160}, "overflow"),
        ({"x": X * 1e-80, "bias_scale": 0.0}, "1e-150"),
        ({"depth": 0}, "depth"),
        ({"weight_scale": 0.0}, "weight_scale"),
        ({"device": "nowhere"}, "device"),
        ({"device": "meta"}, "device"),
        ({"device": 1.5}, "device"),
    ],
)
def test_bad_input_with_a_device(changes, words):
    options = {"x": X, "depth": 1, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1, "device": "cpu"}
    options |= changes
    with pytest.raises(InvalidInput, match=words):
        fully_connected_gram(options.pop("x"), options.pop("y", None), **options)
