"""Time-uniform PAC-Bayes-kl: with probability 1-delta, for all n and all Q, kl(rh_Q||r_Q) <= (KL(Q||P) + ln(kt(n)/delta))/n."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ....numerics.bounds.time_uniform import anytime_budget, kl_anytime
from ....numerics.certified.kl_inverse import kl_lower, kl_upper
from ....numerics.certified.krichevsky_trofimov import log_kt
from ....numerics.certified.maurer import log_maurer_xi
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, VILLE
from ....theory.balls.time_uniform import kl_anytime_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.pac_bayes.time_uniform import KL_ANYTIME
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure, kl_inverse
from ..small_worlds import LOSSES, exponent, moment, world_a
from ..time_uniform_worlds import all_paths, first_passage, kl_exponent, posterior_passage
from . import krichevsky_trofimov

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class AnytimeSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples so far, ln(1/delta)."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class AnytimePrediction:
    """Both sides of the bound on the true Gibbs risk, and ln kt(n), the constant that pays for all n."""

    upper: float
    lower: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def one_step() -> list[tuple[Any, Any]]:
    import sympy

    w, f, r = sympy.symbols("w f r", positive=True)
    factor = w * f / r + (1 - w) * (1 - f) / (1 - r)
    # linear in f: its conditional mean is its value at the conditional mean r of f
    return [(factor.subs(f, r), sympy.Integer(1)), (sympy.diff(factor, f, 2), sympy.Integer(0))]


def log_wealth() -> list[tuple[Any, Any]]:
    import sympy

    q, r, n = sympy.symbols("q r n", positive=True)
    # ln of [mixture mass of nq ones in n] r^-nq (1-r)^-n(1-q), with the mass at least (best coin's likelihood)/kt
    kt = sympy.Symbol("kt", positive=True)
    likelihood = n * q * sympy.log(q) + n * (1 - q) * sympy.log(1 - q)
    divided = likelihood - sympy.log(kt) - n * q * sympy.log(r) - n * (1 - q) * sympy.log(1 - r)
    kl = q * (sympy.log(q) - sympy.log(r)) + (1 - q) * (sympy.log(1 - q) - sympy.log(1 - r))
    return [(divided, n * kl - sympy.log(kt))]


def kl_is_jointly_convex() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    kl = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p))
    hessian = sympy.hessian(kl, (q, p))
    return [(hessian[0, 0], 1 / (q * (1 - q))), (hessian.det(), ((p - q) / (q * (1 - q) * p * (1 - p))) ** 2 * q * (1 - q))]  # fmt: skip


DERIVATION = (
    Algebra("for 0 < r < 1 the factor w f/r + (1-w)(1-f)/(1-r) >= 0 is linear in f and 1 at f = r: products of it over the examples are a martingale of mean 1 (at r = 0 or 1 all losses equal r and kl = 0)", one_step, (("w", 0.1, 0.8), ("f", 0.1, 0.8), ("r", 0.1, 0.8))),
    Axiom(FUBINI, "so are their mixture W_n(h) over w ~ Beta(1/2,1/2), and the mean of W_n(h) over h ~ P, which does not depend on the data"),
    Axiom(JENSEN, "ln is concave: ln(w f/r + (1-w)(1-f)/(1-r)) >= f ln(w/r) + (1-f) ln((1-w)/(1-r)) for f in [0, 1]"),
    Uses(krichevsky_trofimov.RESULT, "the Beta(1/2,1/2) mean of w^x (1-w)^(n-x) is at least (x/n)^x (1-x/n)^(n-x)/kt(n), for real x = n rh too"),
    Algebra("hence ln W_n(h) >= n kl(rh(h)||r(h)) - ln kt(n)", log_wealth, (("q", 0.1, 0.8), ("r", 0.1, 0.8))),
    Axiom(VILLE, "with probability at least 1-delta, E_P W_n <= 1/delta for all n at once"),
    Uses(change_of_measure.RESULT, "then E_Q ln W_n <= K + ln(1/delta) for all n and Q"),
    Algebra("the Hessian of kl has a positive entry and a determinant that is not negative: kl is jointly convex", kl_is_jointly_convex, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Axiom(JENSEN, "so n kl(rh_Q||r_Q) <= E_Q n kl(rh||r) <= K + ln(kt(n)/delta)"),
    Uses(kl_inverse.RESULT, "the interval of r_Q that this leaves, given rh_Q"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: AnytimeSetting) -> AnytimePrediction:
    c = anytime_budget(s.kl, s.n, s.log_inv_delta) / s.n * (1 + 2 * HALF_ULP)
    return AnytimePrediction(float(kl_upper(s.risk, c)), float(kl_lower(s.risk, c)), float(log_kt(s.n)))


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> AnytimeSetting:
    return AnytimeSetting(
        risk=float(rng.choice([0.0, rng.uniform(0, 0.5), 10 ** rng.uniform(-6, -1), rng.uniform(0.5, 1)])),
        kl=float(10 ** rng.uniform(-3, 5)),
        n=int(10 ** rng.uniform(0, 7)),
        log_inv_delta=float(10 ** rng.uniform(-1, 2.8)),
    )


def sample_lower(rng: np.random.Generator) -> AnytimeSetting:
    """Risks and complexities at which the lower end is a normal float: it falls like e^(-c/risk)."""
    kl, n, level = 10 ** rng.uniform(-3, 2), 10 ** rng.uniform(3, 7), 10 ** rng.uniform(-1, 2.8)
    return AnytimeSetting(float(rng.uniform(0.01, 1)), float(kl), int(n), float(level))


def _certificate(s: AnytimeSetting, **changes: Any) -> float:
    return kl_anytime(**{"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, **changes}).value


def _with(s: AnytimeSetting, log_constant: float, inverse: Any = kl_upper) -> float:
    return float(inverse(s.risk, (s.kl + log_constant + s.log_inv_delta) / s.n))


UPPER = Formula(
    expression=lambda s: kl_anytime_ball(s.risk, s.kl, s.n, s.log_inv_delta)[1],
    shipped=_certificate,
    read=lambda p: p.upper,
    sample=sample,
    # ln kt is up by 12 half-ulps, sum and quotient by 2 each (predict: 4), the inverse by 12; UP is concave in c with UP(q,0) = q
    width=lambda s: (12 + 6 + 12) * HALF_ULP,
    side="upper",
    count=60,
)
LOWER = replace(
    UPPER,
    expression=lambda s: kl_anytime_ball(s.risk, s.kl, s.n, s.log_inv_delta)[0],
    shipped=lambda s: kl_anytime(risk=s.risk, kl=s.kl, n=s.n, log_inv_delta=s.log_inv_delta).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    # near 0 the lower end is q e^-v with v up to c/q: an error of c's half-ulps in the exponent, and (v + 8) ulps of its own
    width=lambda s: 60 * (1 + (s.kl + np.log(4 * s.n) + s.log_inv_delta) / (s.n * s.risk)) * HALF_ULP,
    side="lower",
)


def _upper(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def _lower(function: Any) -> dict[str, Any]:
    return {"claim": replace(LOWER, shipped=function)}


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def compare_world_a(s: AnytimeSetting, p: AnytimePrediction, rows: Rows, *, log_constant: Any = log_kt) -> Coverage:
    """P(some n <= T and Q violate) by forward recursion; the moment is that of n kl at n = T."""
    world = world_a(s.n)
    found = posterior_passage(kl_exponent, lambda n: float(log_constant(n)), LOSSES, s.log_inv_delta, s.n)
    assert found.margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    constant = math.exp(float(log_constant(s.n)))
    return Coverage(math.exp(-s.log_inv_delta), moment(world, exponent(world)), constant, found.probability)


def compare_free(s: AnytimeSetting, p: AnytimePrediction, rows: Rows) -> Coverage:
    return compare_world_a(s, p, rows, log_constant=lambda n: 0.0)


def compare_previous(s: AnytimeSetting, p: AnytimePrediction, rows: Rows) -> Coverage:
    """A constant that is below xi(n): its moment is too large, though coverage cannot see it."""
    return compare_world_a(s, p, rows, log_constant=lambda n: log_maurer_xi(n) + math.log1p(-1e-6))


@cache
def _ends(n: int, log_inv_delta: float, paid: bool) -> np.ndarray:
    """Interval of the shipped certificate (K = 0) for every number of errors, or the one of a fixed n and no constant."""
    found = []
    for k in range(n + 1):
        if paid:
            certificate = kl_anytime(risk=k / n, kl=0.0, n=n, log_inv_delta=log_inv_delta)
            assert certificate.lower is not None
            found.append((certificate.lower, certificate.value))
        else:
            c = log_inv_delta / n
            found.append((float(kl_lower(k / n, c)), float(kl_upper(k / n, c))))
    return np.array(found)


def compare_paths(s: AnytimeSetting, p: AnytimePrediction, rows: Rows, *, paid: bool = True) -> Coverage:
    """The shipped certificate for one predictor of true risk `s.risk`, on all 2^n paths, or by recursion where n > 14."""

    def violated(errors: np.ndarray, n: int) -> np.ndarray:
        low, high = _ends(n, s.log_inv_delta, paid)[errors.astype(int)].T
        return ~((low <= s.risk) & (s.risk <= high))

    if s.n <= 14:
        found = all_paths(violated, s.risk, s.n)
    else:
        law = np.array([s.risk, 1 - s.risk])
        found = first_passage(lambda counts, n: violated(counts[:, 0], n), law, s.n)
    return Coverage(math.exp(-s.log_inv_delta), failure=found, note="the shipped interval at every n")


def compare_paths_free(s: AnytimeSetting, p: AnytimePrediction, rows: Rows) -> Coverage:
    return compare_paths(s, p, rows, paid=False)


LEVEL = math.log(10)

CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        UPPER,
        controls=(
            Control("ln kt(n) dropped", _upper(lambda s: _with(s, 0.0))),
            Control("xi(n) for kt(n)", _upper(lambda s: _with(s, float(log_maurer_xi(s.n))))),
            Control("2 sqrt(n) for kt(n)", _upper(lambda s: _with(s, math.log(2 * math.sqrt(s.n))))),
            Control("n - 1 for n", _upper(lambda s: float(kl_upper(s.risk, anytime_budget(s.kl, s.n, s.log_inv_delta) / max(s.n - 1, 0.5))))),
            Control("n + 1 for n", _upper(lambda s: float(kl_upper(s.risk, anytime_budget(s.kl, s.n, s.log_inv_delta) / (s.n + 1))))),
            Control("K dropped", _upper(lambda s: _certificate(s, kl=0.0))),
            Control("KL in bits", _upper(lambda s: _certificate(s, kl=s.kl / np.log(2)))),
            Control("delta halved", _upper(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)))),
        ),
    ),
    Check(
        "the shipped lower side is the last step, rounded downward",
        LOWER,
        controls=(
            Control("ln kt(n) dropped", _lower(lambda s: _with(s, 0.0, kl_lower))),
            Control("xi(n) for kt(n)", _lower(lambda s: _with(s, float(log_maurer_xi(s.n)), kl_lower))),
            Control("delta halved for two sides", _lower(lambda s: _with(s, float(log_kt(s.n)) + math.log(2), kl_lower))),
        ),
    ),
    Check(
        "world A, every n up to 12 and 20: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(AnytimeSetting(0.0, 0.0, 12, LEVEL), AnytimeSetting(0.0, 0.0, 20, LEVEL)), full=(AnytimeSetting(0.0, 0.0, 40, LEVEL),)),
        compare=compare_world_a,
        controls=(
            Control("1 in place of kt(n)", {"compare": compare_free}),
            Control("a constant just below xi(n)", {"compare": compare_previous}),
        ),
    ),
    Check(
        "one predictor, the shipped interval on every path: exact failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(*(AnytimeSetting(r, 0.0, 14, LEVEL) for r in (0.05, 0.3, 0.5)), AnytimeSetting(0.4, 0.0, 40, LEVEL)), full=(AnytimeSetting(0.4, 0.0, 1000, LEVEL),)),
        compare=compare_paths,
        controls=(Control("no constant: each n for itself", {"compare": compare_paths_free}),),
    ),
)  # fmt: skip

RESULT = Result(
    KL_ANYTIME,
    predict=predict,
    example=AnytimeSetting(risk=0.06, kl=0.0, n=50, log_inv_delta=float(-np.log(0.05))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, kl_inverse.RESULT, krichevsky_trofimov.RESULT),
    derivation=DERIVATION,
)
