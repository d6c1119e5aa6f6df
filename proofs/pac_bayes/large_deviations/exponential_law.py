"""The exponential law in closed form: the steps and checks of `pb.cramer` that hold for it alone.

Rates, duality with worst-case reweighting, and the Chernoff bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import mpmath
import numpy as np
from scipy.special import gammainc

from ....numerics.certified.exponential_rate import cgf_exponential, inverse_rate_exponential, rate_exponential
from ....numerics.claims import Agreement, Comparison, Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.balls.exponential import cgf_exponential_ball, inverse_rate_exponential_ball, rate_exponential_ball
from ....theory.derivation import Algebra
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class ExponentialSetting:
    """Mean b > 0 of the loss and a divergence s >= 0 in nats."""

    mean: float
    s: float

    def __post_init__(self) -> None:
        if float(finite("mean", self.mean, ndim=0)) <= 0:
            raise InvalidInput(f"mean is {self.mean!r}.", "An exponential law has a positive mean.")
        non_negative("s", self.s)


@dataclass(frozen=True)
class ExponentialPrediction:
    """a = Iinv(s), the rate I(a) there (equal to s), and the tilt l at which l a - J(l) is largest, with J(l)."""

    inverse_rate: float
    rate: float
    tilt: float
    cgf: float


# --- derivation ---------------------------------------------------------------------------------------------------


def generating_function() -> list[tuple[Any, Any]]:
    import sympy

    b, tilt, x = sympy.symbols("b l x", positive=True)
    mean_of_tilt = sympy.integrate(sympy.exp(-tilt * x) * sympy.exp(-x / b) / b, (x, 0, sympy.oo))
    return [(mean_of_tilt, 1 / (1 + b * tilt))]


def legendre_transform() -> list[tuple[Any, Any]]:
    import sympy

    b, a, u = sympy.symbols("b a u", positive=True)
    cgf = b * u - sympy.log(1 + b * u)
    best = a / (b * (b - a))  # l* solves J'(l) = a
    slope = sympy.diff(cgf, u)
    value = best * a - cgf.subs(u, best)
    rate = -a / b - sympy.log(1 - a / b)
    return [
        (slope.subs(u, best), a),
        (sympy.diff(value, a), sympy.diff(rate, a)),
        (sympy.limit(value, a, 0), sympy.limit(rate, a, 0)),
    ]


def lambert_inverse() -> list[tuple[Any, Any]]:
    import sympy

    w = sympy.Symbol("w", real=True)
    # with a = b(1+w), I(a) = s says -(1+w) - ln(-w) = s, that is w e^w = -e^{-1-s}: w = W0, since -1 < w < 0
    s = -(1 + w) - sympy.log(-w)
    return [(sympy.simplify(-sympy.exp(-1 - s)), w * sympy.exp(w))]


def tilted_divergence() -> list[tuple[Any, Any]]:
    import sympy

    b, tilt = sympy.symbols("b l", positive=True)
    tilted_mean = b / (1 + b * tilt)
    # between exponential laws: ln(b/b') + b'/b - 1
    divergence = sympy.log(1 + b * tilt) + 1 / (1 + b * tilt) - 1
    cgf = b * tilt - sympy.log(1 + b * tilt)
    return [(divergence, tilt * sympy.diff(cgf, tilt) - cgf), (b - tilted_mean, sympy.diff(cgf, tilt))]


STEPS = (
    Algebra("exponential loss: E e^{-l loss} = 1/(1 + b l), so J(l) = b l - ln(1 + b l)", generating_function),
    Algebra("the supremum of l a - J(l) is at l = a/(b(b-a)) and equals -a/b - ln(1 - a/b)", legendre_transform, (("b", 1.5, 2), ("a", 0.1, 1))),
    Algebra("I(a) = s is solved by a = b(1 + W0(-e^{-1-s}))", lambert_inverse, (("w", -0.9, -0.1),)),
    Algebra("the tilted exponential law attains the worst case: its divergence is l J' - J and its mean L - J'", tilted_divergence),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(setting: ExponentialSetting) -> ExponentialPrediction:
    a = float(inverse_rate_exponential(setting.s, setting.mean))
    tilt = a / (setting.mean * (setting.mean - a)) if a < setting.mean else float("inf")
    cgf = float(cgf_exponential(tilt, setting.mean)) if np.isfinite(tilt) else float("inf")
    return ExponentialPrediction(
        a, float(rate_exponential(a, setting.mean)) if a < setting.mean else float("inf"), tilt, cgf
    )


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> ExponentialSetting:
    return ExponentialSetting(float(10 ** rng.uniform(-3, 3)), float(10 ** rng.uniform(-25, 1.3)))


INVERSE = Formula(
    expression=lambda s: inverse_rate_exponential_ball(s.s, s.mean),
    shipped=lambda s: inverse_rate_exponential(s.s, s.mean),
    read=lambda p: p.inverse_rate,
    sample=sample,
    width=lambda s: 8 * HALF_ULP,
)


def _arguments(s: ExponentialSetting) -> tuple[float, float]:
    """A gap a in (0, 0.9 b) and a tilt l, made from the setting's random s."""
    return 0.9 * s.mean * min(1.0, s.s), s.s / s.mean


