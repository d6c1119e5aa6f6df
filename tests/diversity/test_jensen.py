"""Second-order Jensen bounds, ensembles, temperatures: worked numbers, orders, identities, pitfalls, refusals."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nonvacuous.numerics.diversity.cold_posterior import cold_posterior, tempered_weights
from nonvacuous.numerics.diversity.cumulants import cumulants, variance_balance
from nonvacuous.numerics.diversity.ensembles import ensemble_report
from nonvacuous.numerics.diversity.jensen import jensen_bounds, jensen_terms, liao_berg_weight
from nonvacuous.theory.balls.jensen import liao_berg_ball
from nonvacuous.theory.errors import InvalidInput

WORKED = -np.log([[0.9, 0.2, 0.6], [0.5, 0.7, 0.1]])
loss_arrays = arrays(np.float64, (4, 3), elements=st.floats(0, 30))
weight_vectors = arrays(np.float64, 4, elements=st.floats(0.01, 1)).map(lambda w: w / w.sum())


def test_worked_example():
    found = jensen_bounds(WORKED)
    digits = {"average_loss": 0.9296718782, "ensemble_loss": 0.7350015882, "gap": 0.1946702900}
    digits |= {"second_order": 0.0584241413, "tight": 0.1078039581}
    for name, value in digits.items():
        assert abs(found[name] - value) <= 0.5e-10, name


@given(loss_arrays, weight_vectors)
def test_e15_second_order_below_tight_below_gap(losses, rho):
    terms = jensen_terms(losses, weights=rho)
    scale = 1e-13 * (1 + losses.max())
    assert (terms.second_order >= 0).all()
    assert (terms.second_order <= terms.tight * (1 + 1e-13) + 1e-300).all()
    assert (terms.tight <= terms.gap + scale).all()


@given(loss_arrays, weight_vectors)
def test_e14_identities_on_random_arrays(losses, rho):
    """Diversity identity and total variance, to 1e-12 of their scale."""
    scale = 1 + losses.max() ** 2
    p = np.exp(-losses)
    found = jensen_bounds(losses, weights=rho)
    assert found["gap"] == pytest.approx(float(np.mean(rho @ losses + np.log(rho @ p))), abs=1e-12 * scale)
    assert abs(variance_balance(losses, weights=rho).residual) <= 1e-12 * scale
    three = cumulants(losses, 0.7, weights=rho)
    assert three.smoothness_of_average <= three.average_smoothness + 1e-12 * scale
    assert three.diversity == pytest.approx(found["gap"], rel=1e-12, abs=0)


def test_weight_against_its_definition():
    t = np.concatenate([np.linspace(1e-9, 1, 999, endpoint=False), 1 - 10.0 ** np.linspace(-15, -1, 60)])
    values = liao_berg_weight(t)
    with ctx.workdps(60):
        for mean, value in zip(t.tolist(), values.tolist(), strict=True):
            exact = liao_berg_ball(arb(1), arb(mean))
            assert abs(arb(value) - exact) <= exact * 1e-14
            assert exact > 0.5
    assert liao_berg_weight(1.0) == 0.5


def test_pitfall_the_closed_form_near_one_and_four_terms_lose_digits():
    """pb.jensen2: four terms below 1e-3 give 2e-12, the closed form there 3e-13; fourteen terms below 0.05 do better than both."""
    d = 2.0**-10
    with ctx.workdps(60):
        exact = float(liao_berg_ball(arb(1), arb(1) - arb(d)))
    four = sum((k + 1) / (k + 2) * d**k for k in range(4))
    closed = math.log1p(-d) / d**2 + 1 / ((1 - d) * d)
    ours = float(liao_berg_weight(1 - d, d))
    assert abs(ours / exact - 1) <= 2.3e-16
    assert abs(four / exact - 1) > 1e-12
    assert abs(closed / exact - 1) > abs(ours / exact - 1)


def test_pitfall_clipped_logarithm_gives_no_bound():
    """ln t clipped to [-10, -0.01], as published: the weight is up to 1.3 percent too large, and V_h exceeds the gap."""
    losses = np.array([[0.1], [0.101]])
    terms = jensen_terms(losses)
    clipped = float(liao_berg_weight(math.exp(-0.01)))
    assert 1.013 < clipped / 0.5 < 1.0135
    variance = 2 * float(terms.second_order[0])
    assert clipped * variance > float(terms.gap[0]) > float(terms.tight[0])


def test_pitfall_m_for_mu_makes_the_weight_negative():
    t = np.linspace(0.01, 0.99, 50)
    assert (np.log(t) / (1 - t) ** 2 + 1 / (1 - t) < 0).all()
    assert (liao_berg_weight(t) > 0).all()


def test_densities_and_offsets():
    """Only ratios to the best model matter: a constant added to all log-losses of an example changes nothing but the losses."""
    shifted = WORKED - np.array([5.0, 700.0, 1e6])
    a, b = jensen_terms(WORKED), jensen_terms(shifted)
    for name in ("gap", "second_order", "tight"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-9)
    np.testing.assert_allclose(jensen_terms(WORKED * 1e-9).gap, (WORKED * 1e-9).var(axis=0) / 2, rtol=1e-6)
    assert jensen_bounds([[0.0, 1e5], [1e5, 0.0]])["gap"] == pytest.approx(5e4 - math.log(2), rel=1e-12, abs=0)


def test_members_that_agree_have_no_diversity():
    for value in jensen_bounds(np.ones((3, 4))).values():
        assert value in (0.0, 1.0)
    assert ensemble_report([[1, 2], [1, 2]], [1, 3], loss="squared").diversity == 0
    assert ensemble_report([[1, 2], [1, 2]], [1, 3], loss="zero_one").diversity == 0


def test_models_of_weight_zero_do_not_count():
    with_idle = np.vstack([WORKED, [[0.0, 0.0, 0.0]]])
    assert jensen_bounds(with_idle, weights=[0.5, 0.5, 0.0]) == jensen_bounds(WORKED)


@given(arrays(np.float64, (3, 4), elements=st.floats(-100, 100)), arrays(np.float64, 4, elements=st.floats(-100, 100)))
def test_ambiguity_decomposition(f, y):
    report = ensemble_report(f, y, loss="squared")
    assert abs(report.slack) <= 1e-12 * (1 + report.average_loss)


@given(arrays(np.int64, (5, 6), elements=st.integers(0, 2)), arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_majority_vote_is_below_four_joint_errors(votes, y):
    report = ensemble_report(votes, y, loss="zero_one")
    assert report.slack >= -1e-12
    wrong = (votes != y).mean(axis=0)
    assert report.average_loss - report.diversity == pytest.approx(float(np.mean(wrong**2)), abs=1e-14)


@given(
    arrays(np.float64, (3, 4), elements=st.integers(0, 3).map(float)),
    arrays(np.float64, 4, elements=st.integers(0, 3).map(float)),
)
def test_slack_is_what_the_inequality_leaves(f, y):
    for loss, targets in (("squared", y), ("zero_one", y), ("cross_entropy", None)):
        r = ensemble_report(f, targets, loss=loss, weights=[0.5, 0.3, 0.2])
        assert r.slack == pytest.approx(r.alpha * (r.average_loss - r.diversity) - r.ensemble_loss, abs=1e-12)
        assert r.slack >= -1e-12


def test_a_tie_is_an_error():
    assert ensemble_report([[0.0], [1.0]], [0.0], loss="zero_one").ensemble_loss == 1.0
    assert ensemble_report([[0.0], [1.0], [2.0]], [0.0], loss="zero_one", weights=[0.4, 0.3, 0.3]).ensemble_loss == 0.0


def test_cold_posterior_slopes_by_central_differences():
    """pb.cpe: to 1e-10, with mpmath."""
    rng = np.random.default_rng(4)
    train, test = rng.exponential(size=(4, 6)), rng.exponential(size=(4, 5))
    prior = np.array([0.4, 0.3, 0.2, 0.1])

    def bayes(temper):
        with mpmath.workdps(40):
            w = [
                mpmath.mpf(p) * mpmath.exp(-temper * mpmath.fsum(map(mpmath.mpf, row)))
                for p, row in zip(prior, train, strict=True)
            ]
            z = mpmath.fsum(w)
            return (
                sum(
                    -mpmath.log(sum(a * mpmath.exp(-mpmath.mpf(t)) for a, t in zip(w, column, strict=True)) / z)
                    for column in test.T
                )
                / test.shape[1]
            )

    with mpmath.workdps(40):
        step = mpmath.mpf(10) ** -9
        slope = (bayes(1 + step) - bayes(1 - step)) / (2 * step)
    found = cold_posterior(train, test, weights=tempered_weights(train, 1.0, prior=prior))
    assert found.bayes_slope == pytest.approx(float(slope), abs=1e-10)
    assert found.train_slope < 0


def test_a_test_set_equal_to_the_train_set_has_a_negative_slope():
    """Absorbing one more of the same points lowers the training loss."""
    rng = np.random.default_rng(5)
    losses = rng.exponential(size=(6, 1)) + 0.01 * rng.exponential(size=(6, 3))
    found = cold_posterior(losses, losses, weights=tempered_weights(losses, 1.0))
    assert found.bayes_slope < 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: jensen_bounds([1.0, 2.0]),
        lambda: jensen_bounds(np.zeros((0, 3))),
        lambda: jensen_bounds([[math.nan, 1.0]]),
        lambda: jensen_bounds([[math.inf, 1.0]]),
        lambda: jensen_bounds(WORKED, weights=[0.5]),
        lambda: jensen_bounds(WORKED, weights=[0.5, 0.6]),
        lambda: jensen_bounds(WORKED, weights=[1.5, -0.5]),
        lambda: liao_berg_weight(0.0),
        lambda: liao_berg_weight(1.1),
        lambda: ensemble_report(WORKED, loss="hinge"),
        lambda: ensemble_report(WORKED, [1, 2, 3], loss="cross_entropy"),
        lambda: ensemble_report(WORKED, loss="squared"),
        lambda: ensemble_report(WORKED, [1, 2], loss="squared"),
        lambda: cold_posterior(WORKED, WORKED[:1]),
        lambda: tempered_weights(WORKED, math.nan),
        lambda: cumulants(WORKED, 0.0),
    ],
)
def test_refused(call):
    with pytest.raises(InvalidInput):
        call()
