"""PAC-Bayes with Wasserstein distances: Lipschitz losses, priors off their part of the sample, and no KL."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from scipy.stats import binom

from ....numerics.bounds.wasserstein import FORMS, wasserstein
from ....numerics.claims import Coverage, FloatArray, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import CHERNOFF, CONDITIONING, INDEPENDENCE, JENSEN, KANTOROVICH, LINEARITY, UNION
from ....theory.balls.wasserstein import wasserstein_ball
from ....theory.derivation import Algebra, Axiom
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.other_divergences import WASSERSTEIN
from ....theory.validation import finite, float_array, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import world_b
from ..time_uniform.supermartingale import hoeffding, second_moment

HALF_ULP = 2.0**-53
Form = Literal["bounded", "second moment"]


@dataclass(frozen=True)
class DistanceSetting:
    """Empirical Gibbs risk, distance W(Q,P_i) and number of examples of each part, Lipschitz constant, ln(1/delta), and the form."""

    risk: float
    distances: FloatArray
    sizes: FloatArray
    lipschitz: float
    log_inv_delta: float
    form: Form = "bounded"

    def __post_init__(self) -> None:
        distances = non_negative("distances", float_array("distances", self.distances, ndim=1))
        sizes = np.array([sample_size("sizes", m) for m in float_array("sizes", self.sizes, ndim=1)], dtype=np.float64)
        if distances.shape != sizes.shape or not sizes.size or self.form not in FORMS:
            raise InvalidInput(
                "distances and sizes do not belong together.", f"One for each part; form is one of {FORMS}."
            )
        object.__setattr__(self, "distances", distances)
        object.__setattr__(self, "sizes", sizes)
        non_negative("risk", finite("risk", self.risk)), non_negative("lipschitz", finite("lipschitz", self.lipschitz))
        log_inverse_delta(log_inv_delta=self.log_inv_delta)


@dataclass(frozen=True)
class DistancePrediction:
    """The upper bound on the true Gibbs risk, before it is clipped."""

    upper: float


# --- derivation ---------------------------------------------------------------------------------------------------


def best_rate() -> list[tuple[Any, Any]]:
    import sympy

    m, level, half, x, n = sympy.symbols("m t v l n", positive=True)
    # ln P(gen >= a) <= m v l^2/2 - m l a for every l; a = sqrt(2 v t/m) at l = a/v makes it -t (v = 1/4: Hoeffding; v = 1: second moment)
    a = sympy.sqrt(2 * half * level / m)
    exponent = m * half * x**2 / 2 - m * x * a
    weighted = m / n * a
    return [
        (sympy.diff(exponent, x).subs(x, a / half), sympy.Integer(0)),
        (exponent.subs(x, a / half), -level),
        (weighted.subs(half, sympy.Rational(1, 4)), sympy.sqrt(m * level / (2 * n**2))),
        (weighted.subs(half, 1), sympy.sqrt(2 * m * level / n**2)),
    ]


def gaussian_coupling() -> list[tuple[Any, Any]]:
    import sympy

    m, m0 = sympy.symbols("m m0", real=True)
    s, s0 = sympy.symbols("s s0", positive=True)
    z = sympy.Symbol("z", real=True)
    # x = m + s z and x0 = m0 + s0 z with one z ~ N(0,1): E z = 0, E z^2 = 1
    square = sympy.expand((m + s * z - m0 - s0 * z) ** 2)
    mean = square.coeff(z, 0) + square.coeff(z, 2)
    return [(mean, (m - m0) ** 2 + (s - s0) ** 2)]


DERIVATION = (
    Axiom(LINEARITY, "r_Q - rh_Q is the sum of m_i/n times E_Q gen_i, gen_i(h) = r(h) - rh_i(h) on part i; r and rh_i are L-Lipschitz, gen_i is 2L-Lipschitz"),
    Axiom(KANTOROVICH, "E_Q gen_i <= E_{P_i} gen_i + 2 L W(Q, P_i), for all Q at once"),
    Axiom(CONDITIONING, "given the examples outside part i the prior P_i is a constant and part i is an i.i.d. sample"),
    Axiom(INDEPENDENCE, "E_{P_i} gen_i is a mean of m_i independent centred variables X = E_{P_i}(r - loss)"),
    Axiom(JENSEN, "E_{P_i} loss lies in [0, 1] with the loss, and (E_{P_i} loss)^2 <= E_{P_i} loss^2"),
    Algebra("bounded: ln E e^{l X} <= l^2/8", hoeffding, (("l", 0.1, 3), ("p", 0.1, 0.9))),
    Algebra("second moment at most 1: ln E e^{l X} <= l^2/2", second_moment),
    Axiom(CHERNOFF, "P(E_{P_i} gen_i >= a) <= exp(m_i (v l^2/2 - l a)), v = 1/4 or 1"),
    Algebra("at the best l, with level ln(T/delta): a = sqrt(2 v ln(T/delta)/m_i)", best_rate),
    Axiom(UNION, "over the T parts, delta/T each"),
    Axiom(JENSEN, "W1 <= W2, and any coupling bounds W2"),
    Algebra("diagonal Gaussians driven by one normal variable: W2^2 <= |m - m0|^2 + |s - s0|^2", gaussian_coupling),
)  # fmt: skip

# --- prediction and formula ---------------------------------------------------------------------------------------


def _certificate(s: DistanceSetting, **changes: Any) -> float:
    given = {"risk": s.risk, "distances": s.distances, "sizes": s.sizes, "lipschitz": s.lipschitz, "form": s.form}
    return wasserstein(**{**given, "log_inv_delta": s.log_inv_delta, **changes}).raw


def predict(s: DistanceSetting) -> DistancePrediction:
    return DistancePrediction(_certificate(s))


def sample(rng: np.random.Generator) -> DistanceSetting:
    parts = int(rng.integers(1, 6))
    form: Form = FORMS[int(rng.integers(2))]
    sizes = np.floor(10 ** rng.uniform(0.5, 5, parts))
    distances = 10 ** rng.uniform(-3, 1, parts)
    return DistanceSetting(float(rng.random()), distances, sizes, float(10 ** rng.uniform(-2, 0.5)), float(10 ** rng.uniform(-1, 2.5)), form)  # fmt: skip


def _exact(s: DistanceSetting) -> Any:
    factor = Fraction(1, 2) if s.form == "bounded" else Fraction(2)
    return wasserstein_ball(s.risk, s.distances.tolist(), [int(m) for m in s.sizes], s.lipschitz, s.log_inv_delta, factor)  # fmt: skip


FORMULA = Formula(
    expression=_exact,
    shipped=_certificate,
    read=lambda p: p.upper,
    sample=sample,
    # all terms are positive: ln T by 4 half-ulps, then at most seven roundings by 2 each in a row
    width=lambda s: 20 * HALF_ULP,
    side="upper",
    count=120,
)


def variant(s: DistanceSetting, walk: float = 2.0, bounded: float = 0.5, second: float = 2.0, parts: float | None = None, each: float = 1.0) -> float:  # fmt: skip
    n = s.sizes.sum()
    price = s.log_inv_delta + math.log(len(s.sizes) if parts is None else parts)
    factor = bounded if s.form == "bounded" else second
    steps = walk * s.lipschitz * (s.sizes * s.distances).sum() / n
    return float(s.risk + steps + each * np.sqrt(factor * s.sizes * price).sum() / n)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


# --- exact failure probabilities ----------------------------------------------------------------------------------


def compare_world_b(s: DistanceSetting, p: DistancePrediction, rows: Rows, *, dropped: bool = False) -> Coverage:
    """Sixteen fair coins in the discrete metric: 0-1 losses are 1-Lipschitz and W is the total variation. Q is uniform over the coins with the
    fewest errors: W = 1 - their number/16."""
    world = world_b()
    kind = np.isfinite(world.log_prior).argmax(axis=1)
    number = np.rint(16 * np.exp(np.take_along_axis(world.log_prior, kind[:, None], axis=1)[:, 0])).astype(int)
    broken = 0.0
    for k in range(world.n + 1):
        for m in range(1, 17):
            found = _certificate(
                replace(
                    s, risk=k / world.n, distances=np.array([0.0 if dropped else 1 - m / 16]), sizes=np.array([6.0])
                )
            )
            if found < 0.5:
                broken += float(world.probability[(kind == k) & (number == m)].sum())
    return Coverage(math.exp(-s.log_inv_delta), failure=broken)


def compare_world_b_dropped(s: DistanceSetting, p: DistancePrediction, rows: Rows) -> Coverage:
    return compare_world_b(s, p, rows, dropped=True)


def compare_one_network(
    s: DistanceSetting, p: DistancePrediction, rows: Rows, *, bound: Any = _certificate
) -> Coverage:
    """One network, distance 0, losses 0 or c with equal chances (c = 1, or sqrt 2 so that the mean square is 1), binomial sums."""
    n = int(s.sizes.sum())
    top = 1.0 if s.form == "bounded" else math.sqrt(2)
    k = np.arange(n + 1)
    ends = np.array([bound(replace(s, risk=float(i) * top / n)) for i in k])
    return Coverage(math.exp(-s.log_inv_delta), failure=float(binom.pmf(k, n, 0.5)[ends < top / 2].sum()))


def compare_one_network_sixteenth(s: DistanceSetting, p: DistancePrediction, rows: Rows) -> Coverage:
    """A sixteenth of the variance factor."""
    return compare_one_network(s, p, rows, bound=lambda t: variant(t, bounded=1 / 32, second=1 / 8))


ONE = np.zeros(1)

CHECKS = (
    Check(
        "the shipped bound is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("L for 2L", _mutant(lambda s: variant(s, walk=1.0))),
            Control("distances dropped", _mutant(lambda s: variant(s, walk=0.0))),
            Control("bounded: 1/8 for 1/2", _mutant(lambda s: variant(s, bounded=1 / 8))),
            Control("second moment: 1 for 2", _mutant(lambda s: variant(s, second=1.0))),
            Control("no union over the parts", _mutant(lambda s: variant(s, parts=1.0))),
            Control("T + 1 parts paid for", _mutant(lambda s: variant(s, parts=len(s.sizes) + 1.0))),
            Control("concentration dropped", _mutant(lambda s: variant(s, each=0.0))),
            Control("delta halved", _mutant(lambda s: _certificate(s, log_inv_delta=s.log_inv_delta + math.log(2)))),
            Control("the objective risk + W/sqrt(n)", _mutant(lambda s: s.risk + s.distances.sum() / math.sqrt(s.sizes.sum()))),
        ),
    ),
    Check(
        "world B in the discrete metric: exact failure probability for the best in hindsight",
        HighProbabilityBound(),
        settings=ByBudget(quick=(DistanceSetting(0.0, ONE, np.array([6.0]), 1.0, math.log(5)),)),
        compare=compare_world_b,
        controls=(Control("distance dropped", {"compare": compare_world_b_dropped}),),
    ),
    Check(
        "one network: exact failure probability of both forms",
        HighProbabilityBound(),
        settings=ByBudget(quick=tuple(DistanceSetting(0.0, ONE, np.array([100.0]), 1.0, math.log(10), form) for form in FORMS)),
        compare=compare_one_network,
        controls=(Control("a sixteenth of the variance factor", {"compare": compare_one_network_sixteenth}),),
    ),
)  # fmt: skip

RESULT = Result(
    WASSERSTEIN,
    predict=predict,
    example=DistanceSetting(0.1, np.array([0.3, 0.5]), np.array([500.0, 500.0]), 0.1, float(-np.log(0.05))),
    checks=CHECKS,
    derivation=DERIVATION,
)
