"""Reusing K noise draws trains only their span: W_0 - Q W_0 Pi, with variance left at the data for K <= R."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import arb

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.fixed_noise import fixed_noise_contraction, fixed_noise_limit, training_variance
from ....numerics.implicit_bias.least_squares import UNIT_ROUNDOFF
from ....numerics.implicit_bias.variational_regression import regression_limit
from ....theory.axioms import CONTRACTION, SPECTRAL, SVD
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.regression import FIXED_NOISE
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..feature_networks import as_rule
from ..problems import balls, integer_design, pseudo_inverse, rational, sum_of_squares
from . import nearest_law, on_networks
from .fixed_noise_evidence import (
    FixedNoisePrediction,
    FixedNoiseSetting,
    compare_left,
    compare_limit,
    limit_error,
    random_setting,
    reach,
    settings,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def gradient_of_the_average() -> Equations:
    """One example, rank 1, two draws: the gradient of the averaged loss in (mu, s) is x (x W U) with W = [mu - w, s]."""
    import sympy

    x, mu, s, w, one, two = sympy.symbols("x mu s w z1 z2", real=True)
    y = x * w
    loss = ((x * (mu + s * one) - y) ** 2 + (x * (mu + s * two) - y) ** 2) / 4
    u = (sympy.Matrix([[1, one], [one, one**2]]) + sympy.Matrix([[1, two], [two, two**2]])) / 2
    gradient = x * x * sympy.Matrix([[mu - w, s]]) * u
    return [(sympy.diff(loss, mu), gradient[0]), (sympy.diff(loss, s), gradient[1])]


def mode_by_mode() -> Equations:
    """Along eigenvalues h of X^T X and u of U an entry c follows c (1 - eta h u)^t; with u = 0 or h = 0 it stays."""
    import sympy

    c, eta, h, u, q = sympy.symbols("c eta h u q", real=True)

    def step(value: Any) -> Any:
        return value - eta * h * value * u

    return [(step(c * q), c * q * (1 - eta * h * u)), (step(c).subs(u, 0), c), (step(c).subs(h, 0), c)]


def what_stays() -> Equations:
    """Rank 1 and one draw z: Pi = u u^T/(1 + z^2) leaves the variance (s - z (m + s z)/(1 + z^2))^2 = (s - z m)^2/(1+z^2)^2."""
    import sympy

    m, s, z = sympy.symbols("m s z", real=True)
    off = sympy.Matrix([[m, s]])
    u = sympy.Matrix([1, z])
    left = off - (off * u) * u.T / (1 + z**2)
    return [
        ((left * u)[0], 0),
        (left[1] ** 2, (s - z * m) ** 2 / (1 + z**2) ** 2),
        (left[0], -z * (s - z * m) / (1 + z**2)),
    ]


DERIVATION = (
    Algebra("the gradient of the loss averaged over the draws is X^T X W U in (mu, S)", gradient_of_the_average),
    Axiom(SVD, "X = A diag(s) V^T"),
    Axiom(SPECTRAL, "U = sum u_j e_j e_j^T with u_j >= 0, zero exactly off the span of the draws' u_k"),
    Algebra("entry by entry W follows (1 - eta h u)^t; untrained where h = 0 or u = 0", mode_by_mode),
    Axiom(CONTRACTION, "for 0 < eta < 2/(h_max u_max) the trained part tends to 0: W_inf = W_0 - Q W_0 Pi"),
    Algebra("then X W_inf u_k = 0: the drawn weights fit; in other directions of S variance stays (rank 1, one draw)", what_stays),
    Uses(nearest_law.RESULT, "if the u_k span R^(R+1), Pi = I and the limit is P W_0, that of exact training"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: FixedNoiseSetting) -> FixedNoisePrediction:
    limit = fixed_noise_limit(s.design, s.targets, s.prior, draws=s.draws)
    rate = fixed_noise_contraction(s.design, step=s.step, draws=s.draws, rank=s.rank)
    return FixedNoisePrediction(limit.mean, limit.factor, float(training_variance(s.design, limit).sum()), rate)


# --- checks -------------------------------------------------------------------------------------------------------


# The closed form in exact rational arithmetic.


def sample(rng: np.random.Generator) -> FixedNoiseSetting:
    return random_setting(rng, integer_design(rng), few=bool(rng.integers(2)))


def last_steps(s: FixedNoiseSetting) -> list[arb]:
    x, z = rational(s.design), rational(np.column_stack([np.ones(len(s.draws)), s.draws]))
    inverse = pseudo_inverse(x)
    start = rational(np.column_stack([s.prior_mean, s.prior_factor]))
    goal = rational(np.column_stack([s.targets, np.zeros((len(s.targets), s.rank))]))
    off = inverse * (x * start - goal)
    end = start - off * (pseudo_inverse(z) * z)
    columns = [[end[i, j] for i in range(end.nrows())] for j in range(end.ncols())]
    factor = rational(np.zeros((end.nrows(), s.rank)))
    for j, column in enumerate(columns[1:]):
        for i, value in enumerate(column):
            factor[i, j] = value
    return [*balls(end), arb(sum_of_squares(x * factor))]


def read(p: FixedNoisePrediction) -> np.ndarray:
    return np.append(np.column_stack([p.mean, p.factor]).ravel(), p.variance)


def shipped(s: FixedNoiseSetting) -> np.ndarray:
    limit = fixed_noise_limit(s.design, s.targets, s.prior, draws=s.draws)
    variance = float(training_variance(s.design, limit).sum())
    return np.append(np.column_stack([limit.mean, limit.factor]).ravel(), variance)


def width(s: FixedNoiseSetting) -> np.ndarray:
    off, values = limit_error(s), shipped(s)
    norm = float(np.linalg.norm(s.design, 2))
    spread = norm * (float(np.linalg.norm(s.prior_factor)) + reach(s))
    last = (2 * spread + norm * off) * norm * off + 20 * UNIT_ROUNDOFF * spread**2
    return relative_width(values, np.append(np.full(len(values) - 1, off), last))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=40)


def by(change: Callable[[FixedNoiseSetting, FixedNoisePrediction], FixedNoisePrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def fresh_limit(s: FixedNoiseSetting, p: FixedNoisePrediction) -> FixedNoisePrediction:
    limit = regression_limit(s.design, s.targets, s.prior)
    return replace(p, mean=limit.mean, factor=limit.factor, variance=0.0)


def complement(s: FixedNoiseSetting, p: FixedNoisePrediction) -> FixedNoisePrediction:
    """I - Pi in place of Pi."""
    limit = regression_limit(s.design, s.targets, s.prior)
    return replace(p, mean=s.prior_mean + limit.mean - p.mean, factor=s.prior_factor + limit.factor - p.factor)


FEW, MANY = settings(0, 30, few=True)[:6], settings(40, 100, few=False)[:3]
NETWORKS = ByBudget(
    quick=lambda: (on_networks.random_setting(0, examples=2, rank=3, samples=2),),
    standard=lambda: tuple(
        on_networks.random_setting(seed, examples=n, rank=r, samples=k)
        for seed, (n, r, k) in enumerate(((2, 3, 2), (3, 3, 3), (3, 2, 1), (4, 6, 3)))
    ),
)
EXAMPLE = FixedNoiseSetting(
    np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]]), np.array([[0.3, -1.0]]), 0.05
)  # fmt: skip

CHECKS = (
    Check(
        "shipped limit",
        FORMULA,
        controls=(
            Control("all off by 1e-8", mutant(FORMULA, lambda s: (1 + 1e-8) * shipped(s))),
            Control("constant component of u forgotten", mutant(FORMULA, lambda s: shipped(replace(s, draws=1e6 * s.draws)))),
            Control("limit of fresh draws", mutant(FORMULA, lambda s: read(fresh_limit(s, predict(s))))),
        ),
    ),
    Check(
        "real descent with at most R draws",
        Agreement("convergence"),
        settings=ByBudget(quick=FEW),
        experiment=train,
        compare=compare_limit,
        controls=(
            Control("limit of fresh draws (no variance at the data)", by(fresh_limit)),
            Control("I - Pi in place of Pi", by(complement)),
        ),
    ),
    Check(
        "real descent with more than R draws ends at the limit of exact training",
        Agreement("convergence"),
        settings=ByBudget(quick=MANY),
        experiment=train,
        compare=compare_limit,
        predict=lambda s: fresh_limit(s, predict(s)),
        controls=(
            Control("factor not trained", {"predict": lambda s: replace(fresh_limit(s, predict(s)), factor=s.prior_factor)}),
            Control("only R draws", {"experiment": lambda s, run: train(replace(s, draws=s.draws[: s.rank], step=s.step * s.rank / len(s.draws)), run)}),
        ),
    ),
    Check(
        "variance stays at the training inputs with at most R draws",
        Inequality(),
        settings=ByBudget(quick=FEW[:3], standard=FEW),
        experiment=train,
        compare=compare_left,
        controls=(Control("fresh draws at every step", {"experiment": lambda s, run: train(s, run, fresh=True)}),),
    ),
    Check(
        "the shipped method with reused draws, on a network with frozen features",
        Agreement("convergence"),
        settings=NETWORKS,
        experiment=on_networks.train_reused,
        compare=on_networks.compare_reused,
        predict=as_rule(predict),
        controls=(
            Control("limit of fresh draws (no variance at the data)", {"predict": as_rule(lambda s: fresh_limit(s, predict(s)))}),
            Control("I - Pi in place of Pi", {"predict": as_rule(lambda s: complement(s, predict(s)))}),
            Control("fresh draws at every step", {"experiment": partial(on_networks.train_reused, common_noise=False)}),
        ),
    ),
    Check(
        "the shipped method leaves variance at the training inputs when draws are reused",
        Inequality(),
        settings=ByBudget(quick=(), standard=lambda: NETWORKS.of("standard")),
        experiment=on_networks.train_reused,
        compare=on_networks.compare_variance_left,
        predict=as_rule(predict),
        controls=(Control("the exact expectation", {"experiment": partial(on_networks.train_reused, common_noise=False, expectation="exact")}),),
    ),
)  # fmt: skip

RESULT = Result(
    FIXED_NOISE, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(nearest_law.RESULT,), derivation=DERIVATION
)
