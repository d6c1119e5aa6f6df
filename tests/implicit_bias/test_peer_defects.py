"""Defects found in the peer library by running it, one test each, named after it: ours must not have them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.numerics.methods import deep_ensemble, ibvi, kl_vi
from nonvacuous.numerics.methods.normal_parametrisation import normal_module
from nonvacuous.numerics.variational.diagonal import Diagonal
from nonvacuous.numerics.variational.divergence import IndependentPrior, kl_divergence, table_prior
from nonvacuous.numerics.variational.family import Law, family
from nonvacuous.numerics.variational.kronecker import Kronecker
from nonvacuous.numerics.variational.last_layer import output_moments
from nonvacuous.numerics.variational.losses import expected_loss, loss
from nonvacuous.numerics.variational.low_rank import LowRank
from nonvacuous.numerics.variational.temperature import fit_temperature, negative_log_likelihood
from nonvacuous.numerics.variational.training import Descent, groups
from nonvacuous.theory.errors import AssumptionViolated

EACH = pytest.mark.parametrize(
    "covariance", [LowRank(3), LowRank(None), Diagonal(), Kronecker(), Kronecker(2, 2)], ids=str
)


def seeded(net, seed=0):
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=value.dtype))
    return net.eval()


def image_net():
    """Convolution, group norm, attention over positions, layer norm, linear."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)
            self.attention, self.last_norm = nn.MultiheadAttention(4, 2, batch_first=True), nn.LayerNorm(4)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            h = torch.relu(self.norm(self.conv(x))).flatten(2).transpose(1, 2)
            h = h + self.attention(h, h, h, need_weights=False)[0]
            return self.head(self.last_norm(h).mean(1))

    return seeded(Net().double())


def images(count=6):
    stream = torch.Generator().manual_seed(5)
    return torch.randn(count, 1, 5, 5, generator=stream, dtype=torch.float64), torch.arange(count) % 3


def tabular():
    net = seeded(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double())
    return net, torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_defect_1_normalisation_parameters_reach_the_optimiser():
    net, (x, y) = image_net(), images()
    found = family(net, x, LowRank(2), parametrisation="mup", device="cpu")
    law = found.start(0)
    _, optimizer = groups(found, law, Descent(1, 1, 0.1))
    held = {id(value) for group in optimizer.param_groups for value in group["params"]}
    assert held == {id(value) for part in (law.means, law.factors) for value in part.values()}
    assert set(law.means) == dict(net.named_parameters()).keys()
    posterior = ibvi.fit(net, (x, y), ibvi.IBVIConfig("softmax", epochs=2, rank=2), seed=0, device="cpu")
    start = ibvi.prior(net, (x, y), posterior.config, seed=0, device="cpu")
    for name in ("norm.weight", "norm.bias", "last_norm.weight", "last_norm.bias"):
        assert torch.equal(start.law.means[name], net.get_parameter(name))
        assert not torch.equal(posterior.law.means[name], start.law.means[name])
    moved = [name for name, value in posterior.law.means.items() if not torch.equal(value, start.law.means[name])]
    assert moved == list(posterior.law.means)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("covariance", [Kronecker(), Kronecker(2, 1), Kronecker(1, 2)], ids=str)
def test_defect_2_kronecker_noise_has_the_covariance_of_the_weight_as_it_is_stored(bias, covariance):
    net = seeded(nn.Sequential(nn.Conv1d(2, 3, 2, bias=bias), nn.Flatten()).double())
    x = torch.zeros(1, 2, 4, dtype=torch.float64)
    found = family(net, x, covariance, parametrisation="sp", device="cpu")
    (layer,) = found.layers
    factors = found.start(0).factors
    a, b = factors["0.weight.output"], factors["0.weight.input"]
    # the law of a draw, by the noise's unit vectors
    columns = []
    for z in torch.eye(found.noise_size, dtype=torch.float64):
        moved = covariance.perturbation(layer, factors, z)
        columns.append(torch.cat([moved[name].reshape(-1) for name in layer.tensors]))
    draws = torch.stack(columns, dim=1)
    torch.testing.assert_close(draws, covariance.matrix(layer, factors), rtol=0, atol=1e-15)
    size = layer.rows * layer.columns
    explicit = torch.zeros(size, size, dtype=torch.float64)
    out, into = a @ a.T, b @ b.T
    for i in range(layer.rows):
        for j in range(layer.columns):
            for k in range(layer.rows):
                for m in range(layer.columns):
                    explicit[i * layer.columns + j, k * layer.columns + m] = out[i, k] * into[j, m]
    torch.testing.assert_close((draws @ draws.T)[:size, :size], explicit, rtol=0, atol=1e-13)
    # columns first, as the noise of the other convention would be: another covariance
    wrong = torch.kron(into, out)
    assert (wrong - explicit).abs().max() > 0.05 * explicit.abs().max()
    if bias:
        c = factors["0.bias.input"]
        torch.testing.assert_close((draws @ draws.T)[size:, :size], torch.kron(out, c @ b.T), rtol=0, atol=1e-13)


