"""Sums of many floats and their stated roundings: means never below the exact ones, slacks of the size that their comments derive."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.bounds.catoni_grid import catoni_continuous, catoni_uniform
from nonvacuous.numerics.bounds.empirical_bernstein import empirical_bernstein, variance_up
from nonvacuous.numerics.bounds.envelope import small_data_envelope
from nonvacuous.numerics.bounds.from_losses import certify_losses, mean_up
from nonvacuous.numerics.bounds.information import individual_information, mutual_information
from nonvacuous.numerics.bounds.majority_vote import halves
from nonvacuous.numerics.bounds.majority_vote_data import MU_GRID, Votes, certify_votes
from nonvacuous.numerics.bounds.one_draw import gaussian_log_ratio, one_draw_occam
from nonvacuous.numerics.bounds.pac2 import pair_log_loss
from nonvacuous.numerics.bounds.pac_chernoff import log_inv_precision
from nonvacuous.numerics.bounds.recursive import RecursiveStep, recursive_pac_bayes
from nonvacuous.numerics.bounds.relaxations import quad
from nonvacuous.numerics.bounds.renyi import chi_square, renyi
from nonvacuous.numerics.bounds.seeger import complexity
from nonvacuous.numerics.bounds.split_kl import split_kl
from nonvacuous.numerics.bounds.stochastic_vote import stochastic_vote_risk
from nonvacuous.numerics.bounds.supermartingale import price_up
from nonvacuous.numerics.bounds.surrogates import smoothed_log_loss, squeezed_log_loss
from nonvacuous.numerics.bounds.wasserstein import wasserstein
from nonvacuous.numerics.certified.half_beta import half_beta_upper
from nonvacuous.numerics.certified.multinomial_kl import multinomial_kl_upper
from nonvacuous.numerics.certified.nml import log_nml_upper
from nonvacuous.theory.balls import kl_lower_ball, kl_upper_ball

U = 2.0**-53


def exact_mean(array: np.ndarray) -> Fraction:
    return sum(map(Fraction, array.ravel().tolist()), Fraction(0)) / array.size


def absorbed(n: int) -> np.ndarray:
    """A one, and losses each of which is just too small to be noticed where it is added to it."""
    array = np.full(n, 0.999 * U)
    array[0] = 1.0
    return array


@pytest.mark.parametrize("n", [2, 7, 95, 127, 128, 1000, 4095])
def test_the_mean_of_losses_is_not_below_the_exact_one(n):
    rng = np.random.default_rng(n)
    for array in (absorbed(n), rng.random(n), rng.random(n) ** 40, (rng.random(n) < 0.3).astype(float)):
        exact = exact_mean(array)
        assert exact <= Fraction(mean_up(array)) <= exact * (1 + Fraction(4 * U))
        risk = certify_losses(array[:, None], kl=1.0, delta=0.05).parts["risk"].inputs["risk"]
        assert exact <= Fraction(risk)
    if n > 2:  # half an ulp of 1 is lost in the sum, whatever it is divided by
        array = np.zeros(n)
        array[:2] = 1.0, 0.999 * U
        for count in range(2, n, max(1, n // 50)):
            assert exact_mean(array[:count]) <= Fraction(mean_up(array[:count]))
    assert mean_up(np.zeros((2, n))) == 0.0
    assert mean_up(np.ones((2, n))) == 1.0


def test_the_nearest_float_of_numpys_sum_would_be_below():
    """Control: 127 numbers are added with up to 24 roundings one after another, more than ln2 of their number and a dozen."""
    array = absorbed(127)
    published = float(array.sum()) / array.size * (1 + U * (np.log2(array.size) + 12))
    assert Fraction(float(published)) < exact_mean(array)


@pytest.mark.parametrize("scale", [1e-3, 0.7, 1.0, 3e5])
@pytest.mark.parametrize("gap", [0.0, 1e-9, 1.0])
def test_the_log_ratio_of_gaussians_is_rounded_up(scale, gap):
    """Also where the means are nearly opposite, or nearly equal, so that a sum or a difference of them says nothing of its rounding."""
    rng = np.random.default_rng(100)
    for size in (1, 1, 1, 1, 1, 1, 5, 40) * 6:
        w = rng.normal(size=size) * scale
        v = (-w if rng.random() < 0.5 else w) * (1 + gap * rng.normal(size=size))
        h = v + scale * rng.normal(size=size) * rng.choice([1e-8, 1.0])
        rows = list(zip(*([Fraction(z) for z in x.tolist()] for x in (h, w, v)), strict=True))
        twice = 2 * Fraction(scale) ** 2
        exact = sum((b - a) * (2 * x - a - b) for x, b, a in rows) / twice
        size_of_terms = sum(abs(b - a) * (abs(x - a) + abs(x - b)) for x, b, a in rows) / twice
        found = Fraction(gaussian_log_ratio(draw=h, posterior_mean=w, prior_mean=v, scale=scale))
        # six half-ulps given and at most four spent by each term; sum, square and quotient
        assert exact <= found <= exact + Fraction(18 * U) * size_of_terms + Fraction(1, 2**1000)
    # a product of 1e-324 is no float, and not to be lost
    assert gaussian_log_ratio(draw=[1e-162], posterior_mean=[1e-162], prior_mean=[0.0], scale=1.0) > 0


@pytest.mark.parametrize("top", [0.0, 1e-6, 600.0])
def test_the_slack_of_the_pair_log_loss(top):
    """(m + 16) half-ulps of the mean loss, and 2 m + 32 of 1, for m models."""
    m, examples = 40, 8
    array = top * np.random.default_rng(101).random((m, examples))
    found = pair_log_loss(array, p_min=1e-300)
    rho = np.full(m, 1 / m)
    p = np.exp(-array)
    value = math.fsum(rho @ array - 0.5 * (rho @ (p - rho @ p) ** 2)) / examples
    slack = ((m + 16) * math.fsum(rho @ array) / examples + 2 * m + 32) * U
    if not top:
        assert found == 0.0
        return
    assert found - value == pytest.approx(slack, rel=1e-6, abs=0.51 * math.ulp(found))


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_differences_of_frequencies_are_paid_for(gamma):
    """Each is right to half an ulp of itself, as is its share of their sum: with values in [-1, 1], 16 half-ulps at most."""
    frequencies = (0.9, 0.3, 0.1) if gamma == 0.5 else (0.9, 0.9, 0.1)
    step = RecursiveStep(gamma, frequencies, 3.0, 1000)
    found = recursive_pac_bayes(risk=0.1, kl=1.0, n=2000, steps=[step], log_inv_delta=3.0)
    first, last = found.inputs["bounds"]
    values = [1.0, 0.5, 0.0, -0.5] if gamma == 0.5 else [1.0, 0.0, -1.0]
    parts = [0.1, 0.3 - 0.1, 0.9 - 0.3, 1 - 0.9] if gamma == 0.5 else [0.1, 0.9 - 0.1, 1 - 0.9]
    plain = last - gamma * first - 2.0**-48  # with the slack, and without it
    level = found.inputs["log_inv_delta"]
    c = (3.0 + float(log_nml_upper(len(values), 1000)) + level) / 1000
    assert plain == pytest.approx(float(multinomial_kl_upper(parts, values, c)), rel=0, abs=16 * U)


def test_the_risk_of_a_stochastic_vote_is_a_mean_rounded_up():
    rng = np.random.default_rng(102)
    for _ in range(12):
        a = rng.random(4) * 10.0 ** rng.integers(-2, 2)
        wrong = rng.random((4, 60)) < 0.4
        ends = np.array([(_down(a[~row]), _up(a[row])) for row in wrong.T])
        mean = exact_mean(half_beta_upper(ends[:, 0], ends[:, 1]))
        found = Fraction(stochastic_vote_risk(wrong.astype(int), a))
        assert mean <= found <= mean * (1 + Fraction(6 * U))


def _exactly(x: np.ndarray) -> Fraction:
    return sum(map(Fraction, x.tolist()), Fraction(0))


def _up(x: np.ndarray) -> float:
    nearest = float(_exactly(x))
    return nearest if Fraction(nearest) >= _exactly(x) else math.nextafter(nearest, math.inf)


def _down(x: np.ndarray) -> float:
    nearest = float(_exactly(x))
    return nearest if Fraction(nearest) <= _exactly(x) else math.nextafter(nearest, 0.0)


def test_the_envelope_is_rounded_down():
    """It is no bound: whoever beats it has made a mistake, so it must not lie above the exact value."""
    rng = np.random.default_rng(103)
    for _ in range(60):
        q, kl, n, level = float(rng.random()), float(10 ** rng.uniform(-3, 4)), int(10 ** rng.uniform(0, 6)), float(rng.uniform(0.1, 50))  # fmt: skip
        found = small_data_envelope(risk=q, kl=kl, n=n, log_inv_delta=level)
        exact = kl_upper_ball(q, (Fraction(kl) + Fraction(level)) / n).p
        assert not exact < found
        assert not exact * (1 - 40 * U) > found


def test_individual_informations_are_averaged_under_the_root():
    assert individual_information(informations=[0.5, 2.0, 0.0], sigma=3.0).value == 3.0


def test_zero_beside_infinity_is_zero():
    """A factor of 0 leaves no width, whatever stands beside it."""
    for scale in (1.0, 1e300):
        assert mutual_information(information=scale, n=3, sigma=0.0).value == 0.0
        assert individual_information(informations=[0.0, scale], sigma=0.0).value == 0.0
        assert individual_information(informations=[0.0, 0.0], sigma=scale).value == 0.0
        assert chi_square(risk=0.25, chi2=math.inf, variance=0.0, n=3, log_inv_delta=scale).value == 0.25
    assert quad(risk=0.0, kl=math.inf, n=3, delta=0.1).lower == 0.0
    stays = {"risk": 0.1, "sizes": [5, 7], "delta": 0.1}
    still = wasserstein(distances=[0.0, 0.0], lipschitz=2.0, **stays).raw
    assert wasserstein(distances=[math.inf, 3.0], lipschitz=0.0, **stays).raw == still
    assert wasserstein(distances=[0.5, 0.0], lipschitz=2.0, **stays).raw == pytest.approx(still + 2 * 5 * 2 * 0.5 / 12)


def test_the_number_of_models_of_a_precision_is_rounded_up():
    with mp.workdps(40):
        for parameters, bits in ((1, 1), (10**6, 32), (2**53 - 1, 31), (2**53 - 3, 64), (3**30, 7)):
            exact = parameters * bits * mp.log(2)
            assert exact <= log_inv_precision(parameters, bits) <= exact * (1 + 10 * U)


def test_the_lower_side_of_catoni_takes_a_negative_beta():
    for bad in (0.0, 0.5, 1.0):
        with pytest.raises(InvalidInput):
            catoni_uniform(risk=0.1, kl=1.0, n=50, delta=0.05, lower_beta=bad)


def test_delta_is_given_once():
    """Bounds that halve it refuse both forms together, and what is no probability."""
    given = {"risk": 0.1, "variance": 0.05, "kl": 1.0, "n": 100}
    for bad in ({"delta": 0.05, "log_inv_delta": 3.0}, {}, {"delta": 0.0}, {"delta": 1.0}, {"delta": math.nan}):
        with pytest.raises(InvalidInput):
            empirical_bernstein(**given, **bad)
        with pytest.raises(InvalidInput):
            halves("one", "two", bad.get("delta"), bad.get("log_inv_delta"))
    assert variance_up(0.1, math.inf, 100, 3.0, 5, 1.1) == 0.25


def test_votes_are_not_counted_for_a_delta_that_is_none(monkeypatch):
    from nonvacuous.numerics.bounds import majority_vote_data

    votes = Votes(np.array([[0, 1, 1], [0, 0, 1], [1, 1, 1]]), np.array([0, 1, 1]))
    monkeypatch.setattr(majority_vote_data, "vote_moments", lambda *args, **options: pytest.fail("counted"))
    for bad in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(InvalidInput):
            certify_votes(votes, delta=bad)


def test_the_grid_of_mu_is_the_recorded_one():
    """Twenty numbers, -0.5, -0.45, ..., 0.45: all of them are paid for."""
    assert pytest.approx([k / 20 for k in range(-10, 10)], rel=0, abs=4 * U) == MU_GRID


def test_the_slack_of_the_published_constant():
    """At n = 4^k the root and the quotient are exact: 6 + 4 half-ulps are given, at most 2 and 2 spent on the logarithm and two products."""
    for k in range(27):
        with mp.workdps(40):
            exact = (k + 1) * mp.log(2) / mp.mpf(4) ** k
            assert complexity(0.0, 4**k, 0.0, "2sqrt") >= exact * (1 + 5.9 * U)


def test_defaults_are_recorded():
    given = {"risk": 0.1, "n": 50, "delta": 0.05}
    assert renyi(divergence=1.0, **given).inputs["order"] == 2.0
    assert one_draw_occam(log_density=1.0, **given).inputs["b"] == 1.0
    assert catoni_continuous(kl=1.0, **given).inputs["alpha"] == 1.1
    assert price_up("variance", moment=3.0) == price_up("variance", deviation=6.0) == 1.0


@pytest.mark.parametrize("frequencies", [(0.9, 0.4), (1.0, 0.0), (0.2, 0.2)])
def test_the_lower_side_of_a_split_loss(frequencies):
    """b_0 + sum of the heights times LO at the complexity of two events, in balls, and as close as the kernels are."""
    found = split_kl(frequencies=frequencies, levels=(-1.0, 0.5, 2.0), kl=0.3, n=400, log_inv_delta=2.0)
    with mp.workdps(40):
        xi = mp.nsum(lambda k: mp.binomial(400, int(k)) * _power(k, 400), [0, 400])
        c = (mp.mpf("0.3") + 2 + mp.log(2 * xi)) / 400
    exact = -1.0 + sum(1.5 * float(kl_lower_ball(q, float(c)).p) for q in frequencies)
    assert found.lower == pytest.approx(exact, rel=0, abs=1e-12)


def _power(k: mp.mpf, n: int) -> mp.mpf:
    share = mp.mpf(k) / n
    return share ** int(k) * (1 - share) ** int(n - k)


def test_surrogates_end_at_one():
    """e^-B and its logarithm are rounded: the largest loss must not pass 1."""
    for largest in np.random.default_rng(104).uniform(math.log(2), 30, 300):
        assert squeezed_log_loss([0.0, 0.5, 1.0], largest).max() <= 1.0
        assert smoothed_log_loss([0.0, 0.5, 1.0], math.exp(-largest), 3).max() <= 1.0
