"""A plan for variational regression on sampled weights: the largest stable step, the fastest one, and how long it takes.

Everything rests on the exact second-moment recursion of `stability` (result ib.mc_stability): in the mode of X^T X with
eigenvalue h the second moments of mean and factor are multiplied by T(step h) at every step. The recommended step has
the smallest spectral radius over all modes; with independent draws, equal rates and no momentum it is
2 / (Lambda (h_min + h_max)) with radius 1 - 4 h_min h_max / (Lambda (h_min + h_max)^2), Lambda = 2 / a_max, and it is
found numerically otherwise. `cheapest_plan` goes through momentum, covariance rate, number and kind of draws as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import AssumptionViolated, InvalidInput, NumericalFailure
from ...theory.validation import finite
from .least_squares import design_matrix, row_space
from .stability import Estimator, SampledDescent, largest_stable_mode_step, mean_square_rate, moment_matrix

_LONGEST = 10**12


@dataclass(frozen=True)
class TrainingPlan:
    """What `plan_training` found; `str(plan)` says it in words.

    Steps are learning rates of the mean on 1/2 ||y - X w||^2 (sum over examples); the factor's is covariance_rate times
    that. rate is the factor per step of the expected squared distance E ||Q (mean, factor)_t - limit||^2 at `step`.
    After `steps` steps that expectation is at most tolerance^2 times its start, for every start; with probability
    1 - delta the distance itself is then below tolerance / sqrt(delta) times its start (Markov).
    """

    descent: SampledDescent
    smallest_eigenvalue: float
    largest_eigenvalue: float
    largest_stable_step: float
    fastest_step: float
    step: float
    rate: float
    steps: int
    tolerance: float
    theorem: str = "ib.mc_stability"

    def __str__(self) -> str:
        d = self.descent
        draws = {
            "analytic": "the analytic expectation",
            "independent": f"{d.samples} fresh draw{'s' * (d.samples > 1)} per step",
            "antithetic": f"{d.samples // 2} antithetic pair{'s' * (d.samples > 2)} per step",
        }[d.estimator]
        return (
            f"Rank {d.rank}, {draws}, momentum {d.momentum:g}, covariance learning rate {d.covariance_rate:g} times the mean's.\n"
            f"Stable in mean square for steps below {self.largest_stable_step:.6g} ({self.theorem}); noiseless descent would "
            f"allow {2 * (1 + d.momentum) / self.largest_eigenvalue:.6g}.\n"
            f"Fastest step {self.fastest_step:.6g}, planned step {self.step:.6g}: the expected squared distance to the limit law "
            f"shrinks by {self.rate:.6g} per step.\n"
            f"{self.steps} steps bring its root to {self.tolerance:g} of its start (condition number of X^T X: "
            f"{self.largest_eigenvalue / self.smallest_eigenvalue:.3g})."
        )


def plan_training(
    design: Any,
    *,
    rank: int,
    samples: int = 1,
    momentum: float = 0.0,
    covariance_rate: float = 1.0,
    estimator: Estimator = "independent",
    step: float | None = None,
    tolerance: float = 1e-3,
) -> TrainingPlan:
    """Plan full-batch training of a Gaussian law of the given rank on this design (examples, parameters).

    Without `step` the fastest one is taken. Raises `AssumptionViolated`, naming the theorem, for a step at or beyond the
    edge of stability, and `InvalidInput` for options or designs that make no sense (a design of zeros trains nothing).
    """
    descent = SampledDescent(rank, samples, momentum, covariance_rate, estimator)
    if not 0 < float(finite("tolerance", tolerance, ndim=0)) < 1:
        raise InvalidInput(
            f"tolerance is {tolerance!r}.", "It is the fraction of the start that may be left: in (0, 1)."
        )
    eigenvalues = row_space(design_matrix(design)).singular_values ** 2
    if not eigenvalues.size:
        raise InvalidInput("design is zero, so every step does nothing.", "Pass a design with a nonzero entry.")
    edge = largest_stable_mode_step(descent) / float(eigenvalues[0])
    fastest = fastest_sampled_step(eigenvalues, descent)
    if float(eigenvalues[-1]) < 2.0**-45 * float(eigenvalues[0]):
        raise NumericalFailure(
            f"The condition number of X^T X is {eigenvalues[0] / eigenvalues[-1]:.1e}: rounding hides every rate.",
            "Precondition the design, or pass it without the directions that hardly vary.",
        )
    chosen = fastest if step is None else float(finite("step", step, ndim=0))
    if not 0 < chosen < edge:
        raise AssumptionViolated(
            f"step {chosen:g} is not stable in mean square: ib.mc_stability allows steps strictly between 0 and {edge:g}.",
            f"Lower it (the fastest is {fastest:g}), draw more samples or antithetic pairs, or train the factor at a rate of "
            f"about 1/rank = {1 / rank:g} (now {covariance_rate:g}).",
        )
    return TrainingPlan(
        descent=descent,
        smallest_eigenvalue=float(eigenvalues[-1]),
        largest_eigenvalue=float(eigenvalues[0]),
        largest_stable_step=edge,
        fastest_step=fastest,
        step=chosen,
        rate=float(mean_square_rate(chosen * eigenvalues, descent).max()),
        steps=_steps_needed(chosen * eigenvalues, descent, tolerance**2),
        tolerance=tolerance,
    )


def cheapest_plan(
    design: Any,
    *,
    rank: int,
    tolerance: float = 1e-3,
    samples: Sequence[int] = (1, 2, 4, 16),
    momentum: Sequence[float] = (0.0, 0.5, 0.9),
    covariance_rate: Sequence[float] | None = None,
    antithetic: bool = True,
) -> TrainingPlan:
    """The plan with the fewest weight draws in all (steps times draws per step) among all combinations of these options.

    Covariance rates are 1 and 1/rank unless given; `antithetic` also tries pairs for every even number of draws. Every
    candidate is planned at its own fastest step. Raises as `plan_training` does.
    """
    rates = tuple(dict.fromkeys((1.0, 1 / rank))) if covariance_rate is None else tuple(covariance_rate)
    kinds: list[tuple[int, Estimator]] = [(count, "independent") for count in samples]
    if antithetic:
        kinds += [(count, "antithetic") for count in samples if count % 2 == 0]
    plans = [
        plan_training(
            design, rank=rank, samples=count, estimator=kind, momentum=b, covariance_rate=k, tolerance=tolerance
        )
        for count, kind in kinds
        for b in momentum
        for k in rates
    ]
    if not plans:
        raise InvalidInput(
            "There is no option to choose from.", "Give at least one number of samples and one momentum."
        )
    return min(plans, key=lambda plan: plan.steps * plan.descent.samples)


def fastest_sampled_step(eigenvalues: Any, descent: SampledDescent) -> float:
    """The step with the smallest largest spectral radius over the modes with these positive eigenvalues of X^T X.

    With independent draws, equal rates and no momentum the radius is 1 - 2 a + Lambda a^2 at every mode, a convex parabola,
    so that only the two extreme modes count. Otherwise a grid of 31 steps brackets the smallest value and golden sections
    narrow it to 1e-5 of the step, over which the radius itself changes by less.
    """
    h = finite("eigenvalues", eigenvalues, ndim=1)
    if not h.size or h.min() <= 0:
        raise InvalidInput(
            "eigenvalues must be positive and at least one.", "Leave out the modes that the data do not see."
        )
    edge = largest_stable_mode_step(descent) / float(h.max())
    if descent.momentum == 0 and descent.covariance_rate == 1 and descent.estimator == "independent":
        return edge * float(h.max()) / float(h.min() + h.max())

    def rate(step: float) -> float:
        return float(mean_square_rate(step * h, descent).max())

    grid = edge * np.arange(1, 32) / 32
    best = int(np.argmin([rate(step) for step in grid]))
    low, high = (grid[best - 1] if best else 0.0), (grid[best + 1] if best + 1 < len(grid) else edge)
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    values = [rate(left), rate(right)]
    while high - low > 1e-5 * high:
        if values[0] <= values[1]:
            high, right, values[1] = right, left, values[0]
            left = high - golden * (high - low)
            values[0] = rate(left)
        else:
            low, left, values[0] = left, right, values[1]
            right = low + golden * (high - low)
            values[1] = rate(right)
    return float(left if values[0] <= values[1] else right)


def mean_square_factor(mode_steps: Any, descent: SampledDescent, *, steps: int) -> float:
    """The largest E ||(mean, factor)_t||^2 / ||(mean, factor)_0||^2 over all starts at rest in these modes, exactly.

    Mode by mode it is the largest column of T^t in the units c_0 + rank c_1, so no start does worse and one does as badly.
    """
    matrices = np.atleast_3d(np.asarray(moment_matrix(np.atleast_1d(mode_steps), descent)))
    return _factor(matrices, descent.rank, steps)


def _factor(matrices: np.ndarray, rank: int, steps: int) -> float:
    powers = np.linalg.matrix_power(matrices, steps)
    size = matrices.shape[-1]
    # from rest: products with, and squares of, the previous iterate start at the same values
    here = powers[:, :2].reshape(len(powers), 2, size // 2, 2).sum(axis=2)
    weights = np.array([1.0, rank])
    return float(((weights @ here) / weights).max())


def _steps_needed(mode_steps: np.ndarray, descent: SampledDescent, goal: float) -> int:
    """A number of steps whose exact factor is at most `goal`: by doubling, then by bisection."""
    matrices = moment_matrix(mode_steps, descent)
    low, high = 0, 1
    while _factor(matrices, descent.rank, high) > goal:
        low, high = high, 2 * high
        if high > _LONGEST:
            raise NumericalFailure(
                f"More than {_LONGEST:g} steps are needed.", "The design is too ill-conditioned; precondition it first."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _factor(matrices, descent.rank, middle) <= goal else (middle, high)
    return high
