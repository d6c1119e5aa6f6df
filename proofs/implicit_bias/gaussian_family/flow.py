"""Euclidean gradient flow on (mu, S) is the Wasserstein gradient flow of the expected loss, without the entropy's diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from flint import arb, arb_mat
from jaxtyping import Float

from ....numerics.claims import Agreement, Comparison, Enclosures, Formula, Inequality
from ....numerics.implicit_bias.expected_losses import Loss
from ....numerics.implicit_bias.gaussian_flow import flow_velocity, gaussian_flow
from ....numerics.implicit_bias.gaussian_law import GaussianLaw, covariance
from ....numerics.store import Rows
from ....theory.axioms import CAUCHY_SCHWARZ, FUBINI
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.implicit_bias.gaussian_family import BW_FLOW
from ...result import ByBudget, Check, Control, Result
from ..exact_values import as_balls, relative_width
from ..problems import rational
from . import expected_losses, wasserstein
from .expected_losses import LOSSES
from .expected_losses_evidence import UNIT_ROUNDOFF, ExpectedLossSetting, exact, random_setting, rounding
from .flow_evidence import LATE, compare_paths, compare_slopes, draw_laws, integrate


@dataclass(frozen=True, eq=False)
class FlowPrediction:
    """mu' (parameters,), Sigma' (parameters, parameters), |grad L|, and the flow's means and factors at times 0.3 and 1."""

    mean: Float[np.ndarray, " parameters"]
    covariance: Float[np.ndarray, "parameters parameters"]
    speed: float
    path_means: Float[np.ndarray, "times parameters"]
    path_factors: Float[np.ndarray, "times parameters rank"]


# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def symmetric(name: str) -> Any:
    import sympy

    a, b, c = sympy.symbols(f"{name}1:4", real=True)
    return sympy.Matrix([[a, b], [b, c]])


def covariance_moves() -> Equations:
    """S' = -G S gives (S S^T)' = S' S^T + S S'^T = -(G Sigma + Sigma G)."""
    import sympy

    g, s = symmetric("g"), sympy.Matrix(2, 1, sympy.symbols("s1:3", real=True))
    sigma, rate = s * s.T, -g * s
    return list(zip(rate * s.T + s * rate.T, -(g * sigma + sigma * g), strict=True))


def transport_is_optimal() -> Equations:
    """S^T (S + e A S) = S^T S + e S^T A S is symmetric for symmetric A, so its nuclear norm is its trace for small e, and
    W2^2 = ||S||^2 + ||S + e A S||^2 - 2 tr S^T (S + e A S) = e^2 ||A S||_F^2."""
    import sympy

    a, s, e = symmetric("a"), sympy.Matrix(2, 2, sympy.symbols("s1:5", real=True)), sympy.Symbol("e", real=True)
    moved = s + e * a * s
    cross = s.T * moved
    square = sum(v**2 for v in s) + sum(v**2 for v in moved) - 2 * cross.trace()
    return [(cross[0, 1], cross[1, 0]), (square, e**2 * sum(v**2 for v in a * s))]


def loss_falls_by_the_squared_speed() -> Equations:
    """Along mu' = -g, S' = -G S: dL/dt = g . mu' + tr((G S)^T S') = -(||g||^2 + ||G S||^2)."""
    import sympy

    g, hessian = sympy.Matrix(sympy.symbols("v1:3", real=True)), symmetric("g")
    s = sympy.Matrix(2, 2, sympy.symbols("s1:5", real=True))
    slope = hessian * s
    return [(g.dot(-g) + (slope.T * (-slope)).trace(), -(g.dot(g) + sum(v**2 for v in slope)))]


def tangent_of_a_convex_function() -> Equations:
    """phi(b) - phi(a) - phi'(a)(b - a) has the derivative phi'(b) - phi'(a) in b and vanishes at b = a."""
    import sympy

    a, b = sympy.symbols("a b", real=True)
    pairs: Equations = []
    for phi in (a**2 / 2, sympy.exp(-a)):
        gap = phi.subs(a, b) - phi - sympy.diff(phi, a) * (b - a)
        pairs += [(sympy.diff(gap, b), sympy.diff(phi, a).subs(a, b) - sympy.diff(phi, a)), (gap.subs(b, a), 0)]
    return pairs


