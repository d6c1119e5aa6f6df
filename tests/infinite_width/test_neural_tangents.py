"""The bridge to neural-tangents: what it adds to jax, values against closed forms, and where the two disagree."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from nonvacuous.errors import InvalidInput, MissingExtra
from nonvacuous.numerics.kernels import fully_connected_kernels
from nonvacuous.numerics.kernels import neural_tangents as bridge
from nonvacuous.theory.balls.dual_activations import fully_connected_pair

X = np.random.default_rng(0).normal(size=(5, 3))
SW, SB = 1.5, 0.3


@pytest.fixture(scope="module")
def nt():
    pytest.importorskip("jax")
    return bridge.neural_tangents()


def network(depth, activation="Relu"):
    from neural_tangents import stax

    dense = [stax.Dense(64, W_std=SW, b_std=SB) for _ in range(depth)]
    layers = [layer for d in dense for layer in (d, getattr(stax, activation)())]
    return stax.serial(*layers, stax.Dense(1, W_std=SW, b_std=SB))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    bridge.neural_tangents.cache_clear()
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "neural_tangents" else found(name, *more)
    )
    with pytest.raises(MissingExtra, match="neural_tangents"):
        bridge.neural_tangents()


def test_names_are_added_and_none_is_replaced(nt):
    import jax
    import jax.core
    from jax._src import core

    assert jax.core.Jaxpr is core.Jaxpr
    marker = object()
    jax.core.Marked = marker
    bridge._add(jax.core, "Marked", 0)
    assert jax.core.Marked is marker
    del jax.core.Marked


def test_double_precision_is_on_inside_the_block_only(nt):
    import jax.numpy as jnp

    assert jnp.zeros(1).dtype == np.float32
    with bridge.double_precision():
        assert jnp.zeros(1).dtype == np.float64
    assert jnp.zeros(1).dtype == np.float32


@pytest.mark.parametrize(("activation", "name"), [("Relu", "relu"), ("Erf", "erf")])
@pytest.mark.parametrize("depth", [1, 3])
def test_kernels_agree_away_from_coincident_inputs(nt, activation, name, depth):
    _, _, kernel_fn = network(depth, activation)
    theirs = bridge.neural_tangents_kernels(kernel_fn, X, X[:3] + 0.5)
    ours = fully_connected_kernels(X, X[:3] + 0.5, depth=depth, activation=name, weight_scale=SW, bias_scale=SB)
    assert np.abs(theirs.nngp / ours.nngp - 1).max() < 1e-13
    assert np.abs(theirs.ntk / ours.ntk - 1).max() < 1e-12
    batched, whole = (bridge.neural_tangents_kernels(kernel_fn, X[:4], batch_size=size).ntk for size in (2, 0))
    apart = ~np.eye(4, dtype=bool)  # on the diagonal their own two answers differ by 1e-8
    assert np.allclose(batched[apart], whole[apart], rtol=1e-12)


def test_at_nearly_equal_inputs_ours_keeps_its_digits_and_theirs_does_not(nt):
    """The documented disagreement: separations 1e-5 to 1e-9, against 50 digits."""
    _, _, kernel_fn = network(3)
    worst = {"theirs": 0.0, "ours": 0.0}
    for separation in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
        x, y = X[:1], X[:1] + separation * X[1:2]
        scales = {"weight_scale": (SW,) * 4, "bias_scale": (SB,) * 4}
        exact = float(fully_connected_pair(x[0].tolist(), y[0].tolist(), activation="relu", **scales).ntk.mid())
        ours = fully_connected_kernels(x, y, depth=3, activation="relu", weight_scale=SW, bias_scale=SB).ntk[0, 0]
        theirs = bridge.neural_tangents_kernels(kernel_fn, x, y).ntk[0, 0]
        worst["ours"] = max(worst["ours"], abs(ours / exact - 1))
        worst["theirs"] = max(worst["theirs"], abs(theirs / exact - 1))
    assert worst["ours"] < 1e-14
    assert worst["theirs"] > 1e-10


def test_ensemble_covariance_and_largest_learning_rate(nt):
    from nonvacuous.numerics.wide_networks import ensemble_covariance, gram_blocks

    _, _, kernel_fn = network(2, "Erf")
    test = X[:3] + 0.4
    joint = fully_connected_kernels(
        np.concatenate([test, X]), depth=2, activation="erf", weight_scale=SW, bias_scale=SB
    )
    k, t = (gram_blocks(n, m[:3, :3], m[:3, 3:], m[3:, 3:]) for n, m in (("K", joint.nngp), ("T", joint.ntk)))
    with bridge.double_precision():
        import jax.numpy as jnp

        predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, jnp.array(X), jnp.ones((5, 1)), diag_reg=0.0)
        theirs = np.asarray(predict(x_test=jnp.array(test), get="ntk", compute_cov=True).covariance)
        rate = float(nt.predict.max_learning_rate(jnp.array(t.train), y_train_size=5, eps=0.0))
    condition = np.linalg.cond(t.train)
    assert np.abs(theirs - ensemble_covariance(k, t)).max() < 1e3 * 2.0**-52 * condition * k.test.max()
    # their loss is the mean over N C entries, ours the sum
    assert rate == pytest.approx(5 * 2 / np.linalg.eigvalsh(t.train)[-1], rel=1e-12)


def test_a_repeated_input_is_refused_here_and_answered_there(nt):
    _, _, kernel_fn = network(1, "Erf")
    repeated = np.concatenate([X, X[:1]])
    with bridge.double_precision():
        import jax.numpy as jnp

        predict = nt.predict.gradient_descent_mse_ensemble(
            kernel_fn, jnp.array(repeated), jnp.ones((6, 1)), diag_reg=0.0
        )
        found = np.asarray(predict(x_test=jnp.array(X[:2] + 0.3), get="ntk"))
    from nonvacuous.numerics.wide_networks import SingularGram, ensemble_mean, gram_blocks

    joint = fully_connected_kernels(
        np.concatenate([X[:2] + 0.3, repeated]), depth=1, activation="erf", weight_scale=SW, bias_scale=SB
    )
    blocks = gram_blocks("T", joint.ntk[:2, :2], joint.ntk[:2, 2:], joint.ntk[2:, 2:])
    with pytest.raises(SingularGram, match="rank 5"):
        ensemble_mean(blocks, np.ones(6))
    assert np.isfinite(found).all()  # a number without a word about the singular matrix


def test_three_routes_to_the_empirical_kernel(nt, capsys):
    init, apply, _ = network(2)
    with bridge.double_precision():
        import jax

        _, parameters = init(jax.random.key(0), (-1, 3))
        found = [
            np.asarray(nt.empirical_ntk_fn(apply, implementation=route)(X, None, parameters))
            for route in nt.NtkImplementation
        ]
    assert all(np.allclose(kernel, found[0], rtol=1e-12) for kernel in found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": X[0]}, "shape"),
        ({"x": X * np.nan}, "x"),
        ({"batch_size": 2}, "divide"),
        ({"batch_size": -1}, "batch_size"),
        ({"kernel_fn": 3}, "kernel_fn"),
        ({"y": X[:, :2]}, "refused"),
    ],
)
def test_bad_input(nt, changes, words):
    options = {"kernel_fn": network(1)[2], "x": X} | changes
    with pytest.raises(InvalidInput, match=words):
        bridge.neural_tangents_kernels(options.pop("kernel_fn"), options.pop("x"), **options)
