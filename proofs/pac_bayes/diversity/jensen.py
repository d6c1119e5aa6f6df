"""Averaging models lowers the log-loss by at least V_h >= V: E_rho L - CE >= E_x h(m, pbar) Var(p) >= E_x Var(p)/(2 m^2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.diversity.jensen import jensen_bounds, liao_berg_weight
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import LINEARITY
from ....theory.balls.jensen import jensen_balls
from ....theory.derivation import Algebra, Axiom, Enclosure
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import JENSEN2
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result

UNIT = 2.0**-53


@dataclass(frozen=True)
class LossArraySetting:
    """Log-losses -ln p(x|theta), models x examples, and the weights of the models (sum 1)."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        losses, weights = finite("losses", self.losses, ndim=2), non_negative("weights", self.weights)
        if not losses.size or weights.shape != losses.shape[:1] or abs(float(weights.sum()) - 1) > 1e-9:
            raise InvalidInput("losses and weights do not fit.", "One weight for each row of losses, with sum 1.")


@dataclass(frozen=True)
class JensenPrediction:
    """E_rho L, CE, their difference, and its lower bounds V and V_h."""

    average_loss: float
    ensemble_loss: float
    gap: float
    second_order: float
    tight: float


# --- derivation ---------------------------------------------------------------------------------------------------


def remainder() -> list[tuple[Any, Any]]:
    import sympy

    p, mu, m, s = sympy.symbols("p mu m s", positive=True)
    # z = mu + s (p - mu) runs from mu to p; F is an antiderivative of (1-s)(p-mu)^2/z^2 in s
    z = mu + s * (p - mu)
    antiderivative = -p / z - sympy.log(z)
    integrand = (1 - s) * (p - mu) ** 2 / z**2
    difference = -sympy.log(p) + sympy.log(mu) + (p - mu) / mu
    weight = (sympy.log(mu) - sympy.log(m)) / (m - mu) ** 2 + 1 / (mu * (m - mu))
    at_m = (antiderivative.subs(s, 1) - antiderivative.subs(s, 0)).subs(p, m)
    return [
        (sympy.diff(antiderivative, s), integrand),
        (sympy.expand(antiderivative.subs(s, 1) - antiderivative.subs(s, 0)), sympy.expand(difference)),
        (sympy.simplify(at_m), sympy.simplify(weight * (m - mu) ** 2)),
    ]


def integrand_decreases() -> list[tuple[Any, Any]]:
    import sympy

    p, mu, m, s = sympy.symbols("p mu m s", positive=True)
    low, high = mu + s * (p - mu), mu + s * (m - mu)
    # both are weighted means of positive numbers, and high - low = s (m - p) >= 0 for p <= m; high <= m since m - high >= 0
    return [(high - low, s * (m - p)), (m - high, (1 - s) * (m - mu))]


def series() -> list[tuple[Any, Any]]:
    import sympy

    d = sympy.Symbol("d", positive=True)
    scaled = sympy.series(sympy.log(1 - d) + d / (1 - d), d, 0, 17).removeO()  # d^2 h(1, 1-d)
    return [(scaled, sum(sympy.Rational(k + 1, k + 2) * d ** (k + 2) for k in range(15)))]


def exact_gap() -> list[tuple[Any, Any]]:
    import sympy

    r, loss, mean = sympy.symbols("r1:4", positive=True), sympy.symbols("l1:4", real=True), sympy.Symbol("L", real=True)
    tilted = sum(w * sympy.exp(mean - x) for w, x in zip(r, loss, strict=True))
    averaged = sum(w * sympy.exp(-x) for w, x in zip(r, loss, strict=True))
    return [(sympy.expand(tilted), sympy.expand(sympy.exp(mean) * averaged))]


def far_from_one(d: Any) -> Any:
    """h(1, 1-d) - 1/2 away from d = 0."""
    return (-d).log1p() / d**2 + 1 / ((1 - d) * d) - 0.5


def near_one(d: Any) -> Any:
    """(h(1, 1-d) - 1/2)/d by its series; the terms left out are positive."""
    return sum(arb(k + 1) / (k + 2) * d ** (k - 1) for k in range(1, 12))


