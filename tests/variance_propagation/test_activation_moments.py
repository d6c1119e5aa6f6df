"""The activation moments against rigorous quadrature at 60 digits, their limits, their scaling laws and bad input."""

import itertools

import numpy as np
import pytest
from flint import acb, arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from nonvacuous.numerics.propagation import erf, probit, relu
from nonvacuous.theory.errors import InvalidInput

PRECISION = 240
SETTINGS = [
    (float(m), float(v))
    for v in (1e-12, 1e-4, 0.3, 1.0, 1e4)
    for m in (-1e3, -31.0, -7.5, -5.0 * np.sqrt(v), -1.1, -1e-7, 0.0, 0.4, 2.0, 6.0 * np.sqrt(v), 1e3)
]


def integral(function, low, high):
    value = acb.integral(lambda z, _: function(z), low, high, eval_limit=10**6)
    assert value.imag.contains(0)
    return value.real


def density(z):
    return (-z * z / 2).exp() / (2 * acb.pi()).sqrt()


def relu_reference(m, v):
    """E max(X, 0) and Var, integrated over the part where it is not zero, from the kink or from -18 sigma."""
    s = arb(v).sqrt()
    kink = -arb(m) / s
    start = arb(max(float(kink), -18.0)) if float(kink) <= 0 else kink
    length = 18 - start if float(kink) <= 0 else arb(min(18.0, 150 / float(kink)))
    # exp(-start^2/2) is taken out, so that far in the tail the integrand is of order one
    front = (-start * start / 2).exp() / (2 * arb.pi()).sqrt() if float(kink) > 0 else arb(1)

    def weight(u):
        return (-(u * start + u * u / 2)).exp() if float(kink) > 0 else density(start + u)

    def moment(power):
        return front * integral(lambda u: (m + s * (start + u)) ** power * weight(u), 0, length)

    mean = moment(1)
    return mean, moment(2) - mean**2


def smooth_reference(function, m, v):
    s = arb(v).sqrt()
    step = arb(max(-23.0, min(23.0, -m / float(s))))  # where a sigmoidal function turns
    pieces = [arb(-24), step - 1 / (1 + s), step, step + 1 / (1 + s), arb(24)]

    def moment(g):
        return sum((integral(g, a, b) for a, b in itertools.pairwise(pieces)), arb(0))

    mean = moment(lambda z: function(m + s * z) * density(z))
    return mean, moment(lambda z: (function(m + s * z) - mean) ** 2 * density(z))


def phi(z):
    return (-z / acb(2).sqrt()).erfc() / 2


CASES = {
    "relu": (relu, relu_reference, lambda m: max(m, 0.0)),
    "erf": (erf, lambda m, v: smooth_reference(lambda z: z.erf(), m, v), special.erf),
    "probit": (lambda m, v: probit(m, v, 0.7), lambda m, v: smooth_reference(lambda z: phi(arb(0.7) * z), m, v),
               lambda m: special.ndtr(0.7 * m)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_moments_agree_with_quadrature(name):
    shipped, reference, function = CASES[name]
    got = shipped(*np.array(SETTINGS).T)
    with ctx.workprec(PRECISION):
        for (m, v), mean, variance in zip(SETTINGS, got.mean, got.variance, strict=True):
            true_mean, true_variance = (float(part.mid()) for part in reference(m, v))
            scale = max(np.sqrt(v), abs(function(m)))
            assert abs(mean - true_mean) <= 1e-10 * abs(true_mean) + 1e-14 * scale, (m, v)
            assert abs(variance - true_variance) <= 1e-10 * true_variance + 1e-14 * v, (m, v)


@pytest.mark.parametrize("a", [-37.0, -30.0, -12.0, -6.0, -5.0, -4.999, -2.0, 0.0, 3.0, 5.0, 40.0])
def test_relu_has_relative_accuracy_in_both_tails(a):
    got = relu(a * 0.5, 0.25)
    with ctx.workprec(PRECISION):
        mean, variance = (float(part.mid()) for part in relu_reference(a * 0.5, 0.25))
    assert got.mean == pytest.approx(mean, rel=1e-12, abs=0)
    assert got.variance == pytest.approx(variance, rel=1e-12, abs=0)


@given(m=st.floats(-10, 10), v=st.floats(1e-12, 1e6))
def test_erf_variance_equals_the_closed_form_with_arcsine(m, v):
    # E erf(X)^2 at m = 0 is (2/pi) arcsin(2v/(1+2v)); for any m the second moment stays within [mean^2, 1]
    zero = erf(0.0, v)
    assert zero.variance == pytest.approx(2 / np.pi * np.arcsin(2 * v / (1 + 2 * v)), rel=1e-12, abs=0)
    got = erf(m, v)
    assert 0 <= got.variance <= 1 - got.mean**2 + 4 * np.finfo(float).eps


@given(m=st.floats(-1e3, 1e3), v=st.just(0.0) | st.floats(1e-12, 1e6), c=st.floats(1e-3, 1e3))
def test_relu_is_homogeneous(m, v, c):
    one, scaled = relu(m, v), relu(c * m, c * c * v)
    if np.sqrt(v) > 0 and m / np.sqrt(v) < -30:
        return  # there a relative rounding of a is amplified by a^2
    np.testing.assert_allclose(scaled.mean, c * one.mean, rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(scaled.variance, c * c * one.variance, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("name", CASES)
def test_no_variance_gives_the_function_itself(name):
    shipped, _, function = CASES[name]
    points = np.array([-2.0, -0.0, 0.0, 0.3, 700.0])
    got = shipped(points, np.zeros(5))
    np.testing.assert_array_equal(got.variance, 0)
    np.testing.assert_allclose(got.mean, [function(point) for point in points], rtol=1e-15)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("mean", "variance"),
    [(np.nan, 1.0), (0.0, np.nan), (np.inf, 1.0), (0.0, np.inf), (0.0, -1e-9), ([0.0, 1.0], 1.0), ("a", 1.0)],
)
def test_bad_input_is_refused(name, mean, variance):
    with pytest.raises(InvalidInput):
        CASES[name][0](mean, variance)


def test_probit_refuses_scale_zero():
    with pytest.raises(InvalidInput, match="scale"):
        probit(0.0, 1.0, 0.0)


@pytest.mark.parametrize("v", [1e-12, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize("k", [0.0, 0.7, -3.0, 6.0, -10.0, 15.0])
def test_erf_variance_has_relative_accuracy_to_fifteen_deviations(k, v):
    m = k * np.sqrt((1 + 2 * v) / 2)
    with ctx.workprec(2 * PRECISION):  # the variance is as small as 1e-110, and the quadrature's accuracy is absolute
        _, variance = smooth_reference(lambda z: z.erf(), m, v)
    # k itself is rounded: d ln Var / d ln k is at most k^2 (1 + x^2)
    rounding = 8 * np.finfo(float).eps * (1 + 2 * k**2)
    assert erf(m, v).variance == pytest.approx(float(variance.mid()), rel=1e-12 + rounding, abs=0)
