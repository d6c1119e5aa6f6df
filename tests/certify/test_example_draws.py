"""One posterior draw for each example: the law is that of separate weights for every example, and other modules are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest, norm
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput, NumericalFailure
from nonvacuous.numerics.certify import certify
from nonvacuous.numerics.certify.example_draws import _forward, example_risks, supports_example_draws
from nonvacuous.numerics.certify.gaussian import from_module, sample
from nonvacuous.numerics.certify.losses import Loss
from nonvacuous.numerics.certify.monte_carlo import draw_risks
from nonvacuous.numerics.intervals import ALPHA, multiplier

LOSS = Loss("zero_one")


class Skip(nn.Module):
    """A hidden layer that two layers read, one of them without a bias, and a frozen first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.hidden = nn.Linear(3, 5)
        self.left, self.right = nn.Linear(5, 3), nn.Linear(5, 3, bias=False)
        self.first.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.hidden(torch.relu(self.first(x.flatten(1)))))
        return self.left(h) + self.right(h.square())


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.relu(self.layer(x)))


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(3, 3), nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) * self.scale


class Tokens(nn.Module):
    """A linear layer over the tokens of an example: its weights meet each example several times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.unsqueeze(-1)).mean(1)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(2, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(x.reshape(-1, 2, 2))[0][:, -1]


class Swallowing(nn.Module):
    """A random tensor whose NaN a comparison turns into a constant, read as a Python number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k = self.scale.tolist()[0]
        return self.layer(x) * (1.0 if k != k else k)


def filled(net: nn.Module) -> nn.Module:
    stream = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream))
    return net.double().eval()


def test_outputs_have_the_law_of_separate_weights_for_every_row():
    """Means and covariances of the outputs of one input, and the distribution of one of them, against drawn weights."""
    gaussian = from_module(filled(Skip()), 0.4)
    x = torch.tensor([[0.3, -1.0, 2.0, 0.5]], dtype=torch.float64)
    count = 20_000
    ours = _forward(gaussian, x.expand(count, 4), torch.Generator().manual_seed(0)).numpy()
    drawn = sample(gaussian, torch.Generator().manual_seed(1), count)
    network = gaussian.network

    def evaluate(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(network.module, parameters | network.fixed, (x,))[0]

    theirs = torch.func.vmap(evaluate)(drawn).detach().numpy()
    for f in (lambda z: z, lambda z: z**2, lambda z: z[:, [0, 0, 1]] * z[:, [1, 2, 2]], np.abs):
        a, b = f(ours), f(theirs)
        error = np.hypot(a.std(0), b.std(0)) / math.sqrt(count)
        assert (np.abs(a.mean(0) - b.mean(0)) < multiplier(12) * error).all()
    assert kstest(ours[:, 0], theirs[:, 0]).pvalue > ALPHA


def test_exact_gibbs_risk_and_independence_between_examples():
    """Thirty copies of one example: a shared draw is right or wrong on all of them, separate draws are binomial."""
    net = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.1, 0.2, -0.3, 0.4], [0.2, 0.1, 0.1, 0.3]]))
    gaussian = from_module(net, 0.7)
    row = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    x, y = row.expand(30, 4).clone(), torch.zeros(30, dtype=torch.int64)
    margin = float((net.weight[0] - net.weight[1]).detach() @ row) / (math.sqrt(2) * 0.7 * float(row.norm()))
    exact = float(norm.cdf(-margin))
    draws = 4000
    errors = example_risks(gaussian, x, y, LOSS, draws=draws, seed=0).sums.numpy()
    assert abs(errors.mean() / 30 - exact) < multiplier() * math.sqrt(exact * (1 - exact) / (30 * draws))
    expected, found = binom.var(30, exact), errors.var()
    spread = expected * math.sqrt((2 + (1 - 6 * exact * (1 - exact)) / expected) / draws)
    assert abs(found - expected) < multiplier() * spread
    shared = draw_risks(gaussian, x, y, LOSS, draws=200, seed=0).sums
    assert set(shared.tolist()) <= {0.0, 30.0}


