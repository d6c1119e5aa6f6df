"""One hidden layer: for independent Gaussian parameters the propagated output mean and variance are exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import sympy as sp
from jaxtyping import Float
from numpy.typing import NDArray

from ...numerics.claims import Agreement, Comparison, Formula
from ...numerics.intervals import multiplier
from ...numerics.propagation import ACTIVATIONS, Moments, OneHiddenParameters, linear, propagate_one_hidden
from ...numerics.store import Rows
from ...theory.axioms import CONDITIONING, FUBINI, GAUSSIAN_AFFINE, INDEPENDENCE, LINEARITY
from ...theory.derivation import Algebra, Axiom
from ...theory.statements.variance_propagation import ONE_HIDDEN_EXACT
from ..result import ByBudget, Check, Control, Result, Run

EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class OneHiddenSetting:
    """Inputs, and mean and variance of every parameter of f(x) = V act(W x + b) + c."""

    x: Float[NDArray[np.float64], "batch inputs"]
    hidden_weight: Float[NDArray[np.float64], "hidden inputs"]
    hidden_bias: Float[NDArray[np.float64], " hidden"]
    output_weight: Float[NDArray[np.float64], "outputs hidden"]
    output_bias: Float[NDArray[np.float64], " outputs"]
    hidden_weight_variance: Float[NDArray[np.float64], "hidden inputs"]
    hidden_bias_variance: Float[NDArray[np.float64], " hidden"]
    output_weight_variance: Float[NDArray[np.float64], "outputs hidden"]
    output_bias_variance: Float[NDArray[np.float64], " outputs"]
    activation: Literal["relu", "erf"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]
M, A, K, Z = sp.symbols("m a k z", real=True)
S = sp.Symbol("s", positive=True)


def normal_density(z: Any) -> Any:
    return sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)


def normal_cdf(z: Any) -> Any:
    return (1 + sp.erf(z / sp.sqrt(2))) / 2


def product_of_independents() -> Equations:
    """Var(w h) from E w = w, E w^2 = w^2 + S, E h = m, E h^2 = m^2 + v; and Cov(w h, w' h') for independent w, w', h, h'."""
    w, other, m, n = sp.symbols("w w2 m n", real=True)
    spread, v = sp.symbols("S v", positive=True)
    variance = (w**2 + spread) * (m**2 + v) - (w * m) ** 2
    return [(variance, w**2 * v + spread * (m**2 + v)), (w * other * m * n - (w * m) * (other * n), 0)]


def relu_antiderivatives() -> Equations:
    """(m + s z)^p phi(z) for p = 1, 2 has the antiderivative used below: its derivative is the integrand."""
    first = M * normal_cdf(Z) - S * normal_density(Z)
    second = (M**2 + S**2) * normal_cdf(Z) - S * (2 * M + S * Z) * normal_density(Z)
    return [(sp.diff(f, Z), (M + S * Z) ** p * normal_density(Z)) for p, f in ((1, first), (2, second))]


def relu_moments() -> Equations:
    """From z = -a to infinity, with P = Phi(a), q = phi(a), m = a s: the mean is s (a P + q), the variance v [P - h(a) h(-a)]."""
    p, q = sp.symbols("P q", positive=True)
    mean = A * S - (A * S * (1 - p) - S * q)
    square = (A**2 + 1) * S**2 - ((A**2 + 1) * S**2 * (1 - p) - S * (2 * A * S - A * S) * q)
    h, minus = A * p + q, -A * (1 - p) + q
    return [(mean, S * h), (square - mean**2, S**2 * (p - h * minus))]


def plackett() -> Equations:
    """The standard bivariate density g(x, y; r) has dg/dr = d^2 g/dx dy, so d P(X <= k, Y <= k)/dr = g(k, k; r)."""
    x, y = sp.symbols("x y", real=True)
    r = sp.Symbol("r", positive=True)
    density = sp.exp(-(x**2 - 2 * r * x * y + y**2) / (2 * (1 - r**2))) / (2 * sp.pi * sp.sqrt(1 - r**2))
    diagonal = sp.exp(-(K**2) / (1 + r)) / (2 * sp.pi * sp.sqrt(1 - r**2))
    ratio = sp.simplify(sp.diff(density, r) / density), sp.simplify(sp.diff(density, x, y) / density)
    return [ratio, (sp.simplify(density.subs({x: K, y: K}) / diagonal), 1)]


def erf_variance() -> Equations:
    """The substitution t = (1-x^2)/(1+x^2) in int_0^r g(k, k; t) dt; its end point for r = u/(1+u) is x^2 = 1/(1+2u)."""
    x, u = sp.symbols("x u", positive=True)
    t = (1 - x**2) / (1 + x**2)
    stretch = -sp.diff(t, x) / (2 * sp.pi * (2 * x / (1 + x**2)))  # dt / (2 pi sqrt(1 - t^2))
    exponent = -(K**2) / (1 + t)
    return [
        (1 - t**2, (2 * x / (1 + x**2)) ** 2),
        (stretch, 1 / (sp.pi * (1 + x**2))),
        (exponent, -(K**2) * (1 + x**2) / 2),
        (t.subs(x, 1 / sp.sqrt(1 + 2 * u)), u / (1 + u)),
    ]


DERIVATION = (
    Axiom(GAUSSIAN_AFFINE, "For fixed x, z_j = W_j.x + b_j is N(m_j, v_j); different j use different, independent parameters."),
    Axiom(INDEPENDENCE, "So the act(z_j) are independent of one another and of V and c."),
    Axiom(LINEARITY, "E f_o and Var f_o are sums over j, plus the covariances of different terms V_oj act(z_j)."),
    Algebra("A product of independents has variance w^2 v + S (m^2 + v); different terms are uncorrelated.", product_of_independents),
    Algebra("ReLU: antiderivatives of (m + s z)^p phi(z).", relu_antiderivatives),
    Algebra("ReLU: M = s h(a) and Q = v [Phi(a) - h(a) h(-a)].", relu_moments),
    Axiom(CONDITIONING, "Phi(l X) = P(Y <= l X | X) for an independent N(0,1) Y, and Phi(l X)^2 = P(Y <= l X, Y' <= l X | X)."),
    Axiom(FUBINI, "So E Phi(l X) = Phi(k), k = l m/sqrt(1 + u), u = l^2 v, and the variance of Phi(l X) is that of an orthant, "
          "P(Y-l(X-m) <= l m, Y'-l(X-m) <= l m) with correlation u/(1+u), minus its value at correlation 0."),
    Algebra("The orthant's derivative in the correlation is the bivariate density.", plackett),
    Algebra("erf(x) = 2 Phi(sqrt(2) x) - 1, so u = 2v: Q is 4 times the integral over x from 1/sqrt(1+4v) to 1.", erf_variance),
)  # fmt: skip


# --- prediction ---------------------------------------------------------------------------------------------------


def predict(setting: OneHiddenSetting) -> Moments:
    """Mean and variance of every output at every input."""
    s = setting
    means = OneHiddenParameters(s.hidden_weight, s.hidden_bias, s.output_weight, s.output_bias)
    variances = OneHiddenParameters(
        s.hidden_weight_variance, s.hidden_bias_variance, s.output_weight_variance, s.output_bias_variance
    )
    return propagate_one_hidden(s.x, means, variances, s.activation)


# --- wrong variants -----------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {  # with derivatives
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.heaviside(z, 0.5)),
    "erf": (lambda z: np.vectorize(sp_erf)(z), lambda z: 2 / np.sqrt(np.pi) * np.exp(-np.square(z))),
}


def sp_erf(z: float) -> float:
    import math

    return math.erf(z)


def hidden_layer(s: OneHiddenSetting) -> tuple[Moments, Moments]:
    zero = np.zeros_like(s.x)
    before = linear(s.x, zero, s.hidden_weight, s.hidden_weight_variance, s.hidden_bias, s.hidden_bias_variance)
    return before, ACTIVATIONS[s.activation](before.mean, before.variance)


def output_layer(s: OneHiddenSetting, after: Moments) -> Moments:
    return linear(
        after.mean, after.variance, s.output_weight, s.output_weight_variance, s.output_bias, s.output_bias_variance
    )


def linearised(s: OneHiddenSetting) -> Moments:
    """vp.linearised: mean f(m), variance f'(m)^2 v."""
    before, _ = hidden_layer(s)
    function, slope = FUNCTIONS[s.activation]
    return output_layer(s, Moments(function(before.mean), slope(before.mean) ** 2 * before.variance))


