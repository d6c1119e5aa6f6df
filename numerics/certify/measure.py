"""The empirical Gibbs risk of a posterior by fresh draws, in the way that spends them best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from ...theory.validation import sample_size
from .example_draws import example_risks, supports_example_draws
from .gaussian import MeanFieldGaussian
from .losses import Loss
from .monte_carlo import MEMORY_MB, Drawn, DrawnRisks, draw_risks

DRAWS = 10_000
MOST_PARTS = 16
PART = 64  # examples: below that, drawing parameters costs more than using them

Parts = int | Literal["examples"] | None


def default_parts(examples: int) -> int:
    """How many parts of the examples get posterior draws of their own: as many as leave 64 examples each, at most 16."""
    return max(1, min(MOST_PARTS, examples // PART))


def chosen_parts(
    posterior: MeanFieldGaussian, x: Tensor, parts: Parts, memory_mb: float = MEMORY_MB
) -> int | Literal["examples"]:
    """`parts` as given; for None "examples" where the module allows it (`supports_example_draws`), else `default_parts`."""
    if parts == "examples":
        return "examples"
    if parts is not None:
        return sample_size("parts", parts)
    return "examples" if supports_example_draws(posterior, x, memory_mb) else default_parts(len(x))


def measure_risk(
    posterior: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    loss: Loss,
    *,
    draws: int,
    seed: int,
    parts: Parts = None,
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
    progress: Callable[[Drawn], None] | None = None,
) -> DrawnRisks:
    """Losses of `draws` predictors for each part of the examples (x, y) of `labelled_data`. Raises as `example_risks`, `draw_risks`."""
    chosen = chosen_parts(posterior, x, parts, memory_mb)
    if chosen == "examples":
        return example_risks(posterior, x, y, loss, draws=draws, seed=seed, memory_mb=memory_mb, progress=progress)
    return draw_risks(
        posterior, x, y, loss,
        draws=draws, seed=seed, parts=chosen, memory_mb=memory_mb, vectorize=vectorize, progress=progress,
    )  # fmt: skip
