"""What is taken for rounding and what is refused, on both sides of each edge, at every scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.numerics.kernel_regression.alignment import alignment
from nonvacuous.numerics.kernel_regression.gaussian_process_bound import gaussian_process_kl
from nonvacuous.numerics.kernel_regression.spectral import residual_modes
from nonvacuous.numerics.wide_networks.gram import GramBlocks, gram_blocks
from nonvacuous.numerics.wide_networks.policy import LADDER, SMALLEST_RCOND, SingularGram, clipped_variances, solver
from nonvacuous.numerics.wide_networks.posterior import GaussianPosterior
from nonvacuous.numerics.wide_networks.smoother import linear_smoother
from nonvacuous.numerics.wide_networks.value_functions import (
    DivergingTD,
    csd_variance,
    td_smoother,
    td_step_limit,
    transition_kernel,
)
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = 2.0**-52
SCALES = (1e-9, 1.0, 1e9)


def lopsided(size, excess, scale):
    """A multiple of the identity plus one entry that makes it asymmetric by `excess` of its largest entry."""
    matrix = scale * np.eye(size)
    matrix[0, 1] = excess * scale
    return matrix


ASYMMETRIC = {
    "gram_blocks": (EPS, lambda m: gram_blocks("T", m[:1, :1], m[:1], m)),
    "transition_kernel": (EPS, lambda m: transition_kernel("T", m, transitions=2)),
    "alignment": (EPS, lambda m: alignment(gram=m, labels=np.ones(len(m)), centred=False)),
    "gaussian_process_kl": (EPS / 2, lambda m: gaussian_process_kl(gram=m, labels=np.ones(len(m)), noise_variance=1.0)),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ASYMMETRIC)
def test_asymmetry_is_refused_from_1e3_n_roundings_on(name, scale):
    rounding, function = ASYMMETRIC[name]
    function(lopsided(5, 0.8e3 * 5 * rounding, scale))
    with pytest.raises(InvalidInput, match="not symmetric"):
        function(lopsided(5, 1.2e3 * 5 * rounding, scale))


@pytest.mark.parametrize("scale", SCALES)
def test_a_contextual_variance_below_0_is_0_within_rounding_only(scale):
    """T_XX = c I (condition 1) and T_*X = c e_1 explain c of the variance; slack is 1e3 N eps cond max T_**."""
    train, cross = scale * np.eye(4), scale * np.eye(1, 4)
    for short, test in ((0.8, 1.0), (1.2, 1.0)):
        blocks = GramBlocks(np.array([[scale * (test - short * 4e3 * EPS)]]), cross, train)
        if short < 1:
            assert csd_variance(blocks).tolist() == [0.0]
        else:
            with pytest.raises(NumericalFailure):
                csd_variance(blocks)


def test_a_posterior_variance_below_0_is_0_within_its_condition_only():
    """2 points of condition 1e6 and variance up to 1: rounding is 2 eps 1e6."""
    edge = 2 * EPS * 1e6
    given = {"mean": np.zeros(2), "smoother": np.zeros((2, 1)), "noise": 0.0, "jitter": 0.0, "path": "cholesky"}
    near, far = (GaussianPosterior(covariance=np.diag([-f * edge, 1.0]), condition=1e6, **given) for f in (0.8, 1.2))
    assert near.variance.tolist() == [0.0, 1.0]
    with pytest.raises(NumericalFailure):
        _ = far.variance


def test_one_negative_variance_among_others_is_refused():
    with pytest.raises(NumericalFailure):
        clipped_variances("v", np.array([2.0, -1e-14]), tolerance=1e-15)


@pytest.mark.parametrize("scale", SCALES)
def test_modes_of_a_tangent_kernel_are_not_negative_beyond_rounding(scale):
    """The edge is N eps of the largest eigenvalue."""
    near, far = (scale * np.diag([-f * 3 * EPS, 0.5, 1.0]) for f in (0.8, 1.2))
    assert residual_modes(ntk=near, residual=np.ones(3), time_sum_loss=1.0).now.shape == (1, 3)
    with pytest.raises(InvalidInput, match="eigenvalue"):
        residual_modes(ntk=far, residual=np.ones(3), time_sum_loss=1.0)


def test_a_singular_matrix_says_how_singular():
    error = SingularGram("T_XX", np.array([1e-20, 0.5, 4.0]))
    assert (error.smallest, error.condition, error.rank) == (1e-20, 4.0 / 1e-20, 2)
    edge = 3 * EPS * 4.0
    assert SingularGram("T_XX", np.array([0.9 * edge, 1.1 * edge, 4.0])).rank == 2
    assert SingularGram("T_XX", np.array([-1e-20, 0.5, 4.0])).condition == math.inf


def test_the_ladder_of_jitters_is_the_documented_one():
    """A repeated point: the first step that Cholesky accepts at a reciprocal condition of 1e-12, times trace/N."""
    assert pytest.approx((0.0, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8), rel=4 * EPS) == LADDER
    found = solver("T_XX", 5.0 * np.ones((2, 2)), jitter="ladder")
    assert found.jitter == pytest.approx(5.0 * 1e-11, rel=4 * EPS)  # eigenvalues 10 and 5e-11: 5e-12 is above 1e-12


@pytest.mark.parametrize("scale", SCALES)
def test_cholesky_gives_up_at_a_condition_of_1e12(scale):
    """A diagonal matrix and its factor's estimate: the condition number is max over min, to rounding."""
    found = solver("T_XX", scale * np.diag([1.0, 0.2, 1.5 * SMALLEST_RCOND]))
    assert found.path == "cholesky"
    assert found.condition == pytest.approx(1 / (1.5 * SMALLEST_RCOND), rel=20 * EPS)
    with pytest.raises(SingularGram):
        solver("T_XX", scale * np.diag([1.0, 0.2, 0.7 * SMALLEST_RCOND]))


