"""Gaussian-process PAC-Bayes: independent routes to the divergence, soundness of its upper value, posterior samples, refusals."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nonvacuous.numerics.bounds.monte_carlo import gibbs_monte_carlo
from nonvacuous.numerics.intervals import multiplier
from nonvacuous.numerics.kernel_regression.enclosures import spectrum_error
from nonvacuous.numerics.kernel_regression.gaussian_process_bound import (
    gaussian_process_bound,
    gaussian_process_kl,
    posterior_on_the_sample,
    posterior_zero_one_risk,
)
from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.theory.balls.gaussian_process import gaussian_process_kl_ball
from nonvacuous.theory.errors import InvalidInput

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = np.sign(X[:, 0])
ARCHITECTURE = {"depth": 2, "activation": "relu", "weight_scale": 1.4, "bias_scale": 0.2}
KERNELS = fully_connected_kernels(X, **ARCHITECTURE)
GIVEN = {"gram": KERNELS.nngp, "labels": Y, "noise_variance": 0.1}


def test_divergence_by_sampling_the_posterior():
    """KL = E_Q ln dQ/dP on the values at X, by 20000 draws."""
    k, s2 = KERNELS.nngp, 0.1
    smoother = k @ np.linalg.inv(k + s2 * np.eye(12))
    mean, covariance = smoother @ Y, (s2 * smoother + s2 * smoother.T) / 2
    draws = np.random.default_rng(1).multivariate_normal(mean, covariance, 20_000)
    ratio = multivariate_normal(mean, covariance).logpdf(draws) - multivariate_normal(np.zeros(12), k).logpdf(draws)
    allowed = multiplier(1, degrees=19_999) * ratio.std(ddof=1) / math.sqrt(20_000)
    found = gaussian_process_kl(**GIVEN).value
    assert abs(ratio.mean() - found) <= allowed
    assert abs(ratio.mean() - found / 2) > 10 * allowed


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
@pytest.mark.parametrize("noise", [1e-6, 1e-2, 1.0, 1e4])
def test_the_upper_value_is_never_below_the_exact_one(kernel, noise):
    gram = getattr(KERNELS, kernel)
    gram = (gram + gram.T) / 2
    exact = gaussian_process_kl_ball(gram.tolist(), Y.tolist(), noise)
    found = gaussian_process_kl(gram=gram, labels=Y, noise_variance=noise)
    assert found.upper >= exact
    assert found.upper <= float(exact) * (1 + 1e-6) + 1e-12
    assert found.value == pytest.approx(float(exact), rel=1e-7)


def test_a_perturbed_kernel_is_covered_by_its_error():
    noise = RNG.normal(size=(12, 12)) * 1e-6
    noise = (noise + noise.T) / 2
    near = gaussian_process_kl(
        gram=KERNELS.nngp + noise, labels=Y, noise_variance=0.1, gram_error=float(np.linalg.norm(noise))
    )
    assert near.upper >= gaussian_process_kl(**GIVEN).upper


def test_the_share_of_the_eigenvalues_is_covered_where_it_is_steepest():
    """At K = s2 the divergence of a mode grows fastest, by 1/8 of the relative error of its eigenvalue."""
    gram, labels, error = 0.1 * np.eye(5), np.zeros(5), 1e-6
    covered = gaussian_process_kl(gram=gram, labels=labels, noise_variance=0.1, gram_error=error)
    shifted = gaussian_process_kl(gram=gram + error * np.eye(5), labels=labels, noise_variance=0.1)
    assert shifted.value <= covered.upper <= shifted.value + 0.01 * error


def test_spectrum_error_covers_a_perturbed_decomposition():
    values, vectors = np.linalg.eigh(KERNELS.nngp)
    assert spectrum_error(KERNELS.nngp, values, vectors) < 1e-11
    assert spectrum_error(KERNELS.nngp, values + 1e-3, vectors) >= 1e-3
    turned = vectors.copy()
    turned[0] *= 1.001
    assert spectrum_error(KERNELS.nngp, values, turned) > 1e-4


def test_outputs_add():
    both = gaussian_process_kl(gram=KERNELS.nngp, labels=np.stack([Y, 0 * Y], axis=1), noise_variance=0.1)
    one, none = (gaussian_process_kl(gram=KERNELS.nngp, labels=y, noise_variance=0.1) for y in (Y, 0 * Y))
    assert both.value == pytest.approx(one.value + none.value, rel=1e-13)
    assert none.fit == 0


def test_duplicates_are_fine():
    twice = np.concatenate([X, X[:3]])
    gram = fully_connected_kernels(twice, **ARCHITECTURE).nngp
    found = gaussian_process_kl(gram=gram, labels=np.concatenate([Y, Y[:3]]), noise_variance=0.1)
    assert gaussian_process_kl(**GIVEN).value < found.value < found.upper < np.inf


def test_certificate_through_posterior_samples():
    """Heads as posterior samples: their 0-1 errors, a sampling bound, and one more event in the ledger."""
    risk = posterior_zero_one_risk(**GIVEN)
    sampled = gibbs_monte_carlo(risk=risk, draws=1000, delta=0.01)
    exact = gaussian_process_bound(risk=risk, delta=0.04, **GIVEN)
    certificate = gaussian_process_bound(risk=sampled, delta=0.04, **GIVEN)
    assert certificate.value > exact.value
    assert certificate.delta == pytest.approx(0.05)
    assert len(certificate.ledger.entries) == 2
    assert certificate.check().sound
    assert "prior before data" in certificate.unchecked


def test_bound_is_monotone_in_delta_n_and_divergence():
    """Section 8, item 14."""
    values = [gaussian_process_bound(risk=0.1, delta=d, **GIVEN).value for d in (0.2, 0.05, 1e-6)]
    assert values == sorted(values)
    noisy = [gaussian_process_kl(**(GIVEN | {"noise_variance": s})).value for s in (1e-3, 1e-1, 10.0)]
    assert noisy == sorted(noisy, reverse=True)


def test_posterior_on_the_sample():
    mean, variance = posterior_on_the_sample(**GIVEN)
    k = KERNELS.nngp
    smoother = k @ np.linalg.inv(k + 0.1 * np.eye(12))
    np.testing.assert_allclose(mean[:, 0], smoother @ Y, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(variance, np.diag(k - smoother @ k), rtol=1e-8)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise_variance": 0.0},
        {"noise_variance": -1.0},
        {"noise_variance": math.nan},
        {"gram": KERNELS.nngp[:5]},
        {"gram": KERNELS.nngp.astype(np.float32)},
        {"gram": KERNELS.nngp - 2 * np.eye(12)},
        {"gram": KERNELS.nngp + np.triu(np.ones((12, 12)), 1)},
        {"labels": Y[:5]},
        {"labels": Y * np.inf},
        {"gram_error": -1.0},
    ],
)
def test_bad_input(changes):
    with pytest.raises(InvalidInput):
        gaussian_process_kl(**(GIVEN | changes))


def test_zero_one_risk_needs_signs():
    with pytest.raises(InvalidInput, match="-1 and 1"):
        posterior_zero_one_risk(**(GIVEN | {"labels": 0.5 * Y}))
