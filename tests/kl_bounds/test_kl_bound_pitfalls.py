"""Mistakes seen in published code, one test each, named after the entry of the list of pitfalls."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.stats import binom

from nonvacuous import bounds
from nonvacuous.errors import DeltaOverspent, InvalidInput
from nonvacuous.numerics.bounds.seeger import complexity
from nonvacuous.numerics.certified import kl_upper, maurer_xi

PUBLISHED = {"risk": 0.0155, "draws": 150_000, "kl": 73.2, "n": 30_000, "delta": 0.025, "draws_delta": 0.01}


def test_worked_example_of_pbb():
    assert bounds.gibbs_monte_carlo(risk=0.0155, draws=150_000, delta=0.005).value == pytest.approx(
        0.0165611977, abs=5.1e-11
    )
    assert bounds.pbb(**PUBLISHED).value == pytest.approx(0.0278783062, abs=5.1e-11)
    assert bounds.pbb(**PUBLISHED, sides="one").value == pytest.approx(0.0277848, abs=5.1e-8)
    assert bounds.pbb(**PUBLISHED, sides="one", constant="exact").value < bounds.pbb(**PUBLISHED, sides="one").value


def test_d1_both_events_are_in_the_ledger():
    """Code that spends delta_test on both events advertises delta_test; the certificate spends their sum."""
    certificate = bounds.pbb(**{**PUBLISHED, "delta": 0.01})
    assert certificate.delta == pytest.approx(0.02, rel=1e-12, abs=0)
    assert len({entry.event for entry in certificate.ledger.entries}) == 2
    assert bounds.pbb(**PUBLISHED).delta == pytest.approx(0.035, rel=1e-12, abs=0)
    with pytest.raises(DeltaOverspent):
        bounds.pbb(**{**PUBLISHED, "delta": 0.6, "draws_delta": 0.5})


def test_d3_a_prior_scale_picked_on_the_data_is_paid_for():
    plain = bounds.pbb(**PUBLISHED)
    for j in (1, 2, 150):
        paid = bounds.pbb(**PUBLISHED, scale_index=j)
        price = 2 * math.log(j) + math.log(math.pi**2 / 6)
        assert paid.value == pytest.approx(bounds.pbb(**{**PUBLISHED, "kl": 73.2 + price}).value, rel=1e-14, abs=0)
        assert paid.value > plain.value
        assert {e.event for e in paid.ledger.entries} != {e.event for e in plain.ledger.entries}
        assert paid.check().sound
    # the weights of all scales together are no more than 1
    assert sum(math.exp(-2 * math.log(j) - math.log(math.pi**2 / 6)) for j in range(1, 100_000)) < 1
    # the published form: 2 ln(b ln(c/s^2)) + ln(pi^2/(6 delta))
    variance = bounds.prior_variance(150)
    assert variance == pytest.approx(0.1 * math.exp(-1.5), rel=1e-15, abs=0)
    assert 2 * math.log(100 * math.log(0.1 / variance)) == pytest.approx(2 * math.log(150), rel=1e-13, abs=0)


def test_d3_scales_above_the_largest_are_refused():
    assert bounds.scale_indices(0.1 * math.exp(-1.234)) == (123, 124)
    assert bounds.scale_indices(0.1 * math.exp(-0.001)) == (1,)
    assert bounds.scale_indices(0.1) == (1,)
    for bad in (0.11, 1.0, 0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput):
            bounds.scale_indices(bad)
    for bad in (0, -3, 1.5, math.nan):
        with pytest.raises(InvalidInput):
            bounds.prior_variance(bad)
        with pytest.raises(InvalidInput):
            bounds.pbb(**PUBLISHED, scale_index=bad)


def test_d4_catoni_minimised_over_its_parameter_is_no_bound():
    given = {"risk": 0.05, "kl": 10.0, "n": 500, "delta": 0.05}
    illegal = min(bounds.catoni(**given, beta=float(b)).value for b in np.exp(np.linspace(-3, 3, 400)))
    envelope = bounds.small_data_envelope(**given)
    assert illegal == pytest.approx(envelope, rel=1e-5, abs=0)
    for legal in (
        bounds.catoni_grid(**given, betas=(0.25, 0.5, 1.0, 2.0)),
        bounds.catoni_continuous(**given),
        bounds.catoni_uniform(**given),
        bounds.seeger_kl(**given),
    ):
        assert legal.value > illegal
    assert isinstance(envelope, float), "the envelope is a number to compare with, never a certificate"
    assert "NOT an upper bound" in bounds.small_data_envelope.__doc__


def test_d4_a_dense_grid_costs_more_than_the_uniform_form():
    """xi(n) buys all betas at once: a grid pays off only below that many points."""
    given = {"risk": 0.05, "kl": 10.0, "n": 500, "delta": 0.05}
    best = bounds.catoni_uniform(**given)
    beta = best.inputs["beta"]
    few, many = ([beta * (1 + 0.001 * i) for i in range(size)] for size in (5, 200))
    assert len(few) < maurer_xi(500) < len(many)
    assert bounds.catoni_grid(**given, betas=few).value < best.value < bounds.catoni_grid(**given, betas=many).value
    for bad in ([], [1.0, 1.0], [0.0], [-1.0], [math.inf], [math.nan], 1.0):
        with pytest.raises(InvalidInput):
            bounds.catoni_grid(**given, betas=bad)


def test_d6_two_sides_at_one_delta_and_catonis_lower_side_at_its_own():
    for bound in (bounds.mcallester, bounds.quad, bounds.thiemann_lambda, bounds.catoni_uniform):
        certificate = bound(risk=0.3, kl=1.0, n=1000, delta=0.05)
        assert certificate.delta == pytest.approx(0.05, rel=1e-12, abs=0)
        assert 0 < certificate.lower < 0.3 < certificate.value
    catoni = bounds.catoni(risk=0.3, kl=1.0, n=1000, delta=0.05, beta=1.0, lower_beta=-1.0, lower_delta=0.01)
    assert catoni.delta == pytest.approx(0.06, rel=1e-12, abs=0)
    assert len(catoni.ledger.entries) == 2
    assert 0 < catoni.lower < 0.3
    given = {"risk": 0.3, "kl": 1.0, "n": 1000, "delta": 0.05, "beta": 1.0}
    for bad in (
        {"lower_beta": 1.0, "lower_delta": 0.01},
        {"lower_beta": -1.0},
        {"lower_delta": 0.01},
        {"beta": -1.0},
        {"beta": 0.0},
        {"beta": math.inf},
    ):
        with pytest.raises(InvalidInput):
            bounds.catoni(**{**given, **bad})


def test_d6_the_lower_side_mirrors_the_upper_side_of_the_complement():
    for q, kl, n, beta in ((0.3, 2.0, 200, 0.5), (0.8, 0.1, 50, 2.0), (0.55, 5.0, 5000, 0.1)):
        lower = bounds.catoni(risk=q, kl=kl, n=n, delta=0.05, beta=beta, lower_beta=-beta, lower_delta=0.05).lower
        assert lower == pytest.approx(
            1 - bounds.catoni(risk=1 - q, kl=kl, n=n, delta=0.05, beta=beta).raw, rel=1e-12, abs=0
        )


def test_d7_logarithm_of_a_quotient():
    """ln(2 sqrt(n)/delta) is 9.54 at n = 30000, delta = .025; ln(2 sqrt(n))/delta is 233.9."""
    assert math.log(2 * math.sqrt(30_000) / 0.025) == pytest.approx(9.54, abs=0.005)
    assert math.log(2 * math.sqrt(30_000)) / 0.025 == pytest.approx(233.9, abs=0.05)
    width = bounds.mcallester(risk=0.0, kl=0.0, n=30_000, delta=0.025, constant="2sqrt").raw
    assert 2 * 30_000 * width**2 == pytest.approx(9.54, abs=0.005)


def test_d8_catoni_without_the_confidence_is_no_bound():
    given = {"risk": 0.05, "kl": 10.0, "n": 500, "beta": 1.0}
    without = -math.expm1(-0.05 - 10.0 / 500) / -math.expm1(-1.0)
    assert without < bounds.small_data_envelope(risk=0.05, kl=10.0, n=500, delta=0.05)
    assert bounds.catoni(**given, delta=0.05).value > without
    with pytest.raises(InvalidInput):
        bounds.catoni(**given)


def test_d9_the_assumption_on_the_prior_is_never_answered_by_a_function():
    for certificate in (
        bounds.pbb(**PUBLISHED),
        bounds.catoni(risk=0.1, kl=1.0, n=50, delta=0.1, beta=1.0),
        bounds.quad(risk=0.1, kl=1.0, n=50, delta=0.1),
    ):
        assert "prior before data" in certificate.unchecked
    assert "parameter before data" in bounds.catoni(risk=0.1, kl=1.0, n=50, delta=0.1, beta=1.0).unchecked
    assert "parameter before data" not in bounds.catoni_uniform(risk=0.1, kl=1.0, n=50, delta=0.1).answers


def test_d10_the_certificate_says_which_constant_it_has():
    for bound in (bounds.mcallester, bounds.quad, bounds.thiemann_lambda, bounds.catoni_uniform):
        exact, old = (bound(risk=0.1, kl=1.0, n=50, delta=0.1, constant=c) for c in ("exact", "2sqrt"))
        assert (exact.inputs["constant"], old.inputs["constant"]) == ("exact", "2sqrt")
        assert exact.value < old.value
        with pytest.raises(InvalidInput):
            bound(risk=0.1, kl=1.0, n=50, delta=0.1, constant="n+1")
    assert 0.46 < math.log(2 * math.sqrt(1e12)) - math.log(float(maurer_xi(1e12))) < 0.46737
    # 2 sqrt(n) is equal to xi(n) at n = 1
    same = [bounds.quad(risk=0.1, kl=1.0, n=1, delta=0.1, constant=c).raw for c in ("exact", "2sqrt")]
    assert same[0] == pytest.approx(same[1], rel=1e-14, abs=0)


def test_d11_n_minus_one_belongs_to_1999_and_2003_only():
    def squared(constant):
        return bounds.mcallester(risk=0.0, kl=2.0, n=100, log_inv_delta=3.0, constant=constant).raw ** 2

    assert squared("exact") * 200 == pytest.approx(5 + math.log(float(maurer_xi(100))), rel=1e-12, abs=0)
    assert squared("2sqrt") * 200 == pytest.approx(5 + math.log(20), rel=1e-12, abs=0)
    assert squared("2003") * 198 == pytest.approx(5 + math.log(100), rel=1e-12, abs=0)
    assert squared("hybrid") * 199 == pytest.approx(5 + math.log(100), rel=1e-12, abs=0)
    assert squared("1999") * 199 == pytest.approx(5 + 2.5 * math.log(100) + 8, rel=1e-12, abs=0)
    for constant in ("2003", "hybrid"):
        with pytest.raises(InvalidInput, match="n >= 2"):
            bounds.mcallester(risk=0.0, kl=2.0, n=1, log_inv_delta=3.0, constant=constant)


def test_d14_half_of_the_complexity_is_not_above_the_inverse():
    """(K + ..)/(2n) in place of /n: rh = .1, c = .01 gives .1416, below UP = .14768."""
    half = 0.1 + 0.005 + math.sqrt(0.005**2 + 2 * 0.1 * 0.005)
    full = 0.1 + 0.01 + math.sqrt(0.01**2 + 2 * 0.1 * 0.01)
    up = float(kl_upper(0.1, 0.01))
    tolstikhin = 0.1 + math.sqrt(2 * 0.1 * 0.005) + 2 * 0.005
    assert up == pytest.approx(0.147675539298, abs=5e-13)
    assert tolstikhin == pytest.approx(0.1416, abs=5e-5)
    assert half < tolstikhin < up < full


@pytest.mark.parametrize("pmin", [1e-5, 1e-2, 0.3])
def test_d18_one_pmin_clamps_and_scales(pmin):
    p = np.array([0.0, pmin / 2, pmin, 0.4, 1.0])
    loss = bounds.clamped_log_loss(p, pmin)
    assert loss[0] == loss[1] == loss[2] == 1.0
    assert loss[4] == 0.0
    assert loss[3] == pytest.approx(math.log(max(0.4, pmin)) / math.log(pmin))
    # a training clamp with another scale would leave [0, 1]
    assert -math.log(pmin) / math.log(1 / (10 * pmin) if 10 * pmin < 1 else 2) > 1
    smooth = bounds.smoothed_log_loss(p, pmin, classes=10)
    assert smooth[0] == 1.0
    assert smooth[4] == pytest.approx(-math.log(pmin / 10 + 1 - pmin) / math.log(10 / pmin))
    # divided by ln(1/pmin) it would exceed 1
    assert -math.log(pmin / 10) / math.log(1 / pmin) > 1
    b = math.log(1 / pmin)
    squeezed = bounds.squeezed_log_loss(p, b)
    assert squeezed[0] == pytest.approx(1.0, rel=1e-15, abs=0)
    assert squeezed[4] == pytest.approx(-math.log1p(-math.exp(-b)) / b)
    for values in (loss, smooth, squeezed):
        assert (np.diff(values) <= 0).all()
        assert values.min() >= 0
        assert values.max() <= 1


def test_d18_surrogates_refuse():
    for bad in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(InvalidInput):
            bounds.clamped_log_loss(0.5, bad)
        with pytest.raises(InvalidInput):
            bounds.smoothed_log_loss(0.5, bad, 10)
    for bad in (0.0, 0.69, -1.0, math.inf):
        with pytest.raises(InvalidInput):
            bounds.squeezed_log_loss(0.5, bad)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidInput):
            bounds.clamped_log_loss(bad, 0.1)


@pytest.mark.parametrize("bad", [{"draws": 0}, {"draws": 1.5}, {"risk": 2.0}, {"kl": -1.0}, {"n": 0}, {"delta": 0.0}, {"draws_delta": 1.0}, {"draws_delta": None}, {"draws_log_inv_delta": 3.0}, {"sides": "three"}, {"constant": "n"}, {"delta": None}])  # fmt: skip
def test_pbb_refuses(bad):
    with pytest.raises(InvalidInput):
        bounds.pbb(**{**PUBLISHED, **bad})


def test_no_bound_for_one_predictor_beats_the_binomial_limit():
    """pb.smalldata: with K = 0 the envelope is the Chernoff test bound, strictly above the binomial one; and no bound that grows with the
    number of errors can be below that one at any k: lower it by a hair there, and it fails too often at some p."""
    n, delta = 12, 0.1
    limits = [bounds.binomial_test_set(errors=k, n=n, delta=delta).value for k in range(n + 1)]
    for k in range(n):
        envelope = bounds.small_data_envelope(risk=k / n, kl=0.0, n=n, delta=delta)
        assert envelope == pytest.approx(bounds.chernoff_test_set(risk=k / n, n=n, delta=delta).value, rel=1e-13, abs=0)
        assert envelope > limits[k] or k == 0
        lowered = [min(x, limits[k] * (1 - 1e-6)) if i <= k else x for i, x in enumerate(limits)]
        p = limits[k] * (1 - 5e-7)
        failing = sum(binom.pmf(i, n, p) for i in range(n + 1) if lowered[i] < p)
        assert failing > delta
        assert sum(binom.pmf(i, n, p) for i in range(n + 1) if limits[i] < p) <= delta
    assert limits[0] == pytest.approx(bounds.small_data_envelope(risk=0.0, kl=0.0, n=n, delta=delta), rel=1e-13, abs=0)


def test_catoni_continuous_searches_legally():
    given = {"risk": 0.05, "kl": 10.0, "n": 500, "delta": 0.05}
    best = bounds.catoni_continuous(**given)
    assert best.inputs["lam"] >= 1
    for lam in (1.0, 10.0, 200.0, 5e4):
        assert bounds.catoni_continuous(**given, lam=lam).raw >= best.raw * (1 - 1e-3)
    for bad in ({"alpha": 1.0}, {"alpha": 0.5}, {"lam": 0.99}, {"lam": math.inf}, {"alpha": math.nan}):
        with pytest.raises(InvalidInput):
            bounds.catoni_continuous(**given, **bad)


def test_complexity_is_what_the_shared_event_pays():
    """quad, lambda, uniform Catoni and McAllester hold on the event of pb.kl: computing several spends one delta, not several."""
    events = {
        bound(risk=0.1, kl=1.0, n=50, delta=0.1).ledger.entries[0].event
        for bound in (bounds.seeger_kl, bounds.quad, bounds.thiemann_lambda, bounds.catoni_uniform, bounds.mcallester)
    }
    assert len(events) == 1
    assert complexity(1.0, 50, math.log(10)) == pytest.approx(
        (1 + math.log(float(maurer_xi(50)) * 10)) / 50, rel=1e-14, abs=0
    )


def test_the_price_of_a_scale_is_rounded_up():
    from nonvacuous.numerics.bounds.pbb import LOG_ZETA_2

    with mpmath.workdps(40):
        exact = mpmath.log(mpmath.pi**2 / 6)
        assert mpmath.mpf(math.nextafter(LOG_ZETA_2, 0.0)) < exact <= mpmath.mpf(LOG_ZETA_2)


def test_samples_and_draws_together_fail_less_often_than_both_deltas():
    """World A with 8 draws at delta = .1, delta' = .6: some samples and draws do break the certificate, far fewer than allowed."""
    from nonvacuous.proofs.pac_bayes.kl_bounds import pbb

    setting = pbb.PbbSetting(0.0, 8, 0.0, 12, math.log(10), -math.log(0.6), "one", "exact")
    found = pbb.compare_two_events(setting, pbb.predict(setting), None)
    assert found.delta == pytest.approx(0.7)
    assert found.failure == pytest.approx(0.000221367902, abs=5.1e-13)
