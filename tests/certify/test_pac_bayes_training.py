"""PAC-Bayes training: derivatives at 50 digits, objectives, resumption to the bit, a small certificate from end to end."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nonvacuous.numerics.certified import kl_upper as certified_upper
from nonvacuous.numerics.certify import (
    Epoch,
    Trained,
    TrainingConfig,
    certify,
    from_module,
    kl_divergence,
    train,
    training,
)
from nonvacuous.numerics.certify.objectives import gaussian_kl, kl_upper, objective_value
from nonvacuous.theory.errors import InvalidInput, NumericalFailure, StorageError


def exact_inverse(q, c):
    """UP(q, c) in the current mpmath precision: Newton's method from above, which a convex increasing function allows."""
    p = mpmath.mpf(float(certified_upper(float(q), float(c))))
    for _ in range(12):
        kl = q * mpmath.log(q / p) + (1 - q) * mpmath.log((1 - q) / (1 - p))
        p -= (kl - c) * p * (1 - p) / (p - q)
    assert abs(kl - c) < mpmath.mpf(10) ** -55
    return p


@given(q=st.floats(1e-6, 0.95), ratio=st.floats(1e-6, 5.0))
@settings(max_examples=40, deadline=None)
def test_derivatives_of_the_inverse_against_differences_at_70_digits(q, ratio):
    c = ratio * (1 - q)  # 1-p is about (1-q) exp(-ratio): no further out than training goes
    x, y = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (q, c))
    p = kl_upper(x, y)
    in_q, in_c = torch.autograd.grad(p, (x, y))
    with mpmath.workdps(70):
        q, c = mpmath.mpf(q), mpmath.mpf(c)
        step = mpmath.mpf(10) ** -25
        exact_q = (exact_inverse(q + step, c) - exact_inverse(q - step, c)) / (2 * step)
        exact_c = (exact_inverse(q, c + step) - exact_inverse(q, c - step)) / (2 * step)
        v = -mpmath.log((1 - exact_inverse(q, c)) / (1 - q))
        # p and p-q carry 4 ulp, 1-p carries 7 + 1.75 v, logarithms and products a few; the two logarithms add up
        width = (40 + 4 * float(v)) * 2.0**-52
        assert abs(float(float(in_q) / exact_q - 1)) < width
        assert abs(float(float(in_c) / exact_c - 1)) < width
    assert float(p.detach()) == float(certified_upper(float(x.detach()), float(y.detach())))


def test_derivatives_at_the_tabulated_point_and_at_the_edges():
    q, c = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.05, 0.02714275709360500482887944))
    in_q, in_c = torch.autograd.grad(kl_upper(q, c), (q, c))
    assert float(in_q) == pytest.approx(1.424777519800282877, rel=1e-14, abs=0)
    assert float(in_c) == pytest.approx(1.538926777430347384, rel=1e-14, abs=0)
    edges = torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64, requires_grad=True)
    levels = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    in_q, in_c = torch.autograd.grad(kl_upper(edges, levels).sum(), (edges, levels))
    assert in_q.tolist() == [math.inf, 1.0, 1.0]
    assert in_c.tolist() == [pytest.approx(math.exp(-0.5)), 0.0, math.inf]


def test_broadcasting_and_dtype():
    q = torch.tensor([0.1, 0.2], requires_grad=True)
    c = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    value = kl_upper(q, c)
    assert value.dtype == torch.float32
    assert [g.shape for g in torch.autograd.grad(value.sum(), (q, c))] == [(2,), ()]


