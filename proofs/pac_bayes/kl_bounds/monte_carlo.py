"""m fresh draws from the posterior: the empirical Gibbs risk is below UP(rh_MC, ln(1/delta)/m) with probability 1-delta."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from ....theory.statements.pac_bayes.kl_bounds import GIBBS_MC
from ....theory.validation import log_inverse_delta, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class DrawsSetting:
    """Mean empirical risk of the draws in [0, 1], number of draws, ln(1/delta)."""

    risk: float
    draws: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            sample_size("draws", self.draws),
            log_inverse_delta(log_inv_delta=self.log_inv_delta),
        )


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


DERIVATION = (
    Axiom(INDEPENDENCE, "given the posterior and the data, the m empirical risks are independent with mean rh_Q"),
    Axiom(JENSEN, "e^{-l x} <= 1 - x + x e^{-l} on [0, 1]: a two-point law has the largest generating function"),
    Axiom(CHERNOFF, "P(mean <= q) <= exp(m inf_l (l q + ln(1 - p + p e^{-l})))"),
    Algebra("the infimum over l is -kl(q||p): stationary point, slope in p and value at p = q agree", best_exponent, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(kl_inverse.RESULT, "UP(q, ln(1/delta)/m) < p iff q < p and kl(q||p) > ln(1/delta)/m"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: DrawsSetting) -> DrawsPrediction:
    return DrawsPrediction(gibbs_monte_carlo(risk=s.risk, draws=s.draws, log_inv_delta=s.log_inv_delta).value)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> DrawsSetting:
    return DrawsSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0)])),
        int(10 ** rng.uniform(0, 7)),
        float(10 ** rng.uniform(-1, 2.8)),
    )


FORMULA = Formula(
    expression=lambda s: monte_carlo_ball(s.risk, s.draws, s.log_inv_delta),
    shipped=lambda s: gibbs_monte_carlo(risk=s.risk, draws=s.draws, log_inv_delta=s.log_inv_delta).value,
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


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control(
                "ln(2/delta) for ln(1/delta)",
                _mutant(lambda s: float(kl_upper(s.risk, (s.log_inv_delta + np.log(2)) / s.draws))),
            ),
            Control("draws + 1 for draws", _mutant(lambda s: float(kl_upper(s.risk, s.log_inv_delta / (s.draws + 1))))),
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
)

RESULT = Result(
    GIBBS_MC,
    predict=predict,
    example=DrawsSetting(0.0155, 150_000, float(-np.log(0.01))),
    checks=CHECKS,
    uses=(kl_inverse.RESULT,),
    derivation=DERIVATION,
)
