"""PAC-Bayes-Chernoff with a free exponent: t = (KL(Q||P) + ln C(a) + ln(1/delta))/(a n), no logarithm of n."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from flint import arb

from ....numerics.bounds.chernoff import best_alpha, log_root, pac_bayes_chernoff_alpha
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.large_deviations.tails import sub_gamma_form
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, MARKOV
from ....theory.balls.pbc import best_alpha_ball, declared_ball, price_alpha
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.large_deviations import PBC_ALPHA
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from . import cramer, pbc, pbc_oracle
from .declared import HALF_ULP, WIDTH, TailName, exact_form, make_tail, random_tail


@dataclass(frozen=True)
class AlphaSetting:
    """Empirical Gibbs risk, KL(Q||P), n, ln(1/delta), the exponent a fixed in advance, a KL anticipated in advance, the tail and its numbers,
    and which moment is paid for."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    alpha: float
    anticipated_kl: float
    tail: TailName
    numbers: tuple[float, ...]
    moment: Literal["general", "exact"] = "general"

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta), non_negative("anticipated_kl", self.anticipated_kl)
        if not 0 < self.alpha < 1 or (self.moment == "exact" and self.tail != "Gaussian"):
            raise InvalidInput(
                f"alpha is {self.alpha}, moment {self.moment!r}.", "0 < alpha < 1; exact for Gaussian only."
            )
        make_tail(self)


@dataclass(frozen=True)
class AlphaPrediction:
    """The bound at the given exponent, the best exponent for the anticipated KL, x = 1/(1 - a) there, and ln C."""

    upper: float
    best_alpha: float
    x: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def layer_cake() -> list[tuple[Any, Any]]:
    import sympy

    x, r = sympy.symbols("x r", positive=True)
    a = 1 - r  # r = 1 - a
    integral = sympy.integrate(sympy.expand(a * sympy.exp(-r * x)), (x, 0, sympy.oo))
    n = sympy.Symbol("n", positive=True)
    return [(1 + integral, 1 / r), ((1 - 1 / n) * n, n - 1), (1 / (1 - (1 - 1 / n)), n)]


def best_exponent() -> list[tuple[Any, Any]]:
    import sympy

    x, n, B = sympy.symbols("x n B", positive=True)
    y = sympy.Symbol("y", positive=True)
    t = (B + sympy.log(x)) / ((1 - 1 / x) * n)  # a = 1 - 1/x
    root = {B: y - 1 - sympy.log(y), x: y}  # y = 1 + B + ln y
    return [
        (sympy.simplify(sympy.diff(t, x).subs(root)), sympy.Integer(0)),
        (sympy.simplify(t.subs(root)), y / n),
        (sympy.simplify((-y * sympy.exp(-y)) / (-sympy.exp(-1 - (y - 1 - sympy.log(y))))), sympy.Integer(1)),
    ]


DERIVATION = (
    Uses(cramer.RESULT, "X = n I_theta(gen+) has P(X >= x) <= e^{-x}, for each theta"),
    Axiom(FUBINI, "E e^{aX} = 1 + a int e^{ax} P(X >= x) dx"),
    Algebra("so E e^{aX} <= 1/(1-a); a = 1 - 1/n gives n and n - 1", layer_cake, (("r", 0.1, 0.9), ("n", 2, 9))),
    Uses(pbc_oracle.RESULT, "for Gaussian losses the moment is exactly (1 + (1-a)^{-1/2})/2; a smaller variance only lowers it"),
    Uses(change_of_measure.RESULT, "with f = a n I_theta(gen+)"),
    Axiom(MARKOV, "so a n E_Q I_theta(gen+) <= K + ln(C/delta) for all Q at once"),
    Uses(pbc.RESULT, "the steps from there: any tilt, declared tails, the free infimum"),
    Algebra("the price is stationary where x = 1 + B + ln x, x = 1/(1-a), and equals x/n there; -x e^{-x} = -e^{-1-B}: x = -W_{-1}", best_exponent, (("y", 1.5, 9),)),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def certificate(s: AlphaSetting, **changes: Any) -> float:
    given = {
        "risk": s.risk,
        "kl": s.kl,
        "n": s.n,
        "log_inv_delta": s.log_inv_delta,
        "alpha": s.alpha,
        "moment": s.moment,
    }
    return pac_bayes_chernoff_alpha(**{**given, **changes}, tail=make_tail(s)).value


def predict(s: AlphaSetting) -> AlphaPrediction:
    b = s.anticipated_kl + s.log_inv_delta
    constant = -np.log1p(-s.alpha) if s.moment == "general" else np.log((1 + (1 - s.alpha) ** -0.5) / 2)
    return AlphaPrediction(
        certificate(s), best_alpha(s.anticipated_kl, s.log_inv_delta), 1 + log_root(b), float(constant)
    )


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> AlphaSetting:
    alpha = float(rng.choice([rng.uniform(0.01, 0.99), 1 - 10 ** rng.uniform(-8, -1), 10 ** rng.uniform(-8, -1)]))
    tail, numbers = random_tail(rng)
    moment: Any = "exact" if tail == "Gaussian" and rng.uniform() < 0.7 else "general"
    risk, kl = float(rng.choice([0.0, 10 ** rng.uniform(-6, 3)])), float(rng.choice([0.0, 10 ** rng.uniform(-3, 5)]))
    n = int(10 ** rng.uniform(0, 9))
    return AlphaSetting(risk, kl, n, float(10 ** rng.uniform(-1, 2.8)), alpha, float(10 ** rng.uniform(-2, 4)), tail, numbers, moment)  # fmt: skip


def exact(s: AlphaSetting) -> arb:
    kind = "Gaussian" if s.moment == "exact" else "general"
    return declared_ball(s.risk, *exact_form(s), price_alpha(s.kl, s.n, s.log_inv_delta, s.alpha, kind), 50)


UPPER = Formula(
    expression=exact,
    shipped=lambda s: predict(s).upper,
    read=lambda p: p.upper,
    sample=sample,
    # 1 - a is rounded once more: near a = 0 that is an absolute error of ln C, which counts against ln(1/delta) > 0.1
    width=lambda s: WIDTH + (8 + 10 * 4) * HALF_ULP,
    side="upper",
    count=120,
)


def exact_root(s: AlphaSetting) -> list[arb]:
    x = best_alpha_ball(Fraction(s.anticipated_kl) + Fraction(s.log_inv_delta), 50)
    return [x, 1 - 1 / x]


ROOT = Formula(
    expression=exact_root,
    shipped=lambda s: [predict(s).x, predict(s).best_alpha],
    read=lambda p: [p.x, p.best_alpha],
    sample=sample,
    # y solves h(y) = B with h(y) = y - ln(1+y) to 7 half-ulps; condition number h (1+y)/y^2 <= 1; the sum B and the sum 1 + y one each.
    # a = y/(1+y) = 1 - 1/x inherits them divided by y, and y > 0.49 because B > 0.1
    width=lambda s: [16 * HALF_ULP, 40 * HALF_ULP],
    count=120,
)


def by_hand(
    s: AlphaSetting,
    *,
    constant: Any = None,
    n: float = 1.0,
    power: float = 1.0,
    spent: float = 1.0,
    kl: float = 1.0,
    root: float = 2.0,
) -> float:
    v, c = sub_gamma_form(make_tail(s))
    C = predict(s).log_constant if constant is None else constant(s)
    t = (kl * s.kl + C + spent * s.log_inv_delta) / (s.alpha**power * n * s.n)
    return float(s.risk + np.sqrt(root * v * t) + c * t) * (1 + 2.0**-45)


def _mutant(**wrong: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=lambda s: by_hand(s, **wrong))}


