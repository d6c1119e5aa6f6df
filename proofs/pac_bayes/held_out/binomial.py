"""The exact binomial test-set bound: r <= max{p : P(Bin(n,p) <= k) >= delta} with probability at least 1-delta."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from scipy.stats import binom, norm

from ....numerics.bounds.held_out import binomial_test_set
from ....numerics.certified.binomial_tail import binomial_lower, binomial_upper
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import BETA_BINOMIAL, MONOTONE_INVERSE, UNION
from ....theory.balls.binomial import binomial_lower_ball, binomial_upper_ball
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.held_out import TEST_BINOMIAL
from ....theory.validation import log_inverse_delta, sample_size
from ...result import ByBudget, Check, Control, Result
from .binomial_steps import failures, slope

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class ErrorsSetting:
    """Number of errors, number of test examples, ln(1/delta) of one side."""

    errors: int
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not 0 <= self.errors <= sample_size("n", self.n):
            raise InvalidInput(f"{self.errors} errors in {self.n} examples.", "Errors lie between 0 and n.")


@dataclass(frozen=True)
class LimitsPrediction:
    """The upper and the lower limit of the risk, each at that level."""

    upper: float
    lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


DERIVATION = (
    Algebra("d/dp P(Bin(n,p) <= k) = -(n-k) C(n,k) p^k (1-p)^(n-k-1): the sum telescopes (n = 1..5, every k)", slope),
    Axiom(BETA_BINOMIAL, "the same for every n: the tail falls strictly in p, from 1 to 0 when k < n"),
    Axiom(MONOTONE_INVERSE, "so pbar(k) < p iff P(Bin(n,p) <= k) < delta; that tail grows with k, so the samples on which the bound fails are those with K <= k*, and "
          "their probability is P(Bin(n,p) <= k*), itself below delta"),
    Enumeration("the failure probability of both sides in rational numbers: 5 sizes, 4 risks, 4 levels", failures),
    Axiom(UNION, "two sides are two events: delta/2 each"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: ErrorsSetting) -> LimitsPrediction:
    return LimitsPrediction(
        float(binomial_upper(s.errors, s.n, log_inv_delta=s.log_inv_delta)),
        float(binomial_lower(s.errors, s.n, log_inv_delta=s.log_inv_delta)),
    )


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> ErrorsSetting:
    # the largest sizes cost balls the most time: they are a tenth
    n = int(10 ** rng.uniform(*[(0, 1.3), (1, 4), (3.6, 6), (6, 12)][rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])]))
    share = float(
        rng.choice([0.0, rng.uniform(), rng.uniform(), 10 ** rng.uniform(-6, 0), 1 - 10 ** rng.uniform(-6, 0)])
    )
    level = float(rng.choice([10 ** rng.uniform(-0.15, 1.6), 10 ** rng.uniform(-0.15, 6)]))
    return ErrorsSetting(int(n * share), n, level)


def sample_upper(rng: np.random.Generator) -> ErrorsSetting:
    """Also levels above one half, in one case of eight."""
    s = sample(rng)
    return replace(s, log_inv_delta=float(rng.uniform(0.01, 0.69))) if rng.random() < 0.125 else s


def width(s: ErrorsSetting) -> float:
    """Twice the error E of `binomial_root` over L (p grows at most in proportion to L), and 8 half-ulps for the sums.

    n kl <= L takes 16 L; the logarithm of 2 pi k(n-k)/n, and that of S below it, 6 (1 + ln(2 pi n)); the error 12 S + 12 of the series moves
    p by at most 48 + 17, since S^2 (1-p) <= 4 p (n-k) and S <= 2 (p (n-k)/(1-p)) at p >= k/n.
    """
    return HALF_ULP * (2 * (16 + (6 * (1 + np.log(2 * np.pi * s.n)) + 24) / s.log_inv_delta + 65) + 8)


def width_upper(s: ErrorsSetting) -> float:
    """For delta > 1/2 the complement of the mirror image at 1 - delta: it decays like e^-v and inherits the absolute error of v."""
    if s.log_inv_delta >= np.log(2) or s.errors in (0, s.n):
        return width(s)
    other = float(-np.log(-np.expm1(-s.log_inv_delta)))
    mirror = ErrorsSetting(s.n - s.errors - 1, s.n, other)
    return width(mirror) * (2 + other / (s.errors + 1) + float(np.log(s.n)))


UPPER = Formula(
    expression=lambda s: binomial_upper_ball(s.errors, s.n, s.log_inv_delta, 20).p,
    shipped=lambda s: binomial_test_set(errors=s.errors, n=s.n, log_inv_delta=s.log_inv_delta).value,
    read=lambda p: p.upper,
    sample=sample_upper,
    width=width_upper,
    side="upper",
    count=40,
)


def sample_lower(rng: np.random.Generator) -> ErrorsSetting:
    """Levels at which the lower limit, which falls like delta^(1/k), is a normal float."""
    s = sample(rng)
    errors = max(s.errors, 1)
    return ErrorsSetting(errors, s.n, float(min(s.log_inv_delta, 30 * errors)))


LOWER = replace(
    UPPER,
    expression=lambda s: binomial_lower_ball(s.errors, s.n, s.log_inv_delta, 20).p,
    shipped=lambda s: binomial_lower(s.errors, s.n, log_inv_delta=s.log_inv_delta),
    read=lambda p: p.lower,
    sample=sample_lower,
    # the complement of the mirror image decays like e^-v, so it inherits the absolute error of v: v <= L/k + ln n relative parts
    width=lambda s: width(s) * (2 + s.log_inv_delta / s.errors + np.log(s.n)),
    side="lower",
)


def _two_sided_ball(s: ErrorsSetting) -> list[arb]:
    with ctx.workdps(50):
        level = arb(s.log_inv_delta) + arb(2).log()
    return [limit(s.errors, s.n, level, 20).p for limit in (binomial_upper_ball, binomial_lower_ball)]


def two_sided(s: ErrorsSetting) -> list[float]:
    found = binomial_test_set(errors=s.errors, n=s.n, log_inv_delta=s.log_inv_delta, two_sided=True)
    assert found.lower is not None
    return [found.value, found.lower]


def one_sided_twice(s: ErrorsSetting) -> list[float]:
    """Both sides at the whole delta."""
    p = predict(s)
    return [p.upper, p.lower]


TWO_SIDED = replace(
    UPPER,
    expression=_two_sided_ball,
    shipped=two_sided,
    read=lambda p: [p.upper, p.lower],
    sample=sample_lower,
    # an upward level widens each side a little more; the sides of the two values differ, so both are allowed here
    width=lambda s: [width(s), LOWER.width(s)],
    side="both",
    count=16,
)


def _mutant(formula: Formula, function: Any) -> dict[str, Any]:
    return {"claim": replace(formula, shipped=function)}


def _upper(k: int, n: int, level: float) -> float:
    return float(binomial_upper(min(max(k, 0), n), n, log_inv_delta=level))


# --- checks: exact failure probabilities --------------------------------------------------------------------------


Limits = tuple[np.ndarray, np.ndarray]


def exact_limits(errors: np.ndarray, n: int, level: float) -> Limits:
    return binomial_upper(errors, n, log_inv_delta=level), binomial_lower(errors, n, log_inv_delta=level)


def compare_coverage(
    s: ErrorsSetting, p: LimitsPrediction, rows: Rows, *, limits: Any = exact_limits, sides: int = 1
) -> Coverage:
    """The largest failure probability over every true risk: it can only jump where the risk passes an attained limit."""
    errors = np.arange(s.n + 1)
    upper, lower = limits(errors, s.n, s.log_inv_delta + (np.log(2) if sides == 2 else 0.0))
    truths = np.concatenate([np.nextafter(upper[upper < 1], 1.0), np.nextafter(lower[lower > 0], 0.0)])[:, None]
    broken = upper < truths if sides == 1 else (upper < truths) | (lower > truths)
    worst = float((binom.pmf(errors, s.n, truths) * broken).sum(axis=1).max())
    # at such a risk the tail is delta itself: the limits are off by no more than `width`, which moves ln of the tail by n times as much, and
    # n + 1 probabilities are added
    rounding = 2 * (s.n + 1) * (width(s) + 20 * HALF_ULP)
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=worst, rounding=rounding, note="worst true risk")


def compare_two_sides(s: ErrorsSetting, p: LimitsPrediction, rows: Rows) -> Coverage:
    return compare_coverage(s, p, rows, sides=2)


def one_error_less(errors: np.ndarray, n: int, level: float) -> Limits:
    return exact_limits(np.maximum(errors - 1, 0), n, level)


def normal_approximation(errors: np.ndarray, n: int, level: float) -> Limits:
    q = errors / n
    half = norm.isf(np.exp(-level)) * np.sqrt(q * (1 - q) / n)
    return np.minimum(q + half, 1.0), np.maximum(q - half, 0.0)


def twice_the_delta(errors: np.ndarray, n: int, level: float) -> Limits:
    return exact_limits(errors, n, level - float(np.log(2)))


def _limits(function: Any, sides: int = 1) -> dict[str, Any]:
    def compare(s: ErrorsSetting, p: LimitsPrediction, rows: Rows) -> Coverage:
        return compare_coverage(s, p, rows, limits=function, sides=sides)

    return {"compare": compare}


WORLDS = ByBudget(
    quick=tuple(ErrorsSetting(0, n, float(-np.log(d))) for n in (1, 5, 60) for d in (0.05, 0.3)),
    full=tuple(ErrorsSetting(0, n, float(-np.log(d))) for n in (1, 2, 5, 60, 200) for d in (0.001, 0.05, 0.3, 0.45)),
)

CHECKS = (
    Check(
        "the shipped limit is the exact one, rounded upward",
        UPPER,
        controls=(
            Control("an error less", _mutant(UPPER, lambda s: _upper(s.errors - 1, s.n, s.log_inv_delta))),
            Control("n + 1 examples", _mutant(UPPER, lambda s: _upper(s.errors, s.n + 1, s.log_inv_delta))),
            Control("delta doubled", _mutant(UPPER, lambda s: _upper(s.errors, s.n, max(s.log_inv_delta - np.log(2), 1e-3)))),
            Control("both sides paid for", _mutant(UPPER, lambda s: _upper(s.errors, s.n, s.log_inv_delta + np.log(2)))),
            Control("rounded down", _mutant(UPPER, lambda s: _upper(s.errors, s.n, s.log_inv_delta) * (1 - 2.0**-44))),
        ),
    ),
    Check(
        "the lower limit is the exact one, rounded downward",
        LOWER,
        controls=(
            Control("the upper limit mirrored about k/n", _mutant(LOWER, lambda s: 2 * s.errors / s.n - _upper(s.errors, s.n, s.log_inv_delta))),
            Control("P(X > k) for P(X >= k)", _mutant(LOWER, lambda s: float(binomial_lower(min(s.errors + 1, s.n), s.n, log_inv_delta=s.log_inv_delta)))),
        ),
    ),
    Check(
        "the two-sided certificate spends half of delta on each side",
        TWO_SIDED,
        predict=lambda s: LimitsPrediction(*two_sided(s)),
        controls=(Control("both sides at the whole delta", _mutant(TWO_SIDED, one_sided_twice)),),
    ),
    Check(
        "exact failure probability at the worst true risk",
        HighProbabilityBound(),
        settings=WORLDS,
        compare=compare_coverage,
        controls=(
            Control("an error less", _limits(one_error_less)),
            Control("normal approximation", _limits(normal_approximation)),
            Control("delta doubled", _limits(twice_the_delta)),
        ),
    ),
    Check(
        "exact failure probability of the two-sided interval",
        HighProbabilityBound(),
        settings=WORLDS,
        compare=compare_two_sides,
        controls=(Control("both sides at the whole delta", _limits(twice_the_delta, sides=2)),),
    ),
)  # fmt: skip

RESULT = Result(
    TEST_BINOMIAL,
    predict=predict,
    example=ErrorsSetting(600, 50_000, float(-np.log(0.05))),
    checks=CHECKS,
    derivation=DERIVATION,
    notebook="02_from_hoeffding_to_a_certificate",
)
