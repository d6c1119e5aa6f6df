"""Gram matrices by tiles: the values of the kernel functions, predicted memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.kernels import fully_connected_kernels
from nonvacuous.numerics.kernels.gram import TILE, GramProgress, fully_connected_gram, gram_plan
from nonvacuous.numerics.kernels.input_tiles import input_tile
from nonvacuous.numerics.kernels.pairs import input_state, squared_norms
from nonvacuous.theory.activations import ABRelu, LeakyRelu, Quadrature
from nonvacuous.theory.balls.dual_activations import fully_connected_pair

RNG = np.random.default_rng(0)
HALF_ULP = 2.0**-53


def hard_inputs(n=150, d=20):
    """Equal, opposite, scaled, zero and nearly equal rows among others."""
    x = RNG.normal(size=(n, d))
    x[5], x[6], x[7], x[8] = x[4], -x[4], 2 * x[4], 0
    for k in range(1, 13):
        x[20 + k] = x[20] + 10.0**-k * RNG.normal(size=d)
        x[40 + k] = -x[40] * (1 + 10.0**-k)
    return x


X = hard_inputs()
SCALES = {"weight_scale": (1.4, 1.3, 1.5, 1.4), "bias_scale": (0.3, 0.1, 0.0, 0.2)}


@pytest.mark.parametrize("bias", [SCALES["bias_scale"], 0.0])
@pytest.mark.parametrize(
    "activation", ["relu", LeakyRelu(0.3), ABRelu(-1.2, -0.4), ABRelu(0.5, -1.0), "abs", "erf", "gelu"]
)
def test_tiles_have_the_values_of_the_kernel_functions(activation, bias):
    """A product of 20 features is right to a few half-ulps of |x||y|, and its angle to ten times that where |cos| < .95; the rectifiers' tile and
    the layers above are as exact as the kernel functions, which are tested against 50 digits."""
    architecture = {"depth": 3, "activation": activation, **SCALES, "bias_scale": bias}
    exact = fully_connected_kernels(X, **architecture)
    found = fully_connected_gram(X, **architecture)
    scale = np.sqrt(np.outer(np.diag(exact.ntk), np.diag(exact.ntk)))
    for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
        assert np.abs(one - other).max() <= 200 * HALF_ULP * scale.max()
        close = np.abs(one - other) / np.where(other == 0, 1, np.abs(other))
        assert close[np.abs(other) > 0.1 * scale].max() < 10 * 200 * HALF_ULP
        assert (one == one.T).all()
    apart = fully_connected_gram(X[:30], X[20:], **architecture)
    assert np.abs(apart.ntk - exact.ntk[:30, 20:]).max() <= 200 * HALF_ULP * scale.max()


@pytest.mark.parametrize("activation", ["relu", LeakyRelu(0.1)])
def test_rectifiers_against_fifty_digits_down_to_separations_of_1e_9(activation):
    """What speed must not cost: relative error below 1e-14."""
    x = RNG.normal(size=(1, 784))
    rows = np.concatenate(
        [x, *[x + 10.0**-k * RNG.normal(size=(1, 784)) for k in range(1, 10)], RNG.normal(size=(3, 784))]
    )
    found = fully_connected_gram(rows, depth=3, activation=activation, weight_scale=1.4, bias_scale=0.1)
    for j in range(len(rows)):
        exact = fully_connected_pair(
            rows[0].tolist(), rows[j].tolist(), activation=activation, weight_scale=(1.4,) * 4, bias_scale=(0.1,) * 4
        )
        assert abs(found.ntk[0, j] / float(exact.ntk.mid()) - 1) < 1e-14
        assert abs(found.nngp[0, j] / float(exact.nngp.mid()) - 1) < 1e-14


@given(st.integers(0, 12), st.sampled_from([0.0, 0.3]), st.integers(0, 10**6))
@settings(max_examples=60)
def test_close_pairs_take_exact_differences(digits, bias, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 5))
    y = np.concatenate([x + 10.0**-digits * rng.normal(size=(3, 5)), -x * (1 + 10.0**-digits)])
    exact = input_state(x, y, 1.3, bias)
    found = input_tile(x, y, squared_norms(x, 1.3, bias)[:, None], squared_norms(y, 1.3, bias)[None], 1.3, bias)
    small = np.minimum(exact.gap, exact.known_cogap)
    near = small < 0.02 * exact.scale  # well inside |cos| > .95, where both take differences
    for one, other in (
        (found.gap, exact.gap),
        (found.known_cogap, exact.known_cogap),
        (found.difference, exact.difference),
    ):
        np.testing.assert_allclose(one[near], other[near], rtol=1e-13)


def test_one_kernel_threads_output_arrays_and_progress(tmp_path):
    architecture = {"depth": 2, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1}
    x = RNG.normal(size=(2 * TILE + 17, 4))
    whole = fully_connected_gram(x, **architecture)
    events: list[GramProgress] = []
    only = fully_connected_gram(x, **architecture, which="ntk", threads=2, progress=events.append)
    assert only.nngp.size == 0
    assert (only.ntk == whole.ntk).all()
    assert [e.done for e in events] == list(range(1, 7))
    assert gram_plan(len(x), features=4).tiles == 6 == events[0].total
    mapped = np.memmap(tmp_path / "k", dtype=np.float64, mode="w+", shape=whole.nngp.shape)
    fully_connected_gram(x, **architecture, which="nngp", out=(mapped, None))
    assert (np.asarray(mapped) == whole.nngp).all()


def near_and_far():
    """Normal rows of 784 features, some of them 1e-1 to 1e-9 apart, equal, opposite, and nearly opposite."""
    x = RNG.normal(size=(1, 784))
    near = [x + 10.0**-k * RNG.normal(size=(1, 784)) for k in range(1, 10)]
    return np.concatenate([x, *near, x, 1.5 * x, -x, *[-v for v in near[::4]], RNG.normal(size=(2, 784))])


@pytest.mark.parametrize("bias", [0.1, 0.0])
@pytest.mark.parametrize("activation", ["relu", LeakyRelu(0.1)])
def test_torch_against_fifty_digits_down_to_separations_of_1e_9(activation, bias):
    torch = pytest.importorskip("torch")
    rows = near_and_far()
    found = fully_connected_gram(torch.tensor(rows), depth=3, activation=activation, weight_scale=1.4, bias_scale=bias)
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
@pytest.mark.parametrize("activation", ["relu", LeakyRelu(0.3), ABRelu(-1.2, -0.4)])
def test_torch_gives_the_same_numbers(monkeypatch, activation, bias):
    """On inputs with every kind of pair, by tiles of several sizes and from arrays and tensors."""
    torch = pytest.importorskip("torch")
    from nonvacuous.numerics.kernels import torch_gram

    architecture = {"depth": 3, "activation": activation, **SCALES, "bias_scale": bias}
    exact = fully_connected_kernels(X, **architecture)
    scale = float(np.diag(exact.ntk).max())
    for tile in (256, 70):
        monkeypatch.setattr(torch_gram, "TILES", {"cpu": tile})
        monkeypatch.setattr(torch_gram, "CLOSE", {"cpu": 300})
        found = fully_connected_gram(X, **architecture, device="cpu")
        for one, other in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
            assert np.abs(one.numpy() - other).max() <= 200 * HALF_ULP * scale
            assert torch.equal(one, one.T)
        apart = fully_connected_gram(torch.tensor(X[:30]), X[20:], **architecture)
        assert np.abs(apart.ntk.numpy() - exact.ntk[:30, 20:]).max() <= 200 * HALF_ULP * scale


def test_torch_output_arrays_progress_and_memory():
    torch = pytest.importorskip("torch")
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


def test_torch_working_memory_stays_below_the_prediction():
    """Bytes that torch holds at once beside the result, counted at every allocation."""
    torch = pytest.importorskip("torch")
    from torch.profiler import ProfilerActivity, profile

    x = torch.randn(700, 50, dtype=torch.float64)
    x[:40] = x[:1] + 1e-3 * x[:40]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        fully_connected_gram(x, depth=2, activation="relu", weight_scale=1.4, bias_scale=0.1)
    held = peak = 0
    for event in traced.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    plan = gram_plan(700, features=50, device="cpu")
    assert plan.result_bytes < peak < plan.result_bytes + plan.working_bytes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": X.astype(np.float32)}, "float64"),
        ({"x": X * np.nan}, "NaN"),
        ({"x": X[:0]}, "shape"),
        ({"x": X[0]}, "shape"),
        ({"y": X[:, :3]}, "columns"),
        ({"activation": "erf"}, "torch"),
        ({"activation": "abs"}, "torch"),
        ({"activation": Quadrature("tanh")}, "torch"),
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
    pytest.importorskip("torch")
    options = {"x": X, "depth": 1, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1, "device": "cpu"}
    options |= changes
    with pytest.raises(InvalidInput, match=words):
        fully_connected_gram(options.pop("x"), options.pop("y", None), **options)


def test_memory_is_predicted_and_refused_before_any_work():
    plan = gram_plan(20_000, features=784, which="both")
    assert plan.result_bytes == 2 * 8 * 20_000**2
    assert plan.working_bytes < 2 * 2**30
    assert "MiB" in str(plan)
    with pytest.raises(InvalidInput, match="which="):
        fully_connected_gram(
            np.zeros((300, 2)) + 1, depth=1, activation="relu", weight_scale=1, bias_scale=1, memory_mb=0.5
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": X.astype(np.float32)}, "float64"),
        ({"x": X * np.nan}, "x"),
        ({"y": X[:, :3]}, "columns"),
        ({"activation": "tanh"}, "tanh|closed form"),
        ({"which": "neither"}, "which"),
        ({"threads": 0}, "threads"),
        ({"memory_mb": -1}, "memory_mb"),
        ({"out": (np.zeros((2, 2)), None)}, "out"),
        ({"out": np.zeros((150, 150))}, "out"),
        ({"x": X * 1e160}, "overflow"),
        ({"x": np.where(np.arange(150)[:, None] == 77, 1e160, X), "bias_scale": 0.0}, "overflow"),
        ({"x": X * 1e-80, "bias_scale": 0.0}, "1e-150"),
        ({"activation": Quadrature("tanh")}, "closed form"),
        ({"depth": 0}, "depth"),
    ],
)
def test_bad_input(changes, words):
    options = {"x": X, "depth": 1, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1} | changes
    with pytest.raises(InvalidInput, match=words):
        fully_connected_gram(options.pop("x"), options.pop("y", None), **options)
