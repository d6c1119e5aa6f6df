"""One network drawn from a Gaussian: the density ratio against 60 digits, the certificate of that very network, coverage on a small world."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.one_draw import gaussian_log_ratio, one_draw_kl
from nonvacuous.numerics.certify import from_module
from nonvacuous.numerics.certify.gaussian import moved
from nonvacuous.numerics.certify.one_draw import certify_draw, log_density_ratio

STREAM = torch.Generator().manual_seed(0)
X = torch.randn(80, 3, generator=STREAM)
Y = (X[:, 0] > 0).long()


def pair(scale=0.3, other=0.5, shift=0.4):
    torch.manual_seed(0)
    prior = from_module(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), scale)
    means = {name: value + shift * torch.randn(value.shape, generator=STREAM) for name, value in prior.means.items()}
    scales = {name: torch.full_like(value, float(np.log(other))) for name, value in prior.means.items()}
    return moved(prior, means, scales), prior


@pytest.mark.parametrize("other", [0.3, 0.5, 1e-4])
def test_density_ratio_is_never_below_the_exact_one(other):
    posterior, prior = pair(other=other)
    for seed in range(3):
        point = {
            name: mean + other * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
            for name, mean in posterior.means.items()
        }
        found = log_density_ratio(point, posterior, prior)
        with mpmath.workdps(60):
            exact = mpmath.mpf(0)
            for name, value in point.items():
                rows = (
                    value,
                    posterior.means[name],
                    posterior.log_scales[name],
                    prior.means[name],
                    prior.log_scales[name],
                )
                for h, mq, lq, mp, lp in zip(*(t.double().ravel().tolist() for t in rows), strict=True):
                    exact += mpmath.mpf(lp) - mpmath.mpf(lq)
                    exact += ((mpmath.mpf(h) - mp) / mpmath.exp(lp)) ** 2 / 2
                    exact -= ((mpmath.mpf(h) - mq) / mpmath.exp(lq)) ** 2 / 2
            assert 0 <= found - exact < 1e-12 * (1 + abs(exact))


def test_equal_scales_agree_with_the_plain_formula():
    posterior, prior = pair(other=0.3)
    point = dict(posterior.means)
    flat = {
        k: torch.cat([t.double().ravel() for t in v.values()]).numpy()
        for k, v in (("h", point), ("w", posterior.means), ("v", prior.means))
    }
    scale = float(torch.exp(prior.log_scales["0.weight"].double())[0, 0])
    expected = gaussian_log_ratio(draw=flat["h"], posterior_mean=flat["w"], prior_mean=flat["v"], scale=scale)
    assert log_density_ratio(point, posterior, prior) == pytest.approx(expected, rel=1e-6, abs=0)


def test_the_certificate_is_that_of_the_drawn_network():
    posterior, prior = pair()
    found = certify_draw(posterior, prior=prior, data=(X, Y), delta=0.05, seed=3)
    wrong = (found.module(X).argmax(1) != Y).double().mean()
    assert found.risk == float(wrong)
    assert (
        found.certificate.value == one_draw_kl(risk=found.risk, log_density=found.log_density, n=80, delta=0.05).value
    )
    assert found.certificate.check().sound
    assert found.certificate.statement.key == "pb.disintegrated"
    again = certify_draw(posterior, prior=prior, data=[(X[:30], Y[:30]), (X[30:], Y[30:])], delta=0.05, seed=3)
    assert again.certificate.value == found.certificate.value
    assert certify_draw(posterior, prior=prior, data=(X, Y), delta=0.05, seed=4).log_density != found.log_density
    entropy = certify_draw(
        posterior, prior=prior, data=(X, Y), delta=0.05, seed=3, loss="cross_entropy", pmin=1e-3, form="occam"
    )
    assert 0 < entropy.risk < 1
    with pytest.raises(InvalidInput, match="form"):
        certify_draw(posterior, prior=prior, data=(X, Y), delta=0.05, seed=3, form="renyi")