def test_noise_at_some_points_does_not_cure_repeated_ones_at_others():
    twice = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(SingularGram):
        solver("T_XX", twice, noise=np.array([0.0, 0.0, 1.0]))
    found = solver("T_XX", twice, noise=np.array([0.5, 0.25, 1.0]))
    assert found.noise == 0.25


def test_no_training_points_leave_the_prior():
    found = linear_smoother(GramBlocks(np.eye(2), np.zeros((2, 0)), np.zeros((0, 0))))
    assert (found.matrix.shape, found.jitter, found.path, found.condition) == ((2, 0), 0.0, "no data", 1.0)


def transitions_with(x, delta, scale=1.0):
    """One test point and transitions with T_XX = x, T_XX - T_X'X = delta, times a scale."""
    n = len(x)
    rows = [
        [np.ones((1, 1)), np.ones((1, 2 * n))],
        [np.ones((n, 1)), x, (x - delta).T],
        [np.ones((n, 1)), x - delta, x],
    ]
    return transition_kernel("T", scale * np.block(rows), transitions=n)


@pytest.mark.parametrize("scale", SCALES)
def test_one_growing_mode_among_decaying_ones_is_divergence(scale):
    growing = transitions_with(4 * np.eye(3), np.diag([2.0, 1.0, -0.5]), scale)
    with pytest.raises(DivergingTD) as caught:
        td_smoother(growing, 1.0)
    np.testing.assert_allclose(sorted(caught.value.eigenvalues.real / scale), [-0.5, 1.0, 2.0], rtol=1e-14)
    np.testing.assert_allclose(td_smoother(growing, 0.0), np.full((1, 3), 0.25), rtol=1e-14)


@pytest.mark.parametrize("scale", SCALES)
def test_a_mode_that_stands_still_up_to_rounding_is_divergence(scale):
    """The edge is N eps |Delta|_F: 3 eps sqrt(4 + 1) at the spectrum 2, 1, almost 0."""
    edge = 3 * EPS * math.sqrt(5.0)
    slow, slower = (np.diag([2.0, 1.0, factor * edge]) for factor in (1.2, 0.8))
    assert np.isfinite(td_smoother(transitions_with(slow, slow, scale), 0.0)).all()
    with pytest.raises(DivergingTD):
        td_smoother(transitions_with(slower, slower, scale), 0.0)


def test_the_step_limit_is_that_of_the_most_restrictive_mode():
    """Eigenvalues 3, 1 and 1 +- 2i: 2 Re/|.|^2 is 2/3, 2 and 2/5; a step beyond it grows a mode, one below none."""
    delta = np.diag([3.0, 1.0, 1.0, 1.0])
    delta[2, 3], delta[3, 2] = 2.0, -2.0
    limit = td_step_limit(transitions_with(4 * np.eye(4), delta), discount=1.0)
    assert limit == pytest.approx(0.4, rel=100 * EPS)
    largest = [np.abs(np.linalg.eigvals(np.eye(4) - factor * limit * delta)).max() for factor in (0.99, 1.01)]
    assert largest[0] < 1 < largest[1]
