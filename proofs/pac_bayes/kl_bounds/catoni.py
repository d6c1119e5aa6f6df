"""Catoni: for one beta fixed in advance, r_Q <= (1 - exp(-beta rh_Q - (K + ln(1/delta))/n))/(1 - e^{-beta}); no xi(n) is paid."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.catoni import catoni
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Identity, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.catoni import catoni_ball, envelope_ball
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import CATONI
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from .. import worst_certificate
from ..small_worlds import World, exponent, failure, moment, world_a, world_b
from . import master
from .catoni_algebra import DERIVATION
from .relaxations import DIGITS, HALF_ULP, control, enclosures, plain


@dataclass(frozen=True)
class CatoniSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), and beta > 0 (-beta for the lower side)."""

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
class CatoniPrediction:
    """The upper side at beta, not clipped at 1; the lower side at -beta with the same delta again; and ln C of the moment, 0."""

    upper: float
    lower: float
    log_constant: float


# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: CatoniSetting) -> CatoniPrediction:
    found = shipped(s)
    assert found.lower is not None
    return CatoniPrediction(found.raw, found.lower, 0.0)


def shipped(s: CatoniSetting) -> Any:
    return catoni(**plain(s), beta=s.beta, lower_beta=-s.beta, lower_log_inv_delta=s.log_inv_delta)


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> CatoniSetting:
    return CatoniSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0), 1.0])),
        float(10 ** rng.uniform(-3, 5)),
        int(10 ** rng.uniform(0, 7)),
        float(10 ** rng.uniform(-0.1, 2.8)),  # both sides together spend less than 1
        float(10 ** rng.uniform(-8, 2)),
    )


def _exponents(s: CatoniSetting) -> tuple[float, float, float]:
    """c, beta q - c, and beta q + c."""
    c = (s.kl + s.log_inv_delta) / s.n
    return c, s.beta * s.risk - c, s.beta * s.risk + c


def sample_lower(rng: np.random.Generator) -> CatoniSetting:
    """Settings whose lower side is above 0, and not so small that its exponent hides the digits."""
    while True:
        s = replace(sample(rng), n=int(10 ** rng.uniform(1, 7)))
        c, x, scale = _exponents(s)
        if x > 1e-3 * scale and s.beta * (1 - s.risk) + c < 300:
            return s


# the exponent beta q + c is above the exact one by eight half-ulps at most, and 1 - e^-A moves relatively no more than A; each expm1
# is widened by three ulps, and the quotient by one
UPPER = Formula(
    expression=lambda s: catoni_ball(**plain(s), beta=s.beta),
    shipped=lambda s: shipped(s).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (8 + 6 + 6 + 2) * HALF_ULP,
    side="upper",
    count=100,
)


def lower_width(s: CatoniSetting) -> float:
    """e^{-(beta (1-q) + c)} (1 - e^{-x})/(1 - e^{-beta}): the first exponent is off by eight half-ulps of itself, x = beta q - c by
    eight of beta q + c, and 1 - e^{-x} moves relatively no more than x; three functions of six, and two more operations."""
    c, x, scale = _exponents(s)
    return (8 * (s.beta * (1 - s.risk) + c) + 8 * scale / x + 3 * 6 + 2 * 2) * HALF_ULP


LOWER = replace(
    UPPER,
    expression=lambda s: catoni_ball(**plain(s), beta=-s.beta),
    shipped=lambda s: shipped(s).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lower_width,
    side="lower",
)


def phi_upper(s: CatoniSetting, **changes: float) -> float:
    """The formula in plain floats, with wrong ingredients."""
    c, b = changes.get("c", (s.kl + s.log_inv_delta) / s.n), changes.get("beta", s.beta)
    return float(np.expm1(-b * s.risk - c) / np.expm1(-b))


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def catoni_exponent(world: World, beta: float) -> NDArray[np.float64]:
    return world.n * (-np.log(1 - (1 - math.exp(-beta)) * world.risk) - beta * world.empirical)


