"""Orders and identities between the relaxations (E3, E4, E13), at random and at worked numbers."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonvacuous import bounds
from nonvacuous.numerics.bounds.catoni import catoni_lower, catoni_upper
from nonvacuous.numerics.bounds.relaxations import best_gamma, best_lambda, bound_slope
from nonvacuous.numerics.bounds.seeger import complexity
from nonvacuous.numerics.certified import kl_lower, kl_upper

rates = st.floats(math.log(1e-16), math.log(50)).map(math.exp)
risks = st.one_of(st.just(0.0), st.floats(1e-290, 1))  # the plain float forms below lose subnormal products
ROUND = 1e-14


@given(risks, rates)
def test_e3_inverse_below_quadratic_below_linear(q, c):
    form = q + c + math.sqrt(c * c + 2 * q * c)
    up, low = float(kl_upper(q, c)), float(kl_lower(q, c))
    assert up <= form * (1 + ROUND)
    assert form <= (q + math.sqrt(2 * q * c) + 2 * c) * (1 + ROUND)
    assert up <= (q + math.sqrt(c / 2)) * (1 + ROUND)
    assert low >= q - math.sqrt(c / 2) - ROUND
    assert low >= q - math.sqrt(2 * q * c) - ROUND * q
    for gamma in (0.1, 1.0, 1.9):
        assert low >= (1 - gamma / 2) * q - c / gamma - ROUND * (q + c / gamma)


@given(risks, st.floats(0, 1e4), st.integers(1, 10**7), st.floats(0.01, 700))
def test_e3_the_best_lambda_gives_the_quadratic_form(risk, kl, n, level):
    given_ = {"risk": risk, "kl": kl, "n": n, "log_inv_delta": level}
    quad, best = bounds.quad(**given_), bounds.thiemann_lambda(**given_)
    assert best.raw == pytest.approx(quad.raw, rel=1e-14, abs=0)
    assert best.lower == pytest.approx(quad.lower, rel=1e-12, abs=1e-15 * (1 + risk))
    for lam in (0.05, 0.5, 1.0, 1.5, 1.99):
        assert bounds.thiemann_lambda(**given_, lam=lam).raw >= quad.raw * (1 - ROUND)
    for gamma in (0.05, 0.5, 1.0, 5.0):
        assert bounds.thiemann_lambda(**given_, gamma=gamma).lower <= quad.lower * (1 + ROUND) + 1e-15


def test_the_identity_to_forty_digits():
    with mpmath.workdps(60):
        for q, c in ((0.05, 0.02714), (0.3, 1e-12), (1e-9, 0.4), (0.9, 3.0)):
            q, c = mpmath.mpf(q), mpmath.mpf(c)
            lam = 2 / (mpmath.sqrt(2 * q / c + 1) + 1)
            value = q / (1 - lam / 2) + c / (lam * (1 - lam / 2))
            assert abs(value / (mpmath.sqrt(q + c / 2) + mpmath.sqrt(c / 2)) ** 2 - 1) < mpmath.mpf(10) ** -40


@given(st.floats(1e-3, 1), st.floats(1e-3, 10))
def test_the_best_parameters_are_stationary(q, c):
    lam, gamma = best_lambda(q, c), best_gamma(q, c)
    assert 0 < lam <= 1
    assert bound_slope(q, c, lam) == pytest.approx(0.0, abs=1e-11 * (q + c / lam**2))
    step = 1e-6 * lam
    slope = ((q + c / (lam + step)) / (1 - (lam + step) / 2) - (q + c / lam) / (1 - lam / 2)) / step
    assert bound_slope(q, c, lam + step / 2) == pytest.approx(slope, abs=1e-4 * (q + c / lam**2))
    assert -q / 2 + c / gamma**2 == pytest.approx(0.0, abs=1e-12 * q)


@given(
    risks,
    st.floats(0, 1e4),
    st.integers(1, 10**7),
    st.floats(0.01, 700),
    st.floats(math.log(1e-8), math.log(100)).map(math.exp),
)
def test_e4_catoni_never_below_the_envelope(risk, kl, n, level, beta):
    given_ = {"risk": risk, "kl": kl, "n": n, "log_inv_delta": level}
    envelope = bounds.small_data_envelope(**given_)
    assert envelope <= float(kl_upper(risk, (kl + level) / n))
    assert bounds.catoni(**given_, beta=beta).raw >= envelope
    assert bounds.catoni_grid(**given_, betas=(beta, 2 * beta)).raw >= envelope
    assert bounds.catoni_continuous(**given_).raw >= envelope
    assert bounds.catoni_uniform(**given_, beta=beta).raw >= float(kl_upper(risk, complexity(kl, n, level))) * (
        1 - 1e-13
    )


@pytest.mark.parametrize(("q", "c"), [(0.1, 0.05), (1e-3, 0.2), (0.4, 1e-4), (0.45, 2.0)])
def test_e4_equality_at_the_best_beta(q, c):
    with mpmath.workdps(50):
        low, high = mpmath.mpf(q), mpmath.mpf(1)
        exact = lambda p: q * mpmath.log(q / p) + (1 - mpmath.mpf(q)) * mpmath.log((1 - mpmath.mpf(q)) / (1 - p))  # noqa: E731
        for _ in range(180):
            middle = (low + high) / 2
            low, high = (middle, high) if exact(middle) <= c else (low, middle)
        beta = mpmath.log(low * (1 - mpmath.mpf(q)) / (q * (1 - low)))
        value = (1 - mpmath.exp(-beta * q - c)) / (1 - mpmath.exp(-beta))
        assert abs(value - low) < mpmath.mpf(10) ** -38
        assert catoni_upper(float(beta), q, c) == pytest.approx(float(low), rel=1e-13, abs=0)
        assert float(low) == pytest.approx(float(kl_upper(q, c)), rel=1e-13, abs=0)


def test_catoni_limits():
    """beta -> 0: A/beta; large exponents: the numerator is 1."""
    for beta in (1e-8, 1e-12, 1e-100, 1e-290):
        assert catoni_upper(beta, 0.5, beta * 0.2) == pytest.approx(0.7, rel=1e-8, abs=0)
    assert catoni_upper(1e-310, 0.5, 1.0) == math.inf
    assert catoni_upper(800.0, 1.0, 0.0) == pytest.approx(1.0, rel=1e-15, abs=0)
    assert catoni_upper(1.0, 0.5, 1e4) == pytest.approx(1 / -math.expm1(-1.0), rel=1e-15, abs=0)
    assert catoni_lower(1e4, 0.5, 1.0) == 0.0  # e^-5000 is below every float
    assert catoni_lower(1e4, 1.0, 1.0) == pytest.approx(math.exp(-1.0), rel=1e-12, abs=0)
    assert catoni_lower(1.0, 0.5, 0.5) == 0.0
    assert catoni_lower(1.0, 0.5, 0.6) == 0.0


@given(st.integers(2, 10**9), st.floats(0, 1e4), st.floats(1e-9, 700), risks)
def test_e13_the_exponent_n_minus_one_costs(n, kl, level, risk):
    dear = (kl + math.log(n) + level) / (n - 1)
    assert dear >= complexity(kl, n, level) * (1 - 1e-14)
    assert float(kl_upper(risk, dear)) >= float(kl_upper(risk, complexity(kl, n, level))) * (1 - 1e-13)


def test_order_of_the_published_example():
    given_ = {"risk": 0.0155, "kl": 73.2, "n": 30_000, "delta": 0.025}
    chain = [
        bounds.small_data_envelope(**given_),
        bounds.seeger_kl(**given_).value,
        bounds.quad(**given_).value,
        bounds.mcallester(**given_).value,
        bounds.mcallester(**given_, constant="2sqrt").value,
        bounds.mcallester(**given_, constant="hybrid").value,
        bounds.mcallester(**given_, constant="2003").value,
        bounds.mcallester(**given_, constant="1999").value,
    ]
    assert chain == sorted(chain)
    assert len(set(chain)) == len(chain)


@given(st.integers(2, 10**9), st.floats(0, 1e5), st.floats(1e-6, 700))
def test_the_exact_constant_is_the_narrowest(n, kl, level):
    widths = {
        c: bounds.mcallester(risk=0.0, kl=kl, n=n, log_inv_delta=level, constant=c).raw
        for c in ("exact", "2sqrt", "1999", "2003", "hybrid")
    }
    assert min(widths.values()) >= widths["exact"] * (1 - 1e-15)
    assert widths["hybrid"] <= widths["2003"] * (1 + 1e-15)


def test_slope_of_mcallesters_bound_in_kl():
    """dB/dK = 1/(4 n sqrt(.))."""
    n, level, kl, step = 1000, 3.0, 20.0, 1e-4
    value = lambda k: bounds.mcallester(risk=0.1, kl=k, n=n, log_inv_delta=level).raw  # noqa: E731
    root = value(kl) - 0.1
    assert (value(kl + step) - value(kl - step)) / (2 * step) == pytest.approx(1 / (4 * n * root), rel=1e-6, abs=0)


def test_alternating_minimisation_minimises_the_quadratic_form():
    rng = np.random.default_rng(3)
    for _ in range(6):
        risks_, prior = rng.uniform(0, 0.5, 6), rng.dirichlet(np.ones(6))
        n = int(10 ** rng.uniform(1.5, 3))
        found = bounds.alternate_lambda(risks=risks_, prior=prior, n=n, delta=0.05)
        assert (np.diff(found.bounds) <= 1e-15).all()
        assert abs(found.gradient) < 1e-6
        quad = bounds.quad(risk=found.risk, kl=found.kl, n=n, delta=0.05).raw
        assert found.bounds[-1] == pytest.approx(quad, rel=1e-13, abs=0)
        # against a fine grid of Gibbs posteriors: the minimum over all Q lies on this path
        others = []
        for lam in np.linspace(0.02, 1.98, 400):
            gibbs = bounds.gibbs_posterior(losses=risks_, prior=prior, beta=lam * n)
            others.append(bounds.quad(risk=gibbs.mean, kl=gibbs.kl, n=n, delta=0.05).raw)
        starts = [
            bounds.alternate_lambda(risks=risks_, prior=prior, n=n, delta=0.05, lam=x).bounds[-1]
            for x in (0.1, 0.5, 1.9)
        ]
        assert min(starts) <= min(others) * (1 + 1e-12)
        assert quad <= bounds.quad(risk=float(prior @ risks_), kl=0.0, n=n, delta=0.05).raw * (1 + 1e-12)


@pytest.mark.parametrize("bad", [{"risks": []}, {"risks": [0.1, 1.2]}, {"lam": 0.0}, {"lam": -1.0}, {"n": 0}, {"prior": [1.0]}, {"prior": [0.0, 0.0]}, {"delta": 1.0}, {"steps": 0}])  # fmt: skip
def test_training_refuses(bad):
    from nonvacuous.errors import InvalidInput

    with pytest.raises(InvalidInput):
        bounds.alternate_lambda(**{"risks": [0.1, 0.2], "n": 50, "delta": 0.1, **bad})


@given(risks, st.floats(0, 1e3), st.integers(10, 10**7), st.floats(0.01, 100))
def test_the_best_beta_in_floats_gives_the_kl_bound(risk, kl, n, level):
    """The search for the best beta of either sign ends at UP and LO: of second order in the error of beta."""
    given_ = {"risk": risk, "kl": kl, "n": n, "log_inv_delta": level}
    uniform, kl_bound = bounds.catoni_uniform(**given_), bounds.seeger_kl(**given_)
    assert uniform.value == pytest.approx(kl_bound.value, rel=1e-9, abs=0)
    if kl_bound.lower > 1e-3:
        assert uniform.lower == pytest.approx(kl_bound.lower, rel=1e-9, abs=0)