FORWARD = Formula(
    expression=lambda s: [
        rate_exponential_ball(_arguments(s)[0], s.mean),
        cgf_exponential_ball(_arguments(s)[1], s.mean),
    ],
    shipped=lambda s: [
        float(rate_exponential(_arguments(s)[0], s.mean)),
        float(cgf_exponential(_arguments(s)[1], s.mean)),
    ],
    read=lambda p: p,
    sample=sample,
    # the quotient a/b is rounded once; I has condition number (a/b)^2/((1-a/b) I) <= 2/(1-a/b) <= 20 in it, J at most 2 in b l
    width=lambda s: [(8 + 40) * HALF_ULP, 16 * HALF_ULP],
)


def predict_forward(s: ExponentialSetting) -> list[float]:
    """I and J themselves: they are what the prediction is computed with."""
    return FORWARD.shipped(s)


@cache
def worst_reweighting(mean: float, s: float) -> float:
    """L - min {E_{nu'} loss : KL(nu'||nu) <= s}, by quadrature over tilts of the density and a root search: no closed form of J,
    I or W is used. 20 digits.
    """
    with mpmath.workdps(20):
        b, target = mpmath.mpf(mean), mpmath.mpf(s)

        def tilted(log_tilt: Any) -> tuple[Any, Any]:
            tilt = mpmath.e**log_tilt
            scale = b / (1 + tilt)  # where the integrand lives; only the quadrature nodes depend on it
            nodes = [0, scale, 4 * scale, 16 * scale, 60 * scale]
            mass = mpmath.quad(lambda x: mpmath.exp(-x / b * (1 + tilt)) / b, nodes)
            first = mpmath.quad(lambda x: x * mpmath.exp(-x / b * (1 + tilt)) / b, nodes)
            average = first / mass
            return average, -tilt / b * average - mpmath.log(mass)

        start = mpmath.log(mpmath.sqrt(2 * target) + 2 * target)
        root = mpmath.findroot(
            lambda v: tilted(v)[1] / target - 1,
            (start, start + mpmath.mpf("0.3")),
            solver="secant",
            tol=1e-26,
            maxsteps=60,
            verify=False,
        )
        return float(b - tilted(root)[0])


