"""Renyi PAC-Bayes: (a/(a-1)) ln E_Q phi <= D_a(Q||P) + ln((1/delta) E_S E_P phi^(a/(a-1))) for all Q at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ....numerics.bounds.renyi import renyi
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Agreement, Comparison, Coverage, FloatArray, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, HOLDER, JENSEN, MARKOV
from ....theory.balls.disintegrated import one_draw_kl_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.other_divergences import RENYI
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse, maurer
from ..kl_bounds import seeger
from ..small_worlds import World, exponent, moment, world_a, world_b

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class RenyiSetting:
    """Empirical Gibbs risk, D_a(Q||P) in nats, n, ln(1/delta) and the order a > 1."""

    risk: float
    divergence: float
    n: int
    log_inv_delta: float
    order: float = 2.0

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("divergence", self.divergence), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if float(finite("order", self.order)) <= 1:
            raise InvalidInput(f"order is {self.order!r}.", "It must be above 1.")


@dataclass(frozen=True)
class RenyiPrediction:
    """Both sides of the bound on the true Gibbs risk."""

    upper: float
    lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


def exponents_match() -> list[tuple[Any, Any]]:
    import sympy

    a, x = sympy.symbols("a x", positive=True)
    log_phi = (a - 1) / a * x  # x = n kl(rh||r)
    return [(a / (a - 1) * log_phi, x), (1 / a + (a - 1) / a, sympy.Integer(1))]


def hoelder_in_logarithms() -> list[tuple[Any, Any]]:
    import sympy

    a, density, phi = sympy.symbols("a A B", positive=True)
    # A = ln E_P (dQ/dP)^a, so D_a = A/(a-1); B = ln E_P phi^(a/(a-1))
    bound = density / a + (a - 1) / a * phi
    return [(a / (a - 1) * bound, density / (a - 1) + phi)]


DERIVATION = (
    Axiom(HOLDER, "ln E_Q phi = ln E_P (dQ/dP) phi <= (1/a) ln E_P (dQ/dP)^a + ((a-1)/a) ln E_P phi^(a/(a-1))"),
    Algebra("times a/(a-1): D_a(Q||P) + ln E_P phi^(a/(a-1))", hoelder_in_logarithms, (("a", 1.1, 4),)),
    Axiom(FUBINI, "P does not depend on the sample: E_S E_P = E_P E_S"),
    Axiom(MARKOV, "E_P phi^(a/(a-1)) <= E_S E_P phi^(a/(a-1))/delta with probability at least 1-delta, for all Q at once"),
    Algebra("phi = exp(((a-1)/a) n kl): its power is e^(n kl) and (a/(a-1)) ln phi = n kl", exponents_match, (("a", 1.1, 4),)),
    Uses(maurer.RESULT, "E_S e^(n kl) <= xi(n) for each h"),
    Axiom(JENSEN, "(a/(a-1)) ln E_Q phi >= E_Q n kl(rh||r), because ln is concave"),
    Uses(seeger.RESULT, "kl is jointly convex: E_Q n kl(rh||r) >= n kl(rh_Q||r_Q)"),
    Uses(kl_inverse.RESULT, "the interval of r_Q that this leaves"),
)  # fmt: skip

# --- prediction and formula ---------------------------------------------------------------------------------------


def _certificate(s: RenyiSetting, **changes: Any) -> Any:
    given = {"risk": s.risk, "divergence": s.divergence, "n": s.n, "log_inv_delta": s.log_inv_delta, "order": s.order}
    return renyi(**{**given, **changes})


def predict(s: RenyiSetting) -> RenyiPrediction:
    found = _certificate(s)
    return RenyiPrediction(found.value, found.lower)


def sample(rng: np.random.Generator) -> RenyiSetting:
    divergence, n, level = 10 ** rng.uniform(-2, 2.5), 10 ** rng.uniform(2, 7), 10 ** rng.uniform(-1, 2)
    return RenyiSetting(float(rng.uniform(0.02, 1)), float(divergence), int(n), float(level), float(rng.uniform(1.1, 5)))  # fmt: skip


UPPER = Formula(
    expression=lambda s: one_draw_kl_ball(s.risk, s.divergence, s.n, s.log_inv_delta)[1],
    shipped=lambda s: _certificate(s).value,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (18 + 12) * HALF_ULP,  # ln xi 14, sum and quotient 2 each; the inverse of kl 12
    side="upper",
    count=60,
)
LOWER = replace(
    UPPER,
    expression=lambda s: one_draw_kl_ball(s.risk, s.divergence, s.n, s.log_inv_delta)[0],
    shipped=lambda s: _certificate(s).lower,
    read=lambda p: p.lower,
    # near 0 the lower end is q e^-v with v up to c/q: c's half-ulps in the exponent, and (v + 8) ulps of its own
    width=lambda s: 60 * (1 + (s.divergence + np.log(4 * s.n) + s.log_inv_delta) / (s.n * s.risk)) * HALF_ULP,
    side="lower",
)


def _with(s: RenyiSetting, log_constant: float, factor: float = 1.0, inverse: Any = kl_upper) -> float:
    return float(inverse(s.risk, (factor * s.divergence + log_constant + s.log_inv_delta) / s.n))


def _upper(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def _lower(function: Any) -> dict[str, Any]:
    return {"claim": replace(LOWER, shipped=function)}


# --- exact checks -------------------------------------------------------------------------------------------------


def worst(world: World, order: float) -> tuple[FloatArray, FloatArray]:
    """For each sample the Q that makes Hoelder an equality, dQ/dP ~ phi^(1/(a-1)), and D_a(Q||P)."""
    phi = exponent(world) * (order - 1) / order
    log_q = world.log_prior + phi / (order - 1)
    log_q = log_q - logsumexp(log_q, axis=1, keepdims=True)
    return log_q, logsumexp(order * log_q + (1 - order) * world.log_prior, axis=1) / (order - 1)


def statistic(world: World, order: float, divergence: FloatArray | None = None) -> FloatArray:
    """(a/(a-1)) ln E_Q phi - D_a at that Q."""
    log_q, own = worst(world, order)
    value = logsumexp(log_q + exponent(world) * (order - 1) / order, axis=1)
    return order / (order - 1) * value - (own if divergence is None else divergence)


def compare_supremum(s: RenyiSetting, p: RenyiPrediction, rows: Rows, *, kl: bool = False) -> Comparison:
    """The worst posterior of every sample of world A spends exactly ln E_P e^(n kl): Hoelder is sharp at every order."""
    world = world_a()
    log_q, _ = worst(world, s.order)
    divergence = (np.exp(log_q) * (log_q - world.log_prior)).sum(axis=1) if kl else None
    found, known = statistic(world, s.order, divergence), logsumexp(world.log_prior + exponent(world), axis=1)
    # three log-sum-exps of numbers up to 12 a/(a-1) nats times the order, a few roundings each
    size = 1 + np.abs(exponent(world)).max(axis=1) * s.order / (s.order - 1)
    return Comparison(found, known, 64 * HALF_ULP * size, size)


def compare_supremum_kl(s: RenyiSetting, p: RenyiPrediction, rows: Rows) -> Comparison:
    return compare_supremum(s, p, rows, kl=True)


def compare_world_a(s: RenyiSetting, p: RenyiPrediction, rows: Rows, *, log_constant: float | None = None) -> Coverage:
    """E_S E_P phi^(a/(a-1)), and P(the worst Q violates the inequality) in world A."""
    world = world_a()
    paid = float(log_maurer_xi(world.n)) if log_constant is None else log_constant
    excess = statistic(world, s.order) - paid - s.log_inv_delta
    assert np.abs(excess).min() > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    broken = float(world.probability[excess > 0].sum())
    return Coverage(math.exp(-s.log_inv_delta), moment(world, exponent(world)), math.exp(paid), broken)


def compare_world_a_free(s: RenyiSetting, p: RenyiPrediction, rows: Rows) -> Coverage:
    return compare_world_a(s, p, rows, log_constant=0.0)


def compare_world_b(s: RenyiSetting, p: RenyiPrediction, rows: Rows, *, dropped: bool = False) -> Coverage:
    """The shipped certificate on sixteen fair coins, Q uniform over the coins farthest from 1/2: D_a = ln(16/their number)."""
    world = world_b()
    far = np.where(np.isfinite(world.log_prior), np.abs(world.empirical - 0.5), -np.inf)
    kind = far.argmax(axis=1)
    number = np.rint(16 * np.exp(np.take_along_axis(world.log_prior, kind[:, None], axis=1)[:, 0])).astype(int)
    broken = 0.0
    for k in range(world.n + 1):
        for m in range(1, 17):
            divergence = 0.0 if dropped else math.log(16 / m)
            found = renyi(
                risk=k / world.n, divergence=divergence, n=world.n, order=s.order, log_inv_delta=s.log_inv_delta
            )
            if not (found.lower or 0.0) <= 0.5 <= found.value:
                broken += float(world.probability[(kind == k) & (number == m)].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=broken)


def compare_world_b_dropped(s: RenyiSetting, p: RenyiPrediction, rows: Rows) -> Coverage:
    return compare_world_b(s, p, rows, dropped=True)


ORDERS = tuple(RenyiSetting(0.0, 0.0, 12, math.log(10), a) for a in (1.2, 2.0, 5.0))

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            Control("ln xi(n) dropped", _upper(lambda s: _with(s, 0.0))),
            Control("2 sqrt(n) for xi(n)", _upper(lambda s: _with(s, math.log(2 * math.sqrt(s.n))))),
            Control("divergence dropped", _upper(lambda s: _certificate(s, divergence=0.0).value)),
            Control("divergence times (a-1)/a", _upper(lambda s: _with(s, float(log_maurer_xi(s.n)), (s.order - 1) / s.order))),
            Control("n + 1 for n", _upper(lambda s: _certificate(s, n=s.n + 1).value)),
            Control("delta halved", _upper(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)).value)),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            Control("ln xi(n) dropped", _lower(lambda s: _with(s, 0.0, inverse=kl_lower))),
            Control("delta halved for two sides", _lower(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)).lower)),
        ),
    ),
    Check(
        "world A: the worst posterior attains the supremum",
        Agreement("rounding"),
        settings=ByBudget(quick=ORDERS),
        compare=compare_supremum,
        controls=(Control("KL in place of D_a", {"compare": compare_supremum_kl}),),
    ),
    Check(
        "world A: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=ORDERS),
        compare=compare_world_a,
        controls=(Control("1 in place of xi(n)", {"compare": compare_world_a_free}),),
    ),
    Check(
        "world B: the shipped certificate for the best in hindsight",
        HighProbabilityBound(),
        settings=ByBudget(quick=(RenyiSetting(0.0, 0.0, 6, math.log(5)),)),
        compare=compare_world_b,
        controls=(Control("divergence dropped", {"compare": compare_world_b_dropped}),),
    ),
)  # fmt: skip

RESULT = Result(
    RENYI,
    predict=predict,
    example=RenyiSetting(0.05, 12.0, 5000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(maurer.RESULT, kl_inverse.RESULT, seeger.RESULT),
    derivation=DERIVATION,
)