def test_defect_3_temperature_divides_the_noise_and_is_fitted_without_any():
    net, x = tabular()
    y = torch.tensor([0, 1, 1, 0, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior = ibvi.fit(net, (x, y), ibvi.IBVIConfig("softmax", epochs=3, rank=2), seed=0, device="cpu")
    ten = replace(posterior, temperature=10.0)
    cold, hot = ibvi.sample(posterior, x, 20, 0), ibvi.sample(ten, x, 20, 0)
    torch.testing.assert_close(hot, cold / 10, rtol=0, atol=0)
    torch.testing.assert_close(hot.std(0), cold.std(0) / 10, rtol=1e-14, atol=0)
    one, other = ibvi.predict(posterior, x), ibvi.predict(ten, x)
    torch.testing.assert_close(other.variance, one.variance / 100, rtol=1e-13, atol=0)
    assert (other.probs.max(1).values < one.probs.max(1).values).all()
    # deterministic, and a minimum of what predict averages: on labels that it gets right but for one
    y = one.mean.argmax(1)
    y[one.mean.diff(dim=1).abs().argmin()] ^= 1
    best = ibvi.calibrate(posterior, (x, y))
    torch.rand(3)
    assert ibvi.calibrate(ten, (x, y)).temperature == best.temperature
    draws = ibvi.predict(posterior, x).samples
    values = [negative_log_likelihood("softmax", draws, y, best.temperature * k) for k in (0.99, 1.0, 1.01)]
    assert values[1] < min(values[0], values[2])
    assert fit_temperature("softmax", draws, y) == best.temperature
    p = ibvi.predict(best, x).probs
    assert -p.gather(1, y[:, None]).log().mean() == pytest.approx(values[1], rel=1e-12)


def test_defect_4_ntp_outputs_do_not_grow_with_the_width():
    # one layer, all inputs 1: given its factor the variance of an output is 1 + 1 in expectation over the factor's start (weight and bias),
    # a scaled
    # chi-squared with 10 degrees of freedom for each of 64 outputs: six standard errors of their mean are 6 * 2 sqrt(2/640)
    for width in (16, 256, 4096):
        net = nn.Sequential(nn.Linear(width, 64)).double().eval()
        x = torch.ones(1, width, dtype=torch.float64)
        found = family(net, x, LowRank(10), parametrisation="ntp", device="cpu")
        law = found.start(0)
        mean, variance = output_moments(found, law, None, x)
        assert abs(float(variance.mean()) - 2) < 6 * 2 * (2 / 640) ** 0.5
        assert abs(float(mean.square().mean()) - 2) < 6 * 2 * (2 / 64) ** 0.5
        assert found.scalings["0.weight"].multiplier == width**-0.5
        assert float(law.means["0.weight"].std()) == pytest.approx(1, abs=6 * (2 * 64 * width) ** -0.5)
        seen = found.at(law, None)["0.weight"]
        torch.testing.assert_close(seen, law.means["0.weight"] / width**0.5)


@EACH
def test_defect_5_every_covariance_has_its_divergence_or_is_refused_by_name(covariance):
    net, x = tabular()
    found = family(net, x, covariance, parametrisation="mup", layers="all", device="cpu")
    law, prior = found.start(0, scale=0.7), table_prior(found, 1.3)
    if covariance in (LowRank(3), Kronecker(2, 2)):
        with pytest.raises(AssumptionViolated, match=r"ib\.kl_compare"):
            kl_divergence(found, law, prior)
        return
    expected = 0.0
    for layer in found.variational:
        s = covariance.matrix(layer, law.factors)
        mean = torch.cat([law.means[name].reshape(-1) for name in layer.tensors])
        std = torch.cat(
            [torch.full((law.means[name].numel(),), prior.stds[name], dtype=s.dtype) for name in layer.tensors]
        )
        q = torch.distributions.MultivariateNormal(mean, s @ s.T)
        p = torch.distributions.MultivariateNormal(torch.zeros_like(mean), torch.diag(std**2))
        expected += float(torch.distributions.kl_divergence(q, p))
    assert float(kl_divergence(found, law, prior)) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(AssumptionViolated, match="infinite"):
        kl_vi.fit(
            net,
            (x, torch.arange(7) % 2),
            kl_vi.KLVIConfig("softmax", epochs=1, covariance="low_rank", rank=2),
            seed=0,
            device="cpu",
        )


@EACH
def test_defect_6_integrated_losses_hold_for_many_outputs_and_every_covariance(covariance):
    net, x = tabular()
    y = torch.randn(7, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = family(net, x, covariance, parametrisation="ntp", device="cpu")
    law = found.start(0)
    z = found.noise(torch.Generator().manual_seed(3))
    mean, variance = output_moments(found, law, z, x)
    exact = expected_loss("gaussian", "exact", mean, variance, y)
    # the same from the explicit covariance of the layer
    layer = found.readout
    h = nn.functional.tanh(nn.functional.linear(x, *(found.at(law, z)[name] for name in ("0.weight", "0.bias"))))
    jacobian = torch.cat([torch.kron(torch.eye(2, dtype=h.dtype), row[None])[None] for row in h]) * 5**-0.5
    jacobian = torch.cat([jacobian, torch.eye(2, dtype=h.dtype).expand(7, 2, 2)], dim=2)
    spread = jacobian @ covariance.matrix(layer, law.factors)
    torch.testing.assert_close(variance, spread.square().sum(2), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        exact, 0.5 * ((mean - y).square().sum(1) + spread.square().sum((1, 2))), rtol=1e-12, atol=0
    )
    # and from draws of the last layer alone
    stream = torch.Generator().manual_seed(4)
    drawn = []
    for _ in range(300):
        noise = found.noise(stream)
        noise[: len(noise) - covariance.noise_size(layer)] = z[: len(noise) - covariance.noise_size(layer)]
        drawn.append(loss("gaussian", found.call(found.at(law, noise), x), y))
    drawn = torch.stack(drawn)
    assert ((drawn.mean(0) - exact).abs() <= 6 * drawn.std(0) / len(drawn) ** 0.5).all()


@EACH
def test_defect_7_one_covariance_object_serves_many_layers(covariance):
    net, x = tabular()
    shared = family(net, x, covariance, parametrisation="sp", layers="all", device="cpu")
    assert [layer.name for layer in shared.variational] == ["0", "2"]
    law = shared.start(0)
    assert {name.partition(".")[0] for name in law.factors} == {"0", "2"}
    assert shared.call(shared.at(law, shared.noise(torch.Generator().manual_seed(0))), x).shape == (7, 2)
    # two families over one object do not meet either
    alone = family(net, x, covariance, parametrisation="sp", layers=("2",), device="cpu")
    assert set(alone.tensors) == {name for name in shared.tensors if name.startswith("2.")}
    assert (
        alone.noise_size + family(net, x, covariance, parametrisation="sp", layers=("0",), device="cpu").noise_size
        == shared.noise_size
    )


def test_defect_8_members_and_draws_can_be_trained_through():
    net, x = tabular()
    module = normal_module(net, x, weight_std=1.0, bias_std=0.5, device="cpu")
    members = {name: value.requires_grad_() for name, value in module.draw(3, 0, deep_ensemble.METHOD).items()}
    module.population(members, x).square().sum().backward()
    assert all(bool((value.grad.flatten(1).norm(dim=1) > 0).all()) for value in members.values())
    found = family(net, x, Kronecker(), parametrisation="mup", layers="all", device="cpu")
    law = found.start(0)
    leaves = Law(*({name: value.requires_grad_() for name, value in part.items()} for part in (law.means, law.factors)))
    found.call(found.at(leaves, found.noise(torch.Generator().manual_seed(0))), x).square().sum().backward()
    for part in (leaves.means, leaves.factors):
        assert all(value.grad is not None and bool(value.grad.abs().sum() > 0) for value in part.values())


def test_defect_9_any_layer_can_be_variational_with_any_covariance():
    net, (x, _) = image_net(), images()
    names = ["conv", "attention.in_proj", "attention.out_proj", "head"]
    for covariance in (LowRank(2), Diagonal(), Kronecker()):
        for wanted, chosen in (
            ("all", names),
            ("ends", [names[0], names[-1]]),
            (("attention.in_proj", "conv"), names[:2]),
        ):
            found = family(net, x, covariance, parametrisation="mup", layers=wanted, device="cpu")
            assert [layer.name for layer in found.variational] == chosen
            z = found.noise(torch.Generator().manual_seed(0))
            law = found.start(0)
            values, mean = found.at(law, z), found.at(law, None)
            moved = {name for name in values if not torch.equal(values[name], mean[name])}
            assert moved == {name for layer in found.variational for name in layer.tensors}
            assert found.call(values, x).shape == (6, 3)
    assert np.isfinite(
        float(
            kl_divergence(
                found,
                law,
                IndependentPrior({n: torch.zeros_like(law.means[n]) for n in moved}, dict.fromkeys(moved, 1.0)),
            )
        )
    )
