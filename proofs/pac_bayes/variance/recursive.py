"""Recursive PAC-Bayes: the risk of each posterior is its excess over a multiple of the one before, plus that multiple's risk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

from ....numerics.bounds.recursive import RecursiveStep, recursive_pac_bayes
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CONDITIONING, DATA_PROCESSING, LINEARITY, UNION
from ....theory.balls.context import log_fraction
from ....theory.balls.split_kl import recursive_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.variance import RPB
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..kl_bounds import monte_carlo, seeger
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from . import split_kl, vector_kl

HALF_ULP = 2.0**-53
FOUR, ROOM = 8000 * HALF_ULP, 100 * 2.0**-48  # widths of the formula check, derived there


@dataclass(frozen=True)
class RecursiveSetting:
    """Two parts: empirical risk, KL and n of the first posterior on all examples; gamma, the three frequencies of the excess, KL and n of the
    second; ln(1/delta)."""

    risk: float
    kl: float
    n: int
    gamma: float
    at_least_zero: float
    at_least_rest: float
    at_least_one: float
    second_kl: float
    second_n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        self.step()

    def step(self) -> RecursiveStep:
        f = (self.at_least_zero, self.at_least_rest, self.at_least_one)
        return RecursiveStep(self.gamma, f, self.second_kl, self.second_n)


@dataclass(frozen=True)
class RecursivePrediction:
    """B_1; B_2 by the four frequencies; B_2 by split-kl; both forms of B_2 from 1000 pairs with draws_delta = .01."""

    first: float
    vector: float
    split: float
    drawn_split: float
    drawn_vector: float


# --- derivation ---------------------------------------------------------------------------------------------------


def excess_levels() -> list[tuple[Any, Any]]:
    """loss(h) - gamma loss(h') for 0-1 losses, and its steps over -gamma < 0 < 1 - gamma < 1."""
    import sympy

    gamma = sympy.Symbol("gamma", positive=True)
    values = [first - gamma * second for first, second in ((0, 1), (0, 0), (1, 1), (1, 0))]
    heights = (gamma, 1 - gamma, gamma)
    stairs = [-gamma + sum(heights[:j], sympy.Integer(0)) for j in range(4)]
    return list(zip(values, stairs, strict=True))


DERIVATION = (
    Axiom(LINEARITY, "E_{pi_t} L = E_{pi_t x pi_{t-1}}[L(h) - gamma L(h')] + gamma E_{pi_{t-1}} L"),
    Algebra("the excess takes the values -gamma, 0, 1-gamma, 1, in steps of gamma, 1-gamma, gamma", excess_levels),
    Axiom(CONDITIONING, "given parts 1..t-1, pi_{t-1} and gamma_t are constants and parts t..T an i.i.d. sample of n_t examples"),
    Uses(seeger.RESULT, "for pi_1 with prior pi_0, at delta/T"),
    Uses(split_kl.RESULT, "for the excess, a loss of the pair (h, h') with posterior pi_t x pi_{t-1} and prior pi_{t-1} x pi_{t-1}, whose divergence is KL(pi_t||pi_{t-1}), at delta/T"),
    Uses(vector_kl.RESULT, "or through the relative entropy of its four frequencies, at delta/T"),
    Uses(monte_carlo.RESULT, "frequencies estimated from pairs: at most 1 + 3(T-1) <= 3T upper limits at draws_delta/(3T)"),
    Axiom(DATA_PROCESSING, "frequencies F'_j >= F_j are those of outcomes moved upward by a kernel k: KL(Fk||pk) <= KL(F||p) and pk has no smaller mean, so the largest mean at F' is no smaller than at F"),
    Axiom(UNION, "over the parts"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: RecursiveSetting) -> RecursivePrediction:
    first, vector = _bounds(s, "vector")
    drawn = [_bounds(s, form, pairs=1000, draws_delta=0.01)[1] for form in ("split", "vector")]
    return RecursivePrediction(first, vector, _bounds(s, "split")[1], *drawn)


def _bounds(s: RecursiveSetting, form: Any, **more: Any) -> tuple[float, float]:
    found = recursive_pac_bayes(
        risk=s.risk, kl=s.kl, n=s.n, steps=[s.step()], log_inv_delta=s.log_inv_delta, form=form, **more
    )
    return found.inputs["bounds"]


def _values(p: RecursivePrediction) -> list[float]:
    return [p.first, p.vector, p.split, p.drawn_split, p.drawn_vector]


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> RecursiveSetting:
    f = np.sort(rng.choice([0.0, 1.0, *rng.uniform(size=4)], size=3, replace=False))[::-1]
    gamma = float(rng.choice([1.0, rng.uniform(0.05, 1)]))
    n = int(10 ** rng.uniform(0.5, 7)) + 1
    return RecursiveSetting(
        float(rng.uniform(0.05, 1)), float(10 ** rng.uniform(-2, 4)), n, gamma, float(f[0]),
        float(f[0] if gamma == 1 else f[1]), float(f[2]), float(10 ** rng.uniform(-2, 4)), max(1, n // 2), float(10 ** rng.uniform(0.1, 2.5)),
    )  # fmt: skip


def exact(s: RecursiveSetting) -> list[Any]:
    """T = 2 parts at delta/2 each; ln(1/draws_delta) of the float .01."""
    step = (s.gamma, s.step().frequencies, s.second_kl, s.second_n)
    arguments = (s.risk, s.kl, s.n, [step], Fraction(s.log_inv_delta) + log_fraction(2))
    draws = (-log_fraction(Fraction(0.01)), 1000)
    first, vector = recursive_ball(*arguments)
    split, drawn_split, drawn_vector = (
        recursive_ball(*arguments, form=form, draws=used)[1]
        for form, used in (("split", None), ("split", draws), ("vector", draws))
    )
    return [first, vector, split, drawn_split, drawn_vector]


FORMULA = Formula(
    expression=exact,
    shipped=lambda s: _values(predict(s)),
    read=_values,
    sample=sample,
    # inverses within 40 half-ulps; the excess is a difference that may cancel against gamma B_1, but B_2 is at least a hundredth of the terms:
    # 100 times (80 half-ulps), and for the vector form the 2^-48 that it adds. Limits of frequencies, off by 40 half-ulps each, move the
    # largest mean by at most 8 times that: its slope in u_i is lambda ln((a+2)/a) <= 4, and in u_i ln(1/u_i) where a is small
    width=lambda s: [40 * HALF_ULP, FOUR + ROOM, FOUR, FOUR, 100 * (80 + 3 * 40 * 8) * HALF_ULP + ROOM],
    side="upper",
    count=10,
)


def _mutant(**changes: Any) -> dict[str, Any]:
    """The shipped bounds with changed inputs."""

    def shipped(s: RecursiveSetting) -> list[float]:
        return FORMULA.shipped(replace(s, **{name: change(s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=shipped)}


FIRST, SECOND = 3, 3  # examples in the two parts
TEMPERATURE = 4.0


@cache
def _parts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of count vectors of the two parts, with its probability."""
    one, two = compositions(FIRST, 4), compositions(SECOND, 4)
    a, b = (m.ravel() for m in np.meshgrid(np.arange(len(one)), np.arange(len(two)), indexing="ij"))
    return count_probability(one, OUTCOMES)[a] * count_probability(two, OUTCOMES)[b], one[a], two[b]


def compare_world(
    s: RecursiveSetting, p: RecursivePrediction, rows: Rows, *, form: str = "split", reuse: bool = False
) -> Coverage:
    """World A in two parts, pi_1 a Gibbs law of the first, pi_2 one of both: the shipped certificate on every sample.

    `reuse` breaks an assumption: the excess is averaged over part 1 too, as if it were new.
    """
    probability, one, two = _parts()
    first = _gibbs(one @ LOSSES.T)
    second = _gibbs((one + two) @ LOSSES.T)
    both = (one + two) @ LOSSES.T / (FIRST + SECOND)
    counts, n2 = (one + two, FIRST + SECOND) if reuse else (two, SECOND)
    # P(loss(h) = 1, loss(h') = 0) and so on at each outcome, h ~ pi_2, h' ~ pi_1
    err2, err1 = second @ LOSSES, first @ LOSSES
    share = counts / n2
    cells = {
        "zero": 1 - (share * (1 - err2) * err1).sum(axis=1),
        "rest": (share * err2).sum(axis=1),
        "one": (share * err2 * (1 - err1)).sum(axis=1),
    }
    truth = second @ (LOSSES @ OUTCOMES)
    kl1, kl2 = rel_entr(first, PRIOR).sum(axis=1).clip(0), rel_entr(second, first).sum(axis=1).clip(0)
    failed = 0.0
    # only samples whose certificate could be below the truth: a lower end of the bound is cheap
    floor = (
        -s.gamma
        + s.gamma * cells["zero"]
        + (1 - s.gamma) * cells["rest"]
        + s.gamma * cells["one"]
        + s.gamma * (first * both).sum(axis=1)
    )
    for i in np.flatnonzero(floor < truth):
        here = replace(
            s, risk=float((first[i] @ both[i]).clip(0, 1)), kl=float(kl1[i]), n=FIRST + SECOND + int(reuse),
            at_least_zero=float(min(1.0, cells["zero"][i])), at_least_rest=float(min(cells["rest"][i], cells["zero"][i])),
            at_least_one=float(min(cells["one"][i], cells["rest"][i], cells["zero"][i])), second_kl=float(kl2[i]), second_n=n2,
        )  # fmt: skip
        bound = (here.gamma * here.risk + _naive(here)) if form == "naive" else _bounds(here, form)[1]
        failed += probability[i] * (bound < truth[i])
    return Coverage(float(np.exp(-s.log_inv_delta)), failure=float(failed), note="every sample of both parts")


def _naive(s: RecursiveSetting) -> float:
    """The excess as it was measured."""
    f = s.step().frequencies
    return -s.gamma + s.gamma * f[0] + (1 - s.gamma) * f[1] + s.gamma * f[2]


def _gibbs(errors: np.ndarray) -> np.ndarray:
    logits = np.log(PRIOR) - TEMPERATURE * errors / 2
    return np.asarray(np.exp(logits - logsumexp(logits, axis=1, keepdims=True)))


def compare_vector(s: RecursiveSetting, p: RecursivePrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, form="vector")


def compare_naive(s: RecursiveSetting, p: RecursivePrediction, rows: Rows) -> Coverage:
    return compare_world(s, p, rows, form="naive")


WORLD = RecursiveSetting(0.0, 0.0, FIRST + SECOND, 0.5, 1.0, 0.5, 0.1, 0.0, SECOND, float(np.log(10)))
EXAMPLE = RecursiveSetting(0.08, 40.0, 60_000, 0.5, 0.985, 0.03, 0.004, 600.0, 30_000, float(-np.log(0.025)))

CHECKS = (
    Check(
        "the shipped bounds are the last step, rounded upward",
        FORMULA,
        controls=(
            Control("T not paid", _mutant(log_inv_delta=lambda s: max(1e-3, s.log_inv_delta - np.log(2)))),
            Control("gamma forgotten in front of B_1", {"claim": replace(FORMULA, shipped=lambda s: [x + (i > 0) * (1.01 - s.gamma) * _values(predict(s))[0] for i, x in enumerate(_values(predict(s)))])}),
            Control("the whole sample counted for the second part", _mutant(second_n=lambda s: s.n - 1 if s.n > 2 else s.second_n + 0)),
            Control("the draws taken for exact", {"claim": replace(FORMULA, shipped=lambda s: [*_values(predict(s))[:4], predict(s).vector])}),
            Control("the first divergence counted twice", _mutant(kl=lambda s: 2 * s.kl)),
        ),
    ),
    Check(
        "world A in two parts: split form",
        HighProbabilityBound(),
        settings=ByBudget(quick=(WORLD,)),
        compare=compare_world,
        controls=(Control("the excess and the first risk as measured", {"compare": compare_naive}),),
    ),
    Check(
        "world A in two parts: four frequencies",
        HighProbabilityBound(),
        settings=ByBudget(quick=(WORLD,)),
        compare=compare_vector,
        controls=(Control("the excess and the first risk as measured", {"compare": compare_naive}),),
    ),
)  # fmt: skip

RESULT = Result(
    RPB,
    predict=predict,
    example=EXAMPLE,
    checks=CHECKS,
    uses=(seeger.RESULT, monte_carlo.RESULT, split_kl.RESULT, vector_kl.RESULT),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
