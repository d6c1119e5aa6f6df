"""Dual activations in closed form: digits at every separation, and what any of them must satisfy."""

import json
import math

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.kernels.activation_kernels import activation_kernels
from nonvacuous.numerics.kernels.fully_connected import (
    fully_connected_distances,
    fully_connected_kernels,
    nngp_kernel,
)
from nonvacuous.proofs.infinite_width.kernels.dual_rows import DualSetting
from nonvacuous.proofs.infinite_width.settings import KernelSetting
from nonvacuous.settings import from_json, to_json
from nonvacuous.theory.activations import ABRelu, Cosine, LeakyRelu, Rbf, Scaled, Sine
from nonvacuous.theory.balls.dual_activations import fully_connected_pair
from nonvacuous.theory.balls.dual_table import dual_of
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

EPS = float(np.finfo(np.float64).eps)
KINKED = [
    "relu",
    "abs",
    LeakyRelu(0.01),
    LeakyRelu(0.5),
    LeakyRelu(0.99),
    ABRelu(-0.3, 1.2),
    Scaled("relu", 1.2, 0.8, -0.3),
    Scaled(ABRelu(-0.3, 1.2), 1.2, 0.8, 0.4),
]
SMOOTH = ["identity", "erf", "gelu", "sin", "cos", Sine(1.3, 0.7, 0.4), Sine(0.9, 2.1, 1.2), Cosine(1.1, 0.8, -0.5), Rbf(0.6),
          Scaled("gelu", 1.5, 0.8, -0.2), Scaled("erf", 1.5, 0.7, 0.4), Scaled(Sine(1.0, 1.2, 0.7), 1.5, 0.7, 0.4)]  # fmt: skip
EVERY = [*KINKED, *SMOOTH]


def pair_errors(x, y, activation, weights, biases):
    """Errors of K, T (relative to sqrt(k(x,x) k(y,y))), dK and dT (relative), in units of eps."""
    scales = {"activation": activation, "weight_scale": weights, "bias_scale": biases}
    exact = fully_connected_pair(x.tolist(), y.tolist(), digits=80, **scales)
    architecture = {"depth": len(weights) - 1, **scales}
    kernels = fully_connected_kernels(x[None], y[None], **architecture)
    distances = fully_connected_distances(x[None], y[None], **architecture)
    with ctx.workdps(80):
        rows = [
            (kernels.nngp, exact.nngp, (exact.nngp_xx * exact.nngp_yy).sqrt()),
            (kernels.ntk, exact.ntk, (exact.ntk_xx * exact.ntk_yy).sqrt()),
            (distances.nngp, exact.nngp_distance, abs(exact.nngp_distance)),
            (distances.ntk, exact.ntk_distance, abs(exact.ntk_distance)),
        ]
        errors = []
        for found, value, scale in rows:
            size = float(scale.mid())
            error = abs(float((value - float(found[0, 0])).mid()))
            errors.append(error / (size if size > 1e-60 else 1.0) / EPS)
    return errors


@pytest.mark.parametrize("activation", EVERY, ids=str)
def test_kernels_and_distances_keep_their_digits(activation):
    rng = np.random.default_rng(5)
    for depth, bias in ((1, 0.0), (2, 0.1), (3, 0.0), (4, 1.0)):
        for separation in (1.0, 1e-1, 1e-3, 1e-6, 1e-9, 1e-12, "equal", "zero", "far antiparallel"):
            x = rng.normal(size=3) * rng.choice([0.1, 1.0, 3.0])
            partner = {"equal": x, "zero": 0 * x, "far antiparallel": -x + 0.1 * rng.normal(size=3)}
            y = partner[separation] if isinstance(separation, str) else x + separation * rng.normal(size=3)
            errors = pair_errors(x, y, activation, [1.3] * depth + [0.7], [bias] * depth + [bias / 2])
            # about ten roundings a layer; discriminants of erf and GELU amplify one of them by sqrt(ab) (norms up to 10)
            assert max(errors) <= 15 * (depth + 1), (depth, bias, separation, errors)


