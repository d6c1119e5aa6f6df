"""Gibbs variational principle: min_Q {E_Q f + KL(Q||P)/beta} = -(1/beta) ln E_P e^{-beta f}, attained by dQ/dP = e^{-beta f}/Z."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.gibbs_posterior import gibbs_posterior
from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.gibbs import gibbs_ball
from ....theory.derivation import Algebra, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.foundations import GIBBS
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control, Result
from . import change_of_measure

DIGITS = 40
ULP = 2.0**-52


@dataclass(frozen=True)
class GibbsSetting:
    """A prior on finitely many points (positive weights, summing to 1), a function on them, an inverse temperature."""

    prior: NDArray[np.float64]
    f: NDArray[np.float64]
    beta: float

    def __post_init__(self) -> None:
        prior, f = non_negative("prior", finite("prior", self.prior, ndim=1)), finite("f", self.f, ndim=1)
        if prior.shape != f.shape or not prior.size or prior.min() <= 0 or abs(prior.sum() - 1) > 1e-12 * prior.size:
            raise InvalidInput(
                "prior and f do not belong together.", "Give one positive weight (sum 1) and one value for each point."
            )
        if not float(finite("beta", self.beta, ndim=0)) > 0:
            raise InvalidInput(f"beta is {self.beta!r}.", "The inverse temperature is positive.")


@dataclass(frozen=True)
class GibbsPrediction:
    """The minimum, E_Q f, KL(Q||P) and -d/dbeta E_Q f at the minimiser, and its weights."""

    free_energy: float
    mean: float
    kl: float
    variance: float
    weights: NDArray[np.float64]


# --- derivation ---------------------------------------------------------------------------------------------------


def divided_by_minus_beta() -> list[tuple[Any, Any]]:
    import sympy

    b, mean, kl, log_z = sympy.symbols("b m K L", positive=True)
    # the gap of pb.dv at -b f, divided by b, is the gap of the claim
    return [((kl + log_z - (-b * mean)) / b, (mean + kl / b) - (-log_z / b))]


def slope_is_minus_variance() -> list[tuple[Any, Any]]:
    import sympy

    b = sympy.Symbol("b", positive=True)
    p, f = sympy.symbols("p1:4", positive=True), sympy.symbols("f1:4", real=True)
    # three points are enough: both sides are sums over pairs of points, and a pair sees no other point but through Z
    tilt = [pi * sympy.exp(-b * fi) for pi, fi in zip(p, f, strict=True)]
    z = sum(tilt)
    mean = sum(t * fi for t, fi in zip(tilt, f, strict=True)) / z
    square = sum(t * fi**2 for t, fi in zip(tilt, f, strict=True)) / z
    x, y, w = sympy.symbols("x y w", positive=True)
    exponentials = dict(zip((sympy.exp(-b * fi) for fi in f), (x, y, w), strict=True))
    slope = sympy.diff(mean, b).subs(exponentials)
    return [(slope, (-(square - mean**2)).subs(exponentials))]


def gaussian_prior_quadratic_loss() -> list[tuple[Any, Any]]:
    import sympy

    s, a, b = sympy.symbols("s a b", positive=True)
    t, m, c = sympy.symbols("t m c", real=True)
    # P = N(m, s^2), f(t) = a (t-c)^2/2: completing the square in t gives the Gaussian Q and the free energy
    precision = 1 / s**2 + a * b
    centre = (m / s**2 + a * b * c) / precision
    exponent = -((t - m) ** 2) / (2 * s**2) - b * a * (t - c) ** 2 / 2
    rest = -b * a * (m - c) ** 2 / (2 * (1 + a * b * s**2))
    log_z = (
        rest - sympy.log(1 + a * b * s**2) / 2
    )  # the normalising constant of N(m, s^2) against that of precision `precision`
    mean = a * ((centre - c) ** 2 + 1 / precision) / 2
    kl = ((centre - m) ** 2 / s**2 + 1 / (s**2 * precision) - 1 + sympy.log(s**2 * precision)) / 2
    difference = sympy.expand_log(sympy.log(s**2 * precision) - sympy.log(1 + a * b * s**2))
    free = mean + kl / b - (-log_z / b)
    return [
        (exponent, -precision * (t - centre) ** 2 / 2 + rest),
        (free, difference / (2 * b)),
        (s**2 * precision, 1 + a * b * s**2),
    ]


DERIVATION = (
    Uses(change_of_measure.RESULT, "with -beta f: -beta E_Q f <= K + ln E_P e^{-beta f}, equality iff dQ/dP = e^{-beta f}/Z"),
    Algebra("dividing by beta gives the claim, minimum and minimiser", divided_by_minus_beta),
    Algebra("d/dbeta E_{Q_beta} f = -(E f^2 - (E f)^2): E_Q f never increases with beta", slope_is_minus_variance),
    Algebra("a Gaussian prior and a quadratic f: minimum and minimiser in closed form", gaussian_prior_quadratic_loss),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: GibbsSetting) -> GibbsPrediction:
    found = gibbs_posterior(losses=s.f, prior=s.prior, beta=s.beta)
    return GibbsPrediction(found.free_energy, found.mean, found.kl, found.variance, found.weights)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> GibbsSetting:
    size = int(rng.integers(2, 9))
    prior = rng.dirichlet(np.full(size, 0.7)) + 1e-9
    f = rng.normal(size=size) * 10 ** rng.uniform(-2, 1)
    return GibbsSetting(prior / prior.sum(), f, float(10 ** rng.uniform(-3, 2)))


def _exact(s: GibbsSetting) -> list[Any]:
    ball = gibbs_ball(s.f.tolist(), s.prior.tolist(), s.beta)
    return [ball.free_energy, ball.mean, ball.kl, -ball.slope]


def width(s: GibbsSetting) -> list[float]:
    """An exponent beta g, g <= max f - min f = r, moves a weight by an ulp of itself and its own rounding: e = (size + 8)(1 + beta r)
    ulps for every weight and for -ln Z. The mean is min f plus a mean of g: e r; KL is -ln Z - beta E g: 2 e beta r, since both
    terms are at most beta r; the variance moves by 2 e r^2 at most; the free energy by e r."""
    r = float(s.f.max() - s.f.min())
    e = (s.f.size + 8) * (1 + s.beta * r) * ULP
    found = predict(s)
    scale = np.abs([found.free_energy, found.mean, found.kl, found.variance])
    errors = np.array([e * r, e * r, 2 * e * s.beta * r, 2 * e * r * r])
    errors[:2] += 2 * ULP * np.abs(s.f).max()
    return list(errors / np.maximum(scale, 1e-300))


def readable(rng: np.random.Generator) -> GibbsSetting:
    """Settings at which no number is so small beside the terms it is a difference of that rounding hides a part in ten thousand."""
    while True:
        s = sample(rng)
        if max(width(s)) < 1e-5:
            return s


def _four(found: Any) -> list[float]:
    return [found.free_energy, found.mean, found.kl, found.variance]


FORMULA = Formula(
    expression=_exact,
    shipped=lambda s: _four(gibbs_posterior(losses=s.f, prior=s.prior, beta=s.beta)),
    read=_four,
    sample=readable,
    width=width,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def _temperature_forgotten(s: GibbsSetting) -> list[float]:
    found = gibbs_posterior(losses=s.f, prior=s.prior, beta=s.beta)
    return _four(replace(found, free_energy=found.mean + found.kl))


def _reversed(s: GibbsSetting) -> list[float]:
    found = gibbs_posterior(losses=s.f, prior=s.prior, beta=s.beta)
    return _four(replace(found, kl=float(s.prior @ np.log(s.prior / np.maximum(found.weights, 1e-300)))))


def settings(count: int) -> tuple[GibbsSetting, ...]:
    return tuple(readable(generator(1, "pb.gibbs", index)) for index in range(count))


def compare_minimum(s: GibbsSetting, p: GibbsPrediction, rows: Rows, *, power: float = 1.0) -> Enclosures:
    """E_Q f + K/beta - predicted minimum, in balls, at random Q and at Q near the minimiser."""
    rng = generator(2, "pb.gibbs", s.f.tolist())
    near = [p.weights * np.exp(size * rng.normal(size=s.f.size)) for size in (0.3, 0.03, 1e-3)]
    gaps = []
    with ctx.workdps(DIGITS):
        minimum = gibbs_ball(s.f.tolist(), s.prior.tolist(), s.beta).free_energy
        prior = [arb(float(x)) for x in s.prior]
        total = sum(prior, arb(0))
        for weights in (*rng.dirichlet(np.full(s.f.size, 0.5), size=8), *near):
            raw = [arb(float(x) + 1e-300) for x in weights]
            q = [x / sum(raw, arb(0)) for x in raw]
            kl = sum((a * (a * total / b).log() for a, b in zip(q, prior, strict=True)), arb(0))
            mean = sum((a * arb(float(f)) for a, f in zip(q, s.f, strict=True)), arb(0))
            gaps.append(mean + kl / arb(s.beta) ** arb(power) - minimum)
    return Enclosures(np.array([float(g.lower()) for g in gaps]), np.array([float(g.upper()) for g in gaps]), 1e-20)


def compare_squared_temperature(s: GibbsSetting, p: GibbsPrediction, rows: Rows) -> Enclosures:
    return compare_minimum(s, p, rows, power=2.0)


def compare_attained(s: GibbsSetting, p: GibbsPrediction, rows: Rows) -> Comparison:
    """E_Q f + K/beta at the predicted weights, in balls, against the predicted minimum: of second order in the rounding of Q."""
    with ctx.workdps(DIGITS):
        raw, prior = [arb(float(x)) for x in p.weights], [arb(float(x)) for x in s.prior]
        q, total = [x / sum(raw, arb(0)) for x in raw], sum(prior, arb(0))
        kl = sum((a * (a * total / b).log() for a, b in zip(q, prior, strict=True) if a > 0), arb(0))
        mean = sum((a * arb(float(f)) for a, f in zip(q, s.f, strict=True)), arb(0))
        attained = float((mean + kl / arb(s.beta)).mid())
    bound = width(s)[0] * abs(p.free_energy)
    scale = float(np.abs(s.f).max())
    return Comparison(np.array([attained]), np.array([p.free_energy]), np.array([bound]), scale)


QUICK = ByBudget(quick=settings(12), full=lambda: settings(150))

CHECKS = (
    Check(
        "the shipped Gibbs posterior: minimum, mean, divergence, and the slope of the mean by power series",
        FORMULA,
        controls=(
            Control("the temperature forgotten", _mutant(_temperature_forgotten)),
            Control("KL(P||Q) for KL(Q||P)", _mutant(_reversed)),
            Control("the sign of beta", _mutant(lambda s: _four(gibbs_posterior(losses=-s.f, prior=s.prior, beta=s.beta)))),
            Control("the prior forgotten", _mutant(lambda s: _four(gibbs_posterior(losses=s.f, beta=s.beta)))),
            Control("variance under the prior", _mutant(lambda s: [*_four(predict(s))[:3], float(s.prior @ (s.f - s.prior @ s.f) ** 2)])),
        ),
    ),
    Check(
        "no Q does better",
        Inequality(),
        settings=QUICK,
        compare=compare_minimum,
        controls=(Control("K over beta squared", {"compare": compare_squared_temperature}),),
    ),
    Check(
        "the Gibbs law attains the minimum",
        Agreement("rounding"),
        settings=QUICK,
        compare=compare_attained,
        controls=(
            Control("Q = P", {"predict": lambda s: replace(predict(s), weights=s.prior)}),
            Control("twice the inverse temperature", {"predict": lambda s: replace(predict(s), weights=predict(replace(s, beta=2 * s.beta)).weights)}),
        ),
    ),
)  # fmt: skip

EXAMPLE = GibbsSetting(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0]), 2.0)
RESULT = Result(
    GIBBS, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(change_of_measure.RESULT,), derivation=DERIVATION
)
