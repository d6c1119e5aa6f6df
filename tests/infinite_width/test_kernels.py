"""NNGP and NTK kernels against ball arithmetic, and what any kernel of this family must satisfy."""

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.kernels.duals.rectified import sine_minus_t_cosine
from nonvacuous.numerics.kernels.duals.table import dual_activation
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels, nngp_kernel, ntk_kernel
from nonvacuous.numerics.kernels.pairs import affine, input_state
from nonvacuous.theory.balls.dual_activations import fully_connected_pair
from nonvacuous.theory.errors import InvalidInput

EPS = np.finfo(np.float64).eps


def relative_errors(x, y, **architecture):
    """Errors of K and T relative to sqrt(K(x,x) K(y,y)) and sqrt(T(x,x) T(y,y)), in units of eps times the layers."""
    depth = len(architecture["weight_scale"]) - 1
    ours = fully_connected_kernels(x[None], y[None], depth=depth, **architecture)
    exact = fully_connected_pair(list(x), list(y), **architecture)
    with ctx.workdps(60):
        errors = []
        for value, ball, scale in (
            (ours.nngp, exact.nngp, exact.nngp_xx * exact.nngp_yy),
            (ours.ntk, exact.ntk, exact.ntk_xx * exact.ntk_yy),
        ):
            error = abs(float(ball - float(value[0, 0])))
            errors.append(error / float(scale.sqrt()) if scale > 0 else error)
    return np.array(errors) / (EPS * (depth + 1))


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize(
    "separation", [10.0**-k for k in (0, 1, 3, 6, 9, 12)] + ["equal", "antiparallel", "zero", "parallel"]
)
def test_kernels_keep_their_digits_at_every_separation(activation, separation):
    rng = np.random.default_rng(3)
    for depth in (1, 2, 5):
        for bias in (0.0, 0.1, 1.0):
            x = rng.normal(size=3) * rng.choice([0.1, 1.0, 3.0])
            partner = {"equal": x, "antiparallel": -2 * x, "zero": 0 * x, "parallel": 1.0001 * x}
            y = partner[separation] if isinstance(separation, str) else x + separation * rng.normal(size=3)
            weights, biases = [1.3] * depth + [0.7], [bias] * depth + [bias / 2]
            errors = relative_errors(x, y, activation=activation, weight_scale=weights, bias_scale=biases)
            # about ten roundings a layer; erf's discriminant amplifies one of them by sqrt(ab)
            amplification = 1.3**2 * np.linalg.norm(x) * np.linalg.norm(y) / 3 + bias**2
            assert (errors <= 10 + 4 * amplification).all(), (depth, bias, errors)


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_squared_distances_keep_their_digits(name):
    rng = np.random.default_rng(4)
    for separation in (1e-1, 1e-4, 1e-8, 1e-12):
        for bias in (0.0, 0.3):
            x = rng.normal(size=4)
            y = x + separation * rng.normal(size=4)
            state = input_state(x[None], y[None], 1.2, bias)
            for depth in (1, 2, 3):
                state = affine(dual_activation(name, state), 1.2, bias)
                scales = {"weight_scale": [1.2] * (depth + 1), "bias_scale": [bias] * (depth + 1)}
                exact = fully_connected_pair(list(x), list(y), activation=name, digits=80, **scales)
                with ctx.workdps(80):
                    distance = exact.nngp_xx + exact.nngp_yy - 2 * exact.nngp
                    error = abs(float(state.squared_distance[0, 0] / distance - 1))
                assert error < 20 * (depth + 1) * EPS


def test_series_and_direct_form_of_sine_minus_t_cosine_meet():
    t = np.array([0.0, 1e-8, 1e-3, 0.1, np.nextafter(0.3, 0), 0.3, 1.0, np.pi])
    with ctx.workdps(40):
        exact = np.array([float(arb(float(v)).sin() - arb(float(v)) * arb(float(v)).cos()) for v in t])
    # the direct form cancels to t^3/3 of about t
    allowed = np.where(t < 0.3, 4, 4 * 3 / np.maximum(t, 0.3) ** 2) * EPS * np.abs(exact)
    assert (np.abs(sine_minus_t_cosine(t) - exact) <= allowed).all()


inputs = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(size=(6, 3)))
architectures = st.fixed_dictionaries(
    {
        "depth": st.integers(1, 4),
        "activation": st.sampled_from(["relu", "erf"]),
        "weight_scale": st.floats(0.3, 2.5),
        "bias_scale": st.one_of(st.just(0.0), st.floats(1e-70, 1.5)),
    }
)


@settings(max_examples=40, deadline=None)
@given(inputs, architectures)
def test_gram_matrices_are_symmetric_and_positive_and_ordered(x, architecture):
    x = np.concatenate([x, x[:1], x[:1] + 1e-9, -x[:1], 0 * x[:1]])  # hard neighbours
    kernels = fully_connected_kernels(x, **architecture)
    for gram in (kernels.nngp, kernels.ntk, kernels.ntk - kernels.nngp):
        assert (gram == gram.T).all()
        # eigenvalues of a matrix with entrywise errors of eps times the scale
        assert np.linalg.eigvalsh(gram)[0] >= -100 * len(x) * EPS * np.abs(kernels.ntk).max()
    assert (kernels.nngp[0, 0], kernels.ntk[0, 0]) == (kernels.nngp[0, 6], kernels.ntk[0, 6])  # a repeated row


