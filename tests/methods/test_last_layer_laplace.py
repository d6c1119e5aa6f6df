"""Last-layer Laplace against dense matrices, the method `laplace` on frozen features, and the evidence's formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.numerics.methods import laplace, readout_curvature
from nonvacuous.numerics.methods import last_layer_laplace as ll
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

CLASSES, FEATURES = 4, 6


def problem(outputs=CLASSES, bias=True, count=60, scale=1.0):
    stream = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, FEATURES), nn.Tanh(), nn.Linear(FEATURES, outputs, bias=bias)).double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(scale * torch.randn(value.shape, generator=stream, dtype=torch.float64))
    x = torch.randn(count, 3, generator=stream, dtype=torch.float64)
    with torch.no_grad():
        p = torch.softmax(net(x), 1) if outputs > 1 else torch.cat([torch.sigmoid(-net(x)), torch.sigmoid(net(x))], 1)
    return net, x, torch.multinomial(p, 1, generator=stream)[:, 0]


def fitted(net, x, y, **settings):
    return ll.fit(net, (x, y), ll.LastLayerLaplaceConfig(**settings), seed=0, device="cpu")


def dense(net, x, bias=True):
    """J (inputs, outputs, size) and G by Kronecker products of single examples, in NumPy."""
    with torch.no_grad():
        h, f = net[:2](x).numpy(), net(x).numpy()
    phi = np.c_[h, np.ones(len(h))] if bias else h
    outputs = f.shape[1]
    ggn = np.zeros((outputs * phi.shape[1],) * 2)
    for row, logits in zip(phi, f, strict=True):
        if outputs == 1:
            p = 1 / (1 + np.exp(-logits[0]))
            curvature = np.array([[p * (1 - p)]])
        else:
            p = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            curvature = np.diag(p) - np.outer(p, p)
        ggn += np.kron(curvature, np.outer(row, row))
    return np.stack([np.kron(np.eye(outputs), row) for row in phi]), ggn, f


def weights(net, bias=True):
    layer = net[2]
    stacked = torch.cat([layer.weight, layer.bias[:, None]], 1) if bias else layer.weight
    return stacked.detach().numpy().ravel()


@pytest.mark.parametrize("outputs", [1, CLASSES])
@pytest.mark.parametrize("bias", [True, False])
def test_the_law_of_the_logits_is_that_of_dense_matrices(outputs, bias):
    net, x, y = problem(outputs, bias)
    likelihood = "binary" if outputs == 1 else "softmax"
    posterior = fitted(net, x, y, likelihood=likelihood, prior_precision=0.7)
    jacobian, ggn, f = dense(net, x, bias)
    inverse = np.linalg.inv(ggn + 0.7 * np.eye(len(ggn)))
    got = ll.predict(posterior, x)
    # rounding: size * eps * condition (|G|/0.7 < 1e3), of the largest variance
    np.testing.assert_allclose(got.mean, f, rtol=1e-13, atol=1e-13)
    expected = jacobian @ inverse @ jacobian.transpose(0, 2, 1)
    np.testing.assert_allclose(got.variance, expected, rtol=0, atol=1e-11 * expected.max())
    assert got.probs.shape == (60, outputs)


@pytest.mark.parametrize("outputs", [1, CLASSES])
def test_batches_of_inputs_change_nothing(outputs, monkeypatch):
    net, x, y = problem(outputs)
    settings = {"likelihood": "binary" if outputs == 1 else "softmax", "prior_precision": 0.7}
    whole = ll.predict(fitted(net, x, y, **settings), x)
    monkeypatch.setattr(readout_curvature, "BATCH", 7)
    monkeypatch.setattr(ll, "BLOCK_ENTRIES", 1000)
    parts = ll.predict(fitted(net, x, y, **settings), x)
    torch.testing.assert_close(parts.variance, whole.variance, rtol=0, atol=1e-11 * float(whole.variance.max()))
    torch.testing.assert_close(parts.mean, whole.mean, rtol=0, atol=1e-13)


def test_it_is_the_method_laplace_on_a_network_whose_other_weights_are_known():
    net, x, y = problem()
    posterior = fitted(net, x, y, prior_precision=0.3)
    for part in net[:2].parameters():
        part.requires_grad_(False)
    other = laplace.fit(net, (x, y), laplace.LaplaceConfig(0.3, "softmax", route="weight"), seed=0, device="cpu")
    one, two = ll.predict(posterior, x), laplace.predict(other, x)
    torch.testing.assert_close(one.variance, two.variance, rtol=0, atol=1e-11 * float(two.variance.max()))
    torch.testing.assert_close(one.mean, two.mean, rtol=0, atol=0)
    # 1000 draws each of a probability: the difference has a standard error of at most 1/(2 sqrt 500)
    assert float((one.probs - two.probs).abs().max()) <= 6 / (2 * math.sqrt(500))


@pytest.mark.parametrize("outputs", [1, CLASSES])
def test_the_evidence_and_its_maximum(outputs):
    net, x, y = problem(outputs)
    likelihood = "binary" if outputs == 1 else "softmax"
    posterior = fitted(net, x, y, likelihood=likelihood)
    _, ggn, f = dense(net, x)
    t, n = weights(net), len(x)
    if outputs == 1:
        log_likelihood = -np.logaddexp(0, -(2 * y.numpy() - 1) * f[:, 0]).sum()
    else:
        log_likelihood = (f[np.arange(n), y.numpy()] - np.log(np.exp(f).sum(1))).sum()

    def evidence(d):
        # the usual way of writing it: log likelihood - (log determinant of posterior over prior precision + scatter)/2
        ratio = np.linalg.slogdet(ggn + d * np.eye(len(ggn)))[1] - len(ggn) * math.log(d)
        return log_likelihood - 0.5 * (ratio + d * t @ t)

    for d in (1e-3, 0.4, 30.0):
        got = ll.log_marginal_likelihood(ll.with_prior_precision(posterior, d))
        assert got == pytest.approx(evidence(d), rel=1e-10)
    best = posterior.prior_precision
    grid = np.exp(np.linspace(math.log(best) - 12, math.log(best) + 12, 2001))
    values = [evidence(d) for d in grid]
    assert abs(math.log(grid[int(np.argmax(values))] / best)) <= 24 / 2000
    # stationary: d |T|^2 = P - d tr H^-1, MacKay's effective number of parameters
    effective = len(ggn) - best * np.trace(np.linalg.inv(ggn + best * np.eye(len(ggn))))
    assert best * (t @ t) == pytest.approx(effective, rel=1e-10)
    assert fitted(net, x, y, likelihood=likelihood, prior_precision=best).prior_precision == best


def test_small_curvatures_count_and_those_of_rounding_do_not():
    # features of size 1e-4: eigenvalues of 1e-8 of the largest, far above the rounding of 1e-14, far below the others
    net, x, y = problem()
    with torch.no_grad():
        net[0].weight[:3] *= 1e-4
        net[0].bias[:3] *= 1e-4
    posterior = fitted(net, x, y, prior_precision=1e-9)
    _, ggn, _ = dense(net, x)
    # all classes may shift together: one of four blocks of eigenvalues is exactly 0
    assert int((posterior.values > 0).sum()) == (CLASSES - 1) * (FEATURES + 1)
    expected = (np.linalg.slogdet(ggn + 1e-9 * np.eye(len(ggn)))[1] - len(ggn) * math.log(1e-9)) / 2
    found = (
        posterior.log_likelihood - 1e-9 * float(weights(net) @ weights(net)) / 2 - ll.log_marginal_likelihood(posterior)
    )
    # eigenvalues are known to 1e-14, relative to 1e-9 to 1e-5, 28 of them halved
    assert found == pytest.approx(expected, abs=14e-5)


def test_probabilities_are_the_integrals_that_they_stand_for():
    net, x, y = problem(outputs=1)
    posterior = fitted(net, x, y, likelihood="binary", prior_precision=0.5, samples=20_000)
    got = ll.predict(posterior, x)
    nodes, mass = np.polynomial.hermite_e.hermegauss(100)
    m, s = got.mean[:, 0].numpy(), got.variance[:, 0, 0].sqrt().numpy()
    exact = (1 / (1 + np.exp(-(m[:, None] + s[:, None] * nodes)))) @ mass / math.sqrt(2 * math.pi)
    assert np.abs(got.probs[:, 0].numpy() - exact).max() <= 6 / (2 * math.sqrt(20_000))
    probit = ll.predict(replace(posterior, config=replace(posterior.config, link="probit")), x)
    kappa = m / np.sqrt(1 + np.pi * s**2 / 8)
    np.testing.assert_allclose(probit.probs[:, 0], 1 / (1 + np.exp(-kappa)), rtol=1e-12)
    assert probit.samples is None
    # the draws' covariance: relative error of a Gaussian variance sqrt(2/S), of a correlation 1/sqrt(S)
    draws = ll.sample(fitted(*problem(), prior_precision=0.5), problem()[1][:4], 20_000, seed=3)
    law = ll.predict(fitted(*problem(), prior_precision=0.5), problem()[1][:4])
    for k in range(4):
        spread = law.variance[k].diagonal().sqrt()
        gap = (torch.cov(draws[:, k].T) - law.variance[k]) / spread[:, None] / spread
        assert float(gap.abs().max()) <= 6 * math.sqrt(2 / 20_000)


def test_a_draw_is_one_function_and_a_large_precision_gives_the_network_back():
    net, x, y = problem()
    posterior = fitted(net, x, y, prior_precision=0.5)
    whole, part = ll.sample(posterior, x, 3, 1), ll.sample(posterior, x[7:9], 3, 1)
    torch.testing.assert_close(whole[:, 7:9], part, rtol=0, atol=1e-12)
    with torch.no_grad():
        plain = torch.softmax(net(x), 1)
    sure = ll.predict(ll.with_prior_precision(posterior, 1e12), x).probs
    torch.testing.assert_close(sure, plain, rtol=0, atol=1e-4)
    assert float((ll.predict(posterior, x).probs - plain).abs().max()) > 1e-2


@pytest.mark.parametrize("link", ["mc", "probit"])
def test_held_out_labels_choose_the_precision(link):
    net, x, y = problem(scale=2.0, count=400)
    rest = (x[200:], (y[200:] + (torch.arange(200) % 10 == 0)) % CLASSES)  # a tenth of the labels wrong: too confident
    config = ll.LastLayerLaplaceConfig(prior_precision="held_out", link=link, samples=100)
    posterior = ll.fit(net, (x[:30], y[:30]), config, seed=0, device="cpu", held_out=rest)

    def value(factor):
        moved = ll.with_prior_precision(posterior, factor * posterior.prior_precision)
        return float(-ll.predict(moved, rest[0]).probs.gather(1, rest[1][:, None]).log().mean())

    assert all(value(1.0) <= value(factor) for factor in (0.03, 0.3, 0.8, 1.25, 3.0, 30.0))
    assert value(1.0) < value(1e9) - 1e-3
    if link == "probit":  # labels that are all as expected want no variance; a few draws may still help by chance
        with torch.no_grad():
            right = net(x).argmax(1)
        with pytest.raises(InvalidInput, match="No prior precision"):
            ll.fit(net, (x[:30], y[:30]), config, seed=0, device="cpu", held_out=(x, right))
    for settings, data in ((config, None), (ll.LastLayerLaplaceConfig(), rest)):
        with pytest.raises(InvalidInput, match="belong together"):
            ll.fit(net, (x, y), settings, seed=0, device="cpu", held_out=data)


def test_networks_without_such_a_layer_are_refused():
    net, x, y = problem()
    for model in (nn.Sequential(net, nn.LogSoftmax(1)).eval(), nn.Sequential(net, nn.Identity(), nn.Softplus()).eval()):
        with pytest.raises(InvalidInput, match="linear layer"):
            fitted(model, x, y)
    frozen = problem()[0]
    frozen[2].requires_grad_(False)
    with pytest.raises(InvalidInput, match="linear layer"):
        fitted(frozen, x, y)
    wide = nn.Sequential(nn.Linear(3, 5000), nn.Linear(5000, CLASSES)).double().eval()
    with pytest.raises(InvalidInput, match=r"20,004 weights.*3\.2 GB"):
        fitted(wide, x, y)
    with pytest.raises(AssumptionViolated):
        fitted(nn.LayerNorm(3).double().eval(), x, y % 3)
    zero = problem()[0]
    with torch.no_grad():
        for value in zero[2].parameters():
            value.zero_()
    with pytest.raises(InvalidInput, match="evidence has no maximum"):
        fitted(zero, x, y)
    for change in ({"likelihood": "gaussian"}, {"prior_precision": 0.0}, {"prior_precision": "cv"}, {"prior_precision": True}, {"link": "logit"}, {"samples": 0}):  # fmt: skip
        with pytest.raises(InvalidInput):
            ll.LastLayerLaplaceConfig(**change)
    with pytest.raises(InvalidInput):
        ll.with_prior_precision(fitted(net, x, y), -1.0)


def test_a_convolutional_network_in_single_precision_and_its_file(tmp_path):
    stream = torch.Generator().manual_seed(2)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 5)).eval()
    x, y = torch.randn(40, 1, 6, 6, generator=stream), torch.arange(40) % 5
    posterior = fitted(net, x, y)
    got = ll.predict(posterior, x)
    assert got.variance.dtype == torch.float64
    assert (got.variance.diagonal(dim1=1, dim2=2) > 0).all()
    ll.save(posterior, tmp_path / "file")
    again = ll.load(tmp_path / "file", net)
    assert (again.layer, again.prior_precision, again.config) == (
        posterior.layer,
        posterior.prior_precision,
        posterior.config,
    )
    assert ll.log_marginal_likelihood(again) == ll.log_marginal_likelihood(posterior)
    assert torch.equal(ll.predict(again, x).probs, got.probs)
