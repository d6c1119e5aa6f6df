"""The exact constant C(M,n) of relative-entropy bounds on M class frequencies, and its recurrence in M."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.special import gammaln, rel_entr

from ....numerics.certified.nml import log_nml, nml
from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, JENSEN, LAGRANGE
from ....theory.balls.nml import nml_ball, nml_exact
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.foundations import NML
from ....theory.validation import sample_size
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import compositions
from . import maurer

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class NmlSetting:
    """Number of classes M and of draws n."""

    classes: int
    n: int

    def __post_init__(self) -> None:
        if sample_size("classes", self.classes) > 10**5:
            raise InvalidInput(f"classes is {self.classes}.", "At most 100000 are supported.")
        sample_size("n", self.n)


@dataclass(frozen=True)
class NmlPrediction:
    """C(M,n) and its logarithm."""

    value: float
    log: float


# --- derivation ---------------------------------------------------------------------------------------------------


def moments() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E exp(n KL(ph||p)) term by term: p^c exp(n KL) = prod (c_i/n)^c_i, whatever p is."""
    for p in (
        (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)),
        (Fraction(1, 5),) * 5,
        (Fraction(7, 10), Fraction(3, 10)),
    ):
        for n in (1, 2, 3, 5):
            total = Fraction(0)
            for counts in itertools.product(range(n + 1), repeat=len(p)):
                if sum(counts) != n:
                    continue
                ways = math.factorial(n)
                mass, tilt = Fraction(1), Fraction(1)
                for c, q in zip(counts, p, strict=True):
                    ways //= math.factorial(c)
                    mass *= q**c
                    tilt *= (Fraction(c, n) / q) ** c if c else 1
                total += ways * mass * tilt
            yield f"M = {len(p)}, n = {n}", total, "==", nml_exact(len(p), n)


def recurrence() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    for n in (1, 2, 3, 5, 8, 13, 21):
        for k in range(1, 7):
            yield f"C({k + 2},{n})", nml_exact(k + 2, n), "==", nml_exact(k + 1, n) + Fraction(n, k) * nml_exact(k, n)


def tree_function() -> list[tuple[Any, Any]]:
    """For T = x e^T, [x^n] F(T) = [t^n] F(t) (1-t) e^(nt). F = 1/(1-t) gives n^n/n!: the series of c^c x^c/c! is 1/(1-T), and
    C(M,n) n^n/n!, the coefficient of x^n in its M-th power, is that of t^n in G_M = (1-t)^(1-M) e^(nt)."""
    import sympy

    t, k, n = sympy.symbols("t k n", positive=True)

    def g(m: Any) -> Any:
        return (1 - t) ** (1 - m) * sympy.exp(n * t)

    # the coefficient of t^n in t f' - n f vanishes for every power series f
    f = (1 - t) ** (-k) * sympy.exp(n * t)
    euler = t * sympy.diff(f, t) - n * f
    claim = k * g(k + 2) - k * g(k + 1) - n * g(k)
    return [
        (sympy.simplify((claim - euler) / sympy.exp(n * t)), sympy.Integer(0)),
        (g(1), 1 / (1 - t) * (1 - t) * sympy.exp(n * t)),
    ]


DERIVATION = (
    Axiom(FUBINI, "the expectation is the sum over counts c of n!/prod c_i! prod p_i^c_i exp(n KL)"),
    Enumeration("p_i^c_i exp(c_i ln(c_i/(n p_i))) = (c_i/n)^c_i: the moment is the same sum for every p (three laws, n to 5)", moments),
    Uses(maurer.RESULT, "for M = 2 the sum is xi(n)"),
    Axiom(LAGRANGE, "with T = x e^T: C(M,n) n^n/n! is the coefficient of t^n in G_M = (1-t)^(1-M) e^(nt)"),
    Algebra(
        "k G_(k+2) - k G_(k+1) - n G_k "
        "equals t f' - n f for f = (1-t)^-k e^(nt), and the coefficient of t^n in t f' - n f is 0 for every series f",
        tree_function,
        (("t", 0.1, 0.6), ("k", 1, 5), ("n", 1, 9)),
    ),
    Enumeration("the recurrence from the defining sums, M to 8, n to 21", recurrence),
    Axiom(JENSEN, "exp(n KL(.||p)) is convex: a random vector of the simplex is a mixture of classes with the same mean"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: NmlSetting) -> NmlPrediction:
    return NmlPrediction(float(nml(s.classes, s.n)), float(log_nml(s.classes, s.n)))


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> NmlSetting:
    return NmlSetting(int(rng.choice([1, 2, 3, 4, int(rng.integers(5, 12))])), int(10 ** rng.uniform(0, 9)))


FORMULA = Formula(
    expression=lambda s: nml_ball(s.classes, s.n),
    shipped=lambda s: float(nml(s.classes, s.n)),
    read=lambda p: p.value,
    sample=sample,
    width=lambda s: (2 * s.classes + 4) * HALF_ULP,  # derived in numerics.certified.nml
    count=50,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _off(s: NmlSetting, step: Any) -> float:
    """The recurrence with another step."""
    before, current = 1.0, float(nml(2, s.n))
    if s.classes == 1:
        return before
    for k in range(1, s.classes - 1):
        before, current = current, step(before, current, k, s.n)
    return current


def compare_sum(s: NmlSetting, p: NmlPrediction, rows: Rows) -> Comparison:
    """The sum over all count vectors, for a law drawn with the setting: terms are positive, each within (3 n + 20) half-ulps."""
    counts = compositions(s.n, s.classes)
    law = np.arange(1.0, s.classes + 1) / (s.classes * (s.classes + 1) / 2)
    logs = gammaln(s.n + 1) - gammaln(counts + 1).sum(axis=1) + counts @ np.log(law)
    moment = float(np.exp(logs + s.n * rel_entr(counts / s.n, law).sum(axis=1)).sum())
    # gammaln and the relative entropies are absolute errors of a few ulps of their size, here below n ln n
    size = 8 * s.n * math.log(s.n + 2) + 8 * s.classes + 40
    return Comparison(np.array([moment]), np.array([p.value]), np.array([size * 2 * HALF_ULP * p.value]), p.value)


CHECKS = (
    Check(
        "the shipped constant",
        FORMULA,
        controls=(
            Control("n/(k+1) for n/k", _mutant(lambda s: _off(s, lambda a, b, k, n: b + n / (k + 1) * a))),
            Control("ln(2 n) for M = 3", _mutant(lambda s: 2.0 * s.n if s.classes == 3 else float(nml(s.classes, s.n)))),
            Control("(n+1)^(M-1), the number of types", _mutant(lambda s: float(s.n + 1) ** (s.classes - 1))),
        ),
    ),
    Check(
        "the moment itself, by summing over all count vectors",
        Agreement("rounding"),
        settings=ByBudget(quick=tuple(NmlSetting(m, n) for m, n in ((2, 40), (3, 40), (4, 12), (5, 8)))),
        compare=compare_sum,
        controls=(
            Control("xi(n) whatever M", {"predict": lambda s: NmlPrediction(float(nml(2, s.n)) + (s.classes == 2), 0.0)}),
            Control("(n+1)(n+2) for M = 3", {"predict": lambda s: NmlPrediction(float((s.n + 1) * (s.n + 2)), 0.0)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    NML,
    predict=predict,
    example=NmlSetting(3, 10_000),
    checks=CHECKS,
    uses=(maurer.RESULT,),
    derivation=DERIVATION,
)
RESULTS = (RESULT,)
