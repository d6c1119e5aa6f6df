"""No wrong claim about descent on the squared loss: every answer of `assess` is judged by linear algebra that it does not use."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flint import fmpq, fmpq_mat

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.implicit_bias.assess import assess
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.training_choices import ADAPTIVE, Training
from nonvacuous.theory.statement import Answer

PROBLEMS = 200


def integer_problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Small integers, of every shape and rank: what is true of them can be decided exactly."""
    n, p = (int(k) for k in rng.integers(1, 5, size=2))
    inner = int(rng.integers(1, 1 + max(n, p)))
    x = rng.integers(-2, 3, size=(n, inner)) @ rng.integers(-2, 3, size=(inner, p))
    y = x @ rng.integers(-2, 3, size=p) + (0 if rng.random() < 0.5 else rng.integers(-1, 2, size=n))
    return x.astype(float), y.astype(float)


def exact_rank(matrix: np.ndarray) -> int:
    return int(fmpq_mat(*matrix.shape, [fmpq(int(v)) for v in matrix.ravel()]).rref()[1])


def settings(rng: np.random.Generator, parameters: int) -> Training:
    momentum = float(rng.choice([0.0, 0.0, 0.5, 0.9]))
    metric: Any = None
    if rng.random() < 0.4:
        root = rng.integers(-1, 2, size=(parameters, parameters)) + 2.0 * np.eye(parameters)
        metric = root @ root.T + np.eye(parameters)
    return Training(
        step=float(10 ** rng.uniform(-3, 0)),
        momentum=momentum,
        nesterov=bool(momentum and rng.random() < 0.5),
        covariance_rate=float(rng.choice([1.0, 0.25, 3.0])),
        metric=metric,
    )


def recursion(h: np.ndarray, training: Training, rate: float) -> np.ndarray:
    """One step of torch.optim.SGD on (w, velocity), for gradient h w: the matrix, built column by column."""
    p = len(h)

    def step(w: np.ndarray, v: np.ndarray) -> np.ndarray:
        g = h @ w
        v = training.momentum * v + g
        move = g + training.momentum * v if training.nesterov else v
        return np.concatenate([w - rate * move, v])

    basis = np.eye(2 * p)
    return np.stack([step(column[:p], column[p:]) for column in basis], axis=1)


def limit_of(x: np.ndarray, y: np.ndarray, start: np.ndarray, training: Training, rate: float) -> np.ndarray | None:
    """Where the recursion ends, by squaring it 30 times (a billion steps); None where it diverges. Uses no projector and no decomposition of X."""
    d = np.eye(x.shape[1]) if training.metric is None else training.metric
    h, p = d @ x.T @ x, x.shape[1]
    offset = np.linalg.lstsq(x, y, rcond=None)[0]  # any stationary point
    power = recursion(h, training, rate)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(30):
            power = power @ power
            if not np.isfinite(power).all() or np.abs(power).max() > 1e6:
                return None
    return offset + (power @ np.concatenate([start - offset, np.zeros(p)]))[:p]


