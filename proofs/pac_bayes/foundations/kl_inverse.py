"""The inverse of the binary relative entropy: kl(q||UP(q,c)) = c, and every float that we return errs on the safe side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.certified import kl_lower, kl_upper, kl_upper_parts
from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import MONOTONE_INVERSE
from ....theory.balls.kl import binary_kl_ball, kl_lower_ball, kl_upper_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.pac_bayes.foundations import KLINV
from ....theory.validation import non_negative, unit_interval
from ...result import ByBudget, Check, Control, Result

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class KlInverseSetting:
    """An empirical mean q in [0, 1] and a divergence c >= 0."""

    q: float
    c: float

    def __post_init__(self) -> None:
        unit_interval("q", self.q), non_negative("c", self.c)


@dataclass(frozen=True)
class KlInversePrediction:
    """The largest and the smallest p with kl(q||p) <= c."""

    upper: float
    lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


def gap_form() -> list[tuple[Any, Any]]:
    import sympy

    q, g = sympy.symbols("q g", positive=True)

    def h(x: Any) -> Any:
        return x - sympy.log(1 + x)

    direct = q * sympy.log(q / (q + g)) + (1 - q) * sympy.log((1 - q) / (1 - q - g))
    stable = q * h(g / q) + (1 - q) * h(-g / (1 - q))
    return [
        (sympy.diff(direct, g), sympy.diff(stable, g)),
        (direct.subs(g, 0), stable.subs(g, 0)),
    ]


def slope() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    return [(sympy.diff(kl, p), (p - q) / (p * (1 - p)))]


def excess_is_convex() -> list[tuple[Any, Any]]:
    import sympy

    x = sympy.Symbol("x", positive=True)
    h = x - sympy.log(1 + x)
    # h(0) = h'(0) = 0 and h'' is a square: h >= 0 on its domain x > -1
    return [(h.subs(x, 0), 0), (sympy.diff(h, x).subs(x, 0), 0), (sympy.diff(h, x, 2), (1 / (1 + x)) ** 2)]


DERIVATION = (
    Algebra("kl(q||q+g) = q h(g/q) + (1-q) h(-g/(1-q)), h(x) = x - ln(1+x): equal slopes in g and equal values at g = 0", gap_form, (("q", 0.2, 0.4), ("g", 0.1, 0.3))),
    Algebra("d kl(q||p)/dp = (p-q)/(p(1-p)): positive above q, negative below", slope, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Algebra("h(0) = h'(0) = 0 and h'' = 1/(1+x)^2 > 0, so both terms are non-negative", excess_is_convex),
    Axiom(MONOTONE_INVERSE, "kl(q||.) is continuous and strictly monotone on each side of q, from 0 to infinity (or to -ln q at the edges)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(setting: KlInverseSetting) -> KlInversePrediction:
    return KlInversePrediction(float(kl_upper(setting.q, setting.c)), float(kl_lower(setting.q, setting.c)))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> KlInverseSetting:
    q = float(
        rng.choice(
            [rng.uniform(), 10 ** rng.uniform(-300, 0), 1 - 10 ** rng.uniform(-16, 0), 0.0, 1.0],
            p=[0.5, 0.2, 0.2, 0.05, 0.05],
        )
    )
    return KlInverseSetting(q, float(10 ** rng.uniform(-25, 2.5)))


UPPER = Formula(
    expression=lambda s: kl_upper_ball(s.q, s.c).p,
    shipped=lambda s: kl_upper(s.q, s.c),
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: 12 * HALF_ULP,  # four ulps outward and two of Newton's last step
    side="upper",
    count=400,
)


def sample_lower(rng: np.random.Generator) -> KlInverseSetting:
    """LO is about q e^(-c/q) at small q: keep it above the smallest float, far below 1e-9."""
    q = float(
        rng.choice(
            [rng.uniform(), 10 ** rng.uniform(-40, 0), 1 - 10 ** rng.uniform(-16, 0), 0.0, 1.0],
            p=[0.4, 0.3, 0.2, 0.05, 0.05],
        )
    )
    return KlInverseSetting(q, float((q or 1.0) * 10 ** rng.uniform(-25, 2.5)))


# LO is 1 - UP(1-q): its widest relative rounding is that of the complement, (v + 4) 2^-52 with v = -ln(LO/q)
LOWER = replace(
    UPPER,
    expression=lambda s: kl_lower_ball(s.q, s.c).p,
    shipped=lambda s: kl_lower(s.q, s.c),
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lambda s: 4 * (s.c / s.q + 8) * 2.0**-52 if s.q else 0.0,
    side="lower",
)


def _pairs(count: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(3, "pb.klinv", index)
    return rng.uniform(0.001, 0.9, count), 10 ** rng.uniform(-8, 0.5, count)


def compare_round_trip(
    setting: KlInverseSetting, prediction: KlInversePrediction, rows: Rows, *, reversed_order: bool = False
) -> Comparison:
    """kl(q||p) at the p that was returned, in 60 digits, against c."""
    p = (prediction.upper, prediction.lower)
    observed, bound = [], []
    for value in p:
        ball = binary_kl_ball(value, setting.q) if reversed_order else binary_kl_ball(setting.q, value)
        observed.append(float(ball.mid()))
        # the value moves by its 12 half-ulps times the slope |p - q|/(p(1-p)), and c itself by an ulp
        step = 12 * HALF_ULP * max(value, 1 - value)
        bound.append(abs(value - setting.q) / (value * (1 - value)) * step + 2 * HALF_ULP * setting.c)
    return Comparison(np.array(observed), np.full(2, setting.c), np.array(bound), setting.c)


def compare_reversed(setting: KlInverseSetting, prediction: KlInversePrediction, rows: Rows) -> Comparison:
    return compare_round_trip(setting, prediction, rows, reversed_order=True)


ROUND_TRIP = tuple(
    KlInverseSetting(float(q), float(c))
    for index in range(4)
    for q, c in zip(*_pairs(10, index), strict=True)
    if c < -np.log(q) and c < -np.log1p(-q) * 3
)

CHECKS = (
    Check(
        "the shipped upper inverse is never below the exact one",
        UPPER,
        controls=(
            Control("rounded to nearest", {"claim": replace(UPPER, shipped=lambda s: np.nextafter(kl_upper(s.q, s.c), 0.0) * (1 - 2.0**-50))}),
            Control("Pinsker's q + sqrt(c/2)", {"claim": replace(UPPER, shipped=lambda s: min(1.0, s.q + np.sqrt(s.c / 2)))}),
            Control("c halved", {"claim": replace(UPPER, shipped=lambda s: kl_upper(s.q, s.c / 2))}),
            Control("without outward rounding, bisection's midpoint to 1e-9", {"claim": replace(UPPER, shipped=lambda s: kl_upper_parts(s.q, s.c).p - 5e-10)}),
        ),
    ),
    Check(
        "the shipped lower inverse is never above the exact one",
        LOWER,
        controls=(
            Control("floored at 1e-9", {"claim": replace(LOWER, shipped=lambda s: max(1e-9, kl_lower(s.q, s.c)))}),
            Control("the upper inverse of q mirrored about q", {"claim": replace(LOWER, shipped=lambda s: 2 * s.q - kl_upper(s.q, s.c))}),
        ),
    ),
    Check(
        "kl(q||p) at the returned p is c",
        Agreement("rounding"),
        settings=ByBudget(quick=ROUND_TRIP),
        compare=compare_round_trip,
        controls=(
            Control("kl(p||q) in place of kl(q||p)", {"compare": compare_reversed}),
            Control("quadratic inverse q + c + sqrt(c^2 + 2qc)", {"predict": lambda s: KlInversePrediction(min(0.999, s.q + s.c + np.sqrt(s.c**2 + 2 * s.q * s.c)), predict(s).lower)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    KLINV, predict=predict, example=KlInverseSetting(0.05, 0.0271427570936), checks=CHECKS, derivation=DERIVATION
)
