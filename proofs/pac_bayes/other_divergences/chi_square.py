"""Chi-square and power divergences: E_Q |r - rh| <= (M/delta)^(1/q) (E_P (dQ/dP)^p)^(1/p), with nothing but a moment assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from flint import arb, ctx

from ....numerics.bounds.renyi import chi_square, power_divergence
from ....numerics.claims import Coverage, FloatArray, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import FUBINI, HOLDER, INDEPENDENCE, JENSEN, MARKOV
from ....theory.balls.divergences import chi_square_width_ball, power_width_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.other_divergences import FDIV
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import OUTCOMES, PRIOR, compositions, count_probability, world_b
from ..time_uniform_worlds import REAL_LOSSES

HALF_ULP = 2.0**-53
N = 12


@dataclass(frozen=True)
class MomentSetting:
    """Empirical Gibbs risk, the divergence (chi-square: chi2; power: (E_P (dQ/dP)^p)^(1/p)), the moment (chi-square: variance; power:
    E_S E_P |r - rh|^q), n (chi-square only), ln(1/delta), the form and the order p of a power."""

    risk: float
    divergence: float
    moment: float
    n: int
    log_inv_delta: float
    form: Literal["chi-square", "power"] = "chi-square"
    order: float = 2.0

    def __post_init__(self) -> None:
        finite("risk", self.risk), sample_size("n", self.n), log_inverse_delta(log_inv_delta=self.log_inv_delta)
        non_negative("divergence", self.divergence), non_negative("moment", finite("moment", self.moment))
        if self.form not in ("chi-square", "power") or float(finite("order", self.order)) <= 1:
            raise InvalidInput(f"form {self.form!r}, order {self.order!r}.", "The order is above 1.")


@dataclass(frozen=True)
class MomentPrediction:
    """Both sides of the bound on the true Gibbs risk."""

    upper: float
    lower: float


# --- derivation ---------------------------------------------------------------------------------------------------


def chi_square_is_a_second_moment() -> list[tuple[Any, Any]]:
    import sympy

    p1, p2, q1 = sympy.symbols("p1 p2 q1", positive=True)
    # on two points with masses normalised: E_P (dQ/dP - 1)^2 = E_P (dQ/dP)^2 - 1
    mass, q2 = p1 + p2, p1 + p2 - q1
    chi2 = (p1 * (q1 / p1 - 1) ** 2 + p2 * (q2 / p2 - 1) ** 2) / mass
    return [(chi2, (q1**2 / p1 + q2**2 / p2) / mass - 1)]


def variance_of_a_mean() -> list[tuple[Any, Any]]:
    import sympy

    x, y, z = sympy.symbols("x y z", real=True)  # centred losses
    square = sympy.expand(((x + y + z) / 3) ** 2)
    # cross terms have mean 0 by independence
    return [(square.subs({x * y: 0, x * z: 0, y * z: 0}), (x**2 + y**2 + z**2) / 9)]


DERIVATION = (
    Axiom(HOLDER, "E_Q |r - rh| = E_P (dQ/dP) |r - rh| <= (E_P (dQ/dP)^p)^(1/p) (E_P |r - rh|^q)^(1/q), equality at dQ/dP ~ |r - rh|^(q-1)"),
    Axiom(FUBINI, "P does not depend on the sample: E_S E_P |r - rh|^q = E_P E_S |r - rh|^q <= M"),
    Axiom(MARKOV, "E_P |r - rh|^q <= M/delta with probability at least 1-delta, for all Q at once"),
    Axiom(JENSEN, "|r_Q - rh_Q| <= E_Q |r - rh|"),
    Algebra("p = 2: E_P (dQ/dP)^2 = 1 + chi2(Q||P)", chi_square_is_a_second_moment, (("p1", 0.2, 0.8), ("p2", 0.2, 0.8), ("q1", 0.1, 0.3))),
    Axiom(INDEPENDENCE, "cross terms of the square of a mean of n independent centred losses vanish"),
    Algebra("so E_S (r - rh)^2 = Var/n (three examples written out)", variance_of_a_mean),
)  # fmt: skip

# --- prediction and formula ---------------------------------------------------------------------------------------


def _certificate(s: MomentSetting, **changes: Any) -> Any:
    given = {"risk": s.risk, "log_inv_delta": s.log_inv_delta}
    if s.form == "chi-square":
        return chi_square(**{**given, "chi2": s.divergence, "variance": s.moment, "n": s.n, **changes})
    return power_divergence(**{**given, "density_norm": s.divergence, "moment": s.moment, "order": s.order, **changes})


def predict(s: MomentSetting) -> MomentPrediction:
    found = _certificate(s)
    return MomentPrediction(found.value, found.lower)


def sample(rng: np.random.Generator) -> MomentSetting:
    chi = rng.random() < 0.5
    divergence = 10 ** rng.uniform(-2, 3) if chi else 1 + 10 ** rng.uniform(-2, 2)
    risk, moment, level = 10 ** rng.uniform(-2, 1), 10 ** rng.uniform(-3, 1), 10 ** rng.uniform(-1, 1.3)
    form: Literal["chi-square", "power"] = "chi-square" if chi else "power"
    return MomentSetting(float(risk), float(divergence), float(moment), int(10 ** rng.uniform(0, 6)), float(level), form, float(rng.uniform(1.2, 4)))  # fmt: skip


def _exact(s: MomentSetting, side: int) -> Any:
    if s.form == "chi-square":
        found = chi_square_width_ball(s.divergence, s.moment, s.n, s.log_inv_delta)
    else:
        found = power_width_ball(s.divergence, s.order, s.moment, s.log_inv_delta)
    with ctx.workdps(60):
        return arb(s.risk) + side * found


def width(s: MomentSetting) -> float:
    """chi-square: five roundings by one ulp, an exponential by two. power: the exponent (ln M + ln 1/delta)/q is off by eight ulps of the
    sum of the terms' sizes, which the exponential turns into a relative error; then five ulps. Relative to |risk +- width|, which the
    lower side can make small: divide by it."""
    upper = float(_exact(s, 1).mid())
    rounding = 16.0 if s.form == "chi-square" else 16 * (abs(math.log(s.moment)) + s.log_inv_delta) + 12
    return (rounding + 4) * HALF_ULP * max(1.0, (upper - s.risk) / upper)


UPPER = Formula(
    expression=lambda s: _exact(s, 1), shipped=lambda s: _certificate(s).value, read=lambda p: p.upper, sample=sample, width=width, side="upper", count=120
)  # fmt: skip
LOWER = replace(
    UPPER,
    expression=lambda s: _exact(s, -1),
    shipped=lambda s: _certificate(s).lower,
    read=lambda p: p.lower,
    width=lambda s: width(s) * (1 + 2 * abs(float(_exact(s, 1).mid())) / abs(float(_exact(s, -1).mid()))),
    side="lower",
)


def _upper(function: Any) -> dict[str, Any]:
    return {"claim": replace(UPPER, shipped=function)}


def _only(form: str, other: Any) -> dict[str, Any]:
    return _upper(lambda s: s.risk + other(s) if s.form == form else _certificate(s).value)


def _root(s: MomentSetting, level: float, inside: float) -> float:
    return math.sqrt(s.moment / s.n * inside) * math.exp(level)


# --- exact failure probabilities ----------------------------------------------------------------------------------


def deviations() -> tuple[FloatArray, FloatArray]:
    """World C, n = 12: probability of every sample, and r - rh of every predictor."""
    counts = compositions(N, 4)
    return count_probability(counts, OUTCOMES), REAL_LOSSES @ OUTCOMES - counts @ REAL_LOSSES.T / N


def compare_world_c(s: MomentSetting, p: MomentPrediction, rows: Rows, *, cheaper: float = 1.0) -> Coverage:
    """M by enumeration against what is declared, and how often the shipped certificate misses at the worst posteriors of a sample:
    dQ/dP ~ (r - rh)+^(q-1) and ~ (r - rh)-^(q-1), rh taken as 0 (only the difference matters)."""
    probability, gap = deviations()
    q = s.order / (s.order - 1)
    if s.form == "chi-square":
        variance = float(PRIOR @ (REAL_LOSSES**2 @ OUTCOMES - (REAL_LOSSES @ OUTCOMES) ** 2))
        declared, constant = variance * cheaper, variance * cheaper / N
    else:
        declared = constant = float(probability @ (np.abs(gap) ** q @ PRIOR)) * cheaper
    broken = 0.0
    for weight, row in zip(probability, gap, strict=True):
        missed = False
        for sign in (1, -1):
            density = np.maximum(sign * row, 0.0) ** (q - 1)
            if not density.any():
                continue
            density = density / (PRIOR @ density)
            norm = float((PRIOR @ density**s.order) ** (1 / s.order))
            found = _certificate(
                replace(
                    s,
                    risk=0.0,
                    n=N,
                    moment=declared,
                    divergence=norm**2 - 1 if s.form == "chi-square" else max(1.0, norm),
                )
            )
            missed |= not found.lower <= float((PRIOR * density) @ row) <= found.value
        broken += float(weight) * missed
    return Coverage(math.exp(-s.log_inv_delta), float(probability @ (np.abs(gap) ** q @ PRIOR)), constant, broken)


def compare_world_c_half(s: MomentSetting, p: MomentPrediction, rows: Rows) -> Coverage:
    return compare_world_c(s, p, rows, cheaper=0.5)


def compare_world_b(s: MomentSetting, p: MomentPrediction, rows: Rows, *, dropped: bool = False) -> Coverage:
    """Sixteen fair coins, Q uniform over those farthest from 1/2: 1 + chi2 = 16/their number."""
    world = world_b()
    far = np.where(np.isfinite(world.log_prior), np.abs(world.empirical - 0.5), -np.inf)
    kind = far.argmax(axis=1)
    number = np.rint(16 * np.exp(np.take_along_axis(world.log_prior, kind[:, None], axis=1)[:, 0])).astype(int)
    broken = 0.0
    for k in range(world.n + 1):
        for m in range(1, 17):
            chi2 = 0.0 if dropped else 16 / m - 1
            found = chi_square(risk=k / world.n, chi2=chi2, variance=0.25, n=world.n, log_inv_delta=s.log_inv_delta)
            if not (found.lower or 0.0) <= 0.5 <= found.value:
                broken += float(world.probability[(kind == k) & (number == m)].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=broken)


def compare_world_b_dropped(s: MomentSetting, p: MomentPrediction, rows: Rows) -> Coverage:
    return compare_world_b(s, p, rows, dropped=True)


LEVEL = math.log(10)

CHECKS = (
    Check(
        "the shipped certificates are the last steps, rounded upward",
        UPPER,
        controls=(
            Control("1/delta^2 for 1/delta", _only("chi-square", lambda s: _root(s, s.log_inv_delta, 1 + s.divergence))),
            Control("chi2 for 1 + chi2", _only("chi-square", lambda s: _root(s, s.log_inv_delta / 2, s.divergence))),
            Control("n + 1 for n", _only("chi-square", lambda s: _root(s, s.log_inv_delta / 2, (1 + s.divergence) * s.n / (s.n + 1)))),
            Control("ln(1/delta) for 1/delta", _only("chi-square", lambda s: math.sqrt(s.moment / s.n * (1 + s.divergence) * s.log_inv_delta))),
            Control("the exponent 1/p for 1/q", _only("power", lambda s: s.divergence * (s.moment * math.exp(s.log_inv_delta)) ** (1 / s.order))),
            Control("delta outside the root", _only("power", lambda s: s.divergence * s.moment ** (1 - 1 / s.order) * math.exp(s.log_inv_delta))),
            Control("power: density dropped", _only("power", lambda s: (s.moment * math.exp(s.log_inv_delta)) ** (1 - 1 / s.order))),
        ),
    ),
    Check(
        "the shipped lower sides are the last steps, rounded downward",
        LOWER,
        controls=(Control("delta halved for two sides", {"claim": replace(LOWER, shipped=lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)).lower)}),),
    ),
    Check(
        "world C, real losses: exact moment and failure probability at the worst posteriors",
        HighProbabilityBound(),
        settings=ByBudget(quick=(MomentSetting(0.0, 0.0, 1.0, N, LEVEL), MomentSetting(0.0, 1.0, 1.0, N, LEVEL, "power", 3.0))),
        compare=compare_world_c,
        controls=(Control("half of the moment", {"compare": compare_world_c_half}),),
    ),
    Check(
        "world B: the shipped certificate for the best in hindsight",
        HighProbabilityBound(),
        settings=ByBudget(quick=(MomentSetting(0.0, 0.0, 0.25, 6, math.log(5)),)),
        compare=compare_world_b,
        controls=(Control("divergence dropped", {"compare": compare_world_b_dropped}),),
    ),
)  # fmt: skip

RESULT = Result(
    FDIV,
    predict=predict,
    example=MomentSetting(0.3, 2.0, 1.5, 10_000, float(-np.log(0.05))),
    checks=CHECKS,
    derivation=DERIVATION,
)
