"""Constants of potentials, flows and their refusals that larger checks cannot see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nonvacuous.numerics.implicit_bias.covariance_parameters import cholesky_limit, log_scale_flow
from nonvacuous.numerics.implicit_bias.gaussian_flow import gaussian_flow
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.mirror import (
    ENTROPY,
    EUCLIDEAN,
    bregman_solution,
    diagonal_network_limit,
    diagonal_network_potential,
    hypentropy,
)
from nonvacuous.numerics.training.separable import descend_separable, flow_separable, objective
from nonvacuous.theory.errors import AssumptionViolated, InvalidInput, NumericalFailure


@pytest.mark.parametrize("potential", [EUCLIDEAN, ENTROPY, hypentropy(0.3), hypentropy(40.0)], ids=lambda p: p.name)
def test_a_potential_is_one_function(potential):
    """primal inverts dual, is the derivative of the conjugate, and has the slope: by central differences of a sixth-order rule."""
    theta, h = np.linspace(-2.0, 1.5, 8), 1e-2

    def derivative(f):
        weights = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
        return sum(c * (f(theta + k * h) - f(theta - k * h)) for k, c in weights) / h

    w = potential.primal(theta)
    np.testing.assert_allclose(potential.dual(w), theta, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(derivative(potential.conjugate), w, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(derivative(potential.primal), potential.slope(theta), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_the_potential_of_diagonal_networks_by_integration(alpha):
    """Q(0) = 0 and Q' = asinh(beta/(2 alpha^2))/1, the dual of hypentropy(2 alpha^2): by a composite Gauss rule."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    beta = np.array([-3.0, 0.0, 0.2, 5.0])
    for single in beta:
        t = single * (1 + nodes) / 2
        expected = single / 2 * float(weights @ np.arcsinh(t / (2 * alpha**2)))
        assert diagonal_network_potential([single], alpha=alpha) == pytest.approx(expected, rel=1e-10, abs=1e-15)
    total = sum(diagonal_network_potential([b], alpha=alpha) for b in beta)
    assert diagonal_network_potential(beta, alpha=alpha) == pytest.approx(total, rel=1e-13)


def test_an_interpolation_that_overflows_is_a_failure_of_the_method_and_not_of_the_data():
    x, y = np.array([[1.0, 0.3, 0.7], [0.2, 1.1, -0.4]]), np.array([1e150, 0.7e150])
    with pytest.raises(NumericalFailure, match="stalled"):
        bregman_solution(x, y, np.zeros(3), potential=hypentropy(1e-130))
    with pytest.raises(AssumptionViolated, match="no admissible"):
        bregman_solution(np.vstack([x, x[:1]]), np.array([1.0, 0.7, 1.1]), np.zeros(3), potential=hypentropy(1.0))
    with pytest.raises(InvalidInput):
        diagonal_network_limit([1.0, 2.0], [1.0], alpha=1.0)


def test_the_flow_is_resolved_relative_to_where_it_starts():
    """Units do not matter: a start of size 1e-9 is followed as accurately as one of size 1, and 0 stays 0."""
    x, times = np.array([[1.0, 0.5], [0.2, -1.0]]), [0.3, 2.0]
    start = GaussianLaw(np.array([1.0, -2.0]), np.array([[0.5, 0.1], [0.3, -0.7]]))
    whole = gaussian_flow(x, start, loss="squared", targets=np.zeros(2), times=times)
    for scale in (1e-9, 1e6):
        small = GaussianLaw(scale * start.mean, scale * start.factor)
        path = gaussian_flow(x, small, loss="squared", targets=np.zeros(2), times=times)
        for found, expected in zip(path, whole, strict=True):
            np.testing.assert_allclose(found.mean, scale * expected.mean, rtol=1e-9)
            np.testing.assert_allclose(found.factor, scale * expected.factor, rtol=1e-9)
    below = GaussianLaw(np.array([-1.0, -2.0]), -np.ones((2, 1)))
    (end,) = gaussian_flow(x, below, loss="squared", targets=np.zeros(2), times=[1.0])
    (other,) = gaussian_flow(
        x, GaussianLaw(-below.mean, -below.factor), loss="squared", targets=np.zeros(2), times=[1.0]
    )
    np.testing.assert_allclose(end.mean, -other.mean, rtol=1e-12)
    rest = GaussianLaw(np.zeros(2), np.zeros((2, 2)))
    (end,) = gaussian_flow(x, rest, loss="squared", targets=np.zeros(2), times=[1.0])
    assert not end.mean.any()
    assert not end.factor.any()