def coverage(world: World, phi: NDArray[np.float64], s: CatoniSetting, log_constant: float) -> Coverage:
    found, margin = failure(world, phi, log_constant + s.log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(math.exp(-s.log_inv_delta), moment(world, phi), math.exp(log_constant), found)


def both_signs(world: World, s: CatoniSetting, p: CatoniPrediction) -> Coverage:
    """The worse of beta and -beta."""
    up, down = (coverage(world, catoni_exponent(world, b), s, p.log_constant) for b in (s.beta, -s.beta))
    worse = {name: max(getattr(up, name), getattr(down, name)) for name in ("moment", "failure")}
    return replace(up, **worse, note="beta and -beta")


def compare_a(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Coverage:
    return both_signs(world_a(), s, p)


def compare_b(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Coverage:
    return both_signs(world_b(), s, p)


def _in_hindsight(world: World, s: CatoniSetting, p: CatoniPrediction) -> Coverage:
    """Every beta at the price of one: sup_b phi = n kl(rh||r) where the sample looks better than it is."""
    return coverage(world, np.where(world.empirical < world.risk, exponent(world), 0.0), s, p.log_constant)


def compare_hindsight_a(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Coverage:
    return _in_hindsight(world_a(), s, p)


def compare_hindsight_b(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Coverage:
    return replace(_in_hindsight(world_b(), s, p), moment=None)


def compare_without_divergence(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Coverage:
    world = world_b()
    phi = np.where(np.isfinite(world.log_prior), catoni_exponent(world, s.beta), -np.inf).max(axis=1)
    return Coverage(math.exp(-s.log_inv_delta), failure=float(world.probability[phi > s.log_inv_delta].sum()))


def compare_certificates(s: CatoniSetting, p: CatoniPrediction, rows: Rows, *, upper: Any = None) -> Coverage:
    """The shipped certificate at the posterior of each sample that breaks it most: how often is the true risk above it?"""
    world, broken = world_a(), 0.0
    _, worst = worst_certificate.worst_posteriors(world, worst_certificate.catoni(s.beta))
    kl = rel_entr(worst, np.exp(world.log_prior)).sum(axis=1)
    empirical, true = (worst * world.empirical).sum(axis=1).clip(0, 1), worst @ world.risk
    for i in range(len(worst)):
        here = replace(s, risk=float(empirical[i]), kl=float(kl[i]))
        if true[i] > (shipped(here).value if upper is None else upper(here)):
            broken += world.probability[i]
    return Coverage(math.exp(-s.log_inv_delta), failure=float(broken), note="worst posterior of each sample")


# --- checks: the envelope -----------------------------------------------------------------------------------------


def compare_envelope(s: CatoniSetting, p: CatoniPrediction, rows: Rows) -> Enclosures:
    with ctx.workdps(DIGITS):
        return enclosures([arb(p.upper) - envelope_ball(**plain(s), digits=DIGITS)])


def compare_optimum(s: CatoniSetting, p: CatoniPrediction, rows: Rows, *, odds: bool = True) -> Enclosures:
    """The formula at b* = ln(p(1-q)/(q(1-p))), p = UP(q, (K + ln(1/delta))/n), minus p, in balls."""
    with ctx.workdps(DIGITS):
        up, q = envelope_ball(**plain(s), digits=DIGITS), arb(s.risk)
        beta = (up * (1 - q) / (q * (1 - up))).log() if odds else (up / q).log()
        c = (arb(s.kl) + arb(s.log_inv_delta)) / s.n
        return enclosures([(1 - (-beta * q - c).exp()) / (1 - (-beta).exp()) - up])


def near_the_best(count: int) -> tuple[CatoniSetting, ...]:
    """Settings whose beta is within a fifth of the best in hindsight."""
    rng, found = generator(1, "pb.catoni"), []
    for _ in range(count):
        q, kl, n = float(rng.uniform(0.01, 0.4)), float(10 ** rng.uniform(-1, 2)), int(10 ** rng.uniform(2, 5))
        up = float(envelope_ball(q, kl, n, 3.0, digits=20).mid())
        found.append(
            CatoniSetting(q, kl, n, 3.0, math.log(up * (1 - q) / (q * (1 - up))) * float(rng.uniform(0.8, 1.2)))
        )
    return tuple(found)


def _wrong(**changes: Any) -> dict[str, Any]:
    return {
        "predict": lambda s: predict(replace(s, **{name: change(getattr(s, name)) for name, change in changes.items()}))
    }


NEAR = ByBudget(quick=near_the_best(15), full=lambda: near_the_best(300))
WORLD_A = ByBudget(quick=tuple(CatoniSetting(0.0, 0.0, 12, float(np.log(10)), b) for b in (0.5, 1.0, 2.0, 4.0)))
WORLD_B = ByBudget(quick=tuple(CatoniSetting(0.0, 0.0, 6, float(np.log(5)), b) for b in (1.0, 4.0)))

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            control("ln(1/delta) dropped", UPPER, lambda s: phi_upper(s, c=s.kl / s.n)),
            control("ln(xi(n)/delta) for ln(1/delta)", UPPER, lambda s: phi_upper(s, c=(s.kl + s.log_inv_delta + 0.5 * math.log(2 * s.n)) / s.n)),
            control("beta for 1 - e^-beta", UPPER, lambda s: phi_upper(s) * -np.expm1(-s.beta) / s.beta),
            control("n - 1 for n", UPPER, lambda s: phi_upper(s, c=(s.kl + s.log_inv_delta) / max(s.n - 1, 0.5))),
            control("KL in bits", UPPER, lambda s: phi_upper(s, c=(s.kl / math.log(2) + s.log_inv_delta) / s.n)),
            control("the sign of beta", UPPER, lambda s: phi_upper(s, beta=-s.beta) if s.beta < 100 else 0.0),
        ),
    ),
    Check(
        "the shipped lower side is the formula at -beta, rounded downward",
        LOWER,
        controls=(
            control("ln(1/delta) dropped", LOWER, lambda s: phi_upper(s, beta=-s.beta, c=s.kl / s.n)),
            control("the sign of c", LOWER, lambda s: phi_upper(s, beta=-s.beta, c=-(s.kl + s.log_inv_delta) / s.n)),
            control("delta halved", LOWER, lambda s: phi_upper(s, beta=-s.beta, c=(s.kl + s.log_inv_delta + math.log(2)) / s.n)),
        ),
    ),
    Check(
        "world A: exact moments and failure probabilities at four betas, both signs",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_a,
        controls=(Control("beta chosen in hindsight", {"compare": compare_hindsight_a}), Control("C below 1", {"predict": lambda s: replace(predict(s), log_constant=-1e-6)})),
    ),
    Check(
        "world B: exact moments and failure probabilities at two betas, both signs",
        HighProbabilityBound(),
        settings=WORLD_B,
        compare=compare_b,
        controls=(Control("beta chosen in hindsight", {"compare": compare_hindsight_b}), Control("K forgotten", {"compare": compare_without_divergence})),
    ),
    Check(
        "world A: the shipped certificate at its worst posteriors",
        HighProbabilityBound(),
        settings=ByBudget(quick=WORLD_A.quick[1:2], standard=WORLD_A.quick),
        compare=compare_certificates,
        controls=(Control("K forgotten and examples counted three times", {"compare": lambda s, p, rows: compare_certificates(s, p, rows, upper=lambda x: phi_upper(x, c=x.log_inv_delta / (3 * x.n)))}),),
    ),
    Check(
        "no beta gives less than UP(q, (K + ln(1/delta))/n)",
        Inequality(),
        settings=NEAR,
        compare=compare_envelope,
        controls=(Control("half of ln(1/delta)", _wrong(log_inv_delta=lambda x: x / 2)), Control("twice n", _wrong(n=lambda x: 2 * x))),
    ),
    Check(
        "the best beta gives exactly that",
        Identity(),
        settings=NEAR,
        compare=compare_optimum,
        controls=(Control("ln(p/q) as the best beta", {"compare": lambda s, p, rows: compare_optimum(s, p, rows, odds=False)}),),
    ),
)  # fmt: skip

RESULT = Result(
    CATONI,
    predict=predict,
    example=CatoniSetting(0.0155, 73.2, 30_000, float(-np.log(0.025)), 1.0),
    checks=CHECKS,
    uses=(master.RESULT,),
    derivation=DERIVATION,
)
