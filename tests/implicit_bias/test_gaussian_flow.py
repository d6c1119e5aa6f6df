"""The Wasserstein gradient flow of the expected loss over Gaussian laws: closed cases, conserved numbers, slopes, refusals."""

import itertools

import numpy as np
import pytest
from scipy.special import erf

from nonvacuous.numerics.implicit_bias.ensemble_law import ensemble_flow_law
from nonvacuous.numerics.implicit_bias.expected_losses import expected_loss
from nonvacuous.numerics.implicit_bias.gaussian_flow import flow_velocity, gaussian_flow
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from nonvacuous.numerics.implicit_bias.least_squares import null_projector
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

LOSSES = ("squared", "exponential", "logistic")


def problem(seed=0, n=3, p=4, rank=2):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, p)),
        rng.normal(size=n),
        GaussianLaw(rng.normal(size=p), 0.4 * rng.normal(size=(p, rank))),
    )


def given(loss, y):
    return {"loss": loss, "targets": y if loss == "squared" else None}


def test_for_the_squared_loss_it_is_the_closed_form():
    x, y, law = problem()
    times = (0.0, 0.1, 1.0, 3.0)
    for t, found in zip(times, gaussian_flow(x, law, times=times, **given("squared", y)), strict=True):
        assert wasserstein2(found, ensemble_flow_law(x, y, law, time=t)) < 1e-9


def test_one_example_with_exponential_loss_follows_its_implicit_solution():
    # s e^m is conserved and b t = F(e^m) - F(e^m_0), F(Y) = Y exp(-c/Y^2) + sqrt(pi c) erf(sqrt c / Y), b = ||x||^2.
    x = np.array([[1.0, -0.5, 2.0]])
    law = GaussianLaw(np.array([0.2, 0.1, -0.3]), np.array([[0.3, 0.1], [0.0, 0.5], [0.2, -0.4]]))
    start, spread = float(x[0] @ law.mean), np.linalg.norm(x @ law.factor)
    c = spread**2 * np.exp(2 * start) / 2

    def clock(y):
        return y * np.exp(-c / y**2) + np.sqrt(np.pi * c) * erf(np.sqrt(c) / y)

    for t, found in zip(
        (0.5, 5.0, 100.0), gaussian_flow(x, law, loss="exponential", times=(0.5, 5.0, 100.0)), strict=True
    ):
        margin = float(x[0] @ found.mean)
        assert np.linalg.norm(x @ found.factor) * np.exp(margin) == pytest.approx(spread * np.exp(start), rel=1e-8)
        assert clock(np.exp(margin)) - clock(np.exp(start)) == pytest.approx(5.25 * t, rel=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_velocity_is_the_derivative_of_the_flow_and_the_loss_falls_by_its_square(loss):
    x, y, law = problem(1)
    h = 1e-4
    found = flow_velocity(x, law, **given(loss, y))
    before, after = gaussian_flow(x, law, times=(h, 2 * h), **given(loss, y))
    change = (4 * covariance(before) - 3 * covariance(law) - covariance(after)) / (2 * h)
    size = 1 + np.abs(found.covariance).max()
    # truncation of the one-sided difference: h^2/3 times a third derivative, here below 1e3 times the velocity
    assert np.abs(change - found.covariance).max() <= 1e-5 * size
    losses = [expected_loss(x, q, **given(loss, y)).value for q in (law, before, after)]
    slope = (4 * losses[1] - 3 * losses[0] - losses[2]) / (2 * h)
    assert slope == pytest.approx(-(found.speed**2), rel=1e-4)
    assert wasserstein2(law, before) == pytest.approx(h * found.speed, rel=1e-2)


@pytest.mark.parametrize("loss", LOSSES)
def test_spread_never_grows_and_nothing_leaves_the_rows(loss):
    x, y, law = problem(2)
    laws = [law, *gaussian_flow(x, law, times=(0.1, 0.5, 2.0, 10.0), **given(loss, y))]
    for earlier, later in itertools.pairwise(laws):
        change = earlier.factor.T @ earlier.factor - later.factor.T @ later.factor
        assert np.linalg.eigvalsh(change)[0] > -1e-9
        moved = np.column_stack([later.mean - law.mean, later.factor - law.factor])
        assert np.abs(null_projector(x) @ moved).max() < 1e-12


def test_turning_the_factor_turns_nothing_else():
    x, _, law = problem(3)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    turned = GaussianLaw(law.mean, law.factor @ turn)
    one, two = (gaussian_flow(x, q, loss="logistic", times=(1.0,))[0] for q in (law, turned))
    assert wasserstein2(one, two) < 1e-9
    first, second = (flow_velocity(x, q, loss="logistic") for q in (law, turned))
    np.testing.assert_allclose(first.covariance, second.covariance, atol=1e-14)
    assert first.speed == pytest.approx(second.speed, rel=1e-13)


X, Y, LAW = problem()


@pytest.mark.parametrize(
    "call",
    [
        lambda: gaussian_flow(X, LAW, loss="logistic", times=()),
        lambda: gaussian_flow(X, LAW, loss="logistic", times=(1.0, 1.0)),
        lambda: gaussian_flow(X, LAW, loss="logistic", times=(-1.0,)),
        lambda: gaussian_flow(X, LAW, loss="logistic", times=(1.0,), tolerance=0.0),
        lambda: gaussian_flow(X, LAW, loss="squared", times=(1.0,)),
        lambda: flow_velocity(X[:, :2], LAW, loss="logistic"),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_a_loss_that_overflows_is_an_error():
    with pytest.raises(NumericalFailure):
        gaussian_flow(100 * X, GaussianLaw(LAW.mean, 10 * LAW.factor), loss="exponential", times=(1.0,))
