"""Deep ensembles and both distillations on a user's module, against the theory: exactly where the module is linear, in law where it is wide."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput, NumericalFailure
from nonvacuous.numerics.intervals import ALPHA
from nonvacuous.numerics.kernels import fully_connected_kernels
from nonvacuous.numerics.methods import bayesian_rnd, deep_ensemble
from nonvacuous.numerics.methods import random_network_distillation as rnd
from nonvacuous.numerics.methods.bayesian_rnd import BayesianRNDConfig
from nonvacuous.numerics.methods.deep_ensemble import DeepEnsembleConfig
from nonvacuous.numerics.methods.normal_parametrisation import normal_module
from nonvacuous.numerics.methods.random_network_distillation import RNDConfig
from nonvacuous.numerics.wide_networks import HeadsExhausted

STREAM = torch.Generator().manual_seed(0)
X = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]], dtype=torch.float64)
TEST = torch.tensor([[0.5, 0.5, 0], [-0.7, 0.4, 0.2], [0.3, -0.8, -0.6]], dtype=torch.float64)
Y = torch.tensor([[0.5, 0.1], [-0.3, 0.2], [0.2, -0.6], [-0.4, 0.3]], dtype=torch.float64)
SW, SB = 1.5, 0.3


class Erf(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.erf(z)


def linear() -> nn.Module:
    return nn.Linear(3, 2).double()


def wide(width: int = 256, outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), Erf(), nn.Linear(width, outputs)).double()


def linear_smoother(noise: float) -> torch.Tensor:
    """G for features (sw x/sqrt d, sb)."""
    features = [torch.cat([SW * z / 3**0.5, torch.full((len(z), 1), SB, dtype=z.dtype)], 1) for z in (X, TEST)]
    gram = features[0] @ features[0].T + noise * torch.eye(4, dtype=X.dtype)
    return features[1] @ features[0].T @ torch.linalg.inv(gram)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_on_a_linear_module_everything_is_the_linear_smoother(noise):
    """f_inf = f_0 + G (target - f_0(X)) for every member and head: descent stopped at 1e-9 leaves 1e-9 times the condition number."""
    g = linear_smoother(noise)
    options = {"weight_std": SW, "bias_std": SB, "noise_variance": noise, "tolerance": 1e-9}
    close = {"rtol": 0, "atol": 1e-7}

    ensemble = deep_ensemble.fit(linear(), (X, Y), DeepEnsembleConfig(**options, members=3), seed=0, device="cpu")
    start = ensemble.module.draw(3, 0, "deep ensemble: members")
    at = [ensemble.module.population(start, z) for z in (X, TEST)]
    found = deep_ensemble.predict(ensemble, TEST)
    members = at[1] + g @ (Y - at[0])
    torch.testing.assert_close(found.samples, members, **close)
    torch.testing.assert_close(found.mean, members.mean(0), **close)
    torch.testing.assert_close(
        found.variance[:, 0, 1], torch.stack([torch.cov(members[:, i].T)[0, 1] for i in range(3)]), **close
    )

    for centred in (False, True):
        distilled = rnd.fit(linear(), (X, Y), RNDConfig(**options, heads=6, centred=centred), seed=0, device="cpu")
        u0, target = (
            [distilled.module.population(normals, z)[0] for z in (X, TEST)]
            for normals in (distilled.start, distilled.target)
        )
        initial = [-b if centred else a - b for a, b in zip(u0, target, strict=True)]
        expected = initial[1] - g @ initial[0]
        torch.testing.assert_close(rnd.errors(distilled, TEST), expected, **close)
        got = rnd.predict(distilled, TEST)
        torch.testing.assert_close(got.mean, g @ Y, **close)  # a centred network has no variance
        torch.testing.assert_close(got.variance[:, 0, 0], expected.square().mean(1) / (1 if centred else 2), **close)
        assert (got.variance[:, 0, 1] == 0).all()
        low, high = rnd.interval(distilled, TEST, alpha=0.1)
        total = expected.square().sum(1) / (1 if centred else 2)
        torch.testing.assert_close(low, total / chi2.ppf(0.95, 6), **close)
        torch.testing.assert_close(high, total / chi2.ppf(0.05, 6), **close)


def test_the_target_of_bayesian_distillation_is_a_derivative_of_the_predictor_at_its_start():
    for directions in ("shared", "per_head"):
        config = BayesianRNDConfig(SW, SB, 0.1, tolerance=1e-3, heads=4, directions=directions)
        posterior = bayesian_rnd.fit(wide(64), (X, Y), config, seed=0, device="cpu")
        for name in posterior.module.readout_tensors:
            assert (posterior.directions[name] == 0).all()
        step = 1e-5
        found = bayesian_rnd.target(posterior.module, posterior.start, posterior.directions, TEST)
        for head in range(4):
            direction = {k: v[0 if directions == "shared" else head] for k, v in posterior.directions.items()}
            ends = [
                posterior.module.call({k: v[0] + sign * step * direction[k] for k, v in posterior.start.items()}, TEST)[
                    :, head
                ]
                for sign in (1, -1)
            ]
            # central difference: step^2 times a third derivative of order |psi|^3/width, and eps/step
            torch.testing.assert_close(found[:, head], (ends[0] - ends[1]) / (2 * step), rtol=0, atol=1e-6)


def test_without_noise_the_errors_vanish_on_the_data():
    posterior = bayesian_rnd.fit(
        wide(), (X, Y), BayesianRNDConfig(SW, SB, tolerance=1e-5, heads=6), seed=0, device="cpu"
    )
    assert float(bayesian_rnd.errors(posterior, X).abs().max()) < 1e-4
    distilled = rnd.fit(wide(), (X, Y), RNDConfig(SW, SB, tolerance=1e-5, heads=6), seed=0, device="cpu")
    assert float(rnd.errors(distilled, X).abs().max()) < 1e-4
    assert float((rnd.predict(distilled, X).mean - Y).abs().max()) < 1e-4


def laws(noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ensemble covariance, tangent-kernel posterior covariance and mean map G at the test points, from the closed kernels."""
    joint = fully_connected_kernels(
        torch.cat([TEST, X]).numpy(), depth=1, activation="erf", weight_scale=SW, bias_scale=SB
    )
    g = joint.ntk[:3, 3:] @ np.linalg.inv(joint.ntk[3:, 3:] + noise * np.eye(4))
    m = np.hstack([np.eye(3), -g])
    return m @ joint.nngp @ m.T, joint.ntk[:3, :3] - g @ joint.ntk[3:, :3], g


