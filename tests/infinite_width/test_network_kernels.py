"""Residual blocks, layer normalisation, dropout and attention: against neural-tangents, and what they must satisfy."""

import numpy as np
import pytest

from nonvacuous.numerics.kernels import neural_tangents as bridge
from nonvacuous.numerics.kernels.architectures.attention import attention_kernels
from nonvacuous.numerics.kernels.architectures.network import network_kernels
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.theory.architectures import Activate, Dense, Dropout, LayerNorm, Residual
from nonvacuous.theory.balls.architectures import network_pair
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

EPS = np.finfo(np.float64).eps
RNG = np.random.default_rng(1)
X = RNG.normal(size=(4, 3))
RELU, ERF = Activate("relu"), Activate("erf")


@pytest.fixture(scope="module")
def nt():
    pytest.importorskip("jax")
    return bridge.neural_tangents()


@pytest.mark.filterwarnings("ignore:`FanIn` layers assume independent inputs:UserWarning")
def test_agrees_with_neural_tangents(nt):
    from neural_tangents import stax

    def dense(w, b):
        return stax.Dense(8, W_std=w, b_std=b)

    branch = stax.serial(stax.Relu(), dense(1.2, 0.3))
    residual = stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum())
    head, tail = Dense(1.3, 0.2), Dense(1.0, 0.1)
    for ours, theirs in (
        ((Residual((RELU, Dense(1.2, 0.3))), ERF), (residual, stax.Erf())),
        ((LayerNorm(1e-3), RELU), (stax.LayerNorm(eps=1e-3), stax.Relu())),
        (
            (RELU, Dropout(0.7), Dense(1.2, 0.3), RELU, Dropout(0.4)),
            (stax.Relu(), stax.Dropout(0.7), dense(1.2, 0.3), stax.Relu(), stax.Dropout(0.4)),
        ),
    ):
        _, _, kernel_fn = stax.serial(dense(1.3, 0.2), *theirs, dense(1.0, 0.1))
        for y in (None, X + 0.3):
            found = bridge.neural_tangents_kernels(kernel_fn, X, y)
            mine = network_kernels(X, y, layers=(head, *ours, tail))
            for a, b in ((found.nngp, mine.nngp), (found.ntk, mine.ntk)):
                assert np.abs(a - b).max() < 1e-7 * np.abs(b).max()
                apart = ~np.eye(4, dtype=bool)  # on the diagonal their angle is rounded to 1e-8
                assert np.abs(a - b)[apart].max() < 1e-13 * np.abs(b).max()


def test_a_chain_of_dense_layers_is_the_fully_connected_kernel():
    layers = (Dense(1.3, 0.2), RELU, Dense(1.1, 0.4), RELU, Dense(0.9, 0.1))
    ours = network_kernels(X, X[:2], layers=layers)
    dense = fully_connected_kernels(
        X, X[:2], depth=2, activation="relu", weight_scale=(1.3, 1.1, 0.9), bias_scale=(0.2, 0.4, 0.1)
    )
    assert np.allclose(ours.nngp, dense.nngp, rtol=1e-14)
    assert np.allclose(ours.ntk, dense.ntk, rtol=1e-14)


def test_two_linear_branches_are_one_linear_layer():
    """h + W h has K' = (1 + w^2) K; two such blocks of T' = T + w^2 (K + T)."""
    w = 0.7
    found = network_kernels(X, layers=(Dense(1.2), Residual((Dense(w),)), Dense(1.0)))
    k = 1.2**2 * X @ X.T / 3
    assert np.allclose(found.nngp, (1 + w**2) * k, rtol=1e-13)
    assert np.allclose(found.ntk, (1 + w**2) * k + k + w**2 * (k + k), rtol=1e-13)


def test_nearly_equal_inputs_keep_their_digits():
    layers = (Dense(1.3), Residual((LayerNorm(0.1), RELU, Dense(1.2, 0.3))), LayerNorm(), RELU, Dense(1.1, 0.2))
    for separation in (1e-1, 1e-5, 1e-9, 1e-12, 0.0):
        y = X[:1] + separation * X[1:2]
        ours = network_kernels(X[:1], y, layers=layers)
        exact = network_pair(X[0].tolist(), y[0].tolist(), layers=layers)
        assert abs(ours.nngp[0, 0] / float(exact[0]) - 1) < 1e-14
        assert abs(ours.ntk[0, 0] / float(exact[1]) - 1) < 1e-14