@pytest.mark.parametrize("seed", range(8))
def test_deterministic_descent(seed):
    rng = np.random.default_rng(seed)
    stable = unstable = 0
    for _ in range(PROBLEMS // 8 + 5):
        x, y = integer_problem(rng)
        p = x.shape[1]
        start = GaussianLaw(rng.normal(size=p), rng.normal(size=(p, int(rng.integers(1, 4)))))
        training = settings(rng, p)
        found = assess(x, y, training=training, start=start)
        assert found.fact("clear rank").holds
        assert found.fact("interpolating").holds == (exact_rank(np.column_stack([x, y])) == exact_rank(x))
        fact = found.fact("stable step")
        rates = (training.step, training.step * training.covariance_rate)
        ends = [limit_of(x, y, start.mean, training, rates[0])]
        ends += [limit_of(x, 0 * y, column, training, rates[1]) for column in start.factor.T]
        if fact.answer is Answer.VIOLATED:
            unstable += 1
            assert any(end is None for end in ends)
            assert found.law is None
            with pytest.raises(AssumptionViolated, match=r"ib\.\w+: the law that training ends in is not claimed"):
                found.require_law()
            continue
        stable += 1
        assert found.law is not None
        assert all(end is not None for end in ends)
        # 2^30 steps, each a rounding of the directions that stay: 1e-7 of the scale
        scale = 1 + np.abs(start.mean).max() + np.abs(found.law.mean).max() + np.abs(start.factor).max()
        assert np.abs(found.law.mean - ends[0]).max() < 1e-6 * scale
        assert np.abs(found.law.factor - np.stack(ends[1:], axis=1)).max() < 1e-6 * scale
        if not x.any():
            assert found.rate.factor == 0
            continue
        radius = [np.abs(np.linalg.eigvals(on_rows(x, training, rate))).max() for rate in rates]
        assert found.rate.factor == pytest.approx(max(radius), rel=1e-6, abs=1e-6)  # double roots: half of the digits
        assert found.claimed("ib.precond_bayes" if training.metric is not None else "ib.regression_w2")
        assert found.claimed("ib.ls_momentum") == (training.momentum > 0 and x.any())
    assert stable > 5
    assert unstable > 1


def on_rows(x: np.ndarray, training: Training, rate: float) -> np.ndarray:
    """The recursion restricted to the directions that are trained, in the coordinates of the singular vectors."""
    root = np.eye(x.shape[1]) if training.metric is None else np.linalg.cholesky(training.metric)
    s = np.linalg.svd(x @ root, compute_uv=False)
    return recursion(np.diag(s[s > 1e-9 * s.max(initial=1.0)] ** 2), training, rate)


def second_moments(steps: list[tuple[float, np.ndarray]], directions: np.ndarray) -> float:
    """Spectral radius of the average of A (x) A over the steps A of a random linear recursion, on the trained directions."""
    basis = np.kron(directions, directions)
    total = sum(weight * np.kron(a, a) for weight, a in steps)
    return float(np.abs(np.linalg.eigvals(basis.T @ total @ basis)).max())


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(4)  # exact up to degree 7; A (x) A has degree 4 in the draws


def sampled_steps(x: np.ndarray, training: Training, rank: int) -> list[tuple[float, np.ndarray]]:
    """All quadrature points of the draws of one step on vec (mean, columns of the factor), each with its weight."""
    draws = training.samples // 2 if training.antithetic else training.samples
    h, found = x.T @ x, []
    rates = np.array([1.0] + [training.covariance_rate] * rank)
    for which in itertools.product(range(4), repeat=draws * rank):
        z = NODES[list(which)].reshape(draws, rank)
        z = np.concatenate([z, -z]) if training.antithetic else z
        u = np.column_stack([np.ones(len(z)), z])
        mixing = u.T @ u / len(u) * rates  # W <- W - step H W U, columns scaled by their learning rate
        weight = float(np.prod(WEIGHTS[list(which)] / WEIGHTS.sum()))
        found.append((weight, np.eye((1 + rank) * len(h)) - training.step * np.kron(mixing.T, h)))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sampled_training(seed):
    rng = np.random.default_rng(100 + seed)
    answers = []
    for _ in range(PROBLEMS // 4):
        n, p, rank = int(rng.integers(1, 3)), 2, int(rng.integers(1, 3))
        x, y = rng.normal(size=(n, p)), rng.normal(size=n)
        antithetic = bool(rng.random() < 0.3)
        samples = 2 if antithetic or (rank == 1 and rng.random() < 0.5) else 1
        training = Training(
            step=float(rng.uniform(0.1, 1.9) / np.linalg.norm(x, 2) ** 2 / (rank + 1)),
            samples=samples,
            antithetic=antithetic,
            covariance_rate=float(rng.choice([1.0, 1 / rank, 2.0])),
        )
        start = GaussianLaw(rng.normal(size=p), rng.normal(size=(p, rank)))
        found = assess(x, y, training=training, start=start)
        directions = np.kron(np.eye(1 + rank), np.linalg.svd(x, full_matrices=False)[2].T)
        radius = second_moments(sampled_steps(x, training, rank), directions)
        assert found.fact("stable step").holds == (radius < 1)
        answers.append(radius < 1)
        if radius < 1:
            assert found.rate.factor == pytest.approx(radius, rel=1e-9)
            assert found.claimed("ib.mc_stability")
            assert np.allclose(x @ found.law.mean, y, atol=1e-8)
            assert np.allclose(x @ found.law.factor, 0, atol=1e-9)
    assert 10 < sum(answers) < len(answers) - 5


@pytest.mark.parametrize("seed", range(4))
def test_mini_batches(seed):
    rng = np.random.default_rng(200 + seed)
    claimed = refused = 0
    for _ in range(PROBLEMS // 4):
        n, p = int(rng.integers(2, 5)), int(rng.integers(2, 4))
        x = rng.normal(size=(n, p))
        fits = n <= p or rng.random() < 0.5
        y = x @ rng.normal(size=p) if fits else rng.normal(size=n)
        batch = int(rng.integers(1, n))
        rank = int(rng.integers(0, 2))
        training = Training(
            step=float(rng.uniform(0.05, 2.2) / (n * (x**2).sum(axis=1).max()) / (1 + 3 * rank)),
            batch_size=batch,
            samples=1 if rank else None,
        )
        start = GaussianLaw(rng.normal(size=p), rank * rng.normal(size=(p, 1)))
        found = assess(x, y, training=training, start=start)
        if not fits:
            assert found.law is None
            assert any(refusal.theorem == "ib.ls_sgd" for refusal in found.refusals)
            refused += 1
            continue
        steps = []
        for rows in itertools.combinations(range(n), batch):
            scaled = np.sqrt(n / batch) * x[list(rows)]
            steps += (
                sampled_steps(scaled, training, 1) if rank else [(1.0, np.eye(p) - training.step * scaled.T @ scaled)]
            )
        count = len(list(itertools.combinations(range(n), batch)))
        directions = np.kron(np.eye(1 + rank), np.linalg.svd(x, full_matrices=False)[2][: min(n, p)].T)
        radius = second_moments([(weight / count, a) for weight, a in steps], directions)
        if found.law is not None:
            claimed += 1
            assert radius <= found.rate.factor + 1e-12 < 1 + 1e-12
        else:  # above a threshold that is only sufficient nothing is said, in particular not that it diverges
            refused += 1
            assert found.fact("stable step").answer is Answer.CANNOT_BE_CHECKED
    assert claimed > 5
    assert refused > 5


X, Y = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0]]), np.array([1.0, -1.0])
START = GaussianLaw(np.zeros(3), np.eye(3))


