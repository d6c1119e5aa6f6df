"""Convolutional networks with strides, valid borders, pooling and residual blocks: against naive sums, neural-tangents, and themselves."""

import itertools
import math

import numpy as np
import pytest

from nonvacuous.numerics.kernels import neural_tangents as bridge
from nonvacuous.numerics.kernels.architectures.image_network import image_network_kernels
from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels
from nonvacuous.theory.architectures import Activate, Dense, LayerNorm
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput
from nonvacuous.theory.image_layers import AveragePool, Conv, ConvResidual, Flatten, GlobalAveragePool

EPS = np.finfo(np.float64).eps
RNG = np.random.default_rng(3)
RELU, READ = Activate("relu"), Dense(0.9, 0.4)
X2, X1 = RNG.normal(size=(3, 7, 6, 2)), RNG.normal(size=(3, 9, 2))

NETWORKS = {
    "stride, same": (X2, (Conv((3, 2), 1.3, 0.2, (2, 3)), RELU, Conv(2, 1.2, 0.1, 2), RELU, Flatten(), READ)),
    "stride larger than the filter": (X2, (Conv(2, 1.3, 0.2, 3), RELU, Flatten(), READ)),
    "valid": (X2, (Conv(3, 1.3, 0.2, padding="valid"), RELU, Conv(2, 1.2, 0.1, (1, 2), "valid"), RELU, Flatten(), READ)),
    "one dimension": (X1, (Conv(4, 1.3, 0.2, 2), RELU, Conv(3, 1.2, 0.1, 1, "valid"), RELU, GlobalAveragePool(), READ)),
    "circular": (X2, (Conv(3, 1.3, 0.2, padding="circular"), RELU, AveragePool((2, 3)), Flatten(), READ)),
    "conv - relu - pool - conv - relu - dense": (
        X2, (Conv(3, 1.3, 0.2), RELU, AveragePool(2), Conv(2, 1.2, 0.1), RELU, Flatten(), Dense(1.1, 0.3), RELU, READ),
    ),
    "overlapping windows": (
        X2, (Conv(3, 1.3, 0.2), RELU, AveragePool((3, 2), (2, 1)), Conv(2, 1.2, 0.0, 2), RELU, GlobalAveragePool(), READ),
    ),
    "residual": (
        X2, (Conv(3, 1.3, 0.2), ConvResidual((RELU, Conv(3, 1.2, 0.1), RELU, Conv(2, 0.8, 0.3))), RELU,
             Conv(2, 1.1, 0.0, 2), RELU, GlobalAveragePool(), READ),
    ),
    "pooled pre-activations": (
        X2, (Conv(3, 1.3, 0.2), AveragePool(2), ConvResidual((RELU, Conv(2, 1.2, 0.1))), RELU, Flatten(), READ),
    ),
    "other activations": (
        X2[:2, :4, :4], (Conv(3, 1.3, 0.2), Activate("erf"), AveragePool(2), Conv(2, 1.2, 0.1), Activate("abs"), Flatten(), READ),
    ),
}  # fmt: skip


