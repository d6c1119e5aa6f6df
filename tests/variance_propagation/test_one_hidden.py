"""The linear rule by exact enumeration, the one-hidden-layer network by quadrature, and bad input."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from nonvacuous.numerics.propagation import OneHiddenParameters, linear, propagate_one_hidden
from nonvacuous.theory.errors import InvalidInput, NumericalFailure

EPS = np.finfo(float).eps
ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "erf": special.erf}


def draw(rng, inputs=3, hidden=4, outputs=2, low=-1.5):
    shapes = ((hidden, inputs), (hidden,), (outputs, hidden), (outputs,))
    if low is None:
        return OneHiddenParameters(*(rng.uniform(0.05, 0.9, shape) for shape in shapes))
    return OneHiddenParameters(*(rng.uniform(low, 1.5, shape) for shape in shapes))


def test_linear_rule_by_enumeration_of_two_point_laws():
    # each random quantity is mean +- sd with probability 1/2: the moments of y are finite sums over 2^7 cases
    rng = np.random.default_rng(3)
    m, w, b = rng.normal(size=3), rng.normal(size=3), rng.normal()
    v, s, t = rng.uniform(0.1, 2, 3), rng.uniform(0.1, 2, 3), rng.uniform(0.1, 2)
    values = []
    for sign in itertools.product((-1, 1), repeat=7):
        x, weights = m + np.sqrt(v) * sign[:3], w + np.sqrt(s) * sign[3:6]
        values.append(weights @ x + b + np.sqrt(t) * sign[6])
    got = linear(m, v, w[None], s[None], [b], [t])
    assert got.mean[0] == pytest.approx(np.mean(values), abs=100 * EPS * np.abs(values).max())
    assert got.variance[0] == pytest.approx(np.var(values), rel=200 * EPS, abs=0)


def test_linear_rule_over_a_batch_and_a_deterministic_layer():
    rng = np.random.default_rng(0)
    w, b, m, v = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=(5, 4, 3)), rng.uniform(size=(5, 4, 3))
    got = linear(m, v, w, np.zeros_like(w), b, np.zeros(2))
    assert got.mean.shape == got.variance.shape == (5, 4, 2)
    np.testing.assert_allclose(got.variance[1, 2], np.diag(w @ np.diag(v[1, 2]) @ w.T), rtol=20 * EPS)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_hidden_layer_by_quadrature(activation):
    # given x, f = c + sum_j V_j act(Z_j) with independent terms: the moments of act(Z_j) are one-dimensional integrals
    rng = np.random.default_rng(11)
    means, variances, x = draw(rng), draw(rng, low=None), rng.normal(size=(4, 3))
    z = np.linspace(-9, 9, 3001)
    centre = x @ means.hidden_weight.T + means.hidden_bias
    spread = np.sqrt(np.square(x) @ variances.hidden_weight.T + variances.hidden_bias)
    gauss = (z[1] - z[0]) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    values = ACTIVATIONS[activation](centre[..., None] + spread[..., None] * z)
    first, second = values @ gauss, np.square(values) @ gauss
    mean = first @ means.output_weight.T + means.output_bias
    square = np.square(means.output_weight) + variances.output_weight
    variance = second @ square.T - np.square(first) @ np.square(means.output_weight).T + variances.output_bias
    got = propagate_one_hidden(x, means, variances, activation)
    # The trapezoid rule is exact to rounding for erf (analytic, mass beyond 9 sigma below 1e-18), and errs by at most
    # slope * (node distance)^2 / 8 * density for the kink of a ReLU; the scale collects what it is multiplied by.
    scale = spread.max() * np.abs(values).max() * square.sum()
    tolerance = scale * (500 * EPS if activation == "erf" else (z[1] - z[0]) ** 2 / 8)
    np.testing.assert_allclose(got.mean, mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got.variance, variance, rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_without_weight_variance_it_is_the_network(activation):
    rng = np.random.default_rng(5)
    means, x = draw(rng), rng.normal(size=(6, 3))
    zero = OneHiddenParameters(*(np.zeros_like(value) for value in vars(means).values()))
    got = propagate_one_hidden(x, means, zero, activation)
    hidden = ACTIVATIONS[activation](x @ means.hidden_weight.T + means.hidden_bias)
    np.testing.assert_allclose(got.mean, hidden @ means.output_weight.T + means.output_bias, rtol=0, atol=50 * EPS)
    np.testing.assert_array_equal(got.variance, 0)


def test_permuting_hidden_units_changes_nothing():
    rng = np.random.default_rng(8)
    means, variances, x = draw(rng), draw(rng, low=None), rng.normal(size=(2, 3))
    order = [2, 0, 3, 1]

    def permute(p):
        hidden = p.hidden_weight[order], p.hidden_bias[order]
        return OneHiddenParameters(*hidden, p.output_weight[:, order], p.output_bias)

    one = propagate_one_hidden(x, means, variances, "relu")
    two = propagate_one_hidden(x, permute(means), permute(variances), "relu")
    np.testing.assert_allclose(one.mean, two.mean, rtol=0, atol=50 * EPS * np.abs(one.mean).max())
    np.testing.assert_allclose(one.variance, two.variance, rtol=50 * EPS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, m, v: (np.full_like(x, np.nan), m, v, "relu"),
        lambda x, m, v: (x[0], m, v, "relu"),
        lambda x, m, v: (x[:, :2], m, v, "relu"),
        lambda x, m, v: (x, m, v, "cosine"),
        lambda x, m, v: (x, m, None, "relu"),
        lambda x, m, v: (x, m, replace(v, hidden_weight=-v.hidden_weight), "relu"),
        lambda x, m, v: (x, m, replace(v, output_bias=np.array([np.inf, 1.0])), "relu"),
        lambda x, m, v: (x, replace(m, output_weight=m.output_weight[:, :2]), v, "relu"),
        lambda x, m, v: (x, m, replace(v, hidden_bias=v.hidden_bias[:2]), "relu"),
    ],
)
def test_bad_input_is_refused(spoil):
    rng = np.random.default_rng(1)
    x, means, variances = rng.normal(size=(2, 3)), draw(rng), draw(rng, low=None)
    with pytest.raises(InvalidInput):
        propagate_one_hidden(*spoil(x, means, variances))


def test_overflow_is_reported():
    with pytest.raises(NumericalFailure, match="overflow"):
        linear([1e200], [0.0], [[1.0]], [[1.0]], [0.0], [0.0])
