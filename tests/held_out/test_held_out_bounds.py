"""Test-set, Occam, compression and subsampled bounds: worked numbers, ledgers, orders, rechecks, pitfalls and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.certified import kl_upper
from nonvacuous.numerics.confidence import DeltaLedger
from nonvacuous.theory.statement import Answer, Kind

B = nv.bounds
LN2 = math.log(2)
ULP = 2.0**-52


def test_the_worked_example():
    """n = 50000, 600 errors, 3000 bits, delta = .05: four bounds in the document's order and to its digits."""
    occam = {"n": 50_000, "code_bits": 3000, "delta": 0.05}
    q, kl = 600 / 50_000, 3000 * LN2
    found = [
        B.occam_binomial(errors=600, **occam).value,
        B.occam_kl(risk=q, **occam).value,
        B.seeger_kl(risk=q, kl=kl, n=50_000, delta=0.05).value,
        B.seeger_kl(risk=q, kl=kl, n=50_000, delta=0.05, constant="2sqrt").value,
    ]
    assert [round(x, 7) for x in found] == [0.0733017, 0.0733891, 0.0735140, 0.0735243]


CERTIFICATES = [
    lambda: B.binomial_test_set(errors=600, n=50_000, delta=0.05),
    lambda: B.binomial_test_set(errors=600, n=50_000, log_inv_delta=700.0, two_sided=True),
    lambda: B.binomial_test_set(errors=0, n=1, delta=0.3, two_sided=True),
    lambda: B.binomial_test_set(errors=5, n=5, delta=0.3, two_sided=True),
    lambda: B.binomial_test_set(errors=3, n=10**12, delta=1e-300),
    lambda: B.chernoff_test_set(risk=0.3, n=1, delta=1e-300, two_sided=True),
    lambda: B.chernoff_test_set(risk=0.0, n=10**9, log_inv_delta=1e-9),
    lambda: B.chernoff_test_set(risk=1.0, n=10, delta=0.1, two_sided=True),
    lambda: B.hoeffding_test_set(risk=0.012, n=50_000, delta=0.05, two_sided=True),
    lambda: B.hoeffding_test_set(risk=0.9, n=10, delta=0.05, two_sided=True),
    lambda: B.occam_binomial(errors=600, n=50_000, code_bits=2500.5, delta=0.05),
    lambda: B.occam_binomial(errors=0, n=50_000, code_bits=0, delta=0.05),
    lambda: B.occam_binomial(errors=10, n=50, log_inv_weight=1e5, delta=0.05),
    lambda: B.occam_kl(risk=0.25, n=700, log_inv_weight=12.0, log_inv_delta=3.0),
    lambda: B.occam_kl(risk=1.0, n=700, code_bits=12.0, log_inv_delta=3.0),
    lambda: B.compression_bound(errors=60, n=5000, level_counts=(700, 200, 100, 0), choices=12, permuted_widths=(20, 10), delta=0.05),
    lambda: B.compression_bound(errors=60, n=5000, level_counts=(512, 512), form="arithmetic", bits_per_level=0, delta=0.05),
    lambda: B.compression_bound(errors=60, n=5000, level_counts=(10**7, 10**6, 3), delta=0.05),
    lambda: B.compression_bound(errors=60, n=5000, message_bits=800, prefix_free=False, delta=0.05),
    lambda: B.compression_bound(errors=60, n=5000, message_bits=800, prefix_free=False, length_prior="published", delta=0.05),
    lambda: B.compression_bound(errors=60, n=5000, message_bits=800, delta=0.05),
    lambda: B.subsampled_occam(risk=0.0, m=1000, n=50_000, code_bits=3000, delta=0.05),
    lambda: B.subsampled_occam(risk=4.3, m=1000, n=50_000, code_bits=3000, interval=(0.3, 9.1), delta=0.05, form="hoeffding"),
    lambda: B.subsampled_occam(risk=-4.3, m=7, n=5, log_inv_weight=0.1, interval=(-5.3, 9.1), log_inv_delta=1e3, share=0.9),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(CERTIFICATES)))
def test_every_certificate_rechecks_and_survives_json(index):
    certificate = CERTIFICATES[index]()
    assert certificate.kind is Kind.CERTIFICATE
    found = certificate.check()
    assert found.sound, found.detail
    assert found.excess < 2e-14 or certificate.raw in (0, 1)
    again = from_json(json.loads(json.dumps(certificate.as_json())))
    assert again.as_json() == certificate.as_json()
    assert again.check().sound
    assert set(certificate.answers.values()) == {Answer.CANNOT_BE_CHECKED}
    smaller = replace(certificate, value=certificate.value * (1 - 1e-12), raw=certificate.raw * (1 - 1e-12))
    if certificate.raw not in (0.0, 1.0) and certificate.raw < certificate.top and certificate.raw > 0:
        assert not smaller.check().sound
    if certificate.lower:
        assert not replace(certificate, lower=certificate.lower * (1 + 1e-11)).check().sound


