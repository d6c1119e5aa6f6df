"""`compare`: every bound that applies, in order; what it says of the others; and that nothing but certificates passes for one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.bounds import compare
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.routes import ROUTES
from nonvacuous.theory.statement import Kind

RNG = np.random.default_rng(0)
BINARY = (RNG.random((20, 300)) < 0.1).astype(float)
REAL = 0.3 * RNG.random((4, 200))


def names(rows):
    return {row.function for row in rows}


def test_numbers():
    found = compare(risk=0.02, kl=73.2, n=30_000, delta=0.025)
    values = [row.certificate.value for row in found.certificates]
    assert values == sorted(values)
    assert names(found.certificates) == {
        "seeger_kl", "quad", "mcallester", "catoni_grid", "catoni_continuous", "kl_anytime",
    }  # fmt: skip
    assert len(found.certificates) + len(found.others) + len(found.not_applicable) == len(ROUTES)
    assert all(row.reason for row in found.not_applicable)
    by_name = {row.function: row.certificate for row in found.certificates}
    assert by_name["seeger_kl"].value == nv.bounds.seeger_kl(risk=0.02, kl=73.2, n=30_000, delta=0.025).value
    assert found.floor < min(values)
    assert all(row.certificate.check().sound for row in found.certificates)
    assert all(row.certificate.kind is Kind.CERTIFICATE for row in found.certificates)


def test_a_split_prior_counts_the_rest():
    found = compare(risk=0.02, kl=3.0, n=1000, n_prior=400, delta=0.05)
    best = {row.function: row.certificate for row in found.certificates}["seeger_kl"]
    assert best.statement.key == "pb.data_prior"
    assert best.inputs["n"] == 600
    again = compare(losses=BINARY, kl=3.0, n_prior=50, delta=0.05)
    assert {row.function: row.certificate for row in again.certificates}["seeger_kl"].inputs["n"] == 300


def test_draws_pay_for_their_event():
    found = compare(losses=BINARY, kl=3.0, delta=0.05)
    for row in found.certificates:
        assert "Monte-Carlo draws from the posterior" in [e.event for e in row.certificate.ledger.entries]
        assert row.certificate.delta <= 0.05 * (1 + 1e-12)
    assert compare(losses=BINARY.T, axes=("examples", "draws"), kl=3.0, delta=0.05).as_json() == found.as_json()
    with pytest.raises(InvalidInput, match="log_inv_delta"):
        compare(losses=BINARY, kl=3.0, log_inv_delta=3.0)


def test_a_finite_class_sees_the_spread():
    found = compare(losses=REAL, posterior=[1, 2, 0, 1], delta=0.05)
    assert {"empirical_bernstein", "unexpected_bernstein", "betting_pac_bayes"} <= names(found.certificates)
    assert found.certificates[0].function == "betting_pac_bayes"
    kl = {row.function: row.certificate for row in found.certificates}["seeger_kl"].inputs["kl"]
    q = np.array([0.25, 0.5, 0.0, 0.25])
    assert kl == pytest.approx(float((q[q > 0] * np.log(q[q > 0] * 4)).sum()), rel=1e-14, abs=0)


def test_one_predictor():
    found = compare(losses=BINARY[0], delta=0.05)
    assert [row.function for row in found.certificates] == [
        "binomial_test_set", "chernoff_test_set", "hoeffding_test_set", "betting_interval",
    ] or found.certificates[0].function == "binomial_test_set"  # fmt: skip
    assert "binomial_test_set" not in names(compare(losses=REAL[0], delta=0.05).certificates)
    chosen = compare(losses=BINARY[0], delta=0.05, log_inv_weight=math.log(20))
    assert names(chosen.certificates) == {"occam_binomial", "occam_kl"}
    assert chosen.floor is None


@given(events=st.sampled_from(["numbers", "draws", "finite", "fixed"]))
def test_simultaneous_certificates_share_delta(events):
    given_ = {
        "numbers": {"risk": 0.1, "kl": 2.0, "n": 500},
        "draws": {"losses": BINARY, "kl": 2.0},
        "finite": {"losses": REAL, "posterior": [1, 1, 1, 1]},
        "fixed": {"losses": BINARY[0]},
    }[events]
    apart, together = compare(**given_, delta=0.05), compare(**given_, delta=0.05, simultaneous=True)
    for row in together.certificates:
        assert row.certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0)
        assert row.certificate.delta <= 0.05
        assert row.certificate.check().sound
        others = {r.event for r in together.certificates} - {row.event}
        listed = {e.event.partition(":")[0] for e in row.certificate.ledger.entries if ":" in e.event}
        assert listed == others
    assert together.best.value == together.certificates[0].certificate.value
    for row in together.certificates:
        alone = {r.function: r.certificate for r in apart.certificates}[row.function]
        assert row.certificate.value >= alone.value * (1 - 1e-15)
    with pytest.raises(InvalidInput, match="simultaneous"):
        _ = apart.best


def test_text_and_json():
    found = compare(losses=BINARY, kl=3.0, delta=0.05)
    text = str(found)
    assert "certificates for the true Gibbs risk, each at delta 0.05" in text
    assert "a floor, not a certificate" in text
    assert "seeger_kl" in text
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert data["schema_version"] == 1
    assert all(row["certificate"]["kind"] == "certificate" for row in data["certificates"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"risk": 0.1},
        {"risk": 0.1, "kl": 1.0, "n": 10, "losses": BINARY},
        {"losses": BINARY},
        {"losses": BINARY, "kl": 1.0, "posterior": np.ones(20)},
        {"losses": BINARY, "posterior": np.ones(3)},
        {"losses": BINARY, "posterior": np.zeros(20)},
        {"losses": BINARY[0], "kl": 1.0},
        {"losses": BINARY, "kl": 1.0, "log_inv_weight": 2.0},
        {"losses": np.zeros((0, 3)), "kl": 1.0},
        {"losses": 2 * BINARY, "kl": 1.0},
        {"losses": BINARY * np.nan, "kl": 1.0},
        {"risk": 0.1, "kl": 1.0, "n": 10, "n_prior": 10},
        {"risk": 0.1, "kl": -1.0, "n": 10},
        {"risk": nv.bounds.gibbs_monte_carlo(risk=0.1, draws=10, delta=0.1), "kl": 1.0, "n": 10},
        {"losses": BINARY, "kl": 1.0, "axes": ("examples", "voters")},
    ],
    ids=str,
)
def test_bad_input(arguments):
    with pytest.raises(InvalidInput):
        compare(**arguments, delta=0.05)


def test_delta_is_needed_once():
    for wrong in ({}, {"delta": 0.05, "log_inv_delta": 3.0}, {"delta": 0.0}, {"delta": 1.0}):
        with pytest.raises(InvalidInput):
            compare(risk=0.1, kl=1.0, n=10, **wrong)
    assert compare(risk=0.1, kl=1.0, n=10, log_inv_delta=690.0).certificates[0].certificate.delta < 1e-299