DERIVATION = (
    Algebra("-ln p + ln mu + (p - mu)/mu = (p - mu)^2 int_0^1 (1-s)/(mu + s(p-mu))^2 ds, and at p = m the integral is h(m,mu)", remainder, (("p", 0.1, 1), ("mu", 1, 2), ("m", 2, 3), ("s", 0, 1))),
    Algebra("mu + s(p-mu) <= mu + s(m-mu) <= m, so the integral is at least h(m,mu), and h(m,mu) at least int (1-s)/m^2 ds = 1/(2m^2)", integrand_decreases),
    Axiom(LINEARITY, "the mean over rho of (p - mu)/mu is 0 at mu = E_rho p: the mean of -ln p exceeds -ln mu by h Var_rho(p) or more"),
    Algebra("h(1, 1-d) = sum of (k+1)/(k+2) d^k, from d^2 h = ln(1-d) + d/(1-d)", series),
    Enclosure("h(1, t) >= 1/2, directly for t in [0.001, 0.95]", far_from_one, ((0.05, 0.999),)),
    Enclosure("h(1, t) >= 1/2, by the series for t in [0.9, 1]", near_one, ((0.0, 0.1),)),
    Algebra("the gap: ln E_rho e^(mean - loss) = mean + ln E_rho p", exact_gap),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: LossArraySetting) -> JensenPrediction:
    return JensenPrediction(**jensen_bounds(s.losses, weights=s.weights))


def numbers(p: JensenPrediction) -> list[float]:
    return [p.average_loss, p.ensemble_loss, p.gap, p.second_order, p.tight]


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> LossArraySetting:
    models, examples = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    spread = 10 ** rng.uniform(-6, 1.5)
    losses = rng.exponential(size=(models, examples)) * spread + rng.choice([0.0, 1.0, 1e4])
    return LossArraySetting(losses, rng.dirichlet(np.full(models, 2.0)))


def width(s: LossArraySetting) -> list[float]:
    """The derived rounding of `jensen`, example by example, relative to the means over examples."""
    losses, rho = s.losses, s.weights / s.weights.sum()
    m = len(rho)
    d = losses - losses.min(axis=0)
    y = np.expm1(-d)
    variance = rho @ (y - rho @ y) ** 2
    ratio = np.sqrt(rho @ y**2 / np.maximum(variance, 1e-300))
    relative = (m + 4 + 2 * (m + 12) * ratio) * UNIT
    x = losses - rho @ losses
    # at least this much: e^-x - 1 + x >= x^2/2 for x <= 0 and x^2/(2 + 2x/3) for x >= 0
    gap = np.log1p(rho @ (x**2 / (2 + 2 / 3 * np.maximum(x, 0))))
    # a first centring leaves (m + 2) UNIT of the losses themselves in the mean, removed by the second; the sum of the gap's parts
    # at most this much: e^-x - 1 + x <= e^max(-x,0) x^2/2, and no more than the largest |x|, which is what the steep form rounds
    largest = np.abs(x).max(axis=0)
    high = np.where(largest > 20, largest, np.minimum(largest, np.log1p(rho @ (x**2 / 2 * np.exp(np.clip(-x, 0, 20))))))
    absolute = (m + 26) * UNIT * high + 3 * (m + 4) * UNIT * (rho @ np.abs(x)) + 2.0**-1000
    weight = liao_berg_weight(np.minimum(1 + rho @ y, 1 - 1e-16).clip(1e-300))
    size = np.abs(losses).max(axis=0).mean() * (m + 8) * UNIT
    e_v = float(np.sum(variance * relative) / variance.sum()) + 4 * UNIT
    e_h = float(np.sum(weight * variance * (relative + 4 * (m + 6) * UNIT + 1e-14)) / np.sum(weight * variance))
    mean_loss = abs(float((rho @ losses).mean()))
    ensemble = abs(float((rho @ losses - gap).mean()))
    return [
        size / mean_loss,
        (size + absolute.mean()) / ensemble,
        float(absolute.mean() / gap.mean()) + 8 * UNIT,
        e_v,
        e_h,
    ]


FORMULA = Formula(
    expression=lambda s: jensen_balls(s.losses.tolist(), s.weights.tolist()),
    shipped=lambda s: list(jensen_bounds(s.losses, weights=s.weights).values()),
    read=numbers,
    sample=sample,
    width=width,
)


