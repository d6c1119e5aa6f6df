"""IBVI as a user meets it: real data in a few lines, resuming, refusals by name, and what a file keeps."""

import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.numerics import methods, variational
from nonvacuous.numerics.methods import ibvi, kl_vi
from nonvacuous.statements import STATEMENTS
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure


def digits():
    from sklearn.datasets import load_digits

    x, y = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order].float() / 16, y[order]


def small(seed=0, outputs=2):
    stream = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, outputs)).double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64))
    return net, torch.randn(11, 3, generator=stream, dtype=torch.float64), torch.arange(11) % 2


def test_the_example_of_the_docstring_runs():
    lines = [line for line in ibvi.__doc__.splitlines() if line.startswith("    ") and not line.startswith("     ")]
    assert len(lines) == 5
    names = {}
    exec(
        "import torch\nimport nonvacuous as nv\n" + "\n".join(lines).replace("    ", "", 1).replace("\n    ", "\n"),
        names,
    )
    x, y = names["x"], names["y"]
    # the training set of ten classes: chance is a tenth, and a mistake in the gradients or scales shows here
    assert float((names["probs"].argmax(1) == y).double().mean()) > 0.9
    assert names["probs"].shape == (len(x), 10)


def test_digits_held_out_and_calibrated():
    x, y = digits()
    net = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 10)).eval()
    config = ibvi.IBVIConfig("softmax", epochs=15, learning_rate=0.03, expectation="bound")
    events = []
    posterior = ibvi.fit(net, (x[:1200], y[:1200]), config, seed=0, device="cpu", progress=events.append)
    assert [event.epoch for event in events] == list(range(1, 16))
    assert events[-1].objective < events[0].objective / 4
    assert events[-1].learning_rate < 0.01 * config.learning_rate
    probs = ibvi.predict(posterior, x[1200:]).probs
    assert float((probs.argmax(1) == y[1200:]).double().mean()) > 0.9
    warm = ibvi.calibrate(posterior, (x[1200:1400], y[1200:1400]))
    assert warm.temperature != 1

    def nll(found, part):
        return float(-ibvi.predict(found, x[part]).probs.gather(1, y[part][:, None]).log().mean())

    assert nll(warm, slice(1200, 1400)) <= nll(posterior, slice(1200, 1400))
    probit = ibvi.predict(replace(posterior, config=replace(config, link="probit")), x[1200:]).probs
    assert float((probit - probs).abs().max()) < 0.2
    assert not torch.equal(probit, probs)


def test_an_interrupted_training_goes_on_where_it_was(tmp_path):
    net, x, y = small()
    config = ibvi.IBVIConfig("softmax", epochs=6, batch_size=4, rank=2)
    whole = ibvi.fit(net, (x, y), config, seed=3, device="cpu")

    class Stop(Exception):
        pass

    def stop(event):
        if event.epoch == 3:
            raise Stop

    with pytest.raises(Stop):
        ibvi.fit(net, (x, y), config, seed=3, device="cpu", checkpoint=tmp_path, progress=stop)
    seen = []
    again = ibvi.fit(net, (x, y), config, seed=3, device="cpu", checkpoint=tmp_path, progress=seen.append)
    assert [event.epoch for event in seen] == [3, 4, 5, 6]
    assert again.history == whole.history
    for part in ("means", "factors"):
        for name, value in getattr(whole.law, part).items():
            assert torch.equal(value, getattr(again.law, part)[name])
    # other settings have a state of their own
    other = []
    ibvi.fit(net, (x, y), replace(config, learning_rate=0.02), seed=3, device="cpu", checkpoint=tmp_path, progress=other.append)  # fmt: skip
    assert [event.epoch for event in other] == list(range(1, 7))


def test_a_file_keeps_the_law_the_temperature_and_the_choice_of_layers(tmp_path):
    net, x, y = small()
    config = ibvi.IBVIConfig("softmax", epochs=2, rank=2, layers=("2",), parametrisation="ntp")
    posterior = replace(ibvi.fit(net, (x, y), config, seed=3, device="cpu"), temperature=1.7)
    ibvi.save(posterior, tmp_path / "law")
    again = ibvi.load(tmp_path / "law", small(9)[0])
    assert again.config == config
    assert again.temperature == 1.7
    assert torch.equal(ibvi.predict(again, x).probs, ibvi.predict(posterior, x).probs)
    assert ibvi.caveats(again) == ibvi.caveats(posterior)
    with pytest.raises(InvalidInput):
        ibvi.load(tmp_path / "law", small(9, outputs=3)[0])
    with pytest.raises(InvalidInput):
        kl_vi.load(tmp_path / "law", net)


