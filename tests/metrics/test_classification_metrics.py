"""Scores of class probabilities against loops over examples, bins and pairs, and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from nonvacuous.numerics.metrics import auroc, brier_score, entropy, error_rate, expected_calibration_error, log_loss
from nonvacuous.theory.errors import InvalidInput


def sample(count, classes, seed, sharpness=2.0):
    draws = np.random.default_rng(seed)
    p = np.exp(sharpness * draws.standard_normal((count, classes)))
    return p / p.sum(1, keepdims=True), draws.integers(classes, size=count)


def calibration_by_hand(p, y, bins):
    total = 0.0
    for k in range(bins):
        mine = [i for i in range(len(y)) if k / bins < p[i].max() <= (k + 1) / bins]
        if mine:
            accuracy = sum(int(np.argmax(p[i])) == y[i] for i in mine) / len(mine)
            confidence = sum(p[i].max() for i in mine) / len(mine)
            total += len(mine) / len(y) * abs(accuracy - confidence)
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 10**6), st.integers(1, 20))
def test_loops_give_the_same(count, classes, seed, bins):
    p, y = sample(count, classes, seed)
    close = {"rel": 1e-12, "abs": 1e-13}  # sums of at most 240 terms of size at most 2
    assert error_rate(p, y) == pytest.approx(sum(np.argmax(r) != t for r, t in zip(p, y, strict=True)) / count, **close)
    assert log_loss(p, y) == pytest.approx(sum(-math.log(r[t]) for r, t in zip(p, y, strict=True)) / count, **close)
    squares = sum((r[c] - (c == t)) ** 2 for r, t in zip(p, y, strict=True) for c in range(classes))
    assert brier_score(p, y) == pytest.approx(squares / count, **close)
    assert expected_calibration_error(p, y, bins=bins) == pytest.approx(calibration_by_hand(p, y, bins), **close)
    for row, got in zip(p, entropy(p), strict=True):
        assert got == pytest.approx(-sum(v * math.log(v) for v in row), **close)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_auroc_counts_pairs(low, high):
    pairs = sum((b > a) + 0.5 * (b == a) for a in low for b in high) / (len(low) * len(high))
    assert auroc(low, high) == pairs
    assert auroc(high, low) == pytest.approx(1 - pairs, abs=1e-15)
    truth = [0] * len(low) + [1] * len(high)
    assert auroc(low, high) == pytest.approx(roc_auc_score(truth, low + high), abs=1e-14)


def test_known_values():
    p = np.array([[0.8, 0.2], [0.4, 0.6], [1.0, 0.0], [0.5, 0.5]])
    y = np.array([0, 0, 0, 0])
    assert error_rate(p, y) == 0.25
    assert log_loss(p, y) == pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.5)) / 4, rel=1e-15)
    assert brier_score(p, y) == pytest.approx((0.08 + 0.72 + 0 + 0.5) / 4, rel=1e-15)
    # two bins (0, 1/2] and (1/2, 1]: confidence 1/2 lies in the first
    assert expected_calibration_error(p, y, bins=2) == pytest.approx((0.5 + abs(2 - 2.4)) / 4, rel=1e-14)
    assert expected_calibration_error(p[2:3], y[2:3]) == 0.0
    forecast, _ = sample(200, 3, 0)
    many = (
        forecast,
        (np.random.default_rng(1).random(200)[:, None] > forecast.cumsum(1)).sum(1),
    )  # calibrated: gaps of both signs
    assert expected_calibration_error(*many) == expected_calibration_error(*many, bins=15)
    assert expected_calibration_error(*many) != expected_calibration_error(*many, bins=10)
    assert list(entropy(p)[2:]) == [0.0, pytest.approx(math.log(2))]
    assert log_loss(p, [1, 0, 1, 0]) == math.inf


def test_proper_scores_are_least_at_the_truth_and_calibration_error_sees_a_wrong_temperature():
    p, _ = sample(20_000, 3, 1)
    u = np.random.default_rng(2).random(20_000)
    y = (u[:, None] > p.cumsum(1)).sum(1)
    for score in (log_loss, brier_score, expected_calibration_error):
        for power in (0.5, 2.0):
            other = p**power / (p**power).sum(1, keepdims=True)
            assert score(p, y) < score(other, y)
    # a calibrated forecast: each bin's gap has standard deviation at most sqrt(n_b)/2, summed over 15 bins
    assert expected_calibration_error(p, y) <= 6 * 15 * math.sqrt(20_000 / 15) / 2 / 20_000


@pytest.mark.parametrize(
    ("p", "y"),
    [
        ([[0.5, 0.5]], [2]), ([[0.5, 0.5]], [-1]), ([[0.5, 0.5]], [0.0]), ([[0.5, 0.5]], [0, 1]), ([[0.6, 0.6]], [0]), ([[1.5, -0.5]], [0]),
        ([[np.nan, 1.0]], [0]), ([0.5, 0.5], [0]), ([[1.0]], [0]), (np.zeros((0, 2)), np.zeros(0, int)), ([[1, 0]], [0]),
    ],
)  # fmt: skip
def test_what_is_no_probability_or_label_is_refused(p, y):
    for score in (error_rate, log_loss, brier_score, expected_calibration_error):
        with pytest.raises(InvalidInput):
            score(np.asarray(p), np.asarray(y))


def test_other_bad_input_is_refused():
    p, y = sample(4, 3, 0)
    for bins in (0, 1.5, True):
        with pytest.raises(InvalidInput):
            expected_calibration_error(p, y, bins=bins)
    for low, high in (([], [1.0]), ([1.0], [np.nan]), ([[1.0]], [1.0]), (["a"], [1.0])):
        with pytest.raises(InvalidInput):
            auroc(low, high)
    single = p.astype(np.float32)
    assert log_loss(single, y) == pytest.approx(log_loss(p, y), rel=1e-5)
    assert entropy(np.array([[1 + 2e-16, 0.0]]))[0] == 0  # a sum that is rounded upward makes no negative entropy
    for wrong in (np.log(p), (1 + 1e-9) * p):
        with pytest.raises(InvalidInput, match="not logits"):
            entropy(wrong)
