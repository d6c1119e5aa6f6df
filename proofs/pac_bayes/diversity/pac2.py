"""PAC2-Bayes: the log-loss of an averaged model is below the mean loss of pairs of models, and pairs cost twice the KL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.pac2 import pac2, pair_log_loss
from ....numerics.bounds.seeger import complexity
from ....numerics.certified import kl_upper, log_maurer_xi
from ....numerics.claims import Coverage, Enclosures, Formula, HighProbabilityBound, Inequality
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.axioms import CHAIN_RULE
from ....theory.balls.jensen import jensen_balls
from ....theory.balls.pac2 import pac2_ball, pair_loss_ball
from ....theory.derivation import Algebra, Axiom, Enclosure, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.diversity import PAC2
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size
from ...result import ByBudget, Check, Control, Result
from ..kl_bounds import seeger
from . import jensen
from .pac2_world import P_MIN, certificate_coverage, compare_pairs

UNIT = 2.0**-53


@dataclass(frozen=True)
class Pac2Setting:
    """Empirical pair log-loss in [0, ln(1/p_min)], KL(rho||P) of one model, n, p_min in (0, 1), ln(1/delta)."""

    risk: float
    kl: float
    n: int
    p_min: float
    log_inv_delta: float

    def __post_init__(self) -> None:
        non_negative("risk", finite("risk", self.risk, ndim=0)), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not 0 < self.p_min < 1 or self.risk > -np.log(self.p_min):
            raise InvalidInput(f"p_min = {self.p_min}, risk = {self.risk}.", "The risk is at most ln(1/p_min).")


@dataclass(frozen=True)
class Pac2Prediction:
    """The bound on CE(rho), and ln xi(n)."""

    upper: float
    log_constant: float


@dataclass(frozen=True)
class PairSetting:
    """Log-losses (models x examples), weights of sum 1, and p_min in (0, 1)."""

    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    p_min: float

    def __post_init__(self) -> None:
        jensen.LossArraySetting(self.losses, self.weights)
        if not 0 < self.p_min < 1:
            raise InvalidInput(f"p_min is {self.p_min}.", "It lies in (0, 1).")


# --- derivation ---------------------------------------------------------------------------------------------------


def pairs_make_the_variance() -> list[tuple[Any, Any]]:
    import sympy

    r, p = sympy.symbols("r1:3", positive=True), sympy.symbols("p1:4", positive=True)
    rho = (*r, 1 - r[0] - r[1])
    mean = sum(w * x for w, x in zip(rho, p, strict=True))
    variance = sum(w * (x - mean) ** 2 for w, x in zip(rho, p, strict=True))
    pairs = sum(a * b * (x - y) ** 2 for a, x in zip(rho, p, strict=True) for b, y in zip(rho, p, strict=True))
    one_sided = sum(a * b * (x * x - x * y) for a, x in zip(rho, p, strict=True) for b, y in zip(rho, p, strict=True))
    return [(pairs / 4, variance / 2), (one_sided / 2, variance / 2)]


def slope_of_the_pair_loss() -> list[tuple[Any, Any]]:
    import sympy

    p, q = sympy.symbols("p q", positive=True)
    loss = (-sympy.log(p) - sympy.log(q)) / 2 - (p - q) ** 2 / 4
    return [
        (sympy.diff(loss, p), -(1 + p * (p - q)) / (2 * p)),
        (loss.subs({p: 1, q: 1}), 0),
        (sympy.expand_log(loss.subs(q, p), force=True), -sympy.log(p)),
    ]


def numerator(p: Any, q: Any) -> Any:
    """1 + p (p - q): positive, so the pair loss falls in p (and, by symmetry, in q)."""
    return 1 + p * (p - q)


SECOND_ORDER = (
    Algebra("the mean of (p - p')^2/4, and that of (p^2 - p p')/2, over pairs is Var_rho(p)/2", pairs_make_the_variance, (("r1", 0.1, 0.5), ("r2", 0.1, 0.5))),
    Uses(jensen.RESULT, "CE(rho) <= E_rho L - E_x Var_rho(p)/(2 m_x^2); for probabilities m_x = 1 will do"),
)  # fmt: skip

DERIVATION = (
    *SECOND_ORDER,
    Algebra("the slope of the pair loss in p is -(1 + p(p - p'))/(2p); at p = p' it is -ln p", slope_of_the_pair_loss),
    Enclosure("1 + p(p - p') >= 0 on the unit square: on [p_min, 1]^2 the pair loss runs from 0 to ln(1/p_min)", numerator, ((0.0, 1.0), (0.0, 1.0))),
    Axiom(CHAIN_RULE, "KL(rho x rho||P x P) = 2 KL(rho||P)"),
    Uses(seeger.RESULT, "for the hypotheses (theta, theta') under P x P and the pair loss divided by ln(1/p_min), at Q = rho x rho"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: Pac2Setting) -> Pac2Prediction:
    span = -float(np.log(s.p_min))
    c = complexity(2 * s.kl, s.n, s.log_inv_delta)
    upper = span * (1 + 8 * UNIT) * float(kl_upper(min(1.0, s.risk / span * (1 + 8 * UNIT)), c))
    return Pac2Prediction(upper, float(log_maurer_xi(s.n)))


def predict_pair(s: PairSetting) -> float:
    return pair_log_loss(s.losses, p_min=s.p_min, weights=s.weights)


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> Pac2Setting:
    p_min = float(10 ** rng.uniform(-6, -0.05))
    share = float(rng.choice([0.0, rng.uniform(0, 0.999), 10 ** rng.uniform(-6, -1)]))
    return Pac2Setting(
        share * -float(np.log(p_min)),
        float(10 ** rng.uniform(-3, 5)),
        int(10 ** rng.uniform(0, 7)),
        p_min,
        float(10 ** rng.uniform(-1, 2.8)),
    )


def width(s: Pac2Setting) -> float:
    """36 half-ulps as for pb.kl, 8 more for the span; the rescaled risk is up by 20 and UP moves by dp/dq, at most 1/q times itself."""
    return (36 + 8 + 2 * 20 + 8 / -np.log(s.p_min)) * UNIT + 20 * UNIT * (s.risk > 0)


def _bound(s: Pac2Setting, **changes: Any) -> float:
    given = {"risk": s.risk, "kl": s.kl, "n": s.n, "p_min": s.p_min, "log_inv_delta": s.log_inv_delta, **changes}
    return pac2(**given).value


FORMULA = Formula(
    expression=lambda s: pac2_ball(s.risk, s.kl, s.n, s.p_min, s.log_inv_delta),
    shipped=_bound,
    read=lambda p: p.upper,
    sample=sample,
    width=width,
    side="upper",
    count=70,
)


def _mutant(function: Any) -> dict[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def wider_range(s: Pac2Setting) -> float:
    """The range of the loss that is not symmetrised: [-(1-pmin)/2, ln(1/pmin) + pmin(1-pmin)/2]."""
    low, high = -(1 - s.p_min) / 2, -np.log(s.p_min) + s.p_min * (1 - s.p_min) / 2
    c = complexity(2 * s.kl, s.n, s.log_inv_delta)
    return low + (high - low) * float(kl_upper((s.risk - low) / (high - low), c))


def sample_pairs(rng: np.random.Generator) -> PairSetting:
    models, examples = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    losses = rng.exponential(size=(models, examples)) * 10 ** rng.uniform(-2, 1)
    return PairSetting(losses, rng.dirichlet(np.full(models, 2.0)), float(10 ** rng.uniform(-4, -0.1)))


def pair_width(s: PairSetting) -> float:
    """Twice the slack that is added, and the error it covers."""
    m = len(s.weights)
    return float((4 * m + 64 + 2 * (m + 20) * predict_pair(s)) * UNIT * 1.5 / predict_pair(s))


PAIRS = Formula(
    expression=lambda s: pair_loss_ball(s.losses.tolist(), s.weights.tolist(), s.p_min),
    shipped=predict_pair,
    read=lambda p: p,
    sample=sample_pairs,
    width=pair_width,
    side="upper",
    count=40,
)


def pair_variant(s: PairSetting, factor: float) -> float:
    """The pair loss with another share of the variance subtracted."""
    clamped = np.clip(s.losses, 0, -np.log(s.p_min))
    p, rho = np.exp(-clamped), s.weights / s.weights.sum()
    return float(np.mean(rho @ clamped - factor * (rho @ (p - rho @ p) ** 2)))


def compare_order(s: PairSetting, p: float, rows: Rows) -> Enclosures:
    """Pair loss - CE of the clamped average >= 0, and ln(1/p_min) - pair loss >= 0: the pair loss as predicted, CE in 50 digits."""
    with ctx.workdps(50):
        clamped = np.clip(s.losses, 0, -np.log(s.p_min))
        ensemble = jensen_balls(clamped.tolist(), s.weights.tolist())[1]
        value = arb(p, pair_width(s) * abs(p))
        found = [value - ensemble, -arb(s.p_min).log() - value, value]
        low, high = (np.array([float(getattr(d, end)()) for d in found]) for end in ("lower", "upper"))
        return Enclosures(low, high, 1e-11)


def pair_settings(count: int) -> tuple[PairSetting, ...]:
    # two models that disagree by turns: there the second order matters most
    crossed = PairSetting(np.array([[0.02, 2.5], [2.5, 0.02]]), np.array([0.5, 0.5]), 0.05)
    return (*(sample_pairs(generator(1, "pb.pac2", i)) for i in range(count)), crossed)


def compare_certificates(s: Pac2Setting, p: Pac2Prediction, rows: Rows) -> Coverage:
    return certificate_coverage(s, _bound)


def compare_plug_in(s: Pac2Setting, p: Pac2Prediction, rows: Rows) -> Coverage:
    return certificate_coverage(s, lambda one: one.risk)


WORLD = ByBudget(quick=(Pac2Setting(0.0, 0.0, 12, P_MIN, float(np.log(10))),))
CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        FORMULA,
        controls=(
            Control("K for 2K", _mutant(lambda s: _bound(s, kl=s.kl / 2))),
            Control("3K for 2K", _mutant(lambda s: _bound(s, kl=s.kl * 1.5))),
            Control("ln xi(n) dropped", _mutant(lambda s: -np.log(s.p_min) * float(kl_upper(s.risk / -np.log(s.p_min), (2 * s.kl + s.log_inv_delta) / s.n)))),
            Control("n - 1 for n", _mutant(lambda s: _bound(s, n=max(1, s.n - 1)))),
            Control("p_min halved", _mutant(lambda s: _bound(s, p_min=s.p_min / 2))),
            Control("range of the loss that is not symmetrised", _mutant(wider_range)),
            Control("not mapped back to nats", _mutant(lambda s: _bound(s) / -np.log(s.p_min))),
        ),
    ),
    Check(
        "the shipped pair loss is the double sum, rounded upward",
        PAIRS,
        predict=predict_pair,
        controls=(
            Control("Var for Var/2", {"claim": replace(PAIRS, shipped=lambda s: pair_variant(s, 1.0))}),
            Control("Var/4 for Var/2", {"claim": replace(PAIRS, shipped=lambda s: pair_variant(s, 0.25))}),
            Control("rounded to nearest", {"claim": replace(PAIRS, shipped=lambda s: pair_variant(s, 0.5))}),
            Control("not clamped", {"claim": replace(PAIRS, shipped=lambda s: pair_log_loss(s.losses, p_min=1e-300, weights=s.weights))}),
        ),
    ),
    Check(
        "CE of the clamped average <= pair loss <= ln(1/p_min)",
        Inequality(),
        settings=ByBudget(quick=pair_settings(8), full=lambda: pair_settings(200)),
        compare=compare_order,
        predict=predict_pair,
        controls=(Control("twice Var subtracted", {"predict": lambda s: pair_variant(s, 2.0)}), Control("the mean loss of the best model", {"predict": lambda s: float(np.clip(s.losses, 0, -np.log(s.p_min)).min(axis=0).mean())})),
    ),
    Check(
        "world A in pairs: exact moment and failure probability",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_pairs,
        controls=(Control("1 in place of xi(n)", {"predict": lambda s: replace(predict(s), log_constant=0.0)}),),
    ),
    Check(
        "world A in pairs: the shipped certificate against the exact log-loss",
        HighProbabilityBound(),
        settings=WORLD,
        compare=compare_certificates,
        controls=(Control("the empirical pair loss for the true one", {"compare": compare_plug_in}),),
    ),
)  # fmt: skip

RESULT = Result(
    PAC2,
    predict=predict,
    example=Pac2Setting(0.42, 3.5, 10_000, 1e-3, float(np.log(20))),
    checks=CHECKS,
    uses=(jensen.RESULT, seeger.RESULT),
    derivation=DERIVATION,
)
