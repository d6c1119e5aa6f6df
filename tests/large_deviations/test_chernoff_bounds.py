"""Bounds for unbounded losses: worked numbers, ledgers, forgeries, refusals, orders E12 and E13, and pitfalls D11, D30, D31."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.bounds.chernoff import best_alpha, exponential_moment, log_root
from nonvacuous.numerics.bounds.pac_chernoff import log_inv_precision
from nonvacuous.numerics.bounds.sub_gaussian import best_a
from nonvacuous.numerics.certified import kl_upper, maurer_xi
from nonvacuous.numerics.large_deviations import ExponentialLaw, FiniteLaw, GaussianLaw, plug_in
from nonvacuous.theory.statement import Kind

B = nv.bounds
BASE = {"risk": 0.0, "kl": 10.0, "n": 10_000, "delta": 0.05}
LOSSES = np.random.default_rng(0).exponential(size=(3, 40))

EVERY = {
    "pb.pbc": lambda **k: B.pac_bayes_chernoff(tail=B.SubGamma(1.0, 0.5), **k),
    "pb.pbc_oracle": lambda **k: B.pac_bayes_chernoff(tail=B.KnownLaws(LOSSES, [0.5, 0.3, 0.2]), **k),
    "pb.pbc_alpha": lambda **k: B.pac_bayes_chernoff_alpha(tail=B.InputGradient(1.0, 0.5, 0.3), alpha=0.9, **k),
    "pb.sg_mixture": lambda **k: B.sub_gaussian_mixture(variance=1.0, **k),
    "pb.sg_mixture_one_sided": lambda **k: B.sub_gaussian_mixture_one_sided(variance=1.0, reference=2.0, **k),
    "pb.second_moment": lambda **k: B.second_moment(second_moment=1.0, tilts=[0.01, 0.1], **k),
    "pb.alquier": lambda n, **k: B.alquier(tilt=float(n), log_moment=0.5, **k),
    "pb.pac_chernoff": lambda kl, **k: B.pac_chernoff(law=LOSSES[0], log_inv_weight=kl, **k),
}


@pytest.mark.parametrize("key", EVERY)
def test_checks_survive_saving_and_spend_one_delta(key, tmp_path):
    c = EVERY[key](**BASE)
    assert c.statement.key == key
    assert c.check().sound
    assert c.delta == 0.05
    assert len(c.ledger.entries) == 1
    c.save(tmp_path / "c.json")
    again = B.load(tmp_path / "c.json")
    assert (again.check().sound and again.value == c.value and "ORACLE" in str(c)) or c.kind is Kind.CERTIFICATE
    data = json.loads((tmp_path / "c.json").read_text())
    data["value"] = data["raw"] = c.value * (1 - 1e-9) if c.value > 0 else -1e-9
    assert not from_json(data).check().sound
    assert EVERY[key](**{**BASE, "delta": None, "log_inv_delta": 700.0}).check().sound


FORGED = {
    "a smaller tail": lambda d: d["inputs"].update(tail_numbers=[-1.0, 0.5]),
    "an unknown tail": lambda d: d["inputs"].update(tail="thin"),
    "an oracle posing as a certificate": lambda d: d.update(key="pb.pbc_alpha"),
    "negative KL": lambda d: d["inputs"].update(kl=-1.0),
    "no assumption": lambda d: d.update(assumptions=[]),
    "another event": lambda d: d["ledger"]["entries"][0].update(event="luck"),
    "one example": lambda d: d["inputs"].update(n=1),
}


@pytest.mark.parametrize("name", FORGED)
def test_forgeries_do_not_pass(name):
    data = json.loads(json.dumps(EVERY["pb.pbc"](**BASE).as_json()))
    FORGED[name](data)
    with contextlib.suppress(InvalidInput):
        assert not from_json(data).check().sound


def test_gaussian_moment_needs_gaussian_losses():
    data = B.pac_bayes_chernoff_alpha(tail=B.GaussianLosses(1.0), alpha=0.9, moment="exact", **BASE).as_json()
    assert from_json(json.loads(json.dumps(data))).check().sound
    data["inputs"]["tail"] = "sub-Gaussian"
    with pytest.raises(InvalidInput):
        from_json(json.loads(json.dumps(data))).check()
    with pytest.raises(AssumptionViolated):
        B.pac_bayes_chernoff_alpha(tail=B.SubGaussian(1.0), alpha=0.9, moment="exact", **BASE)


def test_worked_numbers():
    assert B.pac_bayes_chernoff(tail=B.SubGaussian(1.0), **BASE).value == pytest.approx(0.0666457703, abs=1e-10)
    assert B.pac_bayes_chernoff_alpha(tail=B.SubGaussian(1.0), anticipated_kl=10.0, **BASE).value == pytest.approx(
        0.0579969, abs=5e-8
    )
    assert 1 + log_root(10 + math.log(20)) == pytest.approx(16.8182, abs=5e-5)
    assert B.sub_gaussian_mixture(variance=1.0, **BASE).value == pytest.approx(0.0593341598, abs=1e-10)
    assert B.sub_gaussian_mixture(variance=1.0, **{**BASE, "kl": 0.0}).value == pytest.approx(0.0390, abs=5e-5)
    assert B.pac_bayes_chernoff(tail=B.SubGaussian(1.0), **{**BASE, "kl": 0.0}).value == pytest.approx(0.0494, abs=5e-5)
    a = best_a(10_000, 10.0, math.log(20))
    assert a == pytest.approx(340, abs=0.5)
    for scale, value in ((0.01, 0.06309), (1.0, 0.05933), (a, 0.05514)):
        assert B.sub_gaussian_mixture(variance=1.0, a=scale, **BASE).value == pytest.approx(value, abs=5e-6)
    tail = B.KnownLaws(ExponentialLaw([0.5, 1.0, 2.0]), [0.6, 0.3, 0.1])
    oracle = B.pac_bayes_chernoff(risk=0.0, kl=0.2006665638, n=1000, delta=0.05, tail=tail)
    assert oracle.value == pytest.approx(0.1222416053, abs=1e-10)
    assert oracle.kind is Kind.ORACLE
    assert exponential_moment(1 - 1 / 50, 50) == pytest.approx(5.320303427, abs=5e-10)
    assert (1 + math.sqrt(50)) / 2 == pytest.approx(4.04, abs=5e-3)


def test_comparison_with_a_published_price():
    """a = 1/1.1 against (1.1 K + ln(10 e pi^2/delta))/n: smaller for every delta above 1.5e-13."""
    for log_inv in (0.1, 3.0, 20.0, 29.4, 29.6):
        ours = 1.1 * math.log(11) + 1.1 * log_inv
        theirs = math.log(10 * math.e * math.pi**2) + log_inv
        assert (ours < theirs) == (log_inv < math.log(1 / 1.5e-13) * 1.002)
    c = B.pac_bayes_chernoff_alpha(risk=0.0, kl=2.0, n=100, log_inv_delta=3.0, alpha=1 / 1.1, tail=B.SubGaussian(0.5))
    assert c.value == pytest.approx(math.sqrt((1.1 * 2.0 + 1.1 * math.log(11) + 3.3) / 100), rel=1e-13, abs=0)


@given(st.integers(2, 10**7), st.floats(0, 1e5), st.floats(1e-3, 700), st.floats(1e-3, 1e3))
def test_e12_mixture_is_never_above_pbc(n, kl, level, v):
    pbc = B.pac_bayes_chernoff(risk=0.0, kl=kl, n=n, log_inv_delta=level, tail=B.SubGaussian(v)).value
    mixture = B.sub_gaussian_mixture(risk=0.0, kl=kl, n=n, log_inv_delta=level, variance=v).value
    assert mixture <= pbc * (1 + 1e-14)


@given(st.floats(0, 1), st.integers(2, 10**7), st.floats(0, 1e4), st.floats(1e-3, 700))
def test_e13_chernoff_is_weaker_than_the_kl_bound(risk, n, kl, level):
    strong = float(kl_upper(risk, (kl + math.log(float(maurer_xi(n))) + level) / n))
    assert float(kl_upper(risk, (kl + math.log(n) + level) / (n - 1))) >= strong * (1 - 1e-14)


@given(st.integers(2, 10**6), st.floats(0, 1e4), st.floats(1e-3, 700))
def test_monotone_and_alpha_generalises(n, kl, level):
    given_ = {"risk": 0.3, "kl": kl, "log_inv_delta": level, "tail": B.SubGamma(2.0, 0.1)}
    base = B.pac_bayes_chernoff(n=n, **given_).value
    assert B.pac_bayes_chernoff(n=n + 1, **given_).value <= base * (1 + 1e-14)
    assert B.pac_bayes_chernoff(n=n, **{**given_, "kl": kl * 1.01 + 1e-3}).value >= base
    if n < 10**5:
        same = B.pac_bayes_chernoff_alpha(n=n, alpha=1 - 1 / n, **given_).value
        assert same == pytest.approx(base, rel=1e-9, abs=0)
    # the best exponent for the right guess is at least as good as neighbours
    best = best_alpha(kl, level)
    if 1e-6 < best < 1 - 1e-6:
        value = B.pac_bayes_chernoff_alpha(n=n, alpha=best, **given_).value
        for other in (best * 0.99, 1 - (1 - best) * 0.99):
            assert B.pac_bayes_chernoff_alpha(n=n, alpha=other, **given_).value >= value * (1 - 1e-12)


def test_d11_n_minus_one_belongs_here():
    """n for n - 1 would be a smaller, unproved number."""
    c = B.pac_bayes_chernoff(risk=0.0, kl=0.0, n=2, delta=0.05, tail=B.SubGaussian(0.5))
    assert c.value == pytest.approx(math.sqrt(math.log(2 / 0.05)), rel=1e-14, abs=0)
    wrong = math.sqrt(math.log(2 / 0.05) / 2)
    assert c.value / wrong == pytest.approx(math.sqrt(2), rel=1e-12, abs=0)
    with pytest.raises(InvalidInput, match="n - 1"):
        B.pac_bayes_chernoff(risk=0.0, kl=0.0, n=1, delta=0.05, tail=B.SubGaussian(0.5))


def test_d30_rates_beyond_ln_n_are_flagged():
    """32 p ln 2/n nats for p = 1e6, n = 5e4 against a test set of 1e4: the plug-in returns mean - minimum, the test loss itself."""
    test = np.random.default_rng(1).exponential(size=10_000)
    s = log_inv_precision(10**6) / 5e4
    assert s == pytest.approx(444, abs=0.5)
    found = plug_in(test, s)
    assert found.saturated
    assert found.value == pytest.approx(test.mean() - test.min(), rel=1e-13, abs=0)
    assert found.effective == 1.0
    assert found.limit == pytest.approx(9.2, abs=0.02)
    assert math.isnan(found.low)
    c = B.pac_chernoff(risk=float(test.min()), law=test, n=50_000, log_inv_weight=log_inv_precision(10**6), delta=0.05)
    assert c.inputs["saturated"] == 1
    assert c.value == pytest.approx(test.mean(), rel=1e-12, abs=0)
    assert not plug_in(test, 0.01, resamples=0).saturated


def test_d31_a_plug_in_is_an_oracle_and_says_so():
    test = LOSSES[0]
    c = B.pac_chernoff(risk=0.1, law=test, n=100, log_inv_weight=3.0, delta=0.05)
    assert c.kind is Kind.ORACLE
    assert "ORACLE" in str(c)
    assert "known generating function" in c.unchecked
    assert plug_in(test, 0.1).kind is Kind.ORACLE
    assert B.pac_bayes_chernoff(tail=B.KnownLaws(LOSSES, [1, 1, 1]), **BASE).kind is Kind.ORACLE
    with pytest.raises(AssumptionViolated):
        B.pac_bayes_chernoff_alpha(tail=B.KnownLaws(LOSSES, [1, 1, 1]), alpha=0.5, **BASE)


def test_bits_are_refused():
    with pytest.raises(InvalidInput, match="ln 2"):
        B.pac_chernoff(risk=0.1, law=LOSSES[0], n=100, log_inv_weight=3.0, delta=0.05, units="bits")
    assert log_inv_precision(10, 32) == pytest.approx(320 * math.log(2), rel=1e-15, abs=0)


def test_interpolators_are_bounded_by_their_own_risk():
    law = FiniteLaw([0.1, 0.2, 0.5, 3.0], [0.4, 0.3, 0.2, 0.1])
    for weight in (0.0, 5.0, 1e6):
        c = B.pac_chernoff(risk=0.1, law=law, n=12, log_inv_weight=weight, delta=0.1)
        assert c.value <= 0.5 * (1 + 1e-12)
    assert c.value == pytest.approx(0.5, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "tail", [None, "sub-Gaussian", 1.0, {"name": "thin", "numbers": [1]}, {"name": "sub-gamma", "numbers": [1]}]
)
def test_no_tail_no_bound(tail):
    with pytest.raises(InvalidInput):
        B.pac_bayes_chernoff(tail=tail, **BASE)
    if tail is None:
        with pytest.raises(AssumptionViolated, match="rare, enormous loss"):
            B.pac_bayes_chernoff_alpha(alpha=0.5, **BASE)


BAD = [{"kl": -1.0}, {"kl": math.nan}, {"n": 0}, {"n": 1.5}, {"delta": 0.0}, {"delta": 1.0}, {"delta": 1e-400}, {"risk": math.nan}, {"risk": math.inf}, {"risk": [0.1]}, {"delta": None}]  # fmt: skip


@pytest.mark.parametrize("key", EVERY)
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_input(key, bad):
    if key == "pb.alquier" and "n" in bad and bad["n"] != 0:
        return
    with pytest.raises(InvalidInput):
        EVERY[key](**{**BASE, **bad})


@pytest.mark.parametrize("key", [k for k in EVERY if k not in ("pb.pbc_oracle", "pb.pac_chernoff")])
def test_extreme_inputs(key):
    assert EVERY[key](**{**BASE, "kl": math.inf}).value == math.inf
    assert EVERY[key](**{**BASE, "delta": 1e-300}).check().sound
    assert EVERY[key](**{**BASE, "risk": 0.0, "kl": 0.0}).check().sound
    if key != "pb.second_moment":
        assert EVERY[key](**{**BASE, "risk": -3.0}).check().sound
    if key not in ("pb.pbc", "pb.alquier"):
        assert EVERY[key](**{**BASE, "n": 1}).check().sound


@pytest.mark.parametrize(
    "make",
    [
        lambda: B.SubGaussian(-1.0), lambda: B.SubGamma(1.0, math.inf), lambda: B.ParameterNorm(math.nan, 1.0), lambda: B.InputGradient(1.0, 1.0, -1.0),
        lambda: B.InputGradient(1.0, 1.0, 0.0, "hope"), lambda: B.SecondMoment([1.0]), lambda: B.KnownLaws(LOSSES, [1.0]),
        lambda: B.sub_gaussian_mixture(variance=1.0, a=0.0, **BASE), lambda: B.sub_gaussian_mixture(variance=-1.0, **BASE),
        lambda: B.sub_gaussian_mixture_one_sided(variance=1.0, reference=0.0, **BASE), lambda: B.second_moment(second_moment=1.0, tilts=[], **BASE),
        lambda: B.second_moment(second_moment=1.0, tilts=[0.1, -1.0], **BASE), lambda: B.alquier(risk=0.0, kl=1.0, tilt=0.0, log_moment=0.0, delta=0.1),
        lambda: B.pac_bayes_chernoff_alpha(tail=B.SubGaussian(1.0), alpha=1.0, **BASE), lambda: B.pac_bayes_chernoff_alpha(tail=B.SubGaussian(1.0), **BASE),
        lambda: B.pac_bayes_chernoff_alpha(tail=B.SubGaussian(1.0), alpha=0.5, anticipated_kl=1.0, **BASE),
        lambda: B.pac_chernoff(risk=0.1, law=LOSSES, n=10, log_inv_weight=1.0, delta=0.1),
    ],
)  # fmt: skip
def test_bad_declarations(make):
    with pytest.raises(InvalidInput):
        make()


def test_a_tail_in_words():
    words = {"name": "parameter norm", "numbers": [1.1, 0.3]}
    assert (
        B.pac_bayes_chernoff(tail=words, **BASE).value
        == B.pac_bayes_chernoff(tail=B.ParameterNorm(1.1, 0.3), **BASE).value
    )


def test_average_gradient_is_an_assumption_of_its_own():
    c = B.pac_bayes_chernoff(tail=B.InputGradient(1.0, 0.5, 0.0, "average_gradient"), **BASE)
    assert c.inputs["tail_assumption"] == "average_gradient"
    assert c.check().sound


def test_gaussian_moment_replaces_ln_n():
    n = 10_000
    exact = B.pac_bayes_chernoff_alpha(tail=B.GaussianLosses(1.0), alpha=1 - 1 / n, moment="exact", **BASE)
    t = (10.0 + math.log((1 + math.sqrt(n)) / 2) + math.log(20)) / (n - 1)
    assert exact.value == pytest.approx(math.sqrt(2 * t), rel=1e-11, abs=0)
    assert exact.check().sound
    assert exact.value < B.pac_bayes_chernoff(tail=B.GaussianLosses(1.0), **BASE).value
    assert B.pac_bayes_chernoff(tail=B.KnownLaws(GaussianLaw([1.0]), [1.0]), **BASE).value == pytest.approx(
        0.0666457703, abs=1e-10
    )