@pytest.mark.parametrize(
    ("change", "theorem"),
    [
        *(({"optimiser": name}, "ib.ls_precond") for name in ADAPTIVE),
        ({"weight_decay": 0.1}, "ib.ls_minnorm"),
        *(({"covariance": name}, "ib.param_covariance") for name in ("diagonal", "log_diagonal", "cholesky", "kronecker", "covariance")),
        ({"samples": 3, "redraw": False}, "ib.fixed_noise"),
        ({"samples": 8, "redraw": False}, "ib.fixed_noise"),
        ({"samples": 1, "momentum": 0.9, "nesterov": True}, "ib.mc_stability"),
        ({"batch_size": 1, "momentum": 0.9}, "ib.ls_sgd"),
        ({"batch_size": 1, "covariance_rate": 0.5}, "ib.ls_sgd"),
        ({"batch_size": 1, "samples": 2, "antithetic": True}, "ib.regression_mc"),
        ({"step": 10.0}, "ib.regression_w2"),
    ],
)  # fmt: skip
def test_what_breaks_the_law_is_named(change, theorem):
    plain = Training(step=0.001)
    assert assess(X, Y, training=plain, start=START).law is not None
    found = assess(X, Y, training=replace(plain, **change), start=START)
    assert found.law is None
    assert found.rate is None
    assert not found.claims
    assert [refusal.theorem for refusal in found.refusals] == [theorem]
    assert f"{theorem}" in str(found)


def test_a_point_needs_no_law_of_the_covariance():
    found = assess(X, Y, training=Training(step=0.01, covariance="cholesky", samples=1), start=np.ones(3))
    assert found.claimed("ib.ls_minnorm")
    assert np.allclose(found.law.mean, np.ones(3) + np.linalg.pinv(X) @ (Y - X @ np.ones(3)))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_bayes_is_claimed_at_the_right_end_of_the_dial(power):
    """Metric Sigma_0^power: ensembles at 0, the exact noise-free posterior at 1."""
    rng = np.random.default_rng(0)
    values, vectors = np.array([2.0, 0.5, 1.0]), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    sigma = (vectors * values) @ vectors.T
    sigma = (sigma + sigma.T) / 2
    metric = (vectors * values**power) @ vectors.T
    start = GaussianLaw(rng.normal(size=3), np.linalg.cholesky(sigma))
    training = Training(step=0.01, metric=(metric + metric.T) / 2)
    found = assess(X, Y, training=training, start=start)
    gain = sigma @ X.T @ np.linalg.inv(X @ sigma @ X.T)
    same = np.allclose(covariance(found.law), sigma - gain @ X @ sigma, atol=1e-10)
    assert same == (power == 1.0)
    assert found.claimed("ib.kl_compare") == same
    assert any(refusal.theorem == "ib.kl_compare" for refusal in found.refusals) != same


