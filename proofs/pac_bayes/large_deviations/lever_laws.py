"""Levers of smoothness on laws where both sides are exact: settings, averages, laws that nearly attain the bounds, and the penalty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.claims import Comparison, Enclosures
from ....numerics.large_deviations.inverse_rate import inverse_rate
from ....numerics.large_deviations.laws import FiniteLaw
from ....numerics.large_deviations.tilting import penalty_coefficients
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.cgf import cgf_ball, inverse_rate_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class LeverSetting:
    """Losses of two models on orbits of a group (models x orbits x members), the orbits' probabilities, the models' weights, a tilt; and the
    numbers of the two bounds: M, |theta - theta0|, the log-Sobolev constant c, G, R, and s."""

    losses: NDArray[np.float64]
    orbits: NDArray[np.float64]
    rho: NDArray[np.float64]
    tilt: float
    lipschitz: float
    distance: float
    constant: float
    gradient: float
    class_range: float
    s: float

    def __post_init__(self) -> None:
        losses, orbits, rho = (
            finite("losses", self.losses, ndim=3),
            non_negative("orbits", self.orbits),
            non_negative("rho", self.rho),
        )
        if losses.shape[:2] != (rho.size, orbits.size) or not losses.size or not min(orbits.sum(), rho.sum()) > 0:
            raise InvalidInput(f"losses has shape {losses.shape}.", "It needs models x orbits x members.")
        for name in ("tilt", "lipschitz", "distance", "constant", "gradient", "class_range", "s"):
            non_negative(name, finite(name, getattr(self, name), ndim=0))


@dataclass(frozen=True)
class LeverPrediction:
    """Upper bounds on the inverse rate: from the distance, from input gradients."""

    distance: float
    gradient: float


def sample(rng: np.random.Generator) -> LeverSetting:
    shape = (2, int(rng.integers(2, 5)), int(rng.integers(2, 4)))
    losses = np.round(rng.lognormal(0, 1, shape), 6)
    orbits, rho = np.round(rng.dirichlet(np.ones(shape[1])), 6) + 1e-3, np.round(rng.dirichlet(np.ones(2)), 6) + 1e-3
    tilt, (M, D, c, G, R), s = (
        float(10 ** rng.uniform(-2, 1)),
        10 ** rng.uniform(-2, 2, 5),
        float(10 ** rng.uniform(-6, 1)),
    )
    return LeverSetting(losses, orbits, rho, tilt, float(M), float(D), float(c), float(G), float(R), s)


def _balls(losses: Any, weights: Any, tilt: float) -> arb:
    return cgf_ball(("finite", tuple(losses), tuple(weights)), tilt, 40)


def _exact_average(rows: list[Any], weights: Any) -> list[Any]:
    from fractions import Fraction

    w = [Fraction(float(x)) for x in weights]
    return [
        sum(a * Fraction(float(b)) if isinstance(b, float) else a * b for a, b in zip(w, column, strict=True)) / sum(w)
        for column in zip(*rows, strict=True)
    ]


def compare_averages(
    s: LeverSetting, p: LeverPrediction, rows: Rows, *, members: Any = None, swap: bool = False
) -> Enclosures:
    """J_loss - J_(orbit average) and E_rho J - J_(model average), both >= 0, in exact rationals and balls. `members` are the weights within an
    orbit (uniform where the law is invariant)."""
    size = s.losses.shape[2]
    inner = np.ones(size) if members is None else members(size)
    weights = [float(o) * float(m) for o in s.orbits for m in inner]
    slack = []
    with ctx.workdps(40):
        for model in s.losses:
            whole = _balls(map(float, model.ravel()), weights, s.tilt)
            # the average over the group is uniform whatever the law of the data is
            averaged = _exact_average([list(map(float, model[:, m])) for m in range(size)], np.ones(size))
            slack.append(whole - _balls(averaged, [float(o) * float(inner.sum()) for o in s.orbits], s.tilt))
        separate = [_balls(map(float, model.ravel()), weights, s.tilt) for model in s.losses]
        joint = _balls(_exact_average([list(map(float, model.ravel())) for model in s.losses], s.rho), weights, s.tilt)
        r = [arb(float(x)) for x in s.rho]
        slack.append(sum((a * b for a, b in zip(r, separate, strict=True)), arb(0)) / sum(r, arb(0)) - joint)
        if swap:
            slack[-1] = -slack[-1]
        return Enclosures(
            np.array([float(x.lower()) for x in slack]), np.array([float(x.upper()) for x in slack]), 1e-25
        )


def compare_without_invariance(s: LeverSetting, p: LeverPrediction, rows: Rows) -> Enclosures:
    """The law of the data favours one member of each orbit."""
    return compare_averages(s, p, rows, members=lambda size: np.eye(size)[0] + 1e-3)


def compare_swapped(s: LeverSetting, p: LeverPrediction, rows: Rows) -> Enclosures:
    """The averaged model claimed to be the rougher one."""
    return compare_averages(s, p, rows, swap=True)


def compare_bounds(s: LeverSetting, p: LeverPrediction, rows: Rows) -> Enclosures:
    """Laws that nearly attain the bounds: losses +-M|theta - theta0| with equal odds; a loss that is linear in a Gaussian input with class
    means +-R/2, where J = c G^2 l^2/2 + ln cosh(l R/2) and its inverse rate is at most any (J(l)+s)/l."""
    with ctx.workdps(40):
        reach = arb(s.lipschitz) * arb(s.distance)
        two_points = reach * inverse_rate_ball(("finite", (-1.0, 1.0)), s.s, 40)
        v = arb(s.constant) * arb(s.gradient) ** 2 + (arb(s.class_range) / 2) ** 2
        # sup over s' <= s is not needed: J'(l) at G(l) <= s is a lower bound on Iinv(s); take l from v, then shrink until G <= s
        tilt, half = (2 * arb(s.s) / v).sqrt(), arb(s.class_range) / 2
        quadratic = arb(s.constant) * arb(s.gradient) ** 2

        def terms(x: arb) -> tuple[arb, arb]:
            slope = quadratic * x + half * (x * half).tanh()
            return slope, x * slope - quadratic * x * x / 2 - (x * half).cosh().log()

        while not terms(tilt)[1] <= arb(s.s):
            tilt = tilt * arb("0.999")
        slack = [arb(p.distance) - two_points, arb(p.gradient) - terms(tilt)[0]]
        return Enclosures(
            np.array([float(x.lower()) for x in slack]), np.array([float(x.upper()) for x in slack]), 1e-20
        )


def compare_gradient(
    s: LeverSetting, p: LeverPrediction, rows: Rows, *, coefficients: Any = penalty_coefficients
) -> Comparison:
    """Directional derivative of mean + Iinv of a batch: central differences of 60-digit balls against the shipped coefficients.

    The difference quotient is off by h^2 times a third derivative, far below rounding at h = 2^-60. The coefficients: the tilt is off by
    8 W s/(l^2 J'') in ln l (W the width of the value, G = s), which moves a weight by l gap times that; and W itself.
    """
    losses, level = s.losses[0].ravel(), min(s.s, 1.0)
    direction = generator(6, "pb.smooth_levers", losses.tolist()).normal(size=losses.size)
    from fractions import Fraction

    h = Fraction(1, 2**60)
    moved = [
        tuple(Fraction(float(x)) + sign * h * Fraction(float(d)) for x, d in zip(losses, direction, strict=True))
        for sign in (1, -1)
    ]
    with ctx.workdps(60):
        up, down = (inverse_rate_ball(("finite", row), level, 60) for row in moved)
        slope = float(((up - down) / arb(2) * arb(2) ** 60).mid()) + float(direction.mean())
    law = FiniteLaw(losses)
    found = inverse_rate(losses, level)
    far = float(found.tilt) * float(law.gap[0])
    spread = float(found.tilt) * np.ptp(losses)
    W = float(found.rounding)
    w = np.exp(-float(found.tilt) * law.above[0])
    w /= w.sum()
    y = float(found.tilt) * law.above[0]
    curvature = float(w @ (y - w @ y) ** 2)
    size = float(np.abs(direction).max())
    bound = (
        size * (4 * W + spread * (8 * W * level / curvature) + far * 4 * HALF_ULP)
        if np.isfinite(found.tilt)
        else size * 16 * HALF_ULP
    )
    return Comparison(
        np.array([slope]), np.array([float(coefficients(losses, level) @ direction)]), np.array([bound]), size
    )


def _coefficients(sign: float, plain: float) -> Any:
    def wrong(losses: Any, level: float) -> Any:
        return plain / losses.size + sign * (2.0 / losses.size - penalty_coefficients(losses, level))

    return wrong


def compare_gradient_sign(s: LeverSetting, p: LeverPrediction, rows: Rows) -> Comparison:
    return compare_gradient(s, p, rows, coefficients=_coefficients(1.0, 0.0))


def compare_gradient_once(s: LeverSetting, p: LeverPrediction, rows: Rows) -> Comparison:
    return compare_gradient(s, p, rows, coefficients=_coefficients(-1.0, 1.0))


SETTINGS = tuple(sample(generator(5, "pb.smooth_levers", i)) for i in range(10))
SMALL = tuple(replace(x, s=min(x.s, 1e-3)) for x in SETTINGS)  # small s, where the bounds are nearly attained
