"""Split-kl: a loss with few values is a sum of steps, each of which has a binary inverse of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.split_kl import split_kl, split_kl_continuous
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import UNION
from ....theory.balls.split_kl import split_kl_ball, split_kl_continuous_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.variance import SPLIT_KL
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..kl_bounds import seeger
from ..small_worlds import OUTCOMES, PRIOR
from .worlds import statistic, world

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class SplitKlSetting:
    """Posterior frequencies of loss >= b_1..b_M, the levels b_0..b_M, KL(Q||P) in nats, n, ln(1/delta)."""

    frequencies: NDArray[np.float64]
    levels: NDArray[np.float64]
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        f, b = unit_interval("frequencies", self.frequencies), finite("levels", self.levels, ndim=1)
        if b.size != f.size + 1:
            raise InvalidInput(f"There are {f.size} frequencies and {b.size} levels.", "Give one level more.")
        non_negative("kl", self.kl), sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class SplitKlPrediction:
    """Both sides of the bound on the mean loss; what the two-part form gives when the loss is split at the first inner level (or the middle
    of the range); and ln xi(n)."""

    upper: float
    lower: float
    continuous: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def telescoping() -> list[tuple[Any, Any]]:
    """b_0 + sum of a_j 1[X >= b_j] at each of four levels, and the two parts around a point."""
    import sympy

    b = sympy.symbols("b0:4", real=True)
    steps = [b[j] - b[j - 1] for j in range(1, 4)]
    levels = [(b[0] + sum(steps[:j], sympy.Integer(0)), b[j]) for j in range(4)]
    x, mu = sympy.symbols("x mu", real=True)
    above, below = sympy.Max(0, x - mu), sympy.Max(0, mu - x)
    return [*levels, ((mu + above - below).rewrite(sympy.Piecewise), sympy.Piecewise((x, True)))]


DERIVATION = (
    Algebra("X = b_0 + sum of a_j 1[X >= b_j], and X = mu + max(0, X-mu) - max(0, mu-X)", telescoping),
    Uses(seeger.RESULT, "for each of the M losses 1[X >= b_j] in {0, 1} (for max(0, X-mu)/(b-mu) and max(0, mu-X)/(mu-a) in [0, 1]), at delta/M (at delta/2), upper sides and the lower side"),
    Axiom(UNION, "all M (both) at once"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SplitKlSetting) -> SplitKlPrediction:
    found = split_kl(frequencies=s.frequencies, levels=s.levels, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta)
    assert found.lower is not None
    return SplitKlPrediction(found.raw, found.lower, _continuous(s), float(log_maurer_xi(s.n)))


def _parts(s: SplitKlSetting) -> dict[str, Any]:
    """The loss split at the middle of its range, its parts above and below made of the first frequency."""
    low, high, q = float(s.levels[0]), float(s.levels[-1]), float(s.frequencies[0])
    middle = low + (high - low) / 2
    return {
        "above": q * 0.5 * (high - middle),
        "below": (1 - q) * 0.5 * (middle - low),
        "low": low,
        "split": middle,
        "high": high,
    }


def _continuous(s: SplitKlSetting) -> float:
    return split_kl_continuous(**_parts(s), kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).raw


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> SplitKlSetting:
    """Levels above 1, so that relative and absolute errors are of one size."""
    m = int(rng.integers(1, 5))
    f = np.sort(rng.choice([0.0, 1.0, *rng.uniform(size=6)], size=m, replace=False))[::-1].copy()
    levels = 1 + np.cumsum(rng.uniform(0.05, 1, size=m + 1))
    return SplitKlSetting(
        f, levels, float(10 ** rng.uniform(-2, 4)), int(10 ** rng.uniform(0, 7)), float(10 ** rng.uniform(-0.5, 2.5))
    )


UPPER = Formula(
    expression=lambda s: split_kl_ball(s.frequencies.tolist(), s.levels.tolist(), s.kl, s.n, s.log_inv_delta)[0],
    shipped=lambda s: (
        split_kl(frequencies=s.frequencies, levels=s.levels, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).raw
    ),
    read=lambda p: p.upper,
    sample=sample,
    # each inverse within 36 half-ulps (pb.kl), each step two outward operations, at most five of them, and the sum
    width=lambda s: 80 * HALF_ULP,
    side="upper",
    count=40,
)
LOWER = replace(
    UPPER,
    expression=lambda s: split_kl_ball(s.frequencies.tolist(), s.levels.tolist(), s.kl, s.n, s.log_inv_delta)[1],
    shipped=lambda s: (
        split_kl(frequencies=s.frequencies, levels=s.levels, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).lower
    ),
    read=lambda p: p.lower,
    # a lower inverse q e^-v is off by (v + 8) ulps of itself, so by fewer than 36 half-ulps of 1, and the lowest level is above 1
    side="lower",
)
CONTINUOUS = replace(
    UPPER,
    expression=lambda s: split_kl_continuous_ball(**_parts(s), kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta),
    shipped=_continuous,
    read=lambda p: p.continuous,
    # the parts may cancel against the split: errors are relative to the range, the bound is at least a twentieth of it
    width=lambda s: 2000 * HALF_ULP,
)


def with_numbers(s: SplitKlSetting, *, parts: float | None = None, lower: bool = False) -> float:
    """The formula written again, so that single parts can be changed."""
    c = (s.kl + log_maurer_xi(s.n) + np.log(s.frequencies.size if parts is None else parts) + s.log_inv_delta) / s.n
    inverse = kl_lower if lower else kl_upper
    return float(s.levels[0] + sum(np.diff(s.levels) * [float(inverse(q, c)) for q in s.frequencies]))


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def compare_world(s: SplitKlSetting, p: SplitKlPrediction, rows: Rows, *, paid: float = 2.0) -> Coverage:
    """Excess losses: each step's moment, and the probability that some step fails for some posterior."""
    w = world("excess", s.n)
    failed, moment = np.zeros(len(w.probability), dtype=bool), 0.0
    for level in (0.0, 1.0):
        indicator = (w.losses >= level).astype(float)
        q, r = w.empirical(indicator).clip(0, 1), np.broadcast_to(indicator @ OUTCOMES, (len(w.probability), 3))
        phi = s.n * (rel_entr(q, r) + rel_entr(1 - q, 1 - r))
        moment = max(moment, float(w.probability @ (np.exp(phi) @ PRIOR)))
        failed |= statistic(phi) > np.log(paid) + p.log_constant + s.log_inv_delta
    return Coverage(
        float(np.exp(-s.log_inv_delta)), moment, float(np.exp(p.log_constant)), float(w.probability[failed].sum())
    )


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            Control("delta spent by each level", _mutant(lambda s: with_numbers(s, parts=1) if s.frequencies.size > 1 else with_numbers(s, parts=0.5))),
            Control("M + 1 events for M", _mutant(lambda s: with_numbers(s, parts=s.frequencies.size + 1))),
            Control("lower inverses", _mutant(lambda s: with_numbers(s, lower=True))),
            Control("b_0 forgotten", _mutant(lambda s: with_numbers(s) - s.levels[0])),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            Control("delta spent by each level", {"claim": replace(LOWER, shipped=lambda s: with_numbers(s, parts=1 if s.frequencies.size > 1 else 0.5, lower=True))}),
            Control("upper inverses", {"claim": replace(LOWER, shipped=with_numbers)}),
            Control("the lowest level alone", {"claim": replace(LOWER, shipped=lambda s: s.levels[0])}),
        ),
    ),
    Check(
        "the shipped two-part certificate, rounded upward",
        CONTINUOUS,
        controls=(
            Control("the lower part unbounded", {"claim": replace(CONTINUOUS, shipped=lambda s: split_kl_continuous(**{**_parts(s), "below": 0.0}, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).raw)}),
            Control("one event for two", {"claim": replace(CONTINUOUS, shipped=lambda s: split_kl_continuous(**_parts(s), kl=max(0.0, s.kl - 0.5), n=s.n, log_inv_delta=s.log_inv_delta).raw)}),
        ),
    ),
    Check(
        "excess losses: exact moment and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(SplitKlSetting(np.array([0.5, 0.1]), np.array([-1.0, 0, 1]), 0.0, 12, float(np.log(10))),)),
        compare=compare_world,
        controls=(Control("1 in place of xi(n)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),),
    ),
)  # fmt: skip

RESULT = Result(
    SPLIT_KL,
    predict=predict,
    example=SplitKlSetting(np.array([0.95, 0.08]), np.array([-1.0, 0.0, 1.0]), 50.0, 10_000, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(seeger.RESULT,),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
