"""Bernstein, split-kl, vector-kl and recursive bounds: worked numbers, orders, soundness against balls, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous.bounds import (
    RecursiveStep,
    empirical_bernstein,
    posterior_moments,
    recursive_pac_bayes,
    seeger_kl,
    small_data_envelope,
    split_kl,
    split_kl_continuous,
    trinomial_kl,
    unexpected_bernstein,
    vector_kl,
)
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.empirical_bernstein import grid_sizes, variance_up
from nonvacuous.numerics.bounds.unexpected_bernstein import default_rates
from nonvacuous.numerics.certified import kl_upper, log_maurer_xi
from nonvacuous.numerics.certified.multinomial_kl import multinomial_kl_upper

unit = st.floats(0, 1)
kls = st.floats(0, 1e4)
sizes = st.integers(2, 10**7)
levels = st.floats(0.7, 400)


def test_worked_bernstein():
    found = empirical_bernstein(risk=0.12, variance=0.03, kl=50, n=10_000, delta=0.05)
    assert round(found.value, 7) == 0.1544727
    level = found.inputs["log_inv_delta"]
    assert grid_sizes(10_000, level, level, 1.15, 1.15) == (24, 24)
    assert round(variance_up(0.03, 50, 10_000, level, 24, 1.15), 7) == 0.0629387
    assert round(seeger_kl(risk=0.12, kl=50, n=10_000, delta=0.05, constant="2sqrt").value, 7) == 0.1579893
    assert sorted(e.event for e in found.ledger.entries) == [
        "empirical Bernstein over the sample",
        "variance over the sample",
    ]
    assert found.delta <= 0.05


def test_worked_unexpected_bernstein():
    found = unexpected_bernstein(risk=0.12, second_moment=0.02, kl=50, n=10_000, delta=0.05)
    assert round(found.value, 9) == 0.138646921
    assert len(default_rates(10_000, math.log(20))) == 5
    alone = unexpected_bernstein(risk=0.12, second_moment=0.02, kl=50, n=10_000, delta=0.05, rates=[0.5])
    assert alone.value < found.value  # the grid is paid for


def test_worked_trinomial_and_split_kl():
    found = trinomial_kl(loss=0.08, gain=0.05, kl=50, n=10_000, delta=0.05)
    assert round(found.value, 7) == 0.0712718
    published = (50 + math.log(2 * 10_000 / 0.05)) / 10_000  # ln(2n), larger than ln(n + xi(n)) from n = 3 on
    assert round(float(multinomial_kl_upper([0.08, 0.05, 0.87], [1.0, -1.0, 0.0], published)), 7) == 0.0715063
    c = (50 + math.log(2 * 2 * math.sqrt(10_000) / 0.05)) / 10_000
    assert round(-1 + float(kl_upper(0.95, c)) + float(kl_upper(0.08, c)), 7) == 0.0829761
    ours = split_kl(frequencies=(0.95, 0.08), levels=(-1, 0, 1), kl=50, n=10_000, delta=0.05)
    assert found.value < ours.value < 0.0829761


def test_worked_recursion():
    step = RecursiveStep(0.5, (0.985, 0.03, 0.004), 600, 30_000)
    options = {"risk": 0.08, "kl": 40, "n": 60_000, "steps": [step], "delta": 0.025}
    published = recursive_pac_bayes(**options, form="split", constant="2sqrt")
    first, second = published.inputs["bounds"]
    assert round(first, 10) == 0.0916111639
    assert round(second, 10) == 0.1000360816
    assert round(second - 0.5 * first, 10) == 0.0542304996
    assert recursive_pac_bayes(**options).value < recursive_pac_bayes(**options, form="split").value < published.value
    drawn = recursive_pac_bayes(**options, form="split", pairs=10_000, draws_delta=0.01)
    assert drawn.value > recursive_pac_bayes(**options, form="split").value
    assert drawn.delta == pytest.approx(0.035)
    assert len(drawn.ledger.entries) == 3
    together = recursive_pac_bayes(**options, pairs=10_000, draws_delta=0.01)
    assert recursive_pac_bayes(**options).value < together.value < drawn.value
    assert together.check()
    many = recursive_pac_bayes(**options, pairs=10**14, draws_delta=0.01).value
    assert many == pytest.approx(recursive_pac_bayes(**options).value, abs=1e-5)
    single = recursive_pac_bayes(risk=0.08, kl=40, n=60_000, steps=[], delta=0.025)
    assert single.value == pytest.approx(seeger_kl(risk=0.08, kl=40, n=60_000, delta=0.025).value, rel=1e-15, abs=0)


def test_d05_searching_a_constant_needs_a_union():
    """The smallest bound over c1, each at the whole delta, lies below the one with c1 fixed: it is not what the theorem gives."""
    fixed = empirical_bernstein(risk=0.1, variance=0.01, kl=20, n=5000, delta=0.05).value
    searched = min(
        empirical_bernstein(risk=0.1, variance=0.01, kl=20, n=5000, delta=0.05, c1=c).value
        for c in np.linspace(1.01, 2, 60)
    )
    paid = min(
        empirical_bernstein(risk=0.1, variance=0.01, kl=20, n=5000, delta=0.05 / 60, c1=c).value
        for c in np.linspace(1.01, 2, 60)
    )
    assert searched < fixed
    assert searched < paid


def test_d13_the_grid_without_its_inner_logarithm_is_larger():
    n, level = 10_000, math.log(40)
    right = grid_sizes(n, level, level, 1.15, 1.15)[1]
    wrong = math.ceil(math.sqrt((math.e - 2) * n / (4 * level)) / math.log(1.15)) + 1
    assert wrong > 5 * right


@given(q=unit, c=st.floats(1e-6, 5), height=st.floats(0.1, 10))
def test_e08_split_kl_with_two_levels_is_kl(q, c, height):
    n = 1000
    kl = c * n
    ours = split_kl(frequencies=[q], levels=[2.0, 2.0 + height], kl=kl, n=n, delta=0.05)
    plain = seeger_kl(risk=q, kl=kl, n=n, delta=0.05)
    assert ours.raw == pytest.approx(2 + (2.0 + height - 2) * plain.raw, rel=1e-14, abs=0)


@given(u=st.lists(st.floats(0.001, 1), min_size=2, max_size=5), kl=kls, n=sizes, level=levels)
def test_vector_bounds_are_sound_and_contain_the_observed_mean(u, kl, n, level):
    u = np.array(u) / sum(u)
    values = np.linspace(-1, 1, len(u))
    found = vector_kl(frequencies=u, values=values, kl=kl, n=n, log_inv_delta=level)
    assert found.lower <= u @ values + 1e-12
    assert found.value >= u @ values - 1e-12
    assert found.check().sound


@given(risk=unit, v=st.floats(0, 0.5), kl=kls, n=sizes, level=levels)
def test_bernstein_bounds_are_sound(risk, v, kl, n, level):
    for found in (
        empirical_bernstein(risk=risk, variance=v, kl=kl, n=n, log_inv_delta=level),
        unexpected_bernstein(risk=risk, second_moment=risk * min(1.0, 2 * v), kl=kl, n=n, log_inv_delta=level),
    ):
        assert found.check().sound
        assert found.value >= risk


@given(
    f=st.lists(unit, min_size=3, max_size=3), gamma=st.floats(0.01, 1), kl=kls, n=st.integers(4, 10**6), level=levels,
    form=st.sampled_from(["split", "vector"]),
)  # fmt: skip
def test_recursive_bounds_are_sound(f, gamma, kl, n, level, form):
    f = sorted(f, reverse=True)
    if gamma == 1:
        f[1] = f[0]
    step = RecursiveStep(gamma, tuple(f), kl, n // 2)
    found = recursive_pac_bayes(risk=0.3, kl=kl, n=n, steps=[step], log_inv_delta=level, form=form)
    assert found.check().sound


@given(above=unit, below=unit, kl=kls, n=sizes, level=levels)
def test_the_two_part_form_is_sound(above, below, kl, n, level):
    found = split_kl_continuous(
        above=2 * above, below=below, low=-1.0, split=0.0, high=2.0, kl=kl, n=n, log_inv_delta=level
    )
    assert found.check().sound


def test_moments_are_rounded_up_and_right():
    rng = np.random.default_rng(0)
    losses, weights = rng.random((4, 50)), np.array([1.0, 2.0, 0.0, 1.0])
    risk, variance, second = posterior_moments(losses, weights)
    q = weights / weights.sum()
    assert risk == pytest.approx(float(q @ losses.mean(1)), rel=1e-14, abs=0)
    assert variance == pytest.approx(float(q @ losses.var(1, ddof=1)), rel=1e-13, abs=0)
    assert second == pytest.approx(float(q @ (losses**2).mean(1)), rel=1e-13, abs=0)
    assert variance >= float(q @ losses.var(1, ddof=1)) * (1 - 1e-15)
    tiny = posterior_moments(np.full((1, 3), 1e-200), [1.0])
    assert tiny[2] > 0


def test_smalldata_floor_for_point_masses_on_binary_losses():
    """One predictor with 0-1 losses: no bound of this kind is below UP(k/n, ln(1/delta)/n)."""
    n = 200
    for k in (0, 1, 10, 60):
        losses = np.zeros((1, n))
        losses[0, :k] = 1
        risk, variance, second = posterior_moments(losses, [1.0])
        floor = small_data_envelope(risk=k / n, kl=0.0, n=n, delta=0.05)
        assert empirical_bernstein(risk=risk, variance=variance, kl=0.0, n=n, delta=0.05).value >= floor
        assert unexpected_bernstein(risk=risk, second_moment=second, kl=0.0, n=n, delta=0.05).value >= floor
        assert trinomial_kl(loss=k / n, gain=0.0, kl=0.0, n=n, delta=0.05).value >= floor
    # half of the posterior on risk 0, half on risk 1: the spread within Q lets empirical Bernstein go below (it sees more than rh_Q)
    two = np.zeros((2, 10_000))
    two[1] = 1
    risk, variance, _ = posterior_moments(two, [0.5, 0.5])
    assert round(empirical_bernstein(risk=risk, variance=variance, kl=0.0, n=10_000, delta=0.05).value, 7) == 0.5018977
    assert round(small_data_envelope(risk=0.5, kl=0.0, n=10_000, delta=0.05), 7) == 0.5122369


@given(kl=kls, level=levels, step=st.floats(0, 10), risk=unit)
def test_e17_monotone_where_the_grids_do_not_jump(kl, level, step, risk):
    n = 5000

    def split(**changes):
        given = {
            "frequencies": [risk, risk / 2],
            "levels": [0, 1, 3],
            "kl": kl,
            "n": n,
            "log_inv_delta": level,
            **changes,
        }
        return split_kl(**given).raw

    assert split(kl=kl + step) >= split() * (1 - 1e-15)
    assert split(log_inv_delta=level + step) >= split() * (1 - 1e-15)
    assert split(n=2 * n) <= split() * (1 + 1e-15)


@pytest.mark.parametrize(
    "call",
    [
        lambda: empirical_bernstein(risk=0.1, variance=0.6, kl=1, n=10, delta=0.05),
        lambda: empirical_bernstein(risk=0.1, variance=0.1, kl=1, n=1, delta=0.05),
        lambda: empirical_bernstein(risk=0.1, variance=0.1, kl=1, n=10, delta=0.05, c1=1.0),
        lambda: empirical_bernstein(risk=[0.1, 0.2], variance=0.1, kl=1, n=10, delta=0.05),
        lambda: unexpected_bernstein(risk=0.1, second_moment=math.nan, kl=1, n=10, delta=0.05),
        lambda: unexpected_bernstein(risk=0.1, second_moment=0.1, kl=1, n=10, delta=0.05, rates=[1.0]),
        lambda: unexpected_bernstein(risk=0.1, second_moment=0.1, kl=1, n=10, delta=0.05, rates=[0.5, 0.5]),
        lambda: split_kl(frequencies=[0.1, 0.2], levels=[0, 1, 2], kl=1, n=10, delta=0.05),
        lambda: split_kl(frequencies=[0.1], levels=[1, 0], kl=1, n=10, delta=0.05),
        lambda: split_kl_continuous(above=3, below=0, low=0, split=1, high=2, kl=1, n=10, delta=0.05),
        lambda: vector_kl(frequencies=[0.5, 0.6], values=[0, 1], kl=1, n=10, delta=0.05),
        lambda: vector_kl(frequencies=[0.5, 0.5], values=[1, 1], kl=1, n=10, delta=0.05),
        lambda: vector_kl(frequencies=[0.5, 0.5], values=[0, 1], kl=1, n=10, delta=0.0),
        lambda: RecursiveStep(0.0, (1, 0, 0), 1, 10),
        lambda: RecursiveStep(0.5, (0.1, 0.2, 0), 1, 10),
        lambda: recursive_pac_bayes(risk=0.1, kl=1, n=10, steps=[RecursiveStep(0.5, (1, 0, 0), 1, 10)], delta=0.05),
        lambda: recursive_pac_bayes(risk=0.1, kl=1, n=10, steps=[0.5], delta=0.05),
        lambda: recursive_pac_bayes(risk=0.1, kl=1, n=10, steps=[], delta=0.05, constant="2sqrt"),
        lambda: recursive_pac_bayes(risk=0.1, kl=1, n=10, steps=[], delta=0.05, pairs=10),
        lambda: posterior_moments(np.ones((2, 3)), [1.0]),
        lambda: posterior_moments(np.ones(3), [1.0]),
    ],
)  # fmt: skip
def test_bad_input(call):
    with pytest.raises(InvalidInput):
        call()


def test_infinite_divergence_is_vacuous():
    assert empirical_bernstein(risk=0.1, variance=0.1, kl=math.inf, n=10, delta=0.05).vacuous
    assert unexpected_bernstein(risk=0.1, second_moment=0.1, kl=math.inf, n=10, delta=0.05).vacuous
    assert split_kl(frequencies=[0.1], levels=[0, 1], kl=math.inf, n=10, delta=0.05).vacuous
    assert vector_kl(frequencies=[0.5, 0.5], values=[0, 1], kl=math.inf, n=10, delta=0.05).vacuous
    for form in ("split", "vector"):
        found = recursive_pac_bayes(
            risk=0.1, kl=1, n=10, steps=[RecursiveStep(0.5, (1, 0, 0), math.inf, 5)], delta=0.05, form=form
        )
        assert found.vacuous
        assert found.check().sound
    assert log_maurer_xi(10) > 0
