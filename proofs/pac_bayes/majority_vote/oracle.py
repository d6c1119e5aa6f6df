"""The vote errs only where half of the weight does: R <= 2L, R <= 4 L2, R <= the C-bound; and the order of the three."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.claims import Agreement, Comparison, Enclosures, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.majority_vote import MV_ORACLE, MV_ORDER
from ....theory.validation import non_negative
from ...result import ByBudget, Check, Control, Result
from .finite_problems import HALF, Exact, cbound, problems

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class VoteSetting:
    """Weights of the voters, probabilities of the outcomes, and which voter errs on which outcome (voters, outcomes)."""

    weights: NDArray[np.float64]
    outcomes: NDArray[np.float64]
    wrong: NDArray[np.float64]

    def __post_init__(self) -> None:
        w, p, e = (non_negative(name, getattr(self, name)) for name in ("weights", "outcomes", "wrong"))
        if (
            e.shape != (w.size, p.size)
            or not e.size
            or not np.isin(e, (0, 1)).all()
            or not w.sum() > 0
            or not p.sum() > 0
        ):
            raise InvalidInput(
                f"Shapes {w.shape}, {p.shape}, {e.shape} do not fit.",
                "Give wrong as 0 or 1 for each voter and outcome.",
            )


@dataclass(frozen=True)
class VotePrediction:
    """2L, 4 L2, and the C-bound (1 where L >= 1/2) with the mu at which Chebyshev-Cantelli attains it."""

    first_order: float
    tandem: float
    cbound: float
    mu: float


# --- derivation ---------------------------------------------------------------------------------------------------


def quadratics() -> list[tuple[Any, Any]]:
    import sympy

    x, mu = sympy.symbols("x mu", real=True)
    # at x >= 1/2 > mu the product is not negative: the square is at least that at 1/2
    gap = (x - mu) ** 2 - (sympy.Rational(1, 2) - mu) ** 2
    return [(gap, (x - sympy.Rational(1, 2)) * ((x - mu) + (sympy.Rational(1, 2) - mu)))]


def moments_of_pairs() -> list[tuple[Any, Any]]:
    import sympy

    first, second, mu = sympy.symbols("L L2 mu", real=True)
    d = 2 * (first - second)
    slope = 1 / (1 - 2 * mu)  # a
    m, v = 1 - 2 * first, 1 - 2 * d
    chebyshev = (second - 2 * mu * first + mu**2) / (sympy.Rational(1, 2) - mu) ** 2
    cantelli = (second - first**2) / (second - first + sympy.Rational(1, 4))
    return [
        (4 * second, 4 * first - 2 * d),
        (chebyshev, 1 - 2 * slope * m + slope**2 * v),
        (cantelli, 1 - m**2 / v),
        (chebyshev - cantelli, v * (slope - m / v) ** 2),
        (v - m**2, 4 * (second - first**2)),
    ]


def best_mu() -> list[tuple[Any, Any]]:
    import sympy

    first, second = sympy.symbols("L L2", real=True)
    mu = (first / 2 - second) / (sympy.Rational(1, 2) - first)
    d = 2 * (first - second)
    return [(1 / (1 - 2 * mu), (1 - 2 * first) / (1 - 2 * d))]


def order() -> list[tuple[Any, Any]]:
    import sympy

    first, d = sympy.symbols("L D", real=True)
    second = first - d / 2
    c = 1 - (1 - 2 * first) ** 2 / (1 - 2 * d)
    return [
        (4 * second - c, 4 * (d - first) ** 2 / (1 - 2 * d)),
        (2 * first - c, 2 * (1 - 2 * first) * (d - first) / (1 - 2 * d)),
        (2 * first - 4 * second, 2 * (d - first)),
    ]


def few_cases() -> Any:
    for right in range(6):
        for winner in range(right, 6):
            for others in range(6):
                total = right + winner + others
                if total:
                    yield f"{right}, {winner}, {others}", HALF, "<=", 1 - Fraction(right, total)


ORACLE_STEPS = (
    Enumeration("where the winning class has at least the weight of the right one, at least half of the weight is wrong (all small weights; 2 w <= w + u <= 1 in general)", few_cases),
    Algebra("(x - mu)^2 - (1/2 - mu)^2 = (x - 1/2)((x - mu) + (1/2 - mu)), not negative for x >= 1/2 > mu: so 1[err >= 1/2] <= (err - mu)^2/(1/2 - mu)^2", quadratics),
    Axiom(LINEARITY, "take expectations; at mu = 0 this is R <= 4 L2, and 1[err >= 1/2] <= 2 err gives R <= 2L"),
    Algebra("with a = 1/(1-2mu), m = 1-2L, v = 1-2D: Chebyshev-Cantelli is 1 - 2am + a^2 v = C + v (a - m/v)^2, and v = m^2 + 4(L2 - L^2) > 0 if L < 1/2", moments_of_pairs, (("L", 0.05, 0.3), ("L2", 0.11, 0.14), ("mu", -1, 0.4))),
    Algebra("a = m/v, positive if L < 1/2, is attained at mu = (L/2 - L2)/(1/2 - L): the C-bound is one of these bounds", best_mu, (("L", 0.05, 0.3), ("L2", 0.11, 0.14))),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: VoteSetting) -> VotePrediction:
    weights, outcomes = s.weights / s.weights.sum(), s.outcomes / s.outcomes.sum()
    err = weights @ s.wrong
    first, second = float(outcomes @ err), float(outcomes @ err**2)
    if first >= 0.5:
        return VotePrediction(2 * first, 4 * second, 1.0, float("-inf"))
    variance = float(outcomes @ (err - first) ** 2)
    mu = (first / 2 - second) / (0.5 - first)
    return VotePrediction(2 * first, 4 * second, variance / (variance + (0.5 - first) ** 2), mu)


# --- checks -------------------------------------------------------------------------------------------------------


def slacks(x: Exact) -> list[Fraction]:
    """Right minus left of every inequality that the statement makes about this problem."""
    found = [2 * x.first - x.risk, 4 * x.second - x.risk, Fraction(1) - x.risk]
    mus = [Fraction(k, 8) for k in range(-8, 4)]
    found += [(x.second - 2 * mu * x.first + mu**2) / (HALF - mu) ** 2 - x.risk for mu in mus]
    return found + ([cbound(x) - x.risk] if x.first < HALF else [])


def order_slacks(x: Exact) -> list[Fraction]:
    if x.first >= HALF:
        return []
    d, c = 2 * (x.first - x.second), cbound(x)
    best = (x.first / 2 - x.second) / (HALF - x.first)
    at_best = (x.second - 2 * best * x.first + best**2) / (HALF - best) ** 2
    others = [
        (x.second - 2 * mu * x.first + mu**2) / (HALF - mu) ** 2 - c
        for mu in (Fraction(-1), Fraction(0), Fraction(1, 4), Fraction(49, 100))
    ]
    chain = [2 * x.first - 4 * x.second] if x.first <= d else [c - 2 * x.first, 4 * x.second - 2 * x.first]
    return [4 * x.second - c, c - at_best, at_best - c, *others, *chain]  # fmt: skip


def _enclosures(values: list[Fraction]) -> Enclosures:
    points = np.array([float(x) for x in values])  # exact signs: no fraction of this size underflows
    return Enclosures(points, points)


def compare_oracle(s: VoteSetting, p: VotePrediction, rows: Rows, *, of: Any = slacks, count: int = 3000) -> Enclosures:
    return _enclosures([slack for x in problems(count) for slack in of(x)])


def compare_order(s: VoteSetting, p: VotePrediction, rows: Rows) -> Enclosures:
    return compare_oracle(s, p, rows, of=order_slacks)


def _variant(of: Any) -> dict[str, Any]:
    def compare(s: VoteSetting, p: VotePrediction, rows: Rows) -> Enclosures:
        return compare_oracle(s, p, rows, of=of)

    return {"compare": compare}


def compare_prediction(s: VoteSetting, p: VotePrediction, rows: Rows) -> Comparison:
    """The float prediction against rational arithmetic on the same floats."""
    w, o = ([Fraction(float(x)) for x in values] for values in (s.weights, s.outcomes))
    lost = [sum((a for a, e in zip(w, column, strict=True) if e), Fraction(0)) / sum(w) for column in s.wrong.T]
    first, second = (sum((x * err**k for x, err in zip(o, lost, strict=True)), Fraction(0)) / sum(o) for k in (1, 2))
    exact = [2 * first, 4 * second, cbound(Exact(first, first, second)), (first / 2 - second) / (HALF - first)]
    # sums of at most 8 terms: some 30 half-ulps of sums no larger than 1; C and mu divide by (1/2 - L)^2 at least
    bound = 30 * HALF_ULP * np.array([2, 4, 8, 8]) / float(HALF - first) ** 2
    predicted = np.array([p.first_order, p.tandem, p.cbound, p.mu])
    return Comparison(np.array([float(x) for x in exact]), predicted, bound, 1.0)


def example(index: int) -> VoteSetting:
    rng = generator(6, "pb.mv_order", index)
    wrong = (rng.random((5, 6)) < 0.25).astype(np.float64)
    wrong[:, 0] = 0  # so that L < 1/2
    return VoteSetting(rng.integers(1, 9, 5).astype(float), np.array([20.0, 1, 2, 3, 4, 5]), wrong)


ONE = ByBudget(quick=(example(0),))
SEVERAL = ByBudget(quick=tuple(example(i) for i in range(8)))

ORACLE_RESULT = Result(
    MV_ORACLE,
    predict=predict,
    example=example(0),
    derivation=ORACLE_STEPS,
    checks=(
        Check(
            "3000 finite problems in rational arithmetic",
            Inequality(),
            settings=ONE,
            compare=compare_oracle,
            controls=(
                Control("R <= L: the vote taken for the Gibbs predictor", _variant(lambda x: [x.first - x.risk])),
                Control("R <= 2 L2", _variant(lambda x: [2 * x.second - x.risk])),
                Control("3.9 for 4", _variant(lambda x: [Fraction(39, 10) * x.second - x.risk])),
                Control("1.9 for 2", _variant(lambda x: [Fraction(19, 10) * x.first - x.risk])),
                Control("the C-bound without L < 1/2", _variant(lambda x: [cbound(x) - x.risk] if x.second - x.first + Fraction(1, 4) > 0 else [])),
                Control("4L - 4D for 4L - 2D", _variant(lambda x: [4 * x.first - 8 * (x.first - x.second) - x.risk])),
            ),
        ),
    ),
)  # fmt: skip

ORDER_RESULT = Result(
    MV_ORDER,
    predict=predict,
    example=example(1),
    uses=(ORACLE_RESULT,),
    derivation=(
        Uses(ORACLE_RESULT, "Chebyshev-Cantelli is C + v (a - m/v)^2 with v > 0, smallest at a = m/v"),
        Algebra("the three differences, each with the sign of its numerator where 1-2D > 0 and L < 1/2", order, (("L", 0.1, 0.4), ("D", 0.05, 0.4))),
    ),
    checks=(
        Check(
            "3000 finite problems in rational arithmetic",
            Inequality(),
            settings=ONE,
            compare=compare_order,
            controls=(
                Control("C <= 2L always", _variant(lambda x: [2 * x.first - cbound(x)] if x.first < HALF else [])),
                Control("4 L2 <= 2L always", _variant(lambda x: [2 * x.first - 4 * x.second])),
                Control("the order turned round", _variant(lambda x: [cbound(x) - 4 * x.second] if x.first < HALF else [])),
                Control("mu = 0 attains the C-bound", _variant(lambda x: [cbound(x) - 4 * x.second] if x.first < HALF and x.first <= 2 * (x.first - x.second) else [])),
            ),
        ),
        Check(
            "the prediction against rational arithmetic",
            Agreement("rounding"),
            settings=SEVERAL,
            compare=compare_prediction,
            controls=(
                Control("mu* with L2 - L/2", {"predict": lambda s: replace(predict(s), mu=-predict(s).mu)}),
                Control("D in place of 1-2D", {"predict": lambda s: replace(predict(s), cbound=1 - (1 - predict(s).first_order) ** 2)}),
                Control("2 L2 for 4 L2", {"predict": lambda s: replace(predict(s), tandem=predict(s).tandem / 2)}),
            ),
        ),
    ),
)  # fmt: skip

RESULTS = (ORACLE_RESULT, ORDER_RESULT)
