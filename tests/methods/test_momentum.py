"""Heavy ball in the wide-network methods: the spectrum it is set by, where it ends, what it saves, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.methods import deep_ensemble, descent
from nonvacuous.numerics.methods.bayesian_rnd import BayesianRNDConfig
from nonvacuous.numerics.methods.deep_ensemble import DeepEnsembleConfig
from nonvacuous.numerics.methods.descent import AUTO, SPECTRUM, descend, rule
from nonvacuous.numerics.methods.normal_parametrisation import normal_module
from nonvacuous.numerics.methods.random_network_distillation import RNDConfig
from nonvacuous.numerics.methods.tangent_spectrum import PRODUCTS, tangent_spectrum
from nonvacuous.numerics.wide_networks import HeavyBall, UnstableStep

SW, SB = 1.5, 0.3
T = torch.linspace(-1, 1, 6, dtype=torch.float64)[:, None]
X, Y = torch.cat([T, T**2, 1 - T], 1), torch.cat([torch.sin(3 * T), torch.cos(2 * T)], 1)  # near inputs on a curve
TEST = (X[1:] + X[:-1]) / 2


def module(model: nn.Module, x: torch.Tensor = X):
    return normal_module(model.double(), x, weight_std=SW, bias_std=SB, device="cpu")


def curved(width: int, outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, outputs))


def kernel(found, normals, member: int, x: torch.Tensor) -> torch.Tensor:
    """From the whole Jacobian."""
    at = {name: value[member] for name, value in normals.items()}
    jacobian = torch.func.jacrev(lambda w: found.call(w, x).flatten())(at)
    rows = torch.cat([part.flatten(1) for part in jacobian.values()], 1)
    return rows @ rows.T


@pytest.mark.parametrize("points", [1, 6, 60])
def test_lanczos_finds_the_ends_of_the_spectrum(points):
    x = torch.randn(points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = module(curved(40), x)
    normals = found.draw(3, 0, "test")
    spectrum = tangent_spectrum(found, normals, x)
    for member in range(3):
        values = torch.linalg.eigvalsh(kernel(found, normals, member, x))
        eps = len(values) * torch.finfo(values.dtype).eps * float(values[-1])
        if len(values) <= PRODUCTS:
            torch.testing.assert_close(spectrum.largest[member], values[-1], rtol=0, atol=100 * eps)
            torch.testing.assert_close(spectrum.smallest[member], values[0], rtol=0, atol=100 * eps)
        else:  # the largest from below, the smallest from above
            assert 0.99 * values[-1] < spectrum.largest[member] <= values[-1] + 100 * eps
            assert spectrum.smallest[member] >= values[0] - 100 * eps


def test_directions_that_no_parameter_moves_do_not_count():
    """Repeated inputs make the kernel singular; descent never leaves the span, so the smallest eigenvalue there is what matters."""
    found = module(curved(40))
    normals = found.draw(2, 0, "test")
    once, twice = (tangent_spectrum(found, normals, x) for x in (X[:3], X[[0, 1, 2, 0, 1, 2]]))
    torch.testing.assert_close(twice.largest, 2 * once.largest, rtol=1e-10, atol=0)
    torch.testing.assert_close(twice.smallest, 2 * once.smallest, rtol=1e-6, atol=0)
    dead = module(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)))
    with pytest.raises(InvalidInput, match="zero"):
        tangent_spectrum(dead, {k: -torch.ones_like(v).abs() for k, v in dead.draw(1, 0, "test").items()}, X.abs() + 1)


def test_the_rule_is_heavy_ball_at_its_best_with_a_margin():
    found = module(curved(40))
    normals = found.draw(2, 0, "test")
    spectrum = tangent_spectrum(found, normals, X)
    step, momentum = rule(found, normals, X, penalty=0.2, momentum=SPECTRUM)
    low, high = math.sqrt(0.2), ((spectrum.largest + 0.2) / descent.SAFETY).sqrt()
    torch.testing.assert_close(step, (2 / (high + low)) ** 2, rtol=1e-12, atol=0)
    torch.testing.assert_close(momentum, ((high - low) / (high + low)) ** 2, rtol=1e-12, atol=0)
    for given, same in ((AUTO, SPECTRUM), (AUTO, 0.0)):
        penalty = 0.2 if same == SPECTRUM else 0.0
        for mine, other in zip(
            rule(found, normals, X, penalty=penalty, momentum=given),
            rule(found, normals, X, penalty=penalty, momentum=same),
            strict=True,
        ):
            assert torch.equal(mine, other)
    step, momentum = rule(found, normals, X, penalty=0.0, momentum=0.9)
    torch.testing.assert_close(step, 0.8 * 3.8 / spectrum.largest, rtol=1e-12, atol=0)
    assert (momentum == 0.9).all()


def test_a_rule_beyond_the_limit_would_be_refused(monkeypatch):
    found = module(curved(40))
    normals = found.draw(2, 0, "test")
    monkeypatch.setattr(descent, "SAFETY", 1.1)
    for momentum in (0.0, 0.9):
        with pytest.raises(UnstableStep):
            rule(found, normals, X, penalty=0.0, momentum=momentum)


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("momentum", [0.7, SPECTRUM])
def test_on_a_linear_module_every_momentum_ends_at_the_linear_smoother(noise, momentum):
    x, y = X[[0, 1, 3]], Y[[0, 1, 3]]  # three points of the curve: the module has four weights
    found = module(nn.Linear(3, 2), x)
    start = found.draw(3, 0, "test")
    features, test = (torch.cat([SW * z / 3**0.5, torch.full((len(z), 1), SB).double()], 1) for z in (x, TEST))
    gram = features @ features.T + noise * torch.eye(3).double()
    done = descend(
        found, start, x, y.expand(3, -1, -1), penalty=noise, tolerance=1e-7, max_steps=20_000, momentum=momentum
    )
    before = [found.population(start, z) for z in (x, TEST)]
    expected = before[1] + test @ features.T @ torch.linalg.solve(gram, y - before[0])
    # what is left of the residual, times the size of the smoother
    allowed = 1e-7 * float(torch.linalg.norm(test @ features.T @ torch.linalg.inv(gram), 2) * (y - before[0]).norm())
    allowed *= float(torch.linalg.cond(gram)) if noise else 1.0  # a gradient is stopped at, not a residual
    torch.testing.assert_close(found.population(done.normals, TEST), expected, rtol=0, atol=2 * allowed)


@pytest.mark.parametrize("momentum", [0.7, SPECTRUM])
def test_on_a_linear_module_every_step_is_that_of_heavy_ball(momentum):
    """The residual after k steps is the filter of `HeavyBall` on the eigenvectors of the kernel, at the rule's step and momentum."""
    x, y = X[[0, 1, 3]], Y[[0, 1, 3]]
    found = module(nn.Linear(3, 2), x)
    start = found.draw(2, 0, "test")
    step, memory = rule(found, start, x, penalty=0.0, momentum=momentum)
    done = descend(found, start, x, y.expand(2, -1, -1), penalty=0.0, tolerance=0.2, max_steps=500, momentum=momentum)
    assert done.steps > 3
    before, after = (found.population(normals, x) - y for normals in (start, done.normals))
    for member in range(2):
        values, vectors = torch.linalg.eigh(kernel(found, start, member, x))
        ball = HeavyBall(steps=done.steps, step_size_sum_loss=float(step[member]), momentum=float(memory[member]))
        left = 1 - values * torch.from_numpy(ball.filter(values.numpy()))
        expected = vectors @ (left * (vectors.T @ before[member].flatten()))
        torch.testing.assert_close(after[member].flatten(), expected, rtol=0, atol=1e-10 * float(before.abs().max()))


