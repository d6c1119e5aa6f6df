"""Deep ensembles of linear members and variational training without a divergence have one law, at every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, EqualInLaw, Formula
from ....numerics.implicit_bias.ensemble_law import ensemble_law
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.momentum import largest_stable_momentum_step
from ....theory.axioms import GAUSSIAN_AFFINE, LINEARITY
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.regression import ENSEMBLE_EQUIV
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from . import lazy_networks, nearest_law
from .ensemble_evidence import (
    EnsemblePrediction,
    EnsembleSetting,
    carry,
    compare_carried,
    compare_law,
    errors,
    flat,
    last_steps,
    random_setting,
    sample,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def descent_is_affine() -> Equations:
    """One example, two weights: a heavy-ball step of A w_0 + b from A' w_0 + b' is again affine, the gradient's part included."""
    import sympy

    x = sympy.Matrix(1, 2, sympy.symbols("x1:3", real=True))
    w = sympy.Matrix(sympy.symbols("w1:3", real=True))
    a, old = (sympy.Matrix(2, 2, sympy.symbols(f"{name}1:5", real=True)) for name in ("a", "o"))
    b, before = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("b", "p"))
    y, eta, beta = sympy.symbols("y eta beta", real=True)
    point, previous = a * w + b, old * w + before
    after = point - eta * x.T * ((x * point)[0] - y) + beta * (point - previous)
    linear = a - eta * x.T * x * a + beta * (a - old)
    constant = b - eta * x.T * ((x * b)[0] - y) + beta * (b - before)
    return [(after[0], (linear * w + constant)[0])]  # the other weight by symmetry


def factor_follows_the_linear_part() -> Equations:
    """A column of S descends ||X s||^2/2: the linear part of the same step, so S_t = A_t S_0, mu_t = A_t mu_0 + b_t."""
    import sympy

    x, s = (sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("x", "s"))
    loss, eta = (x.T * s)[0] ** 2 / 2, sympy.Symbol("eta", real=True)
    step = s - eta * sympy.Matrix([sympy.diff(loss, v) for v in s])
    return list(zip(step, s - eta * x * x.T * s, strict=True))


def spread_of_the_start() -> Equations:
    """The points mu +- R^{1/2} s_j carry mean and covariance exactly (R = 2), so their trained images do too."""
    import sympy

    mean = sympy.Matrix(sympy.symbols("m1:3", real=True))
    columns = [sympy.Matrix(sympy.symbols(f"{name}1:3", real=True)) for name in ("s", "t")]
    points = [mean + sign * sympy.sqrt(2) * c for c in columns for sign in (1, -1)]
    average = sum(points, sympy.zeros(2, 1)) / 4
    spread = sum(((v - mean) * (v - mean).T for v in points), sympy.zeros(2)) / 4
    expected = sum((c * c.T for c in columns), sympy.zeros(2))
    return [*zip(average, mean, strict=True), *zip(spread, expected, strict=True)]


def separate_noise() -> Equations:
    """E (a s z_1 + b t z_2)^2 over independent z_1, z_2: no term couples the two factors, so each has a loss of its own."""
    import sympy

    a, b, s, t = sympy.symbols("a b s t", real=True)
    z = sympy.symbols("z1:3", real=True)
    square = sympy.Poly((a * s * z[0] + b * t * z[1]) ** 2, *z)
    moments = {(2, 0): 1, (0, 2): 1, (1, 1): 0}  # of the powers of independent standard normal numbers
    expected = sum(c * moments[powers] for powers, c in square.terms())
    loss = (a * s) ** 2 + (b * t) ** 2
    return [(expected, loss), (sympy.diff(expected, s), sympy.diff((a * s) ** 2, s))]


def separate_layers() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """X = (1, 1), Sigma_0 = 1, both weights layers of their own: the trained variance is 0, an ensemble keeps that of (1, -1)."""
    half, zero = Fraction(1, 2), Fraction(0)
    kept = ((half, -half), (-half, half))  # P = 1 - X^T X/2
    own = zero  # 1 - x_l^2/x_l^2, the projector off a column of one number
    yield "the ensemble's projector is idempotent", kept[0][0] ** 2 + kept[0][1] ** 2, "==", kept[0][0]
    yield "and off the row", kept[0][0] + kept[0][1], "==", zero
    yield "variance along (1, -1) in an ensemble", kept[0][0] - 2 * kept[0][1] + kept[1][1], "==", Fraction(2)
    yield "and with two factors", own**2 + own**2, "==", zero


