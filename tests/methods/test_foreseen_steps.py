"""Steps that are foreseen from the modes of a residual: exact in linear modules, a lower bound from few modes, told but never refused on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import NumericalFailure
from nonvacuous.numerics.methods import tangent_spectrum as lanczos
from nonvacuous.numerics.methods.deep_ensemble import DeepEnsembleConfig, fit
from nonvacuous.numerics.methods.descent import DescentProgress, descend, rule
from nonvacuous.numerics.methods.foreseen_steps import foreseen_steps
from nonvacuous.numerics.methods.normal_parametrisation import normal_module
from nonvacuous.numerics.methods.tangent_spectrum import residual_modes

T = torch.linspace(-1, 1, 3, dtype=torch.float64)[:, None]
X, Y = torch.cat([T, T**2, 1 - T], 1), torch.cat([torch.sin(3 * T), torch.cos(2 * T)], 1)


def linear(x: torch.Tensor = X, outputs: int = 2):
    model = nn.Linear(x.shape[1], outputs).double()
    return normal_module(model, x, weight_std=1.5, bias_std=0.3, device="cpu")


@pytest.mark.parametrize("tolerance", [0.3, 1e-2, 1e-5])
def test_in_a_linear_module_the_number_is_exact(tolerance):
    module = linear()
    start = module.draw(3, 0, "test")
    step, _ = rule(module, start, X, penalty=0.0, momentum=0.0)
    goal = Y.expand(3, -1, -1)
    told: list[DescentProgress] = []
    done = descend(
        module, start, X, goal, penalty=0.0, tolerance=tolerance, max_steps=50_000, momentum=0.0, progress=told.append
    )
    foreseen = foreseen_steps(module, start, X, goal, step, tolerance)
    # eigenvalues are raised by a few roundings of the largest: less than a step here
    assert foreseen <= done.steps <= foreseen + 1
    assert {event.foreseen for event in told} == {foreseen}


@pytest.mark.parametrize("products", [1, 2, 5, 12])
def test_few_modes_bound_the_residual_from_below(products, monkeypatch):
    """Gauss's rule for (1 - eta l)^(2n) with fewer nodes than modes; all of them are exact."""
    monkeypatch.setattr(lanczos, "PRODUCTS", products)
    x = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    module = linear(x, outputs=1)
    start = module.draw(1, 0, "test")
    residual = module.population(start, x).detach() - torch.sin(5 * x[:, :1])
    features = torch.cat([1.5 * x / 12**0.5, torch.full((12, 1), 0.3, dtype=torch.float64)], 1)
    values, vectors = np.linalg.eigh((features @ features.T).numpy())
    unit = (residual / residual.norm()).flatten().numpy()
    shares = (vectors.T @ unit) ** 2
    found = residual_modes(module, start, x, residual)
    assert found.eigenvalues.shape == (1, products)
    for eta in (0.3 / values[-1], 1.0 / values[-1], 1.6 / values[-1]):
        for steps in (1, 3, 10, 100):
            exact = (shares * (1 - eta * values) ** (2 * steps)).sum()
            power = (1 - eta * found.eigenvalues[0].numpy()) ** (2 * steps)
            bound = (found.shares[0].numpy() * power).sum()
            assert bound <= exact * (1 + 1e-9)
            if products == 12:
                assert bound == pytest.approx(exact, rel=1e-9)
            elif products == 1 and steps > 1:
                assert bound < exact


def test_a_failure_says_what_the_linearisation_needs_and_nothing_is_refused_before():
    near = torch.cat([X, X + 1e-4], 0)
    opposite = torch.cat([torch.ones(3, 1), -torch.ones(3, 1)]).double()
    model = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 1)).double()
    told: list[DescentProgress] = []
    config = DeepEnsembleConfig(1.5, 0.3, members=2, max_steps=60)
    with pytest.raises(NumericalFailure, match="linearisation would take") as failure:
        fit(model, (near, opposite), config, seed=0, device="cpu", progress=told.append)
    assert "nearly equal" in str(failure.value)
    assert told[0].step == 0
    assert told[0].foreseen > 1e6  # the distance of the inputs, squared, over the largest eigenvalue
    assert told[-1].step == 50
    with pytest.raises(NumericalFailure) as other:
        fit(model, (near, opposite), DeepEnsembleConfig(1.5, 0.3, 1e-4, members=2, max_steps=60), seed=0, device="cpu")
    assert "linearisation" not in str(other.value)


def test_a_fit_at_the_start_needs_no_steps():
    module = linear()
    start = module.draw(1, 0, "test")
    step, _ = rule(module, start, X, penalty=0.0, momentum=0.0)
    assert foreseen_steps(module, start, X, module.population(start, X), step, 1e-3) == 0
    singular = torch.cat([X, X])  # repeated inputs with other targets are never fitted
    goal = torch.cat([Y, -Y])[None]
    assert foreseen_steps(module, start, singular, goal, step / 2, 1e-3) > 1e12
