"""No wrong claim about descent on separable data: answers of `assess` against linear programming, exact ranks and real training."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from flint import fmpq, fmpq_mat
from scipy.optimize import linprog

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.implicit_bias.assess import assess
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.training_choices import Training
from nonvacuous.theory.statement import Answer

FLOW = Training(step=1e-9, loss="exponential")  # small enough for every problem here


def integer_rows(rng: np.random.Generator) -> np.ndarray:
    n, p = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    rows = rng.integers(-3, 4, size=(n, p)).astype(float)
    if rng.random() < 0.6:  # pushed to one side of a random plane, as labels do
        rows *= np.where(rows @ rng.integers(-2, 3, size=p) < 0, -1, 1)[:, None]
    return rows


def separable(rows: np.ndarray) -> bool:
    """Linear programming: is there a w with all x_n^T w >= 1?"""
    found = linprog(np.zeros(rows.shape[1]), A_ub=-rows, b_ub=-np.ones(len(rows)), bounds=(None, None), method="highs")
    return bool(found.status == 0)


def hard_margin(rows: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Active rows and weights of the hard-margin problem, by trying every set of independent rows."""
    for size in range(1, len(rows) + 1):
        for chosen in itertools.combinations(range(len(rows)), size):
            part = rows[list(chosen)]
            if exact_rank(part) < size:
                continue
            alpha = np.linalg.solve(part @ part.T, np.ones(size))
            if alpha.min() > 1e-9 and (rows @ (part.T @ alpha)).min() > 1 - 1e-9:
                return list(chosen), alpha
    raise AssertionError("no set of rows satisfies the KKT conditions")


def exact_rank(matrix: np.ndarray) -> int:
    return int(fmpq_mat(*matrix.shape, [fmpq(int(v)) for v in matrix.ravel()]).rref()[1]) if matrix.size else 0


@pytest.mark.parametrize("seed", range(8))
def test_separability_span_and_constant(seed):
    rng = np.random.default_rng(seed)
    counts = {"separable": 0, "not": 0, "spanning": 0, "open": 0}
    while counts["separable"] < 26 or counts["not"] < 26:
        rows = integer_rows(rng)
        p = rows.shape[1]
        start = GaussianLaw(0.1 * rng.normal(size=p), 0.1 * rng.normal(size=(p, 2)))
        found = assess(rows, training=FLOW, start=start)
        if not separable(rows):
            counts["not"] += 1
            assert found.fact("separable").answer is Answer.VIOLATED
            assert not found.claims
            assert found.law is None
            continue
        counts["separable"] += 1
        assert found.fact("separable").holds
        if found.law is None:
            counts["open"] += 1
            assert not (found.fact("spanning support").holds and found.fact("generic support").holds)
            assert [refusal.theorem for refusal in found.refusals] == ["ib.class_nonspan"]
            continue
        counts["spanning"] += 1
        active, alpha = hard_margin(rows)
        assert exact_rank(rows[active]) == exact_rank(rows)
        assert np.allclose(rows[active] @ found.law.mean, np.log(FLOW.step / alpha), atol=1e-8)
        kernel = np.eye(p) - np.linalg.pinv(rows) @ rows
        assert np.allclose(kernel @ found.law.mean, kernel @ start.mean, atol=1e-9)
        assert np.allclose(found.law.factor, kernel @ start.factor, atol=1e-9)
    assert counts["spanning"] > 5
    assert counts["open"] > 5


PAIR = np.column_stack([np.linalg.cholesky(np.array([[6.0, 1.0], [1.0, 6.0]])), np.zeros(2)])
WIDE = GaussianLaw(np.zeros(3), np.eye(3))


