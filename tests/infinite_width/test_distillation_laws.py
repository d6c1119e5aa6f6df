"""Distillation in the limit: constants, heads, Bayesian distillation and its breaks, value functions, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.kernels.fully_connected import fully_connected_kernels
from nonvacuous.numerics.wide_networks.bayesian_distillation import (
    brnd_error_covariance,
    brnd_noise_error_covariance,
    brnd_target_covariance,
    frozen_readout_bias,
    missing_label_noise,
    noisy_smoother,
    other_smoother,
    posterior_covariance,
    shared_parameters,
    undrawn_readout_bias,
    unzeroed_readout,
)
from nonvacuous.numerics.wide_networks.congruence import error_operator, image_covariance
from nonvacuous.numerics.wide_networks.distillation import (
    bayes_gap,
    distillation_error_covariance,
    distilled_variance,
    readout_error_covariance,
)
from nonvacuous.numerics.wide_networks.ensemble import ensemble_covariance, rnd_error_covariance, smoother
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.numerics.wide_networks.heads import (
    effective_heads,
    head_covariance,
    head_covariance_deviation,
    head_error_covariance,
    heads_interval,
    heads_needed,
    heads_tail,
    initial_head_correlation,
    squared_error_correlation,
)
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.numerics.wide_networks.posterior_functions import HeadsExhausted, PosteriorFunctions
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
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = np.finfo(np.float64).eps
SEEDS = range(5)


def kernels(points, **changes):
    architecture = {"depth": 2, "activation": "erf", "weight_scale": 1.5, "bias_scale": 0.3} | changes
    return fully_connected_kernels(points, **architecture)


def problem(seed, **changes):
    rng = np.random.default_rng(seed)
    found = kernels(rng.normal(size=(9, 3)), **changes)
    return tuple(gram_blocks(n, m[:4, :4], m[:4, 4:], m[4:, 4:]) for n, m in (("K", found.nngp), ("T", found.ntk)))


def close(a, b, t, scale=1.0):
    """Equal up to rounding: 1e3 N eps cond(T) times the scale (section 2.1 of the conventions)."""
    allowed = 1e3 * len(t.train) * EPS * np.linalg.cond(t.train) * np.abs(t.test).max() * scale
    return np.abs(np.asarray(a) - b).max() <= allowed


# --- checklist 4: every linear rule, centred, scaled ---------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_twice_the_ensemble_at_every_time_step_and_ridge(seed):
    k, t = problem(seed)
    eigenvalues, vectors = np.linalg.eigh(t.train)
    rules = [smoother(t, time_sum_loss=time) for time in (0.0, 0.2, 1.0, math.inf)]
    eta = 1 / eigenvalues[-1]
    for filtered in [(1 - (1 - eta * eigenvalues) ** n) / eigenvalues for n in (1, 10, 100)] + [
        1 / (eigenvalues + 0.7)
    ]:
        rules.append((t.cross @ vectors * filtered) @ vectors.T)
    for g in rules:
        m = np.concatenate([np.eye(4), -g], axis=1)
        one = m @ k.joint() @ m.T
        arguments = {"smoother": g, "target_nngp": k}
        assert close(distillation_error_covariance(**arguments, predictor_nngp=k), 2 * one, t)
        assert close(distillation_error_covariance(**arguments, predictor_nngp=None), one, t)
        assert close(distillation_error_covariance(**arguments, predictor_nngp=k, target_scale=3.0), 10 * one, t, 10)
    assert close(
        distillation_error_covariance(smoother=rules[3], target_nngp=k, predictor_nngp=k), rnd_error_covariance(k, t), t
    )


def test_stopped_distillation_is_not_the_converged_ensemble():
    k, t = problem(0)
    stopped = rnd_error_covariance(k, t, time_sum_loss=0.2)
    assert np.abs(stopped - 2 * ensemble_covariance(k, t, time_sum_loss=0.2)).max() <= 1e-12
    assert np.abs(stopped - 2 * ensemble_covariance(k, t)).max() > 0.1 * np.abs(stopped).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_readout_only_distillation_is_twice_an_exact_posterior(seed):
    k, _ = problem(seed)
    posterior = k.test - k.cross @ np.linalg.solve(k.train, k.cross.T)
    assert close(readout_error_covariance(k), 2 * posterior, k)


@pytest.mark.parametrize("seed", SEEDS)
def test_bayes_gap_adds_up_to_twice_the_ensemble(seed):
    k, t = problem(seed)
    gap = bayes_gap(k, smoother(t), predictor_nngp=k)
    assert close(gap.total, 2 * ensemble_covariance(k, t), t)
    assert close(gap.smoothing, ensemble_covariance(k, t) - gap.posterior, t)
    for part in (gap.posterior, gap.initialisation, gap.smoothing):
        assert np.linalg.eigvalsh(part)[0] >= -1e-12 * np.trace(gap.total)
    best = bayes_gap(k, smoother(k), predictor_nngp=None)  # the posterior mean itself: no gap
    assert close(best.total, gap.posterior, k)


def test_distilled_variance_divides_by_its_constant():
    errors = np.array([[3.0, -4.0], [0.0, 1.0]])
    np.testing.assert_allclose(distilled_variance(errors), [6.25, 0.25])
    np.testing.assert_allclose(distilled_variance(errors, target_scale=2.0), [2.5, 0.1])
    np.testing.assert_allclose(distilled_variance(errors, target_scale=2.0, centred=True), [12.5 / 4, 0.125])
    for bad in (
        {"errors": np.ones((2, 0))},
        {"errors": errors * np.nan},
        {"errors": errors, "target_scale": 0.0, "centred": True},
    ):
        with pytest.raises(InvalidInput):
            distilled_variance(**bad)


# --- checklist 5: Bayesian distillation -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_bayesian_error_is_the_posterior_and_every_break_has_its_exact_size(seed, activation):
    k, t = problem(seed, activation=activation)
    posterior = t.test - t.cross @ np.linalg.solve(t.train, t.cross.T)
    assert close(brnd_error_covariance(k, t), posterior, t)
    assert close(posterior_covariance(t), posterior, t)
    target = brnd_target_covariance(k, t).joint()
    np.testing.assert_allclose(target, t.joint() - k.joint(), atol=1e-14)
    m = error_operator(smoother(t))
    ensemble = ensemble_covariance(k, t)
    assert close(m @ (target + k.joint()) @ m.T, posterior, t)
    assert close(m @ (t.joint() + k.joint()) @ m.T - posterior, unzeroed_readout(k, t), t)  # psi not zeroed
    assert close(unzeroed_readout(k, t), ensemble, t)
    assert np.linalg.eigvalsh(posterior - ensemble)[0] >= -1e-10 * np.trace(posterior)  # never less than half of RND
    stopped = brnd_error_covariance(k, t, time_sum_loss=2.0)
    assert close(stopped - posterior, other_smoother(t, smoother(t, time_sum_loss=2.0)), t)
    # a preconditioner in the place of gradient descent: features J P J^T
    root = np.linalg.cholesky(t.joint())
    p = np.diag(np.random.default_rng(seed).uniform(0.2, 3.0, 9))
    other = root @ p @ root.T
    g = np.linalg.solve(other[4:, 4:], other[4:, :4]).T
    m = error_operator(g)
    assert close(m @ t.joint() @ m.T - posterior, other_smoother(t, g), t, 1e2)
    b = 0.3
    frozen = gram_blocks("T - b^2", t.test - b**2, t.cross - b**2, t.train - b**2)
    m = error_operator(smoother(frozen))
    assert close(m @ t.joint() @ m.T - posterior, frozen_readout_bias(t, bias_scale=b), t, 1e2)
    m = error_operator(smoother(t))
    assert close(posterior - m @ frozen.joint() @ m.T, undrawn_readout_bias(t, bias_scale=b), t)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("noise", [1e-3, 0.1, 10.0])
def test_noise_needs_both_ridge_and_label_noise(seed, noise):
    _, t = problem(seed)
    posterior = t.test - t.cross @ np.linalg.solve(t.train + noise * np.eye(5), t.cross.T)
    assert close(brnd_noise_error_covariance(t, noise=noise), posterior, t)
    without = brnd_noise_error_covariance(t, noise=noise, label_noise=False)
    g = noisy_smoother(t, noise=noise)
    assert close(posterior - without, noise * g @ g.T, t)
    assert close(missing_label_noise(t, noise=noise), noise * g @ g.T, t)
    assert np.abs(posterior - without).max() > 1e-4


def test_noise_zero_is_the_noiseless_posterior():
    _, t = problem(1)
    assert close(brnd_noise_error_covariance(t, noise=0.0), posterior_covariance(t), t)
    with pytest.raises(InvalidInput):
        brnd_noise_error_covariance(t, noise=-1.0)


def test_a_kernel_that_is_not_the_readouts_share_is_refused():
    k, t = problem(0)
    with pytest.raises(NumericalFailure, match="T - K"):
        brnd_error_covariance(t, k)
    with pytest.raises(InvalidInput):
        brnd_target_covariance(gram_blocks("K", k.test[:2, :2], k.cross[:2], k.train), t)


def test_shared_parameters_leave_nothing_for_one_hidden_layer():
    """psi = theta0 in a bias-free max(z,0) network: the target is H f0 at any width, so u0 - g = (1 - H) u0."""
    import torch

    from nonvacuous.numerics.networks.fully_connected import forward, fully_connected, initialise
    from nonvacuous.proofs.infinite_width.finite_bayesian import tangent_target

    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)))
    for depth in (1, 2, 3):
        network = fully_connected(inputs=3, width=7, depth=depth, activation="relu", parametrisation="ntk", weight_scale=1.4, bias_scale=0.0)  # fmt: skip
        theta = initialise(network, 5, seed=1)
        target, start = tangent_target(network, theta, theta, x), forward(network, theta, x).output
        np.testing.assert_allclose(target, depth * start, atol=1e-13)
        k, t = problem(0, activation="relu", depth=depth, bias_scale=0.0, weight_scale=1.4)
        assert close(shared_parameters(k, t, depth=depth), (depth - 1) ** 2 * ensemble_covariance(k, t), t)
    with pytest.raises(InvalidInput):
        shared_parameters(k, t, depth=0)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_tangent_target_is_the_derivative_along_psi(activation):
    """Central differences of the network along psi, with and without its last layer."""
    import torch

    from nonvacuous.numerics.networks.fully_connected import Parameters, forward, fully_connected, initialise
    from nonvacuous.proofs.infinite_width.finite_bayesian import tangent_target

    network = fully_connected(inputs=3, width=6, depth=2, activation=activation, parametrisation="ntk", weight_scale=1.4, bias_scale=0.3, outputs=2)  # fmt: skip
    theta, psi = (initialise(network, 3, seed=seed) for seed in (0, 1))
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3)))
    for zeroed in (True, False):
        tangents = [p if not zeroed or i not in (2, 5) else 0 * p for i, p in enumerate(psi.tensors)]
        step = 1e-6
        ends = []
        for sign in (1, -1):
            moved = [p + sign * step * d for p, d in zip(theta.tensors, tangents, strict=True)]
            ends.append(forward(network, Parameters(tuple(moved[:3]), tuple(moved[3:])), x).output)
        found = tangent_target(network, theta, psi, x, zeroed=zeroed)
        np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), atol=1e-7)


# --- checklist 8: no variance on X, 6: posteriors shrink -----------------------------------------------------------


def test_variances_vanish_on_the_training_set():
    x = np.random.default_rng(1).normal(size=(5, 3))
    found = kernels(np.concatenate([x[[0, 3]], x]))
    k, t = (gram_blocks(n, m[:2, :2], m[:2, 2:], m[2:, 2:]) for n, m in (("K", found.nngp), ("T", found.ntk)))
    for covariance in (
        rnd_error_covariance(k, t),
        brnd_error_covariance(k, t),
        readout_error_covariance(k),
        np.diag(csd_variance(t)),
    ):
        assert close(covariance, 0.0, t, 1e2)


def test_bayesian_error_never_grows_with_data_and_distillations_may():
    points = np.array([(-0.7, 0.2), (-0.1, 0.5), (-1, 0.2), (0.1, -0.8), (-1, 1.1)])
    found = kernels(points, activation="relu")
    values = []
    for n in (4, 5):
        k, t = (gram_blocks(c, m[:1, :1], m[:1, 1:n], m[1:n, 1:n]) for c, m in (("K", found.nngp), ("T", found.ntk)))
        values.append((rnd_error_covariance(k, t)[0, 0] / 2, brnd_error_covariance(k, t)[0, 0]))
    assert (round(values[0][0], 7), round(values[1][0], 7)) == (0.0152542, 0.0169334)
    assert values[1][1] <= values[0][1]


# --- checklist 9: heads ---------------------------------------------------------------------------------------------


def test_interval_covers_in_95_of_100_models():
    """1e4 simulated models of 6 heads: the coverage of the exact interval is binomial around 0.95."""
    rng = np.random.default_rng(0)
    sigma = 0.34
    errors = rng.normal(size=(10_000, 6)) * math.sqrt(2 * sigma)
    low, high = heads_interval(distilled_variance(errors), heads=6)
    covered = np.mean((low <= sigma) & (sigma <= high))
    assert abs(covered - 0.95) <= 0.01
    one_more = heads_interval(distilled_variance(errors), heads=12)
    assert np.mean((one_more[0] <= sigma) & (sigma <= one_more[1])) < 0.9


@given(st.integers(1, 500), st.floats(1e-8, 0.9), st.floats(0, 1e6))
@settings(max_examples=60, deadline=None)
def test_interval_properties(heads, alpha, variance):
    low, high = heads_interval(variance, heads=heads, alpha=alpha)
    wider = heads_interval(variance, heads=heads, alpha=alpha / 2)
    assert 0 <= low <= high
    assert wider[0] <= low
    assert high <= wider[1]
    if variance > 1e-300:
        quantiles = scipy.stats.chi2.ppf([alpha / 2], heads)
        assert high == pytest.approx(heads * variance / quantiles[0], rel=1e-8)


def test_numbers_of_heads():
    """About 2 (1.96/r)^2: 193 for 20%. The exact chi-square count is within a few of it."""
    assert math.ceil(2 * (1.959964 / 0.2) ** 2) == 193
    exact = heads_needed(0.2)
    assert abs(exact - 193) <= 5

    def inside(k):
        return scipy.stats.chi2.cdf(k * 1.2, k) - scipy.stats.chi2.cdf(k * 0.8, k)

    assert inside(exact) >= 0.95 > inside(exact - 1)
    assert all(inside(k) >= 0.95 for k in range(exact, exact + 300))
    assert heads_needed(0.05) > heads_needed(0.1) > exact
    for bad in ((0.0, 0.05), (1.0, 0.05), (0.2, 0.0)):
        with pytest.raises(InvalidInput):
            heads_needed(bad[0], alpha=bad[1])


@pytest.mark.parametrize("heads", [1, 2, 10, 100])
@pytest.mark.parametrize("s", [0.1, 1.0, 10.0])
def test_tails_bound_the_chi_square(heads, s):
    low, high = heads_tail(heads=heads, log_inv_delta=s)
    assert scipy.stats.chi2.sf(heads * high, heads) <= math.exp(-s)
    assert scipy.stats.chi2.cdf(heads * low, heads) <= math.exp(-s)


def test_heads_are_independent_blocks_and_a_wishart_sum():
    k, t = problem(0)
    one = rnd_error_covariance(k, t)
    every = head_error_covariance(k, t, heads=3)
    np.testing.assert_array_equal(every[4:8, 4:8], one)
    assert not every[:4, 4:].any()
    rng = np.random.default_rng(0)
    models = 20_000
    errors = rng.multivariate_normal(np.zeros(4), one, size=(models, 6))
    estimate = head_covariance(errors)
    sigma = one / 2
    deviation = head_covariance_deviation(sigma, heads=6)
    assert np.abs((estimate.mean(axis=0) - sigma) / deviation).max() <= 5 / math.sqrt(models)
    np.testing.assert_allclose(estimate.std(axis=0), deviation, rtol=0.05)
    for bad in (np.ones(3), np.ones((2, 0, 3))):
        with pytest.raises(InvalidInput):
            head_covariance(bad)
    with pytest.raises(InvalidInput):
        head_covariance_deviation(-np.eye(2), heads=3)


def test_effective_heads_saturate():
    assert effective_heads(16, correlation=0.0) == 16
    assert effective_heads(16, correlation=1.0) == 1
    assert effective_heads(10**9, correlation=0.01) == pytest.approx(100, rel=1e-5)
    n, depth = 10_000, 3
    assert 1 / initial_head_correlation(width=n, depth=depth, trunks=1) == pytest.approx(2 * n / (5 * depth), rel=1e-2)
    assert 1 / initial_head_correlation(width=n, depth=depth, trunks=2) == pytest.approx(4 * n / (5 * depth), rel=1e-2)
    assert initial_head_correlation(width=1, depth=1000, trunks=2) == pytest.approx(1 / 3)
    for bad in ({"width": 0, "depth": 1, "trunks": 1}, {"width": 1, "depth": 1, "trunks": 3}):
        with pytest.raises(InvalidInput):
            initial_head_correlation(**bad)
    with pytest.raises(InvalidInput):
        effective_heads(4, correlation=-0.1)


def test_correlation_of_squares_is_found():
    """Heads with a common random scale v: Cov = Var v^2, known."""
    rng = np.random.default_rng(0)
    scale = rng.choice([1.0, 3.0], size=(400_000, 1))
    errors = np.sqrt(scale) * rng.normal(size=(400_000, 4))
    assert squared_error_correlation(errors) == pytest.approx(1 / (3 * 5 - 4), abs=0.005)  # Var v / (3 E v^2 - (E v)^2)
    assert abs(squared_error_correlation(rng.normal(size=(400_000, 4)))) < 0.005
    for bad in (errors[:1], errors[:, :1], np.ones((5, 3))):
        with pytest.raises(InvalidInput):
            squared_error_correlation(bad)


# --- posterior functions -------------------------------------------------------------------------------------------


def test_heads_are_drawn_once_and_then_refused():
    errors = np.arange(12.0).reshape(4, 3)
    source = PosteriorFunctions(lambda x: np.full(len(x), 100.0), lambda x: errors, heads=4, seed=3)
    first = source.draw(3)
    values = [f(np.zeros((3, 1))) for f in first]
    assert len({tuple(v) for v in values}) == 3
    assert all(any((v == 100 + e).all() for e in errors) for v in values)
    with pytest.raises(HeadsExhausted) as caught:
        source.draw(2)
    assert caught.value.heads == 4
    assert source.remaining == 1  # a refusal uses no head
    assert len(list(source)) == 1
    assert list(source) == []
    with pytest.raises(HeadsExhausted):
        source.draw(1)
    every = PosteriorFunctions(lambda x: np.zeros(3), lambda x: errors, heads=4, seed=0)
    assert sorted(f(None)[0] for f in every) == [0.0, 3.0, 6.0, 9.0]
    wrong = PosteriorFunctions(lambda x: np.zeros(3), lambda x: errors, heads=5, seed=0)
    with pytest.raises(InvalidInput):
        wrong.draw(1)[0](None)


# --- checklist 13: value functions ---------------------------------------------------------------------------------


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


# --- refusals -------------------------------------------------------------------------------------------------------


def test_singular_and_mismatched_input_is_refused():
    k, t = problem(0)
    twice = gram_blocks("T", t.test, t.cross[:, [0, 1, 1]], t.train[np.ix_([0, 1, 1], [0, 1, 1])])
    with pytest.raises(SingularGram):
        posterior_covariance(twice)
    with pytest.raises(SingularGram):
        csd_variance(twice)
    with pytest.raises(InvalidInput):
        distillation_error_covariance(smoother=smoother(t)[:2], target_nngp=k, predictor_nngp=k)
    with pytest.raises(InvalidInput):
        image_covariance(np.ones((2, 3)), np.eye(2))
    with pytest.raises(NumericalFailure):
        image_covariance(np.eye(2), np.diag([1.0, -1.0]))
    for bad in ({"heads": 0}, {"heads": 3, "alpha": 0.0}, {"heads": 3, "alpha": 1.0}):
        with pytest.raises(InvalidInput):
            heads_interval(1.0, **bad)
    with pytest.raises(InvalidInput):
        heads_interval(-1.0, heads=3)
