"""Votes, frequencies and C-bounds at their edges: ties, masks, weights of two values, laws with a Gibbs risk of one half."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.cbound import dual_upper, majority_vote_chebyshev_cantelli, pair_complexity
from nonvacuous.numerics.bounds.majority_vote import _box, _separate, majority_vote_first_order, rate_down, rate_up
from nonvacuous.numerics.bounds.majority_vote_data import Votes, certify_votes, law_of, vote_moments, vote_risk
from nonvacuous.numerics.bounds.pair_search import largest_means_half


@pytest.mark.parametrize(
    "rate", [Fraction(1, 3), Fraction(2, 3), Fraction(1, 10), Fraction(3, 7), Fraction(1, 2), Fraction(0)]
)
def test_a_frequency_is_rounded_to_the_floats_beside_it(rate):
    low, high = rate_down(rate), rate_up(rate)
    assert Fraction(low) <= rate <= Fraction(high)
    assert high == (low if Fraction(float(rate)) == rate else math.nextafter(low, 1.0))


def test_frequencies_above_one_by_less_than_a_float_are_refused():
    with pytest.raises(InvalidInput, match=r"outside \[0, 1\]"):
        majority_vote_first_order(risk=Fraction(10**30 + 1, 10**30), kl=1.0, n=10, delta=0.05)


@pytest.mark.parametrize(
    ("high", "second"), [(0.5, 0.25), (0.5005, 0.251), (0.501, 0.2508), (0.5002, 0.2505), (0.6, 0.3)]
)
def test_a_gibbs_risk_of_one_half_certifies_nothing(high, second):
    """At L = 1/2 the C-bound is 1 whatever L2; beyond it the formula falls again, which is no bound."""
    assert _box(0.0, high, second) == 1.0
    assert _separate(high, high, second, second) == 1.0


def test_no_mu_may_be_one_half():
    options = {"joint_error": 0.01, "disagreement": 0.1, "kl": 1.0, "n": 100, "delta": 0.05}
    for mu in (0.5, [0.1, 0.5], [0.5, 0.1]):
        with pytest.raises(InvalidInput, match="mu"):
            majority_vote_chebyshev_cantelli(mu=mu, **options)


def dual(f, u, c, b):
    """b (1 - e^(-c) prod (1 - f_k/b)^(u_k)) at 40 digits."""
    with mpmath.workdps(40):
        exponent = -mpmath.mpf(c)
        for value, share in zip(f, u, strict=True):
            if share:
                gap = mpmath.mpf(1) - mpmath.mpf(value.numerator) / value.denominator / b
                exponent += mpmath.mpf(share.numerator) / share.denominator * mpmath.log(gap)
        return b * -mpmath.expm1(exponent)


def test_the_dual_is_its_formula_never_below_it():
    rng = np.random.default_rng(0)
    for _ in range(3000):
        m = int(rng.choice([3, 7, 10, 49, 1000]))  # frequencies that are no floats
        e, d = sorted(int(x) for x in rng.integers(0, m + 1, 2))
        u = (Fraction(e, m), Fraction(d - e, m), 1 - Fraction(d, m))
        f = tuple(Fraction(float(x)) for x in (rng.random(), *rng.uniform(-1, 1, 2)))
        excess, c = float(10 ** rng.uniform(-6, 1)), float(rng.choice([0.0, 2.0**-4, 0.7]))
        found = dual_upper(u[0], u[1], c, f, excess)
        b = rate_up(max(f) + Fraction(excess))  # the free parameter as it is rounded
        exact = max(mpmath.mpf(0), dual(f, u, c, mpmath.mpf(b)))
        assert found >= exact
        # three terms and their sum lose a few ulps of at most ln(1e7) each
        assert found <= exact + b * 100 * 2.0**-52


def test_the_dual_where_its_parameter_is_zero_or_one():
    zero, one = Fraction(0), Fraction(1)
    assert dual_upper(Fraction(1, 4), Fraction(1, 4), 0.1, (zero, zero, zero), 0.0) == 0.0
    # f = (1, 0, 0), nothing seen of the first outcome, b = 1: 1 - e^-c
    assert dual_upper(zero, zero, 0.5, (one, zero, zero), 0.0) == pytest.approx(-math.expm1(-0.5), rel=1e-15, abs=0)
    assert dual_upper(Fraction(1, 2), zero, 0.5, (one, zero, zero), 0.0) == math.inf
    assert dual_upper(zero, zero, 0.5, (Fraction(0), Fraction(-1), Fraction(-1)), 0.0) == 0.0


def test_the_complexity_of_a_pair_counts_the_divergence_twice():
    assert pair_complexity(2.0, 1, math.log(20)) == pytest.approx(4 + math.log(3 * 20), rel=1e-14, abs=0)  # xi(1) = 2


def test_a_law_with_risk_one_half_is_found_exactly_where_there_is_one():
    """All pairs (e, d) on the line 2e + d = 1 of a fine grid, against the divergence allowed."""
    share = np.linspace(0, 0.5, 4001)[1:-1]
    law = np.stack([share, 1 - 2 * share, share])  # e, d, s with s = e
    for e, d in ((0.0, 0.0), (0.05, 0.1), (0.2, 0.0), (0.0, 0.4), (0.1, 0.3), (0.01, 0.45)):
        u = np.array([e, d, 1 - e - d])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            least = float(np.where(u > 0, u * np.log(u / law), 0.0).sum(axis=0).min())
        for c in (0.5 * least, 0.98 * least):
            assert not largest_means_half(e, d, c), (e, d, c)
        assert largest_means_half(e, d, 1.02 * least), (e, d, least)
    assert largest_means_half(0.0, 0.5, 1e-9)
    assert largest_means_half(0.0, 0.502, 0.0)
    assert largest_means_half(0.4, 0.3, 0.0)
    assert largest_means_half(0.01, 0.02, math.inf)


def masked() -> Votes:
    labels = np.array([0, 1, 0, 1, 0])
    predictions = np.array([[0, 1, 1, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]])
    valid = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 0]], dtype=bool)
    return Votes(predictions, labels, valid)


def test_the_size_is_that_of_the_voter_judged_least():
    votes = masked()
    assert (votes.n, votes.n_pairs) == (3, 3)


@pytest.mark.parametrize("weights", [[0.5, 0.25, 0.25], [0.75, 0.125, 0.125], [0.25, 0.25, 0.5], [0.625, 0.25, 0.125]])
def test_weights_of_two_values_are_not_taken_for_equal_ones(weights):
    votes = masked()
    found = vote_moments(votes, weights)
    w = [Fraction(x) for x in weights]
    risk = sum(x * Fraction(int(votes.wrong[i].sum()), int(votes.valid[i].sum())) for i, x in enumerate(w))
    tandem = sum(
        x * y * Fraction(int((votes.wrong[i] & votes.wrong[j]).sum()), int((votes.valid[i] & votes.valid[j]).sum()))
        for i, x in enumerate(w)
        for j, y in enumerate(w)
    )
    assert (found.risk, found.tandem) == (risk, tandem)


def test_classes_may_be_floats_and_nan_is_none():
    votes = Votes(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([0.0, 1.0]))
    assert vote_moments(votes).risk == Fraction(1, 4)
    with pytest.raises(InvalidInput, match="not all finite"):
        Votes(np.array([[0.0, math.nan], [1.0, 1.0]]), np.array([0.0, 1.0]))
    with pytest.raises(InvalidInput, match="labels are not all finite"):
        Votes(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([0.0, math.inf]))


def test_voters_without_a_common_example_are_named():
    valid = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
    with pytest.raises(InvalidInput, match="Voters 0 and 2 share"):
        Votes(np.zeros((3, 4)), np.zeros(4), valid)


def test_ties_are_ties_also_where_the_weights_round():
    votes = Votes([[0], [0], [1]], [0])
    assert vote_risk(votes, [0.1, 0.4, 0.5]) == 1.0
    assert vote_risk(votes, [0.1, 0.41, 0.49]) == 0.0
    three = Votes([[0], [0], [0], [1], [1]], [0])
    weights = [0.1, 0.2, 0.2 + 2.0**-54, 0.3, 0.2]  # 0.5 on both sides but for rounding
    assert vote_risk(three, weights) == 1.0


@pytest.mark.parametrize("weights", [[0.2, 0.2, 0.2], [0.5, 0.5, 0.5], [0.5, 0.3, 0.2 - 1e-8]])
def test_weights_that_do_not_sum_to_one_are_refused(weights):
    with pytest.raises(InvalidInput, match="sum to 1"):
        law_of("weights", weights, 3)


def test_certificates_asked_for_together_share_delta_evenly():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    votes = Votes(np.where(rng.random((3, 200)) < 0.8, labels, 1 - labels), labels)
    found = certify_votes(votes, delta=1e-4, bounds=("first_order", "tandem"), simultaneous=True)
    for certificate in found.values():
        assert certificate.inputs["log_inv_delta"] == pytest.approx(math.log(2e4), rel=1e-14, abs=0)
        assert certificate.delta <= 1e-4