DERIVATION = (
    Algebra("a step of descent, heavy ball included, maps affine functions of w_0 to affine ones: w_t = A_t w_0 + b_t", descent_is_affine),
    Axiom(GAUSSIAN_AFFINE, "a member from N(mu_0, Sigma_0) is N(A_t mu_0 + b_t, A_t Sigma_0 A_t^T) at time t"),
    Axiom(LINEARITY, "the expected loss of N(mu, S S^T) is that of mu plus ||X S||_F^2/2: mu descends as a member does"),
    Algebra("and every column of S follows the linear part A_t", factor_follows_the_linear_part),
    Algebra("2 R members from mu_0 +- R^{1/2} s_j carry the law's mean and covariance exactly", spread_of_the_start),
    Uses(nearest_law.RESULT, "in the limit both are N(mu_inf, P Sigma_0 P), the fitting law nearest to the prior"),
    Algebra("with independent noise for two groups of weights the expected loss is a sum of theirs: each group's factor sees its own columns only", separate_noise),
    Enumeration("so a factor for each layer has another law: two weights, one example, in fractions", separate_layers),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EnsembleSetting) -> EnsemblePrediction:
    return of_laws(
        [ensemble_law(s.design, s.targets, s.prior, step=s.step, time=t, momentum=s.momentum) for t in s.times]
    )


def of_laws(laws: list[GaussianLaw]) -> EnsemblePrediction:
    return EnsemblePrediction(np.stack([law.mean for law in laws]), np.stack([covariance(law) for law in laws]))


# --- checks -------------------------------------------------------------------------------------------------------


def shipped(s: EnsembleSetting) -> np.ndarray:
    return flat(predict(s))


def width(s: EnsembleSetting) -> np.ndarray:
    found = predict(s)
    return relative_width(flat(found), errors(s, found.means, found.covariances))


FORMULA = Formula(
    expression=last_steps,
    shipped=shipped,
    read=flat,
    sample=sample,
    width=width,
    count=16,
)


def by(change: Callable[[EnsembleSetting, EnsemblePrediction], EnsemblePrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def as_if(change: Callable[[EnsembleSetting], EnsembleSetting]) -> Mapping[str, Any]:
    return {"predict": lambda s: predict(change(s))}


def untrained_spread(s: EnsembleSetting, p: EnsemblePrediction) -> EnsemblePrediction:
    return replace(p, covariances=np.stack([s.prior_factor @ s.prior_factor.T] * len(s.times)))


def bayes(s: EnsembleSetting, p: EnsemblePrediction) -> EnsemblePrediction:
    """The noise-free Bayesian posterior, which a KL divergence would select."""
    sigma = s.prior_factor @ s.prior_factor.T
    gain = sigma @ s.design.T @ np.linalg.pinv(s.design @ sigma @ s.design.T)
    mean = s.prior_mean + gain @ (s.targets - s.design @ s.prior_mean)
    c = sigma - gain @ s.design @ sigma
    return EnsemblePrediction(np.stack([mean] * len(s.times)), np.stack([c] * len(s.times)))


def momentum_changed(s: EnsembleSetting) -> EnsembleSetting:
    return replace(s, momentum=s.momentum / 2 if s.momentum else 0.05)


DESIGN = np.array([[1.0, 2.0, 0.0, 0.5], [0.0, 1.0, -1.0, 1.0]])
FACTOR = np.array([[1.0, 0.0, 0.3], [0.5, 1.0, 0.0], [0.0, 0.4, 0.8], [0.2, -0.5, 1.0]])
STEP = 0.4 * largest_stable_momentum_step(DESIGN, momentum=0.0)
EXAMPLE = EnsembleSetting(DESIGN, np.array([1.0, -1.0]), np.zeros(4), FACTOR, STEP, 0.5, (1, 10, 100))
EARLY = (replace(EXAMPLE, momentum=0.0, times=(2,)), replace(EXAMPLE, times=(2,)))
MEMBERS = ByBudget(quick=(*EARLY, replace(EXAMPLE, times=(200,))))
SETTINGS = ByBudget(quick=tuple(map(random_setting, range(6))), standard=tuple(map(random_setting, range(60))))

CHECKS = (
    Check(
        "shipped law",
        FORMULA,
        controls=(
            Control("off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("step off by 1e-9", mutant(FORMULA, lambda s: shipped(replace(s, step=s.step * (1 + 1e-9))))),
            Control("another momentum", mutant(FORMULA, lambda s: shipped(momentum_changed(s)))),
        ),
    ),
    Check(
        "members that carry the law exactly, trained one by one",
        Agreement("rounding"),
        settings=SETTINGS,
        experiment=carry,
        compare=compare_carried,
        controls=(
            Control("spread of the start", by(untrained_spread)),
            Control("noise-free Bayes posterior", by(bayes)),
            Control("one step late", as_if(lambda s: replace(s, times=tuple(t + 1 for t in s.times)))),
            Control("another momentum", as_if(momentum_changed)),
        ),
    ),
    Check(
        "thousands of members",
        EqualInLaw(),
        settings=MEMBERS,
        experiment=train,
        plan=ByBudget(quick=({"members": 13_000},), standard=({"members": 40_000},)),
        compare=compare_law,
        controls=(
            Control("spread of the start", by(untrained_spread)),
            Control("noise-free Bayes posterior", by(bayes)),
            Control("each member with its own mini-batches", {"settings": ByBudget(quick=EARLY), "experiment": lambda s, run: train(s, run, batch=1)}),
        ),
    ),
    *lazy_networks.CHECKS,
)  # fmt: skip

RESULT = Result(
    ENSEMBLE_EQUIV, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(nearest_law.RESULT,), derivation=DERIVATION
)