FORGERIES = {
    "fewer errors": lambda d: d["inputs"].update(errors=500),
    "more examples": lambda d: d["inputs"].update(n=60_000),
    "another level": lambda d: d["inputs"].update(log_inv_delta=1.0),
    "fractional errors": lambda d: d["inputs"].update(errors=600.5),
    "one side claimed": lambda d: d["inputs"].update(sides=1),
    "three sides": lambda d: d["inputs"].update(sides=3),
    "an event dropped": lambda d: d["ledger"]["entries"].pop(),
    "a better lower end": lambda d: d.update(lower=0.0115),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_test_bounds_do_not_pass(name):
    data = json.loads(json.dumps(B.binomial_test_set(errors=600, n=50_000, delta=0.05, two_sided=True).as_json()))
    FORGERIES[name](data)
    try:
        found = from_json(data).check()
    except InvalidInput:
        return
    # fewer errors or more examples make the stored value too large, which is sound for the upper end; the lower end gives it away
    assert not found.sound


CODE_FORGERIES = {
    "a level forgotten": {"level_counts": (700, 200, 100)},
    "negative counts": {"level_counts": (700, 200, -100, 200)},
    "fewer options": {"choices": 0},
    "another form": {"form": "telepathy"},
    "other units": {"permuted_widths": (0,)},
    "negative levels": {"bits_per_level": -1},
}


@pytest.mark.parametrize("name", CODE_FORGERIES)
def test_forged_codes_do_not_pass(name):
    honest = B.compression_bound(errors=600, n=50_000, level_counts=(700, 200, 100, 50), choices=5, delta=0.05)
    forged = replace(honest, inputs={**honest.inputs, **CODE_FORGERIES[name]})
    if name == "a level forgotten":
        assert forged.check().sound  # a shorter code only leaves the stored value larger than needed
        return
    with pytest.raises(InvalidInput):
        forged.check()


@given(st.integers(1, 10**5), st.floats(0, 1), st.floats(LN2, 500))
def test_e6_binomial_chernoff_hoeffding(n, share, level):
    k = int(n * share)
    binomial = B.binomial_test_set(errors=k, n=n, log_inv_delta=level).value
    chernoff = B.chernoff_test_set(risk=k / n, n=n, log_inv_delta=level).value
    hoeffding = B.hoeffding_test_set(risk=k / n, n=n, log_inv_delta=level).value
    assert binomial <= chernoff * (1 + 1e-14)
    assert chernoff <= hoeffding * (1 + 1e-14)
    if k == 0:
        assert binomial == pytest.approx(-math.expm1(-level / n), rel=1e-14, abs=0)
        assert chernoff == pytest.approx(binomial, rel=1e-14, abs=0)


@given(st.integers(1, 10**5), st.floats(0, 1), st.floats(0, 1e4), st.floats(LN2, 500))
def test_e7_occam_orders(n, share, kl, level):
    k = int(n * share)
    binomial = B.occam_binomial(errors=k, n=n, log_inv_weight=kl, log_inv_delta=level).value
    chernoff = B.occam_kl(risk=k / n, n=n, log_inv_weight=kl, log_inv_delta=level).value
    point_mass = B.seeger_kl(risk=k / n, kl=kl, n=n, log_inv_delta=level).value
    assert binomial <= chernoff * (1 + 1e-14)
    assert chernoff <= point_mass * (1 + 1e-14)


@given(st.floats(0, 1), st.integers(1, 10**7), st.floats(0.01, 700))
def test_e17_monotone(risk, n, level):
    for bound in (B.chernoff_test_set, B.hoeffding_test_set):
        value = bound(risk=risk, n=n, log_inv_delta=level).value
        assert bound(risk=risk, n=n, log_inv_delta=level * 1.01).value >= value * (1 - 8 * ULP)
        assert bound(risk=risk, n=2 * n, log_inv_delta=level).value <= value * (1 + 8 * ULP)
        assert bound(risk=min(1.0, risk + 1e-3), n=n, log_inv_delta=level).value >= value * (1 - 8 * ULP)


@pytest.mark.parametrize("form", ["kl", "hoeffding"])
def test_e18_scaling(form):
    """A loss in [a, b] gives a + (b - a) times the bound of the rescaled loss."""
    for a, b in ((0.0, 15.0), (-2.0, 3.0), (0.25, 0.75)):
        plain = B.subsampled_occam(risk=0.25, m=500, n=9000, log_inv_weight=100.0, delta=0.05, form=form).raw
        scaled = B.subsampled_occam(
            risk=a + (b - a) * 0.25, m=500, n=9000, log_inv_weight=100.0, delta=0.05, form=form, interval=(a, b)
        )
        assert scaled.raw == pytest.approx(a + (b - a) * plain, abs=4e-15 * (abs(a) + b - a))
        assert scaled.top == b


def test_exact_coverage_up_to_200():
    """P(k : pbar(k) < p) <= delta by exact summation, n <= 200 and a grid of p."""
    for n in (1, 2, 7, 30, 200):
        for delta in (0.01, 0.05, 0.3):
            k = np.arange(n + 1)
            ends = nv.numerics.certified.binomial_upper(k, n, delta=delta)
            for p in np.linspace(0.001, 0.999, 199):
                assert binom.pmf(k[ends < p], n, p).sum() <= delta * (1 + 1e-10)


def test_d6_sides_are_halved_where_they_must_be_and_only_there():
    """Two binomial tails are two events at delta/2; one side keeps the whole delta; the PAC-Bayes-kl event is two-sided at one delta."""
    two = B.binomial_test_set(errors=12, n=100, delta=0.05, two_sided=True)
    assert [entry.delta for entry in two.ledger.entries] == [0.025, 0.025]
    assert two.delta == 0.05
    assert two.value == B.binomial_test_set(errors=12, n=100, delta=0.025).value
    one = B.binomial_test_set(errors=12, n=100, delta=0.05)
    assert (one.lower, [entry.delta for entry in one.ledger.entries]) == (None, [0.05])
    assert one.value < two.value
    assert len(B.seeger_kl(risk=0.1, kl=0.0, n=100, delta=0.05).ledger.entries) == 1


def test_d16_bits_are_not_nats():
    bits = B.occam_kl(risk=0.1, n=1000, code_bits=100, delta=0.05)
    nats = B.occam_kl(risk=0.1, n=1000, log_inv_weight=100, delta=0.05)
    assert bits.value == pytest.approx(float(kl_upper(0.1, (100 * LN2 - math.log(0.05)) / 1000)), rel=1e-14, abs=0)
    assert nats.value == pytest.approx(float(kl_upper(0.1, (100 - math.log(0.05)) / 1000)), rel=1e-14, abs=0)
    assert "code_bits" in bits.inputs
    assert "log_inv_weight" in nats.inputs
    for bound, data in ((B.occam_kl, {"risk": 0.1}), (B.occam_binomial, {"errors": 100})):
        with pytest.raises(InvalidInput, match="exactly one"):
            bound(**data, n=1000, code_bits=100, log_inv_weight=69.3, delta=0.05)
        with pytest.raises(InvalidInput, match="exactly one"):
            bound(**data, n=1000, delta=0.05)


def test_d4_the_compression_bound_stays_above_the_envelope():
    """No bound for 0-1 losses that sees only rh and the weight is below the binomial limit; with errors above one half too."""
    for errors in (10, 600, 900):
        bound = B.compression_bound(errors=errors, n=1000, message_bits=50, delta=0.05)
        envelope = float(nv.numerics.certified.binomial_upper(errors, 1000, log_inv_delta=50 * LN2 - math.log(0.05)))
        assert bound.value >= envelope * (1 - 1e-14)


@pytest.mark.parametrize("function", ["binomial_test_set", "chernoff_test_set", "hoeffding_test_set"])
def test_d24_no_errors_at_all(function):
    name = "errors" if function == "binomial_test_set" else "risk"
    for n in (1, 10**6, 10**12):
        certificate = getattr(B, function)(**{name: 0}, n=n, delta=0.05, two_sided=True)
        assert certificate.lower == 0.0
        assert 0 < certificate.value <= 1
        assert certificate.check().sound


GOOD = {"n": 100, "delta": 0.05}
BAD = [
    {"n": 0}, {"n": 1.5}, {"n": math.nan}, {"n": math.inf}, {"delta": 0}, {"delta": 1}, {"delta": math.nan}, {"delta": None}, {"log_inv_delta": 3.0},
    {"delta": None, "log_inv_delta": -1.0}, {"delta": None, "log_inv_delta": math.inf},
]  # fmt: skip
BAD_RISK = [{"risk": -0.1}, {"risk": 1.1}, {"risk": math.nan}, {"risk": [0.1, 0.2]}, {"risk": "a"}]
BAD_ERRORS = [
    {"errors": -1},
    {"errors": 101},
    {"errors": 0.5},
    {"errors": math.nan},
    {"errors": "a"},
    {"errors": True},
    {"errors": [1, 2]},
]
BAD_WEIGHT = [
    {"code_bits": -1},
    {"code_bits": math.inf},
    {"code_bits": math.nan},
    {"code_bits": [1, 2]},
    {"log_inv_weight": 2.0},
]


@pytest.mark.parametrize("bad", BAD + BAD_RISK, ids=str)
def test_bad_risks(bad):
    for function in (B.chernoff_test_set, B.hoeffding_test_set):
        with pytest.raises(InvalidInput):
            function(**{"risk": 0.1, **GOOD, **bad})
    with pytest.raises(InvalidInput):
        B.occam_kl(**{"risk": 0.1, "code_bits": 10, **GOOD, **bad})
    with pytest.raises(InvalidInput):
        B.subsampled_occam(**{"risk": 0.1, "m": 10, "code_bits": 10, **GOOD, **bad})


@pytest.mark.parametrize("bad", BAD + BAD_ERRORS, ids=str)
def test_bad_errors(bad):
    for function, more in (
        (B.binomial_test_set, {}),
        (B.occam_binomial, {"code_bits": 10}),
        (B.compression_bound, {"message_bits": 10}),
    ):
        with pytest.raises(InvalidInput):
            function(**{"errors": 5, **GOOD, **more, **bad})


@pytest.mark.parametrize("bad", BAD_WEIGHT, ids=str)
def test_bad_weights(bad):
    for function, more in (
        (B.occam_kl, {"risk": 0.1}),
        (B.occam_binomial, {"errors": 5}),
        (B.subsampled_occam, {"risk": 0.1, "m": 10}),
    ):
        with pytest.raises(InvalidInput):
            function(**{"code_bits": 10, **GOOD, **more, **bad})


def test_losses_between_0_and_1_are_not_counted():
    with pytest.raises(InvalidInput, match="Chernoff"):
        B.binomial_test_set(errors=0.3 * 100 + 0.5, n=100, delta=0.05)


@pytest.mark.parametrize(
    "bad",
    [
        {"m": 0}, {"m": 2.5}, {"interval": (1.0, 1.0)}, {"interval": (1.0, 0.0)}, {"interval": (0.0, math.inf)}, {"interval": (0.0,)}, {"share": 0.0},
        {"share": 1.0}, {"share": math.nan}, {"form": "bernstein"}, {"risk": 1.5}, {"interval": (0.2, 0.4)},
    ],
    ids=str,
)  # fmt: skip
def test_bad_subsamples(bad):
    with pytest.raises(InvalidInput):
        B.subsampled_occam(**{"risk": 0.1, "m": 10, "n": 100, "code_bits": 10, "delta": 0.05, **bad})


def test_subsample_ledger():
    """share delta for the sample, the rest for the drawn part; the default share is m/(m+n)."""
    c = B.subsampled_occam(risk=0.1, m=100, n=300, code_bits=10, delta=0.04)
    assert [e.delta for e in c.ledger.entries] == pytest.approx([0.01, 0.03], rel=1e-12, abs=0)
    assert c.delta <= 0.04
    tiny = B.subsampled_occam(risk=0.1, m=100, n=300, code_bits=10, log_inv_delta=5000.0)
    assert tiny.ledger.spent_log_inv_delta >= 5000.0 - 1e-9
    assert isinstance(tiny.ledger, DeltaLedger)
    published = B.subsampled_occam(risk=0.1, m=100, n=300, code_bits=10, delta=0.04, form="hoeffding").value
    by_hand = 0.1 + math.sqrt((10 * LN2 + math.log(1 / 0.01)) / 600) + math.sqrt(math.log(1 / 0.03) / 200)
    assert published == pytest.approx(by_hand, rel=1e-12, abs=0)
    assert c.value <= published


def test_the_evaluated_part_is_paid_for():
    """All n examples evaluated is still dearer than the plain Occam bound: the second event costs."""
    full = B.subsampled_occam(risk=0.1, m=300, n=300, code_bits=10, delta=0.05).value
    assert full > B.occam_kl(risk=0.1, n=300, code_bits=10, delta=0.05).value
