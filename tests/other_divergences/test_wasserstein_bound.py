"""The Wasserstein bound and the distance between diagonal Gaussians."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.implicit_bias.gaussian_law import GaussianLaw
from nonvacuous.numerics.implicit_bias.wasserstein import wasserstein2
from nonvacuous.theory.balls.wasserstein import gaussian_distance_ball

numbers = st.floats(-1e3, 1e3)


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 10**6)), min_size=1, max_size=6),
    st.floats(0, 10),
    st.sampled_from(["bounded", "second moment"]),
    st.floats(0.01, 700),
)
def test_rechecks_and_closed_form(risk, parts, slope, form, level):
    distances, sizes = (list(x) for x in zip(*parts, strict=True))
    found = nv.bounds.wasserstein(
        risk=risk, distances=distances, sizes=sizes, lipschitz=slope, form=form, log_inv_delta=level
    )
    outcome = found.check(30)
    assert outcome.sound, outcome.detail
    n, factor = sum(sizes), 0.5 if form == "bounded" else 2.0
    walked = sum(2 * m * slope * w / n for w, m in parts)
    wanted = risk + walked + sum(math.sqrt(factor * m * (level + math.log(len(parts)))) / n for m in sizes)
    assert found.raw == pytest.approx(wanted, rel=1e-13, abs=0)


def test_one_part_at_distance_zero_is_hoeffding():
    found = nv.bounds.wasserstein(risk=0.1, distances=0.0, sizes=1000, lipschitz=3.0, delta=0.05)
    assert found.value == pytest.approx(0.1 + math.sqrt(math.log(20) / 2000), rel=1e-14, abs=0)


def test_point_masses_have_a_bound_where_kl_has_none():
    one = nv.bounds.wasserstein(risk=0.1, distances=0.2, sizes=5000, lipschitz=0.1, delta=0.05)
    assert one.value < 0.2
    assert one.check().sound
    assert nv.bounds.seeger_kl(risk=0.1, kl=math.inf, n=5000, delta=0.05).value == 1.0


def test_the_union_over_parts_is_paid():
    whole = nv.bounds.wasserstein(risk=0.1, distances=0.0, sizes=1000, lipschitz=1.0, delta=0.05)
    halves = nv.bounds.wasserstein(risk=0.1, distances=[0.0, 0.0], sizes=[500, 500], lipschitz=1.0, delta=0.05)
    wanted = 2 * math.sqrt(500 * math.log(2 / 0.05) / 2) / 1000
    assert halves.value == pytest.approx(0.1 + wanted, rel=1e-14, abs=0)
    assert halves.value > whole.value
    assert halves.delta == pytest.approx(0.05)


@given(st.lists(st.tuples(numbers, st.floats(0, 100), numbers, st.floats(0, 100)), min_size=1, max_size=6))
def test_gaussian_distance_is_rounded_up(rows):
    m, s, m0, s0 = (list(x) for x in zip(*rows, strict=True))
    found = nv.bounds.gaussian_distance(mean=m, scale=s, prior_mean=m0, prior_scale=s0)
    exact = gaussian_distance_ball(m, s, m0, s0)
    assert found >= exact
    assert found == 0 or abs(found / exact - 1) < 1e-14


def test_gaussian_distance_never_below_in_low_dimensions():
    """Few terms, where the roundings of differences, quotients and squares do not average out."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        size = int(rng.integers(1, 3))
        m, m0, s, s0 = (x.tolist() for x in (*rng.normal(size=(2, size)), *rng.random((2, size))))
        square = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in [*zip(m, m0, strict=True), *zip(s, s0, strict=True)])
        found = nv.bounds.gaussian_distance(mean=m, scale=s, prior_mean=m0, prior_scale=s0)
        assert Fraction(found) ** 2 >= square


def test_gaussian_distance_against_the_general_formula():
    rng = np.random.default_rng(0)
    m, m0 = rng.normal(size=(2, 4))
    s, s0 = rng.random((2, 4))
    general = wasserstein2(GaussianLaw(m, np.diag(s)), GaussianLaw(m0, np.diag(s0)))
    assert nv.bounds.gaussian_distance(mean=m, scale=s, prior_mean=m0, prior_scale=s0) == pytest.approx(
        general,
        rel=1e-12,
        abs=0,
    )
    assert nv.bounds.gaussian_distance(mean=m, scale=0.0, prior_mean=m0, prior_scale=0.0) == pytest.approx(float(np.linalg.norm(m - m0)), rel=1e-15, abs=0)  # fmt: skip
    assert nv.bounds.gaussian_distance(mean=m, scale=1.0, prior_mean=m, prior_scale=1.0) == 0.0


def test_e17_monotone():
    def value(**changes):
        given_ = {"risk": 0.1, "distances": 0.1, "sizes": 100, "lipschitz": 0.5, "delta": 0.05, **changes}
        return nv.bounds.wasserstein(**given_).raw

    assert value() < value(distances=0.2)
    assert value() < value(risk=0.2)
    assert value() < value(delta=0.01)
    assert value() > value(sizes=200)
    assert value() < value(form="second moment")
    assert value(distances=math.inf) == math.inf
    assert value(distances=math.inf, lipschitz=0.0) < 1


def test_tampering_is_seen():
    good = nv.bounds.wasserstein(
        risk=0.1, distances=[0.1, 0.2], sizes=[50, 60], lipschitz=0.5, form="second moment", delta=0.05
    )
    for name, wrong in (("lipschitz", 0.6), ("distances", (0.2, 0.2)), ("sizes", (40, 60)), ("risk", 0.2)):
        assert not replace(good, inputs={**good.inputs, name: wrong}).check().sound
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "sizes": (50,)}).check()
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "form": "objective"}).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"risk": 1.5}, {"risk": math.nan}, {"distances": -0.1}, {"distances": [0.1, 0.2]}, {"sizes": 0}, {"sizes": 2.5}, {"sizes": []}, {"lipschitz": -1.0},
        {"lipschitz": math.inf}, {"form": "kl"}, {"delta": 1.0}, {"distances": math.nan},
    ],
)  # fmt: skip
def test_refusals(changes):
    with pytest.raises(InvalidInput):
        nv.bounds.wasserstein(
            **{"risk": 0.1, "distances": 0.1, "sizes": 100, "lipschitz": 0.5, "delta": 0.05, **changes}
        )


def test_refused_distances():
    good = {"mean": [0.0, 1.0], "scale": 1.0, "prior_mean": [0.0, 0.0], "prior_scale": [1.0, 1.0]}
    for changes in (
        {"mean": [0.0]},
        {"scale": -1.0},
        {"prior_scale": [1.0]},
        {"mean": [math.nan, 0.0]},
        {"scale": math.inf},
    ):
        with pytest.raises(InvalidInput):
            nv.bounds.gaussian_distance(**{**good, **changes})
