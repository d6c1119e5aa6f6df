"""Bounds by betting: worked numbers, a second route, soundness, orders, edge cases and refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified.betting import mean_limits, mean_upper, tangent
from nonvacuous.numerics.certified.krichevsky_trofimov import log_kt
from nonvacuous.theory.balls.betting import mean_upper_ball
from nonvacuous.theory.statement import Answer

WORKED = np.array([0.0] * 30 + [0.1] * 10 + [0.2] * 10)
losses_lists = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=30)


def document_route(losses, level):
    """The recipe of the literature at 30 digits: concave inner problem in b by bisection on its slope, outer bisection on u."""
    with mpmath.workdps(30):
        f = [mpmath.mpf(float(x)) for x in losses]
        n = len(f)
        budget = mpmath.mpf(level) + mpmath.log(
            mpmath.sqrt(mpmath.pi) * mpmath.gamma(n + 1) / mpmath.gamma(n + mpmath.mpf(1) / 2)
        )

        def psi(u):
            low, high = -1 / (1 - u), mpmath.mpf(0)
            if all(x < 1 for x in f) and sum((x - u) / (1 + low * (x - u)) for x in f) <= 0:
                high = low
            else:
                for _ in range(100):
                    b = (low + high) / 2
                    low, high = (b, high) if sum((x - u) / (1 + b * (x - u)) for x in f) > 0 else (low, b)
            return sum(mpmath.log(1 + high * (x - u)) for x in f)

        low, high = sum(f) / n, mpmath.mpf(1)
        for _ in range(70):
            u = (low + high) / 2
            low, high = (u, high) if psi(u) <= budget else (low, u)
        return low


def test_worked_number():
    certificate = nv.bounds.betting_interval(losses=WORKED, delta=0.05)
    assert certificate.value == pytest.approx(0.161577381, abs=6e-10)
    assert certificate.value == pytest.approx(float(document_route(WORKED, -math.log(0.05))), rel=1e-13, abs=0)
    assert certificate.quantity == "true risk of one predictor"
    assert certificate.answers["loss in [0, 1]"] is Answer.HOLDS
    assert "constant conditional mean" in certificate.unchecked


@pytest.mark.parametrize("seed", range(4))
def test_second_route(seed):
    rng = np.random.default_rng(seed)
    losses = [rng.random(9), rng.random(15) ** 5, (rng.random(12) < 0.3).astype(float), np.full(7, 0.3)][seed]
    exact = document_route(losses, 3.0)
    found = nv.bounds.betting_interval(losses=losses, log_inv_delta=3.0).value
    assert found >= exact
    assert found == pytest.approx(float(exact), rel=1e-12, abs=0)


@given(losses_lists, st.floats(0.01, 60))
def test_sound_against_balls(losses, level):
    certificate = nv.bounds.betting_interval(losses=losses, log_inv_delta=level)
    found = certificate.check(30)
    assert found.sound, found.detail
    assert found.excess < 1e-10
    assert 0 <= certificate.lower <= certificate.value <= 1


@given(losses_lists, st.floats(0.01, 60))
def test_within_kl_anytime_and_equal_for_binary_losses(losses, level):
    array = np.array(losses)
    outer = nv.bounds.kl_anytime(risk=min(1.0, float(array.mean())), kl=0.0, n=array.size, log_inv_delta=level)
    inner = nv.bounds.betting_interval(losses=array, log_inv_delta=level)
    assert inner.value <= outer.value * (1 + 1e-9)
    assert inner.lower >= outer.lower - 1e-9
    binary = np.round(array)
    exact = nv.bounds.kl_anytime(risk=float(binary.mean()), kl=0.0, n=array.size, log_inv_delta=level)
    assert nv.bounds.betting_interval(losses=binary, log_inv_delta=level).value == pytest.approx(
        exact.value, rel=1e-10, abs=0
    )


def exact_tangent(f, bet, u, at_end):
    """g and its slope in u with w held fixed, at 60 digits, from w f/u + (1-w)(1-f)/(1-u)."""
    with mpmath.workdps(60):
        x, b = mpmath.mpf(u), mpmath.mpf(bet)
        w = (mpmath.mpf(0) if bet < 0 else mpmath.mpf(1)) if at_end else x + b * x * (1 - x)
        parts = [(w * mpmath.mpf(y) / x, (1 - w) * (1 - mpmath.mpf(y)) / (1 - x)) for y in f]
        value = sum(mpmath.log(p + q) for p, q in parts)
        return value, sum((q / (1 - x) - p / x) / (p + q) for p, q in parts)


@settings(max_examples=40)
@given(
    st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20),
    st.floats(0.01, 0.99),
    st.floats(-0.98, 0.98).filter(lambda x: abs(x) > 1e-6),
    st.booleans(),
)
def test_tangents_are_enclosed(losses, u, share, at_end):
    bet = share / (1 - u) if share < 0 else share / u
    f = np.array(losses)
    line = tangent(f, np.ones(f.size), bet, u, at_end)
    value, slope = exact_tangent(losses, bet, u, at_end)
    assert line.value <= value
    assert line.slope_low <= slope <= line.slope_high
    size = f.size * (1 + 1 / (1 - abs(share)) ** 2) / (u * (1 - u)) ** 2
    assert value - line.value <= 1e-13 * size
    assert line.slope_high - line.slope_low <= 1e-13 * size


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(1e-6, 0.05), st.floats(0.5, 2))
def test_an_inexact_solver_costs_tightness_never_soundness(seed, error, stretch):
    """Points and common slope are disturbed: the limit stays above the exact one."""
    from nonvacuous.numerics.certified import betting

    rng = np.random.default_rng(seed)
    losses, rho = rng.random((3, 8)) ** float(rng.choice([1, 4])), rng.dirichlet(np.ones(3))
    budget = float(rng.uniform(2, 8))
    weights = [Fraction(x) / sum(map(Fraction, rho.tolist())) for x in rho.tolist()]
    rows = [[Fraction(x) for x in row] for row in losses.tolist()]
    exact = mean_upper_ball(rows, [1] * 8, weights, arb(budget), 20)
    solve, slope = betting._points, betting._slope

    def disturbed(f, counts, beta):
        u, psi, ends = solve(f, counts, beta)
        return np.clip(u + error * rng.normal(size=u.shape) * (1 - u), 1e-9, 1 - 1e-9), psi, ends

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(betting, "_slope", lambda *given_: slope(*given_) * stretch)
        patch.setattr(betting, "_points", disturbed)
        found = mean_upper(losses, np.ones(8), rho, budget)
        one = mean_upper(losses[:1], np.ones(8), np.ones(1), budget)
    assert found >= exact
    assert one >= mean_upper_ball(rows[:1], [1] * 8, [Fraction(1)], arb(budget), 20)


def test_the_interior_formula_at_the_end_of_the_bets_would_be_invalid():
    """At b = -1/(1-u) the slope of psi is n/(1-u), not -b sum 1/(1 + b(f-u)): Newton with the latter overshoots below the limit."""
    f, u = np.array([0.0, 0.1]), 0.7
    b = -1 / (1 - u)
    interior, end = -b * (1 / (1 + b * (f - u))).sum(), 2 / (1 - u)
    assert interior < end, "the interior formula underestimates the slope here"
    step = 1e-6
    psi = [np.log((1 - f) / (1 - x)).sum() for x in (u, u + step)]
    assert (psi[1] - psi[0]) / step == pytest.approx(end, rel=1e-5, abs=0)


def test_edges():
    n, level = 20, math.log(20)
    budget = level + float(log_kt(n))
    zeros = nv.bounds.betting_interval(losses=np.zeros(n), delta=0.05)
    assert zeros.value == pytest.approx(-math.expm1(-budget / n), rel=1e-14, abs=0)
    assert zeros.lower == 0
    ones = nv.bounds.betting_interval(losses=np.ones(n), delta=0.05)
    assert (ones.value, ones.lower) == (1.0, pytest.approx(math.exp(-budget / n), rel=1e-12, abs=0))
    assert nv.bounds.betting_interval(losses=[0.4], delta=0.5).value < 1
    assert nv.bounds.betting_interval(losses=np.zeros(3), log_inv_delta=1e300).value == 1.0
    assert nv.bounds.betting_interval(losses=np.full(10, -0.0), delta=0.1).check().sound


def test_order_and_repetition_do_not_matter():
    rng = np.random.default_rng(3)
    losses = rng.choice([0.0, 0.2, 0.9], 200)
    one = nv.bounds.betting_interval(losses=losses, delta=0.05)
    assert one.value == nv.bounds.betting_interval(losses=rng.permutation(losses), delta=0.05).value
    assert len(one.inputs["values"]) == 3


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 12), st.floats(0, 20), st.floats(0.01, 40), st.randoms(use_true_random=False))
def test_posteriors_are_sound_and_below_kl_anytime(predictors, n, kl, level, random):
    rng = np.random.default_rng(random.randrange(10**6))
    losses = rng.choice([0.0, 1.0, 0.3, 0.7, 1e-6], (predictors, n)) * rng.choice(
        [0.0, 1.0], (predictors, 1), p=[0.2, 0.8]
    )
    posterior = rng.dirichlet(np.ones(predictors))
    certificate = nv.bounds.betting_pac_bayes(losses=losses, posterior=posterior, kl=kl, log_inv_delta=level)
    found = certificate.check(25)
    assert found.sound, found.detail
    risk = min(1.0, float(posterior @ losses.mean(axis=1)) * (1 + 1e-15))
    outer = nv.bounds.kl_anytime(risk=risk, kl=kl, n=n, log_inv_delta=level)
    assert certificate.value <= outer.value * (1 + 1e-6)
    assert certificate.value >= risk * (1 - 1e-12)


def test_one_predictor_is_the_interval():
    one = nv.bounds.betting_pac_bayes(losses=WORKED[None, :], posterior=[1.0], kl=0.0, delta=0.05)
    assert one.value == pytest.approx(nv.bounds.betting_interval(losses=WORKED, delta=0.05).value, rel=1e-13, abs=0)
    same = nv.bounds.betting_pac_bayes(losses=np.stack([WORKED] * 3), posterior=[0.2, 0.3, 0.5], kl=0.0, delta=0.05)
    assert same.value == pytest.approx(one.value, rel=1e-12, abs=0)
    unused = nv.bounds.betting_pac_bayes(
        losses=np.stack([WORKED, 1 - WORKED]), posterior=[1.0, 0.0], kl=0.0, delta=0.05
    )
    assert unused.value == pytest.approx(one.value, rel=1e-13, abs=0)


def test_maximum_by_brute_force():
    """Two predictors: a grid over the first limit, the rest of the budget spent on the second."""
    rng = np.random.default_rng(0)
    losses, rho, level = rng.random((2, 12)) ** 2, np.array([0.3, 0.7]), 2.0
    budget = level + float(log_kt(12))
    best = 0.0
    for share in np.linspace(0.01, 0.99, 99):
        ends = [
            mean_limits(f, np.ones(12), budget * s / w)[1]
            for f, s, w in zip(losses, (share, 1 - share), rho, strict=True)
        ]
        best = max(best, float(rho @ ends))
    found = nv.bounds.betting_pac_bayes(losses=losses, posterior=rho, kl=0.0, log_inv_delta=level).value
    assert best <= found * (1 + 1e-12)
    assert found == pytest.approx(best, rel=1e-4, abs=0)


def test_e17_monotone_in_kl_and_level():
    rng = np.random.default_rng(5)
    losses, rho = rng.random((3, 30)) ** 3, [0.2, 0.3, 0.5]
    values = [
        nv.bounds.betting_pac_bayes(losses=losses, posterior=rho, kl=k, delta=0.05).value for k in (0, 0.1, 1, 10, 100)
    ]
    assert values == sorted(values)
    levels = [nv.bounds.betting_interval(losses=losses[0], delta=d).value for d in (0.5, 0.1, 1e-3, 1e-9)]
    assert levels == sorted(levels)
    assert nv.bounds.betting_pac_bayes(losses=losses, posterior=rho, kl=math.inf, delta=0.05).value == 1.0


def test_tampering_is_seen():
    good = nv.bounds.betting_interval(losses=WORKED, delta=0.05)
    assert good.check().sound
    assert not replace(good, value=0.16157738, raw=0.16157738).check().sound
    assert not replace(good, lower=good.lower * 1.001).check().sound
    with pytest.raises(InvalidInput):
        replace(good, inputs={**good.inputs, "n": 49}).check()
    full = nv.bounds.betting_pac_bayes(losses=WORKED[None, :], posterior=[1.0], kl=1.0, delta=0.05)
    assert not replace(full, inputs={**full.inputs, "kl": 2.0}).check().sound
    with pytest.raises(InvalidInput):
        replace(full, inputs={**full.inputs, "posterior": (0.5, 0.5)}).check()


@pytest.mark.parametrize("losses", [[], [[0.1]], [math.nan], [1.1], [-0.1], ["a"], np.ma.masked_array([0.1], [True])])
def test_refused_losses(losses):
    with pytest.raises(InvalidInput):
        nv.bounds.betting_interval(losses=losses, delta=0.1)


@pytest.mark.parametrize(
    "changes",
    [{"losses": [0.1]}, {"posterior": [0.5, 0.4]}, {"posterior": [1.5, -0.5]}, {"posterior": [1.0]}, {"kl": -1}, {"delta": 0.0}, {"losses": np.zeros((2, 0))}],
)  # fmt: skip
def test_refused_posteriors(changes):
    given_ = {"losses": [[0.1, 0.2], [0.3, 0.4]], "posterior": [0.5, 0.5], "kl": 0.0, "delta": 0.1, **changes}
    with pytest.raises(InvalidInput):
        nv.bounds.betting_pac_bayes(**given_)