DERIVATION = (
    Uses(expected_losses.RESULT, "dL/dmu = E grad l and dL/dS = G S, so the flow is mu' = -E grad l, S' = -G S"),
    Algebra("hence Sigma' = -(G Sigma + Sigma G)", covariance_moves),
    Uses(wasserstein.RESULT, "W2^2 = ||shift||^2 + ||S||^2 + ||S'||^2 - 2 ||S^T S'||_*, at most ||shift||^2 + ||S - S' O||_F^2"),
    Algebra("moving S by e A S, A symmetric, is optimal transport of length e ||A S||_F: the flow's speed is (||g||^2 + ||G S||^2)^{1/2}", transport_is_optimal),
    Algebra("L falls at the rate of the squared speed", loss_falls_by_the_squared_speed),
    Axiom(FUBINI, "phi(b) - phi(a) - phi'(a)(b - a) is a double integral of phi'' >= 0: convex losses lie above their tangents"),
    Algebra("for the losses here", tangent_of_a_convex_function),
    Axiom(CAUCHY_SCHWARZ, "with the optimal common noise L(q') - L(q) >= g . dmu + tr((G S)^T dS) >= -|grad L| W2(q, q')"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: ExpectedLossSetting) -> FlowPrediction:
    found = flow_velocity(s.design, s.law, loss=s.loss, targets=s.given)
    laws = gaussian_flow(s.design, s.law, loss=s.loss, times=LATE, targets=s.given)
    return FlowPrediction(
        found.mean, found.covariance, found.speed, np.stack([q.mean for q in laws]), np.stack([q.factor for q in laws])
    )


# --- checks -------------------------------------------------------------------------------------------------------


def sample(rng: np.random.Generator) -> ExpectedLossSetting:
    return random_setting(rng, LOSSES[int(rng.integers(3))], rank=int(rng.integers(1, 4)), widest=1.5)


def last_steps(s: ExpectedLossSetting) -> list[arb]:
    """From 50-digit gradients, and E Hess l as the slope's average against the noise."""
    p, rank = s.factor.shape
    values = exact(s)
    gradient, factor, hessian = values[1 : 1 + p], values[1 + p : 1 + p + p * rank], values[1 + p + p * rank :]
    g, sigma = arb_mat(p, p, hessian), as_balls(rational(s.factor) * rational(s.factor).transpose())
    moved = g * sigma
    speed = sum((v * v for v in [*gradient, *factor]), arb(0)).sqrt()
    return [*(-v for v in gradient), *(-v for v in (moved + moved.transpose()).entries()), speed]


def shipped(s: ExpectedLossSetting) -> np.ndarray:
    found = flow_velocity(s.design, s.law, loss=s.loss, targets=s.given)
    return np.concatenate([found.mean, found.covariance.ravel(), [found.speed]])


def width(s: ExpectedLossSetting) -> np.ndarray:
    p, rank = s.factor.shape
    off = rounding(s)
    gradient, factor, hessian = off[1 : 1 + p], off[1 + p : 1 + p + p * rank], off[1 + p + p * rank :].reshape(p, p)
    sigma, size = np.abs(s.factor) @ np.abs(s.factor).T, s.factor.shape
    # the Hessian's own error, and 2 (P + R + 2) roundings of the products
    most = np.abs(s.design).T @ np.abs(s.design) * max(1.0, float(np.exp(np.max(-s.design @ s.mean) + 2)))
    moved = hessian @ sigma + 2 * (sum(size) + 2) * UNIT_ROUNDOFF * most @ sigma
    speed = np.linalg.norm(np.append(gradient, factor)) + 4 * (p * rank + p) * UNIT_ROUNDOFF * shipped(s)[-1]
    return relative_width(shipped(s), np.concatenate([gradient, (moved + moved.T).ravel(), [speed]]))


FORMULA = Formula(
    expression=last_steps,
    shipped=shipped,
    read=lambda p: np.concatenate([p.mean, p.covariance.ravel(), [p.speed]]),
    sample=sample,
    width=width,
    count=12,
)


def mutant(function: Callable[[ExpectedLossSetting], np.ndarray]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=function)}