@pytest.mark.parametrize("memory_mb", [16, 0.05])
def test_same_risk_as_drawn_weights(memory_mb):
    gaussian = from_module(filled(Skip()), 0.5)
    stream = torch.Generator().manual_seed(2)
    x, y = torch.randn(23, 2, 2, generator=stream, dtype=torch.float64), torch.arange(23) % 3
    one = example_risks(gaussian, x, y, LOSS, draws=1500, seed=0, memory_mb=memory_mb)
    other = draw_risks(gaussian, x, y, LOSS, draws=4000, seed=0).per_draw
    assert one.largest_part == 1
    error = math.hypot(float(one.per_draw.std()) / math.sqrt(1500), float(other.std()) / math.sqrt(4000))
    assert abs(float(one.per_draw.mean() - other.mean())) < multiplier() * error
    again = example_risks(gaussian, x, y, LOSS, draws=1500, seed=0, memory_mb=memory_mb)
    assert torch.equal(one.sums, again.sums)


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (Shared(), torch.randn(6, 3)),
        (Scaled(), torch.randn(6, 3)),
        (Tokens(), torch.randn(6, 4)),
        (nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(8, 3)), torch.randn(6, 1, 3, 3)),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3)), torch.randn(6, 4)),
        (Recurrent(), torch.randn(6, 4)),
        (Swallowing(), torch.randn(6, 4)),
    ],
    ids=["shared", "scaled", "tokens", "convolution", "layer norm", "recurrent", "swallowing"],
)
def test_other_modules_are_refused_and_the_default_draws_weights(net, x):
    gaussian = from_module(net.double().eval(), 0.1)
    y = torch.arange(6) % 3
    assert not supports_example_draws(gaussian, x.double())
    with pytest.raises(AssumptionViolated, match="linear layers"):
        example_risks(gaussian, x.double(), y, LOSS, draws=3, seed=0)
    data = {"posterior": gaussian, "prior": gaussian, "data": (x.double(), y), "delta": 0.1, "seed": 0, "draws": 4}
    if not isinstance(net, Swallowing):  # reads a parameter as a number, which no evaluation of many draws allows
        assert certify(**data, vectorize=False).parts["risk"].inputs["largest_part"] == 6
    with pytest.raises(AssumptionViolated):
        certify(**data, parts="examples")


def test_the_default_pays_for_as_many_draws_as_there_are():
    gaussian = from_module(filled(Skip()), 0.2)
    x, y = torch.randn(40, 4, dtype=torch.float64), torch.arange(40) % 3
    options = {"posterior": gaussian, "prior": gaussian, "data": (x, y), "delta": 0.1, "seed": 0, "draws": 50}
    found = certify(**options)
    assert {name: found.parts["risk"].inputs[name] for name in ("draws", "examples", "largest_part")} == {
        "draws": 50,
        "examples": 40,
        "largest_part": 1,
    }
    assert found.check().sound
    assert certify(**options, parts=1).parts["risk"].inputs["largest_part"] == 40
    for parts in (0, 41, 2.5, "all"):
        with pytest.raises(InvalidInput):
            certify(**options, parts=parts)


def test_infinite_outputs_and_memory():
    gaussian = from_module(filled(nn.Linear(4, 3)), 0.2)
    x, y = torch.randn(5, 4, dtype=torch.float64), torch.arange(5) % 3
    narrow = from_module(nn.Linear(4, 3), 1e30)  # float32: squares of scales times squares of inputs overflow
    with pytest.raises(NumericalFailure):
        example_risks(narrow, 1e10 * x.float(), y, LOSS, draws=2, seed=0)
    with pytest.raises(InvalidInput, match="memory_mb"):
        example_risks(gaussian, x, y, LOSS, draws=2, seed=0, memory_mb=0)


class LaterRows(nn.Module):
    """Uses its layer a second time, or its scale, only in a batch that has a row beyond the threshold."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(3, 3), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.layer(x)
        if bool(x.max() > 10):
            return self.layer(found) if self.how == "twice" else found * self.layer.bias
        return found


@pytest.mark.parametrize("how", ["twice", "elsewhere"])
@pytest.mark.parametrize("row", [9, 40, 199])
def test_a_reuse_on_later_rows_is_seen_before_anything_is_drawn(how, row):
    """The first eight rows show linear layers only; the default then draws whole sets of weights for parts of the examples."""
    torch.manual_seed(0)
    x, y = torch.randn(200, 3, dtype=torch.float64), torch.arange(200) % 3
    x[row, 1] = 11.0
    gaussian = from_module(LaterRows(how).double().eval(), 0.1)
    assert supports_example_draws(gaussian, x[:8])
    assert not supports_example_draws(gaussian, x)
    with pytest.raises(AssumptionViolated, match="some rows"):
        example_risks(gaussian, x, y, LOSS, draws=3, seed=0)
    with pytest.raises(AssumptionViolated, match="some rows"):
        example_risks(gaussian, x, y, LOSS, draws=3, seed=0, memory_mb=0.01)  # a few rows at a time
    found = certify(gaussian, prior=gaussian, data=(x, y), delta=0.1, seed=0, draws=4, vectorize=False)
    assert found.parts["risk"].inputs["largest_part"] == 67  # 200 examples in 3 parts
    assert found.check().sound


def test_a_module_of_linear_layers_still_draws_for_each_example():
    x, y = torch.randn(200, 4, dtype=torch.float64), torch.arange(200) % 3
    gaussian = from_module(Skip().double().eval(), 0.1)
    found = certify(gaussian, prior=gaussian, data=(x, y), delta=0.1, seed=0, draws=4)
    assert found.parts["risk"].inputs["largest_part"] == 1
