"""Recursive PAC-Bayes for torch models: counts of pairs against a loop of forward passes, certificates, training, refusals."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import nn

import nonvacuous as nv
from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.bounds.recursive import RecursiveStep, recursive_pac_bayes
from nonvacuous.numerics.certified import kl_upper
from nonvacuous.numerics.certify.excess import excess_counts
from nonvacuous.numerics.certify.gaussian import from_module, moved, sample
from nonvacuous.numerics.certify.losses import zero_one
from nonvacuous.numerics.certify.monte_carlo import labelled_data
from nonvacuous.numerics.certify.objectives import Excess, excess_value
from nonvacuous.numerics.certify.recursive_training import error_rates
from nonvacuous.numerics.intervals import multiplier
from nonvacuous.posteriors import TrainingConfig, certify_recursive, train_recursive

CONFIG = TrainingConfig("kl_inverse", epochs=15, batch_size=100, learning_rate=0.02, pmin=0.05)


def blobs(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three noisy classes in the plane."""
    stream = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=stream)
    centres = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    return centres[y] + 0.7 * torch.randn(n, 2, generator=stream), y


def net(seed: int, *, convolution: bool = False) -> nn.Module:
    torch.manual_seed(seed)
    if convolution:
        return nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("convolution", [False, True])
def test_counts_agree_with_a_loop_of_forward_passes(convolution):
    first, second = from_module(net(0, convolution=convolution), 0.3), from_module(net(1, convolution=convolution), 0.5)
    second = moved(first, second.means, second.log_scales)
    x, y = labelled_data(blobs(30, 0), first.network)
    found = excess_counts(second, first, x, y, step=2, draws=4000, seed=0)
    assert found.largest_part == (30 if convolution else 1)
    assert found.pairs == 4000 * (1 if convolution else 30)
    draws, stream = 3000, torch.Generator().manual_seed(5)
    wrong = []
    for gaussian in (second, first):
        rows = []
        for _ in range(draws):
            parameters = sample(gaussian, stream) | gaussian.network.fixed
            with torch.no_grad():
                rows.append(zero_one(torch.func.functional_call(gaussian.network.module, parameters, (x,)), y))
        wrong.append(torch.stack(rows))
    cells = [(wrong[0] & ~wrong[1]), (wrong[0] & wrong[1]), (~wrong[0] & wrong[1])]
    for counted, cell in zip((found.only_new, found.both, found.only_old), cells, strict=True):
        per_draw = cell.double().mean(1)
        # the loop's standard error; the counts' own is at most as large, scaled by the numbers of draws
        error = float(per_draw.std()) / math.sqrt(draws) * math.sqrt(1 + draws / 4000)
        assert abs(counted / (4000 * 30) - float(per_draw.mean())) < multiplier(3) * error


