"""PAC-Bayes-Chernoff: L_Q <= Lh_Q + inf over l of (E_Q psi(l) + t)/l for all Q at once, t = (KL(Q||P) + ln(n/delta))/(n - 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.chernoff import pac_bayes_chernoff
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.large_deviations.tails import SubGaussian, sub_gamma_form
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, MARKOV
from ....theory.balls.pbc import declared_ball, price
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import PBC
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..real_losses_world import VARIANCE_PROXIES, generating_at, rate_exponent, world_c
from ..small_worlds import World, kl, moment, world_a
from ..worst_certificate import Tangents, certificate_failure, chernoff, worst_posteriors
from . import cramer, smooth_levers
from .declared import WIDTH, DeclaredSetting, exact_form, make_tail, random_tail

FloatArray = NDArray[np.float64]
LARGEST_TILT = 400.0  # at larger ones world C's tilted laws sit on their minima to 1e-17


@dataclass(frozen=True)
class ChernoffPrediction:
    """The bound, and the constant ln C = ln n that the theorem pays for the moment."""

    upper: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def layer_cake() -> list[tuple[Any, Any]]:
    import sympy

    n, x = sympy.symbols("n x", positive=True)
    c = 1 - 1 / n
    # E e^{cX} = 1 + c int e^{cx} P(X >= x) dx, and P(X >= x) <= e^{-x}
    integral = sympy.integrate(c * sympy.exp(-x / n), (x, 0, sympy.oo))
    return [(1 + integral, n), (sympy.exp(c * x) * sympy.exp(-x), sympy.exp(-x / n))]


def solved_for_the_gap() -> list[tuple[Any, Any]]:
    import sympy

    g, tilt, J, n, K, d = sympy.symbols("g l J n K d", positive=True)
    t = (K + sympy.log(n / d)) / (n - 1)
    largest = sympy.solve(sympy.Eq((n - 1) * (tilt * g - J), K + sympy.log(n / d)), g)[0]
    return [(largest, (J + t) / tilt)]


DERIVATION = (
    Uses(cramer.RESULT, "X = n I_theta(gen+) has P(X >= x) <= e^{-x}, for each theta"),
    Axiom(FUBINI, "E e^{cX} = 1 + c int e^{cx} P(X >= x) dx"),
    Algebra("so E e^{((n-1)/n) X} <= 1/(1 - (n-1)/n) = n", layer_cake, (("n", 2, 9),)),
    Axiom(FUBINI, "so E_S E_P exp((n-1) I_theta(gen+)) <= n, because P does not depend on the sample"),
    Uses(change_of_measure.RESULT, "with f = (n-1) I_theta(gen+): E_Q f <= K + ln E_P e^f for every Q"),
    Axiom(MARKOV, "so E_Q f <= K + ln(n/delta) for all Q at once, with probability at least 1-delta"),
    Axiom(JENSEN, "I_theta(gen+) >= l gen - J_theta(l) for every l >= 0: E_Q f >= (n-1)(l E_Q gen - E_Q J_theta(l)), where psi may replace J from above"),
    Algebra("solved for E_Q gen: (E_Q J(l) + t)/l for every l at once, so the infimum is free", solved_for_the_gap, (("n", 2, 9), ("d", 0.1, 0.9))),
    Uses(cramer.RESULT, "psi = v l^2/(2(1 - c l)): the infimum is sqrt(2 E_Q v t) + c t"),
    Uses(smooth_levers.RESULT, "v = M^2 |theta - theta0|^2 for a loss that is M-Lipschitz in theta, and v = c G^2 + R^2/4 under a log-Sobolev inequality"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: DeclaredSetting) -> ChernoffPrediction:
    upper = pac_bayes_chernoff(risk=s.risk, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta, tail=make_tail(s)).value
    return ChernoffPrediction(upper, float(np.log(s.n)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> DeclaredSetting:
    risk = float(rng.choice([0.0, 10 ** rng.uniform(-6, 3)]))
    n = int(rng.choice([2, 3, int(10 ** rng.uniform(0.5, 9))]))
    kl_value = float(rng.choice([0.0, 10 ** rng.uniform(-3, 5)]))
    return DeclaredSetting(risk, kl_value, n, float(10 ** rng.uniform(-1, 2.8)), *random_tail(rng))


def by_hand(
    s: DeclaredSetting, *, log_n: float = 1.0, denominator: float = -1.0, spent: float = 1.0, kl: float = 1.0, root: float = 2.0, linear: float = 1.0, tail: Any = None
) -> float:  # fmt: skip
    """The bound written out, each constant free to be wrong."""
    v, c = sub_gamma_form(make_tail(s)) if tail is None else tail(s)
    t = (kl * s.kl + log_n * np.log(s.n) + spent * s.log_inv_delta) / (s.n + denominator)
    return float(s.risk + np.sqrt(root * v * t) + linear * c * t)


def _wrong_tail(s: DeclaredSetting) -> tuple[float, float]:
    x = s.numbers
    return {
        "parameter norm": lambda: (x[0] * x[-1], 0.0),
        "input gradient": lambda: (x[1] + x[-1] / 4, 0.0),
    }.get(s.tail, lambda: sub_gamma_form(make_tail(s)))()


def _half_range(s: DeclaredSetting) -> tuple[float, float]:
    v, c = sub_gamma_form(make_tail(s))
    return (v + s.numbers[2] / 4 if s.tail == "input gradient" else v), c


FORMULA = Formula(
    expression=lambda s: declared_ball(s.risk, *exact_form(s), price(s.kl, s.n, s.log_inv_delta), 50),
    shipped=lambda s: predict(s).upper,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: WIDTH,
    side="upper",
)


def _mutant(**wrong: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: by_hand(s, **wrong) * (1 + 2.0**-45), count=100)}


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def tangents_c(m: float) -> Tangents:
    return chernoff(m, generating_at, lambda w: m * rate_exponent(), LARGEST_TILT)


def tangents_a(m: float) -> Tangents:
    def generating(tilt: FloatArray) -> FloatArray:
        r = world_a().risk
        return tilt * r + np.log1p(r * np.expm1(-tilt))

    def phi(world: World) -> FloatArray:
        return m * np.where(
            world.empirical < world.risk, kl(world.empirical, np.broadcast_to(world.risk, world.empirical.shape)), 0.0
        )

    return chernoff(m, generating, phi, LARGEST_TILT)


@cache
def measured(name: str, m: float, log_threshold: float) -> tuple[float, float, float, float]:
    """Moment, failure probabilities of the averaged statement and of the printed certificate, and the margin."""
    world, tangents = (world_c(), tangents_c(m)) if name == "C" else (world_a(), tangents_a(m))
    found = certificate_failure(world, tangents, log_threshold)
    return moment(world, tangents.phi(world)), found.averaged, found.certificate, found.margin


def coverage(name: str, m: float, log_constant: float, log_inv_delta: float) -> Coverage:
    value, _, failed, margin = measured(name, m, log_constant + log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(
        float(np.exp(-log_inv_delta)),
        value,
        float(np.exp(log_constant)),
        failed,
        note=f"world {name}, the printed certificate at the worst posterior",
    )


def compare_worlds(s: DeclaredSetting, p: ChernoffPrediction, rows: Rows, *, world: str = "C") -> Coverage:
    return coverage(world, s.n - 1.0, p.log_constant, s.log_inv_delta)


def compare_world_a(s: DeclaredSetting, p: ChernoffPrediction, rows: Rows) -> Coverage:
    return compare_worlds(s, p, rows, world="A")


def compare_twice(s: DeclaredSetting, p: ChernoffPrediction, rows: Rows) -> Coverage:
    """Every example counted twice."""
    return coverage("C", 2 * s.n - 1.0, p.log_constant, s.log_inv_delta)


@cache
def worst_of_samples() -> tuple[FloatArray, FloatArray, FloatArray]:
    """For every sample of world C: the posterior that breaks the bound most, its KL, and E_Q s^2."""
    world = world_c()
    _, worst = worst_posteriors(world, tangents_c(world.n - 1.0))
    return worst, rel_entr(worst, np.exp(world.log_prior)).sum(axis=1), worst @ VARIANCE_PROXIES


def compare_shipped(s: DeclaredSetting, p: ChernoffPrediction, rows: Rows, *, share: float = 1.0) -> Coverage:
    """The shipped certificate with E_Q s^2 declared, at the worst posterior of each sample: how often is the true risk above it?"""
    world, (worst, divergence, proxy) = world_c(), worst_of_samples()
    empirical, true = (worst * world.empirical).sum(axis=1), worst @ world.risk
    failed = 0.0
    for i in range(len(worst)):
        tail = SubGaussian(share * float(proxy[i]))
        bound = pac_bayes_chernoff(
            risk=float(empirical[i]), kl=max(0.0, float(divergence[i])), n=s.n, log_inv_delta=s.log_inv_delta, tail=tail
        )
        failed += float(world.probability[i]) * (true[i] > bound.value)
    return Coverage(
        float(np.exp(-s.log_inv_delta)), failure=failed, note="the posterior that the exact rates single out"
    )


def compare_small_tail(s: DeclaredSetting, p: ChernoffPrediction, rows: Rows) -> Coverage:
    """A hundredth of the variance declared."""
    return compare_shipped(s, p, rows, share=0.01)


WORLD = ByBudget(quick=(DeclaredSetting(0.0, 0.0, 12, float(np.log(10)), "sub-Gaussian", (1.0,)),))


def _constant(value: float) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), log_constant=value)}


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("n for n - 1", _mutant(denominator=0.0)),
            Control("ln n dropped", _mutant(log_n=0.0)),
            Control("ln sqrt(n) for ln n", _mutant(log_n=0.5)),
            Control("delta squared", _mutant(spent=2.0)),
            Control("delta forgotten", _mutant(spent=0.0)),
            Control("KL in bits", _mutant(kl=1 / np.log(2))),
            Control("2 KL", _mutant(kl=2.0)),
            Control("sqrt(v t) for sqrt(2 v t)", _mutant(root=1.0)),
            Control("c t dropped", _mutant(linear=0.0)),
            Control("M for M^2, c of the log-Sobolev inequality dropped", _mutant(tail=_wrong_tail)),
            Control("R^2/2 for R^2/4", _mutant(tail=_half_range)),
        ),
    ),
    Check(
        "world C: exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_worlds,
        controls=(Control("1 in place of n", _constant(0.0)), Control("examples counted twice", {"compare": compare_twice})),
    ),
    Check(
        "world A (0-1 losses): exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_world_a,
        controls=(Control("1 in place of n", _constant(0.0)), Control("2 in place of n", _constant(float(np.log(2))))),
    ),
    Check(
        "world C: the shipped certificate under its declared tail",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_shipped,
        controls=(Control("a hundredth of the variance declared", {"compare": compare_small_tail}),),
    ),
)  # fmt: skip

RESULT = Result(
    PBC,
    predict=predict,
    example=DeclaredSetting(0.12, 10.0, 10_000, float(np.log(20)), "sub-gamma", (1.0, 0.5)),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, cramer.RESULT, smooth_levers.RESULT),
    derivation=DERIVATION,
)