def delta_mean(s: OneHiddenSetting) -> Moments:
    before, after = hidden_layer(s)
    return output_layer(s, Moments(FUNCTIONS[s.activation][0](before.mean), after.variance))


def hidden_variance_dropped(s: OneHiddenSetting) -> Moments:
    _, after = hidden_layer(s)
    return output_layer(s, Moments(after.mean, np.zeros_like(after.variance)))


def product_term_dropped(s: OneHiddenSetting) -> Moments:
    _, after = hidden_layer(s)
    exact = output_layer(s, after)
    return Moments(exact.mean, exact.variance - after.variance @ s.output_weight_variance.T)


def bias_variance_dropped(s: OneHiddenSetting) -> Moments:
    zero = np.zeros_like
    return predict(
        replace(s, hidden_bias_variance=zero(s.hidden_bias), output_bias_variance=zero(s.output_bias))
    )


WRONG = {
    "activation linearised: f(m), f'(m)^2 v": linearised,
    "mean of the activation replaced by f(m)": delta_mean,
    "variance of the hidden layer dropped": hidden_variance_dropped,
    "S m^2 in place of S (m^2 + v)": product_term_dropped,
    "variance of the biases dropped": bias_variance_dropped,
}


# --- checks -------------------------------------------------------------------------------------------------------


