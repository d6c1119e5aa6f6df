"""Occam with the empirical risk estimated on m of the n training examples: two events, a share of delta for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx
from scipy.stats import binom, hypergeom

from ....numerics.bounds.subsample import subsampled_occam
from ....numerics.certified.kl_inverse import kl_upper
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, UNION
from ....theory.balls.context import to_ball
from ....theory.balls.occam import level_ball, rational, subsample_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.held_out import SUBSAMPLE
from ....theory.validation import log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import pinsker
from . import chernoff, occam

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class SubsampleSetting:
    """Mean loss on the m evaluated of n examples, in [low, high]; ln(1/w) in nats; the share of delta for the sample; ln(1/delta)."""

    risk: float
    m: int
    n: int
    low: float
    high: float
    log_inv_weight: float
    share: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        sample_size("m", self.m), sample_size("n", self.n), non_negative("log_inv_weight", self.log_inv_weight)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not (self.low <= self.risk <= self.high and self.low < self.high and 0 < self.share < 1):
            raise InvalidInput(f"{self} is no subsample.", "low <= risk <= high, and the share lies between 0 and 1.")


@dataclass(frozen=True)
class SubsamplePrediction:
    """The bound in the kl form and in the published Hoeffding form (neither clipped)."""

    kl: float
    hoeffding: float


# --- derivation ---------------------------------------------------------------------------------------------------


def averaging_raises_products() -> list[tuple[Any, Any]]:
    import sympy

    a, b, mu = sympy.symbols("a b mu", positive=True)
    # y_1 = a, y_2 = b become mu and a + b - mu: their sum stays, their product grows by (a - mu)(mu - b), where b <= mu <= a
    product = mu * (a + b - mu)
    y = sympy.symbols("y3:6", positive=True)

    def symmetric(first: Any, second: Any) -> Any:
        rest1, rest2, rest3 = sum(y), y[0] * y[1] + y[0] * y[2] + y[1] * y[2], y[0] * y[1] * y[2]
        return first * second * rest1 + (first + second) * rest2 + rest3  # e_3 of five numbers

    return [
        (product - a * b, (a - mu) * (mu - b)),
        (symmetric(mu, a + b - mu) - symmetric(a, b), (a - mu) * (mu - b) * sum(y)),
    ]


DERIVATION = (
    Axiom(CONDITIONING, "given the training sample and h, fixed before the draw, the m losses are drawn from the n known ones"),
    Algebra("elementary symmetric functions of positive numbers do not fall when the largest a and the smallest b become the mean mu and a + b - mu", averaging_raises_products),
    Uses(chernoff.RESULT, "after n-1 such steps all numbers are the mean: with y_i = e^{-l x_i}, E e^{-l sum} without replacement, e_m(y)/C(n,m), is at most "
         "(mean y)^m, its value with replacement; so either way rh <= UP(rh_m, s2/m) fails with probability at most e^-s2"),
    Uses(occam.KL_RESULT, "r(h) <= UP(rh(h), (ln(1/w) + s1)/n) for all h at once fails with probability at most e^-s1"),
    Axiom(UNION, "s1 = ln(1/(s delta)), s2 = ln(1/((1-s) delta)): together at most delta. UP grows with its first argument, so the two chain"),
    Uses(pinsker.RESULT, "UP(q, c) <= q + sqrt(c/2), twice, and losses in [a, a+R] mapped to [0, 1] and back: the published form"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def _bound(s: SubsampleSetting, form: Any) -> float:
    return subsampled_occam(
        risk=s.risk,
        m=s.m,
        n=s.n,
        log_inv_weight=s.log_inv_weight,
        interval=(s.low, s.high),
        share=s.share,
        form=form,
        log_inv_delta=s.log_inv_delta,
    ).raw


def predict(s: SubsampleSetting) -> SubsamplePrediction:
    return SubsamplePrediction(_bound(s, "kl"), _bound(s, "hoeffding"))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SubsampleSetting:
    low = float(rng.choice([0.0, rng.uniform(0, 3)]))
    high = low + float(10 ** rng.uniform(-1, 1))
    share = float(rng.uniform(0.02, 0.98))
    risk = float(rng.choice([low, high, low + (high - low) * rng.uniform()], p=[0.1, 0.1, 0.8]))
    n = int(10 ** rng.uniform(1, 9))
    weight = float(rng.choice([0.0, 10 ** rng.uniform(0, 5)]))
    return SubsampleSetting(
        min(risk, high), int(n ** rng.uniform(0.2, 1)), n, low, high, weight, share, float(10 ** rng.uniform(-0.5, 2))
    )


def expression(s: SubsampleSetting) -> list[arb]:
    share = Fraction(s.share)
    with ctx.workdps(70):
        first = level_ball(s.log_inv_delta, s.log_inv_weight) - to_ball(share).log()
        part = arb(s.log_inv_delta) - to_ball(1 - share).log()
        interval = (s.low, s.high)
        slack = (first / (2 * s.n)).sqrt() + (part / (2 * s.m)).sqrt()
        # both levels are irrational: the ends of the second, and the first as a ball
        ends = [
            subsample_ball(s.risk, s.m, s.n, interval, "kl", first, rational(e), 25)
            for e in (part.lower(), part.upper())
        ]
        width = to_ball(Fraction(s.high) - Fraction(s.low))
        return [ends[0].union(ends[1]), arb(s.risk) + width * slack]


def width(s: SubsampleSetting) -> list[float]:
    """Levels are 12 half-ulps up (1 - share up to 2 more over itself, as a logarithm's absolute error); each UP 12; scaling there and back 10.

    The first mapping (risk - low)/(high - low) cancels: 3 half-ulps of low and risk over it, passed on by UP with a slope of at most
    UP/q, and the result is at least low + (high - low) UP. The Hoeffding form has the same levels under roots.
    """
    level = 12 + 4 / (s.share * (1 - s.share)) / min(s.log_inv_delta, 1.0)
    gap = max(s.risk - s.low, 1e-300)
    mapped = 4 * (abs(s.low) + abs(s.risk)) / gap if s.risk > s.low else 0.0
    return [(2 * level + 34 + mapped) * HALF_ULP, (level + 16) * HALF_ULP]


FORMULA = Formula(
    expression=expression,
    shipped=lambda s: [_bound(s, "kl"), _bound(s, "hoeffding")],
    read=lambda p: [p.kl, p.hoeffding],
    sample=sample,
    width=width,
    side="upper",
    count=50,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: [float(x) for x in function(s)])}


def by_hand(s: SubsampleSetting, **change: Any) -> list[float]:
    """Both forms with named pieces replaced."""
    first = change.get("first", s.log_inv_weight + s.log_inv_delta - np.log(s.share))
    second = change.get("second", s.log_inv_delta - np.log1p(-s.share))
    n, m, size = change.get("n", s.n), change.get("m", s.m), change.get("size", s.high - s.low)
    q = min(1.0, (s.risk - s.low) / (s.high - s.low))
    nested = float(kl_upper(kl_upper(q, second / m), first / n))
    return [s.low + size * nested, s.risk + size * (np.sqrt(first / (2 * n)) + np.sqrt(second / (2 * m)))]


def compare_order(s: SubsampleSetting, p: SubsamplePrediction, rows: Rows) -> Enclosures:
    """The published form minus the exact kl form, over the range of the loss."""
    with ctx.workdps(40):
        gap = (arb(p.hoeffding) - expression(s)[0]) / (arb(s.high) - arb(s.low))
        return Enclosures(np.array([float(gap.lower())]), np.array([float(gap.upper())]), 1e-20)


HYPOTHESES = 16


def compare_coverage(
    s: SubsampleSetting, p: SubsamplePrediction, rows: Rows, *, form: str = "kl", bound: Any = None
) -> Coverage:
    """Sixteen independent hypotheses of risk r; that with the fewest errors on the training set is chosen, then m examples are drawn
    without replacement. The failure probability is a finite sum over its errors K and those seen, k, for the worst of many r.
    """
    ends = np.array([(bound or _shipped(form))(replace(s, risk=k / s.m)) for k in range(s.m + 1)])
    errors, worst = np.arange(s.n + 1), 0.0
    seen = np.array([hypergeom.pmf(np.arange(s.m + 1), s.n, int(total), s.m) for total in errors])
    for risk in np.concatenate([np.nextafter(ends[ends < 1], 1.0), np.linspace(0.05, 0.95, 10)]):
        above = np.append(binom.sf(errors - 1, s.n, risk), 0.0) ** HYPOTHESES  # P(all of them make at least K errors)
        chance = above[:-1] - above[1:]
        worst = max(worst, float(chance @ (seen @ (ends < risk))))
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=worst, note=f"{form} form, best of 16 on the training set")


def compare_hoeffding(s: SubsampleSetting, p: SubsamplePrediction, rows: Rows) -> Coverage:
    return compare_coverage(s, p, rows, form="hoeffding")


def _shipped(form: str) -> Any:
    return lambda s: _bound(s, form)


def _wrong(bound: Any) -> dict[str, Any]:
    return {"compare": lambda s, p, rows: compare_coverage(s, p, rows, bound=bound)}


def no_subsample_event(s: SubsampleSetting) -> float:
    return float(kl_upper(s.risk, (s.log_inv_weight + s.log_inv_delta) / s.n))


def all_counted(s: SubsampleSetting) -> float:
    return by_hand(s, m=s.n)[0]


def _worlds() -> tuple[SubsampleSetting, ...]:
    return tuple(
        SubsampleSetting(0.0, m, n, 0.0, 1.0, float(np.log(HYPOTHESES)), m / (m + n), float(-np.log(d)))
        for m, n in ((5, 40), (12, 24))
        for d in (0.1, 0.3)
    )


def _settings(count: int) -> tuple[SubsampleSetting, ...]:
    return tuple(sample(generator(1, "pb.subsample", index)) for index in range(count))


CHECKS = (
    Check(
        "both shipped forms are the last step, rounded upward",
        FORMULA,
        controls=(
            Control("the weight forgotten", _mutant(lambda s: by_hand(s, first=s.log_inv_delta - np.log(s.share)))),
            Control("the whole delta for the sample", _mutant(lambda s: by_hand(s, first=s.log_inv_weight + s.log_inv_delta))),
            Control("the whole delta for the draw", _mutant(lambda s: by_hand(s, second=s.log_inv_delta))),
            Control("the shares exchanged", _mutant(lambda s: _swapped(s))),
            Control("n for m", _mutant(lambda s: by_hand(s, m=s.n))),
            Control("n + 1 for n", _mutant(lambda s: by_hand(s, n=s.n + 1))),
            Control("m + 1 for m", _mutant(lambda s: by_hand(s, m=s.m + 1))),
            Control("range 1 for every loss", _mutant(lambda s: by_hand(s, size=1.0))),
        ),
    ),
    Check(
        "the published form is never below the kl form",
        Inequality(),
        settings=ByBudget(quick=_settings(25), standard=lambda: _settings(200)),
        compare=compare_order,
        controls=(
            Control("4n and 4m under its roots", {"predict": lambda s: SubsamplePrediction(0.0, by_hand(s, n=2 * s.n, m=2 * s.m)[1])}),
            Control("the second root dropped", {"predict": lambda s: SubsamplePrediction(0.0, by_hand(s, second=0.0)[1])}),
        ),
    ),
    Check(
        "exact failure probability of the kl form",
        HighProbabilityBound(),
        settings=ByBudget(quick=_worlds()),
        compare=compare_coverage,
        controls=(
            Control("the estimate taken for the empirical risk", _wrong(no_subsample_event)),
            Control("m draws counted as n", _wrong(all_counted)),
        ),
    ),
    Check(
        "exact failure probability of the published form",
        HighProbabilityBound(),
        settings=ByBudget(quick=_worlds()),
        compare=compare_hoeffding,
        controls=(Control("the second root dropped", _wrong(lambda s: by_hand(s, second=0.0)[1])),),
    ),
)  # fmt: skip


def _swapped(s: SubsampleSetting) -> list[float]:
    return by_hand(
        s,
        first=s.log_inv_weight + s.log_inv_delta - np.log1p(-s.share),
        second=s.log_inv_delta - np.log(s.share),
    )


RESULT = Result(
    SUBSAMPLE,
    predict=predict,
    example=SubsampleSetting(2.1, 10_000, 9_000_000, 0.0, 15.0, 8000.0, 10_000 / 9_010_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(chernoff.RESULT, occam.KL_RESULT, pinsker.RESULT),
    derivation=DERIVATION,
)
