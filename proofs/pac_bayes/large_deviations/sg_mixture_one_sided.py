"""Half-normal mixture: a one-sided bound for losses with a sub-Gaussian lower tail only, all n and all Q at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, VILLE
from ....theory.balls.sub_gaussian import one_sided_width_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.large_deviations import SG_MIXTURE_ONE_SIDED
from ...result import Check, Control, Result
from ..foundations import change_of_measure
from ..real_losses_world import world_c
from .mixture_worlds import half_normal_statistic
from .mixtures import (
    COMMON,
    EXAMPLE,
    FINITE,
    MixturePrediction,
    MixtureSetting,
    one,
    predict,
    sample,
    solved_for_the_gap,
)

FloatArray = NDArray[np.float64]
HALF_ULP = 2.0**-53

# --- derivation ---------------------------------------------------------------------------------------------------


def half_normal() -> list[tuple[Any, Any]]:
    import sympy

    n, s, b, g = sympy.symbols("n s b g", positive=True)
    u = sympy.Symbol("u", positive=True)
    D = n * s + b  # b = a s0^2
    # twice the Gaussian density on l > 0; shifted by its centre n g/D the half line becomes more than half of the line
    half = sympy.integrate(sympy.exp(-D * u**2 / 2), (u, 0, sympy.oo))
    constant = 2 * sympy.sqrt(b / (2 * sympy.pi)) * half
    exponent = u * n * g - n * u**2 * s / 2 - b * u**2 / 2
    return [(constant, sympy.sqrt(b / D)), (exponent, -D / 2 * (u - n * g / D) ** 2 + n**2 * g**2 / (2 * D))]


DERIVATION = (
    *COMMON,
    Axiom(FUBINI, "so is its mixture over l > 0 with one half-normal law, for each theta, and its average over P"),
    Algebra("its logarithm at (g, s^2), g > 0, is at least n^2 g^2/(2D) - ln(D/(a s0^2))/2: completing the square, and a half line that contains more than half of the mass", half_normal),
    Axiom(VILLE, "E_P of it stays below 1/delta for all n, with probability at least 1-delta"),
    Uses(change_of_measure.RESULT, "so E_Q ln of it is at most K + ln(1/delta) for all Q"),
    Axiom(JENSEN, "the logarithm of an integral of exponentials of affine functions of (gen, s^2) is jointly convex: E_Q ln W is at least ln W at (E_Q gen, E_Q s^2)"),
    Algebra("solved for the gap", solved_for_the_gap),
)  # fmt: skip

# --- checks: formulas ---------------------------------------------------------------------------------------------


ONE_FORMULA = Formula(
    expression=lambda s: one_sided_width_ball(s.variance, s.reference, s.kl, s.n, s.a, s.log_inv_delta, 50),
    shipped=one,
    read=lambda p: p.one_sided,
    sample=sample,
    # the ratio D/(a s0^2) is rounded in four steps
    width=lambda s: (24 + 10 / s.log_inv_delta) * HALF_ULP,
    side="upper",
    count=120,
)


def one_by_hand(
    s: MixtureSetting,
    *,
    half: float = 0.5,
    spent: float = 1.0,
    root: float = 2.0,
    base: float = 1.0,
    log_base: float = 1.0,
) -> float:
    D = s.n * s.variance + base * s.a * s.reference
    level = (
        s.kl
        + half * np.log((s.n * s.variance + s.a * s.reference) / (s.a * s.reference**log_base))
        + spent * s.log_inv_delta
    )
    return float(np.sqrt(root * D * max(level, 0.0)) / s.n) * (1 + 2.0**-45)


def _one_mutant(**wrong: Any) -> dict[str, Any]:
    return {"claim": replace(ONE_FORMULA, shipped=lambda s: one_by_hand(s, **wrong))}


def compare_one_sided(s: MixtureSetting, p: MixturePrediction, rows: Rows, *, share: float = 1.0) -> Coverage:
    """World C with second moments: E W <= 1, and P(ln E_P W > ln(1/delta)), which contains every failure of the printed certificate."""
    world = world_c()
    statistic = half_normal_statistic(world, 0.0, share)
    failed = float(world.probability[statistic > s.log_inv_delta].sum())
    moment = float(world.probability @ np.exp(statistic))
    return Coverage(float(np.exp(-s.log_inv_delta)), moment, 1.0, failed, note="half-normal mixture")


def compare_one_sided_wrong(s: MixtureSetting, p: MixturePrediction, rows: Rows) -> Coverage:
    """A tenth of the second moment declared."""
    return compare_one_sided(s, p, rows, share=0.1)


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        ONE_FORMULA,
        controls=(
            Control("the whole logarithm", _one_mutant(half=1.0)),
            Control("no logarithm", _one_mutant(half=0.0)),
            Control("a s0^2 dropped from D", _one_mutant(base=0.0)),
            Control("s0^2 dropped from the logarithm", _one_mutant(log_base=0.0)),
            Control("D for 2 D", _one_mutant(root=1.0)),
            Control("delta squared", _one_mutant(spent=2.0)),
        ),
    ),
    Check(
        "world C with second moments: exact moment and failure probability",
        HighProbabilityBound(),
        settings=FINITE,
        compare=compare_one_sided,
        controls=(Control("a tenth of the second moment declared", {"compare": compare_one_sided_wrong}),),
    ),
)  # fmt: skip

RESULT = Result(SG_MIXTURE_ONE_SIDED, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(change_of_measure.RESULT,), derivation=DERIVATION)  # fmt: skip
