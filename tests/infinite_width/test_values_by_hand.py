"""Small numbers that can be worked out on paper, for what nothing else looks at: counts, errors of means, refusals at their edge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb, ctx

from nonvacuous.numerics.kernel_regression.alignment import alignment
from nonvacuous.numerics.kernel_regression.gaussian_process_bound import gaussian_process_kl
from nonvacuous.numerics.kernel_regression.ridgeless import optimal_ridge
from nonvacuous.numerics.kernel_regression.spectral import zonal_spectrum
from nonvacuous.numerics.kernels.architectures import convolution, image_network
from nonvacuous.numerics.kernels.architectures.image_network import image_network_kernels
from nonvacuous.numerics.kernels.architectures.pooling import convolutional_kernels
from nonvacuous.numerics.wide_networks.ensemble import ensemble_law, rnd_variance
from nonvacuous.numerics.wide_networks.finite_width import FiniteWidthTable
from nonvacuous.numerics.wide_networks.finite_width_cells import (
    Estimate,
    FiniteWidthCell,
    estimate,
    head_penalty,
    render,
)
from nonvacuous.numerics.wide_networks.finite_width_setup import checked_setup, planned_blocks
from nonvacuous.numerics.wide_networks.gram import GramBlocks
from nonvacuous.numerics.wide_networks.heads import heads_interval, heads_needed
from nonvacuous.numerics.wide_networks.step_sizes import steps_to_tolerance
from nonvacuous.numerics.wide_networks.training import GradientDescent
from nonvacuous.theory.architectures import Activate, Dense
from nonvacuous.theory.errors import InvalidInput
from nonvacuous.theory.image_layers import AveragePool, Conv, Flatten, GlobalAveragePool

EPS = 2.0**-52


def test_degrees_of_freedom_are_shares_of_modes_times_outputs():
    """l/(l + s2) at l = 1, 3 and s2 = 1: 1/2 + 3/4."""
    for outputs in (1, 3):
        found = gaussian_process_kl(gram=np.diag([1.0, 3.0]), labels=np.zeros((2, outputs)), noise_variance=1.0)
        assert found.degrees == pytest.approx(1.25 * outputs, rel=10 * EPS)


@pytest.mark.parametrize("centred", [False, True])
def test_alignment_has_no_scale(centred):
    rng = np.random.default_rng(6)
    root, labels = rng.normal(size=(5, 3)), rng.normal(size=5)
    gram = root @ root.T
    found = alignment(gram=gram, labels=labels, centred=centred)
    for power in (-500, 500):  # powers of 2 round nothing
        for scales in ((2.0**power, 1.0), (1.0, 2.0**power), (2.0**-power, 2.0**power)):
            assert alignment(gram=scales[0] * gram, labels=scales[1] * labels, centred=centred) == pytest.approx(
                found, rel=1e-14
            )


def test_the_best_ridge_by_hand():
    """s2 = 1, r2 = 1, g = 1/2: penalty 1/2 and b = 1, so m = 2/(1 + sqrt 2) and the excess risk is 1/(1 + sqrt 2)."""
    found = optimal_ridge(aspect=0.5, signal=1.0, noise_variance=1.0)
    assert (found.penalty, found.excess_risk) == pytest.approx((0.5, 1 / (1 + math.sqrt(2))), rel=10 * EPS)
    for aspect, risk in ((0.5, 0.0), (4.0, 1.5)):  # without noise no penalty: r2 (1 - 1/g), from g = 1 on
        found = optimal_ridge(aspect=aspect, signal=2.0, noise_variance=0.0)
        assert (found.penalty, found.excess_risk) == (0.0, risk)


def test_numbers_of_steps_by_hand():
    """T = diag(1, 2), tau = exp(-5.2): 5.2/(eta 1) below the best step 2/3, 5.2/-ln|1 - 2 eta| above it."""
    for step, steps in ((0.5, 11), (0.25, 21), (0.9, math.ceil(5.2 / -math.log(0.8)))):
        found = steps_to_tolerance(np.diag([1.0, 2.0]), step_size_sum_loss=step, relative_residual=math.exp(-5.2))
        assert found == steps


def test_the_joint_covariance_of_outputs_is_one_block_for_each():
    test, cross, train = np.array([[2.0, 0.5], [0.5, 1.5]]), np.full((2, 1), 0.5), np.ones((1, 1))
    blocks = GramBlocks(test, cross, train)
    left = test - 0.25  # K_** - K_*x K_x*/K_xx
    for labels, outputs in ((np.ones(1), 1), (np.ones((1, 1)), 1), (np.ones((1, 3)), 3)):
        found = ensemble_law(blocks, blocks, labels).joint_covariance()
        assert found.shape == (2, outputs, 2, outputs)
        for i in range(outputs):
            for j in range(outputs):
                np.testing.assert_allclose(found[:, i, :, j], left * (i == j), rtol=20 * EPS)


def test_distilled_variance_is_half_the_mean_square_of_the_difference():
    assert rnd_variance([1.0, 3.0, -2.0], [0.5, 1.0, 1.0]) == (0.25 + 4.0 + 9.0) / 3 / 2


def test_a_spectrum_is_linear_in_its_profile_whatever_its_sign_and_size():
    """-1e6 (1 + cos a) on the circle: -1e6 at degree 0, half of it at degree 1; the tolerance follows the size."""
    found = zonal_spectrum(profile=lambda a: -1e6 * (1 + np.cos(a)), dimension=2, degrees=3)
    np.testing.assert_allclose(found.eigenvalues, [-1e6, -5e5, 0, 0], atol=1e-13 * 1e6)


def test_an_estimate_is_a_mean_with_the_standard_error_of_the_mean():
    """Rows 1, 2, 4: mean 7/3, sample variance 7/3, standard error sqrt(7)/3; Student's 97.5 percent at 2 degrees is 4.302653."""
    found = estimate(np.array([1.0, 2.0, 4.0]))
    assert (found.value, found.standard_error) == pytest.approx((7 / 3, math.sqrt(7) / 3), rel=10 * EPS)
    assert found.replicates == 3
    assert found.half_width(0.05) == pytest.approx(4.302652729911275 * math.sqrt(7) / 3, rel=1e-9)
    assert estimate(np.array([1.0, 3.0])) == Estimate(2.0, 1.0, 2)