def test_in_a_wide_network_the_errors_have_the_predicted_covariance():
    """e^T Sigma^-1 e over 16 networks of 4 heads is chi-squared with 192 degrees of freedom, up to the 1/width correction: 5 percent at width 512
    (4 heads: the finite-width table of `iw.rnd_finite_width`), a seventh of the interval's half width. Twice or half the covariance is refused."""
    noise = 0.5
    ensemble, posterior, _ = laws(noise)
    options = {"weight_std": SW, "bias_std": SB, "noise_variance": noise, "tolerance": 1e-3, "heads": 4}
    errors: dict[str, list[torch.Tensor]] = {"rnd": [], "bayesian": []}
    for seed in range(16):
        distilled = rnd.fit(wide(512), (X, Y), RNDConfig(**options), seed=seed, device="cpu")
        bayesian = bayesian_rnd.fit(wide(512), (X, Y), BayesianRNDConfig(**options), seed=seed, device="cpu")
        errors["rnd"].append(rnd.errors(distilled, TEST))
        errors["bayesian"].append(bayesian_rnd.errors(bayesian, TEST))
    for name, covariance in (("rnd", 2 * ensemble), ("bayesian", posterior)):
        e = torch.cat(errors[name], 1).numpy()
        statistic = float(np.einsum("ih,ij,jh->", e, np.linalg.inv(covariance), e))
        degrees = e.size
        assert chi2.ppf(ALPHA / 2, degrees) * 0.95 < statistic < chi2.ppf(1 - ALPHA / 2, degrees) * 1.05
        assert not chi2.ppf(ALPHA / 2, degrees) * 0.95 < 2 * statistic < chi2.ppf(1 - ALPHA / 2, degrees) * 1.05
        assert not chi2.ppf(ALPHA / 2, degrees) * 0.95 < statistic / 2 < chi2.ppf(1 - ALPHA / 2, degrees) * 1.05


