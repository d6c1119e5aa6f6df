"""Regression with an explicit W2 term: the proximal image of the prior, and its limit of no penalty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb, fmpq

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.gaussian_law import covariance
from ....numerics.implicit_bias.kl_regression import tempered_posterior
from ....numerics.implicit_bias.least_squares import row_space
from ....numerics.implicit_bias.variational_regression import distance_to_prior_squared, regression_limit
from ....numerics.implicit_bias.wasserstein_regression import (
    least_wasserstein_objective,
    proximal_law,
    proximal_rounding_floor,
)
from ....theory.axioms import COUPLING, GAUSSIAN_AFFINE, SPECTRAL
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.selection import GVI_PATH
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..least_squares import trajectory
from ..problems import balls, identity, integer_design, rational, sum_of_squares
from ..regression import nearest_law
from .proximal_evidence import (
    LADDER,
    ProximalPrediction,
    ProximalSetting,
    compare_distance,
    compare_objective,
    compare_samples,
    compare_value,
    draw_laws,
    predict,
    random_setting,
    rounding,
    train_samples,
    weaken,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def pointwise_minimum() -> Equations:
    """One direction: (b - s c)^2/2 + lam/2 (c - c0)^2 = least + (s^2 + lam)/2 (c - prox)^2, and what prox leaves of c0."""
    import sympy

    b, c, c0 = sympy.symbols("b c c0", real=True)
    s, lam = sympy.symbols("s lam", positive=True)
    prox = c0 + s * (b - s * c0) / (s**2 + lam)
    least = lam * (b - s * c0) ** 2 / (2 * (s**2 + lam))
    value = (b - s * c) ** 2 / 2 + lam * (c - c0) ** 2 / 2
    return [
        (value, least + (s**2 + lam) / 2 * (c - prox) ** 2),
        (prox.subs(b, 0), c0 / (1 + s**2 / lam)),
        ((c0 + (b - s * c0) / s) - prox, lam / (lam + s**2) * (b - s * c0) / s),
        (lam / (lam + s**2) - lam / (lam + s**2 + b**2), lam * b**2 / ((lam + s**2) * (lam + s**2 + b**2))),
    ]


def stationary_factor() -> Equations:
    """H S + lam (S - S_0) = 0 for S = (I + H/lam)^{-1} S_0, with generic H = X^T X and S_0 for one example, two weights."""
    import sympy

    one, two = sympy.symbols("x1 x2", real=True)
    a, b = sympy.symbols("a b", real=True)
    lam = sympy.Symbol("lam", positive=True)
    x, start = sympy.Matrix([[one, two]]), sympy.Matrix([a, b])
    h = x.T * x
    inverse = sympy.eye(2) - h / (lam + one**2 + two**2)
    factor = inverse * start
    zeros = h * factor + lam * (factor - start)
    overlap = start.dot(factor)  # S_0^T S, positive: ||S_0||^2 - (x.S_0)^2/(lam + ||x||^2)
    cauchy = lam * (a**2 + b**2) + (a * two - b * one) ** 2
    return [*((zero, 0) for zero in zeros), (overlap * (lam + one**2 + two**2), cauchy)]


DERIVATION = (
    Axiom(COUPLING, "the objective at q is the least E[||y - X w||^2/2 + penalty/2 ||w - w_0||^2] over couplings of q with q_0"),
    Uses(trajectory.RESULT, "ridge with a pull to w_0 is the minimum of the integrand, in each singular direction"),
    Algebra("integrand = least + (s^2 + lam)/2 (c - prox)^2, so any coupling pays at least E least, and exactly that iff w = prox(w_0) almost surely; prox leaves lam/(lam + s^2) of the distance to b/s, increasing in lam and decreasing in s", pointwise_minimum),
    Axiom(GAUSSIAN_AFFINE, "prox is affine: the minimiser over all laws is N(mu_lam, S_lam S_lam^T)"),
    Algebra("stationarity of the factor with O = I, the polar factor of the positive semidefinite S_0^T S", stationary_factor),
    Axiom(SPECTRAL, "(I + H/lam)^{-1} is positive definite, so S_0^T S_lam is positive semidefinite in general"),
    Uses(nearest_law.RESULT, "the limit of no penalty is q_inf, and mean and factor together start at W2(q_inf, q_0) from it"),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(10))), standard=tuple(map(random_setting, range(40))))


def with_(**changes: Callable[[ProximalSetting], Any]) -> Mapping[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: change(s) for name, change in changes.items()})}


def at_penalty(factor: float) -> Mapping[str, Any]:
    return {"predict": lambda s: predict(replace(s, penalty=factor * s.penalty))}


def posterior(s: ProximalSetting) -> ProximalPrediction:
    """What a KL term selects where the pull of the means is the same: noise * kl_weight = penalty, prior covariance as is."""
    q = tempered_posterior(s.design, s.targets, s.prior, noise=s.penalty)
    return replace(predict(s), mean=q.mean, factor=q.factor, covariance=covariance(q))


def no_penalty(s: ProximalSetting) -> ProximalPrediction:
    q = regression_limit(s.design, s.targets, s.prior)
    return replace(predict(s), mean=q.mean, factor=q.factor, covariance=covariance(q))


def bounds_by(rate: Callable[[np.ndarray, float], float]) -> Mapping[str, Any]:
    def bounds(s: ProximalSetting) -> np.ndarray:
        h, whole = (
            row_space(s.design).singular_values ** 2,
            np.sqrt(distance_to_prior_squared(s.design, s.targets, s.prior)),
        )
        return np.array([rate(h, c * s.penalty) * whole for c in LADDER])

    return with_(distance_bounds=bounds)


def sample(rng: np.random.Generator) -> ProximalSetting:
    design = integer_design(rng)
    n, p = design.shape
    factor = rng.normal(size=(p, int(rng.integers(1, 4))))
    return ProximalSetting(
        design, rng.normal(size=(n,)), rng.normal(size=(p,)), factor, float(2.0 ** rng.uniform(-4, 4))
    )


def last_steps(s: ProximalSetting) -> list[arb]:
    x, y, start, factor = rational(s.design), rational(s.targets), rational(s.prior_mean), rational(s.prior_factor)
    lam, gram = fmpq(*s.penalty.as_integer_ratio()), x.transpose() * x
    inverse = (gram + lam * identity(x.ncols())).inv()
    mean, spread = inverse * (x.transpose() * y + lam * start), lam * inverse * factor
    value = sum_of_squares(y - x * mean) + sum_of_squares(x * spread)
    value = (value + lam * (sum_of_squares(mean - start) + sum_of_squares(spread - factor))) / 2
    return [*balls(mean), *balls(spread), arb(value)]


def read(p: ProximalPrediction) -> np.ndarray:
    return np.concatenate([p.mean, p.factor.ravel(), [p.least]])


def shipped(s: ProximalSetting) -> np.ndarray:
    law = proximal_law(s.design, s.targets, s.prior, penalty=s.penalty)
    least = least_wasserstein_objective(s.design, s.targets, s.prior, penalty=s.penalty)
    return np.concatenate([law.mean, law.factor.ravel(), [least]])


def width(s: ProximalSetting) -> np.ndarray:
    values, off = shipped(s), proximal_rounding_floor(s.design, s.targets, s.prior, penalty=s.penalty)
    return relative_width(values, np.append(np.full(len(values) - 1, off), rounding(s, values[-1])))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=60)
EXAMPLE = ProximalSetting(np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]), 0.1)  # fmt: skip

CHECKS = (
    Check(
        "draws of the prior, each trained with a pull to its own start",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=train_samples,
        compare=compare_samples,
        controls=(
            Control("pull to 0: weight decay", {"experiment": partial(train_samples, pull="zero")}),
            Control("pull to the prior mean", {"experiment": partial(train_samples, pull="prior mean")}),
            Control("penalty 1e-6 larger", at_penalty(1 + 1e-6)),
            Control("no penalty", {"predict": no_penalty}),
        ),
    ),
    Check(
        "no Gaussian law has a lower objective",
        Inequality(),
        settings=SETTINGS,
        experiment=draw_laws,
        plan=ByBudget(quick=({"laws": 100},)),
        compare=compare_objective,
        controls=(
            Control("KL in place of W2", {"predict": posterior}),
            Control("no penalty", {"predict": no_penalty}),
            Control("least value 1e-6 higher", with_(least=lambda s: predict(s).least * (1 + 1e-6))),
        ),
    ),
    Check(
        "the least value",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=draw_laws,
        plan=ByBudget(quick=({"laws": 1},)),
        compare=compare_value,
        controls=(
            Control("penalty without the factor 1/2", with_(least=lambda s: predict(replace(s, penalty=2 * s.penalty)).least)),
            Control("point estimate: factor left out", with_(least=lambda s: predict(replace(s, prior_factor=0 * s.prior_factor)).least)),
        ),
    ),
    Check(
        "W2 to the limit of no penalty",
        Inequality(),
        settings=SETTINGS,
        experiment=weaken,
        compare=compare_distance,
        controls=(
            Control("h_max in place of h_min", bounds_by(lambda h, lam: lam / (lam + h[0]))),
            Control("square of the rate", bounds_by(lambda h, lam: (lam / (lam + h[-1])) ** 2)),
            Control("bound 1% smaller, attained where all modes are alike", bounds_by(lambda h, lam: 0.99 * lam / (lam + h[-1]))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("penalty off by 1e-8", mutant(FORMULA, lambda s: shipped(replace(s, penalty=s.penalty * (1 + 1e-8))))),
            Control("prior mean dropped", mutant(FORMULA, lambda s: shipped(replace(s, prior_mean=0 * s.prior_mean)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(GVI_PATH, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(trajectory.RESULT, nearest_law.RESULT), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
