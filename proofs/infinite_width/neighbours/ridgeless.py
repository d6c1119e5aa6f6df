"""Minimum-norm least squares on isotropic features: excess risk on both sides of p = n, and the best ridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from flint import arb

from ....numerics.claims import Agreement, Comparison, Formula
from ....numerics.intervals import multiplier
from ....numerics.kernel_regression.eigenlearning import eigenlearning as equations
from ....numerics.kernel_regression.ridgeless import optimal_ridge, ridgeless_risk, ridgeless_risk_at
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY, WISHART
from ....theory.balls.ridgeless import finite_ridgeless, optimal_ridge_ball, ridgeless_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.infinite_width.neighbours import RIDGELESS
from ...result import ByBudget, Check, Control, Result, Run
from . import eigenlearning

UNIT = 2.0**-53


@dataclass(frozen=True)
class RidgelessSetting:
    """Examples n, features p with |p - n| > 1, signal |beta|^2 > 0, noise variance > 0; the limit has aspect p/n."""

    n: int
    features: int
    signal: float
    noise_variance: float

    def __post_init__(self) -> None:
        if self.n < 1 or self.features < 1 or abs(self.n - self.features) < 2:
            raise InvalidInput(f"n is {self.n} and features {self.features}.", "They must differ by at least 2.")
        if not (self.signal > 0 and self.noise_variance > 0):
            raise InvalidInput("signal or noise_variance is not positive.", "Both are needed for an optimal ridge.")

    @property
    def aspect(self) -> float:
        return self.features / self.n


@dataclass(frozen=True)
class RidgelessPrediction:
    """Excess risk in the limit, exactly at n and p, and at the best penalty (of the mean of squares) in the limit."""

    limit: float
    finite: float
    penalty: float
    optimal: float


# --- derivation ---------------------------------------------------------------------------------------------------


def mean_of_inverse() -> list[tuple[Any, Any]]:
    """E 1/chi2_k = 1/(k - 2) for k = 3..8, by its density; with k = N - p + 1 the entries of (X^T X)^{-1} have mean 1/(N - p - 1)."""
    x = sympy.symbols("x", positive=True)
    found = []
    for k in range(3, 9):
        half = sympy.Rational(k, 2)
        density = x ** (half - 1) * sympy.exp(-x / 2) / (2**half * sympy.gamma(half))
        found.append((sympy.integrate(sympy.expand(density / x), (x, 0, sympy.oo)), sympy.Rational(1, k - 2)))
    return found


def limits() -> list[tuple[Any, Any]]:
    """p = g n: both exact risks tend to the printed limits, with a relative excess of 1/(|p - n| - 1) in the noise's share."""
    g, n, s2, r2 = sympy.symbols("g n s2 r2", positive=True)
    below, above = s2 * g * n / (n - g * n - 1), r2 * (1 - 1 / g) + s2 * n / (g * n - n - 1)
    return [
        (below / (s2 * g / (1 - g)) - 1, 1 / (n - g * n - 1)),
        ((above - r2 * (1 - 1 / g)) / (s2 / (g - 1)) - 1, 1 / (g * n - n - 1)),
    ]


def equal_eigenvalues() -> list[tuple[Any, Any]]:
    """One eigenvalue 1 of multiplicity g n, target r2, no ridge, g > 1: kappa = g - 1, L = 1/g, and E0 ((1-L)^2 r2 + s2) - s2."""
    g, s2, r2 = sympy.symbols("g s2 r2", positive=True)
    learned = 1 / g
    overfitting = 1 / (1 - g * learned**2)
    risk = overfitting * ((1 - learned) ** 2 * r2 + s2) - s2
    return [(g * learned, 1), (risk, r2 * (1 - 1 / g) + s2 / (g - 1))]


def best_ridge() -> list[tuple[Any, Any]]:
    """With a penalty z: 1 = g/(1+k) + z/k. The risk's slope in k has the sign of z r2 - s2 g, and at z r2 = s2 g the risk is s2 g m."""
    g, s2, r2, k = sympy.symbols("g s2 r2 k", positive=True)
    z, learned = k * (1 + k - g) / (1 + k), 1 / (1 + k)
    risk = (k**2 * r2 + g * s2) / ((1 + k) ** 2 - g)
    m = 1 / (1 + k - g)
    return [
        (g / (1 + k) + z / k, 1),
        (((1 - learned) ** 2 * r2 + s2) / (1 - g * learned**2) - s2, risk),
        (risk.diff(k) * ((1 + k) ** 2 - g) ** 2, 2 * (1 + k) * (k * (1 + k - g) / (1 + k) * r2 - s2 * g)),
        ((k**2 * s2 * g / z + g * s2) / ((1 + k) ** 2 - g), s2 * g * m),
        (g * z * m**2 + (1 - g + z) * m, 1),
    ]


