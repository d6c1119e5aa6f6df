"""The quadratic relaxation of the PAC-Bayes-kl bound: r_Q <= (sqrt(rh_Q + c/2) + sqrt(c/2))^2 on the event of pb.kl."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx

from ....numerics.bounds.relaxations import quad
from ....numerics.bounds.seeger import complexity
from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.pbb import upper_of_balls
from ....theory.balls.relaxations import quad_ball
from ....theory.balls.seeger import complexity_ball, seeger_lower_ball
from ....theory.derivation import Algebra, Uses
from ....theory.statements.pac_bayes.kl_bounds import QUAD
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import kl_inverse
from . import seeger

HALF_ULP = 2.0**-53
DIGITS = 50


@dataclass(frozen=True)
class RelaxationSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta)."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class RelaxationPrediction:
    """Upper side, not clipped at 1, and lower side, not below 0."""

    upper: float
    lower: float


def plain(s: Any) -> dict[str, Any]:
    return {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta}


# --- derivation ---------------------------------------------------------------------------------------------------


def refined_pinsker() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    above, below = kl - (p - q) ** 2 / (2 * p), kl - (q - p) ** 2 / (2 * q)
    # for p >= q the first slope is (p-q) times a positive number; for p <= q the second is (p-q) times one
    return [
        (above.subs(p, q), 0),
        (sympy.diff(above, p), (p - q) * ((p - q) + p * (p + q)) / (2 * p**2 * (1 - p))),
        (below.subs(p, q), 0),
        (sympy.diff(below, p), (p - q) * ((q - p) + p**2) / (q * p * (1 - p))),
    ]


def roots() -> list[tuple[Any, Any]]:
    import sympy

    q, c = sympy.symbols("q c", positive=True)
    root = (sympy.sqrt(q + c / 2) + sympy.sqrt(c / 2)) ** 2
    other = (sympy.sqrt(q + c / 2) - sympy.sqrt(c / 2)) ** 2
    x = sympy.Symbol("x", real=True)
    # (x - q)^2 - 2 x c as a quadratic in x: its roots' sum and product
    quadratic = (x - q) ** 2 - 2 * x * c
    return [
        (sympy.expand(root + other), 2 * (q + c)),
        (sympy.expand(root * other), q**2),
        (quadratic, x**2 - 2 * (q + c) * x + q**2),
        (sympy.expand((root - q - c) ** 2), sympy.expand(c**2 + 2 * q * c)),
    ]


DERIVATION = (
    Uses(seeger.RESULT, "kl(rh_Q||r_Q) <= c for all Q, with probability at least 1-delta"),
    Algebra("refined Pinsker: kl(q||p) >= (p-q)^2/(2p) for p >= q and >= (q-p)^2/(2q) for p <= q; both are equal at p = q and move apart", refined_pinsker, (("q", 0.1, 0.9), ("p", 0.1, 0.9))),
    Uses(kl_inverse.RESULT, "UP(q,c) is the largest p with kl(q||p) <= c, so it satisfies (p-q)^2 <= 2 p c; LO(q,c) satisfies (q-p)^2 <= 2 q c"),
    Algebra("the larger root of (p-q)^2 = 2pc is (sqrt(q+c/2) + sqrt(c/2))^2 = q + c + sqrt(c^2 + 2qc)", roots),
)  # fmt: skip

# --- predictions --------------------------------------------------------------------------------------------------


def predict(s: RelaxationSetting) -> RelaxationPrediction:
    found = quad(**plain(s))
    assert found.lower is not None
    return RelaxationPrediction(found.raw, found.lower)


# --- checks: formulas ---------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> RelaxationSetting:
    return RelaxationSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0), 1.0])),
        float(10 ** rng.uniform(-3, 5)),
        int(10 ** rng.uniform(0, 7)),
        float(10 ** rng.uniform(-1, 2.8)),
    )


def sample_lower(rng: np.random.Generator) -> RelaxationSetting:
    """Settings whose lower side is clearly above 0."""
    while True:
        s = replace(sample(rng), n=int(10 ** rng.uniform(2, 7)))
        if s.risk - math.sqrt(2 * s.risk * c_of(s)) > 1e-3:
            return s


# c is rounded up by at most 24 half-ulps and each of the four outward steps (sums, roots, the square) by two
UPPER = Formula(
    expression=lambda s: quad_ball(**plain(s))[0],
    shipped=lambda s: quad(**plain(s)).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: (24 + 4 * 2 + 4) * HALF_ULP,
    side="upper",
    count=100,
)
LOWER = replace(
    UPPER,
    expression=lambda s: quad_ball(**plain(s))[1],
    shipped=lambda s: quad(**plain(s)).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lambda s: (
        24 * HALF_ULP * 2 * s.risk / 1e-3
    ),  # the absolute error is that of sqrt(2 q c), which is below the risk
    side="lower",
)


def c_of(s: Any) -> float:
    return complexity(s.kl, s.n, s.log_inv_delta)


def control(name: str, formula: Formula, function: Any) -> Control:
    return Control(name, {"claim": replace(formula, shipped=function)})


def _quad_of(q: float, c: float) -> float:
    return q + c + math.sqrt(c * c + 2 * q * c)


# --- checks: order and identity -----------------------------------------------------------------------------------


def enclosures(balls: list[arb], width: float = 1e-25) -> Enclosures:
    return Enclosures(np.array([float(b.lower()) for b in balls]), np.array([float(b.upper()) for b in balls]), width)


def compare_order(s: RelaxationSetting, p: RelaxationPrediction, rows: Rows, *, share: float = 1.0) -> Enclosures:
    """UP <= the quadratic form <= q + sqrt(2qc) + 2c, UP <= q + sqrt(c/2), and LO >= q - sqrt(2qc); `share` multiplies c in the
    relaxations alone."""
    with ctx.workdps(DIGITS):
        q, c = arb(s.risk), complexity_ball(s.kl, s.n, s.log_inv_delta, digits=DIGITS)
        d = c * arb(share)
        up, low = upper_of_balls(q, c, DIGITS), seeger_lower_ball(**plain(s), digits=DIGITS)
        form = q + d + (d * d + 2 * q * d).sqrt()
        return enclosures(
            [form - up, q + (2 * q * c).sqrt() + 2 * c - form, q + (d / 2).sqrt() - up, low - (q - (2 * q * d).sqrt())]
        )


def compare_half_complexity(s: RelaxationSetting, p: RelaxationPrediction, rows: Rows) -> Enclosures:
    """(K + ln(xi(n)/delta))/(2n) in place of /n."""
    return compare_order(s, p, rows, share=0.5)


def compare_nearly_all(s: RelaxationSetting, p: RelaxationPrediction, rows: Rows) -> Enclosures:
    return compare_order(s, p, rows, share=0.9)


def orders(count: int) -> tuple[RelaxationSetting, ...]:
    rng = generator(1, "pb.quad")
    return tuple(
        RelaxationSetting(
            float(rng.uniform(1e-4, 0.6)), float(10 ** rng.uniform(-1, 2)), int(10 ** rng.uniform(2, 5)), 3.0
        )
        for _ in range(count)
    )


ORDERS = ByBudget(quick=orders(25), full=lambda: orders(400))

CHECKS = (
    Check(
        "the shipped quadratic certificate is the last step, rounded upward",
        UPPER,
        controls=(
            control("c over 2: (K + ln)/(2n)", UPPER, lambda s: _quad_of(s.risk, c_of(s) / 2)),
            control("the term c dropped", UPPER, lambda s: _quad_of(s.risk, c_of(s)) - c_of(s)),
            control("c^2 dropped under the root", UPPER, lambda s: s.risk + c_of(s) + math.sqrt(2 * s.risk * c_of(s))),
            control("K in bits", UPPER, lambda s: quad(**{**plain(s), "kl": s.kl / math.log(2)}).raw),
            control("n - 1 for n", UPPER, lambda s: _quad_of(s.risk, c_of(s) * s.n / max(s.n - 1, 0.5))),
            control("2 sqrt(n) for xi(n)", UPPER, lambda s: quad(**plain(s), constant="2sqrt").raw),
            control("delta halved", UPPER, lambda s: quad(**{**plain(s), "log_inv_delta": s.log_inv_delta + math.log(2)}).raw),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            control("the risk minus what the upper side adds", LOWER, lambda s: 2 * s.risk - quad(**plain(s)).raw),
            control("the 2 under the root dropped", LOWER, lambda s: s.risk - math.sqrt(s.risk * c_of(s))),
        ),
    ),
    Check(
        "UP <= quadratic form <= q + sqrt(2qc) + 2c, UP <= q + sqrt(c/2), LO >= q - sqrt(2qc)",
        Inequality(),
        settings=ORDERS,
        compare=compare_order,
        controls=(Control("(K + ln(xi(n)/delta))/(2n) in place of /n", {"compare": compare_half_complexity}), Control("nine tenths of c", {"compare": compare_nearly_all})),
    ),
)  # fmt: skip

RESULT = Result(
    QUAD,
    predict=predict,
    example=RelaxationSetting(0.0155, 73.2, 30_000, float(-np.log(0.025))),
    checks=CHECKS,
    uses=(seeger.RESULT, kl_inverse.RESULT),
    derivation=DERIVATION,
)
