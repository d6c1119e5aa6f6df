"""Reports of real runs: torch's own optimiser on designs and modules agrees with the predicted laws, and a wrong run does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.implicit_bias.assess import assess
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.linear_modules import linear_design
from nonvacuous.numerics.implicit_bias.report import TrainingRun, report
from nonvacuous.numerics.implicit_bias.training_choices import Training

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((4, 7)), RNG.standard_normal(4)
START = GaussianLaw(RNG.standard_normal(7), RNG.standard_normal((7, 3)))
TIMES = (0, 1, 10, 100, 200, 400)


def trained(training: Training, *, metric: np.ndarray | None = None) -> TrainingRun:
    """torch.optim.SGD on mean and factor, with autograd; in a metric, on coordinates v of w = B v."""
    root = np.eye(7) if metric is None else np.linalg.cholesky(metric)
    mean, factor = (nn.Parameter(torch.from_numpy(np.linalg.solve(root, part))) for part in (START.mean, START.factor))
    groups = [{"params": [mean]}, {"params": [factor], "lr": training.step * training.covariance_rate}]
    optimiser = torch.optim.SGD(groups, lr=training.step, momentum=training.momentum, nesterov=training.nesterov)
    x, y = torch.from_numpy(X @ root), torch.from_numpy(Y)
    laws = {}
    for t in range(TIMES[-1] + 1):
        if t in TIMES:
            laws[t] = GaussianLaw(root @ mean.detach().numpy(), root @ factor.detach().numpy())
        optimiser.zero_grad()
        ((y - x @ mean).square().sum() / 2 + (x @ factor).square().sum() / 2).backward()
        optimiser.step()
    return TrainingRun(training, laws)


METRIC = np.diag(RNG.uniform(0.5, 1.5, 7))
RUNS = [
    Training(step=0.02),
    Training(step=0.02, momentum=0.9),
    Training(step=0.01, momentum=0.9, nesterov=True, covariance_rate=0.5),
    Training(step=0.02, covariance_rate=3.0),
]


def wobble(training: Training, first: int, last: int) -> float:
    """The range of log W2 - t log rho over these steps: modes by their recursion, W2 as the root of the sum of their squares."""
    left, values, right = np.linalg.svd(X)
    d = np.column_stack([right[:4] @ START.mean - left.T @ Y / values, right[:4] @ START.factor])
    h = values[:, None] ** 2 * training.step * np.array([1.0] + 3 * [training.covariance_rate])
    beta, speed, sizes = training.momentum, np.zeros_like(d), []
    for _ in range(last + 1):
        sizes.append(np.linalg.norm(d))
        speed = beta * speed + h * d  # torch's buffer of gradients, times the step
        d = d - (h * d + beta * speed if training.nesterov else speed)
    rho = assess(X, Y, training=training, start=START).rate.factor
    left_over = np.log(sizes) - np.arange(last + 1) * math.log(rho)
    return float(np.ptp(left_over[first:]))


@pytest.mark.parametrize("training", RUNS)
def test_torch_obeys(training):
    found = report(X, Y, trained(training))
    assert found.agrees
    first, last = (100, 200) if training.momentum else (200, 400)  # with momentum, step 400 is near rounding
    off = abs(math.log(found.measured_rate / found.assessment.rate.factor))
    allowed = wobble(training, first, last) / (last - first) + 1e-12  # distances of 1e-4, to 1e-15 of weights of size 1
    assert off <= allowed < abs(math.log(found.assessment.rate.factor)) / 3
    last = found.measured[-1]
    assert last.to_limit < 0.01 * found.measured[0].to_limit
    assert "predicted" in str(found)


def test_a_metric_is_obeyed():
    training = Training(step=0.02, metric=METRIC)
    assert report(X, Y, trained(training, metric=METRIC)).agrees
    assert not report(X, Y, trained(training)).agrees


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_in_a_metric_is_obeyed(nesterov):
    turned = METRIC + 0.2 * np.ones((7, 7))
    training = Training(step=0.004, momentum=0.9, nesterov=nesterov, covariance_rate=0.5, metric=turned)
    run = trained(training, metric=turned)
    assert report(X, Y, run).agrees
    for wrong in ({"momentum": 0.9000001}, {"metric": turned * (1 + 1e-7)}, {"nesterov": not nesterov}):
        assert report(X, Y, TrainingRun(replace(training, **wrong), run.laws)).agrees is False


@pytest.mark.parametrize(
    "wrong",
    [{"step": 0.02000001}, {"momentum": 0.90001}, {"nesterov": True}, {"covariance_rate": 1.00001}, {"metric": METRIC}],
)
def test_a_run_with_other_settings_does_not_agree(wrong):
    run = trained(Training(step=0.02, momentum=0.9))
    assert report(X, Y, run).agrees
    assert report(X, Y, TrainingRun(replace(run.training, **wrong), run.laws)).agrees is False


def test_sampled_and_refused_runs_have_no_predicted_path():
    run = trained(Training(step=0.02))
    sampled = report(X, Y, TrainingRun(replace(run.training, samples=1), run.laws))
    assert sampled.agrees is None
    assert sampled.measured[-1].to_limit is not None
    adam = report(X, Y, TrainingRun(replace(run.training, optimiser="adam"), run.laws))
    assert adam.agrees is None
    assert adam.measured[-1].to_limit is None
    assert "ib.ls_precond" in str(adam)


def last_layer() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    body[0].requires_grad_(False)
    return body, torch.randn(3, 2, dtype=torch.float64)


def flat(module: nn.Module) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel().copy() for p in module.parameters() if p.requires_grad])


def test_the_last_layer_of_a_network():
    network, inputs = last_layer()
    targets = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.5, 2.0]], dtype=torch.float64)
    training = Training(step=0.1, momentum=0.5)
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1, momentum=0.5)
    laws = {0: flat(network)}
    before = flat(network)
    for t in range(1, 301):
        optimiser.zero_grad()
        ((network(inputs) - targets).square().sum() / 2).backward()
        optimiser.step()
        if t in (10, 100, 300):
            laws[t] = flat(network)
    found = report(network, (inputs, targets.numpy()), TrainingRun(training, laws))
    assert found.agrees
    assert found.assessment.claimed("ib.ls_minnorm")
    assert not np.array_equal(before, flat(network))


def test_the_design_of_a_module_is_its_jacobian_and_the_module_is_untouched():
    network, inputs = last_layer()
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    design, offset = linear_design(network, inputs)
    assert design.shape == (6, 14)
    assert np.allclose(offset + design @ flat(network), network(inputs).detach().numpy().ravel(), atol=1e-14)
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())
    single = linear_design(last_layer()[0].float(), inputs.numpy())[0]
    assert np.allclose(single, design, atol=1e-5)


def test_a_network_that_is_not_linear_is_refused():
    network, inputs = last_layer()
    network[0].requires_grad_(True)
    with pytest.raises(AssumptionViolated, match=r"ib\.ntk"):
        linear_design(network, inputs)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(InvalidInput, match="no trainable"):
        linear_design(network, inputs)


def test_bad_runs():
    with pytest.raises(InvalidInput, match="step 0"):
        TrainingRun(Training(step=0.1), {1: np.zeros(7), 2: np.zeros(7)})
    with pytest.raises(InvalidInput, match="step 0"):
        TrainingRun(Training(step=0.1), {0: np.zeros(7)})
    with pytest.raises(InvalidInput):
        TrainingRun(Training(step=0.1), {0: np.zeros(7), 1.5: np.zeros(7)})
    with pytest.raises(InvalidInput, match="TrainingRun"):
        report(X, Y, {0: np.zeros(7)})
    with pytest.raises(InvalidInput, match="parameters"):
        report(X, Y, TrainingRun(Training(step=0.1), {0: np.zeros(6), 1: np.zeros(6)}))
    logistic = TrainingRun(Training(step=0.1, loss="logistic"), {0: np.zeros(7), 1: np.zeros(7)})
    with pytest.raises(InvalidInput, match="labels"):
        report(X, Y, logistic)
    with pytest.raises(InvalidInput, match="unit_roundoff"):
        TrainingRun(Training(step=0.1), {0: np.zeros(7), 1: np.zeros(7)}, unit_roundoff=0.0)
