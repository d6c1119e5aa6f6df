"""What a plug-in generating function can and cannot say: biased low, saturated at ln N, and no certificate without a declared tail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq
from numpy.typing import NDArray

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.large_deviations.bootstrap import plug_in
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.store import Rows
from ....theory.axioms import JENSEN
from ....theory.balls.cgf import inverse_rate_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import CGF_ESTIMATION
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result
from ..real_losses_world import REAL_LOSSES
from ..small_worlds import OUTCOMES, compositions
from . import cramer

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class SampleSetting:
    """A sample of losses, nats per example s, and a tilt l."""

    losses: NDArray[np.float64]
    s: float
    tilt: float

    def __post_init__(self) -> None:
        if not finite("losses", self.losses, ndim=1).size or not self.tilt > 0:
            raise InvalidInput("losses is empty, or the tilt is not positive.", "Pass at least one loss.")
        non_negative("s", self.s)


@dataclass(frozen=True)
class PlugInPrediction:
    """The plug-in inverse rate, whether it is saturated, ln(N/number of minimal losses), the effective sample size."""

    value: float
    saturated: bool
    limit: float
    effective: float


# --- derivation ---------------------------------------------------------------------------------------------------


def nothing_left_of_the_risk() -> list[tuple[Any, Any]]:
    import sympy

    L, Lh, tilt, M, s = sympy.symbols("L Lh l M s", positive=True)
    # M >= E e^{-l loss} put into J(l) = l L + ln E e^{-l loss}
    chernoff = Lh + (tilt * L + sympy.log(M) + s) / tilt
    return [(chernoff - L, Lh + (sympy.log(M) + s) / tilt)]


DERIVATION = (
    Axiom(JENSEN, "ln is concave: E ln(mean e^{-l loss}) <= ln E mean e^{-l loss} = ln E e^{-l loss}"),
    Uses(cramer.RESULT, "applied to the empirical law, P(loss = minimum) = #min/N: from s = ln(N/#min) on the inverse rate is mean - minimum"),
    Algebra("L <= Lh + (J(l) + s)/l with E e^{-l loss} bounded by M says Lh >= -(ln M + s)/l: L has cancelled", nothing_left_of_the_risk),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SampleSetting) -> PlugInPrediction:
    found = plug_in(s.losses, s.s, resamples=0)
    return PlugInPrediction(found.value, found.saturated, found.limit, found.effective)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SampleSetting:
    size = int(rng.integers(2, 12))
    losses = np.round(rng.lognormal(0, 1.5, size), 3) if rng.uniform() < 0.7 else rng.integers(0, 3, size).astype(float)
    if np.ptp(losses) == 0:
        losses[0] += 1.0
    # a third of the rates lie beyond ln N, where 32-bit parameters put them
    return SampleSetting(
        losses, float(10 ** rng.uniform(-6, 0)) if rng.uniform() < 0.67 else float(rng.uniform(3, 500)), 1.0
    )


def exact(s: SampleSetting) -> list[Any]:
    low = int((s.losses == s.losses.min()).sum())
    limit = arb(fmpq(s.losses.size, low)).log()
    return [inverse_rate_ball(("finite", tuple(map(float, s.losses))), s.s, 50), limit]


FORMULA = Formula(
    expression=exact,
    shipped=lambda s: [predict(s).value, predict(s).limit],
    read=lambda p: [p.value, p.limit],
    sample=sample,
    # the limit: a sum of equal weights and a logarithm; ln(N/(N-1)) has condition number N
    width=lambda s: [float(inverse_rate(s.losses, s.s).rounding), 4 * s.losses.size * HALF_ULP],
    count=80,
)


def _mutant(position: int, function: Any) -> dict[str, Any]:
    def shipped(s: SampleSetting) -> list[float]:
        values = [predict(s).value, predict(s).limit]
        values[position] = float(function(s))
        return values

    return {"claim": replace(FORMULA, shipped=shipped)}


def compare_bias(
    s: SampleSetting, p: PlugInPrediction, rows: Rows, *, sign: int = 1, independent: bool = False
) -> Enclosures:
    """ln E e^{-l loss} - E ln(mean e^{-l loss}) over every sample of size 1..6 of world C's four outcomes, in balls."""
    with ctx.workdps(40):
        e = [(-arb(s.tilt) * arb(float(x))).exp() for x in s.losses]
        prob = [arb(fmpq(k, 10)) for k in (4, 3, 2, 1)]
        truth = sum((a * b for a, b in zip(prob, e, strict=True)), arb(0)).log()
        slack = []
        for size in range(1, 7):
            total = arb(0)
            for counts in compositions(size, 4).tolist():
                ways, rest = 1, size
                for c in counts:
                    ways, rest = ways * comb(rest, c), rest - c
                mass = arb(ways)
                for a, c in zip(prob, counts, strict=True):
                    mass *= a**c
                mean = sum((b * c for b, c in zip(e, counts, strict=True)), arb(0)) / size
                total += mass * (mean.log() if not independent else mean.log() + (truth - mean.log()) * 2)
            slack.append((truth - total) * sign)
        return Enclosures(
            np.array([float(x.lower()) for x in slack]), np.array([float(x.upper()) for x in slack]), 1e-25
        )


def compare_unbiased_from_above(s: SampleSetting, p: PlugInPrediction, rows: Rows) -> Enclosures:
    """The claim that the plug-in is biased high."""
    return compare_bias(s, p, rows, sign=-1)


def compare_reflected(s: SampleSetting, p: PlugInPrediction, rows: Rows) -> Enclosures:
    """A plug-in reflected at the truth, 2 J - Jh, said to be biased low as well."""
    return compare_bias(s, p, rows, independent=True)


CHECKS = (
    Check(
        "the shipped plug-in rate, and the rate from which it is saturated",
        FORMULA,
        controls=(
            Control("never saturated: sqrt(2 Var s)", _mutant(0, lambda s: np.sqrt(2 * s.losses.var() * s.s))),
            Control("unbiased variance in place of the law's", _mutant(0, lambda s: predict(s).value * np.sqrt(s.losses.size / (s.losses.size - 1)))),
            Control("ln N whatever the ties", _mutant(1, lambda s: np.log(s.losses.size))),
            Control("log2", _mutant(1, lambda s: predict(s).limit / np.log(2))),
        ),
    ),
    Check(
        "world C: the plug-in generating function is biased low",
        Inequality(),
        settings=ByBudget(quick=tuple(SampleSetting(row, 0.1, t) for row in REAL_LOSSES for t in (0.1, 1.0, 10.0))),
        compare=compare_bias,
        controls=(
            Control("biased high", {"compare": compare_unbiased_from_above}),
            Control("the reflected estimate", {"compare": compare_reflected}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    CGF_ESTIMATION,
    predict=predict,
    example=SampleSetting(np.array([0.1, 0.2, 0.5, 3.0]), 0.2, 1.0),
    checks=CHECKS,
    uses=(cramer.RESULT,),
    derivation=DERIVATION,
)
assert OUTCOMES.tolist() == [0.4, 0.3, 0.2, 0.1]  # written as tenths above
