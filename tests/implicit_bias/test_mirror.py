"""Bregman projections and diagonal linear networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from nonvacuous.numerics.implicit_bias.mirror import (
    ENTROPY,
    EUCLIDEAN,
    bregman_solution,
    diagonal_network_limit,
    diagonal_network_potential,
    hypentropy,
)
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    x = rng.normal(size=(n, n + int(rng.integers(1, 6))))
    return rng, x


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_solutions_interpolate_and_their_duals_stay_in_the_row_space(seed):
    rng, x = problem(seed)
    p = x.shape[1]
    for potential in (EUCLIDEAN, ENTROPY, hypentropy(0.3)):
        start, y = rng.uniform(0.3, 2, p), x @ rng.uniform(0.3, 2, p)
        w = bregman_solution(x, y, start, potential=potential)
        scale = np.linalg.norm(y) + np.linalg.norm(np.abs(x) @ np.abs(w))
        assert np.linalg.norm(x @ w - y) <= 1e-12 * scale
        moved = potential.dual(w) - potential.dual(start)
        off = moved - np.linalg.pinv(x) @ (x @ moved)
        assert np.linalg.norm(off) <= 1e-9 * (1 + np.linalg.norm(moved))
    np.testing.assert_allclose(
        bregman_solution(x, y, start, potential=EUCLIDEAN), start + np.linalg.pinv(x) @ (y - x @ start), atol=1e-9
    )


@pytest.mark.parametrize("alpha", [1e-5, 1e-2, 0.05, 1.0, 20.0])
@pytest.mark.parametrize("seed", range(4))
def test_small_scales_where_generic_root_finders_diverge(seed, alpha):
    rng, x = problem(seed)
    y = rng.normal(size=len(x))
    beta = diagonal_network_limit(x, y, alpha=alpha)
    assert np.linalg.norm(x @ beta - y) <= 1e-12 * (np.linalg.norm(y) + np.linalg.norm(np.abs(x) @ np.abs(beta)))
    least = diagonal_network_potential(beta, alpha=alpha)
    for _ in range(50):
        rival = beta + (np.eye(len(beta)) - np.linalg.pinv(x) @ x) @ rng.normal(size=len(beta)) * 10 ** rng.uniform(
            -2, 0
        )
        assert diagonal_network_potential(rival, alpha=alpha) >= least * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_large_scales_give_the_least_l2_norm_and_small_ones_the_least_l1_norm(seed):
    rng, x = problem(seed)
    y = rng.normal(size=len(x))
    fit = np.linalg.pinv(x) @ y
    errors = [np.linalg.norm(diagonal_network_limit(x, y, alpha=a) - fit) for a in (5.0, 10.0)]
    assert errors[1] / errors[0] == pytest.approx(1 / 16, rel=0.1)  # the next term of asinh is alpha^-4 smaller
    p = x.shape[1]
    least = linprog(np.ones(2 * p), A_eq=np.hstack([x, -x]), b_eq=y, method="highs").fun
    # Q = log(1/alpha^2) |beta|_1 + O(|beta|): the l1 norm is within O(1/log(1/alpha^2)) of the least one
    norms = [np.abs(diagonal_network_limit(x, y, alpha=a)).sum() / least - 1 for a in (1e-2, 1e-6)]
    assert -1e-9 <= norms[1] <= norms[0] + 1e-12
    assert norms[1] < p / np.log(1e12)


def test_finite_steps_deviate_in_proportion_to_the_step():
    rng, x = problem(1)
    x = x / np.linalg.norm(x, 2)
    y, alpha = x @ rng.normal(size=x.shape[1]), 0.3
    limit, errors = diagonal_network_limit(x, y, alpha=alpha), []
    for eta in (0.02, 0.01):
        p, n = np.full(x.shape[1], alpha), np.full(x.shape[1], alpha)
        for _ in range(round(400 / eta)):
            force = 2 * eta * (x.T @ (x @ (p * p - n * n) - y))
            p, n = p * (1 - force), n * (1 + force)
        errors.append(np.linalg.norm(p * p - n * n - limit))
    assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)


def test_what_cannot_be_interpolated_is_refused():
    with pytest.raises(AssumptionViolated, match=r"ib\.mirror"):
        bregman_solution([[1.0, 1]], [-1.0], [1.0, 1], potential=ENTROPY)
    with pytest.raises(AssumptionViolated, match="interpolates"):
        diagonal_network_limit([[1.0, 1], [1, 1]], [1.0, 2], alpha=1.0)
    twice = diagonal_network_limit([[1.0, 1], [1, 1]], [1.0, 1], alpha=1.0)  # dependent but consistent rows
    np.testing.assert_allclose(twice, [0.5, 0.5], rtol=1e-12)


def test_bad_input_is_refused():
    for alpha in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InvalidInput):
            diagonal_network_limit([[1.0]], [1.0], alpha=alpha)
    with pytest.raises(InvalidInput):
        hypentropy(0.0)
    with pytest.raises(InvalidInput):
        bregman_solution([[1.0, 1]], [1.0], [0.0, 1], potential=ENTROPY)
    with pytest.raises(InvalidInput):
        bregman_solution([[1.0, np.nan]], [1.0], [1.0, 1], potential=ENTROPY)
    with pytest.raises(InvalidInput):
        diagonal_network_limit([1.0, 2.0], [1.0], alpha=1.0)