def test_an_isotropic_prior_ends_at_bayes_and_a_degenerate_one_does_not():
    assert assess(X, Y, training=Training(step=0.01), start=START).claimed("ib.kl_compare")
    thin = GaussianLaw(np.zeros(3), np.array([[1.0], [0.0], [0.0]]))
    found = assess(X, Y, training=Training(step=0.01), start=thin)
    assert "no variance in some direction" in str(found)


def test_undecided_is_said():
    nearly = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-41]])
    found = assess(nearly, np.array([1.0, 2.0]), training=Training(step=0.1))
    assert found.fact("clear rank").answer is Answer.CANNOT_BE_CHECKED
    assert found.law is None
    edge = assess(np.eye(2), np.ones(2), training=Training(step=2.0))
    assert edge.fact("stable step").answer is Answer.CANNOT_BE_CHECKED
    with pytest.raises(LookupError):
        edge.fact("separable")


def test_nothing_to_train():
    found = assess(np.zeros((2, 3)), np.zeros(2), training=Training(step=5.0), start=START)
    assert np.array_equal(found.law.factor, START.factor)
    empty = assess(np.zeros((0, 3)), np.zeros(0), training=Training(step=5.0), start=START)
    assert np.array_equal(empty.law.factor, START.factor)


@pytest.mark.parametrize(
    "bad",
    [
        {"step": 0.0}, {"step": np.nan}, {"momentum": 1.0}, {"nesterov": True}, {"batch_size": 0}, {"samples": 0},
        {"antithetic": True}, {"samples": 3, "antithetic": True}, {"redraw": False}, {"covariance": "low rank"}, {"loss": "hinge"},
        {"optimiser": "lion"}, {"covariance_rate": 0.0}, {"weight_decay": -1.0}, {"momentum": "high"},
    ],
)  # fmt: skip
def test_bad_settings(bad):
    with pytest.raises(InvalidInput):
        Training(**{"step": 0.1, **bad})


def test_bad_problems():
    good = Training(step=0.1)
    for call in (
        lambda: assess(X, training=good),
        lambda: assess(X, Y[:1], training=good),
        lambda: assess(X, Y * np.nan, training=good),
        lambda: assess(X, Y, training=good, start=np.ones(2)),
        lambda: assess(X, Y, training=good, start=GaussianLaw(np.zeros(2), np.eye(2))),
        lambda: assess(X, Y, training=replace(good, metric=-np.ones(3))),
        lambda: assess(X, Y, training=replace(good, metric=np.ones(2))),
        lambda: assess(X, Y, training=0.1),
        lambda: assess(X, Y, training=replace(good, loss="logistic")),
    ):
        with pytest.raises(InvalidInput):
            call()


def test_a_direction_that_float64_cannot_see_is_no_proof_that_nothing_fits():
    x, y = np.diag([1.0, 1e-20]), np.array([0.0, 1.0])  # w = (0, 1e20) fits
    assert assess(x, y, training=Training(step=0.1)).fact("interpolating").answer is Answer.CANNOT_BE_CHECKED
    x[1, 1] = 0.0
    assert assess(x, y, training=Training(step=0.1)).fact("interpolating").answer is Answer.VIOLATED


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_designs_whose_squares_leave_float64(scale):
    with pytest.raises(InvalidInput, match="Rescale"):
        assess(scale * np.eye(2), np.ones(2), training=Training(step=0.1))
    with pytest.raises(InvalidInput, match="Rescale"):
        assess(scale * np.eye(2), training=Training(step=0.1, loss="logistic"))


def test_a_metric_changes_no_solution():
    x, y = np.eye(2, 3), np.array([1.0, -1.0])
    found = assess(x, y, training=Training(step=0.1, metric=np.array([1e-100, 2.0, 1.0])))
    assert found.fact("interpolating").holds
    assert found.fact("clear rank").answer is Answer.CANNOT_BE_CHECKED
    assert found.law is None
