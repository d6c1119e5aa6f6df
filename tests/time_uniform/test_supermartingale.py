"""The supermartingale recipe: instances, rates, verification and refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput

FORMS = {
    "bounded": {},
    "sub-gaussian": {"moment": 0.7},
    "second moment": {"moment": 0.7},
    "variance": {"moment": 0.4, "deviation": 0.5},
}
PRICES = {"bounded": 1 / 8, "sub-gaussian": 0.35, "second moment": 0.35, "variance": 0.5 / 6 + 0.4 / 3}


@pytest.mark.parametrize("form", FORMS)
def test_closed_form(form):
    rates = np.array([0.1, 0.2, 0.05, 0.3])
    found = nv.bounds.supermartingale(risk=0.2, kl=3.0, rates=rates, form=form, delta=0.05, **FORMS[form])
    wanted = 0.2 + ((rates**2).sum() * PRICES[form] + 3.0 + math.log(20)) / rates.sum()
    assert found.raw == pytest.approx(wanted, rel=1e-14, abs=0)
    assert found.check().sound
    assert found.top == (1.0 if form == "bounded" else math.inf)


@given(
    st.sampled_from(sorted(FORMS)),
    st.floats(0, 1),
    st.floats(0, 1e4),
    st.integers(1, 10**7),
    st.floats(1e-6, 10),
    st.floats(0.01, 700),
)
def test_rechecks(form, risk, kl, n, rate, level):
    found = nv.bounds.supermartingale(risk=risk, kl=kl, rates=rate, n=n, form=form, log_inv_delta=level, **FORMS[form])
    outcome = found.check(30)
    assert outcome.sound, outcome.detail
    assert outcome.excess < 1e-14


def test_equal_rates_are_one_rate():
    one = nv.bounds.supermartingale(risk=0.1, kl=1.0, rates=0.125, n=64, delta=0.05)
    assert one.value == nv.bounds.supermartingale(risk=0.1, kl=1.0, rates=np.full(64, 0.125), delta=0.05).value


def test_hoeffding_at_its_best_rate():
    """With the rate sqrt(8 B/n) the bounded form is risk + sqrt(B/(2n)), Hoeffding's; kl_anytime can only know it up to ln kt(n)."""
    n, budget = 1000, 2.0 + math.log(20)
    found = nv.bounds.supermartingale(risk=0.3, kl=2.0, rates=math.sqrt(8 * budget / n), n=n, delta=0.05)
    assert found.value == pytest.approx(0.3 + math.sqrt(budget / (2 * n)), rel=1e-12, abs=0)


def test_infinite_divergence_and_ledger():
    found = nv.bounds.supermartingale(
        risk=0.1, kl=math.inf, rates=0.1, n=5, form="second moment", moment=1.0, delta=0.05
    )
    assert found.value == math.inf
    assert found.check().sound
    assert found.delta == pytest.approx(0.05)
    assert "declared scale" in found.unchecked


def test_tampering_is_seen():
    good = nv.bounds.supermartingale(
        risk=0.1, kl=1.0, rates=0.2, n=100, form="variance", moment=0.1, deviation=0.1, delta=0.05
    )
    for name, value in (("moment", 0.2), ("deviation", 0.2), ("kl", 2.0), ("risk", 0.2)):
        assert not replace(good, inputs={**good.inputs, name: value}).check().sound
    with pytest.raises(InvalidInput):  # no hundred positive rates have these sums
        replace(good, inputs={**good.inputs, "rate_sum": 40.0}).check()
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "form": "free"}).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"rates": -0.1}, {"rates": 0.0}, {"rates": math.nan}, {"rates": [0.1, 0.2]}, {"n": None}, {"n": 0}, {"risk": 1.5}, {"risk": math.nan},
        {"form": "magic"}, {"moment": 1.0}, {"form": "sub-gaussian"}, {"form": "variance", "moment": 1.0}, {"form": "second moment", "moment": -1.0},
        {"form": "second moment", "moment": 1.0, "risk": -0.1}, {"form": "sub-gaussian", "moment": math.inf}, {"kl": -1.0}, {"delta": 1.0},
        {"rates": 1e300},
    ],
)  # fmt: skip
def test_refusals(changes):
    with pytest.raises(InvalidInput):
        nv.bounds.supermartingale(**{"risk": 0.1, "kl": 1.0, "rates": 0.1, "n": 10, "delta": 0.1, **changes})
