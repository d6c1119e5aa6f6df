"""Price's identity: dV/dc = E phi'(u) phi'(v), so a closed form of V certifies Vd and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from flint import arb, ctx
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Identity
from ....numerics.kernels.activation_kernels import activation_kernels
from ....numerics.store import Rows
from ....theory.activations import ABRelu, Activation, Cosine, LeakyRelu, Rbf, Scaled, Sine
from ....theory.axioms import DIFFERENTIATION, FUBINI
from ....theory.balls.context import to_ball
from ....theory.balls.dual_table import dual_of
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.infinite_width.kernels import PRICE_IDENTITY
from ...result import ByBudget, Check, Control, Result
from . import dual_algebra, dual_rows, dual_table_algebra
from .dual_rows import DualSetting

DIGITS = 60
EVERY: tuple[Activation, ...] = (
    "identity", "relu", "abs", "sign", "erf", "gelu", "sin", "cos",
    LeakyRelu(0.1), ABRelu(-0.3, 1.2), Sine(1.3, 0.7, 0.4), Cosine(1.1, 0.8, -0.5), Rbf(0.6),
    Scaled("gelu", 1.5, 0.8, -0.2), Scaled("relu", 1.2, 0.8, -0.3),
)  # fmt: skip


@dataclass(frozen=True)
class PricePrediction:
    """dV/dc = E phi'(u) phi'(v), (n, m)."""

    derivative: Float[np.ndarray, "n m"]


INSIDE = (("a", 1, 2), ("b", 1, 2), ("c", -0.5, 0.5))

DERIVATION = (
    Algebra("the density p of (u,v) satisfies dp/dc = d^2p/du dv", dual_algebra.heat_equation, INSIDE),
    Axiom(DIFFERENTIATION, "so dV/dc = int phi(u) phi(v) d^2p/du dv, since phi grows at most polynomially"),
    Axiom(FUBINI, "with phi(u) - phi(0) = int_0^u phi' both derivatives move onto phi: dV/dc = E phi'(u) phi'(v)"),
    Algebra("in the same way dp/da = (1/2) d^2p/du^2, so dV/da = (1/2) E phi''(u) phi(v)", dual_table_algebra.heat_equation_in_a, INSIDE),
    Algebra("where phi'' of max(z,0) is a unit mass at 0: dV/da = s/(4 pi a)", dual_table_algebra.relu_in_a, INSIDE),
)  # fmt: skip


def predict(s: DualSetting) -> PricePrediction:
    return PricePrediction(activation_kernels(s.x, s.y, activation=s.activation).derivative)


# --- checks -------------------------------------------------------------------------------------------------------


def compare_slopes(
    s: DualSetting, p: PricePrediction, rows: Rows, *, wrong: Callable[[arb], arb] | None = None
) -> Enclosures:
    """(V(c+h) - V(c-h))/2h - Vd(c) in ball arithmetic, the truncation included, at each pair of the setting.

    In c/p, p = sqrt(ab), V is a power series whose coefficients are products of Hermite coefficients, so |V| is at most
    V0 = sqrt(V(a,a,a) V(b,b,b)) in the disc |c| <= p; Cauchy's estimate in the disc of radius r = p - |c| about c bounds
    the truncation by V0 h^2/(r^3 (1 - (h/r)^2)).
    """
    low, high = [], []
    with ctx.workdps(DIGITS):
        dual = dual_of(s.activation)
        for x in s.x.tolist():
            for y in s.y.tolist():
                a, b, c = (_inner(u, v) for u, v in ((x, x), (y, y), (x, y)))
                h = Fraction(1, 10**15)
                ends = [_evaluate(dual, a, b, c + step)[0] for step in (h, -h)]
                slope = _evaluate(dual, a, b, c)[1]
                if slope is None:
                    outer = to_ball(Fraction(getattr(s.activation, "outer", 1)))
                    slope = 2 * outer**2 / (arb.pi() * to_ball(a * b - c * c).sqrt())
                slope = wrong(slope) if wrong else slope
                size = (
                    dual(to_ball(a), to_ball(a), to_ball(a), arb(0))[0]
                    * dual(to_ball(b), to_ball(b), to_ball(b), arb(0))[0]
                ).sqrt()
                radius = to_ball(a * b).sqrt() - abs(to_ball(c))
                step = to_ball(h)
                truncation = size * step**2 / (radius**3 * (1 - (step / radius) ** 2))
                difference = (ends[0] - ends[1]) / (2 * step) - slope
                low.append(float((difference - truncation).lower()))
                high.append(float((difference + truncation).upper()))
    return Enclosures(np.array(low), np.array(high), width=1e-20)


def _inner(u: list[float], v: list[float]) -> Fraction:
    return sum((Fraction(p) * Fraction(q) for p, q in zip(u, v, strict=True)), Fraction(0))


def _evaluate(dual: Any, a: Fraction, b: Fraction, c: Fraction) -> Any:
    return dual(*(to_ball(v) for v in (a, b, c, a * b - c * c)))


POINTS = np.array([[0.9, -0.3, 0.4], [-0.6, 1.1, 0.2], [0.1, 0.4, -1.3]])
SETTINGS = tuple(DualSetting(POINTS, POINTS[::-1] * 1.3 + 0.1, activation) for activation in EVERY)
FORMULA = Formula(
    expression=lambda s: dual_rows.exact(s)[1],
    shipped=lambda s: predict(s).derivative,
    read=lambda p: p.derivative,
    sample=lambda rng: dual_rows.sampler(lambda g: EVERY[g.integers(len(EVERY))], kinked=True)(rng),
    width=lambda s: dual_rows.width(s)[1],
    count=90,
)


def _only(activation: Activation, factor: float) -> dict[str, Any]:
    """The shipped slopes with those of one activation off by a factor."""
    return {
        "claim": replace(
            FORMULA, shipped=lambda s: predict(s).derivative * (factor if s.activation == activation else 1.0)
        )
    }


CHECKS = (
    Check(
        "slopes of the table's V are its Vd",
        Identity(),
        settings=ByBudget(quick=SETTINGS),
        compare=compare_slopes,
        controls=(
            Control("Vd 1e-15 off", {"compare": partial(compare_slopes, wrong=lambda v: v * (1 + arb(10) ** -15))}),
            Control("factor 2", {"compare": partial(compare_slopes, wrong=lambda v: 2 * v)}),
            Control("dV/da for dV/dc", {"compare": partial(compare_slopes, wrong=lambda v: v / 2)}),
        ),
    ),
    Check(
        "shipped Vd",
        FORMULA,
        controls=(
            Control("GELU 1e-10 off", _only("gelu", 1 + 1e-10)),
            Control("erf 1e-10 off", _only("erf", 1 - 1e-10)),
            Control("sign's factor 2 forgotten", _only("sign", 0.5)),
            Control("the Gaussian kernel's 2 gam forgotten", _only(Rbf(0.6), 1 / 1.2)),
        ),
    ),
)  # fmt: skip

EXAMPLE = DualSetting(POINTS[:2], POINTS, "gelu")
RESULT = Result(PRICE_IDENTITY, predict, EXAMPLE, CHECKS, derivation=DERIVATION)

RESULTS = (RESULT,)
