"""The joint C-bound and Chebyshev-Cantelli: against brute force, against each other, and never below the supremum whatever the search returns."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds import cbound
from nonvacuous.numerics.bounds.cbound import dual_upper, joint_upper, pair_complexity, values_at
from nonvacuous.numerics.bounds.pair_search import best_slope
from nonvacuous.numerics.certified import maurer_xi
from nonvacuous.numerics.certified.multinomial_kl import multinomial_kl_upper
from nonvacuous.theory.balls.pair_cbound import joint_cbound_ball

b = nv.bounds
CASES = [
    (0.0525, 0.0950, 0.05),
    (0.2, 0.2, 0.004),
    (0.0, 0.06, 0.1),
    (0.1, 0.0, 0.03),
    (0.0, 0.0, 0.2),
    (0.3, 0.35, 1e-4),
    (0.07, 0.24, 0.1),
]


def grid_supremum(e: float, d: float, c: float, steps: int = 1500) -> float:
    """The C-bound on a grid of the constrained kl ball, as the source states it."""
    first, second = np.linspace(0, 1, steps + 1)[:, None], np.linspace(0, 0.5, steps + 1)[None, :]
    rest = 1 - first - second
    with np.errstate(all="ignore"):
        divergence = sum(x * np.log(x / p) if x else 0 * p for x, p in ((e, first), (d, second), (1 - e - d, rest)))
        inside = (rest > 0) & (divergence <= c) & (second <= 2 * (np.sqrt(first) - first))
        if (inside & (2 * first + second >= 1)).any():
            return 1.0
        return float(np.where(inside, 1 - (1 - 2 * first - second) ** 2 / (1 - 2 * second), 0.0).max())


@pytest.mark.parametrize(("e", "d", "c"), CASES)
def test_the_dual_is_the_supremum_of_the_constrained_ball(e, d, c):
    value, found = joint_upper(Fraction(e), Fraction(d), c), grid_supremum(e, d, c)
    assert found <= value
    assert value - found < 4e-3


def test_closed_form_without_any_observed_error():
    """eh = dh = 0: the closest laws give up e^-c to e, so C = 4 e^-c (1 - e^-c) while e^-c > 1/2, and 1 beyond."""
    for c in (1e-9, 1e-3, 0.1, 0.6):
        assert joint_upper(Fraction(0), Fraction(0), c) == pytest.approx(
            -4 * math.exp(-c) * math.expm1(-c), rel=1e-14, abs=0
        )
    assert joint_upper(Fraction(0), Fraction(0), math.log(2)) == 1.0


@given(st.floats(0, 0.49), st.floats(0, 1), st.integers(10, 10**6), st.floats(0, 100), st.floats(0.05, 300))
def test_against_primal_and_dual_balls(risk, share, n, kl, level):
    tandem = risk**2 + share * (risk - risk**2)
    d = max(0.0, 2 * (risk - tandem))
    c = b.majority_vote_cbound_joint(joint_error=tandem, disagreement=d, kl=kl, n=n, log_inv_delta=level)
    exact = joint_cbound_ball(tandem, d, kl, n, level, 40)
    assert arb(c.raw) >= exact or c.raw == 1.0
    # the value falls below its own parts where the error weight hardly varies
    assert float((arb(c.raw) - exact) / exact) < 1e-11
    assert c.check(40).sound


@given(st.floats(0.01, 0.45), st.floats(0.05, 1), st.floats(1e-5, 0.05), st.floats(-1, 30), st.floats(0, 10))
def test_no_search_result_is_unsound(risk, share, c, shift, excess):
    """Any (a, b) gives an upper bound: a search that fails costs tightness only."""
    tandem = risk**2 + share * (risk - risk**2)
    e, d = Fraction(tandem), Fraction(2 * (risk - tandem))
    best, t = joint_upper(e, d, c), Fraction(shift)
    value = dual_upper(e, d, c, ((2 + t) ** 2, -t * (2 + t), t * t), excess)
    assert min(1.0, value) >= best * (1 - 1e-12)


def test_a_broken_search_costs_tightness_only(monkeypatch):
    honest = b.majority_vote_cbound_joint(joint_error=0.04, disagreement=0.12, kl=3.0, n=10**4, delta=0.05)
    monkeypatch.setattr(cbound, "best_slope", lambda e, d, c: (0.4, 3.0))
    lazy = b.majority_vote_cbound_joint(joint_error=0.04, disagreement=0.12, kl=3.0, n=10**4, delta=0.05)
    assert lazy.value > honest.value
    assert lazy.check().sound


def test_chebyshev_cantelli_at_the_best_mu_is_the_joint_cbound_for_free():
    """A grid of mu paid with ln G is not needed: the event on three outcomes does not know mu."""
    given_ = {"joint_error": 0.04, "disagreement": 0.12, "kl": 3.0, "n": 10**5, "delta": 0.05}
    joint = b.majority_vote_cbound_joint(**given_)
    t, _ = best_slope(0.04, 0.12, pair_complexity(3.0, 10**5, -math.log(0.05)))
    best = t / (2 + 2 * t)
    assert b.majority_vote_chebyshev_cantelli(**given_, mu=best).value == pytest.approx(joint.value, rel=1e-12, abs=0)
    mus = np.linspace(-1, 0.45, 60)
    each = [b.majority_vote_chebyshev_cantelli(**given_, mu=float(mu)).value for mu in mus]
    assert min(each) >= joint.value * (1 - 1e-13)
    assert b.majority_vote_chebyshev_cantelli(**given_, mu=mus).value == min(each)
    paid = b.majority_vote_chebyshev_cantelli(**{**given_, "delta": 0.05 / 60}, mu=mus)
    assert paid.value > min(each)


def test_the_paid_list_costs_ln_g():
    given_ = {"joint_error": 0.04, "disagreement": 0.12, "kl": 3.0, "n": 10**4, "method": "kl"}
    alone = b.majority_vote_chebyshev_cantelli(**given_, mu=0.05, delta=0.05 / 4)
    four = b.majority_vote_chebyshev_cantelli(**given_, mu=(0.05, -3.0, -4.0, -5.0), delta=0.05)
    assert four.value == pytest.approx(alone.value, rel=1e-13, abs=0)
    assert alone.value > b.majority_vote_chebyshev_cantelli(**given_, mu=0.05, delta=0.05).value


def test_mu_zero_is_a_tandem_bound():
    c = pair_complexity(3.0, 10**4, -math.log(0.05))
    value = b.majority_vote_chebyshev_cantelli(
        joint_error=0.04, disagreement=0.12, kl=3.0, n=10**4, mu=0.0, delta=0.05
    ).value
    assert value == pytest.approx(
        4 * float(multinomial_kl_upper([0.04, 0.12, 0.84], [1.0, 0.0, 0.0], c)), rel=1e-13, abs=0
    )
    assert values_at(Fraction(0)) == (4, 0, 0)


def test_e17_monotone_in_everything_that_widens_the_ball():
    given_ = {"joint_error": 0.04, "disagreement": 0.12, "kl": 3.0, "n": 10**4, "delta": 0.05}
    value = b.majority_vote_cbound_joint(**given_).value
    for looser in ({"kl": 4.0}, {"delta": 0.01}, {"n": 5000}):
        assert b.majority_vote_cbound_joint(**{**given_, **looser}).value > value
    # not in the disagreement: more of it at the same joint error first hurts, then helps
    values = [b.majority_vote_cbound_joint(**{**given_, "disagreement": d}).value for d in (0.0, 0.08, 0.3)]
    assert values[1] > values[0]
    assert values[1] > values[2]


def test_the_constant_is_xi_plus_n():
    n, kl, level = 1000, 5.0, 3.0
    assert pair_complexity(kl, n, level) == pytest.approx(
        (10.0 + math.log(float(maurer_xi(n)) + n) + 3.0) / n,
        rel=1e-14,
        abs=0,
    )
    assert float(maurer_xi(1)) + 1 > 2  # 2n, as in published code, is too small at n = 1 and 2
    assert float(maurer_xi(2)) + 2 > 4


@pytest.mark.parametrize(
    "bad",
    [
        {"joint_error": -0.1}, {"joint_error": math.nan}, {"joint_error": 0.6, "disagreement": 0.5}, {"disagreement": 1.2}, {"kl": -1.0},
        {"kl": math.nan}, {"n": 0}, {"n": 2.5}, {"delta": 0}, {"delta": 1}, {"delta": None},
    ],
)  # fmt: skip
def test_bad_input(bad):
    good = {"joint_error": 0.04, "disagreement": 0.12, "kl": 3.0, "n": 10**4, "delta": 0.05}
    with pytest.raises(InvalidInput):
        b.majority_vote_cbound_joint(**{**good, **bad})
    with pytest.raises(InvalidInput):
        b.majority_vote_chebyshev_cantelli(**{**good, **bad}, mu=0.0)


@pytest.mark.parametrize(
    "bad", [{"mu": 0.5}, {"mu": math.nan}, {"mu": ()}, {"mu": "a"}, {"mu": 0.0, "method": "bennett"}]
)
def test_bad_mu(bad):
    with pytest.raises(InvalidInput):
        b.majority_vote_chebyshev_cantelli(joint_error=0.04, disagreement=0.12, kl=3.0, n=10**4, delta=0.05, **bad)


def test_extremes():
    def at(e, d, n=100, kl=0.0, level=3.0):
        return b.majority_vote_cbound_joint(joint_error=e, disagreement=d, kl=kl, n=n, log_inv_delta=level)

    assert at(1.0, 0.0).value == at(0.0, 1.0).value == at(0.25, 0.5).value == at(0.04, 0.1, kl=math.inf).value == 1.0
    assert at(0.04, 0.1, level=1e5).value == 1.0
    assert at(0.0, 0.0, n=1).value == 1.0
    assert 0 < at(0.0, 0.0, n=10**12).value < 1e-9
    assert at(Fraction(1, 30), Fraction(2, 30), n=10**9).check().sound
