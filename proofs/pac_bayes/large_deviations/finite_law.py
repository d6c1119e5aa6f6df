"""Any finite law: settings, prediction, and the checks of `pb.cramer` that compare it with balls and with its dual."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.large_deviations.cgf import FAR, cumulants
from ....numerics.large_deviations.duality import worst_reweighting
from ....numerics.large_deviations.inverse_rate import InverseRate, inverse_rate
from ....numerics.large_deviations.laws import FiniteLaw
from ....numerics.large_deviations.rate import rate
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.cgf import cgf_ball, inverse_rate_ball, rate_ball, slope_ball
from ....theory.errors import InvalidInput
from ....theory.validation import finite, non_negative
from ...result import ByBudget, Check, Control

HALF_ULP = 2.0**-53


@dataclass(frozen=True)
class FiniteLawSetting:
    """Losses, their probabilities (normalised when used) and a divergence s >= 0 in nats for each example."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    s: float

    def __post_init__(self) -> None:
        losses, weights = (
            finite("losses", self.losses, ndim=1),
            non_negative("weights", finite("weights", self.weights)),
        )
        if losses.shape != weights.shape or not losses.size or not weights.min() > 0:
            raise InvalidInput("losses and weights do not match.", "Give one positive weight for each loss.")
        non_negative("s", self.s)


@dataclass(frozen=True)
class RatePrediction:
    """a = Iinv(s), its tilt l (inf where saturated), J(l), J'(l) = a and the effective sample size; and at a fixed share of the gap
    L - m and a fixed tilt: I, J and J'."""

    inverse_rate: float
    tilt: float
    saturated: bool
    effective: float
    rate: float
    cgf: float
    slope: float


@dataclass(frozen=True)
class Solved:
    """What the shipped functions say of one setting: solved once, shared by prediction, widths and mutants."""

    law: FiniteLaw
    at_s: InverseRate
    a: float
    tilt: float
    rate_at_a: float
    at_rate: InverseRate
    cgf: float
    slope: float


def solved(s: FiniteLawSetting) -> Solved:
    return _solve(s.losses.tobytes(), s.weights.tobytes(), s.s)


@lru_cache(maxsize=1024)
def _solve(losses: bytes, weights: bytes, s: float) -> Solved:
    x, p = np.frombuffer(losses), np.frombuffer(weights)
    law = FiniteLaw(x, p)
    a, tilt = (
        float(0.8 * law.gap[0] * min(1.0, s)),
        float(np.sqrt(2 * s / law.variance[0])) * (100.0 if s > 0.2 else 1.0),
    )
    value = float(rate(law, a))
    at = cumulants(law, np.array([tilt]))
    return Solved(
        law, inverse_rate(law, s), a, tilt, value, inverse_rate(law, value), float(at.value[0]), float(at.slope[0])
    )


def arguments(s: FiniteLawSetting) -> tuple[float, float]:
    """A gap a in (0, 0.8 (L - m)) and a tilt l, made from the setting's s: a moderate one, or one so large that J is evaluated from
    the minimum."""
    return solved(s).a, solved(s).tilt


def predict(s: FiniteLawSetting) -> RatePrediction:
    known = solved(s)
    found = known.at_s
    return RatePrediction(
        float(found.value),
        float(found.tilt),
        bool(found.saturated),
        float(found.effective),
        known.rate_at_a,
        known.cgf,
        known.slope,
    )


def sample(rng: np.random.Generator) -> FiniteLawSetting:
    """Five families of losses, some a million away from zero, some with unequal weights, and s up to and beyond saturation."""
    size = int(rng.integers(2, 16))
    losses = {
        "uniform": lambda: rng.uniform(0, 1, size),
        "exponential": lambda: rng.exponential(size=size),
        "lognormal": lambda: rng.lognormal(0, 2, size),
        "far": lambda: 1e6 + rng.exponential(size=size),
        "two points": lambda: np.append(np.zeros(size - 1), 1.0) * 10 ** rng.uniform(-4, 4),
    }[str(rng.choice(["uniform", "exponential", "lognormal", "far", "two points"]))]()
    weights = rng.dirichlet(np.ones(size)) + 1e-3 if rng.uniform() < 0.5 else np.ones(size)
    top = float(-np.log(FiniteLaw(losses, weights).mass[0]))
    # small, just below saturation (where the tilt is large), and beyond it
    share = (10 ** rng.uniform(-25, 0), 1 - 10 ** rng.uniform(-5, -0.5), rng.uniform(1.01, 3))
    s = top * share[int(rng.choice(3, p=[0.5, 0.35, 0.15]))]
    return FiniteLawSetting(losses, weights, float(s))


