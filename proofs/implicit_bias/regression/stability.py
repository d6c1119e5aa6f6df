"""The exact edge of stability of variational regression on sampled weights: a_max = 2 (1 - b)/L, in mean square."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ....numerics.claims import Agreement, Formula
from ....numerics.implicit_bias.stability import (
    SampledDescent,
    largest_stable_mode_step,
    mean_square_rate,
    moment_matrix,
)
from ....theory.axioms import INDEPENDENCE, LINEARITY, PERRON, SVD
from ....theory.derivation import Algebra, Axiom, Enumeration
from ....theory.statements.implicit_bias.regression import MC_STABILITY
from ...result import ByBudget, Check, Control, Result
from ..feature_networks import as_rule
from . import edge_on_networks, noise_moments
from .stability_evidence import (
    UNIT_ROUNDOFF,
    StabilityPrediction,
    StabilitySetting,
    compare_bisection,
    compare_growth,
    compare_moments,
    eigenvalue_error,
    exact,
    resample,
    sample,
    train,
)

DERIVATION = (
    Axiom(SVD, "relative to a least-squares solution the modes of X^T X decouple: w <- w - a w U D, a = eta h, U = mean of u u^T, u = (1, z)"),
    Axiom(INDEPENDENCE, "U is fresh at every step, so E(w U)^T(w U) = E[U C U] with C = E w^T w, and E U = I"),
    Enumeration("corner and trace of E[U C U] need only corner and trace of C: Q, for every symmetric C, up to R = 3 and 4 draws", noise_moments.wick_on_every_state),
    Algebra("one step of E w^2, E w w', E w'^2 with heavy ball: the rows of T", noise_moments.one_step_of_the_moments),
    Axiom(LINEARITY, "the other entries of C are bounded by its trace, so mean-square stability of all of them is that of T"),
    Axiom(PERRON, "T maps second moments to second moments, a proper cone: its spectral radius is an eigenvalue with c_0, c_1 >= 0"),
    Algebra("an eigenvalue 1 means a^2 (Q c)_i = a_i [2 (1 - b) + 2 a_i b/s] c_i, s = 1 + b", noise_moments.stationary_moments),
    Algebra("that is (L - p) c_0 = Q_01 c_1 and (L - q) c_1 = k Q_10 c_0 with a = 2 (1 - b)/L; L is the larger root", noise_moments.threshold_solves_it),
    Axiom(PERRON, "only the larger L has c_0, c_1 >= 0, so the radius passes 1 once: it is 1 - 2a/(1-b) + O(a^2) near 0 (for the mean)"),
    Algebra("2/lam, 2(1-b^2)/(lam (1+b) - 2b) and R + 1 - (R^2+1)^{1/2} are special cases", noise_moments.named_thresholds),
)  # fmt: skip


def predict(s: StabilitySetting) -> StabilityPrediction:
    return predict_as(s, s.descent)


def predict_as(s: StabilitySetting, descent: SampledDescent) -> StabilityPrediction:
    """The prediction for this setting as if it were trained with these options (at most the same rank of momentum)."""
    size = 1.0 + s.rank
    starts = np.stack([s.start[:, 0] ** 2, (s.start[:, 1:] ** 2).mean(axis=1)], axis=1)
    weights = np.array([1.0, size - 1])
    moments, growth = [], []
    matrices = [moment_matrix(float(a), descent) for a in s.mode_steps]
    for time in s.times:
        now = np.array([step(m, c, time) for m, c in zip(matrices, starts, strict=True)])
        before = np.array([step(m, c, time - 1) for m, c in zip(matrices, starts, strict=True)])
        moments.append(now)
        growth.append((now + before) @ weights / (2 * starts @ weights))
    return StabilityPrediction(
        threshold=largest_stable_mode_step(descent),
        rates=np.asarray(mean_square_rate(s.mode_steps, descent)),
        moments=np.array(moments),
        growth=np.array(growth),
    )


def step(matrix: np.ndarray, start: np.ndarray, time: int) -> np.ndarray:
    """c_0 and c_1 after `time` steps from rest."""
    state = np.tile(start, len(matrix) // 2)
    return np.asarray(np.linalg.matrix_power(matrix, time) @ state)[:2]


# --- checks -------------------------------------------------------------------------------------------------------


def shipped(s: StabilitySetting) -> np.ndarray:
    return np.array([largest_stable_mode_step(s.descent), mean_square_rate(s.mode_steps, s.descent)[0]])


def width(s: StabilitySetting) -> np.ndarray:
    """About ten roundings for the closed form, and the eigenvalue's own error for the rate."""
    a = float(s.mode_steps[0])
    rate = float(mean_square_rate(a, s.descent))
    return np.array([16 * UNIT_ROUNDOFF, eigenvalue_error(moment_matrix(a, s.descent)) / rate])


