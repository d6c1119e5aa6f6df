"""Catoni's parameter chosen after the data, paid for by a union: over a finite grid, and over every lambda >= 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....numerics.bounds.catoni_grid import catoni_continuous, catoni_grid
from ....numerics.claims import Coverage, Formula, HighProbabilityBound
from ....numerics.store import Rows
from ....theory.axioms import UNION
from ....theory.balls.catoni import catoni_continuous_ball, catoni_grid_ball
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.errors import InvalidInput
from ....theory.statements.pac_bayes.kl_bounds import CATONI_CONTINUOUS, CATONI_GRID
from ....theory.validation import finite, log_inverse_delta, non_negative, sample_size, unit_interval
from ...result import ByBudget, Check, Control, Result
from ..small_worlds import World, failure, moment, world_a
from . import catoni, relaxations
from .catoni import catoni_exponent
from .relaxations import HALF_ULP, control, plain


@dataclass(frozen=True)
class GridSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), and the grid of betas > 0."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    betas: NDArray[np.float64]

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        grid = finite("betas", self.betas, ndim=1)
        if not grid.size or grid.min() <= 0:
            raise InvalidInput("betas is empty or not positive.", "Give the grid that was fixed in advance.")


@dataclass(frozen=True)
class ContinuousSetting:
    """Empirical Gibbs risk in [0, 1], KL(Q||P) in nats, number of examples, ln(1/delta), alpha > 1 and lambda >= 1."""

    risk: float
    kl: float
    n: int
    log_inv_delta: float
    alpha: float
    lam: float

    def __post_init__(self) -> None:
        unit_interval("risk", self.risk), non_negative("kl", self.kl), sample_size("n", self.n)
        log_inverse_delta(log_inv_delta=self.log_inv_delta)
        if not (finite("alpha", self.alpha) > 1 and finite("lam", self.lam) >= 1):
            raise InvalidInput(f"alpha = {self.alpha}, lam = {self.lam}.", "alpha is above 1 and lam at least 1.")


@dataclass(frozen=True)
class UnionPrediction:
    """The upper side, not clipped at 1; and the parameters of the union with the ln(1/weight) that each pays."""

    upper: float
    betas: NDArray[np.float64]
    prices: NDArray[np.float64]


# --- derivation ---------------------------------------------------------------------------------------------------


def telescoping_weights() -> list[tuple[Any, Any]]:
    import sympy

    k, d = sympy.symbols("k d", positive=True)
    n = sympy.Symbol("n", positive=True, integer=True)
    i = sympy.Symbol("i", integer=True)
    partial = sympy.summation(1 / ((i + 1) * (i + 2)), (i, 0, n))
    # with lambda = alpha^{k+d}, ln(alpha^2 lambda)/ln(alpha) = k + d + 2: its square exceeds (k+1)(k+2)
    return [(partial, 1 - 1 / (n + 2)), ((k + d + 2) ** 2 - (k + 1) * (k + 2), (k + 2) * (1 + 2 * d) + d**2)]


def phi_decreases() -> list[tuple[Any, Any]]:
    import sympy

    p, a = sympy.symbols("p a", positive=True)
    f = -sympy.log(1 - p + p * sympy.exp(-a))
    tilted = p * sympy.exp(-a) / (1 - p + p * sympy.exp(-a))
    # f is concave in a and 0 at a = 0, so f(a)/a decreases
    return [(f.subs(a, 0), 0), (sympy.diff(f, a, 2), -tilted * (1 - tilted))]


def rewriting() -> list[tuple[Any, Any]]:
    import sympy

    n, lam, rest, q = sympy.symbols("n l B q", positive=True)
    alpha = sympy.Symbol("alpha", positive=True)
    # Catoni's bound at beta = lambda/n divides what is paid by lambda; with lambda/alpha <= lambda_k <= lambda that is at most alpha/lambda
    return [((lam / n) * (q + alpha / lam * rest), (lam / n) * q + alpha * rest / n)]


GRID_DERIVATION = (
    Uses(catoni.RESULT, "at each beta of the grid with delta/G: ln(G/delta) in place of ln(1/delta)"),
    Axiom(UNION, "G events of probability delta/G; where none happens the bound holds at every beta of the grid, so at the best one"),
)  # fmt: skip
CONTINUOUS_DERIVATION = (
    Uses(catoni.RESULT, "at lambda_k = alpha^k, k = 0, 1, 2, ..., beta = lambda_k/n, with delta/((k+1)(k+2))"),
    Algebra("the weights sum to 1; and (k+1)(k+2) <= (ln(alpha^2 lambda)/ln alpha)^2 for alpha^k <= lambda", telescoping_weights),
    Axiom(UNION, "with probability at least 1-delta the bound holds at every lambda_k at once"),
    Algebra("Phi_a(p) = -ln(1-p+pe^{-a})/a decreases in a, because the numerator is concave and 0 at 0: Phi at lambda is at most Phi at the lambda_k below it", phi_decreases, (("p", 0.1, 0.9), ("a", 0.1, 2.0))),
    Algebra("and 1/lambda_k <= alpha/lambda", rewriting),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict_grid(s: GridSetting) -> UnionPrediction:
    price = np.full(s.betas.size, math.log(s.betas.size))
    return UnionPrediction(catoni_grid(**plain(s), betas=s.betas).raw, s.betas, price)


def predict_continuous(s: ContinuousSetting) -> UnionPrediction:
    found = catoni_continuous(**plain(s), alpha=s.alpha, lam=s.lam).raw
    k = np.arange(math.ceil(math.log(60.0 * s.n) / math.log(s.alpha)) + 1)
    return UnionPrediction(found, s.alpha**k / s.n, np.log((k + 1) * (k + 2)))


# --- checks: formulas ---------------------------------------------------------------------------------------------


def sample_grid(rng: np.random.Generator) -> GridSetting:
    return GridSetting(**plain(relaxations.sample(rng)), betas=10 ** rng.uniform(-3, 1.5, int(rng.integers(1, 8))))


def sample_continuous(rng: np.random.Generator) -> ContinuousSetting:
    s = relaxations.sample(rng)
    alpha = 1 + 10 ** rng.uniform(-4, 0.3)
    return ContinuousSetting(**plain(s), alpha=float(alpha), lam=float(10 ** rng.uniform(0, math.log10(s.n) + 1)))


# as for one beta (see `catoni`), with the logarithm of G, six half-ulps of itself, in the exponent
GRID_FORMULA = Formula(
    expression=lambda s: catoni_grid_ball(**plain(s), betas=s.betas.tolist()),
    shipped=lambda s: catoni_grid(**plain(s), betas=s.betas).raw,
    read=lambda p: p.upper,
    sample=sample_grid,
    width=lambda s: (8 + 6 + 6 + 6 + 2) * HALF_ULP,
    side="upper",
    count=60,
)
# ln(alpha^2 lam)/ln alpha: 6 + 2 + 6 + 2 half-ulps; its logarithm (of a number of at least 2) 16/0.69 + 6; the price 30 + 4; x: 34 + 6;
# the exponent 40 + 4; the two functions 8 each, the quotient 2 and lam/n 2 each
CONTINUOUS_FORMULA = replace(
    GRID_FORMULA,
    expression=lambda s: catoni_continuous_ball(**plain(s), alpha=s.alpha, lam=s.lam),
    shipped=lambda s: catoni_continuous(**plain(s), alpha=s.alpha, lam=s.lam).raw,
    sample=sample_continuous,
    width=lambda s: (44 + 8 + 8 + 2 + 2 + 2) * HALF_ULP,
)


def _grid_at(s: GridSetting, price: float, choose: Any = min) -> float:
    c = (s.kl + price + s.log_inv_delta) / s.n
    return float(choose([float(np.expm1(-b * s.risk - c) / np.expm1(-b)) for b in s.betas]))


def _continuous_at(s: ContinuousSetting, price: Any, factor: float) -> float:
    a = s.lam / s.n
    return float(np.expm1(-a * (s.risk + factor / s.lam * (s.kl + s.log_inv_delta + price))) / np.expm1(-a))


def _price(s: ContinuousSetting, power: float = 2.0, times: float = 2.0) -> float:
    return times * math.log((power * math.log(s.alpha) + math.log(s.lam)) / math.log(s.alpha))


# --- checks: exact failure probabilities --------------------------------------------------------------------------


def union(world: World, betas: Sequence[float], prices: Sequence[float], log_inv_delta: float) -> Coverage:
    """The mixture of the moments with weights e^-price, which must not exceed 1, and P(some beta, some Q: the bound fails)."""
    failed, mixture = np.zeros(len(world.probability), dtype=bool), 0.0
    for beta, price in zip(betas, prices, strict=True):
        phi = catoni_exponent(world, beta)
        statistic = np.logaddexp.reduce(world.log_prior + phi, axis=1)
        failed |= statistic > price + log_inv_delta
        mixture += math.exp(-price) * moment(world, phi)
    assert failure(world, phi, prices[-1] + log_inv_delta)[1] > 1e-9
    return Coverage(math.exp(-log_inv_delta), mixture, 1.0, float(world.probability[failed].sum()))


def compare_grid(s: GridSetting, p: UnionPrediction, rows: Rows) -> Coverage:
    return union(world_a(), p.betas.tolist(), p.prices.tolist(), s.log_inv_delta)


def compare_every_lambda(s: ContinuousSetting, p: UnionPrediction, rows: Rows, *, paid: bool = True) -> Coverage:
    """The mixture of the moments over alpha^k; and P(some lambda >= 1, some Q: the averaged form of the printed bound fails), over a
    fine grid of lambdas up to 30 n (beyond, all exponents agree to rounding)."""
    world, failed = world_a(), np.zeros(len(world_a().probability), dtype=bool)
    prices = p.prices if paid else 0 * p.prices
    mixture = sum(math.exp(-x) * moment(world, catoni_exponent(world, b)) for b, x in zip(p.betas, prices, strict=True))
    for lam in np.exp(np.linspace(0.0, math.log(30.0 * s.n), 300)):
        statistic = np.logaddexp.reduce(world.log_prior + catoni_exponent(world, lam / s.n) / s.alpha, axis=1)
        price = 2 * math.log(math.log(s.alpha**2 * lam) / math.log(s.alpha)) if paid else 0.0
        failed |= statistic > price + s.log_inv_delta
    found = float(world.probability[failed].sum())
    return Coverage(math.exp(-s.log_inv_delta), float(mixture), 1.0, found, note="300 lambdas")


def compare_unpaid(s: ContinuousSetting, p: UnionPrediction, rows: Rows) -> Coverage:
    return compare_every_lambda(s, p, rows, paid=False)


def unpaid(s: GridSetting) -> UnionPrediction:
    return replace(predict_grid(s), prices=np.zeros(s.betas.size))


LN10 = float(np.log(10))

GRID_CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        GRID_FORMULA,
        controls=(
            control("ln G dropped", GRID_FORMULA, lambda s: _grid_at(s, 0.0)),
            control("ln(G+1) for ln G", GRID_FORMULA, lambda s: _grid_at(s, math.log(s.betas.size + 1))),
            control("the largest for the smallest", GRID_FORMULA, lambda s: _grid_at(s, math.log(s.betas.size), max)),
        ),
    ),
    Check(
        "world A, betas .5, 1, 2, 4: exact moment of the mixture and failure probability",
        HighProbabilityBound(),
        settings=ByBudget(quick=(GridSetting(0.0, 0.0, 12, LN10, np.array([0.5, 1.0, 2.0, 4.0])),)),
        compare=compare_grid,
        controls=(Control("ln G dropped", {"predict": unpaid}),),
    ),
)  # fmt: skip

CONTINUOUS_CHECKS = (
    Check(
        "the shipped certificate is the last step, rounded upward",
        CONTINUOUS_FORMULA,
        controls=(
            control("the union not paid", CONTINUOUS_FORMULA, lambda s: _continuous_at(s, 0.0, s.alpha)),
            control("alpha/lambda without alpha", CONTINUOUS_FORMULA, lambda s: _continuous_at(s, _price(s), 1.0)),
            control("alpha for alpha^2 in the logarithm", CONTINUOUS_FORMULA, lambda s: _continuous_at(s, _price(s, power=1.0), s.alpha)),
            control("the square of the logarithm forgotten", CONTINUOUS_FORMULA, lambda s: _continuous_at(s, _price(s, times=1.0), s.alpha)),
        ),
    ),
    Check(
        "world A: exact moment of the mixture over alpha^k and failure probability over all lambda",
        HighProbabilityBound(),
        settings=ByBudget(quick=tuple(ContinuousSetting(0.0, 0.0, 12, LN10, alpha, 1.0) for alpha in (1.02, 1.1, 2.0))),
        compare=compare_every_lambda,
        controls=(Control("the union not paid", {"compare": compare_unpaid}),),
    ),
)  # fmt: skip

GRID_RESULT = Result(
    CATONI_GRID,
    predict=predict_grid,
    example=GridSetting(0.0155, 73.2, 30_000, float(-np.log(0.025)), np.array([0.25, 0.5, 1.0, 2.0])),
    checks=GRID_CHECKS,
    uses=(catoni.RESULT,),
    derivation=GRID_DERIVATION,
)
CONTINUOUS_RESULT = Result(
    CATONI_CONTINUOUS,
    predict=predict_continuous,
    example=ContinuousSetting(0.0155, 73.2, 30_000, float(-np.log(0.025)), 1.1, 20_000.0),
    checks=CONTINUOUS_CHECKS,
    uses=(catoni.RESULT,),
    derivation=CONTINUOUS_DERIVATION,
)