def chance(heads, error):
    """P(|chi2_K/K - 1| <= r), 60 digits: both tails from the upper incomplete gamma function."""
    low, high = (arb(heads) * (1 + side * arb(error)) / 2 for side in (-1, 1))
    return low.gamma_upper(arb(heads) / 2, 1) - high.gamma_upper(arb(heads) / 2, 1)


@pytest.mark.parametrize(("error", "alpha"), [(0.1, 1e-12), (0.01, 1e-3), (1e-3, 0.05), (1e-4, 0.05)])
def test_the_number_of_heads_is_exact_to_one_however_many(error, alpha):
    """Up to 7.7e8 heads, of which only a window is searched."""
    found = heads_needed(error, alpha=alpha)
    with ctx.workdps(60):
        assert chance(found, error) >= 1 - arb(alpha) > chance(found - 1, error)


def test_one_head_can_be_enough():
    assert heads_needed(0.9, alpha=0.9) == 1


def test_heads_whose_deep_tails_are_not_exact_are_refused():
    """P(chi2_K <= K - 4.9 sqrt(2K)) at K = 1e7 comes out 0.7 percent too small: the number of heads would too."""
    for refused in (
        lambda: heads_needed(1e-3, alpha=1e-6),
        lambda: heads_interval(1.0, heads=10**6, alpha=1e-6),
    ):
        with pytest.raises(InvalidInput, match="not known exactly"):
            refused()
    for heads, alpha in ((10**6, 1e-4), (10**5, 1e-6)):
        low, high = heads_interval(1.0, heads=heads, alpha=alpha)
        with ctx.workdps(60):
            covered = [(arb(heads) / arb(end) / 2).gamma_upper(arb(heads) / 2, 1) for end in (high, low)]
            assert 1 - arb(alpha) <= covered[0] - covered[1] <= 1 - arb(alpha) * (1 - arb(10) ** -6)


def test_the_table_says_what_is_relative_to_the_limit():
    one = Estimate(0.5, 0.1, 100)
    text = {
        quantity: render([FiniteWidthCell(quantity, 1, 8, 100, None, one, one)], alpha=0.05)
        for quantity in ("rnd", "gap")
    }
    assert "relative to the limit" in text["rnd"]
    assert "relative to the limit" not in text["gap"]


def test_a_penalty_has_the_degrees_of_freedom_of_its_poorer_side():
    cells = [
        FiniteWidthCell("rnd", k, 8, n, None, e, e) for k, n in ((1, 30), (4, 10)) for e in [Estimate(0.5, 0.1, n)]
    ]
    assert head_penalty(*cells).replicates == 10


