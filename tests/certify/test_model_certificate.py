"""`certify`: the number against independent arithmetic, the ledger, bad input before work, and coverage in exact worlds."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nonvacuous.bounds import certify_losses
from nonvacuous.numerics.bounds import load as load_certificate
from nonvacuous.numerics.certify import certify, from_module, kl_divergence
from nonvacuous.numerics.certify.gaussian import moved
from nonvacuous.numerics.certify.losses import Loss
from nonvacuous.numerics.certify.monte_carlo import draw_losses
from nonvacuous.numerics.intervals import ALPHA
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput
from nonvacuous.theory.statement import Answer


def problem(count=60):
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(count, 2, generator=stream)
    y = (x[:, 0] + 0.3 * x[:, 1] > 0).long()
    net = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream))
    prior = from_module(net, 0.3)
    posterior = moved(prior, {name: value + 0.05 for name, value in prior.means.items()}, prior.log_scales)
    return posterior, prior, x, y


def arguments(**changes):
    posterior, prior, x, y = problem()
    return {
        "posterior": posterior,
        "prior": prior,
        "data": (x, y),
        "delta": 0.05,
        "seed": 3,
        "draws": 200,
        "parts": 1,
        **changes,
    }


@pytest.mark.parametrize("choice", [{}, {"loss": "cross_entropy", "pmin": 1e-3}])
@pytest.mark.parametrize("n_prior", [0, 40])
def test_the_certificate_is_that_of_its_array_of_losses(choice, n_prior):
    posterior, prior, x, y = problem()
    got = certify(**arguments(n_prior=n_prior, **choice))
    table = draw_losses(posterior, x, y, Loss(choice.get("loss", "zero_one"), choice.get("pmin")), draws=200, seed=3)
    expected = certify_losses(table.numpy(), kl=kl_divergence(posterior, prior), delta=0.05, n_prior=n_prior)
    assert got.value == pytest.approx(expected.value, rel=1e-13, abs=0)
    assert got.statement is expected.statement
    assert got.inputs["n"] == 60
    assert got.check().sound
    assert got.ledger == expected.ledger
    assert math.fsum(entry.delta for entry in got.ledger.entries) == pytest.approx(0.05, rel=1e-15, abs=0)
    assert "true Gibbs risk" in got.quantity
    assert got.answers["loss in [0, 1]"] is Answer.HOLDS
    assert "prior before data" in got.unchecked


def test_files_and_loaders(tmp_path):
    posterior, prior, x, y = problem()
    got = certify(**arguments())
    got.save(tmp_path / "certificate.json")
    again = load_certificate(tmp_path / "certificate.json")
    assert (again.value, again.inputs, again.quantity, again.answers) == (
        got.value,
        got.inputs,
        got.quantity,
        got.answers,
    )
    loader = DataLoader(TensorDataset(x, y), batch_size=7)
    assert certify(posterior, prior=prior, data=loader, delta=0.05, seed=3, draws=200, parts=1).value == got.value


def test_more_draws_and_less_divergence_are_never_worse_for_the_same_risk():
    got = certify(**arguments())
    _, prior, _, _ = problem()
    at_prior = certify(**arguments(posterior=prior))
    assert at_prior.inputs["kl"] < 1e-300 < got.inputs["kl"]
    shares = [certify(**arguments(monte_carlo_share=share)) for share in (0.1, 0.9)]
    assert all(math.isclose(c.delta, 0.05, rel_tol=1e-14) for c in shares)
    assert shares[0].parts["risk"].value > shares[1].parts["risk"].value


def test_constants_of_the_model_are_put_to_the_reader():
    x, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 2
    gaussian = from_module(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).eval(), 0.1)
    got = certify(gaussian, prior=gaussian, data=(x, y), delta=0.05, seed=0, draws=10)
    assert "constants of the model before data" in got.unchecked
    assert "constants of the model before data" not in certify(**arguments()).answers


BAD = {
    "delta 0": {"delta": 0.0},
    "delta 1": {"delta": 1.0},
    "delta nan": {"delta": math.nan},
    "share": {"monte_carlo_share": 1.0},
    "share nan": {"monte_carlo_share": math.nan},
    "draws": {"draws": 0},
    "seed": {"seed": -1},
    "seed float": {"seed": 1.0},
    "n_prior": {"n_prior": -1},
    "n_prior half": {"n_prior": 0.5},
    "n_prior infinite": {"n_prior": math.inf},
    "loss": {"loss": "hinge"},
    "pmin missing": {"loss": "cross_entropy"},
    "pmin unused": {"pmin": 0.1},
    "device": {"device": "abacus"},
    "prior": {"prior": None},
    "posterior": {"posterior": nn.Linear(2, 2)},
    "other architecture": {"prior": from_module(nn.Linear(2, 2), 1.0)},
    "empty": {"data": (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))},
    "dtype": {"data": (torch.zeros(4, 2, dtype=torch.float64), torch.zeros(4, dtype=torch.int64))},
    "labels": {"data": (torch.zeros(4, 2), torch.full((4,), 2))},
    "nan": {"data": (torch.full((4, 2), math.nan), torch.zeros(4, dtype=torch.int64))},
    "shape": {"data": (torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))},
    "memory": {"memory_mb": -1.0},
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_refused_before_any_draw(name):
    seen = []
    with pytest.raises(InvalidInput):
        certify(**arguments(progress=seen.append, **BAD[name]))
    assert not seen


def test_an_infinite_divergence_certifies_nothing():
    _, prior, _, _ = problem()
    far = moved(prior, {name: value + 1e30 for name, value in prior.means.items()}, prior.log_scales)
    narrow = moved(prior, prior.means, {name: value - 70 for name, value in prior.log_scales.items()})
    got = certify(**arguments(posterior=far, prior=narrow))
    assert got.inputs["kl"] > 1e100
    assert got.vacuous


def test_batch_statistics_updated_on_the_bound_data_are_refused():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    prior = from_module(net.eval(), 0.1)
    net.train()(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    posterior = from_module(net.eval(), 0.1)
    with pytest.raises(AssumptionViolated, match="running_mean"):
        certify(**arguments(posterior=posterior, prior=prior))


def one_input_world(success, shift, n):
    """Every input is 1, labels are coins; Q votes by a Gaussian. Exact probability that the certificate is below the true risk."""
    net = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        net.weight.zero_()
    prior = from_module(net, 1.0)
    failure = 0.0
    for ones in range(n + 1):
        direction = 1.0 if 2 * ones > n else -1.0
        means = {"weight": torch.tensor([[0.0], [shift * direction]], dtype=torch.float64)}
        posterior = moved(prior, means, prior.log_scales)
        says_one = norm.cdf(shift * direction / math.sqrt(2))
        risk = success * (1 - says_one) + (1 - success) * says_one
        data = torch.ones(n, 1, dtype=torch.float64), (torch.arange(n) < ones).long()
        certificate = certify(posterior, prior=prior, data=data, delta=0.05, seed=ones, draws=400)
        failure += binom.pmf(ones, n, success) * (certificate.value < risk)
    return failure


@pytest.mark.parametrize(("success", "shift"), [(0.5, 3.0), (0.3, 1.0), (0.9, 3.0)])
def test_coverage_by_enumeration_of_all_samples(success, shift):
    assert one_input_world(success, shift, 12) <= 0.05


def memorised(seed, honest):
    """64 one-hot inputs, labels that nothing predicts: the true risk of every predictor is exactly 1/2."""
    rng = np.random.default_rng(seed)
    place, label = rng.integers(64, size=30), rng.integers(2, size=30)
    x, y = torch.eye(64, dtype=torch.float64)[place], torch.as_tensor(label)
    net = nn.Linear(64, 2, bias=False).double()
    with torch.no_grad():
        net.weight.zero_()
    prior = from_module(net, 1.0)
    votes = torch.zeros(2, 64, dtype=torch.float64).index_put(
        (y, torch.as_tensor(place)), torch.tensor(6.0).double(), accumulate=True
    )
    posterior = moved(prior, {"weight": votes}, prior.log_scales)
    chosen = prior if honest else posterior  # a prior fitted on the bound's own sample
    return certify(posterior, prior=chosen, data=(x, y), delta=0.05, seed=seed, draws=200).value < 0.5


def test_memorising_is_paid_for_and_a_prior_fitted_on_the_sample_is_caught():
    runs = 30
    failures = sum(memorised(seed, honest=True) for seed in range(runs))
    assert binom.sf(failures - 1, runs, 0.05) >= ALPHA
    cheated = sum(memorised(seed, honest=False) for seed in range(runs))
    assert binom.sf(cheated - 1, runs, 0.05) < ALPHA
