"""The time-uniform kl bound: worked numbers, order, monotonicity, ledgers, verification and refusals."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.theory.statement import Kind

risks, divergences = st.floats(0, 1), st.floats(0, 1e6)
sizes, levels = st.integers(1, 10**7), st.floats(0.01, 700)


def test_worked_numbers():
    """Thirty losses 0, ten 0.1, ten 0.2 (mean 0.06), delta = 0.05."""
    anytime = nv.bounds.kl_anytime(risk=0.06, kl=0.0, n=50, delta=0.05)
    assert anytime.value == pytest.approx(0.233768065, abs=6e-10)
    assert nv.bounds.seeger_kl(risk=0.06, kl=0.0, n=50, delta=0.05, constant="2sqrt").value == pytest.approx(
        0.236198375, abs=6e-10
    )
    assert anytime.kind is Kind.CERTIFICATE
    assert anytime.quantity == "true Gibbs risk"


@given(risks, divergences, sizes, levels)
def test_between_the_fixed_n_bounds_of_both_constants(risk, kl, n, level):
    """xi <= kt <= 2 sqrt n: the classical constant of a fixed n already pays for all n."""
    given_ = {"risk": risk, "kl": kl, "n": n, "log_inv_delta": level}
    anytime = nv.bounds.kl_anytime(**given_)
    assert nv.bounds.seeger_kl(**given_).value <= anytime.value * (1 + 1e-14)
    assert anytime.value <= nv.bounds.seeger_kl(**given_, constant="2sqrt").value * (1 + 1e-14)
    assert anytime.lower <= risk <= anytime.value


@given(risks, divergences, sizes, levels)
def test_e17_monotone(risk, kl, n, level):
    value = nv.bounds.kl_anytime(risk=risk, kl=kl, n=n, log_inv_delta=level).value
    ulps = 1 + 4 * 2.0**-52
    assert nv.bounds.kl_anytime(risk=risk, kl=kl * 1.01 + 1e-6, n=n, log_inv_delta=level).value * ulps >= value
    assert nv.bounds.kl_anytime(risk=risk, kl=kl, n=n, log_inv_delta=level * 1.01).value * ulps >= value
    assert nv.bounds.kl_anytime(risk=min(1.0, risk * 1.01), kl=kl, n=n, log_inv_delta=level).value * ulps >= value
    assert nv.bounds.kl_anytime(risk=risk, kl=kl, n=n + 1, log_inv_delta=level).value <= value * ulps


@given(risks, divergences, sizes, levels)
def test_rechecks_and_survives_json(risk, kl, n, level):
    certificate = nv.bounds.kl_anytime(risk=risk, kl=kl, n=n, log_inv_delta=level)
    again = from_json(json.loads(json.dumps(certificate.as_json())))
    found = again.check(30)
    assert found.sound, found.detail
    assert found.excess < 1e-13 or certificate.raw == 0


def test_a_part_keeps_its_own_delta():
    estimate = nv.bounds.gibbs_monte_carlo(risk=0.02, draws=1000, delta=0.01)
    certificate = nv.bounds.kl_anytime(risk=estimate, kl=5.0, n=2000, delta=0.04)
    assert certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0)
    assert certificate.lower is None
    assert certificate.check().sound


def test_tampering_is_seen():
    from dataclasses import replace

    good = nv.bounds.kl_anytime(risk=0.1, kl=3.0, n=100, delta=0.05)
    assert not replace(good, value=good.value * 0.999, raw=good.raw * 0.999).check().sound
    assert not replace(good, lower=good.lower * 1.01).check().sound
    assert not replace(good, inputs={**good.inputs, "log_inv_delta": 1.0}).check().sound
    assert not replace(good, quantity="true risk of the majority vote").check().sound


@pytest.mark.parametrize(
    "changes",
    [
        {"risk": math.nan}, {"risk": 1.2}, {"risk": [0.1, 0.2]}, {"kl": -1.0}, {"kl": math.nan}, {"n": 0}, {"n": 2.5}, {"delta": 0.0},
        {"delta": 1.0}, {"delta": 0.05, "log_inv_delta": 3.0},
    ],
)  # fmt: skip
def test_refusals(changes):
    with pytest.raises(InvalidInput):
        nv.bounds.kl_anytime(**{"risk": 0.1, "kl": 1.0, "n": 10, "delta": 0.1, **changes})


def test_extremes():
    assert nv.bounds.kl_anytime(risk=0.1, kl=math.inf, n=10, delta=0.1).value == 1.0
    assert nv.bounds.kl_anytime(risk=1.0, kl=0.0, n=10, delta=0.1).value == 1.0
    assert nv.bounds.kl_anytime(risk=0.0, kl=0.0, n=1, delta=0.5).value == pytest.approx(0.75, abs=1e-15)
    assert nv.bounds.kl_anytime(risk=0.1, kl=0.0, n=10**9, delta=1e-300).value < 0.11
