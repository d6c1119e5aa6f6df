"""K heads estimate a variance like K degrees of freedom: chi-square law, intervals, tails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from flint import arb, ctx

from ....numerics.claims import (
    Coverage,
    Enclosures,
    EqualInLaw,
    Formula,
    HighProbabilityBound,
    Inequality,
    Samples,
)
from ....numerics.randomness import sub_seed
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance, rnd_variance
from ....numerics.wide_networks.heads import heads_interval, heads_tail
from ....theory.axioms import CHERNOFF, GAUSSIAN_AFFINE, GAUSSIAN_INDEPENDENCE, INDEPENDENCE
from ....theory.balls.chi_square import distribution, quantile, tail
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width.distillation import RND_HEADS_CHI2
from ....theory.validation import finite, sample_size
from ...result import ByBudget, Check, Control, Result, Run
from ..dynamics import ensemble_law
from ..settings import EnsembleSetting, blocks
from ..wide_dynamics import distilled_heads, trained_members
from . import head_independence
from .head_independence import formula_mutant
from .heads_algebra import generating_function, helmert, laurent_massart, moments_of_a_square
from .setting import DIGITS


@dataclass(frozen=True)
class VarianceSetting:
    """The ensemble variance at a point, the number of heads, the level of the interval and ln(1/delta) of the tails."""

    variance: float
    heads: int
    alpha: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        finite("variance", self.variance, ndim=0)
        sample_size("heads", self.heads)


@dataclass(frozen=True)
class VariancePrediction:
    """Mean and standard deviation of the estimate; the interval if it equals its mean; the two tail points."""

    mean: float
    deviation: float
    interval: tuple[float, float]
    tails: tuple[float, float]


DERIVATION: tuple[Any, ...] = (
    Algebra("E e^2/2 = Sigma and Var e^2/2 = 2 Sigma^2 for e ~ N(0, 2 Sigma)", moments_of_a_square),
    Algebra("deviations of K + 1 members from their mean have the square sum of K orthonormal contrasts", helmert),
    Axiom(GAUSSIAN_AFFINE, "which are N(0, Sigma) each, whatever the common mean"),
    Axiom(GAUSSIAN_INDEPENDENCE, "and independent, like e_i/sqrt(2): both estimates are Sigma/K times a sum of K squared standard normals"),
    Axiom(INDEPENDENCE, "so variances and logarithms of generating functions add up over the heads"),
    Algebra("E exp(l (x^2 - 1)) = e^{-l}/sqrt(1 - 2l)", generating_function, (("w", 0.1, 2),)),
    Axiom(CHERNOFF, "P(chi2_K - K >= t) <= exp(-l t + K psi(l)), and the same below"),
    Algebra("whose best exponents under psi(l) <= l^2/(1 - 2l) and l^2 are -s at both points", laurent_massart, (("z", 0.01, 0.4),)),
)  # fmt: skip


def predict(s: VarianceSetting) -> VariancePrediction:
    low, high = heads_interval(s.variance, heads=s.heads, alpha=s.alpha)
    below, above = heads_tail(heads=s.heads, log_inv_delta=s.log_inv_delta)
    return VariancePrediction(
        s.variance,
        s.variance * math.sqrt(2 / s.heads),
        (float(low), float(high)),
        (below * s.variance, above * s.variance),
    )


# --- checks: chi-square -------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> VarianceSetting:
    heads = int(rng.choice([1, 2, 3, 6, 17, 64, int(rng.integers(1, 400))]))
    return VarianceSetting(10 ** rng.uniform(-8, 4), heads, 10 ** rng.uniform(-9, -0.05), 10 ** rng.uniform(-2, 2))


def last_step(s: VarianceSetting) -> list[arb]:
    value, k, r = arb(s.variance), arb(s.heads), (arb(s.log_inv_delta) / s.heads).sqrt()
    half = Fraction(s.alpha) / 2
    starts = [s.heads * s.variance / end for end in heads_interval(s.variance, heads=s.heads, alpha=s.alpha)]
    upper, lower = quantile(1 - half, s.heads, start=float(starts[0])), quantile(half, s.heads, start=float(starts[1]))
    below = 1 - 2 * r
    return [
        value,
        value * (arb(2) / k).sqrt(),
        k * value / upper,
        k * value / lower,
        value * below if below > 0 else arb(0),
        value * (1 + 2 * r + 2 * r * r),
    ]


def flatten(p: VariancePrediction) -> np.ndarray:
    return np.array([p.mean, p.deviation, *p.interval, *p.tails])


def width(s: VarianceSetting) -> np.ndarray:
    """Intervals are widened by 1e-12; 1 - 2r loses what it cancels."""
    r = math.sqrt(s.log_inv_delta / s.heads)
    lost = 6e-16 * (1 + 2 * r) / abs(1 - 2 * r)
    return np.array([0.0, 4e-16, 2e-12, 2e-12, lost, 1e-15])


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample,
    width=width,
    count=20,
)


def _with(**changes: Any) -> Callable[[VarianceSetting], np.ndarray]:
    return lambda s: flatten(replace(predict(s), **{name: f(s) for name, f in changes.items()}))


def _tails(s: VarianceSetting, linear: float, square: float) -> tuple[float, float]:
    r = math.sqrt(s.log_inv_delta / s.heads)
    return max(0.0, 1 - linear * r) * s.variance, (1 + linear * r + square * r * r) * s.variance


def compare_coverage(s: VarianceSetting, p: VariancePrediction, rows: Rows, *, shrink: float = 0.0) -> Enclosures:
    """Exact probability that the shipped interval covers the variance, less 1 - alpha; and delta less the exact tails."""
    with ctx.workdps(DIGITS):
        low, high = (arb(end) / arb(s.variance) for end in p.interval)
        k, delta = arb(s.heads), (-arb(s.log_inv_delta)).exp()
        covered = distribution(k / (low * (1 + arb(shrink))), s.heads) - distribution(k / high, s.heads)
        below, above = (k * arb(end) / arb(s.variance) for end in p.tails)
        slacks = [covered - 1 + arb(s.alpha), delta - tail(above, s.heads)]
        if p.tails[0] > 0:
            slacks.append(delta - distribution(below, s.heads))
        low_ends, high_ends = (np.array([float(end(x)) for x in slacks]) for end in (arb.lower, arb.upper))
    return Enclosures(low_ends, high_ends, width=1e-25)


HEADS = 6


def infinite_heads(s: EnsembleSetting, run: Run, *, one_target: bool = False) -> Mapping[str, Any]:
    """Estimates of the variance at the first test point: HEADS heads of distillation, and HEADS + 1 ensemble members."""
    k, t = blocks(s)
    models = run.block["models"]
    seeds = [sub_seed(run.seed, name) for name in ("distillation", "ensemble")]
    errors = distilled_heads(k, t, models=models, heads=HEADS, seed=seeds[0], one_target=one_target)[:, :, 0]
    members = trained_members(k, t, s.labels, models=models, members=HEADS + 1, seed=seeds[1])[:, :, 0]
    return {"distilled": rnd_variance(errors, np.zeros_like(errors)), "ensemble": members.var(axis=1, ddof=1)}


def law_at_a_point(s: EnsembleSetting) -> VarianceSetting:
    return VarianceSetting(float(ensemble_covariance(*blocks(s))[0, 0]), HEADS, 0.05, 3.0)


def compare_law(
    s: EnsembleSetting,
    p: VarianceSetting,
    rows: Rows,
    *,
    degrees: int = HEADS,
    factor: float = 1.0,
    members: float = 1.0,
) -> Samples:
    estimate, scale = rows["distilled"], factor * p.variance
    return Samples(
        ("variance",),
        estimate[:, None],
        reference=members * rows["ensemble"][:, None],
        cdf=scipy.stats.chi2.cdf(degrees * estimate / scale, degrees)[:, None],
        mean=np.array([scale]),
        variance=np.array([2 * scale**2 / degrees]),
    )


def compare_misses(s: EnsembleSetting, p: VarianceSetting, rows: Rows, *, heads: int = HEADS) -> Coverage:
    low, high = heads_interval(rows["distilled"], heads=heads, alpha=0.05)
    missed = (low > p.variance) | (high < p.variance)
    return Coverage(0.05, violations=int(missed.sum()), trials=len(missed))


EXAMPLE = VarianceSetting(0.34, 6, 0.05, 3.0)
MODELS = ByBudget(quick=({"models": 20_000},))
LEVELS = ByBudget(
    quick=tuple(
        VarianceSetting(0.7, heads, alpha, s)
        for heads, alpha, s in ((1, 0.05, 0.05), (1, 0.5, 3.0), (2, 1e-6, 1.0), (6, 0.05, 0.3), (40, 0.01, 5.0), (1, 0.05, 20.0), (200, 0.05, 9.0))
    )
)  # fmt: skip
IN_LAW: dict[str, Any] = {
    "settings": ensemble_law.BOTH,
    "experiment": infinite_heads,
    "plan": MODELS,
    "predict": law_at_a_point,
}
CHECKS = (
    Check(
        "shipped interval and tails",
        FORMULA,
        controls=(
            Control("K + 1 degrees of freedom", formula_mutant(FORMULA, _with(interval=lambda s: predict(replace(s, heads=s.heads + 1)).interval))),
            Control("one-sided quantiles", formula_mutant(FORMULA, _with(interval=lambda s: predict(replace(s, alpha=min(0.99, 2 * s.alpha))).interval))),
            Control("interval 1e-10 off", formula_mutant(FORMULA, _with(interval=lambda s: tuple(1.0000000001 * x for x in predict(s).interval)))),
            Control("deviation sqrt(1/K)", formula_mutant(FORMULA, _with(deviation=lambda s: s.variance / math.sqrt(s.heads)))),
            Control("sqrt(2 s/K) for 2 sqrt(s/K)", formula_mutant(FORMULA, _with(tails=lambda s: _tails(s, math.sqrt(2), 2)))),
            Control("s/K for 2 s/K", formula_mutant(FORMULA, _with(tails=lambda s: _tails(s, 2, 1)))),
        ),
    ),
    Check(
        "exact coverage of the interval, exact tails",
        Inequality(),
        settings=LEVELS,
        compare=compare_coverage,
        controls=(
            Control("interval with one head too many", {"predict": lambda s: replace(predict(s), interval=predict(replace(s, heads=s.heads + 1)).interval)}),
            Control("lower end up by 1e-9", {"compare": partial(compare_coverage, shrink=1e-9)}),
            Control("s/K for 2 s/K and sqrt(2 s/K) for 2 sqrt(s/K)", {"predict": lambda s: replace(predict(s), tails=_tails(s, math.sqrt(2), 1))}),
            Control("upper tail without 2 s/K", {"predict": lambda s: replace(predict(s), tails=_tails(s, 2, 0))}),
        ),
    ),
    Check(
        "heads of distillation and members of an ensemble",
        EqualInLaw(distance=0.04),
        compare=compare_law,
        controls=(
            Control("K + 1 degrees of freedom", {"compare": partial(compare_law, degrees=HEADS + 1)}),
            Control("factor 2 forgotten", {"compare": partial(compare_law, factor=2.0)}),
            Control("divisor K + 1 in the sample variance", {"compare": partial(compare_law, members=HEADS / (HEADS + 1))}),
            Control("one target for all heads", {"experiment": partial(infinite_heads, one_target=True)}),
        ),
        **IN_LAW,
    ),
    Check(
        "the interval misses one model in twenty",
        HighProbabilityBound(),
        compare=compare_misses,
        controls=(
            Control("interval for twice the heads", {"compare": partial(compare_misses, heads=2 * HEADS)}),
            Control("one target for all heads", {"experiment": partial(infinite_heads, one_target=True)}),
        ),
        **IN_LAW,
    ),
)  # fmt: skip
RESULT = Result(
    RND_HEADS_CHI2,
    predict,
    EXAMPLE,
    CHECKS,
    uses=(head_independence.RESULT, ensemble_law.RESULT),
    derivation=(
        Uses(head_independence.RESULT, "the errors e_i at a point are independent N(0, 2 Sigma)"),
        Uses(ensemble_law.RESULT, "members of the ensemble there are independent N(m, Sigma)"),
        *DERIVATION,
    ),
)
