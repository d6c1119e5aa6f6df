"""Which step is stable, for every kind of descent that a theorem covers: the threshold, the theorem, and the rate below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...theory.statement import Answer
from .assessment import Rate
from .facts import Fact, decided, stable
from .least_squares import RowSpace
from .mini_batches import batch_curvature
from .momentum import Variant, momentum_modes
from .sampled_regression import sampling_factor
from .stability import SampledDescent, largest_stable_mode_step, mean_square_rate
from .training_choices import Training


@dataclass(frozen=True)
class Stability:
    """Is the step stable, by which theorem, and how fast does it contract? No rate where it is not known to be."""

    fact: Fact
    theorem: str
    rate: Rate | None


def stability(x: np.ndarray, space: RowSpace, rank: int, training: Training) -> Stability:
    """Squared loss on a design x (examples, parameters) in the coordinates of the metric; rank 0 for a model without a law."""
    if not space.singular_values.size:
        fact = decided("stable step", True, "the design is zero: nothing moves")
        return Stability(fact, "ib.ls_minnorm", Rate("per step", 0.0))
    if training.adaptive:
        return _unknown("ib.ls_precond", f"nothing is known of {training.optimiser}")
    curvature = space.singular_values**2
    if training.batch_size is not None and training.batch_size < len(x):
        return _mini_batches(x, curvature, rank, training)
    if training.samples is not None and rank:
        return _sampled(curvature, rank, training)
    return _deterministic(curvature, rank, training)


def _deterministic(curvature: np.ndarray, rank: int, training: Training) -> Stability:
    beta, fastest = training.momentum, max(1.0, training.covariance_rate) if rank else 1.0
    reach = 2 * (1 + beta) / (1 + 2 * beta) if training.nesterov else 2 * (1 + beta)
    limit = reach / (float(curvature[0]) * fastest)
    theorem = "ib.ls_momentum" if beta else "ib.regression_w2" if rank else "ib.ls_minnorm"
    fact = stable(training.step, limit, why="the exact threshold at the largest eigenvalue of X^T X")
    if not fact.holds:
        return Stability(fact, theorem, None)
    rates = {1.0, training.covariance_rate} if rank else {1.0}
    scaled = np.concatenate([rate * training.step * curvature for rate in sorted(rates)])
    variant: Variant = "nesterov" if training.nesterov else "heavy_ball"
    modulus = momentum_modes(scaled, momentum=beta, variant=variant).modulus
    return Stability(fact, theorem, Rate("per step", float(modulus.max()), eventually=beta > 0))


def _sampled(curvature: np.ndarray, rank: int, training: Training) -> Stability:
    theorem = "ib.mc_stability"
    if training.nesterov:
        return _unknown(theorem, "no threshold is known for sampled training with Nesterov momentum")
    if not training.redraw:
        return _unknown("ib.fixed_noise", "with reused draws the threshold depends on the draws")
    assert training.samples is not None
    descent = SampledDescent(
        rank,
        samples=training.samples,
        momentum=training.momentum,
        covariance_rate=training.covariance_rate,
        estimator="antithetic" if training.antithetic else "independent",
    )
    limit = largest_stable_mode_step(descent) / float(curvature[0])
    fact = stable(training.step, limit, why="the exact threshold in mean square at the largest eigenvalue of X^T X")
    if not fact.holds:
        return Stability(fact, theorem, None)
    factor = float(np.max(mean_square_rate(training.step * curvature, descent)))
    return Stability(fact, theorem, Rate("mean square per step", factor, eventually=True))


def _mini_batches(x: np.ndarray, curvature: np.ndarray, rank: int, training: Training) -> Stability:
    theorem = "ib.regression_mc" if rank and training.samples is not None else "ib.ls_sgd"
    if training.momentum:
        return _unknown(theorem, "no threshold is proved for mini-batches with momentum")
    if rank and training.covariance_rate != 1:
        return _unknown(theorem, "no threshold is proved for mini-batches with a covariance rate of its own")
    if rank and training.samples is not None and (training.antithetic or not training.redraw):
        return _unknown(theorem, "no threshold is proved for mini-batches with antithetic or reused draws")
    assert training.batch_size is not None
    largest = batch_curvature(x, batch_size=training.batch_size)
    noise = sampling_factor(rank=rank, samples=training.samples) if rank and training.samples is not None else 1.0
    limit = 2 / (largest * noise)
    fact = stable(training.step, limit, why="a threshold in mean square for the worst batch", sufficient=True)
    if not fact.holds:
        return Stability(fact, theorem, None)
    factor = 1 - training.step * float(curvature[-1]) * (2 - training.step * largest * noise)
    return Stability(fact, theorem, Rate("mean square per step", factor))


def _unknown(theorem: str, why: str) -> Stability:
    return Stability(Fact("stable step", Answer.CANNOT_BE_CHECKED, why), theorem, None)
