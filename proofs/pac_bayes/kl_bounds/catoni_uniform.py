"""On the event of pb.kl Catoni's formula holds for every beta at once: dearer by ln xi(n) than one beta, and for that free of choice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.catoni_grid import catoni_uniform
from ....numerics.certified import log_maurer_xi
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Identity, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.catoni import catoni_uniform_ball
from ....theory.balls.seeger import complexity_ball, seeger_lower_ball, seeger_upper_ball
from ....theory.derivation import Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import CATONI_UNIFORM
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import World, moment, world_a, world_b
from ..worst_certificate import certificate_failure, kl_both_sides, kl_upper_side, worst_posteriors
from . import catoni, relaxations, seeger
from .relaxations import DIGITS, HALF_ULP, c_of, control, enclosures, plain


@dataclass(frozen=True)
class UniformSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta); beta > 0, and minus that for the lower side."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    beta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not finite("beta", self.beta) > 0:
            raise InvalidInput(f"beta is {self.beta}.", "It is positive; the lower side uses minus that.")


@dataclass(frozen=True)
class UniformPrediction:
    """The formula at beta (not clipped at 1) and at -beta, the same at the best of each sign, and ln xi(n)."""

    upper: float
    lower: float
    best_upper: float
    best_lower: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Uses(seeger.RESULT, "kl(rh_Q||r_Q) <= c for all Q, with probability at least 1-delta"),
    Uses(catoni.RESULT, "kl(q||p) is the largest value over b of -ln(1-p+pe^{-b}) - bq, so each of these is at most c as well"),
    Uses(catoni.RESULT, "solved for p: the formula, an upper bound for b > 0 and a lower one for b < 0; at the best b it is UP or LO"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: UniformSetting) -> UniformPrediction:
    at, best = shipped(s), catoni_uniform(**plain(s))
    assert at.lower is not None
    assert best.lower is not None
    return UniformPrediction(at.raw, at.lower, best.raw, best.lower, float(log_maurer_xi(s.n)))


def shipped(s: UniformSetting, **changes: Any) -> Any:
    return catoni_uniform(**{**plain(s), "beta": s.beta, "lower_beta": -s.beta, **changes})


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> UniformSetting:
    return UniformSetting(**plain(relaxations.sample(rng)), beta=float(10 ** rng.uniform(-8, 2)))


def _exponents(s: UniformSetting) -> tuple[float, float, float]:
    c = c_of(s)
    return c, s.beta * s.risk - c, s.beta * s.risk + c


def sample_lower(rng: np.random.Generator) -> UniformSetting:
    """Settings whose lower side is above 0, and not so small that its exponent hides the digits."""
    while True:
        s = replace(sample(rng), n=int(10 ** rng.uniform(1, 7)))
        c, x, scale = _exponents(s)
        if x > 1e-3 * scale and s.beta * (1 - s.risk) + c < 300:
            return s


# as in `catoni`, with a complexity that is up to 24 half-ulps above the exact one
UPPER = Formula(
    expression=lambda s: catoni_uniform_ball(**plain(s), beta=s.beta),
    shipped=lambda s: shipped(s).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (28 + 6 + 6 + 2) * HALF_ULP,
    side="upper",
    count=60,
)


def lower_width(s: UniformSetting) -> float:
    c, x, scale = _exponents(s)
    return (28 * (s.beta * (1 - s.risk) + c) + 28 * scale / x + 3 * 6 + 2 * 2) * HALF_ULP


LOWER = replace(
    UPPER,
    expression=lambda s: catoni_uniform_ball(**plain(s), beta=-s.beta),
    shipped=lambda s: shipped(s).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lower_width,
    side="lower",
)


def _at(s: UniformSetting, c: float, sign: int = 1) -> float:
    return float(np.expm1(-sign * s.beta * s.risk - c) / np.expm1(-sign * s.beta))


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def every_beta(world: World, s: UniformSetting, p: UniformPrediction) -> Coverage:
    """Some beta > 0 and some Q violate the bound exactly where the upper side of the kl certificate fails: n kl+ and its tangents."""
    found = certificate_failure(world, kl_upper_side(), p.log_constant + s.log_inv_delta)
    assert found.margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(
        math.exp(-s.log_inv_delta),
        moment(world, kl_upper_side().phi(world)),
        math.exp(p.log_constant),
        found.averaged,
        note=f"certificate {found.certificate:.12g}",
    )


def compare_a(s: UniformSetting, p: UniformPrediction, rows: Rows) -> Coverage:
    return every_beta(world_a(), s, p)


def compare_b(s: UniformSetting, p: UniformPrediction, rows: Rows) -> Coverage:
    """World B, the averaged statement alone: the one that sees a dropped constant."""
    world = world_b()
    phi = kl_upper_side().phi(world)
    statistic = np.logaddexp.reduce(world.log_prior + phi, axis=1)
    found = float(world.probability[statistic > p.log_constant + s.log_inv_delta].sum())
    return Coverage(math.exp(-s.log_inv_delta), moment(world, phi), math.exp(p.log_constant), found)


@cache
def _worst() -> NDArray[np.float64]:
    return worst_posteriors(world_a(), kl_both_sides())[1]


def compare_certificates(s: UniformSetting, p: UniformPrediction, rows: Rows, *, sides: Any = None) -> Coverage:
    """The shipped certificate at the best betas, at the posterior of each sample that breaks it most."""
    world, worst, broken = world_a(), _worst(), 0.0
    kl = rel_entr(worst, np.exp(world.log_prior)).sum(axis=1)
    empirical, true = (worst * world.empirical).sum(axis=1).clip(0, 1), worst @ world.risk
    for i in range(len(worst)):
        here = replace(s, risk=float(empirical[i]), kl=float(kl[i]))
        if sides is None:
            found = catoni_uniform(**plain(here))
            upper, lower = found.value, found.lower or 0.0
        else:
            upper, lower = sides(here)
        if not lower <= true[i] <= upper:
            broken += world.probability[i]
    return Coverage(
        math.exp(-s.log_inv_delta), failure=float(broken), note="both sides, worst posterior of each sample"
    )


def many_times(s: UniformSetting) -> tuple[float, float]:
    """K and xi(n) forgotten, examples counted ten times."""
    c = s.log_inv_delta / (10 * s.n)
    return float(s.risk + math.sqrt(2 * s.risk * c) + 2 * c), 0.0


# --- checks: the kl bound -----------------------------------------------------------------------------------------


def compare_with_kl(s: UniformSetting, p: UniformPrediction, rows: Rows) -> Enclosures:
    """The predictions, at the setting's beta and at the best, against UP and LO."""
    with ctx.workdps(DIGITS):
        up, low = seeger_upper_ball(**plain(s), digits=DIGITS), seeger_lower_ball(**plain(s), digits=DIGITS)
        return enclosures(
            [arb(x) - up for x in (p.upper, p.best_upper)] + [low - arb(x) for x in (p.lower, p.best_lower)]
        )


