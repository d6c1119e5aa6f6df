"""Convolutional kernels: against neural-tangents, dense networks, balls, and what any of them must satisfy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.kernels import neural_tangents as bridge
from nonvacuous.numerics.kernels.architectures.images import checked_problem
from nonvacuous.numerics.kernels.architectures.neighbourhoods import neighbourhood_sum
from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels, predicted_bytes
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.theory.activations import ABRelu, LeakyRelu, Quadrature, Rbf, Scaled
from nonvacuous.theory.balls.convolutional import convolutional_pair
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

EPS = np.finfo(np.float64).eps
RNG = np.random.default_rng(0)
X1, X2 = RNG.normal(size=(3, 6, 2)), RNG.normal(size=(3, 4, 5, 2))
COMMON = {"depth": 3, "weight_scale": (1.3, 1.2, 1.1, 0.9), "bias_scale": (0.2, 0.1, 0.3, 0.4)}
NETWORK = {"padding": "zero", "readout": "average", "activation": "relu", "filter_size": 3, **COMMON}


@pytest.fixture(scope="module")
def nt():
    pytest.importorskip("jax")
    return bridge.neural_tangents()


@pytest.mark.parametrize(
    ("activation", "name", "padding", "theirs", "images", "size"),
    [
        ("Relu", "relu", "zero", "SAME", X2, (3, 2)),
        ("Erf", "erf", "circular", "CIRCULAR", X1, (3,)),
    ],
)
def test_agrees_with_neural_tangents(nt, activation, name, padding, theirs, images, size):
    from neural_tangents import stax

    scales = {"depth": 2, "weight_scale": (1.3, 1.2, 0.9), "bias_scale": (0.2, 0.1, 0.4)}
    for readout, layer in (("flatten", stax.Flatten), ("average", stax.GlobalAvgPool)):
        layers = []
        for w, b in ((1.3, 0.2), (1.2, 0.1)):
            spec = {"dimension_numbers": ("NHC", "HIO", "NHC")} if len(size) == 1 else {}
            layers += [stax.Conv(4, size, padding=theirs, W_std=w, b_std=b, **spec), getattr(stax, activation)()]
        _, _, kernel_fn = stax.serial(*layers, layer(), stax.Dense(1, W_std=0.9, b_std=0.4))
        found = bridge.neural_tangents_kernels(kernel_fn, images)
        ours = convolutional_kernels(
            images, filter_size=size, padding=padding, readout=readout, activation=name, **scales
        )
        apart = ~np.eye(3, dtype=bool)  # on the diagonal their angle is rounded to 1e-8
        for a, b in ((found.nngp, ours.nngp), (found.ntk, ours.ntk)):
            assert np.abs(a - b)[apart].max() < 1e-13 * b.max()
            assert np.abs(a - b).max() < 1e-7 * b.max()


@pytest.mark.parametrize(
    "activation", ["relu", "erf", "gelu", "abs", "cos", LeakyRelu(0.3), Rbf(0.7), Scaled("erf", 1.2, 0.8, 0.3)]
)
@pytest.mark.parametrize("readout", ["flatten", "average"])
def test_one_position_and_one_offset_is_a_dense_network(activation, readout):
    x = RNG.normal(size=(5, 3))
    x[1] = x[0] + 1e-9
    dense = fully_connected_kernels(x, activation=activation, **COMMON)
    ours = convolutional_kernels(
        x[:, None, None], filter_size=1, padding="zero", readout=readout, activation=activation, **COMMON
    )
    for a, b in ((ours.nngp, dense.nngp), (ours.ntk, dense.ntk)):
        assert np.abs(a - b).max() < 50 * EPS * np.abs(b).max()


seeds = st.integers(0, 2**32 - 1)
networks = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 3),
        "filter_size": st.sampled_from([1, 2, 3, (1, 3)]),
        "padding": st.sampled_from(["zero", "circular"]),
        "readout": st.sampled_from(["flatten", "average"]),
        "activation": st.sampled_from(["relu", "erf", "gelu", "abs"]),
        "weight_scale": st.floats(0.3, 2.0),
        "bias_scale": st.one_of(st.just(0.0), st.floats(0.01, 1.0)),
    }
)


@settings(max_examples=40, deadline=None)
@given(seeds, networks)
def test_symmetric_positive_and_equivariant(seed, network):
    x = np.random.default_rng(seed).normal(size=(4, 3, 4, 2))
    found = convolutional_kernels(x, **network)
    both = convolutional_kernels(x[::-1], x, **network)
    for k, other in ((found.nngp, both.nngp), (found.ntk, both.ntk), (found.ntk - found.nngp, both.ntk - both.nngp)):
        scale = np.abs(found.ntk).max()
        assert np.array_equal(k, k.T)
        assert np.abs(other[::-1] - k).max() < 100 * EPS * scale
        assert np.linalg.eigvalsh(k).min() > -1e3 * EPS * scale


@settings(max_examples=15, deadline=None)
@given(seeds, networks)
def test_shifts(seed, network):
    """Circular: the average sees no shift of either image, the flattened readout none of both. Zeros: it does see them."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 4, 3, 4, 2))
    network = network | {"padding": "circular"}
    kernel = convolutional_kernels(x, y, **network).ntk
    moved = np.roll(x, (1, 3), axis=(1, 2))
    tolerance = 200 * EPS * np.abs(kernel).max() + 200 * EPS * convolutional_kernels(x, **network).ntk.max()
    if network["readout"] == "average":
        assert np.abs(convolutional_kernels(moved, y, **network).ntk - kernel).max() < tolerance
    both = convolutional_kernels(moved, np.roll(y, (1, 3), axis=(1, 2)), **network).ntk
    assert np.abs(both - kernel).max() < tolerance


