"""First order, tandem, disagreement, C-bound of two intervals: worked numbers, exact rows, pitfalls, order, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.bounds.seeger import complexity
from nonvacuous.numerics.certified import kl_lower, kl_upper, maurer_xi
from nonvacuous.proofs.pac_bayes.majority_vote.finite_problems import HALF, cbound, problems
from nonvacuous.proofs.pac_bayes.majority_vote.first_and_second_order import pair_exponents
from nonvacuous.proofs.pac_bayes.majority_vote.joint_cbound import pair_world
from nonvacuous.proofs.pac_bayes.majority_vote.oracle import order_slacks, slacks

b = nv.bounds
rates = st.floats(0, 1)
divergences = st.floats(0, 1e5)
sizes = st.integers(1, 10**7)
levels = st.floats(0.01, 600)


def test_e16_tandem_row_on_nine_pairs():
    probability, phi, prior = pair_exponents(12)
    statistic = logsumexp(prior + phi, axis=1)
    xi = float(maurer_xi(12))
    assert float(probability @ np.exp(statistic)) == pytest.approx((1 + xi) / 2, rel=1e-13, abs=0)
    threshold = math.log(xi / 0.1)
    assert np.abs(statistic - threshold).min() > 1e-9
    assert f"{probability[statistic > threshold].sum():.12f}" == "0.001998540536"


def test_three_outcomes_on_nine_pairs():
    """Own row: pairs with two possible outcomes contribute xi(12) each, the one pair with three (prior weight .12) xi(12) + 12."""
    probability, phi, prior = pair_world(12)
    statistic = logsumexp(prior + phi, axis=1)
    xi = float(maurer_xi(12))
    assert float(probability @ np.exp(statistic)) == pytest.approx(xi + 0.12 * 12, rel=1e-13, abs=0)
    assert probability[statistic > math.log((xi + 12) / 0.1)].sum() < 0.1


def test_e9_on_3000_finite_problems():
    for x in problems(3000):
        assert min(slacks(x)) >= 0
        assert min(order_slacks(x), default=0) >= 0
        d = 2 * (x.first - x.second)
        if x.first < HALF:
            c = cbound(x)
            assert c == 1 - (1 - 2 * x.first) ** 2 / (1 - 2 * d)
            assert c <= 4 * x.second <= 2 * x.first if x.first <= d else 2 * x.first <= c <= 4 * x.second


def everything(risk=0.1, tandem=0.04, kl=3.0, n=5000, delta=None, log_inv_delta=None):
    level = (
        {"delta": 0.05} if delta is None and log_inv_delta is None else {"delta": delta, "log_inv_delta": log_inv_delta}
    )
    d = 2 * (Fraction(risk) - Fraction(tandem))
    return {
        "first order": b.majority_vote_first_order(risk=risk, kl=kl, n=n, **level),
        "tandem": b.majority_vote_tandem(tandem=tandem, kl=kl, n=n, **level),
        "disagreement": b.majority_vote_disagreement(risk=risk, disagreement=d, kl=kl, n=n, n_pairs=7 * n, **level),
        "box": b.majority_vote_cbound(risk=risk, tandem=tandem, kl=kl, n=n, n_pairs=n, **level),
        "separate": b.majority_vote_cbound(risk=risk, tandem=tandem, kl=kl, n=n, n_pairs=n, form="separate", **level),
        "joint": b.majority_vote_cbound_joint(joint_error=tandem, disagreement=d, kl=kl, n=n, **level),
        "cantelli": b.majority_vote_chebyshev_cantelli(joint_error=tandem, disagreement=d, kl=kl, n=n, mu=(0.0, 0.1), **level),
        "grid": b.majority_vote_chebyshev_cantelli(joint_error=tandem, disagreement=d, kl=kl, n=n, mu=(0.0, 0.1), method="kl", **level),
    }  # fmt: skip


@pytest.mark.parametrize("name", everything())
def test_every_certificate_rechecks_and_survives_json(name):
    for c in (
        everything()[name],
        everything(kl=0.0, n=50)[name],
        everything(kl=math.inf)[name],
        everything(delta=1e-300)[name],
    ):
        assert c.check().sound
        assert from_json(json.loads(json.dumps(c.as_json()))).check().sound
        assert 0 <= c.value <= 1
        lower = replace(c, value=c.value * (1 - 1e-12), raw=c.raw * (1 - 1e-12))
        assert not lower.check().sound or c.raw == 0


def test_the_ledgers():
    for name, c in everything().items():
        events = [entry.event for entry in c.ledger.entries]
        assert len(events) == (2 if name in ("disagreement", "box", "separate") else 1)
        assert c.delta == 0.05
    tiny = everything(log_inv_delta=700.0)
    assert tiny["box"].ledger.spent_log_inv_delta >= 700.0 - 1e-9


def test_d12_pairs_pay_the_divergence_twice():
    c = b.majority_vote_tandem(tandem=0.1, kl=50.0, n=10_000, delta=0.05)
    level = -math.log(0.05)
    assert c.value == pytest.approx(4 * float(kl_upper(0.1, complexity(100.0, 10_000, level))), rel=1e-14, abs=0)
    assert c.value > 4 * float(kl_upper(0.1, complexity(50.0, 10_000, level))) * (1 + 1e-3)
    joint = b.majority_vote_cbound_joint(joint_error=0.1, disagreement=0.1, kl=50.0, n=10_000, delta=0.05)
    assert (
        joint.value
        > b.majority_vote_cbound_joint(joint_error=0.1, disagreement=0.1, kl=25.0, n=10_000, delta=0.05).value
    )


def test_d19_the_vote_is_not_the_gibbs_predictor():
    gibbs = b.seeger_kl(risk=0.1, kl=3.0, n=5000, delta=0.05)
    vote = b.majority_vote_first_order(risk=0.1, kl=3.0, n=5000, delta=0.05)
    assert vote.value == 2 * gibbs.value
    assert vote.quantity != gibbs.quantity


def test_d23_the_lower_inverse_is_not_floored():
    """With a disagreement of 2e-10 the lower end lies far below 1e-9; a floor there would subtract what is not known."""
    c = b.majority_vote_disagreement(risk=0.01, disagreement=2e-10, kl=0.0, n=1000, n_pairs=10**6, delta=0.05)
    upper = float(kl_upper(0.01, complexity(0.0, 1000, -math.log(0.025))))
    assert c.value == pytest.approx(4 * upper, rel=1e-15, abs=0)
    assert c.value > 4 * upper - 2e-9
    assert float(kl_lower(2e-10, complexity(0.0, 10**6, -math.log(0.025)))) < 1e-9
    tight = b.majority_vote_cbound(
        risk=1e-10, tandem=1e-10, kl=0.0, n=10**6, n_pairs=10**6, delta=0.05, form="separate"
    )
    assert tight.check().sound


@pytest.mark.parametrize("form", ["box", "separate"])
def test_all_voters_wrong_together_are_not_certified(form):
    """err = .6 everywhere, n = 1e6: without the test UP(L) < 1/2 numerator over denominator would be .94 for a vote that always errs."""
    c = b.majority_vote_cbound(risk=0.6, tandem=0.36, kl=0.0, n=10**6, n_pairs=10**6, delta=0.05, form=form)
    assert c.value == 1.0
    one = complexity(0.0, 10**6, -math.log(0.025), "2sqrt")
    low, high = float(kl_lower(0.6, one)), float(kl_upper(0.6, one))
    second_low, second = float(kl_lower(0.36, one)), float(kl_upper(0.36, one))
    assert (second - low**2) / (second_low - high + 0.25) == pytest.approx(0.94, abs=0.005)
    assert b.majority_vote_cbound_joint(joint_error=0.36, disagreement=0.48, kl=0.0, n=10**6, delta=0.05).value == 1.0


@given(rates, rates, divergences, sizes, sizes, levels)
def test_monotone_in_divergence_and_confidence(risk, share, kl, n, n_pairs, level):
    tandem = risk**2 + share * (risk - risk**2)
    for larger in ({"kl": kl * 1.01 + 1e-3}, {"log_inv_delta": level * 1.01}):
        given_ = {"kl": kl, "n": n, "log_inv_delta": level}
        for function, extra in (
            (b.majority_vote_first_order, {"risk": risk}),
            (b.majority_vote_tandem, {"tandem": tandem}),
            (b.majority_vote_cbound, {"risk": risk, "tandem": tandem, "n_pairs": n_pairs}),
            (b.majority_vote_disagreement, {"risk": risk, "disagreement": max(0.0, 2 * (risk - tandem)), "n_pairs": n_pairs}),
        ):  # fmt: skip
            try:
                base = function(**given_, **extra).raw
            except InvalidInput:
                continue
            assert function(**{**given_, **larger}, **extra).raw >= base * (1 - 4e-16)


def test_e17_exceptions_disagreement_and_cbound_are_not_monotone_in_every_argument():
    assert (
        b.majority_vote_disagreement(risk=0.2, disagreement=0.3, kl=1.0, n=1000, n_pairs=1000, delta=0.05).raw
        < b.majority_vote_disagreement(risk=0.2, disagreement=0.1, kl=1.0, n=1000, n_pairs=1000, delta=0.05).raw
    )
    same = {"tandem": 0.05, "kl": 1.0, "n": 10**6, "n_pairs": 10**6, "delta": 0.05}
    assert b.majority_vote_cbound(risk=0.2, **same).value < b.majority_vote_cbound(risk=0.1, **same).value


@given(st.floats(1e-4, 0.49), rates, divergences, sizes, levels)
def test_the_box_is_never_above_the_separate_form_nor_the_tandem_ends(risk, share, kl, n, level):
    tandem = risk**2 + share * (risk - risk**2)
    same = {"risk": risk, "tandem": tandem, "kl": kl, "n": n, "n_pairs": n, "log_inv_delta": level}
    box = b.majority_vote_cbound(**same)
    assert box.value <= b.majority_vote_cbound(**same, form="separate").value * (1 + 1e-12)
    assert box.value <= min(1.0, 4 * float(kl_upper(tandem, complexity(2 * kl, n, level + 0.7)))) * (1 + 1e-12)
    assert box.check(30).sound


GOOD = {"kl": 1.0, "n": 100, "delta": 0.05}
BAD = [
    {"kl": -1.0}, {"kl": math.nan}, {"n": 0}, {"n": 1.5}, {"n": math.nan}, {"delta": 0}, {"delta": 1}, {"delta": math.nan}, {"delta": None},
    {"log_inv_delta": 3.0}, {"delta": None, "log_inv_delta": -1.0}, {"constant": "3sqrt"},
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_input(bad):
    for function, extra in (
        (b.majority_vote_first_order, {"risk": 0.1}),
        (b.majority_vote_tandem, {"tandem": 0.1}),
        (b.majority_vote_disagreement, {"risk": 0.1, "disagreement": 0.1, "n_pairs": 100}),
        (b.majority_vote_cbound, {"risk": 0.1, "tandem": 0.05, "n_pairs": 100}),
    ):
        with pytest.raises(InvalidInput):
            function(**{**GOOD, **extra, **bad})


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, [0.1, 0.2], "a", "3/0", Fraction(4, 3), None])
def test_bad_rates(rate):
    with pytest.raises(InvalidInput):
        b.majority_vote_first_order(risk=rate, **GOOD)
    with pytest.raises(InvalidInput):
        b.majority_vote_cbound(risk=0.1, tandem=rate, n_pairs=100, **GOOD)
    with pytest.raises(InvalidInput):
        b.majority_vote_disagreement(risk=0.1, disagreement=rate, n_pairs=100, **GOOD)


def test_contradictory_frequencies_yield_no_number():
    with pytest.raises(InvalidInput, match="No voters"):
        b.majority_vote_disagreement(risk=0.01, disagreement=0.5, kl=0.0, n=10**6, n_pairs=10**6, delta=0.05)
    with pytest.raises(InvalidInput, match="No voters"):
        b.majority_vote_cbound_joint(joint_error=0.0, disagreement=0.3, kl=0.0, n=10**6, delta=0.05)
    forged = b.majority_vote_disagreement(risk=0.01, disagreement=0.0, kl=0.0, n=10**6, n_pairs=10**6, delta=0.05)
    with pytest.raises(InvalidInput):
        replace(forged, inputs={**forged.inputs, "disagreement": 0.5}, value=0.0, raw=0.0).check()


@pytest.mark.parametrize("levels_", [(3.0,), (3.0, 3.0, 3.0), (3.0, -1.0), 3.0])
def test_forged_levels(levels_):
    c = b.majority_vote_cbound(risk=0.1, tandem=0.05, n_pairs=100, **GOOD)
    with pytest.raises(InvalidInput):
        replace(c, inputs={**c.inputs, "log_inv_deltas": levels_}).check()


def test_extremes():
    assert b.majority_vote_first_order(risk=0.0, kl=0.0, n=1, delta=0.5).check().sound
    assert b.majority_vote_tandem(tandem=1.0, kl=0.0, n=1, delta=0.5).value == 1.0
    assert b.majority_vote_cbound(risk=0.0, tandem=0.0, kl=0.0, n=1, n_pairs=1, log_inv_delta=700.0).value == 1.0
    exact = b.majority_vote_first_order(risk=Fraction(1, 3), kl=0.0, n=90, delta=0.05)
    assert exact.inputs["risk"] == "1/3"
    assert exact.check().sound
    assert exact.value >= b.majority_vote_first_order(risk=float(Fraction(1, 3)), kl=0.0, n=90, delta=0.05).value