@pytest.mark.parametrize("gamma", [0.3, 1.0])
@pytest.mark.parametrize("parts", [1, 4, "examples"])
def test_counts_of_constant_predictors_are_exact(parts, gamma):
    """Scales near 0: every draw is the mean network, and the counts are those of one forward pass."""
    base = from_module(net(3), 1e-12)
    other = moved(base, from_module(net(4), 1e-12).means, base.log_scales)
    x, y = labelled_data(blobs(41, 1), base.network)
    found = excess_counts(other, base, x, y, step=2, draws=6, seed=0, parts=parts)
    new, old = (zero_one(torch.func.functional_call(g.network.module, g.means, (x,)), y) for g in (other, base))
    assert found.only_new == 6 * int((new & ~old).sum())
    assert found.both == 6 * int((new & old).sum())
    assert found.only_old == 6 * int((~new & old).sum())
    assert found.pairs == {1: 6, 4: 6 * 41 // 11, "examples": 6 * 41}[parts]
    excess = new.double() - gamma * old.double()
    expected = [float((excess >= level).double().mean()) for level in (0, 1 - gamma, 1)]
    assert found.frequencies(gamma) == pytest.approx(expected, abs=1e-15)
    assert Fraction(found.frequencies(gamma)[0]) >= Fraction(6 * 41 - found.only_old, 6 * 41)


def certified(parts=3, **changes):
    sets = [blobs(n, seed) for seed, n in enumerate((40, 50, 60)[:parts])]
    prior = from_module(net(0), 0.3)
    chain = [moved(prior, from_module(net(k), 0.3).means, prior.log_scales) for k in range(1, parts + 1)]
    options = {"prior": prior, "data": sets, "delta": 0.05, "seed": 0, "draws": 50} | changes
    return certify_recursive(chain, **options)


@pytest.mark.parametrize("form", ["vector", "split"])
def test_the_certificate_is_the_bound_of_its_inputs(form, tmp_path):
    events = []
    found = certified(form=form, gammas=(0.5, 0.25), progress=events.append)
    i = found.inputs
    steps = [
        RecursiveStep(g, tuple(i["frequencies"][3 * k : 3 * k + 3]), i["kls"][k], i["ns"][k])
        for k, g in enumerate(i["gammas"])
    ]
    again = recursive_pac_bayes(
        risk=i["risk"], kl=i["kl"], n=150, steps=steps, delta=0.04, form=form, pairs=i["pairs"], draws_delta=0.01
    )
    assert found.value == again.value
    assert i["ns"] == (110, 60)
    assert i["pairs"] >= 50 * 150
    assert found.delta <= 0.05
    assert found.delta == pytest.approx(0.05, rel=1e-12, abs=0)
    assert len(found.ledger.entries) == 4
    assert [(e.step, e.epoch) for e in events] == [(1, None), (2, None), (3, None)]
    assert found.check()
    path = tmp_path / "c.json"
    found.save(path)
    assert nv.bounds.load(path).check()


def test_one_part_is_the_kl_bound_of_the_limited_risk():
    """UP(UP(risk, ln(3/draws_delta)/pairs), (kl + ln(xi(n)/delta))/n): three events of draws are paid for, of which one part has one."""
    i = certified(parts=1).inputs
    limited = float(kl_upper(i["risk"], math.log(3 / 0.01) / i["pairs"]))
    bound = nv.bounds.seeger_kl(risk=limited, kl=i["kl"], n=40, delta=0.04).value
    assert certified(parts=1).value == pytest.approx(bound, rel=1e-12, abs=0)


def test_training_beats_its_first_step_and_its_certificate_holds():
    sets = [blobs(500, 0), blobs(1000, 1), blobs(2000, 2)]
    prior = from_module(net(0), 0.3)
    chain = train_recursive(prior, sets, CONFIG, seed=0)
    found = certify_recursive(chain, prior=prior, data=sets, delta=0.05, seed=1, draws=100)
    bounds = found.inputs["bounds"]
    assert found.value == bounds[-1] < bounds[0]
    fresh = labelled_data(blobs(20_000, 9), prior.network)
    risk = float(error_rates(chain[-1], *fresh, draws=50, seed=3).mean())
    assert risk < found.value < 0.2


def test_an_interrupted_training_goes_on(tmp_path):
    sets = [blobs(60, 0), blobs(80, 1)]
    prior = from_module(net(0), 0.3)
    config = TrainingConfig("kl_inverse", epochs=4, batch_size=40, learning_rate=0.02)

    class Stopped(Exception):
        pass

    def stop(event):
        if event.step == 2 and event.epoch.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train_recursive(prior, sets, config, seed=0, checkpoint=tmp_path, progress=stop)
    epochs = []
    again = train_recursive(
        prior, sets, config, seed=0, checkpoint=tmp_path, progress=lambda e: epochs.append((e.step, e.epoch.epoch))
    )
    assert epochs == [(1, 4), (2, 2), (2, 3), (2, 4)]
    straight = train_recursive(prior, sets, config, seed=0)
    for a, b in zip(again, straight, strict=True):
        assert all(torch.equal(a.means[name], b.means[name]) for name in a.means)


def test_the_objective_is_the_split_form_and_its_gradient():
    """Value against the bound itself (the same frequencies, exact), gradient against finite differences."""
    from nonvacuous.numerics.certified import log_maurer_xi

    losses = torch.tensor([0.2, 0.6, 0.1, 0.9], dtype=torch.float64, requires_grad=True)
    excess = Excess(0.4, torch.tensor([0.5, 0.1, 0.3, 0.8], dtype=torch.float64))
    rows, n, kl = torch.arange(4), 500, torch.tensor(7.0, dtype=torch.float64)
    constant = float(log_maurer_xi(n)) + math.log(20)
    value = excess_value(losses, excess, rows, kl, n, constant)
    new, old = losses.detach(), excess.errors
    step = RecursiveStep(
        0.4, (1 - float(((1 - new) * old).mean()), float(new.mean()), float((new * (1 - old)).mean())), 7.0, n
    )
    bound = recursive_pac_bayes(
        risk=0.0, kl=0.0, n=n + 1, steps=[step], log_inv_delta=math.log(20) - math.log(2), form="split"
    ).inputs["bounds"]
    assert float(value.detach()) == pytest.approx(bound[1] - 0.4 * bound[0], rel=1e-12, abs=0)
    assert torch.autograd.gradcheck(lambda v: excess_value(v, excess, rows, kl, n, constant), (losses,))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"delta": 0.0}, InvalidInput, "delta"),
        ({"delta": 1.0}, InvalidInput, "delta"),
        ({"draws": 0}, InvalidInput, "draws"),
        ({"seed": -1}, InvalidInput, "seed"),
        ({"gammas": 0.0}, InvalidInput, "gammas"),
        ({"gammas": (0.5,)}, InvalidInput, "2 steps"),
        ({"gammas": (0.5, True)}, InvalidInput, "gammas"),
        ({"data": [blobs(10, 0), blobs(10, 1)]}, InvalidInput, "belong together"),
        ({"data": [blobs(10, 0), blobs(10, 1), blobs(10, 0)]}, AssumptionViolated, "10 examples"),
        ({"prior": net(0)}, InvalidInput, "MeanFieldGaussian"),
        ({"prior": from_module(nn.Linear(2, 3), 0.1)}, InvalidInput, "names"),
        ({"form": "neither"}, InvalidInput, "form"),
        ({"device": "nowhere"}, InvalidInput, "device"),
    ],
)
def test_bad_input(changes, error, words):
    with pytest.raises(error, match=words):
        certified(**changes)


def test_a_wrong_form_is_refused_before_the_first_draw(monkeypatch):
    monkeypatch.setattr("nonvacuous.numerics.certify.recursive.measure_risk", lambda *_, **__: pytest.fail("drew"))
    with pytest.raises(InvalidInput, match="form"):
        certified(form="neither")


def test_look_alikes_are_allowed_on_request():
    sets = [blobs(10, 0), blobs(10, 1), blobs(10, 0)]
    assert certified(data=sets, look_alikes=True).value <= 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"data": []}, "list"), ({"data": "parts"}, "list"), ({"gammas": [0.5, 0.5]}, "1 steps"), ({"draws": 0}, "draws")],
)
def test_bad_training_input(changes, words):
    options = {"data": [blobs(10, 0), blobs(10, 1)], "seed": 0} | changes
    with pytest.raises(InvalidInput, match=words):
        train_recursive(from_module(net(0), 0.3), options.pop("data"), CONFIG, **options)
    with pytest.raises(InvalidInput, match="risk"):
        train_recursive(from_module(net(0), 0.3), [blobs(10, 0)], TrainingConfig("risk", 1, 1, 0.1), seed=0)