def test_nearly_equal_images_keep_their_digits():
    """Also brighter ones without bias, whose features are parallel: an angle from a covariance would be off by 1e-8."""
    x = RNG.normal(size=(1, 1, 3, 2))
    for y in (x, x + 1e-7, x * (1 + 1e-9), 1.5 * x, x + 1e-12 * RNG.normal(size=x.shape)):
        for readout in ("flatten", "average"):
            spec = {"padding": "zero", "readout": readout, "activation": "relu"}
            scales = {"weight_scale": (1.4, 1.3, 1.2), "bias_scale": (0.0, 0.0, 0.0)}
            exact = convolutional_pair(x[0].tolist(), y[0].tolist(), filter_size=(1, 3), **spec, **scales)
            ours = convolutional_kernels(x, y, depth=2, filter_size=(1, 3), **spec, **scales)
            assert abs(ours.nngp[0, 0] / float(exact[0]) - 1) < 1e-14
            assert abs(ours.ntk[0, 0] / float(exact[1]) - 1) < 1e-14


def test_relu_without_bias_is_homogeneous_and_dark_images_are_silent():
    spec = {**NETWORK, "depth": 2, "weight_scale": 1.4, "bias_scale": 0.0}
    k, scaled = convolutional_kernels(X2, **spec), convolutional_kernels(X2, 3.0 * X2, **spec)
    assert np.allclose(scaled.ntk, 3 * k.ntk, rtol=1e-13)
    dark = convolutional_kernels(np.zeros((1, 4, 4, 1)), RNG.normal(size=(2, 4, 4, 1)), **spec)
    assert (dark.nngp == 0).all()
    assert (dark.ntk == 0).all()


def test_threads_and_tiles_change_nothing(monkeypatch):
    from nonvacuous.numerics.kernels.architectures import convolution

    found = convolutional_kernels(X2, **NETWORK)
    threaded = convolutional_kernels(X2, workers=3, **NETWORK)
    monkeypatch.setattr(convolution, "_TILE", 50)
    tiled = convolutional_kernels(X2, **NETWORK)
    for other in (threaded, tiled):
        assert np.array_equal(found.nngp, other.nngp)
        assert np.array_equal(found.ntk, other.ntk)


def test_the_fast_rectifier_is_the_table_of_duals(monkeypatch):
    from nonvacuous.numerics.kernels.architectures import convolution

    for activation in ("relu", ABRelu(0.3, 1.2), LeakyRelu(0.01)):
        spec = {**NETWORK, "activation": activation}
        fast = convolutional_kernels(X2, **spec)
        with monkeypatch.context() as patch:
            patch.setattr(convolution, "ABRelu", type("Nothing", (), {}))
            slow = convolutional_kernels(X2, **spec)
        assert np.abs(fast.ntk / slow.ntk - 1).max() < 1e-14