def test_what_breaks_the_theorem_is_named():
    net, x, y = small()
    for change, key in (
        ({"optimizer": "adam"}, "ib.ls_precond"),
        ({"optimizer": "adagrad"}, "ib.ls_precond"),
        ({"rank": 0}, "ib.regression_w2"),
        ({"covariance": "kronecker", "rank": 0}, "ib.regression_w2"),
        ({"covariance_scale": 0.0}, "ib.regression_w2"),
    ):
        with pytest.raises(AssumptionViolated, match=key.replace(".", r"\.")):
            ibvi.IBVIConfig("softmax", **change)
    config = ibvi.IBVIConfig("softmax", epochs=1, rank=2)
    bare = nn.LayerNorm(2).double().eval()
    with pytest.raises(AssumptionViolated, match=r"no linear, convolution or attention layer.*ib\.regression_w2"):
        ibvi.fit(bare, (x[:, :2], y), config, seed=0, device="cpu")
    frozen = small()[0].requires_grad_(False)
    frozen.append(nn.LayerNorm(2).double().eval())
    with pytest.raises(AssumptionViolated, match=r"ib\.regression_w2"):
        ibvi.fit(frozen, (x, y), config, seed=0, device="cpu")
    with pytest.raises(InvalidInput, match=r"ib\.regression_w2"):
        ibvi.fit(net, (x * torch.inf, y), config, seed=0, device="cpu")
    with pytest.raises(InvalidInput, match="training mode"):
        ibvi.fit(
            nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double(),
            (x, y),
            config,
            seed=0,
            device="cpu",
        )
    linear = nn.Sequential(nn.Linear(3, 3)).double().eval()
    with pytest.raises(NumericalFailure, match=r"ib\.mc_stability"):
        ibvi.fit(
            linear, (x, x), ibvi.IBVIConfig("gaussian", epochs=60, rank=2, learning_rate=1e8), seed=0, device="cpu"
        )


@pytest.mark.parametrize(
    "change",
    [
        {"likelihood": "poisson"}, {"epochs": 0}, {"batch_size": 1.5}, {"learning_rate": float("nan")}, {"momentum": 1.0}, {"schedule": "step"},
        {"covariance": "dense"}, {"rank": -1}, {"rank": None}, {"rank": True}, {"parametrisation": "standard"}, {"covariance_rate": -1.0}, {"start": "zero"},
        {"samples": 0}, {"samples": 3, "antithetic": True}, {"expectation": "exact"}, {"expectation": "quadrature"}, {"reduction": "none"},
        {"test_samples": 1}, {"link": "logit"}, {"noise_variance": float("inf")}, {"antithetic": 1},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(InvalidInput):
        ibvi.IBVIConfig(**{"likelihood": "softmax"} | change)


def test_layers_and_ranks_that_do_not_fit_are_refused():
    net, x, y = small()
    for change in (
        {"layers": "0"},
        {"layers": ("1",)},
        {"layers": ()},
        {"layers": ("0", "0")},
        {"rank": 25},
        {"covariance": "kronecker", "rank": 5},
    ):
        with pytest.raises(InvalidInput):
            ibvi.fit(net, (x, y), ibvi.IBVIConfig("softmax", **{"epochs": 1, "rank": 2} | change), seed=0, device="cpu")
    ends_in_softmax = nn.Sequential(net, nn.LogSoftmax(1)).eval()
    with pytest.raises(InvalidInput, match="no closed form"):
        ibvi.fit(
            ends_in_softmax,
            (x, y),
            ibvi.IBVIConfig("softmax", epochs=1, rank=2, expectation="bound"),
            seed=0,
            device="cpu",
        )
    with pytest.raises(InvalidInput):
        ibvi.fit(net, (x, y), kl_vi.KLVIConfig("softmax"), seed=0, device="cpu")
    with pytest.raises(InvalidInput):
        ibvi.fit(net, (x, y), ibvi.IBVIConfig("binary", rank=2), seed=0, device="cpu")


def test_caveats_name_what_a_setting_gives_up():
    net, x, y = small()

    def keys(**change):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = ibvi.IBVIConfig(**{"likelihood": "softmax", "epochs": 1, "rank": 2} | change)
            return {c.theorem for c in ibvi.caveats(ibvi.prior(net, (x, y), config, seed=0, device="cpu"))}

    assert {"ib.class_w2", "ib.precond_bayes"} <= keys()
    assert "ib.ensemble_equiv" in keys()
    assert "ib.ensemble_equiv" not in keys(layers=("0",))
    assert "ib.precond_bayes" not in keys(parametrisation="sp")
    assert "ib.precond_bayes" in keys(parametrisation="ntp")
    assert "ib.kl_compare" in keys(covariance="diagonal")
    assert "ib.param_covariance" in keys(covariance="kronecker", rank=None)
    assert "ib.fixed_noise" in keys(common_noise=True)
    assert "ib.class_step" in keys(expectation="bound")
    last = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1)).double().eval()
    last[0].requires_grad_(False)
    config = ibvi.IBVIConfig("gaussian", rank=2, parametrisation="sp")
    assert ibvi.caveats(ibvi.prior(last, (x, x[:, :1]), config, seed=0, device="cpu")) == ()


