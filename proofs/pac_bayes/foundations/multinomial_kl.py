"""The inverse of the vector relative entropy: the largest mean over laws p with KL(u||p) <= c, and its dual in one unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import rel_entr

from ....numerics.certified.multinomial_kl import multinomial_kl_lower, multinomial_kl_upper, weights_of
from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....theory.axioms import JENSEN, KKT, MONOTONE_INVERSE
from ....theory.balls.multinomial_kl import multinomial_kl_lower_ball, multinomial_kl_upper_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.foundations import MULTIKLINV
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class VectorKlSetting:
    """Weights u (they sum to 1), values f of all atoms, and a divergence c in nats."""

    u: NDArray[np.float64]
    f: NDArray[np.float64]
    c: float

    def __post_init__(self) -> None:
        if weights_of("u", self.u).shape != finite("f", self.f, ndim=1).shape:
            raise InvalidInput("u and f do not belong together.", "Give one weight and one value for each atom.")
        non_negative("c", self.c)


@dataclass(frozen=True)
class VectorKlPrediction:
    """Largest and smallest mean."""

    upper: float
    lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


def weak_duality() -> list[tuple[Any, Any]]:
    """sum u ln(p (a+F-f)/(u e^-c...)): the exponent of the dual value, with the constraint inserted, for three atoms."""
    import sympy

    a, top = sympy.symbols("a F", positive=True)
    f = sympy.symbols("f1:4", real=True)
    p1, p2 = sympy.symbols("p1 p2", positive=True)
    p = (p1, p2, 1 - p1 - p2)
    # sum p_i (a + F - f_i) = a + F - E_p f
    return [
        (
            sum(x * (a + top - y) for x, y in zip(p, f, strict=True)),
            a + top - sum(x * y for x, y in zip(p, f, strict=True)),
        )
    ]


def attained() -> list[tuple[Any, Any]]:
    """At p_i = u_i/(S (a+F-f_i)), S = sum u/(a+F-f): KL(u||p) = ln S + sum u ln(a+F-f), and E_p f = F + a - 1/S."""
    import sympy

    d = sympy.symbols("d1:4", positive=True)  # a + F - f_i
    u1, u2, shift = sympy.symbols("u1 u2 s", positive=True)  # s = a + F
    u = (u1, u2, 1 - u1 - u2)
    total = sum(x / y for x, y in zip(u, d, strict=True))
    p = [x / y / total for x, y in zip(u, d, strict=True)]
    mean = sum(q * (shift - y) for q, y in zip(p, d, strict=True))
    ratios = [x / q for x, q in zip(u, p, strict=True)]  # u_i/p_i = S d_i, whose logarithms KL averages
    return [(mean, shift - 1 / total), *((r, total * y) for r, y in zip(ratios, d, strict=True))]


def stationary() -> list[tuple[Any, Any]]:
    """The dual value's derivative in a is 1 - e^(-c) G S with G = prod (a+F-f)^u: zero iff ln S + ln G = c."""
    import sympy

    a, c = sympy.symbols("a c", positive=True)
    e = sympy.symbols("e1:4", positive=True)  # F - f_i
    u1, u2 = sympy.symbols("u1 u2", positive=True)
    u = (u1, u2, 1 - u1 - u2)
    log_g = sum(x * sympy.log(a + y) for x, y in zip(u, e, strict=True))
    value = a - sympy.exp(log_g - c)
    slope = 1 - sympy.exp(log_g - c) * sum(x / (a + y) for x, y in zip(u, e, strict=True))
    return [(sympy.diff(value, a), slope)]


