"""Descent with a penalty where no gradient vanishes: networks with kinks come to rest, and heavy ball gives way to plain descent."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nonvacuous.numerics.methods.descent import _Rest, descend, rule
from nonvacuous.numerics.methods.random_network_distillation import RNDConfig, errors, fit
from nonvacuous.numerics.methods.wide_fit import module_of
from nonvacuous.theory.errors import NumericalFailure

ANGLES = torch.arange(5, dtype=torch.float64) * (2 * math.pi / 5)
X = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
Y = torch.sin(3 * ANGLES)[:, None]
SCALES = {"weight_std": 1.5, "bias_std": 0.3, "heads": 16}


def network(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 1)).double()


def descended(tolerance: float, momentum: float = 0.0, width: int = 32, penalty: float = 0.3):
    """Fitted values and residuals at the start, for the distillation of one network with kinks."""
    module = module_of(network(width), X, RNDConfig(**SCALES), "cpu", heads=16)
    target, start = (module.draw(1, 0, role) for role in ("target", "predictor"))
    goal = module.population(target, X).detach()
    found = descend(module, start, X, goal, penalty=penalty, tolerance=tolerance, max_steps=20_000, momentum=momentum)
    begun = (module.population(start, X) - goal).detach().norm()
    return module.population(found.normals, X).detach(), float(begun), found


def test_the_mean_of_a_cycle_is_nearer_than_the_cycle():
    """At the fixed step the numbers never come to rest: what is returned is nearer to the end (by a tighter tolerance) than they are."""
    fitted, begun, found = descended(1e-3)
    end, _, later = descended(1e-4)
    assert found.steps < later.steps < 20_000
    distance = float((fitted - end).norm())
    assert distance < 0.01 * begun
    module = module_of(network(32), X, RNDConfig(**SCALES), "cpu", heads=16)
    target, start = (module.draw(1, 0, role) for role in ("target", "predictor"))
    goal = module.population(target, X).detach()
    step, _ = rule(module, start, X, penalty=0.3, momentum=0.0)
    numbers = {name: value[0].clone() for name, value in start.items()}
    beginning = {name: value.clone() for name, value in numbers.items()}
    away = []
    for count in range(found.steps):
        out, pullback = torch.func.vjp(lambda w: module.call(w, X), numbers)
        (gradient,) = pullback(out - goal[0])
        numbers = {k: w - float(step[0]) * (gradient[k] + 0.3 * (w - beginning[k])) for k, w in numbers.items()}
        if count >= found.steps - 20:
            away.append(float((module.call(numbers, X) - end[0]).norm()))
    assert min(away) > distance


@given(st.lists(st.floats(0.3, 50), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_rest_bounds_what_is_left_in_a_linear_module(eigenvalues, seed):
    """Numbers w_i with eigenvalues l_i shrink by 1 - step (l_i + penalty); fitted values are sqrt(l_i) w_i, and end at 0."""
    penalty, spectrum = 0.3, torch.tensor(eigenvalues, dtype=torch.float64)
    step = torch.tensor([1.6 / (float(spectrum.max()) + penalty)], dtype=torch.float64)
    numbers = torch.randn(1, len(spectrum), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    allowed = 1e-3 * (spectrum.sqrt() * numbers).norm(dim=1)
    rest = _Rest({"w": numbers}, penalty, step, 10**6)
    for _ in range(10**4):
        size = ((spectrum + penalty) * numbers).norm(dim=1)
        if rest.due({"w": numbers}, size):
            fitted = spectrum.sqrt() * rest.mean["w"]
            if rest.at_rest(fitted, allowed):
                assert float(fitted.norm()) <= float(allowed) / (math.e - 1)
                return
        numbers = numbers * (1 - rest.step * (spectrum + penalty))
    raise AssertionError("never at rest")


def test_heavy_ball_gives_way_to_plain_descent():
    noise = 0.3
    posteriors = {
        momentum: fit(network(32), (X, Y), RNDConfig(**SCALES, noise_variance=noise, momentum=momentum), seed=0, device="cpu")
        for momentum in ("auto", 0.0)
    }  # fmt: skip
    assert torch.equal(*(errors(posterior, X) for posterior in posteriors.values()))
    with pytest.raises(NumericalFailure, match="momentum = 0"):
        fit(network(32), (X, Y), RNDConfig(**SCALES, noise_variance=noise, momentum="spectrum"), seed=0, device="cpu")


def test_large_targets_are_named_as_a_cause():
    with pytest.raises(NumericalFailure, match="targets"):
        fit(network(16), (X, 1e4 * Y), RNDConfig(**SCALES), seed=0, device="cpu")