def test_the_law_does_not_depend_on_the_user_s_module_afterwards():
    net, x, y = small()
    posterior = ibvi.fit(net, (x, y), ibvi.IBVIConfig("softmax", epochs=1, rank=2), seed=0, device="cpu")
    before = ibvi.predict(posterior, x)
    with torch.no_grad():
        net[0].weight.zero_()
    net.train()
    assert torch.equal(before.mean, ibvi.predict(posterior, x).mean)
    # a draw is one function: the same at an input whatever else is asked, and the k-th whatever the count
    both, alone = ibvi.sample(posterior, x, 3, 5), ibvi.sample(posterior, x[4:5], 2, 5)
    torch.testing.assert_close(both[:2, 4:5], alone, rtol=0, atol=1e-13)


def test_predictions_average_what_they_say():
    net, x, y = small()
    config = ibvi.IBVIConfig("softmax", epochs=1, rank=2, layers=("2",), link="probit")
    posterior = replace(ibvi.fit(net, (x, y), config, seed=0, device="cpu"), temperature=2.5)
    got = ibvi.predict(posterior, x)
    draws = got.samples.numpy()
    np.testing.assert_allclose(got.mean, draws.mean(0), rtol=1e-13)
    np.testing.assert_allclose(got.variance, [np.cov(draws[:, i].T) for i in range(11)], rtol=1e-11)
    # only the last layer is random: its Gaussian outputs' moments, by the explicit factor
    (layer,) = posterior.family.variational
    law = posterior.law
    with torch.no_grad():
        h = torch.tanh(nn.functional.linear(x, law.means["0.weight"], law.means["0.bias"]))
        mean = nn.functional.linear(h, law.means["2.weight"], law.means["2.bias"]) / 2.5
    factor = posterior.family.covariance.matrix(layer, law.factors)
    jacobian = torch.stack([torch.cat([torch.kron(torch.eye(2), row[None]), torch.eye(2)], dim=1) for row in h])
    variance = (jacobian @ factor).square().sum(2) / 2.5**2
    expected = torch.softmax(mean / torch.sqrt(1 + torch.pi * variance / 8), dim=1)
    torch.testing.assert_close(got.probs, expected, rtol=1e-12, atol=0)
    sampled = ibvi.predict(replace(posterior, config=replace(config, link="mc")), x)
    torch.testing.assert_close(sampled.probs, torch.softmax(got.samples, dim=2).mean(0), rtol=1e-13, atol=0)


def test_binary_labels_have_one_output():
    net, x, y = small(outputs=1)
    for expectation in ("sampled", "bound", "quadrature"):
        config = ibvi.IBVIConfig(
            "binary",
            epochs=60,
            rank=2,
            learning_rate=0.03,
            expectation=expectation,
            link="probit" if expectation == "bound" else "mc",
        )
        posterior = ibvi.fit(net, (x, (x[:, 0] > 0).long()), config, seed=0, device="cpu")
        got = ibvi.predict(posterior, x)
        assert got.probs.shape == (11, 1)
        assert bool(((got.probs[:, 0] > 0.5) == (x[:, 0] > 0)).double().mean() > 0.8)
    with pytest.raises(InvalidInput):
        ibvi.fit(net, (x, y + 1), config, seed=0, device="cpu")