DERIVATION = (
    Algebra("a + F - E_p f = sum p_i (a + F - f_i) for every law p", weak_duality, (("p1", 0.1, 0.4), ("p2", 0.1, 0.4))),
    Axiom(JENSEN, "ln sum p_i (a+F-f_i) >= sum u_i ln(p_i (a+F-f_i)/u_i) = sum u_i ln(a+F-f_i) - KL(u||p) >= sum u_i ln(a+F-f_i) - c"),
    Algebra("p_i ~ u_i/(a+F-f_i) has u_i/p_i = S (a+F-f_i) and mean F + a - 1/S", attained, (("u1", 0.1, 0.4), ("u2", 0.1, 0.4))),
    Algebra("the dual value is stationary in a exactly where KL(u||p) = c: there primal and dual agree", stationary, (("u1", 0.1, 0.4), ("u2", 0.1, 0.4))),
    Axiom(MONOTONE_INVERSE, "KL(u||p(a)) decreases in a, from its value at a = 0 (possibly infinite) to 0"),
    Axiom(KKT, "if it is at most c at a = 0, the missing mass goes to an atom of largest value that u does not see, and the dual is least at a = 0"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: VectorKlSetting) -> VectorKlPrediction:
    return VectorKlPrediction(float(multinomial_kl_upper(s.u, s.f, s.c)), float(multinomial_kl_lower(s.u, s.f, s.c)))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> VectorKlSetting:
    """Values above 1, so that relative and absolute errors are of one size; some atoms unseen."""
    m = int(rng.integers(2, 7))
    u = rng.dirichlet(np.full(m, rng.choice([0.3, 1.0, 5.0])))
    u[rng.random(m) < 0.25] = 0.0
    u = u / u.sum() if u.sum() > 0 else np.eye(m)[0]
    values = np.asarray(1 + rng.permutation(m) * rng.uniform(0.1, 1), dtype=np.float64)
    return VectorKlSetting(u, values, float(10 ** rng.uniform(-8, 1)))


def width(s: VectorKlSetting) -> float:
    """Twice the added slack (2M + 2) ulps of the mean of |f|, and the gap's (M + 17) ulps, each relative to a bound of at least 1."""
    m, size = len(s.u), float(np.abs(s.f).max())
    return 2 * ((2 * m + 2) * size + (m + 17) * size) * 2 * HALF_ULP


UPPER = Formula(
    expression=lambda s: multinomial_kl_upper_ball(s.u.tolist(), s.f.tolist(), s.c, 50),
    shipped=lambda s: float(multinomial_kl_upper(s.u, s.f, s.c)),
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=50,
)
LOWER = replace(
    UPPER,
    expression=lambda s: multinomial_kl_lower_ball(s.u.tolist(), s.f.tolist(), s.c, 50),
    shipped=lambda s: float(multinomial_kl_lower(s.u, s.f, s.c)),
    read=lambda p: p.lower,
    side="lower",
)


def _seen_only(s: VectorKlSetting) -> float:
    """Unseen atoms forgotten: the maximum over the support of u alone."""
    seen = s.u > 0
    return float(multinomial_kl_upper(s.u[seen], s.f[seen], s.c))


def compare_scan(s: VectorKlSetting, p: VectorKlPrediction, rows: Rows, *, swapped: bool = False) -> Comparison:
    """Three atoms: for each p_1 the largest mean on the edge of the ball by root finding in p_2, then a scalar search over p_1.

    Roots are right to 1e-13; at the optimum a search to 1e-9 in p_1 costs its square times the curvature, below 1e-12.
    """
    f = s.f - s.f[2]
    sign = 1.0 if f[1] > 0 else -1.0

    def divergence(law: np.ndarray) -> float:
        return float((rel_entr(law, s.u) if swapped else rel_entr(s.u, law)).sum())

    def best_mean(p1: float) -> float:
        rest = 1 - p1

        def excess(p2: float) -> float:
            return divergence(np.array([p1, p2, rest - p2])) - s.c

        inside = rest * s.u[1] / (s.u[1] + s.u[2])  # the point of least divergence given p_1
        if excess(inside) > 0:
            return -1e3 - abs(p1 - s.u[0])
        edge = rest * (1 - 1e-12) if sign > 0 else rest * 1e-12
        p2 = edge if excess(edge) <= 0 else brentq(excess, inside, edge, xtol=1e-13)
        return float(f[0] * p1 + f[1] * p2)

    ends = [minimize_scalar(lambda x: -best_mean(x), bounds=box, method="bounded", options={"xatol": 1e-9}).fun
            for box in ((1e-9, s.u[0]), (s.u[0], 1 - 1e-9))]  # fmt: skip
    best = s.f[2] - min(ends)
    return Comparison(np.array([best]), np.array([p.upper]), np.array([1e-9 * np.ptp(s.f)]), np.ptp(s.f))


def compare_swapped(s: VectorKlSetting, p: VectorKlPrediction, rows: Rows) -> Comparison:
    return compare_scan(s, p, rows, swapped=True)


SCANNED = tuple(
    VectorKlSetting(np.array(u), np.array(f), c)
    for u, f, c in (([0.08, 0.05, 0.87], [1.0, -1.0, 0.0], 0.05), ([0.3, 0.5, 0.2], [0.0, 0.4, 1.0], 0.3))
)

CHECKS = (
    Check(
        "the shipped largest mean, rounded upward",
        UPPER,
        controls=(
            Control("c + 1e-9", {"claim": replace(UPPER, shipped=lambda s: float(multinomial_kl_upper(s.u, s.f, 1.000001 * s.c)))}),
            Control("unseen atoms forgotten", {"claim": replace(UPPER, shipped=_seen_only)}),
            Control("c in bits", {"claim": replace(UPPER, shipped=lambda s: float(multinomial_kl_upper(s.u, s.f, s.c / np.log(2))))}),
        ),
    ),
    Check(
        "the shipped smallest mean, rounded downward",
        LOWER,
        controls=(Control("the largest mean mirrored at the mean", {"claim": replace(LOWER, shipped=lambda s: float(2 * (s.u @ s.f) - multinomial_kl_upper(s.u, s.f, s.c)))}),),
    ),
    Check(
        "against a search over the ball, three atoms",
        Agreement("convergence"),
        settings=ByBudget(quick=SCANNED),
        compare=compare_scan,
        controls=(Control("KL(p||u) for KL(u||p)", {"compare": compare_swapped}),),
    ),
)  # fmt: skip

RESULT = Result(
    MULTIKLINV,
    predict=predict,
    example=VectorKlSetting(np.array([0.08, 0.05, 0.87]), np.array([1.0, -1.0, 0.0]), 0.0075),
    checks=CHECKS,
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
