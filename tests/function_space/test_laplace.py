"""Linearised Laplace against worked numbers, dense inverses, limits, other libraries' conventions and bad input."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nonvacuous.numerics.methods.data import generator
from nonvacuous.numerics.methods.laplace import LaplaceConfig, fit, load, predict, sample, save
from nonvacuous.numerics.methods.network import freeze, jacobian_blocks
from nonvacuous.theory.errors import InvalidInput, NumericalFailure, StorageError

EPS = np.finfo(float).eps
GAUSSIAN = {"likelihood": "gaussian", "prior_precision": 0.5, "noise_variance": 0.09}


def worked_net():
    """The (1, 4, 1) tanh network of the worked numbers: W_l[i,j] = cos(2i+j+l)/sqrt(fan in), b_l[i] = sin(i+l)/5."""
    net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    with torch.no_grad():
        for layer, part in ((1, net[0]), (2, net[2])):
            rows, columns = part.weight.shape
            i, j = torch.arange(1, rows + 1).double(), torch.arange(1, columns + 1).double()
            part.weight.copy_(torch.cos(2 * i[:, None] + j[None, :] + layer) / math.sqrt(columns))
            part.bias.copy_(torch.sin(i + layer) / 5)
    return net


def worked_data():
    n = torch.arange(1, 7).double()
    x = -1.5 + 0.4 * n
    return x[:, None], (torch.cos(3 * x) / 2 + torch.sin(4 * n) / 10)[:, None]


def classifier(seed=0, inputs=2, classes=3):
    torch_state = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, classes)).double()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=torch_state, dtype=torch.float64))
    x = torch.randn(14, inputs, generator=torch_state, dtype=torch.float64)
    return net, x, torch.arange(14) % classes


def all_jacobians(net, x):
    network = freeze(net, "cpu")
    width = net(x).shape[1]
    return torch.cat(list(jacobian_blocks(network, x, width))).numpy()


def test_worked_outputs_eigenvalues_and_variances():
    net, (x, y) = worked_net(), worked_data()
    f = [-0.283377601890017, -0.210195601349523, -0.0873915098501706,
         0.0616044296899871, 0.189347986343038, 0.265691629886535]  # fmt: skip
    np.testing.assert_allclose(net(x).detach()[:, 0], f, rtol=0, atol=1e-15)
    jacobian = all_jacobians(net, x)[:, 0]
    ggn = np.linalg.eigvalsh(jacobian @ jacobian.T / 0.09)[::-1]
    np.testing.assert_allclose(ggn[:4], [89.8242852718832, 51.3242297392945, 0.717969549885914, 0.113597556428615],
                               rtol=1e-12)  # fmt: skip
    np.testing.assert_allclose(ggn[4:], [4.5183e-4, 5.4366e-5], rtol=2e-5)
    test = torch.tensor([[-2.5], [0.2], [2.0]], dtype=torch.float64)
    for route in ("weight", "function"):
        posterior = fit(net, (x, y), LaplaceConfig(route=route, **GAUSSIAN), seed=0, device="cpu")
        got = predict(posterior, test)
        np.testing.assert_allclose(
            got.variance[:, 0, 0], [0.588769474209513, 0.0313580419368273, 0.457649235047414], rtol=1e-13
        )
        np.testing.assert_array_equal(got.mean, net(test).detach())
        assert got.noise_variance == 0.09


@pytest.mark.parametrize("likelihood", ["gaussian", "softmax"])
def test_both_routes_equal_a_dense_inverse(likelihood):
    net, x, labels = classifier()
    targets = net(x).detach() + 1 if likelihood == "gaussian" else labels
    noise = {"noise_variance": 0.3} if likelihood == "gaussian" else {}
    test = torch.linspace(-2, 2, 8, dtype=torch.float64).reshape(4, 2)
    jacobian, away = all_jacobians(net, x), all_jacobians(net, test)
    p = torch.softmax(net(x), 1).detach().numpy()
    curvature = [np.eye(3) / 0.3 if likelihood == "gaussian" else np.diag(q) - np.outer(q, q) for q in p]
    precision = 0.7 * np.eye(jacobian.shape[2]) + sum(j.T @ c @ j for j, c in zip(jacobian, curvature, strict=True))
    expected = away @ np.linalg.inv(precision) @ away.transpose(0, 2, 1)
    tolerance = 100 * EPS * np.linalg.cond(precision) * np.abs(expected).max()
    for route in ("weight", "function"):
        config = LaplaceConfig(prior_precision=0.7, likelihood=likelihood, route=route, link="probit", **noise)
        got = predict(fit(net, (x, targets), config, seed=0, device="cpu"), test)
        np.testing.assert_allclose(got.variance, expected, rtol=0, atol=tolerance)


def test_auto_takes_the_cheaper_route():
    net, x, labels = classifier()  # P = 33
    config = LaplaceConfig(prior_precision=1.0, likelihood="softmax")
    assert fit(net, (x[:11], labels[:11]), config, seed=0, device="cpu").rows is not None  # N C = 33
    assert fit(net, (x[:12], labels[:12]), config, seed=0, device="cpu").rows is None  # N C = 36


def test_two_linear_classes_are_a_logistic_regression():
    # logits (z, 0): curvature p(1-p) for the logit difference, so the classes' covariance is that of one logit
    net = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.8], [-0.1]], dtype=torch.float64))
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    config = LaplaceConfig(prior_precision=2.0, likelihood="softmax", link="probit")
    got = predict(fit(net, (x, torch.tensor([0, 1])), config, seed=0, device="cpu"), x[:1])
    p = 1 / (1 + np.exp(-0.9 * np.array([1.0, 2.0])))
    ggn = np.sum(p * (1 - p) * np.array([1.0, 4.0])) * np.array([[1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_allclose(got.variance[0], np.linalg.inv(ggn + 2 * np.eye(2)), rtol=1e-14)


@pytest.mark.parametrize("route", ["weight", "function"])
def test_draws_have_the_posterior_covariance_and_are_functions(route):
    net, x, labels = classifier()
    config = LaplaceConfig(prior_precision=0.7, likelihood="softmax", route=route)
    posterior = fit(net, (x, labels), config, seed=0, device="cpu")
    test = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2)
    got, count = predict(posterior, test), 20_000
    draws = sample(posterior, test, count, seed=4)
    for n in range(3):
        centred = (draws[:, n] - got.mean[n]).numpy()
        true = got.variance[n].numpy()
        # standard error of an entry of a Gaussian sample covariance; 1e-6 split over 18 + 9 entries is 5.8 sigma
        error = np.sqrt((np.outer(np.diag(true), np.diag(true)) + true**2) / count)
        assert (np.abs(centred.T @ centred / count - true) < 5.8 * error).all()
        assert (np.abs(centred.mean(0)) < 5.8 * np.sqrt(np.diag(true) / count)).all()
    np.testing.assert_allclose(sample(posterior, test[1:2], count, seed=4)[:, 0], draws[:, 1], rtol=0, atol=1e-12)
    assert not torch.equal(sample(posterior, test, 2, seed=5), draws[:2])


def test_probabilities_by_both_links():
    net, x, labels = classifier()
    base = {"prior_precision": 5.0, "likelihood": "softmax"}
    probit = predict(fit(net, (x, labels), LaplaceConfig(link="probit", **base), seed=0, device="cpu"), x)
    scale = np.sqrt(1 + math.pi / 8 * np.diagonal(probit.variance.numpy(), axis1=1, axis2=2))
    np.testing.assert_allclose(probit.probs, torch.softmax(probit.mean / torch.tensor(scale), 1), rtol=1e-14)
    assert probit.samples is None
    mc = predict(fit(net, (x, labels), LaplaceConfig(samples=4000, **base), seed=0, device="cpu"), x)
    assert mc.samples.shape == (4000, 14, 3)
    many = torch.softmax(sample(fit(net, (x, labels), LaplaceConfig(**base), seed=0, device="cpu"), x, 20_000, 9), 2)
    error = torch.sqrt(many.var(0) * (1 / 4000 + 1 / 20_000))
    assert (torch.abs(mc.probs - many.mean(0)) < 5.6 * error).all()  # 1e-6 over 42 probabilities


def test_frozen_parameters_are_constants():
    # with everything but the last layer frozen, the variance is that of Bayesian linear regression on its features
    net, (x, y) = worked_net(), worked_data()
    for value in net[0].parameters():
        value.requires_grad_(False)
    test = torch.tensor([[-2.5], [0.2], [2.0]], dtype=torch.float64)
    got = predict(fit(net, (x, y), LaplaceConfig(**GAUSSIAN), seed=0, device="cpu"), test)
    np.testing.assert_allclose(
        got.variance[:, 0, 0], [0.154047561251466, 0.0218407802962971, 0.214510063065594], rtol=1e-13
    )


def test_loader_equals_tensors_and_the_model_may_change_afterwards():
    net, (x, y) = worked_net(), worked_data()
    config = LaplaceConfig(**GAUSSIAN)
    one = fit(net, (x, y), config, seed=0, device="cpu")
    two = fit(net, DataLoader(TensorDataset(x, y), batch_size=4), config, seed=0, device="cpu")
    before = predict(one, x)
    with torch.no_grad():
        net[0].weight.zero_()
    np.testing.assert_array_equal(predict(one, x).variance, before.variance)
    np.testing.assert_allclose(predict(two, x).variance, before.variance, rtol=1e-13)


def test_single_precision_model_and_arithmetic():
    net, (x, y) = worked_net().float(), worked_data()
    for dtype in ("float64", "float32"):
        got = predict(
            fit(net, (x.float(), y.float()), LaplaceConfig(dtype=dtype, **GAUSSIAN), seed=0, device="cpu"), x.float()
        )
        assert str(got.variance.dtype) == str(got.mean.dtype) == f"torch.{dtype}"
        # cond(H) = 181: single precision keeps 1.2e-7 * 181 * 100
        expected = predict(fit(net.double(), (x, y), LaplaceConfig(**GAUSSIAN), seed=0, device="cpu"), x).variance
        np.testing.assert_allclose(got.variance, expected, rtol=100 * 181 * np.finfo(np.float32).eps)
        net.float()


def test_batch_norm_and_dropout_must_be_in_evaluation_mode():
    x, y = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), torch.arange(5) % 2
    config = LaplaceConfig(prior_precision=1.0, likelihood="softmax", link="probit")
    for part in (nn.BatchNorm1d(4), nn.Dropout(0.5)):
        net = nn.Sequential(nn.Linear(3, 4), part, nn.Linear(4, 2)).double()
        with pytest.raises(InvalidInput, match=r"training mode.*eval"):
            fit(net, (x, y), config, seed=0, device="cpu")
        assert predict(fit(net.eval(), (x, y), config, seed=0, device="cpu"), x).probs.shape == (5, 2)
    bare = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2)).double().eval()
    with pytest.raises(InvalidInput, match="running statistics"):
        fit(bare, (x, y), config, seed=0, device="cpu")


def test_hidden_randomness_is_refused():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1).double()

        def forward(self, x):
            return self.layer(x) + torch.rand_like(x)

    with pytest.raises(InvalidInput, match="Jacobian"):
        fit(Noisy(), worked_data(), LaplaceConfig(**GAUSSIAN), seed=0, device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"prior_precision": 0.0},
        {"prior_precision": math.nan},
        {"prior_precision": "1"},
        {"noise_variance": None},
        {"noise_variance": -1.0},
        {"likelihood": "poisson"},
        {"likelihood": "softmax"},
        {"route": "both"},
        {"link": "logit"},
        {"samples": 0},
        {"dtype": "float16"},
    ],
)
def test_bad_configurations_are_refused(changes):
    with pytest.raises(InvalidInput):
        LaplaceConfig(**(GAUSSIAN | changes))


def test_bad_models_and_targets_are_refused():
    net, (x, y) = worked_net(), worked_data()
    config = LaplaceConfig(**GAUSSIAN)
    softmax = LaplaceConfig(prior_precision=1.0, likelihood="softmax")
    three = nn.Linear(1, 3).double()
    cases = [
        (lambda v: v, (x, y), config),
        (nn.Flatten(), (x, y), config),
        (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).double()), (x, y), config),
        (nn.Sequential(net, nn.Flatten(0)), (x, y), config),
        (net, (x.repeat(1, 2), y), config),
        (net, (x, y[:, 0]), config),
        (net, (x, y[:3]), config),
        (net, (x, y.long()), config),
        (net, x, config),
        (net, [x, y, y], config),
        (net, 3, config),
        (net, (x, y), {"likelihood": "gaussian"}),
        (net, (x, torch.zeros(6, dtype=torch.int64)), softmax),
        (three, (x, y), softmax),
        (three, (x, torch.tensor([0, 1, 2, 3, 0, 1])), softmax),
        (three, (x, torch.tensor([0, 1, 2, -1, 0, 1])), softmax),
    ]
    for model, data, choice in cases:
        with pytest.raises(InvalidInput):
            fit(model, data, choice, seed=0, device="cpu")
    for seed in (-1, 0.5, True, None):
        with pytest.raises(InvalidInput, match="seed"):
            fit(net, (x, y), config, seed=seed, device="cpu")
    with pytest.raises(InvalidInput, match="device"):
        fit(net, (x, y), config, seed=0, device="quantum")


def test_breakdown_is_reported_and_not_repaired():
    net = nn.Linear(2, 1, bias=False).double()
    x = torch.full((1, 2), 2.0**30, dtype=torch.float64)
    tiny = {"likelihood": "gaussian", "prior_precision": 2.0**-40, "noise_variance": 2.0**-40}
    with pytest.raises(NumericalFailure, match="Cholesky"):
        fit(net, (x, x[:, :1]), LaplaceConfig(route="weight", **tiny), seed=0, device="cpu")


def test_files_that_are_not_posteriors(tmp_path):
    net, data = worked_net(), worked_data()
    posterior = fit(net, data, LaplaceConfig(**GAUSSIAN), seed=0, device="cpu")
    good = tmp_path / "posterior.safetensors"
    save(posterior, good)
    (tmp_path / "text").write_text("no tensors here")
    (tmp_path / "cut").write_bytes(good.read_bytes()[:-8])
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "other")
    for name in ("text", "cut", "other"):
        with pytest.raises(InvalidInput):
            load(tmp_path / name, net)
    for model in (nn.Linear(1, 1).double(), worked_net().float()):
        with pytest.raises(InvalidInput, match="tensors"):
            load(good, model)
    with pytest.raises(StorageError):
        load(tmp_path / "missing", net)
    with pytest.raises(StorageError):
        save(posterior, tmp_path / "no" / "folder" / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "other", "posterior.safetensors", "text"]


def test_streams_of_different_purposes_differ():
    one, two = (torch.randn(4, generator=generator(3, name, torch.device("cpu"))) for name in ("predict", "sample"))
    assert not torch.equal(one, two)
