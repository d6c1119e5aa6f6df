"""Gram matrices by tiles: the values of the kernel functions, predicted memory, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_problems import hard_inputs

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.kernels import fully_connected_kernels, gram_memory
from nonvacuous.numerics.kernels.gram import GramProgress, fully_connected_gram, gram_plan
from nonvacuous.numerics.kernels.gram_memory import paying_threads, tile_side
from nonvacuous.numerics.kernels.input_tiles import input_tile
from nonvacuous.numerics.kernels.pairs import input_state, squared_norms
from nonvacuous.theory.activations import ABRelu, LeakyRelu, Quadrature
from nonvacuous.theory.balls.dual_activations import fully_connected_pair

RNG = np.random.default_rng(0)
HALF_ULP = 2.0**-53


X = hard_inputs(RNG)
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
    found = input_tile(
        x @ y.T, x, y, squared_norms(x, 1.3, bias)[:, None], squared_norms(y, 1.3, bias)[None], 1.3, bias
    )
    small = np.minimum(exact.gap, exact.known_cogap)
    near = small < 0.02 * exact.scale  # well inside |cos| > .95, where both take differences
    for one, other in (
        (found.gap, exact.gap),
        (found.known_cogap, exact.known_cogap),
        (found.difference, exact.difference),
    ):
        np.testing.assert_allclose(one[near], other[near], rtol=1e-13)


def test_one_kernel_threads_output_arrays_and_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(gram_memory, "THREAD_SECONDS", 1e-6)  # so that two threads pay
    architecture = {"depth": 2, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.1}
    x = RNG.normal(size=(2 * tile_side(None) + 17, 4))
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


def test_threads_go_with_the_work():
    """One where the second was measured to lose (500 x 784, three layers of rectifiers), all that are given where there is much to do."""
    sizes = {"features": 784, "depth": 3, "rectified": True}
    assert [paying_threads(8, n * n // 2, **sizes) for n in (1, 500, 1000, 2000, 20_000)] == [1, 1, 1, 2, 8]
    assert paying_threads(1, 10**12, **sizes) == 1
    assert paying_threads(8, 1000 * 1000 // 2, **sizes | {"rectified": False}) == 2


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
