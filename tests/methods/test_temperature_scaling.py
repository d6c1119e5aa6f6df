"""Temperature scaling finds the one number that a known miscalibration asks for, and refuses what has none."""

import math

import pytest
import torch
from torch import nn

from nonvacuous.numerics.methods import temperature_scaling as ts
from nonvacuous.numerics.variational.temperature import negative_log_likelihood
from nonvacuous.theory.errors import InvalidInput


def scaled_identity(scale, size=3):
    net = nn.Sequential(nn.Linear(size, size, bias=False)).double().eval()
    with torch.no_grad():
        net[0].weight.copy_(scale * torch.eye(size))
    return net


def labels(logits, seed=0):
    p = torch.softmax(logits, 1)
    return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0]


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_labels_drawn_at_a_temperature_give_it_back(scale):
    x = 2 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = labels(x)
    posterior = ts.fit(scaled_identity(scale), (x, y), ts.TemperatureScalingConfig(), seed=0, device="cpu")
    # maximum likelihood in b = 1/T: six standard errors by the Fisher information sum_n Var_p(f) at the truth b = 1/scale
    p = torch.softmax(x, 1)
    information = float(((p * x.square()).sum(1) - (p * x).sum(1).square()).sum()) * scale**2
    assert abs(1 / posterior.temperature - 1 / scale) <= 6 / math.sqrt(information)
    # scaling the network scales the temperature: the search's width apart
    one = ts.fit(scaled_identity(1.0), (x, y), ts.TemperatureScalingConfig(), seed=0, device="cpu")
    assert posterior.temperature == pytest.approx(scale * one.temperature, rel=2e-6)
    got = ts.predict(posterior, x)
    assert torch.equal(got.probs.argmax(1), x.argmax(1))
    assert not got.variance.any()
    # stationary: mean over n of E_p f - f_y vanishes, to the curvature times the search's width
    gap = float(((got.probs * x).sum(1) - x.gather(1, y[:, None])[:, 0]).mean())
    assert abs(gap) <= 2e-6 * information / scale**2 / len(x) * 2
    assert torch.equal(ts.sample(posterior, x[:5], 2, 0)[1], got.mean[:5])


def test_no_best_temperature_is_refused():
    x = torch.eye(3, dtype=torch.float64).repeat(5, 1)
    for y, scale in ((x.argmax(1), 1.0), ((x.argmax(1) + 1) % 3, 1.0), (x.argmax(1), 0.0)):
        with pytest.raises(InvalidInput, match="No temperature"):
            ts.fit(scaled_identity(scale), (x, y), ts.TemperatureScalingConfig(), seed=0, device="cpu")
    with pytest.raises(InvalidInput):
        ts.fit(scaled_identity(1.0), (x, x), ts.TemperatureScalingConfig(), seed=0, device="cpu")
    with pytest.raises(InvalidInput):
        ts.TemperatureScalingConfig("gaussian")
    with pytest.raises(InvalidInput):
        negative_log_likelihood("gaussian", x[None], x)


def test_binary_labels():
    x = 3 * torch.randn(500, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = (
        torch.rand(500, generator=torch.Generator().manual_seed(2), dtype=torch.float64) < torch.sigmoid(x[:, 0])
    ).long()
    posterior = ts.fit(scaled_identity(4.0, 1), (x, y), ts.TemperatureScalingConfig("binary"), seed=0, device="cpu")
    p = torch.sigmoid(x[:, 0])
    information = 16 * float((p * (1 - p) * x[:, 0].square()).sum())
    assert abs(1 / posterior.temperature - 0.25) <= 6 / math.sqrt(information)
    assert ts.predict(posterior, x).probs.shape == (500, 1)