DERIVATION = (
    Axiom(LINEARITY, "p < n: excess risk s2 tr (X^T X)^{-1}; p > n: |beta|^2 off the row space plus s2 tr (X X^T)^{-1}, whose mean share of |beta|^2 is 1 - n/p"),
    Axiom(WISHART, "1/(X^T X)^{-1}_ii is chi-square with n - p + 1 degrees of freedom (and with the roles of n and p exchanged)"),
    Algebra("E 1/chi2_k = 1/(k-2): the traces have means p/(n-p-1) and n/(p-n-1)", mean_of_inverse),
    Algebra("in the limit p = g n these are g/(1-g) and 1/(g-1)", limits),
    Uses(eigenlearning.RESULT, "with one eigenvalue of multiplicity p"),
    Algebra("g > 1 without a ridge it gives the same", equal_eigenvalues),
    Algebra("its risk is stationary in the ridge at z = s2 g/r2 only, where it is s2 g m with g z m^2 + (1-g+z) m = 1", best_ridge),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: RidgelessSetting) -> RidgelessPrediction:
    given = {"signal": s.signal, "noise_variance": s.noise_variance}
    best = optimal_ridge(aspect=s.aspect, **given)
    return RidgelessPrediction(
        ridgeless_risk(aspect=s.aspect, **given),
        ridgeless_risk_at(n=s.n, features=s.features, **given),
        best.penalty,
        best.excess_risk,
    )


def flatten(p: RidgelessPrediction) -> np.ndarray:
    return np.array([p.limit, p.finite, p.penalty, p.optimal])


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> RidgelessSetting:
    n = int(10 ** rng.uniform(0, 4))
    p = int(10 ** rng.uniform(0, 4))
    p += 2 * (abs(n - p) < 2) + (p + 2 == n + 1) * (abs(n - p) < 2)
    return RidgelessSetting(n, p, float(10 ** rng.uniform(-3, 3)), float(10 ** rng.uniform(-3, 3)))


def exact(s: RidgelessSetting) -> list[arb]:
    finite = finite_ridgeless(s.n, s.features, s.signal, s.noise_variance)
    return [
        ridgeless_ball(s.aspect, s.signal, s.noise_variance),
        arb(finite.numerator) / finite.denominator,
        *optimal_ridge_ball(s.aspect, s.signal, s.noise_variance),
    ]


def width(s: RidgelessSetting) -> np.ndarray:
    """All terms are positive; 1 - g loses u max(1, g)/|1 - g|, also inside m, whose relative error it is at most. n and p are exact."""
    near = max(1.0, s.aspect) / abs(1 - s.aspect)
    return np.array([6 * UNIT + 2 * UNIT * near, 8 * UNIT, 3 * UNIT, 16 * UNIT + 4 * UNIT * near])


FORMULA = Formula(expression=exact, shipped=lambda s: flatten(predict(s)), read=flatten, sample=sample, width=width, count=100)  # fmt: skip


def _mutant(**changes: Any) -> dict[str, Any]:
    def wrong(s: RidgelessSetting) -> np.ndarray:
        p = predict(s)
        return flatten(replace(p, **{name: change(p, s) for name, change in changes.items()}))

    return {"claim": replace(FORMULA, shipped=wrong)}


def textbook_m(s: RidgelessSetting) -> float:
    """The printed m, whose numerator cancels for small g z."""
    g, z = s.aspect, s.noise_variance * s.aspect / s.signal
    b = 1 - g + z
    return float(s.noise_variance * g * (np.sqrt(b * b + 4 * g * z) - b) / (2 * g * z))


