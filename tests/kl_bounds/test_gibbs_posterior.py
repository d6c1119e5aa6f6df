"""The Gibbs posterior: numbers against quadrature and against series, limits, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from nonvacuous import bounds
from nonvacuous.errors import InvalidInput
from nonvacuous.theory.balls.gibbs import gibbs_ball


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=12), st.floats(-4, 3).map(lambda x: 10**x))
def test_the_minimum_is_the_value_at_the_weights(losses, beta):
    found = bounds.gibbs_posterior(losses=losses, beta=beta)
    assert found.weights.sum() == pytest.approx(1.0, rel=1e-13, abs=0)
    assert found.mean == pytest.approx(float(found.weights @ losses), rel=1e-11, abs=1e-10)
    assert 0 <= found.kl <= math.log(len(losses)) * (1 + 1e-12)
    assert found.free_energy == pytest.approx(found.mean + found.kl / beta, rel=1e-9, abs=1e-9 * (1 + 1 / beta))
    assert min(losses) - 1e-12 <= found.free_energy <= np.mean(losses) + 1e-9


@given(st.lists(st.floats(0, 5), min_size=2, max_size=6), st.floats(-2, 1.5).map(lambda x: 10**x))
def test_slope_is_minus_variance(losses, beta):
    found = bounds.gibbs_posterior(losses=losses, beta=beta)
    ball = gibbs_ball(losses, [1.0] * len(losses), beta)
    assert -float(ball.slope.mid()) == pytest.approx(found.variance, rel=1e-9, abs=1e-13)


def test_gaussian_prior_and_quadratic_loss_in_closed_form():
    """P = N(m, s^2), f = a (t-c)^2/2: Q is Gaussian of precision 1/s^2 + a b, and the free energy is the one derived in pb.gibbs."""
    m, s, a, c, b = 0.3, 0.8, 2.0, -0.5, 1.7
    density = lambda t: math.exp(-((t - m) ** 2) / (2 * s * s)) / math.sqrt(2 * math.pi) / s  # noqa: E731
    loss = lambda t: a * (t - c) ** 2 / 2  # noqa: E731
    z = quad(lambda t: density(t) * math.exp(-b * loss(t)), -20, 20, epsabs=1e-13)[0]
    free = math.log(1 + a * b * s * s) / (2 * b) + a * (m - c) ** 2 / (2 * (1 + a * b * s * s))
    assert -math.log(z) / b == pytest.approx(free, rel=1e-10, abs=0)
    # the same as a limit of finite priors
    grid = np.linspace(-6, 6, 4001)
    found = bounds.gibbs_posterior(losses=[loss(t) for t in grid], prior=[density(t) for t in grid], beta=b)
    assert found.free_energy == pytest.approx(free, rel=1e-9, abs=0)
    precision = 1 / s**2 + a * b
    centre = (m / s**2 + a * b * c) / precision
    assert found.mean == pytest.approx(a * ((centre - c) ** 2 + 1 / precision) / 2, rel=1e-9, abs=0)


def test_limits():
    cold = bounds.gibbs_posterior(losses=[3.0, 1.0, 2.0], prior=[0.5, 0.2, 0.3], beta=1e6)
    assert cold.weights == pytest.approx([0, 1, 0])
    assert cold.kl == pytest.approx(-math.log(0.2), rel=1e-14, abs=0)
    hot = bounds.gibbs_posterior(losses=[3.0, 1.0, 2.0], prior=[0.5, 0.2, 0.3], beta=1e-9)
    assert hot.weights == pytest.approx([0.5, 0.2, 0.3])
    assert hot.kl < 1e-15
    nowhere = bounds.gibbs_posterior(losses=[3.0, -1e9, 2.0], prior=[0.5, 0.0, 0.5], beta=2.0)
    assert nowhere.weights[1] == 0.0
    assert nowhere.mean > 2.0
    shifted = bounds.gibbs_posterior(losses=[1e9, 1e9 + 1], beta=3.0)
    assert shifted.kl == pytest.approx(bounds.gibbs_posterior(losses=[0.0, 1.0], beta=3.0).kl, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "bad",
    [{"losses": []}, {"losses": [math.nan]}, {"losses": [math.inf]}, {"losses": [[1.0]]}, {"beta": 0.0}, {"beta": -1.0}, {"beta": math.inf},
     {"beta": math.nan}, {"prior": [1.0]}, {"prior": [-1.0, 2.0]}, {"prior": [0.0, 0.0]}, {"prior": [math.inf, 1.0]}, {"prior": "uniform"}],
)  # fmt: skip
def test_refuses(bad):
    with pytest.raises(InvalidInput):
        bounds.gibbs_posterior(**{"losses": [0.0, 1.0], "beta": 1.0, **bad})