def test_kl_vi_approaches_the_exact_posterior_of_a_linear_model():
    # last layer on frozen features, full family, noise s2, KL weight k: the minimum is the posterior at noise k s2 (ib.kl_compare)
    net, x, _ = small(outputs=1)
    net[0].requires_grad_(False)
    y = torch.sin(x[:, :1])
    with torch.no_grad():
        phi = torch.cat([net[1](net[0](x)), torch.ones(11, 1, dtype=x.dtype)], 1)
    std = torch.tensor([6**-0.5] * 6 + [1.0], dtype=x.dtype)
    noise, weight = 1.4, 0.8
    precision = phi.T @ phi / (weight * noise) + torch.diag(std**-2)
    covariance, mean = torch.linalg.inv(precision), torch.linalg.solve(precision, phi.T @ y)[:, 0] / (weight * noise)
    smallest, largest = (weight * float(value) / 11 for value in torch.linalg.eigvalsh(precision)[[0, -1]])
    # steps for a factor of 1e-8 in the slowest mode of the mean; the factor's modes shrink twice as fast near their end
    step = 0.8 / largest
    steps = math.ceil(math.log(1e-8) / math.log(1 - step * smallest))
    assert steps < 300
    config = kl_vi.KLVIConfig(
        "gaussian", noise_variance=noise, kl_weight=weight, epochs=steps, learning_rate=step, momentum=0.0, covariance="full", expectation="exact", schedule="constant", covariance_rate=1.0,
        covariance_scale=1.0,
    )  # fmt: skip
    posterior = kl_vi.fit(net, (x, y), config, seed=0, device="cpu")
    (layer,) = posterior.family.layers
    factor = posterior.family.covariance.matrix(layer, posterior.law.factors)
    found = torch.cat([posterior.law.means[name].reshape(-1) for name in layer.tensors])
    left = 10 * 1e-8  # both start within 10 of their end
    torch.testing.assert_close(found, mean, rtol=0, atol=left)
    torch.testing.assert_close(factor @ factor.T, covariance, rtol=0, atol=left)
    assert float((factor @ factor.T - torch.diag(1 / precision.diagonal())).abs().max()) > 1e3 * left
    # and the mean-field one: the same mean, variances of the inverse diagonal precisions
    field = kl_vi.fit(net, (x, y), replace(config, covariance="diagonal"), seed=0, device="cpu")
    scales = torch.cat([field.law.factors[name].reshape(-1) for name in layer.tensors])
    torch.testing.assert_close(scales**2, 1 / precision.diagonal(), rtol=0, atol=left)
    assert kl_vi.divergence(field) > 0


def test_the_divergence_counts_once_a_pass_over_the_data():
    """Copies of one example: every batch has the whole mean loss, so that two halves of the data are two steps on all of them."""
    net, x, _ = small(outputs=1)
    data = x[:1].expand(8, -1).clone(), torch.ones(8, 1, dtype=x.dtype)
    config = kl_vi.KLVIConfig(
        "gaussian", noise_variance=0.5, epochs=5, batch_size=4, learning_rate=0.02, momentum=0.0, layers=("2",), expectation="exact", schedule="constant",
    )  # fmt: skip
    halves = kl_vi.fit(net, data, config, seed=0, device="cpu").law
    whole = kl_vi.fit(net, data, replace(config, batch_size=8, epochs=10), seed=0, device="cpu").law
    for found, expected in ((halves.means, whole.means), (halves.factors, whole.factors)):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-14)


def test_every_key_that_is_named_to_a_user_exists():
    roots = [Path(module.__file__).parent for module in (variational, methods)]
    text = "".join(path.read_text(encoding="utf-8") for root in roots for path in root.glob("*.py"))
    named = set(re.findall(r"\bib\.[a-z0-9_]+", text))
    assert {"ib.regression_w2", "ib.param_covariance", "ib.kl_compare"} <= named
    assert named <= {statement.key for statement in STATEMENTS}
