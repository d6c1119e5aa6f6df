"""Modes of the tangent kernel and its spectrum on spheres, lazy training by scale, and refusals."""

import math

import numpy as np
import pytest

from nonvacuous.numerics.kernel_regression.spectral import (
    gegenbauer,
    relu_ntk_profile,
    residual_modes,
    zonal_spectrum,
)
from nonvacuous.numerics.kernels.fully_connected import ntk_kernel
from nonvacuous.numerics.training.lazy import lazy_problem
from nonvacuous.theory.balls.zonal import gegenbauer_coefficients, projection
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = np.finfo(np.float64).eps


@pytest.mark.parametrize("dimension", [2, 3, 4, 8])
def test_one_hidden_layer_has_no_odd_degree_above_one(dimension):
    found = zonal_spectrum(profile=relu_ntk_profile(depth=1), dimension=dimension, degrees=11).eigenvalues
    assert np.abs(found[3::2]).max() < 1e-14
    assert (found[[0, 1, 2, 4, 6, 8, 10]] > 1e-9).all()


@pytest.mark.parametrize("depth", [2, 3])
def test_deeper_networks_have_every_degree(depth):
    found = zonal_spectrum(profile=relu_ntk_profile(depth=depth), dimension=3, degrees=9)
    assert (found.eigenvalues > 1e-4).all()
    assert found.error < 1e-13


def test_the_spectrum_sums_to_the_diagonal():
    found = zonal_spectrum(profile=lambda a: np.cos(a) ** 3, dimension=4, degrees=5)
    assert np.dot(found.eigenvalues, found.multiplicities) == pytest.approx(1, rel=1e-13)
    assert found.multiplicities[:4] == (1, 4, 9, 16)
    assert zonal_spectrum(profile=np.cos, dimension=2, degrees=3).multiplicities == (1, 2, 2, 2)


def test_eigenvalues_of_a_large_gram_matrix_on_the_circle():
    """Equispaced points: the Gram matrix is circulant, its eigenvalues over N tend to the spectrum."""
    angles = 2 * np.pi * np.arange(512) / 512
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gram = ntk_kernel(x, depth=2, activation="relu", weight_scale=(math.sqrt(2),) * 3, bias_scale=0.0)
    values = np.sort(np.linalg.eigvalsh((gram + gram.T) / 2) / 512)[::-1]
    found = zonal_spectrum(profile=relu_ntk_profile(depth=2), dimension=2, degrees=6)
    expected = np.sort(np.repeat(found.eigenvalues, found.multiplicities))[::-1]
    np.testing.assert_allclose(values[:8], expected[:8], rtol=1e-3)


def test_polynomials():
    t = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(gegenbauer(t, 3, 2)[2], (3 * t**2 - 1) / 2, atol=1e-15)
    np.testing.assert_allclose(gegenbauer(t, 2, 4)[4], np.cos(4 * np.arccos(t)), atol=1e-14)
    assert sum(gegenbauer_coefficients(5, 6)) == 1
    assert projection(3, 1, 3) == 0


def test_modes_decay_exponentially():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3))
    t = ntk_kernel(x, depth=2, activation="erf", weight_scale=1.5, bias_scale=0.3)
    residual = rng.normal(size=8)
    modes = residual_modes(ntk=t, residual=residual, time_sum_loss=[0.0, 0.5, 2.0])
    np.testing.assert_allclose(modes.now[0], modes.initial, rtol=1e-15)
    np.testing.assert_allclose(np.log(modes.now[2] / modes.initial), -2 * modes.eigenvalues, atol=1e-12)
    np.testing.assert_allclose(modes.now[1] ** 4, modes.now[2] * modes.initial**3, rtol=1e-12)
    # many small explicit steps of the flow agree to their first order
    step, f = 1e-5, residual.copy()
    for _ in range(50_000):
        f = f - step * (t @ f)
    vectors = np.linalg.eigh((t + t.T) / 2)[1]
    np.testing.assert_allclose(vectors.T @ f, modes.now[1], atol=1e-4)


def test_lazy_problem():
    found = lazy_problem(initial=[1.0, 2.0], labels=[0.5, -0.5], alpha=4.0, scaled_step_size_sum_loss=0.01)
    assert found.targets.tolist() == [1.125, 1.875]
    assert found.step_size_sum_loss == pytest.approx(0.16, rel=4 * EPS)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (residual_modes, {"ntk": np.eye(2), "residual": np.ones(3), "time_sum_loss": 1.0}),
        (residual_modes, {"ntk": np.eye(2), "residual": np.ones(2), "time_sum_loss": -1.0}),
        (residual_modes, {"ntk": -np.eye(2), "residual": np.ones(2), "time_sum_loss": 1.0}),
        (zonal_spectrum, {"profile": np.cos, "dimension": 1, "degrees": 2}),
        (zonal_spectrum, {"profile": np.cos, "dimension": 3, "degrees": -1}),
        (zonal_spectrum, {"profile": lambda a: a[:3], "dimension": 3, "degrees": 2}),
        (zonal_spectrum, {"profile": lambda a: a * np.nan, "dimension": 3, "degrees": 2}),
        (relu_ntk_profile, {"depth": 0}),
        (lazy_problem, {"initial": [1.0], "labels": [1.0], "alpha": 0.0, "scaled_step_size_sum_loss": 0.1}),
        (lazy_problem, {"initial": [1.0], "labels": [1.0, 2.0], "alpha": 1.0, "scaled_step_size_sum_loss": 0.1}),
        (lazy_problem, {"initial": [1.0], "labels": [1.0], "alpha": 1.0, "scaled_step_size_sum_loss": -0.1}),
    ],
)
def test_bad_input(function, arguments):
    with pytest.raises(InvalidInput):
        function(**arguments)


def test_a_rough_profile_is_refused():
    with pytest.raises(NumericalFailure, match="rough"):
        zonal_spectrum(profile=lambda a: np.where(a < 1, 1.0, 0.0), dimension=3, degrees=2)
