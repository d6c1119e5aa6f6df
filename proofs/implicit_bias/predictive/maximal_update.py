"""Maximal update scales of mean and factor: what the first step of sampled training does knows no width, and the rank only by a term 2/R."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Formula
from ....theory.axioms import GAUSSIAN_AFFINE, INDEPENDENCE, LINEARITY, TOWER
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.predictive import MUP_COV
from ...result import ByBudget, Check, Control, Result
from ..regression import stability
from .maximal_update_evidence import (
    FirstStepPrediction,
    FirstStepSetting,
    compare,
    draw_setting,
    exact,
    numbers,
    simulate,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def doubled_variance() -> Equations:
    """An entry of mean + S z, S with R columns; of A Z B^T with R and T columns."""
    import sympy

    s, r, t = sympy.symbols("s r t", positive=True)
    return [
        (s**2 + r * (s / sympy.sqrt(r)) ** 2, 2 * s**2),
        (s**2 + r * t * (1 / r) * (s / sympy.sqrt(t)) ** 2, 2 * s**2),
    ]


def half_of_the_moments() -> Equations:
    """E max(a, 0)^2 = 1/2 and P(a > 0) = 1/2 for a ~ N(0, 1), by antiderivatives; the variance is a factor of the first."""
    import sympy

    a = sympy.Symbol("a", positive=True)
    density = sympy.exp(-(a**2) / 2) / sympy.sqrt(2 * sympy.pi)
    below = sympy.erf(a / sympy.sqrt(2)) / 2
    pairs: Equations = []
    for power, antiderivative in ((2, below - a * density), (0, below)):
        pairs.append((sympy.diff(antiderivative, a), a**power * density))
        pairs.append((sympy.limit(antiderivative, a, sympy.oo) - antiderivative.subs(a, 0), sympy.Rational(1, 2)))
    return pairs


def share_of_the_factor() -> Equations:
    """E (1 + c |z|^2)^2 from E |z|^2 = R and E |z|^4 = R (R + 2), with the table's c = 1/R."""
    import sympy

    c, r = sympy.symbols("c r", positive=True)
    square = 1 + 2 * c * r + c**2 * r * (r + 2)
    return [(square.subs(c, 1 / r), 4 + 2 / r), (sympy.expand(square - (1 + c * r) ** 2), 2 * c**2 * r)]


def layers_add_up() -> Equations:
    """Sum over the layers of rate x (derivative's second moment) x (unit's), for up to two square matrices, by hand from the three
    tables."""
    import sympy

    q, d, w, r = sympy.symbols("q d w r", positive=True)
    # effective variance of an entry and effective rate (times squared multiplier) of first, square and last matrices; the ends' variances
    # are doubled
    tables = {
        "mup": ((1 / d, w), (1 / w, 1), (1 / w**2, 1 / w)),
        "sp": ((1 / d, 1), (1 / w, 1), (1 / w, 1)),
        "ntp": ((1 / d, 1 / d), (1 / w, 1 / w), (1 / w, 1 / w)),
    }
    pairs: Equations = []
    for name, (first, middle, last) in tables.items():
        for k in range(3):
            units = [w * 2 * first[0] * q / 2 * (w * middle[0] / 2) ** j for j in range(k + 1)]
            derivatives = [w * 2 * last[0] / 2 * (w * middle[0] / 2) ** (k - j) for j in range(k + 1)]
            ends = 1 + r * (1 / r)
            total = last[1] * ends * units[k] + first[1] * ends * derivatives[0] * q
            total += sum(middle[1] * derivatives[j + 1] * units[j] for j in range(k))
            closed = {"mup": (k + 1) / d + 1, "sp": (k + 1) * w / d + 1, "ntp": (k + 2) / d}[name]
            pairs.append((total, q * 2 ** sympy.Integer(1 - k) * closed))
            movement = first[1] ** 2 * derivatives[0] * q**2 * (4 + 2 / r) / w
            scale = {"mup": 1, "sp": w, "ntp": w * d**2}[name]
            pairs.append((movement, q**2 * sympy.Rational(1, 2**k) * (4 + 2 / r) / scale))
    return pairs