@settings(max_examples=25, deadline=None)
@given(inputs, architectures, st.integers(0, 100))
def test_kernels_follow_permutations_rotations_and_swaps(x, architecture, seed):
    rng = np.random.default_rng(seed)
    order, rotation = rng.permutation(6), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    kernels = fully_connected_kernels(x, **architecture)
    assert (fully_connected_kernels(x[order], **architecture).ntk == kernels.ntk[np.ix_(order, order)]).all()
    cross = fully_connected_kernels(x[:2], x[2:], **architecture)
    assert (cross.ntk == kernels.ntk[:2, 2:]).all()
    assert (fully_connected_kernels(x[2:], x[:2], **architecture).nngp == cross.nngp.T).all()
    turned = fully_connected_kernels(x @ rotation, **architecture).ntk
    assert np.abs(turned - kernels.ntk).max() <= 1e3 * EPS * np.abs(kernels.ntk).max()


def test_relu_without_bias_is_homogeneous_and_halves_the_diagonal():
    x = np.random.default_rng(0).normal(size=(4, 5))
    architecture = {"depth": 3, "activation": "relu", "weight_scale": np.sqrt(2), "bias_scale": 0.0}
    kernels = fully_connected_kernels(x, 3 * x, **architecture)
    reference = fully_connected_kernels(x, **architecture)
    np.testing.assert_allclose(kernels.ntk, 3 * reference.ntk, rtol=1e-14)
    # sw^2 = 2 keeps norms, and every layer adds the same share to the tangent kernel
    np.testing.assert_allclose(np.diag(reference.nngp), 2 * (x**2).sum(axis=1) / 5, rtol=1e-14)
    np.testing.assert_allclose(np.diag(reference.ntk), 4 * np.diag(reference.nngp), rtol=1e-14)


def test_relu_ntk_has_a_kink_and_nngp_has_none():
    x = np.array([[0.4, -1.1, 0.6]])
    direction = np.array([0.3, 0.5, -0.2])
    architecture = {"depth": 1, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.3}
    steps = np.array([1e-4, 1e-5, 1e-6])
    y = x + steps[:, None] * direction
    drop = np.diag(ntk_kernel(x, **architecture)) - ntk_kernel(x, y, **architecture)[0]
    drop = drop + np.diag(ntk_kernel(y, **architecture)) - ntk_kernel(y, x, **architecture)[:, 0]
    slopes = np.diff(np.log(drop)) / np.diff(np.log(steps))
    assert np.abs(slopes - 1).max() < 0.02
    state = affine(dual_activation("relu", input_state(x, y, 1.4, 0.3)), 1.4, 0.3)
    slopes = np.diff(np.log(state.squared_distance[0])) / np.diff(np.log(steps))
    assert np.abs(slopes - 2).max() < 0.02


def test_large_and_small_inputs_keep_relative_accuracy():
    x = np.array([[1.0, 2.0], [-0.5, 0.3]])
    architecture = {"depth": 2, "activation": "relu", "weight_scale": 1.0, "bias_scale": 0.0}
    reference = ntk_kernel(x, **architecture)
    for scale in (2.0**-200, 2.0**100):
        np.testing.assert_allclose(ntk_kernel(x * scale, **architecture) / scale**2, reference, rtol=1e-14)


GOOD = {"depth": 1, "activation": "relu", "weight_scale": 1.0, "bias_scale": 0.1}


@pytest.mark.parametrize(
    ("x", "changes"),
    [
        (np.zeros(3), {}),
        (np.zeros((0, 3)), {}),
        (np.array([[np.nan]]), {}),
        (np.array([[np.inf]]), {}),
        (np.ones((2, 2), dtype=np.float32), {}),
        ([["a"]], {}),
        (np.full((1, 1), 1e200), {}),
        (np.full((1, 1), 1e-100), {"bias_scale": 0.0}),
        (np.ones((2, 2)), {"depth": 0}),
        (np.ones((2, 2)), {"depth": 1.5}),
        (np.ones((2, 2)), {"activation": "tanh"}),
        (np.ones((2, 2)), {"weight_scale": [1.0]}),
        (np.ones((2, 2)), {"weight_scale": 0.0}),
        (np.ones((2, 2)), {"bias_scale": -1.0}),
        (np.ones((2, 2)), {"bias_scale": np.nan}),
        (np.ones((2, 2)), {"y": np.ones((2, 3))}),
    ],
)
def test_bad_input_is_refused(x, changes):
    arguments = GOOD | changes
    with pytest.raises(InvalidInput):
        nngp_kernel(x, arguments.pop("y", None), **arguments)


def test_reference_refuses_bad_input():
    for change in ({"activation": "tanh"}, {"weight_scale": [1.0]}, {"bias_scale": [1.0]}):
        with pytest.raises(InvalidInput):
            fully_connected_pair(
                [1.0], [2.0], **({"activation": "relu", "weight_scale": [1, 1], "bias_scale": [0, 0]} | change)
            )
    with pytest.raises(InvalidInput):
        fully_connected_pair([1.0], [2.0, 3.0], activation="relu", weight_scale=[1, 1], bias_scale=[0, 0])
