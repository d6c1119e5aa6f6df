"""Thiemann, Igel, Wintenberger, Seldin: r_Q <= rh_Q/(1-l/2) + c/(l(1-l/2)) for all l in (0,2), linear in rh_Q and in KL(Q||P)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx

from ....numerics.bounds.relaxations import best_gamma, best_lambda, thiemann_lambda
from ....numerics.claims import Enclosures, Formula, Identity, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.relaxations import lambda_ball, quad_ball
from ....theory.balls.seeger import complexity_ball, seeger_lower_ball, seeger_upper_ball
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import LAMBDA
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import gibbs
from . import relaxations
from .lambda_training import compare_training, predict_training, trainings, wrong_temperature, wrong_update
from .relaxations import DIGITS, HALF_ULP, c_of, control, enclosures, plain


@dataclass(frozen=True)
class LambdaSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), lambda in (0, 2), gamma > 0."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    lam: float
    gamma: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not (0 < finite("lam", self.lam) < 2 and finite("gamma", self.gamma) > 0):
            raise InvalidInput(f"lam = {self.lam}, gamma = {self.gamma}.", "lam lies in (0, 2), gamma is positive.")


@dataclass(frozen=True)
class LambdaPrediction:
    """Upper side, not clipped at 1, lower side, not below 0, and the lambda at which the upper side would be smallest."""

    upper: float
    lower: float
    best: float


# --- derivation ---------------------------------------------------------------------------------------------------


def completing_squares() -> list[tuple[Any, Any]]:
    import sympy

    q, c, g, lam = sympy.symbols("q c g l", positive=True)
    a, b = sympy.symbols("a b", positive=True)  # a = sqrt(q + c/2) and b = sqrt(c/2), so that (a+b)^2 is pb.quad
    value = (a**2 - b**2 + 2 * b**2 / lam) / (1 - lam / 2)
    lower = (1 - g / 2) * q - c / g
    return [
        (value - (a + b) ** 2, ((a + b) * lam - 2 * b) ** 2 / (lam * (2 - lam))),
        (lower, q - sympy.sqrt(2 * q * c) - (sympy.sqrt(g * q / 2) - sympy.sqrt(c / g)) ** 2),
    ]


def best_parameter() -> list[tuple[Any, Any]]:
    import sympy

    a, b = sympy.symbols("a b", positive=True)
    # 2/(sqrt(2q/c + 1) + 1) with q = a^2 - b^2, c = 2 b^2
    ratio = sympy.sqrt(sympy.cancel(2 * (a**2 - b**2) / (2 * b**2) + 1))
    return [(2 / (sympy.simplify(ratio) + 1), 2 * b / (a + b))]


def linear_in_q() -> list[tuple[Any, Any]]:
    import sympy

    r, k, big, n, lam = sympy.symbols("r K L n l", positive=True)
    c = (k + big) / n
    return [
        (
            r / (1 - lam / 2) + c / (lam * (1 - lam / 2)),
            (r + k / (lam * n)) / (1 - lam / 2) + big / (n * lam * (1 - lam / 2)),
        )
    ]


DERIVATION = (
    Uses(relaxations.RESULT, "r_Q <= (sqrt(rh_Q + c/2) + sqrt(c/2))^2 and r_Q >= rh_Q - sqrt(2 rh_Q c) on the event of pb.kl"),
    Algebra("for every l in (0,2) the linear form is that plus a square; the lower form is that minus a square", completing_squares),
    Algebra("the square vanishes at l = 2b/(a+b) = 2/(sqrt(2q/c + 1) + 1): the best value is pb.quad", best_parameter),
    Algebra("at fixed l the bound is (E_Q rh + K/(l n))/(1-l/2) plus a constant", linear_in_q),
    Uses(gibbs.RESULT, "so the best Q is the Gibbs law at beta = l n; each half-step of an alternation lowers the bound"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LambdaSetting) -> LambdaPrediction:
    found = thiemann_lambda(**plain(s), lam=s.lam, gamma=s.gamma)
    assert found.lower is not None
    return LambdaPrediction(found.raw, found.lower, best_lambda(s.risk, c_of(s)))


# --- checks: formulas ---------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> LambdaSetting:
    lam = rng.choice([rng.uniform(1e-3, 1.999), 10 ** rng.uniform(-6, 0), 2 - 10 ** rng.uniform(-9, 0)])
    return LambdaSetting(**plain(relaxations.sample(rng)), lam=float(lam), gamma=float(10 ** rng.uniform(-3, 1)))


def sample_lower(rng: np.random.Generator) -> LambdaSetting:
    """Settings whose lower side is clearly above 0."""
    while True:
        s = replace(sample(rng), n=int(10 ** rng.uniform(2, 7)), gamma=float(10 ** rng.uniform(-2, 0)))
        if (1 - s.gamma / 2) * s.risk - c_of(s) / s.gamma > 1e-3:
            return s


# c is rounded up by at most 24 half-ulps; 1 - lam/2 is exact for lam >= 1 and within an ulp of itself below; two quotients, a product
# and a sum are within an ulp each
UPPER = Formula(
    expression=lambda s: lambda_ball(**plain(s), lam=s.lam, gamma=s.gamma)[0],
    shipped=lambda s: thiemann_lambda(**plain(s), lam=s.lam, gamma=s.gamma).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (24 + 5 * 2) * HALF_ULP,
    side="upper",
    count=100,
)
# c/gamma and (1 - gamma/2) q are both below the risk, and 40 half-ulps cover what either loses
LOWER = replace(
    UPPER,
    expression=lambda s: lambda_ball(**plain(s), lam=s.lam, gamma=s.gamma)[1],
    shipped=lambda s: thiemann_lambda(**plain(s), lam=s.lam, gamma=s.gamma).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lambda s: 40 * HALF_ULP * 2 * s.risk / 1e-3,
    side="lower",
)


def _bound(q: float, c: float, lam: float) -> float:
    return (q + c / lam) / (1 - lam / 2)


# --- checks: order and identity ----------------------------------------------------------------------------


def compare_above(s: LambdaSetting, p: LambdaPrediction, rows: Rows) -> Enclosures:
    """The predicted ends against UP and LO at the same complexity: a relaxation never excludes what the kl bound allows."""
    with ctx.workdps(DIGITS):
        up, low = seeger_upper_ball(**plain(s), digits=DIGITS), seeger_lower_ball(**plain(s), digits=DIGITS)
        return enclosures([arb(p.upper) - up, low - arb(p.lower)])


def compare_best(s: LambdaSetting, p: LambdaPrediction, rows: Rows, *, twice: int = 2) -> Enclosures:
    """The linear form at 2/(sqrt(2q/c + 1) + 1), in balls, minus the quadratic form."""
    with ctx.workdps(DIGITS):
        q, c = arb(s.risk), complexity_ball(s.kl, s.n, s.log_inv_delta, digits=DIGITS)
        lam = 2 / ((twice * q / c + 1).sqrt() + 1)
        return enclosures([(q + c / lam) / (1 - lam / 2) - quad_ball(**plain(s), digits=DIGITS)[0]])


def compare_best_without_two(s: LambdaSetting, p: LambdaPrediction, rows: Rows) -> Enclosures:
    return compare_best(s, p, rows, twice=1)


def _orders(count: int) -> tuple[LambdaSetting, ...]:
    """Lambda and gamma within a fifth of the best, where the relaxation is closest to what it relaxes."""
    rng = generator(2, "pb.lambda")
    found = []
    for s in relaxations.orders(count):
        lam, gamma = best_lambda(s.risk, c_of(s)), best_gamma(s.risk, c_of(s))
        found.append(LambdaSetting(**plain(s), lam=lam * rng.uniform(0.8, 1.2), gamma=gamma * rng.uniform(0.8, 1.2)))
    return tuple(found)


def _shift(**changes: Any) -> Any:
    return lambda s: predict(replace(s, **{name: change(getattr(s, name)) for name, change in changes.items()}))


CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            control("1 - lam for 1 - lam/2", UPPER, lambda s: (s.risk + c_of(s) / s.lam) / abs(1 - s.lam + 1e-9)),
            control("1 - lam/2 missing in the second term", UPPER, lambda s: s.risk / (1 - s.lam / 2) + c_of(s) / s.lam),
            control("lam missing in the second term", UPPER, lambda s: (s.risk + c_of(s)) / (1 - s.lam / 2)),
            control("c over 2", UPPER, lambda s: _bound(s.risk, c_of(s) / 2, s.lam)),
            control("n - 1 for n", UPPER, lambda s: _bound(s.risk, c_of(s) * s.n / max(s.n - 1, 0.5), s.lam)),
            control("2 sqrt(n) for xi(n)", UPPER, lambda s: thiemann_lambda(**plain(s), lam=s.lam, constant="2sqrt").raw),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            control("1 - gamma for 1 - gamma/2", LOWER, lambda s: (1 - s.gamma) * s.risk - c_of(s) / s.gamma),
            control("c/(2 gamma) for c/gamma", LOWER, lambda s: (1 - s.gamma / 2) * s.risk - c_of(s) / (2 * s.gamma)),
        ),
    ),
    Check(
        "no lambda and no gamma beats the PAC-Bayes-kl bound",
        Inequality(),
        settings=ByBudget(quick=_orders(20), full=lambda: _orders(300)),
        compare=compare_above,
        controls=(Control("half of KL", {"predict": _shift(kl=lambda x: x / 2)}), Control("twice n", {"predict": _shift(n=lambda x: 2 * x)})),
    ),
    Check(
        "at the best lambda the value is that of the quadratic form",
        Identity(),
        settings=ByBudget(quick=_orders(12), full=lambda: _orders(300)),
        compare=compare_best,
        controls=(Control("2/(sqrt(q/c + 1) + 1)", {"compare": compare_best_without_two}),),
    ),
    Check(
        "alternating minimisation descends and stops at a minimum in lambda",
        Inequality(),
        settings=ByBudget(quick=trainings(6), full=lambda: trainings(80)),
        compare=compare_training,
        predict=predict_training,
        controls=(Control("a wrong lambda", {"predict": wrong_update}), Control("the Gibbs law at beta = n", {"predict": wrong_temperature})),
    ),
)  # fmt: skip

RESULT = Result(
    LAMBDA,
    predict=predict,
    example=LambdaSetting(0.0155, 73.2, 30_000, float(-np.log(0.025)), 0.5, 0.5),
    checks=CHECKS,
    uses=(relaxations.RESULT, gibbs.RESULT),
    derivation=DERIVATION,
)
