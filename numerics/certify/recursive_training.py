"""Training of recursive posteriors (pb.rpb): each from the one before, by the bound that its own part of the data will get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from ..methods.data import generator
from ..randomness import sub_seed
from .excess import ZERO_ONE
from .gaussian import MeanFieldGaussian
from .monte_carlo import MEMORY_MB, draw_blocks, labelled_data
from .objectives import Excess
from .recursive import GAMMA, Progress, gammas_of
from .training import Epoch, TrainingConfig, train


def train_recursive(
    prior: MeanFieldGaussian,
    data: Sequence[Any],
    config: TrainingConfig,
    *,
    seed: int,
    gammas: float | Sequence[float] = GAMMA,
    draws: int = 200,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[MeanFieldGaussian, ...]:
    """Posteriors for `certify_recursive`: pi_t from pi_(t-1), on the parts 1..t, by the bound that part t will get.

    The first one minimises `config.objective`; the later ones the split form of the excess over gamma_t times the posterior before, whose
    errors at each example are estimated from `draws` draws once. checkpoint: a folder; the same call goes on from it, step by step.
    Raises `InvalidInput`, `AssumptionViolated`, `StorageError`, `NumericalFailure`.
    """
    generator(seed, "validation", torch.device("cpu"))
    count = sample_size("draws", draws)
    if config.objective == "risk":
        raise InvalidInput("The objective 'risk' pays for no divergence.", "Choose a bound, for example 'kl_inverse'.")
    sets = list(data) if isinstance(data, (list, tuple)) else []
    if not sets:
        raise InvalidInput(f"data is a {type(data).__name__}.", "Pass a list with the parts of the data, in order.")
    factors = gammas_of(gammas, len(sets) - 1)
    gathered = [labelled_data(part, prior.network) for part in sets]
    found: list[MeanFieldGaussian] = [prior]
    for t in range(1, len(sets) + 1):
        x, y = (torch.cat([part[i] for part in gathered[:t]]) for i in (0, 1))
        later = sum(len(part[1]) for part in gathered[t - 1 :])
        excess = None
        if t > 1:
            errors = error_rates(found[-1], x, y, draws=count, seed=sub_seed(seed, "recursion", t))
            excess = Excess(factors[t - 2], errors)
        found.append(
            train(
                found[-1], (x, y), config,
                seed=sub_seed(seed, "recursive step", t), prior=found[-1], n_bound=later, excess=excess,
                checkpoint=checkpoint, progress=_reporting(progress, t, len(sets)),
            )
        )  # fmt: skip
    return tuple(found[1:])


def error_rates(posterior: MeanFieldGaussian, x: Tensor, y: Tensor, *, draws: int, seed: int) -> Tensor:
    """Share of `draws` posterior draws that err at each example, in the posterior's dtype; for training, no certificate."""
    total = torch.zeros(len(x), dtype=posterior.network.dtype, device=posterior.network.device)
    column = 0
    for _, losses in draw_blocks(posterior, x, y, ZERO_ONE, draws, seed, MEMORY_MB, True, "errors of a prior"):
        total[column : column + losses.shape[1]] += losses.sum(0).to(total)
        column = (column + losses.shape[1]) % len(x)
    return total / draws


def _reporting(progress: Callable[[Progress], None] | None, step: int, steps: int) -> Callable[[Epoch], None] | None:
    return None if progress is None else lambda epoch: progress(Progress(step, steps, epoch))
