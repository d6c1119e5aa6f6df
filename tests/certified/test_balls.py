"""The ground truth against second routes: mpmath's root finder, plain rational sums, defining equations."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import pytest
from flint import arb, ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from nonvacuous.theory.balls import (
    binary_kl_ball,
    cgf_exponential_ball,
    inverse_rate_exponential_ball,
    kl_lower_ball,
    kl_upper_ball,
    maurer_xi_ball,
    rate_exponential_ball,
    xi_exact,
)
from nonvacuous.theory.balls.context import refine
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

inner = st.floats(1e-6, 1 - 1e-6)


def as_mpmath(ball: arb) -> mpmath.mpf:
    mantissa, exponent = ball.mid().man_exp()
    return mpmath.mpf(int(mantissa)) * mpmath.mpf(2) ** int(exponent)


@settings(max_examples=25)
@given(q=inner, c=st.floats(-10, 1).map(lambda e: 10.0**e))
def test_kl_inverse_against_mpmath(q: float, c: float) -> None:
    """Bisection on the definition with mpmath's logarithms at 80 digits: the enclosures' 60 digits are common."""
    with mpmath.workdps(80):
        x, nearly = mpmath.mpf(q), mpmath.mpf(10) ** -9

        def excess(p: mpmath.mpf) -> mpmath.mpf:
            return x * mpmath.log(x / p) + (1 - x) * mpmath.log((1 - x) / (1 - p)) - c

        for end, ball in ((1 - nearly, kl_upper_ball(q, c).p), (nearly, kl_lower_ball(q, c).p)):
            if excess(end) > 0:  # else the root lies beyond `end`
                root = mpmath.findroot(excess, (x, end), solver="bisect", maxsteps=400, tol=1e-150)
                assert abs(as_mpmath(ball) - root) < mpmath.mpf(10) ** -60 * root


@given(q=st.floats(0, 1), c=st.floats(-300, 6).map(lambda e: 10.0**e))
def test_defining_equation(q: float, c: float) -> None:
    """kl(q||p) at the ends of the enclosure of p brackets c, and each field is consistent with the others and narrow."""
    for result, other in ((kl_upper_ball(q, c), 1), (kl_lower_ball(q, c), 0)):
        for ball in vars(result).values():
            assert ball.is_exact() or ball.rel_accuracy_bits() >= 199
        with ctx.workprec(4000):
            edge = q == other
            x = arb(q)
            assert (result.p + result.complement).overlaps(arb(1))
            assert (x + result.gap).overlaps(result.p)
            if not edge and 0 < q < 1 and result.p.rel_accuracy_bits() < 10**6:
                kl = x * (x / result.p).log() + (1 - x) * ((1 - x) / result.complement).log()
                assert kl.overlaps(arb(c))
            if result.complement > 0:
                assert result.complement.log().overlaps(result.log_complement)


def test_edges_of_the_inverse() -> None:
    zero = kl_upper_ball(0, 2)
    with ctx.workprec(300):
        assert zero.p.overlaps(-arb(-2).expm1())
        assert zero.log_complement.overlaps(arb(-2))
    assert kl_upper_ball(1, 0.3).p == 1
    assert kl_upper_ball(0.3, math.inf).p == 1
    assert kl_lower_ball(0.3, math.inf).p == 0
    assert kl_upper_ball(0.25, 0).p == 0.25
    assert kl_upper_ball(0.25, 0).gap == 0
    assert kl_lower_ball(0, 5.0).p == 0
    # next to one only the complement says where p is
    near = kl_upper_ball(1.0, 1.0, q_complement=1e-300)
    assert near.complement < 1e-300
    assert near.complement > 0
    assert near.p > 0.99


def test_pair_is_defined_by_its_smaller_member() -> None:
    assert kl_upper_ball(1.0, 0.1, q_complement=1e-20).complement < 1e-20
    assert kl_upper_ball(1e-20, 0.1, q_complement=1.0).p.overlaps(kl_upper_ball(1e-20, 0.1).p)
    with pytest.raises(InvalidInput):
        kl_upper_ball(0.3, 0.1, q_complement=0.6)


@given(q=inner, p=inner)
def test_divergence_against_mpmath(q: float, p: float) -> None:
    ball = binary_kl_ball(q, p)
    with mpmath.workdps(120):
        x, y = mpmath.mpf(q), mpmath.mpf(p)
        exact = x * mpmath.log(x / y) + (1 - x) * mpmath.log((1 - x) / (1 - y))
        assert abs(as_mpmath(ball) - exact) <= mpmath.mpf(10) ** -60 * exact


def test_divergence_at_the_edges() -> None:
    assert binary_kl_ball(0, 0) == 0
    assert binary_kl_ball(0.3, 0.3) == 0
    assert not binary_kl_ball(0.3, 0).is_finite()
    assert not binary_kl_ball(0.3, 1).is_finite()
    tiny = binary_kl_ball(1.0, 1.0, q_complement=1e-300, p_complement=2e-300)
    with ctx.workprec(300):  # (1-q)(1 - ln 2) up to a relative 1e-300, given with 60 digits
        assert abs(tiny / arb(1e-300) - (1 - arb(2).log())) < 1e-60


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 10, 50, 100, 300])
def test_xi_three_ways(n: int) -> None:
    """Defining sum, Ramanujan's Q function, incomplete gamma function."""
    q_function, term = Fraction(0), Fraction(1)
    for k in range(1, n + 1):
        q_function += term
        term *= 1 - Fraction(k, n)
    direct = sum(math.comb(n, k) * Fraction(k, n) ** k * Fraction(n - k, n) ** (n - k) for k in range(n + 1))
    assert xi_exact(n) == direct == 1 + q_function
    exact = xi_exact(n)
    with ctx.workprec(400):
        assert maurer_xi_ball(n, 80).overlaps(arb(fmpq(exact.numerator, exact.denominator)))


