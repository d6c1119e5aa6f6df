"""Distillation in the limit: constants, vanishing variances, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernel_problems import SEEDS, close, kernels, problem

from nonvacuous.numerics.wide_networks.bayesian_distillation import (
    brnd_error_covariance,
    posterior_covariance,
)
from nonvacuous.numerics.wide_networks.congruence import image_covariance
from nonvacuous.numerics.wide_networks.distillation import (
    bayes_gap,
    distillation_error_covariance,
    distilled_variance,
    readout_error_covariance,
)
from nonvacuous.numerics.wide_networks.ensemble import ensemble_covariance, rnd_error_covariance, smoother
from nonvacuous.numerics.wide_networks.gram import gram_blocks
from nonvacuous.numerics.wide_networks.heads import (
    heads_interval,
)
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.numerics.wide_networks.value_functions import (
    csd_variance,
)
from nonvacuous.theory.errors import InvalidInput, NumericalFailure


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
