"""The ensemble of plain networks: the loop anyone would write, paired with IBVI, independent members, resumed members."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.numerics.methods import ibvi, temperature_scaling
from nonvacuous.numerics.methods import sgd_ensemble as se
from nonvacuous.theory.errors import InvalidInput, NumericalFailure


def problem(outputs=3, count=20, bias=True):
    stream = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, outputs, bias=bias)).double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64))
    x = torch.randn(count, 4, generator=stream, dtype=torch.float64)
    return net, x, torch.arange(count) % max(outputs, 2)


def fitted(seed=3, data=None, net=None, **settings):
    model, x, y = problem()
    config = se.SGDEnsembleConfig(**{"likelihood": "softmax", "members": 3, "epochs": 4, "batch_size": 8} | settings)
    return se.fit(model if net is None else net, (x, y) if data is None else data, config, seed=seed, device="cpu")


@pytest.mark.parametrize("likelihood", ["softmax", "binary", "gaussian"])
def test_one_member_is_the_loop_that_anyone_would_write(likelihood):
    net, x, y = problem(outputs=1 if likelihood == "binary" else 3)
    y = torch.sin(3 * x[:, :3]) if likelihood == "gaussian" else y
    settings = {
        "likelihood": likelihood,
        "members": 1,
        "epochs": 12,
        "batch_size": 99,
        "learning_rate": 0.05,
        "momentum": 0.8,
    }
    posterior = se.fit(net, (x, y), se.SGDEnsembleConfig(start="module", **settings), seed=0, device="cpu")
    losses = {
        "softmax": nn.functional.cross_entropy,
        "binary": lambda f, t: nn.functional.binary_cross_entropy_with_logits(f[:, 0], t.double()),
        "gaussian": lambda f, t: 0.5 * (f - t).square().sum(1).mean(),
    }
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.8)
    for step in range(12):
        optimiser.param_groups[0]["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step / 12))
        optimiser.zero_grad()
        losses[likelihood](net(x), y).backward()
        optimiser.step()
    with torch.no_grad():
        expected = net(x)
    got = se.predict(posterior, x)
    torch.testing.assert_close(got.mean, expected, rtol=1e-11, atol=1e-11)
    assert not got.variance.any()
    assert got.samples.shape == (1, *expected.shape)
    if likelihood == "binary":
        torch.testing.assert_close(got.probs, torch.sigmoid(expected), rtol=1e-11, atol=0)


@pytest.mark.parametrize("parametrisation", ["sp", "ntp", "mup"])
def test_member_0_begins_where_ibvi_does_and_meets_the_same_batches(parametrisation):
    # a factor that starts at 1e-9 and is not trained leaves of IBVI its means, moved by 1e-9 times the logits' slopes
    net, x, y = problem()
    common = {"epochs": 5, "batch_size": 8, "parametrisation": parametrisation}
    config = ibvi.IBVIConfig("softmax", rank=2, covariance_scale=1e-9, covariance_rate=0.0, **common)
    law = ibvi.fit(net, (x, y), config, seed=5, device="cpu")
    means = law.family.at(law.law, None)
    own = fitted(seed=5, **common)
    for name, value in own.members[0].items():
        torch.testing.assert_close(value, means[name], rtol=0, atol=1e-7)
    assert own.history[0][0].learning_rate == law.history[0].learning_rate
    other = fitted(seed=6, **common)
    assert float((own.members[0]["0.weight"] - other.members[0]["0.weight"]).abs().max()) > 1e-2


def test_members_are_their_own_and_predictions_average_probabilities():
    _, x, _ = problem()
    posterior = fitted()
    alone = fitted(members=2)
    for k in range(2):
        assert all(torch.equal(v, alone.members[k][n]) for n, v in posterior.members[k].items())
    firsts = torch.stack([own["0.weight"].reshape(-1) for own in posterior.members])
    assert float(torch.corrcoef(firsts).tril(-1).abs().max()) < 0.8
    each = []
    for k in range(3):
        with torch.no_grad():
            each.append(se.member(posterior, k)(x))
    got = se.predict(posterior, x)
    torch.testing.assert_close(got.samples, torch.stack(each), rtol=0, atol=1e-13)
    torch.testing.assert_close(got.probs, torch.stack(each).softmax(2).mean(0), rtol=1e-13, atol=0)
    np.testing.assert_allclose(got.variance[4], np.cov(torch.stack(each)[:, 4].numpy().T), rtol=1e-11)
    # nor does a member of one seed come back under the next
    both = {own["0.weight"].numpy().tobytes() for seed in (3, 4) for own in fitted(seed=seed).members}
    assert len(both) == 6
    draws = se.sample(posterior, x, 3, 1)
    assert sorted(float(d.sum()) for d in draws) == sorted(float(d.sum()) for d in got.samples)
    with pytest.raises(InvalidInput, match="3 members, not 4"):
        se.sample(posterior, x, 4, 0)
    for index in (3, -1, 0.0):
        with pytest.raises(InvalidInput):
            se.member(posterior, index)


def test_the_law_of_linear_members_is_the_projection_of_their_starts():
    # interpolating: w_inf = P w_0 + X^+ y for each member, whatever its batches (ib.ls_sgd)
    stream = torch.Generator().manual_seed(1)
    net = nn.Sequential(nn.Linear(6, 1, bias=False)).double().eval()
    x, y = (torch.randn(3, n, generator=stream, dtype=torch.float64) for n in (6, 1))
    h = torch.linalg.eigvalsh(x @ x.T)
    # batches of one, loss |.|^2/2: stable below 2/L_max; E|d|^2 falls by 1 - (step h_min/3)(2 - step L_max) (ib.ls_sgd)
    step = 1 / float(x.square().sum(1).max())
    steps = math.ceil(math.log(1e-20) / math.log(1 - step * float(h[0]) / 3))
    config = se.SGDEnsembleConfig("gaussian", members=2, epochs=math.ceil(steps / 3), batch_size=1, learning_rate=step, momentum=0.0, schedule="constant")  # fmt: skip
    assert steps < 3000
    ends = se.fit(net, (x, y), config, seed=0, device="cpu")
    starts = se.fit(net, (x, y), replace(config, epochs=1, learning_rate=1e-300), seed=0, device="cpu")
    pinv = torch.linalg.pinv(x)
    for start, end in zip(starts.members, ends.members, strict=True):
        w0, w = start["0.weight"][0], end["0.weight"][0]
        expected = w0 - pinv @ (x @ w0) + pinv @ y[:, 0]
        # Markov: |d| exceeds 1e-7 |d_0| with probability at most 1e-6
        assert float((w - expected).norm()) <= 1e-7 * float((w0 - expected).norm())
        assert float((w - w0).norm()) > 0.1


def test_reset_is_pytorch_s_own_initialisation_and_leaves_the_global_stream():
    net, x, y = problem()
    config = se.SGDEnsembleConfig("softmax", 3, 1, learning_rate=1e-300, start="reset", parametrisation="ntp")
    state = torch.get_rng_state()
    tiny = se.fit(net, (x, y), config, seed=3, device="cpu")
    assert torch.equal(state, torch.get_rng_state())
    for own in tiny.members:
        assert 0.3 < float(own["0.weight"].abs().max()) <= 0.5 * (1 + 1e-12)  # uniform on +-1/sqrt(fan_in = 4)
        assert float(own["3.bias"].abs().max()) <= 6**-0.5 * (1 + 1e-12)
        assert torch.equal(own["2.weight"], torch.ones(6, dtype=torch.float64))
    assert not torch.equal(tiny.members[0]["0.weight"], tiny.members[1]["0.weight"])

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

        def forward(self, z):
            return self.inner(z) * self.scale

    loose = Scaled().double().eval()
    for settings, words in (({"start": "reset"}, "no reset_parameters"), ({}, "members would share its start")):
        with pytest.raises(InvalidInput, match=words):
            fitted(net=loose, **settings)
    assert len(fitted(net=loose, members=1).members) == 1
    loose.scale.requires_grad_(False)
    assert len(fitted(net=loose, start="reset").members) == 3
    with pytest.raises(InvalidInput, match="same weights"):
        se.SGDEnsembleConfig("softmax", start="module")
    batch = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).double()
    with pytest.raises(InvalidInput, match="training mode"):
        fitted(net=batch)
    assert fitted(net=batch.eval()).members[0].keys() == dict(batch.named_parameters()).keys()
    bare = nn.LayerNorm(4).double().eval()
    with pytest.raises(Exception, match="no linear, convolution or attention"):
        fitted(net=bare)


def test_interrupted_members_go_on_and_more_can_be_added(tmp_path):
    net, x, y = problem()
    whole = fitted()
    config = whole.config

    class Stop(Exception):
        pass

    def stop(event):
        if (event.member, event.epoch.epoch) == (1, 2):
            raise Stop

    with pytest.raises(Stop):
        se.fit(net, (x, y), config, seed=3, device="cpu", checkpoint=tmp_path, progress=stop)
    seen = []
    again = se.fit(net, (x, y), config, seed=3, device="cpu", checkpoint=tmp_path, progress=seen.append)
    assert [(e.member, e.epoch.epoch) for e in seen] == [(0, 4), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)]
    assert again.history == whole.history
    for one, two in zip(again.members, whole.members, strict=True):
        assert all(torch.equal(value, two[name]) for name, value in one.items())
    seen.clear()
    se.fit(net, (x, y), replace(config, members=4), seed=3, device="cpu", checkpoint=tmp_path, progress=seen.append)
    assert [e.member for e in seen] == [0, 1, 2, 3, 3, 3, 3]


def test_the_temperature_of_one_member_is_that_of_temperature_scaling(tmp_path):
    _, x, y = problem(count=60)
    y = (y + (torch.arange(60) % 4 == 0)) % 3  # some labels that the network does not expect
    posterior = se.calibrate(fitted(members=1, epochs=60, learning_rate=0.1), (x, y))
    other = temperature_scaling.fit(
        se.member(posterior, 0), (x, y), temperature_scaling.TemperatureScalingConfig(), seed=0, device="cpu"
    )
    assert posterior.temperature == pytest.approx(other.temperature, rel=3e-6)  # twice the search's width
    assert se.calibrate(posterior, (x, y)).temperature == posterior.temperature != 1
    ensemble = replace(fitted(), temperature=2.0)
    torch.testing.assert_close(se.predict(ensemble, x).mean, se.predict(fitted(), x).mean / 2, rtol=1e-13, atol=0)
    se.save(ensemble, tmp_path / "file")
    assert se.load(tmp_path / "file", problem()[0]).temperature == 2.0
    with pytest.raises(InvalidInput):
        se.load(tmp_path / "file", problem(bias=False)[0])
    with pytest.raises(InvalidInput):
        ibvi.load(tmp_path / "file", problem()[0])


@pytest.mark.parametrize(
    "change",
    [{"likelihood": "poisson"}, {"members": 0}, {"members": 2.0}, {"epochs": 0}, {"parametrisation": "standard"}, {"start": "zero"},
     {"noise_variance": math.nan}, {"learning_rate": 0.0}, {"schedule": "step"}],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(InvalidInput):
        se.SGDEnsembleConfig(**{"likelihood": "softmax"} | change)


def test_divergence_and_wrong_configurations_are_named():
    net, x, y = problem()
    with pytest.raises(NumericalFailure, match="diverged"):
        fitted(likelihood="gaussian", data=(x, torch.randn(20, 3).double()), learning_rate=1e8, epochs=60)
    with pytest.raises(InvalidInput, match="Pass an SGDEnsembleConfig"):
        se.fit(net, (x, y), ibvi.IBVIConfig("softmax"), seed=0, device="cpu")