def test_relu_of_three_layers_is_exact_to_1e_14_down_to_separations_of_1e_9():
    rng = np.random.default_rng(0)
    worst = 0.0
    for k in range(10):
        for _ in range(5):
            x = rng.normal(size=8)
            y = x + 10.0**-k * rng.normal(size=8)
            scales = {"activation": "relu", "weight_scale": [1.4] * 4, "bias_scale": [0.1] * 4}
            exact = fully_connected_pair(x.tolist(), y.tolist(), digits=60, **scales)
            found = fully_connected_kernels(x[None], y[None], depth=3, **scales)
            with ctx.workdps(60):
                for value, ball in ((found.nngp, exact.nngp), (found.ntk, exact.ntk)):
                    worst = max(worst, abs(float(float(value[0, 0]) / ball - 1)))
    assert worst < 1e-14


@pytest.mark.parametrize("activation", ["abs", "cos"])
def test_even_activations_do_not_tell_opposite_inputs_apart(activation):
    x = np.array([[0.3, -1.1, 0.7]])
    y = -x + 1e-9 * np.array([[0.4, 0.1, -0.3]])
    architecture = {"depth": 2, "activation": activation, "weight_scale": 1.3, "bias_scale": 0.0}
    far, near = (fully_connected_distances(x, v, **architecture) for v in (y, -y))
    np.testing.assert_allclose(far.nngp, near.nngp, rtol=1e-13)
    np.testing.assert_allclose(far.ntk, near.ntk, rtol=1e-13)


vectors = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(5, 3)))
activations = st.sampled_from(EVERY)


@settings(max_examples=60, deadline=None)
@given(vectors, activations)
def test_duals_are_symmetric_positive_and_exact_at_equal_vectors(x, activation):
    x = np.concatenate([x, x[:1], x[:1] + 1e-9, -x[:1], 0 * x[:1]])
    found = activation_kernels(x, activation=activation)
    parts = [found.value, found.derivative, found.value_distance, found.derivative_distance]
    for part in parts:
        assert (part == part.T).all()
    for gram in (parts[0], parts[1][:-1, :-1]):  # the slope of a kinked phi at a zero vector is a convention
        assert np.linalg.eigvalsh(gram)[0] >= -100 * len(x) * EPS * np.abs(gram).max()
    for distance in parts[2:]:
        assert (distance >= 0).all()
        assert (np.diag(distance) == 0).all()
        assert distance[0, 5] == 0
    assert (found.value[0, 0], found.derivative[0, 0]) == (found.value[0, 5], found.derivative[0, 5])


@settings(max_examples=40, deadline=None)
@given(vectors, st.sampled_from(["identity", "erf", "sin", Sine(0.7, 1.4, 0.0), "sign"]))
def test_odd_activations_have_odd_duals(x, activation):
    found, opposite = (activation_kernels(x, v, activation=activation).value for v in (x, -x))
    np.testing.assert_allclose(opposite, -found, atol=20 * EPS * np.abs(found).max())


@settings(max_examples=40, deadline=None)
@given(vectors, st.sampled_from(["relu", "abs", LeakyRelu(0.2), ABRelu(-0.4, 1.1), "identity"]), st.floats(1e-3, 1e3))
def test_homogeneous_activations_have_homogeneous_duals(x, activation, factor):
    found, scaled = (activation_kernels(x, v, activation=activation) for v in (x, factor * x))
    np.testing.assert_allclose(scaled.value, factor * found.value, atol=40 * EPS * factor * np.abs(found.value).max())
    np.testing.assert_allclose(scaled.derivative, found.derivative, atol=20 * EPS)


@settings(max_examples=30, deadline=None)
@given(vectors, activations, st.integers(0, 100))
def test_kernels_follow_permutations_and_rotations(x, activation, seed):
    rng = np.random.default_rng(seed)
    order, rotation = rng.permutation(5), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    architecture = {"depth": 2, "activation": activation, "weight_scale": 1.2, "bias_scale": 0.3}
    kernels = fully_connected_kernels(x, **architecture)
    assert (fully_connected_kernels(x[order], **architecture).ntk == kernels.ntk[np.ix_(order, order)]).all()
    turned = fully_connected_kernels(x @ rotation, **architecture).ntk
    assert np.abs(turned - kernels.ntk).max() <= 1e3 * EPS * np.abs(kernels.ntk).max()


