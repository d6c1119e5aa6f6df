"""What every entry of METHODS must do. A new method adds its configurations here and inherits every test."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import nonvacuous as nv
from nonvacuous.numerics.methods import METHODS, find_method, implementation
from nonvacuous.theory.errors import InvalidInput, MissingExtra, UnknownKey

WIDE = {"weight_std": 1.4, "bias_std": 0.3, "noise_variance": 1.0, "tolerance": 1e-2}
CONFIGS = {
    "laplace": [
        {"likelihood": "gaussian", "prior_precision": 1.0, "noise_variance": 0.1, "route": "weight"},
        {"likelihood": "gaussian", "prior_precision": 1.0, "noise_variance": 0.1, "route": "function"},
        {"likelihood": "softmax", "prior_precision": 1.0, "samples": 50, "route": "weight"},
        {"likelihood": "softmax", "prior_precision": 1.0, "samples": 50, "route": "function"},
        {"likelihood": "softmax", "prior_precision": 1.0, "link": "probit"},
    ],
    "deep_ensemble": [WIDE | {"members": 5}],
    "rnd": [WIDE | {"heads": 15}, WIDE | {"heads": 15, "centred": True}],
    "bayesian_rnd": [WIDE | {"heads": 15}, WIDE | {"heads": 15, "directions": "per_head"}],
    "ibvi": [
        {"likelihood": "gaussian", "noise_variance": 0.1, "epochs": 3},
        {"likelihood": "gaussian", "noise_variance": 0.1, "epochs": 3, "expectation": "exact", "parametrisation": "sp"},
        {"likelihood": "softmax", "epochs": 3, "covariance": "kronecker", "rank": None, "parametrisation": "ntp"},
        {
            "likelihood": "softmax",
            "epochs": 3,
            "covariance": "diagonal",
            "batch_size": 4,
            "samples": 2,
            "antithetic": True,
        },
        {
            "likelihood": "softmax",
            "epochs": 3,
            "covariance": "full",
            "start": "module",
            "link": "probit",
            "expectation": "bound",
        },
    ],
    "kl_vi": [
        {"likelihood": "gaussian", "noise_variance": 0.1, "epochs": 3, "learning_rate": 1e-3},
        {"likelihood": "softmax", "epochs": 3, "covariance": "kronecker", "link": "probit"},
        {"likelihood": "softmax", "epochs": 3, "covariance": "full", "layers": ["0"]},
    ],
    "temperature_scaling": [{"likelihood": "softmax"}],
    "sgd_ensemble": [
        {"likelihood": "gaussian", "noise_variance": 0.1, "epochs": 2, "batch_size": 4},
        {"likelihood": "softmax", "epochs": 2, "members": 4, "parametrisation": "mup"},
        {"likelihood": "softmax", "epochs": 2, "members": 4, "start": "reset", "parametrisation": "ntp"},
    ],
    "last_layer_laplace": [
        {"samples": 50, "likelihood": "softmax"},
        {"likelihood": "softmax", "prior_precision": 2.0, "link": "probit"},
    ],
}
CASES = [(method, choice) for method in METHODS for choice in CONFIGS.get(method.name, [])]
EACH = pytest.mark.parametrize(("method", "choice"), CASES, ids=lambda value: getattr(value, "name", None))


def problem(likelihood, seed=0):
    stream = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.BatchNorm1d(4), nn.Linear(4, 3)).double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64))
    x = torch.randn(9, 2, generator=stream, dtype=torch.float64)
    y = torch.randn(9, 3, generator=stream, dtype=torch.float64) if likelihood == "gaussian" else torch.arange(9) % 3
    return net, x, y


def fitted(method, choice, seed=7):
    parts = implementation(method)
    net, x, y = problem(choice.get("likelihood", "gaussian"))
    return parts, net, x, y, parts.fit(net, (x, y), parts.config(**choice), seed=seed, device="cpu")


def equal(one, two):
    for name in ("mean", "variance", "samples", "probs"):
        a, b = getattr(one, name), getattr(two, name)
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_every_method_is_covered_and_names_are_unique():
    assert [method.name for method in METHODS] == list(CONFIGS)


@EACH
def test_shapes_and_meaning(method, choice):
    parts, _, x, _, posterior = fitted(method, choice)
    got = parts.predict(posterior, x[:5])
    assert got.mean.shape == (5, 3)
    assert got.variance.shape == (5, 3, 3)
    torch.testing.assert_close(got.variance, got.variance.mT, rtol=0, atol=1e-14)
    assert (torch.linalg.eigvalsh(got.variance) >= -1e-14 * got.variance.abs().max()).all()
    if choice.get("likelihood", "gaussian") == "softmax":
        assert got.probs.shape == (5, 3)
        torch.testing.assert_close(got.probs.sum(1), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-14)
        assert got.noise_variance is None
    else:
        assert got.probs is None
        assert got.noise_variance > 0
    assert parts.sample(posterior, x[:5], count=4, seed=0).shape == (4, 5, 3)


@EACH
def test_deterministic_for_a_seed_whatever_the_global_state(method, choice):
    parts, _, x, _, posterior = fitted(method, choice)
    state = torch.get_rng_state()
    one, draws = parts.predict(posterior, x), parts.sample(posterior, x, 3, 1)
    torch.rand(5)
    equal(one, parts.predict(fitted(method, choice)[-1], x))
    torch.testing.assert_close(draws, parts.sample(posterior, x, 3, 1), rtol=0, atol=0)
    torch.set_rng_state(state)
    parts.sample(posterior, x, 3, 2)
    assert torch.equal(state, torch.get_rng_state())


@EACH
def test_the_model_is_never_modified(method, choice):
    parts = implementation(method)
    net, x, y = problem(choice.get("likelihood", "gaussian"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    posterior = parts.fit(net, (x, y), parts.config(**choice), seed=0, device="cpu")
    parts.predict(posterior, x)
    parts.sample(posterior, x, 2, 0)
    assert list(net.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None and value.requires_grad for value in net.parameters())
    assert not net.training


@EACH
def test_round_trip_through_a_file(method, choice, tmp_path):
    parts, _, x, _, posterior = fitted(method, choice)
    parts.save(posterior, tmp_path / "posterior")
    other, _, _ = problem(choice.get("likelihood", "gaussian"), seed=99)  # the same architecture with other weights
    again = parts.load(tmp_path / "posterior", other)
    equal(parts.predict(posterior, x), parts.predict(again, x))
    torch.testing.assert_close(parts.sample(posterior, x, 2, 3), parts.sample(again, x, 2, 3), rtol=0, atol=0)


@EACH
def test_bad_input_is_refused(method, choice):
    parts, net, x, y, posterior = fitted(method, choice)
    config = parts.config(**choice)
    bad_x = torch.where(torch.arange(2) == 0, torch.nan, x)
    broken = problem(choice.get("likelihood", "gaussian"))[0]
    with torch.no_grad():
        broken[0].weight[0, 0] = torch.nan
    for model, data in [
        (net, (bad_x, y)),
        (net, (x / 0.0, y)),
        (net, (x[:0], y[:0])),
        (net, []),
        (net, (x.float(), y)),
        (net, (x, y * torch.nan)),
        (net, (x[:, :1], y)),
        (broken, (x, y)),
    ]:
        with pytest.raises(InvalidInput):
            parts.fit(model, data, config, seed=0, device="cpu")
    for points in (bad_x, x[:0], x.float(), x[:, :1], x.numpy()):
        with pytest.raises(InvalidInput):
            parts.predict(posterior, points)
        with pytest.raises(InvalidInput):
            parts.sample(posterior, points, 2, 0)
    for count, seed in ((0, 0), (1.5, 0), (2, -1)):
        with pytest.raises(InvalidInput):
            parts.sample(posterior, x, count, seed)


def test_listing_imports_no_framework():
    code = "import sys, nonvacuous.numerics.methods as m; assert m.METHODS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_and_missing_frameworks(monkeypatch):
    with pytest.raises(UnknownKey, match="laplace"):
        find_method("monte carlo")
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "nonvacuous.numerics.methods.laplace", raising=False)
    with pytest.raises(MissingExtra, match=r"nonvacuous\[torch\]"):
        implementation(find_method("laplace"))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_page_of_a_method_says_what_it_must(method):
    module = sys.modules[implementation(method).fit.__module__]
    for word in ("Objective", "Algorithm", "origin", *method.theorems):
        assert word in module.__doc__
    for field in implementation(method).config.__dataclass_fields__:
        assert field in module.__doc__
    assert np.all([isinstance(key, str) for key in method.theorems])


def test_every_method_is_a_module_of_nv_methods():
    for method in METHODS:
        module = getattr(nv.methods, method.name)
        assert module.fit is implementation(method).fit
        assert method.name in dir(nv.methods)
    with pytest.raises(AttributeError, match="bayesian_rnd"):
        _ = nv.methods.monte_carlo