def law_of(s: FiniteLawSetting) -> Any:
    return "finite", tuple(map(float, s.losses)), tuple(map(float, s.weights))


def exact(s: FiniteLawSetting) -> list[Any]:
    a, tilt = arguments(s)
    law = law_of(s)
    return [inverse_rate_ball(law, s.s, 50), rate_ball(law, a, 50), cgf_ball(law, tilt, 50), slope_ball(law, tilt, 50)]


def width(s: FiniteLawSetting) -> list[float]:
    """Iinv carries its own derived width W; J and J' have the near form's, W at their tilt, and J' one more sum.

    I = max (l a - J): its error is that of l a and of J at the fixed optimum, (2u (I + J) + W J)/I relatively, and far out
    l (a - gap) with the gap's own error: W l gap/I.
    """
    known = solved(s)
    value, best, gap = known.rate_at_a, float(known.at_rate.tilt), float(known.law.gap[0])
    g = np.log2(s.losses.size) + 12
    far = best * gap if best * gap > FAR else 0.0
    W = float(known.at_rate.rounding) + 4 * HALF_ULP
    per_rate = (W * best * known.a + 2 * g * HALF_ULP * far) / value
    z = min(known.tilt * gap, FAR)
    near = (3 * g * (1 + z) + 3 * z + 40) * HALF_ULP
    return [float(known.at_s.rounding), per_rate, near, 2 * near]


def shipped(s: FiniteLawSetting, **changes: Any) -> list[float]:
    found = predict(s)
    values = {"inverse": found.inverse_rate, "rate": found.rate, "cgf": found.cgf, "slope": found.slope, **changes}
    return [values["inverse"], values["rate"], values["cgf"], values["slope"]]


FORMULA = Formula(
    expression=exact,
    shipped=shipped,
    read=lambda p: [p.inverse_rate, p.rate, p.cgf, p.slope],
    sample=sample,
    width=width,
    count=60,
)


def _mutant(name: str, function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: shipped(s, **{name: float(function(s))}))}


def _law(s: FiniteLawSetting) -> FiniteLaw:
    return solved(s).law


def compare_dual(s: FiniteLawSetting, p: RatePrediction, rows: Rows) -> Comparison:
    """Worst-case reweighting by a root search over tilts: the mean it takes off, and its divergence, which must be s.

    The dual's own error: with log ratios u = -y - ln Z (y = l d) carrying 4 half-ulps of |y| + |ln Z|, its divergence sum moves by
    E_w |u| du, and brentq leaves (1e-15 + 9e-16 |ln l|) in ln l; a relative error e of s moves the concave Iinv by at most e.
    """
    found = worst_reweighting(s.losses, s.s, weights=s.weights)
    d = s.losses - s.losses @ s.weights / s.weights.sum()
    y = found.tilt * d if np.isfinite(found.tilt) else np.zeros(d.size)
    log_z = float(np.log((s.weights / s.weights.sum()) @ np.exp(-(y - y.min())))) - y.min()
    spread = found.weights @ (np.abs(y) + abs(log_z)) ** 2 / s.s
    root = (
        (1e-15 + 9e-16 * abs(np.log(found.tilt))) * (found.weights @ (y - found.weights @ y) ** 2) / s.s
        if y.any()
        else 0.0
    )
    own = (np.log2(d.size) + 40 + 16 * spread) * HALF_ULP + 2 * root
    law = _law(s)
    W = float(solved(s).at_s.rounding)
    divergence = min(s.s, float(-np.log(law.mass[0])))
    return Comparison(
        np.array([found.value, found.divergence]),
        np.array([p.inverse_rate, divergence]),
        np.array([own + W, 2 * own + 4 * HALF_ULP]) * np.array([p.inverse_rate, divergence]),
        np.array([p.inverse_rate, divergence]),
    )


def compare_facts(s: FiniteLawSetting, p: RatePrediction, rows: Rows) -> Enclosures:
    """(J(l)+s)/l - Iinv(s) >= 0 at many l, the predicted tilt among them, Iinv(s) <= L - m, and by balls alone: J convex, J' rising,
    G = l J' - J rising, Iinv concave and rising."""
    tilts, J, _, fixed = exact_facts(s.losses.tobytes(), s.weights.tobytes(), s.s)
    known = solved(s)
    with ctx.workdps(40):
        # rounding of the predicted value, at its derived width, is not a violation
        value = arb(p.inverse_rate) * (1 - arb(float(known.at_s.rounding)))
        slack = [(a + arb(s.s)) / arb(t) - value for t, a in zip(tilts, J, strict=True)]
        slack += [arb(float(known.law.gap[0])) * (1 + arb(2) ** -46) - value, *fixed]
        low, high = (np.array([float(getattr(x, end)()) for x in slack]) for end in ("lower", "upper"))
        return Enclosures(low, high, 1e-20 * float(np.abs(low).max()))


