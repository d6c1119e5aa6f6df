"""The detector of label dependence: it finds narrow networks with large labels and is silent where the module is linear."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.methods.deep_ensemble import DeepEnsembleConfig
from nonvacuous.numerics.methods.lazy_regime import label_dependence
from nonvacuous.numerics.methods.normal_parametrisation import normal_module

X = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]], dtype=torch.float64)
TEST = torch.tensor([[0.5, 0.5, 0], [-0.7, 0.4, 0.2], [0.3, -0.8, -0.6]], dtype=torch.float64)
Y = torch.tensor([[2.0], [-2.0], [2.0], [-2.0]], dtype=torch.float64)
CONFIG = DeepEnsembleConfig(1.5, 0.3, tolerance=1e-3, members=200)


def wide(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 1)).double()


def test_a_narrow_network_with_large_labels_is_found():
    found = label_dependence(wide(16), (X, Y), TEST, CONFIG, seed=0)
    assert found.detected
    assert "not the limit" in str(found)


def test_a_linear_module_never_depends_on_its_labels():
    """Exactly: member by member the two trainings differ by the same function, so the variances agree to the residual."""
    found = label_dependence(
        nn.Linear(3, 1).double(), (X[:2], Y[:2]), TEST, DeepEnsembleConfig(1.5, 0.3, tolerance=1e-8, members=50), seed=0
    )
    assert abs(found.ratio) < 1e-5
    module = normal_module(nn.Linear(3, 1).double(), X[:2], weight_std=1.5, bias_std=0.3, device="cpu")
    start = module.draw(50, 0, "lazy regime: members")
    train, test = (torch.cat([1.5 * z / 3**0.5, 0.3 * torch.ones_like(z[:, :1])], 1) for z in (X[:2], TEST))
    smoother = test @ train.T @ torch.linalg.inv(train @ train.T)
    members = module.population(start, TEST) - smoother @ module.population(start, X[:2])
    torch.testing.assert_close(found.zeros, members[:, :, 0].var(0), rtol=1e-5, atol=1e-12)
    torch.testing.assert_close(found.labels, found.zeros, rtol=1e-5, atol=0)


def test_the_wider_the_less():
    narrow, broad = (label_dependence(wide(width), (X, Y), TEST, CONFIG, seed=1).ratio for width in (16, 256))
    assert abs(broad) < abs(narrow)


@pytest.mark.parametrize("members", [10, 49])
def test_bad_input(members):
    with pytest.raises(InvalidInput, match="members"):
        label_dependence(wide(8), (X, Y), TEST, DeepEnsembleConfig(1.5, 0.3, members=members), seed=0)
    with pytest.raises(InvalidInput, match="inputs"):
        label_dependence(wide(8), (X, Y), TEST[:, :2], CONFIG, seed=0)
