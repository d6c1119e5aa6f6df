"""The shipped bounds: worked numbers, safe rounding, ledgers, orders, special cases, and everything that they refuse."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import DeltaOverspent, InvalidInput, StorageError
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.theory.statement import Answer, Kind

risks = st.floats(0, 1)
divergences = st.floats(0, 1e6)
sizes = st.integers(1, 10**7)
levels = st.floats(0.01, 700)


def mp_upper(q: float, c: mpmath.mpf) -> mpmath.mpf:
    """UP(q, c) by bisection at 40 digits: a third route, neither float64 nor balls."""
    q = mpmath.mpf(q)

    def kl(p):
        return (q * mpmath.log(q / p) if q else 0) + ((1 - q) * mpmath.log((1 - q) / (1 - p)) if q < 1 else 0)

    low, high = q, mpmath.mpf(1)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle < 1 and kl(middle) <= c else (low, middle)
    return low


def mp_xi(n: int) -> mpmath.mpf:
    return mpmath.exp(n) * mpmath.gammainc(n + 1, n) / mpmath.mpf(n) ** n


@pytest.mark.parametrize(
    ("risk", "kl", "n", "delta"),
    [(0.0155, 73.2, 30_000, 0.025), (0.0, 3.0, 50, 0.05), (0.3, 0.0, 7, 0.5), (0.9, 40.0, 1000, 1e-9)],
)
def test_seeger_against_a_third_route(risk, kl, n, delta):
    with mpmath.workdps(40):
        exact = mp_upper(risk, (mpmath.mpf(kl) + mpmath.log(mp_xi(n) / mpmath.mpf(delta))) / n)
        certificate = nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, delta=delta)
        assert mpmath.mpf(certificate.value) >= exact
        assert certificate.value == pytest.approx(float(exact), rel=1e-14, abs=0)


def test_the_published_chain():
    """The worked example of PAC-Bayes with backprop: Monte-Carlo mean .0155 of 150000 draws, n = 30000, KL = 73.2."""
    inner = nv.bounds.gibbs_monte_carlo(risk=0.0155, draws=150_000, delta=0.01 / 2)
    assert inner.value == pytest.approx(0.0165611977, abs=1e-10)
    outer = nv.bounds.seeger_kl(risk=inner, kl=73.2, n=30_000, delta=0.025, constant="2sqrt")
    assert outer.value == pytest.approx(0.0278783062, abs=1e-10)
    one_sided = nv.bounds.gibbs_monte_carlo(risk=0.0155, draws=150_000, delta=0.01)
    assert nv.bounds.seeger_kl(risk=one_sided, kl=73.2, n=30_000, delta=0.025, constant="2sqrt").value == pytest.approx(
        0.0277848, abs=1e-7
    )


def test_special_cases():
    assert nv.bounds.seeger_kl(risk=0.1, kl=math.inf, n=100, delta=0.1).value == 1.0
    assert nv.bounds.seeger_kl(risk=1.0, kl=0.0, n=100, delta=0.1).value == 1.0
    c = nv.bounds.seeger_kl(risk=0.0, kl=2.0, n=100, delta=0.1)
    from nonvacuous.numerics.certified import maurer_xi

    assert c.value == pytest.approx(-math.expm1(-(2.0 + math.log(float(maurer_xi(100)) / 0.1)) / 100), rel=1e-14, abs=0)
    assert c.lower == 0.0
    assert nv.bounds.seeger_kl(risk=0.2, kl=1.0, n=1, log_inv_delta=700.0).value == 1.0
    assert nv.bounds.seeger_kl(risk=0.2, kl=1.0, n=10**9, log_inv_delta=700.0).value < 0.21


@given(risks, divergences, sizes, levels)
def test_monotone_and_sound(risk, kl, n, level):
    certificate = nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, log_inv_delta=level)
    assert certificate.lower is not None
    assert 0 <= certificate.lower <= risk <= certificate.value <= 1
    more = nv.bounds.seeger_kl(risk=risk, kl=kl * 1.01 + 1e-3, n=n, log_inv_delta=level)
    assert more.value >= certificate.value * (1 - 1e-15)
    surer = nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, log_inv_delta=level * 1.01)
    assert surer.value >= certificate.value * (1 - 1e-15)
    loose = nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, log_inv_delta=level, constant="2sqrt")
    assert loose.value >= certificate.value * (1 - 1e-15)


@given(risks, divergences, sizes, levels)
def test_every_certificate_rechecks(risk, kl, n, level):
    for certificate in (
        nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, log_inv_delta=level),
        nv.bounds.seeger_kl(risk=risk, kl=kl, n=n, log_inv_delta=level, constant="2sqrt"),
        nv.bounds.gibbs_monte_carlo(risk=risk, draws=n, log_inv_delta=level),
        nv.bounds.seeger_kl_split(risk=risk, kl=kl, n=n + 3, n_prior=3, log_inv_delta=level),
    ):
        found = certificate.check()
        assert found.sound, found.detail
        assert found.excess < 1e-13 or certificate.raw == 0


def test_the_ledger_of_a_chain():
    estimate = nv.bounds.gibbs_monte_carlo(risk=0.02, draws=1000, delta=0.01)
    certificate = nv.bounds.seeger_kl(risk=estimate, kl=5.0, n=2000, delta=0.04)
    assert [entry.event for entry in certificate.ledger.entries] == [
        "Monte-Carlo draws from the posterior",
        "PAC-Bayes-kl over the sample",
    ]
    assert certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0)
    assert certificate.lower is None, "an upper bound on the empirical risk gives no lower bound on the true one"
    assert certificate.kind is Kind.CERTIFICATE
    with pytest.raises(DeltaOverspent, match="already paid"):
        nv.bounds.seeger_kl(risk=certificate, kl=5.0, n=2000, delta=0.04)


def test_assumptions_are_not_claimed():
    plain = nv.bounds.seeger_kl(risk=0.1, kl=1.0, n=100, delta=0.1)
    assert set(plain.answers.values()) == {Answer.CANNOT_BE_CHECKED}
    seen = nv.bounds.certify_losses(np.zeros((5, 100)), kl=1.0, delta=0.1)
    assert seen.answers["loss in [0, 1]"] is Answer.HOLDS
    assert "fresh draws" in seen.unchecked


def test_losses():
    losses = (np.random.default_rng(1).random((300, 200)) < 0.1).astype(float)
    certificate = nv.bounds.certify_losses(losses, kl=3.0, delta=0.05)
    turned = nv.bounds.certify_losses(losses.T, kl=3.0, delta=0.05, axes=("examples", "draws"))
    assert certificate.value == pytest.approx(turned.value, rel=1e-14, abs=0)
    inner = nv.bounds.gibbs_monte_carlo(risk=float(losses.mean()), draws=300, delta=0.01)
    assert certificate.value == pytest.approx(
        nv.bounds.seeger_kl(risk=inner, kl=3.0, n=200, delta=0.04).value,
        rel=1e-14,
        abs=0,
    )
    assert certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0), "both events are paid from the one delta"
    split = nv.bounds.certify_losses(losses, kl=3.0, delta=0.05, n_prior=500)
    assert (split.statement.key, split.inputs["n"]) == ("pb.data_prior", 200)
    assert split.value == certificate.value, "examples of the prior do not count"


def test_save_load_check(tmp_path):
    certificate = nv.bounds.certify_losses(np.full((10, 50), 0.25), kl=3.0, delta=0.05)
    certificate.save(tmp_path / "c.json")
    again = nv.bounds.load(tmp_path / "c.json")
    assert again.as_json() == certificate.as_json()
    assert again.check().sound
    infinite = nv.bounds.seeger_kl(risk=0.25, kl=math.inf, n=50, delta=0.05)
    infinite.save(tmp_path / "i.json")
    assert nv.bounds.load(tmp_path / "i.json").check().sound


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: replace(c, value=c.value * (1 - 1e-15), raw=c.raw * (1 - 1e-15)), "below the exact bound"),
        (lambda c: replace(c, inputs={**c.inputs, "kl": 4.0}), "below the exact bound"),
        (lambda c: replace(c, inputs={**c.inputs, "risk": 0.2}), "its certificate says"),
        (lambda c: replace(c, ledger=replace(c.ledger, entries=c.ledger.entries[:1])), "ledger"),
        (lambda c: replace(c, lower=0.01), "lower bound"),
        (lambda c: replace(c, parts={"risk": replace(c.parts["risk"], value=0.2, raw=0.2)}), "below the exact bound"),
    ],
)
def test_tampering_is_caught(change, problem):
    certificate = nv.bounds.certify_losses(np.full((10, 50), 0.25), kl=3.0, delta=0.05)
    assert certificate.check().sound
    found = change(certificate).check()
    assert not found.sound
    assert problem in found.detail


GOOD = {"risk": 0.1, "kl": 1.0, "n": 100, "delta": 0.05}


@pytest.mark.parametrize(
    "bad",
    [
        {"risk": -0.1}, {"risk": 1.1}, {"risk": math.nan}, {"risk": [0.1, 0.2]}, {"risk": "a"}, {"kl": -1}, {"kl": math.nan}, {"n": 0}, {"n": 1.5},
        {"n": math.inf}, {"n": math.nan}, {"delta": 0}, {"delta": 1}, {"delta": 1.5}, {"delta": math.nan}, {"delta": None}, {"log_inv_delta": 3.0},
        {"delta": None, "log_inv_delta": -1.0}, {"delta": None, "log_inv_delta": math.inf}, {"constant": "3sqrt"},
    ],
)  # fmt: skip
def test_bad_input(bad):
    with pytest.raises(InvalidInput):
        nv.bounds.seeger_kl(**{**GOOD, **bad})
    if "constant" not in bad:
        with pytest.raises(InvalidInput):
            nv.bounds.seeger_kl_split(**{**GOOD, "n_prior": 10, **bad})


@pytest.mark.parametrize("n_prior", [100, 101, -1, 2.5, math.nan])
def test_a_split_must_leave_examples(n_prior):
    with pytest.raises(InvalidInput):
        nv.bounds.seeger_kl_split(**GOOD, n_prior=n_prior)


@pytest.mark.parametrize(
    "losses",
    [
        np.zeros((0, 5)),
        np.zeros((5, 0)),
        np.zeros(5),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.full((2, 2), -0.5),
        "x",
        [["a"]],
    ],
)
def test_bad_losses(losses):
    with pytest.raises(InvalidInput):
        nv.bounds.certify_losses(losses, kl=1.0, delta=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"axes": ("examples", "examples")},
        {"monte_carlo_share": 0.0},
        {"monte_carlo_share": 1.0},
        {"delta": 0.0},
        {"kl": -1.0},
    ],
)
def test_bad_options(options):
    with pytest.raises(InvalidInput):
        nv.bounds.certify_losses(np.zeros((2, 2)), **{"kl": 1.0, "delta": 0.05, **options})


@pytest.mark.parametrize(
    "data", [None, [], {}, {"schema_version": 1}, {"schema_version": 2}, {"schema_version": 1, "key": "pb.nothing"}]
)
def test_what_is_not_a_certificate(data, tmp_path):
    with pytest.raises(InvalidInput):
        from_json(data)
    (tmp_path / "x.json").write_text(json.dumps(data))
    with pytest.raises(InvalidInput):
        nv.bounds.load(tmp_path / "x.json")
    with pytest.raises(StorageError):
        nv.bounds.load(tmp_path / "absent.json")


def _saved(certificate) -> dict:
    return json.loads(json.dumps(certificate.as_json()))


FORGERIES = {
    "a negative KL": lambda d: d["inputs"].update(kl=-6.0),
    "a negative part of the data": lambda d: d["inputs"].update(n_prior=-(10**7), n=10**7 + 550),
    "n of all the data": lambda d: d["inputs"].update(n=550),
    "an infinite n": lambda d: d["inputs"].update(n="inf"),
    "an unknown constant": lambda d: d["inputs"].update(constant="none"),
    "another theorem": lambda d: d.update(key="pb.gibbs_mc"),
    "another quantity": lambda d: d.update(quantity="risk on Mars"),
    "a smaller delta": lambda d: d.update(delta=0.01),
    "another kind": lambda d: d.update(kind="oracle"),
    "no assumptions": lambda d: d.update(assumptions=[]),
    "a renamed event": lambda d: d["ledger"]["entries"][1].update(event="luck"),
    "a ledger that disagrees with itself": lambda d: d["ledger"]["entries"][1].update(delta=1e-9),
    "a part for the KL": lambda d: d["parts"].update(kl=d["parts"]["risk"]),
    "a part of another theorem": lambda d: d["parts"]["risk"].update(key="pb.kl"),
    "NaN": lambda d: d.update(value="nan"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_do_not_pass(name):
    honest = nv.bounds.certify_losses(np.full((10, 50), 0.25), kl=3.0, delta=0.05, n_prior=500)
    data = _saved(honest)
    assert from_json(data).check().sound
    FORGERIES[name](data)
    with contextlib.suppress(InvalidInput):
        assert not from_json(data).check().sound


def test_a_monte_carlo_certificate_cannot_pose_as_a_risk_bound():
    data = _saved(nv.bounds.gibbs_monte_carlo(risk=0.02, draws=1000, delta=0.05))
    data["quantity"] = "true Gibbs risk"
    assert not from_json(data).check().sound


@pytest.mark.parametrize(
    "change", [{"draws": 0}, {"draws": -1}, {"risk": 2.0}, {"log_inv_delta": -1.0}, {"log_inv_delta": "x"}]
)
def test_impossible_inputs_are_refused(change):
    data = _saved(nv.bounds.gibbs_monte_carlo(risk=0.02, draws=1000, delta=0.05))
    data["inputs"].update(change)
    with pytest.raises(InvalidInput):
        from_json(data).check()


def test_the_mean_of_strided_losses_is_rounded_up():
    losses = np.full((200_000, 3), 0.3)[:, :2]
    assert nv.bounds.certify_losses(losses, kl=1.0, delta=0.1).parts["risk"].inputs["risk"] >= 0.3


def test_delta_is_spent_and_printed_exactly():
    for delta in (0.05, 0.1, 0.025, 1e-6, 0.3):
        certificate = nv.bounds.certify_losses(np.zeros((5, 50)), kl=1.0, delta=delta)
        assert certificate.delta == delta
        assert certificate.delta >= sum(entry.delta for entry in certificate.ledger.entries) * (1 - 1e-15)


@pytest.mark.parametrize(
    "bad",
    [{"n_prior": math.nan}, {"n_prior": "abc"}, {"n_prior": math.inf}, {"n_prior": -1}, {"monte_carlo_share": "x"}],
)
def test_more_bad_options(bad):
    with pytest.raises(InvalidInput):
        nv.bounds.certify_losses(np.zeros((2, 2)), kl=1.0, delta=0.05, **bad)
