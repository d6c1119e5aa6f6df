"""Variational regression trained on sampled weights: mini-batches and Monte-Carlo gradients reach the limit of the exact ones.

Step: draw a batch of `batch_size` rows (without replacement, gradient weighted by N/B) and `samples` fresh z ~ N(0, I),
shared by the batch; descend the averaged loss in (mean, factor). In W = [mean - w, factor], w a solution of X w = y, that
is W <- W - step H_B W U with U the average of u u^T, u = (1, z): multiplicative noise, which vanishes where X W = 0. The
null-space part P W never moves. With c = 1 + (rank + 2)/samples, from E U^2 <= c I, and L_max of `mini_batches`,

    E ||Q W_t||_F^2 <= [1 - step h_min (2 - step L_max c)]^t ||Q W_0||_F^2    for step < 2 / (L_max c).

Mini-batches need data that can be interpolated; the full batch (L_max = h_max) works for every y, with w a least-squares
solution. `stability` has the exact threshold for the full batch and heavy ball. Derived in `proofs/implicit_bias`.
"""

from __future__ import annotations

import math
from typing import Any

from ...theory.errors import AssumptionViolated, InvalidInput
from ...theory.validation import finite, sample_size
from .gaussian_law import GaussianLaw
from .least_squares import design_matrix, row_space, whole_times
from .mini_batches import batch_curvature, require_interpolation
from .variational_regression import distance_to_prior_squared


def sampling_factor(*, rank: int, samples: int = 1) -> float:
    """c = 1 + (rank + 2)/samples, the largest eigenvalue of E U^2."""
    return 1 + (sample_size("rank", rank) + 2) / sample_size("samples", samples)


def largest_sampled_step(design: Any, *, rank: int, samples: int = 1, batch_size: int | None = None) -> float:
    """2 / (L_max c), below which the bound holds. Sufficient: for the full batch `stability` has the exact threshold."""
    curvature = batch_curvature(design, batch_size=_size(design, batch_size))
    return 2 / (curvature * sampling_factor(rank=rank, samples=samples)) if curvature > 0 else math.inf


def sampled_contraction(
    design: Any, *, step: float, rank: int, samples: int = 1, batch_size: int | None = None
) -> float:
    """1 - step h_min (2 - step L_max c), by which E ||Q W||_F^2 shrinks per step at least; `batch_size` None is all rows.

    Raises `AssumptionViolated`, naming the theorem, when the step is not below `largest_sampled_step`.
    """
    eta = float(finite("step", step, ndim=0))
    if eta <= 0:
        raise InvalidInput(f"step is {eta:g}.", "It must be positive.")
    size = _size(design, batch_size)
    largest = largest_sampled_step(design, rank=rank, samples=samples, batch_size=size)
    if eta >= largest:
        raise AssumptionViolated(
            f"step {eta:g} is too large for ib.regression_mc: it must be below {largest:g}.",
            "Lower the step, draw more samples or enlarge the batch.",
        )
    values = row_space(design).singular_values
    return float(1 - eta * values[-1] ** 2 * 2 * (1 - eta / largest)) if values.size else 0.0


def sampled_bound(
    design: Any,
    targets: Any,
    prior: GaussianLaw,
    *,
    step: float,
    steps: int,
    samples: int = 1,
    batch_size: int | None = None,
    delta: float | None = None,
) -> float:
    """Bound on E ||(mean, factor)_t - limit||_F^2, or with probability 1 - delta on the squared distance itself (Markov).

    The limit is `regression_limit`; since W2 is at most that distance it bounds the expected W2^2 of the laws as well.
    Raises `AssumptionViolated` on steps that are too large, and on mini-batches of data that cannot be interpolated.
    """
    x, size = design_matrix(design), _size(design, batch_size)
    if size < len(x):
        require_interpolation(x, targets)
    rate = sampled_contraction(x, step=step, rank=prior.factor.shape[1], samples=samples, batch_size=size)
    start = distance_to_prior_squared(x, targets, prior)
    return rate ** float(whole_times(steps)) * start / (1.0 if delta is None else _probability(delta))


def sampled_steps(
    design: Any,
    *,
    step: float,
    rank: int,
    tolerance: float,
    delta: float,
    samples: int = 1,
    batch_size: int | None = None,
) -> int:
    """Steps after which, with probability 1 - delta, the distance to the limit is at most `tolerance` of its start."""
    goal = float(finite("tolerance", tolerance, ndim=0))
    if not 0 < goal < 1:
        raise InvalidInput(f"tolerance is {tolerance!r}.", "It is a fraction of the start: in (0, 1).")
    rate = sampled_contraction(design, step=step, rank=rank, samples=samples, batch_size=batch_size)
    wanted = 2 * math.log(goal) + math.log(_probability(delta))
    return 1 if rate <= 0 else max(1, math.ceil(wanted / math.log(rate)))


def _size(design: Any, batch_size: int | None) -> int:
    x = design_matrix(design)
    return max(len(x), 1) if batch_size is None else sample_size("batch_size", batch_size)


def _probability(delta: float) -> float:
    value = float(finite("delta", delta, ndim=0))
    if not 0 < value < 1:
        raise InvalidInput(f"delta is {delta!r}.", "It is a probability of failure, strictly between 0 and 1.")
    return value
