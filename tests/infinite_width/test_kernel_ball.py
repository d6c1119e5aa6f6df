"""The Rademacher certificate of kernel predictors: soundness to the last bit, monotony, saving, refusals."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.numerics.bounds.certificate import from_json, load
from nonvacuous.numerics.kernel_regression.rademacher import (
    LeadingTerm,
    arora2019_bound,
    arora2019_kernel,
    arora2019_leading_term,
    interpolant_norm,
    kernel_ball_bound,
)
from nonvacuous.numerics.wide_networks.policy import SingularGram
from nonvacuous.theory.balls.rademacher import kernel_ball_bound as exact
from nonvacuous.theory.errors import InvalidInput

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
X /= np.linalg.norm(X, axis=1, keepdims=True)
H = arora2019_kernel(X)
GIVEN = {"norm": 2.0, "unit_norm": 1.0, "trace": 150.0, "n": 300, "delta": 0.05}


@given(
    st.floats(0, 1e3),
    st.floats(1e-2, 1e2),
    st.floats(0, 1e6),
    st.integers(1, 10**7),
    st.floats(0.01, 50),
    st.floats(0, 1),
)
def test_never_below_the_exact_value(norm, unit, trace, n, log_inv_delta, risk):
    c = kernel_ball_bound(norm=norm, unit_norm=unit, trace=trace, n=n, log_inv_delta=log_inv_delta, risk=risk)
    assert c.raw >= exact(risk, norm, unit, trace, n, log_inv_delta)
    assert c.check().sound
    assert c.value == min(c.raw, 1)


def test_monotone():
    """Section 8, item 14, for this calculator."""
    for name, values in (("delta", (0.2, 0.05, 1e-9)), ("norm", (0.5, 1.5, 2.5)), ("trace", (100.0, 150.0, 200.0))):
        raws = [kernel_ball_bound(**(GIVEN | {name: value})).raw for value in values]
        assert raws == sorted(raws)
        assert len(set(raws)) == 3
    assert kernel_ball_bound(**(GIVEN | {"n": 600, "trace": 300.0})).raw < kernel_ball_bound(**GIVEN).raw


def test_the_norm_is_rounded_up_to_the_grid_and_the_union_is_paid():
    same = [kernel_ball_bound(**(GIVEN | {"norm": norm})).raw for norm in (1.0000001, 2.0)]
    assert same[0] == same[1]
    k, n = 2, 300
    assert same[1] == pytest.approx(
        2 * 2 * math.sqrt(150) / n + 3 * math.sqrt(math.log(2 * k * (k + 1) / 0.05) / (2 * n)), rel=1e-14
    )


def test_certificate_of_the_interpolant(tmp_path):
    certificate = arora2019_bound(gram=H, labels=X[:, 0], unit_norm=1.0, delta=0.05)
    assert certificate.inputs["trace"] == pytest.approx(150)
    assert not certificate.vacuous
    assert certificate.delta == 0.05
    assert certificate.check().sound
    certificate.save(tmp_path / "c.json")
    assert load(tmp_path / "c.json").check().sound


@pytest.mark.parametrize(
    "change", [{"trace": 100.0}, {"norm": 3.5}, {"unit_norm": 2.0}, {"n": 200}, {"log_inv_delta": 5.0}, {"risk": 0.1}]
)
def test_a_forged_certificate_is_refused(change):
    certificate = arora2019_bound(gram=H, labels=X[:, 0], unit_norm=1.0, delta=0.05)
    data = json.loads(json.dumps(certificate.as_json()))
    data["inputs"].update(change)
    forged = from_json(data)
    honest = exact(*(forged.inputs[k] for k in ("risk", "norm", "unit_norm", "trace", "n", "log_inv_delta")))
    if "log_inv_delta" in change or not honest <= forged.raw:
        assert not forged.check().sound


def test_norm_of_a_function_of_the_space():
    """Labels f(X) of f = sum a_i k(., z_i) have a norm of at most that of f."""
    points, weights = X[:4], np.array([1.0, -2.0, 0.5, 1.0])
    both = arora2019_kernel(np.concatenate([X[4:60], points]))
    gram, cross, own = both[:56, :56], both[:56, 56:], both[56:, 56:]
    found = interpolant_norm(gram=(gram + gram.T) / 2, labels=cross @ weights)
    assert found.value <= found.upper <= math.sqrt(weights @ own @ weights) * (1 + 1e-9)


def test_the_printed_form_is_a_leading_term_without_a_certificate():
    term = arora2019_leading_term(gram=H, labels=X[:, 0])
    assert isinstance(term, LeadingTerm)
    assert "not a bound" in str(term)
    norm = interpolant_norm(gram=H, labels=X[:, 0]).value
    # its value is twice the complexity of the ball, without the union and the deviations
    assert term.value == pytest.approx(2 * norm * math.sqrt(np.trace(H)) / 300, rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"unit_norm": 0.0},
        {"unit_norm": -1.0},
        {"norm": math.nan},
        {"norm": math.inf},
        {"norm": 1e12},
        {"trace": -1.0},
        {"n": 0},
        {"delta": 0.0},
        {"delta": 1.0},
        {"risk": 1.5},
        {"log_inv_delta": 3.0},
    ],
)
def test_bad_input(changes):
    with pytest.raises(InvalidInput):
        kernel_ball_bound(**(GIVEN | changes))


def test_singular_kernels_and_wrong_inputs():
    with pytest.raises(SingularGram):
        interpolant_norm(gram=np.ones((3, 3)), labels=np.ones(3))
    with pytest.raises(InvalidInput, match="norm 1"):
        arora2019_kernel(2 * X)
    with pytest.raises(InvalidInput, match="above 1"):
        arora2019_bound(gram=H, labels=2 * X[:, 0], unit_norm=1.0, delta=0.05)
    with pytest.raises(InvalidInput, match="symmetric"):
        interpolant_norm(gram=np.triu(np.ones((2, 2))), labels=np.ones(2))
