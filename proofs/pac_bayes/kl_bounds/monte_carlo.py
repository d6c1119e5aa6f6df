"""m fresh draws from the posterior for each part of the examples: the empirical Gibbs risk is below UP(rh_MC, ln(1/delta)/M) with
probability 1-delta, where M = m n/b and b is the size of the largest part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import binom

from ....numerics.bounds import gibbs_monte_carlo
from ....numerics.certified import kl_upper
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CHERNOFF, INDEPENDENCE, JENSEN
from ....theory.balls.seeger import monte_carlo_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import GIBBS_MC
from ....theory.validation import log_inverse_delta, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class DrawsSetting:
    """Mean empirical risk of the draws in [0, 1], draws for each part, ln(1/delta), examples in all and in the largest part."""

    risk: float
    draws: int
    log_inv_delta: float
    examples: int = 1
    largest_part: int = 1

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            sample_size("draws", self.draws),
            log_inverse_delta(log_inv_delta=self.log_inv_delta),
        )
        if sample_size("largest_part", self.largest_part) > sample_size("examples", self.examples):
            raise InvalidInput(f"A part has {self.largest_part} of {self.examples} examples.", "Lower largest_part.")


@dataclass(frozen=True)
class DrawsPrediction:
    """Upper end for the empirical Gibbs risk."""

    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def best_exponent() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    # ln E e^{-l X} <= ln(1 - p + p e^{-l}) for X in [0,1] of mean p; at the best l the Chernoff exponent is kl
    tilt = q * (1 - p) / (p * (1 - q))  # e^{-l*}
    exponent = q * sympy.log(tilt) - sympy.log(1 - p + p * tilt)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    stationary = p * tilt / (1 - p + p * tilt)
    return [(stationary, q), (sympy.diff(exponent, p), sympy.diff(kl, p)), (exponent.subs(p, q), kl.subs(p, q))]


def weights_add_up() -> list[tuple[Any, Any]]:
    import sympy

    m, first, second, third, b = sympy.symbols("m n_1 n_2 n_3 b", positive=True)
    n = first + second + third
    total = m * n / b  # M
    exponents = [total * (part / n) / m for part in (first, second, third)]
    return [*zip(exponents, (first / b, second / b, third / b), strict=True), (m * sum(exponents), total)]


DERIVATION = (
    Axiom(INDEPENDENCE, "given the posterior and the data, the part risks X_kj in [0, 1] (part k, draw j) are independent with means r_k; with w_k = n_k/n, rh_Q is the sum of w_k r_k and rh_MC that of w_k X_kj/m"),
    Algebra("M w_k/m = n_k/b lies in (0, 1], since M = m n/b and n_k <= b; these exponents, each m times, add up to M", weights_add_up),
    Axiom(JENSEN, "x^a is concave for a in (0, 1]: E e^{-l a X} <= (E e^{-l X})^a"),
    Axiom(JENSEN, "e^{-l x} <= 1 - x + x e^{-l} on [0, 1]: a two-point law has the largest generating function"),
    Axiom(JENSEN, "the logarithm is concave: the sum of w_k ln(1 - r_k + r_k e^{-l}) is at most ln(1 - p + p e^{-l}) for p = rh_Q"),
    Axiom(CHERNOFF, "P(rh_MC <= q) <= exp(M inf_l (l q + ln(1 - p + p e^{-l})))"),
    Algebra("the infimum over l is -kl(q||p): stationary point, slope in p and value at p = q agree", best_exponent, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(kl_inverse.RESULT, "UP(q, ln(1/delta)/M) < p iff q < p and kl(q||p) > ln(1/delta)/M"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _shipped(s: DrawsSetting) -> float:
    return gibbs_monte_carlo(
        risk=s.risk, draws=s.draws, log_inv_delta=s.log_inv_delta, examples=s.examples, largest_part=s.largest_part
    ).value


def predict(s: DrawsSetting) -> DrawsPrediction:
    return DrawsPrediction(_shipped(s))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> DrawsSetting:
    part = int(10 ** rng.uniform(0, 3))
    return DrawsSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0)])),
        int(10 ** rng.uniform(0, 7)),
        float(10 ** rng.uniform(-1, 2.8)),
        part + int(rng.integers(0, 1000)) * int(rng.integers(0, 2)),
        part,
    )


def _independent(s: DrawsSetting) -> int:
    """M rounded down."""
    return math.floor(Fraction(s.draws * s.examples, s.largest_part))


FORMULA = Formula(
    expression=lambda s: monte_carlo_ball(s.risk, _independent(s), s.log_inv_delta),
    shipped=_shipped,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (8 + 12) * HALF_ULP,
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def compare_coverage(s: DrawsSetting, p: DrawsPrediction, rows: Rows, *, bound: Any = None) -> Coverage:
    """Predictors whose empirical risk is 0 or 1 (the widest law): the failure probability is a binomial tail, for every rh_Q."""
    k = np.arange(s.draws + 1)
    ends = np.array([(bound or predict)(replace(s, risk=float(i) / s.draws)).upper for i in k])
    # the failure probability P(UP < truth) jumps where the truth passes an attained end point: look just above each
    truths = np.nextafter(ends[ends < 1], 1.0)
    worst = max(float(binom.cdf(np.searchsorted(ends, truth, side="left") - 1, s.draws, truth)) for truth in truths)
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=worst, note="worst empirical Gibbs risk")


def examples_as_draws(s: DrawsSetting) -> DrawsPrediction:
    """Each draw counted once for each of 20 examples, as if its losses were independent draws."""
    return DrawsPrediction(float(kl_upper(s.risk, s.log_inv_delta / (20 * s.draws))))


def no_event(s: DrawsSetting) -> DrawsPrediction:
    """The Monte-Carlo mean taken for the Gibbs risk itself."""
    return DrawsPrediction(s.risk)


def compare_examples_as_draws(s: DrawsSetting, p: DrawsPrediction, rows: Rows) -> Coverage:
    return compare_coverage(s, p, rows, bound=examples_as_draws)


def compare_no_event(s: DrawsSetting, p: DrawsPrediction, rows: Rows) -> Coverage:
    return compare_coverage(s, p, rows, bound=no_event)


PARTS = (9, 4, 2)  # examples in each part of the exact world
RISKS = tuple((a, b, c) for a in (0.02, 0.1, 0.4, 0.8) for b in (0.1, 0.5) for c in (0.1, 0.9))


def compare_parts(s: DrawsSetting, p: DrawsPrediction, rows: Rows, *, bound: Any = predict) -> Coverage:
    """Three parts whose draws have risk 0 or 1 with chances r_k: every count of ones, for a grid of (r_1, r_2, r_3)."""
    counts = np.stack(np.meshgrid(*[np.arange(s.draws + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    shares = np.array(PARTS) / sum(PARTS)
    means, where = np.unique(counts @ shares / s.draws, return_inverse=True)
    ends = np.array([bound(replace(s, risk=float(q))).upper for q in means.clip(0, 1)])[where]
    worst = 0.0
    for risks in RISKS:
        probability = binom.pmf(counts, s.draws, np.array(risks)).prod(axis=1)
        worst = max(worst, float(probability[ends < shares @ np.array(risks)].sum()))
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=worst, note="three parts of 9, 4 and 2 examples")


def parts_counted_alike(s: DrawsSetting) -> DrawsPrediction:
    """As many draws as parts times m, although the largest part carries most of the weight."""
    return predict(replace(s, examples=3, largest_part=1))


def smallest_part(s: DrawsSetting) -> DrawsPrediction:
    """b taken as the size of the smallest part."""
    return predict(replace(s, largest_part=min(PARTS)))


def compare_parts_counted_alike(s: DrawsSetting, p: DrawsPrediction, rows: Rows) -> Coverage:
    return compare_parts(s, p, rows, bound=parts_counted_alike)


def compare_smallest_part(s: DrawsSetting, p: DrawsPrediction, rows: Rows) -> Coverage:
    return compare_parts(s, p, rows, bound=smallest_part)


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control(
                "ln(2/delta) for ln(1/delta)",
                _mutant(lambda s: float(kl_upper(s.risk, (s.log_inv_delta + np.log(2)) / _independent(s)))),
            ),
            Control("parts ignored", _mutant(lambda s: _shipped(replace(s, examples=1, largest_part=1)))),
            Control("every example a part of its own", _mutant(lambda s: _shipped(replace(s, largest_part=1)))),
            Control(
                "draws + 1 for draws",
                _mutant(lambda s: float(kl_upper(s.risk, s.log_inv_delta / (_independent(s) + 1)))),
            ),
        ),
    ),
    Check(
        "exact failure probability over the draws",
        HighProbabilityBound(),
        settings=ByBudget(
            quick=tuple(DrawsSetting(0.0, m, float(-np.log(d))) for m in (1, 5, 40, 200) for d in (0.05, 0.2)),
            full=tuple(
                DrawsSetting(0.0, m, float(-np.log(d)))
                for m in (1, 2, 5, 40, 200, 2000)
                for d in (0.001, 0.05, 0.2, 0.5)
            ),
        ),
        compare=compare_coverage,
        controls=(
            Control("examples counted as draws", {"compare": compare_examples_as_draws}),
            Control("the Monte-Carlo mean taken for the Gibbs risk", {"compare": compare_no_event}),
        ),
    ),
    Check(
        "exact failure probability with draws of their own for three parts",
        HighProbabilityBound(),
        settings=ByBudget(
            quick=tuple(
                DrawsSetting(0.0, m, float(-np.log(d)), sum(PARTS), max(PARTS)) for m in (1, 4, 12) for d in (0.05, 0.2)
            ),
            full=tuple(
                DrawsSetting(0.0, m, float(-np.log(d)), sum(PARTS), max(PARTS))
                for m in (1, 4, 12, 40)
                for d in (0.001, 0.05, 0.2)
            ),
        ),
        compare=compare_parts,
        controls=(
            Control("M = 3 m for three unequal parts", {"compare": compare_parts_counted_alike}),
            Control("the smallest part in place of the largest", {"compare": compare_smallest_part}),
        ),
    ),
)

RESULT = Result(
    GIBBS_MC,
    predict=predict,
    example=DrawsSetting(0.0155, 150_000, float(-np.log(0.01))),
    checks=CHECKS,
    uses=(kl_inverse.RESULT,),
    derivation=DERIVATION,
)
