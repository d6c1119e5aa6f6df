"""Pinsker's inequality and its refinements, on the whole open square, and the closed-form ends they give for the kl inverse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx

from ....numerics.certified.pinsker import (
    linear_lower,
    pinsker_lower,
    pinsker_upper,
    quadratic_upper,
    relaxed_lower,
    relaxed_upper,
)
from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import MONOTONE_INVERSE
from ....theory.balls.kl import binary_kl_ball, kl_lower_ball, kl_upper_ball
from ....theory.balls.pinsker import closed_form_ends, refinements
from ....theory.derivation import Algebra, Axiom, Enclosure, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.inequalities import PINSKER
from ....theory.validation import finite, non_negative, unit_interval
from ...result import ByBudget, Check, Control, Result
from . import kl_inverse

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class EndsSetting:
    """An empirical mean q in [0, 1], a divergence c >= 0 and the free parameter gamma in (0, 2) of the linear end."""

    q: float
    c: float
    gamma: float

    def __post_init__(self) -> None:
        unit_interval("q", self.q), non_negative("c", finite("c", self.c))
        if not 0 < self.gamma < 2:
            raise InvalidInput(f"gamma is {self.gamma}.", "It must lie strictly between 0 and 2.")


@dataclass(frozen=True)
class EndsPrediction:
    """Upper ends of UP(q,c), then lower ends of LO(q,c)."""

    pinsker_upper: float
    quadratic_upper: float
    relaxed_upper: float
    pinsker_lower: float
    relaxed_lower: float
    linear_lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


def _symbols() -> Any:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    return sympy, q, p, q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))


def integrand() -> list[tuple[Any, Any]]:
    sympy, q, p, kl = _symbols()
    return [(sympy.diff(kl, p), (p - q) / (p * (1 - p))), (kl.subs(p, q), sympy.Integer(0))]


def pinsker_slope() -> list[tuple[Any, Any]]:
    sympy, q, p, kl = _symbols()
    return [(sympy.diff(kl - 2 * (p - q) ** 2, p), (p - q) * (1 - 2 * p) ** 2 / (p * (1 - p)))]


def larger_end_slopes() -> list[tuple[Any, Any]]:
    sympy, q, p, kl = _symbols()
    above = (p - q) * ((p - q) + p * (p + q)) / (2 * p**2 * (1 - p))
    below = -(q - p) * ((q - p) + p**2) / (q * p * (1 - p))
    return [
        (sympy.diff(kl - (p - q) ** 2 / (2 * p), p), above),
        (sympy.diff(kl - (p - q) ** 2 / (2 * q), p), below),
    ]


def largest_variance() -> list[tuple[Any, Any]]:
    sympy, q, p, _ = _symbols()
    m = sympy.Symbol("m", positive=True)
    left = (p - q) / (p * (1 - p)) - (p - q) / m
    return [(left, (p - q) * (m - p * (1 - p)) / (m * p * (1 - p)))]


def quadratic_root() -> list[tuple[Any, Any]]:
    import sympy

    q, c = sympy.symbols("q c", positive=True)
    root = q + c + sympy.sqrt(c**2 + 2 * q * c)
    other = q + c - sympy.sqrt(c**2 + 2 * q * c)
    p = sympy.Symbol("p", positive=True)
    return [(sympy.expand((p - root) * (p - other)), sympy.expand((p - q) ** 2 - 2 * p * c))]


def relaxations() -> list[tuple[Any, Any]]:
    import sympy

    a, b, g = sympy.symbols("a b g", positive=True)
    # a^2 = 2 q c and b = c: (a + b)^2 - (b^2 + a^2) = 2ab; then with a^2 = q, b^2 = 2c: (g/2) q + c/g - sqrt(2qc) is a square over 2g
    return [
        ((a + b) ** 2 - (b**2 + a**2), 2 * a * b),
        (g / 2 * a**2 + b**2 / (2 * g) - a * b, (g * a - b) ** 2 / (2 * g)),
    ]


def slack_away_from_the_diagonal(q: Any, p: Any) -> Any:
    kl = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
    return kl - 2 * (p - q) ** 2


DERIVATION = (
    Algebra("kl(q||q) = 0 and d kl/dp = (p-q)/(p(1-p)): kl is the integral from q to p of (x-q)/(x(1-x))", integrand, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Algebra("d/dp (kl - 2(p-q)^2) = (p-q)(1-2p)^2/(p(1-p)) has the sign of p-q: kl - 2(p-q)^2 is least, 0, at p = q, for every q in (0,1) and up to the edges", pinsker_slope, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Enclosure("the same by balls alone, away from the diagonal", slack_away_from_the_diagonal, ((0.01, 0.2), (0.6, 0.99))),
    Algebra("d/dp (kl - (p-q)^2/(2p)) is not negative for p >= q; d/dp (kl - (p-q)^2/(2q)) is not positive for p <= q", larger_end_slopes, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Algebra("the integrand is at least (x-q)/m where m is at least x(1-x) between q and p", largest_variance, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(kl_inverse.RESULT, "at p = UP(q,c) or LO(q,c) kl is at most c (below c only at the edges 1 and 0), so each lower bound on kl bounds |p-q|"),
    Axiom(MONOTONE_INVERSE, "2 g^2 <= c gives sqrt(c/2); (p-q)^2 <= 2qc below q gives sqrt(2qc)"),
    Algebra("(p-q)^2 <= 2pc means p between the roots q + c -+ sqrt(c^2 + 2qc)", quadratic_root),
    Algebra("sqrt(c^2 + 2qc) <= c + sqrt(2qc), and sqrt(2qc) <= (g/2) q + c/g because the difference is a square", relaxations),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: EndsSetting) -> EndsPrediction:
    return EndsPrediction(
        pinsker_upper(s.q, s.c),
        quadratic_upper(s.q, s.c),
        relaxed_upper(s.q, s.c),
        pinsker_lower(s.q, s.c),
        relaxed_lower(s.q, s.c),
        linear_lower(s.q, s.c, s.gamma),
    )


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> EndsSetting:
    small = 10 ** rng.uniform(-30, 0)
    q = float(
        rng.choice([0.0, 1.0, small, 1 - 10 ** rng.uniform(-15, 0), rng.uniform()], p=[0.05, 0.05, 0.3, 0.2, 0.4])
    )
    return EndsSetting(q, float(10 ** rng.uniform(-16, 1.7)), float(rng.uniform(0.01, 1.99)))


UPPER = Formula(
    expression=lambda s: list(vars(closed_form_ends(s.q, s.c, s.gamma)).values())[:3],
    shipped=lambda s: [pinsker_upper(s.q, s.c), quadratic_upper(s.q, s.c), relaxed_upper(s.q, s.c)],
    read=lambda p: [p.pinsker_upper, p.quadratic_upper, p.relaxed_upper],
    sample=sample,
    # a quotient or product and sum under a root (an ulp each, halved), the root and the last sum: all terms are positive
    width=lambda s: 8 * HALF_ULP,
    side="upper",
    count=100,
)


def sample_below(rng: np.random.Generator) -> EndsSetting:
    """c so small that no lower end comes near 0, where its terms cancel."""
    q = float(10 ** rng.uniform(-12, 0))
    c = float(q * 10 ** rng.uniform(-12, -2))
    return EndsSetting(q, min(c, q * q / 20), float(rng.uniform(0.2, 1.6)))


LOWER = replace(
    UPPER,
    expression=lambda s: list(vars(closed_form_ends(s.q, s.c, s.gamma)).values())[3:],
    shipped=lambda s: [pinsker_lower(s.q, s.c), relaxed_lower(s.q, s.c), linear_lower(s.q, s.c, s.gamma)],
    read=lambda p: [p.pinsker_lower, p.relaxed_lower, p.linear_lower],
    sample=sample_below,
    # the subtracted terms are below q/4 (Pinsker, root), and (1 - gamma/2) q is at least four times c/gamma where c <= q/100
    width=lambda s: [10 * HALF_ULP, 10 * HALF_ULP, 10 * HALF_ULP * _conditioning(s)],
    side="lower",
)


def _conditioning(s: EndsSetting) -> float:
    """Size of the linear end's terms over its value."""
    first, second = (1 - s.gamma / 2) * s.q, s.c / s.gamma
    return (first + second) / abs(first - second)