DERIVATION = (
    Algebra("an entry of mean + S z has variance s^2 + R (s^2/R) = 2 s^2 at every rank, and so has one of a Kronecker factor", doubled_variance),
    Axiom(GAUSSIAN_AFFINE, "given z, the entries of mean + S z are independent and normal: so is a layer's preactivation given the layer below"),
    Algebra("a ReLU keeps half of the second moment, and its gate is open with probability 1/2", half_of_the_moments),
    Axiom(INDEPENDENCE, "flipping the sign of a row changes its gate and leaves its squares and its law: gates are fair, whatever the squares and the layers below"),
    Axiom(TOWER, "so E |derivative|^2 |unit|^2 is the product of a pass backward and a pass forward, the last layer's mean being 0 and independent"),
    Axiom(LINEARITY, "the factor's gradient is the mean's times z, z independent of both: E |.|^2 is R times the mean's, and 1/R takes it back"),
    Algebra("the layers' terms sum to the closed forms, for each table and up to two square matrices", layers_add_up),
    Algebra("mean and factor move a preactivation by 1 + |z|^2/R times the mean's move, with mean square 4 + 2/R", share_of_the_factor),
    Uses(stability.RESULT, "the same 1/R keeps the largest stable step of sampled training within (0.58, 1) at every rank, in place of about 2/(R + 3)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: FirstStepSetting) -> FirstStepPrediction:
    return FirstStepPrediction(*map(float, numbers(s)))


# --- checks -------------------------------------------------------------------------------------------------------

# every layer multiplies by at most eight rounded numbers on each pass, and the speed sums one product for each layer
FORMULA = Formula(
    expression=exact,
    shipped=numbers,
    read=lambda p: np.array([p.speed, p.feature_movement, p.draw_variance]),
    sample=draw_setting,
    width=lambda s: 16 * (s.hidden + 3) * 2.0**-53,
    count=60,
)


def shipped_as(change: Callable[[FirstStepSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=change)}


def predicted_as(change: Callable[[FirstStepSetting], FirstStepSetting]) -> Mapping[str, Any]:
    return {"predict": lambda s: predict(change(s))}


NETWORKS = tuple(
    FirstStepSetting(table, 3, width, hidden, rank, 1 / rank, 2.0)
    for table in ("mup", "sp", "ntp")
    for width, hidden, rank in ((12, 1, 8), (10, 2, 6))
)
EXAMPLE = FirstStepSetting("mup", 64, 1024, 1, 10, 0.1)

CHECKS = (
    Check(
        "shipped expectations against the closed forms in fractions",
        FORMULA,
        controls=(
            Control("all off by 1e-12", shipped_as(lambda s: numbers(s) * (1 + 1e-12))),
            Control("one square matrix more", shipped_as(lambda s: numbers(replace(s, hidden=s.hidden + 1)))),
            Control("factor at the mean's rate", shipped_as(lambda s: numbers(replace(s, factor_rate=1.0)))),
            Control("4 in place of 4 + 2/R", shipped_as(lambda s: numbers(s) * np.array([1, (1 + s.rank * s.factor_rate) ** 2 / ((1 + s.rank * s.factor_rate) ** 2 + 2 * s.rank * s.factor_rate**2), 1]))),
            Control("variance not doubled", shipped_as(lambda s: numbers(s) / np.array([1, 1, 2]))),
        ),
    ),
    Check(
        "first step of real networks",
        Agreement("Monte Carlo", relative=0.2),
        settings=ByBudget(quick=NETWORKS),
        experiment=simulate,
        plan=ByBudget(quick=({"replicates": 12_000},), standard=tuple({"replicates": 12_000, "part": part} for part in range(10))),
        compare=compare,
        controls=(
            Control("factor at the mean's rate", predicted_as(lambda s: replace(s, factor_rate=1.0))),
            Control("standard scales passed off as maximal update", predicted_as(lambda s: replace(s, parametrisation="mup"))),
            Control("maximal update passed off as neural tangent", predicted_as(lambda s: replace(s, parametrisation="ntp"))),
            Control("twice the width", predicted_as(lambda s: replace(s, width=2 * s.width))),
            Control("no factor", predicted_as(lambda s: replace(s, factor_rate=0.0))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    MUP_COV, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(stability.RESULT,), derivation=DERIVATION
)
