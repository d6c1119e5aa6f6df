"""The supermartingale recipe: for all t and Q, r_Q <= (sum l_i E_Q f_i + sum E_Q psi_i + K + ln(1/delta))/sum l_i, four instances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb, ctx, fmpq
from scipy.special import logsumexp

from ....numerics.bounds.supermartingale import FORMS, price_up, supermartingale
from ....numerics.claims import Coverage, Enclosures, FloatArray, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, LINEARITY, TOWER, VILLE
from ....theory.balls.time_uniform import supermartingale_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.time_uniform import CHUGG
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from ..small_worlds import LOSSES, OUTCOMES, PRIOR, compositions, count_probability
from ..time_uniform_worlds import REAL_LOSSES, posterior_passage

HALF_ULP = 2.0**-53
Form = Literal["bounded", "sub-gaussian", "second moment", "variance"]


@dataclass(frozen=True)
class RecipeSetting:
    """Empirical Gibbs risk, KL(Q||P) in nats, number of examples, the rate l of every one, ln(1/delta), what is known of the losses, and
    the moments it declares (0 where the form has none)."""

    risk: float
    kl: float
    n: int
    rate: float
    log_inv_delta: float
    form: Form = "bounded"
    moment: float = 0.0
    deviation: float = 0.0

    def __post_init__(self) -> None:
        finite("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        non_negative("moment", finite("moment", self.moment)), non_negative("deviation", self.deviation)
        if float(finite("rate", self.rate)) <= 0 or self.form not in FORMS:
            raise InvalidInput(f"rate = {self.rate!r}, form = {self.form!r}.", f"rate > 0; form is one of {FORMS}.")


@dataclass(frozen=True)
class RecipePrediction:
    """The upper bound on the true Gibbs risk."""

    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def hoeffding() -> list[tuple[Any, Any]]:
    import sympy

    x, p = sympy.symbols("l p", positive=True)
    # convexity makes the two-point law the worst: ln E e^{l(p-f)} = l p + ln(1-p+p e^{-l}); its second derivative is t(1-t) <= 1/4
    cgf = x * p + sympy.log(1 - p + p * sympy.exp(-x))
    t = p * sympy.exp(-x) / (1 - p + p * sympy.exp(-x))
    return [
        (cgf.subs(x, 0), sympy.Integer(0)),
        (sympy.diff(cgf, x).subs(x, 0), sympy.Integer(0)),
        (sympy.Rational(1, 4) - sympy.diff(cgf, x, 2), (t - sympy.Rational(1, 2)) ** 2),
    ]


def second_moment() -> list[tuple[Any, Any]]:
    import sympy

    y = sympy.Symbol("y", positive=True)
    # 1 - y + y^2/2 - e^-y vanishes to third order at 0 and has third derivative e^-y > 0
    gap = 1 - y + y**2 / 2 - sympy.exp(-y)
    zeros = [(sympy.diff(gap, y, k).subs(y, 0), sympy.Integer(0)) for k in range(3)]
    return [*zeros, (sympy.diff(gap, y, 3), sympy.exp(-y))]


def delyon() -> list[tuple[Any, Any]]:
    import sympy

    y = sympy.Symbol("y", real=True)
    # phi = ln(1 + y + y^2/3) - y + y^2/6 has phi(0) = 0 and the sign of y in its slope: e^{y - y^2/6} <= 1 + y + y^2/3 everywhere
    inside = 1 + y + y**2 / 3
    slope = sympy.diff(inside, y) / inside - 1 + y / 3
    return [(slope, y**3 / (9 * inside)), (inside, (1 + y / 2) ** 2 + y**2 / 12)]


DERIVATION = (
    Axiom(JENSEN, "e^{-l f} lies below its chord on [0, 1]: among laws of mean r the two-point law has the largest E e^{l(r-f)}"),
    Algebra("bounded losses: ln E e^{l(r-f)} <= l^2/8", hoeffding, (("l", 0.1, 3), ("p", 0.1, 0.9))),
    Algebra("losses that are not negative: e^{-y} <= 1 - y + y^2/2 for y >= 0, so E e^{l(r-f)} <= e^{l r}(1 - l r + l^2 E f^2/2) <= e^{l^2 E f^2/2}", second_moment),
    Algebra("any losses, Y = r - f: e^{y - y^2/6} <= 1 + y + y^2/3, so E exp(lY - l^2 Y^2/6) <= 1 + l^2 E Y^2/3 <= e^{l^2 Var/3}", delyon),
    Axiom(TOWER, "each factor has conditional mean at most 1 given the past, in which its rate is fixed: their product M_t(h) is a supermartingale (for sub-Gaussian losses by definition)"),
    Axiom(FUBINI, "so is E_P M_t, since P does not depend on the data"),
    Axiom(VILLE, "with probability at least 1-delta, E_P M_t <= 1/delta for all t at once"),
    Uses(change_of_measure.RESULT, "then E_Q ln M_t <= K + ln(1/delta) for all t and Q"),
    Axiom(LINEARITY, "E_Q ln M_t = sum l_i (r_Q - E_Q f_i) - sum E_Q psi_i: divide by the sum of the rates"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: RecipeSetting) -> RecipePrediction:
    cost = s.n * s.rate**2 * price_up(s.form, s.moment, s.deviation) + s.kl + s.log_inv_delta
    return RecipePrediction(float((s.risk + cost / (s.n * s.rate)) * (1 + 12 * HALF_ULP)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> RecipeSetting:
    form = FORMS[int(rng.integers(4))]
    n = int(10 ** rng.uniform(0, 7))
    moment, deviation = (0.0 if form == "bounded" else float(10 ** rng.uniform(-2, 2))), 0.0
    if form == "variance":
        deviation = float(10 ** rng.uniform(-2, 2))
    rate = float(10 ** rng.uniform(-1, 1) / math.sqrt(n))
    risk = float(rng.random() if form == "bounded" else 10 ** rng.uniform(-2, 2))
    return RecipeSetting(risk, float(10 ** rng.uniform(-2, 4)), n, rate, float(10 ** rng.uniform(-1, 2.8)), form, moment, deviation)  # fmt: skip


def _exact(s: RecipeSetting) -> Any:
    from fractions import Fraction

    m, d = Fraction(s.moment), Fraction(s.deviation)
    price = {"bounded": Fraction(1, 8), "sub-gaussian": m / 2, "second moment": m / 2, "variance": d / 6 + m / 3}[
        s.form
    ]
    rate = Fraction(s.rate)
    return supermartingale_ball(s.risk, s.kl, s.n * rate, s.n * rate**2, price, s.log_inv_delta)


def _certificate(s: RecipeSetting, **changes: Any) -> float:
    declared = {"bounded": (), "variance": ("moment", "deviation")}.get(s.form, ("moment",))
    given = {"risk": s.risk, "kl": s.kl, "rates": s.rate, "n": s.n, "log_inv_delta": s.log_inv_delta, "form": s.form}
    given |= {name: getattr(s, name) for name in declared}
    return supermartingale(**{**given, **changes}).raw


def variant(price: Callable[[RecipeSetting], float], squares: float = 1.0) -> Callable[[RecipeSetting], float]:
    """The formula with another price of l^2."""
    return lambda s: s.risk + (s.n * s.rate**2 * price(s) * squares + s.kl + s.log_inv_delta) / (s.n * s.rate)


def _price(bounded: float = 1 / 8, half: float = 1 / 2, sixth: float = 1 / 6, third: float = 1 / 3) -> Callable[[RecipeSetting], float]:  # fmt: skip
    def price(s: RecipeSetting) -> float:
        if s.form == "bounded":
            return bounded
        return s.moment * third + s.deviation * sixth if s.form == "variance" else s.moment * half

    return price


FORMULA = Formula(
    expression=_exact,
    shipped=_certificate,
    read=lambda p: p.upper,
    sample=sample,
    # every term is positive: at most ten roundings of one ulp each outward, and twice 12 half-ulps in `predict`
    width=lambda s: 30 * HALF_ULP,
    side="upper",
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


# --- checks: the lemmas, and exact failure probabilities ----------------------------------------------------------


def compare_lemmas(s: RecipeSetting, p: RecipePrediction, rows: Rows, *, sixth: int = 6, half: int = 2) -> Enclosures:
    """1 - E exp(lY - l^2(Y^2 + 2 E Y^2)/6) for a centred Y, and l^2 E X^2/2 - ln E e^{l(EX - X)} for X >= 0, on random finite laws."""
    low, high = [], []
    with ctx.workdps(40):
        for index in range(100):
            rng = generator(index, "pb.chugg laws")
            size = int(rng.integers(2, 6))
            mass = rng.integers(1, 1000, size)
            # rational atoms and masses: the centring is exact. Skewed laws, and scales from 0.01 to 30
            atoms = [
                fmpq(int(x), 1000)
                for x in rng.integers(0, 1000 * 10 ** rng.integers(1, 4), size) * 10 ** rng.uniform(-2, 0)
            ]
            if index % 5 == 0:  # a rare small loss: there the second-moment lemma has hardly any slack
                atoms, mass = [fmpq(0), fmpq(index + 1, 500)], np.array([97, 3])
            weights = [fmpq(int(m), int(mass.sum())) for m in mass]
            mean = sum((w * x for w, x in zip(weights, atoms, strict=True)), fmpq(0))
            square = sum((w * x * x for w, x in zip(weights, atoms, strict=True)), fmpq(0))
            centred = [(w, mean - x) for w, x in zip(weights, atoms, strict=True)]
            var = square - mean * mean
            for y in (1, -1):
                total = sum((arb(w) * (arb(y * x) - arb(x * x + 2 * var) / sixth).exp() for w, x in centred), arb(0))
                low.append(float((1 - total).lower()))
                high.append(float((1 - total).upper()))
            cgf = sum((arb(w) * arb(x).exp() for w, x in centred), arb(0)).log()
            gap = arb(square) / half - cgf
            low.append(float(gap.lower()))
            high.append(float(gap.upper()))
    return Enclosures(np.array(low), np.array(high), width=1e-30)


def compare_lemmas_weak(s: RecipeSetting, p: RecipePrediction, rows: Rows) -> Enclosures:
    return compare_lemmas(s, p, rows, sixth=8)


def compare_lemmas_half(s: RecipeSetting, p: RecipePrediction, rows: Rows) -> Enclosures:
    return compare_lemmas(s, p, rows, half=3)


def recipe(s: RecipeSetting, sums: FloatArray, n: int, cheaper: float = 1.0) -> FloatArray:
    """ln M_n for every sample and predictor: world A for bounded losses, world C for the others (own moments of each predictor)."""
    losses = LOSSES if s.form == "bounded" else REAL_LOSSES
    risk, square = losses @ OUTCOMES, losses**2 @ OUTCOMES
    width = np.ptp(losses, axis=1)
    price = {"bounded": 1 / 8, "sub-gaussian": width**2 / 8, "second moment": square / 2}
    if s.form != "variance":
        return s.rate * (n * risk - sums) - n * s.rate**2 * price[s.form] * cheaper
    # sums then holds the counts of the outcomes: (f-r)^2 is needed as well
    deviation = sums @ ((losses - risk[:, None]) ** 2).T
    psi = s.rate**2 * (deviation / 6 + n * (square - risk**2) / 3)
    return s.rate * (n * risk - sums @ losses.T) - psi * cheaper


def compare_world(s: RecipeSetting, p: RecipePrediction, rows: Rows, *, cheaper: float = 1.0) -> Coverage:
    """E_S E_P M_T <= 1 at T = n, and P(some t <= T and Q violate)."""
    losses = np.eye(4) if s.form == "variance" else LOSSES if s.form == "bounded" else REAL_LOSSES
    found = posterior_passage(lambda x, n: recipe(s, x, n, cheaper), lambda n: 0.0, losses, s.log_inv_delta, s.n)
    assert found.margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    counts = compositions(s.n, 4)
    wealth = logsumexp(np.log(PRIOR) + recipe(s, counts @ losses.T, s.n, cheaper), axis=1)
    moment = float(count_probability(counts, OUTCOMES) @ np.exp(wealth))
    return Coverage(math.exp(-s.log_inv_delta), moment, 1.0, found.probability)


def compare_world_cheap(s: RecipeSetting, p: RecipePrediction, rows: Rows) -> Coverage:
    """A tenth of every price: the wealth is no supermartingale."""
    return compare_world(s, p, rows, cheaper=0.1)


WORLDS = tuple(RecipeSetting(0.0, 0.0, 12, rate, math.log(10), form) for form, rate in zip(FORMS, (1.0, 0.6, 0.6, 0.6), strict=True))  # fmt: skip

CHECKS = (
    Check(
        "the shipped bound is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("K dropped", _mutant(lambda s: _certificate(s, kl=0.0))),
            Control("KL in bits", _mutant(lambda s: _certificate(s, kl=s.kl / math.log(2)))),
            Control("delta halved", _mutant(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)))),
            Control("1/2 for 1/8", _mutant(variant(_price(bounded=1 / 2)))),
            Control("moment for moment/2", _mutant(variant(_price(half=1.0)))),
            Control("deviation/3 for deviation/6", _mutant(variant(_price(sixth=1 / 3)))),
            Control("variance/6 for variance/3", _mutant(variant(_price(third=1 / 6)))),
            Control("l for l^2", _mutant(lambda s: variant(_price(), 1 / s.rate)(s))),
            Control("sum of rates one short", _mutant(lambda s: _certificate(s, n=s.n + 1))),
        ),
    ),
    Check(
        "the lemmas of the last two instances on random laws",
        Inequality(),
        settings=ByBudget(quick=(WORLDS[2],)),
        compare=compare_lemmas,
        controls=(
            Control("1/8 for 1/6", {"compare": compare_lemmas_weak}),
            Control("E X^2/3 for E X^2/2", {"compare": compare_lemmas_half}),
        ),
    ),
    Check(
        "worlds A and C, every t up to 12: exact moment and failure probability of the four instances",
        HighProbabilityBound(),
        settings=ByBudget(quick=WORLDS),
        compare=compare_world,
        controls=(Control("a tenth of every price", {"compare": compare_world_cheap}),),
    ),
)  # fmt: skip

RESULT = Result(
    CHUGG,
    predict=predict,
    example=RecipeSetting(0.1, 3.0, 1000, 0.2, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT,),
    derivation=DERIVATION,
)
