"""Defaults, guards and limiting cases of the bounds, at the edge where a constant or a comparison that is off shows."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from flint import arb

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.alternation import alternate_lambda
from nonvacuous.numerics.bounds.catoni import catoni
from nonvacuous.numerics.bounds.chernoff import best_alpha, exponential_moment
from nonvacuous.numerics.bounds.compression import compression_bound
from nonvacuous.numerics.bounds.ensembles import diversity_down
from nonvacuous.numerics.bounds.envelope import small_data_envelope
from nonvacuous.numerics.bounds.from_losses import certify_losses
from nonvacuous.numerics.bounds.held_out import hoeffding_test_set
from nonvacuous.numerics.bounds.information import individual_information, mutual_information
from nonvacuous.numerics.bounds.monte_carlo import gibbs_monte_carlo
from nonvacuous.numerics.bounds.renyi import power_divergence
from nonvacuous.numerics.bounds.search_options import search_options
from nonvacuous.numerics.bounds.seeger import complexity
from nonvacuous.numerics.bounds.split_kl import split_kl, split_kl_continuous
from nonvacuous.numerics.bounds.stochastic_vote import concentrations_of
from nonvacuous.theory.balls.jensen import diversity_ball


def test_the_lower_side_of_catoni_is_recorded_and_verifies():
    found = catoni(risk=0.3, kl=4.0, n=500, beta=0.5, delta=0.03, lower_beta=-0.7, lower_delta=0.02)
    assert found.inputs["lower_beta"] == -0.7
    assert 0 < found.lower < 0.3
    assert found.check().sound


def test_the_envelope_is_one_without_a_finite_divergence_and_small_where_n_is_large():
    assert small_data_envelope(risk=0.1, kl=math.inf, n=10, delta=0.05) == 1.0
    for n in (10**5, 10**8, 10**12):  # with risk 0 the inverse is 1 - e^-c
        found = small_data_envelope(risk=0.0, kl=0.0, n=n, log_inv_delta=1.0)
        exact = -mpmath.expm1(-mpmath.mpf(1) / n)
        assert exact * (1 - 40 * 2.0**-53) <= found <= exact


def test_losses_alone_need_no_prior_sample():
    found = certify_losses(np.full((4, 6), 0.25), kl=1.0, delta=0.05)
    assert found.statement.key == "pb.kl"
    assert found.inputs["n"] == 6
    assert found.inputs["risk"] < 1
    assert certify_losses(np.full((4, 6), 0.25), kl=1.0, delta=0.05, n_prior=3).inputs["n_total"] == 9


def test_the_draws_of_one_part_see_every_example():
    found = gibbs_monte_carlo(risk=0.1, draws=100, delta=0.05)
    assert (found.inputs["draws"], found.inputs["examples"], found.inputs["largest_part"]) == (100, 1, 1)


def test_half_of_the_smallest_delta_is_no_float():
    smallest = 5e-324
    found = hoeffding_test_set(risk=0.1, n=1000, delta=smallest, two_sided=True)
    assert len(found.ledger.entries) == 2
    # 1e-300 is halved as a number, exactly; below it in logarithms, upward
    for delta in (1e-300, 2e-300):
        level = hoeffding_test_set(risk=0.1, n=1000, delta=delta, two_sided=True).inputs["log_inv_delta"]
        assert level == pytest.approx(-math.log(delta) + math.log(2), rel=1e-15, abs=0)


def test_the_shortest_message_and_the_defaults_of_a_code():
    found = compression_bound(errors=1, n=100, message_bits=1, delta=0.05)
    assert found.inputs["choices"] == 1
    assert found.value < compression_bound(errors=1, n=100, message_bits=2, delta=0.05).value
    assert compression_bound(errors=1, n=100, level_counts=[3, 2], delta=0.05).inputs["bits_per_level"] == 16


@pytest.mark.parametrize("rho", [[0.2, 0.3], [0.5, 0.5], [0.1, 0.7], [1e-3, 2e-3]])
@pytest.mark.parametrize("spread", [0.0, 1.0, 40.0, 720.0, 3000.0])
def test_the_diversity_divides_by_the_sum_of_the_weights(rho, spread):
    losses = np.array([[0.3, 1.0 + spread, 2.0], [1.1, 0.2, 2.0 + spread]])
    found = diversity_down(losses, np.array(rho))
    exact = diversity_ball(losses.tolist(), rho)
    assert arb(found) <= exact
    # a handful of roundings, of the spread and of the logarithms, two ulps each
    assert found == pytest.approx(float(exact), abs=40 * 2.0**-52 * (1 + spread))


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 20, 40, 300])
@pytest.mark.parametrize("alpha", [0.02, 0.3, 0.5, 0.9])
def test_the_exponential_moment_is_its_formula(n, alpha):
    with mpmath.workdps(40):
        a = mpmath.mpf(alpha)
        m = n * (1 - a)

        def stirling(x):
            return mpmath.loggamma(x) - (x - 0.5) * mpmath.log(x) + x - mpmath.log(2 * mpmath.pi) / 2

        high = mpmath.gammainc(n, n, regularized=True)
        low = mpmath.gammainc(m, 0, m, regularized=True)
        exact = float(high + mpmath.sqrt(n / m) * mpmath.exp(stirling(m) - stirling(mpmath.mpf(n))) * low)
    # the series is cut after z^3/1680, whose successor 1/(1188 x^9) is below 3e-14 from x = 15 on
    assert exponential_moment(alpha, n) == pytest.approx(exact, rel=2e-13, abs=0)


@pytest.mark.parametrize("b", [1e-12, 1e-3, 1.0, 30.0, 1e6])
def test_the_best_alpha_solves_its_equation(b):
    x = 1 / (1 - best_alpha(b / 2, b / 2))
    assert x == pytest.approx(1 + b + math.log(x), rel=1e-9, abs=0)


def test_the_best_alpha_stays_below_one():
    assert best_alpha(1e20, 1.0) == 1 - 2.0**-53


def test_a_start_beyond_the_range_of_lambda_is_moved_into_it():
    far = alternate_lambda(risks=[0.1, 0.2, 0.6], n=200, delta=0.05, lam=5.0)
    near = alternate_lambda(risks=[0.1, 0.2, 0.6], n=200, delta=0.05)
    assert 0 < far.lam < 2
    assert np.isfinite(far.bounds).all()
    assert far.bounds[0] > 1e3  # it starts next to lambda = 2, where the bound is useless
    assert far.bounds[-1] == pytest.approx(near.bounds[-1], rel=1e-9, abs=0)


@pytest.mark.parametrize("start", [1e-6, 0.3, 1.0, 1.9])
def test_the_alternation_goes_on_until_nothing_improves(start):
    found = alternate_lambda(risks=np.linspace(0.05, 0.6, 12), n=300, delta=0.05, lam=start)
    assert (np.diff(found.bounds) <= 1e-15).all()
    more = alternate_lambda(risks=np.linspace(0.05, 0.6, 12), n=300, delta=0.05, lam=found.lam)
    assert more.bounds[-1] >= found.bounds[-1] * (1 - 1e-14)
    assert abs(found.gradient) < 1e-6


@pytest.mark.parametrize("constant", ["exact", "2sqrt"])
def test_the_complexity_is_rounded_up_by_little(constant):
    """Without divergence and level nothing beside the constant is rounded, so that a slack that is missing would show."""
    for n in (*range(1, 400), *range(1000, 1300), 10**6 + 3, 10**9 + 7):
        with mpmath.workdps(40):
            if constant == "2sqrt":
                exact = mpmath.log(2 * mpmath.sqrt(n)) / n
            elif n > 60:
                continue
            else:
                terms = (
                    mpmath.binomial(n, k) * mpmath.mpf(k) ** k * mpmath.mpf(n - k) ** (n - k) for k in range(n + 1)
                )
                exact = mpmath.log(sum(terms) / mpmath.mpf(n) ** n) / n
            found = complexity(0.0, n, 0.0, constant)
            assert exact <= found <= exact * (1 + 36 * 2.0**-53), n


def test_frequencies_and_levels_belong_together():
    options = {"kl": 1.0, "n": 100, "delta": 0.05}
    for f, b in (
        ([0.5, 0.2], [0.0, 1.0]), ([0.5], [0.0, 1.0, 2.0]), ([0.5, 0.2], [0.0, 2.0, 1.0]), ([0.5, 0.2], [0.0, 0.0, 1.0]),
        ([0.5, 0.2, 0.1], [0.0, 2.0, 1.0, 3.0]), ([0.5, 0.2, 0.3], [0.0, 1.0, 2.0, 3.0]), ([0.2, 0.5], [0.0, 1.0, 2.0]),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            split_kl(frequencies=f, levels=b, **options)
    assert split_kl(frequencies=[0.5, 0.5], levels=[-3.0, 1.0, 2.0], **options).check().sound


def test_the_parts_of_a_split_loss_fit_into_its_range():
    options = {"low": 1.0, "split": 1.25, "high": 2.0, "kl": 1.0, "n": 100, "delta": 0.05}
    largest = split_kl_continuous(above=0.75, below=0.0, **options)
    assert largest.raw == pytest.approx(2.0, rel=1e-15, abs=0)
    assert split_kl_continuous(above=0.0, below=0.25, **options).raw < 1.25
    split_kl_continuous(above=0.75 * (1 + 2.0**-51), below=0.0, **options)  # rounded up by whoever computed it
    for above, below in ((0.75 * (1 + 2.0**-48), 0.0), (1.0, 0.0), (0.0, 0.25 * (1 + 2.0**-48)), (0.0, 0.4)):
        with pytest.raises(InvalidInput, match="parts of a loss"):
            split_kl_continuous(above=above, below=below, **options)


def test_no_information_no_gap():
    assert mutual_information(information=0.0, n=10, sigma=1.0).value == 0.0
    assert individual_information(informations=[0.0, 0.0], sigma=1.0).value == 0.0
    assert individual_information(informations=[1.0, 2.0], sigma=0.0).value == 0.0


def test_a_moment_that_underflows_still_has_a_width():
    found = power_divergence(risk=0.0, density_norm=1.0, order=1e9, moment=5e-324, log_inv_delta=1e-3)
    assert 4e-324 < found.value < 1e-300
    assert found.lower == -found.value


@pytest.mark.parametrize("wrong", [[1.0, 0.0], [1.0, -1.0], [1.0, 1e-101], [], [1e200, 1.0]])
def test_concentrations_are_positive_and_not_too_large(wrong):
    with pytest.raises(InvalidInput):
        concentrations_of("prior", wrong)


def test_options_of_a_search():
    assert search_options(3, 0, 10, 1e-6) == (3, 0, 10, 1e-6)
    assert search_options(0, 2, 1, 1.0) == (0, 2, 1, 1.0)
    for wrong in (
        (-1, 0, 1, 1.0),
        (True, 0, 1, 1.0),
        (1.0, 0, 1, 1.0),
        (0, -1, 1, 1.0),
        (0, 0, 0, 1.0),
        (0, 0, 1, 0.0),
    ):
        with pytest.raises(InvalidInput):
            search_options(*wrong)
