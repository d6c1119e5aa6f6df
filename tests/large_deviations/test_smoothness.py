"""Smoothness as a partial order, its levers, the training penalty and the plug-in's error bars."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.large_deviations import (
    ExponentialLaw,
    FiniteLaw,
    GaussianLaw,
    compare_smoothness,
    distance_inverse_rate,
    gradient_inverse_rate,
    inverse_rate,
    penalty_coefficients,
    plug_in,
    rate,
    tilted_weights,
)
from nonvacuous.theory.statement import Kind

seeds = st.integers(0, 10**6)


def test_scaling_is_comparable():
    x = np.round(np.random.default_rng(0).exponential(size=50) * 2**20) / 2**20
    found = compare_smoothness(0.5 * x, x)
    assert found.smoother == found.smoother_near_zero == "first"
    assert found.beta == math.inf
    assert compare_smoothness(x, 0.5 * x).smoother == "second"
    assert compare_smoothness(x, x[::-1]).smoother == "equal"
    assert compare_smoothness(x, x + 7.0).smoother == "equal"  # the mean plays no part
    assert compare_smoothness(np.full(3, 2.0), x).smoother == "first"
    assert compare_smoothness(np.full(3, 2.0), np.full(5, 1.0)).smoother == "equal"


def test_crossing_curves_are_incomparable_with_the_largest_beta():
    """Small variance but a far minimum against the opposite."""
    rare, even = FiniteLaw([0.0, 5.0, 5.2], [0.002, 0.499, 0.499]), FiniteLaw([0.0, 1.0])
    found = compare_smoothness(rare, even)
    assert found.smoother == "incomparable"
    assert found.smoother_near_zero == "first"
    assert found.first.variance < found.second.variance
    assert found.first.gap > found.second.gap
    beta = found.beta
    assert 0 < beta <= float(even.gap[0])
    for a in np.linspace(1e-3, 0.999, 25) * beta:
        assert rate(rare, a)[()] >= rate(even, a) * (1 - 1e-9)
    if beta < float(even.gap[0]):
        assert rate(rare, beta * 1.001) < rate(even, beta * 1.001)
    # equivalently the inverse rates are ordered up to the smaller rate at beta
    level = min(float(rate(rare, beta)), float(rate(even, beta)))
    for s in np.linspace(1e-4, 0.999, 20) * level:
        assert inverse_rate(rare, s).value <= inverse_rate(even, s).value * (1 + 1e-9)


def test_parametric_laws_are_compared():
    found = compare_smoothness(ExponentialLaw(1.0), GaussianLaw(1.0))
    # equal variances; the exponential law has a third cumulant of 2 and a minimum: the smaller lower tail
    assert found.smoother == "first"
    assert (found.first.third, found.second.third) == (2.0, 0.0)
    assert compare_smoothness(GaussianLaw(1.0), GaussianLaw(2.0)).smoother == "first"
    with pytest.raises(InvalidInput):
        compare_smoothness([[1.0, 2.0], [3.0, 4.0]], [1.0, 2.0])


def test_a_smoother_interpolator_has_the_smaller_bound():
    """L <= eps + Iinv' for the smoother model, and Iinv' <= L' - m': it is no worse than the other by more than eps."""
    first, second = FiniteLaw([0.0, 0.5], [0.5, 0.5]), FiniteLaw([0.0, 1.0], [0.5, 0.5])
    for s in (0.01, 0.1, 1.0):
        assert inverse_rate(first, s).value <= inverse_rate(second, s).value <= second.gap[0]


@given(seeds, st.floats(1e-6, 3))
def test_more_models_cannot_raise_the_least_rate(seed, s):
    rows = np.random.default_rng(seed).exponential(size=(6, 20))
    values = inverse_rate(rows, s).value
    assert values.min() <= values[:3].min()


@given(seeds, st.floats(1e-8, 2))
def test_distance_from_initialisation(seed, s):
    """loss(theta, x) = |<theta, u(x)>| with |u| <= M: M-Lipschitz, and 0 for all x at theta = 0."""
    rng = np.random.default_rng(seed)
    theta, u = rng.normal(size=3), rng.normal(size=(40, 3))
    M = np.linalg.norm(u, axis=1).max()
    assert inverse_rate(np.abs(u @ theta), s).value <= distance_inverse_rate(
        float(M), float(np.linalg.norm(theta)), s
    ) * (1 + 1e-12)


def test_labels_need_the_between_class_part():
    """loss = 1[y = 1]: the input gradient is 0 and the variance is not."""
    law = FiniteLaw([0.0, 1.0])
    assert gradient_inverse_rate(1.0, 0.0, 0.1) == 0.0 < inverse_rate(law, 0.1).value
    assert inverse_rate(law, 0.1).value <= gradient_inverse_rate(1.0, 0.0, 0.1, class_range=1.0)
    for bad in ({"constant": -1.0}, {"gradient": math.nan}, {"s": -1.0}, {"class_range": math.inf}):
        with pytest.raises(InvalidInput):
            gradient_inverse_rate(**{"constant": 1.0, "gradient": 1.0, "s": 0.1, **bad})


def test_invariance_removes_the_variance_within_orbits():
    rng = np.random.default_rng(3)
    loss = rng.lognormal(size=(30, 4))  # orbits x members, all equally likely
    averaged = loss.mean(axis=1)
    whole, within = loss.var(), loss.var(axis=1).mean()
    assert whole == pytest.approx(averaged.var() + within, rel=1e-13, abs=0)
    for s in (0.01, 0.3, 3.0):
        assert inverse_rate(averaged, s).value <= inverse_rate(loss.ravel(), s).value


@given(seeds, st.floats(1e-4, 8))
def test_coefficients_are_a_gradient(seed, s):
    x = np.random.default_rng(seed).exponential(size=12)
    c = penalty_coefficients(x, s)
    assert c.sum() == pytest.approx(1.0, abs=1e-12)
    assert tilted_weights(x, s).sum() == pytest.approx(1.0, abs=1e-12)
    d = np.random.default_rng(seed + 1).normal(size=12)
    h = 1e-6

    def total(y: np.ndarray) -> float:
        return float(y.mean() + inverse_rate(y, s).value)

    assert (total(x + h * d) - total(x - h * d)) / (2 * h) == pytest.approx(float(c @ d), abs=1e-5)


def test_penalty_has_the_envelope_gradient():
    torch = pytest.importorskip("torch")
    from nonvacuous.numerics.large_deviations.penalty import inverse_rate_penalty, variance_penalty

    for dtype in (torch.float64, torch.float32):
        theta = torch.linspace(0.1, 2.0, 16, dtype=dtype, requires_grad=True)
        losses = theta**2
        value = inverse_rate_penalty(losses, 0.05)
        (gradient,) = torch.autograd.grad(value, theta)
        x = losses.detach().double().numpy()
        assert value.item() == pytest.approx(
            x.mean() + float(inverse_rate(x, 0.05).value),
            rel=1e-6 if dtype == torch.float32 else 1e-13,
            abs=0,
        )
        wanted = penalty_coefficients(x, 0.05) * 2 * theta.detach().double().numpy()
        assert gradient.double().numpy() == pytest.approx(wanted, rel=1e-5 if dtype == torch.float32 else 1e-12, abs=0)
    small = variance_penalty(losses.detach().double(), 1e-8).item()
    assert small == pytest.approx(inverse_rate_penalty(losses.detach().double(), 1e-8).item(), rel=1e-6, abs=0)
    saturated = inverse_rate_penalty(losses.detach().double(), 50.0).item()
    assert saturated == pytest.approx(2 * x.mean() - x.min(), rel=1e-12, abs=0)
    with pytest.raises(InvalidInput):
        inverse_rate_penalty(torch.zeros(2, 2), 0.1)


def test_the_room_imports_without_torch():
    code = (
        "import sys; import nonvacuous.numerics.large_deviations, nonvacuous.bounds; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_plug_in_is_optimistic_and_has_error_bars():
    rng = np.random.default_rng(5)
    truth = float(inverse_rate(ExponentialLaw(1.0), 0.3).value)
    values = inverse_rate(rng.exponential(size=(20_000, 50)), 0.3).value
    assert values.mean() < truth - 6 * values.std() / np.sqrt(20_000)
    found = plug_in(rng.exponential(size=400), 0.05, seed=1)
    assert found.low < found.value < found.high
    assert 0 < found.standard_error < 0.1
    assert found.kind is Kind.ORACLE
    assert 1 < found.effective < 400
    assert found.saturated_share == 0.0
    again = plug_in(np.arange(10.0), 1.0, seed=2)
    assert again == plug_in(np.arange(10.0), 1.0, seed=2)
    assert again != plug_in(np.arange(10.0), 1.0, seed=3)
    for bad in ({"losses": []}, {"losses": [[1.0]]}, {"s": -1.0}, {"level": 1.0}, {"resamples": -1}):
        with pytest.raises(InvalidInput):
            plug_in(**{"losses": [1.0, 2.0], "s": 0.1, **bad})
