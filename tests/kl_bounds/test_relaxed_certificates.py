"""What every bound of this theme shares: safe rounding, ledgers, monotonicity, parts, files, forgeries, and everything it refuses."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous import bounds
from nonvacuous.errors import DeltaOverspent, InvalidInput
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.bounds.rules import RULES
from nonvacuous.theory.statement import Kind

risks, divergences, sizes, levels = st.floats(0, 1), st.floats(0, 1e6), st.integers(2, 10**7), st.floats(0.8, 700)
GRID = (0.25, 1.0, 4.0)

BOUNDS = {
    **{f"mcallester {c}": lambda c=c, **k: bounds.mcallester(constant=c, **k) for c in ("exact", "2sqrt", "1999", "2003", "hybrid")},
    "quad": bounds.quad,
    "quad 2sqrt": lambda **k: bounds.quad(constant="2sqrt", **k),
    "thiemann_lambda": bounds.thiemann_lambda,
    "thiemann_lambda fixed": lambda **k: bounds.thiemann_lambda(lam=1.3, gamma=0.4, **k),
    "catoni": lambda **k: bounds.catoni(beta=1.5, **k),
    "catoni_grid": lambda **k: bounds.catoni_grid(betas=GRID, **k),
    "catoni_continuous": lambda **k: bounds.catoni_continuous(lam=50.0, **k),
    "catoni_uniform": bounds.catoni_uniform,
    "catoni_uniform fixed": lambda **k: bounds.catoni_uniform(beta=0.7, lower_beta=-0.7, **k),
}  # fmt: skip
two_sided = [
    name for name in BOUNDS if name.partition(" ")[0] in ("mcallester", "quad", "thiemann_lambda", "catoni_uniform")
]
every = pytest.mark.parametrize("name", BOUNDS)


@every
@settings(max_examples=40)
@given(risks, divergences, sizes, levels)
def test_every_certificate_rechecks(name, risk, kl, n, level):
    certificate = BOUNDS[name](risk=risk, kl=kl, n=n, log_inv_delta=level)
    found = certificate.check(40)
    assert found.sound, found.detail
    assert found.excess < 1e-13
    assert certificate.value == min(certificate.raw, 1.0)
    assert certificate.kind is Kind.CERTIFICATE
    assert risk <= certificate.value * (1 + 1e-15) + 1e-300
    if certificate.lower is not None:
        assert 0 <= certificate.lower <= risk


@every
@settings(max_examples=40)
@given(risks, divergences, sizes, levels)
def test_monotone_in_risk_kl_delta_and_n(name, risk, kl, n, level):
    """Non-decreasing in K, ln(1/delta) and the empirical risk, non-increasing in n, each to 4 ulps."""
    here = {"risk": risk, "kl": kl, "n": n, "log_inv_delta": level}
    value = BOUNDS[name](**here).raw
    for change in ({"kl": kl * 1.1 + 1e-3}, {"log_inv_delta": level * 1.1}, {"risk": min(1.0, risk * 1.1 + 1e-3)}):
        assert BOUNDS[name](**{**here, **change}).raw >= value * (1 - 4 * 2.0**-52)
    # at a fixed lambda the parameter lambda/n of the continuous form falls with n: there only the clipped value is monotone
    fewer = BOUNDS[name](**{**here, "n": max(2, n // 2)})
    assert fewer.value >= min(1.0, value) * (1 - 4 * 2.0**-52)


@every
def test_a_monte_carlo_certificate_as_the_risk(name):
    estimate = bounds.gibbs_monte_carlo(risk=0.02, draws=1000, delta=0.01)
    certificate = BOUNDS[name](risk=estimate, kl=5.0, n=2000, delta=0.04)
    assert certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0)
    assert len(certificate.ledger.entries) == 2
    assert certificate.lower is None, "an upper bound on the empirical risk gives no lower bound on the true one"
    assert certificate.value == BOUNDS[name](risk=estimate.value, kl=5.0, n=2000, delta=0.04).value
    assert certificate.check().sound
    forged = replace(certificate, parts={"risk": replace(estimate, value=0.0, raw=0.0)})
    assert not forged.check().sound
    with pytest.raises(DeltaOverspent):
        BOUNDS[name](risk=estimate, kl=5.0, n=2000, delta=0.995)


@every
def test_save_load_and_tampering(name, tmp_path):
    certificate = BOUNDS[name](risk=0.1, kl=5.0, n=2000, delta=0.04)
    certificate.save(tmp_path / "c.json")
    again = bounds.load(tmp_path / "c.json")
    assert again.as_json() == certificate.as_json()
    assert again.check().sound
    smaller = certificate.raw * (1 - 1e-14)
    changed = [
        replace(certificate, value=smaller, raw=smaller),
        replace(certificate, inputs={**certificate.inputs, "kl": 6.0}),
        replace(certificate, inputs={**certificate.inputs, "n": 1500}),
        replace(certificate, inputs={**certificate.inputs, "log_inv_delta": 4.0}),
        replace(certificate, ledger=replace(certificate.ledger, entries=())),
        replace(certificate, quantity="empirical Gibbs risk"),
    ]
    if certificate.lower is not None:
        changed.append(replace(certificate, lower=certificate.lower * (1 + 1e-14) + 1e-16))
    for wrong in changed:
        assert not wrong.check().sound


@every
@pytest.mark.parametrize(
    "bad",
    [
        {"risk": -0.1}, {"risk": 1.1}, {"risk": math.nan}, {"risk": [0.1, 0.2]}, {"risk": "a"}, {"kl": -1.0}, {"kl": math.nan}, {"n": 0},
        {"n": 1.5}, {"n": math.inf}, {"n": math.nan}, {"delta": 0.0}, {"delta": 1.0}, {"delta": math.nan}, {"delta": None},
        {"log_inv_delta": 3.0}, {"delta": None, "log_inv_delta": -1.0}, {"delta": None, "log_inv_delta": math.inf},
    ],
)  # fmt: skip
def test_bad_input(name, bad):
    with pytest.raises(InvalidInput):
        BOUNDS[name](**{"risk": 0.1, "kl": 1.0, "n": 100, "delta": 0.05, **bad})


@every
def test_extreme_input(name, tmp_path):
    for given_ in (
        {"delta": 1e-300},
        {"log_inv_delta": 1e6},
        {"kl": math.inf, "delta": 0.1},
        {"risk": 0.0, "delta": 0.1},
        {"risk": 1.0, "delta": 0.1},
    ):
        certificate = BOUNDS[name](**{"risk": 0.2, "kl": 3.0, "n": 500, **given_})
        assert 0 < certificate.value <= 1
        assert certificate.check().sound
        certificate.save(tmp_path / "c.json")
        assert bounds.load(tmp_path / "c.json").check().sound
    assert BOUNDS[name](risk=0.2, kl=math.inf, n=500, delta=0.1).value == 1.0
    smallest = 2 if "2003" in name or "hybrid" in name else 1
    assert BOUNDS[name](risk=0.2, kl=0.0, n=smallest, delta=0.1).check().sound


@pytest.mark.parametrize("name", two_sided)
@settings(max_examples=40)
@given(risk=risks, kl=st.floats(0, 100), n=st.integers(10, 10**6))
def test_sides_never_leave_the_kl_interval(name, risk, kl, n):
    """The forms on the event of pb.kl (all but the historical ones) contain its interval at the same constant."""
    constant = "2sqrt" if "2sqrt" in name else "exact"
    reference = bounds.seeger_kl(risk=risk, kl=kl, n=n, delta=0.05, constant=constant)
    found = BOUNDS[name](risk=risk, kl=kl, n=n, delta=0.05)
    assert found.raw >= reference.value * (1 - 1e-14)
    assert found.lower <= reference.lower * (1 + 1e-12) + 1e-300


FORGERIES = {
    "thiemann_lambda fixed": [{"lam": 2.0}, {"lam": 0.0}, {"lam": "inf"}, {"gamma": -1.0}, {"constant": "none"}],
    "mcallester exact": [{"constant": "2003"}, {"constant": "free"}, {"n": 0}],
    "mcallester 2003": [{"constant": "exact"}, {"n": 1}],
    "catoni": [{"beta": -1.0}, {"beta": 0.0}, {"beta": 1.6}],
    "catoni_grid": [{"betas": []}, {"betas": [0.25, 1.0, 4.0, 8.0]}, {"betas": [1.0, -1.0]}],
    "catoni_continuous": [{"alpha": 1.0}, {"lam": 0.5}, {"alpha": 1.2}],
    "catoni_uniform fixed": [{"beta": -0.7}, {"lower_beta": 0.7}, {"constant": "none"}],
    "quad": [{"constant": "2003"}],
}


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, changes in FORGERIES.items() for change in changes]
)
def test_forged_parameters_do_not_pass(name, change):
    data = json.loads(json.dumps(BOUNDS[name](risk=0.1, kl=5.0, n=2000, delta=0.04).as_json()))
    data["inputs"].update(change)
    with contextlib.suppress(InvalidInput):
        assert not from_json(data).check().sound


def test_every_rule_is_tried_here():
    tried = {BOUNDS[name](risk=0.1, kl=5.0, n=2000, delta=0.04).statement.key for name in BOUNDS}
    assert tried | {"pb.master", "pb.pbb"} == {
        key
        for key in RULES
        if key in ("pb.master", "pb.pbb", "pb.mcallester", "pb.quad", "pb.lambda") or "catoni" in key
    } - {"pb.disintegrated_catoni"}


def test_losses_on_another_scale():
    """E18: a loss in [a, b] has the bound a + (b-a) bound, rounded up."""
    value = bounds.quad(risk=0.25, kl=3.0, n=500, delta=0.05).value
    for a, b in ((0.0, 1.0), (-2.0, 3.0), (0.1, 0.7), (1e6, 1e6 + 1)):
        scaled = bounds.to_own_scale(value, a, b)
        assert scaled >= a + (b - a) * value
        assert scaled == pytest.approx(a + (b - a) * value, abs=4 * 2.0**-52 * (abs(a) + b - a))
    for bad in ((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(InvalidInput):
            bounds.to_own_scale(value, *bad)


def test_float32_numbers_are_converted():
    kwargs = {"kl": np.float32(3.0), "n": np.int32(500), "delta": 0.05}
    for bound in BOUNDS.values():
        assert bound(risk=np.float32(0.25), **kwargs).value == bound(risk=0.25, kl=3.0, n=500, delta=0.05).value


def test_the_generic_theorem():
    certificate = bounds.master(kl=3.0, log_constant=math.log(5.0), delta=0.1)
    assert certificate.value == pytest.approx(3 + math.log(50))
    assert certificate.top == math.inf
    assert certificate.check().sound
    assert bounds.master(kl=math.inf, log_constant=0.0, delta=0.1).check().sound
    assert bounds.master(kl=0.0, log_constant=-50.0, delta=0.1).check().sound
    assert not replace(certificate, raw=certificate.raw - 1e-15, value=certificate.raw - 1e-15).check().sound
    for bad in ({"kl": -1.0}, {"log_constant": math.inf}, {"log_constant": math.nan}, {"delta": 0.0}):
        with pytest.raises(InvalidInput):
            bounds.master(**{"kl": 1.0, "log_constant": 0.0, "delta": 0.1, **bad})
