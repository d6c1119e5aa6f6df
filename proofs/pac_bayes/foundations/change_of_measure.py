"""Donsker-Varadhan: E_Q f <= KL(Q||P) + ln E_P e^f for every Q, with equality at dQ/dP proportional to e^f."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq
from numpy.typing import NDArray
from scipy.special import logsumexp

from ....numerics.claims import Agreement, Comparison, Enclosures, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import JENSEN, RADON_NIKODYM
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.foundations import DV
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result

DIGITS = 40


@dataclass(frozen=True)
class FiniteSetting:
    """A prior on finitely many points (positive weights, summing to 1) and a function on them."""

    prior: NDArray[np.float64]
    f: NDArray[np.float64]

    def __post_init__(self) -> None:
        prior, f = non_negative("prior", finite("prior", self.prior, ndim=1)), finite("f", self.f, ndim=1)
        if prior.shape != f.shape or not prior.size or prior.min() <= 0 or abs(prior.sum() - 1) > 1e-12 * prior.size:
            raise InvalidInput(
                "prior and f do not belong together.", "Give one positive weight (sum 1) and one value for each point."
            )


@dataclass(frozen=True)
class ChangeOfMeasure:
    """ln E_P e^f, the supremum of E_Q f - KL(Q||P), and the Q that attains it."""

    supremum: float
    maximiser: NDArray[np.float64]


# --- derivation ---------------------------------------------------------------------------------------------------


def gap_is_a_divergence() -> list[tuple[Any, Any]]:
    import sympy

    p, q = sympy.symbols("p1:4", positive=True), sympy.symbols("q1:4", positive=True)
    f, z = sympy.symbols("f1:4", real=True), sympy.Symbol("Z", positive=True)
    # on three points with sum(q) = 1, and Z = E_P e^f; the tilted law is p e^f / Z
    gap = [qi * sympy.log(qi / pi) + qi * sympy.log(z) - qi * fi for pi, qi, fi in zip(p, q, f, strict=True)]
    divergence = [
        qi * (sympy.log(qi) - (sympy.log(pi) + fi - sympy.log(z))) for pi, qi, fi in zip(p, q, f, strict=True)
    ]
    return [(sympy.expand_log(a, force=True), b) for a, b in zip(gap, divergence, strict=True)]


def equality_at_the_tilt() -> list[tuple[Any, Any]]:
    import sympy

    p, z, f = sympy.Symbol("p", positive=True), sympy.Symbol("Z", positive=True), sympy.Symbol("f", real=True)
    q = p * sympy.exp(f) / z
    return [(sympy.expand_log(sympy.log(q / p) + sympy.log(z) - f, force=True), sympy.Integer(0))]


DERIVATION = (
    Axiom(
        RADON_NIKODYM,
        "if Q is not absolutely continuous the divergence is infinite; otherwise work with the density dQ/dP",
    ),
    Algebra(
        "term by term, q ln(q/p) + q ln Z - q f = q ln(q/p_f) with p_f = p e^f/Z the tilted law", gap_is_a_divergence
    ),
    Axiom(JENSEN, "KL(Q||P_f) = -E_Q ln(p_f/q) >= -ln E_Q(p_f/q) >= 0"),
    Algebra("at Q = P_f every term vanishes", equality_at_the_tilt),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(setting: FiniteSetting) -> ChangeOfMeasure:
    supremum = float(logsumexp(setting.f, b=setting.prior))
    return ChangeOfMeasure(supremum, setting.prior * np.exp(setting.f - supremum))


# --- checks -------------------------------------------------------------------------------------------------------


def settings(count: int) -> tuple[FiniteSetting, ...]:
    found = []
    for index in range(count):
        rng = generator(1, "pb.dv", index)
        size = int(rng.integers(2, 9))
        prior = rng.dirichlet(np.full(size, 0.7)) + 1e-9
        found.append(FiniteSetting(prior / prior.sum(), rng.normal(size=size) * 10 ** rng.uniform(-2, 1.5)))
    return tuple(found)


def _gap(setting: FiniteSetting, q: NDArray[np.float64], *, scale: float = 1.0, reverse: bool = False) -> Any:
    """scale * KL(Q||P) + ln E_P e^f - E_Q f as a ball; the laws are normalised exactly."""
    p_raw, q_raw = (
        [fmpq(*float(x).as_integer_ratio()) for x in setting.prior],
        [fmpq(*float(x).as_integer_ratio()) for x in q],
    )
    p, qq = [arb(x / sum(p_raw, fmpq(0))) for x in p_raw], [arb(x / sum(q_raw, fmpq(0))) for x in q_raw]
    f = [arb(float(x)) for x in setting.f]
    first, second = (p, qq) if reverse else (qq, p)
    divergence = sum((a * (a / b).log() for a, b in zip(first, second, strict=True) if a > 0), arb(0))
    free = sum((a * x.exp() for a, x in zip(p, f, strict=True)), arb(0)).log()
    return arb(scale) * divergence + free - sum((a * x for a, x in zip(qq, f, strict=True)), arb(0))


def _competitors(setting: FiniteSetting, maximiser: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    rng = generator(2, "pb.dv", setting.f.tolist())
    # near the maximiser the gap is of second order: there even a small share of the divergence is missed
    nearby = [maximiser * np.exp(size * rng.normal(size=maximiser.size)) for size in (0.1, 0.01, 1e-4, 1e-6)]
    return [*(rng.dirichlet(np.full(maximiser.size, 0.5)) + 1e-300 for _ in range(12)), *(x + 1e-300 for x in nearby)]


def compare_gap(
    setting: FiniteSetting, prediction: ChangeOfMeasure, rows: Rows, *, scale: float = 1.0, reverse: bool = False
) -> Enclosures:
    with ctx.workdps(DIGITS):
        gaps = [_gap(setting, q, scale=scale, reverse=reverse) for q in _competitors(setting, prediction.maximiser)]
        return Enclosures(np.array([float(g.lower()) for g in gaps]), np.array([float(g.upper()) for g in gaps]), 1e-20)


def compare_without_divergence(setting: FiniteSetting, prediction: ChangeOfMeasure, rows: Rows) -> Enclosures:
    return compare_gap(setting, prediction, rows, scale=0)


def compare_most_of_divergence(setting: FiniteSetting, prediction: ChangeOfMeasure, rows: Rows) -> Enclosures:
    return compare_gap(setting, prediction, rows, scale=0.99)


def compare_reversed(setting: FiniteSetting, prediction: ChangeOfMeasure, rows: Rows) -> Enclosures:
    return compare_gap(setting, prediction, rows, reverse=True)


def compare_supremum(setting: FiniteSetting, prediction: ChangeOfMeasure, rows: Rows) -> Comparison:
    """E_Q f - K at the predicted maximiser, in 40 digits, against the predicted supremum."""
    with ctx.workdps(DIGITS):
        free = sum(
            (arb(float(p)) * arb(float(f)).exp() for p, f in zip(setting.prior, setting.f, strict=True)), arb(0)
        ).log()
        q = np.asarray(prediction.maximiser)
        attained = float((free - _gap(setting, q)).mid())
    # at its maximum the functional is flat, so the rounding of Q is of second order; what remains is that of logsumexp and
    # of the prior's normalisation: size + 4 roundings of terms no larger than max|f| + ln(1/min P)
    scale = float(np.abs(setting.f).max() - np.log(setting.prior.min()))
    bound = np.array([(setting.f.size + 4) * 2.0**-52 * (1 + scale)])
    return Comparison(np.array([attained]), np.array([prediction.supremum]), bound, 1 + scale)


QUICK, FULL = settings(12), settings(200)

CHECKS = (
    Check(
        "no Q does better",
        Inequality(),
        settings=ByBudget(quick=QUICK, standard=FULL),
        compare=compare_gap,
        controls=(
            Control("the divergence forgotten", {"compare": compare_without_divergence}),
            Control("99 percent of the divergence", {"compare": compare_most_of_divergence}),
            Control("KL(P||Q) in place of KL(Q||P)", {"compare": compare_reversed}),
        ),
    ),
    Check(
        "the tilted law attains the supremum",
        Agreement("rounding"),
        settings=ByBudget(quick=QUICK, standard=FULL),
        compare=compare_supremum,
        controls=(
            Control("Q = P as the maximiser", {"predict": lambda s: ChangeOfMeasure(predict(s).supremum, s.prior)}),
            Control(
                "E_P f as the supremum",
                {"predict": lambda s: ChangeOfMeasure(float(s.prior @ s.f), predict(s).maximiser)},
            ),
        ),
    ),
)

EXAMPLE = FiniteSetting(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0]))
RESULT = Result(DV, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
