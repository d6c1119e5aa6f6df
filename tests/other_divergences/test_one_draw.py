"""Certificates for one draw from the posterior: closed forms, pitfalls, ledgers, verification and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.certified import kl_upper, log_maurer_xi

sizes, levels, densities = st.integers(1, 10**7), st.floats(0.8, 700), st.floats(-1e3, 1e5)
xi = lambda n: float(log_maurer_xi(n))  # noqa: E731


def forms(risk, density, n, level):
    return (
        nv.bounds.one_draw_kl(risk=risk, log_density=density, n=n, log_inv_delta=level),
        nv.bounds.one_draw_catoni(risk=risk, log_density=density, n=n, beta=1.5, log_inv_delta=level),
        nv.bounds.one_draw_occam(risk=risk, log_density=density, n=n, b=2.0, log_inv_delta=level),
        nv.bounds.one_draw_renyi(risk=risk, divergence=abs(density), n=n, order=1.7, candidates=3, log_inv_delta=level),
    )


@given(st.floats(0, 1), densities, sizes, levels)
def test_every_form_rechecks_and_survives_json(risk, density, n, level):
    for certificate in forms(risk, density, n, level):
        found = from_json(json.loads(json.dumps(certificate.as_json()))).check(30)
        assert found.sound, found.detail
        assert certificate.raw == 0 or found.excess < 1e-10
        assert certificate.quantity == "true risk of the drawn predictor"


def test_closed_forms():
    n, level = 1000, math.log(20)
    kl, catoni, occam, renyi = forms(0.1, 5.0, n, level)
    assert kl.value == pytest.approx(float(kl_upper(0.1, (5 + xi(n) + level) / n)), rel=1e-14, abs=0)
    t = 1.5 * 0.1 + (5 + level) / n
    assert catoni.value == pytest.approx(math.expm1(-t) / math.expm1(-1.5), rel=1e-13, abs=0)
    assert occam.value == pytest.approx(float(kl_upper(0.1, (math.log(3) + level + 1.5 * 5) / n)), rel=1e-14, abs=0)
    spent = (2 * 1.7 - 1) / 0.7 * (math.log(2) + level) + 5 + math.log(3) + xi(n)
    assert renyi.value == pytest.approx(float(kl_upper(0.1, spent / n)), rel=1e-14, abs=0)


def test_d15_disintegrated_renyi_pays_delta_cubed():
    """At order 2 the level enters as ln(8/delta^3), and in general with the factor (2a-1)/(a-1), not once."""
    n, divergence, delta = 10_000, 12.0, 0.05
    found = nv.bounds.one_draw_renyi(risk=0.0, divergence=divergence, n=n, delta=delta)
    wanted = (divergence + 3 * math.log(2 / delta) + xi(n)) / n
    assert found.value == pytest.approx(-math.expm1(-wanted), rel=1e-13, abs=0)
    # the form of the literature has 2 sqrt n for xi(n): ln(16 T sqrt n/delta^3)
    printed = (divergence + math.log(16 * math.sqrt(n) / delta**3)) / n
    assert found.value < -math.expm1(-printed)
    assert printed - wanted == pytest.approx((math.log(2 * math.sqrt(n)) - xi(n)) / n, rel=1e-9, abs=0)
    once = (divergence + math.log(1 / delta) + xi(n)) / n
    assert found.value > -math.expm1(-once)
    steeper = nv.bounds.one_draw_renyi(risk=0.0, divergence=divergence, n=n, order=1.5, delta=delta)
    assert -math.log1p(-steeper.value) * n == pytest.approx(
        divergence + 4 * math.log(2 / delta) + xi(n), rel=1e-12, abs=0
    )


def test_d15_candidates_cost_their_number_not_its_cube():
    n, delta = 10_000, 0.05
    one, many = (
        nv.bounds.one_draw_renyi(risk=0.0, divergence=12.0, n=n, candidates=t, delta=delta).value for t in (1, 50)
    )
    assert (math.log1p(-one) - math.log1p(-many)) * n == pytest.approx(math.log(50), rel=1e-9, abs=0)


def test_d19_the_certificate_names_its_predictor():
    """Gibbs, majority vote, posterior mean and one draw are different predictors: a draw's certificate is not one for the Gibbs risk."""
    draw = nv.bounds.one_draw_kl(risk=0.1, log_density=2.0, n=100, delta=0.05)
    gibbs = nv.bounds.kl_anytime(risk=0.1, kl=2.0, n=100, delta=0.05)
    assert draw.quantity == "true risk of the drawn predictor"
    assert gibbs.quantity == "true Gibbs risk"
    assert not replace(draw, quantity="true Gibbs risk").check().sound
    assert "one draw" in draw.unchecked
    with pytest.raises(TypeError):
        nv.bounds.seeger_kl(risk=draw.quantity, kl=1.0)  # type: ignore[call-arg]


