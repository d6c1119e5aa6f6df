"""PAC-Bayes unexpected Bernstein: a lemma for variables bounded above only, at every rate of a paid grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.bounds.unexpected_bernstein import default_rates, unexpected_bernstein
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, INDEPENDENCE, MARKOV, UNION
from ....theory.balls.bernstein import unexpected_bernstein_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.variance import UB
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from .worlds import statistic, world

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class UnexpectedSetting:
    """Empirical Gibbs risk, posterior mean of the mean squared losses, KL(Q||P) in nats, n, ln(1/delta). The grid of rates is the default one."""

    risk: float
    second_moment: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            unit_interval("second_moment", self.second_moment),
            non_negative("kl", self.kl),
        )
        sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class UnexpectedPrediction:
    """Upper end for the true Gibbs risk before clipping, the rates of the grid and c_eta at each."""

    upper: float
    rates: tuple[float, ...]
    slopes: tuple[float, ...]


# --- derivation ---------------------------------------------------------------------------------------------------


def increasing_slope() -> list[tuple[Any, Any]]:
    """(-ln(1-y) - y)/y^2 is the integral of t/(1 - t y) over t in (0, 1), whose integrand increases in y below 1."""
    import sympy

    y, t = sympy.symbols("y t", positive=True)
    integrand = t / (1 - t * y)
    primitive = -t / y - sympy.log(1 - t * y) / y**2
    return [
        (sympy.diff(primitive, t), integrand),
        (primitive.subs(t, 1) - primitive.subs(t, 0), (-sympy.log(1 - y) - y) / y**2),
        (sympy.diff(integrand, y), t**2 / (1 - t * y) ** 2),
    ]


def pointwise() -> list[tuple[Any, Any]]:
    """With y = eta x and c eta b^2 = (-ln(1 - eta b) - eta b)/eta: c eta x^2 = y^2 g(eta b), and -y - y^2 g(y) = ln(1 - y)."""
    import sympy

    y, top = sympy.symbols("y B", positive=True)  # top = eta b

    def g(z: Any) -> Any:
        return (-sympy.log(1 - z) - z) / z**2

    eta, b, x = sympy.symbols("eta b x", positive=True)
    c = (-sympy.log(1 - eta * b) - eta * b) / (eta * b**2)
    return [
        (-y - y**2 * g(y), sympy.log(1 - y)),
        (eta * c * x**2, (eta * x) ** 2 * g(eta * b)),
        (g(top) * top**2, -sympy.log(1 - top) - top),
    ]


DERIVATION = (
    Algebra("g(y) = (-ln(1-y) - y)/y^2 increases for y < 1", increasing_slope, (("y", 0.1, 0.9), ("t", 0.1, 0.9))),
    Algebra("so exp(-eta X - eta c X^2) <= 1 - eta X for X <= b: with y = eta X <= eta b, -y - y^2 g(eta b) <= -y - y^2 g(y) = ln(1 - y)", pointwise, (("y", 0.1, 0.9), ("B", 0.1, 0.9), ("eta", 0.1, 0.9), ("b", 0.2, 1), ("x", 0.1, 1))),
    Axiom(INDEPENDENCE, "E exp(-eta X - eta c X^2) <= 1 - eta E X <= e^(-eta E X); n examples multiply: E exp(n eta (r - rh - c mean X^2)) <= 1"),
    Uses(change_of_measure.RESULT, "with f(h) = n eta (r - rh - c mean X^2)"),
    Axiom(FUBINI, "E_S E_P e^f <= 1"),
    Axiom(MARKOV, "for one rate"),
    Axiom(UNION, "over the |G| rates, ln(|G|/delta)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def slope(eta: float) -> float:
    """c_eta for b = 1."""
    return float(-1 - np.log1p(-eta) / eta)


def predict(s: UnexpectedSetting) -> UnexpectedPrediction:
    rates = default_rates(s.n, s.log_inv_delta)
    return UnexpectedPrediction(_shipped(s), rates, tuple(slope(eta) for eta in rates))


def _shipped(s: UnexpectedSetting) -> float:
    return unexpected_bernstein(
        risk=s.risk, second_moment=s.second_moment, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta
    ).raw


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> UnexpectedSetting:
    risk = float(rng.uniform())
    return UnexpectedSetting(
        risk, float(risk * rng.uniform()), float(10 ** rng.uniform(-2, 4)), int(10 ** rng.uniform(0, 7)), float(10 ** rng.uniform(-0.5, 2.5))
    )  # fmt: skip


FORMULA = Formula(
    expression=lambda s: unexpected_bernstein_ball(
        s.risk, s.second_moment, s.kl, s.n, s.log_inv_delta, default_rates(s.n, s.log_inv_delta)
    ),
    shipped=_shipped,
    read=lambda p: p.upper,
    sample=sample,
    # c_eta 12 half-ulps and two steps, products, quotients, logarithms and sums outward: some 12 steps of 2 half-ulps
    width=lambda s: 50 * HALF_ULP,
    side="upper",
    count=120,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def with_numbers(s: UnexpectedSetting, *, grid: bool = True, c: Any = slope, n: float | None = None) -> float:
    """The formula written again in plain floats, so that single parts can be changed."""
    rates = default_rates(s.n, s.log_inv_delta)
    a = s.kl + s.log_inv_delta + (np.log(len(rates)) if grid else 0.0)
    return float(min(s.risk + c(eta) * s.second_moment + a / (eta * (n or s.n)) for eta in rates))


RATES = (0.5, 0.25, 0.125)


def compare_world(
    s: UnexpectedSetting, p: UnexpectedPrediction, rows: Rows, *, slopes: Any = slope, paid: float | None = None
) -> Coverage:
    """Real and binary losses: the largest moment over rates and hypotheses, and the probability that some rate fails for some posterior."""
    level = np.log(len(RATES) if paid is None else paid) + s.log_inv_delta
    moment, failure = 0.0, 0.0
    for losses in ("real", "binary"):
        w = world(losses, s.n)
        failed = np.zeros(len(w.probability), dtype=bool)
        for eta in RATES:
            phi = s.n * eta * (w.risk - w.empirical(w.losses) - slopes(eta) * w.empirical(w.losses**2))
            moment = max(moment, float((w.probability @ np.exp(phi)).max()))
            failed |= statistic(phi) > level
        failure = max(failure, float(w.probability[failed].sum()))
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, 1.0, failure)


def half_rate(eta: float) -> float:
    """The limit eta/2 of c_eta for small eta, at all rates."""
    return eta / 2


def compare_half_rate(s: UnexpectedSetting, p: UnexpectedPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, slopes=half_rate)


def no_square(eta: float) -> float:
    """The second moment left out."""
    return 0.0


def compare_no_square(s: UnexpectedSetting, p: UnexpectedPrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, slopes=no_square)


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("ln|G| not paid", _mutant(lambda s: with_numbers(s, grid=False) if len(default_rates(s.n, s.log_inv_delta)) > 1 else _shipped(s))),
            Control("eta/2 for c_eta", _mutant(lambda s: with_numbers(s, c=half_rate))),
            Control("-ln(1-eta)/eta for c_eta", _mutant(lambda s: with_numbers(s, c=lambda eta: slope(eta) + 1))),
            Control("n + 1 for n", _mutant(lambda s: with_numbers(s, n=s.n + 1))),
        ),
    ),
    Check(
        "real and binary losses: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(UnexpectedSetting(0.0, 0.0, 0.0, 12, float(np.log(10))),)),
        compare=compare_world,
        controls=(
            Control("eta/2 for c_eta", {"compare": compare_half_rate}),
            Control("the second moment left out", {"compare": compare_no_square}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    UB,
    predict=predict,
    example=UnexpectedSetting(0.12, 0.02, 50.0, 10_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
