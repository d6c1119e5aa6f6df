"""How often a posterior errs where the one before it is right, and the reverse: what recursive PAC-Bayes (pb.rpb) pays for.

Both are drawn afresh and independently, and meet the same examples: the losses of a pair (h, h') at an example are those of one draw from
the product of the two posteriors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ...theory.validation import sample_size
from .example_draws import example_losses
from .gaussian import MeanFieldGaussian
from .losses import Loss
from .measure import Parts, chosen_parts
from .monte_carlo import MEMORY_MB, draw_blocks

STREAM = "certify: posterior draws of a recursion"
ZERO_ONE = Loss("zero_one")


@dataclass(frozen=True)
class ExcessCounts:
    """Pairs (h ~ posterior, h' ~ previous, example) by their 0-1 losses: only h wrong, both wrong, only h' wrong; exact integers.

    draws: pairs of predictors that every example met; examples, largest_part: as in `gibbs_monte_carlo`.
    """

    only_new: int
    both: int
    only_old: int
    draws: int
    examples: int
    largest_part: int

    @property
    def pairs(self) -> int:
        """Independent draws that the frequencies rest on (pb.gibbs_mc): draws * examples / largest_part, rounded down."""
        return self.draws * self.examples // self.largest_part

    def frequencies(self, gamma: float) -> tuple[float, float, float]:
        """Of loss(h) - gamma loss(h') being at least 0, 1 - gamma and 1, rounded up."""
        total = self.draws * self.examples
        first = total - self.only_old
        second = first if gamma == 1 else self.only_new + self.both
        return up(first, total), up(second, total), up(self.only_new, total)


def up(count: int, total: int) -> float:
    """count / total rounded up."""
    value = count / total
    return value if Fraction(value) >= Fraction(count, total) else math.nextafter(value, math.inf)


def excess_counts(
    posterior: MeanFieldGaussian,
    previous: MeanFieldGaussian,
    x: Tensor,
    y: Tensor,
    *,
    step: int,
    draws: int,
    seed: int,
    parts: Parts = None,
    memory_mb: float = MEMORY_MB,
    vectorize: bool = True,
) -> ExcessCounts:
    """Losses of `draws` pairs for each part of the examples (x, y) of `labelled_data`, both Gaussians over one module on one device.

    step: which of several recursions' steps this is; each has random streams of its own. Raises as `draw_risks` and `example_risks`.
    """
    total, chosen = sample_size("draws", draws), chosen_parts(posterior, x, parts, memory_mb)
    counts = torch.zeros(3, dtype=torch.int64)
    streams = [f"{STREAM}, step {step}, {role}" for role in ("new", "old")]
    if chosen == "examples":
        largest = 1
        new, old = (
            example_losses(who, x, y, ZERO_ONE, draws=total, seed=seed, memory_mb=memory_mb, stream=stream)
            for who, stream in zip((posterior, previous), streams, strict=True)
        )
        counts += _add(new, old)
    else:
        runs = list(zip(x.tensor_split(chosen), y.tensor_split(chosen), strict=True))
        largest = max(len(labels) for _, labels in runs)
        for index, (inputs, labels) in enumerate(runs):
            new, old = (
                draw_blocks(who, inputs, labels, ZERO_ONE, total, seed, memory_mb, vectorize, f"{stream}, part {index}")
                for who, stream in zip((posterior, previous), streams, strict=True)
            )
            counts += _add(new, old)
    only_new, both, only_old = (int(k) for k in counts)
    return ExcessCounts(only_new, both, only_old, total, len(x), largest)


def _add(new: Iterator[tuple[slice, Tensor]], old: Iterator[tuple[slice, Tensor]]) -> Tensor:
    """Counts over two runs of blocks, which have the same shapes because both posteriors share a module."""
    counts = torch.zeros(3, dtype=torch.int64)
    for (_, first), (_, second) in zip(new, old, strict=True):
        counts += torch.stack([(first & ~second).sum(), (first & second).sum(), (~first & second).sum()]).cpu()
    return counts
