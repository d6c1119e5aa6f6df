"""The stochastic majority vote: I_{1/2} rounded outward, exact risks, the certificate and the training of its concentrations."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.bounds.stochastic_vote import bound_and_gradient
from nonvacuous.numerics.certified.half_beta import half_beta_lower, half_beta_upper
from nonvacuous.theory.balls.stochastic_vote import half_beta_ball, vote_risk_ball

b = nv.bounds
parameters = st.floats(-5, 4).map(lambda x: 10.0**x)


@given(parameters, parameters)
def test_half_beta_encloses(first, second):
    exact = half_beta_ball(first, second, 40)
    with ctx.workdps(50):
        low, high = arb(float(half_beta_lower(first, second))), arb(float(half_beta_upper(first, second)))
        assert low <= exact.upper()
        assert high >= exact.lower()
        assert float((high - exact) / exact) < 1e-10 or high < 1e-300
        assert low >= exact * (1 - arb(10) ** -10) - arb(10) ** -300


@given(parameters, st.floats(-3, 3))
def test_half_beta_where_both_are_close(size, shift):
    first, second = size, size * math.exp(shift / math.sqrt(1 + size))
    exact = half_beta_ball(first, second, 40)
    low, high = float(half_beta_lower(first, second)), float(half_beta_upper(first, second))
    assert low <= float(exact.mid()) <= high
    assert high - low <= 1e-10 * high


def test_half_beta_edges():
    assert half_beta_upper(3.0, 0.0) == half_beta_lower(3.0, 0.0) == 0
    assert half_beta_upper(0.0, 3.0) == half_beta_lower(0.0, 3.0) == 1
    assert half_beta_upper(2.0, 2.0) == pytest.approx(0.5, rel=1e-11, abs=0)
    assert half_beta_upper([1.0, 2.0], [[1.0], [3.0]]).shape == (2, 2)
    assert half_beta_upper(1e4, 10.0) < 1e-300
    assert half_beta_upper(1e-100, 1e-100) == pytest.approx(0.5, rel=1e-9, abs=0)
    for bad in ((0.0, 0.0), (-1.0, 1.0), (1e9, 1.0), (math.nan, 1.0), (1e-200, 1.0)):
        with pytest.raises(InvalidInput):
            half_beta_upper(*bad)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 10**6))
def test_the_risk_is_never_below_the_exact_one(voters, examples, seed):
    rng = np.random.default_rng(seed)
    wrong, a = (rng.random((voters, examples)) < 0.4).astype(int), 10 ** rng.uniform(-2, 2, voters)
    risk, exact = b.stochastic_vote_risk(wrong, a), vote_risk_ball(wrong.tolist(), a.tolist(), 40)
    assert arb(risk) >= exact or risk == 1.0
    assert risk - float(exact.mid()) <= 1e-10


def test_the_risk_against_draws_of_the_weights():
    rng = np.random.default_rng(0)
    wrong, a = rng.random((5, 8)) < 0.4, np.array([3.0, 1.0, 0.5, 2.0, 4.0])
    draws = rng.dirichlet(a, 200_000)
    simulated = (draws @ wrong > 0.5).mean()
    # eight correlated indicators: the standard deviation of their mean is at most 1/2
    assert abs(b.stochastic_vote_risk(wrong, a) - simulated) < 5 * 0.5 / math.sqrt(200_000)


def test_d19_random_weights_are_not_their_mean():
    """Voter weights concentrated at (.6, .2, .2): the vote of the mean follows voter 1, the stochastic vote hardly at low concentrations."""
    wrong = np.array([[1], [0], [0]])
    risks = [b.stochastic_vote_risk(wrong, scale * np.array([0.6, 0.2, 0.2])) for scale in (1.0, 100.0, 10_000.0)]
    assert risks == sorted(risks)
    assert risks[0] < 0.65
    assert risks[2] > 0.999


def make(risk=0.05, a=(1.0, 2.0, 3.0), prior=(1.0, 1.0, 1.0), n=1000, **level):
    return b.stochastic_majority_vote(risk=risk, concentrations=a, prior=prior, n=n, **(level or {"delta": 0.05}))


def test_certificates_recheck():
    for c in (
        make(),
        make(log_inv_delta=690.0),
        make(a=(1.0, 1.0, 1.0)),
        make(risk=0.0),
        make(risk=1.0),
        make(a=(1e-3, 1e3, 5.0)),
    ):
        assert c.check().sound
        assert from_json(json.loads(json.dumps(c.as_json()))).check().sound
    assert make().value > make(a=(1.0, 1.0, 1.0)).value > 0.05
    forged = make()
    assert forged.check().sound
    from dataclasses import replace

    assert not replace(forged, inputs={**forged.inputs, "concentrations": (1.0, 2.0, 30.0)}).check().sound
    with pytest.raises(InvalidInput):
        replace(forged, inputs={**forged.inputs, "prior": (1.0, 1.0)}).check()


@pytest.mark.parametrize(
    "bad",
    [
        {"risk": -0.1}, {"risk": math.nan}, {"a": (1.0, 2.0)}, {"a": (0.0, 1.0, 1.0)}, {"a": (math.nan, 1.0, 1.0)}, {"prior": (-1.0, 1.0, 1.0)},
        {"n": 0}, {"n": 1.5}, {"delta": 0.0}, {"delta": 1.0}, {"a": ()}, {"a": (1e9, 1.0, 1.0)},
    ],
)  # fmt: skip
def test_bad_input(bad):
    with pytest.raises(InvalidInput):
        make(**{"delta": 0.05, **bad})


@pytest.mark.parametrize(
    "wrong", [np.full((2, 3), 0.5), np.zeros(3), np.zeros((2, 0)), np.zeros((3, 4)), [[math.nan, 0], [0, 1]]]
)
def test_bad_votes(wrong):
    with pytest.raises(InvalidInput):
        b.stochastic_vote_risk(wrong, [1.0, 1.0])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rng.random((8, 1000)) < np.linspace(0.05, 0.45, 8)[:, None]


def test_training_improves_the_certificate(problem):
    prior = np.ones(8)
    fit = b.fit_dirichlet(problem, prior, delta=0.05, seed=0)
    assert fit.converged
    assert fit.gradient <= 1e-8
    untrained, trained = (
        b.stochastic_majority_vote(
            risk=b.stochastic_vote_risk(problem, a), concentrations=a, prior=prior, n=1000, delta=0.05
        )
        for a in (prior, fit.concentrations)
    )
    assert trained.value < 0.6 * untrained.value
    assert trained.value == pytest.approx(fit.objective, rel=1e-9, abs=0)
    assert trained.check().sound
    again = b.fit_dirichlet(problem, prior, delta=0.05, seed=0, restarts=1)
    assert again.objective <= fit.objective * (1 + 1e-12)


def test_the_gradient(problem):
    patterns, counts = np.unique(problem.T, axis=0, return_counts=True)
    lost, share = patterns.astype(float), counts / 1000
    rng = np.random.default_rng(1)
    for x in (rng.normal(size=8), rng.normal(size=8) + 3):
        slope = bound_and_gradient(x, lost, share, np.ones(8), 1000, 6.0)[1]
        numeric = np.array([
            (bound_and_gradient(x + h, lost, share, np.ones(8), 1000, 6.0)[0] - bound_and_gradient(x - h, lost, share, np.ones(8), 1000, 6.0)[0]) / 2e-5
            for h in 1e-5 * np.eye(8)
        ])  # fmt: skip
        assert np.abs(slope - numeric).max() < 1e-7 * np.abs(slope).max()
