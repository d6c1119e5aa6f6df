"""The parts of the variational family: which tensors are layers, the table of scales and rates, expectations in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from nonvacuous.numerics.variational.diagonal import Diagonal
from nonvacuous.numerics.variational.family import family
from nonvacuous.numerics.variational.kronecker import Kronecker
from nonvacuous.numerics.variational.last_layer import output_moments
from nonvacuous.numerics.variational.losses import expected_loss, loss
from nonvacuous.numerics.variational.low_rank import LowRank
from nonvacuous.numerics.variational.objective import ExpectedLoss, SampledTerms
from nonvacuous.numerics.variational.parametrisations import factor_scaling, mean_scaling
from nonvacuous.numerics.variational.training import Descent, factor, training
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

COVARIANCES = [LowRank(2), LowRank(None), Diagonal(), Kronecker(), Kronecker(2, 2)]


TWO = LowRank(2)


def built(net, x, covariance=TWO, **options):
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=value.dtype))
    return family(net.eval(), x, covariance, **{"parametrisation": "mup", "layers": "all", "device": "cpu"} | options)


class Everything(nn.Module):
    """Layers registered in another order than they are called, an embedding, loose parameters, a layer called twice, an unused one."""

    def __init__(self, separate):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.unused = nn.Linear(2, 5)
        self.embedding = nn.Embedding(7, 6)
        self.position = nn.Parameter(torch.zeros(1, 4, 6))
        sizes = {"kdim": 4, "vdim": 5} if separate else {}
        self.separate = separate
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True, **sizes)
        self.norm = nn.LayerNorm(6)
        self.again = nn.Linear(6, 6)

    def forward(self, x):
        h = self.embedding(x) + self.position
        other = (h[..., :4], h[..., :5]) if self.separate else (h, h)
        h = self.norm(h + self.attention(h, *other, need_weights=False)[0])
        h = self.again(torch.tanh(self.again(h)))
        return self.head(h.mean(1))


@pytest.mark.parametrize("separate", [False, True])
def test_layers_are_found_in_the_order_of_calls_and_nothing_trained_is_left_out(separate):
    net, x = Everything(separate).double(), torch.arange(12).reshape(3, 4) % 7
    found = built(net, x)
    projections = [f"attention.{p}_proj" for p in "qkv"] if separate else ["attention.in_proj"]
    assert [layer.name for layer in found.layers] == [*projections, "attention.out_proj", "again", "head"]
    assert [layer.role for layer in found.layers] == ["input", *["hidden"] * (len(found.layers) - 2), "output"]
    assert [layer.direct for layer in found.layers] == [False] * (len(found.layers) - 1) + [True]
    owned = [name for layer in found.layers for name in layer.tensors]
    assert sorted([*owned, *found.loose]) == sorted(dict(net.named_parameters()))
    assert set(found.scalings) == set(found.network.random)
    kinds = {name: (loose.kind, loose.fan_out) for name, loose in found.loose.items()}
    expected = {
        "embedding.weight": ("vector", 6), "position": ("vector", 6), "norm.weight": ("vector", 6), "norm.bias": ("vector", 6),
        "unused.weight": ("other", 5), "unused.bias": ("bias", 5),
    }  # fmt: skip
    assert kinds == expected | ({"attention.in_proj_bias": ("bias", 18)} if separate else {})
    # the packed projection is three of them: its fan-out is one's
    assert found.layers[0].fan_in == 6
    assert found.layers[0].fan_out == 6
    law = found.start(0)
    assert torch.equal(law.means["embedding.weight"], net.embedding.weight)
    values = found.at(law, found.noise(torch.Generator().manual_seed(1)))
    first, again = found.call(values, x), found.call(values, x)
    assert torch.equal(first, again)
    # the module's own tensors are what a call without our values sees: untouched
    assert torch.equal(net(x), found.network.module(x))
    # a layer that is called twice, or whose output goes on, has no closed form
    assert built(net, x, layers=("again",)).readout is None


def test_a_tied_weight_moves_under_both_names_and_has_no_closed_form():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.embedding = nn.Linear(6, 7, bias=False), nn.Embedding(7, 6)
            self.embedding.weight = self.head.weight

        def forward(self, x):
            return self.head(self.embedding(x).mean(1))

    x = torch.arange(12).reshape(3, 4) % 7
    found = built(Tied().double(), x)
    assert [layer.name for layer in found.layers] == ["head"]
    assert found.readout is None  # the features move with the weight: the output is not linear in it
    w = found.at(found.start(0), found.noise(torch.Generator().manual_seed(1)))["head.weight"]
    torch.testing.assert_close(found.call({"head.weight": w}, x), w[x].mean(1) @ w.T, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("conv", "shape"), [(nn.Conv1d, (4, 6)), (nn.Conv2d, (4, 5, 5)), (nn.Conv3d, (4, 4, 4, 4))])
@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_convolutions_of_every_dimension_are_perturbed_as_their_explicit_factor_says(conv, shape, covariance):
    net = nn.Sequential(conv(4, 6, 2, groups=2), nn.Flatten(), nn.LazyLinear(2)).double()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    net(x)
    found = built(net, x, covariance, layers=("0",))
    (layer,) = found.variational
    positions = 2 ** (len(shape) - 1)
    assert (layer.fan_in, layer.fan_out) == (2 * positions, 3 * positions)
    law, z = found.start(0), found.noise(torch.Generator().manual_seed(1))
    moved, still = found.at(law, z), found.at(law, None)
    difference = torch.cat([(moved[name] - still[name]).reshape(-1) for name in layer.tensors])
    torch.testing.assert_close(difference, covariance.matrix(layer, law.factors) @ z, rtol=0, atol=1e-13)
    variances = covariance.variances(layer, law.factors)
    torch.testing.assert_close(
        torch.cat([variances[name].reshape(-1) for name in layer.tensors]),
        covariance.matrix(layer, law.factors).square().sum(1),
    )
    # the call is the module's own with those weights
    with torch.no_grad():
        for name, value in moved.items():
            net.get_parameter(name).copy_(value)
    torch.testing.assert_close(found.call(moved, x), net(x), rtol=0, atol=0)


def test_the_table_of_scales_and_rates():
    row = {"fan_in": 16, "fan_out": 9}
    table = {
        ("mup", "input"): (0.25, 9.0, 1.0, 1.0), ("mup", "hidden"): (0.25, 1.0, 1 / 16, 1.0), ("mup", "output"): (1 / 16, 1 / 16, 1.0, 1.0),
        ("mup", "bias"): (1.0, 9.0, 1.0, 1.0), ("mup", "vector"): (1.0, 9.0, 1.0, 1.0),
        ("sp", "input"): (0.25, 1.0, 1.0, 1.0), ("sp", "output"): (0.25, 1.0, 1.0, 1.0), ("sp", "bias"): (1.0, 1.0, 1.0, 1.0),
        ("ntp", "hidden"): (1.0, 1.0, 1.0, 0.25), ("ntp", "bias"): (1.0, 1.0, 1.0, 1.0),
    }  # fmt: skip
    for (parametrisation, kind), (std, sgd, adam, multiplier) in table.items():
        for optimizer, rate in (("sgd", sgd), ("adam", adam)):
            got = mean_scaling(parametrisation, kind, **row, optimizer=optimizer)
            assert (got.std, got.rate, got.multiplier) == (std, rate, multiplier)
    mean = mean_scaling("mup", "input", **row)
    scaled = factor_scaling(mean, rank=4)
    assert (scaled.std, scaled.rate) == (0.125, 9 / 4)
    assert factor_scaling(mean, rank=4, rate=0.5).rate == 4.5
    for bad in ({"parametrisation": "he"}, {"kind": "norm"}, {"fan_in": 0}, {"optimizer": "lion"}):
        with pytest.raises(InvalidInput):
            mean_scaling(**{"parametrisation": "mup", "kind": "input"} | row | bad)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_initial_factors_have_the_scales_and_rates_of_the_table(covariance):
    net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 9)).double()
    x = torch.zeros(2, 12, dtype=torch.float64)
    found = built(net, x, covariance)
    means, factors = found.rates()
    assert means == {"0.weight": 16.0, "0.bias": 16.0, "2.weight": 1 / 16, "2.bias": 9.0}
    if isinstance(covariance, Kronecker):
        out, into = covariance.ranks(found.layers[1])
        assert factors["2.weight.input"] == pytest.approx(1 / 16 / into, rel=1e-15)
        assert factors["2.weight.output"] == 1 / out
        assert factors["2.bias.input"] == pytest.approx(9 / into, rel=1e-15)
    elif isinstance(covariance, LowRank):
        assert factors["2.weight"] == pytest.approx(1 / 16 / covariance.columns(found.layers[1]), rel=1e-15)
    else:
        assert factors == means
    # a draw has twice the variance of the deterministic network's start: over starts, the mean's own and as much from the noise
    totals = []
    for seed in range(30):
        law = found.start(seed)
        variances = covariance.variances(found.layers[0], law.factors)["0.weight"]
        totals.append(float((law.means["0.weight"].square() + variances).mean()) * 12)
    error = np.std(totals) / math.sqrt(30)
    assert abs(np.mean(totals) - 2) <= 6 * error + 1e-12


def test_norms_keep_the_module_s_values_and_start_module_keeps_all():
    net = nn.Sequential(nn.Linear(3, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    found = built(net, torch.zeros(2, 3, dtype=torch.float64), parametrisation="ntp")
    drawn, own = found.start(0), found.start(0, means="module")
    assert torch.equal(drawn.means["1.weight"], net[1].weight)
    assert not torch.equal(drawn.means["0.weight"], net[0].weight)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(found.call(found.at(own, None), x), net(x), rtol=1e-13, atol=0)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_the_scale_of_the_start_multiplies_the_noise_once(covariance):
    found = built(nn.Sequential(nn.Linear(4, 3)).double(), torch.zeros(2, 4, dtype=torch.float64), covariance)
    (layer,) = found.layers
    whole, half = (covariance.matrix(layer, found.start(0, scale=scale).factors) for scale in (1.0, 0.5))
    torch.testing.assert_close(half, 0.5 * whole, rtol=1e-15, atol=0)
    assert torch.equal(found.start(0, scale=0.5).means["0.weight"], found.start(0).means["0.weight"])
    independent = None
    if covariance not in (LowRank(2), Kronecker(2, 2)):
        independent = covariance.independent(layer, {"0.weight": 0.3, "0.bias": 0.7}, whole)
        s = covariance.matrix(layer, independent)
        torch.testing.assert_close(s @ s.T, torch.diag(torch.tensor([0.09] * 12 + [0.49] * 3, dtype=s.dtype)))
    else:
        with pytest.raises(AssumptionViolated, match="singular"):
            covariance.independent(layer, {"0.weight": 0.3, "0.bias": 0.7}, whole)


@pytest.mark.parametrize("v", [0.0, 1e-3, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("m", [-3.0, 0.0, 1.7])
def test_binary_expectations_against_adaptive_integration(m, v):
    mean, variance, y = (torch.tensor([[value]], dtype=torch.float64) for value in (m, v, 0))
    y = torch.tensor([1])

    def integrand(t):
        return np.logaddexp(0, -(m + math.sqrt(v) * t)) * math.exp(-t * t / 2) / math.sqrt(2 * math.pi)

    exact = quad(integrand, -40, 40, points=[-8, 8], epsabs=1e-13, limit=200)[0]
    got = float(expected_loss("binary", "quadrature", mean, variance, y))
    # the rule's error at 20 nodes as the theory document gives it: 1e-9 at v = 1, 5e-6 at v = 4
    assert abs(got - exact) <= (2e-9 if v <= 1 else 5e-6)
    bound = float(expected_loss("binary", "bound", mean, variance, y))
    assert bound >= exact - 1e-12
    # Jensen: the logarithm outside, the exponential's mean inside
    inside = quad(
        lambda t: math.exp(-(m + math.sqrt(v) * t) - t * t / 2) / math.sqrt(2 * math.pi),
        -40,
        40,
        points=[-8, 8],
        epsabs=1e-13,
        limit=200,
    )[0]
    assert bound == pytest.approx(math.log1p(inside), rel=1e-11)
    means, variances = (
        torch.tensor([[m, 0.3, -1.0]], dtype=torch.float64),
        torch.tensor([[v, 0.0, 0.0]], dtype=torch.float64),
    )
    softmax = float(expected_loss("softmax", "bound", -means, variances, torch.tensor([1])))
    assert softmax == pytest.approx(0.3 + math.log(inside + math.exp(-0.3) + math.exp(1.0)), rel=1e-11)
    flipped = float(expected_loss("binary", "quadrature", -mean, variance, torch.tensor([0])))
    assert flipped == pytest.approx(got, rel=1e-15)
    variance = variance.clone().requires_grad_()
    (slope,) = torch.autograd.grad(expected_loss("binary", "quadrature", mean, variance, y).sum(), variance)
    assert math.isfinite(float(slope))


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_the_softmax_bound_is_above_the_expected_loss_and_exact_without_noise(covariance):
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = built(net, x, covariance, layers=("2",))
    law, y = found.start(0), torch.arange(5) % 3
    mean, variance = output_moments(found, law, None, x)
    bound = expected_loss("softmax", "bound", mean, variance, y)
    stream = torch.Generator().manual_seed(4)
    drawn = torch.stack([loss("softmax", found.call(found.at(law, found.noise(stream)), x), y) for _ in range(400)])
    assert (bound >= drawn.mean(0) - 6 * drawn.std(0) / 20).all()
    torch.testing.assert_close(expected_loss("softmax", "bound", mean, 0 * variance, y), loss("softmax", mean, y))
    with pytest.raises(InvalidInput):
        expected_loss("softmax", "exact", mean, variance, y)


def test_the_terms_of_a_step_are_unbiased_and_pairs_are_antithetic():
    net = nn.Sequential(nn.Linear(3, 2)).double()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = built(net, x, LowRank(3))
    law = found.start(0)
    exact = sum(SampledTerms(found, ExpectedLoss("gaussian", "exact", reduction="sum"), seed=0)(law, x, y, None))
    for antithetic in (False, True):
        terms = SampledTerms(found, ExpectedLoss("gaussian", samples=4, antithetic=antithetic, reduction="sum"), seed=0)
        stream = torch.Generator().manual_seed(1)
        steps = torch.stack([sum(terms(law, x, y, stream)) for _ in range(300)])
        assert abs(float(steps.mean() - exact)) <= 6 * float(steps.std()) / 300**0.5
    pair = SampledTerms(found, ExpectedLoss("gaussian", samples=2, antithetic=True), seed=0)
    one, other = pair._fresh(torch.Generator().manual_seed(1))
    assert torch.equal(one, -other)


def test_the_schedule_falls_by_half_a_cosine_and_reaches_every_group():
    net = nn.Sequential(nn.Linear(3, 2)).double()
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = built(net, x)
    descent = Descent(4, 4, 0.5)
    terms = SampledTerms(found, ExpectedLoss("gaussian"), seed=0)
    events = list(training(found, found.start(0), x, x[:, :2].contiguous(), terms, descent, seed=0))
    # the last of two steps of each of four epochs
    assert [event.learning_rate for event in events[:4]] == [
        0.25 * (1 + math.cos(math.pi * k / 8)) for k in (1, 3, 5, 7)
    ]
    assert factor(descent, 0, 8) == 1
    assert factor(Descent(1, 1, 1.0, schedule="constant"), 7, 8) == 1