def test_the_law_and_the_exponent_of_real_training():
    """Descent on the expected exponential loss for a million steps' worth of time, in steps that grow with time."""
    start = GaussianLaw(np.zeros(3), 0.5 * np.eye(3))
    found = assess(
        PAIR, training=Training(step=1.0, loss="logistic"), start=start
    )  # the same limits; step 1 stands for the flow
    mean, factor, time, sizes = start.mean.copy(), start.factor.copy(), 0.0, {}
    while time < 1e6:
        seen = PAIR @ factor
        pull = np.exp(-PAIR @ mean + (seen**2).sum(axis=1) / 2)
        step = 0.002 * (1 + time)  # in log time: 0.002 each, so that Euler errs by a few times that
        mean, factor = mean + step * PAIR.T @ pull, factor - step * PAIR.T @ (pull[:, None] * seen)
        time += step
        for mark in (1e3, 1e5):
            if mark not in sizes and time >= mark:
                sizes[mark] = time, np.linalg.norm(PAIR @ factor)
    slope = np.log(sizes[1e5][1] / sizes[1e3][1]) / np.log(sizes[1e5][0] / sizes[1e3][0])
    assert found.rate.kind == "power of time"
    assert found.rate.factor == pytest.approx(5 / 7, rel=1e-13)
    assert slope == pytest.approx(-5 / 7, abs=0.02)
    left = mean - np.log(time) * np.linalg.solve(PAIR[:, :2] @ PAIR[:, :2].T, np.ones(2)) @ PAIR
    assert np.abs(left - found.law.mean).max() < 0.02
    assert np.abs(factor - found.law.factor).max() < 0.02


@pytest.mark.parametrize(
    ("change", "theorem"),
    [
        ({"optimiser": "adam"}, "ib.logit_maxmargin"),
        ({"weight_decay": 0.1}, "ib.logit_maxmargin"),
        ({"momentum": 0.9}, "ib.logit_maxmargin"),
        ({"batch_size": 1}, "ib.logit_maxmargin"),
        ({"covariance": "cholesky"}, "ib.param_covariance"),
        ({"samples": 1}, "ib.class_step"),
        ({"samples": 1, "loss": "logistic"}, "ib.class_logistic"),
    ],
)
def test_what_breaks_the_law_is_named(change, theorem):
    assert assess(PAIR, training=FLOW, start=WIDE).claimed("ib.class_w2")
    found = assess(PAIR, training=replace(FLOW, **change), start=WIDE)
    assert found.law is None
    assert not found.claims
    assert [refusal.theorem for refusal in found.refusals] == [theorem]


def test_a_step_that_may_blow_up_is_named():
    found = assess(PAIR, training=replace(FLOW, step=0.5), start=WIDE)
    assert found.law is None
    assert [refusal.theorem for refusal in found.refusals] == ["ib.class_step"]
    assert found.fact("small step").answer is Answer.CANNOT_BE_CHECKED
    far = GaussianLaw(np.zeros(3), 1e3 * np.eye(3))  # the expected loss overflows
    assert assess(PAIR, training=FLOW, start=far).law is None


def test_the_covariance_rate_slows_the_exponent_down():
    slow = assess(PAIR, training=replace(FLOW, covariance_rate=0.1), start=WIDE)
    assert slow.rate.factor == pytest.approx(0.1 * 5 / 7)
    assert slow.claimed("ib.class_rates")


def test_a_metric_changes_the_margin():
    metric = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = assess(PAIR, training=replace(FLOW, metric=metric), start=WIDE)
    alpha = np.linalg.solve(PAIR @ metric @ PAIR.T, np.ones(2))
    assert (alpha > 0).all()
    assert np.allclose(PAIR @ found.law.mean, np.log(FLOW.step / alpha))
    assert np.allclose(PAIR @ found.law.factor, 0, atol=1e-12)


def test_a_point_and_its_step():
    found = assess(PAIR, training=FLOW)
    assert found.claimed("ib.logit_maxmargin")
    assert found.claimed("ib.logit_residual")
    fast = assess(PAIR, training=replace(FLOW, step=10.0))
    assert not fast.claimed("ib.logit_maxmargin")
    assert fast.fact("small step").answer is Answer.CANNOT_BE_CHECKED
    assert not assess(PAIR, training=replace(FLOW, loss="logistic")).claimed("ib.logit_maxmargin")


def test_targets_belong_to_the_squared_loss():
    with pytest.raises(InvalidInput, match="Absorb the labels"):
        assess(PAIR, np.ones(2), training=FLOW)