def test_a_penalty_names_the_fewest_heads():
    one = Estimate(0.5, 0.1, 100)
    for few, name in ((1, "against 1 head "), (2, "against 2 heads ")):
        cells = [FiniteWidthCell("rnd", heads, 8, 100, None, one, one) for heads in (few, 4)]
        assert name in render(cells, alpha=0.05)


def test_a_table_says_which_widths_have_no_slope():
    noise, signal = Estimate(0.1, 0.1, 100), Estimate(0.5, 0.01, 100)
    for kept, says in ((noise, True), (signal, False)):
        cells = [FiniteWidthCell("rnd", 1, n, 100, None, e, e) for n, e in ((8, signal), (16, signal), (32, kept))]
        assert ("left out of slopes" in render(cells, alpha=0.05)) is says


def test_a_printed_table_names_its_confidence():
    one = Estimate(0.5, 0.1, 100)
    table = FiniteWidthTable((FiniteWidthCell("rnd", 1, 8, 100, None, one, one),), {}, 0.9, 0.0)
    assert "Intervals: 90 percent" in str(table)
    assert f"± {one.half_width(0.1):.4f}" in str(table)


def test_a_width_is_refused_where_heads_have_more_labels_than_it_has_parameters():
    """N K labels against n (d + K) parameters of both layers; the gap has one output whatever the heads."""

    def planned(points, quantity, heads):
        x = np.arange(float(points))[:, None]
        setup = checked_setup(
            train=x, test=x + 0.5, labels=np.ones(points), activation="relu", depth=1, weight_scale=1.0, bias_scale=0.1,
            parametrisation="ntk", filter_size=None, padding="zero",
        )  # fmt: skip
        return planned_blocks(setup, (2,), heads, (quantity,), 100)[1]

    for points, quantity, heads in ((4, "gap", (1, 8)), (3, "rnd", (2,)), (2, "rnd", (1, 8))):  # 2 n, 3 n, 9 n
        assert planned(points, quantity, heads)
    for points, quantity, heads in ((5, "gap", (1,)), (4, "rnd", (1, 2)), (3, "rnd", (8,))):
        with pytest.raises(InvalidInput, match="fewer parameters"):
            planned(points, quantity, heads)


def test_steps_are_counted_up_to_2_to_the_53():
    """Beyond it a float no longer counts."""
    assert GradientDescent(2**53, 0.1).filter(np.array([1.0])).tolist() == [1.0]
    with pytest.raises(InvalidInput):
        GradientDescent(2**53 + 1, 0.1)


X = np.random.default_rng(5).normal(size=(2, 4, 4, 1))


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("tile", [1, 64, 3 * 64])
def test_tiles_of_any_size_change_nothing(monkeypatch, activation, tile):
    """Rows of pairs of positions have 64 entries: one at a time, and three with one left over."""
    network = {"depth": 2, "filter_size": 3, "padding": "zero", "readout": "average", "activation": activation}
    network |= {"weight_scale": 1.3, "bias_scale": 0.2}
    whole = convolutional_kernels(X, **network)
    monkeypatch.setattr(convolution, "_TILE", tile)
    tiled = convolutional_kernels(X, **network)
    assert (tiled.nngp == whole.nngp).all()
    assert (tiled.ntk == whole.ntk).all()


def test_dim_images_have_the_kernels_of_bright_ones():
    """Without biases ReLU networks with pooling are homogeneous of degree 1: powers of 2 round nothing."""
    layers = (
        Conv(3, 1.2),
        Activate("relu"),
        AveragePool(2),
        Conv(2, 1.1),
        Activate("relu"),
        GlobalAveragePool(),
        Dense(0.9),
    )
    bright, dim = (image_network_kernels(scale * X, layers=layers) for scale in (1.0, 2.0**-30))
    np.testing.assert_allclose(dim.nngp, 2.0**-60 * bright.nngp, rtol=1e-14)
    np.testing.assert_allclose(dim.ntk, 2.0**-60 * bright.ntk, rtol=1e-14)


@pytest.mark.parametrize("workers", [1, 3])
def test_each_worker_needs_its_own_memory(workers):
    """16 arrays of the 16 positions for each worker, and twice both sets of images."""
    layers = (Conv(3, 1.0), Activate("relu"), Flatten(), Dense(1.0))
    needed = 8 * workers * image_network._ARRAYS * 16 + 2 * 8 * 4 * 16
    image_network_kernels(X, layers=layers, workers=workers, max_bytes=needed)
    with pytest.raises(InvalidInput, match="max_bytes"):
        image_network_kernels(X, layers=layers, workers=workers, max_bytes=needed - 1)
