"""Reports of classification runs and of IBVI posteriors: what holds at every step, limits, exponents, and runs that lie."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.report import TrainingRun, report
from nonvacuous.numerics.implicit_bias.separable_limits import guaranteed_descent_step
from nonvacuous.numerics.implicit_bias.training_choices import Training
from nonvacuous.numerics.methods import ibvi
from nonvacuous.numerics.training.separable import descend_separable

PAIR = np.column_stack([np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]])), np.zeros(2)])
LABELS = np.array([1.0, -1.0])
FEATURES = LABELS[:, None] * PAIR
START = GaussianLaw(np.array([0.1, -0.2, 0.7]), 0.3 * np.eye(3))
TIMES = (0, 1, 10, 30, 100, 300, 1000, 3000, 10_000)


def law_run(training: Training, times: tuple[int, ...] = TIMES) -> TrainingRun:
    """Descent on the expected loss of the exponential family, mean and factor at one step."""
    path = descend_separable(PAIR, START.mean, START.factor, step=training.step, record=times[1:], loss=training.loss)
    laws = {t: GaussianLaw(m, s) for t, m, s in zip(times[1:], path.means, path.factors, strict=True)}
    return TrainingRun(training, {0: START, **laws})


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_law_reaches_its_limit_at_its_exponent(loss):
    found = report(FEATURES, LABELS, law_run(Training(step=0.02, loss=loss)))
    assert found.agrees
    assert found.assessment.claimed("ib.class_w2" if loss == "exponential" else "ib.class_logistic")
    # between t = 100 and 1e4 the distance falls by 100^(5/7) = 27, its faster parts apart
    assert found.measured[-1].to_limit < found.measured[4].to_limit / 20
    assert found.measured[0].to_limit is None
    # a mean off by r changes the losses' slopes by a factor of e^(|x| r) at most, and |x| = sqrt(6); r falls like t^(-5/7), so that
    # log ||S|| is off by at most that at t = 100, in log 100 units of log t
    left = math.sqrt(6) * found.measured[4].to_limit / math.log(100)
    assert abs(found.measured_rate - 5 / 7) < left < 0.1
    assert "exponent of time" in str(found)


def test_a_point_obeys_the_bound_of_every_step():
    step = 0.99 * guaranteed_descent_step(PAIR, START.mean)
    path = descend_separable(PAIR, START.mean, np.zeros((3, 0)), step=step, record=TIMES[1:])
    laws = dict(zip(TIMES, (START.mean, *path.means), strict=True))
    run = TrainingRun(Training(step=step, loss="exponential"), laws)
    found = report(FEATURES, LABELS, run)
    assert found.agrees
    assert found.measured[-1].least > 0.3
    assert found.measured[-1].relative_margin > found.measured[-1].least
    assert found.measured_rate is None
    # a run that went the wrong way, and one that moved what no row sees
    away = {t: (w if t == 0 else w - 2 * (w - START.mean)) for t, w in laws.items()}
    assert report(FEATURES, LABELS, replace(run, laws=away)).agrees is False
    nudged = {t: w + (1e-9 * np.eye(3)[2] if t else 0) for t, w in laws.items()}
    wrong = report(FEATURES, LABELS, replace(run, laws=nudged))
    assert wrong.agrees is False
    assert wrong.measured[-1].kept == pytest.approx(1e-9, rel=1e-3)
    assert not wrong.measured[-1].agrees


def test_a_metric_keeps_other_directions():
    turned = np.array([[2.0, 0.3, 0.5], [0.3, 1.0, 0.2], [0.5, 0.2, 1.5]])
    root = np.linalg.cholesky(turned)
    inside = np.linalg.solve(root, START.mean)
    step = 0.99 * guaranteed_descent_step(PAIR @ root, inside)
    path = descend_separable(PAIR @ root, inside, np.zeros((3, 0)), step=step, record=(10, 1000))
    laws = {0: START.mean, 10: root @ path.means[0], 1000: root @ path.means[1]}
    assert report(FEATURES, LABELS, TrainingRun(Training(step=step, loss="exponential", metric=turned), laws)).agrees
    other = Training(step=step, loss="exponential", metric=turned + 1e-6 * np.diag([0.0, 0.0, 1.0]))
    assert report(FEATURES, LABELS, TrainingRun(other, laws)).agrees
    seen = TrainingRun(replace(other, metric=turned + 1e-6 * np.diag([1.0, 0.0, 0.0])), laws)
    assert report(FEATURES, LABELS, seen).agrees is False


def test_nothing_is_measured_where_theory_refuses():
    for wrong in ({"momentum": 0.9}, {"optimiser": "adam"}, {"weight_decay": 0.1}):
        found = report(FEATURES, LABELS, law_run(Training(step=0.02, loss="logistic", **wrong), (0, 10)))
        assert found.measured == ()
        assert found.agrees is None
    mixed = report(
        FEATURES,
        np.array([1.0, 1.0]) * np.sign(FEATURES[:, 0] + 10),
        law_run(Training(step=0.02, loss="logistic"), (0, 10)),
    )
    assert mixed.assessment.fact("separable") is not None
    with pytest.raises(InvalidInput, match="Map classes 0 and 1"):
        report(FEATURES, np.array([0.0, 1.0]), law_run(Training(step=0.02, loss="logistic"), (0, 10)))


# --- IBVI -----------------------------------------------------------------------------------------------------------


def head(inputs: int = 6, outputs: int = 1, *, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(2, inputs), nn.Tanh(), nn.Linear(inputs, outputs)).to(dtype)
    body[0].requires_grad_(False)
    return body


SETTINGS = {"schedule": "constant", "batch_size": 8, "covariance": "low_rank", "rank": 3, "layers": "all"}


def regression(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(3, k, generator=generator, dtype=torch.float64).to(dtype) for k in (2, 1))


@pytest.mark.parametrize(
    ("parametrisation", "reduction"), [("sp", "mean"), ("sp", "sum"), ("ntp", "mean"), ("mup", "mean")]
)
def test_an_ibvi_posterior_of_a_linear_model(parametrisation, reduction):
    x, y = regression()
    config = ibvi.IBVIConfig(
        "gaussian",
        **SETTINGS,
        expectation="exact",
        parametrisation=parametrisation,
        learning_rate=0.2 if reduction == "mean" else 0.07,
        reduction=reduction,
        epochs=60,
    )
    posterior = ibvi.fit(head(), (x, y), config, seed=0, device="cpu")
    found = report(posterior, (x, y))
    assert found.agrees
    assert found.assessment.claimed("ib.regression_w2") or found.assessment.claimed("ib.precond_bayes")
    assert found.measured[-1].step == 60
    assert found.measured[-1].to_limit < found.measured[0].to_limit
    # a posterior that claims another rate is found out
    for wrong in (
        {"learning_rate": config.learning_rate * 1.0005},
        {"momentum": 0.8999},
        {"epochs": 61},
        {"covariance_scale": 1.001},
    ):
        lying = replace(posterior, config=replace(config, **wrong))
        assert report(lying, (x, y)).agrees is False


@pytest.mark.parametrize("parametrisation", ["sp", "ntp", "mup"])
def test_an_ibvi_posterior_in_float32(parametrisation):
    x, y = (
        part[:1] for part in regression(torch.float32)
    )  # one example: the bounds grow with the design's condition number
    config = ibvi.IBVIConfig(
        "gaussian",
        **SETTINGS,
        expectation="exact",
        parametrisation=parametrisation,
        learning_rate=0.1,
        epochs=10,
        momentum=0.0,
    )
    posterior = ibvi.fit(head(dtype=torch.float32), (x, y), config, seed=0, device="cpu")
    found = report(posterior, (x, y))
    assert found.agrees
    assert 1e-8 < found.measured[-1].to_path < found.measured[-1].allowed < 1e-3
    lying = replace(posterior, config=replace(config, learning_rate=0.101))
    assert report(lying, (x, y)).agrees is False


def test_the_sampled_posterior_and_its_labels():
    x, y = regression()
    config = ibvi.IBVIConfig("gaussian", **SETTINGS, parametrisation="sp", learning_rate=0.01, epochs=20, momentum=0.0)
    found = report(ibvi.fit(head(), (x, y), config, seed=0, device="cpu"), (x, y))
    assert found.agrees is None
    assert found.assessment.claimed("ib.mc_stability")
    assert found.measured[-1].to_limit < found.measured[0].to_limit
    labels = torch.tensor([0, 1, 1])
    binary = ibvi.IBVIConfig("binary", **SETTINGS, parametrisation="sp", learning_rate=0.01, epochs=20, momentum=0.0)
    asked = report(ibvi.fit(head(), (x, labels), binary, seed=0, device="cpu"), (x, labels))
    assert "ib.class_logistic" in [
        refusal.theorem for refusal in asked.assessment.refusals
    ]  # sampled: checked, not proved
    assert asked.assessment.fact("separable").holds


def test_a_binary_posterior_by_quadrature_reaches_its_law():
    x = torch.tensor([[1.0, 0.5], [-0.5, 1.0]], dtype=torch.float64)
    labels, net = torch.tensor([1, 0]), nn.Linear(2, 1, bias=False).double()
    choices = SETTINGS | {
        "rank": 2,
        "expectation": "quadrature",
        "parametrisation": "sp",
        "momentum": 0.0,
        "reduction": "sum",
    }
    config = ibvi.IBVIConfig("binary", **choices, covariance_scale=0.5, learning_rate=0.5, epochs=300)
    found = report(ibvi.fit(net, (x, labels), config, seed=0, device="cpu"), (x, labels))
    assert found.agrees
    assert found.assessment.claimed("ib.class_logistic")
    # two orthogonal rows of squared length 5/4: every exponent is 1, the mean's first correction log(t)/t
    assert found.measured[-1].to_limit < 5 * math.log(300) / 300
    assert found.measured[-1].relative_margin > 0.8
    swapped = report(ibvi.fit(net, (x, 1 - labels), config, seed=0, device="cpu"), (x, labels))
    assert swapped.measured[-1].relative_margin < 0
    assert swapped.measured[-1].to_limit > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expectation": "bound", "likelihood": "binary"}, "quadrature"),
        ({"schedule": "cosine"}, "fixed step"),
        ({"batch_size": 2}, "without replacement"),
        ({"likelihood": "softmax"}, "two"),
    ],
)
def test_trainings_that_no_theorem_describes(change, message):
    x, y = regression()
    targets = torch.tensor([0, 1, 1]) if "likelihood" in change else y
    outputs = 2 if change.get("likelihood") == "softmax" else 1
    config = ibvi.IBVIConfig(**{"likelihood": "gaussian", **SETTINGS, **change}, epochs=2)
    posterior = ibvi.fit(head(outputs=outputs), (x, targets), config, seed=0, device="cpu")
    with pytest.raises(AssumptionViolated, match=message):
        report(posterior, (x, targets))


class TwoHeads(nn.Module):
    """Linear in its weights, which lie in two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) + self.two(x.flip(1))