def test_the_gap_is_monotone_in_the_angle_at_fixed_norms():
    angles = np.linspace(0, math.pi, 200)
    y = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for activation in ("relu", "erf", "gelu", LeakyRelu(0.1), "identity"):
        distance = activation_kernels(np.array([[1.0, 0.0]]), y, activation=activation).value_distance[0]
        assert (np.diff(distance) > 0).all()


def test_diagonals_of_the_theory():
    x = np.array([[0.4, -1.1, 0.6]])
    a = float(np.sum(x**2))
    asin = math.asin(a / (1 + a))
    wanted = {
        "relu": (a / 2, 0.5),
        "erf": (2 / math.pi * math.asin(2 * a / (1 + 2 * a)), 4 / math.pi / math.sqrt(1 + 4 * a)),
        "gelu": (a * (0.25 + (asin + 2 * a / ((1 + a) * math.sqrt(1 + 2 * a))) / (2 * math.pi)), None),
        "sign": (1.0, math.inf),
    }
    for activation, (value, slope) in wanted.items():
        found = activation_kernels(x, activation=activation)
        assert found.value[0, 0] == pytest.approx(value, rel=1e-15)
        assert slope is None or found.derivative[0, 0] == pytest.approx(slope, rel=1e-15)


def test_the_slope_of_sign_is_infinite_and_never_nan():
    x = np.array([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [0.5, 0.1]])
    found = activation_kernels(x, activation="sign")
    assert np.isinf(found.derivative[0, :3]).all()
    # dV/dc = 2/(pi s), s = |x ^ y|
    assert found.derivative[0, 3] == pytest.approx(2 / (math.pi * abs(1.0 * 0.1 - 2.0 * 0.5)), rel=1e-14)
    assert found.derivative_distance is None


@pytest.mark.parametrize("activation", ["sign", Scaled("sign", 0.5)])
def test_no_tangent_kernel_through_sign(activation):
    x = np.array([[1.0, 2.0], [0.5, 0.1]])
    architecture = {"depth": 2, "activation": activation, "weight_scale": 1.0, "bias_scale": 0.3}
    kernel = nngp_kernel(x, **architecture)
    assert np.linalg.eigvalsh(kernel)[0] > 0
    assert (fully_connected_kernels(x, trained="readout", **architecture).ntk == kernel).all()
    for function in (fully_connected_kernels, fully_connected_distances):
        with pytest.raises(AssumptionViolated, match="no tangent kernel"):
            function(x, **architecture)


@pytest.mark.parametrize("biases", [[0.0, 0.0, 0.0], [0.0, 0.2, 0.3]])
def test_nngp_kernel_of_sign_against_balls(biases):
    rng = np.random.default_rng(2)
    for separation in (1.0, 1e-3, 1e-8):
        x = rng.normal(size=3)
        y = x + separation * rng.normal(size=3)
        for sign in (1, -1):
            scales = {"activation": "sign", "weight_scale": [1.3, 1.1, 0.9], "bias_scale": biases}
            exact = fully_connected_pair(x.tolist(), (sign * y).tolist(), digits=60, **scales)
            found = nngp_kernel(x[None], sign * y[None], depth=2, **scales)[0, 0]
            # an angle t of the second layer is of order sqrt(separation); its relative error is a few eps
            assert abs(float(found - float(exact.nngp))) < 30 * EPS


def test_a_constant_changes_no_distance():
    x = np.random.default_rng(1).normal(size=(4, 3))
    for base in ("relu", "gelu", "erf", Sine(1.0, 1.2, 0.7), Rbf(0.5)):
        found, shifted = (
            activation_kernels(x, activation=Scaled(base, 1.3, 0.9, constant)) for constant in (0.0, -0.7)
        )
        np.testing.assert_allclose(shifted.value_distance, found.value_distance, atol=1e-15)
        assert (shifted.derivative == found.derivative).all()
        assert np.abs(shifted.value - found.value).max() > 0.01


