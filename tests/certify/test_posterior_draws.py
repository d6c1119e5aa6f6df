"""Losses of posterior draws: against a plain loop, against the exact Gibbs risk, with every example weighing the same."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from nonvacuous.numerics.certify.gaussian import from_module, sample
from nonvacuous.numerics.certify.losses import Loss, bounded_cross_entropy, zero_one
from nonvacuous.numerics.certify.monte_carlo import STREAM, DrawnRisks, draw_losses, draw_risks, labelled_data
from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.randomness import sub_seed
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure

LOSSES = [Loss("zero_one"), Loss("cross_entropy", 1e-3)]


def images(count=17, seed=0):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 6, 6, generator=stream, dtype=torch.float64)
    return x, torch.arange(count) % 3


def convolutional():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(32, 3)
    )
    with torch.no_grad():
        for index, value in enumerate(net.parameters()):
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(index)))
    return net.double().eval()


def by_hand(gaussian, x, y, loss, draws, seed):
    """One draw, one example at a time, by assigning the parameters to the module."""
    stream = torch.Generator().manual_seed(sub_seed(seed, STREAM))
    net = convolutional()
    table = np.empty((draws, len(x)))
    for row in range(draws):
        with torch.no_grad():
            for name, value in sample(gaussian, stream).items():
                net.get_parameter(name).copy_(value)
            for column in range(len(x)):
                scores = net(x[column : column + 1])[0]
                if loss.kind == "zero_one":
                    table[row, column] = int(scores.argmax()) != int(y[column])
                else:
                    p = float(torch.softmax(scores, 0)[y[column]])
                    table[row, column] = -math.log(max(p, loss.pmin)) / math.log(1 / loss.pmin)
    return table


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
@pytest.mark.parametrize(("memory_mb", "vectorize"), [(16, True), (0.004, True), (0.02, True), (16, False)])
def test_losses_agree_with_a_plain_loop(loss, memory_mb, vectorize):
    gaussian = from_module(convolutional(), 0.3)
    x, y = images()
    options = {"draws": 11, "seed": 4, "memory_mb": memory_mb, "vectorize": vectorize}
    found = draw_losses(gaussian, x, y, loss, **options)
    expected = by_hand(gaussian, x, y, loss, 11, 4)
    # logits are sums of some 40 products of size up to 10, in another order; -ln p / ln(1/pmin) does not enlarge that
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=0 if loss.kind == "zero_one" else 1e-12)
    risks = draw_risks(gaussian, x, y, loss, **options)
    np.testing.assert_allclose(risks.per_draw.numpy(), expected.mean(1), rtol=1e-13, atol=1e-12)


def test_the_last_partial_batch_weighs_by_its_size():
    gaussian = from_module(convolutional(), 0.3)
    x, y = images(17)
    loader = DataLoader(TensorDataset(x, y), batch_size=5)
    lx, ly = labelled_data(loader, gaussian.network)
    assert torch.equal(lx, x)
    assert torch.equal(ly, y)
    loss = Loss("cross_entropy", 1e-3)
    table = draw_losses(gaussian, x, y, loss, draws=3, seed=0)
    got = draw_risks(gaussian, lx, ly, loss, draws=3, seed=0, memory_mb=0.004).per_draw
    torch.testing.assert_close(got, table.mean(1), rtol=1e-12, atol=0)
    by_batches = torch.stack([part.mean(1) for part in table.split(5, dim=1)]).mean(0)
    assert (by_batches - got).abs().max() > 1e-6


def test_exact_gibbs_risk_of_a_linear_classifier():
    stream = torch.Generator().manual_seed(3)
    x, y = torch.randn(9, 4, generator=stream, dtype=torch.float64), torch.arange(9) % 2
    net = nn.Linear(4, 2, bias=False).double()
    gaussian = from_module(net, 0.7)
    draws = 20_000
    difference = (net.weight[1] - net.weight[0]).detach()
    margin = (2 * y - 1) * (x @ difference) / (math.sqrt(2) * 0.7 * x.norm(dim=1))
    exact = float(norm.cdf(-margin.numpy()).mean())
    risks = draw_risks(gaussian, x, y, Loss("zero_one"), draws=draws, seed=1).per_draw
    assert abs(float(risks.mean()) - exact) < multiplier() * float(risks.std()) / math.sqrt(draws)


def test_progress_and_seeds():
    gaussian = from_module(convolutional(), 0.3)
    x, y = images()
    seen = []
    one = draw_risks(gaussian, x, y, LOSSES[0], draws=20, seed=0, memory_mb=0.05, progress=seen.append)
    assert [event.draws for event in seen] == sorted({event.draws for event in seen})
    assert (seen[-1].draws, seen[-1].total) == (20, 20)
    assert seen[-1].risk == pytest.approx(float(one.per_draw.mean()))
    state = torch.get_rng_state()
    assert torch.equal(one.sums, draw_risks(gaussian, x, y, LOSSES[0], draws=20, seed=0).sums)
    assert not torch.equal(one.sums, draw_risks(gaussian, x, y, LOSSES[0], draws=20, seed=1).sums)
    assert torch.equal(state, torch.get_rng_state())


@given(
    counts=st.lists(st.integers(0, 719), min_size=1, max_size=30),
    fractions=st.lists(st.floats(0, 17), min_size=1, max_size=30),
)
@settings(max_examples=100, deadline=None)
def test_the_mean_is_rounded_upward(counts, fractions):
    for values, examples, loss in ((counts, 719, LOSSES[0]), (fractions, 17, LOSSES[1])):
        sums = torch.tensor(values, dtype=torch.float64)
        got = DrawnRisks(sums, examples, loss, examples).mean_upward
        exact = sum((Fraction(v) for v in sums.tolist()), Fraction(0)) / (len(values) * examples)
        assert min(exact, 1) <= Fraction(got)
        assert got <= min(1.0, float(exact) * (1 + (examples + 8) * 2.0**-53) + 5e-324)


def test_ties_are_errors_and_the_bounded_cross_entropy_is_bounded():
    outputs = torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert zero_one(outputs, torch.tensor([0, 0, 0, 2])).tolist() == [True, False, True, True]
    far = torch.tensor([[1e4, 0.0], [1e4, 0.0]])
    assert bounded_cross_entropy(far, torch.tensor([0, 1]), 1e-3).tolist() == [0.0, 1.0]
    half = bounded_cross_entropy(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]), 0.25)
    assert float(half) == pytest.approx(0.5, rel=1e-15, abs=0)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_outputs_that_are_not_finite(bad):
    class Blows(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2))

        def forward(self, x):
            return x[:, :1] * self.w + torch.where(self.w.sum() == 0, 0.0, bad)

    gaussian = from_module(Blows(), 1.0)
    x, y = labelled_data((torch.ones(3, 1), torch.zeros(3, dtype=torch.int64)), gaussian.network)
    for vectorize in (True, False):
        with pytest.raises(NumericalFailure, match="not finite"):
            draw_risks(gaussian, x, y, LOSSES[0], draws=3, seed=0, vectorize=vectorize)


class Hidden(nn.Module):
    """A layer kept in a plain list, which no parameter listing sees."""

    def __init__(self):
        super().__init__()
        self.visible, self.layers = nn.Linear(3, 4), [nn.Linear(4, 2)]

    def forward(self, x):
        return self.layers[0](self.visible(x))


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return nn.functional.dropout(self.layer(x), 0.5, training=True)


def test_predictors_with_uncounted_parameters_or_noise_of_their_own_are_refused():
    data = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    with pytest.raises(AssumptionViolated, match="Register"):
        labelled_data(data, from_module(Hidden(), 0.1).network)
    noisy = from_module(Noisy(), 0.1)
    with pytest.raises(InvalidInput):
        draw_risks(noisy, *data, LOSSES[0], draws=2, seed=0)
    with pytest.raises(AssumptionViolated):
        draw_risks(noisy, *data, LOSSES[0], draws=2, seed=0, vectorize=False)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x) if float(self.layer.weight.sum()) > 0 else -self.layer(x)


def test_modules_that_cannot_be_mapped_say_what_to_do():
    data = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 2
    gaussian = from_module(Branching(), 0.1)
    with pytest.raises(InvalidInput, match="vectorize=False"):
        draw_risks(gaussian, *data, LOSSES[0], draws=2, seed=0)
    assert draw_risks(gaussian, *data, LOSSES[0], draws=2, seed=0, vectorize=False).examples == 6


def bad_data():
    x, y = images(6)
    weights = WeightedRandomSampler([1.0] * 6, 6)
    return {
        "empty": (x[:0], y[:0]),
        "empty loader": [],
        "lengths": (x, y[:5]),
        "dtype": (x.float(), y),
        "nan": (x * math.nan, y),
        "label too large": (x, y + 1),
        "negative label": (x, y - 1),
        "float labels": (x, y.double()),
        "label shape": (x, y[:, None]),
        "wrong input shape": (x[:, :, :3], y),
        "no tensors": (x.numpy(), y.numpy()),
        "not data": 3,
        "batches of three": [(x, y, y)],
        "with replacement": DataLoader(TensorDataset(x, y), sampler=weights),
    }


@pytest.mark.parametrize("name", list(bad_data()))
def test_bad_data(name):
    with pytest.raises(InvalidInput):
        labelled_data(bad_data()[name], from_module(convolutional(), 0.1).network)


def test_bad_options():
    gaussian = from_module(convolutional(), 0.1)
    x, y = images(6)
    for options in (
        {"draws": 0},
        {"draws": 1.5},
        {"seed": -1},
        {"seed": 0.5},
        {"memory_mb": 0},
        {"memory_mb": math.nan},
    ):
        with pytest.raises(InvalidInput):
            draw_risks(gaussian, x, y, LOSSES[0], **{"draws": 2, "seed": 0, **options})
    for options in (
        ("hinge",),
        ("zero_one", 0.1),
        ("cross_entropy",),
        ("cross_entropy", 1.0),
        ("cross_entropy", 0.0),
        ("cross_entropy", math.nan),
    ):
        with pytest.raises(InvalidInput):
            Loss(*options)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_have_draws_of_their_own(loss):
    gaussian, (x, y) = from_module(convolutional(), 0.3), images()
    whole = draw_losses(gaussian, x, y, loss, draws=6, seed=0)
    got = draw_risks(gaussian, x, y, loss, draws=6, seed=0, parts=3)
    assert got.largest_part == max(len(part) for part in x.tensor_split(3))
    first = len(x.tensor_split(3)[0])
    # the first part sees the draws of a single-part run; the others must not
    alone = draw_risks(gaussian, x[:first], y[:first], loss, draws=6, seed=0).sums
    assert torch.equal(alone, whole[:, :first].sum(1))
    rest = got.sums - alone
    assert not torch.allclose(rest, whole[:, first:].sum(1))
    with pytest.raises(InvalidInput, match="parts"):
        draw_risks(gaussian, x, y, loss, draws=6, seed=0, parts=len(x) + 1)


def test_parts_estimate_the_same_risk():
    gaussian, (x, y) = from_module(convolutional(), 0.3), images()
    one = draw_risks(gaussian, x, y, LOSSES[0], draws=4000, seed=0).per_draw
    many = draw_risks(gaussian, x, y, LOSSES[0], draws=4000, seed=1, parts=len(x)).per_draw
    error = math.hypot(float(one.std()), float(many.std())) / math.sqrt(4000)
    assert abs(float(one.mean() - many.mean())) < multiplier() * error