def test_a_negative_time_or_scale_anywhere_and_a_loose_tolerance_are_refused():
    x, law = np.eye(2), GaussianLaw(np.zeros(2), np.eye(2))
    with pytest.raises(InvalidInput, match="times"):
        gaussian_flow(x, law, loss="exponential", times=[-1.0, 2.0])
    for tolerance in (1.0, 1.5, 1e-14):
        with pytest.raises(InvalidInput, match="tolerance"):
            gaussian_flow(x, law, loss="exponential", times=[1.0], tolerance=tolerance)
    with pytest.raises(InvalidInput, match="scales"):
        log_scale_flow(x, [-1.0, 2.0], time=1.0)
    upper = GaussianLaw(np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(InvalidInput, match="triangular"):
        cholesky_limit(x, np.zeros(2), upper)
    assert math.isfinite(log_scale_flow(x, [1.0, 2.0], time=0.0).sum())


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_forces_and_values_are_gaussian_averages(loss):
    """E phi, -E phi' and E phi'' of m + sqrt(v) z, by the trapezoidal rule, times exp(shift)."""
    z = np.linspace(-12, 12, 4001)
    weight = np.exp(-z * z / 2)
    weight /= weight.sum()
    m, v = np.array([-0.7, 0.4, 2.0]), np.array([0.0, 0.5, 1.7])
    u = m[:, None] + np.sqrt(v)[:, None] * z
    if loss == "exponential":
        value, push, pull = np.exp(-u), np.exp(-u), np.exp(-u)
    else:
        sigmoid = 1 / (1 + np.exp(u))
        value, push, pull = np.log1p(np.exp(-u)), sigmoid, sigmoid * (1 - sigmoid)
    f = objective(loss)
    assert f.value(m, v) == pytest.approx((value @ weight).sum(), rel=1e-9)
    for shift in (0.0, 3.0):
        np.testing.assert_allclose(f.push(m, v, shift), math.exp(shift) * push @ weight, rtol=1e-9)
        np.testing.assert_allclose(f.pull(m, v, shift), math.exp(shift) * pull @ weight, rtol=1e-9)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_descent_and_flow_by_hand(loss):
    """Three steps and a short time, with a metric and another rate of the factor; losses are those of the recorded states."""
    x = np.array([[1.0, 0.4, -0.2], [0.3, 1.2, 0.5]])
    mean, factor = np.array([0.1, -0.2, 0.3]), np.array([[0.4, 0.1], [0.0, 0.3], [-0.2, 0.2]])
    metric, f = np.diag([1.0, 2.0, 0.5]), objective(loss)

    def velocity(m, s):
        a, c = x @ m, x @ s
        v = (c**2).sum(axis=1)
        return metric @ x.T @ f.push(a, v, 0.0), -0.5 * metric @ x.T @ (f.pull(a, v, 0.0)[:, None] * c)

    def value(m, s):
        return f.value(x @ m, ((x @ s) ** 2).sum(axis=1))

    options = {"loss": loss, "factor_ratio": 0.5, "metric": metric}
    path = descend_separable(x, mean, factor, step=0.3, record=[0, 1, 3], **options)
    m, s, states = mean, factor, [(mean, factor)]
    for _ in range(3):
        dm, ds = velocity(m, s)
        m, s = m + 0.3 * dm, s + 0.3 * ds
        states.append((m, s))
    for k, t in enumerate((0, 1, 3)):
        np.testing.assert_allclose(path.means[k], states[t][0], rtol=1e-13)
        np.testing.assert_allclose(path.factors[k], states[t][1], rtol=1e-12, atol=1e-15)
        assert path.losses[k] == pytest.approx(value(*states[t]), rel=1e-13)
    # the flow, by the midpoint rule in t = e^tau - 1 with h and h/2, whose difference is three times the error of the second
    tau, ends = 0.4, []
    for count in (200, 400):
        h, m, s = math.expm1(tau) / count, mean, factor
        for _ in range(count):
            dm, ds = velocity(m, s)
            dm, ds = velocity(m + h / 2 * dm, s + h / 2 * ds)
            m, s = m + h * dm, s + h * ds
        ends.append((m, s))
    error = max(float(np.abs(one - two).max()) for one, two in zip(*ends, strict=True))
    assert error < 1e-5
    for method in ("DOP853", "LSODA"):
        flow = flow_separable(x, mean, factor, record=[0.0, tau], method=method, **options)
        np.testing.assert_allclose(flow.means[-1], m, rtol=0, atol=error)
        np.testing.assert_allclose(flow.factors[-1], s, rtol=0, atol=error)
        for k, state in enumerate(zip(flow.means, flow.factors, strict=True)):
            assert flow.losses[k] == pytest.approx(value(*state), rel=1e-13)


@pytest.mark.parametrize("record", [[], [-1, 2], [1, 1], [3, 2]])
def test_each_wrong_record_is_refused(record):
    x, mean, factor = np.eye(2), np.zeros(2), np.eye(2)
    with pytest.raises(InvalidInput):
        descend_separable(x, mean, factor, step=0.1, record=record)
    with pytest.raises(InvalidInput):
        flow_separable(x, mean, factor, record=record)


@pytest.mark.parametrize("change", [{"step": 0.0}, {"step": -1.0}, {"x": np.eye(3)}, {"factor": np.eye(3)}, {"x": np.zeros((0, 2))}])  # fmt: skip
def test_each_wrong_problem_is_refused(change):
    given = {"x": np.eye(2), "mean": np.zeros(2), "factor": np.eye(2), "step": 0.1} | change
    with pytest.raises(InvalidInput):
        descend_separable(given["x"], given["mean"], given["factor"], step=given["step"], record=[1])


def test_runs_keep_their_start_and_blow_up_by_name():
    x, mean, factor = np.eye(2), np.zeros(2), np.eye(2)
    descend_separable(x, mean, factor, step=0.1, record=[3])
    assert not mean.any()
    assert np.array_equal(factor, np.eye(2))
    with pytest.raises(NumericalFailure, match="blew up"):
        descend_separable(x, mean, 9 * factor, step=1.0, record=[50])


def test_a_bregman_solution_has_the_units_of_its_data():
    """Targets, start and scale times c: the solution times c, to the same relative accuracy."""
    rng = np.random.default_rng(5)
    x, y, start = rng.normal(size=(2, 5)), rng.normal(size=2), 0.1 * rng.normal(size=5)
    whole = bregman_solution(x, y, start, potential=hypentropy(0.3))
    for c in (1e-9, 1e9):
        found = bregman_solution(x, c * y, c * start, potential=hypentropy(c * 0.3))
        np.testing.assert_allclose(found, c * whole, rtol=0, atol=1e-10 * c * np.abs(whole).max())
