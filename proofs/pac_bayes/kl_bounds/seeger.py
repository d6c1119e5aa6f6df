"""Seeger-Langford-Maurer: with probability 1-delta, for all Q at once, kl(rh_Q||r_Q) <= (KL(Q||P) + ln(xi(n)/delta))/n."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import rel_entr

from ....numerics.bounds import seeger_kl
from ....numerics.bounds.seeger import complexity
from ....numerics.certified import kl_lower, kl_upper, log_maurer_xi
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, MARKOV
from ....theory.balls.seeger import seeger_lower_ball, seeger_upper_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.kl_bounds import SEEGER_KL
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, kl_inverse, maurer
from ..small_worlds import World, exponent, failure, moment, world_a, world_b, worst_posteriors

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class KlBoundSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta)."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class KlBoundPrediction:
    """Both sides of the bound on the true Gibbs risk, and ln xi(n), the constant that the theorem pays."""

    upper: float
    lower: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def kl_hessian_is_psd() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    hessian = sympy.hessian(kl, (q, p))
    square = (p - q) ** 2 / (q * (1 - q) * p**2 * (1 - p) ** 2)
    return [(hessian[0, 0], 1 / (q * (1 - q))), (hessian.det(), square)]


DERIVATION = (
    Uses(
        change_of_measure.RESULT,
        "with f(h) = n kl(rh(h)||r(h)): E_Q f <= K + ln E_P e^f for every Q, whatever the sample",
    ),
    Uses(maurer.RESULT, "E_S e^{f(h)} <= xi(n) for each h"),
    Axiom(FUBINI, "so E_S E_P e^f <= xi(n), because P does not depend on the sample"),
    Axiom(
        MARKOV,
        "so E_P e^f <= xi(n)/delta with probability at least 1-delta, and then E_Q f <= K + ln(xi(n)/delta) for all Q",
    ),
    Algebra(
        "the Hessian of kl has a positive entry and a square as its determinant: kl is jointly convex",
        kl_hessian_is_psd,
        (("q", 0.1, 0.4), ("p", 0.5, 0.9)),
    ),
    Axiom(JENSEN, "so n kl(rh_Q||r_Q) <= E_Q f"),
    Uses(kl_inverse.RESULT, "the interval of r_Q that this leaves, given rh_Q"),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: KlBoundSetting) -> KlBoundPrediction:
    c = complexity(s.kl, s.n, s.log_inv_delta)
    return KlBoundPrediction(float(kl_upper(s.risk, c)), float(kl_lower(s.risk, c)), float(log_maurer_xi(s.n)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KlBoundSetting:
    return KlBoundSetting(
        risk=float(rng.choice([0.0, rng.uniform(0, 0.5), 10 ** rng.uniform(-6, -1), rng.uniform(0.5, 1)])),
        kl=float(10 ** rng.uniform(-3, 5)),
        n=int(10 ** rng.uniform(0, 7)),
        log_inv_delta=float(10 ** rng.uniform(-1, 2.8)),
    )


def width(s: KlBoundSetting) -> float:
    """c is rounded up by at most 24 half-ulps (14 for ln xi); UP is concave in c with UP(q,0) = q, so its relative change is no larger."""
    return (24 + 12) * HALF_ULP


def _certificate(s: KlBoundSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}
    return seeger_kl(**given).value


FORMULA = Formula(
    expression=lambda s: seeger_upper_ball(s.risk, s.kl, s.n, s.log_inv_delta),
    shipped=_certificate,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def sample_lower(rng: np.random.Generator) -> KlBoundSetting:
    """Risks and complexities at which the lower end is a normal float: it falls like e^(-c/risk)."""
    return KlBoundSetting(
        float(rng.uniform(0.01, 1)),
        float(10 ** rng.uniform(-3, 2)),
        int(10 ** rng.uniform(3, 7)),
        float(10 ** rng.uniform(-1, 2.8)),
    )


LOWER = replace(
    FORMULA,
    sample=sample_lower,
    expression=lambda s: seeger_lower_ball(s.risk, s.kl, s.n, s.log_inv_delta),
    shipped=lambda s: seeger_kl(risk=s.risk, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).lower,
    read=lambda p: p.lower,
    # near 0 the lower end is q e^-v with v up to c/q: an error of c's 24 half-ulps in the exponent, and (v + 8) ulps of its own
    width=lambda s: 60 * (1 + (s.kl + 2 * np.log(4 * s.n) + s.log_inv_delta) / (s.n * max(s.risk, 1e-9))) * HALF_ULP,
    side="lower",
)

# --- checks: exact failure probabilities --------------------------------------------------------------------------


def _coverage(world: World, phi: Any, log_constant: float, s: KlBoundSetting) -> Coverage:
    found, margin = failure(world, phi, log_constant + s.log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(float(np.exp(-s.log_inv_delta)), moment(world, phi), float(np.exp(log_constant)), found)


def compare_world_a(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    return _coverage(world_a(), exponent(world_a()), p.log_constant, s)


def compare_world_b(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    return _coverage(world_b(), exponent(world_b()), p.log_constant, s)


def compare_one_sided(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    """Only samples that look better than they are count (kl+): the moment is then smaller than xi(n), but not below 1."""
    world = world_b()
    return _coverage(world, np.where(world.empirical < world.risk, exponent(world), 0.0), p.log_constant, s)


def compare_without_divergence(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    """K forgotten: the best hypothesis in hindsight against ln(xi(n)/delta)."""
    world = world_b()
    hindsight = np.where(np.isfinite(world.log_prior), exponent(world), -np.inf).max(axis=1)
    found = float(world.probability[hindsight > p.log_constant + s.log_inv_delta].sum())
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=found)


def compare_fitted_prior(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    """The prior e^{n kl}/Z fitted on the very sample, spent as if it were fixed."""
    world = world_b()
    phi = exponent(world)
    fitted = world.log_prior + phi
    fitted = fitted - np.logaddexp.reduce(fitted, axis=1, keepdims=True)
    return _coverage(replace(world, log_prior=fitted), phi, p.log_constant, s)


def both_sides(s: KlBoundSetting, risk: float, kl: float) -> tuple[float, float]:
    certificate = seeger_kl(risk=risk, kl=kl, n=s.n, log_inv_delta=s.log_inv_delta)
    assert certificate.lower is not None
    return certificate.value, certificate.lower


def compare_certificates(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows, *, bound: Any = both_sides) -> Coverage:
    """The shipped certificate at the worst posterior of every sample of world A: how often does it miss the true risk?"""
    world = world_a()
    worst = worst_posteriors(world)
    kl = rel_entr(worst, np.exp(world.log_prior)).sum(axis=1)
    empirical, true = (worst * world.empirical).sum(axis=1), worst @ world.risk
    broken = 0.0
    for i in range(len(worst)):
        upper, lower = bound(s, float(empirical[i].clip(0, 1)), float(kl[i]))
        if not lower <= true[i] <= upper:
            broken += world.probability[i]
    return Coverage(
        float(np.exp(-s.log_inv_delta)), failure=float(broken), note="both sides, worst posterior of each sample"
    )


def for_one_posterior(s: KlBoundSetting, risk: float, kl: float) -> tuple[float, float]:
    """Two-sided Chernoff for one posterior fixed in advance, without K and xi(n), n counted twice."""
    c = (s.log_inv_delta + np.log(2)) / (2 * s.n)
    return float(kl_upper(risk, c)), float(kl_lower(risk, c))


def compare_for_one_posterior(s: KlBoundSetting, p: KlBoundPrediction, rows: Rows) -> Coverage:
    return compare_certificates(s, p, rows, bound=for_one_posterior)


WORLD_A = ByBudget(quick=(KlBoundSetting(0.0, 0.0, 12, float(np.log(10))),))
WORLD_B = ByBudget(quick=(KlBoundSetting(0.0, 0.0, 6, float(np.log(5))),))


def _constant(value: float) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), log_constant=value)}


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("ln xi(n) dropped", _mutant(lambda s: float(kl_upper(s.risk, (s.kl + s.log_inv_delta) / s.n)))),
            Control("2 sqrt(n) for xi(n)", _mutant(lambda s: _certificate(s, constant="2sqrt"))),
            Control("ln(2 sqrt n)/delta for ln(2 sqrt(n)/delta)", _mutant(lambda s: float(kl_upper(s.risk, (s.kl + np.log(2 * np.sqrt(s.n)) * np.exp(min(s.log_inv_delta, 600.0))) / s.n)))),
            Control("n - 1 for n", _mutant(lambda s: float(kl_upper(s.risk, complexity(s.kl, s.n, s.log_inv_delta) * s.n / max(s.n - 1, 0.5))))),
            Control("2 n for n", _mutant(lambda s: float(kl_upper(s.risk, complexity(s.kl, s.n, s.log_inv_delta) / 2)))),
            Control("KL in bits", _mutant(lambda s: _certificate(s, kl=s.kl / np.log(2)))),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            Control("ln xi(n) dropped", {"claim": replace(LOWER, shipped=lambda s: float(kl_lower(s.risk, (s.kl + s.log_inv_delta) / s.n)))}),
            Control("delta halved for two sides", {"claim": replace(LOWER, shipped=lambda s: float(kl_lower(s.risk, complexity(s.kl, s.n, s.log_inv_delta + np.log(2)))))}),
        ),
    ),
    Check(
        "world A: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_world_a,
        controls=(
            Control("1 in place of xi(n)", _constant(0.0)),
            Control("xi(n - 1) in place of xi(n)", {"predict": lambda s: replace(predict(s), log_constant=float(log_maurer_xi(s.n - 1)))}),
        ),
    ),
    Check(
        "world B: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD_B,
        compare=compare_world_b,
        controls=(
            Control("1 in place of xi(n)", _constant(0.0)),
            Control("K forgotten", {"compare": compare_without_divergence}),
            Control("prior fitted on the sample", {"compare": compare_fitted_prior}),
            Control("one-sided, 1 in place of xi(n)", {"compare": compare_one_sided, **_constant(0.0)}),
        ),
    ),
    Check(
        "world A: the shipped certificate at the worst posterior",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_certificates,
        controls=(Control("a bound for one fixed posterior, examples counted twice", {"compare": compare_for_one_posterior}),),
    ),
)  # fmt: skip

RESULT = Result(
    SEEGER_KL,
    predict=predict,
    example=KlBoundSetting(risk=0.0155, kl=73.2, n=30_000, log_inv_delta=float(-np.log(0.025))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, maurer.RESULT, kl_inverse.RESULT),
    derivation=DERIVATION,
    notebook="01_what_is_a_verified_theorem",
)
