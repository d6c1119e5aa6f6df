"""Settings, predictions and random settings that both mixture bounds share, and the steps that both derivations take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.bounds.sub_gaussian import best_a, sub_gaussian_mixture, sub_gaussian_mixture_one_sided
from ....theory.axioms import INDEPENDENCE
from ....theory.derivation import Axiom
from ....theory.errors import InvalidInput
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget

FloatArray = NDArray[np.float64]
HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class MixtureSetting:
    """Empirical Gibbs risk, KL(Q||P), n, ln(1/delta), E_Q s^2, the scale a, the reference s0^2 of the one-sided form, a KL anticipated."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    variance: float
    a: float
    reference: float
    anticipated_kl: float

    def __post_init__(self) -> None:
        finite("risk", self.risk, ndim=0), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta), non_negative("anticipated_kl", self.anticipated_kl)
        if not (min(self.a, self.reference) > 0 and self.variance >= 0):
            raise InvalidInput(
                f"a = {self.a}, reference = {self.reference}, variance = {self.variance}.", "Positive, please."
            )


@dataclass(frozen=True)
class MixturePrediction:
    """Both ends of the two-sided bound, the one-sided bound, the best a for the anticipated KL, and ln sqrt((n+a)/a)."""

    upper: float
    lower: float
    one_sided: float
    best_a: float
    log_constant: float


# --- derivation ---------------------------------------------------------------------------------------------------


def solved_for_the_gap() -> list[tuple[Any, Any]]:
    import sympy

    n, a, v, B = sympy.symbols("n a v B", positive=True)
    gap = sympy.sqrt(2 * v * (n + a) / n**2 * (B + sympy.log((n + a) / a) / 2))
    D, b = sympy.symbols("D b", positive=True)
    one = sympy.sqrt(2 * D * (B + sympy.log(D / b) / 2)) / n
    return [
        (n**2 * gap**2 / (2 * v * (n + a)) + sympy.log(sympy.sqrt(a / (n + a))), B),
        (n**2 * one**2 / (2 * D) - sympy.log(D / b) / 2, B),
        (one.subs({D: (n + a) * v, b: a * v}), gap),
    ]


COMMON = (
    Axiom(
        INDEPENDENCE,
        "exp(l n gen - n l^2 s^2/2) is a product of independent factors of mean at most 1: a non-negative supermartingale in n",
    ),
)

# --- prediction ---------------------------------------------------------------------------------------------------


def two(s: MixtureSetting, **changes: Any) -> Any:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, "variance": s.variance, "a": s.a}
    return sub_gaussian_mixture(**{**given, **changes})


def one(s: MixtureSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "log_inv_delta": s.log_inv_delta, "variance": s.variance, "a": s.a}
    return sub_gaussian_mixture_one_sided(**{**given, "reference": s.reference, **changes}).value


def predict(s: MixtureSetting) -> MixturePrediction:
    both = two(s)
    scale = best_a(s.n, s.anticipated_kl, s.log_inv_delta)
    return MixturePrediction(both.value, both.lower, one(s), scale, float(np.log1p(s.n / s.a)) / 2)


# --- checks: formulas ---------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> MixtureSetting:
    n, kl = int(10 ** rng.uniform(0, 9)), float(rng.choice([0.0, 10 ** rng.uniform(-3, 5)]))
    return MixtureSetting(0.0, kl, n, float(10 ** rng.uniform(-1, 2.8)), float(10 ** rng.uniform(-3, 3)), float(10 ** rng.uniform(-4, 5)), float(10 ** rng.uniform(-3, 3)), float(10 ** rng.uniform(-2, 4)))  # fmt: skip


FINITE = ByBudget(quick=(MixtureSetting(0.0, 0.0, 12, float(np.log(10)), 0.25, 1.0, 1.0, 2.0),))
EXAMPLE = MixtureSetting(0.12, 10.0, 10_000, float(np.log(20)), 1.0, 340.0, 1.0, 10.0)