def test_layer_norm_does_not_see_the_size_of_an_input():
    layers = (Dense(1.3), LayerNorm(), RELU, Dense(1.2, 0.4), RELU, Dense(1.0))
    sizes = np.array([1e-3, 0.5, 20.0, 1e4])[:, None]
    a, b = network_kernels(X, layers=layers), network_kernels(sizes * X, layers=layers)
    assert np.allclose(a.nngp, b.nngp, rtol=1e-13)
    assert np.allclose(a.ntk, b.ntk, rtol=1e-13)


def test_positive_semi_definite_and_the_hidden_share_too():
    layers = (
        Dense(1.3, 0.1),
        Residual((RELU, Dense(1.1, 0.2))),
        RELU,
        Dropout(0.5),
        Dense(1.0),
        LayerNorm(),
        ERF,
        Dense(1.1, 0.3),
    )
    found = network_kernels(RNG.normal(size=(12, 4)), layers=layers)
    for k in (found.nngp, found.ntk, found.ntk - found.nngp):
        assert np.array_equal(k, k.T)
        assert np.linalg.eigvalsh(k).min() > -1e3 * EPS * np.trace(k)


def test_dropout_touches_diagonals_alone_and_not_between_two_draws():
    layers = (Dense(1.3, 0.2), RELU, Dropout(0.5), Dense(1.1))
    plain, masked = (network_kernels(X, layers=net) for net in (layers[:2] + layers[3:], layers))
    apart = ~np.eye(4, dtype=bool)
    assert np.allclose(masked.nngp[apart], plain.nngp[apart], rtol=1e-14)
    assert np.allclose(np.diag(masked.ntk), 2 * np.diag(plain.ntk), rtol=1e-14)
    assert np.allclose(network_kernels(X, X, layers=layers).ntk, plain.ntk, rtol=1e-14)
    assert np.allclose(network_kernels(X, layers=(*layers[:2], Dropout(1.0), layers[3])).ntk, plain.ntk, rtol=1e-14)


class BatchNorm1d:
    """Stands for torch.nn.BatchNorm1d."""


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        ((), InvalidInput, "layers"),
        ((Dense(1.0), RELU), InvalidInput, "not Dense"),
        ((RELU, Dense(1.0)), AssumptionViolated, "not Gaussian"),
        ((Dense(1.0), RELU, ERF, Dense(1.0)), AssumptionViolated, "not Gaussian"),
        ((Dense(1.0), RELU, LayerNorm(), Dense(1.0)), AssumptionViolated, "not Gaussian"),
        ((Dense(1.0), Dropout(0.5), RELU, Dense(1.0)), AssumptionViolated, "not Gaussian"),
        ((Dense(1.0), RELU, Residual((Dense(1.0),)), Dense(1.0)), InvalidInput, "Residual"),
        ((Dense(1.0), BatchNorm1d(), RELU, Dense(1.0)), AssumptionViolated, "Batch normalisation"),
        ((Dense(1.0), "something", Dense(1.0)), InvalidInput, "no layer"),
        ((Dense(1.0), Activate("sign"), Dense(1.0)), AssumptionViolated, "tangent kernel"),
    ],
)
def test_networks_without_a_closed_form_are_refused(layers, error, match):
    with pytest.raises(error, match=match):
        network_kernels(X, layers=layers)


def test_bad_layers_and_inputs_are_refused():
    for bad in (
        lambda: Dense(0.0),
        lambda: Dense(1.0, -0.1),
        lambda: Dense(float("nan")),
        lambda: LayerNorm(-1.0),
        lambda: Dropout(0.0),
        lambda: Dropout(1.1),
        lambda: Activate("tanh"),
        lambda: Residual(()),
        lambda: network_kernels(X.astype(np.float32), layers=(Dense(1.0),)),
        lambda: network_kernels(X, X[:, :2], layers=(Dense(1.0),)),
        lambda: network_kernels(np.zeros((2, 3)), layers=(Dense(1.0), LayerNorm(), RELU, Dense(1.0))),
    ):
        with pytest.raises(InvalidInput):
            bad()
    with pytest.raises(AssumptionViolated, match="fresh"):
        Residual((Dense(1.0), RELU))


