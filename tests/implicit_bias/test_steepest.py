"""Margins in other norms, steepest descent towards them, and mini-batches on separable data."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.max_margin import max_margin
from nonvacuous.numerics.implicit_bias.separable_limits import limit_remainder
from nonvacuous.numerics.implicit_bias.steepest import dual_norm_of, norm_of, steepest_max_margin
from nonvacuous.numerics.training.separable import descend_separable
from nonvacuous.numerics.training.separable_sgd import descend_mini_batches
from nonvacuous.numerics.training.steepest import descend_steepest
from nonvacuous.proofs.implicit_bias.separable_problems import separable_design
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from(["l1", "linf"]))
def test_margins_are_optimal_and_ordered_by_their_norms(seed, norm):
    rng = np.random.default_rng(seed)
    x = separable_design(rng, examples=int(rng.integers(1, 20)), parameters=int(rng.integers(1, 8)))
    found = steepest_max_margin(x, norm=norm)
    assert norm_of(found.direction, norm=norm) == pytest.approx(1)
    assert (x @ found.direction).min() == pytest.approx(found.margin)
    assert dual_norm_of(x.T @ found.dual, norm=norm) == pytest.approx(found.margin, rel=1e-9)
    for _ in range(50):
        v = rng.normal(size=x.shape[1])
        assert (x @ v).min() <= found.margin * norm_of(v, norm=norm) * (1 + 1e-9)
    l2 = max_margin(x).margin
    assert (found.margin <= l2 * (1 + 1e-9)) if norm == "l1" else (found.margin >= l2 * (1 - 1e-9))


@pytest.mark.parametrize("norm", ["l1", "linf"])
@pytest.mark.parametrize("rows", [[[1.0, 0], [-1, 0]], [[0.0, 0]], [[1.0, 1], [1, -1], [-1, 0]]])
def test_inseparable_data_are_refused(rows, norm):
    with pytest.raises(AssumptionViolated, match="separated"):
        steepest_max_margin(rows, norm=norm)


def test_bad_input_is_refused():
    for design, norm in (([[np.nan]], "l1"), (np.zeros((0, 2)), "l1"), ([[1.0]], "l2"), ([1.0], "linf")):
        with pytest.raises(InvalidInput):
            steepest_max_margin(design, norm=norm)
    with pytest.raises(InvalidInput):
        descend_steepest([[1.0, 0]], [0.0], norm="l1", step=0.1, record=(1,))
    with pytest.raises(InvalidInput):
        descend_steepest([[1.0, 0]], [0.0, 0], norm="l3", step=0.1, record=(1,))
    with pytest.raises(NumericalFailure):
        descend_steepest([[30.0, 0], [-29, 0]], [0.0, 0], norm="linf", step=50.0, record=(40,))


def test_the_l2_norm_is_gradient_descent_and_the_norms_part_ways():
    x, start = np.array([[1.0, 0.2], [0.4, 1.0]]), np.zeros(2)
    path, losses = descend_steepest(x, start, norm="l2", step=0.1, record=(0, 500))
    plain = descend_separable(x, start, np.zeros((2, 0)), step=0.1, record=(0, 500))
    np.testing.assert_allclose(path, plain.means, rtol=1e-12)
    np.testing.assert_allclose(losses, plain.losses, rtol=1e-12)
    one, _ = descend_steepest(x, start, norm="l1", step=0.1, record=(1,))
    assert np.count_nonzero(one[0]) == 1
    sign, _ = descend_steepest(x, start, norm="linf", step=0.1, record=(1,))
    assert abs(sign[0, 0]) == abs(sign[0, 1]) == pytest.approx(0.1 * (1.4 + 1.2))


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_full_batch_without_replacement_is_descent(loss):
    x = np.array([[1.0, 0.2], [0.4, 1.0]])
    path = descend_mini_batches(
        x, np.zeros(2), step=0.1, batch=2, record=(0, 200), runs=2, seed=0, loss=loss, replacement=False
    )
    plain = descend_separable(x, np.zeros(2), np.zeros((2, 0)), step=0.1, record=(0, 200), loss=loss)
    np.testing.assert_allclose(path[:, 0], plain.means, rtol=1e-10)
    np.testing.assert_allclose(path[:, 1], plain.means, rtol=1e-10)


def test_mini_batches_repeat_with_their_seed_and_keep_the_null_part():
    x = np.array([[1.0, 0.2, 0.0], [0.4, 1.0, 0.0]])
    options = {"step": 0.1, "batch": 1, "record": (50,), "runs": 3}
    first, again, other = (descend_mini_batches(x, np.ones(3), seed=seed, **options) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert (first[..., 2] == 1).all()
    assert len({tuple(run) for run in first[0]}) > 1


def test_logistic_batches_of_one_of_two_match_the_rescaled_constant():
    # printed: to 1e-3..2e-3 after 2e5 steps. Here the noise left after t steps is of order t^-1/2, and its mean of order log t/t
    x, steps, runs = np.array([[1.0, 0.0, 1.0], [1.0, 2.0, 0.0]]), 20000, 20
    path = descend_mini_batches(x, np.zeros(3), step=0.3, batch=1, record=(steps,), runs=runs, seed=0, loss="logistic")
    limit = max_margin(x).weights * math.log(steps) + limit_remainder(x, np.zeros(3), step=0.15)
    error = 5 * path[0].std(axis=0, ddof=1) / math.sqrt(runs) + 10 * math.log(steps) / steps
    assert error.max() < 0.03
    assert (np.abs(path[0].mean(axis=0) - limit) < error).all()


def test_batches_that_make_no_sense_are_refused():
    x = np.ones((3, 2))
    good = {"step": 0.1, "batch": 1, "record": (5,), "runs": 1, "seed": 0}
    for change in (
        {"batch": 0},
        {"batch": 4},
        {"batch": 2, "replacement": False},
        {"runs": 0},
        {"step": -1.0},
        {"loss": "hinge"},
    ):
        with pytest.raises(InvalidInput):
            descend_mini_batches(x, np.zeros(2), **{**good, **change})