def compare_optimum(s: UniformSetting, p: UniformPrediction, rows: Rows, *, odds: bool = True) -> Enclosures:
    """The formula at b* = ln(p(1-q)/(q(1-p))), minus p, in balls, for p = UP and p = LO."""
    with ctx.workdps(DIGITS):
        q, c = arb(s.risk), complexity_ball(s.kl, s.n, s.log_inv_delta, digits=DIGITS)
        gaps = []
        for end in (seeger_upper_ball(**plain(s), digits=DIGITS), seeger_lower_ball(**plain(s), digits=DIGITS)):
            beta = (end * (1 - q) / (q * (1 - end))).log() if odds else (end / q).log()
            gaps.append((1 - (-beta * q - c).exp()) / (1 - (-beta).exp()) - end)
        return enclosures(gaps)


def _orders(count: int) -> tuple[UniformSetting, ...]:
    rng = generator(1, "pb.catoni_uniform")
    return tuple(
        UniformSetting(**plain(s), beta=float(10 ** rng.uniform(-1.5, 0.7))) for s in relaxations.orders(count)
    )


def _wrong(**changes: Any) -> dict[str, Any]:
    return {
        "predict": lambda s: predict(replace(s, **{name: change(getattr(s, name)) for name, change in changes.items()}))
    }


ORDERS = ByBudget(quick=_orders(12), full=lambda: _orders(300))
WORLD_A = ByBudget(quick=(UniformSetting(0.0, 0.0, 12, float(np.log(10)), 1.0),))
WORLD_B = ByBudget(quick=(UniformSetting(0.0, 0.0, 6, float(np.log(5)), 1.0),))
CONSTANT_ONE = {"predict": lambda s: replace(predict(s), log_constant=0.0)}

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            control("ln xi(n) dropped", UPPER, lambda s: _at(s, (s.kl + s.log_inv_delta) / s.n)),
            control("2 sqrt(n) for xi(n)", UPPER, lambda s: shipped(s, constant="2sqrt").raw),
            control("n - 1 for n", UPPER, lambda s: _at(s, c_of(s) * s.n / max(s.n - 1, 0.5))),
            control("beta for 1 - e^-beta", UPPER, lambda s: _at(s, c_of(s)) * -np.expm1(-s.beta) / s.beta),
        ),
    ),
    Check(
        "the shipped lower side is the formula at -beta, rounded downward",
        LOWER,
        controls=(
            control("ln xi(n) dropped", LOWER, lambda s: _at(s, (s.kl + s.log_inv_delta) / s.n, -1)),
            control("delta halved for two sides", LOWER, lambda s: _at(s, c_of(s) + math.log(2) / s.n, -1)),
        ),
    ),
    Check(
        "world A, every beta > 0 at once: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_a,
        controls=(Control("1 in place of xi(n)", CONSTANT_ONE),),
    ),
    Check(
        "world B, every beta > 0 at once: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD_B,
        compare=compare_b,
        controls=(Control("1 in place of xi(n)", CONSTANT_ONE),),
    ),
    Check(
        "world A: the shipped certificate at the best betas and the worst posteriors",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_certificates,
        controls=(Control("K and xi(n) forgotten, examples counted ten times", {"compare": lambda s, p, rows: compare_certificates(s, p, rows, sides=many_times)}),),
    ),
    Check(
        "no beta leaves the interval of the kl bound",
        Inequality(),
        settings=ORDERS,
        compare=compare_with_kl,
        controls=(Control("twice n", _wrong(n=lambda x: 2 * x)), Control("a tenth of ln(1/delta)", _wrong(log_inv_delta=lambda x: x / 10))),
    ),
    Check(
        "the best beta of either sign gives UP and LO exactly",
        Identity(),
        settings=ORDERS,
        compare=compare_optimum,
        controls=(Control("ln(p/q) as the best beta", {"compare": lambda s, p, rows: compare_optimum(s, p, rows, odds=False)}),),
    ),
)  # fmt: skip

RESULT = Result(
    CATONI_UNIFORM,
    predict=predict,
    example=UniformSetting(0.0155, 73.2, 30_000, float(-np.log(0.025)), 0.6),
    checks=CHECKS,
    uses=(seeger.RESULT, catoni.RESULT),
    derivation=DERIVATION,
)
