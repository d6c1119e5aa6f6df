"""McAllester: |r_Q - rh_Q| <= sqrt((K + ln(xi(n)/delta))/(2n)), both sides at one delta; and the forms of 1999 and 2003."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from ....numerics.bounds.mcallester import EVENTS, TWO_EXAMPLES, mcallester
from ....numerics.certified import log_maurer_xi
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import JENSEN
from ....theory.balls.maurer import xi_exact
from ....theory.balls.mcallester import mcallester_ball
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import MCALLESTER
from ....theory.validation import log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import maurer
from ..small_worlds import World, failure, moment, world_a, world_b
from ..worst_certificate import squared_gap, worst_posteriors
from . import master, seeger

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class McAllesterSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), and the name of the form."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    constant: str = "exact"

    def __post_init__(self) -> None:
        (
            unit_interval("risk", self.risk),
            non_negative("kl", self.kl),
            log_inverse_delta(log_inv_delta=self.log_inv_delta),
        )
        if self.constant not in EVENTS or sample_size("n", self.n) < (2 if self.constant in TWO_EXAMPLES else 1):
            raise InvalidInput(f"constant is {self.constant!r} at n = {self.n}.", f"Choose one of {tuple(EVENTS)}.")


@dataclass(frozen=True)
class McAllesterPrediction:
    """Both sides, not clipped at 1; and what the proof rests on: phi = rate (r - rh)^2 has E e^phi <= C."""

    upper: float
    lower: float
    rate: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def pinsker() -> list[tuple[Any, Any]]:
    import sympy

    q, p = sympy.symbols("q p", positive=True)
    excess = q * sympy.log(q / p) + (1 - q) * sympy.log((1 - q) / (1 - p)) - 2 * (p - q) ** 2
    # zero at p = q, and its slope has the sign of p - q
    return [(excess.subs(p, q), 0), (sympy.diff(excess, p), (p - q) * (1 - 2 * p) ** 2 / (p * (1 - p)))]


def constants() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    # xi(n)^{(2n-1)/(2n)} <= n, in whole powers
    for n in range(2, 31):
        yield f"xi({n})^(2n-1) <= n^(2n)", xi_exact(n) ** (2 * n - 1), "<=", Fraction(n) ** (2 * n)


def large_n() -> list[tuple[Any, Any]]:
    import sympy

    n = sympy.Symbol("n", positive=True)
    # 2 sqrt(n) <= n from n = 4 on; and 2 sqrt(n) <= e^8 n^{5/2} from n = 1 on, because e^8 n^2 >= 2
    return [
        (n**2 - (2 * sympy.sqrt(n)) ** 2, n * (n - 4)),
        (sympy.exp(8) * n ** sympy.Rational(5, 2), sympy.sqrt(n) * sympy.exp(8) * n**2),
    ]


DERIVATION = (
    Uses(seeger.RESULT, "kl(rh_Q||r_Q) <= (K + ln(xi(n)/delta))/n for all Q, with probability at least 1-delta; and xi(n) <= 2 sqrt(n)"),
    Algebra("Pinsker: kl(q||p) - 2 (p-q)^2 is 0 at p = q, falls before it and rises after it", pinsker, (("q", 0.1, 0.4), ("p", 0.5, 0.9))),
    Uses(maurer.RESULT, "for the older forms: 2 m (r-rh)^2 <= (m/n) n kl(rh||r), m <= n, and E e^{n kl} <= xi(n) for each h"),
    Axiom(JENSEN, "E X^{m/n} <= (E X)^{m/n}: so E e^{2m(r-rh)^2} <= xi(n)^{m/n}, which is at most xi(n)^{(2n-1)/(2n)} for m = n - 1/2 and m = n - 1"),
    Enumeration("that is at most n for n = 2..30", constants),
    Algebra("for n >= 4, xi(n) <= 2 sqrt(n) <= n; for n >= 1, 2 sqrt(n) <= e^8 n^{5/2}", large_n),
    Uses(master.RESULT, "with phi = 2m (r-rh)^2, 2m = 2n-1 (1999, hybrid) or 2(n-1) (2003), and C = e^8 n^{5/2}, n, n"),
    Axiom(JENSEN, "(r_Q - rh_Q)^2 <= E_Q (r - rh)^2: both signs of the difference at once"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: McAllesterSetting) -> McAllesterPrediction:
    certificate = mcallester(**_given(s))
    assert certificate.lower is not None
    rate = {"1999": 2 * s.n - 1, "hybrid": 2 * s.n - 1, "2003": 2 * s.n - 2}.get(s.constant, 2 * s.n)
    log_constant = {
        "exact": float(log_maurer_xi(s.n)),
        "2sqrt": math.log(2 * math.sqrt(s.n)),
        "1999": 8 + 2.5 * math.log(s.n),
    }
    return McAllesterPrediction(
        certificate.raw, certificate.lower, float(rate), log_constant.get(s.constant, math.log(s.n))
    )


def _given(s: McAllesterSetting) -> dict[str, Any]:
    return {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, "constant": s.constant}


# --- checks: the formula ------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> McAllesterSetting:
    constant = str(rng.choice(list(EVENTS)))
    return McAllesterSetting(
        float(rng.choice([0.0, rng.uniform(), 10 ** rng.uniform(-6, 0), 1.0])),
        float(10 ** rng.uniform(-3, 5)),
        int(10 ** rng.uniform(0, 7)) + (constant in TWO_EXAMPLES),
        float(10 ** rng.uniform(-1, 2.8)),
        constant,
    )


# w^2 is rounded up by at most 24 half-ulps (those of the complexity; the sums and one logarithm of the other forms make 16), which
# the root halves; the root itself and the last sum are within two each
ROUNDING = (24 / 2 + 2 + 2) * HALF_ULP

UPPER = Formula(
    expression=lambda s: mcallester_ball(**_given(s))[0],
    shipped=lambda s: mcallester(**_given(s)).raw,
    read=lambda p: p.upper,
    sample=sample,
    width=lambda s: ROUNDING,
    side="upper",
    count=100,
)


def sample_lower(rng: np.random.Generator) -> McAllesterSetting:
    """Settings whose lower side is clearly above 0."""
    while True:
        s = replace(sample(rng), n=int(10 ** rng.uniform(2, 7)))
        if s.risk - math.sqrt((s.kl + s.log_inv_delta + 2.5 * math.log(s.n) + 8) / (2 * s.n - 2)) > 1e-3:
            return s


LOWER = replace(
    UPPER,
    expression=lambda s: mcallester_ball(**_given(s))[1],
    shipped=lambda s: mcallester(**_given(s)).lower,
    read=lambda p: p.lower,
    sample=sample_lower,
    width=lambda s: ROUNDING * 2 * s.risk / 1e-3,  # the absolute error is that of a width below the risk
    side="lower",
)


def _width(s: McAllesterSetting, **changes: Any) -> float:
    return mcallester(**{**_given(s), **changes}).raw - s.risk


def _mutants(formula: Formula, sign: int) -> tuple[Control, ...]:
    def mutant(name: str, width: Any) -> Control:
        return Control(name, {"claim": replace(formula, shipped=lambda s: s.risk + sign * width(s))})

    return (
        mutant("n in place of 2n", lambda s: _width(s) * math.sqrt(2)),
        mutant("n - 1 in place of n", lambda s: _width(s) * math.sqrt(s.n / max(s.n - 1, 0.5))),
        mutant("delta halved for two sides", lambda s: _width(s, log_inv_delta=s.log_inv_delta + math.log(2))),
        mutant("ln(1/delta) dropped", lambda s: _width(s, log_inv_delta=1e-300)),
        mutant("K in bits", lambda s: _width(s, kl=s.kl / math.log(2))),
        mutant("K dropped", lambda s: _width(s, kl=0.0)),
        mutant("2 sqrt(n) in place of every constant", lambda s: _width(s, constant="2sqrt")),
        mutant("ln(C)/delta for ln(C/delta)", lambda s: math.sqrt((s.kl + predict(s).log_constant * math.exp(min(s.log_inv_delta, 600.0))) / predict(s).rate)),
    )  # fmt: skip


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def _coverage(world: World, s: McAllesterSetting, p: McAllesterPrediction) -> Coverage:
    phi = p.rate * (world.risk - world.empirical) ** 2
    found, margin = failure(world, phi, p.log_constant + s.log_inv_delta)
    assert margin > 1e-9, "a sample lies on the threshold: its strict inequality would hang on rounding"
    return Coverage(math.exp(-s.log_inv_delta), moment(world, phi), math.exp(p.log_constant), found)


def compare_a(s: McAllesterSetting, p: McAllesterPrediction, rows: Rows) -> Coverage:
    return _coverage(world_a(), s, p)


def compare_b(s: McAllesterSetting, p: McAllesterPrediction, rows: Rows) -> Coverage:
    return _coverage(world_b(), s, p)


def compare_without_divergence(s: McAllesterSetting, p: McAllesterPrediction, rows: Rows) -> Coverage:
    world = world_b()
    phi = np.where(np.isfinite(world.log_prior), p.rate * (world.risk - world.empirical) ** 2, -np.inf).max(axis=1)
    found = float(world.probability[phi > p.log_constant + s.log_inv_delta].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=found)


def shipped_sides(s: McAllesterSetting, risk: float, kl: float) -> tuple[float, float]:
    certificate = mcallester(**{**_given(s), "risk": risk, "kl": kl})
    assert certificate.lower is not None
    return certificate.value, certificate.lower


@cache
def _worst(rate: float) -> NDArray[np.float64]:
    return worst_posteriors(world_a(), squared_gap(rate / 2))[1]


def compare_certificates(
    s: McAllesterSetting, p: McAllesterPrediction, rows: Rows, *, sides: Any = shipped_sides
) -> Coverage:
    """The shipped certificate at the posterior of each sample that breaks it most: how often does it miss the true risk?"""
    world = world_a()
    worst = _worst(p.rate)
    kl = rel_entr(worst, np.exp(world.log_prior)).sum(axis=1)
    empirical, true = (worst * world.empirical).sum(axis=1).clip(0, 1), worst @ world.risk
    broken: NDArray[np.bool_] = np.zeros(len(worst), dtype=bool)
    for i in range(len(worst)):
        upper, lower = sides(s, float(empirical[i]), float(kl[i]))
        broken[i] = not lower <= true[i] <= upper
    failed = float(world.probability[broken].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=failed, note="both sides, worst posterior of each sample")


def for_one_posterior(s: McAllesterSetting, risk: float, kl: float) -> tuple[float, float]:
    """Hoeffding for one posterior fixed in advance, without K and C, examples counted three times."""
    half = math.sqrt((s.log_inv_delta + math.log(2)) / (6 * s.n))
    return risk + half, risk - half


WORLD_A = ByBudget(quick=tuple(McAllesterSetting(0.0, 0.0, 12, float(np.log(10)), c) for c in EVENTS))
WORLD_B = ByBudget(quick=tuple(McAllesterSetting(0.0, 0.0, 6, float(np.log(5)), c) for c in ("exact", "2003")))


def _constant_one(s: McAllesterSetting) -> McAllesterPrediction:
    return replace(predict(s), log_constant=0.0)


def _double_rate(s: McAllesterSetting) -> McAllesterPrediction:
    return replace(predict(s), rate=2 * predict(s).rate)


CHECKS = (
    Check("the shipped certificate is the last step, rounded upward", UPPER, controls=_mutants(UPPER, 1)),
    Check("the shipped lower side is the last step, rounded downward", LOWER, controls=_mutants(LOWER, -1)),
    Check(
        "world A: exact moments and failure probabilities of every form",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_a,
        controls=(Control("1 in place of C", {"predict": _constant_one}), Control("n in place of n/2: widths over sqrt(2)", {"predict": _double_rate})),
    ),
    Check(
        "world B: exact moments and failure probabilities of two forms",
        HighProbabilityBound(),
        settings=WORLD_B,
        compare=compare_b,
        controls=(Control("1 in place of C", {"predict": _constant_one}), Control("K forgotten", {"compare": compare_without_divergence})),
    ),
    Check(
        "world A: the shipped certificates at their worst posteriors",
        HighProbabilityBound(),
        settings=WORLD_A,
        compare=compare_certificates,
        controls=(Control("a width for one fixed posterior, examples counted three times", {"compare": lambda s, p, rows: compare_certificates(s, p, rows, sides=for_one_posterior)}),),
    ),
)  # fmt: skip

RESULT = Result(
    MCALLESTER,
    predict=predict,
    example=McAllesterSetting(risk=0.0155, kl=73.2, n=30_000, log_inv_delta=float(-np.log(0.025))),
    checks=CHECKS,
    uses=(seeger.RESULT, maurer.RESULT, master.RESULT),
    derivation=DERIVATION,
)