SEQUENCES = RNG.normal(size=(2, 4, 3))
ATTENTION = {"query_key_scale": 1.1, "output_value_scale": 0.9, "bias_scale": 0.3}


def attention_blocks(x, y):
    xx, xy, yy = (1.3**2 * u @ v.T / 3 + 0.04 for u, v in ((x, x), (x, y), (y, y)))
    return {"nngp_xx": xx, "nngp_xy": xy, "nngp_yy": yy, "ntk_xy": xy}


@pytest.mark.parametrize(("mechanism", "scaling"), [("softmax", "1/n"), ("identity", "1/n"), ("identity", "1/sqrt(n)")])
@pytest.mark.filterwarnings("ignore:Linear scaling attention used:UserWarning")
def test_attention_agrees_with_neural_tangents(nt, mechanism, scaling):
    from neural_tangents import stax

    with bridge.double_precision():
        import jax.numpy as jnp

        layer = stax.GlobalSelfAttention(
            8, n_chan_key=8, n_chan_val=8, n_heads=2, linear_scaling=scaling == "1/n", W_key_std=1.1, W_query_std=1.0,
            W_value_std=0.9, W_out_std=1.0, b_std=0.3, attention_mechanism=mechanism.upper(), pos_emb_type="NONE",
        )  # fmt: skip
        _, _, kernel_fn = stax.serial(stax.Dense(8, W_std=1.3, b_std=0.2), layer)
        found = kernel_fn(jnp.asarray(SEQUENCES), None, ("nngp", "ntk"))
        theirs = np.asarray(found.nngp), np.asarray(found.ntk)
    for i, j in ((0, 0), (0, 1)):
        blocks = attention_blocks(SEQUENCES[i], SEQUENCES[j])
        ours = attention_kernels(**blocks, **ATTENTION, mechanism=mechanism, scaling=scaling)
        for a, b in ((theirs[0][i, j], ours.nngp), (theirs[1][i, j], ours.ntk)):
            assert np.abs(a - b).max() < 1e-13 * np.abs(b).max()


def test_attention_of_one_position_is_two_dense_layers():
    blocks = attention_blocks(SEQUENCES[0, :1], SEQUENCES[1, :1])
    ours = attention_kernels(**blocks, **ATTENTION)
    layers = (Dense(1.3, 0.2), Dense(0.9), Dense(1.0, 0.3))
    dense = network_kernels(SEQUENCES[0, :1], SEQUENCES[1, :1], layers=layers)
    assert ours.nngp[0, 0] == pytest.approx(dense.nngp[0, 0], rel=1e-14)
    assert ours.ntk[0, 0] == pytest.approx(dense.ntk[0, 0], rel=1e-14)


def test_attention_is_equivariant_under_permutations_of_positions():
    x, y = SEQUENCES
    order = np.array([2, 0, 3, 1])
    for mechanism, scaling in (("softmax", "1/n"), ("identity", "1/n"), ("identity", "1/sqrt(n)")):
        spec = {**ATTENTION, "mechanism": mechanism, "scaling": scaling}
        a, b = (
            attention_kernels(**attention_blocks(x, y), **spec),
            attention_kernels(**attention_blocks(x[order], y), **spec),
        )
        assert np.allclose(a.ntk[order], b.ntk, rtol=1e-13)


def test_the_usual_softmax_scaling_is_refused_with_an_explanation():
    with pytest.raises(AssumptionViolated, match="no Gaussian limit"):
        attention_kernels(**attention_blocks(*SEQUENCES), **ATTENTION, mechanism="softmax", scaling="1/sqrt(n)")
    for changes in (
        {"mechanism": "relu"},
        {"scaling": "1"},
        {"bias_scale": -1.0},
        {"query_key_scale": float("nan")},
        {"nngp_xx": np.eye(3)},
        {"ntk_xy": np.eye(4, dtype=np.float32)},
    ):
        with pytest.raises(InvalidInput):
            attention_kernels(**{**attention_blocks(*SEQUENCES), **ATTENTION, **changes})