def sample_networks(s: OneHiddenSetting, run: Run, shared_bias: bool = False) -> Mapping[str, Any]:
    """E f and E f^2 over random networks, one row for each independent scramble of a Sobol sequence.

    Hidden weights and biases are drawn; then every combination of mean +- standard deviation of the output layer's
    parameters is evaluated. f^2 is of degree two in each of these, where two such points integrate a Gaussian exactly,
    so this is the average over the whole network's weights, with no formula for a variance in it.
    """
    from scipy import special
    from scipy.stats import qmc

    act = {"relu": lambda z: np.maximum(z, 0.0), "erf": special.erf}[s.activation]
    hidden, inputs = s.hidden_weight.shape
    first, second = [], []
    for scramble in np.random.SeedSequence(run.seed).spawn(run.block["scrambles"]):
        sobol = qmc.Sobol(hidden * (inputs + 1), rng=np.random.default_rng(scramble))
        z = special.ndtri(sobol.random_base2(run.block["log2_points"])).reshape(-1, hidden, inputs + 1)
        weight = s.hidden_weight + np.sqrt(s.hidden_weight_variance) * z[:, :, :-1]
        noise = z[:, :1, -1] if shared_bias else z[:, :, -1]
        bias = s.hidden_bias + np.sqrt(s.hidden_bias_variance) * noise
        values = act(np.einsum("nhi,bi->nbh", weight, s.x) + bias[:, None])
        signs = list(itertools.product((-1.0, 1.0), repeat=hidden + 1))
        moments = np.zeros((2, len(s.x), len(s.output_bias)))
        for *of_weights, of_bias in signs:
            outer = s.output_weight + np.sqrt(s.output_weight_variance) * np.array(of_weights)
            f = values @ outer.T + s.output_bias + np.sqrt(s.output_bias_variance) * of_bias
            moments += np.stack([f.mean(axis=0), np.square(f).mean(axis=0)]) / len(signs)
        first.append(moments[0].ravel())
        second.append(moments[1].ravel())
    return {"first": np.array(first), "second": np.array(second)}


def sample_with_one_bias(s: OneHiddenSetting, run: Run) -> Mapping[str, Any]:
    """The same marginals, but all hidden units share one random bias: the posterior does not factorise."""
    return sample_networks(s, run, shared_bias=True)


def against_sampling(s: OneHiddenSetting, prediction: Moments, rows: Rows) -> Comparison:
    """Student intervals over the scrambles, for all means (in units of the output's spread) and variances together.

    The estimated variance, mean of f^2 minus the square of the mean, has the linearised error of `second - 2 mean first`
    and a bias of minus the squared error of the mean, which is added to its bound.
    """
    count = len(rows["first"])
    mean = rows["first"].mean(axis=0)
    variance = rows["second"].mean(axis=0) - mean**2
    z = multiplier(2 * mean.size, degrees=count - 1)
    mean_bound = z * rows["first"].std(axis=0, ddof=1) / np.sqrt(count)
    variance_bound = z * (rows["second"] - 2 * mean * rows["first"]).std(axis=0, ddof=1) / np.sqrt(count)
    return Comparison(
        np.concatenate([mean, variance]),
        np.concatenate([prediction.mean.ravel(), prediction.variance.ravel()]),
        np.concatenate([mean_bound, variance_bound + mean_bound**2]),
        np.concatenate([np.sqrt(variance), variance]),
    )


def random_setting(rng: np.random.Generator) -> OneHiddenSetting:
    inputs, hidden, outputs = (int(rng.integers(1, 4)) for _ in range(3))
    shapes = (hidden, inputs), (hidden,), (outputs, hidden), (outputs,)
    means = [rng.uniform(-2, 2, shape) for shape in shapes]
    variances = [np.exp(rng.uniform(-7, 0.5, shape)) for shape in shapes]
    return OneHiddenSetting(rng.normal(size=(2, inputs)), *means, *variances, rng.choice(["relu", "erf"]).item())
