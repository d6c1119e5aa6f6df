"""Losses in [0, 1] of a classifier's outputs, one number for each example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...theory.errors import InvalidInput


@dataclass(frozen=True)
class Loss:
    """`zero_one`, or `cross_entropy` bounded below probability `pmin`. Clamp and scale use the one `pmin`, always."""

    kind: Literal["zero_one", "cross_entropy"]
    pmin: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("zero_one", "cross_entropy"):
            raise InvalidInput(f"The loss is {self.kind!r}.", "Choose 'zero_one' or 'cross_entropy'.")
        if self.kind == "zero_one" and self.pmin is not None:
            raise InvalidInput("pmin has no meaning for the 0-1 loss.", "Leave it out.")
        if self.kind == "cross_entropy" and (
            isinstance(self.pmin, bool) or not isinstance(self.pmin, float) or not 1e-30 <= self.pmin < 1
        ):
            raise InvalidInput(
                f"pmin is {self.pmin!r}.", "The bounded cross-entropy needs one in [1e-30, 1), for example 1e-4."
            )

    def __str__(self) -> str:
        return "0-1 loss" if self.kind == "zero_one" else f"cross-entropy clamped and rescaled at pmin = {self.pmin:g}"

    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of outputs (..., examples, classes) at labels (examples,), shape (..., examples)."""
        if self.pmin is None:
            return zero_one(outputs, labels)
        return bounded_cross_entropy(outputs, labels, self.pmin)


def zero_one(
    outputs: Float[Tensor, "*draws examples classes"], labels: Int[Tensor, " examples"]
) -> Bool[Tensor, "*draws examples"]:
    """True unless the label's output is strictly the largest: a tie is an error, so no rule for ties has to be assumed."""
    return (outputs >= _at(outputs, labels)).sum(-1) != 1


def bounded_cross_entropy(
    outputs: Float[Tensor, "*draws examples classes"], labels: Int[Tensor, " examples"], pmin: float
) -> Float[Tensor, "*draws examples"]:
    """-ln max(p, pmin) / ln(1/pmin) in [0, 1] for the softmax probability p of the label (Perez-Ortiz et al. 2021).

    A certificate for this loss is not one for the unbounded cross-entropy.
    """
    floor = math.log(pmin)
    return (_at(torch.log_softmax(outputs, -1), labels).squeeze(-1) / floor).clamp(0, 1)


def _at(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(-1, labels.expand(values.shape[:-1]).unsqueeze(-1))
