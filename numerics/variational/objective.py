"""The expected loss as a training step sees it: fresh draws of the network, or the last layer integrated over draws of the rest. No
divergence term."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ..methods.data import generator
from .family import Family, Law
from .last_layer import output_moments, require_readout
from .losses import EXPECTATIONS, Expectation, Likelihood, expected_loss, loss


@dataclass(frozen=True)
class ExpectedLoss:
    """samples: draws for a step, M; one draw serves the whole batch. antithetic: draws come in pairs z, -z. common_noise: the same M draws
    in every step.

    reduction: "mean" over the batch, or "sum" as the theorems' convention has it. Raises `InvalidInput`; warns where noise is reused.
    """

    likelihood: Likelihood
    expectation: Expectation = "sampled"
    samples: int = 1
    antithetic: bool = False
    common_noise: bool = False
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        if self.likelihood not in EXPECTATIONS:
            raise InvalidInput(f"likelihood is {self.likelihood!r}.", f"Choose one of {', '.join(EXPECTATIONS)}.")
        if self.expectation not in EXPECTATIONS[self.likelihood]:
            raise InvalidInput(
                f"expectation is {self.expectation!r} with a {self.likelihood} likelihood.",
                f"Choose one of {', '.join(EXPECTATIONS[self.likelihood])}.",
            )
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1:
            raise InvalidInput(f"samples is {self.samples!r}.", "It must be a whole number of at least 1.")
        for name in ("antithetic", "common_noise"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}.", "It is True or False.")
        if self.antithetic and self.samples % 2:
            raise InvalidInput(f"samples is {self.samples}, antithetic draws come in pairs.", "Pass an even number.")
        if self.reduction not in ("mean", "sum"):
            raise InvalidInput(f"reduction is {self.reduction!r}.", 'Choose "mean" or "sum".')
        if self.common_noise:
            warnings.warn(
                f"common_noise reuses {self.samples} draws in every step: what the factor does outside their span is never trained, and variance stays "
                "at the training inputs (ib.fixed_noise). Use it for comparisons of objectives only.",
                stacklevel=3,
            )


class SampledTerms:
    """Terms of one objective over one family, for `training`: called with (law, inputs, targets, stream). Raises `InvalidInput`."""

    def __init__(self, family: Family, objective: ExpectedLoss, *, seed: int) -> None:
        self._family, self._objective = family, objective
        # below an integrated last layer that is the only variational one there is nothing left to draw
        below = family.variational
        if objective.expectation != "sampled":
            readout = require_readout(family)
            below = tuple(layer for layer in below if layer != readout)
        self._draws = objective.samples if below else 1
        self._noise_free = not below
        self._fixed: list[Tensor] | None = None
        if objective.common_noise and not self._noise_free:
            self._fixed = list(self._fresh(generator(seed, "common noise", family.network.device)))

    def __call__(self, law: Law, x: Tensor, y: Tensor, stream: torch.Generator) -> Iterator[Tensor]:
        objective, family = self._objective, self._family
        draws: Iterator[Tensor | None] = iter((None,)) if self._noise_free else iter(self._fixed or self._fresh(stream))
        for z in draws:
            if objective.expectation == "sampled":
                losses = loss(objective.likelihood, family.call(family.at(law, z), x), y)
            else:
                mean, variance = output_moments(family, law, z, x)
                losses = expected_loss(objective.likelihood, objective.expectation, mean, variance, y)
            total = losses.mean() if objective.reduction == "mean" else losses.sum()
            yield total / self._draws if self._draws > 1 else total

    def _fresh(self, stream: torch.Generator) -> Iterator[Tensor]:
        pairs = self._draws // 2 if self._objective.antithetic else self._draws
        for _ in range(pairs):
            z = self._family.noise(stream)
            yield z
            if self._objective.antithetic:
                yield -z