FORMULA = Formula(
    expression=exact,
    shipped=shipped,
    read=lambda p: np.array([p.threshold, p.rates[0]]),
    sample=sample,
    width=width,
    count=16,
)


def mutant(change: Callable[[SampledDescent, float], tuple[float, float]]) -> Mapping[str, Any]:
    return {"claim": replace(FORMULA, shipped=lambda s: np.array(change(s.descent, float(s.mode_steps[0]))))}


def trained_as(change: Callable[[SampledDescent], SampledDescent]) -> Mapping[str, Any]:
    return {"predict": lambda s: predict_as(s, change(s.descent))}


def growing_with_momentum(d: SampledDescent) -> float:
    """The threshold without momentum times 1 + b, as for the noiseless mean."""
    return (1 + d.momentum) * largest_stable_mode_step(replace(d, momentum=0.0))


def options(rank: int, samples: int, momentum: float, rate: float, estimator: Any = "independent") -> SampledDescent:
    return SampledDescent(rank, samples, momentum, rate, estimator)


def at(d: SampledDescent, parts: tuple[float, ...], times: tuple[int, ...]) -> StabilitySetting:
    """Modes at these multiples of a_max, started from mean 1 and factor entries 1/2."""
    start = np.tile(np.array([1.0] + [0.5] * d.rank), (len(parts), 1))
    steps = largest_stable_mode_step(d) * np.array(parts)
    return StabilitySetting(d.rank, d.samples, d.momentum, d.covariance_rate, d.estimator, steps, start, times)


EDGES = tuple(
    at(options(rank, samples, momentum, rate, estimator), (0.5,), (1,))
    for rank in (1, 10, 100)
    for momentum in (0.0, 0.9)
    for rate in (3.0, 0.5 / rank)
    for samples, estimator in ((1, "independent"), (5, "independent"), (4, "antithetic"), (1, "analytic"))
)
TRAINED = (
    at(options(3, 1, 0.0, 1 / 3), (0.2, 0.5), (1, 3, 10)),
    at(options(1, 2, 0.5, 1.0), (0.1, 0.3), (1, 3, 6)),
    at(options(2, 2, 0.0, 1.0, "antithetic"), (0.2, 0.4), (1, 3, 6)),
    at(options(2, 2, 0.0, 2.0), (0.1, 0.3), (1, 3, 6)),
)
LATE = (
    at(options(5, 1, 0.0, 1.0), (0.9, 1.1), (50,)),
    at(options(3, 1, 0.0, 1 / 3), (0.9, 1.1), (50,)),
    at(options(2, 1, 0.6, 1.0), (0.9, 1.1), (50,)),
    at(options(2, 4, 0.0, 1.0, "antithetic"), (0.9, 1.1), (20,)),
)
SCANNED = ((options(2, 1, 0.3, 0.5), (0.6, 0.9, 1.1, 1.4), (2, 4)), (options(1, 1, 0.0, 1.0), (0.6, 1.4), (1, 2)))
EDGE_SCAN = ByBudget(
    quick=lambda: tuple(edge_on_networks.random_setting(0, d, part, times) for d, parts, times in SCANNED for part in parts),
    standard=lambda: tuple(edge_on_networks.random_setting(seed, d, part, (*times, 2 * times[-1])) for seed in range(2) for d, parts, times in SCANNED[:1] for part in parts),
)  # fmt: skip
EXAMPLE = at(options(10, 1, 0.9, 0.1), (0.5, 1.1), (10, 50))

