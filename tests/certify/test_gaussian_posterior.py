"""Gaussians over a module's parameters: the divergence against 60-digit arithmetic, completeness, draws, files."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nonvacuous.numerics.certify.gaussian import (
    MeanFieldGaussian,
    coverage,
    from_module,
    kl_divergence,
    load,
    moved,
    sample,
    save,
)
from nonvacuous.numerics.certify.gaussian_kl import gaussian_kl_slack, gaussian_kl_upper
from nonvacuous.numerics.intervals import multiplier
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, StorageError


def exact_kl(mean, log_scale, prior_mean, prior_log_scale):
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for m, t, m0, t0 in zip(mean, log_scale, prior_mean, prior_log_scale, strict=True):
            m, t, m0, t0 = (mpmath.mpf(float(v)) for v in (m, t, m0, t0))
            total += t0 - t + (mpmath.exp(2 * t) + (m - m0) ** 2) / (2 * mpmath.exp(2 * t0)) - mpmath.mpf(1) / 2
        return total


def naive_kl(mean, log_scale, prior_mean, prior_log_scale):
    ratio = np.exp(log_scale) / np.exp(prior_log_scale)
    shift = (mean - prior_mean) / np.exp(prior_log_scale)
    return float(np.sum(0.5 * (ratio**2 + shift**2 - 1) - np.log(ratio)))


def coordinates(seed, gap, size=20):
    rng = np.random.default_rng(seed)
    prior_log_scale = rng.uniform(-10, 5, size)
    log_scale = prior_log_scale + gap * rng.standard_normal(size)
    prior_mean = rng.standard_normal(size)
    return (
        prior_mean + gap * np.exp(prior_log_scale) * rng.standard_normal(size),
        log_scale,
        prior_mean,
        prior_log_scale,
    )


def excess(arguments):
    got = gaussian_kl_upper([arguments])
    with mpmath.workdps(60):
        exact = exact_kl(*arguments)
        return float((mpmath.mpf(got) - exact) / exact)


@given(seed=st.integers(0, 10**6), gap=st.sampled_from([1e-12, 1e-8, 1e-4, 0.1, 0.5, 1.0, 3.0, 10.0]))
@settings(max_examples=60, deadline=None)
def test_divergence_is_never_below_the_exact_value_and_close_to_it(seed, gap):
    arguments = coordinates(seed, gap)
    largest = float(np.max(2 * (arguments[1] - arguments[3])))
    assert 0 <= excess(arguments) <= 2 * gaussian_kl_slack(largest) + 2**-50


@pytest.mark.parametrize("ratio", [-150.0, -40.0, -1.1, -1.0986, -1.09, -0.5, 0.5, 1.09, 1.0986, 1.1, 40.0, 150.0])
def test_single_coordinates_across_the_branches(ratio):
    zero = np.zeros(1)
    assert 0 <= excess((zero, np.array([ratio / 2]), zero, zero)) <= 2 * gaussian_kl_slack(ratio) + 2**-50


def test_the_textbook_formula_would_be_unsound():
    assert any(naive_kl(*coordinates(seed, 1e-8)) < exact_kl(*coordinates(seed, 1e-8)) for seed in range(5))


def test_equal_gaussians_and_overflow():
    _, t, m0, t0 = coordinates(0, 1.0)
    assert 0 <= gaussian_kl_upper([(m0, t0, m0, t0)]) < 1e-300
    assert gaussian_kl_upper([(m0 + 1e200, t, m0, t0)]) == math.inf


def network(dtype=torch.float64, seed=0):
    stream = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 2)).to(dtype).eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(torch.randn(value.shape, generator=stream, dtype=dtype))
    return net


def pair(dtype=torch.float64):
    prior = from_module(network(dtype), 0.3)
    stream = torch.Generator().manual_seed(1)
    shifted = {
        name: value + 0.1 * torch.randn(value.shape, generator=stream, dtype=dtype)
        for name, value in prior.means.items()
    }
    scales = {name: value - 0.4 for name, value in prior.log_scales.items()}
    return moved(prior, shifted, scales), prior


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergence_of_modules_agrees_with_torch_and_with_60_digits(dtype):
    posterior, prior = pair(dtype)
    normal = torch.distributions.Normal
    reference = sum(
        torch.distributions.kl_divergence(
            normal(posterior.means[name].double(), posterior.log_scales[name].double().exp()),
            normal(prior.means[name].double(), prior.log_scales[name].double().exp()),
        ).sum()
        for name in prior.means
    )
    got = kl_divergence(posterior, prior)
    # torch's own rounding: a few units of 2^-53 on terms whose cancellation here loses at most a factor of ten
    assert got == pytest.approx(float(reference), rel=1e-13, abs=0)
    flat = [
        torch.cat([value.double().reshape(-1) for value in values.values()]).numpy()
        for values in (posterior.means, posterior.log_scales, prior.means, prior.log_scales)
    ]
    assert 0 <= mpmath.mpf(got) - exact_kl(*flat) <= got * 2 * gaussian_kl_slack(0)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.decode.weight = self.encode.weight
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_buffer("shift", torch.zeros(4))
        self.loose = torch.full((4,), 2.0)

    def forward(self, x):
        return self.decode(torch.relu(self.encode(x))) * self.frozen * self.loose + self.shift


def test_every_parameter_counts_once_and_constants_are_reported():
    gaussian = from_module(Tied(), 0.1)
    found = coverage(gaussian)
    assert found.random == (("encode.weight", 16),)
    assert found.tied == (("encode.weight", "decode.weight"),)
    assert set(found.fixed) == {"frozen", "shift", "loose"}
    assert gaussian.parameters == 16
    wider = moved(gaussian, gaussian.means, {name: value + 1 for name, value in gaussian.log_scales.items()})
    assert kl_divergence(wider, gaussian) == pytest.approx(16 * 0.5 * (math.expm1(2) - 2), rel=1e-6, abs=0)
    together = [sum(v.numel() for v in m.parameters() if v.requires_grad) for m in (Tied(), network())]
    assert [sum(size for _, size in coverage(g).random) for g in (gaussian, from_module(network(), 1.0))] == together


@pytest.mark.parametrize("name", ["frozen", "shift", "loose"])
def test_constants_chosen_after_the_data_are_refused(name):
    one, other = Tied(), Tied()
    with torch.no_grad():
        other.encode.weight.copy_(one.encode.weight)
        getattr(other, name).add_(0.5)
    with pytest.raises(AssumptionViolated, match=name):
        kl_divergence(from_module(one, 0.1), from_module(other, 0.1))


def test_the_module_is_copied():
    net = network()
    gaussian = from_module(net, 0.1)
    with torch.no_grad():
        net[0].weight.zero_()
    assert gaussian.means["0.weight"].abs().min() > 0


def test_one_scale_for_each_name():
    scales = {name: 0.1 * (k + 1) for k, (name, _) in enumerate(network().named_parameters())}
    gaussian = from_module(network(), scales)
    for name, scale in scales.items():
        assert torch.allclose(gaussian.log_scales[name].exp(), torch.tensor(scale, dtype=torch.float64))


def test_draws_are_a_function_of_the_generator_and_their_number_only():
    gaussian = from_module(network(), 0.2)
    state = torch.get_rng_state()
    many = sample(gaussian, torch.Generator().manual_seed(5), 7)
    stream = torch.Generator().manual_seed(5)
    first, rest = sample(gaussian, stream, 2), sample(gaussian, stream, 5)
    single = sample(gaussian, torch.Generator().manual_seed(5))
    for name, value in many.items():
        assert torch.equal(value, torch.cat([first[name], rest[name]]))
        assert torch.equal(value[0], single[name])
    assert torch.equal(state, torch.get_rng_state())


def test_draws_have_the_stated_mean_and_scale():
    posterior, _ = pair()
    count = 4000
    drawn = sample(posterior, torch.Generator().manual_seed(2), count)
    z = torch.cat(
        [((drawn[n] - m) / posterior.log_scales[n].exp()).reshape(count, -1) for n, m in posterior.means.items()], 1
    )
    width = multiplier(2 * z.shape[1])
    assert z.mean(0).abs().max() < width / math.sqrt(count)
    assert (z.square().mean(0) - 1).abs().max() < width * math.sqrt(2 / count)


def test_files(tmp_path):
    posterior, prior = pair(torch.float32)
    save(posterior, tmp_path / "q")
    again = load(tmp_path / "q", network(torch.float32, seed=9))
    assert kl_divergence(again, prior) == kl_divergence(posterior, prior)
    with pytest.raises(InvalidInput):
        load(tmp_path / "q", nn.Linear(3, 2))
    (tmp_path / "bad").write_bytes(b"\x80\x04not a tensor file")
    with pytest.raises(InvalidInput):
        load(tmp_path / "bad", network())
    with pytest.raises(StorageError):
        load(tmp_path / "absent", network())
    with pytest.raises(StorageError):
        save(posterior, tmp_path / "no" / "folder")


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, "1", True, 1e-60, {"0.weight": 1.0}])
def test_scales_that_are_none(scale):
    with pytest.raises(InvalidInput):
        from_module(network(), scale)


def test_bad_gaussians():
    posterior, prior = pair()
    means = dict(prior.means)
    with pytest.raises(InvalidInput, match="not finite"):
        moved(prior, {**means, "0.bias": torch.full((5,), math.nan, dtype=torch.float64)}, prior.log_scales)
    with pytest.raises(InvalidInput, match=r"0\.bias"):
        moved(prior, {**means, "0.bias": means["0.bias"][:3]}, prior.log_scales)
    with pytest.raises(InvalidInput, match="do not match"):
        moved(prior, {**means, "more": means["0.bias"]}, prior.log_scales)
    with pytest.raises(InvalidInput, match="log-scales"):
        MeanFieldGaussian(prior.network, {name: value - 200 for name, value in prior.log_scales.items()})
    with pytest.raises(InvalidInput):
        kl_divergence(posterior, from_module(nn.Linear(3, 2).double(), 1.0))
    with pytest.raises(InvalidInput):
        kl_divergence(posterior, from_module(network(torch.float32), 1.0))
    with pytest.raises(InvalidInput, match="prior"):
        kl_divergence(posterior, prior.means)
    relu = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 2)).double().eval()
    with pytest.raises(InvalidInput, match="different modules"):
        kl_divergence(posterior, from_module(relu, 1.0))
    with pytest.raises(InvalidInput, match="count"):
        sample(prior, torch.Generator(), 0)
    for module in (network().train(), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train(), "net", nn.ReLU()):
        with pytest.raises(InvalidInput):
            from_module(module, 1.0)
