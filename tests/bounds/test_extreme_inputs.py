"""Inputs that nobody means and inputs at the ends of float64: a typed error with advice, or a certificate that verifies itself."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from mpmath import mp, mpf

from nonvacuous import bounds as b
from nonvacuous.errors import InvalidInput, NumericalFailure
from nonvacuous.numerics.bounds import recheck as rechecking
from nonvacuous.numerics.bounds.certificate import from_json
from nonvacuous.numerics.large_deviations.laws import ExponentialLaw, GaussianLaw
from nonvacuous.theory.balls.pair_cbound import _widened, joint_cbound_ball

TINY, HUGE = 5e-324, 1.7e308
SURE = {"risk": 0.1, "kl": 5.0, "n": 100}
ODD = (
    [1, [2, 3]],
    [np.complex128(0.5 + 1j), 0.25],
    np.complex128(1j),
    np.ma.masked,
    np.array([0.1]),
    None,
    {},
    object(),
)
BELOW_ONE = 1 - 2.0**-53


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd).split(" at 0x")[0])
@pytest.mark.parametrize("name", ["risk", "kl", "n", "delta"])
def test_what_is_no_number_is_refused_with_advice(name, odd):
    with pytest.raises(InvalidInput) as caught:
        b.seeger_kl(**{**SURE, "delta": 0.05, name: odd})
    assert caught.value.advice


@pytest.mark.parametrize(
    "call",
    [
        lambda odd: b.trinomial_kl(gain=odd, loss=0.1, kl=1.0, n=10, delta=0.1),
        lambda odd: b.recursive_pac_bayes(**SURE, steps=odd, delta=0.1),
        lambda odd: b.mcallester(**SURE, constant=odd, delta=0.1),
        lambda odd: b.certify_losses([[0.1]], kl=odd, delta=0.1),
        lambda odd: b.certify_losses([[0.1]], kl=1.0, delta=0.1, axes=odd),
        lambda odd: b.compression_bound(errors=1, n=9, message_bits=odd, delta=0.1),
        lambda odd: b.certify_votes(odd, delta=0.1),
        lambda odd: b.fit_dirichlet([[0, 1]], [1.0], delta=0.1, seed=odd),
        lambda odd: b.KnownLaws(odd, [1.0]),
        lambda odd: b.gibbs_monte_carlo(risk=0.1, draws=10, delta=0.1, event=odd),
        lambda odd: b.to_own_scale(odd, 0.0, 1.0),
    ],
)
@pytest.mark.parametrize("odd", ODD[:2] + ODD[-3:], ids=lambda odd: repr(odd).split(" at 0x")[0])
def test_other_arguments_are_checked_too(call, odd):
    with pytest.raises(InvalidInput):
        call(odd)


@pytest.mark.parametrize(
    "call",
    [
        lambda word: b.binomial_test_set(errors=1, n=9, delta=0.1, two_sided=word),
        lambda word: b.compression_bound(errors=1, n=9, message_bits=20, prefix_free=word, delta=0.1),
        lambda word: b.code_log_inv_weight(20, prefix_free=word),
        lambda word: b.compare(**SURE, delta=0.1, simultaneous=word),
    ],
)
def test_words_are_no_truth_values(call):
    """ "False" counts as true: a file would pass for a prefix-free code."""
    with pytest.raises(InvalidInput, match="True or False"):
        call("False")


@pytest.mark.parametrize("bound", [b.kl_anytime, b.quad, lambda **k: b.catoni(beta=1.0, **k)])
def test_a_bound_on_another_quantity_is_no_empirical_risk(bound):
    other = b.seeger_kl(**SURE, delta=0.1)
    with pytest.raises(InvalidInput, match=r"true Gibbs risk|already paid"):
        bound(risk=other, kl=1.0, n=100, delta=0.1)


@pytest.mark.parametrize("n", [2**53 + 3, 1e300, 10**400, True])
def test_sizes_that_float64_rounds_are_refused(n):
    """2^53 + 3 becomes 2^53 + 4, more examples than there are; larger ones overflowed on the way."""
    for bound in (b.seeger_kl, b.mcallester, b.kl_anytime, b.unexpected_bernstein):
        more = {"second_moment": 0.1} if bound is b.unexpected_bernstein else {}
        with pytest.raises(InvalidInput):
            bound(**{**SURE, **more, "n": n}, delta=0.1)


EXTREME = {
    "a delta that is subnormal": lambda: b.seeger_kl(**SURE, delta=TINY),
    "two logarithms whose sum overflows": lambda: b.catoni(risk=0.1, kl=HUGE, n=3, beta=1.0, log_inv_delta=HUGE),
    "a delta next to 1, default rates": lambda: b.unexpected_bernstein(**SURE, second_moment=0.1, log_inv_delta=TINY),
    "a delta next to 1, in halves": lambda: b.one_draw_renyi(risk=0.1, divergence=1.0, n=9, delta=BELOW_ONE),
    "a beta whose neighbour is -beta": lambda: b.one_draw_catoni(risk=0.0, log_density=3.0, n=9, beta=TINY, delta=0.1),
    "a power whose inverse is infinite": lambda: b.one_draw_occam(risk=0.1, log_density=-1.0, n=9, b=TINY, delta=0.1),
    "rates whose squares vanish": lambda: b.supermartingale(**{**SURE, "n": None}, rates=[1e-300], delta=0.1),
    "a product of constants that vanishes": lambda: b.sub_gaussian_mixture_one_sided(**SURE, variance=1.0, a=TINY, reference=1e-9, delta=0.1),
    "no distance, an enormous slope": lambda: b.wasserstein(risk=0.1, distances=[0.0], sizes=[9], lipschitz=HUGE, delta=0.1),
    "no way, an enormous slope": lambda: b.pac_bayes_chernoff(**SURE, tail=b.ParameterNorm(HUGE, 0.0), delta=0.1),
    "no information, an enormous sigma": lambda: b.mutual_information(information=0.0, n=2, sigma=1e300),
    "a KL that was expected to be enormous": lambda: b.pac_bayes_chernoff_alpha(**SURE, tail=b.SubGaussian(1.0), anticipated_kl=1e300, delta=0.1),
    "a level beyond all floats, binomial": lambda: b.binomial_test_set(errors=3, n=3, log_inv_delta=HUGE),
    "a grid of one step": lambda: b.empirical_bernstein(**SURE, variance=0.1, log_inv_delta=1e300),
    "no error, a level whose share of two trials underflows": lambda: b.binomial_test_set(errors=0, n=2, log_inv_delta=TINY),
    "a delta next to 1, binomial": lambda: b.binomial_test_set(errors=10_000, n=30_000, log_inv_delta=TINY, two_sided=True),
    "a delta next to 1, a thousand million trials": lambda: b.binomial_test_set(errors=333_333_333, n=10**9, log_inv_delta=1e-320),
    "as many trials as float64 counts": lambda: b.binomial_test_set(errors=2**52 + 1, n=2**53, delta=1e-300, two_sided=True),
    "many trials, an enormous level": lambda: b.binomial_test_set(errors=10**15 // 3, n=10**15, log_inv_delta=1e300, two_sided=True),
    "a code length beyond all files": lambda: b.occam_binomial(errors=25, n=50, code_bits=1e300, log_inv_delta=TINY),
    "an exponential loss, a rate of 10^300": lambda: b.pac_chernoff(risk=0.0, law=ExponentialLaw(np.array([1e9])), n=1, log_inv_weight=1e300, log_inv_delta=1.0),
    "an exponential loss, a rate of 10^-320": lambda: b.pac_chernoff(risk=0.0, law=ExponentialLaw(np.array([1e9])), n=1, log_inv_weight=0.0, log_inv_delta=1e-320),
    "a Gaussian loss, a subnormal rate": lambda: b.pac_chernoff(risk=0.0, law=GaussianLaw(np.array([1e-9])), n=1, log_inv_weight=0.0, log_inv_delta=1e-320),
    "a Gaussian loss of small variance, a rate of 10^308": lambda: b.pac_chernoff(risk=0.0, law=GaussianLaw(np.array([1e-9])), n=1, log_inv_weight=HUGE, log_inv_delta=1.0),
    "a known law, a subnormal rate": lambda: b.pac_bayes_chernoff(risk=0.0, kl=0.0, n=10, tail=b.KnownLaws([[0.0, 1.0, 2.0]], [1.0]), log_inv_delta=1e-320),
    "joint errors below every digit of the answer": lambda: b.majority_vote_cbound_joint(joint_error=TINY, disagreement=1e-9, kl=1e-300, n=2**53, delta=BELOW_ONE),
    "joint errors and no disagreement": lambda: b.majority_vote_cbound_joint(joint_error=TINY, disagreement=0.0, kl=0.0, n=10**9, delta=0.05),
    "both frequencies below every digit": lambda: b.majority_vote_cbound_joint(joint_error=1e-320, disagreement=TINY, kl=1.0, n=30_000, log_inv_delta=TINY),
    "2 (1 - e^-I) next to 2 I": lambda: b.conditional_information_kl(risk=0.0, information=1e-320, n=1),
    "2 (1 - e^-I), shared by examples": lambda: b.conditional_information_kl(risk=0.0, information=1e-310, n=7),
    "a beta whose digits cancel": lambda: b.catoni_uniform(risk=1e-300, kl=73.2, n=2**53, delta=1e-300, beta=TINY, lower_beta=-10.0),
    "no variance, an infinite kl": lambda: b.sub_gaussian_mixture(risk=0.1, kl=math.inf, n=2**53, variance=0.0, a=1e-320, delta=TINY),
    "values of a pair that coincide": lambda: b.majority_vote_chebyshev_cantelli(joint_error=0.0, disagreement=TINY, kl=1.0, n=2, mu=[-1e300, 0.4], delta=0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREME)
def test_extreme_certificates_verify_themselves_from_the_file(name):
    certificate = EXTREME[name]()
    assert not math.isnan(certificate.value)
    assert from_json(certificate.as_json()).check().sound


@pytest.mark.parametrize(("both", "one"), [(1e-12, 0.0), (1e-12, 0.2), (3e-13, 1e-12), (0.05, 1e-13)])
def test_leaving_out_tiny_frequencies_encloses_the_answer_with_them(both, one):
    """At 5 digits these frequencies are left out, and what that costs is in the ball; at 60 digits they are kept."""
    rough = joint_cbound_ball(both, one, 5.0, 1000, 3.0, 5)
    fine = joint_cbound_ball(both, one, 5.0, 1000, 3.0, 60)
    assert rough.contains(fine)
    assert rough.rad() > 1e3 * fine.rad()


@pytest.mark.parametrize(("both", "one"), [(0.01, 0.0), (0.0, 0.03), (0.02, 0.01)])
@pytest.mark.parametrize("law", [(0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.45, 0.5, 0.05), (0.3, 0.3, 0.4)])
def test_what_is_left_out_costs_no_more_than_its_entropy(both, one, law):
    """KL(u||p) <= c implies KL(u'||p) <= the widened c, for u' without the outcomes left out; nearly with equality where p is large there."""
    u = (both, one, 1 - both - one)
    tiny = [Fraction(both), Fraction(one)]
    kept = [0.0, 0.0, 1.0]
    divergence = [sum((x * mp.log(mpf(x) / p) for x, p in zip(q, law, strict=True) if x), mpf(0)) for q in (u, kept)]
    with ctx.workdps(40):
        c = arb(mp.nstr(divergence[0], 30))
        widened = _widened(c, tiny)
        assert arb(mp.nstr(divergence[1], 30)) < widened.upper() + arb("1e-25")
        assert widened.contains(c)
        assert widened.upper() < arb(mp.nstr(divergence[1], 30)) + (both + one) * 4  # -sum x ln p/(1 - m) at most


def test_an_infinite_kl_says_nothing_however_small_the_variance():
    """Q may live where P never looks: without variance on P nothing follows for Q."""
    found = b.sub_gaussian_mixture(risk=0.1, kl=math.inf, n=10, variance=0.0, delta=0.1)
    assert (found.value, found.lower) == (math.inf, -math.inf)


def with_ends(monkeypatch, ends):
    """A certificate of the value 0.5 or more whose exact bound is what `ends(digits)` says."""
    certificate = b.seeger_kl(**SURE, delta=0.05)
    rule = rechecking.RULES["pb.kl"]
    monkeypatch.setitem(rechecking.RULES, "pb.kl", replace(rule, ends=lambda inputs, digits: (ends(digits), arb(0.02))))
    return certificate


def test_what_cannot_be_verified_is_refused_and_no_internal_error(monkeypatch):
    def ends(digits):
        raise NumericalFailure("No enclosure.", "Too extreme.")

    with pytest.raises(InvalidInput, match="cannot be verified") as caught:
        with_ends(monkeypatch, ends).check()
    assert caught.value.exit_code == 3
    assert "larger delta" in caught.value.advice


def test_fewer_digits_decide_where_more_cannot_be_had(monkeypatch):
    asked = []

    def ends(digits):
        asked.append(digits)
        if digits > 20:
            raise NumericalFailure("No enclosure.", "Too extreme.")
        return arb(0.1)

    assert with_ends(monkeypatch, ends).check().sound
    assert asked == [60, 30, 20]
    with monkeypatch.context() as patch:
        assert not with_ends(patch, lambda digits: arb(1) if digits < 60 else ends(digits)).check().sound


def test_more_digits_decide_where_sixty_agree(monkeypatch):
    """A ball that holds the stored number is no verdict: it is asked again, and the exact value on either side of it counts."""
    stored = b.seeger_kl(**SURE, delta=0.05).raw

    def next_to(side):
        return lambda digits: arb(stored) + side * arb(10) ** -200 + arb(0, arb(10) ** -digits)

    with ctx.workdps(1500):
        assert with_ends(monkeypatch, next_to(-1)).check().sound
        assert not with_ends(monkeypatch, next_to(1)).check().sound


@pytest.mark.parametrize(
    ("information", "n", "sigma"), [(2.0, 1, 1000.0), (0.5, 1, 10.0), (4.5, 1, 3.0), (1.0, 8, 0.3)]
)
def test_a_bound_that_is_a_float_exactly_is_not_called_unsound(information, n, sigma):
    """sqrt(2 sigma^2 I/n) = 2000: a ball around a root never tells it from 2000."""
    assert b.mutual_information(information=information, n=n, sigma=sigma).check().sound
    assert b.individual_information(informations=[information] * n, sigma=sigma).check().sound


def test_the_third_frequency_of_an_excess_loss_keeps_its_digits():
    """0.3 + 0.7 is 1 in float64; what is left of the two floats is not 0."""
    found = b.trinomial_kl(gain=0.7, loss=0.3, kl=1.0, n=10, delta=0.1).inputs["frequencies"]
    assert Fraction(found[2]) == 1 - Fraction(0.3) - Fraction(0.7) > 0


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e-30, 1.0, 3e5, 1e200])
def test_log_densities_of_scales_whose_squares_leave_float64(scale):
    h, w, v = ([x * scale for x in row] for row in ([1.5, -2.0], [0.7, 0.1], [0.2, -1.0]))
    found = b.gaussian_log_ratio(draw=h, posterior_mean=w, prior_mean=v, scale=scale)
    with mp.workdps(50):
        exact = sum((mpf(y) - z) * (2 * mpf(x) - y - z) for x, y, z in zip(h, w, v, strict=True)) / (
            2 * mpf(scale) ** 2
        )
        assert exact <= found <= float(exact) + 1e-14 * abs(float(exact))


@pytest.mark.parametrize("draw", [1e200, 1e308])
def test_log_densities_that_overflow_are_refused(draw):
    with pytest.raises(InvalidInput):
        b.gaussian_log_ratio(draw=[draw], posterior_mean=[-draw], prior_mean=[0.0], scale=1.0)


def test_a_distance_that_overflows_is_infinite():
    assert b.gaussian_distance(mean=[1e308], scale=1.0, prior_mean=[-1e308], prior_scale=1.0) == math.inf


def test_recursive_steps_are_numbers_however_they_were_written():
    step = b.RecursiveStep(np.float32(0.5), np.array([0.9, 0.1, 0.0]), "3", np.int64(50))
    assert step == b.RecursiveStep(0.5, (0.9, 0.1, 0.0), 3.0, 50)
    assert b.recursive_pac_bayes(risk=0.1, kl=1.0, n=100, steps=[step], delta=0.1).check().sound
