"""Sampled weights and mini-batches reach the limit of exact training, in mean square at a geometric rate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Formula, HighProbabilityBound, Inequality
from ....numerics.implicit_bias.sampled_regression import sampled_bound, sampled_contraction
from ....numerics.implicit_bias.variational_regression import regression_limit
from ....theory.axioms import FUBINI, INDEPENDENCE, MARKOV, SPECTRAL
from ....theory.derivation import Algebra, Axiom, Enumeration, Uses
from ....theory.statements.implicit_bias.regression import REGRESSION_MC
from ...result import ByBudget, Check, Control, Result
from ..feature_networks import as_rule
from . import nearest_law, on_networks
from .noise_moments import mixed_moment
from .sampled_evidence import (
    UNIT_ROUNDOFF,
    SampledPrediction,
    SampledSetting,
    average,
    compare_bound,
    compare_failures,
    compare_limit,
    exact_contraction,
    largest_curvature,
    random_setting,
    run_many,
    sample,
    start_squared,
    train,
)

# --- derivation ---------------------------------------------------------------------------------------------------

Equations = list[tuple[Any, Any]]


def one_step() -> Equations:
    """||D - eta H D U||_F^2 for one weight and rank 1; and H^2 = |x|^2 H for a batch of one row of two weights."""
    import sympy

    eta, h = sympy.symbols("eta h", real=True)
    d = sympy.Matrix(1, 2, sympy.symbols("d1:3", real=True))
    a, b, c = sympy.symbols("a b c", real=True)
    u = sympy.Matrix([[a, b], [b, c]])
    after = d - eta * h * d * u
    third = h**2 * (u * d.T * d * u).trace()
    x = sympy.Matrix(1, 2, sympy.symbols("x1:3", real=True))
    row = x.T * x
    return [
        ((after * after.T)[0], (d * d.T)[0] - 2 * eta * (d.T * h * d * u).trace() + eta**2 * third),
        (third, h * (d.T * h * d * u * u).trace()),
        *zip(row * row, (x * x.T)[0] * row, strict=True),
    ]


def curvature_bounds() -> Equations:
    """L h - h^2 = h (L - h) >= 0 on [0, L], and the two bounds combine to 1 - eta h_min (2 - eta L c)."""
    import sympy

    h, top, eta, c, low, part = sympy.symbols("h L eta c low part", positive=True)
    shrink = 1 - eta * low * (2 - eta * top * c)
    return [
        (top * h - h**2, h * (top - h)),
        (1 - 2 * eta * low + eta**2 * top * c * low, shrink),
        # where the quadratic form is low + part instead of low, the step shrinks more by eta part (2 - eta L c)
        (shrink - (1 - (low + part) * eta * (2 - eta * top * c)), part * eta * (2 - eta * top * c)),
    ]


def squared_noise() -> Iterator[tuple[str, Fraction, str, Fraction]]:
    """E U^2 = diag(1 + R, 3 + R, ..., 3 + R)/M + (1 - 1/M) I, at most (1 + (R+2)/M) I."""
    for rank, samples in itertools.product((1, 2, 3, 5), (1, 2, 3, 7)):
        for i, j in itertools.product(range(rank + 1), repeat=2):
            found = sum(
                (mixed_moment(i, k, k, j, samples=samples, estimator="independent") for k in range(rank + 1)),
                Fraction(0),
            )
            corner = Fraction((1 if i == 0 else 3) + rank, samples) + 1 - Fraction(1, samples)
            yield f"R = {rank}, M = {samples}, entry {i}{j}", found, "==", corner if i == j else Fraction(0)
            if i == j:
                yield f"R = {rank}, M = {samples}, bound {i}", found, "<=", 1 + Fraction(rank + 2, samples)


DERIVATION = (
    Uses(nearest_law.RESULT, "the limit P W_0 of W = [mu - w, S], w a least-squares solution; gradients lie in the rows, so P W_t = P W_0"),
    Algebra("with D = Q W: ||D - eta H_B D U||^2 in three terms, the last one through H_B^2", one_step),
    Axiom(INDEPENDENCE, "batch and noise are fresh: E U = I and E H_B = H in the second term, given W"),
    Axiom(SPECTRAL, "H_B^2 <= L_max H_B for every batch, so the last term is at most eta^2 L_max E tr(D^T H_B D U^2)"),
    Enumeration("E U^2 <= c I, c = 1 + (R+2)/M, by fourth Gaussian moments", squared_noise),
    Algebra("so E ||D+||^2 <= ||D||^2 - eta (2 - eta L_max c) tr(D^T H D), and tr(D^T H D) >= h_min ||D||^2 on the rows", curvature_bounds),
    Axiom(MARKOV, "P(||Q W_t||^2 > rho^t ||Q W_0||^2/delta) <= delta"),
    Axiom(FUBINI, "the expected sum of all ||Q W_t||^2 is finite, so they tend to 0 almost surely"),
)  # fmt: skip

# --- prediction ---------------------------------------------------------------------------------------------------


def predict(s: SampledSetting) -> SampledPrediction:
    limit = regression_limit(s.design, s.targets, s.prior)
    bounds = [sampled_bound(s.design, s.targets, s.prior, step=s.step, steps=t, **s.options) for t in s.times]
    rate = sampled_contraction(s.design, step=s.step, rank=s.rank, **s.options)
    return SampledPrediction(limit.mean, limit.factor, rate, np.array(bounds))


# --- checks -------------------------------------------------------------------------------------------------------


def shipped(s: SampledSetting) -> np.ndarray:
    rate = sampled_contraction(s.design, step=s.step, rank=s.rank, **s.options)
    start = sampled_bound(s.design, s.targets, s.prior, step=s.step, steps=3, **s.options) / rate**3
    return np.array([rate, start])


def last_step(s: SampledSetting) -> list[Any]:
    return [exact_contraction(s), nearest_law.last_steps(nearest(s))[-1]]


def nearest(s: SampledSetting) -> Any:
    return nearest_law.VariationalSetting(s.design, s.targets, s.prior_mean, s.prior_factor, s.step, (1,))


def width(s: SampledSetting) -> np.ndarray:
    """Eigenvalues err by max(n, p) 2 u of the largest one; 1 - eta h (2 - eta L c) by that times eta, relative to the rate."""
    rate = shipped(s)[0]
    unit = 4 * max(s.design.shape) * UNIT_ROUNDOFF
    step = s.step * largest_curvature(s) * (1 + (s.rank + 2) / s.samples)
    price = nearest_law.width(nearest(s))[-1]
    return np.array(
        [
            unit * (2 + 2 * step) * s.step * largest_curvature(s) / rate + 4 * UNIT_ROUNDOFF / rate,
            price + 20 * UNIT_ROUNDOFF,
        ]
    )


FORMULA = Formula(
    expression=last_step,
    shipped=shipped,
    read=lambda p: np.array([p.contraction, p.bounds[-1] / p.contraction**4]),
    sample=sample,
    width=width,
    count=40,
)


def mutant(function: Callable[[SampledSetting], list[float]]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: np.array(function(s)))}


def bounds_by(rate: Callable[[SampledSetting, np.ndarray, float, float], float]) -> Mapping[str, Any]:
    """Bounds at another rate, from the eigenvalues of H, L_max and c."""

    def wrong(s: SampledSetting) -> SampledPrediction:
        h = np.linalg.svd(s.design, compute_uv=False) ** 2
        found = rate(s, h, largest_curvature(s), 1 + (s.rank + 2) / s.samples)
        return replace(predict(s), bounds=max(found, 1e-3) ** np.array(s.times, dtype=np.float64) * start_squared(s))

    return {"predict": wrong}


def limit_by(change: Callable[[SampledSetting, SampledPrediction], SampledPrediction]) -> Mapping[str, Any]:
    return {"predict": lambda s: change(s, predict(s))}


def bayes_mean_projector(s: SampledSetting, p: SampledPrediction) -> SampledPrediction:
    """Projection in the metric of the prior covariance, as a KL divergence would select."""
    sigma = s.prior_factor @ s.prior_factor.T
    gain = sigma @ s.design.T @ np.linalg.pinv(s.design @ sigma @ s.design.T)
    return replace(p, factor=s.prior_factor - gain @ s.design @ s.prior_factor)


SHORT = ByBudget(
    quick=tuple(random_setting(seed, times=(1, 4, 20)) for seed in range(6)),
    standard=tuple(random_setting(seed, times=(1, 4, 20, 60)) for seed in range(30)),
)
LONG = ByBudget(
    quick=tuple(random_setting(seed, longest=1e-6) for seed in range(4)),
    standard=tuple(random_setting(seed, longest=1e-9) for seed in range(20)),
)
MANY = ByBudget(quick=tuple(random_setting(seed, times=(15,)) for seed in range(20, 22)))
NETWORKS = ByBudget(
    quick=lambda: (on_networks.random_setting(0, examples=2, rank=1, samples=1),),
    standard=lambda: tuple(
        on_networks.random_setting(seed, examples=n, rank=r, samples=m)
        for seed, (n, r, m) in enumerate(((2, 1, 1), (3, 2, 1), (4, 3, 2), (3, 5, 4), (5, 2, 3)))
    ),
)
EXAMPLE = SampledSetting(
    np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]),
    np.array([1.0, -1.0]),
    np.zeros(3),
    np.eye(3),
    0.01,
    1,
    1,
    (1, 100, 1000),
)

CHECKS = (
    Check(
        "shipped rate and start",
        FORMULA,
        controls=(
            Control("both off by 1e-9", mutant(lambda s: list((1 + 1e-9) * shipped(s)))),
            Control("R + 1 in place of R + 2", mutant(lambda s: [sampled_contraction(s.design, step=s.step, rank=max(s.rank - 1, 1), **s.options), shipped(s)[1]])),
            Control("one draw more", mutant(lambda s: [sampled_contraction(s.design, step=s.step, rank=s.rank, samples=s.samples + 1, batch_size=s.batch_size), shipped(s)[1]])),
            Control("mean's distance alone", mutant(lambda s: [shipped(s)[0], shipped(replace(s, prior_factor=1e-9 * s.prior_factor))[1]])),
        ),
    ),
    Check(
        "bound on the exact expectation",
        Inequality(),
        settings=SHORT,
        experiment=average,
        compare=compare_bound,
        controls=(
            Control("no sampling noise", bounds_by(lambda s, h, top, c: (1 - s.step * h[-1]) ** 2)),
            Control("h_max in place of h_min", bounds_by(lambda s, h, top, c: 1 - s.step * h[0] * (2 - s.step * top * c))),
            Control("rate squared", bounds_by(lambda s, h, top, c: (1 - s.step * h[-1] * (2 - s.step * top * c)) ** 2)),
        ),
    ),
    Check(
        "single sampled runs end at the limit law",
        Agreement("convergence"),
        settings=LONG,
        experiment=train,
        compare=compare_limit,
        controls=(
            Control("projection in the prior's metric (KL)", limit_by(bayes_mean_projector)),
            Control("factor not trained", limit_by(lambda s, p: replace(p, factor=s.prior_factor))),
            Control("Q S_0 in place of P S_0", limit_by(lambda s, p: replace(p, factor=s.prior_factor - p.factor))),
            Control("mini-batches of data that cannot be interpolated", {"experiment": lambda s, run: train(replace(s, design=np.vstack([s.design, s.design[:1]]), targets=np.append(s.targets, s.targets[0] + 1), batch_size=1, step=s.step / (2 * len(s.targets))), run)}),
        ),
    ),
    Check(
        "the shipped method on a network with frozen features",
        Agreement("convergence"),
        settings=NETWORKS,
        experiment=on_networks.train,
        compare=on_networks.compare,
        predict=as_rule(predict),
        controls=(
            Control("projection in the prior's metric (KL)", {"predict": as_rule(lambda s: bayes_mean_projector(s, predict(s)))}),
            Control("factor not trained", {"predict": as_rule(lambda s: replace(predict(s), factor=s.prior_factor))}),
            Control("mean from 0 in place of the prior's", {"predict": as_rule(lambda s: predict(replace(s, prior_mean=0 * s.prior_mean)))}),
            Control("eight steps", {"experiment": partial(on_networks.train, epochs=8)}),
        ),
    ),
    Check(
        "failures of the Markov bound",
        HighProbabilityBound(),
        settings=MANY,
        experiment=run_many,
        plan=ByBudget(quick=({"runs": 1500},)),
        compare=compare_failures,
        controls=(
            Control("no sampling noise, fastest mode", bounds_by(lambda s, h, top, c: (1 - s.step * h[0]) ** 4)),
            Control("rate to the eighth power", bounds_by(lambda s, h, top, c: (1 - s.step * h[-1] * (2 - s.step * top * c)) ** 8)),
        ),
    ),
)  # fmt: skip

RESULT = Result(
    REGRESSION_MC, predict=predict, example=EXAMPLE, checks=CHECKS, uses=(nearest_law.RESULT,), derivation=DERIVATION
)