def starts(size, stride, padding, length):
    """First places of windows, in XLA's convention."""
    if padding == "valid":
        return range(0, length - size + 1, stride)
    places = -(-length // stride)
    return range(-(max(0, (places - 1) * stride + size - length) // 2), 10**9, stride)[:places]


def naive(x, layers):
    """K and T on all pairs of images and positions at once, each linear layer as explicit selections of positions; ReLU, erf and abs by formula."""
    n, spatial = len(x), x.shape[1:-1]
    flat = x.reshape(-1, x.shape[-1])
    k = flat @ flat.T / x.shape[-1]
    t = np.zeros_like(k)

    def over(matrix, array, positions):
        """(images, positions) on both sides through `matrix` (new, old)."""
        whole = np.kron(np.eye(n), matrix)
        assert matrix.shape[1] == positions
        return whole @ array @ whole.T

    def selections(sizes, strides, padding, spatial):
        """One 0-1 matrix (new positions, old positions) for each offset of the filter."""
        firsts = [starts(*part) for part in zip(sizes, strides, [padding] * len(sizes), spatial, strict=True)]
        old = {place: i for i, place in enumerate(itertools.product(*map(range, spatial)))}
        found = []
        for offset in itertools.product(*map(range, sizes)):
            matrix = np.zeros((math.prod(map(len, firsts)), len(old)))
            for row, start in enumerate(itertools.product(*firsts)):
                place = tuple(a + b for a, b in zip(start, offset, strict=True))
                if padding == "circular":
                    place = tuple(a % m for a, m in zip(place, spatial, strict=True))
                if place in old:
                    matrix[row, old[place]] = 1.0
            found.append(matrix)
        return found, tuple(map(len, firsts))

    def two(value, spatial):
        return value if isinstance(value, tuple) else (value,) * len(spatial)

    def run(layers, k, t, spatial):
        for layer in layers:
            positions = math.prod(spatial)
            if isinstance(layer, Conv):
                chosen, after = selections(
                    two(layer.filter_size, spatial), two(layer.stride, spatial), layer.padding, spatial
                )
                w2 = layer.weight_scale**2 / len(chosen)
                k_sum, t_sum = (sum(over(m, array, positions) for m in chosen) for array in (k, t))
                k = layer.bias_scale**2 + w2 * k_sum
                t, spatial = k + w2 * t_sum, after
            elif isinstance(layer, AveragePool | GlobalAveragePool):
                window = spatial if isinstance(layer, GlobalAveragePool) else two(layer.window, spatial)
                stride = two(getattr(layer, "stride", None) or window, spatial)
                chosen, after = selections(window, stride, "valid", spatial)
                k, t = (over(sum(chosen) / len(chosen), array, positions) for array in (k, t))
                spatial = after
            elif isinstance(layer, Flatten):
                blocks = [array.reshape(n, positions, n, positions) for array in (k, t)]
                k, t = (np.einsum("ipjp->ij", block) / positions for block in blocks)
                spatial = (1,) * len(spatial)
            elif isinstance(layer, Dense):
                t_below, k = t, layer.bias_scale**2 + layer.weight_scale**2 * k
                t = k + layer.weight_scale**2 * t_below
            elif isinstance(layer, ConvResidual):
                k_branch, t_branch, _ = run(layer.branch, k, t, spatial)
                k, t = k + k_branch, t + t_branch
            else:
                d = np.sqrt(np.diag(k))
                if layer.activation == "erf":
                    s = np.sqrt(np.outer(1 + 2 * d**2, 1 + 2 * d**2))
                    t, k = t * 4 / np.pi / np.sqrt(s**2 - 4 * k**2), 2 / np.pi * np.arcsin(2 * k / s)
                    continue
                angle = np.arccos(np.clip(k / np.outer(d, d), -1, 1))
                np.fill_diagonal(angle, 0.0)
                relu, slope = (
                    lambda a: (np.sin(a) + (np.pi - a) * np.cos(a)) / (2 * np.pi),
                    lambda a: (np.pi - a) / (2 * np.pi),
                )
                if layer.activation == "relu":
                    t, k = t * slope(angle), np.outer(d, d) * relu(angle)
                else:  # |z| = relu(z) + relu(-z)
                    t = t * 2 * (slope(angle) - slope(np.pi - angle))
                    k = 2 * np.outer(d, d) * (relu(angle) + relu(np.pi - angle))
        return k, t, spatial

    k, t, _ = run(layers, k, t, spatial)
    return k, t


@pytest.mark.parametrize("name", list(NETWORKS))
def test_agrees_with_naive_sums(name):
    """The naive code takes angles from covariances: eps/angle, and angles of these positions and images are above 1e-2."""
    x, layers = NETWORKS[name]
    found = image_network_kernels(x, layers=layers)
    k, t = naive(x, layers)
    assert np.abs(found.nngp - k).max() < 1e-12 * k.max()
    assert np.abs(found.ntk - t).max() < 1e-12 * t.max()
    between = image_network_kernels(x[:2], x[1:], layers=layers, workers=2)
    assert np.abs(between.ntk[:, -1] - t[:2, -1]).max() < 1e-12 * t.max()
    # the image they share is met as another one: its angles after pooling come from covariances
    assert np.abs(between.ntk - t[:2, 1:]).max() < 1e-7 * t.max()


@pytest.mark.filterwarnings("ignore:`FanIn` layers assume independent inputs:UserWarning")
def test_agrees_with_neural_tangents():
    """One network with strides, both borders, overlapping windows and a residual block; each alone is compared with naive sums."""
    pytest.importorskip("jax")
    bridge.neural_tangents()
    from neural_tangents import stax

    x = X2
    layers = (
        Conv(3, 1.3, 0.2, (1, 2)), RELU, AveragePool((3, 2), (2, 1)), Conv((2, 1), 1.2, 0.1, padding="valid"),
        ConvResidual((RELU, Conv(2, 0.8, 0.3))), RELU, GlobalAveragePool(), READ,
    )  # fmt: skip

    def theirs(layers):
        found = []
        for layer in layers:
            match layer:
                case Conv():
                    size, stride = (
                        v if isinstance(v, tuple) else (v,) * (x.ndim - 2) for v in (layer.filter_size, layer.stride)
                    )
                    found.append(
                        stax.Conv(
                            4,
                            size,
                            stride,
                            layer.padding.upper(),
                            W_std=layer.weight_scale,
                            b_std=layer.bias_scale,
                        )
                    )
                case AveragePool():
                    found.append(stax.AvgPool(layer.window, layer.stride, "VALID"))
                case GlobalAveragePool():
                    found.append(stax.GlobalAvgPool())
                case Flatten():
                    found.append(stax.Flatten())
                case Dense():
                    found.append(stax.Dense(1, W_std=layer.weight_scale, b_std=layer.bias_scale))
                case ConvResidual():
                    branch = stax.serial(*theirs(layer.branch))
                    found.append(stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum()))
                case _:
                    found.append(stax.Relu())
        return found

    their = bridge.neural_tangents_kernels(stax.serial(*theirs(layers))[2], x)
    ours = image_network_kernels(x, layers=layers)
    apart = ~np.eye(len(x), dtype=bool)  # on the diagonal their angle is rounded to 1e-8
    for a, b in ((their.nngp, ours.nngp), (their.ntk, ours.ntk)):
        assert np.abs(a - b)[apart].max() < 1e-12 * b.max()
        assert np.abs(a - b).max() < 1e-7 * b.max()


@pytest.mark.parametrize("readout", ["flatten", "average"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("padding", ["zero", "circular"])
def test_a_plain_chain_is_the_convolutional_kernel(readout, activation, padding):
    """Also for nearly equal images, whose digits no activation after pooling takes away."""
    x = np.concatenate([X2, X2[:1] + 1e-9 * RNG.normal(size=X2[:1].shape), -X2[:1], 0 * X2[:1]])
    border = "same" if padding == "zero" else "circular"
    layers = (
        Conv(3, 1.3, 0.2, padding=border), Activate(activation), Conv(2, 1.2, 0.1, padding=border), Activate(activation),
        Flatten() if readout == "flatten" else GlobalAveragePool(), READ,
    )  # fmt: skip
    ours = image_network_kernels(x, layers=layers)
    same = (Conv(3, 1.3, 0.2, padding=border), Activate(activation), *layers[4:])
    plain = image_network_kernels(x, layers=same)
    exact = convolutional_kernels(
        x,
        depth=1,
        filter_size=3,
        padding=padding,
        readout=readout,
        activation=activation,
        weight_scale=(1.3, 0.9),
        bias_scale=(0.2, 0.4),
    )
    for a, b in ((plain.nngp, exact.nngp), (plain.ntk, exact.ntk)):
        assert np.abs(a - b).max() < 100 * EPS * b.max()
    for kernel in (ours.nngp, ours.ntk):
        assert np.array_equal(kernel, kernel.T)
        assert np.linalg.eigvalsh(kernel).min() > -1e3 * EPS * kernel.max()


def test_pooling_then_an_activation_is_right_to_eps_over_the_angle():
    """The statement of the docstring: an image with itself is exact, a copy met as another image is right to 1e-7."""
    x, layers = NETWORKS["overlapping windows"]
    own = image_network_kernels(x[:1], layers=layers).ntk[0, 0]
    copy = image_network_kernels(x[:1], x[:1].copy(), layers=layers).ntk[0, 0]
    t = naive(x[:1], layers)[1]
    assert abs(own - t[0, 0]) < 1e-12 * own
    assert abs(copy - own) < 1e-7 * own


def test_memory_is_predicted_and_covers_what_is_used():
    import tracemalloc

    x = RNG.normal(size=(2, 14, 14, 3))
    layers = NETWORKS["overlapping windows"][1]
    with pytest.raises(InvalidInput, match="max_bytes"):
        image_network_kernels(x, layers=layers, max_bytes=1e6)
    predicted = 8 * 16 * 196**2
    tracemalloc.start()
    image_network_kernels(x, layers=layers, max_bytes=1.1 * predicted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < predicted < 6 * peak


CONV = Conv(3, 1.0)


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        ((CONV, RELU), InvalidInput, "Dense"),
        ((), InvalidInput, "layers"),
        ((CONV, RELU, READ), InvalidInput, "positions"),
        ((CONV, RELU, Flatten(), READ, CONV, READ), InvalidInput, "positions"),
        ((CONV, RELU, GlobalAveragePool(), AveragePool(2), READ), InvalidInput, "positions"),
        ((RELU, Flatten(), READ), AssumptionViolated, "Gaussian"),
        ((CONV, RELU, RELU, Flatten(), READ), AssumptionViolated, "Gaussian"),
        ((CONV, Flatten(), RELU, READ), AssumptionViolated, "Gaussian"),
        ((CONV, Activate("sign"), Flatten(), READ), AssumptionViolated, "sign"),
        ((AveragePool(2), CONV, RELU, Flatten(), READ), InvalidInput, "images themselves"),
        ((CONV, AveragePool(8), RELU, Flatten(), READ), InvalidInput, "larger"),
        ((Conv(8, 1.0), RELU, Flatten(), READ), InvalidInput, "larger"),
        ((Conv((3, 3, 3), 1.0), RELU, Flatten(), READ), InvalidInput, "spatial"),
        ((CONV, RELU, ConvResidual((CONV,)), Flatten(), READ), InvalidInput, "ConvResidual"),
        ((CONV, ConvResidual((RELU, Conv(3, 1.0, stride=2))), Flatten(), READ), InvalidInput, "shape"),
        ((CONV, LayerNorm(), RELU, Flatten(), READ), AssumptionViolated, "LayerNorm"),
        ((CONV, "pool", Flatten(), READ), InvalidInput, "no layer"),
    ],
)
def test_networks_that_are_refused(layers, error, words):
    with pytest.raises(error, match=words):
        image_network_kernels(X2, layers=layers)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: Conv(0, 1.0), InvalidInput, "filter_size"),
        (lambda: Conv(3, 0.0), InvalidInput, "weight_scale"),
        (lambda: Conv(3, 1.0, stride=0), InvalidInput, "stride"),
        (lambda: Conv(3, 1.0, padding="zero"), InvalidInput, "padding"),
        (lambda: Conv(3, 1.0, stride=2, padding="circular"), InvalidInput, "stride 1"),
        (lambda: AveragePool(True), InvalidInput, "window"),
        (lambda: ConvResidual((RELU,)), AssumptionViolated, "fresh"),
        (lambda: ConvResidual((READ,)), InvalidInput, "branch"),
        (lambda: image_network_kernels(X2.astype(np.float32), layers=(CONV, RELU, Flatten(), READ)), InvalidInput, "float64"),
        (lambda: image_network_kernels(X2, X2[:, 1:], layers=(CONV, RELU, Flatten(), READ)), InvalidInput, "one shape"),
        (lambda: image_network_kernels(X2 * np.nan, layers=(CONV, RELU, Flatten(), READ)), InvalidInput, "NaN"),
        (lambda: image_network_kernels(X2, layers=(CONV, RELU, Flatten(), READ), workers=0), InvalidInput, "workers"),
    ],
)  # fmt: skip
def test_bad_input(build, error, words):
    with pytest.raises(error, match=words):
        build()
