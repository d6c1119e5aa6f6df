"""PAC-Bayes empirical Bernstein: a variance bound and a Bernstein bound, each made uniform over a geometric grid of rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from ....numerics.bounds.empirical_bernstein import empirical_bernstein
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, INDEPENDENCE, MARKOV, UNION
from ....theory.balls.bernstein import empirical_bernstein_ball
from ....theory.balls.context import log_fraction
from ....theory.derivation import Algebra, Axiom, Cited, Enclosure, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.variance import EB
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from .worlds import posteriors, world

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class BernsteinSetting:
    """Empirical Gibbs risk, posterior mean of the unbiased variances, KL(Q||P) in nats, n >= 2, ln(1/delta), ratios of the grids."""

    risk: float
    variance: float
    kl: float
    n: int
    log_inv_delta: float
    c1: float = 1.15
    c2: float = 1.15

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), unit_interval("variance", self.variance), non_negative("kl", self.kl)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if sample_size("n", self.n) < 2 or min(self.c1, self.c2) <= 1:
            raise InvalidInput(
                f"n is {self.n}, c1 {self.c1:g}, c2 {self.c2:g}.", "n is at least 2, the ratios above 1."
            )


@dataclass(frozen=True)
class BernsteinPrediction:
    """Upper end for the true Gibbs risk, before it is clipped to 1."""

    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def second_order_exponential(x: Any) -> Any:
    """(1 + x + (e-2) x^2 - e^x)/(x^2 (1-x)) = sum over k >= 3 of (1 + x + ... + x^(k-3))/k!, from the series of e^x and of e."""
    total, inner, power, factorial = arb(0), arb(0), arb(1), 2
    for k in range(3, 40):
        factorial *= k
        inner, power = inner + power, power * x
        total += inner / factorial
    return total + arb(0, 1e-40)  # what is left of the series is below 1e-40 in size


def grid_of_rates() -> list[tuple[Any, Any]]:
    """A/(l n) + (e-2) l V at l = g sqrt(A/((e-2) n V)) is (1/g + g) half-sums: with 1 <= g <= c at most (1 + c) sqrt((e-2) V A/n)."""
    import sympy

    a, v, n, g, s = sympy.symbols("A V n g s", positive=True)  # s = e - 2
    best = sympy.sqrt(a / (s * n * v))
    value = a / (g * best * n) + s * g * best * v
    return [(value, (1 / g + g) * sympy.sqrt(s * v * a / n)), (a / n + s * v - 2 * a / n, s * v - a / n)]


def smallest_rate() -> list[tuple[Any, Any]]:
    """At V = 1/4 and A = ln(1/delta2) the best rate is sqrt(4 ln(1/delta2)/((e-2) n)): none is smaller, so nu2 steps reach 1."""
    import sympy

    level, n, s = sympy.symbols("L n s", positive=True)
    return [(sympy.sqrt(level / (s * n * sympy.Rational(1, 4))), 1 / sympy.sqrt(s * n / (4 * level)))]


DERIVATION = (
    Enclosure("e^x <= 1 + x + (e-2) x^2 for x in [-1, 1] (for x < -1 the left side is below 1 + x + x^2/2)", second_order_exponential, ((-1, 1),)),
    Axiom(INDEPENDENCE, "so E exp(l n (r - rh) - (e-2) l^2 n Var) <= 1 for 0 < l <= 1"),
    Uses(change_of_measure.RESULT, "with f(h) = l n (r - rh) - (e-2) l^2 n Var"),
    Axiom(FUBINI, "E_S E_P e^f <= 1"),
    Axiom(MARKOV, "for one rate: r_Q <= rh_Q + (e-2) l Var_Q + (K + ln(1/delta))/(l n) for all Q"),
    Axiom(UNION, "over nu2 rates, ln(nu2/delta2)"),
    Algebra("a rate of the grid within a factor c2 above the best one costs at most (1 + c2) sqrt((e-2) Var A/n); the rate 1, where A > n (e-2) Var, at most 2A/n", grid_of_rates),
    Algebra("the grid reaches from the smallest possible best rate to 1", smallest_rate),
    Cited("tolstikhin2013", "Var_Q <= Vbar for all Q with probability at least 1 - delta1, by the same argument from a self-bounding inequality for the empirical variance"),
    Axiom(UNION, "both events at once"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: BernsteinSetting) -> BernsteinPrediction:
    return BernsteinPrediction(_shipped(s))


def _shipped(s: BernsteinSetting, **changes: Any) -> float:
    given = {
        "risk": s.risk,
        "variance": s.variance,
        "kl": s.kl,
        "n": s.n,
        "log_inv_delta": s.log_inv_delta,
        "c1": s.c1,
        "c2": s.c2,
    }
    return empirical_bernstein(**{**given, **changes}).raw


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> BernsteinSetting:
    return BernsteinSetting(
        float(rng.uniform()),
        float(rng.choice([0.0, rng.uniform(0, 0.25), 10 ** rng.uniform(-6, -1)])),
        float(10 ** rng.uniform(-2, 4)),
        int(10 ** rng.uniform(0.5, 7)),
        float(10 ** rng.uniform(-0.5, 2.5)),
        float(rng.uniform(1.02, 2)),
        float(rng.uniform(1.02, 2)),
    )


def exact(s: BernsteinSetting) -> Any:
    """delta1 = delta2 = delta/2."""
    level = Fraction(s.log_inv_delta) + log_fraction(2)
    return empirical_bernstein_ball(s.risk, s.variance, s.kl, s.n, level, level, s.c1, s.c2)


FORMULA = Formula(
    expression=exact,
    shipped=_shipped,
    read=lambda p: p.upper,
    sample=sample,
    # some 25 operations rounded upward, each by at most one step of 2 half-ulps, logarithms by three
    width=lambda s: 120 * HALF_ULP,
    side="upper",
    count=80,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def with_numbers(
    s: BernsteinSetting,
    *,
    e_2: float = float(math.e - 2),
    inner_log: bool = True,
    both: float = 2.0,
    bar_terms: float = 1.0,
) -> float:
    """The formula written again in plain floats, so that single constants can be changed."""
    level = s.log_inv_delta + np.log(both)
    nu1 = max(1, np.ceil(np.log(0.5 * np.sqrt((s.n - 1) / level + 1) + 0.5) / np.log(s.c1)))
    size = np.sqrt(e_2 * s.n / (4 * level))
    nu2 = max(1, np.ceil((np.log(size) if inner_log else size) / np.log(s.c2)) + 1)
    one, two = s.kl + np.log(nu1) + level, s.kl + np.log(nu2) + level
    bar = s.variance + bar_terms * (
        (1 + s.c1) * np.sqrt(s.variance * one / (2 * (s.n - 1))) + 2 * s.c1 * one / (s.n - 1)
    )
    bar = min(bar, 0.25)
    if two <= s.n * e_2 * bar:
        return float(s.risk + (1 + s.c2) * np.sqrt(e_2 * bar * two / s.n))
    return float(s.risk + 2 * two / s.n)


def compare_world(s: BernsteinSetting, p: BernsteinPrediction, rows: Rows, *, bound: Any = None) -> Coverage:
    """Every sample of the world of real losses, at six posteriors that follow it: how often does the certificate fail for one?"""
    w = world("real", s.n)
    mean, spread = w.empirical(w.losses), w.variance()
    failed = np.zeros(len(mean), dtype=bool)
    for q, kl in posteriors(mean):
        for i in range(len(mean)):
            here = replace(
                s, risk=float((q[i] @ mean[i]).clip(0, 1)), variance=float(q[i] @ spread[i]), kl=float(kl[i])
            )
            failed[i] |= (bound or _shipped)(here) < q[i] @ w.risk
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        failure=float(w.probability[failed].sum()),
        note="six posteriors that follow the sample",
    )


def empirical_spread_only(s: BernsteinSetting) -> float:
    """One standard error in place of the bound."""
    return s.risk + float(np.sqrt(s.variance / s.n))


def compare_standard_error(s: BernsteinSetting, p: BernsteinPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, bound=empirical_spread_only)


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("1 for e - 2", _mutant(lambda s: with_numbers(s, e_2=1.0))),
            Control("nu2 without its inner logarithm", _mutant(lambda s: with_numbers(s, inner_log=False))),
            Control("delta spent twice", _mutant(lambda s: with_numbers(s, both=1.0))),
            Control("the empirical variance in place of Vbar", _mutant(lambda s: with_numbers(s, bar_terms=0.0))),
            Control("n/2 for n", _mutant(lambda s: with_numbers(replace(s, n=max(2, s.n // 2))))),
            Control("c2 in place of c1", _mutant(lambda s: with_numbers(replace(s, c1=s.c2)))),
        ),
    ),
    Check(
        "real losses: the shipped certificate on every sample",
        HighProbabilityBound(),
        settings=ByBudget(quick=(BernsteinSetting(0.0, 0.0, 0.0, 8, float(np.log(10))),)),
        compare=compare_world,
        controls=(Control("one standard error", {"compare": compare_standard_error}),),
    ),
)  # fmt: skip

RESULT = Result(
    EB,
    predict=predict,
    example=BernsteinSetting(0.12, 0.03, 50.0, 10_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