def test_ledgers():
    kl, _, _, renyi = forms(0.1, 5.0, 100, math.log(20))
    assert len(kl.ledger.entries) == 1
    assert [e.event for e in renyi.ledger.entries] == ["moment over the sample", "one draw from the posterior"]
    assert renyi.delta == pytest.approx(0.05, rel=1e-14, abs=0)
    stated = nv.bounds.one_draw_renyi(risk=0.1, divergence=1.0, n=10, delta=0.1)
    assert stated.delta == 0.1
    assert not replace(stated, ledger=kl.ledger).check().sound


@given(st.floats(0, 1), st.floats(-50, 1e4), sizes, levels)
def test_e17_monotone(risk, density, n, level):
    ulps = 1 + 4 * 2.0**-52
    base, more = forms(risk, density, n, level), forms(risk, density + 0.5, n, level)
    surer, worse = forms(risk, density, n, level * 1.01), forms(min(1.0, risk + 0.01), density, n, level)
    for index, found in enumerate(base):
        if index < 3 or density >= 0:
            assert found.value <= more[index].value * ulps
        assert found.value <= surer[index].value * ulps
        assert found.value <= worse[index].value * ulps


def test_negative_densities_are_clipped_at_zero():
    kl, catoni, occam, _ = forms(0.1, -1e4, 1000, 3.0)
    assert kl.value == kl.lower == 0.1
    assert catoni.value == 0.0
    assert occam.value == pytest.approx(float(kl_upper(0.1, (math.log(3) + 3) / 1000)), rel=1e-14, abs=0)


@given(st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 3), min_size=1, max_size=8), st.floats(1e-3, 1e3))
def test_gaussian_log_ratio_is_rounded_up(rows, scale):
    h, w, v = (list(x) for x in zip(*rows, strict=True))
    found = nv.bounds.gaussian_log_ratio(draw=h, posterior_mean=w, prior_mean=v, scale=scale)
    squares = sum(
        (Fraction(a) - Fraction(c)) ** 2 - (Fraction(a) - Fraction(b)) ** 2 for a, b, c in zip(h, w, v, strict=True)
    )
    exact = squares / (2 * Fraction(scale) ** 2)
    assert Fraction(found) >= exact
    size = sum(abs(b - c) * (abs(a - c) + abs(a - b)) for a, b, c in zip(h, w, v, strict=True)) / (2 * scale**2)
    assert found - float(exact) <= 1e-14 * size + 1e-300


def test_gaussian_log_ratio_by_densities():
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    h, w, v = rng.normal(size=(3, 5))
    wanted = (norm.logpdf(h, w, 0.7) - norm.logpdf(h, v, 0.7)).sum()
    assert nv.bounds.gaussian_log_ratio(draw=h, posterior_mean=w, prior_mean=v, scale=0.7) == pytest.approx(
        wanted,
        rel=1e-12,
        abs=0,
    )


@pytest.mark.parametrize(
    "changes",
    [{"risk": -0.1}, {"risk": math.nan}, {"log_density": math.nan}, {"log_density": -math.inf}, {"log_density": [1.0]}, {"n": 0}, {"delta": 1.0}],
)  # fmt: skip
def test_refusals(changes):
    given_ = {"risk": 0.1, "log_density": 1.0, "n": 10, "delta": 0.1, **changes}
    for function in (nv.bounds.one_draw_kl, nv.bounds.one_draw_occam):
        with pytest.raises(InvalidInput):
            function(**given_)


def test_more_refusals():
    with pytest.raises(InvalidInput):
        nv.bounds.one_draw_catoni(risk=0.1, log_density=1.0, n=10, beta=0.0, delta=0.1)
    with pytest.raises(InvalidInput):
        nv.bounds.one_draw_occam(risk=0.1, log_density=1.0, n=10, b=-1.0, delta=0.1)
    for changes in ({"order": 1.0}, {"order": math.inf}, {"candidates": 0}, {"divergence": -1.0}, {"delta": 5e-324}):
        with pytest.raises(InvalidInput):
            nv.bounds.one_draw_renyi(**{"risk": 0.1, "divergence": 1.0, "n": 10, "delta": 0.1, **changes})
    good = nv.bounds.one_draw_renyi(risk=0.1, divergence=1.0, n=10, delta=0.1)
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "log_inv_half_delta": 0.1}).check()
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "form": "best of ten draws"}).check()
    with pytest.raises(InvalidInput):
        nv.bounds.gaussian_log_ratio(draw=[1.0], posterior_mean=[1.0, 2.0], prior_mean=[0.0], scale=1.0)
