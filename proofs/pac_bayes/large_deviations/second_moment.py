"""Non-negative losses with a declared second moment: only the lower tail matters, so the right tail may be heavy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....numerics.bounds.second_moment import second_moment
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, INDEPENDENCE, MARKOV, UNION
from ....theory.balls.pbc import fixed_tilt_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import SECOND_MOMENT
from ....theory.validation import log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..real_losses_world import SECOND_MOMENTS, world_c
from ..small_worlds import failure, moment

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class SecondMomentSetting:
    """Empirical Gibbs risk >= 0, KL(Q||P), n, ln(1/delta), E_Q B2, and the tilts fixed in advance."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    second_moment: float
    tilts: tuple[float, ...]

    def __post_init__(self) -> None:
        non_negative("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta), non_negative("second_moment", self.second_moment)
        if not self.tilts or min(self.tilts) <= 0:
            raise InvalidInput(f"tilts is {self.tilts}.", "One or more positive numbers, fixed before the data.")


@dataclass(frozen=True)
class SecondMomentPrediction:
    """The bound, and ln G, what the grid costs."""

    upper: float
    log_grid: float


# --- derivation ---------------------------------------------------------------------------------------------------


def taylor_remainder() -> list[tuple[Any, Any]]:
    import sympy

    x, t, u = sympy.symbols("x t u", positive=True)
    remainder = sympy.integrate(sympy.expand((x - t) * (1 - sympy.exp(-t))), (t, 0, x))
    return [
        (remainder, 1 - x + x**2 / 2 - sympy.exp(-x)),
        (sympy.integrate(sympy.exp(-u), (u, 0, t)), 1 - sympy.exp(-t)),
    ]


def logarithm() -> list[tuple[Any, Any]]:
    import sympy

    u, tilt, L, B = sympy.symbols("u l L B", positive=True)
    # ln(1 + u) - u is 0 at 0 and decreases for u > 0, increases for u < 0
    f = sympy.log(1 + u) - u
    return [
        (sympy.diff(f, u), -u / (1 + u)),
        (f.subs(u, 0), 0),
        (tilt * L + (-tilt * L + tilt**2 * B / 2), tilt**2 * B / 2),
    ]


def solved() -> list[tuple[Any, Any]]:
    import sympy

    g, tilt, B, n, K, d, G = sympy.symbols("g l B n K d G", positive=True)
    largest = sympy.solve(sympy.Eq(n * tilt * g - n * tilt**2 * B / 2, K + sympy.log(G / d)), g)[0]
    return [(largest, tilt * B / 2 + (K + sympy.log(G / d)) / (tilt * n))]


DERIVATION = (
    Algebra("1 - x + x^2/2 - e^{-x} is the integral over t < x of (x-t)(1 - e^{-t}), and 1 - e^{-t} that of e^{-u}: not negative for x >= 0", taylor_remainder),
    Algebra("so E e^{-l loss} <= 1 - l L + l^2 B2/2, and ln(1+u) <= u: J(l) <= l^2 B2/2 for every l >= 0", logarithm),
    Axiom(INDEPENDENCE, "E exp(n l gen - n l^2 B2/2) <= 1 for n independent examples"),
    Axiom(FUBINI, "and so is its average over P"),
    Uses(change_of_measure.RESULT, "with f = n l gen - n l^2 B2/2"),
    Axiom(MARKOV, "E_Q f <= K + ln(G/delta) for all Q, but for a probability of delta/G"),
    Axiom(UNION, "over the G tilts"),
    Algebra("solved for E_Q gen", solved, (("d", 0.1, 0.9),)),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def certificate(s: SecondMomentSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, "second_moment": s.second_moment}
    return second_moment(**{**given, "tilts": s.tilts, **changes}).value


def predict(s: SecondMomentSetting) -> SecondMomentPrediction:
    return SecondMomentPrediction(certificate(s), float(np.log(len(s.tilts))))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SecondMomentSetting:
    tilts = tuple(float(10 ** rng.uniform(-4, 2)) for _ in range(int(rng.integers(1, 6))))
    risk, kl = float(rng.choice([0.0, 10 ** rng.uniform(-6, 3)])), float(rng.choice([0.0, 10 ** rng.uniform(-3, 5)]))
    return SecondMomentSetting(risk, kl, int(10 ** rng.uniform(0, 9)), float(10 ** rng.uniform(-1, 2.8)), float(10 ** rng.uniform(-3, 3)), tilts)  # fmt: skip


FORMULA = Formula(
    expression=lambda s: fixed_tilt_ball(s.risk, s.tilts, s.second_moment, s.kl, s.n, s.log_inv_delta, 50),
    shipped=lambda s: certificate(s),
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: 18 * HALF_ULP,  # logarithm 3 ulps, sum, product, quotient, sum: at most 8 ulps
    side="upper",
    count=120,
)


def by_hand(
    s: SecondMomentSetting,
    *,
    grid: float = 1.0,
    half: float = 0.5,
    spent: float = 1.0,
    n: float = 1.0,
    kl: float = 1.0,
    power: float = 1.0,
) -> float:
    level = kl * s.kl + grid * np.log(len(s.tilts)) + spent * s.log_inv_delta
    return float(min(s.risk + half * x**power * s.second_moment + level / (x * s.n * n) for x in s.tilts)) * (
        1 + 2.0**-45
    )


def _mutant(**wrong: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: by_hand(s, **wrong))}


def compare_world(s: SecondMomentSetting, p: SecondMomentPrediction, rows: Rows, *, share: float = 1.0) -> Coverage:
    """World C: E_S E_P e^phi <= 1 at every tilt, and P(some Q fails at some tilt) at ln(G/delta)."""
    world, broken, largest = world_c(), 0.0, 0.0
    for tilt in s.tilts:
        phi = world.n * (tilt * (world.risk - world.empirical) - share * tilt**2 * SECOND_MOMENTS / 2)
        found, margin = failure(world, phi, p.log_grid + s.log_inv_delta)
        assert margin > 1e-9
        broken, largest = broken + found, max(largest, moment(world, phi))
    return Coverage(
        float(np.exp(-s.log_inv_delta)),
        largest,
        1.0,
        broken,
        note="world C; phi is affine in Q, so this is the printed certificate",
    )


def compare_tenth(s: SecondMomentSetting, p: SecondMomentPrediction, rows: Rows) -> Coverage:
    """A tenth of the second moment declared."""
    return compare_world(s, p, rows, share=0.1)


def compare_envelope(s: SecondMomentSetting, p: SecondMomentPrediction, rows: Rows) -> Coverage:
    """The tilt chosen for each Q after the data, nothing paid: phi = n (gen+)^2/(2 B2) at C = 1."""
    world = world_c()
    phi = world.n * np.maximum(world.risk - world.empirical, 0) ** 2 / (2 * SECOND_MOMENTS)
    return Coverage(float(np.exp(-s.log_inv_delta)), moment(world, phi), 1.0)


WORLD = ByBudget(
    quick=tuple(SecondMomentSetting(0.0, 0.0, 12, float(np.log(10)), 1.0, t) for t in ((0.5,), (0.25, 0.5, 1.0, 2.0)))
)

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("ln G dropped", _mutant(grid=0.0)),
            Control("l B2 for l B2/2", _mutant(half=1.0)),
            Control("B2 l^2/2 for B2 l/2", _mutant(power=2.0)),
            Control("2 n for n", _mutant(n=2.0)),
            Control("delta squared", _mutant(spent=2.0)),
            Control("KL in bits", _mutant(kl=1 / np.log(2))),
        ),
    ),
    Check(
        "world C: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_world,
        controls=(
            Control("a tenth of the second moment declared", {"compare": compare_tenth}),
            Control("tilt optimised after the data, not paid for", {"compare": compare_envelope}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    SECOND_MOMENT,
    predict=predict,
    example=SecondMomentSetting(0.12, 10.0, 10_000, float(np.log(20)), 1.0, (0.01, 0.03, 0.1)),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
)
