"""The edge of stability of sampled variational training: published special cases, the full operator, real runs, refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.stability import (
    SampledDescent,
    largest_stable_mode_step,
    largest_stable_sampled_step,
    mean_square_rate,
    moment_matrix,
    noise_matrix,
    stable_mode_step_by_bisection,
)
from nonvacuous.numerics.training.sampled_law import descend_sampled_law
from nonvacuous.proofs.implicit_bias.regression.noise_moments import (
    exact_threshold,
    moment_operator,
    second_moment_operator,
)
from nonvacuous.theory.errors import InvalidInput


@st.composite
def descents(draw):
    estimator = draw(st.sampled_from(["independent", "antithetic", "analytic"]))
    samples = {"independent": draw(st.integers(1, 30)), "antithetic": 2 * draw(st.integers(1, 15)), "analytic": 1}
    return SampledDescent(
        draw(st.integers(1, 200)), samples[estimator], draw(st.sampled_from([0.0, 0.3, 0.9, 0.99])),
        draw(st.floats(1e-3, 10)), estimator,
    )  # fmt: skip


def test_thresholds_to_their_printed_digits():
    def edge(*options, **named):
        return largest_stable_mode_step(SampledDescent(*options, **named))

    assert edge(1) == pytest.approx(0.5858, abs=5e-5)
    assert edge(10) == pytest.approx(0.1557, abs=5e-5)
    assert edge(10, momentum=0.9) == pytest.approx(0.0168, abs=5e-5)
    for rank in (1, 2, 5, 10, 100, 10_000):
        slow = edge(rank, covariance_rate=1 / rank)
        assert slow == pytest.approx(rank + 1 - np.sqrt(rank**2 + 1), rel=1e-12 * rank)
        assert 0.585 < slow < 1
        assert edge(rank) == pytest.approx(2 / (rank + 3), rel=0.2)
        assert edge(rank, estimator="analytic") == 2
        assert edge(rank, covariance_rate=5.0, estimator="analytic") == pytest.approx(0.4, rel=1e-15)
        assert edge(rank, 2, estimator="antithetic") == pytest.approx(2 / (rank + 2), rel=1e-15)
        assert edge(rank, 6, covariance_rate=0.2, estimator="antithetic") == pytest.approx(
            min(2, 2 / (0.2 * (1 + (rank + 1) / 3))), rel=1e-14
        )
        assert edge(rank, momentum=0.9, estimator="analytic") == pytest.approx(3.8, rel=1e-14)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_equal_rates_have_the_closed_form_of_one_number(samples, momentum):
    for rank in (1, 4, 30):
        root = ((rank + 3) + np.sqrt((rank + 3) ** 2 - 8)) / 2
        level = 1 + (root - 1) / samples
        expected = 2 * (1 - momentum**2) / (level * (1 + momentum) - 2 * momentum)
        descent = SampledDescent(rank, samples, momentum)
        assert largest_stable_mode_step(descent) == pytest.approx(expected, rel=1e-13)


@settings(max_examples=60, deadline=None)
@given(descents())
def test_the_radius_is_below_one_exactly_below_the_edge(descent):
    edge = largest_stable_mode_step(descent)
    assert 0 < edge <= 2 * (1 + descent.momentum) * (1 + 1e-15)
    inside = edge * np.array([1e-3, 0.3, 0.9, 0.999])
    assert (mean_square_rate(inside, descent) < 1).all()
    outside = edge * np.array([1.001, 1.1, 2.0, 7.0, 100.0])
    assert (mean_square_rate(outside, descent) > 1).all()
    assert stable_mode_step_by_bisection(descent) == pytest.approx(edge, rel=1e-10, abs=0)


@settings(max_examples=40, deadline=None)
@given(descents())
def test_more_draws_and_lower_ranks_never_lower_the_edge(descent):
    edge = largest_stable_mode_step(descent)
    lower = SampledDescent(max(descent.rank - 1, 1), *_rest(descent))
    assert largest_stable_mode_step(lower) >= edge * (1 - 1e-15)
    if descent.estimator != "analytic":
        more = SampledDescent(descent.rank, 2 * descent.samples, *_rest(descent)[1:])
        assert largest_stable_mode_step(more) >= edge * (1 - 1e-15)
        noiseless = SampledDescent(descent.rank, 1, descent.momentum, descent.covariance_rate, "analytic")
        assert largest_stable_mode_step(noiseless) >= edge * (1 - 1e-15)


def _rest(d):
    return d.samples, d.momentum, d.covariance_rate, d.estimator


@pytest.mark.parametrize(
    "descent",
    [SampledDescent(2, 2, 0.0, 0.5), SampledDescent(1, 3, 0.4, 2.0), SampledDescent(2, 4, 0.0, 1.0, "antithetic")],
)
def test_the_full_operator_with_all_blocks_has_the_same_edge(descent):
    options = {
        "rank": descent.rank,
        "samples": descent.samples,
        "momentum": Fraction(descent.momentum),
        "covariance_rate": Fraction(descent.covariance_rate),
        "estimator": descent.estimator,
    }
    edge = largest_stable_mode_step(descent)
    assert float(exact_threshold(**options)) == pytest.approx(edge, rel=1e-14)
    # Two routes to the full operator: exact fractions on symmetric matrices, and a Gauss-Hermite rule on all of them.
    in_fractions = second_moment_operator(Fraction(edge) * 2 / 3, **options)
    table = np.array([float(v) for v in in_fractions.entries()]).reshape(in_fractions.nrows(), -1)
    by_rule = moment_operator(
        2, edge * 2 / 3, rank=descent.rank, samples=descent.samples, momentum=descent.momentum,
        covariance_rate=descent.covariance_rate, estimator=descent.estimator,
    )  # fmt: skip
    radii = [np.abs(np.linalg.eigvals(m)).max() for m in (table, by_rule)]
    assert radii == pytest.approx([float(mean_square_rate(edge * 2 / 3, descent))] * 2, rel=1e-10)


def test_one_sampled_step_has_the_predicted_moments():
    # One step of two modes; the average over many replicates within six standard errors of sample fourth moments.
    descent, replicates = SampledDescent(3, 2, 0.0, 0.4), 40_000
    rng = np.random.default_rng(0)
    design, mean, factor = np.diag([1.0, 0.7]), rng.normal(size=2), rng.normal(size=(2, 3))
    means, factors = descend_sampled_law(
        design, np.zeros(2), mean, factor, step=0.5, record=[1], samples=2, covariance_rate=0.4, replicates=replicates, seed=1
    )  # fmt: skip
    for mode, h in enumerate((1.0, 0.49)):
        predicted = moment_matrix(0.5 * h, descent) @ [mean[mode] ** 2, np.mean(factor[mode] ** 2)]
        for values, expected in zip(
            (means[0, :, mode] ** 2, (factors[0, :, mode] ** 2).mean(axis=1)), predicted, strict=True
        ):
            assert abs(values.mean() - expected) <= 6 * values.std() / np.sqrt(replicates)


def test_single_runs_may_survive_above_the_edge():
    # Almost sure stability asks for less than mean-square stability: the note in the module's docstring.
    step = 1.1 * largest_stable_mode_step(SampledDescent(1))
    means, factors = descend_sampled_law(
        np.eye(1), np.zeros(1), np.ones(1), np.ones((1, 1)), step=step, record=[100], replicates=200, seed=3
    )
    size = np.sqrt(means[0, :, 0] ** 2 + (factors[0, :, 0] ** 2).sum(axis=1))
    assert float(mean_square_rate(step, SampledDescent(1))) > 1.1
    assert np.median(size) < 1e-6


def test_a_design_divides_the_mode_step_by_its_largest_eigenvalue():
    descent = SampledDescent(2)
    assert largest_stable_sampled_step(np.diag([1.0, 3.0]), descent) == pytest.approx(
        largest_stable_mode_step(descent) / 9
    )
    assert largest_stable_sampled_step(np.zeros((2, 2)), descent) == np.inf
    assert noise_matrix(descent).tolist() == [[1, 2], [1, 4]]


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 0},
        {"rank": 1.5},
        {"rank": 1, "samples": 0},
        {"rank": 1, "samples": 3, "estimator": "antithetic"},
        {"rank": 1, "samples": 2, "estimator": "analytic"},
        {"rank": 1, "estimator": "quadrature"},
        {"rank": 1, "momentum": 1.0},
        {"rank": 1, "momentum": -0.1},
        {"rank": 1, "momentum": np.nan},
        {"rank": 1, "covariance_rate": 0.0},
        {"rank": 1, "covariance_rate": np.inf},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(InvalidInput):
        SampledDescent(**options)


@pytest.mark.parametrize("mode_step", [0.0, -1.0, np.nan, [0.1, 0.0]])
def test_impossible_mode_steps_are_refused(mode_step):
    with pytest.raises(InvalidInput):
        moment_matrix(mode_step, SampledDescent(1))