def test_names_and_dataclasses_mean_the_same():
    x = np.random.default_rng(1).normal(size=(4, 3))
    for name, other in (("relu", LeakyRelu(0.0)), ("abs", ABRelu(-1.0, 1.0)), ("sin", Sine()), ("cos", Cosine()), ("erf", Scaled("erf"))):  # fmt: skip
        a, b = (activation_kernels(x, activation=activation) for activation in (name, other))
        assert (a.value == b.value).all()
        assert (a.derivative == b.derivative).all()
    sine, cosine = (
        activation_kernels(x, activation=f(1.2, 0.8, p)) for f, p in ((Sine, 0.3 + math.pi / 2), (Cosine, 0.3))
    )
    np.testing.assert_allclose(sine.value, cosine.value, atol=1e-15)


@pytest.mark.parametrize("activation", ["gelu", LeakyRelu(0.1), ABRelu(-0.3, 1.2), Sine(1, 2, 3), Cosine(), Rbf(0.5), Scaled(Rbf(0.5), 2, 1, 1)])  # fmt: skip
def test_activations_survive_json_as_tagged_unions(activation):
    x = np.ones((2, 3))
    for setting in (DualSetting(x, x, activation), KernelSetting(x, x, activation, (1.0, 1.0), (0.1, 0.1))):
        again = from_json(type(setting), json.loads(json.dumps(to_json(setting))))
        assert again.activation == activation


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (ABRelu, (0.0, 0.0)),
        (ABRelu, (math.nan, 1.0)),
        (LeakyRelu, (math.inf,)),
        (LeakyRelu, ("0.1",)),
        (LeakyRelu, (True,)),
        (Sine, (0.0, 1.0, 0.0)),
        (Sine, (1.0, 0.0, 0.0)),
        (Rbf, (0.0,)),
        (Rbf, (-1.0,)),
        (Scaled, ("relu", 0.0)),
        (Scaled, ("relu", 1.0, 0.0)),
        (Scaled, ("swish",)),
        (Scaled, (Scaled("relu"),)),
    ],
)
def test_meaningless_parameters_are_refused(make, arguments):
    with pytest.raises(InvalidInput):
        make(*arguments)


@pytest.mark.parametrize("activation", ["tanh", "RELU", 3, None, {"kind": "leaky"}])
def test_activations_without_a_closed_form_are_refused_with_advice(activation):
    x = np.ones((2, 3))
    with pytest.raises(InvalidInput, match="Quadrature"):
        fully_connected_kernels(x, depth=1, activation=activation, weight_scale=1.0, bias_scale=0.1)
    with pytest.raises(InvalidInput, match="closed form"):
        activation_kernels(x, activation=activation)
    with pytest.raises(InvalidInput):
        dual_of(activation)


@pytest.mark.parametrize("x", [np.ones(3), np.full((1, 2), np.nan), np.ones((2, 2), np.float32), np.zeros((0, 2))])
def test_bad_vectors_are_refused(x):
    with pytest.raises(InvalidInput):
        activation_kernels(x, activation="relu")


def test_ball_reference_of_abrelu_is_the_printed_formula():
    """Four ReLU terms against q s + Vd c of the table."""
    with ctx.workdps(50):
        a, b, c = arb("0.7"), arb("1.9"), arb("-0.4")
        disc = a * b - c * c
        value, slope = dual_of(ABRelu(-0.25, 1.5))(a, b, c, disc)
        al, be = arb("-0.25"), arb("1.5")
        t = arb.atan2(disc.sqrt(), c)
        wanted = (al**2 + be**2) / 2 - (al - be) ** 2 / (2 * arb.pi()) * t
        assert abs(slope - wanted) < arb(10) ** -45
        assert abs(value - ((al - be) ** 2 / (2 * arb.pi()) * disc.sqrt() + wanted * c)) < arb(10) ** -45