@pytest.mark.parametrize("readout", ["flatten", "average"])
@pytest.mark.parametrize(
    "activation", ["relu", LeakyRelu(0.2), "abs", "erf", "gelu", Scaled("sin", 1.2, 0.8, 0.3)], ids=str
)
def test_torch_gives_the_same_numbers(activation, readout):
    pytest.importorskip("torch")
    for images, padding in ((X2, "zero"), (X1, "circular")):
        x = np.concatenate([images, -images[:1], images[:1] + 1e-9])
        spec = {**NETWORK, "padding": padding, "activation": activation, "readout": readout}
        for y in (None, images[:2]):
            ours, theirs = (
                convolutional_kernels(x, y, device=device, max_bytes=2e6, **spec) for device in (None, "cpu")
            )
            for a, b in ((ours.nngp, theirs.nngp), (ours.ntk, theirs.ntk)):
                assert np.abs(a - b).max() < 50 * EPS * np.abs(a).max()


@pytest.mark.parametrize("device", [0, "nowhere", "meta", "cuda:99"])
def test_a_device_that_is_not_there(device):
    pytest.importorskip("torch")
    with pytest.raises(InvalidInput, match="device"):
        convolutional_kernels(X1, **NETWORK, device=device)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("circular", [True, False])
def test_neighbourhood_sum_is_its_definition(size, circular):
    array = RNG.normal(size=(5, 5, 6, 6))
    found = neighbourhood_sum(array, ((0, 1), (2, 3)), (size, 3), circular)
    exact = np.zeros_like(array)
    reach = range(-((size - 1) // 2), size // 2 + 1)
    for i in range(5):
        for j in range(5):
            for k in range(6):
                for m in range(6):
                    for o in reach:
                        for p in (-1, 0, 1):
                            spot = (i + o, j + o, k + p, m + p)
                            if circular:
                                spot = tuple(s % n for s, n in zip(spot, array.shape, strict=True))
                            elif not all(0 <= s < n for s, n in zip(spot, array.shape, strict=True)):
                                continue
                            exact[i, j, k, m] += array[spot]
    assert np.allclose(found, exact, rtol=1e-13)


def test_predicted_bytes_cover_what_is_used():
    import tracemalloc

    x = RNG.normal(size=(2, 16, 16, 3))
    problem = checked_problem(x, None, **NETWORK)
    tracemalloc.start()
    convolutional_kernels(x, **NETWORK)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < predicted_bytes(problem) < 6 * peak


@pytest.mark.parametrize(
    ("x", "changes", "error", "match"),
    [
        (X2.astype(np.float32), {}, InvalidInput, "float64"),
        (X2[0, 0], {}, InvalidInput, "shape"),
        (np.where(X2 > 2, np.nan, X2), {}, InvalidInput, "NaN"),
        (X2, {"filter_size": 0}, InvalidInput, "filter_size"),
        (X2, {"filter_size": 7}, InvalidInput, "larger"),
        (X2, {"filter_size": (3, 3, 3)}, InvalidInput, "spatial"),
        (X2, {"padding": "valid"}, InvalidInput, "padding"),
        (X2, {"readout": "max"}, InvalidInput, "readout"),
        (X2, {"activation": Quadrature("tanh")}, InvalidInput, "closed form"),
        (X2, {"activation": "sign"}, AssumptionViolated, "tangent kernel"),
        (X2, {"weight_scale": (1.0, 1.0)}, InvalidInput, "weight_scale"),
        (X2, {"bias_scale": -1.0}, InvalidInput, "negative"),
        (X2, {"depth": 0}, InvalidInput, "depth"),
        (X2, {"max_bytes": 1e3}, InvalidInput, "max_bytes"),
        (X2, {"workers": 0}, InvalidInput, "workers"),
        (X2 * 1e80, {}, InvalidInput, "entries"),
        (X2, {"y": X2[:, :2]}, InvalidInput, "one shape"),
    ],
)
def test_bad_input_is_refused(x, changes, error, match):
    with pytest.raises(error, match=match):
        convolutional_kernels(x, **{**NETWORK, **changes})
