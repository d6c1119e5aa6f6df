"""Value functions: universal uncertainties by temporal differences, and contextual similarity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernel_problems import SEEDS, close, kernels, problem

from nonvacuous.numerics.wide_networks.bayesian_distillation import (
    posterior_covariance,
)
from nonvacuous.numerics.wide_networks.ensemble import rnd_error_covariance
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.numerics.wide_networks.value_functions import (
    DivergingTD,
    csd_variance,
    td_covariance,
    td_matrix,
    td_mean,
    td_smoother,
    td_step_limit,
    transition_kernel,
    uvu_error_covariance,
)
from nonvacuous.theory.errors import InvalidInput


def transitions(seed, *, n=4, spread=0.3, **changes):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    points = np.concatenate([rng.normal(size=(2, 3)), x, x + spread * rng.normal(size=(n, 3))])
    found = kernels(points, **changes)
    return tuple(transition_kernel(c, m, transitions=n) for c, m in (("K", found.nngp), ("T", found.ntk)))


@pytest.mark.parametrize("seed", SEEDS)
def test_uvu_with_discount_0_is_distillation(seed):
    k, t = transitions(seed)
    k_x, t_x = (gram_blocks("X", m.joint[:2, :2], m.joint[:2, 2:6], m.joint[2:6, 2:6]) for m in (k, t))
    assert close(uvu_error_covariance(k, t, discount=0.0), rnd_error_covariance(k_x, t_x), t_x, 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_uvu_is_theorem_6_1_in_blocks_with_terminal_transitions(seed):
    k, t = transitions(seed)
    gamma = np.array([0.5, 0.4, 0.0, 0.3])
    d = np.diag(gamma)
    delta = td_matrix(t, gamma)
    np.testing.assert_array_equal(delta[2], t.joint[4, 2:6])  # terminal: no bootstrap
    star, x, y = slice(0, 2), slice(2, 6), slice(6, 10)
    lam = {n: k.joint[x, s] - d @ k.joint[y, s] for n, s in (("*", star), ("x", x), ("y", y))}
    g = t.joint[star, x] @ np.linalg.inv(delta)
    cross = g @ lam["*"]
    expected = k.joint[star, star] - cross - cross.T + g @ (lam["x"] - lam["y"] @ d) @ g.T
    np.testing.assert_allclose(td_covariance(k, t, discount=gamma), expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(td_smoother(t, gamma), g, rtol=1e-8, atol=1e-9)
    rewards = np.arange(4.0)
    np.testing.assert_allclose(td_mean(t, rewards, discount=gamma), g @ rewards, rtol=1e-8, atol=1e-8)
    assert 0 < td_step_limit(t, discount=gamma) < math.inf


def test_diverging_td_is_refused():
    """X' far from X in a direction that the kernel amplifies: T_X'X > T_XX/gamma."""
    x = np.array([[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]])
    points = np.concatenate([np.ones((1, 3)), x, 10 * x])
    found = kernels(points, activation="relu")
    k, t = (transition_kernel(c, m, transitions=2) for c, m in (("K", found.nngp), ("T", found.ntk)))
    assert np.linalg.eigvals(td_matrix(t, 0.99)).real.min() < 0
    for call in (
        lambda: uvu_error_covariance(k, t, discount=0.99),
        lambda: td_mean(t, np.ones(2), discount=0.99),
        lambda: td_step_limit(t, discount=0.99),
    ):
        with pytest.raises(DivergingTD) as caught:
            call()
        assert caught.value.eigenvalues.real.min() < 0
    assert np.isfinite(uvu_error_covariance(k, t, discount=0.0)).all()


def test_random_pairs_can_make_td_diverge():
    """Some random transitions at discount 0.9 have an eigenvalue with a negative real part (max(z,0), two hidden layers)."""
    least = []
    for seed in range(40):
        _, t = transitions(seed, n=6, spread=1.0, activation="relu")
        least.append(np.linalg.eigvals(td_matrix(t, 0.9)).real.min())
    assert min(least) < 0 < max(least)


def test_malformed_transitions_are_refused():
    _, t = transitions(0)
    for bad in (1.5, -0.1, np.full(3, 0.5), math.nan):
        with pytest.raises(InvalidInput):
            td_matrix(t, bad)
    for joint in (np.ones((3, 2)), np.triu(np.ones((10, 10))), t.joint[:8, :8]):
        with pytest.raises(InvalidInput):
            transition_kernel("T", joint, transitions=4)
    with pytest.raises(InvalidInput):
        td_mean(t, np.ones(3), discount=0.1)
    other, _ = transitions(0, n=3)
    with pytest.raises(InvalidInput):
        td_covariance(other, t, discount=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_csd_is_the_posterior_variance(seed):
    _, t = problem(seed)
    assert close(csd_variance(t), np.diag(posterior_covariance(t)), t)