CHECKS = (
    Check(
        "shipped threshold and rate against the full operator in fractions",
        FORMULA,
        controls=(
            Control("both off by 1e-10", mutant(lambda d, a: (largest_stable_mode_step(d) * (1 + 1e-10), float(mean_square_rate(a, d)) * (1 + 1e-10)))),
            Control("rank off by one", mutant(lambda d, a: (largest_stable_mode_step(replace(d, rank=d.rank + 1)), float(mean_square_rate(a, d))))),
            Control("1 + b times the plain threshold", mutant(lambda d, a: (growing_with_momentum(d), float(mean_square_rate(a, d))))),
            Control("k for k^2 in the factor's noise", mutant(lambda d, a: (largest_stable_mode_step(replace(d, covariance_rate=d.covariance_rate**0.5)), float(mean_square_rate(a, d))))),
            Control("rate of the noiseless descent", mutant(lambda d, a: (largest_stable_mode_step(d), float(mean_square_rate(a, replace(d, samples=1, estimator="analytic")))))),
        ),
    ),
    Check(
        "closed form against bisection on the spectral radius",
        Agreement("rounding", relative=1e-10),
        settings=ByBudget(quick=EDGES),
        compare=compare_bisection,
        controls=(
            Control("rank off by one", trained_as(lambda d: replace(d, rank=d.rank + 1))),
            Control("1 + b times the plain threshold", {"predict": lambda s: replace(predict(s), threshold=growing_with_momentum(s.descent))}),
            Control("pairs counted as independent draws", trained_as(lambda d: replace(d, estimator="independent"))),
        ),
    ),
    Check(
        "second moments of real sampled descent",
        Agreement("Monte Carlo", relative=0.15),
        settings=ByBudget(quick=TRAINED),
        experiment=train,
        plan=ByBudget(quick=({"replicates": 20_000},), standard=({"replicates": 400_000},)),
        compare=compare_moments,
        controls=(
            Control("no sampling noise", trained_as(lambda d: replace(d, samples=1, estimator="analytic"))),
            Control("rank off by one", trained_as(lambda d: replace(d, rank=d.rank + 1))),
            Control("factor trained at the mean's rate", trained_as(lambda d: replace(d, covariance_rate=1.0 if d.covariance_rate != 1 else 0.5))),
            Control("twice the draws", trained_as(lambda d: replace(d, samples=2 * d.samples))),
        ),
    ),
    Check(
        "growth and decay on both sides of the edge after 50 steps",
        Agreement("Monte Carlo", relative=1.0),
        settings=ByBudget(quick=LATE),
        experiment=resample,
        plan=ByBudget(quick=({"islands": 40, "particles": 200},), standard=({"islands": 40, "particles": 10_000},)),
        compare=compare_growth,
        controls=(
            Control("rank doubled", trained_as(lambda d: replace(d, rank=2 * d.rank))),
            Control("momentum 0.1 higher", trained_as(lambda d: replace(d, momentum=d.momentum and d.momentum + 0.1))),
            Control("factor's rate forgotten", trained_as(lambda d: replace(d, covariance_rate=1.0 if d.covariance_rate != 1 else 0.5))),
        ),
    ),
    Check(
        "scan of the step on a network with frozen features",
        Agreement("Monte Carlo", relative=0.6),
        settings=EDGE_SCAN,
        experiment=edge_on_networks.train,
        plan=ByBudget(quick=({"replicates": 20_000},), standard=({"replicates": 200_000},)),
        compare=edge_on_networks.compare,
        predict=as_rule(predict),
        controls=(
            Control("no sampling noise", {"predict": as_rule(lambda s: predict_as(s, replace(s.descent, samples=1, estimator="analytic")))}),
            Control("rank off by one", {"predict": as_rule(lambda s: predict_as(s, replace(s.descent, rank=s.rank + 1)))}),
            Control("step a fifth larger", {"experiment": partial(edge_on_networks.train, faster=1.2)}),
        ),
    ),
)  # fmt: skip

RESULT = Result(MC_STABILITY, predict=predict, example=EXAMPLE, checks=CHECKS, derivation=DERIVATION)