def test_with_a_penalty_momentum_saves_steps_and_ends_at_the_same_minimum():
    found = module(curved(100))
    start = found.draw(3, 0, "test")
    done = {
        momentum: descend(
            found, start, X, Y.expand(3, -1, -1), penalty=0.3, tolerance=1e-4, max_steps=5000, momentum=momentum
        )
        for momentum in (0.0, AUTO)
    }
    assert done[0.0].steps > 2 * done[AUTO].steps
    ends = [found.population(value.normals, TEST) for value in done.values()]
    # the gradient's norm times the features' over the penalty bounds what either has left
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-3)


def test_without_a_penalty_the_default_is_plain_descent_because_momentum_moves_the_end():
    found = module(curved(200), X[::2])
    start = found.draw(3, 0, "test")
    ends, steps = {}, {}
    for momentum in (AUTO, 0.0, SPECTRUM):
        done = descend(
            found,
            start,
            X[::2],
            Y[::2].expand(3, -1, -1),
            penalty=0.0,
            tolerance=1e-4,
            max_steps=5000,
            momentum=momentum,
        )
        ends[momentum], steps[momentum] = found.population(done.normals, TEST), done.steps
        assert float(done.residual.max()) <= 1e-4
    assert torch.equal(ends[AUTO], ends[0.0])
    assert steps[0.0] > 2 * steps[SPECTRUM]
    # both interpolate, and they differ by more than what the residual leaves
    assert float((ends[0.0] - ends[SPECTRUM]).abs().max()) > 1e-3


@pytest.mark.parametrize("momentum", [1.0, -0.1, math.nan, "fast", True, None])
def test_momentum_that_cannot_be_is_refused(momentum):
    for config in (DeepEnsembleConfig, RNDConfig, BayesianRNDConfig):
        with pytest.raises(InvalidInput, match="momentum"):
            config(SW, SB, momentum=momentum)


def test_the_choice_is_saved(tmp_path):
    for momentum in (0.5, SPECTRUM):
        config = DeepEnsembleConfig(SW, SB, 0.3, tolerance=1e-2, members=2, momentum=momentum)
        posterior = deep_ensemble.fit(curved(20).double(), (X, Y), config, seed=0, device="cpu")
        deep_ensemble.save(posterior, tmp_path / "it.safetensors")
        assert deep_ensemble.load(tmp_path / "it.safetensors", curved(20).double()).config == config
