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
from nonvacuous.numerics.implicit_bias.classification import guaranteed_law_step, guaranteed_logistic_step
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
    """Descent on the expected exponential loss until t = 1e12, in steps h (1 + t) that are even in log time.

    Such steps have their own limit: (1 + t) e^-m_n = alpha_n log(1 + h)/h, so margins lie log(h/log(1 + h)) higher, and a mode
    shrinks by 1 - lambda log(1 + h) per step. What is left after that is of order t^(-5/7).
    """
    h, start = 0.002, GaussianLaw(np.zeros(3), 0.5 * np.eye(3))
    found = assess(PAIR, training=Training(step=1.0, loss="logistic"), start=start)  # the same limits
    mean, factor, time, sizes = start.mean.copy(), start.factor.copy(), 0.0, {}
    while time < 1e12:
        seen = PAIR @ factor
        pull = np.exp(-PAIR @ mean + (seen**2).sum(axis=1) / 2)
        step = h * (1 + time)
        mean, factor = mean + step * PAIR.T @ pull, factor - step * PAIR.T @ (pull[:, None] * seen)
        time += step
        for mark in (1e6, 1e10):
            if mark not in sizes and time >= mark:
                sizes[mark] = time, np.linalg.norm(PAIR @ factor)
    slope = np.log(sizes[1e10][1] / sizes[1e6][1]) / np.log(sizes[1e10][0] / sizes[1e6][0])
    assert found.rate.kind == "power of time"
    assert found.rate.factor == pytest.approx(5 / 7, rel=1e-13)
    left = 1e6 ** (-5 / 7)
    assert slope == pytest.approx(
        np.log1p(-found.rate.factor * np.log1p(h)) / np.log1p(h), abs=left
    )  # left/log(1e4), times up to 9
    direction = np.linalg.solve(PAIR[:, :2] @ PAIR[:, :2].T, np.ones(2)) @ PAIR
    shift = np.log(h / np.log1p(h)) * direction  # margins of w_hat are 1
    left = 1e12 ** (-5 / 7)  # 2.7e-9, against starts of size 1
    assert np.abs(mean - np.log1p(time) * direction - shift - found.law.mean).max() < 9 * left
    assert np.abs(factor - found.law.factor).max() < 9 * left


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
    assert [claim.theorem for claim in found.claims] == ["ib.logit_maxmargin", "ib.logit_residual"]
    fast = assess(PAIR, training=replace(FLOW, step=10.0))
    assert fast.fact("small step").answer is Answer.CANNOT_BE_CHECKED
    assert not fast.claims
    assert fast.law is None
    assert [refusal.theorem for refusal in fast.refusals] == ["ib.logit_maxmargin", "ib.logit_residual"]


def test_a_point_under_the_logistic_loss_is_a_law_without_spread():
    """The constant term is derived for the logistic flow by ib.class_logistic; ib.logit_residual and the direction's bounds are not."""
    logistic = replace(FLOW, loss="logistic")
    found = assess(PAIR, training=logistic)
    assert [claim.theorem for claim in found.claims] == ["ib.class_logistic"]
    assert [refusal.theorem for refusal in found.refusals] == ["ib.logit_maxmargin"]
    assert np.array_equal(found.law.mean, assess(PAIR, training=FLOW).law.mean)
    assert found.rate is None


@pytest.mark.parametrize("rank", [0, 3])
def test_the_safe_step_of_the_logistic_loss(rank):
    start = None if rank == 0 else WIDE
    edge = 8 / 7  # the largest eigenvalue of the rows' Gram matrix is 7
    slow = Training(step=edge * (1 - 1e-9), loss="logistic")
    assert assess(PAIR, training=slow, start=start).law is not None
    fast = assess(PAIR, training=replace(slow, step=edge * (1 + 1e-9)), start=start)
    assert fast.law is None
    assert fast.fact("small step").answer is Answer.CANNOT_BE_CHECKED
    assert "ib.class_logistic" in [refusal.theorem for refusal in fast.refusals]
    # the factor's step counts, where there is a factor
    quick_factor = assess(PAIR, training=replace(slow, covariance_rate=2.0), start=start)
    assert (quick_factor.law is None) == (rank > 0)


def test_the_larger_step_of_mean_and_factor_must_be_safe():
    limit = guaranteed_law_step(PAIR, WIDE)
    assert assess(PAIR, training=replace(FLOW, step=limit / 2), start=WIDE).law is not None
    assert assess(PAIR, training=replace(FLOW, step=limit / 2, covariance_rate=0.1), start=WIDE).law is not None
    assert assess(PAIR, training=replace(FLOW, step=limit / 2, covariance_rate=3.0), start=WIDE).law is None


@pytest.mark.parametrize("seed", range(20))
def test_below_the_logistic_step_every_step_lowers_the_expected_loss(seed):
    """Steps of mean and factor up to 8/lambda_max, drawn separately; expectations by 200 Gauss-Hermite nodes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 3)) * 2
    root = np.linalg.cholesky(np.cov(rng.normal(size=(3, 9)))) if seed % 2 else np.eye(3)
    edge = guaranteed_logistic_step(x, metric=root @ root.T)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    mean, factor = rng.normal(size=3), rng.normal(size=(3, 2))
    losses = []
    for _ in range(30):
        a, c = x @ mean, x @ factor
        spread = np.linalg.norm(c, axis=1)
        margins = a[:, None] + spread[:, None] * nodes
        losses.append(float((np.logaddexp(0, -margins) @ weights).sum()))
        push = (1 / (1 + np.exp(margins))) @ weights
        pull = (1 / (2 + 2 * np.cosh(margins))) @ weights  # sigma'
        step, rate = edge * rng.uniform(0.5, 1, size=2)
        d = root @ root.T
        mean, factor = mean + step * d @ x.T @ push, factor - rate * d @ (x.T @ (pull[:, None] * c))
    assert (np.diff(losses) < 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_metric_moves_margin_constant_and_exponent_but_not_separability(seed):
    """Answers in a metric against those for rows in its coordinates: exact ones, the roots being powers of two."""
    rng = np.random.default_rng(100 + seed)
    for _ in range(10):
        rows = integer_rows(rng)
        p = rows.shape[1]
        roots = 2.0 ** rng.integers(-2, 3, size=p)
        start = GaussianLaw(0.1 * rng.normal(size=p), 0.1 * rng.normal(size=(p, 2)))
        inside = GaussianLaw(start.mean / roots, start.factor / roots[:, None])
        found = assess(rows, training=replace(FLOW, metric=roots**2), start=start)
        white = assess(rows * roots, training=FLOW, start=inside)
        assert found.fact("separable").answer is white.fact("separable").answer
        assert [claim.theorem for claim in found.claims] == [claim.theorem for claim in white.claims]
        assert (found.law is None) == (white.law is None)
        if found.law is not None:
            assert np.allclose(found.law.mean, roots * white.law.mean, rtol=0, atol=1e-9)
            assert np.allclose(found.law.factor, roots[:, None] * white.law.factor, rtol=0, atol=1e-12)
            assert found.rate.factor == pytest.approx(white.rate.factor, rel=1e-12)


def test_targets_belong_to_the_squared_loss():
    with pytest.raises(InvalidInput, match="Absorb the labels"):
        assess(PAIR, np.ones(2), training=FLOW)
