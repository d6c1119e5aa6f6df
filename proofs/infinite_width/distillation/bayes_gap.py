"""How far distillation lies above the Bayesian posterior: two parts, neither ever negative."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import sympy
from flint import arb
from jaxtyping import Float

from ....numerics.claims import Enclosures, Formula, Inequality
from ....numerics.store import Rows
from ....numerics.wide_networks.distillation import (
    bayes_gap,
)
from ....numerics.wide_networks.ensemble import ensemble_covariance, smoother
from ....theory.axioms import CONDITIONING, GAUSSIAN_INDEPENDENCE, LINEARITY, TOWER
from ....theory.balls.smoothers import congruence, converged, matrix, residual_map, split
from ....theory.derivation import Algebra, Axiom
from ....theory.statements.infinite_width.distillation import RND_BAYES_GAP
from ...result import Check, Control, Result
from ..dynamics import ensemble_law
from ..settings import EnsembleSetting, blocks
from .setting import covariance_width, exact_kernels, sample_one


@dataclass(frozen=True)
class GapPrediction:
    """Covariance (S, S) of g - u, the posterior below it, and what the predictor's draw and its smoother add."""

    error_covariance: Float[np.ndarray, "test test"]
    posterior: Float[np.ndarray, "test test"]
    initialisation: Float[np.ndarray, "test test"]
    smoothing: Float[np.ndarray, "test test"]


def gap_of_a_smoother() -> list[tuple[Any, Any]]:
    """M K M^T = (v - H k) + (G - H) a (G - H)^T for H = k/a; two training points, G free."""
    g, h = (sympy.Matrix([sympy.symbols(f"{n}1 {n}2", real=True)]) for n in "gh")
    v, a, b, c = sympy.symbols("v a b c", real=True)
    train = sympy.Matrix([[a, b], [b, c]])
    cross = h * train  # K_*X = H K_XX
    m, joint = (
        sympy.Matrix.hstack(sympy.eye(1), -g),
        sympy.Matrix([[v, *cross], *[[cross[i], *train[i, :]] for i in range(2)]]),
    )
    posterior = v - (h * cross.T)[0]
    first = (m * joint * m.T)[0]
    return [
        (first, posterior + ((g - h) * train * (g - h).T)[0]),
        (2 * first - posterior, first + ((g - h) * train * (g - h).T)[0]),  # both parts of the gap, with K_u = K
    ]  # fmt: skip


def residual_is_uncorrelated() -> list[tuple[Any, Any]]:
    """Cov(g(*) - H g(X), g(X)) = K_*X - H K_XX = 0 for H = K_*X K_XX^{-1}; two training points."""
    p, q, r, k1, k2 = sympy.symbols("p q r k1 k2", real=True)
    train, cross = sympy.Matrix([[p, q], [q, r]]), sympy.Matrix([[k1, k2]])
    left = cross * train.inv() * train
    return [(left[0], k1), (left[1], k2)]


DERIVATION = (
    Algebra("g(*) - H g(X) is uncorrelated with g(X)", residual_is_uncorrelated),
    Axiom(GAUSSIAN_INDEPENDENCE, "so it is independent of g(X), and of h, which is made of g(X) and independent randomness"),
    Axiom(CONDITIONING, "given g(X) and that randomness, g - h = (g - H g(X)) + (H g(X) - h) with the second term constant"),
    Axiom(TOWER, "so E (g - h)^2 = Sigma_nngp + E (h - H g(X))^2"),
    Axiom(LINEARITY, "for h = u0 + G (g(X) - u0(X)) the second part is M K_u M^T + (G - H) K_XX (G - H)^T"),
    Algebra("and both add up to 2 M K M^T for K_u = K", gap_of_a_smoother),
)  # fmt: skip


def predict(s: EnsembleSetting) -> GapPrediction:
    k, t = blocks(s)
    gap = bayes_gap(k, smoother(t), predictor_nngp=k)
    return GapPrediction(gap.total, gap.posterior, gap.initialisation, gap.smoothing)


# --- checks: the gap ----------------------------------------------------------------------------------------------


def last_step(s: EnsembleSetting) -> list[arb]:
    """Total 2 M K M^T, the posterior by its own formula, M K M^T, and the difference of these."""
    k, t = exact_kernels(s)
    m = residual_map(converged(t, len(s.test)))
    own = congruence(m, k)
    test, cross, train = split(k, len(s.test))
    posterior = test - cross * train.solve(cross.transpose())
    return [e for part in (own * arb(2), posterior, own, own - posterior) for e in part.entries()]


def flatten(p: GapPrediction) -> np.ndarray:
    parts = (p.error_covariance, p.posterior, p.initialisation, p.smoothing)
    return np.concatenate([part.ravel() for part in parts])


def width(s: EnsembleSetting) -> np.ndarray:
    k, t = blocks(s)
    found = covariance_width(t, smoother(t), k.joint()) + covariance_width(k, smoother(k), k.joint())
    return 2 * found / np.abs(flatten(predict(s)))


FORMULA = Formula(
    expression=last_step,
    shipped=lambda s: flatten(predict(s)),
    read=flatten,
    sample=sample_one,
    width=width,
    count=25,
)


def _swapped(s: EnsembleSetting) -> GapPrediction:
    p = predict(s)
    return replace(p, initialisation=p.smoothing, smoothing=p.initialisation)


def _no_draw(s: EnsembleSetting) -> GapPrediction:
    p = predict(s)
    return replace(p, error_covariance=p.posterior + p.smoothing)


def _tangent_posterior(s: EnsembleSetting) -> GapPrediction:
    return replace(predict(s), posterior=ensemble_law.posterior(s, kernel=1).covariance)


def compare_any_predictor(s: EnsembleSetting, p: GapPrediction, rows: Rows, *, floor: str = "posterior") -> Enclosures:
    """E (g - h)^2 - Sigma_nngp for 200 linear predictors h = A g(X), some near the best, in balls."""
    k, _ = exact_kernels(s)
    tests = len(s.test)
    best = converged(k, tests)
    test, cross, train = split(k, tests)
    lowest = test - cross * train.solve(cross.transpose()) if floor == "posterior" else test
    rng = np.random.default_rng(0)
    low, high = [], []
    for _ in range(200):
        size = 10 ** rng.uniform(-6, 0.5)
        h = best + matrix((size * rng.normal(size=(tests, train.nrows()))).tolist())
        excess = congruence(residual_map(h), k) - lowest
        for i in range(tests):
            low.append(float(excess[i, i].lower()))
            high.append(float(excess[i, i].upper()))
    return Enclosures(np.array(low), np.array(high), width=1e-20)


CHECKS = (
    Check(
        "shipped parts",
        FORMULA,
        controls=tuple(
            Control(name, {"claim": replace(FORMULA, shipped=partial(lambda f, s: flatten(f(s)), function))})
            for name, function in (
                ("the two parts swapped", _swapped),
                ("the predictor's own draw forgotten", _no_draw),
                ("posterior of the tangent kernel", _tangent_posterior),
                ("half the total", lambda s: replace(predict(s), error_covariance=ensemble_covariance(*blocks(s)))),
            )
        ),
    ),
    Check(
        "no predictor made of g(X) lies below the posterior",
        Inequality(),
        settings=ensemble_law.BOTH,
        compare=compare_any_predictor,
        controls=(Control("below the prior variance", {"compare": partial(compare_any_predictor, floor="prior")}),),
    ),
)
RESULT = Result(RND_BAYES_GAP, predict, ensemble_law.EXAMPLE, CHECKS, derivation=DERIVATION)
