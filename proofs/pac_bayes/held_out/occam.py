"""Occam: every member h of a countable class at its own level delta w(h), in the kl form and in the exact binomial form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from scipy.stats import binom

from ....numerics.bounds.occam import occam_binomial, occam_kl
from ....numerics.bounds.seeger import seeger_kl
from ....numerics.certified.binomial_tail import binomial_upper
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import KRAFT, UNION
from ....theory.balls.occam import level_ball, occam_binomial_ball, occam_kl_ball
from ....theory.derivation import Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.held_out import OCCAM_BINOMIAL, OCCAM_KL
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import world_a
from . import binomial, chernoff

HALF_ULP = 2.0**-53
LN2 = float(np.log(2))


@dataclass(frozen=True)
class MemberSetting:
    """Errors of one member of the class on n examples, length of its codeword in bits (ln(1/w) = bits ln 2), ln(1/delta)."""

    errors: int
    n: int
    code_bits: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        non_negative("code_bits", finite("code_bits", self.code_bits))
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not 0 <= self.errors <= sample_size("n", self.n):
            raise InvalidInput(f"{self.errors} errors in {self.n} examples.", "Errors lie between 0 and n.")


@dataclass(frozen=True)
class MemberPrediction:
    """Upper end for its risk: the weight stated in bits, and that many nats in place of the bits."""

    upper: float
    upper_nats: float


# --- derivation ---------------------------------------------------------------------------------------------------

SHARED = (
    Axiom(KRAFT, "a prefix-free code gives such weights: w = 2^-bits, ln(1/w) = bits ln 2"),
    Axiom(UNION, "the failures of all members together have probability at most the sum of delta w(h), which is at most delta"),
)  # fmt: skip
DERIVATION_KL = (
    Uses(chernoff.RESULT, "for each h, fixed before the data like its weight, at level delta w(h)"),
    *SHARED,
)
DERIVATION_BINOMIAL = (
    Uses(binomial.RESULT, "for each h, fixed before the data like its weight, at level delta w(h)"),
    *SHARED,
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict_kl(s: MemberSetting) -> MemberPrediction:
    given: dict[str, Any] = {"risk": s.errors / s.n, "n": s.n, "log_inv_delta": s.log_inv_delta}
    return MemberPrediction(
        occam_kl(code_bits=s.code_bits, **given).value, occam_kl(log_inv_weight=s.code_bits, **given).value
    )


def predict_binomial(s: MemberSetting) -> MemberPrediction:
    given: dict[str, Any] = {"errors": s.errors, "n": s.n, "log_inv_delta": s.log_inv_delta}
    return MemberPrediction(
        occam_binomial(code_bits=s.code_bits, **given).value, occam_binomial(log_inv_weight=s.code_bits, **given).value
    )


# --- checks: the formulas -----------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> MemberSetting:
    n = int(10 ** rng.uniform(0, 6))
    share = float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-5, 0)]))
    bits = float(rng.choice([float(rng.integers(0, 40)), 10 ** rng.uniform(0, 5)]))
    return MemberSetting(int(n * share), n, bits, float(10 ** rng.uniform(-0.15, 2.8)))


def _levels(s: MemberSetting) -> list[arb]:
    return [level_ball(s.log_inv_delta, code_bits=s.code_bits), level_ball(s.log_inv_delta, log_inv_weight=s.code_bits)]


KL_FORMULA = Formula(
    expression=lambda s: [occam_kl_ball(s.errors / s.n, s.n, level, 25) for level in _levels(s)],
    shipped=lambda s: list(vars(predict_kl(s)).values()),
    read=lambda p: [p.upper, p.upper_nats],
    sample=sample,
    # ln 2 two ulps up, a product, a sum and a quotient rounded up: 10 half-ulps of c, and 12 of the inverse
    width=lambda s: 22 * HALF_ULP,
    side="upper",
    count=40,
)
BINOMIAL_FORMULA = replace(
    KL_FORMULA,
    expression=lambda s: [occam_binomial_ball(s.errors, s.n, level, 20) for level in _levels(s)],
    shipped=lambda s: list(vars(predict_binomial(s)).values()),
    # the level is 8 half-ulps up, and p grows at most in proportion to it
    width=lambda s: 8 * HALF_ULP + binomial.width(binomial.ErrorsSetting(s.errors, s.n, s.log_inv_delta)),
)


def _kl(s: MemberSetting, level: float, n: float | None = None) -> float:
    return float(kl_upper(s.errors / s.n, level / (n or s.n)))


def _binomial(s: MemberSetting, level: float) -> float:
    return float(binomial_upper(s.errors, s.n, log_inv_delta=level))


def _mutants(formula: Formula, bound: Any) -> tuple[Control, ...]:
    """Wrong levels, for either form: the first value has the weight in bits, the second in nats."""
    variants: dict[str, Any] = {
        "bits taken for nats": lambda s: [s.code_bits + s.log_inv_delta] * 2,
        "nats taken for bits": lambda s: [s.code_bits * LN2 + s.log_inv_delta] * 2,
        "the weight forgotten": lambda s: [s.log_inv_delta] * 2,
        "delta forgotten": lambda s: [s.code_bits * LN2 + 1e-9, s.code_bits + 1e-9],
        "half of the weight": lambda s: [s.code_bits * LN2 / 2 + s.log_inv_delta, s.code_bits / 2 + s.log_inv_delta],
        "delta halved": lambda s: [s.code_bits * LN2 + s.log_inv_delta + LN2, s.code_bits + s.log_inv_delta + LN2],
    }

    def mutant(levels: Any) -> dict[str, Any]:
        return {"claim": replace(formula, shipped=lambda s: [bound(s, level) for level in levels(s)])}

    return tuple(Control(name, mutant(levels)) for name, levels in variants.items())


# --- checks: exact failure probabilities --------------------------------------------------------------------------

COINS = 16


def shipped_kl(errors: int, n: int, bits: float, level: float) -> float:
    return occam_kl(risk=errors / n, n=n, code_bits=bits, log_inv_delta=level).value


def shipped_binomial(errors: int, n: int, bits: float, level: float) -> float:
    return occam_binomial(errors=errors, n=n, code_bits=bits, log_inv_delta=level).value


def weight_forgotten(bound: Any) -> Any:
    return lambda errors, n, bits, level: bound(errors, n, 0.0, level)


def two_errors_less(bound: Any) -> Any:
    return lambda errors, n, bits, level: bound(max(errors - 2, 0), n, bits, level)


def _ends(bound: Any, s: MemberSetting, bits: float) -> np.ndarray:
    return np.array([bound(k, s.n, bits, s.log_inv_delta) for k in range(s.n + 1)])


def compare_coins(s: MemberSetting, p: MemberPrediction, rows: Rows, *, bound: Any) -> Coverage:
    """Sixteen independent hypotheses with code lengths 1, 2, ..., 15, 15: P(some bound fails) is a product, whatever the risks."""
    keep = 1.0
    for length in range(1, COINS):
        ends = _ends(bound, s, float(length))
        # each hypothesis has the true risk at which its own bound fails most often: just above an attained end
        truths = np.nextafter(ends[ends < 1], 1.0)
        fails = max((float(binom.cdf(np.flatnonzero(ends < t)[-1], s.n, t)) for t in truths), default=0.0)
        keep *= (1 - fails) ** (2 if length == COINS - 1 else 1)
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=1 - keep, note="16 hypotheses at their worst risks")


def compare_world_a(s: MemberSetting, p: MemberPrediction, rows: Rows, *, bound: Any) -> Coverage:
    """Three dependent hypotheses, weights .5, .3, .2, every count vector of n = 12."""
    world = world_a(s.n)
    # code lengths rounded up, so that 2^-bits does not exceed the weight
    bits = np.nextafter(-np.log2(np.exp(world.log_prior[0])), np.inf)
    ends = np.array([_ends(bound, s, float(b)) for b in bits])
    errors = np.rint(world.empirical * s.n).astype(int)
    broken = (ends[np.arange(3), errors] < world.risk).any(axis=1)
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=float(world.probability[broken].sum()), note="world A")


def compare_order(s: MemberSetting, p: MemberPrediction, rows: Rows, *, examples: float = 1.0) -> Enclosures:
    """PAC-Bayes-kl of a point mass over the kl form, and the kl form over the exact binomial one; relative gaps of what is shipped."""
    level = level_ball(s.log_inv_delta, log_inv_weight=s.code_bits)
    q = s.errors / s.n
    point_mass = seeger_kl(risk=q, kl=s.code_bits, n=s.n, log_inv_delta=s.log_inv_delta).value
    kl_form = _kl(s, s.code_bits + s.log_inv_delta, examples * s.n) if examples != 1 else predict_kl(s).upper_nats
    # k/n as a float may lie below k/n: an ulp of it, which UP passes on
    slack = 2 * HALF_ULP * q
    exact_kl, exact_binomial = occam_kl_ball(q, s.n, level, 25), occam_binomial_ball(s.errors, s.n, level, 25)
    with ctx.workdps(40):
        gaps = [(arb(point_mass) - exact_kl) / exact_kl, (arb(kl_form) + slack - exact_binomial) / exact_binomial]
        low, high = (np.array([float(end(g)) for g in gaps]) for end in (lambda g: g.lower(), lambda g: g.upper()))
        return Enclosures(low, high, 1e-20)


def compare_order_n(s: MemberSetting, p: MemberPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, examples=1.5)


def _order_settings(count: int) -> tuple[MemberSetting, ...]:
    return tuple(sample(generator(1, "pb.occam_kl", index)) for index in range(count))


SMALL = ByBudget(
    quick=(MemberSetting(0, 8, 0.0, float(-np.log(0.3))),),
    full=tuple(MemberSetting(0, n, 0.0, float(-np.log(d))) for n in (6, 12, 40) for d in (0.02, 0.1, 0.5)),
)
WORLD_A = ByBudget(quick=(MemberSetting(0, 12, 0.0, float(-np.log(0.3))),))


def _coverage_checks(bound: Any) -> tuple[Check, ...]:
    def bind(function: Any, used: Any) -> Any:
        return lambda s, p, rows: function(s, p, rows, bound=used)

    def check(name: str, settings: ByBudget, function: Any) -> Check:
        return Check(
            f"{name}: exact failure probability",
            HighProbabilityBound(),
            settings=settings,
            compare=bind(function, bound),
            controls=(
                Control("the weight forgotten", {"compare": bind(function, weight_forgotten(bound))}),
                Control("two errors less", {"compare": bind(function, two_errors_less(bound))}),
            ),
        )

    coins = check("sixteen independent hypotheses", SMALL, compare_coins)
    dependent = check("three dependent hypotheses", WORLD_A, compare_world_a)
    # three weights are too few to see a forgotten one
    return coins, replace(dependent, controls=dependent.controls[1:])


CHECKS_KL = (
    Check("the shipped bound is the last step, rounded upward", KL_FORMULA, controls=_mutants(KL_FORMULA, _kl)),
    *_coverage_checks(shipped_kl),
    Check(
        "binomial form <= kl form <= PAC-Bayes-kl of a point mass",
        Inequality(),
        settings=ByBudget(quick=_order_settings(20), standard=lambda: _order_settings(200)),
        compare=compare_order,
        controls=(Control("half as many examples again in the kl form", {"compare": compare_order_n}),),
    ),
)
CHECKS_BINOMIAL = (
    Check(
        "the shipped bound is the last step, rounded upward",
        BINOMIAL_FORMULA,
        controls=_mutants(BINOMIAL_FORMULA, _binomial),
    ),
    *_coverage_checks(shipped_binomial),
)

EXAMPLE = MemberSetting(600, 50_000, 3000.0, float(-np.log(0.05)))
KL_RESULT = Result(
    OCCAM_KL, predict=predict_kl, example=EXAMPLE, checks=CHECKS_KL, uses=(chernoff.RESULT,), derivation=DERIVATION_KL
)
BINOMIAL_RESULT = Result(
    OCCAM_BINOMIAL,
    predict=predict_binomial,
    example=EXAMPLE,
    checks=CHECKS_BINOMIAL,
    uses=(binomial.RESULT,),
    derivation=DERIVATION_BINOMIAL,
)
RESULTS = (KL_RESULT, BINOMIAL_RESULT)