def test_heads_are_used_once():
    posterior = rnd.fit(wide(64), (X, Y), RNDConfig(SW, SB, 0.1, tolerance=1e-2, heads=8), seed=0, device="cpu")
    draws = rnd.sample(posterior, TEST, 4, 0)
    assert len({float(v) for v in draws[:, 0].flatten()}) == 8
    with pytest.raises(HeadsExhausted, match="heads are unused"):
        rnd.sample(posterior, TEST, 5, 0)
    other = bayesian_rnd.fit(
        wide(64), (X, Y), BayesianRNDConfig(SW, SB, 0.1, tolerance=1e-2, heads=3), seed=0, device="cpu"
    )
    with pytest.raises(HeadsExhausted, match="heads are unused"):
        bayesian_rnd.sample(other, TEST, 2, 0)


def test_norm_layers_are_held_and_weights_are_drawn():
    model = nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2)).double()
    module = normal_module(model, X, weight_std=SW, bias_std=SB, device="cpu")
    assert module.held == ("1.weight", "1.bias")
    assert module.factors["0.weight"] == pytest.approx(SW / 3**0.5)
    assert module.factors["3.weight"] == pytest.approx(SW / 8**0.5)
    assert module.factors["0.bias"] == SB
    drawn = module.draw(2000, 0, "test")
    assert float(drawn["0.weight"].var()) == pytest.approx(1, abs=5 * (2 / 48_000) ** 0.5)
    assert torch.equal(module.draw(3, 0, "test")["3.weight"], drawn["3.weight"][:3])
    without = normal_module(model, X, weight_std=SW, bias_std=0.0, device="cpu")
    assert "0.bias" in without.held
    assert (without.network.random["0.bias"] == 0).all()


CONV = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 32, 2), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2)).double()


def test_convolutions_fit():
    found = deep_ensemble.fit(
        CONV, (X, Y), DeepEnsembleConfig(SW, SB, 0.5, tolerance=1e-2, members=3), seed=0, device="cpu"
    )
    assert deep_ensemble.predict(found, TEST).mean.shape == (3, 2)
    assert found.module.factors["1.weight"] == pytest.approx(SW / 2**0.5)


@pytest.mark.parametrize(
    ("model", "changes", "error", "words"),
    [
        (linear().float(), {}, InvalidInput, "float32|float64"),
        (nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)).double(), {}, InvalidInput, "linear layer"),
        (
            nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double(),
            {},
            InvalidInput,
            "training mode",
        ),
        (nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2)).double(), {}, InvalidInput, "no prior"),
        (nn.Sequential(nn.Linear(3, 4), nn.Softmax(0), nn.Linear(4, 2)).double(), {}, AssumptionViolated, "batch"),
        (linear(), {"members": 1}, InvalidInput, "members"),
        (linear(), {"weight_std": 0.0}, InvalidInput, "weight_std"),
        (linear(), {"bias_std": -1.0}, InvalidInput, "bias_std"),
        (linear(), {"noise_variance": float("nan")}, InvalidInput, "noise_variance"),
        (linear(), {"tolerance": 0.0}, InvalidInput, "tolerance"),
        (linear(), {"max_steps": 0}, InvalidInput, "max_steps"),
        (linear(), {"max_steps": 3}, NumericalFailure, "max_steps"),
    ],
)
def test_bad_input(model, changes, error, words):
    def attempt():
        config = DeepEnsembleConfig(**({"weight_std": SW, "bias_std": SB} | changes))
        deep_ensemble.fit(model, (X, Y), config, seed=0, device="cpu")

    with pytest.raises(error, match=words):
        attempt()


def test_a_network_that_cannot_interpolate_is_told_so():
    x = torch.randn(12, 3, generator=STREAM, dtype=torch.float64)
    y = torch.randn(12, 2, generator=STREAM, dtype=torch.float64)
    config = DeepEnsembleConfig(SW, SB, members=2, max_steps=300)
    with pytest.raises(NumericalFailure, match="interpolate"):
        deep_ensemble.fit(linear(), (x, y), config, seed=0, device="cpu")


def test_a_frozen_readout_bias_is_refused_by_the_bayesian_method_and_a_frozen_readout_by_all():
    model = wide(16)
    model[2].bias.requires_grad_(False)
    with pytest.raises(InvalidInput, match="bias"):
        bayesian_rnd.fit(model, (X, Y), BayesianRNDConfig(SW, SB, heads=2), seed=0, device="cpu")
    model[2].weight.requires_grad_(False)
    with pytest.raises(InvalidInput, match="last layer is frozen"):
        rnd.fit(model, (X, Y), RNDConfig(SW, SB, heads=2), seed=0, device="cpu")
