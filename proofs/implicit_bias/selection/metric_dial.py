"""One dial from deep ensembles to Bayes: the metric in which mean and factor descend."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb, fmpq_mat

from ....numerics.claims import Agreement, Formula, Inequality
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.implicit_bias.kl_regression import noise_free_posterior
from ....numerics.implicit_bias.metric import largest_stable_metric_step
from ....numerics.implicit_bias.metric_regression import dial_law, metric_regression_limit
from ....numerics.implicit_bias.variational_regression import regression_limit
from ....theory.axioms import GAUSSIAN_AFFINE, GAUSSIAN_INDEPENDENCE
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.selection import PRECOND_BAYES
from ...result import ByBudget, Check, Control, Result
from ..exact_values import mutant, relative_width
from ..geometry import metric
from ..problems import balls, identity, integer_design, pseudo_inverse, rational, sum_of_squares
from ..regression import nearest_law
from .metric_dial_evidence import (
    DialPrediction,
    DialSetting,
    bayes_metrics,
    by_layer,
    compare_competitors,
    compare_law,
    descend,
    draw_competitors,
    floor,
    predict,
    random_setting,
    rescaled,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def conditional_identity() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """Pi Sigma Pi^T = Sigma - K X Sigma, and Cov(Pi w, X w) = Pi Sigma X^T = 0, for designs of every rank."""
    for n, p, values in ((1, 3, [2, 1, 0, 1, 3, 1, 0, 1, 1]), (2, 2, [2, 1, 1, 3]), (2, 2, [1, 0, 0, 4])):
        sigma = fmpq_mat(p, p, values)
        for entries in itertools.product((-1, 0, 1, 2), repeat=n * p):
            x = fmpq_mat(n, p, list(entries))
            gain = sigma * x.transpose() * pseudo_inverse(x * sigma * x.transpose())
            pi = identity(p) - gain * x
            for zero in (pi * sigma * pi.transpose() - (sigma - gain * x * sigma), pi * sigma * x.transpose()):
                size = sum_of_squares(zero)
                yield f"{entries}, {values}", Fraction(int(size.p), int(size.q)), "==", Fraction(0)


def rescaling() -> Equations:
    """K does not change when D is multiplied by kappa; only multiples of I project orthogonally for every x."""
    import sympy

    kappa, a, c = sympy.symbols("kappa a c", positive=True)
    b = sympy.Symbol("b", real=True)
    one, two = sympy.symbols("x1 x2", positive=True)
    d, x = sympy.Matrix([[a, b], [b, c]]), sympy.Matrix([[one, two]])

    def gain(m: Any) -> Any:
        return m * x.T / (x * m * x.T)[0, 0]

    scaled = zip(gain(kappa * d), gain(d), strict=True)
    # D x parallel to x for x = e_1 forces b = 0, then for x = (1, 1) a = c
    first = (d * sympy.Matrix([1, 0]))[1]
    third = (d * sympy.Matrix([1, 1]))[0] - (d * sympy.Matrix([1, 1]))[1]
    return [*scaled, (first, b), (third, a - c)]


DERIVATION = (
    Uses(nearest_law.RESULT, "the expected loss decouples: mean with targets y, each factor column with targets 0"),
    Uses(metric.RESULT, "in its metric each of them ends at Pi_D of its start, plus K_mu y for the mean"),
    Uses(nearest_law.RESULT, "for D_mu = D_S = B B^T, in w = B v: the W2 projection of v, that is W2 measured in D^{-1}"),
    Enumeration("with D = Sigma_0: Pi Sigma_0 Pi^T = Sigma_0 - K X Sigma_0, and Pi w is uncorrelated with X w", conditional_identity),
    Axiom(GAUSSIAN_INDEPENDENCE, "so Pi w is independent of X w, and w = Pi w + K X w given X w = y is Pi w + K y"),
    Axiom(GAUSSIAN_AFFINE, "which is the limit law: exact noise-free Bayes"),
    Algebra("K is unchanged by kappa D; D x parallel to x for all x forces D = c I, so no other metric is harmless for every design", rescaling),
)  # fmt: skip

# --- checks -------------------------------------------------------------------------------------------------------

SETTINGS = ByBudget(quick=tuple(map(random_setting, range(8))), standard=lambda: tuple(map(random_setting, range(40))))
BAYES = ByBudget(quick=tuple(random_setting(seed, bayes_metrics) for seed in range(20, 26)))
RESCALED = ByBudget(quick=tuple(random_setting(seed, rescaled) for seed in range(40, 45)))
SHARED = ByBudget(quick=tuple(s for s in BAYES.quick if np.linalg.matrix_rank(s.design) < s.design.shape[1]))


def with_law(law: Callable[[DialSetting], GaussianLaw]) -> Mapping[str, Any]:
    """The prediction with another law, and another posterior where that is what is compared."""

    def wrong(s: DialSetting) -> DialPrediction:
        q = law(s)
        return DialPrediction(q.mean, q.factor, covariance(q), q.mean, covariance(q))

    return {"predict": wrong}


def orthogonal(s: DialSetting) -> GaussianLaw:
    return regression_limit(s.design, s.targets, s.prior)


def in_metrics(s: DialSetting, mean: np.ndarray, factor: np.ndarray) -> GaussianLaw:
    return metric_regression_limit(s.design, s.targets, s.prior, mean_metric=mean, factor_metric=factor)


def sample(rng: np.random.Generator) -> DialSetting:
    """Sigma_0 = B^2 with integer symmetric B, so that its powers 0, 1/2 and 1 are exact; both metrics one of them."""
    design = integer_design(rng)
    n, p = design.shape
    root = np.tril(rng.integers(-1, 2, size=(p, p)), -1)
    root = (root + root.T + np.diag(rng.integers(p, p + 3, size=p))).astype(np.float64)  # diagonally dominant
    one, two = (np.linalg.matrix_power(root, int(rng.integers(0, 3))) for _ in range(2))
    step = 0.5 * min(largest_stable_metric_step(design, metric=m) for m in (one, two))
    return DialSetting(design, rng.normal(size=(n,)), rng.normal(size=(p,)), root, one, two, step, 1)


def last_steps(s: DialSetting) -> list[arb]:
    x, y, start, factor = rational(s.design), rational(s.targets), rational(s.prior_mean), rational(s.prior_factor)
    sigma = factor * factor.transpose()

    def gain(d: fmpq_mat) -> fmpq_mat:
        return d * x.transpose() * pseudo_inverse(x * d * x.transpose())

    left = (identity(x.ncols()) - gain(rational(s.factor_metric)) * x) * factor
    mean = start + gain(rational(s.mean_metric)) * (y - x * start)
    bayes = start + gain(sigma) * (y - x * start)
    return [*balls(mean), *balls(left * left.transpose()), *balls(bayes), *balls(sigma - gain(sigma) * x * sigma)]


def read(p: DialPrediction) -> np.ndarray:
    parts = (p.mean, p.covariance, p.posterior_mean, p.posterior_covariance)
    return np.concatenate([np.ravel(part) for part in parts])


def shipped(s: DialSetting) -> np.ndarray:
    limit, bayes = in_metrics(s, s.mean_metric, s.factor_metric), noise_free_posterior(s.design, s.targets, s.prior)
    return np.concatenate([limit.mean, covariance(limit).ravel(), bayes.mean, covariance(bayes).ravel()])


def width(s: DialSetting) -> np.ndarray:
    p, size = len(s.prior_mean), float(np.linalg.norm(s.prior_factor))
    sigma = s.prior_factor @ s.prior_factor.T
    step = 0.5 * largest_stable_metric_step(s.design, metric=sigma)
    bayes = replace(s, mean_metric=sigma, factor_metric=sigma, step=step)
    # conditioning works on X S_0, whose singular values are those that the metric Sigma_0 sees
    offs = [floor(s), floor(bayes)]
    bounds = [[off, (2 * size + off) * off + 4 * p * 2.0**-53 * size**2] for off in offs]
    return relative_width(shipped(s), np.repeat(np.ravel(bounds), [p, p * p, p, p * p]))


FORMULA = Formula(expression=last_steps, shipped=shipped, read=read, sample=sample, width=width, count=24)
EXAMPLE = DialSetting(np.array([[1.0, 2.0, 0.0]]), np.array([1.0]), np.zeros(3), np.diag([1.0, 2.0, 1.0]), np.eye(3), np.diag([1.0, 4.0, 1.0]), 0.05, 100)  # fmt: skip

CHECKS = (
    Check(
        "limit law of descent with separate metrics",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=descend,
        compare=compare_law,
        controls=(
            Control("metrics forgotten", with_law(orthogonal)),
            Control("metrics swapped", with_law(lambda s: in_metrics(s, s.factor_metric, s.mean_metric))),
            Control("the mean's metric for both", with_law(lambda s: in_metrics(s, s.mean_metric, s.mean_metric))),
        ),
    ),
    Check(
        "in the metric Sigma_0 descent ends at the noise-free posterior",
        Agreement("convergence"),
        settings=BAYES,
        experiment=descend,
        compare=partial(compare_law, bayes=True),
        controls=(
            Control("ensembles: W2 limit passed off as the posterior", with_law(orthogonal)),
            Control("half way on the dial", with_law(lambda s: dial_law(s.design, s.targets, s.prior, power=0.5))),
            Control("only the mean in the metric", {"experiment": partial(descend, factor_metric=lambda s: np.eye(len(s.prior_mean)) * 0.3)}),
        ),
    ),
    Check(
        "a covariance learning rate changes nothing",
        Agreement("convergence"),
        settings=RESCALED,
        experiment=descend,
        compare=compare_law,
        predict=lambda s: predict(replace(s, factor_metric=s.mean_metric)),
        controls=(
            Control("learning rates that differ between two layers", {"experiment": partial(descend, factor_metric=by_layer)}),
        ),
    ),
    Check(
        "no law that fits is nearer to the prior in W2 over D^{-1}",
        Inequality(),
        settings=SHARED,
        experiment=draw_competitors,
        plan=ByBudget(quick=({"competitors": 100},)),
        compare=compare_competitors,
        controls=(
            Control("nearest in the Euclidean W2", with_law(orthogonal)),
            Control("the mean along D, the factor orthogonally", with_law(lambda s: in_metrics(s, s.mean_metric, np.eye(len(s.prior_mean))))),
        ),
    ),
    Check(
        "shipped functions",
        FORMULA,
        controls=(
            Control("all off by 1e-9", mutant(FORMULA, lambda s: (1 + 1e-9) * shipped(s))),
            Control("metrics swapped", mutant(FORMULA, lambda s: shipped(replace(s, mean_metric=s.factor_metric, factor_metric=s.mean_metric)))),
            Control("prior mean dropped", mutant(FORMULA, lambda s: shipped(replace(s, prior_mean=0 * s.prior_mean)))),
        ),
    ),
)  # fmt: skip

RESULT = Result(PRECOND_BAYES, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(nearest_law.RESULT, metric.RESULT), derivation=DERIVATION)  # fmt: skip

RESULTS = (RESULT,)