@pytest.mark.parametrize("layers", ["all", ("one",)])
def test_a_factor_for_each_layer_is_another_law(layers):
    x, y = regression()
    config = ibvi.IBVIConfig("gaussian", **SETTINGS | {"layers": layers}, epochs=2, parametrisation="sp")
    posterior = ibvi.fit(TwoHeads().double(), (x, y), config, seed=0, device="cpu")
    with pytest.raises(AssumptionViolated, match=r"ib\.ensemble_equiv"):
        report(posterior, (x, y))


def test_networks_and_files_are_refused(tmp_path):
    x, y = regression()
    network = head()
    network[0].requires_grad_(True)
    config = ibvi.IBVIConfig("gaussian", **SETTINGS, epochs=2)
    deep = ibvi.fit(network, (x, y), config, seed=0, device="cpu")
    with pytest.raises(AssumptionViolated, match=r"ib\.ntk"):
        report(deep, (x, y))
    posterior = ibvi.fit(head(), (x, y), config, seed=0, device="cpu")
    ibvi.save(posterior, tmp_path / "law.safetensors")
    with pytest.raises(InvalidInput, match="where it was fitted"):
        report(ibvi.load(tmp_path / "law.safetensors", head()), (x, y))
    with pytest.raises(InvalidInput, match="Leave"):
        report(posterior, (x, y), TrainingRun(Training(step=0.1), {0: np.zeros(7), 1: np.zeros(7)}))