@lru_cache(maxsize=256)
def exact_facts(losses: bytes, weights: bytes, s: float) -> tuple[list[float], list[arb], list[arb], list[arb]]:
    """Tilts, J and J' there, and the slacks that do not depend on a prediction."""
    setting = FiniteLawSetting(np.frombuffer(losses), np.frombuffer(weights), s)
    law, known = law_of(setting), solved(setting)
    tilts = [known.tilt * f for f in (0.1, 0.4, 1.0, 3.0, 10.0, 100.0)]
    best = float(known.at_s.tilt)
    tilts += [best * (1 + h) for h in (-1e-3, 0.0, 1e-3)] if np.isfinite(best) else [1e9 / float(known.law.gap[0])]
    tilts.sort()
    with ctx.workdps(40):
        J = [cgf_ball(law, t, 40) for t in tilts]
        slopes = [slope_ball(law, t, 40) for t in tilts]
        divergences = [arb(t) * b - a for t, a, b in zip(tilts, J, slopes, strict=True)]
        fixed = [b - a for a, b in pairwise(divergences)] + [b - a for a, b in pairwise(slopes)]
        # J lies above its tangents
        points = list(zip(tilts, J, slopes, strict=True))
        fixed += [b - a - (arb(v) - arb(u)) * slope for (u, a, slope), (v, b, _) in pairwise(points)]
        inverse = [inverse_rate_ball(law, s * f, 40) for f in (0.5, 1.0, 1.5)]
        fixed += [2 * inverse[1] - inverse[0] - inverse[2], inverse[2] - inverse[1]]
    return tilts, J, slopes, fixed


def settings(count: int) -> tuple[FiniteLawSetting, ...]:
    found = []
    for index in range(count):
        drawn = sample(generator(4, "pb.cramer", index))
        found.append(replace(drawn, s=max(drawn.s, 1e-8)))
    return tuple(found)


QUICK, FULL = settings(12), settings(120)


def _wrong(function: Any) -> dict[str, Any]:
    return {"predict": lambda s: replace(predict(s), inverse_rate=float(function(s)))}


CHECKS = (
    Check(
        "finite laws: the shipped inverse rate, rate and generating function are the tilted law's",
        FORMULA,
        controls=(
            Control("Gaussian rate sqrt(2 Var s)", _mutant("inverse", lambda s: np.sqrt(2 * _law(s).variance[0] * s.s))),
            Control("upper tail in place of the lower", _mutant("inverse", lambda s: inverse_rate(-s.losses, s.s, weights=s.weights).value)),
            Control("s for 2 s", _mutant("inverse", lambda s: inverse_rate(s.losses, s.s / 2, weights=s.weights).value)),
            Control("weights ignored", _mutant("inverse", lambda s: inverse_rate(s.losses, s.s).value)),
            Control("saturation ignored: the last finite tilt", _mutant("inverse", lambda s: (cumulants(_law(s), np.array([20 / _law(s).gap[0]])).value[0] + s.s) / (20 / _law(s).gap[0]))),
            Control("second-order rate a^2/(2 Var)", _mutant("rate", lambda s: arguments(s)[0] ** 2 / (2 * _law(s).variance[0]))),
            Control("sign of the third cumulant", _mutant("cgf", lambda s: cumulants(FiniteLaw(-s.losses, s.weights), np.array([arguments(s)[1]])).value[0])),
            Control("slope at half the tilt", _mutant("slope", lambda s: cumulants(_law(s), np.array([arguments(s)[1] / 2])).slope[0])),
        ),
    ),
    Check(
        "finite laws: inverse rate = worst reweighting (DRO dual)",
        Agreement("rounding"),
        settings=ByBudget(quick=QUICK, standard=FULL),
        compare=compare_dual,
        controls=(
            Control("Gaussian rate sqrt(2 Var s)", _wrong(lambda s: np.sqrt(2 * _law(s).variance[0] * s.s))),
            Control("s for 2 s", _wrong(lambda s: inverse_rate(s.losses, s.s / 2, weights=s.weights).value)),
        ),
    ),
    Check(
        "finite laws: convexity, monotonicity, and no tilt does better",
        Inequality(),
        settings=ByBudget(quick=QUICK[:8], standard=FULL),
        compare=compare_facts,
        controls=(
            Control("one percent more", _wrong(lambda s: 1.01 * predict(s).inverse_rate)),
            Control("the unsaturated Gaussian rate", _wrong(lambda s: 1.0001 * np.sqrt(2 * _law(s).variance[0] * s.s))),
        ),
    ),
)  # fmt: skip