def with_entropy(s: ExpectedLossSetting) -> np.ndarray:
    """The flow of the ELBO's covariance at temperature 1e-9."""
    values, p = shipped(s), len(s.mean)
    values[p : p + p * p] += 2e-9 * np.eye(p).ravel()
    return values


def one_sided(s: ExpectedLossSetting) -> np.ndarray:
    """-2 G Sigma, which is not even symmetric, in place of -(G Sigma + Sigma G)."""
    values, p = shipped(s), len(s.mean)
    found = flow_velocity(s.design, s.law, loss=s.loss, targets=s.given)
    hessian = np.linalg.lstsq(covariance(s.law) + 1e-3 * np.eye(p), -found.covariance / 2, rcond=None)[0].T
    values[p : p + p * p] = (-2 * hessian @ covariance(s.law)).ravel()
    return values


def flow_of(s: ExpectedLossSetting, p: FlowPrediction, rows: Rows) -> Comparison:
    laws = tuple(GaussianLaw(m, f) for m, f in zip(p.path_means, p.path_factors, strict=True))
    return compare_paths(s, laws, rows)


def slopes_of(s: ExpectedLossSetting, p: FlowPrediction, rows: Rows) -> Enclosures:
    return compare_slopes(s, p.speed, rows)


def by(change: Callable[[ExpectedLossSetting, FlowPrediction], FlowPrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, known(s))}


@cache
def known(s: ExpectedLossSetting) -> FlowPrediction:
    return predict(s)


def gentle(rng: np.random.Generator, loss: Loss) -> ExpectedLossSetting:
    """A random setting with a design of norm 1, so that few steps resolve the flow."""
    s = random_setting(rng, loss, rank=2, widest=1.0)
    return replace(s, design=s.design / np.linalg.norm(s.design, 2))


RNG = np.random.default_rng(13)
SETTINGS = ByBudget(
    quick=tuple(gentle(RNG, loss) for loss in LOSSES),
    standard=tuple(gentle(RNG, loss) for loss in LOSSES for _ in range(8)),
)
EXAMPLE = expected_losses.EXAMPLE

CHECKS = (
    Check(
        "shipped velocity and speed",
        FORMULA,
        controls=(
            Control("off by 1e-9", mutant(lambda s: (1 + 1e-9) * shipped(s))),
            Control("entropy at temperature 1e-9", mutant(with_entropy)),
            Control("-2 G Sigma", mutant(one_sided)),
            Control("factor's part of the speed forgotten", mutant(lambda s: np.append(shipped(s)[:-1], np.linalg.norm(shipped(s)[: len(s.mean)])))),
        ),
    ),
    Check(
        "mean and covariance integrated on their own",
        Agreement("convergence"),
        settings=SETTINGS,
        experiment=integrate,
        plan=ByBudget(quick=({"steps": 40},), standard=({"steps": 160},)),
        compare=flow_of,
        controls=(
            Control("with the entropy's diffusion", {"experiment": partial(integrate, entropy=0.05)}),
            Control("a Cholesky factor in place of S", {"experiment": partial(integrate, triangular=True)}),
            Control("factor at half the rate", by(lambda s, p: replace(p, path_factors=(p.path_factors + s.factor) / 2))),
        ),
    ),
    Check(
        "no Gaussian law falls faster per W2",
        Inequality(),
        settings=SETTINGS,
        experiment=draw_laws,
        plan=ByBudget(quick=({"laws": 30},), standard=({"laws": 300},)),
        compare=slopes_of,
        controls=(
            Control("slope of the mean alone", by(lambda s, p: replace(p, speed=float(np.linalg.norm(p.mean))))),
            Control("slope 5% less", by(lambda s, p: replace(p, speed=0.95 * p.speed))),
            Control("slope twice as large", by(lambda s, p: replace(p, speed=2 * p.speed))),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    BW_FLOW,
    predict=predict,
    example=EXAMPLE,
    checks=CHECKS,
    uses=(expected_losses.RESULT, wasserstein.RESULT),
    derivation=DERIVATION,
)