def _variant(s: LossArraySetting, weight: Any) -> list[float]:
    """V_h with another weight of (t = mean/m, m), everything else as shipped."""
    found = list(jensen_bounds(s.losses, weights=s.weights).values())
    rho, least = s.weights / s.weights.sum(), s.losses.min(axis=0)
    t = np.exp(-(s.losses - least))
    mean = np.minimum(rho @ t, 1 - 1e-12)
    return [*found[:4], float(np.mean(weight(mean) * (rho @ (t - mean) ** 2)))]


def clipped(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln t clipped to [-10, -0.01], as in published code."""
    return liao_berg_weight(np.exp(np.clip(np.log(t), -10, -0.01)))


def transcribed(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """m in place of mu in the last denominator: a negative weight."""
    return np.log(t) / (1 - t) ** 2 + 1 / (1 - t)


def at_the_mean(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The limit 1/(2 mu^2) used everywhere."""
    return 1 / (2 * t**2)


def _mutant(weight: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: _variant(s, weight))}


def _scaled(index: int, factor: float) -> dict[str, Any]:
    def shipped(s: LossArraySetting) -> list[float]:
        found = list(jensen_bounds(s.losses, weights=s.weights).values())
        found[index] *= factor
        return found

    return {"claim": replace(FORMULA, shipped=shipped)}


def unweighted(s: LossArraySetting) -> list[float]:
    return list(jensen_bounds(s.losses).values())


def settings(count: int) -> tuple[LossArraySetting, ...]:
    """Spreads from 0.02 (where V_h is within a percent of the gap) to 10."""
    found = []
    for index in range(count):
        rng = generator(1, "pb.jensen2", index)
        models = int(rng.integers(2, 6))
        losses = rng.exponential(size=(models, 3)) * 10 ** rng.uniform(-1.7, 1) + 0.1
        found.append(LossArraySetting(losses, rng.dirichlet(np.full(models, 2.0))))
    return (*found, LossArraySetting(np.array([[0.1, 0.1], [0.104, 0.103]]), np.array([0.5, 0.5])))


def compare_order(s: LossArraySetting, p: JensenPrediction, rows: Rows) -> Enclosures:
    """gap - V_h, V_h - V and V, with the exact gap in 50 digits and the predicted V_h, V widened by their derived rounding."""
    rounding = width(s)
    with ctx.workdps(50):
        gap = jensen_balls(s.losses.tolist(), s.weights.tolist())[2]
        tight, second = (arb(v, abs(v) * w) for v, w in ((p.tight, rounding[4]), (p.second_order, rounding[3])))
        differences = [gap - tight, tight - second, second]
        low, high = (np.array([float(getattr(x, end)()) for x in differences]) for end in ("lower", "upper"))
        return Enclosures(low, high, 1e-12 * float(gap))


def _wrong_tight(weight: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), tight=_variant(s, weight)[4])}


CHECKS = (
    Check(
        "the shipped terms are the definitions",
        FORMULA,
        controls=(
            Control("ln t clipped to [-10, -0.01]", _mutant(clipped)),
            Control("m for mu in the last denominator", _mutant(transcribed)),
            Control("the limit 1/(2 mu^2) for h", _mutant(at_the_mean)),
            Control("1/m^2 for 1/(2 m^2)", _scaled(3, 2.0)),
            Control("gap off by 1e-6", _scaled(2, 1 + 1e-6)),
            Control("weights ignored", {"claim": replace(FORMULA, shipped=unweighted)}),
        ),
    ),
    Check(
        "V <= V_h <= E_rho L - CE",
        Inequality(),
        settings=ByBudget(quick=settings(12), full=lambda: settings(400)),
        compare=compare_order,
        controls=(
            Control("ln t clipped to [-10, -0.01]", _wrong_tight(clipped)),
            Control("m for mu in the last denominator", _wrong_tight(transcribed)),
            Control("the limit 1/(2 mu^2) for h", _wrong_tight(at_the_mean)),
            Control("1/m^2 for 1/(2 m^2)", {"predict": lambda s: replace(predict(s), second_order=2 * predict(s).second_order)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    JENSEN2,
    predict=predict,
    example=LossArraySetting(-np.log([[0.9, 0.2, 0.6], [0.5, 0.7, 0.1]]), np.array([0.5, 0.5])),
    checks=CHECKS,
    derivation=DERIVATION,
)