def _root_mutant(x: Any, alpha: Any) -> dict[str, Any]:
    return {"claim": replace(ROOT, shipped=lambda s: [x(s, predict(s).x), alpha(x(s, predict(s).x))])}


WORLD = ByBudget(quick=(AlphaSetting(0.0, 0.0, 12, float(np.log(10)), 0.5, 2.0, "sub-Gaussian", (1.0,)),))


def compare_world(s: AlphaSetting, p: AlphaPrediction, rows: Rows) -> Coverage:
    return pbc.coverage("C", s.alpha * s.n, p.log_constant, s.log_inv_delta)


def compare_world_a(s: AlphaSetting, p: AlphaPrediction, rows: Rows) -> Coverage:
    return pbc.coverage("A", s.alpha * s.n, p.log_constant, s.log_inv_delta)


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            Control("ln 1/(1-a) dropped", _mutant(constant=lambda s: 0.0)),
            Control("1/(1-a)^2 for 1/(1-a)", _mutant(constant=lambda s: 2 * predict(s).log_constant)),
            Control("moment of Gaussian losses for all", _mutant(constant=lambda s: np.log((1 + (1 - s.alpha) ** -0.5) / 2))),
            Control("a dropped from a n", _mutant(power=0.0)),
            Control("2 n for n", _mutant(n=2.0)),
            Control("delta squared", _mutant(spent=2.0)),
            Control("KL in bits", _mutant(kl=1 / np.log(2))),
            Control("sqrt(v t) for sqrt(2 v t)", _mutant(root=1.0)),
        ),
    ),
    Check(
        "the best exponent is the lower branch of Lambert's W",
        ROOT,
        controls=(
            Control("x = 1 + B", _root_mutant(lambda s, x: 1 + s.anticipated_kl + s.log_inv_delta, lambda x: 1 - 1 / x)),
            Control("sub-gamma start sqrt(2B) + B", _root_mutant(lambda s, x: 1 + np.sqrt(2 * (s.anticipated_kl + s.log_inv_delta)) + s.anticipated_kl + s.log_inv_delta, lambda x: 1 - 1 / x)),
            Control("a = 1 - 1/(x-1)", _root_mutant(lambda s, x: x, lambda x: 1 - 1 / (x - 1))),
            Control("a = 1/x", _root_mutant(lambda s, x: x, lambda x: 1 / x)),
        ),
    ),
    Check(
        "world C, a = 1/2: exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_world,
        controls=(
            Control("1 in place of 1/(1-a)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),
            Control("the moment of Gaussian losses, 1.207", {"predict": lambda s: replace(predict(s), log_constant=float(np.log((1 + (1 - s.alpha) ** -0.5) / 2)))}),
        ),
    ),
    Check(
        "world A, a = 1/2: exact moment and failure probability of the printed certificate",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_world_a,
        controls=(Control("1 in place of 1/(1-a)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),),
    ),
)  # fmt: skip

RESULT = Result(
    PBC_ALPHA,
    predict=predict,
    example=AlphaSetting(0.12, 10.0, 10_000, float(np.log(20)), 0.94, 10.0, "sub-Gaussian", (1.0,)),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, cramer.RESULT, pbc.RESULT, pbc_oracle.RESULT),
    derivation=DERIVATION,
)
