"""PAC2-Bayes and the combined bound: certificates that verify, special cases, orders, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nonvacuous.errors import DeltaOverspent, InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.bounds.chernoff import pac_bayes_chernoff
from nonvacuous.numerics.bounds.ensembles import diversity_down, ensemble_chernoff
from nonvacuous.numerics.bounds.pac2 import pac2, pac2_oracle, pair_log_loss
from nonvacuous.numerics.bounds.seeger import seeger_kl
from nonvacuous.numerics.large_deviations import KnownLaws
from nonvacuous.theory.balls.jensen import diversity_ball
from nonvacuous.theory.balls.pac2 import pair_loss_ball
from nonvacuous.theory.statement import Kind

shares = st.floats(0, 1)
floors = st.floats(1e-9, 0.99)


@given(shares, st.floats(0, 1e5), st.integers(1, 10**6), floors, st.floats(0.01, 700))
def test_every_certificate_verifies(share, kl, n, p_min, level):
    c = pac2(risk=share * -math.log(p_min), kl=kl, n=n, p_min=p_min, log_inv_delta=level)
    assert c.check().sound
    assert c.raw >= c.inputs["risk"]
    assert from_json(json.loads(json.dumps(c.as_json()))).check().sound


def test_it_is_the_kl_bound_of_the_rescaled_pair_loss_at_twice_the_divergence():
    span = -math.log(0.01)
    c = pac2(risk=0.3 * span, kl=4.0, n=500, p_min=0.01, delta=0.05)
    assert c.value == pytest.approx(span * seeger_kl(risk=0.3, kl=8.0, n=500, delta=0.05).value, rel=1e-14, abs=0)
    assert c.kind is Kind.CERTIFICATE


def test_d12_pairs_cost_twice_the_divergence():
    one, two = (pac2(risk=0.5, kl=kl, n=300, p_min=0.05, delta=0.05).value for kl in (2.0, 4.0))
    forged = replace(pac2(risk=0.5, kl=4.0, n=300, p_min=0.05, delta=0.05), value=one, raw=one)
    assert one < two
    assert not forged.check().sound


def test_special_cases():
    assert pac2(risk=0.0, kl=math.inf, n=10, p_min=0.1, delta=0.1).value == pytest.approx(
        math.log(10), rel=1e-15, abs=0
    )
    assert pac2(risk=math.log(10), kl=0.0, n=10, p_min=0.1, delta=0.1).vacuous
    assert pac2(risk=0.0, kl=0.0, n=1, p_min=0.5, log_inv_delta=690.0).value == pytest.approx(
        math.log(2), rel=1e-15, abs=0
    )


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 40)), st.floats(1e-6, 0.9))
def test_pair_loss_is_rounded_up_and_in_its_range(losses, p_min):
    value = pair_log_loss(losses, p_min=p_min)
    exact = pair_loss_ball(losses.tolist(), [1.0, 1.0, 1.0], p_min)
    assert arb(value) >= exact
    assert value - float(exact) <= 1e-13 * (1 + value)
    assert 0 <= value <= -math.log(p_min) * (1 + 1e-12) + 1e-13
    pac2(risk=value, kl=1.0, n=10, p_min=p_min, delta=0.1)


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 10)))
def test_pair_loss_lies_between_the_loss_of_the_average_and_the_mean_loss(losses):
    pair = pair_log_loss(losses, p_min=1e-6)
    average = float(np.mean(-np.log(np.exp(-losses).mean(axis=0))))
    assert average - 1e-12 <= pair <= losses.mean() + 1e-12


def test_oracle_says_that_it_certifies_nothing():
    c = pac2_oracle(risk=0.8, kl=2.0, tilt=100.0, log_moment=0.5, delta=0.05)
    assert c.kind is Kind.ORACLE
    assert "ORACLE" in str(c)
    assert c.check().sound
    assert c.value == pytest.approx(0.8 + (4 + math.log(20) + 0.5) / 100, rel=1e-15, abs=0)


@given(arrays(np.float64, (3, 5), elements=st.floats(0, 5)), st.floats(0, 50), st.integers(2, 10**6))
def test_combined_bound_verifies_and_is_the_gibbs_bound_less_the_diversity(losses, kl, n):
    losses[:, 0] += np.arange(3)
    losses[0, 1] += 1
    rho = np.array([0.5, 0.3, 0.2])
    c = ensemble_chernoff(risk=0.7, kl=kl, n=n, losses=losses, posterior=rho, delta=0.05)
    gibbs = pac_bayes_chernoff(risk=0.7, kl=kl, n=n, tail=KnownLaws(losses, rho), delta=0.05)
    assert c.kind is Kind.ORACLE
    assert c.value <= gibbs.value
    assert arb(diversity_down(losses, rho)) <= diversity_ball(losses.tolist(), rho.tolist())
    assert c.check().sound
    assert c.delta == gibbs.delta


def test_forged_diversity_is_found_out():
    c = ensemble_chernoff(risk=0.7, kl=1.0, n=50, losses=[[0, 1.0], [1, 0.2]], posterior=[0.5, 0.5], delta=0.05)
    lower = c.value - 1e-6
    assert not replace(c, value=lower, raw=lower).check().sound
    other = {**c.inputs, "posterior": (0.9, 0.1)}
    assert not replace(c, inputs=other).check().sound


@pytest.mark.parametrize(
    "change",
    [
        {"risk": math.nan},
        {"risk": -0.1},
        {"risk": 2.4},
        {"risk": [0.1, 0.2]},
        {"kl": -1.0},
        {"n": 0},
        {"n": 1.5},
        {"p_min": 0.0},
        {"p_min": 1.0},
        {"p_min": math.nan},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": None},
        {"log_inv_delta": 3.0},
    ],
)
def test_refused(change):
    with pytest.raises((InvalidInput, DeltaOverspent)):
        pac2(**{"risk": 0.3, "kl": 1.0, "n": 10, "p_min": 0.1, "delta": 0.1, **change})


def test_refused_elsewhere():
    good = {"risk": 0.7, "kl": 1.0, "n": 50, "losses": [[0, 1.0], [1, 0.2]], "posterior": [0.5, 0.5], "delta": 0.05}
    for change in (
        {"n": 1},
        {"posterior": [0.5, 0.6]},
        {"losses": [[0, math.nan]]},
        {"kl": math.inf},
        {"risk": math.inf},
    ):
        with pytest.raises(InvalidInput):
            ensemble_chernoff(**{**good, **change})
    with pytest.raises(InvalidInput):
        pac2_oracle(risk=0.1, kl=1.0, tilt=0.0, log_moment=0.0, delta=0.1)
    with pytest.raises(InvalidInput):
        pair_log_loss([[0.1], [0.2]], p_min=1.5)


def test_small_deltas():
    assert pac2(risk=0.1, kl=1.0, n=10**6, p_min=0.1, delta=1e-300).value < 0.2