def _mutant(formula: Formula, index: int, function: Any) -> dict[str, Any]:
    def shipped(s: EndsSetting) -> list[float]:
        values = list(formula.shipped(s))
        values[index] = float(function(s))
        return values

    return {"claim": replace(formula, shipped=shipped)}


def _settings(count: int) -> tuple[EndsSetting, ...]:
    return tuple(sample(generator(1, "pb.pinsker", index)) for index in range(count))


def _enclosures(gaps: list[Any]) -> Enclosures:
    return Enclosures(np.array([float(g.lower()) for g in gaps]), np.array([float(g.upper()) for g in gaps]), 1e-25)


def compare_ends(s: EndsSetting, p: EndsPrediction, rows: Rows) -> Enclosures:
    """Upper ends minus UP, LO minus lower ends, and the declared order among the ends; relative to max(UP, c) or q."""
    with ctx.workdps(60):
        up, low = kl_upper_ball(s.q, s.c).p, kl_lower_ball(s.q, s.c).p
        exact = closed_form_ends(s.q, s.c, s.gamma)
        gaps = [arb(x) - up for x in (p.pinsker_upper, p.quadratic_upper, p.relaxed_upper)]
        gaps += [low - arb(x) for x in (p.pinsker_lower, p.relaxed_lower, p.linear_lower)]
        gaps += [arb(p.relaxed_upper) - exact.quadratic_upper, exact.relaxed_lower - arb(p.linear_lower)]
        scale = max(s.q, s.c)
        return _enclosures([gap / scale for gap in gaps])