@pytest.mark.parametrize("n", [10**4, 10**6, 10**12, 10**18])
def test_xi_against_its_integral(n: int) -> None:
    """xi(n) = int_0^inf (1 + t/n)^n exp(-t) dt, by Gauss-Legendre quadrature in t = sqrt(n) s with mpmath."""
    with mpmath.workdps(60):
        root = mpmath.sqrt(n)

        def integrand(s: mpmath.mpf) -> mpmath.mpf:
            return mpmath.exp(n * mpmath.log1p(s / root) - root * s)

        with mpmath.extradps(25):
            integral = root * mpmath.quad(integrand, [0, 1, 2, 4, 6, 8, 10, 12, 15])
        # the tail beyond s = 15 is below exp(-15^2/2.4) < 1e-40 of the whole
        assert abs(as_mpmath(maurer_xi_ball(n)) / integral - 1) < mpmath.mpf(10) ** -38


@given(s=st.floats(-300, 2.9).map(lambda e: 10.0**e))
def test_exponential_rate_of_the_inverse_rate(s: float) -> None:
    """I(I^-1(s)) = s by evaluating the rate function on the ball that Lambert's W gave."""
    x = inverse_rate_exponential_ball(s, 1, digits=400) if s < 1 else inverse_rate_exponential_ball(s, 1, digits=900)
    with ctx.workprec(3300):
        assert (-x - (-x).log1p()).overlaps(arb(s))
        assert x > 0
        assert x < 1


def test_exponential_closed_forms_by_quadrature() -> None:
    """J(lam) = ln E exp(lam (b - X)) by integration, and I(a) = lam a - J(lam) at the stationary lam."""
    with mpmath.workdps(40):
        b, lam = mpmath.mpf(2), mpmath.mpf(3) / 4
        mgf = mpmath.quad(lambda x: mpmath.exp(lam * (b - x) - x / b) / b, [0, 1, 4, mpmath.inf])
        assert abs(as_mpmath(cgf_exponential_ball(0.75, 2)) - mpmath.log(mgf)) < mpmath.mpf(10) ** -35
        a = b * b * lam / (1 + b * lam)  # J'(lam)
        rate = rate_exponential_ball(Fraction(6, 5), 2)
        assert abs(a - mpmath.mpf(6) / 5) < mpmath.mpf(10) ** -38
        assert abs(as_mpmath(rate) - (lam * a - mpmath.log(mgf))) < mpmath.mpf(10) ** -35


def test_exponential_edges() -> None:
    assert cgf_exponential_ball(0, 2) == 0
    assert rate_exponential_ball(-1, 2) == 0
    assert not rate_exponential_ball(2, 2).is_finite()
    assert inverse_rate_exponential_ball(0, 2) == 0
    assert inverse_rate_exponential_ball(math.inf, 2) == 2


@pytest.mark.parametrize("digits", [5, 30, 200])
def test_precision_argument_is_honoured_and_global_precision_restored(digits: int) -> None:
    before = ctx.prec
    bits = math.floor(digits * math.log2(10))
    for ball in (
        maurer_xi_ball(1000, digits),
        binary_kl_ball(0.3, 0.4, digits=digits),
        kl_upper_ball(0.3, 1e-200, digits=digits).gap,
        inverse_rate_exponential_ball(1e-50, 1, digits=digits),
    ):
        assert ball.rel_accuracy_bits() >= bits
    with pytest.raises(NumericalFailure):
        refine(lambda: arb(2).sqrt() - arb(2).sqrt(), digits)
    assert ctx.prec == before


def test_bad_input() -> None:
    for call in (
        lambda: kl_upper_ball(1.5, 1),
        lambda: kl_upper_ball(0.5, -1),
        lambda: kl_upper_ball(math.nan, 1),
        lambda: kl_upper_ball(0.5, math.nan),
        lambda: binary_kl_ball(0.5, 2),
        lambda: kl_upper_ball(0.5, 1, digits=0),
        lambda: maurer_xi_ball(0),
        lambda: xi_exact(0),
        lambda: cgf_exponential_ball(-1),
        lambda: rate_exponential_ball(0.5, 0),
        lambda: inverse_rate_exponential_ball(math.nan),
    ):
        with pytest.raises(InvalidInput):
            call()
