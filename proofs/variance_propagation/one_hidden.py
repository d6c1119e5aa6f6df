"""One hidden layer: for independent Gaussian parameters the propagated output mean and variance are exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import special

from ...numerics.claims import Agreement, Comparison, Formula
from ...numerics.intervals import multiplier
from ...numerics.propagation import ACTIVATIONS, Moments, OneHiddenParameters, linear, propagate_one_hidden
from ...numerics.store import Rows
from ...theory.axioms import CONDITIONING, FUBINI, GAUSSIAN_AFFINE, INDEPENDENCE, LINEARITY
from ...theory.balls.gaussian_activation import MOMENTS
from ...theory.derivation import Algebra, Axiom
from ...theory.statements.variance_propagation import ONE_HIDDEN_EXACT
from ..result import ByBudget, Check, Control, Result
from .random_networks import sample_networks, sample_with_one_bias

EPS = float(np.finfo(np.float64).eps)


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


def product_of_independents() -> list[tuple[Any, Any]]:
    import sympy as sp

    w, m = sp.symbols("w m", real=True)
    spread, v, covariance = sp.symbols("S v c", real=True)
    variance = (w**2 + spread) * (m**2 + v) - (w * m) ** 2  # E w^2 E h^2 - (E w E h)^2
    w2, m2 = sp.symbols("w2 m2", real=True)
    mixed = w * w2 * (m * m2 + covariance) - (w * m) * (w2 * m2)  # E w E w2 E h h2 - E w E h E w2 E h2
    return [(variance, w**2 * v + spread * (m**2 + v)), (mixed, w * w2 * covariance)]


def relu_antiderivatives() -> list[tuple[Any, Any]]:
    import sympy as sp

    m, z, s = sp.symbols("m z s", real=True)
    density, cdf = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi), (1 + sp.erf(z / sp.sqrt(2))) / 2
    first = m * cdf - s * density
    second = (m**2 + s**2) * cdf - s * (2 * m + s * z) * density
    return [(sp.diff(f, z), (m + s * z) ** p * density) for p, f in ((1, first), (2, second))]


def relu_moments() -> list[tuple[Any, Any]]:
    import sympy as sp

    a, p, q = sp.symbols("a P q", real=True)  # P = Phi(a), q = phi(a); at z = -a: Phi = 1 - P, phi = q
    s = sp.Symbol("s", positive=True)
    m = a * s
    mean = m - (m * (1 - p) - s * q)
    square = (m**2 + s**2) - ((m**2 + s**2) * (1 - p) - s * (2 * m - s * a) * q)
    h, minus = a * p + q, -a * (1 - p) + q
    return [(mean, s * h), (square - mean**2, s**2 * (p - h * minus))]


def orthant_derivative() -> list[tuple[Any, Any]]:
    import sympy as sp

    x, y, k = sp.symbols("x y k", real=True)
    r = sp.Symbol("r", positive=True)
    exponent = -(x**2 - 2 * r * x * y + y**2) / (2 * (1 - r**2))
    log_density = exponent - sp.log(1 - r**2) / 2
    # g = e^L: dg/dr = L_r g and d^2 g/dx dy = (L_xy + L_x L_y) g
    mixed = sp.diff(log_density, x, y) + sp.diff(log_density, x) * sp.diff(log_density, y)
    return [(sp.diff(log_density, r), mixed), (exponent.subs({x: k, y: k}), -(k**2) / (1 + r))]


def erf_variance() -> list[tuple[Any, Any]]:
    import sympy as sp

    x, u = sp.symbols("x u", positive=True)
    k = sp.Symbol("k", real=True)
    t = (1 - x**2) / (1 + x**2)
    root = 2 * x / (1 + x**2)
    return [
        (1 - t**2, root**2),
        (-sp.diff(t, x) / root, 2 / (1 + x**2)),
        (k**2 / (1 + t), k**2 * (1 + x**2) / 2),
        (t.subs(x, 1 / sp.sqrt(1 + 2 * u)), u / (1 + u)),
    ]


_BELOW_ONE = (("r", 0.05, 0.9),)

DERIVATION = (
    Axiom(GAUSSIAN_AFFINE, "for fixed x each z_j = W_j.x + b_j is N(m_j, v_j)"),
    Axiom(INDEPENDENCE, "different z_j use different parameters, so the act(z_j) are independent of one another and of V and c"),
    Axiom(LINEARITY, "E f_o and Var f_o are sums over j and c_o, plus the covariances of different terms V_oj act(z_j)"),
    Algebra(
        "from independent factors: Var(w h) = w^2 v + S (m^2 + v), and the covariance of w h and w2 h2 is w w2 Cov(h, h2) = 0",
        product_of_independents,
    ),
    Algebra("ReLU: antiderivatives of (m + s z)^p phi(z), p = 1, 2", relu_antiderivatives),
    Algebra("ReLU: between z = -a and infinity they give M = s h(a) and Q = v [Phi(a) - h(a) h(-a)]", relu_moments),
    Axiom(
        CONDITIONING,
        "erf(X) = 2 Phi(lX) - 1 with l = sqrt(2); for Y, Y' ~ N(0,1) independent of X, Phi(lX) = P(Y <= lX | X) and "
        "Phi(lX)^2 = P(Y <= lX, Y' <= lX | X)",
    ),
    Axiom(
        GAUSSIAN_AFFINE,
        "Y - lX and Y' - lX are N(-lm, 1+u), u = l^2 v, with correlation u/(1+u). So E Phi(lX) = Phi(k), k = lm/sqrt(1+u), and "
        "Var Phi(lX) = F(u/(1+u)) - F(0), F(r) the probability that two standard normals of correlation r are both <= k",
    ),
    Algebra("the bivariate density g has dg/dr = d^2 g/dx dy, and at x = y = k the exponent -k^2/(1+r)", orthant_derivative, _BELOW_ONE),
    Axiom(FUBINI, "integrated over x, y <= k this is dF/dr = g(k, k; r), and F(r) - F(0) = int_0^r g(k, k; t) dt"),
    Algebra("t = (1-x^2)/(1+x^2): Q = 4 (F(u/(1+u)) - F(0)) = (4/pi) int_{1/sqrt(1+2u)}^1 e^{-k^2 (1+x^2)/2}/(1+x^2) dx", erf_variance),
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


def _pre_activation(s: OneHiddenSetting) -> Moments:
    hidden = s.hidden_weight, s.hidden_weight_variance, s.hidden_bias, s.hidden_bias_variance
    return linear(s.x, np.zeros_like(s.x), *hidden)


def _by_hidden_rule(rule: Callable[[OneHiddenSetting, Moments, Moments], Moments]) -> dict[str, Any]:
    """Propagate with `rule(setting, pre-activation, exact activation)` in place of the exact activation."""

    def wrong(s: OneHiddenSetting) -> Moments:
        before = _pre_activation(s)
        after = rule(s, before, ACTIVATIONS[s.activation](before.mean, before.variance))
        output = s.output_weight, s.output_weight_variance, s.output_bias, s.output_bias_variance
        return linear(after.mean, after.variance, *output)

    return {"predict": wrong}


def _function(s: OneHiddenSetting, z: Any) -> Any:
    return np.maximum(z, 0.0) if s.activation == "relu" else special.erf(z)


def _slope(s: OneHiddenSetting, z: Any) -> Any:
    return np.heaviside(z, 0.5) if s.activation == "relu" else 2 / np.sqrt(np.pi) * np.exp(-np.square(z))


def product_term_dropped(s: OneHiddenSetting) -> Moments:
    right, before = predict(s), _pre_activation(s)
    hidden = ACTIVATIONS[s.activation](before.mean, before.variance)
    return Moments(right.mean, right.variance - hidden.variance @ s.output_weight_variance.T)


def bias_variance_dropped(s: OneHiddenSetting) -> Moments:
    return predict(replace(s, hidden_bias_variance=0 * s.hidden_bias, output_bias_variance=0 * s.output_bias))


WRONG = (
    Control("activation linearised: f(m), f'(m)^2 v", _by_hidden_rule(lambda s, z, h: Moments(_function(s, z.mean), _slope(s, z.mean) ** 2 * z.variance))),
    Control("mean of the activation f(m)", _by_hidden_rule(lambda s, z, h: Moments(_function(s, z.mean), h.variance))),
    Control("variance of the hidden layer dropped", _by_hidden_rule(lambda s, z, h: Moments(h.mean, 0 * h.variance))),
    Control("S m^2 in place of S (m^2 + v)", {"predict": product_term_dropped}),
    Control("variance of the biases dropped", {"predict": bias_variance_dropped}),
)  # fmt: skip

# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> OneHiddenSetting:
    inputs, hidden, outputs = (int(rng.integers(1, 4)) for _ in range(3))
    shapes = (hidden, inputs), (hidden,), (outputs, hidden), (outputs,)
    means, variances = [rng.uniform(-2, 2, n) for n in shapes], [np.exp(rng.uniform(-7, 0.5, n)) for n in shapes]
    return OneHiddenSetting(rng.normal(size=(2, inputs)), *means, *variances, str(rng.choice(["relu", "erf"])))  # type: ignore[arg-type, call-arg]


def expression(s: OneHiddenSetting) -> list[Any]:
    """All means, then all variances, in ball arithmetic."""
    from flint import arb

    def balls(values: Any) -> Any:
        return np.vectorize(lambda value: arb(float(value)), otypes=[object])(values)

    x, square = balls(s.x), balls(s.x) ** 2
    m = x @ balls(s.hidden_weight).T + balls(s.hidden_bias)
    v = square @ balls(s.hidden_weight_variance).T + balls(s.hidden_bias_variance)
    pairs = [MOMENTS[s.activation](*pair) for pair in zip(m.ravel(), v.ravel(), strict=True)]
    mean, spread = (np.array([pair[i] for pair in pairs], dtype=object).reshape(m.shape) for i in (0, 1))
    weight, noise = balls(s.output_weight), balls(s.output_weight_variance)
    first = mean @ weight.T + balls(s.output_bias)
    second = spread @ (weight**2).T + (mean**2 + spread) @ noise.T + balls(s.output_bias_variance)
    return [*first.ravel(), *second.ravel()]


def both_moments(p: Moments) -> NDArray[np.float64]:
    return np.concatenate([p.mean.ravel(), p.variance.ravel()])


def width(s: OneHiddenSetting) -> NDArray[np.float64]:
    """Rounding of each layer, carried to the outputs, relative to each value.

    A sum of n terms is off by (n + 2) eps times the sum of magnitudes. The activation's moments are Lipschitz:
    |dM/dm| <= 2/sqrt(pi), v |dM/dv| <= max(s, 1), |dQ/dm| <= 2 s, |dQ/dv| <= 3; they are computed to 1e-12 relative.
    """
    unit = (s.x.shape[1] + 2) * EPS
    size = np.abs(s.x) @ np.abs(s.hidden_weight).T + np.abs(s.hidden_bias)
    v = np.square(s.x) @ s.hidden_weight_variance.T + s.hidden_bias_variance
    m = s.x @ s.hidden_weight.T + s.hidden_bias
    after, spread = ACTIVATIONS[s.activation](m, v), np.sqrt(v)
    mean_error = unit * (2 / np.sqrt(np.pi) * size + np.maximum(spread, 1)) + 1e-12 * np.abs(after.mean)
    spread_error = unit * (2 * spread * size + 3 * v) + 1e-12 * after.variance
    outer, noise = np.abs(s.output_weight).T, s.output_weight_variance.T
    p, unit = predict(s), (s.output_weight.shape[1] + 2) * EPS
    first = mean_error @ outer + unit * (np.abs(after.mean) @ outer + np.abs(s.output_bias))
    second = spread_error @ (outer**2 + noise) + 2 * (np.abs(after.mean) * mean_error) @ noise + 2 * unit * p.variance
    return np.concatenate([(first / np.abs(p.mean)).ravel(), (second / p.variance).ravel()])


FORMULA = Formula(expression, lambda s: both_moments(predict(s)), both_moments, sample, width, count=60)


def _constant_off(s: OneHiddenSetting) -> NDArray[np.float64]:
    return both_moments(predict(replace(s, hidden_bias_variance=s.hidden_bias_variance * (1 + 1e-7))))


# --- checks: sampled networks -------------------------------------------------------------------------------------


def against_sampling(s: OneHiddenSetting, p: Moments, rows: Rows) -> Comparison:
    """Student intervals over the scrambles, for all means (in units of the output's spread) and variances together.

    The estimated variance, mean of f^2 minus the squared mean of f, has the linearised error of f^2 - 2 E[f] f and a bias of
    minus the squared error of the mean, which its bound includes.
    """
    count = len(rows["first"])
    mean = rows["first"].mean(axis=0)
    variance = rows["second"].mean(axis=0) - mean**2
    z = multiplier(2 * mean.size, degrees=count - 1) / np.sqrt(count)
    mean_bound = z * rows["first"].std(axis=0, ddof=1)
    variance_bound = z * (rows["second"] - 2 * mean * rows["first"]).std(axis=0, ddof=1) + mean_bound**2
    observed, scale = np.concatenate([mean, variance]), np.concatenate([np.sqrt(variance), variance])
    return Comparison(observed, both_moments(p), np.concatenate([mean_bound, variance_bound]), scale)


def _network(activation: Literal["relu", "erf"]) -> OneHiddenSetting:
    """A fixed network with two inputs, three hidden units and one output, weight noise comparable to the weights."""
    j, i = np.arange(1, 4), np.arange(1, 3)
    return OneHiddenSetting(
        x=np.array([[0.7, -1.1], [-0.4, 0.3]]),
        hidden_weight=np.cos(2.0 * j[:, None] + i),
        hidden_bias=np.sin(j) / 3,
        output_weight=np.cos(1.0 + 2 * j)[None],
        output_bias=np.array([0.2]),
        hidden_weight_variance=0.1 + 0.15 * np.cos(1.0 * j[:, None] * i) ** 2,
        hidden_bias_variance=0.1 * j / 2,
        output_weight_variance=0.3 / j[None],
        output_bias_variance=np.array([0.1]),
        activation=activation,
    )


def _sampled(activation: Literal["relu", "erf"], *further: Control) -> Check:
    return Check(
        f"moments of sampled {activation} networks (scrambled Sobol points)",
        Agreement("Monte Carlo"),
        settings=ByBudget(quick=(_network(activation),)),
        compare=against_sampling,
        experiment=sample_networks,
        plan=ByBudget(quick=({"scrambles": 32, "log2_points": 14},), full=({"scrambles": 32, "log2_points": 18},)),
        controls=(*WRONG, *further),
    )


CHECKS = (
    Check(
        "the shipped moments are the closed forms, at 50 digits",
        FORMULA,
        controls=(*WRONG, Control("bias variance off by 1e-7", {"claim": replace(FORMULA, shipped=_constant_off)})),
    ),
    _sampled("relu", Control("posterior not factorised: one bias for all units", {"experiment": sample_with_one_bias})),
    _sampled("erf"),
)

RESULT = Result(ONE_HIDDEN_EXACT, predict=predict, example=_network("relu"), checks=CHECKS, derivation=DERIVATION)
