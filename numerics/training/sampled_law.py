"""Descent on a Gaussian law over the weights of a linear model by sampled gradients: the experiment, step by step.

The loss is 1/2 ||y - X w||^2 (sum over examples, factor 1/2) and w = mean + factor z. Every step draws its noise z, one
set for all examples, evaluates the gradient of the average loss over the draws and moves mean and factor. Mini-batches
are drawn without replacement and weighted by examples/batch. Many replicates run side by side; nothing here knows where
they end.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size

Paths = tuple[
    Float[np.ndarray, "records replicates parameters"], Float[np.ndarray, "records replicates parameters rank"]
]


def descend_sampled_law(
    design: Any,
    targets: Any,
    mean: Any,
    factor: Any,
    *,
    step: float,
    record: Sequence[int],
    samples: int = 1,
    antithetic: bool = False,
    momentum: float = 0.0,
    covariance_rate: float = 1.0,
    batch: int | None = None,
    draws: Any = None,
    replicates: int = 1,
    seed: int,
) -> Paths:
    """Means and factors of every replicate after each number of steps in `record` (increasing whole numbers).

    design (examples, parameters), targets (examples,), mean (parameters,), factor (parameters, rank), shared by the
    replicates. `antithetic` mirrors the second half of the `samples` draws. Heavy ball starts at rest. `draws`, of shape
    (draws, rank), are used at every step in place of fresh ones: with fewer than rank + 1 of them a warning says that
    the factor cannot be trained in every direction. Diverging runs go to infinity without an error, as the second
    moments that are measured on them do. Raises `InvalidInput`.
    """
    x, y = finite("design", design, ndim=2), finite("targets", targets, ndim=1)
    m, s = finite("mean", mean, ndim=1), finite("factor", factor, ndim=2)
    if x.shape != (len(y), len(m)) or s.shape[0] != len(m) or 0 in s.shape:
        raise InvalidInput(
            f"design has shape {x.shape}, targets {y.shape}, mean {m.shape}, factor {s.shape}.",
            "Pass (examples, parameters), (examples,), (parameters,) and (parameters, rank).",
        )
    if not (isinstance(step, int | float | np.floating) and math.isfinite(step) and step > 0):
        raise InvalidInput(f"step is {step!r}.", "It must be a positive finite number.")
    times = list(record)
    if not times or any(t != int(t) or t < 0 for t in times) or (np.diff(times) <= 0).any():
        raise InvalidInput(f"record is {times!r}.", "Pass one or more increasing whole numbers of steps.")
    count, rank = sample_size("replicates", replicates), s.shape[1]
    fixed = None if draws is None else _fixed_draws(draws, rank)
    per_step = len(fixed) if fixed is not None else sample_size("samples", samples)
    if antithetic and (per_step % 2 or fixed is not None):
        raise InvalidInput("antithetic draws come in pairs of fresh noise.", "Pass an even `samples` and no `draws`.")
    size = len(y) if batch is None else sample_size("batch", batch)
    if size > max(len(y), 1):
        raise InvalidInput(f"batch is {size} for {len(y)} examples.", "Draw at most all of them.")

    rng = np.random.default_rng(seed)
    # Replicates run along the last axis, so that every product with the design is one large matrix product.
    w = np.repeat(np.column_stack([m, s])[:, :, None], count, axis=2)
    velocity = np.zeros_like(w)
    rates = step * np.concatenate([[1.0], np.full(rank, covariance_rate)])[:, None]
    kept: list[np.ndarray] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(int(times[-1]) + 1):
            if t == times[len(kept)]:
                kept.append(w.copy())
            if fixed is None:
                noise = _draw(rng, per_step, rank, count, antithetic)
            else:
                noise = np.repeat(fixed[:, :, None], count, axis=2)
            gradient = _gradient(x, y, w, noise, _weights(rng, len(y), size, count))
            velocity = momentum * velocity + gradient
            w = w - rates * velocity
    path = np.stack(kept).transpose(0, 3, 1, 2)
    return path[..., 0], path[..., 1:]


def _fixed_draws(draws: Any, rank: int) -> np.ndarray:
    fixed = finite("draws", draws, ndim=2)
    if fixed.shape[1] != rank or not len(fixed):
        raise InvalidInput(f"draws has shape {fixed.shape} for rank {rank}.", "Pass one row of rank numbers per draw.")
    if len(fixed) <= rank:
        warnings.warn(
            f"{len(fixed)} draws reused at every step train only {len(fixed)} of the {rank + 1} directions of mean and "
            "factor (ib.fixed_noise): variance stays at the training inputs. Draw afresh each step.",
            RuntimeWarning,
            stacklevel=3,
        )
    return fixed


def _draw(rng: np.random.Generator, samples: int, rank: int, replicates: int, antithetic: bool) -> np.ndarray:
    if antithetic:
        half = rng.normal(size=(samples // 2, rank, replicates))
        return np.concatenate([half, -half])
    return rng.normal(size=(samples, rank, replicates))


def _weights(rng: np.random.Generator, examples: int, batch: int, replicates: int) -> np.ndarray | None:
    """(examples, replicates): examples/batch where an example is in the replicate's batch, else 0; None for all of them."""
    if batch >= examples:
        return None
    chosen = rng.random((examples, replicates)).argsort(axis=0).argsort(axis=0) < batch
    return np.asarray(chosen * (examples / batch))


def _gradient(x: np.ndarray, y: np.ndarray, w: np.ndarray, noise: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Gradient in (mean, factor), (parameters, 1 + rank, replicates), of the loss averaged over the draws."""
    samples, rank, replicates = noise.shape
    drawn = np.repeat(w[:, :1], samples, axis=1)  # (parameters, samples, replicates)
    for column in range(rank):
        drawn += w[:, 1 + column, None] * noise[:, column]
    residual = (x @ drawn.reshape(len(w), -1)).reshape(-1, samples, replicates) - y[:, None, None]
    if weights is not None:
        residual *= weights[:, None]
    pulled = (x.T @ residual.reshape(len(y), -1)).reshape(len(w), samples, replicates) / samples
    columns = [pulled.sum(axis=1)] + [(pulled * noise[:, column]).sum(axis=1) for column in range(rank)]
    return np.stack(columns, axis=1)