def compare_divergence(s: EndsSetting, p: EndsPrediction, rows: Rows, *, factor: float = 1.0) -> Enclosures:
    """kl(q||p) against its lower bounds, near the diagonal, near the edges and far from both; relative to kl."""
    rng = generator(2, "pb.pinsker", s.q, s.c)
    near = min(max(s.q + float(rng.choice([-1, 1]) * 10 ** rng.uniform(-12, -1)), 1e-300), 1 - 1e-16)
    gaps = []
    for other in (
        near,
        float(10 ** rng.uniform(-200, -1)),
        float(1 - 10 ** rng.uniform(-15, -1)),
        float(rng.uniform()),
    ):
        kl = binary_kl_ball(s.q, other)
        if not kl.is_finite() or s.q == other:
            continue
        with ctx.workdps(60):
            gaps += [slack(kl / factor) * factor / kl for slack in refinements(s.q, other).values()]
    return _enclosures(gaps)


def compare_more(s: EndsSetting, p: EndsPrediction, rows: Rows) -> Enclosures:
    return compare_divergence(s, p, rows, factor=1.01)


def _with(**changes: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), **{name: float(f(s)) for name, f in changes.items()})}


SETTINGS = ByBudget(quick=_settings(60), standard=lambda: _settings(400))

CHECKS = (
    Check(
        "the shipped upper ends are the formulas, rounded upward",
        UPPER,
        controls=(
            Control("sqrt(c) for sqrt(c/2)", _mutant(UPPER, 0, lambda s: s.q + np.sqrt(s.c))),
            Control("qc for 2qc under the root", _mutant(UPPER, 1, lambda s: s.q + s.c + np.sqrt(s.c**2 + s.q * s.c))),
            Control("c for 2c in the relaxed form", _mutant(UPPER, 2, lambda s: s.q + np.sqrt(2 * s.q * s.c) + s.c)),
        ),
    ),
    Check(
        "the shipped lower ends are the formulas, rounded downward",
        LOWER,
        controls=(
            Control("c for c/2", _mutant(LOWER, 0, lambda s: s.q - np.sqrt(s.c))),
            Control("qc for 2qc", _mutant(LOWER, 1, lambda s: s.q - np.sqrt(s.q * s.c))),
            Control("1 - gamma for 1 - gamma/2", _mutant(LOWER, 2, lambda s: (1 - s.gamma) * s.q - s.c / s.gamma)),
            Control("c gamma for c/gamma", _mutant(LOWER, 2, lambda s: (1 - s.gamma / 2) * s.q - s.c * s.gamma)),
        ),
    ),
    Check(
        "each end encloses the exact inverse, in the declared order",
        Inequality(),
        settings=SETTINGS,
        compare=compare_ends,
        controls=(
            Control("sqrt(c/4) for sqrt(c/2)", _with(pinsker_upper=lambda s: s.q + np.sqrt(s.c / 4))),
            Control("the root form sqrt(2qc) as an upper end", _with(quadratic_upper=lambda s: s.q + np.sqrt(2 * s.q * s.c))),
            Control("half of c in the relaxed form", _with(relaxed_upper=lambda s: s.q + np.sqrt(2 * s.q * s.c) + s.c / 2)),
            Control("sqrt(qc) below", _with(relaxed_lower=lambda s: s.q - np.sqrt(s.q * s.c))),
            Control("c/(4 gamma) in the linear end", _with(linear_lower=lambda s: (1 - s.gamma / 2) * s.q - s.c / (4 * s.gamma))),
        ),
    ),
    Check(
        "kl is at least each of its quadratic lower bounds",
        Inequality(),
        settings=SETTINGS,
        compare=compare_divergence,
        controls=(Control("one percent more", {"compare": compare_more}),),
    ),
)  # fmt: skip

RESULT = Result(
    PINSKER,
    predict=predict,
    example=EndsSetting(0.05, 0.02, 1.0),
    checks=CHECKS,
    uses=(kl_inverse.RESULT,),
    derivation=DERIVATION,
)