@given(risk=st.floats(0, 1), kl=st.floats(0, 500), n=st.integers(1, 10**6))
@settings(max_examples=60, deadline=None)
def test_objectives_are_ordered_and_match_their_formulas(risk, kl, n):
    arguments = torch.tensor(risk, dtype=torch.float64), torch.tensor(kl, dtype=torch.float64), n, 8.0
    c = (kl + 8.0) / n
    quad, inverse = float(objective_value("quad", *arguments)), float(objective_value("kl_inverse", *arguments))
    assert quad == pytest.approx(risk + c + math.sqrt(c * c + 2 * risk * c), rel=1e-12, abs=0)
    assert inverse == pytest.approx(float(certified_upper(max(risk, 1 / (10 * n)), c)), rel=1e-14, abs=0)
    floored = float(objective_value("quad", torch.tensor(max(risk, 1 / (10 * n)), dtype=torch.float64), *arguments[1:]))
    assert inverse <= floored * (1 + 1e-14)
    assert float(objective_value("risk", arguments[0], None, n, 0.0)) == risk
    # the lambda objective at its best lambda is quad (pb.lambda), and McAllester's is never below either
    assert float(objective_value("lambda", *arguments)) == pytest.approx(quad, rel=1e-12, abs=0)
    mcallester = float(objective_value("mcallester", *arguments))
    assert mcallester == pytest.approx(risk + math.sqrt(c / 2), rel=1e-14, abs=0)
    assert mcallester >= float(certified_upper(risk, c)) * (1 - 1e-14)
    assert float(objective_value("elbo", *arguments)) == pytest.approx(risk + kl / n, rel=1e-14, abs=0)


def test_the_lambda_objective_has_the_gradient_of_quad():
    """At the minimiser in lambda its derivative vanishes, so that holding lambda fixed changes nothing (envelope theorem)."""
    gradients = []
    for kind in ("lambda", "quad"):
        risk, kl = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.07, 40.0))
        gradients.append(torch.autograd.grad(objective_value(kind, risk, kl, 2000, 8.0), (risk, kl)))
    for one, other in zip(*gradients, strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-12, abs=0)


def points(count=60, seed=0):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=stream)
    return x, (x[:, 0] > 0.2 * x[:, 1]).long()


def network(seed=0):
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(0.5 * torch.randn(value.shape, generator=stream))
    return net


def test_the_training_divergence_is_the_certified_one():
    prior, data = from_module(network(), 0.1), points()
    posterior = train(prior, data, TrainingConfig("quad", 3, 20, 0.05), seed=0, prior=prior)
    flat = [
        torch.cat([value.double().reshape(-1) for value in values.values()])
        for values in (posterior.means, posterior.log_scales, prior.means, prior.log_scales)
    ]
    assert float(gaussian_kl(*flat)) == pytest.approx(kl_divergence(posterior, prior), rel=1e-12, abs=0)


@pytest.mark.parametrize("objective", ["quad", "kl_inverse", "lambda", "mcallester", "elbo"])
def test_from_a_learned_prior_to_a_certificate_on_sixty_points(objective):
    x, y = points(60)
    start = from_module(network(), 0.1)
    learn = TrainingConfig("risk", epochs=4, batch_size=10, learning_rate=0.05, train_scales=False)
    prior = train(start, (x[:30], y[:30]), learn, seed=1)
    assert all(torch.equal(prior.log_scales[name], start.log_scales[name]) for name in start.log_scales)
    events = list(training(prior, (x, y), TrainingConfig(objective, 30, 16, 0.02), seed=1, prior=prior, n_bound=30))
    assert [type(event) for event in events] == [Epoch] * 30 + [Trained]
    posterior = events[-1].gaussian
    assert events[-2].objective < events[0].objective
    assert 0 < kl_divergence(posterior, prior) < math.inf
    bound = certify(posterior, prior=prior, data=(x[30:], y[30:]), delta=0.1, seed=2, n_prior=30, draws=500)
    assert bound.statement.key == "pb.data_prior"
    assert bound.inputs["n"] == 30
    assert not bound.vacuous


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("objective", ["quad", "risk"])
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, optimizer, objective):
    prior, data = from_module(network(), 0.1), points(33)
    config = TrainingConfig(objective, 7, 10, 0.03, optimizer=optimizer)
    options = {"seed": 5} if objective == "risk" else {"seed": 5, "prior": prior}
    whole = list(training(prior, data, config, **options))
    events = training(prior, data, config, checkpoint=tmp_path, **options)
    for _ in range(3):
        next(events)
    events.close()
    resumed = list(training(prior, data, config, checkpoint=tmp_path, **options))
    assert [event.epoch for event in resumed[:-1]] == [3, 4, 5, 6, 7]
    again = list(training(prior, data, config, checkpoint=tmp_path, **options))
    assert len(again) == 2  # nothing is trained a third time
    for other in (resumed, again):
        assert other[-1].history == whole[-1].history
        for part in ("means", "log_scales"):
            ours, theirs = (getattr(events[-1].gaussian, part) for events in (whole, other))
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert len(list(tmp_path.iterdir())) == 1
    list(
        training(
            prior, data, TrainingConfig(objective, 7, 10, 0.04, optimizer=optimizer), checkpoint=tmp_path, **options
        )
    )
    assert len(list(tmp_path.iterdir())) == 2  # other settings, other state