def compare_eigenlearning(s: RidgelessSetting, p: RidgelessPrediction, rows: Rows) -> Comparison:
    """One eigenvalue of multiplicity p: without a ridge (p > n), at the best one, and the best over a grid of ridges around it."""

    def risk(ridge: float) -> float:
        e = equations(
            eigenvalues=[1.0],
            multiplicities=[float(s.features)],
            coefficients=[np.sqrt(s.signal)],
            n=s.n,
            ridge_sum_loss=ridge,
            noise_variance=s.noise_variance,
        )
        return e.test_error - s.noise_variance

    best = s.n * p.penalty
    # at a minimum a grid misses it by the square of its spacing: with a spacing of 1e-6 that is below rounding
    around = min(risk(best * factor) for factor in (0.5, 0.9, 1 - 1e-6, 1 + 1e-6, 1.1, 2.0))
    observed, predicted = [risk(best), around], [p.optimal, p.optimal]
    if s.features > s.n:
        observed.append(risk(0.0))
        predicted.append(p.limit)
    scale = np.array(observed) + s.noise_variance
    near = max(1.0, s.aspect) / abs(1 - s.aspect)
    return Comparison(np.array(observed), np.array(predicted), 200 * UNIT * near * scale + 1e-11 * scale, scale)


def draws(setting: RidgelessSetting, run: Run) -> Mapping[str, Any]:
    """Excess risk of minimum-norm least squares given the features, averaged over noise and over the direction of beta."""
    rng = generator(run.seed, "features")
    n, p, trials = setting.n, setting.features, run.block["trials"]
    x = rng.normal(size=(trials, n, p))
    gram = x @ x.transpose(0, 2, 1) if p > n else x.transpose(0, 2, 1) @ x
    inverse = np.linalg.inv(gram)
    risk = setting.noise_variance * np.trace(inverse, axis1=1, axis2=2)
    if p > n:  # the projection on the row space, as x' (x x')^-1 x
        kept = np.einsum("tip,tij,tjp->t", x, inverse, x, optimize=True)
        risk = risk + setting.signal * (1 - kept / p)
    return {"risk": risk}


def compare_draws(s: RidgelessSetting, p: RidgelessPrediction, rows: Rows) -> Comparison:
    risk = rows["risk"]
    error = multiplier(1, degrees=len(risk) - 1) * risk.std(ddof=1) / np.sqrt(len(risk))
    return Comparison(np.array([risk.mean()]), np.array([p.finite]), np.array([error]), p.finite)


def _finite(change: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), finite=change(predict(s), s))}


EXAMPLE = RidgelessSetting(100, 200, 1.0, 0.25)
BELOW, ABOVE = RidgelessSetting(20, 8, 1.0, 0.5), RidgelessSetting(8, 20, 1.0, 0.5)
PLAN = ByBudget(quick=({"trials": 30_000},))

CHECKS = (
    Check(
        "shipped risks",
        FORMULA,
        controls=(
            Control("limit in place of the value at n and p", _mutant(finite=lambda p, s: p.limit)),
            Control("p - n for p - n - 1", _mutant(finite=lambda p, s: p.finite * (1 - 1e-4))),
            Control("penalty against the sum of squares", _mutant(penalty=lambda p, s: p.penalty * s.n if s.n > 1 else 2 * p.penalty)),
            Control("risk with the noise of test labels", _mutant(limit=lambda p, s: p.limit + s.noise_variance)),
            Control("g and 1/g exchanged", _mutant(limit=lambda p, s: ridgeless_risk(aspect=1 / s.aspect, signal=s.signal, noise_variance=s.noise_variance))),
            Control("the printed m in float64", _mutant(optimal=lambda p, s: textbook_m(s))),
        ),
    ),
    Check(
        "eigenlearning with equal eigenvalues",
        Agreement("rounding"),
        settings=ByBudget(quick=(EXAMPLE, RidgelessSetting(100, 30, 2.0, 0.5))),
        compare=compare_eigenlearning,
        controls=(
            Control("penalty twice as large", {"predict": lambda s: replace(predict(s), penalty=2 * predict(s).penalty)}),
            Control("ridgeless risk for the best", {"predict": lambda s: replace(predict(s), optimal=predict(s).limit)}),
            Control("signal's share dropped", {"predict": lambda s: replace(predict(s), limit=s.noise_variance / (s.aspect - 1))}),
        ),
    ),
    Check(
        "Gaussian features at finite n and p",
        Agreement("Monte Carlo", relative=0.02),
        settings=ByBudget(quick=(BELOW, ABOVE)),
        experiment=draws,
        plan=PLAN,
        compare=compare_draws,
        controls=(
            Control("the limit", _finite(lambda p, s: p.limit)),
            Control("one degree of freedom more", {"predict": lambda s: replace(predict(s), finite=predict(replace(s, n=s.n + 1)).finite)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(RIDGELESS, predict, EXAMPLE, CHECKS, uses=(eigenlearning.RESULT,), derivation=DERIVATION)
