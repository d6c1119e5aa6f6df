"""Renyi, chi-square and power-divergence bounds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput

levels = st.floats(0.01, 700)


@given(st.floats(0, 1), st.floats(0, 1e5), st.integers(1, 10**7), levels)
def test_renyi_is_the_kl_bound_at_a_larger_divergence(risk, divergence, n, level):
    found = nv.bounds.renyi(risk=risk, divergence=divergence, n=n, log_inv_delta=level)
    kl = nv.bounds.seeger_kl(risk=risk, kl=divergence, n=n, log_inv_delta=level)
    assert found.value == pytest.approx(kl.value, rel=1e-14, abs=0)
    assert found.check(30).sound


@given(st.floats(0, 100), st.floats(0, 1e6), st.floats(0, 1e3), st.integers(1, 10**7), levels)
def test_chi_square_rechecks(risk, chi2, variance, n, level):
    found = nv.bounds.chi_square(risk=risk, chi2=chi2, variance=variance, n=n, log_inv_delta=level)
    assert found.check(30).sound
    assert found.lower <= risk <= found.value
    wanted = math.sqrt(variance / n * (1 + chi2)) * math.exp(level / 2)
    # through logarithms: an error e of the exponent moves the value by e, and level/2 + ln(variance) carries their own half-ulps
    assert found.value == pytest.approx(risk + wanted, rel=2.0**-53 * (64 + 4 * level), abs=0)


@given(st.floats(1, 1e3), st.floats(1.05, 20), st.floats(1e-12, 1e3), levels)
def test_power_rechecks_and_contains_chi_square(norm, order, moment, level):
    found = nv.bounds.power_divergence(risk=0.5, density_norm=norm, order=order, moment=moment, log_inv_delta=level)
    outcome = found.check(30)
    assert outcome.sound, outcome.detail
    square = nv.bounds.power_divergence(risk=0.5, density_norm=norm, order=2.0, moment=moment / 7, log_inv_delta=level)
    chi = nv.bounds.chi_square(risk=0.5, chi2=norm**2 - 1, variance=moment, n=7, log_inv_delta=level)
    assert square.value == pytest.approx(chi.value, rel=1e-10, abs=0)


def test_renyi_orders_grow_with_a():
    """D_a grows with a, and D_1 is KL: the Renyi bound is never below pb.kl for one posterior."""
    rng = np.random.default_rng(0)
    q, p = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5))
    kl = float((q * np.log(q / p)).sum())
    orders = [1.0001, 1.5, 2.0, 5.0]
    divergences = [math.log(float((q**a * p ** (1 - a)).sum())) / (a - 1) for a in orders]
    assert divergences == sorted(divergences)
    assert divergences[0] == pytest.approx(kl, rel=1e-3, abs=0)
    bounds = [
        nv.bounds.renyi(risk=0.1, divergence=d, n=100, order=a, delta=0.05).value
        for a, d in zip(orders, divergences, strict=True)
    ]
    assert bounds[0] >= nv.bounds.seeger_kl(risk=0.1, kl=kl, n=100, delta=0.05).value * (1 - 1e-12)
    assert bounds == sorted(bounds)


def test_edges_and_ledgers():
    infinite = nv.bounds.chi_square(risk=0.1, chi2=math.inf, variance=1.0, n=10, delta=0.05)
    assert (infinite.value, infinite.lower) == (math.inf, -math.inf)
    assert infinite.check().sound
    certain = nv.bounds.chi_square(risk=0.1, chi2=math.inf, variance=0.0, n=10, delta=0.05)
    assert certain.value == certain.lower == 0.1
    assert certain.check().sound
    assert nv.bounds.power_divergence(risk=0.1, density_norm=5.0, order=3.0, moment=0.0, delta=0.1).value == 0.1
    assert nv.bounds.renyi(risk=0.1, divergence=math.inf, n=10, delta=0.05).value == 1.0
    extreme = nv.bounds.chi_square(risk=0.1, chi2=1.0, variance=1.0, n=10, log_inv_delta=1e6)
    assert extreme.value == math.inf
    assert "declared moment" in extreme.unchecked


def test_tampering_is_seen():
    good = nv.bounds.chi_square(risk=0.1, chi2=1.0, variance=1.0, n=10, delta=0.05)
    for name, value in (("chi2", 2.0), ("variance", 2.0), ("n", 9), ("risk", 0.2)):
        assert not replace(good, inputs={**good.inputs, name: value}).check().sound
    close = nv.bounds.chi_square(risk=3.0, chi2=1.0, variance=1.0, n=100, delta=0.05)
    assert not replace(close, lower=close.lower + 1e-6).check().sound
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "form": "total variation"}).check()
    renyi = nv.bounds.renyi(risk=0.1, divergence=1.0, n=10, delta=0.05)
    with pytest.raises(InvalidInput):
        replace(renyi, inputs={**renyi.inputs, "order": 0.5}).check()


@pytest.mark.parametrize(
    "changes",
    [{"risk": math.nan}, {"chi2": -1.0}, {"variance": -1.0}, {"variance": math.inf}, {"n": 0}, {"delta": 0.0}],
)
def test_refusals(changes):
    with pytest.raises(InvalidInput):
        nv.bounds.chi_square(**{"risk": 0.1, "chi2": 1.0, "variance": 1.0, "n": 10, "delta": 0.1, **changes})


@pytest.mark.parametrize("changes", [{"order": 1.0}, {"density_norm": 0.9}, {"moment": math.inf}, {"risk": math.inf}])
def test_refused_powers(changes):
    with pytest.raises(InvalidInput):
        nv.bounds.power_divergence(
            **{"risk": 0.1, "density_norm": 2.0, "order": 2.0, "moment": 1.0, "delta": 0.1, **changes}
        )
    with pytest.raises(InvalidInput):
        nv.bounds.renyi(risk=0.1, divergence=1.0, n=10, order=1.0, delta=0.1)
