"""Maurer's constant: E exp(n kl(rh||r)) = xi(n) = e^n Gamma(n+1, n)/n^n for 0-1 losses, whatever the risk r."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np

from ....numerics.certified import maurer_xi
from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....theory.axioms import FUBINI
from ....theory.balls.maurer import maurer_xi_ball, xi_exact
from ....theory.derivation import Algebra, Axiom, Cited, Enumeration
from ....theory.statements.pac_bayes.foundations import XI
from ....theory.validation import sample_size
from ...result import ByBudget, Check, Control, Result

HALF_ULP = 2.0**-53
WIDTH = 8 * HALF_ULP  # the derived rounding error of `maurer_xi` is below four ulps at every n


@dataclass(frozen=True)
class XiSetting:
    """Number of examples n >= 1."""

    n: int

    def __post_init__(self) -> None:
        sample_size("n", self.n)


@dataclass(frozen=True)
class XiPrediction:
    """xi(n)."""

    xi: float


# --- derivation ---------------------------------------------------------------------------------------------------


def moment(n: int, risk: Fraction) -> Fraction:
    """E exp(n kl(k/n||risk)) for k ~ Binomial(n, risk), term by term in rational arithmetic."""
    total = Fraction(0)
    for k in range(n + 1):
        probability = comb(n, k) * risk**k * (1 - risk) ** (n - k)
        total += probability * (Fraction(k, n) / risk) ** k * (Fraction(n - k, n) / (1 - risk)) ** (n - k)
    return total


def risks_do_not_matter() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for n in range(1, 25):
        for risk in (Fraction(1, 1000), Fraction(1, 7), Fraction(1, 2), Fraction(9, 10)):
            yield f"n={n}, r={risk}", moment(n, risk), "==", xi_exact(n)


def terms_cancel() -> list[tuple[Any, Any]]:
    import sympy

    n, k, r = sympy.symbols("n k r", positive=True)
    # logarithms of the factors of one term: the probability's, and those of exp(n kl(k/n||r))
    probability = k * sympy.log(r) + (n - k) * sympy.log(1 - r)
    tilt = k * (sympy.log(k / n) - sympy.log(r)) + (n - k) * (sympy.log(1 - k / n) - sympy.log(1 - r))
    return [(probability + tilt, k * sympy.log(k / n) + (n - k) * sympy.log(1 - k / n))]


def cauchy_identity() -> list[tuple[Any, Any]]:
    import sympy

    x, y = sympy.symbols("x y", real=True)
    return [
        (
            sum(sympy.binomial(n, k) * (x + k) ** k * (y + n - k) ** (n - k) for k in range(n + 1)),
            sum(sympy.factorial(n) / sympy.factorial(j) * (x + y + n) ** j for j in range(n + 1)),
        )
        for n in range(1, 6)
    ]


def closed_form() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    # e^n Gamma(n+1, n) = n! sum_j n^j/j! at a whole n, so the closed form is a rational number
    for n in range(1, 61):
        value, term = Fraction(1), Fraction(1)
        for j in range(n, 0, -1):
            term = term * j / n
            value += term
        yield f"n={n}", value, "==", xi_exact(n)


def square_root_bounds() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for n in range(1, 61):
        square = xi_exact(n) ** 2
        yield f"sqrt({n}) <= xi", Fraction(n), "<=", square
        yield f"xi <= 2 sqrt({n})", square, "<=", Fraction(4 * n)


DERIVATION = (
    Axiom(FUBINI, "the expectation over n Bernoulli losses is a finite sum over their number k of errors"),
    Algebra("the risk cancels from every term: P(k) exp(n kl(k/n||r)) = C(n,k) (k/n)^k (1-k/n)^(n-k)", terms_cancel, (("r", 0.1, 0.8), ("k", 1, 2), ("n", 3, 5))),
    Enumeration("the moment is the defining sum, for 24 sizes and 4 risks", risks_do_not_matter),
    Algebra("Cauchy's form of Abel's identity, as polynomials in x and y, for n = 1..5", cauchy_identity),
    Cited("riordan1968", "the same identity for every n; at x = y = 0 it turns the sum into n! sum_j n^j/j! = e^n Gamma(n+1, n)"),
    Enumeration("the closed form is the defining sum, n = 1..60", closed_form),
    Enumeration("sqrt(n) <= xi(n) <= 2 sqrt(n), n = 1..60", square_root_bounds),
    Cited("maurer2004", "the same bounds for larger n, and the reduction of losses in [0,1] to 0-1 losses by convexity"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(setting: XiSetting) -> XiPrediction:
    return XiPrediction(float(maurer_xi(setting.n)))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> XiSetting:
    return XiSetting(int(10 ** rng.uniform(0, rng.choice([2.5, 12]))))


def compare_moments(setting: XiSetting, prediction: XiPrediction, rows: Rows) -> Comparison:
    """The enumerated moment, rounded once, against the prediction for every risk."""
    observed = np.array([float(moment(setting.n, risk)) for risk in (Fraction(1, 9), Fraction(1, 2), Fraction(4, 5))])
    return Comparison(observed, np.full(3, prediction.xi), (WIDTH + HALF_ULP) * observed, observed)


def compare_reversed(setting: XiSetting, prediction: XiPrediction, rows: Rows) -> Comparison:
    """The same with kl(r||rh) in place of kl(rh||r), k = 0 and k = n left out (they are infinite)."""
    n, observed = setting.n, []
    for r in (1 / 9, 1 / 2, 4 / 5):
        k = np.arange(1, n)
        probability = np.array([comb(n, int(i)) * r**i * (1 - r) ** (n - i) for i in k])
        observed.append(
            float((probability * np.exp(n * (r * np.log(r * n / k) + (1 - r) * np.log((1 - r) * n / (n - k))))).sum())
        )
    values = np.array(observed)
    return Comparison(values, np.full(3, prediction.xi), (WIDTH + HALF_ULP) * values, values)


FORMULA = Formula(
    expression=lambda s: maurer_xi_ball(s.n),
    shipped=lambda s: maurer_xi(s.n),
    read=lambda p: p.xi,
    sample=sample,
    width=lambda s: WIDTH,
)


def _shipped(function: Any) -> dict[str, Any]:
    from dataclasses import replace

    return {"claim": replace(FORMULA, shipped=function)}


CHECKS = (
    Check(
        "the shipped constant is the closed form",
        FORMULA,
        controls=(
            Control("2 sqrt(n) in its place", _shipped(lambda s: 2 * np.sqrt(s.n))),
            Control("n + 1 in its place", _shipped(lambda s: s.n + 1.0)),
            Control("leading asymptotics only", _shipped(lambda s: np.sqrt(np.pi * s.n / 2) + 2 / 3)),
            Control("the term k = n dropped", _shipped(lambda s: maurer_xi(s.n) - 1)),
        ),
    ),
    Check(
        "the moment is the same for every risk",
        Agreement("rounding"),
        settings=ByBudget(
            quick=tuple(XiSetting(n) for n in (2, 3, 5, 12, 40)), full=tuple(XiSetting(n) for n in range(2, 200, 7))
        ),
        compare=compare_moments,
        controls=(
            Control("kl(r||rh) in place of kl(rh||r)", {"compare": compare_reversed}),
            Control("2 sqrt(n) as the value", {"predict": lambda s: XiPrediction(2 * float(np.sqrt(s.n)))}),
        ),
    ),
)

RESULT = Result(XI, predict=predict, example=XiSetting(1000), checks=CHECKS, derivation=DERIVATION)
