"""Expected losses of Gaussian linear models: high precision, the quadrature's promise, gradients, edges."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.numerics.implicit_bias.expected_losses import (
    expected_hessian,
    expected_loss,
    logistic_expectations,
)
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.least_squares import null_projector
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

LOGISTIC = (
    lambda u: mpmath.log1p(mpmath.exp(-u)),
    lambda u: -1 / (1 + mpmath.exp(u)),
    lambda u: 1 / (2 + mpmath.exp(u) + mpmath.exp(-u)),
)


def integral(function, mean, deviation):
    """E function(u) at 22 digits; split where the logistic function turns and where exp(-u) puts its mass."""
    with mpmath.workdps(22):
        s, m = mpmath.mpf(deviation), mpmath.mpf(mean)
        turns = [-m / s + d / s for d in (-40, -10, 0, 10, 40)]
        cuts = [-15 - s, 15, -s, 0, *turns]
        points = sorted({z for z in cuts if -15 - s <= z <= 15})
        # scaled so that the quadrature's absolute accuracy is a relative one
        scale = mpmath.exp(max(m - s**2 / 2, 0))
        return mpmath.quad(lambda z: scale * function(m + s * z) * mpmath.npdf(z), points) / scale


@pytest.mark.parametrize("deviation", [1e-3, 2.0])
@pytest.mark.parametrize("mean", [-30.0, 0.5, 50.0])
def test_logistic_expectations_keep_relative_accuracy_up_to_a_deviation_of_two(mean, deviation):
    found = np.ravel(logistic_expectations([mean], [deviation]))
    exact = np.array([float(integral(f, mean, deviation)) for f in LOGISTIC])
    np.testing.assert_allclose(found, exact, rtol=(300 + 2 * abs(mean)) * 2.0**-53 + 1e-17, atol=0)


@pytest.mark.parametrize("deviation", [2.001, 60.0])
@pytest.mark.parametrize("mean", [-200.0, 0.5, 30.0])
def test_wider_margins_are_accurate_to_rounding_too(mean, deviation):
    found = np.ravel(logistic_expectations([mean], [deviation]))
    exact = np.array([float(integral(f, mean, deviation)) for f in LOGISTIC])
    assert np.all(np.abs(found - exact) <= 2e-14 * np.maximum(1, np.abs(exact)))


@pytest.mark.parametrize(("nodes", "variance"), [(60, 0.3), (60, 1.0), (140, 2.0), (140, 4.0)])
def test_gauss_hermite_with_the_prescribed_nodes_agrees_to_twelve_digits(nodes, variance):
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    mean = np.linspace(-4, 4, 9)
    margins = mean[:, None] + np.sqrt(variance) * points
    rule = (np.logaddexp(0, -margins) @ weights) / np.sqrt(2 * np.pi)
    value, _, _ = logistic_expectations(mean, np.full(9, np.sqrt(variance)))
    np.testing.assert_allclose(value, rule, rtol=0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.floats(-20, 20), st.floats(0, 30))
def test_the_two_rules_and_the_three_expectations_belong_together(mean, deviation):
    # d/dm E phi = E phi' and d/dm E phi' = E phi'', by central differences.
    h = 1e-4
    up, down, here = (np.ravel(logistic_expectations([mean + d], [deviation])) for d in (h, -h, 0.0))
    # truncation h^2/6 of a third derivative below 1/4, rounding 1e-13/h of values of the size of the margin
    allowed = h**2 / 24 + 4e-14 * (1 + abs(mean) + deviation) / h
    assert abs((up[0] - down[0]) / (2 * h) - here[1]) <= allowed
    assert abs((up[1] - down[1]) / (2 * h) - here[2]) <= allowed
    assert here[0] > 0
    assert -1 <= here[1] < 0
    assert 0 < here[2] <= 0.25 * (1 + 1e-14)
    # Jensen's inequality
    assert here[0] >= np.logaddexp(0, -mean) * (1 - 1e-13)


def test_no_jump_where_the_rule_changes():
    mean = np.linspace(-30, 30, 61)
    below, above = (logistic_expectations(mean, np.full(61, s)) for s in (2.0, np.nextafter(2.0, 3)))
    for one, two in zip(below, above, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=2e-14 * 30)


@pytest.mark.parametrize("loss", ["squared", "exponential", "logistic"])
def test_gradients_stay_in_the_rows_and_equal_the_hessian_times_the_factor(loss):
    rng = np.random.default_rng(3)
    x, law = rng.normal(size=(3, 6)), GaussianLaw(rng.normal(size=6), 0.3 * rng.normal(size=(6, 4)))
    targets = rng.normal(size=3) if loss == "squared" else None
    found = expected_loss(x, law, loss=loss, targets=targets)
    hessian = expected_hessian(x, law, loss=loss, targets=targets)
    np.testing.assert_allclose(
        found.factor_gradient, hessian @ law.factor, rtol=0, atol=1e-14 * np.linalg.norm(hessian) * 3
    )
    outside = null_projector(x) @ np.column_stack([found.mean_gradient, found.factor_gradient])
    assert np.abs(outside).max() < 1e-14 * np.linalg.norm(hessian) * 9
    assert np.linalg.eigvalsh(hessian)[0] > -1e-14 * np.linalg.norm(hessian)


def test_a_point_mass_has_the_loss_of_its_point():
    rng = np.random.default_rng(4)
    x, w, y = rng.normal(size=(4, 3)), rng.normal(size=3), rng.normal(size=4)
    point = GaussianLaw(w, np.zeros((3, 2)))
    u = x @ w
    assert expected_loss(x, point, loss="squared", targets=y).value == pytest.approx(
        np.sum((y - u) ** 2) / 2, rel=1e-14
    )
    assert expected_loss(x, point, loss="exponential").value == pytest.approx(np.exp(-u).sum(), rel=1e-14)
    assert expected_loss(x, point, loss="logistic").value == pytest.approx(np.logaddexp(0, -u).sum(), rel=1e-14)
    assert not expected_loss(x, point, loss="logistic").factor_gradient.any()


def test_no_examples_no_loss():
    found = expected_loss(np.zeros((0, 3)), GaussianLaw(np.ones(3), np.eye(3)), loss="logistic")
    assert found.value == 0
    assert not found.mean_gradient.any()
    assert found.factor_gradient.shape == (3, 3)


LAW = GaussianLaw(np.zeros(2), np.eye(2))


@pytest.mark.parametrize(
    "call",
    [
        lambda: expected_loss(np.eye(2), LAW, loss="hinge"),
        lambda: expected_loss(np.eye(2), LAW, loss="squared"),
        lambda: expected_loss(np.eye(2), LAW, loss="logistic", targets=np.ones(2)),
        lambda: expected_loss(np.eye(2), LAW, loss="squared", targets=np.ones(3)),
        lambda: expected_loss(np.eye(3), LAW, loss="logistic"),
        lambda: expected_loss(np.eye(2), np.eye(2), loss="logistic"),
        lambda: expected_loss([[np.nan, 1.0]], LAW, loss="logistic"),
        lambda: expected_hessian(np.ones(2), LAW, loss="logistic"),
        lambda: logistic_expectations([0.0], [-1.0]),
        lambda: logistic_expectations([0.0, 1.0], [1.0]),
        lambda: logistic_expectations([np.inf], [1.0]),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_an_overflowing_exponential_loss_is_an_error_and_no_number():
    with pytest.raises(NumericalFailure, match="exp\\(v/2\\)"):
        expected_loss(100 * np.eye(2), LAW, loss="exponential")
