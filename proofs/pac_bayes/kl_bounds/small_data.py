"""What no generic PAC-Bayes bound can reach: UP(rh_Q, (K + ln(1/delta))/n), which is itself no bound."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.catoni import catoni
from ....numerics.bounds.catoni_grid import catoni_continuous, catoni_grid, catoni_uniform
from ....numerics.bounds.envelope import small_data_envelope
from ....numerics.bounds.mcallester import EVENTS, mcallester
from ....numerics.bounds.pbb import pbb
from ....numerics.bounds.relaxations import quad, thiemann_lambda
from ....numerics.bounds.seeger import seeger_kl
from ....numerics.bounds.time_uniform import kl_anytime
from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE, JENSEN
from ....theory.balls.catoni import envelope_ball
from ....theory.balls.kl import binary_kl_ball
from ....theory.balls.seeger import complexity_ball
from ....theory.derivation import Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import SMALL_DATA
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..foundations import change_of_measure
from . import catoni as catoni_bound
from . import relaxations
from .relaxations import DIGITS, HALF_ULP, control, enclosures, plain


@dataclass(frozen=True)
class SmallDataSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), and a parameter for Catoni's bounds."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    beta: float = 1.0

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not finite("beta", self.beta) > 0:
            raise InvalidInput(f"beta is {self.beta}.", "It is positive.")


@dataclass(frozen=True)
class SmallDataPrediction:
    """The envelope, rounded down, and every bound of BOUNDS, not clipped at 1."""

    envelope: float
    bounds: NDArray[np.float64]


@dataclass(frozen=True)
class GenericSetting:
    """A number of examples, a fraction q and a probability p in (0, 1), and the name of a distance D (see DISTANCES)."""

    n: int
    q: float
    p: float
    distance: str

    def __post_init__(self) -> None:
        sample_size("n", self.n), unit_interval("q", self.q), unit_interval("p", self.p)
        if self.distance not in DISTANCES:
            raise InvalidInput(f"distance is {self.distance!r}.", f"Choose one of {tuple(DISTANCES)}.")


@dataclass(frozen=True)
class GenericPrediction:
    """How many times ln(I_D(n))/n the claim allows D to exceed kl by: once."""

    times: float


# distances D(q,p), convex in q, on balls
DISTANCES: dict[str, Callable[[arb, arb], arb]] = {
    "2 (p-q)^2": lambda q, p: 2 * (p - q) ** 2,
    "9 (p-q)^2": lambda q, p: 9 * (p - q) ** 2,
    "(p-q)^2/(2p)": lambda q, p: (p - q) ** 2 / (2 * p),
    "Catoni, beta = 2": lambda q, p: -(1 - p + p * arb(-2).exp()).log() - 2 * q,
    "Catoni, beta = -1": lambda q, p: -(1 - p + p * arb(1).exp()).log() + q,
    "p - q": lambda q, p: p - q,
}

# every bound of the package that is a function of the empirical Gibbs risk, KL, n and delta alone
BOUNDS: dict[str, Callable[..., Any]] = {
    "seeger_kl": lambda s: seeger_kl(**plain(s)),
    "seeger_kl, 2sqrt": lambda s: seeger_kl(**plain(s), constant="2sqrt"),
    **{f"mcallester, {name}": lambda s, c=name: mcallester(**plain(s), constant=c) for name in EVENTS},
    "quad": lambda s: quad(**plain(s)),
    "thiemann_lambda": lambda s: thiemann_lambda(**plain(s)),
    "thiemann_lambda at 1": lambda s: thiemann_lambda(**plain(s), lam=1.0),
    "catoni": lambda s: catoni(**plain(s), beta=s.beta),
    "catoni_grid": lambda s: catoni_grid(**plain(s), betas=(s.beta, 2 * s.beta)),
    "catoni_continuous": lambda s: catoni_continuous(**plain(s)),
    "catoni_uniform": lambda s: catoni_uniform(**plain(s)),
    "catoni_uniform at beta": lambda s: catoni_uniform(**plain(s), beta=s.beta),
    "kl_anytime": lambda s: kl_anytime(**plain(s)),
    "pbb": lambda s: pbb(**plain(s), draws=10**9, draws_log_inv_delta=3.0),
}

# --- derivation ---------------------------------------------------------------------------------------------------

DERIVATION = (
    Uses(change_of_measure.RESULT, "on samples: with mu = n draws of Bernoulli(p), nu = n draws of Bernoulli(q) and f = n D(k/n,p), E_nu f <= KL(nu||mu) + ln E_mu e^f"),
    Axiom(CHAIN_RULE, "KL(nu||mu) = n kl(q||p)"),
    Axiom(JENSEN, "D(q,p) = D(E_nu k/n, p) <= E_nu D(k/n,p): so D(q,p) <= kl(q||p) + ln(I_D(n))/n; and wherever kl(q||p) <= (K + ln(1/delta))/n the bound does not exclude p"),
    Uses(catoni_bound.RESULT, "Catoni's bound is of this kind, with I_D(n) = 1, and its best value over beta is UP(q, (K + ln(1/delta))/n)"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SmallDataSetting) -> SmallDataPrediction:
    return SmallDataPrediction(small_data_envelope(**plain(s)), np.array([bound(s).raw for bound in BOUNDS.values()]))


def predict_generic(s: GenericSetting) -> GenericPrediction:
    return GenericPrediction(1.0)


# --- checks -------------------------------------------------------------------------------------------------------


# the complexity is rounded down by at most 5 half-ulps, and the inverse, which is up to 12 above its own, by 14
ENVELOPE = Formula(
    expression=lambda s: envelope_ball(**plain(s)),
    shipped=lambda s: small_data_envelope(**plain(s)),
    read=lambda p: p.envelope,
    sample=relaxations.sample,
    width=lambda s: (5 + 14 + 12) * HALF_ULP,
    side="lower",
    count=100,
)


def predict_envelope(s: Any) -> SmallDataPrediction:
    return SmallDataPrediction(small_data_envelope(**plain(s)), np.zeros(0))


def compare_with_envelope(s: SmallDataSetting, p: SmallDataPrediction, rows: Rows) -> Enclosures:
    with ctx.workdps(DIGITS):
        envelope = envelope_ball(**plain(s), digits=DIGITS)
        return enclosures([arb(float(value)) - envelope for value in p.bounds])


def _only(wrong: Callable[[SmallDataSetting], float]) -> dict[str, Any]:
    """A wrong bound among the predictions."""
    return {"predict": lambda s: SmallDataPrediction(0.0, np.array([wrong(s)]))}


def half_complexity(s: SmallDataSetting) -> float:
    """The quadratic form with (K + ln(xi(n)/delta))/(2n) in place of /n, which is found in code as an objective."""
    c = float(complexity_ball(s.kl, s.n, s.log_inv_delta, digits=20).mid()) / 2
    return s.risk + c + math.sqrt(c * c + 2 * s.risk * c)


def compare_exponents(s: SmallDataSetting, p: SmallDataPrediction, rows: Rows, *, power: float = 1.0) -> Enclosures:
    """(K + ln(n/delta))/(n-1), as in pb.pbc, minus (K + ln(xi(n)/delta))/n: the price of the exponent n-1, for n >= 2."""
    with ctx.workdps(DIGITS):
        c = complexity_ball(s.kl, s.n, s.log_inv_delta, digits=DIGITS)
        dear = (arb(s.kl) + arb(s.log_inv_delta) + power * arb(s.n).log()) / (s.n - 1)
        return enclosures([dear - c])


def compare_root_of_n(s: SmallDataSetting, p: SmallDataPrediction, rows: Rows) -> Enclosures:
    return compare_exponents(s, p, rows, power=0.5)


def compare_generic(s: GenericSetting, p: GenericPrediction, rows: Rows) -> Enclosures:
    """kl(q||p) + ln(E e^{n D(k/n,p)})/n - D(q,p), the moment as a sum over k at this very p (which is at most its supremum over p)."""
    with ctx.workdps(DIGITS):
        probability, distance = arb(s.p), DISTANCES[s.distance]
        moment = arb(0)
        for k in range(s.n + 1):
            chance = math.comb(s.n, k) * probability**k * (1 - probability) ** (s.n - k)
            moment += chance * (s.n * distance(arb(k) / s.n, probability)).exp()
        kl = binary_kl_ball(s.q, s.p, digits=DIGITS)
        return enclosures([kl + p.times * moment.log() / s.n - distance(arb(s.q), probability)])


def _settings(count: int) -> tuple[SmallDataSetting, ...]:
    """Betas near the best in hindsight, where Catoni's bounds come closest."""
    drawn = catoni_bound.near_the_best(count)
    extreme = (
        SmallDataSetting(0.0, 0.0, 2, 0.5),
        SmallDataSetting(0.0, 5.0, 1000, 3.0, 5.0),
        SmallDataSetting(0.5, 0.0, 10**6, 30.0, 0.02),
    )
    return (*extreme, *(SmallDataSetting(**plain(s), beta=s.beta) for s in drawn))