def compare_dual(setting: ExponentialSetting, prediction: ExponentialPrediction, rows: Rows) -> Comparison:
    observed = np.array([worst_reweighting(setting.mean, setting.s), setting.s])
    # first number: 20-digit quadrature, so the rounding is the prediction's; second: I at the rounded a, condition number
    # a I'(a)/I(a) = a^2/((b-a) b I) <= 2/(1 - a/b), times the 8 half-ulps of a and those of I
    share = prediction.inverse_rate / setting.mean
    bound = np.array([16 * HALF_ULP, (2 / (1 - share) * 8 + 48) * HALF_ULP]) * observed
    return Comparison(observed, np.array([prediction.inverse_rate, prediction.rate]), bound, observed)


def compare_chernoff(setting: ExponentialSetting, prediction: ExponentialPrediction, rows: Rows) -> Coverage:
    """The mean of n exponential losses is Gamma(n): the exact probability that L > Lh + Iinv(ln(1/delta)/n)."""
    n, delta = 25, float(np.exp(-25 * setting.s))
    return Coverage(
        delta, failure=float(gammainc(n, n * (1 - prediction.inverse_rate / setting.mean))), note="25 losses"
    )


def _wrong(function: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), inverse_rate=float(function(s)))}


CHECKS = (
    Check(
        "exponential law: the shipped inverse rate is the Lambert form",
        INVERSE,
        predict=predict,
        controls=(
            Control("Gaussian rate sqrt(2 Var s)", {"claim": replace(INVERSE, shipped=lambda s: s.mean * np.sqrt(2 * s.s))}),
            Control("first correction dropped", {"claim": replace(INVERSE, shipped=lambda s: s.mean * -np.expm1(-np.sqrt(2 * s.s)))}),
            Control("upper tail in place of the lower", {"claim": replace(INVERSE, shipped=lambda s: s.mean * (np.sqrt(2 * s.s) + s.s))}),
        ),
    ),
    Check(
        "exponential law: the shipped rate and generating function are theirs",
        FORWARD,
        predict=predict_forward,
        controls=(
            Control("sign of the logarithm", {"claim": replace(FORWARD, shipped=lambda s: [-_arguments(s)[0] / s.mean + np.log1p(_arguments(s)[0] / s.mean), float(cgf_exponential(_arguments(s)[1], s.mean))])}),
            Control("second-order generating function", {"claim": replace(FORWARD, shipped=lambda s: [float(rate_exponential(_arguments(s)[0], s.mean)), s.s**2 / 2])}),
        ),
    ),
    Check(
        "exponential law: inverse rate = worst reweighting (DRO dual)",
        Agreement("rounding"),
        predict=predict,
        settings=ByBudget(
            quick=tuple(ExponentialSetting(b, s) for b, s in ((0.5, 1e-6), (2.0, 1e-3), (0.5, 0.1), (2.0, 4.0))),
            standard=tuple(ExponentialSetting(b, s) for b in (0.5, 2.0) for s in (1e-6, 1e-3, 0.1, 1.0, 4.0)),
            full=tuple(ExponentialSetting(b, s) for b in (0.01, 0.5, 2.0, 100.0) for s in 10.0 ** np.arange(-8, 1.1, 0.5)),
        ),
        compare=compare_dual,
        controls=(
            Control("Gaussian rate sqrt(2 Var s)", _wrong(lambda s: s.mean * np.sqrt(2 * s.s))),
            Control("s for 2 s", _wrong(lambda s: inverse_rate_exponential(s.s / 2, s.mean))),
            Control("rate of the upper tail", {"predict": lambda s: replace(predict(s), rate=float(predict(s).inverse_rate / s.mean - np.log1p(predict(s).inverse_rate / s.mean)))}),
        ),
    ),
    Check(
        "exponential law: exact failure probability of the Chernoff bound",
        HighProbabilityBound(),
        predict=predict,
        settings=ByBudget(quick=tuple(ExponentialSetting(2.0, float(-np.log(d)) / 25) for d in (0.5, 0.2, 0.05, 0.01))),
        compare=compare_chernoff,
        controls=(Control("half of s", _wrong(lambda s: inverse_rate_exponential(s.s / 2, s.mean))),),
    ),
)  # fmt: skip