def test_a_damaged_state_is_named(tmp_path):
    prior, data = from_module(network(), 0.1), points(20)
    config = TrainingConfig("quad", 2, 10, 0.03)
    train(prior, data, config, seed=0, prior=prior, checkpoint=tmp_path)
    (state,) = tmp_path.iterdir()
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(InvalidInput, match="Delete it"):
        train(prior, data, config, seed=0, prior=prior, checkpoint=tmp_path)
    with pytest.raises(StorageError):
        train(prior, data, config, seed=1, prior=prior, checkpoint=state)


def test_seeds_and_global_state():
    prior, data = from_module(network(), 0.1), points(20)
    config = TrainingConfig("quad", 2, 8, 0.03)
    state = torch.get_rng_state()
    one, same, other = (train(prior, data, config, seed=seed, prior=prior) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one.means[name], same.means[name]) for name in one.means)
    assert any(not torch.equal(one.means[name], other.means[name]) for name in one.means)


def test_every_epoch_draws_afresh():
    config = TrainingConfig("risk", 4, 20, 1e-30, optimizer="sgd")  # nothing moves: only the draws differ
    events = list(training(from_module(network(), 0.1), points(20), config, seed=0))
    assert len({event.risk for event in events[:-1]}) == 4


def test_divergence_of_the_optimizer_is_an_error():
    prior, data = from_module(network(), 0.1), points(20)
    with pytest.raises(NumericalFailure, match="learning rate"):
        train(prior, data, TrainingConfig("quad", 5, 8, 1e4, optimizer="sgd"), seed=0, prior=prior)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "f_quad"},
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch_size": True},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"optimizer": "lbfgs"},
        {"momentum": 1.0},
        {"pmin": 0.0},
        {"pmin": 1.0},
        {"delta": 0.0},
    ],
)
def test_bad_settings(changes):
    with pytest.raises(InvalidInput):
        TrainingConfig(**{"objective": "quad", "epochs": 1, "batch_size": 1, "learning_rate": 0.1, **changes})


def test_bad_calls():
    prior, data, quad = from_module(network(), 0.1), points(20), TrainingConfig("quad", 1, 8, 0.1)
    other = from_module(nn.Linear(2, 2), 0.1)
    for call in (
        {"config": quad},
        {"config": quad, "prior": other},
        {"config": quad, "prior": prior, "n_bound": 0},
        {"config": quad, "prior": prior, "seed": -1},
        {"config": TrainingConfig("risk", 1, 8, 0.1), "prior": prior},
        {"config": TrainingConfig("risk", 1, 8, 0.1), "n_bound": 3},
        {"config": None, "prior": prior},
        {"config": quad, "prior": prior, "data": (data[0], data[1] + 5)},
    ):
        with pytest.raises(InvalidInput):
            train(prior, **{"seed": 0, "data": data, **call})
    with pytest.raises(InvalidInput):
        train(network(), data, quad, seed=0, prior=prior)