def _exponents(count: int) -> tuple[SmallDataSetting, ...]:
    rng = generator(1, "pb.smalldata")
    sizes = [2, 3, 4, 5, 10, 100, *(int(10 ** rng.uniform(1, 7)) for _ in range(count))]
    return tuple(
        SmallDataSetting(0.1, float(10 ** rng.uniform(-3, 3)), n, float(10 ** rng.uniform(-1, 2))) for n in sizes
    )


def _generic(count: int) -> tuple[GenericSetting, ...]:
    rng = generator(2, "pb.smalldata")
    return tuple(
        GenericSetting(int(rng.integers(1, 25)), float(rng.uniform()), float(rng.uniform(0.02, 0.98)), name)
        for name in DISTANCES
        for _ in range(count)
    )


CHECKS = (
    Check(
        "the shipped envelope is UP(q, (K + ln(1/delta))/n), rounded downward",
        ENVELOPE,
        predict=predict_envelope,
        controls=(
            control("ln(xi(n)/delta) for ln(1/delta)", ENVELOPE, lambda s: seeger_kl(**plain(s)).value),
            control("K dropped", ENVELOPE, lambda s: small_data_envelope(**{**plain(s), "kl": 0.0})),
            control("rounded upward", ENVELOPE, lambda s: small_data_envelope(**plain(s)) * (1 + 2.0**-48)),
        ),
    ),
    Check(
        "no bound of the package lies below the envelope",
        Inequality(),
        settings=ByBudget(quick=_settings(8), full=lambda: _settings(300)),
        compare=compare_with_envelope,
        controls=(
            Control("(K + ln(xi(n)/delta))/(2n) in the quadratic form", _only(half_complexity)),
            Control("Catoni's bound without ln(1/delta)", _only(lambda s: catoni(**{**plain(s), "log_inv_delta": 1e-9}, beta=s.beta).raw)),
            Control("half of K", _only(lambda s: catoni(**{**plain(s), "kl": s.kl / 2}, beta=s.beta).raw)),
            Control("two n for n", _only(lambda s: seeger_kl(**{**plain(s), "n": 2 * s.n}).raw)),
        ),
    ),
    Check(
        "(K + ln(n/delta))/(n-1) is never below (K + ln(xi(n)/delta))/n, n >= 2",
        Inequality(),
        settings=ByBudget(quick=_exponents(20), full=lambda: _exponents(500)),
        compare=compare_exponents,
        predict=predict_envelope,
        controls=(Control("sqrt(n) for n", {"compare": compare_root_of_n}),),
    ),
    Check(
        "D(q,p) <= kl(q||p) + ln(I_D(n))/n for six distances",
        Inequality(),
        settings=ByBudget(quick=_generic(5), full=lambda: _generic(100)),
        compare=compare_generic,
        predict=predict_generic,
        controls=(
            Control("ln(I_D(n)) left out", {"predict": lambda s: GenericPrediction(0.0)}),
            Control("half of ln(I_D(n))", {"predict": lambda s: GenericPrediction(0.5)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    SMALL_DATA,
    predict=predict,
    example=SmallDataSetting(0.02, 5.0, 200, float(-np.log(0.05))),
    checks=CHECKS,
    uses=(change_of_measure.RESULT, catoni_bound.RESULT),
    derivation=DERIVATION,
    notebook="03_which_bound_should_i_use",
)
